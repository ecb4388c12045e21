"""Purchases that will be late or short, from what their suppliers did before.

How late a supplier is, in days after the date it confirmed, has quantiles over its past lines, shrunk to those of all
suppliers. For a line that is not there yet at age a (days after its date, negative before it), `P(late > x | late > a)
= S(x) / S(a)`. What comes is a share of what was ordered; a line is short where even most of the supplier's lines
bring more than was advised, or where it has said so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.moments import DAY_US, moment
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_DAYS: Final = np.arange(-30.0, 91.0)
# Lines of all suppliers that a supplier's own distribution begins with.
_ALL_WEIGHT: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppliers:
    """tail float64[supplier, 121]: share of lines later than -30, ..., 90 days; share float64[supplier]: units that
    come of those ordered"""

    tail: Float64
    share: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """float64[line]: chance to come after the day it is needed, days late that are expected (after its own date), days
    until it is expected, days without stock if it does come after the day it is needed, units that are expected to be
    missing of it for good"""

    chance: Float64
    expected_days: Float64
    expected_in_days: Float64
    missing_days: Float64
    units_short: Float64


def learn(supplier: Int64, late_days: Float64, received_share: Float64, *, suppliers: int) -> Suppliers:
    """Suppliers from lines that have come: late_days float64[n] after the confirmed date (negative: before it),
    received_share float64[n] of the units ordered. Raises ValueError."""
    if not len(supplier) or not supplier.shape == late_days.shape == received_share.shape:
        raise ValueError("expected supplier, late_days and received_share of one or more lines")
    if received_share.min() < 0:
        raise ValueError("expected received_share of at least 0")
    place = np.searchsorted(_DAYS, late_days, "left")
    counted = np.zeros((suppliers, len(_DAYS) + 1))
    np.add.at(counted, (supplier, place), 1.0)
    of_all = counted.sum(axis=0)
    blended = counted + _ALL_WEIGHT * of_all / of_all.sum()
    # Later than day k: those of the bins above it. A line that is never seen so late may still be, one in a thousand.
    later = blended[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:] / blended.sum(axis=1, keepdims=True)
    overall = float(np.minimum(received_share, 1.0).mean())
    came = np.bincount(supplier, np.minimum(received_share, 1.0), suppliers)
    lines = np.bincount(supplier, minlength=suppliers)
    return Suppliers(tail=np.maximum(later, 1e-3), share=(came + _ALL_WEIGHT * overall) / (lines + _ALL_WEIGHT))


def foreseen(
    supplier: Int64, due_at: Int64, needed_at: Int64, units: Float64, learned: Suppliers, now: int, *,
    advised_units: Float64 | None = None,
) -> Late:  # fmt: skip
    """What is to be expected of open lines at `now`; moments in Unix microseconds.

    due_at         int64[line], confirmed by the supplier
    needed_at      int64[line], when the stock that is there runs out
    units          float64[line], ordered and not received
    advised_units  float64[line], announced as shipped; NaN: nothing was announced
    """
    if not supplier.shape == due_at.shape == needed_at.shape == units.shape:
        raise ValueError("expected supplier, due_at, needed_at and units of equal length")
    age = (now - due_at) / DAY_US
    room = np.maximum((needed_at - due_at) / DAY_US, age)
    still = _at(learned.tail[supplier], age)
    chance = np.clip(_at(learned.tail[supplier], room) / still, 0.0, 1.0)
    # Mean of what is left: the area under the tail beyond the age.
    beyond = np.where(age[:, None] <= _DAYS, learned.tail[supplier], 0.0).sum(axis=1) / still
    after = _at(learned.tail[supplier], room)
    missing = np.where(room[:, None] <= _DAYS, learned.tail[supplier], 0.0).sum(axis=1) / after
    # Since it ran out, if it has.
    missing = missing + np.maximum((now - needed_at) / DAY_US, 0.0)
    come = units * learned.share[supplier]
    if advised_units is not None:
        come = np.where(np.isnan(advised_units), come, np.minimum(advised_units, units))
    expected = np.maximum(age, _DAYS[0]) + beyond
    return Late(
        chance=chance, expected_days=expected, expected_in_days=np.maximum(expected - age, 0.0), missing_days=missing,
        units_short=units - come,
    )  # fmt: skip


def findings(
    seen: Late, names: Sequence[str], suppliers: Sequence[str], needed_at: Int64, units: Float64, margin_minor: Float64,
    now: datetime, *, daily_units: Float64, chance_min: float = 0.3, short_min: float = 0.1,
    keys: Sequence[tuple[str, ...]] | None = None,
) -> list[Finding]:  # fmt: skip
    """Late and short lines in words.

    margin_minor  float64[line], of a unit; daily_units: wanted a day once the stock has run out
    short_min     share of the units that must be missing
    keys          what each line is known by; None: by its name
    """
    out: list[Finding] = []
    for line in np.flatnonzero((seen.chance >= chance_min) | (seen.units_short >= short_min * units)).tolist():
        subject = Subject("inbound", (names[line],) if keys is None else keys[line])
        causes = (subject, Subject("supplier", (suppliers[line],)))
        if seen.chance[line] >= chance_min:
            lost = min(float(daily_units[line]) * float(seen.missing_days[line]), float(units[line]))
            out.append(
                Finding(
                    kind=Kind.INBOUND_LATE, subject=subject, causes=causes, since=now,
                    loss_minor=max(round(lost * float(margin_minor[line])), 0), confidence=float(seen.chance[line]),
                    numbers={
                        "chance": float(seen.chance[line]), "expected_days_late": float(seen.expected_days[line]),
                        "expected_in_days": float(seen.expected_in_days[line]),
                        "units_per_day": float(daily_units[line]),
                    },
                    sentence=(
                        f"{names[line]} of {suppliers[line]} is {seen.chance[line]:.0%} likely to come after"
                        f" {moment(int(needed_at[line])):%Y-%m-%d}, when it is needed: about"
                        f" {seen.expected_days[line]:.0f} days after its date."
                    ),
                )
            )  # fmt: skip
        if seen.units_short[line] >= short_min * units[line]:
            share = float(seen.units_short[line] / units[line])
            out.append(
                Finding(
                    kind=Kind.INBOUND_SHORT, subject=subject, causes=causes, since=now,
                    loss_minor=max(round(float(seen.units_short[line] * margin_minor[line])), 0),
                    confidence=min(0.5 + share / 2, 1.0), numbers={"units_short": float(seen.units_short[line])},
                    sentence=(
                        f"{names[line]} of {suppliers[line]} will bring about {seen.units_short[line]:,.0f} of"
                        f" {units[line]:,.0f} units less than ordered."
                    ),
                )
            )  # fmt: skip
    return out


def _at(tail: Float64, days: Float64) -> Float64:
    """float64[line]: each line's tail at its days, linear between whole ones."""
    place = np.clip(days - _DAYS[0], 0.0, len(_DAYS) - 1.0)
    low = np.minimum(place.astype(np.int64), len(_DAYS) - 2)
    row = np.arange(len(days))
    return tail[row, low] + (place - low) * (tail[row, low + 1] - tail[row, low])
