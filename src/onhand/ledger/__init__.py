"""Stock: the only writer of positions, entries, reservations and inbound supply.

Owns `stock_position`, `ledger_entry`, `reservation(_line)`, `inbound(_line)`. Promises: every counter is the sum of its
entries; no counter and no `available` is ever negative; entries are never changed; writers lock positions in (item,
node) order. Start reading at decide.py (what an entry does), then store.py (how it is written); verify.py proves the
sums and repairs them, atp.py looks ahead, snapshot.py is the same stock in memory for decisions.
"""
