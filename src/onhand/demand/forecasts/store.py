"""The SQL of stored forecasts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from onhand.base.ids import new_id
from onhand.db import arrays
from onhand.db.queries import queries
from onhand.demand.forecasts.model import Model, Part, Role, Rows, Run, Settings, pack, unpack
from onhand.demand.panel import Float64, Forecast, Int64
from onhand.demand.rivals import Why

SQL = queries(__file__)

NEWEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
# Of one statement: some megabytes.
_SERIES_AT_ONCE: Final = 2_000

Conn = Connection[TupleRow]
Key = tuple[int, int, int]
"""item_id, place_id, channel_id"""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# Runs -----------------------------------------------------------------------------------------------------------------


def add_run(conn: Conn, run_id: str, job_id: str, settings: Settings, origin: date) -> None:
    """A run that a job is to make."""
    values = {
        "run_id": run_id, "job_id": job_id, "kind": settings.kind, "origin": origin,
        "settings": _json(asdict(settings)),
    }  # fmt: skip
    conn.execute(SQL["add_run"], values)


def get_run(conn: Conn, run_id: str) -> Run | None:
    """A run by its id."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        return rows.execute(SQL["get_run"], {"run_id": run_id}).fetchone()


def list_runs(conn: Conn, *, before: str = NEWEST, limit: int) -> list[Run]:
    """Runs, the one that was asked for last first."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        return rows.execute(SQL["list_runs"], {"before": before, "limit": limit}).fetchall()


def finished_runs(conn: Conn, kind: str) -> list[Run]:
    """Runs of a kind that have been made, the earliest origin first."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        return rows.execute(SQL["finished_runs"], {"kind": kind}).fetchall()


