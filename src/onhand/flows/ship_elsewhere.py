"""Nodes that somebody else runs (a marketplace's warehouse, a third party, a supplier).

What is sourced there is asked for at its connector, what became of it is written down, and what we take back is taken
back there. The channel's setting `node` names our node. A fulfilment is `allocated` until the shipper has taken it,
then `accepted`: who dies in between asks again, by the same id, which asks nothing new. What is asked for is noted
before.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar, cast

import msgspec
import structlog
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store as inbound
from onhand.channels.inbound.decide import retry_s
from onhand.connectors import Refused, Shipper, Unavailable
from onhand.connectors._sdk.interface import Notes
from onhand.connectors._sdk.values import Address, Fate, Fulfilment, FulfilmentLine, Reject, Shipment, ShippedLine
from onhand.db import queries
from onhand.errors import OnhandError
from onhand.flows.accounts import Account
from onhand.flows.fulfil import accept, reject, ship
from onhand.flows.state import State
from onhand.flows.take_counts import ASKED
from onhand.flows.take_sales import keep_unreadable
from onhand.orders.decide import Amount
from onhand.orders.model import Order, Unit
from onhand.orders.store import load_order, numbered_id
from onhand.orders.views import one_moment

T = TypeVar("T")
SQL = queries(__file__)
log = structlog.get_logger(__name__)

_AT_ONCE: Final = 50
_LEASE_S: Final = 300.0
# Asked at once, before the customer thinks again; heard as often as limits allow.
_ASK_EVERY_S: Final = 5.0
_HEAR_EVERY_S: Final = 60.0
_TAKEN: Final = (Fate.DONE, Fate.ACCEPTED)
_NEVER: Final = (Fate.REFUSED, Fate.GONE)


class Elsewhere:
    """What is done with one channel whose other side ships for us; each step can be broken off and done again."""

    def __init__(self, state: State, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._state, self._now = state, now

    async def ask(self, account: Account) -> int:
        """Ask for what is new and take back what is not wanted any more, if that is due: how much there was."""
        connector, notes = _shipper(account)
        node = str(account.connection.settings.get("node") or "")
        if connector is None or notes is None or not node or await self._taken(account, "asks") is None:
            return 0
        done = await self._ask(account, connector, notes, node) + await self._take_back(account, connector, notes)
        await self._kept(account, "asks", None, _ASK_EVERY_S)
        return done

    async def hear(self, account: Account) -> int:
        """Write down what became of what was asked for, if that is due: how much was new. Repeats change nothing."""
        connector, _ = _shipper(account)
        if connector is None or "shipping.pull" not in connector.capabilities:
            return 0
        reading = await self._taken(account, "ships")
        if reading is None:
            return 0
        count, at = 0, reading.at
        try:
            while True:
                page = await connector.pull_shipments(account.connection, at, since=reading.since)
                await self._transact(partial(_keep_rejects, account.channel_id, page.rejects))
                for record in page.records:
                    if isinstance(record, Shipment):
                        count += await asyncio.to_thread(self._take_over, record)
                at = page.next or page.cursor or at
                await self._kept(account, "ships", at, _LEASE_S if page.next else _HEAR_EVERY_S)
                if page.next is None:
                    return count
        except (Unavailable, Refused) as error:
            because, seconds = str(error), retry_s(reading.failures + 1)
            await self._transact(
                lambda conn: inbound.fail_reading(conn, account.channel_id, "ships", error=because, seconds=seconds)
            )
            return count

    # Asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, account: Account, connector: Shipper, notes: Notes, node: str) -> int:
        """Ask for what is sourced there and nobody has taken on."""
        place = str(account.connection.settings.get("place") or node)
        wanted = await self._reading(lambda conn: _wanted(conn, account.channel_id, node, place))
        for fulfilment in wanted:
            await notes.put(ASKED + fulfilment.fulfilment_id, self._now().isoformat())
            outcome = await connector.push_fulfilment(account.connection, fulfilment)
            if outcome.fate in _TAKEN:
                await self._write(accept, fulfilment.fulfilment_id)
            elif outcome.fate in _NEVER:
                log.warning("a shipper refuses", channel=account.code, fulfilment=fulfilment.fulfilment_id,
                            why=outcome.message or outcome.code)  # fmt: skip
                await self._write(reject, fulfilment.fulfilment_id, "other")
                await notes.drop(ASKED + fulfilment.fulfilment_id)
        return len(wanted)

    async def _take_back(self, account: Account, connector: Shipper, notes: Notes) -> int:
        """Take back what was asked for and is not wanted any more; forget what has ended."""
        count = 0
        for name in await notes.starting(ASKED):
            fulfilment_id = name.removeprefix(ASKED)
            order_id, number = numbered_id(fulfilment_id, "f", "fulfilment")
            order = await self._reading(lambda conn, order_id=order_id: load_order(conn, order_id))
            found = None if order is None else order.fulfilment(number)
            if found is not None and found.status in ("allocated", "accepted", "packed", "partly_shipped"):
                continue
            if found is not None and not found.is_live and "shipping.cancel" in connector.capabilities:
                count += 1
                reason = found.reason or "cancelled"
                outcome = await connector.cancel_fulfilment(
                    account.connection, fulfilment_id, reason=reason, key=f"cancel-{fulfilment_id}"
                )
                if outcome.fate not in (*_TAKEN, *_NEVER):
                    continue
                if outcome.fate is Fate.REFUSED:
                    log.warning("a shipper does not give back", channel=account.code, fulfilment=fulfilment_id)
            await notes.drop(name)
        return count

    # Hearing ------------------------------------------------------------------------------------------------------

    def _take_over(self, said: Shipment) -> bool:
        """Whether it was new."""
        try:
            order_id, number = numbered_id(said.fulfilment_id, "f", "fulfilment")
        except OnhandError:
            return False  # none of ours: asked for by hand, perhaps
        tracking = said.tracking or said.external_id
        with self._state.db.connection() as conn, one_moment(conn):
            order = load_order(conn, order_id)
            values = {"order_id": order_id, "number": number, "tracking": tracking}
            is_known = conn.execute(SQL["is_shipped"], values).fetchone() is not None
        found = None if order is None else order.fulfilment(number)
        if order is None or found is None or not found.left:
            return False
        try:
            if said.status == "shipped" and not is_known:
                lines = [named for x in said.lines if (named := _named(order, found.left, x)) is not None]
                if said.lines and not lines:
                    return False
                by_whom = said.carrier or None
                ship(
                    self._state, said.fulfilment_id, carrier=by_whom, tracking=tracking, lines=lines or None, by=SYSTEM
                )
                return True
            if said.status in ("refused", "cancelled"):
                reject(self._state, said.fulfilment_id, "other", by=SYSTEM)
                return True
        except OnhandError as error:
            log.warning(
                "what a shipper says cannot be", fulfilment=said.fulfilment_id, said=said.status, why=str(error)
            )
        return False

    # The database -------------------------------------------------------------------------------------------------

    async def _taken(self, account: Account, kind: str) -> inbound.Reading | None:
        """One process at a time, and not more often than is needed."""
        return await self._transact(lambda conn: inbound.take_reading(conn, account.channel_id, kind, lease_s=_LEASE_S))

    async def _kept(self, account: Account, kind: str, at: str | None, seconds: float) -> None:
        await self._transact(
            lambda conn: inbound.save_reading(conn, account.channel_id, kind, at=at, seconds=seconds, ended=True)
        )

    async def _transact(self, work: Callable[[Connection[TupleRow]], T]) -> T:
        return await asyncio.to_thread(lambda: self._state.db.transact(work))

    async def _reading(self, work: Callable[[Connection[TupleRow]], T]) -> T:
        def read() -> T:
            with self._state.db.connection() as conn, one_moment(conn):
                return work(conn)

        return await asyncio.to_thread(read)

    async def _write(self, command: Callable[..., Any], *arguments: object) -> None:
        """A command that what happened meanwhile may have made impossible."""
        try:
            await asyncio.to_thread(lambda: command(self._state, *arguments, by=SYSTEM))
        except OnhandError as error:
            log.info("a fulfilment has changed meanwhile", why=str(error))


def _shipper(account: Account) -> tuple[Shipper | None, Notes | None]:
    if "shipping.push" not in account.connector.capabilities or not account.connection.settings.get("node"):
        return None, None
    return cast("Shipper", account.connector), account.connection.notes


def _keep_rejects(channel_id: int, rejects: Sequence[Reject], conn: Connection[TupleRow]) -> None:
    keep_unreadable(conn, channel_id, rejects)


def _wanted(conn: Connection[TupleRow], channel_id: int, node: str, place: str) -> list[Fulfilment]:
    """What is sourced at the node and not taken on, soonest first; place: what they call the node."""
    found: list[Fulfilment] = []
    rows = conn.execute(SQL["to_ask"], {"node": node, "limit": _AT_ONCE}).fetchall()
    for order_id, number, name, email, phone, address in rows:
        order = load_order(conn, order_id)
        assert order is not None, "read in the same snapshot"
        names = dict(
            conn.execute(SQL["names_there"], {"channel_id": channel_id, "skus": [*order.skus.values()]}).fetchall()
        )
        asked = _asked(order, number, names, name or "", email or "", phone or "", address or {})
        found.append(msgspec.structs.replace(asked, place=place))
    return found


def _asked(
    order: Order, number: int, names: dict[str, str], name: str, email: str, phone: str, address: dict[str, Any]
) -> Fulfilment:
    fulfilment = order.fulfilment(number)
    assert fulfilment is not None, "read in the same snapshot"
    to = order.wishes.destination
    lines = tuple(
        FulfilmentLine(
            line_id=f"{line_no}.{item_id}",
            sku=order.skus[item_id],
            quantity=units,
            external_sku=names.get(order.skus[item_id], ""),
            price_minor=order.line(line_no).price_minor if order.line(line_no).item_id == item_id else 0,
        )
        for (line_no, item_id), units in fulfilment.left.items()
    )
    fulfilment_id = order.fulfilment_id(number)
    return Fulfilment(
        fulfilment_id=fulfilment_id,
        key=f"ask-{fulfilment_id}",
        order_number=order.external_id,
        ordered_at=order.placed_at,
        currency=order.currency,
        destination=Address(
            country=(to.country if to else "") or "",
            region=(to.region if to else "") or "",
            postal_code=(to.postal_code if to else "") or "",
            city=str(address.get("city") or ""),
            street=str(address.get("street") or ""),
            name=str(address.get("name") or name),
            company=str(address.get("company") or ""),
            phone=str(address.get("phone") or phone),
        ),
        lines=lines,
        carrier=fulfilment.carrier or "",
        service=fulfilment.service or "",
        ship_by=fulfilment.ship_by,
        deliver_by=fulfilment.deliver_by,
        email=email,
        phone=phone,
    )


def _named(order: Order, left: Mapping[Unit, int], said: ShippedLine) -> Amount | None:
    """Units of a line by our names: the line as it was asked for, else the first of its sku. No more than is left: what
    was cancelled here after it was asked for, and left all the same, is for the shipper to have back."""
    asked = [unit for unit in left if f"{unit[0]}.{unit[1]}" == said.line_id]
    found = asked or [unit for unit in left if order.skus[unit[1]] == said.sku]
    units = min(said.quantity, left[found[0]]) if found else 0
    if units < said.quantity:
        missing = said.quantity - units
        log.warning(
            "more has left than was wanted", order=order.order_id, line=said.line_id, sku=said.sku, units=missing
        )
    if not units:
        return None
    line_no, item_id = found[0]
    return Amount(line_id=order.line(line_no).line_id, quantity=units, sku=order.skus[item_id])
