"""Where the merchant sells: channels and what is listed on them.

Owns the tables `channel` and `listing`. Promises: a code never changes its id, ids are dense, credentials are never
shown. Gate and quota limit what is published, not what is ordered. Start reading at model.py.
"""
