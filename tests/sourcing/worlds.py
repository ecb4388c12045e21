"""Small random merchants: a network document, stock, capacity and orders, drawn so that most orders can be served."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, Phase, settings

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network, compile_network
from onhand.sourcing import tables
from onhand.sourcing.custom import NOTHING, Weighed
from onhand.sourcing.policy import Objective, Policy
from onhand.sourcing.solve import NO_PRICES, Ask, Asked, Decisions, Stock, asked, decide, decide_asked


def tries(examples: int) -> settings:
    """How often to draw a world. A failing one is not made smaller: that takes minutes, and is rarely needed to see
    what is wrong with four nodes."""
    return settings(
        max_examples=examples,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
COUNTRIES = ["DE", "FR", "US"]
PLACES = [("DE", "BE", "10115"), ("DE", "BY", "80331"), ("FR", "", "69007"), ("US", "NY", "10001"), ("JP", "", "")]


@dataclass(slots=True, kw_only=True)
class Order:
    """What a customer wants: (item_id, units), each item once."""

    demand: list[tuple[int, int]]
    latitude: float
    longitude: float
    place: tuple[str, str, str] = ("DE", "", "")
    channel: str = "all"
    method: str = "ship"
    service: str | None = None
    pickup_node: int = 0
    fulfilments_max: int = 1
    objective: str = "o0"
    may_dip: bool = True
    excluded: tuple[int, ...] = ()
    residential: bool = False


@dataclass(slots=True, kw_only=True)
class Extras:
    """What only some merchants have. cartons, duties: documents; values: whole minor units of a unit of (item, node)
    elsewhere or later; rejection by node, ratio by (item, node); by item the price, and the category that duties name;
    by node the orders, lines and units that its first ship day is full of; by node and service the parcels of that day
    that are sent already. terms of others by name: minor units of a fulfilment by node, and of a unit by (item, node).
    """

    cartons: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    duties: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    values: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    rejection: dict[int, float] = field(default_factory=dict[int, float])
    ratio: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])
    price: dict[int, int] = field(default_factory=dict[int, int])
    category: dict[int, str | None] = field(default_factory=dict[int, "str | None"])
    used: dict[int, tuple[int, int, int]] = field(default_factory=dict[int, tuple[int, int, int]])
    sent: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])
    terms: dict[str, dict[int, float]] = field(default_factory=dict[str, "dict[int, float]"])
    unit_terms: dict[str, dict[tuple[int, int], float]] = field(
        default_factory=dict[str, "dict[tuple[int, int], float]"]
    )


@dataclass(slots=True, kw_only=True)
class World:
    """Everything a decision depends on, as plain Python values. Stock by (item_id, node_id), missing: none."""

    now: datetime
    nodes: list[dict[str, Any]]
    carriers: list[dict[str, Any]]
    channels: list[dict[str, Any]]
    available: dict[tuple[int, int], int]
    pending: dict[tuple[int, int], int]
    safety: dict[tuple[int, int], int]
    weight_g: list[int]
    volume_mm3: list[int]
    objectives: dict[str, Objective]
    orders: list[Order] = field(default_factory=list[Order])
    extras: Extras = field(default_factory=Extras)

    @property
    def document(self) -> bytes:
        document = {"nodes": self.nodes, "carriers": self.carriers, "channels": self.channels}
        return msgspec.json.encode(document | {"cartons": self.extras.cartons, "duties": self.extras.duties})

    @property
    def policy(self) -> Policy:
        return Policy(
            version="test@1", objectives=self.objectives, default=next(iter(self.objectives)), fulfilments_max=4
        )

    def network(self) -> Network:
        return compile_network(self.document, self.now)

    def stock(self) -> Stock:
        shape = (len(self.weight_g), max((n["node_id"] for n in self.nodes), default=0) + 1)
        stock = Stock(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32))
        for array, units in (
            (stock.available, self.available),
            (stock.pending, self.pending),
            (stock.safety, self.safety),
        ):
            for at, value in units.items():
                array[at] = value
        extras = self.extras
        unit = np.zeros((*shape, 4) if extras.values else (0, 0, 4), np.float32)
        ratio = np.ones(shape if extras.ratio else (0, 0), np.float32)
        rejection = np.zeros(shape[1] if extras.rejection else 0, np.float32)
        for (item, node), value in extras.values.items():
            # In two parts, one of which has fallen since it was written.
            unit[item, node, tables.BASE] = value - 40
            unit[item, node, tables.NETWORK], unit[item, node, tables.RATE] = 50, 0.5
        for at, value in extras.ratio.items():
            ratio[at] = value
        for node, value in extras.rejection.items():
            rejection[node] = value
        clock = np.full(shape[0], 20.0)  # 20 units later, at a step of 1
        stock.prices = NO_PRICES._replace(unit=unit, clock=clock, rejection=rejection, ratio=ratio)
        return stock

    def ask(self, order: Order, network: Network) -> Ask:
        return Ask(
            demand=order.demand,
            latitude=order.latitude,
            longitude=order.longitude,
            channel=network.channels[order.channel],
            place=order.place,
            method=order.method,
            service=order.service,
            pickup_node=order.pickup_node,
            fulfilments_max=order.fulfilments_max,
            objective=self.policy.index(order.objective),
            may_dip=order.may_dip,
            excluded=order.excluded,
            residential=order.residential,
            prices=[(self.extras.price.get(item, 0), 0) for item, _ in order.demand],
        )


@dataclass(slots=True)
class Running:
    """A compiled world on which orders are decided."""

    world: World
    network: Network
    stock: Stock
    goods: Goods

    @classmethod
    def of(cls, world: World) -> "Running":
        weights, volumes = np.array(world.weight_g, np.int64), np.array(world.volume_mm3, np.int64)
        pairs = [(None, None), *((None, c) for c in sorted({c for c in world.extras.category.values() if c}))]
        pair = np.array([pairs.index((None, world.extras.category.get(i))) for i in range(len(weights))], np.int32)
        network = world.network()
        for node, used in world.extras.used.items():
            limited = network.limits[node] != tables.NO_LIMIT
            network.left[node, 0, limited] -= np.array(used, np.int32)[limited]
        for (node, code), sent in world.extras.sent.items():
            network.parcels[node, [s.code for s in network.services].index(code), 0] -= sent
        return cls(world, network, world.stock(), Goods(weights, volumes, pair, pairs))

    def asked(self, orders: list[Order]) -> Asked:
        """The orders as columns."""
        return asked([self.world.ask(order, self.network) for order in orders], self.network)

    def decide_asked(self, batch: Asked, policy: Policy | None = None) -> Decisions:
        """What becomes of a batch that has attempts of its own; nothing is taken."""
        now, policy, weighed = (
            self.world.now.timestamp(),
            policy or self.world.policy,
            self.weighed(batch.item.tolist()),
        )
        return decide_asked(
            batch, self.stock, self.network, policy, self.goods, now=now, consume=False, weighed=weighed
        )

    def decide(self, orders: list[Order], *, consume: bool = False) -> Decisions:
        return decide(
            [self.world.ask(order, self.network) for order in orders],
            self.stock,
            self.network,
            self.world.policy,
            self.goods,
            now=self.world.now.timestamp(),
            consume=consume,
            weighed=self.weighed([item for order in orders for item, _ in order.demand]),
        )

    def weighed(self, rows: list[int]) -> Weighed:
        """What the world's terms of others ask for demand rows of these items: of each order the same."""
        extras, nodes, orders = self.world.extras, self.network.count + 1, len(rows)  # there are no more orders
        if not extras.terms:
            return NOTHING
        fulfilment = np.zeros((len(extras.terms), orders, nodes), np.float32)
        unit = np.zeros((len(extras.terms), len(rows), nodes) if extras.unit_terms else (0, 0, 0), np.float32)
        for x, (name, by_node) in enumerate(extras.terms.items()):
            for node, minor in by_node.items():
                fulfilment[x, :, node] = minor
            for (item, node), minor in extras.unit_terms.get(name, {}).items():
                unit[x, [n for n, row in enumerate(rows) if row == item], node] = minor
        return Weighed(
            names=tuple(extras.terms), fulfilment=fulfilment, unit=unit,
            paid=np.zeros(len(extras.terms), np.bool_), seen=np.ones((orders, nodes), np.bool_),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fulfilment:
    """One fulfilment of a plan; units by item_id."""

    node: int
    service: str | None
    slot: int
    departs: int
    deliver: int
    lines: int
    units: int
    parcels: int
    terms: tuple[float, ...]
    grams: float
    picks: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer to one order."""

    cost: float
    method: int
    fulfilments: list[Fulfilment]


def plans(decisions: Decisions, network: Network) -> list[Plan | None]:
    """Decisions as values; checks that offsets and numbers fit together."""
    answer: list[Plan | None] = []
    made: list[int] = decisions.fulfilment_first.tolist()
    picked: list[int] = decisions.pick_first.tolist()
    for o in range(len(decisions.count)):
        f0, f1 = made[o], made[o + 1]
        p0, p1 = picked[o], picked[o + 1]
        assert f1 - f0 == decisions.count[o]
        if f0 == f1:
            assert p0 == p1, "picks without a fulfilment"
            answer.append(None)
            continue
        picks: list[dict[int, int]] = [{} for _ in range(f0, f1)]
        for p in range(p0, p1):
            d = int(decisions.pick_demand[p])
            assert decisions.demand_first[o] <= d < decisions.demand_first[o + 1]
            number = int(decisions.pick_number[p]) - 1
            assert decisions.pick_node[p] == decisions.node[f0 + number]
            item = int(decisions.demand_item[d])
            assert item not in picks[number], "an item twice in one fulfilment"
            picks[number][item] = int(decisions.pick_units[p])
        answer.append(
            Plan(
                cost=float(decisions.cost[o]),
                method=int(decisions.method[o]),
                fulfilments=[
                    Fulfilment(
                        node=int(decisions.node[f]),
                        service=None if decisions.service[f] < 0 else network.services[int(decisions.service[f])].code,
                        slot=int(decisions.slot[f]),
                        departs=int(decisions.departs[f]),
                        deliver=int(decisions.deliver[f]),
                        lines=int(decisions.lines[f]),
                        units=int(decisions.units[f]),
                        parcels=int(decisions.parcels[f]),
                        terms=tuple(decisions.terms[f].tolist()),
                        grams=float(decisions.grams[f]),
                        picks=picks[f - f0],
                    )
                    for f in range(f0, f1)
                ],
            )
        )
    return answer


def draw(rng: Random, *, nodes: int = 4, items: int = 4, lines: int = 4, services: int = 3, orders: int = 1) -> World:
    """A random merchant with at most so many of each."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=rng.randint(0, 364), minutes=rng.randint(0, 1439))
    node_count = max(rng.randint(1, nodes), rng.randint(1, nodes))
    item_count = max(rng.randint(1, items), rng.randint(1, items))
    world = World(
        now=now,
        nodes=[_node(rng, k, now.date()) for k in range(1, node_count + 1)],
        carriers=_carriers(rng, services),
        channels=_channels(rng, node_count),
        available={},
        pending={},
        safety={},
        weight_g=[0, *(rng.choice([0, 1, 400, 999, 1000, 1001, 7300]) for _ in range(item_count))],
        volume_mm3=[0, *(rng.choice([0, 10**6, 4_000_003, 25 * 10**6]) for _ in range(item_count))],
        objectives={f"o{n}": _objective(rng) for n in range(3)},
    )
    for item in range(1, item_count + 1):
        for node in range(1, node_count + 1):
            if rng.random() < 0.6:
                world.available[item, node] = rng.randint(0, 6)
                world.pending[item, node] = rng.choice([0, 0, 0, 1, 3])
                world.safety[item, node] = rng.choice([0, 0, 1, 3])
    for _ in range(orders):
        world.orders.append(_order(rng, world, lines))
    return world


def draw_full(rng: Random) -> World:
    """The same with everything that can cost: cartons, surcharges, duties, wages, full days, rejections, and units that
    are worth something elsewhere; half of the orders may be served in part."""
    world = draw(rng, lines=3)
    items, nodes = range(1, len(world.weight_g)), [n["node_id"] for n in world.nodes]
    for node in world.nodes:
        node |= {"handling_line_minor": rng.choice([0, 30]), "handling_unit_minor": rng.choice([0, 7])}
        if node["capacity_orders"] is None and rng.random() < 0.6:
            node["capacity_orders"] = rng.choice([3, 10])
    for carrier in world.carriers:
        for service in carrier["document"]["services"]:
            service["residential_surcharge_minor"] = rng.choice([0, 120])
    sides = [(100, 150), (200, 400), (300, 900)]
    cartons = [
        {f"inner_{side}_mm": size for side in ("length", "width", "height")}
        | {"code": f"C{size}", "weight_g": 90, "cost_minor": cost, "fill_share": 0.8, "weight_max_g": most}
        for (size, cost), most in zip(sides, (800, 5000, 9000), strict=True)
    ]
    duty = {"valid_from": "2020-01-01", "duty_recoverable_share": 0.0, "currency": "EUR"}
    world.extras = Extras(
        cartons=rng.choice([[], cartons]),
        duties=[
            duty | {"code": "a", "categories": ["shoes"], "to_countries": ["DE"], "duty_rate": 0.17, "tax_rate": 0.1}
            | {"unrecoverable_share": 0.5, "de_minimis_minor": 2000, "fee_minor": 150},
            duty | {"code": "b", "from_countries": ["US"], "to_countries": ["DE", "FR"], "duty_rate": 0.04}
            | {"tax_rate": 0.0, "unrecoverable_share": 0.0, "de_minimis_minor": 3000, "fee_minor": 500},
        ],
        values={(i, n): rng.choice([-120, 0, 60, 400]) for i in items for n in nodes},
        rejection={n: rng.choice([0.0, 0.1, 0.5]) for n in nodes},
        ratio={(i, n): rng.choice([0.5, 1.0, 3.0]) for i in items for n in nodes},
        price={i: rng.choice([0, 900, 2500]) for i in items},
        category={i: rng.choice([None, "shoes"]) for i in items},
        used={n: (rng.choice([0, 1, 2]), rng.choice([0, 1]), rng.choice([0, 1])) for n in nodes},
    )  # fmt: skip
    for name, objective in world.objectives.items():
        world.objectives[name] = replace(
            objective,
            capacity_base_minor=rng.choice([0, 50]),
            capacity_from=rng.choice([0.0, 0.4]),
            step_minor=1,
            rejection_minor=rng.choice([0, 350]),
            unserved_order_minor=rng.choice([None, 0, 600]),
            unserved_unit_minor=rng.choice([100, 500, 3000]),
        )
    world.orders[0].residential = rng.random() < 0.5
    if rng.random() < 0.6:
        _add_terms(rng, world)
    return world


def _add_terms(rng: Random, world: World) -> None:
    """One or two cost terms of others, which save, cost, or forbid; some policies weigh them."""
    nodes, extras = [n["node_id"] for n in world.nodes], world.extras
    for name in ("ferry", "fragile")[: rng.randint(1, 2)]:
        extras.terms[name] = {n: rng.choice([-80, 0, 0, 130.5, 400, float("inf")]) for n in nodes}
    if rng.random() < 0.5:
        items = range(1, len(world.weight_g))
        extras.unit_terms["ferry"] = {
            (i, n): rng.choice([-9.25, 0, 0, 0, 25, 70, float("inf")]) for i in items for n in nodes
        }
    for name, objective in world.objectives.items():
        weights = {"ferry": rng.choice([0.0, 1.0, 2.5])} if rng.random() < 0.6 else {}
        world.objectives[name] = replace(objective, weights=weights)


def draw_limited_parcels(rng: Random, *, full: bool, orders: int = 1) -> World:
    """The same with carriers that take a few parcels a day at a node, or along a lane of several nodes; `full`: with
    everything that can cost."""
    world = draw_full(rng) if full else draw(rng, orders=orders, lines=3)
    for carrier in world.carriers:
        for service in carrier["document"]["services"]:
            if rng.random() < 0.6:
                service["parcels_per_day"] = rng.choice([0, 1, 1, 2, 3, 8])
                for node in world.nodes if full else ():
                    world.extras.sent[node["node_id"], service["code"]] = rng.choice([0, 0, 1, 2])
            service["lanes"] = [_lane(rng, world) for _ in range(rng.choice([0, 1, 2]))]
    return world


def _lane(rng: Random, world: World) -> dict[str, Any]:
    lane: dict[str, Any] = {"transit_days": {"p50": 2, "p95": rng.choice([2.5, 4])}}
    if rng.random() < 0.7:
        lane["parcels_per_day"] = rng.choice([0, 1, 2, 2, 3, 8])
    if rng.random() < 0.5:
        lane["to_countries"] = rng.sample(["DE", "FR", "US", "JP"], 2)
    if rng.random() < 0.3:
        lane["from_countries"] = rng.sample(COUNTRIES, 2)
    if rng.random() < 0.3:
        codes = [node["code"] for node in world.nodes]
        lane["from_nodes"] = rng.sample(codes, rng.randint(1, len(codes)))
    return lane


def draw_huge(rng: Random) -> World:
    """The same with one order of one or two lines, and numbers up to the largest that a column holds."""
    huge = [0, 1, 5, 31_999, 32_000, 32_001, 40_000, 70_000, 2**31 - 1]
    world = draw(rng, lines=2)
    for at in list(world.available):
        world.available[at], world.safety[at], world.pending[at] = rng.choice([-7, *huge]), rng.choice(huge), 0
    for node in world.nodes:
        node |= {"capacity_units": rng.choice([None, *huge[1:]]), "capacity_lines": None, "capacity_orders": None}
    if rng.random() < 0.5:
        (order,) = world.orders
        order.demand = [(item, rng.choice([1, 31_999, 33_000, 40_001, 69_000, 10**9])) for item, _ in order.demand]
    return world


def _node(rng: Random, node_id: int, today: date) -> dict[str, Any]:
    limited = rng.random() < 0.5
    return {
        "node_id": node_id,
        "code": f"N{node_id}",
        "country": rng.choice(COUNTRIES),
        "latitude": round(rng.uniform(44, 54), 2),
        "longitude": round(rng.uniform(-2, 14), 2),
        "timezone": rng.choice(ZONES),
        "handling_cost_minor": rng.choice([0, 50, 180, 400]),
        "cutoff": f"{rng.randint(0, 23):02}:{rng.choice([0, 30, 59]):02}",
        "working_days": sorted(rng.sample(range(1, 8), rng.choice([1, 5, 7]))),
        "closed_days": [(today + timedelta(days=rng.randint(0, 6))).isoformat() for _ in range(rng.randint(0, 3))],
        "capacity_orders": rng.choice([None, None, 0, 1, 2]) if limited else None,
        "capacity_lines": rng.choice([None, None, 1, 2, 4]) if limited else None,
        "capacity_units": rng.choice([None, None, 2, 5, 9]) if limited else None,
        "methods": rng.choice([["ship"], ["pickup", "ship"], *[["ship", "pickup", "ship_to_store"]] * 3]),
        "co2_g_per_order": rng.choice([0, 120]),
        "active": rng.random() < 0.95,
    }


def _carriers(rng: Random, services: int) -> list[dict[str, Any]]:
    drawn = [_service(rng, f"S1{s}") for s in range(rng.randint(1, services))]
    if rng.random() < 0.8:  # one goes everywhere
        everywhere = drawn[-1]
        everywhere.pop("methods", None)
        table = everywhere["rate_table"]
        bands = len(table["prices_minor"])
        table |= {"by": "distance_km", "distance_km": [*(200.0 * b for b in range(1, bands)), None]}
    split = rng.randint(0, len(drawn))
    return [
        {"code": "C1", "document": {"services": drawn[:split]}},
        {"code": "C2", "document": {"services": drawn[split:]}},
    ]


def _service(rng: Random, code: str) -> dict[str, Any]:
    bands = rng.randint(1, 3)
    weights = sorted(rng.sample([300, 1000, 2000, 5000, 20_000], rng.randint(1, 4)))
    service: dict[str, Any] = {"code": code, "currency": "EUR"}
    table: dict[str, Any] = {"weights_g": weights}
    if rng.random() < 0.6:
        edges: list[float | None] = sorted(rng.sample([150, 400, 700, 1100], bands))  # type: ignore[assignment]
        if rng.random() < 0.9:
            edges[-1] = None
        table |= {"by": "distance_km", "distance_km": edges}
    else:
        table |= {"by": "zone", "zones": [_zone(rng, f"Z{b}") for b in range(bands)]}
    # Prices that jump up and down with weight: what one parcel costs says nothing about two.
    table["prices_minor"] = [[rng.choice([90, 350, 420, 800, 1500]) for _ in weights] for _ in range(bands)]
    service["rate_table"] = table
    days = [
        {"p50": p50, "p95": p50 + rng.choice([0, 0.5, 3])} for p50 in (rng.choice([0.5, 1, 3]) for _ in range(bands))
    ]
    service["transit_days"] = days if rng.random() < 0.5 else days[0]
    if rng.random() < 0.5:
        service["cutoff"] = f"{rng.randint(0, 23):02}:{rng.choice([0, 45]):02}"
    if rng.random() < 0.3:
        service["methods"] = rng.choice([["ship"], ["ship_to_store"]])
    service["co2_g_per_tonne_km"] = rng.choice([0, 95])
    service["dimensional_divisor"] = rng.choice([None, 5000])
    service["fuel_surcharge_rate"] = rng.choice([0, 0.08])
    return service


def _zone(rng: Random, name: str) -> dict[str, Any]:
    zone: dict[str, Any] = {"zone": name}
    if rng.random() < 0.4:
        zone["from_countries"] = rng.sample(COUNTRIES, 2)
    if rng.random() < 0.4:
        zone["to_countries"] = rng.sample(["DE", "FR", "US", "JP"], 2)
    if rng.random() < 0.2:
        zone["to_regions"] = rng.choice([["BE"], ["BY", "NY"]])
    if rng.random() < 0.2:
        zone["to_postal_prefixes"] = rng.choice([["1"], ["80", "690"], ["10001"]])
    return zone


def _channels(rng: Random, nodes: int) -> list[dict[str, Any]]:
    some = rng.sample(range(1, nodes + 1), rng.randint(1, nodes))
    return [
        {"channel_id": 1, "code": "few", "node_ids": some, "active": True},
        {"channel_id": 2, "code": "all", "node_ids": None, "active": True},
    ]


def _objective(rng: Random) -> Objective:
    return Objective(
        split_minor=rng.choice([0, 50, 100, 1000]),
        target_days=rng.choice([0.5, 2, 5]),
        late_minor=rng.choice([0, 300, 1500]),
        day_minor=rng.choice([0, 1, 400]),
        co2_minor_per_kg=rng.choice([0, 800]),
    )


def _order(rng: Random, world: World, lines: int) -> Order:
    items = range(1, len(world.weight_g))
    most = min(lines, len(items))
    demand = [(i, rng.randint(1, 4)) for i in rng.sample(items, max(rng.randint(1, most), rng.randint(1, most)))]
    order = Order(
        demand=demand,
        latitude=round(rng.uniform(44, 54), 2),
        longitude=round(rng.uniform(-2, 14), 2),
        place=rng.choice(PLACES),
        channel=rng.choice(["all", "all", "few"]),
        method=rng.choice(["ship", "ship", "ship", "pickup", "ship_to_store"]),
        fulfilments_max=rng.randint(1, 3),
        objective=rng.choice(["o0", "o1", "o2"]),
        may_dip=rng.random() < 0.7,
    )
    if rng.random() < 0.15:
        order.service = rng.choice(["S10", "S10", "S11", "nobody"])
    channel = next(c for c in world.channels if c["code"] == order.channel)
    nodes: list[int] = channel["node_ids"] or [n["node_id"] for n in world.nodes]
    # A way to serve it, most of the time: the answer first, then a world that allows it.
    witness = rng.sample(nodes, min(len(nodes), order.fulfilments_max))
    if order.method == "pickup" and rng.random() < 0.7:
        order.pickup_node = witness[0]
        witness = witness[:1]
    others = [n for n in nodes if n not in witness]
    if others and rng.random() < 0.3:
        order.excluded = (rng.choice(others),)
    if rng.random() < 0.85:
        for node in world.nodes:
            if node["node_id"] in witness:
                node |= {"methods": ["ship", "pickup", "ship_to_store"], "active": True}
                if rng.random() < 0.6:
                    node |= {"capacity_orders": None, "capacity_lines": None}
        for item, units in demand:
            at = item, rng.choice(witness)
            kept = world.pending.get(at, 0) + rng.choice([0, world.safety.get(at, 0)])
            world.available[at] = max(world.available.get(at, 0), units + kept)
    return order


def permuted(world: World, order: Order, lines: list[int]) -> Order:
    """The same order with its lines in another sequence."""
    return replace(order, demand=[order.demand[n] for n in lines])
