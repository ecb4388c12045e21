# pyright: basic
"""What a fulfilment costs: the terms of `sourcing/terms`, put together for candidates and for one of them alone."""

import math

from onhand.base.compiled import bare
from onhand.sourcing.tables import (
    BIG,
    CAPACITY_PRICE,
    CARBON,
    DAY,
    EARTH_KM,
    HANDLING,
    LANE_DAY,
    LATENESS,
    NO_LIMIT,
    OBJECTIVE_COLUMNS,
    OPPORTUNITY,
    PICKUP,
    REJECTION_RISK,
    SERVICE_PICKUP,
    SHIPPING,
    SPLIT,
    TAX_DUTY,
)
from onhand.sourcing.terms import (
    capacity_price,
    carbon,
    handling,
    lateness,
    opportunity,
    rejection_risk,
    shipping,
    split,
    tax_duty,
)


@bare
def distance_km(xyz, k, x, y, z):
    """Great-circle distance from node `k` to a point: both unit vectors from the centre of the Earth."""
    a = xyz[k, 0] - x
    b = xyz[k, 1] - y
    c = xyz[k, 2] - z
    quarter = 0.25 * (a * a + b * b + c * c)  # of the chord, squared
    x = math.sqrt(quarter)
    if quarter < 0.01:
        # Within 1,270 km, as most are: the series of the arcsine, right to the last bit or two, at a third of its time.
        tail = 0.017352764423076924 + quarter * 0.01396484375
        tail = 0.030381944444444444 + quarter * (0.022372159090909092 + quarter * tail)
        return (
            2.0
            * EARTH_KM
            * x
            * (1.0 + quarter * (1 / 6 + quarter * (0.075 + quarter * (0.044642857142857144 + quarter * tail))))
        )
    return 2.0 * EARTH_KM * math.asin(min(1.0, x))


@bare
def parcels_left(nodes, k, s, slot, column):
    """Parcels that service `s` still takes from node `k` on a ship day: the limits of the node and of the lane, whose
    column of transit times it is. Only where there are limits."""
    left = int(nodes.parcels[k, s, slot])
    if nodes.lanes.shape[0]:
        lane = nodes.lane_of[s, column]
        if lane >= 0:
            left = min(left, int(nodes.lanes[lane, nodes.slot_day[k, slot] & LANE_DAY]))
    return left


@bare
def _wait_for_parcels(nodes, c, row, lines, units):
    """Go on from the first ship day with room to the first on which a carrier takes a parcel, too; `c.ready` says
    whether there is one."""
    k = int(c.node[row])
    for d in range(int(c.slot[row]), nodes.slot_cutoff.shape[1]):
        if nodes.slot_cutoff[k, d] == 0:
            break
        if nodes.left[k, d, 0] < 1 or nodes.left[k, d, 1] < lines or nodes.left[k, d, 2] < units:
            continue
        for s in range(c.band.shape[1]):
            if c.band[row, s] >= 0 and parcels_left(nodes, k, s, d, int(c.column[row, s])) >= 1:
                c.slot[row] = d
                return
    c.ready[row] = False


