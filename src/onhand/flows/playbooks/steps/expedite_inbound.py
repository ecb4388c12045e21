"""Ask suppliers for an earlier day: an event that webhooks deliver. The date changes when the supplier says so."""

from collections.abc import Mapping
from typing import Any

from onhand.db import queries
from onhand.db.outbox import write_events
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, Expense, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.targets import references_of
from onhand.incidents.playbooks.model import ExpediteInboundIn

SQL = queries(__file__)


class ExpediteInbound:
    """See ExpediteInboundIn."""

    def mean(self, at: At[ExpediteInboundIn]) -> Meant | Nothing:
        mine = at.claim("inbound", references_of(at.case))
        found = at.conn.execute(SQL["inbound_lines"], {"references": sorted(mine)}).fetchall()
        if not found:
            return Nothing("nothing that it touches is still to come")
        references, beyond = at.within_subjects(list(dict.fromkeys(row[0] for row in found)))
        if not references:
            return Nothing(SUBJECTS_REACHED)
        found = [row for row in found if row[0] in references]
        each = at.step.cost_minor
        cost = each * len(found)
        if at.left.money_minor is not None and cost > at.left.money_minor:
            return Nothing("its limit of money is reached")

        def do() -> Did:
            rows = [[reference, supplier] for reference, supplier in dict.fromkeys(row[:2] for row in found)]
            _tell(at, "inbound.expedite_requested", rows)
            expenses = tuple(Expense(term="expedite", minor=each, item_id=i, node_id=n) for *_, i, n in found)
            return Did(
                result={"asked": len(rows), **beyond}, undo={"inbound": rows}, cost_minor=cost, expenses=expenses
            )

        return Meant(key=("inbound", found[0][0]), direction=1, do=do, money_minor=cost, subjects=len(references))

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        _tell(at, "inbound.expedite_withdrawn", undo["inbound"])
        return Undone(result={"withdrawn": len(undo["inbound"])})


def _tell(at: Place, kind: str, rows: list[list[str]]) -> None:
    facts = {"run_id": at.run.run_id, "incident_id": at.case.incident_id}
    events = [
        (kind, reference, {"reference": reference, "supplier": supplier, **facts}) for reference, supplier in rows
    ]
    write_events(at.conn, events, actor=at.by, origin=at.state.db.origin)
