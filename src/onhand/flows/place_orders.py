"""Place orders: each is sourced, promised and recorded in one transaction, once.

Two paths lead to the same write (`write_orders.write`):

- fast: decide from the snapshot, write by the guarded statement. One round trip for a whole batch.
- exact: lock, decide, write. Taken by orders the snapshot cannot serve in full (backorder, unfillable), that hold a
  reservation or must wait, and by every batch whose guard refused: something changed since the snapshot.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.waiting import InThread, InTurn, Steps, run, run_soon
from onhand.catalog.catalogue import Catalogue, Goods
from onhand.db import arrays, idempotency, queries
from onhand.db.pool import is_lost
from onhand.db.statement import make_room
from onhand.errors import (
    Conflict,
    DatabaseUnavailable,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidInput,
    Overloaded,
)
from onhand.flows.allocations import Fate, Waiting
from onhand.flows.in_force import InForce
from onhand.flows.intake import Intake
from onhand.flows.sheet import Sheet
from onhand.flows.state import State
from onhand.flows.trials import Glance, count, count_in_vain, count_shadow
from onhand.flows.wanted import of_intake, of_sheet
from onhand.flows.write_orders import Writing, encode, positions
from onhand.ledger.reservations import end_reservation
from onhand.network.compiled import Network
from onhand.orders.store import first_answers
from onhand.sourcing import record
from onhand.sourcing.backorder import Backing, Inbound, back
from onhand.sourcing.outlook import rows_of
from onhand.sourcing.policies.asking import Asking, Tried, Wanted
from onhand.sourcing.solve import Ask, Decisions, Stock, asked, decide_asked, follow, join, nothing, undo
from onhand.sourcing.tables import WHY_PROFIT

SQL = queries(__file__)
# Raised by our own functions: does not fit any more, key seen before. Then: deadlock, serialisation, lock time-out.
LOCK_TIMEOUT = "55P03"
_RIVALS = ("OH001", "OH002", "40P01", "40001", LOCK_TIMEOUT)
_ORDER_NAME = "orders_channel_id_external_id_key"
_ROUTE = "/v1/orders"
_ATTEMPTS = 6
# A key held for longer than this is called in flight, and what else is in its batch goes on; no transaction of the hot
# path is that long. Rows of stock are waited for again, until patience ends.
_LOCK_TIMEOUT_MS = 2_000
_HOLDING_TIMEOUT_MS = 200
_PATIENCE_S = 30.0
# A batch under lock stays small: others wait for its rows.
_EXACT_MAX = 200

Int32 = npt.NDArray[np.int32]


class Placed(msgspec.Struct, frozen=True, gc=False):
    """The answer to one order: JSON text; `replayed` when it is the answer of an earlier request."""

    answer: str
    replayed: bool = False


class Desk:
    """Places batches of orders over one dedicated connection; not for two threads at once.

    turns   how many desks that share it may write at once; the others decide meanwhile
    """

    def __init__(self, state: State, *, turns: asyncio.Semaphore | None = None) -> None:
        self._state = state
        self._turns = turns or asyncio.Semaphore()
        self._conn: Connection[TupleRow] | None = None
        # Answers of what was being written when the connection broke: if they stand there, it was by this attempt.
        self._own: set[str] = set()

    def place(self, intakes: Sequence[Intake]) -> list[Placed | Exception]:
        """Answer every order, in order. Exceptions stand in the place of answers."""
        return run(self._place(Sheet.of(()), intakes))

    async def place_soon(self, sheet: Sheet, intakes: Sequence[Intake]) -> list[Placed | Exception]:
        """`place` the orders of `sheet`, then `intakes`, waiting in the event loop: it decides between other requests
        and waits beside them."""
        return await run_soon(self._place(sheet, intakes))

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def _place(self, sheet: Sheet, intakes: Sequence[Intake]) -> Steps[list[Placed | Exception]]:
        """The orders of `sheet` are simple, and none of them has a key."""
        count = len(sheet)
        answers: list[Placed | Exception | None] = [None] * (count + len(intakes))

        def alone(numbers: Iterable[int]) -> dict[int, Intake]:
            return {n: sheet.intake(n) if n < count else intakes[n - count] for n in numbers}

        self._own.clear()
        later = _repeats(sheet, intakes)
        fast = [n for n in range(count) if n not in later]
        simple = [n for n, k in enumerate(intakes, count) if k.is_simple and n not in later]
        exact = [n for n, k in enumerate(intakes, count) if not k.is_simple and n not in later]
        waited = False
        try:
            if self._conn is None or self._conn.closed:
                self._conn = yield InThread(self._connect)
            if fast or simple:
                parts = (sheet.only(fast), Sheet.of([intakes[n - count] for n in simple]))
                some = Sheet.under([part for part in parts if len(part)])
                left, waited = yield from self._fast(some, [*fast, *simple], answers)
                exact[:0] = left
            for numbers in (exact, sorted(later)):
                if numbers:
                    orders = alone(numbers)
                    yield InThread(lambda o=orders: self._exact_all(o, answers, waited=waited))
        except (psycopg.Error, DatabaseUnavailable) as error:
            if isinstance(error, psycopg.Error) and not is_lost(error, self._conn):
                raise
            missing = alone(n for n, answer in enumerate(answers) if answer is None)
            yield InThread(lambda: self._resolve(missing, answers))
        return [a if a is not None else DatabaseUnavailable(_UNKNOWN) for a in answers]

    def _connect(self) -> Connection[TupleRow]:
        conn = self._state.db.connect()
        hot_settings(conn)
        make_room(conn)
        return conn

    def _fast(
        self, sheet: Sheet, numbers: Sequence[int], answers: list[Placed | Exception | None]
    ) -> Steps[tuple[list[int], bool]]:
        """Decide from the snapshot and write; `numbers` are those of the answers. Returns the numbers of orders left
        for the exact path, and whether it waited for rivals in vain."""
        state, conn = self._state, self._conn
        assert conn is not None, "connected by _place"
        now = state.now()
        with state.lock:
            network, stock, in_force = state.network, state.stock(), state.in_force
            assert in_force is not None, "read at the start"
            asking = in_force.asking
            network.set_clock(now)
            batch, wanted = sheet.asked(network), self._wanted(in_force, sheet)
            glance = None
            if in_force.watching is not None:
                glance = Glance.at(in_force.watching, batch, wanted, stock, now)
            tried = None if asking.is_plain else asking.put(batch, wanted, now.astimezone(UTC).date())
            batch = batch if tried is None else tried.asked
            decisions = decide_asked(
                batch, stock, network, asking.policy, state.catalogue.goods, now=now.timestamp(), consume=True
            )
        written = False
        try:
            rows: list[int] = np.flatnonzero(decisions.count).tolist()
            if rows:
                writing: Writing | None = None
                try:
                    writing = self._writing(sheet, rows, decisions, network, asking, tried, now)
                    row = yield InTurn(writing.on(conn), self._turns)
                except Exception as error:
                    if is_lost(error, conn):
                        self._own.update(() if writing is None else writing.answers)
                        raise
                    # Rivals won, or one of these orders cannot be written: the exact path tells which.
                    return list(numbers), is_lock_timeout(error)
                written = True
                for r, answer in zip(rows, writing.answers, strict=True):
                    answers[numbers[r]] = Placed(answer)
                with state.lock:
                    state.snapshot.apply(writing.taken.items, writing.taken.nodes, *positions(row))
                state.db.notify()
                count(state.tally, in_force, decisions, [w.version for w in wanted], now)
            if glance is not None:
                count_shadow(state.tally, in_force, glance, decisions, state.catalogue.goods, now)
            return [n for n, planned in zip(numbers, decisions.count.tolist(), strict=True) if not planned], False
        finally:
            with state.lock:
                # Committed units are in `available` now; undone ones were never there.
                undo(decisions, state.stock(), network, keep_capacity=written)

    def _wanted(self, in_force: InForce, sheet: Sheet) -> list[Wanted]:
        """What versions can ask of the orders; nothing where none does."""
        if in_force.asking.is_plain and in_force.watching is None:
            return []
        return of_sheet(in_force.asking, sheet, self._state.catalogue)

    def _writing(
        self,
        sheet: Sheet,
        rows: Sequence[int],
        decisions: Decisions,
        network: Network,
        asking: Asking,
        tried: Tried | None,
        now: datetime,
    ) -> Writing:
        """What is written of the orders in `rows`, which have a plan."""
        state = self._state
        records = record.encode(
            decisions, sheet.latitudes, sheet.longitudes, state.catalogue.goods, now.timestamp(),
        )  # fmt: skip
        return encode(
            sheet.only(rows), decisions, [records[r] for r in rows], network, asking.policy, state.catalogue,
            rows=rows, line_of=np.array(sheet.line_of, np.int32), origin=state.db.origin,
            labels=[] if tried is None else [tried.label(decisions, r) for r in rows],
            confidences=[] if tried is None else [tried.confidences[r] for r in rows],
        )  # fmt: skip

    def _exact_all(self, orders: dict[int, Intake], answers: list[Placed | Exception | None], *, waited: bool) -> None:
        """Answer `orders`, by their numbers."""
        conn = self._conn
        assert conn is not None, "connected by _place"
        if waited:
            for n, error in zip(orders, _in_flight(conn, [*orders.values()]), strict=True):
                answers[n] = error
        numbers = [n for n in orders if answers[n] is None]
        alone = [n for n in numbers if orders[n].reservation_id is not None]
        together = [n for n in numbers if orders[n].reservation_id is None]
        groups = [together[i : i + _EXACT_MAX] for i in range(0, len(together), _EXACT_MAX)]
        for group in [*groups, *([n] for n in alone)]:
            for n, answer in zip(group, self._exactly(conn, [orders[n] for n in group]), strict=True):
                answers[n] = answer

    def _exactly(self, conn: Connection[TupleRow], batch: Sequence[Intake]) -> list[Placed | Exception]:
        """`place_exactly`; an order that cannot be written fails alone."""
        try:
            return place_exactly(self._state, conn, batch, own=self._own)
        except Exception as error:
            if is_lost(error, conn):
                raise
            half = len(batch) // 2
            return [error] if not half else self._exactly(conn, batch[:half]) + self._exactly(conn, batch[half:])

    def _resolve(self, missing: dict[int, Intake], answers: list[Placed | Exception | None]) -> None:
        """The connection broke: what was committed is known only to the database, so look."""
        self.close()
        self._conn = None
        try:
            with self._state.db.connection() as conn:
                seen = _find_earlier(conn, [*missing.values()])
        except DatabaseUnavailable:
            return
        for n, earlier in zip(missing, seen, strict=True):
            if earlier is not None:
                answers[n] = self._as_told(earlier)

    def _as_told(self, earlier: Placed | Exception) -> Placed | Exception:
        """What was found written: no repeat, if this attempt wrote it and only did not hear that it had."""
        if isinstance(earlier, Placed) and earlier.answer in self._own:
            return Placed(earlier.answer)
        return earlier


_UNKNOWN = (
    "the database went away while this order was written; whether it was is unknown, repeat the request: "
    "the same channel and external_id are never placed twice"
)


def rivals_won(error: psycopg.Error) -> bool:
    """Whether a guarded write met somebody else's: nothing was written, and the exact path will tell."""
    return error.sqlstate in _RIVALS or (error.sqlstate == "23505" and error.diag.constraint_name == _ORDER_NAME)


