"""Whether what is done without a person is worth it: what was acted on, against what was held out. Pure."""

import math
from collections import defaultdict
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
    eq. 6.13); the difference of both arms is taken as normal. Each kind of action is compared with what was held out of
    its own kind (some cannot be held out), and counts by what was at stake of it (ibid., 5.1: stratified); kinds of
    which too little is judged are taken together.
    """
    judged = [j for j in judged if j.stake_minor > 0]
    if all(j.held_out for j in judged):
        return None
    found = [_stratum(of) for of in _strata(judged)]
    whole = sum(s.stake for s in found)
    saved = sum(s.saved * s.stake for s in found) / whole
    sd = math.hypot(*(s.sd * s.stake / whole for s in found))
    return Evidence(
        acted=sum(s.acted for s in found),
        held_out=sum(s.held_out for s in found),
        promised=sum(s.promised for s in found) / whole,
        saved=saved,
        low=saved - _Z * sd,
        high=saved + _Z * sd,
        compared=all(s.compared for s in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stratum:
    """Actions of one kind; stake and promised: sums of those acted on, minor units."""

    acted: int
    held_out: int
    stake: int
    promised: int
    saved: float
    sd: float
    compared: bool


def _strata(judged: Sequence[Judged]) -> list[list[Judged]]:
    """By kind, the small ones together; of these a single action says nothing beside others."""
    by_kind: dict[str, list[Judged]] = defaultdict(list)
    for j in judged:
        by_kind[j.kind].append(j)
    large = [of for of in by_kind.values() if _acted(of) >= _WEEK_MIN]
    rest = [j for of in by_kind.values() if _acted(of) < _WEEK_MIN for j in of]
    return [*large, rest] if _acted(rest) > 1 or not large else large


def _acted(judged: Sequence[Judged]) -> int:
    return sum(not j.held_out for j in judged)


def _stratum(judged: Sequence[Judged]) -> _Stratum:
    acted = [j for j in judged if not j.held_out]
    control = [j for j in judged if j.held_out]
    compared = len(control) >= _WEEK_MIN
    lost, base = _lost(acted), _lost(control) if compared else _Ratio(value=1.0, sd=0.0)
    return _Stratum(
        acted=len(acted), held_out=len(control), stake=sum(j.stake_minor for j in acted),
        promised=sum(j.gain_minor for j in acted), saved=base.value - lost.value, sd=math.hypot(base.sd, lost.sd),
        compared=compared,
    )  # fmt: skip


def missed_minor(judged: Sequence[Judged]) -> int:
    """What was promised and not saved, in minor units."""
    found = evidence(judged)
    stake = sum(j.stake_minor for j in judged if not j.held_out)
    return 0 if found is None else max(round((found.promised - found.saved) * stake), 0)


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


def _lost(judged: Sequence[Judged]) -> _Ratio:
    """Lost over at stake."""
    n, whole = len(judged), sum(j.stake_minor for j in judged)
    value = sum(j.lost_minor for j in judged) / whole
    if n < 2:
        return _Ratio(value=value, sd=math.inf)
    spread = sum((j.lost_minor - value * j.stake_minor) ** 2 for j in judged) / (n - 1)
    return _Ratio(value=value, sd=math.sqrt(spread / n) / (whole / n))
