"""The whole batch as one mixed-integer programme, solved by HiGHS: referee of the batch solver, and its last word.

One binary per cell (option, lines), one per refused line, one per order that refuses any line:

    min   sum cost x + sum refuse_line r + sum refuse f
    s.t.  sum of cells that hold line l + r_l = 1;  r_l <= f_o;  sum amount x <= capacity of every row
          sum of cells of an order <= fulfilments_max;  one fulfilment per order and node
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.sourcing import shadow
from onhand.sourcing.shadow import LINES_MAX, Cells, Table

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Verdict(NamedTuple):
    """cost is inf without a plan; `bound` is proved for the cells given; `taken` are positions of cells."""

    cost: float
    bound: float
    taken: Ints
    nodes: int  # of the tree that was searched
    is_done: bool  # not cut short


class _Entries:
    """Rows of a sparse matrix as they are thought of."""

    def __init__(self) -> None:
        self._rows: list[Ints] = []
        self._cols: list[Ints] = []
        self._values: list[Floats] = []
        self._lower: list[Floats] = []
        self._upper: list[Floats] = []
        self.count = 0

    def block(self, lower: Floats, upper: Floats) -> int:
        """Open a block of rows; its first number."""
        first = self.count
        self._lower.append(lower)
        self._upper.append(upper)
        self.count += len(lower)
        return first

    def add(self, rows: Ints, cols: Ints, values: Ints | Floats | float) -> None:
        self._rows.append(rows)
        self._cols.append(cols)
        self._values.append(np.broadcast_to(np.asarray(values, np.float64), rows.shape))

    def by_column(self, columns: int) -> tuple[Ints, Ints, Floats, Floats, Floats]:
        """(start, row, value, lower, upper)."""
        cols = np.concatenate(self._cols)
        turn = np.argsort(cols, kind="stable")
        start = np.searchsorted(cols[turn], np.arange(columns + 1))
        return (
            start,
            np.concatenate(self._rows)[turn],
            np.concatenate(self._values)[turn],
            np.concatenate(self._lower),
            np.concatenate(self._upper),
        )


def best_of(
    table: Table, cells: Cells, time_limit_s: float, *,
    start: Ints | None = None, fixed: Ints | None = None, gap: float = 1e-6, nodes_max: int = 2**31 - 1, seed: int = 0,
) -> Verdict:  # fmt: skip
    """Solve the programme over `cells`. `start` are the cells of a known plan. Without a result in time the bound is
    -inf and the cost inf (or that of the best plan found)."""
    import highspy  # noqa: PLC0415 - a second to load, and most processes never ask

    lines, orders, count = len(table.units), len(table.refuse), len(cells.option)
    order_of = np.repeat(np.arange(orders), np.diff(cells.first))
    order_of_line = np.repeat(np.arange(orders), np.diff(table.line_first))
    refused, any_refused = count, count + lines
    columns = count + lines + orders
    entries = _Entries()
    every_line = np.arange(lines)
    first = entries.block(np.ones(lines), np.ones(lines))
    for bit in range(LINES_MAX):
        holds = np.flatnonzero((cells.mask >> bit) & 1)
        entries.add(first + table.line_first[order_of[holds]] + bit, holds, 1.0)
    entries.add(first + every_line, refused + every_line, 1.0)
    first = entries.block(np.full(lines, -np.inf), np.zeros(lines))
    entries.add(first + every_line, refused + every_line, 1.0)
    entries.add(first + every_line, any_refused + order_of_line, -1.0)
    first = entries.block(np.full(len(cells.capacity), -np.inf), cells.capacity.astype(np.float64))
    entries.add(first + cells.row, np.repeat(np.arange(count), np.diff(cells.row_first)), cells.amount)
    few = table.fulfilments_max < np.diff(table.line_first)
    first = entries.block(np.full(int(few.sum()), -np.inf), table.fulfilments_max[few].astype(np.float64))
    limited = np.flatnonzero(few[order_of])
    entries.add(first + (np.cumsum(few) - 1)[order_of[limited]], limited, 1.0)
    group, groups = shadow.rivals(cells)
    first = entries.block(np.full(groups, -np.inf), np.ones(groups))
    rival = np.flatnonzero(group >= 0)
    entries.add(first + group[rival], rival, 1.0)

    start_of, row, value, lower, upper = entries.by_column(columns)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = columns, entries.count
    lp.col_cost_ = np.concatenate([cells.cost, table.refuse_line, table.refuse])
    at_least = np.zeros(columns)
    if fixed is not None:
        at_least[fixed] = 1.0
    lp.col_lower_, lp.col_upper_ = at_least, np.ones(columns)
    lp.row_lower_, lp.row_upper_ = lower, upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = start_of, row, value
    lp.integrality_ = [highspy.HighsVarType.kInteger] * columns
    highs = silent_solver()
    options = {"threads": 1, "random_seed": seed, "mip_rel_gap": gap, "mip_abs_gap": 1e-7, "mip_max_nodes": nodes_max}
    for name, setting in {**options, "time_limit": max(0.0, time_limit_s)}.items():
        highs.setOptionValue(name, setting)
    highs.passModel(lp)
    if start is not None:
        highs.setSolution(_solution(highspy, table, cells, order_of, start, columns))
    run(highs)
    status, info = highs.getModelStatus(), highs.getInfo()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    taken = np.flatnonzero(np.asarray(highs.getSolution().col_value)[:count] > 0.5) if found else np.zeros(0, np.int64)
    cost = float(info.objective_function_value) if found else math.inf
    bound = float(info.mip_dual_bound)
    if status == highspy.HighsModelStatus.kOptimal and not math.isfinite(bound):
        bound = cost
    return Verdict(
        cost,
        bound if math.isfinite(bound) else -math.inf,
        taken,
        int(info.mip_node_count),
        status == highspy.HighsModelStatus.kOptimal,
    )


def run(highs: Any) -> None:
    """Solve. Threads belong to the process: whoever ran HiGHS in it first has set how many there are, and a solver that
    asks for another number gives up."""
    import highspy  # noqa: PLC0415 - a second to load

    if highs.run() == highspy.HighsStatus.kError:
        highs.setOptionValue("threads", 0)  # those that there are
        highs.run()


def silent_solver() -> Any:
    """A solver that prints nothing. The constructor's first call, to enable callbacks, already writes a header to
    standard output, where a document may be expected: the flag must be off before it."""
    import highspy  # noqa: PLC0415 - a second to load

    class Silent(highspy.Highs):
        def enableCallbacks(self) -> None:  # noqa: N802 - the solver's name
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()  # pyright: ignore[reportUnknownMemberType] - the base is typed Any

    return Silent()


def _solution(highspy: Any, table: Table, cells: Cells, order_of: Ints, taken: Ints, columns: int) -> Any:
    values = np.zeros(columns)
    values[taken] = 1.0
    count, lines = len(cells.option), len(table.units)
    served = np.zeros(lines, bool)
    for pick in taken:
        for bit in range(LINES_MAX):
            if (cells.mask[pick] >> bit) & 1:
                served[table.line_first[order_of[pick]] + bit] = True
    values[count : count + lines] = ~served
    order_of_line = np.repeat(np.arange(len(table.refuse)), np.diff(table.line_first))
    values[count + lines + np.unique(order_of_line[~served])] = 1.0
    solution = highspy.HighsSolution()
    solution.col_value = values
    return solution
