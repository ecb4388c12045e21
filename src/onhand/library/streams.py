"""Forecasts of more series than memory holds: from Parquet files to Parquet files, some thousand series at a time.

What is learned is learned of a sample and kept beside the result, with each part that is done: a forecast that was
stopped goes on where it was.
"""

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from onhand.demand import cold_start
from onhand.demand.learn import Learned, Progress, learn, silent
from onhand.demand.panel import Float64, Panel
from onhand.demand.run import CHUNK, drawn
from onhand.errors import FieldError, InvalidInput
from onhand.library.panels import Gaps, Layout, frequency, grid_of, is_kind, panel_of
from onhand.library.tables import forecast_columns

_SETTINGS: Final = "settings.json"
_LEARNED: Final = "learned.pickle"
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "history": ("unique_id", "ds", "y"), "known": ("ds",), "past": ("ds",), "static": ("unique_id",),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Tables that are read a part at a time.

    tables  history, and what there is of known, past and static
    """

    tables: Mapping[str, pl.LazyFrame]
    layout: Layout
    horizon: int
    freq: str
    gaps: Gaps

    def panel(self, series: pl.Expr) -> Panel:
        """Of the series whose `unique_id` fulfils the expression."""
        rows = {name: _rows(table, series) for name, table in self.tables.items()}
        return panel_of(
            rows["history"], horizon=self.horizon, freq=self.freq, known=rows.get("known"), past=rows.get("past"),
            static=rows.get("static"), gaps=self.gaps, layout=self.layout,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A forecast in parts that do not need each other.

    sums    what series of a kind do together, seen in the sample
    bounds  the first and the last series of each part
    """

    source: Source
    learned: Learned
    sums: Mapping[str, Float64] | None
    bounds: Sequence[tuple[str, str]]
    into: Path

    def make(self, number: int) -> Path:
        """Write a part, unless it is there."""
        path = self.into / f"part-{number:06d}.parquet"
        if not path.exists():
            first, last = self.bounds[number]
            panel = self.source.panel(pl.col("unique_id").is_between(pl.lit(first), pl.lit(last)))
            made = self.learned.apply(replace(panel, sums=self.sums)).forecast
            made = cold_start.filled(panel, made)
            dates = np.tile(panel.dates[panel.periods :], panel.count)
            fresh = path.with_suffix(".new")
            pl.DataFrame(forecast_columns(panel.ids, pl.Series(dates), made)).write_parquet(fresh)
            fresh.replace(path)
        return path

    def result(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.into / "part-*.parquet")


def prepare(
    paths: Mapping[str, Path],
    into: Path,
    *,
    horizon: int,
    freq: str,
    levels: Float64,
    gaps: Gaps = "unknown",
    trees: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Job:
    """Look at the files and learn of a sample; or take up what was begun in the folder `into` with the same settings.

    paths  history, and maybe known, past and static: files or folders of Parquet with the columns of
           `onhand.forecast`; quickest with rows sorted by unique_id
    """
    say = progress or silent
    tables = {name: _scan(path, name) for name, path in paths.items()}
    say("counting series", 0.0)
    ids, days = _extent(tables["history"])
    layout = Layout(grid=grid_of(days, frequency(freq), horizon), kinds=dict(_kinds(tables)))
    source = Source(tables=tables, layout=layout, horizon=horizon, freq=freq, gaps=gaps)
    settings = {
        "freq": frequency(freq), "horizon": horizon, "levels": levels.tolist(), "gaps": gaps, "trees": trees,
        "seed": seed, "series": len(ids), "first": str(layout.grid[0]), "last": str(layout.grid[-1]),
    }  # fmt: skip
    _begin(into, settings)
    kept = into / _LEARNED
    if not kept.exists():
        some = ids.gather(drawn(len(ids), seed))
        panel = source.panel(pl.col("unique_id").is_in(some.implode())).with_sums()
        learned = learn(panel, levels, trees=trees, seed=seed, progress=say)
        _write(kept, pickle.dumps((learned, panel.sums)))
    # Of our own making: whoever can write into the folder can do worse than this.
    learned, sums = pickle.loads(kept.read_bytes())  # noqa: S301
    bounds = [(ids[begin], ids[min(begin + CHUNK, len(ids)) - 1]) for begin in range(0, len(ids), CHUNK)]
    return Job(source=source, learned=learned, sums=sums, bounds=bounds, into=into)


def _scan(path: Path, what: str) -> pl.LazyFrame:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InvalidInput.at(what, f"{path} is no Parquet file, and no folder of some")
    try:
        table = pl.scan_parquet(files)
        there = table.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise InvalidInput.at(what, f"{path} cannot be read as Parquet: {error}") from None
    if missing := [FieldError(f"{what}.{n}", "the column is missing") for n in _NEEDED[what] if n not in there]:
        raise InvalidInput(missing)
    return table.with_columns(pl.col("unique_id").cast(pl.String)) if "unique_id" in there else table


def _rows(table: pl.LazyFrame, series: pl.Expr) -> pl.DataFrame:
    some = table.filter(series) if "unique_id" in table.collect_schema().names() else table
    return some.collect(engine="streaming")


def _extent(history: pl.LazyFrame) -> tuple[pl.Series, Any]:
    """Its series, rising, and its first and last day."""
    ids = history.select(pl.col("unique_id").unique()).collect(engine="streaming")["unique_id"].drop_nulls().sort()
    if not len(ids):
        raise InvalidInput.at("history", "it has no rows: expected unique_id, ds and y")
    days = history.select(pl.col("ds").min().alias("first"), pl.col("ds").max().alias("last"))
    row = days.collect(engine="streaming")
    try:
        ends = pl.concat([row["first"], row["last"].rename("first")])
        ends = ends.str.to_date() if ends.dtype == pl.String else ends.cast(pl.Date)
    except pl.exceptions.PolarsError:
        raise InvalidInput.at("history.ds", "expected dates, or texts such as 2026-02-23") from None
    return ids, ends.to_numpy().astype("datetime64[D]")


def _kinds(tables: Mapping[str, pl.LazyFrame]) -> Iterator[tuple[str, Sequence[str]]]:
    """Of each column of texts, which kinds there are in all."""
    for what, table in tables.items():
        for name, kind in table.collect_schema().items():
            if what != "history" and name not in ("unique_id", "ds") and (what == "static" or is_kind(kind)):
                texts = table.select(pl.col(name).cast(pl.String).unique()).collect(engine="streaming")[name]
                told = texts.fill_null("") if what == "static" else texts.filter(texts != "").drop_nulls()
                yield f"{what}.{name}", told.unique().sort().to_list()


def _begin(into: Path, settings: Mapping[str, Any]) -> None:
    told = json.dumps(settings, indent=1)
    into.mkdir(parents=True, exist_ok=True)
    kept = into / _SETTINGS
    if kept.exists():
        if kept.read_text() != told:
            raise InvalidInput.at("into", f"{into} holds a forecast with other settings: name another folder")
    elif any(into.iterdir()):
        raise InvalidInput.at("into", f"{into} holds something else: name a new folder")
    else:
        _write(kept, told.encode())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)
