# pyright: basic
"""The best transfers of one item between all nodes, compiled: a minimum-cost flow by successive shortest paths.

What nodes may give and what they may take are two sides; a unit goes from one to the other over one lane. What each
unit less costs a giver rises, what each unit more brings a taker falls. A shortest path begins with one unit more of a
giver, may send units of others elsewhere than planned so far, and ends with one unit more at a taker. Paths get longer
with each one (Ahuja, Magnanti and Orlin 1993, 9.7), so the first that gains nothing ends the search, and the flow is
the best there is, in whole units.
"""

from typing import Any

import numpy as np

from onhand.base.compiled import compiled, inner

# Money below which a gain is a rounding error.
EPSILON = 1e-7


def _relax_from(a, cost, sources, count, dist, via_sink, via_source, queue, tail, queued, limited, size, room_lane,
                room_in):  # fmt: skip
    """Offer every taker the units that `a` has, for one more at `a`; the queue's end."""
    nodes = len(count)
    for n in range(count[a]):
        j = sources[a, n]
        base = dist[a] - cost[j, a]
        for b in range(nodes):
            if b == a or base + cost[j, b] >= dist[b] - EPSILON:
                continue
            if limited and (room_lane[j, b] < size or room_in[b] < size):
                continue
            dist[b] = base + cost[j, b]
            via_sink[b] = a
            via_source[b] = j
            if not queued[b] and count[b] > 0:
                queued[b] = True
                queue[tail] = b
                tail = tail + 1 if tail < nodes else 0
    return tail


relax_from = inner(_relax_from)


def _is_open(b, via_sink, via_source, cost, sent, give_now, dist, limited, size, room_lane, room_out, room_in):
    """Whether the way to b is still there, at the same length as far as this step goes."""
    a, j = via_sink[b], via_source[b]
    if limited and (room_lane[j, b] < size or room_in[b] < size):
        return False
    if a >= 0:
        return sent[j, a] > 0
    return dist[b] == give_now[j] + cost[j, b] and (not limited or room_out[j] >= size)


is_open = inner(_is_open)


def _shortest(cost, sent, sources, count, give_now, dist, via_sink, via_source, queue, queued, stale, anew, limited,
              size, room_lane, room_out, room_in):  # fmt: skip
    """Bring dist[b], the least cost of one unit more at b, up to date; via_* lead back: to the taker whose unit it was,
    or -1 where it is a new one, and to its giver.

    Residual costs only rise from one search to the next, so labels whose way is still open are still right.
    """
    nodes = len(count)
    for b in range(nodes):
        queued[b] = False
        stale[b] = anew or (dist[b] < np.inf and not is_open(
            b, via_sink, via_source, cost, sent, give_now, dist, limited, size, room_lane, room_out, room_in
        ))  # fmt: skip
    changed = not anew
    while changed:
        changed = False
        for b in range(nodes):
            if not stale[b] and dist[b] < np.inf and via_sink[b] >= 0 and stale[via_sink[b]]:
                stale[b] = changed = True
    head, tail = 0, 0
    for b in range(nodes):
        if not stale[b]:
            continue
        dist[b] = np.inf
        via_sink[b] = -1
        if limited and room_in[b] < size:
            continue
        for j in range(nodes):
            total = give_now[j] + cost[j, b]
            if total < dist[b] and not (limited and (room_lane[j, b] < size or room_out[j] < size)):
                dist[b] = total
                via_source[b] = j
        for a in range(nodes):
            if a == b or stale[a] or dist[a] == np.inf:
                continue
            for n in range(count[a]):
                j = sources[a, n]
                total = dist[a] - cost[j, a] + cost[j, b]
                if total < dist[b] and not (limited and room_lane[j, b] < size):
                    dist[b] = total
                    via_sink[b], via_source[b] = a, j
        if dist[b] < np.inf and count[b] > 0:
            queue[tail] = b
            tail += 1
            queued[b] = True
    turns = 0
    while head != tail and turns < nodes * nodes:
        turns += 1
        a = queue[head]
        head = head + 1 if head < nodes else 0
        queued[a] = False
        tail = relax_from(a, cost, sources, count, dist, via_sink, via_source, queue, tail, queued, limited, size,
                          room_lane, room_in)  # fmt: skip


