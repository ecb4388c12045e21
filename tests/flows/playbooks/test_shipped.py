"""Each playbook that ships: what it does in its scene, that a failure leaves nothing behind, and that it is undone
exactly."""

import os
from pathlib import Path

from onhand.base.actor import Actor
from onhand.flows.playbooks.commands import approve_step, undo_runs
from onhand.incidents.playbooks.store import shipped

from .scenes import SCENES, prepare, scenes  # noqa: TID252

BY = Actor(key_id=7, reason="it was wrong")
TRACES = Path(__file__).parent / "traces"
_DAYS = 12


def through(t, incident_id, **more):
    """Work until nothing is to be waited for any more, saying yes to whatever asks."""
    start = t.merchant.now
    t.turn(**more)
    for _ in range(_DAYS * 4):
        if t.merchant.rows("SELECT FROM run WHERE subject = %s AND status = 'needs_approval'", incident_id):
            approve_step(t.merchant.state, incident_id, by=BY)
        t.later(hours=6, **more)
    return start


def taken_back(t, incident_id, **more):
    undo_runs(t.merchant.state, incident_id, by=BY)
    t.turn(**more)


def test_every_playbook_that_ships_has_a_scene():
    assert set(SCENES) == set(shipped())


@scenes
def test_what_it_does_and_how_that_is_taken_back(merchant, name):
    t = prepare(merchant)
    happens = SCENES[name](t)
    before = t.everything()
    incident_id = happens()
    through(t, incident_id)
    done = t.trace()
    assert [r[1:3] for r in t.runs()] == [("standing", len(shipped_steps(t)) + 1)]
    taken_back(t, incident_id)
    assert t.everything() == before
    assert [r[1] for r in t.runs()] == ["undone"]
    text = "\n".join([*done, "", "taken back:", *(line for line in t.trace() if "-> undone" in line)]) + "\n"
    path = TRACES / f"{name}.txt"
    text = readable(t, text)
    if os.environ.get("ONHAND_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, (
        f"differs from {path.name}: ONHAND_GOLDEN=write rewrites it, and is reviewed"
    )


def shipped_steps(t):
    ((document,),) = t.merchant.rows("SELECT document FROM playbook")
    return document["steps"]


def readable(t, text):
    """Ids by what they are."""
    for (run,) in t.merchant.rows("SELECT run_id::text FROM run"):
        text = text.replace(run, "RUN")
    return text
