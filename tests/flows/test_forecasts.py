"""Forecasts made, kept and judged, on a real database."""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from onhand.base.actor import SYSTEM
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import SEGMENTS, Settings
from onhand.errors import Conflict, InvalidInput
from onhand.flows.demand.outlook import USUAL, read_outlook
from onhand.flows.demand.tell_signals import tell_signals
from onhand.flows.forecasts import explain, learn, panel, run
from onhand.flows.forecasts.explain import shown_contributions
from onhand.flows.forecasts.job import KIND, ask, ask_scheduled
from onhand.flows.forecasts.run import make
from onhand.flows.forecasts.score import public_scores, record_of, settle
from onhand.jobs.schedules import ask_if_due, set_schedule
from onhand.planning.campaigns.outlook import LEVELS

BEGIN = date(2025, 9, 1)
ORIGIN = date(2026, 3, 2)
WEEK = Settings(horizon=7, levels=(0.1, 0.25, 0.5, 0.75, 0.9), ablate=False)
ITEMS = 12
SHAPE = np.array([0.6, 0.7, 0.8, 1.0, 1.3, 1.6, 1.0])


@pytest.fixture(autouse=True)
def _without_trees(monkeypatch):
    """Simple models are enough to see runs go, and take no seconds."""
    monkeypatch.setattr(learn, "has_trees", lambda: False)


def at(day):
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def days(count, begin=BEGIN):
    return [begin + timedelta(days=n) for n in range(count)]


@pytest.fixture
def world(db):
    """Twelve items in two regions, half a year of days and two weeks more, of a week's shape."""
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name, category)"
            " SELECT n, 'S' || n, 'x', CASE WHEN n %% 2 = 0 THEN 'even' ELSE 'odd' END FROM generate_series(1, %s) n",
            (ITEMS,),
        )
        conn.execute("INSERT INTO demand_place (region, timezone) VALUES ('DE', 'UTC'), ('FR', 'UTC')")
    sell(db, BEGIN, (ORIGIN - BEGIN).days)
    return db


def sell(db, first, count, *, times=1.0, seed=1):
    """Import sales of `count` days."""
    random = np.random.default_rng([seed, first.toordinal()])
    level = np.random.default_rng(7).uniform(2, 20, (ITEMS, 2))
    rows = [
        (item, place, day, int(units))
        for day in days(count, first)
        for item, of in enumerate(random.poisson(times * level * SHAPE[day.weekday()]), 1)
        for place, units in enumerate(of, 1)
    ]
    sales = "COPY imported_sale (item_id, place_id, day, units) FROM STDIN"
    with db.connection() as conn, conn.cursor() as cursor, cursor.copy(sales) as copy:
        for row in rows:
            copy.write_row(row)


def silent(_stage, _done, _total):
    pass


def forecast(db, settings=WEEK, today=ORIGIN, origin=None, progress=silent):
    """Ask for a forecast, and make it in this process; its run."""
    asked = db.transact(lambda conn: ask(conn, settings, at=at(today), by=7, origin=origin))
    make(db, asked.run_id, today, progress)
    with db.connection() as conn:
        return store.get_run(conn, asked.run_id)


def series(db, made):
    with db.connection() as conn:
        return store.series_of_items(conn, made, [*range(1, ITEMS + 1)])


def models(db, settings=WEEK):
    with db.connection() as conn:
        return store.models_of(conn, settings.kind)


def same(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in (
            (one.champion.mean, other.champion.mean),
            (one.champion.quantiles, other.champion.quantiles),
            (one.baseline.quantiles, other.baseline.quantiles),
            (one.segment, other.segment),
            (one.scale, other.scale),
        )
    )


