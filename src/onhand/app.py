"""Composition root: opens the database, reads the state, starts what works in the background."""

import asyncio
import gc
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import Generic, Self, TypeVar

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.batching import Gatherer, in_threads
from onhand.base.giving_way import give_way
from onhand.catalog.catalogue import Catalogue
from onhand.channels.gates.warm import is_gates_kept, warm_gates
from onhand.channels.inbound.store import purge as purge_messages
from onhand.db import Database, migrate
from onhand.db.embedded import Server, located
from onhand.db.idempotency import purge
from onhand.db.outbox import Listener
from onhand.errors import DatabaseUnavailable, OnhandError
from onhand.flows import lanes
from onhand.flows.accounts import Accounts, Connectors
from onhand.flows.arbitrate import arbitrate_oversells
from onhand.flows.autopilot.judge import judge_actions
from onhand.flows.autopilot.proposals import act_on_proposals
from onhand.flows.campaigns import job as campaigns
from onhand.flows.costs.follow import follow_costs
from onhand.flows.demand.feeds import read_feeds
from onhand.flows.demand.fold import fold
from onhand.flows.enquire import Enquirer, Enquiry
from onhand.flows.expire_reservations import expire_reservations
from onhand.flows.forecasts import job as forecasts
from onhand.flows.foresight import Foreseer
from onhand.flows.give_up import cancel_overdue
from onhand.flows.hear_channels import Ear, Listening
from onhand.flows.incidents.watch import Watch, forget_incidents
from onhand.flows.intake import Intake
from onhand.flows.payments.cashier import Cashier
from onhand.flows.payments.daily import reconcile_if_due
from onhand.flows.payments.tend import tend
from onhand.flows.place_orders import Desk, Placed
from onhand.flows.plans import job as plans
from onhand.flows.plans.forget import forget_plans
from onhand.flows.playbooks.messages import Smtp, send_messages
from onhand.flows.playbooks.offer import keep_waiting, offer_messages
from onhand.flows.playbooks.worker import work_on_playbooks
from onhand.flows.promise import Promised, Question, promise
from onhand.flows.publish import Publisher
from onhand.flows.receive import Doors
from onhand.flows.record_entries import Recorded, record_entries
from onhand.flows.reoptimise import reoptimise
from onhand.flows.repair_oversell import repair_oversold
from onhand.flows.reserve import Hold, Holder, Reserved
from onhand.flows.serve_waiting import serve_waiting
from onhand.flows.sheet import Sheet
from onhand.flows.ship_elsewhere import Elsewhere
from onhand.flows.simulation import job as simulation
from onhand.flows.source_again import source_orders, source_waiting
from onhand.flows.state import State
from onhand.flows.take_orders import Follower
from onhand.flows.tracking.carriers import read_messages
from onhand.flows.tracking.foretell import run_apart as foretell_apart
from onhand.flows.tracking.settle import Settler, purge_scans
from onhand.flows.transactor import Transactor
from onhand.flows.trials import watch_trials
from onhand.incidents.detect.warm import is_detectors_kept, warm_detectors
from onhand.jobs.schedules import ask_if_due
from onhand.jobs.worker import run_next
from onhand.ledger.intake import EntryIn
from onhand.ledger.model import Rejected
from onhand.ledger.snapshot import Snapshot
from onhand.network.compiled import Network
from onhand.payments.store import forget_names
from onhand.settings import Settings
from onhand.sourcing.warm import compile_quietly, is_together_kept
from onhand.webhooks import Deliverer

T = TypeVar("T")
log = structlog.get_logger(__name__)

