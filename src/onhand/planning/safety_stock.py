"""How much to keep of each item at each node against what is not known: of demand, and of lead time.

All functions take demand over lead and review time as sorted, equally likely draws (protection.py), so they are exact
for that distribution. What more uncertainty does:

- By fill rate the safety stock never falls under a mean-preserving spread of demand over the protection time: E(D − S)+
  rises for every S (the convex order; Shaked and Shanthikumar 2007, 3.A). A spread of the lead time is such a spread
  where days are alike and independent of it (theorem 3.A.21 there).
- By service level (a quantile) it does so if the spread stretches demand away from its mean, D' = m + k (D − m) with
  k >= 1; among symmetric distributions such as the normal that is: at a service level of 0.5 or more. A spread of
  another kind can move a quantile either way: a chance in a hundred of a huge order does not touch the 90 % quantile.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """For each row, over its protection time.

    order_up_to   int64[n], units that on hand and on order should come to after an order
    safety_stock  float64[n], units of it beyond mean demand, at least 0
    mean          float64[n], units expected to be asked for
    service       float64[n], chance that all of it can be served
    short         float64[n], units expected to be missing
    """

    order_up_to: Int64
    safety_stock: Float64
    mean: Float64
    service: Float64
    short: Float64


def service_of_costs(stockout: npt.ArrayLike, carrying: npt.ArrayLike) -> Float64:
    """The service level at which the last unit costs as much as it saves, p / (p + h) (Arrow, Harris, Marschak 1951).

    stockout  cost of a unit that is asked for and not there: margin, and goodwill
    carrying  cost of a unit that is left, over one review time: capital, room, ageing

    0 where a stock-out costs nothing. Raises ValueError for what is negative or not a number.
    """
    short, left = np.broadcast_arrays(np.asarray(stockout, np.float64), np.asarray(carrying, np.float64))
    for name, cost in (("stockout", short), ("carrying", left)):
        if not np.isfinite(cost).all() or (cost < 0).any():
            raise ValueError(f"expected a {name} cost that is finite and at least 0")
    if ((left == 0) & (short > 0)).any():
        raise ValueError("expected a carrying cost above 0: what costs nothing to keep has no limit")
    both = short + left
    return np.divide(short, both, out=np.zeros_like(both), where=both > 0)


def for_service(demand: Int32, service: npt.ArrayLike) -> Targets:
    """The least whole level that serves all demand with this chance: a quantile of what was drawn.

    demand   int[n, P], each row sorted
    service  float or float[n], in [0, 1)
    """
    paths = _checked(demand)
    share = _shares("service", service, len(demand))
    rank = np.clip(np.ceil(share * paths - 1e-9).astype(np.int64) - 1, 0, paths - 1)
    level = demand[np.arange(len(demand)), rank].astype(np.int64)
    return described(demand, np.where(share > 0, level, 0))


def for_fill_rate(demand: Int32, cycle_mean: npt.ArrayLike, fill: npt.ArrayLike) -> Targets:
    """The least whole level at which at most 1 − fill of a review time's mean demand is missing at the end of the
    protection time (the usual bound on the true fill rate, which also knows what was missing before the last order
    came: Silver, Pyke and Thomas 2017, 7.7.10).

    demand      int[n, P], each row sorted
    cycle_mean  float[n], mean demand of a review time
    fill        float or float[n], in [0, 1)
    """
    paths = _checked(demand)
    share = _shares("fill", fill, len(demand))
    mean = np.asarray(cycle_mean, np.float64)
    if mean.shape != (len(demand),) or not np.isfinite(mean).all() or (mean < 0).any():
        raise ValueError(f"expected the mean demand of a review time of each of {len(demand)} rows")
    allowed = (1 - share) * mean * paths
    # Missing units at level d_k are Σ (d_j − d_k) over j > k: falling in k, straight between.
    sums = demand.astype(np.int64)
    above = sums.sum(axis=1, keepdims=True) - sums.cumsum(axis=1)
    missing = above - sums * (paths - 1 - np.arange(paths))
    enough = missing <= allowed[:, None] + 1e-9
    at = enough.argmax(axis=1)
    rows = np.arange(len(demand))
    # Below d_at each unit less adds as many missing units as there are draws from d_at on.
    spare = allowed - missing[rows, at]
    lower = np.where(at > 0, sums[rows, np.maximum(at - 1, 0)], 0)
    less = np.floor(spare / np.maximum(paths - at, 1) + 1e-9).astype(np.int64)
    return described(demand, np.maximum(sums[rows, at] - less, lower))


def described(demand: Int32, level: npt.ArrayLike) -> Targets:
    """What any level comes to. demand int[n, P], each row sorted; level int[n]"""
    paths = _checked(demand)
    units = np.maximum(np.asarray(level, np.int64), 0)
    mean = demand.mean(axis=1)
    served = np.minimum(demand, units[:, None])
    return Targets(
        order_up_to=units,
        safety_stock=np.maximum(units - mean, 0.0),
        mean=mean,
        service=(demand <= units[:, None]).sum(axis=1) / paths,
        short=mean - served.mean(axis=1),
    )


def _checked(demand: Int32) -> int:
    if demand.ndim != 2 or not demand.shape[1]:
        raise ValueError("expected demand [row, draw]")
    return demand.shape[1]


def _shares(name: str, given: npt.ArrayLike, rows: int) -> Float64:
    share = np.broadcast_to(np.asarray(given, np.float64), rows)
    if not np.isfinite(share).all() or (share < 0).any() or (share >= 1).any():
        raise ValueError(f"expected {name} of at least 0 and below 1")
    return share
