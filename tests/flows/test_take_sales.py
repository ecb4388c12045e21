"""What tills sold, as entries: against a merchant at Square on loopback, and a real database."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.connectors.running import serving
from tests.flows.channels import Storefront

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store
from onhand.channels.model import ChannelIn
from onhand.flows.set_up import set_channel
from onhand.flows.take_orders import Channel
from onhand.flows.take_sales import book_sale
from onhand.twin.fakes import square

DOCUMENT = {
    "currency": "USD", "connector": "square", "nodes": ["berlin"],
    "credentials": {"access_token": "EAAA_fake", "webhook_secret": "hook"},
}  # fmt: skip


@pytest.fixture
def till(merchant, tmp_path):
    fake = square.Shop()
    merchant.now = datetime.now(UTC)  # the clock of tills
    with serving(fake.app()) as url:
        made = Storefront(merchant, fake, url, tmp_path, code="till", document=DOCUMENT, place=fake.place)
        made.sales = lambda: made.do(made.ear.sales)
        yield made
        made.close()


@pytest.fixture
def mug(till, merchant):
    merchant.stock("berlin", A=10)
    variation = till.fake.add_product("A", 10)
    till.list("A", variation)
    return variation


def entries(merchant):
    return merchant.rows(
        "SELECT e.quantity, e.reason, e.reference FROM ledger_entry e WHERE e.kind = 'adjustment' ORDER BY e.entry_id"
    )


def parked(merchant):
    return [error for (error,) in merchant.rows("SELECT error FROM channel_message WHERE status = 'parked'")]


def test_a_sale_is_an_entry_once_and_what_is_brought_back_too(till, mug, merchant):
    sold = till.fake.sell(mug, 3)
    assert till.sales() == 1
    till.hear()
    assert merchant.position("A", "berlin")[0] == 7
    assert entries(merchant) == [(-3, "sale", f"till {sold['id']}")]
    back = till.fake.sell(mug, 1, back=True)
    assert till.sales() == 2, "the last minute is read again"
    till.hear()
    assert merchant.position("A", "berlin")[0] == 8
    assert [e[2] for e in entries(merchant)] == [f"till {sold['id']}", f"till {back['id']}"]
    till.sales()
    till.hear()
    assert len(entries(merchant)) == 2
    told = "SELECT data ->> 'channel', data ->> 'sku', (data ->> 'units')::int FROM event WHERE kind = 'sale.booked'"
    assert merchant.rows(f"{told} ORDER BY pos") == [("till", "A", 3), ("till", "A", -1)], "gates follow what is sold"


def test_a_sale_of_what_nobody_knows_waits_for_its_listing(till, merchant):
    merchant.stock("berlin", B=5)
    variation = till.fake.add_product("B-NEW", 5)
    till.fake.sell(variation, 2)
    till.sales()
    till.hear()
    ((status, error),) = merchant.rows("SELECT status, error FROM channel_message")
    assert (status, variation in error) == ("due", True)
    till.list("B", variation)
    merchant.rows("UPDATE channel_message SET next_try_at = now() RETURNING 1")
    till.hear()
    assert merchant.position("B", "berlin")[0] == 3


def test_what_cannot_be_booked_or_read_is_shown_and_stops_no_other(till, mug, merchant):
    till.fake.sell(mug, 11)  # more than we think there is
    till.fake.sell(mug, 1)["quantity"] = "0.5"
    till.fake.sell(mug, 2)
    till.sales()
    for _ in range(9):
        till.hear(1)
        merchant.rows("UPDATE channel_message SET next_try_at = now() WHERE status = 'due' RETURNING 1")
    assert merchant.position("A", "berlin")[0] == 8
    told = parked(merchant)
    assert len(told) == 2
    assert any("0.5" in error for error in told)
    merchant.stock("berlin", A=10)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE channel_message SET status = 'due', next_try_at = now() WHERE error NOT LIKE '%0.5%'")
    till.hear(1)
    assert merchant.position("A", "berlin")[0] == 7, "18 less the 11 that were sold"


def test_what_was_promised_to_somebody_else_is_sold_all_the_same(till, mug, merchant):
    order = merchant.place(("A", 9), to="berlin")
    assert (order["status"], merchant.position("A", "berlin")) == ("sourced", (10, 0, 9, 0))
    sold = till.fake.sell(mug, 3)
    till.sales()
    till.hear()
    assert merchant.position("A", "berlin") == (7, 0, 7, 2), "seven are left, and two promises too many"
    counted = "SELECT quantity, reason, reference FROM ledger_entry WHERE kind = 'count'"
    assert merchant.rows(counted) == [(7, "sale", f"till {sold['id']}")]
    assert parked(merchant) == []


def test_a_channel_of_several_nodes_has_to_say_which(till, mug, merchant):
    document = DOCUMENT | {"nodes": ["berlin", "munich"], "settings": {"url": till.url, "place": till.fake.place}}
    set_channel(till.db, "till", ChannelIn.model_validate(document), by=SYSTEM, connectors=till.connectors)
    merchant.state.reload_network()
    till.fake.sell(mug, 1)
    till.sales()
    till.hear(1)
    ((error,),) = merchant.rows("SELECT error FROM channel_message WHERE status = 'due'")
    assert "give the channel one node" in error


def test_two_workers_with_one_message_book_it_once(till, mug, merchant):
    till.fake.sell(mug, 3)
    till.sales()
    with till.db.connection() as conn:
        (message,) = store.claim_messages(conn, till.channel_id, limit=10, lease_s=60.0)
    channel = Channel(till.channel_id, "till")
    threads = [threading.Thread(target=book_sale, args=(merchant.state, channel, message)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert merchant.position("A", "berlin")[0] == 7
    assert len(entries(merchant)) == 1


def test_a_crash_between_pages_and_bookings_loses_none(till, mug, merchant):
    moment = datetime.now(UTC) - timedelta(seconds=20)
    for n in range(6):
        till.fake.sell(mug, 1, at=moment + timedelta(milliseconds=n // 3))
    assert till.sales() == 6
    till.ear = till.new_ear()  # another process goes on
    till.hear()
    assert till.sales() == 6, "read again, known again"
    till.hear()
    assert merchant.position("A", "berlin")[0] == 4
    assert len(entries(merchant)) == 6


def test_an_online_order_is_an_order_and_no_sale(till, mug, merchant):
    order = till.fake.buy({mug: 2})
    till.fake.buy({mug: 1}, kind="")
    till.sales()
    till.poll()
    till.hear()
    assert till.order(order["id"]).status == "sourced"
    assert merchant.position("A", "berlin")[:1] == (9,)
    assert [e[0] for e in entries(merchant)] == [-1]
    _, body = till.fake.deliver("inventory.count.updated", {mug: 7}, "x")
    assert json.loads(body)["type"] == "inventory.count.updated"
