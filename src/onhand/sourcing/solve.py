"""From orders as values to the kernel's arrays and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import METHODS, Channel, Network
from onhand.orders.model import TERMS
from onhand.sourcing import custom, kernel, tables
from onhand.sourcing.custom import NOTHING, Weighed
from onhand.sourcing.policy import Policy
from onhand.sourcing.tables import NO_LIMIT

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Text = npt.NDArray[np.str_]

_NO_INT = np.zeros(0, np.int32)
_NO_DUTIES = tables.Duties(np.zeros((0, 0, 0)), np.zeros((0, 0)), np.zeros((0, 0)))
_NO_TABLE = np.zeros((0, 0), np.float32)
NO_PRICES = tables.Prices(
    np.zeros((0, 0, 4), np.float32), np.zeros(0), np.zeros((0, 6)), np.zeros(0, np.float32), _NO_TABLE, np.zeros(2),
    _NO_TABLE, _NO_TABLE, _NO_INT, _NO_INT,
)  # fmt: skip
NO_SHADOW = tables.Shadow(np.zeros((0, 0)), np.zeros((0, 3)), np.zeros((0, 0)), np.zeros(0, np.bool_))
NO_SUPPLY = tables.Supply(_NO_INT, _NO_INT, np.zeros(0), _NO_INT)

# Columns of `Asked` with an entry for each order, or none at all.
PER_ORDER = (
    "latitude", "longitude", "zone", "channel", "method", "service", "fulfilments_max", "objective", "may_dip",
    "pickup_node", "residential", "duty", "channel_codes", "places",
)  # fmt: skip

# First size of the record (32 MB): beyond that a batch is decided again with more room.
_WORDS = 1 << 23


class Ask(msgspec.Struct, kw_only=True, gc=False):
    """One order as sourcing sees it.

    demand          (item_id, units), each item once: bundles exploded and lines summed
    latitude, longitude  of the destination, degrees
    place           country, region and postal code of the destination, for services priced by zone
    service         a service code the caller insists on, or None
    pickup_node     node_id for `pickup`, 0 otherwise
    excluded        nodes that must not be used (tried before)
    may_dip         confirmed demand: safety stock may be used as a last resort
    prices          (price, cost) of one unit of each demand row, minor units; none: not known
    residential     the destination is a home
    """

    demand: Sequence[tuple[int, int]]
    latitude: float
    longitude: float
    channel: Channel
    place: tuple[str, str, str] = ("", "", "")
    method: str = "ship"
    service: str | None = None
    pickup_node: int = 0
    fulfilments_max: int = 1
    objective: int = 0
    may_dip: bool = True
    excluded: Sequence[int] = ()
    prices: Sequence[tuple[float, float]] = ()
    residential: bool = False


class Attempts(NamedTuple):
    """How orders may be served, tried in turn until one yields a plan; of order o in rows first[o]:first[o + 1].

    candidates      int32: list of candidate nodes (`Network.candidate_offsets`)
    fulfilments_max, objective  int32
    km_max          float64: farthest node
    supply, dip     int32: whether units on their way may be promised, and those of safety stock (where the order may)
    divide          int32: whether a line may come from several nodes, tables.DIVIDE_*; None: DIVIDE_CHEAPER
    days_max        float64: most expected days until delivery; None: any
    services        int32: row of `allowed`, bool[sets, service]; None: all services
    lists           lists of candidates other than the network's: int32 offsets and node_ids
    """

    first: Int32
    candidates: Int32
    fulfilments_max: Int32
    objective: Int32
    km_max: Float64
    supply: Int32
    dip: Int32
    divide: Int32 | None = None
    days_max: Float64 | None = None
    services: Int32 | None = None
    allowed: npt.NDArray[np.bool_] | None = None
    lists: tuple[Int32, Int32] | None = None

    def only(self, first: Int32, rows: Int32 | Int64) -> "Attempts":
        """Some of them, in another order: those in `rows`, of order o in rows first[o]:first[o + 1]."""
        return Attempts(
            first=first,
            candidates=self.candidates[rows],
            fulfilments_max=self.fulfilments_max[rows],
            objective=self.objective[rows],
            km_max=self.km_max[rows],
            supply=self.supply[rows],
            dip=self.dip[rows],
            divide=None if self.divide is None else self.divide[rows],
            days_max=None if self.days_max is None else self.days_max[rows],
            services=None if self.services is None else self.services[rows],
            allowed=self.allowed,
            lists=self.lists,
        )


@dataclass(slots=True, kw_only=True)
class Asked:
    """A batch of orders as columns: what `Ask` says of one order, and the rows of its demand.

    demand_first    int32[orders + 1]; demand of order o is in rows demand_first[o]:demand_first[o + 1]
    item, units     int32[demand]
    latitude, longitude  float64[orders], degrees
    zone            int32[orders]: `Network.zone_row` of the destination
    method          int32[orders]: bits of METHODS
    service         int32[orders]: index of the code that is insisted on, -1 for any
    excluded        int32[...], of order o in rows excluded_first[o]:excluded_first[o + 1]
    price, cost     float64[demand]: of one unit, minor units; None: not known
    residential     int32[orders]; None: no homes
    duty            int32[orders]: `DutyTable.row` of the destination; None: nothing is due
    attempts        None: with the order's own channel, fulfilments_max and objective, without safety stock and with it
    channel_codes   str[orders]; None: nobody asks (only terms of others do)
    places          str[orders, 3]: country, region and postal code of the destination; None: nobody asks
    """

    demand_first: Int32
    item: Int32
    units: Int32
    latitude: Float64
    longitude: Float64
    zone: Int32
    channel: Int32
    method: Int32
    service: Int32
    fulfilments_max: Int32
    objective: Int32
    may_dip: Int32
    pickup_node: Int32
    excluded_first: Int32
    excluded: Int32
    price: Float64 | None = None
    cost: Float64 | None = None
    residential: Int32 | None = None
    duty: Int32 | None = None
    attempts: Attempts | None = None
    channel_codes: Text | None = None
    places: Text | None = None

    def of_orders(self, at: Any) -> dict[str, Any]:
        """Its columns that have an entry for each order, of the orders `at`."""
        columns = {name: getattr(self, name) for name in PER_ORDER}
        return {name: None if column is None else column[at] for name, column in columns.items()}

    def only(self, rows: Int64) -> "Asked":
        """Some of the orders in that order, any of them as often as it is named."""

        def ranges(first: Int32) -> tuple[Int32, Int64]:
            sizes = np.diff(first)[rows]
            new = first_rows(sizes.tolist())
            return new, np.arange(int(new[-1])) - np.repeat(new[:-1] - first[:-1][rows], sizes)

        demand_first, demand = ranges(self.demand_first)
        excluded_first, excluded = ranges(self.excluded_first)
        return Asked(
            **self.of_orders(rows),
            demand_first=demand_first,
            item=self.item[demand],
            units=self.units[demand],
            excluded_first=excluded_first,
            excluded=self.excluded[excluded],
            price=None if self.price is None else self.price[demand],
            cost=None if self.cost is None else self.cost[demand],
            attempts=None if self.attempts is None else self.attempts.only(*ranges(self.attempts.first)),
        )


@dataclass(slots=True)
class Decisions:
    """Answers to a batch of asks; shapes as in `kernel.Answers`.

    count[o] is 0 when order o has no plan, and why[o] says which limit was in the way; picks and fulfilments of order o
    are rows pick_first[o]:pick_first[o+1] and fulfilment_first[o]:fulfilment_first[o+1]. `day` counts from 1970-01-01;
    `slot` is its index among the node's ship days at the time of the decision. `demand_price`: of one unit, where it
    mattered. `lane`: column of transit times of the carrier's lane, -1: none. `custom`: what terms of others asked;
    `terms` has their columns behind those of TERMS.
    """

    count: Int32
    method: Int32
    attempt: Int32
    why: Int32
    cost: Float64
    profit: Float64
    pick_first: Int32
    fulfilment_first: Int32
    demand_first: Int32
    demand_item: Int32
    demand_units: Int32
    pick_demand: Int32
    pick_node: Int32
    pick_units: Int32
    pick_number: Int32
    pick_supply: Int32
    node: Int32
    service: Int32
    slot: Int32
    day: Int32
    departs: Int64
    deliver: Int64
    lines: Int32
    units: Int32
    parcels: Int32
    lane: Int32
    terms: Float64
    grams: Float64
    record: Int32
    record_first: Int64
    demand_price: Float64 | None = None
    custom: Weighed = NOTHING

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the columns of `terms` behind those of TERMS."""
        return self.custom.names


