"""What a channel sells becomes our listings: matched by sku, with the ids that it has there."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.channels.store as channel_store
from onhand.base.actor import Actor
from onhand.connectors._sdk.values import Offer
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.flows.accounts import Account

_PAGES_MAX = 100_000
_EXAMPLES = 20
# Of one event: whoever follows it reads as many rows.
_TOLD_AT_ONCE = 1_000


@dataclass(slots=True)
class Synced:
    """What came of it. unknown: things that are no item of ours (`examples` names some, by their sku there)."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    unknown: int = 0
    rejected: int = 0
    examples: list[str] = field(default_factory=list[str])


async def sync_listings(db: Database, account: Account, *, by: Actor, dry_run: bool = False) -> Synced:
    """Read all that a channel sells and list it. A listing that is closed stays so. Raises Unavailable, Refused.

    dry_run  only say what it would do
    """
    synced = Synced()
    at: str | None = None
    for _ in range(_PAGES_MAX):
        page = await account.connector.pull_listings(account.connection, at)
        offers = [record for record in page.records if isinstance(record, Offer)]
        synced.read += len(offers)
        synced.rejected += len(page.rejects)
        await asyncio.to_thread(_take, db, account, offers, synced, by, dry_run)
        if page.next is None:
            break
        at = page.next
    return synced


def _take(db: Database, account: Account, offers: Sequence[Offer], synced: Synced, by: Actor, dry_run: bool) -> None:
    def work(conn: Connection[TupleRow]) -> tuple[list[str], list[str], int]:
        known = channel_store.match_offers(conn, account.channel_id, [offer.external_sku for offer in offers])
        created, updated = 0, 0
        written: list[tuple[int, str, str, str]] = []
        codes: list[str] = []
        unknown: list[str] = []
        for offer in offers:
            found = known.get(offer.external_sku)
            if found is None:
                unknown.append(offer.external_sku or offer.external_id)
                continue
            status = found.status if found.status == "closed" else "active" if offer.is_active else "paused"
            if found.is_new:
                created += 1
            elif (found.external_id, found.status) == (offer.external_id, status):
                continue
            else:
                updated += 1
            written.append((found.item_id, offer.external_id, offer.external_sku, status))
            codes.append(f"{account.code}/{found.sku}")
        if not dry_run and written:
            channel_store.write_listings(conn, account.channel_id, written)
            for first in range(0, len(codes), _TOLD_AT_ONCE):
                some = codes[first : first + _TOLD_AT_ONCE]
                data = {"kind": "listing", "codes": some}
                write_event(conn, "network.changed", "listings", data, actor=by, origin=db.origin)
        return unknown, codes, created

    unknown, codes, created = db.transact(work)
    db.notify()
    synced.unknown += len(unknown)
    synced.examples += unknown[: max(0, _EXAMPLES - len(synced.examples))]
    synced.created += created
    synced.updated += len(codes) - created
    synced.unchanged += len(offers) - len(unknown) - len(codes)