def is_lock_timeout(error: Exception) -> bool:
    return isinstance(error, psycopg.Error) and error.sqlstate == LOCK_TIMEOUT


class Patience:
    """How often a batch starts again after rivals have won, and how long it waits for their locks."""

    def __init__(self) -> None:
        self._lost = 0
        self._until = time.monotonic() + _PATIENCE_S

    def ends(self, error: psycopg.Error) -> bool:
        """Whether `error`, for which `rivals_won`, was one too many."""
        if is_lock_timeout(error):
            return time.monotonic() > self._until
        self._lost += 1
        return self._lost >= _ATTEMPTS


def outdone() -> Overloaded:
    """The answer when patience ended."""
    return Overloaded(why="others kept changing or holding the same stock")


def hot_settings(conn: Connection[TupleRow]) -> None:
    """The set-based statements join sorted arrays to indexes: nested loops, always."""
    conn.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}".encode())
    for name in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan", "enable_material"):
        conn.execute(f"SET {name} = off".encode())
    conn.execute(b"SET plan_cache_mode = force_generic_plan")


def place_exactly(
    state: State, conn: Connection[TupleRow], intakes: Sequence[Intake], *, own: set[str]
) -> list[Placed | Exception]:
    """Lock, decide, write; in one transaction for all of `intakes` (at most one with a reservation). `own` takes up the
    answers of what is about to be committed.

    Those that another transaction is placing at this moment are IdempotencyInFlight, and the others are placed without
    them; Overloaded when rivals keep winning. Raises what the database says when it refuses; nothing is written then.
    """
    answers: list[Placed | Exception | None] = [None] * len(intakes)
    patience = Patience()
    while rest := [n for n, answer in enumerate(answers) if answer is None]:
        try:
            with conn.transaction():
                placed, after = _place_locked(state, conn, [intakes[n] for n in rest])
                own.update(p.answer for p in placed if isinstance(p, Placed) and not p.replayed)
        except psycopg.Error as error:
            if not rivals_won(error):
                raise
            placed = _in_flight(conn, [intakes[n] for n in rest]) if is_lock_timeout(error) else [None] * len(rest)
            if patience.ends(error):
                placed = [answer or outdone() for answer in placed]
        else:
            after()
            state.db.notify()
        for n, answer in zip(rest, placed, strict=True):
            answers[n] = answer
    return [a for a in answers if a is not None]


