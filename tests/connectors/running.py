"""Fakes as servers on loopback, and connections to them."""

import asyncio
import ssl
import threading
from contextlib import contextmanager

import uvicorn

from onhand.connectors import Connection
from onhand.connectors._sdk.memory import MemoryLimiter, MemoryTokens
from onhand.wire import Caller, Guard

TLS = ssl.create_default_context()


@contextmanager
def serving(app):
    """Serve an application until the block ends; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    started = threading.Event()
    startup = server.startup

    async def start(sockets=None):
        await startup(sockets=sockets)
        started.set()

    server.startup = start
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(20)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def talk(work, *, settings, credentials, limiter=None, tokens=None):
    """The result of `work(connection)`, a coroutine function, on a real wire."""

    async def go():
        async with Caller(Guard(allow_private=True), TLS) as caller:
            connection = Connection(
                settings=settings,
                credentials=credentials,
                sender=caller,
                limiter=limiter or MemoryLimiter(),
                tokens=tokens or MemoryTokens(),
            )
            return await work(connection)

    return asyncio.run(go())
