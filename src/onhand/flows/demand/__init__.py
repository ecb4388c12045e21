"""Demand and signals: kept up to date, taken in, and brought out for whoever learns from them.

fold.py follows orders; history.py and signals.py load what was known at a moment; sales.py, tell_signals.py and
feeds.py take in.
"""
