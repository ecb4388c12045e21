"""Columns of flat files, and how a cell becomes a field.

A dot in a column's name leads into an object: `capacity.orders`, `destination.country`. Lists and objects stand in one
cell as JSON. An empty cell means: left out. Rows of JSON lines are documents of the API as they are.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any, cast

_INTEGER = re.compile(r"[+-]?\d{1,19}(\.0+)?", re.ASCII)  # 3.0: what tables make of a column with gaps
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\d[T ]00:00(:00(\.0+)?)?", re.ASCII)  # what tables make of a day
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class What(StrEnum):
    """What a file holds."""

    ITEMS = "items"
    NODES = "nodes"
    STOCK = "stock"
    ORDERS = "orders"
    SALES = "sales"
    SIGNALS = "signals"
    LANES = "lanes"
    SUPPLY = "supply"
    TRACKING = "tracking"
    COSTS = "costs"


class CellError(ValueError):
    """A cell cannot be read as what its column holds."""


def text(cell: str) -> str:
    return cell


def integer(cell: str) -> int:
    if not _INTEGER.fullmatch(cell):
        raise CellError(f"expected a whole number, got {cell[:40]!r}")
    return int(cell.partition(".")[0])


def number(cell: str) -> float:
    if not _NUMBER.fullmatch(cell):
        raise CellError(f"expected a number, got {cell[:40]!r}")
    return float(cell)


def boolean(cell: str) -> bool:
    if cell.lower() not in _BOOLEANS:
        raise CellError(f"expected true or false, got {cell[:40]!r}")
    return _BOOLEANS[cell.lower()]


def day(cell: str) -> str:
    return cell.strip()[:10] if _MIDNIGHT.fullmatch(cell.strip()) else cell.strip()


def from_json(cell: str) -> object:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise CellError(f"expected JSON such as {{...}} or [...]: {error}") from None


Read = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of one kind of file.

    required  must be there
    free      columns under these names may be called anything: `attributes.colour`
    defaults  fields of every row that lacks them
    """

    required: Mapping[str, Read]
    optional: Mapping[str, Read]
    free: Collection[str] = ()
    defaults: Mapping[str, object] = field(default_factory=dict[str, object])

    def read_of(self, name: str) -> Read | None:
        """How to read the cells of a column; None if there is no such column."""
        known = self.required.get(name) or self.optional.get(name)
        if known is None and any(name.startswith(f"{prefix}.") for prefix in self.free):
            return text
        return known

    def missing(self, names: Collection[str]) -> list[str]:
        """Required columns that are not among `names`."""
        return [name for name in self.required if name not in names]

    def row(self, cells: Mapping[str, object]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """The document of a row, and (column, message) of cells that cannot be read."""
        fields: dict[str, Any] = dict(self.defaults)
        errors: list[tuple[str, str]] = []
        for name, cell in cells.items():
            read = self.read_of(name)
            if read is None or cell is None or cell == "":
                continue
            try:
                _put(fields, name.split("."), _value(cell, read))
            except CellError as error:
                errors.append((name, str(error)))
        return fields, errors


def _value(cell: object, read: Read) -> object:
    if isinstance(cell, str):
        return read(cell.strip() if read is not text else cell)
    if read is integer and isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if read is text and isinstance(cell, int | float) and not isinstance(cell, bool):
        return f"{cell:g}" if isinstance(cell, float) else str(cell)  # a code of digits only
    if read is day and isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return plain(cell)


def plain(value: object) -> object:
    """A value of a table as JSON has it: times with their zone (UTC where none is said), no empty fields."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {name: plain(member) for name, member in fields.items() if member is not None}
    if isinstance(value, list):
        return [plain(member) for member in cast("list[object]", value)]
    return value


def _put(fields: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        inner = fields.setdefault(part, {})
        if not isinstance(inner, dict):
            raise CellError(f"{part!r} has a column of its own")
        fields = cast("dict[str, Any]", inner)
    fields[path[-1]] = value


COLUMNS: Mapping[What, Columns] = {
    What.ITEMS: Columns(
        required={"sku": text, "name": text},
        optional={
            "weight_g": integer,
            "length_mm": integer,
            "width_mm": integer,
            "height_mm": integer,
            "unit_cost_minor": integer,
            "price_minor": integer,
            "currency": text,
            "category": text,
            "hs_code": text,
            "release_at": text,
            "components": from_json,
            "attributes": from_json,
        },
        free=("attributes",),
    ),
    What.NODES: Columns(
        required={
            "code": text,
            "name": text,
            "node_type": text,
            "country": text,
            "latitude": number,
            "longitude": number,
            "timezone": text,
        },
        optional={
            "region": text,
            "postal_code": text,
            "handling_cost_minor": integer,
            "handling_line_minor": integer,
            "handling_unit_minor": integer,
            "labour": from_json,
            "cutoff": text,
            "working_days": from_json,
            "closed_days": from_json,
            "holidays": text,
            "capacity": from_json,
            "capacity.orders": integer,
            "capacity.lines": integer,
            "capacity.units": integer,
            "docks": from_json,
            "docks.units_out": integer,
            "docks.units_in": integer,
            "methods": from_json,
            "safety_stock_default": integer,
            "co2_g_per_order": integer,
            "attributes": from_json,
            "active": boolean,
        },
        free=("attributes",),
    ),
    # A table of stock without kinds is what somebody counted.
    What.STOCK: Columns(
        required={"sku": text, "node": text, "quantity": integer},
        optional={
            "kind": text,
            "reason": text,
            "reference": text,
            "occurred_at": text,
            "state": text,
        },
        defaults={"kind": "count"},
    ),
    What.ORDERS: Columns(
        required={
            "channel": text,
            "external_id": text,
            "currency": text,
            "destination.country": text,
            "lines": from_json,
        },
        optional={
            "placed_at": text,
            "destination.postal_code": text,
            "destination.region": text,
            "destination.latitude": number,
            "destination.longitude": number,
            "customer.name": text,
            "customer.email": text,
            "customer.phone": text,
            "customer.address": from_json,
            "method": text,
            "service": text,
            "pickup_node": text,
            "reservation_id": text,
            "objective": text,
            "allow_split": boolean,
            "allow_backorder": boolean,
            "hold": text,
        },
    ),
    What.SALES: Columns(
        required={"sku": text, "day": day, "quantity": integer},
        optional={
            "node": text,
            "region": text,
            "channel": text,
            "price_minor": integer,
            "stock_out_hours": number,
        },
    ),
    What.SIGNALS: Columns(
        required={"name": text, "at": text, "value": number},
        optional={
            "scope": from_json,
            "scope.sku": text,
            "scope.category": text,
            "scope.node": text,
            "scope.region": text,
            "known_ahead": boolean,
            "fill": text,
            "known_at": text,
        },
    ),
    What.TRACKING: Columns(
        required={"milestone": text, "at": text},
        optional={
            "shipment_id": text,
            "carrier": text,
            "tracking": text,
            "code": text,
            "text": text,
            "event_id": text,
            "place": from_json,
            "place.name": text,
            "place.country": text,
            "place.region": text,
            "place.postal_code": text,
            "place.latitude": number,
            "place.longitude": number,
        },
    ),
    What.LANES: Columns(
        required={"from": text, "to": text, "days": integer},
        optional={
            "unit_cost_minor": integer,
            "kg_cost_minor": integer,
            "units_per_day": integer,
            "co2_g_per_kg": integer,
            "active": boolean,
        },
    ),
    What.SUPPLY: Columns(
        required={"sku": text, "supplier": text, "lead_days": from_json},
        optional={
            "node": text,
            "review_days": integer,
            "order_days": from_json,
            "minimum": integer,
            "multiple": integer,
            "unit_cost_minor": integer,
            "order_cost_minor": integer,
            "stockout_minor": integer,
            "carrying_rate": number,
            "co2_g_per_unit": integer,
            "active": boolean,
        },
    ),
    What.COSTS: Columns(
        required={"reference": text, "amount_minor": integer, "currency": text},
        optional={
            "tracking": text,
            "order": text,
            "term": text,
            "carrier": text,
            "cause": text,
            "at": text,
        },
    ),
}
