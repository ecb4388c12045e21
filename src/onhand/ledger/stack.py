# pyright: basic
"""Many rows of units for few positions: what the ledger needs to write them by one statement."""

from typing import Any

import numpy as np

from onhand.base.compiled import compiled


@compiled
def stack(item: Any, node: Any, units: Any) -> Any:
    """Rows of units by position: int32[n] each in, and out:

    slot        1-based index of the row's position among the distinct ones, sorted by (item, node)
    cumulative  units of that position up to and including this row
    rank        1-based number of the row within its position
    items, nodes, totals, entries  of each position: ids, sum of units, number of rows
    """
    count = len(item)
    slot, cumulative, rank = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    items, nodes = np.empty(count, np.int32), np.empty(count, np.int32)
    totals, entries = np.empty(count, np.int32), np.empty(count, np.int32)
    keys = np.empty(count, np.int64)
    for k in range(count):
        keys[k] = (np.int64(item[k]) << 32) | np.int64(node[k])
    at = -1
    last = np.int64(-1)
    for k in np.argsort(keys, kind="mergesort"):
        if keys[k] != last:
            at += 1
            last = keys[k]
            items[at], nodes[at] = item[k], node[k]
            totals[at] = entries[at] = 0
        totals[at] += units[k]
        entries[at] += 1
        slot[k], cumulative[k], rank[k] = at + 1, totals[at], entries[at]
    made = at + 1
    return slot, cumulative, rank, items[:made], nodes[:made], totals[:made], entries[:made]