# Large enough that what a batch costs beyond its orders, half a millisecond here and in the database, hardly counts; a
# line costs the database 15 to 20 us, so those behind wait some 20 ms.
_BATCH_LINES = 1_000
_QUEUE_MAX = 4_000
# Batches of orders under way, and those of them in the database: one works there while another one's commit is flushed;
# more would only take the processor from the server, which makes the next ones ready meanwhile.
_BATCHES, _BATCHES_WRITTEN = 4, 2
# Jobs that a worker does, each in a process of its own.
_WORKS = {
    simulation.KIND: simulation.WORK,
    lanes.KIND: lanes.WORK,
    campaigns.KIND: campaigns.WORK,
    plans.KIND: plans.WORK,
    forecasts.KIND: forecasts.WORK,
}
# What may be asked for every day.
_SCHEDULED = {
    lanes.KIND: lanes.ask_scheduled,
    plans.KIND: plans.ask_scheduled,
    forecasts.KIND: forecasts.ask_scheduled,
}
# How often memory follows what other processes write: staleness costs them a retry, following costs everybody time.
_FOLLOW_EVERY_S = 0.05
# How often what orders came to under versions on trial is written.
_COUNT_EVERY_S = 1.0
# How often it is looked whether a process in the background has ended.
_LOOK_EVERY_S = 0.5


def _clock() -> datetime:
    return datetime.now(UTC)


