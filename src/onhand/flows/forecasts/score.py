"""What became of stored forecasts: their errors once their days have come, who wins by them, and whether they drift."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.demand.assemble import by_period, daily
from onhand.demand.classify import CLASSES
from onhand.demand.drift import rises, window
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import NEVER_SOLD, PARTS, SEGMENTS, Part, Rows, Run, Settings
from onhand.demand.forecasts.store import Scored
from onhand.demand.panel import Float64, Forecast, Int64
from onhand.demand.realised import Gain, Tally, scaled_loss, score, tally, value_added
from onhand.demand.rivals import Pair, apart, contest, is_model_in_charge
from onhand.flows.demand.history import load_history
from onhand.flows.forecasts.learn import finite
from onhand.flows.forecasts.panel import SERIES_AT_ONCE, keys_of

ALL: Final = -1
"""The segment of all series."""
_ITEMS_AT_ONCE: Final = 1_000

Conn = Connection[TupleRow]


def segment_name(segment: int) -> str:
    """The public name of a segment."""
    return "all" if segment == ALL else SEGMENTS[segment]


def settings_of(run: Run) -> Settings:
    """As a run was asked for."""
    return msgspec.convert(run.settings, Settings)


# Scoring --------------------------------------------------------------------------------------------------------------


def score_runs(db: Database, settings: Settings, until: date, progress: Any = None) -> int:
    """Score runs of a kind whose periods have come before `until`: after the first period, after those that an origin
    is judged by, and after all; how many there were.

    Each time all that came by then is looked at again: sales that were told late count in the end.
    """
    with db.connection() as conn:
        runs = [run for run in store.finished_runs(conn, settings.kind) if run.pruned_at is None]
    done = 0
    for number, run in enumerate(runs):
        if progress is not None:
            progress("scoring", number, len(runs))
        periods = due(run, settings, until)
        if periods is not None:
            _score(db, run, settings, periods)
            done += 1
    return done


def due(run: Run, settings: Settings, until: date) -> int | None:
    """Of how many periods a run is to be scored now; None: nothing is new."""
    came = min((until - run.origin).days // settings.period_days, settings.horizon)
    steps = [step for step in (1, settings.judged, settings.horizon) if step <= came]
    return steps[-1] if steps and steps[-1] > run.scored else None


@dataclass(slots=True)
class _Sums:
    """Of one segment and part, over stretches of items."""

    tally: Tally
    near: list[Float64]
    whole: list[Float64]


def _score(db: Database, run: Run, settings: Settings, periods: int) -> None:
    sums: dict[tuple[int, Part], _Sums] = {}
    after = 0
    while True:
        with db.connection() as conn:
            items = store.items_of_run(conn, run.run_id, after=after, limit=_ITEMS_AT_ONCE)
            some = _fitting(items)
            if not some:
                break
            after = some[-1][0]
            rows = store.series_of_items(conn, run, [item for item, _, _ in some])
            assert rows is not None, "the items are those of its series"
            # Before the first sale of an item nobody knows whether it was for sale.
            rows = rows.some(rows.segment != NEVER_SOLD)
            came = realised(conn, rows, settings, run.origin, periods, [sku for _, sku, _ in some])
        _add(sums, rows, came, settings)
    scores = [_scored(run, sums, segment, part) for segment, part in sums]
    db.transact(lambda conn: store.set_scores(conn, run.run_id, periods, scores))


def _fitting(items: Sequence[tuple[int, str, int]]) -> Sequence[tuple[int, str, int]]:
    """As many of them as have some thousand series."""
    total = 0
    for number, (_, _, series) in enumerate(items):
        total += series
        if number and total > SERIES_AT_ONCE:
            return items[:number]
    return items


def realised(
    conn: Conn, rows: Rows, settings: Settings, origin: date, periods: int, skus: Sequence[str], *, before: int = 0
) -> Float64:
    """float64[n, before + periods]: what was asked for of stored series, `before` periods ahead of the origin and those
    from it on; NaN: nobody knows."""
    until = origin + timedelta(days=periods * settings.period_days)
    since = origin - timedelta(days=before * settings.period_days)
    history = load_history(conn, until=until, items=skus, by_channel=settings.by_channel)
    table = by_period(daily(history, since, until), settings.freq)
    places = {key: n for n, key in enumerate(zip(*(k.tolist() for k in keys_of(conn, history.series)), strict=True))}
    found = np.array([places.get(key, -1) for key in _keys(rows)], np.int64)
    return (
        np.where((found >= 0)[:, None], table[found], np.nan)
        if len(table)
        else np.full((len(found), before + periods), np.nan)
    )


def _keys(rows: Rows) -> list[tuple[int, int, int]]:
    return [*zip(rows.item.tolist(), rows.place.tolist(), rows.channel.tolist(), strict=True)]


def _add(sums: dict[tuple[int, Part], _Sums], rows: Rows, came: Float64, settings: Settings) -> None:
    near = settings.judged
    for part in PARTS:
        made = rows.of(part)
        if made is None:
            continue
        loss = scaled_loss(made, came, rows.scale)
        for segment in [ALL, *np.unique(rows.segment).tolist()]:
            mine = np.ones(len(came), bool) if segment == ALL else rows.segment == segment
            of = Forecast(levels=made.levels, mean=made.mean[mine], quantiles=made.quantiles[mine])
            new = tally(of, came[mine], rows.scale[mine])
            kept = sums.get((segment, part))
            if kept is None:
                kept = sums[segment, part] = _Sums(new, [], [])
            else:
                kept.tally = kept.tally + new
            kept.near.append(_mean(loss[mine, :near]))
            kept.whole.append(_mean(loss[mine]))


def _mean(loss: Float64) -> Float64:
    there = np.isfinite(loss)
    count = there.sum(axis=1)
    return np.where(count > 0, np.where(there, loss, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _scored(run: Run, sums: dict[tuple[int, Part], _Sums], segment: int, part: Part) -> Scored:
    mine, other = sums[segment, part], sums[segment, "baseline"]
    near = whole = Gain(0.0, 0.0, 0.0)
    if part != "baseline":
        near = value_added(np.concatenate(mine.near), np.concatenate(other.near))
        whole = value_added(np.concatenate(mine.whole), np.concatenate(other.whole))
    return Scored(
        run_id=run.run_id, segment=segment, part=part,
        sums={name: values.tolist() for name, values in asdict(mine.tally).items()},
        near=_plain(near), whole=_plain(whole),
    )  # fmt: skip


def _plain(gain: Gain) -> dict[str, float | None]:
    return {name: finite(value) for name, value in gain._asdict().items()}


def _gain(kept: dict[str, float | None]) -> Gain:
    return Gain(*(float("nan") if kept[name] is None else float(kept[name] or 0.0) for name in Gain._fields))


def _tally(kept: dict[str, Any]) -> Tally:
    def ints(name: str) -> Int64:
        return np.array(kept[name], np.int64)

    def floats(name: str) -> Float64:
        return np.array(kept[name], np.float64)

    periods = len(kept["count"])
    return Tally(
        count=ints("count"), scaled=ints("scaled"), loss=floats("loss"), forecast=floats("forecast"),
        came=floats("came"), within=ints("within").reshape(periods, -1),
    )  # fmt: skip


def public_scores(scores: Sequence[Scored], settings: Settings) -> list[dict[str, Any]]:
    """Scores of one run, of each segment and part but the baseline, as answers show them."""
    by = {(s.segment, s.part): s for s in scores}
    rows: list[dict[str, Any]] = []
    for (segment, part), kept in sorted(by.items()):
        if part == "baseline":
            continue
        made, base = _tally(kept.sums), _tally(by[segment, "baseline"].sums)
        found = score(made, base, settings.levels, _gain(kept.whole))
        rows.append(
            {
                "segment": segment_name(segment), "part": part, "series": found.series, "periods": found.periods,
                "loss": finite(found.loss), "loss_baseline": finite(found.loss_baseline), "bias": finite(found.bias),
                **{name: finite(value) for name, value in found.gain._asdict().items()},
                "coverage": {f"{share:g}": finite(value) for share, value in found.coverage.items()},
            }
        )  # fmt: skip
    return rows


# Judging --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of models of a kind by what came: runs that are judged, the earliest first, and their scores."""

    settings: Settings
    runs: Sequence[Run]
    scores: dict[tuple[str, int, Part], Scored]

    def part_of(self, run: Run, model_id: str) -> Part | None:
        """As what a model took part in a run."""
        return "champion" if run.champion == model_id else "challenger" if run.challenger == model_id else None

    def judged(self, model_id: str) -> list[tuple[Run, Part]]:
        """Runs that a model took part in, whose first periods came, and which share none of them."""
        latest: dict[date, tuple[Run, Part]] = {}
        for run in self.runs:
            part = self.part_of(run, model_id)
            if part is not None and run.scored >= self.settings.judged:
                # Of several from one origin the last one counts.
                latest[run.origin] = run, part
        return [latest[at] for at in apart([*latest], self.settings.judged * self.settings.period_days)]

    def gains(self, model_id: str, segment: int) -> list[Gain]:
        """Of a model over the baseline, at each of those origins."""
        found = (self.scores.get((run.run_id, segment, part)) for run, part in self.judged(model_id))
        return [_gain(kept.near) for kept in found if kept is not None]

    def pairs(self, champion: str, challenger: str) -> list[Pair]:
        """What both lost at origins that they share."""
        found: list[Pair] = []
        for run, part in self.judged(challenger):
            other = self.part_of(run, champion)
            if other is not None and part != other:
                found.append(Pair(self._near(run, other), self._near(run, part)))
        return found

    def _near(self, run: Run, part: Part) -> float:
        kept = self.scores.get((run.run_id, ALL, part))
        if kept is None:
            return float("nan")
        near = self.settings.judged
        count = sum(kept.sums["scaled"][:near])
        return sum(kept.sums["loss"][:near]) / count if count else float("nan")

    def drift(self, model_id: str, *, before: date = date.max) -> list[dict[str, Any]]:
        """By segment, whether errors of a model have risen (`loss_since`), and whether its bias has become another
        (`bias_since`): days, or null. Of each day `before` one the forecast from the latest origin counts."""
        days: dict[int, dict[date, tuple[float, float]]] = {}
        for run in self.runs:
            part = self.part_of(run, model_id)
            if part is None:
                continue
            for segment in (ALL, *range(len(CLASSES))):
                kept = self.scores.get((run.run_id, segment, part))
                if kept is not None:
                    days.setdefault(segment, {}).update(_stream(kept, run, self.settings))
        found: list[dict[str, Any]] = []
        for segment, stream in sorted(days.items()):
            at = sorted(day for day in stream if day < before)
            losses, bias = (np.array([stream[day][n] for day in at]) for n in (0, 1))
            risen, length = rises(losses), window(bias)
            found.append(
                {
                    "segment": segment_name(segment), "periods": len(at),
                    "loss_since": None if risen is None else at[risen].isoformat(),
                    "bias_since": None if length == len(at) else at[len(at) - length].isoformat(),
                }
            )  # fmt: skip
        return found


