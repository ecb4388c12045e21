"""The cost model of a plan, written again from its description in plain Python, and the best plan by trying them all.

Shares no code with the solver: calendar, zones, rates, lateness and carbon are worked out here from the network
document, one fulfilment at a time.
"""

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from tests.sourcing.worlds import Fulfilment, Order, Plan, World

from onhand.sourcing import tables
from onhand.sourcing.policy import Objective

DAY_S = 86_400
SHIP_DAYS = 10
NO_LIMIT = math.inf


@dataclass(slots=True)
class Priced:
    """The cheapest way for one node to send some lines."""

    service: str | None
    slot: int
    departs: int
    deliver: int
    terms: tuple[float, ...]
    grams: float
    parcels: int = 0
    lane: int | None = None

    @property
    def cost(self) -> float:
        return sum(self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan may not exceed; services None: all."""

    km: float = math.inf
    days: float = math.inf
    services: frozenset[str] | None = None
    divides: int = tables.DIVIDE_CHEAPER


@dataclass(slots=True)
class Oracle:
    """Decides one order after the other; `take` books what a plan uses."""

    world: World
    taken: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    left: dict[tuple[int, int], list[float]] = field(default_factory=dict[tuple[int, int], list[float]])
    days: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    limits: Limits = field(default_factory=Limits)
    # Parcels left by (node, service, day), and by (service, number of its lane, day) of all nodes together.
    collected: dict[tuple[int, str, int], float] = field(default_factory=dict[tuple[int, str, int], float])
    carried: dict[tuple[str, int, int], float] = field(default_factory=dict[tuple[str, int, int], float])
    # Whether the fulfilments of the plan that `best` found last are more together than a lane carries.
    crowded: bool = False

    def __post_init__(self) -> None:
        for node in self.world.nodes:
            self.days[node["node_id"]] = ship_days(self.world.now, node)
            for slot in range(SHIP_DAYS):
                limits = [node[f"capacity_{what}"] for what in ("orders", "lines", "units")]
                self.left[node["node_id"], slot] = [NO_LIMIT if limit is None else limit for limit in limits]
        for k, used in self.world.extras.used.items():
            self.left[k, 0] = [left - n for left, n in zip(self.left[k, 0], used, strict=True)]
        nodes = {node["node_id"]: node for node in self.world.nodes}
        for (k, code), sent in self.world.extras.sent.items():
            service = next(s for c in self.world.carriers for s in c["document"]["services"] if s["code"] == code)
            if self.days[k]:
                at = k, code, self.day(nodes[k], 0)
                self.collected[at] = limit_of(service) - sent

    def free(self, item: int, node: int, *, dip: bool) -> int:
        at = item, node
        free = self.world.available.get(at, 0) - self.world.pending.get(at, 0) - self.taken.get(at, 0)
        return max(0, free if dip else free - self.world.safety.get(at, 0))

    def candidates(self, order: Order) -> list[dict[str, Any]]:
        channel = next(c for c in self.world.channels if c["code"] == order.channel)
        return [
            n
            for n in self.world.nodes
            if n["active"]
            and order.method in n["methods"]
            and n["node_id"] not in order.excluded
            and (channel["node_ids"] is None or n["node_id"] in channel["node_ids"])
            and not (order.method == "pickup" and order.pickup_node not in (0, n["node_id"]))
            and distance_km(order.latitude, order.longitude, n["latitude"], n["longitude"]) <= self.limits.km
        ]

    def day(self, node: dict[str, Any], slot: int) -> int:
        """The local date of a ship day, as an ordinal."""
        return datetime.fromtimestamp(self.days[node["node_id"]][slot], ZoneInfo(node["timezone"])).toordinal()

    def parcels_left(self, node: dict[str, Any], service: dict[str, Any], lane: int | None, slot: int) -> float:
        day, code = self.day(node, slot), service["code"]
        left = self.collected.get((node["node_id"], code, day), limit_of(service))
        if lane is not None:
            left = min(left, self.carried.get((code, lane, day), limit_of(service["lanes"][lane])))
        return left

    def parcel_price(
        self, node: dict[str, Any], service: dict[str, Any], lane: int | None, slot: int, ask: Objective
    ) -> float:
        day, code = self.day(node, slot), service["code"]
        pairs = [(self.collected.get((node["node_id"], code, day)), limit_of(service))]
        if lane is not None:
            pairs.append((self.carried.get((code, lane, day)), limit_of(service["lanes"][lane])))
        loads = [1 - left / limit for left, limit in pairs if left is not None and limit not in (0, NO_LIMIT)]
        over = max(0.0, max(loads, default=0.0) - ask.capacity_from)
        return ask.capacity_base_minor * (math.exp(ask.capacity_steepness * over) - 1)

    def price(self, order: Order, node: dict[str, Any], demand: dict[int, int]) -> Priced | None:
        """Cheapest service for these units of these items from a node, on its first day with room at the node and with
        a carrier that takes that many parcels."""
        for slot in range(len(self.days[node["node_id"]])):
            orders_left, lines_left, units_left = self.left[node["node_id"], slot]
            if orders_left >= 1 and lines_left >= len(demand) and units_left >= sum(demand.values()):
                priced = self.price_on(order, node, demand, slot)
                if priced is not None:
                    return priced
        return None

    def price_on(self, order: Order, node: dict[str, Any], demand: dict[int, int], slot: int) -> Priced | None:
        """The same on one ship day."""
        ask = self.world.objectives[order.objective]
        cutoff = self.days[node["node_id"]][slot]
        now = self.world.now.timestamp()
        weight = sum(self.world.weight_g[i] * u for i, u in demand.items())
        volume = sum(self.world.volume_mm3[i] * u for i, u in demand.items())
        packing, weight, volume = packed(self.world.extras.cartons, weight, volume)
        handling = node["handling_cost_minor"] + packing + len(demand) * node.get("handling_line_minor", 0)
        handling += sum(demand.values()) * node.get("handling_unit_minor", 0)
        more = (
            self.duty(order, node, demand),
            self.capacity_price(node, slot, ask),
            ask.opportunity * sum(self.world.extras.values.get((i, node["node_id"]), 0) * u for i, u in demand.items()),
            self.risk(node, demand, ask),
            *self.of_others(node, demand, ask),
        )
        if math.inf in more:
            return None
        if order.method == "pickup":
            days = (cutoff - now) / DAY_S
            if days > self.limits.days:
                return None
            lateness = (ask.late_minor if days > ask.target_days else 0) + ask.day_minor * days
            grams = node["co2_g_per_order"]
            carbon = grams / 1000 * ask.co2_minor_per_kg
            terms = (0.0, handling, ask.split_minor, lateness, carbon, *more)
            return Priced(None, slot, cutoff, cutoff, terms, grams)
        km = distance_km(order.latitude, order.longitude, node["latitude"], node["longitude"])
        best: Priced | None = None
        for carrier in self.world.carriers:
            for service in carrier["document"]["services"]:
                if order.service not in (None, service["code"]):
                    continue
                if self.limits.services is not None and service["code"] not in self.limits.services:
                    continue
                if order.method not in (service.get("methods") or ["ship", "ship_to_store"]):
                    continue
                band = band_of(service["rate_table"], km, node["country"], order.place)
                if band is None:
                    continue
                surcharge = service.get("residential_surcharge_minor", 0) if order.residential else 0
                shipping, parcels = parcels_minor(service, band, weight, volume, surcharge)
                lane = lane_of(service, node, order.place)
                if self.parcels_left(node, service, lane, slot) < parcels:
                    continue
                by_band = service["transit_days"]
                transit: dict[str, float] = by_band if "p50" in by_band else by_band[band]
                if lane is not None:
                    transit = service["lanes"][lane]["transit_days"]
                departs = cutoff
                if service.get("cutoff"):
                    departs += (minutes(service["cutoff"]) - minutes(node["cutoff"])) % 1440 * 60
                before = (departs - now) / DAY_S
                if before + mean_days(transit) > self.limits.days:
                    continue
                lateness = ask.late_minor * late_probability(ask.target_days - before, transit)
                lateness += ask.day_minor * max(0.0, before + mean_days(transit))
                grams = node["co2_g_per_order"] + service["co2_g_per_tonne_km"] * km * weight / 1e6
                terms = (
                    shipping,
                    handling,
                    ask.split_minor,
                    lateness,
                    grams / 1000 * ask.co2_minor_per_kg,
                    more[0],
                    more[1] + parcels * self.parcel_price(node, service, lane, slot, ask),
                    *more[2:],
                )
                deliver = int(departs + transit["p95"] * DAY_S)
                way = Priced(service["code"], slot, departs, deliver, terms, grams, parcels, lane)
                if best is None or way.cost < best.cost:
                    best = way
        return best

    def duty(self, order: Order, node: dict[str, Any], demand: dict[int, int]) -> float:
        """By the two rules of `draw_full`, the first of them for imports of shoes."""
        extras, here, there = self.world.extras, node["country"], order.place[0]
        worth = sum(extras.price.get(i, 0) * u for i, u in demand.items())
        if not extras.duties:
            return 0.0
        imports, second = here != there and there == "DE", here == "US" and there in ("DE", "FR")
        least, fee = (3000, 500) if second else (2000, 150) if imports else (0, 0)
        if not (imports or second) or worth <= least:
            return 0.0
        due = fee
        for i, u in demand.items():
            shoes = extras.category.get(i) == "shoes"
            rate = 0.17 + 0.1 * 1.17 * 0.5 if shoes and imports else 0.04 if second else 0.0
            due += rate * extras.price[i] * u
        return due

    def capacity_price(self, node: dict[str, Any], slot: int, ask: Objective) -> float:
        load = 0.0
        for what, left in zip(("orders", "lines", "units"), self.left[node["node_id"], slot], strict=True):
            if limit := node[f"capacity_{what}"]:
                load = max(load, 1 - left / limit)
        over = max(0.0, load - ask.capacity_from)
        return ask.capacity_base_minor * (math.exp(ask.capacity_steepness * over) - 1)

    def risk(self, node: dict[str, Any], demand: dict[int, int], ask: Objective) -> float:
        k = node["node_id"]
        share = self.world.extras.rejection.get(k, 0.0)
        ratio = self.world.extras.ratio
        return sum(round(ask.rejection_minor * min(1.0, share * ratio.get((i, k), 1.0))) for i in demand)

    def of_others(self, node: dict[str, Any], demand: dict[int, int], ask: Objective) -> list[float]:
        """What each term of others asks, infinite where it forbids this."""
        extras, k = self.world.extras, node["node_id"]
        costs: list[float] = []
        for name, by_node in extras.terms.items():
            weight = ask.weights.get(name, 1.0)
            by_unit = extras.unit_terms.get(name, {})
            cost = by_node[k] + sum(by_unit.get((i, k), 0.0) * u for i, u in demand.items())
            costs.append(weight * cost if weight else 0.0)
        return costs

    def usable(self, order: Order, node: dict[str, Any], item: int, *, dip: bool) -> int:
        """Most units of an item that a node can send for this order, 0 when it cannot send anything there."""
        return max(
            (u for u in range(1, self.free(item, node["node_id"], dip=dip) + 1) if self.price(order, node, {item: u})),
            default=0,
        )

    def divides(self, order: Order, *, dip: bool, needed: bool = False) -> set[int]:
        """Items that may be divided: of which more is wanted than any one node can send, or, unless only those that are
        `needed`, of which several units are."""
        if self.limits.divides == tables.DIVIDE_NOT:
            return set()
        nodes = self.candidates(order)
        is_free = not needed and self.limits.divides == tables.DIVIDE_CHEAPER and order.fulfilments_max > 1
        return {
            i
            for i, u in order.demand
            if (is_free and u > 1) or max((self.usable(order, n, i, dip=dip) for n in nodes), default=0) < u
        }

    def best(self, order: Order, *, dip: bool, divided: Container[int] = ()) -> float | None:
        """Cost of the best plan with whole lines, those of items in `divided` divided in any way; None when there is
        none."""
        nodes = self.candidates(order)
        ask = self.world.objectives[order.objective]
        spare = ask.unserved_order_minor is not None
        ways = [list(self._ways(n, u, nodes, dip=dip, divided=n in divided, spare=spare)) for n, u in order.demand]
        split = ask.split_minor
        prices: dict[tuple[int, tuple[tuple[int, int], ...]], Priced | None] = {}
        best: float | None = None
        self.crowded = False
        for choice in product(*ways):
            loads: dict[int, dict[int, int]] = {}
            for (item, _), way in zip(order.demand, choice, strict=True):
                for n, units in way:
                    loads.setdefault(n, {})[item] = units
            if not loads or len(loads) > order.fulfilments_max:
                continue
            total = -split
            parcels: list[tuple[dict[str, Any], Priced]] = []
            left_out = sum(u for _, u in order.demand) - sum(sum(load.values()) for load in loads.values())
            if left_out:
                assert ask.unserved_order_minor is not None
                total += ask.unserved_order_minor + ask.unserved_unit_minor * left_out
            for n, load in loads.items():
                key = n, tuple(sorted(load.items()))
                if key not in prices:
                    prices[key] = self.price(order, nodes[n], load)
                priced = prices[key]
                if priced is None:
                    break
                total += priced.cost
                parcels.append((nodes[n], priced))
            else:
                if best is None or total < best:
                    best, self.crowded = total, self._is_crowded(parcels)
        return best

    def _is_crowded(self, ways: list[tuple[dict[str, Any], Priced]]) -> bool:
        sums: dict[tuple[str, int, int], int] = {}
        services = {s["code"]: s for carrier in self.world.carriers for s in carrier["document"]["services"]}
        for node, way in ways:
            if way.lane is not None and way.service is not None:
                at = way.service, way.lane, self.day(node, way.slot)
                sums[at] = sums.get(at, 0) + way.parcels
        return any(n > self.carried.get(at, limit_of(services[at[0]]["lanes"][at[1]])) for at, n in sums.items())

    def _ways(
        self, item: int, units: int, nodes: list[dict[str, Any]], *, dip: bool, divided: bool, spare: bool
    ) -> Iterator[tuple[tuple[int, int], ...]]:
        """Ways to take units of an item: ((index into nodes, units), ...)."""
        free = [self.free(item, n["node_id"], dip=dip) for n in nodes]
        if not divided:
            yield from (((n, units),) for n in range(len(nodes)) if free[n] >= units)
            if spare:
                yield ()
            return
        for shares in product(*(range(min(f, units) + 1) for f in free)):
            if sum(shares) == units or (spare and sum(shares) < units):
                yield tuple((n, share) for n, share in enumerate(shares) if share)

    def check(self, order: Order, plan: Plan, *, dip: bool) -> None:
        """Every promise of a plan: units, stock, capacity, limits, times and prices."""
        nodes = {n["node_id"]: n for n in self.candidates(order)}
        assert 1 <= len(plan.fulfilments) <= order.fulfilments_max
        assert len({f.node for f in plan.fulfilments}) == len(plan.fulfilments), "a node ships in one fulfilment"
        served: dict[int, int] = {}
        total = 0.0
        for number, f in enumerate(plan.fulfilments):
            assert f.node in nodes, f"node {f.node} is no candidate"
            assert f.picks and min(f.picks.values()) > 0
            for item, units in f.picks.items():
                assert units <= self.free(item, f.node, dip=dip), f"item {item}: more than node {f.node} has"
                served[item] = served.get(item, 0) + units
            assert (f.lines, f.units) == (len(f.picks), sum(f.picks.values()))
            priced = self.price(order, nodes[f.node], f.picks)
            assert priced is not None, f"node {f.node} cannot send {f.picks}"
            assert f.slot == priced.slot
            split = priced.terms[2] if number else 0.0
            expected = (*priced.terms[:2], split, *priced.terms[3:])
            assert math.isclose(sum(f.terms), sum(expected), rel_tol=1e-9, abs_tol=1e-6)
            total += sum(f.terms)
            if f.service == priced.service:  # else two services cost the same
                assert [round(t, 6) for t in f.terms] == [round(t, 6) for t in expected]
                assert (f.departs, f.deliver) == (priced.departs, priced.deliver)
                assert math.isclose(f.grams, priced.grams, rel_tol=1e-9, abs_tol=1e-6)
        left_out = sum(u for _, u in order.demand) - sum(served.values())
        if left_out:
            ask = self.world.objectives[order.objective]
            assert ask.unserved_order_minor is not None, "all or nothing"
            total += ask.unserved_order_minor + ask.unserved_unit_minor * left_out
        else:
            assert served == dict(order.demand)
        assert math.isclose(plan.cost, total, rel_tol=1e-9, abs_tol=1e-6), "cost is not the sum of its terms"

    def take(self, order: Order, plan: Plan) -> None:
        """Book a plan: the next order finds less."""
        nodes = {node["node_id"]: node for node in self.world.nodes}
        services = {s["code"]: s for carrier in self.world.carriers for s in carrier["document"]["services"]}
        for f in plan.fulfilments:
            if f.service is not None:
                self._send(nodes[f.node], services[f.service], order, f)
            for item, units in f.picks.items():
                self.taken[item, f.node] = self.taken.get((item, f.node), 0) + units
            left = self.left[f.node, f.slot]
            self.left[f.node, f.slot] = [left[0] - 1, left[1] - f.lines, left[2] - f.units]

    def _send(self, node: dict[str, Any], service: dict[str, Any], order: Order, f: Fulfilment) -> None:
        weight = sum(self.world.weight_g[i] * u for i, u in f.picks.items())
        volume = sum(self.world.volume_mm3[i] * u for i, u in f.picks.items())
        _, weight, volume = packed(self.world.extras.cartons, weight, volume)
        _, parcels = parcels_minor(service, 0, weight, volume, 0)
        lane, day = lane_of(service, node, order.place), self.day(node, f.slot)
        assert f.parcels == parcels
        assert self.parcels_left(node, service, lane, f.slot) >= parcels, "more than the carrier takes"
        at = f.node, f.service or "", day
        self.collected[at] = self.collected.get(at, limit_of(service)) - parcels
        if lane is not None:
            along = service["code"], lane, day
            self.carried[along] = self.carried.get(along, limit_of(service["lanes"][lane])) - parcels


def ship_days(now: datetime, node: dict[str, Any]) -> list[int]:
    """Cut-offs (Unix seconds) of a node's next ship days: ten at most, within sixty days."""
    zone = ZoneInfo(node["timezone"])
    closed = {date.fromisoformat(d) for d in node["closed_days"]}
    hour, minute = map(int, node["cutoff"].split(":"))
    found: list[int] = []
    local = now.astimezone(zone).date()
    for offset in range(60):
        day = local + timedelta(days=offset)
        cutoff = datetime.combine(day, time(hour, minute), zone).timestamp()
        if day.isoweekday() in node["working_days"] and day not in closed and cutoff > now.timestamp():
            found.append(int(cutoff))
    return found[:SHIP_DAYS]


def minutes(clock: str) -> int:
    hour, minute = clock.split(":")
    return int(hour) * 60 + int(minute)


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """By the angle between two vectors from the centre of the Earth."""
    a, b = (
        (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
        for lat, lon in ((math.radians(lat1), math.radians(lon1)), (math.radians(lat2), math.radians(lon2)))
    )
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return 6371.0088 * math.atan2(math.hypot(*cross), sum(x * y for x, y in zip(a, b, strict=True)))


def band_of(table: dict[str, Any], km: float, origin: str, place: tuple[str, str, str]) -> int | None:
    """Band of a distance, or the first zone that matches; None: not offered there."""
    if table["by"] == "distance_km":
        return next((b for b, edge in enumerate(table["distance_km"]) if edge is None or km <= edge), None)
    country, region, postal_code = place
    for number, zone in enumerate(table["zones"]):
        prefixes = zone.get("to_postal_prefixes")
        if "from_countries" in zone and origin not in zone["from_countries"]:
            continue
        if "to_countries" in zone and country not in zone["to_countries"]:
            continue
        if "to_regions" in zone and region not in zone["to_regions"]:
            continue
        if prefixes and not any(postal_code.startswith(p) for p in prefixes):
            continue
        return number
    return None


def packed(cartons: list[dict[str, Any]], weight: int, volume: float) -> tuple[float, int, float]:
    """(money, grams, mm3) with cartons: the largest while they are full, the smallest for the rest."""
    if not cartons:
        return 0.0, weight, volume
    room = [0.8 * c["inner_length_mm"] ** 3 for c in cartons]
    full = max(int(volume // room[-1]), weight // cartons[-1]["weight_max_g"])
    used = [cartons[-1]] * full
    volume_left = max(0.0, volume - full * room[-1])
    weight_left = max(0, weight - full * cartons[-1]["weight_max_g"])
    if not full or volume_left or weight_left:
        fits = (c for c, r in zip(cartons, room, strict=True) if r >= volume_left and c["weight_max_g"] >= weight_left)
        used.append(next(fits, cartons[-1]))
    outer = sum(c["inner_length_mm"] ** 3 for c in used)
    return sum(c["cost_minor"] for c in used), weight + sum(c["weight_g"] for c in used), outer


def limit_of(place: dict[str, Any]) -> float:
    """Parcels per day of a service or a lane."""
    limit = place.get("parcels_per_day")
    return NO_LIMIT if limit is None else limit


def lane_of(service: dict[str, Any], node: dict[str, Any], place: tuple[str, str, str]) -> int | None:
    """The first lane that leads from a node to a place."""
    for number, lane in enumerate(service.get("lanes", [])):
        if "from_nodes" in lane and node["code"] not in lane["from_nodes"]:
            continue
        if "from_countries" in lane and node["country"] not in lane["from_countries"]:
            continue
        if "to_countries" in lane and place[0] not in lane["to_countries"]:
            continue
        return number
    return None


def parcels_minor(
    service: dict[str, Any], band: int, weight_g: int, volume_mm3: float, surcharge: int
) -> tuple[float, int]:
    """(money, how many) of parcels: full ones of the heaviest step, one more for the rest; a gram more than a step pays
    the next one. The surcharge is per parcel."""
    table = service["rate_table"]
    billable = weight_g
    if service["dimensional_divisor"]:
        # cm3 / (cm3 per kg) = kg; a started gram counts.
        billable = max(billable, math.ceil(volume_mm3 / service["dimensional_divisor"]))
    prices, steps = table["prices_minor"][band], table["weights_g"]
    total = 0.0
    parcels = 1
    while billable > steps[-1]:
        total += prices[-1]
        parcels += 1
        billable -= steps[-1]
    total += next(price for price, step in zip(prices, steps, strict=True) if billable <= step)
    return total * (1 + service["fuel_surcharge_rate"]) + parcels * surcharge, parcels


def late_probability(days: float, transit: dict[str, float]) -> float:
    """P(transit > days), log-normal with these quantiles."""
    p50, p95 = transit["p50"], transit["p95"]
    if days <= 0:
        return 1.0
    if p95 == p50:
        return 0.0 if days >= p50 else 1.0
    sigma = (math.log(p95) - math.log(p50)) / 1.6448536269514722
    return 1 - 0.5 * (1 + math.erf((math.log(days) - math.log(p50)) / (sigma * math.sqrt(2))))


def mean_days(transit: dict[str, float]) -> float:
    sigma = (math.log(transit["p95"]) - math.log(transit["p50"])) / 1.6448536269514722
    return transit["p50"] * math.exp(sigma**2 / 2)
