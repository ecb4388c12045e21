# pyright: basic
"""Compiled core of the joint batch: exact replies of orders to shadow prices, and plans built and repaired with them.

Every shared limit is a **row** (stock of an item at a node; orders, lines and units of a node; anything else an option
uses), every way to send a set of lines of an order by one option is a **cell** (option, mask). A cell costs its money
and takes whole amounts of rows. `Table` is all cells as the caller gave them; `Cells` is the pool of those that matter
at the prices of the day, with their rows spelled out, on which nearly all work is done.

For order o with lines F and prices p, all replies here are

    z_o(p) = min over at most fulfilments_max disjoint cells of  sum cost + sum p * amount + refusal(lines left)

exactly, by dynamic programming over subsets of its lines: w[T] = cheapest cell of exactly T, dp[S] = min over T in S
that holds the lowest line of S of w[T] + dp[S - T]: cells + 3^L / 2 steps. Then, for prices >= 0,

    bound(p) = sum_o z_o(p) - sum_r p_r * capacity_r  <=  cost of any feasible plan      (Lagrangian duality)

because a feasible plan uses no more than the capacity of each row (Geoffrion 1974).
"""

from typing import Any, NamedTuple

import numpy as np

from onhand.base.compiled import compiled

LINES_MAX = 8
_SUBSETS = 1 << LINES_MAX
FAR = 1e17  # more than any real cost; a cell at or above it does not exist
BENT_MAX = 16  # capacity up to which a row may have a price by amount
BENT_LAYERS = 64  # more than all times that amounts can be taken: 16 + 8 + 5 + 4 + 3 + 2 + 2 + 2
BLOCKED = 1e18  # price of the row that stands for "can never be used"


class Table(NamedTuple):
    """All options. Rows 0..rows-1 are limits; row `rows` is free (price 0) and row `rows + 1` is blocked."""

    line_first: Any  # int64[orders+1]
    units: Any  # int64[lines]
    fulfilments_max: Any  # int64[orders]
    refuse: Any  # float64[orders]
    refuse_line: Any  # float64[lines]
    option_first: Any  # int64[orders+1]
    node: Any  # int64[options], ascending within an order
    cost_first: Any  # int64[orders+1]
    cost: Any  # float64[.], option by option, subset by subset from mask 1
    slot_first: Any  # int64[orders+1]
    stock_row: Any  # int32[.], row of the stock that line l takes from option j: slot_first + j * lines + l
    node_row: Any  # int32[nodes, 3]
    use_first: Any  # int64[options+1]
    use_row: Any  # int32[.]
    use_amount: Any  # int64[.] an option's further rows, per fulfilment
    capacity: Any  # int64[rows+2]
    # Rows with their price by amount. Points 0..8 are free; then those of each bent row, ascending amounts.
    bent_row: Any  # int64[bent rows]
    bent_first: Any  # int64[bent rows+1], points
    point_amount: Any  # int64[points]
    point_most: Any  # int64[points], most times that anybody can take this amount
    slot_point: Any  # int32[.], like stock_row; 0 = the row has one price
    line_point: Any  # int32[nodes]: n lines at a node are point line_point + n; 0 = its row has one price


class Cells(NamedTuple):
    """A pool of cells, by (order, option, mask)."""

    first: Any  # int64[orders+1]
    option: Any  # int64[cells]
    mask: Any  # int64[cells]
    node: Any  # int64[cells]
    cost: Any  # float64[cells]
    row_first: Any  # int64[cells+1]
    row: Any  # int64[.]
    amount: Any  # int64[.]
    rows: Any  # int64[rows of the pool]: row of the table. `row` holds positions in it, `capacity` is in its order
    capacity: Any  # int64[rows of the pool]
    point: Any  # int32[.], of each entry: position in `points`
    points: Any  # int64[points of the pool]: point of the table; the first is free
    bent: Any  # int64[bent rows of the pool]: bent row of the table
    bent_first: Any  # int64[bent rows of the pool+1], positions in `points`


class Work(NamedTuple):
    """Scratch of one reply. `picks` holds the answer: cells (or table positions), -1 after the last."""

    w: Any
    cell: Any
    dp: Any  # float64[9, 256]
    choice: Any  # int64[9, 256]
    picks: Any
    many: Any  # int64[256], bits of each subset


