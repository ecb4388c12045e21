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


class Work(NamedTuple):
    """Scratch of one reply. `picks` holds the answer: cells (or table positions), -1 after the last."""

    w: Any
    cell: Any
    dp: Any  # float64[9, 256]
    choice: Any  # int64[9, 256]
    picks: Any


def work() -> Work:
    return Work(
        np.empty(_SUBSETS),
        np.empty(_SUBSETS, np.int64),
        np.empty((LINES_MAX + 1, _SUBSETS)),
        np.empty((LINES_MAX + 1, _SUBSETS), np.int64),
        np.empty(LINES_MAX, np.int64),
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
def _open_cells(table, order, price, work):
    """Fill work.w with the cheapest priced cell of every subset of `order` over all options; work.cell says where:
    option * 256 + mask."""
    line_first = table.line_first[order]
    lines = table.line_first[order + 1] - line_first
    count = 1 << lines
    w, cell = work.w, work.cell
    for subset in range(count):
        w[subset] = FAR
    extra = np.empty(LINES_MAX)
    paid = np.empty(_SUBSETS)
    at = table.cost_first[order]
    slot = table.slot_first[order]
    for option in range(table.option_first[order], table.option_first[order + 1]):
        node = table.node[option]
        fixed = price[table.node_row[node, 0]]
        for use in range(table.use_first[option], table.use_first[option + 1]):
            fixed += price[table.use_row[use]] * table.use_amount[use]
        per_line = price[table.node_row[node, 1]]
        per_unit = price[table.node_row[node, 2]]
        paid[0] = fixed
        for line in range(lines):
            extra[line] = table.units[line_first + line] * (price[table.stock_row[slot + line]] + per_unit) + per_line
            # The subsets whose highest line is this one.
            bit = 1 << line
            for below in range(bit):
                paid[bit | below] = paid[below] + extra[line]
                value = table.cost[at + (bit | below) - 1] + paid[bit | below]
                if value < w[bit | below]:
                    w[bit | below] = value
                    cell[bit | below] = option * _SUBSETS + (bit | below)
        slot += lines
        at += count - 1


@compiled
def survey(table: Any, price: Any, delta: Any, cells_max: Any, work: Any, values: Any, keys: Any) -> int:
    """Price every cell. Puts z_o(price) into `values`; with delta >= 0 also writes the keys (option * 256 + mask) of
    each order's cells that some plan dearer than z_o by at most `delta` holds, the cheapest `cells_max` of them, into
    `keys` and returns how many. A cell left out for its price (not for the count) is in no plan cheaper than
    bound + delta."""
    found = 0
    rest_cost = np.empty(_SUBSETS)
    paid = np.empty(_SUBSETS)
    mine = np.empty(1 << 12)
    for order in range(values.shape[0]):
        line_first = table.line_first[order]
        lines = table.line_first[order + 1] - line_first
        full = (1 << lines) - 1
        _open_cells(table, order, price, work)
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
                fixed = price[table.node_row[node, 0]]
                for use in range(table.use_first[option], table.use_first[option + 1]):
                    fixed += price[table.use_row[use]] * table.use_amount[use]
                per_line = price[table.node_row[node, 1]]
                per_unit = price[table.node_row[node, 2]]
                paid[0] = fixed
                for line in range(lines):
                    extra = table.units[line_first + line] * (price[table.stock_row[slot + line]] + per_unit) + per_line
                    bit = 1 << line
                    for below in range(bit):
                        subset = bit | below
                        paid[subset] = paid[below] + extra
                        value = table.cost[at + subset - 1] + paid[subset] + rest_cost[full ^ subset]
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
                        cells.amount[entries] = table.units[line_first + line]
                        entries += 1
        for kind in range(3):
            row = table.node_row[node, kind]
            if row != free:
                cells.row[entries] = row
                cells.amount[entries] = 1 if kind == 0 else (sent_lines if kind == 1 else sent_units)
                entries += 1
        for use in range(table.use_first[option[index]], table.use_first[option[index] + 1]):
            if table.use_row[use] != free:
                cells.row[entries] = table.use_row[use]
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
def reply(table, cells, order, price, scale, left, bounded, work):
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
            value += price[row] * cells.amount[entry]
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
                money += scale * price[cells.row[entry]] * cells.amount[entry]
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
    total = 0
    for index in range(cells.option.shape[0]):
        begin, end = cells.row_first[index], cells.row_first[index + 1]
        cells.row_first[index] = total
        for entry in range(begin, end):
            if number[cells.row[entry]] >= 0:
                cells.row[total] = number[cells.row[entry]]
                cells.amount[total] = cells.amount[entry]
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
    counted = 0
    for turn in range(passes):
        for place in range(orders):
            order = sequence[place]
            now = turn * orders + place
            for entry in range(cells.row_first[cells.first[order]], cells.row_first[cells.first[order + 1]]):
                row = cells.row[entry]
                if seen[row] < now:
                    price[row] = max(0.0, price[row] - step * cells.capacity[row] * (now - seen[row]) / orders)
                    seen[row] = now
            reply(table, cells, order, price, 1.0, left, False, work)
            for pick in work.picks:
                if pick < 0:
                    break
                for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                    price[cells.row[entry]] += step * cells.amount[entry]
        for row in range(rows):
            now = (turn + 1) * orders
            price[row] = max(0.0, price[row] - step * cells.capacity[row] * (now - seen[row]) / orders)
            seen[row] = now
        if turn * 2 >= passes:
            counted += 1
            for row in range(rows):
                mean[row] += price[row]
    for row in range(rows):
        price[row] = mean[row] / counted


@compiled
def climb(table: Any, cells: Any, centre: Any, target: Any, rounds: Any, theta: Any, work: Any) -> tuple[float, float]:
    """Raise the dual value over the pool by the volume algorithm (Barahona, Anbil 2000), from prices `centre`, which
    it overwrites with the best prices found. Returns (value over the pool, step factor to go on with).

    The step is Polyak's, theta * (target - value) / |direction|^2, along a moving average of the subgradients; theta
    grows after a step that paid off in the direction of the average and shrinks after 10 that did not."""
    rows = cells.capacity.shape[0]
    orders = cells.first.shape[0] - 1
    price = centre.copy()
    use = np.zeros(rows)
    smooth = np.zeros(rows)
    left = np.empty(0, np.int64)
    best = -FAR
    idle = 0
    for step in range(rounds + 1):
        for row in range(rows):
            use[row] = -cells.capacity[row]
        value = 0.0
        for order in range(orders):
            value += reply(table, cells, order, price, 1.0, left, False, work)
            for pick in work.picks:
                if pick < 0:
                    break
                for entry in range(cells.row_first[pick], cells.row_first[pick + 1]):
                    use[cells.row[entry]] += cells.amount[entry]
        agree = 0.0
        for row in range(rows):
            value -= price[row] * cells.capacity[row]
            agree += use[row] * smooth[row]
        if value > best:
            best = value
            for row in range(rows):
                centre[row] = price[row]
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
        if norm <= 1e-12 or target <= best:
            break
        length = theta * (target - best) / norm
        for row in range(rows):
            price[row] = max(0.0, centre[row] + length * smooth[row])
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
) -> Any:
    """int32[.]: the row of the stock that each line takes from each option; `blocked` where there is too little."""
    out = np.empty(slot_first[-1], np.int32)
    for order in range(line_first.shape[0] - 1):
        slot = slot_first[order]
        for option in range(option_first[order], option_first[order + 1]):
            for line in range(line_first[order], line_first[order + 1]):
                here = stock[item[line], node[option]]
                out[slot] = row_of[item[line], node[option]] if here >= units[line] else blocked
                slot += 1
    return out


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
