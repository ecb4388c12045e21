"""Medusa: against a real one, from the shopper's cart to the parcel."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.conninfo import make_conninfo

from onhand.connectors import Refused, find, for_channel
from onhand.connectors._sdk.values import Fate, Parcel, Write
from onhand.wire import NotReachable

from .medusa.storefront import storefront, why_not
from .running import talk

MEDUSA = find("medusa").connector
pytestmark = [pytest.mark.timeout(1_200), pytest.mark.xdist_group("medusa")]


@pytest.fixture(scope="module")
def front(server_url, admin):
    if (reason := why_not()) is not None:
        pytest.skip(f"NO STOREFRONT TO TEST AGAINST: {reason}")
    name = f"medusa_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        with storefront(make_conninfo(server_url, dbname=name)) as front:
            yield front
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def ask(front, work, *, key=None):
    settings = {"url": front.url, "place": front.place}
    return talk(work, settings=settings, credentials={"api_key": key or front.secret})


def parcel(order, line, quantity, number=1, **more):
    return Parcel(
        order_id=order["id"], fulfilment_id=f"f{number}", key=f"k{number}", shipped_at=datetime.now(UTC),
        lines=[{"line_id": line, "quantity": quantity}], carrier="UPS", tracking=f"1Z{number}", **more,
    )  # fmt: skip


def test_an_order_of_a_shopper_comes_in_and_its_parcels_go_back(front):
    front.offer("MUG", 10)
    begun = datetime.now(UTC) - timedelta(minutes=1)
    bought = front.buy("MUG", 3)
    front.cart("MUG", 1)  # stays in the cart

    page = ask(front, lambda c: MEDUSA.pull_orders(c, None, since=begun))
    assert (len(page.records), page.rejects) == (1, [])
    (order,) = page.records
    assert (order.external_id, order.status, order.number, order.currency, order.email, order.service) == (
        bought["id"], "open", str(bought["display_id"]), "USD", "ada@example.org", "Standard",
    )  # fmt: skip
    where = order.destination
    assert (where.country, where.region, where.postal_code, where.street) == ("US", "NY", "10001", "1 Main")
    (line,) = order.lines
    assert (line.sku, line.quantity, line.price_minor, line.external_item_id) == ("MUG", 3, 1999, front.items["MUG"])

    def push(parcel):
        return ask(front, lambda c: MEDUSA.push_parcel(c, parcel))

    async def cut(connection):
        class Cut:
            async def send(self, request):
                answer = await connection.sender.send(request)
                if request.method == "POST":
                    raise NotReachable("cut off", was_sent=True)
                return answer

        return await MEDUSA.push_parcel(
            replace(connection, sender=Cut()), parcel(bought, line.line_id, 2, is_complete=False)
        )

    assert ask(front, cut).fate is Fate.UNKNOWN
    first = parcel(bought, line.line_id, 2, is_complete=False)
    assert (push(first).fate, push(first).fate) == (Fate.DONE, Fate.DONE)
    told = front.order(bought["id"])
    assert [(f["metadata"]["onhand"], f["labels"][0]["tracking_number"]) for f in told["fulfillments"]] == [
        ("f1", "1Z1")
    ]
    assert told["fulfillment_status"] == "partially_shipped"
    assert ask(front, lambda c: MEDUSA.get_order(c, bought["id"])).status == "open"

    assert push(parcel(bought, line.line_id, 1, number=2)).fate is Fate.DONE
    assert front.order(bought["id"])["fulfillment_status"] == "shipped"
    assert ask(front, lambda c: MEDUSA.get_order(c, bought["id"])).status == "completed"
    assert push(parcel(bought, line.line_id, 1, number=3)).fate is Fate.REFUSED, "more than was ordered"
    assert front.level("MUG") == (7, 0)


def test_a_number_is_set_on_top_of_what_is_reserved(front):
    for n in range(3):
        front.offer(f"CUP-{n}", 5)
    front.buy("CUP-0", 2)
    front("POST", "/admin/stock-locations", name="There")
    writes = [Write(external_id=front.items[f"CUP-{n}"], quantity=n * 10, key=f"k{n}") for n in range(3)]
    writes.insert(1, Write(external_id="iitem_nowhere", quantity=1, key="x"))
    outcomes = ask(front, lambda c: MEDUSA.push_stock(c, writes))
    assert [o.fate for o in outcomes] == [Fate.DONE, Fate.GONE, Fate.DONE, Fate.DONE]
    assert [o.seen for o in outcomes] == [0, None, 10, 20]
    assert [front.level(f"CUP-{n}") for n in range(3)] == [(2, 2), (10, 0), (20, 0)]
    page = ask(front, lambda c: MEDUSA.pull_stock(c, None))
    shown = {level.external_sku: level.quantity for level in page.records}
    assert {sku: shown[sku] for sku in ("CUP-0", "CUP-1", "CUP-2")} == {"CUP-0": 0, "CUP-1": 10, "CUP-2": 20}
    offers = ask(front, lambda c: MEDUSA.pull_listings(c, None)).records
    assert {o.external_sku: o.external_id for o in offers} == front.items
    elsewhere = [Write(external_id=front.items["CUP-1"], quantity=1, key="y", place="sloc_nowhere")]
    assert ask(front, lambda c: MEDUSA.push_stock(c, elsewhere))[0].fate is Fate.GONE


def test_what_is_all_sold_cannot_be_bought_and_what_we_show_can(front):
    front.offer("JAR", 0)
    with pytest.raises(AssertionError, match=r"insufficient|inventory"):
        front.buy("JAR", 1)
    ask(front, lambda c: MEDUSA.push_stock(c, [Write(external_id=front.items["JAR"], quantity=1, key="k")]))
    assert front.buy("JAR", 1)["id"]


def test_an_order_is_cancelled_once_and_seen_as_cancelled(front):
    front.offer("BOWL", 5)
    bought = front.buy("BOWL", 2)
    begun = ask(front, lambda c: MEDUSA.get_order(c, bought["id"])).updated_at
    cancel = lambda: ask(front, lambda c: MEDUSA.cancel_order(c, bought["id"], reason="x", key="k")).fate  # noqa: E731
    assert (cancel(), cancel()) == (Fate.DONE, Fate.DONE)
    page = ask(front, lambda c: MEDUSA.pull_orders(c, None, since=begun + timedelta(seconds=60)))
    assert {o.external_id: o.status for o in page.records}[bought["id"]] == "cancelled", "it counts as changed"
    assert front.level("BOWL") == (5, 0)


def test_pages_lose_none(front):
    front.offer("PEN", 100)
    begun = datetime.now(UTC)
    ids = {front.buy("PEN", 1)["id"] for _ in range(3)}
    connector = for_channel("medusa", {"overrides": {"operations": {"orders.pull": {"paging": {"size": 2}}}}})

    async def work(connection):
        found, at = [], None
        while True:
            page = await connector.pull_orders(connection, at, since=begun + timedelta(seconds=60))
            found += [o.external_id for o in page.records]
            if page.next is None:
                return found
            at = page.next

    assert ids <= set(ask(front, work))


def test_what_is_not_there_is_gone_and_a_wrong_key_is_told_without_it(front):
    with pytest.raises(Refused) as raised:
        ask(front, lambda c: MEDUSA.get_order(c, "order_nowhere"))
    assert raised.value.is_gone
    with pytest.raises(Refused) as raised:
        ask(front, lambda c: MEDUSA.pull_stock(c, None), key="sk_very_secret")
    assert raised.value.is_unauthorised
    assert "very_secret" not in repr(raised.value)
