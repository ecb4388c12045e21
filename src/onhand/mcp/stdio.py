"""`onhand mcp`: an agent at the other end of standard input and output, a server of the interface over HTTP."""

import asyncio
from typing import Any

from mcp.server.stdio import stdio_server

from onhand.mcp.api import over_http
from onhand.mcp.server import Caller, build, identify


def serve(url: str, key: str, *, confirm_above_minor: int) -> None:
    """Serve until the other end goes away. Raises Refused, Unanswered at the start: the key or the address is wrong."""
    asyncio.run(_serve(url, key, confirm_above_minor))


async def _serve(url: str, key: str, confirm_above_minor: int) -> None:
    async with over_http(url) as http:
        await identify(http, key)

        async def find(_: Any) -> Caller:
            # Asked anew: a key that was revoked, or may do less, shows at once.
            return await identify(http, key)

        server = build(http, find, confirm_above_minor=confirm_above_minor)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