def work() -> Work:
    return Work(
        np.empty(_SUBSETS),
        np.empty(_SUBSETS, np.int64),
        np.empty((LINES_MAX + 1, _SUBSETS)),
        np.empty((LINES_MAX + 1, _SUBSETS), np.int64),
        np.empty(LINES_MAX, np.int64),
        np.array([subset.bit_count() for subset in range(_SUBSETS)]),
    )


@compiled
def lowest(mask):
    """Index of the lowest bit."""
    index = 0
    while not (mask >> index) & 1:
        index += 1
    return index


@compiled
def bits(mask):
    count = 0
    while mask:
        count += 1
        mask &= mask - 1
    return count


@compiled
def refusal(table, order, mask):
    """Money of leaving the lines of `mask` unserved."""
    if mask == 0:
        return 0.0
    money = table.refuse[order]
    first = table.line_first[order]
    line = 0
    while mask:
        if mask & 1:
            money += table.refuse_line[first + line]
        mask >>= 1
        line += 1
    return money


@compiled
def _partition(table, order, lines, limit, work):
    """Cheapest plan of at most `limit` subsets with the costs work.w: its value; work.picks = their work.cell."""
    full = (1 << lines) - 1
    w, dp, choice = work.w, work.dp, work.choice
    if limit >= lines:
        # No layer is needed: a partition never has more parts than lines.
        best0 = dp[0]
        choice0 = choice[0]
        best0[0] = 0.0
        for subset in range(1, full + 1):
            low = subset & -subset
            rest = subset ^ low
            least = FAR
            taken = 0
            part = rest
            while True:
                value = w[part | low] + best0[rest ^ part]
                if value < least:
                    least = value
                    taken = part | low
                if part == 0:
                    break
                part = (part - 1) & rest
            best0[subset] = least
            choice0[subset] = taken
        layer = 0
    else:
        for subset in range(1, full + 1):
            dp[0, subset] = FAR
        dp[0, 0] = 0.0
        for f in range(1, limit + 1):
            dp[f, 0] = 0.0
            choice[f, 0] = 0
            for subset in range(1, full + 1):
                low = subset & -subset
                rest = subset ^ low
                least = FAR
                taken = 0
                part = rest
                while True:
                    value = w[part | low] + dp[f - 1, rest ^ part]
                    if value < least:
                        least = value
                        taken = part | low
                    if part == 0:
                        break
                    part = (part - 1) & rest
                dp[f, subset] = least
                choice[f, subset] = taken
        layer = limit
    value = refusal(table, order, full)
    served = 0
    for subset in range(1, full + 1):
        if dp[layer, subset] < FAR:
            money = dp[layer, subset] + refusal(table, order, full ^ subset)
            if money < value:
                value = money
                served = subset
    count = 0
    while served:
        part = choice[layer, served]
        work.picks[count] = work.cell[part]
        count += 1
        served ^= part
        if limit < lines:
            layer -= 1
    for index in range(count, LINES_MAX):
        work.picks[index] = -1
    return value


@compiled
def _open_cells(table, order, price, bend, work):
    """Fill work.w with the cheapest priced cell of every subset of `order` over all options; work.cell says where:
    option * 256 + mask."""
    line_first = table.line_first[order]
    lines = table.line_first[order + 1] - line_first
    count = 1 << lines
    w, cell = work.w, work.cell
    for subset in range(count):
        w[subset] = FAR
    paid = np.empty(_SUBSETS)
    many = work.many
    at = table.cost_first[order]
    slot = table.slot_first[order]
    for option in range(table.option_first[order], table.option_first[order + 1]):
        node = table.node[option]
        together = table.line_point[node]
        fixed = price[table.node_row[node, 0]]
        for use in range(table.use_first[option], table.use_first[option + 1]):
            fixed += price[table.use_row[use]] * table.use_amount[use]
        per_line = price[table.node_row[node, 1]]
        per_unit = price[table.node_row[node, 2]]
        paid[0] = fixed
        for line in range(lines):
            extra = table.units[line_first + line] * (price[table.stock_row[slot + line]] + per_unit) + per_line
            extra += bend[table.slot_point[slot + line]]
            # The subsets whose highest line is this one.
            bit = 1 << line
            for below in range(bit):
                paid[bit | below] = paid[below] + extra
                value = table.cost[at + (bit | below) - 1] + paid[bit | below]
                value += bend[together + many[bit | below]]
                if value < w[bit | below]:
                    w[bit | below] = value
                    cell[bit | below] = option * _SUBSETS + (bit | below)
        slot += lines
        at += count - 1


