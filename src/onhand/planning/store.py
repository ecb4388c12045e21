"""The SQL of proposals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.base.ids import new_id
from onhand.db.queries import queries
from onhand.planning.model import Basis, Kind, Plan, Proposal

SQL = queries(__file__)

Status = Literal["proposed", "approved", "dismissed", "expired", "superseded", "done"]
"""As shown: `expired` is what is still open after its time, `done` what was approved and has come in full."""
NEWEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A proposal as it stands.

    source     node that a transfer comes from
    effect     see Effect in model.py; basis: forecast, origin, horizon_days
    by         key that decided
    reference  of the inbound document that approval made; received of it, overdue: its day is over
    """

    proposal_id: UUID
    job_id: UUID | None
    plan: Plan
    kind: str
    status: Status
    sku: str
    node: str
    source: str | None
    supplier: str | None
    quantity: int
    price_minor: int | None
    cost_minor: int
    currency: str | None
    act_by: date
    expected_at: date | None
    expires_at: datetime
    effect: dict[str, Any]
    basis: dict[str, Any]
    explanation: str
    created_at: datetime
    decided_at: datetime | None
    by: int | None
    reason: str | None
    inbound_id: UUID | None
    reference: str | None
    received: int | None
    overdue: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A proposal that nobody else decides on until the transaction ends, with the ids that deciding needs."""

    plan: Plan
    kind: str
    status: str
    item_id: int
    sku: str
    node_id: int
    node: str
    from_node_id: int | None
    supplier: str | None
    quantity: int
    price_minor: int | None
    created_at: datetime
    expected_at: date | None
    expires_at: datetime
    basis: dict[str, Any]
    decided_at: datetime | None
    inbound_id: UUID | None


def replace_open(
    conn: Connection[TupleRow],
    plan: Plan,
    proposals: Sequence[tuple[Proposal, str]],
    *,
    item_ids: Sequence[int],
    node_ids: Sequence[int],
    basis: Basis,
    horizon_days: int,
    job_id: str | None,
    now: datetime,
) -> tuple[int, list[str]]:
    """Keep what a plan proposes, each with its explanation, in place of what it proposed before for these items and
    nodes; how many of those were open, and the ids of the new ones."""
    conn.execute(SQL["take_turns"])
    scope = {"plan": plan, "items": list(item_ids), "nodes": list(node_ids)}
    superseded = conn.execute(SQL["supersede"], scope).rowcount
    rows = [_row(proposal, explanation) for proposal, explanation in proposals]
    told = {"forecast": basis.forecast, "origin": basis.origin, "horizon_days": horizon_days}
    conn.execute(SQL["add"], {"job_id": job_id, "plan": plan, "now": now, "rows": _json(rows), "basis": _json(told)})
    return superseded, [row["proposal_id"] for row in rows]


def _row(proposal: Proposal, explanation: str) -> dict[str, Any]:
    return {
        "proposal_id": new_id(),
        "kind": proposal.kind.value,
        "sku": proposal.sku,
        "node": proposal.node,
        "source": proposal.source if proposal.kind is Kind.TRANSFER else None,
        "supplier": proposal.source if proposal.kind is Kind.PURCHASE else None,
        "quantity": proposal.quantity,
        "price_minor": proposal.price_minor,
        "cost_minor": proposal.cost_minor,
        "act_by": proposal.act_by,
        "expected_at": proposal.expected_at,
        "expires_at": proposal.expires_at,
        "effect": asdict(proposal.effect),
        "explanation": explanation,
    }


def lock_proposal(conn: Connection[TupleRow], proposal_id: str) -> Held | None:
    """One proposal, before any position."""
    with conn.cursor(row_factory=class_row(Held)) as rows:
        return rows.execute(SQL["lock"], {"proposal_id": proposal_id}).fetchone()


def take_part(conn: Connection[TupleRow], proposal_id: str, held: Held, quantity: int) -> Held:
    """Decide on it for so many units only, under `lock_proposal`."""
    conn.execute(SQL["take_part"], {"proposal_id": proposal_id, "quantity": quantity})
    return replace(held, quantity=quantity)


def decide(
    conn: Connection[TupleRow],
    proposal_id: str,
    status: Literal["approved", "done", "dismissed"],
    *,
    now: datetime,
    actor: int,
    reason: str | None = None,
    inbound_id: str | None = None,
    expected_at: date | None = None,
) -> None:
    """Write what was decided, under `lock_proposal`."""
    values = {
        "proposal_id": proposal_id, "status": status, "now": now, "actor": actor, "reason": reason,
        "inbound_id": inbound_id, "expected_at": expected_at,
    }  # fmt: skip
    conn.execute(SQL["decide"], values)


def replaces(conn: Connection[TupleRow], proposal_id: str, before: object) -> None:
    """Remember what approval puts something in place of, so that it can be undone."""
    conn.execute(SQL["replaces"], {"proposal_id": proposal_id, "before": _json(before)})


def decide_undone(
    conn: Connection[TupleRow], proposal_id: str, *, now: datetime, actor: int, reason: str | None
) -> None:
    """Write that what was approved was taken back, under `lock_proposal`."""
    conn.execute(SQL["decide_undone"], {"proposal_id": proposal_id, "now": now, "actor": actor, "reason": reason})


def sent_today(conn: Connection[TupleRow], source: int, target: int, day: date) -> int:
    """Units that left over a lane on that day (UTC)."""
    row = conn.execute(SQL["sent_today"], {"source": source, "target": target, "day": day}).fetchone()
    assert row is not None, "a sum is a row"
    return row[0]


def docked_today(conn: Connection[TupleRow], source: int, target: int, day: date) -> tuple[int, int]:
    """Units sent on that day (UTC): out of one node wherever to, and to the other wherever from."""
    row = conn.execute(SQL["docked_today"], {"source": source, "target": target, "day": day}).fetchone()
    assert row is not None, "a sum is a row"
    return row[0], row[1]


def purge(conn: Connection[TupleRow], before: datetime) -> int:
    """Forget proposals that have been over since then; how many."""
    return conn.execute(SQL["purge"], {"before": before}).rowcount


def get_proposal(conn: Connection[TupleRow], proposal_id: str, *, now: datetime) -> Kept | None:
    """A proposal by its id, as it stands now."""
    with conn.cursor(row_factory=class_row(Kept)) as rows:
        return rows.execute(SQL["get"], {"proposal_id": proposal_id, "now": now}).fetchone()


def best_of(conn: Connection[TupleRow], ids: Sequence[str], *, now: datetime, limit: int) -> list[Kept]:
    """Of some proposals those that gain most, the best first."""
    with conn.cursor(row_factory=class_row(Kept)) as rows:
        return rows.execute(SQL["best_of"], {"ids": list(ids), "now": now, "limit": limit}).fetchall()


def ids_ending_in(conn: Connection[TupleRow], end: str) -> list[str]:
    """Ids that end in these hexadecimal digits, at most two."""
    return [proposal_id for (proposal_id,) in conn.execute(SQL["ending_in"], {"end": end})]


def list_proposals(
    conn: Connection[TupleRow],
    *,
    now: datetime,
    limit: int,
    before: str = NEWEST,
    kind: str | None = None,
    plan: str | None = None,
    status: str | None = None,
    sku: str | None = None,
    node: str | None = None,
    job_id: str | None = None,
) -> list[Kept]:
    """Proposals, the newest first. `node`: at either end."""
    where: Mapping[str, object] = {
        "now": now, "limit": limit, "before": before, "kind": kind, "plan": plan, "status": status, "sku": sku,
        "node": node, "job_id": job_id,
    }  # fmt: skip
    with conn.cursor(row_factory=class_row(Kept)) as rows:
        return rows.execute(SQL["list"], where).fetchall()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
