"""Demand: an item with its forecast, the runs, and the schedule, read back from the API."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from playwright.sync_api import expect

from onhand.flows.forecasts import learn
from onhand.flows.forecasts.job import KIND
from onhand.flows.forecasts.run import make
from onhand.jobs.store import finish_job, take_job

TODAY = datetime.now(UTC).date()
SOLD_OUT = TODAY - timedelta(days=12)
PATH = "/demand/MUG-BLUE"


def work(house):
    """What a worker does about the forecast that was asked for, in this process: another one takes seconds to start."""
    db = house.app.db
    with db.connection() as conn:
        taken = take_job(conn, [KIND], lease_s=60)
    assert taken is not None
    result = make(db, taken.request["run_id"], TODAY, lambda *_: None)
    with db.connection() as conn:
        finish_job(conn, taken, result)


@pytest.fixture(scope="module")
def sold(house):
    """Twenty weeks of sales at two nodes, a day without stock, a promotion to come, and two forecasts."""
    draw = np.random.default_rng(5)
    days = [TODAY - timedelta(days=back) for back in range(1, 141)]
    rows = [
        {
            "sku": "MUG-BLUE", "node": node, "day": f"{day}",
            "quantity": int(draw.poisson(level * (1.8 if day.weekday() >= 5 else 1))) // (4 if day == SOLD_OUT else 1),
            "stock_out_hours": 18 if day == SOLD_OUT else 0,
        }
        for day in days
        for node, level in (("berlin", 14), ("munich", 6))
    ]  # fmt: skip
    house.client.post("/v1/sales/batch", json={"sales": rows}).raise_for_status()
    ahead = {
        "name": "promotion", "scope": {"sku": "MUG-BLUE"}, "at": f"{TODAY + timedelta(days=9)}", "value": 1,
        "known_ahead": True, "fill": "zero",
    }  # fmt: skip
    house.client.post("/v1/signals", json={"signals": [ahead]}).raise_for_status()
    patch = pytest.MonkeyPatch()
    patch.setattr(learn, "has_trees", lambda: False)
    for origin in (TODAY - timedelta(days=21), None):
        body = {"ablate": False} | ({} if origin is None else {"origin": f"{origin}"})
        house.client.post("/v1/forecasts/run", json=body).raise_for_status()
        work(house)
    yield house
    patch.undo()


def test_the_rooms_of_demand_are_shown_to_everybody(sold, sit):
    sit().show("/demand", "Demand", "demand")
    sit().show(PATH, "MUG-BLUE", "demand-item")


def test_an_item_is_found_and_its_figures_are_those_of_the_api(sold, sit):
    seat = sit()
    page = seat.go("/demand")
    page.get_by_role("searchbox").fill("blue")
    page.wait_for_url("**/demand?q=blue")
    page.get_by_role("link", name="MUG-BLUE").click()
    page.wait_for_url(f"**{PATH}")
    seat.settle()
    page.get_by_label("Place").select_option("node:berlin")
    page.get_by_label("History").select_option("28")
    page.get_by_label("Horizon").select_option("14")
    page.wait_for_url(f"**{PATH}?node=berlin&back=28&horizon=14")
    seat.settle()
    told = sold.get("/v1/forecasts/items/MUG-BLUE?node=berlin")
    expected = sum(period["mean"] for period in told["forecast"]["periods"][:14])
    tile = page.locator(".stat").filter(has_text="Expected")
    expect(tile).to_contain_text(f"{expected:.0f}")
    expect(tile).to_contain_text("next 14 days")
    expect(page.get_by_role("img", name="not always in stock")).to_be_visible()
    page.locator("details.data summary").click()
    day = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=f"{SOLD_OUT.day} {SOLD_OUT:%b}"))
    (real,) = sold.get(f"/v1/demand?sku=MUG-BLUE&node=berlin&from={SOLD_OUT}&to={SOLD_OUT}")["data"]
    assert real["lost"] > 0
    expect(day).to_contain_text(f"{real['lost']:.1f}".removesuffix(".0"))
    wape = told["accuracy"]["forecast"]["wape"]
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Forecast", exact=True))
    expect(row).to_contain_text(f"{100 * wape:.1f}".removesuffix(".0") + "%")
    expect(page.locator("main")).to_contain_text("planned until")
    page.reload()
    expect(page.get_by_label("Place")).to_have_value("node:berlin")


def test_a_forecast_is_asked_for_and_made(sold, sit):
    seat = sit()
    page = seat.go("/demand")
    before = len(sold.get("/v1/forecasts/runs")["data"])
    page.get_by_role("button", name="Forecast now").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Days ahead").fill("0")
    expect(dialog.get_by_role("button", name="Forecast now")).to_be_disabled()
    dialog.get_by_label("Days ahead").fill("21")
    dialog.get_by_role("button", name="Forecast now").click()
    expect(page.get_by_role("status").filter(has_text="The forecast was asked for")).to_be_visible()
    expect(page.locator(".progress")).to_contain_text("waits for a worker")
    newest = sold.get("/v1/forecasts/runs")["data"][0]
    assert (newest["horizon"], newest["state"]) == (21, "queued")
    work(sold)
    expect(page.locator(".progress")).to_have_count(0)
    expect(page.get_by_role("row").filter(has_text="21 days")).to_contain_text("done")
    assert len(sold.get("/v1/forecasts/runs")["data"]) == before + 1


def test_forecasts_are_made_every_day_or_no_longer(sold, sit):
    seat = sit()
    page = seat.go("/demand")
    expect(page.locator("main")).to_contain_text("Nothing is forecast by itself")
    page.get_by_role("button", name="Schedule").click()
    page.get_by_role("dialog").get_by_label("Hour (UTC)").fill("4")
    page.get_by_role("dialog").get_by_label("Forecast every day").check()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("Every day at 04:00 UTC")
    kept = sold.get("/v1/forecasts/schedule")
    assert (kept["hour"], kept["active"], kept["horizon"]) == (4, True, 42)
    page.get_by_role("button", name="Schedule").click()
    page.get_by_role("dialog").get_by_label("Forecast every day").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("The schedule is switched off")
    assert not sold.get("/v1/forecasts/schedule")["active"]


def test_what_each_signal_brings_is_shown_in_units(sold, sit):
    page = sit().go(PATH)
    panel = page.locator("section").filter(has=page.get_by_role("heading", name="What each signal brings"))
    expect(panel).to_contain_text("No trees are in charge here")

    # Promotions that multiply demand by four: only trees can see them come.
    draw = np.random.default_rng(11)
    days = [TODAY + timedelta(days=n) for n in range(-200, 7)]
    promoted = {day for day in days if draw.random() < 0.25} | {TODAY + timedelta(days=2)}
    rows = [
        {"sku": "MUG-RED", "node": node, "day": f"{day}",
         "quantity": int(draw.poisson(level * (4 if day in promoted else 1)))}
        for day in days if day < TODAY
        for node, level in (("berlin", 20), ("munich", 9))
    ]  # fmt: skip
    sold.client.post("/v1/sales/batch", json={"sales": rows}).raise_for_status()
    told = [
        {"name": "promotion", "scope": {"sku": "MUG-RED"}, "at": f"{day}", "value": int(day in promoted),
         "known_ahead": True, "known_at": f"{min(day, TODAY) - timedelta(days=1)}"}
        for day in days
    ]  # fmt: skip
    sold.client.post("/v1/signals", json={"signals": told}).raise_for_status()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "has_trees", lambda: True)
        sold.client.post("/v1/forecasts/run", json={"ablate": False, "horizon": 7}).raise_for_status()
        work(sold)
    real = sold.get("/v1/forecasts/contributions/MUG-RED")["explained"]
    assert real is not None
    of_promotion = [period["contributions"]["promotion"] for period in real["periods"]]
    assert [units > 0 for units in of_promotion] == [TODAY + timedelta(days=n) in promoted for n in range(7)]

    page = sit().go("/demand/MUG-RED")
    panel = page.locator("section").filter(has=page.get_by_role("heading", name="What each signal brings"))
    a_day = real["a_day"]
    expect(
        panel.get_by_role("img", name=f"{a_day['mean']:.1f}".removesuffix(".0") + " units are expected")
    ).to_be_visible()
    panel.locator("details.data summary").click()
    told = {"Base": a_day["base"], "Promotion": a_day["contributions"]["promotion"], "Mean": a_day["mean"]}
    for name, units in told.items():
        row = panel.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))
        expect(row).to_contain_text(f"{abs(units):.2f}".rstrip("0").rstrip("."))
