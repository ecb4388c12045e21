"""What carriers tell of shipments is kept (record.py), followed (settle.py) and foretold from (foretell.py); how long
they really take becomes what is promised (transit.py)."""
