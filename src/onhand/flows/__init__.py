"""Use cases: one module each. A flow opens the transaction, composes the capabilities and returns values.

Start reading at place_orders.py: the job everything else is for.
"""
