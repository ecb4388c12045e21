"""Each room is opened, seen light and dark, large and small; its main action is done and read back from the API."""

import gzip
import json
import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import expect

from onhand.base.ids import new_id

from .conftest import ROOT

BUILT = ROOT / "src" / "onhand" / "api" / "console"
APP_GZIP_BYTES_MAX = 150_000
TICKET = """\
summary: Put it before a person.
on: [margin_breach]
steps:
  - do: open_ticket
    title: A margin is gone
"""


@pytest.fixture(scope="module")
def incident(house):
    """An incident with a step that waits for a person."""
    found = _found(house, "MUG-RED", risk=48_200)
    house.client.put(
        "/v1/playbooks/price-outlier", content=TICKET.encode(), headers={"Content-Type": "application/yaml"}
    ).raise_for_status()
    house.work()
    return found


def _found(house, sku, risk):
    incident_id = new_id()
    with house.app.db.connection() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO incident (incident_id, kind, cause_what, cause_key, loss_minor, risk_minor, confidence,"
            " currency, since, opened_at, seen_at)"
            " VALUES (%s, 'margin_breach', 'item', %s, %s, %s, 0.9, 'EUR', now(), now(), now())",
            (incident_id, [sku], risk, risk),
        )
        conn.execute(
            "INSERT INTO incident_finding VALUES (%s, 'item', %s, %s, 'a margin is gone', %s, 0.9, now(), '[]')",
            (incident_id, [sku], json.dumps({"margin_minor": -120}), risk),
        )
    return incident_id


def rooms(house, incident):
    return {
        "tower": ("/", "Control tower"),
        "orders": ("/orders", "Orders"),
        "order": (f"/orders/{house.shop.orders['shelf']}", "shelf"),
        "incidents": ("/incidents", "Incidents"),
        "incident": (f"/incidents/{incident}", "Margin breach"),
        "autopilot": ("/autopilot", "Autopilot"),
        "stock": ("/stock", "Stock"),
        "item": ("/stock/MUG-BLUE?channel=web", "MUG-BLUE"),
        "channels": ("/channels", "Channels"),
        "channel": ("/channels/web", "web"),
    }


ROOMS = ("tower", "orders", "order", "incidents", "incident", "autopilot", "stock", "item", "channels", "channel")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_shown_to_everybody(house, incident, sit, room):
    """Without a violation of accessibility or an error, light and dark, and without scrolling sideways on a phone."""
    path, title = rooms(house, incident)[room]
    sit().show(path, title, room)


def test_an_order_is_held_released_and_cancelled_in_part(house, sit):
    placed = house.shop.order("by-hand", ("MUG-BLUE", 3), ("PLATE", 1))
    path = f"/v1/orders/{placed['order_id']}"
    seat = sit()
    page = seat.go(f"/orders/{placed['order_id']}")
    page.get_by_role("button", name="Hold").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nodes may not accept")
    expect(dialog.get_by_role("button", name="Hold")).to_be_disabled()
    dialog.get_by_label("Reason").fill("confirm the address")
    dialog.get_by_role("button", name="Hold").click()
    expect(page.locator("main h1")).to_contain_text("held")
    assert (house.get(path)["status"], house.get(path)["hold"]) == ("held", "confirm the address")

    page.get_by_role("button", name="Release").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(page.locator("main h1")).to_contain_text("sourced")
    assert house.get(path)["status"] == "sourced"

    page.get_by_role("button", name="Cancel order").click()
    page.get_by_role("dialog").get_by_label("3 × MUG-BLUE").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Cancel order").click()
    expect(page.get_by_role("status").filter(has_text="1 line of by-hand was cancelled")).to_be_visible()
    assert [line["cancelled"] for line in house.get(path)["lines"]] == [0, 1]


def test_an_order_is_rerouted_away_from_its_node(house, sit):
    placed = house.shop.order("elsewhere", ("MUG-BLUE", 1))
    (node,) = [each["node"] for each in placed["fulfilments"]]
    seat = sit()
    page = seat.go(f"/orders/{placed['order_id']}")
    expect(page.get_by_role("table", name="Candidates side by side")).to_contain_text("Chosen")
    page.get_by_role("button", name="Reroute").click()
    expect(page.get_by_role("dialog").get_by_label(node)).to_be_checked()
    page.get_by_role("dialog").get_by_role("button", name="Reroute").click()
    expect(page.get_by_role("status").filter(has_text="was sourced again")).to_be_visible()
    live = [f for f in house.get(f"/v1/orders/{placed['order_id']}")["fulfilments"] if f["status"] == "allocated"]
    assert [each["node"] for each in live] != [node]


