"""Connectors that pass files, on a folder of the test, with a clock that is set."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from onhand.connectors import Connection, MemoryLimiter, MemoryNotes, MemoryTokens
from onhand.connectors._sdk.filled_in import completed, setting_problems
from onhand.wire import Doors, Guard

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Clock:
    at: datetime = datetime(2026, 11, 27, 9, tzinfo=UTC)

    def __call__(self):
        return self.at

    def pass_s(self, seconds):
        self.at += timedelta(seconds=seconds)


@dataclass
class Place:
    """A folder `box` that a connector works in."""

    root: Path
    connector: object
    settings: dict
    notes: object = field(default_factory=MemoryNotes)
    credentials: dict = field(default_factory=dict)
    folders: object = None

    def __post_init__(self):
        self.box = self.root / "box"
        self.box.mkdir(exist_ok=True)
        asked = self.connector.settings
        self.settings = {"url": "file:///box", **self.settings}
        assert setting_problems(self.connector.name, asked, self.settings) == []
        self.settings = completed(asked, self.settings)
        assert list(self.connector.wrong_settings(self.settings)) == []

    def connection(self):
        return Connection(
            settings=self.settings,
            credentials=self.credentials,
            sender=None,
            limiter=MemoryLimiter(),
            tokens=MemoryTokens(),
            notes=self.notes,
            folders=self.folders or Doors(guard=Guard(allow_private=True), local_root=self.root),
        )

    def put(self, path, text):
        target = self.box / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
        return target

    def files(self, path=""):
        """Names below a folder."""
        at = self.box / path
        return sorted(str(f.relative_to(at)) for f in at.rglob("*") if f.is_file())

    def ask(self, work):
        return asyncio.run(work(self.connection()))

    def page(self, kind, at=None):
        def work(connection):
            return getattr(self.connector, f"pull_{kind}")(connection, at, since=LONG_AGO)

        return self.ask(work)

    def pages(self, kind, at=None):
        """All pages that there are now, as a caller who stores each asks for them."""
        found = []
        while True:
            page = self.page(kind, at)
            found.append(page)
            if page.next is None:
                return found
            assert len(found) < 500
            at = page.next

    def records(self, kind):
        return [record for page in self.pages(kind) for record in page.records]


def rejects(pages):
    return [reject for page in pages for reject in page.rejects]
