"""Cases: a secret never shows, and nothing of one account is kept for another."""

import base64
import logging
import traceback
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import cast
from urllib.parse import quote, urlsplit

from onhand.connectors._sdk.conformance.breaking import answer
from onhand.connectors._sdk.conformance.files import every_step_broken
from onhand.connectors._sdk.conformance.kit import Kit, case, expect
from onhand.connectors._sdk.conformance.paying import CHARGE
from onhand.connectors._sdk.conformance.tap import Break
from onhand.connectors._sdk.interface import (
    Connector,
    Counter,
    NotGenuine,
    PaymentProvider,
    Refused,
    Shipper,
    Unavailable,
)

_SHORTEST = 6


def _spellings(secrets: list[str]) -> list[bytes]:
    """Of each secret, as it could show."""
    found: list[bytes] = []
    for secret in secrets:
        raw = secret.encode()
        found += [raw, quote(secret, safe="").encode(), raw.hex().encode()]
        # Base64 of it, wherever it begins among groups of three.
        found += [base64.b64encode(b"\0" * n + raw)[4 * (n > 0) : -4] for n in range(3) if len(raw) > 12]
    return [spelling for spelling in found if len(spelling) >= _SHORTEST]


class _Log(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.exc_text or ''} {record.__dict__}")


@contextmanager
def _logged() -> Generator[list[str]]:
    """Everything that is logged meanwhile, at every level."""
    log, root = _Log(), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    try:
        yield log.lines
    finally:
        root.removeHandler(log)
        root.setLevel(level)


