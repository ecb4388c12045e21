"""Shipments as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Float64: TypeAlias = NDArray[np.float64]
Int64: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[np.bool_] | NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipments:
    """n shipments; all arrays float64[n] unless said otherwise, NaN where nothing is known.

    start        days since 1970, from which everything else counts: when it was ordered, or handed over
    promised     days until the promise
    days         days until it was delivered; NaN: not yet, or nobody knows
    origin, destination  float64[n, 2], degrees of latitude and longitude
    handed_over  days until the carrier had it
    numbers      further features that are quantities
    kinds        and those that are kinds, texts
    """

    start: Float64
    promised: Float64
    days: Float64
    origin: Float64
    destination: Float64
    handed_over: Float64
    numbers: Mapping[str, Float64] = field(default_factory=dict[str, Float64])
    kinds: Mapping[str, NDArray[np.str_]] = field(default_factory=dict[str, NDArray[np.str_]])

    def __len__(self) -> int:
        return len(self.start)

    def rows(self, which: Rows) -> "Shipments":
        def of(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: column[which] for name, column in value.items()}  # pyright: ignore[reportUnknownVariableType]
            return value[which]

        return Shipments(**{f.name: of(getattr(self, f.name)) for f in fields(self)})

    def from_hand_over(self) -> "Shipments":
        """The same, counted from the hand-over; how long that took is a feature more."""
        return Shipments(
            start=self.start + self.handed_over, promised=self.promised - self.handed_over,
            days=self.days - self.handed_over, origin=self.origin, destination=self.destination,
            handed_over=np.zeros(len(self)), numbers={**self.numbers, "waited_days": self.handed_over},
            kinds=self.kinds,
        )  # fmt: skip
