"""Planners in a tiny twin: ours is not worse than averages with the same capital, and each keeps to what is allowed."""

from functools import cache

import numpy as np
import pytest

from onhand.bench import planning_twin_report
from onhand.bench.planning_twin import Level
from onhand.bench.planning_twin_foresight import panel_of
from onhand.bench.planning_twin_report import Report
from onhand.bench.planning_twin_study import Figures, Found, Setting, Twin, break_days

SETTING = Setting(items=6, history=120, settle=28, days=28, seasons=False, trees=False)


@cache
def twin(seed: int = 1) -> Twin:
    return Twin(seed, SETTING)


@cache
def by_rates(mover: str | None = None, *, through_centres: bool = False) -> Figures:
    return twin().by_forecast(8.0, knows="rates", mover=mover, through_centres=through_centres)  # type: ignore[arg-type]


def test_who_knows_the_rates_loses_less_than_averages_with_the_same_capital() -> None:
    ours = by_rates()
    average = twin().at_capital(ours.capital, gap=7.0, whole=False)
    assert average.capital >= ours.capital
    assert ours.lost < 0.5 * average.lost


def test_forecasts_without_trees_are_not_worse_than_averages() -> None:
    ours = twin().by_forecast(8.0)
    average = twin().at_capital(ours.capital, gap=7.0, whole=False)
    assert 0 < ours.lost <= average.lost


def test_transfers_bring_more_the_next_day_with_the_same_stock() -> None:
    still, flow = by_rates(through_centres=True), by_rates("flow", through_centres=True)
    filled = by_rates("filled", through_centres=True)
    assert still.moved == 0 < flow.moved
    assert flow.next_day > still.next_day + 0.2
    assert filled.next_day > still.next_day + 0.2
    assert flow.capital == pytest.approx(still.capital, rel=0.03)


def test_equal_seeds_give_equal_figures() -> None:
    again = Twin(1, SETTING).by_forecast(8.0, knows="rates", mover="filled", through_centres=True)
    assert again == by_rates("filled", through_centres=True)
    assert twin(2).by_average(Level(z=1.0, gap=7.0, whole=False)) != twin().by_average(
        Level(z=1.0, gap=7.0, whole=False)
    )


def test_more_safety_uses_more_capital_and_loses_less() -> None:
    low, high = (twin().by_average(Level(z=z, gap=7.0, whole=True)) for z in (-0.5, 2.0))
    assert low.capital < high.capital
    assert low.lost > high.lost


def test_a_panel_knows_nothing_of_the_days_to_come_but_promotions() -> None:
    market, day = twin().market, 100
    demand, sold = market.demand[:, :, :day].astype(float), market.demand[:, :, :day]
    panel = panel_of(market, day, demand, sold)
    assert panel.periods == day and panel.horizon == 35
    assert panel.past["weather"].shape[1] == day
    assert panel.known["discount"].shape[1] == day + 35
    censored = demand.copy()
    censored[0, :, 50] = np.nan
    found = panel_of(market, day, censored, sold)
    assert np.isnan(found.y[: demand.shape[1], 50]).all()
    assert np.isnan(found.y[-len(demand), 50]), "of a sum of which nothing is known nothing is"


def test_days_on_which_stock_runs_out_are_foretold_for_some_promotions() -> None:
    of = Twin(1, Setting(items=6, history=120, settle=7, days=70, seasons=False, trees=False))
    hits, knowing, looked = break_days(of)
    assert 1 <= hits <= knowing <= looked


def test_both_studies_are_told_in_words_and_drawn() -> None:
    ours, average = by_rates(), twin().by_average(Level(z=0.0, gap=7.0, whole=False))
    centres = dict.fromkeys(("still", "filled", "flow"), ours)
    found = Found(
        seed=1, curve=((ours, average), (ours, average)), rates=ours, flow=ours, centres=centres, breaks=(8, 9, 10)
    )
    report = Report(setting=SETTING, found=(found, found))
    told = planning_twin_report.table(report)
    assert "80% of 20, 90% by somebody who knows the rates" in told
    assert f"less lost by {1 - ours.lost / average.lost:.0%}" in told
    assert "+0.0 points" in told
    assert not report.ok, "nothing comes earlier"
    drawn = planning_twin_report.picture(report)
    assert drawn.startswith("<svg") and drawn.count("<rect") == 1 + 4 + 5
    assert report.document()["less_lost"] == pytest.approx(1 - ours.lost / average.lost)
