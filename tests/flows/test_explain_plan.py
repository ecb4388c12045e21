"""A kept decision is solved again with the same outcome, and what is said about it is true."""

import random

import numpy as np
import pytest
from tests.flows.test_policy_decides import decide_by

from onhand.base.actor import SYSTEM
from onhand.errors import NotFound
from onhand.flows import set_up
from onhand.flows.explain_plan import decided_of, explain_plan
from onhand.flows.fulfil import reject
from onhand.flows.source_again import reroute, source_waiting
from onhand.orders.model import TERMS
from onhand.sourcing import tables
from onhand.sourcing.explain import What, case_of, is_reproduced, solve
from onhand.sourcing.outlook import Outlook
from onhand.sourcing.store import add_outlook, find_plan


def explained(merchant, placed, number=1):
    return explain_plan(merchant.db, f"{placed['order_id']}-p{number}")


def candidate(answer, node):
    return next(c for c in answer["candidates"] if c["node"] == node)


def test_why_an_order_ships_from_one_node_and_not_from_another(merchant):
    merchant.stock("berlin", A=5, B=5)
    merchant.stock("munich", A=5)
    merchant.stock("paris", A=5, B=5)
    placed = merchant.place(("A", 2), ("B", 1))
    answer = explained(merchant, placed)
    assert answer["reproduced"] and answer["chosen"] == ["berlin"] and answer["method"] == "exact"
    assert answer["policy"] == "standard@1" and answer["objective"]["name"] == "margin"
    assert answer["decision"] == placed
    berlin, munich, hamburg = (candidate(answer, n) for n in ("berlin", "munich", "hamburg"))
    assert berlin["cost"] == placed["fulfilments"][0]["cost"]
    assert (munich["can_serve"], munich["missing"]) == (["A"], {"B": 1})
    assert hamburg["excluded_because"] == "holds none of the items"
    up = answer["runner_up"]
    assert [f["node"] for f in up["fulfilments"]] == ["paris"]
    paris = candidate(answer, "paris")["cost_minor"]
    assert up["cost_minor"] == paris and up["gap_minor"] == paris - berlin["cost_minor"]
    price = next(c for c in answer["would_change_it"] if c["change"] == "price")
    assert price["then"] == ["paris"] and 0 <= price["more_minor"] - up["gap_minor"] <= 1
    assert any("berlin ships all of it" in s for s in answer["sentences"])
    assert answer["binding_constraints"] == []


def test_what_more_stock_would_have_done_is_true(merchant):
    merchant.stock("munich", A=5)
    merchant.stock("berlin", B=5)
    placed = merchant.place(("A", 2), ("B", 1))
    answer = explained(merchant, placed)
    change = answer["would_change_it"][0]
    assert (change["node"], change["units"], change["then"]) == ("berlin", {"A": 2}, ["berlin"])
    assert [b["constraint"] for b in answer["binding_constraints"]] == ["stock"]
    merchant.stock("berlin", A=2)
    again = merchant.place(("A", 2), ("B", 1))
    assert [f["node"] for f in again["fulfilments"]] == ["berlin"]
    assert again["fulfilments"][0]["cost_minor"] == change["cost_minor"]
    assert answer["binding_constraints"][0]["saves_minor"] == answer["cost_minor"] - change["cost_minor"]


def test_full_days_divisions_and_services_are_named_as_what_bound(merchant):
    merchant.stock("berlin", A=5)
    merchant.limit("berlin", orders=1)
    merchant.place(("A", 1))
    late = explained(merchant, merchant.place(("A", 1), objective="speed"))
    assert [b["constraint"] for b in late["binding_constraints"]] == ["capacity"]
    merchant.stock("munich", B=5)
    merchant.stock("hamburg", C=5)
    whole = explained(merchant, merchant.place(("B", 1), ("C", 1), allow_split=False))
    assert whole["chosen"] == [] and whole["cost_minor"] is None and whole["runner_up"] is None
    assert {b["constraint"]: b["saves_minor"] for b in whole["binding_constraints"]} == {
        "stock": None,
        "fulfilments_max": None,
    }
    assert whole["would_change_it"][0]["then"] in (["munich"], ["hamburg"])
    assert candidate(whole, "munich")["missing"] == {"C": 1}


