"""Recordings of those who pass files: what lay in their folders, and what was read and written there."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

import msgspec

from onhand.connectors._sdk.interface import Connection, Connector, Counter, Pricing, Shipper
from onhand.connectors._sdk.memory import MemoryLimiter, MemoryNotes, MemoryTokens
from onhand.connectors._sdk.values import Fulfilment, Page, PriceWrite, Write
from onhand.wire import Answer, Doors, Guard, NotReachable, Request

_PAGES_MAX: Final = 1_000
_BOX: Final = "box"


class Timed(Connector, Protocol):
    """A connector that writes the time into files, and can do so by another clock."""

    def timed(self, now: Callable[[], datetime]) -> Self:
        """The same, by that clock."""
        ...


@dataclass(slots=True, kw_only=True)
class Told:
    """What came of a call. files: those that are there since, line by line, or whose content it is."""

    result: object
    files: dict[str, list[str] | str] = field(default_factory=dict[str, list[str] | str])


class _NoWire:
    """See `interface.Sender`: there is none."""

    async def send(self, request: Request) -> Answer:
        """Raises NotReachable."""
        raise NotReachable(f"{request.method} where files are passed")


async def passed(
    connector: Timed,
    call: str,
    given: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
    *,
    settings: Mapping[str, Any],
    letters: str,
) -> Told:
    """What a connector makes of `files` (lines by path), all pages of it. Raises ValueError for a call of no name.

    given  now; of readings `asked`: fulfilments that were asked for before; of writings `writes`, or `fulfilment`
    """
    if not hasattr(connector, "timed"):
        raise ValueError(
            f"{call}: {connector.name} passes files and has no `timed(now)`: what it writes has the time in it"
        )
    now = datetime.fromisoformat(given["now"])
    one = connector.timed(lambda: now)
    with tempfile.TemporaryDirectory() as root:
        box = Path(root, _BOX)
        box.mkdir()
        connection = Connection(
            settings={**settings, "url": f"file:///{_BOX}"}, credentials={}, sender=_NoWire(),
            limiter=MemoryLimiter(), tokens=MemoryTokens(), notes=MemoryNotes(),
            folders=Doors(guard=Guard(), local_root=Path(root)),
        )  # fmt: skip
        for wanted in msgspec.convert(given.get("asked", []), list[Fulfilment]):
            await cast("Shipper", one).push_fulfilment(connection, wanted)
        for path, lines in files.items():
            _lay(box / path, "".join(lines).encode(letters), now)
        before = dict(_lying(box))
        result = await _called(one, connection, call, given)
        return Told(result=result, files=_since(before, dict(_lying(box)), letters))


def _lay(file: Path, content: bytes, at: datetime) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    # What was read may be called by it.
    os.utime(file, (at.timestamp(), at.timestamp()))


def _lying(box: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(box.rglob("*")):
        if file.is_file():
            yield file.relative_to(box).as_posix(), file.read_bytes()


def _since(before: Mapping[str, bytes], after: Mapping[str, bytes], letters: str) -> dict[str, list[str] | str]:
    whose = {content: path for path, content in before.items()}
    return {
        path: f"as {whose[content]} came" if content in whose else _lines(content.decode(letters))
        for path, content in after.items()
        if before.get(path) != content
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


async def _called(one: Connector, connection: Connection, call: str, given: Mapping[str, Any]) -> object:
    if call == "stock.push":
        return await one.push_stock(connection, msgspec.convert(given["writes"], list[Write]))
    if call == "prices.push":
        prices = msgspec.convert(given["writes"], list[PriceWrite])
        return await cast("Pricing", one).push_prices(connection, prices)
    if call == "shipping.push":
        wanted = msgspec.convert(given["fulfilment"], Fulfilment)
        return await cast("Shipper", one).push_fulfilment(connection, wanted)
    records: list[object] = []
    rejects: list[object] = []
    at: str | None = None
    for _ in range(_PAGES_MAX):
        page = await _page(one, connection, call, at, datetime.fromisoformat(given["now"]))
        records += page.records
        rejects += page.rejects
        at = page.next
        if at is None:
            return {"records": records, "rejects": rejects}
    raise ValueError(f"{call}: {_PAGES_MAX} pages and no end")


async def _page(one: Connector, connection: Connection, call: str, at: str | None, since: datetime) -> Page:
    match call:
        case "orders.pull":
            return await one.pull_orders(connection, at, since=since)
        case "sales.pull":
            return await one.pull_sales(connection, at, since=since)
        case "counts.pull":
            return await cast("Counter", one).pull_counts(connection, at, since=since)
        case "shipping.pull":
            return await cast("Shipper", one).pull_shipments(connection, at, since=since)
        case _:
            raise ValueError(f"nothing is called {call!r} where files are passed")
