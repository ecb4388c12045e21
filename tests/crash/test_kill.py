"""kill -9 of the API and of PostgreSQL at random moments under load: nothing that was acknowledged is lost, nothing is
done twice, and everybody comes back by himself.

The client keeps a history: of every order it knows whether it was acknowledged, refused, or unknown (the connection
broke, or the server said 503). After each kill the unknown ones are sent again with the same id. At the end every
acknowledged answer is found again word for word, each order exists once, and `verify` is clean.

ONHAND_CRASHES sets the number of kills of each kind (default 13 and 12: 25 in all; `make bench` runs more).
Zero failures in n kills bound the chance of one at 3/n with 95 % confidence.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from onhand.db import Database, migrate
from onhand.db.embedded import Server
from onhand.ledger.verify import verify

KILLS = int(os.environ.get("ONHAND_CRASHES", "25"))
SEED = int(os.environ.get("ONHAND_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
KEY = "crash-test-key"
CLIENTS = 6
READY_S = 60.0

NODES = ("berlin", "munich", "hamburg")
ITEMS = 20
UNITS = 100_000


def free_port() -> int:
    with closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Api:
    """`onhand serve` as a process; started again after every kill."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log = (self.home / "serve.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import sys; from onhand.cli import run; sys.exit(run(sys.argv[1:]))",
             "serve", "--host", "127.0.0.1", "--port", str(self.port)],
            env=os.environ | {"ONHAND_HOME": str(self.home), "ONHAND_ADMIN_KEY": KEY, "ONHAND_LOG_LEVEL": "error"},
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        give_up_at = time.monotonic() + READY_S
        while time.monotonic() < give_up_at:
            assert self.process is not None and self.process.poll() is None, self.tail()
            with suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/readyz")[0] == 200:
                    return
            threading.Event().wait(0.02)
        pytest.fail(f"not ready after {READY_S} s: {self.tail()}")

    def call(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and text of one request on a connection of its own."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            return exchange(connection, method, path, body)

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def tail(self) -> str:
        return (self.home / "serve.log").read_text(errors="replace")[-2000:]


def exchange(connection: http.client.HTTPConnection, method: str, path: str, body: object) -> tuple[int, str]:
    connection.request(
        method,
        path,
        None if body is None else json.dumps(body),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


class Client(threading.Thread):
    """Places orders, one at a time, and writes its history. An order of unknown fate is sent again until answered."""

    def __init__(self, number: int, port: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.random = random.Random(SEED * 1000 + number)
        self.number, self.port, self.stop = number, port, stop
        self.acknowledged: dict[str, str] = {}
        self.bodies: dict[str, dict[str, object]] = {}
        self.unknown = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        count = 0
        while not self.stop.is_set():
            count += 1
            name = f"{self.number}-{count}"
            body = self.bodies[name] = self.order(name)
            while True:
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                    status, text = exchange(connection, "POST", "/v1/orders", body)
                except (OSError, http.client.HTTPException):
                    if connection is not None:
                        connection.close()
                    connection = None
                    status = 0
                if status == 201:
                    self.acknowledged[name] = text
                    break
                if status not in (0, 503):
                    self.wrong.append(f"{name}: {status} {text}")
                    return
                self.unknown += 1
                if self.stop.wait(0.02):
                    del self.bodies[name]
                    return

    def order(self, name: str) -> dict[str, object]:
        skus = self.random.sample(range(ITEMS), self.random.choice((1, 2, 3)))
        return {
            "channel": "web",
            "external_id": name,
            "currency": "EUR",
            "destination": {"country": "DE", "latitude": 52.5, "longitude": 13.4},
            "customer": {"email": f"{name}@example.org", "name": "Crash Test"},
            "lines": [
                {"line_id": str(n), "sku": f"I{sku}", "quantity": self.random.choice((1, 2)), "price_minor": 100}
                for n, sku in enumerate(skus)
            ],
        }


@contextmanager
def running(home: Path) -> Iterator[tuple[Api, Server]]:
    server = Server.ensure(home)
    api = Api(home)
    try:
        migrate(server.url)
        api.start()
        set_up(api)
        yield api, server
    finally:
        if api.process is not None and api.process.poll() is None:
            api.kill()
        server.stop()


def set_up(api: Api) -> None:
    for number, code in enumerate(NODES):
        node = {
            "name": code, "node_type": "warehouse", "country": "DE", "latitude": 52.5 - number, "longitude": 13.4,
            "timezone": "Europe/Berlin", "capacity": {"orders": 1_000_000},
        }  # fmt: skip
        assert api.call("PUT", f"/v1/nodes/{code}", node)[0] in (200, 201)
    rate = {"by": "distance_km", "distance_km": [None], "weights_g": [30000], "prices_minor": [[500]]}
    service = {"code": "standard", "rate_table": rate, "transit_days": {"p50": 1, "p95": 2}, "co2_g_per_tonne_km": 80}
    carrier = {"name": "DHL", "services": [service | {"currency": "EUR"}]}
    assert api.call("PUT", "/v1/carriers/dhl", carrier)[0] in (200, 201)
    assert api.call("PUT", "/v1/channels/web", {"name": "web", "connector": "api", "currency": "EUR"})[0] in (200, 201)
    items = [{"sku": f"I{n}", "name": "x", "weight_g": 500} for n in range(ITEMS)]
    status, text = api.call("POST", "/v1/items/batch", {"items": items})
    assert status == 200, text
    entries = [
        {"kind": "receipt", "sku": f"I{n}", "node": code, "quantity": UNITS} for n in range(ITEMS) for code in NODES
    ]
    status, text = api.call("POST", "/v1/stock/entries", {"entries": entries})
    assert status == 200, text
    assert {r["status"] for r in json.loads(text)["results"]} == {"applied"}


def postmaster(server: Server) -> int:
    with psycopg.connect(server.url) as conn:
        folder = conn.execute("SHOW data_directory").fetchone()
    assert folder is not None
    return int((Path(folder[0]) / "postmaster.pid").read_text().split()[0])


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def kill_database(server: Server) -> None:
    pid = postmaster(server)
    for victim in [pid, *children(pid)]:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_when_api_or_database_are_killed(home: Path) -> None:
    print(f"ONHAND_SEED={SEED}")  # shown when the test fails: the same seed kills at the same counts
    rng = random.Random(SEED)
    with running(home) as (api, server):
        stop = threading.Event()
        clients = [Client(n, api.port, stop) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        for kill in range(KILLS):
            # A random number of further answers, then the blow: under load, wherever that happens to be.
            target = answered(clients) + rng.randrange(5, 120)
            wait_for(lambda target=target: answered(clients) >= target or any(c.wrong for c in clients), api)
            assert [w for c in clients for w in c.wrong] == []
            if kill % 2:
                kill_database(server)
            else:
                api.kill()
                api.start()
        target = answered(clients) + 50
        wait_for(lambda: answered(clients) >= target, api)
        stop.set()
        for client in clients:
            client.join(60)
        assert [w for c in clients for w in c.wrong] == []
        acknowledged = {name: text for c in clients for name, text in c.acknowledged.items()}
        bodies = {name: body for c in clients for name, body in c.bodies.items()}
        assert sum(c.unknown for c in clients) > 0, "no kill hit a request: the test proves nothing"

        # Every acknowledged answer is found again, word for word.
        for name, text in acknowledged.items():
            status, again = api.call("POST", "/v1/orders", bodies[name])
            assert (status, again) == (201, text), name
        assert api.stop() == 0, api.tail()
        with closing(Database.open(server.url)) as db, db.connection() as conn:
            assert verify(conn) == []
            placed = conn.execute("SELECT count(*), count(DISTINCT external_id) FROM orders").fetchone()
            assert placed is not None and placed[0] == placed[1] >= len(acknowledged)
            units = conn.execute("SELECT sum(allocated) FROM stock_position").fetchone()
            ordered = conn.execute("SELECT sum(quantity) FROM order_line").fetchone()
            assert units == ordered


def answered(clients: list[Client]) -> int:
    return sum(len(c.acknowledged) for c in clients)


def wait_for(condition, api: Api) -> None:  # type: ignore[no-untyped-def]
    give_up_at = time.monotonic() + READY_S
    while not condition():
        assert time.monotonic() < give_up_at, f"the load stands still: {api.tail()}"
        threading.Event().wait(0.005)
