"""Orders from units: baskets of the last weeks, with the lines that a path of demand asks for.

Baskets are drawn whole, because nodes have room for orders and lines, not for units alone, and where a customer lives
decides who serves him. Then lines of the items that are forecast are taken out or put in until the units are those of
the path. What a campaign adds comes on top as orders of one line, in an order that does not depend on how much it adds:
the orders of a smaller uplift are among those of a larger one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from onhand.planning.campaigns.model import DAY, Bool, Demand, Float64, Int32, Int64, World
from onhand.simulation import chance
from onhand.simulation.history import History
from onhand.sourcing.policies.facts import OrderFacts
from onhand.sourcing.solve import Asked

EXTRA, CUT = 11, 12  # what draws are about, beside those of simulation/chance.py


class Pool:
    """The orders of a world, by item."""

    def __init__(self, world: World, demand: Demand, channels: tuple[int, ...] | None) -> None:
        asked = world.history.orders
        self.world, self.demand = world, demand
        self.asked = asked
        items = len(world.history.available)
        self.row_of = np.full(items, -1, np.int32)
        self.row_of[demand.item] = np.arange(len(demand.item))
        owner = np.repeat(np.arange(len(world.history)), np.diff(asked.demand_first))
        self.like, self.like_units = self._by_row(owner, np.ones(len(owner), np.bool_))
        chosen = np.ones(len(owner), np.bool_) if channels is None else np.isin(asked.channel[owner], channels)
        self.campaign, self.campaign_units = self._by_row(owner, chosen)
        self.price, self.cost = (self._mean(column) for column in (asked.price, asked.cost))
        by_day = np.bincount(world.day - (world.last - world.days + 1), minlength=world.days)
        weekday = (np.arange(world.days) + world.last - world.days + 1) % 7
        self.counts = [by_day[weekday == day] for day in range(7)]
        self.every = by_day

    def _by_row(self, owner: Int64, which: Bool) -> tuple[list[Int64], list[Int32]]:
        """For each row of the forecast the orders that have the item, and how many units; where none has it, all
        orders, and one."""
        rows = self.row_of[self.asked.item]
        orders: list[Int64] = []
        units: list[Int32] = []
        for row in range(len(self.demand.item)):
            at = np.flatnonzero((rows == row) & which)
            every = np.unique(owner[which]) if which.any() else np.arange(len(self.world.history))
            orders.append(owner[at] if len(at) else every)
            units.append(self.asked.units[at] if len(at) else np.ones(len(every), np.int32))
        return orders, units

    def _mean(self, column: Float64 | None) -> Float64 | None:
        """float64[items]: of one unit."""
        if column is None:
            return None
        items, count = len(self.row_of), np.bincount(self.asked.item, minlength=len(self.row_of))
        return np.bincount(self.asked.item, column, items) / np.maximum(count, 1)

    def orders_on(self, day: int, random: np.random.Generator) -> int:
        """How many orders a day of the horizon has: as many as one of the same weekdays had."""
        counts = self.counts[(self.world.today + day) % 7]
        if not len(counts):
            counts = self.every
        return round(float(random.choice(counts)) * self.world.stand_for * float(self.demand.background[day]))


@dataclass(frozen=True, slots=True)
class Lines:
    """Baskets of a path without a campaign. Of orders: template (of the pool) and day; of lines: order, item, units."""

    template: Int64
    day: Int32
    order: Int64
    item: Int32
    units: Int64


@dataclass(frozen=True)
class Made:
    """Orders of a path, in the order they are placed.

    history   to be replayed
    template  int64[orders]: of the pool
    day       int32[orders]: days from today
    origin    int64[orders]: number among the baskets without a campaign, -1: of the campaign
    """

    history: History
    template: Int64
    day: Int32
    origin: Int64

    @cached_property
    def owner(self) -> Int64:
        """int64[demand rows]: the order of each."""
        return np.repeat(np.arange(len(self.template)), np.diff(self.history.orders.demand_first))


def draw_baskets(pool: Pool, units: Int64, path: int, seed: int) -> Lines:
    """Baskets whose units of the forecast items are `units` (int64[n, H])."""
    random = np.random.default_rng([seed, 2, path])
    days = units.shape[1]
    counts = [pool.orders_on(day, random) for day in range(days)]
    template = random.integers(0, len(pool.world.history), sum(counts))
    day = np.repeat(np.arange(days, dtype=np.int32), counts)
    first = pool.asked.demand_first
    sizes = np.diff(first)[template]
    order = np.repeat(np.arange(len(template)), sizes)
    starts = np.cumsum(sizes) - sizes
    row = np.arange(len(order)) - np.repeat(starts - first[:-1][template], sizes)
    item, amount = pool.asked.item[row], pool.asked.units[row].astype(np.int64)
    amount = _cut(pool.row_of[item], day[order], amount, units, random.random(len(order)))
    # What is missing is put where lines have become free, so that baskets stay as large as they are.
    more_row, more_day, more_units, _ = _missing(
        units - _total(pool.row_of[item], day[order], amount, units.shape), pool.like_units, (seed, path)
    )
    kept = amount > 0
    free = np.flatnonzero(~kept)
    free = free[np.lexsort((random.random(len(free)), day[order[free]]))]
    turn = np.argsort(more_day, kind="stable")
    rank = _rank(more_day[turn])
    free_day: Int32 = day[order[free]]
    edges: Int32 = np.arange(days + 1, dtype=np.int32)
    free_first = np.asarray(np.searchsorted(free_day, edges), np.int64)
    place = free_first[more_day[turn]] + rank
    fits = place < free_first[more_day[turn] + 1]
    joined = order[free[place[fits]]]
    alone = turn[~fits]
    # Who finds no place is an order of its own, like one that had the item.
    luck = chance.uniform(
        seed, EXTRA, np.full(len(alone), path), more_row[alone], more_day[alone], np.arange(len(alone))
    )
    likes = np.array([len(like) for like in pool.like])
    flat = np.concatenate(pool.like) if len(pool.like) else np.zeros(0, np.int64)
    begin = np.cumsum(likes) - likes
    new = flat[begin[more_row[alone]] + (luck * likes[more_row[alone]]).astype(np.int64)]
    return Lines(
        np.concatenate([template, new]),
        np.concatenate([day, more_day[alone]]).astype(np.int32),
        np.concatenate([order[kept], joined, len(template) + np.arange(len(alone))]),
        np.concatenate([item[kept], pool.demand.item[more_row[turn[fits]]], pool.demand.item[more_row[alone]]]),
        np.concatenate([amount[kept], more_units[turn[fits]], more_units[alone]]),
    )


def make_orders(pool: Pool, lines: Lines, units: Int64, path: int, seed: int, until: int | None = None) -> Made:
    """The orders of a path whose units of the forecast items are `units` (int64[n, H]): the baskets, less what is too
    much, and orders of one line for what is missing; those of days after `until` left out."""
    rows, day = pool.row_of[lines.item], lines.day[lines.order]
    mark = chance.uniform(seed, CUT, np.full(len(rows), path), np.arange(len(rows)))
    amount = _cut(rows, day, lines.units, units, mark)
    missing = units - _total(rows, day, amount, units.shape)
    row, new_day, new_units, nth = _missing(missing, pool.campaign_units, (seed, path))
    luck = chance.uniform(seed, EXTRA, np.full(len(row), path), row, new_day, nth)
    likes = np.array([len(like) for like in pool.campaign])
    begin = np.cumsum(likes) - likes
    flat = np.concatenate(pool.campaign)
    new = flat[begin[row] + (luck * likes[row]).astype(np.int64)]
    kept = amount > 0
    baskets = np.unique(lines.order[kept])
    number = np.full(len(lines.template), -1, np.int64)
    number[baskets] = np.arange(len(baskets))
    template = np.concatenate([lines.template[baskets], new])
    days: Int32 = np.concatenate([lines.day[baskets], new_day]).astype(np.int32)
    origin = np.concatenate([baskets, np.full(len(new), -1)])
    order = np.concatenate([number[lines.order[kept]], len(baskets) + np.arange(len(new))])
    item = np.concatenate([lines.item[kept], pool.demand.item[row]])
    amount = np.concatenate([amount[kept], new_units])
    return _history(pool, template, days, origin, order, item, amount, until)


def _history(
    pool: Pool,
    template: Int64,
    day: Int32,
    origin: Int64,
    order: Int64,
    item: Int32,
    units: Int64,
    until: int | None,
) -> Made:
    world = pool.world
    midnight = world.today * DAY
    placed = midnight + day * DAY + world.second[template]
    # Of today only what is still to come: the hours that are over have had their orders.
    open_ = placed >= world.history.begins
    if until is not None:
        # Later orders are decided later: they change nothing of these.
        open_ &= day <= until
    number = np.cumsum(open_) - 1
    kept = open_[order]
    template, day, origin, placed = template[open_], day[open_], origin[open_], placed[open_]
    order, item, units = number[order[kept]], item[kept], units[kept]
    turn = np.argsort(placed, kind="stable")
    place = np.empty(len(turn), np.int64)
    place[turn] = np.arange(len(turn))
    order = place[order]
    by = np.lexsort((item, order))
    order, item, units = order[by], item[by], units[by]
    # Two lines of one item in an order are one.
    new = np.ones(len(order), np.bool_)
    new[1:] = (order[1:] != order[:-1]) | (item[1:] != item[:-1])
    at = np.flatnonzero(new)
    units = np.add.reduceat(units, at) if len(at) else units
    order, item = order[at], item[at]
    template, day, origin, placed = template[turn], day[turn], origin[turn], placed[turn]
    history = world.history
    count = len(template)
    asked = Asked(
        demand_first=np.concatenate([[0], np.cumsum(np.bincount(order, minlength=count))]).astype(np.int32),
        item=item.astype(np.int32),
        units=units.astype(np.int32),
        excluded_first=np.zeros(count + 1, np.int32),
        excluded=np.zeros(0, np.int32),
        price=None if pool.price is None else pool.price[item],
        cost=None if pool.cost is None else pool.cost[item],
        **pool.asked.of_orders(template),
    )
    made = replace(
        history,
        orders=asked,
        placed=placed,
        may_wait=history.may_wait[template],
        may_split=history.may_split[template],
        wishes=history.wishes[template],
        facts=facts_of(history.facts, template),
    )
    return Made(made, template, day.astype(np.int32), origin)


def facts_of(facts: Callable[[int], OrderFacts] | None, rows: Int64) -> Callable[[int], OrderFacts] | None:
    """What conditions of policies see of the orders in these rows of others."""
    return None if facts is None else partial(_facts_at, facts, rows)


def _facts_at(facts: Callable[[int], OrderFacts], rows: Int64, order: int) -> OrderFacts:
    return facts(int(rows[order]))


def _cut(rows: Int32, day: Int32, amount: Int64, units: Int64, mark: Float64) -> Int64:
    """Of each line so much that the units of its item and day are no more than `units`; lines by their marks. Lines of
    items that are not forecast (row -1) stay."""
    cell = np.where(rows < 0, 0, rows.astype(np.int64) * units.shape[1] + day)
    turn = np.lexsort((mark, cell, rows < 0))
    sorted_cell, sorted_amount = cell[turn], amount[turn]
    before = np.cumsum(sorted_amount) - sorted_amount
    new = np.ones(len(turn), np.bool_)
    new[1:] = sorted_cell[1:] != sorted_cell[:-1]
    begin = np.maximum.accumulate(np.where(new, np.arange(len(turn)), 0)) if len(turn) else turn
    before -= before[begin] if len(turn) else 0
    left = np.clip(units.reshape(-1)[sorted_cell] - before, 0, sorted_amount)
    kept = np.empty(len(turn), np.int64)
    kept[turn] = left
    return np.where(rows < 0, amount, kept)


def _total(rows: Int32, day: Int32, amount: Int64, shape: tuple[int, ...]) -> Int64:
    known = rows >= 0
    cell = rows[known].astype(np.int64) * shape[1] + day[known]
    return np.bincount(cell, amount[known], shape[0] * shape[1]).astype(np.int64).reshape(shape)


def _missing(missing: Int64, like_units: list[Int32], key: tuple[int, int]) -> tuple[Int64, Int64, Int64, Int64]:
    """Lines (row, day, units, number within row and day) that make up what is missing, as large as the lines that the
    item usually has. A larger amount has the lines of a smaller one, of which the last may have grown."""
    missing = np.maximum(missing, 0)
    row, day = np.nonzero(missing)
    need = missing[row, day]
    # As many lines as there are units at most.
    cell = np.repeat(np.arange(len(row)), need)
    nth = np.arange(len(cell)) - np.repeat(np.cumsum(need) - need, need)
    sizes = np.array([len(like) for like in like_units])
    flat = np.concatenate(like_units) if len(like_units) else np.zeros(0, np.int32)
    begin = np.cumsum(sizes) - sizes
    luck = chance.uniform(key[0], EXTRA, np.full(len(cell), key[1]), row[cell], day[cell], nth)
    units = flat[begin[row[cell]] + (luck * sizes[row[cell]]).astype(np.int64)].astype(np.int64)
    before = np.cumsum(units) - units
    first = np.cumsum(need) - need
    before -= np.repeat(before[first], need) if len(cell) else 0
    units = np.minimum(units, need[cell] - before)
    some = units > 0
    return row[cell][some], day[cell][some], units[some], nth[some]


def _rank(sorted_groups: Int64) -> Int64:
    """Number of each within its group."""
    count = len(sorted_groups)
    new = np.ones(count, np.bool_)
    new[1:] = sorted_groups[1:] != sorted_groups[:-1]
    begin = np.maximum.accumulate(np.where(new, np.arange(count), 0)) if count else np.zeros(0, np.int64)
    return np.arange(count) - begin
