"""What steps that act on orders share: the next orders that an incident touches, and orders put back as they were."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from onhand.autopilot.model import Target
from onhand.autopilot.store import stake_of
from onhand.flows.playbooks.base import ORDERS_AT_ONCE, At, Nothing, Place
from onhand.flows.playbooks.targets import affected_orders, count_orders
from onhand.flows.sourcer import Sourcer, tried
from onhand.incidents.playbooks.model import LimitIn
from onhand.network.compiled import Network
from onhand.orders.decide import park
from onhand.orders.model import Order, Unit, Wait, total
from onhand.orders.states import ORDER_STEPS, allowed, settle
from onhand.orders.store import Plan, lock_orders

R = TypeVar("R")
# A carrier tells of a delivery within a day; what has no promise should have come in two weeks.
_TOLD_AFTER: Final = timedelta(days=1)
_NO_PROMISE: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Orders that are locked and the run's own; cursor: where the next ones begin, None: these were the last."""

    orders: list[Order]
    cursor: str | None
    others: int


def next_orders(
    at: At[Any], statuses: tuple[str, ...], command: str | None = None, *, at_once: int = ORDERS_AT_ONCE
) -> Batch | Nothing:
    """The next orders that the incident touches and that admit `command`, within the limit of the step. Orders of other
    runs are left out, and those that somebody works on: who works on an order looks after it."""
    most = at_once if at.left.orders is None else min(at_once, at.left.orders)
    if most == 0:
        return Nothing("its limit of orders is reached")
    ids = affected_orders(at.conn, at.case, statuses, after=at.run.cursor, limit=most)
    cursor = ids[-1] if len(ids) == most else None
    if not ids:
        return Nothing("it touches no order" if at.is_first else "it touches no further order")
    mine = at.claim("order", ids)
    found = lock_orders(at.conn, mine, skip=True)
    fit = [o for o in found if command is None or command in allowed(ORDER_STEPS, o.status)]
    if not fit:
        return Nothing("none of the orders that it touches admits it any more", cursor)
    return Batch(orders=fit, cursor=cursor, others=len(ids) - len(mine))


def orders_apart(
    at: At[Any], rows: Sequence[R], order: Callable[[R], Order], statuses: tuple[str, ...], cost: Callable[[R], int]
) -> tuple[list[R], tuple[Target, ...], tuple[Target, ...]]:
    """(those that are acted on, what is judged of them, and of those that are left undone to compare with). What was
    promised for a day that is over is late whatever is done: it is acted on, and says nothing.

    statuses  as of next_orders; cost: minor units that acting on one costs
    """
    if not at.judges:
        return list(rows), (), ()
    told = [row for row in rows if (day := order(row).deliver_by) is None or day > at.now]
    _, held = at.apart(told, lambda row: _order_key(order(row)))
    left = {id(row) for row in held}
    stake = stake_of_order(at, statuses)
    targets = {
        id(row): order_target(at, order(row), stake_minor=stake, promised=order(row).deliver_by, cost_minor=cost(row))
        for row in told
    }  # fmt: skip
    return (
        [row for row in rows if id(row) not in left],
        tuple(targets[id(row)] for row in told if id(row) not in left),
        tuple(targets[id(row)] for row in held),
    )


def order_target(
    at: At[Any], order: Order, *, stake_minor: int, promised: datetime | None, cost_minor: int = 0
) -> Target:
    """What is judged of an order: whether it came by a day, some time after that."""
    judge_at = at.now + _NO_PROMISE if promised is None else max(promised, at.now) + _TOLD_AFTER
    basis = {"promised": None if promised is None else promised.isoformat()}
    return at.target(
        _order_key(order), stake_minor=stake_minor, judge_at=judge_at, basis=basis, cost_minor=cost_minor
    )  # fmt: skip


def stake_of_order(at: At[Any], statuses: tuple[str, ...]) -> int:
    """Minor units at stake of each order that the incident touches; in all parts of the step as in its first one."""
    stake = stake_of(at.conn, at.reference)
    return at.stake(count_orders(at.conn, at.case, statuses)) if stake is None else stake


def _order_key(order: Order) -> tuple[str, str]:
    return "order", order.order_id


