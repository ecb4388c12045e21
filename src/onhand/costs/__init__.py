"""What orders cost to serve: promised when they were planned, actual as things happened, failures with their cause.

Owns `cost_entry` (append-only) and what carriers charged. Promises that entries follow from what they rest on: who
books says what a source costs in all; the difference to what is booked is written, so booking again changes nothing.
Start reading at `decide.py` (what an order costs, pure); `store.book` is for others, inside their own transaction.
"""
