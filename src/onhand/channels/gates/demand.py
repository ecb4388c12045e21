# pyright: basic
"""What channels sell per hour, item by item, and whether an item is in a burst just now. Compiled.

Sales of an item on a channel are Poisson with a rate that is the item's usual one times 1, or times `multiplier` while
the item is in a burst: a hidden Markov chain of two states, the same for all channels of an item. The usual rate is
Gamma distributed: prior plus what was sold and the hours it was watched, both fading with `half_life_h`; an hour in a
burst counts as many (so a burst does not make the usual rate look higher). Between sales the filter has a closed form
(the exponential of a 2 x 2 matrix), so an item costs nothing until something is sold or its gate is asked for.

Times are hours since any moment, the same for all. Sources: W. Fischer and K. Meier-Hellstern, The Markov-modulated
Poisson process cookbook (1993), for the filter; the Gamma-Poisson pair is in every textbook.
"""

from math import exp, expm1, log, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from onhand.base.compiled import bare, compiled

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


class Bursts(NamedTuple):
    """How demand jumps: to `multiplier` times the usual, `starts_per_h` and item, each for `mean_h` on average."""

    multiplier: float = 10.0
    starts_per_h: float = 0.02
    mean_h: float = 3.0
    half_life_h: float = 72.0


class Velocity(NamedTuple):
    """State of the filter, of all items.

    prior_units, prior_h  float64[item, channel]: Gamma prior of the usual rate, its shape and its rate in hours
    units, watched_h      float64[item, channel]: units sold and hours watched since, faded
    burst                 float64[item]: probability of being in a burst
    at_h                  float64[item]: the moment that all of it is of
    freshness             float64[channel], 0 to 1: what a sale says about now, less where we hear late
    """

    prior_units: Float64
    prior_h: Float64
    units: Float64
    watched_h: Float64
    burst: Float64
    at_h: Float64
    freshness: Float64


def no_sales(
    rates_per_h: Float64, *, worth_h: float = 240.0, hear_h: Float64 | None = None, bursts: Bursts | None = None
) -> Velocity:
    """Before the first sale: as forecast.

    rates_per_h  float64[item, channel]: usual units per hour, bursts left out
    worth_h      hours of watching that the forecast is worth
    hear_h       float64[channel]: hours until we hear of a sale; None: at once
    """
    items, channels = rates_per_h.shape
    bursts = bursts or Bursts()
    late = np.zeros(channels) if hear_h is None else np.asarray(hear_h, dtype=np.float64)
    return Velocity(
        prior_units=np.maximum(rates_per_h, 1e-9) * worth_h,
        prior_h=np.full((items, channels), worth_h),
        units=np.zeros((items, channels)),
        watched_h=np.zeros((items, channels)),
        burst=np.full(items, bursts.starts_per_h * bursts.mean_h / (1.0 + bursts.starts_per_h * bursts.mean_h)),
        at_h=np.zeros(items),
        # A burst that was seen so long ago may have ended since.
        freshness=np.exp(-late / bursts.mean_h),
    )


@bare
def _damped(root, hours):
    """cosh(root · hours) and sinh(root · hours) / root, both times exp(-root · hours): neither grows without end."""
    x = root * hours
    return 0.5 * (1.0 + exp(-2.0 * x)), -0.5 * expm1(-2.0 * x) / root if root > 1e-12 else hours


@bare
def burst_after(burst, rate_per_h, hours, bursts):
    """Probability of a burst after `hours` without a sale of an item that usually sells `rate_per_h`."""
    if hours <= 0.0:
        return burst
    start, end = bursts.starts_per_h, 1.0 / bursts.mean_h
    # Forward equation q' = q (Q - diag(rates)) for q = (usual, burst), without the normalisation.
    a11, a12 = -(start + rate_per_h), start
    a21, a22 = end, -(end + bursts.multiplier * rate_per_h)
    half = 0.5 * (a11 - a22)
    root = sqrt(half * half + a12 * a21)
    # exp(A t) ~ cosh(root t) I + sinh(root t) / root (A - s I), common factors left out.
    cosh, sinh = _damped(root, hours)
    usual = (1.0 - burst) * (cosh + sinh * half) + burst * sinh * a21
    high = burst * (cosh - sinh * half) + (1.0 - burst) * sinh * a12
    return high / (usual + high)


@bare
def usual_rate(velocity, item, channel):
    """Units per hour outside bursts, as expected."""
    shape = velocity.prior_units[item, channel] + velocity.units[item, channel]
    return shape / (velocity.prior_h[item, channel] + velocity.watched_h[item, channel])


@bare
def burst_at(velocity, item, now_h, bursts):
    """Probability that `item` is in a burst at `now_h`, nothing having been sold since the state's moment."""
    rate = 0.0
    for channel in range(velocity.units.shape[1]):
        rate += usual_rate(velocity, item, channel) * velocity.freshness[channel]
    return burst_after(velocity.burst[item], rate, now_h - velocity.at_h[item], bursts)


