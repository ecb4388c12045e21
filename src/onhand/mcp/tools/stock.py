"""Stock: what there is, why a channel is told a number, holds."""

from typing import Any, Final
from urllib.parse import quote

from onhand.mcp import failures
from onhand.mcp.api import Api
from onhand.mcp.model import Json, Stake, Tool, ToolError
from onhand.mcp.schemas import STRING, answer, choice, closed, integer, nullable, rows, strings, text
from onhand.mcp.tools.parts import CURSOR, DESTINATION, IDEMPOTENCY_KEY, LINES, MOMENT, PAGE, page_of, price_of

_SKU: Final = text("the item's sku", most=128)
_NODE: Final = text("code of a node: a warehouse, a store, a third party or a supplier", most=128)
_CHANNEL: Final = text("code of a sales channel, such as a web shop", most=128)
_UNITS: Final = ("on_hand", "unavailable", "allocated", "available", "inbound", "safety_stock")
_COUNTS: Final[Json] = {name: {"type": "integer"} for name in _UNITS}
_ITEM_MAX: Final = 50


async def _search(api: Api, wanted: Json) -> Json:
    if "sku" not in wanted and "q" not in wanted and "node" not in wanted:
        raise ToolError.at("q", "expected q, sku or node: what to look for")
    if "q" in wanted:
        found = await page_of(api, "/v1/items", wanted, most=_ITEM_MAX, q=wanted["q"])
        skus = [item["sku"] for item in found["data"]]
    else:
        found, skus = {"next_cursor": None}, [wanted.get("sku")]
    data: list[Any] = []
    for sku in skus:
        more = None
        while True:
            page = await api.get("/v1/stock", sku=sku, node=wanted.get("node"), limit=1_000, cursor=more)
            data += page["data"]
            more = page["next_cursor"]
            if more is None or len(data) >= 5_000:
                break
    return {"data": data, "skus": [sku for sku in skus if sku], "next_cursor": found["next_cursor"]}


async def _explain(api: Api, wanted: Json) -> Json:
    return await api.get("/v1/availability", **wanted)


async def _promise(api: Api, wanted: Json) -> Json:
    return await api.post("/v1/promises", wanted)


async def _reserve(api: Api, wanted: Json) -> Json:
    return await api.post("/v1/reservations", {k: v for k, v in wanted.items() if k != "idempotency_key"})


async def _weigh_reserve(api: Api, wanted: Json) -> Stake:
    total: int | None = 0
    currencies: set[str] = set()
    for line in wanted["lines"]:
        minor, currency = await price_of(api, line["sku"])
        currencies |= {currency} if currency else set()
        total = None if total is None or minor is None else total + minor * line["quantity"]
    units = sum(line["quantity"] for line in wanted["lines"])
    ttl_s = wanted.get("ttl_s", 900)
    # Amounts of several currencies cannot be added.
    return Stake(
        amount_minor=total if len(currencies) <= 1 else None,
        currency=next(iter(currencies), None),
        sentence=f"hold {units} units of {len(wanted['lines'])} items for {ttl_s} seconds",
        facts={"lines": wanted["lines"], "ttl_s": ttl_s},
    )


async def _release(api: Api, wanted: Json) -> Json:
    return await api.delete(_reservation(wanted))


async def _weigh_release(api: Api, wanted: Json) -> Stake:
    held = await api.get(_reservation(wanted))
    worth = await _weigh_reserve(api, {"lines": held["lines"]})
    units = sum(line["quantity"] for line in held["lines"])
    return Stake(
        amount_minor=0 if held["status"] in ("released", "expired") else worth.amount_minor,
        currency=worth.currency,
        sentence=f"give back {units} units that are held, by the reservation {held['reservation_id']}",
        facts={"status": held["status"], "lines": held["lines"]},
    )


def _reservation(wanted: Json) -> str:
    return f"/v1/reservations/{quote(wanted['reservation_id'], safe='')}"


