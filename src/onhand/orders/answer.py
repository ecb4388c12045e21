"""The answer to an order, word for word: given once, and given again when the request is repeated.

An order that is served in full has an answer that says no more than its row and its fulfilments do, and these never
change in what it says: it is not kept, `answer_again` words it as it was.

What the templates take is JSON already, but for order ids and moments.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from onhand.base.dates import microseconds, rfc3339
from onhand.orders.model import TERMS, Others

LINE = '{"line_id":%s,"sku":%s,"quantity":%s}'
COST = "{%s}" % ",".join(f'"{term}":%s' for term in TERMS)
FULFILMENT = (
    '{"fulfilment_id":"%s-f%s","node":%s,"carrier":%s,"service":%s,"lines":[%s],"cost":%s,"cost_minor":%s,"co2_g":%s,'
    '"ship_by":"%s","deliver_by":"%s"}'
)
PROMISE = '{"deliver_by":"%s","confidence":%s}'
ANSWER = '{"order_id":"%s","status":"%s","queue":%s,"promise":%s,"fulfilments":[%s],"waiting":[%s],"plan_id":"%s-p1"}'
# Most orders are one line from one node. Takes order id, deliver by, confidence, order id, node, carrier, service,
# line id, sku, units, cost, its sum, grams, ship by, deliver by, order id.
ANSWER_OF_ONE = ANSWER % (
    "%s",
    "sourced",
    "null",
    PROMISE,
    FULFILMENT % ("%s", 1, "%s", "%s", "%s", LINE, *["%s"] * 5),
    "",
    "%s",
)

_encode = msgspec.json.encode


class Planned(NamedTuple):
    """A fulfilment as it was planned. lines: (line id, sku, units); cost: minor units of each of TERMS, and of terms of
    others."""

    number: int
    node: str
    carrier: str | None
    service: str | None
    lines: Sequence[tuple[str, str, int]]
    cost: tuple[tuple[int, ...], Others]
    cost_minor: int
    co2_g: int
    ship_by: datetime
    deliver_by: datetime


def cost_json(terms: tuple[int, ...], others: Others) -> str:
    """The cost of a fulfilment by term."""
    own = COST % terms
    # Names of terms are plain words.
    return own[:-1] + "".join([f',"{name}":{minor}' for name, minor in others]) + "}" if others else own


def answer_again(order_id: str, fulfilments: Sequence[Planned], confidence: float) -> str:
    """The answer to an order whose first plan served it in full by `fulfilments`."""
    promise = PROMISE % (_moment(max(f.deliver_by for f in fulfilments)), f"{confidence:.4g}")
    worded = ",".join([_fulfilment(order_id, f) for f in fulfilments])
    return ANSWER % (order_id, "sourced", "null", promise, worded, "", order_id)


def _fulfilment(order_id: str, f: Planned) -> str:
    return FULFILMENT % (
        order_id,
        f.number,
        _json(f.node),
        _json(f.carrier),
        _json(f.service),
        ",".join([LINE % (_json(line_id), _json(sku), units) for line_id, sku, units in f.lines]),
        cost_json(*f.cost),
        f.cost_minor,
        f.co2_g,
        _moment(f.ship_by),
        _moment(f.deliver_by),
    )


def _json(text: str | None) -> str:
    return _encode(text).decode()


def _moment(moment: datetime) -> str:
    return rfc3339(microseconds(moment) // 1_000_000)
