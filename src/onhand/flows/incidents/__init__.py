"""Incidents from the database and back: what there is, read as arrays, goes through the detectors of
`incidents/detect`, and what they find is grouped, kept and told.

watch.py runs a pass; table.py lists the detectors, each with its period; reading for each family of them lies in a
module of its own (orders, stock, channels, demand, money, nodes, lanes, shipments, supply).
"""
