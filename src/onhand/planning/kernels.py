# pyright: basic
"""Loops of planning over rows and paths, compiled."""

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


interval_totals = compiled(_interval_totals)


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


def _cost_of(demand, position, quantity, target, stockout, carrying, fixed, cycle_mean, cycles_max):
    """Expected cost until the end of the protection time, and of units beyond the target until they are sold."""
    missing, left, _ = shortage(demand, position + quantity)
    cost = stockout * missing + carrying * left
    if quantity > 0:
        cost += fixed
        excess = min(position + quantity - target, quantity)
        if excess > 0:
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
        nothing = cost_of(demand[row], at, 0, target[row], p, h, k, mean, most)
        best, best_cost = 0, nothing
        if wanted[row] > 0:
            for candidate in (max(wanted[row] // lot * lot, least), max(-(-wanted[row] // lot) * lot, least)):
                cost = cost_of(demand[row], at, candidate, target[row], p, h, k, mean, most)
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
            value[row, step] = nothing - cost_of(demand[row], at, units, target[row], p, h, k, mean, most)
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


purchase_tables = compiled(_purchase_tables)


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


roll_out_paths = compiled(_roll_out)


def _worth_steps(before, after, stock, movable, coming, worth, left, missed, wanted, give_units, give_value, take_units,
                 take_value):  # fmt: skip
    """For each row, from draws of demand before and after transfers arrive: missed[row, path], so that the n-th unit of
    its stock is sold where missed >= n, and wanted[row, path], units that more stock would sell; and both as steps."""
    rows, paths = before.shape
    steps = give_units.shape[1]
    for row in range(rows):
        x, c = stock[row], coming[row]
        for path in range(paths):
            early, late = before[row, path], after[row, path]
            missed[row, path] = max(early, early + late - c)
            wanted[row, path] = max(0, late - max(0, x - early) - c)
        gap, least = max(0.0, worth[row] - left[row]), left[row]
        drawn = np.sort(missed[row])
        at, step = x, 0
        floor = x - movable[row]
        while at > floor and step < steps:
            # The next step ends where fewer than the next share of the draws reach, the last one at the floor.
            end = floor
            if step < steps - 1:
                reached = np.searchsorted(drawn, at, side="left")
                rank = reached - max(1, paths // steps)
                end = max(floor, min(drawn[rank] if rank >= 0 else floor, at - 1))
            give_units[row, step] = at - end
            sold = 0
            for path in range(paths):
                sold += min(drawn[path], at) - min(drawn[path], end)
            give_value[row, step] = least + gap * sold / (paths * (at - end))
            at = end
            step += 1
        drawn = np.sort(wanted[row])
        at, step = 0, 0
        most = drawn[paths - 1 - paths // 100]
        while at < most and step < steps:
            end = most
            if step < steps - 1:
                passed = np.searchsorted(drawn, at, side="right")
                rank = passed + max(1, paths // steps) - 1
                end = min(most, max(drawn[min(rank, paths - 1)], at + 1))
            take_units[row, step] = end - at
            sold = 0
            for path in range(paths):
                sold += min(drawn[path], end) - min(drawn[path], at)
            take_value[row, step] = least + gap * sold / (paths * (end - at))
            at = end
            step += 1


worth_steps = compiled(_worth_steps)
