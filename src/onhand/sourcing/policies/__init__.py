"""Policies as documents: what a merchant writes about sourcing, checked, kept in versions, ready to be asked.

Owns the tables `policy`, `policy_version` and `policy_state`. Promises: a version never changes; at most one version
of a name is active, one canary, one shadow; a condition that fails at run time does not apply and is reported, it
never stops an order. Start reading at model.py (what a policy can say); facts.py lists what conditions can ask,
lint.py says what is wrong with a text, select.py is the compiled form, lifecycle.py and guards.py are the life of a
version, store.py is the SQL.
"""