@bare
def reach(world, c, rows_from, rows_to, wish, lines, units):
    """Find the services of candidates rows_from:rows_to and their first ship days with room for so much; `c.ready` says
    where there are. Those whose `ready` is False are left out."""
    # One call for all candidates: what is handed over is copied, and that is much.
    nodes, services = world.nodes, world.services
    node, since, slot, ready, km, band, column = c.node, c.since, c.slot, c.ready, c.km, c.band, c.column
    slot_cutoff, left = nodes.slot_cutoff, nodes.left
    methods, code, by_zone, bands = services.methods, services.code, services.by_zone, services.bands
    band_km, zone_bands, transit, zone = services.band_km, services.zone_bands, services.transit, wish.zone
    method, only, allowed, days_max = wish.method, wish.service, wish.allowed, wish.days
    mean, node_cutoff_min, cutoff_min = services.mean, nodes.cutoff_min, services.cutoff_min
    collected = method == PICKUP
    limited = nodes.parcels.shape[0] > 0 and not collected
    for row in range(rows_from, rows_to):
        if not ready[row]:
            continue
        ready[row] = False
        k = node[row]
        offered = collected
        if not collected:
            for s in range(bands.shape[0]):
                b = -1
                if allowed[s] and methods[s] & method and (only < 0 or code[s] == only):
                    if by_zone[s]:
                        b = zone_bands[zone, s, k]
                    else:
                        for edge in range(bands[s]):
                            if km[row] <= band_km[s, edge]:
                                b = edge
                                break
                band[row, s] = b
                if b >= 0:
                    offered = True
                    column[row, s] = b
                    if transit.shape[0] and transit[zone, s, k] >= 0:
                        column[row, s] = transit[zone, s, k]
        if not offered:
            continue
        for d in range(since[row], slot_cutoff.shape[1]):
            if slot_cutoff[k, d] == 0:
                break
            if left[k, d, 0] < 1 or left[k, d, 1] < lines or left[k, d, 2] < units:
                continue
            slot[row] = d
            ready[row] = True
            break
        if limited and ready[row]:
            _wait_for_parcels(nodes, c, row, lines, units)
        if not ready[row] or days_max >= BIG:
            continue
        # A later day is later still: who is too slow on the first one is out.
        cutoff = slot_cutoff[k, slot[row]]
        ready[row] = collected and (cutoff - wish.now) / DAY <= days_max
        if not collected:
            for s in range(band.shape[1]):
                if band[row, s] >= 0:
                    wait = (lateness.departs(cutoff, node_cutoff_min[k], cutoff_min[s]) - wish.now) / DAY
                    if wait + mean[s, column[row, s]] <= days_max:
                        ready[row] = True
                    else:
                        band[row, s] = -1


@bare
def most_units(left, slot_cutoff, k, slot):
    """Most units of one line that a node can send on one day; `slot` is its first day with room."""
    most = left[k, slot, 2]
    for d in range(slot + 1, slot_cutoff.shape[1]):
        if most == NO_LIMIT or slot_cutoff[k, d] == 0:
            break
        if left[k, d, 0] >= 1 and left[k, d, 1] >= 1:
            most = max(most, left[k, d, 2])
    return most


@bare
def cut_by_parcels(world, c, count, wish, wanted, whole):
    """Lower `c.free` of all candidates to what carriers take, where they take so many parcels; `whole`: lines that
    somebody can still send in full."""
    ready, free = c.ready, c.free
    for d in range(wish.lines):
        whole[d] = False
        for j in range(count):
            most = min(int(free[j, d]), int(wanted[d]))
            if ready[j] and most > 0:
                taken = _most_by_parcels(world, c, j, wish, d, most)
                if taken < most:
                    free[j, d] = taken
                whole[d] |= taken >= wanted[d]


@bare
def _most_by_parcels(world, c, j, wish, d, most):
    """Most units of line `d`, `most` or fewer, that the carriers of candidate `j` take on some day: more units never
    need fewer parcels."""
    if _carries(world, c, j, wish, d, most):
        return most
    few, many = 0, most
    while many - few > 1:
        middle = (few + many) // 2
        if _carries(world, c, j, wish, d, middle):
            few = middle
        else:
            many = middle
    return few


@bare
def _carries(world, c, j, wish, d, units):
    """Whether candidate `j` can send so many units of line `d` on some day."""
    nodes, services, row = world.nodes, world.services, wish.first + d
    left, slot_cutoff, band, column = nodes.left, nodes.slot_cutoff, c.band, c.column
    k = int(c.node[j])
    weight = units * world.orders.weight_g[row]
    volume = float(units) * world.orders.volume_mm3[row]
    _, weight, volume = handling.packed(world.cartons, weight, volume)
    for slot in range(int(c.slot[j]), slot_cutoff.shape[1]):
        cutoff = slot_cutoff[k, slot]
        if cutoff == 0:
            break
        if left[k, slot, 0] < 1 or left[k, slot, 1] < 1 or left[k, slot, 2] < units:
            continue
        for s in range(band.shape[1]):
            if band[j, s] < 0:
                continue
            if wish.days < BIG:
                wait = (lateness.departs(cutoff, nodes.cutoff_min[k], services.cutoff_min[s]) - wish.now) / DAY
                if wait + services.mean[s, column[j, s]] > wish.days:
                    continue
            full, _ = shipping.parcels(services, s, weight, volume)
            if full < parcels_left(nodes, k, s, slot, int(column[j, s])):
                return True
    return False


