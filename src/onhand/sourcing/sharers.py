# pyright: basic
"""Whether an order could be cheaper with a line divided that need not be, and which candidates could be part of that.

Few orders are, and to find the cheapest division is work; so a bound comes first. A plan that divides a line has two
fulfilments with a part of it at least, and none costs less than its cheapest parcel and the prices of what is in it, as
Lagrange's bound has it. Candidates that cannot be part of anything cheaper than the plan that is known are left out:
first by the least rates (`who_may_share`), then by what they ask for every load (`narrow`).
"""

from onhand.base.compiled import bare
from onhand.sourcing.divide import GAIN_MIN, all_ready
from onhand.sourcing.pricing import parcels_left
from onhand.sourcing.tables import (
    BIG,
    LAYERS_MAX,
    OBJ_CAPACITY_DUAL,
    OBJ_SPLIT,
    OBJECTIVE_COLUMNS,
    PICKUP,
)
from onhand.sourcing.terms import handling, shipping

SHARERS_MAX = 64  # candidates that are looked at closely; exact where no more can be part of a cheaper plan
_SEQUENCES_ALL = 5  # lines of which all sequences are looked at


@bare
def who_may_share(
    world, costs, c, count, wish, order, wanted, most, refuse_unit, known, by_subsets, closely, parts, part_count,
    room,
):  # fmt: skip
    """List in room.used the candidates that a plan that divides a line could use and cost less than `known`, the cost
    of the plan in `parts`; returns how many, 0 when there is no such plan.

    refuse_unit  cost of leaving a unit unserved (BIG: not allowed)
    by_subsets   room.dp[0] has what every subset of the lines costs
    closely      candidates that are looked at closely; of more, those that could save the most

    With any prices u_d of a unit of line d, a plan costs at least Σ_d u_d · wanted_d and, for each candidate j that it
    uses, G_j: the least that a fulfilment of j can cost beyond the prices of what is in it,

        G_j = min over services s and weight steps n of
              F_js + rate_jsn + Σ_d min(0, line_jd + (unit_jd + gram_js · weight_d - u_d) · x_dn),

    x_dn as much as j has of it and as the step holds of it alone; rates are the least of that step and heavier ones.
    As prices serve what the known plan pays for each line: then G_j is about 0 for those that it uses and positive for
    most others. A line that is divided needs two of them at least, each with some of it and not all.
    """
    price, least, sharing = room.value, room.weight, room.table
    whole, part = room.loads[3], room.loads[4]
    if known >= BIG:
        return all_ready(c, count, room.used)
    nodes, orders = world.nodes, world.orders
    ready, free, fixed, line, unit, gram = c.ready, c.free, costs.fixed, costs.line, costs.unit, costs.gram
    band, slots, node, by_service, parcel = c.band, c.slot, c.node, costs.service, costs.parcel
    weight_g, prices, left = orders.weight_g, orders.price, nodes.left
    duty, duty_from, duty_fee = costs.duty, costs.duty_from, costs.duty_fee
    has_duty = world.duties.rate.shape[0] > 0
    lines, first = wish.lines, wish.first
    worth = 0.0
    total = 0
    weight = 0
    volume = 0.0
    for d in range(lines):
        total += int(wanted[d])
        weight += int(wanted[d]) * int(weight_g[first + d])
        volume += float(wanted[d]) * orders.volume_mm3[first + d]
        worth += wanted[d] * prices[first + d]
    most = min(most, total)
    packing = _fill_fits(world, wish, wanted, room.fits, room.begins)
    for s in range((1 << lines) - 1 if by_subsets else 0):
        by_subsets &= room.dp[0, s] < BIG
    if by_subsets:
        base = _prices_by_lines(wanted, known, room.dp[0], price)
    else:
        base = _prices_of_plan(world, costs, c, wish, wanted, refuse_unit, known, parts, part_count, price)
    duals = world.prices.capacity
    dual = wish.weights[OBJ_CAPACITY_DUAL] if duals.shape[0] else 0.0
    by_carrier = wish.method != PICKUP
    services = band.shape[1] if by_carrier else 1
    last_step, rate, begins, fits = world.services.steps, room.rate, room.begins, room.fits
    spare = refuse_unit < BIG
    roomy, starts = room.reachable, room.starts
    # First as if every load went at the least rate of any service and free of duty: most candidates are out by that.
    for j in range(count):
        least[j] = BIG
        for d in range(lines):
            sharing[j, d] = BIG
        if not ready[j]:
            continue
        k = int(node[j])
        slot = int(slots[j])
        roomy[j] = left[k, slot, 1] >= lines and left[k, slot, 2] >= total
        if roomy[j] and by_carrier and nodes.parcels.shape[0] > 0:
            roomy[j] = _takes_all(world, c, j, weight, volume)
        starts[j] = packing + fixed[j]
        of_day = 0
        if not roomy[j]:
            # A part may go on another day, at other prices; what does not depend on the day is the least it costs.
            starts[j] = packing + nodes.handling[k] + wish.weights[OBJ_SPLIT]
            of_day = 4 if slot else 1
            custom = world.custom.fulfilment
            for x in range(custom.shape[0]):
                weigh = wish.weights[OBJECTIVE_COLUMNS + x]
                if weigh != 0.0:
                    starts[j] += weigh * custom[x, order, k]
        of_carrier = BIG
        per_gram = BIG
        if not by_carrier:
            of_carrier = 0.0
            per_gram = 0.0
        else:
            for s in range(services):
                b = int(band[j, s])
                if b >= 0:
                    of_service = by_service[j, s] + parcel[j, s] if roomy[j] else 0.0
                    of_carrier = min(of_carrier, of_service + rate[s, b, begins[s]])
                    per_gram = min(per_gram, gram[j, s])
            if of_carrier >= BIG:
                continue
        best = starts[j] + of_carrier
        for d in range(lines):
            units = min(int(free[j, d]), int(wanted[d]))
            if units > 0:
                of_line = line[j, d]
                beyond = unit[j, d] + per_gram * weight_g[first + d] - price[d]
                if dual > 0.0 and of_day:
                    of_line -= dual * duals[k, of_day]
                    beyond -= dual * duals[k, of_day + 1]
                one = of_line + beyond
                all_of_it = min(0.0, one, of_line + beyond * units)
                best += all_of_it
                if wanted[d] > 1:
                    sharing[j, d] = min(one, of_line + beyond * min(units, int(wanted[d]) - 1)) - all_of_it
        least[j] = best
        for d in range(lines):
            sharing[j, d] += best
    some = _who(count, lines, most, spare, base, known, room)
    gain = known / 256.0
    while some > closely and gain < known:  # those that could save the most
        gain *= 2.0
        some = _who(count, lines, most, spare, base, known - gain, room)
    for j in range(count if some else 0):
        least[j] = BIG
        for d in range(lines):
            sharing[j, d] = BIG
    for i in range(some):
        j = int(room.number[i])
        k = int(node[j])
        of_day = 0 if roomy[j] else 4 if slots[j] else 1
        best = BIG
        for s in range(services):
            begin = starts[j]
            b = 0
            steps = 1
            per_gram = 0.0
            if by_carrier:
                b = int(band[j, s])
                if b < 0:
                    continue
                if roomy[j]:
                    begin += by_service[j, s] + parcel[j, s]
                steps = int(last_step[s])
                per_gram = gram[j, s]
            # Goods so dear that duty is due on them together: either all of a load pays it, or it is worth little.
            is_dutiable = has_duty and worth > duty_from[j]
            more = True
            for way in range(steps * (2 if is_dutiable else 1)):
                n = way // 2 if is_dutiable else way
                pays = is_dutiable and way % 2 == 1
                if not pays:
                    if not more:
                        break
                    more = False
                here = begin
                if by_carrier:
                    here += rate[s, b, n]
                if pays:
                    here += duty_fee[j]
                holds = not by_carrier
                for d in range(lines):
                    units = min(int(free[j, d]), int(wanted[d]))
                    if by_carrier and units > fits[s, n, d]:
                        units = int(fits[s, n, d])
                        more = True
                    if is_dutiable and not pays and units * prices[first + d] > duty_from[j]:
                        units = int(duty_from[j] / prices[first + d])
                    whole[d] = 0.0
                    part[d] = BIG
                    if units > 0:
                        holds = True
                        of_line = line[j, d]
                        beyond = unit[j, d] + per_gram * weight_g[first + d] - price[d]
                        if pays:
                            beyond += duty[j, d]
                        if dual > 0.0 and of_day:
                            of_line -= dual * duals[k, of_day]
                            beyond -= dual * duals[k, of_day + 1]
                        one = of_line + beyond
                        whole[d] = min(0.0, one, of_line + beyond * units)
                        if wanted[d] > 1:
                            part[d] = min(one, of_line + beyond * min(units, int(wanted[d]) - 1))
                        here += whole[d]
                if holds:
                    best = min(best, here)
                    for d in range(lines):
                        if part[d] < BIG:
                            sharing[j, d] = min(sharing[j, d], here - whole[d] + part[d])
        if best >= BIG:
            continue
        least[j] = best
    among = _who(count, lines, most, spare, base, known, room) if some else 0
    for n in range(among):
        room.used[n] = room.number[n]
    price[lines] = base
    return among


