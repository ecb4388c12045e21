"""Can the network serve a campaign? Demand as it may come, pushed through the solver that decides real orders.

Owns campaign and campaign_hold. Promises that the same seed gives the same assessment, that uplifts are compared on the
same luck, and that orders are decided by sourcing itself: there is no second logic. Start reading at assess.py;
demand.py draws what is asked for, baskets.py makes orders of it, serve.py has them decided, remedy.py says what to move
or buy before when.
"""
