"""A channel is connected by a form, tried against a simulated vendor before and after, and changed."""

import json

import pytest
from playwright.sync_api import expect

from onhand.twin.fakes import woocommerce

from ..connectors.running import serving  # noqa: TID252

SECRET = "cs_a_secret_that_nobody_sees"


@pytest.fixture(scope="module")
def shop(house):
    """A shop of WooCommerce at this machine, which the server may call."""
    # The settings of an application do not change while it runs; here it is the test's own machine that is called.
    object.__setattr__(house.app.settings, "allow_private_urls", True)
    fake = woocommerce.Shop()
    fake.add_product("MUG-BLUE", 10)
    with serving(fake.app()) as url:
        yield url


def fill(page, **fields):
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " "), exact=False).first.fill(value)


def test_the_form_is_shown_to_everybody(house, sit):
    sit().show("/channels/new?connector=woocommerce", "Connect a channel", "connecting")


def test_the_form_of_many_settings_is_shown_to_everybody(house, sit):
    seat = sit()
    page = seat.go("/channels/new?connector=csv_feed")
    page.get_by_text("more settings").click()
    expect(page.get_by_label("delimiter")).to_be_visible()
    seat.shoot("connecting-files")
    assert seat.axe() == []


def test_a_channel_is_tried_mended_and_connected(house, shop, sit):
    seat = sit()
    page = seat.go("/channels")
    page.get_by_role("link", name="Connect a channel").click()
    page.get_by_label("Choose what it is talked to by").select_option("woocommerce")
    expect(page).to_have_url(f"{house.url}/channels/new?connector=woocommerce")

    # What is missing is named, and nothing is asked.
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_text("Fill this in.")).to_have_count(4)
    page.get_by_label("Code").fill("web")
    expect(page.get_by_text("A channel of this code is there already")).to_be_visible()
    fill(page, Code="woo", Currency="EUR", url=f"{shop}/", consumer_key="ck_fake", consumer_secret=SECRET)

    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("heading", name="The connection does not work yet")).to_be_visible()
    expect(page.get_by_text("It does not accept the credentials")).to_be_visible()
    expect(page.get_by_text("Invalid signature.")).to_be_visible()
    assert seat.axe() == []
    seat.shoot("connecting-failed")

    page.get_by_label("consumer secret").fill("cs_fake")
    expect(page.get_by_text("The form has changed since this test.")).to_be_visible()
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("heading", name="The connection works")).to_be_visible()
    expect(page.get_by_text("1 read in").first).to_be_visible()
    seat.shoot("connecting-works")
    assert house.client.get("/v1/channels/woo").status_code == 404, "a test writes nothing"

    page.get_by_role("button", name="Connect", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("onhand channel sync woo")
    expect(dialog).not_to_contain_text("not been tested")
    dialog.get_by_role("button", name="Connect").click()
    expect(page).to_have_url(f"{house.url}/channels/woo")
    stored = house.get("/v1/channels/woo")
    assert (stored["connector"], stored["settings"], stored["currency"]) == ("woocommerce", {"url": shop}, "EUR")
    assert house.client.post("/v1/channels/woo/test").json()["verdict"] == "works", "with what was typed"


def test_settings_are_changed_and_what_is_not_typed_stays(house, shop, sit):
    before = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "http://127.0.0.1:1999"}, "priority": 7,
        "gate": {"units": 3}, "nodes": [house.get("/v1/nodes")["data"][0]["code"]],
        "credentials": {"consumer_key": "ck_fake", "consumer_secret": "cs_fake"},
    }  # fmt: skip
    house.client.put("/v1/channels/moved", json=before).raise_for_status()
    was = house.get("/v1/channels/moved")
    seat = sit()
    page = seat.go("/channels/moved")
    page.locator("main").get_by_role("link", name="Settings").click()
    expect(page.get_by_label("url")).to_have_value("http://127.0.0.1:1999")
    expect(page.get_by_label("consumer secret")).to_have_value("")
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_text("Nobody answers there")).to_be_visible()
    expect(page.get_by_text("Not asked after what failed before it.").first).to_be_visible()
    page.get_by_label("url").fill(shop)
    page.get_by_role("button", name="Test the connection").click()
    # What is stored goes to no address but the one that it was stored for.
    expect(page.get_by_text("stored for another address").first).to_be_visible()
    seat.trouble.clear()
    fill(page, consumer_key="ck_fake", consumer_secret="cs_fake")
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("heading", name="The connection works")).to_be_visible()
    page.get_by_label("Name").fill("Moved shop")
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("has not been tested")
    dialog.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{house.url}/channels/moved")
    now = house.get("/v1/channels/moved")
    for each in (was, now):
        del each["updated_at"]
    assert now == was | {"name": "Moved shop", "settings": {"url": shop}}
    assert house.client.post("/v1/channels/moved/test").json()["verdict"] == "works", "its credentials stayed"


def test_the_page_holds_no_secret(house, shop, sit):
    seat = sit()
    page = seat.go("/channels/new?connector=woocommerce")
    assert page.get_by_label("consumer secret").get_attribute("type") == "password"
    fill(page, Code="quiet", Currency="EUR", url=shop, consumer_key="ck_fake", consumer_secret=SECRET)
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("heading", name="The connection does not work yet")).to_be_visible()
    assert SECRET not in page.locator("main").inner_text()
    assert SECRET not in page.url
    assert SECRET not in json.dumps(page.evaluate("[{...sessionStorage}, {...localStorage}]"))


def test_it_speaks_german(house, sit):
    page = sit(locale="de-DE").go("/channels/new?connector=woocommerce")
    page.get_by_role("button", name="Verbindung prüfen").click()
    expect(page.get_by_text("Bitte ausfüllen.").first).to_be_visible()
