"""What rows do to the network, and what a carrier document must add up to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from onhand.base.results import RowResult, rejected, without_repeats
from onhand.network.model import (
    CarrierIn,
    CartonIn,
    DutyIn,
    MarkdownRow,
    Node,
    NodeIn,
    NodeRow,
    Service,
    Transit,
    ZoneRates,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChanges:
    """The answer per row, the nodes to write, and what becomes of their promised capacity.

    now_limited    ids of known nodes that get a limit: what is promised of them must be counted from now on
    now_unlimited  ids of nodes whose counts are no longer kept
    """

    results: list[RowResult]
    written: list[Node]
    now_limited: list[int]
    now_unlimited: list[int]


def decide_nodes(rows: Sequence[NodeRow | RowResult], known: Mapping[str, Node], highest_id: int) -> NodeChanges:
    """Decide all rows; a RowResult among them was refused before and stays in its place.

    known  by code: the nodes that the rows name
    """
    results, first = without_repeats(rows, lambda row: row.code, "code")
    written: list[Node] = []
    now_limited: list[int] = []
    now_unlimited: list[int] = []
    for code, number in first.items():
        row = rows[number]
        assert isinstance(row, NodeRow), "only rows that could be read are numbered"
        before = known.get(code)
        node = node_of(code, row, highest_id + 1 if before is None else before.node_id)
        if before is None:
            highest_id += 1
            results[number] = RowResult(status="created", key=code)
        elif before.content() == node.content():
            results[number] = RowResult(status="unchanged", key=code)
            continue
        else:
            results[number] = RowResult(status="updated", key=code)
            if node.is_limited and not before.is_limited:
                now_limited.append(node.node_id)
            elif before.is_limited and not node.is_limited:
                now_unlimited.append(node.node_id)
        written.append(node)
    return NodeChanges(
        results=[results[n] for n in range(len(rows))],
        written=written,
        now_limited=sorted(now_limited),
        now_unlimited=sorted(now_unlimited),
    )


def node_of(code: str, row: NodeIn, node_id: int) -> Node:
    """The node that a document describes."""
    return Node(
        node_id=node_id,
        code=code,
        name=row.name,
        node_type=row.node_type,
        country=row.country,
        region=row.region,
        postal_code=row.postal_code,
        latitude=row.latitude,
        longitude=row.longitude,
        timezone=row.timezone,
        handling_cost_minor=row.handling_cost_minor,
        cutoff=row.cutoff,
        working_days=row.working_days,
        closed_days=row.closed_days,
        capacity_orders=row.capacity.orders,
        capacity_lines=row.capacity.lines,
        capacity_units=row.capacity.units,
        methods=list(row.methods),
        safety_stock_default=row.safety_stock_default,
        co2_g_per_order=row.co2_g_per_order,
        handling_line_minor=row.handling_line_minor,
        handling_unit_minor=row.handling_unit_minor,
        labour=None if row.labour is None else row.labour.model_dump(mode="json"),
        holidays=row.holidays,
        dock_units_out=row.docks.units_out,
        dock_units_in=row.docks.units_in,
        attributes=row.attributes,
        active=row.active,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkdownChanges:
    """The answer per row, (item_id, node_id, value_minor, until) to write and (item_id, node_id) to delete."""

    results: list[RowResult]
    written: list[tuple[int, int, int, date | None]]
    deleted: list[tuple[int, int]]


def decide_markdowns(
    rows: Sequence[MarkdownRow | RowResult],
    items: Mapping[str, int],
    nodes: Mapping[str, int],
    known: Mapping[tuple[int, int], tuple[int, date | None]],
) -> MarkdownChanges:
    """Decide all rows; a RowResult among them was refused before and stays in its place. A result is "sku @ node".

    items, nodes  ids by sku and by code: of those that exist
    known         (value_minor, until) by (item_id, node_id)
    """
    results, first = without_repeats(rows, lambda row: f"{row.sku} @ {row.node}", "sku")
    written: list[tuple[int, int, int, date | None]] = []
    deleted: list[tuple[int, int]] = []
    for key, number in first.items():
        row = rows[number]
        assert isinstance(row, MarkdownRow), "only rows that could be read are numbered"
        missing = [] if row.sku in items else [("sku", f"no item {row.sku!r}")]
        missing += [] if row.node in nodes else [("node", f"no node {row.node!r}")]
        if missing:
            results[number] = rejected(key, *missing)
            continue
        at = items[row.sku], nodes[row.node]
        before = known.get(at)
        after = None if row.value_minor is None else (row.value_minor, row.until)
        if before == after:
            results[number] = RowResult(status="unchanged", key=key)
            continue
        results[number] = RowResult(status="created" if before is None else "updated", key=key)
        if after is None:
            deleted.append(at)
        else:
            written.append((*at, *after))
    return MarkdownChanges(results=[results[n] for n in range(len(rows))], written=written, deleted=deleted)


def carton_problems(carton: CartonIn) -> list[tuple[str, str]]:
    """(path, message) of what does not add up between the fields of a carton."""
    errors: list[tuple[str, str]] = []
    for side in ("length", "width", "height"):
        inner: int = getattr(carton, f"inner_{side}_mm")
        outer: int | None = getattr(carton, f"outer_{side}_mm")
        if outer is not None and outer < inner:
            errors.append((f"outer_{side}_mm", f"expected at least inner_{side}_mm, {inner}, got {outer}"))
    if carton.weight_max_g is not None and carton.weight_max_g <= carton.weight_g:
        errors.append(("weight_max_g", f"expected more than weight_g, {carton.weight_g}, got {carton.weight_max_g}"))
    return errors


def duty_problems(duty: DutyIn) -> list[tuple[str, str]]:
    """(path, message) of what does not add up between the fields of a duty."""
    if duty.valid_until is not None and duty.valid_until < duty.valid_from:
        return [("valid_until", f"expected {duty.valid_from} or later, got {duty.valid_until}")]
    return []


def carrier_problems(carrier: CarrierIn) -> list[tuple[str, str]]:
    """(path, message) of what does not add up between the fields of a carrier document."""
    errors: list[tuple[str, str]] = []
    if carrier.provider is not None:
        errors.append(("provider", f"{carrier.provider!r} is not available in this version"))
    elif carrier.settings is not None:
        errors.append(("settings", "only with a provider"))
    elif not carrier.services:
        errors.append(("services", "expected at least one service"))
    seen: set[str] = set()
    for number, service in enumerate(carrier.services):
        path = f"services[{number}]"
        if service.code in seen:
            errors.append((f"{path}.code", f"{service.code!r} stands twice in this carrier"))
        seen.add(service.code)
        errors += _service_problems(service, path)
    return errors


def _service_problems(service: Service, path: str) -> list[tuple[str, str]]:
    errors: list[tuple[str, str]] = []
    table, rates = service.rate_table, f"{path}.rate_table"
    if isinstance(table, ZoneRates):
        bands, band_name = len(table.zones), "zones"
        names = [zone.zone for zone in table.zones]
        for number, name in enumerate(names):
            if name in names[:number]:
                errors.append((f"{rates}.zones[{number}].zone", f"{name!r} stands twice"))
    else:
        bands, band_name = len(table.distance_km), "distance_km"
        if None in table.distance_km[:-1]:
            at = table.distance_km.index(None)
            errors.append((f"{rates}.distance_km[{at}]", "only the last distance may be null"))
        else:
            edges = [km for km in table.distance_km if km is not None]
            errors += _descending(edges, f"{rates}.distance_km")
    errors += _descending(table.weights_g, f"{rates}.weights_g")

    weights = len(table.weights_g)
    if len(table.prices_minor) != bands:
        errors.append(
            (
                f"{rates}.prices_minor",
                f"expected {bands} rows, one per band of {band_name}, got {len(table.prices_minor)}",
            )
        )
    for number, prices in enumerate(table.prices_minor):
        if len(prices) != weights:
            errors.append(
                (
                    f"{rates}.prices_minor[{number}]",
                    f"expected {weights} prices, one per weight of weights_g, got {len(prices)}",
                )
            )

    transit = service.transit_days
    if isinstance(transit, Transit):
        errors += _transit_problems(transit, f"{path}.transit_days")
    else:
        if len(transit) != bands:
            errors.append(
                (
                    f"{path}.transit_days",
                    f"expected one object, or {bands}: one per band of {band_name}; got {len(transit)}",
                )
            )
        for number, days in enumerate(transit):
            errors += _transit_problems(days, f"{path}.transit_days[{number}]")
    for number, lane in enumerate(service.lanes):
        errors += _transit_problems(lane.transit_days, f"{path}.lanes[{number}].transit_days")
    return errors


def _transit_problems(days: Transit, path: str) -> list[tuple[str, str]]:
    if days.p95 >= days.p50:
        return []
    return [(f"{path}.p95", f"expected at least p50, {days.p50:g}, got {days.p95:g}")]


def _descending(values: Sequence[float], path: str) -> list[tuple[str, str]]:
    for number in range(1, len(values)):
        if values[number] <= values[number - 1]:
            before = values[number - 1]
            return [(f"{path}[{number}]", f"expected more than {before:g}, the value before it")]
    return []
