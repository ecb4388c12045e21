"""`onhand.safety_stock`: how much to keep against what is not known of demand and of lead time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onhand.errors import InvalidInput
from onhand.library.tables import Frame, expected_of, in_range, read, same_library
from onhand.planning.across import OUTSIDE, Across, Tree, own_days, place_forecast, trees_of
from onhand.planning.protection import DAYS_MAX, Expected, drawn_totals
from onhand.planning.safety_stock import Targets, for_fill_rate, for_service, service_of_costs

# Rows whose draws are in memory at a time.
_ROWS_AT_ONCE = 4_096


def safety_stock(
    demand_quantiles: Frame,
    lead_time: float | Frame,
    *,
    service_level: float | None = None,
    fill_rate: float | None = None,
    costs: Frame | None = None,
    lanes: Frame | None = None,
    carrying: Frame | None = None,
    review_days: int = 1,
    correlation: float = 0.5,
    paths: int = 2_000,
    seed: int = 0,
) -> Any:
    """Safety stock and order-up-to level of each series.

    demand_quantiles  unique_id, ds and q0.05 ... q0.95 of each day, as `onhand.forecast` answers
    lead_time         days, or a table of observed lead times: days, and unique_id where they differ by series; each row
                      is as likely as another
    service_level     chance that all demand until the next order is there can be served, in [0, 1); or
    fill_rate         share of demand that is served at least, in [0, 1); or
    costs             unique_id, stockout_minor of a unit not served, carrying_minor of a unit kept for a day: the level
                      at which the last unit costs as much as it saves
    lanes             source, target, lead_days: a series that feeds another, such as an item at a central node and at
                      a store. What is kept is then placed where it costs least: each series quotes those it feeds a
                      time in which it delivers, and serves its own demand at once. A target has one source, can be
                      sent to every day, and needs no lead time; a series without demand of its own has quantiles of 0
    carrying          unique_id, carrying_minor of a unit kept for a day, which lanes are used by; that of `costs` if
                      these are given, and else the same for all
    review_days       days from one chance to order to the next
    correlation       of one day's deviation from its forecast with the next day's
    paths             draws of demand and lead time, even

    Returns a frame of the same library: unique_id, order_up_to, safety_stock (units beyond mean demand), mean (demand
    of lead and review time), service_level (reached), short (units expected to be missing); with lanes also
    inbound_days (that its source quotes it) and quoted_days (that it quotes those it feeds), and the others are of the
    days and the demand that its stock covers, that of those it feeds included. Days beyond the forecast are like its
    last week. Raises InvalidInput.
    """
    chosen = [name for name, given in (("service_level", service_level), ("fill_rate", fill_rate), ("costs", costs))
              if given is not None]  # fmt: skip
    if len(chosen) != 1:
        raise InvalidInput.at("service_level", "expected one of service_level, fill_rate and costs")
    if isinstance(review_days, bool) or not 1 <= review_days <= DAYS_MAX:
        raise InvalidInput.at("review_days", f"expected 1 to {DAYS_MAX} days, got {review_days!r}")
    if paths < 2 or paths % 2:
        raise InvalidInput.at("paths", f"expected an even number, got {paths!r}")
    in_range("correlation", correlation, 0, 1)
    series, expected = expected_of(demand_quantiles, "demand_quantiles", ("unique_id",))
    lead = _lead_days(lead_time, series["unique_id"])
    count = len(series)
    target = fill_rate if fill_rate is not None else service_level
    share = np.full(count, 0.0 if target is None else in_range(chosen[0], target, 0, 1))
    if costs is not None:
        share = _service_of(costs, series, review_days)
    parts = [
        _targets(
            Expected(levels=expected.levels, quantiles=expected.quantiles[rows]), lead[rows], review_days, share[rows],
            by_fill=fill_rate is not None, draws=(paths, correlation, seed + rows.start),
        )
        for rows in (slice(n, min(n + _ROWS_AT_ONCE, count)) for n in range(0, count, _ROWS_AT_ONCE))
    ]  # fmt: skip
    if carrying is not None and (lanes is None or costs is not None):
        raise InvalidInput.at("carrying", "expected it with lanes, and without costs, which say it too")
    told = {"order_up_to": "order_up_to", "safety_stock": "safety_stock", "mean": "mean", "service_level": "service",
            "short": "short"}  # fmt: skip
    columns = {name: np.concatenate([getattr(part, field) for part in parts]) for name, field in told.items()}
    if lanes is not None:
        told_costs = costs if carrying is None else carrying
        holding = np.ones(count)
        if told_costs is not None:
            holding = _carrying_of(told_costs, series, "costs" if carrying is None else "carrying")
        columns |= {"inbound_days": np.zeros(count, np.int64), "quoted_days": np.zeros(count, np.int64)}
        for rows, across in _placed(
            _sources(lanes, series["unique_id"]), expected, (lead, review_days), share, holding,
            fill_rate=fill_rate, draws=(paths, correlation, seed),
        ):  # fmt: skip
            for name, field in told.items():
                columns[name][rows] = getattr(across.targets, field)
            columns["inbound_days"][rows], columns["quoted_days"][rows] = across.inbound_days, across.quoted_days
    return same_library(demand_quantiles, {"unique_id": series["unique_id"].to_list()} | columns)


def _placed(
    fed: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], expected: Expected,
    time: tuple[npt.NDArray[np.int64], int], share: npt.NDArray[np.float64], holding: npt.NDArray[np.float64], *,
    fill_rate: float | None, draws: tuple[int, float, int],
) -> Iterator[tuple[npt.NDArray[np.int64], Across]]:  # fmt: skip
    """(rows of the series, what is kept at them) of those that lanes connect. fed: source and days of the lane of each
    series; time: lead times int64[n, K], and days from one chance to order to the next"""
    (source, lane_days), (lead, review_days), (paths, correlation, seed) = fed, time, draws
    try:
        for rows in trees_of(source):
            at = {row: n for n, row in enumerate(rows.tolist())}
            fed_by = np.array([at.get(int(row), OUTSIDE) for row in source[rows]], np.int64)
            root = rows[fed_by == OUTSIDE][0]
            days = own_days(fed_by, lane_days[rows], lead[root], review_days, float(share[rows].max()))
            yield (
                rows,
                place_forecast(
                    Tree(source=fed_by, days=days, holding=holding[rows], service=share[rows]),
                    Expected(levels=expected.levels, quantiles=expected.quantiles[rows]),
                    fill_rate=fill_rate, paths=paths, correlation=correlation, seed=seed + int(root),
                ),
            )  # fmt: skip
    except ValueError as error:
        raise InvalidInput.at("lanes", str(error)) from None


def _sources(lanes: Frame, ids: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(row of the series that feeds each, or OUTSIDE; days of the lane)."""
    table = read(lanes, "lanes", {"source": "text", "target": "text", "lead_days": "whole"})
    if table["target"].is_duplicated().any():
        raise InvalidInput.at("lanes.target", "expected each series to be fed by one other")
    row = {unique_id: n for n, unique_id in enumerate(ids.to_list())}
    source, days = np.full(len(ids), OUTSIDE, np.int64), np.zeros(len(ids), np.int64)
    for k, to, lasts in table.select("source", "target", "lead_days").iter_rows():
        for name, end in (("source", k), ("target", to)):
            if end not in row:
                raise InvalidInput.at(f"lanes.{name}", f"no series {end!r} in demand_quantiles")
        source[row[to]], days[row[to]] = row[k], lasts
    return source, days


