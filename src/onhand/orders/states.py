"""What may happen to an order and to a fulfilment, as two tables; every transition of the code is looked up here.

A fulfilment's status is what its node did last. An order's status is never set: `settle` derives it from its lines,
fulfilments and waiting units. So the table of orders says which commands a status admits and where they can lead.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from onhand.errors import Conflict
from onhand.orders.model import Fulfilment, Order, total

SAME = "="
_BEFORE_SHIPPING = "allocated accepted packed"
_ANY_SOURCED = "sourced backordered unfillable"


@dataclass(frozen=True, slots=True)
class Step:
    """One row: in `status`, `command` may lead to `then`; `stock` names the ledger entries it makes."""

    status: str
    command: str
    then: str
    stock: str


def _table(*rows: tuple[str, str, str, str]) -> tuple[Step, ...]:
    """One Step per pair of statuses; `=` stands for the status it had."""
    return tuple(
        Step(status, command, status if then == SAME else then, stock)
        for froms, command, thens, stock in rows
        for status in froms.split()
        for then in thens.split()
    )


# fmt: off
# Event: fulfilment.<then>. "=" with a reject, cancel or withdraw: only a part of it was taken away.
FULFILMENT_STEPS = _table(
    # status                                command     then                     stock
    ("allocated",                           "accept",   "accepted",              ""),
    ("allocated accepted",                  "pack",     "packed",                ""),
    ("allocated accepted packed",           "ship",     "partly_shipped shipped", "ship"),
    ("partly_shipped",                      "ship",     "= shipped",             "ship"),
    ("shipped",                             "deliver",  "delivered",             ""),
    # the node cannot: not found or damaged units become unavailable; the order is sourced again
    (_BEFORE_SHIPPING,                      "reject",   "= rejected",            "release (damage)"),
    ("partly_shipped",                      "reject",   "= shipped",             "release (damage)"),
    # the customer does not want it any more
    (_BEFORE_SHIPPING,                      "cancel",   "= cancelled",           "release"),
    ("partly_shipped",                      "cancel",   "= shipped",             "release"),
    # it is served otherwise: rerouted by hand, or its units turned out not to be there
    (_BEFORE_SHIPPING,                      "withdraw", "= cancelled",           "release"),
    ("partly_shipped",                      "withdraw", "= shipped",             "release"),
)

# Event: order.<then>, whenever status, queue, lines or fulfilments changed.
ORDER_STEPS = _table(
    # status                                command     then                                      stock
    (_ANY_SOURCED,                          "accept",   "=",                                      ""),
    ("partly_shipped",                      "accept",   "=",                                      ""),
    (_ANY_SOURCED,                          "pack",     "=",                                      ""),
    ("partly_shipped",                      "pack",     "=",                                      ""),
    ("sourced",                             "ship",     "partly_shipped shipped",                 "ship"),
    ("backordered unfillable",              "ship",     "partly_shipped",                         "ship"),
    ("partly_shipped",                      "ship",     "= shipped",                              "ship"),
    ("shipped",                             "deliver",  "= delivered",                            ""),
    ("partly_shipped held",                 "deliver",  "=",                                      ""),
    # a node refuses, or units turn out not to be there: sourced again at once
    ("sourced unfillable",                  "reject",   "sourced backordered unfillable",         "release allocate"),
    ("backordered",                         "reject",   "= unfillable",                           "release allocate"),
    ("partly_shipped held",                 "reject",   "=",                                      "release allocate"),
    ("sourced unfillable",                  "withdraw", "sourced backordered unfillable",         "release allocate"),
    ("backordered",                         "withdraw", "= unfillable",                           "release allocate"),
    ("partly_shipped held",                 "withdraw", "=",                                      "release allocate"),
    # a person wants another node, or another try
    (_ANY_SOURCED,                          "reroute",  "sourced backordered unfillable",         "release allocate"),
    ("partly_shipped",                      "reroute",  "=",                                      "release allocate"),
    # together with other orders it is cheaper from elsewhere, and nobody has begun to work on it
    ("sourced",                             "reoptimise", "=",                                    "release allocate"),
    # the channel wants more than it did
    ("sourced unfillable cancelled",        "extend",   "sourced backordered unfillable",         "allocate"),
    ("backordered",                         "extend",   "= unfillable",                           "allocate"),
    ("partly_shipped held",                 "extend",   "=",                                      "allocate"),
    ("shipped delivered",                   "extend",   "partly_shipped",                         "allocate"),
    # supply has come, for what waits
    ("backordered unfillable",              "source",   "sourced backordered unfillable",         "allocate"),
    ("partly_shipped held",                 "source",   "=",                                      "allocate"),
    ("sourced",                             "cancel",   "= cancelled",                            "release"),
    ("backordered",                         "cancel",   "= sourced cancelled",                    "release"),
    ("unfillable",                          "cancel",   "= sourced backordered cancelled",        "release"),
    ("partly_shipped held",                 "cancel",   "= shipped delivered",                    "release"),
    ("held",                                "cancel",   "cancelled",                              "release"),
    (_ANY_SOURCED,                          "hold",     "held",                                   ""),
    ("partly_shipped",                      "hold",     "held",                                   ""),
    ("held",                                "release",  "sourced backordered unfillable partly_shipped", "allocate"),
    # another day, for what is still to come
    (_ANY_SOURCED,                          "repromise", "=",                                     ""),
    ("partly_shipped held shipped",         "repromise", "=",                                     ""),
    ("partly_shipped held shipped delivered", "return", "=",                                      "return (damage)"),
)
# fmt: on

FULFILMENT_STATUSES = (
    "allocated", "accepted", "packed", "partly_shipped", "shipped", "delivered", "rejected", "cancelled",
)  # fmt: skip
ORDER_STATUSES = (
    "sourced", "backordered", "held", "unfillable", "partly_shipped", "shipped", "delivered", "cancelled",
)  # fmt: skip

# Which of several reasons to wait an order shows: the one that needs a person most.
QUEUES = (
    "needs_approval", "sync_failed", "rejected", "unfillable", "to_source", "held", "preorder", "backorder",
)  # fmt: skip


def order_status(order: Order) -> str:
    """The status that lines, fulfilments and waiting units of `order` amount to."""
    if all(line.open == 0 for line in order.lines):
        return "cancelled"
    live = order.live
    if not order.waiting and all(f.status in ("shipped", "delivered") for f in live):
        return "delivered" if all(f.status == "delivered" for f in live) else "shipped"
    if order.held:
        return "held"
    if any(f.shipped for f in live):
        return "partly_shipped"
    if any(not w.is_dated for w in order.waiting):
        return "unfillable"
    return "backordered" if order.waiting else "sourced"


def order_queue(order: Order) -> str | None:
    """The queue an order stands in: held, or what its waiting units need first."""
    if order.held:
        return "held"
    queues = {w.queue for w in order.waiting}
    return next((q for q in QUEUES if q in queues), None)


def settle(order: Order) -> Order:
    """`order` with everything that is derived brought up to date: counts of live fulfilments, shipped units of lines,
    status and queue. A hold ends with the last unit that could be held."""
    fulfilments = tuple(_count(f) for f in order.fulfilments)
    shipped = total((p.unit, p.shipped) for f in fulfilments for p in f.pieces)
    lines = tuple(
        replace(line, shipped=min(shipped.get((line.line_no, item), 0) // per for item, per in line.parts))
        for line in order.lines
    )
    order = replace(order, lines=lines, fulfilments=fulfilments)
    status = order_status(order)
    order = replace(order, status=status, held=order.held and status == "held")
    return replace(order, queue=order_queue(order))


def _count(fulfilment: Fulfilment) -> Fulfilment:
    if not fulfilment.is_live:
        return fulfilment
    return replace(
        fulfilment,
        lines=len({p.item_id for p in fulfilment.pieces if p.quantity}),
        units=sum(p.quantity for p in fulfilment.pieces),
    )


def allowed(steps: Iterable[Step], status: str) -> list[str]:
    """Commands that `status` admits."""
    return sorted({step.command for step in steps if step.status == status})


def offered(status: str) -> list[str]:
    """Commands that `status` of an order admits and somebody may give: only what a channel says gives `extend`."""
    return [command for command in allowed(ORDER_STEPS, status) if command != "extend"]


def require_order(order: Order, command: str) -> None:
    """Raises Conflict `order.not_allowed` unless the order's status admits `command`."""
    if command not in allowed(ORDER_STEPS, order.status):
        commands = offered(order.status)
        raise Conflict(
            "order.not_allowed",
            f"order {order.order_id} is {order.status}: {_offer(command, commands)}",
            order_id=order.order_id,
            state=order.status,
            allowed=commands,
        )


