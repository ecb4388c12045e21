"""Many series on one grid of periods: what every model reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Dates = NDArray[np.datetime64]

Freq = Literal["D", "W", "M"]

# Periods after which the same comes round: the short cycle (0: none), and a year.
_CYCLES: Final[Mapping[Freq, tuple[int, int]]] = {"D": (7, 364), "W": (0, 52), "M": (0, 12)}
_SUMMED_KINDS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """n series over T periods without gaps between periods, and what is known of them.

    ids        one name each
    freq       D days, W weeks, M months
    dates      datetime64[D][T + H]: of each period, those of the horizon too
    y          float64[n, T], demand; NaN: no observation. Before the first sale all is NaN: it was not for sale yet
    known      float64[n, T + H] or [1, T + H] if it is the same for all: known ahead; NaN: not known. Kinds
               (`categories`) are whole numbers from 0
    past       float64[n, T] or [1, T]: known up to the origin only
    static     int64[n], kinds from 0: what a series is of (item, category, node, region)
    categories names of `known` and `past` that are kinds and not quantities
    sums       float64[kinds, T] by name of `static`: what all series of a kind were asked for, those too that are not
               in the panel; None: of those in it
    """

    ids: Sequence[str]
    freq: Freq
    dates: Dates
    y: Float64
    known: Mapping[str, Float64] = field(default_factory=dict[str, Float64])
    past: Mapping[str, Float64] = field(default_factory=dict[str, Float64])
    static: Mapping[str, Int64] = field(default_factory=dict[str, Int64])
    categories: frozenset[str] = frozenset()
    sums: Mapping[str, Float64] | None = None

    @property
    def count(self) -> int:
        return self.y.shape[0]

    @property
    def periods(self) -> int:
        """How many have been observed."""
        return self.y.shape[1]

    @property
    def horizon(self) -> int:
        return len(self.dates) - self.periods

    @property
    def cycle(self) -> int:
        """Periods of the short cycle, 1: there is none."""
        return max(1, _CYCLES[self.freq][0])

    @property
    def year(self) -> int:
        """Periods of a year, whole short cycles."""
        return _CYCLES[self.freq][1]

    def before(self, origin: int, horizon: int) -> "Panel":
        """As it was known when the first `origin` periods had been observed: nothing later is in it, except `known`."""
        end = origin + horizon
        return replace(
            self,
            dates=self.dates[:end],
            y=self.y[:, :origin],
            known={name: values[:, :end] for name, values in self.known.items()},
            past={name: values[:, :origin] for name, values in self.past.items()},
            sums=self.sums and {name: values[:, :origin] for name, values in self.sums.items()},
        )

    def with_sums(self) -> "Panel":
        """The same, so that some of its series alone are seen as they are among all. Kinds of which there is one, or as
        many as series, say nothing; and of too many kinds there is too little in each."""
        if self.sums is not None:
            return self
        told = [
            name
            for name, kinds in self.static.items()
            if 1 < len(np.unique(kinds)) < self.count and kinds.max() < _SUMMED_KINDS
        ]
        return replace(self, sums={name: self.sums_of(name) for name in told})

    def sums_of(self, name: str) -> Float64:
        """float64[kinds, T]: what all series of a kind of `static` were asked for."""
        if self.sums is not None and name in self.sums:
            return self.sums[name]
        kinds = self.static[name]
        out = np.zeros((int(kinds.max()) + 1, self.periods))
        np.add.at(out, kinds, np.nan_to_num(self.y))
        return out

    def rows(self, which: Int64 | NDArray[np.bool_]) -> "Panel":
        """Some of its series."""
        places = np.arange(self.count)[which]
        return replace(
            self,
            ids=[self.ids[i] for i in places],
            y=self.y[places],
            known={name: v if len(v) == 1 else v[places] for name, v in self.known.items()},
            past={name: v if len(v) == 1 else v[places] for name, v in self.past.items()},
            static={name: v[places] for name, v in self.static.items()},
        )


def trim(y: Float64) -> Float64:
    """Without what stands before the first sale: zeros there say that it was not for sale."""
    sold: NDArray[np.bool_] = np.nan_to_num(y) > 0
    return np.where(np.cumsum(sold, axis=1) == 0, np.nan, y)


def scales(y: Float64) -> Float64:
    """float64[n]: mean absolute difference from one period to the next since the first sale, by which losses of
    series are made comparable (Makridakis, Spiliotis and Assimakopoulos 2022, M5); NaN: fewer than two periods."""
    steps = np.abs(np.diff(y, axis=1))
    count = np.isfinite(steps).sum(axis=1)
    return np.where(count > 0, np.nansum(steps, axis=1) / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of n series over H periods.

    levels     float64[Q], rising
    mean       float64[n, H], at least 0
    quantiles  float64[n, H, Q], at least 0, rising along the levels
    """

    levels: Float64
    mean: Float64
    quantiles: Float64
