# pyright: basic
"""The compiled decision: which node ships which units of an order, by which service, on which day.

One call decides a batch of orders in turn against the same snapshot, taking the units and the capacity that each
decision uses. For one order the plan of least cost is found exactly:

- cost of a fulfilment (node k, lines T) = cheapest service's shipping + lateness + carbon, plus the node's handling,
  plus the split price (charged once less than there are fulfilments);
- `w[T]` = least such cost over nodes, for every subset T of lines; `dp[f][S] = min over T in S holding the lowest line
  of S: w[T] + dp[f-1][S-T]`, at most `fulfilments_max` layers: 2^L K + F 3^L steps. If the optimum uses one node twice
  it is solved again node by node (K 3^L), so that a node ships an order in one fulfilment.
- a line that no node can send in full is divided: the fewest and nearest nodes that hold everything together share it.
- more than LINES_EXACT different lines: lines that the same nodes can serve move together (groups); still too many:
  ordered choices of up to three nodes, each taking all it can. `METHOD_*` says which it was.

Units in safety stock are used only when nothing else serves the order, and only where `Orders.dip` allows.
Without Numba the same code runs interpreted: right, and slow. (`int` keeps NumPy's scalars from wrapping around there.)
"""

import math
from typing import Any, NamedTuple

import numpy as np

from onhand.base.compiled import compiled
from onhand.orders.model import TERMS

LINES_EXACT = 8
SEARCH_NODES = 10
METHOD_EXACT, METHOD_DIVIDED, METHOD_GROUPED, METHOD_SEARCH = range(4)
# Columns of `objectives`.
OBJ_SPLIT, OBJ_TARGET_DAYS, OBJ_LATE, OBJ_DAY, OBJ_CO2_KG = range(5)
SERVICE_PICKUP = -2
PICKUP = 2  # method bit
EARTH_KM = 6371.0088
NO_LIMIT = 2147483647  # capacity of a node without a limit
RECORD_CUT = 32_000
_BIG = 1e18
_DAY = 86_400.0
# What a price is made of: rows of `out`, TERMS in a row from _SHIPPING on.
_SERVICE, _BAND, _SLOT, _GRAMS, _SHIPPING, _HANDLING, _SPLIT, _LATENESS, _CARBON = range(9)
_UNKNOWN, _READY, _USELESS = range(3)


class Stock(NamedTuple):
    """int32[item, node]."""

    available: Any
    pending: Any
    safety: Any


class Nodes(NamedTuple):
    """Nodes by node_id and the candidates of each channel; shapes and units as in `network.compiled.Network`."""

    latitude: Any
    longitude: Any
    handling_minor: Any
    co2_g: Any
    methods: Any
    cutoff_min: Any
    slot_cutoff: Any
    left: Any
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
    zone_bands: Any


class Orders(NamedTuple):
    """What is asked, one row per order: first demand row (and one more at the end), destination in radians, zone row,
    channel index, method bit, service code or -1, most fulfilments, objective row, whether safety stock may be used,
    the only node allowed or 0, first excluded node (and one more). Demand rows: stock row, units, grams and mm3 of one
    unit."""

    first: Any
    latitude: Any
    longitude: Any
    zone: Any
    channel: Any
    method: Any
    service: Any
    fulfilments_max: Any
    objective: Any
    dip: Any
    node: Any
    excluded_first: Any
    excluded: Any
    item: Any
    units: Any
    weight_g: Any
    volume_mm3: Any


class Answers(NamedTuple):
    """What is decided. Per order: number of fulfilments or 0, method, cost, first pick, fulfilment and record word
    (and one more). Picks: demand row, node, units, fulfilment number within the order (from 1). Fulfilments: node,
    service, ship day index, departs, delivered by, lines, units, terms float64[., 5], grams of CO2. Record: what was
    seen, int32 words (see sourcing/record.py)."""

    count: Any
    method: Any
    cost: Any
    pick_first: Any
    fulfilment_first: Any
    record_first: Any
    pick_demand: Any
    pick_node: Any
    pick_units: Any
    pick_number: Any
    node: Any
    service: Any
    slot: Any
    departs: Any
    deliver: Any
    lines: Any
    units: Any
    terms: Any
    grams: Any
    record: Any


class _Wish(NamedTuple):
    """What of an order its prices depend on."""

    now: Any
    zone: Any
    method: Any
    service: Any
    weights: Any  # objective row


class _Candidates(NamedTuple):
    """Nodes that may serve the order at hand: node_id, units that can be sent int32[candidate, demand], distance."""

    node: Any
    free: Any
    km: Any


