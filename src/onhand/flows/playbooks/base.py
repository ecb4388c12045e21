"""What a step is given, what it means to do, and what it did."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Generic, Protocol, TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.autopilot.decide import is_drawn
from onhand.autopilot.model import Target
from onhand.autopilot.store import lock_owners
from onhand.base.actor import Actor
from onhand.flows.change_orders import Written
from onhand.flows.state import State
from onhand.incidents.playbooks.facts import Case
from onhand.incidents.playbooks.model import LimitIn, domain_of
from onhand.workflows import store
from onhand.workflows.model import Part, Run

S_co = TypeVar("S_co", covariant=True)
R = TypeVar("R")
Key = tuple[str, ...]
"""What a step acts on, as guardrails name it."""
ORDERS_AT_ONCE = 100
"""Orders that one part of a step touches: each part is a transaction, and holds their locks for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a step works: the transaction, the run that is held in it, and the incident. left: of its limit."""

    state: State
    conn: Connection[TupleRow]
    run: Run
    case: Case
    known: Mapping[str, Any]
    left: LimitIn
    now: datetime
    by: Actor

    def claim(self, what: str, keys: list[str]) -> set[str]:
        """Those of these things that the run owns from now on; others belong to other runs."""
        return store.claim(self.conn, self.run.run_id, what, keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class At(Place, Generic[S_co]):
    """The same for doing a step; parts: what the run has done so far.

    asks      guardrails decide, and no person
    judges    what comes of it is written down and judged
    hold_out  share of what it would act on that is left undone, to compare with
    """

    step: S_co
    parts: tuple[Part, ...] = ()
    asks: bool = False
    judges: bool = False
    hold_out: float = 0.0

    @property
    def is_first(self) -> bool:
        """Whether this is the first part of the step."""
        return self.run.part_no == 1

    @property
    def reference(self) -> str:
        """Of the step, as guardrails know it."""
        return f"run:{self.run.run_id}/{self.run.step_no}"

    def apart(self, rows: Sequence[R], key: Callable[[R], Key]) -> tuple[list[R], list[R]]:
        """(what is acted on, what is left undone to compare with) of what the step could act on. By chance, and the
        same whoever asks: by the run, the step and the key."""
        seed = self.run.run_id, str(self.run.step_no)
        held = {key(row) for row in rows if is_drawn(key(row), self.hold_out, seed=seed)}
        return [row for row in rows if key(row) not in held], [row for row in rows if key(row) in held]

    def unowned(self, keys: Collection[Key]) -> set[Key]:
        """Those of these that no other domain has acted on lately, nobody else's until the transaction ends; all where
        a person decides. To be asked before anything else of them is locked."""
        if not self.asks or not keys:
            return set(keys)
        mine = domain_of(self.step)
        return set(keys) - {
            owner.key for owner in lock_owners(self.conn, tuple(keys))
            if owner.domain != mine and owner.until > self.now and owner.cause != f"run:{self.run.run_id}"
        }  # fmt: skip

    def within_subjects(self, rows: Sequence[R]) -> tuple[list[R], dict[str, int]]:
        """(the first of what the step would touch, as far as its limit of subjects goes, what its result says of the
        others)."""
        kept = list(rows if self.left.subjects is None else rows[: self.left.subjects])
        beyond = len(rows) - len(kept)
        return kept, {"beyond_limit": beyond} if beyond else {}

    def stake(self, of: int) -> int:
        """Minor units at stake of each of so many things that share what the incident puts at risk."""
        return self.case.risk_minor // max(of, 1)

    def target(
        self, key: Key, *, stake_minor: int, judge_at: datetime, basis: Mapping[str, Any], cost_minor: int = 0
    ) -> Target:
        """What is judged of one thing that the step acts on, which costs so much."""
        gain = stake_minor - cost_minor
        return Target(key=key, stake_minor=stake_minor, gain_minor=gain, judge_at=judge_at, basis=basis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """Money that a part spends and that follows from no order: for an item, at a node."""

    term: str
    minor: int
    item_id: int | None = None
    node_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Did:
    """What a part did. undo: None, nothing to put back; cursor: where the next part goes on, None: the step is done;
    again_in: the next part is due after so long; written: what memory must learn after the commit; expenses: what of
    `cost_minor` is to be booked, because it follows from nothing that orders tell themselves."""

    result: dict[str, Any] = field(default_factory=dict[str, Any])
    undo: dict[str, Any] | None = None
    cost_minor: int = 0
    expenses: tuple[Expense, ...] = ()
    orders: int = 0
    units: int = 0
    cursor: str | None = None
    again_in: timedelta | None = None
    written: Written | None = None
    stock: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What a part is about to do, for the guardrails and for people; `do` does it, in the same transaction.

    key            what it acts on, as the guardrails name it: ("order", id), ("item_node", sku, node), ...
    also           further keys that are its domain's from then on; orders are the run's own as it is
    subjects       listings, prices, channels, items at nodes, documents or tickets that it touches
    direction      1: more of what its domain moves (price, stock, listed units), -1: less
    targets        what is judged of it; held_out: and of what is left undone to compare with
    """

    key: Key
    direction: int
    do: Callable[[], Did]
    orders: int = 0
    units: int = 0
    money_minor: int = 0
    subjects: int = 0
    says: dict[str, Any] = field(default_factory=dict[str, Any])
    also: tuple[Key, ...] = ()
    targets: tuple[Target, ...] = ()
    held_out: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """All that the part could act on is left undone, to compare with; cursor, again_in: as of Did."""

    targets: tuple[Target, ...]
    cursor: str | None = None
    again_in: timedelta | None = None


SUBJECTS_REACHED: Final = "its limit of subjects is reached"


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, and why; cursor: but look on from there, after `again_in`."""

    why: str
    cursor: str | None = None
    again_in: timedelta | None = None


class Doing(Protocol[S_co]):
    """A kind of step: `mean` looks, locks, claims and decides; `undo` puts a part back and says what that came to."""

    def mean(self, at: At[Any]) -> Meant | HeldOut | Nothing: ...
    def undo(self, at: Place, undo: Mapping[str, Any]) -> "Undone": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What putting a part back came to. is_spent: too late, what it cost is spent all the same."""

    result: dict[str, Any] = field(default_factory=dict[str, Any])
    is_spent: bool = False
    written: Written | None = None
    stock: tuple[tuple[int, int], ...] = ()
