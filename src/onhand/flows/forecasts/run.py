"""Make a forecast, and keep it: score what came of earlier ones, decide who is in charge, learn if there is a reason,
forecast some thousand series at a time.

What is done is kept as it is done: who forecasts, as soon as it has been learned, and each stretch of series with the
place up to which they are written. A run that is taken up again goes on from there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import SYSTEM
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.demand import assemble, cold_start
from onhand.demand.assemble import Sums
from onhand.demand.baseline import baseline
from onhand.demand.choose import BASELINE
from onhand.demand.classify import CLASSES
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import COLD_START, NEVER_SOLD, SEGMENTS, Model, Role, Rows, Run, Settings, together
from onhand.demand.panel import Forecast, Int64, Panel, scales
from onhand.demand.rivals import Why, why_learn
from onhand.demand.run import LEARNED_OF
from onhand.demand.spread import Spread
from onhand.errors import Conflict, InvalidInput
from onhand.flows.demand.fold import fold
from onhand.flows.forecasts import panel as reading
from onhand.flows.forecasts.learn import Kept, learn_of, pack, unpack
from onhand.flows.forecasts.newcomers import Found, Newcomer, Siblings, find, siblings_of
from onhand.flows.forecasts.panel import SERIES_AT_ONCE, Item, Loaded
from onhand.flows.forecasts.score import in_charge, prune, record_of, score_runs, settings_of, settle

Progress = Callable[[str, int, int], None]

_SHARES: Final = 1_000


class _TakenOver(Exception):
    """Another process writes this run."""


def origin_of(conn: Connection[TupleRow], today: date, asked: date | None = None) -> date:
    """The first day to be forecast: the one that is asked for, or the one after the last on which anything was wanted,
    today at the latest. Raises InvalidInput, Conflict."""
    if asked is not None and asked > today:
        raise InvalidInput.at("origin", f"expected today, {today}, or earlier: what is wanted until then is not known")
    days = reading.days_of(conn, today if asked is None else asked)
    if days is None:
        raise Conflict(
            "forecast.no_demand", "nothing was wanted yet: import sales, or wait for orders, before forecasting"
        )
    return days[1] + timedelta(days=1) if asked is None else asked


def check_origin(conn: Connection[TupleRow], settings: Settings, origin: date) -> None:
    """Raises InvalidInput for an origin that who is in charge has seen beyond."""
    champion = store.models_of(conn, settings.kind).get("champion")
    if champion is not None and champion.origin > origin:
        raise InvalidInput.at(
            "origin", f"expected {champion.origin} or later: what is in charge was learned of the days before that"
        )


def make(db: Database, run_id: str, today: date, progress: Progress) -> dict[str, Any]:
    """Make the forecast of a run, or go on with it; a summary."""
    fold(db)
    with db.connection() as conn:
        run = store.get_run(conn, run_id)
        assert run is not None, "it was written with its job"
        settings = settings_of(run)
        items = reading.items_of(conn, run.origin)
        found = find(conn, settings, run.origin, items)
        days = reading.days_of(conn, run.origin)
        newest = reading.days_of(conn, today)
    if days is None or newest is None:
        raise Conflict("forecast.no_demand", f"nothing was wanted in the year before {run.origin}")
    if run.finished_at is not None:
        return _summary(run)
    # What came after the origin may be seen by scores of other runs, but not by who is chosen for this one.
    known = min(run.origin, newest[1] + timedelta(days=1))
    if run.champion is None:
        score_runs(db, settings, known, progress)
        settle(db, settings)
    since = assemble.begin(days[0], run.origin, settings.freq)
    work = _Work(db, run, settings, items, found, since, progress)
    work.choose()
    work.forecast()
    segments = work.segments()
    db.transact(lambda conn: _finish(db, conn, run_id, run.origin, segments))
    score_runs(db, settings, min(today, newest[1] + timedelta(days=1)), progress)
    prune(db, settings)
    with db.connection() as conn:
        done = store.get_run(conn, run_id)
    assert done is not None, "it was there before"
    return _summary(done)


def _finish(
    db: Database, conn: Connection[TupleRow], run_id: str, origin: date, segments: list[dict[str, Any]]
) -> None:
    if store.finish_run(conn, run_id, segments):
        data = {"run_id": run_id, "origin": origin.isoformat()}
        write_event(conn, "forecast.made", run_id, data, actor=SYSTEM, origin=db.origin)


def _summary(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id, "origin": run.origin.isoformat(), "kind": run.kind, "series": run.series,
        "segments": run.segments or [],
    }  # fmt: skip


@dataclass(slots=True)
class _Work:
    db: Database
    run: Run
    settings: Settings
    items: list[Item]
    found: Found
    since: date
    progress: Progress
    _all: Loaded | None = None
    _made: "_Made | None" = None
    _siblings: Siblings | None = None
    _sums: Sums | None = None

    @property
    def is_small(self) -> bool:
        """Whether all series are looked at at once."""
        return sum(item.places for item in self.items) <= SERIES_AT_ONCE

    # Who forecasts ----------------------------------------------------------------------------------------------------

    def choose(self) -> None:
        """Decide who makes this run, learning if there is a reason; once."""
        if self.run.champion is not None:
            return
        with self.db.connection() as conn:
            models = store.models_of(conn, self.settings.kind)
            drifted = _drifted(conn, self.settings, models, self.run.origin)
            champion, challenger = models.get("champion"), models.get("challenger")
            usable = champion is not None and unpack(store.learned_of(conn, champion.model_id), champion.facts)
        if champion is not None and champion.origin > self.run.origin:
            raise InvalidInput.at("origin", f"expected {champion.origin} or later")
        why = why_learn(
            self.run.origin,
            champion=champion.origin if champion is not None and usable else None,
            challenger=challenger.origin if challenger is not None else None,
            drifted=drifted, asked=self.settings.learn,
        )  # fmt: skip
        if why is not None:
            self._learn(why)
        self.db.transact(self._note_models)
        with self.db.connection() as conn:
            run = store.get_run(conn, self.run.run_id)
        assert run is not None, "it was there before"
        self.run = run

    def _note_models(self, conn: Connection[TupleRow]) -> None:
        models = store.models_of(conn, self.settings.kind)
        challenger = models.get("challenger")
        store.choose_models(
            conn, self.run.run_id, models["champion"].model_id, challenger and challenger.model_id
        )  # fmt: skip

    def _learn(self, why: Why) -> None:
        panel, coding = self._to_learn_of()
        kept, facts = learn_of(
            panel, coding, self.settings, lambda what, share: self.progress(what, int(share * _SHARES), _SHARES)
        )
        role: Role = "champion" if why == "first" else "challenger"
        learned = pack(kept)

        def keep(conn: Connection[TupleRow]) -> None:
            store.lock_kind(conn, self.settings.kind)
            if role == "champion":
                # Who is on trial cannot be used any more than who was in charge.
                store.retire(conn, self.settings.kind, "challenger")
            store.add_model(conn, self.settings, role, why, self.run.origin, learned, facts)

        self.db.transact(keep)

    def _to_learn_of(self) -> tuple[Panel, assemble.Coding]:
        if self.is_small:
            loaded = self._loaded(self.items)
            coding = assemble.Coding.of(loaded.history.series)
            return loaded.panel(coding), coding
        sums = self._sums_of_all()
        coding = assemble.Coding.of_names(sums)
        order: list[int] = np.random.default_rng(self.settings.seed).permutation(len(self.items)).tolist()
        some: list[Item] = []
        for place in order:
            if sum(item.places for item in some) >= LEARNED_OF:
                break
            some.append(self.items[place])
        self.progress("reading", 0, 0)
        with self.db.connection() as conn:
            loaded = reading.load(
                conn, self.settings, self.run.origin, sorted(some, key=lambda i: i.item_id), self.since
            )
        return loaded.panel(coding, sums=sums), coding

    # Forecasting ------------------------------------------------------------------------------------------------------

    def forecast(self) -> None:
        """Forecast and write the series that are not written yet."""
        assert self.run.champion is not None, "it is chosen first"
        with self.db.connection() as conn:
            parts = {
                model_id: unpack(store.learned_of(conn, model_id), model.facts)
                for model_id, model in store.models_by_id(
                    conn, [m for m in (self.run.champion, self.run.challenger) if m is not None]
                ).items()
            }
        champion = parts[self.run.champion]
        if champion is None:
            raise Conflict("forecast.model_gone", "who was to make this forecast was retired meanwhile: ask again")
        challenger = None if self.run.challenger is None else parts[self.run.challenger]
        done = self.run.done_item
        items = sorted([*self.items, *self.found.newcomers], key=lambda item: item.item_id)
        total = len(items)
        left = [*reading.stretches(items, after=done)]
        for some in left:
            self.progress("forecasting", sum(item.item_id <= done for item in items), total)
            rows = self._rows(some, champion, challenger)
            until = some[-1].item_id
            self.db.transact(lambda conn, rows=rows, done=done, until=until: self._write(conn, rows, done, until))
            done = until
        self.progress("forecasting", total, total)

    def _write(self, conn: Connection[TupleRow], rows: Rows, done: int, until: int) -> None:
        if not store.add_series(conn, self.run.run_id, rows, done=done, until=until):
            raise _TakenOver(self.run.run_id)

    def _rows(self, some: list[Item], champion: Kept, challenger: Kept | None) -> Rows:
        sold = [item for item in some if not isinstance(item, Newcomer)]
        newcomers = [item for item in some if isinstance(item, Newcomer)]
        parts: list[Rows] = []
        if sold:
            made = self._told(sold, champion, challenger)
            if made is not None:
                rows = made.rows(champion.learned.spreads.get(BASELINE))
                parts.append(rows.some(np.isin(rows.item, [item.item_id for item in sold])))
        if newcomers:
            if self._siblings is None:
                some_of_all = siblings_of(self.found.newcomers, self.items, self.settings.seed)
                made = self._told(some_of_all, champion, challenger)
                self._siblings = None if made is None else made.siblings()
            if self._siblings is not None:
                with self.db.connection() as conn:
                    parts.append(self._siblings.rows(conn, newcomers))
        return together(parts) if parts else _nothing(self.settings)

    def _told(self, items: list[Item], champion: Kept, challenger: Kept | None) -> "_Made | None":
        """What models say of the series of some items, of few items of all; None: none is alive."""
        if self._made is not None:
            return self._made
        loaded = self._loaded(items)
        if not len(loaded.item):
            return None
        sums = None if self.is_small else self._sums_of_all()
        seen = loaded.panel(champion.coding, champion.names, sums)
        outcome = champion.learned.apply(seen)
        made = _Made(loaded=loaded, seen=seen, segments=outcome.segments, champion=outcome.forecast)
        if challenger is not None:
            panel = loaded.panel(challenger.coding, challenger.names, sums)
            made = replace(made, challenger=(panel, challenger.learned.apply(panel).forecast))
        if self.is_small:
            self._made = made
        return made

    def segments(self) -> list[dict[str, Any]]:
        """Who is in charge of each segment, by what the record of the champion says."""
        assert self.run.champion is not None, "it is chosen first"
        with self.db.connection() as conn:
            counts = store.series_by_segment(conn, self.run.run_id)
            model = store.models_by_id(conn, [self.run.champion])[self.run.champion]
            record = record_of(conn, self.settings)
        # What came after the origin was not known at it.
        before = replace(record, runs=[r for r in record.runs if self._was_known(r)])
        charge = in_charge(before, model.model_id)
        segments: list[dict[str, Any]] = [
            {
                **choice, "series": counts.get(CLASSES.index(choice["segment"]), 0),
                "in_charge": "model" if charge[CLASSES.index(choice["segment"])][0] else "baseline",
                "origins": charge[CLASSES.index(choice["segment"])][1],
            }
            for choice in model.facts["choices"]
        ]  # fmt: skip
        if NEVER_SOLD in counts:
            # Siblings speak for them, which nothing was tried against.
            untold = dict.fromkeys(("loss", "loss_baseline", "gain", "gain_low", "gain_high"))
            segments.append(
                {
                    "segment": SEGMENTS[NEVER_SOLD], "series": counts[NEVER_SOLD], "in_charge": COLD_START,
                    "origins": 0, "shares": {COLD_START: 1.0}, "left_out": self.found.left_out, **untold,
                }
            )  # fmt: skip
        return segments

    def _was_known(self, run: Run) -> bool:
        return run.origin + timedelta(days=self.settings.judged * self.settings.period_days) <= self.run.origin

    # Reading ----------------------------------------------------------------------------------------------------------

    def _loaded(self, items: list[Item]) -> Loaded:
        if self._all is not None:
            return self._all
        self.progress("reading", 0, 0)
        with self.db.connection() as conn:
            loaded = reading.load(conn, self.settings, self.run.origin, items, self.since)
        if self.is_small:
            self._all = loaded
        return loaded

    def _sums_of_all(self) -> Sums:
        if self._sums is None:
            with self.db.connection() as conn:
                self._sums = reading.sum_up(
                    conn, self.settings, self.run.origin, self.items, self.since,
                    lambda done: self.progress("reading", done, len(self.items)),
                )  # fmt: skip
        return self._sums


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What models say of some series, before siblings speak for those that are young.

    challenger  None: there is none
    """

    loaded: Loaded
    seen: Panel
    segments: Int64
    champion: Forecast
    challenger: tuple[Panel, Forecast] | None = None

    def rows(self, spread: Spread | None) -> Rows:
        """As they are stored. spread: of the baseline"""
        loaded = self.loaded
        return Rows(
            item=loaded.item, place=loaded.place, channel=loaded.channel, segment=self.segments,
            scale=np.nan_to_num(scales(self.seen.y)), champion=cold_start.filled(self.seen, self.champion),
            challenger=None if self.challenger is None else cold_start.filled(*self.challenger),
            baseline=baseline(self.seen, self.champion.levels, spread),
        )  # fmt: skip

    def siblings(self) -> Siblings:
        """As those that speak for others."""
        coding = assemble.Coding.of(self.loaded.history.series)
        panel = replace(self.seen, known={}, past={}, sums=None, static=coding.numbers(self.loaded.history.series))
        other = None if self.challenger is None else self.challenger[1]
        return Siblings(panel=panel, coding=coding, champion=self.champion, challenger=other)


def _nothing(settings: Settings) -> Rows:
    none = np.zeros(0, np.int64)
    empty = Forecast(
        levels=np.array(settings.levels), mean=np.zeros((0, settings.horizon)),
        quantiles=np.zeros((0, settings.horizon, len(settings.levels))),
    )  # fmt: skip
    return Rows(
        item=none, place=none, channel=none, segment=none, scale=np.zeros(0), champion=empty, challenger=None,
        baseline=empty,
    )  # fmt: skip


def _drifted(conn: Connection[TupleRow], settings: Settings, models: dict[Role, Model], origin: date) -> bool:
    champion = models.get("champion")
    if champion is None:
        return False
    found = record_of(conn, settings).drift(champion.model_id, before=origin)
    return any(row["loss_since"] is not None or row["bias_since"] is not None for row in found)
