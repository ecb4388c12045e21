"""Orders as values: a world without a database in which every command can be tried."""

from collections import deque
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product

import pytest

from onhand.errors import Conflict
from onhand.fulfilment import decide as node_side
from onhand.orders import decide
from onhand.orders.intake import Destination, Wishes
from onhand.orders.model import Fulfilment, Line, Order, Piece, Wait, total
from onhand.orders.states import settle

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
A, B, KIT = 1, 2, 3


def make_order(*lines, held=False, **wishes):
    """An order none of whose units has a place yet; lines are (item, quantity)."""
    made = tuple(
        Line(
            line_no=n,
            line_id=str(n),
            item_id=item,
            quantity=quantity,
            components=((A, 2), (B, 1)) if item == KIT else (),
        )
        for n, (item, quantity) in enumerate(lines, 1)
    )
    order = Order(
        order_id="0" * 8,
        channel_id=1,
        channel="web",
        external_id="1",
        status="sourced",
        queue=None,
        placed_at=NOW,
        deliver_by=None,
        customer_id=None,
        wishes=Wishes(destination=Destination(country="DE"), **wishes),
        lines=made,
        held=held,
        skus={A: "A", B: "B", KIT: "KIT"},
    )
    units = {(line.line_no, item): per * line.quantity for line in made for item, per in line.parts}
    return settle(decide.park(order, units, "unfillable"))


def allocate(order, units, node=1):
    """`units` of the waiting ones in a new fulfilment."""
    order = decide.take_waiting(order, units, order.waiting)
    number = len(order.fulfilments) + 1
    new = Fulfilment(
        number=number,
        plan_no=number,
        node_id=node,
        node=f"n{node}",
        status="allocated",
        carrier="dhl",
        service="standard",
        method="ship",
        ship_day=date(2026, 3, 2),
        ship_by=NOW,
        deliver_by=NOW,
        lines=0,
        units=0,
        cost_minor=100,
        cost=(100, 0, 0, 0, 0),
        co2_g=40,
        pieces=tuple(Piece(line_no=line, item_id=item, quantity=n) for (line, item), n in units.items()),
    )
    return settle(replace(order, fulfilments=(*order.fulfilments, new)))


def back(order, units):
    """`units` of the waiting ones promised from dated supply."""
    order = decide.take_waiting(order, units, [w for w in order.waiting if not w.is_dated])
    dated = tuple(
        Wait(line_no=line, item_id=item, queue="backorder", quantity=n, inbound_id="i", inbound_line=1, node_id=1)
        for (line, item), n in units.items()
    )  # fmt: skip
    return settle(replace(order, waiting=order.waiting + dated))


def placed(order, *, dated=False):
    """What sourcing may find for the units that wait without a date (or for all): nothing, supply, or the shelf."""
    units = total((w.unit, w.quantity) for w in order.waiting if not w.is_dated)
    yield settle(order)
    if units:
        yield back(order, units)
        yield allocate(order, units)
    if dated and order.waiting:
        yield allocate(order, total((w.unit, w.quantity) for w in order.waiting))


def moves(order):
    """(command, order afterwards, fulfilment it was about or None) of everything that is possible."""
    for f in order.fulfilments:
        left = f.left
        one = dict([next(iter((unit, 1) for unit in left))]) if left else {}
        attempts = [
            ("accept", lambda f=f: node_side.advance(order, f, "accept")),
            ("pack", lambda f=f: node_side.advance(order, f, "pack")),
            ("deliver", lambda f=f: node_side.deliver(order, f)),
            ("ship", lambda f=f, left=left: node_side.ship(order, f, left)),
            ("ship", lambda f=f, one=one: node_side.ship(order, f, one)),
        ]
        for command, attempt in attempts:
            if command != "ship" or left:
                yield from _result(command, attempt, f)
        for units in (left, one):
            if units:
                for _, refused, _ in _result("reject", lambda f=f, u=units: node_side.reject(order, f, u, "other"), f):
                    yield from (("reject", after, f) for after in placed(refused))
                for _, gone, _ in _result("withdraw", lambda f=f, u=units: decide.withdraw(order, f, u, reason="x"), f):
                    yield from (("withdraw", after, f) for after in placed(gone))
                    if order.status != "held":
                        yield from (("reroute", after, f) for after in placed(gone, dated=True))
    yield from _result("cancel", lambda: decide.cancel(order, None, reason=None))
    yield from _result("repromise", lambda: decide.promised_anew(order, NOW))
    for line, quantity in product(order.lines, (None, 1)):
        row = decide.Amount(line.line_id, quantity)
        yield from _result("cancel", lambda row=row: decide.cancel(order, [row], reason=None))
    yield from _result("hold", lambda: decide.hold(order, "why"))
    for _, released, _ in _result("release", lambda: decide.release(order)):
        yield from (("release", after, None) for after in placed(released))
    for _, grown, _ in _result("extend", lambda: decide.extend(order, {1: 1})):
        if max(line.quantity for line in order.lines) < 4:
            yield from (("extend", after, None) for after in ([settle(grown)] if order.held else placed(grown)))
    if decide.is_unreleased(order):
        gone = decide.withdraw_all(order, reason="x")
        yield "reoptimise", allocate(gone, total((w.unit, w.quantity) for w in gone.waiting)), None
    if order.waiting:
        # The sweep; a receipt; and supply that went to others.
        yield from (("source", after, None) for after in placed(order) if order.status != "sourced")
        dated = total((w.unit, w.quantity) for w in order.waiting if w.is_dated)
        if dated:
            yield "source", allocate(order, dated), None
            lost = tuple(replace(w, has_come=True) for w in order.waiting)
            yield "source", settle(replace(order, waiting=lost)), None


def _result(command, attempt, fulfilment=None):
    try:
        yield command, attempt(), fulfilment
    except Conflict:
        return


@pytest.fixture(scope="session")
def walked():
    """Every step that small orders can take: [(before, command, after, fulfilment)]."""
    starts = [
        allocate(make_order((A, 2)), {(1, A): 2}),
        allocate(allocate(make_order((A, 1), (B, 1)), {(1, A): 1}), {(2, B): 1}, node=2),
        make_order((A, 1), (B, 1), held=True),
        back(make_order((A, 2)), {(1, A): 2}),
        allocate(make_order((A, 3)), {(1, A): 3}),
        allocate(make_order((KIT, 1)), {(1, A): 2, (1, B): 1}),
    ]
    steps = []
    for start in starts:
        seen, queue = {_key(start)}, deque([start])
        while queue:
            order = queue.popleft()
            for command, after, f in moves(order):
                steps.append((order, command, after, f))
                # Two fulfilments and the first 500 orders show every kind of step.
                if len(after.fulfilments) <= 2 and len(seen) < 500 and _key(after) not in seen:
                    seen.add(_key(after))
                    queue.append(after)
    return steps


def _key(order):
    return (
        order.status,
        order.held,
        order.lines,
        tuple((f.status, f.pieces) for f in order.fulfilments),
        tuple(sorted((w.unit, w.queue, w.quantity, w.is_dated) for w in order.waiting)),
    )
