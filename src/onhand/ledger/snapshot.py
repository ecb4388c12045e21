"""Available units of every position in memory, for decisions; never the truth.

A decision made from a stale snapshot is caught by the guarded statement and made again: staleness can cost a retry,
never a unit. `pending` holds units that this process has decided on and not yet committed, so that two batches in
flight do not count the same unit twice.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import arrays

Int32 = npt.NDArray[np.int32]

# Rows of a chunk are one array per column: libpq hands out COPY row by row, arrays arrive whole.
_LOAD = """
SELECT array_agg(p.item_id), array_agg(p.node_id), array_agg(p.on_hand - p.unavailable - p.allocated),
       array_agg(p.version), array_agg(coalesce(p.safety_stock, n.safety_stock_default))
FROM stock_position p JOIN node n USING (node_id)
WHERE p.item_id >= %b AND p.item_id < %b
"""
_READ = """
SELECT array_agg(p.item_id), array_agg(p.node_id), array_agg(p.on_hand - p.unavailable - p.allocated),
       array_agg(p.version), array_agg(coalesce(p.safety_stock, n.safety_stock_default))
FROM unnest(%b::int[], %b::int[]) AS t (item_id, node_id)
JOIN stock_position p USING (item_id, node_id) JOIN node n USING (node_id)
"""
_CHUNK_POSITIONS = 400_000


class Snapshot:
    """available, pending, safety, version: int32[item_id, node_id]; row and column 0 are unused."""

    def __init__(self, items: int = 0, nodes: int = 0) -> None:
        shape = (items + 1, nodes + 1)
        self.available: Int32 = np.zeros(shape, np.int32)
        self.pending: Int32 = np.zeros(shape, np.int32)
        self.safety: Int32 = np.zeros(shape, np.int32)
        self.version: Int32 = np.zeros(shape, np.int32)

    def grow(self, items: int, nodes: int) -> None:
        """Make room for ids up to `items` and `nodes`; grows by a quarter so that it is rarely needed."""
        rows, columns = self.available.shape
        if items < rows and nodes < columns:
            return
        shape = (
            max(rows, items + 1 + items // 4) if items >= rows else rows,
            max(columns, nodes + 1 + nodes // 4) if nodes >= columns else columns,
        )
        for name in ("available", "pending", "safety", "version"):
            old = getattr(self, name)
            new = np.zeros(shape, np.int32)
            new[:rows, :columns] = old
            setattr(self, name, new)

    def load(
        self,
        conn: Connection[TupleRow],
        items: int,
        nodes: int,
        progress: Callable[[int, int], None] | None = None,
        *,
        lock: AbstractContextManager[object],
    ) -> None:
        """Read every position. `lock` guards these arrays; it is not held while the database is waited for."""
        with lock:
            self.grow(items, nodes)
        step = max(1, _CHUNK_POSITIONS // max(nodes, 1))
        with conn.cursor(binary=True) as cursor:
            arrays.load_numpy(cursor.adapters)
            for first in range(1, items + 1, step):
                row = cursor.execute(_LOAD, (first, first + step)).fetchone()
                if row is not None and row[0] is not None:
                    with lock:
                        self.grow(int(row[0].max()), int(row[1].max()))  # what was created meanwhile
                        self.apply(*row)
                if progress is not None:
                    progress(min(first + step - 1, items), items)

    def apply(
        self,
        items: Int32,
        nodes: Int32,
        available: Int32,
        version: Int32,
        safety: Int32 | None = None,
    ) -> None:
        """Take committed values; an older version than the one known is ignored, so order of arrival is free."""
        newer = version >= self.version[items, nodes]
        i, n = items[newer], nodes[newer]
        self.available[i, n] = available[newer]
        self.version[i, n] = version[newer]
        if safety is not None:
            self.safety[items, nodes] = safety


def read_positions(conn: Connection[TupleRow], items: Int32, nodes: Int32) -> tuple[Int32, ...]:
    """Some positions as committed now, for `Snapshot.apply`."""
    with conn.cursor(binary=True) as cursor:
        arrays.load_numpy(cursor.adapters)
        row = cursor.execute(_READ, (arrays.int4(items), arrays.int4(nodes))).fetchone()
    return () if row is None or row[0] is None else row
