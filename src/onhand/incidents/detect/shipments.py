"""Single shipments that are likely to be late before they are: from what was foretold of each, scan by scan.

A forecast says when a shipment will be there, as quantiles, and how likely that is after its promise
(fulfilment/delivery). The last one made until now counts; what was foretold, scanned or delivered later is not looked
at. Evidence is as old as the run of forecasts above the limit, without a gap, that ends with it. What lateness costs is
its price and that of each expected day, E[T - due | T > due], read off the quantiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.moments import DAY_US, moment
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

NOT_YET: Final = np.iinfo(np.int64).max
"""`delivered_at` of what is still under way."""

# At how many levels the distribution of days is looked at beyond the promise.
_STEPS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipments:
    """Shipments in any order.

    shipped_at, delivered_at, due_at  int64[n], Unix microseconds; delivered_at NOT_YET; due_at: what was promised
    late_minor  float64[n], what it costs to be late; day_minor float64[n]: and each day of it
    """

    shipped_at: Int64
    delivered_at: Int64
    due_at: Int64
    late_minor: Float64
    day_minor: Float64

    def __post_init__(self) -> None:
        n = len(self.shipped_at)
        for name in ("delivered_at", "due_at", "late_minor", "day_minor"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"expected {name}[{n}], as many as shipped_at")
        if n and (self.late_minor.min() < 0 or self.day_minor.min() < 0):
            raise ValueError("expected late_minor and day_minor of at least 0")

    def __len__(self) -> int:
        return len(self.shipped_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecasts:
    """What was foretold, in any order.

    shipment  int64[f], place among the shipments
    made_at   int64[f], Unix microseconds
    p_late    float64[f], chance to come after the promise
    levels    float64[Q] in (0, 1), rising; days float64[f, Q]: from the shipping to the delivery, at these levels
    """

    shipment: Int64
    made_at: Int64
    p_late: Float64
    levels: Float64
    days: Float64

    def __post_init__(self) -> None:
        f = len(self.shipment)
        if self.made_at.shape != (f,) or self.p_late.shape != (f,) or self.days.shape != (f, len(self.levels)):
            raise ValueError("expected made_at[f], p_late[f] and days[f, Q], f as many as shipments named, Q as levels")
        if f and not ((self.p_late >= 0) & (self.p_late <= 1)).all():
            raise ValueError("expected p_late in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Likely:
    """Of each shipment, at one moment.

    p_late    float64[n], 0 of those delivered, not shipped or not foretold yet, 1 of those that are late
    since_at  int64[n], Unix microseconds: from when the evidence is; -1: there is none
    days_late float64[n], expected if it is late
    loss_minor float64[n], if it is late
    median_at int64[n], Unix microseconds, when it will be there with a chance of one half; -1
    forecasts int64[n], made until now
    """

    p_late: Float64
    since_at: Int64
    days_late: Float64
    loss_minor: Float64
    median_at: Int64
    forecasts: Int64


def look(shipments: Shipments, foretold: Forecasts, now: int, *, p_late_min: float = 0.3) -> Likely:
    """What is known of shipments at `now`, in Unix microseconds. O(f log f + n).

    p_late_min  chance from which there is evidence
    """
    n = len(shipments)
    out = Likely(
        p_late=np.zeros(n), since_at=np.full(n, -1, np.int64), days_late=np.zeros(n), loss_minor=np.zeros(n),
        median_at=np.full(n, -1, np.int64), forecasts=np.zeros(n, np.int64),
    )  # fmt: skip
    known = np.flatnonzero(foretold.made_at <= now)
    order = known[np.lexsort((foretold.made_at[known], foretold.shipment[known]))]
    if not len(order):
        return out
    of = foretold.shipment[order]
    begin = np.flatnonzero(np.r_[True, np.diff(of) != 0])
    last, s = order[np.r_[begin[1:], len(of)] - 1], of[begin]
    out.forecasts[s] = np.diff(np.r_[begin, len(of)])
    on_its_way = (shipments.shipped_at[s] <= now) & (shipments.delivered_at[s] > now)
    is_late = shipments.due_at[s] < now
    out.p_late[s] = np.where(on_its_way, np.where(is_late, 1.0, foretold.p_late[last]), 0.0)
    # The run of forecasts above the limit: it begins after the last one below.
    place = np.arange(len(of))
    below = np.maximum.reduceat(np.where(foretold.p_late[order] < p_late_min, place, -1), begin)
    first = np.maximum(below, begin - 1) + 1
    has_run = first < np.r_[begin[1:], len(of)]
    run_at = foretold.made_at[order[np.minimum(first, len(of) - 1)]]
    since = np.where(has_run, run_at, shipments.due_at[s])
    out.since_at[s] = np.where(out.p_late[s] >= p_late_min, since, -1)
    median = foretold.days[last] @ _weights(foretold.levels, np.array([0.5]))[:, 0]
    out.median_at[s] = shipments.shipped_at[s] + (median * DAY_US).astype(np.int64)
    out.days_late[s] = _days_late(shipments, foretold, s, last, now)
    out.loss_minor[s] = shipments.late_minor[s] + shipments.day_minor[s] * out.days_late[s]
    return out


def _days_late(shipments: Shipments, foretold: Forecasts, s: Int64, last: Int64, now: int) -> Float64:
    """Expected days from the promise to the delivery where it comes after it; at least what has gone by."""
    at = (np.arange(_STEPS) + 0.5) / _STEPS
    days = foretold.days[last] @ _weights(foretold.levels, at)
    due = (shipments.due_at[s] - shipments.shipped_at[s]) / DAY_US
    beyond = np.maximum(days - due[:, None], 0.0)
    after = (beyond > 0).sum(axis=1)
    # None of the levels lies beyond: what is left is beyond the last of them.
    expected = np.where(after > 0, beyond.sum(axis=1) / np.maximum(after, 1), 0.5)
    return np.maximum(expected, (now - shipments.due_at[s]) / DAY_US)


def _weights(levels: Float64, at: Float64) -> Float64:
    """float64[Q, A], by which quantiles at `levels` are to be multiplied for those at `at`: linear between two."""
    return np.array([np.interp(at, levels, one) for one in np.eye(len(levels))])


def findings(
    seen: Likely, ids: Sequence[str], shipments: Shipments, lanes: Sequence[Subject], carriers: Sequence[Subject], *,
    now: int,
) -> list[Finding]:  # fmt: skip
    """Shipments that are likely to be late in words, the most money first.

    ids     of each shipment
    lanes, carriers  of each what its lateness may come from
    """
    out: list[Finding] = []
    for n in np.flatnonzero(seen.since_at >= 0).tolist():
        subject = Subject("shipment", (ids[n],))
        due, p = moment(int(shipments.due_at[n])), float(seen.p_late[n])
        if shipments.due_at[n] < now:
            sentence = f"{subject} is late: it was promised by {due:%Y-%m-%d %H:%M} and is still on its way."
        else:
            sentence = (
                f"{subject} is {p:.0%} likely to come after {due:%Y-%m-%d %H:%M}, when it was promised: it is expected"
                f" on {moment(int(seen.median_at[n])):%Y-%m-%d %H:%M}, and {seen.days_late[n]:.1f} days late if it is."
            )
        out.append(
            Finding(
                kind=Kind.SHIPMENT_LATE, subject=subject, causes=(subject, lanes[n], carriers[n]),
                loss_minor=round(float(seen.loss_minor[n])), confidence=p, since=moment(int(seen.since_at[n])),
                numbers={
                    "p_late": p, "expected_days_late": float(seen.days_late[n]), "forecasts": int(seen.forecasts[n]),
                    "hours_left": (int(shipments.due_at[n]) - now) / (DAY_US / 24),
                },
                sentence=sentence,
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))