def _in_flight(conn: Connection[TupleRow], intakes: Sequence[Intake]) -> list[Placed | Exception | None]:
    """IdempotencyInFlight for those that another transaction is placing at this moment."""
    keys = idempotency.find_in_flight(conn, _ROUTE, [(k.actor, k.key) for k in intakes if k.key is not None])
    names = {k.name for k in intakes if (k.actor, k.key) not in keys}

    def claim(some: Sequence[tuple[int, str]]) -> None:
        conn.execute(SQL["try_orders"], ([channel for channel, _ in some], [name for _, name in some]))

    held = set(idempotency.find_held(conn, sorted(names), claim))
    return [
        IdempotencyInFlight(k.key)
        if k.key is not None and (k.actor, k.key) in keys
        else IdempotencyInFlight(_name(k))
        if k.name in held
        else None
        for k in intakes
    ]


def _repeats(sheet: Sheet, intakes: Sequence[Intake]) -> set[int]:
    """The orders that have a name of one before them: answered from what that one has written."""
    names = sheet.names + [k.name for k in intakes]
    has_key = any(k.key is not None for k in intakes)
    if not has_key and len({*names}) == len(names):
        return set()
    known = _Names()
    repeats: set[int] = set()
    for n, name in enumerate(names):
        intake = intakes[n - len(sheet)] if n >= len(sheet) else None
        key = None if intake is None or intake.key is None else (intake.actor, intake.key)
        if known.first(n, name, key) != n:
            repeats.add(n)
    return repeats


