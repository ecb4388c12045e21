"""What happened in a period apart from the decisions: who asked for what, what came in and went out otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import Network
from onhand.sourcing.node_worth import NO_LOCAL, Local
from onhand.sourcing.policies.facts import OrderFacts
from onhand.sourcing.solve import PER_ORDER, Asked, first_rows

Bool = npt.NDArray[np.bool_]
Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]


class Moves(NamedTuple):
    """Changes of stock that no decision of the period made: receipts, counts, damage, returns, transfers, and what
    happened to orders from before. In order of time.

    at            float64[m], Unix seconds
    item, node    int32[m]
    units         int32[m], of what is available; signed
    is_supply     bool[m]: the arrival of units that were announced in `Inbound`
    """

    at: Float64
    item: Int32
    node: Int32
    units: Int32
    is_supply: Bool


class Inbound(NamedTuple):
    """Dated supply by (item, ready): when it became known and when it is expected, float64[l] Unix seconds; item and
    node, int32[l]; units, int32[l], that are not promised to orders from before."""

    known: Float64
    ready: Float64
    item: Int32
    node: Int32
    units: Int32


_NO_FLOAT, _NO_INT = np.zeros(0), np.zeros(0, np.int32)
NO_MOVES = Moves(_NO_FLOAT, _NO_INT, _NO_INT, _NO_INT, np.zeros(0, np.bool_))
NO_INBOUND = Inbound(_NO_FLOAT, _NO_FLOAT, _NO_INT, _NO_INT, _NO_INT)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A period as it can be replayed. Items are rows 0..I-1 of `goods`, `available` and `safety`.

    begins      Unix seconds; the stock is that of this moment
    orders      as `solve.Asked`, by the moment they were placed; `objective`, `fulfilments_max` and `attempts` are the
                policy's to fill in
    placed      float64[orders], Unix seconds, ascending
    may_wait    bool[orders]: whether units on their way may be promised
    may_split   bool[orders]
    wishes      int32[orders]: index into `objectives` of the objective the order names, -1 for none
    network     as it was at `begins`, with what was left of its days; never changed
    available   int32[item, node]
    safety      int32[item, node]
    rejection   float64[node]: probability that the node rejects a line
    facts       what conditions of policies see of an order; None: not known
    before      orders of the weeks before, that policies learn from which look forward; of it only `orders`, `placed`,
                `may_wait`, `may_split`, `wishes` and `facts` count
    stand_for   how many orders each of them stands for: more than 1 in a sample of orders from before
    local       what is known of sales at nodes in these weeks, and of what is cleared there
    """

    begins: float
    orders: Asked
    placed: Float64
    may_wait: Bool
    may_split: Bool
    wishes: Int32
    network: Network
    goods: Goods
    available: Int32
    safety: Int32
    rejection: Float64
    objectives: Sequence[str] = ()
    moves: Moves = NO_MOVES
    inbound: Inbound = NO_INBOUND
    facts: Callable[[int], OrderFacts] | None = None
    before: "History | None" = None
    stand_for: float = 1.0
    local: Local = NO_LOCAL

    def __post_init__(self) -> None:
        if np.any(np.diff(self.placed) < 0) or np.any(np.diff(self.moves.at) < 0):
            raise ValueError("expected orders and moves in order of time")
        if len(self.placed) and self.placed[0] < self.begins:
            raise ValueError("expected no order before the history begins")
        if self.before is not None and len(self.before) and self.before.placed[-1] >= self.begins:
            raise ValueError("expected orders from before to be placed before the history begins")

    def __len__(self) -> int:
        return len(self.placed)

    def first(self, orders: int) -> "History":
        """The same, of its first orders only: a shorter period, as leaving out orders here and there would leave more
        stock to the others than there was."""
        if orders >= len(self):
            return self
        return replace(
            self,
            orders=part(self.orders, 0, orders),
            placed=self.placed[:orders],
            may_wait=self.may_wait[:orders],
            may_split=self.may_split[:orders],
            wishes=self.wishes[:orders],
        )


