"""Fakes as servers on loopback and connections to them; a wire that answers by itself."""

import asyncio
import json
import os
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn

from onhand.connectors import Connection
from onhand.connectors._sdk.memory import MemoryLimiter, MemoryTokens
from onhand.wire import Answer, Caller, Guard

TLS = ssl.create_default_context()
CONTRACTS = Path(os.environ.get("ONHAND_CONTRACTS", "../shared/contracts"))
needs_contracts = pytest.mark.skipif(
    not CONTRACTS.is_dir(),
    reason=f"NOT CHECKED AGAINST THE VENDORS: no {CONTRACTS}; set ONHAND_CONTRACTS to the folder of contracts",
)


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


@dataclass
class Wire:
    """Answers in turn; a function is asked with the request."""

    answers: list
    sent: list = field(default_factory=list)

    async def send(self, request):
        self.sent.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def said(body=None, status=200, **headers):
    return Answer(
        status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=json.dumps(body).encode()
    )


@dataclass
class Turns:
    """A limiter that lets everybody pass and remembers."""

    taken: list = field(default_factory=list)
    paused: list = field(default_factory=list)
    pauses: list = field(default_factory=list)  # with the bucket that they are of

    async def turn(self, bucket, *, rate_per_s, burst, weight=1.0):
        self.taken.append((bucket, rate_per_s, burst))

    async def pause(self, seconds, *, bucket=None):
        self.paused.append(seconds)
        self.pauses.append((bucket, seconds))


def connect(wire, turns=None, tokens=None, **settings):
    return Connection(
        settings={"url": "https://shop.example", **settings},
        credentials={"id": "me", "secret": "s3cret", "access_token": "T"},
        sender=wire,
        limiter=turns or Turns(),
        tokens=tokens or MemoryTokens(),
    )


def run(work):
    return asyncio.run(work)
