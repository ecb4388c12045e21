"""Accounts at channels: which connector a channel is talked to by, with which settings, secrets and limits.

`Connectors` is what a channel's document is checked against; `Accounts` are the live ones of one event loop.
"""

import asyncio
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from onhand.base.sealing import Seal, Unsealable
from onhand.channels import store
from onhand.channels.model import CONNECTOR, Channel, ChannelIn, Connected
from onhand.connectors import (
    Connection,
    Connector,
    Particular,
    Unusable,
    completed,
    credential_problems,
    for_channel,
    sent_to,
    setting_problems,
)
from onhand.connectors.shared import SharedLimiter, SharedNotes, SharedTokens
from onhand.db import Database
from onhand.errors import FieldError, InvalidInput
from onhand.wire import Caller, Doors, Guard

FOLDER: Final = "connectors"
"""Under ONHAND_HOME: connectors of the operator's own, one folder each."""
KEY_FILE: Final = "secret.key"

_FRESH_S = 1.0


class Connectors:
    """The connectors of an installation, and the key that seals what they are given.

    home        folder of the installation; None: there are only our own connectors
    secret_key  texts of at least 16 characters, separated by commas: the first seals, any opens. None: a file in
                `home`, made when it is first needed
    files_root  folders of this machine that channels may name are below it; None: there are none
    """

    def __init__(self, home: Path | None, *, secret_key: str | None = None, files_root: Path | None = None) -> None:
        self._home, self._secret_key, self.files_root = home, secret_key, files_root
        self._seal: Seal | None = None

    @property
    def seal(self) -> Seal:
        """Seals and opens credentials."""
        if self._seal is None:
            keys = self._secret_key.split(",") if self._secret_key is not None else [self._key_of_file()]
            self._seal = Seal(keys)
        return self._seal

    def _key_of_file(self) -> str:
        assert self._home is not None, "an installation has a home"
        path = self._home / KEY_FILE
        with suppress(FileNotFoundError):
            return path.read_text("ascii").strip()
        self._home.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{KEY_FILE}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
        draft.unlink()
        return path.read_text("ascii").strip()

    @property
    def folder(self) -> Path | None:
        """Where the operator's own connectors lie, if anywhere."""
        return None if self._home is None else self._home / FOLDER

    def find(self, name: str, settings: Mapping[str, Any]) -> Connector:
        """The connector of a channel with these settings. Raises Unusable, LookupError."""
        return for_channel(name, settings, folder=self.folder)

    def checked(
        self, channel: ChannelIn, known: Channel | None, sealed: str | None
    ) -> tuple[dict[str, Any], str | None]:
        """Settings (with defaults) and sealed credentials of a channel that a document describes. Raises InvalidInput.

        known   the channel as it is stored
        sealed  its credentials; they stay as they are, also as a text, unless the document says others. They are not
                those of another connector, nor are they sent to another address: whoever may write settings is not
                to learn them
        """
        if channel.connector == CONNECTOR:
            return dict(channel.settings), None
        try:
            connector = self.find(channel.connector, channel.settings)
        except (LookupError, Unusable) as error:
            is_otherwise = isinstance(error, Unusable) and bool(channel.settings.get("overrides"))
            raise InvalidInput.at("settings.overrides" if is_otherwise else "connector", str(error.args[0])) from None
        if known is None or known.connector != channel.connector:
            sealed = None
        stored = self._opened(sealed)
        given = stored if channel.credentials is None else dict(channel.credentials)
        problems = setting_problems(channel.connector, connector.settings, channel.settings)
        problems += credential_problems(channel.connector, connector.credentials, given)
        if not problems:
            problems += _particular(connector, channel.settings)
        if channel.prices and not {"prices.push", "stock.push"} <= connector.capabilities:
            problems.append(("prices", f"connector {channel.connector!r} cannot write prices: leave it out"))
        settings = completed(connector.settings, channel.settings)
        if known is not None and stored and channel.credentials is None and not problems:
            problems += self._elsewhere(connector, settings, known)
        if problems:
            raise InvalidInput([FieldError(path, message) for path, message in problems[:100]])
        if not given:
            sealed = None
        elif sealed is None or given != stored:
            sealed = self.seal.close(json.dumps(given))
        return settings, sealed

    def _elsewhere(self, connector: Connector, settings: Mapping[str, Any], known: Channel) -> list[tuple[str, str]]:
        """What is wrong with sending the credentials that are stored where `settings` say."""
        there = sent_to(connector, settings)
        try:
            before = sent_to(self.find(known.connector, known.settings), known.settings)
        except (LookupError, Unusable):  # nobody knows any more where they were sent
            before = {}
        moved = sorted(name for name in there.keys() | before.keys() if there.get(name) != before.get(name))
        if not moved:
            return []
        told = ", ".join(f"settings.{name}" for name in moved)
        return [("credentials", f"they were stored for another address ({told}): give them again with the new one")]

    def _opened(self, sealed: str | None) -> dict[str, str]:
        """None are known that cannot be opened any more: then they have to be given again."""
        try:
            return self.open(sealed)
        except Unsealable:
            return {}

    def open(self, sealed: str | None) -> dict[str, str]:
        """Credentials that were sealed. Raises Unsealable."""
        return {} if sealed is None else json.loads(self.seal.open(sealed))


