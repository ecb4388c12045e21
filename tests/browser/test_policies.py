"""The room of policies: written, checked, tried on history, moved and taken back, each read back from the API."""

import re
import threading

import pytest
from playwright.sync_api import expect

from onhand.flows.simulation.job import KIND, WORK
from onhand.jobs.worker import run_next

SPEEDY = """\
objective: speed
rules:
  - name: From near by
    limits: {distance_km_max: 600}
  - name: All other orders
"""
COURIER = {
    "code": "express",
    "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [30000], "prices_minor": [[1100]]},
    "currency": "EUR",
    "transit_days": {"p50": 1, "p95": 1},
    "co2_g_per_tonne_km": 300,
}
YAML = {"Content-Type": "application/yaml"}


def written(house, text, name="standard"):
    answer = house.client.put(f"/v1/policies/{name}", content=text.encode(), headers=YAML)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["version"]


def work(house):
    """What a worker does about a simulation."""
    assert run_next(house.app.db, {KIND: WORK}, threading.Event())


@pytest.fixture(scope="module")
def simulated(house):
    """A version of `standard` that was tried on the orders of the shop, with other prices."""
    # Parcels take long, and a courier is quick and dear: so that there is something to choose.
    (parcel,) = house.get("/v1/carriers/dhl")["services"]
    slow = parcel | {"transit_days": {"p50": 4, "p95": 6}}
    for code, service in (("dhl", slow), ("courier", COURIER)):
        house.client.put(f"/v1/carriers/{code}", json={"name": code, "services": [service]}).raise_for_status()
    version = written(house, SPEEDY)
    period = {"from": "2020-01-01T00:00:00Z", "to": "2035-01-01T00:00:00Z"}
    asked = {"version": version, "pareto": True} | period
    house.client.post("/v1/policies/standard/simulate", json=asked).raise_for_status()
    work(house)
    return version


@pytest.mark.parametrize(
    ("room", "path", "title"),
    [
        ("policies", "/policies", "Policies"),
        ("policy", "/policies/standard?version=1", "standard"),
        ("policy-simulate", "/policies/standard?tab=simulate", "standard"),
        ("policy-trials", "/policies/trial?tab=trials", "trial"),
    ],
)
def test_a_room_is_shown_to_everybody(simulated, sit, room, path, title):
    sit().show(path, title, room)


def test_a_policy_is_checked_where_it_is_wrong_and_saved_as_a_new_version(house, sit):
    before = house.get("/v1/policies/trial")["latest"]
    seat = sit()
    page = seat.go("/policies/trial")
    area = page.get_by_label("Text of the policy")
    save = page.get_by_role("button", name="Save as a new version")
    expect(save).to_be_disabled()
    area.fill("rules:\n  - name: Light\n    when: order.wieght_g < 5000\n")
    expect(page.get_by_role("button", name="Line 3:17")).to_be_visible()
    expect(page.locator("main")).to_contain_text("did you mean 'weight_g'?")
    expect(page.locator(".editor pre .error")).to_have_text("3\n")
    expect(save).to_be_disabled()
    page.get_by_role("button", name="Line 3:17").click()
    expect(area).to_be_focused()
    assert area.evaluate("area => area.selectionStart") == len("rules:\n  - name: Light\n    when: order.")
    area.fill("rules:\n  - name: Light\n    when: order.weight_g < 5000\n  - name: Rest\n")
    expect(page.locator(".diff .added").first).to_contain_text("+ ")
    expect(save).to_be_enabled()
    save.click()
    expect(page.get_by_role("status").filter(has_text=f"trial@{before + 1} is a draft")).to_be_visible()
    page.wait_for_url(f"**/policies/trial?version={before + 1}")
    version = house.get(f"/v1/policies/trial/versions/{before + 1}")
    assert version["state"] == "draft"
    assert [rule["name"] for rule in version["document"]["rules"]] == ["Light", "Rest"]


def test_what_was_written_stays_while_somebody_looks_elsewhere(sit):
    page = sit().go("/policies/trial?version=1")
    page.get_by_label("Text of the policy").fill("description: not saved yet\n")
    page.get_by_role("link", name="Simulate").click()
    expect(page.get_by_label("What is tried")).to_have_value("edited")
    page.go_back()
    expect(page.get_by_label("Text of the policy")).to_have_value("description: not saved yet\n")


