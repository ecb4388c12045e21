"""Erasing a customer reaches orders of channels that are not placed yet, and messages that are not worked on."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.running import serving
from tests.flows.channels import later, woo_with_a

from onhand.base.actor import SYSTEM
from onhand.channels.inbound import store
from onhand.channels.inbound.erasing import Person, blotted
from onhand.flows.customers import erase_customer
from onhand.twin.fakes import woocommerce

ADA = Person(
    email="ada@example.org", name="Ada Byron", phone="+1 555 010 0199", address={"street": "1 Main", "city": "New York"}
)


@pytest.fixture
def woo(merchant, tmp_path):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        made = woo_with_a(merchant, url, fake, tmp_path)
        yield made
        made.close()


def kept(merchant):
    """All that is kept of what channels said, as one text."""
    said = [text for (text,) in merchant.rows("SELECT said FROM channel_order")]
    bodies = [bytes(body).decode() for (body,) in merchant.rows("SELECT body FROM channel_message") if body]
    return "\n".join(said + bodies)


def test_nothing_of_the_person_stays_and_of_another_everything(woo, merchant):
    placed = woo.fake.buy({10: 1})
    unpaid = woo.fake.buy({10: 1}, status="pending")
    unknown = woo.fake.buy({woo.fake.add_product("teapot", 5): 1})
    waiting = woo.fake.buy({10: 2})
    other = woo.fake.buy({10: 1}, status="pending")
    other["billing"] = other["billing"] | {"email": "grace@example.org"}
    for order in (placed, unpaid, unknown, other):
        woo.deliver(order)
    woo.hear()
    woo.deliver(waiting)  # nobody works on it yet
    woo.receive(*woo.fake.deliver({"id": "broken", "billing": waiting["billing"]}))
    with woo.db.connection() as conn:
        conn.execute("UPDATE channel_message SET status = 'parked' WHERE body LIKE '%%broken%%'")
    assert kept(merchant).count("ada@example.org") == 4
    customer = woo.order(placed["id"]).customer_id
    erase_customer(woo.db, customer, by=SYSTEM)
    left = kept(merchant)
    assert "ada@example.org" not in left
    assert left.count("grace@example.org") == 1
    assert left.count("1 Main") == 1, "where the other lives"
    assert '"postal_code":"10"' in left, "the area"
    erase_customer(woo.db, customer, by=SYSTEM)
    woo.hear()
    assert woo.open_units(waiting["id"]), "the message can be read still, and its order is taken in"
    later(unpaid)["status"] = "processing"
    woo.deliver(unpaid)
    woo.hear()
    assert woo.order(unpaid["id"]) is not None


def test_who_is_known_by_nothing_is_looked_for_nowhere(woo, merchant):
    order = woo.fake.buy({10: 1}, status="pending")
    woo.deliver(order)
    woo.hear()
    with woo.db.connection() as conn:
        assert store.erase_person(conn, Person(name="Ada Byron")) == 0, "there may be two of that name"
    assert "Ada Byron" in kept(merchant)


texts = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4)


@given(texts, st.text(min_size=3, max_size=12), st.booleans())
def test_what_is_blotted_stays_readable_and_names_nobody(more, name, is_ascii):
    person = Person(email="ada@example.org", name=name)
    body = json.dumps(more | {"email": "ADA@example.org", "for": name}, ensure_ascii=is_ascii).encode()
    without = blotted(body, person)
    assert len(without) == len(body)
    assert b"example.org" not in without.lower()
    assert blotted(without, person) == without


def test_a_message_of_others_is_left_as_it_is():
    body = b'{"name": "Ada Byron", "email": "grace@example.org"}'
    assert blotted(body, ADA) is body
    assert b"Ada" not in blotted(b'{"name": "Ada Byron", "phone": "+1 555 010 0199"}', ADA)