def _particular(connector: Connector, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the connector itself finds wrong with settings whose types are right."""
    if not isinstance(connector, Particular):
        return []
    return list(connector.wrong_settings(completed(connector.settings, settings)))


NO_CONNECTORS: Final = Connectors(None)
"""For tests and tools that connect nothing."""


class NotConnected(Exception):
    """A channel that we cannot talk to; the text says why and names no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A channel that we talk to. `connection` is open until its `Accounts` are closed. prices: it takes ours."""

    channel_id: int
    code: str
    currency: str
    connector: Connector
    connection: Connection
    created_at: datetime
    updated_at: datetime
    prices: bool = False


class Accounts:
    """The accounts of an installation, for one event loop; use as `async with`.

    They follow the database: what is asked for is at most a second old. Limits and tokens are shared by all processes.
    """

    def __init__(
        self,
        db: Database,
        connectors: Connectors,
        *,
        allow_private_urls: bool = False,
        fresh_s: float = _FRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._connectors, self._fresh_s, self._clock = db, connectors, fresh_s, clock
        self._guard = Guard(allow_private=allow_private_urls)
        self._tls = ssl.create_default_context()
        self._callers: dict[int, Caller] = {}
        self._rows: dict[int, Connected] = {}
        self._made: dict[int, Account | NotConnected] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for caller in self._callers.values():
            await caller.__aexit__(None, None, None)
        self._callers.clear()
        self._made.clear()

    async def get(self, channel: str | int) -> Account:
        """The account of a channel, by code or id. Raises NotConnected, DatabaseUnavailable."""
        await self._follow()
        for row in self._rows.values():
            if channel in (row.code, row.channel_id):
                return self._account(row)
        raise NotConnected(f"channel {channel} is not talked to: it calls this interface itself, or is unknown")

    async def all(self) -> dict[str, Account | NotConnected]:
        """Every active channel that has a connector, by code, with its account or why there is none."""
        await self._follow()
        found: dict[str, Account | NotConnected] = {}
        for row in self._rows.values():
            if row.active:
                try:
                    found[row.code] = self._account(row)
                except NotConnected as error:
                    found[row.code] = error
        return found

    async def _follow(self) -> None:
        async with self._reading:
            if self._clock() - self._read_at < self._fresh_s:
                return
            rows = {row.channel_id: row for row in await asyncio.to_thread(self._read)}
            for channel_id, row in rows.items():
                if self._rows.get(channel_id) != row:
                    self._made.pop(channel_id, None)
            self._rows, self._read_at = rows, self._clock()

    def _read(self) -> list[Connected]:
        with self._db.connection() as conn:
            return store.list_connected(conn)

    def _account(self, row: Connected) -> Account:
        made = self._made.get(row.channel_id)
        if made is None:
            try:
                made = self._make(row)
            except NotConnected as error:
                made = error
            self._made[row.channel_id] = made
        if isinstance(made, NotConnected):
            raise made
        return made

    def _make(self, row: Connected) -> Account:
        try:
            connector = self._connectors.find(row.connector, row.settings)
            credentials: Mapping[str, str] = self._connectors.open(row.sealed)
        except (LookupError, Unusable, Unsealable) as error:
            raise NotConnected(str(error.args[0])) from None
        problems = setting_problems(row.connector, connector.settings, row.settings)
        problems += credential_problems(row.connector, connector.credentials, credentials)
        problems += [] if problems else _particular(connector, row.settings)
        if problems:  # the connector asks for more than it did
            raise NotConnected("; ".join(f"{path}: {message}" for path, message in problems))
        caller = self._callers.get(row.channel_id)
        if caller is None:
            caller = self._callers[row.channel_id] = Caller(self._guard, self._tls, connections=connector.at_once + 2)
        return Account(
            channel_id=row.channel_id,
            code=row.code,
            currency=row.currency,
            connector=connector,
            connection=Connection(
                settings=completed(connector.settings, row.settings),
                credentials=credentials,
                sender=caller,
                limiter=SharedLimiter(self._db, row.channel_id),
                tokens=SharedTokens(self._db, row.channel_id, self._connectors.seal),
                notes=SharedNotes(self._db, row.channel_id),
                folders=Doors(guard=self._guard, local_root=self._connectors.files_root),
            ),
            created_at=row.created_at,
            updated_at=row.updated_at,
            prices=row.prices,
        )