@bare
def advance(velocity, item, now_h, bursts):
    """Move the state of `item` to `now_h`; a moment in its past changes nothing."""
    hours = now_h - velocity.at_h[item]
    if hours <= 0.0:
        return
    before = velocity.burst[item]
    after = burst_at(velocity, item, now_h, bursts)
    fade = 0.5 ** (hours / bursts.half_life_h)
    worth = hours * (1.0 + (bursts.multiplier - 1.0) * 0.5 * (before + after))
    for channel in range(velocity.units.shape[1]):
        velocity.units[item, channel] *= fade
        velocity.watched_h[item, channel] = velocity.watched_h[item, channel] * fade + worth
    velocity.burst[item] = after
    velocity.at_h[item] = now_h


@bare
def sold(velocity, item, channel, units, now_h, bursts):
    """Hear at `now_h` of an order of `units` of `item` on `channel`."""
    advance(velocity, item, now_h, bursts)
    odds = velocity.burst[item] * bursts.multiplier ** velocity.freshness[channel]
    velocity.burst[item] = odds / (odds + 1.0 - velocity.burst[item])
    velocity.units[item, channel] += units


@compiled
def observe(velocity: Velocity, items: Int32, channels: Int32, units: Int32, at_h: Float64, bursts: Bursts) -> None:
    """Hear of orders in the order of their times; changes `velocity`.

    items, channels  int32[n]; units  int32[n]; at_h  float64[n]: when we heard of it
    """
    for n in range(items.size):
        sold(velocity, items[n], channels[n], units[n], at_h[n], bursts)


@bare
def log_silence(burst, rate_per_h, hours, bursts):
    """Logarithm of the probability of selling nothing for `hours`."""
    if hours <= 0.0:
        return 0.0
    start, end = bursts.starts_per_h, 1.0 / bursts.mean_h
    half = 0.5 * (end - start + (bursts.multiplier - 1.0) * rate_per_h)
    middle = -0.5 * (start + end + (bursts.multiplier + 1.0) * rate_per_h)
    root = sqrt(half * half + start * end)
    cosh, sinh = _damped(root, hours)
    usual = (1.0 - burst) * (cosh + sinh * half) + burst * sinh * end
    high = burst * (cosh - sinh * half) + (1.0 - burst) * sinh * start
    return log(usual + high) + root * hours + middle * hours


@compiled
def log_likelihood(
    velocity: Velocity, first: Int64, at_h: Float64, channels: Int32, end_h: float, bursts: Bursts
) -> float:
    """Logarithm of the likelihood of the sales of all items until `end_h` under `bursts`; changes `velocity`.

    first  int64[item + 1]: where the sales of an item begin in `at_h` and `channels`, each by time
    """
    total = 0.0
    for item in range(first.size - 1):
        for n in range(first[item], first[item + 1] + 1):
            is_sale = n < first[item + 1]
            now_h = at_h[n] if is_sale else end_h
            rate = 0.0
            for channel in range(velocity.units.shape[1]):
                rate += usual_rate(velocity, item, channel) * velocity.freshness[channel]
            total += log_silence(velocity.burst[item], rate, now_h - velocity.at_h[item], bursts)
            advance(velocity, item, now_h, bursts)
            if is_sale:
                where = channels[n]
                burst = velocity.burst[item]
                total += log(usual_rate(velocity, item, where) * (1.0 + (bursts.multiplier - 1.0) * burst))
                sold(velocity, item, where, 1, now_h, bursts)
    return total


def fit_bursts(
    first: Int64, at_h: Float64, channels: Int32, rates_per_h: Float64, end_h: float, *, worth_h: float = 240.0
) -> Bursts:
    """The bursts under which recorded sales are likeliest, pooled over items: coordinate descent on a grid.

    first, at_h, channels  as in `log_likelihood`; some thousand sales tell enough
    rates_per_h            float64[item, channel]: forecast of usual rates, see `no_sales`
    """
    grid = {
        "multiplier": (2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 13.0, 17.0, 25.0),
        "starts_per_h": (1e-4, 3e-4, 1e-3, 2e-3, 4e-3, 7e-3, 0.012, 0.02, 0.035, 0.06),
        "mean_h": (0.5, 1.0, 2.0, 3.0, 4.5, 7.0, 12.0, 24.0),
    }
    seen: dict[Bursts, float] = {}

    def likelihood(bursts: Bursts) -> float:
        if bursts not in seen:
            velocity = no_sales(rates_per_h, worth_h=worth_h, bursts=bursts)
            seen[bursts] = log_likelihood(velocity, first, at_h, channels, end_h, bursts)
        return seen[bursts]

    best = Bursts(8.0, 7e-3, 3.0)
    while True:
        before = best
        for name, values in grid.items():
            best = max((best._replace(**{name: value}) for value in values), key=likelihood)
        if best == before:
            return best


@compiled
def rates(velocity: Velocity, items: Int32, now_h: float, bursts: Bursts) -> tuple[Float64, Float64]:
    """(float64[n, channel] usual units per hour, float64[n] probability of a burst) of `items` at `now_h`."""
    usual = np.empty((items.size, velocity.units.shape[1]))
    burst = np.empty(items.size)
    for n in range(items.size):
        for channel in range(velocity.units.shape[1]):
            usual[n, channel] = usual_rate(velocity, items[n], channel)
        burst[n] = burst_at(velocity, items[n], now_h, bursts)
    return usual, burst
