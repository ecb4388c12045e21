"""Reserve: hold the units of a cart or quote on nodes, all lines or none, for a while. Fast and exact path as in
place_orders.py; safety stock is left alone, since nothing is confirmed yet."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base import ids
from onhand.base.dates import microseconds, rfc3339
from onhand.db import arrays, idempotency
from onhand.db.pool import is_lost
from onhand.errors import Conflict, DatabaseUnavailable, FieldError, IdempotencyInFlight, OnhandError
from onhand.flows.allocations import Allocations, allocations
from onhand.flows.intake import World, active_channel, check_country, place_of, refusal
from onhand.flows.place_orders import (
    Book,
    Patience,
    hot_settings,
    is_lock_timeout,
    lock_stock,
    outdone,
    rivals_won,
    wait_briefly,
)
from onhand.flows.state import State
from onhand.orders.intake import BasketLine, ReservationIn
from onhand.sourcing.solve import Ask, Decisions, decide, join, undo

Int32 = npt.NDArray[np.int32]

ROUTE = "/v1/reservations"
_RESERVE = f"SELECT * FROM reserve_v1({','.join(['%b'] * 21)})".encode()  # noqa: S608 - placeholders
_encode = msgspec.json.encode


@dataclass(slots=True, kw_only=True)
class Hold:
    """A checked reservation request. line_of: demand row -> line of the request."""

    ask: Ask
    line_of: list[int]
    ttl_s: int
    hash: bytes
    actor: int
    reason: str | None = None
    key: str | None


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer, JSON text."""

    answer: str
    replayed: bool = False


def basket(
    world: World, lines: Sequence[BasketLine], errors: list[FieldError]
) -> tuple[list[tuple[int, int]], list[int], list[str]]:
    """Units by item, bundles exploded and summed; the line (from 1) each row first comes from; the skus that are not
    known."""
    catalogue = world.catalogue
    units: dict[int, int] = {}
    line_of: dict[int, int] = {}
    unknown: list[str] = []
    for number, line in enumerate(lines):
        item_id = catalogue.ids.get(line.sku)
        if item_id is None:
            errors.append(FieldError(f"lines[{number}].sku", f"no item {line.sku!r}"))
            unknown.append(line.sku)
            continue
        for item, per in catalogue.bundles.get(item_id, ((item_id, 1),)):
            units[item] = units.get(item, 0) + per * line.quantity
            line_of.setdefault(item, number + 1)
    if any(u > 2_000_000_000 for u in units.values()):
        errors.append(FieldError("lines", "expected at most 2000000000 units of an item"))
    return list(units.items()), list(line_of.values()), unknown


def prepare_hold(
    world: World, request: ReservationIn, *, actor: int, reason: str | None = None, key: str | None
) -> Hold:
    """Check a request. Raises NotKnown (which deserves a second look) or InvalidInput."""
    errors: list[FieldError] = []
    network = world.network
    channel = active_channel(network, request.channel, errors)
    demand, line_of, unknown = basket(world, request.lines, errors)
    if request.destination is not None:
        check_country(request.destination, errors)
    if errors or channel is None:
        raise refusal(errors, unknown)
    latitude, longitude, unlocatable = 0.0, 0.0, True
    place = ("", "", "")
    if request.destination is not None:
        latitude, longitude, unlocatable = place_of(request.destination)
        place = (
            request.destination.country,
            request.destination.region or "",
            request.destination.postal_code,
        )
    if unlocatable:
        # Nobody knows where it will go: the middle of the channel's nodes is as good as any place.
        nodes = network.channel_nodes(channel)
        if len(nodes):
            latitude = float(np.degrees(network.latitude[nodes]).mean())
            longitude = float(np.degrees(network.longitude[nodes]).mean())
    return Hold(
        ask=Ask(
            demand=demand,
            latitude=latitude,
            longitude=longitude,
            place=place,
            channel=channel,
            fulfilments_max=world.policy.fulfilments_max,
            objective=world.policy.index(None),
            may_dip=False,
        ),
        line_of=line_of,
        ttl_s=request.ttl_s,
        hash=hash_request(request),
        actor=actor,
        reason=reason,
        key=key,
    )


