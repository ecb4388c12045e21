"""Simulate policies on what a database remembers: read a period, replay it, compare, report.

read.py reconstructs the period from orders and ledger, run.py replays it, job.py does so in the background.
"""
