"""Stored forecasts as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.demand.panel import Float64, Forecast, Int64
from onhand.demand.rivals import Why

LEVELS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""Unless others are asked for: enough for lead times and for what is short once in forty days."""
HORIZON: Final[Mapping[str, int]] = {"D": 28, "W": 13}
DAYS_OF: Final[Mapping[str, int]] = {"D": 1, "W": 7}
JUDGED: Final[Mapping[str, int]] = {"D": 7, "W": 4}
"""Periods after which an origin is judged; origins that count lie as far apart."""

Step = Literal["D", "W"]
Part = Literal["champion", "challenger", "baseline"]
Role = Literal["champion", "challenger", "retired"]
PARTS: Final[tuple[Part, ...]] = ("champion", "challenger", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is forecast. Forecasts of one `kind` share what was learned, and are judged together.

    freq        D days, W weeks of seven days from the origin on
    horizon     periods
    levels      of quantiles, rising, in (0, 1)
    by_channel  a series for each channel, otherwise channels are summed
    ablate      whether signals are tried one by one when something is learned
    learn       whether something is learned now, however good it is what was learned before
    """

    freq: Step = "D"
    horizon: int = HORIZON["D"]
    levels: tuple[float, ...] = LEVELS
    by_channel: bool = False
    ablate: bool = True
    learn: bool = False
    seed: int = 0

    @property
    def kind(self) -> str:
        """The name under which forecasts like this are compared."""
        levels = ",".join(f"{level:g}" for level in self.levels)
        return f"{self.freq}{self.horizon}{' by channel' if self.by_channel else ''} at {levels}"

    @property
    def judged(self) -> int:
        """Periods after which an origin is judged."""
        return min(JUDGED[self.freq], self.horizon)

    @property
    def period_days(self) -> int:
        """Days of a period."""
        return DAYS_OF[self.freq]

    def days(self, origin: date) -> list[date]:
        """The first day of each period from `origin` on."""
        return [origin + timedelta(days=self.period_days * n) for n in range(self.horizon)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What was learned, without the thing itself. facts: `signals`, `contributions`, `trials`, `choices`, `series`."""

    model_id: str
    kind: str
    role: Role
    why: Why
    origin: date
    facts: dict[str, Any]
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it stands. state: of its job; segments: see flows/forecasts/run.py; scored: periods whose errors are
    known; by: key id."""

    run_id: str
    job_id: str
    kind: str
    state: str
    origin: date
    settings: dict[str, Any]
    champion: str | None
    challenger: str | None
    segments: list[dict[str, Any]] | None
    done_item: int
    series: int
    scored: int
    by: int
    created_at: datetime
    finished_at: datetime | None
    pruned_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Stored series of a run: keys int64[n] each, segment int64[n], scale float64[n], and what each part forecast
    (challenger None: there was none)."""

    item: Int64
    place: Int64
    channel: Int64
    segment: Int64
    scale: Float64
    champion: Forecast
    challenger: Forecast | None
    baseline: Forecast

    def of(self, part: Part) -> Forecast | None:
        """What a part forecast."""
        return {"champion": self.champion, "challenger": self.challenger, "baseline": self.baseline}[part]


def pack(forecast: Forecast) -> list[bytes]:
    """Of each series: float32, little-endian, by period the mean and then the quantiles."""
    values = np.concatenate([forecast.mean[:, :, None], forecast.quantiles], axis=2)
    return [row.tobytes() for row in np.ascontiguousarray(values, "<f4")]


def unpack(rows: Sequence[bytes], levels: Sequence[float], horizon: int) -> Forecast:
    """The forecast that was packed, within the width of a float32."""
    width = 1 + len(levels)
    values: npt.NDArray[np.float64] = np.frombuffer(b"".join(rows), "<f4").astype(np.float64)
    shaped = values.reshape(len(rows), horizon, width)
    return Forecast(levels=np.array(levels), mean=shaped[:, :, 0], quantiles=shaped[:, :, 1:])
