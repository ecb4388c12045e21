"""Order to cash: what an order's shipments and returns demand of its payment, and how far that has come.

Owns payments with their authorisations, operations and entries, and the documents (invoices, credit notes) they follow
from. Promises: an operation is written down, with its key, before a provider is asked for it; captured less refunded is
what was invoiced less what was credited, to the cent, or the difference is named. Never holds data of a card. Start
reading at amounts.py (money of units), then documents.py, then decide.py.
"""