@bare
def narrow(among, size, wanted, most, refuse_unit, known, room):
    """Leave in room.used[:among] and room.asked only who may share (see `who_may_share`), and the loads that may be
    part of it, by what they really ask; returns how many candidates are left."""
    lines = wanted.shape[0]
    price, least, sharing, asked, units = room.value, room.weight, room.table, room.asked, room.sent
    base = price[lines]
    total = 0
    for d in range(lines):
        total += int(wanted[d])
    most = min(most, total)
    for n in range(among):
        least[n] = BIG
        for d in range(lines):
            sharing[n, d] = BIG
        for v in range(1, size):
            if asked[n, v] < BIG:
                beyond = asked[n, v]
                for d in range(lines):
                    beyond -= price[d] * units[v, d]
                least[n] = min(least[n], beyond)
                for d in range(lines):
                    if 0 < units[v, d] < wanted[d]:
                        sharing[n, d] = min(sharing[n, d], beyond)
    some = _who(among, lines, most, refuse_unit < BIG, base, known, room)
    if some == 0:
        return some
    # A load stands beside one other at least, unless part of a line may be left unserved.
    first = BIG
    second = BIG
    rest = 0.0
    for i in range(some):
        n = int(room.number[i])
        rest += min(least[n], 0.0)
        if least[n] < first:
            second = first
            first = least[n]
        else:
            second = min(second, least[n])
    for i in range(some):
        n = int(room.number[i])
        beside = rest - min(least[n], 0.0)
        if refuse_unit >= BIG:
            beside += max(second if least[n] <= first else first, 0.0)
        room.used[i] = room.used[n]
        for v in range(size):
            minor = asked[n, v]
            if minor < BIG:
                beyond = minor
                for d in range(lines):
                    beyond -= price[d] * units[v, d]
                if base + beyond + beside >= known - GAIN_MIN:
                    minor = BIG
            asked[i, v] = minor
    return some


