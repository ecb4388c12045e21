"""Signals on days and places, and what a new value of one is to those before it. Pure.

Values of any frequency become one a day (of UTC): the mean of those of the day. Between them stands what the signal
says (`fill`), or what their spacing suggests: nothing between daily values, the last one between weekly or monthly
ones, 0 between events. A series of demand hears the signal of the narrowest scope that has a value on the day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from onhand.demand.correct import day_after, day_number
from onhand.demand.model import Fill, Scope

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]

ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
"""Since when a plan of the past counts as known that was not told at its time."""

_DAY_US: Final = 86_400_000_000
# Values on so many of its days make a series a daily one, with gaps.
_DAILY_COVER: Final = 0.8
# So many of the gaps lie within a fifth of the usual one where values come regularly.
_REGULAR_SHARE: Final = 0.8
_REGULAR_SLACK: Final = 0.2
_GAPS_MIN: Final = 2
_WEEK: Final = 7

Status = Literal["created", "updated", "unchanged"]


class Told(NamedTuple):
    """A value that somebody tells. series: its number; known_at None: nobody said since when."""

    series: int
    at: datetime
    value: float
    known_at: datetime | None
    known_ahead: bool


def decide_value(
    told: Told, kept: Sequence[tuple[datetime, float]], *, begun: datetime, now: datetime
) -> tuple[Status, datetime]:
    """What becomes of a value, and since when it is known.

    kept   (known_at, value) of the same moment so far, in any order
    begun  when the first value of the signal was told

    A value is known since it is told. Only the first value of a moment from before the signal was begun is history
    that nobody could tell at its time: of a plan it counts as always known, of anything else since its moment. Raises
    ValueError if that moment of knowing has another value.
    """
    known_at = told.known_at
    if known_at is None:
        is_history = not kept and told.at < begun
        known_at = now if not is_history else ALWAYS if told.known_ahead else told.at
        if kept:
            latest = max(kept)
            if latest[1] == told.value:
                return "unchanged", latest[0]
            # Whatever the clock says: what is told last counts.
            known_at = max(known_at, latest[0] + timedelta(microseconds=1))
    before = [(since, value) for since, value in kept if since <= known_at]
    if before:
        since, value = max(before)
        if value == told.value:
            return "unchanged", known_at
        if since == known_at:
            raise ValueError(
                f"known since {known_at.isoformat()} as {value:g} already; leave known_at out to correct it from now on"
            )
    return "updated" if kept else "created", known_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Values of one series that are known: at (int64, Unix microseconds, ascending), value (float64)."""

    name: str
    scope: Scope
    known_ahead: bool
    fill: Fill | None
    at: Int64
    value: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """A signal for every series of demand: rows[index[s], d] is its value on day `first` + d; index -1: it has none.

    rows   float64[row, day], NaN where nothing is known; series that hear the same share a row
    index  int32[series]
    """

    name: str
    known_ahead: bool
    first: date
    rows: Float64
    index: Int32

    @property
    def until(self) -> date:
        """The first day that is not in it."""
        return day_after(day_number(self.first) + self.rows.shape[1])


