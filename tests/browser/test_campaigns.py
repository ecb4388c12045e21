"""A campaign is planned, assessed by the solver, accepted and cancelled; its picture is drawn and can be read."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from playwright.sync_api import expect

from onhand.flows.campaigns.job import KIND, WORK
from onhand.jobs.worker import run_next

TODAY = datetime.now(UTC).date()
FIRST, LAST = TODAY + timedelta(days=5), TODAY + timedelta(days=9)


def work(house):
    """What a worker does, until there is nothing to do; not in the thread of the browser, which has an event loop."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_next, house.app.db, {KIND: WORK}, threading.Event()).result(timeout=240)


@pytest.fixture(scope="module")
def sold(house):
    """Eight weeks in which a mug sold a dozen a day; there are far fewer than a loud promotion would sell."""
    draw = np.random.default_rng(1)
    rows = [
        {
            "sku": "MUG-BLUE", "day": (TODAY - timedelta(days=back)).isoformat(), "quantity": int(draw.poisson(12)),
            "region": "DE", "price_minor": 1000,
        }
        for back in range(1, 57)
    ]  # fmt: skip
    results = house.client.post("/v1/sales/batch", json={"sales": rows}).json()["results"]
    assert {r["status"] for r in results} == {"created"}
    stock = house.get("/v1/stock?sku=MUG-BLUE")["data"]
    counts = [{"kind": "count", "sku": "MUG-BLUE", "node": at["node"], "quantity": 120} for at in stock]
    results = house.client.post("/v1/stock/entries", json={"entries": counts}).json()["results"]
    assert {r["status"] for r in results} == {"applied"}


@pytest.fixture(scope="module")
def job(house, sold):
    """An assessment of more than can be served; quick, as few futures are drawn."""
    body = {"items": ["MUG-BLUE"], "from": FIRST.isoformat(), "to": LAST.isoformat(), "uplift": 20, "paths": 20,
            "other_dates": [3], "means": {"buy_days": 2}}  # fmt: skip
    job_id = house.client.post("/v1/campaigns/assess", json=body).json()["job_id"]
    work(house)
    return job_id


def test_a_campaign_is_planned_by_form(house, sold, sit):
    seat = sit()
    page = seat.go("/campaigns")
    page.get_by_role("link", name="Plan a campaign").click()
    button = page.get_by_role("button", name="Assess")
    expect(button).to_be_disabled()
    search = page.get_by_label("Add an item")
    search.fill("no such thing")
    expect(page.get_by_text("No item is called so.")).to_be_visible()
    search.fill("mug-bl")
    expect(page.get_by_role("button", name="+ MUG-BLUE")).to_be_visible()
    search.press("Enter")
    expect(page.get_by_role("button", name="Remove MUG-BLUE")).to_be_visible()
    page.get_by_label("First day").fill(FIRST.isoformat())
    page.get_by_label("Last day").fill(LAST.isoformat())
    page.get_by_label("Percent").fill("50")
    button.click()
    expect(page.get_by_text("Waits for its turn")).to_be_visible()
    assert seat.axe() == []
    seat.shoot("campaign-waits")
    job_id = page.url.split("job=")[1]
    asked = house.get(f"/v1/jobs/{job_id}")["request"]["request"]
    assert (asked["items"], asked["first"], asked["last"]) == (["MUG-BLUE"], FIRST.isoformat(), LAST.isoformat())
    assert (asked["uplift"], asked["discount"], asked["channels"]) == (0.5, None, None)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_text("The assessment was stopped").first).to_be_visible()
    assert house.get(f"/v1/jobs/{job_id}")["state"] == "cancelled"


def test_what_was_assessed_is_shown_to_everybody(house, job, sit):
    sit().show(f"/campaigns/new?job={job}", "Plan a campaign", "campaign-assessed")


