"""Cases: prices reach the channel exactly, once, and nothing else with them."""

from typing import cast

from onhand.connectors._sdk.conformance.kit import Kit, case, expect
from onhand.connectors._sdk.conformance.tap import Break
from onhand.connectors._sdk.filling import minor_units
from onhand.connectors._sdk.interface import Pricing
from onhand.connectors._sdk.values import Fate, Outcome, Price, PriceWrite

_TAKEN = (Fate.DONE, Fate.ACCEPTED)
_NOWHERE = (Fate.GONE, Fate.REFUSED)
_PAGES_MAX = 100


async def _push(kit: Kit, *writes: PriceWrite) -> list[Outcome]:
    outcomes = await cast("Pricing", kit.connector).push_prices(kit.connection, writes)
    expect(len(outcomes) == len(writes), f"{len(writes)} prices have {len(outcomes)} outcomes")
    await kit.bench.settle()
    return outcomes


def _said(outcomes: list[Outcome]) -> str:
    return ", ".join(f"{o.fate} {o.code} {o.message}".strip() for o in outcomes[:3])


@case("prices.push")
async def a_price_is_asked_to_the_last_cent_and_as_before_again(kit: Kit) -> None:
    """Prices with and without cents, large and small, are asked as they are; in the end the one before is."""
    mug = kit.bench.offer("MUG", 5)
    before = kit.bench.asked(mug)
    for n, minor in enumerate((2_250, 1_000, 1, 99_999_999, 1_005, before)):
        outcomes = await _push(kit, kit.bench.price_write(mug, minor, key=f"price-{n}"))
        expect(outcomes[0].fate in _TAKEN, f"{minor} is not taken: {_said(outcomes)}")
        expect(kit.bench.asked(mug) == minor, f"{minor} was written and {kit.bench.asked(mug)} is asked")


@case("prices.push", "stock.push")
async def a_price_changes_no_number_and_a_number_no_price(kit: Kit) -> None:
    """Stock stays as it is when a price is written, and a price when stock is."""
    mug, cup = kit.bench.offer("MUG", 5), kit.bench.offer("CUP", 5)
    of_cup = kit.bench.asked(cup)
    await _push(kit, kit.bench.price_write(mug, 2_250, key="p"))
    expect((kit.bench.shown(mug), kit.bench.shown(cup)) == (5, 5), "a number is another after a price was written")
    expect(kit.bench.asked(cup) == of_cup, "the price of another listing is another")
    await kit.push(kit.bench.write(mug, 2, key="n", expected=5 if kit.connector.is_compared else None))
    expect(kit.bench.asked(mug) == 2_250, f"after a number was written {kit.bench.asked(mug)} is asked")


@case("prices.push")
async def many_prices_are_written_each_to_its_listing(kit: Kit) -> None:
    """More prices than one request takes: each gets where it belongs, and its own outcome."""
    listings = [kit.bench.offer(f"SKU-{n}", 1) for n in range(120)]
    writes = [kit.bench.price_write(listing, 500 + n, key=f"many-{n}") for n, listing in enumerate(listings)]
    outcomes = await _push(kit, *reversed(writes))
    wrong = [o for o in outcomes if o.fate not in _TAKEN]
    expect(not wrong, f"{len(wrong)} are not taken: {_said(wrong)}")
    differing = sum(kit.bench.asked(listing) != 500 + n for n, listing in enumerate(listings))
    expect(not differing, f"{differing} listings ask another price")


@case("prices.push")
async def a_price_of_nothing_stops_no_other(kit: Kit) -> None:
    """A price for a listing that is not there is gone; the others are written."""
    mug, gone, cup = kit.bench.offer("MUG", 5), kit.bench.offer("GONE", 5), kit.bench.offer("CUP", 5)
    kit.bench.withdraw(gone)
    writes = [kit.bench.price_write(listing, 700 + n, key=f"k{n}") for n, listing in enumerate((mug, gone, cup))]
    outcomes = await _push(kit, *writes)
    expect(outcomes[1].fate in _NOWHERE, f"a price for nothing is said to be {outcomes[1].fate}")
    expect(all(outcomes[n].fate in _TAKEN for n in (0, 2)), f"its neighbours are {_said(outcomes)}")
    expect((kit.bench.asked(mug), kit.bench.asked(cup)) == (700, 702), "its neighbours are not written")


@case("prices.push")
async def a_price_whose_answer_is_lost_may_have_been_taken(kit: Kit) -> None:
    """A time-out after the price took effect is `unknown`, not failed, not done; the repeat with its key ends well."""
    mug = kit.bench.offer("MUG", 5)
    await _push(kit, kit.bench.price_write(mug, 1_100, key="warm"))
    write = kit.bench.price_write(mug, 1_300, key="once")
    kit.breaks(Break(applied=True, when=kit.bench.is_write))
    outcomes = await _push(kit, write)
    expect(outcomes[0].fate is Fate.UNKNOWN, f"it is said to be {_said(outcomes)}")
    outcomes = await _push(kit, write)
    expect(outcomes[0].fate in _TAKEN, f"the repeat is {_said(outcomes)}")
    expect(kit.bench.asked(mug) == 1_300, f"after the repeat {kit.bench.asked(mug)} is asked")


@case("prices.pull", "prices.push")
async def what_is_asked_is_read_to_the_last_cent(kit: Kit) -> None:
    """Every listing's price is read as it is, beyond the first page."""
    listings = [kit.bench.offer(f"SKU-{n}", 1) for n in range(130)]
    writes = [kit.bench.price_write(x, 1_001 + n, key=f"k{n}") for n, x in enumerate(listings[:60])]
    await _push(kit, *writes)
    found: dict[str, int] = {}
    at: str | None = None
    for _ in range(_PAGES_MAX):
        page = await cast("Pricing", kit.connector).pull_prices(kit.connection, at)
        expect(not page.rejects, f"{len(page.rejects)} cannot be read: {[r.why for r in page.rejects[:1]]}")
        for price in cast("list[Price]", page.records):
            currency = price.currency or kit.bench.currency
            expect(currency == kit.bench.currency, f"it is read as {currency}")
            minor = price.price_minor
            found[price.external_id] = minor_units(price.amount, currency) if minor is None else minor
        if page.next is None:
            break
        at = page.next
    wanted = {listing: kit.bench.asked(listing) for listing in listings}
    expect(found == wanted, f"{sum(found.get(x) != y for x, y in wanted.items())} of {len(wanted)} are read wrongly")


@case("prices.currency")
async def the_currency_of_its_prices_is_told(kit: Kit) -> None:
    """A code of ISO 4217: no price is written where another one is meant."""
    kit.bench.offer("MUG", 5)
    told = await cast("Pricing", kit.connector).get_currency(kit.connection)
    expect(told == kit.bench.currency, f"it is said to be {told}")
