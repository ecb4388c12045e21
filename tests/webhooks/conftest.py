"""A receiver that can be told to misbehave, and a running delivery loop."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from onhand.base.actor import SYSTEM
from onhand.db import Database, outbox
from onhand.db.outbox import Listener
from onhand.flows.webhooks import NewWebhook, add_webhook
from onhand.webhooks import Deliverer
from onhand.wire import Guard


@dataclass
class Receiver:
    """Records what is posted to it; `answer(path, body)` decides the status."""

    url: str = ""
    answer: Callable[[str, bytes], int] = lambda path, body: 204
    location: str = ""
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait(
        self, count: int, path: str | None = None, timeout_s: float = 30
    ) -> list[tuple[str, dict[str, str], bytes]]:
        """The posts (to `path`), once there are `count`."""

        def seen():
            return [p for p in self.posts if path is None or p[0] == path]

        with self.arrived:
            assert self.arrived.wait_for(lambda: len(seen()) >= count, timeout_s), f"{len(seen())} of {count} came"
            return seen()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            status = state.answer(self.path, body)
            with state.arrived:
                state.posts.append((self.path, dict(self.headers.items()), body))
                state.arrived.notify_all()
            self.send_response(status)
            if state.location:
                self.send_header("location", state.location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Hooks:
    """Endpoints and events on one database."""

    db: Database

    @contextmanager
    def delivering(self, **options) -> Iterator[Deliverer]:
        """A delivery loop, which may call this machine."""
        stop = threading.Event()
        listener = Listener(self.db)
        deliverer = Deliverer(self.db, listener, **({"allow_private_urls": True} | options))
        thread = threading.Thread(target=deliverer.run, args=(stop,))
        thread.start()
        try:
            yield deliverer
        finally:
            stop.set()
            listener.close()
            thread.join(30)
            assert not thread.is_alive()

    def register(self, url: str, kinds=("order.*",)) -> NewWebhook:
        return add_webhook(self.db, url=url, kinds=kinds, guard=Guard(allow_private=True), by=SYSTEM)

    def happen(self, *subjects: str, kind: str = "order.sourced") -> None:
        """Let events happen, in one transaction."""

        def work(conn):
            for subject in subjects:
                outbox.write_event(conn, kind, subject, {"status": "sourced"}, actor=SYSTEM, origin=1)

        self.db.transact(work)
        self.db.notify()

    def rows(self, query: str, *params: object) -> list[tuple]:
        with self.db.connection() as conn:
            cursor = conn.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def until(self, query: str, *wanted: tuple, timeout_s: float = 30) -> None:
        """Wait until `query` gives just these rows."""
        deadline = time.monotonic() + timeout_s
        while (got := self.rows(query)) != list(wanted):
            assert time.monotonic() < deadline, f"still {got}"
            threading.Event().wait(0.02)


@pytest.fixture
def hooks(db: Database) -> Hooks:
    return Hooks(db)


@pytest.fixture
def deliverer(hooks: Hooks) -> Iterator[Deliverer]:
    with hooks.delivering() as running:
        yield running