def part(orders: Asked, start: int, stop: int) -> Asked:
    """Orders start:stop, as views."""
    first, excluded = orders.demand_first, orders.excluded_first
    a, b = int(first[start]), int(first[stop])
    x, y = int(excluded[start]), int(excluded[stop])

    def of_demand(column: Float64 | None) -> Float64 | None:
        return None if column is None else column[a:b]

    return Asked(
        demand_first=first[start : stop + 1] - first[start],
        item=orders.item[a:b],
        units=orders.units[a:b],
        excluded_first=excluded[start : stop + 1] - excluded[start],
        excluded=orders.excluded[x:y],
        price=of_demand(orders.price),
        cost=of_demand(orders.cost),
        **orders.of_orders(slice(start, stop)),
    )


def gather(
    orders: Asked, rows: Int32, demand: Sequence[Int32], units: Sequence[Int32], excluded: list[list[int]]
) -> Asked:
    """Orders again: `rows` of `orders`, of each these demand rows with so many units, without these nodes besides."""
    flat = np.concatenate(demand) if len(demand) else np.zeros(0, np.int32)
    nodes = [
        [*orders.excluded[orders.excluded_first[o] : orders.excluded_first[o + 1]].tolist(), *more]
        for o, more in zip(rows.tolist(), excluded, strict=True)
    ]
    return Asked(
        demand_first=first_rows([len(d) for d in demand]),
        item=orders.item[flat],
        units=np.concatenate(units) if len(units) else np.zeros(0, np.int32),
        excluded_first=first_rows([len(n) for n in nodes]),
        excluded=np.array([n for each in nodes for n in each], np.int32),
        price=None if orders.price is None else orders.price[flat],
        cost=None if orders.cost is None else orders.cost[flat],
        **orders.of_orders(rows),
    )


def join(early: History, late: History) -> History:
    """The orders of `early` and then those of `late`, all else as in `late`. Their items are the same rows, their
    objectives the same list."""
    a, b = early.orders, late.orders

    def both(name: str, missing: float = 0) -> Any:
        x, y = getattr(a, name), getattr(b, name)
        if x is None and y is None:
            return None
        shape = y if x is None else x
        x, y = (
            np.full((size, *shape.shape[1:]), missing, shape.dtype) if column is None else column
            for column, size in ((x, len(a.zone)), (y, len(b.zone)))
        )
        return np.concatenate([x, y])

    mine, theirs = early.facts, late.facts
    facts = None
    if theirs is not None and (mine is not None or not len(early)):
        facts = partial(_facts_of, mine, theirs, len(early))
    return replace(
        late,
        begins=min(early.begins, late.begins),
        orders=Asked(
            demand_first=np.concatenate([a.demand_first, b.demand_first[1:] + a.demand_first[-1]]),
            item=np.concatenate([a.item, b.item]),
            units=np.concatenate([a.units, b.units]),
            excluded_first=np.concatenate([a.excluded_first, b.excluded_first[1:] + a.excluded_first[-1]]),
            excluded=np.concatenate([a.excluded, b.excluded]),
            price=_joined(a.price, b.price),
            cost=_joined(a.cost, b.cost),
            **{name: both(name) for name in PER_ORDER},
        ),
        placed=np.concatenate([early.placed, late.placed]),
        may_wait=np.concatenate([early.may_wait, late.may_wait]),
        may_split=np.concatenate([early.may_split, late.may_split]),
        wishes=np.concatenate([early.wishes, late.wishes]),
        facts=facts,
        before=None,
    )


def _joined(early: Float64 | None, late: Float64 | None) -> Float64 | None:
    return None if early is None or late is None else np.concatenate([early, late])


def _facts_of(
    early: Callable[[int], OrderFacts] | None, late: Callable[[int], OrderFacts], count: int, order: int
) -> OrderFacts:
    if order >= count:
        return late(order - count)
    assert early is not None, "there are no earlier orders without facts"
    return early(order)
