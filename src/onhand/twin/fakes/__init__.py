"""Channels that are not there: each speaks its vendor's interface, keeps its own state, and runs as its own process.

A fake knows nothing of our connectors, and is checked by the vendors' own clients and recordings. `POST /_fake/faults`
makes the next answers fail, before or after they take effect; `GET /_fake/requests` tells what was asked.
"""
