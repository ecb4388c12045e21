"""Rows by the names of their columns as our values. Pure; what cannot be read says why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from onhand.connectors._sdk.values import (
    Address,
    ChannelOrder,
    Level,
    OrderLine,
    OrderStatus,
    Sale,
    Shipment,
    ShipmentStatus,
    ShippedLine,
)
from onhand.connectors.csv_feed.rows import Format, Unreadable, minor, moment, units

Kind = Literal["orders", "sales", "counts", "shipments"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Value = ChannelOrder | Level | Sale | Shipment
_ID_MAX: Final = 128

COLUMNS: Final[Mapping[Kind, Mapping[str, bool]]] = {
    "sales": {"sku": True, "quantity": True, "at": True, "external_id": False, "place": False},
    "counts": {"sku": True, "quantity": True, "place": False, "at": False},
    "orders": {
        "order_id": True, "sku": True, "quantity": True, "at": True, "price": False, "currency": False,
        "line_id": False, "status": False, "item_name": False, "tax": False, "service": False, "name": False,
        "email": False, "phone": False, "company": False, "street": False, "city": False, "region": False,
        "postal_code": False, "country": False,
    },
    "shipments": {
        "fulfilment_id": True, "sku": False, "quantity": False, "line_id": False, "missing": False, "at": True,
        "status": False, "tracking": False, "carrier": False, "service": False, "place": False, "reason": False,
        "is_complete": False,
    },
}  # fmt: skip
"""What a row of each kind may say, and whether it must."""

_KEY: Final[Mapping[Kind, Sequence[str]]] = {
    "orders": ("order_id",),
    "shipments": ("fulfilment_id", "tracking", "status"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Cells by our names; absent ones are "". number: of the row among the records of its file, from 1."""

    number: int
    cells: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.cells.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What rows do not say. file: names the records of a file that have no names of their own."""

    form: Format
    file: str
    currency: str
    statuses: Mapping[str, str]


def key_of(kind: Kind, row: Row) -> tuple[str, ...]:
    """Rows that stand together and have the same key are one record."""
    by = _KEY.get(kind)
    return (str(row.number),) if by is None else tuple(row[name] for name in by)


def record(kind: Kind, rows: Sequence[Row], context: Context) -> Value:
    """The record that `rows` are. Raises Unreadable."""
    return _MAKE[kind](rows, context)


def _needed(row: Row, name: str) -> str:
    said = row[name]
    if not said:
        raise Unreadable(f"{name} is empty")
    if len(said) > _ID_MAX and name.endswith(("id", "sku")):
        raise Unreadable(f"{name} is longer than {_ID_MAX} characters")
    return said


def _sale(rows: Sequence[Row], context: Context) -> Sale:
    (row,) = rows
    return Sale(
        external_id=row["external_id"][:_ID_MAX] or f"{context.file}:{row.number}",
        external_sku=_needed(row, "sku"),
        quantity=units(_needed(row, "quantity"), context.form),
        at=moment(_needed(row, "at"), context.form),
        place=row["place"],
    )


def _level(rows: Sequence[Row], context: Context) -> Level:
    (row,) = rows
    sku, quantity = _needed(row, "sku"), units(_needed(row, "quantity"), context.form)
    if quantity < 0:
        raise Unreadable("expected a count of 0 or more")
    at = moment(row["at"], context.form) if row["at"] else None
    return Level(external_id=sku, external_sku=sku, quantity=quantity, place=row["place"], counted_at=at)


def _order(rows: Sequence[Row], context: Context) -> ChannelOrder:
    first = rows[0]
    currency = (first["currency"] or context.currency).upper()
    lines = tuple(_order_line(number, row, currency, context) for number, row in enumerate(rows, 1))
    if len({line.line_id for line in lines}) < len(lines):
        raise Unreadable("two lines of the order have the same line_id")
    word = first["status"]
    status = context.statuses.get(word, word if word in get_args(OrderStatus) else "unknown") if word else "open"
    return ChannelOrder(
        external_id=_needed(first, "order_id"),
        number=first["order_id"],
        status=cast("OrderStatus", status if status in get_args(OrderStatus) else "unknown"),
        status_word=word,
        currency=currency,
        placed_at=moment(_needed(first, "at"), context.form),
        email=first["email"],
        phone=first["phone"],
        name=first["name"],
        service=first["service"],
        destination=_destination(first),
        lines=lines,
    )


def _order_line(number: int, row: Row, currency: str, context: Context) -> OrderLine:
    quantity = units(_needed(row, "quantity"), context.form)
    if quantity < 0:
        raise Unreadable("expected a quantity of 0 or more")
    return OrderLine(
        line_id=row["line_id"][:_ID_MAX] or str(number),
        sku=_needed(row, "sku"),
        quantity=quantity,
        price_minor=minor(row["price"], currency, context.form) if row["price"] else 0,
        tax_minor=minor(row["tax"], currency, context.form) if row["tax"] else None,
        name=row["item_name"][:200],
    )


def _destination(row: Row) -> Address | None:
    if not row["country"]:
        return None
    return Address(
        country=row["country"].upper(),
        region=row["region"],
        postal_code=row["postal_code"],
        city=row["city"],
        street=row["street"],
        name=row["name"],
        company=row["company"],
        phone=row["phone"],
    )


def _shipment(rows: Sequence[Row], context: Context) -> Shipment:
    first = rows[0]
    word = first["status"]
    status = context.statuses.get(word, word if word in get_args(ShipmentStatus) else "unknown") if word else "shipped"
    spoken_of = [row for row in rows if row["sku"] or row["line_id"]]
    if spoken_of and len(spoken_of) < len(rows):
        raise Unreadable("some rows of the shipment name an item and some do not")
    said = first["is_complete"].lower()
    if said not in {"", "true", "false", "yes", "no", "1", "0"}:
        raise Unreadable(f"is_complete: expected true or false, got {said[:40]!r}")
    return Shipment(
        external_id=f"{context.file}:{first.number}",
        fulfilment_id=_needed(first, "fulfilment_id"),
        status=cast("ShipmentStatus", status if status in get_args(ShipmentStatus) else "unknown"),
        status_word=word,
        at=moment(_needed(first, "at"), context.form),
        lines=tuple(_shipped_line(row, context) for row in spoken_of),
        carrier=first["carrier"],
        service=first["service"],
        tracking=first["tracking"],
        place=first["place"],
        is_complete=said in {"true", "yes", "1"} or (not said and not spoken_of),
        reason=first["reason"],
    )


def _shipped_line(row: Row, context: Context) -> ShippedLine:
    quantity = units(_needed(row, "quantity"), context.form)
    missing = units(row["missing"], context.form) if row["missing"] else 0
    if min(quantity, missing) < 0:
        raise Unreadable("expected quantities of 0 or more")
    return ShippedLine(sku=_needed(row, "sku"), line_id=row["line_id"], quantity=quantity, missing=missing)


_MAKE: Final[Mapping[Kind, Callable[[Sequence[Row], Context], Value]]] = {
    "sales": _sale,
    "counts": _level,
    "orders": _order,
    "shipments": _shipment,
}
