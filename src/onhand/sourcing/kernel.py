# pyright: basic
"""The compiled decision: which node ships which units of an order, by which service, on which day.

One call decides a batch of orders in turn against the same snapshot, taking the units and the capacity that each
decision uses. For one order the plan of least cost is found exactly:

- what a fulfilment costs is the sum of the terms in `sourcing/terms`, for the cheapest service (pricing.py);
- the lines are divided among nodes by dynamic programming over subsets (subsets.py), units left unserved included where
  the attempt allows it;
- a line that no node can send in full is divided (divide.py), and any line where that costs less (sharers.py);
- more than LINES_EXACT different lines: lines that the same nodes can serve move together (groups); still too many:
  ordered choices of up to three nodes, each taking all it can (search.py). `METHOD_*` says which it was.

An order has attempts, one after the other: the first that has a plan wins. Units in safety stock are used only by
attempts that say so, which come last, and only where `Orders.dip` allows.

Fulfilments are priced apart from each other. Where two of one order go along the same lane, and the carrier takes only
the parcels of one, the later goes another way or day, which need not be the cheapest plan; no limit is exceeded.
Without Numba the same code runs interpreted: right, and slow. (`int` keeps NumPy's scalars from wrapping around there.)
"""

import math

import numpy as np

from onhand.base.compiled import bare, compiled, inner
from onhand.sourcing.divide import (
    GAIN_MIN,
    all_ready,
    ask_for_loads,
    divide,
    divide_exactly,
    is_little_work,
    states,
)
from onhand.sourcing.pricing import (
    best_way,
    cut_by_parcels,
    distance_km,
    itemise,
    most_units,
    paid_custom,
    parcels_left,
    price,
    reach,
    rule_out,
)
from onhand.sourcing.search import gather, search
from onhand.sourcing.sharers import SHARERS_MAX, narrow, who_may_share
from onhand.sourcing.subsets import solve_subsets
from onhand.sourcing.tables import (
    ARRIVALS_MAX,
    BASE,
    BIG,
    DAY,
    DIVIDE_CHEAPER,
    DIVIDE_NOT,
    HAS_BASE,
    HAS_DUAL,
    HAS_RISK,
    HAS_ROOM,
    HAS_SAFETY,
    HAS_VALUE,
    LANE_DAY,
    LAYERS_MAX,
    LINES_EXACT,
    METHOD_DIVIDED,
    METHOD_EXACT,
    METHOD_GROUPED,
    METHOD_SEARCH,
    METHOD_SHARED,
    NO_LIMIT,
    OBJ_CAPACITY_BASE,
    OBJ_CAPACITY_DUAL,
    OBJ_CAPACITY_FROM,
    OBJ_OPPORTUNITY,
    OBJ_PROMISE_Z,
    OBJ_REFUSE_ORDER,
    OBJ_REFUSE_UNIT,
    OBJ_REJECTION,
    OBJ_SPLIT,
    OBJ_STEP,
    PICKUP,
    SEARCH_NODES,
    SPLIT,
    STATES_MAX,
    WHY_NO_PLAN,
    WHY_NONE,
    WHY_PROFIT,
    Answers,
    Candidates,
    Costs,
    Parts,
    Scratch,
    Wish,
    World,
)
from onhand.sourcing.terms import (
    handling,
    lateness,
    margin_floor,
    opportunity,
    rejection_risk,
    shipping,
)
from onhand.sourcing.terms.carbon import grams as carbon_grams

RECORD_CUT = 32_000