class App:
    """One running process: `state` in memory, `db`, and the gatherers of the hot path.

    `open` migrates the database and reads the state; `finish` lets batches finish; `close` releases everything.
    """

    def __init__(self, settings: Settings, db: Database, *, now: Callable[[], datetime]) -> None:
        self.settings = settings
        self.db = db
        self.state = State(db, now=now)
        self.listener = Listener(db)
        self.connectors = Connectors(settings.home, secret_key=settings.secret_key, files_root=settings.files_root)
        self.doors = Doors(db, self.connectors)
        self._stop = threading.Event()
        self._resources = ExitStack()
        self._pools: list[ThreadPoolExecutor] = []
        self._desks: list[Desk] = []
        self._idle_desks: list[Desk] = []
        self._turns = asyncio.Semaphore(_BATCHES_WRITTEN)
        self._holders = _PerThread(lambda: Holder(self.state))
        # A request is one order, or a share of a batch that answers row by row.
        self.orders: Gatherer[Sheet | list[Intake], list[Placed | Exception]] = Gatherer(
            self._place, under_way_max=_BATCHES, batch_max=_BATCH_LINES, queue_max=_QUEUE_MAX, weigh=_lines
        )
        self.reservations: Gatherer[Hold, Reserved] = Gatherer(
            in_threads(self._reserve, self._threads("reservations", 2)),
            batch_max=_BATCH_LINES,
            queue_max=_QUEUE_MAX,
            weigh=lambda hold: len(hold.ask.demand),
        )
        self.promises: Gatherer[Question, Promised] = Gatherer(
            in_threads(lambda questions: promise(self.state, questions), self._threads("promises", 1)),
            under_way_max=1,
            queue_max=_QUEUE_MAX,
        )
        self._enquirers = _PerThread(lambda: Enquirer(self.state))
        self.enquiries: Gatherer[Enquiry, bytes] = Gatherer(
            in_threads(lambda enquiries: self._enquirers.get().answer(enquiries), self._threads("enquiries", 2)),
            batch_max=64,
            queue_max=_QUEUE_MAX,
        )
        # One thread, one connection: bad requests may come in any number.
        self._second_looks = self._threads("second looks", 1)
        self._follower = threading.Thread(target=self._follow, name="onhand follow", daemon=True)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        progress: Callable[[int, int], None] | None = None,
        now: Callable[[], datetime] = _clock,
    ) -> Self:
        """Start: embedded database if none is named, migrations, state. Raises SettingsError, DatabaseUnavailable."""
        resources = ExitStack()
        try:
            url = resources.enter_context(located(settings.database_url, settings.home))
            migrate(url)
            db = Database.open(url)
            resources.callback(db.close)
            app = cls(settings, db, now=now)
            app._resources = resources
            app.state.load(progress)
        except BaseException:
            resources.close()
            raise
        app._follower.start()
        _spare_the_collector()
        return app

    @property
    def catalogue(self) -> Catalogue:
        return self.state.catalogue

    @property
    def network(self) -> Network:
        return self.state.network

    @property
    def snapshot(self) -> Snapshot:
        return self.state.snapshot

    @property
    def is_ready(self) -> bool:
        """Whether the state has been read."""
        return self.state.loaded

    async def finish(self) -> None:
        """Answer what was submitted to the gatherers; before `close`, from the event loop that submitted it."""
        for gatherer in (self.orders, self.reservations, self.promises, self.enquiries):
            await gatherer.close()

    def close(self) -> None:
        """Release everything."""
        self._stop.set()
        for pool in self._pools:
            pool.shutdown()
        self.listener.close()
        if self._follower.is_alive():
            self._follower.join()
        for desk in self._desks:
            desk.close()
        for connected in (*self._holders.made, *self._enquirers.made):
            connected.close()
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def look_again(self, look: Callable[[], T]) -> T:
        """Run a function of flows/second_look.py beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._second_looks, look)

    def record(
        self,
        rows: Sequence[EntryIn | Rejected],
        by: Actor,
        *,
        transact: Transactor | None = None,
        is_trial: bool = False,
    ) -> Recorded:
        """Record stock entries; afterwards call `after_entries`. `is_trial`: `transact` rolls it back, so that nothing
        is given to orders that wait: memory would believe it."""
        return record_entries(
            self.db,
            self.catalogue,
            self.network.node_ids,
            rows,
            by,
            serve_waiting=None if is_trial else lambda conn, keys: self._serve_waiting(conn, keys, by),
            transact=transact,
            now=self.state.now(),
        )

    def _serve_waiting(self, conn: Connection[TupleRow], keys: list[tuple[int, int]], by: Actor) -> None:
        serve_waiting(self.state, conn, keys, by=by)

    def after_entries(self, recorded: Recorded) -> None:
        """What follows recorded entries outside their transaction: memory learns of them, and orders whose units or
        supply went missing are sourced again (the worker would find them too)."""
        self._learn(recorded.positions)
        if recorded.oversold:
            repair_oversold(self.state)
        if recorded.unbacked:
            source_orders(self.state, [str(order_id) for order_id in recorded.unbacked])

    def run_worker(self, stop: threading.Event) -> None:
        """Do what nobody waits for, until `stop` is set: what is listed here, each in a thread of its own. Any number
        of processes may do it at once: each piece of work is taken by one of them."""
        deliverer = Deliverer(self.db, self.listener, allow_private_urls=self.settings.allow_private_urls)
        foreseer = Foreseer(self.state, stop)
        settler = Settler(self.state)
        watch, compiled = Watch(self.db, now=self.state.now), threading.Event()
        periodic = (
            ("expiry", 1.0, self._expire),
            ("sourcing", 1.0, lambda: source_waiting(self.state)),
            ("oversell", 1.0, lambda: repair_oversold(self.state)),
            ("foresight", 10.0, lambda: self._foresee(foreseer)),
            ("arbitration", 2.0, lambda: arbitrate_oversells(self.state)),
            ("tracking", 1.0, settler.look),
            ("carriers' messages", 1.0, lambda: read_messages(self.db, self.state.now())),
            ("giving up", 30.0, lambda: cancel_overdue(self.state)),
            ("policies", 5.0, lambda: watch_trials(self.db)),
            ("demand", 30.0, lambda: self._fold(stop)),
            ("costs", 30.0, lambda: self._follow_costs(stop)),
            ("signal feeds", 5.0, lambda: self._read_feeds(stop)),
            ("schedules", 30.0, lambda: ask_if_due(self.db, self.state.now(), _SCHEDULED)),
            ("autopilot", 5.0, self._act),
            ("playbooks", 1.0, lambda: work_on_playbooks(self.state, self._send, stop)),
            ("judging", 60.0, lambda: judge_actions(self.db, self.state.now())),
            ("payments", 1.0, lambda: tend(self.state)),
            ("days of payments", 60.0, lambda: reconcile_if_due(self.db, self.state.now())),
            ("incidents", 2.0, lambda: compiled.is_set() and self._watch(watch)),
            ("jobs", 1.0, lambda: run_next(self.db, _WORKS, stop)),
            ("purge", 600.0, lambda: self.db.transact(purge)),
            ("purge of messages", 600.0, lambda: self.db.transact(purge_messages)),
            ("purge of scans", 600.0, lambda: self.db.transact(lambda conn: purge_scans(conn, self.state.now()))),
            ("purge of plans", 600.0, lambda: self.db.transact(lambda conn: forget_plans(conn, self.state.now()))),
            ("purge of payers", 600.0, lambda: self.db.transact(forget_names)),
            ("purge of incidents", 600.0, lambda: self.db.transact(lambda c: forget_incidents(c, self.state.now()))),
        )
        if self.settings.reoptimise_every_s:
            every_s = float(self.settings.reoptimise_every_s)
            periodic += (("reoptimisation", every_s, lambda: reoptimise(self.state)),)
        publisher = Publisher(
            self.state, self.listener, self.connectors, allow_private_urls=self.settings.allow_private_urls
        )
        follower = Follower(self.state)
        elsewhere = Elsewhere(self.state)
        listening = Listening(
            Ear(self.db, follower),
            self.listener,
            self._accounts,
            more={"asks": elsewhere.ask, "ships": elsewhere.hear, "payments": Cashier(self.state).work},
        )
        jobs = [
            threading.Thread(target=listening.run, args=(stop,), name="onhand listening", daemon=True),
            threading.Thread(target=deliverer.run, args=(stop,), name="onhand webhooks", daemon=True),
            threading.Thread(target=publisher.run, args=(stop,), name="onhand publication", daemon=True),
        ]
        foretelling = threading.Thread(
            target=foretell_apart, args=(self.db, stop), kwargs={"signals": self.settings.delivery_signals},
            name="onhand forecasts", daemon=True,
        )  # fmt: skip
        jobs.append(foretelling)
        for name, every_s, work in periodic:
            arguments = (stop, name, every_s, work)
            jobs.append(threading.Thread(target=self._repeat, args=arguments, name=f"onhand {name}", daemon=True))
        jobs.append(
            threading.Thread(target=_compile_apart, args=(stop, compiled), name="onhand compiling", daemon=True)
        )
        for job in jobs:
            job.start()
        stop.wait()
        for job in jobs:
            job.join()
        follower.close()

    def _accounts(self) -> Accounts:
        return Accounts(self.db, self.connectors, allow_private_urls=self.settings.allow_private_urls)

    def _repeat(self, stop: threading.Event, name: str, every_s: float, job: Callable[[], object]) -> None:
        while not stop.wait(every_s):
            try:
                job()
            except DatabaseUnavailable as error:
                log.warning("the worker waits for the database", job=name, error=str(error))
            except Exception:
                log.exception("a job of the worker failed; it will be tried again", job=name)

    def _send(self) -> None:
        """Hand over messages to customers as the settings say."""
        url, sender = self.settings.smtp_url, self.settings.mail_from
        if self.settings.messages_by == "webhook":
            offer_messages(self.db, now=self.state.now)
        elif url is not None and sender is not None:
            send_messages(self.db, Smtp(url=url, sender=sender), now=self.state.now)
        else:
            keep_waiting(
                self.db,
                "nothing sends it: set ONHAND_SMTP_URL and ONHAND_MAIL_FROM, or ONHAND_MESSAGES_BY=webhook",
                now=self.state.now(),
            )

    def _foresee(self, foreseer: Foreseer) -> None:
        give_way()
        foreseer.look()

    def _watch(self, watch: Watch) -> None:
        give_way()
        watch.look()

    def _fold(self, stop: threading.Event) -> None:
        give_way()
        fold(self.db, go_on=lambda: not stop.is_set())

    def _follow_costs(self, stop: threading.Event) -> None:
        give_way()
        follow_costs(self.db, go_on=lambda: not stop.is_set())

    def _read_feeds(self, stop: threading.Event) -> None:
        read_feeds(
            self.db, self.connectors, allow_private_urls=self.settings.allow_private_urls, now=self.state.now,
            go_on=lambda: not stop.is_set(),
        )  # fmt: skip

    def _act(self) -> None:
        self._learn(act_on_proposals(self.db, self.state.now()).positions)

    def _expire(self) -> None:
        self._learn(expire_reservations(self.db, now=self.state.now()).positions)

    def _learn(self, positions: Sequence[tuple[int, int]]) -> None:
        self.state.take([item for item, _ in positions], [node for _, node in positions])

    async def _place(self, requests: list[Sheet | list[Intake]]) -> list[list[Placed | Exception]]:
        if self._idle_desks:
            desk = self._idle_desks.pop()
        else:
            self._desks.append(desk := Desk(self.state, turns=self._turns))
        try:
            sheets = [r for r in requests if isinstance(r, Sheet)]
            answers = iter(
                await desk.place_soon(Sheet.under(sheets), [k for r in requests if isinstance(r, list) for k in r])
            )
        finally:
            self._idle_desks.append(desk)
        of_sheets = [list(islice(answers, len(sheet))) for sheet in sheets]
        found = iter(of_sheets)
        return [next(found) if isinstance(r, Sheet) else list(islice(answers, len(r))) for r in requests]

    def _threads(self, name: str, count: int) -> ThreadPoolExecutor:
        self._pools.append(pool := ThreadPoolExecutor(count, f"onhand {name}"))
        return pool

    def _reserve(self, holds: list[Hold]) -> Sequence[Reserved | Exception]:
        return self._holders.get().reserve(holds)

    def _follow(self) -> None:
        counted = 0.0
        while not self._stop.is_set():
            heard = self.listener.heard
            try:
                self.state.follow()
                if time.monotonic() - counted > _COUNT_EVERY_S:
                    counted = time.monotonic()
                    self.state.tally.write(self.db)
            except DatabaseUnavailable:
                self._revive()
            except Exception:
                # Wrong memory costs retries, never units; what comes next, or a restart, reads it again.
                log.exception("following the events failed")
            self._stop.wait(_FOLLOW_EVERY_S)
            self.listener.wait(heard, 1.0)

    def _revive(self) -> None:
        """Start the embedded server again if it was killed; an external one is its owner's to start."""
        if self.settings.database_url is not None or self._stop.is_set():
            return
        try:
            with Server.ensure(self.settings.home):
                pass
        except OnhandError as error:
            log.warning("the embedded database does not start", error=str(error))


