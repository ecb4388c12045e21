"""What a step is given, what it means to do, and what it did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.flows.change_orders import Written
from onhand.flows.state import State
from onhand.incidents.playbooks.facts import Case
from onhand.incidents.playbooks.model import LimitIn
from onhand.workflows import store
from onhand.workflows.model import Part, Run

S_co = TypeVar("S_co", covariant=True)
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
    """The same for doing a step; parts: what the run has done so far."""

    step: S_co
    parts: tuple[Part, ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether this is the first part of the step."""
        return self.run.part_no == 1


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
    direction      1: more of what its domain moves (price, stock, listed units), -1: less
    """

    key: tuple[str, ...]
    direction: int
    do: Callable[[], Did]
    orders: int = 0
    units: int = 0
    money_minor: int = 0
    says: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, and why; cursor: but look on from there."""

    why: str
    cursor: str | None = None


class Doing(Protocol[S_co]):
    """A kind of step: `mean` looks, locks, claims and decides; `undo` puts a part back and says what that came to."""

    def mean(self, at: At[Any]) -> Meant | Nothing: ...
    def undo(self, at: Place, undo: Mapping[str, Any]) -> "Undone": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What putting a part back came to. is_spent: too late, what it cost is spent all the same."""

    result: dict[str, Any] = field(default_factory=dict[str, Any])
    is_spent: bool = False
    written: Written | None = None
    stock: tuple[tuple[int, int], ...] = ()
