"""A simulated world around one merchant: shoppers, nodes, carriers' vans, suppliers.

Owns nothing of the product: it calls the public HTTP interface as anybody would, never the database.
Promises: equal seeds give equal worlds and equal shoppers; what the server answers decides the rest.
Start reading at `world.py` (what exists, pure) and `town.py` (who does what when).
"""
