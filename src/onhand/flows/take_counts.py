"""What was counted where somebody else keeps units for us, as entries of the ledger.

A count says what is there, whatever we thought: booked twice, or after a later one, it would undo what happened since.
So it becomes an entry in the transaction that says how far their counts were read, or never: what stands in its way is
kept for a person to see, and the next count of the item makes up for it.

Some tell again and again what they could still ship (Amazon's warehouses). What they hold for us comes on top of that,
and only what is another number than ours is booked. Of what they keep under names that we do not know nothing is ours.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.channels.inbound import store
from onhand.connectors._sdk.values import Level, Reject
from onhand.db import queries
from onhand.flows.record_entries import record_in
from onhand.flows.serve_waiting import serve_waiting
from onhand.flows.state import State
from onhand.flows.take_orders import Channel
from onhand.flows.take_sales import NotBookable, keep_unreadable, node_of
from onhand.ledger.intake import EntryIn
from onhand.ledger.model import Rejected
from onhand.ledger.store import Key

SQL = queries(__file__)
ASKED: Final = "ships/asked/"
"""Begins the names of notes of what somebody else was asked to ship; the fulfilment's id follows."""


def book_counts(
    state: State, conn: Connection[TupleRow], channel: Channel, levels: Sequence[Level], *, node: str, page: str
) -> bool:
    """Make the counts of a page entries; whether stock is another now. The caller notifies.

    node  that they are of; "": the channel's only one, or the one that has the name of the level's place
    page  where the page began: entries refer to it
    """
    names = sorted({name for level in levels for name in (level.external_sku, level.external_id) if name})
    by_id, by_sku = store.skus_of(conn, channel.channel_id, names, names)
    there = _there(conn, channel, node) if any(level.is_free for level in levels) else {}
    rows: list[EntryIn | Rejected] = []
    counted: list[Level] = []
    for level in levels:
        sku = by_id.get(level.external_id) or by_sku.get(level.external_sku) or by_sku.get(level.external_id)
        quantity = level.quantity
        if level.is_free:
            on_hand, held = there.get(sku or "", (0, 0))
            quantity += held
            if sku is None or quantity == on_hand:
                continue
        counted.append(level)
        if sku is None:
            rows.append(Rejected("item.not_found", f"no listing or item is known as {_name(level)!r}"))
            continue
        try:
            where = node or node_of(state, channel, level.place)
        except NotBookable as error:
            rows.append(Rejected("node.not_found", str(error)))
            continue
        rows.append(
            EntryIn(
                kind="count",
                sku=sku,
                node=where,
                quantity=quantity,
                occurred_at=level.counted_at,
                reference=f"{channel.code} {hashlib.sha256(page.encode()).hexdigest()[:16]}"[:128],
            )
        )
    if not rows:
        return False
    by = Actor(key_id=0, reason=f"channel {channel.code}")

    def serve(conn: Connection[TupleRow], keys: list[Key]) -> None:
        serve_waiting(state, conn, keys, by=by)

    recorded = record_in(
        conn, state.catalogue, state.network.node_ids, rows, by, origin=state.db.origin, now=state.now(),
        serve_waiting=serve,
    )  # fmt: skip
    unbooked = [
        Reject(
            external_id=_name(level), why=f"{result.code}: {result.message}", record=msgspec.json.encode(level).decode()
        )
        for level, result in zip(counted, recorded.results, strict=True)
        if result.status == "rejected"
    ]
    keep_unreadable(conn, channel.channel_id, unbooked)
    return bool(recorded.positions)


def _there(conn: Connection[TupleRow], channel: Channel, node: str) -> dict[str, tuple[int, int]]:
    """Of each sku at the node how many are on hand, by our ledger, and how many its other side holds for us.

    It holds what it was asked to ship, whatever it answered, and has not shipped yet."""
    values = {"channel_id": channel.channel_id, "node": node, "asked": ASKED}
    return {sku: (on_hand, held) for sku, on_hand, held in conn.execute(SQL["held_there"], values)}


def _name(level: Level) -> str:
    return level.external_sku or level.external_id
