"""Make a proposal real, once; or dismiss it.

What the plan saw may have changed since: at approval it is looked at again, under locks, and what no longer holds is
refused with the reason, the proposal left open.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.network.store as network
from onhand.autopilot.decide import corrected
from onhand.base.actor import Actor
from onhand.base.ids import new_id
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.errors import Conflict, NotFound
from onhand.ledger import inbound, store
from onhand.ledger.inbound import InboundIn, InboundKind, InboundLineIn
from onhand.ledger.model import Entry
from onhand.network.decide import MarkdownChanges
from onhand.planning.store import (
    Held,
    Kept,
    decide,
    docked_today,
    get_proposal,
    lock_proposal,
    replaces,
    sent_today,
    take_part,
)

# What comes on a day is there at its noon.
_NOON = time(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The proposal as it stands now; `positions` (item_id, node_id) whose stock is another."""

    proposal: Kept
    positions: list[store.Key]


def approve_proposal(
    db: Database, conn: Connection[TupleRow], proposal_id: str, *, now: datetime, by: Actor, share: float = 1.0
) -> Decided:
    """Do what it says, in the caller's transaction; approving again answers what came of the first time.

    share  of the correction that it is: of the units of a transfer, of the way from the safety stock that is kept now
           to the new one. The proposal then says what was done, and its reason what was proposed. Purchases and prices
           are no corrections, and are done whole.

    A transfer leaves its node at once and is inbound supply at the other; a purchase is inbound supply; a safety stock
    holds from now on; a price is known to sourcing as what units fetch there until the plan's horizon. Raises NotFound,
    and Conflict: `proposal.dismissed`, `.superseded`, `.expired`, `.stock_gone`, `.lane_closed`, `.lane_full`,
    `.dock_full`, `.supplier_changed`.
    """
    held = lock_proposal(conn, proposal_id)
    if held is None:
        raise NotFound("proposal", proposal_id)
    if held.status in ("approved", "done"):
        return Decided(proposal=_shown(conn, proposal_id, now), positions=[])
    _still_open(held, now)
    proposed = held.quantity
    if share < 1.0:
        held = _part_of(conn, proposal_id, held, share)
    positions: list[store.Key] = []
    inbound_id: str | None = None
    expected_at: date | None = None
    if held.kind == "transfer":
        assert held.from_node_id is not None, "a transfer comes from a node"
        days = _room_on_lane(conn, held, now)
        _room_at_docks(conn, held, now)
        expected_at = now.date() + timedelta(days=days)
        reference = f"TRANSFER-{proposal_id}"
        positions = [(held.item_id, held.from_node_id)]
        _send(db, conn, held, reference, by)
        inbound_id = _announce(db, conn, held, "transfer", reference, expected_at, by)
    elif held.kind == "purchase":
        supplier = network.supplier_of(conn, held.item_id, held.node_id)
        if supplier != held.supplier:
            raise Conflict(
                "proposal.supplier_changed",
                f"{held.supplier!r} does not supply this any more: plan again",
                supplier=supplier,
            )
        assert held.expected_at is not None, "a purchase has a day of arrival"
        expected_at = held.expected_at + (now.date() - held.created_at.date())
        inbound_id = _announce(db, conn, held, "purchase", f"PO-{proposal_id}", expected_at, by)
    elif held.kind == "safety_stock":
        positions = [(held.item_id, held.node_id)]
        store.lock_positions(conn, positions, opening=positions)
        replaces(conn, proposal_id, store.own_safety_stock(conn, positions[0]))
        store.set_safety_stock(conn, positions[0], held.quantity, actor=by, origin=db.origin)
    else:
        _clear(db, conn, proposal_id, held, by)
    status = "done" if inbound_id is None else "approved"
    reason = None if held.quantity == proposed else f"a first step: {held.quantity} where {proposed} was proposed"
    decide(
        conn, proposal_id, status, now=now, actor=by.key_id, inbound_id=inbound_id, expected_at=expected_at,
        reason=reason,
    )  # fmt: skip
    kept = _shown(conn, proposal_id, now)
    data = {
        "proposal_id": proposal_id, "kind": kept.kind, "sku": kept.sku, "node": kept.node, "from": kept.source,
        "quantity": kept.quantity, "price_minor": kept.price_minor, "reference": kept.reference,
    }  # fmt: skip
    write_event(conn, "proposal.approved", proposal_id, data, actor=by, origin=db.origin)
    return Decided(proposal=kept, positions=positions)


def dismiss_proposal(
    db: Database, conn: Connection[TupleRow], proposal_id: str, reason: str | None, *, now: datetime, by: Actor
) -> Kept:
    """Do not do it. Dismissing again changes nothing. Raises NotFound, Conflict."""
    held = lock_proposal(conn, proposal_id)
    if held is None:
        raise NotFound("proposal", proposal_id)
    if held.status in ("approved", "done"):
        raise Conflict("proposal.approved", "it was approved already")
    if held.status == "proposed":
        decide(conn, proposal_id, "dismissed", now=now, actor=by.key_id, reason=reason)
        data = {"proposal_id": proposal_id, "kind": held.kind, "reason": reason}
        write_event(conn, "proposal.dismissed", proposal_id, data, actor=by, origin=db.origin)
    return _shown(conn, proposal_id, now)


def _shown(conn: Connection[TupleRow], proposal_id: str, now: datetime) -> Kept:
    kept = get_proposal(conn, proposal_id, now=now)
    assert kept is not None, "locked in this transaction"
    return kept


