"""Requests with blanks: text in which `{name}` stands for a value, and the few shapes around it.

A text that is one blank keeps the type of its value; `{name:as}` converts it by one of the words in `CONVERSIONS`. A
mapping of `each` and `item` makes a list. Nothing else is computed here.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast
from urllib.parse import quote

from onhand.base.money import EXPONENTS
from onhand.connectors._sdk.moments import moment_of

_BLANK = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)(?::([a-z0-9_]+))?\}")
_ODD_BRACE = re.compile(r"[{}]")


class Unfillable(Exception):
    """A blank has no value, or one that cannot be converted."""


def _moment(value: Any) -> datetime:
    try:
        return moment_of(value.isoformat() if isinstance(value, datetime) else value)
    except (TypeError, ValueError):
        raise Unfillable(f"expected a moment, got {value!r}") from None


def _integer(value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise Unfillable(f"expected a whole number, got {value!r}") from None


def _number(value: Any) -> int | float:
    """`19.99` as JSON writes it; the shortest number that reads so, hence the same amount."""
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        raise Unfillable(f"expected a number, got {value!r}") from None
    if not amount.is_finite():
        raise Unfillable(f"expected a number, got {value!r}")
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _numeral(value: Any) -> str:
    said = str(value)
    if said.isascii() and said.isdigit() and len(said) <= 18 and not said.startswith("0"):
        return said
    return str(int.from_bytes(hashlib.sha256(said.encode()).digest()[:7]) + 1)


CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "integer": _integer,
    "text": str,
    "number": _number,
    "rfc3339": lambda v: _moment(v).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "gmt": lambda v: _moment(v).replace(tzinfo=None).isoformat(timespec="seconds"),
    "date": lambda v: _moment(v).date().isoformat(),
    "unix_s": lambda v: int(_moment(v).timestamp()),
    "first_part": lambda v: str(v).partition("/")[0],
    "last_part": lambda v: str(v).rpartition("/")[2],
    "numeral": _numeral,
    "lower": lambda v: str(v).lower(),
    "unix_ms": lambda v: int(_moment(v).timestamp() * 1000),
}
"""Words after the colon of a blank. `number`: an amount as a number; `gmt`: without a time zone, in UTC; parts are
divided by slashes; `numeral`: digits that stand for a text, always the same."""


def blanks(value: Any) -> Iterator[tuple[str, str | None]]:
    """(name, conversion) of each blank in a request, those inside `item` of `each` as `item.name`."""
    if isinstance(value, str):
        for match in _BLANK.finditer(value):
            yield match[1], match[2]
    elif isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if is_each(mapping):
            yield from blanks(mapping["each"])
            yield from (
                (f"item.{name}" if not name.startswith("item.") else name, c) for name, c in blanks(mapping["item"])
            )
        else:
            for member in mapping.values():
                yield from blanks(member)
    elif isinstance(value, list):
        for member in cast("list[Any]", value):
            yield from blanks(member)


def problem(text: str) -> str | None:
    """What is wrong with the braces of a text, if anything."""
    if _ODD_BRACE.search(_BLANK.sub("", text)):
        return "a brace that is no blank: blanks are {name} or {name:as}"
    for _, conversion in blanks(text):
        if conversion is not None and conversion not in CONVERSIONS:
            return f"nothing is converted by {conversion!r}: known are {', '.join(CONVERSIONS)}"
    return None


def is_each(value: Mapping[str, Any]) -> bool:
    """Whether a mapping makes a list."""
    return set(value) == {"each", "item"}


def fill(value: Any, scope: Mapping[str, Any]) -> Any:
    """`value` with its blanks filled from `scope`. Raises Unfillable."""
    if isinstance(value, str):
        whole = _BLANK.fullmatch(value)
        return _value(whole, scope) if whole else fill_text(value, scope)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        if is_each(mapping):
            return [
                fill(mapping["item"], {**scope, **member, "item": member}) for member in fill(mapping["each"], scope)
            ]
        return {name: fill(member, scope) for name, member in mapping.items()}
    if isinstance(value, list):
        return [fill(member, scope) for member in cast("list[Any]", value)]
    return value


def fill_text(text: str, scope: Mapping[str, Any], *, escape: bool = False) -> str:
    """`text` with its blanks as text; escape: as parts of a path."""

    def put(match: re.Match[str]) -> str:
        value = _value(match, scope)
        if value is None or isinstance(value, (list, dict)):
            raise Unfillable(f"{match[1]} has no value that can stand in text")
        said = ("false", "true")[value] if isinstance(value, bool) else str(value)
        if escape and said in (".", ".."):
            raise Unfillable(f"{match[1]} is {said!r}, which would lead to another path")
        return quote(said, safe="") if escape else said

    return _BLANK.sub(put, text)


def _value(match: re.Match[str], scope: Mapping[str, Any]) -> Any:
    value: Any = scope
    for part in match[1].split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise Unfillable(f"nothing is called {match[1]} here")
        value = cast("Mapping[str, Any]", value)[part]
    return value if match[2] is None or value is None else CONVERSIONS[match[2]](value)


def major_units(price_minor: int, currency: str) -> str:
    """Minor units as most channels write money: 1999 of EUR is `19.99`, of JPY `1999`."""
    exponent = EXPONENTS[currency]
    return f"{Decimal(price_minor).scaleb(-exponent):.{exponent}f}"


def minor_units(value: Any, currency: str) -> int:
    """Money as channels write it ("19.99", 19.99, "1999" of JPY) in minor units. Raises ValueError."""
    if currency not in EXPONENTS:
        raise ValueError(f"{currency!r} is no ISO 4217 currency")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"expected an amount of money, got {value!r}")
    try:
        amount = Decimal(str(value).strip()).scaleb(EXPONENTS[currency])
    except ArithmeticError:
        raise ValueError(f"expected an amount of money, got {value!r}") from None
    if not amount.is_finite():
        raise ValueError(f"expected an amount of money, got {value!r}")
    return int(amount.to_integral_value(rounding="ROUND_HALF_UP"))
