"""How channels are doing: what the process that publishes to one wrote down, and what the listings themselves say."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.channels.inbound.store as inbound_store
import onhand.channels.store as channel_store
from onhand.channels.gate_notes import store as gate_store
from onhand.channels.gates import Latency, Why, read, sentence
from onhand.channels.model import CONNECTOR, Channel
from onhand.channels.prices import store as price_store
from onhand.channels.publication import store
from onhand.db import Database
from onhand.errors import Conflict, NotFound
from onhand.flows.reconciled import orders_reconciled

# The publisher writes down how it is doing every two seconds.
_SILENT_AFTER_S = 15.0
_LISTINGS_SHOWN = 20
_COUNTED = (
    "queue_depth", "under_way", "listings", "dead", "gone", "without_price", "other_currency", "written", "failed",
    "requests",
)  # fmt: skip


def channel_health(db: Database, code: str) -> dict[str, Any]:
    """JSON-ready. Raises NotFound."""
    with db.connection() as conn:
        channel = channel_store.get_channel(conn, code)
        if channel is None:
            raise NotFound("channel", code)
        health = store.get_health(conn, code)
        aged = store.staleness(conn, code)
        failing = store.failing_listings(conn, code, _LISTINGS_SHOWN)
        stalest = store.stalest_listings(conn, code, _LISTINGS_SHOWN)
        orders = orders_reconciled(conn, channel.channel_id)
        gate = _gate(conn, channel, {} if health is None else health.latency)
        prices = _prices(conn, channel, {} if health is None else health.publication)
    # Of a channel that nobody publishes to there may be latencies of its sales, and no more.
    told = {} if health is None else health.publication
    status, why = _status(channel.connector, channel.active, told, None if health is None or not told else health.age_s)
    return {
        "channel": code,
        "connector": channel.connector,
        "status": status,
        "why": why,
        "as_of": None if health is None or not told else health.at,
        "lag_ms": told.get("lag_ms"),
        "wait_ms": told.get("wait_ms"),
        "request_ms": told.get("request_ms"),
        "queue_depth": told.get("queue_depth", 0),
        "breaker": told.get("breaker", "closed"),
        "failures_in_a_row": told.get("failures_in_a_row", 0),
        "last_error": told.get("last_error") or None,
        "written": told.get("written", 0),
        "failed": told.get("failed", 0),
        "staleness": {name: aged[name] for name in ("listings", "told", "verified", "p50_s", "oldest_s")},
        "failing_listings": aged["failing"],
        "failing": failing,
        "stalest": stalest,
        "gate": gate,
        "reconciled_at": None if health is None else health.reconciled_at,
        "drift": None if health is None else health.drift or None,
        "orders": orders,
        "prices": prices,
    }


def listings(db: Database) -> dict[str, int]:
    """Active listings by channel. Reads all there are."""
    with db.connection() as conn:
        return store.listings_of_all(conn)


def standings(db: Database, listings: Callable[[], Mapping[str, int]]) -> list[dict[str, Any]]:
    """How every channel stands, in brief, by code: whether it is told numbers, and how old they are. JSON-ready. From
    what publishers wrote down, however many listings there are.

    listings  counts active ones, and is asked only where nobody publishes to some channel
    """
    with db.connection() as conn:
        rows = store.channels(conn)
        published = {code: (told, age_s) for code, told, _, age_s in store.list_health(conn)}
    nothing: tuple[dict[str, Any], float | None] = {}, None
    now = time.time()
    found: list[dict[str, Any]] = []
    for code, name, connector, is_active in rows:
        told, age_s = published.get(code, nothing)
        status, _ = _status(connector, is_active, told, age_s if told else None)
        lag: dict[str, float] = told.get("lag_ms") or {}
        counted = told["numbers"]["listings"] if status in ("publishing", "failing") and "numbers" in told else None
        numbers: dict[str, Any] = told.get("numbers") or {}
        found.append(
            {
                "channel": code,
                "name": name,
                "status": status,
                "listings": listings().get(code, 0) if counted is None else counted,
                "verified": numbers.get("verified", 0),
                "staleness_p50_s": _age_s(numbers.get("p50_at"), now),
                "staleness_oldest_s": _age_s(numbers.get("oldest_at"), now),
                "lag_p50_ms": lag.get("p50"),
                "lag_p99_ms": lag.get("p99"),
                "queue_depth": told.get("queue_depth", 0),
            }
        )
    return found


def _age_s(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)


def _prices(conn: Connection[TupleRow], channel: Channel, told: dict[str, Any]) -> dict[str, Any] | None:
    """How our prices there are doing; None: it does not take them."""
    if not channel.prices:
        return None
    read_at, drift = price_store.get_read(conn, channel.code)
    counts: dict[str, Any] = dict.fromkeys(_COUNTED, 0) | {"breaker": "closed", "last_error": "", "fault": ""}
    return (
        counts
        | told.get("prices", {})
        | {
            "read_at": read_at,
            "drift": drift or None,
            "failing": price_store.failing(conn, channel.code, _LISTINGS_SHOWN),
        }
    )


def _gate(conn: Connection[TupleRow], channel: Channel, latency: dict[str, Any]) -> dict[str, Any]:
    """What is hidden from a channel, by what, and the gates that changed last."""
    setting = read(channel.gate)
    budget = gate_store.get_budget(conn, channel.code) if setting.mode == "adaptive" else None
    return {
        "mode": setting.mode,
        "hear_s": _p95_s(latency.get("hear")),
        "wait_s": _p95_s(latency.get("wait")),
        "apply_s": _p95_s(latency.get("apply")),
        "target": setting.alpha if setting.mode == "adaptive" else None,
        "price_of_risk": None if budget is None else budget.tau,
        "learned_to": None if budget is None else budget.learned_to,
        "orders": None if budget is None else budget.orders,
        "oversold": None if budget is None else budget.oversold,
        "latest": _gates(conn, channel, None, _LISTINGS_SHOWN),
    }


def _p95_s(document: dict[str, float] | None) -> float | None:
    try:
        latency = Latency.read(document or {})
    except ValueError:
        return None
    return round(latency.quantile_s(0.95), 3) if latency.is_measured else None


def _gates(conn: Connection[TupleRow], channel: Channel, sku: str | None, limit: int) -> list[dict[str, Any]]:
    setting = read(channel.gate)
    if setting.mode != "adaptive":
        return []
    rows = gate_store.list_gates(conn, channel.code, sku=sku, limit=limit)
    return [
        {
            "sku": row.sku, "hidden": row.units, "of": row.stock, "at": row.at,
            "why": sentence(
                Why(
                    hidden=row.units, stock=row.stock, channel=channel.code, seller=row.seller,
                    rate_per_h=row.rate_per_h, usual_per_h=row.usual_per_h, lag_s=row.lag_s, setting=setting,
                )
            ),
        }
        for row in rows
    ]  # fmt: skip


def channel_gates(db: Database, code: str, *, sku: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Computed gates of a channel, each with its reason: those that are not 0 by the moment of their last change, or
    that of one item. JSON-ready; none where they are not computed. Raises NotFound."""
    with db.connection() as conn:
        channel = channel_store.get_channel(conn, code)
        if channel is None:
            raise NotFound("channel", code)
        return _gates(conn, channel, sku, limit)