def latest_run(conn: Conn, *, freq: str = "D", by_channel: bool = False, day: date | None = None) -> Run | None:
    """The run from the latest origin that has its series still. day: one that it has to cover (days only)."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        asked = {"freq": freq, "by_channel": by_channel, "day": day}
        return rows.execute(SQL["latest_run"], asked).fetchone()


def judged_run(conn: Conn, *, freq: str, by_channel: bool, until: date, days: int, periods: int) -> Run | None:
    """Of the runs that have their series still the one from the latest origin of which the first `periods` (all, of a
    shorter one) of so many `days` each were over before `until`."""
    with conn.cursor(row_factory=class_row(Run)) as rows:
        asked = {"freq": freq, "by_channel": by_channel, "until": until, "days": days, "periods": periods}
        return rows.execute(SQL["judged_run"], asked).fetchone()


def choose_models(conn: Conn, run_id: str, champion: str, challenger: str | None) -> None:
    """By whom a run is made: the same when it is taken up again."""
    conn.execute(SQL["choose_models"], {"run_id": run_id, "champion": champion, "challenger": challenger})


def finish_run(conn: Conn, run_id: str, segments: Sequence[Mapping[str, Any]]) -> bool:
    """All of its series are written; False: they had been already."""
    return conn.execute(SQL["finish_run"], {"run_id": run_id, "segments": _json(segments)}).fetchone() is not None


# Series ---------------------------------------------------------------------------------------------------------------


def add_series(conn: Conn, run_id: str, rows: Rows, *, done: int, until: int) -> bool:
    """Write series of the items behind `done` up to `until`; False, and nothing is written: another process has."""
    step = {"run_id": run_id, "done": done, "until": until, "series": len(rows.item)}
    if conn.execute(SQL["advance"], step).fetchone() is None:
        return False
    for begin in range(0, len(rows.item), _SERIES_AT_ONCE):
        part = slice(begin, begin + _SERIES_AT_ONCE)
        count = len(rows.item[part])
        challenger = [None] * count if rows.challenger is None else pack(_some(rows.challenger, part))
        conn.execute(
            SQL["add_series"],
            {
                "run_id": run_id, "items": arrays.int4(rows.item[part]), "places": arrays.int4(rows.place[part]),
                "channels": arrays.int4(rows.channel[part]), "segments": arrays.int4(rows.segment[part]),
                "scales": arrays.float8(rows.scale[part]), "champion": arrays.bytea(pack(_some(rows.champion, part))),
                "challenger": arrays.bytea(challenger), "baseline": arrays.bytea(pack(_some(rows.baseline, part))),
            },
        )  # fmt: skip
    return True


def _some(forecast: Forecast, part: slice) -> Forecast:
    return Forecast(levels=forecast.levels, mean=forecast.mean[part], quantiles=forecast.quantiles[part])


def series_by_segment(conn: Conn, run_id: str) -> dict[int, int]:
    """How many series of a run are of each segment."""
    return dict(conn.execute(SQL["series_by_segment"], {"run_id": run_id}).fetchall())


def items_of_run(conn: Conn, run_id: str, *, after: int = 0, limit: int) -> list[tuple[int, str, int]]:
    """(item_id, sku, series) of the next items of a run."""
    return conn.execute(SQL["items_of_run"], {"run_id": run_id, "after": after, "limit": limit}).fetchall()


def series_of_items(conn: Conn, run: Run, items: Sequence[int]) -> Rows | None:
    """The series of some items, by key; None: there are none."""
    with conn.cursor(binary=True) as cursor:
        found = cursor.execute(SQL["series_of_items"], {"run_id": run.run_id, "items": list(items)}).fetchall()
    if not found:
        return None
    item, place, channel, segment, scale, champion, challenger, baseline = zip(*found, strict=True)
    levels, horizon = run.settings["levels"], run.settings["horizon"]
    return Rows(
        item=_ints(item), place=_ints(place), channel=_ints(channel), segment=_ints(segment), scale=_floats(scale),
        champion=unpack(champion, levels, horizon), baseline=unpack(baseline, levels, horizon),
        challenger=None if None in challenger else unpack(challenger, levels, horizon),
    )  # fmt: skip


class Means(NamedTuple):
    """Of some series the item, int32[n], and the mean of a day, float64[n]; last: key of the last one."""

    item: npt.NDArray[np.int32]
    mean: Float64
    last: Key


def means_of_run(
    conn: Conn, run: Run, is_model: Sequence[bool], *, first: int, periods: int, after: Key, limit: int
) -> Means | None:
    """Mean over some periods of the next series behind a key, by whoever is in charge; None: there are no more.

    is_model       by segment, whether the champion is in charge
    first, periods so many, from this one on
    """
    levels = run.settings["levels"]
    width = 4 * (1 + len(levels))
    item, place, channel = after
    values = {
        "run_id": run.run_id, "is_model": list(is_model), "from": first * width + 1, "bytes": periods * width,
        "item": item, "place": place, "channel": channel, "limit": limit,
    }  # fmt: skip
    with conn.cursor(binary=True) as cursor:
        found = cursor.execute(SQL["means_of_run"], values).fetchall()
    if not found:
        return None
    items, places, channels, rows = zip(*found, strict=True)
    mean = unpack(rows, levels, periods).mean.mean(axis=1)
    return Means(np.array(items, np.int32), mean, (items[-1], places[-1], channels[-1]))


def _ints(values: Sequence[int]) -> Int64:
    return np.array(values, np.int64)


def _floats(values: Sequence[float]) -> Float64:
    return np.array(values, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A series by its public names; node None: a region, channel None: channels were summed."""

    key: Key
    sku: str
    node: str | None
    region: str
    channel: str | None
    segment: int
    champion: Forecast
    baseline: Forecast


