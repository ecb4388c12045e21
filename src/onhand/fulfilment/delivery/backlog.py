"""How full the network is when a shipment starts, and what that says of how long it will take.

The number under way over the number delivered in the last while is the time that a shipment spends in a steady network
(Little 1961), and it rises before the slow ones are there. What that adds to a forecast middle is learned from what
forecasts left over, of each row at its own start: of what came before that day only.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from onhand.fulfilment.delivery.model import Float64, Shipments

# In median days to deliver: over which deliveries are counted, after which a shipment is taken to be lost, and after
# which a history has all of its backlog.
_WINDOW: Final = 1.25
_GONE: Final = 8.0
_BEGUN: Final = 5.0
_WINDOW_DAYS_MIN: Final = 7.0
_ROWS_MIN: Final = 200
_RIDGE_ROWS: Final = 20.0
# Errors of the logarithm of days beyond this pull no harder (Huber 1964).
_PULL_MAX: Final = 0.6
_ROUNDS: Final = 8
# Beyond so many standard deviations nothing was seen that could be gone by.
_EDGE: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """started, ended, delivered  float64[n], days since 1970, rising: ended has those that are taken to be lost too
    until  when this was known; window: days"""

    started: Float64
    ended: Float64
    delivered: Float64
    until: float
    window: float

    def at(self, start: Float64) -> Float64:
        """float64[n], the logarithm of shipments under way over those delivered, as the day of the start began."""
        day = np.minimum(np.floor(start), self.until)
        under_way = np.searchsorted(self.started, day) - np.searchsorted(self.ended, day)
        lately = np.searchsorted(self.delivered, day) - np.searchsorted(self.delivered, day - self.window)
        return np.log((under_way + 2.0) / (lately + 2.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogEffect:
    backlog: Backlog
    middle: float
    scale: float
    slope: float

    def at(self, start: Float64) -> Float64:
        """float64[n] that shipments with these starts take longer, as a logarithm of days."""
        return self.slope * np.clip((self.backlog.at(start) - self.middle) / self.scale, -_EDGE, _EDGE)


def learn_backlog(history: Shipments, left: Float64, weight: Float64, now: float) -> BacklogEffect | None:
    """What the backlog explains of errors of forecasts; None where there is too little to learn from, or no row that is
    on its way.

    left    float64[n], logarithms of days over their forecasts; where the weight is 0 they are not looked at
    """
    seen = np.isfinite(history.days)
    if seen.all() or not seen.any():
        return None
    usual = float(np.median(history.days[seen]))
    ended = history.start + np.fmin(history.days, _GONE * usual)
    backlog = Backlog(
        started=np.sort(history.start), ended=np.sort(ended), delivered=np.sort((history.start + history.days)[seen]),
        until=now, window=max(_WINDOW * usual, _WINDOW_DAYS_MIN),
    )  # fmt: skip
    rows = (weight > 0) & (history.start >= history.start.min() + _BEGUN * usual)
    if rows.sum() < _ROWS_MIN:
        return None
    values, left, weight = backlog.at(history.start[rows]), left[rows], weight[rows] / weight[rows].mean()
    middle = float(np.average(values, weights=weight))
    scale = float(np.sqrt(np.average((values - middle) ** 2, weights=weight)))
    if scale < 1e-6:
        return None
    of = np.column_stack([np.ones(len(values)), np.clip((values - middle) / scale, -_EDGE, _EDGE)])
    found = np.zeros(2)
    for _ in range(_ROUNDS):
        pull = weight / np.maximum(np.abs(left - of @ found) / _PULL_MAX, 1.0)
        found = np.linalg.solve((of * pull[:, None]).T @ of + np.diag([0.0, _RIDGE_ROWS]), of.T @ (pull * left))
    return BacklogEffect(backlog=backlog, middle=middle, scale=scale, slope=float(found[1]))
