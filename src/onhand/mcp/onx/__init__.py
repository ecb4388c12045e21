"""The tools of Order Network eXchange (onX), version 1.0.0: its names, arguments, documents and errors, over ours.

Owns nothing. Promises: what it takes and answers is valid by that standard's schemas; what we cannot do is refused by
its error model, never left out in silence. Start reading at tools.py; translate.py and errors.py are pure.
"""
