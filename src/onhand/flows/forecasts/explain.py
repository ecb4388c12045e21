"""What each signal brings to the latest forecast of one item, in units: worked out when somebody asks.

Trees are asked again for the series of the item, seen as they were at the origin of the run.
"""

from typing import Any, Final, Literal

import numpy as np

from onhand.demand import assemble, cold_start
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import SEGMENTS, Rows, Run, Settings, Step
from onhand.demand.learn import BOOSTED
from onhand.demand.panel import Float64
from onhand.flows.forecasts import panel as reading
from onhand.flows.forecasts.item import Conn, choose
from onhand.flows.forecasts.learn import sources, unpack
from onhand.flows.forecasts.panel import SERIES_AT_ONCE
from onhand.flows.forecasts.read import whoever_is_in_charge
from onhand.flows.forecasts.score import settings_of

Reason = Literal["no_forecast", "no_trees", "model_gone", "too_many_series"]

# A series of six weeks keeps a processor busy for a tenth of a second.
_SERIES_MAX: Final = 50


def shown_contributions(
    conn: Conn, sku: str, *, node: str | None, region: str | None, channel: str | None, freq: Step
) -> dict[str, Any]:
    """Base, contributions and the rest of the forecast of an item, a day and by period, or the reason why nobody can
    tell.

    region  or a part of it. Raises NotFound.
    """
    chosen = choose(conn, sku, node=node, region=region, channel=channel)
    found = chosen.of(conn, store.latest_run(conn, freq=freq, by_channel=chosen.by_channel))
    told = "no_forecast" if found is None else _explained(conn, sku, *found)
    if isinstance(told, str):
        return {"sku": sku, "reason": told, "explained": None}
    return {"sku": sku, "reason": None, "explained": told}


def _explained(conn: Conn, sku: str, run: Run, rows: Rows) -> dict[str, Any] | Reason:
    settings = settings_of(run)
    has_trees = {
        segment["segment"]
        for segment in run.segments or ()
        if segment["in_charge"] == "model" and segment["shares"].get(BOOSTED, 0) > 0
    }
    by_trees = np.array([name in has_trees for name in SEGMENTS], np.bool_)[rows.segment]
    if run.champion is None or not by_trees.any():
        return "no_trees"
    if by_trees.sum() > _SERIES_MAX:
        return "too_many_series"
    read = _parts(conn, sku, run, settings, rows.some(by_trees))
    if isinstance(read, str):
        return read
    base, brought = read
    mean = whoever_is_in_charge(run, rows).mean.sum(axis=0)
    days = settings.period_days
    return {
        "run_id": run.run_id, "origin": run.origin.isoformat(), "freq": settings.freq, "series": len(rows.item),
        "series_by_trees": int(by_trees.sum()),
        "a_day": _shown(
            float(mean.mean()) / days, float(base.mean()) / days,
            {name: float(units.mean()) / days for name, units in brought.items()},
        ),
        "periods": [
            {
                "from": day.isoformat(),
                **_shown(
                    float(mean[n]), float(base[n]), {name: float(units[n]) for name, units in brought.items()}
                ),
            }
            for n, day in enumerate(settings.days(run.origin))
        ],
    }  # fmt: skip


def _shown(mean: float, base: float, brought: dict[str, float]) -> dict[str, Any]:
    """others: what is left, so that all of it adds up to the mean."""
    ranked = sorted(brought.items(), key=lambda one: -abs(one[1]))
    return {
        "mean": round(mean, 4), "base": round(base, 4),
        "contributions": {name: round(units, 4) for name, units in ranked},
        "others": round(mean - base - sum(brought.values()), 4),
    }  # fmt: skip


def _parts(
    conn: Conn, sku: str, run: Run, settings: Settings, rows: Rows
) -> tuple[Float64, dict[str, Float64]] | Reason:
    """Base float64[h] of the trees, and what each signal, kind, the calendar and the history bring, float64[h] each, of
    these series together."""
    items = reading.items_of(conn, run.origin)
    if sum(item.places for item in items) > SERIES_AT_ONCE:
        # What series of a kind were asked for together is a feature: all of them would have to be read.
        return "too_many_series"
    days = reading.days_of(conn, run.origin)
    mine = [item for item in items if item.sku == sku]
    assert run.champion is not None, "it has made this run"
    model = store.models_by_id(conn, [run.champion])[run.champion]
    kept = unpack(store.learned_of(conn, run.champion), model.facts)
    if kept is None or kept.learned.trees is None or days is None or not mine:
        return "model_gone"
    since = assemble.begin(days[0], run.origin, settings.freq)
    sums = reading.sum_up(conn, settings, run.origin, items, since)
    loaded = reading.load(conn, settings, run.origin, mine, since)
    wanted = {*zip(rows.place.tolist(), rows.channel.tolist(), strict=True)}
    keys = zip(loaded.place.tolist(), loaded.channel.tolist(), strict=True)
    panel = loaded.panel(kept.coding, kept.names, sums).rows(np.array([key in wanted for key in keys], np.bool_))
    base, brought = kept.learned.parts(panel)
    # The younger a series is, the more its siblings speak for it.
    own = 1 - cold_start.young(panel, np.zeros(panel.count, np.bool_))
    columns = sources(kept.learned.trees.columns, [*kept.names[0], *kept.names[1]], [*kept.coding.kinds])
    units = (own[:, None, None] * brought).sum(axis=0)
    return (own[:, None] * base).sum(axis=0), {
        name: units[:, [column == name for column in columns]].sum(axis=1) for name in dict.fromkeys(columns)
    }
