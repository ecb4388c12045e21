# pyright: basic
"""Orders of more lines than can be solved exactly: ordered choices of a few nodes, each taking all it can."""

from onhand.base.compiled import bare
from onhand.sourcing.pricing import best_way
from onhand.sourcing.tables import BIG, SEARCH_NODES


@bare
def gather(parts, part_count, chosen, j, units):
    """Fill `units` with what candidate `j` is chosen for; says whether it is for anything."""
    any_units = False
    for d in range(units.shape[0]):
        units[d] = 0
    for p in range(part_count):
        if chosen[p] == j:
            units[parts.line[p]] += parts.units[p]
            any_units = True
    return any_units


@bare
def search(world, costs, c, count, scratch, wish, order, parts, part_count, most, room):
    """Every node that can send all of it, and every ordered choice of up to three of the SEARCH_NODES nodes that cover
    most parts (nearest first among equals); each takes all it can, further nodes are added greedily up to `most`.

    room.refused  float64[part_count + 1]: cost of leaving a part unserved, and last of leaving anything (BIG: not
                  allowed)

    Fills parts.chosen; returns the cost, BIG when there is no such plan.
    """
    km, can, chosen = c.km, parts.can, parts.chosen
    trial, cover, ranked, used, refused = room.trial, room.cover, room.ranked, room.used, room.refused
    units = room.units[: wish.lines]
    best = BIG
    for j in range(count):
        cover[j] = 0
        for p in range(part_count):
            trial[p] = j
            cover[j] += can[p, j]
        if cover[j] == part_count:
            gather(parts, part_count, trial, j, units)
            cost, _, _, _, _ = best_way(world, costs, c, j, scratch, wish, units, order)
            if cost < best:
                best = cost
                for p in range(part_count):
                    chosen[p] = j
    top = min(SEARCH_NODES, count)
    for r in range(top):
        at = 0
        for j in range(count):
            if cover[j] > cover[at] or (cover[j] == cover[at] and km[j] < km[at]):
                at = j
        ranked[r] = at
        cover[at] = -1
    depth = min(3, most)
    for a in range(top):
        for b in range(-1, top):
            for e in range(-1, top):
                if (b < 0 and e >= 0) or b == a or (e >= 0 and e in (a, b)):
                    continue
                if (b >= 0 and depth < 2) or (e >= 0 and depth < 3):
                    continue
                left_over = part_count
                taken_b = 0
                taken_e = 0
                for p in range(part_count):
                    trial[p] = -1
                    if can[p, ranked[a]]:
                        trial[p] = ranked[a]
                    elif b >= 0 and can[p, ranked[b]]:
                        trial[p] = ranked[b]
                        taken_b += 1
                    elif e >= 0 and can[p, ranked[e]]:
                        trial[p] = ranked[e]
                        taken_e += 1
                    left_over -= trial[p] >= 0
                if (b >= 0 and taken_b == 0) or (e >= 0 and taken_e == 0):
                    continue  # seen without it
                used[0] = ranked[a]
                members = 1
                if b >= 0:
                    used[members] = ranked[b]
                    members += 1
                if e >= 0:
                    used[members] = ranked[e]
                    members += 1
                while left_over and members < min(most, count):
                    gained = 0
                    at = -1
                    for j in range(count):
                        gain = 0
                        for p in range(part_count):
                            gain += trial[p] < 0 and can[p, j]
                        if gain > gained:
                            gained = gain
                            at = j
                    if at < 0:
                        break
                    for p in range(part_count):
                        if trial[p] < 0 and can[p, at]:
                            trial[p] = at
                            left_over -= 1
                    used[members] = at
                    members += 1
                total = 0.0
                if left_over:
                    total = refused[part_count]
                    for p in range(part_count):
                        if trial[p] < 0:
                            total += refused[p]
                if total >= best:
                    continue
                for m in range(members):
                    if gather(parts, part_count, trial, int(used[m]), units):
                        cost, _, _, _, _ = best_way(world, costs, c, int(used[m]), scratch, wish, units, order)
                        total += cost
                        if total >= best:
                            break
                if total < best:
                    best = total
                    for p in range(part_count):
                        chosen[p] = trial[p]
    return best
