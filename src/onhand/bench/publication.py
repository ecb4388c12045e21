"""Publication: how fast all listings of a channel are told a new number, and how soon a sale leaves for the others.

The channels are stalls (twin/fakes/stall.py), each in a process of its own on this machine. Fan-out is measured on a
publisher in this process, sales on the real `onhand serve --worker-apart` with `onhand worker` beside it.
"""

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from onhand.base.actor import SYSTEM
from onhand.bench import gating
from onhand.bench.errors import BenchError
from onhand.bench.report import Measure, at_least, at_most
from onhand.bench.under_test import serving
from onhand.bench.world import UNITS_PER_POSITION, World, sku
from onhand.channels.model import ChannelIn
from onhand.db import Database, migrate
from onhand.db.embedded import Server
from onhand.db.outbox import Listener
from onhand.flows.accounts import FOLDER, Connectors
from onhand.flows.publish import Live, Publisher
from onhand.flows.record_entries import record_entries
from onhand.flows.set_up import set_channel
from onhand.flows.state import State
from onhand.ledger.intake import EntryIn
from onhand.twin.fakes.stall import DOCUMENT

GROUPS = ("fanout", "gates", "sales")
_FANOUT_FLOOR, _COLD_S = 5_000, 2.0
_P50_MS, _P99_MS = 100.0, 1_000.0
_WAIT_S = 120.0
_UNITS = 50
_SOLD_ITEMS, _SOLD_NODES = 1_000, 10
_POLL_S = 0.01
_STALL = (
    "import sys, uvicorn; from onhand.twin.fakes.stall import Stall;"
    " uvicorn.run(Stall().app(), port=int(sys.argv[1]), log_level='error', lifespan='off')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much: listings of a channel; channels, rate and length of the sales."""

    only: Collection[str] = GROUPS
    listings: int = 100_000
    channels: int = 5
    rate_per_s: float = 200.0
    seconds: float = 10.0


def run(options: Options, *, say: Callable[[str], None]) -> list[Measure]:
    """All measures of the groups named; on an idle machine, or they mean nothing."""
    measures: list[Measure] = []
    if "fanout" in options.only:
        with _world(options.listings, 1) as world:
            say(f"{options.listings:,} listings, one channel")
            measures += _fanout(world, options)
    if "gates" in options.only:
        say(f"computed gates of {options.listings:,} listings")
        measures += gating.run(options.listings)
    if "sales" in options.only:
        say(f"{options.channels} channels, {options.rate_per_s:g} orders a second")
        measures += _sales(options)
    return measures


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What is measured: a database, its connectors, the stalls."""

    db: Database
    state: State
    connectors: Connectors
    listener: Listener
    urls: list[str]

    def put(self, number: int, gate: int = 0) -> None:
        """Connect channel `number`, or give it another gate."""
        document = {
            "currency": "EUR", "connector": "stall", "settings": {"url": self.urls[number]}, "gate": {"units": gate},
        }  # fmt: skip
        channel = ChannelIn.model_validate(document)
        set_channel(self.db, f"c{number}", channel, by=SYSTEM, connectors=self.connectors)

    @contextmanager
    def publishing(self) -> Generator[Publisher]:
        stop = threading.Event()
        # Once an hour would be in the middle of it.
        publisher = Publisher(
            self.state, self.listener, self.connectors, allow_private_urls=True, reconcile_every_s=1e9
        )
        thread = threading.Thread(target=publisher.run, args=(stop,), name="onhand publication", daemon=True)
        thread.start()
        try:
            yield publisher
        finally:
            stop.set()
            thread.join()


@contextmanager
def _world(items: int, channels: int) -> Generator[_World]:
    """A database with items, 50 of each at one node, all listed on channels whose stalls run."""
    with _home() as (home, server), ExitStack() as stack:
        db = stack.enter_context(Database.open(server.url))
        urls = [stack.enter_context(_stall()) for _ in range(channels)]
        with db.connection() as conn:
            conn.execute(
                "INSERT INTO item (item_id, sku, name) SELECT n, 'SKU-' || n, 'item' FROM generate_series(1, %s) n",
                (items,),
            )
            conn.execute(
                "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone)"
                " VALUES (1, 'N', 'node', 'warehouse', 'DE', 50, 8, 'Europe/Berlin')"
            )
        state = State(db)
        state.load()
        for first in range(1, items + 1, 5_000):
            skus = range(first, min(items, first + 4_999) + 1)
            entries = [EntryIn(kind="receipt", sku=f"SKU-{n}", node="N", quantity=_UNITS) for n in skus]
            record_entries(db, state.catalogue, state.network.node_ids, entries, SYSTEM)
        world = _World(
            db=db,
            state=state,
            connectors=Connectors(home),
            listener=stack.enter_context(Listener(db)),
            urls=urls,
        )
        for number in range(channels):
            world.put(number)
        with db.connection() as conn:
            conn.execute(
                "INSERT INTO listing (channel_id, item_id, external_id)"
                " SELECT channel_id, item_id, 'x' || item_id FROM channel CROSS JOIN item"
            )
            conn.execute("ANALYZE")
        state.reload_network()
        with db.connect() as conn:
            state.snapshot.load(conn, items, 1, lock=state.lock)
        yield world


@contextmanager
def _home() -> Generator[tuple[Path, Server]]:
    """A folder with the stall's connector, and a migrated database of its own."""
    with tempfile.TemporaryDirectory(prefix="onhand-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # a server started by root is another user
        (home / FOLDER / "stall").mkdir(parents=True)
        (home / FOLDER / "stall" / "connector.yaml").write_text(DOCUMENT, "utf-8")
        server = Server.ensure(home / "db")
        try:
            migrate(server.url)
            yield home, server
        finally:
            server.stop()


@contextmanager
def _stall() -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", _STALL, str(port)])  # noqa: S603  our own
    try:
        _until(lambda: _listens(port), "the stall to listen")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(holds: Callable[[], bool], what: str) -> float:
    began = time.perf_counter()
    while not holds():
        if time.perf_counter() - began > _WAIT_S:
            raise BenchError(f"waited {_WAIT_S:.0f} s in vain for {what}")
        time.sleep(_POLL_S)
    return time.perf_counter() - began


def _settled(publisher: Publisher, channels: int, written: int) -> bool:
    lives: list[Live] = list(publisher.live.values())
    return len(lives) == channels and all(
        live.written >= written and live.book.depth(time.time()) == 0 for live in lives
    )


def _all_show(publisher: Publisher, units: int) -> bool:
    lives = list(publisher.live.values())
    return bool(lives) and all(bool((live.book.shown == units).all()) for live in lives)


def _fanout(world: _World, options: Options) -> list[Measure]:
    began = time.perf_counter()
    with world.publishing() as publisher:
        _until(lambda: any(live.requests for live in publisher.live.values()), "the first write")
        cold_s = time.perf_counter() - began
        _until(lambda: _settled(publisher, 1, options.listings), "all listings to be told")
        told_s = time.perf_counter() - began - cold_s
        first_rate = options.listings / told_s
        # One change of each: a gate of one unit. The channel is taken up anew, which is part of it.
        world.put(0, gate=1)
        changed_s = _until(lambda: _all_show(publisher, _UNITS - 1), "all listings to be told again")
    return [
        at_most(f"cold start, {options.listings:,} listings, until the first answer", cold_s, "s", _COLD_S),
        at_least("fan-out, first numbers, batch 250", first_rate, "listings/s", _FANOUT_FLOOR),
        at_least("fan-out, one change of each, batch 250", options.listings / changed_s, "listings/s", _FANOUT_FLOOR),
    ]


def _sales(options: Options) -> list[Measure]:
    """Orders to `onhand serve` at a steady rate, told of by `onhand worker`.

    Measured from each order's moment until a channel's stall has a number without its units: the short way
    there is in it.
    """
    with _home() as (home, server), ExitStack() as stack:
        urls = [stack.enter_context(_stall()) for _ in range(options.channels)]
        environ = {"ONHAND_ALLOW_PRIVATE_URLS": "true"}
        with serving(server.url, home, environ=environ) as api:
            World.build(api, _SOLD_ITEMS, _SOLD_NODES).stock_everything()
            for number, url in enumerate(urls):
                document = {"currency": "EUR", "connector": "stall", "settings": {"url": url}}
                api.call("PUT", f"/v1/channels/c{number}", document)
        with psycopg.connect(server.url) as conn:
            conn.execute(
                "INSERT INTO listing (channel_id, item_id, external_id)"
                " SELECT channel_id, item_id, sku FROM channel CROSS JOIN item WHERE connector = 'stall'"
            )
        # As for so many orders: in one process both would wait for one interpreter, the longer the slower the machine.
        api = stack.enter_context(serving(server.url, home, environ=environ, worker_apart=True))
        world = World(api, _SOLD_ITEMS, _SOLD_NODES)
        skus = [sku(number) for number in range(1, _SOLD_ITEMS + 1)]
        first = UNITS_PER_POSITION * _SOLD_NODES
        _until(lambda: all(_shows(url, skus, first) for url in urls), "all listings to be told")
        # Code is compiled, statements are planned.
        world.send(world.order_requests(int(options.rate_per_s)), seconds=60, rate_per_s=options.rate_per_s)
        began = time.time()
        count = int(options.rate_per_s * options.seconds)
        placed = world.send(
            world.order_requests(count), seconds=options.seconds + 1, rate_per_s=options.rate_per_s, connections=32
        )
        last = _last_numbers(server.url, first)
        _until(lambda: all(_shows(url, skus, last) for url in urls), "the last sales to be told")
        sales = _sales_of(server.url)
        lags = [_lags_s(sales, _get(f"{url}/_fake/writes"), first, began) for url in urls]
    p50_ms, p99_ms = (1e3 * max(float(np.quantile(of, share)) for of in lags) for share in (0.5, 0.99))
    return [
        at_least("orders placed, of 3 lines", placed.rate_per_s, "/s", 0.95 * options.rate_per_s),
        at_most("order until its write is at the channel, worst channel, p50", p50_ms, "ms", _P50_MS),
        at_most("order until its write is at the channel, worst channel, p99", p99_ms, "ms", _P99_MS),
    ]


def _sales_of(url: str) -> list[tuple[str, float]]:
    """(sku, moment) of every line, which is of one unit, by moments."""
    with psycopg.connect(url, autocommit=True) as conn:
        return conn.execute(
            "SELECT sku, extract(epoch FROM o.created_at)::float8 FROM orders o JOIN order_line USING (order_id)"
            " JOIN item USING (item_id) ORDER BY o.created_at"
        ).fetchall()


def _last_numbers(url: str, first: int) -> dict[str, int]:
    sold = Counter(code for code, _ in _sales_of(url))
    return {code: first - units for code, units in sold.items()}


def _lags_s(
    sales: Sequence[tuple[str, float]], writes: Sequence[tuple[str, int, float]], first: int, began: float
) -> list[float]:
    """Of sales since `began`: from the moment until a number came that leaves all units out that were sold by then."""
    told: dict[str, list[tuple[int, float]]] = {}
    for code, units, at in writes:
        told.setdefault(code, []).append((units, at))
    sold: Counter[str] = Counter()
    lags: list[float] = []
    for code, at in sales:
        sold[code] += 1
        if at >= began:
            heard = next(moment for units, moment in told[code] if units <= first - sold[code])
            lags.append(max(0.0, heard - at))
    return lags


def _shows(url: str, skus: Collection[str], units: int | Mapping[str, int]) -> bool:
    shown = _get(f"{url}/_fake/shown")
    wanted = units if isinstance(units, Mapping) else dict.fromkeys(skus, units)
    return len(shown) >= len(skus) and all(shown.get(code) == n for code, n in wanted.items())


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  our own stall
        return json.loads(answer.read())
