"""Channels that show other numbers than ours, and channels that take nothing from us.

**Drifting.** A reconciliation reads what listings show: those that show another number than the one we wrote were
written by somebody else, have lost our write, or sold what we were not told of. Some always do for a moment; a channel
drifts when more than a tolerated share does (shares.py).

**Refusing.** A channel that cannot be reached, or that is left alone because it failed too often, is out for certain.
One that takes most of what it is sent refuses when more listings fail than is tolerated, or when there are messages and
orders that nobody could make sense of: each of these waits for a person. Any of the three is enough, so the chance of
it is `1 - (1 - p1)(1 - p2)(1 - p3)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.moments import moment
from onhand.incidents.detect.shares import above
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Of a channel that says of itself that it is out: only what we were told may be wrong.
_OUT: Final = 0.99
# Of listings; a hundredth differs for a moment while orders are on their way, two are refused for reasons of their own.
_DRIFT_TOLERATED: Final = 0.01
_FAILURES_TOLERATED: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the last reconciliation of each channel found, int64[n]: listings read, those that showed another number by
    the three reasons, and when that was (Unix microseconds)."""

    read: Int64
    foreign: Int64
    lost: Int64
    unheard: Int64
    at: Int64

    @property
    def differing(self) -> Int64:
        return self.foreign + self.lost + self.unheard


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How each channel fares.

    is_out     bool[n]: it cannot be reached, or is left alone
    listings, failing  int64[n], listings written to, and those of them whose last write failed
    parked     int64[n], messages and orders that wait for a person, and notices that the channel refused
    since      int64[n], Unix microseconds: the first of it
    """

    is_out: Bools
    listings: Int64
    failing: Int64
    parked: Int64
    since: Int64


def drifting(readings: Readings, *, tolerated: float = _DRIFT_TOLERATED) -> Float64:
    """float64[n]: chance that more than the tolerated share of a channel's listings shows another number."""
    read = np.maximum(readings.read, readings.differing).astype(np.float64)
    return above(readings.differing.astype(np.float64), read, np.full(len(read), tolerated))


def refusing(faults: Faults, *, tolerated: float = _FAILURES_TOLERATED) -> Float64:
    """float64[n]: chance that a channel refuses what it is sent, or is out."""
    listings = np.maximum(faults.listings, faults.failing).astype(np.float64)
    share = above(faults.failing.astype(np.float64), listings, np.full(len(listings), tolerated))
    # One may be a slip of the other side's; with each more that gets half as likely.
    parked = np.where(faults.parked > 0, 1 - 0.5 ** (faults.parked + 1.0), 0.0)
    return 1 - (1 - np.where(faults.is_out, _OUT, 0.0)) * (1 - np.where(faults.failing > 0, share, 0.0)) * (1 - parked)


def drift_findings(
    readings: Readings, chance: Float64, names: Sequence[str], daily_minor: Float64, *, confidence_min: float = 0.3
) -> list[Finding]:
    """Drifting channels in words; daily_minor float64[n]: what a channel earns in a day. The loss is a day of the share
    that differs: too high a number is sold and not served, too low a one is not sold."""
    out: list[Finding] = []
    differing = readings.differing
    for row in np.flatnonzero((chance >= confidence_min) & (differing > 0)).tolist():
        read = max(int(readings.read[row]), int(differing[row]))
        at = moment(int(readings.at[row]))
        out.append(
            Finding(
                kind=Kind.CHANNEL_DRIFT, subject=Subject("channel", (names[row],)), confidence=float(chance[row]),
                loss_minor=round(float(daily_minor[row]) * int(differing[row]) / read), since=at,
                numbers={
                    "listings_read": read, "foreign": int(readings.foreign[row]), "lost": int(readings.lost[row]),
                    "unheard": int(readings.unheard[row]),
                },
                sentence=(
                    f"{differing[row]:,} of {read:,} listings of {names[row]} showed another number than ours on"
                    f" {at:%Y-%m-%d %H:%M} UTC: {readings.foreign[row]:,} written by somebody else,"
                    f" {readings.lost[row]:,} that had lost our write, {readings.unheard[row]:,} sold without telling."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def refusal_findings(
    faults: Faults, chance: Float64, names: Sequence[str], reasons: Sequence[str], daily_minor: Float64,
    order_minor: Float64, *, confidence_min: float = 0.3,
) -> list[Finding]:  # fmt: skip
    """Refusing channels in words.

    reasons      what each said last; '' is nothing
    daily_minor  float64[n], what a channel earns in a day: lost as far as it is out, or by its failing listings
    order_minor  float64[n], what an order earns: lost of what waits for a person
    """
    out: list[Finding] = []
    for row in np.flatnonzero(chance >= confidence_min).tolist():
        listings = max(int(faults.listings[row]), int(faults.failing[row]), 1)
        share = 1.0 if faults.is_out[row] else int(faults.failing[row]) / listings
        said: list[str] = []
        if faults.is_out[row]:
            said.append("cannot be reached")
        if faults.failing[row]:
            said.append(f"refuses {faults.failing[row]:,} of {listings:,} listings")
        if faults.parked[row]:
            said.append(f"has {faults.parked[row]:,} messages or orders that wait for a person")
        last = f" (last: {reasons[row]})" if reasons[row] else ""
        out.append(
            Finding(
                kind=Kind.CHANNEL_REFUSING, subject=Subject("channel", (names[row],)), confidence=float(chance[row]),
                loss_minor=round(
                    share * float(daily_minor[row]) + float(faults.parked[row]) * float(order_minor[row])
                ),
                since=moment(int(faults.since[row])),
                numbers={
                    "is_out": int(faults.is_out[row]), "listings": listings, "failing": int(faults.failing[row]),
                    "parked": int(faults.parked[row]),
                },
                sentence=f"{names[row]} {' and '.join(said)}{last}.",
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))
