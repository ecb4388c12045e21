"""A network from documents: what the HTTP interface takes in several calls, in one mapping."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from onhand.base.fields import Code, Moment, Strict, reject_reasons
from onhand.catalog.catalogue import Catalogue, ItemsRead
from onhand.catalog.model import ItemRow
from onhand.errors import FieldError, InvalidInput
from onhand.network import compiled
from onhand.network.decide import carton_problems, duty_problems
from onhand.network.model import CarrierIn, CartonIn, DutyIn, NodeRow

_UNITS_MAX = 2_000_000_000
_Units = Annotated[int, Field(ge=0, le=_UNITS_MAX)]


class CarrierRow(CarrierIn):
    """A carrier of a network."""

    code: Code


class CartonRow(CartonIn):
    """A carton of a network."""

    code: Code


class DutyRow(DutyIn):
    """A rule on duty and tax of a network."""

    code: Code


class SubstituteRow(Strict):
    """An item that may take the place of another, where an order allows it."""

    sku: Code
    cost_minor: Annotated[int, Field(ge=0, le=1_000_000_000, description="loss of goodwill of one unit")] = 0


class NetworkItem(ItemRow):
    """An item of a network."""

    substitutes: Annotated[list[SubstituteRow], Field(max_length=20)] = []  # noqa: RUF012


class ChannelRow(Strict):
    """Who sells: the nodes that may serve it, all of them when left out."""

    code: Code
    nodes: Annotated[list[Code] | None, Field(min_length=1)] = None


class StockRow(Strict):
    """Units of an item at a node; those of `safety_stock` are used only when nothing else serves an order."""

    sku: Code
    node: Code
    available: _Units
    safety_stock: _Units = 0


class InboundRow(Strict):
    """Units of an item that can leave a node from a moment on."""

    sku: Code
    node: Code
    quantity: _Units
    expected_at: Moment


class ForecastIn(Strict):
    """Orders expected until the next supply, as `POST /v1/orders` takes them, and how many of each: real ones of the
    last weeks will do."""

    orders: Annotated[list[dict[str, Any]], Field(min_length=1)]
    expected: Annotated[
        list[Annotated[float, Field(ge=0)]] | None, Field(description="of each order; left out: one each")
    ] = None


class NetworkIn(Strict):
    """All that a decision is made from. Without channels there is one, `default`, that every node serves."""

    items: list[NetworkItem]
    nodes: Annotated[list[NodeRow], Field(min_length=1)]
    carriers: list[CarrierRow] = []  # noqa: RUF012 - pydantic copies a default for each document
    channels: list[ChannelRow] | None = None
    cartons: list[CartonRow] = []  # noqa: RUF012
    duties: list[DutyRow] = []  # noqa: RUF012
    stock: list[StockRow] = []  # noqa: RUF012
    inbound: list[InboundRow] = []  # noqa: RUF012
    forecast: ForecastIn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Units of an item at a node that can leave from `ready` on (Unix seconds)."""

    item_id: int
    node_id: int
    units: int
    ready: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A checked and compiled network at one moment; `load` makes it. It never changes: `source` works on copies.

    available, safety  int32[item_id, node_id]
    price, cost        float64[item_id], minor units, 0 where it is not known
    currency           of an order that does not say: that of the first item with one
    substitutes        by sku (sku, minor units of goodwill lost by one unit) of what may take its place
    """

    at: datetime
    catalogue: Catalogue
    compiled: compiled.Network
    available: npt.NDArray[np.int32]
    safety: npt.NDArray[np.int32]
    price: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    currency: str
    forecast: ForecastIn | None = None
    inbound: Sequence[Supply] = field(default=())
    substitutes: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict[str, "Sequence[tuple[str, int]]"])

    @classmethod
    def load(cls, document: "Mapping[str, Any] | Network", *, at: datetime | None = None) -> "Network":
        """The network of a document (see NetworkIn; rows as in the HTTP interface), at a moment, now if left out.

        Raises InvalidInput, naming every field that is wrong.
        """
        if isinstance(document, Network):
            return document
        try:
            given = NetworkIn.model_validate_json(msgspec.json.encode(document))
        except (ValidationError, TypeError) as error:
            if isinstance(error, TypeError):
                raise InvalidInput.at("network", f"expected JSON values: {error}") from None
            raise InvalidInput([FieldError(path, message) for path, message in reject_reasons(error)]) from None
        now = at or datetime.now(UTC)
        if now.tzinfo is None:
            raise InvalidInput.at("at", "expected a moment with its time zone")
        errors: list[FieldError] = []
        catalogue = _catalogue(given, errors)
        node_ids = _numbers([n.code for n in given.nodes], "nodes", "code", errors)
        document_ = _document(given, node_ids, errors)
        available, safety = _stock(given, catalogue, node_ids, errors)
        inbound = _inbound(given, catalogue, node_ids, errors)
        substitutes = _substitutes(given, catalogue, errors)
        if given.forecast is not None and given.forecast.expected is not None:
            if len(given.forecast.expected) != len(given.forecast.orders):
                errors.append(FieldError("forecast.expected", "expected one number for each of forecast.orders"))
            elif not any(given.forecast.expected):
                errors.append(FieldError("forecast.expected", "expected some number above 0; or leave forecast out"))
        if errors:
            raise InvalidInput(errors)
        price, cost = np.zeros(catalogue.count + 1), np.zeros(catalogue.count + 1)
        for row in given.items:
            item = catalogue.ids[row.sku]
            price[item], cost[item] = row.price_minor or 0, row.unit_cost_minor or 0
        return cls(
            at=now,
            catalogue=catalogue,
            compiled=compiled.compile_network(document_, now),
            available=available,
            safety=safety,
            price=price,
            cost=cost,
            currency=next((row.currency for row in given.items if row.currency), "EUR"),
            inbound=inbound,
            forecast=given.forecast,
            substitutes=substitutes,
        )


def _numbers(codes: Sequence[str], path: str, name: str, errors: list[FieldError]) -> dict[str, int]:
    """Dense numbers from 1 in the order given."""
    ids: dict[str, int] = {}
    for row, code in enumerate(codes):
        if code in ids:
            errors.append(FieldError(f"{path}[{row}].{name}", f"{code!r} stands twice"))
        ids.setdefault(code, len(ids) + 1)
    return ids


def _catalogue(given: NetworkIn, errors: list[FieldError]) -> Catalogue:
    ids = _numbers([i.sku for i in given.items], "items", "sku", errors)
    components: dict[int, tuple[tuple[int, int], ...]] = {}
    for row, item in enumerate(given.items):
        parts: list[tuple[int, int]] = []
        for n, part in enumerate(item.components):
            if part.sku not in ids:
                errors.append(FieldError(f"items[{row}].components[{n}].sku", f"no item {part.sku!r}"))
                continue
            parts.append((ids[part.sku], part.quantity))
        if parts:
            components[ids[item.sku]] = tuple(parts)
    catalogue = Catalogue()
    rows = [
        (
            ids[i.sku], i.sku, i.weight_g, i.length_mm * i.width_mm * i.height_mm, i.release_at, i.hs_code, i.category,
            i.unit_cost_minor or 0, i.attributes,
        )
        for i in given.items
    ]  # fmt: skip
    catalogue.take(ItemsRead(rows, components))
    return catalogue


def _document(given: NetworkIn, node_ids: Mapping[str, int], errors: list[FieldError]) -> bytes:
    """The JSON document that `compile_network` reads."""
    nodes = [
        node.model_dump(mode="json", exclude={"capacity", "docks", "name"})
        | {f"capacity_{what}": getattr(node.capacity, what) for what in ("orders", "lines", "units")}
        | {"node_id": node_ids[node.code]}
        for node in given.nodes
    ]
    channels: list[dict[str, Any]] = []
    for row, channel in enumerate(given.channels or [ChannelRow(code="default")]):
        unknown = [code for code in channel.nodes or () if code not in node_ids]
        errors += [FieldError(f"channels[{row}].nodes", f"no node {code!r}") for code in unknown]
        ids = None if channel.nodes is None else [node_ids[code] for code in channel.nodes if code in node_ids]
        channels.append({"channel_id": row + 1, "code": channel.code, "node_ids": ids, "active": True})
    carriers = [{"code": c.code, "document": c.document()} for c in given.carriers if c.active]
    for n, carton in enumerate(given.cartons):
        errors += [FieldError(f"cartons[{n}].{path}", message) for path, message in carton_problems(carton)]
    for n, duty in enumerate(given.duties):
        errors += [FieldError(f"duties[{n}].{path}", message) for path, message in duty_problems(duty)]
    _numbers([row.code for row in given.cartons], "cartons", "code", errors)
    _numbers([row.code for row in given.duties], "duties", "code", errors)
    return msgspec.json.encode(
        {
            "nodes": nodes,
            "carriers": carriers,
            "channels": channels,
            "cartons": [row.document() for row in given.cartons if row.active],
            "duties": [row.document() for row in given.duties if row.active],
        }
    )


def _at(
    row: StockRow | InboundRow,
    path: str,
    catalogue: Catalogue,
    node_ids: Mapping[str, int],
    errors: list[FieldError],
) -> tuple[int, int]:
    item, node = catalogue.ids.get(row.sku, 0), node_ids.get(row.node, 0)
    if not item:
        errors.append(FieldError(f"{path}.sku", f"no item {row.sku!r}"))
    elif item in catalogue.bundles:
        errors.append(FieldError(f"{path}.sku", f"{row.sku!r} is a bundle: its components hold the stock"))
    if not node:
        errors.append(FieldError(f"{path}.node", f"no node {row.node!r}"))
    return item, node


def _stock(
    given: NetworkIn, catalogue: Catalogue, node_ids: Mapping[str, int], errors: list[FieldError]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    shape = catalogue.count + 1, len(node_ids) + 1
    available, safety = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for node in given.nodes:
        safety[1:, node_ids[node.code]] = node.safety_stock_default
    seen: set[tuple[int, int]] = set()
    for n, row in enumerate(given.stock):
        at = _at(row, f"stock[{n}]", catalogue, node_ids, errors)
        if at in seen:
            errors.append(FieldError(f"stock[{n}]", f"{row.sku!r} at {row.node!r} stands twice"))
        seen.add(at)
        available[at] = row.available
        if "safety_stock" in row.model_fields_set:
            safety[at] = row.safety_stock
    return available, safety


def _inbound(
    given: NetworkIn, catalogue: Catalogue, node_ids: Mapping[str, int], errors: list[FieldError]
) -> list[Supply]:
    supply: list[Supply] = []
    for n, row in enumerate(given.inbound):
        item, node = _at(row, f"inbound[{n}]", catalogue, node_ids, errors)
        supply.append(Supply(item_id=item, node_id=node, units=row.quantity, ready=row.expected_at.timestamp()))
    return supply


def _substitutes(
    given: NetworkIn, catalogue: Catalogue, errors: list[FieldError]
) -> dict[str, Sequence[tuple[str, int]]]:
    found: dict[str, Sequence[tuple[str, int]]] = {}
    for n, item in enumerate(given.items):
        for m, row in enumerate(item.substitutes):
            path = f"items[{n}].substitutes[{m}].sku"
            if row.sku not in catalogue.ids:
                errors.append(FieldError(path, f"no item {row.sku!r}"))
            elif row.sku == item.sku or row.sku in {other.sku for other in item.substitutes[:m]}:
                errors.append(FieldError(path, "expected another item, once"))
        if item.substitutes:
            found[item.sku] = [(row.sku, row.cost_minor) for row in item.substitutes]
    return found
