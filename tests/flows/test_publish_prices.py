"""Prices of the catalogue reach shops on loopback that fail on demand, after stock, in their currency or not at all."""

import asyncio
import random
from types import SimpleNamespace

import pytest
from tests.flows.test_publish import World, wait_until

from onhand.base.actor import SYSTEM
from onhand.catalog.model import ItemIn
from onhand.channels.model import ChannelIn, ListingIn
from onhand.channels.prices import store
from onhand.channels.prices.book import Listing, PriceBook
from onhand.errors import InvalidInput
from onhand.flows.channel_health import ask_reconcile, channel_health
from onhand.flows.publish_prices import LivePrices, PricePublisher
from onhand.flows.set_up import set_channel, set_item, set_listing

SKUS = "ABC"


def price(world, currency="EUR", **minor):
    for sku, price_minor in minor.items():
        document = {"name": sku, "price_minor": price_minor, "currency": currency}
        set_item(world.db, sku, ItemIn.model_validate(document), by=SYSTEM)


def setup(world, **document):
    channel = ChannelIn.model_validate({"currency": "EUR", "prices": True} | document)
    set_channel(world.db, "new", channel, by=SYSTEM, connectors=world.connectors)


def asks(world, code, **amounts):
    """Wait until the stall asks these."""
    wanted = {f"{code}-{sku}": amount for sku, amount in amounts.items()}
    stall = world.stalls[code]
    wait_until(lambda: wanted.items() <= stall.asked.items(), lambda: (stall.asked, world.health(code)))


def health(world, code):
    return channel_health(world.db, code)["prices"]


def prices_of(publisher, code):
    """What this process has of the prices of a channel; None: it has not begun."""
    return next((live.prices for live in list(publisher.live.values()) if live.account.code == code), None)


def begun(publisher, code):
    """Wait until what a channel asks was read."""
    wait_until(lambda: (prices := prices_of(publisher, code)) is not None and not prices.must_read)
    return prices_of(publisher, code)


@pytest.fixture
def world(shop, tmp_path):
    world = World(shop, tmp_path)
    with world.stack:
        yield world


def test_prices_reach_channels_that_take_ours_after_stock_and_no_other(world):
    price(world, A=1_999, B=500)
    stall = world.channel("ours", skus=SKUS, prices=True)
    theirs = world.channel("theirs", skus=SKUS)
    stall.asked |= {"ours-A": "19.99", "ours-B": "4.00"}
    world.stock(A=1, B=2)
    with world.publishing():
        asks(world, "ours", A="19.99", B="5.00")
        price(world, B=501, C=100)
        asks(world, "ours", B="5.01", C="1.00")
    assert stall.asks[0] == ("ours-B", "5.00"), "what is asked already is not written again"
    assert stall.heard.index("prices") > stall.heard.index("stock")
    assert len(stall.asks) == 3
    with world.publishing():
        price(world, A=2_000)
        asks(world, "ours", A="20.00")
        world.stock(A=3)
        world.shows("theirs", A=4)
    assert len(stall.asks) == 4
    assert not theirs.asked, "merchants keep their prices unless they say so"


def test_a_channel_that_cannot_take_prices_is_not_set_up_to(world):
    with pytest.raises(InvalidInput, match="cannot write prices"):
        setup(world, connector="medusa", settings={"url": "https://shop.example", "place": "1"},
              credentials={"api_key": "sk_1234567"})  # fmt: skip
    with pytest.raises(InvalidInput, match="nowhere to write them"):
        setup(world, connector="api")


def test_what_fails_is_made_good_with_the_newest_price_only_and_once(world):
    stall = world.channel("shop", skus=SKUS, prices=True)
    with world.publishing() as publisher:
        begun(publisher, "shop")
        read = [r["path"] for r in world.apps["shop"].requests if r["method"] == "GET"]
        assert read.count("/prices") == read.count("/currency") == 1
        world.fail("shop", match="/prices", status=0, after=True)  # it takes effect, and its answer is lost
        price(world, A=100)
        wait_until(lambda: stall.heard.count("prices") == 2)
        assert [amount for _, amount in stall.asks] == ["1.00"], "the same request: nothing happened twice"
        world.fail("shop", match="/prices", status=503, times=2)
        for minor in (200, 300, 400):
            price(world, A=minor)
        asks(world, "shop", A="4.00")
        world.stock(A=1)
        world.shows("shop", A=1)
    assert len(stall.asks) <= 4


def test_a_price_that_was_given_up_and_takes_effect_after_a_newer_one_is_made_good(world):
    stall = world.channel("shop", skus=SKUS, prices=True)
    with world.publishing(doubt_s=1.5) as publisher:
        begun(publisher, "shop")
        world.fail("shop", match="/prices", status=0)
        price(world, A=200)
        price(world, A=300)
        asks(world, "shop", A="3.00")
        stall.asked["shop-A"] = "2.00"
        asks(world, "shop", A="3.00")