class _Names:
    """Which order of a batch came first under a name: its key, or its channel and external id."""

    def __init__(self) -> None:
        self._orders: dict[tuple[int, str], int] = {}
        self._keys: dict[tuple[int, str], int] = {}

    def first(self, n: int, order: tuple[int, str], key: tuple[int, str] | None) -> int:
        """The number of the first order that has a name of order `n`; `n` itself if there is none, which is then
        remembered."""
        found = self._orders.get(order) if key is None else self._keys.get(key, self._orders.get(order))
        if found is not None:
            return found
        self._orders[order] = n
        if key is not None:
            self._keys[key] = n
        return n


def _place_locked(
    state: State, conn: Connection[TupleRow], intakes: Sequence[Intake]
) -> tuple[list[Placed | Exception], Callable[[], None]]:
    answers: list[Placed | Exception | None] = list(_find_earlier(conn, intakes))
    fresh: list[tuple[int, Intake]] = []
    known = _Names()
    again: list[tuple[int, int]] = []
    for n, intake in enumerate(intakes):
        if answers[n] is not None:
            continue
        key = None if intake.key is None else (intake.actor, intake.key)
        if (first := known.first(n, intake.name, key)) != n:
            again.append((n, first))
        else:
            fresh.append((n, intake))
    if len(fresh) == 1 and fresh[0][1].reservation_id is not None:
        problem = _lock_reservation(state, conn, fresh[0][1])
        if problem is not None:
            answers[fresh[0][0]] = problem
            fresh = []
    after: Callable[[], None] = lambda: None  # noqa: E731
    if fresh:
        after = _decide_and_write(state, conn, fresh, answers)
    if again:
        # From what stands there now: written by the first, or by a rival before it.
        for (n, first), found in zip(again, _find_earlier(conn, [intakes[n] for n, _ in again]), strict=True):
            answers[n] = found or answers[first]
    return [a for a in answers if a is not None], after


def _still_fresh(
    conn: Connection[TupleRow], fresh: list[tuple[int, Intake]], answers: list[Placed | Exception | None]
) -> list[tuple[int, Intake]]:
    """Look again: who held these rows until now may have placed the same orders, and on hot rows always will have.

    An order with a reservation has ended it already: only starting again undoes that.
    """
    earlier = _find_earlier(conn, [intake for _, intake in fresh])
    rest: list[tuple[int, Intake]] = []
    for (n, intake), found in zip(fresh, earlier, strict=True):
        if found is None or intake.reservation_id is not None:
            rest.append((n, intake))
        else:
            answers[n] = found
    return rest


def _reused(intake: Intake) -> Exception:
    return IdempotencyKeyReused(_name(intake))


def _name(intake: Intake) -> str:
    return f"{intake.channel.code}/{intake.external_id}"


def _find_earlier(conn: Connection[TupleRow], intakes: Sequence[Intake]) -> list[Placed | Exception | None]:
    """Answers that were given before, by order id or by idempotency key."""
    rows = conn.execute(
        SQL["find_orders"],
        (
            [k.channel.channel_id for k in intakes],
            [k.external_id for k in intakes],
            [k.actor for k in intakes],
            [k.key for k in intakes],
        ),
    ).fetchall()
    found: list[Placed | Exception | None] = [None] * len(intakes)
    again: dict[int, str] = {}
    for number, by_name, named, by_key, keyed in rows:
        n = int(number) - 1
        intake: Intake = intakes[n]
        if by_key is not None:
            if bytes(by_key) == intake.hash:
                again[n] = keyed
            else:
                found[n] = IdempotencyKeyReused(intake.key or "")
        elif by_name is not None:
            if bytes(by_name) == intake.hash:
                again[n] = named
            else:
                found[n] = _reused(intake)
    for n, answer in placed_before(conn, again).items():
        found[n] = answer
    return found


