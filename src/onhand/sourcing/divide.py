# pyright: basic
"""Lines that are divided among nodes: where no node can send all of one, and wherever that costs less.

Exact where that is little work: the states are what has been sent so far of every line (any number of units of a line
that is divided, all or nothing of another), candidates are taken in turn, each with any load that fits, `K F V²` steps
for V states. Else the fewest and then nearest nodes that hold everything together share it.
"""

from onhand.base.compiled import bare
from onhand.sourcing.pricing import best_way, duty_of, parcels_left
from onhand.sourcing.tables import (
    BIG,
    LAYERS_MAX,
    PICKUP,
    SEARCH_NODES,
    STATES_MAX,
)
from onhand.sourcing.terms import handling, shipping

STEPS_MAX = 4_000_000
_LINES, _UNITS, _WEIGHT, _PACKING, _WORTH = range(5)
GAIN_MIN = 1e-6  # minor units: less is no reason to divide


@bare
def is_little_work(count, most, size):
    """Whether `size` states and `count` candidates can be gone through."""
    deep = min(most, count)
    return size <= STATES_MAX and deep <= LAYERS_MAX and float(count) * deep * size * size <= STEPS_MAX


@bare
def states(wanted, whole):
    """Number of states; more than 2^20 are not counted."""
    count = 1
    for d in range(wanted.shape[0]):
        count *= 2 if whole[d] else min(int(wanted[d]), 1 << 20) + 1
        if count > 1 << 20:
            return 1 << 20
    return count


@bare
def all_ready(c, count, used):
    """List in `used` the candidates that can send anything; returns how many."""
    among = 0
    for j in range(count):
        if c.ready[j]:
            used[among] = j
            among += 1
    return among


@bare
def ask_for_loads(world, costs, c, among, scratch, wish, order, wanted, whole, room):
    """Fill room.digit, sent int64[state, line] (see the head of this file) and room.asked float64[among, state]: what
    each of the candidates room.used[:among] asks for the load of each state, BIG where it cannot send that. Returns how
    many states there are.

    whole  bool[lines]: lines that are not divided
    """
    nodes, services, orders = world.nodes, world.services, world.orders
    lines = wanted.shape[0]
    digit, units, loads, steps, asked, linear = room.digit, room.sent, room.loads, room.steps, room.asked, room.sums
    left, rate_minor, last_step = nodes.left, services.rate_minor, services.steps
    fixed, line, unit, by_service, by_parcel, by_gram = (
        costs.fixed, costs.line, costs.unit, costs.service, costs.parcel, costs.gram
    )  # fmt: skip
    band, column, free = c.band, c.column, c.free
    limited = nodes.parcels.shape[0] > 0
    by_carrier = wish.method != PICKUP
    size = states(wanted, whole)
    for v in range(size):
        rest = v
        count = 0
        total = 0
        weight = 0
        volume = 0.0
        worth = 0.0
        for d in range(lines):
            radix = 2 if whole[d] else int(wanted[d]) + 1
            n = rest % radix
            rest //= radix
            digit[v, d] = n
            n = n * int(wanted[d]) if whole[d] else n
            units[v, d] = n
            if n:
                row = wish.first + d
                count += 1
                total += n
                weight += n * int(orders.weight_g[row])
                volume += float(n) * orders.volume_mm3[row]
                worth += n * orders.price[row]
        packing, grams, volume = handling.packed(world.cartons, weight, volume)
        loads[_LINES, v], loads[_UNITS, v], loads[_WEIGHT, v] = count, total, grams
        loads[_PACKING, v], loads[_WORTH, v] = packing, worth
        if by_carrier and v:
            for s in range(services.bands.shape[0]):
                full, step = shipping.parcels(services, s, grams, volume)
                steps[0, s, v] = full
                steps[1, s, v] = step
    for n in range(among):
        j = int(room.used[n])
        k, slot = int(c.node[j]), int(c.slot[j])
        for v in range(size):
            asked[n, v] = BIG
        if not c.ready[j]:
            continue
        linear[0, 0] = 0.0
        for v in range(1, size):
            # What is less by one of its first line was asked for before.
            d = 0
            stride = 1
            while digit[v, d] == 0:
                stride *= 2 if whole[d] else int(wanted[d]) + 1
                d += 1
            before = v - stride
            if units[v, d] > free[j, d] or (before and linear[0, before] >= BIG):
                linear[0, v] = BIG
                continue
            more = line[j, d] if digit[v, d] == 1 else 0.0
            linear[0, v] = linear[0, before] + more + (units[v, d] - units[before, d]) * unit[j, d]
            best = 0.0
            if left[k, slot, 1] < loads[_LINES, v] or left[k, slot, 2] < loads[_UNITS, v]:
                best = BIG
            elif by_carrier:
                best = BIG
                for s in range(band.shape[1]):
                    b = int(band[j, s])
                    if b < 0:
                        continue
                    full = int(steps[0, s, v])
                    if limited and full >= parcels_left(nodes, k, s, slot, int(column[j, s])):
                        continue
                    minor = by_service[j, s] + by_gram[j, s] * loads[_WEIGHT, v] + (full + 1) * by_parcel[j, s]
                    minor += rate_minor[s, b, steps[1, s, v]] + full * rate_minor[s, b, last_step[s] - 1]
                    best = min(best, minor)
            if best < BIG:
                duty = duty_of(world, costs, j, wish, units[v, :lines], loads[_WORTH, v])
                asked[n, v] = fixed[j] + linear[0, v] + loads[_PACKING, v] + best + duty
            else:  # another day than the one prepared
                asked[n, v], _, _, _, _ = best_way(world, costs, c, j, scratch, wish, units[v, :lines], order)
    return size