def test_a_run_is_kept_with_its_origin_and_a_row_for_each_series(world):
    made = forecast(world)
    assert (made.origin, made.series, made.scored) == (ORIGIN, 2 * ITEMS, 0)
    assert made.finished_at is not None
    rows = series(world, made)
    assert rows.item.tolist() == [n for n in range(1, ITEMS + 1) for _ in range(2)]
    assert rows.champion.mean.shape == (2 * ITEMS, 7)
    assert (np.diff(rows.champion.quantiles, axis=2) >= 0).all()
    usual = (
        np.random.default_rng(7).uniform(2, 20, (ITEMS, 2)).reshape(-1, 1)
        * SHAPE[[d.weekday() for d in days(7, ORIGIN)]]
    )
    assert np.abs(rows.champion.mean / usual - 1).mean() < 0.3
    assert models(world)["champion"].why == "first"
    assert {s["in_charge"] for s in made.segments} == {"model"}
    assert sum(s["series"] for s in made.segments) == 2 * ITEMS


def test_what_is_young_is_forecast_from_its_siblings(world, monkeypatch):
    with world.connection() as conn:
        conn.execute("DELETE FROM imported_sale WHERE item_id = 1 AND day < %s", (ORIGIN - timedelta(days=10),))
    among = series(world, forecast(world))
    monkeypatch.setattr(run.cold_start, "filled", lambda panel, made: made)
    alone = series(world, forecast(world))
    differs = ~np.isclose(among.champion.mean, alone.champion.mean).all(axis=1)
    assert among.item[differs].tolist() == [1, 1]


def test_without_any_demand_there_is_nothing_to_forecast(db):
    with pytest.raises(Conflict, match="nothing was wanted"):
        db.transact(lambda conn: ask(conn, WEEK, at=at(ORIGIN), by=7))


def test_it_begins_after_the_last_day_of_which_sales_are_known(world):
    assert forecast(world, today=ORIGIN + timedelta(days=9)).origin == ORIGIN


def test_errors_are_seen_when_their_days_have_come(world):
    made = forecast(world)
    sell(world, ORIGIN, 3)
    forecast(world, today=ORIGIN + timedelta(days=3))
    with world.connection() as conn:
        assert store.get_run(conn, made.run_id).scored == 1, "the first day; the others when all have come"
    sell(world, ORIGIN + timedelta(days=3), 4)
    forecast(world, today=ORIGIN + timedelta(days=7))
    with world.connection() as conn:
        found = store.get_run(conn, made.run_id)
        scores = public_scores(store.scores_of(conn, [made.run_id]), WEEK)
    assert found.scored == 7
    everything = next(row for row in scores if row["segment"] == "all")
    rows = (everything["series"], everything["periods"], everything["part"])
    assert rows == (2 * ITEMS, 7, "champion")
    assert abs(everything["bias"]) < 0.15
    assert everything["coverage"]["0.8"] == pytest.approx(0.8, abs=0.12)
    assert everything["loss_baseline"] > 0
    assert everything["gain"] == pytest.approx(1 - everything["loss"] / everything["loss_baseline"], abs=0.02)
    assert everything["low"] <= everything["gain"] <= everything["high"]


def test_a_run_that_died_goes_on_where_it_was(world, monkeypatch):
    monkeypatch.setattr(panel, "SERIES_AT_ONCE", 6)
    monkeypatch.setattr(run, "SERIES_AT_ONCE", 6)
    whole = series(world, forecast(world))
    asked = world.transact(lambda conn: ask(conn, WEEK, at=at(ORIGIN), by=7))
    stages = []

    def die(stage, done, total):
        stages.append((stage, done, total))
        if stage == "forecasting" and done == 6:
            raise KeyboardInterrupt

    learned = []
    monkeypatch.setattr(run, "learn_of", lambda *args: learned.append(1) or learn.learn_of(*args))
    again = replace(WEEK, learn=True)
    with world.connection() as conn:
        conn.execute("UPDATE forecast_run SET settings = %s WHERE run_id = %s", (store._json(again), asked.run_id))
    with pytest.raises(KeyboardInterrupt):
        make(world, asked.run_id, ORIGIN, die)
    with world.connection() as conn:
        half = store.get_run(conn, asked.run_id)
    assert (half.series, half.done_item, half.finished_at) == (12, 6, None)
    make(world, asked.run_id, ORIGIN, lambda *at: stages.append(at))
    with world.connection() as conn:
        done = store.get_run(conn, asked.run_id)
    assert done.series == 2 * ITEMS
    assert (done.champion, done.challenger) == (half.champion, half.challenger)
    assert same(series(world, done), whole), "the champion is who made the first one"
    assert learned == [1], "it was learned once"
    again = stages[stages.index(("forecasting", 6, ITEMS)) + 1 :]
    assert [done for stage, done, _ in again if stage == "forecasting"] == [6, 9, ITEMS]


