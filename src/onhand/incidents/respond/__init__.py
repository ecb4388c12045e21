"""What to do about an incident: which orders, how many units, at what price. Pure: arrays in, choices out.

Each file answers one question. Playbooks' steps act on the answers, and so does the twin; neither decides by itself.
"""
