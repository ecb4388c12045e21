"""Whether what is done without a person is worth it: what was acted on, against what was held out. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from onhand.autopilot.model import Judged

# 90 of 100: five beyond each limit.
_Z: Final = 1.6449
ACTIONS_MIN: Final = 50
"""So many have to be judged before they speak for or against a domain."""
_WEEK: Final = timedelta(days=7)
_WEEK_MIN: Final = 10
# Worse than promised: sure to be below this share of it.
_PROMISE_MIN: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What actions came to. All shares are of what was at stake.

    acted, held_out  how many were judged
    promised         share that was to be saved
    saved            share that was saved, against what was held out where that is enough, otherwise against what was
                     expected to be lost; 90 of 100 lie from low to high
    compared         whether there was enough held out to compare with
    """

    acted: int
    held_out: int
    promised: float
    saved: float
    low: float
    high: float
    compared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratio:
    value: float
    sd: float


def evidence(judged: Sequence[Judged]) -> Evidence | None:
    """What they show; None as long as nothing that was acted on is judged.

    Ratio of sums, lost over at stake, with the standard error of a ratio estimator (Cochran, Sampling Techniques 1977,
    eq. 6.13); the difference of both arms is taken as normal.
    """
    acted = [j for j in judged if not j.held_out and j.stake_minor > 0]
    control = [j for j in judged if j.held_out and j.stake_minor > 0]
    if not acted:
        return None
    lost = _ratio([j.lost_minor for j in acted], [j.stake_minor for j in acted])
    compared = len(control) >= _WEEK_MIN
    base = (
        _ratio([j.lost_minor for j in control], [j.stake_minor for j in control])
        if compared
        else _Ratio(value=1.0, sd=0.0)
    )
    saved, sd = base.value - lost.value, math.hypot(base.sd, lost.sd)
    return Evidence(
        acted=len(acted),
        held_out=len(control),
        promised=sum(j.gain_minor for j in acted) / sum(j.stake_minor for j in acted),
        saved=saved,
        low=saved - _Z * sd,
        high=saved + _Z * sd,
        compared=compared,
    )


def worse_than_promised(judged: Sequence[Judged], now: datetime) -> str | None:
    """Why a domain should return to `recommend`; None: nothing speaks against it.

    Of all that were judged the gain is not sure to be above 0, once there are enough of them; or those of the last
    seven days are sure to be below half of what they promised.
    """
    whole = evidence(judged)
    if whole is not None and whole.acted >= ACTIONS_MIN and whole.low <= 0:
        return (
            f"{whole.acted} actions saved {whole.saved:.0%} of what was at stake, and it is not sure that they saved"
            f" anything ({whole.low:.0%} to {whole.high:.0%})"
        )
    week = evidence([j for j in judged if now - j.at <= _WEEK])
    if week is not None and week.acted >= _WEEK_MIN and week.high < _PROMISE_MIN * week.promised:
        return (
            f"the {week.acted} actions of the last seven days saved {week.saved:.0%} of what was at stake"
            f" ({week.low:.0%} to {week.high:.0%}); {week.promised:.0%} was promised"
        )
    return None


def _ratio(upper: Sequence[int], lower: Sequence[int]) -> _Ratio:
    n, whole = len(upper), sum(lower)
    value = sum(upper) / whole
    if n < 2:
        return _Ratio(value=value, sd=math.inf)
    spread = sum((u - value * v) ** 2 for u, v in zip(upper, lower, strict=True)) / (n - 1)
    return _Ratio(value=value, sd=math.sqrt(spread / n) / (whole / n))
