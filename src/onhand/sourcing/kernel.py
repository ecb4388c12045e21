# pyright: basic
"""The compiled decision: which node ships which units of an order, by which service, on which day.

One call decides a batch of orders in turn against the same snapshot, taking the units and the capacity that each
decision uses. For one order the plan of least cost is found exactly:

- cost of a fulfilment (node k, lines T) = cheapest service's shipping + lateness + carbon, plus the node's handling,
  plus the split price (charged once less than there are fulfilments);
- `w[T]` = least such cost over nodes, for every subset T of lines; `dp[f][S] = min over T in S holding the lowest line
  of S: w[T] + dp[f-1][S-T]`, at most `fulfilments_max` layers: 2^L K + F 3^L steps. If the optimum uses one node twice
  it is solved again node by node (K 3^L), so that a node ships an order in one fulfilment.
- more than LINES_EXACT different lines: lines that the same nodes can serve move together (groups); still too many:
  ordered choices of up to three nodes, each taking all it can. `METHOD_*` says which it was.
- a line that no node holds in full is divided over the nodes that hold most of it.

Units in safety stock are used only when nothing else serves the order, and only where `o_dip` allows.
Without Numba the same code runs interpreted: right, and slow.
"""

import math

import numpy as np

try:
    from numba import njit
except ImportError:  # pragma: no cover - the interpreted path is tested by its own process

    def njit(*_args, **_kwargs):
        return lambda function: function


LINES_EXACT = 8
SEARCH_NODES = 10
METHOD_EXACT, METHOD_GROUPED, METHOD_SEARCH = 0, 1, 2
# Cost terms, in the order of the term axis.
TERMS = ("shipping", "handling", "split", "lateness", "carbon")
# Columns of `objectives`.
OBJ_SPLIT, OBJ_TARGET_DAYS, OBJ_LATE, OBJ_DAY, OBJ_CO2_KG = range(5)
SERVICE_PICKUP = -2
EARTH_KM = 6371.0088
_BIG = 1e18
NO_LIMIT = 2147483647  # capacity of a node without a limit
_DAY = 86_400.0


@njit(cache=True, nogil=True, inline="always")
def _great_circle_km(lat1, lon1, cos1, lat2, lon2):
    """Haversine distance of two points in radians (R. W. Sinnott, 1984)."""
    a = math.sin((lat2 - lat1) * 0.5)
    b = math.sin((lon2 - lon1) * 0.5)
    h = a * a + cos1 * math.cos(lat2) * b * b
    return 2.0 * EARTH_KM * math.asin(math.sqrt(min(1.0, h)))


@njit(cache=True, nogil=True, inline="always")
def _late_probability(days, p50, p95, sigma):
    """P(transit > days) for a log-normal transit time with these quantiles and log-deviation."""
    if days <= 0.0:
        return 1.0
    if p95 <= p50:
        return 0.0 if days >= p50 else 1.0
    return 0.5 * math.erfc(math.log(days / p50) / (sigma * 1.4142135623730951))


@njit(cache=True, nogil=True, inline="always")
def _parcels_minor(billable, service, band, rate, weights, steps):
    """Price of sending `billable` grams: full parcels of the heaviest step and one for the rest."""
    last = steps[service] - 1
    heaviest = weights[service, last]
    total = 0.0
    rest = billable
    if rest > heaviest:
        full = (rest - 1) // heaviest
        total = full * rate[service, band, last]
        rest -= full * heaviest
    for step in range(last + 1):
        if rest <= weights[service, step]:
            return total + rate[service, band, step]
    return total + rate[service, band, last]


@njit(cache=True, nogil=True)
def _first_slot(left, cutoffs, node, lines, units):
    """First ship day of a node with room for one order of so many lines and units, or -1."""
    for d in range(cutoffs.shape[1]):
        if cutoffs[node, d] == 0:
            return -1
        if left[node, d, 0] >= 1 and left[node, d, 1] >= lines and left[node, d, 2] >= units:
            return d
    return -1


