"""The tables of states are what the code does: nothing more, nothing less."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.errors import Conflict
from onhand.orders import states
from onhand.orders.decide import hold, park
from onhand.orders.model import total
from onhand.orders.states import FULFILMENT_STATUSES, FULFILMENT_STEPS, ORDER_STATUSES, ORDER_STEPS, settle

ORDER_COMMANDS = sorted({s.command for s in ORDER_STEPS})
FULFILMENT_COMMANDS = sorted({s.command for s in FULFILMENT_STEPS})


def test_every_row_of_the_order_table_is_reached_and_no_other(walked):
    done = {(before.status, command, after.status) for before, command, after, _ in walked}
    table = {(s.status, s.command, s.then) for s in ORDER_STEPS if s.command != "return"}
    assert done - table == set(), "steps that the table lacks"
    assert table - done == set(), "rows that nothing reaches"


def test_every_row_of_the_fulfilment_table_is_reached_and_no_other(walked):
    done = {
        (f.status, "withdraw" if command == "reroute" else command, after.fulfilment(f.number).status)
        for _, command, after, f in walked
        if f is not None
    }
    # A cancelled order takes its fulfilments along.
    done |= {
        (f.status, "cancel", then.status)
        for before, command, after, _ in walked
        if command == "cancel"
        for f in before.fulfilments
        if f != (then := after.fulfilment(f.number))
    }
    table = {(s.status, s.command, s.then) for s in FULFILMENT_STEPS}
    assert done - table == set()
    assert table - done == set()


def test_every_pair_outside_the_tables_is_refused_by_name(walked):
    by_status = {order.status: order for order, _, _, _ in walked} | {a.status: a for _, _, a, _ in walked}
    assert set(by_status) == set(ORDER_STATUSES)
    for status, order in by_status.items():
        for command in ORDER_COMMANDS:
            allowed = states.allowed(ORDER_STEPS, status)
            if command in allowed:
                states.require_order(order, command)
                continue
            with pytest.raises(Conflict, match=f"is {status}: cannot {command}") as caught:
                states.require_order(order, command)
            assert caught.value.code == "order.not_allowed"
            assert (caught.value.state, caught.value.allowed) == (status, [x for x in allowed if x != "extend"])
    fulfilments = {f.status: (o, f) for _, _, o, _ in walked for f in o.fulfilments}
    assert set(fulfilments) == set(FULFILMENT_STATUSES)
    for status, (order, f) in fulfilments.items():
        for command in FULFILMENT_COMMANDS:
            allowed = states.allowed(FULFILMENT_STEPS, status)
            if command in allowed:
                states.require_fulfilment(order, f, command)
                continue
            with pytest.raises(Conflict, match=f"is {status}: cannot {command}") as caught:
                states.require_fulfilment(order, f, command)
            assert caught.value.code == "fulfilment.not_allowed"
            assert (caught.value.state, caught.value.allowed) == (status, allowed)


def test_a_step_that_is_in_no_table_is_a_broken_promise(walked):
    order = next(o for o, _, _, _ in walked if o.status == "sourced")
    with pytest.raises(AssertionError, match="ORDER_STEPS"):
        states.check(order, replace(order, status="delivered"), "ship")
    jumped = replace(order, fulfilments=(replace(order.fulfilments[0], status="delivered"), *order.fulfilments[1:]))
    with pytest.raises(AssertionError, match="FULFILMENT_STEPS"):
        states.check(order, jumped, "cancel")


def units(order):
    """Ordered units that are not cancelled, and those that are somewhere, by line and item."""
    wanted = total(((line.line_no, item), per * line.open) for line in order.lines for item, per in line.parts)
    found = total((p.unit, p.quantity) for f in order.live for p in f.pieces)
    found = total([*found.items(), *((w.unit, w.quantity) for w in order.waiting)])
    return {u: n for u, n in wanted.items() if n}, {u: n for u, n in found.items() if n}


def test_no_step_loses_or_makes_a_unit(walked):
    for before, command, after, _ in walked:
        wanted, found = units(after)
        assert wanted == found, (before, command, after)


def test_statuses_mean_what_they_say(walked):
    for _, _, order, _ in walked:
        shipped = sum(p.shipped for f in order.fulfilments for p in f.pieces)
        left = sum(n for f in order.fulfilments for n in f.left.values())
        waits = len(order.waiting)
        assert settle(order) == order
        match order.status:
            case "sourced":
                assert (shipped, waits) == (0, 0) and left
            case "backordered":
                assert not shipped and waits and all(w.is_dated for w in order.waiting)
            case "unfillable":
                assert not shipped and any(not w.is_dated for w in order.waiting)
            case "held":
                assert order.held and (left or waits)
            case "partly_shipped":
                assert shipped and (left or waits)
            case "shipped":
                assert shipped and not left and not waits
            case "delivered":
                assert shipped and {f.status for f in order.live} == {"delivered"} and not waits
            case "cancelled":
                assert (shipped, left, waits) == (0, 0, 0)
        assert (order.queue is not None) == (bool(waits) or order.held)
        assert order.held == (order.status == "held")


@given(queues=st.sets(st.sampled_from(["rejected", "unfillable", "to_source", "backorder", "preorder"]), min_size=1),
       held=st.booleans())  # fmt: skip
def test_the_queue_that_needs_a_person_most_is_shown(walked, queues, held):
    order = replace(walked[0][0], waiting=())
    for queue in sorted(queues):
        order = park(order, {(1, 1): 1}, queue)
    order = settle(order)
    if held:
        assert hold(order, "x").queue == "held"
    else:
        assert order.queue in queues
        assert ("rejected" in queues) <= (order.queue == "rejected")
        assert ("backorder" in queues and len(queues) > 1) <= (order.queue != "backorder")
