"""The tower's figures are the interface's, an order is promised another day, and stock is read as far as it is seen."""

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import expect


def panel(page, title):
    return page.locator("section", has=page.get_by_role("heading", name=title, exact=True))


def test_the_tower_shows_what_waits_and_what_is_late(house, sit):
    with house.app.db.connection() as conn:
        conn.execute(
            "UPDATE orders SET deliver_by = now() - interval '1 h' WHERE order_id = %s", (house.shop.orders["held-5"],)
        )
    page = sit().go("/")
    found = house.get("/v1/orders/queues")
    queues = panel(page, "Queues")
    for queue in found["queues"]:
        row = queues.get_by_role("row").filter(has=page.locator(f"a[href='/orders?queue={queue['queue']}']"))
        expect(row).to_have_count(1 if queue["orders"] else 0)
        if queue["orders"]:
            expect(row.get_by_role("cell").nth(0)).to_have_text(str(queue["orders"]))
            expect(row.get_by_role("cell").nth(1)).to_have_text(str(queue["past_due"]))
    held = next(queue for queue in found["queues"] if queue["queue"] == "held")
    assert held["past_due"] == 1
    work = queues.get_by_role("row", name=re.compile("^To ship"))
    expect(work.get_by_role("cell").first).to_have_text(str(found["to_ship"]["fulfilments"]))
    late = sum(queue["past_due"] for queue in found["queues"]) + found["to_ship"]["past_due"]
    expect(page.get_by_role("link", name="Orders in queues")).to_contain_text(f"{late} past due")


def test_the_tower_shows_what_comes_where_it_goes_and_how_fast_promises_are(house, sit):
    body = {"channel": "web", "destination": {"country": "DE", "postal_code": "10115"},
            "lines": [{"sku": "PLATE", "quantity": 1}]}  # fmt: skip
    house.client.post("/v1/promises", json=body).raise_for_status()
    page = sit().go("/")
    came = house.get("/v1/flows")
    expect(page.locator(".stat", has_text="a second")).to_contain_text(
        f"{came['orders']['last_hour']} in the last hour"
    )
    ways = [way for way in came["flows"] if way["latitude"] is not None]
    expect(page.locator(".map .flows > g")).to_have_count(len(ways))
    first = ways[0]
    expect(page.locator(".map .flows title").first).to_have_text(
        f"{first['node']} → {', '.join(filter(None, (first['region'], first['country'])))}: {first['orders']}"
    )
    expect(page.locator(".stat", has_text="Time to promise")).to_contain_text("p99", timeout=30_000)
    expect(panel(page, "Channels").get_by_role("row", name=re.compile("^market"))).to_be_visible()
    expect(panel(page, "Cost to serve today")).to_contain_text("No other policy is tried beside this one")
    days = panel(page, "Capacity, today and the next two weeks").get_by_role("columnheader")
    expect(days).to_have_count(1 + 14)


def test_what_was_spent_stands_beside_what_was_planned_for_the_same_parcels(house, sit):
    told = {row["key"]: row for row in house.get("/v1/costs?by=term")["data"]}["shipping"]
    planned = told["promised_minor"] - told["not_shipped_minor"]
    assert 0 < planned < told["promised_minor"], "a part has left"
    seat = sit()
    page = seat.go("/")
    costs = panel(page, "Cost to serve today")
    expect(costs.get_by_role("columnheader")).to_have_text(
        ["Cost term", "Planned", "Planned for what shipped", "Spent on it", "Over plan"]
    )
    money = (told["promised_minor"], planned, told["actual_minor"], told["difference_minor"])
    expect(costs.get_by_role("row", name=re.compile("^shipping")).get_by_role("cell")).to_have_text(
        [f"€{minor / 100:,.2f}" for minor in money]
    )
    seat.shoot("tower-costs-1440-light")
    page.set_viewport_size({"width": 390, "height": 844})
    seat.shoot("tower-costs-390-light")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_order_is_promised_another_day_and_its_customer_is_told(house, sit):
    order_id = house.shop.orders["shelf"]
    was = datetime.fromisoformat(house.get(f"/v1/orders/{order_id}")["promise"]["deliver_by"])
    seat = sit()
    page = seat.go(f"/orders/{order_id}")
    page.get_by_role("button", name="Re-promise").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("That is what is promised already")
    expect(dialog.get_by_role("button", name="Promise this day")).to_be_disabled()
    day = (was + timedelta(days=5)).date().isoformat()
    dialog.get_by_label("Day").fill(day)
    expect(dialog.locator("blockquote")).to_contain_text(f"will be with you by {day} instead of {was.date()}")
    expect(dialog.locator("blockquote")).to_contain_text("Dear [name],")
    assert seat.axe() == []
    seat.shoot("repromise-1440-light")
    with house.app.db.connection() as conn:
        assert conn.execute("SELECT count(*) FROM customer_message").fetchone() == (0,)  # so far nothing was done
    dialog.get_by_role("button", name="Promise this day").click()
    expect(page.get_by_role("status").filter(has_text="is promised for")).to_be_visible()
    detail = house.get(f"/v1/orders/{order_id}")
    assert detail["promise"]["deliver_by"].startswith(day)
    assert detail["timeline"][-1]["kind"] == "order.promised_anew"
    expect(page.locator("main")).to_contain_text("Promised anew")
    with house.app.db.connection() as conn:
        assert conn.execute("SELECT status FROM customer_message").fetchall() == [("due",)]


