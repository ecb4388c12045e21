"""What a decision is weighed by: the built-in objectives of the first policy."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Exchange rates to money, in minor units.

    split_minor       price of every fulfilment after the first
    target_days       days from the decision within which the order should arrive
    late_minor        price of missing that, times its probability
    day_minor         price of each expected day until delivery
    co2_minor_per_kg  price of a kilogram of CO2
    """

    split_minor: float
    target_days: float
    late_minor: float
    day_minor: float
    co2_minor_per_kg: float


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Objectives by name, the default one, and the limits that hold for every order."""

    version: str
    objectives: dict[str, Objective]
    default: str
    fulfilments_max: int
    confidence: float = 0.95

    def matrix(self) -> npt.NDArray[np.float64]:
        """float64[objective, 5] in the column order of the kernel."""
        return np.array(
            [
                [o.split_minor, o.target_days, o.late_minor, o.day_minor, o.co2_minor_per_kg]
                for o in self.objectives.values()
            ],
            np.float64,
        )

    def index(self, name: str | None) -> int:
        """Row of an objective in `matrix`; KeyError when there is none."""
        return self._rows[name or self.default]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.objectives)}


# `speed` and `sustainability` pay up to about one parcel's price for a day or a kilogram less; `margin` breaks ties
# by time only.
STANDARD = Policy(
    version="standard@1",
    objectives={
        "margin": Objective(split_minor=100, target_days=5, late_minor=500, day_minor=1, co2_minor_per_kg=0),
        "speed": Objective(split_minor=50, target_days=2, late_minor=1500, day_minor=400, co2_minor_per_kg=0),
        "sustainability": Objective(split_minor=100, target_days=7, late_minor=300, day_minor=1, co2_minor_per_kg=800),
    },
    default="margin",
    fulfilments_max=4,
)
