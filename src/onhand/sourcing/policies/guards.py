"""Whether a canary does worse than the active version: a test that may be asked at any time, again and again. Pure.

Guards are judged every few minutes while orders come in. A test for one look, asked a hundred times, would take back a
sound canary in a third of the cases and more. So this is an anytime-valid one: the canary is in breach when the lower
end of a one-sided confidence *sequence* of the difference lies above what the guard allows. It is Robbins' normal
mixture in its asymptotic form (I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, "Time-uniform central
limit theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024, section on one-sided bounds):

    radius(n) = s / sqrt(n) * sqrt(2 (n r^2 + 1) / (n r^2) * log(1 + sqrt(n r^2 + 1) / (2 alpha)))

with n the orders of the canary, s the standard deviation of the difference per order of the canary, and r chosen so
that the bound is tightest when the guard's `min_orders` have come. Over the whole life of a canary, all its guards
together take back a sound one with probability `ALPHA` at most (divided among the guards, Bonferroni).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from onhand.sourcing.policies.model import GuardIn, Metric

ALPHA: Final = 0.05

SHARES: Final[frozenset[Metric]] = frozenset({"split_share", "late_share", "unfillable_share"})
"""Metrics whose `worse_by` is in points; that of the others is relative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the orders of one version came to: how many, their mean and variance (of one order)."""

    orders: int
    mean: float
    variance: float

    @classmethod
    def of_amounts(cls, orders: int, total: float, total_of_squares: float) -> "Sample":
        """Of amounts per order, from their sums."""
        if orders == 0:
            return cls(orders=0, mean=0.0, variance=0.0)
        mean = total / orders
        return cls(
            orders=orders, mean=mean, variance=max(0.0, total_of_squares - orders * mean * mean) / max(1, orders - 1)
        )

    @classmethod
    def of_share(cls, orders: int, hits: int) -> "Sample":
        """Of a yes or no per order. The variance has one yes and one no more (A. Agresti and B. Caffo, 2000): without
        them a share of 0 would be taken for certain."""
        share = hits / orders if orders else 0.0
        softened = (hits + 1) / (orders + 2)
        return cls(orders=orders, mean=share, variance=softened * (1 - softened))


Metrics = Mapping[Metric, Sample]
"""What the orders of one version came to, by metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A guard that the canary broke.

    canary, active  means
    allowed         the highest mean the guard allows
    surely          the canary's excess over what is allowed, at least, with the confidence of the test; above 0
    """

    metric: Metric
    canary: float
    active: float
    allowed: float
    surely: float
    orders: int

    def __str__(self) -> str:
        return (
            f"{self.metric} of the canary is {self.canary:.4g} after {self.orders} orders, of the active version"
            f" {self.active:.4g}; allowed is {self.allowed:.4g}"
        )


def judge(guards: Sequence[GuardIn], canary: Metrics, active: Metrics, *, alpha: float = ALPHA) -> Breach | None:
    """The first guard that the canary breaks, or None. A guard waits until both versions have its `min_orders`.

    alpha  probability, over all looks and guards, that a canary which is just as bad as allowed is taken back
    """
    for guard in guards:
        ours, theirs = canary.get(guard.metric), active.get(guard.metric)
        if ours is None or theirs is None or min(ours.orders, theirs.orders) < guard.min_orders:
            continue
        scale, points = _allowance(guard)
        excess = ours.mean - scale * theirs.mean - points
        # Per order of the canary: the active version's part counts by how many orders it stands on.
        variance = ours.variance + scale * scale * theirs.variance * ours.orders / theirs.orders
        surely = excess - _radius(variance, ours.orders, guard.min_orders, alpha / len(guards))
        if surely > 0:
            return Breach(
                metric=guard.metric,
                canary=ours.mean,
                active=theirs.mean,
                allowed=scale * theirs.mean + points,
                surely=surely,
                orders=ours.orders,
            )
    return None


def _allowance(guard: GuardIn) -> tuple[float, float]:
    """(factor, points): allowed is factor x mean of the active version + points."""
    return (1.0, guard.worse_by) if guard.metric in SHARES else (1.0 + guard.worse_by, 0.0)


def _radius(variance: float, orders: int, tightest_at: int, alpha: float) -> float:
    """Half-width of the confidence sequence, one-sided; see the formula above."""
    # Equation (in the notes on tuning of the same paper) for the r that makes it tightest at that time.
    logs = -2.0 * math.log(2.0 * alpha)
    per_order = (logs + math.log(1.0 + logs)) / tightest_at if logs > 0 else 1.0 / tightest_at
    scaled = orders * per_order
    return math.sqrt(
        variance / orders * 2.0 * (scaled + 1.0) / scaled * math.log(1.0 + math.sqrt(scaled + 1.0) / (2.0 * alpha))
    )
