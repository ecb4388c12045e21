"""Prices of the catalogue reach shops on loopback that fail on demand, after stock, in their currency or not at all."""

import pytest
from tests.flows.test_publish import World, wait_until

from onhand.base.actor import SYSTEM
from onhand.catalog.model import ItemIn
from onhand.channels.model import ChannelIn, ListingIn
from onhand.channels.prices import store
from onhand.errors import InvalidInput
from onhand.flows.channel_health import ask_reconcile, channel_health
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


@pytest.fixture
def world(shop, tmp_path):
    world = World(shop, tmp_path)
    with world.stack:
        yield world


def test_prices_reach_channels_that_take_ours_and_no_other(world):
    price(world, A=1_999, B=500)
    world.channel("ours", skus=SKUS, prices=True)
    world.channel("theirs", skus=SKUS)
    with world.publishing():
        asks(world, "ours", A="19.99", B="5.00")
        price(world, A=2_250, B=501)
        asks(world, "ours", A="22.50", B="5.01")
        price(world, C=100)
        asks(world, "ours", C="1.00")
        world.stock(A=3)
        world.shows("theirs", A=3)
    assert not world.stalls["theirs"].asked, "merchants keep their prices unless they say so"
    with world.db.connection() as conn:
        assert conn.execute("SELECT count(*) FROM published_price WHERE sent_key IS NOT NULL").fetchone() == (0,)


def test_a_channel_that_cannot_take_prices_is_not_set_up_to(world):
    with pytest.raises(InvalidInput, match="cannot write prices"):
        setup(
            world,
            connector="medusa",
            settings={"url": "https://shop.example", "place": "1"},
            credentials={"api_key": "sk_1234567"},
        )
    with pytest.raises(InvalidInput, match="nowhere to write them"):
        setup(world, connector="api")


def test_what_is_asked_already_is_not_written_again(world):
    price(world, A=1_999, B=500)
    stall = world.channel("shop", skus=SKUS, prices=True)
    stall.asked |= {"shop-A": "19.99", "shop-B": "4.00"}
    with world.publishing():
        asks(world, "shop", A="19.99", B="5.00")
    with world.publishing():
        price(world, A=2_000)
        asks(world, "shop", A="20.00")
    assert stall.asks == [("shop-B", "5.00"), ("shop-A", "20.00")]


def test_an_outage_is_made_good_with_the_newest_price_only(world):
    stall = world.channel("shop", skus=SKUS, prices=True)
    with world.publishing():
        wait_until(lambda: (told := health(world, "shop")) is not None and told["read_at"] is not None)
        world.fail("shop", match="/prices", status=503, times=2)
        for minor in (100, 200, 300):
            price(world, A=minor)
        asks(world, "shop", A="3.00")
        world.stock(A=1)
        world.shows("shop", A=1)
    assert [amount for _, amount in stall.asks][-1] == "3.00"
    assert len(stall.asks) <= 3


def test_a_price_whose_answer_was_lost_is_sent_again_under_its_key(world):
    stall = world.channel("shop", skus=SKUS, prices=True)
    with world.publishing():
        wait_until(lambda: (told := health(world, "shop")) is not None and told["read_at"] is not None)
        world.fail("shop", match="/prices", status=0, after=True)
        price(world, A=100)
        asks(world, "shop", A="1.00")
        wait_until(lambda: stall.heard.count("prices") == 2)
    assert [amount for _, amount in stall.asks] == ["1.00"], "the same request: nothing happened twice"


def test_a_price_that_was_given_up_and_takes_effect_after_a_newer_one_is_made_good(world):
    stall = world.channel("shop", skus=SKUS, prices=True)
    with world.publishing(doubt_s=2.0):
        wait_until(lambda: (told := health(world, "shop")) is not None and told["read_at"] is not None)
        world.fail("shop", match="/prices", status=0)
        price(world, A=200)
        price(world, A=300)
        asks(world, "shop", A="3.00")
        stall.asked["shop-A"] = "2.00"  # the one that was given up takes effect after all
        asks(world, "shop", A="3.00")