@bare
def clear(costs, rows_from, rows_to, lines):
    """Forget the costs of rows rows_from:rows_to."""
    fixed, line, unit, service, parcel, gram, _, _, _, _ = costs
    for j in range(rows_from, rows_to):
        fixed[j] = 0.0
        for d in range(lines):
            line[j, d] = 0.0
            unit[j, d] = 0.0
        for s in range(service.shape[1]):
            service[j, s] = 0.0
            parcel[j, s] = 0.0
            gram[j, s] = 0.0


@bare
def price(world, costs, c, rows_from, rows_to, wish, order):
    """All terms of rows rows_from:rows_to, on the day that `reach` found."""
    nodes, services, orders, prices = world.nodes, world.services, world.orders, world.prices
    clear(costs, rows_from, rows_to, wish.lines)
    handling.add(costs, c, rows_from, rows_to, wish, nodes)
    split.add(costs, c, rows_from, rows_to, wish)
    shipping.add(costs, c, rows_from, rows_to, wish, services)
    lateness.add(costs, c, rows_from, rows_to, wish, nodes, services)
    carbon.add(costs, c, rows_from, rows_to, wish, nodes, services)
    capacity_price.add(costs, c, rows_from, rows_to, wish, nodes, services, prices)
    opportunity.add(costs, c, rows_from, rows_to, wish, prices)
    rejection_risk.add(costs, c, rows_from, rows_to, wish, prices)
    if world.duties.rate.shape[0]:
        tax_duty.add(costs, c, rows_from, rows_to, wish, nodes, orders, world.duties)
    if world.custom.fulfilment.shape[0]:
        _add_custom(world.custom, costs, c, rows_from, rows_to, wish, order)
    if world.shadow.unit.shape[0]:
        _add_shadow(costs, c, rows_from, rows_to, wish, orders, world.shadow)
        if world.shadow.lane.shape[0] and wish.method != PICKUP:
            _add_lanes(costs, c, rows_from, rows_to, nodes, world.shadow)


@bare
def _add_shadow(costs, c, rows_from, rows_to, wish, orders, shadow):
    """Add the prices of what orders share, for rows rows_from:rows_to."""
    of_unit, of_node, of_parcel = shadow.unit, shadow.node, shadow.parcel
    node, ready_at, item = c.node, c.ready_at, orders.item
    fixed, line, unit, parcel = costs.fixed, costs.line, costs.unit, costs.parcel
    for j in range(rows_from, rows_to):
        k = int(node[j])
        fixed[j] += of_node[k, 0]
        for d in range(wish.lines):
            line[j, d] += of_node[k, 1]
            unit[j, d] += of_node[k, 2]
            if ready_at[j] == 0.0:  # supply that has not arrived is no unit of the shelf
                unit[j, d] += of_unit[item[wish.first + d], k]
        for s in range(of_parcel.shape[1]):
            parcel[j, s] += of_parcel[k, s]


@bare
def _add_lanes(costs, c, rows_from, rows_to, nodes, shadow):
    """Add the prices of what carriers take along lanes, for rows rows_from:rows_to and the day that each is for."""
    node, slot, band, column, ready, parcel = c.node, c.slot, c.band, c.column, c.ready, costs.parcel
    for j in range(rows_from, rows_to):
        if not ready[j]:
            continue
        day = nodes.slot_day[node[j], slot[j]] & LANE_DAY
        for s in range(band.shape[1]):
            if band[j, s] >= 0:
                lane = nodes.lane_of[s, column[j, s]]
                if lane >= 0:
                    parcel[j, s] += shadow.lane[lane, day]


