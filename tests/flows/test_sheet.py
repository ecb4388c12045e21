"""Orders as columns: read as each would be by itself, placed alike, and answered again word for word."""

import asyncio
import random
from collections import Counter
from contextlib import closing
from dataclasses import fields

import msgspec
import pytest

from onhand.base.actor import SYSTEM
from onhand.errors import Conflict, InvalidInput
from onhand.flows.cancel_order import cancel_order
from onhand.flows.customers import erase_customer
from onhand.flows.fulfil import accept, reject, ship
from onhand.flows.intake import hash_order, prepare
from onhand.flows.place_orders import Desk
from onhand.flows.return_order import return_order
from onhand.flows.sheet import Sheet, read_plain
from onhand.flows.source_again import reroute
from onhand.orders.decide import Amount
from onhand.orders.intake import OrderIn
from onhand.sourcing import record

PICKUP = {"method": "pickup", "pickup_node": "berlin"}


@pytest.fixture
def desk(merchant):
    with closing(Desk(merchant.state)) as desk:
        yield desk


def read(merchant, orders):
    hashes = [hash_order(msgspec.json.encode(order)) for order in orders]
    return read_plain(merchant.state, orders, hashes, actor=7, reason="r", now=merchant.now)


def prepared(merchant, order):
    return prepare(merchant.state, order, actor=7, reason="r", key=None, now=merchant.now)


def some_order(merchant, draw):
    """Mostly an ordinary one; now and then with something unusual or wrong."""

    def rarely(*values):
        return {} if draw.random() > 0.06 else draw.choice(values)

    skus = draw.choices(
        ["A", "B", "C", "D", "E", "F", *(["KIT", "NOPE"] if draw.random() < 0.1 else [])], k=draw.choice((1, 1, 2, 3))
    )
    order = merchant.request([(sku, draw.randint(1, 9)) for sku in skus], draw.choice(["berlin", "paris"]), {})
    changes = (
        rarely({"channel": "nope"}, {"currency": "XXX"}, {"external_id": "bell \a"}, {"reservation_id": "nope"})
        | rarely({"hold": "credit"}, PICKUP, {"service": "standard"}, {"service": "nope"}, {"pickup_node": "berlin"})
        | rarely({"placed_at": "2026-02-01T00:00:00Z"}, {"placed_at": "1850-02-01T00:00:00Z"}, {"allow_split": False})
        | rarely({"objective": "speed"}, {"allow_backorder": False}, {"customer": {"email": "ada@example.org"}})
        | rarely(
            {"destination": {"country": "de", "latitude": 1, "longitude": 1}},
            {"destination": {"country": "FR", "postal_code": "75001"}},
            {"destination": {"country": "ZZ"}},
        )
    )
    body = msgspec.to_builtins(order) | changes
    if draw.random() < 0.05:
        body["lines"][-1]["line_id"] = draw.choice(["1", "bell \a", "é"])
    if draw.random() < 0.05:
        body["lines"][0]["tax_minor"] = 19
    return msgspec.convert(body, OrderIn)


def test_plain_orders_are_read_as_each_is_prepared(merchant):
    draw = random.Random(5)
    orders = [some_order(merchant, draw) for _ in range(1_500)]
    sheet, plain, rest = read(merchant, orders)
    assert sorted([*plain, *rest]) == list(range(len(orders)))
    assert len(sheet) == len(plain) > 700
    for k, n in enumerate(plain):
        alone = prepared(merchant, orders[n])
        assert alone.is_simple
        assert sheet.intake(k) == alone
        for column in fields(Sheet):
            assert getattr(sheet.only([k]), column.name) == getattr(Sheet.of([alone]), column.name), column.name
    wrong = 0
    for n in rest:
        try:
            prepared(merchant, orders[n])
        except InvalidInput:
            wrong += 1
    assert 100 < wrong < len(rest) - 100


def test_sheets_below_each_other_are_one(merchant):
    draw = random.Random(6)
    sheets = [read(merchant, [some_order(merchant, draw) for _ in range(40)])[0] for _ in range(3)]
    whole = Sheet.under(sheets)
    assert len(whole) == sum(map(len, sheets))
    assert [whole.intake(n) for n in range(len(whole))] == [s.intake(n) for s in sheets for n in range(len(s))]
    assert whole.only([3, 50]).intake(1) == whole.intake(50)


WAYS = [
    ([("A", 2)], {}),
    ([("A", 1), ("B", 1), ("C", 1)], {}),
    ([("A", 25)], {}),  # from two nodes
    ([("A", 1), ("A", 2)], {}),  # two lines of one item
    ([("KIT", 1)], {}),
    ([("B", 1)], PICKUP),
    ([("B", 1)], {"hold": "credit"}),
    ([("D", 1)], {}),  # backordered
    ([("F", 1)], {}),  # unfillable
]


