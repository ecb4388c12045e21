"""What an adversary, or bad luck, would try on orders of channels: to lose one, to double one, to block others."""

import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.connectors.running import serving
from tests.flows.channels import SHOPIFY, Storefront, copy, later

from onhand.connectors._sdk.values import Page
from onhand.errors import DatabaseUnavailable
from onhand.flows.place_orders import Desk
from onhand.flows.take_orders import Follower
from onhand.twin.fakes import generic, shopify, woocommerce

GENERIC = {
    "currency": "EUR", "connector": "rest_generic",
    "credentials": {"token": "tok_fake", "webhook_secret": "whsec_YW5vdGhlciBvZiBub2JvZHk="},
}  # fmt: skip


@pytest.fixture
def open_shop(merchant, tmp_path):
    """A shop of any kind that lists A."""
    with contextlib.ExitStack() as stack:

        def open_one(fake, *, suffix="", **more):
            url = stack.enter_context(serving(fake.app()))
            shop = Storefront(merchant, fake, url + suffix, tmp_path, **more)
            stack.callback(shop.close)
            shop.product = fake.add_product("A", 100)
            shop.list("A", str(shop.product))
            return shop

        merchant.stock("berlin", A=50)
        yield open_one


@pytest.fixture
def woo(open_shop):
    return open_shop(woocommerce.Shop())


def units(shop, order):
    return sum(shop.open_units(order["id"]).values())


def test_whoever_followed_less_than_another_does_not_undo_what_he_knows(woo, monkeypatch):
    """One places an older state while another follows a newer one: the next change is the difference to the newer."""
    bought = woo.fake.buy({woo.product: 2})
    woo.deliver(bought)
    placed = Follower._placed

    def slowly(self, channel, row, answer):
        monkeypatch.setattr(Follower, "_placed", placed)
        later(bought)["line_items"][0]["quantity"] = 4
        woo.deliver(bought)
        woo.hear()  # by another process, between placing and writing down that it was placed
        assert units(woo, bought) == 4
        placed(self, channel, row, answer)

    monkeypatch.setattr(Follower, "_placed", slowly)
    woo.hear()
    woo.now_due()
    woo.hear()
    assert units(woo, bought) == 4
    later(bought)["line_items"][0]["quantity"] = 5
    woo.deliver(bought)
    woo.now_due()
    woo.hear()
    assert units(woo, bought) == 5, "one more, and not three"


@pytest.mark.parametrize("dies", [False, True])
def test_cancelled_while_it_is_being_placed_is_cancelled_here_too(woo, monkeypatch, dies):
    """One places the order; meanwhile another hears that it is cancelled and finds that there is none of ours yet. The
    one who places may die before he has written down that it stands."""
    bought = woo.fake.buy({woo.product: 3})
    woo.deliver(bought)
    place, placed = Desk.place, Follower._placed

    def slowly(self, intakes):
        monkeypatch.setattr(Desk, "place", place)
        later(bought)["status"] = "cancelled"
        woo.deliver(bought)
        woo.hear()
        assert woo.merchant.rows("SELECT status, taken = version FROM channel_order") == [("not_ours", True)]
        answers = place(self, intakes)
        assert woo.order(bought["id"]).status == "sourced"
        return answers

    def die(self, channel, row, answer):
        monkeypatch.setattr(Follower, "_placed", placed)
        raise DatabaseUnavailable("killed")

    monkeypatch.setattr(Desk, "place", slowly)
    if dies:
        monkeypatch.setattr(Follower, "_placed", die)
    with contextlib.suppress(DatabaseUnavailable):
        woo.hear()
    woo.now_due()
    woo.hear()
    assert woo.order(bought["id"]).status == "cancelled"
    assert woo.merchant.rows("SELECT taken = version, order_id IS NOT NULL FROM channel_order") == [(True, True)]


def test_a_state_out_of_the_future_does_not_rule_for_ever(woo):
    bought = woo.fake.buy({woo.product: 2})
    woo.deliver(bought)
    woo.hear()
    wrong = copy(bought)
    wrong["date_modified_gmt"] = "2037-01-01T00:00:00"  # a clock that went wrong for a moment
    wrong["line_items"][0]["quantity"] = 9
    woo.deliver(wrong)
    woo.hear()
    assert units(woo, bought) == 9
    later(bought)["line_items"][0]["quantity"] = 3
    woo.deliver(bought)
    woo.hear()
    assert units(woo, bought) == 9, "by its message alone nobody can tell"
    woo.reconcile()
    assert units(woo, bought) == 3, "asked for: so it is now"
    later(bought)["status"] = "cancelled"
    woo.deliver(bought)
    woo.hear()
    assert woo.order(bought["id"]).status == "cancelled", "and its messages count again"


