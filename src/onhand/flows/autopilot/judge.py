"""What came of actions, once it can be told; and back to `recommend` where that is worse than promised."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final

import structlog
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.autopilot import store
from onhand.autopilot.model import Domain
from onhand.autopilot.store import Due
from onhand.autopilot.trust import evidence, missed_minor, worse_than_promised
from onhand.base.actor import SYSTEM
from onhand.db import Database, queries
from onhand.db.outbox import write_event
from onhand.flows.autopilot.measures import MEASURES

SQL = queries(__file__)
log = structlog.get_logger(__name__)

_AT_ONCE: Final = 500
# Evidence that is older than this speaks of another time.
_REMEMBERED: Final = timedelta(days=90)
# Why something was not done is kept as long as somebody may ask.
_KEPT: Final = timedelta(days=30)

Measure = Callable[[Connection[TupleRow], Due], int | str]
"""Minor units that were lost all the same; or why that cannot be told, which makes the action void."""


def judge_actions(db: Database, now: datetime) -> int:
    """Tell what came of actions, and of what steps of playbooks acted on, that are due, and look at domains where
    something did; how many were judged."""

    def work(conn: Connection[TupleRow]) -> int:
        due = store.take_due(conn, now, _AT_ONCE)
        for action in due:
            lost = _MEASURES[action.reference.partition(":")[0]](conn, action)
            if isinstance(lost, str):
                store.void(conn, action.reference, lost)
            else:
                store.judge(conn, action.action_id, lost, now)
        targets = store.take_due_targets(conn, now, _AT_ONCE)
        for target in targets:
            store.judge_target(conn, target, MEASURES[target.kind](conn, target), now)
        for domain in sorted({Domain(of.domain) for of in (*due, *targets)}):
            _look_at(db, conn, domain, now)
        store.purge(conn, now - _KEPT)
        store.purge_targets(conn, now - _REMEMBERED)
        return len(due) + len(targets)

    return db.transact(work)


def out_of_stock(conn: Connection[TupleRow], action: Due) -> int | str:
    """What was lost at the position that a transfer or a purchase was for.

    The share of the time from its arrival to the plan's horizon in which nothing was to be sold there, of all that was
    expected to be asked for, in money: the stake is the part of it that would be lost, by the plan. The same for what
    was held out, which makes both comparable whatever the plan believed.
    """
    proposal_id = action.reference.partition(":")[2]
    with conn.cursor(row_factory=dict_row) as rows:
        found = rows.execute(SQL["proposal"], {"proposal_id": proposal_id}).fetchone()
    if found is None:
        return "the proposal is forgotten"
    if action.held_out and found["status"] in ("approved", "done"):
        return "a person approved it"
    begins = datetime.combine(found["expected_at"], time(), UTC) + timedelta(days=1)
    ends = found["created_at"] + timedelta(days=found["horizon_days"])
    if begins >= ends:
        return "its units come after the horizon"
    where = {"item_id": found["item_id"], "node_id": found["node_id"], "since": begins, "until": ends}
    row = conn.execute(SQL["out_share"], where).fetchone()
    if row is None or row[0] is None:
        return "nothing was ever there"
    served = found["effect"].get("served_before")
    lost_share = 1.0 if served is None else max(1.0 - served["expected"], 0.01)
    return round(float(row[0]) * action.stake_minor / lost_share)


_MEASURES: Final[dict[str, Measure]] = {"proposal": out_of_stock}


def _look_at(db: Database, conn: Connection[TupleRow], domain: Domain, now: datetime) -> None:
    judged = store.judged_since(conn, domain, now - _REMEMBERED)
    reason, found = worse_than_promised(judged, now), evidence(judged)
    if reason is None or found is None:
        return
    numbers = {
        "actions": found.acted, "promised": found.promised, "saved": found.saved, "missed_minor": missed_minor(judged),
    }  # fmt: skip
    if store.return_domain(conn, domain, reason, now, because="worse_than_promised", numbers=numbers):
        log.warning("the autopilot returned to recommending", domain=domain.value, reason=reason)
        data = {"domain": domain.value, "mode": "recommend", "reason": reason}
        write_event(conn, "autopilot.returned", domain.value, data, actor=SYSTEM, origin=db.origin)