def _stream(kept: Scored, run: Run, settings: Settings) -> dict[date, tuple[float, float]]:
    """(mean loss, bias in [0, 1], half of it none) by day."""
    of = _tally(kept.sums)
    return {
        run.origin + timedelta(days=n * settings.period_days): (
            float(of.loss[n] / of.scaled[n]),
            float((1 + (of.forecast[n] - of.came[n]) / max(of.forecast[n] + of.came[n], 1e-9)) / 2),
        )
        for n in range(len(of.count))
        if of.scaled[n] > 0
    }


def record_of(conn: Conn, settings: Settings) -> Record:
    """All that is known of a kind."""
    runs = [run for run in store.finished_runs(conn, settings.kind) if run.scored]
    scores = store.scores_of(conn, [run.run_id for run in runs])
    return Record(settings=settings, runs=runs, scores={(s.run_id, s.segment, s.part): s for s in scores})


def settle(db: Database, settings: Settings) -> str | None:
    """Promote who is on trial or retire it, if it is time; which of both."""

    def work(conn: Conn) -> str | None:
        store.lock_kind(conn, settings.kind)
        models = store.models_of(conn, settings.kind)
        if len(models) < 2:
            return None
        record = record_of(conn, settings)
        verdict = contest(record.pairs(models["champion"].model_id, models["challenger"].model_id))
        if verdict == "promote":
            store.promote(conn, settings.kind)
        elif verdict == "retire":
            store.retire(conn, settings.kind, "challenger")
        return None if verdict == "wait" else verdict

    return db.transact(work)


def in_charge(record: Record, model_id: str) -> dict[int, tuple[bool, int]]:
    """By segment, whether the model is in charge of it, and how many origins that rests on."""
    found: dict[int, tuple[bool, int]] = {}
    for segment in range(len(CLASSES)):
        gains = record.gains(model_id, segment)
        found[segment] = is_model_in_charge(gains), len(gains)
    return found


def prune(db: Database, settings: Settings) -> int:
    """Delete series of runs that nothing is to be learned of any more; how many runs. What stays: the latest, those
    whose errors are to be seen whole (one in the time after which an origin is judged), and those of which nothing was
    seen yet."""

    def work(conn: Conn) -> int:
        runs = store.finished_runs(conn, settings.kind)
        latest = {run.origin: run.run_id for run in runs}
        kept = {latest[at] for at in apart([*latest], settings.judged * settings.period_days)}
        gone = [
            run.run_id
            for run in runs
            if run.pruned_at is None
            and run.run_id != runs[-1].run_id
            and run.scored >= (settings.horizon if run.run_id in kept else min(1, settings.horizon))
        ]
        store.prune(conn, gone)
        return len(gone)

    return db.transact(work)
