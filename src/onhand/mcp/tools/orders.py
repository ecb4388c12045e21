"""Orders: found, with all that happened to them, and why they are served as they are."""

from typing import Any, Final
from urllib.parse import quote

from onhand.mcp import failures
from onhand.mcp.api import Api
from onhand.mcp.model import Json, Tool, ToolError
from onhand.mcp.schemas import ANYTHING, STRING, answer, choice, closed, integer, nullable, rows, strings, text
from onhand.mcp.tools.parts import CURSOR, MOMENT, PAGE, page_of

_STATUSES: Final = (
    "sourced", "backordered", "held", "unfillable", "partly_shipped", "shipped", "delivered", "cancelled",
)  # fmt: skip
_QUEUES: Final = (
    "to_source", "rejected", "unfillable", "held", "backorder", "preorder", "sync_failed", "needs_approval",
)  # fmt: skip
_ORDER_ID: Final = text("as find_orders shows it", most=100)
_CANDIDATES: Final = 10


async def _find(api: Api, wanted: Json) -> Json:
    filters = {name: value for name, value in wanted.items() if name not in PAGE}
    return await page_of(api, "/v1/orders", wanted, **filters)


async def _get(api: Api, wanted: Json) -> Json:
    return await api.get(f"/v1/orders/{quote(await order_id_of(api, wanted), safe='')}")


async def order_id_of(api: Api, wanted: Json) -> str:
    """The id of an order that is named by it, or by the channel's own."""
    if "order_id" in wanted:
        return wanted["order_id"]
    external_id = wanted.get("external_id")
    if external_id is None:
        raise ToolError.at("order_id", "expected order_id, or external_id as the channel calls it")
    found = await api.get("/v1/orders", q=external_id, channel=wanted.get("channel"), limit=1_000)
    ids = [row["order_id"] for row in found["data"] if row["external_id"] == external_id]
    if len(ids) > 1:
        raise ToolError.at("channel", "several channels have such an order: name the channel too")
    if not ids:
        raise ToolError.at(
            "external_id", "no order is called so; find_orders searches for a part of it", "order.not_found"
        )
    return ids[0]


async def _explain(api: Api, wanted: Json) -> Json:
    if "plan_id" in wanted:
        plan_id = wanted["plan_id"]
    else:
        order = await _get(api, wanted)
        if not order["plans"]:
            raise ToolError.at("order_id", "nothing was decided for it yet", "plan.not_found")
        plan_id = order["plans"][-1]["plan_id"]
    plan = await api.get(f"/v1/plans/{quote(plan_id, safe='')}")
    most = wanted.get("candidates", _CANDIDATES)
    # The chosen ones first, then the cheapest; what could not be had at any price last.
    ranked: list[Any] = sorted(
        plan["candidates"], key=lambda c: (not c["chosen"], c.get("cost_minor") is None, c.get("cost_minor") or 0)
    )
    return plan | {"candidates": ranked[:most], "candidates_left_out": max(len(ranked) - most, 0)}


_ONE: Final[Json] = {
    "order_id": _ORDER_ID,
    "external_id": text("what its channel calls it, in place of order_id", most=128),
    "channel": text("where several channels may call one so", most=128),
}

TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="find_orders",
        title="Find orders",
        description=(
            "Orders, newest first, by status, queue (what waits for something), channel, item, node, time, or a part of"
            " their number. An order in a queue needs something: `held` a person, `unfillable` or `backorder` stock."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "status": choice("where it stands", *_STATUSES),
                "queue": choice("what it waits in", *_QUEUES),
                "channel": text("code of a channel", most=128),
                "sku": text("ordered, also as a part of a bundle", most=128),
                "node": text("ships a part of it", most=128),
                "from": MOMENT | {"description": "placed at this time or later, RFC 3339"},
                "to": MOMENT | {"description": "placed before this time, RFC 3339"},
                "q": text("part of the channel's number or of the order_id"),
            }
            | PAGE
        ),
        output=answer(
            {
                "data": rows(
                    {
                        "order_id": STRING,
                        "channel": STRING,
                        "external_id": STRING,
                        "status": STRING,
                        "queue": nullable(STRING),
                        "currency": STRING,
                        "placed_at": STRING,
                        "total_minor": {"type": "integer"},
                    }
                ),
                "next_cursor": CURSOR,
            }
        ),
        run=_find,
        say=failures.say,
    ),
    Tool(
        name="get_order",
        title="An order and all that happened to it",
        description=(
            "One order: lines, where each part ships from, parcels with tracking, returns, what waits and for what, the"
            " promised date, and its timeline: every change, when, by whom and why."
        ),
        kind="read",
        scopes=("read",),
        input=closed(_ONE),
        output=answer(
            {
                "order_id": STRING,
                "status": STRING,
                "queue": nullable(STRING),
                "promise": ANYTHING | {"type": ["object", "null"]},
                "lines": rows({"line_id": STRING, "sku": STRING, "quantity": {"type": "integer"}}),
                "fulfilments": rows({"fulfilment_id": STRING, "node": STRING, "status": STRING}),
                "shipments": rows({"shipment_id": STRING, "tracking": nullable(STRING)}),
                "waiting": rows({"sku": STRING, "quantity": {"type": "integer"}, "queue": STRING}),
                "timeline": rows({"kind": STRING, "at": STRING}),
            }
        ),
        run=_get,
        say=failures.say,
    ),
    Tool(
        name="explain_plan",
        title="Why these nodes ship it",
        description=(
            "The decision behind an order (its latest, or the one named by plan_id): every node that could have served"
            " it with its cost by term, limits that bound, the runner-up and how much it would have cost more, what"
            " would have changed it, and all of that in sentences."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            _ONE
            | {
                "plan_id": text("in place of an order", most=110),
                "candidates": integer(f"nodes to show, {_CANDIDATES} unless said", least=1, most=200),
            }
        ),
        output=answer(
            {
                "plan_id": STRING,
                "policy": STRING,
                "chosen": strings(),
                "cost_minor": {"type": ["integer", "null"]},
                "candidates": rows({"node": STRING, "chosen": {"type": "boolean"}}),
                "candidates_left_out": {"type": "integer"},
                "sentences": strings(),
            }
        ),
        run=_explain,
        say=failures.say,
    ),
)