@bare
def _add_custom(custom, costs, c, rows_from, rows_to, wish, order):
    """Terms of others: to `costs.fixed` and `costs.unit`."""
    node, fixed, unit, minor, minor_unit = c.node, costs.fixed, costs.unit, custom.fulfilment, custom.unit
    for x in range(minor.shape[0]):
        weight = wish.weights[OBJECTIVE_COLUMNS + x]
        if weight == 0.0:
            continue
        for j in range(rows_from, rows_to):
            fixed[j] += weight * minor[x, order, node[j]]
            if minor_unit.shape[0]:
                for d in range(wish.lines):
                    unit[j, d] += weight * minor_unit[x, wish.first + d, node[j]]


@bare
def rule_out(custom, c, count, wish, order):
    """Leave out the candidates, and of the others the lines, that a term of others forbids: its price is BIG."""
    node, ready, free, minor, minor_unit = c.node, c.ready, c.free, custom.fulfilment, custom.unit
    for x in range(minor.shape[0]):
        if wish.weights[OBJECTIVE_COLUMNS + x] == 0.0:
            continue
        for j in range(count):
            if minor[x, order, node[j]] >= BIG:
                ready[j] = False
            if minor_unit.shape[0]:
                for d in range(wish.lines):
                    if minor_unit[x, wish.first + d, node[j]] >= BIG:
                        free[j, d] = 0


@bare
def paid_custom(custom, wish, terms):
    """What is really paid for terms of others, of a fulfilment with these terms: whatever they weigh."""
    minor = 0.0
    others = custom.paid.shape[0]
    for x in range(others):
        weight = wish.weights[OBJECTIVE_COLUMNS + x]
        if custom.paid[x] and weight != 0.0:
            minor += terms[terms.shape[0] - others + x] / weight
    return minor


@bare
def duty_of(world, costs, row, wish, units, worth):
    """Duty and tax of so many units of each line, worth so much together, from candidate `row`."""
    if world.duties.rate.shape[0] == 0 or worth <= costs.duty_from[row]:
        return 0.0
    minor = costs.duty_fee[row]
    duty = costs.duty
    for d in range(wish.lines):
        minor += units[d] * duty[row, d]
    return minor


@bare
def loaded(world, wish, units):
    """(lines, units, packed grams, packed mm3, money of packing, worth) of so many units of each line."""
    orders = world.orders
    weight_g, volume_mm3, price_minor = orders.weight_g, orders.volume_mm3, orders.price
    lines = 0
    total = 0
    weight = 0
    volume = 0.0
    worth = 0.0
    for d in range(wish.lines):
        if units[d]:
            row = wish.first + d
            lines += 1
            total += units[d]
            weight += units[d] * weight_g[row]
            volume += float(units[d]) * volume_mm3[row]
            worth += units[d] * price_minor[row]
    packing, weight, volume = handling.packed(world.cartons, weight, volume)
    return lines, total, weight, volume, packing, worth


@bare
def best_way(world, costs, c, j, scratch, wish, units, order):
    """The cheapest way for candidate `j` to send `units` (int64[lines]) in one fulfilment, on its first day with room.

    Returns (cost, row, service, full parcels, weight step): `row` is where the costs of that day are, `j` or `scratch`;
    BIG when it cannot be.
    """
    nodes, services = world.nodes, world.services
    band = c.band
    left = nodes.left
    limited = nodes.parcels.shape[0] > 0
    fixed, line, unit, by_service, parcel, gram, _, _, _, _ = costs
    lines, total, weight, volume, packing, worth = loaded(world, wish, units)
    if not c.ready[j]:
        return BIG, j, -1, 0, 0
    k = int(c.node[j])
    row = j
    while True:
        slot = int(c.slot[row])
        if left[k, slot, 1] >= lines and left[k, slot, 2] >= total:
            linear = fixed[row] + packing + duty_of(world, costs, row, wish, units, worth)
            for d in range(wish.lines):
                if units[d]:
                    linear += line[row, d] + units[d] * unit[row, d]
            if wish.method == PICKUP:
                return linear, row, SERVICE_PICKUP, 0, 0
            best = BIG
            service = -1
            best_full = 0
            best_step = 0
            for s in range(band.shape[1]):
                b = int(band[row, s])
                if b < 0:
                    continue
                full, step = shipping.parcels(services, s, weight, volume)
                if limited and full >= parcels_left(nodes, k, s, slot, int(c.column[row, s])):
                    continue
                cost = (
                    by_service[row, s]
                    + gram[row, s] * weight
                    + (full + 1) * parcel[row, s]
                    + shipping.minor(services, s, b, full, step)
                )
                if cost < best:
                    best = cost
                    service = s
                    best_full = full
                    best_step = step
            if service >= 0:
                return linear + best, row, service, best_full, best_step
        # Neither the node nor any carrier has that much room on the day prepared: the next one that has.
        if row != scratch:
            c.node[scratch], c.ready_at[scratch], c.km[scratch] = k, c.ready_at[j], c.km[j]
            for d in range(wish.lines):
                c.worth[scratch, d], c.risk[scratch, d] = c.worth[j, d], c.risk[j, d]
            row = scratch
        c.since[row] = slot + 1
        c.ready[row] = True
        reach(world, c, row, row + 1, wish, lines, total)
        if not c.ready[row]:
            return BIG, row, -1, 0, 0
        price(world, costs, c, row, row + 1, wish, order)


