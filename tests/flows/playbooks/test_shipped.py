"""Each playbook that ships: what it does in its scene, that a failure leaves nothing behind, and that it is undone
exactly."""

import os
import re
from pathlib import Path

from onhand.base.actor import Actor
from onhand.flows.playbooks.commands import approve_step, undo_runs
from onhand.incidents.playbooks.store import shipped

from .scenes import SCENES, prepare, scenes

BY = Actor(key_id=7, reason="it was wrong")
TRACES = Path(__file__).parent / "traces"
_TURNS = 60


def through(t, incident_id, **more):
    """Work until nothing is waited for any more, saying yes to whatever asks."""
    t.turn(**more)
    for _ in range(_TURNS):
        ((status, due_at),) = t.merchant.rows(
            "SELECT status, due_at FROM run WHERE subject = %s ORDER BY run_id DESC LIMIT 1", incident_id
        )
        if status in ("standing", "done", "undone"):
            return
        if status == "needs_approval":
            approve_step(t.merchant.state, incident_id, by=BY)
        t.merchant.now = max(t.merchant.now, due_at)
        t.turn(**more)
    raise AssertionError(f"still {status} after {_TURNS} turns")


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
    said = [line for line in t.trace() if "-> undone" in line]
    text = "\n".join([*done, "", "taken back:", *reversed(said)]) + "\n"
    path = TRACES / f"{name}.txt"
    if os.environ.get("ONHAND_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, (
        f"differs from {path.name}: ONHAND_GOLDEN=write rewrites it, and is reviewed"
    )


class Died(BaseException):
    """The process ends here."""


class Faults:
    """Boundaries that were passed, and the one where something happens. error: raised there; always, or once."""

    def __init__(self, at=None, error=None, *, always=False):
        self.at, self.error, self.always = at, error, always
        self.seen = []

    def __call__(self, *boundary):
        self.seen.append(boundary)
        if self.error is not None and boundary == self.at:
            error = self.error
            if not self.always:
                self.error = None
            raise error


@scenes
def test_a_failure_at_any_boundary_leaves_nothing_behind(merchant, name):
    """Before a step, inside its transaction, after its commit; doing it and taking it back."""
    t = prepare(merchant)
    happens = SCENES[name](t)
    before = t.everything()
    passed = Faults()
    incident_id = happens()
    through(t, incident_id, fault=passed)
    taken_back(t, incident_id, fault=passed)
    boundaries = list(dict.fromkeys(passed.seen))
    assert {when for when, *_ in boundaries} == {"before", "inside", "after"}
    finished = t.trace()
    t.close(incident_id)

    for boundary in boundaries:
        when, _, what = boundary
        incident_id = happens()
        if when == "after" or what.startswith("undo"):
            # The process ends, and another one goes on from there.
            error = Died() if when == "after" else RuntimeError("injected")
            faults = Faults(boundary, error)
            for work in (through, taken_back):
                try:
                    work(t, incident_id, fault=faults, lease_s=0.0)
                except Died:
                    work(t, incident_id, fault=faults, lease_s=0.0)
            t.later(minutes=11, fault=faults, lease_s=0.0)
            assert faults.error is None, f"{boundary} was not reached"
            mine = [row[1] for row in t.runs() if row[1] != "undone"]
            assert mine == []
            assert timeless(t.trace()[-len(finished) :]) == timeless(finished)
        else:
            # It fails again and again, until what was done is taken back.
            faults = Faults(boundary, RuntimeError("injected"), always=True)
            through(t, incident_id, fault=faults, failures_max=2)
            assert [row[1:2] for row in t.runs() if "injected" in (row[3] or "")]
            assert {row[1] for row in t.runs()} == {"undone"}
        assert t.everything() == before, boundary
        t.close(incident_id)


def shipped_steps(t):
    ((document,),) = t.merchant.rows("SELECT document FROM playbook")
    return document["steps"]


def timeless(lines):
    lines = [re.sub(r" cost=-?\d+", "", line) for line in lines]  # carbon and time have their price
    return [re.sub(r"20\d\d-\d\d-\d\dT[\d:]+Z", "THEN", line) for line in lines]
