"""Orders weighed by cost terms of others: as they are answered, kept, explained and sourced again, also when who
brought the term is gone."""

import json

import numpy as np
import pytest
from tests.flows.test_policy_decides import decide_by

from onhand.base.actor import SYSTEM
from onhand.flows.explain_plan import explain_plan
from onhand.flows.fulfil import reject
from onhand.flows.trials import watch_trials
from onhand.orders.model import TERMS
from onhand.orders.rows import decode_cost, encode_cost
from onhand.orders.store import first_answers
from onhand.orders.views import get_order
from onhand.sourcing import custom
from onhand.sourcing.custom import Term


def ferry(batch):
    """300 for what leaves Berlin, and 10 more for parcels to Hamburg; Munich sends nothing there."""
    minor = np.where(batch.node == "berlin", 300, 0) + np.where(batch.latitude > 53, 10, 0)[:, None]
    return np.where((batch.latitude > 53)[:, None] & (batch.node == "munich"), np.inf, minor)


def fragile(batch):
    """7 for a unit of B, and 1 more from Paris."""
    return np.where(batch.sku == "B", 7, 0)[:, None] + np.where(batch.node == "paris", 1, 0)


@pytest.fixture
def others(monkeypatch):
    """`others(ferry=..., fragile=...)`: these terms of a fulfilment and of a unit are installed."""

    def install(ferry=None, fragile=None):
        terms = []
        if ferry:
            terms.append(Term(name="ferry", summary="x", origin="x 1", fulfilment=ferry))
        if fragile:
            terms.append(Term(name="fragile", summary="x", origin="x 1", unit=fragile))
        monkeypatch.setattr(custom, "installed", lambda: tuple(terms))

    return install


def test_a_guard_counts_what_is_paid_for_a_term_that_a_canary_does_not_weigh(merchant, monkeypatch):
    """Berlin is cheaper but for the ferry of 600; the canary overlooks that, and is taken back."""
    for node in ("berlin", "munich"):
        merchant.stock(node, A=5_000)
    for paid, breaches in ((False, []), (True, ["cost_per_order_minor"])):
        term = Term(name="ferry", summary="x", origin="x 1", fulfilment=lambda b: 2 * ferry(b), paid=paid)
        monkeypatch.setattr(custom, "installed", lambda term=term: (term,))
        decide_by(
            merchant,
            "weights: {ferry: 0}\nguards: [{metric: cost_per_order_minor, worse_by: 0.03, min_orders: 20}]",
            to="canary",
            share=0.4,
        )
        answers = merchant.place_many([([("A", 1)], {}) for _ in range(100)])
        assert {f["node"] for a in answers for f in a["fulfilments"]} == {"berlin", "munich"}
        merchant.state.tally.write(merchant.db)
        assert [breach.metric for breach in watch_trials(merchant.db)] == breaches


def explained(merchant, placed, number=1):
    return explain_plan(merchant.db, f"{placed['order_id']}-p{number}")


def test_a_term_moves_an_order_and_stands_in_its_cost(merchant, others):
    for node in ("berlin", "paris"):
        merchant.stock(node, A=9, B=9)
    others()
    assert merchant.place(("A", 1), ("B", 2))["fulfilments"][0]["node"] == "berlin"
    others(ferry, fragile)
    placed = merchant.place(("A", 1), ("B", 2))
    (f,) = placed["fulfilments"]
    # 1,500 g: Berlin asks 700 + 100 + 300 + 14, Paris 1500 + 100 + 17.
    assert f["node"] == "berlin" and (f["cost"]["ferry"], f["cost"]["fragile"]) == (300, 14)
    assert [*f["cost"]] == [*TERMS, "ferry", "fragile"] and sum(f["cost"].values()) == f["cost_minor"]
    others(lambda batch: 4 * ferry(batch), fragile)
    (f,) = merchant.place(("A", 1), ("B", 2))["fulfilments"]
    assert f["node"] == "paris" and f["cost"]["fragile"] == 17 and "ferry" not in f["cost"], "0 is left out"


def test_what_is_kept_reads_the_same_when_the_term_is_gone(merchant, others):
    merchant.stock("berlin", A=9)
    others(ferry)
    placed = merchant.place(("A", 1))
    with merchant.db.connection() as conn:
        stored = conn.execute("SELECT cost FROM fulfilment").fetchone()[0]
    assert stored.endswith(',{"ferry":300}]')
    others()
    order_id = placed["order_id"]
    with merchant.db.connection() as conn:
        assert json.loads(first_answers(conn, [order_id])[order_id]) == placed
        shown = get_order(conn, order_id)["fulfilments"][0]
    assert merchant.order(order_id).fulfilments[0].cost_by_term == placed["fulfilments"][0]["cost"]
    assert shown["cost"] == placed["fulfilments"][0]["cost"]
    merchant.place(("A", 1))
    rows = merchant.rows("SELECT cost FROM fulfilment ORDER BY cost")
    assert sum("ferry" in cost for (cost,) in rows) == 1


