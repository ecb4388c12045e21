"""Arbitrate oversells between channels: an order waits for units that orders of other channels hold. Who loses less
gives way; the ruling is recorded in one sentence, and taken back by nobody."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM, Actor
from onhand.channels.arbitrate import Claim, Ruling, Way, arbitrate, choose_way
from onhand.db import queries
from onhand.db.outbox import write_events
from onhand.flows.change_orders import Change, Written, write_changes
from onhand.flows.give_up import without_waiting
from onhand.flows.sourcer import Sourcer, tried
from onhand.flows.state import State
from onhand.orders.decide import is_unreleased, withdraw_all
from onhand.orders.model import Order
from onhand.orders.store import lock_orders

SQL = queries(__file__)

_HOLDERS_MAX = 20
# Where nobody knows when a transfer arrives, or whether a customer takes something else instead.
_TRANSFER_DAYS, _SUBSTITUTE_DAYS = 3.0, 1.0

Trade = dict[int, tuple[float, int, int, bool]]
"""channel_id -> (margin rate, penalty in minor units, minor units for a day of waiting, whether to cancel at once)"""


def arbitrate_oversells(state: State, limit: int = 20, *, by: Actor = SYSTEM) -> int:
    """One step: up to `limit` orders that wait for what others hold, first placed first; how many were ruled on."""
    with state.db.connection() as conn:
        found = conn.execute(SQL["find_contested"], {"limit": limit}).fetchall()
    ruled = 0
    for order_id, item, units in found:
        written = state.db.transact(lambda conn, c=(order_id, item, units): _rule(state, conn, *c, by=by))
        if written is not None:
            written.tell(state)
            ruled += 1
    return ruled


def _rule(
    state: State, conn: Connection[TupleRow], order_id: str, item: int, units: int, *, by: Actor
) -> Written | None:
    """Decide one case and carry it out; None: somebody works on the order, or it waits no more."""
    name = {"item": item, "order_id": order_id, "limit": _HOLDERS_MAX}
    holder_ids = [i for (i,) in conn.execute(SQL["find_holders"], name)]
    locked = {o.order_id: o for o in lock_orders(conn, [order_id, *holder_ids], skip=True)}
    waiting = locked.pop(order_id, None)
    if waiting is None or waiting.held:
        return None
    units = sum(w.quantity for w in waiting.waiting if w.item_id == item and w.inbound_id is None)
    holders = [o for o in locked.values() if is_unreleased(o) and not o.held]
    if not units:
        return None
    by_id = {o.order_id: o for o in (waiting, *holders)}
    trade = _trade(conn, [*by_id.values()])
    claims = {o.order_id: _claim(conn, o, item, _held(o, item), trade, state.now()) for o in holders}
    claim = _claim(conn, waiting, item, units, trade, state.now())
    ruling = arbitrate(claim, [c for c in claims.values() if c.units])
    changes = _serve(state, conn, waiting, [locked[i] for i in ruling.give_way], ruling) if ruling.give_way else []
    if ruling.give_way and not changes:
        ruling = Ruling(
            served=ruling.give_way[0], give_way=(), way=claim.way,
            sentence=f"{claim.name} cannot be served from the nodes that hold the units: it gets {claim.way.what}",
        )  # fmt: skip
    lost = [c for c in claims.values() if c.order_id in ruling.give_way] if ruling.give_way else [claim]
    goes = {c.order_id for c in lost if c.way.kind == "cancel" and trade[by_id[c.order_id].channel_id][3]}
    changes = _cancelled(changes, waiting, goes, item, ruling)
    _record(conn, order_id, item, units, ruling)
    about = {c.order_id: c for c in (claim, *lost)}
    told = [_ruled(by_id[i], waiting.skus[item], c, ruling) for i, c in about.items()]
    write_events(conn, told, actor=by, origin=state.db.origin)
    return write_changes(conn, changes, by=by, origin=state.db.origin) if changes else Written()


def _serve(
    state: State, conn: Connection[TupleRow], waiting: Order, losers: Sequence[Order], ruling: Ruling
) -> list[Change]:
    """The waiting order gets what the losers held, and they what else there is; nothing if it cannot be served so."""
    withdrawn = [withdraw_all(o, reason="arbitrated") for o in losers]
    sourcer = Sourcer(state, conn, [waiting, *withdrawn])
    sourcer.give_back(losers)
    served = sourcer.place(
        waiting,
        [w for w in waiting.waiting if not w.is_dated],
        because=ruling.sentence,
        excluded=tried(waiting, sourcer.now),
        partly=bool(waiting.live),
    )
    if not served.found:
        return []
    facts = {"reason": "arbitrated", "why": ruling.sentence}
    changes = [Change(before=waiting, after=served.order, command="source", plans=served.plans, facts=facts)]
    for before, after in zip(losers, withdrawn, strict=True):
        sourced = sourcer.place(
            after, after.waiting, because=ruling.sentence, excluded=tried(before, sourcer.now),
            partly=before.wishes.allow_split,
        )  # fmt: skip
        changes.append(Change(before=before, after=sourced.order, command="withdraw", plans=sourced.plans, facts=facts))
    return changes


def _cancelled(
    changes: Sequence[Change], waiting: Order, goes: Collection[str], item: int, ruling: Ruling
) -> list[Change]:
    """`changes`, and of the orders `goes` the units of the item that wait without a date are cancelled at once: nothing
    can serve them, and their channel would rather tell the customer now."""
    done = {change.after.order_id: change for change in changes}
    facts = {"reason": "arbitrated", "why": ruling.sentence}
    for order_id in sorted(goes):
        change = done.get(order_id) or Change(before=waiting, after=waiting, command="cancel", facts=facts)
        after = without_waiting(change.after, ruling.sentence, item=item)
        if after is not None:
            # To have been withdrawn and to be cancelled is one change of an order: it is written down as the last.
            done[order_id] = replace(change, after=after, command="cancel")
    return [*done.values()]


def _ruled(order: Order, sku: str, claim: Claim, ruling: Ruling) -> tuple[str, str, dict[str, object]]:
    """As it is told in the timeline of an order that it is about."""
    has_it = claim.order_id == ruling.served
    data: dict[str, object] = {
        "order_id": order.order_id, "channel": order.channel, "sku": sku, "units": claim.units,
        "outcome": "served" if has_it else claim.way.kind, "served": ruling.served or None,
        "gave_way": list(ruling.give_way), "sentence": ruling.sentence,
    }  # fmt: skip
    return "arbitration.ruled", order.order_id, data


def _held(order: Order, item: int) -> int:
    return sum(n for f in order.live for (_, i), n in f.left.items() if i == item)


def _trade(conn: Connection[TupleRow], orders: Sequence[Order]) -> Trade:
    channels = sorted({o.channel_id for o in orders})
    rows = conn.execute(SQL["trade_of"], {"channels": channels}).fetchall()
    return {channel: (rate, penalty, late, cancels) for channel, rate, penalty, late, cancels in rows}


def _claim(conn: Connection[TupleRow], order: Order, item: int, units: int, trade: Trade, now: datetime) -> Claim:
    rate, penalty, late, _ = trade[order.channel_id]
    margin = round(rate * sum(line.price_minor * line.open for line in order.lines))
    # What was promised counts: supply that comes before the parcel had to leave makes nobody wait.
    promised = max(now, min((f.ship_by for f in order.live), default=now))
    ways = [] if not units else _ways(conn, order, item, units, promised)
    return Claim(
        order_id=order.order_id,
        channel=order.channel,
        external_id=order.external_id,
        units=units,
        margin_minor=margin,
        penalty_minor=penalty,
        late_minor_per_day=late,
        placed_at=order.placed_at.timestamp(),
        way=choose_way(ways, margin + penalty, late),
    )


def _ways(conn: Connection[TupleRow], order: Order, item: int, units: int, promised: datetime) -> list[Way]:
    values = {"item": item, "units": units, "channel": order.channel_id}
    ways: list[Way] = []
    rows: list[Any] = conn.execute(SQL["ways_of"], values).fetchall()
    for kind, at, name in rows:
        if kind == "backorder":
            if order.wishes.allow_backorder:
                days = max(0.0, (at - promised).total_seconds() / 86_400)
                ways.append(Way(kind="backorder", days=days, what=f"supply of {at:%Y-%m-%d}"))
        elif kind == "transfer":
            ways.append(Way(kind="transfer", days=_TRANSFER_DAYS, what=f"units at {name}"))
        else:
            ways.append(Way(kind="substitute", days=_SUBSTITUTE_DAYS, what=f"{name} instead, if the customer agrees"))
    return ways


def _record(conn: Connection[TupleRow], order_id: str, item: int, units: int, ruling: Ruling) -> None:
    values = {
        "order_id": order_id, "item": item, "units": units, "served": ruling.served or None,
        "gave_way": list(ruling.give_way), "outcome": ruling.way.kind, "sentence": ruling.sentence,
    }  # fmt: skip
    conn.execute(SQL["add_arbitration"], values)
