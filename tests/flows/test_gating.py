"""Computed gates on a real database: a slow channel is shown less while others sell briskly, and more when they stop."""

import contextlib
import json
import threading
import time

import pytest
from tests.connectors.running import serving
from tests.flows.test_publish import wait_until

from onhand.base.actor import SYSTEM
from onhand.channels.gates import store
from onhand.channels.gates.exposure import Latency
from onhand.channels.gates.words import sentence
from onhand.channels.model import ChannelIn, ListingIn
from onhand.db.outbox import Listener
from onhand.flows.accounts import Connectors
from onhand.flows.enquire import Enquirer, Enquiry
from onhand.flows.publish import Publisher
from onhand.flows.set_up import set_channel, set_listing
from onhand.twin.fakes.stall import DOCUMENT, Stall

SKUS = "ABCDEF"
ADAPTIVE = {"mode": "adaptive", "alpha": 0.01}
TWO_HOURS = 7200.0


class Shop:
    """The merchant's shop, whose channel `web` calls us, and marketplaces that we tell."""

    def __init__(self, merchant, home, stack):
        self.merchant, self.db, self.stack = merchant, merchant.db, stack
        (home / "connectors" / "stall").mkdir(parents=True)
        (home / "connectors" / "stall" / "connector.yaml").write_text(DOCUMENT)
        self.connectors = Connectors(home)
        self.stalls, self.urls = {}, {}
        self.later_s = 0.0

    def market(self, code="market", *, apply_s=None, gate=ADAPTIVE, **more):
        """A channel, whose numbers took so long to be shown when that was measured last."""
        if code not in self.urls:
            self.stalls[code] = Stall()
            self.urls[code] = self.stack.enter_context(serving(self.stalls[code].app()))
        document = {"currency": "EUR", "connector": "stall", "settings": {"url": self.urls[code]}, "gate": gate} | more
        set_channel(self.db, code, ChannelIn.model_validate(document), by=SYSTEM, connectors=self.connectors)
        for sku in SKUS:
            set_listing(self.db, code, sku, ListingIn(external_id=f"{code}-{sku}"), by=SYSTEM)
        if apply_s is not None:
            self.measured(code, apply=apply_s)
        self.merchant.state.reload_network()

    def measured(self, code, **seconds):
        document = {name: Latency.declared(s, worth=900.0).document() for name, s in seconds.items()}
        with self.db.connection() as conn:
            conn.execute(
                "INSERT INTO channel_health (channel_id, latency) SELECT channel_id, %s FROM channel WHERE code = %s"
                " ON CONFLICT (channel_id) DO UPDATE SET latency = excluded.latency",
                (json.dumps(document), code),
            )

    @contextlib.contextmanager
    def publishing(self, **options):
        stop = threading.Event()
        with Listener(self.db) as listener:
            publisher = Publisher(
                self.merchant.state, listener, self.connectors, allow_private_urls=True, seed=1,
                clock=lambda: time.time() + self.later_s, **options,
            )  # fmt: skip
            thread = threading.Thread(target=publisher.run, args=(stop,), daemon=True)
            thread.start()
            try:
                yield publisher
            finally:
                stop.set()
                thread.join(30)
                assert not thread.is_alive()

    def sell(self, times, sku="A"):
        for _ in range(times):
            assert self.merchant.place((sku, 1))["status"] == "sourced"
        self.db.notify()

    def shown(self, sku="A", code="market"):
        return self.stalls[code].shown.get(f"{code}-{sku}")

    def told(self, sku="A", code="market"):
        """The same number, as anybody who asks is told it, and its terms."""
        enquirer = Enquirer(self.merchant.state)
        with contextlib.closing(enquirer):
            enquiry = Enquiry(item_id=SKUS.index(sku) + 1, channel=code, until=None, at=None)
            (answer,) = enquirer.answer([enquiry])
        return json.loads(answer)


@pytest.fixture
def shop(merchant, tmp_path):
    with contextlib.ExitStack() as stack:
        yield Shop(merchant, tmp_path, stack)


def test_a_slow_channel_is_shown_less_while_others_sell_briskly_and_more_when_they_stop(shop):
    shop.market("market", apply_s=TWO_HOURS)
    shop.market("quick", apply_s=0.05)
    shop.merchant.stock("berlin", A=20)
    with shop.publishing() as publisher:
        wait_until(lambda: shop.shown(code="quick") == 20, lambda: shop.stalls["quick"].shown)
        wait_until(lambda: (shop.shown() or 0) >= 18, lambda: shop.stalls["market"].shown)
        shop.sell(8)
        wait_until(lambda: shop.shown(code="quick") >= 11, lambda: shop.stalls["quick"].shown)
        wait_until(lambda: shop.shown() <= 6, lambda: shop.stalls["market"].shown)
        hidden = 12 - shop.shown()
        wait_until(lambda: shop.told()["ats"] == shop.shown(), shop.told)
        facts = publisher.gates.why(publisher.gates.sellers[1].channel_id, 1, time.time())
        assert sentence(facts).startswith(f"hid {hidden} of 12: web sells "), sentence(facts)
        assert "market hears us after 2 h" in sentence(facts)
        # Nothing more is sold for a day: the burst is over, and the shop is open again.
        shop.later_s = 86_400.0
        wait_until(lambda: shop.shown() > 12 - hidden, lambda: shop.stalls["market"].shown)


def test_a_gate_follows_the_latency(shop):
    shop.market("market", apply_s=TWO_HOURS)
    shop.merchant.stock("berlin", A=12)
    shop.sell(6)
    with shop.publishing():
        wait_until(lambda: shop.shown() is not None and shop.shown() <= 4, lambda: shop.stalls["market"].shown)
    shop.measured("market", apply=0.05)
    with shop.publishing():
        wait_until(lambda: shop.shown() == 6, lambda: shop.stalls["market"].shown)
