"""The places that fulfil and the carriers between them and the customer.

Owns the tables `node`, `node_group`, `carrier`, `carton`, `duty`, `markdown`, `capacity_day` and `network_version`.
Promises: a code never changes its id, ids are dense, every stored document compiles, and those of old plans still do.
Start reading at model.py (what can be said of a node or a carrier); compiled.py turns it into the arrays that sourcing
reads, zones.py and duties.py into tables by destination; calendar.py knows when a node ships, places.py where an
address is, emissions.py what a tonne-kilometre emits.
"""
