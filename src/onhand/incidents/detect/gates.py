"""Gates that let through more oversells than they were set to.

A gate of a channel is computed for a target, the share of its orders that may be oversold. Whether more are is asked of
the orders since: the chance that the true share lies above the target (shares.py), so that one bad order in fifty says
little and fifty in five thousand say much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.shares import above
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Of channels with a computed gate: orders placed, those that could not be served as they were placed, int64[n];
    target float64[n] in (0, 1), share of orders that may be so."""

    orders: Int64
    oversold: Int64
    target: Float64

    def __post_init__(self) -> None:
        if not self.orders.shape == self.oversold.shape == self.target.shape:
            raise ValueError("expected orders, oversold and target of equal length")


def breached(outcomes: Outcomes) -> Float64:
    """float64[n]: chance that more than the target is oversold."""
    return above(outcomes.oversold.astype(np.float64), outcomes.orders.astype(np.float64), outcomes.target)


def findings(
    outcomes: Outcomes, chance: Float64, names: Sequence[str], oversell_minor: Float64, since: datetime, *,
    confidence_min: float = 0.3,
) -> list[Finding]:  # fmt: skip
    """Breached gates in words; oversell_minor float64[n]: cost of an order that is oversold. The loss is that of the
    orders beyond the target, for as many orders again."""
    out: list[Finding] = []
    for row in np.flatnonzero((chance >= confidence_min) & (outcomes.oversold > 0)).tolist():
        orders, oversold, target = int(outcomes.orders[row]), int(outcomes.oversold[row]), float(outcomes.target[row])
        beyond = max(oversold - target * orders, 0.0)
        out.append(
            Finding(
                kind=Kind.GATE_BREACH, subject=Subject("channel", (names[row],)), confidence=float(chance[row]),
                loss_minor=round(beyond * float(oversell_minor[row])), since=since,
                numbers={"orders": orders, "oversold": oversold, "target": target},
                sentence=(
                    f"{oversold:,} of {orders:,} orders of {names[row]} since {since:%Y-%m-%d} were oversold"
                    f" ({oversold / orders:.2%}), where its gate is to let {target:.2%} through."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))