def _calls(kit: Kit) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Everything that the connector can be asked, by name."""
    c, connection = kit.connector, kit.connection
    write = kit.bench.write("1", 1, key="k")
    pays = cast("PaymentProvider", c)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "orders.pull": lambda: c.pull_orders(connection, None, since=kit.since),
        "orders.get": lambda: c.get_order(connection, "1"),
        "orders.cancel": lambda: c.cancel_order(connection, "1", reason="none left", key="k"),
        "stock.push": lambda: c.push_stock(connection, [write]),
        "stock.pull": lambda: c.pull_stock(connection, None),
        "listings.pull": lambda: c.pull_listings(connection, None),
        "sales.pull": lambda: c.pull_sales(connection, None, since=kit.since),
        "counts.pull": lambda: cast("Counter", c).pull_counts(connection, None, since=kit.since),
        "shipping.pull": lambda: cast("Shipper", c).pull_shipments(connection, None, since=kit.since),
        "payments.authorise": lambda: pays.authorise(connection, CHARGE),
        "payments.refund": lambda: pays.refund(connection, "1", 1, reason="returned", key="k"),
        "payments.get": lambda: pays.get_payment(connection, "1"),
    }
    return [(name, call) for name, call in calls.items() if name in c.capabilities]


@case()
async def a_secret_never_shows(kit: Kit) -> None:
    """A channel that says our secret back to us, in errors of every kind: no text, log line or repr of ours has it."""
    secrets = [secret for secret in kit.bench.credentials.values() if len(secret) >= _SHORTEST]
    said = " ".join(secrets).encode()
    bodies = [
        b'{"message": "SAID", "code": "SAID", "error": {"code": "SAID", "message": "SAID"}}',
        b'{"errors": [{"message": "SAID", "code": "SAID", "detail": "SAID", "extensions": {"code": "SAID"}}]}',
        b'{"error": "SAID", "error_description": "SAID"}', b"SAID",
    ]  # fmt: skip
    heard: list[str] = [repr(kit.connection), repr(kit.connector)]
    with _logged() as lines:
        for name, call in _calls(kit):
            for status in (200, 400, 401, 403, 404, 429, 500):
                for body in bodies:
                    kit.breaks(Break(answer=answer(status, body.replace(b"SAID", said)), times=100))
                    try:
                        heard.append(f"{name} {await call()!r}")
                    except (Refused, Unavailable) as error:
                        heard += [
                            name + " " + "".join(traceback.format_exception(error)),
                            repr(error),
                            repr(vars(error)),
                        ]
                    finally:
                        kit.tap.mend()
        heard += [repr(request) for request in kit.tap.sent]
    heard += lines
    for spelling in _spellings(secrets):
        shown = next((text for text in heard if spelling.decode() in text), None)
        expect(shown is None, f"a secret shows: {(shown or '')[:300]}")


@case("files")
async def a_secret_of_a_folder_never_shows(kit: Kit) -> None:
    """Files that come, go, break off and cannot be read: no text, log line or repr of ours has what opens the folder,
    nor has any file or name that we write."""
    secrets = [secret for secret in kit.bench.credentials.values() if len(secret) >= _SHORTEST]
    expect(bool(secrets), "the kit is wrong: the bench has no secrets")
    with _logged() as lines:
        heard = [repr(kit.connection), repr(kit.connector), *await every_step_broken(kit)]
    heard += lines
    heard += [f"{request!r} {request.url} {request.body.decode('latin-1')}" for request in kit.tap.sent]
    heard += [f"{name} {text}" for name, text in (await kit.notes.starting("")).items()]
    for spelling in _spellings(secrets):
        shown = next((text for text in heard if spelling.decode() in text), None)
        expect(shown is None, f"a secret shows: {(shown or '')[:300]}")


@case("messages")
async def a_secret_of_messages_never_shows(kit: Kit) -> None:
    """Why a message was refused does not say with what it would have been taken."""
    secrets = [secret for secret in kit.bench.credentials.values() if len(secret) >= _SHORTEST]
    delivery = kit.bench.message(kit.bench.buy({kit.bench.offer("MUG", 1): 1}))
    heard: list[str] = []
    with _logged() as lines:
        for body in (delivery.body + b" ", b"", " ".join(secrets).encode()):
            try:
                kit.connector.receive(
                    delivery.headers, body, url=delivery.url, credentials=kit.bench.credentials, now=kit.since
                )
            except NotGenuine as error:
                heard.append("".join(traceback.format_exception(error)))
    heard += lines
    for spelling in _spellings(secrets):
        expect(not any(spelling.decode() in text for text in heard), "a secret shows in why a message was refused")


def _kept(connector: Connector) -> object:
    """What a connector holds, down to what would grow or change if it kept anything."""

    def of(value: object, depth: int) -> object:
        if depth > 3:
            return id(value)
        if isinstance(value, (str, bytes, int, float, bool, type(None))):
            return value
        if isinstance(value, dict):
            return {repr(key): of(member, depth + 1) for key, member in value.items()}  # pyright: ignore
        if isinstance(value, (list, tuple, set, frozenset)):
            return [of(member, depth + 1) for member in value]  # pyright: ignore
        return (id(value), of(vars(value), depth + 1)) if hasattr(value, "__dict__") else id(value)

    return of(vars(connector), 0)


@case()
async def nothing_is_kept_between_calls(kit: Kit) -> None:
    """After every kind of call the connector holds what it held before; nothing of an account goes to another."""
    await _all_called(kit)
    before = _kept(kit.connector)
    await _all_called(kit)
    expect(_kept(kit.connector) == before, "the connector holds something else after it was asked")
    mine = kit.tap.sent[:]
    other = {
        name: f"another-account-{n}-{secret[::-1]}" for n, (name, secret) in enumerate(kit.bench.credentials.items())
    }
    kit.connection = kit.connect(other)
    kit.tap.sent.clear()
    await _all_called(kit)
    theirs = [value for r in kit.tap.sent for value in (r.url, repr(dict(r.headers)), r.body.decode("latin-1"))]
    for secret in kit.bench.credentials.values():
        for spelling in _spellings([secret]):
            expect(not any(spelling.decode() in value for value in theirs), "what one account told is sent for another")
    expect({urlsplit(r.url).netloc for r in kit.tap.sent} <= {urlsplit(r.url).netloc for r in mine}, "another host")


async def _all_called(kit: Kit) -> None:
    for _, call in _calls(kit):
        try:
            await call()
        except (Refused, Unavailable):
            continue
