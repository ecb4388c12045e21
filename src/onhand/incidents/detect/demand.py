"""Demand that the forecast did not see coming: spikes beyond its outermost quantiles, and errors that have grown.

A forecast has no quantile of 99.9 %; it is extrapolated with an exponential tail through its two highest ones: `q(τ) =
qa + (qb - qa) log((1 - a) / (1 - τ)) / log((1 - a) / (1 - b))`. Of a million item-days a thousand lie beyond it by
chance, so what is told of is chosen by Benjamini and Hochberg's (1995) step-up procedure, and the confidence is one
less the share of false ones among those as extreme.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.demand.drift import rises
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

EXTREME: Final = 0.999
# Counts are whole and forecasts are not: a unit of room.
_ROOM_UNITS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spikes:
    """float64[n]: the extrapolated 99.9 % quantile, the chance of as much or more, how sure it is a spike; is_spike
    bool[n]"""

    limit: Float64
    chance: Float64
    confidence: Float64
    is_spike: npt.NDArray[np.bool_]


def spikes(
    units: Float64, levels: Float64, quantiles: Float64, *, share_of_day: float = 1.0, false_share: float = 0.1,
    of: int | None = None,
) -> Spikes:  # fmt: skip
    """Which series sold more than their forecast allows for.

    units         float64[n], wanted on that day until now
    levels        float64[level] rising, the highest 0.9 or more
    quantiles     float64[n, level], of the whole day
    share_of_day  that has passed, by what is usually sold in its hours
    false_share   of those told of
    of            how many series there are; None: as many as are given. Where only those that sold are looked at, the
                  others count as well, or chance would be taken for a spike more often

    Raises ValueError.
    """
    if len(levels) < 2 or levels[-1] < 0.9 or (np.diff(levels) <= 0).any():
        raise ValueError(f"expected rising levels up to 0.9 or more, got {levels.tolist()}")
    if quantiles.shape != (len(units), len(levels)):
        raise ValueError(f"expected quantiles[{len(units)}, {len(levels)}], got {quantiles.shape}")
    if not 0 < share_of_day <= 1:
        raise ValueError(f"expected share_of_day in (0, 1], got {share_of_day}")
    rising = np.maximum.accumulate(quantiles, axis=1) * share_of_day
    # Far enough apart to draw a line through: half of what the highest leaves over, or more.
    low = int(np.flatnonzero(1 - levels >= 2 * (1 - levels[-1]) - 1e-12)[-1]) if levels[0] < 2 * levels[-1] - 1 else 0
    span = np.log((1 - levels[low]) / (1 - levels[-1]))
    high = rising[:, -1]
    # A forecast of nothing at all is no certainty, and who comes may take two.
    scale = np.maximum((high - rising[:, low]) / span, 0.5)
    limit = high + scale * np.log((1 - levels[-1]) / (1 - EXTREME)) + _ROOM_UNITS
    beyond = np.maximum(units - _ROOM_UNITS - high, 0.0)
    chance = np.where(units > high + _ROOM_UNITS, (1 - levels[-1]) * np.exp(-beyond / scale), 1.0)
    wrong = _false_shares(chance, len(units) if of is None else max(of, len(units)))
    return Spikes(limit=limit, chance=chance, confidence=1 - wrong, is_spike=(units > limit) & (wrong <= false_share))


def spike_findings(
    seen: Spikes, units: Float64, names: Sequence[tuple[str, ...]], available: Float64, mean: Float64, days: Float64,
    margin_minor: Float64, day: datetime, *, what: str = "item", causes: Sequence[Subject] = (),
) -> list[Finding]:  # fmt: skip
    """Spikes in words. The loss is the margin of what will be missing until the next supply, if half of the excess
    stays: the rest was this day's.

    available     float64[n], units that are there after what was sold
    mean, days    float64[n], units a day that the forecast expects, and days until the next supply
    margin_minor  float64[n], of a unit; day: when it begins
    causes        of each the wider one, such as its item; none are known if it is empty
    """
    out: list[Finding] = []
    for row in np.flatnonzero(seen.is_spike).tolist():
        lasting = float(mean[row]) + 0.5 * max(float(units[row] - mean[row]), 0.0)
        wanted = lasting * float(days[row])
        missing = max(wanted - float(available[row]), 0.0)
        subject = Subject(what, tuple(names[row]))
        out.append(
            Finding(
                kind=Kind.DEMAND_SPIKE, subject=subject, loss_minor=max(round(missing * float(margin_minor[row])), 0),
                confidence=float(np.clip(seen.confidence[row], 0, 1)), since=day,
                causes=(subject, causes[row]) if causes else (subject,),
                numbers={
                    "units": float(units[row]), "limit_units": float(seen.limit[row]),
                    "chance": float(seen.chance[row]), "missing_units": missing,
                },
                sentence=(
                    f"{units[row]:,.0f} of {subject} are wanted on {day:%Y-%m-%d}, where the forecast has less than"
                    f" {seen.limit[row]:,.0f} on 999 of 1,000 such days."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def drifts(losses: Float64) -> Int64:
    """int64[series]: in which period it was sure that a forecast's losses have risen, -1 where they have not; losses
    float64[series, t], scaled, the oldest first. By the CUSUM that decides when rivals are trained."""
    return np.array([-1 if (at := rises(row)) is None else at for row in losses], np.int64)


def drift_findings(
    at: Int64, losses: Float64, names: Sequence[tuple[str, ...]], periods: Sequence[datetime], worth_minor: Float64, *,
    what: str = "item",
) -> list[Finding]:  # fmt: skip
    """Drifts in words; worth_minor float64[series]: what one unit of scaled loss costs in as many periods again."""
    out: list[Finding] = []
    for row in np.flatnonzero(at >= 0).tolist():
        begun = int(at[row])
        before, after = float(losses[row, :begun].mean()), float(losses[row, begun:].mean())
        subject = Subject(what, tuple(names[row]))
        out.append(
            Finding(
                kind=Kind.FORECAST_DRIFT, subject=subject, since=periods[begun],
                loss_minor=max(round((after - before) * float(worth_minor[row])), 0),
                # One false alarm in 930 values: drift.ALARM.
                confidence=1 - min(losses.shape[1] / 930, 1.0),
                numbers={"loss_before": before, "loss_after": after},
                sentence=(
                    f"The forecast of {', '.join(subject.key)} is off by {after:.2f} since {periods[begun]:%Y-%m-%d},"
                    f" where {before:.2f} were usual (scaled loss)."
                ),
            )
        )  # fmt: skip
    return out


def _false_shares(chance: Float64, of: int) -> Float64:
    """float64[n]: least share of false ones at which the step-up procedure would still tell of each, one of `of`."""
    n = len(chance)
    order = np.argsort(chance, kind="stable")
    stepped = np.minimum(chance[order] * of / np.arange(1, n + 1), 1.0)
    out = np.empty(n)
    out[order] = np.minimum.accumulate(stepped[::-1])[::-1]
    return out