class _Parts(NamedTuple):
    """What moves as one: a whole line, or the share of a divided line that one node takes. `can`: by whom it can be
    sent, bool[part, candidate]; `chosen`: by whom it is."""

    line: Any
    units: Any
    can: Any
    chosen: Any


@compiled
def _great_circle_km(lat1, lon1, cos1, lat2, lon2):
    """Haversine distance of two points in radians (R. W. Sinnott, 1984)."""
    a = math.sin((lat2 - lat1) * 0.5)
    b = math.sin((lon2 - lon1) * 0.5)
    h = a * a + cos1 * math.cos(lat2) * b * b
    return 2.0 * EARTH_KM * math.asin(math.sqrt(min(1.0, h)))


@compiled
def _late_probability(days, p50, p95, sigma):
    """P(transit > days) for a log-normal transit time with these quantiles and log-deviation."""
    if days <= 0.0:
        return 1.0
    if p95 <= p50:
        return 0.0 if days >= p50 else 1.0
    return 0.5 * math.erfc(math.log(days / p50) / (sigma * 1.4142135623730951))


@compiled
def _parcels(services, s, weight, volume):
    """(full parcels of the heaviest weight step, weight step of one more for the rest) of a load in grams and mm3."""
    billable = weight
    if services.divisor[s] > 0:
        # mm3 / (cm3 per kg) are grams, and a started gram counts. Bounded: absurd loads must not wrap around.
        billable = max(billable, math.ceil(min(volume / services.divisor[s], _BIG)))
    heaviest = services.weight_g[s, services.steps[s] - 1]
    full = 0
    if billable > heaviest:
        full = (billable - 1) // heaviest
        billable -= full * heaviest
    step = 0
    while billable > services.weight_g[s, step]:
        step += 1
    return full, step


@compiled
def _first_slot(left, slot_cutoff, k, lines, units):
    """First ship day of a node with room for one order of so many lines and units, or -1."""
    for d in range(slot_cutoff.shape[1]):
        if slot_cutoff[k, d] == 0:
            return -1
        if left[k, d, 0] >= 1 and left[k, d, 1] >= lines and left[k, d, 2] >= units:
            return d
    return -1


@compiled
def _most_units(left, slot_cutoff, k, slot):
    """Most units of one line that a node can send on one day; `slot` is its first day with room."""
    most = left[k, slot, 2]
    for d in range(slot + 1, slot_cutoff.shape[1]):
        if most == NO_LIMIT or slot_cutoff[k, d] == 0:
            break
        if left[k, d, 0] >= 1 and left[k, d, 1] >= 1:
            most = max(most, left[k, d, 2])
    return most


@compiled
def _departs(cutoff, node_cutoff_min, service_cutoff_min):
    """Unix seconds of the pick-up that follows the node's cut-off."""
    if service_cutoff_min < 0:
        return cutoff
    wait = service_cutoff_min - node_cutoff_min
    if wait < 0:
        wait += 1440
    return cutoff + wait * 60


@compiled
def _prepare(
    k, slot, km, now, zone, method, service, weights, slot_cutoff, n_cutoff_min, s_km, s_bands, s_p50, s_p95, s_sigma,
    s_mean, s_cutoff_min, s_methods, s_code, s_by_zone, zone_bands, row, band, late,
):  # fmt: skip
    """What does not depend on the load: per service its band (-1: not offered) and lateness in minor units, into a row
    of `band` and `late`. Returns whether any service goes there."""
    cutoff = slot_cutoff[k, slot]
    offered = False
    for s in range(s_bands.shape[0]):
        b = -1
        if s_methods[s] & method and (service < 0 or s_code[s] == service):
            if s_by_zone[s]:
                b = zone_bands[zone, s, k]
            else:
                for edge in range(s_bands[s]):
                    if km <= s_km[s, edge]:
                        b = edge
                        break
        band[row, s] = b
        if b < 0:
            continue
        offered = True
        before = (_departs(cutoff, n_cutoff_min[k], s_cutoff_min[s]) - now) / _DAY
        lateness = weights[OBJ_DAY] * max(before + s_mean[s, b], 0.0)
        if weights[OBJ_LATE] > 0.0:
            days = weights[OBJ_TARGET_DAYS] - before
            lateness += weights[OBJ_LATE] * _late_probability(days, s_p50[s, b], s_p95[s, b], s_sigma[s, b])
        late[row, s] = lateness
    return offered


