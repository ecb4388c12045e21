"""How likely a node is to reject a line, learned from what nodes have answered. Pure.

Shares of a few lines say little: each is shrunk towards what it is a part of, as far as the cells of its level scatter
no more than chance (Beta-Binomial; empirical Bayes). In four levels:

    all    π       the share of all lines, with one rejection in PRIOR_LINES lines counted besides
    node   π_k     towards π
    hour   π_kh    towards π_k · π_h / π: the hours of a node, expected to be like those of all nodes
    item   r_i     towards 1: how much likelier the item is rejected than lines of its nodes are; likewise at one node
                   r_ik, towards r_i

A cell with x rejections in n lines and expected share m has the share (x + s · m) / (n + s). The strength s = 1 / ρ - 1
follows from the excess scatter of the level, by moments (J. C. Kleinman 1973, JASA 68): with
Q = Σ n (x/n - m)² / (m (1 - m)) over J cells, E[Q] = Σ (1 + (n - 1) ρ).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

HOURS = 24
# Before anything is known: one line in so many is rejected.
PRIOR_LINES = 100.0
# What scatters hardly or wildly is taken for so much at least, or at most.
_RHO_MIN, _RHO_MAX = 1e-3, 0.5
_SHARE_MIN, _SHARE_MAX = 1e-6, 0.999


class Answered(NamedTuple):
    """What nodes have answered, in cells that may repeat; all of one length. node, item int32: ids; hour int32: of the
    day, UTC, when the line was given to the node; lines, rejected int32."""

    node: Int32
    item: Int32
    hour: Int32
    lines: Int32
    rejected: Int32

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Answered":
        return Answered(*(column[chosen] for column in self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejections:
    """share  float32[24, node]: of the lines given to a node at an hour
    ratio  float32[item, node]: how much likelier an item is; empty when no item stands out"""

    share: Float32
    ratio: Float32


def learn(answered: Answered, items: int, nodes: int) -> Rejections:
    """What to expect of item ids below `items` and node ids below `nodes`."""
    node, item, hour = answered.node, answered.item, answered.hour
    n, x = answered.lines.astype(np.float64), answered.rejected.astype(np.float64)
    overall = (float(x.sum()) + 1.0) / (float(n.sum()) + PRIOR_LINES)
    by_node = _shrunk(*_cells((node,), (nodes,), n, x), np.full(nodes, overall))
    hours_n, hours_x = _cells((hour,), (HOURS,), n, x)
    by_hour = _shrunk(hours_n, hours_x, np.full(HOURS, overall))
    usual = np.clip(by_hour[:, np.newaxis] / overall * by_node, _SHARE_MIN, _SHARE_MAX)
    share = _shrunk(*_cells((hour, node), (HOURS, nodes), n, x), usual)
    # Of each item, and of each item at a node, what is rejected beyond what its nodes and hours explain.
    due = n * share[hour, node]
    of_item_due = _cells((item,), (items,), n, due)[1]
    of_item = _ratio(*_cells((item,), (items,), n, x), of_item_due, np.ones(items))
    cell_n, cell_x = _cells((item, node), (items, nodes), n, x)
    cell_due = _cells((item, node), (items, nodes), n, due)[1]
    ratio = _ratio(cell_n, cell_x, cell_due, np.broadcast_to(of_item[:, np.newaxis], (items, nodes)))
    return Rejections(
        share=share.astype(np.float32),
        ratio=ratio.astype(np.float32) if x.any() else np.zeros((0, 0), np.float32),
    )


def strength(lines: Float64, rejected: Float64, expected: Float64) -> float:
    """Lines that the expected share counts for, beside those of a cell: many where cells scatter no more than chance.

    lines, rejected, expected  float64[cell]: n, x and m; cells without lines count for nothing
    """
    seen = lines > 0
    n, m = lines[seen], np.clip(expected[seen], _SHARE_MIN, _SHARE_MAX)
    spare = float(n.sum() - len(n))
    if spare <= 0:
        return 1.0 / _RHO_MIN - 1.0
    scatter = float((n * (rejected[seen] / n - m) ** 2 / (m * (1.0 - m))).sum())
    rho = float(np.clip((scatter - len(n)) / spare, _RHO_MIN, _RHO_MAX))
    return 1.0 / rho - 1.0


def _shrunk(lines: Float64, rejected: Float64, expected: Float64) -> Float64:
    s = strength(lines.ravel(), rejected.ravel(), expected.ravel())
    return (rejected + s * expected) / (lines + s)


def _ratio(lines: Float64, rejected: Float64, due: Float64, usual: Float64) -> Float64:
    """Shrunk towards `usual`; `due`: rejections to be expected of lines that are like any other."""
    mean = np.clip(np.divide(due, lines, out=np.zeros_like(due), where=lines > 0) * usual, 0.0, _SHARE_MAX)
    s = strength(lines.ravel(), rejected.ravel(), mean.ravel())
    share = (rejected + s * mean) / (lines + s)
    return np.where(mean > 0, usual * share / np.where(mean > 0, mean, 1.0), usual)


def _cells(at: tuple[Int32, ...], shape: tuple[int, ...], lines: Float64, rejected: Float64) -> tuple[Float64, Float64]:
    """Sums of lines and rejections by cell."""
    flat = np.ravel_multi_index(at, shape)
    size = int(np.prod(shape))

    def of(what: Float64) -> Float64:
        # Of nothing at all the sums would be integers.
        return np.bincount(flat, what, size).astype(np.float64).reshape(shape)

    return of(lines), of(rejected)


__all__ = ["HOURS", "PRIOR_LINES", "Answered", "Rejections", "learn", "strength"]
