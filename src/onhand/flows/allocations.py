"""What decided orders take from the shelves, as rows for the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from onhand.flows.intake import Intake
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


class Outcome(msgspec.Struct, kw_only=True, gc=False):
    """What became of one order. `row` is its row in the decisions, -1 without a plan."""

    intake: Intake
    row: int
    status: str = "sourced"
    queue: str | None = None
    deliver_at: int | None = None
    confidence: float = 0.0
    waiting: list[Waiting] = msgspec.field(default_factory=list[Waiting])
    answer: str = ""


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


def allocations(decisions: Decisions, outcomes: Sequence[Outcome], position_of: Int32, line_of: Int32) -> Allocations:
    """Picks of the decided orders as ledger rows. position_of: decision row -> 1-based order, 0 when it is left out;
    line_of: demand row -> order line, -1 where several lines share it."""
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
        order, fulfilment, item, node, units, line = _share_among_lines(
            outcomes, order, fulfilment, item, node, units, line
        )
    slot, cumulative, rank, *positions = stack(item, node, units)
    return Allocations(order, fulfilment, line, slot, units, cumulative, rank, *positions)


def _share_among_lines(
    outcomes: Sequence[Outcome],
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
            wants = left[o, i] = shares(outcomes[int(o) - 1], i)
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


def shares(outcome: Outcome, item_id: int) -> list[list[int]]:
    """[line_no, units] of one item over the lines of an order, less what waits in a queue."""
    waiting = {
        line_no: sum(w.units for w in outcome.waiting if w.item_id == item_id and w.line_no == line_no)
        for line_no in {w.line_no for w in outcome.waiting}
    }
    return [
        [line.line_no, units - waiting.get(line.line_no, 0)]
        for line in outcome.intake.lines
        for item, units in line.wants()
        if item == item_id and units > waiting.get(line.line_no, 0)
    ]
