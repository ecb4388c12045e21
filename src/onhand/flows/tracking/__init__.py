"""What carriers tell of shipments is kept (record.py, receive.py), followed (settle.py), and foretold from (foretell.py,
learn.py)."""
