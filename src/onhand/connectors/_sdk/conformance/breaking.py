"""Cases: whatever comes back over the wire, nothing is guessed and nobody is asked too often."""

from collections.abc import Awaitable, Callable
from typing import Final, cast
from urllib.parse import urlsplit

from onhand.connectors._sdk.conformance.kit import Kit, case, expect
from onhand.connectors._sdk.conformance.tap import Break
from onhand.connectors._sdk.interface import Counter, Refused, Shipper, Unavailable
from onhand.connectors._sdk.values import Fate, Outcome
from onhand.wire import Answer

_TAKEN: Final = (Fate.DONE, Fate.ACCEPTED)
_PAGE: Final = b"<!doctype html><html><body>Checking your browser before you go on...</body></html>"
_GARBAGE: Final = (
    b"", b"null", b"[]", b"{}", b'"text"', b"7", b"[null]", b"[[]]", b'{"errors": "x"}', b'{"data": null}',
    b'{"data": []}', b'{"data": {"x": 1}}', b'{"errors": [null]}', b'{"errors": [{"extensions": 7}]}',
    b'[{"id": {}}]', b"\xff\xfe", b"NaN",
    b"[1e999]", b"[" * 100_000, b'{"update": 5}', b'{"update": [[], null, 7, "x", {"id": {"a": 1}, "error": []}]}',
)  # fmt: skip


def answer(status: int, body: bytes = b'{"message": "as was asked for"}', **headers: str) -> Answer:
    """Something that the channel might say. Names of headers with _ for -."""
    told = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=told, body=body)


async def _written(kit: Kit, *breaks: Break) -> tuple[Outcome, int]:
    """The outcome of a write whose request breaks, and the number that is shown then (5 before, 3 was to be)."""
    mug = kit.bench.offer("MUG", 5)
    await kit.push(kit.bench.write(kit.bench.offer("WARM", 1), 1, key="warm"))
    kit.turns.paused.clear()
    kit.breaks(*breaks)
    write = kit.bench.write(mug, 3, key="w", expected=5 if kit.connector.is_compared else None)
    (outcome,) = await kit.push(write)
    kit.tap.mend()
    return outcome, kit.bench.shown(mug)


def _reads(kit: Kit) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Everything that the connector can read, by name."""
    c, connection = kit.connector, kit.connection
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "orders.pull": lambda: c.pull_orders(connection, None, since=kit.since),
        "orders.get": lambda: c.get_order(connection, "1"),
        "stock.pull": lambda: c.pull_stock(connection, None),
        "listings.pull": lambda: c.pull_listings(connection, None),
        "sales.pull": lambda: c.pull_sales(connection, None, since=kit.since),
        "counts.pull": lambda: cast("Counter", c).pull_counts(connection, None, since=kit.since),
        "shipping.pull": lambda: cast("Shipper", c).pull_shipments(connection, None, since=kit.since),
    }
    return [(name, ask) for name, ask in asks.items() if name in c.capabilities]


@case("stock.push")
async def told_to_wait_we_wait(kit: Kit) -> None:
    """429 with Retry-After: nothing happened, and nobody asks before that time is over."""
    busy = answer(429, retry_after="17")
    outcome, shown = await _written(kit, Break(answer=busy, when=kit.bench.is_write))
    expect(outcome.fate is Fate.RETRY, f"it is said to be {outcome.fate}")
    expect(shown == 5, "the kit is wrong: it took effect")
    expect(max(kit.turns.paused, default=0.0) >= 17, f"we wait {kit.turns.paused} s")


@case("stock.push")
async def told_that_it_is_too_much_we_wait_too(kit: Kit) -> None:
    """429 that does not say how long, or nonsense: we wait a little, and not for ever."""
    for said in (None, "soon", "-5", "nan", "1e30"):
        busy = answer(429) if said is None else answer(429, retry_after=said)
        outcome, _ = await _written(kit, Break(answer=busy, when=kit.bench.is_write))
        expect(outcome.fate is Fate.RETRY, f"with {said} it is said to be {outcome.fate}")
        waits = kit.turns.paused
        expect(bool(waits) and all(0 < s <= 86_400 for s in waits), f"with {said} we wait {waits} s")


@case("stock.push")
async def a_failing_channel_may_have_done_it(kit: Kit) -> None:
    """500, 502 and 504 may come after the write took effect: `unknown`; 503 and a refused connection: tried again."""
    for status in (500, 502, 504):
        outcome, _ = await _written(kit, Break(answer=answer(status), applied=True, when=kit.bench.is_write))
        expect(outcome.fate is Fate.UNKNOWN, f"after {status} it is said to be {outcome.fate}")
    outcome, _ = await _written(kit, Break(answer=answer(503), when=kit.bench.is_write))
    expect(outcome.fate in (Fate.RETRY, Fate.UNKNOWN), f"after 503 it is said to be {outcome.fate}")
    outcome, _ = await _written(kit, Break(sent=False, when=kit.bench.is_write))
    expect(outcome.fate is Fate.RETRY, f"when it never left it is said to be {outcome.fate}")


@case("stock.push")
async def an_answer_that_is_none_confirms_nothing(kit: Kit) -> None:
    """200 with a page for people, or half an answer, is not the channel's word: the write may or may not be there."""
    for body in (_PAGE, b'{"data": {"inventorySet', b'[{"id": 1'):
        outcome, _ = await _written(kit, Break(answer=answer(200, body), when=kit.bench.is_write))
        expect(outcome.fate is Fate.UNKNOWN, f"after {body[:20]!r} it is said to be {outcome.fate}")


