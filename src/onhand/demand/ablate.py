"""Which signals help: each is tried with those that helped before it, on past origins, and stays if it does.

Forward, since signals that say the same are worth something once only; paired, since origins differ by more than what a
signal is worth. A signal that does not help is left out of the model, never out of the record.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from onhand.demand.learn import learn
from onhand.demand.panel import Float64, Panel, scales
from onhand.demand.realised import scaled_loss

HURTS_MAX: Final = 0.005
"""Share by which it may raise the loss of any origin."""
ORIGINS: Final = 5
_SERIES_MAX: Final = 300

Verdict = Literal["helps", "does_not_help", "hurts_an_origin", "not_tried"]
Losses = Callable[[frozenset[str]], Float64]
"""The loss at each origin, float64[o], of a model that sees these signals and no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Of one signal.

    without, with_  mean loss over origins, without it and with it; NaN: not tried
    gain            1 - with_ / without
    worst           the share by which it raised the loss of the origin that it served worst; below 0: of none
    """

    signal: str
    verdict: Verdict
    without: float
    with_: float
    gain: float
    worst: float

    @property
    def stays(self) -> bool:
        """What was not tried stays: there was no time to say anything against it."""
        return self.verdict in ("helps", "not_tried")


def ablate(
    signals: Sequence[str], losses: Losses, *, go_on: Callable[[], bool] = lambda: True, hurts_max: float = HURTS_MAX
) -> list[Trial]:
    """Try each of `signals`, in this order, beside those before it that help.

    go_on  asked before each; once it says no, the others are not tried

    One model for none of them, and one for each: as many calls of `losses` as there are signals, and one.
    """
    trials: list[Trial] = []
    kept: frozenset[str] = frozenset()
    without: Float64 | None = None
    for signal in signals:
        if not go_on():
            nan = float("nan")
            trials.append(Trial(signal=signal, verdict="not_tried", without=nan, with_=nan, gain=nan, worst=nan))
            continue
        without = losses(kept) if without is None else without
        with_ = losses(kept | {signal})
        trial = judge(signal, without, with_, hurts_max=hurts_max)
        trials.append(trial)
        if trial.verdict == "helps":
            kept, without = kept | {signal}, with_
    return trials


def judge(signal: str, without: Float64, with_: Float64, *, hurts_max: float = HURTS_MAX) -> Trial:
    """A signal by losses float64[o] without it and with it: it helps if it lowers them in the mean, and raises none by
    more than `hurts_max`. Origins without a loss say nothing."""
    there = np.isfinite(without) & np.isfinite(with_)
    before, after = without[there], with_[there]
    if not len(before):
        nan = float("nan")
        return Trial(signal=signal, verdict="does_not_help", without=nan, with_=nan, gain=nan, worst=nan)
    gain = float(1 - after.mean() / max(before.mean(), 1e-12))
    worst = float((after / np.maximum(before, 1e-12) - 1).max())
    verdict: Verdict = "does_not_help" if gain <= 0 else "hurts_an_origin" if worst > hurts_max else "helps"
    return Trial(
        signal=signal, verdict=verdict, without=float(before.mean()), with_=float(after.mean()), gain=gain, worst=worst
    )


def on_past(panel: Panel, levels: Float64, *, trees: bool = True, seed: int = 0) -> Losses | None:
    """Losses of models of a panel, at five origins of its past: learned before the earliest of them, applied at each.
    Of some hundred series at most, drawn by chance. None: the past is too short for five.

    What is known ahead is taken as it is known now.
    """
    horizon = panel.horizon
    if panel.count > _SERIES_MAX:
        panel = panel.with_sums().rows(
            np.sort(np.random.default_rng(seed).choice(panel.count, _SERIES_MAX, replace=False))
        )
    latest = panel.periods - horizon
    # So much is needed to learn anything before the earliest.
    least = 18 * panel.cycle + 2 * horizon if panel.freq == "D" else panel.year + horizon
    step = min(horizon, (latest - least) // (ORIGINS - 1)) if latest > least else 0
    if step < 1:
        return None
    origins = [latest - step * back for back in reversed(range(ORIGINS))]
    scale = scales(panel.y[:, : origins[0]])

    def losses(signals: frozenset[str]) -> Float64:
        seen = with_signals(panel, signals)
        learned = learn(seen.before(origins[0], horizon), levels, trees=trees, seed=seed)
        found: list[float] = []
        for origin in origins:
            made = learned.apply(seen.before(origin, horizon)).forecast
            loss = scaled_loss(made, panel.y[:, origin : origin + horizon], scale)
            there = np.isfinite(loss)
            found.append(float(loss[there].mean()) if there.any() else float("nan"))
        return np.array(found)

    return losses


def with_signals(panel: Panel, signals: Collection[str]) -> Panel:
    """The panel with these of its signals and no other."""
    return replace(
        panel,
        known={name: values for name, values in panel.known.items() if name in signals},
        past={name: values for name, values in panel.past.items() if name in signals},
    )
