"""Computed gates as all processes see them.

Owns `listing_gate` (what is hidden and what that rests on, written when it changes) and `channel_gate` (the price of
risk and up to when it was learned). Reads what gates are decided by: sales, supply, latencies. The decision itself is
pure and lives in `channels/gates`; who calls both is flows/gating.py. Start reading at store.py.
"""