def test_two_that_write_one_run_write_each_series_once(world):
    asked = world.transact(lambda conn: ask(conn, WEEK, at=at(ORIGIN), by=7))

    def overtake(stage, done, _total):
        if stage == "forecasting" and done == 0 and not overtaken:
            overtaken.append(1)
            make(world, asked.run_id, ORIGIN, silent)

    overtaken = []
    with pytest.raises(run._TakenOver):
        make(world, asked.run_id, ORIGIN, overtake)
    with world.connection() as conn:
        assert store.get_run(conn, asked.run_id).series == 2 * ITEMS


def test_few_at_a_time_or_all_at_once_is_the_same(world, monkeypatch):
    whole = series(world, forecast(world))
    monkeypatch.setattr(panel, "SERIES_AT_ONCE", 6)
    monkeypatch.setattr(run, "SERIES_AT_ONCE", 6)
    assert same(series(world, forecast(world)), whole)


@pytest.mark.parametrize("ablate", [False, True])
def test_what_comes_after_the_origin_moves_nothing(world, monkeypatch, ablate):
    """Shift the future: sales after the origin and signals of the past that are told later are others. What is
    forecast from the origin, by trees that look at signals, is the same to the last bit."""
    monkeypatch.setattr(learn, "has_trees", lambda: True)
    settings = replace(WEEK, ablate=ablate)
    origin = ORIGIN - timedelta(days=14)
    random = np.random.default_rng(3)
    promoted = [day for day in days(189) if random.random() < 0.2]
    told = [
        {"name": name, "at": day.isoformat(), "value": value, "known_ahead": ahead}
        for day in days(189)
        for name, value, ahead in (("search", float(random.normal()), False), ("promo", float(day in promoted), True))
    ]
    told = [row for row in told if row["known_ahead"] or row["at"] < ORIGIN.isoformat()]
    assert {result.status for result in tell_signals(world, told, now=at(ORIGIN), by=SYSTEM)} == {"created"}

    def from_scratch():
        with world.connection() as conn:
            conn.execute("TRUNCATE forecast_model, forecast_run, forecast_series, forecast_score, job CASCADE")
        return series(world, forecast(world, settings, origin=origin))

    with world.connection() as conn:
        conn.execute("UPDATE imported_sale SET units = units * 4 WHERE day = ANY (%s)", (promoted,))
    first = from_scratch()
    with world.connection() as conn:
        facts = store.models_of(conn, settings.kind)["champion"].facts
    assert any("boosted" in choice["shares"] for choice in facts["choices"])
    assert "promo" in facts["signals"]["known_ahead"]
    assert ablate or facts["signals"]["past_only"] == ["search"]
    assert {trial["signal"] for trial in facts["trials"]} == (
        {"promo", "search", "public_holiday"} if ablate else set()
    )
    with world.connection() as conn:
        conn.execute("UPDATE imported_sale SET units = units * 9 + 5 WHERE day >= %s", (origin,))
        conn.execute(
            "UPDATE signal_value v SET value = value + 1e6 FROM signal s"
            " WHERE s.signal_id = v.signal_id AND NOT s.known_ahead AND v.at >= %s",
            (at(origin) - timedelta(hours=12),),
        )
    later = [{"name": "search", "at": days(189)[n].isoformat(), "value": 1e6} for n in (150, 160)]
    tell_signals(world, later, now=at(ORIGIN + timedelta(days=1)), by=SYSTEM)
    assert same(from_scratch(), first)


