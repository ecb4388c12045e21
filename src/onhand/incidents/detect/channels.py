"""Channels that have gone silent: no order for longer than chance allows.

Orders come at a rate λ(h) that depends on the hour of the week and is not quite known, so a silence over which Λ orders
were expected has the chance `(r / (r + Λ))^r`: Gamma-mixed, r small where days differ much, and e^-Λ where they do not.
A channel with N orders a year begins N silences a year: N times that chance is how many as long it has in a year while
it is well, and what an outage is measured against.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.moments import HOUR_US, moment
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

WEEK_HOURS: Final = 168
# 1970-01-01 was a Thursday; hours of the week begin on Monday at midnight, UTC.
_MONDAY: Final = 72
# Weeks that an hour of the day times a day of the week counts in an hour of the week, and the mean in a day of the
# week: one wild Monday is no Monday's pattern.
_HOUR_WEIGHT: Final = 8.0
_DAY_WEIGHT: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """per_hour float64[channel, 168], orders an hour by hour of the week (UTC, from Monday); size float64[channel]"""

    per_hour: Float64
    size: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """float64[channel]: orders that were expected since the last one, how many silences as long a well channel has in a
    year, chance that it is out, orders an hour that are missing; is_silent bool[channel]"""

    expected: Float64
    per_year: Float64
    confidence: Float64
    missing_per_hour: Float64
    is_silent: npt.NDArray[np.bool_]


def learn(counts: Float64, first_hour: int) -> Rhythm:
    """Rates from whole hours: counts float64[channel, hour], orders in each; first_hour: hours since 1970 of the first.

    An hour of the week is shrunk to its hour of the day times its day of the week, with the weight of eight weeks. r is
    what days vary beyond chance around what their hours let expect, by moments. Raises ValueError: less than a week.
    """
    channels, hours = counts.shape
    if hours < WEEK_HOURS:
        raise ValueError(f"expected a week of hours or more, got {hours}")
    place = (first_hour + _MONDAY + np.arange(hours, dtype=np.int64)) % WEEK_HOURS
    weeks = np.bincount(place, minlength=WEEK_HOURS).astype(np.float64)
    summed = np.stack([np.bincount(place, row, WEEK_HOURS) for row in counts])
    mean = counts.mean(axis=1)[:, None, None]
    by_day, seen = summed.reshape(channels, 7, 24), weeks.reshape(7, 24)
    of_hour = (by_day.sum(axis=1, keepdims=True) + mean) / (seen.sum(axis=0) + 1)
    of_day = (by_day.sum(axis=2, keepdims=True) + _DAY_WEIGHT * 24 * mean) / (
        seen.sum(axis=1)[:, None] + _DAY_WEIGHT * 24
    )
    usual = np.divide(of_hour * of_day, mean, out=np.zeros_like(by_day), where=mean > 0)
    per_hour = ((by_day + _HOUR_WEIGHT * usual) / (seen + _HOUR_WEIGHT)).reshape(channels, WEEK_HOURS)
    days = hours // 24
    daily = counts[:, : days * 24].reshape(channels, days, 24).sum(axis=2)
    expected = per_hour[:, place][:, : days * 24].reshape(channels, days, 24).sum(axis=2)
    over = ((daily - expected) ** 2 - expected).sum(axis=1)
    size = np.where(over > 0, (expected**2).sum(axis=1) / np.maximum(over, 1e-9), np.inf)
    return Rhythm(per_hour=per_hour, size=np.clip(size, 0.5, 1e6))


def silent(
    last_order_at: Int64,
    now: int,
    learned: Rhythm,
    *,
    false_alarms_per_year: float = 1.0,
    outages_per_year: float = 6.0,
) -> Silence:
    """Which channels are silent at `now` (Unix microseconds); last_order_at int64[channel].

    outages_per_year  of a channel, until its own are known: against silences as long that mean nothing, they say how
                      sure it is
    """
    if (last_order_at > now).any():
        raise ValueError("expected last_order_at of at most now")
    expected = _between(learned.per_hour, last_order_at, now)
    yearly = learned.per_hour.sum(axis=1) * 365.25 / 7
    chance = np.exp(-learned.size * np.log1p(expected / learned.size))
    per_year = yearly * chance
    hour = _between(learned.per_hour, np.full(len(last_order_at), now), now + HOUR_US)
    return Silence(
        expected=expected, per_year=per_year, confidence=outages_per_year / (outages_per_year + per_year),
        missing_per_hour=hour, is_silent=per_year <= false_alarms_per_year,
    )  # fmt: skip


def findings(
    seen: Silence, names: Sequence[str], last_order_at: Int64, margin_minor: Float64, *, hours_ahead: float = 4.0
) -> list[Finding]:
    """Silent channels in words. The loss is that of the orders missed so far and in the next hours; margin_minor
    float64[channel], of an order."""
    out: list[Finding] = []
    for channel in np.flatnonzero(seen.is_silent).tolist():
        lost = (seen.expected[channel] + hours_ahead * seen.missing_per_hour[channel]) * margin_minor[channel]
        since = moment(int(last_order_at[channel]))
        out.append(
            Finding(
                kind=Kind.CHANNEL_SILENT, subject=Subject("channel", (names[channel],)),
                loss_minor=max(round(float(lost)), 0), confidence=float(seen.confidence[channel]), since=since,
                numbers={
                    "orders_expected": float(seen.expected[channel]),
                    "silences_per_year": float(seen.per_year[channel]),
                },
                sentence=(
                    f"{names[channel]} sent no order since {since:%Y-%m-%d %H:%M} UTC, where"
                    f" {seen.expected[channel]:,.1f} were to be expected: a silence as long comes"
                    f" {seen.per_year[channel]:.2g} times a year by chance."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def _between(per_hour: Float64, begin: Int64, end: int) -> Float64:
    """float64[channel]: orders expected from begin int64[channel] to end, in parts of hours."""
    summed = np.concatenate([np.zeros((len(per_hour), 1)), np.cumsum(per_hour, axis=1)], axis=1)

    def until(at: Int64) -> Float64:
        hours = at / HOUR_US + _MONDAY
        weeks, hour = np.divmod(hours, WEEK_HOURS)
        whole = np.minimum(hour.astype(np.int64), WEEK_HOURS - 1)
        row = np.arange(len(per_hour))
        return weeks * summed[:, -1] + summed[row, whole] + (hour - whole) * per_hour[row, whole]

    return until(np.full(len(begin), end)) - until(begin)
