"""Two arms of the same chance, compared in pairs: what responding is worth, scenario by scenario."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from onhand.twin.scenarios.document import Scenario
from onhand.twin.scenarios.knowing import informed
from onhand.twin.scenarios.responding import Auto
from onhand.twin.scenarios.world import Off, Outcome, Responder, World

MEASURES: Final = ("late", "cancelled", "lost_margin")
FEW: Final = 20.0
"""Late or cancelled orders a run; where `off` has fewer there is nothing to gain, and no share is told."""
# Two-sided 95 % quantiles of Student's t by degrees of freedom, and the normal's beyond.
_T: Final = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
    2.09,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both arms of one seed. lost_margin in minor units, of `auto` with what its freight costs beyond that of `off` for
    the orders that both served. bound: of `auto` that is told the truth; None: not asked for."""

    seed: int
    off: dict[str, float]
    auto: dict[str, float]
    acted: dict[str, int]
    bound: dict[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """off, auto: means over seeds; difference: mean of auto - off, and the half width of its 95 % interval.

    share     mean difference over the mean of off; None: off has (next to) none, so there is nothing to gain
    is_worse  whether the interval lies above 0
    bound     the share of `auto` that is told the truth (knowing.py); None: not asked for, or nothing to gain
    """

    scenario: str
    name: str
    off: float
    auto: float
    difference: float
    half_width: float
    share: float | None
    is_worse: bool
    bound: float | None = None


def live_twice(
    scenario: Scenario, seed: int, responder: Callable[[], Responder] = Auto, *, is_bounded: bool = False
) -> Pair:
    """Both arms of one seed. is_bounded: and a third one, in which `auto` is told the truth of each moment."""
    off = World(scenario, seed, Off()).run()
    auto = World(scenario, seed, responder()).run()
    bound = _against(off, informed(scenario, seed).run()) if is_bounded else None
    return Pair(seed=seed, off=_figures(off), auto=_against(off, auto), acted=dict(auto.acted), bound=bound)


def _against(off: Outcome, auto: Outcome) -> dict[str, float]:
    freight = sum(auto.freight[key] - off.freight[key] for key in off.freight.keys() & auto.freight.keys())
    return _figures(auto, freight)


def _figures(outcome: Outcome, freight: float = 0.0) -> dict[str, float]:
    return {
        "late": float(outcome.late),
        "cancelled": float(outcome.cancelled_orders),
        "lost_margin": outcome.lost_margin + freight,
        "untold": float(outcome.untold),
        "accepted": float(outcome.accepted),
    }


def measured(scenario: str, pairs: Sequence[Pair]) -> list[Measure]:
    """The paired differences of two or more seeds. Raises ValueError."""
    if len(pairs) < 2:
        raise ValueError("expected two or more seeds: one tells nothing of chance")
    found: list[Measure] = []
    t = _T[len(pairs) - 2] if len(pairs) - 2 < len(_T) else 1.96
    for name in MEASURES:
        off, auto = (np.array([getattr(p, arm)[name] for p in pairs]) for arm in ("off", "auto"))
        difference = auto - off
        half = t * float(difference.std(ddof=1)) / math.sqrt(len(pairs))
        mean, before = float(difference.mean()), float(off.mean())
        knowing = [p.bound[name] for p in pairs if p.bound is not None]
        is_some = before >= FEW or name == "lost_margin"
        found.append(
            Measure(
                scenario=scenario, name=name, off=before, auto=float(auto.mean()), difference=mean, half_width=half,
                share=mean / before if is_some and before else None, is_worse=mean - half > 0,
                bound=float(np.mean(knowing)) / before - 1 if knowing and is_some and before else None,
            )
        )  # fmt: skip
    return found


def averages(measures: Iterable[Measure]) -> dict[str, float]:
    """Mean share of each measure over the scenarios in which there is something to gain."""
    shares: dict[str, list[float]] = {name: [] for name in MEASURES}
    for measure in measures:
        if measure.share is not None:
            shares[measure.name].append(measure.share)
    return {name: float(np.mean(some)) for name, some in shares.items() if some}