def locked(at: Place, ids: Iterable[str]) -> list[Order]:
    """Orders that a step had changed, to be put back."""
    return lock_orders(at.conn, ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What an order had before a step, JSON-ready: units by node and unit that live fulfilments held unshipped, units
    by unit that waited without a date, with their queue, and its promise."""

    held: dict[str, dict[str, int]]
    waited: dict[str, tuple[str, int]]
    deliver_by: datetime | None

    @classmethod
    def of(cls, order: Order) -> dict[str, Any]:
        """As a document."""
        waited: dict[str, list[Any]] = {}
        for w in order.waiting:
            if not w.is_dated:
                there = waited.setdefault(_key(w.unit), [w.queue, 0])
                there[1] += w.quantity
        return {"held": holdings(order), "waited": waited, "deliver_by": order.deliver_by}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Before":
        """The reverse."""
        promised = document["deliver_by"]
        return cls(
            held=document["held"],
            waited={key: (queue, n) for key, (queue, n) in document["waited"].items()},
            deliver_by=None if promised is None else datetime.fromisoformat(promised),
        )


def holdings(order: Order) -> dict[str, dict[str, int]]:
    """Node -> unit -> quantity that live fulfilments hold unshipped, JSON-ready."""
    held: dict[str, dict[str, int]] = {}
    for f in order.live:
        for unit, n in f.left.items():
            at_node = held.setdefault(f.node, {})
            at_node[_key(unit)] = at_node.get(_key(unit), 0) + n
    return held


def placed_as_before(
    sourcer: Sourcer, order: Order, before: Before, network: Network, *, because: str
) -> tuple[Order, tuple[Plan, ...], bool]:
    """`order` with what waits in `to_source` back at the nodes that held it, as far as they can still; else anywhere,
    else it goes on waiting. What it was promised is promised again. Whether all of it is where it was."""
    codes = {code: n for n, code in enumerate(network.node_codes) if n}
    plans: tuple[Plan, ...] = ()
    exact = True
    for node, units in sorted(before.held.items()):
        others = [n for code, n in codes.items() if code != node]
        for_node = _waits(order, {_unit(key): n for key, n in units.items()})
        if not for_node:
            continue
        sourced = sourcer.place(order, for_node, because=because, excluded=others, insist=True)
        exact &= sourced.found
        if sourced.found:
            order, plans = sourced.order, plans + sourced.plans
    rest = _waits(order, None)
    if rest:
        sourced = sourcer.place(order, rest, because=because, excluded=tried(order, sourcer.now), insist=True)
        order, plans = sourced.order, plans + (sourced.plans if sourced.found else ())
        exact = False
    return replace(settle(order), deliver_by=before.deliver_by), plans, exact


def _waits(order: Order, units: Mapping[Unit, int] | None) -> list[Wait]:
    """What was parked to be placed now, of these units, or all of it."""
    fresh = [w for w in order.waiting if w.queue == "to_source" and w.wait_id is None]
    return fresh if units is None else [w for w in fresh if units.get(w.unit, 0) >= w.quantity]


def uncancelled(order: Order, lines: Mapping[int, int], before: Before) -> Order:
    """`order` with so many units of its lines wanted again: those that waited wait in their queue, the others in
    `to_source`, those of one node in one wait. Not settled."""
    units = total(
        ((line.line_no, item), per * lines[line.line_no])
        for line in order.lines
        if lines.get(line.line_no)
        for item, per in line.parts
    )
    grown = tuple(replace(line, cancelled=line.cancelled - lines.get(line.line_no, 0)) for line in order.lines)
    order = replace(order, lines=grown)
    shares = [("to_source", {_unit(k): n for k, n in held.items()}) for _, held in sorted(before.held.items())]
    shares += [(queue, {_unit(key): n}) for key, (queue, n) in sorted(before.waited.items())]
    for queue, most in shares:
        mine = {unit: take for unit, n in most.items() if (take := min(n, units.get(unit, 0)))}
        units = {unit: n - mine.get(unit, 0) for unit, n in units.items()}
        order = park(order, mine, queue)
    return park(order, {unit: n for unit, n in units.items() if n}, "to_source")


def within(rows: Sequence[R], left: LimitIn, *, cost: Callable[[R], int], units: Callable[[R], int]) -> list[R]:
    """The cheapest of `rows` as far as money and units are left for them."""
    money, most = left.money_minor, left.units
    kept: list[R] = []
    for row in sorted(rows, key=cost):
        spent, moved = max(cost(row), 0), units(row)
        if (money is not None and spent > money) or (most is not None and moved > most):
            continue
        money = None if money is None else money - spent
        most = None if most is None else most - moved
        kept.append(row)
    return kept


def ids_of(orders: Sequence[Order]) -> list[str]:
    """Their ids."""
    return [order.order_id for order in orders]


def _key(unit: Unit) -> str:
    return f"{unit[0]}:{unit[1]}"


def _unit(key: str) -> Unit:
    line, item = key.split(":")
    return int(line), int(item)
