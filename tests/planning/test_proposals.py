"""Proposals say what, how many, when, why and until when; what makes no sense is no proposal."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from onhand.planning import proposals
from onhand.planning.model import Basis, Effect, Kind, Proposal
from onhand.planning.protection import Expected
from onhand.planning.prune import Markdowns
from onhand.planning.rebalance import Stocked, rebalance
from onhand.planning.replenish import Buying, replenish
from onhand.planning.safety_stock import described, for_service
from onhand.planning.transfers import Lanes

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
FRAME = proposals.Frame(now=NOW, basis=Basis(forecast="run-7", origin=date(2026, 3, 1)))
LEVELS = np.array([0.1, 0.5, 0.9])


def expected(*daily):
    return Expected(levels=LEVELS, quantiles=np.array(daily)[:, None, None] * np.ones((1, 14, 1)) * [0.5, 1.0, 1.5])


def test_transfers_say_where_from_when_and_what_they_emit():
    free = np.full((2, 2), np.inf)
    units = np.array([[0, 40]])
    world = Stocked(
        stock=units, movable=units, coming=units * 0, worth=np.full((1, 2), 900.0), left=np.zeros((1, 2)),
        size=np.ones(1), weight_kg=np.array([2.0]),
    )  # fmt: skip
    lanes = Lanes(unit_minor=np.full((2, 2), 30.0), kg_minor=np.zeros((2, 2)), room=free, dock_out=free[0],
                  dock_in=free[0])  # fmt: skip
    lead = np.full((2, 2), 3)
    found = rebalance(expected(2.0, 0.0), world, lanes, lead)
    (told,) = proposals.of_transfers(
        found, ["tee"], ["berlin", "lyon"], lead, FRAME, weight_kg=world.weight_kg, co2_g_per_kg=np.full((2, 2), 70.0)
    )
    assert (told.kind, told.sku, told.source, told.node) == (Kind.TRANSFER, "tee", "lyon", "berlin")
    assert told.expected_at == date(2026, 3, 5)
    assert told.expires_at == NOW + timedelta(days=1)
    assert told.basis.forecast == "run-7"
    assert told.effect.co2_g == told.quantity * 140
    assert told.cost_minor == told.quantity * 30
    assert told.effect.money_low_minor <= told.effect.money_minor <= told.effect.money_high_minor
    assert told.effect.money_minor > 0


def test_purchases_say_what_they_cost_and_do_for_service():
    count = 2
    buying = Buying(
        position=np.array([0, 500]), lead_days=np.array([[2, 4, 9], [2, 2, 2]]), review_days=np.full(count, 7),
        unit_cost=np.full(count, 250.0), stockout=np.full(count, 600.0), carrying=np.full(count, 1.0),
        service=np.full(count, np.nan), minimum=np.zeros(count, int), multiple=np.ones(count, int),
        fixed=np.zeros(count), is_open=np.ones(count, bool),
    )  # fmt: skip
    found = replenish(expected(3.0, 3.0), buying, paths=100)
    (told,) = proposals.of_purchases(
        found, [("tee", "berlin", "acme"), ("cap", "berlin", None)], buying.unit_cost, buying.lead_days, FRAME,
        co2_g_per_unit=np.full(count, 5.0),
    )  # fmt: skip
    assert (told.kind, told.sku, told.source, told.node) == (Kind.PURCHASE, "tee", "acme", "berlin")
    assert told.expected_at == date(2026, 3, 6)
    assert told.cost_minor == 250 * told.quantity
    assert told.effect.co2_g == 5 * told.quantity
    assert told.effect.service_after > told.effect.service_before == 0


def test_markdowns_say_the_price():
    found = Markdowns(
        item=np.array([0, 1]), node=np.array([1, 0]), ratio=np.array([0.7, 0.9]), units=np.array([12.4, 0.2]),
        gain=np.array([500.0, 1.0]), gain_low=np.array([-10.0, 0.0]), gain_high=np.array([900.0, 2.0]),
    )  # fmt: skip
    (told,) = proposals.of_markdowns(found, ["tee", "cap"], ["berlin", "lyon"], np.array([1_999.0, 500.0]), FRAME)
    assert (told.kind, told.sku, told.node, told.quantity, told.price_minor) == (Kind.PRICE, "tee", "lyon", 12, 1_399)


def test_safety_stocks_are_told_where_they_change():
    demand = np.sort(np.random.default_rng(1).poisson(10, (2, 500)).astype(np.int32), axis=1)
    found = for_service(demand, 0.95)
    kept = np.rint(found.safety_stock).astype(int) - [4, 0]
    costs = np.full(2, 900.0), np.full(2, 10.0)
    (told,) = proposals.of_safety_stock(found, kept, demand, [("tee", "berlin"), ("cap", "berlin")], costs, FRAME)
    assert (told.kind, told.sku) == (Kind.SAFETY_STOCK, "tee")
    old = described(demand[:1], found.order_up_to[:1] - 4)
    assert told.effect.service_before == old.service[0] < told.effect.service_after == found.service[0]
    assert told.effect.units_saved == pytest.approx(old.short[0] - found.short[0])
    # Four units are left nine times in ten, and sell now and then.
    assert told.effect.money_low_minor == -40
    assert told.effect.money_low_minor < told.effect.money_minor < told.effect.money_high_minor


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": 0}, {"source": None}, {"source": "berlin"}, {"expected_at": None}, {"price_minor": 3},
        {"expires_at": datetime(2026, 3, 3)}, {"kind": Kind.PRICE},  # noqa: DTZ001 - what is to be refused
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_no_proposal(change):
    sound = Proposal(
        kind=Kind.TRANSFER, sku="tee", node="berlin", source="lyon", quantity=3, act_by=NOW.date(),
        expected_at=NOW.date(), expires_at=NOW, basis=FRAME.basis,
        effect=Effect(money_minor=1, money_low_minor=0, money_high_minor=2, units_saved=1.0),
    )  # fmt: skip
    with pytest.raises(ValueError, match="expected"):
        replace(sound, **change)


def test_an_interval_has_its_ends_in_order():
    with pytest.raises(ValueError, match="money_low_minor"):
        Effect(money_minor=1, money_low_minor=3, money_high_minor=2, units_saved=0)