@njit(cache=True, nogil=True, inline="always")
def _departs(cutoff, node_cutoff_min, service_cutoff_min):
    """Unix seconds of the pick-up that follows the node's cut-off."""
    if service_cutoff_min < 0:
        return cutoff
    wait = service_cutoff_min - node_cutoff_min
    if wait < 0:
        wait += 1440
    return cutoff + wait * 60


@njit(cache=True, nogil=True)
def _prepare(
    node,
    slot,
    km,
    zone,
    method,
    wanted_service,
    now,
    weights,
    n_cutoff_min,
    slot_cutoff,
    s_km,
    s_bands,
    s_p50,
    s_p95,
    s_sigma,
    s_mean,
    s_cutoff_min,
    s_methods,
    s_code,
    s_by_zone,
    zone_bands,
    band,
    late,
    departs,
    deliver,
):
    """What does not depend on the parcel: per service its band (-1: not offered), lateness, and times."""
    cutoff = slot_cutoff[node, slot]
    for s in range(s_bands.shape[0]):
        band[s] = -1
        if s_methods[s] & method == 0 or (wanted_service >= 0 and s_code[s] != wanted_service):
            continue
        if s_by_zone[s]:
            band[s] = zone_bands[zone, s, node]
        else:
            for b in range(s_bands[s]):
                if km <= s_km[s, b]:
                    band[s] = b
                    break
        b = band[s]
        if b < 0:
            continue
        departs[s] = _departs(cutoff, n_cutoff_min[node], s_cutoff_min[s])
        before = (departs[s] - now) / _DAY
        probability = _late_probability(
            weights[OBJ_TARGET_DAYS] - before, s_p50[s, b], s_p95[s, b], s_sigma[s, b]
        )
        late[s] = weights[OBJ_LATE] * probability + weights[OBJ_DAY] * max(
            before + s_mean[s, b], 0.0
        )
        deliver[s] = departs[s] + s_p95[s, b] * _DAY


@njit(cache=True, nogil=True)
def _price(
    node,
    weight,
    volume,
    km,
    weights,
    n_handling,
    n_co2,
    s_weight,
    s_steps,
    s_rate,
    s_co2,
    s_divisor,
    band,
    late,
    out,
):
    """Least cost of one fulfilment with a prepared node, _BIG when no service goes there. Fills out[0:7] with service,
    shipping, handling, split, lateness, carbon (minor units) and grams of CO2."""
    handling = float(n_handling[node])
    split = weights[OBJ_SPLIT]
    best = _BIG
    for s in range(band.shape[0]):
        b = band[s]
        if b < 0:
            continue
        billable = weight
        if s_divisor[s] > 0:
            billable = max(billable, int(volume / s_divisor[s]))
        shipping = _parcels_minor(billable, s, b, s_rate, s_weight, s_steps)
        grams = n_co2[node] + s_co2[s] * km * weight * 1e-6
        carbon = grams * 0.001 * weights[OBJ_CO2_KG]
        cost = shipping + handling + split + late[s] + carbon
        if cost < best:
            best = cost
            out[0] = s
            out[1] = shipping
            out[2] = handling
            out[3] = split
            out[4] = late[s]
            out[5] = carbon
            out[6] = grams
    return best


@njit(cache=True, nogil=True)
def _price_pickup(node, cutoff, now, weights, n_handling, n_co2, out):
    """The same for an order that the customer collects at the node: no parcel."""
    days = (cutoff - now) / _DAY
    late = weights[OBJ_LATE] if days > weights[OBJ_TARGET_DAYS] else 0.0
    late += weights[OBJ_DAY] * max(days, 0.0)
    grams = n_co2[node]
    out[0] = SERVICE_PICKUP
    out[1] = 0.0
    out[2] = float(n_handling[node])
    out[3] = weights[OBJ_SPLIT]
    out[4] = late
    out[5] = grams * 0.001 * weights[OBJ_CO2_KG]
    out[6] = grams
    return out[2] + out[3] + out[4] + out[5]


