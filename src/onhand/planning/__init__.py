"""What follows from a forecast: safety stock, purchases, transfers, what to clear, campaigns.

Owns the values in model.py and the decisions beside it, all pure: arrays and values in, values out; time and seed are
arguments. Promises: whole units, never more moved or bought than there is or was allowed, and a reason in money for
each proposal. Start reading at protection.py (what demand an order must last for), then replenish.py and rebalance.py;
elasticity.py (how demand answers to prices) and campaigns/ (whether the network can serve it).
"""
