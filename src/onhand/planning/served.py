"""What proposals do to service, draw by draw: how much of what is asked for is there. Pure."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from onhand.planning.model import Interval, Proposal

Float64 = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.integer]

_INNER_90 = (0.05, 0.95)


def with_served(
    proposals: Sequence[Proposal], asked: Numbers, before: Numbers, after: Numbers, spared_g: float = 0.0
) -> list[Proposal]:
    """The same proposals with intervals of units, shares and CO2.

    asked          int[n, draw]: units asked for in the time that each looks at
    before, after  int[n, draw]: of them served without it and with it
    spared_g       CO2 that a unit does not emit which is sold where it is asked for, and not sent from elsewhere
    """
    if not len(proposals):
        return []
    saved = (after - before).astype(np.float64)
    units, low, high = _spread(saved)
    shares = [_spread(np.divide(part, asked, out=np.ones(asked.shape), where=asked > 0)) for part in (before, after)]
    told: list[Proposal] = []
    for n, proposal in enumerate(proposals):
        effect = proposal.effect
        first, then = (Interval(expected=float(m[n]), low=float(a[n]), high=float(b[n])) for m, a, b in shares)
        effect = replace(
            effect,
            units_saved=float(units[n]),
            units_low=float(low[n]),
            units_high=float(high[n]),
            served_before=first,
            served_after=then,
            co2_g=round(effect.co2_g - spared_g * float(units[n])),
            co2_low_g=round(effect.co2_g - spared_g * float(high[n])),
            co2_high_g=round(effect.co2_g - spared_g * float(low[n])),
        )
        told.append(replace(proposal, effect=effect))
    return told


def sold_from(asked: Numbers, stock: Numbers) -> Numbers:
    """int[n, draw]: what is served of `asked` int[n, draw] from `stock` int[n] units; none of fewer than none."""
    return np.minimum(asked, np.maximum(stock, 0)[:, None])


def sold_after_arrival(first: Numbers, then: Numbers, stock: Numbers, coming: Numbers) -> Numbers:
    """int[n, draw]: what is served where `coming` int[n] units arrive when the demand `first` int[n, draw] is over."""
    early = np.minimum(first, stock[:, None])
    return early + np.minimum(then, stock[:, None] - early + coming[:, None])


def _spread(draws: Float64) -> tuple[Float64, Float64, Float64]:
    low, high = np.quantile(draws, _INNER_90, axis=1)
    return draws.mean(axis=1), low, high