def require_fulfilment(order: Order, fulfilment: Fulfilment, command: str) -> None:
    """Raises Conflict `fulfilment.not_allowed` unless the fulfilment's status admits `command`."""
    commands = allowed(FULFILMENT_STEPS, fulfilment.status)
    if command not in commands:
        name = order.fulfilment_id(fulfilment.number)
        raise Conflict(
            "fulfilment.not_allowed",
            f"fulfilment {name} is {fulfilment.status}: {_offer(command, commands)}",
            fulfilment_id=name,
            state=fulfilment.status,
            allowed=commands,
        )


def _offer(command: str, commands: list[str]) -> str:
    return f"cannot {command} it; possible now: {', '.join(commands) or 'nothing'}"


def check(before: Order, after: Order, command: str) -> None:
    """An internal promise: what `command` made of an order and of its fulfilments stands in the tables."""
    step = (before.status, command, after.status)
    assert step in _ORDER_TRIPLES, f"not in ORDER_STEPS: {step}"
    for f in before.fulfilments:
        then = after.fulfilment(f.number)
        assert then is not None, f"fulfilment {f.number} of order {before.order_id} is gone"
        moved = f.status, then.status
        assert f.status == then.status or moved in _FULFILMENT_PAIRS, f"not in FULFILMENT_STEPS: {moved}"


_FULFILMENT_PAIRS = frozenset((s.status, s.then) for s in FULFILMENT_STEPS)
_ORDER_TRIPLES = frozenset((s.status, s.command, s.then) for s in ORDER_STEPS)