_HELD: Final = answer(
    {"reservation_id": STRING, "expires_at": STRING, "lines": rows({"sku": STRING, "quantity": {"type": "integer"}})}
)

TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="search_stock",
        title="Find items and their stock",
        description=(
            "Units by item and node: on hand, unavailable (damaged and the like), allocated to orders, available (on"
            " hand less both), inbound. `q` finds items by a part of their sku or name; `sku` or `node` name one"
            " exactly. What a channel may sell is less: see explain_availability."
        ),
        kind="read",
        scopes=("read",),
        input=closed({"q": text("part of a sku or of an item's name"), "sku": _SKU, "node": _NODE} | PAGE),
        output=answer(
            {
                "data": rows({"sku": STRING, "node": STRING} | _COUNTS),
                "skus": strings() | {"description": "items that were found, also those without stock anywhere"},
                "next_cursor": CURSOR,
            }
        ),
        run=_search,
        say=failures.say,
    ),
    Tool(
        name="explain_availability",
        title="Why a channel is told this number",
        description=(
            "What a channel may sell of an item now (ATS), each term of it with its node and its place in the ledger"
            " (available, safety stock, gate, quota, ...: they add up to it), and what can be promised by date (ATP)."
            " `at` asks for a past moment. Without `channel`: over all nodes."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "sku": _SKU,
                "channel": _CHANNEL,
                "date": text("last day to promise for: 2026-03-31", most=10),
                "at": MOMENT | {"description": "a past moment to ask for, RFC 3339"},
            },
            ("sku",),
        ),
        output=answer(
            {
                "sku": STRING,
                "channel": nullable(STRING),
                "ats": {"type": "integer"},
                "terms": rows({"term": STRING, "units": {"type": "integer"}}),
            }
        ),
        run=_explain,
        say=failures.say,
    ),
    Tool(
        name="promise_delivery",
        title="When it could arrive, and from where",
        description=(
            "For a basket and a destination: the cheapest, fastest and greenest way to serve it, each with the date"
            " that can be promised, how sure that is, cost to serve, CO2 and the nodes it ships from. Holds nothing."
        ),
        kind="read",
        scopes=("read",),
        input=closed(
            {
                "channel": _CHANNEL,
                "destination": DESTINATION,
                "lines": LINES,
                "objective": choice("what to weigh most", "margin", "speed", "sustainability"),
                "method": choice("how it reaches the customer", "ship", "pickup", "ship_to_store"),
                "pickup_node": _NODE,
            },
            ("channel", "destination", "lines"),
        ),
        output=answer({"options": rows({"option": STRING, "deliver_by": STRING}), "missing": {"type": "object"}}),
        run=_promise,
        say=failures.say,
    ),
    Tool(
        name="reserve_stock",
        title="Hold units for a cart or a quote",
        description=(
            "Hold units on nodes for a while (15 minutes unless `ttl_s` says otherwise): all lines or none. Fails with"
            " `stock.insufficient` and what is missing. An order may use the hold; otherwise it ends by itself."
        ),
        kind="write",
        scopes=("orders:write",),
        input=closed(
            {
                "channel": _CHANNEL,
                "lines": LINES,
                "destination": DESTINATION,
                "ttl_s": integer("seconds until it ends by itself", least=1, most=86_400),
                "idempotency_key": IDEMPOTENCY_KEY,
            },
            ("channel", "lines"),
        ),
        output=_HELD,
        run=_reserve,
        say=failures.say,
        weigh=_weigh_reserve,
    ),
    Tool(
        name="release_reservation",
        title="Give held units back",
        description="End a reservation at once. One that has ended stays as it is; one that an order has used is kept.",
        kind="write",
        scopes=("orders:write",),
        input=closed({"reservation_id": text("as reserve_stock answered", most=36)}, ("reservation_id",)),
        output=_HELD,
        run=_release,
        say=failures.say,
        weigh=_weigh_release,
        destructive=True,
    ),
)
