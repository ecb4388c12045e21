# pyright: basic
"""Compiled search for plans of many orders that share rows: a pass in a given order, then ruin and recreate.

A plan is `plan[order, 8]`: cells of the pool, -1 after the last. `left[row]` is what the plan leaves of each row and
never falls below 0.
"""

from typing import Any

import numpy as np

from onhand.base.compiled import compiled
from onhand.sourcing.shadow import LINES_MAX, refusal, reply


@compiled
def put(table, cells, order, plan, left, work):
    """Take the rows of work.picks and write them as the plan of `order`: its cost. A cell that no longer fits beside
    those before it (two cells on one carrier's row) is dropped and its lines are refused."""
    lines = table.line_first[order + 1] - table.line_first[order]
    missing = (1 << lines) - 1
    cost = 0.0
    count = 0
    for index in range(LINES_MAX):
        plan[order, index] = -1
    for pick in work.picks:
        if pick < 0:
            break
        fits = True
        for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
            if left[cells.row[entry]] < cells.amount[entry]:
                fits = False
        if fits:
            for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                left[cells.row[entry]] -= cells.amount[entry]
            plan[order, count] = pick
            count += 1
            missing ^= cells.mask[pick]
            cost += cells.cost[pick]
    return cost + refusal(table, order, missing)


@compiled
def lift(cells, order, plan, left):
    """Give back the rows of the plan of `order`."""
    for index in range(LINES_MAX):
        pick = plan[order, index]
        if pick < 0:
            break
        for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
            left[cells.row[entry]] += cells.amount[entry]
        plan[order, index] = -1


@compiled
def in_turn(
    table: Any,
    cells: Any,
    sequence: Any,
    price: Any,
    bend: Any,
    scale: Any,
    plan: Any,
    left: Any,
    costs: Any,
    work: Any,
) -> None:
    """Plan the orders one after another at `scale * price` with what is left; `plan` must be empty."""
    for order in sequence:
        reply(table, cells, order, price, bend, scale, left, True, work)
        costs[order] = put(table, cells, order, plan, left, work)


@compiled
def _random(state, below):
    """The next of Marsaglia's 64-bit xorshift, as an index in 0..below-1."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return np.int64((x >> np.uint64(33)) % np.uint64(below))


@compiled
def excess(cells, order, price, bend, plan, cost, value):
    """How much dearer, at the prices, the order's plan is than the best it could have."""
    money = cost - value
    for index in range(LINES_MAX):
        pick = plan[order, index]
        if pick < 0:
            break
        for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
            money += price[cells.row[entry]] * cells.amount[entry] + bend[cells.point[entry]]
    return money