@compiled
def _price(nodes, services, wish, k, km, lines, units, weight, volume, band, late, out):
    """Least cost of one fulfilment of a node on its first day with room, _BIG when it cannot be. Fills `out`; `band`
    and `late` are scratch."""
    slot = _first_slot(nodes.left, nodes.slot_cutoff, k, lines, units)
    if slot < 0:
        return _BIG
    weights = wish.weights
    out[_SLOT] = slot
    out[_HANDLING] = nodes.handling_minor[k]
    out[_SPLIT] = weights[OBJ_SPLIT]
    if wish.method == PICKUP:
        # Collected at the node: no parcel.
        days = (nodes.slot_cutoff[k, slot] - wish.now) / _DAY
        out[_SERVICE] = SERVICE_PICKUP
        out[_SHIPPING] = 0.0
        out[_LATENESS] = weights[OBJ_DAY] * max(days, 0.0)
        if days > weights[OBJ_TARGET_DAYS]:
            out[_LATENESS] += weights[OBJ_LATE]
        out[_GRAMS] = nodes.co2_g[k]
        out[_CARBON] = out[_GRAMS] * 0.001 * weights[OBJ_CO2_KG]
        return out[_HANDLING] + out[_SPLIT] + out[_LATENESS] + out[_CARBON]
    if not _prepare(
        k, slot, km, wish.now, wish.zone, wish.method, wish.service, weights, nodes.slot_cutoff, nodes.cutoff_min,
        services.band_km, services.bands, services.p50, services.p95, services.sigma, services.mean,
        services.cutoff_min, services.methods, services.code, services.by_zone, services.zone_bands, 0, band, late,
    ):  # fmt: skip
        return _BIG
    best = _BIG
    for s in range(band.shape[1]):
        b = band[0, s]
        if b < 0:
            continue
        full, step = _parcels(services, s, weight, volume)
        rate = services.rate_minor[s, b]
        shipping = full * rate[services.steps[s] - 1] + rate[step]
        grams = nodes.co2_g[k] + services.co2[s] * km * weight * 1e-6
        carbon = grams * 0.001 * weights[OBJ_CO2_KG]
        cost = shipping + out[_HANDLING] + out[_SPLIT] + late[0, s] + carbon
        if cost < best:
            best = cost
            out[_SERVICE] = s
            out[_BAND] = b
            out[_GRAMS] = grams
            out[_SHIPPING] = shipping
            out[_LATENESS] = late[0, s]
            out[_CARBON] = carbon
    return best


@compiled
def _solve_subsets(movable, count, w, who, costs, reach, layers, dp, pick, choice):
    """Exact partition of `movable` lines or groups over `count` candidates.

    w, who      least cost of every subset and its candidate
    costs       float64[count, 2^movable] (_BIG: cannot), reach bool[count]: any subset possible
    dp, pick    scratch [layers + 1, 2^movable]
    choice      int32[movable], filled with the candidate of each

    Returns the cost, _BIG when there is no plan.
    """
    full = (1 << movable) - 1
    layers = min(layers, movable)
    if layers == 1:
        for u in range(movable):
            choice[u] = who[full]
        return w[full]
    for s in range(full + 1):
        dp[0, s] = _BIG
    dp[0, 0] = 0.0
    best = _BIG
    layer = 0
    for f in range(1, layers + 1):
        dp[f, 0] = _BIG
        for s in range(1, full + 1):
            low = s & -s
            rest = s ^ low
            others = rest
            least = _BIG
            at = 0
            while True:
                t = others | low
                value = w[t] + dp[f - 1, s ^ t]
                if value < least:
                    least = value
                    at = t
                if others == 0:
                    break
                others = (others - 1) & rest
            dp[f, s] = least
            pick[f, s] = at
        if dp[f, full] < best:
            best = dp[f, full]
            layer = f
    if best >= _BIG:
        return best
    for u in range(movable):
        choice[u] = -1
    s = full
    twice = False
    while s:
        t = pick[layer, s]
        for u in range(movable):
            if t >> u & 1 == 0 and choice[u] == who[t]:
                twice = True
        for u in range(movable):
            if t >> u & 1:
                choice[u] = who[t]
        s ^= t
        layer -= 1
    if not twice:
        return best
    return _solve_node_by_node(movable, count, costs, reach, layers, choice)


@compiled
def _solve_node_by_node(movable, count, costs, reach, layers, choice):
    """The same with each candidate used at most once: K F 3^U steps, needed only when prices jump with weight."""
    size = 1 << movable
    full = size - 1
    dp = np.full((count + 1, layers + 1, size), _BIG)
    took = np.zeros((count + 1, layers + 1, size), np.int32)
    dp[0, 0, 0] = 0.0
    for j in range(count):
        for f in range(layers + 1):
            for s in range(size):
                best = dp[j, f, s]
                at = 0
                if f > 0 and reach[j]:
                    t = s
                    while t:
                        if costs[j, t] < _BIG:
                            value = costs[j, t] + dp[j, f - 1, s ^ t]
                            if value < best:
                                best = value
                                at = t
                        t = (t - 1) & s
                dp[j + 1, f, s] = best
                took[j + 1, f, s] = at
    best = _BIG
    layer = 0
    for f in range(layers + 1):
        if dp[count, f, full] < best:
            best = dp[count, f, full]
            layer = f
    if best >= _BIG:
        return best
    s = full
    for j in range(count, 0, -1):
        t = took[j, layer, s]
        if t:
            for u in range(movable):
                if t >> u & 1:
                    choice[u] = j - 1
            s ^= t
            layer -= 1
    return best


