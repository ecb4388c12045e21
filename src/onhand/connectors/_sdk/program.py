"""A connector that is a program, before it can do anything: what a subclass does not override cannot be done."""

# ruff: noqa: ARG002 - what is said here is only that it cannot be done

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from onhand.connectors._sdk.interface import Connection, NotGenuine, Refused
from onhand.connectors._sdk.values import (
    ChannelOrder,
    Fate,
    Fulfilment,
    Offer,
    Outcome,
    Page,
    Parcel,
    PriceWrite,
    Received,
    Write,
)

NO_WAY: Final = Outcome(fate=Fate.REFUSED, code="no_way", message="this cannot be done here")


class Program:
    """See `interface.Connector`, `Shipper`, `Counter`, `Pricing`. A subclass says its name and title, what it can
    do, what it asks for."""

    name: str = ""
    title: str = ""
    status: str = "alpha"
    capabilities: frozenset[str] = frozenset()
    is_compared = False
    at_once = 1
    batch_max = 1
    price_batch_max = 1

    async def pull_orders(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """Nothing."""
        return Page(records=())

    async def get_order(self, connection: Connection, order_id: str) -> ChannelOrder:
        """Raises Refused."""
        raise Refused("this channel cannot be asked for one order", code="no_way")

    async def cancel_order(self, connection: Connection, order_id: str, *, reason: str, key: str) -> Outcome:
        """Refused."""
        return NO_WAY

    async def push_stock(self, connection: Connection, writes: Sequence[Write]) -> list[Outcome]:
        """Refused."""
        return [NO_WAY] * len(writes)

    async def pull_stock(self, connection: Connection, at: str | None) -> Page:
        """Nothing."""
        return Page(records=())

    async def push_prices(self, connection: Connection, writes: Sequence[PriceWrite]) -> list[Outcome]:
        """Refused."""
        return [NO_WAY] * len(writes)

    async def pull_prices(self, connection: Connection, at: str | None) -> Page:
        """Nothing."""
        return Page(records=())

    async def get_currency(self, connection: Connection) -> str:
        """Raises Refused."""
        raise Refused("this channel cannot be asked for its currency", code="no_way")

    async def pull_listings(self, connection: Connection, at: str | None) -> Page:
        """Nothing."""
        return Page(records=())

    async def pull_sales(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """Nothing."""
        return Page(records=())

    async def pull_counts(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """Nothing."""
        return Page(records=())

    async def push_parcel(self, connection: Connection, parcel: Parcel) -> Outcome:
        """Refused."""
        return NO_WAY

    async def push_fulfilment(self, connection: Connection, fulfilment: Fulfilment) -> Outcome:
        """Refused."""
        return NO_WAY

    async def cancel_fulfilment(self, connection: Connection, fulfilment_id: str, *, reason: str, key: str) -> Outcome:
        """Refused."""
        return NO_WAY

    async def pull_shipments(self, connection: Connection, at: str | None, *, since: datetime) -> Page:
        """Nothing."""
        return Page(records=())

    def receive(
        self, headers: Mapping[str, str], body: bytes, *, url: str, credentials: Mapping[str, str], now: datetime
    ) -> Received:
        """Raises NotGenuine."""
        raise NotGenuine(f"{self.name} sends no messages")

    async def read(self, connection: Connection, topic: str, body: bytes) -> Sequence[ChannelOrder | Offer]:
        """Nothing."""
        return ()
