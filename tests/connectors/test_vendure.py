"""Vendure: against a real one, from the shopper's cart to the parcel."""

from datetime import UTC, datetime, timedelta

import pytest

from onhand.connectors import Refused, find
from onhand.connectors._sdk.values import Fate, Parcel, Write

from .running import talk
from .vendure.storefront import storefront, why_not

VENDURE = find("vendure").connector
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("vendure")]


@pytest.fixture(scope="module")
def front():
    if (reason := why_not()) is not None:
        pytest.skip(f"NO STOREFRONT TO TEST AGAINST: {reason}")
    with storefront() as front:
        yield front


def ask(front, work, *, password="superadmin"):
    settings = {"url": front.url, "place": front.place}
    return talk(work, settings=settings, credentials={"username": "superadmin", "password": password})


def parcel(order, line, quantity, number=1, **more):
    return Parcel(
        order_id=order["id"], fulfilment_id=f"f{number}", key=f"k{number}", shipped_at=datetime.now(UTC),
        lines=[{"line_id": line, "quantity": quantity}], carrier="UPS", tracking=f"1Z{number}", **more,
    )  # fmt: skip


def test_an_order_of_a_shopper_comes_in_and_its_parcels_go_back(front):
    front.offer("MUG", 10)
    begun = datetime.now(UTC) - timedelta(minutes=1)
    bought = front.buy("MUG", 3)
    assert bought["state"] == "PaymentSettled"
    front.buy("MUG", 50)  # stays in the cart

    page = ask(front, lambda c: VENDURE.pull_orders(c, None, since=begun))
    order = next(o for o in page.records if o.external_id == bought["id"])
    assert (order.status, order.number, order.currency, order.email) == (
        "open",
        bought["code"],
        "USD",
        "ada@example.org",
    )
    assert order.destination.postal_code == "10001"
    (line,) = order.lines
    assert (line.sku, line.quantity, line.price_minor, line.external_item_id) == (
        "MUG", 3, 1999, front.variants["MUG"],
    )  # fmt: skip
    assert all(o.status != "pending" for o in page.records), "carts are not asked for"

    def push(parcel):
        return ask(front, lambda c: VENDURE.push_parcel(c, parcel))

    assert push(parcel(bought, line.line_id, 1, is_complete=False)).fate is Fate.DONE
    assert front.order(bought["id"])["state"] == "PartiallyShipped"
    # Told twice, as after an answer that was lost: nothing more happens.
    assert push(parcel(bought, line.line_id, 1, is_complete=False)).fate is Fate.DONE
    assert push(parcel(bought, line.line_id, 2, number=2)).fate is Fate.DONE
    there = front.order(bought["id"])
    assert there["state"] == "Shipped"
    assert [(f["state"], f["trackingCode"], f["lines"][0]["quantity"]) for f in there["fulfillments"]] == [
        ("Shipped", "1Z1", 1), ("Shipped", "1Z2", 2),
    ]  # fmt: skip
    assert front.levels("MUG") == (7, 0)
    assert ask(front, lambda c: VENDURE.get_order(c, bought["id"])).status == "completed"
    refused = push(parcel(bought, line.line_id, 2, number=3))
    assert refused.fate is Fate.REFUSED
    assert refused.message


def test_our_number_is_what_is_for_sale_whatever_is_allocated_there(front):
    variant = front.offer("CUP", 10)
    front.buy("CUP", 4)
    assert front.levels("CUP") == (10, 4)
    writes = [Write(external_id=variant, quantity=2, key="a"), Write(external_id="4711", quantity=1, key="b")]
    assert [o.fate for o in ask(front, lambda c: VENDURE.push_stock(c, writes))] == [Fate.DONE, Fate.GONE]
    assert front.levels("CUP") == (6, 4)
    assert front.buy("CUP", 3)["__typename"] == "InsufficientStockError"
    assert front.buy("CUP", 2)["state"] == "PaymentSettled"
    shown = ask(front, lambda c: VENDURE.pull_stock(c, None)).records
    assert next(level.quantity for level in shown if level.external_id == variant) == 0


def test_a_cancelled_order_gives_its_units_back(front):
    front.offer("PEN", 5)
    bought = front.buy("PEN", 2)
    outcome = ask(front, lambda c: VENDURE.cancel_order(c, bought["id"], reason="none left", key="k"))
    assert outcome.fate is Fate.DONE
    assert front.order(bought["id"])["state"] == "Cancelled"
    assert front.levels("PEN") == (5, 0)


def test_listings_are_read_with_their_names(front):
    front.offer("BAG", 1)
    offers = ask(front, lambda c: VENDURE.pull_listings(c, None)).records
    assert ("BAG", front.variants["BAG"]) in {(o.external_sku, o.external_id) for o in offers}


def test_a_wrong_password_is_told(front):
    with pytest.raises(Refused) as raised:
        ask(front, lambda c: VENDURE.pull_listings(c, None), password="no, not this")
    assert raised.value.is_unauthorised
    assert "not this" not in str(raised.value)
