"""One item at one place: the classical policies, exact where exactness is known.

Costs are of one currency, demand and lead time of one unit of time; `holding` is charged a unit and unit of time,
`stockout` a unit that waits and unit of time, `fixed` an order. Symbols and equations follow Snyder and Shen (2019),
Fundamentals of Supply Chain Theory, 2nd ed., where they are cited by number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_STANDARD = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpTo:
    """Order up to `level` units; `cost` is expected, a period."""

    level: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LotSize:
    """Order `quantity` units at a time; `cost` a unit of time."""

    quantity: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReorderPoint:
    """(r, Q): order `quantity` when stock on hand and on order, less what waits, falls to `reorder`."""

    reorder: float
    quantity: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MinMax:
    """(s, S): at a review, at or below `low` order up to `high`; `cost` is expected, a period."""

    low: int
    high: int
    cost: float


def critical_ratio(*, holding: float, stockout: float) -> float:
    """Share of periods without a stock-out at which one more unit costs as much as it saves: p / (p + h)."""
    _positive(holding=holding, stockout=stockout)
    return stockout / (stockout + holding)


def newsvendor_normal(*, holding: float, stockout: float, mean: float, sd: float) -> OrderUpTo:
    """The newsvendor with normal demand (4.24, 4.30): S = μ + z σ, cost (h + p) φ(z) σ."""
    _at_least_zero(mean=mean, sd=sd)
    z = _STANDARD.inv_cdf(critical_ratio(holding=holding, stockout=stockout))
    return OrderUpTo(level=mean + z * sd, cost=(holding + stockout) * _STANDARD.pdf(z) * sd)


def newsvendor_normal_cost(level: float, *, holding: float, stockout: float, mean: float, sd: float) -> float:
    """Expected cost of any level: h E[(S − D)+] + p E[(D − S)+] (4.6)."""
    short = normal_loss(level, mean=mean, sd=sd)
    return holding * (level - mean + short) + stockout * short


def normal_loss(level: float, *, mean: float, sd: float) -> float:
    """E[(D − level)+] of normal demand: σ (φ(z) − z (1 − Φ(z)))."""
    if sd == 0:
        return max(0.0, mean - level)
    z = (level - mean) / sd
    # (1 − Φ(z)) as Φ(−z): no digits are lost in the tail.
    return sd * (_STANDARD.pdf(z) - z * _STANDARD.cdf(-z))


def newsvendor(quantile: Callable[[float], float], *, holding: float, stockout: float) -> float:
    """The newsvendor's level for demand of any distribution: its quantile at the critical ratio (Arrow, Harris and
    Marschak 1951)."""
    return quantile(critical_ratio(holding=holding, stockout=stockout))


def newsvendor_sample(sample: npt.ArrayLike, *, holding: float, stockout: float) -> OrderUpTo:
    """The newsvendor for demand known by equally likely observations: exact for their distribution (Levi, Roundy and
    Shmoys 2007 bound how far it is from the true one's)."""
    drawn = np.sort(_demand(sample))
    level = float(drawn[_rank(critical_ratio(holding=holding, stockout=stockout), len(drawn))])
    over = level - drawn
    cost = float(np.where(over > 0, holding * over, -stockout * over).mean())
    return OrderUpTo(level=level, cost=cost)


def newsvendor_poisson(*, holding: float, stockout: float, mean: float) -> OrderUpTo:
    """The newsvendor with Poisson demand: the least whole level with F(S) >= p / (p + h) (4.35)."""
    mass = poisson_mass(mean)
    costs = _one_period_costs(mass, holding=holding, stockout=stockout, lowest=0, highest=len(mass))
    level = int(np.searchsorted(np.cumsum(mass), critical_ratio(holding=holding, stockout=stockout)))
    return OrderUpTo(level=level, cost=float(costs[level]))


def economic_order_quantity(*, fixed: float, holding: float, demand: float) -> LotSize:
    """Harris (1913): Q = sqrt(2 K λ / h), cost sqrt(2 K λ h) (3.4, 3.5)."""
    _at_least_zero(fixed=fixed, demand=demand)
    _positive(holding=holding)
    return LotSize(quantity=math.sqrt(2 * fixed * demand / holding), cost=math.sqrt(2 * fixed * demand * holding))


def economic_order_quantity_with_backorders(*, fixed: float, holding: float, stockout: float, demand: float) -> LotSize:
    """Q = sqrt(2 K λ (h + p) / (h p)), cost sqrt(2 K λ h p / (h + p)) (3.27, 3.28)."""
    _at_least_zero(fixed=fixed, demand=demand)
    _positive(holding=holding, stockout=stockout)
    blend = holding * stockout / (holding + stockout)
    return LotSize(quantity=math.sqrt(2 * fixed * demand / blend), cost=math.sqrt(2 * fixed * demand * blend))


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalLeadTime:
    """Costs of an item whose demand over the lead time is normal.

    mean, sd  of demand a unit of time; lead_time in the same unit of time
    """

    holding: float
    stockout: float
    fixed: float
    mean: float
    sd: float
    lead_time: float

    def __post_init__(self) -> None:
        _positive(holding=self.holding, stockout=self.stockout, fixed=self.fixed, mean=self.mean)
        _at_least_zero(sd=self.sd, lead_time=self.lead_time)

    def rate(self, level: float) -> float:
        """g(y): what holding and waiting cost a unit of time, from position y a lead time earlier."""
        mean, sd = self.mean * self.lead_time, self.sd * math.sqrt(self.lead_time)
        return newsvendor_normal_cost(level, holding=self.holding, stockout=self.stockout, mean=mean, sd=sd)

    def best_level(self) -> float:
        mean, sd = self.mean * self.lead_time, self.sd * math.sqrt(self.lead_time)
        return newsvendor_normal(holding=self.holding, stockout=self.stockout, mean=mean, sd=sd).level


def reorder_cost(reorder: float, quantity: float, of: NormalLeadTime) -> float:
    """Exact cost of (r, Q) a unit of time, (K λ + ∫ g from r to r + Q) / Q (5.7); demand is normal and moves as
    Brownian motion, unmet demand waits."""
    _positive(quantity=quantity)
    return (of.fixed * of.mean + _integral(of.rate, reorder, reorder + quantity, of.best_level())) / quantity


def reorder_point(quantity: float, of: NormalLeadTime) -> float:
    """The best r for a given Q: g(r) = g(r + Q) (5.9; Zheng 1992, lemma 1)."""
    _positive(quantity=quantity)
    best = of.best_level()
    low, high = best - quantity, best
    # The balance g(r) − g(r + Q) falls in r, is at least 0 at the lower end and at most 0 at the upper one.
    for _ in range(200):
        middle = (low + high) / 2
        if of.rate(middle) > of.rate(middle + quantity):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def reorder_policy(of: NormalLeadTime) -> ReorderPoint:
    """The best (r, Q): at it the cost of the policy is g(r) = g(r + Q), and g(r(Q)) rises in Q (Zheng 1992, theorem 2),
    so bisection finds it."""
    high = economic_order_quantity_with_backorders(
        fixed=of.fixed, holding=of.holding, stockout=of.stockout, demand=of.mean
    ).quantity
    while of.rate(reorder_point(high, of)) < reorder_cost(reorder_point(high, of), high, of):
        high *= 2
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        reorder = reorder_point(middle, of)
        if of.rate(reorder) < reorder_cost(reorder, middle, of):
            low = middle
        else:
            high = middle
    reorder = reorder_point(high, of)
    return ReorderPoint(reorder=reorder, quantity=high, cost=reorder_cost(reorder, high, of))


def reorder_policy_eoqb(of: NormalLeadTime) -> ReorderPoint:
    """Q of the deterministic problem with backorders, r the best for it: never dearer than the best by more than an
    eighth, and by less than 1 % where ordering costs much (Zheng 1992, theorem 3; Axsäter 1996)."""
    quantity = economic_order_quantity_with_backorders(
        fixed=of.fixed, holding=of.holding, stockout=of.stockout, demand=of.mean
    ).quantity
    reorder = reorder_point(quantity, of)
    return ReorderPoint(reorder=reorder, quantity=quantity, cost=reorder_cost(reorder, quantity, of))


def reorder_policy_eoq_ss(of: NormalLeadTime) -> ReorderPoint:
    """Economic order quantity, and a safety stock for the lead time as if each order came alone (5.21)."""
    quantity = economic_order_quantity(fixed=of.fixed, holding=of.holding, demand=of.mean).quantity
    reorder = of.best_level()
    return ReorderPoint(reorder=reorder, quantity=quantity, cost=reorder_cost(reorder, quantity, of))


def reorder_cost_poisson(
    reorder: int, quantity: int, *, holding: float, stockout: float, fixed: float, mean: float, lead_time: float
) -> float:
    """Exact cost of (r, Q) with Poisson demand: (K λ + Σ g(y), y from r + 1 to r + Q) / Q (5.48)."""
    _positive(holding=holding, stockout=stockout, fixed=fixed, quantity=quantity)
    mass = poisson_mass(mean * lead_time)
    rate = _one_period_costs(mass, holding=holding, stockout=stockout, lowest=reorder + 1, highest=reorder + quantity)
    return (fixed * mean + float(rate.sum())) / quantity


def reorder_policy_poisson(
    *, holding: float, stockout: float, fixed: float, mean: float, lead_time: float
) -> ReorderPoint:
    """The best (r, Q) with Poisson demand (Federgruen and Zheng 1992): take the next unit on the cheaper side of the
    interval while that lowers the mean cost."""
    _positive(holding=holding, stockout=stockout, fixed=fixed, mean=mean)
    _at_least_zero(lead_time=lead_time)
    ratio = critical_ratio(holding=holding, stockout=stockout)
    mass = poisson_mass(mean * lead_time)
    best = int(np.searchsorted(np.cumsum(mass), ratio))

    def rate(level: int) -> float:
        return float(_one_period_costs(mass, holding=holding, stockout=stockout, lowest=level, highest=level)[0])

    low, high, total = best, best, fixed * mean + rate(best)
    left, right = rate(best - 1), rate(best + 1)
    while min(left, right) * (high - low + 1) < total:
        # As long as the cheaper neighbour costs less than the mean it lowers the mean; rates rise away from the best.
        if left < right:
            low, total = low - 1, total + left
            left = rate(low - 1)
        else:
            high, total = high + 1, total + right
            right = rate(high + 1)
    return ReorderPoint(reorder=low - 1, quantity=high - low + 1, cost=total / (high - low + 1))


def min_max_cost(
    low: int, high: int, mass: npt.ArrayLike, *, holding: float, stockout: float, fixed: float, lead_time: int = 0
) -> float:
    """Exact cost of (s, S) a period: (K + Σ m(j) G(S − j), j from 0 to S − s − 1) / M(S − s) (Zheng and Federgruen
    1991, equation 3). Parameters as those of `min_max_policy`."""
    if low >= high:
        raise ValueError("expected low < high")
    world = _Renewal(_mass(mass), holding=holding, stockout=stockout, fixed=fixed, lead_time=lead_time)
    return world.cost(low, high)


def min_max_policy(mass: npt.ArrayLike, *, holding: float, stockout: float, fixed: float, lead_time: int = 0) -> MinMax:
    """The best (s, S) for demand in whole units, reviewed every period; unmet demand waits.

    mass       float64[n], probability of 0, 1, ... units of demand in a period; sums to 1
    lead_time  periods until an order is there; 0: before the next period's end

    Zheng and Federgruen (1991): about as much work as the evaluation of one policy. Raises ValueError.
    """
    world = _Renewal(_mass(mass), holding=holding, stockout=stockout, fixed=fixed, lead_time=lead_time)
    high = best = world.best
    low = best - 1
    while world.cost(low, high) > world.rate(low):
        low -= 1
    cost = world.cost(low, high)
    trial = high + 1
    while world.rate(trial) <= cost:
        if world.cost(low, trial) < cost:
            high = trial
            while low + 1 < best and world.cost(low, high) <= world.rate(low + 1):
                low += 1
            cost = world.cost(low, high)
        trial += 1
    return MinMax(low=low, high=high, cost=cost)


def poisson_mass(mean: float) -> Float64:
    """float64[n]: probability of 0, 1, ... events; what is left beyond is below 1e-13, and put to the last."""
    _at_least_zero(mean=mean)
    if mean > 1e7:
        raise ValueError("expected a mean of 10 million at most: take the normal distribution")
    count = int(mean + 12 * math.sqrt(mean) + 30)
    k = np.arange(count + 1)
    logs = k * math.log(mean) - mean - np.array([math.lgamma(n + 1) for n in k]) if mean else np.where(k, -np.inf, 0.0)
    mass = np.exp(logs)
    mass[-1] += max(0.0, 1.0 - mass.sum())
    return mass


class _Renewal:
    """Costs of (s, S) policies of one item, remembered."""

    def __init__(self, mass: Float64, *, holding: float, stockout: float, fixed: float, lead_time: int) -> None:
        _positive(holding=holding, stockout=stockout, fixed=fixed)
        if lead_time < 0:
            raise ValueError("expected lead_time >= 0")
        if mass[0] >= 1:
            raise ValueError("expected some demand: no policy orders for none")
        self._holding, self._stockout, self._fixed = holding, stockout, fixed
        self._mass = mass
        self._over = mass
        for _ in range(lead_time):
            self._over = np.convolve(self._over, mass)
        self._renewals = np.array([1 / (1 - mass[0])])
        self._rates: dict[int, float] = {}
        ratio = critical_ratio(holding=holding, stockout=stockout)
        self.best = int(np.searchsorted(np.cumsum(self._over), ratio))

    def rate(self, level: int) -> float:
        """G(y): expected cost of a period that begins at position y (a lead time before it)."""
        if level not in self._rates:
            span = 64
            first = level // span * span
            costs = _one_period_costs(
                self._over, holding=self._holding, stockout=self._stockout, lowest=first, highest=first + span - 1
            )
            self._rates.update(zip(range(first, first + span), costs.tolist(), strict=True))
        return self._rates[level]

    def cost(self, low: int, high: int) -> float:
        renewals = self._upto(high - low)
        rates = np.array([self.rate(high - j) for j in range(high - low)])
        return float((self._fixed + renewals @ rates) / renewals.sum())

    def _upto(self, count: int) -> Float64:
        """m(0), ..., m(count − 1): expected periods spent at j units below S within an order's cycle."""
        known = len(self._renewals)
        if known < count:
            grown = np.concatenate([self._renewals, np.zeros(count - known)])
            for j in range(known, count):
                reach = min(j, len(self._mass) - 1)
                grown[j] = self._mass[1 : reach + 1] @ grown[j - reach : j][::-1] / (1 - self._mass[0])
            self._renewals = grown
        return self._renewals[:count]


def _one_period_costs(mass: Float64, *, holding: float, stockout: float, lowest: int, highest: int) -> Float64:
    """h E[(y − D)+] + p E[(D − y)+] for y = lowest, ..., highest."""
    levels = np.arange(lowest, highest + 1)
    units = np.arange(len(mass))
    mean = float(mass @ units)
    below, below_units = np.cumsum(mass), np.cumsum(mass * units)
    at = np.clip(levels, 0, len(mass) - 1)
    over = np.where(levels < 0, 0.0, levels * below[at] - below_units[at])
    return holding * over + stockout * (over + mean - levels)


def _integral(of: Callable[[float], float], low: float, high: float, kink: float) -> float:
    """By Gauss and Legendre, in pieces that shrink towards `kink`, where the second derivative is large."""
    points, weights = np.polynomial.legendre.leggauss(20)
    ends = np.unique(np.clip(np.concatenate([np.linspace(low, high, 33), [kink]]), low, high))
    total = 0.0
    for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        values = [of(a + (b - a) * (x + 1) / 2) for x in points.tolist()]
        total += (b - a) / 2 * float(weights @ np.array(values))
    return total


def _rank(share: float, count: int) -> int:
    """Index of the least of `count` sorted observations that at least `share` of them do not exceed."""
    # A product such as 0.9 * 10 may lie a hair above the whole number that is meant.
    return min(max(math.ceil(share * count - 1e-9) - 1, 0), count - 1)


def _demand(sample: npt.ArrayLike) -> Float64:
    drawn = np.asarray(sample, np.float64).ravel()
    if not len(drawn) or not np.isfinite(drawn).all() or drawn.min() < 0:
        raise ValueError("expected observations of demand: finite, at least 0, at least one")
    return drawn


def _mass(mass: npt.ArrayLike) -> Float64:
    given = np.asarray(mass, np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all() or given.min() < 0:
        raise ValueError("expected probabilities of 0, 1, ... units")
    if abs(given.sum() - 1) > 1e-6:
        raise ValueError(f"expected probabilities that sum to 1, got {given.sum():g}")
    return given / given.sum()


def _positive(**named: float) -> None:
    for name, value in named.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"expected {name} > 0, got {value}")


def _at_least_zero(**named: float) -> None:
    for name, value in named.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"expected {name} >= 0, got {value}")
