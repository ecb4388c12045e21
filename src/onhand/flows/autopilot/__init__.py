"""Act without a person: what may be done (permit.py), what is done (proposals.py), what came of it (judge.py)."""
