"""Tell people: an event that webhooks deliver, signed, until it is taken."""

from collections.abc import Mapping
from typing import Any

from onhand.db.outbox import write_event
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, Meant, Nothing, Place, Undone
from onhand.incidents.playbooks.fill import plain
from onhand.incidents.playbooks.model import OpenTicketIn


class OpenTicket:
    """See OpenTicketIn."""

    def mean(self, at: At[OpenTicketIn]) -> Meant | Nothing:
        case = at.case
        if at.left.subjects == 0:
            return Nothing(SUBJECTS_REACHED)
        ticket = f"{at.run.run_id}-{at.run.step_no}"

        def do() -> Did:
            data = {
                "ticket_id": ticket, "title": at.step.title, "queue": at.step.queue, "incident_id": case.incident_id,
                "kind": case.kind, "cause": [case.cause.what, *map(plain, case.cause.key)],
                "risk_minor": case.risk_minor, "currency": case.currency, "findings": len(case.findings),
            }  # fmt: skip
            write_event(at.conn, "ticket.opened", ticket, data, actor=at.by, origin=at.state.db.origin)
            return Did(result={"ticket_id": ticket}, undo={"ticket_id": ticket})

        return Meant(key=("ticket", case.kind, *case.cause.key), direction=1, do=do, subjects=1)

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        data = {"ticket_id": undo["ticket_id"], "incident_id": at.case.incident_id}
        write_event(at.conn, "ticket.closed", undo["ticket_id"], data, actor=at.by, origin=at.state.db.origin)
        return Undone(result={"closed": 1})
