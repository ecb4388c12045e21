"""Take in what channels say of their orders, and have our own follow.

Two steps, so that nothing is lost or done twice. `hear` writes down what was said, if it is news: one transaction,
together with whatever brought it. `Follower.follow` then makes our orders what was heard: it can be broken off anywhere
and begun again, because an order is placed once under its channel and external id, and a change is the difference to
what was followed last, written in the transaction of the change.
"""

import queue
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import psycopg
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.channels.inbound import store
from onhand.channels.inbound.decide import (
    Follow,
    Heard,
    Known,
    compare,
    entry_of,
    follow,
    is_later,
    order_in,
    retry_s,
    wanted_of,
)
from onhand.channels.inbound.store import Row
from onhand.connectors._sdk.values import OrderLine
from onhand.db import Database
from onhand.errors import Conflict, DatabaseUnavailable, InvalidInput, OnhandError
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.intake import Intake, NotKnown, prepare
from onhand.flows.place_orders import Desk, Placed
from onhand.flows.second_look import look_again
from onhand.flows.sourcer import Sourcer, tried
from onhand.flows.state import State
from onhand.orders.decide import Amount, cancel, extend, hold, release
from onhand.orders.intake import OrderIn
from onhand.orders.model import Line, Order
from onhand.orders.states import ORDER_STEPS, allowed, settle
from onhand.orders.store import lock_order

log = structlog.get_logger(__name__)

# A refused order may become possible without anybody telling us: a currency, a channel that was closed.
_REFUSED_AGAIN_S = 3_600.0
_DESKS = 2


class Channel(NamedTuple):
    """Of which channel something is said; an Account has the same names."""

    channel_id: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What news there were. ask: orders of which only the channel can say how they are."""

    new: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    ask: list[str] = field(default_factory=list[str])


def hear(conn: Connection[TupleRow], channel_id: int, heard: Sequence[Heard], *, can_ask: bool = True) -> Hearing:
    """Write down what was heard, in the caller's transaction. can_ask: the channel can be asked for one order."""
    hearing = Hearing()
    firsts: dict[str, Heard] = {}
    for h in heard:
        firsts.setdefault(h.said.external_id, h)
    if not firsts:
        return hearing
    new = store.add_orders(conn, channel_id, [firsts[i] for i in sorted(firsts)])
    hearing.new.extend(sorted(new))
    rows = store.lock_rows(conn, channel_id, [*firsts])
    known = {i: row.known for i, row in rows.items()}
    for h in heard:
        external_id = h.said.external_id
        news = compare(known[external_id], h)
        if news == "ask" and can_ask:
            hearing.ask.append(external_id)
        elif news == "newer" or (news == "ask" and is_later(known[external_id].said, h.said)):
            store.update_said(conn, channel_id, h)
            known[external_id] = Known(h.said, h.said_at, h.read_at)
            hearing.changed.append(external_id)
    return hearing


