"""A connector that is a document: the vocabulary put to work."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, cast

import msgspec

from onhand.base.money import is_currency
from onhand.connectors._sdk import mapping, overriding, signing
from onhand.connectors._sdk.asking import Asker, Told
from onhand.connectors._sdk.filling import Unfillable, fill, fill_text
from onhand.connectors._sdk.interface import Connection, NotGenuine, Refused, Unavailable
from onhand.connectors._sdk.mapping import Unmappable
from onhand.connectors._sdk.outcomes import (
    AnyWrite,
    batches_of,
    fate_of,
    item_of,
    key_of,
    listed_at,
    outcomes_of,
    records_at,
    written,
)
from onhand.connectors._sdk.paging import Reading
from onhand.connectors._sdk.translate import Condition, translate, translator
from onhand.connectors._sdk.values import (
    ChannelOrder,
    Charge,
    Fate,
    Less,
    Outcome,
    Page,
    Paid,
    Parcel,
    PaymentHint,
    PaymentState,
    PriceWrite,
    Received,
    Said,
    Write,
)
from onhand.connectors._sdk.vocabulary import (
    ConnectorIn,
    CredentialIn,
    FromIn,
    OperationIn,
    QueueIn,
    SettingIn,
    StepIn,
    TopicIn,
    WebhooksIn,
)

_OVERRIDES: Final = SettingIn(
    type="document",
    required=False,
    description="parts of its connector.yaml that are otherwise for this channel; null removes one",
)

_SAID_MAX: Final = 500


class Declared:
    """A connector by its document; see `interface.Connector`.

    documents  text of GraphQL files by name
    """

    def __init__(
        self,
        connector: ConnectorIn,
        documents: Mapping[str, str] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.document = connector
        self.name: str = connector.connector
        self.capabilities: frozenset[str] = frozenset(connector.operations)
        self._now = now
        self._asker = Asker(connector, documents or {}, now=now)
        self._make = {name: translator(by) for name, by in connector.maps.items()}
        self._ways: dict[str, list[tuple[Condition | None, OperationIn]]] = {
            name: [
                (None if way.for_ is None else Condition(way.for_), way)
                for way in ([ways] if isinstance(ways, OperationIn) else ways)
            ]
            for name, ways in connector.operations.items()
        }

    @property
    def settings(self) -> Mapping[str, SettingIn]:
        """What an operator fills in when a channel is set up; and what he may say otherwise than the document."""
        return {**self.document.settings, overriding.SETTING: _OVERRIDES}

    @property
    def credentials(self) -> Mapping[str, CredentialIn]:
        """Which secrets."""
        return self.document.credentials

    @property
    def at_once(self) -> int:
        """Requests that may be under way at the same time."""
        return self.document.limits.at_once

    @property
    def batch_max(self) -> int:
        """Writes that are best given together: the most that one request of any of its ways carries. What comes again
        together is divided in the same way again, so its requests have the same keys."""
        return self._batch_max("stock.push")

    @property
    def price_batch_max(self) -> int:
        """The same of prices."""
        return self._batch_max("prices.push")

    def _batch_max(self, name: str) -> int:
        ways = [way for _, way in self._ways.get(name, ())]
        return max((1 if way.batch is None else way.batch.max for way in ways), default=1)

    @property
    def is_compared(self) -> bool:
        """Whether writes say what they expect to be there."""
        return any(
            way.write is not None and way.write.guard == "compare_and_set"
            for _, way in self._ways.get("stock.push", ())
        )

    @cached_property
    def _handshake(self) -> Condition | None:
        webhooks = self.document.webhooks
        return None if webhooks is None or webhooks.handshake is None else Condition(webhooks.handshake.when)

    # Reading ------------------------------------------------------------------------------------------------------

    async def pull_orders(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """Orders that changed. at: a `next` or `cursor` of an earlier page; since: where the first one begins."""
        return await self._pull(connection, "orders.pull", at, since)

    async def pull_stock(self, connection: Connection, at: str | None) -> Page:
        """What the channel shows of each listing."""
        return await self._pull(connection, "stock.pull", at, None)

    async def pull_listings(self, connection: Connection, at: str | None) -> Page:
        """What the channel sells."""
        return await self._pull(connection, "listings.pull", at, None)

    async def pull_prices(self, connection: Connection, at: str | None) -> Page:
        """What is asked for each listing."""
        return await self._pull(connection, "prices.pull", at, None)

    async def get_currency(self, connection: Connection) -> str:
        """Of which currency its prices are. Raises Refused if the answer does not say."""
        way = self._ways["prices.currency"][0][1]
        with _in_our_words():
            told = await self._do(connection, "prices.currency", way, {})
            found = mapping.path(way.records)(told.body)
        if not isinstance(found, str) or not is_currency(found.upper()):
            raise Refused("the answer names no currency", code="unreadable")
        return found.upper()

    async def pull_node_stock(self, connection: Connection, at: str | None) -> Page:
        """What is on hand at the nodes that the channel itself ships from."""
        return await self._pull(connection, "node_stock.pull", at, None)

    async def pull_sales(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """What was sold over its counters."""
        return await self._pull(connection, "sales.pull", at, since)

    async def get_order(self, connection: Connection, order_id: str) -> ChannelOrder:
        """One order as it is now. Raises Refused with is_gone when there is none, or it cannot be read."""
        order = await self._get(connection, order_id)
        if order is None:
            raise Refused(f"there is no order {order_id}", code="not_found", is_gone=True)
        return order

    async def _get(self, connection: Connection, order_id: str) -> ChannelOrder | None:
        """One order; None if the answer has none that is of this channel."""
        way = self._ways["orders.get"][0][1]
        with _in_our_words():
            told = await self._do(connection, "orders.get", way, {"id": order_id})
            records = records_at(way.records, told.body)
        if told.body is None:
            raise Refused("the answer is empty", code="unreadable")
        if not records:
            return None
        values, rejects = translate(records[:1], self._make[way.map or ""])
        if rejects:
            raise Refused(f"the order cannot be read: {rejects[0].why}", code="unreadable")
        return cast("ChannelOrder", values[0])

    async def _pull(self, connection: Connection, name: str, at: str | None, since: datetime | None) -> Page:
        way = self._ways[name][0][1]
        state = Reading.read(at, way, since)
        scope = state.scope(way)
        with _in_our_words():
            told = await self._do(connection, name, way, scope, url=state.url)
            records = listed_at(way.records, told.body)
            values, rejects = translate(records, self._make[way.map or ""])
            state.seen(way, records, now=self._now())
            following = state.following(way, told, records)
        cursor = None if following is not None else state.cursor()
        return Page(
            records=values,
            rejects=rejects,
            next=None if following is None else following.text(),
            cursor=cursor,
        )

    # Writing ------------------------------------------------------------------------------------------------------

    async def push_stock(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome]:
        """The fate of each write, in their order. Never raises for a channel that fails."""
        return await self._push_all(connection, "stock.push", writes)

    async def push_prices(self, connection: Connection, writes: Sequence[PriceWrite]) -> list[Outcome]:
        """The fate of each price, in their order. Never raises for a channel that fails."""
        return await self._push_all(connection, "prices.push", writes)

    async def _push_all(self, connection: Connection, name: str, writes: Sequence[AnyWrite]) -> list[Outcome]:
        fates: list[Outcome | None] = [None] * len(writes)
        left = list(range(len(writes)))
        turns = asyncio.Semaphore(self.at_once)

        async def push(way: OperationIn, some: Sequence[int]) -> None:
            async with turns:
                outcomes = await self._push(connection, name, way, [writes[n] for n in some])
            for n, outcome in zip(some, outcomes, strict=True):
                fates[n] = _hiding(connection, outcome)

        requests: list[Awaitable[None]] = []
        for condition, way in self._ways[name]:
            mine = [n for n in left if condition is None or condition.holds(item=item_of(writes[n]))]
            left = [n for n in left if n not in set(mine)]
            requests += [push(way, some) for some in batches_of(mine, writes, way.batch)]
        await asyncio.gather(*requests)
        nowhere = Outcome(fate=Fate.REFUSED, code="no_way", message=f"no way of {name} is for this listing")
        return [fate or nowhere for fate in fates]

    async def _push(
        self, connection: Connection, name: str, way: OperationIn, writes: Sequence[AnyWrite]
    ) -> list[Outcome]:
        try:
            scope: dict[str, Any]
            known = {"settings": connection.settings}
            # A channel with one place that shows the number has it among its settings.
            place = str(connection.settings.get("place") or "")
            now = self._now()
            asked = [msgspec.structs.replace(w, place=w.place or place, at=w.at or now) for w in writes]
            if way.batch is None:
                scope = written(asked[0])
            else:
                items = [fill(way.batch.item, {**known, **written(write)}) for write in asked]
                scope = {"items": items, "key": key_of(writes)}
            told = await self._do(connection, name, way, scope)
            return outcomes_of(way, told.body, asked)
        except (Unavailable, Refused, Unfillable, Unmappable) as error:
            if way.batch is not None and way.batch.split and len(writes) > 1 and _is_about_one(error):
                middle = len(writes) // 2
                halves = (writes[:middle], writes[middle:])
                return [outcome for half in halves for outcome in await self._push(connection, name, way, half)]
            return [fate_of(error)] * len(writes)

    async def push_parcel(self, connection: Connection, parcel: Parcel) -> Outcome:
        """Tell that units have left. Never raises for a channel that fails."""
        facts = {
            "order_id": parcel.order_id, "fulfilment_id": parcel.fulfilment_id, "key": parcel.key,
            "shipped_at": parcel.shipped_at, "carrier": parcel.carrier, "service": parcel.service,
            "tracking": parcel.tracking, "tracking_url": parcel.tracking_url, "place": parcel.place,
            "is_complete": parcel.is_complete, "lines": [dict(line) for line in parcel.lines],
        }  # fmt: skip
        way = self._way("fulfilments.push", facts)
        if way is None or (way.only_complete and not parcel.is_complete):
            return Outcome(fate=Fate.DONE, code="not_told", message="the channel is told when all has left")
        return await self._tell(connection, "fulfilments.push", way, facts)

    async def cancel_order(self, connection: Connection, order_id: str, *, reason: str, key: str) -> Outcome:
        """Tell that an order will not be served. Never raises for a channel that fails."""
        facts = {"id": order_id, "reason": reason, "key": key}
        way = self._way("orders.cancel", facts)
        if way is None:
            return Outcome(fate=Fate.REFUSED, code="no_way", message="no way of orders.cancel is for this order")
        return await self._tell(connection, "orders.cancel", way, facts)

    async def cancel_lines(
        self, connection: Connection, order_id: str, lines: Sequence[Less], *, reason: str, key: str
    ) -> Outcome:
        """Tell that units of an order will not be served. Never raises for a channel that fails."""
        facts = {
            "id": order_id, "reason": reason, "key": key, "lines": [msgspec.structs.asdict(line) for line in lines],
        }  # fmt: skip
        way = self._way("orders.cancel_lines", facts)
        if way is None:
            return Outcome(fate=Fate.REFUSED, code="no_way", message="no way of orders.cancel_lines is for this order")
        return await self._tell(connection, "orders.cancel_lines", way, facts)

    # Payments -----------------------------------------------------------------------------------------------------

    async def authorise(self, connection: Connection, charge: Charge) -> Paid:
        """See `interface.PaymentProvider`, here and below."""
        facts = msgspec.structs.asdict(charge) | {"customer": charge.customer or None}
        return await self._pay(connection, "payments.authorise", facts)

    async def capture(
        self, connection: Connection, payment_id: str, amount_minor: int, *, is_final: bool, is_many: bool, key: str
    ) -> Paid:
        """Take a part of what is held."""
        facts = {"id": payment_id, "amount_minor": amount_minor, "is_final": is_final, "is_many": is_many, "key": key}
        return await self._pay(connection, "payments.capture", facts)

    async def void(self, connection: Connection, payment_id: str, *, reason: str, key: str) -> Paid:
        """Give back what is held."""
        return await self._pay(connection, "payments.void", {"id": payment_id, "reason": reason, "key": key})

    async def refund(
        self, connection: Connection, payment_id: str, amount_minor: int, *, reason: str, key: str
    ) -> Paid:
        """Give back a part of what was captured."""
        facts = {"id": payment_id, "amount_minor": amount_minor, "reason": reason, "key": key}
        return await self._pay(connection, "payments.refund", facts)

    async def get_payment(self, connection: Connection, payment_id: str) -> Paid:
        """How it is."""
        return await self._pay(connection, "payments.get", {"id": payment_id})

    async def _pay(self, connection: Connection, name: str, facts: Mapping[str, Any]) -> Paid:
        way = self._way(name, facts)
        if way is None:
            return Paid(fate=Fate.REFUSED, code="no_way", message=f"no way of {name} is for this payment")
        try:
            told = await self._do(connection, name, way, facts)
        except (Unavailable, Refused, Unfillable, Unmappable) as error:
            failed = _hiding(connection, fate_of(error))
            return Paid(fate=failed.fate, code=failed.code, message=failed.message)
        if way.map is None:
            return Paid(fate=Fate.DONE)
        try:
            states, rejects = translate(records_at(way.records, told.body)[:1], self._make[way.map])
        except Unmappable as error:
            return Paid(fate=Fate.UNKNOWN, message=connection.hide(str(error))[:_SAID_MAX])
        if not states:
            why = rejects[0].why if rejects else "the answer is empty"
            return Paid(fate=Fate.UNKNOWN, message=connection.hide(f"the answer cannot be read: {why}")[:_SAID_MAX])
        return Paid(fate=Fate.DONE, state=cast("PaymentState", states[0]))

    def _way(self, name: str, facts: Mapping[str, Any]) -> OperationIn | None:
        item = {key: value for key, value in facts.items() if isinstance(value, (str, bool, int))}
        return next((way for c, way in self._ways[name] if c is None or c.holds(item=item)), None)

    async def _tell(self, connection: Connection, name: str, way: OperationIn, facts: Mapping[str, Any]) -> Outcome:
        try:
            told = await self._do(connection, name, way, facts)
        except (Unavailable, Refused, Unfillable, Unmappable) as error:
            return fate_of(error)
        if way.outcomes is None:
            return Outcome(fate=Fate.DONE)
        outcome = outcomes_of(way, told.body, [Write(external_id="", quantity=0, key="")])[0]
        return _hiding(connection, outcome)

    # One operation ------------------------------------------------------------------------------------------------

    async def _do(
        self,
        connection: Connection,
        name: str,
        way: OperationIn,
        scope: Mapping[str, Any],
        *,
        url: str | None = None,
    ) -> Told:
        """The answer to its request, or to the last of its steps that was taken."""
        if way.request is not None:
            return await self._asker.ask(connection, name, way.request, scope, limits=way.limits, url=url)
        told: Told | None = None
        known: dict[str, Any] = {"settings": connection.settings, **scope}
        for step in way.steps:
            made = {name: mapping.path(path)(known) for name, path in step.let.items()}
            known[step.name] = made
            if step.when is None or Condition(step.when).holds(item=dict(scope), **_steps(way, known)):
                told = await self._asker.ask(connection, name, step.request, known, limits=way.limits)
                known[step.name] = made | _saved(connection, step, told)
        if told is not None and way.body is not None:
            return replace(told, body=mapping.path(way.body)(known))
        return told or Told(status=200, headers={}, body=None, url="")

    # What the channel sends ---------------------------------------------------------------------------------------

    def receive(
        self, headers: Mapping[str, str], body: bytes, *, url: str, credentials: Mapping[str, str], now: datetime
    ) -> Received:
        """Check a request of the channel and say what it is about; see `interface.Connector`."""
        webhooks = self._webhooks()
        if isinstance(webhooks.verify, QueueIn):
            raise NotGenuine(f"messages of {self.name} are fetched from a queue")
        value = _value(body)
        if self._handshake is not None and self._handshake.holds(headers=dict(headers), body=value):
            assert webhooks.handshake is not None, "it has a condition"
            return Received(topic="", dedupe="", reply=(webhooks.handshake.status, b""))
        signing.check(webhooks.verify, _secrets(webhooks.verify.secret, credentials), headers, body, url=url, now=now)
        return _labelled(webhooks, headers, body)

    def labelled(self, body: bytes) -> Received:
        """What a message from a queue is about."""
        return _labelled(self._webhooks(), {}, body)

    async def read(self, connection: Connection, topic: str, body: bytes) -> Sequence[Said]:
        """What a message says, or what it is a hint to; nothing, if its topic is none that we follow, or the order is
        none that `orders.get` has. Raises Refused for a message that cannot be read."""
        by = self._webhooks().topics.get(topic)
        if by is None:
            return ()
        value = _value(body)
        if by.get == "payments.get":
            return (PaymentHint(id=_hinted(by, value)),)
        if by.get is not None:
            order = await self._get(connection, _hinted(by, value))
            return () if order is None else (order,)
        with _in_our_words():
            values, rejects = translate(records_at(by.records, value), self._make[by.map or ""])
        if rejects:
            raise Refused(f"the message cannot be read: {rejects[0].why}", code="unreadable")
        return cast("Sequence[Said]", values)

    def _webhooks(self) -> WebhooksIn:
        if self.document.webhooks is None:
            raise NotGenuine(f"{self.name} sends no messages")
        return self.document.webhooks


def _is_about_one(error: Exception) -> bool:
    """Whether a batch may have been refused for a single of its writes."""
    return isinstance(error, Refused) and not error.is_unauthorised and error.code != "stale"


@contextmanager
def _in_our_words() -> Generator[None]:
    """What the document finds no place for in an answer, or has no value for in a request, is Refused."""
    try:
        yield
    except Unmappable as error:
        raise Refused(f"the answer cannot be read: {error}", code="unreadable") from None
    except Unfillable as error:
        raise Refused(f"it cannot be asked for: {error}", code="request") from None


# Messages -------------------------------------------------------------------------------------------------------------


def _labelled(webhooks: WebhooksIn, headers: Mapping[str, str], body: bytes) -> Received:
    value = _value(body)
    topic = _found(webhooks.topic, headers, value)
    dedupe = _found(webhooks.dedupe, headers, value) or hashlib.sha256(topic.encode() + body).hexdigest()
    return Received(topic=topic or "?", dedupe=dedupe[:200])


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _found(source: FromIn, headers: Mapping[str, str], value: Any) -> str:
    if source.header is not None:
        return headers.get(source.header.lower(), "")
    try:
        found = mapping.path(source.path or "@")(value)
    except Unmappable:
        found = None
    return "" if found is None else str(found)


def _secrets(text: str, credentials: Mapping[str, str]) -> list[str]:
    """The secret, and the one before it while it is being exchanged (`name_before`)."""
    try:
        known = fill_text(text, {"credentials": {name: value or "" for name, value in credentials.items()}})
    except Unfillable:
        known = ""
    before = {name: credentials.get(f"{name}_before", "") for name in credentials}
    try:
        earlier = fill_text(text, {"credentials": before})
    except Unfillable:
        earlier = ""
    return [secret for secret in (known, earlier) if secret]


def _hinted(by: TopicIn, value: Any) -> str:
    with _in_our_words():
        found = mapping.path(by.id or "@")(value)
    if found is None or found == "" or isinstance(found, (list, dict)):
        raise Refused("the message does not say what it is about", code="unreadable")
    return str(found)


def _steps(way: OperationIn, known: Mapping[str, Any]) -> dict[str, Any]:
    return {step.name: known[step.name] for step in way.steps if step.name in known}


def _hiding(connection: Connection, outcome: Outcome) -> Outcome:
    if not outcome.code and not outcome.message:
        return outcome
    code, message = connection.hide(outcome.code), connection.hide(outcome.message)
    return replace(outcome, code=code[:_SAID_MAX], message=message[:_SAID_MAX])


def _saved(connection: Connection, step: StepIn, told: Told) -> dict[str, Any]:
    """What a step keeps. Raises Refused if it failed by its own word."""
    error = None if step.error is None else mapping.path(step.error)(told.body)
    if error:
        raise Refused(connection.hide(str(error))[:500], code=step.name)
    return {name: mapping.path(path)(told.body) for name, path in step.save.items()}