@njit(cache=True, nogil=True)
def _price_lines(
    node,
    lines,
    units,
    weight,
    volume,
    km,
    zone,
    method,
    wanted_service,
    now,
    weights,
    n_handling,
    n_co2,
    n_cutoff_min,
    slot_cutoff,
    left,
    s_km,
    s_bands,
    s_weight,
    s_steps,
    s_rate,
    s_p50,
    s_p95,
    s_sigma,
    s_mean,
    s_cutoff_min,
    s_methods,
    s_code,
    s_co2,
    s_divisor,
    s_by_zone,
    zone_bands,
    band,
    late,
    departs,
    deliver,
    prepared,
    out,
):
    """Price of so many lines at a node on its first day with room. prepared[0] is the day that band, late, departs
    and deliver hold for, -1 when none; it is set to the day of this price."""
    slot = _first_slot(left, slot_cutoff, node, lines, units)
    if slot < 0:
        return _BIG
    if method == 2:
        prepared[0] = slot
        return _price_pickup(node, slot_cutoff[node, slot], now, weights, n_handling, n_co2, out)
    if prepared[0] != slot:
        _prepare(
            node,
            slot,
            km,
            zone,
            method,
            wanted_service,
            now,
            weights,
            n_cutoff_min,
            slot_cutoff,
            s_km,
            s_bands,
            s_p50,
            s_p95,
            s_sigma,
            s_mean,
            s_cutoff_min,
            s_methods,
            s_code,
            s_by_zone,
            zone_bands,
            band,
            late,
            departs,
            deliver,
        )
        prepared[0] = slot
    return _price(
        node,
        weight,
        volume,
        km,
        weights,
        n_handling,
        n_co2,
        s_weight,
        s_steps,
        s_rate,
        s_co2,
        s_divisor,
        band,
        late,
        out,
    )


@njit(cache=True, nogil=True)
def _solve_subsets(units_count, costs, reach, fulfilments_max, choice):
    """Exact partition of `units_count` movable units (lines or groups) over candidates.

    costs float64[J, 2^U] (_BIG: cannot), reach bool: any subset usable. Fills choice int32[U] with the candidate of
    each unit and returns the cost, _BIG when there is no plan.
    """
    full = (1 << units_count) - 1
    size = full + 1
    candidates = costs.shape[0]
    w = np.full(size, _BIG)
    who = np.full(size, -1, np.int32)
    for j in range(candidates):
        if not reach[j]:
            continue
        for t in range(1, size):
            if costs[j, t] < w[t]:
                w[t] = costs[j, t]
                who[t] = j
    layers = min(fulfilments_max, units_count)
    dp = np.full((layers + 1, size), _BIG)
    pick = np.zeros((layers + 1, size), np.int32)
    dp[0, 0] = 0.0
    for f in range(1, layers + 1):
        for s in range(1, size):
            low = s & -s
            t = s
            best = _BIG
            at = 0
            while t:
                if t & low and w[t] < _BIG:
                    value = w[t] + dp[f - 1, s ^ t]
                    if value < best:
                        best = value
                        at = t
                t = (t - 1) & s
            dp[f, s] = best
            pick[f, s] = at
    best = _BIG
    layer = 0
    for f in range(1, layers + 1):
        if dp[f, full] < best:
            best = dp[f, full]
            layer = f
    if best >= _BIG:
        return best
    s = full
    f = layer
    twice = False
    while s:
        t = pick[f, s]
        for u in range(units_count):
            if t >> u & 1:
                choice[u] = who[t]
        for u in range(units_count):
            if (s ^ t) >> u & 1 == 0 and t >> u & 1 == 0 and choice[u] == who[t]:
                twice = True
        s ^= t
        f -= 1
    if not twice:
        return best
    return _solve_node_by_node(units_count, costs, reach, layers, choice)


@njit(cache=True, nogil=True)
def _solve_node_by_node(units_count, costs, reach, layers, choice):
    """The same with each candidate used at most once: K F 3^U steps, needed only when prices jump with weight."""
    size = 1 << units_count
    full = size - 1
    candidates = costs.shape[0]
    dp = np.full((candidates + 1, layers + 1, size), _BIG)
    took = np.zeros((candidates + 1, layers + 1, size), np.int32)
    dp[0, 0, 0] = 0.0
    for j in range(candidates):
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
        if dp[candidates, f, full] < best:
            best = dp[candidates, f, full]
            layer = f
    if best >= _BIG:
        return best
    s = full
    f = layer
    for j in range(candidates, 0, -1):
        t = took[j, f, s]
        if t:
            for u in range(units_count):
                if t >> u & 1:
                    choice[u] = j - 1
            s ^= t
            f -= 1
    return best


