# pyright: basic
"""The arrays that the compiled decision works on: what is known of the network, asked of a batch and answered.

Money is float64 in minor units of one currency; latitude and longitude are radians. N nodes, S services, B rate bands,
D ship days, I items (rows of stock), C cartons, O orders.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from onhand.orders.model import TERMS

EARTH_KM = 6371.0088
LINES_EXACT = 10
STATES_MAX = 1024
LAYERS_MAX = 16
ARRIVALS_MAX = 64  # of supply that one order may be promised from
SEARCH_NODES = 10
# Whether a line may come from several nodes: not, where no node has all of it, wherever that costs less.
DIVIDE_NOT, DIVIDE_NEEDED, DIVIDE_CHEAPER = range(3)
METHOD_EXACT, METHOD_DIVIDED, METHOD_GROUPED, METHOD_SEARCH, METHOD_SHARED = range(5)
METHODS = "exact", "divided", "grouped", "search", "shared"
# Why an order has no plan, or the attempt that was refused last.
WHY_NONE, WHY_NO_PLAN, WHY_PROFIT = range(3)
SERVICE_PICKUP = -2
PICKUP = 2  # method bit
NO_LIMIT = 2147483647  # capacity without a limit
LANE_DAY = 127  # of `Nodes.lanes`: a day number & LANE_DAY is its column (network.compiled.LANE_DAYS - 1)
WHOLE_MAX = 2147483000.0  # of money that is kept as a word of a record
BIG = math.inf  # cost of what cannot be
DAY = 86_400.0
# The order of the terms in `Answers.terms`; names as in orders.model.TERMS.
(
    SHIPPING, HANDLING, SPLIT, LATENESS, CARBON, TAX_DUTY, CAPACITY_PRICE, OPPORTUNITY, REJECTION_RISK,
) = range(len(TERMS))  # fmt: skip
# Columns of `objectives`: exchange rates to money (see sourcing.policy.Objective).
(
    OBJ_SPLIT, OBJ_TARGET_DAYS, OBJ_LATE, OBJ_DAY, OBJ_CO2_KG, OBJ_CAPACITY_BASE, OBJ_CAPACITY_STEEPNESS,
    OBJ_CAPACITY_FROM, OBJ_CAPACITY_DUAL, OBJ_OPPORTUNITY, OBJ_STEP, OBJ_REJECTION, OBJ_REFUSE_ORDER, OBJ_REFUSE_UNIT,
    OBJ_FLOOR_SHARE, OBJ_FLOOR_MINOR, OBJ_PROMISE_Z,
) = range(17)  # fmt: skip
OBJECTIVE_COLUMNS = 17  # and one for each term of others, its weight
# Columns of `Prices.unit`.
BASE, NETWORK, RATE, SEEN = range(4)
# What a record holds besides units on the shelf, as bits of its second word: safety stock; by candidate and line what a
# unit is worth, and the part of it that is not the network's; what the risk of a rejection costs; the first ship day
# with room too, where room has a price as a day fills up; and what room is worth to the orders to come.
HAS_SAFETY, HAS_VALUE, HAS_BASE, HAS_RISK, HAS_ROOM, HAS_DUAL = 1, 2, 4, 8, 16, 32


class Stock(NamedTuple):
    """int32[I, N]."""

    available: Any
    pending: Any
    safety: Any


class Prices(NamedTuple):
    """What units and capacity are worth elsewhere and later, and what is known of rejections; empty arrays: nothing.

    unit      float32[I, N, 4]: value of a unit apart from the network, network price when it was last seen, units that
              an order of one unit of the item may take, the item's clock then (see sourcing/prices.py)
    clock     float64[I]: units of the item asked for so far
    capacity  float64[N, 6]: price of an order, a line and a unit of the node's ship day that is open now, and the same
              of later ones; whole minor units
    rejection float32[N]: probability that the node rejects a line, at this hour
    ratio     float32[I, N]: how much likelier that is for the item

    While network prices are learned from expected orders (else empty):

    walk      float64[2]: first step, and the highest price
    moved     float32[I, N]: sum of squared changes so far
    mean      float32[I, N]: sum of prices after an item was asked for more than `skip` times
    visits, skip  int32[I]
    """

    unit: Any
    clock: Any
    capacity: Any
    rejection: Any
    ratio: Any
    walk: Any
    moved: Any
    mean: Any
    visits: Any
    skip: Any


class Nodes(NamedTuple):
    """Nodes by node_id and the candidates of each list; shapes and units as in `network.compiled.Network`.

    xyz      float64[N, 3]: unit vector from the centre of the Earth
    parcels  int32[N, S, D]: parcels left, or int32[0, 0, 0] when neither a service nor a lane has a limit
    lanes    int32[L, days]: parcels left of each lane with a limit, all its nodes together
    lane_of  int32[S, columns]: row of a lane in `lanes` by its column of transit times, -1: no limit; lane_limits
             int32[L], slot_day int32[N, D]: days since 1970
    """

    xyz: Any
    handling: Any
    handling_line: Any
    handling_unit: Any
    co2_g: Any
    methods: Any
    cutoff_min: Any
    slot_cutoff: Any
    limits: Any
    left: Any
    parcels: Any
    lanes: Any
    lane_of: Any
    lane_limits: Any
    slot_day: Any
    origin: Any
    candidate_offsets: Any
    candidates: Any


class Services(NamedTuple):
    """Services by index; shapes and units as in `network.compiled.Network`."""

    band_km: Any
    bands: Any
    weight_g: Any
    steps: Any
    rate_minor: Any
    p50: Any
    p95: Any
    sigma: Any
    mean: Any
    cutoff_min: Any
    methods: Any
    code: Any
    co2: Any
    divisor: Any
    by_zone: Any
    residential: Any
    parcels: Any
    zone_bands: Any
    transit: Any


class Duties(NamedTuple):
    """Unrecoverable duty and tax by destination row, origin and class; shapes as in `network.duties.DutyTable`."""

    rate: Any
    from_minor: Any
    fee: Any


class Cartons(NamedTuple):
    """By usable volume, ascending; shapes and units as in `network.compiled.Network`."""

    fit_mm3: Any
    outer_mm3: Any
    minor: Any
    tare_g: Any
    most_g: Any


class Supply(NamedTuple):
    """Units on their way, rows first[i]:first[i + 1] of stock row `i`: node, Unix seconds from which they can leave,
    units (taken from when a plan uses them)."""

    first: Any
    node: Any
    ready: Any
    units: Any


class Custom(NamedTuple):
    """Terms of others, in money, BIG where it may not be: float32[X, O, N] of a fulfilment, float32[X, demand, N] of a
    unit (empty: no term has that), bool[X] whether it lowers the profit. Their weights are the last X columns of
    `objectives`, their terms the last X of `Answers.terms`.
    """

    fulfilment: Any
    unit: Any
    paid: Any


class Orders(NamedTuple):
    """What is asked, one row per order: first demand row (and one more at the end), destination in radians, zone row,
    duty row, whether it is a home, method bit, service code or -1, whether safety stock may be used, the only node
    allowed or 0, first excluded node and attempt (and one more of each).

    Attempts, tried in order until one has a plan: list of candidates, most fulfilments, row of objectives, farthest km,
    whether supply that is on its way may be promised, whether safety stock may be used, whether a line may be divided,
    most expected days until delivery, row of `allowed` (bool[sets, S]: services that may be used).
    Demand rows: stock row, units; grams, mm3, price, cost (money) of one unit, duty class.
    """

    first: Any
    latitude: Any
    longitude: Any
    zone: Any
    duty: Any
    residential: Any
    method: Any
    service: Any
    dip: Any
    node: Any
    excluded_first: Any
    excluded: Any
    attempt_first: Any
    attempt_list: Any
    attempt_fulfilments: Any
    attempt_objective: Any
    attempt_km: Any
    attempt_supply: Any
    attempt_dip: Any
    attempt_divide: Any
    attempt_days: Any
    attempt_allowed: Any
    allowed: Any
    item: Any
    units: Any
    weight_g: Any
    volume_mm3: Any
    price: Any
    cost: Any
    trade: Any


class Answers(NamedTuple):
    """What is decided. Per order: number of fulfilments or 0, method, attempt, why not, cost (with what units left
    unserved cost), profit, first pick, fulfilment and record word (and one more). Picks: demand row, node, units,
    fulfilment number within the order (from 1), row of supply or -1. Fulfilments: node, service, ship day index,
    departs, delivered by, lines, units, parcels, column of transit times of the lane or -1, terms float64[., terms],
    grams of CO2. Record: what was seen, int32 words (see sourcing/record.py)."""

    count: Any
    method: Any
    attempt: Any
    why: Any
    cost: Any
    profit: Any
    pick_first: Any
    fulfilment_first: Any
    record_first: Any
    pick_demand: Any
    pick_node: Any
    pick_units: Any
    pick_number: Any
    pick_supply: Any
    node: Any
    service: Any
    slot: Any
    departs: Any
    deliver: Any
    lines: Any
    units: Any
    parcels: Any
    lane: Any
    terms: Any
    grams: Any
    record: Any


class Wish(NamedTuple):
    """The order at hand, as far as terms look at it: scalars, and its row of objectives.

    first  its first demand row; lines: how many
    days, allowed  limits of the attempt: most expected days until delivery, bool[S] services that may be used
    """

    now: Any
    first: Any
    lines: Any
    zone: Any
    duty: Any
    residential: Any
    method: Any
    service: Any
    weights: Any
    objective: Any
    days: Any
    allowed: Any


class Candidates(NamedTuple):
    """Nodes that may serve the order at hand, J rows and one more for scratch.

    node       int32[J + 1]: node_id
    ready_at   float64[J + 1]: Unix seconds from which its units can leave, 0 for the shelf
    supply     int32[J + 1, demand]: row of supply, -1 for none
    since      int32[J + 1]: first ship day to look at
    slot       int32[J + 1]: first ship day with room, for which the costs are
    ready      bool[J + 1]: a service goes there on that day
    km         float64[J + 1]
    gross, kept, free  int32[J + 1, demand]: units there, safety stock among them, and what may be sent
    band, column  int32[J + 1, S]: rate band (-1: not offered) and column of transit times
    worth, risk  int32[J + 1, demand]: what opportunity adds for a unit, and rejection_risk for a line, where it is on
    """

    node: Any
    ready_at: Any
    supply: Any
    since: Any
    slot: Any
    ready: Any
    km: Any
    gross: Any
    kept: Any
    free: Any
    band: Any
    column: Any
    worth: Any
    risk: Any


class Costs(NamedTuple):
    """What a fulfilment of each candidate costs, apart from the carrier's rate; terms add to it.

    fixed    float64[J + 1]: each fulfilment
    line     float64[J + 1, demand]: if any of that row is in it
    unit     float64[J + 1, demand]: each unit
    service  float64[J + 1, S]: each fulfilment by that service
    parcel   float64[J + 1, S]: each parcel
    gram     float64[J + 1, S]: each gram
    duty     float64[J + 1, demand], duty_from, duty_fee float64[J + 1]: each unit, and the fee, once the goods of the
             fulfilment are worth more than duty_from
    late     float64[objectives, N, S, columns]: lateness of the first ship day, NaN until it is asked for; or empty
    """

    fixed: Any
    line: Any
    unit: Any
    service: Any
    parcel: Any
    gram: Any
    duty: Any
    duty_from: Any
    duty_fee: Any
    late: Any


class Shadow(NamedTuple):
    """What steers decisions and is no part of their cost, while orders are planned together (sourcing/together.py):
    prices of what they share, float64, minor units; empty arrays: none.

    unit    [I, N]: a unit of the shelf
    node    [N, 3]: an order, a line and a unit of the node's day
    parcel  [N, S]: a parcel of the service
    divide  bool[O]: a line may be divided although one node has all of it, where that is little work
    lane    [L, days]: a parcel along the lane, as `Nodes.lanes`
    """

    unit: Any
    node: Any
    parcel: Any
    divide: Any
    lane: Any = np.zeros((0, 0))


class World(NamedTuple):
    """All that decisions are made from."""

    now: Any
    stock: Stock
    prices: Prices
    nodes: Nodes
    services: Services
    duties: Duties
    cartons: Cartons
    custom: Custom
    supply: Supply
    orders: Orders
    objectives: Any
    shadow: Shadow


class Parts(NamedTuple):
    """What of the order at hand moves as one: a whole line, or the share of a line that one node takes.

    line, units, chosen  int32[P]: demand row within the order, its units, the candidate that sends it (-1: nobody)
    can                  bool[P, J]: who could
    group                int32[P]: parts that move together
    """

    line: Any
    units: Any
    chosen: Any
    can: Any
    group: Any


class Scratch(NamedTuple):
    """Room to work in, for the largest order of a batch; T subsets of groups.

    table float64[J, T], w float64[T], who int32[T], refused float64[max(T, P + 1)]: see subsets.solve_subsets
    dp, pick float64, int32[layers + 1, T], choice int32[groups]
    loads float64[6, T], steps int64[2, S, T], sums float64[2, T]: lines, units, grams, mm3, packing and worth of every
        subset; full parcels and weight step by service; money and duty of a candidate (or of V states)
    head int32[P], whole bool[lines], number int32[J], units int64[lines], reachable bool[J], share int32[J, lines]
    deep float64[J + 1, layers + 1, V], took int32: tables of all candidates in turn, over V subsets or states
    digit, sent int64[V, lines], value float64[V]: states of divided lines
    cover int64[J], weight float64[J], ranked int32[SEARCH_NODES], trial int32[P], used int32[J]
    rate float64[S, B, W]: least rate of a weight step and those above; begins int32[S]: first step of any load
    starts float64[J]: least that a fulfilment of a candidate begins with
    asked float64[J, V]: what candidates ask for the loads of states
    fits int32[S, W, lines]: most units of each line that go by a service within a weight step
    """

    table: Any
    w: Any
    who: Any
    refused: Any
    dp: Any
    pick: Any
    choice: Any
    loads: Any
    steps: Any
    sums: Any
    head: Any
    whole: Any
    number: Any
    units: Any
    reachable: Any
    share: Any
    deep: Any
    took: Any
    digit: Any
    sent: Any
    value: Any
    cover: Any
    weight: Any
    ranked: Any
    trial: Any
    used: Any
    rate: Any
    begins: Any
    starts: Any
    asked: Any
    fits: Any