@compiled
def _divide(candidates, count, wanted, whole, fulfilments_max, share):
    """Share lines that no candidate can send in full: the fewest nodes, then the nearest, that hold the whole order
    together are sought among the SEARCH_NODES that hold most of it.

    wanted  int32[demand]; whole: lines that some candidate can send in full, bool[demand]
    share   int32[count, demand], filled: units of a divided line to take from a candidate

    Returns whether there is such a choice.
    """
    free, km = candidates.free, candidates.km
    demand = wanted.shape[0]
    cover = np.zeros(count)
    for j in range(count):
        for d in range(demand):
            share[j, d] = 0
            cover[j] += min(free[j, d], wanted[d]) / wanted[d]
    top = min(count, SEARCH_NODES)
    ranked = np.empty(top, np.int32)
    for r in range(top):
        at = 0
        for j in range(count):
            if cover[j] > cover[at] or (cover[j] == cover[at] and km[j] < km[at]):
                at = j
        ranked[r] = at
        cover[at] = -1.0
    fewest = min(fulfilments_max, top) + 1
    nearest = _BIG
    chosen = 0
    for mask in range(1, 1 << top):
        members = 0
        far = 0.0
        for r in range(top):
            if mask >> r & 1:
                members += 1
                far += km[ranked[r]]
        if members > fewest or members > fulfilments_max or (members == fewest and far >= nearest):
            continue
        enough = True
        for d in range(demand):
            held = 0
            for r in range(top):
                if mask >> r & 1 and (not whole[d] or free[ranked[r], d] >= wanted[d]):
                    held += int(free[ranked[r], d])
            if held < wanted[d]:
                enough = False
                break
        if enough:
            fewest = members
            nearest = far
            chosen = mask
    if chosen == 0:
        return False
    for d in range(demand):
        rest = 0 if whole[d] else wanted[d]
        while rest > 0:
            at = -1
            for r in range(top):
                j = ranked[r]
                if chosen >> r & 1 and share[j, d] == 0 and (at < 0 or free[j, d] > free[at, d]):
                    at = j
            share[at, d] = min(rest, free[at, d])
            rest -= share[at, d]
    return True


