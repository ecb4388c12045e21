"""Every counter is a sum that can be made again: compare, and repair what can be repaired.

The promises are the views `invariant_*`: healthy means no rows. `verify` reads them all; `rebuild`
makes the counters again from what they count. The ledger itself is the witness: an entry that was
changed or lost is found (its neighbours, its position or its own kind disagree with it) and cannot
be made again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString, cast

from psycopg import Connection, sql
from psycopg.rows import TupleRow, dict_row

from onhand.base.actor import Actor
from onhand.db.outbox import write_event
from onhand.db.queries import queries

SQL = queries(__file__)

_POSITION = "invariant_position_is_the_sum_of_its_entries"
_CAPACITY = "invariant_capacity_is_promised"
_PARCELS = "invariant_parcels_are_promised"
_INBOUND = "invariant_inbound_promise_is_queued"
_LEDGER = ("invariant_ledger_is_unbroken", "invariant_entry_means_what_it_says")
_COUNTERS = ("on_hand", "unavailable", "allocated", "oversold")

# Some positions per event: a reader fetches them in one statement.
_EVENT_POSITIONS_MAX = 10_000
_REBUILT = Actor(reason="rebuilt from the ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One broken promise: the view that shows it and its row.

    is_repairable  `rebuild` puts it right
    """

    check: str
    row: dict[str, Any]
    is_repairable: bool
    message: str


def verify(
    conn: Connection[TupleRow],
    progress: Callable[[str, int, int], None] | None = None,
    *,
    most: int = 1000,
) -> list[Difference]:
    """Recompute every counter from the ledger and read every other promise; what differs.

    progress  called with (check about to run, checks done, checks in all)
    most      differences shown of each check

    One snapshot for all checks, so writers may go on meanwhile. Reads each table a few times: some
    5 s for a million entries with the orders behind them.
    """
    differences: list[Difference] = []
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        conn.execute("SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)")
        views = [view for (view,) in conn.execute(SQL["invariant_views"])]
        # The ledger first: what its state says decides what can be repaired.
        views.sort(key=lambda view: (view not in _LEDGER, view))
        damaged: set[tuple[int, int]] = set()
        with conn.cursor(row_factory=dict_row) as cursor:
            for number, view in enumerate(views):
                if progress is not None:
                    progress(view, number, len(views))
                statement = sql.SQL("SELECT * FROM {} LIMIT %s").format(sql.Identifier(view))
                rows = cursor.execute(statement, (most,)).fetchall()
                if view in _LEDGER:
                    damaged.update((row["item_id"], row["node_id"]) for row in rows)
                    if len(rows) == most:
                        damaged.update(_damaged(conn, view))
                differences += [_judge(view, row, damaged) for row in rows]
    if progress is not None:
        progress("", len(views), len(views))
    return differences


def _damaged(conn: Connection[TupleRow], view: str) -> list[tuple[int, int]]:
    name = sql.Identifier(view)
    rows = conn.execute(sql.SQL("SELECT DISTINCT item_id, node_id FROM {}").format(name))
    return cast("list[tuple[int, int]]", rows.fetchall())


def _judge(view: str, row: dict[str, Any], damaged: set[tuple[int, int]]) -> Difference:
    is_repairable = False
    if view in _LEDGER:
        message = (
            f"ledger entry {row['entry_id']} was changed, or entries before it are missing: the ledger"
            " cannot be made again, restore it from a backup"
        )
    elif view == _POSITION:
        is_repairable, message = _judge_position(row, (row["item_id"], row["node_id"]) in damaged)
    elif view == _CAPACITY:
        is_repairable, message = True, "capacity promised on that day is not what fulfilments use"
    elif view == _PARCELS:
        is_repairable, message = True, "parcels promised of that day are not those of its fulfilments"
    elif view == _INBOUND and row["promised"] != row["queued"]:
        is_repairable, message = True, "units promised of that line are not those that wait for it"
    else:
        message = view.removeprefix("invariant_").replace("_", " ") + ": this does not hold"
    return Difference(check=view, row=row, is_repairable=is_repairable, message=message)


def _judge_position(row: dict[str, Any], is_damaged: bool) -> tuple[bool, str]:
    wrong = [c for c in _COUNTERS if (row[c] or 0) != (row[f"ledger_{c}"] or 0)]
    missing = (row["version"] or 0) - (row["ledger_version"] or 0)
    if is_damaged:
        return False, "the ledger of this position is damaged: the position is left as it is"
    if missing > 0 and wrong:
        return False, (
            f"the last {missing} ledger entries of this position are missing: they cannot be made"
            " again, restore them from a backup"
        )
    return True, f"not the sum of its entries: {', '.join(wrong) or 'version'}"


def rebuild(conn: Connection[TupleRow]) -> int:
    """Make the counters again: positions from the ledger, capacity from fulfilments, promised
    supply from the queues. How many rows were wrong.

    Keeps all writers out while it works. Leaves positions alone whose ledger is damaged: `verify`
    goes on to show them.
    """
    with conn.transaction():
        # Writers under way are waited for; their transactions are short.
        conn.execute("SELECT set_config('lock_timeout', '60s', true)")
        conn.execute(SQL["lock_counters"])
        row = conn.execute(SQL["rebuild_positions"]).fetchone()
        assert row is not None, "an aggregate always returns a row"
        items, nodes = row
        repaired = len(items)
        for name in ("rebuild_capacity", "rebuild_parcels", "rebuild_promised"):
            repaired += conn.execute(SQL[cast(LiteralString, name)]).rowcount
        for first in range(0, len(items), _EVENT_POSITIONS_MAX):
            part = slice(first, first + _EVENT_POSITIONS_MAX)
            data = {"items": items[part], "nodes": nodes[part]}
            write_event(conn, "stock.changed", "stock", data, actor=_REBUILT, origin=0)
    return repaired