@bare
def _who(count, lines, most, spare, base, known, room):
    """List in room.number the candidates that are part of something cheaper than `known`; returns how many.

    base  what prices of lines come to; spare: part of a line may be left unserved
    room.weight float64[count], table float64[count, lines]: least that a fulfilment costs beyond its prices; and one
                with a part of that line
    """
    least, sharing = room.weight, room.table
    lowest, nearest, second = room.loads[0], room.loads[1], room.loads[2]
    keep = min(most, LAYERS_MAX)
    for n in range(keep):
        lowest[n] = 0.0
    for d in range(lines):
        nearest[d] = BIG
        second[d] = BIG
    for j in range(count):
        best = least[j]
        if best >= BIG:
            continue
        if best < lowest[keep - 1]:
            n = keep - 1
            while n > 0 and lowest[n - 1] > best:
                lowest[n] = lowest[n - 1]
                n -= 1
            lowest[n] = best
        for d in range(lines):
            if sharing[j, d] < nearest[d]:
                second[d] = nearest[d]
                nearest[d] = sharing[j, d]
            else:
                second[d] = min(second[d], sharing[j, d])
    # Besides two that share the line, or one where the rest of it may be left unserved.
    others = 0.0
    for n in range(keep - 2):
        others += lowest[n]
    if spare and keep > 1:
        others += lowest[keep - 2]
    among = 0
    pays = False
    for d in range(lines):
        pair = nearest[d] + (0.0 if spare else second[d])
        pays |= base + pair + others < known - GAIN_MIN
    for j in range(count if pays else 0):
        useful = False
        for d in range(lines):
            if nearest[d] >= BIG or least[j] >= BIG:
                continue
            pair = nearest[d] + (0.0 if spare else second[d])
            if base + pair + others >= known - GAIN_MIN:
                continue
            one = sharing[j, d]
            if not spare:
                one += second[d] if sharing[j, d] <= nearest[d] else nearest[d]
            if keep > 2 or spare:
                one = min(one, pair + max(least[j], 0.0))  # or is one of the others
            useful |= base + one + others < known - GAIN_MIN
        if useful:
            room.number[among] = j
            among += 1
    return among


