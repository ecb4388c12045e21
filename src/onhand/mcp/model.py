"""What a tool is, and what comes of calling one: values."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from onhand.mcp.api import Api

Json = dict[str, Any]
Kind = Literal["read", "draft", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What a write is about to do, before it is done.

    amount_minor  money it moves or puts at stake, in minor units of `currency`; None: not known
    sentence      for the person who confirms it: our own words, ids and numbers, no text of others
    facts         what is known of it: a dry run
    """

    amount_minor: int | None
    currency: str | None
    sentence: str
    facts: Json = field(default_factory=dict[str, Any])


Run = Callable[[Api, Json], Awaitable[Json]]
Weigh = Callable[[Api, Json], Awaitable[Stake]]
Say = Callable[["Failure"], Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A call that came to nothing: for an agent, which is to do better the next time.

    status  of HTTP, 0: it never came to a request
    code    stable, as the interface's own
    fields  (path, message) of each argument that is wrong
    """

    status: int
    code: str
    message: str
    fields: tuple[tuple[str, str], ...] = ()
    retryable: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ToolError(Exception):
    """Raised by a tool: its call comes to nothing."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)

    @classmethod
    def at(cls, path: str, message: str, code: str = "input.invalid") -> "ToolError":
        """What is wrong with the argument at `path`: with itself, or (another code) with what it names."""
        status = 422 if code == "input.invalid" else 404 if code.endswith(".not_found") else 409
        return cls(Failure(status=status, code=code, message=f"{path}: {message}", fields=((path, message),)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool.

    kind    read: looks; draft: has something worked out that changes nothing; write: changes something
    scopes  of the interface, all of them: what its calls need. A write needs the scope `tool:NAME` too
    weigh   of a write: what it is about to do
    say     how a failure is worded
    """

    name: str
    title: str
    description: str
    kind: Kind
    scopes: tuple[str, ...]
    input: Json
    output: Json
    run: Run
    say: Say
    weigh: Weigh | None = None
    destructive: bool = False

    def __post_init__(self) -> None:
        assert (self.kind == "write") == (self.weigh is not None), f"{self.name}: a write is weighed, and nothing else"

    @property
    def needs(self) -> tuple[str, ...]:
        """All scopes that a key must have."""
        return (*self.scopes, f"tool:{self.name}") if self.kind == "write" else self.scopes

    def missing(self, scopes: frozenset[str]) -> tuple[str, ...]:
        """What a key with `scopes` lacks for it. `admin` includes every scope but those of tools."""
        return tuple(s for s in self.needs if s not in scopes and not ("admin" in scopes and not s.startswith("tool:")))
