"""What a node's answer makes of an order. Pure; orders/decide.py says how stock follows from it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

from onhand.errors import Conflict
from onhand.orders.decide import cut, park, swap
from onhand.orders.model import Fulfilment, Order, Unit
from onhand.orders.states import require_fulfilment, require_order, settle

RejectReason = Literal["not_found", "damaged", "no_capacity", "closed", "other"]
REJECT_REASONS: frozenset[str] = frozenset(get_args(RejectReason))
# Units that a node refuses for these reasons cannot be sold to anybody else either.
UNSELLABLE = frozenset(("not_found", "damaged"))


def advance(order: Order, fulfilment: Fulfilment, command: Literal["accept", "pack"]) -> Order:
    """The node takes the work on, or has packed it. Raises Conflict."""
    _require(order, fulfilment, command)
    status = {"accept": "accepted", "pack": "packed"}[command]
    return settle(swap(order, replace(fulfilment, status=status)))


def ship(order: Order, fulfilment: Fulfilment, units: Mapping[Unit, int]) -> Order:
    """`units`, all of them left in `fulfilment`, leave the node in one shipment. Raises Conflict."""
    _require(order, fulfilment, "ship")
    pieces = tuple(replace(p, shipped=p.shipped + units.get(p.unit, 0)) for p in fulfilment.pieces)
    status = "partly_shipped" if any(p.left for p in pieces) else "shipped"
    shipped = replace(fulfilment, pieces=pieces, status=status)
    return settle(replace(swap(order, shipped), shipments=order.shipments + 1))


def deliver(order: Order, fulfilment: Fulfilment) -> Order:
    """All shipments of it have reached the customer. Raises Conflict."""
    require_fulfilment(order, fulfilment, "deliver")
    require_order(order, "deliver")
    return settle(swap(order, replace(fulfilment, status="delivered")))


def reject(order: Order, fulfilment: Fulfilment, units: Mapping[Unit, int], reason: RejectReason) -> Order:
    """The node cannot ship `units` of it: they wait in `rejected` until they are sourced again. Raises Conflict."""
    require_fulfilment(order, fulfilment, "reject")
    require_order(order, "reject")
    return settle(park(swap(order, cut(fulfilment, units, dead="rejected", reason=reason)), units, "rejected"))


def _require(order: Order, fulfilment: Fulfilment, command: str) -> None:
    require_fulfilment(order, fulfilment, command)
    name = order.fulfilment_id(fulfilment.number)
    if order.held:
        raise Conflict(
            "order.held",
            f"order {order.order_id} is held ({order.wishes.hold or 'see its history'}): release it first",
            order_id=order.order_id,
            fulfilment_id=name,
        )
    if order.waiting and not order.wishes.allow_split:
        raise Conflict(
            "order.incomplete",
            f"order {order.order_id} may not be split, and units of it still wait for supply",
            order_id=order.order_id,
            fulfilment_id=name,
        )
    require_order(order, command)
