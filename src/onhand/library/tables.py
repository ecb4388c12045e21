"""Data frames of callers, Polars' or pandas', as columns that are checked."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from onhand.demand.panel import Forecast
from onhand.errors import FieldError, InvalidInput
from onhand.planning.protection import Expected

Sort = Literal["text", "number", "whole", "day"]

_TOLD = {
    "text": "texts", "number": "finite numbers", "whole": "whole numbers of at least 0", "day": "dates",
}  # fmt: skip


class Frame(Protocol):
    """A data frame as far as it is needed here: Polars' and pandas' both are."""

    @property
    def columns(self) -> Iterable[str]: ...

    def __getitem__(self, name: str, /) -> Any: ...


def read(
    frame: Frame, what: str, needed: Mapping[str, Sort], optional: Mapping[str, Sort] | None = None
) -> pl.DataFrame:
    """The columns named, of these kinds; optional ones where they are there. Raises InvalidInput with each that is
    missing or holds something else, as `what.column`."""
    there = set(frame.columns)
    wanted: dict[str, Sort] = {**needed, **{n: sort for n, sort in (optional or {}).items() if n in there}}
    errors = [FieldError(f"{what}.{name}", "the column is missing") for name in needed if name not in there]
    made: dict[str, pl.Series] = {}
    for name, sort in wanted.items():
        if name in there:
            series = _column(frame[name], name, sort)
            if series is None:
                errors.append(FieldError(f"{what}.{name}", f"expected {_TOLD[sort]} without gaps"))
            else:
                made[name] = series
    if errors:
        raise InvalidInput(errors)
    return pl.DataFrame(made)


def same_library(frame: Frame, columns: Mapping[str, Any]) -> Any:
    """A frame of these columns, of the library that `frame` is of."""
    if isinstance(frame, pl.DataFrame):
        return pl.DataFrame(dict(columns))
    return type(frame)(dict(columns))  # pyright: ignore[reportCallIssue] - pandas' constructor takes columns too


def forecast_columns(ids: Sequence[str], dates: Any, made: Forecast) -> dict[str, Any]:
    """Columns of a forecast, rows by series and date. dates: of each row"""
    columns: dict[str, Any] = {
        "unique_id": np.repeat(np.array(ids, dtype=object), made.mean.shape[1]).tolist(),
        "ds": dates,
        "mean": made.mean.ravel(),
    }
    return columns | {f"q{level:g}": made.quantiles[:, :, place].ravel() for place, level in enumerate(made.levels)}


def expected_of(frame: Frame, what: str, keys: tuple[str, ...]) -> tuple[pl.DataFrame, Expected]:
    """(the keys of each series, rising, their forecast) of a table with a row a series and day, as `onhand.forecast`
    answers: keys, ds, and q0.05 ... by level. All series are of the same days, one after the other."""
    levels = sorted(level for name in frame.columns if (level := level_of(str(name))) is not None)
    if len(levels) < 2:
        raise InvalidInput.at(what, "expected two columns or more of quantiles, such as q0.5 and q0.95")
    names = {level: name for name in map(str, frame.columns) if (level := level_of(name)) is not None}
    needed: dict[str, Sort] = dict.fromkeys(keys, "text")
    needed |= {"ds": "day"}
    needed |= {names[level]: "number" for level in levels}
    table = read(frame, what, needed).sort(*keys, "ds")
    if not len(table):
        raise InvalidInput.at(what, "it has no rows")
    series = table.group_by(*keys, maintain_order=True).agg(
        pl.len().alias("days"), pl.col("ds").min().alias("first"), pl.col("ds").max().alias("last"),
        pl.col("ds").n_unique().alias("different"),
    )  # fmt: skip
    days = int(series["days"][0])
    whole = (
        (series["days"] == days).all()
        and (series["different"] == days).all()
        and series["first"].n_unique() == 1
        and (series["last"][0] - series["first"][0]).days == days - 1
        and series["last"].n_unique() == 1
    )
    if not whole:
        raise InvalidInput.at(f"{what}.ds", "expected the same days of every series, each once, none left out")
    quantiles = np.stack([table[names[level]].to_numpy() for level in levels], axis=1)
    try:
        return series.select(*keys), Expected(
            levels=np.array(levels), quantiles=quantiles.reshape(len(series), days, len(levels))
        )
    except ValueError as error:
        raise InvalidInput.at(what, str(error)) from None


def level_of(column: str) -> float | None:
    """0.05 of "q0.05"; None where the column is none of quantiles."""
    if not column.startswith("q"):
        return None
    try:
        level = float(column[1:])
    except ValueError:
        return None
    return level if 0 < level < 1 else None


def column_of(table: pl.DataFrame, name: str, default: float) -> npt.NDArray[np.float64]:
    """float64[n] of an optional column."""
    if name in table.columns:
        return table[name].cast(pl.Float64).to_numpy()
    return np.full(len(table), default)


def series_of(column: Any, name: str = "") -> pl.Series:
    """A column of either library as Polars' series."""
    return column if isinstance(column, pl.Series) else pl.Series(name, column.to_list(), strict=False)


def _column(column: Any, name: str, sort: Sort) -> pl.Series | None:
    try:
        series = series_of(column, name)
        if sort == "text":
            made = series.cast(pl.String)
        elif sort == "day":
            made = series.str.to_date() if series.dtype == pl.String else series.cast(pl.Date)
        else:
            made = series.cast(pl.Float64) if series.dtype.is_numeric() else None
    except (pl.exceptions.PolarsError, TypeError):
        return None
    if made is None or made.null_count():
        return None
    if sort in ("number", "whole") and len(made):
        numbers = made.to_numpy()
        if not np.isfinite(numbers).all():
            return None
        if sort == "whole":
            if numbers.min() < 0 or (numbers != np.floor(numbers)).any() or numbers.max() > 2**53:
                return None
            return made.cast(pl.Int64)
    return made


def in_range(path: str, value: float, low: float, high: float = math.inf) -> float:
    """`value`, if it lies in [low, high)."""
    if isinstance(value, bool) or not low <= value < high:
        limit = f" and below {high:g}" if math.isfinite(high) else ""
        raise InvalidInput.at(path, f"expected a number of at least {low:g}{limit}, got {value!r}")
    return float(value)
