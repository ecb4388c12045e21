"""Amazon beyond its document: feeds, what became of accepted numbers, the queue, and Amazon's warehouses as a node."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final, TypeVar, cast

import msgspec

from onhand.connectors._sdk.asking import Asker, Told
from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.filling import Unfillable
from onhand.connectors._sdk.interface import Connection, Refused, Unavailable
from onhand.connectors._sdk.mapping import Unmappable
from onhand.connectors._sdk.moments import moment_of
from onhand.connectors._sdk.outcomes import fate_of
from onhand.connectors._sdk.registry import FILE, Unusable, lint_folder
from onhand.connectors._sdk.values import (
    Fate,
    Fulfilment,
    Level,
    Outcome,
    Page,
    Posted,
    Reject,
    Said,
    Shipment,
    Write,
)
from onhand.connectors._sdk.vocabulary import ConnectorIn, RequestIn
from onhand.connectors.amazon import feeds, outbound, sqs
from onhand.wire import NotReachable, Request

T = TypeVar("T")
BATCH_MAX: Final = feeds.MESSAGES_MAX
# Sold out is told at once, in front of a feed that may take many minutes; 50 take ten seconds.
_ZEROS_FIRST: Final = 50
_ASKED_FOR_MAX: Final = 20  # SKUs in one search
_FEED: Final = "feed:"
_FROM_THE_FIRST: Final = "{}"
_UPLOAD_TIMEOUT_S: Final = 120.0
_OVERLAP: Final = timedelta(minutes=2)  # each order within it is asked for again
_FAILURES: Final = (Unavailable, Refused, Unfillable, Unmappable)

_SEARCH: Final = RequestIn.model_validate(
    {
        "plan": "searchListingsItems", "path": "/listings/2021-08-01/items/{settings.seller_id}",
        "query": {
            "marketplaceIds": "{settings.marketplace_id}", "includedData": "fulfillmentAvailability",
            "identifiers": "{skus}", "identifiersType": "SKU", "pageSize": _ASKED_FOR_MAX,
        },
    }
)  # fmt: skip
_READ: Final = RequestIn.model_validate(
    {
        "plan": "getListingsItem", "path": "/listings/2021-08-01/items/{settings.seller_id}/{sku}",
        "query": {"marketplaceIds": "{settings.marketplace_id}", "includedData": "fulfillmentAvailability"},
    }
)  # fmt: skip


class Amazon(Declared):
    """See `interface.Connector`, `Queued`, `Confirming` and `Shipper`."""

    def __init__(self, connector: ConnectorIn, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(connector, now=now)
        self.capabilities = self.capabilities | {
            "messages.pull", "stock.confirm", "shipping.push", "shipping.cancel", "shipping.pull", "counts.pull",
        }  # fmt: skip
        self._now = now
        self._ask_by = Asker(connector, {}, now=now)

    is_sent_messages = False
    """None comes by HTTP: `receive` has nothing to check."""

    @property
    def at_once(self) -> int:
        """Batches under way: while a large one waits for its turns, what is urgent goes beside it."""
        return 2

    @property
    def batch_max(self) -> int:
        """Writes that are best given together."""
        return BATCH_MAX

    async def _ask(self, connection: Connection, request: RequestIn, scope: Mapping[str, Any]) -> Told:
        return await self._ask_by.ask(connection, request.plan or "", request, scope)

    # Listings -----------------------------------------------------------------------------------------------------

    async def pull_stock(self, connection: Connection, at: str | None) -> Page:
        """What is shown of what we ship ourselves; beyond the 1,000 listings that one search pages through."""
        return _going_on(await super().pull_stock(connection, at), at)

    async def pull_listings(self, connection: Connection, at: str | None) -> Page:
        """What is listed; beyond the 1,000 listings that one search pages through."""
        return _going_on(await super().pull_listings(connection, at), at)

    async def pull_prices(self, connection: Connection, at: str | None) -> Page:
        """What is asked of everybody; beyond the 1,000 listings that one search pages through."""
        return _going_on(await super().pull_prices(connection, at), at)

    # Stock --------------------------------------------------------------------------------------------------------

    async def push_stock(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome]:
        """The fate of each write, in their order; at best `accepted`. Never raises for a channel that fails."""
        newest = {(write.external_id, write.place): number for number, write in enumerate(writes)}
        fates: list[Outcome] = [Outcome(fate=Fate.DONE, code="superseded", message="a newer number follows")] * len(
            writes
        )
        numbers = sorted(newest.values())
        feed_from = int(connection.settings.get("feed_from") or 0)
        by_feed: list[int] = []
        if feed_from and len(numbers) >= feed_from:
            at_once = set([n for n in numbers if writes[n].quantity == 0][:_ZEROS_FIRST])
            by_feed = [n for n in numbers if n not in at_once]
            numbers = sorted(at_once)
        for n, outcome in zip(numbers, await self._patch(connection, [writes[n] for n in numbers]), strict=True):
            fates[n] = outcome
        for start in range(0, len(by_feed), feeds.MESSAGES_MAX):
            some = by_feed[start : start + feeds.MESSAGES_MAX]
            outcome = await self._feed(connection, [writes[n] for n in some])
            for n in some:
                fates[n] = outcome
        return fates

    async def _patch(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome]:
        turns = asyncio.Semaphore(self.document.limits.at_once)

        async def one(write: Write) -> Outcome:
            async with turns:
                return (await super(Amazon, self).push_stock(connection, [write]))[0]

        return list(await asyncio.gather(*map(one, writes)))

    async def _feed(self, connection: Connection, writes: Sequence[Write]) -> Outcome:
        settings = connection.settings
        document = feeds.document(
            writes,
            seller_id=str(settings["seller_id"]),
            product_type=str(settings.get("product_type") or "PRODUCT"),
            place=str(settings.get("place") or "DEFAULT"),
        )
        try:
            place = cast("dict[str, str]", (await self._ask(connection, feeds.CREATE_DOCUMENT, {})).body)
            # Until a feed is made of it, a document does nothing.
            await _transfer(connection, "PUT", place["url"], document)
        except _FAILURES as error:
            return _unsent(fate_of(error))
        except (KeyError, TypeError):
            return Outcome(fate=Fate.RETRY, message="the channel named no place to put a feed")
        try:
            told = await self._ask(connection, feeds.CREATE, {"document_id": place["feedDocumentId"]})
            return Outcome(fate=Fate.ACCEPTED, ticket=f"{_FEED}{cast('dict[str, str]', told.body)['feedId']}")
        except _FAILURES as error:
            return fate_of(error)
        except (KeyError, TypeError):
            return Outcome(fate=Fate.UNKNOWN, message="the channel did not name the feed")

    async def confirm_stock(self, connection: Connection, writes: Sequence[Write], ticket: str) -> list[Outcome]:
        """See `interface.Confirming`. Writes of a feed that has ended are read; so is what was patched."""
        try:
            refused = await self._refused(connection, ticket) if ticket.startswith(_FEED) else {}
            if isinstance(refused, Outcome):
                return [refused] * len(writes)
            asked = [write for write in writes if write.external_id not in refused]
            shown = await self._shown(connection, asked)
        except _FAILURES as error:
            failed = fate_of(error)
            # Not to know what became of them is no reason to send them again.
            return [Outcome(fate=Fate.ACCEPTED, code=failed.code, message=failed.message, ticket=ticket)] * len(writes)
        place = str(connection.settings.get("place") or "DEFAULT")
        return [
            refused.get(write.external_id) or _confirmed(write, shown.get(write.external_id), write.place or place)
            for write in writes
        ]

    async def _refused(self, connection: Connection, ticket: str) -> dict[str, Outcome] | Outcome:
        """What a feed's report says of listings; one outcome for all while there is none, or if there never will be."""
        told = await self._ask(connection, feeds.GET, {"feed_id": ticket.removeprefix(_FEED)})
        feed = cast("dict[str, str]", told.body)
        match feed.get("processingStatus"):
            case "IN_QUEUE" | "IN_PROGRESS":
                return Outcome(fate=Fate.ACCEPTED, code=feed["processingStatus"], ticket=ticket)
            case "CANCELLED":
                return Outcome(fate=Fate.RETRY, code="CANCELLED", message="the feed was cancelled before it began")
            case "FATAL":
                return Outcome(fate=Fate.UNKNOWN, code="FATAL", message="the feed broke off: some of it may be shown")
            case _:
                pass
        if not feed.get("resultFeedDocumentId"):
            return {}
        told = await self._ask(connection, feeds.GET_DOCUMENT, {"document_id": feed["resultFeedDocumentId"]})
        place = cast("dict[str, str]", told.body)
        report = await _transfer(connection, "GET", place["url"], b"")
        refused, whole = feeds.failures(feeds.unpacked(report, place.get("compressionAlgorithm")))
        return whole or refused

    async def _shown(self, connection: Connection, writes: Sequence[Write]) -> dict[str, dict[str, int]]:
        """What listings show now: SKU, fulfilment channel, units. A listing that is not there is left out."""
        skus = sorted({write.external_id for write in writes})
        # A list divided by commas cannot say a SKU that has one.
        odd = [sku for sku in skus if "," in sku]
        even = [sku for sku in skus if "," not in sku]
        items: list[dict[str, Any]] = []
        for start in range(0, len(even), _ASKED_FOR_MAX):
            scope = {"skus": ",".join(even[start : start + _ASKED_FOR_MAX])}
            told = await self._ask(connection, _SEARCH, scope)
            items += cast("list[dict[str, Any]]", cast("dict[str, Any]", told.body).get("items") or [])
        for sku in odd:
            try:
                items.append(cast("dict[str, Any]", (await self._ask(connection, _READ, {"sku": sku})).body))
            except Refused as error:
                if not error.is_gone:
                    raise
        return {
            str(item["sku"]): {
                str(at["fulfillmentChannelCode"]): int(at.get("quantity") or 0)
                for at in cast("list[dict[str, Any]]", item.get("fulfillmentAvailability") or [])
            }
            for item in items
        }

    # What Amazon's warehouses have --------------------------------------------------------------------------------

    async def pull_counts(
        self,
        connection: Connection,
        at: str | None,
        *,
        since: datetime,  # noqa: ARG002  all of it is told each time
    ) -> Page:
        """What the warehouses could ship; nothing, if no node of ours stands for them."""
        if not connection.settings.get("node"):
            return Page(records=[])
        page = await self.pull_node_stock(connection, at)
        # The next time all of it is read again, from the first page.
        return replace(page, records=_free(page.records), cursor=None if page.next else _FROM_THE_FIRST)

    # The queue ----------------------------------------------------------------------------------------------------

    async def pull_messages(self, connection: Connection) -> Sequence[Posted]:
        """Notifications of this account that lie in the queue; those of another account are left to it."""
        wait_s = int(connection.settings.get("queue_wait_s") or 0)
        found = await self._queue(connection).receive(wait_s=wait_s)
        seller = str(connection.settings.get("seller_id") or "")
        return [
            Posted(received=self.labelled(message.body), body=message.body, receipt=message.receipt)
            for message in found
            if _seller_of(message.body) in (seller, "")
        ]

    async def settle_messages(self, connection: Connection, receipts: Sequence[str]) -> None:
        """Remove what has been stored. Raises Unavailable, Refused."""
        await self._queue(connection).delete(receipts)

    def _queue(self, connection: Connection) -> sqs.Queue:
        url = str(connection.settings.get("queue_url") or "")
        keys = sqs.Keys(
            key_id=connection.credentials.get("aws_access_key_id", ""),
            secret=connection.credentials.get("aws_secret_access_key", ""),
        )
        if not (url and keys.key_id and keys.secret):
            raise Refused("no queue is set up: queue_url and the two keys of AWS are needed", code="no_queue")
        return sqs.Queue(url, keys=keys, sender=connection.sender, hide=connection.hide, now=self._now)

    async def read(self, connection: Connection, topic: str, body: bytes) -> Sequence[Said]:
        """What a notification says, or what it is a hint to. Raises Refused, Unavailable."""
        if topic == "FULFILLMENT_ORDER_STATUS":
            return await self._shipments(connection, _fulfilment_of(body))
        said = await super().read(connection, topic, body)
        return _free(said) if topic == "FBA_INVENTORY_AVAILABILITY_CHANGES" else said

    # Amazon's warehouses ------------------------------------------------------------------------------------------

    async def push_fulfilment(self, connection: Connection, fulfilment: Fulfilment) -> Outcome:
        """Ask Amazon to ship from its stock. Never raises for a channel that fails."""
        if len(fulfilment.fulfilment_id) > outbound.ID_MAX:
            return Outcome(fate=Fate.REFUSED, code="id", message=f"its id is longer than {outbound.ID_MAX} characters")
        order = outbound.order_of(fulfilment, marketplace_id=str(connection.settings["marketplace_id"]))
        try:
            await self._ask(connection, outbound.CREATE, {"order": order})
        except _FAILURES as error:
            failed = fate_of(error)
            # Amazon takes an id once: what is refused may be our own repeat, after an answer that was lost.
            if failed.fate is Fate.REFUSED and await self._is_known(connection, fulfilment.fulfilment_id):
                return Outcome(fate=Fate.ACCEPTED, code="known", message="it was asked for before")
            return failed
        return Outcome(fate=Fate.ACCEPTED)

    async def _is_known(self, connection: Connection, fulfilment_id: str) -> bool:
        try:
            await self._ask(connection, outbound.GET, {"id": fulfilment_id})
        except _FAILURES:
            return False
        return True

    async def cancel_fulfilment(
        self,
        connection: Connection,
        fulfilment_id: str,
        *,
        reason: str,  # noqa: ARG002  Amazon does not ask for one
        key: str,  # noqa: ARG002  a repeat changes nothing
    ) -> Outcome:
        """Take it back, while Amazon has not begun to pack. Never raises for a channel that fails."""
        try:
            await self._ask(connection, outbound.CANCEL, {"id": fulfilment_id})
        except _FAILURES as error:
            failed = fate_of(error)
            if failed.fate is Fate.REFUSED and await self._is_cancelled(connection, fulfilment_id):
                return Outcome(fate=Fate.DONE, code="known", message="it was cancelled before")
            return failed
        # What is being packed at this moment may leave all the same: pull_shipments tells.
        return Outcome(fate=Fate.ACCEPTED)

    async def _is_cancelled(self, connection: Connection, fulfilment_id: str) -> bool:
        try:
            return any(s.status == "cancelled" for s in await self._shipments(connection, fulfilment_id))
        except _FAILURES:
            return False

    async def pull_shipments(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """What became of fulfilments that changed. One more question for each of them."""
        state = cast("dict[str, str]", json.loads(at)) if at is not None else {}
        start = moment_of(state["start"]) if "start" in state else since
        high = moment_of(state["high"]) if "high" in state else start
        scope = {"since": start - _OVERLAP, "after": state.get("after")}
        payload = _payload((await self._ask(connection, outbound.LIST, scope)).body)
        records: list[Shipment] = []
        rejects: list[Reject] = []
        for order in cast("list[dict[str, Any]]", payload.get("fulfillmentOrders") or []):
            order_id = str(order.get("sellerFulfillmentOrderId") or "")
            try:
                high = max(high, moment_of(str(order["statusUpdatedDate"])))
                records += await self._shipments(connection, order_id)
            except (Refused, KeyError, ValueError) as error:
                rejects.append(Reject(external_id=order_id or "?", why=str(error), record=json.dumps(order)[:20_000]))
        after = cast("str | None", payload.get("nextToken"))
        said = {"start": (start if after else high).isoformat(), "high": high.isoformat()}
        return Page(
            records=records,
            rejects=rejects,
            next=json.dumps(said | {"after": after}) if after else None,
            cursor=None if after else json.dumps(said),
        )

    async def _shipments(self, connection: Connection, fulfilment_id: str) -> list[Shipment]:
        told = await self._ask(connection, outbound.GET, {"id": fulfilment_id})
        try:
            return outbound.shipments_of(_payload(told.body))
        except (KeyError, ValueError, TypeError) as error:
            raise Refused(f"the fulfilment cannot be read: {error!r}", code="unreadable") from None


def connector() -> Amazon:
    """Amazon by the document beside this file. Raises Unusable."""
    folder = files(__package__ or "onhand.connectors.amazon")
    linted = lint_folder(folder)
    if linted.connector is None:
        raise Unusable("\n".join(f"amazon/{FILE}:{finding}" for finding in linted.findings))
    return of(linted.connector)


def of(document: ConnectorIn) -> Amazon:
    """Amazon by another document: a channel may have other limits."""
    return Amazon(document)


def _free(records: Sequence[T]) -> list[T]:
    """Numbers of the warehouses: fulfillable units."""
    return [cast("T", msgspec.structs.replace(x, is_free=True)) if isinstance(x, Level) else x for x in records]


def _going_on(page: Page, at: str | None) -> Page:
    """Once a search has ended, another begins where it came to, until nothing is new there."""
    began = (cast("dict[str, str]", json.loads(at)) if at is not None else {}).get("start")
    if page.next is not None or page.cursor is None:
        return page
    came_to = cast("dict[str, str]", json.loads(page.cursor))["high"]
    return Page(records=page.records, rejects=page.rejects, next=None if came_to == began else page.cursor)


def _confirmed(write: Write, shown: Mapping[str, int] | None, place: str) -> Outcome:
    if shown is None:
        return Outcome(fate=Fate.GONE, code="not_listed", message="there is no such listing")
    seen = shown.get(place)
    return Outcome(fate=Fate.DONE if seen == write.quantity else Fate.ACCEPTED, seen=seen)


def _unsent(outcome: Outcome) -> Outcome:
    """Of a feed that has not been made: whatever became of its document, no number was changed."""
    return replace(outcome, fate=Fate.RETRY) if outcome.fate is Fate.UNKNOWN else outcome


async def _transfer(connection: Connection, method: str, url: str, body: bytes) -> bytes:
    """A document to or from where the channel said, without any sign of who we are. Raises Unavailable, Refused."""
    headers = {"content-type": feeds.CONTENT_TYPE} if method == "PUT" else {}
    request = Request(method=method, url=url, headers=headers, body=body, timeout_s=_UPLOAD_TIMEOUT_S)
    try:
        answer = await connection.sender.send(request)
    except NotReachable as error:
        raise Unavailable(f"the feed's document: {error}", was_sent=error.was_sent) from None
    if answer.status >= 500 or answer.status in (403, 408, 429):  # 403: the address is valid for five minutes
        raise Unavailable(f"the feed's document: HTTP {answer.status}")
    if answer.status >= 300:
        raise Refused(f"the feed's document: HTTP {answer.status}", code="document")
    return answer.body


def _payload(body: Any) -> dict[str, Any]:
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    payload = fields.get("payload")
    if not isinstance(payload, dict):
        raise Unavailable("the answer is none of Amazon's: it has no payload")
    return cast("dict[str, Any]", payload)


def _said(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _inner(of: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        inner = of.get(name)
        of = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else {}
    return of


def _seller_of(body: bytes) -> str:
    """Whose a notification is; "" if it does not say."""
    said = _said(body)
    payload = _inner(said, "Payload") or _inner(said, "payload")
    for fields in (payload, *(_inner(payload, name) for name in payload)):
        seller = fields.get("SellerId") or fields.get("sellerId")
        if seller:
            return str(seller)
    return ""


def _fulfilment_of(body: bytes) -> str:
    fields = _inner(_said(body), "Payload", "FulfillmentOrderStatusNotification")
    found = str(fields.get("SellerFulfillmentOrderId") or "")
    if not found:
        raise Refused("the message does not say which fulfilment it is about", code="unreadable")
    return found
