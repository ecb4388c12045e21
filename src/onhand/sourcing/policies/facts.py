"""What the conditions of a policy can ask: the declared context of its CEL expressions.

`order` is known to every condition, `node` to a rule's `nodes` only. A fact is never null and never missing: text that
nobody gave is "", a number that nobody gave is 0. Only the entries of `attributes` may be missing, so ask
`has(node.attributes.fragile)` first. Hours and weekdays are those of the moment the order was placed, in UTC.

This module is the one source: lint checks expressions against `CONTEXT`, the documentation prints `table()`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypedDict

from onhand.documents.types import BOOL, DOUBLE, INT, MAP, STRING, TIMESTAMP, Fact, Type, list_of, object_of

Vocabulary = Literal["method", "node_type", "country", "channel", "service", "node", "group"]


_ITEM: Final = object_of(
    sku=Fact(STRING, "of the item; a bundle is one item"),
    category=Fact(STRING, "of the item"),
    units=Fact(INT, "ordered"),
    price_minor=Fact(INT, "of one unit"),
    weight_g=Fact(INT, "of one unit"),
    attributes=Fact(MAP, "of the item, as they were set up"),
)
_ORDER: Final = object_of(
    channel=Fact(STRING, "code of the channel it came by", "channel"),
    method=Fact(STRING, "ship, pickup or ship_to_store", "method"),
    service=Fact(STRING, "carrier service that was asked for", "service"),
    currency=Fact(STRING, "ISO 4217"),
    value_minor=Fact(INT, "sum of prices times units, without tax"),
    units=Fact(INT, "of all lines"),
    lines=Fact(INT, "how many"),
    weight_g=Fact(INT, "of all units"),
    placed_at=Fact(TIMESTAMP, "moment it was placed"),
    hour=Fact(INT, "of that moment, 0 to 23, UTC"),
    weekday=Fact(INT, "of that moment, Monday is 1, UTC"),
    destination=Fact(
        object_of(
            country=Fact(STRING, "ISO 3166-1 alpha-2", "country"),
            region=Fact(STRING, "state or province"),
            postal_code=Fact(STRING, "as it was given"),
        ),
        "where it goes",
    ),
    items=Fact(list_of(_ITEM), "one for each line"),
    customer=Fact(
        object_of(
            known=Fact(BOOL, "whether the order names a customer"),
            email_domain=Fact(STRING, "after the @, in small letters"),
        ),
        "without what would identify a person",
    ),
)
_NODE: Final = object_of(
    code=Fact(STRING, "of the node", "node"),
    type=Fact(STRING, "warehouse, store, third_party or supplier", "node_type"),
    country=Fact(STRING, "ISO 3166-1 alpha-2", "country"),
    region=Fact(STRING, "state or province"),
    postal_code=Fact(STRING, "of the node"),
    groups=Fact(list_of(STRING), "codes of the node groups it is in", "group"),
    attributes=Fact(MAP, "of the node, as they were set up"),
    distance_km=Fact(DOUBLE, "to the destination, great circle"),
)

CONTEXT: Final[Mapping[str, Type]] = {"order": _ORDER, "node": _NODE}
"""Variables of conditions by name."""


def table() -> str:
    """The context as a Markdown table."""
    rows = [f"| `{path}` | {type_} | {meaning} |" for path, type_, meaning in _rows()]
    return "\n".join(["| fact | type | meaning |", "|---|---|---|", *rows])


def _rows() -> Iterator[tuple[str, str, str]]:
    pending: list[tuple[str, Fact]] = [
        (f"{name}.{part}", fact) for name, type_ in CONTEXT.items() for part, fact in type_.facts.items()
    ]
    while pending:
        path, fact = pending.pop(0)
        inner = fact.type.element.facts if fact.type.element else fact.type.facts
        kind = "list of objects" if fact.type.element and inner else str(fact.type)
        yield path, kind, fact.meaning
        shown = f"{path}[]" if fact.type.element else path
        pending[:0] = [(f"{shown}.{part}", of) for part, of in inner.items()]


class ItemFacts(TypedDict):
    """One line of an order, as conditions see it."""

    sku: str
    category: str
    units: int
    price_minor: int
    weight_g: int
    attributes: Mapping[str, Any]


OrderFacts = Mapping[str, Any]
NodeFacts = Mapping[str, Any]


def order_facts(
    *,
    channel: str,
    currency: str,
    placed_at: datetime,
    country: str,
    items: Sequence[ItemFacts],
    method: str = "ship",
    service: str | None = None,
    region: str | None = None,
    postal_code: str | None = None,
    email: str | None = None,
    is_customer_known: bool = False,
) -> OrderFacts:
    """The facts of an order; sums, hour and weekday are found from the rest.

    placed_at  with a time zone
    email      of the customer; only its domain becomes a fact
    """
    moment = placed_at.astimezone(UTC)
    return {
        "channel": channel,
        "method": method,
        "service": service or "",
        "currency": currency,
        "value_minor": sum(item["price_minor"] * item["units"] for item in items),
        "units": sum(item["units"] for item in items),
        "lines": len(items),
        "weight_g": sum(item["weight_g"] * item["units"] for item in items),
        "placed_at": moment,
        "hour": moment.hour,
        "weekday": moment.isoweekday(),
        "destination": {"country": country, "region": region or "", "postal_code": postal_code or ""},
        "items": list(items),
        "customer": {
            "known": is_customer_known or bool(email),
            "email_domain": (email or "").rpartition("@")[2].lower(),
        },
    }


def node_facts(
    *,
    code: str,
    type: str,  # noqa: A002 - the fact's name
    country: str,
    region: str | None = None,
    postal_code: str | None = None,
    groups: Sequence[str] = (),
    attributes: Mapping[str, Any] | None = None,
    distance_km: float = 0.0,
) -> NodeFacts:
    """The facts of a node; its distance depends on the order."""
    return {
        "code": code,
        "type": type,
        "country": country,
        "region": region or "",
        "postal_code": postal_code or "",
        "groups": list(groups),
        "attributes": dict(attributes or {}),
        "distance_km": distance_km,
    }
