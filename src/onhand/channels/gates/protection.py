"""Who keeps the last units when there are too few for all: nested protection levels by margin. Pure.

EMSR-b (P. Belobaba 1992; K. Talluri and G. van Ryzin 2004, section 2.2.4.2): with classes in the order of their margin
per unit, m_1 >= m_2 >= ..., classes 1 to j are protected from class j + 1 by

    y_j = F^-1 (1 - m_{j+1} / M_j),   M_j = sum_{i <= j} m_i mu_i / sum_{i <= j} mu_i

where F is the distribution of their pooled demand until the next supply: class j + 1 may sell what is beyond y_j. For
two classes it is Littlewood's rule. F is negative binomial, which stays right for the few units that this is about;
demand with a variance no larger than its mean is taken for Poisson.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log1p

# Beyond so many units gates do not matter, and protection is that many.
_UNITS_MAX = 100_000


def quantile_units(mean: float, variance: float, share: float) -> int:
    """Least n with P(demand <= n) >= share; ValueError unless 0 <= share < 1 and mean >= 0."""
    if not (0.0 <= share < 1.0 and mean >= 0.0):
        raise ValueError(f"expected a share in [0, 1) and a mean of 0 or more, not {share}, {mean}")
    if mean < 1e-12:
        return 0
    # In lots, where the probability of none would not be a number any more.
    lot = max(1.0, mean / 400.0)
    mean, variance = mean / lot, max(variance, mean * (1.0 + 1e-9)) / (lot * lot)
    size = mean * mean / max(variance - mean, 1e-9 * mean)
    step = mean / (size + mean)
    p = exp(-size * log1p(mean / size))
    total = p
    n = 0
    while total < share and n * lot < _UNITS_MAX and not (p == 0.0 and n > mean):
        p *= (size + n) / (n + 1) * step
        n += 1
        total += p
    return min(_UNITS_MAX, int(n * lot))


def protection_units(
    margin_minor: Sequence[float], mean_units: Sequence[float], variance_units: Sequence[float]
) -> list[int]:
    """Units of which class k may sell none, as better classes may want them; the first class gets 0, and none less than
    the class before it.

    margin_minor    per unit, falling or level, in one currency; ValueError otherwise
    mean_units, variance_units  of the demand of each class until the next supply
    """
    if any(later > earlier for earlier, later in pairwise(margin_minor)):
        raise ValueError("expected classes in the order of their margins")
    kept = [0]
    worth = demand = variance = 0.0
    for margin, mean, spread, following in zip(
        margin_minor, mean_units, variance_units, margin_minor[1:], strict=False
    ):
        worth += margin * mean
        demand += mean
        variance += spread
        average = worth / demand if demand > 0.0 else 0.0
        share = 0.0 if average <= 0.0 else min(1.0 - 1e-12, max(0.0, 1.0 - following / average))
        kept.append(max(kept[-1], quantile_units(demand, variance, share)))
    return kept[: len(margin_minor)]
