"""What a decision is weighed by: the built-in objectives of the first policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from onhand.sourcing.tables import BIG

# What carriers tell is the 95 % quantile: as it is, without rounding.
_P95 = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Exchange rates to money, in minor units; the terms they belong to say how they are used (sourcing/terms).

    split_minor           price of every fulfilment after the first
    target_days           days from the decision within which the order should arrive
    late_minor            price of missing that, times its probability
    day_minor             price of each expected day until delivery
    co2_minor_per_kg      price of a kilogram of CO2
    capacity_base_minor, capacity_steepness, capacity_from  price of room at a node that is fuller than `capacity_from`
    capacity_dual, opportunity  weights of the prices that the network plan gives to room and to units
    step_minor            how far the price of a unit moves with an order
    rejection_minor       what it costs that a node rejects a line
    unserved_order_minor  price of leaving units unserved, once per order; None: all or nothing
    unserved_unit_minor   and for each of them
    floor_minor, floor_share  least profit of an order, plus that share of what it is sold for; None: any
    confidence            with which a promised date is kept
    weights               of cost terms of others (sourcing/custom.py) by name; of one that is not named 1, 0: off
    """

    split_minor: float
    target_days: float
    late_minor: float
    day_minor: float
    co2_minor_per_kg: float
    capacity_base_minor: float = 0.0
    capacity_steepness: float = 8.0
    capacity_from: float = 0.8
    capacity_dual: float = 1.0
    opportunity: float = 1.0
    step_minor: float = 0.0
    rejection_minor: float = 0.0
    unserved_order_minor: float | None = None
    unserved_unit_minor: float = 0.0
    floor_minor: float | None = None
    floor_share: float = 0.0
    confidence: float = 0.95
    weights: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def row(self, others: Sequence[str] = ()) -> list[float]:
        """In the column order of the solver (tables.OBJ_*), with the weights of the terms `others` at its end."""
        return [
            self.split_minor,
            self.target_days,
            self.late_minor,
            self.day_minor,
            self.co2_minor_per_kg,
            self.capacity_base_minor,
            self.capacity_steepness,
            self.capacity_from,
            self.capacity_dual,
            self.opportunity,
            self.step_minor,
            self.rejection_minor,
            BIG if self.unserved_order_minor is None else self.unserved_order_minor,
            self.unserved_unit_minor,
            self.floor_share,
            -BIG if self.floor_minor is None else self.floor_minor,
            0.0 if self.confidence == _P95 else NormalDist().inv_cdf(self.confidence),
            *(self.weights.get(name, 1.0) for name in others),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """How prices of stock are learned and how they follow the orders; shares of what serving a unit costs.

    refreshes   of the prices, over the time that the forecast is for
    samples     expected orders that a refresh decides
    step_share  first step of the walk
    settle      share of an item's visits before the mean is taken
    price_max   highest price
    follow_share  how far the price of a unit moves with one that is taken
    price_max_minor  highest price in minor units besides; None: there is none
    refresh_minutes  of a running system, at the latest

    The numbers were found on the published instances (benchmarks/README.md).
    """

    refreshes: int = 50
    samples: int = 2_000
    step_share: float = 0.1
    settle: float = 0.25
    price_max: float = 2.0
    follow_share: float = 0.0025
    price_max_minor: float | None = None
    refresh_minutes: int = 10


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Objectives by name, the default one, and the limits that hold for every order; foresight: None does without."""

    version: str
    objectives: dict[str, Objective]
    default: str
    fulfilments_max: int
    confidence: float = 0.95
    foresight: Foresight | None = Foresight()

    def matrix(self, others: Sequence[str] = ()) -> npt.NDArray[np.float64]:
        """float64[objective, 17 + others] in the column order of the solver; others: names of further terms."""
        return np.array([o.row(others) for o in self.objectives.values()], np.float64)

    def following(self, step_minor: float) -> "Policy":
        """The same with prices of stock that move so far with an order."""
        objectives = {name: replace(o, step_minor=step_minor) for name, o in self.objectives.items()}
        return replace(self, objectives=objectives)

    def index(self, name: str | None) -> int:
        """Row of an objective in `matrix`; KeyError when there is none."""
        return self._rows[name or self.default]

    @cached_property
    def reads_prices(self) -> bool:
        """Whether a decision depends on what the units are sold for and cost."""
        return any(o.floor_minor is not None for o in self.objectives.values())

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
