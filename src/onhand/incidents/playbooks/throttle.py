"""The price at which scarce stock lasts until more comes. Pure.

Demand falls with the price as rate(p) = a exp(-b p). Gallego and van Ryzin (1994): the best price over a finite season
is the larger of the one that earns most, p*, and the one at which the stock just runs out, rate(p0) t = n, so

    p = max(p*, ln(a t / n) / b)        p* = c + 1/b        b = elasticity / p_now        a = rate_now exp(b p_now)

with unit cost c, time t and stock n. A fixed price is asymptotically optimal; where stock is small against the market
it is not even nearly so, hence it is reckoned anew at each step with what is left by then. The elasticity that is usual
is 2.62 (Bijmolt, van Heerde and Pieters 2005). p* says nothing about scarcity, and what a merchant asks is taken for
it: a throttle never lowers a price, and raises it in steps within limits.
"""

import math
from dataclasses import dataclass
from typing import Final

_GAIN: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a price may do: share of it in one step, share above where it began, and the most; minor units."""

    step_max: float
    total_max: float
    cap_minor: int | None = None


def runout_price(price_minor: float, rate_per_day: float, units: float, days: float, elasticity: float) -> float:
    """The price at which `units` last for `days`: ln(a t / n) / b; infinite without units, 0 without demand.

    rate_per_day  units wanted a day at `price_minor`
    """
    wanted = rate_per_day * days
    if wanted <= 0:
        return 0.0
    if units <= 0:
        return math.inf
    b = elasticity / price_minor
    # ln(a t / n) / b with a = rate exp(b p), without the exponential, which overflows, and without the quotient, which
    # may be 0.
    return price_minor + (math.log(wanted) - math.log(units)) / b


def throttled_price(
    *,
    price_minor: int,
    begun_minor: int,
    rate_per_day: float,
    units: float,
    days: float,
    elasticity: float,
    bounds: Bounds,
) -> int:
    """The price to ask now, between the present one and what the bounds let it rise to; minor units.

    price_minor  asked now; begun_minor: before the first step
    """
    wanted = runout_price(price_minor, rate_per_day, units, days, elasticity)
    # Half of the way, as of any correction that is computed anew when the last one has shown.
    wanted = price_minor + _GAIN * (wanted - price_minor)
    highest = min(price_minor * (1 + bounds.step_max), begun_minor * (1 + bounds.total_max))
    if bounds.cap_minor is not None:
        highest = min(highest, bounds.cap_minor)
    # Rounded down: a bound holds to the minor unit.
    return max(price_minor, math.floor(min(wanted, highest) + 1e-9))
