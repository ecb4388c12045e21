"""A forecast of a panel of any size: learned of some thousand of its series, applied to a few thousand at a time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from onhand.demand.learn import Learned, Outcome, Progress, learn, silent
from onhand.demand.panel import Float64, Forecast, Int64, Panel

# More series teach little more, and are waited for.
LEARNED_OF: Final = 2_500
CHUNK: Final = 5_000


def run(
    panel: Panel,
    levels: Float64,
    *,
    trees: bool = True,
    holidays: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """Forecast the panel's horizon.

    levels  float64[Q], rising, in (0, 1)
    trees   whether boosted trees are a candidate; needs the extra `forecast`
    holidays  whether the built-in calendar says which days of a year belong together
    """
    say = progress or silent
    panel = panel.with_sums()
    learned = learn(
        sample(panel, seed), levels, trees=trees, holidays=holidays, seed=seed,
        progress=lambda what, share: say(what, 0.9 * share),
    )  # fmt: skip
    made = applied(learned, panel, lambda what, share: say(what, 0.9 + 0.1 * share))
    say("done", 1.0)
    return made


def applied(learned: Learned, panel: Panel, progress: Progress | None = None) -> Outcome:
    """Forecast all series of a panel, some thousand at a time."""
    say = progress or silent
    parts: list[Outcome] = []
    for part in chunks(panel):
        say("forecasting", len(parts) * CHUNK / panel.count)
        parts.append(learned.apply(part))
    return together(parts, learned)


def sample(panel: Panel, seed: int = 0) -> Panel:
    """The series to learn of."""
    return panel if panel.count <= LEARNED_OF else panel.rows(drawn(panel.count, seed))


def drawn(count: int, seed: int) -> Int64:
    """Places, rising, of the series to learn of: all, or some by chance."""
    if count <= LEARNED_OF:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, LEARNED_OF, replace=False))


def chunks(panel: Panel) -> Iterator[Panel]:
    """Some thousand series at a time, in order."""
    if panel.count <= CHUNK:
        yield panel
        return
    for begin in range(0, panel.count, CHUNK):
        yield panel.rows(np.arange(begin, min(begin + CHUNK, panel.count)))


def together(parts: list[Outcome], learned: Learned) -> Outcome:
    """One outcome of those of chunks, in order."""
    if len(parts) == 1:
        return parts[0]
    segments: Int64 = np.concatenate([part.segments for part in parts])
    return replace(
        parts[0],
        forecast=Forecast(
            levels=learned.levels,
            mean=np.concatenate([part.forecast.mean for part in parts]),
            quantiles=np.concatenate([part.forecast.quantiles for part in parts]),
        ),
        segments=segments,
        choices={segment: learned.choices[segment] for segment in np.unique(segments).tolist()},
    )