def test_what_happens_is_seen_without_asking(house, sit):
    seat = sit()
    page = seat.go("/orders")
    expect(page.locator(".rail .live")).to_have_attribute("data-state", "live")
    house.shop.order("just-now", ("PLATE", 1))
    expect(page.get_by_role("link", name="just-now")).to_be_visible()


def test_filters_stand_in_the_address_and_the_back_button_undoes_them(sit):
    seat = sit()
    page = seat.go("/orders")
    page.get_by_label("Status", exact=True).select_option("held")
    page.wait_for_url("**/orders?status=held")
    expect(page.get_by_role("link", name=re.compile("^held-"))).to_have_count(10)
    page.get_by_role("link", name="held-3").click()
    expect(page.locator("main h1")).to_contain_text("held-3")
    page.go_back()
    page.wait_for_url("**/orders?status=held")
    page.go_back()
    page.wait_for_url("**/orders")
    expect(page.get_by_label("Status", exact=True)).to_have_value("")
    expect(page.get_by_role("link", name="more-39")).to_be_visible()
    page.get_by_role("searchbox").fill("held-7")
    expect(page.get_by_role("link", name=re.compile("^held-"))).to_have_count(1)
    page.reload()
    expect(page.get_by_role("searchbox")).to_have_value("held-7")


def test_a_step_is_approved_and_taken_back(house, incident, sit):
    seat = sit()
    page = seat.go(f"/incidents/{incident}")
    expect(page.locator("main")).to_contain_text("Waits for a person's yes")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    house.work()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    (run,) = house.get(f"/v1/incidents/{incident}/runs")["data"]
    assert (run["status"], run["parts"][0]["outcome"]) == ("standing", "done")

    # A ticket costs nothing and nothing can be judged of it; something that was left undone has cost 300 of 450.
    money = page.locator("section").filter(has=page.get_by_role("heading", name="Outcome in money"))
    expect(money).to_contain_text("Savednot known")
    expect(money).not_to_contain_text("Left undone")
    with house.app.db.connection() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO autopilot_target (reference, key, domain, kind, held_out, stake_minor, gain_minor, basis, at,"
            " judge_at, lost_minor, judged_at) SELECT %s, '{order,x}', min(domain), 'reroute', true, 45000, 45000,"
            " '{}', now() - interval '2 days', now() - interval '1 day', 30000, now() FROM autopilot_domain",
            (f"run:{run['run_id']}/1",),
        )
    told = house.get(f"/v1/incidents/{incident}")["money"]
    assert (told["booked_minor"], told["saved_minor"], told["held_out"]["lost_minor"]) == (0, None, 30_000)
    page.reload()
    expect(money).to_contain_text("€300.00 of €450.00 lost (1 of 1 judged)")

    page.get_by_role("button", name="Undo").click()
    page.get_by_role("dialog").get_by_label("Why").fill("it was right")
    page.get_by_role("dialog").get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    house.work()
    expect(page.locator("main")).to_contain_text("taken back")
    (run,) = house.get(f"/v1/incidents/{incident}/runs")["data"]
    assert (run["status"], run["why"]) == ("undone", "it was right")


def test_an_incident_is_left_alone(house, sit):
    found = _found(house, "LAMP", risk=7)
    seat = sit()
    page = seat.go(f"/incidents/{found}")
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("dialog").get_by_role("button", name="Dismiss").click()
    expect(page.locator("main h1")).to_contain_text("left alone")
    assert house.get(f"/v1/incidents/{found}")["status"] == "dismissed"


