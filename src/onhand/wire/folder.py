"""Folders that somebody else writes to and reads from as well: on this machine's disk, or on an SFTP server.

A file appears whole or not at all: it is written under another name and renamed. Paths are relative to the folder, with
"/" between their parts, and never lead out of it.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from onhand.wire.caller import Guard, NotReachable

T = TypeVar("T")
CHUNK_BYTES: Final = 2**18
_NAME_BYTES_MAX = 255


class NoSuchFile(Exception):
    """There is no such file (any more)."""


class FileThere(Exception):
    """A file is there already, and is not replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file. `modified_at`: by the clock of whoever keeps it, seconds since 1970."""

    name: str
    size: int
    modified_at: int


class Folder(Protocol):
    """Files below one place. Raises NotReachable where it cannot be worked with now, and the ValueError of `parts`."""

    async def entries(self, path: str) -> list[Entry]:
        """Files (no folders, no links) of a folder by name; none if it does not exist."""
        ...

    async def read(self, path: str, *, offset: int = 0, size: int = CHUNK_BYTES) -> bytes:
        """At most `size` bytes from `offset`; b"" is the end. Raises NoSuchFile."""
        ...

    async def write(self, path: str, body: bytes) -> None:
        """Put a file there, whole; replaces one of that name. Makes the folder."""
        ...

    async def move(self, path: str, to: str) -> None:
        """Rename. Makes the folder. Raises NoSuchFile; FileThere, and then moves nothing."""
        ...


class Folders(Protocol):
    """Opens folders."""

    def open(
        self, url: str, *, host_key: str = "", credentials: Mapping[str, str] | None = None
    ) -> "contextlib.AbstractAsyncContextManager[Folder]":
        """The folder at `file:///inbox` or `sftp://user@host/inbox`. Raises NotReachable; ValueError, which says what
        is expected."""
        ...


def parts(path: str) -> list[str]:
    """A path taken apart. ValueError if it could lead elsewhere than below its folder."""
    found = [part for part in path.split("/") if part]
    for part in found:
        # Control characters and back slashes mean something else to somebody.
        if part in {".", ".."} or "\\" in part or any(c < " " or c == "\x7f" for c in part):
            raise ValueError(f"expected names of folders and files, got {path!r}")
        if len(part.encode("utf-8", "surrogatepass")) > _NAME_BYTES_MAX:
            raise ValueError(f"expected names of at most {_NAME_BYTES_MAX} bytes, got {path[:60]!r}...")
    return found


def _file_parts(path: str) -> list[str]:
    found = parts(path)
    if not found:
        raise ValueError("expected the name of a file")
    return found


# On this machine ------------------------------------------------------------------------------------------------------


class LocalFolder:
    """A folder of this machine's disk; see `Folder`. Links that lead out of it are not followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def entries(self, path: str) -> list[Entry]:
        """Files by name."""
        return await self._do(lambda: self._entries(self._at(parts(path))))

    def _entries(self, folder: Path) -> list[Entry]:
        try:
            with os.scandir(folder) as found:
                files = [entry for entry in found if entry.is_file(follow_symlinks=False)]
                made = [self._entry(entry) for entry in files]
        except FileNotFoundError:
            return []
        return sorted((entry for entry in made if entry is not None), key=lambda entry: entry.name)

    @staticmethod
    def _entry(entry: "os.DirEntry[str]") -> Entry | None:
        try:
            known = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # gone since it was listed
            return None
        return Entry(name=entry.name, size=known.st_size, modified_at=int(known.st_mtime))

    async def read(self, path: str, *, offset: int = 0, size: int = CHUNK_BYTES) -> bytes:
        """Some of a file."""

        def work() -> bytes:
            with self._at(_file_parts(path)).open("rb") as file:
                file.seek(offset)
                return file.read(size)

        return await self._do(work)

    async def write(self, path: str, body: bytes) -> None:
        """Put a file there, whole, also after a power cut."""

        def work() -> None:
            target = self._made(_file_parts(path))
            beside = target.with_name(beside_name(target.name))
            with beside.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)

        await self._do(work)

    async def move(self, path: str, to: str) -> None:
        """Rename."""

        def work() -> None:
            source, target = self._at(_file_parts(path)), self._made(_file_parts(to))
            if not source.is_file():
                raise FileNotFoundError(path)
            if target.exists():
                raise FileExistsError(to)
            source.rename(target)

        await self._do(work)

    def _at(self, names: list[str]) -> Path:
        at = self._root.joinpath(*names)
        if not at.resolve().is_relative_to(self._root):
            raise ValueError(f"expected a path below the folder, got {'/'.join(names)!r}")
        return at

    def _made(self, names: list[str]) -> Path:
        at = self._at(names)
        at.parent.mkdir(parents=True, exist_ok=True)
        return at

    @staticmethod
    async def _do(work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError as error:
            raise NoSuchFile(str(error.filename or error)) from None
        except FileExistsError as error:
            raise FileThere(str(error.filename or error)) from None
        except OSError as error:
            raise NotReachable(f"the folder cannot be worked with: {error.strerror or error}") from None


def beside_name(name: str) -> str:
    """What a file is called while it is being written: nobody takes names that begin with a dot."""
    return f".{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}.part"


# Which folders may be opened ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Opens folders: see `Folders`.

    guard       which SFTP servers may be called
    local_root  `file:///x` is the folder x below it; without one there are no folders of this machine
    """

    guard: Guard
    local_root: Path | None = None
    timeout_s: float = 30.0

    @asynccontextmanager
    async def open(
        self, url: str, *, host_key: str = "", credentials: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Folder]:
        """The folder at `url`, until the block ends."""
        split = split_url(url)
        if split.scheme == "file":
            if self.local_root is None:
                raise ValueError("this server opens no folders of its own; set ONHAND_FILES_ROOT, or use sftp://")
            yield LocalFolder(self.local_root.joinpath(*parts(unquote(split.path))))
            return
        try:
            from onhand.wire.sftp import connected  # noqa: PLC0415  an extra: loaded when it is needed
        except ModuleNotFoundError:
            raise ValueError("SFTP is not installed here: pip install 'onhand[sftp]'") from None

        async with connected(
            split, host_key=host_key, credentials=credentials or {}, guard=self.guard, timeout_s=self.timeout_s
        ) as folder:
            yield folder


def split_url(url: str) -> SplitResult:
    """The URL of a folder, taken apart. ValueError says what is expected."""
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError as error:
        raise ValueError(f"expected sftp://user@host/folder ({error})") from None
    if split.scheme not in {"file", "sftp"}:
        raise ValueError("expected sftp://user@host/folder or file:///folder")
    if split.query or split.fragment or split.password is not None:
        raise ValueError("expected a URL without ?, # and password; the password is a credential")
    if split.scheme == "file" and split.netloc:
        raise ValueError("expected file:///folder, with three slashes")
    if split.scheme == "sftp" and not (split.hostname and split.username):
        raise ValueError("expected sftp://user@host/folder, with user and host")
    parts(unquote(split.path))
    return split