@compiled
def source_batch(world: World, consume: bool, answers: Answers) -> int:
    """Decide all orders of `world` in turn; with `consume` each takes its units (stock.pending), capacity (nodes.left,
    nodes.parcels, nodes.lanes) and moves the network prices.

    Returns the number of orders that did not fit into the answers (then call again with longer ones); 0 normally.
    """
    nodes, orders = world.nodes, world.orders
    total_orders = orders.first.shape[0] - 1
    services_count = world.services.bands.shape[0]

    # Scratch for the largest order.
    rows_max = 1
    for n in range(nodes.candidate_offsets.shape[0] - 1):
        rows_max = max(rows_max, int(nodes.candidate_offsets[n + 1]) - int(nodes.candidate_offsets[n]))
    demand_max = 1
    parts_max = 1
    arrivals_max = 0
    supply_first = world.supply.first
    layers = 1
    states_max = 1
    for o in range(total_orders):
        count = 1
        for d in range(orders.first[o], orders.first[o + 1]):
            count = min(STATES_MAX, count * (min(STATES_MAX, int(orders.units[d])) + 1))
        states_max = max(states_max, count)
        demand = int(orders.first[o + 1]) - int(orders.first[o])
        demand_max = max(demand_max, demand)
        if supply_first.shape[0]:
            arrivals = 0
            for d in range(orders.first[o], orders.first[o + 1]):
                arrivals += int(supply_first[orders.item[d] + 1]) - int(supply_first[orders.item[d]])
            arrivals_max = max(arrivals_max, min(ARRIVALS_MAX, arrivals))
        for t in range(orders.attempt_first[o], orders.attempt_first[o + 1]):
            most = max(1, min(rows_max + ARRIVALS_MAX, int(orders.attempt_fulfilments[t])))
            parts_max = max(parts_max, demand * most)
            layers = max(layers, min(most, LAYERS_MAX))
    rows_max += arrivals_max
    rows = rows_max + 1
    i4 = np.int32
    c = Candidates(
        np.empty(rows, i4), np.empty(rows), np.empty((rows, demand_max), i4), np.empty(rows, i4), np.empty(rows, i4),
        np.empty(rows, np.bool_), np.empty(rows), np.empty((rows, demand_max), i4), np.empty((rows, demand_max), i4),
        np.empty((rows, demand_max), i4), np.empty((rows, services_count), i4), np.empty((rows, services_count), i4),
        np.empty((rows, demand_max), i4), np.empty((rows, demand_max), i4),
    )  # fmt: skip
    costs = Costs(
        np.empty(rows), np.empty((rows, demand_max)), np.empty((rows, demand_max)), np.empty((rows, services_count)),
        np.empty((rows, services_count)), np.empty((rows, services_count)), np.empty((rows, demand_max)),
        np.empty(rows), np.empty(rows), _late_table(world),
    )  # fmt: skip
    parts = Parts(
        np.empty(parts_max, i4), np.empty(parts_max, i4), np.empty(parts_max, i4),
        np.empty((parts_max, rows_max), np.bool_), np.empty(parts_max, i4),
    )  # fmt: skip
    subsets = 1 << min(LINES_EXACT, parts_max)
    states_max = max(states_max, subsets)
    room = Scratch(
        np.empty((rows_max, subsets)), np.empty(subsets), np.empty(subsets, i4),
        np.empty(max(subsets, parts_max + 1)), np.empty((LINES_EXACT + 1, subsets)),
        np.empty((LINES_EXACT + 1, subsets), i4), np.empty(LINES_EXACT, i4), np.empty((6, states_max)),
        np.empty((2, services_count, states_max), np.int64), np.empty((2, states_max)), np.empty(parts_max, i4),
        np.empty(demand_max, np.bool_), np.empty(rows_max, i4), np.empty(demand_max, np.int64),
        np.empty(rows_max, np.bool_), np.empty((rows_max, demand_max), i4),
        np.empty((rows, layers + 1, states_max)), np.empty((rows, layers + 1, states_max), i4),
        np.empty((states_max, demand_max), np.int64), np.empty((states_max, demand_max), np.int64),
        np.empty(states_max), np.empty(rows_max, np.int64), np.empty(rows_max), np.empty(SEARCH_NODES, i4),
        np.empty(parts_max, i4), np.empty(rows_max + 4, i4),
        _least_rates(world.services), np.empty(services_count, i4), np.empty(rows_max),
        np.empty((rows_max, states_max)),
        np.empty((services_count, world.services.weight_g.shape[1], demand_max), i4),
    )  # fmt: skip
    return _decide(world, consume, answers, c, costs, parts, room)


@inner
def _least_rates(services):
    """Of every rate, the least of its weight step and those above: float64[S, B, W]."""
    rate = services.rate_minor.copy()
    for s in range(rate.shape[0]):
        for b in range(rate.shape[1]):
            for n in range(services.steps[s] - 2, -1, -1):
                rate[s, b, n] = min(rate[s, b, n], rate[s, b, n + 1])
    return rate


@inner
def _late_table(world):
    """Room to remember lateness in, where a batch is large enough for that to pay."""
    objectives, nodes = world.objectives.shape[0], world.nodes.xyz.shape[0]
    services, columns = world.services.p50.shape
    if objectives * nodes * services * columns > 1_024 * (world.orders.first.shape[0] - 1):
        return np.empty((0, 0, 0, 0))
    return np.full((objectives, nodes, services, columns), np.nan)