def test_a_day_that_is_past_is_refused_before_it_is_promised(house, sit):
    seat = sit()
    page = seat.go(f"/orders/{house.shop.orders['more-20']}")
    page.get_by_role("button", name="Re-promise").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Day").fill("2020-01-01")
    expect(dialog.get_by_role("alert")).to_contain_text("expected a time to come")
    expect(dialog.get_by_role("button", name="Promise this day")).to_be_disabled()
    seat.trouble.clear()


@pytest.fixture(scope="module")
def many(house):
    """300 items, the last with a long ledger."""
    items = [{"sku": f"ROW-{n:03}", "name": f"row {n}", "weight_g": 10} for n in range(300)]
    house.client.post("/v1/items/batch", json={"items": items}).raise_for_status()
    entries = [{"kind": "receipt", "sku": item["sku"], "node": "munich", "quantity": 7} for item in items]
    entries += [{"kind": "adjustment", "sku": "ROW-299", "node": "munich", "quantity": 1} for _ in range(120)]
    house.client.post("/v1/stock/entries", json={"entries": entries}).raise_for_status()
    return items


def test_the_grid_reads_what_is_seen(many, sit):
    seat = sit()
    asked = []
    seat.page.on("request", lambda request: asked.append(request.url) if "/v1/stock/grid" in request.url else None)
    page = seat.go("/stock?measure=on_hand")
    grid = page.get_by_role("table", name="On hand")
    expect(grid.get_by_role("link", name="MUG-BLUE")).to_be_visible()
    assert {re.search(r"first=(\d+)", url)[1] for url in asked} == {"0"}
    grid.evaluate("view => view.scrollTo(0, view.scrollHeight)")
    last = grid.get_by_role("row").filter(has=page.get_by_role("link", name="ROW-299"))
    expect(last).to_contain_text("127")
    assert "200" not in {re.search(r"first=(\d+)", url)[1] for url in asked} - {"300", "200", "0"}
    assert grid.get_by_role("row").count() < 60  # what cannot be seen is not there
    page.get_by_role("searchbox").fill("row-29")
    expect(page.get_by_role("status").filter(has_text="10 items at 3 nodes")).to_be_visible()
    expect(grid.get_by_role("link", name="ROW-290")).to_be_visible()
    page.get_by_role("searchbox").fill("row-299")
    expect(page.get_by_role("status").filter(has_text="1 items at 3 nodes")).to_be_visible()
    page.get_by_role("button", name="Open item").click()
    page.wait_for_url("**/stock/ROW-299")


def test_the_ledger_begins_with_what_was_recorded_last(many, house, sit):
    page = sit().go("/stock/ROW-299")
    ledger = panel(page, "Ledger")
    rows = ledger.locator("tbody tr")
    expect(rows).to_have_count(100)
    expect(rows.first).to_contain_text("127")
    ledger.get_by_role("button", name="Older entries").click()
    expect(rows).to_have_count(121)
    expect(rows.last).to_contain_text("receipt")
    expect(ledger.get_by_role("button", name="Older entries")).to_have_count(0)
    # What is recorded elsewhere shows up by itself: the event says which item it is about.
    entry = {"kind": "adjustment", "sku": "ROW-299", "node": "munich", "quantity": 1000}
    house.client.post("/v1/stock/entries", json={"entries": [entry]}).raise_for_status()
    expect(rows.first).to_contain_text("1,127")