def test_after_a_crash_what_was_under_way_is_known(world):
    price(world, A=1_999, B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    with world.publishing():
        asks(world, "shop", A="19.99", B="5.00")
        wait_until(lambda: health(world, "shop")["under_way"] == 0)
    # As if the process had been killed between recording and hearing; B has another price by now.
    with world.db.connection() as conn:
        conn.execute(
            "UPDATE published_price SET sent_minor = 1999, sent_key = 'key-' || item_id, shown_minor = 1,"
            " sent_batch = '0190d0e5-0000-7000-8000-000000000001'"
        )
    stall.asked |= {"shop-A": "0.01", "shop-B": "0.01"}
    with world.publishing():
        asks(world, "shop", A="19.99", B="5.00")


def test_a_price_in_another_currency_is_never_written(world):
    price(world, A=1_999)
    price(world, "USD", B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    other = world.channel("other", skus="AB", prices=True)
    other.currency = "USD"  # the shop's own: not what its channel's document says
    with world.publishing():
        asks(world, "shop", A="19.99")
        wait_until(lambda: "in USD" in (health(world, "other") or {}).get("fault", ""))
        assert health(world, "shop")["other_currency"] == 1
        price(world, A=2_000)
        asks(world, "shop", A="20.00")
    assert "shop-B" not in stall.asked
    assert not other.asked
    assert channel_health(world.db, "other")["status"] == "publishing", "stock goes on"


def test_a_price_that_somebody_else_changed_is_told_of_and_ours_again(world):
    price(world, A=1_999, B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    with world.publishing():
        asks(world, "shop", A="19.99", B="5.00")
        stall.asked["shop-A"] = "1.00"
        ask_reconcile(world.db, "shop")
        asks(world, "shop", A="19.99")
        wait_until(lambda: (health(world, "shop")["drift"] or {}).get("foreign") == 1)
    drift = health(world, "shop")["drift"]
    assert drift["examples"] == [
        {"kind": "foreign", "external_id": "shop-A", "external_sku": "A", "believed": 1_999, "seen": 100}
    ]
    with world.db.connection() as conn:
        told = conn.execute("SELECT data->>'sentence' FROM event WHERE kind = 'prices.drifted'").fetchall()
    assert told == [("shop asked another price than ours for 1 of 2 listings",)]


def test_what_is_refused_stops_no_other_and_is_seen(world):
    price(world, A=1_999, B=500)
    stall = world.channel("shop", skus="AB", prices=True)
    stall._knows = lambda name: name != "shop-B"
    with world.publishing():
        asks(world, "shop", A="19.99")
        wait_until(lambda: health(world, "shop")["gone"] == 1)
        told = health(world, "shop")
        assert [(row["sku"], row["is_dead"]) for row in told["failing"]] == [("B", False)]
        stall._knows = lambda _: True
        set_listing(world.db, "shop", "B", ListingIn(external_id="shop-B2"), by=SYSTEM)
        wait_until(lambda: stall.asked.get("shop-B2") == "5.00")


def test_stock_goes_first(world):
    """Numbers and prices of many listings are due at once: all numbers leave before the first price."""
    stall = world.channel("shop", skus=SKUS, prices=True)
    price(world, A=100, B=200, C=300)
    world.stock(A=1, B=2, C=3)
    world.fail("shop", match="/stock", status=200, delay_s=0.3, times=1)
    with world.publishing():
        asks(world, "shop", A="1.00", B="2.00", C="3.00")
    assert stall.heard.index("prices") > max(n for n, kind in enumerate(stall.heard[:2]) if kind == "stock")
    assert stall.heard[0] == "stock"


def test_a_channel_whose_prices_were_its_own_meanwhile_is_written_anew(world):
    price(world, A=1_999)
    stall = world.channel("shop", skus="A", prices=True)
    with world.publishing():
        asks(world, "shop", A="19.99")
        world.put("shop")
        wait_until(lambda: health(world, "shop") is None)
        stall.asked["shop-A"] = "1.00"
        price(world, A=2_000)
        world.put("shop", prices=True)
        asks(world, "shop", A="20.00")
    assert [amount for _, amount in stall.asks] == ["19.99", "20.00"]


def test_a_process_that_is_late_remembers_nothing_of_a_channel_that_has_changed(world):
    price(world, A=1_999)
    world.channel("shop", skus="A", prices=True)
    with world.publishing() as publisher:
        asks(world, "shop", A="19.99")
        (live,) = publisher.live.values()
        account, rows = live.account, live.prices.book.stored(live.prices.book.items())
    with world.db.connection() as conn:
        assert store.save(conn, account.channel_id, account.updated_at, rows)
    world.put("shop", prices=True, currency="USD")
    with world.db.connection() as conn:
        assert not store.save(conn, account.channel_id, account.updated_at, rows)
        assert conn.execute("SELECT count(*) FROM published_price").fetchone() == (0,)
