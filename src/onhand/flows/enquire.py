"""Availability: what can be sold and promised of an item, and why. Read from the database, many questions at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import microseconds
from onhand.channels.ats import Loaded, Names, Sold, explain, load_availability, with_components
from onhand.db.pool import is_lost
from onhand.errors import DatabaseUnavailable
from onhand.flows.place_orders import hot_settings
from onhand.flows.state import State

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Enquiry:
    """A checked question. channel: None for all nodes; until: last day of `atp` in days since 1970; at: past moment."""

    item_id: int
    channel: str | None
    until: int | None
    at: datetime | None


class Enquirer:
    """Answers batches over one dedicated connection; not for two threads at once."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._conn: Connection[TupleRow] | None = None

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def answer(self, enquiries: Sequence[Enquiry]) -> list[bytes]:
        """JSON of each answer, in order. Raises DatabaseUnavailable."""
        state = self._state
        network, catalogue = state.network, state.catalogue
        names = Names(skus=catalogue.skus, nodes=network.node_codes, bundles=catalogue.bundles)
        sold = {
            code: Sold(channel_id=channel.channel_id, code=code, node_ids=set(network.channel_nodes(channel).tolist()))
            for code in {e.channel for e in enquiries}
            if code is not None and (channel := network.channels.get(code)) is not None
        }
        today = microseconds(state.now()) // _DAY_US
        read = {
            at: self._load(with_components([e.item_id for e in enquiries if e.at == at], names), at)
            for at in {e.at for e in enquiries}
        }
        return [
            msgspec.json.encode(
                explain(e.item_id, read[e.at], names, sold.get(e.channel or ""), today=today, until=e.until, at=e.at)
            )
            for e in enquiries
        ]

    def _load(self, items: set[int], at: datetime | None) -> Loaded:
        try:
            return load_availability(self._connection(), items, at=at)
        except psycopg.Error as error:
            if not is_lost(error, self._conn):
                raise
            self.close()
            raise DatabaseUnavailable("the database went away; repeat the request") from error

    def _connection(self) -> Connection[TupleRow]:
        if self._conn is None or self._conn.closed:
            self._conn = self._state.db.connect()
            hot_settings(self._conn)
        return self._conn