def _part_of(conn: Connection[TupleRow], proposal_id: str, held: Held, share: float) -> Held:
    if held.kind == "transfer":
        quantity = corrected(held.quantity, 0, share)
    elif held.kind == "safety_stock":
        quantity = corrected(held.quantity, store.safety_stock_of(conn, (held.item_id, held.node_id)), share)
    else:
        return held
    return take_part(conn, proposal_id, held, quantity)


def _still_open(held: Held, now: datetime) -> None:
    if held.status == "dismissed":
        raise Conflict("proposal.dismissed", "it was dismissed: plan again if it is wanted after all")
    if held.status == "superseded":
        raise Conflict("proposal.superseded", "a newer plan has taken its place: see what that one proposes")
    if held.expires_at <= now:
        raise Conflict(
            "proposal.expired",
            f"it could be approved until {held.expires_at:%Y-%m-%d %H:%M} UTC; stock and forecast have moved on:"
            " plan again",
            expires_at=held.expires_at.isoformat(),
        )


def _room_on_lane(conn: Connection[TupleRow], held: Held, now: datetime) -> int:
    """Days that the lane takes, which nobody else fills until the transaction ends."""
    assert held.from_node_id is not None
    lane = network.lock_lane(conn, held.from_node_id, held.node_id)
    if lane is None:
        raise Conflict("proposal.lane_closed", "nothing is moved over this lane any more: plan again")
    days, most = lane
    if most is not None:
        free = max(most - sent_today(conn, held.from_node_id, held.node_id, now.date()), 0)
        if held.quantity > free:
            raise Conflict(
                "proposal.lane_full",
                f"{held.quantity} units are to leave, and the lane has room for {free} more today",
                wanted=held.quantity,
                free=free,
            )
    return days


def _room_at_docks(conn: Connection[TupleRow], held: Held, now: datetime) -> None:
    """Both docks take the units today, and nobody else fills them until the transaction ends."""
    assert held.from_node_id is not None
    docks = network.lock_docks(conn, held.from_node_id, held.node_id)
    if not docks:
        return
    gone, come = docked_today(conn, held.from_node_id, held.node_id, now.date())
    nobody = ("", None, None)
    source, most_out, _ = docks.get(held.from_node_id, nobody)
    target, _, most_in = docks.get(held.node_id, nobody)
    for node, does, most, used in ((source, "sends out", most_out, gone), (target, "takes in", most_in, come)):
        free = held.quantity if most is None else max(most - used, 0)
        if held.quantity > free:
            raise Conflict(
                "proposal.dock_full",
                f"{held.quantity} units are to be moved, and the dock of {node!r} {does} {free} more today: plan again,"
                " or approve it tomorrow",
                node=node,
                wanted=held.quantity,
                free=free,
            )


def _send(db: Database, conn: Connection[TupleRow], held: Held, reference: str, by: Actor) -> None:
    """The units leave, if they are still free and not kept back."""
    assert held.from_node_id is not None
    key = (held.item_id, held.from_node_id)
    positions = store.lock_positions(conn, [key])
    available = positions[key].available if key in positions else 0
    free = max(available - store.safety_stock_of(conn, key), 0)
    if held.quantity > free:
        raise Conflict(
            "proposal.stock_gone",
            f"{held.quantity} units are to leave, and {free} are still free there: plan again",
            wanted=held.quantity,
            free=free,
        )
    entry = Entry(*key, "transfer_out", held.quantity, None, reference)
    (result,) = store.write_entries(conn, positions, [entry], actor=by, origin=db.origin)
    assert result.status == "applied", "what is free may leave"


def _announce(
    db: Database, conn: Connection[TupleRow], held: Held, kind: InboundKind, reference: str, day: date, by: Actor
) -> str:
    """The units are on their way: an inbound document, whose receipt is followed."""
    line = InboundLineIn(sku=held.sku, quantity=held.quantity, expected_at=datetime.combine(day, _NOON, UTC))
    document = InboundIn(reference=reference, node=held.node, supplier=held.supplier, kind=kind, lines=[line])
    inbound_id = new_id()
    is_new = inbound.add_inbound(
        conn, inbound_id, document, node_id=held.node_id, item_ids=[held.item_id], actor_key_id=by.key_id
    )
    if not is_new:
        raise Conflict("inbound.reference_taken", f"{reference!r} was recorded before with other content")
    data = {"inbound_id": inbound_id, "reference": reference, "node": held.node, "items": [held.item_id]}
    write_event(conn, "inbound.created", inbound_id, data, actor=by, origin=db.origin)
    return inbound_id


def _clear(db: Database, conn: Connection[TupleRow], proposal_id: str, held: Held, by: Actor) -> None:
    """Sourcing knows what a unit fetches there until the horizon; who sells learns it from the event."""
    assert held.price_minor is not None
    network.lock_network(conn)
    at = held.item_id, held.node_id
    replaces(conn, proposal_id, network.find_markdowns(conn, [at]).get(at))
    until = held.created_at.date() + timedelta(days=int(held.basis["horizon_days"]))
    written: list[tuple[int, int, int, date | None]] = [(held.item_id, held.node_id, held.price_minor, until)]
    network.write_markdowns(conn, MarkdownChanges(results=[], written=written, deleted=[]))
    data = {"kind": "markdown", "code": f"{held.sku} @ {held.node}"}
    write_event(conn, "network.changed", "markdown", data, actor=by, origin=db.origin)