shortest = inner(_shortest)


def _add_flow(j, b, units, sent, sources, count):
    if sent[j, b] == 0:
        sources[b, count[b]] = j
        count[b] += 1
    sent[j, b] += units
    if sent[j, b] == 0:
        for n in range(count[b]):
            if sources[b, n] == j:
                sources[b, n] = sources[b, count[b] - 1]
                count[b] -= 1
                break


add_flow = inner(_add_flow)


def _flow_item(cost, give_units, give_value, take_units, take_value, sent, work, limited, size, room_lane, room_out,
               room_in):  # fmt: skip
    """Fill sent[from, to]; the gain at these costs. Where `limited`, the rooms are what is left, and shrink."""
    nodes, steps = give_units.shape
    (count, give_at, give_left, take_at, take_left, queue, via_sink, via_source, queued, stale, dist, give_now,
     sources) = work  # fmt: skip
    most = -np.inf
    for k in range(nodes):
        count[k] = 0
        dist[k] = np.inf
        give_at[k], give_left[k], take_at[k], take_left[k] = 0, give_units[k, 0], 0, take_units[k, 0]
        for g in range(steps):
            if take_units[k, g] > 0 and take_value[k, g] > most:
                most = take_value[k, g]
        for to in range(nodes):
            sent[k, to] = 0
    gain = 0.0
    anew = True
    while True:
        could = False
        for k in range(nodes):
            while give_left[k] == 0 and give_at[k] < steps - 1:
                give_at[k] += 1
                give_left[k] = give_units[k, give_at[k]]
            while take_left[k] == 0 and take_at[k] < steps - 1:
                take_at[k] += 1
                take_left[k] = take_units[k, take_at[k]]
            give_now[k] = give_value[k, give_at[k]] if give_left[k] > 0 else np.inf
            could = could or give_now[k] < most
        if not could:
            return gain
        shortest(cost, sent, sources, count, give_now, dist, via_sink, via_source, queue, queued, stale, anew, limited,
                 size, room_lane, room_out, room_in)  # fmt: skip
        anew = False
        best, end = -EPSILON, -1
        for b in range(nodes):
            if take_left[b] > 0 and dist[b] - take_value[b, take_at[b]] < best:
                best, end = dist[b] - take_value[b, take_at[b]], b
        if end < 0:
            return gain
        units = take_left[end]
        b = end
        hops = 0
        while hops <= nodes:
            a, j = via_sink[b], via_source[b]
            if limited:
                units = min(units, int(room_lane[j, b] / size), int(room_in[b] / size))
            if a < 0:
                break
            units = min(units, sent[j, a])
            b = a
            hops += 1
        if limited:
            units = min(units, int(room_out[j] / size))
        units = min(units, give_left[j])
        if hops > nodes or units <= 0:
            return gain
        take_left[end] -= units
        gain -= best * units
        b = end
        while True:
            a, j = via_sink[b], via_source[b]
            add_flow(j, b, units, sent, sources, count)
            room_lane[j, b] -= size * units
            room_in[b] -= size * units
            if a < 0:
                give_left[j] -= units
                room_out[j] -= size * units
                break
            add_flow(j, a, -units, sent, sources, count)
            room_lane[j, a] += size * units
            room_in[a] += size * units
            # Room that opens again may be a shorter way for others.
            anew = limited
            b = a


flow_item = inner(_flow_item)


def _working(nodes):
    count, give_at, give_left, take_at, take_left, via_sink, via_source = (
        np.zeros(nodes, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64),
        np.zeros(nodes, np.int64), np.zeros(nodes, np.int64), np.zeros(nodes, np.int64),
    )  # fmt: skip
    queue, sources = np.zeros(nodes + 1, np.int64), np.zeros((nodes, nodes), np.int64)
    queued, stale = np.zeros(nodes, np.bool_), np.zeros(nodes, np.bool_)
    return (count, give_at, give_left, take_at, take_left, queue, via_sink, via_source, queued, stale, np.zeros(nodes),
            np.zeros(nodes), sources)  # fmt: skip


