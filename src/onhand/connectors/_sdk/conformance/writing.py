"""Cases: numbers and parcels reach the channel, once, and what became of them is said truly."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

from onhand.connectors._sdk.conformance.kit import Kit, another, case, expect
from onhand.connectors._sdk.conformance.tap import Break
from onhand.connectors._sdk.interface import Partial
from onhand.connectors._sdk.values import Fate, Less, Outcome

_TAKEN = (Fate.DONE, Fate.ACCEPTED)
_NOWHERE = (Fate.GONE, Fate.REFUSED)


def _said(outcomes: list[Outcome]) -> str:
    return ", ".join(f"{o.fate} {o.code} {o.message}".strip() for o in outcomes[:3])


@case("stock.push")
async def a_number_is_shown(kit: Kit) -> None:
    """A number that is written is shown; zero too."""
    mug = kit.bench.offer("MUG", 5)
    for n, quantity in enumerate((9, 0, 3)):
        expected = kit.bench.shown(mug) if kit.connector.is_compared else None
        outcomes = await kit.push(kit.bench.write(mug, quantity, key=f"key-{n}", expected=expected))
        expect(outcomes[0].fate in _TAKEN, f"{quantity} is not taken: {_said(outcomes)}")
        expect(kit.bench.shown(mug) == quantity, f"{quantity} was written and {kit.bench.shown(mug)} is shown")


@case("stock.push")
async def many_numbers_are_written_each_to_its_listing(kit: Kit) -> None:
    """More writes than one request takes: each gets where it belongs, and its own outcome."""
    count = 300
    listings = [kit.bench.offer(f"SKU-{n}", 1) for n in range(count)]
    writes = [kit.bench.write(listing, n, key=f"many-{n}") for n, listing in enumerate(listings)]
    outcomes = await kit.push(*reversed(writes))
    wrong = [o for o in outcomes if o.fate not in _TAKEN]
    expect(not wrong, f"{len(wrong)} of {count} are not taken: {_said(wrong)}")
    shown = [kit.bench.shown(listing) for listing in listings]
    differing = sum(a != b for a, b in zip(shown, range(count), strict=True))
    expect(not differing, f"{differing} of {count} listings show another number")


@case("stock.push")
async def of_two_numbers_for_a_listing_the_last_one_counts(kit: Kit) -> None:
    """Two writes to one listing, told together: the second is what is shown."""
    mug, cup = kit.bench.offer("MUG", 5), kit.bench.offer("CUP", 5)
    outcomes = await kit.push(
        kit.bench.write(mug, 4, key="first"),
        kit.bench.write(cup, 2, key="other"),
        kit.bench.write(mug, 1, key="second"),
    )
    expect(all(o.fate in _TAKEN for o in outcomes), f"not all are taken: {_said(outcomes)}")
    expect((kit.bench.shown(mug), kit.bench.shown(cup)) == (1, 2), f"{kit.bench.shown(mug)} is shown, not 1")


@case("stock.push")
async def a_listing_that_is_not_there_stops_no_other(kit: Kit) -> None:
    """A write to a listing that is not there is gone; the others are written, if not at once then without it."""
    mug, gone, cup = kit.bench.offer("MUG", 5), kit.bench.offer("GONE", 5), kit.bench.offer("CUP", 5)
    kit.bench.withdraw(gone)
    writes = [kit.bench.write(listing, n + 1, key=f"k{n}") for n, listing in enumerate((mug, gone, cup))]
    outcomes = await kit.push(*writes)
    expect(outcomes[1].fate in _NOWHERE, f"a write to nowhere is said to be {outcomes[1].fate}")
    for n, listing, units in ((0, mug, 1), (2, cup, 3)):
        fate, shown = outcomes[n].fate, kit.bench.shown(listing)
        expect(fate in (*_TAKEN, Fate.RETRY), f"its neighbour is {fate}: {_said(outcomes)}")
        expect((shown == units) if fate in _TAKEN else (shown == 5), f"it is said to be {fate}, and shows {shown}")
    again = [kit.bench.write(write.external_id, write.quantity, key=f"{write.key}-again") for write in writes[::2]]
    outcomes = await kit.push(*again)
    expect((kit.bench.shown(mug), kit.bench.shown(cup)) == (1, 3), f"without it, they are {_said(outcomes)}")


@case("stock.push", "compared")
async def a_number_that_others_changed_is_not_written_over(kit: Kit) -> None:
    """Where another number is than was expected, nothing is written and that is said; read anew, it is."""
    mug = kit.bench.offer("MUG", 5)
    kit.bench.show(mug, 4)
    outcomes = await kit.push(kit.bench.write(mug, 9, key="a", expected=5))
    expect(outcomes[0].fate is Fate.STALE, f"it is said to be {_said(outcomes)}")
    expect(kit.bench.shown(mug) == 4, f"{kit.bench.shown(mug)} is shown: a sale was written over")
    outcomes = await kit.push(kit.bench.write(mug, 8, key="b", expected=4))
    expect(
        outcomes[0].fate in _TAKEN and kit.bench.shown(mug) == 8, f"with the number that is there: {_said(outcomes)}"
    )


@case("stock.push")
async def a_write_whose_answer_is_lost_may_have_happened(kit: Kit) -> None:
    """A time-out after the write took effect is `unknown`, not failed, not done; the repeat with its key ends well."""
    mug = kit.bench.offer("MUG", 5)
    await _warm(kit)
    write = kit.bench.write(mug, 3, key="once", expected=5 if kit.connector.is_compared else None)
    kit.breaks(Break(applied=True, when=kit.bench.is_write))
    outcomes = await kit.push(write)
    expect(outcomes[0].fate is Fate.UNKNOWN, f"it is said to be {_said(outcomes)}")
    expect(kit.bench.shown(mug) == 3, "the kit is wrong: it did not take effect")
    outcomes = await kit.push(write)
    expect(outcomes[0].fate in (*_TAKEN, Fate.STALE), f"the repeat is {_said(outcomes)}")
    expect(kit.bench.shown(mug) == 3, f"after the repeat {kit.bench.shown(mug)} is shown")


@case("stock.push")
async def a_write_that_was_lost_on_the_way_may_have_happened(kit: Kit) -> None:
    """A time-out before the write took effect looks the same as one after it: `unknown`; the repeat writes it."""
    mug = kit.bench.offer("MUG", 5)
    await _warm(kit)
    write = kit.bench.write(mug, 3, key="once", expected=5 if kit.connector.is_compared else None)
    kit.breaks(Break(when=kit.bench.is_write))
    outcomes = await kit.push(write)
    expect(outcomes[0].fate is Fate.UNKNOWN, f"it is said to be {_said(outcomes)}")
    outcomes = await kit.push(write)
    expect(outcomes[0].fate in _TAKEN and kit.bench.shown(mug) == 3, f"the repeat is {_said(outcomes)}")


async def _warm(kit: Kit) -> None:
    """Sign in, so that what breaks is the write."""
    await kit.push(kit.bench.write(kit.bench.offer("WARM", 1), 1, key="warm"))


@case("fulfilments.push", "orders.pull")
async def a_parcel_that_is_told_twice_is_there_once(kit: Kit) -> None:
    """A parcel whose answer was lost is told again, and is there once."""
    mug = kit.bench.offer("MUG", 5)
    order_id = kit.bench.buy({mug: 2}, at=kit.since + timedelta(hours=1))
    orders, _, _ = await kit.orders()
    order = next(order for order in orders if order.external_id == order_id)
    parcel = kit.bench.parcel(order, tracking="1Z999AA10123456784", key="p1")
    kit.breaks(Break(applied=True, when=kit.bench.is_write))
    outcome = await kit.connector.push_parcel(kit.connection, parcel)
    await kit.bench.settle()
    expect(outcome.fate is Fate.UNKNOWN, f"an answer that was lost is said to be {_said([outcome])}")
    outcome = await kit.connector.push_parcel(kit.connection, parcel)
    await kit.bench.settle()
    expect(outcome.fate in _TAKEN, f"the repeat is {_said([outcome])}")
    told = list(kit.bench.parcels(order_id))
    expect(len(told) == 1, f"the channel knows {len(told)} parcels")
    expect("1Z999AA10123456784" in told[0], f"its tracking number is {told[0]!r}")


@case("fulfilments.push", "orders.pull")
async def a_part_that_is_told_twice_is_there_once(kit: Kit) -> None:
    """One of two units leaves, and its answer is lost: told again, the other one is not said to have left as well."""
    mug = kit.bench.offer("MUG", 5)
    order_id = kit.bench.buy({mug: 2}, at=kit.since + timedelta(hours=1))
    orders, _, _ = await kit.orders()
    order = next(order for order in orders if order.external_id == order_id)
    whole = kit.bench.parcel(order, tracking="1Z999AA10123456784", key="p1")
    parcel = replace(whole, lines=[{**line, "quantity": 1} for line in whole.lines], is_complete=False)
    kit.breaks(Break(applied=True, when=kit.bench.is_write))
    outcome = await kit.connector.push_parcel(kit.connection, parcel)
    if outcome.code == "not_told":
        return  # the channel hears of whole orders only
    outcome = await kit.connector.push_parcel(kit.connection, parcel)
    await kit.bench.settle()
    expect(outcome.fate in _TAKEN, f"the repeat is {_said([outcome])}")
    told = list(kit.bench.parcels(order_id))
    expect(len(told) == 1, f"the channel knows {len(told)} parcels")


@case("fulfilments.push", "orders.pull")
async def a_parcel_of_no_order_is_refused(kit: Kit) -> None:
    """A parcel of an order that is not there is refused, not taken and not tried for ever."""
    mug = kit.bench.offer("MUG", 5)
    order_id = kit.bench.buy({mug: 2}, at=kit.since + timedelta(hours=1))
    orders, _, _ = await kit.orders()
    order = next(order for order in orders if order.external_id == order_id)
    parcel = kit.bench.parcel(order, tracking="1Z1", key="p1")
    lines = [{**line, "line_id": another(str(line["line_id"]))} for line in parcel.lines]
    nowhere = replace(parcel, order_id=another(order_id), lines=lines)
    outcome = await kit.connector.push_parcel(kit.connection, nowhere)
    expect(outcome.fate in _NOWHERE, f"it is said to be {_said([outcome])}")


@case("orders.cancel")
async def an_order_that_is_cancelled_twice_is_cancelled(kit: Kit) -> None:
    """An order is cancelled; told again, it is done or refused, and stays cancelled."""
    mug = kit.bench.offer("MUG", 5)
    order_id = kit.bench.buy({mug: 2})
    outcome = await kit.connector.cancel_order(kit.connection, order_id, reason="none left", key="c1")
    expect(outcome.fate in _TAKEN, f"it is said to be {_said([outcome])}")
    expect(kit.bench.is_cancelled(order_id), "it is not cancelled there")
    outcome = await kit.connector.cancel_order(kit.connection, order_id, reason="none left", key="c1")
    expect(outcome.fate in (*_TAKEN, *_NOWHERE), f"told again, it is {_said([outcome])}")
    expect(kit.bench.is_cancelled(order_id), "told again, it is cancelled no more")


@case("orders.cancel_lines", "orders.pull")
async def units_that_are_cancelled_twice_are_gone_once(kit: Kit) -> None:
    """Two of three units are cancelled, and the answer is lost: told again, one of them is wanted still."""
    mug, cup = kit.bench.offer("MUG", 9), kit.bench.offer("CUP", 9)
    order_id = kit.bench.buy({mug: 3, cup: 2}, at=kit.since + timedelta(hours=1))
    orders, _, _ = await kit.orders()
    lines = next(order for order in orders if order.external_id == order_id).lines
    mugs = next(line for line in lines if line.quantity == 3)
    less = Less(line_id=mugs.line_id, quantity=2, left=1, external_item_id=mugs.external_item_id, sku=mugs.sku)
    cancel = cast("Partial", kit.connector).cancel_lines
    for n in range(3):
        if n == 0:
            kit.breaks(Break(applied=True, when=kit.bench.is_write))
        outcome = await cancel(kit.connection, order_id, [less], reason="none left", key="c1")
        await kit.bench.settle()
        fates = (Fate.UNKNOWN,) if n == 0 else _TAKEN
        expect(outcome.fate in fates, f"time {n + 1} it is said to be {_said([outcome])}")
    orders, _, _ = await kit.orders()
    left = {x.line_id: x.quantity - x.cancelled for o in orders if o.external_id == order_id for x in o.lines}
    wanted = {line.line_id: 1 if line is mugs else 2 for line in lines}
    expect({i: n for i, n in left.items() if n} == wanted, f"it wants {left} still, not {wanted}")
    expect(not kit.bench.is_cancelled(order_id), "all of it is cancelled")
