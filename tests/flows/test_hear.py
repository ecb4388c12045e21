"""What shipments hear of signals: of their node and of where they go, and nothing that is not known yet."""

from datetime import timedelta

import numpy as np
import pytest
from tests.flows.tracked import NOW, history, one, shown

from onhand.base.actor import SYSTEM
from onhand.demand import holidays
from onhand.flows.demand.tell_signals import tell_signals
from onhand.flows.tracking.foretell import Foreteller
from onhand.flows.tracking.hear import hear
from onhand.fulfilment.tracking import forecasts


def tell(merchant, name, scope, by_day, *, known_ahead):
    """by_day: days from now -> value"""
    rows = [
        {"name": name, "scope": scope, "at": (NOW + timedelta(days=day)).date().isoformat(), "value": value,
         "known_ahead": known_ahead}
        for day, value in by_day.items()
    ]  # fmt: skip
    told = tell_signals(merchant.db, rows, now=NOW, by=SYSTEM)
    assert {row.status for row in told} == {"created"}, told


def heard(merchant, order, names):
    with merchant.db.connection() as conn:
        facts = hear(conn, forecasts.load_facts(conn, [(order, 1)]), names, NOW)
    return {name: float(of[0]) for name, of in facts.shipments.numbers.items() if name != "units"}


@pytest.fixture
def order(merchant):
    """A shipment that left Berlin two days ago, promised for the day after tomorrow."""
    return one(merchant, "X", 2.0)


def test_the_days_until_the_promise_are_heard_of_what_is_known_ahead(merchant, order):
    tell(merchant, "snow", {}, {-3: 90.0, -2: 1.0, -1: 2.0, 0: 3.0, 1: 4.0, 5: 90.0}, known_ahead=True)
    assert heard(merchant, order, ["snow"]) == {"snow at origin": 2.5, "snow at destination": 2.5}


def test_the_days_before_it_left_are_heard_of_what_is_known_of_the_past_only(merchant, order):
    values = {day: float(day) for day in range(-30, 0)}
    tell(merchant, "rain", {"node": "berlin"}, values, known_ahead=False)
    assert heard(merchant, order, ["rain"]) == {"rain at origin": np.mean(range(-9, -2))}


def test_only_signals_that_are_named_are_heard_and_holidays_are_built_in(merchant, order):
    tell(merchant, "snow", {}, {-2: 1.0}, known_ahead=True)
    tell(merchant, "ads", {"sku": "A"}, {-2: 1.0}, known_ahead=True)
    assert heard(merchant, order, []) == {} and heard(merchant, order, ["ads", "nothing"]) == {}
    assert set(heard(merchant, order, [holidays.NAME])) == {
        f"{holidays.NAME} at {end}" for end in ("origin", "destination")
    }


def test_shipments_are_foretold_with_signals(merchant):
    history(merchant, 60, days=lambda chance: chance.uniform(2.0, 4.0))
    order = one(merchant, "Y", 0.25)
    tell(merchant, "snow", {}, dict.fromkeys(range(-70, 5), 1.0), known_ahead=True)
    foreteller = Foreteller(merchant.db, now=lambda: NOW, trees=False, signals=["snow"])
    assert "snow at origin" in foreteller.learn().shipments.numbers
    assert foreteller.look() > 0 and shown(merchant, order)["prediction"] is not None