def told_in_units(db, sku="S1", **asked):
    """What each signal brings, as it is told."""
    with db.connection() as conn:
        return shown_contributions(conn, sku, **{"node": None, "region": None, "channel": None, "freq": "D"} | asked)


def test_what_each_signal_brings_is_told_in_units(world, monkeypatch):
    monkeypatch.setattr(learn, "has_trees", lambda: True)
    assert told_in_units(world) == {"sku": "S1", "reason": "no_forecast", "explained": None}
    random = np.random.default_rng(3)
    promoted = [day for day in days(189) if random.random() < 0.2]
    told = [
        {"name": "promo", "at": f"{day}", "value": float(day in promoted), "known_ahead": True} for day in days(189)
    ]
    day_before = at(ORIGIN - timedelta(days=1))
    assert {result.status for result in tell_signals(world, told, now=day_before, by=SYSTEM)} == {"created"}
    with world.connection() as conn:
        conn.execute("UPDATE imported_sale SET units = units * 4 WHERE day = ANY (%s)", (promoted,))
    made = forecast(world)
    rows = series(world, made)
    shares = {segment["segment"]: segment["shares"] for segment in made.segments}
    (kind,) = {SEGMENTS[segment] for segment in rows.segment[rows.item == 1].tolist()}
    assert shares[kind] == {"boosted": 1.0}

    explained = told_in_units(world)["explained"]
    assert (explained["run_id"], explained["series"], explained["series_by_trees"]) == (made.run_id, 2, 2)
    mean = rows.champion.mean[rows.item == 1].sum(axis=0)
    for n, period in enumerate(explained["periods"]):
        assert period["mean"] == pytest.approx(mean[n], abs=1e-3)
        assert period["base"] + sum(period["contributions"].values()) == pytest.approx(mean[n], abs=1e-2)
        # Trees alone are in charge, and nothing was told since.
        assert period["others"] == pytest.approx(0, abs=1e-2)
        on_promotion = date.fromisoformat(period["from"]) in promoted
        assert (period["contributions"]["promo"] > 0) == on_promotion
    a_day = explained["a_day"]
    of_promo = [period["contributions"]["promo"] for period in explained["periods"]]
    assert a_day["contributions"]["promo"] == pytest.approx(np.mean(of_promo), abs=1e-3)
    assert a_day["mean"] == pytest.approx(mean.mean(), abs=1e-3)
    assert {"history", "calendar", "promo"} <= set(a_day["contributions"])
    assert told_in_units(world, region="FR")["explained"]["series"] == 1

    # What is told of the past afterwards is seen beside, not taken for a signal's.
    with world.connection() as conn:
        conn.execute("UPDATE imported_sale SET units = units * 3 WHERE item_id = 1 AND day < %s", (ORIGIN,))
    a_day = told_in_units(world)["explained"]["a_day"]
    assert a_day["others"] < -1
    assert a_day["base"] + sum(a_day["contributions"].values()) + a_day["others"] == pytest.approx(
        a_day["mean"], abs=1e-2
    )
    monkeypatch.setattr(explain, "SERIES_AT_ONCE", 2 * ITEMS - 1)
    assert told_in_units(world)["reason"] == "too_many_series"
    monkeypatch.undo()
    with world.connection() as conn:
        conn.execute("UPDATE forecast_model SET learned = NULL, role = 'retired', retired_at = now()")
    assert told_in_units(world)["reason"] == "model_gone"


def test_who_has_no_trees_says_so(world):
    forecast(world)
    assert told_in_units(world) == {"sku": "S1", "reason": "no_trees", "explained": None}


def test_what_is_in_charge_makes_no_forecast_of_days_it_has_seen(world):
    forecast(world)
    with pytest.raises(InvalidInput) as refused:
        forecast(world, origin=ORIGIN - timedelta(days=1))
    assert refused.value.errors[0].path == "origin"
    with pytest.raises(InvalidInput):
        forecast(world, origin=ORIGIN + timedelta(days=1))