@dataclass(slots=True)
class Stock:
    """What the kernel reads of stock: int32[row, node] and the row of each item (None: the item_id itself); what units
    and room are worth elsewhere; what is on its way.

    step_minor  how far the price of a unit moves with one that is taken; None: as the objective says
    """

    available: Int32
    pending: Int32
    safety: Int32
    rows: dict[int, int] | None = field(default=None)
    prices: tables.Prices = NO_PRICES
    supply: tables.Supply = NO_SUPPLY
    step_minor: float | None = None


def asked(asks: Sequence[Ask], network: Network) -> Asked:
    """Orders as values, as columns."""
    orders = len(asks)
    whole: Any = np.array(
        [
            (
                network.zone_row(*a.place),
                a.channel.index,
                METHODS[a.method],
                network.service_row(a.service),
                a.fulfilments_max,
                a.objective,
                a.may_dip,
                a.pickup_node,
            )
            for a in asks
        ],
        np.int32,
    ).reshape(-1, 8)
    zone, channel, method, service, fulfilments_max, objective, may_dip, pickup_node = np.ascontiguousarray(whole.T)
    batch = Asked(
        demand_first=first_rows([len(a.demand) for a in asks]),
        item=np.array([item for a in asks for item, _ in a.demand], np.int32),
        units=np.array([wanted for a in asks for _, wanted in a.demand], np.int32),
        latitude=np.fromiter([a.latitude for a in asks], np.float64, orders),
        longitude=np.fromiter([a.longitude for a in asks], np.float64, orders),
        zone=zone,
        channel=channel,
        method=method,
        service=service,
        fulfilments_max=fulfilments_max,
        objective=objective,
        may_dip=may_dip,
        pickup_node=pickup_node,
        excluded_first=first_rows([len(a.excluded) for a in asks]),
        excluded=np.array([node for a in asks for node in a.excluded], np.int32),
        price=_money(asks, 0),
        cost=_money(asks, 1),
        residential=np.array([a.residential for a in asks], np.int32) if any(a.residential for a in asks) else None,
        duty=duty_rows(network, [a.place for a in asks]),
    )
    return with_names(batch, (a.channel.code for a in asks), (a.place for a in asks))


