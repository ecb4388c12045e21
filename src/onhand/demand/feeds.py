"""Feeds of signals: where one is fetched from, and how its answer is read. Pure.

A CSV file with a row for each value, or JSON: records that are found by a path, or lists side by side as weather
services have them. Paths are JMESPath with the functions of connectors/_sdk/mapping.py.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal, cast
from zoneinfo import available_timezones

from pydantic import ConfigDict, Field, field_validator, model_validator

from onhand.base.addresses import WebAddress
from onhand.base.fields import Strict
from onhand.connectors._sdk.mapping import Unmappable, path
from onhand.connectors._sdk.moments import moment_of
from onhand.demand.model import Fill, ScopeIn, SignalName

ROWS_MAX: Final = 500_000
_DELIMITERS: Final = ",;\t|"
_CELL_MAX: Final = 100_000
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# They belong to the client.
_OURS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_SCOPE: Final = ("sku", "category", "node", "region")

Text = Annotated[str, Field(min_length=1, max_length=500)]
Headers = Annotated[dict[str, Annotated[str, Field(max_length=4_000)]], Field(max_length=20)]


class FeedColumns(Strict):
    """Where a value and what belongs to it stand: a header of the CSV file, or a JMESPath."""

    at: Text
    value: Text
    name: Text | None = None
    sku: Text | None = None
    category: Text | None = None
    node: Text | None = None
    region: Text | None = None


class FeedIn(Strict):
    """A signal that is fetched by itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://archive.weather.example/v1/daily?latitude=52.5&longitude=13.4&start={from}&end={to}",
                    "format": "json",
                    "columns": {"at": "daily.time", "value": "daily.temperature_2m_mean"},
                    "signal": "temperature",
                    "scope": {"region": "DE-BE"},
                    "every_s": 21_600,
                    "days_back": 10,
                }
            ]
        }
    )

    url: Annotated[
        str,
        Field(max_length=2_000, description="{from} and {to} stand for the first and the last day that is asked for"),
    ]
    format: Literal["csv", "json"]
    columns: FeedColumns
    rows: Annotated[
        Text | None, Field(description="JMESPath to the records of JSON; null: `columns` lead to lists side by side")
    ] = None
    signal: Annotated[SignalName | None, Field(description="its name; null: that of the feed, or a column's")] = None
    scope: ScopeIn = ScopeIn()
    known_ahead: bool = False
    fill: Fill | None = None
    timezone: Annotated[str, Field(description="of times without one")] = "UTC"
    every_s: Annotated[int, Field(ge=300, le=2_678_400)] = 86_400
    days_back: Annotated[int, Field(ge=0, le=3_660)] = 30
    days_ahead: Annotated[int, Field(ge=0, le=3_660)] = 0
    headers: Headers = Field(default_factory=dict)
    secret_headers: Annotated[
        Headers | None, Field(description="write-only; null: as they are. Other hosts need them again")
    ] = None
    active: bool = True

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        WebAddress.parse(url.replace("{from}", "2026-01-01").replace("{to}", "2026-01-02"))
        return url

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"expected a time zone such as Europe/Berlin, got {name!r}")
        return name

    @field_validator("headers", "secret_headers")
    @classmethod
    def _headers(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        for name, value in (headers or {}).items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                raise ValueError(f"{name!r} is no header that may be set")
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"{name}: expected printable ASCII characters")
        return headers

    @model_validator(mode="after")
    def _paths(self) -> "FeedIn":
        if self.format == "csv":
            if self.rows is not None:
                raise ValueError("rows: a CSV file has its rows already; leave it out")
            return self
        for text in (self.rows, *self.columns.model_dump(exclude_none=True).values()):
            if text is not None:
                path(text)
        return self

    def document(self) -> dict[str, Any]:
        """What is kept of it and may be shown."""
        return self.model_dump(mode="json", exclude={"secret_headers", "active"})

    @property
    def origin(self) -> tuple[str, str]:
        """Scheme and host that secrets are shown to."""
        address = WebAddress.parse(self.address(date(2026, 1, 1)))
        return address.scheme, f"{address.host}:{address.port}"

    def address(self, today: date) -> str:
        """The address on that day."""
        first, last = today - timedelta(days=self.days_back), today + timedelta(days=self.days_ahead)
        return self.url.replace("{from}", first.isoformat()).replace("{to}", last.isoformat())


class Unreadable(Exception):
    """An answer as a whole that is not what the feed says; the text says what is wrong and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows as SignalRow has them; rejects: how many could not be read, and why the first could not."""

    rows: Sequence[dict[str, Any]]
    rejected: int = 0
    reject: str | None = None


@dataclass(slots=True)
class _Taking:
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rejected: int = 0
    reject: str | None = None


