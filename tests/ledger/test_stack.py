"""Rows of units by position, against the obvious way to count them."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.ledger.stack import stack

ROWS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 9)), max_size=40)


@settings(deadline=None)  # the first call may compile
@given(ROWS)
def test_rows_are_counted_up_within_their_position(rows):
    columns = np.array(rows, np.int32).reshape(-1, 3)
    slot, cumulative, rank, items, nodes, totals, entries = (
        column.tolist() for column in stack(*(np.ascontiguousarray(columns[:, n]) for n in range(3)))
    )
    positions = sorted({(item, node) for item, node, _ in rows})
    assert list(zip(items, nodes, strict=True)) == positions
    units, count = Counter(), Counter()
    for n, (item, node, wanted) in enumerate(rows):
        units[item, node] += wanted
        count[item, node] += 1
        assert (positions[slot[n] - 1], cumulative[n], rank[n]) == (
            (item, node),
            units[item, node],
            count[item, node],
        )
    assert totals == [units[p] for p in positions]
    assert entries == [count[p] for p in positions]
