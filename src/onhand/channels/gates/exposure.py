"""How long a sale on one channel stays unseen by another: measured latencies, and what they add up to.

A sale on channel d harms channel c until c's number has fallen: we must hear of it (`hear` of d), c's next slot must
come (`wait` of c) and c must apply what we wrote (`apply` of c). Each is measured and taken at its 95th percentile.
"""

from collections.abc import Mapping
from math import ceil, exp, log

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

# Bins of a fortieth of an e-fold, 2.5 %, from 10 ms to 12 days.
_LEAST_S, _PER_E, _BINS = 0.01, 40, 737
# Samples worth more than this fade by half: what is measured is the last few hundred to thousand.
_SAMPLES_MAX = 1000.0


class Latency:
    """Quantiles of a latency, from a histogram whose older samples fade.

    Within 2.5 % of the exact quantile of what it has seen. `document` and `read` are its persisted form.
    """

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts: dict[int, float] = {}
        self._total = 0.0

    @classmethod
    def declared(cls, seconds: float, *, worth: float = 20.0) -> "Latency":
        """As a channel's makers state it, until `worth` samples say otherwise."""
        latency = cls()
        latency._add(seconds, worth)
        return latency

    @property
    def is_measured(self) -> bool:
        """Whether there is anything to tell."""
        return self._total > 0.0

    def add(self, seconds: float) -> None:
        """One measurement; ValueError if it is negative or no number."""
        self._add(seconds, 1.0)

    def _add(self, seconds: float, worth: float) -> None:
        if not seconds >= 0.0:
            raise ValueError(f"expected a latency of 0 s or more, not {seconds}")
        where = _bin(seconds)
        self._counts[where] = self._counts.get(where, 0.0) + worth
        self._total += worth
        if self._total > _SAMPLES_MAX:
            # What has faded to a thousandth of a sample is let go.
            self._counts = {b: 0.5 * n for b, n in self._counts.items() if n > 2e-3}
            self._total = sum(self._counts.values())

    def quantile_s(self, share: float) -> float:
        """Upper end of the bin that holds it; 0 when nothing was measured."""
        rest = share * self._total
        for where in sorted(self._counts):
            rest -= self._counts[where]
            if rest <= 1e-9:
                return _LEAST_S * exp(where / _PER_E)
        return 0.0

    def document(self) -> dict[str, float]:
        return {str(where): count for where, count in sorted(self._counts.items())}

    @classmethod
    def read(cls, document: Mapping[str, float]) -> "Latency":
        """ValueError if it is none."""
        latency = cls()
        for where, count in document.items():
            if not 0 <= int(where) <= _BINS or not count >= 0.0:
                raise ValueError(f"expected a bin from 0 to {_BINS} and its count, not {where}: {count}")
            latency._counts[int(where)] = float(count)
        latency._total = sum(latency._counts.values())
        return latency


def _bin(seconds: float) -> int:
    return min(_BINS, max(0, ceil(_PER_E * log(max(seconds, _LEAST_S) / _LEAST_S) - 1e-9)))


def windows_h(hear_s: Float64, wait_s: Float64, apply_s: Float64, overwrites: npt.NDArray[np.bool_]) -> Float64:
    """float64[channel d, channel c]: hours in which a sale on d is unseen by c.

    hear_s, wait_s, apply_s  float64[channel], each at its 95th percentile
    overwrites               bool[channel]: a write sets an absolute number over sales of the channel itself that we
                             have not heard of; otherwise a channel sees its own sales at once
    """
    window = (hear_s[:, None] + (wait_s + apply_s)[None, :]) / 3600.0
    own = np.where(overwrites, np.diag(window), 0.0)
    np.fill_diagonal(window, own)
    return window


def rivals(window_h: Float64) -> Float64:
    """float64[channel d, channel c]: 1 where d learns of sales sooner than c, so that it sells what is hidden from c.

    A channel's exposure is the longest of its windows; equal ones are no rivals.
    """
    others = window_h.copy()
    np.fill_diagonal(others, 0.0)
    exposure = others.max(axis=0)
    return np.asarray(exposure[:, None] < exposure[None, :], dtype=np.float64)
