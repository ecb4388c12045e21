"""Incidents begin runs of the playbooks that are written for them."""

from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.flows.playbooks.telling import KIND, tell
from onhand.incidents.playbooks import store
from onhand.incidents.playbooks.facts import Spent, facts, holds
from onhand.workflows import store as runs

_LOOKED_AT = 500


def begin_runs(db: Database, *, now: datetime) -> int:
    """Begin a run of each playbook whose kinds and condition fit an open incident, the most money at risk first; runs
    of incidents that are over are due. How many began.

    A playbook has one run for an incident at a time, which ends when the incident does. One that was taken back does
    not begin again for the same incident. Safe with several workers.
    """

    def work(conn: Connection[TupleRow]) -> int:
        store.wake_ended(conn, now)
        versions = [(v, v.playbook()) for v in store.latest(conn)]
        count = 0
        waiting = [
            (incident_id, [(v, p) for v, p in versions if p.active and kind in p.on and v.name not in begun])
            for incident_id, kind, begun in store.waiting_cases(conn, limit=_LOOKED_AT)
        ]
        cases = store.get_cases(conn, [incident_id for incident_id, fit in waiting if fit])
        for incident_id, fit in waiting:
            case = cases.get(incident_id)
            if case is None:
                continue
            known = facts(case, Spent(), now)
            for version, playbook in fit:
                if holds(playbook.when, known):
                    number = store.kept_version(conn, version)
                    run_id = runs.start(conn, KIND, version.name, number, incident_id, now=now)
                    if run_id is not None:
                        count += 1
                        begun_run = runs.get_run(conn, run_id)
                        assert begun_run is not None, "it was just begun"
                        tell(db, conn, begun_run, "run.begun", {"risk_minor": case.risk_minor})
        return count

    count = db.transact(work)
    if count:
        db.notify()
    return count
