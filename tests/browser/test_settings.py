"""The settings: keys, the audit log, webhooks, data from files, jobs; what was done is read back from the API."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from playwright.sync_api import expect

ITEMS = """\
SKU;Name;Weight G;Colour;price_minor;currency
CUP-1;"Cup; white";250;white;990;EUR
CUP-2;Cup, black;heavy;black;990;EUR
CUP-3;;250;red;990;EUR
MUG-RED;Mug with a new name;400;red;1000;EUR
"""


def upload(page, name, text):
    page.get_by_label("CSV or JSON file").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": text.encode("utf-8-sig")}
    )


@pytest.mark.parametrize("tab", ["keys", "audit", "webhooks", "import", "jobs"])
def test_a_tab_is_shown_to_everybody(house, sit, tab):
    if tab == "jobs":
        body = {"version": 1, "from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}
        house.client.post("/v1/policies/trial/simulate", json=body).raise_for_status()
    sit().show(f"/settings?tab={tab}", "Settings", f"settings-{tab}")


def test_a_key_is_created_shown_once_and_revoked(house, sit):
    seat = sit()
    page = seat.go("/settings")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Create a key")).to_be_disabled()
    dialog.get_by_label("Name").fill("stocktaking")
    dialog.get_by_label("stock:write").check()
    dialog.get_by_role("button", name="Create a key").click()
    shown = page.get_by_label("Key of stocktaking")
    expect(shown).to_have_value(re.compile("^onh_.{20,}"))
    seat.shoot("settings-key-made-1440-light")
    assert seat.axe() == []
    key = shown.input_value()
    with httpx2.Client(base_url=house.url, headers={"Authorization": f"Bearer {key}"}) as client:
        own = client.get("/v1/key").json()
        assert (own["name"], own["scopes"]) == ("stocktaking", ["read", "stock:write"])
        page.get_by_role("button", name="I have kept it").click()
        assert key not in page.content()
        page.reload()
        seat.settle()
        assert key not in page.content()

        page.get_by_role("button", name="Revoke stocktaking").click()
        expect(dialog).to_contain_text("It cannot be undone")
        dialog.get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("row", name="stocktaking")).to_have_count(0)
        assert client.get("/v1/key").status_code == 401


def test_keys_are_newest_first_each_with_its_end_and_none_that_is_over(house, sit):
    ends = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    for name, more in (("for ever", {}), ("for a while", {"expires_at": ends})):
        house.client.post("/v1/keys", json={"name": name, "scopes": ["read"]} | more).raise_for_status()
    page = sit().go("/settings")
    names = page.get_by_role("rowheader")
    expect(names.nth(0)).to_contain_text("for a while")
    expect(names.nth(1)).to_contain_text("for ever")
    expect(page.get_by_role("row", name="for a while").get_by_role("cell").nth(2)).to_have_text("in 400 days")
    expect(page.get_by_role("row", name="for ever").get_by_role("cell").nth(2)).to_have_text("never")


def test_nobody_revokes_the_key_they_came_with(house, sit):
    page = sit().go("/settings")
    own = house.get("/v1/key")
    row = page.get_by_role("row", name=f"key {own['key_id']},")
    expect(row).to_contain_text("your key")
    expect(row.get_by_role("button")).to_have_count(0)


def test_the_audit_log_is_filtered_by_the_address_and_goes_on(house, sit):
    seat = sit()
    page = seat.go("/settings?tab=audit")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(100)
    page.get_by_label("Kind").fill("policy.*")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.wait_for_url("**/settings?tab=audit&kind=policy.*")
    told = house.get("/v1/audit?kind=policy.*&limit=50")["data"]
    expect(rows).to_have_count(len(told))
    page.get_by_label("Subject").fill("trial")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(rows).to_have_count(len([each for each in told if each["subject"] == "trial"]))
    rows.first.get_by_text("Show").click()
    expect(rows.first.locator("pre")).to_contain_text('"version"')
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_url("**/settings?tab=audit")
    expect(rows).to_have_count(100)


def test_an_endpoint_is_added_switched_on_replayed_and_deleted(house, sit):
    seat = sit()
    page = seat.go("/settings?tab=webhooks")
    page.get_by_role("button", name="Add an endpoint").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("https://1.0.0.1/told")
    dialog.get_by_label("Kinds of events").fill("order.*, stock.changed")
    dialog.get_by_role("button", name="Add an endpoint").click()
    expect(page.get_by_label("Secret of https://1.0.0.1/told")).to_have_value(re.compile("^whsec_"))
    (made,) = [each for each in house.get("/v1/webhooks")["data"] if each["url"] == "https://1.0.0.1/told"]
    assert made["kinds"] == ["order.*", "stock.changed"]

    with house.app.db.connection() as conn, conn.transaction():
        conn.execute(
            "UPDATE webhook SET active = false, disabled_at = now() WHERE webhook_id = %s", [made["webhook_id"]]
        )
    page.reload()
    page.get_by_role("button", name="Switch on https://1.0.0.1/told").click()
    dialog.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("status").filter(has_text="The endpoint is on")).to_be_visible()
    assert house.get(f"/v1/webhooks/{made['webhook_id']}")["active"]

    page.get_by_role("button", name="Deliveries https://1.0.0.1/told").click()
    page.wait_for_url(f"**webhook={made['webhook_id']}")
    expect(page.get_by_text("No deliveries")).to_be_visible()
    page.get_by_role("button", name="Replay https://1.0.0.1/told").click()
    dialog.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status").filter(has_text="0 deliveries are sent again")).to_be_visible()
    page.get_by_role("button", name="Delete https://1.0.0.1/told").click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status").filter(has_text="was deleted")).to_be_visible()
    assert house.client.get(f"/v1/webhooks/{made['webhook_id']}").status_code == 404
    expect(page.get_by_role("button", name="Delete https://1.0.0.1/told")).to_have_count(0)
    assert [url for url in asked if "deliveries" in url] == [], "what was deleted is not asked for once more"


def test_items_of_a_file_are_matched_checked_and_the_good_ones_imported(house, sit):
    seat = sit()
    page = seat.go("/settings?tab=import")
    upload(page, "cups.csv", ITEMS)
    expect(page.get_by_label("Field for SKU")).to_have_value("sku")
    expect(page.get_by_label("Field for Weight G")).to_have_value("weight_g")
    expect(page.get_by_label("Field for Colour")).to_have_value("")
    expect(page.get_by_role("cell", name="Cup; white")).to_be_visible()
    page.get_by_label("Field for Colour").select_option("category")
    page.get_by_label("Field for SKU").select_option("")
    expect(page.locator("main")).to_contain_text("No column goes to sku")
    expect(page.get_by_role("button", name="Check")).to_be_disabled()
    page.get_by_label("Field for SKU").select_option("sku")
    page.get_by_role("button", name="Check").click()
    outcomes = page.locator("section", has=page.get_by_role("heading", name="What would become of the rows"))
    expect(outcomes).to_contain_text("1 would be created")
    expect(outcomes).to_contain_text("1 would be changed")
    expect(outcomes).to_contain_text("2 would be rejected")
    expect(outcomes.get_by_role("listitem").filter(has_text="Line 3")).to_contain_text("weight_g: ")
    expect(outcomes.get_by_role("listitem").filter(has_text="Line 4")).to_contain_text("name: ")
    assert house.client.get("/v1/items/CUP-1").status_code == 404, "a check writes nothing"
    seat.shoot("settings-import-checked-1440-light")
    assert seat.axe() == []
    page.set_viewport_size({"width": 390, "height": 844})
    seat.shoot("settings-import-checked-390-light")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1440, "height": 900})

    with page.expect_download() as download:
        outcomes.get_by_role("button", name="Download rejects").click()
    assert download.value.suggested_filename == "cups-rejects.csv"
    head, *rejects = download.value.path().read_text("utf-8").splitlines()
    assert head == "SKU,Name,Weight G,Colour,price_minor,currency,line,problem"
    assert [row[:6] for row in rejects] == ["CUP-2,", "CUP-3,"]

    page.get_by_role("button", name="Import 2 rows").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 rejected rows are left out")
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="What became of the rows")).to_be_visible()
    cup = house.get("/v1/items/CUP-1")
    assert (cup["name"], cup["weight_g"], cup["category"], cup["price_minor"]) == ("Cup; white", 250, "white", 990)
    assert house.get("/v1/items/MUG-RED")["name"] == "Mug with a new name"
    assert house.client.get("/v1/items/CUP-2").status_code == 404


def test_counts_of_a_json_file_are_imported(house, sit):
    before = house.get("/v1/stock?sku=PLATE&node=hamburg")["data"][0]["on_hand"]
    rows = [
        {"sku": "PLATE", "node": "hamburg", "quantity": before + 7},
        {"sku": "NONE", "node": "hamburg", "quantity": 1},
    ]
    page = sit().go("/settings?tab=import&what=stock")
    upload(page, "counts.json", json.dumps(rows))
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("listitem").filter(has_text="Line 2")).to_contain_text("no item 'NONE'")
    assert house.get("/v1/stock?sku=PLATE&node=hamburg")["data"][0]["on_hand"] == before
    page.get_by_role("button", name="Import 1 row").click()
    page.get_by_role("dialog").get_by_role("button", name="Import").click()
    expect(page.get_by_role("heading", name="What became of the rows")).to_be_visible()
    assert house.get("/v1/stock?sku=PLATE&node=hamburg")["data"][0]["on_hand"] == before + 7


def test_a_file_that_is_none_is_told_why(sit):
    page = sit().go("/settings?tab=import")
    upload(page, "bad.csv", 'sku,name\n"A,Mug\n')
    expect(page.get_by_role("alert")).to_contain_text("The quote in line 2 is not closed")


def test_a_job_is_found_and_cancelled(house, sit):
    body = {"version": 2, "from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}
    job_id = house.client.post("/v1/policies/trial/simulate", json=body).json()["job_id"]
    seat = sit()
    page = seat.go("/settings?tab=jobs")
    page.get_by_label("Kind").select_option("policy.simulate")
    page.get_by_label("State").select_option("queued")
    page.wait_for_url("**/settings?tab=jobs&kind=policy.simulate&state=queued")
    queued = house.get("/v1/jobs?kind=policy.simulate&state=queued")["data"]
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(len(queued))
    page.get_by_role("button", name="Stop Simulation of a policy").first.click()  # the newest
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status").filter(has_text="Simulation of a policy was stopped")).to_be_visible()
    assert house.get(f"/v1/jobs/{job_id}")["state"] == "cancelled"
    expect(page.get_by_role("main").get_by_role("listitem")).to_have_count(len(queued) - 1)


def test_who_is_no_admin_is_told_that_keys_are_not_theirs(house, sit):
    key = house.client.post("/v1/keys", json={"name": "looks", "scopes": ["read"]}).json()["key"]
    seat = sit(key)
    page = seat.page
    page.goto(f"{house.url}/settings")
    expect(page.get_by_role("alert")).to_contain_text("admin")
    seat.trouble.clear()
