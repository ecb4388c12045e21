"""What proposals do to service: counted draw by draw, and told in a sentence."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.planning.model import Basis, Effect, Interval, Kind, Proposal
from onhand.planning.served import sold_after_arrival, sold_from, with_served
from onhand.planning.wording import explained

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
MOVE = Proposal(
    kind=Kind.TRANSFER, sku="tee", node="berlin", source="lyon", quantity=3, act_by=NOW.date(), cost_minor=90,
    expected_at=date(2026, 3, 4), expires_at=NOW, basis=Basis(forecast="run-7", origin=date(2026, 3, 1)),
    effect=Effect(money_minor=1234, money_low_minor=0, money_high_minor=2000, units_saved=0.0, co2_g=500),
)  # fmt: skip
UNITS = st.lists(st.integers(0, 50), min_size=4, max_size=4)


def test_shares_units_and_co2_are_counted_by_draw():
    asked = np.array([[0, 4, 8, 10]])
    before, after = sold_from(asked, np.array([2])), sold_from(asked, np.array([8]))
    assert before.tolist() == [[0, 2, 2, 2]] and after.tolist() == [[0, 4, 8, 8]]
    (told,) = with_served([MOVE], asked, before, after, spared_g=100)
    effect = told.effect
    assert effect.units_saved == pytest.approx((0 + 2 + 6 + 6) / 4)
    assert (effect.units_low, effect.units_high) == tuple(np.quantile([0, 2, 6, 6], (0.05, 0.95)))
    # Where nobody asks, everything that was asked for is served.
    assert effect.served_before == Interval(
        expected=(1 + 0.5 + 0.25 + 0.2) / 4, low=pytest.approx(0.2075), high=pytest.approx(0.925)
    )
    assert effect.served_after is not None and effect.served_after.expected == pytest.approx((1 + 1 + 1 + 0.8) / 4)
    assert effect.co2_g == 500 - 350
    assert effect.co2_low_g is not None and effect.co2_high_g is not None
    assert effect.co2_low_g <= effect.co2_g <= effect.co2_high_g == 500 - round(100 * effect.units_low)
    assert with_served([], asked, before, after) == []


@given(UNITS, UNITS, st.integers(0, 60), st.integers(0, 60))
def test_what_arrives_serves_only_those_who_come_after_it(first, then, stock, coming):
    served = sold_after_arrival(np.array([first]), np.array([then]), np.array([stock]), np.array([coming]))
    for early, late, units in zip(first, then, served[0].tolist(), strict=True):
        there = max(stock - early, 0)
        assert units == min(early, stock) + min(late, there + coming)
        assert units <= min(early + late, stock + coming)


def test_none_are_sold_from_fewer_than_none():
    assert sold_from(np.array([[3]]), np.array([-4])).tolist() == [[0]]


WAY = "Move 3 of tee from lyon to berlin, there on 2026-03-04: 0.0 more units are expected to be sold,"
CHANCE = "the chance to serve all demand goes from 50% to 90%"


@pytest.mark.parametrize(
    ("change", "currency", "kept", "words"),
    [
        ({}, "EUR", None, f"{WAY} worth 12.34 EUR after 0.90 EUR for the way."),
        (
            {"kind": Kind.PURCHASE, "source": "Nord"}, "JPY", None,
            "Order 3 of tee for berlin from Nord, there on 2026-03-04: 0.0 more units are expected to be sold;"
            f" {CHANCE}, which is worth 1,234 JPY.",
        ),
        (
            {"kind": Kind.PRICE, "price_minor": 800, "source": None}, None, None,
            "Ask 8.00 for tee at berlin: 0.0 more units are expected to be sold than at the full price, which brings"
            " 12.34 more than keeping them.",
        ),
        (
            {"kind": Kind.SAFETY_STOCK, "source": None}, "EUR", 9,
            f"Keep 3 of tee back at berlin instead of 9: {CHANCE}, which is worth 12.34 EUR.",
        ),
    ],
)  # fmt: skip
def test_each_is_told_in_a_sentence(change, currency, kept, words):
    effect = replace(MOVE.effect, service_before=0.5, service_after=0.9)
    assert explained(replace(MOVE, effect=effect, **change), currency, kept=kept) == words
