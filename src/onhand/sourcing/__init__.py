"""Sourcing: which node ships which units of an order, when, how, and why.

Owns policies, cost terms, the compiled solver and the record of every decision. Pure except for store.py.
Start reading at solve.py (`decide`), then kernel.py; explain.py answers why.
"""