def test_a_shop_whose_clock_is_ahead_is_followed_all_the_same(woo):
    ahead = datetime.now(UTC) + timedelta(hours=5)
    bought = woo.fake.buy({woo.product: 2}, at=ahead)
    first = copy(bought)
    later(bought)["line_items"][0]["quantity"] = 3
    woo.deliver(bought)
    woo.deliver(first)
    woo.hear()
    assert units(woo, bought) == 3
    for _ in range(2):
        woo.now_due()
        woo.poll()
        assert woo.reconcile()["findings"] == []
        assert units(woo, bought) == 3


def test_one_id_on_two_channels_is_two_orders(open_shop, merchant):
    shops = [open_shop(woocommerce.Shop(), code="one"), open_shop(woocommerce.Shop(), code="two")]
    orders = [shop.fake.buy({shop.product: n}) for n, shop in enumerate(shops, 1)]
    assert orders[0]["id"] == orders[1]["id"]
    for shop, order in zip(shops, orders, strict=True):
        shop.deliver(order)
        shop.hear()
    assert [units(shop, order) for shop, order in zip(shops, orders, strict=True)] == [1, 2]
    later(orders[0])["status"] = "cancelled"
    shops[0].deliver(orders[0])
    shops[0].hear()
    assert [shop.order(o["id"]).status for shop, o in zip(shops, orders, strict=True)] == ["cancelled", "sourced"]


@pytest.mark.parametrize(
    "external_id",
    ["x" * 128, "\U0001f4e6 Bestellung №7", "a\u0301", "á", "'; DROP TABLE orders; --", "../..", "%s{}"],
)
def test_an_id_may_be_any_text(open_shop, external_id):
    shop = open_shop(generic.Shop(), suffix="/api", code="any", document=GENERIC, place="main")
    bought = shop.fake.buy({shop.product: 1})
    said = bought | {"id": external_id}
    for _ in range(2):
        shop.receive(*shop.fake.deliver(said))
        shop.hear()
    assert shop.order(external_id).external_id == external_id
    assert shop.merchant.rows("SELECT count(*) FROM orders") == [(1,)]


def test_an_id_that_people_could_not_read_is_refused_and_shown(open_shop):
    shop = open_shop(generic.Shop(), suffix="/api", code="any", document=GENERIC, place="main")
    said = shop.fake.buy({shop.product: 1}) | {"id": "turned\u202eround"}
    shop.receive(*shop.fake.deliver(said))
    shop.hear()
    ((status, problem),) = shop.rows().values()
    assert (status, "external_id" in problem) == ("refused", True), problem


def test_what_cannot_be_kept_is_shown_and_stands_in_nobodys_way(open_shop):
    """A program of others may say anything; a document cannot."""
    shop = open_shop(shopify.Shop(), code="s", document=SHOPIFY, place="gid://shopify/Location/1")
    good = shop.fake.buy({shop.product: 1})
    read = shop.do(lambda account: account.connector.get_order(account.connection, good["id"]))
    wrong = [
        msgspec.structs.replace(read, external_id="x" * 5_000),
        msgspec.structs.replace(read, external_id="nul\0"),
        msgspec.structs.replace(read, external_id="half \ud800"),
        msgspec.structs.replace(read, external_id=""),
        msgspec.structs.replace(read, external_id="1", lines=(msgspec.structs.replace(read.lines[0], sku="\0"),)),
    ]

    class Program:
        capabilities = frozenset({"orders.pull", "orders.get"})

        async def pull_orders(self, connection, at, *, since):
            return Page(records=[*wrong, read])

        async def read(self, connection, topic, body):
            return [*wrong, read]

    def as_program(account):
        return dataclasses.replace(account, connector=Program())

    shop.do(lambda account: shop.ear.orders(as_program(account)))
    assert shop.order(good["id"]).status == "sourced"
    shown = [(topic, status) for topic, status, _, _ in shop.messages()]
    assert shown == [("onhand.unreadable", "due")] * 5
    shop.deliver(good)
    shop.now_due()
    shop.do(lambda account: shop.ear.messages(as_program(account)))
    assert ("orders/updated", "done") in [(topic, status) for topic, status, _, _ in shop.messages()]


def test_a_message_that_cannot_be_worked_on_holds_up_none_behind_it(woo, monkeypatch):
    from onhand.flows import hear_channels

    first, second = woo.fake.buy({woo.product: 1}), woo.fake.buy({woo.product: 2})
    hear = hear_channels.hear

    def refuses(conn, channel_id, heard, **more):
        if any(h.said.external_id == str(first["id"]) for h in heard):
            raise ValueError("of which nobody has thought")
        return hear(conn, channel_id, heard, **more)

    monkeypatch.setattr(hear_channels, "hear", refuses)
    woo.deliver(first)
    woo.deliver(second)
    woo.hear()
    assert woo.order(second["id"]).status == "sourced"
    assert [status for _, status, _, _ in woo.messages()] == ["due", "done"]
    for _ in range(10):
        woo.now_due()
        woo.hear(1)
    ((_, status, _, error), _) = woo.messages()
    assert (status, error) == ("parked", "ValueError: of which nobody has thought")
