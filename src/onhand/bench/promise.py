"""The suite `promise`: how fast stock is promised, and whether it is ever promised twice.

Each group measures one line of the table in `benchmarks/README.md`. A figure that is held against
the raw database takes turns with it (A B A B ...) on the same server, and medians are compared:
a shared machine drifts over minutes, not between neighbours.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from onhand.bench import sampler, under_test
from onhand.bench.errors import BenchError
from onhand.bench.load import Outcome
from onhand.bench.reference import Reference
from onhand.bench.report import (
    Measure,
    at_least,
    at_most,
    exactly,
    machine,
    median,
    relative,
)
from onhand.bench.under_test import serving
from onhand.bench.world import (
    ENTRIES_PER_CALL,
    World,
    fill_positions,
    promised_units,
    recorded_orders,
    top_up_ledger,
)
from onhand.db import migrate
from onhand.db.embedded import Server

CONNECTIONS = 64
# Bodies of a channel import: large enough to batch well, small enough to answer within a second.
BATCH_ORDERS, BATCH_CONNECTIONS = 250, 8
ENTRY_CONNECTIONS = 4
# Requests are made before the clock starts: more than the server can answer in that time.
ORDERS_PER_S_MAX, BATCHED_ORDERS_PER_S_MAX, ENTRIES_PER_S_MAX = 15_000, 90_000, 150_000
WARM_UP_S = 1.0

GROUPS = ("orders", "batch", "hot", "entries", "availability", "memory", "verify")
_LIVE = {"orders", "batch", "hot", "entries", "availability"}
_REFERRED = {"orders", "batch", "hot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much data the suite works on; the floors hold for the default."""

    items: int = 10_000
    nodes: int = 20
    pgbench_scale: int = 50
    large_items: int = 100_000
    large_nodes: int = 50
    ledger_entries: int = 1_000_000
    scarce_units: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`seconds` of each run, `rounds` of reference and measured run; `only` names groups."""

    seconds: float = 5.0
    rounds: int = 3
    only: Collection[str] = GROUPS
    profile: bool = False
    size: Size = field(default_factory=Size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where the CPU time of the single orders went: microseconds an order by process, and the
    API process's own places, dearest first."""

    cpu_us: dict[str, float]
    costs: list[sampler.Cost]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    machine: dict[str, Any]
    measures: list[Measure]
    profile: Profile | None


Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class _Run:
    """What the groups share."""

    options: Options
    say: Say
    url: str
    world: World
    reference: Reference | None
    postmaster: int
    windows: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    cpu_s: dict[str, float] = field(default_factory=dict[str, float])
    watched: int = 0

    def rounds(self, name: str) -> Iterator[int]:
        """1, 2 ... with a word on each: reference and measured run take turns within a round."""
        for number in range(1, self.options.rounds + 1):
            self.say(f"{name}: round {number} of {self.options.rounds}")
            yield number

    def raw(self) -> Reference:
        assert self.reference is not None, "groups that refer to it have it made"
        return self.reference

    def place(
        self,
        requests: list[bytes],
        orders_per_request: int,
        *,
        connections: int,
        seconds: float,
        rate_per_s: float | None = None,
    ) -> Outcome:
        """Send orders, and look up that every acknowledged one is there and was sourced."""
        before = recorded_orders(self.url)
        outcome = self.world.send(requests, seconds=seconds, connections=connections, rate_per_s=rate_per_s)
        after = recorded_orders(self.url)
        gained = {s: n - before.get(s, 0) for s, n in after.items() if n != before.get(s, 0)}
        if gained != {"sourced": outcome.ok * orders_per_request}:
            raise BenchError(f"acknowledged {outcome.ok} x {orders_per_request} orders, recorded {gained}")
        return outcome

    def watch(self, work: Callable[[], Outcome]) -> Outcome:
        """Do `work`, and note the CPU time it took of server and database."""
        pids = {"API": self.world.api.pid, "PostgreSQL": self.postmaster}
        before = {name: _cpu_s(pid) for name, pid in pids.items()}
        began = time.time()
        outcome = work()
        self.windows.append((began, time.time()))
        spent = {name: _cpu_s(pid) - before[name] for name, pid in pids.items()}
        spent["load generator"] = outcome.cpu_us * outcome.ok / 1e6
        for name, seconds in spent.items():
            self.cpu_s[name] = self.cpu_s.get(name, 0) + seconds
        self.watched += outcome.ok
        return outcome


