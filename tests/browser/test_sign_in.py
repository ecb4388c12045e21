"""A person signs in at her provider, in a browser, and out again."""

import pytest
from playwright.sync_api import expect

from ..conftest import at  # noqa: TID252
from ..issuer import database, open_door  # noqa: TID252


@pytest.fixture(scope="module")
def door(server_url, admin, template, browser):
    with database(admin, template) as name, open_door(at(server_url, name)) as door:
        yield door


def test_a_person_signs_in_at_her_provider_and_out_again(door, browser):
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(f"{door.url}/orders?status=held")
    page.get_by_role("link", name="Sign in at 127.0.0.1").click()
    expect(page.locator("main h1")).to_contain_text("Orders")
    assert page.url == f"{door.url}/orders?status=held"
    key = page.evaluate("sessionStorage.getItem('onhand.key')")
    keys = door.admin.get("/v1/keys").json()["data"]
    assert keys[-1]["name"] == "Ada Lovelace, ada@example.org" and key.startswith(keys[-1]["prefix"])
    with page.expect_response("**/v1/key") as ended:
        page.locator(".rail").get_by_role("button", name="Sign out").click()
    assert ended.value.status == 200
    expect(page.get_by_role("link", name="Sign in at 127.0.0.1")).to_be_visible()
    assert door.admin.get("/v1/keys").json()["data"][-1]["revoked_at"] is not None
    assert page.evaluate("sessionStorage.length") == 0
    page.context.close()


def test_who_may_nothing_is_told_so_in_her_language(door, browser):
    door.issuer.claims["groups"] = []
    page = browser.new_context(locale="de-DE").new_page()
    page.goto(door.url)
    page.get_by_role("link", name="Anmelden bei 127.0.0.1").click()
    expect(page.get_by_role("alert")).to_contain_text("Ihren Gruppen ist nichts erlaubt")
    expect(page.get_by_label("API-Schlüssel")).to_be_visible()
    page.context.close()