def align(known: Known, first: int, until: int) -> Float64:
    """Values by day from `first` to `until` (exclusive), days since 1970-01-01; NaN where none is. Events stay alone:
    the zeros around them come last (see `resolve`), so that they do not hide the events of a wider scope."""
    found = np.full(max(until - first, 0), np.nan)
    if not len(known.at):
        return found
    days, of = np.unique(known.at // _DAY_US, return_inverse=True)
    values = np.bincount(of, known.value) / np.bincount(of)
    hold = _hold(known.fill, days)
    span = np.arange(first, until)
    last = np.searchsorted(days, span, "right") - 1
    is_held = (last >= 0) & (span - days[np.maximum(last, 0)] < hold)
    found[is_held] = values[last[is_held]]
    return found


_FOREVER: Final = 1 << 30


def _hold(fill: Fill | None, days: Int64) -> int:
    """For how many days a value stands, its own included."""
    if fill == "hold":
        return _FOREVER
    if fill is not None:
        return 1
    return _period(days)


def _period(days: Int64) -> int:
    """Days from one value to the next where they come regularly and not daily, with their slack; otherwise 1."""
    gaps = np.diff(days)
    if len(gaps) < _GAPS_MIN:
        return 1
    usual = float(np.median(gaps))
    slack = max(usual * _REGULAR_SLACK, 1.0)
    if usual < _WEEK - 1 or np.mean(np.abs(gaps - usual) <= slack) < _REGULAR_SHARE:
        return 1
    return int(usual + slack)


def has_zeros(known: Known) -> bool:
    """Whether 0 stands where the signal says nothing: it tells of events."""
    if known.fill is not None:
        return known.fill == "zero"
    days = np.unique(known.at // _DAY_US)
    if len(days) <= _GAPS_MIN:
        return True
    is_daily = len(days) >= _DAILY_COVER * (days[-1] - days[0] + 1)
    return not is_daily and _period(days) == 1


def resolve(signals: Iterable[Known], series: pl.DataFrame, *, first: date, until: date) -> list[Aligned]:
    """Every signal on the days from `first` to `until` (exclusive) for every series of demand; by name.

    series  sku, category, node, region; a region lies within its country

    The narrowest scope that has a value on a day counts: an item before a node, a node before a category, that before
    a subdivision and a country.
    """
    by_name: dict[str, list[Known]] = {}
    for known in signals:
        by_name.setdefault(known.name, []).append(known)
    begin, end = day_number(first), day_number(until)
    keys = series.select(
        "sku", "category", "node", "region", pl.col("region").str.split("-").list.first().alias("country")
    )
    return [_resolved(name, those, keys, begin, end) for name, those in sorted(by_name.items())]


# Fields of a scope, narrowest first: a bit each, so that two wide ones never outweigh a narrow one.
_FIELDS: Final = ("sku", "node", "category", "region", "country")


def _resolved(name: str, those: Sequence[Known], keys: pl.DataFrame, begin: int, end: int) -> Aligned:
    by_shape: dict[tuple[str, ...], list[int]] = {}
    for number, known in enumerate(those):
        by_shape.setdefault(_shape(known.scope), []).append(number)
    narrowest = sorted(by_shape, key=lambda shape: -sum(1 << (len(_FIELDS) - _FIELDS.index(f)) for f in shape))
    heard = np.full((len(keys), len(narrowest)), -1, np.int32)
    for column, shape in enumerate(narrowest):
        heard[:, column] = _of_shape(those, by_shape[shape], shape, keys)
    found, inverse = np.unique(heard, axis=0, return_inverse=True)
    choices, index = np.asarray(found, np.int32), np.asarray(inverse, np.int64).reshape(-1)
    rows = np.full((len(choices), max(end - begin, 0)), np.nan)
    chosen: list[list[int]] = choices.tolist()
    wanted = sorted({number for choice in chosen for number in choice if number >= 0})
    values = {number: align(those[number], begin, end) for number in wanted}
    for row, choice in zip(rows, chosen, strict=True):
        numbers = [number for number in choice if number >= 0]
        for number in numbers:
            np.copyto(row, values[number], where=np.isnan(row))
        if any(has_zeros(those[number]) for number in numbers):
            np.nan_to_num(row, copy=False, nan=0.0)
    is_heard = np.array([max(choice, default=-1) >= 0 for choice in chosen], np.bool_)
    index = np.where(is_heard[index], index, -1).astype(np.int32)
    return Aligned(name=name, known_ahead=those[0].known_ahead, first=day_after(begin), rows=rows, index=index)


def _shape(scope: Scope) -> tuple[str, ...]:
    named = set(scope.public())
    if scope.region is not None and "-" not in scope.region:
        named = named - {"region"} | {"country"}
    return tuple(field for field in _FIELDS if field in named)


def _of_shape(those: Sequence[Known], numbers: Sequence[int], shape: tuple[str, ...], keys: pl.DataFrame) -> Int32:
    """Number of the signal of this shape that each series hears, -1: none."""
    if not shape:
        return np.full(len(keys), numbers[0], np.int32)
    scopes = [those[number].scope for number in numbers]
    names = {
        field: pl.Series([getattr(s, "region" if field == "country" else field) for s in scopes], dtype=pl.String)
        for field in shape
    }
    table = pl.DataFrame({**names, "number": pl.Series(numbers, dtype=pl.Int32)})
    found = keys.with_row_index("row").join(table, on=[*shape], how="left", maintain_order="left")
    return found["number"].fill_null(-1).to_numpy()


def without_later(signals: Iterable[Known], origin: date) -> list[Known]:
    """`signals` without values of what is only known of the past that lie on or after `origin`: what the query leaves
    out already is left out here again, since everything that is learned rests on it."""
    limit = day_number(origin) * _DAY_US
    kept: list[Known] = []
    for known in signals:
        if known.known_ahead:
            kept.append(known)
            continue
        is_past = known.at < limit
        kept.append(
            Known(
                name=known.name, scope=known.scope, known_ahead=False, fill=known.fill, at=known.at[is_past],
                value=known.value[is_past],
            )
        )  # fmt: skip
    return kept