@bare
def _decide(world, consume, answers, c, costs, parts, room):
    """`source_batch` with room to work in."""
    stock, prices, nodes, services, orders = world.stock, world.prices, world.nodes, world.services, world.orders
    a = answers
    total_orders = orders.first.shape[0] - 1
    slots = nodes.slot_cutoff.shape[1]
    # Arrays of a tuple are looked up each time they are read: once here, not in the loops.
    available, pending, safety = stock.available, stock.pending, stock.safety
    candidates, methods, xyz, slot_cutoff, left = (
        nodes.candidates, nodes.methods, nodes.xyz, nodes.slot_cutoff, nodes.left
    )  # fmt: skip
    supply = world.supply
    item, excluded_first, excluded_node = orders.item, orders.excluded_first, orders.excluded
    node, ready_at, supply_row, since, slot_of, ready, km, gross, kept, free, _, _, _, _ = c
    can, may_divide = parts.can, world.shadow.divide
    limited = nodes.parcels.shape[0] > 0  # carriers take so many parcels
    # Fulfilments of one order may go along the same lane: each is weighed after those before it. Not so where what is
    # shared has a price: a joint plan is bounded by what is cheapest for each, and chosen among plans that fit.
    together = nodes.lanes.shape[0] > 0 and (consume or world.shadow.unit.shape[0] == 0)
    record_room = 10 + 3 * slots + (5 * slots * services.bands.shape[0] if limited else 0)
    (
        table, w, who, refused, _, _, choice, loads, steps, sums, head, whole, number, units, reachable, share, _, _, _,
        _, _, _, _, _, _, used, _, _, _, _, _,
    ) = room  # fmt: skip
    scratch = node.shape[0] - 1  # the last row

    # Not as literals, for which functions would be compiled by themselves.
    zero, one = np.int64(0), np.int64(1)
    picks = zero
    fulfilments = zero
    words = zero
    for o in range(total_orders):
        # `int` throughout: every width of integer would be compiled by itself.
        first = int(orders.first[o])
        demand = int(orders.first[o + 1]) - first
        method = int(orders.method[o])
        wanted = orders.units[first : first + demand]
        load = units[:demand]
        a.pick_first[o] = picks
        a.fulfilment_first[o] = fulfilments
        a.record_first[o] = words
        a.count[o] = 0
        a.method[o] = METHOD_EXACT
        a.why[o] = WHY_NO_PLAN
        a.attempt[o] = 0
        a.cost[o] = 0.0
        a.profit[o] = 0.0
        cos_lat = math.cos(orders.latitude[o])
        x = cos_lat * math.cos(orders.longitude[o])
        y = cos_lat * math.sin(orders.longitude[o])
        z = math.sin(orders.latitude[o])
        order_units = 0
        for d in range(demand):
            order_units += int(wanted[d])

        for t in range(orders.attempt_first[o], orders.attempt_first[o + 1]):
            dip = orders.attempt_dip[t] != 0
            if dip and not orders.dip[o]:
                continue
            most = int(orders.attempt_fulfilments[t])
            weights = world.objectives[orders.attempt_objective[t]]
            farthest = orders.attempt_km[t]
            wish = Wish(
                world.now, first, demand, int(orders.zone[o]), int(orders.duty[o]), int(orders.residential[o]),
                method, int(orders.service[o]), weights, int(orders.attempt_objective[t]), orders.attempt_days[t],
                orders.allowed[orders.attempt_allowed[t]],
            )  # fmt: skip
            # In numbers of nodes of this list; what is known of every one of them fits the record.
            n0 = nodes.candidate_offsets[orders.attempt_list[t]]
            n1 = nodes.candidate_offsets[orders.attempt_list[t] + 1]
            arrivals = ARRIVALS_MAX if supply.first.shape[0] and orders.attempt_supply[t] else 0
            if (
                a.record_first[o] + 2 + (n1 - n0 + arrivals) * (demand * 5 + record_room) > a.record.shape[0]
                or picks + demand * max(1, min(n1 - n0 + arrivals, most)) > a.pick_node.shape[0]
            ):
                a.record_first[total_orders] = a.record_first[o]
                a.count[o] = 0
                return total_orders - o

            # Who holds anything of it.
            count = zero
            guarded = np.bool_(False)
            for n in range(n0, n1):
                k = int(candidates[n])
                if methods[k] & method == 0 or slot_cutoff[k, 0] == 0:
                    continue
                if method == PICKUP and orders.node[o] and k != orders.node[o]:
                    continue
                excluded = False
                for e in range(excluded_first[o], excluded_first[o + 1]):
                    excluded |= excluded_node[e] == k
                if excluded:
                    continue
                useful = False
                for d in range(demand):
                    i = item[first + d]
                    gross[count, d] = available[i, k] - pending[i, k]
                    kept[count, d] = safety[i, k]
                    supply_row[count, d] = -1
                    useful |= gross[count, d] > 0
                if not useful:
                    continue
                km[count] = distance_km(xyz, k, x, y, z)
                if km[count] > farthest:
                    continue
                node[count] = k
                ready_at[count] = 0.0
                since[count] = 0
                for d in range(demand):
                    guarded |= kept[count, d] != 0
                count += 1
            if arrivals:
                count = _arrivals(world, c, count, n0, n1, wish, farthest, o, x, y, z)
            if dip and not guarded:
                continue  # as without
            has_base = opportunity.see(c, count, wish, orders, prices)
            rejection_risk.see(c, count, wish, orders, prices)
            words = _record(world, c, count, wish, guarded, has_base, order_units, a.record, int(a.record_first[o]))
            if limited and method != PICKUP:
                words = _record_parcels(world, c, count, wish, wanted, order_units, a.record, int(words))

            # Which of them could send something, and what it costs.
            for d in range(demand):
                whole[d] = False
            for j in range(count):
                alone = True
                some = False
                for d in range(demand):
                    beyond = int(gross[j, d]) if dip else int(gross[j, d]) - int(kept[j, d])
                    free[j, d] = max(0, beyond)
                    some |= beyond > 0
                    alone &= beyond >= wanted[d]
                # One fulfilment: who cannot send everything need not be looked at.
                ready[j] = some and (alone or most > 1 or weights[OBJ_REFUSE_ORDER] < BIG)
            if world.custom.fulfilment.shape[0]:
                rule_out(world.custom, c, count, wish, o)
            reach(world, c, zero, count, wish, one, one)
            for j in range(count):
                if not ready[j]:
                    for d in range(demand):
                        free[j, d] = 0
                    continue
                top = left[node[j], slot_of[j], 2]
                if top != NO_LIMIT:
                    top = most_units(left, slot_cutoff, node[j], slot_of[j])
                    for d in range(demand):
                        free[j, d] = min(free[j, d], top)
                for d in range(demand):
                    whole[d] |= free[j, d] >= wanted[d]
            if limited and method != PICKUP:
                cut_by_parcels(world, c, count, wish, wanted, whole)
            short = False
            for d in range(demand):
                short |= not whole[d]
            refuse_order = weights[OBJ_REFUSE_ORDER]
            if short and most == 1 and refuse_order >= BIG:
                continue
            price(world, costs, c, zero, count, wish, o)

            part_count = zero
            cost = BIG
            solved = False
            a.method[o] = METHOD_EXACT
            refuse_unit = weights[OBJ_REFUSE_UNIT] if refuse_order < BIG else BIG
            divides = orders.attempt_divide[t] != DIVIDE_NOT
            further = most > 1 and not arrivals and np.bool_(
                orders.attempt_divide[t] == DIVIDE_CHEAPER or (divides and may_divide.shape[0] > 0 and may_divide[o])
            )  # fmt: skip
            if short and not divides and refuse_order >= BIG:
                continue
            if short and refuse_order < BIG and (not divides or _is_indivisible(c, count, wanted, whole)):
                for d in range(demand):
                    whole[d] = True
                short = False
            if further:  # whether there is a line to divide that need not be, and few enough of all
                size = 1
                further = False
                for d in range(demand):
                    further |= whole[d] and wanted[d] > 1
                    size = min(size * (int(wanted[d]) + 1), STATES_MAX + 1)
                further &= is_little_work(2, most, size)
            if short:
                among = all_ready(c, count, used)
                if among == 0:
                    continue
                for j in range(count):  # what lies there is divided once
                    if ready_at[j] > 0.0:
                        for d in range(demand):
                            if supply_row[j, d] < 0:
                                free[j, d] = 0
                if is_little_work(count, most, states(wanted, whole[:demand])):
                    a.method[o] = METHOD_DIVIDED
                    size = ask_for_loads(
                        world, costs, c, among, scratch, wish, o, wanted, whole[:demand], room
                    )  # fmt: skip
                    cost = divide_exactly(count, among, size, wanted, most, refuse_order, refuse_unit, room)
                    solved = True
                    if cost < BIG:
                        part_count = _divided(parts, count, demand, share)
                else:
                    a.method[o] = METHOD_SHARED
                    if not divide(c, count, wanted, whole[:demand], most, room):
                        solved = refuse_order >= BIG
                        for d in range(demand):  # no line is divided: some are left unserved
                            whole[d] = True
            if not solved:
                for d in range(demand):
                    if whole[d]:
                        parts.line[part_count] = d
                        parts.units[part_count] = wanted[d]
                        for j in range(count):
                            can[part_count, j] = free[j, d] >= wanted[d]
                        part_count += 1
                        continue
                    for j in range(count):
                        if share[j, d]:
                            parts.line[part_count] = d
                            parts.units[part_count] = share[j, d]
                            for other in range(count):
                                can[part_count, other] = other == j
                            part_count += 1
                groups = _group(parts, part_count, count, head)
                if groups < part_count:
                    a.method[o] = METHOD_GROUPED
                if groups <= LINES_EXACT:
                    size = 1 << groups
                    _subset_loads(world, wish, parts, part_count, groups, weights, loads, steps, refused)
                    _subset_costs(
                        world, costs, c, count, scratch, wish, o, parts, part_count, groups, most, loads, steps,
                        sums, table, w, who, reachable, load,
                    )  # fmt: skip
                    cost = solve_subsets(groups, count, most, room)
                    if cost < BIG:
                        for p in range(part_count):
                            parts.chosen[p] = choice[parts.group[p]]
                else:
                    a.method[o] = METHOD_SEARCH
                    for p in range(part_count):
                        refused[p] = weights[OBJ_REFUSE_UNIT] * parts.units[p]
                    refused[part_count] = refuse_order
                    cost = search(world, costs, c, count, scratch, wish, o, parts, part_count, most, room)
            if further:
                # The bound of a joint plan rests on exact answers.
                closely = count if may_divide.shape[0] else SHARERS_MAX
                by_subsets = a.method[o] == METHOD_EXACT and refuse_unit >= BIG and demand > 1
                among = who_may_share(
                    world, costs, c, count, wish, o, wanted, most, refuse_unit, cost, by_subsets, closely, parts,
                    part_count, room,
                )  # fmt: skip
                for d in range(demand):
                    whole[d] = wanted[d] == 1
                size = states(wanted, whole[:demand])
                if cost >= BIG and not is_little_work(among, most, size):
                    continue
                if among > 0:
                    size = ask_for_loads(
                        world, costs, c, among, scratch, wish, o, wanted, whole[:demand], room
                    )  # fmt: skip
                    if cost < BIG:
                        among = narrow(among, size, wanted, most, refuse_unit, cost, room)
                if among > 0 and is_little_work(among, most, size):
                    less = divide_exactly(count, among, size, wanted, most, refuse_order, refuse_unit, room)
                    if less < cost - GAIN_MIN:
                        cost = less
                        a.method[o] = METHOD_DIVIDED
                        part_count = _divided(parts, count, demand, share)
            if cost >= BIG:
                continue

            if refuse_order < BIG:
                nothing = refuse_order + weights[OBJ_REFUSE_UNIT] * order_units
                if nothing <= cost - weights[OBJ_SPLIT]:
                    a.cost[o] = nothing  # serving any of it costs more
                    continue

            # Write the fulfilments, nodes in the order of their first line.
            for j in range(count):
                number[j] = 0
            made = 0
            total = 0.0
            profit = 0.0
            worth = 0.0
            unserved = order_units
            stranded = False
            for p in range(part_count):
                j = int(parts.chosen[p])
                if j < 0:
                    continue
                row = first + parts.line[p]
                unserved -= parts.units[p]
                worth += parts.units[p] * orders.price[row]
                profit += parts.units[p] * (orders.price[row] - orders.cost[row])
                if number[j]:
                    continue
                f = fulfilments + made
                made += 1
                number[j] = made
                gather(parts, part_count, parts.chosen, j, load)
                if together:
                    for other in range(fulfilments, f):
                        _take_lane(nodes, a, other, one)
                way, at, service, full, step = best_way(world, costs, c, j, scratch, wish, load, o)
                if together:
                    for other in range(fulfilments, f):
                        _take_lane(nodes, a, other, -one)
                if way >= BIG:  # those before it took the lane's last parcels, and there is no other way
                    stranded = True
                    made -= 1
                    break
                k = int(c.node[j])
                slot = int(c.slot[at])
                lines = 0
                sent = 0
                for d in range(demand):
                    lines += load[d] > 0
                    sent += load[d]
                a.node[f] = k
                a.service[f] = service
                a.slot[f] = slot
                a.lines[f] = lines
                a.units[f] = sent
                a.parcels[f] = full + 1 if service >= 0 else 0
                a.lane[f] = -1
                if service >= 0 and c.column[at, service] >= services.bands[service]:
                    a.lane[f] = c.column[at, service]
                _, _, weight = _packed(world, wish, load)
                a.grams[f] = carbon_grams(nodes, services, k, service, c.km[j], weight)
                a.departs[f] = a.deliver[f] = nodes.slot_cutoff[k, slot]
                if service >= 0:
                    departs = lateness.departs(
                        nodes.slot_cutoff[k, slot], nodes.cutoff_min[k], services.cutoff_min[service]
                    )
                    a.departs[f] = departs
                    column = c.column[at, service]
                    days = services.p95[service, column]
                    if weights[OBJ_PROMISE_Z] != 0.0:
                        spread = services.sigma[service, column] * weights[OBJ_PROMISE_Z]
                        days = services.p50[service, column] * math.exp(spread)
                    a.deliver[f] = departs + days * DAY
                itemise(world, costs, c, at, wish, load, o, service, full, step, a.terms[f])
                if made == 1:
                    a.terms[f, SPLIT] = 0.0  # the first fulfilment is no split
                for term in range(a.terms.shape[1]):
                    total += a.terms[f, term]
                profit -= margin_floor.paid(a.terms[f])
                if world.custom.fulfilment.shape[0]:
                    profit -= paid_custom(world.custom, wish, a.terms[f])
            if made == 0 or stranded:
                continue
            a.attempt[o] = t - orders.attempt_first[o]
            a.profit[o] = profit
            if profit < margin_floor.floor(weights, worth):
                a.why[o] = WHY_PROFIT
                continue
            if unserved:
                total += refuse_order + weights[OBJ_REFUSE_UNIT] * unserved
            a.count[o] = made
            a.cost[o] = total
            a.why[o] = WHY_NONE
            for p in range(part_count):
                j = int(parts.chosen[p])
                if j < 0:
                    continue
                k = int(c.node[j])
                a.pick_demand[picks] = first + parts.line[p]
                a.pick_node[picks] = k
                a.pick_units[picks] = parts.units[p]
                a.pick_number[picks] = number[j]
                a.pick_supply[picks] = supply_row[j, parts.line[p]]
                picks += 1
                if consume:
                    i = int(orders.item[first + parts.line[p]])
                    if supply_row[j, parts.line[p]] >= 0:
                        supply.units[supply_row[j, parts.line[p]]] -= parts.units[p]
                    else:
                        stock.pending[i, k] += parts.units[p]
                        opportunity.after(prices, weights[OBJ_STEP], i, k, int(parts.units[p]))
            if consume:
                for f in range(fulfilments, fulfilments + made):
                    _take_capacity(nodes, a, f)
                    if limited:
                        _take_lane(nodes, a, f, one)
            fulfilments += made
            break
        if prices.moved.shape[0]:
            opportunity.learn(
                prices, orders, first, demand, int(a.pick_first[o]), picks, a.pick_demand, a.pick_node, a.pick_units,
                a.pick_supply,
            )  # fmt: skip
        elif consume and prices.unit.shape[0]:
            for d in range(demand):
                prices.clock[orders.item[first + d]] += wanted[d]
    a.pick_first[total_orders] = picks
    a.fulfilment_first[total_orders] = fulfilments
    a.record_first[total_orders] = words
    return 0


