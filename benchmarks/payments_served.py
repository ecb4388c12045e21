"""Orders that are paid through the real database, by workers that are killed, over a wire that fails: to the cent?

    python benchmarks/payments_served.py [--orders 2000] [--workers 2] [--kills 20] [--faults 0.08] [--seed 1] [--json]

Makes an embedded server in a temporary folder with durable commits, a merchant with three accounts (captured once,
captured in parts, paid at once) at a fake provider in a process of its own, and workers in others, each of which
follows orders, looks at payments and asks the provider, as `onhand serve` does. Orders are shipped in parts, cancelled,
returned; banks decline at first, for a while, or for ever; holds lapse; money is given back by hand at the provider,
and disputed. Answers are lost, refused, cut off, late, given twice; the provider's messages come shuffled and repeated;
workers are killed with SIGKILL at any moment and begun anew. Days pass by a clock that all processes share.

Exits with 1 unless in the end, for every order, captures - refunds = shipped - returned less what was lost or given
away, our books are the provider's, authorisation by authorisation, every day balances, and no invariant is broken.
"""

import argparse
import asyncio
import json
import mmap
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct
from typing import Any

import httpx2
import msgspec
import uvicorn
from psycopg.sql import SQL, Identifier
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store as inbound
from onhand.channels.model import ChannelIn
from onhand.db import Database, migrate
from onhand.db.embedded import Server
from onhand.errors import DatabaseUnavailable, OnhandError
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.cancel_order import cancel_order
from onhand.flows.costs.follow import follow_costs
from onhand.flows.fulfil import ship
from onhand.flows.hear_channels import Ear
from onhand.flows.intake import prepare
from onhand.flows.payments.cashier import Cashier
from onhand.flows.payments.reconcile import reconcile
from onhand.flows.payments.tend import tend
from onhand.flows.place_orders import Desk
from onhand.flows.record_entries import record_entries
from onhand.flows.return_order import return_order
from onhand.flows.set_up import set_channel
from onhand.flows.state import State
from onhand.flows.take_orders import Follower
from onhand.ledger.intake import EntryIn
from onhand.orders.decide import Amount
from onhand.orders.intake import OrderIn
from onhand.payments import store
from onhand.payments.reconcile import goods
from onhand.twin.fakes.base import Fault, Faults
from onhand.twin.fakes.stripe import Account, StripeError

PLACES = {"berlin": (52.5, 13.4), "munich": (48.1, 11.6)}
CARRIER = {
    "services": [
        {
            "code": "standard",
            "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [10000], "prices_minor": [[400]]},
            "transit_days": {"p50": 2, "p95": 4},
        }
    ]
}  # fmt: skip
ITEMS = 20
ACCOUNTS = {
    "once": {"captures": "one"}, "parts": {"captures": "many"}, "at_once": {"captures": "one", "capture": "at_order"},
}  # fmt: skip
TOKENS = (("pm_ok", 85), ("pm_later_2", 7), ("pm_later_4", 3), ("pm_declined", 5))
# Hours from one round to the next: minutes, a night, the first tries of those that declined, until holds lapse.
ROUNDS = (0.5, 5.0, 26.0, 30.0, 80.0, 180.0)
_SECONDS = Struct("d")