@njit(cache=True, nogil=True)
def source_batch(
    now,
    consume,
    # snapshot, int32[item, node]
    available,
    pending,
    safety,
    # nodes
    n_lat,
    n_lon,
    n_handling,
    n_co2,
    n_methods,
    n_cutoff_min,
    slot_cutoff,
    left,
    candidate_offsets,
    candidates,
    # services
    s_km,
    s_bands,
    s_weight,
    s_steps,
    s_rate,
    s_p50,
    s_p95,
    s_sigma,
    s_mean,
    s_cutoff_min,
    s_methods,
    s_code,
    s_co2,
    s_divisor,
    s_by_zone,
    zone_bands,
    # orders: first demand row (O + 1), destination in radians, zone row, channel index, method bit, service code or -1,
    # most fulfilments, objective row, whether safety stock may be used, the only node allowed or 0
    o_first,
    o_lat,
    o_lon,
    o_zone,
    o_channel,
    o_method,
    o_service,
    o_max,
    o_objective,
    o_dip,
    o_node,
    x_offsets,
    x_nodes,
    # demand rows: item, units, grams and mm3 of one unit
    d_item,
    d_units,
    d_weight,
    d_volume,
    objectives,
    # outputs, one row per order: fulfilments or 0, method, cost; offsets of its picks and fulfilments
    r_count,
    r_method,
    r_cost,
    r_pick,
    r_fulfilment,
    # picks: demand row, node, units, fulfilment number within the order (from 1)
    p_demand,
    p_node,
    p_units,
    p_number,
    # fulfilments: node, service, ship day index, departs, delivered by, lines, units; terms float64[., 5], grams
    f_node,
    f_service,
    f_slot,
    f_departs,
    f_deliver,
    f_lines,
    f_units,
    f_terms,
    f_grams,
    # record: what was seen, int32 words per order (see sourcing/record.py)
    record,
    record_offsets,
):
    """Decide orders 0..O-1 in turn. Returns the number of orders that did not fit into the output arrays (then call
    again with longer ones); 0 normally."""
    orders = o_first.shape[0] - 1
    picks = 0
    fulfilments = 0
    words = 0
    out = np.empty(7)
    services = s_bands.shape[0]
    band = np.empty(services, np.int32)
    late = np.empty(services)
    departs = np.empty(services, np.int64)
    deliver = np.empty(services, np.int64)
    other_band = np.empty(services, np.int32)
    other_late = np.empty(services)
    prepared = np.empty(1, np.int32)
    for o in range(orders):
        first = o_first[o]
        demand = o_first[o + 1] - first
        channel = o_channel[o]
        c0 = candidate_offsets[channel]
        all_candidates = candidate_offsets[channel + 1] - c0
        r_pick[o] = picks
        r_fulfilment[o] = fulfilments
        r_count[o] = 0
        r_method[o] = METHOD_EXACT
        r_cost[o] = 0.0
        record_offsets[o] = words
        weights = objectives[o_objective[o]]
        method = o_method[o]

        # Candidates that may serve this order at all.
        nodes = np.empty(all_candidates, np.int32)
        count = 0
        for c in range(all_candidates):
            k = candidates[c0 + c]
            if n_methods[k] & method == 0 or (o_node[o] and method == 2 and k != o_node[o]):
                continue
            excluded = False
            for x in range(x_offsets[o], x_offsets[o + 1]):
                if x_nodes[x] == k:
                    excluded = True
            if excluded or slot_cutoff[k, 0] == 0:
                continue
            useful = False
            for d in range(demand):
                if available[d_item[first + d], k] - pending[d_item[first + d], k] > 0:
                    useful = True
                    break
            if useful:
                nodes[count] = k
                count += 1

        free = np.empty((count, demand), np.int32)
        need = words + 1 + count * (demand * 2 + 2 + 3 * slot_cutoff.shape[1])
        if (
            need > record.shape[0]
            or picks + demand * max(1, min(count, o_max[o])) > p_node.shape[0]
        ):
            record_offsets[orders] = words
            return orders - o
        # The record: candidates, then per candidate its node, free and safety units, and the days it looked at.
        record[words] = count
        words += 1
        order_units = 0
        for d in range(demand):
            order_units += d_units[first + d]
        for j in range(count):
            k = nodes[j]
            record[words] = k
            words += 1
            for d in range(demand):
                i = d_item[first + d]
                record[words] = available[i, k] - pending[i, k]
                record[words + 1] = safety[i, k]
                words += 2
            at = words
            words += 1
            seen = 0
            for d in range(slot_cutoff.shape[1]):
                # A node without limits has room on its first day: nothing to record.
                if slot_cutoff[k, d] == 0 or (
                    left[k, d, 0] == left[k, d, 1] == left[k, d, 2] == NO_LIMIT
                ):
                    break
                record[words] = left[k, d, 0]
                record[words + 1] = left[k, d, 1]
                record[words + 2] = left[k, d, 2]
                words += 3
                seen += 1
                if left[k, d, 0] >= 1 and left[k, d, 1] >= demand and left[k, d, 2] >= order_units:
                    break
            record[at] = seen

        cos_lat = math.cos(o_lat[o])
        km = np.empty(count)
        for j in range(count):
            k = nodes[j]
            km[j] = _great_circle_km(o_lat[o], o_lon[o], cos_lat, n_lat[k], n_lon[k])

        for dip in range(o_dip[o] + 1):
            for j in range(count):
                for d in range(demand):
                    i = d_item[first + d]
                    units = available[i, nodes[j]] - pending[i, nodes[j]]
                    if dip == 0:
                        units -= safety[i, nodes[j]]
                    free[j, d] = max(0, units)

            # Movable parts: a whole line, or the share of a divided line that one node takes.
            part_line = np.empty(demand * max(1, min(count, o_max[o])), np.int32)
            part_units = np.empty(part_line.shape[0], np.int32)
            part_pin = np.empty(part_line.shape[0], np.int32)
            parts = 0
            possible = True
            for d in range(demand):
                wanted = d_units[first + d]
                whole = False
                for j in range(count):
                    if free[j, d] >= wanted:
                        whole = True
                        break
                if whole:
                    part_line[parts] = d
                    part_units[parts] = wanted
                    part_pin[parts] = -1
                    parts += 1
                    continue
                used = np.zeros(count, np.bool_)
                for _ in range(o_max[o]):
                    at = -1
                    for j in range(count):
                        if (
                            not used[j]
                            and free[j, d] > 0
                            and (
                                at < 0
                                or free[j, d] > free[at, d]
                                or (free[j, d] == free[at, d] and km[j] < km[at])
                            )
                        ):
                            at = j
                    if at < 0 or wanted == 0:
                        break
                    used[at] = True
                    take = min(wanted, free[at, d])
                    part_line[parts] = d
                    part_units[parts] = take
                    part_pin[parts] = at
                    parts += 1
                    wanted -= take
                if wanted > 0:
                    possible = False
                    break
            if not possible:
                continue

            can = np.zeros((parts, count), np.bool_)
            for p in range(parts):
                for j in range(count):
                    if part_pin[p] >= 0:
                        can[p, j] = part_pin[p] == j
                    else:
                        can[p, j] = free[j, part_line[p]] >= part_units[p]

            # Groups: parts that exactly the same nodes can serve.
            group = np.empty(parts, np.int32)
            groups = 0
            if parts <= LINES_EXACT:
                for p in range(parts):
                    group[p] = p
                groups = parts
            else:
                r_method[o] = METHOD_GROUPED
                head = np.empty(parts, np.int32)
                for p in range(parts):
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

            chosen = np.full(parts, -1, np.int32)
            if groups <= LINES_EXACT:
                size = 1 << groups
                g_lines = np.zeros(size, np.int64)
                g_units = np.zeros(size, np.int64)
                g_weight = np.zeros(size, np.int64)
                g_volume = np.zeros(size, np.int64)
                for p in range(parts):
                    b = 1 << group[p]
                    d = first + part_line[p]
                    g_lines[b] += 1
                    g_units[b] += part_units[p]
                    g_weight[b] += part_units[p] * d_weight[d]
                    g_volume[b] += part_units[p] * d_volume[d]
                for t in range(1, size):
                    low = t & -t
                    if t != low:
                        rest = t ^ low
                        g_lines[t] = g_lines[low] + g_lines[rest]
                        g_units[t] = g_units[low] + g_units[rest]
                        g_weight[t] = g_weight[low] + g_weight[rest]
                        g_volume[t] = g_volume[low] + g_volume[rest]
                costs = np.full((count, size), _BIG)
                reach = np.zeros(count, np.bool_)
                for j in range(count):
                    k = nodes[j]
                    mask = 0
                    for p in range(parts):
                        if can[p, j]:
                            mask |= 1 << group[p]
                    slot = _first_slot(left, slot_cutoff, k, 1, 1)
                    if slot < 0 or mask == 0 or (o_max[o] == 1 and mask != size - 1):
                        continue
                    if method != 2:
                        _prepare(
                            k,
                            slot,
                            km[j],
                            o_zone[o],
                            method,
                            o_service[o],
                            now,
                            weights,
                            n_cutoff_min,
                            slot_cutoff,
                            s_km,
                            s_bands,
                            s_p50,
                            s_p95,
                            s_sigma,
                            s_mean,
                            s_cutoff_min,
                            s_methods,
                            s_code,
                            s_by_zone,
                            zone_bands,
                            band,
                            late,
                            departs,
                            deliver,
                        )
                    prepared[0] = slot
                    handling = n_handling[k] + weights[OBJ_SPLIT]
                    per_gram = weights[OBJ_CO2_KG] * 0.001
                    t = mask
                    while t:
                        if o_max[o] == 1 and t != size - 1:
                            break
                        if (
                            method == 2
                            or left[k, slot, 1] < g_lines[t]
                            or left[k, slot, 2] < g_units[t]
                        ):
                            # Another day than the one prepared.
                            costs[j, t] = _price_lines(
                                k,
                                g_lines[t],
                                g_units[t],
                                g_weight[t],
                                g_volume[t],
                                km[j],
                                o_zone[o],
                                method,
                                o_service[o],
                                now,
                                weights,
                                n_handling,
                                n_co2,
                                n_cutoff_min,
                                slot_cutoff,
                                left,
                                s_km,
                                s_bands,
                                s_weight,
                                s_steps,
                                s_rate,
                                s_p50,
                                s_p95,
                                s_sigma,
                                s_mean,
                                s_cutoff_min,
                                s_methods,
                                s_code,
                                s_co2,
                                s_divisor,
                                s_by_zone,
                                zone_bands,
                                other_band,
                                other_late,
                                departs,
                                deliver,
                                prepared,
                                out,
                            )
                            prepared[0] = -1
                        else:
                            # The arithmetic of _price, written out: a call with thirty arrays costs more than it.
                            best = _BIG
                            for s in range(services):
                                b = band[s]
                                if b < 0:
                                    continue
                                billable = g_weight[t]
                                if s_divisor[s] > 0:
                                    billable = max(billable, int(g_volume[t] / s_divisor[s]))
                                price = late[s] + per_gram * (
                                    n_co2[k] + s_co2[s] * km[j] * g_weight[t] * 1e-6
                                )
                                price += _parcels_minor(billable, s, b, s_rate, s_weight, s_steps)
                                best = min(best, price)
                            if best < _BIG:
                                costs[j, t] = best + handling
                        if costs[j, t] < _BIG:
                            reach[j] = True
                        t = (t - 1) & mask
                choice = np.full(groups, -1, np.int32)
                cost = _solve_subsets(groups, costs, reach, o_max[o], choice)
                if cost >= _BIG:
                    continue
                for p in range(parts):
                    chosen[p] = choice[group[p]]
            else:
                r_method[o] = METHOD_SEARCH
                cost = _search(
                    parts,
                    count,
                    can,
                    part_line,
                    part_units,
                    first,
                    d_weight,
                    d_volume,
                    nodes,
                    km,
                    o_zone[o],
                    method,
                    o_service[o],
                    o_max[o],
                    now,
                    weights,
                    n_handling,
                    n_co2,
                    n_cutoff_min,
                    slot_cutoff,
                    left,
                    s_km,
                    s_bands,
                    s_weight,
                    s_steps,
                    s_rate,
                    s_p50,
                    s_p95,
                    s_sigma,
                    s_mean,
                    s_cutoff_min,
                    s_methods,
                    s_code,
                    s_co2,
                    s_divisor,
                    s_by_zone,
                    zone_bands,
                    band,
                    late,
                    departs,
                    deliver,
                    prepared,
                    out,
                    chosen,
                )
                if cost >= _BIG:
                    continue

            # Write the fulfilments, nodes in the order of their first line.
            number = np.zeros(count, np.int32)
            made = 0
            total = 0.0
            for p in range(parts):
                j = chosen[p]
                if number[j]:
                    continue
                made += 1
                number[j] = made
                lines = 0
                units = 0
                weight = 0
                volume = 0
                for q in range(parts):
                    if chosen[q] == j:
                        d = first + part_line[q]
                        lines += 1
                        units += part_units[q]
                        weight += part_units[q] * d_weight[d]
                        volume += part_units[q] * d_volume[d]
                prepared[0] = -1
                total += _price_lines(
                    nodes[j],
                    lines,
                    units,
                    weight,
                    volume,
                    km[j],
                    o_zone[o],
                    method,
                    o_service[o],
                    now,
                    weights,
                    n_handling,
                    n_co2,
                    n_cutoff_min,
                    slot_cutoff,
                    left,
                    s_km,
                    s_bands,
                    s_weight,
                    s_steps,
                    s_rate,
                    s_p50,
                    s_p95,
                    s_sigma,
                    s_mean,
                    s_cutoff_min,
                    s_methods,
                    s_code,
                    s_co2,
                    s_divisor,
                    s_by_zone,
                    zone_bands,
                    band,
                    late,
                    departs,
                    deliver,
                    prepared,
                    out,
                )
                f = fulfilments + made - 1
                service = int(out[0])
                f_node[f] = nodes[j]
                f_service[f] = service
                f_slot[f] = prepared[0]
                if service < 0:
                    f_departs[f] = slot_cutoff[nodes[j], prepared[0]]
                    f_deliver[f] = f_departs[f]
                else:
                    f_departs[f] = departs[service]
                    f_deliver[f] = deliver[service]
                f_lines[f] = lines
                f_units[f] = units
                for term in range(5):
                    f_terms[f, term] = out[1 + term]
                f_grams[f] = out[6]
            # The first fulfilment is no split.
            f_terms[fulfilments, 2] = 0.0
            total -= weights[OBJ_SPLIT]
            for p in range(parts):
                j = chosen[p]
                p_demand[picks] = first + part_line[p]
                p_node[picks] = nodes[j]
                p_units[picks] = part_units[p]
                p_number[picks] = number[j]
                picks += 1
                if consume:
                    pending[d_item[first + part_line[p]], nodes[j]] += part_units[p]
            if consume:
                for f in range(fulfilments, fulfilments + made):
                    k = f_node[f]
                    d = f_slot[f]
                    if left[k, d, 0] != NO_LIMIT:
                        left[k, d, 0] -= 1
                    if left[k, d, 1] != NO_LIMIT:
                        left[k, d, 1] -= f_lines[f]
                    if left[k, d, 2] != NO_LIMIT:
                        left[k, d, 2] -= f_units[f]
            fulfilments += made
            r_count[o] = made
            r_cost[o] = total
            break
    r_pick[orders] = picks
    r_fulfilment[orders] = fulfilments
    record_offsets[orders] = words
    return 0