@compiled
def survey(
    table: Any, price: Any, bend: Any, delta: Any, cells_max: Any, work: Any, values: Any, keys: Any,
    begin: Any, end: Any,
) -> int:  # fmt: skip
    """Price every cell of the orders begin..end-1. Puts z_o(price) into `values`; with delta >= 0 also writes the keys
    (option * 256 + mask) of each order's cells that some plan dearer than z_o by at most `delta` holds, the cheapest
    `cells_max` of them, into `keys` and returns how many (-1: more than `keys` has room for). A cell left out for its
    price (not for the count) is in no plan cheaper than bound + delta."""
    found = 0
    rest_cost = np.empty(_SUBSETS)
    paid = np.empty(_SUBSETS)
    mine = np.empty(1 << 12)
    for order in range(begin, end):
        line_first = table.line_first[order]
        lines = table.line_first[order + 1] - line_first
        full = (1 << lines) - 1
        _open_cells(table, order, price, bend, work)
        values[order] = _partition(table, order, lines, table.fulfilments_max[order], work)
        if delta < 0.0:
            continue
        # rest_cost[S]: least for all lines of S, served or refused. The limit on fulfilments is ignored: a relaxation.
        if table.fulfilments_max[order] < lines:
            _partition(table, order, lines, lines, work)
        for subset in range(full + 1):
            least = refusal(table, order, subset)
            part = subset
            while part:
                money = work.dp[0, part] + refusal(table, order, subset ^ part)
                least = min(least, money)
                part = (part - 1) & subset
            rest_cost[subset] = least
        ceiling = values[order] + delta
        options = table.option_first[order + 1] - table.option_first[order]
        if options * full > mine.shape[0]:
            mine = np.empty(options * full)
        for attempt in range(2):
            count = 0
            at = table.cost_first[order]
            slot = table.slot_first[order]
            for option in range(table.option_first[order], table.option_first[order + 1]):
                node = table.node[option]
                together = table.line_point[node]
                fixed = price[table.node_row[node, 0]]
                for use in range(table.use_first[option], table.use_first[option + 1]):
                    fixed += price[table.use_row[use]] * table.use_amount[use]
                per_line = price[table.node_row[node, 1]]
                per_unit = price[table.node_row[node, 2]]
                paid[0] = fixed
                for line in range(lines):
                    extra = table.units[line_first + line] * (price[table.stock_row[slot + line]] + per_unit) + per_line
                    extra += bend[table.slot_point[slot + line]]
                    bit = 1 << line
                    for below in range(bit):
                        subset = bit | below
                        paid[subset] = paid[below] + extra
                        value = table.cost[at + subset - 1] + paid[subset] + rest_cost[full ^ subset]
                        value += bend[together + work.many[subset]]
                        if value <= ceiling:
                            if attempt == 0:
                                mine[count] = value
                            else:
                                if found >= keys.shape[0]:
                                    return -1
                                keys[found] = option * _SUBSETS + subset
                                found += 1
                            count += 1
                slot += lines
                at += full
            if attempt == 0 and count > cells_max:
                ceiling = np.partition(mine[:count], cells_max)[cells_max]
    return found


@compiled
def spell(table: Any, order_of: Any, option: Any, mask: Any, cells: Any) -> int:
    """Fill cost, node and rows of `cells` whose option and mask are known; returns how many row entries there are."""
    entries = 0
    for index in range(option.shape[0]):
        order = order_of[index]
        line_first = table.line_first[order]
        lines = table.line_first[order + 1] - line_first
        place = option[index] - table.option_first[order]
        node = table.node[option[index]]
        cells.node[index] = node
        cells.cost[index] = table.cost[table.cost_first[order] + place * ((1 << lines) - 1) + mask[index] - 1]
        cells.row_first[index] = entries
        free = table.capacity.shape[0] - 2
        sent_lines = 0
        sent_units = 0
        for line in range(lines):
            if (mask[index] >> line) & 1:
                sent_lines += 1
                sent_units += table.units[line_first + line]
                row = table.stock_row[table.slot_first[order] + place * lines + line]
                if row != free:
                    # Two lines of one item take from one row: one entry.
                    merged = False
                    for entry in range(cells.row_first[index], entries):
                        if cells.row[entry] == row:
                            cells.amount[entry] += table.units[line_first + line]
                            merged = True
                    if not merged:
                        cells.row[entries] = row
                        cells.point[entries] = table.slot_point[table.slot_first[order] + place * lines + line]
                        cells.amount[entries] = table.units[line_first + line]
                        entries += 1
        for kind in range(3):
            row = table.node_row[node, kind]
            if row != free:
                cells.row[entries] = row
                cells.point[entries] = 0
                if kind == 1 and table.line_point[node] > 0:
                    cells.point[entries] = table.line_point[node] + sent_lines
                cells.amount[entries] = 1 if kind == 0 else (sent_lines if kind == 1 else sent_units)
                entries += 1
        for use in range(table.use_first[option[index]], table.use_first[option[index] + 1]):
            if table.use_row[use] != free:
                cells.row[entries] = table.use_row[use]
                cells.point[entries] = 0
                cells.amount[entries] = table.use_amount[use]
                entries += 1
    cells.row_first[option.shape[0]] = entries
    return entries


