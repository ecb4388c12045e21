"""Publication: how fast all listings of a channel are told a new number, and how soon a sale leaves for the others.

The channels are stalls (twin/fakes/stall.py) in a process of their own on this machine. Sales are ledger entries of one
unit each, recorded at a steady rate: what placing the order itself takes is measured by `promise`.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from onhand.base.actor import SYSTEM
from onhand.bench.errors import BenchError
from onhand.bench.report import Measure, at_least, at_most
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

GROUPS = ("fanout", "sales")
_FANOUT_FLOOR, _COLD_S = 5_000, 2.0
_P50_MS, _P99_MS = 100.0, 1_000.0
_WAIT_S = 120.0
_UNITS = 50
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
    if "sales" in options.only:
        with _world(1_000, options.channels) as world:
            say(f"{options.channels} channels, {options.rate_per_s:g} sales a second")
            measures += _sales(world, options)
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
    with tempfile.TemporaryDirectory(prefix="onhand-bench-") as folder, ExitStack() as stack:
        home = Path(folder)
        home.chmod(0o755)  # a server started by root is another user
        (home / FOLDER / "stall").mkdir(parents=True)
        (home / FOLDER / "stall" / "connector.yaml").write_text(DOCUMENT, "utf-8")
        server = Server.ensure(home / "db")
        stack.callback(server.stop)
        migrate(server.url)
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


def _sales(world: _World, options: Options) -> list[Measure]:
    with world.publishing() as publisher:
        _until(lambda: _settled(publisher, options.channels, 1_000), "all listings to be told")
        # What the first numbers took is no lag of a sale.
        for live in publisher.live.values():
            live.wait, live.lag = type(live.wait)(), type(live.lag)()
        began = time.perf_counter()
        for number in range(int(options.rate_per_s * options.seconds)):
            due_s = number / options.rate_per_s - (time.perf_counter() - began)
            if due_s > 0:
                time.sleep(due_s)
            sku = f"SKU-{number * 7919 % 1_000 + 1}"
            sale = EntryIn(kind="adjustment", sku=sku, node="N", quantity=-1, reason="sale")
            record_entries(world.db, world.state.catalogue, world.state.network.node_ids, [sale], SYSTEM)
        rate = options.rate_per_s * options.seconds / (time.perf_counter() - began)
        _until(lambda: _settled(publisher, options.channels, 1_000), "the last sales to be told")
        lives = list(publisher.live.values())
        p50_ms = 1e3 * max(live.wait.quantile_s(0.5) for live in lives)
        p99_ms = 1e3 * max(live.wait.quantile_s(0.99) for live in lives)
    return [
        at_least("sales recorded", rate, "/s", 0.95 * options.rate_per_s),
        at_most("sale until its write leaves, worst channel, p50", p50_ms, "ms", _P50_MS),
        at_most("sale until its write leaves, worst channel, p99", p99_ms, "ms", _P99_MS),
    ]
