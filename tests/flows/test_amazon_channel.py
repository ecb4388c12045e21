"""A channel at Amazon, whose messages come by a queue: an account that speaks its interface, and a real database."""

import asyncio
import threading
import time

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import Storefront, amazon_at

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store
from onhand.connectors import Refused, Unavailable
from onhand.connectors._sdk.values import Page
from onhand.db.outbox import Listener
from onhand.flows.fulfil import ship
from onhand.flows.publish import Publisher
from onhand.twin.fakes import amazon


@pytest.fixture
def shop(merchant, tmp_path):
    account = amazon.Account(speed=1_000.0)
    with serving(account.app()) as url:
        document, settings = amazon_at(account, url)
        made = Storefront(merchant, account, url, tmp_path, code="amazon", document=document, **settings)
        for sku in ("A", "B"):
            account.add_product(sku, 10)
            made.list(sku, sku)
        yield made
        made.close()


def hear(shop):
    """Messages are fetched and worked on until none is left."""
    while shop.do(shop.ear.fetch):
        shop.now_due()
    shop.hear()


def test_an_order_comes_by_the_queue_and_its_parcel_goes_out(shop, merchant):
    merchant.stock("berlin", A=10, B=10)
    pending = shop.fake.buy({"A": 2}, paid=False)
    hear(shop)
    assert shop.rows() == {pending["orderId"]: ("unpaid", None)}
    shop.fake.pay(pending["orderId"])
    hear(shop)
    order = shop.order(pending["orderId"])
    assert (order.status, order.channel, order.currency) == ("sourced", "amazon", "USD")
    assert merchant.position("A", "berlin") == (10, 0, 2, 0)
    assert len(shop.fake.queue) == 0
    assert {status for _, status, _, _ in shop.messages()} == {"done"}


def test_a_message_whose_worker_died_comes_again_and_counts_once(shop, merchant, monkeypatch):
    merchant.stock("berlin", A=10)
    shop.fake.buy({"A": 3})
    told = len(shop.fake.queue)

    class Died(BaseException):
        pass

    async def dies(*_):
        raise Died

    connector = shop.connectors.find("amazon", {})
    monkeypatch.setattr(connector, "settle_messages", dies)
    with pytest.raises(Died):
        shop.do(shop.ear.fetch)
    monkeypatch.undo()
    assert (len(shop.messages()), len(shop.fake.queue)) == (told, told), "stored, and still there"
    shop.fake.advance(121)
    shop.now_due()
    hear(shop)
    assert (len(shop.messages()), len(shop.fake.queue)) == (told, 0)
    assert merchant.rows("SELECT count(*) FROM orders")[0] == (1,)
    assert merchant.position("A", "berlin") == (10, 0, 3, 0)


def test_who_is_ended_while_listening_leaves_the_queue_to_the_next(shop, merchant, monkeypatch):
    shop.fake.buy({"A": 1})
    connector = shop.connectors.find("amazon", {})
    listens = asyncio.Event()

    async def listen(*_):
        listens.set()
        await asyncio.Event().wait()

    async def end(account):
        listening = asyncio.create_task(shop.ear.fetch(account))
        await listens.wait()
        listening.cancel()
        await asyncio.wait([listening])
        return listening.cancelled()

    monkeypatch.setattr(connector, "pull_messages", listen)
    assert shop.do(end)
    monkeypatch.undo()
    assert shop.do(shop.ear.fetch) > 0


def test_nothing_is_removed_that_could_not_be_stored(shop, merchant, monkeypatch):
    shop.fake.buy({"A": 1})
    told = len(shop.fake.queue)

    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr("onhand.flows.hear_channels.store.add_message", full)
    with pytest.raises(OSError, match="no space"):
        shop.do(shop.ear.fetch)
    assert len(shop.fake.queue) == told


def test_a_queue_that_is_not_there_is_told_and_orders_are_read_all_the_same(shop, merchant):
    merchant.stock("berlin", A=10)
    bought = shop.fake.buy({"A": 1})
    shop.fake.queue.secret = "another"
    assert shop.do(shop.ear.fetch) == 0
    (found,) = merchant.rows("SELECT error FROM channel_reading WHERE kind = 'queue'")
    assert "signature" in found[0]
    assert shop.do(shop.ear.fetch) == 0, "not at once again"
    shop.poll()
    assert shop.order(bought["orderId"]).status == "sourced"


def test_an_order_that_amazon_oversold_is_taken_in_and_what_is_shipped_is_told(shop, merchant):
    merchant.stock("berlin", A=1)
    shop.tell()
    first = shop.fake.buy({"A": 1})
    second = shop.fake.buy({"A": 1}, force=True)
    hear(shop)
    states = [shop.order(o["orderId"]).status for o in (first, second)]
    assert states[0] == "sourced"
    assert shop.order(second["orderId"]) is not None, "never lost"
    order = shop.order(first["orderId"])
    ship(merchant.state, order.fulfilment_id(1), carrier="UPS", tracking="1Z5", by=SYSTEM)
    shop.tell()
    assert first["fulfillment"]["fulfillmentStatus"] == "SHIPPED"
    assert [p["trackingNumber"] for p in first["packages"]] == ["1Z5"]
    shop.tell()
    assert len(first["packages"]) == 1