def test_the_autopilot_is_stopped_and_its_guardrails_are_set(house, sit):
    seat = sit()
    page = seat.go("/autopilot")
    page.get_by_role("button", name="Stop everything").click()
    page.get_by_role("dialog").get_by_label("Why").fill("Inventur, während wir zählen")
    page.get_by_role("dialog").get_by_role("button", name="Stop everything").click()
    expect(page.locator("main")).to_contain_text("The autopilot is stopped")
    switch = house.get("/v1/autopilot")["switch"]
    assert (switch["stopped"], switch["reason"]) == (True, "Inventur, während wir zählen")
    page.get_by_role("button", name="Let it act again").click()
    page.get_by_role("dialog").get_by_role("button", name="Let it act again").click()
    expect(page.locator("main")).to_contain_text("The autopilot may act")
    assert not house.get("/v1/autopilot")["switch"]["stopped"]

    page.get_by_role("button", name="Change Rebalance").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("auto").check()
    dialog.get_by_label("Money an hour").fill("500")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("currency")  # the field, and what is to be done about it
    seat.trouble.clear()
    dialog.get_by_label("Currency").fill("eur")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("row", name="Rebalance")).to_contain_text("auto")
    (domain,) = [each for each in house.get("/v1/autopilot")["domains"] if each["domain"] == "rebalance"]
    assert (domain["mode"], domain["guardrails"]["money_per_hour_minor"]) == ("auto", 50_000)


def test_a_count_is_recorded_and_the_number_explained_then_and_now(house, sit):
    before = house.get("/v1/stock?sku=MUG-RED&node=munich")["data"][0]
    ats = house.get("/v1/availability?sku=MUG-RED&channel=market")["ats"]
    then = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    seat = sit()
    page = seat.go("/stock/MUG-RED?channel=market")
    expect(page.get_by_role("heading", name=f"Why is ATS {ats:,}?")).to_be_visible()
    page.get_by_role("button", name="Record a count").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Node").select_option("munich")
    dialog.get_by_label("Units counted").fill(str(before["on_hand"] + 5))
    expect(dialog).to_contain_text("The count changes that by 5")
    dialog.get_by_role("button", name="Record").click()
    expect(page.get_by_role("heading", name=f"Why is ATS {ats + 5:,}?")).to_be_visible()
    assert house.get("/v1/stock?sku=MUG-RED&node=munich")["data"][0]["on_hand"] == before["on_hand"] + 5
    expect(page.locator("section", has=page.get_by_role("heading", name="Ledger"))).to_contain_text("count")
    seat.go(f"/stock/MUG-RED?channel=market&at={then}")
    expect(page.get_by_role("heading", name=f"Why is ATS {ats:,}?")).to_be_visible()


def test_the_grid_draws_what_is_seen_and_leads_to_the_item(sit):
    seat = sit()
    page = seat.go("/stock?measure=on_hand")
    grid = page.get_by_role("table", name="On hand")
    expect(grid.get_by_role("columnheader", name="munich")).to_be_visible()
    grid.get_by_role("link", name="PLATE").click()
    page.wait_for_url("**/stock/PLATE")
    expect(page.locator("main h1")).to_contain_text("PLATE")


def test_a_channel_is_asked_to_be_compared(house, sit):
    document = {
        "currency": "EUR", "connector": "woocommerce", "settings": {"url": "https://shop.example"},
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs"},
    }  # fmt: skip
    house.client.put("/v1/channels/woo", json=document).raise_for_status()
    seat = sit()
    page = seat.go("/channels/woo")
    page.get_by_role("button", name="Compare now").click()
    page.get_by_role("dialog").get_by_role("button", name="Compare now").click()
    expect(page.get_by_role("status").filter(has_text="will be compared")).to_be_visible()


def test_orders_are_filtered_by_day(house, sit):
    seat = sit()
    page = seat.go("/orders")
    today = datetime.now().astimezone().date()
    before = today - timedelta(days=1)
    page.get_by_label("Placed from (day)").fill(today.isoformat())
    page.wait_for_url("**/orders?from=*")
    expect(page.get_by_role("link", name="more-39")).to_be_visible()
    page.get_by_label("Placed from (day)").fill("")
    page.get_by_label("Placed until (day)").fill(before.isoformat())
    page.wait_for_url("**/orders?to=*")
    expect(page.get_by_text("No order is like that")).to_be_visible()
    midnight = parse_qs(urlsplit(page.url).query)["to"][0]
    assert datetime.fromisoformat(midnight) == datetime.combine(today, time()).astimezone()
    assert house.get(f"/v1/orders?to={midnight}")["data"] == []
    page.reload()
    expect(page.get_by_label("Placed until (day)")).to_have_value(before.isoformat())
    assert seat.axe() == []