@bare
def _arrivals(world, c, count, n0, n1, wish, farthest, order, x, y, z):
    """Add a candidate for every node and moment at which units of the order arrive: it sends what has arrived by then,
    and what lies there. Returns how many candidates there are."""
    supply, nodes, orders, stock = world.supply, world.nodes, world.orders, world.stock
    shelf = count
    for d in range(wish.lines):
        i = orders.item[wish.first + d]
        for s in range(supply.first[i], supply.first[i + 1]):
            k = int(supply.node[s])
            if supply.units[s] <= 0 or nodes.methods[k] & wish.method == 0 or count - shelf == ARRIVALS_MAX:
                continue
            if wish.method == PICKUP and orders.node[order] and k != orders.node[order]:
                continue
            row = shelf
            while row < count and (c.node[row] != k or c.ready_at[row] != supply.ready[s]):
                row += 1
            if row < count:
                continue
            allowed = False
            for n in range(n0, n1):
                allowed |= nodes.candidates[n] == k
            for e in range(orders.excluded_first[order], orders.excluded_first[order + 1]):
                allowed &= orders.excluded[e] != k
            day = 0
            while day < nodes.slot_cutoff.shape[1] and 0 < nodes.slot_cutoff[k, day] < supply.ready[s]:
                day += 1
            c.km[row] = distance_km(nodes.xyz, k, x, y, z)
            if allowed and day < nodes.slot_cutoff.shape[1] and c.km[row] <= farthest:
                c.node[row] = k
                c.ready_at[row] = supply.ready[s]
                c.since[row] = day
                count += 1
    for row in range(shelf, count):
        k = int(c.node[row])
        for d in range(wish.lines):
            i = orders.item[wish.first + d]
            c.supply[row, d] = -1
            c.gross[row, d] = stock.available[i, k] - stock.pending[i, k]
            c.kept[row, d] = stock.safety[i, k]
            most = np.int64(0)
            for s in range(supply.first[i], supply.first[i + 1]):
                if supply.node[s] == k and supply.ready[s] <= c.ready_at[row] and supply.units[s] > most:
                    most = np.int64(supply.units[s])
                    c.supply[row, d] = s
                    c.gross[row, d] = most
                    c.kept[row, d] = 0
    return count


