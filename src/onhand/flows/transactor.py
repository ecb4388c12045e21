"""How a flow opens its transaction, so that the edge can write the answer to a keyed request in the
same one.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from psycopg import Connection
from psycopg.rows import TupleRow

T = TypeVar("T")


class Transactor(Protocol):
    """Runs `work` in one transaction and returns its result once that has committed.

    `Database.transact` is one; `onhand.api.idempotent.Once` passes another, which stores the answer
    of an idempotent request beside the effect. A flow takes `transact: Transactor | None = None`
    and uses `(transact or db.transact)(work)` for the one transaction whose result is the answer.
    """

    def __call__(self, work: Callable[[Connection[TupleRow]], T], /) -> T: ...
