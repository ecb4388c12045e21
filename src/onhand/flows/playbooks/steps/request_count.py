"""Ask nodes to count items whose record is doubted."""

from collections.abc import Mapping
from typing import Any

from onhand.db import queries
from onhand.db.outbox import write_events
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.targets import joined, positions_of
from onhand.incidents.playbooks.model import RequestCountIn

SQL = queries(__file__)


class RequestCount:
    """See RequestCountIn."""

    def mean(self, at: At[RequestCountIn]) -> Meant | Nothing:
        named = positions_of(at.case)
        if not named:
            return Nothing("it touches no item at a node")
        named, beyond = at.within_subjects(named)
        if not named:
            return Nothing(SUBJECTS_REACHED)

        def do() -> Did:
            values = {"skus": [s for s, _ in named], "nodes": [n for _, n in named], "run_id": at.run.run_id}
            asked = at.conn.execute(SQL["ask_counts"], values | {"now": at.now}).fetchall()
            _tell(at, "count.requested", asked)
            undo = {"counts": [list(key) for key in asked]} if asked else None
            result = {"asked": len(asked), "asked_before": len(named) - len(asked), **beyond}
            return Did(result=result, undo=undo)

        return Meant(
            key=("item_node", *named[0]), direction=1, do=do, subjects=len(named),
            says={"counts": [joined(key) for key in named]},
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        skus, nodes = zip(*undo["counts"], strict=True)
        values = {"skus": list(skus), "nodes": list(nodes), "run_id": at.run.run_id}
        gone = at.conn.execute(SQL["withdraw_counts"], values).fetchall()
        _tell(at, "count.withdrawn", gone)
        return Undone(result={"withdrawn": len(gone)})


def _tell(at: Place, kind: str, keys: list[tuple[str, str]]) -> None:
    facts = {"run_id": at.run.run_id, "incident_id": at.case.incident_id}
    events = [(kind, f"{sku} @ {node}", {"sku": sku, "node": node, **facts}) for sku, node in keys]
    write_events(at.conn, events, actor=at.by, origin=at.state.db.origin)