def test_a_version_is_moved_on_and_taken_back(house, sit):
    for most in (1, 2):
        written(house, f"limits: {{fulfilments_max: {most}}}", "moves")
    path = "/v1/policies/moves"
    house.client.post(f"{path}/promote", json={"version": 1, "to": "active", "why": "set-up"}).raise_for_status()
    seat = sit()
    page = seat.go("/policies/moves")
    page.get_by_role("button", name="Move version 2").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("without effect")
    dialog.get_by_label("canary").check()
    dialog.get_by_label("Share of the orders").fill("12.5")
    expect(dialog).to_contain_text("12.5 % of the orders, always the same ones")
    expect(dialog.get_by_role("button", name="Move")).to_be_disabled()
    dialog.get_by_label("Why a step is left out").fill("tried on history")
    dialog.get_by_role("button", name="Move").click()
    expect(page.get_by_role("status").filter(has_text="moves@2: canary")).to_be_visible()
    policy = house.get(path)
    assert (policy["canary"], policy["share"], policy["active"]) == (2, 0.125, 1)
    assert policy["versions"][0]["why"] == "tried on history"

    page.get_by_role("button", name="Move version 2").click()
    dialog.get_by_label("active").check()
    expect(dialog).to_contain_text("moves@1 is active now, and retires")
    dialog.get_by_role("button", name="Move").click()
    expect(page.get_by_role("status").filter(has_text="moves@2: active")).to_be_visible()
    assert house.get(path)["active"] == 2

    page.get_by_role("button", name="Roll back").click()
    expect(dialog).to_contain_text("the version that was active before it decides again")
    dialog.get_by_label("Why").fill("too many parcels")
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status").filter(has_text="moves@2 was taken back")).to_be_visible()
    policy = house.get(path)
    assert (policy["active"], policy["versions"][0]["state"]) == (1, "retired")


def test_a_text_is_tried_on_history_and_seen_beside_what_decides(house, simulated, sit):
    seat = sit()
    page = seat.go("/policies/standard?version=1")
    page.get_by_label("Text of the policy").fill("objective: sustainability\n")
    page.get_by_role("link", name="Simulate").click()
    page.get_by_label("From").fill("2020-01-01")
    page.get_by_label("until").fill("2034-12-31")
    page.get_by_role("button", name="Simulate", exact=True).click()
    row = page.get_by_role("listitem").filter(has_text="Unsaved text")
    expect(row).to_contain_text("queued")
    work(house)
    expect(row).to_contain_text("done")
    expect(page.get_by_role("heading", name="standard@file against standard@1")).to_be_visible()
    (job,) = [j for j in house.get("/v1/jobs?kind=policy.simulate")["data"] if j["request"].get("text")]
    report = house.get(f"/v1/jobs/{job['job_id']}/result?format=json")
    (paid,) = [d for d in report["differences"] if d["metric"] == "paid_minor"]
    table = page.locator("section", has=page.get_by_role("heading", name="standard@file against standard@1"))
    shown = f"{paid['candidate'] / 100:.2f}".rstrip("0").rstrip(".")
    expect(table.get_by_role("row", name="Paid, an order").get_by_role("cell").nth(1)).to_have_text(shown)
    # The version that was simulated before, on the same orders, stands beside both.
    choices = page.locator("section", has=page.get_by_role("heading", name="What there is to choose from"))
    expect(choices.get_by_role("img")).to_have_attribute("aria-label", re.compile("standard@1: .*standard@file: "))
    choices.get_by_text("As a table").click()
    expect(choices.get_by_role("row")).to_have_count(4)
    expect(choices.get_by_role("row", name=f"standard@{simulated}")).to_be_visible()
    page.get_by_label("Measure").select_option("co2_g")
    page.wait_for_url("**measure=co2_g*")
    expect(choices.get_by_role("columnheader", name="CO₂")).to_be_visible()


def test_a_simulation_is_stopped(house, sit):
    body = {"version": 1, "from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}
    job_id = house.client.post("/v1/policies/trial/simulate", json=body).json()["job_id"]
    page = sit().go("/policies/trial?tab=simulate")
    page.get_by_role("button", name="Stop version 1").click()
    assert house.get(f"/v1/jobs/{job_id}")["state"] == "queued", "it is asked first"
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status").filter(has_text="was stopped")).to_be_visible()
    assert house.get(f"/v1/jobs/{job_id}")["state"] == "cancelled"
