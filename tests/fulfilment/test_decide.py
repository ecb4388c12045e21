"""The node's answers as values: what is refused, and what a rejection leaves behind."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from onhand.errors import Conflict, InvalidInput
from onhand.fulfilment.decide import advance, deliver, reject, ship
from onhand.orders.decide import Amount, named_units, park
from onhand.orders.intake import Destination, Wishes
from onhand.orders.model import Fulfilment, Line, Order, Piece
from onhand.orders.states import settle

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
A, B, KIT = 1, 2, 3


def order(*, status="allocated", shipped=0, **wishes):
    """Two of A and one bundle of 2 A and 1 B, all in one fulfilment."""
    pieces = (
        Piece(line_no=1, item_id=A, quantity=2, shipped=shipped),
        Piece(line_no=2, item_id=A, quantity=2),
        Piece(line_no=2, item_id=B, quantity=1),
    )
    fulfilment = Fulfilment(
        number=1, plan_no=1, node_id=1, node="n", status=status, carrier=None, service=None, method="ship",
        ship_day=date(2026, 3, 2), ship_by=NOW, deliver_by=NOW, lines=0, units=0, cost_minor=0, cost=(0,) * 5,
        co2_g=0, pieces=pieces,
    )  # fmt: skip
    lines = (
        Line(line_no=1, line_id="x", item_id=A, quantity=2),
        Line(line_no=2, line_id="y", item_id=KIT, quantity=1, components=((A, 2), (B, 1))),
    )
    return settle(
        Order(
            order_id="o", channel_id=1, channel="web", external_id="1", status="sourced", queue=None, placed_at=NOW,
            deliver_by=None, customer_id=None, wishes=Wishes(destination=Destination(country="DE"), **wishes),
            lines=lines, fulfilments=(fulfilment,), skus={A: "A", B: "B", KIT: "KIT"},
        )
    )  # fmt: skip


def only(o):
    return o.fulfilments[0]


def test_capacity_counts_different_items_and_units():
    assert (only(order()).lines, only(order()).units) == (2, 5)
    less = reject(order(), only(order()), {(2, B): 1}, "other")
    assert (only(less).lines, only(less).units) == (1, 4)


def test_a_bundle_is_shipped_when_all_its_parts_are():
    part = ship(order(), only(order()), {(1, A): 2, (2, A): 2})
    assert [line.shipped for line in part.lines] == [2, 0]
    assert (part.status, only(part).status, part.shipments) == ("partly_shipped", "partly_shipped", 1)
    whole = ship(part, only(part), {(2, B): 1})
    assert [line.shipped for line in whole.lines] == [2, 1]
    assert (whole.status, deliver(whole, only(whole)).status) == ("shipped", "delivered")


def test_what_is_rejected_waits_and_the_reason_stays():
    gone = reject(order(), only(order()), only(order()).left, "damaged")
    assert (only(gone).status, only(gone).reason, gone.status, gone.queue) == (
        "rejected", "damaged", "unfillable", "rejected",
    )  # fmt: skip
    assert only(gone).pieces == only(order()).pieces  # its history
    rest = reject(order(status="partly_shipped", shipped=1), only(order(status="partly_shipped", shipped=1)),
                  {(1, A): 1, (2, A): 2, (2, B): 1}, "closed")  # fmt: skip
    assert (only(rest).status, rest.status) == ("shipped", "partly_shipped")
    assert only(rest).units == 1


@pytest.mark.parametrize("command", ["accept", "pack", "ship"])
def test_nothing_moves_while_it_is_held_or_incomplete(command):
    def attempt(o):
        if command == "ship":
            ship(o, only(o), {(1, A): 1})
        else:
            advance(o, only(o), command)

    attempt(order())
    with pytest.raises(Conflict) as caught:
        attempt(settle(replace(order(), held=True)))
    assert caught.value.code == "order.held"
    with pytest.raises(Conflict) as caught:
        attempt(settle(park(order(allow_split=False), {(1, A): 1}, "rejected")))
    assert caught.value.code == "order.incomplete"
    attempt(settle(park(order(), {(1, A): 1}, "rejected")))


def test_units_are_named_by_line_or_by_component():
    o = order()
    left = only(o).left

    def named(*rows):
        return named_units(o, [Amount(*row) for row in rows], left)

    assert named(("x",)) == {(1, A): 2}
    assert named(("y",)) == {(2, A): 2, (2, B): 1}
    assert named(("y", 1)) == {(2, A): 2, (2, B): 1}
    assert named(("y", 1, "A")) == {(2, A): 1}
    assert named(("y", 1, "KIT"), ("x", 1, "A")) == {(2, A): 2, (2, B): 1, (1, A): 1}
    for rows, path in (
        ([("z",)], "lines[0].line_id"),
        ([("x", 1), ("x", 1)], "lines[1].line_id"),
        ([("y", 1), ("y", 1, "B")], "lines[1].line_id"),
        ([("x", 1, "B")], "lines[0].sku"),
    ):
        with pytest.raises(InvalidInput) as invalid:
            named(*rows)
        assert [e.path for e in invalid.value.errors] == [path]
    for row, most in ((("x", 3), 2), (("y", 2), 1), (("y", 3, "A"), 2)):
        with pytest.raises(Conflict) as caught:
            named(row)
        assert (caught.value.code, caught.value.left) == ("quantity.exceeded", most)
