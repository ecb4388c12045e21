"""Orders: what customers want, what is promised of it, and what became of it.

Owns the tables orders, queue_line, fulfilment, shipment, order_return and customer. The lines of an order and of a
fulfilment stand in their rows (rows.py); order_line and fulfilment_line are views of them. Promises: every ordered unit
is cancelled, in a fulfilment or in a queue; a status is never set by hand but follows from these.
Start reading at states.py (what may happen when), then model.py and decide.py.
"""
