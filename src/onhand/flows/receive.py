"""A channel's message comes in: checked as it came, kept, and answered at once; it is worked on later."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from onhand.base.sealing import Unsealable
from onhand.channels import store as channels
from onhand.channels.inbound import store
from onhand.channels.inbound.decide import theirs
from onhand.channels.model import Connected
from onhand.connectors import Connector, NotGenuine, Unusable
from onhand.db import Database
from onhand.errors import NotFound, OnhandError
from onhand.flows.accounts import Connectors

BODY_BYTES_MAX: Final = 4 * 2**20
_FRESH_S = 1.0


class NotSigned(OnhandError):
    """A message that the channel did not sign, or that nobody can tell whether it did."""

    code = "channel.not_genuine"
    http_status = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the channel is answered."""

    status: int
    body: bytes


class Doors:
    """Where channels' messages come in. What is known of channels is at most a second old. Thread-safe."""

    def __init__(self, db: Database, connectors: Connectors, *, fresh_s: float = _FRESH_S) -> None:
        self._db, self._connectors, self._fresh_s = db, connectors, fresh_s
        self._lock = threading.Lock()
        self._rows: dict[str, Connected] = {}
        self._read_at = float("-inf")

    def receive(self, code: str, headers: Mapping[str, str], body: bytes, *, url: str, now: datetime) -> Answer:
        """Keep a message of channel `code`, if it is genuine; a repeat is answered like the first. Raises NotFound,
        NotSigned, DatabaseUnavailable.

        headers  by names in small letters
        body     as it came: that is what was signed
        """
        row = self._row(code)
        if row is None or not row.active:
            raise NotFound("channel", code)
        connector, credentials = self._opened(row)
        try:
            said = connector.receive(headers, body, url=url, credentials=credentials, now=now)
        except NotGenuine as error:
            raise NotSigned(str(error)) from None
        if said.topic:
            dedupe, topic = theirs(said.dedupe), theirs(said.topic)
            with self._db.connection() as conn:
                is_new = store.add_message(conn, row.channel_id, dedupe=dedupe, topic=topic, body=body)
            if is_new:
                self._db.notify()
        return Answer(status=said.reply[0], body=said.reply[1])

    def _row(self, code: str) -> Connected | None:
        with self._lock:
            if time.monotonic() - self._read_at >= self._fresh_s:
                with self._db.connection() as conn:
                    self._rows = {row.code: row for row in channels.list_connected(conn)}
                self._read_at = time.monotonic()
            return self._rows.get(code)

    def _opened(self, row: Connected) -> tuple[Connector, Mapping[str, str]]:
        try:
            return self._connectors.find(row.connector, row.settings), self._connectors.open(row.sealed)
        except (LookupError, Unusable, Unsealable):
            raise NotSigned("its connector or its credentials cannot be read here") from None
