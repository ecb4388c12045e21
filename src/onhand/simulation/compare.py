"""Two replays of one history, order by order: what differs, and how sure that is.

Both policies meet the same orders and the same luck, so the differences are paired. Orders are not independent, because
they share stock and days of capacity: an order that takes the last unit decides about the next ones. An interval from
single orders would be too narrow. So the mean of the difference is estimated by non-overlapping batch means: the
period is cut into at most 30 blocks of consecutive orders, long against the time for which stock remembers, and
Student's t is used on their means (Law, "Simulation Modeling and Analysis", 5th ed. 2015, 9.5.3; 10 to 30 batches:
Schmeiser 1982, "Batch size effects in the analysis of simulation output"). Whether the blocks are long enough is
checked by how much one tells of the next (`Difference.carry_over`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.orders.model import TERMS
from onhand.simulation.history import History
from onhand.simulation.replay import PAID, Outcome

Float64 = npt.NDArray[np.float64]

BLOCKS_MAX: Final = 30
ORDERS_PER_BLOCK_MIN: Final = 5
CONFIDENCE: Final = 0.95


class Metric(NamedTuple):
    """What is compared. better: -1 less is, 1 more is, 0 neither.

    scale  from the unit of the values to the one that people read
    """

    key: str
    name: str
    unit: str
    better: int
    scale: float = 1.0


_OWN: Final = (
    Metric("paid_minor", "Paid: shipping, handling, tax and duty", "money", -1),
    Metric("paid_alike_minor", "Paid, of orders that both serve in full", "money", -1),
    Metric("profit_minor", "Profit", "money", 1),
    Metric("fulfilments", "Fulfilments", "", -1),
    Metric("split", "Orders that are split", "%", -1, 100.0),
    Metric("parcels", "Parcels", "", -1),
    Metric("days", "Days until all is there, expected", "days", -1),
    Metric("arrived_days", "Days until all is there, as it happened", "days", -1),
    Metric("late", "Orders that are late", "%", -1, 100.0),
    Metric("broken", "Orders later than promised", "%", -1, 100.0),
    Metric("co2_g", "CO2", "g", -1),
    Metric("filled", "Units that are served, of an order", "%", 1, 100.0),
    Metric("unserved", "Orders of which nothing is served", "%", -1, 100.0),
    Metric("rejected_lines", "Lines that nodes reject", "", -1),
    Metric("cost_minor", "All cost terms, at the policy's own prices", "money", 0),
)


def metrics(terms: Sequence[str] = TERMS, paid: Sequence[str] = PAID) -> tuple[Metric, ...]:
    """All that is compared, with these cost terms, of which `paid` are money that is really paid."""
    return (
        *_OWN,
        *(
            Metric(f"term_{name}", name.replace("_", " ").capitalize(), "money", -1 if name in paid else 0)
            for name in terms
        ),
    )


METRICS: Final = metrics()
"""Means over orders. Prices that a policy sets itself, such as that of a day, are not comparable (better: 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the mean over orders of one metric differs: candidate less baseline, with its 95 % interval.

    low, high   of the difference; NaN: fewer than two blocks
    orders      that have a value under both
    carry_over  correlation of a block's mean with that of the next: far from 0, the interval is too narrow
    """

    metric: Metric
    baseline: float
    candidate: float
    difference: float
    low: float
    high: float
    orders: int
    blocks: int
    carry_over: float

    @property
    def is_certain(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def is_suspicious(self) -> bool:
        """Whether blocks tell so much of each other that the interval may be too narrow: beyond what independent ones
        show one time in twenty."""
        return self.blocks > 1 and abs(self.carry_over) > 2.0 / math.sqrt(self.blocks)

    @property
    def verdict(self) -> str:
        """better, worse, different (where neither is better) or same (as far as can be told)."""
        if not self.is_certain:
            return "same"
        if not self.metric.better:
            return "different"
        return "better" if (self.difference > 0) == (self.metric.better > 0) else "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two replays of a history, and how they differ."""

    baseline: Outcome
    candidate: Outcome
    differences: tuple[Difference, ...]

    def of(self, key: str) -> Difference:
        """The difference of one metric. KeyError when it was not measured."""
        found = next((d for d in self.differences if d.metric.key == key), None)
        if found is None:
            raise KeyError(key)
        return found


def compare(history: History, baseline: Outcome, candidate: Outcome) -> Comparison:
    """How `candidate` differs from `baseline`; both are replays of `history` with the same settings."""
    if baseline.settings != candidate.settings:
        raise ValueError("expected replays with the same settings")
    ours, theirs = values(history, baseline), values(history, candidate)
    alike = (baseline.served == baseline.asked) & (candidate.served == candidate.asked)
    for each in (ours, theirs):
        each["paid_alike_minor"] = np.where(alike, each["paid_minor"], np.nan)
    measured = [m for m in metrics(baseline.terms, baseline.paid) if m.key in ours]
    return Comparison(
        baseline=baseline,
        candidate=candidate,
        differences=tuple(difference(m, ours[m.key], theirs[m.key]) for m in measured),
    )


def values(history: History, outcome: Outcome) -> dict[str, Float64]:
    """float64[orders] of each metric, NaN where an order has none: what is not served in full has no day on which all
    is there."""
    f, count = outcome.fulfilments, len(history)

    def total(of_fulfilment: npt.NDArray[Any]) -> Float64:
        return np.bincount(f.order, of_fulfilment.astype(np.float64), count).astype(np.float64)

    terms = {name: total(f.terms[:, n]) for n, name in enumerate(outcome.terms)}
    # Terms of others as they are paid, not as the policy weighs them.
    paid = sum((terms[name] for name in PAID), total(f.others))
    fulfilments = np.bincount(f.order, minlength=count).astype(np.float64)
    complete = outcome.served == outcome.asked
    days, arrived = _last(f.order, f.days, count), _last(f.order, f.arrived, count)
    found = {
        "paid_minor": paid,
        "fulfilments": fulfilments,
        "split": (fulfilments > 1).astype(np.float64),
        "parcels": total(f.parcels),
        "days": np.where(complete, days, np.nan),
        "arrived_days": np.where(complete, arrived, np.nan),
        "late": np.where(complete, arrived > outcome.settings.target_days, np.nan),
        "broken": np.where(complete, total(f.broken) > 0, np.nan),
        "co2_g": total(f.grams),
        "filled": outcome.served / np.maximum(outcome.asked, 1),
        "unserved": (outcome.served == 0).astype(np.float64),
        "rejected_lines": outcome.rejected.astype(np.float64),
        "cost_minor": total(f.terms.sum(axis=1)),
        **{f"term_{name}": column for name, column in terms.items()},
    }
    orders, p = history.orders, outcome.picks
    if orders.price is not None and orders.cost is not None:
        worth = (orders.price[p.demand] - orders.cost[p.demand]) * p.units
        kept = ~p.is_rejected
        found["profit_minor"] = np.bincount(p.order[kept], worth[kept], count) - paid
    return found


def _last(order: npt.NDArray[np.int32], moment: Float64, count: int) -> Float64:
    last = np.full(count, -np.inf)
    np.maximum.at(last, order, moment)
    return last


def difference(metric: Metric, baseline: Float64, candidate: Float64) -> Difference:
    """The paired difference of two columns, float64[orders] in order of time, NaN where an order has no value."""
    both = ~(np.isnan(baseline) | np.isnan(candidate))
    ours, theirs = baseline[both], candidate[both]
    count = int(both.sum())
    if not count:
        nan = math.nan
        return Difference(
            metric=metric, baseline=nan, candidate=nan, difference=nan, low=nan, high=nan, orders=0, blocks=0,
            carry_over=nan,
        )  # fmt: skip
    means = block_means(theirs - ours)
    mean = float((theirs - ours).mean())
    half = math.nan
    if len(means) > 1:
        half = t_quantile(0.5 + CONFIDENCE / 2, len(means) - 1) * float(means.std(ddof=1)) / math.sqrt(len(means))
    return Difference(
        metric=metric,
        baseline=float(ours.mean()),
        candidate=float(theirs.mean()),
        difference=mean,
        low=mean - half,
        high=mean + half,
        orders=count,
        blocks=len(means),
        carry_over=_carry_over(means),
    )


def block_means(values: Float64) -> Float64:
    """Means of blocks of consecutive values whose sizes differ by at most 1."""
    blocks = max(1, min(BLOCKS_MAX, len(values) // ORDERS_PER_BLOCK_MIN))
    edges = np.linspace(0, len(values), blocks + 1).astype(np.int64)
    return np.add.reduceat(values, edges[:-1]) / np.diff(edges)


def _carry_over(means: Float64) -> float:
    away = means - means.mean()
    spread = float((away**2).sum())
    return float((away[1:] * away[:-1]).sum()) / spread if spread > 0 else 0.0


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t, by bisection of its distribution function to 1e-10.

    For whole degrees of freedom the function is a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
    """
    low, high = 0.0, 1e6
    while high - low > 1e-10 * max(1.0, low):
        middle = (low + high) / 2
        if _t_inside(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_inside(t: float, freedom: int) -> float:
    """P(-t < T < t)."""
    theta = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for power in range(odd, freedom - 2, 2):
        term *= (power + 1) / (power + 2) * cosine**2
        total += term
    return 2 / math.pi * (theta + sine * total) if odd else sine * total