def _status(connector: str, active: bool, told: dict[str, Any], age_s: float | None) -> tuple[str, str | None]:
    if connector == CONNECTOR:
        return "calls_us", "it reads its numbers from /v1/availability itself"
    if not active:
        return "inactive", None
    if age_s is None or age_s > _SILENT_AFTER_S:
        return "silent", "nobody publishes to it: no `onhand serve` or `onhand worker` runs"
    if error := told.get("not_connected"):
        return "not_connected", str(error)
    if told.get("breaker") == "open":
        return "failing", told.get("last_error")
    return "publishing", None


def ask_reconcile(db: Database, code: str) -> int:
    """Have all that a channel shows, and its orders of the last days, read and compared now; the number of this asking,
    which the report of the orders names. Raises NotFound, Conflict for one that nobody talks to."""

    def work(conn: Connection[TupleRow]) -> int:
        channel = channel_store.get_channel(conn, code)
        if channel is None:
            raise NotFound("channel", code)
        if channel.connector == CONNECTOR:
            raise Conflict(
                "channel.not_connected", f"channel {code!r} calls this interface itself: there is nothing to read"
            )
        store.ask_reconcile(conn, channel.channel_id)
        asked = inbound_store.ask_reading(conn, channel.channel_id, "reconcile")
        inbound_store.hasten_readings(conn, channel.channel_id)
        return asked

    asked = db.transact(work)
    db.notify()
    return asked


def gauges(db: Database) -> dict[str, dict[str, float]]:
    """Name of a gauge -> channel -> value, for metrics."""
    with db.connection() as conn:
        rows = store.list_health(conn)
    found: dict[str, dict[str, float]] = {name: {} for name in GAUGES}
    for code, told, drift, age_s in rows:
        if age_s > _SILENT_AFTER_S or not told:
            continue
        found["onhand_publication_queue_depth"][code] = float(told.get("queue_depth", 0))
        found["onhand_publication_breaker_open"][code] = float(told.get("breaker") == "open")
        found["onhand_publication_failed_writes"][code] = float(told.get("failed", 0))
        if prices := told.get("prices"):
            found["onhand_publication_prices_waiting"][code] = float(prices["queue_depth"])
            found["onhand_publication_prices_failing"][code] = float(prices["dead"] + prices["gone"])
        found["onhand_publication_lag_p99_seconds"][code] = told.get("lag_ms", {}).get("p99", 0.0) / 1e3
        found["onhand_publication_drift_listings"][code] = float(
            sum(drift.get(kind, 0) for kind in ("foreign", "lost", "unheard"))
        )
    return found


GAUGES = {
    "onhand_publication_queue_depth": "Listings of a channel that do not show what they should.",
    "onhand_publication_breaker_open": "1 while a channel that fails is left alone.",
    "onhand_publication_failed_writes": "Writes to a channel that failed since its publisher began.",
    "onhand_publication_lag_p99_seconds": "From the change of stock to the channel's acknowledgement, of 99 in 100.",
    "onhand_publication_prices_waiting": "Listings of a channel that do not ask our price yet.",
    "onhand_publication_prices_failing": "Listings whose price the channel will not take, or does not have.",
    "onhand_publication_drift_listings": "Listings that showed another number when the channel was last reconciled.",
}
