"""As of when a number holds that is written to a channel: for those that take off by themselves what they sold since.

A till sells while our number for it is on its way. We know of its sales until it was read last: a number that says so
is put right by the till itself, whatever was sold after that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from onhand.channels.inbound import store
from onhand.connectors import Connector
from onhand.connectors._sdk.values import Write
from onhand.db import Database
from onhand.flows.take_sales import SALE

CAPABILITY: Final = "sales.pull"
# Tills take no count of days ago; who was not heard for that long is written to as it is.
_OLDEST: Final = timedelta(hours=12)
_KEPT: Final = 1_000
_STEP: Final = timedelta(milliseconds=1)


class Moments:
    """Of one channel the moments of batches that may be sent again: a repeat is the same request. By batch."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._last = datetime.min.replace(tzinfo=UTC)

    def is_for(self, connector: Connector) -> bool:
        """Whether anybody asks."""
        return CAPABILITY in connector.capabilities

    def look(self, db: Database, channel_id: int, now: float) -> datetime:
        """Until when all that the channel sold is booked. To be asked before the number is read."""
        moment = datetime.fromtimestamp(now, UTC)
        with db.connection() as conn:
            until = store.sales_until(conn, channel_id, SALE)
        return moment if until is None else min(moment, max(until, moment - _OLDEST))

    def of(self, batch_id: str, writes: Sequence[Write], at: datetime | None) -> list[Write]:
        """The writes of a batch with their moment; at: of one that is sent for the first time."""
        if at is not None:
            # Of two counts the one of a later moment is shown.
            self._last = self._at[batch_id] = max(at, self._last + _STEP)
            while len(self._at) > _KEPT:
                del self._at[next(iter(self._at))]
        known = self._at.get(batch_id)
        return [msgspec.structs.replace(write, at=known) for write in writes]
