"""Plans over HTTP: planned in the background, proposed, approved once, followed to receipt."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from tests.plan_shop import NODES, SKUS, Shop, today

import onhand.app
from onhand.flows.forecasts import learn
from onhand.flows.plans.job import KIND, WORK

NOBODY = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"


@pytest.fixture
def shop(server):
    return Shop(server)


@pytest.fixture
def uneven(shop):
    """Berlin sells what lies in Lyon."""
    shop.sell({(sku, node): 4.0 if node == "berlin" else 0.2 for sku in SKUS for node in NODES})
    shop.stock({(sku, "lyon"): 60 for sku in SKUS})
    shop.lanes(("lyon", "berlin"), ("berlin", "lyon"), co2_g_per_kg=90)
    return shop


def test_a_transfer_is_proposed_approved_once_and_followed_to_its_receipt(uneven):
    made, proposals = uneven.plan("rebalance", settings={"last_mile_co2_g": 700})
    assert made["by_kind"] == {"transfer": len(proposals)} and len(proposals) == 2
    assert made["facts"]["lanes"] == 2
    mug = next(p for p in proposals if p["sku"] == "MUG")
    assert (mug["from"], mug["node"], mug["status"], mug["plan"]) == ("lyon", "berlin", "proposed", "rebalance")
    assert mug["cost_minor"] == 10 * mug["quantity"]
    assert mug["expected_at"] == (today() + timedelta(days=1)).isoformat()
    effect = mug["effect"]
    for interval in (effect["money_minor"], effect["units"], effect["co2_g"], effect["service"]["share_after"]):
        assert interval["low"] <= interval["expected"] <= interval["high"]
    assert effect["money_minor"]["expected"] > 0
    assert effect["service"]["share_before"]["expected"] < effect["service"]["share_after"]["expected"]
    # What it emits, less what units that are sold where they are asked for spare.
    assert effect["co2_g"]["expected"] == pytest.approx(mug["quantity"] * 45 - 700 * effect["units"]["expected"], abs=1)
    assert mug["basis"]["origin"] == (today() - timedelta(days=1)).isoformat()
    assert "from lyon to berlin" in mug["explanation"]

    approved = uneven.approve(mug)
    assert approved["status"] == "approved"
    followed = approved["followed"]
    assert (followed["ordered"], followed["shipped"], followed["received"]) == (mug["quantity"], mug["quantity"], 0)
    assert uneven.rows(sku="MUG")["MUG", "lyon"]["on_hand"] == 60 - mug["quantity"]
    (coming,) = uneven.client.get("/v1/inbound", params={"open": "true"}).json()["data"]
    assert (coming["kind"], coming["node"], coming["reference"]) == ("transfer", "berlin", followed["reference"])
    assert uneven.approve(mug) == approved
    assert uneven.rows(sku="MUG")["MUG", "lyon"]["on_hand"] == 60 - mug["quantity"]

    some = mug["quantity"] // 2
    uneven.stock({("MUG", "berlin"): some}, "transfer_in", reference=followed["reference"])
    part = uneven.client.get(f"/v1/proposals/{mug['proposal_id']}").json()
    assert (part["status"], part["followed"]["received"], part["followed"]["short"]) == ("approved", some, 0)
    uneven.stock({("MUG", "berlin"): mug["quantity"] - some}, "transfer_in", reference=followed["reference"])
    done = uneven.client.get(f"/v1/proposals/{mug['proposal_id']}").json()
    assert (done["status"], done["followed"]["received"]) == ("done", mug["quantity"])
    assert uneven.approve(mug)["status"] == "done"
    kinds = Counter(e["kind"] for e in uneven.client.get("/v1/stock/entries?sku=MUG").json()["data"])
    assert kinds == {"receipt": 1, "transfer_out": 1, "transfer_in": 2}


def test_what_is_overdue_is_short(uneven):
    _, (first, *_) = uneven.plan("rebalance")
    uneven.approve(first)
    with uneven.server.app.db.connection() as conn:
        conn.execute("UPDATE inbound_line SET expected_at = now() - interval '1 hour'")
    followed = uneven.client.get(f"/v1/proposals/{first['proposal_id']}").json()["followed"]
    assert followed["short"] == first["quantity"]


def test_a_network_that_was_balanced_is_left_alone(uneven):
    _, proposals = uneven.plan("rebalance")
    for proposal in proposals:
        uneven.approve(proposal)
    # On its way, there, and weeks later: nothing more is to be moved.
    assert uneven.plan("rebalance")[1] == []
    for proposal in uneven.proposals(status="approved"):
        place = {(proposal["sku"], proposal["node"]): proposal["quantity"]}
        uneven.stock(place, "transfer_in", reference=proposal["followed"]["reference"])
    with uneven.server.app.db.connection() as conn:
        conn.execute("UPDATE proposal SET decided_at = decided_at - interval '50 days' WHERE decided_at IS NOT NULL")
    assert uneven.plan("rebalance")[1] == []


def test_many_who_approve_at_once_move_the_units_once(uneven):
    _, (first, *_) = uneven.plan("rebalance")
    path = f"/v1/proposals/{first['proposal_id']}/approve"
    start = threading.Barrier(8)

    def approve(_):
        start.wait(10)
        return uneven.client.post(path)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(approve, range(8)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.text for a in answers}) == 1
    assert uneven.rows(sku=first["sku"])[first["sku"], "lyon"]["on_hand"] == 60 - first["quantity"]
    assert len(uneven.client.get("/v1/inbound").json()["data"]) == 1


def test_plans_move_no_more_than_there_is_and_a_lane_takes(shop):
    shop.sell({(sku, node): 6.0 if node == "berlin" else 0.3 for sku in SKUS for node in NODES})
    shop.stock({(sku, node): 30 for sku in SKUS for node in ("lyon", "nantes")})
    shop.lanes(("lyon", "berlin"), ("nantes", "berlin"), units_per_day=25)
    for node in ("lyon", "nantes"):
        shop.node(node, safety_stock_default=8)
    moved = Counter()
    for _ in range(2):
        # What has left today has used up the room of the lane.
        for proposal in shop.plan("rebalance", settings={"hold_days": 0})[1]:
            shop.approve(proposal)
            moved[proposal["from"]] += proposal["quantity"]
    assert moved["lyon"] == moved["nantes"] == 25
    for (_, node), row in shop.rows().items():
        assert row["available"] >= 8 or node == "berlin"


def test_rivals_for_one_lane_do_not_overfill_it(uneven):
    _, proposals = uneven.plan("rebalance")
    uneven.lanes(("lyon", "berlin"), units_per_day=max(p["quantity"] for p in proposals))
    start = threading.Barrier(2)

    def approve(proposal):
        start.wait(10)
        return uneven.client.post(f"/v1/proposals/{proposal['proposal_id']}/approve")

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(approve, proposals))
    assert sorted(a.status_code for a in answers) == [200, 409]
    refused = next(a for a in answers if a.status_code == 409).json()
    assert refused["code"] == "proposal.lane_full" and refused["free"] < refused["wanted"]


def test_a_changed_world_is_seen_at_approval(uneven):
    _, proposals = uneven.plan("rebalance")
    mug, plate = sorted(proposals, key=lambda p: p["sku"])
    uneven.stock({("MUG", "lyon"): 5}, "count")
    refused = uneven.approve(mug, 409)
    assert (refused["code"], refused["free"], refused["wanted"]) == ("proposal.stock_gone", 5, mug["quantity"])
    assert uneven.rows()["MUG", "lyon"]["on_hand"] == 5
    assert uneven.client.get(f"/v1/proposals/{mug['proposal_id']}").json()["status"] == "proposed"
    uneven.lanes(("lyon", "berlin"), active=False)
    assert uneven.approve(plate, 409)["code"] == "proposal.lane_closed"
    assert uneven.client.get("/v1/inbound").json()["data"] == []


def test_units_that_are_kept_back_by_now_do_not_leave(uneven):
    _, proposals = uneven.plan("rebalance")
    uneven.node("lyon", safety_stock_default=57)
    refused = uneven.approve(proposals[0], 409)
    assert (refused["code"], refused["free"]) == ("proposal.stock_gone", 3)


def test_a_proposal_whose_time_is_over_says_so(uneven):
    _, (first, *_) = uneven.plan("rebalance", valid_hours=3)
    with uneven.server.app.db.connection() as conn:
        conn.execute("UPDATE proposal SET expires_at = now() - interval '1 minute'")
    assert uneven.client.get(f"/v1/proposals/{first['proposal_id']}").json()["status"] == "expired"
    assert uneven.proposals(status="proposed") == [] != uneven.proposals(status="expired")
    refused = uneven.approve(first, 409)
    assert refused["code"] == "proposal.expired" and "plan again" in refused["detail"]


def test_a_newer_plan_takes_the_place_of_open_proposals_of_its_kind_and_scope(uneven):
    _, old = uneven.plan("rebalance")
    uneven.supply()
    uneven.plan("replenish")
    made, new = uneven.plan("rebalance", items=["MUG"])
    assert (made["items"], made["superseded"], [p["sku"] for p in new]) == (1, 1, ["MUG"])
    status = {p["proposal_id"]: p["status"] for p in uneven.proposals()}
    assert {p["sku"]: status[p["proposal_id"]] for p in old} == {"MUG": "superseded", "PLATE": "proposed"}
    assert {p["status"] for p in uneven.proposals(plan="replenish")} == {"proposed"}
    mug = next(p for p in old if p["sku"] == "MUG")
    assert uneven.approve(mug, 409)["code"] == "proposal.superseded"


def test_dismissed_is_dismissed(uneven):
    _, (first, second) = uneven.plan("rebalance")
    path = f"/v1/proposals/{first['proposal_id']}/dismiss"
    gone = uneven.post(path, {"reason": "the store closes"})
    assert (gone["status"], gone["reason"]) == ("dismissed", "the store closes")
    assert uneven.post(path) == gone
    assert uneven.approve(first, 409)["code"] == "proposal.dismissed"
    uneven.approve(second)
    assert uneven.post(f"/v1/proposals/{second['proposal_id']}/dismiss", status=409)["code"] == "proposal.approved"


def test_a_purchase_is_ordered_in_cases_within_its_budget_and_received(shop):
    shop.sell({(sku, "berlin"): 5.0 for sku in SKUS})
    shop.supply(minimum=12, co2_g_per_unit=40)
    made, proposals = shop.plan("replenish")
    assert made["facts"]["left_out"] == {} and len(proposals) == 2
    for p in proposals:
        assert (p["kind"], p["supplier"], p["node"]) == ("purchase", "Keramik Nord", "berlin")
        assert p["quantity"] >= 12 and p["quantity"] % 6 == 0
        assert p["cost_minor"] == 400 * p["quantity"]
        assert p["expected_at"] == (today() + timedelta(days=6)).isoformat()
        assert p["effect"]["service"]["all_served_after"] > p["effect"]["service"]["all_served_before"]
        assert p["effect"]["co2_g"]["expected"] == 40 * p["quantity"]
    budget = made["cost_minor"] // 2
    tight, fewer = shop.plan("replenish", settings={"budget_minor": budget})
    assert tight["superseded"] == 2
    assert 0 < sum(p["cost_minor"] for p in fewer) <= budget
    approved = shop.approve(fewer[0])
    reference = approved["followed"]["reference"]
    assert approved["followed"]["shipped"] is None
    # What is on order is not ordered again.
    sku, units = fewer[0]["sku"], fewer[0]["quantity"]
    again = {p["sku"]: p["quantity"] for p in shop.plan("replenish")[1]}
    full = {p["sku"]: p["quantity"] for p in proposals}
    assert again.get(sku, 0) <= full[sku] - units + 6
    # Unless it should have come weeks ago.
    with shop.server.app.db.connection() as conn:
        conn.execute("UPDATE inbound_line SET expected_at = now() - interval '16 days'")
    assert {p["sku"]: p["quantity"] for p in shop.plan("replenish")[1]} == full
    shop.stock({(sku, "berlin"): units}, reference=reference)
    assert shop.client.get(f"/v1/proposals/{fewer[0]['proposal_id']}").json()["status"] == "done"


def test_another_supplier_is_seen_at_approval(shop):
    shop.sell({(sku, "berlin"): 5.0 for sku in SKUS})
    shop.supply()
    _, (first, *_) = shop.plan("replenish")
    shop.supply(supplier="Porzellan Süd")
    assert shop.approve(first, 409)["code"] == "proposal.supplier_changed"


def test_nothing_is_bought_on_days_without_orders_or_without_supply(shop):
    shop.sell({(sku, "berlin"): 5.0 for sku in SKUS})
    made, proposals = shop.plan("replenish")
    assert proposals == [] and made["facts"]["left_out"] == {"no_supply": 2}
    shop.supply(order_days=[today().isoweekday() % 7 + 1])
    made, proposals = shop.plan("replenish")
    assert proposals == [] and made["facts"]["closed_today"] == 2


def test_an_approved_safety_stock_is_what_ats_keeps_back(shop):
    shop.sell({(sku, "berlin"): 5.0 for sku in SKUS})
    shop.stock({("MUG", "berlin"): 100})
    shop.put("/v1/channels/web", {"currency": "EUR"})
    shop.supply()
    _, usual = shop.plan("safety_stock", items=["MUG"], settings={"service_level": 0.9})
    _, (more,) = shop.plan("safety_stock", items=["MUG"], settings={"service_level": 0.99})
    assert more["quantity"] > usual[0]["quantity"] > 0
    assert more["effect"]["service"]["all_served_after"] >= 0.99
    done = shop.approve(more)
    assert (done["status"], done["followed"]) == ("done", None)
    assert shop.rows(sku="MUG")["MUG", "berlin"]["safety_stock"] == more["quantity"]
    ats = shop.client.get("/v1/availability", params={"sku": "MUG", "channel": "web"}).json()
    assert ats["ats"] == 100 - more["quantity"]
    # As it is now: nothing is to be changed.
    assert shop.plan("safety_stock", items=["MUG"], settings={"service_level": 0.99})[1] == []
    _, (filled,) = shop.plan("safety_stock", items=["PLATE"], settings={"fill_rate": 0.98})
    made, (costs,) = shop.plan("safety_stock", items=["PLATE"])
    assert filled["quantity"] > 0 and made["facts"]["simulated"] == 0
    # A lot of two months is stock by itself.
    shop.supply(minimum=300)
    made, lots = shop.plan("safety_stock", items=["PLATE"])
    assert made["facts"]["simulated"] == 1
    assert sum(p["quantity"] for p in lots) < costs["quantity"]


def test_slow_stock_is_moved_or_marked_down_by_how_demand_answers_to_prices(shop):
    shop.sell({(sku, "berlin"): 3.0 for sku in SKUS}, prices=(1000, 700))
    shop.stock({("MUG", "lyon"): 60, ("PLATE", "berlin"): 900})
    shop.lanes(("lyon", "berlin"))
    made, proposals = shop.plan("prune", settings={"left_share": 0.2})
    assert made["facts"]["excess_units"] > 500
    by_kind = {p["kind"]: p for p in proposals}
    assert (by_kind["transfer"]["sku"], by_kind["transfer"]["node"]) == ("MUG", "berlin")
    price = by_kind["price"]
    assert (price["sku"], price["node"]) == ("PLATE", "berlin")
    assert 300 <= price["price_minor"] < 1000 and price["effect"]["money_minor"]["expected"] > 0
    done = shop.approve(price)
    assert done["status"] == "done"
    (markdown,) = shop.client.get("/v1/markdowns").json()["data"]
    assert (markdown["sku"], markdown["node"], markdown["value_minor"]) == ("PLATE", "berlin", price["price_minor"])
    assert markdown["until"] == (today() + timedelta(days=60)).isoformat()


def test_demand_of_a_region_counts_at_the_node_nearest_to_it(shop):
    rows = [
        {"sku": "MUG", "day": (today() - timedelta(days=n)).isoformat(), "quantity": 4, "region": "FR"}
        for n in range(1, 57)
    ]
    shop.post("/v1/sales/batch", {"sales": rows})
    shop.stock({("MUG", "berlin"): 80})
    shop.lanes(("berlin", "lyon"), ("berlin", "nantes"))
    _, proposals = shop.plan("rebalance")
    assert {p["node"] for p in proposals} <= {"lyon", "nantes"} and len(proposals) == 1


def test_one_key_asks_for_one_plan(uneven):
    body, key = {"kind": "rebalance", "nodes": ["lyon", "berlin"]}, {"Idempotency-Key": "monday"}
    first, again = (uneven.client.post("/v1/plans/run", json=body, headers=key).json() for _ in range(2))
    assert first["job_id"] == again["job_id"]
    assert onhand.app._WORKS[KIND] == WORK
    uneven.work()
    job = uneven.client.get(f"/v1/jobs/{first['job_id']}").json()
    assert (job["state"], job["progress"]["done"]) == ("done", 3)
    assert {p["job_id"] for p in uneven.proposals()} == {first["job_id"]}


def test_proposals_come_in_pages_and_by_what_is_asked(uneven):
    uneven.plan("rebalance")
    page = uneven.client.get("/v1/proposals?limit=1").json()
    rest = uneven.client.get("/v1/proposals", params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert rest["next_cursor"] is None
    assert {p["sku"] for p in page["data"] + rest["data"]} == set(SKUS)
    assert [p["sku"] for p in uneven.proposals(sku="MUG", node="lyon", kind="transfer", plan="rebalance")] == ["MUG"]
    for nothing in ({"node": "nantes"}, {"kind": "purchase"}, {"status": "done"}, {"job_id": NOBODY}):
        assert uneven.proposals(**nothing) == []


def test_what_cannot_be_planned_is_told_at_once(shop):
    for body, path in (
        ({"kind": "rebalance", "items": ["NOTHING"]}, "items[0]"),
        ({"kind": "rebalance", "categories": ["garden"]}, "categories[0]"),
        ({"kind": "prune", "nodes": ["paris"]}, "nodes[0]"),
        ({"kind": "replenish", "settings": {"service_level": 1}}, "settings.service_level"),
        ({"kind": "safety_stock", "settings": {"service_level": 0.9, "fill_rate": 0.9}}, "settings.fill_rate"),
        ({"kind": "rebalance", "settings": {"budget_minor": 1}}, "settings.budget_minor"),
    ):
        answer = shop.client.post("/v1/plans/run", json=body)
        assert answer.status_code == 422, answer.text
        assert [e["path"] for e in answer.json()["errors"]] == [path]
    # A budget is of one currency.
    shop.put("/v1/items/TEA", {"name": "tea", "price_minor": 900, "currency": "GBP"})
    answer = shop.client.post("/v1/plans/run", json={"kind": "replenish", "settings": {"budget_minor": 5000}})
    assert answer.status_code == 422 and "EUR, GBP" in answer.json()["detail"]


def test_who_may_not_approve_does_not(uneven):
    _, (first, *_) = uneven.plan("rebalance")
    key = uneven.post("/v1/keys", {"name": "till", "scopes": ["read", "orders:write"]}, status=201)["key"]
    with uneven.server.as_key(key) as client:
        assert client.get("/v1/proposals").status_code == 200
        for what in ("approve", "dismiss"):
            assert client.post(f"/v1/proposals/{first['proposal_id']}/{what}").status_code == 403


def test_what_is_not_there_is_not_found(server):
    for answer in (
        server.client.get(f"/v1/proposals/{NOBODY}"),
        server.client.post(f"/v1/proposals/{NOBODY}/approve"),
        server.client.post(f"/v1/proposals/{NOBODY}/dismiss"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "proposal.not_found")


def test_what_was_never_sold_is_bought_for_where_its_siblings_sell(shop, monkeypatch):
    monkeypatch.setattr(learn, "has_trees", lambda: False)
    shop.sell({(sku, node): 6.0 for sku in SKUS for node in ("berlin", "lyon")})
    item = {"name": "BOWL", "weight_g": 500, "unit_cost_minor": 400, "price_minor": 1000, "currency": "EUR"}
    shop.put("/v1/items/BOWL", item | {"category": "kitchen"})
    shop.put("/v1/channels/web", {"currency": "EUR"})
    shop.put("/v1/listings/web/BOWL", {})
    rows = [
        {"sku": "BOWL", "node": node, "supplier": "Keramik Nord", "lead_days": [5], "multiple": 6} for node in NODES
    ]
    shop.post("/v1/supply/batch", {"supply": rows})
    assert shop.plan("replenish")[1] == [], "nobody knows that it will sell"
    shop.forecast()
    (shown, *_) = shop.client.get("/v1/forecasts", params={"sku": "BOWL"}).json()["data"]
    assert (shown["in_charge"], shown["segment"], shown["models"]) == ("cold_start", "never_sold", {"cold_start": 1.0})
    made, proposals = shop.plan("replenish")
    assert made["forecast"]["name"] == f"forecast run {shown['run_id']}"
    # Seven days until the next order and five until it is there, six a day; nobody sells anything in Nantes.
    assert {(p["sku"], p["node"]) for p in proposals} == {("BOWL", "berlin"), ("BOWL", "lyon")}
    assert all(36 <= p["quantity"] <= 180 for p in proposals), proposals
