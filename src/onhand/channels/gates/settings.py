"""What a channel's document says of its gate, and the rule that the channels of a shop come to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.base.fields import INT4_MAX
from onhand.channels.gates.controller import first_tau, tau_of_money
from onhand.channels.gates.exposure import rivals
from onhand.channels.gates.gate import Rule

Mode = Literal["adaptive", "fixed", "percent"]
MODES: Final[tuple[Mode, ...]] = ("adaptive", "fixed", "percent")
ALPHA: Final = 0.001
# Percent of a number that come to a whole one are not rounded up for a last digit.
_LEAST: Final = 1e-9
LAG_MAX_S: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSetting:
    """A channel's gate as its document has it.

    mode           fixed: `units` are hidden; percent: `percent` of what there is; adaptive: computed
    floor, cap     units hidden at least and at most, in any mode; cap None: no limit
    alpha          adaptive: oversold orders per order that are accepted, over time
    penalty_minor  adaptive: what an oversell costs, in the channel's currency; then money decides, and not alpha
    lag_s          adaptive: how long the channel shows an old number, where that is not measured; None: a minute
    """

    mode: Mode = "fixed"
    units: int = 0
    percent: float = 0.0
    floor: int = 0
    cap: int | None = None
    alpha: float = ALPHA
    penalty_minor: int | None = None
    lag_s: float | None = None

    def __post_init__(self) -> None:
        for problem in problems(self):
            raise ValueError(problem)


def problems(setting: GateSetting) -> list[str]:
    """What is wrong with it, each as what was expected."""
    found: list[str] = []
    if setting.mode not in MODES:
        found.append(f"expected mode {', '.join(MODES)}, not {setting.mode!r}")
    if not 0 <= setting.units <= INT4_MAX:
        found.append(f"expected units from 0 to {INT4_MAX}, not {setting.units}")
    if not 0.0 <= setting.percent <= 100.0:
        found.append(f"expected percent from 0 to 100, not {setting.percent}")
    if not 0 <= setting.floor <= (INT4_MAX if setting.cap is None else setting.cap):
        found.append(f"expected floor from 0 to cap, not {setting.floor}")
    if setting.cap is not None and not 0 <= setting.cap <= INT4_MAX:
        found.append(f"expected cap from 0 to {INT4_MAX}, not {setting.cap}")
    if not 0.0 < setting.alpha < 1.0:
        found.append(f"expected alpha between 0 and 1, not {setting.alpha}")
    if setting.penalty_minor is not None and setting.penalty_minor <= 0:
        found.append(f"expected penalty_minor above 0, not {setting.penalty_minor}")
    if setting.lag_s is not None and not 0.0 <= setting.lag_s <= LAG_MAX_S:
        found.append(f"expected lag_s from 0 to {LAG_MAX_S:.0f}, not {setting.lag_s}")
    return found


def read(document: Mapping[str, object]) -> GateSetting:
    """A document as `GateSetting`; `{"units": n}` alone is a fixed gate, as ever. ValueError: what was expected."""
    unknown = sorted(set(document) - set(GateSetting.__slots__))
    if unknown:
        raise ValueError(f"expected {', '.join(GateSetting.__slots__)}, not {', '.join(unknown)}")
    return GateSetting(**document)  # type: ignore[arg-type]


def hidden(setting: GateSetting, stock: int, computed: int | None = None) -> int:
    """Units hidden by a gate, 0 to `stock`: the same as `gate.wanted_gate` and `hidden_of_all`.

    stock     units that there are, gates left out
    computed  of a gate that is computed: the last that was, None: none yet
    """
    if setting.mode == "percent":
        units = ceil(setting.percent * stock / 100.0 - _LEAST)
    else:
        units = setting.units if setting.mode == "fixed" else computed or 0
    if setting.mode != "adaptive" or computed is None:
        units = max(setting.floor, min(INT4_MAX if setting.cap is None else setting.cap, units))
    return max(0, min(stock, units))


def hidden_of_all(settings: Sequence[GateSetting], stock: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64[n, channel]: `hidden` of many items; gates that are computed have their floor.

    stock  int64[n, channel]
    """
    units = np.array([s.units if s.mode == "fixed" else 0 for s in settings], np.int64)
    percent = np.array([s.percent if s.mode == "percent" else 0.0 for s in settings])
    floor = np.array([s.floor for s in settings], np.int64)
    cap = np.array([INT4_MAX if s.cap is None else s.cap for s in settings], np.int64)
    gates = units if not percent.any() else units + np.ceil(percent * stock / 100.0 - _LEAST).astype(np.int64)
    return np.maximum(0, np.minimum(stock, np.maximum(floor, np.minimum(cap, gates))))


def rule_of(
    settings: Sequence[GateSetting],
    window_h: npt.NDArray[np.float64],
    *,
    taus: Sequence[float | None] | None = None,
    margins_minor: Sequence[float | None] | None = None,
    kept: npt.NDArray[np.int32] | None = None,
    holds: bool = True,
) -> Rule:
    """The rule of channels with these settings.

    window_h       float64[channel d, channel c], from `exposure.windows_h`
    taus           learned prices of risk; None: not learned yet, then by `alpha`
    margins_minor  mean margin of an order of the channel; with `penalty_minor` it makes the price of risk
    kept           int32[item, channel]: units kept for better channels (`protection.py`)
    """
    channels = len(settings)
    learned = taus if taus is not None else [None] * channels
    margins = margins_minor if margins_minor is not None else [None] * channels

    def tau(channel: int) -> float:
        penalty, margin, price = settings[channel].penalty_minor, margins[channel], learned[channel]
        if penalty is not None and margin is not None:
            return tau_of_money(margin_minor=margin, penalty_minor=penalty)
        return first_tau(settings[channel].alpha) if price is None else price

    return Rule(
        window_h=np.asarray(window_h, dtype=np.float64),
        tau=np.array([tau(channel) for channel in range(channels)], dtype=np.float64),
        floor=np.array([s.floor for s in settings], dtype=np.int32),
        cap=np.array([INT4_MAX if s.cap is None else s.cap for s in settings], dtype=np.int32),
        units=np.array([_fixed_units(s) for s in settings], dtype=np.int32),
        percent=np.array([s.percent if s.mode == "percent" else 0.0 for s in settings], dtype=np.float64),
        rival=rivals(window_h),
        kept=np.zeros((0, channels), dtype=np.int32) if kept is None else kept,
        holds=holds,
    )


def _fixed_units(setting: GateSetting) -> int:
    return -1 if setting.mode == "adaptive" else setting.units if setting.mode == "fixed" else 0