def placed_before(conn: Connection[TupleRow], order_ids: Mapping[int, str]) -> dict[int, Placed]:
    """The answers that orders, by any number, were given when they were placed."""
    answers = first_answers(conn, order_ids.values()) if order_ids else {}
    return {n: Placed(answers[order_id], replayed=True) for n, order_id in order_ids.items()}


def _lock_reservation(state: State, conn: Connection[TupleRow], intake: Intake) -> Placed | Exception | None:
    """Give the reserved units back inside this transaction, for this order to take; an ended reservation binds
    nothing and the order is sourced like any other. The answer, if it is given already."""
    row = conn.execute(SQL["lock_reservation"], (intake.reservation_id,)).fetchone()
    if row is None:
        return InvalidInput.at("reservation_id", f"no reservation {intake.reservation_id!r}")
    status, order_id = row
    if status == "used":
        # Perhaps by this very order, sent twice at once: the first held the row until now.
        earlier = _find_earlier(conn, [intake])[0]
        return earlier or Conflict(
            "reservation.used",
            f"reservation {intake.reservation_id} was used by order {order_id}",
            order_id=str(order_id),
        )
    if status == "active":
        by = Actor(key_id=intake.actor, reason=intake.reason)
        end_reservation(conn, UUID(intake.reservation_id), "used", actor=by, origin=state.db.origin)
    return None


def _decide_and_write(
    state: State,
    conn: Connection[TupleRow],
    fresh: list[tuple[int, Intake]],
    answers: list[Placed | Exception | None],
) -> Callable[[], None]:
    now = state.now()
    with state.lock:
        network, in_force = state.network, state.in_force
        network.set_clock(now)
        # Its own capacity: rivals decide from the shared one meanwhile.
        network = network.with_own_room()
    assert in_force is not None, "read at the start"
    asking = in_force.asking
    network.load_capacity(conn, now.astimezone(UTC).date())
    items = sorted({i for _, k in fresh for i, _ in k.ask.demand})
    locked = lock_stock(conn, items, network.count)
    wait_briefly(conn)
    fresh = _still_fresh(conn, fresh, answers)
    if not fresh:
        return lambda: None
    book = Book(state, network, locked, now, asking)
    supply = _Supply(conn, items)
    # One at a time: what an order leaves decides what the next can have, dated supply included.
    cases = [_decide_one(book, intake, supply) for _, intake in fresh]
    planned = [c for c in cases if c.decisions is not None]
    for row, case in enumerate(planned):
        case.fate.row = row
    decisions = join([c.decisions for c in planned if c.decisions is not None]) if planned else nothing()
    catalogue = state.catalogue
    weigh = (catalogue.goods, now.timestamp())
    records = iter(
        record.encode(decisions, [c.ask.latitude for c in planned], [c.ask.longitude for c in planned], *weigh)
    )
    writing = encode(
        Sheet.of([c.intake for c in cases]),
        decisions,
        [next(records) if c.decisions is not None else _seen_in_vain(c, weigh) for c in cases],
        network,
        asking.policy,
        catalogue,
        rows=[c.fate.row for c in cases],
        line_of=np.array([line for c in planned for line in c.line_of()], np.int32),
        origin=state.db.origin,
        labels=[] if asking.is_plain else [c.label for c in cases],
        confidences=[] if asking.is_plain else [book.confidence_of(c.want) for c in cases],
        fates=[c.fate for c in cases],
    )
    available, version = positions(writing.on(conn).wait())
    _write_waiting(conn, [(i, w) for i, c in zip(writing.order_ids, cases, strict=True) for w in c.fate.waiting])
    for (n, intake), order_id, answer in zip(fresh, writing.order_ids, writing.answers, strict=True):
        answers[n] = Placed(answer)
        if intake.reservation_id is not None:
            conn.execute(SQL["use_reservation"], (order_id, intake.reservation_id))

    def after() -> None:
        with state.lock:
            snapshot = state.snapshot
            snapshot.grow(int(locked.item.max(initial=0)), network.count)
            snapshot.apply(locked.item, locked.node, locked.free, locked.version, locked.safety)
            snapshot.apply(writing.taken.items, writing.taken.nodes, available, version)
            if state.network.network_id == network.network_id:
                state.network.take_room_of(network)
            follow(decisions, state.stock())
        _count_cases(state, in_force, cases, decisions, now)

    return after


