"""Slow stock: to where it sells, or cheaper.

What lies beyond the demand that a node may see within the horizon is excess. It is moved where it will be missed and
the way is worth it (rebalance.py); for what stays the price is looked for that brings most: demand at a share r of the
price is r^−ε times as large (constant elasticity; elasticity.py estimates ε, or says what is usual).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from onhand.planning.elasticity import USUAL_ELASTICITY
from onhand.planning.protection import Expected, drawn_totals
from onhand.planning.rebalance import Caution, Stocked, Transfers, rebalance
from onhand.planning.transfers import Lanes

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Shares of the price that shops use.
_RATIOS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Markdowns:
    """item, node int64[m]; `ratio` of the price to ask; units expected to be sold beyond those at the full price; gain
    expected until the horizon, below gain_low, gain_high in 5 and 95 of 100 draws of demand."""

    item: Int64
    node: Int64
    ratio: Float64
    units: Float64
    gain: Float64
    gain_low: Float64
    gain_high: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """cover_days, excess: float64, int64[item, node]; cover is infinite where nobody asks."""

    cover_days: Float64
    excess: Int64
    transfers: Transfers
    markdowns: Markdowns


def prune(
    expected: Expected, stocked: Stocked, lanes: Lanes, lead_days: Int64, price: Float64, *,
    horizon_days: int = 60, enough: float = 0.95, elasticity: npt.ArrayLike = USUAL_ELASTICITY,
    caution: Caution | None = None, paths: int = 200, correlation: float = 0.5, seed: int = 0,
) -> Pruned:  # fmt: skip
    """Excess of each item at each node, and what to do about it.

    expected, stocked, lanes, lead_days  as `rebalance` takes them; `stocked.left`: what a unit is worth that is unsold
                 at the horizon (of fashion at the season's end little, and less at a slow store)
    price        float64[item], money for a unit at full price
    enough       excess is what lies beyond this quantile of demand within the horizon
    elasticity   float or float[item]: how many per cent more are sold at a price lower by one per cent; above 1, or no
                 markdown pays

    Raises ValueError.
    """
    items, nodes = stocked.stock.shape
    if price.shape != (items,) or not np.isfinite(price).all() or (price < 0).any():
        raise ValueError(f"expected a price of at least 0 for each of {items} items")
    rising = np.broadcast_to(np.asarray(elasticity, np.float64), items)
    if not np.isfinite(rising).all() or (rising < 0).any():
        raise ValueError(f"expected an elasticity of at least 0, got {elasticity}")
    if not 0 < enough < 1:
        raise ValueError(f"expected enough in (0, 1), got {enough}")
    moved = rebalance(
        expected, _only_excess(expected, stocked, horizon_days, enough, paths, correlation, seed), lanes, lead_days,
        horizon_days=horizon_days, caution=caution, paths=paths, correlation=correlation, seed=seed,
    )  # fmt: skip
    _, demand = drawn_totals(
        expected, np.zeros((items * nodes, 1)), horizon_days, paths=paths, correlation=correlation, seed=seed
    )
    demand.sort(axis=1)
    mean = demand.mean(axis=1).reshape(items, nodes) / horizon_days
    stock = stocked.stock + stocked.coming
    excess = np.maximum(stock - _quantile(demand, enough).reshape(items, nodes), 0)
    left = stock.copy()
    np.subtract.at(left, (moved.item, moved.source), moved.units)
    np.add.at(left, (moved.item, moved.target), moved.units)
    cover = np.divide(stock, mean, out=np.full(stock.shape, np.inf), where=mean > 0)
    return Pruned(
        cover_days=np.where(stock > 0, cover, 0.0),
        excess=excess,
        transfers=moved,
        markdowns=_markdowns(demand, left, np.maximum(left - (stock - excess), 0), stocked, price, rising),
    )


def _only_excess(
    expected: Expected, stocked: Stocked, horizon_days: int, enough: float, paths: int, correlation: float, seed: int
) -> Stocked:
    """The same stock, of which nothing may leave that is needed where it is."""
    if horizon_days < 1:
        raise ValueError("expected a horizon of a day or more")
    _, demand = drawn_totals(
        expected, np.zeros((stocked.stock.size, 1)), horizon_days, paths=paths, correlation=correlation, seed=seed
    )
    demand.sort(axis=1)
    needed = _quantile(demand, enough).reshape(stocked.stock.shape)
    excess = np.maximum(stocked.stock + stocked.coming - needed, 0)
    return replace(stocked, movable=np.minimum(stocked.movable, np.minimum(excess, stocked.stock)))


def _quantile(demand: npt.NDArray[np.int32], share: float) -> Int64:
    paths = demand.shape[1]
    return demand[:, min(math.ceil(share * paths) - 1, paths - 1)].astype(np.int64)


def _markdowns(
    demand: npt.NDArray[np.int32], stock: Int64, excess: Int64, stocked: Stocked, price: Float64, elasticity: Float64
) -> Markdowns:
    nodes = stock.shape[1]
    row = np.flatnonzero(excess.ravel() > 0)
    item = row // nodes
    units, left = stock.ravel()[row][:, None], stocked.left.ravel()[row][:, None]
    asked, full = demand[row].astype(np.float64), price[item][:, None]
    sold = np.minimum(asked, units)
    base = full * sold + left * (units - sold)
    best = np.zeros(len(row))
    ratio, more, low, high = np.ones(len(row)), np.zeros(len(row)), np.zeros(len(row)), np.zeros(len(row))
    rises = -elasticity[item][:, None]
    for share in _RATIOS:
        cheaper = np.minimum(asked * share**rises, units)
        gain = full * share * cheaper + left * (units - cheaper) - base
        mean = gain.mean(axis=1)
        better = mean > best
        best[better], ratio[better] = mean[better], share
        more[better] = (cheaper - sold).mean(axis=1)[better]
        low[better], high[better] = np.quantile(gain[better], (0.05, 0.95), axis=1)
    pays = ratio < 1
    return Markdowns(
        item=item[pays], node=(row % nodes)[pays], ratio=ratio[pays], units=more[pays], gain=best[pays],
        gain_low=low[pays], gain_high=high[pays],
    )  # fmt: skip
