"""Why a gate is what it is, in one sentence: "hid 4 of 11: web sells 2.1/h, amazon hears us after 14 min, target
0.1 %".

Pure; the numbers are those that the decision was made by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onhand.channels.gates.demand import Bursts, Float64
from onhand.channels.gates.settings import GateSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What a gate rests on.

    hidden, stock  units hidden, of so many
    seller         the channel that is likely to sell most unseen; None: none sells
    rate_per_h     what it sells per hour now; usual_per_h: and outside bursts
    lag_s          how long this channel shows an old number
    """

    hidden: int
    stock: int
    channel: str
    seller: str | None
    rate_per_h: float
    usual_per_h: float
    lag_s: float
    setting: GateSetting


def why(
    channel: int,
    *,
    gate: int,
    stock: int,
    codes: Sequence[str],
    usual: Float64,
    burst: float,
    bursts: Bursts,
    window_h: Float64,
    lag_s: float,
    setting: GateSetting,
) -> Why:
    """The facts of one gate.

    usual  float64[channel]: usual units per hour; burst: probability of one (both from `demand.rates`)
    lag_s  until a write to the channel takes effect, as measured
    """
    unseen = usual * window_h[:, channel]
    most = int(np.argmax(unseen))
    factor = 1.0 + (bursts.multiplier - 1.0) * burst
    return Why(
        hidden=gate,
        stock=stock,
        channel=codes[channel],
        seller=codes[most] if unseen[most] > 0.0 else None,
        rate_per_h=float(usual[most] * factor),
        usual_per_h=float(usual[most]),
        lag_s=lag_s,
        setting=setting,
    )


def sentence(facts: Why) -> str:
    """One line, without an end."""
    hid = f"hid {facts.hidden} of {facts.stock}"
    setting = facts.setting
    if setting.mode == "fixed":
        return f"{hid}: fixed at {setting.units}" + _limited(facts)
    if setting.mode == "percent":
        return f"{hid}: fixed at {setting.percent:g} %" + _limited(facts)
    parts: list[str] = []
    if facts.seller is None:
        parts.append("nothing sells unseen")
    elif facts.seller == facts.channel:
        parts.append(f"it sells {_rate(facts)} itself")
    else:
        parts.append(f"{facts.seller} sells {_rate(facts)}")
    parts.append(f"{facts.channel} hears us after {_time(facts.lag_s)}")
    if setting.penalty_minor is not None:
        parts.append(f"an oversell costs {setting.penalty_minor / 100:.2f}")
    else:
        parts.append(f"target {100.0 * setting.alpha:.3g} %")
    return f"{hid}: {', '.join(parts)}" + _limited(facts)


def _rate(facts: Why) -> str:
    text = f"{facts.rate_per_h:.2g}/h" if facts.rate_per_h < 10.0 else f"{facts.rate_per_h:.0f}/h"
    # From twice the usual on it is worth a word.
    return f"{text} instead of {facts.usual_per_h:.2g}" if facts.rate_per_h >= 2.0 * facts.usual_per_h else text


def _limited(facts: Why) -> str:
    if facts.stock > facts.hidden == facts.setting.floor > 0:
        return ", at its floor"
    return ", at its cap" if facts.setting.cap is not None and facts.hidden == facts.setting.cap else ""


def _time(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h".replace(".0 h", " h")