working = inner(_working)


def _price(item, unit_cost, kg_cost, weight, size, price, ban_first, ban_from, ban_to, cost):
    """Fill cost[from, to] of a unit of an item, prices of capacity included."""
    nodes = len(cost)
    for k in range(nodes):
        for to in range(nodes):
            cost[k, to] = unit_cost[k, to] + weight[item] * kg_cost[k, to] + size[item] * price[k, to]
        cost[k, k] = np.inf
    for n in range(ban_first[item], ban_first[item + 1]):
        cost[ban_from[n], ban_to[n]] = np.inf


price_lanes = inner(_price)


def _flow_priced(items, give_units, give_value, take_units, take_value, unit_cost, kg_cost, weight, size, price,
                 ban_first, ban_from, ban_to, used):  # fmt: skip
    """Each item by itself at these prices: (gain at them); used[from, to] takes on what all send."""
    nodes = len(unit_cost)
    work = working(nodes)
    cost = np.empty((nodes, nodes))
    sent = np.zeros((nodes, nodes), np.int64)
    no_room = np.zeros((nodes, nodes))
    no_dock = np.zeros(nodes)
    total = 0.0
    for item in items:
        price_lanes(item, unit_cost, kg_cost, weight, size, price, ban_first, ban_from, ban_to, cost)
        gain = flow_item(cost, give_units[item], give_value[item], take_units[item], take_value[item], sent, work,
                         False, size[item], no_room, no_dock, no_dock)  # fmt: skip
        total += gain
        if gain > 0.0:
            for k in range(nodes):
                for to in range(nodes):
                    used[k, to] += size[item] * sent[k, to]
    return total


flow_priced: Any = compiled(_flow_priced)


def _flow_within(items, give_units, give_value, take_units, take_value, unit_cost, kg_cost, weight, size, price,
                 ban_first, ban_from, ban_to, room_lane, room_out, room_in, moved, gains):  # fmt: skip
    """One item after the other within what is left: moved[item] are (from, to, units) rows, ended by units = 0. An item
    that was planned before gives back its room, and keeps the plan that gains more at cost; the gain of all."""
    nodes = len(unit_cost)
    work = working(nodes)
    cost = np.empty((nodes, nodes))
    sent = np.zeros((nodes, nodes), np.int64)
    rows = moved.shape[1]
    total = 0.0
    for item in items:
        for n in range(rows):
            if moved[item, n, 2] == 0:
                break
            k, to, room = moved[item, n, 0], moved[item, n, 1], size[item] * moved[item, n, 2]
            room_lane[k, to] += room
            room_out[k] += room
            room_in[to] += room
        price_lanes(item, unit_cost, kg_cost, weight, size, price, ban_first, ban_from, ban_to, cost)
        gain = flow_item(cost, give_units[item], give_value[item], take_units[item], take_value[item], sent, work,
                         True, size[item], room_lane, room_out, room_in)  # fmt: skip
        found = 0
        for k in range(nodes):
            for to in range(nodes):
                if sent[k, to] > 0:
                    gain += size[item] * price[k, to] * sent[k, to]
                    found += 1
        if gain > gains[item] + EPSILON and found <= rows:
            gains[item] = gain
            n = 0
            for k in range(nodes):
                for to in range(nodes):
                    if sent[k, to] > 0:
                        moved[item, n, 0], moved[item, n, 1], moved[item, n, 2] = k, to, sent[k, to]
                        n += 1
            if n < rows:
                moved[item, n, 2] = 0
        else:
            for k in range(nodes):
                for to in range(nodes):
                    if sent[k, to] > 0:
                        room = size[item] * sent[k, to]
                        room_lane[k, to] += room
                        room_out[k] += room
                        room_in[to] += room
            for n in range(rows):
                if moved[item, n, 2] == 0:
                    break
                k, to, room = moved[item, n, 0], moved[item, n, 1], size[item] * moved[item, n, 2]
                room_lane[k, to] -= room
                room_out[k] -= room
                room_in[to] -= room
        total += gains[item]
    return total


flow_within: Any = compiled(_flow_within)
