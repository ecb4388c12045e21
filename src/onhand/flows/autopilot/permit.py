"""Ask whether something may be done without a person, inside the transaction that does it."""

from dataclasses import replace
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.autopilot import store
from onhand.autopilot.decide import HOUR, decide, looks_back, turns
from onhand.autopilot.model import Action, Guardrails, Verdict
from onhand.base.actor import SYSTEM
from onhand.db.outbox import write_event


def permit(conn: Connection[TupleRow], action: Action, *, now: datetime) -> Verdict:
    """Whether to do it now; where it says `act`, the action is written down and counts against the budgets.

    To be called before anything else is locked, in the transaction that does it: where that is rolled back, nothing was
    done and nothing counts. The same reference is answered alike: what it did is not done twice. Domains take turns, so
    budgets hold exactly; a stop that has been answered is seen by whoever comes later.
    """
    stopped = store.enter(conn)
    mode, rails = store.lock_domain(conn, action.domain)
    known = store.find_action(conn, action.reference)
    if known is not None:
        action_id, held_out = known
        if held_out:
            return Verdict(do="refuse", code="held_out", detail="left undone on purpose", action_id=action_id)
        return Verdict(do="act", code="within", detail="it was permitted before", action_id=action_id)
    verdict = decide(
        action,
        mode=mode,
        rails=rails,
        used=store.used_since(conn, action.domain, now - HOUR),
        past=store.past_of(conn, action.key, now - looks_back(rails)),
        owners=store.lock_owners(conn, action.keys),
        stopped=stopped,
        now=now,
    )
    action_id: str | None = None
    if verdict.do == "act":
        try:
            action_id = store.add_action(conn, action, now, own=timedelta(seconds=rails.own_s))
        except store.OwnedMeanwhile:
            verdict = Verdict(do="refuse", code="owned", detail="another domain has just acted on it")
    elif verdict.code == "held_out":
        action_id = store.hold_out(conn, action, now)
    elif verdict.code == "oscillates":
        _freeze(conn, action, rails, verdict, now)
    store.note(conn, action, verdict, now)
    return replace(verdict, action_id=action_id)


def _freeze(conn: Connection[TupleRow], action: Action, rails: Guardrails, verdict: Verdict, now: datetime) -> None:
    """What swings is left to people, the whole domain: an incident shows it until somebody sets its mode."""
    since = now - looks_back(rails)
    numbers = {
        "on": " ".join(action.key), "turns": turns(store.past_of(conn, action.key, since)),
        "spent_minor": store.spent_on(conn, action.key, since),
    }  # fmt: skip
    if store.return_domain(conn, action.domain, verdict.detail, now, because="oscillates", numbers=numbers):
        data = {"domain": action.domain.value, "mode": "recommend", "reason": verdict.detail}
        write_event(conn, "autopilot.returned", action.domain.value, data, actor=SYSTEM, origin=0)
