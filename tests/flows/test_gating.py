"""Computed gates on a real database: a slow channel is shown less while others sell, and more when they stop."""

import contextlib
import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from tests.connectors.running import serving
from tests.flows.test_publish import publishing, wait_until

from onhand.base.actor import SYSTEM
from onhand.base.ids import new_id
from onhand.channels.gate_notes import store
from onhand.channels.gates.exposure import Latency
from onhand.channels.gates.words import sentence
from onhand.channels.model import ChannelIn, ListingIn
from onhand.channels.publication.store import load_sellers
from onhand.db import outbox
from onhand.demand.forecasts import store as forecasts
from onhand.demand.forecasts.model import Rows, Settings
from onhand.demand.panel import Forecast
from onhand.flows.accounts import Connectors
from onhand.flows.enquire import Enquirer, Enquiry
from onhand.flows.forecasts.coming import Coming
from onhand.flows.gating import Gating
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

    def publishing(self, **options):
        return publishing(self.merchant.state, self.connectors, clock=lambda: time.time() + self.later_s, **options)

    def sell(self, times, sku="A", **extra):
        for _ in range(times):
            assert self.merchant.place((sku, 1), **extra)["status"] == "sourced"
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
        channel_id = publisher.gates.sellers[1].channel_id

        def facts():
            return publisher.gates.why(channel_id, 1, time.time())

        # The last sale is heard, and what was decided then is shown.
        wait_until(lambda: facts().stock == 12 and shop.shown() == 12 - facts().hidden, lambda: (facts(), shop.shown()))
        wait_until(lambda: shop.told()["ats"] == shop.shown(), shop.told)
        # Time passes, and gates move with it: what is said and what is shown are of one moment once they agree.
        wait_until(
            lambda: sentence(facts()).startswith(f"hid {12 - shop.shown()} of 12: web sells "),
            lambda: (sentence(facts()), shop.shown()),
        )
        hidden, said = 12 - shop.shown(), sentence(facts())
        assert "market hears us after 2 h" in said
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


def test_after_a_restart_latency_velocity_and_the_price_of_risk_are_as_they_were(shop):
    shop.market("market", apply_s=TWO_HOURS)
    shop.merchant.stock("berlin", A=12)
    with shop.publishing() as first:
        wait_until(lambda: (shop.shown() or 0) >= 9, lambda: shop.stalls["market"].shown)
        shop.sell(6, placed_at=datetime.now(UTC) - timedelta(seconds=90))
        wait_until(lambda: shop.shown() <= 4, lambda: shop.stalls["market"].shown)
        market = first.gates.sellers[1].channel_id
        with shop.db.connection() as conn:
            all_sold = outbox.head(conn)
        wait_until(lambda: first.heard >= all_sold)  # the stock may be known before the orders that took it
        wait_until(lambda: shop.told()["ats"] == shop.shown(), shop.told)
        shown = shop.shown()
        before = first.gates.why(market, 1, time.time())
        heard = first.gates.hear_s(1)
        assert heard > 80.0, "orders of web come in a minute and a half late"
    with shop.db.connection() as conn:
        conn.execute("UPDATE channel_gate SET tau = 0.21, seen = 3 WHERE channel_id = %s", (market,))
    with shop.publishing() as second:
        wait_until(lambda: second.gates.sellers and second.gates.why(market, 1, time.time()) is not None)
        after = second.gates.why(market, 1, time.time())
        assert second.gates.tell_s(market)[1] == pytest.approx(TWO_HOURS, rel=0.03)
        assert second.gates.hear_s(1) == heard
        assert second.gates.taus[market] == 0.21
        assert after.rate_per_h == pytest.approx(before.rate_per_h, rel=0.2)
        assert shop.shown() == pytest.approx(shown, abs=1)


def test_a_channel_that_calls_us_is_told_the_computed_number(shop):
    shop.market("market", gate={}, apply_s=0.05)
    web = ChannelIn.model_validate({"currency": "EUR", "gate": ADAPTIVE | {"lag_s": TWO_HOURS}})
    set_channel(shop.db, "asking", web, by=SYSTEM)
    shop.merchant.state.reload_network()
    shop.merchant.stock("berlin", A=12, B=1)
    with shop.publishing():
        wait_until(lambda: shop.shown() == 12, lambda: shop.stalls["market"].shown)
        shop.sell(6)
        wait_until(lambda: shop.told(code="asking")["ats"] <= 4, lambda: shop.told(code="asking"))
        told = shop.told(code="asking")
        assert {"term": "gate", "units": told["ats"] - 6} in told["terms"]
        assert sum(term["units"] for term in told["terms"]) == told["ats"]
        wait_until(lambda: shop.shown() == 6, lambda: "a fixed gate of nothing")
        # Of a plain gate nothing is kept.
        set_channel(shop.db, "asking", ChannelIn.model_validate({"currency": "EUR"}), by=SYSTEM)
        wait_until(lambda: shop.told(code="asking")["ats"] == 6, lambda: shop.told(code="asking"))


