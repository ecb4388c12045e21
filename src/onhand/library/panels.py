"""Tables of demand and of what is known of it, as Polars or pandas data frames, on one grid of periods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from onhand.demand.panel import Dates, Float64, Freq, Int64, Panel, trim
from onhand.errors import FieldError, InvalidInput
from onhand.library.tables import Frame, series_of

_STEPS: Final[Mapping[str, Freq]] = {
    "D": "D", "1D": "D", "1d": "D", "W": "W", "1W": "W", "1w": "W", "M": "M", "MS": "M", "ME": "M", "1M": "M",
    "1mo": "M",
}  # fmt: skip
_KEYS: Final = ("unique_id", "ds")

# What it means that a series has no row for a period: that nobody looked, or that nothing was asked for.
Gaps = Literal["unknown", "zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What panels of parts of a table have in common.

    grid   datetime64[D][T + H]
    kinds  by table and column ("known.event"), the names of its kinds, rising
    """

    grid: Dates
    kinds: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


def frequency(freq: str) -> Freq:
    """Raises InvalidInput for one that is not a day's, a week's or a month's."""
    found = _STEPS.get(freq) or ("W" if freq.startswith("W-") else None)
    if found is None:
        raise InvalidInput.at("freq", f'{freq!r} is not known: "D" for days, "W" for weeks, "MS" for months')
    return found


def panel_of(
    history: Frame,
    *,
    horizon: int,
    freq: str,
    known: Frame | None = None,
    past: Frame | None = None,
    static: Frame | None = None,
    gaps: Gaps = "unknown",
    layout: Layout | None = None,
    with_new: bool = False,
) -> Panel:
    """The panel of a history, its horizon after the last date of all its series.

    gaps    what it means that a series has no row for a period
    layout  of a larger table that this is part of; None: it is the whole
    with_new  whether series without a history that `static` names, or `known` ahead, are in it too, nothing of them
            observed (`seen_in`)

    Raises InvalidInput naming
    the columns that are missing, not numbers, not dates, off the grid of `freq`, or there twice.
    """
    step = frequency(freq)
    if horizon < 1:
        raise InvalidInput.at("horizon", "expected 1 period or more")
    if not _need(history, "history", (*_KEYS, "y")):
        raise InvalidInput.at("history", "it has no rows: expected unique_id, ds and y")
    ids, row = _places_of(history["unique_id"])
    days = _days(history["ds"], "history.ds")
    y = _numbers(history["y"], "history.y")
    # More came back than went out in that period: nothing is asked for less than not at all.
    y = np.maximum(y, 0.0)
    grid = grid_of(days, step, horizon) if layout is None else layout.grid
    if with_new:
        ids, row = _joined(ids, row, _new(known, static, grid[len(grid) - horizon]))
    table = _table(row, _places(days, grid, step, "history.ds"), y, (len(ids), len(grid) - horizon), "history")
    if gaps == "zero":
        table = np.nan_to_num(table)
    of = {name: place for place, name in enumerate(ids)}
    names: Mapping[str, Sequence[str]] = {} if layout is None else layout.kinds
    kinds: set[str] = set()
    ahead = {} if known is None else _signals(known, "known", of, grid, step, kinds, names, must_reach=horizon)
    behind = {} if past is None else _signals(past, "past", of, grid, step, kinds, names, must_reach=0)
    if twice := sorted(set(ahead) & set(behind)):
        raise InvalidInput.at("past", f"{twice[0]!r} is in `known` too: a column is known ahead or it is not")
    observed = len(grid) - horizon
    return Panel(
        ids=ids, freq=step, dates=grid, y=trim(table), known=ahead,
        past={name: values[:, :observed] for name, values in behind.items()},
        static={} if static is None else _static(static, of, names), categories=frozenset(kinds),
    )  # fmt: skip


def seen_in(panel: Panel, history: Frame) -> NDArray[np.bool_]:
    """bool[n]: which of the panel's series have a row in the history."""
    names = set(_texts(history["unique_id"]).unique().to_list())
    return np.array([name in names for name in panel.ids], bool)