def _count_cases(
    state: State, in_force: InForce, cases: Sequence["_Case"], decisions: Decisions, now: datetime
) -> None:
    """What orders of the exact path came to. `decisions` has those with a plan, in their order."""
    count(state.tally, in_force, decisions, [c.want.version for c in cases if c.decisions is not None], now)
    in_vain = [c for c in cases if c.decisions is None and c.intake.held is None and c.fate.status != "backordered"]
    count_in_vain(state.tally, in_force, [c.want.version for c in in_vain])


@dataclass(slots=True, kw_only=True)
class Locked:
    """Positions under lock; int32[n] each. free = available units."""

    item: Int32
    node: Int32
    free: Int32
    version: Int32
    safety: Int32


def lock_stock(conn: Connection[TupleRow], items: list[int], nodes: int) -> Locked:
    """Lock every position of `items` in (item, node) order and read it."""
    with conn.cursor(binary=True) as cursor:
        arrays.load_numpy(cursor.adapters)
        row = cursor.execute(SQL["lock_stock"], (arrays.int4(items),)).fetchone()
    assert row is not None, "an aggregate always returns a row"
    empty = np.empty(0, np.int32)
    item, node, free, version, safety = (empty if c is None else c for c in row)
    known = node <= nodes
    return Locked(
        item=item[known],
        node=node[known],
        free=free[known],
        version=version[known],
        safety=safety[known],
    )


def wait_briefly(conn: Connection[TupleRow]) -> None:
    """From here to the end of the transaction, which holds stock: whoever holds a name or key that it needs may be
    waiting for that stock, since the guarded statement claims names first. Giving up breaks the circle long before the
    database finds it; the next attempt finds what the other has written."""
    conn.execute(f"SET LOCAL lock_timeout = {_HOLDING_TIMEOUT_MS}".encode())


class Book:
    """Stock and capacity of one exact decision: what was locked, less what was decided since."""

    def __init__(self, state: State, network: Network, locked: Locked, now: datetime, asking: Asking) -> None:
        self.network = network
        self.asking = asking
        self.now = now
        self._state = state
        rows = {int(item): n for n, item in enumerate(np.unique(locked.item))}
        self._spare = len(rows)
        shape = (len(rows) + 1, network.count + 1)
        self.stock = Stock(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32), rows)
        if len(locked.item):
            at = (np.array([rows[i] for i in locked.item.tolist()]), locked.node)
            self.stock.available[at] = locked.free
            self.stock.safety[at] = locked.safety
            with state.lock:
                known = state.stock()
                self.stock.prices = rows_of(known.prices, np.array([*rows], np.int32), shape[1])
                self.stock.step_minor = known.step_minor

    @property
    def catalogue(self) -> Catalogue:
        return self._state.catalogue

    def confidence_of(self, want: Wanted) -> float:
        """With which a promise to that order is kept."""
        return self.asking.versions[want.version].policy.document.confidence

    def with_network(self, network: Network, now: datetime) -> "Book":
        """The same stock, with other candidates or at another time."""
        other = copy(self)
        other.network, other.now = network, now
        return other

    def decide(self, ask: Ask, want: Wanted | None) -> tuple[Decisions, str]:
        """Decide one order and take what it gets; and the version and rule that did.

        want  None: by no rules, from any node of the channel
        """
        rows = self.stock.rows
        assert rows is not None, "a book has its own rows"
        for item, _ in ask.demand:
            rows.setdefault(item, self._spare)  # no position anywhere: the empty row
        batch, tried = asked([ask], self.network), None
        if want is not None and not self.asking.is_plain:
            tried = self.asking.put(batch, [want], self.now.astimezone(UTC).date())
            batch = tried.asked
        decisions = decide_asked(
            batch, self.stock, self.network, self.asking.policy, self._state.catalogue.goods,
            now=self.now.timestamp(), consume=True,
        )  # fmt: skip
        return decisions, self.asking.policy.version if tried is None else tried.label(decisions, 0)

    def free_beyond_safety(self, item: int, nodes: Int32) -> int:
        """Units of an item at `nodes` above safety stock."""
        row = (self.stock.rows or {}).get(item, self._spare)
        free = self.stock.available[row, nodes] - self.stock.pending[row, nodes]
        return int(np.maximum(free - self.stock.safety[row, nodes], 0).sum())

    def free(self, item: int, nodes: Int32) -> int:
        """Units of an item at `nodes`."""
        rows = self.stock.rows or {}
        row = rows.get(item, self._spare)
        return int(np.maximum(self.stock.available[row, nodes] - self.stock.pending[row, nodes], 0).sum())