class Clock:
    """A clock of several processes: the real one and what a file holds."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), _SECONDS.size)

    @classmethod
    def made(cls, path: Path) -> "Clock":
        path.write_bytes(_SECONDS.pack(0.0))
        return cls(path)

    def __call__(self) -> datetime:
        (ahead,) = _SECONDS.unpack_from(self._memory)
        return datetime.now(UTC) + timedelta(seconds=ahead)

    def pass_by(self, span: timedelta) -> None:
        (ahead,) = _SECONDS.unpack_from(self._memory)
        _SECONDS.pack_into(self._memory, 0, ahead + span.total_seconds())


# The provider ---------------------------------------------------------------------------------------------------------


class Weather(Faults):
    """A share of what is asked for goes wrong, and some of it comes twice."""

    def __init__(self, account: Account, share: float, seed: int, routes: list[Route]) -> None:
        inner = account.app()
        super().__init__(inner._app, routes=routes)
        self._rng, self._share = random.Random(seed), share
        self.counts: Counter[str] = Counter()

    def _next(self, path: str) -> Fault | None:  # noqa: ARG002 - whatever is asked for
        if self._rng.random() >= self._share:
            return None
        kind, fault = self._rng.choice(
            (
                ("lost", Fault(status=500, after=True)), ("cut", Fault(status=0, after=True)),
                ("gateway", Fault(status=504, after=True)), ("late", Fault(status=200, after=True, delay_s=3.0)),
                ("refused", Fault(status=503)), ("busy", Fault(status=429, headers={"retry-after": "0"})),
                ("conflict", Fault(status=409, body={"error": {"code": "lock_timeout", "message": "in use"}})),
            )
        )  # fmt: skip
        self.counts[kind] += 1
        return fault


def serve_provider(port: int, clock: Clock, share: float, seed: int) -> None:
    """Until it is killed."""
    account = Account(now=clock, lives=timedelta(days=7))
    account.fee_rate = 0.014

    async def told(request: Request) -> JSONResponse:
        first = int(request.query_params["after"])
        return JSONResponse(account.events[first:])

    async def by_hand(request: Request) -> JSONResponse:
        """Somebody gives money back there, or a bank takes it."""
        asked = await request.json()
        # Of what was never captured there is nothing to give back or to dispute.
        with suppress(StripeError, LookupError, TypeError):
            if asked["what"] == "refund":
                intent = account.intents[asked["id"]]
                left = intent["amount_received"] - intent["latest_charge"]["amount_refunded"]
                account.refund({"payment_intent": asked["id"], "amount": str(min(left, asked["amount"]))})
            elif asked["what"] == "dispute":
                account.dispute(asked["id"])
            else:
                account.end_dispute(asked["id"], won=asked["won"])
        return JSONResponse({})

    async def books(_: Request) -> JSONResponse:
        sums: dict[str, Counter[str]] = {}
        for row in account.ledger:
            sums.setdefault(row.intent, Counter())[row.kind] += row.amount
        return JSONResponse(
            {"totals": account.totals(), "intents": sums, "repeats": account.repeats, "faults": weather.counts}
        )

    routes = [
        Route("/_fake/told", told), Route("/_fake/by_hand", by_hand, methods=["POST"]), Route("/_fake/books", books)
    ]  # fmt: skip
    weather = Weather(account, share, seed, routes)
    uvicorn.run(weather, host="127.0.0.1", port=port, log_level="critical", access_log=False, lifespan="off")


# A worker -------------------------------------------------------------------------------------------------------------


def work(url: str, home: Path, clock: Clock) -> None:
    """What `onhand serve` does for payments, until it is killed."""
    with Database.open(url) as db:
        state = State(db, now=clock)
        state.load()
        stop = threading.Event()

        def tend_them() -> None:
            while not stop.is_set():
                with suppress(DatabaseUnavailable):
                    if tend(state):
                        continue
                stop.wait(0.05)

        async def pay() -> None:
            async with Accounts(db, Connectors(home), allow_private_urls=True) as accounts:
                print("ready", flush=True)
                while True:
                    done = await asyncio.gather(*(one_account(accounts, code) for code in ACCOUNTS))
                    if not sum(done):
                        await asyncio.sleep(0.05)

        async def one_account(accounts: Accounts, code: str) -> int:
            return await Cashier(state).work(await accounts.get(code))

        thread = threading.Thread(target=tend_them, daemon=True)
        thread.start()
        try:
            asyncio.run(pay())
        finally:
            stop.set()


class Worker:
    """A process that works, and is killed and begun anew."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process = self._begin()

    def _begin(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)

    def wait_ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "a worker ended"

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def begin_anew(self) -> None:
        self.kill()
        self._process = self._begin()


# The world ------------------------------------------------------------------------------------------------------------


