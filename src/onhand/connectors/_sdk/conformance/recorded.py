"""What a channel once said, kept beside its connector, and what was understood of it: `fixtures/` and `golden/`.

A fixture is one call and the answers it got, or the files that lay there; a golden file is what was asked and
understood, and written. Both are JSON that people read: a change of a connector shows as a change of golden files.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, is_dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from onhand.connectors._sdk.conformance.bench import Turns
from onhand.connectors._sdk.conformance.filed import Timed, passed
from onhand.connectors._sdk.interface import (
    Connection,
    Connector,
    NotGenuine,
    Partial,
    PaymentProvider,
    Pricing,
    Refused,
    Sender,
    Unavailable,
)
from onhand.connectors._sdk.memory import MemoryTokens
from onhand.connectors._sdk.values import Charge, Less, Paid, Parcel, PriceWrite, Write
from onhand.wire import Answer, NotReachable, Request

# Of signing: another one each time, or who we are.
_LEFT_OUT: Final = ("oauth_consumer_key", "oauth_nonce", "oauth_signature", "oauth_signature_method", "oauth_timestamp")
_QUERY_MAX: Final = 120  # of a GraphQL document: enough to know it


class Fixture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One call.

    of       who said it: the vendor itself, or a fake
    call     a capability, or `message`
    given    its arguments: since, at; id; writes; parcel; id, reason, key; headers, body, now; of files see filed.py
    answers  in turn: status, headers, body
    files    lines by path, where files are passed, in `letters`: utf-8, latin-1, ...
    """

    of: str
    call: str
    settings: dict[str, Any] = {}
    credentials: dict[str, str] = {}
    given: dict[str, Any] = {}
    answers: list[dict[str, Any]] = []
    files: dict[str, list[str]] = {}
    letters: str = "utf-8"


@dataclass(slots=True)
class Replay:
    """A sender that gives recorded answers in turn."""

    answers: list[Mapping[str, Any]]
    asked: list[Request] = field(default_factory=list[Request])

    async def send(self, request: Request) -> Answer:
        """See `interface.Sender`. Raises NotReachable after the last one."""
        self.asked.append(request)
        if not self.answers:
            raise NotReachable("nothing more was recorded")
        said = self.answers.pop(0)
        body = said.get("body")
        raw = body if isinstance(body, str) else json.dumps(body)
        return Answer(status=said.get("status", 200), headers=said.get("headers", {}), body=raw.encode())


@dataclass(slots=True)
class Recording:
    """A sender that keeps what it hears, without the secrets of `connection`. Sign in before it listens."""

    sender: Sender
    connection: Connection | None = None
    answers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def send(self, request: Request) -> Answer:
        """See `interface.Sender`."""
        answer = await self.sender.send(request)
        text = answer.body.decode("utf-8", "replace")
        if self.connection is not None:
            text = self.connection.hide(text)
        try:
            body: Any = json.loads(text)
        except ValueError:
            body = text
        kept = ("link", "retry-after", "x-wp-total", "x-wp-totalpages")
        headers = {name: value for name, value in answer.headers.items() if name in kept}
        self.answers.append({"status": answer.status, "headers": headers, "body": body})
        return answer


async def understood(connector: Connector, fixture: Fixture) -> dict[str, Any]:
    """What a connector asks and makes of a fixture, as JSON."""
    if getattr(connector, "passes_files", False):
        told = await passed(
            cast("Timed", connector), fixture.call, fixture.given, fixture.files, settings=fixture.settings,
            letters=fixture.letters,
        )  # fmt: skip
        return {"understood": _plain(told.result), "files": told.files}
    wire, tokens = Replay(list(fixture.answers)), MemoryTokens()
    await tokens.put("recorded", None)  # signing in is not recorded: its answer is a secret
    connection = Connection(
        settings=fixture.settings, credentials=fixture.credentials, sender=wire, limiter=Turns(), tokens=tokens
    )
    try:
        result = _plain(await _called(connector, connection, fixture))
    except (Refused, Unavailable, NotGenuine) as error:
        facts = {name: value for name, value in vars(error).items() if value not in (None, "", False)}
        result = {"raised": type(error).__name__, "why": str(error), **facts}
    return {"asked": [_asked(request) for request in wire.asked], "understood": result}


