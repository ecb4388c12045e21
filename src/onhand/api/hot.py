"""The hot routes: bytes in, bytes out. Decoded by msgspec into the Structs of the domain, gathered into batches, and
answered with JSON that the flow has worded already. Declared in OpenAPI from the same Structs (hot_openapi.py)."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from onhand.api.auth import Principal
from onhand.api.body import check_headers, check_keys, check_text, read_body
from onhand.api.context import Edge, actor_of
from onhand.api.hot_openapi import HOT_OPENAPI
from onhand.api.idempotent import Once, OnceForRows, checked_key
from onhand.api.problems import UNDECODABLE, MalformedJson, answer_of, document, from_msgspec
from onhand.app import App
from onhand.base.actor import Actor
from onhand.base.dates import EPOCH
from onhand.base.fields import day_of, moment_of
from onhand.errors import FieldError, InvalidInput, OnhandError, Overloaded
from onhand.flows.enquire import Enquiry
from onhand.flows.intake import Intake, NotInNetwork, NotKnown, hash_order, prepare, refusal
from onhand.flows.place_orders import Placed
from onhand.flows.promise import prepare_question
from onhand.flows.record_entries import Recorded
from onhand.flows.reserve import Reserved, prepare_hold
from onhand.flows.second_look import RefusedOrder, look_again, look_again_at_hold, look_again_at_orders
from onhand.flows.sheet import Sheet, read_plain
from onhand.flows.transactor import Transactor
from onhand.ledger.intake import decode_entries
from onhand.orders.intake import OrderIn, PromiseIn, ReservationIn

T = TypeVar("T")
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

ROWS_MAX = 5_000
# A share of a batch is decided and written at once; larger shares would keep single orders waiting.
_SHARE_LINES = 600
# Orders that are checked before others have a turn, and bytes that are decoded.
_SHARE_ROWS = 300
_AT_ONCE_BYTES = 1_000_000

_JSON_HEADERS = [(b"content-type", b"application/json")]
_REPLAYED_HEADERS = [*_JSON_HEADERS, (b"idempotent-replayed", b"true")]
_encoder = msgspec.json.Encoder()
_order = msgspec.json.Decoder(OrderIn)
_reservation = msgspec.json.Decoder(ReservationIn)
_promise = msgspec.json.Decoder(PromiseIn)


class OrdersIn(msgspec.Struct, forbid_unknown_fields=True):
    """Up to 5,000 orders; each row is checked and answered by itself."""

    orders: list[msgspec.Raw]


class _GoodOrdersIn(msgspec.Struct, forbid_unknown_fields=True):
    orders: list[OrderIn]


_orders = msgspec.json.Decoder(OrdersIn)
_good_orders = msgspec.json.Decoder(_GoodOrdersIn)


def _rows(body: bytes) -> tuple[Sequence[OrderIn | msgspec.Raw], Sequence[bytes]]:
    """The orders of a batch and the hash of each; where they cannot be read at once, each is to be asked by itself what
    is wrong with it."""
    if len(body) <= _AT_ONCE_BYTES:
        try:
            orders = _good_orders.decode(body).orders
        except UNDECODABLE:
            pass
        else:
            canonical = _encoder.encode_lines(orders)
            try:
                check_keys(body, b'"orders":' + canonical)
            except MalformedJson:
                pass
            else:
                return orders, [hash_order(one) for one in canonical.split(b"\n")[:-1]]
    return _decode(_orders, body).orders, ()


async def place_order(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/orders"""
    edge: Edge = scope["onhand"]
    headers = scope["headers"]
    principal = await _principal(edge, headers, "orders:write")
    body = await _body(headers, receive)
    by = _by(principal, headers)
    order, canonical = _decode_twice(_order, body)
    key = _key(headers)
    app = edge.app
    now = app.state.now()
    try:
        found: Intake | Placed | Exception = prepare(
            app.state, order, actor=by.key_id, reason=by.reason, key=key, now=now, body_hash=hash_order(canonical)
        )
    except NotKnown as error:
        refused = [RefusedOrder(order=order, by=by, key=key, error=error)]
        (found,) = await app.look_again(lambda: look_again_at_orders(app.state, refused, now=now))
    placed = (await app.orders.submit([found]))[0] if isinstance(found, Intake) else found
    if isinstance(placed, Exception):
        raise placed
    await _send(send, 201, placed.answer.encode(), replayed=placed.replayed)