def _targets(
    expected: Expected, lead: npt.NDArray[np.int64], review_days: int, share: npt.NDArray[np.float64], *,
    by_fill: bool, draws: tuple[int, float, int],
) -> Targets:  # fmt: skip
    paths, correlation, seed = draws
    try:
        before, after = drawn_totals(expected, lead, review_days, paths=paths, correlation=correlation, seed=seed)
    except ValueError as error:
        raise InvalidInput.at("lead_time", str(error)) from None
    cycle_mean = after.mean(axis=1)
    demand = before + after
    demand.sort(axis=1)
    return for_fill_rate(demand, cycle_mean, share) if by_fill else for_service(demand, share)


def _lead_days(lead_time: float | Frame, ids: pl.Series) -> npt.NDArray[np.int64]:
    """int64[n, K], equally likely."""
    if isinstance(lead_time, int | float):
        days = in_range("lead_time", lead_time, 0, DAYS_MAX + 1)
        if days != int(days):
            raise InvalidInput.at("lead_time", f"expected whole days, got {lead_time!r}")
        return np.full((len(ids), 1), int(days))
    by_series = "unique_id" in set(lead_time.columns)
    table = read(lead_time, "lead_time", {"days": "whole"}, {"unique_id": "text"})
    if not len(table):
        raise InvalidInput.at("lead_time", "it has no rows")
    if not by_series:
        return np.tile(table["days"].sort().to_numpy(), (len(ids), 1))
    observed = table.group_by("unique_id").agg(pl.col("days").sort())
    joined = pl.DataFrame({"unique_id": ids}).join(observed, on="unique_id", how="left", maintain_order="left")
    without = joined.filter(pl.col("days").is_null())["unique_id"].to_list()
    if without:
        raise InvalidInput.at(
            "lead_time.unique_id", f"{len(without)} series have no lead time: {', '.join(without[:5])}"
        )
    lists = joined["days"].to_list()
    # As many support points for each as the largest set has: quantiles of their own.
    most = min(max(map(len, lists)), 200)
    ranks = (np.arange(most) + 0.5) / most
    return np.array([[days[int(rank * len(days))] for rank in ranks] for days in lists], np.int64)


def _carrying_of(given: Frame, series: pl.DataFrame, what: str) -> npt.NDArray[np.float64]:
    table = read(given, what, {"unique_id": "text", "carrying_minor": "number"}).unique("unique_id")
    joined = series.join(table, on="unique_id", how="left", maintain_order="left")["carrying_minor"]
    if joined.null_count() or (joined < 0).any():
        raise InvalidInput.at(f"{what}.carrying_minor", "expected a number of at least 0 for every series")
    return joined.to_numpy()


def _service_of(costs: Frame, series: pl.DataFrame, review_days: int) -> npt.NDArray[np.float64]:
    table = read(costs, "costs", {"unique_id": "text", "stockout_minor": "number", "carrying_minor": "number"})
    if table["unique_id"].n_unique() < len(table):
        raise InvalidInput.at("costs.unique_id", "expected each series once")
    joined = series.join(table, on="unique_id", how="left", maintain_order="left")
    without = joined.filter(pl.col("stockout_minor").is_null())["unique_id"].to_list()
    if without:
        raise InvalidInput.at("costs.unique_id", f"{len(without)} series have no costs: {', '.join(without[:5])}")
    try:
        return service_of_costs(joined["stockout_minor"].to_numpy(), joined["carrying_minor"].to_numpy() * review_days)
    except ValueError as error:
        raise InvalidInput.at("costs", str(error)) from None