def with_names(batch: Asked, channel_codes: Iterable[str], places: Iterable[tuple[str, str, str]]) -> Asked:
    """The batch with channels and places of its orders, where terms of others may ask for them."""
    if custom.installed():
        batch.channel_codes = np.array([*channel_codes], np.str_)
        batch.places = np.array([*places], np.str_).reshape(-1, 3)
    return batch


def duty_rows(network: Network, places: Iterable[tuple[str, str, str]]) -> Int32 | None:
    """Row of the duty table for each (country, region, postal code) today; None where nothing is ever due."""
    if not network.duties.has_duties:
        return None
    today = int(network.slot_day[:, 0].max(initial=0))
    return np.array([network.duties.row(country, region, today) for country, region, _ in places], np.int32)


def _money(asks: Sequence[Ask], column: int) -> Float64 | None:
    if not any(a.prices for a in asks):
        return None
    return np.array([p[column] for a in asks for p in (a.prices or [(0.0, 0.0)] * len(a.demand))], np.float64)


def first_rows(sizes: Sequence[int]) -> Int32:
    """Where each of groups of these sizes begins, and where the last one ends; int32[n + 1]."""
    first = np.zeros(len(sizes) + 1, np.int32)
    np.cumsum(sizes, out=first[1:])
    return first


def decide(
    asks: Sequence[Ask],
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    *,
    now: float,
    consume: bool,
    weighed: Weighed | None = None,
) -> Decisions:
    """`decide_asked` for orders as values."""
    return decide_asked(asked(asks, network), stock, network, policy, goods, now=now, consume=consume, weighed=weighed)