def _lines(request: Sheet | list[Intake]) -> int:
    return len(request.items) if isinstance(request, Sheet) else sum(len(k.lines) for k in request)


def _spare_the_collector() -> None:
    """Catalogue and code live as long as the process: a full collection would walk them all for nothing and hold up
    every request for it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _compile_quietly() -> None:
    compile_quietly()
    warm_gates()
    warm_detectors()


def _compile_apart(stop: threading.Event, compiled: threading.Event) -> None:
    """Have the loops of joint planning, of gates and of detectors compiled, where that has not been done, by a process
    of low priority: here it would hold up orders for half a minute, the first time that somebody plans. `compiled` is
    set in the end."""
    if is_together_kept() and is_gates_kept() and is_detectors_kept():
        compiled.set()
        return
    child = multiprocessing.get_context("spawn").Process(target=_compile_quietly, name="onhand compiling", daemon=True)
    child.start()
    while child.is_alive() and not stop.is_set():
        child.join(_LOOK_EVERY_S)
    if child.is_alive():
        child.terminate()
    child.join()
    compiled.set()


class _PerThread(Generic[T]):
    """One value per worker thread, all of them known for closing."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._local = threading.local()
        self.made: list[T] = []

    def get(self) -> T:
        value: T | None = getattr(self._local, "value", None)
        if value is None:
            value = self._local.value = self._make()
            self.made.append(value)
        return value
