"""Who is in charge: what was learned last or what was learned before, the model or the baseline.

Decided by what forecasts lost at origins whose periods have come. Origins count that do not share a period: daily
forecasts of four weeks would otherwise win or lose by one week thirty times.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final, Literal, NamedTuple

import numpy as np

from onhand.demand.realised import Gain

WINS: Final = 2
"""Origins that have to be won to be promoted, or to come back."""
# A challenger that has not won by then makes room.
_TRIED_MAX: Final = 4
# Days between two times of learning, however much drifts, and after which what was learned is old.
LEARN_APART: Final = 7
LEARN_EVERY: Final = 28

Why = Literal["first", "asked", "drift", "age"]


def apart(origins: Sequence[date], days: int) -> list[date]:
    """Those of `origins` that lie `days` or more apart, the earliest first: later ones change none of them."""
    kept: list[date] = []
    for origin in sorted(origins):
        if not kept or (origin - kept[-1]).days >= days:
            kept.append(origin)
    return kept


def is_model_in_charge(gains: Sequence[Gain]) -> bool:
    """Whether a segment is forecast by its model, not by the baseline.

    gains  of the model over the baseline at each origin since it was promoted, the earliest first; NaN says nothing

    It begins in charge. It is put aside once it lost for sure (the upper limit of its gain is below 0), or at two
    origins in a row, and comes back once it won for sure, or at two in a row.
    """
    in_charge, against = True, 0
    for gain in gains:
        if np.isnan(gain.gain):
            continue
        turns = gain.gain < 0 if in_charge else gain.gain > 0
        is_sure = gain.is_surely_lost if in_charge else gain.is_sure
        against = against + 1 if turns else 0
        if is_sure or against >= WINS:
            in_charge, against = not in_charge, 0
    return in_charge


class Pair(NamedTuple):
    """What both lost at one origin, over the same series and periods."""

    champion: float
    challenger: float


def contest(pairs: Sequence[Pair]) -> Literal["promote", "retire", "wait"]:
    """What becomes of a challenger after these origins: it is promoted once it has won two of them and lost less in
    all, and retired after four without that."""
    seen = [pair for pair in pairs if np.isfinite(pair.champion) and np.isfinite(pair.challenger)]
    wins = sum(pair.challenger < pair.champion for pair in seen)
    if wins >= WINS and sum(p.challenger for p in seen) < sum(p.champion for p in seen):
        return "promote"
    return "retire" if len(seen) >= _TRIED_MAX else "wait"


def why_learn(
    origin: date, *, champion: date | None, challenger: date | None, drifted: bool, asked: bool = False
) -> Why | None:
    """Whether to learn anew for a forecast from `origin`, and why.

    champion, challenger  the origins they were learned at; None: there is none
    drifted               whether errors of the champion have become others
    """
    if champion is None:
        return "first"
    if asked:
        return "asked"
    age = (origin - max(champion, challenger or champion)).days
    if age < LEARN_APART:
        return None
    if drifted and challenger is None:
        return "drift"
    return "age" if age >= LEARN_EVERY else None
