"""Oversells: units that were confirmed and that nothing backs, neither a shelf nor a dated supply.

That they are missing is a fact, not a guess. What is not sure is whether it will cost anything: most shortages are over
within minutes, for orders are sourced again at once, others are cancelled, and tills correct themselves. A share heals
with a half-life, a rest never does; of a shortage that has lasted for t,

    P(it stays) = rest / (rest + (1 - rest) 2^(-t / half-life))

which is Bayes' rule over the two kinds, as it is for orders that are stuck (orders.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.moments import HOUR_US, moment
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortages:
    """Of items, each once.

    shelf_units    int64[n] >= 0, promised on shelves from which a count or damage took them
    waiting_units  int64[n] >= 0, of orders that wait without a date; orders int64[n]: how many of these there are
    free_units     int64[n], available at all nodes: what may still serve them
    since          int64[n], Unix microseconds
    """

    shelf_units: Int64
    waiting_units: Int64
    orders: Int64
    free_units: Int64
    since: Int64

    def __post_init__(self) -> None:
        n = len(self.since)
        for name in ("shelf_units", "waiting_units", "orders", "free_units"):
            values = getattr(self, name)
            if values.shape != (n,):
                raise ValueError(f"expected {name}[{n}], as many as `since`, got {values.shape}")
            if n and values.min() < 0:
                raise ValueError(f"expected {name} of at least 0")

    def __len__(self) -> int:
        return len(self.since)


def staying(short: Shortages, now: int, *, rest: float = 0.1, half_life_hours: float = 0.1) -> Float64:
    """float64[n]: chance that a shortage will cost something, at `now` (Unix microseconds).

    rest             share of shortages that nothing heals
    half_life_hours  of the others: six minutes, as orders are tried again every few seconds and people take longer
    """
    if not 0 < rest < 1 or not half_life_hours > 0:
        raise ValueError(f"expected rest in (0, 1) and half_life_hours above 0, got {rest}, {half_life_hours}")
    hours = np.maximum((now - short.since) / HOUR_US, 0.0)
    return rest / (rest + (1 - rest) * np.exp2(-hours / half_life_hours))


def findings(
    short: Shortages, chance: Float64, names: Sequence[str], margin_minor: Float64, penalty_minor: Float64, *,
    confidence_min: float = 0.3,
) -> list[Finding]:  # fmt: skip
    """Shortages in words, skus as names. The loss is the margin of the units, and what channels ask for orders that are
    not served; margin_minor float64[n] of a unit, penalty_minor float64[n] of all orders that wait."""
    out: list[Finding] = []
    missing = short.shelf_units + short.waiting_units
    for row in np.flatnonzero((chance >= confidence_min) & (missing > 0)).tolist():
        parts: list[str] = []
        if short.waiting_units[row]:
            many = int(short.orders[row])
            parts.append(
                f"{short.waiting_units[row]:,} in {many:,} {'order' if many == 1 else 'orders'} without a date"
            )
        if short.shelf_units[row]:
            parts.append(f"{short.shelf_units[row]:,} promised from shelves that do not have them")
        free = int(short.free_units[row])
        out.append(
            Finding(
                kind=Kind.OVERSELL, subject=Subject("item", (names[row],)), since=moment(int(short.since[row])),
                loss_minor=round(float(missing[row]) * float(margin_minor[row]) + float(penalty_minor[row])),
                confidence=float(chance[row]),
                numbers={
                    "shelf_units": int(short.shelf_units[row]), "waiting_units": int(short.waiting_units[row]),
                    "orders": int(short.orders[row]), "free_units": free,
                },
                sentence=(
                    f"{missing[row]:,} units of {names[row]} were sold and are not there: {', '.join(parts)};"
                    f" {f'{free:,} are' if free else 'none is'} free at other nodes."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))
