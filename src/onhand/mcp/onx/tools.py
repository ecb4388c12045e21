"""The twelve tools of the standard."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from onhand.mcp.api import Api, Refused
from onhand.mcp.model import Json, Kind, Stake, Tool, ToolError, Weigh
from onhand.mcp.onx import schemas, translate
from onhand.mcp.onx.errors import cannot, say
from onhand.mcp.schemas import answer, strings
from onhand.mcp.tools.parts import price_of

_PAGE_MAX: Final = 100
_SKIP_MAX: Final = 5_000
_NAMED_MAX: Final = 100
_OPEN: Final = ("allocated", "accepted", "packed", "partly_shipped")
_HELD: Final = ("held", "on_hold", "on hold")
_RELEASED: Final = ("released", "open", "sourced")
_UPDATES: Final = ("status", "orderNote", "shippingAddress")


# Reading ------------------------------------------------------------------------------------------


async def _get_orders(api: Api, wanted: Json) -> Json:
    _refuse_times(wanted, "orders", created=True)
    size, skip = _window(wanted)
    statuses: Sequence[str] | None = wanted.get("statuses")
    if _is_asked(wanted, "ids", "externalIds", "names"):
        found = [await _order(api, one) for one in _few(wanted.get("ids", ()), "ids")]
        for name in _few([*wanted.get("externalIds", ()), *wanted.get("names", ())], "externalIds"):
            found += await _orders_called(api, name)
        named = [order for order in found if order is not None and (statuses is None or order["status"] in statuses)]
        return _orders(named[skip : skip + size], wanted)
    rows = await _listed_orders(api, wanted, [None] if statuses is None else statuses, skip + size)
    # Only what is shown is read in full.
    shown = [await _order(api, row["order_id"]) for row in rows[skip : skip + size]]
    return _orders([order for order in shown if order is not None], wanted)


async def _listed_orders(api: Api, wanted: Json, statuses: Sequence[str | None], most: int) -> list[Json]:
    rows: list[Json] = []
    for status in statuses:
        cursor, of_status = None, list[Json]()
        while len(of_status) < most:
            try:
                page = await api.get(
                    "/v1/orders", status=status, limit=min(most - len(of_status), 1_000), cursor=cursor,
                    from_=wanted.get("createdAtMin"), to=_after(wanted.get("createdAtMax")),
                )  # fmt: skip
            except Refused as error:
                if error.status == 422 and status is not None:
                    break  # no order is ever in a status that we do not have
                raise
            of_status += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        rows += of_status
    return (
        sorted(rows, key=lambda row: (row["placed_at"], row["order_id"]), reverse=True) if len(statuses) > 1 else rows
    )


def _after(moment: str | None) -> str | None:
    """Ours ends before a moment, theirs with it: a microsecond later."""
    if moment is None:
        return None
    return (datetime.fromisoformat(moment) + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")


async def _orders_called(api: Api, name: str) -> list[Json | None]:
    """Orders with that number, of whatever channel."""
    if not 0 < len(name) <= 200:
        return []
    rows = (await api.get("/v1/orders", q=name, limit=1_000))["data"]
    return [await _order(api, row["order_id"]) for row in rows if row["external_id"] == name]


def _orders(found: Sequence[Json], wanted: Json) -> Json:
    with_lines = wanted.get("includeLineItems", True)
    return {"success": True, "orders": [translate.order(order, with_lines=with_lines) for order in found]}


async def _get_fulfillments(api: Api, wanted: Json) -> Json:
    _refuse_times(wanted, "fulfillments")
    size, skip = _window(wanted)
    orders: dict[str, Json | None] = {}
    parts: list[tuple[Json, Json]] = []
    if _is_asked(wanted, "ids", "orderIds"):
        ids: Sequence[str] = wanted.get("ids") or []
        order_ids = [*wanted.get("orderIds", ()), *(one.rpartition("-f")[0] for one in ids)]
        for order_id in dict.fromkeys(_few(order_ids, "orderIds")):
            order = await _order(api, order_id)
            if order is not None:
                whole = order_id in wanted.get("orderIds", ())
                parts += [(order, p) for p in order["fulfilments"] if whole or p["fulfilment_id"] in ids]
        shown = parts[skip : skip + size]
    else:
        rows = await _pages(api, "/v1/fulfilments", skip + size)
        for row in rows[skip : skip + size]:
            if row["order_id"] not in orders:
                orders[row["order_id"]] = await _order(api, row["order_id"])
            if (order := orders[row["order_id"]]) is not None:
                parts.append((order, row))
        shown = parts
    return {"success": True, "fulfillments": [translate.fulfillment(order, part) for order, part in shown]}


async def _get_inventory(api: Api, wanted: Json) -> Json:
    locations: Sequence[str] | None = wanted.get("locationIds")
    found: list[Json] = []
    for sku in dict.fromkeys(_few(wanted["skus"], "skus")):
        rows = await _pages(api, "/v1/stock", 10_000, sku=sku) if 0 < len(sku) <= 128 else []
        if locations is None:
            found += [translate.inventory(sku, translate.EVERYWHERE, rows)] if rows else []
        else:
            found += [translate.inventory(sku, row["node"], [row]) for row in rows if row["node"] in locations]
    return {"success": True, "inventory": found}


async def _get_products(api: Api, wanted: Json) -> Json:
    items = await _items(api, wanted, "ids", "skus")
    return {"success": True, "products": [translate.product(item) for item in items]}


async def _get_variants(api: Api, wanted: Json) -> Json:
    items = await _items(api, wanted, "variantIds", "skus", "productIds")
    return {"success": True, "productVariants": [translate.variant(item) for item in items]}


async def _items(api: Api, wanted: Json, *lists: str) -> list[Json]:
    _refuse_times(wanted, "products")
    size, skip = _window(wanted)
    if not _is_asked(wanted, *lists):
        return (await _pages(api, "/v1/items", skip + size))[skip:]
    skus = list(dict.fromkeys(sku for name in lists for sku in wanted.get(name, ())))[skip : skip + size]
    found = [await _found(api.get(f"/v1/items/{quote(sku, safe='')}")) for sku in skus]
    return [item for item in found if item is not None]


async def _get_customers(api: Api, wanted: Json) -> Json:
    _refuse_times(wanted, "customers")
    size, skip = _window(wanted)
    if not _is_asked(wanted, "ids", "emails"):
        raise cannot("ids", "customers are found by ids or emails: personal data is not listed")
    people: dict[str, Json] = {}
    for one in _few(wanted.get("ids", ()), "ids"):
        if known := await _found(api.get(f"/v1/customers/{quote(one, safe='')}/export")):
            people[known["customer"]["customer_id"]] = known["customer"]
    for email in _few(wanted.get("emails", ()), "emails"):
        for person in (await api.get("/v1/customers", email=email))["data"]:
            people[person["customer_id"]] = person
    shown = list(people.values())[skip : skip + size]
    return {"success": True, "customers": [translate.customer(person) for person in shown]}


async def _get_returns(api: Api, wanted: Json) -> Json:
    _refuse_times(wanted, "returns")
    for name in ("returnNumbers", "statuses", "outcomes"):
        if name in wanted:
            raise cannot(name, "returns are found by their ids or those of their orders")
    if not _is_asked(wanted, "ids", "orderIds"):
        raise cannot("orderIds", "returns are found by their ids or those of their orders: name some")
    size, skip = _window(wanted)
    ids: Sequence[str] = wanted.get("ids") or []
    asked: Sequence[str] = wanted.get("orderIds") or []
    found: list[Json] = []
    for order_id in dict.fromkeys(_few([*asked, *(one.rpartition("-r")[0] for one in ids)], "orderIds")):
        order = await _order(api, order_id)
        if order is not None:
            rows = [row for row in order["returns"] if order_id in asked or row["return_id"] in ids]
            found += [translate.returned(order, row) for row in rows]
    return {"success": True, "returns": found[skip : skip + size]}


# Writing ------------------------------------------------------------------------------------------


async def _create_order(api: Api, wanted: Json) -> Json:
    body, ignored = await _new_order(api, wanted)
    made = await api.post("/v1/orders", body)
    return await _order_result(api, made["order_id"]) | {"ignored": ignored}


async def _new_order(api: Api, wanted: Json) -> tuple[Json, list[str]]:
    order = wanted["order"]
    unpriced = {line["sku"] for line in order["lineItems"] if "unitPrice" not in line}
    prices: dict[str, int | None] = {}
    for sku in unpriced:
        price, currency = await price_of(api, sku)
        prices[sku] = price if currency == order.get("currency") else None
    return translate.new_order(order, prices, once=api.once)


async def _weigh_order(api: Api, wanted: Json) -> Stake:
    body, ignored = await _new_order(api, wanted)
    total = sum(line["price_minor"] * line["quantity"] for line in body["lines"])
    units = sum(line["quantity"] for line in body["lines"])
    return Stake(
        amount_minor=total,
        currency=body["currency"],
        sentence=f"place an order of {units} units in {len(body['lines'])} lines",
        facts={"channel": body["channel"], "lines": body["lines"], "ignored": ignored},
    )


async def _cancel(api: Api, wanted: Json) -> Json:
    if wanted.get("notifyCustomer"):
        raise cannot("notifyCustomer", "customers are written to by playbooks: leave it out")
    body = None
    if "lineItems" in wanted:
        order = await _existing(api, wanted["orderId"], "orderId")
        body = {"lines": translate.lines_of(wanted["lineItems"], order["lines"], "lineItems")}
    why = "; ".join(wanted[name] for name in ("reason", "notes") if wanted.get(name))
    await api.post(f"{_path(wanted['orderId'])}/cancel", body, reason=why or None)
    return await _order_result(api, wanted["orderId"])


async def _weigh_cancel(api: Api, wanted: Json) -> Stake:
    order = await _existing(api, wanted["orderId"], "orderId")
    if "lineItems" in wanted:
        lines = translate.lines_of(wanted["lineItems"], order["lines"], "lineItems")
    else:
        lines = [
            {"line_id": row["line_id"], "quantity": row["quantity"] - row["cancelled"] - row["shipped"]}
            for row in order["lines"]
        ]
    return _worth(order, lines, f"cancel {sum(line['quantity'] for line in lines)} units of the order")


async def _update(api: Api, wanted: Json) -> Json:
    updates = wanted["updates"]
    for name in updates:
        if name not in _UPDATES:
            raise cannot(
                f"updates.{name}", "of an order only status (held or released) can be set: cancel and place anew"
            )
    status = str(updates.get("status", "")).lower()
    path = _path(wanted["id"])
    if status in _HELD and "shippingAddress" not in updates:
        await api.post(f"{path}/hold", {"reason": (updates.get("orderNote") or "held by an agent")[:200]})
    elif status in _RELEASED:
        place = translate.place(updates.get("shippingAddress") or {})
        await api.post(f"{path}/release", {"destination": place} if place else None, reason=updates.get("orderNote"))
    elif status:
        raise cannot("updates.status", "expected held or released; cancel-order cancels")
    else:
        raise cannot("updates", "a note or an address alone cannot be changed: set status to held or released")
    return await _order_result(api, wanted["id"])


async def _weigh_update(api: Api, wanted: Json) -> Stake:
    order = await _existing(api, wanted["id"], "id")
    lines = [{"line_id": row["line_id"], "quantity": row["quantity"] - row["cancelled"]} for row in order["lines"]]
    return _worth(order, lines, "hold or release the order")


async def _fulfill(api: Api, wanted: Json) -> Json:
    order = await _existing(api, wanted["orderId"], "orderId")
    part = _part_of(order, wanted)
    body: Json = {"lines": translate.lines_of(wanted["lineItems"], order["lines"], "lineItems", part["lines"])}
    if wanted["trackingNumbers"]:
        body["tracking"] = wanted["trackingNumbers"][0]
    if wanted.get("shippingCarrier"):
        body["carrier"] = wanted["shippingCarrier"]
    await api.post(f"/v1/fulfilments/{quote(part['fulfilment_id'], safe='')}/ship", body)
    order = await _existing(api, wanted["orderId"], "orderId")
    shipped = next(row for row in order["fulfilments"] if row["fulfilment_id"] == part["fulfilment_id"])
    return {"success": True, "fulfillment": translate.fulfillment(order, shipped)}


def _part_of(order: Json, wanted: Json) -> Json:
    """The fulfilment that leaves its node."""
    if len(wanted["trackingNumbers"]) > 1:
        raise ToolError.at("trackingNumbers", "one parcel at a time: call it once for each, with the lines in it")
    location = wanted.get("locationId")
    parts = [p for p in order["fulfilments"] if p["status"] in _OPEN and location in (None, p["node"])]
    if len(parts) > 1:
        nodes = ", ".join(sorted({part["node"] for part in parts}))
        raise ToolError.at("locationId", f"the order ships from several nodes: name one of {nodes}")
    if not parts:
        raise ToolError.at("orderId", "nothing of this order is waiting to be shipped there", "order.nothing_to_ship")
    return parts[0]


async def _weigh_fulfill(api: Api, wanted: Json) -> Stake:
    order = await _existing(api, wanted["orderId"], "orderId")
    part = _part_of(order, wanted)
    lines = translate.lines_of(wanted["lineItems"], order["lines"], "lineItems", part["lines"])
    return _worth(order, lines, f"book {sum(line['quantity'] for line in lines)} units as shipped of the order")


async def _create_return(api: Api, wanted: Json) -> Json:
    body = await _new_return(api, wanted["return"])
    made = await api.post("/v1/returns", body, reason=wanted["return"].get("customerNote"))
    order = await _existing(api, wanted["return"]["orderId"], "return.orderId")
    row = next(row for row in order["returns"] if row["return_id"] == made["return_id"])
    told = translate.returned(order, row)
    # What was said of why and of what the customer gets is not kept: it is answered, and gone.
    told["outcome"] = wanted["return"]["outcome"]
    return {"success": True, "return": told}


async def _new_return(api: Api, said: Json) -> Json:
    for name in ("refundAmount", "shippingRefundAmount", "restockingFee", "returnShippingFees", "exchangeLineItems"):
        if said.get(name):
            raise cannot(f"return.{name}", "what a customer gets for it is settled by payments, not here: leave it out")
    order = await _existing(api, said["orderId"], "return.orderId")
    nodes = {part["node"] for part in order["fulfilments"]}
    node = said.get("locationId") or (nodes.pop() if len(nodes) == 1 else None)
    if node is None:
        raise ToolError.at("return.locationId", "required: the node that took it back")
    parts = [row for part in order["fulfilments"] for row in part["lines"]]
    field = "return.returnLineItems"
    return {
        "order_id": order["order_id"],
        "node": node,
        "lines": translate.lines_of(said["returnLineItems"], order["lines"], field, parts),
        "disposition": translate.disposition(said["returnLineItems"]),
    }


async def _weigh_return(api: Api, wanted: Json) -> Stake:
    body = await _new_return(api, wanted["return"])
    order = await _existing(api, wanted["return"]["orderId"], "return.orderId")
    units = sum(line["quantity"] for line in body["lines"])
    return _worth(order, body["lines"], f"book {units} units as returned of the order")


# Parts --------------------------------------------------------------------------------------------


async def _found(call: Awaitable[Json]) -> Json | None:
    """What is there; None where nothing has that name."""
    try:
        return await call
    except Refused as error:
        if error.status == 404 or (error.status == 422 and error.problem.get("code") == "input.invalid"):
            return None
        raise


async def _order(api: Api, order_id: str) -> Json | None:
    return await _found(api.get(_path(order_id)))


async def _existing(api: Api, order_id: str, field: str) -> Json:
    order = await _order(api, order_id)
    if order is None:
        raise ToolError.at(field, "no such order: get-orders finds it", "order.not_found")
    return order


async def _order_result(api: Api, order_id: str) -> Json:
    return {"success": True, "order": translate.order(await api.get(_path(order_id)))}


def _path(order_id: str) -> str:
    return f"/v1/orders/{quote(order_id, safe='')}"


def _worth(order: Json, lines: Sequence[Json], what: str) -> Stake:
    prices = {row["line_id"]: row["price_minor"] for row in order["lines"]}
    return Stake(
        amount_minor=sum(prices[line["line_id"]] * line["quantity"] for line in lines),
        currency=order["currency"],
        sentence=f"{what} {order['order_id']}",
        facts={"status": order["status"], "lines": list(lines)},
    )


async def _pages(api: Api, path: str, most: int, **filters: Any) -> list[Json]:
    rows: list[Json] = []
    cursor = None
    while len(rows) < most:
        page = await api.get(path, limit=min(most - len(rows), 1_000), cursor=cursor, **filters)
        rows += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return rows


def _window(wanted: Json) -> tuple[int, int]:
    size, skip = wanted.get("pageSize", schemas.PAGE_DEFAULT), wanted.get("skip", 0)
    if size > _PAGE_MAX:
        raise ToolError.at("pageSize", f"expected at most {_PAGE_MAX}")
    if skip > _SKIP_MAX:
        raise ToolError.at("skip", f"expected at most {_SKIP_MAX}: narrow the search")
    return size, skip


def _few(names: Sequence[str], field: str) -> Sequence[str]:
    if len(names) > _NAMED_MAX:
        raise ToolError.at(field, f"expected at most {_NAMED_MAX}")
    return names


def _is_asked(wanted: Json, *names: str) -> bool:
    return any(name in wanted for name in names)


def _refuse_times(wanted: Json, what: str, *, created: bool = False) -> None:
    for name in ("updatedAtMin", "updatedAtMax", *(() if created else ("createdAtMin", "createdAtMax"))):
        if name in wanted:
            remedy = "use createdAtMin and createdAtMax" if created else "leave it out"
            raise cannot(name, f"{what} cannot be searched by that time: {remedy}, or follow GET /v1/events")


def _tool(
    name: str,
    title: str,
    description: str,
    output: Json,
    run: Callable[[Api, Json], Awaitable[Json]],
    *,
    kind: Kind = "read",
    scopes: tuple[str, ...] = ("read",),
    weigh: Weigh | None = None,
    destructive: bool = False,
) -> Tool:
    return Tool(
        name=name, title=title, description=f"{description} (Order Network eXchange; money in major units.)", kind=kind,
        scopes=scopes, input=schemas.INPUTS[name], output=output, run=run, say=say, weigh=weigh,
        destructive=destructive,
    )  # fmt: skip


def _write(
    name: str, title: str, description: str, output: Json, run: Callable[[Api, Json], Awaitable[Json]], weigh: Weigh,
    *, destructive: bool = True,
) -> Tool:  # fmt: skip
    scopes = ("orders:write", "read")
    return _tool(
        name, title, description, output, run, kind="write", scopes=scopes, weigh=weigh, destructive=destructive
    )


_ORDER: Final = schemas.result("order", schemas.ORDER)

ONX: Final[tuple[Tool, ...]] = (
    _tool(
        "get-orders", "Get orders",
        "Orders by id, external id or status, newest first. createdAt is when the customer placed it.",
        schemas.result("orders", strings(schemas.ORDER)), _get_orders,
    ),
    _tool(
        "get-customers", "Get customers", "Customers by id or e-mail address; personal data.",
        schemas.result("customers", strings(schemas.CUSTOMER)), _get_customers, scopes=("orders:write",),
    ),
    _tool(
        "get-products", "Get products", "Items of the catalogue by sku (which is their id), or page by page.",
        schemas.result("products", strings(schemas.PRODUCT)), _get_products,
    ),
    _tool(
        "get-product-variants", "Get product variants",
        "Items with price, cost, weight and size. Each product has one variant: id, productId and sku are the same.",
        schemas.result("productVariants", strings(schemas.VARIANT)), _get_variants,
    ),
    _tool(
        "get-inventory", "Get inventory",
        "Units of skus, summed over all nodes (locationId `all`), or at each of locationIds.",
        schemas.result("inventory", strings(schemas.INVENTORY)), _get_inventory,
    ),
    _tool(
        "get-fulfillments", "Get fulfillments",
        "Fulfilments by id or order, with tracking numbers; without either those still open, soonest first.",
        schemas.result("fulfillments", strings(schemas.FULFILLMENT)), _get_fulfillments,
    ),
    _tool(
        "get-returns", "Get returns", "Returns of orders, by orderIds or ids.",
        schemas.result("returns", strings(schemas.RETURN)), _get_returns,
    ),
    _write(
        "create-sales-order", "Create a sales order",
        "Place an order: it is promised and sourced at once. Needs orderSource (code of a channel), currency and"
        " shippingAddress.country; a line without unitPrice costs what the item costs.",
        answer({"success": {"const": True}, "order": schemas.ORDER, "ignored": strings()}), _create_order, _weigh_order,
        destructive=False,
    ),
    _write(
        "cancel-order", "Cancel an order", "Cancel an order, or lines of it, as far as it has not been shipped.",
        _ORDER, _cancel, _weigh_cancel,
    ),
    _write(
        "update-order", "Hold or release an order",
        "Set updates.status to `held` (orderNote says why) or `released` (shippingAddress may say where it goes)."
        " Nothing else of an order can be changed.",
        _ORDER, _update, _weigh_update,
    ),
    _write(
        "fulfill-order", "Ship an order",
        "Book units as shipped from a node, in one parcel. An order that ships from several nodes needs locationId.",
        schemas.result("fulfillment", schemas.FULFILLMENT), _fulfill, _weigh_fulfill,
    ),
    _write(
        "create-return", "Create a return",
        "Book units that came back to a node. inspection.dispositionOutcome: restock, damaged or inspect.",
        schemas.result("return", schemas.RETURN), _create_return, _weigh_return,
    ),
)  # fmt: skip