def test_the_picture_says_what_the_interface_says(house, job, sit):
    told = house.get(f"/v1/jobs/{job}/result")
    seat = sit()
    page = seat.go(f"/campaigns/new?job={job}")
    expect(page.get_by_role("heading", name="It cannot be served as it is")).to_be_visible()
    expect(page.get_by_role("button", name="Remove MUG-BLUE")).to_be_visible()
    expect(page.get_by_label("Percent")).to_have_value("2000")
    expect(page.get_by_label("First day")).to_have_value(FIRST.isoformat())

    picture = page.get_by_role("img", name="Heat map of fill rates")
    expect(picture.locator("canvas").first).to_be_visible()
    page.get_by_text("As a table").first.click()
    table = page.locator("details.data table")
    nodes = {n["node"]: n for n in told["nodes"]}
    heads = table.locator("thead th").all_inner_texts()[1:]
    assert set(heads) == nodes.keys()
    days = [d["day"] for d in told["days"]]
    start = days.index(FIRST.isoformat()) - 3
    for row, cells in enumerate(table.locator("tbody tr").all()):
        rates = [nodes[node]["fill_rate"][start + row] for node in heads]
        expected = ["–" if rate is None else f"{rate * 100:.0f}" for rate in rates]
        shown = [cell.removesuffix("%") for cell in cells.locator("td").all_inner_texts()]
        for one, other in zip(shown, expected, strict=True):
            assert one == other or abs(float(one) - float(other)) <= 1

    actions = told["remedies"]["actions"]
    listed = page.locator("section.panel", has_text="What to do before when").locator("li")
    expect(listed).to_have_count(len(actions))
    assert [li.locator("time").last.get_attribute("datetime") for li in listed.all()] == [a["before"] for a in actions]
    expect(page.get_by_role("link", name="Proposals to buy and move")).to_have_attribute("href", "/planning")

    page.get_by_role("button", name="Take these").click()
    expect(page.get_by_label("First day")).to_have_value((FIRST + timedelta(days=3)).isoformat())


def test_a_campaign_is_accepted_and_cancelled(house, job, sit):
    seat = sit()
    page = seat.go(f"/campaigns/new?job={job}")
    page.get_by_role("button", name="Accept").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("orders will be late")
    expect(dialog.get_by_role("button", name="Accept")).to_be_disabled()
    dialog.get_by_label("Name").fill("Spring mugs")
    dialog.get_by_role("button", name="Accept").click()
    expect(page.locator("h1")).to_contain_text("Spring mugs")
    (made,) = house.get("/v1/campaigns")["data"]
    assert (made["name"], made["state"], made["assessment"]) == ("Spring mugs", "accepted", job)
    expect(page).to_have_url(f"{house.url}/campaigns/{made['campaign_id']}")
    sit().show(f"/campaigns/{made['campaign_id']}", "Spring mugs", "campaign")
    sit().show("/campaigns", "Campaigns", "campaigns")

    page.get_by_role("button", name="Cancel the campaign").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("taken back")
    dialog.get_by_role("button", name="Cancel the campaign").click()
    expect(page.locator("h1")).to_contain_text("cancelled")
    assert house.get(f"/v1/campaigns/{made['campaign_id']}")["state"] == "cancelled"
    expect(page.get_by_role("button", name="Cancel the campaign")).to_have_count(0)


def test_who_may_only_read_plans_nothing(house, sold, sit):
    key = house.client.post("/v1/keys", json={"name": "reads campaigns", "scopes": ["read"]}).json()["key"]
    seat = sit(key)
    page = seat.go("/campaigns/new")
    page.get_by_label("Add an item").fill("mug-blue")
    page.get_by_role("button", name="+ MUG-BLUE").click()
    page.get_by_role("button", name="Assess").click()
    expect(page.get_by_role("alert")).to_contain_text("config:write")
    seat.trouble.clear()


def test_it_speaks_german(house, sit):
    page = sit(locale="de-DE").go("/campaigns/new")
    expect(page.locator("h1")).to_have_text("Kampagne planen")
    expect(page.get_by_role("button", name="Prüfen")).to_be_disabled()