@bare
def divide_exactly(count, among, size, wanted, most, refuse_order, refuse_unit, room):
    """Fill room.share int32[candidate, line] with the cheapest division of `wanted` int32[lines] over at most `most` of
    the candidates room.used[:among], in rising order, from what they ask for the loads of `size` states
    (`ask_for_loads`); `count` are all candidates.

    refuse_order  cost of leaving anything unserved (BIG: not allowed), refuse_unit: and of each unit

    Returns the cost, BIG when there is none.
    """
    lines = wanted.shape[0]
    share, dp, took, digit, units, asked = room.share, room.deep, room.took, room.digit, room.sent, room.asked
    most = min(most, among)
    for f in range(most + 1):
        for v in range(size):
            dp[0, f, v] = BIG
    dp[0, 0, 0] = 0.0
    for n in range(among):
        for f in range(most + 1):
            for v in range(size):
                dp[n + 1, f, v] = dp[n, f, v]
                took[n + 1, f, v] = 0
        for t in range(1, size):
            load = asked[n, t]
            if load >= BIG:
                continue
            for v in range(t, size):
                inside = True
                for d in range(lines):
                    if digit[v, d] < digit[t, d]:
                        inside = False
                        break
                if not inside:
                    continue
                for f in range(1, most + 1):
                    value = load + dp[n, f - 1, v - t]
                    if value < dp[n + 1, f, v]:
                        dp[n + 1, f, v] = value
                        took[n + 1, f, v] = t
    best = BIG
    layer = 0
    at = 0
    for f in range(1, most + 1):
        if dp[among, f, size - 1] < best:
            best = dp[among, f, size - 1]
            layer = f
            at = size - 1
        if refuse_order < BIG:
            for v in range(1, size - 1):
                value = dp[among, f, v] + refuse_order
                for d in range(lines):
                    value += (int(wanted[d]) - units[v, d]) * refuse_unit
                if value < best:
                    best = value
                    layer = f
                    at = v
    for j in range(count):
        for d in range(lines):
            share[j, d] = 0
    if best >= BIG:
        return best
    for n in range(among, 0, -1):
        t = took[n, layer, at]
        if t:
            for d in range(lines):
                share[room.used[n - 1], d] = units[t, d]
            at -= t
            layer -= 1
    return best


@bare
def divide(c, count, wanted, whole, fulfilments_max, room):
    """Share lines that no candidate can send in full: the fewest nodes, then the nearest, that hold the whole order
    together are sought among the SEARCH_NODES that hold most of it.

    wanted  int32[demand]; whole: lines that some candidate can send in full, bool[demand]
    room.share  int32[candidate, demand], filled with the units of divided lines, the fullest of the chosen nodes first

    Returns whether there is such a choice.
    """
    free, km, share, cover, ranked = c.free, c.km, room.share, room.weight, room.ranked
    demand = wanted.shape[0]
    for j in range(count):
        cover[j] = 0.0
        for d in range(demand):
            share[j, d] = 0
            cover[j] += min(free[j, d], wanted[d]) / wanted[d]
    top = min(count, SEARCH_NODES)
    for r in range(top):
        at = 0
        for j in range(count):
            if cover[j] > cover[at] or (cover[j] == cover[at] and km[j] < km[at]):
                at = j
        ranked[r] = at
        cover[at] = -1.0
    fewest = min(fulfilments_max, top) + 1
    nearest = BIG
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
