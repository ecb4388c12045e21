"""What was wanted, where and on which day; and the signals that may explain it.

Owns demand_place, demand_line, imported_sale, signal, signal_value and signal_feed. Promises that every correction of
history is visible and can be left out, that a corrected value of a signal keeps since when it is known, and that what
is only known of the past never stands on a day to come. Start reading at model.py; correct.py makes demand of sales,
signals.py aligns signals to days and places; flows/demand/ brings both out of the database.
"""