class Follower:
    """Makes our orders what channels said of them. Thread-safe."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._db: Database = state.db
        self._desks: queue.SimpleQueue[Desk] = queue.SimpleQueue()
        self._made = [Desk(state) for _ in range(_DESKS)]
        for desk in self._made:
            self._desks.put(desk)

    @property
    def state(self) -> State:
        """What it knows of items, nodes and channels."""
        return self._state

    def close(self) -> None:
        """Release its connections; nobody may be following any more."""
        for desk in self._made:
            desk.close()

    def follow_some(self, channel: Channel, limit: int = 200) -> int:
        """Follow what is behind, from whatever cause; how many orders were looked at."""
        with self._db.connection() as conn:
            ids = store.behind(conn, channel.channel_id, limit)
        self.follow(channel, ids)
        return len(ids)

    def follow(self, channel: Channel, external_ids: Iterable[str]) -> None:
        """Place or change our orders with these ids as far as they are behind. Raises DatabaseUnavailable; what else
        stands in the way is written down with the order."""
        ids = sorted(set(external_ids))
        if not ids:
            return

        def look(conn: Connection[TupleRow]) -> tuple[dict[str, Row], dict[str, str]]:
            rows = store.lock_rows(conn, channel.channel_id, ids)
            here = store.orders_here(conn, channel.channel_id, ids)
            if found := {i: order_id for i, order_id in here.items() if rows[i].order_id is None}:
                store.set_found(conn, channel.channel_id, found)
            return {i: row for i, row in rows.items() if row.taken < row.version or i in found}, here

        late, here = self._db.transact(look)
        self._place(channel, [row for i, row in late.items() if i not in here])
        for external_id in late:
            if external_id in here:
                self._change(channel, external_id, here[external_id])

    # Orders that we do not have -----------------------------------------------------------------------------------

    def _place(self, channel: Channel, rows: Sequence[Row]) -> None:
        placing: list[tuple[Row, Intake]] = []
        for row in rows:
            entry = entry_of(row.said)
            if entry.status != "new":
                self._write(lambda conn, r=row, e=entry: store.set_taken(
                    conn, channel.channel_id, r, status=e.status, problem=e.problem
                ))  # fmt: skip
                continue
            intake = self._intake(channel, row, entry.hold)
            if intake is not None:
                placing.append((row, intake))
        placing = self._begun(channel, placing)
        if not placing:
            return
        with self._desk() as desk:
            answers = desk.place([intake for _, intake in placing])
        for (row, _), answer in zip(placing, answers, strict=True):
            self._placed(channel, row, answer)

    def _begun(self, channel: Channel, placing: Sequence[tuple[Row, Intake]]) -> list[tuple[Row, Intake]]:
        """Those that are still as they were, once it is written down that ours may stand: another may hear that one was
        cancelled before he can see ours, and we may die before we have said that it stands."""

        def begin(conn: Connection[TupleRow]) -> list[tuple[Row, Intake]]:
            rows = store.lock_rows(conn, channel.channel_id, [row.external_id for row, _ in placing])
            still = [(row, intake) for row, intake in placing if rows[row.external_id].version == row.version]
            store.set_may_stand(conn, channel.channel_id, [row.external_id for row, _ in still])
            return still

        return self._db.transact(begin) if placing else []

    def _intake(self, channel: Channel, row: Row, hold_because: str | None) -> Intake | None:
        """The order, checked; None once it is written down why there is none."""
        lines = [line for line in row.said.lines if line.line_id in wanted_of(row.said)]
        with self._db.connection() as conn:
            skus, missing = self._skus(conn, channel, lines)
        if missing:
            self._miss(channel, row, missing)
            return None
        by = _by(channel)
        services = self._state.network.service_codes
        order = order_in(row.said, channel.code, skus, hold=hold_because, services=list(services))

        def check() -> Intake:
            valid = msgspec.convert(msgspec.to_builtins(order), OrderIn)
            return prepare(self._state, valid, actor=by.key_id, reason=by.reason, key=None, now=self._state.now())

        try:
            try:
                return check()
            except NotKnown as error:
                return look_again(self._state, error, check)
        except (InvalidInput, msgspec.ValidationError, ValueError) as error:
            because = str(error)
            self._write(lambda conn: store.set_stuck(
                conn, channel.channel_id, row, status="refused", problem=because, seconds=_REFUSED_AGAIN_S
            ))  # fmt: skip
            return None

    def _placed(self, channel: Channel, row: Row, answer: Placed | Exception) -> None:
        if isinstance(answer, Placed):
            order_id = str(msgspec.json.decode(answer.answer)["order_id"])
            self._write(lambda conn: store.set_taken(
                conn, channel.channel_id, row, status="taken", wanted=wanted_of(row.said), order_id=order_id
            ))  # fmt: skip
            return
        if isinstance(answer, DatabaseUnavailable):
            raise answer
        # Placed meanwhile, by somebody else or from an older state, or too many rivals: the next look tells.
        log.info(
            "an order of a channel is looked at again", channel=channel.code, order=row.external_id, why=str(answer)
        )
        self._write(lambda conn: store.set_stuck(
            conn, channel.channel_id, row, status=row.status, problem=str(answer), seconds=1.0
        ))  # fmt: skip

    def _skus(
        self, conn: Connection[TupleRow], channel: Channel, lines: Sequence[OrderLine]
    ) -> tuple[dict[str, str], list[str]]:
        """Our sku of each line, and the names of those that are not known."""
        ids = sorted({line.external_item_id for line in lines if line.external_item_id})
        theirs = sorted({line.sku for line in lines if line.sku})
        by_id, by_sku = store.skus_of(conn, channel.channel_id, ids, theirs)
        skus: dict[str, str] = {}
        missing: list[str] = []
        for line in lines:
            sku = by_id.get(line.external_item_id) or by_sku.get(line.sku)
            if sku is None:
                missing += [name for name in (line.external_item_id, line.sku) if name]
            else:
                skus[line.line_id] = sku
        return skus, missing or ([""] if len(skus) < len({line.line_id for line in lines}) else [])

    def _miss(self, channel: Channel, row: Row, missing: Sequence[str]) -> None:
        problem = f"no listing or item is known as {', '.join(map(repr, missing[:10]))}"
        self._write(lambda conn: store.set_stuck(
            conn, channel.channel_id, row, status="unknown_sku", problem=problem, missing=missing
        ))  # fmt: skip

    # Orders that we have ------------------------------------------------------------------------------------------

    def _change(self, channel: Channel, external_id: str, order_id: str) -> None:
        try:
            written = self._db.transact(lambda conn: self._follow_one(conn, channel, external_id, order_id))
        except DatabaseUnavailable:
            raise
        except (OnhandError, psycopg.Error, AssertionError) as error:
            log.exception("an order does not follow its channel", channel=channel.code, order=external_id)
            because = str(error)

            def write(conn: Connection[TupleRow]) -> None:
                row = store.lock_rows(conn, channel.channel_id, [external_id])[external_id]
                store.set_stuck(
                    conn, channel.channel_id, row, status=row.status, problem=because, seconds=retry_s(4),
                    order_id=order_id,
                )  # fmt: skip

            self._write(write)
            return
        for one in written:
            one.tell(self._state)

    def _follow_one(
        self, conn: Connection[TupleRow], channel: Channel, external_id: str, order_id: str
    ) -> list[Written]:
        row = store.lock_rows(conn, channel.channel_id, [external_id])[external_id]
        if row.taken >= row.version:
            return []
        order = lock_order(conn, order_id)
        what = follow(order, row.wanted, row.said)
        skus, missing = self._skus(conn, channel, what.new) if what.new else ({}, [])
        by = _by(channel)
        written: list[Written] = []
        for command, change in _changes(self._state, what, skus, by):
            before = lock_order(conn, order_id)
            made = change(conn, before)
            if made.after != before:
                written.append(write_changes(conn, [made], by=by, origin=self._db.origin))
            else:
                log.info("nothing to change", channel=channel.code, order=external_id, command=command)
        wanted = wanted_of(row.said)
        if missing:
            wanted = {
                line_id: n
                for line_id, n in wanted.items()
                if line_id not in {x.line_id for x in what.new} or line_id in skus
            }
            problem = f"no listing or item is known as {', '.join(map(repr, missing[:10]))}"
            store.set_stuck(
                conn, channel.channel_id, row, status="unknown_sku", problem=problem, missing=missing, wanted=wanted,
                order_id=order_id,
            )  # fmt: skip
        else:
            store.set_taken(
                conn, channel.channel_id, row, status="taken", problem=what.problem, wanted=wanted, order_id=order_id
            )
        return written

    @contextmanager
    def _desk(self) -> Generator[Desk]:
        desk = self._desks.get()
        try:
            yield desk
        finally:
            self._desks.put(desk)

    def _write(self, work: Callable[[Connection[TupleRow]], None]) -> None:
        self._db.transact(work)


def _by(channel: Channel) -> Actor:
    return Actor(key_id=0, reason=f"channel {channel.code}")


_Make = Callable[[Connection[TupleRow], Order], Change]


def _changes(state: State, what: Follow, skus: Mapping[str, str], by: Actor) -> list[tuple[str, _Make]]:
    """The commands, one after the other, that `what` amounts to."""
    steps: list[tuple[str, _Make]] = []
    if what.cancel:
        rows = [Amount(line_id=line_id, quantity=n) for line_id, n in what.cancel.items()]
        steps.append(
            ("cancel", lambda _, o: Change(before=o, after=cancel(o, rows, reason=by.reason), command="cancel"))
        )
    new = [line for line in what.new if line.line_id in skus]
    if what.more or new:
        steps.append(("extend", lambda conn, o: _extend(state, conn, o, what.more, new, skus)))
    if what.release:
        steps.append(("release", lambda conn, o: _release(state, conn, o)))
    if what.hold is not None:
        reason = what.hold
        steps.append(
            ("hold", lambda _, o: Change(before=o, after=_held(o, reason), command="hold", facts={"hold": reason}))
        )
    return steps


def _held(order: Order, reason: str) -> Order:
    """Held, unless it has ended: what was to be added may be of no sku that we know."""
    return hold(order, reason) if "hold" in allowed(ORDER_STEPS, order.status) else order


def _extend(
    state: State,
    conn: Connection[TupleRow],
    order: Order,
    more: Mapping[str, int],
    new: Sequence[OrderLine],
    skus: Mapping[str, str],
) -> Change:
    """Order more of it, and source that; of an order that is held it waits."""
    numbers = {line.line_id: line.line_no for line in order.lines}
    lines, names = _new_lines(state, order, new, skus)
    extended = extend(order, {numbers[line_id]: n for line_id, n in more.items()}, lines, names)
    if order.held:
        return Change(before=order, after=settle(extended), command="extend")
    sourcer = Sourcer(state, conn, [extended])
    fresh = [w for w in extended.waiting if w.wait_id is None]
    sourced = sourcer.place(
        extended,
        fresh,
        because="the channel wants more",
        excluded=tried(order, sourcer.now),
        partly=order.wishes.allow_split,
    )
    return Change(before=order, after=sourced.order, command="extend", plans=sourced.plans)


def _new_lines(
    state: State, order: Order, new: Sequence[OrderLine], skus: Mapping[str, str]
) -> tuple[list[Line], dict[int, str]]:
    wanted = sorted({skus[line.line_id] for line in new})
    if unknown := [sku for sku in wanted if sku not in state.catalogue.ids]:
        state.learn_items(unknown)
    catalogue = state.catalogue
    lines: list[Line] = []
    names: dict[int, str] = {}
    for number, line in enumerate(new, len(order.lines) + 1):
        sku = skus[line.line_id]
        item = catalogue.ids.get(sku)
        if item is None:
            raise Conflict("item.not_found", f"no item {sku!r}")
        components = tuple(sorted(catalogue.bundles.get(item, ())))
        for part, _ in components or ((item, 1),):
            names[part] = catalogue.skus[part]
        names[item] = sku
        lines.append(
            Line(
                line_no=number, line_id=line.line_id, item_id=item, quantity=line.quantity - line.cancelled,
                price_minor=max(0, line.price_minor), tax_minor=line.tax_minor, components=components,
            )
        )  # fmt: skip
    return lines, names


def _release(state: State, conn: Connection[TupleRow], order: Order) -> Change:
    """End a hold, and source what waited for it."""
    released = release(order)
    sourcer = Sourcer(state, conn, [released])
    waits = [w for w in released.waiting if not w.is_dated]
    sourced = sourcer.place(
        released, waits, because="the channel let it go", excluded=tried(order, sourcer.now), partly=bool(order.live)
    )
    return Change(before=order, after=sourced.order, command="release", plans=sourced.plans)


__all__ = ["Channel", "Follower", "Heard", "Hearing", "hear"]
