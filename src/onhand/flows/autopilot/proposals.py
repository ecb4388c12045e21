"""Approve what plans propose, where guardrails allow it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.autopilot import store
from onhand.autopilot.decide import corrected
from onhand.autopilot.model import Action, Domain, Guardrails
from onhand.base.actor import Actor
from onhand.db import Database, queries
from onhand.errors import Conflict
from onhand.flows.autopilot.permit import permit
from onhand.flows.plans.approve import approve_proposal

SQL = queries(__file__)
log = structlog.get_logger(__name__)

DOMAINS: Final[Mapping[str, Domain]] = {
    "transfer": Domain.REBALANCE,
    "purchase": Domain.REPLENISH,
    "safety_stock": Domain.REPLENISH,
    "price": Domain.PRICE,
}
"""Which domain a kind of proposal belongs to."""

# Looked at in one turn: each is a transaction.
_AT_ONCE: Final = 200
# Half the width of an interval that 90 of 100 lie in, in standard deviations.
_Z: Final = 1.6449
_BY: Final = Actor(reason="autopilot: within the guardrails")


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A proposal nobody has decided on."""

    proposal_id: str
    kind: str
    sku: str
    node: str
    source: str | None
    quantity: int
    cost_minor: int
    currency: str | None
    created_at: datetime
    expected_at: date | None
    effect: dict[str, Any]
    basis: dict[str, Any]


@dataclass(slots=True)
class Turn:
    """What a look at the open proposals came to; positions (item_id, node_id) whose stock is another."""

    approved: list[str] = field(default_factory=list[str])
    recommended: int = 0
    refused: int = 0
    positions: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


def act_on_proposals(db: Database, now: datetime) -> Turn:
    """Approve open proposals of domains in `auto`, the most gain first, each in a transaction of its own.

    What has changed since the plan is refused by the approval, as it is to a person; it then counts for nothing.
    """
    turn = Turn()
    with db.connection() as conn:
        if store.get_switch(conn).stopped:
            return turn
        auto = {row.domain: row.rails() for row in store.list_domains(conn) if row.mode == "auto"}
        kinds = [kind for kind, domain in DOMAINS.items() if domain in auto]
        if not kinds:
            return turn
        with conn.cursor(row_factory=class_row(Open)) as rows:
            wanted = {"now": now, "kinds": kinds, "limit": _AT_ONCE}
            found = rows.execute(SQL["open_proposals"], wanted).fetchall()
    for proposal in found:
        try:
            db.transact(lambda conn, proposal=proposal: _act(db, conn, proposal, auto, now, turn))
        except Conflict as error:
            turn.refused += 1
            log.info("a proposal was not approved", proposal_id=proposal.proposal_id, code=error.code)
    if turn.approved:
        db.notify()
    return turn


def action_of(proposal: Open, share: float = 1.0) -> Action:
    """A proposal as guardrails look at it, of which a share is done if it is a correction; money goes with the units.

    How sure it is: the chance that it gains anything, its gain taken as normal with the 90 % interval that it states.
    At stake is what it would save, before its cost.
    """
    effect = proposal.effect
    gain, low, high = effect["money_minor"], effect["money_low_minor"], effect["money_high_minor"]
    target = ("item_node", proposal.sku, proposal.node)
    horizon = timedelta(days=proposal.basis["horizon_days"])
    origin = date.fromisoformat(proposal.basis["origin"])
    moves = proposal.kind in ("transfer", "purchase")
    units = corrected(proposal.quantity, 0, share) if proposal.kind == "transfer" else proposal.quantity
    part = units / proposal.quantity if proposal.kind == "transfer" else 1.0
    cost = proposal.cost_minor * units // proposal.quantity if proposal.kind == "transfer" else proposal.cost_minor
    return Action(
        domain=DOMAINS[proposal.kind],
        key=target,
        also=() if proposal.source is None else (("item_node", proposal.sku, proposal.source),),
        reference=f"proposal:{proposal.proposal_id}",
        direction=-1 if proposal.kind == "price" else 1,
        money_minor=cost,
        currency=proposal.currency,
        units=units if moves else 0,
        confidence=_chance(gain, (high - low) / (2 * _Z)),
        stake_minor=max(round((gain + proposal.cost_minor) * part), 0),
        gain_minor=round(gain * part),
        seen_at=datetime.combine(origin, time(), UTC) + timedelta(days=1),
        judge_at=proposal.created_at + horizon if moves else None,
    )


def _act(
    db: Database, conn: Connection[TupleRow], proposal: Open, auto: Mapping[str, Guardrails], now: datetime, turn: Turn
) -> None:
    share = auto[DOMAINS[proposal.kind]].correction_max
    verdict = permit(conn, action_of(proposal, share), now=now)
    if verdict.do == "act":
        decided = approve_proposal(db, conn, proposal.proposal_id, now=now, by=_BY, share=share)
        turn.approved.append(proposal.proposal_id)
        turn.positions += decided.positions
    elif verdict.do == "recommend":
        turn.recommended += 1
    else:
        turn.refused += 1


def _chance(mean: float, sd: float) -> float:
    if sd <= 0:
        return float(mean > 0)
    return 0.5 * math.erfc(-mean / (sd * math.sqrt(2)))
