"""The SQL of gates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.base.ids import new_ids, texts
from onhand.channels.gates.controller import Budget
from onhand.channels.gates.live import Changed, Int32, Supply
from onhand.db import arrays, queries
from onhand.db.outbox import Cursor

SQL = queries(__file__)
_NIL: Final = "00000000-0000-0000-0000-000000000000"
_ROWS_AT_ONCE: Final = 20_000
_NO_ROWS: Final[tuple[list[Any], ...]] = ([], [], [])


class Heard(NamedTuple):
    """Units that a channel sold; moments in seconds since 1970. is_first: of the rows of one sale."""

    channel_id: int
    item_id: int
    units: int
    heard_s: float
    sold_s: float
    is_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was sold before now: units by (item_id, channel_id) in `hours`, and since the moment `began_s` each."""

    units: dict[tuple[int, int], float]
    hours: float
    began_s: float
    since: list[Heard]
    mean_minor: dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A budget that has something to learn from, since a moment."""

    channel_id: int
    budget: Budget
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """A computed gate as last noted; see `words.Why`."""

    sku: str
    units: int
    stock: int
    at: datetime
    seller: str | None
    rate_per_h: float
    usual_per_h: float
    lag_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """Where the price of risk of a channel stands, and what the last period came to."""

    alpha: float
    tau: float
    seen: float
    learned_to: datetime
    orders: int
    oversold: int


def computed(conn: Connection[TupleRow]) -> frozenset[int]:
    """Active channels whose gates are computed."""
    row = conn.execute(SQL["computed"]).fetchone()
    return frozenset() if row is None or row[0] is None else frozenset(row[0])


# Sales ----------------------------------------------------------------------------------------------------------------


def sales_heard(conn: Connection[TupleRow], after: Cursor, to: Cursor) -> list[Heard]:
    """What was sold by events between two places, in the order in which it was heard of."""
    values = {"xid": after.xid, "pos": after.pos, "to_xid": to.xid, "to_pos": to.pos}
    return [Heard(*row[2:]) for row in conn.execute(SQL["sales_heard"], values) if row[4] > 0]


def history(conn: Connection[TupleRow], now_s: float, *, days: float, recent_h: float, limit: int) -> History:
    """Sales of the last `days`, of no more than the last `limit` orders; those of `recent_h` one by one."""
    recent_s, since_s = now_s - 3600.0 * recent_h, now_s - 86_400.0 * days
    values: dict[str, Any] = {"first": _id_of(since_s), "limit": limit, "since": since_s}
    oldest = conn.execute(SQL["oldest_order"], values).fetchone()
    tills = [Heard(*row, sold_s=row[3]) for row in conn.execute(SQL["last_sales_of_tills"], values)]
    begins = [oldest[1]] if oldest else []
    begins += [sale.heard_s for sale in tills[:1]]
    # Where one of the two is cut off, the other one is too: both tell of the same hours.
    cut = [oldest[1]] if oldest and oldest[2] >= limit else []
    cut += [sale.heard_s for sale in tills[:1] if len(tills) >= limit]
    began_s = max(cut) if cut else min(begins, default=now_s)
    tills = [sale for sale in tills if sale.units > 0 and sale.heard_s >= began_s]
    values |= {"first": _NIL if oldest is None else oldest[0], "began": began_s, "recent": recent_s}
    units = (
        {(item, channel): sold for item, channel, sold in conn.execute(SQL["sales_in_all"], values)} if oldest else {}
    )
    since = [Heard(*row, sold_s=row[3]) for row in conn.execute(SQL["sales_one_by_one"], values)] if oldest else []
    for sale in tills:
        if sale.heard_s < recent_s:
            key = sale.item_id, sale.channel_id
            units[key] = units.get(key, 0.0) + sale.units
        else:
            since.append(sale)
    since.sort(key=lambda sale: sale.heard_s)
    mean = dict(conn.execute(SQL["mean_orders"], values | {"limit": min(limit, 1_000)}).fetchall()) if oldest else {}
    return History(
        units=units, hours=max(0.0, (recent_s - began_s) / 3600.0), began_s=max(recent_s, began_s), since=since,
        mean_minor=mean,
    )  # fmt: skip


def _id_of(moment_s: float) -> str:
    """The least id that an order of that moment may have."""
    return texts(new_ids(1, now_ms=max(0, int(moment_s * 1000))))[0][:13] + "-7000-8000-000000000000"


def supply(conn: Connection[TupleRow]) -> Supply:
    """What is announced, likely and has not come."""
    row = conn.execute(SQL["supply"]).fetchone()
    items, nodes, due = row if row is not None and row[0] is not None else _NO_ROWS
    return Supply(np.array(items, np.int32), np.array(nodes, np.int32), np.array(due, np.float64))


# Latencies and gates --------------------------------------------------------------------------------------------------


def latencies(conn: Connection[TupleRow]) -> dict[int, dict[str, Any]]:
    """What was measured, by channel_id."""
    return dict(conn.execute(SQL["latencies"]).fetchall())


def save_hearing(conn: Connection[TupleRow], channel_id: int, latency: dict[str, Any]) -> None:
    """Write down what is measured of a channel that nothing is written to."""
    conn.execute(SQL["save_hearing"], {"channel_id": channel_id, "latency": msgspec.json.encode(latency).decode()})


def noted(conn: Connection[TupleRow], channel_id: int) -> tuple[Int32, Int32]:
    """(item_ids, units) of the gates that are noted of a channel."""
    row = conn.execute(SQL["noted"], {"channel_id": channel_id}).fetchone()
    items, units = row if row is not None and row[0] is not None else _NO_ROWS[:2]
    return np.array(items, np.int32), np.array(units, np.int32)


def save_gates(conn: Connection[TupleRow], gates: Sequence[Changed]) -> None:
    """Note gates that have changed."""
    # Of a gate that has changed twice only the last: a row may be written once; in one order, so that no two deadlock.
    last = {(gate.item_id, gate.channel_id): gate for gate in gates}
    rows = [last[key] for key in sorted(last)]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        channels, items, units, stock, sellers, now, usual, lags = zip(
            *rows[first : first + _ROWS_AT_ONCE], strict=True
        )
        values = {
            "items": arrays.int4(items), "channels": arrays.int4(channels), "units": arrays.int4(units),
            "stock": arrays.int4(stock), "sellers": arrays.nullable_int4(sellers), "rates": arrays.float8(now),
            "usual": arrays.float8(usual), "lags": arrays.float8(lags),
        }  # fmt: skip
        conn.execute(SQL["save_gates"], values)


def list_gates(conn: Connection[TupleRow], code: str, *, sku: str | None = None, limit: int) -> list[GateRow]:
    """Gates of a channel that are not 0, those that changed last first; with `sku` that of one item, if any."""
    with conn.cursor(row_factory=class_row(GateRow)) as rows:
        return rows.execute(SQL["list_gates"], {"code": code, "sku": sku, "limit": limit}).fetchall()


# Budgets --------------------------------------------------------------------------------------------------------------


def budgets(conn: Connection[TupleRow]) -> dict[int, Budget]:
    """What was learned, by channel_id."""
    return {row[0]: Budget(alpha=row[1], tau=row[2], seen=row[3]) for row in conn.execute(SQL["budgets"])}


def begin_budget(conn: Connection[TupleRow], channel_id: int, budget: Budget) -> None:
    """Learn from what is sold from now on, unless it is learned from already."""
    conn.execute(SQL["begin_budget"], {"channel_id": channel_id, "alpha": budget.alpha, "tau": budget.tau})


def set_budget(conn: Connection[TupleRow], channel_id: int, budget: Budget) -> None:
    """Take another target over."""
    values = {"channel_id": channel_id, "alpha": budget.alpha, "tau": budget.tau, "seen": budget.seen}
    conn.execute(SQL["set_budget"], values)


def due_budgets(conn: Connection[TupleRow], channels: Sequence[int], *, until: float, every_s: float) -> list[Due]:
    """Budgets with a whole period to learn from, locked until the transaction ends."""
    values = {"channels": list(channels), "until": until, "every_s": every_s}
    return [
        Due(channel_id=row[0], budget=Budget(alpha=row[1], tau=row[2], seen=row[3]), since=row[4])
        for row in conn.execute(SQL["due_budgets"], values)
    ]


def save_budget(
    conn: Connection[TupleRow], channel_id: int, budget: Budget, *, until: float, orders: int, oversold: int
) -> None:
    """What was learned from the orders up to `until`."""
    values = {
        "channel_id": channel_id, "tau": budget.tau, "seen": budget.seen, "until": until, "orders": orders,
        "oversold": oversold,
    }  # fmt: skip
    conn.execute(SQL["save_budget"], values)


def oversold_orders(conn: Connection[TupleRow], channel_id: int, since: float, until: float) -> tuple[int, int]:
    """(orders, oversold ones) that were placed on a channel in a period."""
    row = conn.execute(SQL["oversold_orders"], {"channel_id": channel_id, "since": since, "until": until}).fetchone()
    assert row is not None, "a count has a row"
    return row[0], row[1]


def get_budget(conn: Connection[TupleRow], code: str) -> BudgetRow | None:
    """Of a channel; None: its gates were never computed."""
    with conn.cursor(row_factory=class_row(BudgetRow)) as rows:
        return rows.execute(SQL["get_budget"], {"code": code}).fetchone()
