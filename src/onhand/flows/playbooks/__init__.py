"""Playbooks at work: an incident begins a run (begin.py), a worker takes its steps (run.py), each in one transaction
with its record and what would undo it (steps/), customers are written to afterwards (messages.py). Start reading at
run.py, then steps/hold.py.
"""
