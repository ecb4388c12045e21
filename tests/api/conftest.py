"""A real server on a free port, in this process, on a database of one's own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn

from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.api.context import Edge
from onhand.api.events import EventHub
from onhand.app import App
from onhand.settings import Settings


@dataclass(frozen=True, slots=True)
class Server:
    """A running API: `client` calls it with the admin key."""

    base_url: str
    admin_key: str
    app: App
    edge: Edge
    client: httpx2.Client

    @property
    def hub(self) -> EventHub:
        return self.edge.events

    def as_key(self, key: str | None) -> httpx2.Client:
        """A client with another key, or with none. The caller closes it."""
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        return httpx2.Client(base_url=self.base_url, headers=headers, timeout=30)


@contextmanager
def _serving(asgi: Any, port: int = 0) -> Iterator[str]:
    """Run an ASGI application in a thread; its base URL."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(asgi, log_config=None, timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        ready = threading.Event()

        def run() -> None:
            server.run(sockets=[listener])

        original = server.startup

        async def startup(*args: Any, **options: Any) -> None:
            try:
                await original(*args, **options)
            finally:
                ready.set()

        server.startup = startup  # type: ignore[method-assign]
        thread = threading.Thread(target=run, name="test server")
        thread.start()
        try:
            assert ready.wait(20) and server.started, "the test server did not start"
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def serving() -> Any:
    """`with serving(asgi) as base_url`: run any ASGI application."""
    return _serving


@pytest.fixture
def app(dsn: str) -> Iterator[App]:
    """What the API runs on."""
    with App.open(Settings(database_url=dsn)) as running:
        yield running


@pytest.fixture
def server(app: App) -> Iterator[Server]:
    """The whole API on the test's database."""
    key = ensure_admin_key(app.db, None)
    assert key is not None
    api = create_api(app)
    with (
        _serving(api) as base_url,
        httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
    ):
        yield Server(base_url, key, app, api.edge, client)
