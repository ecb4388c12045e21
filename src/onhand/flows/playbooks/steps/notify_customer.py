"""Write to customers, once: what is to be said is kept with the run, and sent by flows/playbooks/messages.py."""

from collections.abc import Mapping
from typing import Any

from onhand.db import queries
from onhand.flows.playbooks.base import ORDERS_AT_ONCE, At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.promises import Words, write_messages
from onhand.flows.playbooks.steps.batch import next_orders
from onhand.flows.playbooks.targets import ON_ITS_WAY, WAITING
from onhand.incidents.playbooks.model import NotifyCustomerIn

SQL = queries(__file__)


class NotifyCustomer:
    """See NotifyCustomerIn."""

    def mean(self, at: At[NotifyCustomerIn]) -> Meant | Nothing:
        found = _promised(at) if at.step.about == "promises" else _touched(at)
        if isinstance(found, Nothing):
            return found
        rows, cursor = found
        if at.step.cost_minor and at.left.money_minor is not None:
            rows = rows[: at.left.money_minor // at.step.cost_minor]
            if not rows:
                return Nothing("its limit of money is reached")

        def do() -> Did:
            step = at.step
            words = Words(
                subject=step.subject, text=step.text, about=step.about, quiet=step.quiet, cost_minor=step.cost_minor
            )  # fmt: skip
            ids = write_messages(
                at.conn, words, rows, run_id=at.run.run_id, step_no=at.run.step_no, now=at.now
            )  # fmt: skip
            return Did(
                result={"messages": len(ids), "without": len(rows) - len(ids)},
                undo={"messages": ids} if ids else None, cost_minor=step.cost_minor * len(ids), orders=len(ids),
                cursor=cursor,
            )  # fmt: skip

        cost = at.step.cost_minor * len(rows)
        return Meant(key=("order", rows[0][0]), direction=1, do=do, orders=len(rows), money_minor=cost)

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        row = at.conn.execute(SQL["drop_messages"], {"ids": undo["messages"]}).fetchone()
        assert row is not None
        return Undone(result={"not_sent": row[0], "sent_already": row[1]})


_Rows = list[tuple[str, int | None]]
"""(order, number of its new promise)"""


def _touched(at: At[NotifyCustomerIn]) -> tuple[_Rows, str | None] | Nothing:
    batch = next_orders(at, (*ON_ITS_WAY, WAITING))
    return batch if isinstance(batch, Nothing) else ([(o.order_id, None) for o in batch.orders], batch.cursor)


def _promised(at: At[NotifyCustomerIn]) -> tuple[_Rows, str | None] | Nothing:
    """The promises of this run, so many at a time."""
    parts = [p.undo for p in at.parts if p.kind == "re_promise" and p.undo is not None and p.undone_at is None]
    rows: _Rows = [(order, number) for undo in parts for order, number, *_ in undo["orders"]]
    if at.left.orders is not None:
        rows = rows[: at.left.orders + int(at.run.cursor or 0)]
    first = int(at.run.cursor or 0)
    some = rows[first : first + ORDERS_AT_ONCE]
    if not some:
        return Nothing("nothing was promised anew")
    return some, str(first + len(some)) if len(rows) > first + len(some) else None
