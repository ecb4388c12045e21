"""What reconciliation of a channel has found: of the numbers that it shows, and of its orders."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.channels.inbound.store as inbound_store
from onhand.channels.publication import store
from onhand.db import Database

_LATEST = 2**63 - 1
_ORDERS = ("seen", "lost", "changed", "differing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What was found last.

    drift     of its numbers: how many listings of each kind, as `channels.publication.compare.Drift` names them
    examples  listings that differed: kind, external_id, external_sku, believed, seen
    answers   the last asking after which the comparison of the orders began, as `ask_reconcile` counts them
    orders    how many orders were seen, lost, changed and differ still
    findings  of orders: external_id, finding, done
    errors    why what was asked for was not done
    """

    stock_at: datetime | None = None
    drift: dict[str, int] = field(default_factory=dict[str, int])
    examples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answers: int = 0
    orders: dict[str, int] = field(default_factory=dict[str, int])
    findings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    errors: tuple[str, ...] = ()

    @property
    def is_all_right(self) -> bool:
        """Nothing differed, nothing was lost."""
        of_stock = ("foreign", "lost", "unheard")
        return not any(map(self.drift.get, of_stock)) and not self.orders.get("lost") and not self.findings


def reconciled(db: Database, code: str) -> Reconciled:
    """What was found last on channel `code`; empty as far as nobody has looked yet."""
    with db.connection() as conn:
        channel_id = inbound_store.find_channel(conn, code)
        health = store.get_health(conn, code)
        reports = [] if channel_id is None else inbound_store.list_reports(conn, channel_id, before=_LATEST, limit=1)
        failed = None if channel_id is None else _error(conn, channel_id)
        answers = inbound_store.report_answers(conn, reports[0]["report_id"]) if reports else 0
    drift = {} if health is None else dict(health.drift)
    told = {} if health is None else health.publication
    examples = drift.pop("examples", [])
    errors = [failed, told.get("not_connected"), told.get("last_error") if told.get("breaker") == "open" else None]
    report = reports[0] if reports else {}
    return Reconciled(
        stock_at=None if health is None else health.reconciled_at,
        drift=drift,
        examples=examples,
        answers=answers,
        orders={name: report[name] for name in _ORDERS if name in report},
        findings=report.get("findings", []),
        errors=tuple(error for error in errors if error),
    )


def orders_reconciled(conn: Connection[TupleRow], channel_id: int) -> dict[str, Any] | None:
    """JSON-ready; None: its orders were never compared, and nobody tried."""
    reports = inbound_store.list_reports(conn, channel_id, before=_LATEST, limit=1)
    error = _error(conn, channel_id)
    if not reports and error is None:
        return None
    report = reports[0] if reports else {}
    return {
        "report_id": report.get("report_id"),
        "reconciled_at": report.get("at"),
        "error": error,
    } | {name: report.get(name, 0) for name in _ORDERS}


def _error(conn: Connection[TupleRow], channel_id: int) -> str | None:
    """Why its orders could not be compared, the last time that was tried."""
    found = [row for row in inbound_store.list_readings(conn, channel_id) if row["kind"] == "reconcile"]
    return found[0]["error"] if found else None
