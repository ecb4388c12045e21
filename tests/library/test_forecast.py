"""`onhand.forecast`: from data frames to data frames, with nothing of the future in it."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import onhand
from onhand.demand.choose import BASELINE
from onhand.demand.learn import BOOSTED
from onhand.demand.panel import Panel
from onhand.demand.run import run
from onhand.errors import InvalidInput

from ..demand.worlds import shop  # noqa: TID252

LEVELS = np.array([0.025, 0.25, 0.5, 0.75, 0.975])


def frames(panel):
    """History, and what is known of it, as a merchant has it."""
    observed = panel.periods
    ids = np.repeat(np.array(panel.ids, dtype=object), len(panel.dates)).tolist()
    known = pl.DataFrame(
        {
            "unique_id": ids,
            "ds": np.tile(panel.dates.astype("datetime64[us]"), panel.count),
            "promoted": panel.known["promoted"].ravel(),
            "event": ["holiday" if promoted else None for promoted in panel.known["promoted"].ravel()],
        }
    )
    history = pl.DataFrame(
        {
            "unique_id": np.repeat(np.array(panel.ids, dtype=object), observed).tolist(),
            "ds": np.tile(panel.dates[:observed].astype("datetime64[us]"), panel.count),
            "y": panel.y.ravel(),
        }
    )
    static = pl.DataFrame({"unique_id": panel.ids, "kind": [f"kind {k}" for k in panel.static["kind"]]})
    return history, known, static


@pytest.fixture(scope="module")
def world():
    return shop(series=30, periods=300, horizon=14, effect=2.0)


@pytest.fixture(scope="module")
def made(world):
    history, known, static = frames(world[0])
    return onhand.forecast(history, horizon=14, freq="D", known=known, static=static)


@pytest.fixture(scope="module")
def small():
    """Enough for the trees to be in charge."""
    panel, _, _ = shop(series=8, periods=200, horizon=14, effect=2.0)
    return panel


def test_a_frame_of_the_same_kind_comes_back_with_a_row_for_each_period_ahead(world, made):
    panel, _, _ = world
    assert isinstance(made, pl.DataFrame)
    assert made.columns == ["unique_id", "ds", "mean", "q0.05", "q0.25", "q0.5", "q0.75", "q0.95"]
    assert made.height == 30 * 14
    assert made["ds"].cast(pl.Date).min() == panel.dates[300].astype(object)
    values = made.select(pl.selectors.starts_with("q")).to_numpy()
    assert (values >= 0).all()
    assert (np.diff(values, axis=1) >= 0).all()


def test_demand_whose_law_is_known_is_forecast_nearer_than_by_weekdays(world, made):
    panel, _, rate = world
    mean = made["mean"].to_numpy().reshape(30, 14)
    usual = np.stack([panel.y[:, 300 - 7 * k : 300 - 7 * k + 7] for k in range(1, 5)]).mean(axis=0)
    usual = np.concatenate([usual, usual], axis=1)
    assert np.abs(mean - rate).mean() < 0.3 * np.abs(usual - rate).mean()
    promoted = panel.known["promoted"][:, 300:] > 0
    assert (mean[promoted].sum() / rate[promoted].sum()) == pytest.approx(1, abs=0.2), "a promotion is known ahead"


def test_the_same_seed_forecasts_the_same(small):
    history, known, static = frames(small)
    first, again = (onhand.forecast(history, horizon=14, freq="D", known=known, static=static) for _ in range(2))
    assert again.equals(first)


def shifted(panel, extra):
    """The panel with what follows its history replaced: nothing of it may be seen."""
    random = np.random.default_rng(9)
    future = random.uniform(0, 1_000, (panel.count, extra))
    return Panel(
        ids=panel.ids, freq=panel.freq, dates=panel.dates, y=np.concatenate([panel.y, future], axis=1),
        known=panel.known, static=panel.static,
        past={name: np.concatenate([v, v[:, -1:] + random.uniform(0, 9, (len(v), extra))], axis=1)
              for name, v in panel.past.items()},
    )  # fmt: skip


def test_what_comes_after_the_origin_moves_nothing(small):
    past = {"weather": np.random.default_rng(4).normal(size=(1, 200))}
    cut = replace(small, past=past)
    later = shifted(cut, 14).before(200, 14)
    first, second = run(cut, LEVELS), run(later, LEVELS)
    assert all(choice.shares.get(BOOSTED) for choice in first.choices.values()), "the trees are left out"
    assert np.array_equal(first.forecast.mean, second.forecast.mean)
    assert np.array_equal(first.forecast.quantiles, second.forecast.quantiles)


def test_a_signal_known_to_the_origin_only_is_not_looked_at_after_it(small):
    history, _, static = frames(small)
    days = [small.dates[0].astype(object) + timedelta(days=n) for n in range(214)]
    values = np.random.default_rng(2).normal(size=214)
    past = pl.DataFrame({"ds": days, "search": values})
    other = pl.DataFrame({"ds": days, "search": np.where(np.arange(214) >= 200, 1e6, values)})
    first = onhand.forecast(history, horizon=14, freq="D", past=past, static=static)
    assert onhand.forecast(history, horizon=14, freq="D", past=other, static=static).equals(first)


def test_without_the_trees_simple_models_forecast_and_noise_is_left_to_the_baseline():
    panel, _, rate = shop(series=20, periods=120, horizon=14, known=False)
    outcome = run(panel, LEVELS, trees=False)
    assert all(BOOSTED not in choice.shares for choice in outcome.choices.values())
    assert np.abs(outcome.forecast.mean - rate).mean() < 0.25 * rate.mean()
    random = np.random.default_rng(1)
    odd = Panel(ids=["a"] * 4, freq="D", dates=panel.dates[:104], y=np.floor(np.exp(random.normal(0, 2.5, (4, 90)))))
    for choice in run(odd, LEVELS, trees=False).choices.values():
        assert choice.gain_low > 0 or choice.shares == {BASELINE: 1.0}, "who does not win for sure is not in charge"


def test_a_short_history_is_forecast_too():
    history = pl.DataFrame({"unique_id": ["a"] * 10, "ds": [date(2026, 1, 1 + n) for n in range(10)], "y": [3] * 10})
    made = onhand.forecast(history, horizon=7, freq="D")
    assert made["mean"].to_list() == pytest.approx([3] * 7, abs=0.5)
    one = onhand.forecast(history.head(1), horizon=2, freq="D", quantiles=[0.9])
    assert one.columns == ["unique_id", "ds", "mean", "q0.9"]
    assert one["mean"].to_list() == pytest.approx([3, 3])


def test_weeks_are_named_by_their_last_day_and_months_by_their_first():
    weeks = [date(2024, 1, 5) + timedelta(weeks=n) for n in range(70)]
    history = pl.DataFrame({"unique_id": ["a"] * 70, "ds": weeks, "y": [10.0] * 70})
    made = onhand.forecast(history, horizon=3, freq="W-FRI")
    assert made["ds"].cast(pl.Date).to_list() == [weeks[-1] + timedelta(weeks=n) for n in (1, 2, 3)]
    assert made["mean"].to_list() == pytest.approx([10] * 3, rel=0.05)
    months = [date(2023 + n // 12, n % 12 + 1, 1) for n in range(26)]
    history = pl.DataFrame({"unique_id": ["a"] * 26, "ds": months, "y": [5.0 + n % 12 for n in range(26)]})
    made = onhand.forecast(history, horizon=2, freq="MS")
    assert made["ds"].cast(pl.Date).to_list() == [date(2025, 3, 1), date(2025, 4, 1)]
    assert made["mean"].to_list() == pytest.approx([7, 8], rel=0.05)


class Frame(dict):
    """Another library's data frame, as far as it is looked at: columns that are arrays."""

    @property
    def columns(self):
        return list(self)


