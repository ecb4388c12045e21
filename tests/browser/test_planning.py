"""Planning: proposals decided on many at a time and taken back, service against stock, and transfers on the map."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from onhand.flows.plans.job import KIND
from onhand.flows.plans.job import run as run_plan
from onhand.jobs.store import finish_job, take_job

TODAY = datetime.now(UTC).date()
SKUS = ("VASE", "BOWL", "TRAY")


def plan(house, **body):
    """Plan, and do what a worker does about it, in this process; the open proposals, those that gain most first."""
    house.client.post("/v1/plans/run", json={"items": list(SKUS)} | body).raise_for_status()
    db = house.app.db
    with db.connection() as conn:
        taken = take_job(conn, [KIND], lease_s=60)
    assert taken is not None
    result = run_plan(db, taken.request, lambda *_: None)
    with db.connection() as conn:
        finish_job(conn, taken, result)
    return house.get("/v1/proposals?status=proposed&limit=100")["data"]


@pytest.fixture(scope="module")
def stocked(house):
    """Three items that lie in Munich and are wanted in Berlin, where a supplier brings them too."""
    call = house.shop.call
    for sku in SKUS:
        item = {"name": sku.title(), "unit_cost_minor": 400, "price_minor": 1500, "currency": "EUR", "weight_g": 300}
        call("PUT", f"/v1/items/{sku}", item)
    rows = [
        {"sku": sku, "node": node, "day": f"{TODAY - timedelta(days=back)}", "quantity": units}
        for back in range(1, 57)
        for sku in SKUS
        for node, units in (("berlin", 3 + back % 3), ("munich", back % 2))
    ]
    call("POST", "/v1/sales/batch", {"sales": rows})
    entries = [{"kind": "receipt", "sku": sku, "node": "munich", "quantity": 90} for sku in SKUS]
    call("POST", "/v1/stock/entries", {"entries": entries})
    lanes = [
        {"from": a, "to": b, "days": 1, "unit_cost_minor": 20} for a, b in (("munich", "berlin"), ("berlin", "munich"))
    ]
    call("POST", "/v1/lanes/batch", {"lanes": lanes})
    supply = [{"sku": sku, "node": "berlin", "supplier": "Keramik Nord", "lead_days": [5, 6, 9]} for sku in SKUS]
    call("POST", "/v1/supply/batch", {"supply": supply})
    return house


@pytest.fixture
def proposed(stocked):
    """Open proposals of transfers, as if nothing had been moved yet."""
    found = [p for p in plan(stocked, kind="rebalance", settings={"hold_days": 0}) if p["kind"] == "transfer"]
    assert len(found) == len(SKUS)
    return found


def on_hand(house, sku, node="munich"):
    return next(row["on_hand"] for row in house.get(f"/v1/stock?sku={sku}")["data"] if row["node"] == node)


def test_the_rooms_of_planning_are_shown_to_everybody(stocked, proposed, sit):
    plan(stocked, kind="safety_stock")
    sit().show("/planning", "Planning", "planning")
    sit().show("/planning?tab=service&sku=VASE&node=berlin", "Planning", "planning-service")
    sit().show("/planning?tab=transfers", "Planning", "planning-map")


def test_many_are_approved_one_is_refused_and_what_was_approved_is_taken_back(stocked, proposed, sit):
    kept = {sku: on_hand(stocked, sku) for sku in SKUS}
    units = {p["sku"]: p["quantity"] for p in proposed}
    seat = sit()
    page = seat.go("/planning?kind=transfer&node=berlin")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_disabled()
    page.get_by_label("Choose all that are open").check()
    expect(page.get_by_role("status").filter(has_text="3 chosen")).to_be_visible()
    # Meanwhile somebody finds the shelf of the bowls empty.
    count = [{"kind": "count", "sku": "BOWL", "node": "munich", "quantity": 0}]
    stocked.shop.call("POST", "/v1/stock/entries", {"entries": count})
    page.get_by_role("button", name="Approve", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(re.compile(rf"Gains .* moves or buys {sum(units.values())} units"))
    expect(dialog).to_contain_text("can be taken back today")
    dialog.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("alert")).to_contain_text("Transfer BOWL berlin:")
    expect(page.get_by_role("alert")).to_contain_text("0 are still free")
    for sku in ("VASE", "TRAY"):
        assert on_hand(stocked, sku) == kept[sku] - units[sku]
    assert {p["sku"] for p in stocked.get("/v1/proposals?status=approved")["data"]} == {"VASE", "TRAY"}

    page.get_by_role("button", name="Seen").click()
    page.get_by_label("Status").select_option("approved")
    page.wait_for_url("**/planning?kind=transfer&node=berlin&status=approved")
    page.get_by_role("button", name="Take back VASE at berlin").click()
    page.get_by_role("dialog").get_by_label("Why").fill("the lorry is full")
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    expect(page.get_by_role("button", name="Take back VASE at berlin")).to_have_count(0)
    assert on_hand(stocked, "VASE") == kept["VASE"]
    (undone,) = (p for p in stocked.get("/v1/proposals?sku=VASE&status=dismissed")["data"] if p["undone"])
    assert undone["reason"] == "the lorry is full"

    # What has begun to come is refused, with the reason, and stays as it is.
    (tray,) = stocked.get("/v1/proposals?sku=TRAY&status=approved")["data"]
    expect(page.get_by_role("button", name="Take back TRAY at berlin")).to_be_visible()
    come = [
        {
            "kind": "transfer_in",
            "sku": "TRAY",
            "node": "berlin",
            "quantity": 1,
            "reference": tray["followed"]["reference"],
        }
    ]
    stocked.shop.call("POST", "/v1/stock/entries", {"entries": come})
    page.get_by_role("button", name="Take back TRAY at berlin").click()
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("have come already")
    seat.trouble.clear()
    assert stocked.get(f"/v1/proposals/{tray['proposal_id']}")["status"] == "approved"


def test_many_are_dismissed_with_a_reason(stocked, sit):
    before = plan(stocked, kind="safety_stock")
    wanted = [p for p in before if p["kind"] == "safety_stock"]
    assert wanted
    seat = sit()
    page = seat.go("/planning?kind=safety_stock")
    page.get_by_label("Choose all that are open").check()
    page.get_by_role("button", name="Dismiss", exact=True).click()
    page.get_by_role("dialog").get_by_label("Why").fill("the season is over")
    page.get_by_role("dialog").get_by_role("button", name="Dismiss").click()
    expect(page.locator("main")).to_contain_text("No proposals")
    for proposal in wanted:
        now = stocked.get(f"/v1/proposals/{proposal['proposal_id']}")
        assert (now["status"], now["reason"]) == ("dismissed", "the season is over")


def test_the_curve_shows_where_stock_is_now(stocked, sit):
    seat = sit()
    page = seat.go("/planning?tab=service")
    expect(page.locator("main")).to_contain_text("Choose an item and a node")
    page.get_by_label("Item").fill("VASE")
    page.get_by_label("Node").select_option("berlin")
    page.wait_for_url("**/planning?tab=service&sku=VASE&node=berlin")
    curve = stocked.get("/v1/service-curve?sku=VASE&node=berlin")
    expect(page.locator(".stat").filter(has_text=re.compile("Stock now"))).to_contain_text(
        f"now{curve['present']['units']}all"
    )
    expect(page.locator(".stat").filter(has_text="By costs")).to_contain_text(
        f"costs{curve['best']['safety_stock']}all"
    )
    says = f"the chance to serve all demand is {100 * curve['present']['service']:.0f}%"
    expect(page.get_by_role("img", name=says)).to_be_visible()
