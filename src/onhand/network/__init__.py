"""The places that fulfil and the carriers between them and the customer.

Owns the tables `node`, `node_group`, `carrier`, `capacity_day` and `network_version`. Promises: a code never changes
its id, ids are dense, every stored carrier document compiles. Start reading at model.py (what can be said of a node or
a carrier); compiled.py turns it into the arrays that sourcing reads, calendar.py knows when a node ships, places.py
where an address is.
"""