@compiled
def source_batch(
    now: float,
    consume: bool,
    stock: Stock,
    nodes: Nodes,
    services: Services,
    orders: Orders,
    objectives: Any,
    answers: Answers,
) -> int:
    """Decide all orders in turn; with `consume` each takes its units (stock.pending) and capacity (nodes.left).

    Returns the number of orders that did not fit into the answers (then call again with longer ones); 0 normally.
    """
    # Arrays of a tuple are counted each time they are read: once here, not in the loops.
    available, pending, safety = stock
    n_lat, n_lon, n_handling, n_co2, n_methods, n_cutoff_min, slot_cutoff, left, offsets, node_ids = nodes
    (
        s_km, s_bands, _, s_steps, s_rate, s_p50, s_p95, s_sigma, s_mean, s_cutoff_min, s_methods, s_code,
        s_co2, _, s_by_zone, zone_bands,
    ) = services  # fmt: skip
    (
        o_first, o_lat, o_lon, o_zone, o_channel, o_method, o_service, o_max, o_objective, o_dip, o_node,
        x_first, x_node, d_item, d_units, d_weight, d_volume,
    ) = orders  # fmt: skip
    (
        r_count, r_method, r_cost, r_pick, r_fulfilment, r_record, p_demand, p_node, p_units, p_number,
        f_node, f_service, f_slot, f_departs, f_deliver, f_lines, f_units, f_terms, f_grams, record,
    ) = answers  # fmt: skip
    total_orders = o_first.shape[0] - 1
    slots = slot_cutoff.shape[1]
    services_count = s_bands.shape[0]

    # Scratch for the largest order.
    candidates_max = 1
    for c in range(offsets.shape[0] - 1):
        candidates_max = max(candidates_max, offsets[c + 1] - offsets[c])
    demand_max = 1
    parts_max = 1
    for o in range(total_orders):
        demand = o_first[o + 1] - o_first[o]
        demand_max = max(demand_max, demand)
        parts_max = max(parts_max, demand * max(1, min(candidates_max, o_max[o])))
    subsets = 1 << min(LINES_EXACT, parts_max)
    node = np.empty(candidates_max, np.int32)
    gross = np.empty((candidates_max, demand_max), np.int32)
    kept = np.empty((candidates_max, demand_max), np.int32)
    free = np.empty((candidates_max, demand_max), np.int32)
    state = np.empty(candidates_max, np.int8)
    slot_of = np.empty(candidates_max, np.int32)
    units_max = np.empty(candidates_max, np.int32)
    km = np.empty(candidates_max)
    band = np.empty((candidates_max, services_count), np.int32)
    late = np.empty((candidates_max, services_count))
    part_line = np.empty(parts_max, np.int32)
    part_units = np.empty(parts_max, np.int32)
    can = np.empty((parts_max, candidates_max), np.bool_)
    group = np.empty(parts_max, np.int32)
    chosen = np.empty(parts_max, np.int32)
    candidates = _Candidates(node, free, km)
    parts = _Parts(part_line, part_units, can, chosen)
    head = np.empty(parts_max, np.int32)
    whole = np.empty(demand_max, np.bool_)
    share = np.empty((1, 1), np.int32)
    # By subset of lines or groups: its load, its parcels by service, its cost by candidate, and the solver's tables.
    g_lines = np.empty(subsets, np.int64)
    g_units = np.empty(subsets, np.int64)
    g_weight = np.empty(subsets, np.int64)
    g_volume = np.empty(subsets)
    g_full = np.empty((services_count, subsets), np.int64)
    g_step = np.empty((services_count, subsets), np.int32)
    costs = np.empty((candidates_max, subsets))
    reach = np.empty(candidates_max, np.bool_)
    w = np.empty(subsets)
    who = np.empty(subsets, np.int32)
    dp = np.empty((LINES_EXACT + 1, subsets))
    pick = np.empty((LINES_EXACT + 1, subsets), np.int32)
    choice = np.empty(LINES_EXACT, np.int32)
    number = np.empty(candidates_max, np.int32)
    other_band = np.empty((1, services_count), np.int32)
    other_late = np.empty((1, services_count))
    out = np.empty(9)

    picks = 0
    fulfilments = 0
    words = 0
    for o in range(total_orders):
        first = o_first[o]
        demand = o_first[o + 1] - first
        method = o_method[o]
        fulfilments_max = o_max[o]
        weights = objectives[o_objective[o]]
        cos_lat = math.cos(o_lat[o])
        # One fulfilment: who cannot send everything need not be looked at.
        least_lines = demand if fulfilments_max == 1 else 1
        wish = _Wish(now, o_zone[o], method, o_service[o], weights)
        c0 = offsets[o_channel[o]]
        c1 = offsets[o_channel[o] + 1]
        r_pick[o] = picks
        r_fulfilment[o] = fulfilments
        r_record[o] = words
        r_count[o] = 0
        r_method[o] = METHOD_EXACT
        r_cost[o] = 0.0
        if (
            words + 2 + (c1 - c0) * (demand * 2 + 2 + 3 * slots) > record.shape[0]
            or picks + demand * max(1, min(c1 - c0, fulfilments_max)) > p_node.shape[0]
        ):
            r_record[total_orders] = words
            return total_orders - o

        # Candidates that may serve this order at all.
        count = 0
        guarded = False
        for c in range(c0, c1):
            k = node_ids[c]
            if n_methods[k] & method == 0 or slot_cutoff[k, 0] == 0:
                continue
            if method == PICKUP and o_node[o] and k != o_node[o]:
                continue
            excluded = False
            for x in range(x_first[o], x_first[o + 1]):
                excluded |= x_node[x] == k
            if excluded:
                continue
            useful = False
            for d in range(demand):
                i = d_item[first + d]
                gross[count, d] = available[i, k] - pending[i, k]
                kept[count, d] = safety[i, k]
                useful |= gross[count, d] > 0
            if useful:
                node[count] = k
                state[count] = _UNKNOWN
                km[count] = 0.0
                for d in range(demand):
                    guarded |= kept[count, d] != 0
                count += 1

        # What was seen (see record.py), cut to what tells decisions apart so that it fits 16 bits.
        order_units = 0
        for d in range(demand):
            order_units += d_units[first + d]
        units_cut = max(RECORD_CUT, order_units)
        record[words] = count
        record[words + 1] = guarded
        words += 2
        for j in range(count):
            k = node[j]
            record[words] = k
            words += 1
            for d in range(demand):
                seen = min(int(gross[j, d]), units_cut)
                record[words] = seen
                words += 1
                if guarded:
                    # As much less as leaves the same units, or none, beyond it.
                    beyond = min(int(gross[j, d]) - int(kept[j, d]), units_cut)
                    record[words] = min(seen - beyond, max(seen, RECORD_CUT))
                    words += 1
            at = words
            words += 1
            for d in range(slots):
                # A day with room for the whole order ends the list: no later day is looked at.
                if slot_cutoff[k, d] == 0 or (
                    left[k, d, 0] >= 1 and left[k, d, 1] >= demand and left[k, d, 2] >= order_units
                ):
                    break
                for n in range(3):
                    record[words] = -1 if left[k, d, n] == NO_LIMIT else min(max(left[k, d, n], 0), units_cut)
                    words += 1
            record[at] = (words - at - 1) // 3

        for dip in range(2 if o_dip[o] and guarded else 1):
            # Candidates that could send some line in full are looked at closely; all of them, when a line must be
            # divided: have they a day with room, and does a service go there?
            short = demand
            for d in range(demand):
                whole[d] = False
            for everyone in range(2):
                for j in range(count):
                    k = node[j]
                    lines = demand * everyone
                    if not everyone:
                        for d in range(demand):
                            free[j, d] = max(0, gross[j, d] if dip else int(gross[j, d]) - int(kept[j, d]))
                            lines += free[j, d] >= d_units[first + d]
                    if lines < least_lines:
                        continue
                    if state[j] == _UNKNOWN:
                        state[j] = _USELESS
                        slot = _first_slot(left, slot_cutoff, k, 1, 1)
                        if slot >= 0:
                            slot_of[j] = slot
                            units_max[j] = left[k, slot, 2]
                            if units_max[j] != NO_LIMIT:
                                units_max[j] = _most_units(left, slot_cutoff, k, slot)
                            km[j] = _great_circle_km(o_lat[o], o_lon[o], cos_lat, n_lat[k], n_lon[k])
                            if method == PICKUP or _prepare(
                                k, slot, km[j], now, o_zone[o], method, o_service[o], weights, slot_cutoff,
                                n_cutoff_min, s_km, s_bands, s_p50, s_p95, s_sigma, s_mean, s_cutoff_min, s_methods,
                                s_code, s_by_zone, zone_bands, j, band, late,
                            ):  # fmt: skip
                                state[j] = _READY
                    for d in range(demand):
                        free[j, d] = min(free[j, d], units_max[j]) if state[j] == _READY else 0
                        if free[j, d] >= d_units[first + d] and not whole[d]:
                            whole[d] = True
                            short -= 1
                if short == 0 or fulfilments_max == 1:
                    break
            r_method[o] = METHOD_EXACT
            if short:
                r_method[o] = METHOD_DIVIDED
                share = np.empty((count, demand), np.int32)
                wanted = d_units[first : first + demand]
                if fulfilments_max == 1 or not _divide(candidates, count, wanted, whole, fulfilments_max, share):
                    continue

            part_count = 0
            for d in range(demand):
                if whole[d]:
                    part_line[part_count] = d
                    part_units[part_count] = d_units[first + d]
                    for j in range(count):
                        can[part_count, j] = state[j] == _READY and free[j, d] >= part_units[part_count]
                    part_count += 1
                    continue
                for j in range(count):
                    if share[j, d]:
                        part_line[part_count] = d
                        part_units[part_count] = share[j, d]
                        for other in range(count):
                            can[part_count, other] = other == j
                        part_count += 1

            # Groups: parts that exactly the same nodes can serve.
            groups = 0
            if part_count <= LINES_EXACT:
                for p in range(part_count):
                    group[p] = p
                groups = part_count
            else:
                r_method[o] = METHOD_GROUPED
                for p in range(part_count):
                    group[p] = -1
                    for g in range(groups):
                        same = True
                        for j in range(count):
                            if can[p, j] != can[head[g], j]:
                                same = False
                                break
                        if same:
                            group[p] = g
                            break
                    if group[p] < 0:
                        head[groups] = p
                        group[p] = groups
                        groups += 1

            if groups <= LINES_EXACT:
                size = 1 << groups
                full_set = size - 1
                for t in range(size):
                    g_lines[t] = 0
                    g_units[t] = 0
                    g_weight[t] = 0
                    g_volume[t] = 0.0
                    w[t] = _BIG
                    who[t] = -1
                for p in range(part_count):
                    t = 1 << group[p]
                    d = first + part_line[p]
                    g_lines[t] += 1
                    g_units[t] += part_units[p]
                    g_weight[t] += part_units[p] * d_weight[d]
                    g_volume[t] += float(part_units[p]) * d_volume[d]
                for t in range(1, size):
                    low = t & -t
                    rest = t ^ low
                    if rest:
                        g_lines[t] = g_lines[low] + g_lines[rest]
                        g_units[t] = g_units[low] + g_units[rest]
                        g_weight[t] = g_weight[low] + g_weight[rest]
                        g_volume[t] = g_volume[low] + g_volume[rest]
                # One fulfilment: only the whole order counts.
                single = fulfilments_max == 1
                if method != PICKUP:
                    for s in range(services_count):
                        for t in range(full_set if single else 1, size):
                            g_full[s, t], g_step[s, t] = _parcels(services, s, g_weight[t], g_volume[t])

                for j in range(count):
                    reach[j] = False
                    mask = 0
                    for p in range(part_count):
                        if can[p, j]:
                            mask |= 1 << group[p]
                    if mask == 0 or (single and mask != full_set):
                        continue
                    k = node[j]
                    slot = slot_of[j]
                    for t in range(full_set if single else 1, size):
                        costs[j, t] = _BIG
                    if method != PICKUP:
                        per_gram = weights[OBJ_CO2_KG] * 0.001
                        fixed = n_handling[k] + weights[OBJ_SPLIT] + per_gram * n_co2[k]
                        for s in range(services_count):
                            b = band[j, s]
                            if b < 0:
                                continue
                            heaviest = s_rate[s, b, s_steps[s] - 1]
                            start = fixed + late[j, s]
                            by_weight = per_gram * s_co2[s] * km[j] * 1e-6
                            t = mask
                            while t:
                                cost = (
                                    start
                                    + by_weight * g_weight[t]
                                    + g_full[s, t] * heaviest
                                    + s_rate[s, b, g_step[s, t]]
                                )
                                costs[j, t] = min(costs[j, t], cost)
                                if single:
                                    break
                                t = (t - 1) & mask
                    t = mask
                    while t:
                        if method == PICKUP or left[k, slot, 1] < g_lines[t] or left[k, slot, 2] < g_units[t]:
                            # Another day than the one prepared.
                            costs[j, t] = _price(
                                nodes, services, wish, k, km[j], g_lines[t], g_units[t], g_weight[t], g_volume[t],
                                other_band, other_late, out,
                            )  # fmt: skip
                        if costs[j, t] < _BIG:
                            reach[j] = True
                            if costs[j, t] < w[t]:
                                w[t] = costs[j, t]
                                who[t] = j
                        if single:
                            break
                        t = (t - 1) & mask
                cost = _solve_subsets(groups, count, w, who, costs, reach, fulfilments_max, dp, pick, choice)
                if cost >= _BIG:
                    continue
                for p in range(part_count):
                    chosen[p] = choice[group[p]]
            else:
                r_method[o] = METHOD_SEARCH
                cost = _search(
                    nodes, services, orders, wish, first, fulfilments_max, candidates, count, parts, part_count,
                    other_band, other_late, out,
                )  # fmt: skip
                if cost >= _BIG:
                    continue

            # Write the fulfilments, nodes in the order of their first line.
            for j in range(count):
                number[j] = 0
            made = 0
            total = -weights[OBJ_SPLIT]  # the first fulfilment is no split
            for p in range(part_count):
                j = chosen[p]
                if number[j]:
                    continue
                f = fulfilments + made
                made += 1
                number[j] = made
                k = node[j]
                lines, units, weight, volume = _load(orders, first, parts, part_count, chosen, j)
                total += _price(
                    nodes, services, wish, k, km[j], lines, units, weight, volume, other_band, other_late, out
                )
                service = int(out[_SERVICE])
                slot = int(out[_SLOT])
                f_node[f] = k
                f_service[f] = service
                f_slot[f] = slot
                f_lines[f] = lines
                f_units[f] = units
                f_grams[f] = out[_GRAMS]
                for term in range(len(TERMS)):
                    f_terms[f, term] = out[_SHIPPING + term]
                f_departs[f] = f_deliver[f] = slot_cutoff[k, slot]
                if service != SERVICE_PICKUP:
                    departs = _departs(slot_cutoff[k, slot], n_cutoff_min[k], s_cutoff_min[service])
                    f_departs[f] = departs
                    f_deliver[f] = departs + s_p95[service, int(out[_BAND])] * _DAY
                if consume:
                    if left[k, slot, 0] != NO_LIMIT:
                        left[k, slot, 0] -= 1
                    if left[k, slot, 1] != NO_LIMIT:
                        left[k, slot, 1] -= lines
                    if left[k, slot, 2] != NO_LIMIT:
                        left[k, slot, 2] -= units
            f_terms[fulfilments, _SPLIT - _SHIPPING] = 0.0
            for p in range(part_count):
                k = node[chosen[p]]
                p_demand[picks] = first + part_line[p]
                p_node[picks] = k
                p_units[picks] = part_units[p]
                p_number[picks] = number[chosen[p]]
                picks += 1
                if consume:
                    pending[d_item[first + part_line[p]], k] += part_units[p]
            fulfilments += made
            r_count[o] = made
            r_cost[o] = total
            break
    r_pick[total_orders] = picks
    r_fulfilment[total_orders] = fulfilments
    r_record[total_orders] = words
    return 0


