"""A throttled price is asked in the shop, and afterwards exactly the one before: a shop of Shopify on loopback."""

from tests.connectors.running import serving
from tests.flows.channels import SHOPIFY
from tests.flows.test_publish import publishing, wait_until

from onhand.base.actor import SYSTEM
from onhand.channels.model import ChannelIn, ListingIn
from onhand.flows.accounts import Connectors
from onhand.flows.set_up import set_channel, set_listing
from onhand.twin.fakes.shopify import Shop

from .scenes import SCENES, prepare


def test_a_shop_asks_the_throttled_price_and_then_the_one_before(merchant, tmp_path):
    t = prepare(merchant)  # A costs 10.00
    happens = SCENES["demand-spike"](t)
    fake = Shop()
    fake.currency = "EUR"
    mug, cup = fake.add_product("A", 0, price="10.00"), fake.add_product("B", 0, price="7.77")
    with serving(fake.app()) as url:
        connectors = Connectors(tmp_path)
        document = SHOPIFY | {
            "currency": "EUR", "prices": True, "settings": {"url": url, "place": fake.place, "version": "2026-07"},
        }  # fmt: skip
        set_channel(merchant.db, "shop", ChannelIn.model_validate(document), by=SYSTEM, connectors=connectors)
        set_listing(merchant.db, "shop", "A", ListingIn(external_id=mug, external_sku="A"), by=SYSTEM)
        merchant.state.reload_network()

        def asks(price):
            wait_until(lambda: fake.items[mug]["price"] == price, lambda: fake.items[mug])

        with publishing(merchant.state, connectors):
            incident_id = happens()
            t.turn()
            t.later(minutes=241)
            asks("10.50")
            for _ in range(5):
                t.later(minutes=1441)
            asks("11.50")
            t.close(incident_id)
            t.later()
            asks("10.00")
    assert merchant.rows("SELECT price_minor FROM item WHERE sku = 'A'") == [(1000,)]
    assert fake.items[cup]["price"] == "7.77", "what is no listing of ours is left alone"
    assert merchant.rows("SELECT shown_minor, sent_key FROM published_price") == [(1000, None)]
