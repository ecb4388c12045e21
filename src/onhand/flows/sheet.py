"""Checked orders as columns: how a batch travels to its decision and its statement.

An order by itself is an `Intake`. A batch of hundreds is dearer as objects than everything that is done with it: what
reads, decides and writes whole batches does it column by column, and makes an Intake of a row when that order needs to
be looked at alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import accumulate
from typing import Any

import numpy as np

from onhand.base.dates import YEARS, microseconds
from onhand.base.money import CURRENCIES
from onhand.flows.intake import FEW_LINES, Intake, OrderLine, World, are_prices_read, place_of
from onhand.network.compiled import METHODS, Channel, Network
from onhand.orders.intake import COUNTRY_CODES, LineIn, OrderIn, encode_plain_wishes, encode_wishes
from onhand.sourcing.solve import Ask, Asked, duty_rows, first_rows, with_names


@dataclass(slots=True, kw_only=True)
class Sheet:
    """Checked orders in the order they came in; every column is a list.

    orders .. objectives   one entry per order; names: what no two of them share, channel_id and external id;
                           requests: what `orders.request` keeps of each
    items, components      per order line: item_id, and (item_id, units per bundle) of a bundle; line_counts per order
    demand_*, line_of      per demand row, as in Ask and Intake; demand_counts per order
    """

    orders: list[OrderIn]
    names: list[tuple[int, str]]
    channels: list[Channel]
    hashes: list[bytes]
    requests: list[bytes]
    placed_us: list[int]
    actors: list[int]
    reasons: list[str | None]
    keys: list[str | None]
    latitudes: list[float]
    longitudes: list[float]
    pickup_nodes: list[int]
    fulfilments_max: list[int]
    objectives: list[int]
    line_counts: list[int]
    demand_counts: list[int]
    items: list[int]
    components: list[tuple[tuple[int, int], ...]]
    demand_items: list[int]
    demand_units: list[int]
    demand_prices: list[float]
    demand_costs: list[float]
    line_of: list[int]

    def __len__(self) -> int:
        return len(self.orders)

    @classmethod
    def of(cls, intakes: Sequence[Intake]) -> "Sheet":
        """Orders by themselves, as columns."""
        asks = [k.ask for k in intakes]
        lines = [line for k in intakes for line in k.lines]
        return cls(
            orders=[k.order for k in intakes],
            names=[k.name for k in intakes],
            channels=[k.channel for k in intakes],
            hashes=[k.hash for k in intakes],
            requests=[encode_wishes(k.order) for k in intakes],
            placed_us=[k.placed_us for k in intakes],
            actors=[k.actor for k in intakes],
            reasons=[k.reason for k in intakes],
            keys=[k.key for k in intakes],
            latitudes=[a.latitude for a in asks],
            longitudes=[a.longitude for a in asks],
            pickup_nodes=[a.pickup_node for a in asks],
            fulfilments_max=[a.fulfilments_max for a in asks],
            objectives=[a.objective for a in asks],
            line_counts=[len(k.lines) for k in intakes],
            demand_counts=[len(a.demand) for a in asks],
            items=[line.item_id for line in lines],
            components=[line.components for line in lines],
            demand_items=[item for a in asks for item, _ in a.demand],
            demand_units=[units for a in asks for _, units in a.demand],
            demand_prices=[price for a in asks for price, _ in a.prices or [(0.0, 0.0)] * len(a.demand)],
            demand_costs=[cost for a in asks for _, cost in a.prices or [(0.0, 0.0)] * len(a.demand)],
            line_of=[line for k in intakes for line in k.line_of],
        )

    @classmethod
    def under(cls, sheets: Sequence["Sheet"]) -> "Sheet":
        """All of them, one below the other."""
        if len(sheets) == 1:
            return sheets[0]
        return cls(**{name: _joined([getattr(s, name) for s in sheets]) for name in _COLUMNS})

    def only(self, rows: Sequence[int]) -> "Sheet":
        """Some orders, given by number."""
        if len(rows) == len(self):
            return self
        taken: dict[str, list[object]] = {}
        for names, counts in ((_LINES, self.line_counts), (_DEMAND, self.demand_counts)):
            first = [0, *accumulate(counts)]
            at = [n for r in rows for n in range(first[r], first[r + 1])]
            taken |= {name: _pick(getattr(self, name), at) for name in names}
        taken |= {name: _pick(getattr(self, name), rows) for name in _COLUMNS if name not in taken}
        return Sheet(**taken)  # pyright: ignore[reportArgumentType]

    def intake(self, n: int) -> Intake:
        """Order `n` by itself."""
        order, channel = self.orders[n], self.channels[n]
        line, row = sum(self.line_counts[:n]), sum(self.demand_counts[:n])
        rows = slice(row, row + self.demand_counts[n])
        destination = order.destination
        return Intake(
            channel=channel,
            order=order,
            placed_us=self.placed_us[n],
            lines=[
                OrderLine(
                    line_no=number + 1,
                    line_id=one.line_id,
                    item_id=self.items[line + number],
                    quantity=one.quantity,
                    components=self.components[line + number],
                )
                for number, one in enumerate(order.lines)
            ],
            line_of=self.line_of[rows],
            ask=Ask(
                demand=list(zip(self.demand_items[rows], self.demand_units[rows], strict=True)),
                latitude=self.latitudes[n],
                longitude=self.longitudes[n],
                channel=channel,
                place=(destination.country, destination.region or "", destination.postal_code),
                method=order.method,
                service=order.service,
                pickup_node=self.pickup_nodes[n],
                fulfilments_max=self.fulfilments_max[n],
                objective=self.objectives[n],
                residential=destination.residential,
                prices=list(zip(self.demand_prices[rows], self.demand_costs[rows], strict=True))
                if any(self.demand_prices[rows])
                else [],
            ),
            hash=self.hashes[n],
            actor=self.actors[n],
            reason=self.reasons[n],
            key=self.keys[n],
        )

    def lines(self) -> list[LineIn]:
        return [line for order in self.orders for line in order.lines]

    def asked(self, network: Network) -> Asked:
        """What sourcing has to decide."""
        count, orders = len(self), self.orders
        zone = np.zeros(count, np.int32)
        if network.has_zones:
            places = [o.destination for o in orders]
            zone[:] = [network.zone_row(p.country, p.region or "", p.postal_code) for p in places]
        batch = Asked(
            demand_first=first_rows(self.demand_counts),
            item=np.array(self.demand_items, np.int32),
            units=np.array(self.demand_units, np.int32),
            latitude=np.array(self.latitudes, np.float64),
            longitude=np.array(self.longitudes, np.float64),
            zone=zone,
            channel=np.array([c.index for c in self.channels], np.int32),
            method=np.array([METHODS[o.method] for o in orders], np.int32),
            service=np.array([network.service_row(o.service) for o in orders], np.int32),
            fulfilments_max=np.array(self.fulfilments_max, np.int32),
            objective=np.array(self.objectives, np.int32),
            may_dip=np.ones(count, np.int32),
            pickup_node=np.array(self.pickup_nodes, np.int32),
            excluded_first=np.zeros(count + 1, np.int32),
            excluded=np.empty(0, np.int32),
            price=np.array(self.demand_prices, np.float64) if any(self.demand_prices) else None,
            cost=np.array(self.demand_costs, np.float64) if any(self.demand_costs) else None,
            residential=np.array([o.destination.residential for o in orders], np.int32),
            duty=duty_rows(network, [(o.destination.country, o.destination.region or "", "") for o in orders]),
        )
        to = (o.destination for o in orders)
        return with_names(
            batch, (c.code for c in self.channels), ((p.country, p.region or "", p.postal_code) for p in to)
        )


_COLUMNS = tuple(f.name for f in fields(Sheet))
_LINES = ("items", "components")
_DEMAND = ("demand_items", "demand_units", "demand_prices", "demand_costs", "line_of")


def _joined(lists: Sequence[list[Any]]) -> list[Any]:
    whole: list[Any] = []
    for one in lists:
        whole += one
    return whole


def _pick(column: list[object], at: Sequence[int]) -> list[object]:
    return [column[n] for n in at]


def read_plain(
    world: World,
    orders: Sequence[OrderIn],
    hashes: Sequence[bytes],
    *,
    actor: int,
    reason: str | None,
    now: datetime,
) -> tuple[Sheet, list[int], list[int]]:
    """Check orders of one request, as most are: shipped, in full, from the shelf, with nothing to object to.

    hashes  of each order its `hash_order`

    The columns, which orders stand in them, and which are left for `prepare`: those that have more to them, and those
    that are wrong, as it will say.
    """
    network, catalogue, policy = world.network, world.catalogue, world.policy
    channels, ids, bundles, releases = network.channels, catalogue.ids, catalogue.bundles, catalogue.releases
    most, default = policy.fulfilments_max, policy.index(None)
    now_us = microseconds(now)
    sheet = Sheet.of(())
    plain: list[int] = []
    rest: list[int] = []
    for n, order in enumerate(orders):
        channel, destination = channels.get(order.channel), order.destination
        if (
            channel is None
            or not channel.active
            or order.method != "ship"
            or order.pickup_node is not None
            or order.service is not None
            or order.reservation_id is not None
            or order.hold is not None
            or order.payment is not None
            or (order.placed_at is not None and order.placed_at.year not in YEARS)
            or order.currency not in CURRENCIES
            or destination.country not in COUNTRY_CODES
            or not order.external_id.isprintable()
            or len(order.lines) > FEW_LINES
        ):
            rest.append(n)
            continue
        lines = order.lines
        if len(lines) == 1:
            items = [ids.get(lines[0].sku, 0)]
            is_odd = not items[0] or items[0] in bundles or items[0] in releases or not lines[0].line_id.isprintable()
        else:
            items = [ids.get(line.sku, 0) for line in lines]
            is_odd = (
                not all(items)
                or len({*items}) != len(items)
                or not bundles.keys().isdisjoint(items)
                or not releases.keys().isdisjoint(items)
                or len({line.line_id for line in lines}) != len(items)
                or not all(line.line_id.isprintable() for line in lines)
            )
        latitude, longitude = destination.latitude, destination.longitude
        if latitude is None or longitude is None:
            latitude, longitude, is_nowhere = place_of(destination)
            is_odd |= is_nowhere
        if is_odd:
            rest.append(n)
            continue
        plain.append(n)
        sheet.orders.append(order)
        sheet.names.append((channel.channel_id, order.external_id))
        sheet.channels.append(channel)
        sheet.latitudes.append(latitude)
        sheet.longitudes.append(longitude)
        sheet.fulfilments_max.append(most if order.allow_split else 1)
        sheet.objectives.append(default if order.objective is None else policy.index(order.objective))
        sheet.line_counts.append(len(items))
        sheet.items += items
    count, found = len(plain), sheet.lines()
    sheet.hashes = [hashes[n] for n in plain]
    sheet.requests = encode_plain_wishes(sheet.orders)
    sheet.placed_us = [now_us if o.placed_at is None else microseconds(o.placed_at) for o in sheet.orders]
    sheet.actors, sheet.reasons, sheet.keys = [actor] * count, [reason] * count, [None] * count
    sheet.pickup_nodes = [0] * count
    sheet.components = [()] * len(found)
    # No bundles, and no item twice: the lines are the demand.
    sheet.demand_counts, sheet.demand_items = sheet.line_counts, sheet.items
    sheet.demand_units = [line.quantity for line in found]
    # Mostly nobody asks.
    sheet.demand_prices = sheet.demand_costs = [0.0] * len(found)
    if are_prices_read(network, policy):
        sheet.demand_prices = [float(line.price_minor) for line in found]
        sheet.demand_costs = catalogue.unit_cost[sheet.demand_items].tolist()
    sheet.line_of = (
        [1] * count if len(found) == count else [n for size in sheet.line_counts for n in range(1, size + 1)]
    )
    return sheet, plain, rest