def read(feed: FeedIn, name: str, body: bytes, now: datetime) -> Read:
    """Rows of an answer. Raises Unreadable.

    name  of the feed, and of the signal where nothing else is said

    A record without a value has none to tell and is left out, as is one of a moment to come where nothing is known
    ahead: services give the rest of the day along.
    """
    taking = _Taking()
    for number, record in enumerate(_csv(feed, body) if feed.format == "csv" else _json(feed, body), 1):
        if number > ROWS_MAX:
            raise Unreadable(f"more than {ROWS_MAX:,} rows; ask for fewer days")
        if isinstance(record, str):
            problem = record
        else:
            try:
                row = _row(feed, name, record)
            except ValueError as error:
                problem = str(error)
            else:
                if row is not None and (feed.known_ahead or row["at"] <= now):
                    taking.rows.append({**row, "at": row["at"].isoformat()})
                continue
        taking.rejected += 1
        taking.reject = taking.reject or f"row {number}: {problem}"[:500]
    if not taking.rows and taking.rejected:
        raise Unreadable(f"none of {taking.rejected:,} rows can be read; {taking.reject}")
    return Read(rows=taking.rows, rejected=taking.rejected, reject=taking.reject)


def _row(feed: FeedIn, name: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
    value = _number(record.get("value"))
    if value is None:
        return None
    scope = feed.scope.model_dump(exclude_none=True)
    scope |= {code: str(said) for code in _SCOPE if (said := record.get(code)) not in (None, "")}
    row = {
        "name": str(record.get("name") or feed.signal or name), "scope": scope,
        "at": _moment(record.get("at"), feed.timezone), "value": value, "known_ahead": feed.known_ahead,
    }  # fmt: skip
    return row if feed.fill is None else row | {"fill": feed.fill}


def _number(said: object) -> float | None:
    if said is None or (isinstance(said, str) and not said.strip()):
        return None
    try:
        number = float(said) if isinstance(said, str | int | float) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"value: expected a number, got {str(said)[:40]!r}")
    return number


def _moment(said: object, zone: str) -> datetime:
    if isinstance(said, int | float) and not isinstance(said, bool):
        try:
            # Seconds until the year 5138, else milliseconds.
            return datetime.fromtimestamp(said if abs(said) < 1e11 else said / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise ValueError(f"at: expected a moment, got {said!r}") from None
    text = said.strip() if isinstance(said, str) else ""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return datetime.combine(date.fromisoformat(text), time(), UTC)  # a day is one of UTC: see SignalRow
        return moment_of(text, zone)
    except ValueError:
        raise ValueError(f"at: expected a moment or a day such as 2026-03-01, got {str(said)[:40]!r}") from None


def _csv(feed: FeedIn, body: bytes) -> Iterator[dict[str, Any] | str]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8 at byte {error.start}") from None
    first = text.partition("\n")[0]
    if not first.strip():
        raise Unreadable("empty; expected a line with the names of the columns")
    csv.field_size_limit(_CELL_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first.count))
    headers = [header.strip() for header in next(reader)]
    wanted = feed.columns.model_dump(exclude_none=True)
    if absent := [header for header in wanted.values() if header not in headers]:
        raise Unreadable(f"no column {absent[0]!r}; it has {', '.join(headers)[:300]}")
    places = {ours: headers.index(theirs) for ours, theirs in wanted.items()}
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"not CSV: {error}"
            continue
        if not cells:
            continue
        if len(cells) != len(headers):
            yield f"expected {len(headers)} cells, got {len(cells)}"
            continue
        yield {ours: cells[place] for ours, place in places.items()}


def _json(feed: FeedIn, body: bytes) -> Iterator[dict[str, Any] | str]:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None
    wanted = feed.columns.model_dump(exclude_none=True)
    if feed.rows is None:
        yield from _side_by_side(document, wanted)
        return
    records = _found(feed.rows, document)
    if not isinstance(records, list):
        raise Unreadable(f"{feed.rows}: expected a list, got {_kind(records)}")
    paths = {ours: path(theirs) for ours, theirs in wanted.items()}
    for record in cast("list[object]", records):
        try:
            yield {ours: look(record) for ours, look in paths.items()}
        except Unmappable as error:
            yield str(error)


def _side_by_side(document: object, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    columns: dict[str, list[object]] = {}
    for ours, theirs in wanted.items():
        found = _found(theirs, document)
        if not isinstance(found, list):
            raise Unreadable(f"{theirs}: expected a list, got {_kind(found)}")
        columns[ours] = cast("list[object]", found)
    if len({len(column) for column in columns.values()}) > 1:
        sizes = ", ".join(f"{wanted[ours]}: {len(column)}" for ours, column in columns.items())
        raise Unreadable(f"expected lists of one length, got {sizes}")
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _found(text: str, document: object) -> Any:
    try:
        return path(text)(document)
    except Unmappable as error:
        raise Unreadable(str(error)) from None


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
