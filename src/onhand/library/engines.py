"""Where a forecast is computed: here, or spread over Ray or Spark by Fugue (extras `ray` and `spark`).

What there is to learn is learned once, here; it is then applied to a few thousand series at a time, each chunk by
itself, wherever there is room. Chunks are the same on every engine, so are the numbers.
"""

import pickle
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

from onhand.demand.learn import Learned, Outcome, Progress, learn
from onhand.demand.panel import Float64, Panel
from onhand.demand.run import chunks, run, sample, together
from onhand.errors import InvalidInput

Engine = Literal["local", "ray", "spark"]
_NEEDS: Final = {"ray": "ray", "spark": "pyspark"}


def forecast_on(
    engine: str, panel: Panel, levels: Float64, *, trees: bool, seed: int, progress: Progress | None = None
) -> Outcome:
    """As `demand.run.run` forecasts it. Raises InvalidInput for an engine that is not known or not installed."""
    if engine == "local":
        return run(panel, levels, trees=trees, seed=seed, progress=progress)
    if engine not in _NEEDS:
        raise InvalidInput.at("engine", f'{engine!r} is not known: "local", "ray" or "spark"')
    if find_spec("fugue") is None or find_spec(_NEEDS[engine]) is None:
        raise InvalidInput.at("engine", f"{engine!r} is not installed: pip install 'onhand[{engine}]'")
    panel = panel.with_sums()
    learned = learn(sample(panel, seed), levels, trees=trees, seed=seed, progress=progress)
    return together(_spread(engine, panel, learned), learned)


def _spread(engine: str, panel: Panel, learned: Learned) -> list[Outcome]:
    """The outcome of each chunk, in order."""
    # Its types are partial, and it is an extra.
    fugue: Any = import_module("fugue.api")
    rows = [[place, pickle.dumps(part)] for place, part in enumerate(chunks(panel))]
    table = fugue.as_fugue_df(rows, schema="chunk:int,series:binary")
    made = fugue.transform(
        table, _applied(learned), schema="chunk:int,made:binary", partition={"by": "chunk", "num": len(rows)},
        engine=engine, as_fugue=True,
    )  # fmt: skip
    found = {int(place): outcome for place, outcome in fugue.as_array(made, columns=["chunk", "made"])}
    return [pickle.loads(found[place]) for place in range(len(rows))]  # noqa: S301 - what we made a moment ago


def _applied(learned: Learned) -> Callable[[list[list[Any]]], list[list[Any]]]:
    def applied(rows: list[list[Any]]) -> list[list[Any]]:
        return [[place, pickle.dumps(learned.apply(pickle.loads(part)))] for place, part in rows]  # noqa: S301

    return applied