@compiled
def ruin(
    table: Any,
    cells: Any,
    price: Any,
    bend: Any,
    values: Any,
    plan: Any,
    left: Any,
    costs: Any,
    user_first: Any,
    trials: Any,
    heat: Any,
    cool: Any,
    size_max: Any,
    draws: Any,
    state: Any,
    work: Any,
) -> float:
    """Take out a few orders that compete for rows, put them back in random order; keep it if not dearer than `heat`.

    The first order taken out is, of `draws` drawn, the one whose plan is furthest from its best at the prices: at the
    best prices these distances and unused but priced rows are all of the gap. Then those that hold the rows of its best
    plan, or of a random cell of the pool. They come back cheapest at a random share of the prices, the last at none.
    A dearer result is kept if it is dearer by less than heat * random (threshold accepting; Dueck, Scheuer 1990; ruin
    and recreate: Schrimpf et al. 2000). `heat` falls by the factor `cool` each trial.

    user_first  int64[rows+1], room for the orders that may use each row
    Returns the best cost; `plan`, `left`, `costs` are those of the best.
    """
    orders = costs.shape[0]
    rows = user_first.shape[0] - 1
    users = np.empty(user_first[rows], np.int32)
    used = np.zeros(rows, np.int64)
    total = 0.0
    for order in range(orders):
        total += costs[order]
        for index in range(LINES_MAX):
            pick = plan[order, index]
            if pick < 0:
                break
            for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                row = cells.row[entry]
                users[user_first[row] + used[row]] = order
                used[row] += 1
    far = np.empty(orders)
    for order in range(orders):
        far[order] = excess(cells, order, price, bend, plan, costs[order], values[order])
    best = total
    best_plan = plan.copy()
    best_costs = costs.copy()
    out = np.empty(size_max, np.int64)
    is_out = np.zeros(orders, np.bool_)
    kept = np.empty((size_max, LINES_MAX), plan.dtype)
    kept_cost = np.empty(size_max)
    nobody = left[:0]
    for _trial in range(trials):
        first = _random(state, orders)
        for _ in range(draws - 1):
            other = _random(state, orders)
            if far[other] > far[first]:
                first = other
        size = 2 + _random(state, size_max - 1)
        out[0] = first
        is_out[first] = True
        count = 1
        looked = 0
        while count < size and looked < size:
            # Whom to ask for room: any order already out.
            asks = out[_random(state, count)]
            looked += 1
            cells_of = cells.first[asks + 1] - cells.first[asks]
            if cells_of == 0:
                continue
            if looked == 1:
                reply(table, cells, asks, price, bend, 1.0, nobody, False, work)
            else:
                # A cell near the front is as good as any: the pool holds only cells near the best.
                work.picks[0] = cells.first[asks] + _random(state, cells_of)
                work.picks[1] = -1
            for pick in work.picks:
                if pick < 0:
                    break
                for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                    row = cells.row[entry]
                    if left[row] < cells.amount[entry] and used[row] > 0 and count < size:
                        other = users[user_first[row] + _random(state, used[row])]
                        if not is_out[other]:
                            is_out[other] = True
                            out[count] = other
                            count += 1
        before = 0.0
        for place in range(count):
            order = out[place]
            before += costs[order]
            kept_cost[place] = costs[order]
            for index in range(LINES_MAX):
                kept[place, index] = plan[order, index]
            _forget(cells, order, plan, users, used, user_first)
            lift(cells, order, plan, left)
        # Random order of return; the scarcer the prices say, the more they count.
        for place in range(count - 1, 0, -1):
            swap = _random(state, place + 1)
            out[place], out[swap] = out[swap], out[place]
            kept_cost[place], kept_cost[swap] = kept_cost[swap], kept_cost[place]
            for index in range(LINES_MAX):
                kept[place, index], kept[swap, index] = kept[swap, index], kept[place, index]
        scale = 0.25 * _random(state, 5)
        after = 0.0
        for place in range(count):
            order = out[place]
            reply(table, cells, order, price, bend, scale if place < count - 1 else 0.0, left, True, work)
            costs[order] = put(table, cells, order, plan, left, work)
            after += costs[order]
        if after <= before + heat * 0.001 * _random(state, 1000):
            total += after - before
            for place in range(count):
                order = out[place]
                _note(cells, order, plan, users, used, user_first)
                far[order] = excess(cells, order, price, bend, plan, costs[order], values[order])
            if total < best - 1e-9:
                best = total
                best_plan[:] = plan
                best_costs[:] = costs
        else:
            for place in range(count):
                lift(cells, out[place], plan, left)
            for place in range(count):
                order = out[place]
                costs[order] = kept_cost[place]
                for index in range(LINES_MAX):
                    pick = kept[place, index]
                    plan[order, index] = pick
                    if pick >= 0:
                        for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                            left[cells.row[entry]] -= cells.amount[entry]
                _note(cells, order, plan, users, used, user_first)
        for place in range(count):
            is_out[out[place]] = False
        heat *= cool
    for order in range(orders):
        lift(cells, order, plan, left)
    plan[:] = best_plan
    costs[:] = best_costs
    for order in range(orders):
        for index in range(LINES_MAX):
            pick = plan[order, index]
            if pick < 0:
                break
            for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                left[cells.row[entry]] -= cells.amount[entry]
    return best


@compiled
def _note(cells, order, plan, users, used, user_first):
    for index in range(LINES_MAX):
        pick = plan[order, index]
        if pick < 0:
            break
        for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
            row = cells.row[entry]
            users[user_first[row] + used[row]] = order
            used[row] += 1


@compiled
def _forget(cells, order, plan, users, used, user_first):
    for index in range(LINES_MAX):
        pick = plan[order, index]
        if pick < 0:
            break
        for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
            row = cells.row[entry]
            at = user_first[row]
            while users[at] != order:
                at += 1
            used[row] -= 1
            users[at] = users[user_first[row] + used[row]]


@compiled
def adopt(
    table: Any, cells: Any, taken: Any, price: Any, bend: Any, plan: Any, left: Any, costs: Any, values: Any, work: Any
) -> None:
    """Write the plan that takes the cells `taken` (of all orders, by order) into plan, left and costs; `values` become
    what each order could have at the prices if it were alone."""
    nobody = left[:0]
    at = 0
    for order in range(costs.shape[0]):
        values[order] = reply(table, cells, order, price, bend, 1.0, nobody, False, work)
        count = 0
        while at < taken.shape[0] and taken[at] < cells.first[order + 1]:
            work.picks[count] = taken[at]
            count += 1
            at += 1
        for index in range(count, LINES_MAX):
            work.picks[index] = -1
        costs[order] = put(table, cells, order, plan, left, work)