@case("stock.push")
async def whatever_is_said_a_write_has_an_outcome(kit: Kit) -> None:
    """Answers no channel would give break nothing: each write has its outcome, and the next one works."""
    for status in (200, 400, 404, 422):
        for body in _GARBAGE:
            await _written(kit, Break(answer=answer(status, body), when=kit.bench.is_write))
    outcome, shown = await _written(kit)
    expect(outcome.fate in _TAKEN and shown == 3, f"afterwards it is {outcome.fate}, and {shown} is shown")


@case()
async def a_page_that_is_none_is_not_an_empty_one(kit: Kit) -> None:
    """An answer that is no answer, or of another form, is not read as `there is nothing`."""
    await _signed_in(kit)
    for name, ask in _reads(kit):
        for body in (_PAGE, b"", b"null", b'"text"', b'[{"id": 1', b"7"):
            kit.breaks(Break(answer=answer(200, body), times=100))
            try:
                page = await ask()
            except (Unavailable, Refused):
                continue
            finally:
                kit.tap.mend()
            expect(False, f"{name}: {body[:20]!r} is read as {page}")


@case()
async def whatever_is_said_reading_ends_in_our_words(kit: Kit) -> None:
    """Answers no channel would give are Unavailable, Refused or a page: nothing else comes out."""
    await _signed_in(kit)
    for name, ask in _reads(kit):
        for status in (200, 301, 400, 401, 403, 404, 409, 418, 429, 500, 503):
            for body in _GARBAGE:
                kit.breaks(Break(answer=answer(status, body), times=100))
                try:
                    await ask()
                    expect(status == 200, f"{name}: HTTP {status} is read as a page")
                except (Unavailable, Refused):
                    pass
                finally:
                    kit.tap.mend()


@case()
async def somebody_else_is_not_asked(kit: Kit) -> None:
    """An answer that sends us elsewhere (a redirect to a private address) is not followed."""
    await _signed_in(kit)
    hosts = {urlsplit(request.url).netloc for request in kit.tap.sent}
    for name, ask in _reads(kit):
        for status in (301, 302, 303, 307, 308):
            moved = answer(status, b"", location="http://169.254.169.254/latest/meta-data/")
            kit.breaks(Break(answer=moved, times=100))
            kit.tap.sent.clear()
            try:
                page = await ask()
            except (Unavailable, Refused):
                pass
            else:
                expect(False, f"{name}: HTTP {status} is read as {page}")
            kit.tap.mend()
            asked = {urlsplit(request.url).netloc for request in kit.tap.sent}
            expect(asked <= hosts, f"{name}: HTTP {status} led to {asked - hosts}")


@case()
async def a_secret_that_is_refused_is_tried_twice_at_most(kit: Kit) -> None:
    """401 is told as such, after one more try with a new token at most."""
    await _signed_in(kit)
    for name, ask in _reads(kit):
        kit.breaks(Break(answer=answer(401), times=1_000))
        kit.tap.sent.clear()
        try:
            await ask()
        except Refused as error:
            expect(error.is_unauthorised, f"{name}: it is not told as a matter of credentials: {error}")
        except Unavailable as error:
            expect(False, f"{name}: it is told as a failure of the channel: {error}")
        else:
            expect(False, f"{name}: 401 is read as a page")
        kit.tap.mend()
        expect(len(kit.tap.sent) <= 4, f"{name}: it is asked {len(kit.tap.sent)} times")


async def _signed_in(kit: Kit) -> None:
    """Read what there is, so that a token is there and what breaks is what is asked."""
    kit.breaks()
    for _, ask in _reads(kit):
        try:
            await ask()
        except (Refused, Unavailable):
            continue  # there is no order 1, and on a drill nobody at all
