"""Requests to addresses that somebody else wrote: webhooks and channels.

Owns the only HTTP client. Promises: a host is resolved once and the connection goes to an address that was checked; no
redirects, no proxy, nothing without a limit of time and size. Start reading at caller.py.
"""

from onhand.wire.caller import Answer, Caller, Guard, NotReachable, Request

__all__ = ["Answer", "Caller", "Guard", "NotReachable", "Request"]
