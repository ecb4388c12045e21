"""Cases of channels that pass files: each is taken once and whole, and what cannot be read is told and kept."""

from collections.abc import Sequence
from typing import Any, Final, cast

from onhand.connectors._sdk.conformance.kit import Kit, case, expect
from onhand.connectors._sdk.conformance.tap import Break
from onhand.connectors._sdk.interface import Connector, Counter, Refused, Shipper, Unavailable
from onhand.connectors._sdk.values import ChannelOrder, Fate, Level, Page, Reject, Sale, Shipment
from onhand.wire import Request

_PAGES_MAX: Final = 200
_STEPS_MAX: Final = 60
# Of counts a repeat is a fact again: that it is told twice changes nothing.
_REPEATED: Final = ("counts.pull",)
_TAKEN: Final = (Fate.DONE, Fate.ACCEPTED)
_Record = ChannelOrder | Level | Sale | Shipment


def _kinds(kit: Kit) -> list[str]:
    kinds = ("orders.pull", "sales.pull", "counts.pull", "shipping.pull")
    return [kind for kind in kinds if kind in kit.connector.capabilities]


async def _page(kit: Kit, kind: str, at: str | None) -> Page:
    c: Connector = kit.connector
    match kind:
        case "orders.pull":
            return await c.pull_orders(kit.connection, at, since=kit.since)
        case "sales.pull":
            return await c.pull_sales(kit.connection, at, since=kit.since)
        case "counts.pull":
            return await cast("Counter", c).pull_counts(kit.connection, at, since=kit.since)
        case _:
            return await cast("Shipper", c).pull_shipments(kit.connection, at, since=kit.since)


async def _read(kit: Kit, kind: str, at: str | None = None) -> tuple[list[int], list[Reject]]:
    """Units of each record of all pages, and what could not be read."""
    units: list[int] = []
    rejects: list[Reject] = []
    for _ in range(_PAGES_MAX):
        page = await _page(kit, kind, at)
        units += [_units(record) for record in cast("Sequence[_Record]", page.records)]
        rejects += page.rejects
        if page.next is None:
            return units, rejects
        at = page.next
    expect(False, f"{kind}: {_PAGES_MAX} pages and no end")
    return units, rejects


def _units(record: _Record) -> int:
    if isinstance(record, (ChannelOrder, Shipment)):
        return sum(line.quantity for line in record.lines)
    return record.quantity


async def _file(kit: Kit, kind: str, units: Sequence[int], *, spoilt: Sequence[int] = ()) -> bytes:
    """A file of which we know what it is about: what is said to have been shipped was asked for."""
    if kind == "shipping.pull" and "shipping.push" in kit.connector.capabilities:
        for n in units:
            outcome = await cast("Shipper", kit.connector).push_fulfilment(kit.connection, kit.bench.fulfilment(n))
            expect(outcome.fate in _TAKEN, f"a request to ship is {outcome.fate} {outcome.message}")
    return kit.bench.content(kind, units, spoilt=spoilt)


@case("files")
async def a_file_is_taken_once_and_put_away(kit: Kit) -> None:
    """Every record of a file is read once; then the file is done with, and lies where we said it would."""
    for n, kind in enumerate(_kinds(kit)):
        name = f"a{n}"
        kit.bench.lay(kind, name, await _file(kit, kind, (1, 2, 3)))
        units, rejects = await _read(kit, kind)
        expect((units, rejects) == ([1, 2, 3], []), f"{kind}: 1, 2, 3 is read as {units}, {rejects[:2]}")
        expect(kit.bench.lies(name) == "done", f"{kind}: the file lies in {kit.bench.lies(name)!r}, not in `done`")
        units, rejects = await _read(kit, kind)
        expect((units, rejects) == ([], []), f"{kind}: it is read again, as {units}, {rejects[:2]}")


@case("files")
async def until_it_was_stored_a_file_says_the_same_again(kit: Kit) -> None:
    """Who asks anew, without having stored the first page, gets the same records by the same names."""
    for n, kind in enumerate(_kinds(kit)):
        kit.bench.lay(kind, f"a{n}", await _file(kit, kind, (1, 2)))
        once, again = await _page(kit, kind, None), await _page(kit, kind, None)
        expect(len(once.records) == 2, f"{kind}: 2 records are read as {len(once.records)}: {once.rejects[:1]}")
        expect(list(once.records) == list(again.records), f"{kind}: they have other names when they are read again")
        expect(kit.bench.lies(f"a{n}") == "in", f"{kind}: the file was put away before its records were stored")
        await _read(kit, kind, again.next)


@case("files")
async def the_same_file_sent_again_is_taken_once(kit: Kit) -> None:
    """A file that comes again under its name says nothing new; a count may be told again, as it is a fact."""
    for n, kind in enumerate(_kinds(kit)):
        body = await _file(kit, kind, (1, 2))
        for time in range(2):
            kit.bench.lay(kind, f"a{n}", body)
            units, _ = await _read(kit, kind)
            right = units == [1, 2] if time == 0 else units == [] or (kind in _REPEATED and units == [1, 2])
            expect(right, f"{kind}: time {time + 1} it is read as {units}")


