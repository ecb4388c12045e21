"""The interface of agents: tools of the Model Context Protocol over the public HTTP interface, and nothing else.

Owns no table and no decision. Promises: a tool can do what the key behind it can do, and changes something only with a
scope of its own; beyond a limit of money it asks a person first; whatever it answers is marked as data. Start reading
at model.py (what a tool is) and server.py (what becomes of a call); tools/ has ours, onx/ those of another standard.

Importing this package loads nothing of the protocol: `Endpoint` does that at the first request.
"""

from onhand.mcp.endpoint import Endpoint

__all__ = ["Endpoint"]