@bare
def _divided(parts, count, demand, share):
    """Take `share` int32[candidate, line] as the parts of the plan; returns how many."""
    part_count = np.int64(0)
    for d in range(demand):
        for j in range(count):
            if share[j, d]:
                parts.line[part_count] = d
                parts.units[part_count] = share[j, d]
                parts.chosen[part_count] = j
                part_count += 1
    return part_count


@bare
def _is_indivisible(c, count, wanted, whole):
    """Whether the lines that nobody can send in full cannot be sent in part either."""
    for d in range(wanted.shape[0]):
        if not whole[d] and wanted[d] > 1:
            for j in range(count):
                if c.free[j, d] > 0:
                    return False
    return True


@bare
def _take_capacity(nodes, a, f):
    """Hold the ship day of fulfilment `f`, and its parcels at the node."""
    k, slot, service = a.node[f], a.slot[f], a.service[f]
    if nodes.left[k, slot, 0] != NO_LIMIT:
        nodes.left[k, slot, 0] -= 1
    if nodes.left[k, slot, 1] != NO_LIMIT:
        nodes.left[k, slot, 1] -= a.lines[f]
    if nodes.left[k, slot, 2] != NO_LIMIT:
        nodes.left[k, slot, 2] -= a.units[f]
    if nodes.parcels.shape[0] and service >= 0 and nodes.parcels[k, service, slot] != NO_LIMIT:
        nodes.parcels[k, service, slot] -= a.parcels[f]


