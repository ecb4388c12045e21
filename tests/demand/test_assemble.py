"""History and signals as a panel."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from onhand.demand.assemble import Coding, add_sums, begin, by_period, daily, panel_of_history, sums_of
from onhand.demand.model import History
from onhand.demand.signals import Aligned

FIRST, ORIGIN = date(2026, 1, 5), date(2026, 2, 2)


def history(rows, series=(("A", None, "DE"), ("A", "N1", "DE"), ("B", None, "FR"))):
    """Rows of (series, day after FIRST, demand, open share)."""
    begins = [min(n for s, n, *_ in rows if s == number) for number in range(len(series))]
    return History(
        series=pl.DataFrame(
            {
                "series": pl.Series(range(len(series)), dtype=pl.Int32),
                "sku": [s[0] for s in series], "category": ["mugs" if s[0] == "A" else None for s in series],
                "node": pl.Series([s[1] for s in series], dtype=pl.String), "region": [s[2] for s in series],
                "channel": pl.Series([None] * len(series), dtype=pl.String),
                "first_day": [FIRST + timedelta(days=n) for n in begins],
            }
        ),
        days=pl.DataFrame(
            {
                "series": pl.Series([r[0] for r in rows], dtype=pl.Int32),
                "day": [FIRST + timedelta(days=r[1]) for r in rows],
                "demand": [float(r[2]) for r in rows], "open_share": [float(r[3]) for r in rows],
            }
        ),
        until=ORIGIN,
    )  # fmt: skip


ROWS = [(0, 0, 3, 1), (0, 8, 2, 1), (0, 9, 0, 0), (1, 7, 5, 1), (2, 20, 1, 1), (2, 27, 4, 0.5)]


def panel(made, **more):
    options = {"since": FIRST, "origin": ORIGIN, "freq": "D", "horizon": 2, "coding": Coding.of(made.series)} | more
    return panel_of_history(made, **options)


def test_a_day_without_a_row_is_one_of_no_demand_and_one_without_stock_is_not_known():
    y = daily(history(ROWS), FIRST, ORIGIN)
    assert y[0, [0, 1, 8]].tolist() == [3, 0, 2]
    assert np.isnan(y[0, 9]), "nothing was there all day, and nothing was asked for"
    assert np.isnan(y[2, :20]).all() and y[2, 20] == 1, "before the first day nothing is known"
    assert y[2, 27] == 4


def test_weeks_end_on_the_day_before_the_origin():
    made = panel(history(ROWS), freq="W", horizon=2)
    assert made.dates.astype(str).tolist() == [
        "2026-01-11", "2026-01-18", "2026-01-25", "2026-02-01", "2026-02-08", "2026-02-15",
    ]  # fmt: skip
    assert made.y[0].tolist() == [3, 2, 0, 0]
    assert by_period(daily(history(ROWS), FIRST, ORIGIN), "W")[1, 1:].tolist() == [5, 0, 0]


@pytest.mark.parametrize(
    ("first", "freq", "days"), [(FIRST, "D", 28), (FIRST, "W", 28), (FIRST - timedelta(days=3), "W", 35),
                                (ORIGIN, "D", 1), (date(2000, 1, 1), "D", 1092)],
)  # fmt: skip
def test_a_panel_begins_whole_periods_before_its_origin(first, freq, days):
    assert (ORIGIN - begin(first, ORIGIN, freq)).days == days


def signal(name, index, *rows, ahead=True):
    return Aligned(
        name=name, known_ahead=ahead, first=FIRST, rows=np.array(rows, float), index=np.array(index, np.int32)
    )


def test_signals_are_those_that_somebody_hears_or_those_that_a_model_knows():
    made = history(ROWS)
    ahead, behind = np.arange(30.0), np.arange(28.0)
    told = {
        "known": [signal("price", [0, 1, -1], ahead, -ahead), signal("deaf", [-1, -1, -1], ahead)],
        "past": [signal("search", [0, 0, 0], behind, ahead=False)],
    }
    found = panel(made, **told)
    assert [*found.known] == ["price"] and [*found.past] == ["search"]
    assert found.known["price"].shape == (3, 30) and found.past["search"].shape == (1, 28), "one row for all alike"
    assert found.known["price"][1, 5] == -5 and np.isnan(found.known["price"][2]).all()
    known = panel(made, **told, names=(["gone", "price"], []))
    assert [*known.known] == ["gone", "price"] and not known.past
    assert np.isnan(known.known["gone"]).all()
    weeks = panel(made, **told, freq="W", horizon=0)
    assert weeks.past["search"].tolist() == [[3, 10, 17, 24]], "the mean of its days"


def test_kinds_have_the_numbers_they_were_learned_with():
    made = history(ROWS)
    coding = Coding.of(made.series)
    assert set(coding.kinds) == {"item", "category", "place"}
    later = history([(0, 0, 1, 1), (1, 0, 1, 1)], series=(("B", None, "FR"), ("C", None, "IT")))
    numbers = coding.numbers(later.series)
    assert numbers["item"].tolist() == [coding.kinds["item"]["B"], 2], "an item that is new has a number of its own"
    assert numbers["place"].tolist() == [coding.kinds["place"]["FR"], 3]
    alone = history([(0, 0, 1, 1), (1, 0, 1, 1)], series=(("B", None, "FR"), ("C", None, "IT")))
    assert "item" not in Coding.of(alone.series).kinds, "a kind of one series each says nothing"


def test_sums_over_stretches_are_those_of_all():
    made = history(ROWS)
    coding = Coding.of(made.series)
    whole = panel(made).with_sums()
    sums = {}
    for number in range(3):
        part = History(
            series=made.series.filter(pl.col("series") == number).with_columns(series=pl.lit(0, pl.Int32)),
            days=made.days.filter(pl.col("series") == number).with_columns(series=pl.lit(0, pl.Int32)),
            until=ORIGIN,
        )
        add_sums(sums, part, daily(part, FIRST, ORIGIN))
    found = sums_of(sums, coding)
    for name in coding.kinds:
        assert np.array_equal(found[name][:-1], whole.sums_of(name))
        assert not found[name][-1].any()
