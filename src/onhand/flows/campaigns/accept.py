"""Accept an assessed campaign: it becomes a signal that is known ahead, and holds room of its days; or cancel it."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.ids import new_id
from onhand.base.results import RowResult
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.demand.model import SignalRow
from onhand.errors import Conflict, NotFound
from onhand.flows.campaigns import job
from onhand.flows.demand.tell_signals import tell_in
from onhand.jobs.store import get_result
from onhand.planning.campaigns.store import (
    Accepted,
    Hold,
    accepted_of,
    add_campaign,
    also_promoted,
    cancel_campaign,
    get_campaign,
)

SIGNAL = "promotion"
"""The signal: 1 on the days of a campaign, of each of its items; known ahead, 0 on other days."""
SIGNAL_DISCOUNT = "promotion_discount"


def accept_campaign(
    db: Database, conn: Connection[TupleRow], assessment: str, name: str, *, now: datetime, by: Actor
) -> Accepted:
    """Accept what a job has assessed, in the caller's transaction; once, a repeat finds the same campaign. Raises
    NotFound, Conflict."""
    found = get_result(conn, assessment)
    if found is None or found[1] != job.KIND:
        raise NotFound("assessment", assessment)
    state, _, result = found
    if result is None:
        raise Conflict("job.not_done", f"the assessment is {state}: there is nothing to accept yet", state=state)
    if (earlier := accepted_of(conn, assessment)) is not None:
        return earlier
    first, last = date.fromisoformat(result["from"]), date.fromisoformat(result["to"])
    if last < now.date():
        raise Conflict("campaign.over", f"its last day, {last}, is over: assess it for other dates")
    campaign_id = new_id()
    nodes = dict(conn.execute("SELECT code, node_id FROM node").fetchall())
    holds = [
        Hold(
            node_id=nodes[h["node"]], day=date.fromisoformat(h["day"]), orders=h["orders"], lines=h["lines"],
            units=h["units"],
        )
        for h in result["holds"]
        if h["node"] in nodes
    ]  # fmt: skip
    items = conn.execute("SELECT item_id FROM item WHERE sku = ANY (%s) ORDER BY item_id", (result["items"],))
    channels = None
    if result["channels"] is not None:
        rows = conn.execute("SELECT channel_id FROM channel WHERE code = ANY (%s) ORDER BY 1", (result["channels"],))
        channels = [row[0] for row in rows]
    add_campaign(
        conn,
        {
            "campaign_id": campaign_id, "name": name, "item_ids": [row[0] for row in items], "channel_ids": channels,
            "first_day": first, "last_day": last, "discount": result["discount"], "uplift": result["uplift"],
            "assessment": assessment, "actor": by.key_id,
        },
        holds,
    )  # fmt: skip
    _tell(db, conn, result, first, last, on=True, now=now, by=by)
    data = {
        "campaign_id": campaign_id,
        "name": name,
        "items": result["items"],
        "from": result["from"],
        "to": result["to"],
    }
    write_event(conn, "campaign.accepted", campaign_id, data, actor=by, origin=db.origin)
    kept = get_campaign(conn, campaign_id)
    assert kept is not None, "written in this transaction"
    return kept


def cancel(db: Database, conn: Connection[TupleRow], campaign_id: str, *, now: datetime, by: Actor) -> Accepted:
    """Give back its room and take back its signal, of the days to come. The same again changes nothing. Raises
    NotFound."""
    changed = cancel_campaign(conn, campaign_id)
    if changed is None:
        raise NotFound("campaign", campaign_id)
    kept = get_campaign(conn, campaign_id)
    assert kept is not None, "locked in this transaction"
    if changed:
        told = {"items": kept.items, "discount": kept.discount}
        others = also_promoted(conn, campaign_id)
        first = max(kept.first_day, now.date())
        if first <= kept.last_day:
            _tell(db, conn, told, first, kept.last_day, on=False, but=others, now=now, by=by)
        data = {"campaign_id": campaign_id, "name": kept.name}
        write_event(conn, "campaign.cancelled", campaign_id, data, actor=by, origin=db.origin)
    return kept


def _tell(
    db: Database,
    conn: Connection[TupleRow],
    campaign: dict[str, Any],
    first: date,
    last: date,
    *,
    on: bool,
    but: Collection[tuple[str, date]] = (),
    now: datetime,
    by: Actor,
) -> None:
    """Say of each day whether its items are on promotion, and by how much they are cheaper; not of (sku, day) in
    `but`."""
    rows: list[SignalRow | RowResult] = []
    for sku in campaign["items"]:
        for n in range((last - first).days + 1):
            day = first + timedelta(days=n)
            if (sku, day) in but:
                continue
            values = {SIGNAL: 1.0}
            if campaign["discount"] is not None:
                values[SIGNAL_DISCOUNT] = campaign["discount"]
            for signal, value in values.items():
                row = {
                    "name": signal,
                    "scope": {"sku": sku},
                    "at": day.isoformat(),
                    "value": value if on else 0.0,
                    "known_ahead": True,
                    "fill": "zero",
                }
                rows.append(SignalRow.model_validate(row))
    refused = [r for r in tell_in(db, conn, rows, now=now, by=by) if r.status == "rejected"]
    if refused:
        reason = "; ".join(f"{e.path}: {e.message}" for e in refused[0].errors)
        raise Conflict("campaign.signal_refused", f"the signal {refused[0].key} was refused: {reason}")
