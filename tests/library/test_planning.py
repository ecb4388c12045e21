"""`onhand.safety_stock` and `onhand.rebalance`: data frames in, data frames of the same library out."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import onhand

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(14)]


class Column(list):
    """A column of pandas as far as it is used."""

    def to_list(self):
        return list(self)


class Table:
    """A data frame of pandas as far as it is used: columns, columns by name, made from columns."""

    def __init__(self, columns):
        self._columns = {name: Column(values) for name, values in columns.items()}

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return self._columns[name]


def forecast(means, keys=("unique_id",)):
    """Series by key, each 14 days of the same mean."""
    rows = [
        {**dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True)), "ds": day}
        | {"mean": mean, "q0.1": 0.4 * mean, "q0.5": mean, "q0.9": 1.6 * mean}
        for key, mean in means.items()
        for day in DAYS
    ]
    return pl.DataFrame(rows)


def lanes(nodes=("a", "b", "c"), **given):
    rows = [
        {"source": k, "target": to, "cost_minor": 30, "lead_days": 2} | given for k in nodes for to in nodes if k != to
    ]
    return pl.DataFrame(rows)


def stock(rows, worth=900):
    return pl.DataFrame([{"sku": s, "node": n, "available": units, "worth_minor": worth} for s, n, units in rows])


def test_safety_stock_of_each_series():
    found = onhand.safety_stock(
        forecast({"fast": 20.0, "slow": 0.0, "usual": 5.0}), 3, service_level=0.95, review_days=2
    )
    assert found.columns == ["unique_id", "order_up_to", "safety_stock", "mean", "service_level", "short"]
    rows = {row["unique_id"]: row for row in found.to_dicts()}
    assert rows["fast"]["mean"] == pytest.approx(100, rel=0.05)
    assert rows["fast"]["service_level"] >= 0.95
    assert rows["fast"]["safety_stock"] == pytest.approx(rows["fast"]["order_up_to"] - rows["fast"]["mean"])
    assert rows["fast"]["safety_stock"] > rows["usual"]["safety_stock"] > 0
    assert rows["slow"]["order_up_to"] == rows["slow"]["safety_stock"] == 0


def test_safety_stock_by_fill_rate_by_costs_and_with_lead_times_that_scatter():
    series = forecast({"x": 10.0, "y": 10.0})
    by_fill = onhand.safety_stock(series, 4, fill_rate=0.98, review_days=7)
    assert (by_fill["short"] <= 0.02 * 7 * 10 * 1.02).all()
    costs = pl.DataFrame({"unique_id": ["x", "y"], "stockout_minor": [900, 90], "carrying_minor": [10, 10]})
    by_costs = onhand.safety_stock(series, 4, costs=costs)
    assert by_costs["service_level"].to_list() == pytest.approx([0.989, 0.9], abs=0.01)
    days = pl.DataFrame({"unique_id": ["x"] * 3 + ["y"], "days": [1, 4, 7, 4]})
    scattered = onhand.safety_stock(series, days, service_level=0.95)
    assert scattered["order_up_to"][0] > scattered["order_up_to"][1]
    for_all = onhand.safety_stock(series, pl.DataFrame({"days": [1, 4, 7]}), service_level=0.95)
    # The same distribution, other draws.
    assert for_all["order_up_to"][0] == pytest.approx(scattered["order_up_to"][0], rel=0.05)


def fed(*rows):
    return pl.DataFrame([{"source": k, "target": to, "lead_days": days} for k, to, days in rows])


def test_safety_stock_of_series_that_feed_one_another():
    series = forecast({"centre": 0.0, "north": 20.0, "south": 20.0, "alone": 20.0})
    ways = fed(("centre", "north", 1), ("centre", "south", 1))
    cost = {"unique_id": ["centre", "north", "south", "alone"], "carrying_minor": [1, 20, 20, 20]}
    found = onhand.safety_stock(series, 10, service_level=0.95, review_days=4, lanes=ways, carrying=pl.DataFrame(cost))
    assert found.columns[-2:] == ["inbound_days", "quoted_days"]
    cheap = {row["unique_id"]: row for row in found.to_dicts()}
    assert (cheap["centre"]["quoted_days"], cheap["north"]["inbound_days"]) == (0, 0)
    assert cheap["centre"]["mean"] == pytest.approx(14 * 40, rel=0.03)
    assert cheap["north"]["mean"] == pytest.approx(2 * 20, rel=0.05)
    # Pooled: less than the two would keep for that time themselves.
    assert cheap["alone"]["safety_stock"] < cheap["centre"]["safety_stock"] < 1.7 * cheap["alone"]["safety_stock"]
    by_itself = onhand.safety_stock(series, 10, service_level=0.95, review_days=4).to_dicts()
    assert {**cheap["alone"]} == {
        **next(r for r in by_itself if r["unique_id"] == "alone"), "inbound_days": 0, "quoted_days": 0
    }  # fmt: skip
    cost["carrying_minor"][:1] = [900]
    found = onhand.safety_stock(series, 10, service_level=0.95, review_days=4, lanes=ways, carrying=pl.DataFrame(cost))
    dear = {row["unique_id"]: row for row in found.to_dicts()}
    assert (dear["centre"]["quoted_days"], dear["centre"]["safety_stock"], dear["south"]["inbound_days"]) == (14, 0, 14)
    assert dear["south"]["safety_stock"] > 2 * cheap["south"]["safety_stock"]
    costs = pl.DataFrame(cost).with_columns(stockout_minor=pl.lit(9_000.0))
    for given in ({"costs": costs}, {"fill_rate": 0.98}):
        found = onhand.safety_stock(series, 10, **given, lanes=ways)
        assert (found.filter(pl.col("unique_id") != "centre")["safety_stock"] > 0).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lanes": fed(("x", "y", 1), ("y", "x", 1))}, "lanes: expected no circle"),
        ({"lanes": fed(("x", "x", 1))}, "lanes: expected no circle"),
        ({"lanes": fed(("x", "z", 1), ("y", "z", 1))}, "lanes.target: expected each series to be fed by one other"),
        ({"lanes": fed(("q", "z", 1))}, "lanes.source: no series 'q'"),
        ({"lanes": fed(("x", "q", 1))}, "lanes.target: no series 'q'"),
        ({"lanes": fed(("x", "z", 0.5))}, "lanes.lead_days: expected whole numbers"),
        ({"lanes": fed(("x", "z", 400))}, "lanes: expected at most 365 days"),
        ({"carrying": pl.DataFrame({"unique_id": ["x"], "carrying_minor": [1]})}, "carrying.carrying_minor: expected"),
        ({"lanes": None, "carrying": pl.DataFrame()}, "carrying: expected it with lanes"),
    ],
)
def test_safety_stock_across_says_what_is_wrong(change, told):
    given = {"service_level": 0.9, "lanes": fed(("x", "y", 1)), "paths": 50} | change
    with pytest.raises(onhand.InvalidInput, match=told):
        onhand.safety_stock(forecast({"x": 1.0, "y": 1.0, "z": 1.0}), 3, **given)


def test_frames_of_another_library_are_taken_and_given_back():
    given = Table(forecast({"x": 10.0}).with_columns(pl.col("ds").cast(pl.String)).to_dict(as_series=False))
    found = onhand.safety_stock(given, 3, service_level=0.9)
    assert isinstance(found, Table)
    same = onhand.safety_stock(forecast({"x": 10.0}), 3, service_level=0.9)
    assert list(found["order_up_to"]) == same["order_up_to"].to_list()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"service_level": 1.0}, "service_level: expected a number of at least 0 and below 1"),
        ({"service_level": None}, "one of service_level, fill_rate and costs"),
        ({"fill_rate": 0.9}, "one of service_level"),
        ({"lead_time": 2.5}, "lead_time: expected whole days"),
        ({"lead_time": -1}, "lead_time: expected a number of at least 0"),
        ({"lead_time": float("nan")}, "lead_time"),
        ({"lead_time": 729}, "lead_time: expected at most 730 days"),
        ({"lead_time": pl.DataFrame({"days": [1.5]})}, "lead_time.days: expected whole numbers"),
        ({"lead_time": pl.DataFrame({"unique_id": ["z"], "days": [1]})}, "1 series have no lead time: x"),
        ({"lead_time": pl.DataFrame({"days": []})}, "lead_time"),
        ({"review_days": 0}, "review_days"),
        ({"paths": 7}, "paths"),
        ({"demand_quantiles": forecast({"x": 1.0}).drop("ds")}, "demand_quantiles.ds: the column is missing"),
        ({"demand_quantiles": forecast({"x": 1.0}).drop("q0.1", "q0.5")}, "two columns or more of quantiles"),
        ({"demand_quantiles": forecast({"x": 1.0}).head(0)}, "no rows"),
        ({"demand_quantiles": forecast({"x": float("nan")})}, "demand_quantiles.q0.1: expected finite numbers"),
        ({"demand_quantiles": forecast({"x": 1.0, "y": 1.0}).head(27)}, "the same days of every series"),
        ({"demand_quantiles": pl.concat([forecast({"x": 1.0})] * 2)}, "the same days of every series"),
        ({"demand_quantiles": forecast({"x": 1e9})}, "count in cases"),
    ],
)
def test_safety_stock_says_what_is_wrong(change, told):
    given = {
        "demand_quantiles": forecast({"x": 1.0}),
        "lead_time": 3,
        "service_level": 0.9,
        "review_days": 2,
        "paths": 50,
    }
    given |= change
    with pytest.raises(onhand.InvalidInput, match=told):
        onhand.safety_stock(given.pop("demand_quantiles"), given.pop("lead_time"), **given)


def test_transfers_by_name():
    demand = forecast({("tee", "a"): 2.0, ("tee", "b"): 0.1, ("cap", "a"): 1.0}, ("sku", "node"))
    held = stock([("tee", "b", 60), ("tee", "c", 2), ("cap", "a", 30)])
    found = onhand.rebalance(demand, held, lanes(co2_g_per_kg=50, kg_minor=10), items=pl.DataFrame(
        {"sku": ["tee", "unknown"], "weight_kg": [0.5, 1.0], "size": [2.0, 1.0]}))  # fmt: skip
    rows = found.transfers.to_dicts()
    assert {(r["sku"], r["target"]) for r in rows} == {("tee", "a")}
    assert {r["source"] for r in rows} <= {"b", "c"}
    for row in rows:
        assert row["cost_minor"] == pytest.approx(row["quantity"] * 35)
        assert row["co2_g"] == pytest.approx(row["quantity"] * 25)
        assert row["expected_in_days"] == 2
        assert row["gain_low_minor"] <= row["gain_minor"] <= row["gain_high_minor"]
    assert found.gap == 0
    assert found.gain_minor == pytest.approx(found.bound_minor)


def test_made_transfers_are_not_proposed_again():
    demand = forecast({("tee", "a"): 2.0, ("tee", "b"): 0.1}, ("sku", "node"))
    first = onhand.rebalance(demand, stock([("tee", "b", 60), ("tee", "a", 0)]), lanes(("a", "b")))
    moved = int(first.transfers["quantity"].sum())
    after = stock([("tee", "b", 60 - moved), ("tee", "a", 0)]).with_columns(coming=pl.Series([0, moved]))
    assert moved > 0
    assert len(onhand.rebalance(demand, after, lanes(("a", "b"))).transfers) == 0
    just = pl.DataFrame({"sku": ["tee"], "source": ["b"], "target": ["a"], "days_ago": [1.0]})
    assert len(onhand.rebalance(demand, stock([("tee", "b", 60)]), lanes(("a", "b")), recent=just).transfers) == 0


def test_rooms_of_lanes_and_docks_are_kept():
    demand = forecast({("tee", "a"): 3.0, ("cap", "a"): 3.0}, ("sku", "node"))
    held = stock([("tee", "b", 60), ("cap", "b", 60), ("cap", "c", 60)])
    found = onhand.rebalance(demand, held, lanes(room=10.0), docks=pl.DataFrame({"node": ["a"], "room_in": [15.0]}))
    by_lane = found.transfers.group_by("source").agg(pl.col("quantity").sum())
    assert (by_lane["quantity"] <= 10).all()
    assert found.transfers["quantity"].sum() <= 15


def test_one_node_and_no_stock():
    demand = forecast({("tee", "a"): 3.0}, ("sku", "node"))
    assert len(onhand.rebalance(demand, stock([("tee", "a", 5)]), lanes(("a", "b"))).transfers) == 0
    assert len(onhand.rebalance(demand, stock([("tee", "b", 0)]), lanes()).transfers) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stock": stock([("tee", "a", -1)])}, "stock.available: expected whole numbers of at least 0"),
        ({"stock": stock([("tee", "a", 1)], worth=float("nan"))}, "stock.worth_minor"),
        ({"stock": stock([("tee", "a", 1), ("tee", "a", 2)])}, "each sku at each node once"),
        ({"stock": stock([("tee", "a", 1)]).drop("node")}, "stock.node: the column is missing"),
        ({"stock": stock([("tee", "a", 10**10)])}, "stock of 0 to"),
        ({"lanes": pl.concat([lanes()] * 2)}, "each lane once"),
        ({"lanes": lanes(cost_minor=-1)}, "unit_minor of at least 0"),
        ({"lanes": lanes(room=-1.0)}, "room of at least 0"),
        ({"lanes": lanes().with_columns(lead_days=pl.lit("soon"))}, "lanes.lead_days: expected whole numbers"),
        ({"items": pl.DataFrame({"sku": ["tee"], "size": [0.0]})}, "size above 0"),
        ({"horizon_days": 0}, "horizon_days"),
        ({"sd_share": -1}, "sd_share"),
        ({"paths": 3}, "paths"),
    ],
)
def test_rebalance_says_what_is_wrong(change, told):
    given = {"stock": stock([("tee", "b", 10)]), "lanes": lanes()} | change
    with pytest.raises(onhand.InvalidInput, match=told):
        onhand.rebalance(
            forecast({("tee", "a"): 2.0}, ("sku", "node")), given.pop("stock"), given.pop("lanes"), **given
        )


def test_large_numbers_are_no_trouble():
    demand = forecast({("tee", "a"): 1e5, ("tee", "b"): 1.0}, ("sku", "node"))
    found = onhand.rebalance(demand, stock([("tee", "b", 10**7)]), lanes(("a", "b")))
    assert 10**5 < found.transfers["quantity"].sum() < 10**7
    assert np.isfinite(found.gain_minor)
