"""What decided orders take from the shelves, as rows for the ledger."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from onhand.ledger.stack import stack
from onhand.sourcing.solve import Decisions

Int32 = npt.NDArray[np.int32]


@dataclass(slots=True, kw_only=True)
class Waiting:
    """Units of an order line that no shelf backs yet, with the inbound line they are promised from."""

    line_no: int
    item_id: int
    units: int
    queue: str
    inbound_id: str | None = None
    inbound_line: int | None = None
    node_id: int | None = None
    expected_at: datetime | None = None


class Fate(msgspec.Struct, kw_only=True):
    """What became of one order. `row` is its row in the decisions, -1 without a plan."""

    row: int
    status: str = "sourced"
    queue: str | None = None
    deliver_at: int | None = None
    confidence: float = 0.0
    waiting: list[Waiting] = msgspec.field(default_factory=list[Waiting])


@dataclass(slots=True)
class Allocations:
    """Units by fulfilment and order line, ready for the ledger; all int32, orders and slots 1-based."""

    order: Int32
    fulfilment: Int32
    line: Int32
    slot: Int32
    units: Int32
    cumulative: Int32
    rank: Int32
    items: Int32
    nodes: Int32
    totals: Int32
    entries: Int32


Shares = Callable[[int, int], list[list[int]]]


def allocations(decisions: Decisions, position_of: Int32, line_of: Int32, shares: Shares | None = None) -> Allocations:
    """Picks of the decided orders as ledger rows. position_of: decision row -> 1-based order, 0 when it is left out;
    line_of: demand row -> order line, -1 where several lines share it: what each wants of the item is asked of
    `shares(order, item_id)`, [line, units] in the order of the lines."""
    picks = int(decisions.pick_first[-1])
    order_of_pick = np.repeat(position_of, np.diff(decisions.pick_first))
    wanted = order_of_pick > 0
    demand = decisions.pick_demand[:picks][wanted]
    order = order_of_pick[wanted].astype(np.int32)
    fulfilment = decisions.pick_number[:picks][wanted]
    item = decisions.demand_item[demand]
    node = decisions.pick_node[:picks][wanted]
    units = decisions.pick_units[:picks][wanted]
    line = line_of[demand]
    if (line < 0).any():
        assert shares is not None, "lines that share an item say what each wants"
        order, fulfilment, item, node, units, line = _share_among_lines(
            shares, order, fulfilment, item, node, units, line
        )
    slot, cumulative, rank, *positions = stack(item, node, units)
    return Allocations(order, fulfilment, line, slot, units, cumulative, rank, *positions)


def _share_among_lines(
    shares: Shares,
    order: Int32,
    fulfilment: Int32,
    item: Int32,
    node: Int32,
    units: Int32,
    line: Int32,
) -> tuple[Int32, ...]:
    """Several lines of an order want the same item (twice the same sku, or bundles): fill them in line order."""
    rows: list[tuple[int, ...]] = []
    left: dict[tuple[int, int], list[list[int]]] = {}
    columns = (order, fulfilment, item, node, units, line)
    for o, f, i, n, u, at in zip(*(c.tolist() for c in columns), strict=True):
        if at > 0:
            rows.append((o, f, i, n, u, at))
            continue
        wants = left.get((o, i))
        if wants is None:
            wants = left[o, i] = shares(o, i)
        rest = u
        while rest:
            take = min(rest, wants[0][1])
            if take:
                rows.append((o, f, i, n, take, wants[0][0]))
            rest -= take
            wants[0][1] -= take
            if not wants[0][1]:
                wants.pop(0)
    return tuple(np.array(column, np.int32) for column in zip(*rows, strict=True))
