"""How stock comes to nodes: lanes between them, and the supply of items. Values, and what rows do to them. Pure."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from onhand.base.fields import INT4_MAX, Code, Money, Strict
from onhand.base.results import RowResult, rejected, without_repeats
from onhand.network.model import Cost, Limit, Weekdays

EVERY_NODE: Final = 0
"""node_id of supply that holds for every node without a row of its own."""
_DAYS_MAX: Final = 365

_Days = Annotated[int, Field(ge=0, le=_DAYS_MAX)]
_Units = Annotated[int, Field(ge=1, le=INT4_MAX)]


class LaneRow(Strict):
    """A way over which units can be moved from one node to another; what is left out returns to its default."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"from": "LYON", "to": "BERLIN", "days": 2, "unit_cost_minor": 35, "units_per_day": 600,
                 "co2_g_per_kg": 95}
            ]
        },
    )  # fmt: skip

    from_: Annotated[Code, Field(alias="from")]
    to: Code
    days: Annotated[_Days, Field(description="from when units leave until they are there")]
    unit_cost_minor: Annotated[Cost, Field(description="of moving a unit")] = 0
    kg_cost_minor: Annotated[Cost, Field(description="of moving a kilogram, besides")] = 0
    units_per_day: Annotated[Limit | None, Field(description="that may leave on one day; null: no limit")] = None
    co2_g_per_kg: Cost = 0
    active: Annotated[bool, Field(description="nothing is moved over an inactive lane")] = True


class SupplyRow(Strict):
    """How an item comes to a node that buys it, and what it costs there to have too few or too many; what is left out
    returns to its default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"sku": "MUG-BLUE", "node": "BERLIN", "supplier": "Keramik Nord", "lead_days": [6, 7, 7, 9, 14],
                 "order_days": ["mon"], "minimum": 48, "multiple": 12, "unit_cost_minor": 310}
            ]
        }
    )  # fmt: skip

    sku: Code
    node: Annotated[Code | None, Field(description="null: every node without a row of its own for this item")] = None
    supplier: Annotated[str, Field(min_length=1, max_length=200)]
    lead_days: Annotated[
        list[_Days],
        Field(min_length=1, max_length=500, description="what deliveries took, each as likely as another"),
    ]
    review_days: Annotated[int, Field(ge=1, le=_DAYS_MAX, description="between two chances to order")] = 7
    order_days: Annotated[Weekdays, Field(description="on which it can be ordered; none: any")] = []
    minimum: Annotated[Limit, Field(description="units of an order")] = 0
    multiple: Annotated[_Units, Field(description="units of a case: orders are whole cases")] = 1
    unit_cost_minor: Annotated[Money | None, Field(gt=0, description="null: the item's")] = None
    order_cost_minor: Annotated[Cost, Field(description="of an order, however large")] = 0
    stockout_minor: Annotated[
        Money | None, Field(description="what a unit costs that is asked for and not there; null: its margin")
    ] = None
    carrying_rate: Annotated[
        float | None,
        Field(gt=0, le=10, description="share of its cost that keeping a unit a year costs; null: the plan's"),
    ] = None
    co2_g_per_unit: Annotated[Cost, Field(description="of bringing a unit")] = 0
    active: Annotated[bool, Field(description="nothing is bought on inactive terms")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane as last committed; `source` is where it begins."""

    source: str
    target: str
    days: int
    unit_cost_minor: int
    kg_cost_minor: int
    units_per_day: int | None
    co2_g_per_kg: int
    active: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyTerms:
    """How an item comes to a node; money None: not told."""

    supplier: str
    lead_days: list[int]
    review_days: int
    order_days: list[int]
    minimum: int
    multiple: int
    unit_cost_minor: int | None
    order_cost_minor: int
    stockout_minor: int | None
    carrying_rate: float | None
    co2_g_per_unit: int
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply(SupplyTerms):
    """The supply of an item at a node as last committed; node None: every one without a row of its own."""

    sku: str
    node: str | None
    updated_at: datetime


Key = tuple[int, int]
"""(from_node_id, to_node_id) of a lane, (item_id, node_id) of supply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The answer per row, and the columns to write by key."""

    results: list[RowResult]
    written: dict[Key, dict[str, Any]]


def decide_lanes(
    rows: Sequence[LaneRow | RowResult], nodes: Mapping[str, int], known: Mapping[Key, Mapping[str, Any]]
) -> Changes:
    """Decide all rows; a RowResult among them was refused before and stays in its place. A result is "from > to".

    nodes  node_id by code, of those that exist
    known  columns of the lanes that exist
    """
    results, first = without_repeats(rows, lambda row: f"{row.from_} > {row.to}", "from")
    written: dict[Key, dict[str, Any]] = {}
    for name, number in first.items():
        row = rows[number]
        assert isinstance(row, LaneRow), "only rows that could be read are numbered"
        ends = (("from", row.from_), ("to", row.to))
        missing = [(end, f"no node {code!r}") for end, code in ends if code not in nodes]
        if row.from_ == row.to:
            missing.append(("to", "expected another node than the one it begins at"))
        if missing:
            results[number] = rejected(name, *missing)
            continue
        columns = row.model_dump(exclude={"from_", "to"})
        results[number] = _taken(name, (nodes[row.from_], nodes[row.to]), columns, known, written)
    return Changes(results=[results[n] for n in range(len(rows))], written=written)


def decide_supply(
    rows: Sequence[SupplyRow | RowResult],
    items: Mapping[str, tuple[int, bool]],
    nodes: Mapping[str, int],
    known: Mapping[Key, Mapping[str, Any]],
) -> Changes:
    """Decide all rows; a RowResult among them was refused before and stays in its place. A result is "sku @ node", or
    the sku alone.

    items  (item_id, whether it is a bundle) by sku, of those that exist; nodes  node_id by code, likewise
    known  columns of the supply that exists
    """
    results, first = without_repeats(rows, _name, "sku")
    written: dict[Key, dict[str, Any]] = {}
    for name, number in first.items():
        row = rows[number]
        assert isinstance(row, SupplyRow), "only rows that could be read are numbered"
        item, is_bundle = items.get(row.sku, (0, False))
        node = EVERY_NODE if row.node is None else nodes.get(row.node)
        wrong = [] if item else [("sku", f"no item {row.sku!r}")]
        if is_bundle:
            wrong.append(("sku", f"{row.sku!r} is a bundle and holds no stock: name its components"))
        if node is None:
            wrong.append(("node", f"no node {row.node!r}"))
        if wrong or node is None:
            results[number] = rejected(name, *wrong)
            continue
        columns = row.model_dump(exclude={"sku", "node"})
        columns["lead_days"] = sorted(row.lead_days)
        results[number] = _taken(name, (item, node), columns, known, written)
    return Changes(results=[results[n] for n in range(len(rows))], written=written)


def _name(row: SupplyRow) -> str:
    return row.sku if row.node is None else f"{row.sku} @ {row.node}"


def _taken(
    name: str,
    key: Key,
    columns: dict[str, Any],
    known: Mapping[Key, Mapping[str, Any]],
    written: dict[Key, dict[str, Any]],
) -> RowResult:
    before = known.get(key)
    if before == columns:
        return RowResult(status="unchanged", key=name)
    written[key] = columns
    return RowResult(status="created" if before is None else "updated", key=name)