def test_after_a_crash_what_was_under_way_is_known_and_a_late_process_remembers_nothing(world):
    price(world, A=1_999, B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    with world.publishing() as publisher:
        asks(world, "shop", A="19.99", B="5.00")
        wait_until(lambda: not prices_of(publisher, "shop").is_busy)
    # As if the process had been killed between recording and hearing; B has another price by now.
    with world.db.connection() as conn:
        conn.execute(
            "UPDATE published_price SET sent_minor = 1999, sent_key = 'key-' || item_id, shown_minor = 1,"
            " sent_batch = '0190d0e5-0000-7000-8000-000000000001'"
        )
    stall.asked |= {"shop-A": "0.01", "shop-B": "0.01"}
    with world.publishing() as publisher:
        asks(world, "shop", A="19.99", B="5.00")
        prices = prices_of(publisher, "shop")
        account, rows = prices.account, prices.book.stored(prices.book.items())
        with world.db.connection() as conn:
            assert store.save(conn, account.channel_id, account.updated_at, rows)
        world.put("shop")  # from now on its prices are its own
        with world.db.connection() as conn:
            assert not store.save(conn, account.channel_id, account.updated_at, rows)
            assert conn.execute("SELECT count(*) FROM published_price").fetchone() == (0,)
        wait_until(lambda: prices_of(publisher, "shop") is None)
        stall.asked["shop-A"] = "1.00"
        world.put("shop", prices=True)
        asks(world, "shop", A="19.99")


def test_a_price_in_another_currency_is_never_written(world):
    price(world, A=1_999)
    price(world, "USD", B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    other = world.channel("other", skus="AB", prices=True)
    other.currency = "USD"  # the shop's own: not what its channel's document says
    with world.publishing() as publisher:
        asks(world, "shop", A="19.99")
        assert "in USD" in begun(publisher, "other").fault
        assert prices_of(publisher, "shop").book.counts()["other_currency"] == 1
        price(world, A=2_000)
        asks(world, "shop", A="20.00")
        world.stock(A=1)
        world.shows("other", A=1)
    assert "shop-B" not in stall.asked
    assert not other.asked


def test_what_is_refused_or_changed_by_others_is_seen_and_made_good(world):
    price(world, A=1_999, B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    stall._knows = lambda name: name != "shop-B"
    with world.publishing() as publisher:
        asks(world, "shop", A="19.99")
        stall.asked["shop-A"] = "1.00"
        ask_reconcile(world.db, "shop")
        asks(world, "shop", A="19.99")
        wait_until(lambda: prices_of(publisher, "shop").book.counts()["gone"] == 1)
        set_listing(world.db, "shop", "B", ListingIn(external_id="shop-B2"), by=SYSTEM)
        wait_until(lambda: stall.asked.get("shop-B2") == "5.00")
        wait_until(lambda: not prices_of(publisher, "shop").is_busy)
    told = health(world, "shop")
    assert told["drift"]["examples"] == [
        {"kind": "foreign", "external_id": "shop-A", "external_sku": "A", "believed": 1_999, "seen": 100}
    ]
    assert (told["gone"], told["failing"], told["queue_depth"]) == (0, [], 0)
    with world.db.connection() as conn:
        rows = conn.execute(
            "SELECT kind, data->>'sentence' FROM event WHERE kind LIKE 'prices%' ORDER BY kind"
        ).fetchall()
    assert rows[0] == ("prices.drifted", "shop asked another price than ours for 1 of 1 listings")
    assert ("prices.failed", "shop, 1 of 2 prices: it does not have it any more") in rows


def test_a_price_behind_a_channel_that_is_never_quiet_gets_a_turn_a_minute():
    async def go():
        now = [1_000.0]
        account = SimpleNamespace(code="shop", connector=SimpleNamespace(capabilities=frozenset()))
        book = PriceBook(currency="EUR", batch_max=10)
        prices = LivePrices(account, book, asyncio.Event(), must_read=False)
        rng = random.Random(1)
        publisher = PricePublisher(None, None, lambda: now[0], rng=rng, keys=rng, read_every_s=3_600.0)
        sent = []

        async def send(prices):
            sent.append(now[0])
            prices.left_at = now[0]

        publisher._send = send
        book.put([Listing(1, "x", "x", 500, "EUR")], now[0])
        for _ in range(200):
            publisher.go(prices, now[0], is_quiet=lambda _: False)
            await asyncio.sleep(0)
            now[0] += 1.0
        publisher.go(prices, now[0], is_quiet=lambda _: True)
        await asyncio.sleep(0)
        return sent

    assert asyncio.run(go()) == [1_060.0, 1_120.0, 1_180.0, 1_200.0]
