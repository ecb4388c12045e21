"""What several tools share: arguments, pages, prices."""

from typing import Any, Final
from urllib.parse import quote

from onhand.mcp.api import Api
from onhand.mcp.model import Json
from onhand.mcp.schemas import NUMBER, closed, integer, text

ROWS_DEFAULT: Final = 20
ROWS_MAX: Final = 200

PAGE: Final[Json] = {
    "limit": integer(f"rows, {ROWS_DEFAULT} unless said", least=1, most=ROWS_MAX),
    "cursor": text("`next_cursor` of the page before", most=1_000),
}
CURSOR: Final[Json] = {"type": ["string", "null"], "description": "null: there is no further page"}
MOMENT: Final = text("a moment, RFC 3339: 2026-03-01T00:00:00Z", most=40)
DAY: Final = text("a day: 2026-03-01", most=10)
IDEMPOTENCY_KEY: Final = text(
    "the same key and arguments again give the first answer again; left out, it is made of the arguments", most=100
)
DESTINATION: Final = closed(
    {
        "country": text("ISO 3166-1 alpha-2: DE", most=2),
        "postal_code": {"type": "string", "maxLength": 20},
        "region": text("state or province", most=80),
        "latitude": NUMBER,
        "longitude": NUMBER,
    },
    ("country",),
)
LINES: Final[Json] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1_000,
    "items": closed(
        {"sku": text("the item", most=128), "quantity": integer("units", least=1, most=1_000_000)}, ("sku", "quantity")
    ),
}


async def page_of(api: Api, path: str, wanted: Json, *, most: int = ROWS_MAX, **filters: Any) -> Json:
    """A page of a list, as `limit` and `cursor` of a tool ask for it."""
    limit = min(wanted.get("limit", ROWS_DEFAULT), most)
    return await api.get(path, limit=limit, cursor=wanted.get("cursor"), **filters)


async def price_of(api: Api, sku: str) -> tuple[int | None, str | None]:
    """(minor units, currency) of a unit, None where nobody said. Raises Refused for an item that is not known."""
    item = await api.get(f"/v1/items/{quote(sku, safe='')}")
    return item["price_minor"], item["currency"]
