"""Forget plans of long ago."""

from datetime import datetime, timedelta
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.flows.plans.job import KIND
from onhand.planning.store import purge

SQL = queries(__file__)

KEPT: Final = timedelta(days=90)
"""A quarter to ask why stock was moved; longer than plans look back at what was moved before, 60 days."""


def forget_plans(conn: Connection[TupleRow], now: datetime) -> int:
    """Forget proposals that have been over for so long, and the jobs of plans of which none is left; how many
    proposals. What is open, or on its way, stays."""
    before = now - KEPT
    forgotten = purge(conn, before)
    conn.execute(SQL["forget_jobs"], {"kind": KIND, "before": before})
    return forgotten
