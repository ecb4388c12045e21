"""Nodes that will have more work than they can do, before it happens.

Work is done first in, first out: with arrivals a, capacity c and work B left over, `B[d] = max(0, B[d-1] + a[d] -
c[d])` (Lindley 1952). What came until day d - k and is not done by the evening of d is late, k the days a node has for
it. The arrivals are not known: paths are drawn, log-normal around their mean, with a part that all days have in
common, for a forecast that is too low today is mostly too low tomorrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Share of the variance of a day's logarithm that all days have in common.
_COMMON: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaches:
    """What is ahead of each node.

    chance       float64[node], that any work will be late by the horizon
    day          int64[node], first day (0: today) by which it is likelier than not that some is late; -1: none
    units_late   float64[node], expected to be done after their day, or not at all, by the horizon
    late_by_day  float64[node, day], expected
    left_by_day  float64[node, day], expected work left over in the evening
    """

    chance: Float64
    day: Int64
    units_late: Float64
    late_by_day: Float64
    left_by_day: Float64


def ahead(
    open_units: Float64, arrivals: Float64, deviation: Float64, capacity: Float64, due_days: Int64, *,
    paths: int = 200, seed: int = 0,
) -> Breaches:  # fmt: skip
    """Whether work will be late, by node and day.

    open_units  float64[node], not done this morning; due as if it had come yesterday
    arrivals, deviation  float64[node, day], units expected, and their standard deviation
    capacity    float64[node, day], units that can be done: 0 on a closed day
    due_days    int64[node] >= 0: what comes on day d is to be done by the evening of d + due_days

    Raises ValueError. O(nodes x paths x days).
    """
    nodes, days = arrivals.shape
    if not open_units.shape == due_days.shape == (nodes,) or not deviation.shape == capacity.shape == (nodes, days):
        raise ValueError("expected open_units[node], due_days[node] and arrivals, deviation, capacity[node, day]")
    for name, values in (
        ("open_units", open_units), ("arrivals", arrivals), ("deviation", deviation), ("capacity", capacity),
        ("due_days", due_days),
    ):  # fmt: skip
        if values.size and not (np.isfinite(values).all() and values.min() >= 0):
            raise ValueError(f"expected {name} of at least 0")
    came = _drawn(arrivals, deviation, paths, seed)
    left = np.repeat(open_units[:, None], paths, axis=1)
    done = np.zeros((nodes, paths))
    total = np.concatenate([left[:, :, None], left[:, :, None] + np.cumsum(came, axis=2)], axis=2)
    ever = np.zeros((nodes, paths), bool)
    by_day, left_by_day, chance_by = (np.zeros((nodes, days)) for _ in range(3))
    row = np.arange(nodes, dtype=np.int64)
    for d in range(days):
        left = np.maximum(left + came[:, :, d] - capacity[:, d, None], 0.0)
        done = total[:, :, d + 1] - left
        # What was there this morning is 0 of `total`: it came on the day before.
        due, due_before = _due(total, row, d - due_days + 1), _due(total, row, d - due_days)
        late = np.maximum(due - np.maximum(done, due_before), 0.0)
        ever |= late > 1e-9
        by_day[:, d], left_by_day[:, d], chance_by[:, d] = late.mean(axis=1), left.mean(axis=1), ever.mean(axis=1)
    likely = chance_by >= 0.5
    first: Int64 = likely.argmax(axis=1).astype(np.int64)
    return Breaches(
        chance=ever.mean(axis=1), day=np.where(likely.any(axis=1), first, -1),
        units_late=by_day.sum(axis=1), late_by_day=by_day, left_by_day=left_by_day,
    )  # fmt: skip


def findings(
    seen: Breaches, names: Sequence[str], late_minor: Float64, today: datetime, *, chance_min: float = 0.3
) -> list[Finding]:
    """Breaches in words; late_minor float64[node], cost of a unit that is late; today: when day 0 begins.

    chance_min  what an incident that is open stays open for
    """
    out: list[Finding] = []
    for node in np.flatnonzero(seen.chance >= chance_min).tolist():
        # Where no day is likelier than not, the one on which most is expected to be late.
        day = int(seen.day[node]) if seen.day[node] >= 0 else int(seen.late_by_day[node].argmax())
        loss = float(seen.units_late[node] * late_minor[node])
        out.append(
            Finding(
                kind=Kind.CAPACITY_BREACH, subject=Subject("node", (names[node],)), loss_minor=round(loss),
                confidence=float(seen.chance[node]), since=today,
                numbers={
                    "days_until": day, "units_late": float(seen.units_late[node]),
                    "units_left_that_day": float(seen.left_by_day[node, day]),
                },
                sentence=(
                    f"{names[node]} is {seen.chance[node]:.0%} likely to be late, from"
                    f" {today + timedelta(days=day):%Y-%m-%d} on: about"
                    f" {seen.units_late[node]:,.0f} units within {seen.late_by_day.shape[1]} days, and"
                    f" {seen.left_by_day[node, day]:,.0f} left over that evening."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def _drawn(mean: Float64, deviation: Float64, paths: int, seed: int) -> Float64:
    """float64[node, path, day]"""
    random = np.random.default_rng(seed)
    nodes, days = mean.shape
    relative = np.divide(deviation, mean, out=np.zeros_like(mean), where=mean > 0)
    spread = np.sqrt(np.log1p(relative**2))[:, None, :]
    common = random.standard_normal((nodes, paths, 1)) * np.sqrt(_COMMON)
    own = random.standard_normal((nodes, paths, days)) * np.sqrt(1 - _COMMON)
    return mean[:, None, :] * np.exp(spread * (common + own) - spread**2 / 2)


def _due(total: Float64, row: Int64, day: Int64) -> Float64:
    """Units due by the evening: all that came by `day` of total float64[node, path, 1 + day]; none before the first."""
    return np.where((day >= 0)[:, None], total[row, :, np.maximum(day, 0)], 0.0)
