"""Records of a channel as our values, by the maps of its document. Pure; one that cannot be read stops no other."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, cast

import msgspec

from onhand.connectors._sdk import mapping
from onhand.connectors._sdk.mapping import Path, Unmappable
from onhand.connectors._sdk.moments import moment_of
from onhand.connectors._sdk.values import (
    Address,
    ChannelOrder,
    Level,
    Offer,
    OrderLine,
    OrderStatus,
    PaymentState,
    PaymentStatus,
    Price,
    Reject,
    Sale,
)
from onhand.connectors._sdk.vocabulary import (
    AddressMapIn,
    ConstIn,
    LevelMapIn,
    LinesMapIn,
    LookupIn,
    Map,
    OfferMapIn,
    OrderMapIn,
    PaymentMapIn,
    PriceMapIn,
    SaleMapIn,
    Source,
)
from onhand.documents.cel import cel

Value = ChannelOrder | Level | Price | Offer | Sale | PaymentState
_PAYMENT_STATUSES: tuple[PaymentStatus, ...] = ("authorised", "captured", "voided", "declined", "pending")
_STATUSES: tuple[OrderStatus, ...] = ("pending", "open", "completed", "cancelled")
_RECORD_KEPT_MAX = 20_000
# JSON may say these, and no database takes them: NUL, and halves of characters.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Condition:
    """A compiled condition; one that cannot be answered does not hold."""

    def __init__(self, text: str) -> None:
        self._program = cel.compile(text)

    def holds(self, **facts: Any) -> bool:
        """Whether it is true of `facts`."""
        try:
            return self._program.execute(facts) is True
        except (KeyError, TypeError, ValueError, RuntimeError):
            return False


def translator(by: Map) -> Callable[[Any], Value]:
    """What `by` makes of a record. It raises Unmappable."""
    match by:
        case OrderMapIn():
            return _order(by)
        case LevelMapIn():
            return _level(by)
        case PriceMapIn():
            return _price(by)
        case OfferMapIn():
            return _offer(by)
        case SaleMapIn():
            return _sale(by)
        case PaymentMapIn():
            return _payment(by)


def translate(records: Sequence[Any], make: Callable[[Any], Value]) -> tuple[list[Value], list[Reject]]:
    """Values and what could not be read, each in their order."""
    values: list[Value] = []
    rejects: list[Reject] = []
    for record in records:
        try:
            values.append(make(record))
        except Unmappable as error:
            rejects.append(Reject(external_id=_id_of(record), why=str(error), record=_kept(record)))
    return values, rejects


def _id_of(record: Any) -> str:
    fields = cast("dict[str, Any]", record) if isinstance(record, dict) else {}
    return str(fields.get("id") or fields.get("external_id") or "?")[:200]


def _kept(record: Any) -> str:
    try:
        return json.dumps(record, default=str)[:_RECORD_KEPT_MAX]
    except (ValueError, RecursionError):  # nested deeper than it can be written
        return ""


def source(of: Source | None) -> Path:
    """What a field of ours is in a record."""
    if of is None:
        return lambda _: None
    if isinstance(of, ConstIn):
        constant = of.const
        return lambda _: constant
    if isinstance(of, LookupIn):
        look, table, default = mapping.path(of.path), of.table, of.default
        return lambda record: table.get(_text(look(record)), default)
    return mapping.path(of)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value).strip()
    if isinstance(value, (int, float)):
        return str(value)
    raise Unmappable(f"expected text, got {type(value).__name__}")


def _id(value: Any, what: str) -> str:
    text = _text(value)
    if not text:
        raise Unmappable(f"{what} is missing")
    if len(text) > 128:
        raise Unmappable(f"{what} is longer than 128 characters")
    return text


def _units(value: Any, what: str) -> int:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or not isfinite(number) or number != int(number) or abs(number) > 2**31 - 1:
        raise Unmappable(f"{what}: expected a whole number of units, got {value!r}")
    return int(number)


def _minor(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unmappable(f"{what}: expected minor units, got {value!r}; write money(amount, currency)")
    return value


def _moment(value: Any, what: str) -> datetime:
    try:
        return moment_of(value)
    except (TypeError, ValueError, OverflowError):
        raise Unmappable(f"{what}: expected a moment, got {value!r}") from None


def _order(by: OrderMapIn) -> Callable[[Any], ChannelOrder]:
    external_id, number, status = source(by.external_id), source(by.number), source(by.status)
    currency, placed_at, updated_at = source(by.currency), source(by.placed_at), source(by.updated_at)
    email, phone, name, service = source(by.email), source(by.phone), source(by.name), source(by.service)
    word = mapping.path(by.status.path) if isinstance(by.status, LookupIn) else status
    destination = None if by.destination is None else _address(by.destination)
    lines = _lines(by.lines)

    def make(record: Any) -> ChannelOrder:
        said = _text(status(record))
        money = _text(currency(record)).upper()
        updated = updated_at(record)
        return ChannelOrder(
            external_id=_id(external_id(record), "external_id"),
            number=_text(number(record)),
            status=said if said in _STATUSES else "unknown",
            status_word=_text(word(record)),
            currency=money,
            placed_at=_moment(placed_at(record), "placed_at"),
            updated_at=None if updated is None else _moment(updated, "updated_at"),
            email=_text(email(record)),
            phone=_text(phone(record)),
            name=_text(name(record)),
            service=_text(service(record)),
            destination=None if destination is None else destination(record),
            lines=lines(record, money),
        )

    return make


def _address(by: AddressMapIn) -> Callable[[Any], Address | None]:
    at = mapping.path(by.at)
    fields = {
        field: source(getattr(by, field))
        for field in ("country", "region", "postal_code", "city", "street", "name", "company", "phone")
    }

    def make(record: Any) -> Address | None:
        part = at(record)
        if not part:
            return None
        return Address(**{field: _text(look(part)) for field, look in fields.items()})

    return make


def _lines(by: LinesMapIn) -> Callable[[Any, str], tuple[OrderLine, ...]]:
    each = mapping.path(by.each)
    when = None if by.when is None else Condition(by.when)
    line_id, sku, item, name = source(by.line_id), source(by.sku), source(by.external_item_id), source(by.name)
    quantity, cancelled = source(by.quantity), source(by.cancelled)
    price, tax = source(by.price_minor), source(by.tax_minor)

    def line(record: Any) -> OrderLine:
        gone, taxed = cancelled(record), tax(record)
        return OrderLine(
            line_id=_id(line_id(record), "line_id"),
            sku=_text(sku(record)),
            external_item_id=_text(item(record)),
            name=_text(name(record))[:200],
            quantity=_units(quantity(record), "quantity"),
            cancelled=0 if gone is None else _units(gone, "cancelled"),
            price_minor=_minor(price(record), "price_minor"),
            tax_minor=None if taxed is None else _minor(taxed, "tax_minor"),
        )

    def make(record: Any, currency: str) -> tuple[OrderLine, ...]:
        found = each(record)
        if not isinstance(found, list):
            raise Unmappable("lines: expected a list")
        members = cast("list[Any]", found)
        # Money on a line has the currency of its order.
        told = [
            {"currency": currency, **cast("dict[str, Any]", member)} if isinstance(member, dict) else member
            for member in members
        ]
        return tuple(line(member) for member in told if when is None or when.holds(line=member))

    return make


def _level(by: LevelMapIn) -> Callable[[Any], Level]:
    external_id, sku, place, quantity = (source(of) for of in (by.external_id, by.external_sku, by.place, by.quantity))
    return lambda record: Level(
        external_id=_id(external_id(record), "external_id"),
        external_sku=_text(sku(record)),
        place=_text(place(record)),
        quantity=_units(quantity(record), "quantity"),
    )


def _price(by: PriceMapIn) -> Callable[[Any], Price]:
    external_id, sku, place = source(by.external_id), source(by.external_sku), source(by.place)
    minor, amount, currency = source(by.price_minor), source(by.amount), source(by.currency)

    def make(record: Any) -> Price:
        units, said = minor(record), _text(amount(record))
        return Price(
            external_id=_id(external_id(record), "external_id"),
            external_sku=_text(sku(record)),
            place=_text(place(record)),
            price_minor=None if units is None else _minor(units, "price_minor"),
            amount=said,
            currency=_text(currency(record)).upper(),
        )

    return make


def _offer(by: OfferMapIn) -> Callable[[Any], Offer]:
    external_id, sku, name, active = (source(of) for of in (by.external_id, by.external_sku, by.name, by.is_active))
    return lambda record: Offer(
        external_id=_id(external_id(record), "external_id"),
        external_sku=_text(sku(record)),
        name=_text(name(record))[:200],
        is_active=active(record) is not False,
    )


def _sale(by: SaleMapIn) -> Callable[[Any], Sale]:
    external_id, sku, quantity, at, place = (
        source(of) for of in (by.external_id, by.external_sku, by.quantity, by.at, by.place)
    )
    return lambda record: Sale(
        external_id=_id(external_id(record), "external_id"),
        external_sku=_id(sku(record), "external_sku"),
        quantity=_units(quantity(record), "quantity"),
        at=_moment(at(record), "at"),
        place=_text(place(record)),
    )


def _payment(by: PaymentMapIn) -> Callable[[Any], PaymentState]:
    of, status, expires_at, disputed, currency = (
        source(p) for p in (by.id, by.status, by.expires_at, by.is_disputed, by.currency)
    )
    sums = {
        name: source(getattr(by, name))
        for name in (
            "amount_minor",
            "capturable_minor",
            "captured_minor",
            "refunded_minor",
            "charged_back_minor",
            "fee_minor",
        )
    }

    def make(record: Any) -> PaymentState:
        said, until = _text(status(record)), expires_at(record)
        money = {name: look(record) for name, look in sums.items()}
        return PaymentState(
            id=_id(of(record), "id"),
            status=said if said in _PAYMENT_STATUSES else "unknown",
            expires_at=None if until is None else _moment(until, "expires_at"),
            is_disputed=disputed(record) is True,
            currency=(_text(currency(record)) or "").upper(),
            **{name: 0 if value is None else _minor(value, name) for name, value in money.items()},
        )

    return make


def as_json(value: Value) -> str:
    """Of a value, for golden files: sorted, one field a line."""
    return json.dumps(msgspec.to_builtins(value), indent=2, sort_keys=True, ensure_ascii=False)