def decide_asked(
    batch: Asked,
    stock: Stock,
    network: Network,
    policy: Policy,
    goods: Goods,
    *,
    now: float,
    consume: bool,
    weighed: Weighed | None = None,
    shadow: tables.Shadow = NO_SHADOW,
) -> Decisions:
    """Source the orders of `batch` in turn. With `consume` the units and capacity of each plan are taken from
    `stock.pending`, and `network.left`, `parcels` and `lanes`, before the next order is looked at.

    weighed  what terms of others ask, by row of `batch`; None: those installed are asked now
    shadow   see tables.Shadow; its rows are those of `stock`
    """
    orders = len(batch.zone)
    items, units, first = batch.item, batch.units, batch.demand_first
    rows = items
    if stock.rows is not None:
        rows = np.array([stock.rows[i] for i in items.tolist()], np.int32)
    demand = len(items)
    if weighed is None and not custom.installed():
        weighed = NOTHING
    if weighed is None:
        weighed = custom.weigh(batch, policy, network, goods, stock.available[rows] - stock.pending[rows], now=now)
    objectives = policy.matrix(weighed.names)
    if stock.step_minor is not None:
        objectives[:, tables.OBJ_STEP] = stock.step_minor
    attempts = batch.attempts or usual_attempts(batch)
    lists = attempts.lists or (network.candidate_offsets, network.candidates)
    longest = int(np.diff(lists[0]).max(initial=0))
    world = _world(batch, attempts, lists, stock, rows, network, objectives, goods, now, weighed, shadow)
    # Room for one order divided as far as it can be, beyond a pick a line; and for every candidate of every order, as
    # memory that is not touched costs nothing.
    most: Int32 = world.orders.attempt_fulfilments
    room = demand * 2 + int(np.diff(first).max(initial=0)) * min(int(most.max(initial=1)), longest + 8)
    days = network.slot_cutoff.shape[1]
    each = 10 + 3 * days + (5 * days * len(network.services) if len(network.parcels) else 0)
    words: int = min(2 * orders + longest * (5 * demand + orders * each), _WORDS)
    while True:
        answer = Decisions(
            count=np.zeros(orders, np.int32),
            method=np.zeros(orders, np.int32),
            attempt=np.zeros(orders, np.int32),
            why=np.zeros(orders, np.int32),
            cost=np.zeros(orders),
            profit=np.zeros(orders),
            pick_first=np.zeros(orders + 1, np.int32),
            fulfilment_first=np.zeros(orders + 1, np.int32),
            demand_first=first,
            demand_item=items,
            demand_units=units,
            pick_demand=np.empty(room, np.int32),
            pick_node=np.empty(room, np.int32),
            pick_units=np.empty(room, np.int32),
            pick_number=np.empty(room, np.int32),
            pick_supply=np.empty(room, np.int32),
            node=np.empty(room, np.int32),
            service=np.empty(room, np.int32),
            slot=np.empty(room, np.int32),
            day=np.empty(0, np.int32),
            departs=np.empty(room, np.int64),
            deliver=np.empty(room, np.int64),
            lines=np.empty(room, np.int32),
            units=np.empty(room, np.int32),
            parcels=np.empty(room, np.int32),
            lane=np.empty(room, np.int32),
            terms=np.empty((room, len(TERMS) + len(weighed.names))),
            grams=np.empty(room),
            record=np.empty(words, np.int32),
            record_first=np.zeros(orders + 1, np.int64),
            demand_price=batch.price if len(world.duties.rate) else None,
            custom=weighed,
        )
        left_out = kernel.source_batch(
            world, consume,
            tables.Answers(
                answer.count, answer.method, answer.attempt, answer.why, answer.cost, answer.profit, answer.pick_first,
                answer.fulfilment_first, answer.record_first, answer.pick_demand, answer.pick_node, answer.pick_units,
                answer.pick_number, answer.pick_supply, answer.node, answer.service, answer.slot, answer.departs,
                answer.deliver, answer.lines, answer.units, answer.parcels, answer.lane, answer.terms, answer.grams,
                answer.record,
            ),
        )  # fmt: skip
        if not left_out:
            made = int(answer.fulfilment_first[-1])
            answer.day = network.slot_day[answer.node[:made], answer.slot[:made]]
            return answer
        # Rare: a record longer than was thought. Undo what was taken and decide with more room.
        if consume:
            done = orders - left_out
            made = int(answer.fulfilment_first[done])
            answer.day = network.slot_day[answer.node[:made], answer.slot[:made]]
            undo(answer, stock, network, orders=done)
        room *= 4
        words *= 4


