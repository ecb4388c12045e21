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
    half_chord = 0.5 * math.sqrt(a * a + b * b + c * c)
    return 2.0 * EARTH_KM * math.asin(min(1.0, half_chord))


@bare
def parcels_left(parcels, lanes, lane_of, slot_day, k, s, slot, column):
    """Parcels that service `s` still takes from node `k` on a ship day: the limits of the node and of the lane, whose
    column of transit times it is. Where there are limits."""
    left = int(parcels[k, s, slot])
    if lanes.shape[0]:
        lane = lane_of[s, column]
        if lane >= 0:
            left = min(left, int(lanes[lane, slot_day[k, slot] & LANE_DAY]))
    return left


@bare
def reach(world, c, rows_from, rows_to, wish, lines, units):
    """Find the services of candidates rows_from:rows_to and their first ship days with room for so much; `c.ready` says
    where there are. Those whose `ready` is False are left out."""
    # One call for all candidates: what is handed over is copied, and that is much.
    nodes, services = world.nodes, world.services
    node, since, slot, ready, km, band, column = c.node, c.since, c.slot, c.ready, c.km, c.band, c.column
    slot_cutoff, left, parcels = nodes.slot_cutoff, nodes.left, nodes.parcels
    lanes, lane_of, slot_day = nodes.lanes, nodes.lane_of, nodes.slot_day
    methods, code, by_zone, bands = services.methods, services.code, services.by_zone, services.bands
    band_km, zone_bands, transit, zone = services.band_km, services.zone_bands, services.transit, wish.zone
    method, only, allowed, days_max = wish.method, wish.service, wish.allowed, wish.days
    mean, node_cutoff_min, cutoff_min = services.mean, nodes.cutoff_min, services.cutoff_min
    collected = method == PICKUP
    limited = parcels.shape[0] > 0 and not collected
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
            room = not limited
            if limited:
                for s in range(band.shape[1]):
                    if band[row, s] >= 0:
                        room |= parcels_left(parcels, lanes, lane_of, slot_day, k, s, d, int(column[row, s])) >= 1
            if room:
                slot[row] = d
                ready[row] = True
                break
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
def most_by_parcels(world, c, j, wish, d, most):
    """Most units of line `d`, `most` or fewer, that the carriers of candidate `j` take on some day. Where there are
    limits of parcels; more units never need fewer."""
    if wish.method == PICKUP or _carries(world, c, j, wish, d, most):
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
            if full < parcels_left(
                nodes.parcels, nodes.lanes, nodes.lane_of, nodes.slot_day, k, s, slot, int(column[j, s])
            ):
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
    opportunity.add(costs, c, rows_from, rows_to, wish, orders, prices)
    rejection_risk.add(costs, c, rows_from, rows_to, wish, orders, prices)
    if world.duties.rate.shape[0]:
        tax_duty.add(costs, c, rows_from, rows_to, wish, nodes, orders, world.duties)
    custom = world.custom
    for x in range(custom.fulfilment.shape[0]):
        for j in range(rows_from, rows_to):
            k = int(c.node[j])
            costs.fixed[j] += custom.fulfilment[x, order, k]
            for d in range(wish.lines):
                costs.unit[j, d] += custom.unit[x, wish.first + d, k]


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
    left, parcels = nodes.left, nodes.parcels
    limited = parcels.shape[0] > 0
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
                if limited and full >= parcels_left(
                    parcels, nodes.lanes, nodes.lane_of, nodes.slot_day, k, s, slot, int(c.column[row, s])
                ):
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
    nodes, services, orders, prices = world.nodes, world.services, world.orders, world.prices
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
    opportunity.add(costs, c, row, row + 1, wish, orders, prices)
    terms[OPPORTUNITY] = _taken(costs, row, wish, units, service, full, weight)
    rejection_risk.add(costs, c, row, row + 1, wish, orders, prices)
    terms[REJECTION_RISK] = _taken(costs, row, wish, units, service, full, weight)
    terms[TAX_DUTY] = duty
    if service >= 0:
        shipping.add(costs, c, row, row + 1, wish, services)
        terms[SHIPPING] = shipping.minor(services, service, c.band[row, service], full, step)
        terms[SHIPPING] += _taken(costs, row, wish, units, service, full, weight)
    custom = world.custom
    for x in range(custom.fulfilment.shape[0]):
        k = int(c.node[row])
        minor = custom.fulfilment[x, order, k]
        for d in range(wish.lines):
            minor += units[d] * custom.unit[x, wish.first + d, k]
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