async def place_orders(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/orders/batch"""
    edge: Edge = scope["onhand"]
    headers = scope["headers"]
    principal = await _principal(edge, headers, "orders:write")
    body = await _body(headers, receive)
    rows, hashes = _rows(body)
    if not 1 <= len(rows) <= ROWS_MAX:
        raise InvalidInput.at("orders", f"expected 1 to {ROWS_MAX} orders")
    by, db = _by(principal, headers), edge.app.db
    once = OnceForRows.of(body, _key(headers), db=db, actor_key_id=by.key_id, route="POST /v1/orders/batch")
    is_repeat = await once.find()
    answers = _Answers(edge.app, scope, len(rows))
    await _take_rows(edge.app, answers, rows, hashes, by)
    # While the batch is written other bodies are read: from memory that is still in the processor's cache.
    del body, rows, hashes
    results = await answers.all()
    if not is_repeat:
        await once.keep()
    # Begun and ended in its rows, which are long: each copy counts.
    results[0] = '{"results":[' + results[0]
    results[-1] += "]}"
    await _send(send, 200, ",".join(results).encode(), replayed=is_repeat)


async def _take_rows(
    app: App, answers: "_Answers", rows: Sequence[OrderIn | msgspec.Raw], hashes: Sequence[bytes], by: Actor
) -> None:
    """Check the orders of a batch and have them placed."""
    refused: dict[int, RefusedOrder] = {}
    now = app.state.now()
    for first in range(0, len(rows), _SHARE_ROWS):
        share = slice(first, first + _SHARE_ROWS)
        numbers, orders, known = answers.decoded(first, rows[share], hashes[share])
        sheet, plain, rest = read_plain(app.state, orders, known, actor=by.key_id, reason=by.reason, now=now)
        await answers.take_sheet([numbers[k] for k in plain], sheet)
        for k in rest:
            n, order = numbers[k], orders[k]
            try:
                intake = prepare(
                    app.state, order, actor=by.key_id, reason=by.reason, key=None, now=now, body_hash=known[k]
                )
            except NotKnown as error:
                refused[n] = RefusedOrder(order=order, by=by, key=None, error=error)
            except InvalidInput as error:
                answers.refuse(n, error)
            else:
                await answers.take(n, intake)
    if refused:
        found = await app.look_again(lambda: look_again_at_orders(app.state, [*refused.values()], now=now))
        for n, one in zip(refused, found, strict=True):
            await answers.take(n, one)


class _Answers:
    """The results of a batch, gathered share by share while further rows are read."""

    def __init__(self, app: App, scope: Scope, rows: int) -> None:
        self._app = app
        self._scope = scope
        self._results = [""] * rows
        self._share: list[Intake] = []
        self._share_rows: list[int] = []
        self._lines = 0
        self._submitted: list[tuple[Sequence[int], asyncio.Future[list[Placed | Exception]]]] = []

    def decoded(
        self, first: int, rows: Sequence[OrderIn | msgspec.Raw], hashes: Sequence[bytes]
    ) -> tuple[list[int], list[OrderIn], Sequence[bytes]]:
        """The orders among `rows` (from row `first` on) with their numbers and hashes, which `hashes` are of those that
        have been read; what is none is refused."""
        good = [row for row in rows if isinstance(row, OrderIn)]
        if len(good) == len(rows):
            return [*range(first, first + len(good))], good, hashes
        numbers: list[int] = []
        orders: list[OrderIn] = []
        known: list[bytes] = []
        for n, row in enumerate(rows, first):
            assert not isinstance(row, OrderIn), "orders are read at once or one by one"
            try:
                order, canonical = _decode_twice(_order, row)
            except OnhandError as error:
                self.refuse(n, error)
            else:
                numbers.append(n)
                orders.append(order)
                known.append(hash_order(canonical))
        return numbers, orders, known

    async def take_sheet(self, rows: Sequence[int], sheet: Sheet) -> None:
        """Orders to place, and which rows they are."""
        if rows:
            self._submit(rows, sheet)
        await asyncio.sleep(0)  # others wait for this event loop, too

    async def take(self, row: int, found: Intake | Placed | Exception) -> None:
        """An order to place, or the answer that a row has already."""
        if not isinstance(found, Intake):
            self._answer(row, found)
            return
        self._share.append(found)
        self._share_rows.append(row)
        self._lines += len(found.lines)
        if self._lines >= _SHARE_LINES:
            self._submit_share()
            await asyncio.sleep(0)

    def refuse(self, row: int, error: OnhandError) -> None:
        self._results[row] = _rejected(error)

    def _answer(self, row: int, placed: Placed | Exception) -> None:
        if isinstance(placed, Placed):
            self._results[row] = placed.answer
        else:
            self.refuse(row, answer_of(placed, self._scope))

    def _submit_share(self) -> None:
        if self._share:
            self._submit(self._share_rows, self._share)
        self._share, self._share_rows, self._lines = [], [], 0

    def _submit(self, rows: Sequence[int], orders: Sheet | list[Intake]) -> None:
        """Place orders; `rows` are theirs."""
        try:
            self._submitted.append((rows, self._app.orders.submit(orders)))
        except Overloaded as error:
            if not self._submitted:
                raise  # nothing was placed: the whole request may be repeated
            for row in rows:
                self.refuse(row, error)

    async def all(self) -> list[str]:
        """Every row's result, in order."""
        self._submit_share()
        for rows, future in self._submitted:
            for row, placed in zip(rows, await future, strict=True):
                if isinstance(placed, Placed):
                    self._results[row] = placed.answer
                else:
                    self._answer(row, placed)
        return self._results


def _rejected(error: OnhandError) -> str:
    facts = document(error)
    return msgspec.json.encode(
        {"status": "rejected"} | {k: v for k, v in facts.items() if k not in ("status", "type", "title")}
    ).decode()


async def reserve(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/reservations"""
    edge: Edge = scope["onhand"]
    headers = scope["headers"]
    principal = await _principal(edge, headers, "orders:write")
    body = await _body(headers, receive)
    by = _by(principal, headers)
    request = _decode(_reservation, body)
    key = _key(headers)
    app = edge.app
    try:
        found = prepare_hold(app.state, request, actor=by.key_id, reason=by.reason, key=key)
    except NotKnown as error:
        refused = error
        found = await app.look_again(lambda: look_again_at_hold(app.state, request, refused, by=by, key=key))
    reserved = found if isinstance(found, Reserved) else await app.reservations.submit(found)
    await _send(send, 201, reserved.answer.encode(), replayed=reserved.replayed)


async def ask_promise(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/promises"""
    edge: Edge = scope["onhand"]
    headers = scope["headers"]
    await _principal(edge, headers, "read")
    request = _decode(_promise, await _body(headers, receive))
    app = edge.app
    try:
        question = prepare_question(app.state, request)
    except NotKnown as error:
        refused = error
        question = await app.look_again(
            lambda: look_again(app.state, refused, lambda: prepare_question(app.state, request))
        )
    promised = await app.promises.submit(question)
    await _send(send, 200, promised.answer.encode())


async def record(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/stock/entries"""
    edge: Edge = scope["onhand"]
    headers = scope["headers"]
    principal = await _principal(edge, headers, "stock:write")
    is_trial = _is_trial(scope["query_string"])
    body = await _body(headers, receive)
    by = _by(principal, headers)
    once = Once(
        db=edge.app.db,
        actor_key_id=principal.key_id,
        route="POST /v1/stock/entries",
        key=_key(headers),
        body_hash=hashlib.blake2b(body, digest_size=16).digest(),
    )
    response = await run_in_threadpool(_record, edge.app, body, by, once, is_trial)
    await response(scope, receive, send)


def _is_trial(query: bytes) -> bool:
    """The parameter `dry_run`. Raises InvalidInput."""
    if not query:
        return False
    said = _query(query, ("dry_run",)).get("dry_run", "false")
    if said not in ("true", "false"):
        raise InvalidInput.at("dry_run", f"expected true or false, got {said[:80]!r}")
    return said == "true"


def _record(app: App, body: bytes, by: Actor, once: Once, is_trial: bool) -> Response:
    try:
        rows = decode_entries(body)
    except UNDECODABLE as error:
        raise from_msgspec(error) from None
    done: list[Recorded] = []

    def flow(transact: Transactor) -> Recorded:
        done.append(app.record(rows, by, transact=transact, is_trial=is_trial))
        return done[0]

    response = once.run(flow, answer=lambda recorded: {"results": recorded.results}, is_trial=is_trial)
    for recorded in done:
        app.after_entries(recorded)
    return response


async def availability(scope: Scope, _: Receive, send: Send) -> None:
    """GET /v1/availability"""
    edge: Edge = scope["onhand"]
    await _principal(edge, scope["headers"], "read")
    app = edge.app
    given = _query(scope["query_string"], ("sku", "channel", "date", "at"))
    errors: list[FieldError] = []
    sku, channel = given.get("sku"), given.get("channel")

    def check() -> int | None:
        item_id = app.catalogue.ids.get(sku or "")
        unknown = [] if item_id is not None or not sku else [sku]
        problems = [FieldError("sku", f"no item {sku!r}") for sku in unknown]
        if channel is not None and channel not in app.network.channels:
            problems.append(NotInNetwork("channel", f"no channel {channel!r}"))
        if problems:
            raise refusal(problems, unknown)
        return item_id

    item_id = None
    try:
        item_id = check()
    except NotKnown as error:
        refused = error
        try:
            item_id = await app.look_again(lambda: look_again(app.state, refused, check))
        except InvalidInput as again:
            errors += again.errors
    if not sku:
        errors.append(FieldError("sku", "required"))
    until, at = _day(given.get("date"), errors), _moment(given.get("at"), app.state.now(), errors)
    if errors or item_id is None:
        raise InvalidInput(errors)
    await _send(send, 200, await app.enquiries.submit(Enquiry(item_id=item_id, channel=channel, until=until, at=at)))


def _query(raw: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters of a query string, each at most once. Raises InvalidInput."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), errors="strict")
    except ValueError:
        raise InvalidInput.at("", "the query string cannot be read") from None
    given = dict(pairs)
    problems = [FieldError(name, "unknown parameter") for name in given if name not in known]
    problems += [FieldError(name, "contains NUL") for name, value in pairs if "\0" in value]
    if len(pairs) != len(given):
        problems.append(FieldError("", "a parameter is given twice"))
    if problems:
        raise InvalidInput(problems)
    return given


def _day(text: str | None, errors: list[FieldError]) -> int | None:
    try:
        return None if text is None else (day_of(text) - EPOCH).days
    except ValueError as error:
        errors.append(FieldError("date", str(error)))
        return None


def _moment(text: str | None, now: datetime, errors: list[FieldError]) -> datetime | None:
    try:
        at = None if text is None else moment_of(text)
    except ValueError as error:
        errors.append(FieldError("at", str(error)))
        return None
    if at is not None and at > now:
        errors.append(FieldError("at", "is in the future: ask for `date` instead"))
    return at


HOT: dict[tuple[str, str], Handler] = {
    ("GET", "/v1/availability"): availability,
    ("POST", "/v1/stock/entries"): record,
    ("POST", "/v1/orders"): place_order,
    ("POST", "/v1/orders/batch"): place_orders,
    ("POST", "/v1/reservations"): reserve,
    ("POST", "/v1/promises"): ask_promise,
}


async def _principal(edge: Edge, headers: list[tuple[bytes, bytes]], scope: str) -> Principal:
    return edge.keys.cached(headers, scope) or await edge.keys.authorise(headers, scope)


def _by(principal: Principal, headers: list[tuple[bytes, bytes]]) -> Actor:
    return actor_of(principal, _header(headers, b"x-reason"))


async def _body(headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes:
    check_headers(headers)
    body = await read_body(receive)
    check_text(body)
    return body


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes | msgspec.Raw) -> T:
    return _decode_twice(decoder, body)[0]


def _decode_twice(decoder: "msgspec.json.Decoder[T]", body: bytes | msgspec.Raw) -> tuple[T, bytes]:
    """The value, and what was understood as JSON again."""
    try:
        value = decoder.decode(body)
    except UNDECODABLE as error:
        raise from_msgspec(error) from None
    canonical = msgspec.json.encode(value)
    check_keys(bytes(body), canonical)
    return value, canonical


def _header(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    for name, value in headers:
        if name == wanted:
            return value.decode("latin-1")
    return None


def _key(headers: list[tuple[bytes, bytes]]) -> str | None:
    return checked_key(_header(headers, b"idempotency-key"))


async def _send(send: Send, status: int, body: bytes, *, replayed: bool = False) -> None:
    headers: list[tuple[bytes, bytes]] = _REPLAYED_HEADERS if replayed else _JSON_HEADERS
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


__all__ = ["HOT", "HOT_OPENAPI"]