def _world(
    batch: Asked,
    attempts: Attempts,
    lists: tuple[Int32, Int32],
    stock: Stock,
    rows: Int32,
    network: Network,
    objectives: Float64,
    goods: Goods,
    now: float,
    weighed: Weighed,
    shadow: tables.Shadow,
) -> tables.World:
    """What the kernel reads, in its order."""
    orders, demand, items = len(batch.zone), len(rows), batch.item
    duties = network.duties
    due, trade = _NO_DUTIES, np.zeros(demand, np.int32)
    if duties.has_duties and batch.price is not None and batch.duty is not None:
        trade = duties.classes_of(goods.pairs)[goods.pair[items]]
        due = tables.Duties(duties.rate, duties.de_minimis, duties.fee)
    nodes = tables.Nodes(
        network.xyz, network.handling_minor, network.handling_line_minor, network.handling_unit_minor, network.co2_g,
        network.methods, network.cutoff_min, network.slot_cutoff, network.limits, network.left, network.parcels,
        network.lanes, network.lane_of, network.lane_limits, network.slot_day, duties.node_origin, *lists,
    )  # fmt: skip
    service = tables.Services(
        network.band_km, network.band_count, network.weight_g, network.weight_count, network.rate_minor,
        network.transit_p50, network.transit_p95, network.transit_sigma, network.transit_mean,
        network.service_cutoff_min, network.service_methods, network.service_code, network.service_co2,
        network.service_divisor, network.service_by_zone, network.service_residential_minor, network.service_parcels,
        network.zone_bands, network.zone_transit,
    )  # fmt: skip
    tries = len(attempts.candidates)
    table = tables.Orders(
        batch.demand_first, np.radians(batch.latitude), np.radians(batch.longitude), batch.zone,
        np.zeros(orders, np.int32) if batch.duty is None else batch.duty,
        np.zeros(orders, np.int32) if batch.residential is None else batch.residential,
        batch.method, batch.service, batch.may_dip, batch.pickup_node, batch.excluded_first, batch.excluded,
        *attempts[:7],
        np.full(tries, tables.DIVIDE_CHEAPER, np.int32) if attempts.divide is None else attempts.divide,
        np.full(tries, np.inf) if attempts.days_max is None else attempts.days_max,
        np.zeros(tries, np.int32) if attempts.services is None else attempts.services,
        np.ones((1, len(network.services)), np.bool_) if attempts.allowed is None else attempts.allowed,
        rows, batch.units, goods.weight_g[items], goods.volume_mm3[items],
        np.zeros(demand) if batch.price is None else batch.price,
        np.zeros(demand) if batch.cost is None else batch.cost, trade,
    )  # fmt: skip
    return tables.World(
        now, tables.Stock(stock.available, stock.pending, stock.safety), stock.prices, nodes, service, due,
        tables.Cartons(
            network.carton_fit_mm3, network.carton_outer_mm3, network.carton_minor, network.carton_tare_g,
            network.carton_max_g,
        ),
        weighed.table, stock.supply, table, objectives, shadow,
    )  # fmt: skip


def usual_attempts(batch: Asked) -> Attempts:
    """Two for each order: without safety stock and with it."""
    count = len(batch.zone)
    dip = np.zeros(2 * count, np.int32)
    dip[1::2] = 1
    return Attempts(
        np.arange(0, 2 * count + 1, 2, dtype=np.int32),
        np.repeat(batch.channel, 2),
        np.repeat(batch.fulfilments_max, 2),
        np.repeat(batch.objective, 2),
        np.full(2 * count, np.inf),
        np.zeros(2 * count, np.int32),
        dip,
    )


def undo(
    decisions: Decisions, stock: Stock, network: Network, *, orders: int | None = None, keep_capacity: bool = False
) -> None:
    """Give back what a consuming `decide` took (of the first `orders` orders), prices included. With `keep_capacity`
    only the pending units: committed plans keep their days, and prices have followed them."""
    count = len(decisions.count) if orders is None else orders
    picks = int(decisions.pick_first[count])
    made = int(decisions.fulfilment_first[count])
    items = decisions.demand_item[decisions.pick_demand[:picks]]
    rows = items if stock.rows is None else np.array([stock.rows[i] for i in items.tolist()], np.int32)
    supply, units = decisions.pick_supply[:picks], decisions.pick_units[:picks]
    shelf = supply < 0
    at: Any = (rows[shelf], decisions.pick_node[:picks][shelf])
    np.subtract.at(stock.pending, at, units[shelf])
    np.add.at(stock.supply.units, supply[~shelf], units[~shelf])
    if not keep_capacity:
        give_back_capacity(decisions, network, made)
        follow(decisions, stock, orders=count, back=True)


