"""A service that costs more than it promises in one area gets less there once the proposal is promoted."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from tests.flows.simulation.test_run import enter
from tests.flows.test_parcels import service
from tests.flows.test_policy_decides import follow

from onhand import cli
from onhand.base.actor import SYSTEM
from onhand.errors import InvalidInput, NotFound
from onhand.flows.costs.charges import tell_charges
from onhand.flows.costs.follow import follow_costs
from onhand.flows.fulfil import deliver, ship
from onhand.flows.lanes import Asked, list_proposals, propose_lanes
from onhand.flows.policies import promote_policy, roll_back_policy, set_policy
from onhand.flows.set_up import set_carrier
from onhand.network.model import CarrierIn
from onhand.sourcing.policies import store

ASKED = Asked(name="standard", days=60, floor_minor=25.0, orders_max=500)
AREAS = {
    "DE-BE": {"country": "DE", "region": "BE", "postal_code": "10115", "latitude": 52.5, "longitude": 13.4},
    "DE-BB": {"country": "DE", "region": "BB", "postal_code": "14467", "latitude": 52.4, "longitude": 13.1},
}
DAYS = 30


def place(merchant, *areas):
    """Orders to these areas, in this order; (area, service, fulfilment_id, cost of shipping) of each."""
    placed = merchant.place_many([([("A", 1)], {"destination": AREAS[area]}) for area in areas])
    found = [f for answer in placed for f in answer["fulfilments"]]
    return [
        (area, f["service"], f["fulfilment_id"], f["cost"]["shipping"]) for area, f in zip(areas, found, strict=True)
    ]


def live(merchant):
    """Six weeks of which every order came in time. Two parcels a day go by the cheap service, one to each area, the
    others by the dear one; (area, service, fulfilment_id, cost of shipping) of each."""
    document = {"name": "DHL", "services": [service("cheap", parcels_per_day=2), service("dear", more=60)]}
    set_carrier(merchant.db, "dhl", CarrierIn.model_validate(document), by=SYSTEM)
    merchant.state.reload_network()
    enter(merchant, "berlin", A=10 * DAYS)  # with its moment: what is replayed begins with it
    ways = []
    for _ in range(DAYS):
        ways += place(merchant, "DE-BE", "DE-BB", "DE-BE", "DE-BB")
        merchant.now += timedelta(days=3 if merchant.now.weekday() == 4 else 1)
    for _, _, number, _ in ways:
        ship(merchant.state, number, tracking=f"T-{number}", by=SYSTEM)
        deliver(merchant.state, number, by=SYSTEM)
    of = [way[:2] for way in ways]
    assert {way: of.count(way) for way in of} == {(area, by): DAYS for area in AREAS for by in ("cheap", "dear")}
    with merchant.db.connection() as conn:  # as if it had been then: what ships and delivers has no such clock
        conn.execute(
            "UPDATE shipment s SET shipped_at = o.placed_at + interval '6 hours',"
            " delivered_at = o.placed_at + interval '2 days' FROM orders o WHERE o.order_id = s.order_id"
        )
    merchant.now += timedelta(days=3)
    return ways


def charge(merchant, ways, surcharge):
    """What is charged is as promised, give or take, and `surcharge` more for the cheap ones to Brandenburg."""
    draw = random.Random(1)
    rows = [
        {
            "reference": number, "tracking": f"T-{number}", "currency": "EUR",
            "amount_minor": planned + draw.randint(-20, 20) + surcharge * ((area, by) == ("DE-BB", "cheap")),
        }
        for area, by, number, planned in ways
    ]  # fmt: skip
    results = tell_charges(merchant.db, rows, now=datetime.now(UTC), by=SYSTEM)
    assert not {r.status for r in results} & {"rejected", "error"}, results[0]
    follow_costs(merchant.db)


def look(merchant, asked=ASKED):
    return propose_lanes(merchant.db, asked, by=SYSTEM, now=merchant.now)


def in_force(merchant):
    with merchant.db.connection() as conn:
        return {state: version.version for state, version in store.in_force(conn, "standard").items()}


def test_a_service_that_always_costs_more_to_one_area_gets_less_there_after_promotion(
    merchant, dsn, monkeypatch, capsys
):
    ways = live(merchant)
    charge(merchant, ways, surcharge=0)
    found = look(merchant)
    assert (found["outcome"], len(found["lanes"])) == ("nothing", 4), "with no real difference nothing is proposed"
    assert in_force(merchant) == {"active": 1}

    charge(merchant, ways, surcharge=250)
    trial = set_policy(merchant.db, "standard", "limits: {fulfilments_max: 2}\n", by=SYSTEM).version.version
    promote_policy(merchant.db, "standard", to="shadow", version=trial, by=SYSTEM)
    held = look(merchant)
    assert held["outcome"] == "held"
    assert "put there by a person" in held["why"]
    promote_policy(merchant.db, "standard", to="retired", version=trial, by=SYSTEM)

    found = look(merchant)
    assert (found["outcome"], found["version"], found["orders"]) == ("proposed", 3, 4 * DAYS), found
    (lane,) = [lane for lane in found["lanes"] if lane["is_avoided"]]
    assert (lane["area"], lane["way"], lane["name"]) == ("DE-BB", "service", "cheap")
    assert 220 < lane["contrast_minor"] < 280
    assert found["evidence"]["high"] < 0
    assert found["evidence"]["difference"] == pytest.approx(-62.5, abs=15), "a fourth of the orders, 250 each"
    assert in_force(merchant) == {"active": 1, "shadow": 3}
    assert look(merchant)["outcome"] == "on_trial"
    assert [way[:2] for way in place(merchant, "DE-BB", "DE-BE")] == [("DE-BB", "cheap"), ("DE-BE", "cheap")]

    promote_policy(merchant.db, "standard", to="active", version=3, why="evidence", by=SYSTEM)
    merchant.now += timedelta(days=1)
    follow(merchant.state)
    of = [way[:2] for way in place(merchant, "DE-BB", "DE-BE", "DE-BB", "DE-BE")]
    assert of == [("DE-BB", "dear"), ("DE-BE", "cheap"), ("DE-BB", "dear"), ("DE-BE", "cheap")]
    assert look(merchant)["outcome"] == "nothing", "it is left alone already"
    with merchant.db.connection() as conn:
        (row,) = list_proposals(conn, "standard")
    assert (row["version"], row["state"], row["against"]) == (3, "active", 1)

    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    assert cli.run(["policy", "lanes", "standard"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("standard@3: active: evidence\n  an order costs -")
    assert "  avoid DE-BB by service cheap: +252 +- 3 beyond its promise" in shown
    assert cli.run(["policy", "lanes", "standard", "--learn", "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)
    assert (again["outcome"], again["orders"]) == ("nothing", 0), (
        "all of this was long ago, by the clock of the command"
    )

    roll_back_policy(merchant.db, "standard", why="second thoughts", by=SYSTEM)
    assert in_force(merchant) == {"active": 1}
    held = look(merchant)
    assert (held["outcome"], held["version"]) == ("held", None), "not again at once"


def test_what_cannot_be_looked_at_is_said(merchant):
    with pytest.raises(NotFound):
        look(merchant, Asked(name="nobody"))
    with pytest.raises(InvalidInput, match="days"):
        Asked(name="standard", days=1)
    found = look(merchant)
    assert (found["outcome"], found["orders"], found["lanes"]) == ("nothing", 0, [])