@bare
def itemise(world, costs, c, row, wish, units, order, service, full, step, terms):
    """Fill `terms` with what each term adds for this way of sending `units`; overwrites the costs of `row`."""
    nodes, services, prices = world.nodes, world.services, world.prices
    _, _, weight, _, packing, worth = loaded(world, wish, units)
    duty = duty_of(world, costs, row, wish, units, worth)
    for n in range(terms.shape[0]):
        terms[n] = 0.0
    clear(costs, row, row + 1, wish.lines)
    handling.add(costs, c, row, row + 1, wish, nodes)
    terms[HANDLING] = packing + _taken(costs, row, wish, units, service, full, weight)
    split.add(costs, c, row, row + 1, wish)
    terms[SPLIT] = _taken(costs, row, wish, units, service, full, weight)
    lateness.add(costs, c, row, row + 1, wish, nodes, services)
    terms[LATENESS] = _taken(costs, row, wish, units, service, full, weight)
    carbon.add(costs, c, row, row + 1, wish, nodes, services)
    terms[CARBON] = _taken(costs, row, wish, units, service, full, weight)
    capacity_price.add(costs, c, row, row + 1, wish, nodes, services, prices)
    terms[CAPACITY_PRICE] = _taken(costs, row, wish, units, service, full, weight)
    opportunity.add(costs, c, row, row + 1, wish, prices)
    terms[OPPORTUNITY] = _taken(costs, row, wish, units, service, full, weight)
    rejection_risk.add(costs, c, row, row + 1, wish, prices)
    terms[REJECTION_RISK] = _taken(costs, row, wish, units, service, full, weight)
    terms[TAX_DUTY] = duty
    if service >= 0:
        shipping.add(costs, c, row, row + 1, wish, services)
        terms[SHIPPING] = shipping.minor(services, service, c.band[row, service], full, step)
        terms[SHIPPING] += _taken(costs, row, wish, units, service, full, weight)
    custom = world.custom
    for x in range(custom.fulfilment.shape[0]):
        weight = wish.weights[OBJECTIVE_COLUMNS + x]
        if weight == 0.0:
            continue
        k = int(c.node[row])
        minor = weight * custom.fulfilment[x, order, k]
        if custom.unit.shape[0]:
            for d in range(wish.lines):
                if units[d]:
                    minor += units[d] * (weight * custom.unit[x, wish.first + d, k])
        terms[terms.shape[0] - custom.fulfilment.shape[0] + x] = minor


@bare
def _taken(costs, row, wish, units, service, full, weight):
    """What has been added to `row` for this load, which is forgotten."""
    fixed, line, unit, by_service, parcel, gram, _, _, _, _ = costs
    minor = fixed[row]
    fixed[row] = 0.0
    for d in range(wish.lines):
        if units[d]:
            minor += line[row, d] + units[d] * unit[row, d]
        line[row, d] = 0.0
        unit[row, d] = 0.0
    if service >= 0:
        minor += by_service[row, service] + gram[row, service] * weight
        minor += (full + 1) * parcel[row, service]
        for s in range(by_service.shape[1]):
            by_service[row, s] = 0.0
            parcel[row, s] = 0.0
            gram[row, s] = 0.0
    return minor
