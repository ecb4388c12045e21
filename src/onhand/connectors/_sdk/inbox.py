"""Files that somebody puts into a folder for us, each taken once.

A file is taken when it is whole and stays as it is; it is done with when what it said has been stored, which the caller
shows by asking for what comes next. Until then a breakdown begins it anew, and what it says has the same names again.
"""

import fnmatch
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Self, cast

from onhand.connectors._sdk.interface import Notes, Refused
from onhand.wire import Entry, FileThere, Folder, NoSuchFile

# Programs that put files there call them so until they are whole.
_UNFINISHED: Final = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".upload", ".lock", "~")
_WATCHED_MAX: Final = 500
BEGINNING: Final = "{}"
"""A position in no file: with the first that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where files are, and what becomes of them.

    settle_s  how long a file stays as it is before it counts as whole; 0: at once
    keep      files stay where they are (the folder is not ours to move things in); what was taken is noted
    once      the same content under the same name is a repeat and is not read again
    """

    path: str
    pattern: str
    done: str
    rejects: str
    settle_s: int
    keep: bool = False
    once: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a file has been read; what is before it has been stored once we are asked to go on from here.

    offset   bytes; row: lines of records before it
    digest   of the name and all of the content
    is_last  there is no more in it
    """

    name: str
    size: int
    modified_at: int
    digest: str
    offset: int = 0
    row: int = 0
    is_last: bool = False

    def text(self) -> str:
        """For whoever asks, to come back with."""
        return json.dumps(
            [self.name, self.size, self.modified_at, self.digest, self.offset, self.row, self.is_last],
            separators=(",", ":"),
        )

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """What `text` made; None for anything else, which is a beginning."""
        try:
            name, size, modified_at, digest, offset, row, is_last = json.loads(text or "null")
        except (ValueError, TypeError):
            return None
        return cls(
            name=str(name), size=int(size), modified_at=int(modified_at), digest=str(digest),
            offset=int(offset), row=int(row), is_last=bool(is_last),
        )  # fmt: skip

    def of(self, entry: Entry) -> bool:
        """Whether the file is still the one that was read."""
        return (self.name, self.size, self.modified_at) == (entry.name, entry.size, entry.modified_at)

    def at(self, offset: int, row: int, *, is_last: bool) -> Self:
        """Further on."""
        return replace(self, offset=offset, row=row, is_last=is_last)


class Inbox:
    """The files of one folder."""

    def __init__(self, folder: Folder, notes: Notes, where: Where, now: Callable[[], datetime]) -> None:
        self._folder, self._notes, self._where, self._now = folder, notes, where, now

    def _taken(self, name: str) -> str:
        return f"taken:{self._where.path}/{name}"

    async def first(self, *, but: frozenset[str] = frozenset()) -> Entry | None:
        """The first file by name that is whole and was not taken yet. but: names that are left out"""
        found = [
            entry
            for entry in await self._folder.entries(self._where.path)
            if fnmatch.fnmatchcase(entry.name, self._where.pattern)
            and not entry.name.startswith(".")
            and not entry.name.lower().endswith(_UNFINISHED)
            and entry.name not in but
        ]
        if self._where.keep:
            taken = await self._notes.starting(f"taken:{self._where.path}/", limit=100_000)
            found = [entry for entry in found if not _is_taken(taken.get(self._taken(entry.name)), entry)]
        found = found[:_WATCHED_MAX]
        if self._where.settle_s > 0:
            found = await self._settled(found)
        return found[0] if found else None

    async def _settled(self, found: list[Entry]) -> list[Entry]:
        """Those that have not changed for a while: by our clock, since theirs may be wrong."""
        name = f"watched:{self._where.path}"
        before = _watched(await self._notes.get(name))
        now_s = int(self._now().timestamp())
        watched: dict[str, list[int]] = {}
        for entry in found:
            size, modified_at, since = before.get(entry.name, (-1, -1, -1))
            same = (size, modified_at) == (entry.size, entry.modified_at)
            watched[entry.name] = [entry.size, entry.modified_at, since if same else now_s]
        if watched != {known: list(seen) for known, seen in before.items()}:
            await self._notes.put(name, json.dumps(watched, separators=(",", ":")))
        return [entry for entry in found if now_s - watched[entry.name][2] >= self._where.settle_s]

    async def still(self, position: Position) -> Entry | None:
        """The file that is being read, if it is there as it was."""
        found = await self._folder.entries(self._where.path)
        return next((entry for entry in found if position.of(entry)), None)

    async def begin(self, entry: Entry, each: Callable[[bytes], None] | None = None) -> Position | None:
        """The beginning of a file, all of which was looked through by `each`; None: a repeat, which is put away.
        Raises NoSuchFile."""
        digest = sha256(entry.name.encode("utf-8", "surrogatepass") + b"\0")
        offset = 0
        while chunk := await self._folder.read(self.path_of(entry.name), offset=offset):
            digest.update(chunk)
            offset += len(chunk)
            if each is not None:
                each(chunk)
        if offset != entry.size:
            raise NoSuchFile(f"{entry.name} has changed while it was read")
        begun = Position(
            name=entry.name, size=entry.size, modified_at=entry.modified_at, digest=digest.hexdigest()[:20]
        )
        if self._where.once and _digest(await self._notes.get(self._taken(entry.name))) == begun.digest:
            await self.done(begun)
            return None
        return begun

    def path_of(self, name: str) -> str:
        """Where a file is."""
        return f"{self._where.path}/{name}"

    async def done(self, position: Position) -> None:
        """What the file said has been stored: it is not taken again."""
        await self._put_away(position, self._where.done)

    async def aside(self, position: Position, why: str) -> None:
        """The file cannot be used; it is put where somebody will look, with the reason beside it."""
        if self._where.rejects:
            await self._folder.write(f"{self._where.rejects}/{position.name}.why.txt", f"{why}\n".encode())
        await self._put_away(position, self._where.rejects)

    async def reject_rows(self, position: Position, text: str) -> None:
        """Put rows that could not be read beside the others; the same again for a repeat."""
        if self._where.rejects:
            path = f"{self._where.rejects}/{position.name}.rows-from-{position.row + 1}.csv"
            await self._folder.write(path, text.encode("utf-8", "replace"))

    async def _put_away(self, position: Position, folder: str) -> None:
        # First the note: a breakdown in between leaves a file that is known to be taken, not one that is taken twice.
        if self._where.keep or self._where.once:
            seen = [position.size, position.modified_at, position.digest]
            await self._notes.put(self._taken(position.name), json.dumps(seen, separators=(",", ":")))
        if self._where.keep:
            return
        entry = await self.still(position)
        if entry is None:  # moved before the last breakdown, or another one has come since
            return
        for name in (position.name, f"{position.name}.{position.digest[:8]}", f"{position.name}.{_stamp(self._now())}"):
            try:
                await self._folder.move(self.path_of(position.name), f"{folder}/{name}")
            except FileThere:
                continue
            except NoSuchFile:
                pass
            return
        raise Refused(f"{position.name} cannot be moved to {folder}: there are files of its name", code="file_there")


def _stamp(now: datetime) -> str:
    return f"{now:%Y%m%dT%H%M%S%f}"


def _digest(note: str | None) -> str:
    return "" if note is None else str(json.loads(note)[2])


def _is_taken(note: str | None, entry: Entry) -> bool:
    return note is not None and json.loads(note)[:2] == [entry.size, entry.modified_at]


def _watched(note: str | None) -> Mapping[str, tuple[int, int, int]]:
    found: Any = json.loads(note or "{}")
    return {name: tuple(seen) for name, seen in cast("dict[str, Any]", found).items()}
