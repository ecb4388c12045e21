"""Promise a later day, and keep which promise holds: a message that tells of one that does not is not sent."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from onhand.autopilot.model import Target
from onhand.db import queries
from onhand.flows.playbooks.base import At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.promises import promise_anew, tell_of_promises
from onhand.flows.playbooks.steps.batch import Batch, locked, next_orders, order_target, stake_of_order
from onhand.flows.playbooks.targets import ON_ITS_WAY, WAITING
from onhand.incidents.playbooks.facts import number
from onhand.incidents.playbooks.model import RePromiseIn
from onhand.orders.store import save

SQL = queries(__file__)
_STATUSES: Final = (*ON_ITS_WAY, WAITING)


class RePromise:
    """See RePromiseIn."""

    def mean(self, at: At[RePromiseIn]) -> Meant | Nothing:
        days = math.ceil(number(at.step.days, at.known))
        if days < 1:
            return Nothing("less than a day later")
        batch = next_orders(at, _STATUSES)
        if isinstance(batch, Nothing):
            return batch
        before = _promised_by(at, batch)
        later: dict[str, datetime] = {}
        for order in batch.orders:
            if order.deliver_by is not None:
                day = before.get(order.order_id, order.deliver_by) + timedelta(days=days)
                if day > order.deliver_by:
                    later[order.order_id] = day
        orders = [o for o in batch.orders if o.order_id in later]
        if not orders:
            return Nothing("none of the orders that it touches has a promise that is too early", batch.cursor)

        targets: tuple[Target, ...] = ()
        if at.judges:
            stake = stake_of_order(at, _STATUSES)
            targets = tuple(
                order_target(at, o, stake_minor=stake, promised=later[o.order_id]) for o in orders
            )  # fmt: skip

        def do() -> Did:
            changes = [(o, replace(o, deliver_by=later[o.order_id])) for o in orders]
            numbers = promise_anew(
                at.conn, changes, run_id=at.run.run_id, now=at.now, by=at.by, origin=at.state.db.origin
            )  # fmt: skip
            undo = {"orders": [[a.order_id, numbers[a.order_id], b.deliver_by, a.deliver_by] for b, a in changes]}
            return Did(
                result={"promised_anew": len(orders), "days_later": days}, undo=undo, orders=len(orders),
                cursor=batch.cursor,
            )  # fmt: skip

        return Meant(key=("order", orders[0].order_id), direction=1, do=do, orders=len(orders), targets=targets)

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = {i: (n, _moment(was), _moment(then)) for i, n, was, then in undo["orders"]}
        found = locked(at, rows)
        still = [o for o in found if o.deliver_by == rows[o.order_id][2]]
        save(at.conn, [(o, replace(o, deliver_by=rows[o.order_id][1])) for o in still])
        ids = [*rows]
        at.conn.execute(SQL["withdraw"], {"ids": ids, "numbers": [rows[i][0] for i in ids], "now": at.now})
        again = [o.order_id for o in still]
        at.conn.execute(SQL["stand_again"], {"ids": again, "numbers": [rows[i][0] for i in again]})
        promises = [(o.order_id, o.deliver_by, rows[o.order_id][1]) for o in still]
        tell_of_promises(at.conn, promises, by=at.by, origin=at.state.db.origin)
        return Undone(result={"promised_as_before": len(still), "left": len(rows) - len(still)})


def _promised_by(at: At[RePromiseIn], batch: Batch) -> dict[str, datetime]:
    """Of orders that were promised a later day for this very incident before, which may have been over and come back:
    what they were promised first. They are not told later and later days for one cause."""
    values = {"ids": [o.order_id for o in batch.orders], "incident_id": at.case.incident_id}
    return dict(at.conn.execute(SQL["promised_for_incident"], values).fetchall())


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
