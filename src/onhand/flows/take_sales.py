"""What channels sold over a counter, as entries of the ledger: each once, and none lost.

A sale is kept like a message before anything is done with it, known by its id. It becomes an adjustment with the reason
`sale` (units that are brought back: one that adds) in the transaction that ends the message; of units that lay there
and were promised to somebody else, a count of what is left. What stands in the way, such as an unknown item, or more
units than there were, is written at the message and tried again; after that a person sees it.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.channels.inbound import store
from onhand.channels.inbound.decide import retry_s
from onhand.channels.inbound.store import Message
from onhand.connectors._sdk.values import Reject, Sale
from onhand.db.outbox import write_event
from onhand.flows.record_entries import Recorded, record_in
from onhand.flows.serve_waiting import serve_waiting
from onhand.flows.state import State
from onhand.flows.take_orders import Channel
from onhand.ledger.decide import INSUFFICIENT
from onhand.ledger.intake import EntryIn
from onhand.ledger.store import Key, lock_positions

SALE: Final = "onhand.sale"
"""Topic of a message of our own: its body is a sale."""
UNREADABLE: Final = "onhand.unreadable"
"""Topic of what could not be read or booked: its body is why, and what it was."""

_TRIES_MAX = 8
_SKU_TRIES_MAX = 20  # a listing may come a day later
_REFERENCE_MAX = 128


class NotBookable(Exception):
    """Why a sale cannot become an entry now. tries: so often it is tried again before a person has to look."""

    def __init__(self, why: str, *, tries: int = _TRIES_MAX) -> None:
        self.tries = tries
        super().__init__(why)


def keep_sales(conn: Connection[TupleRow], channel_id: int, values: Sequence[object]) -> int:
    """Keep the sales among `values`, to be booked soon; how many were news."""
    news = 0
    for sale in values:
        if isinstance(sale, Sale):
            body = msgspec.json.encode(sale)
            news += store.add_message(conn, channel_id, dedupe=f"{SALE} {sale.external_id}", topic=SALE, body=body)
    return news


def keep_unreadable(conn: Connection[TupleRow], channel_id: int, rejects: Sequence[Reject]) -> None:
    """Keep what could not be read, for a person to see."""
    for reject in rejects:
        body = f"{reject.why}\n{reject.record}".encode()
        name = f"{UNREADABLE} {reject.external_id} {hashlib.sha256(body).hexdigest()[:32]}"
        store.add_message(conn, channel_id, dedupe=name, topic=UNREADABLE, body=body)


def book_sale(state: State, channel: Channel, message: Message) -> None:
    """Make a sale that was kept an entry, or write down why that cannot be. Raises DatabaseUnavailable."""
    if message.topic == UNREADABLE:
        why = message.body.decode().partition("\n")[0]
        state.db.transact(lambda conn: store.fail_message(conn, message.message_id, error=why, seconds=None))
        return
    sale = msgspec.json.decode(message.body, type=Sale)

    def work(conn: Connection[TupleRow]) -> Recorded | None:
        if not store.lock_message(conn, message.message_id):
            return None
        recorded = _record(state, conn, channel, sale)
        store.finish_messages(conn, [message.message_id])
        return recorded

    try:
        recorded = state.db.transact(work)
    except NotBookable as error:
        because = str(error)
        seconds = None if message.attempts >= error.tries else retry_s(message.attempts) * 4
        state.db.transact(lambda conn: store.fail_message(conn, message.message_id, error=because, seconds=seconds))
        return
    if recorded is not None and recorded.positions:
        state.db.notify()


def _record(state: State, conn: Connection[TupleRow], channel: Channel, sale: Sale) -> Recorded:
    by_id, by_sku = store.skus_of(conn, channel.channel_id, [sale.external_sku], [sale.external_sku])
    sku = by_id.get(sale.external_sku) or by_sku.get(sale.external_sku)
    if sku is None:
        raise NotBookable(f"no listing or item is known as {sale.external_sku!r}", tries=_SKU_TRIES_MAX)
    by = Actor(key_id=0, reason=f"channel {channel.code}")
    entry = EntryIn(
        kind="adjustment",
        sku=sku,
        node=node_of(state, channel, sale.place),
        quantity=-sale.quantity,
        reason="sale",
        reference=f"{channel.code} {sale.external_id}"[:_REFERENCE_MAX],
        occurred_at=sale.at,
    )

    def serve(conn: Connection[TupleRow], keys: list[Key]) -> None:
        serve_waiting(state, conn, keys, by=by)

    def record(entry: EntryIn) -> Recorded:
        return record_in(
            conn, state.catalogue, state.network.node_ids, [entry], by, origin=state.db.origin, now=state.now(),
            serve_waiting=serve,
        )  # fmt: skip

    recorded = record(entry)
    (result,) = recorded.results
    if result.code == INSUFFICIENT:
        # It is gone, whoever it was promised to: then what is left is counted, and that promise is looked after.
        key = (state.catalogue.ids[sku], state.network.node_ids[entry.node])
        position = lock_positions(conn, [key]).get(key)
        if position is not None and sale.quantity <= position.on_hand:
            left = position.on_hand - sale.quantity
            recorded = record(msgspec.structs.replace(entry, kind="count", quantity=left))
            (result,) = recorded.results
    if result.status != "applied":
        raise NotBookable(f"{result.code}: {result.message}")
    booked: dict[str, object] = {
        "channel": channel.code, "sku": sku, "node": entry.node, "units": sale.quantity, "sold_at": sale.at,
        "channel_id": channel.channel_id, "item_id": state.catalogue.ids[sku],
    }  # fmt: skip
    write_event(conn, "sale.booked", "sale", booked, actor=by, origin=state.db.origin)
    return recorded


def node_of(state: State, channel: Channel, place: str) -> str:
    """The node whose counter it was: the only one of the channel, or the one that has the place's name.

    Raises NotBookable."""
    network = state.network
    known = network.channels.get(channel.code)
    nodes = [] if known is None else [network.node_codes[int(n)] for n in network.channel_nodes(known)]
    if len(nodes) == 1:
        return nodes[0]
    if place in nodes:
        return place
    raise NotBookable(f"which of its {len(nodes)} nodes sold it is not said: give the channel one node")
