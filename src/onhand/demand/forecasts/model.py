"""Stored forecasts as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.demand.classify import CLASSES
from onhand.demand.learn import between
from onhand.demand.panel import Float64, Forecast, Int64
from onhand.demand.rivals import Why

LEVELS: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""Unless others are asked for: enough for lead times and for what is short once in forty days."""
HORIZON: Final[Mapping[str, int]] = {"D": 42, "W": 13}
"""Plans that buy look 35 days ahead, and a forecast is good for the days after its origin too."""
DAYS_OF: Final[Mapping[str, int]] = {"D": 1, "W": 7}
JUDGED: Final[Mapping[str, int]] = {"D": 7, "W": 4}
"""Periods after which an origin is judged; origins that count lie as far apart."""

SEGMENTS: Final = (*CLASSES, "never_sold")
NEVER_SOLD: Final = len(CLASSES)
"""The segment of series of items that were never sold: their siblings speak for them, nobody else."""
COLD_START: Final = "cold_start"

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

    def some(self, mine: npt.NDArray[np.bool_]) -> "Rows":
        """Those that are marked, bool[n]."""
        return Rows(
            item=self.item[mine], place=self.place[mine], channel=self.channel[mine], segment=self.segment[mine],
            scale=self.scale[mine], champion=_some(self.champion, mine), baseline=_some(self.baseline, mine),
            challenger=None if self.challenger is None else _some(self.challenger, mine),
        )  # fmt: skip


def together(parts: Sequence[Rows]) -> Rows:
    """Series of several parts, of all of which or of none there is a challenger."""

    def joined(of: Sequence[Forecast]) -> Forecast:
        return Forecast(
            levels=of[0].levels, mean=np.concatenate([one.mean for one in of]),
            quantiles=np.concatenate([one.quantiles for one in of]),
        )  # fmt: skip

    if len(parts) == 1:
        return parts[0]
    others = [part.challenger for part in parts if part.challenger is not None]
    return Rows(
        item=np.concatenate([part.item for part in parts]), place=np.concatenate([part.place for part in parts]),
        channel=np.concatenate([part.channel for part in parts]),
        segment=np.concatenate([part.segment for part in parts]),
        scale=np.concatenate([part.scale for part in parts]), champion=joined([part.champion for part in parts]),
        challenger=joined(others) if others else None, baseline=joined([part.baseline for part in parts]),
    )  # fmt: skip


def _some(forecast: Forecast, mine: npt.NDArray[np.bool_]) -> Forecast:
    return Forecast(levels=forecast.levels, mean=forecast.mean[mine], quantiles=forecast.quantiles[mine])


def summed(forecast: Forecast, group: Int64, weight: Float64, groups: int) -> Forecast:
    """The forecast of groups of series, such as an item at all of its places.

    group   int64[n], below `groups`
    weight  float64[n], the share of a series that counts in it

    Means add up. How far quantiles lie from the median adds up by half as if series were alike, and by half as if they
    had nothing to do with one another.
    """
    levels = forecast.levels
    middle = between(levels, forecast.quantiles, np.array([0.5])) * weight[:, None, None]
    off = forecast.quantiles * weight[:, None, None] - middle
    mean = np.zeros((groups, *forecast.mean.shape[1:]))
    centre, alike, squares = (np.zeros((groups, *forecast.quantiles.shape[1:])) for _ in range(3))
    np.add.at(mean, group, forecast.mean * weight[:, None])
    np.add.at(centre, group, np.broadcast_to(middle, off.shape))
    np.add.at(alike, group, np.abs(off))
    np.add.at(squares, group, off * off)
    made = centre + np.sign(levels - 0.5) * (alike + np.sqrt(squares)) / 2
    return Forecast(levels=levels, mean=mean, quantiles=np.maximum.accumulate(np.maximum(made, 0.0), axis=2))


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