@pytest.mark.parametrize("later", [(), (lambda b: [[1000, 0, 0, 0]],)])
def test_a_plan_is_explained_by_what_the_term_asked_then(merchant, others, later):
    for node in ("berlin", "munich", "paris"):
        merchant.stock(node, A=5)
    merchant.stock("hamburg", B=5)
    others(ferry, fragile)
    placed = merchant.place(("A", 2), ("B", 1))
    moved = merchant.place(("A", 1), ("B", 1), to="hamburg")
    others(*later)
    answer = explained(merchant, placed)
    assert answer["reproduced"] and answer["decision"] == placed
    rows = {c["node"]: c for c in answer["candidates"]}
    # Alone: Berlin the two of A, Hamburg the one of B.
    assert rows["berlin"]["cost"]["ferry"] == 300 and "fragile" not in rows["berlin"]["cost"]
    assert rows["hamburg"]["cost"]["fragile"] == 7 and "ferry" not in rows["hamburg"]["cost"]
    assert rows["paris"]["cost"]["fragile"] == 2
    for c in rows.values():
        assert c["cost"] is None or sum(c["cost"].values()) == c["cost_minor"]
    away = explained(merchant, moved)
    assert away["reproduced"]
    assert next(c for c in away["candidates"] if c["node"] == "munich")["excluded_because"] == (
        "the cost term ferry rules it out"
    )


def test_an_order_that_is_sourced_again_is_weighed_by_it_too(merchant, others):
    merchant.stock("hamburg", A=1)
    others(ferry)
    placed = merchant.place(("A", 1))
    assert placed["fulfilments"][0]["node"] == "hamburg"
    merchant.stock("berlin", A=1)
    reject(merchant.state, placed["fulfilments"][0]["fulfilment_id"], "other", by=SYSTEM)
    second = explained(merchant, placed, 2)
    assert second["reproduced"] and second["chosen"] == ["berlin"]
    (f,) = second["decision"]["fulfilments"]
    assert f["cost"]["ferry"] == 300 and sum(f["cost"].values()) == f["cost_minor"]
    assert merchant.order(placed["order_id"]).live[0].cost_of_others == (("ferry", 300),)


def test_batches_on_both_paths_keep_each_order_its_own_values(merchant, others):
    """Orders for scarce units go the exact way, one by one; what was asked for each stays with it."""
    merchant.stock("berlin", A=2, B=5)
    merchant.stock("paris", A=9)
    others(lambda b: 100 * b.total(b.units)[:, None] * np.ones((1, b.nodes)))
    orders = [((("A", n),), {}) for n in (1, 3, 2)] + [((("A", 1), ("B", 2)), {})]
    placed = merchant.place_many(orders)
    placed += [merchant.place(("A", 1), ("C", 1)), merchant.place(("B", 3), hold="look")]
    told = [sum(f["cost"].get("ferry", 0) for f in p["fulfilments"]) for p in placed]
    assert told[:3] == [100, 300, 200] and told[3] in (300, 600)
    for p in placed:
        answer = explained(merchant, p)
        assert answer["reproduced"], p
        assert all(sum(f["cost"].values()) == f["cost_minor"] for f in p["fulfilments"])


def test_a_term_that_fails_loses_no_order(merchant, others, monkeypatch):
    merchant.stock("berlin", A=9)
    monkeypatch.setattr(custom, "_faults", type(custom._faults)())

    def fail(batch):
        raise RuntimeError("no tariff")

    others(fail, fragile)
    placed = merchant.place(("A", 1))
    assert placed["status"] == "sourced" and "ferry" not in placed["fulfilments"][0]["cost"]
    assert explained(merchant, placed)["reproduced"]
    assert [(f.name, f.count) for f in custom.faults()] == [("ferry", 1)]


@pytest.mark.parametrize("others", [(), (("ferry", 300),), (("a", -4), ("b", 7))], indirect=False)
def test_costs_are_stored_by_position_and_by_name(others):
    own = tuple(range(len(TERMS)))
    text = encode_cost(own, others)
    assert decode_cost(text) == (own, others)
    if not others:
        assert text == "[0,1,2,3,4,5,6,7,8]"
