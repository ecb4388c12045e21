"""Field types of the strict write models, and how their errors are told.

Strict: no text for a number, no number for text, no unknown field, no NaN. Every text that passes can be stored.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, cast
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from onhand.base.countries import is_country
from onhand.base.dates import YEARS
from onhand.base.money import is_currency

INT4_MAX: Final = 2**31 - 1
MONEY_MAX: Final = 1_000_000_000_000  # minor units: more than any price, and its products still fit in 64 bits
ATTRIBUTES_MAX_BYTES: Final = 65_536
_NESTING_MAX = 32

# Tags of unions in error locations: they are no part of the document.
_TAG = re.compile(r"\(.*\)")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


class Strict(BaseModel):
    """A document that a caller writes."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


def path_of(location: Sequence[int | str]) -> str:
    """`("lines", 0, "quantity")` as `lines[0].quantity`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not _TAG.fullmatch(part):
            path += f".{part}" if path else part
    return path


def reject_reasons(error: ValidationError) -> list[tuple[str, str]]:
    """(path, message) of each thing wrong, at most a hundred."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [(path_of(e["loc"]), _message(e["type"], e["msg"])) for e in found[:100]]


def _message(kind: str, message: str) -> str:
    if kind == "missing":
        return "required"
    if kind == "extra_forbidden":
        return "unknown field"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "expected an object"
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _is_control(char: str) -> bool:
    # Cc: control characters, NUL among them; Cs: half of a surrogate pair; Zl, Zp: line separators.
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def _code(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected printable characters only")
    if text != text.strip():
        raise ValueError("expected no blank at either end")
    if not unicodedata.is_normalized("NFC", text):
        # Two spellings of one letter would be two skus that look the same.
        raise ValueError("expected Unicode normalisation form NFC")
    return text


def _text(text: str) -> str:
    if not text.isprintable() and any(map(_is_control, text)):
        raise ValueError("expected no control characters")
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("expected more than blanks")
    return _text(text)


def _currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError(f"expected an ISO 4217 currency such as EUR, got {code!r}")
    return code


def _country(code: str) -> str:
    if not is_country(code):
        raise ValueError(f"expected an ISO 3166-1 alpha-2 country such as DE, got {code!r}")
    return code


def _time_of_day(text: str) -> str:
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError(f'expected a time of day such as "15:00", got {text!r}')
    return text


def moment_of(value: object) -> datetime:
    """The moment, in UTC, that RFC 3339 text names. Raises ValueError."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError as error:
            raise ValueError(f"no such time: {error}") from None
    else:
        raise ValueError('expected an RFC 3339 time such as "2026-03-01T09:00:00Z"')
    if moment.tzinfo is None:
        raise ValueError("expected a time with its time zone")
    if moment.year not in YEARS:
        raise ValueError(f"expected a year from {YEARS[0]} to {YEARS[-1]}")
    return moment.astimezone(UTC)


def day_of(value: object) -> date:
    """The day that text such as "2026-12-25" names. Raises ValueError."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        try:
            value = date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"no such day: {error}") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError('expected a day such as "2026-12-25"')
    if value.year not in YEARS:
        raise ValueError(f"expected a year from {YEARS[0]} to {YEARS[-1]}")
    return value


def _json_object(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """JSON that PostgreSQL's jsonb takes: no NUL, no NaN, of bounded size and depth."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        part, depth = pending.pop()
        if isinstance(part, dict | list):
            if depth > _NESTING_MAX:
                raise ValueError(f"expected at most {_NESTING_MAX} levels of nesting")
            if isinstance(part, dict):
                members = cast("dict[Any, Any]", part)
                pending.extend((name, depth) for name in members)
                pending.extend((member, depth + 1) for member in members.values())
            else:
                pending.extend((member, depth + 1) for member in cast("list[Any]", part))
        elif isinstance(part, str):
            if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in part):
                raise ValueError("expected text without NUL and without lone surrogates")
        elif isinstance(part, int) and not isinstance(part, bool) and abs(part) > 2**63:
            raise ValueError("expected numbers of at most 64 bits")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected JSON: {error}") from None
    if size > ATTRIBUTES_MAX_BYTES:
        raise ValueError(f"expected at most {ATTRIBUTES_MAX_BYTES} bytes of JSON, got {size}")
    return value


def _schema(**facts: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **facts})


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads folders: once is enough


def time_zone(name: str) -> str:
    """The name of a zone. Raises ValueError: there is none."""
    if name not in _time_zones():
        raise ValueError(f"expected an IANA time zone such as Europe/Berlin, got {name!r}")
    return name


# No control characters, no blank at an end: what a scanner reads is what is stored.
_CODE_PATTERN = (
    "^[^\\u0000-\\u0020\\u007f-\\u00a0]([^\\u0000-\\u001f\\u007f-\\u00a0]*[^\\u0000-\\u0020\\u007f-\\u00a0])?$"
)

Code = Annotated[
    str,
    Field(min_length=1, max_length=128),
    AfterValidator(_code),
    _schema(minLength=1, maxLength=128, pattern=_CODE_PATTERN),
]
Name = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_filled)]
ShortText = Annotated[str, Field(max_length=200), AfterValidator(_text)]
Currency = Annotated[
    str,
    AfterValidator(_currency),
    _schema(pattern="^[A-Z]{3}$", description="ISO 4217", examples=["EUR"]),
]
Country = Annotated[
    str,
    AfterValidator(_country),
    _schema(pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2", examples=["DE"]),
]
TimeOfDay = Annotated[
    str,
    AfterValidator(_time_of_day),
    _schema(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["15:00"]),
]
TimeZone = Annotated[
    str, Field(max_length=64, description="IANA name", examples=["Europe/Paris"]), AfterValidator(time_zone)
]
Moment = Annotated[datetime, BeforeValidator(moment_of), _schema(format="date-time")]
Day = Annotated[date, BeforeValidator(day_of), _schema(format="date")]
Money = Annotated[int, Field(ge=0, le=MONEY_MAX)]
Attributes = Annotated[
    dict[str, Any],
    AfterValidator(_json_object),
    WithJsonSchema({"type": "object", "additionalProperties": True, "description": "free JSON, at most 64 kB"}),
]