def hash_request(request: ReservationIn) -> bytes:
    """Tells a repeat from another request with the same key."""
    return hashlib.blake2b(_encode(request), digest_size=16).digest()


class Holder:
    """Reserves batches over one dedicated connection; not for two threads at once."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._conn: Connection[TupleRow] | None = None

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def reserve(self, holds: Sequence[Hold]) -> list[Reserved | Exception]:
        """Answer every request, in order; Conflict `stock.insufficient` in the place of an answer where it does not
        fit."""
        answers: list[Reserved | Exception | None] = [None] * len(holds)
        try:
            conn = self._connection()
            keys: set[tuple[int, str]] = set()
            once: list[int] = []
            later: list[int] = []
            for n, hold in enumerate(holds):
                name = (hold.actor, hold.key or "")
                (later if hold.key is not None and name in keys else once).append(n)
                keys.add(name)
            exact, waited = self._fast(conn, [(n, holds[n]) for n in once], answers)
            for numbers in (exact, *([n] for n in later)):
                numbered = [(n, holds[n]) for n in numbers]
                if waited:
                    numbered = _set_aside(conn, numbered, answers)
                self._exact(conn, numbered, answers)
        except (psycopg.Error, DatabaseUnavailable) as error:
            if isinstance(error, psycopg.Error) and not is_lost(error, self._conn):
                raise
            self.close()
            self._conn = None
        unknown = DatabaseUnavailable(
            "the database went away while this was written; repeat the request with the same Idempotency-Key"
        )
        return [a if a is not None else unknown for a in answers]

    def _connection(self) -> Connection[TupleRow]:
        if self._conn is None or self._conn.closed:
            self._conn = self._state.db.connect()
            hot_settings(self._conn)
        return self._conn

    def _fast(
        self,
        conn: Connection[TupleRow],
        numbered: list[tuple[int, Hold]],
        answers: list[Reserved | Exception | None],
    ) -> tuple[list[int], bool]:
        """Returns the numbers left for the exact path, and whether it waited for rivals in vain."""
        state = self._state
        now = state.now()
        asks = [hold.ask for _, hold in numbered]
        with state.lock:
            network, stock = state.network, state.stock()
            network.set_clock(now)
            # Reservations take no capacity: the ship day is not known yet.
            unlimited = network.without_limits()
            decisions = decide(
                asks, stock, unlimited, state.policy, state.catalogue.goods,
                now=now.timestamp(), consume=True,
            )  # fmt: skip
        try:
            rows = [r for r in range(len(asks)) if decisions.count[r]]
            if rows:
                try:
                    written = _write(conn, state, [numbered[r][1] for r in rows], rows, decisions, now)
                except Exception as error:
                    if is_lost(error, conn):
                        raise
                    # Rivals won, or one of these requests cannot be written: the exact path tells which.
                    return [n for n, _ in numbered], is_lock_timeout(error)
                for r, text in zip(rows, written.answers, strict=True):
                    answers[numbered[r][0]] = Reserved(text)
                with state.lock:
                    state.snapshot.apply(written.taken.items, written.taken.nodes, written.available, written.version)
                state.db.notify()
            return [n for r, (n, _) in enumerate(numbered) if not decisions.count[r]], False
        finally:
            with state.lock:
                undo(decisions, state.stock(), unlimited)

    def _exact(
        self,
        conn: Connection[TupleRow],
        numbered: list[tuple[int, Hold]],
        answers: list[Reserved | Exception | None],
    ) -> None:
        """Lock, decide, write; a request that cannot be written fails alone."""
        try:
            self._exact_together(conn, numbered, answers)
        except Exception as error:
            if is_lost(error, conn):
                raise
            if half := len(numbered) // 2:
                self._exact(conn, numbered[:half], answers)
                self._exact(conn, numbered[half:], answers)
            else:
                answers[numbered[0][0]] = error

    def _exact_together(
        self,
        conn: Connection[TupleRow],
        numbered: list[tuple[int, Hold]],
        answers: list[Reserved | Exception | None],
    ) -> None:
        patience = Patience()
        while numbered:
            try:
                with conn.transaction():
                    given = self._exact_locked(conn, numbered)
            except psycopg.Error as error:
                if not rivals_won(error):
                    raise
                if is_lock_timeout(error):
                    numbered = _set_aside(conn, numbered, answers)
                if not patience.ends(error):
                    continue
                given = {n: outdone() for n, _ in numbered}
            else:
                self._state.db.notify()
            for n, answer in given.items():
                answers[n] = answer
            return

    def _exact_locked(
        self, conn: Connection[TupleRow], numbered: list[tuple[int, Hold]]
    ) -> dict[int, Reserved | Exception]:
        """The answers, which hold once the transaction is committed."""
        answers: dict[int, Reserved | Exception] = {}
        state = self._state
        fresh = _still_fresh(conn, numbered, answers)
        if not fresh:
            return answers
        now = state.now()
        with state.lock:
            network, asking = state.network, state.asking
        unlimited = network.without_limits()
        items = sorted({i for _, hold in fresh for i, _ in hold.ask.demand})
        locked = lock_stock(conn, items, network.count)
        wait_briefly(conn)
        # Who held these rows until now may have answered the same request.
        fresh = _still_fresh(conn, fresh, answers)
        book = Book(state, unlimited, locked, now, asking)
        made: list[tuple[int, Hold, Decisions]] = []
        for n, hold in fresh:
            decisions, _ = book.decide(hold.ask, None)
            if decisions.count[0]:
                made.append((n, hold, decisions))
            else:
                answers[n] = self._insufficient(book, hold)
        if made:
            decisions = join([d for _, _, d in made])
            written = _write(conn, state, [hold for _, hold, _ in made], list(range(len(made))), decisions, now)
            for (n, _, _), text in zip(made, written.answers, strict=True):
                answers[n] = Reserved(text)
        with state.lock:
            snapshot = state.snapshot
            snapshot.grow(int(locked.item.max(initial=0)), network.count)
            # Read under lock, so right even if this transaction should fail to commit.
            snapshot.apply(locked.item, locked.node, locked.free, locked.version, locked.safety)
        return answers

    def _insufficient(self, book: Book, hold: Hold) -> Conflict:
        nodes = book.network.channel_nodes(hold.ask.channel)
        skus = self._state.catalogue.skus
        missing = {
            skus[item]: units - free
            for item, units in hold.ask.demand
            if (free := book.free_beyond_safety(item, nodes)) < units
        }
        return Conflict(
            "stock.insufficient",
            "not enough available units for all lines" if missing else "no few enough nodes hold all lines together",
            missing=missing,
        )


def _still_fresh(
    conn: Connection[TupleRow],
    numbered: Sequence[tuple[int, Hold]],
    answers: dict[int, Reserved | Exception],
) -> list[tuple[int, Hold]]:
    """Those that nobody has answered under their idempotency key; `answers` takes the answers of the others."""
    fresh: list[tuple[int, Hold]] = []
    for n, hold in numbered:
        earlier = _earlier(conn, hold)
        if earlier is None:
            fresh.append((n, hold))
        else:
            answers[n] = earlier
    return fresh


def _set_aside(
    conn: Connection[TupleRow], numbered: list[tuple[int, Hold]], answers: list[Reserved | Exception | None]
) -> list[tuple[int, Hold]]:
    """Those whose key no other transaction holds at this moment; `answers` says of the others that they are in
    flight."""
    keys = [(hold.actor, hold.key) for _, hold in numbered if hold.key is not None]
    held = idempotency.find_in_flight(conn, ROUTE, keys)
    rest: list[tuple[int, Hold]] = []
    for n, hold in numbered:
        if hold.key is not None and (hold.actor, hold.key) in held:
            answers[n] = IdempotencyInFlight(hold.key)
        else:
            rest.append((n, hold))
    return rest


def _earlier(conn: Connection[TupleRow], hold: Hold) -> Reserved | Exception | None:
    if hold.key is None:
        return None
    try:
        replay = idempotency.find(conn, hold.actor, ROUTE, hold.key, hold.hash)
    except OnhandError as error:
        return error
    return None if replay is None else Reserved(replay.answer, replayed=True)


@dataclass(slots=True, kw_only=True)
class _Written:
    answers: list[str]
    taken: Allocations
    available: Int32
    version: Int32


def _write(
    conn: Connection[TupleRow],
    state: State,
    holds: Sequence[Hold],
    rows: Sequence[int],
    decisions: Decisions,
    now: datetime,
) -> _Written:
    """Write the holds whose decisions stand in `rows`, in this order."""
    position_of = np.zeros(len(decisions.count), np.int32)
    position_of[list(rows)] = np.arange(1, len(rows) + 1)
    line_of = np.zeros(len(decisions.demand_item), np.int32)
    for hold, row in zip(holds, rows, strict=True):
        first = decisions.demand_first[row]
        line_of[first : first + len(hold.line_of)] = hold.line_of
    taken = allocations(decisions, position_of, line_of)
    raw_ids = ids.new_ids(len(holds))
    texts = ids.texts(raw_ids)
    expires = [now + timedelta(seconds=hold.ttl_s) for hold in holds]
    lines: list[list[str]] = [[] for _ in holds]
    sku, nodes = state.catalogue.sku_json, state.network.node_json
    items, at = taken.items.tolist(), taken.nodes.tolist()
    for o, slot, units in zip(taken.order.tolist(), taken.slot.tolist(), taken.units.tolist(), strict=True):
        where = nodes[int(at[slot - 1])]
        lines[int(o) - 1].append('{"sku":%s,"quantity":%d,"node":%s}' % (sku[items[slot - 1]], units, where))
    answers = [
        '{"reservation_id":"%s","expires_at":"%s","lines":[%s]}'
        % (text, rfc3339(microseconds(until) // 1_000_000), ",".join(parts))
        for text, until, parts in zip(texts, expires, lines, strict=True)
    ]
    keyed = [(p + 1, hold) for p, hold in enumerate(holds) if hold.key is not None]
    with conn.cursor(binary=True) as cursor:
        arrays.load_numpy(cursor.adapters)
        row = cursor.execute(
            _RESERVE,
            (
                arrays.uuid(raw_ids),
                arrays.int4([hold.ask.channel.channel_id for hold in holds]),
                arrays.timestamptz([microseconds(until) for until in expires]),
                arrays.int4([hold.actor for hold in holds]),
                arrays.text([hold.reason for hold in holds]),
                arrays.text(
                    [
                        '{"reservation_id":"%s","channel":%s}' % (text, _encode(hold.ask.channel.code).decode())
                        for text, hold in zip(texts, holds, strict=True)
                    ]
                ),
                arrays.int4(taken.items),
                arrays.int4(taken.nodes),
                arrays.int4(taken.totals),
                arrays.int4(taken.entries),
                arrays.int4(taken.order),
                arrays.int4(taken.line),
                arrays.int4(taken.slot),
                arrays.int4(taken.units),
                arrays.int4(taken.cumulative),
                arrays.int4(taken.rank),
                arrays.int4([p for p, _ in keyed]),
                arrays.text([hold.key for _, hold in keyed]),
                arrays.bytea([hold.hash for _, hold in keyed]),
                arrays.text([answers[p - 1] for p, _ in keyed]),
                state.db.origin,
            ),
            prepare=True,
        ).fetchone()
    assert row is not None, "the function returns one row"
    return _Written(answers=answers, taken=taken, available=row[0], version=row[1])