def test_nodes_that_were_not_weighed_say_why(merchant):
    merchant.rows("UPDATE node SET methods = '{pickup}' WHERE code = 'hamburg' RETURNING 1")
    merchant.rows("UPDATE node SET active = false WHERE code = 'paris' RETURNING 1")
    merchant.state.reload_network()
    for node in ("berlin", "hamburg"):
        merchant.stock(node, A=1)
    placed = merchant.place(("A", 1))
    answer = explained(merchant, placed)
    reasons = {c["node"]: c.get("excluded_because") for c in answer["candidates"]}
    assert reasons == {
        "berlin": None,
        "hamburg": "does not offer ship",
        "paris": "is not active",
        "munich": "holds none of the items",
    }
    assert answer["runner_up"] is None
    merchant.stock("munich", A=1)
    reject(merchant.state, placed["fulfilments"][0]["fulfilment_id"], "other", by=SYSTEM)
    second = explained(merchant, placed, 2)
    assert candidate(second, "berlin")["excluded_because"].startswith("was excluded")
    assert second["chosen"] == ["munich"] and second["decision"]["because"] == "rejected by berlin: other"


def test_an_order_that_nothing_can_serve_says_what_is_missing(merchant):
    merchant.stock("berlin", A=1)
    answer = explained(merchant, merchant.place(("A", 3), ("B", 1)))
    assert answer["reproduced"] and answer["chosen"] == []
    assert candidate(answer, "berlin")["missing"] == {"A": 2, "B": 1}
    assert answer["would_change_it"][0]["units"] == {"A": 2, "B": 1}
    nothing = explained(merchant, merchant.place(("C", 1)))
    assert nothing["sentences"][0].startswith("No node")


@pytest.mark.parametrize("name", ["x", "{}-p9", "{}-f1", "{}", "{}-p0"])
def test_unknown_plans_are_not_found(merchant, name):
    order = merchant.place(("A", 1))["order_id"]
    with pytest.raises(NotFound) as caught:
        explain_plan(merchant.db, name.format(order))
    assert caught.value.code == "plan.not_found"


@pytest.mark.parametrize("foresees", [False, True])
def test_thousands_of_decisions_are_found_again(merchant, foresees):
    """Random stock, capacity, zones, methods and wishes; every plan, also of orders sourced again."""
    draw = random.Random(11)
    _random_network(merchant, draw)
    if foresees:
        _random_outlook(merchant)
    for node in merchant.state.network.node_codes[1:]:
        merchant.stock(node, **{sku: draw.randint(1, 400) for sku in draw.sample("ABCDEF", draw.randint(2, 6))})
    placed = []
    for _ in range(24):
        orders = [_random_order(merchant, draw) for _ in range(70)]
        placed += merchant.place_many(orders)
        merchant.stock(
            draw.choice(merchant.state.network.node_codes[1:]), **{draw.choice("ABCDEF"): draw.randint(1, 200)}
        )
    sourced = [o for o in placed if o["fulfilments"]]
    assert len(sourced) > 700, len(sourced)
    assert sum(len(o["fulfilments"]) > 1 for o in sourced) > 100
    for order in draw.sample(sourced, 150):
        reject(merchant.state, draw.choice(order["fulfilments"])["fulfilment_id"], "no_capacity", by=SYSTEM)
    for order in draw.sample(placed, 20):
        try:
            reroute(merchant.state, order["order_id"], [draw.choice(merchant.state.network.node_codes[1:])], by=SYSTEM)
        except Exception as error:
            assert getattr(error, "http_status", 500) == 409, error
    while source_waiting(merchant.state):
        pass
    names = merchant.rows("SELECT order_id::text, plan_no FROM plan")
    assert len(names) > 1800
    if foresees:
        priced = merchant.rows("SELECT count(*) FROM fulfilment WHERE (cost::json ->> %s)::int <> 0", _OPPORTUNITY)
        assert priced[0][0] > 200
    wrong = []
    with merchant.db.connection() as conn:
        for order_id, number in names:
            kept = find_plan(conn, order_id, number)
            case = case_of(kept, decided_of(conn, kept, order_id))
            (plan,) = solve(case, [What(ask=case.ask)])
            if not is_reproduced(kept, plan) and kept.decision["fulfilments"]:
                wrong.append((order_id, number))
    assert wrong == []
    for order_id, number in draw.sample(names, 60):
        answer = explain_plan(merchant.db, f"{order_id}-p{number}")
        for c in answer["would_change_it"]:
            assert c["then"] != answer["chosen"] or c["cost_minor"] < answer["cost_minor"]
        if (up := answer["runner_up"]) and not up["uses_safety_stock"]:
            divided = [sku for f in answer["decision"]["fulfilments"] for sku in {x["sku"] for x in f["lines"]}]
            assert up["gap_minor"] >= 0 or len(divided) > len(set(divided)) or answer["method"] != "exact"


