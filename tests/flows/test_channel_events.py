"""What happens between us and channels, in the audit log and the timelines of orders."""

import httpx2
import pytest
from tests.connectors.running import serving
from tests.flows.channels import SHOPIFY, Storefront

from onhand.base.actor import SYSTEM
from onhand.channels.inbound.store import Notice
from onhand.connectors._sdk.values import Fate, Outcome, Write
from onhand.flows.channel_events import of_batch, of_notice
from onhand.flows.fulfil import ship
from onhand.orders.views import get_order
from onhand.twin.fakes import shopify

WRITES = [Write(external_id=str(n), quantity=n, key=str(n)) for n in range(3)]
DONE = Outcome(fate=Fate.DONE)


def notice(attempts=1, kind="parcel", number=2):
    return Notice(notice_id=1, order_id="o", kind=kind, shipment_no=number, attempts=attempts)


@pytest.mark.parametrize(
    ("notice", "outcome", "again_s", "kind", "words"),
    [
        (notice(), DONE, None, "channel.told", "shop was told of parcel 2"),
        (notice(3), DONE, None, "channel.told", "shop was told of parcel 2 at try 3"),
        (notice(kind="cancel", number=1), Outcome(fate=Fate.DONE, code="known"), None, "channel.told",
         "shop knew of cancelled units already"),
        (notice(4, "cancel", 0), Outcome(fate=Fate.UNKNOWN, message="from Ada Byron"), 40.0, "channel.not_told",
         "shop could not be told of its cancellation at try 4: whether it took it is not known, so it is sent again"
         " under the same key; again in 40 s"),
        (notice(5, "cancel", 0), Outcome(fate=Fate.REFUSED, code="LATE", message="Ada Byron"), None, "channel.refused",
         "shop was not told of its cancellation: it refuses it (LATE); a person must look"),
        (notice(kind="cancel", number=0), Outcome(fate=Fate.REFUSED, code="no_way"), None, "channel.refused",
         "shop was not told of its cancellation: it has no way to hear of it; a person must look"),
    ],
)  # fmt: skip
def test_a_notice_is_told_of_in_plain_words_and_without_those_of_the_channel(notice, outcome, again_s, kind, words):
    event = of_notice("shop", notice, outcome, again_s=again_s)
    assert (event[0], event[1], event[2]["sentence"]) == (kind, "o", words)
    assert "Byron" not in str(event)


def test_a_channel_that_is_down_for_days_does_not_fill_the_log():
    lost = Outcome(fate=Fate.RETRY)
    told = [n for n in range(1, 100) if of_notice("shop", notice(n), lost, again_s=900.0) is not None]
    assert told == [1, 2, 4, 8, 16, 32, 64]
    assert of_notice("shop", notice(), Outcome(fate=Fate.DONE, code="part_of_a_bundle"), again_s=None) is None
    told = [n for n in range(1, 100) if of_batch("shop", WRITES, [lost] * 3, failures=n) is not None]
    assert told == [1, 2, 4, 8, 16, 32, 64]


def test_conflicts_and_failures_of_numbers_are_told_of_and_successes_are_not():
    assert of_batch("shop", WRITES, [DONE] * 3, failures=0) is None
    stale = Outcome(fate=Fate.STALE, code="CHANGED", message="Ada Byron")
    kind, subject, data = of_batch("shop", WRITES, [DONE, stale, DONE], failures=0)
    assert (kind, subject) == ("publication.conflict", "shop")
    assert data["sentence"] == (
        "shop, 1 of 3 numbers: another number stood there than we thought, so it is read again and written anew"
    )
    assert data["listings"] == [{"external_id": "1", "quantity": 1, "fate": "stale", "code": "CHANGED"}]
    kind, _, data = of_batch("shop", WRITES, [Outcome(fate=Fate.GONE), stale, DONE], failures=0)
    assert kind == "publication.failed"
    assert data["fates"] == {"gone": 1, "stale": 1}


def test_the_timeline_of_an_order_says_when_its_channel_was_told(merchant, tmp_path):
    fake = shopify.Shop()
    with serving(fake.app()) as url:
        shop = Storefront(merchant, fake, url, tmp_path, code="shopify", document=SHOPIFY, place=fake.place)
        item = fake.add_product("A", 10)
        shop.list("A", item)
        merchant.stock("berlin", A=10)
        shop.tell()
        bought = fake.buy({item: 1})
        shop.deliver(bought)
        shop.hear()
        ship(merchant.state, shop.order(bought["id"]).fulfilment_id(1), tracking="1Z", by=SYSTEM)
        fault = {"status": 503, "match": "graphql"}
        httpx2.post(f"{url}/_fake/faults", json=[fault]).raise_for_status()
        shop.tell()
        shop.now_due()
        shop.tell()
        order_id = shop.order(bought["id"]).order_id
        with shop.db.connection() as conn:
            timeline = get_order(conn, order_id)["timeline"]
        told = [(e["kind"], e["data"]["sentence"]) for e in timeline if e["kind"].startswith("channel.")]
        assert [kind for kind, _ in told] == ["channel.not_told", "channel.told"]
        assert told[1][1] == "shopify was told of parcel 1 at try 2"
        shop.close()
