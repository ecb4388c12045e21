"""What would have happened: the orders of a period decided again by other policies, with stock and capacity evolving.

Owns histories (what happened apart from the decisions), their replay, the comparison of two replays with confidence
intervals, the sweep over prices of time and carbon, and the report. Pure: no database, no clock; equal inputs and seed
give equal answers. Promises that a policy compared with itself differs by exactly 0. Start reading at replay.py.
"""
