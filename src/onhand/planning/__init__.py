"""What stock, moves and campaigns should follow from the demand that is expected.

Pure: forecasts, stock and prices come in as values, proposals and assessments go out. Promises that a plan never moves
more than there is, and that the same seed makes the same plan. Start reading at elasticity.py (how demand answers to
prices) and campaigns/ (whether the network can serve it).
"""