@case("files")
async def files_that_come_in_another_order_are_all_read(kit: Kit) -> None:
    """A file whose name, or number, is before that of one that was read already is read all the same."""
    for n, kind in enumerate(_kinds(kit)):
        first, second = await _file(kit, kind, (1, 2)), await _file(kit, kind, (3,))
        read: list[int] = []
        for name, body in ((f"b{n}", second), (f"a{n}", first)):
            kit.bench.lay(kind, name, body)
            units, rejects = await _read(kit, kind)
            expect(not rejects, f"{kind}: {name} is not understood: {rejects[:1]}")
            read += units
        expect(read == [3, 1, 2], f"{kind}: 3 and then 1, 2 are read as {read}")


@case("files")
async def a_record_of_a_file_that_cannot_be_read_stops_no_other(kit: Kit) -> None:
    """Of a file with a bad record the others are read, and the bad one is told with the reason."""
    for n, kind in enumerate(_kinds(kit)):
        kit.bench.lay(kind, f"a{n}", await _file(kit, kind, (1, 2, 3), spoilt=(1,)))
        units, rejects = await _read(kit, kind)
        expect(units == [1, 3], f"{kind}: 1, bad, 3 is read as {units}")
        expect(len(rejects) == 1 and bool(rejects[0].why), f"{kind}: of one bad record is told {rejects}")


@case("files")
async def a_damaged_file_is_put_aside_and_stops_no_other(kit: Kit) -> None:
    """Of a file that does not hold together nothing is taken: it is told, kept for people to look at, and the next one
    is read."""
    for n, kind in enumerate(_kinds(kit)):
        body = await _file(kit, kind, (1, 2))
        for m, (what, damaged) in enumerate(kit.bench.damaged(kind, body).items()):
            name = f"a{n}-{m}"
            kit.bench.lay(kind, name, damaged)
            kit.bench.lay(kind, f"b{n}-{m}", await _file(kit, kind, (10 + m,)))
            units, rejects = await _read(kit, kind)
            expect(units == [10 + m], f"{kind}, {what}: it and a good file are read as {units}")
            expect(len(rejects) == 1 and bool(rejects[0].why), f"{kind}, {what}: told is {rejects}")
            where = kit.bench.lies(name)
            expect(where == "rejects", f"{kind}, {what}: it lies in {where!r}, not in `rejects`")


@case("files")
async def of_half_a_file_nothing_is_guessed(kit: Kit) -> None:
    """A file that broke off in the middle of a number is told of; what is read of it is as it was written, and the next
    file is read."""
    for n, kind in enumerate(_kinds(kit)):
        body = await _file(kit, kind, (111, 222, 333))
        kit.bench.lay(kind, f"a{n}", body[: body.rindex(b"222") + 2])
        kit.bench.lay(kind, f"b{n}", await _file(kit, kind, (4,)))
        units, rejects = await _read(kit, kind)
        expect(units in ([4], [111, 4]), f"{kind}: 111, half of 222, and 4 are read as {units}")
        expect(len(rejects) == 1, f"{kind}: nobody is told of the half that is missing: {rejects}")


@case("files")
async def a_reading_that_breaks_off_anywhere_takes_everything_once(kit: Kit) -> None:
    """The folder breaks off at any step, before or after it was done: read on from what was stored, nothing is lost and
    nothing is another record than before."""
    for kind in _kinds(kit):
        for applied in (False, True):
            for step in range(1, _STEPS_MAX):
                body = await _file(kit, kind, (1, 2, 3), spoilt=(1,))
                kit.bench.lay(kind, f"a{step}-{applied}", body)
                broke, stored = await _broken_off(kit, kind, step, applied=applied)
                units = sorted(_units(record) for record in stored.values())
                expect(units == [1, 3], f"{kind}: broken off at step {step} (done: {applied}) it is {units}")
                if not broke:
                    break
            else:
                expect(False, f"{kind}: a file of three records takes {_STEPS_MAX} steps and more")


async def _broken_off(kit: Kit, kind: str, step: int, *, applied: bool) -> tuple[bool, dict[str, Any]]:
    """Whether anything broke, and the records that a caller has who goes on from what he stored."""
    passed = 0

    def is_it(_: Request) -> bool:
        nonlocal passed
        passed += 1
        return passed == step

    kit.breaks(Break(applied=applied, when=is_it))
    broke, stored, at = False, dict[str, Any](), cast("str | None", None)
    for _ in range(_PAGES_MAX):
        try:
            page = await _page(kit, kind, at)
        except Unavailable:
            expect(not broke, f"{kind}: it breaks off a second time")
            broke = True
            continue
        for record in cast("Sequence[_Record]", page.records):
            same = stored.setdefault(record.external_id, record)
            expect(same == record, f"{kind}: {record.external_id} is another one when it is read again")
        if page.next is None:
            break
        at = page.next
    kit.tap.mend()
    return broke, stored