def weekly(db, weeks, **more):
    """A forecast each week, and its days come true; the runs."""
    made = []
    for n in range(weeks):
        first = ORIGIN + timedelta(days=7 * n)
        made.append(forecast(db, replace(WEEK, learn=more.get("learn_at") == n), today=first))
        sell(db, first, 7, times=more.get("times", 1.0))
    return made


def test_a_challenger_is_on_trial_beside_the_champion(world):
    runs = weekly(world, 3, learn_at=1)
    assert [r.challenger is not None for r in runs] == [False, True, True]
    on_trial = models(world)["challenger"]
    assert on_trial.why == "asked"
    last = ORIGIN + timedelta(days=21)
    forecast(world, today=last)
    with world.connection() as conn:
        pairs = record_of(conn, WEEK).pairs(runs[0].champion, on_trial.model_id)
    assert len(pairs) == 2
    assert all(np.isfinite(pair).all() for pair in pairs)


@pytest.mark.parametrize(("better", "verdict"), [(True, "promote"), (False, None)])
def test_who_wins_two_origins_takes_over(world, better, verdict):
    weekly(world, 3, learn_at=1)
    forecast(world, today=ORIGIN + timedelta(days=14), origin=ORIGIN + timedelta(days=14))
    before = models(world)
    with world.connection() as conn:
        conn.execute(
            "UPDATE forecast_run SET scored = 7 WHERE challenger IS NOT NULL AND run_id IN"
            " (SELECT run_id FROM forecast_score)"
        )
        conn.execute("DELETE FROM forecast_score")
        for (run_id,) in conn.execute("SELECT run_id::text FROM forecast_run WHERE challenger IS NOT NULL").fetchall():
            scores = [
                store.Scored(
                    run_id=run_id, segment=-1, part=part, near={"gain": 0.0, "low": None, "high": None}, whole={},
                    sums={"scaled": [10] * 7, "loss": [loss] * 7},
                )
                for part, loss in (("champion", 5.0), ("challenger", 4.0 if better else 6.0), ("baseline", 5.0))
            ]  # fmt: skip
            store.set_scores(conn, run_id, 7, scores)
    assert settle(world, WEEK) == verdict
    after = models(world)
    if better:
        assert after["champion"].model_id == before["challenger"].model_id
        assert after["champion"].promoted_at is not None and "challenger" not in after
        with world.connection() as conn:
            old = store.models_by_id(conn, [before["champion"].model_id])[before["champion"].model_id]
        assert (old.role, old.retired_at is not None) == ("retired", True)
    else:
        assert after == before


def test_a_segment_whose_model_loses_is_left_to_the_baseline_until_it_wins_again(world):
    made = forecast(world)

    def judged(gains):
        """Runs as they would be if the model had gained so much at their origins."""
        with world.connection() as conn:
            conn.execute("DELETE FROM forecast_score")
            for n, gain in enumerate(gains, 1):
                asked = ask(conn, WEEK, at=at(ORIGIN), by=7, origin=ORIGIN)
                back = ORIGIN - timedelta(days=7 * (len(gains) - n + 1))
                conn.execute(
                    "UPDATE forecast_run SET origin = %s, champion = %s, finished_at = now() WHERE run_id = %s",
                    (back, made.champion, asked.run_id),
                )
                near = {"gain": gain, "low": gain - 0.1, "high": gain + 0.1}
                scores = [
                    store.Scored(
                        run_id=asked.run_id, segment=s, part="champion", near=near, whole=near,
                        sums={"count": [9] * 7, "scaled": [9] * 7, "loss": [9.0] * 7, "forecast": [9.0] * 7,
                              "came": [9.0] * 7, "within": [[9, 9]] * 7},
                    )
                    for s in range(4)
                ]  # fmt: skip
                store.set_scores(conn, asked.run_id, 7, scores)
        return {s["in_charge"] for s in forecast(world).segments}

    assert judged([-0.05, -0.05]) == {"baseline"}
    with world.connection() as conn:
        conn.execute("DELETE FROM forecast_series")
        conn.execute("DELETE FROM forecast_score")
        conn.execute("DELETE FROM forecast_run")
    assert judged([-0.05, -0.05, 0.05, 0.05]) == {"model"}