def test_bundles_follow_the_gates_of_their_parts(shop):
    shop.market("market", apply_s=TWO_HOURS)
    set_listing(shop.db, "market", "KIT", ListingIn(external_id="market-KIT"), by=SYSTEM)
    shop.merchant.stock("berlin", A=20, B=20)
    with shop.publishing():
        wait_until(lambda: (shop.shown() or 0) >= 18, lambda: shop.stalls["market"].shown)
        for _ in range(3):
            shop.merchant.place(("KIT", 1))
        shop.db.notify()
        wait_until(lambda: shop.shown() <= 11 and shop.shown("B") < 17, lambda: shop.stalls["market"].shown)
        wait_until(
            lambda: shop.shown("KIT") == min(shop.shown("A") // 2, shop.shown("B")), lambda: shop.stalls["market"].shown
        )


def test_the_price_of_risk_is_learned_once_from_whole_periods(shop):
    shop.market("market", gate={})
    set_channel(shop.db, "web", ChannelIn.model_validate({"currency": "EUR", "gate": ADAPTIVE}), by=SYSTEM)
    shop.merchant.state.reload_network()
    shop.merchant.stock("berlin", A=3)

    def learned_from():
        with shop.db.connection() as conn:
            row = store.get_budget(conn, "web")
        return row and (row.tau, row.orders, row.oversold)

    with shop.publishing():
        wait_until(lambda: learned_from() is not None)
        first_tau = learned_from()[0]
        for _ in range(3):
            shop.merchant.place(("A", 1))
        for _ in range(2):
            assert shop.merchant.place(("A", 1))["status"] == "unfillable"
    shop.later_s = 2 * 86_400.0
    for _ in range(2):
        with shop.publishing(learn_every_s=86_400.0) as publisher:
            wait_until(lambda: learned_from()[1:] == (5, 2), learned_from)
            tau = learned_from()[0]
            assert tau < 0.9 * first_tau, "two of five were oversold"
            wait_until(lambda p=publisher, tau=tau: p.gates.taus.get(1) == tau)
    another = Gating(shop.db, lambda: time.time() + shop.later_s)
    with shop.db.connection() as conn:
        another.take(conn, load_sellers(conn))
        another.lead(conn, 1)
    assert another.learn() == 0, "never twice from the same orders"
    shop.later_s += 86_400.0
    assert another.learn() == 1
    assert learned_from() == (tau, 0, 0), "a day without orders teaches nothing"


def test_orders_and_tills_are_heard_of_once_and_after_a_restart_they_are_history(shop):
    shop.merchant.stock("berlin", A=20, B=20)
    with shop.db.connection() as conn:
        began = outbox.head(conn)
    placed_at = datetime.now(UTC) - timedelta(seconds=90)
    shop.merchant.place(("A", 2), ("B", 1), placed_at=placed_at)
    shop.merchant.place(("KIT", 3))
    with shop.db.connection() as conn:
        for units in (-1, 4):
            sale = {"channel_id": 1, "item_id": 2, "units": units, "sold_at": placed_at.isoformat()}
            outbox.write_event(conn, "sale.booked", "sale", sale, actor=SYSTEM, origin=0)
    with shop.db.connection() as conn:
        # Transactions of other databases of this server hide what is committed here until they end.
        wait_until(lambda: not outbox.has_hidden(conn, outbox.head(conn)))
        heard = store.sales_heard(conn, began, outbox.head(conn))
        assert store.sales_heard(conn, outbox.head(conn), outbox.head(conn)) == []
        now = time.time()
        fresh = store.history(conn, now, days=28.0, recent_h=48.0, limit=1000)
        old = store.history(conn, now + 4 * 86_400.0, days=28.0, recent_h=48.0, limit=1000)
        last = store.history(conn, now + 4 * 86_400.0, days=28.0, recent_h=48.0, limit=1)
    expected = [(1, 2), (1, 6), (2, 1), (2, 3), (2, 4)]
    assert sorted((sale.item_id, sale.units) for sale in heard) == expected
    assert sum(sale.is_first for sale in heard) == 3
    late = {round(sale.heard_s - sale.sold_s) for sale in heard if sale.is_first and sale.units in (2, 4)}
    assert late <= {89, 90, 91, 92}, late
    assert sorted((sale.item_id, sale.units) for sale in fresh.since) == expected
    assert (fresh.units, fresh.hours) == ({}, 0.0)
    assert old.units == {(1, 1): 8.0, (2, 1): 8.0}
    assert old.hours == pytest.approx(48.0, abs=0.1)
    assert last.units == {(2, 1): 4.0}, "of the hours since the first of so many orders, and sales of tills"
    assert old.mean_minor == {1: 300.0}


class ForecastDays:
    """Keeps forecasts of ten days as a run does. Each has a model that says `champion` units a day at each of two
    places, from its fourth day on twice as much, and a baseline that says one."""

    settings = Settings(horizon=10, levels=(0.1, 0.5, 0.9))

    def __init__(self, db):
        self.db = db
        with db.connection() as conn:
            conn.execute("INSERT INTO demand_place (region, timezone) VALUES ('DE', 'UTC'), ('FR', 'UTC')")

    def keep(self, origin, champion, *, by_channel=False, in_charge="model"):
        """champion: item_id -> units a day"""
        items = np.repeat(sorted(champion), 2)
        mean = np.repeat([float(champion[item]) for item in items.tolist()], 10).reshape(-1, 10)
        mean[:, 3:] *= 2.0
        run_id, job_id = new_id(), new_id()
        rows = Rows(
            item=items, place=np.arange(len(items)) % 2 + 1, channel=np.full(len(items), 1 if by_channel else -1),
            segment=np.full(len(items), 3), scale=np.ones(len(items)), champion=self.of(mean), challenger=None,
            baseline=self.of(np.ones_like(mean)),
        )  # fmt: skip
        segments = [{"segment": "smooth", "in_charge": "baseline"}, {"segment": "lumpy", "in_charge": in_charge}]

        def work(conn):
            conn.execute("INSERT INTO job (job_id, kind, request, actor) VALUES (%s, 'forecast', '{}', 7)", (job_id,))
            forecasts.add_run(conn, run_id, job_id, replace(self.settings, by_channel=by_channel), origin)
            forecasts.add_series(conn, run_id, rows, done=0, until=int(items.max(initial=0)))
            forecasts.finish_run(conn, run_id, segments)

        self.db.transact(work)
        return run_id

    def of(self, mean):
        return Forecast(
            levels=np.array(self.settings.levels), mean=mean, quantiles=mean[:, :, None] * np.array([0.5, 1, 2.0])
        )


@pytest.fixture
def forecast(shop):
    return ForecastDays(shop.db)


def read_all(coming, conn, today):
    coming.look(conn, today)
    found = None
    while coming.is_open:
        found = coming.step(conn)
    return None if found is None else dict(zip(found.items.tolist(), (24 * found.per_h).tolist(), strict=True))


TODAY = date(2026, 3, 2)


def test_of_a_forecast_the_coming_days_are_read_once_at_all_places(forecast, monkeypatch):
    monkeypatch.setattr("onhand.flows.forecasts.coming._SERIES_AT_ONCE", 3)  # an item in two parts
    coming = Coming()
    with forecast.db.connection() as conn:
        assert read_all(coming, conn, TODAY) is None, "there is no forecast yet"
        forecast.keep(TODAY - timedelta(days=1), {1: 7.0, 2: 7.0, 6: 70.0})
        of_days = (2 * 1 + 5 * 2) / 7  # two days of the three at first, and five of the others
        found = read_all(coming, conn, TODAY)
        assert found == pytest.approx({1: 14 * of_days, 2: 14 * of_days, 6: 140 * of_days})
        assert read_all(coming, conn, TODAY) is None, "it was read already"
        assert read_all(coming, conn, TODAY + timedelta(days=7))[1] == pytest.approx(28), "two days are left of it"
        assert read_all(coming, conn, TODAY + timedelta(days=9)) == {}, "it does not cover today any more"


def test_whoever_is_in_charge_is_read_and_of_two_forecasts_the_later(forecast):
    coming = Coming()
    with forecast.db.connection() as conn:
        forecast.keep(TODAY - timedelta(days=2), {1: 7.0}, in_charge="baseline")
        assert read_all(coming, conn, TODAY) == pytest.approx({1: 2.0})
        forecast.keep(TODAY - timedelta(days=1), {1: 3.5, 2: 3.5}, by_channel=True)
        assert read_all(coming, conn, TODAY)[2] == pytest.approx(12.0)
        forecast.keep(TODAY - timedelta(days=3), {1: 3.5})
        assert read_all(coming, conn, TODAY) is None, "an older one does not take its place"


def test_gates_begin_with_what_is_forecast_and_follow_another_forecast(shop, forecast):
    shop.market("market", apply_s=TWO_HOURS)
    shop.market("quick", apply_s=0.05)
    shop.merchant.stock("berlin", A=20, B=20)
    today = datetime.now(UTC).date()
    forecast.keep(today - timedelta(days=1), {1: 60.0})
    with shop.publishing():
        wait_until(lambda: (shop.shown(code="quick") or 0) >= 19, lambda: shop.stalls["quick"].shown)
        wait_until(lambda: (shop.shown("B") or 0) >= 18, lambda: shop.stalls["market"].shown)
        wait_until(lambda: shop.shown("A") is not None and shop.shown("A") <= 10, lambda: shop.stalls["market"].shown)
        forecast.keep(today, {2: 60.0})
        shop.later_s = 61.0  # forecasts are looked for once a minute
        wait_until(lambda: shop.shown("B") <= 10, lambda: shop.stalls["market"].shown)
        wait_until(lambda: shop.shown("A") >= 15, lambda: shop.stalls["market"].shown)