def test_any_frame_with_columns_will_do():
    class Column(list):
        def to_list(self):
            return list(self)

        def to_numpy(self):
            return np.array(self)

    frame = Frame(
        unique_id=Column([1, 1, 2]), ds=Column(["2026-01-01", "2026-01-02", "2026-01-02"]), y=Column([1, 2, 7])
    )
    made = onhand.forecast(frame, horizon=1, freq="D", quantiles=[0.5])
    assert isinstance(made, Frame)
    assert made["unique_id"] == ["1", "2"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda h: {"history": h.drop("y")}, "history.y"),
        (lambda h: {"history": h.with_columns(y=pl.lit("many"))}, "history.y"),
        (lambda h: {"history": h.with_columns(y=pl.lit(float("inf")))}, "history.y"),
        (lambda h: {"history": h.with_columns(ds=pl.lit("yesterday"))}, "history.ds"),
        (lambda h: {"history": pl.concat([h, h])}, "history"),
        (lambda h: {"history": h.clear()}, "history"),
        (lambda h: {"freq": "hourly"}, "freq"),
        (lambda h: {"horizon": 0}, "horizon"),
        (lambda h: {"quantiles": [0.5, 1.0]}, "quantiles"),
        (lambda h: {"freq": "W"}, "history.ds"),
        (lambda h: {"known": pl.DataFrame({"ds": [date(2026, 1, 2)], "price": [1.0]})}, "known"),
        (lambda h: {"known": pl.DataFrame({"price": [1.0]})}, "known.ds"),
        (lambda h: {"static": pl.DataFrame({"unique_id": ["a", "a"], "kind": ["x", "y"]})}, "static.unique_id"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(change, path):
    history = pl.DataFrame({"unique_id": ["a"] * 5, "ds": [date(2026, 1, n) for n in range(1, 6)], "y": [1.0] * 5})
    asked = {"history": history, "horizon": 2, "freq": "D"} | change(history)
    with pytest.raises(InvalidInput) as refused:
        onhand.forecast(asked.pop("history"), **asked)
    assert refused.value.errors[0].path == path
    assert len(refused.value.errors[0].message) > 15


def test_a_series_without_history_is_forecast_from_its_siblings():
    panel, _, rate = shop(series=24, periods=90, horizon=14)
    history, known, static = frames(panel)
    hidden = panel.ids[5]
    rest = history.filter(pl.col("unique_id") != hidden)
    made = onhand.forecast(rest, horizon=14, freq="D", static=static)
    assert made["unique_id"].unique().sort().to_list() == list(panel.ids)
    new = made.filter(pl.col("unique_id") == hidden)
    others = rate[np.arange(24) != 5].mean()
    assert 0.3 * others < new["mean"].mean() < 2 * others
    assert new["q0.95"].mean() > 3 * new["q0.25"].mean(), "it may be much or little"
    alone = onhand.forecast(rest, horizon=14, freq="D", static=static.filter(pl.col("unique_id") != hidden))
    assert alone.equals(made.filter(pl.col("unique_id") != hidden)), "the others are forecast as without it"
    by_known = onhand.forecast(rest, horizon=14, freq="D", known=known)
    assert hidden in by_known["unique_id"].to_list()


def test_whole_quantiles_are_whole_and_the_mean_is_not():
    panel, _, _ = shop(series=10, periods=90, horizon=7)
    history, _, _ = frames(panel)
    made = onhand.forecast(history, horizon=7, freq="D", whole=True)
    values = made.select(pl.selectors.starts_with("q")).to_numpy()
    assert (values == np.rint(values)).all()
    assert (np.diff(values, axis=1) >= 0).all()
    assert (made["mean"].to_numpy() % 1 != 0).any()


@pytest.mark.parametrize("method", ["bottom_up", "wls_struct", "wls_var", "mint_shrink"])
def test_sums_are_further_rows_that_add_up(method):
    panel, _, rate = shop(series=12, periods=120, horizon=7)
    history, _, static = frames(panel)
    static = static.with_columns(region=pl.Series(["n", "s"] * 6))
    made = onhand.forecast(
        history, horizon=7, freq="D", static=static, hierarchy=["total", "kind", ["kind", "region"]],
        reconciliation=method,
    )  # fmt: skip
    assert made["level"].unique(maintain_order=True).to_list() == ["unique_id", "total", "kind", "kind/region"]
    assert "kind 1/s" in made["unique_id"].to_list()
    days = made.group_by("level", "ds").agg(pl.col("mean").sum()).pivot("level", index="ds", values="mean")
    for level in ("total", "kind", "kind/region"):
        assert days[level].to_numpy() == pytest.approx(days["unique_id"].to_numpy())
    total = made.filter(pl.col("level") == "total")
    assert total["mean"].to_numpy() == pytest.approx(rate.sum(axis=0), rel=0.15)
    series = made.filter(pl.col("level") == "unique_id")
    width = (total["q0.95"] - total["q0.05"]).sum()
    assert width < 0.8 * (series["q0.95"] - series["q0.05"]).sum(), "what scatters apart cancels out"
    if method == "bottom_up":
        bare = onhand.forecast(history, horizon=7, freq="D", static=static)
        assert bare.equals(series.drop("level"))


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"hierarchy": ["colour"]}, "hierarchy"),
        ({"hierarchy": [["kind", "colour"]]}, "hierarchy"),
        ({"hierarchy": [[]]}, "hierarchy"),
        ({"hierarchy": ["twin"]}, "hierarchy"),
        ({"hierarchy": ["kind"], "static": None}, "hierarchy"),
        ({"hierarchy": ["kind"], "reconciliation": "top_down"}, "reconciliation"),
        ({"engine": "dask"}, "engine"),
    ],
)
def test_sums_and_engines_that_cannot_be_are_named(asked, path):
    history = pl.DataFrame({"unique_id": ["a"] * 5, "ds": [date(2026, 1, n) for n in range(1, 6)], "y": [1.0] * 5})
    static = pl.DataFrame({"unique_id": ["a"], "kind": ["x"], "twin": ["a"]})
    with pytest.raises(InvalidInput) as refused:
        onhand.forecast(history, horizon=2, freq="D", **{"static": static, **asked})
    assert refused.value.errors[0].path == path
    assert len(refused.value.errors[0].message) > 15
