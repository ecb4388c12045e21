# pyright: basic
"""What a fulfilment costs: the terms of `sourcing/terms`, put together for candidates and for one of them alone."""

import math

from onhand.base.compiled import inner
from onhand.sourcing.tables import (
    BIG,
    CAPACITY_PRICE,
    CARBON,
    EARTH_KM,
    HANDLING,
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


@inner
def distance_km(xyz, k, x, y, z):
    """Great-circle distance from node `k` to a point: both unit vectors from the centre of the Earth."""
    a = xyz[k, 0] - x
    b = xyz[k, 1] - y
    c = xyz[k, 2] - z
    half_chord = 0.5 * math.sqrt(a * a + b * b + c * c)
    return 2.0 * EARTH_KM * math.asin(min(1.0, half_chord))


@inner
def reach(world, c, row, wish, lines, units):
    """Find the services of candidate `row` and its first ship day with room for so much; says whether there are."""
    nodes, services = world.nodes, world.services
    k = int(c.node[row])
    c.ready[row] = False
    limited = nodes.parcels.shape[0] > 0 and wish.method != PICKUP
    if wish.method != PICKUP:
        offered = False
        for s in range(c.band.shape[1]):
            b = -1
            if services.methods[s] & wish.method and (wish.service < 0 or services.code[s] == wish.service):
                if services.by_zone[s]:
                    b = services.zone_bands[wish.zone, s, k]
                else:
                    for edge in range(services.bands[s]):
                        if c.km[row] <= services.band_km[s, edge]:
                            b = edge
                            break
            c.band[row, s] = b
            if b >= 0:
                offered = True
                c.column[row, s] = b
                if services.transit.shape[0] and services.transit[wish.zone, s, k] >= 0:
                    c.column[row, s] = services.transit[wish.zone, s, k]
        if not offered:
            return False
    for d in range(c.since[row], nodes.slot_cutoff.shape[1]):
        if nodes.slot_cutoff[k, d] == 0:
            return False
        if nodes.left[k, d, 0] < 1 or nodes.left[k, d, 1] < lines or nodes.left[k, d, 2] < units:
            continue
        if limited:
            room = False
            for s in range(c.band.shape[1]):
                room |= c.band[row, s] >= 0 and nodes.parcels[k, s, d] >= 1
            if not room:
                continue
        c.slot[row] = d
        c.ready[row] = True
        return True
    return False


@inner
def most_units(nodes, k, slot):
    """Most units of one line that a node can send on one day; `slot` is its first day with room."""
    most = nodes.left[k, slot, 2]
    for d in range(slot + 1, nodes.slot_cutoff.shape[1]):
        if most == NO_LIMIT or nodes.slot_cutoff[k, d] == 0:
            break
        if nodes.left[k, d, 0] >= 1 and nodes.left[k, d, 1] >= 1:
            most = max(most, nodes.left[k, d, 2])
    return most


@inner
def clear(costs, rows_from, rows_to, lines):
    """Forget the costs of rows rows_from:rows_to."""
    for j in range(rows_from, rows_to):
        costs.fixed[j] = 0.0
        for d in range(lines):
            costs.line[j, d] = 0.0
            costs.unit[j, d] = 0.0
        for s in range(costs.service.shape[1]):
            costs.service[j, s] = 0.0
            costs.parcel[j, s] = 0.0
            costs.gram[j, s] = 0.0


@inner
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


@inner
def duty_of(world, costs, row, wish, units, worth):
    """Duty and tax of so many units of each line, worth so much together, from candidate `row`."""
    if world.duties.rate.shape[0] == 0 or worth <= costs.duty_from[row]:
        return 0.0
    minor = costs.duty_fee[row]
    for d in range(wish.lines):
        minor += units[d] * costs.duty[row, d]
    return minor


@inner
def loaded(world, wish, units):
    """(lines, units, packed grams, packed mm3, money of packing, worth) of so many units of each line."""
    orders = world.orders
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
            weight += units[d] * orders.weight_g[row]
            volume += float(units[d]) * orders.volume_mm3[row]
            worth += units[d] * orders.price[row]
    packing, weight, volume = handling.packed(world.cartons, weight, volume)
    return lines, total, weight, volume, packing, worth


@inner
def best_way(world, costs, c, j, scratch, wish, units, order):
    """The cheapest way for candidate `j` to send `units` (int64[lines]) in one fulfilment, on its first day with room.

    Returns (cost, row, service, full parcels, weight step): `row` is where the costs of that day are, `j` or `scratch`;
    BIG when it cannot be.
    """
    nodes, services = world.nodes, world.services
    lines, total, weight, volume, packing, worth = loaded(world, wish, units)
    if not c.ready[j]:
        return BIG, j, -1, 0, 0
    k = int(c.node[j])
    row = j
    slot = int(c.slot[j])
    while True:
        if nodes.left[k, slot, 1] < lines or nodes.left[k, slot, 2] < total:
            # Another day than the one prepared.
            if row != scratch:
                c.node[scratch], c.leg[scratch], c.km[scratch] = k, c.leg[j], c.km[j]
                row = scratch
            c.since[row] = slot + 1
            if not reach(world, c, row, wish, lines, total):
                return BIG, row, -1, 0, 0
            price(world, costs, c, row, row + 1, wish, order)
            slot = int(c.slot[row])
        linear = costs.fixed[row] + packing + duty_of(world, costs, row, wish, units, worth)
        for d in range(wish.lines):
            if units[d]:
                linear += costs.line[row, d] + units[d] * costs.unit[row, d]
        if wish.method == PICKUP:
            return linear, row, SERVICE_PICKUP, 0, 0
        best = BIG
        service = -1
        best_full = 0
        best_step = 0
        for s in range(c.band.shape[1]):
            b = int(c.band[row, s])
            if b < 0:
                continue
            full, step = shipping.parcels(services, s, weight, volume)
            if nodes.parcels.shape[0] and nodes.parcels[k, s, slot] < full + 1:
                continue
            cost = (
                costs.service[row, s]
                + costs.gram[row, s] * weight
                + (full + 1) * costs.parcel[row, s]
                + shipping.minor(services, s, b, full, step)
            )
            if cost < best:
                best = cost
                service = s
                best_full = full
                best_step = step
        if service >= 0:
            return linear + best, row, service, best_full, best_step
        # No carrier has so many parcels left on that day.
        if row != scratch:
            c.node[scratch], c.leg[scratch], c.km[scratch] = k, c.leg[j], c.km[j]
            row = scratch
        c.since[row] = slot + 1
        if not reach(world, c, row, wish, lines, total):
            return BIG, row, -1, 0, 0
        price(world, costs, c, row, row + 1, wish, order)
        slot = int(c.slot[row])


@inner
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


@inner
def _taken(costs, row, wish, units, service, full, weight):
    """What has been added to `row` for this load, which is forgotten."""
    minor = costs.fixed[row]
    costs.fixed[row] = 0.0
    for d in range(wish.lines):
        if units[d]:
            minor += costs.line[row, d] + units[d] * costs.unit[row, d]
        costs.line[row, d] = 0.0
        costs.unit[row, d] = 0.0
    if service >= 0:
        minor += costs.service[row, service] + costs.gram[row, service] * weight
        minor += (full + 1) * costs.parcel[row, service]
        for s in range(costs.service.shape[1]):
            costs.service[row, s] = 0.0
            costs.parcel[row, s] = 0.0
            costs.gram[row, s] = 0.0
    return minor