def _new(known: Frame | None, static: Frame | None, ahead: np.datetime64) -> set[str]:
    """Series that a table names: any of `static`, those of `known` whose rows reach ahead."""
    names: set[str] = set()
    if static is not None and "unique_id" in set(static.columns):
        names |= set(_texts(static["unique_id"]).drop_nulls().unique().to_list())
    if known is not None and set(_KEYS) <= set(known.columns):
        later = _days(known["ds"], "known.ds") >= ahead
        names |= set(_texts(known["unique_id"]).filter(pl.Series(later)).drop_nulls().unique().to_list())
    return names


def _joined(ids: list[str], row: Int64, more: set[str]) -> tuple[list[str], Int64]:
    """All names, rising, and the places among them of what had places among `ids`."""
    names = sorted({*ids, *more})
    of = {name: place for place, name in enumerate(names)}
    return names, np.array([of[name] for name in ids], np.int64)[row]


def texts_of(static: Frame, column: str, ids: Sequence[str]) -> list[str]:
    """What `static` says of each series in a column; nothing: an empty text. Raises InvalidInput without the column."""
    _need(static, "static", ("unique_id", column))
    said = dict(zip(_texts(static["unique_id"]).to_list(), _texts(static[column]).fill_null("").to_list(), strict=True))
    return [said.get(name, "") for name in ids]


def _need(frame: Frame, what: str, columns: Sequence[str]) -> int:
    there = set(frame.columns)
    missing = [FieldError(f"{what}.{name}", "the column is missing") for name in columns if name not in there]
    if missing:
        raise InvalidInput(missing)
    return len(frame[columns[0]])


def _is(series: pl.Series, *kinds: type[pl.DataType]) -> bool:
    return any(series.dtype == kind for kind in kinds)


def _texts(column: Any) -> pl.Series:
    return series_of(column).cast(pl.String)


def _places_of(column: Any) -> tuple[list[str], Int64]:
    """The names in a column, rising, and the place among them of each row."""
    texts = _texts(column)
    names = texts.unique().sort()
    return names.to_list(), texts.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)


def _days(column: Any, what: str) -> Dates:
    try:
        series = series_of(column)
        days = series.str.to_date() if series.dtype == pl.String else series.cast(pl.Date)
    except pl.exceptions.PolarsError:
        days = None
    if days is None or days.null_count():
        raise InvalidInput.at(what, "expected dates, or texts such as 2026-02-23")
    return days.to_numpy().astype("datetime64[D]")


def _numbers(column: Any, what: str) -> Float64:
    series = series_of(column)
    if not (series.dtype.is_numeric() or _is(series, pl.Boolean, pl.Null)):
        raise InvalidInput.at(what, "expected numbers")
    values = series.cast(pl.Float64).to_numpy()
    if np.isinf(values).any():
        raise InvalidInput.at(what, "expected finite numbers")
    return values


def grid_of(days: Dates, step: Freq, horizon: int) -> Dates:
    """datetime64[D][T + H]: from the first of these days to the horizon after the last."""
    first, last = days.min(), days.max()
    if step == "M":
        begin, end = first.astype("datetime64[M]"), last.astype("datetime64[M]")
        months: Dates = np.arange(begin, end + 1 + horizon, dtype="datetime64[M]")
        # Month ends stay month ends.
        at_end = (last + 1).astype("datetime64[M]") != end
        return (months + 1).astype("datetime64[D]") - 1 if at_end else months.astype("datetime64[D]")
    width = 7 if step == "W" else 1
    begin = first if step == "D" else last - (last - first) // np.timedelta64(7, "D") * np.timedelta64(7, "D")
    return np.arange(begin, last + np.timedelta64(width * horizon + 1, "D"), width, dtype="datetime64[D]")


def _places(days: Dates, grid: Dates, step: Freq, what: str) -> Int64:
    """Of dates on the grid; -1: before or after it. Raises InvalidInput for one that lies between two periods."""
    if step == "M":
        return (days.astype("datetime64[M]") - grid[0].astype("datetime64[M]")).astype(np.int64)
    width = 7 if step == "W" else 1
    apart = (days - grid[0]).astype(np.int64)
    if np.any(apart % width):
        wrong = days[np.flatnonzero(apart % width)[0]]
        raise InvalidInput.at(
            what, f"{wrong} is not a whole number of weeks from {grid[-1]}: one weekday for all weeks"
        )
    return apart // width


