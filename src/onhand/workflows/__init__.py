"""Durable work in steps: each is done once, whoever dies, or what was done is taken back.

Owns the tables `run`, `run_step` and `run_claim`. Promises: a step, its record and what would undo it are committed in
one transaction, by the worker that holds the run and by no other; a late worker is fenced by `attempt`; a thing has one
owner. What the steps do is not known here. Start reading at store.py: start, take, hold, record.
"""
