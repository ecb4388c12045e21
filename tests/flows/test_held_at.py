"""Numbers for a till say as of when they hold: against a merchant at Square on loopback, and a real database."""

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import Storefront
from tests.flows.test_take_sales import DOCUMENT

from onhand.connectors import find
from onhand.connectors._sdk.values import Write
from onhand.db.outbox import Listener
from onhand.flows.held_at import Moments
from onhand.flows.publish import Publisher
from onhand.twin.fakes import square


@pytest.fixture
def till(merchant, tmp_path):
    fake = square.Shop()
    merchant.now = datetime.now(UTC)  # the clock of tills
    with serving(fake.app()) as url:
        made = Storefront(merchant, fake, url, tmp_path, code="till", document=DOCUMENT, place=fake.place)
        yield made
        made.close()


@contextmanager
def publishing(till):
    stop = threading.Event()
    with Listener(till.db) as listener:
        publisher = Publisher(till.merchant.state, listener, till.connectors, allow_private_urls=True, seed=1)
        thread = threading.Thread(target=publisher.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)


def shows(till, variation, units):
    until = time.monotonic() + 15
    while till.fake.stock(variation) != units and time.monotonic() < until:
        httpx2.get(f"{till.url}/_fake/state")
    return till.fake.stock(variation) == units


def test_what_a_till_sells_before_we_hear_of_it_is_taken_off_the_number_that_comes(till, merchant):
    merchant.stock("berlin", A=10)
    variation = till.fake.add_product("A", 3)
    till.list("A", variation)
    till.do(till.ear.sales)
    till.fake.sell(variation, 2)  # nobody has told us
    with publishing(till):
        assert shows(till, variation, 8), "10, of which 2 were sold since the till was heard"
        assert [c["type"] for c in till.fake.changes][-1] == "PHYSICAL_COUNT", "the number came after the sale"
        till.now_due()
        till.do(till.ear.sales)
        till.hear()
        assert merchant.position("A", "berlin")[0] == 8
        merchant.stock("berlin", A=5)
        assert shows(till, variation, 13)


def test_a_sale_that_was_read_and_is_not_booked_yet_counts_as_not_heard(till, merchant):
    merchant.stock("berlin", A=10)
    variation = till.fake.add_product("A", 3)
    till.list("A", variation)
    till.do(till.ear.sales)
    moments = Moments()
    first = moments.look(till.db, till.channel_id, time.time())
    till.fake.sell(variation, 2)
    till.now_due()
    till.do(till.ear.sales)
    unbooked = moments.look(till.db, till.channel_id, time.time())
    (received_at,) = merchant.rows("SELECT received_at FROM channel_message WHERE status = 'due'")[0]
    assert first < unbooked <= received_at
    till.hear()
    till.now_due()
    till.do(till.ear.sales)
    assert moments.look(till.db, till.channel_id, time.time()) > received_at


def test_a_batch_that_is_sent_again_holds_as_of_then_and_another_as_of_later(till):
    moments, at = Moments(), datetime.now(UTC)
    write = Write(external_id="1", quantity=1, key="k")
    (first,) = moments.of("a", [write], at)
    (second,) = moments.of("b", [write], at)
    (again,) = moments.of("a", [write], None)
    (unknown,) = moments.of("of a process that died", [write], None)
    assert first.at == again.at == at
    assert second.at > at, "of two counts of one moment nobody knows which is shown"
    assert unknown.at is None


def test_who_was_not_heard_for_long_is_written_to_all_the_same(till):
    moments, now = Moments(), time.time()
    till.do(till.ear.sales)
    with till.db.connection() as conn:
        conn.execute("UPDATE channel_reading SET ended_at = now() - interval '3 days' WHERE kind = 'sales'")
    at = moments.look(till.db, till.channel_id, now)
    assert datetime.fromtimestamp(now, UTC) - at == timedelta(hours=12)
    assert moments.is_for(find("square").connector)
    assert not moments.is_for(find("shopify").connector)
