"""The wire between a connector and its bench: it remembers what was sent, and breaks when it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from onhand.connectors._sdk.interface import Sender
from onhand.wire import Answer, Entry, Folder, Folders, NotReachable, Request
from onhand.wire.folder import CHUNK_BYTES

_T = TypeVar("_T")
_CUT: Final = "the connection was cut, as was asked for"


@dataclass(slots=True, kw_only=True)
class Break:
    """What becomes of a request instead of its answer.

    answer   that comes back; None: none does, the connection breaks. A folder gives none
    applied  the request takes effect all the same
    sent     it left, so that it may have; without an answer only
    when     only requests of which this is true
    times    so many of them
    """

    answer: Answer | None = None
    applied: bool = False
    sent: bool = True
    when: Callable[[Request], bool] = lambda _: True
    times: int = 1


class Tap:
    """A sender in front of another one."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._breaks: list[Break] = []
        self.sent: list[Request] = []
        self.heard: Callable[[Request], None] | None = None

    def breaks(self, *breaks: Break) -> None:
        """Let them happen, in their order."""
        self._breaks.extend(breaks)

    def mend(self) -> None:
        """Nothing breaks any more."""
        self._breaks.clear()

    async def send(self, request: Request) -> Answer:
        """See `interface.Sender`."""
        found = self.breaking(request)
        if found is None:
            return await self._sender.send(request)
        if found.applied:
            await self._sender.send(request)
        if found.answer is None:
            raise NotReachable(_CUT, was_sent=found.sent)
        return found.answer

    def breaking(self, request: Request) -> Break | None:
        """Hear a request; what becomes of it instead of its answer, if anything does."""
        self.sent.append(request)
        if self.heard is not None:
            self.heard(request)
        found = next((b for b in self._breaks if b.when(request)), None)
        if found is not None:
            found.times -= 1
            if found.times <= 0:
                self._breaks.remove(found)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TappedFolders:
    """Folders whose every step breaks as requests do. A step is heard as a request: GET what is listed or read, PUT
    what is written, MOVE what is moved; its URL is the path."""

    folders: Folders
    tap: Tap

    @asynccontextmanager
    async def open(
        self, url: str, *, host_key: str = "", credentials: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Folder]:
        """See `wire.Folders`."""
        async with self.folders.open(url, host_key=host_key, credentials=credentials) as folder:
            yield _TappedFolder(folder, self.tap)


class _TappedFolder:
    def __init__(self, folder: Folder, tap: Tap) -> None:
        self._folder, self._tap = folder, tap

    async def entries(self, path: str) -> list[Entry]:
        return await self._step(Request(method="GET", url=path), lambda: self._folder.entries(path))

    async def read(self, path: str, *, offset: int = 0, size: int = CHUNK_BYTES) -> bytes:
        return await self._step(
            Request(method="GET", url=path), lambda: self._folder.read(path, offset=offset, size=size)
        )

    async def write(self, path: str, body: bytes) -> None:
        await self._step(Request(method="PUT", url=path, body=body), lambda: self._folder.write(path, body))

    async def move(self, path: str, to: str) -> None:
        await self._step(Request(method="MOVE", url=path), lambda: self._folder.move(path, to))

    async def _step(self, request: Request, step: Callable[[], Awaitable[_T]]) -> _T:
        found = self._tap.breaking(request)
        if found is None:
            return await step()
        if found.applied:
            await step()
        raise NotReachable(_CUT, was_sent=found.sent)


Message = dict[str, Any]
Asgi = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class InProcess:
    """Requests to an ASGI application (a fake, for example), without a server and a wire."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def send(self, request: Request) -> Answer:
        """See `interface.Sender`."""
        parts = urlsplit(request.url)
        headers = {"host": parts.netloc, "content-length": str(len(request.body))} | {
            name.lower(): value for name, value in request.headers.items()
        }
        scope: Message = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
            "scheme": parts.scheme, "path": unquote(parts.path) or "/", "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "root_path": "", "client": ("127.0.0.1", 1),
            "server": (parts.hostname, parts.port or 80),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        async with asyncio.timeout(request.timeout_s):
            await self._app(scope, receive, send)
        return _answer(said)


def _answer(said: list[Message]) -> Answer:
    start, *rest = said
    headers: Mapping[str, str] = {name.decode().lower(): value.decode() for name, value in start.get("headers", ())}
    body = b"".join(part.get("body", b"") for part in rest)
    if len(body) < int(headers.get("content-length", "0")):
        raise NotReachable("the answer broke off", was_sent=True)
    return Answer(status=start["status"], headers=headers, body=body)