async def _called(connector: Connector, connection: Connection, fixture: Fixture) -> object:
    given = fixture.given
    match fixture.call:
        case "orders.pull":
            since = datetime.fromisoformat(given["since"])
            return await connector.pull_orders(connection, given.get("at"), since=since)
        case "sales.pull":
            since = datetime.fromisoformat(given["since"])
            return await connector.pull_sales(connection, given.get("at"), since=since)
        case "orders.get":
            return await connector.get_order(connection, given["id"])
        case "stock.pull":
            return await connector.pull_stock(connection, given.get("at"))
        case "listings.pull":
            return await connector.pull_listings(connection, given.get("at"))
        case "stock.push":
            return await connector.push_stock(connection, msgspec.convert(given["writes"], list[Write]))
        case "prices.push":
            writes = msgspec.convert(given["writes"], list[PriceWrite])
            return await cast("Pricing", connector).push_prices(connection, writes)
        case "prices.pull":
            return await cast("Pricing", connector).pull_prices(connection, given.get("at"))
        case "prices.currency":
            return await cast("Pricing", connector).get_currency(connection)
        case "orders.cancel":
            return await connector.cancel_order(connection, given["id"], reason=given["reason"], key=given["key"])
        case "orders.cancel_lines":
            lines = msgspec.convert(given["lines"], list[Less])
            return await cast("Partial", connector).cancel_lines(
                connection, given["id"], lines, reason=given["reason"], key=given["key"]
            )
        case "fulfilments.push":
            return await connector.push_parcel(connection, msgspec.convert(given["parcel"], Parcel))
        case call if call.startswith("payments."):
            return await _paid(cast("PaymentProvider", connector), connection, fixture)
        case "message":
            headers, body = cast("dict[str, str]", given["headers"]), str(given["body"]).encode()
            now = datetime.fromisoformat(given["now"])
            received = connector.receive(
                headers, body, url=given.get("url", ""), credentials=connection.credentials, now=now
            )
            return [received, await connector.read(connection, received.topic, body)]
        case _:
            raise ValueError(f"nothing is called {fixture.call!r}: a capability, or message")


async def _paid(provider: PaymentProvider, connection: Connection, fixture: Fixture) -> Paid:
    given = fixture.given
    match fixture.call:
        case "payments.authorise":
            return await provider.authorise(connection, msgspec.convert(given["charge"], Charge))
        case "payments.capture":
            return await provider.capture(
                connection, given["id"], given["amount_minor"], is_final=given["is_final"], is_many=given["is_many"],
                key=given["key"],
            )  # fmt: skip
        case "payments.void":
            return await provider.void(connection, given["id"], reason=given["reason"], key=given["key"])
        case "payments.refund":
            return await provider.refund(
                connection, given["id"], given["amount_minor"], reason=given["reason"], key=given["key"]
            )
        case _:
            return await provider.get_payment(connection, given["id"])


def _asked(request: Request) -> dict[str, Any]:
    parts = urlsplit(request.url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in _LEFT_OUT]
    try:
        body: Any = json.loads(request.body) if request.body else None
    except ValueError:
        body = request.body.decode("utf-8", "replace")
    if isinstance(body, dict) and isinstance(query_text := cast("dict[str, Any]", body).get("query"), str):
        body["query"] = " ".join(query_text.split())[:_QUERY_MAX]
    asked: dict[str, Any] = {"request": f"{request.method} {parts.path}" + (f"?{urlencode(query)}" if query else "")}
    return asked | ({} if body is None else {"body": body})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if is_dataclass(value) and not isinstance(value, type):
        # What is as usual is left out, so that a new field of ours does not change every golden file.
        usual = {one.name: one.default for one in dataclass_fields(value)}
        return {
            name: _plain(member)
            for name in usual
            if (member := getattr(value, name)) != usual[name] or usual[name] is MISSING
        }
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in cast("dict[Any, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(member) for member in cast("Sequence[Any]", value)]
    return msgspec.to_builtins(value)


def as_text(value: object) -> str:
    """As it stands in a file."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def fixtures(folder: Path) -> dict[str, Fixture]:
    """Recordings beside a connector, by name. Raises ValueError that says which one cannot be read."""
    found: dict[str, Fixture] = {}
    for file in sorted((folder / "fixtures").glob("*.json")):
        try:
            found[file.stem] = msgspec.json.decode(file.read_bytes(), type=Fixture)
        except msgspec.DecodeError as error:
            raise ValueError(f"{file.name}: {error}") from None
    return found


async def differing(connector: Connector, folder: Path, *, write: bool = False) -> dict[str, tuple[str, str]]:
    """Recordings of which something else is understood than their golden files say: {name: (wanted, got)}.

    write  the golden files are made anew instead
    """
    wrong: dict[str, tuple[str, str]] = {}
    for name, fixture in fixtures(folder).items():
        got = as_text(await understood(connector, fixture))
        file = folder / "golden" / f"{name}.json"
        wanted = file.read_text("utf-8") if file.is_file() else ""
        if write and got != wanted:
            file.parent.mkdir(exist_ok=True)
            file.write_text(got, "utf-8")
        elif got != wanted:
            wrong[name] = (wanted, got)
    return wrong