_OPPORTUNITY = TERMS.index("opportunity")


def _random_outlook(merchant):
    """Every unit is worth something elsewhere, or less than nothing, and every node rejects some lines."""
    random_ = np.random.default_rng(3)
    unit = np.zeros((8, 13, 4), np.float32)
    unit[..., tables.BASE] = random_.choice([0, 0, -150, 90.4], (8, 13))
    unit[..., tables.NETWORK] = random_.uniform(0, 300, (8, 13))
    unit[..., tables.RATE] = random_.uniform(0, 0.3, (8, 13))
    share = np.asarray(random_.uniform(0, 0.3, (24, 13)), np.float32)
    ratio = np.asarray(random_.uniform(0.3, 3, (8, 13)), np.float32)
    made = Outlook(made_at=1.0, seconds=0.0, orders=0, share=share, ratio=ratio).with_prices(unit, 2.5)
    with merchant.db.connection() as conn:
        add_outlook(conn, made)
    merchant.state.look_ahead()
    dear = ", ".join(f"{name}: {{rejection_minor: 250}}" for name in ("margin", "speed", "sustainability"))
    decide_by(merchant, f"opportunity: {{}}\nobjectives: {{{dear}}}\n")


def _random_network(merchant, draw):
    for n in range(5, 13):
        merchant.rows(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone, cutoff,"
            " handling_cost_minor, methods, safety_stock_default, capacity_orders, capacity_lines, capacity_units)"
            " VALUES (%s, %s, 'x', 'store', %s, %s, %s, 'Europe/Paris', %s, %s, %s, %s, %s, %s, %s) RETURNING 1",
            n,
            f"s{n}",
            draw.choice(["DE", "FR"]),
            draw.uniform(44, 54),
            draw.uniform(0, 15),
            draw.choice(["09:00", "12:00", "18:00"]),
            draw.randint(0, 300),
            draw.choice([["ship"], ["ship", "pickup"], ["ship", "pickup", "ship_to_store"]]),
            draw.choice([0, 0, 3]),
            draw.choice([None, 5, 20]),
            draw.choice([None, 40]),
            draw.choice([None, 60]),
        )
    zones = {
        "name": "Post",
        "services": [
            {
                "code": "economy",
                "rate_table": {
                    "by": "zone",
                    "zones": [
                        {"zone": "near", "to_postal_prefixes": ["10", "75"]},
                        {"zone": "same", "from_countries": ["DE"], "to_countries": ["DE"]},
                        {"zone": "abroad"},
                    ],
                    "weights_g": [1000, 5000],
                    "prices_minor": [[300, 500], [350, 650], [700, 1300]],
                },
                "currency": "EUR",
                "transit_days": [{"p50": 1, "p95": 2}, {"p50": 2.5, "p95": 6}, {"p50": 4, "p95": 9}],
                "fuel_surcharge_rate": 0.07,
                "dimensional_divisor": 5000,
            }
        ],
    }
    set_up.set_carrier(merchant.db, "post", set_up.CarrierIn.model_validate(zones), by=SYSTEM)
    merchant.state.reload_network()


def _random_order(merchant, draw):
    skus = draw.sample(["A", "B", "C", "D", "E", "F", "KIT"], draw.choice([1, 1, 2, 2, 3, 4, 6]))
    extra = {"objective": draw.choice([None, "speed", "sustainability", "margin"])}
    if draw.random() < 0.15:
        extra["service"] = draw.choice(["economy", "standard"])
    if draw.random() < 0.2:
        extra["allow_split"] = False
    if draw.random() < 0.1:
        pickers = [c for c in merchant.state.network.node_codes[1:] if c in ("berlin", "munich", "paris")]
        extra |= {"method": draw.choice(["pickup", "ship_to_store"]), "pickup_node": draw.choice(pickers)}
    country, postal = draw.choice([("DE", "10115"), ("DE", "80331"), ("FR", "75001"), ("FR", "33000")])
    extra["destination"] = {"country": country, "postal_code": postal}
    if draw.random() < 0.5:
        extra["destination"] |= {"latitude": draw.uniform(44, 54), "longitude": draw.uniform(0, 15)}
    return [(sku, draw.choice([1, 1, 1, 2, 3, 8])) for sku in skus], extra