@compiled
def _by_node(table, cells, order, lines, limit, value_of, work):
    """As `_partition`, but no two cells of one node: nodes one after another, layers [fulfilments, subset]."""
    full = (1 << lines) - 1
    begin, end = cells.first[order], cells.first[order + 1]
    limit = min(limit, lines)
    g = np.full((limit + 1, full + 1), FAR)
    g[0, 0] = 0.0
    back = np.full((end - begin, limit + 1, full + 1), -1, np.int32)
    w, cell = work.w, work.cell
    groups = 0
    index = begin
    while index < end:
        node = cells.node[index]
        for subset in range(full + 1):
            w[subset] = FAR
        while index < end and cells.node[index] == node:
            if value_of[index - begin] < w[cells.mask[index]]:
                w[cells.mask[index]] = value_of[index - begin]
                cell[cells.mask[index]] = index
            index += 1
        for f in range(limit, 0, -1):
            for subset in range(1, full + 1):
                part = subset
                while part:
                    if w[part] < FAR and g[f - 1, subset ^ part] + w[part] < g[f, subset]:
                        g[f, subset] = g[f - 1, subset ^ part] + w[part]
                        back[groups, f, subset] = cell[part] - begin
                    part = (part - 1) & subset
        groups += 1
    value = refusal(table, order, full)
    served = 0
    layer = 0
    for f in range(1, limit + 1):
        for subset in range(1, full + 1):
            if g[f, subset] < FAR and g[f, subset] + refusal(table, order, full ^ subset) < value:
                value = g[f, subset] + refusal(table, order, full ^ subset)
                served = subset
                layer = f
    count = 0
    group = groups - 1
    while served:
        if back[group, layer, served] >= 0:
            picked = begin + back[group, layer, served]
            work.picks[count] = picked
            count += 1
            served ^= cells.mask[picked]
            layer -= 1
        group -= 1
    for rest in range(count, LINES_MAX):
        work.picks[rest] = -1
    return value


@compiled
def reply(table, cells, order, price, bend, scale, left, bounded, work):
    """The best plan of one order from the pool at `scale * price`, of cells that fit into `left` (if `bounded`): its
    priced value; the cells are in work.picks. No node is used twice."""
    begin, end = cells.first[order], cells.first[order + 1]
    lines = table.line_first[order + 1] - table.line_first[order]
    limit = table.fulfilments_max[order]
    w, cell = work.w, work.cell
    for subset in range(1 << lines):
        w[subset] = FAR
    for index in range(begin, end):
        value = 0.0
        fits = True
        for entry in range(cells.row_first[index], cells.row_first[index + 1]):
            row = cells.row[entry]
            if bounded and left[row] < cells.amount[entry]:
                fits = False
                break
            value += price[row] * cells.amount[entry] + bend[cells.point[entry]]
        if fits:
            value = cells.cost[index] + scale * value
            mask = cells.mask[index]
            if value < w[mask]:
                w[mask] = value
                cell[mask] = index
    if lines == 1:
        value = refusal(table, order, 1)
        for index in range(LINES_MAX):
            work.picks[index] = -1
        if limit > 0 and w[1] < value:
            value = w[1]
            work.picks[0] = cell[1]
        return value
    value = _partition(table, order, lines, limit, work)
    picks = work.picks
    twice = False
    for a in range(lines):
        if picks[a] < 0:
            break
        for b in range(a):
            if cells.node[picks[a]] == cells.node[picks[b]]:
                twice = True
    if twice:
        value_of = np.empty(end - begin)
        for index in range(begin, end):
            money = 0.0
            for entry in range(cells.row_first[index], cells.row_first[index + 1]):
                if bounded and left[cells.row[entry]] < cells.amount[entry]:
                    money = FAR
                    break
                money += scale * (price[cells.row[entry]] * cells.amount[entry] + bend[cells.point[entry]])
            value_of[index - begin] = cells.cost[index] + money
        value = _by_node(table, cells, order, lines, limit, value_of, work)
    return value