@case("files", "shipping.pull", "shipping.push")
async def what_is_shipped_is_told_of_the_fulfilment_that_was_asked_for(kit: Kit) -> None:
    """A shipment comes back under our own name for what was asked."""
    wanted = kit.bench.fulfilment(7)
    kit.bench.lay("shipping.pull", "a", await _file(kit, "shipping.pull", (7,)))
    page = await _page(kit, "shipping.pull", None)
    told = [record.fulfilment_id for record in cast("Sequence[Shipment]", page.records)]
    expect(told == [wanted.fulfilment_id], f"{wanted.fulfilment_id} was asked for and {told} is told")


@case("files", "shipping.push")
async def a_request_to_ship_whose_answer_is_lost_is_there_once(kit: Kit) -> None:
    """Cut off before or after the file was written it is `unknown`, not reached it is tried again; repeated with its
    key, one request lies there."""
    ask = cast("Shipper", kit.connector).push_fulfilment
    breaks = ((1, True, True, Fate.UNKNOWN), (2, False, True, Fate.UNKNOWN), (3, False, False, Fate.RETRY))
    for units, applied, sent, fate in breaks:
        wanted = kit.bench.fulfilment(units)
        kit.breaks(Break(applied=applied, sent=sent, when=kit.bench.is_write))
        outcome = await ask(kit.connection, wanted)
        expect(outcome.fate is fate, f"applied: {applied}, sent: {sent}: it is said to be {outcome.fate}, not {fate}")
        for _ in range(2):
            outcome = await ask(kit.connection, wanted)
            expect(outcome.fate in _TAKEN, f"the repeat is {outcome.fate} {outcome.message}")
        lying = list(kit.bench.requested())
        expect(lying.count(units) == 1, f"applied: {applied}, sent: {sent}: {lying.count(units)} requests lie there")


@case("files", "stock.push")
async def a_number_that_cannot_be_written_stops_no_other(kit: Kit) -> None:
    """Of numbers that are written together, one whose name has a letter that they cannot read is refused alone."""
    mug, cup, bad = kit.bench.offer("MUG", 5), kit.bench.offer("CUP", 5), kit.bench.unwritable()
    outcomes = await kit.push(*(kit.bench.write(one, n + 1, key=f"k{n}") for n, one in enumerate((mug, bad, cup))))
    fates = [outcome.fate for outcome in outcomes]
    expect(fates[1] is Fate.REFUSED and bool(outcomes[1].message), f"it is said to be {outcomes[1]}")
    expect(fates[0] in _TAKEN and fates[2] in _TAKEN, f"its neighbours are {fates[0]} and {fates[2]}")
    expect((kit.bench.shown(mug), kit.bench.shown(cup)) == (1, 3), "its neighbours are not written")


@case("files", "stock.push")
async def numbers_of_a_folder_that_is_not_reached_are_tried_again(kit: Kit) -> None:
    """What never left is `retry`, and writes nothing; the repeat does."""
    mug = kit.bench.offer("MUG", 5)
    write = kit.bench.write(mug, 3, key="k")
    kit.breaks(Break(sent=False))
    (outcome,) = await kit.push(write)
    expect(outcome.fate is Fate.RETRY, f"it is said to be {outcome.fate}")
    expect(kit.bench.shown(mug) == 5, "it was written all the same")
    (outcome,) = await kit.push(write)
    expect(outcome.fate in _TAKEN and kit.bench.shown(mug) == 3, f"the repeat is {outcome.fate} {outcome.message}")


async def every_step_broken(kit: Kit) -> list[str]:
    """What is said when each way of asking breaks off, when a file is damaged, and when a record cannot be read."""
    heard: list[str] = []
    for n, kind in enumerate(_kinds(kit)):
        body = await _file(kit, kind, (1, 2), spoilt=(1,))
        kit.bench.lay(kind, f"a{n}", body)
        for m, damaged in enumerate(kit.bench.damaged(kind, body).values()):
            kit.bench.lay(kind, f"b{n}-{m}", damaged)
        kit.breaks(Break())
        try:
            await _page(kit, kind, None)
        except (Refused, Unavailable) as error:
            heard += [repr(error), repr(vars(error)), repr(error.__cause__), repr(error.__context__)]
        _, rejects = await _read(kit, kind)
        heard += [f"{one!r} {one.record}" for one in rejects]
    if "stock.push" in kit.connector.capabilities:
        kit.breaks(Break())
        heard.append(repr(await kit.connector.push_stock(kit.connection, [kit.bench.write("1", 1, key="k")])))
    if "shipping.push" in kit.connector.capabilities:
        kit.breaks(Break())
        ask = cast("Shipper", kit.connector).push_fulfilment
        heard.append(repr(await ask(kit.connection, kit.bench.fulfilment(9))))
    kit.tap.mend()
    return heard
