"""The life of versions: every sequence of moves keeps what is promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.sourcing.policies.lifecycle import (
    MOVES,
    UNIQUE,
    WAY,
    Refused,
    Standing,
    decide_promotion,
    decide_rollback,
    takes_canary,
)

STATES = tuple(MOVES)


class Life:
    """A policy in memory, as the store keeps it."""

    def __init__(self, *states):
        self.now = {n: Standing(version=n, state=s, share=0.1 if s == "canary" else None)
                    for n, s in enumerate(states, 1)}  # fmt: skip
        self.preceded = {}

    def standings(self):
        return [Standing(version=n, state=s.state, share=s.share, preceded=self.preceded.get(n))
                for n, s in self.now.items()]  # fmt: skip

    def apply(self, decided):
        if isinstance(decided, Refused):
            return decided
        for move in decided:
            self.now[move.version] = Standing(version=move.version, state=move.state, share=move.share)
            if move.state == "active":
                self.preceded[move.version] = move.preceded
        return decided

    def promote(self, to, version=None, why="x", **more):
        return self.apply(decide_promotion("p", self.standings(), to=to, version=version, why=why, **more))

    def roll_back(self):
        return self.apply(decide_rollback("p", self.standings(), "x"))

    def states(self):
        return [s.state for s in self.now.values()]


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(STATES[1:]), st.one_of(st.none(), st.integers(1, 5))),
        st.just("rollback"),
        st.just("write"),
    ),
    max_size=30,
)


@given(steps)
def test_no_sequence_of_moves_breaks_what_is_promised(sequence):
    life = Life("active")
    for step in sequence:
        before = life.states()
        if step == "write":
            number = len(life.now) + 1
            life.now[number] = Standing(version=number, state="draft")
            continue
        moved = life.roll_back() if step == "rollback" else life.promote(*step)
        states = life.states()
        assert all(states.count(state) <= 1 for state in UNIQUE)
        assert all((s.share is not None) == (s.state == "canary") for s in life.now.values())
        if isinstance(moved, Refused):
            assert states == before
        elif step != "rollback" and moved:
            assert moved[-1].state == step[0]
            assert all(move.state == "retired" for move in moved[:-1])


def test_the_whole_way():
    life = Life("active", "draft")
    for to in ("shadow", "canary", "active"):
        (*_, last) = life.promote(to, why=None)
        assert (last.version, last.state, last.share) == (2, to, 0.05 if to == "canary" else None)
    assert life.states() == ["retired", "active"]
    assert life.promote("active", 2) == []


def test_steps_are_left_out_with_a_reason_only():
    for to in ("canary", "active"):
        refused = Life("active", "draft").promote(to, 2, why=None)
        assert isinstance(refused, Refused)
        assert refused.code == "policy.reason_missing"
        assert Life("active", "draft").promote(to, 2, why="urgent")[-1].state == to


def test_the_version_that_is_nearest_is_meant():
    assert Life("active", "shadow", "draft", "draft").promote("shadow")[-1].version == 4
    assert Life("active", "shadow", "draft").promote("canary")[-1].version == 2
    assert Life("active", "canary", "shadow", "draft").promote("active")[-1].version == 2
    assert isinstance(Life("active", "retired").promote("shadow"), Refused)
    assert isinstance(Life("active", "draft").promote("retired"), Refused)


def test_a_canary_may_get_another_share():
    life = Life("active", "canary")
    assert life.promote("canary", 2) == []
    (move,) = life.promote("canary", 2, share=0.5)
    assert (move.version, move.share) == (2, 0.5)


def test_a_share_is_a_canarys():
    assert Life("active", "draft").promote("shadow", share=0.5).code == "policy.share"


def test_the_standard_policy_always_has_an_active_version():
    refused = decide_promotion("standard", Life("active").standings(), to="retired", version=1, why="x")
    assert refused.code == "policy.needed"
    assert decide_promotion("other", Life("active").standings(), to="retired", version=1)[0].state == "retired"


def test_a_rollback_takes_the_canary_first_then_goes_back_version_by_version():
    life = Life("active", "draft", "draft", "draft")
    for version in (2, 3):
        life.promote("active", version)
    life.promote("canary", 4)
    for expected in (
        ["retired", "retired", "active", "retired"],
        ["retired", "active", "retired", "retired"],
        ["active", "retired", "retired", "retired"],
    ):
        life.roll_back()
        assert life.states() == expected
    assert life.roll_back().code == "policy.nothing_before"


def test_a_version_that_comes_again_goes_back_to_the_one_it_replaced_then():
    life = Life("active", "draft", "draft")
    for version in (2, 3, 1):
        life.promote("active", version)
    life.roll_back()
    assert life.states() == ["retired", "retired", "active"]


@pytest.mark.parametrize("state", STATES)
def test_every_move_of_the_table_is_possible_and_no_other(state):
    for to in STATES:
        life = Life("active", state) if state != "active" else Life(state)
        version = len(life.now)
        moved = life.promote(to, version)
        if to in MOVES[state]:
            assert not isinstance(moved, Refused)
        elif to != state:
            assert moved.code == "policy.move"


def test_a_share_of_orders_is_the_canarys_and_grows_with_it():
    orders = [f"web/{n}" for n in range(20_000)]
    small = {o for o in orders if takes_canary("p", 2, o, 0.05)}
    large = {o for o in orders if takes_canary("p", 2, o, 0.2)}
    assert small < large
    # Five standard deviations of a share of 20,000.
    assert abs(len(small) - 1_000) < 160
    assert abs(len(large) - 4_000) < 290
    other = {o for o in orders if takes_canary("p", 3, o, 0.05)}
    assert len(small & other) < 120, "each canary draws anew"


def test_the_way_is_that_of_the_glossary():
    assert (*WAY, "retired") == STATES