@bare
def _take_lane(nodes, a, f, times):
    """Take the parcels of fulfilment `f` from what its lane carries (times 1), or give them back (-1)."""
    if nodes.lanes.shape[0] and a.lane[f] >= 0:
        lane = nodes.lane_of[a.service[f], a.lane[f]]
        if lane >= 0:
            nodes.lanes[lane, nodes.slot_day[a.node[f], a.slot[f]] & LANE_DAY] -= times * a.parcels[f]


@bare
def _packed(world, wish, units):
    """(money, mm3, grams) of so many units of each line, packed."""
    weight = 0
    volume = 0.0
    for d in range(wish.lines):
        if units[d]:
            weight += units[d] * world.orders.weight_g[wish.first + d]
            volume += float(units[d]) * world.orders.volume_mm3[wish.first + d]
    money, weight, volume = handling.packed(world.cartons, weight, volume)
    return money, volume, weight


@bare
def _record(world, c, count, wish, guarded, has_base, order_units, record, words):
    """Write what was seen (see record.py), cut to what tells decisions apart so that it fits 16 bits; returns where it
    ends."""
    nodes, value, weights, item = world.nodes, world.prices.unit, wish.weights, world.orders.item
    node, ready_at, gross, kept, worth, risk, slot_cutoff, all_left = (
        c.node, c.ready_at, c.gross, c.kept, c.worth, c.risk, nodes.slot_cutoff, nodes.left
    )  # fmt: skip
    demand, first, weight = wish.lines, wish.first, weights[OBJ_OPPORTUNITY]
    has_value = weight != 0.0 and value.shape[0] > 0
    has_risk = weights[OBJ_REJECTION] != 0.0 and world.prices.rejection.shape[0] > 0
    has_room = weights[OBJ_CAPACITY_BASE] > 0.0
    duals = world.prices.capacity
    has_dual = weights[OBJ_CAPACITY_DUAL] > 0.0 and duals.shape[0] > 0
    units_cut = max(RECORD_CUT, order_units)
    # Where room has a price (terms/capacity_price.py), all that is left of it counts; a little more does no harm.
    limits, dear = nodes.limits, 1.0 - weights[OBJ_CAPACITY_FROM] + 1e-6
    room_cut = NO_LIMIT if has_room else units_cut
    record[words] = count
    record[words + 1] = (
        HAS_SAFETY * guarded
        + HAS_VALUE * has_value
        + HAS_BASE * has_base
        + HAS_RISK * has_risk
        + HAS_ROOM * has_room
        + HAS_DUAL * has_dual
    )
    words += 2
    for j in range(count):
        k = int(node[j])
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
            if has_value:
                record[words] = worth[j, d]
                words += 1
                if has_base:
                    base = weight * value[item[first + d], k, BASE]
                    record[words] = opportunity.whole(base) if ready_at[j] == 0.0 else 0
                    words += 1
            if has_risk:
                record[words] = risk[j, d]
                words += 1
        if has_dual:  # most nodes have room enough: a word of theirs
            some = False
            for n in range(duals.shape[1]):
                some |= duals[k, n] != 0.0
            record[words] = some
            words += 1
            if some:
                for n in range(duals.shape[1]):
                    record[words] = opportunity.whole(duals[k, n])
                    words += 1
        at = words
        words += 1
        for d in range(slot_cutoff.shape[1]):
            if slot_cutoff[k, d] == 0:
                break
            # A day with room for the whole order ends the list: no later day is looked at.
            ends = all_left[k, d, 0] >= 1 and all_left[k, d, 1] >= demand and all_left[k, d, 2] >= order_units
            if ends and not (
                has_room
                and (
                    all_left[k, d, 0] < dear * limits[k, 0]
                    or all_left[k, d, 1] < dear * limits[k, 1]
                    or all_left[k, d, 2] < dear * limits[k, 2]
                )
            ):
                break
            for n in range(3):
                left = all_left[k, d, n]
                record[words] = -1 if left == NO_LIMIT else min(max(left, 0), room_cut)
                words += 1
            if ends:
                break
        record[at] = (words - at - 1) // 3
    return words