@compiled
def narrow(table: Any, cells: Any) -> Cells:
    """The pool with only those rows that its plans can overfill, numbered anew."""
    count = table.capacity.shape[0] - 2
    # The most an order takes of a row is at most the largest amount of one cell, times its fulfilments.
    load = np.zeros(count, np.int64)
    most = np.zeros(count, np.int64)
    seen_by = np.full(count, -1, np.int64)
    for order in range(cells.first.shape[0] - 1):
        parts = min(table.fulfilments_max[order], table.line_first[order + 1] - table.line_first[order])
        for entry in range(cells.row_first[cells.first[order]], cells.row_first[cells.first[order + 1]]):
            row = cells.row[entry]
            if seen_by[row] != order:
                seen_by[row] = order
                most[row] = 0
            if cells.amount[entry] > most[row]:
                load[row] += (cells.amount[entry] - most[row]) * parts
                most[row] = cells.amount[entry]
    number = np.full(count, -1, np.int64)
    rows = 0
    for row in range(count):
        if load[row] > table.capacity[row]:
            number[row] = rows
            rows += 1
    kept = np.empty(rows, np.int64)
    for row in range(count):
        if number[row] >= 0:
            kept[number[row]] = row
    # Of the points of a bent row all stay.
    place = np.zeros(table.point_amount.shape[0], np.int32)
    bents = 0
    width = 1
    for bent in range(table.bent_row.shape[0]):
        if number[table.bent_row[bent]] >= 0:
            bents += 1
            width += table.bent_first[bent + 1] - table.bent_first[bent]
    points = np.zeros(width, np.int64)
    bent_of = np.empty(bents, np.int64)
    bent_first = np.empty(bents + 1, np.int64)
    bents = 0
    width = 1
    for bent in range(table.bent_row.shape[0]):
        if number[table.bent_row[bent]] >= 0:
            bent_of[bents] = bent
            bent_first[bents] = width
            bents += 1
            for point in range(table.bent_first[bent], table.bent_first[bent + 1]):
                place[point] = width
                points[width] = point
                width += 1
    bent_first[bents] = width
    total = 0
    for index in range(cells.option.shape[0]):
        begin, end = cells.row_first[index], cells.row_first[index + 1]
        cells.row_first[index] = total
        for entry in range(begin, end):
            if number[cells.row[entry]] >= 0:
                cells.row[total] = number[cells.row[entry]]
                cells.amount[total] = cells.amount[entry]
                cells.point[total] = place[cells.point[entry]]
                total += 1
    cells.row_first[cells.option.shape[0]] = total
    return Cells(
        cells.first,
        cells.option,
        cells.mask,
        cells.node,
        cells.cost,
        cells.row_first,
        cells.row[:total].copy(),
        cells.amount[:total].copy(),
        kept,
        table.capacity[kept],
        cells.point[:total].copy(),
        points,
        bent_of,
        bent_first,
    )


@compiled
def drift(table: Any, cells: Any, price: Any, passes: Any, step: Any, sequence: Any, work: Any) -> None:
    """Incremental subgradient: after each order the rows it takes get dearer by step * amount, and every row gets
    cheaper by step * capacity over a whole pass (Nedic, Bertsekas 2001). Quick far from the optimum. Returns nothing;
    `price` becomes the mean over the last half of the passes."""
    rows = cells.capacity.shape[0]
    orders = sequence.shape[0]
    mean = np.zeros(rows)
    seen = np.zeros(rows, np.int64)
    left = np.empty(0, np.int64)
    fall = step / orders * cells.capacity
    straight = np.zeros(cells.points.shape[0])
    counted = 0
    for turn in range(passes):
        for place in range(orders):
            order = sequence[place]
            now = turn * orders + place
            for entry in range(cells.row_first[cells.first[order]], cells.row_first[cells.first[order + 1]]):
                row = cells.row[entry]
                if seen[row] < now:
                    price[row] = max(0.0, price[row] - fall[row] * (now - seen[row]))
                    seen[row] = now
            reply(table, cells, order, price, straight, 1.0, left, False, work)
            for pick in work.picks:
                if pick < 0:
                    break
                for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                    price[cells.row[entry]] += step * cells.amount[entry]
        for row in range(rows):
            now = (turn + 1) * orders
            price[row] = max(0.0, price[row] - fall[row] * (now - seen[row]))
            seen[row] = now
        if turn * 2 >= passes:
            counted += 1
            for row in range(rows):
                mean[row] += price[row]
    for row in range(rows):
        price[row] = mean[row] / counted


