"""Take back what an approval did, while nothing rests on it yet.

What an approval has done is undone under the same locks; what has come, was promised or was changed since is refused
with the reason, and nothing is changed. An undone proposal is dismissed: it is not done again, a new plan may propose
it anew.
"""

from datetime import UTC, date, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.autopilot.store as autopilot
import onhand.network.store as network
from onhand.base.actor import Actor
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound
from onhand.flows.plans.approve import Decided
from onhand.ledger import inbound, store
from onhand.ledger.model import Entry, Position
from onhand.network.decide import MarkdownChanges
from onhand.planning.store import Held, decide_undone, get_proposal, lock_proposal


def undo_proposal(
    db: Database, conn: Connection[TupleRow], proposal_id: str, reason: str | None, *, now: datetime, by: Actor
) -> Decided:
    """Take back an approved proposal, in the caller's transaction; undoing again changes nothing.

    A transfer can be called back on the day (UTC) that it was approved, a purchase until any of it has come, both while
    nobody was promised any of it; a safety stock or a price while it is what the proposal made it. Raises NotFound, and
    Conflict: `proposal.not_approved`, `proposal.too_late`.
    """
    held = lock_proposal(conn, proposal_id)
    if held is None:
        raise NotFound("proposal", proposal_id)
    positions: list[store.Key] = []
    if not held.basis.get("undone"):
        if held.status not in ("approved", "done"):
            raise Conflict("proposal.not_approved", f"it is {held.status}, not approved: there is nothing to take back")
        positions, inbound_id = _take_back(db, conn, proposal_id, held, now, by)
        decide_undone(conn, proposal_id, now=now, actor=by.key_id, reason=reason)
        if inbound_id is not None:
            inbound.drop_inbound(conn, inbound_id)
        autopilot.void(conn, f"proposal:{proposal_id}", "it was taken back")
        data = {"proposal_id": proposal_id, "kind": held.kind, "reason": reason}
        write_event(conn, "proposal.undone", proposal_id, data, actor=by, origin=db.origin)
    kept = get_proposal(conn, proposal_id, now=now)
    assert kept is not None, "locked in this transaction"
    return Decided(proposal=kept, positions=positions)


def _take_back(
    db: Database, conn: Connection[TupleRow], proposal_id: str, held: Held, now: datetime, by: Actor
) -> tuple[list[store.Key], str | None]:
    """Undo what its kind did: positions whose stock is another then, and the inbound document that is empty now."""
    at = held.item_id, held.node_id
    if held.kind == "safety_stock":
        store.lock_positions(conn, [at])
        kept = store.own_safety_stock(conn, at)
        if kept != held.quantity:
            raise _too_late(f"the safety stock was changed since, to {kept}: set it, or plan again", kept=kept)
        store.set_safety_stock(conn, at, _replaced(held), actor=by, origin=db.origin)
        return [at], None
    if held.kind == "price":
        _clear_no_more(db, conn, held, by)
        return [], None
    assert held.decided_at is not None
    assert held.inbound_id is not None
    day = held.decided_at.astimezone(UTC).date()
    source: store.Key | None = None
    positions: dict[store.Key, Position] = {}
    if held.kind == "transfer":
        assert held.from_node_id is not None, "a transfer comes from a node"
        if day != now.astimezone(UTC).date():
            raise _too_late(f"it left on {day}: plan a transfer back", left_on=day.isoformat())
        source = held.item_id, held.from_node_id
        # Positions before inbound rows, as everywhere.
        positions = store.lock_positions(conn, [source])
    reference = f"{'TRANSFER' if source else 'PO'}-{proposal_id}"
    inbound_id = inbound.take_back_lines(conn, reference)
    if inbound_id is None:
        document = inbound.find_inbound(conn, inbound_id=held.inbound_id)
        received = sum(line.received for line in document.lines) if document else 0
        promised = sum(line.promised for line in document.lines) if document else 0
        if received:
            raise _too_late(f"{received} of {held.quantity} units have come already", received=received)
        raise _too_late(f"{promised} of its units are promised to orders: reroute these first", promised=promised)
    if source is not None:
        entry = Entry(*source, "transfer_in", held.quantity, "taken back", reference)
        (result,) = store.write_entries(conn, positions, [entry], actor=by, origin=db.origin)
        assert result.status == "applied", "units may always come"
    data = {"inbound_id": inbound_id, "reference": reference}
    write_event(conn, "inbound.withdrawn", inbound_id, data, actor=by, origin=db.origin)
    return ([] if source is None else [source]), inbound_id


def _clear_no_more(db: Database, conn: Connection[TupleRow], held: Held, by: Actor) -> None:
    """The markdown that there was before the price, or none."""
    network.lock_network(conn)
    at = held.item_id, held.node_id
    now = network.find_markdowns(conn, [at]).get(at)
    if now is None or now[0] != held.price_minor:
        raise _too_late("the markdown was changed since: set it by POST /v1/markdowns/batch, or plan again")
    before = _replaced(held)
    written = [] if before is None else [(*at, int(before[0]), before[1] and date.fromisoformat(before[1]))]
    network.write_markdowns(conn, MarkdownChanges(results=[], written=written, deleted=[] if written else [at]))
    data = {"kind": "markdown", "code": f"{held.sku} @ {held.node}"}
    write_event(conn, "network.changed", "markdown", data, actor=by, origin=db.origin)


def _replaced(held: Held) -> Any:
    if "replaced" not in held.basis:
        raise _too_late("what it replaced was not written down when it was approved: set it by hand")
    return held.basis["replaced"]


def _too_late(why: str, **facts: object) -> Conflict:
    return Conflict("proposal.too_late", f"it cannot be taken back: {why}", **facts)