def follow(decisions: Decisions, stock: Stock, *, orders: int | None = None, back: bool = False) -> None:
    """Let the prices of `stock` follow orders that were decided elsewhere (the first `orders` of them), as a consuming
    `decide` does itself (terms/opportunity.py); with `back` undo that, to within what was cut off at 0."""
    value, clock, step = stock.prices.unit, stock.prices.clock, stock.step_minor
    if not len(value) or not step:
        return
    count = len(decisions.count) if orders is None else orders
    sign = -1 if back else 1
    picks, asked_to = int(decisions.pick_first[count]), int(decisions.demand_first[count])
    items = decisions.demand_item[:asked_to]
    rows = items if stock.rows is None else np.array([stock.rows[i] for i in items.tolist()], np.int32)
    shelf = decisions.pick_supply[:picks] < 0
    i, k = rows[decisions.pick_demand[:picks]][shelf], decisions.pick_node[:picks][shelf]
    at: Any = (i, k)
    gone = clock[i] - value[i, k, tables.SEEN]
    value[i, k, tables.NETWORK] = np.maximum(value[i, k, tables.NETWORK] - step * value[i, k, tables.RATE] * gone, 0)
    value[i, k, tables.SEEN] = clock[i]
    np.add.at(value[:, :, tables.NETWORK], at, sign * step * decisions.pick_units[:picks][shelf])
    value[i, k, tables.NETWORK] = np.maximum(value[i, k, tables.NETWORK], 0)
    np.add.at(clock, rows, sign * decisions.demand_units[:asked_to])


def give_back_capacity(decisions: Decisions, network: Network, fulfilments: int) -> None:
    """Return the capacity and the parcels of the first `fulfilments` fulfilments to limited days. By day: a cut-off may
    have passed since, and the network may be a copy without limits."""
    node, day = decisions.node[:fulfilments], decisions.day[:fulfilments]
    slot = network.slots_of(node, day)
    ones = np.ones(fulfilments, np.int32)
    for k, amount in enumerate((ones, decisions.lines[:fulfilments], decisions.units[:fulfilments])):
        limited = (slot >= 0) & (network.limits[node, k] != NO_LIMIT)
        limited &= network.left[node, slot, k] != NO_LIMIT
        at: Any = (node[limited], slot[limited], k)
        np.add.at(network.left, at, amount[limited])
    service, lane, parcels = (a[:fulfilments] for a in (decisions.service, decisions.lane, decisions.parcels))
    network.give_back_parcels(node, service, lane, day, parcels)


def join(parts: Sequence[Decisions]) -> Decisions:
    """Decisions of separate calls as one table, orders numbered through."""

    def rows(name: str, first: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(p, name)[: getattr(p, first)[-1]] for p in parts])

    def whole(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(p, name) for p in parts])

    def offsets(name: str) -> npt.NDArray[Any]:
        starts = np.cumsum([0, *(int(getattr(p, name)[-1]) for p in parts)])
        dtype = getattr(parts[0], name).dtype
        return np.concatenate(
            [[0], *(getattr(p, name)[1:] + s for p, s in zip(parts, starts[:-1], strict=True))]
        ).astype(dtype)

    demand_starts = np.cumsum([0, *(len(p.demand_item) for p in parts)])[:-1]
    pick_demand = np.concatenate(
        [p.pick_demand[: p.pick_first[-1]] + s for p, s in zip(parts, demand_starts, strict=True)]
    ).astype(np.int32)
    fulfilment = (
        "node",
        "service",
        "slot",
        "day",
        "departs",
        "deliver",
        "lines",
        "units",
        "parcels",
        "lane",
        "terms",
        "grams",
    )
    return Decisions(
        **{
            name: whole(name)
            for name in ("count", "method", "attempt", "why", "cost", "profit", "demand_item", "demand_units")
        },
        **{name: offsets(name) for name in ("pick_first", "fulfilment_first", "demand_first", "record_first")},
        **{name: rows(name, "pick_first") for name in ("pick_node", "pick_units", "pick_number", "pick_supply")},
        **{name: rows(name, "fulfilment_first") for name in fulfilment},
        pick_demand=pick_demand,
        record=rows("record", "record_first"),
        demand_price=None if any(p.demand_price is None for p in parts) else whole("demand_price"),
        custom=Weighed.join([p.custom for p in parts]),
    )


def nothing() -> Decisions:
    """A table without orders."""
    i4, i8, f8 = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0)
    start = np.zeros(1, np.int32)
    return Decisions(
        count=i4, method=i4, attempt=i4, why=i4, cost=f8, profit=f8, pick_first=start, fulfilment_first=start,
        demand_first=start, demand_item=i4, demand_units=i4, pick_demand=i4, pick_node=i4, pick_units=i4,
        pick_number=i4, pick_supply=i4, node=i4, service=i4, slot=i4, day=i4, departs=i8, deliver=i8, lines=i4,
        units=i4, parcels=i4, lane=i4, terms=np.empty((0, len(custom.term_names()))), grams=f8, record=i4,
        record_first=np.zeros(1, np.int64), custom=custom.unasked(),
    )  # fmt: skip