@bare
def _prices_by_lines(wanted, known, cost, price):
    """Fill `price` float64[lines] with each line's share of the cost of a unit: what it adds to the lines before it, on
    average over all sequences of lines (L. Shapley 1953), of a few of them where there are many lines. No set of lines
    is then asked for more than it costs alone, as far as each adds less the more there are already. cost float64[2^L].
    """
    lines = wanted.shape[0]
    full = (1 << lines) - 1
    for d in range(lines):
        price[d] = 0.0
    if lines <= _SEQUENCES_ALL:
        for s in range(full):
            members = 0
            for d in range(lines):
                members += s >> d & 1
            ways = float(lines)  # lines · (lines - 1 over members)
            for n in range(members):
                ways = ways * (lines - 1 - n) / (n + 1)
            for d in range(lines):
                if s >> d & 1 == 0:
                    price[d] += (cost[s | 1 << d] - cost[s]) / ways
    else:
        up = 0
        down = 0
        for n in range(lines):
            d = lines - 1 - n
            price[n] += 0.5 * (cost[up | 1 << n] - cost[up])
            price[d] += 0.5 * (cost[down | 1 << d] - cost[down])
            up |= 1 << n
            down |= 1 << d
    beyond = (known - cost[full]) / lines  # a limit on fulfilments costs something
    for d in range(lines):
        price[d] = (price[d] + beyond) / wanted[d]
    return known


@bare
def _prices_of_plan(world, costs, c, wish, wanted, refuse_unit, known, parts, part_count, price):
    """Fill `price` float64[lines] with what the plan in `parts` pays for a unit of each line; returns what all of them
    come to, with the least that units left unserved cost beyond."""
    lines, first, weight_g = wish.lines, wish.first, world.orders.weight_g
    for d in range(lines):
        price[d] = 0.0
    by_lines = 0.0
    starts = 0.0
    unserved = 0.0
    # First what lines cost by themselves; then the rest, as fulfilments begin, shared by the lines of each.
    for p in range(part_count):
        j = int(parts.chosen[p])
        d = int(parts.line[p])
        units = float(parts.units[p])
        if j < 0:
            price[d] += refuse_unit * units
            unserved += refuse_unit * units
            continue
        per_gram = _least_per_gram(c, costs, j, wish)
        minor = costs.line[j, d] + units * (costs.unit[j, d] + per_gram * weight_g[first + d])
        price[d] += minor
        by_lines += minor
        starts += 1.0
    rest = (known - by_lines - unserved) / max(starts, 1.0)
    total = 0.0
    for p in range(part_count):
        if parts.chosen[p] >= 0:
            price[parts.line[p]] += rest
    beyond = 0.0
    for d in range(lines):
        total += price[d]
        price[d] /= wanted[d]
        beyond += min(0.0, wanted[d] * (refuse_unit - price[d])) if refuse_unit < BIG else 0.0
    return total + beyond


@bare
def _least_per_gram(c, costs, j, wish):
    """The least that a gram costs by any service of candidate `j`."""
    least = BIG
    if wish.method != PICKUP:
        for s in range(c.band.shape[1]):
            if c.band[j, s] >= 0:
                least = min(least, costs.gram[j, s])
    return least if least < BIG else 0.0


@bare
def _fill_fits(world, wish, wanted, fits, begins):
    """Fill fits int32[service, step, lines]: most units of each line, alone, that go by a service within a weight step,
    all in the last one; and begins int32[service], the first step in which anything goes. Returns minor units of
    packing that any fulfilment costs."""
    services, orders = world.services, world.orders
    least = BIG
    for d in range(wish.lines):
        row = wish.first + d
        for s in range(fits.shape[0]):
            for n in range(fits.shape[1]):
                fits[s, n, d] = 0
            fits[s, services.steps[s] - 1, d] = wanted[d]
        for units in range(1, wanted[d] + 1):
            grams = units * int(orders.weight_g[row])
            packing, grams, volume = handling.packed(world.cartons, grams, float(units) * orders.volume_mm3[row])
            least = min(least, packing)
            for s in range(fits.shape[0]):
                full, step = shipping.parcels(services, s, grams, volume)
                if full == 0:
                    for n in range(step, services.steps[s] - 1):
                        fits[s, n, d] = units
    for s in range(fits.shape[0]):
        begins[s] = services.steps[s] - 1
        for n in range(services.steps[s] - 2, -1, -1):
            for d in range(wish.lines):
                if fits[s, n, d] > 0:
                    begins[s] = n
    return least


@bare
def _takes_all(world, c, j, weight, volume):
    """Whether a carrier takes the parcels of the whole order from candidate `j` on its first day."""
    k, slot = int(c.node[j]), int(c.slot[j])
    for s in range(c.band.shape[1]):
        if c.band[j, s] >= 0:
            full, _ = shipping.parcels(world.services, s, weight, volume)
            if full < parcels_left(world.nodes, k, s, slot, int(c.column[j, s])):
                return True
    return False
