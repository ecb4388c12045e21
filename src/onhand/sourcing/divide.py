# pyright: basic
"""Lines that no node can send in full are divided among nodes.

Exact where that is little work: the states are what has been sent so far of every line (any number of units of a line
that must be divided, all or nothing of another), candidates are taken in turn, each with any load that fits, `K F V²`
steps for V states. Else the fewest and then nearest nodes that hold everything together share it.
"""

from onhand.base.compiled import bare
from onhand.sourcing.pricing import best_way
from onhand.sourcing.tables import BIG, SEARCH_NODES

STEPS_MAX = 4_000_000


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
def divide_exactly(world, costs, c, count, scratch, wish, order, wanted, whole, most, refuse_order, refuse_unit, room):
    """Fill room.share int32[candidate, line] with the cheapest division of `wanted` int32[lines] over at most `most`
    candidates.

    whole         bool[lines]: lines that are not divided
    refuse_order  cost of leaving anything unserved (BIG: not allowed), refuse_unit: and of each unit

    Returns the cost, BIG when there is none.
    """
    lines = wanted.shape[0]
    size = states(wanted, whole)
    share, dp, took, digit, units, load = room.share, room.deep, room.took, room.digit, room.sent, room.value
    for v in range(size):
        rest = v
        for d in range(lines):
            radix = 2 if whole[d] else int(wanted[d]) + 1
            digit[v, d] = rest % radix
            rest //= radix
            units[v, d] = digit[v, d] * int(wanted[d]) if whole[d] else digit[v, d]
    most = min(most, count)
    for f in range(most + 1):
        for v in range(size):
            dp[0, f, v] = BIG
    dp[0, 0, 0] = 0.0
    for j in range(count):
        useful = False
        for v in range(1, size):
            load[v] = BIG
            fits = c.ready[j]
            for d in range(lines):
                fits = fits and units[v, d] <= c.free[j, d]
            if fits:
                load[v], _, _, _, _ = best_way(world, costs, c, j, scratch, wish, units[v, :lines], order)
                useful |= load[v] < BIG
        for f in range(most + 1):
            for v in range(size):
                dp[j + 1, f, v] = dp[j, f, v]
                took[j + 1, f, v] = 0
        if not useful:
            continue
        for t in range(1, size):
            if load[t] >= BIG:
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
                    value = load[t] + dp[j, f - 1, v - t]
                    if value < dp[j + 1, f, v]:
                        dp[j + 1, f, v] = value
                        took[j + 1, f, v] = t
    best = BIG
    layer = 0
    at = 0
    for f in range(1, most + 1):
        if dp[count, f, size - 1] < best:
            best = dp[count, f, size - 1]
            layer = f
            at = size - 1
        if refuse_order < BIG:
            for v in range(1, size - 1):
                value = dp[count, f, v] + refuse_order
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
    for j in range(count, 0, -1):
        t = took[j, layer, at]
        if t:
            for d in range(lines):
                share[j - 1, d] = units[t, d]
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
