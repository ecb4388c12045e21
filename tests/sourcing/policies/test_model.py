"""The document: defaults, strictness, and what is stored of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from onhand.sourcing.policies.facts import table
from onhand.sourcing.policies.model import PolicyIn, canonical, fingerprint
from onhand.sourcing.policy import STANDARD


def policy(**fields):
    return PolicyIn.model_validate(fields)


def test_an_empty_document_has_the_presets_filled_in():
    objectives = policy().document()["objectives"]
    assert list(objectives) == list(STANDARD.objectives)
    assert objectives["speed"]["late_minor"] == STANDARD.objectives["speed"].late_minor


def test_what_an_objective_leaves_out_is_as_in_its_preset_else_as_in_margin():
    objectives = policy(objectives={"speed": {"late_minor": 7}, "own": {"day_minor": 9}}).objectives
    assert (objectives["speed"].late_minor, objectives["speed"].target_days) == (7, 2)
    assert (objectives["own"].day_minor, objectives["own"].late_minor) == (9, 500)


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": []},
        {"limits": {"fulfilments_max": 0}},
        {"limits": {"fulfilments_max": "4"}},
        {"limits": {"fulfilments_max": True}},
        {"weights": {"split": -0.1}},
        {"weights": {"split": float("nan")}},
        {"rules": [{"name": "a", "otherwise": "halt"}]},
        {"rules": [{"when": "true"}]},
        {"guards": [{"metric": "joy"}]},
        {"fallback": {"on_no_plan": "panic"}},
        {"priorities": [{"objective": "speed", "from": "soon"}]},
        {"objectives": {"A B": {}}},
    ],
)
def test_nothing_else_is_taken(fields):
    with pytest.raises(ValidationError):
        policy(**fields)


shares = st.floats(0, 1)
documents = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text(max_size=20),
        "objectives": st.dictionaries(
            st.sampled_from(["speed", "own"]), st.fixed_dictionaries({}, optional={"late_minor": st.floats(0, 100)})
        ),
        "weights": st.dictionaries(st.sampled_from(["split", "carbon"]), shares),
        "priorities": st.just([{"objective": "speed", "from": "2027-03-01", "until": None}]),
        "rules": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["a", "b"])}, optional={"when": st.just("true")}),
            max_size=2,
        ),
        "profit_floor": st.one_of(st.none(), st.fixed_dictionaries({"share": shares})),
        "guards": st.just([{"metric": "late_share"}]),
    },
)


@given(documents)
@settings(deadline=None)
def test_what_is_stored_is_the_same_policy(fields):
    given_ = policy(**fields)
    stored = given_.document()
    assert PolicyIn.model_validate(stored) == given_
    assert canonical(PolicyIn.model_validate(stored).document()) == canonical(stored)
    assert fingerprint(stored) == fingerprint(PolicyIn.model_validate(stored).document())


def test_every_fact_has_a_meaning():
    rows = table().splitlines()[2:]
    assert len(rows) > 25
    assert all(len(row.split("|")[3].strip()) > 3 for row in rows)