@pytest.mark.parametrize("together", [True, False])
def test_an_order_sent_again_is_answered_word_for_word(merchant, desk, together):
    for node in ("berlin", "munich"):
        merchant.stock(node, A=20, B=20, C=20)
    merchant.inbound("berlin", "PO-1", D=100)
    orders = []
    for lines, extra in WAYS:
        body = msgspec.to_builtins(merchant.request(lines, "berlin", extra))
        for number, line in enumerate(body["lines"]):
            line["line_id"] = f'"{number}\\é'
        orders.append(msgspec.convert(body, OrderIn))

    def place():
        if not together:
            return [desk.place([prepared(merchant, order)])[0] for order in orders]
        sheet, plain, rest = read(merchant, orders)
        intakes = [prepared(merchant, orders[n]) for n in rest]
        found = dict(zip([*plain, *rest], asyncio.run(desk.place_soon(sheet, intakes)), strict=True))
        return [found[n] for n in range(len(orders))]

    first, again = place(), place()
    assert [p.replayed for p in first] == [False] * len(WAYS)
    assert [p.replayed for p in again] == [True] * len(WAYS)
    assert [p.answer for p in again] == [p.answer for p in first]
    answers = [msgspec.json.decode(p.answer) for p in first]
    assert len(answers[2]["fulfilments"]) == 2 and answers[3]["fulfilments"][0]["lines"][1]["quantity"] == 2
    assert [a["status"] for a in answers[-3:]] == ["held", "backordered", "unfillable"]
    # An answer is kept where order and fulfilments do not say it.
    assert merchant.rows("SELECT count(*)::int, count(decision)::int FROM plan") == [(len(WAYS), 3)]


def test_the_first_answer_stays_whatever_becomes_of_the_order(merchant, desk):
    draw, state = random.Random(9), merchant.state
    merchant.stock("berlin", A=200, C=40)
    merchant.stock("munich", B=200, C=40)
    merchant.stock("paris", A=40, B=40, C=40)
    orders = []
    for _ in range(60):
        lines = [(sku, draw.randint(1, 4)) for sku in draw.choices(["A", "B", "C", "KIT"], k=draw.randint(1, 4))]
        orders.append(merchant.request(lines, draw.choice(["berlin", "paris"]), {"customer": {"email": "a@b.example"}}))

    def place():
        return desk.place([prepared(merchant, order) for order in orders])

    first = place()
    answers = [msgspec.json.decode(p.answer) for p in first]
    served = [a for a in answers if a["status"] == "sourced" and a["fulfilments"]]
    assert len(served) > 40 and sum(len(a["fulfilments"]) > 1 for a in served) > 3
    happened = Counter()
    for _ in range(400):
        answer = draw.choice(served)
        f = merchant.order(draw.choice(served)["order_id"]).fulfilments[-1]
        name, order = draw.choice(answer["fulfilments"])["fulfilment_id"], answer["order_id"]
        line = Amount(draw.choice(merchant.order(order).lines).line_id, draw.choice([None, 1]))
        what = draw.choice(["accept", "ship", "reject", "refuse", "cancel", "reroute", "return"])
        try:
            if what == "accept":
                accept(state, name, by=SYSTEM)
            elif what == "ship":
                ship(state, name, lines=[line], carrier="ups", by=SYSTEM)
            elif what == "reject":
                reject(state, name, "damaged", lines=[line], by=SYSTEM)
            elif what == "refuse":
                reject(state, name, "no_capacity", by=SYSTEM)
            elif what == "cancel":
                cancel_order(state, order, [line], by=SYSTEM)
            elif what == "reroute":
                reroute(state, order, [f.node], by=SYSTEM)
            else:
                return_order(state, order, "paris", [line], "restock", by=SYSTEM)
            happened[what] += 1
        except (Conflict, InvalidInput):
            continue
    assert len(happened) == 7 and happened.total() > 150, happened
    assert merchant.rows("SELECT count(*)::int > 20 FROM fulfilment_line WHERE released > 0") == [(True,)]
    ((person,),) = merchant.rows("SELECT customer_id::text FROM customer")
    erase_customer(merchant.db, person, by=SYSTEM)
    again = place()
    assert all(p.replayed for p in again)
    assert [p.answer for p in again] == [p.answer for p in first]


def test_erasing_a_person_leaves_the_plans_of_orders_beside_theirs(merchant):
    merchant.stock("berlin", A=20)
    people = ["ada@example.org", "bob@example.org", "ada@example.org"]
    placed = merchant.place_many([([("A", 1)], {"customer": {"email": email}}) for email in people])
    assert merchant.rows("SELECT count(*)::int FROM plan_sheet") == [(1,)]

    def places():
        rows = dict(merchant.rows("SELECT order_id::text, inputs FROM plan"))
        seen = [record.decode(bytes(rows[p["order_id"]])) for p in placed]
        return [(s.latitude, s.longitude) for s in seen]

    assert places() == [(52.5, 13.4)] * 3
    ((ada,),) = merchant.rows("SELECT customer_id::text FROM customer WHERE email LIKE 'ada%%'")
    erase_customer(merchant.db, ada, by=SYSTEM)
    coarse = places()[0]
    assert coarse != (52.5, 13.4) and places() == [coarse, (52.5, 13.4), coarse]


def test_an_order_twice_in_one_body_is_placed_once(merchant, desk):
    merchant.stock("berlin", A=20)
    order = merchant.request([("A", 2)], "berlin", {})
    other = merchant.request([("A", 3)], "berlin", {})
    sheet, plain, rest = read(merchant, [order, other, order])
    assert (plain, rest) == ([0, 1, 2], [])
    one, two, again = asyncio.run(desk.place_soon(sheet, []))
    assert (one.replayed, two.replayed, again.replayed) == (False, False, True)
    assert again.answer == one.answer != two.answer
    assert merchant.rows("SELECT sum(quantity)::int FROM fulfilment_line") == [(5,)]
