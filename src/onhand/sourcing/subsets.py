# pyright: basic
"""The cheapest way to divide the lines of an order among nodes: exact, over subsets.

`w[T]` is the least cost of sending exactly the lines T in one fulfilment. `dp[S] = min over T in S holding the lowest
line of S: w[T] + dp[S - T]` in 3^L steps; with a limit on fulfilments a layer for each, F 3^L. What is left unserved is
the rest of the best S. If the optimum uses one node twice, which happens only where prices jump with weight, it is
solved again node by node, K F 3^L.
"""

from onhand.base.compiled import bare
from onhand.sourcing.tables import BIG


@bare
def solve_subsets(movable, count, most, room):
    """Exact partition of `movable` lines or groups over `count` candidates.

    most            fulfilments at most
    room.w, who     float64, int32[2^movable]: least cost of every subset and its candidate
    room.table      float64[count, 2^movable] (BIG: cannot), reachable bool[count]: any subset possible
    room.refused    float64[2^movable]: cost of leaving a subset unserved (BIG: not allowed; 0 for the empty one)
    room.dp, pick   scratch [layers + 1, 2^movable]
    room.choice     int32[movable], filled with the candidate of each, -1 for what is left unserved

    Returns the cost, BIG when there is no plan.
    """
    w, who, refused, dp, pick, choice = room.w, room.who, room.refused, room.dp, room.pick, room.choice
    size = 1 << movable
    full = size - 1
    most = min(most, movable, count)
    if most == 1:
        best = w[full]
        at = full
        for s in range(1, full):
            if refused[full ^ s] < BIG and w[s] + refused[full ^ s] < best:
                best = w[s] + refused[full ^ s]
                at = s
        if best < BIG:
            for u in range(movable):
                choice[u] = who[at] if at >> u & 1 else -1
        return best

    # Without a limit first: its plan is often within it.
    dp[0, 0] = 0.0
    for s in range(1, size):
        low = s & -s
        others = s ^ low
        rest = others
        least = BIG
        at = 0
        while True:
            value = w[others | low] + dp[0, rest ^ others]
            if value < least:
                least = value
                at = others | low
            if others == 0:
                break
            others = (others - 1) & rest
        dp[0, s] = least
        pick[0, s] = at
    served = _served(dp[0], refused, full)
    if served == 0:
        return BIG
    best = dp[0, served] + refused[full ^ served]
    fulfilments = 0
    s = served
    while s:
        s ^= pick[0, s]
        fulfilments += 1
    layer = 0
    if fulfilments > most:
        best = BIG
        for f in range(1, most + 1):
            for s in range(size):
                dp[f, s] = BIG
            for s in range(1, size):
                if f == 1:
                    dp[1, s] = w[s]
                    pick[1, s] = s
                    continue
                low = s & -s
                others = s ^ low
                rest = others
                least = BIG
                at = 0
                while others:
                    # The rest must not be empty here: that was the layer before.
                    others = (others - 1) & rest
                    value = w[others | low] + dp[f - 1, rest ^ others]
                    if value < least:
                        least = value
                        at = others | low
                dp[f, s] = least
                pick[f, s] = at
            at = _served(dp[f], refused, full)
            if at and dp[f, at] + refused[full ^ at] < best:
                best = dp[f, at] + refused[full ^ at]
                served = at
                layer = f
        if best >= BIG:
            return best

    for u in range(movable):
        choice[u] = -1
    s = served
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
        layer = max(0, layer - 1)
    if not twice:
        return best
    return _solve_node_by_node(movable, count, most, room)


@bare
def _served(dp, refused, full):
    """The subset that is best served, the rest left unserved; 0 when there is none."""
    at = 0
    best = BIG
    if dp[full] < BIG:
        at = full
        best = dp[full]
    for s in range(1, full):
        if refused[full ^ s] < BIG and dp[s] + refused[full ^ s] < best:
            best = dp[s] + refused[full ^ s]
            at = s
    return at


@bare
def _solve_node_by_node(movable, count, most, room):
    """The same with each candidate used at most once."""
    costs, reach, refused, choice, dp, took = (
        room.table,
        room.reachable,
        room.refused,
        room.choice,
        room.deep,
        room.took,
    )
    size = 1 << movable
    full = size - 1
    for f in range(most + 1):
        for s in range(size):
            dp[0, f, s] = BIG
    dp[0, 0, 0] = 0.0
    for j in range(count):
        for f in range(most + 1):
            for s in range(size):
                best = dp[j, f, s]
                at = 0
                if f > 0 and reach[j]:
                    t = s
                    while t:
                        if costs[j, t] < BIG:
                            value = costs[j, t] + dp[j, f - 1, s ^ t]
                            if value < best:
                                best = value
                                at = t
                        t = (t - 1) & s
                dp[j + 1, f, s] = best
                took[j + 1, f, s] = at
    best = BIG
    layer = 0
    served = 0
    for f in range(1, most + 1):
        at = _served(dp[count, f], refused, full)
        if at and dp[count, f, at] + refused[full ^ at] < best:
            best = dp[count, f, at] + refused[full ^ at]
            layer = f
            served = at
    if best >= BIG:
        return best
    for u in range(movable):
        choice[u] = -1
    s = served
    for j in range(count, 0, -1):
        t = took[j, layer, s]
        if t:
            for u in range(movable):
                if t >> u & 1:
                    choice[u] = j - 1
            s ^= t
            layer -= 1
    return best
