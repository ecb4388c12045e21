"""The decisions without a server: documents in, plans out. Pure; the same checks, the same solver and the same words as
the HTTP interface.

Owns the public Python functions (`onhand.source`, `onhand.Network`). Start reading at source.py.
"""