@dataclass(slots=True, kw_only=True)
class _Case:
    """One order on the exact path: what becomes of it, what was asked of the solver and what it answered; `refused` is
    the first question that had no answer. label: of the version and rule that decided it."""

    intake: Intake
    want: Wanted
    fate: Fate
    ask: Ask
    label: str
    decisions: Decisions | None = None
    refused: tuple[Ask, Decisions] | None = None

    def unserved(self) -> list[tuple[int, int]]:
        """(item_id, units) that a plan for a part of the order leaves."""
        d = self.decisions
        if d is None:
            return []
        picks = int(d.pick_first[1])
        served = np.bincount(d.pick_demand[:picks], d.pick_units[:picks], len(self.ask.demand))
        return [(i, u - int(n)) for (i, u), n in zip(self.ask.demand, served, strict=True) if u > n]

    @property
    def is_below_floor(self) -> bool:
        """Whether it was refused because its profit is too small."""
        return self.refused is not None and self.refused[1].why[0] == WHY_PROFIT

    def line_of(self) -> list[int]:
        """Order line of each demand row; -1 where lines share an item or part of it waits."""
        intake = self.intake
        line_of = dict(zip((i for i, _ in intake.ask.demand), intake.line_of, strict=True))
        waiting = {w.item_id for w in self.fate.waiting}
        return [-1 if i in waiting else line_of[i] for i, _ in self.ask.demand]


class _Supply:
    """Open dated supply of a batch, locked when first needed: most batches need none."""

    def __init__(self, conn: Connection[TupleRow], items: list[int]) -> None:
        self._conn = conn
        self._items = items
        self._lines: list[Inbound] | None = None

    def lines(self) -> list[Inbound]:
        if self._lines is None:
            self._lines = load_inbound(self._conn, self._items)
        return self._lines


def _decide_one(book: "Book", intake: Intake, supply: _Supply) -> _Case:
    """Shelf stock for all of it; else what the shelf has now and the rest from dated supply; else a queue. Which of
    these, the fall-back of its policy says."""
    asking = book.asking
    want = of_intake(asking, intake, book.catalogue)
    version = asking.versions[want.version]
    on_no_plan = version.policy.document.fallback.on_no_plan
    case = _Case(intake=intake, want=want, fate=Fate(row=-1), ask=intake.ask, label=version.label)
    fate = case.fate
    if intake.unlocatable:
        fate.status = fate.queue = "held"
        fate.waiting = _all_waiting(intake, "held")
        return case
    shelf = [(i, u) for i, u in intake.ask.demand if i not in intake.preorder]
    later = [(i, u) for i, u in intake.ask.demand if i in intake.preorder]
    is_planned = _try(book, case, shelf)
    left = case.unserved()
    if is_planned and not later and not left:
        if intake.held is not None:
            fate.status = fate.queue = "held"
        return case
    nodes = book.network.channel_nodes(intake.channel)
    if intake.ask.pickup_node:
        nodes = np.array([intake.ask.pickup_node], np.int32)
    if not is_planned and shelf and (on_no_plan == "hold" or case.is_below_floor):
        fate.status = fate.queue = "held"
        fate.waiting = _all_waiting(intake, "held")
        return case
    if case.decisions is None and shelf:
        short = [(i, u) for i, u in shelf if book.free(i, nodes) < u] or shelf
        rest = [(i, u) for i, u in shelf if (i, u) not in short]
        if on_no_plan == "unfillable" or not (intake.order.allow_split and _try(book, case, rest)):
            short = shelf
        later += short
    later += left
    one_node = not intake.order.allow_split
    backing = None
    is_awaited = intake.order.allow_backorder and (on_no_plan != "unfillable" or not shelf)
    if is_awaited and not (one_node and case.decisions is not None):
        backing = back(later, supply.lines(), set(nodes.tolist()), one_node=one_node)
    if backing is None and left and later == left:
        # A part of it is served; nobody knows when the rest will be.
        fate.status = fate.queue = "unfillable" if intake.held is None else "held"
        fate.waiting = _spread(intake, left, "unfillable")
        return case
    if backing is None:
        if case.decisions is not None:
            undo(case.decisions, book.stock, book.network)
            case.decisions = None
        fate.status = fate.queue = "unfillable"
        fate.waiting = _all_waiting(intake, "unfillable")
        if intake.held is not None:
            fate.status = fate.queue = "held"
        return case
    for b in backing:
        b.inbound.open_units -= b.units
    fate.status = "backordered"
    fate.waiting = _backed(intake, backing)
    fate.queue = "preorder" if intake.preorder else "backorder"
    if intake.held is not None:
        fate.status = fate.queue = "held"
    latest = max(b.inbound.expected_at for b in backing)
    fate.deliver_at = int((latest + timedelta(days=days_after_arrival(book.network))).timestamp())
    fate.confidence = book.confidence_of(want) * min(b.inbound.confidence for b in backing)
    return case


