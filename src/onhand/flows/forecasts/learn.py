"""Learn of a merchant's history, keep what was learned, and find it again."""

import pickle
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Final

import numpy as np

from onhand.demand.ablate import Trial, ablate, on_past, with_signals
from onhand.demand.assemble import Coding
from onhand.demand.classify import CLASSES
from onhand.demand.forecasts.model import Settings
from onhand.demand.learn import Learned, has_trees, learn
from onhand.demand.panel import Panel
from onhand.demand.run import sample

# More signals are not tried one by one, and none for longer than this.
_TRIED_MAX: Final = 8
_TRYING_S: Final = 600.0
_CONTRIBUTIONS_MAX: Final = 30

Say = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """All that is needed to forecast with what was learned. names: signals known ahead, and of the past."""

    learned: Learned
    coding: Coding
    names: tuple[tuple[str, ...], tuple[str, ...]]


def learn_of(panel: Panel, coding: Coding, settings: Settings, say: Say) -> tuple[Kept, dict[str, Any]]:
    """What `panel` teaches, and what is to be said of it."""
    levels = np.array(settings.levels)
    trees = has_trees()
    signals = [*panel.known, *panel.past]
    trials: list[Trial] = []
    if settings.ablate and 0 < len(signals) <= _TRIED_MAX:
        trials = _tried(panel, signals, settings, trees, say)
        out = {trial.signal for trial in trials if not trial.stays}
        panel = with_signals(panel, [signal for signal in signals if signal not in out])
    some = sample(panel.with_sums(), settings.seed)
    learned = learn(
        some, levels, trees=trees, seed=settings.seed,
        progress=lambda what, share: say(what, 0.4 + 0.6 * share),
    )  # fmt: skip
    kept = Kept(learned=learned, coding=coding, names=(tuple(panel.known), tuple(panel.past)))
    facts = {
        "version": metadata.version("onhand"),
        "series": some.count,
        "signals": {"known_ahead": [*panel.known], "past_only": [*panel.past]},
        "trials": [shown_trial(trial) for trial in trials],
        "contributions": contributions(
            learned.trees.contributions() if learned.trees is not None else {},
            [*panel.known, *panel.past], [*coding.kinds],
        ),
        "choices": [
            {
                "segment": CLASSES[segment],
                **{k: v if k == "shares" else finite(v) for k, v in asdict(choice).items()},
            }
            for segment, choice in learned.choices.items()
        ],
    }  # fmt: skip
    return kept, facts


def _tried(panel: Panel, signals: Sequence[str], settings: Settings, trees: bool, say: Say) -> list[Trial]:
    losses = on_past(panel, np.array(settings.levels), trees=trees, seed=settings.seed)
    if losses is None:
        return []
    until = time.monotonic() + _TRYING_S
    done = 0

    def go_on() -> bool:
        nonlocal done
        say("trying signals", 0.4 * done / len(signals))
        done += 1
        return time.monotonic() < until

    return ablate(signals, losses, go_on=go_on)


def shown_trial(trial: Trial) -> dict[str, Any]:
    """As answers show it."""
    row = asdict(trial)
    return {"with" if name == "with_" else name: finite(value) for name, value in row.items()} | {"stays": trial.stays}


def finite(value: Any) -> Any:
    """For JSON: what is not known is null."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def contributions(features: Mapping[str, float], signals: Sequence[str], kinds: Sequence[str]) -> dict[str, float]:
    """What each signal, each kind of series, the calendar and the series' own history bring, largest first, of shares
    by feature."""
    found: dict[str, float] = {}
    for name, share in zip(sources([*features], signals, kinds), features.values(), strict=True):
        found[name] = found.get(name, 0.0) + share
    ranked = sorted(found.items(), key=lambda one: -one[1])[:_CONTRIBUTIONS_MAX]
    return {name: round(share, 6) for name, share in ranked}


def sources(features: Sequence[str], signals: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """What each feature is of: a signal, a kind of series, the `calendar`, or the series' own `history`."""
    of = {f"{name}{ending}": name for name in signals for ending in ("", "_ahead", "_against_usual", "_last")}
    of |= {f"{name}{ending}": name for name in kinds for ending in ("", "_momentum", "_growth")}
    of |= dict.fromkeys(("of_month", "of_year", "cycle_phase"), "calendar")
    return [of.get(feature, "history") for feature in features]


def pack(kept: Kept) -> bytes:
    """As it is stored."""
    return zlib.compress(pickle.dumps(kept), 3)


def unpack(learned: bytes | None, facts: Mapping[str, Any]) -> Kept | None:
    """What was stored; None: by another version of this program, which need not understand it."""
    if learned is None or facts.get("version") != metadata.version("onhand"):
        return None
    # It comes from our own database, which whoever can write to it owns anyhow.
    found = pickle.loads(zlib.decompress(learned))  # noqa: S301
    assert isinstance(found, Kept), "what is kept was packed here"
    return found