def test_numbers_are_published_and_verified_once_they_are_shown(shop, merchant, monkeypatch):
    monkeypatch.setattr("onhand.flows.confirm_writes._FIRST_S", 0.2)
    shop.fake.lag_s = 0.5
    merchant.stock("berlin", A=7, B=3)
    stop = threading.Event()
    with Listener(shop.db) as listener:
        publisher = Publisher(merchant.state, listener, shop.connectors, allow_private_urls=True, seed=1)
        thread = threading.Thread(target=publisher.run, args=(stop,), daemon=True)
        thread.start()
        try:
            until = time.monotonic() + 30
            verified = "SELECT count(*) FROM published WHERE verified_at = shown_at AND shown_units IN (7, 3)"
            while merchant.rows(verified)[0][0] < 2 and time.monotonic() < until:
                httpx2.post(f"{shop.url}/_fake/advance", json={"seconds": 0.1})
        finally:
            stop.set()
            thread.join(30)
    assert {sku: listing.quantity for sku, listing in shop.fake.listings.items()} == {"A": 7, "B": 3}
    assert merchant.rows(verified)[0][0] == 2


def test_five_thousand_orders_a_week_are_compared_though_amazon_answers_one_page_in_three_minutes(shop, merchant):
    """50 pages of 100: 20 at once, and then as the usage plan of searchOrders allows (0.0056 a second)."""
    account = shop.fake
    account.speed = 1.0
    account.notified.clear()
    for n in range(5_000):
        order = account.buy({"A": 0})
        if n != 4_321:
            order["fulfillment"]["fulfillmentStatus"] = "SHIPPED"
    account.listings["A"].quantity = 10
    kept = [o["orderId"] for o in account.orders.values() if o["fulfillment"]["fulfillmentStatus"] != "SHIPPED"]
    account.orders[kept[0]]["orderItems"][0] |= {"quantityOrdered": 2}
    merchant.stock("berlin", A=10)
    hours, number, tries = 0.0, None, 0
    while number is None and tries < 60:
        number, tries = shop.do(shop.ear.reconcile), tries + 1
        if number is None:
            let_pass(shop, 180.0)
            hours += 180.0 / 3600
    with shop.db.connection() as conn:
        (report,) = store.list_reports(conn, shop.channel_id, before=number + 1, limit=1)
    assert (report["seen"], report["lost"]) == (5_000, 5_000)
    assert shop.order(kept[0]).status == "sourced"
    assert 1.0 < hours < 2.0, "30 pages of three minutes each"
    assert merchant.rows("SELECT at FROM channel_reading WHERE kind = 'reconcile'")[0] == (None,)


def test_a_comparison_goes_on_where_it_broke_off_and_notes_what_the_channel_does_not_list(shop, merchant):
    merchant.stock("berlin", A=10)
    forgotten, *others = [shop.fake.buy({"A": 1}) for _ in range(5)]
    shop.poll()
    with shop.db.connection() as conn:
        conn.execute("UPDATE channel_order SET said_at = said_at - interval '1 hour'")
    del shop.fake.orders[forgotten["orderId"]]
    connector = shop.connectors.find("amazon", {})
    asked = []

    async def pull(connection, at, *, since):
        asked.append(at)
        page = await type(connector).pull_orders(connector, connection, None, since=since)
        half = len(page.records) // 2
        if at is None:
            return Page(records=page.records[:half], next="half")
        if len(asked) == 2:
            raise Unavailable("too often")
        if len(asked) == 4:
            raise Refused("the token has expired")
        return Page(records=page.records[half:])

    connector.pull_orders = pull
    try:
        assert shop.do(shop.ear.reconcile) is None
        shop.now_due()
        number = shop.do(shop.ear.reconcile)
        assert asked == [None, "half", "half"]
        with shop.db.connection() as conn:
            (report,) = store.list_reports(conn, shop.channel_id, before=number + 1, limit=1)
        assert (report["seen"], report["lost"]) == (len(others), 0)
        (finding,) = report["findings"]
        assert (finding["external_id"], finding["finding"]) == (
            forgotten["orderId"], "the channel does not list it any more",
        )  # fmt: skip
        asked.clear()
        asked.extend([None, None])  # the page after the first is refused: all is read again
        shop.now_due()
        assert shop.do(shop.ear.reconcile) is None
        shop.now_due()
        assert shop.do(shop.ear.reconcile) is not None
        assert asked[2:] == [None, "half", None, "half"]
    finally:
        del connector.pull_orders


def let_pass(shop, seconds):
    """On both sides, limits included."""
    shop.fake.advance(seconds)
    shop.now_due()
    with shop.db.connection() as conn:
        conn.execute(
            "UPDATE channel_bucket SET filled_at = filled_at - make_interval(secs => %(s)s),"
            " paused_until = paused_until - make_interval(secs => %(s)s)",
            {"s": seconds},
        )
        conn.execute("DELETE FROM channel_token")
