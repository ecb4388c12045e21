"""The SQL of campaigns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.db.queries import queries

SQL = queries(__file__)

State = Literal["accepted", "cancelled"]
NEWEST = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A campaign that was accepted. channels None: all; assessment: the job that assessed it; by: key id."""

    campaign_id: str
    name: str
    state: State
    items: list[str]
    channels: list[str] | None
    first_day: date
    last_day: date
    discount: float | None
    uplift: float
    assessment: str
    by: int
    created_at: datetime
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Room of a node's day that it is expected to take."""

    node_id: int
    day: date
    orders: int
    lines: int
    units: int


def add_campaign(conn: Connection[TupleRow], values: dict[str, Any], holds: Sequence[Hold]) -> None:
    """values: the columns of `campaign`."""
    conn.execute(SQL["add"], values)
    conn.execute(
        SQL["add_holds"],
        {
            "campaign_id": values["campaign_id"],
            "nodes": [h.node_id for h in holds],
            "days": [h.day for h in holds],
            "orders": [h.orders for h in holds],
            "lines": [h.lines for h in holds],
            "units": [h.units for h in holds],
        },
    )


def get_campaign(conn: Connection[TupleRow], campaign_id: str) -> Accepted | None:
    """A campaign by its id."""
    with conn.cursor(row_factory=class_row(Accepted)) as rows:
        return rows.execute(SQL["get"], {"campaign_id": campaign_id}).fetchone()


def accepted_of(conn: Connection[TupleRow], assessment: str) -> Accepted | None:
    """The campaign that goes by an assessment; nobody else accepts it until the transaction ends."""
    row = conn.execute(SQL["of_assessment"], {"assessment": assessment}).fetchone()
    return None if row is None else get_campaign(conn, row[0])


def also_promoted(conn: Connection[TupleRow], campaign_id: str) -> set[tuple[str, date]]:
    """(sku, day) of its items and days that another campaign has too."""
    return {(sku, day) for sku, day in conn.execute(SQL["also_promoted"], {"campaign_id": campaign_id})}


def list_campaigns(conn: Connection[TupleRow], *, before: str = NEWEST, limit: int) -> list[Accepted]:
    """Campaigns, the one that was accepted last first."""
    with conn.cursor(row_factory=class_row(Accepted)) as rows:
        return rows.execute(SQL["list"], {"before": before, "limit": limit}).fetchall()


def cancel_campaign(conn: Connection[TupleRow], campaign_id: str) -> bool | None:
    """Cancel it and give back its room; whether that changed anything, None: there is none."""
    row = conn.execute(SQL["lock"], {"campaign_id": campaign_id}).fetchone()
    if row is None:
        return None
    if row[0] == "cancelled":
        return False
    conn.execute(SQL["cancel"], {"campaign_id": campaign_id})
    conn.execute(SQL["drop_holds"], {"campaign_id": campaign_id})
    return True
