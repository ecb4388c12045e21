"""What is lost of a thing that a step of a playbook acted on, or left undone to compare with: one question for both.

A step says in the basis of a target what it is to be judged by; a measure here answers in minor units once its time
has come, or says why that cannot be told. Kinds of steps without a measure are not judged (docs/how-to/autopilot.md
says which, and why).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.autopilot.store import DueTarget
from onhand.costs.model import CUSTOMER, HELD, INVOICE, RETURNED, SURCHARGE, UNSERVED
from onhand.db import queries

SQL = queries(__file__)

MARGIN_RATE: Final = 0.3
"""Share of a price that is margin where no cost is known."""
LET_DOWN: Final = 0.5
"""Of what an order earns, for a customer who was let down, where the policy has no dearer price of being late."""
# Causes of costs that no step about late or missing goods could have spared.
_NOT_OURS: Final = (CUSTOMER, HELD, RETURNED, INVOICE, SURCHARGE)
# A carrier that tells of deliveries has told of one that left about as long ago.
_AROUND: Final = timedelta(days=3)
# Clocks of those that place orders and of ids are not ours.
_ID_SLACK: Final = timedelta(hours=1)

Measure = Callable[[Connection[TupleRow], DueTarget], int | str]


def order_lost(conn: Connection[TupleRow], target: DueTarget) -> int | str:
    """An order: failures that are booked of it since, and whether it came by the day that was promised.

    basis: promised, the day; null: the day of judgement
    """
    values = {
        "order_id": target.key[1], "since": target.at, "not_ours": list(_NOT_OURS), "rate": 1 - MARGIN_RATE,
        "around": _AROUND,
    }  # fmt: skip
    with conn.cursor(row_factory=dict_row) as rows:
        found = rows.execute(SQL["order_outcome"], values).fetchone()
    if found is None:
        return "the order is gone"
    promised = _moment(target.basis.get("promised")) or target.judge_at
    lost = max(found["failures_minor"], 0)
    if found["status"] == "cancelled":
        return lost
    if found["status"] == "delivered" and found["delivered_at"] is not None:
        is_late = found["delivered_at"] > promised
    elif found["is_shipped"] and not found["is_told"]:
        return "its carrier does not tell of deliveries"
    else:
        is_late = True
    return lost + (max(found["late_minor"], round(LET_DOWN * found["margin_minor"])) if is_late else 0)


def position_lost(conn: Connection[TupleRow], target: DueTarget) -> int | str:
    """An item at a node: what was not sold while nothing was free there, and what a rejection costs for each order that
    the node refused because it did not find it.

    basis: since; daily_units wanted there; sale_minor of one that is not served from there; rejection_minor
    """
    basis = target.basis
    since, until = _moment(basis["since"]) or target.at, target.judge_at
    _, sku, node = target.key
    where = {"sku": sku, "node": node, "since": since, "until": until}
    row = conn.execute(SQL["position_outcome"], where).fetchone()
    if row is None or row[0] is None:
        return "nothing was ever there"
    out_share, rejected = float(row[0]), int(row[1])
    days = (until - since) / timedelta(days=1)
    missed = out_share * days * basis["daily_units"] * basis["sale_minor"]
    return round(missed + rejected * basis["rejection_minor"])


def sales_lost(conn: Connection[TupleRow], target: DueTarget) -> int | str:
    """A listing, a channel or an item: what its orders earn less than it was expected to, and what the channel asks for
    those that were not served.

    basis: expected_minor, to be earned until it is judged
    """
    earned = earned_of(conn, tuple(target.key), target.at, target.judge_at)
    return round(max(target.basis["expected_minor"] - earned.margin_minor, 0.0) + earned.penalties_minor)


@dataclass(frozen=True, slots=True)
class Earned:
    """What orders came to. margin_minor: of what was not cancelled; penalties_minor: of orders that were not served."""

    margin_minor: float
    penalties_minor: float


def earned_of(conn: Connection[TupleRow], key: tuple[str, ...], since: datetime, until: datetime) -> Earned:
    """What the orders of a channel ("channel", code), a listing ("listing", channel, sku) or an item ("item", sku) earn
    that were placed in a time."""
    values: dict[str, Any] = {
        "channel": key[1] if key[0] in ("channel", "listing") else None,
        "sku": key[-1] if key[0] in ("item", "listing") else None,
        "since": since, "until": until, "first": _id_at(since - _ID_SLACK), "rate": 1 - MARGIN_RATE,
        "unserved": UNSERVED,
    }  # fmt: skip
    row = conn.execute(SQL["earned"], values).fetchone()
    assert row is not None, "sums are a row"
    return Earned(margin_minor=float(row[0]), penalties_minor=float(row[1]))


MEASURES: Final[Mapping[str, Measure]] = {
    "reroute": order_lost,
    "re_promise": order_lost,
    "substitute": order_lost,
    "quarantine_stock": position_lost,
    "transfer": position_lost,
    "shrink_listing": sales_lost,
    "raise_gate": sales_lost,
    "throttle_price": sales_lost,
}
"""By kind of step; kinds that are not here are not judged."""


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _id_at(at: datetime) -> UUID:
    """The least id of an order of a moment: ids grow with time (RFC 9562)."""
    return UUID(int=max(round(at.timestamp() * 1000), 0) << 80)