@compiled
def fullest(amount: Any, most: Any, worth: Any, begin: Any, end: Any, capacity: Any, best: Any, took: Any) -> float:
    """The most that amounts [begin, end) that fit into `capacity` together are worth, none taken more than `most` times
    (a bounded knapsack, by dynamic programming over the capacity). `best` and `took` are scratch; after the last layer
    took[layer, room] is the point taken with so much room, or -1."""
    for room in range(capacity + 1):
        best[room] = 0.0
    layer = 0
    for point in range(begin, end):
        size = amount[point]
        if size > capacity:
            continue
        for _ in range(min(most[point], capacity // size)):
            for room in range(capacity, -1, -1):
                took[layer, room] = -1
                if room >= size and best[room - size] + worth[point] > best[room]:
                    best[room] = best[room - size] + worth[point]
                    took[layer, room] = point
            layer += 1
    return best[capacity]


@compiled
def ceilings(table: Any, bend: Any) -> float:
    """Sum over bent rows of the most that what fits into them pays at the prices `bend` of all points."""
    best, took = np.empty(BENT_MAX + 1), np.empty((BENT_LAYERS, BENT_MAX + 1), np.int64)
    total = 0.0
    for bent in range(table.bent_row.shape[0]):
        begin, end = table.bent_first[bent], table.bent_first[bent + 1]
        paid = False
        for point in range(begin, end):
            if bend[point] > 0.0:
                paid = True
        if paid:
            capacity = table.capacity[table.bent_row[bent]]
            total += fullest(table.point_amount, table.point_most, bend, begin, end, capacity, best, took)
    return total


@compiled
def climb(
    table: Any, cells: Any, centre: Any, bent_centre: Any, target: Any, rounds: Any, theta: Any, work: Any
) -> tuple[float, float]:
    """Raise the dual value over the pool by the volume algorithm (Barahona, Anbil 2000), from prices `centre` of rows
    and `bent_centre` of points, which it overwrites with the best found. Returns (value over the pool, step factor to
    go on with).

    The step is Polyak's, theta * (target - value) / |direction|^2, along a moving average of the subgradients; theta
    grows after a step that paid off in the direction of the average and shrinks after 10 that did not."""
    rows, points, bents = cells.capacity.shape[0], cells.points.shape[0], cells.bent.shape[0]
    orders = cells.first.shape[0] - 1
    price, bend = centre.copy(), bent_centre.copy()
    use, smooth = np.zeros(rows), np.zeros(rows)
    bent_use, bent_smooth = np.zeros(points), np.zeros(points)
    amount, most = table.point_amount[cells.points], table.point_most[cells.points]
    best_of, took = np.empty(BENT_MAX + 1), np.empty((BENT_LAYERS, BENT_MAX + 1), np.int64)
    room_of = table.capacity[table.bent_row[cells.bent]]
    is_bent = np.zeros(table.capacity.shape[0], np.bool_)
    for bent in range(bents):
        is_bent[table.bent_row[cells.bent[bent]]] = True
    left = np.empty(0, np.int64)
    best = -FAR
    idle = 0
    for step in range(rounds + 1):
        for row in range(rows):
            use[row] = -cells.capacity[row]
        bent_use[:] = 0.0
        value = 0.0
        for order in range(orders):
            value += reply(table, cells, order, price, bend, 1.0, left, False, work)
            for pick in work.picks:
                if pick < 0:
                    break
                for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                    use[cells.row[entry]] += cells.amount[entry]
                    bent_use[cells.point[entry]] += 1.0
        bent_use[0] = 0.0
        for bent in range(bents):
            begin, end = cells.bent_first[bent], cells.bent_first[bent + 1]
            value -= fullest(amount, most, bend, begin, end, room_of[bent], best_of, took)
            layer = 0
            for point in range(begin, end):
                if amount[point] <= room_of[bent]:
                    layer += min(most[point], room_of[bent] // amount[point])
            room = room_of[bent]
            while layer > 0:
                layer -= 1
                if took[layer, room] >= 0:
                    point = took[layer, room]
                    bent_use[point] -= 1.0
                    room -= amount[point]
            # What pays nothing takes the rest of the room as it is wanted.
            for point in range(begin, end):
                if bend[point] == 0.0 and bent_use[point] > 0.0:
                    times = min(bent_use[point], room // amount[point])
                    bent_use[point] -= times
                    room -= int(times) * amount[point]
        agree = 0.0
        for row in range(rows):
            if is_bent[cells.rows[row]]:
                use[row] = 0.0
            value -= price[row] * cells.capacity[row]
            agree += use[row] * smooth[row]
        for point in range(points):
            agree += bent_use[point] * bent_smooth[point]
        if value > best:
            best = value
            centre[:] = price
            bent_centre[:] = bend
            idle = 0
            if step > 0 and agree > 0.0:
                theta = min(theta * 1.1, 2.0)
        else:
            idle += 1
            if idle >= 6:
                theta = max(theta * 0.7, 1e-4)
                idle = 0
        share = 1.0 if step == 0 else 0.15
        norm = 0.0
        for row in range(rows):
            smooth[row] += share * (use[row] - smooth[row])
            # A price at its floor cannot fall: those rows must not shorten the step of the others.
            if smooth[row] > 0.0 or centre[row] > 0.0:
                norm += smooth[row] * smooth[row]
        for point in range(points):
            bent_smooth[point] += share * (bent_use[point] - bent_smooth[point])
            if bent_smooth[point] > 0.0 or bent_centre[point] > 0.0:
                norm += bent_smooth[point] * bent_smooth[point]
        if norm <= 1e-12 or target <= best:
            break
        length = theta * (target - best) / norm
        for row in range(rows):
            price[row] = max(0.0, centre[row] + length * smooth[row])
        for point in range(points):
            if bent_centre[point] < FAR:
                bend[point] = max(0.0, bent_centre[point] + length * bent_smooth[point])
    return best, theta


@compiled
def slots(
    line_first: Any,
    item: Any,
    units: Any,
    option_first: Any,
    node: Any,
    slot_first: Any,
    row_of: Any,
    stock: Any,
    blocked: Any,
    first_point: Any,
    rank: Any,
) -> tuple[Any, Any]:
    """int32[.]: the row of the stock that each line takes from each option, `blocked` where there is too little; and
    its point: that of its item and node, first_point[items, nodes] (0: none), and the `rank` of the line's units."""
    out = np.empty(slot_first[-1], np.int32)
    point = np.zeros(slot_first[-1], np.int32)
    for order in range(line_first.shape[0] - 1):
        slot = slot_first[order]
        for option in range(option_first[order], option_first[order + 1]):
            for line in range(line_first[order], line_first[order + 1]):
                here = stock[item[line], node[option]]
                out[slot] = row_of[item[line], node[option]] if here >= units[line] else blocked
                if here >= units[line] and first_point[item[line], node[option]] > 0:
                    point[slot] = first_point[item[line], node[option]] + rank[line]
                slot += 1
    return out, point


@compiled
def rivals(cells: Any) -> tuple[Any, int]:
    """(group of each cell or -1, groups): cells of one order and node of which two could be taken together for less
    than one cell of all their lines; only these need a constraint of their own to keep a node to one fulfilment."""
    group = np.full(cells.option.shape[0], -1, np.int64)
    groups = 0
    least = np.empty(_SUBSETS)
    for order in range(cells.first.shape[0] - 1):
        begin = cells.first[order]
        while begin < cells.first[order + 1]:
            end = begin
            least[:] = np.inf
            while end < cells.first[order + 1] and cells.node[end] == cells.node[begin]:
                least[cells.mask[end]] = min(least[cells.mask[end]], cells.cost[end])
                end += 1
            rival = False
            for a in range(begin, end):
                for b in range(begin, a):
                    if cells.mask[a] & cells.mask[b] == 0:
                        both = least[cells.mask[a] | cells.mask[b]]
                        if cells.cost[a] + cells.cost[b] < both:
                            rival = True
            if rival:
                group[begin:end] = groups
                groups += 1
            begin = end
    return group, groups
