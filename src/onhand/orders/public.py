"""Orders as the API shows them, without personal data: JSON-ready."""

from collections.abc import Mapping
from typing import Any

from onhand.orders.model import Fulfilment, Order, Unit

Row = dict[str, Any]


def summary(order: Order) -> Row:
    """Where an order stands: lines, fulfilments and what waits."""
    return {
        "order_id": order.order_id,
        "channel": order.channel,
        "external_id": order.external_id,
        "status": order.status,
        "queue": order.queue,
        "promise": None if order.deliver_by is None else {"deliver_by": order.deliver_by},
        "lines": [
            {
                "line_id": line.line_id,
                "sku": order.skus[line.item_id],
                "quantity": line.quantity,
                "cancelled": line.cancelled,
                "shipped": line.shipped,
                "returned": line.returned,
            }
            for line in order.lines
        ],
        "fulfilments": [fulfilment_row(order, f) for f in order.fulfilments],
        "waiting": waiting_rows(order),
    }


def fulfilment_row(order: Order, f: Fulfilment) -> Row:
    """A fulfilment with its lines; of a dead one those it had when it ended."""
    return {
        "fulfilment_id": order.fulfilment_id(f.number),
        "order_id": order.order_id,
        "plan_id": f"{order.order_id}-p{f.plan_no}",
        "node": f.node,
        "status": f.status,
        "reason": f.reason,
        "carrier": f.carrier,
        "service": f.service,
        "method": f.method,
        "lines": [
            {
                "line_id": order.line(p.line_no).line_id,
                "sku": order.skus[p.item_id],
                "quantity": p.quantity,
                "shipped": p.shipped,
            }
            for p in f.pieces
            if p.quantity
        ],
        "cost": f.cost_by_term,
        "cost_minor": f.cost_minor,
        "co2_g": f.co2_g,
        "ship_by": f.ship_by,
        "deliver_by": f.deliver_by,
    }


def waiting_rows(order: Order) -> list[Row]:
    """Units that no shelf backs yet."""
    return [
        {
            "line_id": order.line(w.line_no).line_id,
            "sku": order.skus[w.item_id],
            "quantity": w.quantity,
            "queue": w.queue,
            "expected_at": w.expected_at,
        }
        for w in order.waiting
    ]


def unit_rows(order: Order, units: Mapping[Unit, int]) -> list[Row]:
    """Units by line."""
    return [
        {"line_id": order.line(line).line_id, "sku": order.skus[item], "quantity": n}
        for (line, item), n in units.items()
    ]