def test_signing_in_and_out(house, sit):
    seat = sit(None)
    page = seat.page
    page.goto(f"{house.url}/orders?status=held")
    page.get_by_label("API key").fill("onh_of-nobody-at-all-000000000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("this API key is not valid")
    assert seat.axe() == []
    seat.shoot("sign-in-1440-light")
    seat.trouble.clear()
    page.get_by_label("API key").fill(house.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="held-3")).to_be_visible()  # where somebody wanted to go
    assert house.key not in page.url
    page.locator(".rail").get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_who_may_not_is_told_which_scope_is_missing(house, sit):
    key = house.client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    seat = sit(key)
    page = seat.go(f"/orders/{house.shop.orders['held-9']}")
    page.get_by_role("button", name="Release").click()
    page.get_by_role("dialog").get_by_role("button", name="Release").click()
    expect(page.get_by_role("alert")).to_contain_text("orders:write")
    seat.trouble.clear()


def test_the_keyboard_is_enough(house, sit):
    seat = sit()
    page = seat.go("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(".rail").get_by_role("link", name="Orders")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders")
    expect(page.locator("main h1")).to_be_focused()
    seat.go(f"/orders/{house.shop.orders['held-1']}")
    page.get_by_role("button", name="Release").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_german_numbers_and_words_for_a_german_browser(sit):
    seat = sit(locale="de-DE")
    page = seat.go("/incidents")
    expect(page.locator("main h1")).to_have_text("Störungen")
    expect(page.get_by_role("row", name="Marge unterschritten").first).to_contain_text("482,00\xa0€")
    page.locator(".rail").get_by_label("Sprache").select_option("en")
    expect(page.locator("main h1")).to_have_text("Incidents")
    page.locator(".rail").get_by_label("Colours").select_option("dark")
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_nothing_is_at_an_unknown_address(sit):
    page = sit().go("/no/such/room")
    expect(page.locator("main h1")).to_have_text("Nothing is here")


def test_an_empty_shop_says_what_to_do(house, sit):
    """Lists are answered empty here, for the shop is not."""
    seat = sit()
    seat.page.route("**/v1/*", lambda route: route.fulfill(json={"data": [], "next_cursor": None}))
    grid = {"measure": "available", "items": 0, "first": 0, "nodes": [], "rows": []}
    seat.page.route("**/v1/stock/grid*", lambda route: route.fulfill(json=grid))
    for path, says in (
        ("/orders", "No orders yet"), ("/incidents", "All calm"), ("/stock", "No stock yet"),
        ("/channels", "No channels yet"),
    ):  # fmt: skip
        expect(seat.go(path).locator("main")).to_contain_text(says)
    seat.shoot("channels-empty-1440-light")


def test_a_server_that_is_away_is_told_of_and_can_be_asked_again(sit):
    seat = sit()
    seat.page.route("**/v1/incidents?*", lambda route: route.abort())
    page = seat.page
    page.goto(f"{seat.house.url}/incidents")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    seat.shoot("incidents-away-1440-light")
    page.unroute("**/v1/incidents?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    seat.trouble.clear()


def test_app_code_is_small_and_charts_and_the_map_come_later(browser):
    """What a browser loads to enter any one room: the page's own code, what that imports, and the room's."""
    folder = BUILT / "assets"
    size = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in folder.glob("*.js")}
    imports = {name: set(re.findall(r'(?:from|import)"\./([^"]+\.js)"', (folder / name).read_text())) for name in size}

    def loaded(*names):
        found, waiting = set(), [*names]
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting += imports[name]
        return found

    entry = re.search(r'src="/assets/(index-[^"]+\.js)"', Path(BUILT / "index.html").read_text("utf-8"))
    assert entry is not None
    later = {name for name in size if name.startswith(("echarts-", "NetworkMap-", "de-"))}
    assert len(later) == 3, sorted(size)
    rooms = set(re.findall(r'import\(`?"?\./([^"`]+\.js)', (folder / entry[1]).read_text())) - later
    assert len(rooms) >= 20, rooms
    code = {room: loaded(entry[1], room) for room in rooms}
    assert not any(names & later for names in code.values())
    largest = {room: sum(size[name] for name in names) for room, names in code.items()}
    assert max(largest.values()) <= APP_GZIP_BYTES_MAX, largest
    print("the largest room, all rooms:", max(largest.values()), sum(size.values()) - sum(size[n] for n in later))


def test_other_programs_are_not_given_the_page(house):
    with httpx2.Client(base_url=house.url, headers={"Accept": "application/json"}) as client:
        assert client.get("/ordres").json()["code"] == "route.not_found"
