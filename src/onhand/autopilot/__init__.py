"""What may be done without a person: guardrails, who owns what, and whether it was worth it.

Owns the tables `autopilot_*`. Promises that no limit is passed, that a stop takes effect with its answer, and that what
was done is compared with what was left undone. Start reading at decide.py; flows/autopilot/permit.py asks it.
"""