def _table(rows: Int64, places: Int64, values: Float64, shape: tuple[int, int], what: str) -> Float64:
    table = np.full(shape, np.nan)
    inside = (places >= 0) & (places < shape[1])
    flat = rows[inside] * shape[1] + places[inside]
    if len(np.unique(flat)) < len(flat):
        raise InvalidInput.at(what, "a series has two rows for one period: add them up first")
    table.ravel()[flat] = values[inside]
    return table


def _signals(
    frame: Frame,
    what: str,
    of: Mapping[str, int],
    grid: Dates,
    step: Freq,
    kinds: set[str],
    names: Mapping[str, Sequence[str]],
    *,
    must_reach: int,
) -> dict[str, Float64]:
    for_all = "unique_id" not in set(frame.columns)
    _need(frame, what, ("ds",) if for_all else _KEYS)
    places = _places(_days(frame["ds"], f"{what}.ds"), grid, step, f"{what}.ds")
    rows = np.zeros(len(places), np.int64)
    if not for_all:
        series, place = _places_of(frame["unique_id"])
        rows = np.array([of.get(name, -1) for name in series], np.int64)[place]
    observed = len(grid) - must_reach
    if must_reach and not np.any(places >= observed):
        raise InvalidInput.at(what, f"no row lies ahead: it has to reach {grid[-1]}, or belongs into `past`")
    inside = (rows >= 0) & (places >= 0) & (places < len(grid))
    found: dict[str, Float64] = {}
    for name in frame.columns:
        if name in _KEYS:
            continue
        values, are_kinds = _values(frame[name], f"{what}.{name}", names.get(f"{what}.{name}"))
        if are_kinds:
            kinds.add(name)
        shape = (1 if for_all else len(of), len(grid))
        found[name] = _table(rows[inside], places[inside], values[inside], shape, what)
    return found


def is_kind(kind: pl.DataType) -> bool:
    """Whether a column of this type names kinds, and not quantities."""
    return any(kind == of for of in (pl.String, pl.Categorical, pl.Enum))


def _values(column: Any, what: str, names: Sequence[str] | None) -> tuple[Float64, bool]:
    """Numbers, or kinds by number, of `names` or those that are there (nothing is NaN); whether they are kinds."""
    series = series_of(column)
    if is_kind(series.dtype):
        texts = series.cast(pl.String)
        texts = texts.set(texts == "", None)
        names = texts.drop_nulls().unique().sort().to_list() if names is None else names
        return texts.cast(pl.Enum(names)).to_physical().cast(pl.Float64).to_numpy(), True
    if not (series.dtype.is_numeric() or _is(series, pl.Boolean, pl.Null)):
        raise InvalidInput.at(what, "expected numbers, truth values or texts")
    return series.cast(pl.Float64).to_numpy(), False


def _static(frame: Frame, of: Mapping[str, int], all_names: Mapping[str, Sequence[str]]) -> dict[str, Int64]:
    _need(frame, "static", ("unique_id",))
    ids = _texts(frame["unique_id"]).to_list()
    if len(set(ids)) < len(ids):
        raise InvalidInput.at("static.unique_id", "a series has two rows")
    found: dict[str, Int64] = {}
    for name in frame.columns:
        if name == "unique_id":
            continue
        kind = dict(zip(ids, _texts(frame[name]).fill_null("").to_list(), strict=True))
        there = all_names.get(f"static.{name}", sorted(set(kind.values())))
        names = {text: place for place, text in enumerate(there)}
        # A series that is not in it is of a kind of its own.
        found[name] = np.array([names.get(kind.get(series, ""), len(names)) for series in of], np.int64)
    return found


def dates_like(column: Any, dates: Dates) -> Any:
    """Dates as `column` has them: as dates, as texts, or else as moments."""
    first = column[0] if isinstance(column, pl.Series) else column.to_list()[0]
    if isinstance(first, str):
        return [str(day) for day in dates]
    if isinstance(first, date) and not isinstance(first, datetime):
        return dates.astype(object).tolist()
    return dates.astype("datetime64[us]")