def run(options: Options, say: Say, folder: Path | None = None) -> Result:
    """Measure the groups of `options`, from an empty database to `verify`.

    folder  where the databases are made (default: the temporary folder); removed afterwards

    Raises BenchError when a figure would not mean what it says, for example because an order that
    was acknowledged is not in the database.
    """
    unknown = set(options.only) - set(GROUPS)
    if unknown:
        raise BenchError(f"no measure {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    wanted = set(options.only)
    measures: list[Measure] = []
    profile: Profile | None = None
    with _home(folder) as home, Server.ensure(home) as server:
        facts = machine(server.url)
        if facts["postgres"]["synchronous_commit"] != "on" or facts["postgres"]["fsync"] != "on":
            raise BenchError("the database does not make commits durable; the ratios mean nothing")
        reference = None
        if wanted & _REFERRED:
            say("filling the reference database")
            reference = Reference.create(
                server.url,
                scale=options.size.pgbench_scale,
                items=options.size.items,
                nodes=options.size.nodes,
            )
        if wanted & _LIVE:
            live, profile = _live(options, say, server, home, reference)
            measures += live
        if "verify" in wanted:
            measures += _verify(options, say, server, home)
        if "memory" in wanted:
            measures += _memory(options, say, server, home)
    return Result(machine=facts, measures=measures, profile=profile)


def _live(
    options: Options, say: Say, server: Server, home: Path, reference: Reference | None
) -> tuple[list[Measure], Profile | None]:
    """The groups that need a running server with stock, then `verify` on what they left."""
    url = _fresh_database(server, "onhand_bench")
    samples = home / "samples.json" if options.profile else None
    measures: list[Measure] = []
    with serving(url, home, profile=samples) as api:
        say("setting up items and stock")
        world = World.build(api, options.size.items, options.size.nodes)
        world.stock_everything()
        _analyse(url)
        run = _Run(
            options=options,
            say=say,
            url=url,
            world=world,
            reference=reference,
            postmaster=_postmaster(server),
        )
        groups = {
            "orders": _orders,
            "batch": _batch,
            "hot": _hot,
            "entries": _entries,
            "availability": _availability,
        }
        for name, group in groups.items():
            if name in options.only:
                measures += group(run)
    measures.append(exactly("verify after the suite, failures", _run_verify(say, url, home)[0], "", 0))
    if samples is None or not run.watched:
        return measures, None
    return measures, Profile(
        cpu_us={name: s / run.watched * 1e6 for name, s in run.cpu_s.items()},
        costs=sampler.costs(samples, run.windows),
    )


def _orders(run: _Run) -> list[Measure]:
    """Single orders at full load and, paced, at half of it."""
    seconds = run.options.seconds
    tps: list[float] = []
    full: list[Outcome] = []

    def place(for_s: float, rate_per_s: float | None = None) -> Outcome:
        count = int(for_s * (rate_per_s or ORDERS_PER_S_MAX)) + 1
        requests = run.world.order_requests(count)
        return run.place(requests, 1, connections=CONNECTIONS, seconds=for_s, rate_per_s=rate_per_s)

    place(WARM_UP_S)
    for _ in run.rounds("orders"):
        tps.append(run.raw().simple_update_tps(seconds))
        full.append(run.watch(lambda: place(seconds)))
    rate = median([o.rate_per_s for o in full])
    half = [place(seconds, rate / 2) for _ in run.rounds("orders at half load")]
    return [
        relative("orders", rate, "orders/s", median(tps), floor=0.35, against="pgbench -N -c 32"),
        at_most("orders, p99 at full load", median([o.p99_ms for o in full]), "ms", 60),
        at_most("orders, p99 at half load", median([o.p99_ms for o in half]), "ms", 15),
        # For the reader: a dear load generator would be measured in place of the server.
        at_most("load generator, CPU a request", median([o.cpu_us for o in full]), "us", 25, floor=0),
    ]


def _batch(run: _Run) -> list[Measure]:
    seconds = run.options.seconds
    requests_max = int(seconds * BATCHED_ORDERS_PER_S_MAX / 3 / BATCH_ORDERS) + BATCH_CONNECTIONS

    def place(count: int, for_s: float) -> Outcome:
        requests = run.world.batch_requests(count, BATCH_ORDERS)
        return run.place(requests, BATCH_ORDERS, connections=BATCH_CONNECTIONS, seconds=for_s)

    exact: list[float] = []
    fast: list[float] = []
    placed: list[Outcome] = []
    place(BATCH_CONNECTIONS, WARM_UP_S)
    for _ in run.rounds("batch"):
        exact.append(run.raw().batched_lines_per_s("reserve_exact", seconds))
        placed.append(place(requests_max, seconds))
        fast.append(run.raw().batched_lines_per_s("reserve_fast", seconds))
    rate = median([o.rate_per_s * BATCH_ORDERS * 3 for o in placed])
    return [
        relative(
            "orders/batch",
            rate,
            "lines/s",
            median(exact),
            floor=0.35,
            against="SQL reserve, all or none",
        ),
        relative(
            "orders/batch, beside the optimistic statement",
            rate,
            "lines/s",
            median(fast),
            floor=0,
            against="SQL reserve, optimistic",
        ),
    ]


def _hot(run: _Run) -> list[Measure]:
    """Everybody wants one item; then more want it than there are units."""
    seconds, world = run.options.seconds, run.world
    for code in ("HOT-SINGLE", "HOT-BATCH"):
        world.add_hot_item(code, 1_000_000)

    def single(for_s: float) -> Outcome:
        requests = world.hot_requests("HOT-SINGLE", int(for_s * ORDERS_PER_S_MAX))
        return run.place(requests, 1, connections=CONNECTIONS, seconds=for_s)

    def batch(for_s: float) -> Outcome:
        count = int(for_s * BATCHED_ORDERS_PER_S_MAX / BATCH_ORDERS)
        # Never more than a third of the stock in a round, so that the last is not refused.
        count = min(count, 1_000_000 // BATCH_ORDERS // (run.options.rounds + 1))
        requests = world.hot_batch_requests("HOT-BATCH", count, BATCH_ORDERS)
        return run.place(requests, BATCH_ORDERS, connections=BATCH_CONNECTIONS, seconds=for_s)

    row: list[float] = []
    singles: list[Outcome] = []
    batches: list[Outcome] = []
    single(WARM_UP_S)
    for _ in run.rounds("hot item"):
        row.append(run.raw().hot_row_tps(seconds))
        singles.append(single(seconds))
        batches.append(batch(seconds))
    against = "pgbench, one row, 32 clients"
    return [
        relative(
            "hot item",
            median([o.rate_per_s for o in singles]),
            "orders/s",
            median(row),
            floor=2,
            against=against,
        ),
        relative(
            "hot item, batch route",
            median([o.rate_per_s * BATCH_ORDERS for o in batches]),
            "orders/s",
            median(row),
            floor=20,
            against=against,
        ),
        _sold_out(run),
    ]


def _sold_out(run: _Run) -> Measure:
    """Single and batch orders race for half as many units again as there are."""
    units, world = run.options.size.scarce_units, run.world
    world.add_hot_item("HOT-SCARCE", units)
    in_batches, a_batch = units // 2, 50
    requests = world.hot_requests("HOT-SCARCE", units)
    requests += world.hot_batch_requests("HOT-SCARCE", in_batches // a_batch, a_batch)
    world.draw.shuffle(requests)
    run.say("hot item: selling out")
    before = sum(recorded_orders(run.url).values())
    world.send(requests, seconds=120, connections=CONNECTIONS)
    recorded = sum(recorded_orders(run.url).values()) - before
    wanted = units + in_batches // a_batch * a_batch
    if recorded != wanted:
        raise BenchError(f"{wanted} orders were acknowledged and {recorded} are recorded")
    promised, allocated = promised_units(run.url, "HOT-SCARCE")
    if promised != allocated:
        raise BenchError(f"orders hold {promised} units, positions say {allocated}")
    return exactly("hot item, units sold of a scarce one", promised, "units", units)


def _entries(run: _Run) -> list[Measure]:
    seconds, world = run.options.seconds, run.world

    def enter(for_s: float) -> Outcome:
        requests = world.entry_requests(int(for_s * ENTRIES_PER_S_MAX / ENTRIES_PER_CALL) + 1)
        before = _entries_recorded(run.url)
        outcome = world.send(requests, seconds=for_s, connections=ENTRY_CONNECTIONS)
        recorded = _entries_recorded(run.url) - before
        if recorded != outcome.ok * ENTRIES_PER_CALL:
            raise BenchError(f"acknowledged {outcome.ok} x {ENTRIES_PER_CALL} entries, recorded {recorded}")
        return outcome

    enter(WARM_UP_S)
    entered = [enter(seconds) for _ in run.rounds("stock/entries")]
    rate = median([o.rate_per_s * ENTRIES_PER_CALL for o in entered])
    return [at_least("stock/entries, 1,000 a body", rate, "entries/s", 25_000)]


def _availability(run: _Run) -> list[Measure]:
    requests = run.world.availability_requests(5_000)

    def ask(for_s: float) -> Outcome:
        return run.world.send(requests, seconds=for_s, connections=CONNECTIONS, repeat=True)

    ask(WARM_UP_S)
    asked = [ask(run.options.seconds) for _ in run.rounds("availability")]
    return [
        at_least("availability", median([o.rate_per_s for o in asked]), "requests/s", 5_000),
        at_most("availability, p99", median([o.p99_ms for o in asked]), "ms", 25),
    ]


def _verify(options: Options, say: Say, server: Server, home: Path) -> list[Measure]:
    """`onhand db verify` on a million entries and the orders that wrote some of them."""
    size = options.size
    url = _fresh_database(server, "onhand_verified")
    say(f"verify: writing {size.ledger_entries:,} entries")
    with serving(url, home) as api:
        world = World.build(api, size.items, size.nodes)
        world.stock_everything()
        # An entry a line: a seventh of them comes from orders.
        bodies = size.ledger_entries // 7 // 3 // BATCH_ORDERS + 1
        world.send(world.batch_requests(bodies, BATCH_ORDERS), seconds=120, connections=BATCH_CONNECTIONS)
    top_up_ledger(url, size.ledger_entries)
    failures, took_s = _run_verify(say, url, home)
    if failures:
        raise BenchError("verify finds differences in what was only just written")
    return [at_most(f"verify, {size.ledger_entries:,} entries", took_s, "s", 10)]


def _run_verify(say: Say, url: str, home: Path) -> tuple[int, float]:
    """1 when it finds differences, else 0; and the seconds from start to end."""
    say("verify")
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [*under_test.program(), "db", "verify"],
        env=os.environ | {"ONHAND_DATABASE_URL": url, "ONHAND_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    took_s = time.perf_counter() - began
    if done.returncode not in (0, 1):
        raise BenchError(f"onhand db verify failed: {done.stderr.strip()[-1000:]}")
    if done.returncode:
        say(done.stdout.strip()[-2000:])
    return done.returncode, took_s


def _memory(options: Options, say: Say, server: Server, home: Path) -> list[Measure]:
    """A process that knows every position of a large merchant, before and after some work."""
    size = options.size
    url = _fresh_database(server, "onhand_large")
    say(f"memory: setting up {size.large_items:,} items at {size.large_nodes} nodes")
    with serving(url, home) as api:
        World.build(api, size.large_items, size.large_nodes)
    fill_positions(url)
    say("memory: starting on them")
    with serving(url, home) as api:
        world = World(api, size.large_items, size.large_nodes)
        idle_mb = under_test.rss_mb(api.pid)
        world.send(world.order_requests(5_000), seconds=options.seconds)
        world.send(world.availability_requests(5_000), seconds=options.seconds)
        busy_mb = under_test.rss_mb(api.pid)
    what = f"{size.large_items:,} items x {size.large_nodes} nodes"
    return [
        at_most(f"memory of one API process, {what}", max(idle_mb, busy_mb), "MB", 600),
        at_most(f"start to ready, {what}", api.ready_s, "s", 10),
    ]


@contextmanager
def _home(folder: Path | None) -> Generator[Path]:
    home = Path(tempfile.mkdtemp(prefix="onhand-bench-", dir=folder))
    home.chmod(0o755)  # started by root, the database runs as another user
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        yield home


def _fresh_database(server: Server, name: str) -> str:
    with psycopg.connect(server.url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(server.url, dbname=name)
    migrate(url)
    return url


def _analyse(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def _entries_recorded(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute("SELECT count(*) FROM ledger_entry").fetchone()
    assert row is not None, "count answers"
    return int(row[0])


def _postmaster(server: Server) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split("\n")[0])


def _cpu_s(pid: int) -> float:
    return under_test.cpu_s(pid) if sys.platform == "linux" else 0.0
