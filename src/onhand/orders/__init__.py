"""Orders: what customers want, what is promised of it, and what became of it.

Owns the tables orders, order_line, queue_line, fulfilment, shipment, order_return and customer. Promises: every ordered
unit is cancelled, in a fulfilment or in a queue; a status is never set by hand but follows from these.
Start reading at states.py (what may happen when), then model.py and decide.py.
"""
