"""Orders of channels, against shops that speak a vendor's interface on loopback, and a real database."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import SHOPIFY, Storefront, copy, later

from onhand.base.actor import SYSTEM
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import ship
from onhand.twin.fakes import shopify, woocommerce


@pytest.fixture
def woo(merchant, tmp_path):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        made = Storefront(merchant, fake, url, tmp_path)
        yield made
        made.close()


@pytest.fixture
def products(woo):
    """{sku: id} of what the shop sells of ours."""
    ids = {sku: woo.fake.add_product(sku, 100) for sku in ("A", "B", "KIT")}
    for sku, number in ids.items():
        woo.list(sku, str(number))
    return ids


def test_an_order_comes_in_once_however_often_it_is_told_with_all_that_it_says(woo, products, merchant):
    merchant.stock("berlin", A=10, B=10)
    bought = woo.fake.buy({products["A"]: 2, products["KIT"]: 1})
    headers, body = woo.fake.deliver(bought, topic="order.created")
    assert woo.receive(headers, body)
    assert not woo.receive(headers, body), "a repeat"
    woo.deliver(bought)  # the same as another delivery
    woo.hear()
    woo.poll()
    order = woo.order(bought["id"])
    assert (order.status, order.currency, order.channel) == ("sourced", "USD", "woo")
    assert [(line.line_id, order.skus[line.item_id], line.quantity, line.price_minor) for line in order.lines] == [
        (str(bought["id"] * 100 + 1), "A", 2, 1999), (str(bought["id"] * 100 + 2), "KIT", 1, 1999),
    ]  # fmt: skip
    where = order.wishes.destination
    assert (where.country, where.region, where.postal_code) == ("US", "NY", "10001")
    ((name, email, address),) = merchant.rows(
        "SELECT name, email, address FROM customer WHERE customer_id = %s", order.customer_id
    )
    assert (name, email, address["street"]) == ("Ada Byron", "ada@example.org", "1 Main")
    assert merchant.rows("SELECT count(*) FROM orders")[0] == (1,)
    assert {(status, error) for _, status, _, error in woo.messages()} == {("done", None)}
    assert merchant.rows("SELECT count(*) FROM channel_message WHERE body IS NOT NULL")[0] == (0,)
    assert "Byron" not in merchant.rows("SELECT said FROM channel_order")[0][0], "the person is kept in one place"


def test_what_is_older_never_overwrites_what_is_newer(woo, products, merchant):
    merchant.stock("berlin", A=10)
    bought = woo.fake.buy({products["A"]: 3})
    first = copy(bought)
    later(bought)["status"] = "cancelled"
    woo.deliver(bought)
    woo.deliver(first)
    woo.hear()
    assert woo.order(bought["id"]) is None, "cancelled before it came"
    assert woo.rows() == {str(bought["id"]): ("not_ours", None)}
    assert merchant.position("A", "berlin") == (10, 0, 0, 0)


def test_of_two_states_of_one_second_the_channel_tells_which_is_so(woo, products, merchant):
    merchant.stock("berlin", A=10)
    bought = woo.fake.buy({products["A"]: 3})
    first = copy(bought)
    bought["status"] = "cancelled"
    woo.deliver(bought)
    woo.hear()
    woo.deliver(first)
    woo.hear()
    assert woo.order(bought["id"]) is None
    other = woo.fake.buy({products["A"]: 3})
    paid = copy(other)
    woo.deliver(other | {"status": "pending"})
    woo.deliver(paid)
    woo.hear()
    assert woo.order(other["id"]).status == "sourced"


def test_orders_are_followed_as_they_are_paid_edited_and_cancelled(woo, products, merchant):
    merchant.stock("berlin", A=10, B=10)
    bought = woo.fake.buy({products["A"]: 3}, status="pending")
    woo.deliver(bought)
    woo.hear()
    assert woo.rows() == {str(bought["id"]): ("unpaid", None)}
    assert merchant.position("A", "berlin") == (10, 0, 0, 0), "nothing is promised to who has not paid"
    later(bought)["status"] = "processing"
    woo.deliver(bought)
    woo.hear()
    line = bought["line_items"][0]
    assert woo.open_units(bought["id"]) == {str(line["id"]): 3}
    later(bought)["line_items"][0]["quantity"] = 1
    woo.deliver(bought)
    woo.hear()
    assert woo.open_units(bought["id"]) == {str(line["id"]): 1}
    assert merchant.position("A", "berlin") == (10, 0, 1, 0)
    later(bought)["line_items"][0]["quantity"] = 5
    bought["line_items"].append(line | {"id": 7, "product_id": products["KIT"], "sku": "KIT", "quantity": 2})
    woo.deliver(bought)
    woo.hear()
    assert woo.open_units(bought["id"]) == {str(line["id"]): 5, "7": 2}
    assert (merchant.position("A", "berlin"), merchant.position("B", "berlin")) == ((10, 0, 9, 0), (10, 0, 2, 0))
    later(bought)["status"] = "on-hold"
    woo.deliver(bought)
    woo.hear()
    order = woo.order(bought["id"])
    assert (order.status, order.wishes.hold) == ("held", "the channel says that it is not paid")
    later(bought)["status"] = "processing"
    woo.deliver(bought)
    woo.hear()
    assert woo.order(bought["id"]).status == "sourced"
    later(bought)["status"] = "cancelled"
    woo.deliver(bought)
    woo.hear()
    assert woo.order(bought["id"]).status == "cancelled"
    assert merchant.position("A", "berlin") == (10, 0, 0, 0)
    later(bought)["status"] = "processing"  # a merchant who has thought again
    woo.deliver(bought)
    woo.hear()
    assert woo.order(bought["id"]).status == "sourced"
    assert woo.open_units(bought["id"]) == {str(line["id"]): 5, "7": 2}
    woo.tell()
    assert woo.notices() == [], "the channel knows what it told us"


def test_what_a_person_holds_the_channel_does_not_let_go(woo, products, merchant):
    from onhand.flows.hold_order import hold_order

    merchant.stock("berlin", A=10)
    bought = woo.fake.buy({products["A"]: 3})
    woo.deliver(bought)
    woo.hear()
    hold_order(merchant.state, woo.order(bought["id"]).order_id, "looks like fraud", by=SYSTEM)
    later(bought)["line_items"][0]["quantity"] = 4
    woo.deliver(bought)
    woo.hear()
    order = woo.order(bought["id"])
    assert (order.status, order.wishes.hold) == ("held", "looks like fraud")
    assert woo.open_units(bought["id"]) == {str(bought["line_items"][0]["id"]): 4}


def test_an_order_for_stock_that_is_gone_is_taken_and_waits(woo, products, merchant):
    merchant.stock("berlin", A=1)
    bought = woo.fake.buy({products["A"]: 3})
    woo.deliver(bought)
    woo.hear()
    order = woo.order(bought["id"])
    assert (order.status, merchant.waiting(order.order_id)) == ("unfillable", [("unfillable", "A", 3)])
    assert merchant.position("A", "berlin") == (1, 0, 0, 0), "our ledger is never oversold"


def test_an_order_of_what_is_not_listed_waits_for_its_listing(woo, merchant):
    merchant.stock("berlin", C=10)
    number = woo.fake.add_product("teapot", 10)
    bought = woo.fake.buy({number: 2})
    woo.deliver(bought)
    woo.hear()
    assert woo.order(bought["id"]) is None
    (status, problem) = woo.rows()[str(bought["id"])]
    assert status == "unknown_sku"
    assert "teapot" in problem
    woo.hear()
    woo.list("C", str(number))
    woo.hear()
    order = woo.order(bought["id"])
    assert (order.status, [order.skus[line.item_id] for line in order.lines]) == ("sourced", ["C"])
    assert woo.rows()[str(bought["id"])] == ("taken", None)


def test_a_line_that_is_added_and_not_known_waits_and_the_rest_of_the_edit_does_not(woo, products, merchant):
    merchant.stock("berlin", A=10, C=10)
    bought = woo.fake.buy({products["A"]: 3})
    woo.deliver(bought)
    woo.hear()
    line = bought["line_items"][0]
    bought["line_items"].append(line | {"id": 7, "product_id": 4711, "sku": "teapot", "quantity": 2})
    later(bought)["line_items"][0]["quantity"] = 1
    woo.deliver(bought)
    woo.hear()
    assert woo.open_units(bought["id"]) == {str(line["id"]): 1}
    assert woo.rows()[str(bought["id"])][0] == "unknown_sku"
    woo.list("C", "4711")
    woo.hear()
    assert woo.open_units(bought["id"]) == {str(line["id"]): 1, "7": 2}
    assert woo.rows()[str(bought["id"])] == ("taken", None)


def test_an_order_without_a_place_to_go_is_held_and_not_lost(woo, products, merchant):
    merchant.stock("berlin", A=10)
    bought = woo.fake.buy({products["A"]: 1}, country="")
    woo.deliver(bought)
    woo.hear()
    order = woo.order(bought["id"])
    assert (order.status, order.queue) == ("held", "held")


def test_a_message_that_cannot_be_read_is_kept_tried_again_and_parked(woo, products, merchant):
    merchant.stock("berlin", A=10)
    bought = woo.fake.buy({products["A"]: 1})
    woo.deliver(bought | {"currency": "gold"})
    woo.hear()
    ((_, status, attempts, error),) = woo.messages()
    assert (status, attempts) == ("due", 1)
    assert "GOLD" in error
    for _ in range(10):
        woo.now_due()
        woo.hear()
    ((_, status, attempts, _),) = woo.messages()
    assert (status, attempts) == ("parked", 5)
    assert woo.poll() == 1, "and reading has found the order all the same"
    assert woo.order(bought["id"]).status == "sourced"


def test_a_channel_that_does_not_answer_is_asked_until_it_does(merchant, tmp_path):
    fake = shopify.Shop()
    with serving(fake.app()) as url:
        shop = Storefront(merchant, fake, url, tmp_path, code="s", document=SHOPIFY, place=fake.place)
        item = fake.add_product("A", 10)
        shop.list("A", item)
        merchant.stock("berlin", A=10)
        order = fake.buy({item: 2})
        shop.deliver(order, topic="orders/create")
        httpx2.post(f"{url}/_fake/faults", json=[{"status": 503, "times": 30}])
        for _ in range(10):
            shop.now_due()
            shop.hear()
        ((_, status, attempts, _),) = shop.messages()
        assert (status, shop.order(order["id"])) == ("due", None)
        assert attempts > 5, "a channel that is away parks nothing"
        for _ in range(30):
            shop.now_due()
            shop.hear()
        assert shop.order(order["id"]).status == "sourced"
        fake.orders[order["id"]]["lineItems"]["nodes"][0]["currentQuantity"] = 1
        fake.orders[order["id"]]["updatedAt"] = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        shop.deliver(order, topic="orders/updated")
        shop.hear()
        assert list(shop.open_units(order["id"]).values()) == [1]
        shop.close()


# Reading --------------------------------------------------------------------------------------------------------------


def test_reading_goes_on_where_it_was_broken_off_and_loses_none_of_a_second(woo, products, merchant):
    merchant.stock("berlin", A=500)
    moment = datetime.now(UTC)
    orders = [woo.fake.buy({products["A"]: 1}, at=moment) for _ in range(150)]
    # The process dies once the first page is written down.
    real = woo.follower.follow
    calls = []

    def dies(channel, ids):
        calls.append(1)
        raise KeyboardInterrupt

    woo.follower.follow = dies
    with pytest.raises(KeyboardInterrupt):
        woo.poll()
    woo.follower.follow = real
    assert merchant.rows("SELECT count(*) FROM channel_order")[0] == (100,)
    woo.now_due()
    woo.poll()
    woo.hear()
    assert merchant.rows("SELECT count(*) FROM orders")[0] == (150,)
    late = woo.fake.buy({products["A"]: 1}, at=moment)  # the same second, seen only now
    woo.now_due()
    woo.poll()
    assert woo.order(late["id"]).status == "sourced"
    assert all(woo.order(o["id"]) for o in orders)


# What we tell ---------------------------------------------------------------------------------------------------------


def sent(url):
    return [(r["method"], r["path"]) for r in httpx2.get(f"{url}/_fake/requests").json() if r["method"] == "PUT"]


def test_parcels_are_told_once_also_after_an_answer_that_was_lost(merchant, tmp_path):
    fake = shopify.Shop()
    with serving(fake.app()) as url:
        shop = Storefront(merchant, fake, url, tmp_path, code="s", document=SHOPIFY, place=fake.place)
        item = fake.add_product("A", 10)
        shop.list("A", item)
        merchant.stock("berlin", A=10)
        shop.tell()
        bought = fake.buy({item: 3})
        shop.deliver(bought, topic="orders/create")
        shop.hear()
        order = shop.order(bought["id"])
        from onhand.orders.decide import Amount

        ship(
            merchant.state, order.fulfilment_id(1), carrier="UPS", tracking="1Z1",
            lines=[Amount(line_id=order.lines[0].line_id, quantity=1)], by=SYSTEM,
        )  # fmt: skip
        ship(merchant.state, order.fulfilment_id(1), carrier="UPS", tracking="1Z2", by=SYSTEM)
        # The request that creates the parcel takes effect, and its answer is lost.
        httpx2.post(
            f"{url}/_fake/faults",
            json=[{"status": 0, "after": True, "skip": 1}],
        )
        shop.tell()
        assert [(n, status) for _, n, status, _, _ in shop.notices()] == [(1, "due"), (2, "due")]
        assert len(fake.orders[bought["id"]]["fulfillments"]) == 1
        for _ in range(3):
            shop.now_due()
            shop.tell()
        assert [(kind, n, status) for kind, n, status, _, _ in shop.notices()] == [
            ("parcel", 1, "done"), ("parcel", 2, "done"),
        ]  # fmt: skip
        told = fake.orders[bought["id"]]["fulfillments"]
        assert [f["trackingInfo"][0]["number"] for f in told] == ["1Z1", "1Z2"]
        assert fake.orders[bought["id"]]["displayFulfillmentStatus"] == "FULFILLED"
        shop.deliver(bought)
        shop.hear()
        assert shop.order(bought["id"]).status == "shipped"
        assert shop.rows()[bought["id"]] == ("taken", None)
        shop.close()


def test_a_channel_that_hears_of_the_last_parcel_only_hears_of_it_when_the_rest_is_cancelled(woo, products, merchant):
    merchant.stock("berlin", A=2)
    merchant.stock("munich", B=1)
    woo.tell()
    bought = woo.fake.buy({products["A"]: 2, products["B"]: 1})
    woo.deliver(bought)
    woo.hear()
    order = woo.order(bought["id"])
    ship(merchant.state, order.fulfilment_id(1), tracking="1Z1", by=SYSTEM)
    woo.tell()
    assert woo.notices() == [("parcel", 1, "done", 1, "not_told")]
    assert bought["status"] == "processing"
    cancel_order(merchant.state, order.order_id, by=SYSTEM)
    woo.tell()
    assert bought["status"] == "completed"
    assert woo.order(bought["id"]).status == "shipped"


def test_a_bundle_is_told_with_the_parcel_that_completes_it(woo, products, merchant):
    merchant.stock("berlin", A=2)
    merchant.stock("munich", B=1)
    woo.tell()
    bought = woo.fake.buy({products["KIT"]: 1})
    woo.deliver(bought)
    woo.hear()
    order = woo.order(bought["id"])
    assert len(order.fulfilments) == 2
    ship(merchant.state, order.fulfilment_id(1), tracking="1", by=SYSTEM)
    woo.tell()
    assert woo.notices() == [("parcel", 1, "done", 1, "part_of_a_bundle")]
    ship(merchant.state, order.fulfilment_id(2), tracking="2", by=SYSTEM)
    woo.tell()
    assert bought["status"] == "completed"


def test_what_we_cancel_is_told_and_what_the_channel_cancels_is_not_told_back(woo, products, merchant):
    merchant.stock("berlin", A=10)
    woo.tell()
    ours, theirs = (woo.fake.buy({products["A"]: 1}) for _ in range(2))
    for order in (ours, theirs):
        woo.deliver(order)
    woo.hear()
    cancel_order(merchant.state, woo.order(ours["id"]).order_id, by=SYSTEM)
    later(theirs)["status"] = "cancelled"
    woo.deliver(theirs)
    woo.hear()
    httpx2.post(f"{woo.url}/_fake/faults", json=[{"match": "orders", "status": 503}])
    woo.tell()
    assert [(n[0], n[2]) for n in woo.notices()] == [("cancel", "due")]
    woo.now_due()
    woo.tell()
    assert (ours["status"], [(n[0], n[2]) for n in woo.notices()]) == ("cancelled", [("cancel", "done")])
    assert [path for _, path in sent(woo.url)] == [f"/wp-json/wc/v3/orders/{ours['id']}"] * 2
    woo.deliver(ours)
    woo.hear()
    assert woo.order(ours["id"]).status == "cancelled"


# Reconciliation -------------------------------------------------------------------------------------------------------


def test_reconciliation_takes_in_what_was_lost_and_reports_what_differs(woo, products, merchant):
    merchant.stock("berlin", A=10)
    woo.tell()
    lost = woo.fake.buy({products["A"]: 1})
    edited = woo.fake.buy({products["A"]: 2})
    sent_elsewhere = woo.fake.buy({products["A"]: 1})
    for order in (edited, sent_elsewhere):
        woo.deliver(order)
    woo.hear()
    later(edited)["line_items"][0]["quantity"] = 1
    later(sent_elsewhere)["status"] = "completed"
    report = woo.reconcile()
    assert (report["seen"], report["lost"], report["changed"]) == (3, 1, 2)
    assert woo.order(lost["id"]).status == "sourced"
    assert list(woo.open_units(edited["id"]).values()) == [1]
    held = woo.order(sent_elsewhere["id"])
    assert (held.status, held.wishes.hold) == (
        "held", "the channel says that all of it has been sent, which was not by us",
    )  # fmt: skip
    findings = {f["external_id"]: f["finding"] for f in report["findings"]}
    assert set(findings) == {str(lost["id"]), str(sent_elsewhere["id"])}
    assert "has been sent" in findings[str(sent_elsewhere["id"])]


def test_reconciliation_tells_again_what_a_channel_has_forgotten(woo, products, merchant):
    merchant.stock("berlin", A=10)
    woo.tell()
    bought = woo.fake.buy({products["A"]: 1})
    woo.deliver(bought)
    woo.hear()
    ship(merchant.state, woo.order(bought["id"]).fulfilment_id(1), tracking="1", by=SYSTEM)
    woo.tell()
    assert bought["status"] == "completed"
    later(bought, 60)["status"] = "processing"  # restored from a backup
    report = woo.reconcile()
    assert [f["done"] for f in report["findings"]] == ["the channel is told again"]
    woo.tell()
    assert bought["status"] == "completed"
    assert woo.reconcile()["findings"] == []
    assert json.dumps(woo.rows()[str(bought["id"])]) == '["taken", null]'


def test_an_order_that_was_cancelled_and_waits_for_payment_again_is_held_again(woo, products, merchant):
    merchant.stock("berlin", A=10)
    bought = woo.fake.buy({products["A"]: 4})
    for status in ("processing", "pending", "cancelled", "pending"):
        later(bought)["status"] = status
        woo.deliver(bought)
        woo.hear()
    order = woo.order(bought["id"])
    assert (order.status, order.held, sum(line.open for line in order.lines)) == ("held", True, 4)
    later(bought)["status"] = "processing"
    woo.deliver(bought)
    woo.hear()
    assert woo.order(bought["id"]).status == "sourced"


def test_messages_are_worked_on_side_by_side_and_each_order_counts_once(merchant, tmp_path, monkeypatch):
    """Whoever has to ask for each order does not wait for one answer after the other."""
    fake = shopify.Shop()
    with serving(fake.app()) as url:
        shop = Storefront(merchant, fake, url, tmp_path, code="s", document=SHOPIFY, place=fake.place)
        item = fake.add_product("A", 100)
        shop.list("A", item)
        merchant.stock("berlin", A=100)
        bought = [fake.buy({item: 2}) for _ in range(2)]
        for order in (*bought, *bought):
            shop.deliver(order, topic="orders/create")
        connector = shop.connectors.find("shopify", {})
        ask, under_way = connector.read, asyncio.Barrier(4)

        async def read(*said):
            await asyncio.wait_for(under_way.wait(), 10)
            return await ask(*said)

        monkeypatch.setattr(connector, "read", read)
        shop.hear(1)
        assert [status for _, status, _, _ in shop.messages()] == ["done"] * 4
        assert merchant.position("A", "berlin")[2] == 4
        shop.close()