@bare
def _record_parcels(world, c, count, wish, wanted, order_units, record, words):
    """Write behind what was seen of candidates which services could not take all of the order there: candidate, ship
    day, service, parcels left of the node and of the lane (-1: no limit); returns where it ends. The first day with
    room for all by all of them is the last that is looked at; all limits are written where room has a price."""
    nodes, services, orders = world.nodes, world.services, world.orders
    parcels, lanes, left, transit = nodes.parcels, nodes.lanes, nodes.left, services.transit
    is_priced = wish.weights[OBJ_CAPACITY_BASE] > 0.0
    most = NO_LIMIT if is_priced else RECORD_CUT
    weight = 0
    volume = 0.0
    for d in range(wish.lines):
        weight += int(wanted[d]) * int(orders.weight_g[wish.first + d])
        volume += float(wanted[d]) * orders.volume_mm3[wish.first + d]
    _, weight, volume = handling.packed(world.cartons, weight, volume)
    for j in range(count):
        k = int(c.node[j])
        for slot in range(nodes.slot_cutoff.shape[1]):
            if nodes.slot_cutoff[k, slot] == 0:
                break
            roomy = left[k, slot, 0] >= 1 and left[k, slot, 1] >= wish.lines and left[k, slot, 2] >= order_units
            for s in range(services.bands.shape[0]):
                of_node = int(parcels[k, s, slot])
                of_lane = NO_LIMIT
                if lanes.shape[0] and transit.shape[0] and transit[wish.zone, s, k] >= 0:
                    lane = nodes.lane_of[s, transit[wish.zone, s, k]]
                    if lane >= 0:
                        of_lane = int(lanes[lane, nodes.slot_day[k, slot] & LANE_DAY])
                if min(of_node, of_lane) == NO_LIMIT:
                    continue
                full, _ = shipping.parcels(services, s, weight, volume)
                enough = full < min(of_node, of_lane)
                roomy &= enough
                if not enough or is_priced:
                    record[words] = j
                    record[words + 1] = slot
                    record[words + 2] = s
                    record[words + 3] = -1 if of_node == NO_LIMIT else min(max(of_node, 0), most)
                    record[words + 4] = -1 if of_lane == NO_LIMIT else min(max(of_lane, 0), most)
                    words += 5
            if roomy:
                break
    return words


@bare
def _group(parts, part_count, count, head):
    """Number the groups of parts that move together: each part by itself, or, where there are too many, parts that
    exactly the same nodes can serve. Returns how many there are."""
    if part_count <= LINES_EXACT:
        for p in range(part_count):
            parts.group[p] = p
        return part_count
    groups = 0
    for p in range(part_count):
        parts.group[p] = -1
        for g in range(groups):
            same = True
            for j in range(count):
                if parts.can[p, j] != parts.can[head[g], j]:
                    same = False
                    break
            if same:
                parts.group[p] = g
                break
        if parts.group[p] < 0:
            head[groups] = p
            parts.group[p] = groups
            groups += 1
    return groups


_LINES, _UNITS, _WEIGHT, _VOLUME, _PACKING, _WORTH = range(6)


