"""What orders came to: money paid to others counts as it is paid, whatever a policy weighs it by."""

from dataclasses import replace

import numpy as np
import pytest

from onhand.bench.sourcing import AT, asked, network
from onhand.sourcing import custom
from onhand.sourcing.custom import Term
from onhand.sourcing.policies.outcomes import outcome, paid_to_others
from onhand.sourcing.policy import STANDARD, Policy
from onhand.sourcing.solve import Decisions, Stock, decide_asked

NOW = AT.timestamp()


def _ferry(batch):
    return 100.0 + batch.node_id[np.newaxis, :]


def _crate(batch):
    return 1.0 * batch.units[:, np.newaxis]


def _mood(batch):
    return np.full((batch.orders, 1), 9.0)


TERMS = (
    Term(name="ferry", summary="x", origin="x 1", fulfilment=_ferry, paid=True),
    Term(name="crate", summary="x", origin="x 1", unit=_crate, paid=True),
    Term(name="mood", summary="x", origin="x 1", fulfilment=_mood),
)


def weighing(weight: float) -> Policy:
    weights = {"ferry": weight, "crate": weight}
    return replace(STANDARD, objectives={n: replace(o, weights=weights) for n, o in STANDARD.objectives.items()})


def decided(policy: Policy) -> Decisions:
    known = network(6, 1, 20)
    stock = Stock(known.available, np.zeros_like(known.available), known.safety)
    room = replace(known.compiled, left=known.compiled.left.copy())
    goods = known.catalogue.goods
    return decide_asked(asked(known, 120, 1), stock, room, policy, goods, now=NOW, consume=True)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_what_is_paid_is_counted_as_it_is_paid(monkeypatch: pytest.MonkeyPatch, weight: float) -> None:
    monkeypatch.setattr(custom, "installed", lambda: TERMS)
    d = decided(weighing(weight))
    paid = paid_to_others(d)
    made = int(d.fulfilment_first[-1])
    assert made > 120, "some orders are split"
    f = 0
    for order in range(len(d.count)):
        for number in range(int(d.count[order])):
            mine = [
                p
                for p in range(int(d.pick_first[order]), int(d.pick_first[order + 1]))
                if d.pick_number[p] == number + 1
            ]
            crates = sum(int(d.pick_units[p]) * int(d.demand_units[d.pick_demand[p]]) for p in mine)
            assert paid[f] == pytest.approx(100 + int(d.node[f]) + crates)
            f += 1
    assert f == made
    own = d.terms[:made, :9][:, [0, 1, 5]].sum()
    assert outcome(d, range(len(d.count)), 5, NOW, 0).cost == pytest.approx(own + paid.sum())


def test_a_way_that_is_forbidden_and_taken_all_the_same_costs_nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    term = Term(name="ferry", summary="x", origin="x 1", fulfilment=lambda b: np.full((b.orders, 1), np.inf), paid=True)
    monkeypatch.setattr(custom, "installed", lambda: (term,))
    d = decided(weighing(0.0))
    assert d.count.any() and not paid_to_others(d).any()


def test_nothing_is_paid_where_there_are_no_terms_of_others() -> None:
    d = decided(STANDARD)
    assert paid_to_others(d).tolist() == [0.0] * int(d.fulfilment_first[-1])
