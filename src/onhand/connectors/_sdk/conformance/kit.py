"""The cases that every connector has to stand, one by one, and what came of them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, cast

from onhand.connectors._sdk.conformance.bench import Bench, NotOnBench, Turns
from onhand.connectors._sdk.conformance.tap import Break, Tap, TappedFolders
from onhand.connectors._sdk.interface import Connection, Connector
from onhand.connectors._sdk.memory import MemoryNotes, MemoryTokens
from onhand.connectors._sdk.values import ChannelOrder, Outcome, Reject, Write
from onhand.wire import Answer, Request

_PAGES_MAX: Final = 1_000


class Failed(Exception):
    """A connector does not stand a case; the text says what it should have done."""


def expect(holds: bool, why: str) -> None:
    """Raise Failed with `why` unless it holds."""
    if not holds:
        raise Failed(why)


def another(name: str) -> str:
    """An id that looks like `name` and is not there: nothing on a bench is called so."""
    return name[:-3] + "".join(chr(ord("1") + (ord(c) + 4) % 9) if c.isalnum() else c for c in name[-3:])


class _Nowhere:
    async def send(self, request: Request) -> Answer:  # noqa: ARG002
        raise NotOnBench("requests")


class Kit:
    """One connector on its bench, and what is seen of it.

    since  before everything that happens on the bench
    """

    def __init__(self, connector: Connector, bench: Bench) -> None:
        self.connector, self.bench = connector, bench
        self.since = datetime.now(UTC) - timedelta(days=2)
        self.turns = Turns()
        self.tokens, self.notes = MemoryTokens(), MemoryNotes()
        try:
            self.tap = Tap(bench.sender())
            self._has_requests = True
        except NotOnBench:
            self.tap = Tap(_Nowhere())
            self._has_requests = False
        try:
            self._folders = TappedFolders(folders=bench.folders(), tap=self.tap)
        except NotOnBench:
            self._folders = None
        self.connection = self.connect()

    def connect(self, credentials: Mapping[str, str] | None = None) -> Connection:
        """A connection to the bench, of this account or with other credentials."""
        return Connection(
            settings=self.bench.settings,
            credentials=self.bench.credentials if credentials is None else credentials,
            sender=self.tap,
            limiter=self.turns,
            tokens=self.tokens if credentials is None else MemoryTokens(),
            notes=self.notes if credentials is None else MemoryNotes(),
            folders=self._folders,
        )

    def breaks(self, *breaks: Break) -> None:
        """Let requests break, or what is done in a folder; see `Tap`."""
        if not self._has_requests and (self._folders is None or any(one.answer is not None for one in breaks)):
            raise NotOnBench("requests that break" if self._folders is None else "answers that a folder could give")
        self.tap.breaks(*breaks)

    async def orders(
        self, at: str | None = None, *, between: Callable[[int], None] | None = None
    ) -> "tuple[list[ChannelOrder], list[Reject], str | None]":
        """All pages of orders from `at`: (orders, what could not be read, where the next reading begins).

        between  called with the number of pages read, before the next one
        """
        found: list[ChannelOrder] = []
        rejects: list[Reject] = []
        for number in range(1, _PAGES_MAX):
            page = await self.connector.pull_orders(self.connection, at, since=self.since)
            found += cast("Iterable[ChannelOrder]", page.records)
            rejects += page.rejects
            if page.next is None:
                return found, rejects, page.cursor
            at = page.next
            if between is not None:
                between(number)
        raise Failed(f"{_PAGES_MAX} pages of orders and no end")

    async def push(self, *writes: Write) -> list[Outcome]:
        """The fate of writes, once they have had the time to take effect."""
        outcomes = await self.connector.push_stock(self.connection, writes)
        expect(len(outcomes) == len(writes), f"{len(writes)} writes have {len(outcomes)} outcomes")
        await self.bench.settle()
        return outcomes


class Grade(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    MISSING = "missing"  # the bench cannot bring it about
    EXCUSED = "excused"  # the channel cannot stand it, and it is known why
    NOT_FOR_IT = "not for it"  # the connector has no such capability


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something that every connector with the capabilities it `needs` has to stand."""

    name: str
    promise: str
    needs: frozenset[str]
    examine: Callable[[Kit], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of one case."""

    case: Case
    grade: Grade
    why: str = ""
    error: Exception | None = field(default=None, repr=False)


CASES: Final[dict[str, Case]] = {}


def case(*needs: str) -> Callable[[Callable[[Kit], Awaitable[None]]], Callable[[Kit], Awaitable[None]]]:
    """Name a case by its function, with its docstring as the promise. needs: capabilities, `messages`, `compared`,
    `files`."""

    def add(examine: Callable[[Kit], Awaitable[None]]) -> Callable[[Kit], Awaitable[None]]:
        name = cast("str", getattr(examine, "__name__", "?"))
        assert name not in CASES, f"two cases are called {name}"
        promise = " ".join((examine.__doc__ or "").split())
        CASES[name] = Case(name=name, promise=promise, needs=frozenset(needs), examine=examine)
        return examine

    return add


def abilities(connector: Connector) -> frozenset[str]:
    """Capabilities of a connector, and what else cases can need."""
    document = getattr(connector, "document", None)
    is_sent_messages = getattr(connector, "is_sent_messages", document is not None and document.webhooks is not None)
    more = {"messages"} if is_sent_messages else set[str]()
    if "stock.push" in connector.capabilities and connector.is_compared:
        more.add("compared")
    if getattr(connector, "passes_files", False):
        more.add("files")
    return connector.capabilities | more


async def examine(
    connector: Connector, make: Callable[[], Bench], one: Case, *, asked: list[Request] | None = None
) -> Result:
    """What comes of one case on a new bench. asked: gets what was asked of the channel."""
    if not one.needs <= abilities(connector):
        return Result(case=one, grade=Grade.NOT_FOR_IT)
    bench = make()
    try:
        kit = Kit(connector, bench)
        if asked is not None:
            kit.tap.heard = asked.append
        await one.examine(kit)
        result = Result(case=one, grade=Grade.PASSED)
    except NotOnBench as error:
        result = Result(case=one, grade=Grade.MISSING, why=f"the bench has no {error}")
    except Exception as error:  # whatever it is, the connector let it out
        why = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        result = Result(case=one, grade=Grade.FAILED, why=why, error=error)
    finally:
        bench.close()
    if result.grade is not Grade.PASSED and one.name in bench.excused:
        return Result(case=one, grade=Grade.EXCUSED, why=bench.excused[one.name], error=result.error)
    return result


def unearned(
    results: Iterable[Result], recorded: Iterable[tuple[str, str]], capabilities: Iterable[str]
) -> tuple[list[str], list[str]]:
    """What a connector lacks for `beta`, and what more for `stable`; a line each.

    beta: every case that is for it is stood, or known to be beyond the channel. stable: without such excuses, and of
    every capability the vendor's own answers are recorded.

    recorded  (who said it, call) of each recording
    """
    results = list(results)
    beta = [f"{r.case.name}: {r.grade}: {r.why}" for r in results if r.grade in (Grade.FAILED, Grade.MISSING)]
    stable = [f"{r.case.name}: {r.grade}: {r.why}" for r in results if r.grade is Grade.EXCUSED]
    said = {call for of, call in recorded if of == "vendor"}
    stable += [f"no answer of the vendor to {name} is recorded" for name in sorted({*capabilities} - said)]
    return beta, stable
