"""Decisions about what channels say, without a database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.channels.inbound import Heard, Known, compare, entry_of, order_in, retry_s, wanted_of, without_person
from onhand.channels.inbound.decide import NOWHERE, is_later
from onhand.connectors._sdk.values import Address, ChannelOrder, OrderLine

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def said(status="open", seconds=0, quantity=2, cancelled=0, **more):
    line = OrderLine(line_id="1", quantity=quantity, price_minor=100, sku="A", cancelled=cancelled)
    return ChannelOrder(
        external_id="7", status=status, currency="EUR", placed_at=AT, lines=(line,),
        updated_at=AT + timedelta(seconds=seconds), **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("heard", "is_read", "at", "expected"),
    [
        (said(seconds=6), False, 0, "newer"),
        (said(seconds=4, status="cancelled"), True, 9, "older"),
        (said(seconds=5), False, 9, "same"),
        (said(seconds=5, email="x@y.z"), False, 9, "same"),
        (said(seconds=5, quantity=1), False, 9, "ask"),
        (said(seconds=5, quantity=1), True, 9, "newer"),
        (said(seconds=5, quantity=1), True, -1, "older"),
    ],
)
def test_what_is_news(heard, is_read, at, expected):
    known = Known(said(seconds=5), AT + timedelta(seconds=5), AT)
    assert compare(known, Heard(heard, AT + timedelta(seconds=at), is_read)) == expected


statuses = st.sampled_from(["unknown", "pending", "open", "completed", "cancelled"])
orders = st.builds(said, status=statuses, seconds=st.integers(0, 2), quantity=st.integers(1, 3))


@given(st.lists(orders, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_last_state_is_believed_in_whatever_order_messages_come(states, rng):
    def believe(messages):
        known = Known(messages[0], messages[0].updated_at, AT)
        for m in messages[1:]:
            news = compare(known, Heard(m, AT, False))
            if news == "newer" or (news == "ask" and is_later(known.said, m)):
                known = Known(m, m.updated_at, AT)
        return known.said

    shuffled = [*states, *states]
    rng.shuffle(shuffled)
    a, b = believe(states), believe(shuffled)
    assert (a.updated_at, a.status, wanted_of(a)) == (b.updated_at, b.status, wanted_of(b))


def test_what_becomes_of_an_order_that_is_not_here():
    assert entry_of(said()).status == "new"
    assert entry_of(said("pending")).status == "unpaid"
    assert entry_of(said("cancelled")) == entry_of(said(quantity=2, cancelled=2))
    assert "before we heard" in entry_of(said("completed")).problem
    assert "on its way" in entry_of(said("unknown", status_word="on its way")).hold


def test_an_order_says_what_it_can_and_nothing_that_cannot_be_kept():
    where = Address(country="de", postal_code="10115", city="Berlin\n", street="", name="Ada")
    made = order_in(
        said(destination=where, email="not an address", phone="1" * 99, service="Standard"),
        "web",
        {"1": "A"},
        hold=None,
    )
    assert (made.destination.country, made.customer.email, len(made.customer.phone)) == ("DE", None, 40)
    assert (made.customer.name, made.customer.address, made.service) == (
        "Ada", {"country": "de", "postal_code": "10115", "city": "Berlin", "name": "Ada"}, None,
    )  # fmt: skip
    assert order_in(said(service="x"), "web", {"1": "A"}, hold=None, services=["x"]).service == "x"
    assert order_in(said(), "web", {"1": "A"}, hold=None).destination.country == NOWHERE
    kept = without_person(said(destination=where, email="a@b.c", name="Ada", phone="1"))
    assert "Ada" not in repr(kept)
    assert "10115" not in repr(kept)


def test_waits_grow_and_end_growing():
    waits = [retry_s(n) for n in range(1, 40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5, 900)
