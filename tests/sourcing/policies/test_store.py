"""Policies in the database: what the tables themselves refuse."""

import hashlib
from itertools import pairwise

import psycopg
import pytest

from onhand.sourcing.policies import store
from onhand.sourcing.policies.lifecycle import Move
from onhand.sourcing.policies.lint import lint
from onhand.sourcing.policies.model import PolicyIn, canonical, fingerprint
from onhand.sourcing.policies.select import compile_policy
from onhand.sourcing.policy import STANDARD

POLICY = PolicyIn.model_validate({"rules": [{"name": "a"}]})


def add(db, name="p", version=1, policy=POLICY):
    def work(conn):
        store.lock_policy(conn, name, create=True)
        store.add_version(conn, name, version, policy, "rules: [{name: a}]  # ä", by=0)

    db.transact(work)


def test_the_built_in_policy_is_active_and_has_the_numbers_of_the_code(db):
    with db.connection() as conn:
        found = store.in_force(conn, "standard")
        (stretch,) = store.history(conn, "standard", 1)
    assert list(found) == ["active"]
    version = found["active"]
    assert version.label == STANDARD.version
    assert compile_policy(version.policy()).engine_policy(version.label) == STANDARD
    assert (stretch.state, stretch.why) == ("active", "built in")
    linted = lint(version.text)
    assert linted.findings == []
    assert linted.policy == version.policy()
    assert version.hash == fingerprint(version.document)
    assert version.hash == hashlib.sha256(canonical(version.document).encode()).digest()


def test_a_version_comes_back_as_written(db):
    add(db)
    with db.connection() as conn:
        found = store.get_version(conn, "p", 1)
        assert store.get_version(conn, "p", 2) is None
        assert store.latest_version(conn, "none") is None
    assert found.policy() == POLICY
    assert (found.text, found.state, found.label) == ("rules: [{name: a}]  # ä", "draft", "p@1")


@pytest.mark.parametrize(
    "sql",
    ["UPDATE policy_version SET text = 'x'", "DELETE FROM policy_version", "UPDATE policy_version SET version = 9"],
)
def test_a_version_never_changes(db, sql):
    add(db)
    with pytest.raises(psycopg.Error) as caught, db.connection() as conn:
        conn.execute(sql)
    assert caught.value.sqlstate == "OH010"
    with db.connection() as conn:
        assert store.get_version(conn, "p", 1).policy() == POLICY


@pytest.mark.parametrize("state", ["shadow", "canary", "active"])
def test_the_database_refuses_two_of_a_kind(db, state):
    add(db)
    add(db, version=2)
    share = 0.1 if state == "canary" else None
    for version in (1, 2):
        moves = [Move(version=version, state=state, share=share)]
        if version == 1:
            db.transact(lambda conn, moves=moves: store.move(conn, "p", moves, by=0))
        else:
            with pytest.raises(psycopg.errors.UniqueViolation):
                db.transact(lambda conn, moves=moves: store.move(conn, "p", moves, by=0))


def test_a_share_is_a_canarys(db):
    add(db)
    for state, share in (("canary", None), ("active", 0.1), ("canary", 1.0)):
        moves = [Move(version=1, state=state, share=share)]
        with pytest.raises(psycopg.errors.CheckViolation):
            db.transact(lambda conn, moves=moves: store.move(conn, "p", moves, by=0))


def test_the_history_keeps_every_state(db):
    add(db)
    for state in ("shadow", "active"):
        db.transact(lambda conn, state=state: store.move(conn, "p", [Move(version=1, state=state, why="x")], by=7))
    with db.connection() as conn:
        stretches = store.history(conn, "p", 1)
    assert [(s.state, s.by, s.ended_at is None) for s in stretches] == [
        ("draft", 0, False), ("shadow", 7, False), ("active", 7, True),
    ]  # fmt: skip
    assert all(a.ended_at == b.at for a, b in pairwise(stretches))