@njit(cache=True, nogil=True)
def _search(
    parts,
    count,
    can,
    part_line,
    part_units,
    first,
    d_weight,
    d_volume,
    nodes,
    km,
    zone,
    method,
    service,
    fulfilments_max,
    now,
    weights,
    n_handling,
    n_co2,
    n_cutoff_min,
    slot_cutoff,
    left,
    s_km,
    s_bands,
    s_weight,
    s_steps,
    s_rate,
    s_p50,
    s_p95,
    s_sigma,
    s_mean,
    s_cutoff_min,
    s_methods,
    s_code,
    s_co2,
    s_divisor,
    s_by_zone,
    zone_bands,
    band,
    late,
    departs,
    deliver,
    prepared,
    out,
    chosen,
):
    """Large orders: every ordered choice of up to three of the SEARCH_NODES nodes that cover most parts (cheapest
    first among equals); each takes all it can, further nodes are added greedily up to fulfilments_max."""
    cover = np.zeros(count, np.int64)
    for j in range(count):
        for p in range(parts):
            if can[p, j]:
                cover[j] += 1
    ranked = np.empty(min(SEARCH_NODES, count), np.int32)
    used = np.zeros(count, np.bool_)
    for r in range(ranked.shape[0]):
        at = -1
        for j in range(count):
            if not used[j] and (
                at < 0 or cover[j] > cover[at] or (cover[j] == cover[at] and km[j] < km[at])
            ):
                at = j
        ranked[r] = at
        used[at] = True
    best = _BIG
    trial = np.empty(parts, np.int32)
    top = ranked.shape[0]
    depth = min(3, fulfilments_max)
    for a in range(top):
        for b in range(-1, top):
            for c in range(-1, top):
                if (b < 0 and c >= 0) or b == a or (c >= 0 and (c == a or c == b)):
                    continue
                if (b >= 0 and depth < 2) or (c >= 0 and depth < 3):
                    continue
                left_over = 0
                for p in range(parts):
                    trial[p] = -1
                    if can[p, ranked[a]]:
                        trial[p] = ranked[a]
                    elif b >= 0 and can[p, ranked[b]]:
                        trial[p] = ranked[b]
                    elif c >= 0 and can[p, ranked[c]]:
                        trial[p] = ranked[c]
                    else:
                        left_over += 1
                nodes_used = 1 + (b >= 0) + (c >= 0)
                if left_over and (c >= 0 or nodes_used == depth):
                    while left_over and nodes_used < fulfilments_max:
                        most = 0
                        at = -1
                        for j in range(count):
                            gain = 0
                            for p in range(parts):
                                if trial[p] < 0 and can[p, j]:
                                    gain += 1
                            if gain > most:
                                most = gain
                                at = j
                        if at < 0:
                            break
                        for p in range(parts):
                            if trial[p] < 0 and can[p, at]:
                                trial[p] = at
                                left_over -= 1
                        nodes_used += 1
                if left_over:
                    continue
                total = 0.0
                for j in range(count):
                    lines = 0
                    units = 0
                    weight = 0
                    volume = 0
                    for p in range(parts):
                        if trial[p] == j:
                            d = first + part_line[p]
                            lines += 1
                            units += part_units[p]
                            weight += part_units[p] * d_weight[d]
                            volume += part_units[p] * d_volume[d]
                    if lines:
                        prepared[0] = -1
                        total += _price_lines(
                            nodes[j],
                            lines,
                            units,
                            weight,
                            volume,
                            km[j],
                            zone,
                            method,
                            service,
                            now,
                            weights,
                            n_handling,
                            n_co2,
                            n_cutoff_min,
                            slot_cutoff,
                            left,
                            s_km,
                            s_bands,
                            s_weight,
                            s_steps,
                            s_rate,
                            s_p50,
                            s_p95,
                            s_sigma,
                            s_mean,
                            s_cutoff_min,
                            s_methods,
                            s_code,
                            s_co2,
                            s_divisor,
                            s_by_zone,
                            zone_bands,
                            band,
                            late,
                            departs,
                            deliver,
                            prepared,
                            out,
                        )
                        if total >= best:
                            break
                if total < best:
                    best = total
                    for p in range(parts):
                        chosen[p] = trial[p]
    return best