@compiled
def _load(orders, first, parts, part_count, chosen, j):
    """(lines, units, grams, mm3) of the parts that candidate `j` is chosen for."""
    lines = 0
    units = 0
    weight = 0
    volume = 0.0
    for p in range(part_count):
        if chosen[p] == j:
            d = first + parts.line[p]
            lines += 1
            units += parts.units[p]
            weight += parts.units[p] * orders.weight_g[d]
            volume += float(parts.units[p]) * orders.volume_mm3[d]
    return lines, units, weight, volume


@compiled
def _search(
    nodes, services, orders, wish, first, fulfilments_max, candidates, count, parts, part_count, band, late, out
):
    """Large orders: every node that can send all of it, and every ordered choice of up to three of the SEARCH_NODES
    nodes that cover most parts (nearest first among equals); each takes all it can, further nodes are added greedily
    up to fulfilments_max."""
    node, km, can, chosen = candidates.node, candidates.km, parts.can, parts.chosen
    best = _BIG
    trial = np.empty(part_count, np.int32)
    cover = np.zeros(count, np.int64)
    for j in range(count):
        for p in range(part_count):
            trial[p] = j
            cover[j] += can[p, j]
        if cover[j] == part_count:
            lines, units, weight, volume = _load(orders, first, parts, part_count, trial, j)
            cost = _price(nodes, services, wish, node[j], km[j], lines, units, weight, volume, band, late, out)
            if cost < best:
                best = cost
                for p in range(part_count):
                    chosen[p] = j
    top = min(SEARCH_NODES, count)
    ranked = np.empty(top, np.int32)
    for r in range(top):
        at = 0
        for j in range(count):
            if cover[j] > cover[at] or (cover[j] == cover[at] and km[j] < km[at]):
                at = j
        ranked[r] = at
        cover[at] = -1
    depth = min(3, fulfilments_max)
    used = np.empty(max(depth, min(fulfilments_max, count)), np.int32)
    for a in range(top):
        for b in range(-1, top):
            for c in range(-1, top):
                if (b < 0 and c >= 0) or b == a or (c >= 0 and c in (a, b)):
                    continue
                if (b >= 0 and depth < 2) or (c >= 0 and depth < 3):
                    continue
                left_over = part_count
                taken_b = 0
                taken_c = 0
                for p in range(part_count):
                    trial[p] = -1
                    if can[p, ranked[a]]:
                        trial[p] = ranked[a]
                    elif b >= 0 and can[p, ranked[b]]:
                        trial[p] = ranked[b]
                        taken_b += 1
                    elif c >= 0 and can[p, ranked[c]]:
                        trial[p] = ranked[c]
                        taken_c += 1
                    left_over -= trial[p] >= 0
                if (b >= 0 and taken_b == 0) or (c >= 0 and taken_c == 0):
                    continue  # seen without it
                used[0] = ranked[a]
                members = 1
                if b >= 0:
                    used[members] = ranked[b]
                    members += 1
                if c >= 0:
                    used[members] = ranked[c]
                    members += 1
                while left_over and members < min(fulfilments_max, count):
                    most = 0
                    at = -1
                    for j in range(count):
                        gain = 0
                        for p in range(part_count):
                            gain += trial[p] < 0 and can[p, j]
                        if gain > most:
                            most = gain
                            at = j
                    if at < 0:
                        break
                    for p in range(part_count):
                        if trial[p] < 0 and can[p, at]:
                            trial[p] = at
                            left_over -= 1
                    used[members] = at
                    members += 1
                if left_over:
                    continue
                total = 0.0
                for m in range(members):
                    lines, units, weight, volume = _load(orders, first, parts, part_count, trial, used[m])
                    if lines:
                        total += _price(
                            nodes, services, wish, node[used[m]], km[used[m]],
                            lines, units, weight, volume, band, late, out,
                        )  # fmt: skip
                        if total >= best:
                            break
                if total < best:
                    best = total
                    for p in range(part_count):
                        chosen[p] = trial[p]
    return best