@bare
def _subset_loads(world, wish, parts, part_count, groups, weights, loads, steps, refused):
    """What every subset of groups holds, how many parcels that is by every service, and what refusing it costs."""
    orders, services = world.orders, world.services
    weight_g, volume_mm3, price_minor, group = orders.weight_g, orders.volume_mm3, orders.price, parts.group
    size = 1 << groups
    for n in range(6):
        for t in range(size):
            loads[n, t] = 0.0
    for p in range(part_count):
        t = 1 << group[p]
        row = wish.first + parts.line[p]
        loads[_LINES, t] += 1
        loads[_UNITS, t] += parts.units[p]
        loads[_WEIGHT, t] += float(parts.units[p]) * weight_g[row]
        loads[_VOLUME, t] += float(parts.units[p]) * volume_mm3[row]
        loads[_WORTH, t] += parts.units[p] * price_minor[row]
    for t in range(1, size):
        low = t & -t
        if t ^ low:
            for n in range(6):
                loads[n, t] = loads[n, low] + loads[n, t ^ low]
    refused[0] = 0.0
    for t in range(1, size):
        refused[t] = weights[OBJ_REFUSE_ORDER] + weights[OBJ_REFUSE_UNIT] * loads[_UNITS, t]
        if world.cartons.fit_mm3.shape[0]:
            packing, weight, volume = handling.packed(world.cartons, int(loads[_WEIGHT, t]), loads[_VOLUME, t])
            loads[_PACKING, t] = packing
            loads[_WEIGHT, t] = weight
            loads[_VOLUME, t] = volume
    if wish.method != PICKUP:
        for s in range(services.bands.shape[0]):
            for t in range(1, size):
                full, step = shipping.parcels(services, s, int(loads[_WEIGHT, t]), loads[_VOLUME, t])
                steps[0, s, t] = full
                steps[1, s, t] = step


@bare
def _subset_costs(
    world, costs, c, count, scratch, wish, order, parts, part_count, groups, most, loads, steps, sums, table, w, who,
    reachable, units,
):  # fmt: skip
    """What every candidate asks for every subset of groups that it can send: `table` [candidate, subset], and the least
    of each in `w` with its candidate in `who`."""
    nodes, services = world.nodes, world.services
    left, rate_minor, last_step = nodes.left, services.rate_minor, services.steps
    node, ready, slots, band = c.node, c.ready, c.slot, c.band
    fixed, line, unit, by_service, by_parcel, by_gram, duty, duty_from, duty_fee, _ = costs
    part_line, part_units, _, can, group = parts
    size = 1 << groups
    full_set = size - 1
    has_duty = world.duties.rate.shape[0] > 0
    limited = nodes.parcels.shape[0] > 0
    single = most == 1 and wish.weights[OBJ_REFUSE_ORDER] >= BIG  # only the whole order counts
    for t in range(size):
        w[t] = BIG
        who[t] = -1
    for j in range(count):
        reachable[j] = False
        if not ready[j]:
            continue
        mask = full_set
        for t in range(size):
            sums[0, t] = 0.0
            sums[1, t] = 0.0
        for p in range(part_count):
            bit = 1 << group[p]
            if not can[p, j]:
                mask &= ~bit
            d = part_line[p]
            sums[0, bit] += line[j, d] + part_units[p] * unit[j, d]
            if has_duty:
                sums[1, bit] += part_units[p] * duty[j, d]
        if mask == 0 or (single and mask != full_set):
            continue
        k = node[j]
        slot = slots[j]
        row = table[j]
        for t in range(1, size):
            row[t] = BIG
            low = t & -t
            if t ^ low:
                sums[0, t] = sums[0, low] + sums[0, t ^ low]
                sums[1, t] = sums[1, low] + sums[1, t ^ low]
        if wish.method == PICKUP:
            t = mask
            while t:
                row[t] = 0.0
                t = (t - 1) & mask
        else:
            for s in range(band.shape[1]):
                b = band[j, s]
                if b < 0:
                    continue
                rates = rate_minor[s, b]
                parcel = by_parcel[j, s]
                start = by_service[j, s] + parcel
                heaviest = rates[last_step[s] - 1] + parcel
                gram = by_gram[j, s]
                room = NO_LIMIT
                if limited:
                    room = parcels_left(nodes, int(k), s, int(slot), int(c.column[j, s]))
                t = mask
                while t:
                    cost = start + gram * loads[_WEIGHT, t] + steps[0, s, t] * heaviest + rates[steps[1, s, t]]
                    if cost < row[t] and steps[0, s, t] < room:
                        row[t] = cost
                    if single:
                        break
                    t = (t - 1) & mask
        t = mask
        while t:
            if row[t] >= BIG or left[k, slot, 1] < loads[_LINES, t] or left[k, slot, 2] < loads[_UNITS, t]:
                # Another day than the one prepared.
                for d in range(wish.lines):
                    units[d] = 0
                for p in range(part_count):
                    if t >> group[p] & 1:
                        units[part_line[p]] += part_units[p]
                row[t], _, _, _, _ = best_way(world, costs, c, j, scratch, wish, units, order)
            else:
                row[t] += fixed[j] + sums[0, t] + loads[_PACKING, t]
                if has_duty and loads[_WORTH, t] > duty_from[j]:
                    row[t] += duty_fee[j] + sums[1, t]
            if row[t] < BIG:
                reachable[j] = True
                if row[t] < w[t]:
                    w[t] = row[t]
                    who[t] = j
            if single:
                break
            t = (t - 1) & mask