def test_errors_that_rise_are_a_reason_to_learn_anew(world):
    """Ten days as ever, then three times as much."""
    for n in range(16):
        today = ORIGIN + timedelta(days=n)
        last = forecast(world, today=today)
        sell(world, today, 1, times=1.0 if n < 10 else 3.0)
    with world.connection() as conn:
        drift = record_of(conn, WEEK).drift(last.champion)
    everything = drift[0]
    assert everything["segment"] == "all"
    assert ORIGIN + timedelta(days=10) <= date.fromisoformat(everything["loss_since"]) <= ORIGIN + timedelta(days=14)
    assert models(world)["challenger"].why == "drift"


def test_series_go_when_their_errors_are_known_and_scores_stay(world):
    runs = []
    for n in range(10):
        today = ORIGIN + timedelta(days=n)
        runs.append(forecast(world, today=today))
        sell(world, today, 1)
    with world.connection() as conn:
        left = {run_id for (run_id,) in conn.execute("SELECT DISTINCT run_id::text FROM forecast_series")}
        scores = store.scores_of(conn, [r.run_id for r in runs[:-1]])
    assert left == {runs[7].run_id, runs[9].run_id}, "the one by which the week is judged, and the latest"
    assert {s.run_id for s in scores} == {r.run_id for r in runs[:-1]}


def test_plans_rest_on_the_forecast_that_is_kept(world):
    with world.connection() as conn:
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone) VALUES"
            " (1, 'berlin', 'x', 'store', 'DE', 52.5, 13.4, 'UTC'), (2, 'lyon', 'x', 'store', 'FR', 45.7, 4.8, 'UTC')"
        )

    def outlook(horizon):
        with world.connection() as conn:
            return read_outlook(conn, ORIGIN, horizon, ["S1", "S2", "NONE"], ["berlin", "lyon"])

    assert outlook(7).basis.forecast == USUAL
    made = forecast(world)
    found, rows = outlook(7), series(world, made)
    assert (found.basis.forecast, found.basis.origin) == (f"forecast run {made.run_id}", ORIGIN - timedelta(days=1))
    assert np.allclose(found.mean[:2].reshape(4, 7), rows.champion.mean[:4], rtol=1e-5), "regions count at their nodes"
    middle = LEVELS.tolist().index(0.5)
    assert np.allclose(found.quantiles[:2, :, :, middle].reshape(4, 7), rows.champion.quantiles[:4, :, 2], rtol=1e-5)
    assert not found.mean[2].any()
    assert outlook(8).basis.forecast == USUAL, "no forecast covers the eighth day"


def test_weeks_are_forecast_too(world):
    made = forecast(world, Settings(freq="W", horizon=2, levels=(0.1, 0.5, 0.9), ablate=False))
    rows = series(world, made)
    daily = series(world, forecast(world))
    assert rows.champion.mean.shape == (2 * ITEMS, 2)
    assert rows.champion.mean[:, 0].sum() == pytest.approx(daily.champion.mean.sum(), rel=0.15)
    sell(world, ORIGIN, 14)
    forecast(
        world, Settings(freq="W", horizon=2, levels=(0.1, 0.5, 0.9), ablate=False), today=ORIGIN + timedelta(days=14)
    )
    with world.connection() as conn:
        assert store.get_run(conn, made.run_id).scored == 2


def test_a_schedule_asks_for_the_forecast_of_the_day(world):
    world.transact(
        lambda conn: set_schedule(
            conn, KIND, asdict(WEEK), hour=3, active=True, now=at(ORIGIN - timedelta(days=1)), by=7
        )
    )
    assert ask_if_due(world, datetime(2026, 3, 2, 3, 0, 1, tzinfo=UTC), {KIND: ask_scheduled}) == 1
    with world.connection() as conn:
        kept = conn.execute("SELECT run_id::text FROM forecast_run").fetchall()
        assert len(kept) == 1
        run = store.get_run(conn, kept[0][0])
        assert (run.state, run.origin, run.by) == ("queued", ORIGIN, 7)