def page_of_series(
    conn: Conn,
    run: Run,
    *,
    after: Key,
    limit: int,
    sku: str | None = None,
    node: str | None = None,
    region: str | None = None,
    channel: str | None = None,
) -> list[Named]:
    """Series of a run by key, those that are asked for. region: or a part of it."""
    item, place, of = after
    values = {
        "run_id": run.run_id, "item": item, "place": place, "channel": of, "limit": limit, "sku": sku, "node": node,
        "region": region, "of_channel": channel,
    }  # fmt: skip
    levels, horizon = run.settings["levels"], run.settings["horizon"]
    with conn.cursor(binary=True) as cursor:
        return [
            Named(
                key=(row[0], row[1], row[2]), sku=row[3], node=row[4], region=row[5],
                channel=(row[6] or "") if row[2] >= 0 else None, segment=row[7],
                champion=unpack([row[8]], levels, horizon), baseline=unpack([row[9]], levels, horizon),
            )
            for row in cursor.execute(SQL["page_of_series"], values)
        ]  # fmt: skip


# Models ---------------------------------------------------------------------------------------------------------------


def add_model(
    conn: Conn, settings: Settings, role: Role, why: Why, origin: date, learned: bytes, facts: Mapping[str, Any]
) -> str:
    """Keep what was learned; its id. Who had this role before is retired."""
    model_id = new_id()
    conn.execute(SQL["retire"], {"kind": settings.kind, "role": role})
    conn.execute(
        SQL["add_model"],
        {
            "model_id": model_id, "kind": settings.kind, "role": role, "why": why, "origin": origin,
            "learned": learned, "facts": _json(facts),
        },
    )  # fmt: skip
    return model_id


def lock_kind(conn: Conn, kind: str) -> None:
    """Nobody else changes who is in charge of a kind until the transaction ends."""
    conn.execute(SQL["lock_kind"], {"kind": kind})


def models_of(conn: Conn, kind: str) -> dict[Role, Model]:
    """Who is in charge of a kind, and who is on trial."""
    with conn.cursor(row_factory=class_row(Model)) as rows:
        return {model.role: model for model in rows.execute(SQL["models"], {"kind": kind})}


def models_by_id(conn: Conn, ids: Sequence[str]) -> dict[str, Model]:
    """Models, retired ones too."""
    with conn.cursor(row_factory=class_row(Model)) as rows:
        return {model.model_id: model for model in rows.execute(SQL["models_by_id"], {"ids": list(ids)})}


def learned_of(conn: Conn, model_id: str) -> bytes | None:
    """What was learned; None: it is retired."""
    row = conn.execute(SQL["learned"], {"model_id": model_id}, binary=True).fetchone()
    return None if row is None or row[0] is None else bytes(row[0])


def promote(conn: Conn, kind: str) -> None:
    """Who is on trial takes over."""
    conn.execute(SQL["retire"], {"kind": kind, "role": "champion"})
    conn.execute(SQL["promote"], {"kind": kind})


def retire(conn: Conn, kind: str, role: Role) -> None:
    """Forget what somebody learned; that it was learned is remembered."""
    conn.execute(SQL["retire"], {"kind": kind, "role": role})


# Scores ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What came of a segment of a run, as it is kept: sums by period, and value added over the first periods and over
    all: {"gain", "low", "high"}."""

    run_id: str
    segment: int
    part: Part
    sums: dict[str, Any]
    near: dict[str, float | None]
    whole: dict[str, float | None]


def set_scores(conn: Conn, run_id: str, periods: int, scores: Sequence[Scored]) -> None:
    """Keep what came of the first `periods` of a run."""
    conn.execute(SQL["set_scores"], {"run_id": run_id, "scores": _json([asdict(score) for score in scores])})
    conn.execute(SQL["note_scored"], {"run_id": run_id, "periods": periods})


def scores_of(conn: Conn, runs: Sequence[str]) -> list[Scored]:
    """Scores of runs, by run, segment and part."""
    with conn.cursor(row_factory=class_row(Scored)) as rows:
        return rows.execute(SQL["scores"], {"ids": list(runs)}).fetchall()


def prune(conn: Conn, runs: Sequence[str]) -> None:
    """Delete the series of runs, and of those that came to nothing."""
    conn.execute(SQL["abandoned_series"])
    if runs:
        conn.execute(SQL["prune"], {"ids": list(runs)})
        conn.execute(SQL["note_pruned"], {"ids": list(runs)})
