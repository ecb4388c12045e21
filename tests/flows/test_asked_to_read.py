"""Somebody asks for a reconciliation: its orders are read at once, whatever the schedule says."""

from datetime import UTC, datetime

import pytest
from tests.connectors.running import serving
from tests.flows.channels import Storefront

from onhand.channels.inbound import store
from onhand.flows.channel_health import ask_reconcile
from onhand.flows.compare_orders import LOST, Finding, begin, finish
from onhand.flows.hear_channels import Ear
from onhand.twin.fakes import woocommerce


@pytest.fixture
def woo(merchant, tmp_path):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        made = Storefront(merchant, fake, url, tmp_path)
        made.list("A", str(fake.add_product("A", 100)))
        made.ear = Ear(made.db, made.follower)
        yield made
        made.close()


def test_orders_are_read_when_asked_for_though_somebody_who_died_had_begun(woo, merchant):
    merchant.stock("berlin", A=10)
    assert woo.poll() == 0
    bought = woo.fake.buy({10: 1})
    assert woo.poll() == 0, "not due"
    ask_reconcile(woo.db, "woo")
    assert woo.poll() == 1
    assert woo.order(bought["id"]).status == "sourced"
    with woo.db.connection() as conn:
        conn.execute("UPDATE channel_reading SET next_at = now() WHERE kind = 'orders'")
        assert store.take_reading(conn, woo.channel_id, "orders", lease_s=120.0), "and is killed"
    woo.fake.buy({10: 1})
    assert woo.poll() == 0, "somebody reads"
    ask_reconcile(woo.db, "woo")
    assert woo.poll() >= 1
    assert woo.do(woo.ear.reconcile) is not None


def test_what_is_asked_for_while_it_is_read_is_read_once_more(woo):
    with woo.db.connection() as conn:
        assert store.take_reading(conn, woo.channel_id, "orders", lease_s=120.0)
        ask_reconcile(woo.db, "woo")
        store.save_reading(conn, woo.channel_id, "orders", at=None, seconds=300.0, ended=True)
        assert store.take_reading(conn, woo.channel_id, "orders", lease_s=120.0)
        store.save_reading(conn, woo.channel_id, "orders", at=None, seconds=300.0, ended=True)
        assert store.take_reading(conn, woo.channel_id, "orders", lease_s=120.0) is None


def test_a_comparison_that_had_begun_before_it_was_asked_for_does_not_answer(woo):
    now = datetime.now(UTC)
    with woo.db.connection() as conn:
        assert store.take_reading(conn, woo.channel_id, "reconcile", lease_s=600.0)
        begun = begin(conn, woo.channel_id, None, now=now, days=7)
        begun.lost = 1
        begun.add([
            Finding(external_id="7", finding=LOST, done="taken in"),
            Finding(external_id="8", finding="1 of 2 units are cancelled there", done="for a person to see"),
        ])  # fmt: skip
    asked = ask_reconcile(woo.db, "woo")
    with woo.db.connection() as conn:
        assert store.report_answers(conn, finish(conn, woo.channel_id, begun)) < asked
        reading = store.take_reading(conn, woo.channel_id, "reconcile", lease_s=600.0)
        assert reading
        assert reading.asked == asked
        resumed = begin(conn, woo.channel_id, begun.text(), now=now, days=7, asked=asked)
        assert resumed.asked == asked
        assert [f.external_id for f in resumed.findings] == ["7"], "what was taken in is reported, the rest read again"
        assert (resumed.lost, resumed.differing, resumed.pages) == (1, 1, 0)
        assert begin(conn, woo.channel_id, resumed.text(), now=now, days=7, asked=asked) == resumed, "it goes on"
        assert store.report_answers(conn, finish(conn, woo.channel_id, resumed)) == asked
