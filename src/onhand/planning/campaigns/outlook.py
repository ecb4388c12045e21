"""A forecast where there is none: the same weekdays of the last weeks."""

import numpy as np
import numpy.typing as npt

from onhand.planning.campaigns.model import Float64
from onhand.planning.elasticity import log_density

LEVELS: Float64 = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
# So many days of all weekdays alike stand beside those of one: a few Mondays tell little.
_ALIKE = 2.0


def usual_outlook(units: Float64, horizon: int) -> tuple[Float64, npt.NDArray[np.float64]]:
    """Mean and quantiles (at LEVELS) of each day ahead: float64[n, H], float64[n, H, Q].

    units  float64[n, D], of the last D days, whole weeks of them, the last one yesterday

    Negative binomial, its mean that of the weekday (drawn a little towards that of all days), its scatter that of the
    item around these means.
    """
    count, days = units.shape
    if not days or days % 7:
        raise ValueError("expected whole weeks")
    weeks = units.reshape(count, days // 7, 7)
    level = units.mean(axis=1)
    by_day = (weeks.sum(axis=1) + _ALIKE * level[:, np.newaxis]) / (days // 7 + _ALIKE)
    spare = max(days - 7, 1)
    variance = ((weeks - by_day[:, np.newaxis]) ** 2).sum(axis=(1, 2)) / spare
    mean = by_day[:, np.arange(horizon) % 7]
    quantiles = np.zeros((count, horizon, len(LEVELS)))
    for n in range(count):
        # variance = mean + dispersion x mean^2, over all days.
        square = float((by_day[n] ** 2).mean())
        dispersion = min(max((float(variance[n]) - float(level[n])) / max(square, 1e-9), 1e-4), 10.0)
        for weekday in range(min(7, horizon)):
            m = float(by_day[n, weekday])
            if m <= 0:
                continue
            most = int(m + 12 * np.sqrt(m + dispersion * m * m)) + 12
            grid = np.arange(most, dtype=np.float64)
            shares = np.cumsum(np.exp(log_density(grid, np.full(most, m), dispersion)))
            quantiles[n, weekday::7] = np.minimum(np.searchsorted(shares, LEVELS), most - 1)
    return mean, quantiles


__all__ = ["LEVELS", "usual_outlook"]
