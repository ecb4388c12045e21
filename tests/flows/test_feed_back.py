"""What carriers really take is what promises rest on: learned of deliveries, told of when it changes, switched off by
carrier."""

from datetime import datetime, timedelta

import pytest
from tests.flows.tracked import NOW, history

from onhand.base.actor import SYSTEM
from onhand.flows.set_up import set_carrier
from onhand.flows.tracking.foretell import Foreteller
from onhand.flows.tracking.transit import feed_back
from onhand.network.model import CarrierIn
from onhand.network.store import get_carrier


def learn(merchant, now=NOW):
    foreteller = Foreteller(merchant.db, now=lambda: now, trees=False)
    changed = feed_back(merchant.db, foreteller.learn(), now)
    merchant.state.follow()
    return changed


def promised_days(merchant):
    """Days that a fulfilment is promised to be on its way."""
    merchant.stock("berlin", A=1)
    answer = merchant.place(("A", 1))
    (f,) = answer["fulfilments"]
    by, leaves = (datetime.fromisoformat(f[name]) for name in ("deliver_by", "ship_by"))
    return (by - leaves) / timedelta(days=1)


def carrier(merchant):
    with merchant.db.connection() as conn:
        return get_carrier(conn, "dhl")


@pytest.fixture
def slow(merchant):
    """Declared are 2 and 4 days; they take 4 to 6."""
    history(merchant, 120, days=lambda chance: chance.uniform(4.0, 6.0))
    return merchant


def test_promises_follow_deliveries(slow):
    before = promised_days(slow)
    assert before == pytest.approx(4.0, abs=0.05)
    assert learn(slow) == ["dhl"]
    after = promised_days(slow)
    assert 5.6 < after < 8.0, "the 95 % quantile, not yet wholly believed"
    row, *ways = carrier(slow).learned
    assert row["service"] == "standard" and row["p50_declared"] == 2.0 and 4.3 < row["p50"] < 5.2
    assert row["delivered"] + row["on_their_way"] == 120
    ((data,),) = slow.rows("SELECT data FROM event WHERE kind = 'carrier.transit_learned'")
    assert all(way["node"] == "berlin" and row["p50"] < way["p50"] < 5.2 for way in ways)
    assert data["is_used"] and data["changed"] == 1 + len(ways)
    change = data["changes"][0]
    assert change["before"] is None and change["now"]["p50"] == row["p50"]


def test_the_same_again_is_no_change(slow):
    learn(slow)
    network = slow.state.network
    assert learn(slow) == []
    assert slow.state.network is network
    assert slow.rows("SELECT count(*) FROM event WHERE kind = 'carrier.transit_learned'") == [(1,)]


def test_it_is_switched_off_by_carrier_and_shown_all_the_same(slow):
    document = carrier(slow).document["services"]
    as_declared = CarrierIn(name="DHL", services=[{**s, "currency": "EUR"} for s in document], transit="declared")
    set_carrier(slow.db, "dhl", as_declared, by=SYSTEM)
    slow.state.follow()
    assert learn(slow) == ["dhl"]
    assert promised_days(slow) == pytest.approx(4.0, abs=0.05)
    assert carrier(slow).learned is not None
    set_carrier(slow.db, "dhl", as_declared.model_copy(update={"transit": "learned"}), by=SYSTEM)
    slow.state.follow()
    assert promised_days(slow) > 5.6, "in force at once"


def test_other_declared_times_forget_what_was_learned(slow):
    learn(slow)
    services = [
        {**s, "currency": "EUR", "transit_days": {"p50": 5, "p95": 6}} for s in carrier(slow).document["services"]
    ]
    set_carrier(slow.db, "dhl", CarrierIn(name="DHL", services=services), by=SYSTEM)
    slow.state.follow()
    assert carrier(slow).learned is None
    assert promised_days(slow) == pytest.approx(6.0, abs=0.05)


def test_a_clock_that_runs_fast_teaches_nothing(merchant):
    history(merchant, 120, days=lambda _: 0.01, since=2.0)
    assert learn(merchant) == []
    assert promised_days(merchant) == pytest.approx(4.0, abs=0.05)


def test_old_plans_keep_the_network_that_they_saw(slow):
    then = slow.state.network.network_id
    learn(slow)
    assert slow.state.network.network_id != then
    assert slow.rows("SELECT count(*) FROM network_version WHERE network_id = %s", then) == [(1,)]
