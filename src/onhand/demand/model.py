"""Demand and signals as values, and the documents that write them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal

import polars as pl
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from onhand.base.countries import is_country
from onhand.base.fields import INT4_MAX, Code, Day, Moment, Money, ShortText, Strict, day_of, moment_of

NAME_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
_SUBDIVISION = re.compile(r"[A-Z0-9]{1,3}")


def region_of(country: str, region: str | None) -> str:
    """The region that demand from an address belongs to: `DE-BY` where it names a subdivision by its ISO 3166-2 code,
    with or without the country in front, otherwise `DE`. Says the same as demand_region_v1 in the database."""
    country = country.upper()
    bare = (region or "").strip().upper().removeprefix(f"{country}-")
    return f"{country}-{bare}" if _SUBDIVISION.fullmatch(bare) else country


def _region(value: str) -> str:
    country, _, subdivision = value.partition("-")
    if not is_country(country) or (value != country and not _SUBDIVISION.fullmatch(subdivision)):
        raise ValueError(f"expected a country such as DE or a subdivision such as DE-BY (ISO 3166), got {value!r}")
    return value


def _checked_region(value: object) -> object:
    return _region(value) if isinstance(value, str) else value


def moment_or_day(value: object) -> datetime:
    """A moment, or the beginning of a day in UTC. Raises ValueError."""
    if isinstance(value, str) and len(value) == len("2026-03-01"):
        return datetime.combine(day_of(value), time(), UTC)
    return moment_of(value)


Region = Annotated[
    str,
    BeforeValidator(_checked_region),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
            "description": "ISO 3166-1 alpha-2, or ISO 3166-2",
            "examples": ["DE-BY"],
        }
    ),
]
SignalName = Annotated[str, Field(pattern=NAME_PATTERN, examples=["temperature"])]
MomentOrDay = Annotated[
    datetime,
    BeforeValidator(moment_or_day),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
            "description": "a moment, or a day: its beginning in UTC",
        }
    ),
]
# Beyond, a double no longer tells neighbours apart, and something is wrong.
Value = Annotated[float, Field(ge=-1e15, le=1e15)]
Fill = Literal["hold", "zero", "none"]
Hours = Annotated[float, Field(ge=0, le=24)]


class ScopeIn(Strict):
    """What a signal says something of; what is left out, of all."""

    sku: Code | None = None
    category: Annotated[ShortText, Field(min_length=1)] | None = None
    node: Code | None = None
    region: Region | None = None


class SignalRow(Strict):
    """One value of a signal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "temperature", "scope": {"region": "DE-BE"}, "at": "2026-03-02T12:00:00Z", "value": 7.5},
                {
                    "name": "promotion",
                    "scope": {"sku": "MUG-BLUE"},
                    "at": "2026-03-14",
                    "value": 1,
                    "known_ahead": True,
                },
            ]
        }
    )

    name: SignalName
    scope: ScopeIn = ScopeIn()
    at: MomentOrDay
    value: Value
    known_ahead: Annotated[bool, Field(description="may be used for days to come: a plan, a calendar")] = False
    fill: Annotated[
        Fill | None,
        Field(
            description="what stands on days between its values: the last one, 0, or nothing; null: judged by their"
            " spacing"
        ),
    ] = None
    known_at: Annotated[
        MomentOrDay | None,
        Field(description="since when the value is known; null: see how-to/demand-and-signals.md"),
    ] = None


class SaleRow(Strict):
    """What was sold of an item on a day, as somebody else tells it. Without node and region: nobody knows where."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sku": "MUG-BLUE", "node": "BERLIN", "day": "2025-11-28", "quantity": 14}]}
    )

    sku: Code
    day: Day
    quantity: Annotated[int, Field(ge=0, le=INT4_MAX)]
    node: Code | None = None
    region: Region | None = None
    channel: Code | None = None
    price_minor: Annotated[Money | None, Field(description="of a unit")] = None
    stock_out_hours: Annotated[Hours, Field(description="in which there was nothing to sell")] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Which corrections turn what was sold into what was wanted; each can be left out.

    stock_outs     adds what would have been sold in the hours in which nothing was there
    cancellations  takes off what customers cancelled; what was cancelled because nothing could serve it stays
    bulk           an order line far beyond the usual size of its item counts as one of the usual size
    net_returns    takes off what came back (of orders on the day that they were placed)
    """

    stock_outs: bool = True
    cancellations: bool = True
    bulk: bool = True
    net_returns: bool = False


CORRECTED: Final = Corrections()
"""What history is unless somebody asks otherwise."""
RAW: Final = Corrections(stock_outs=False, cancellations=False, bulk=False)
"""No correction at all."""

Rule = Literal["stock_out", "cancellation", "bulk", "return"]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Demand by series and day. A day without a row is one on which nothing was wanted and nothing missing.

    series  series (int32: row number), sku, category, node, region, channel, first_day, timezone. node is null of
            demand that is sent somewhere, region "" where nobody told where; channel "" of demand without one, null
            where channels were summed. first_day: the first with demand; before it nothing is known
    days    series (int32), day, and float32 each: units (as ordered and sold), cancelled, bulk, returned (taken off),
            lost (added), demand = units - cancelled - bulk - returned + lost; open_share (1: there was stock all day;
            a day below 1 is censored), price_minor (float64, of a unit, null: not known). By series and day
    until   the first day that is not in it
    """

    series: pl.DataFrame
    days: pl.DataFrame
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a signal says something of, by public codes; None: of all."""

    sku: str | None = None
    category: str | None = None
    node: str | None = None
    region: str | None = None

    @classmethod
    def of(cls, row: ScopeIn) -> "Scope":
        """The scope that a document names."""
        return cls(sku=row.sku, category=row.category, node=row.node, region=row.region)

    def public(self) -> dict[str, str]:
        """Only what it names."""
        named = {"sku": self.sku, "category": self.category, "node": self.node, "region": self.region}
        return {field: code for field, code in named.items() if code is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSeries:
    """What is known of a list of signals: range of its values, how many, how often corrected."""

    name: str
    scope: Mapping[str, str]
    known_ahead: bool
    fill: Fill | None
    values: int
    corrections: int
    first_at: datetime | None
    last_at: datetime | None
    recorded_at: datetime | None
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Where a signal is fetched from by itself, and how that goes. document: see FeedIn."""

    name: str
    document: dict[str, Any]
    active: bool
    next_at: datetime
    read_at: datetime | None
    written: int
    rejected: int
    reject: str | None
    failures: int
    error: str | None
    has_secrets: bool
    updated_at: datetime


__all__ = [
    "CORRECTED",
    "NAME_PATTERN",
    "RAW",
    "Corrections",
    "Feed",
    "Fill",
    "History",
    "Moment",
    "Region",
    "Rule",
    "SaleRow",
    "Scope",
    "ScopeIn",
    "SignalName",
    "SignalRow",
    "SignalSeries",
    "moment_or_day",
    "region_of",
]