class Shop:
    """A merchant, his orders, and what is done with them."""

    def __init__(self, db: Database, clock: Clock, home: Path, url: str, rng: random.Random) -> None:
        self.db, self.clock, self.rng, self.url = db, clock, rng, url
        with db.connection() as conn:
            conn.execute(
                "INSERT INTO item (item_id, sku, name, weight_g, unit_cost_minor, currency)"
                " SELECT n, 'I' || n, 'x', 300, 100 + n, 'EUR' FROM generate_series(1, %s) n",
                (ITEMS,),
            )
            for n, (code, (latitude, longitude)) in enumerate(PLACES.items(), 1):
                conn.execute(
                    "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
                    " handling_cost_minor) VALUES (%s, %s, 'x', 'warehouse', 'DE', %s, %s, 'Europe/Berlin', 100)",
                    (n, code, latitude, longitude),
                )
            conn.execute("INSERT INTO carrier VALUES (1, 'dhl', 'DHL', %s)", (json.dumps(CARRIER),))
            conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'web', 'EUR')")
        self.connectors = Connectors(home)
        quick = {"limits": {"rate_per_s": 5_000, "burst": 5_000, "at_once": 16, "timeout_s": 2}}
        for code, settings in ACCOUNTS.items():
            document = {
                "currency": "EUR", "connector": "stripe",
                "credentials": {"api_key": "sk_test_fake", "webhook_secret": "whsec_fake"},
                "settings": {"url": url, "overrides": quick, **settings},
            }  # fmt: skip
            set_channel(db, code, ChannelIn.model_validate(document), by=SYSTEM, connectors=self.connectors)
        self.state = State(db, now=clock)
        self.state.load()
        rows = [
            EntryIn(kind="receipt", sku=f"I{n}", node=node, quantity=1_000_000)
            for n in range(1, ITEMS + 1)
            for node in PLACES
        ]
        recorded = record_entries(db, self.state.catalogue, self.state.network.node_ids, rows, SYSTEM, now=clock())
        self.state.take([i for i, _ in recorded.positions], [n for _, n in recorded.positions])
        self.follower = Follower(self.state)
        self.ear = Ear(db, self.follower, now=clock)
        self._heard = 0
        self.counts: Counter[str] = Counter()

    def close(self) -> None:
        self.follower.close()

    def place(self, count: int) -> list[str]:
        """Orders of one to three lines; their ids."""
        rng, desk, found = self.rng, Desk(self.state), list[str]()
        latitude, longitude = PLACES["berlin"]
        kinds, weights = [kind for kind, _ in TOKENS], [weight for _, weight in TOKENS]
        for first in range(0, count, 500):
            intakes: list[Any] = []
            for n in range(first, min(first + 500, count)):
                token = rng.choices(kinds, weights)[0] + f"_{n}"
                body: dict[str, Any] = {
                    "channel": "web", "external_id": str(n), "currency": "EUR",
                    "destination": {
                        "country": "DE", "postal_code": "10115", "latitude": latitude, "longitude": longitude
                    },
                    "lines": [
                        {
                            "line_id": str(k), "sku": f"I{1 + (n * 7 + k * 13) % ITEMS}",
                            "quantity": rng.randrange(1, 5), "price_minor": rng.randrange(99, 20_000),
                            "tax_minor": rng.randrange(0, 9_999),
                        }
                        for k in range(rng.choice((1, 1, 2, 3)))
                    ],
                    "payment": {
                        "provider": rng.choice(tuple(ACCOUNTS)), "token": token, "customer": f"cus_{n}",
                    },
                }  # fmt: skip
                if rng.random() < 0.5:
                    body["hold"] = "payment"
                intakes.append(prepare(self.state, msgspec.convert(body, OrderIn), actor=0, key=None, now=self.clock()))
            for placed in desk.place(intakes):
                if isinstance(placed, Exception):
                    raise placed
                found.append(json.loads(placed.answer)["order_id"])
        desk.close()
        return found

    def something(self, order_id: str, lines: list[tuple[str, int]]) -> None:
        """One of the things that happen to orders; what is not possible (any more) does not happen."""
        rng = self.rng
        line, units = rng.choice(lines)
        some = [Amount(line_id=line, quantity=rng.randrange(1, units + 1))]
        chance = rng.random()
        if chance < 0.35:
            self._try("shipped", lambda: ship(self.state, f"{order_id}-f1", by=SYSTEM))
        elif chance < 0.6:
            self._try("shipped in parts", lambda: ship(self.state, f"{order_id}-f1", lines=some, by=SYSTEM))
        elif chance < 0.72:
            self._try("cancelled", lambda: cancel_order(self.state, order_id, some, by=SYSTEM))
        elif chance < 0.9:
            self._try(
                "returned", lambda: return_order(self.state, order_id, "berlin", some, "restock", by=SYSTEM)
            )  # fmt: skip

    def finish(self, order_id: str) -> None:
        """What is left of it leaves or is given up."""
        if self.rng.random() < 0.7:
            self._try("shipped", lambda: ship(self.state, f"{order_id}-f1", by=SYSTEM))
        self._try("cancelled", lambda: cancel_order(self.state, order_id, by=SYSTEM))

    def _try(self, what: str, do: Callable[[], object]) -> None:
        with suppress(OnhandError):
            do()
            self.counts[what] += 1

    def by_hand(self, share: float) -> None:
        """Things happen to some payments at the provider itself."""
        with self.db.connection() as conn:
            rows = conn.execute(
                "SELECT a.provider_id, a.charged_back > 0 FROM payment_authorisation a JOIN payment p USING (order_id)"
                " WHERE a.captured > a.refunded ORDER BY a.provider_id"
            ).fetchall()
        for theirs, is_disputed in rows:
            chance = self.rng.random()
            if chance >= share:
                continue
            asked: dict[str, Any] = {"id": theirs}
            if is_disputed:
                asked |= {"what": "end", "won": self.rng.random() < 0.5}
            elif chance < share * 0.7:
                asked |= {"what": "refund", "amount": self.rng.randrange(1, 2_000)}
            else:
                asked |= {"what": "dispute"}
            httpx2.post(f"{self.url}/_fake/by_hand", content=json.dumps(asked)).raise_for_status()
            self.counts[f"by hand: {asked['what']}"] += 1

    def hear(self) -> None:
        """The provider's messages since the last time: shuffled, some twice, one in fifty never."""
        events = httpx2.get(f"{self.url}/_fake/told?after={self._heard}", timeout=60).json()
        self._heard += len(events)
        events = [e for e in events if self.rng.random() >= 0.02 or e["type"] != "payment_intent.succeeded"]
        events += self.rng.sample(events, len(events) // 3)
        self.rng.shuffle(events)
        signer = Account()

        async def go() -> None:
            async with Accounts(self.db, self.connectors, allow_private_urls=True) as accounts:
                account = await accounts.get("once")
                for code in ACCOUNTS:
                    account = await accounts.get(code)
                    with self.db.connection() as conn, conn.transaction():
                        for event in events:
                            headers, body = signer.deliver(event, at=self.clock())
                            said = account.connector.receive(
                                headers, body, url="", credentials=account.connection.credentials, now=self.clock()
                            )
                            inbound.add_message(
                                conn, account.channel_id, dedupe=said.dedupe, topic=said.topic, body=body
                            )
                    while await self.ear.messages(account):
                        pass

        asyncio.run(go())
        self.counts["messages"] += len(events)

    def due(self) -> int:
        """Payments of which something is due by now."""
        with self.db.connection() as conn:
            row = conn.execute(
                "SELECT (SELECT count(*) FROM payment_operation WHERE state IN ('due', 'sent', 'unknown'))"
                " + (SELECT count(*) FROM payment WHERE look_at <= %s)",
                (self.clock(),),
            ).fetchone()
        assert row is not None
        return row[0]

    def settle(self, seconds_max: float = 600.0) -> None:
        """Wait until nothing is due; what waits for its time, or for a lease of one who was killed, is given it."""
        give_up_at, before, still = time.monotonic() + seconds_max, -1, 0
        while (now := self.due()) and time.monotonic() < give_up_at:
            still = still + 1 if now == before else 0
            before = now
            if still >= 4:
                self.clock.pass_by(timedelta(minutes=3))
                still = 0
            time.sleep(0.25)
        assert not self.due(), f"{self.due()} payments are never done"


@contextmanager
def embedded() -> Generator[tuple[str, Path]]:
    home = Path(tempfile.mkdtemp(prefix="onhand-payments-"))
    home.chmod(0o755)
    try:
        server = Server.ensure(home / "db")
        try:
            migrate(server.url)
            yield server.url, home
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def live(shop: Shop, orders: int) -> None:
    """Some weeks of them."""
    ids = shop.place(orders)
    with shop.db.connection() as conn:
        lines: dict[str, list[tuple[str, int]]] = {}
        for order_id, line_id, units in conn.execute("SELECT order_id::text, line_id, quantity FROM order_line"):
            lines.setdefault(order_id, []).append((line_id, units))
    for hours in ROUNDS:
        for order_id in ids:
            shop.something(order_id, lines[order_id])
        shop.settle()
        shop.by_hand(0.02)
        shop.hear()
        shop.clock.pass_by(timedelta(hours=hours))
        shop.settle()
    for order_id in ids:
        shop.finish(order_id)
    for _ in range(18):
        shop.settle()
        shop.hear()
        shop.clock.pass_by(timedelta(hours=30))
    shop.settle()


# In the end -----------------------------------------------------------------------------------------------------------


def judge(shop: Shop) -> dict[str, Any]:
    """What everybody's books say; `wrong` names what does not agree."""
    db, wrong = shop.db, list[str]()
    books = httpx2.get(f"{shop.url}/_fake/books", timeout=120).json()
    follow_costs(db)
    until = shop.clock() + timedelta(days=1)
    shipped = returned = 0
    with db.connection() as conn:
        sums = dict(
            conn.execute(
                "SELECT 'captured', coalesce(sum(captured), 0)::bigint FROM payment"
                " UNION ALL SELECT 'refunded', coalesce(sum(refunded), 0)::bigint FROM payment"
                " UNION ALL SELECT 'lost', coalesce(sum(lost), 0)::bigint FROM payment"
                " UNION ALL SELECT 'given_away', coalesce(sum(elsewhere), 0)::bigint FROM payment"
            ).fetchall()
        )
        ids = [order_id for (order_id,) in conn.execute("SELECT order_id::text FROM payment ORDER BY 1")]
        for first in range(0, len(ids), 1_000):
            some = ids[first : first + 1_000]
            sold = store.load_sold(conn, some)
            for payment in store.load(conn, some):
                out, back = goods(sold[payment.order_id], payment.terms, until)
                shipped, returned = shipped + out, returned + back
                owed = out - back - payment.kept - payment.lost - payment.elsewhere
                if owed:
                    wrong.append(f"order {payment.order_id} ({payment.status}): {owed}")
        ours = {
            theirs: (captured, refunded)
            for theirs, captured, refunded in conn.execute(
                "SELECT provider_id, captured, refunded FROM payment_authorisation"
            )
        }
        for theirs, entry in books["intents"].items():
            if ours.get(theirs, (0, 0)) != (entry.get("capture", 0), entry.get("refund", 0)):
                wrong.append(f"payment {theirs}: {ours.get(theirs)} here, {entry} there")
        views = conn.execute("SELECT viewname FROM pg_views WHERE viewname LIKE 'invariant%' ORDER BY 1").fetchall()
        for (name,) in views:
            query = SQL("SELECT count(*) FROM {}").format(Identifier(name))
            (broken,) = conn.execute(query).fetchone() or (0,)
            if broken:
                wrong.append(f"{name}: {broken}")
        costs = dict(
            conn.execute(
                "SELECT coalesce(cause, term), sum(minor)::bigint FROM cost_entry WHERE source = 'payment' GROUP BY 1"
            ).fetchall()
        )
        operations = dict(
            conn.execute(
                "SELECT kind || ' ' || state, count(*) FROM payment_operation GROUP BY 1 ORDER BY 1"
            ).fetchall()
        )
        statuses = dict(conn.execute("SELECT status, count(*) FROM payment GROUP BY 1 ORDER BY 1").fetchall())
    day = shop.clock().date()
    for ago in range(45):
        if not reconcile(db, day - timedelta(days=ago))["balanced"]:
            wrong.append(f"day {day - timedelta(days=ago)} does not balance")
    totals = books["totals"]
    if (totals["capture"], totals["refund"]) != (sums["captured"], sums["refunded"]):
        wrong.append(f"sums: {sums} here, {totals} there")
    if totals["authorise"] != totals["capture"] + totals["release"]:
        wrong.append(f"money is held for nothing: {totals}")
    return {
        "orders": len(ids), "shipped": shipped, "returned": returned, **sums, "provider": totals,
        "captures_less_refunds": sums["captured"] - sums["refunded"],
        "shipped_less_returned_lost_and_given_away": shipped - returned - sums["lost"] - sums["given_away"],
        "repeats": books["repeats"], "faults": books["faults"], "happened": dict(shop.counts), "costs": costs,
        "operations": operations, "statuses": statuses, "wrong": wrong[:20], "wrong_count": len(wrong),
        "to_the_cent": not wrong,
    }  # fmt: skip


def measure(orders: int, *, workers: int, kills: int, faults: float, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    began = time.perf_counter()
    with embedded() as (url, home), ExitStack() as stack:
        path = home / "clock"
        clock = Clock.made(path)
        port = _free_port()
        me = [sys.executable, str(Path(__file__).resolve())]
        provider = subprocess.Popen(
            [*me, "--provider", str(port), "--clock", str(path), "--faults", str(faults), "--seed", str(seed)]
        )
        stack.callback(provider.wait)
        stack.callback(provider.kill)
        _wait_for(f"http://127.0.0.1:{port}/_fake/told?after=0")
        db = stack.enter_context(Database.open(url))
        shop = Shop(db, clock, home, f"http://127.0.0.1:{port}", rng)
        stack.callback(shop.close)
        command = [*me, "--worker", url, "--clock", str(path), "--home", str(home)]
        crew = [Worker(command) for _ in range(workers)]
        for one in crew:
            stack.callback(one.kill)
            one.wait_ready()
        over = threading.Event()
        killed = 0

        def kill() -> None:
            nonlocal killed
            hands = random.Random(seed + 1)
            while killed < kills and not over.wait(hands.uniform(0.5, 4.0)):
                one = hands.choice(crew)
                one.begin_anew()
                killed += 1
                one.wait_ready()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            live(shop, orders)
        finally:
            over.set()
            killer.join()
        seconds = time.perf_counter() - began
        found = judge(shop)
    asked = sum(n for kind, n in found["operations"].items() if not kind.startswith(("hold", "release", "cancel")))
    return found | {"killed": killed, "seconds": round(seconds), "operations_per_s": round(asked / seconds, 1)}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait_for(url: str) -> None:
    for _ in range(600):
        with suppress(httpx2.HTTPError):
            httpx2.get(url)
            return
        time.sleep(0.1)
    raise TimeoutError(url)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20, help="of workers, by SIGKILL")
    parser.add_argument("--faults", type=float, default=0.08, help="share of requests that go wrong")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    for hidden in ("--provider", "--worker", "--clock", "--home"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.provider:
        serve_provider(int(given.provider), Clock(Path(given.clock)), given.faults, given.seed)
        return 0
    if given.worker:
        work(given.worker, Path(given.home), Clock(Path(given.clock)))
        return 0
    found = measure(
        given.orders, workers=given.workers, kills=given.kills, faults=given.faults, seed=given.seed
    )  # fmt: skip
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<42} {value:,}" if type(value) is int else f"{name:<42} {value}")
    return 0 if found["to_the_cent"] else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
