# pyright: basic
"""Loops of planning over rows and paths, compiled."""

from typing import Any

import numpy as np

from onhand.base.compiled import compiled, inner


def _interval_totals(quantiles, lead, more, place, along, fraction, rank, first_row, before, after):
    """Fill before[row, path] and after[row, path]: see protection.drawn_totals."""
    rows, days, levels = quantiles.shape
    tables, paths, _ = place.shape
    kinds = lead.shape[1]
    week = min(7, days)
    rising = np.empty((days, levels), np.float32)
    for row in range(rows):
        for day in range(days):
            high = np.float32(0.0)
            for level in range(levels):
                high = max(high, quantiles[row, day, level])
                rising[day, level] = high
        table = (first_row + row) % tables
        for path in range(paths):
            wait = lead[row, rank[table, path] * kinds // paths]
            early = 0
            late = 0
            for day in range(wait + more[row]):
                at = day if day < days else days - week + (day - days) % week
                k = place[table, path, day]
                low = rising[at, k]
                units = low + along[table, path, day] * (rising[at, k + 1] - low)
                if units > 0.0:
                    whole = int(units + fraction[table, path, day])
                    if day < wait:
                        early += whole
                    else:
                        late += whole
            before[row, path] = early
            after[row, path] = late


interval_totals: Any = compiled(_interval_totals)


def _shortage(demand, level):
    """(mean units missing, mean units left, how many draws are served) of sorted draws at a level."""
    paths = len(demand)
    low, high = 0, paths
    while low < high:
        middle = (low + high) // 2
        if demand[middle] <= level:
            low = middle + 1
        else:
            high = middle
    left = 0
    for path in range(low):
        left += level - demand[path]
    missing = 0
    for path in range(low, paths):
        missing += demand[path] - level
    return missing / paths, left / paths, low


shortage = inner(_shortage)


def _cost_of(demand, position, quantity, least, target, stockout, carrying, fixed, cycle_mean, cycles_max):
    """Expected cost until the end of the protection time, and of what an order brings beyond the target.

    Of the least order that is possible nothing of it is a choice: waiting spares keeping it for a review time, and puts
    off the next order as long, which costs as much as keeping half of it (the lot is kept by half on average: renewal
    reward). Of larger ones it is bought ahead, and kept until it is sold.
    """
    missing, left, _ = shortage(demand, position + quantity)
    cost = stockout * missing + carrying * left
    if quantity > 0:
        cost += fixed
        excess = min(position + quantity - target, quantity)
        if excess > 0 and quantity == least:
            cost -= 0.5 * carrying * excess
        elif excess > 0:
            cycles = excess / (2.0 * cycle_mean) if cycle_mean > 0.0 else cycles_max
            cost += carrying * excess * min(cycles, cycles_max)
    return cost


cost_of = inner(_cost_of)


def _purchase_tables(
    demand, position, target, wanted, minimum, multiple, stockout, carrying, fixed, cycle_mean, cycles_max,
    quantity, value, saved, low, high, service,
):  # fmt: skip
    """For each row the best of three candidates (nothing, the lot below what is wanted, the lot above), and quantities
    on the way to it: quantity[row, step] rising from 0, and what each comes to; see replenish.py."""
    rows, paths = demand.shape
    steps = quantity.shape[1]
    for row in range(rows):
        at, lot = position[row], multiple[row]
        least = -(-max(minimum[row], 1) // lot) * lot
        p, h, k = stockout[row], carrying[row], fixed[row]
        mean, most = cycle_mean[row], cycles_max[row]
        nothing = cost_of(demand[row], at, 0, least, target[row], p, h, k, mean, most)
        best, best_cost = 0, nothing
        if wanted[row] > 0:
            for candidate in (max(wanted[row] // lot * lot, least), max(-(-wanted[row] // lot) * lot, least)):
                cost = cost_of(demand[row], at, candidate, least, target[row], p, h, k, mean, most)
                if cost < best_cost:
                    best, best_cost = candidate, cost
        stride = lot
        if best > 0:
            stride = max(1, -(-((best - least) // lot) // (steps - 2))) * lot
        for step in range(steps):
            units = 0 if step == 0 or best == 0 else min(least + (step - 1) * stride, best)
            quantity[row, step] = units
            missing, _, served = shortage(demand[row], at + units)
            before, _, _ = shortage(demand[row], at)
            value[row, step] = nothing - cost_of(demand[row], at, units, least, target[row], p, h, k, mean, most)
            saved[row, step] = before - missing
            service[row, step] = served / paths
            # What is saved rises with demand: its quantiles are those of the demand.
            for edge in range(2):
                drawn = demand[row, int(paths * (0.05 if edge == 0 else 0.95))]
                rescued = min(max(drawn - at, 0), units)
                worth = (p + h) * rescued - h * units - (k if units > 0 else 0.0)
                if edge == 0:
                    low[row, step] = worth
                else:
                    high[row, step] = worth


purchase_tables: Any = compiled(_purchase_tables)


def _roll_out(demand, on_hand, level, low, lead, review, minimum, multiple, stockout, carrying, fixed, cost):
    """Add to cost[path, row] what (R, s, S) with lost sales costs on demand[path, row, day]; an order at the start of
    every review[row]-th day is there lead[row] mornings later."""
    paths, rows, days = demand.shape
    due = np.zeros(days, np.int64)
    for path in range(paths):
        for row in range(rows):
            due[:] = 0
            stock, coming, spent = on_hand[row], 0, 0.0
            for day in range(days):
                if day % review[row] == 0 and stock + coming <= low[row] and stock + coming < level[row]:
                    units = max(level[row] - stock - coming, minimum[row])
                    units = -(-units // multiple[row]) * multiple[row]
                    spent += fixed[row]
                    coming += units
                    if day + lead[row] < days:
                        due[day + lead[row]] += units
                stock += due[day]
                coming -= due[day]
                sold = min(stock, demand[path, row, day])
                spent += stockout[row] * (demand[path, row, day] - sold)
                stock -= sold
                spent += carrying[row] * stock
            cost[path, row] += spent


roll_out_paths: Any = compiled(_roll_out)


def _missed_and_later(before, after, coming):
    """Turn draws of demand before and after transfers arrive, in place, into: missed[row, path], so that the n-th unit
    of the stock is sold where missed >= n, and later[row, path], units that nothing that is coming serves."""
    rows, paths = before.shape
    for row in range(rows):
        c = coming[row]
        for path in range(paths):
            early, late = before[row, path], after[row, path]
            before[row, path] = max(early, early + late - c)
            after[row, path] = max(0, late - c)


missed_and_later: Any = compiled(_missed_and_later)


def _missed_of(missed, later, come):
    """As of `missed_and_later`, were so many more units coming."""
    return missed - min(later, come)


missed_of = inner(_missed_of)


def _wanted_of(missed, later, stock, come):
    """Units that would be sold if still more came."""
    return max(0, min(missed_of(missed, later, come) - stock, later - come))


wanted_of = inner(_wanted_of)


def _worth_steps(rows, missed, later, stock, movable, come, worth, left, give_units, give_value, take_units,
                 take_value):  # fmt: skip
    """Steps of what units are worth at some rows, that may go (down to stock − movable) and that may come, where `come`
    come already that are not in the draws. A step ends where another share of the draws is passed."""
    paths = missed.shape[1]
    steps = give_units.shape[1]
    share = max(1, paths // steps)
    drawn = np.empty(paths, np.int64)
    for place in range(len(rows)):
        row = rows[place]
        gap, least = worth[row] - left[row], left[row]
        for step in range(steps):
            give_units[place, step] = 0
            take_units[place, step] = 0
        for path in range(paths):
            drawn[path] = missed_of(missed[row, path], later[row, path], come[row])
        drawn.sort()
        at, step, floor = stock[row], 0, stock[row] - movable[row]
        while at > floor and step < steps:
            end = floor
            rank = np.searchsorted(drawn, at, side="left") - share
            if step < steps - 1 and rank >= 0:
                end = max(floor, min(drawn[rank], at - 1))
            give_units[place, step] = at - end
            sold = 0
            for path in range(paths):
                sold += min(drawn[path], at) - min(drawn[path], end)
            give_value[place, step] = least + gap * sold / (paths * (at - end))
            at = end
            step += 1
        for path in range(paths):
            drawn[path] = wanted_of(missed[row, path], later[row, path], stock[row], come[row])
        drawn.sort()
        at, step = 0, 0
        # One draw in a hundred may ask for more: that is no reason to move.
        most = drawn[paths - 1 - paths // 100]
        while at < most and step < steps:
            end = most
            if step < steps - 1:
                rank = np.searchsorted(drawn, at, side="right") + share - 1
                end = min(most, max(drawn[min(rank, paths - 1)], at + 1))
            take_units[place, step] = end - at
            sold = 0
            for path in range(paths):
                sold += min(drawn[path], end) - min(drawn[path], at)
            take_value[place, step] = least + gap * sold / (paths * (end - at))
            at = end
            step += 1


worth_steps: Any = compiled(_worth_steps)


def _gain_of(missed, later, a, b, rest, come_a, stock_b, come_b, units, gap_from, gap_to, left):
    """(mean, variance) of what moving so many units from row a to row b brings: `rest` stay there, to a `come_a` come,
    to b `come_b` others."""
    paths = missed.shape[1]
    total, squares = 0.0, 0.0
    for path in range(paths):
        lost = min(max(missed_of(missed[a, path], later[a, path], come_a) - rest, 0), units)
        sold = min(wanted_of(missed[b, path], later[b, path], stock_b, come_b), units)
        brings = gap_to * sold - gap_from * lost
        total += brings
        squares += brings * brings
    mean = total / paths
    return mean + left * units, max(0.0, squares / paths - mean * mean)


gain_of = inner(_gain_of)


def _sure_moves(source, target, units, cost, missed, later, stock, worth, left, given, come, gives, takes, sd_share,
                gain_minor, kept):  # fmt: skip
    """kept[move]: of each move, in turn, the units worth making beside the others: as many as each still gain, if all
    of them gain more than they cost by `sd_share` standard deviations; else half, a quarter, one of them, or none.

    source, target  rows of giver and taker; given, come: of all moves, those made before and those planned, updated by
                    what is kept
    gives, takes    bool[row], updated: nothing passes through a node
    """
    for move in range(len(units)):
        a, b, most = source[move], target[move], units[move]
        others_come = come[b] - most
        stock_b = stock[b] - given[b]
        gap_from, gap_to = worth[a] - left[a], worth[b] - left[b]
        between = left[b] - left[a]
        top = stock[a] - (given[a] - most)
        best = 0
        if not takes[a] and not gives[b]:
            # Each unit gains less than the one before it: the last that gains, by bisection.
            low, high = 0, most
            while low < high:
                middle = (low + high + 1) // 2
                mean, _ = gain_of(missed, later, a, b, top - middle, come[a], stock_b, others_come + middle - 1, 1,
                                  gap_from, gap_to, between)  # fmt: skip
                if mean > cost[move]:
                    low = middle
                else:
                    high = middle - 1
            for part in (1, 2, 4, most):
                tried = -(-low // part)
                if tried == 0:
                    break
                mean, variance = gain_of(missed, later, a, b, top - tried, come[a], stock_b, others_come, tried,
                                         gap_from, gap_to, between)  # fmt: skip
                if mean - cost[move] * tried > max(sd_share * np.sqrt(variance), gain_minor):
                    best = tried
                    break
        kept[move] = best
        given[a] += best - most
        come[b] += best - most
        if best > 0:
            gives[a] = True
            takes[b] = True


sure_moves: Any = compiled(_sure_moves)


def _moved_gains(source, target, units, missed, later, stock, worth, left, given, come, gain, low, high, saved):
    """What each of the moves made brings beside all others, before its cost: its mean, the 5 % and the 95 % quantile of
    the draws, and the mean of units sold more."""
    paths = missed.shape[1]
    brings = np.empty(paths)
    for move in range(len(units)):
        a, b, most = source[move], target[move], units[move]
        rest, others = stock[a] - given[a], come[b] - most
        sold_more = 0
        for path in range(paths):
            lost = min(max(missed[a, path] - rest, 0), most)
            sold = min(wanted_of(missed[b, path], later[b, path], stock[b], others), most)
            sold_more += sold - lost
            brings[path] = left[b] * most + (worth[b] - left[b]) * sold - left[a] * most - (worth[a] - left[a]) * lost
        brings.sort()
        gain[move] = brings.mean()
        low[move], high[move] = brings[int(0.05 * paths)], brings[int(0.95 * paths)]
        saved[move] = sold_more / paths


moved_gains: Any = compiled(_moved_gains)