def _seen_in_vain(case: _Case, weigh: tuple[Goods, float]) -> bytes:
    """The record of an order without a plan: what was looked at says why."""
    if case.refused is None:
        return record.empty(case.ask, *weigh)
    ask, decisions = case.refused
    return record.encode(decisions, [ask.latitude], [ask.longitude], *weigh)[0]


def _try(book: "Book", case: _Case, demand: list[tuple[int, int]]) -> bool:
    """Plan `demand` from the shelf; the case keeps the plan when there is one."""
    if not demand:
        return False
    ask = with_demand(case.intake.ask, demand)
    is_whole = demand == case.intake.ask.demand
    decisions, label = book.decide(ask, case.want if is_whole else case.want._replace(may_part=False))
    if case.decisions is None and (decisions.count[0] or case.refused is None):
        case.label = label
    if not decisions.count[0]:
        case.refused = case.refused or (ask, decisions)
        return False
    case.ask, case.decisions = ask, decisions
    return True


def with_demand(ask: Ask, demand: list[tuple[int, int]]) -> Ask:
    """The same for a part of what was asked, with its prices."""
    prices = dict(zip((item for item, _ in ask.demand), ask.prices, strict=True)) if ask.prices else {}
    return msgspec.structs.replace(ask, demand=demand, prices=[prices[i] for i, _ in demand] if prices else [])


def days_after_arrival(network: Network) -> float:
    """A day to put away and pick, then the slowest usual service: dated promises are careful."""
    return 1.0 + float(network.transit_p95.max(initial=1.0))


def _all_waiting(intake: Intake, queue: str) -> list[Waiting]:
    return [
        Waiting(line_no=line.line_no, item_id=item, units=units, queue=queue)
        for line in intake.lines
        for item, units in line.wants()
    ]


def _spread(intake: Intake, left: Sequence[tuple[int, int]], queue: str) -> list[Waiting]:
    """Units of items by order line, in line order."""
    rest = dict(left)
    waiting: list[Waiting] = []
    for line in intake.lines:
        for item, units in line.wants():
            if take := min(units, rest.get(item, 0)):
                rest[item] -= take
                waiting.append(Waiting(line_no=line.line_no, item_id=item, units=take, queue=queue))
    return waiting


def _backed(intake: Intake, backing: list[Backing]) -> list[Waiting]:
    """Backings by order line: lines that share an item take their units in line order."""
    waiting: list[Waiting] = []
    rest = [b.units for b in backing]
    for line in intake.lines:
        for item, units in line.wants():
            need = units
            for n, b in enumerate(backing):
                take = min(need, rest[n]) if b.inbound.item_id == item else 0
                if not take:
                    continue
                rest[n] -= take
                need -= take
                waiting.append(
                    Waiting(
                        line_no=line.line_no,
                        item_id=item,
                        units=take,
                        queue="preorder" if item in intake.preorder else "backorder",
                        inbound_id=b.inbound.inbound_id,
                        inbound_line=b.inbound.line_no,
                        node_id=b.inbound.node_id,
                        expected_at=b.inbound.expected_at,
                    )
                )
    return waiting


def load_inbound(conn: Connection[TupleRow], items: list[int]) -> list[Inbound]:
    """Open dated supply of `items`, locked in (inbound_id, line_no) order."""
    return [
        Inbound(
            inbound_id=str(inbound_id), line_no=line_no, item_id=item_id, node_id=node_id,
            open_units=units, expected_at=expected_at, confidence=confidence,
        )
        for inbound_id, line_no, item_id, node_id, units, expected_at, confidence in conn.execute(
            SQL["lock_inbound"], (items,)
        )
    ]  # fmt: skip


def _write_waiting(conn: Connection[TupleRow], rows: Sequence[tuple[str, Waiting]]) -> None:
    if not rows:
        return
    conn.execute(
        SQL["add_queue_lines"],
        (
            [order_id for order_id, _ in rows],
            [w.line_no for _, w in rows],
            [w.item_id for _, w in rows],
            [w.queue for _, w in rows],
            [w.units for _, w in rows],
            [w.inbound_id for _, w in rows],
            [w.inbound_line for _, w in rows],
            [w.node_id for _, w in rows],
            [w.expected_at for _, w in rows],
        ),
    )


__all__ = [
    "Book",
    "Desk",
    "Locked",
    "Patience",
    "Placed",
    "days_after_arrival",
    "hot_settings",
    "is_lock_timeout",
    "load_inbound",
    "lock_stock",
    "outdone",
    "place_exactly",
    "placed_before",
    "rivals_won",
    "wait_briefly",
    "with_demand",
]
