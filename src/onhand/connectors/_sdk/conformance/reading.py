"""Cases: what is read of a channel is all of it, as it is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from onhand.connectors._sdk.conformance.kit import Kit, another, case, expect
from onhand.connectors._sdk.interface import Refused
from onhand.connectors._sdk.values import Level, Offer

_FEW = 5
_MEANWHILE_MAX = 8


def _many(kit: Kit) -> int:
    """More orders than stand on two pages."""
    return 2 * kit.bench.page + _FEW if kit.bench.page else 40


def _moment(kit: Kit, minutes: float = 0.0) -> datetime:
    """A whole second well after `since`, and in the past."""
    return (kit.since + timedelta(hours=6, minutes=minutes)).astimezone(UTC).replace(microsecond=0)


def _missing(bought: list[str], read: list[str]) -> str:
    lost = [order for order in bought if order not in set(read)]
    return f"{len(lost)} of {len(bought)} orders are not read, such as {lost[:3]}"


@case("orders.pull")
async def orders_of_all_pages_are_read(kit: Kit) -> None:
    """Orders of all pages are read, each once, with their lines."""
    mug = kit.bench.offer("MUG", 1_000_000)
    bought = [kit.bench.buy({mug: 1 + n % 3}, at=_moment(kit, n)) for n in range(_many(kit))]
    orders, rejects, _ = await kit.orders()
    read = [order.external_id for order in orders]
    expect(not rejects, f"ordinary orders are not understood: {rejects[:2]}")
    expect(set(bought) <= set(read), _missing(bought, read))
    units = {order.external_id: sum(line.quantity for line in order.lines) for order in orders}
    wrong = [order for n, order in enumerate(bought) if units[order] != 1 + n % 3]
    expect(not wrong, f"orders have other quantities than were bought: {wrong[:3]}")
    expect(all(order.status == "open" for order in orders), "paid orders are not read as open")
    unknown = [line for order in orders for line in order.lines if "MUG" not in (line.sku, line.external_item_id)]
    expect(
        all(line.external_item_id or line.sku for line in unknown),
        "a line says neither which listing nor which sku it is of",
    )


@case("orders.pull")
async def orders_of_one_moment_are_all_read_across_the_border_of_a_page(kit: Kit) -> None:
    """Orders that changed in the same moment are all read, also where a page ends between them."""
    mug = kit.bench.offer("MUG", 1_000_000)
    moment = _moment(kit)
    bought = [kit.bench.buy({mug: 1}, at=moment) for _ in range(_many(kit))]
    orders, _, _ = await kit.orders()
    read = [order.external_id for order in orders]
    expect(set(bought) <= set(read), _missing(bought, read))


@case("orders.pull")
async def the_next_reading_begins_where_this_one_ended(kit: Kit) -> None:
    """What changed after a reading, and in the moment it ended, is read the next time; what is long past is not."""
    mug = kit.bench.offer("MUG", 1_000_000)
    old = [kit.bench.buy({mug: 1}, at=_moment(kit, n)) for n in range(_FEW)]
    last = _moment(kit, 600)
    kit.bench.buy({mug: 1}, at=last)
    _, _, cursor = await kit.orders()
    expect(cursor is not None, "a reading does not say where the next one begins")
    same = kit.bench.buy({mug: 1}, at=last)
    later = kit.bench.buy({mug: 1}, at=last + timedelta(minutes=5))
    orders, _, again = await kit.orders(cursor)
    read = [order.external_id for order in orders]
    expect(later in read, "an order that came after a reading is not read the next time")
    expect(same in read, "an order of the very moment in which a reading ended is lost")
    expect(not set(old) & set(read), "orders of long ago are read again each time")
    orders, _, _ = await kit.orders(again)
    expect(later in [order.external_id for order in orders] or len(orders) <= _FEW, "a reading that stands still moves")


@case("orders.pull")
async def nothing_is_lost_while_pages_shift(kit: Kit) -> None:
    """Orders that change or come while pages are read move others to pages that were read already: none is lost."""
    mug = kit.bench.offer("MUG", 1_000_000)
    bought = [kit.bench.buy({mug: 1}, at=_moment(kit, n)) for n in range(_many(kit))]
    fresh: list[str] = []

    def meanwhile(page: int) -> None:
        if page > _MEANWHILE_MAX:
            return  # where what comes is a page of its own, there would be no end
        # Those of the pages already read go to the end: all that follow move to the front.
        for n in range(_FEW):
            kit.bench.change(bought[(page - 1) * _FEW + n], at=_moment(kit, 700 + page))
        fresh.append(kit.bench.buy({mug: 1}, at=_moment(kit, 720 + page)))

    orders, _, cursor = await kit.orders(between=meanwhile)
    more, _, _ = await kit.orders(cursor)
    read = [order.external_id for order in (*orders, *more)]
    expect(set(bought) <= set(read), _missing(bought, read))
    expect(set(fresh) <= set(read), _missing(fresh, read))


@case("orders.pull")
async def a_moment_that_is_yet_to_come_hides_nothing(kit: Kit) -> None:
    """An order that says it changed in years to come (a clock that is wrong) keeps no later one from being read."""
    mug = kit.bench.offer("MUG", 1_000_000)
    kit.bench.buy({mug: 1}, at=datetime(2199, 1, 1, tzinfo=UTC))
    _, _, cursor = await kit.orders()
    later = kit.bench.buy({mug: 1}, at=datetime.now(UTC).replace(microsecond=0))
    orders, _, _ = await kit.orders(cursor)
    expect(later in [order.external_id for order in orders], "it is read never more what comes after a wrong clock")


@case("orders.pull")
async def an_unknown_status_is_read_as_unknown(kit: Kit) -> None:
    """A word of status that the map does not know is `unknown`, and told; the order is read all the same."""
    mug = kit.bench.offer("MUG", 9)
    order_id = kit.bench.buy({mug: 2}, at=_moment(kit))
    kit.bench.say(order_id, "on-the-moon")
    orders, rejects, _ = await kit.orders()
    found = [order for order in orders if order.external_id == order_id]
    expect(len(found) == 1, f"the order is not read: {rejects[:1]}")
    expect(found[0].status == "unknown", f"it is read as {found[0].status}: guessed")
    expect("on-the-moon" in found[0].status_word, f"the channel's own word is lost: {found[0].status_word!r}")


@case("orders.pull")
async def a_record_that_cannot_be_read_stops_no_other(kit: Kit) -> None:
    """A record that cannot be read is told with its id and why; those before and after it are read."""
    mug = kit.bench.offer("MUG", 9)
    bought = [kit.bench.buy({mug: 1}, at=_moment(kit, n)) for n in range(3)]
    kit.bench.spoil(bought[1])
    orders, rejects, _ = await kit.orders()
    read = {order.external_id for order in orders}
    expect({bought[0], bought[2]} <= read, "others are not read either")
    expect(bought[1] not in read, "it is read, as if nothing were wrong with it")
    expect(len(rejects) == 1 and bool(rejects[0].why), "it is left out, and nobody is told")


@case("orders.pull")
async def more_is_bought_than_there_is(kit: Kit) -> None:
    """An order for more than there is comes in as it was placed."""
    mug = kit.bench.offer("MUG", 2)
    order_id = kit.bench.buy({mug: 50}, at=_moment(kit))
    orders, rejects, _ = await kit.orders()
    units = [sum(line.quantity for line in order.lines) for order in orders if order.external_id == order_id]
    expect(units == [50], f"it was for 50 and is read as {units}: {rejects[:1]}")


@case("orders.pull")
async def an_order_of_what_is_sold_no_more_is_read(kit: Kit) -> None:
    """An order whose listing is there no longer is read, with its line."""
    mug = kit.bench.offer("MUG", 2)
    order_id = kit.bench.buy({mug: 1}, at=_moment(kit))
    kit.bench.withdraw(mug)
    orders, rejects, _ = await kit.orders()
    found = [order for order in orders if order.external_id == order_id]
    expect(len(found) == 1, f"the order is not read: {rejects[:1]}")
    expect([line.quantity for line in found[0].lines] == [1], "its line is not read")


@case("orders.get")
async def an_order_is_read_by_its_name(kit: Kit) -> None:
    """One order is read as it is in a page; one that is not there is gone, and that is said."""
    mug = kit.bench.offer("MUG", 9)
    order_id = kit.bench.buy({mug: 2}, at=_moment(kit))
    order = await kit.connector.get_order(kit.connection, order_id)
    expect(order.external_id == order_id, f"asked for {order_id} and got {order.external_id}")
    if "orders.pull" in kit.connector.capabilities:
        orders, _, _ = await kit.orders()
        expect(order in orders, "it is another in a page than alone")
    kit.bench.withdraw(mug)
    missing = another(order_id)
    try:
        await kit.connector.get_order(kit.connection, missing)
    except Refused as error:
        expect(error.is_gone, f"an order that is not there is refused, and not said to be gone: {error}")
    else:
        expect(False, "an order that is not there is read")


@case("stock.pull")
async def the_numbers_of_all_listings_are_read(kit: Kit) -> None:
    """What the channel shows is read of every listing, zero and less than zero too."""
    count = _many(kit)
    kit.bench.offer_uncounted("AIR")
    place = kit.bench.settings.get("place", "")  # what is shown elsewhere is not ours
    offered = {kit.bench.offer(f"SKU-{n}", n): n for n in range(count)}
    read: dict[str, int] = {}
    at: str | None = None
    for _ in range(count):
        page = await kit.connector.pull_stock(kit.connection, at)
        expect(not page.rejects, f"numbers are not understood: {page.rejects[:2]}")
        levels = cast("Sequence[Level]", page.records)
        read |= {level.external_id: level.quantity for level in levels if level.place in ("", place)}
        if (at := page.next) is None:
            break
    wrong = {listing: (units, read.get(listing)) for listing, units in offered.items() if read.get(listing) != units}
    expect(
        not wrong, f"{len(wrong)} of {count} listings are read wrongly: (shown, read) {dict(list(wrong.items())[:3])}"
    )


@case("listings.pull")
async def all_listings_are_read(kit: Kit) -> None:
    """What the channel sells is read, by the names that writes and orders use."""
    count = _many(kit)
    offered = {kit.bench.offer(f"SKU-{n}", n): f"SKU-{n}" for n in range(count)}
    read: dict[str, str] = {}
    at: str | None = None
    for _ in range(count):
        page = await kit.connector.pull_listings(kit.connection, at)
        read |= {offer.external_id: offer.external_sku for offer in cast("Sequence[Offer]", page.records)}
        if (at := page.next) is None:
            break
    wrong = {listing: (sku, read.get(listing)) for listing, sku in offered.items() if read.get(listing) != sku}
    expect(not wrong, f"{len(wrong)} of {count} listings are read wrongly: (sku, read) {dict(list(wrong.items())[:3])}")
