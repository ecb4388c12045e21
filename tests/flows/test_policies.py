"""Policies written, promoted and taken back, on the database."""

import threading

import pytest
from tests.events import settled

from onhand.base.actor import SYSTEM, Actor
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows.policies import promote_policy, roll_back_policy, set_policy, watch_canary
from onhand.flows.set_up import set_node_group
from onhand.network.model import NodeGroupIn
from onhand.sourcing.policies import store
from onhand.sourcing.policies.guards import Sample

ONE = "rules: [{name: a}]\nguards: [{metric: late_share, worse_by: 0.02}]"


def text(n):
    return f"{ONE}\nlimits: {{fulfilments_max: {n}}}"


def write(db, name="p", n=1):
    return set_policy(db, name, text(n), by=SYSTEM)


def states(db, name="p"):
    with db.connection() as conn:
        return [(v.version, v.state) for v in reversed(store.list_versions(conn, name))]


def told(db):
    with db.connection() as conn:
        return [e.data for e in settled(conn) if e.kind == "policy.changed"]


def test_the_same_again_is_the_same_version_whatever_its_comments(db):
    first = write(db)
    again = set_policy(db, "p", f"# other words\n{text(1)}", by=SYSTEM)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version == first.version
    assert write(db, n=2).version.version == 2
    assert write(db, n=1).version.version == 3, "an earlier content is a new version"
    assert [d["version"] for d in told(db)] == [1, 2, 3]


def test_what_is_wrong_is_told_by_line_and_nothing_is_written(db):
    with pytest.raises(InvalidInput) as caught:
        set_policy(db, "p", "rules:\n- name: a\n  when: order.chanel == 'x'\n  groups: [west]", by=SYSTEM)
    (when, groups) = caught.value.errors
    assert (when.path, groups.path) == ("rules[0].when", "rules[0].groups[0]")
    assert when.message == "line 3, column 15: order has no 'chanel'; did you mean 'channel'?"
    with db.connection() as conn:
        assert store.list_policies(conn, limit=10, name="p") == []
    set_node_group(db, "west", NodeGroupIn(name="West", nodes=[]), by=SYSTEM)
    written = set_policy(db, "p", "rules:\n- name: a\n  when: order.channel == 'x'\n  groups: [west]", by=SYSTEM)
    assert [w.path for w in written.warnings] == ["rules[0]", "rules[0].when"]


def test_the_whole_life(db):
    by = Actor(key_id=5, reason="r")
    write(db)
    write(db, n=2)
    promote_policy(db, "p", to="active", version=1, why="first", by=by)
    for to in ("shadow", "canary", "active"):
        promote_policy(db, "p", to=to, by=by)
    assert states(db) == [(1, "retired"), (2, "active")]
    assert promote_policy(db, "p", to="active", version=2, by=by) == []
    roll_back_policy(db, "p", why="bad", by=by)
    assert states(db) == [(1, "active"), (2, "retired")]
    *_, last = told(db)
    assert last == {
        "name": "p", "version": 1, "state": "active", "share": None, "why": "bad",
        "moves": [{"version": 2, "state": "retired"}, {"version": 1, "state": "active"}],
    }  # fmt: skip
    assert len(told(db)) == 7
    with pytest.raises(Conflict) as caught:
        roll_back_policy(db, "p", why="worse", by=by)
    assert caught.value.code == "policy.nothing_before"


def test_what_is_not_there_is_told(db):
    with pytest.raises(NotFound, match="no policy 'none'"):
        promote_policy(db, "none", to="active", by=SYSTEM)
    with pytest.raises(NotFound, match="standard@9"):
        promote_policy(db, "standard", to="active", version=9, by=SYSTEM)
    write(db)
    with pytest.raises(InvalidInput) as caught:
        promote_policy(db, "p", to="active", by=SYSTEM)
    assert caught.value.errors[0].path == "why"


def test_writers_at_once_number_without_gaps_and_one_becomes_active(db):
    together = threading.Barrier(6)
    failed = []

    def work(n):
        try:
            together.wait(10)
            version = write(db, n=n).version.version
            promote_policy(db, "p", to="active", version=version, why="now", by=SYSTEM)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [version for version, _ in states(db)] == [1, 2, 3, 4, 5, 6]
    assert sorted(state for _, state in states(db)) == ["active"] + ["retired"] * 5


def late(share, orders=2_000):
    return {"late_share": Sample.of_share(orders, int(orders * share))}


def test_a_planted_bad_canary_is_taken_back_by_itself(db):
    for n in (1, 2):
        write(db, n=n)
    promote_policy(db, "p", to="active", version=1, why="x", by=SYSTEM)
    assert watch_canary(db, "p", canary=(2, late(0.3)), active=(1, late(0.1))) is None, "there is no canary yet"
    promote_policy(db, "p", to="canary", version=2, why="x", by=SYSTEM)
    assert watch_canary(db, "p", canary=(2, late(0.1)), active=(1, late(0.1))) is None
    assert watch_canary(db, "p", canary=(1, late(0.3)), active=(1, late(0.1))) is None, "of another version"
    assert states(db) == [(1, "active"), (2, "canary")]
    breach = watch_canary(db, "p", canary=(2, late(0.3)), active=(1, late(0.1)))
    assert breach.metric == "late_share"
    assert states(db) == [(1, "active"), (2, "retired")]
    assert told(db)[-1]["why"].startswith("guard: late_share of the canary is 0.3")
