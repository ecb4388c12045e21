"""A merchant's history as it was known at past origins: for `onhand forecast backtest`."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.demand import assemble
from onhand.demand.assemble import by_period, daily
from onhand.demand.forecasts.model import Settings
from onhand.demand.frames import unique_ids
from onhand.demand.panel import Float64, Panel
from onhand.errors import Conflict, InvalidInput
from onhand.flows.demand.history import load_history
from onhand.flows.forecasts import panel as reading
from onhand.flows.forecasts.panel import Item


def past_origins(
    conn: Connection[TupleRow],
    settings: Settings,
    *,
    origins: int,
    step: int | None = None,
    until: date,
    series_max: int | None = None,
) -> Iterator[tuple[Panel, Float64]]:
    """Panels at `origins` origins, the earliest first, `step` periods apart (None: as many as the horizon has), and
    what came then float64[n, H]; the last period that came ends with the last day before `until` on which anything was
    wanted.

    series_max  of items drawn by chance that have about so many series; None: all

    Signals are as they were known at each origin. Raises Conflict, InvalidInput.
    """
    days = reading.days_of(conn, until)
    if days is None:
        raise Conflict("forecast.no_demand", "nothing was wanted yet: import sales, or wait for orders")
    span = settings.horizon * settings.period_days
    apart = (settings.horizon if step is None else step) * settings.period_days
    latest = days[1] + timedelta(days=1 - span)
    firsts = [latest - timedelta(days=apart * back) for back in reversed(range(origins))]
    if firsts[0] <= days[0]:
        raise InvalidInput.at(
            "origins", f"the earliest would be {firsts[0]}, and demand is known since {days[0]}: fewer, or closer"
        )
    for origin in firsts:
        items = _drawn(reading.items_of(conn, origin), series_max, settings.seed)
        since = assemble.begin(days[0], origin, settings.freq)
        panel = reading.load(conn, settings, origin, items, since).panel()
        if panel.count:
            yield panel, _came(conn, settings, panel, origin, items)


def _drawn(items: Sequence[Item], series_max: int | None, seed: int) -> list[Item]:
    if series_max is None or sum(item.places for item in items) <= series_max:
        return [*items]
    order: list[int] = np.random.default_rng(seed).permutation(len(items)).tolist()
    some: list[Item] = []
    for place in order:
        if sum(item.places for item in some) >= series_max:
            break
        some.append(items[place])
    return sorted(some, key=lambda item: item.item_id)


def _came(conn: Connection[TupleRow], settings: Settings, panel: Panel, origin: date, items: Sequence[Item]) -> Float64:
    until = origin + timedelta(days=settings.horizon * settings.period_days)
    history = load_history(
        conn, until=until, items=[item.sku for item in items], by_channel=settings.by_channel
    )  # fmt: skip
    table = by_period(daily(history, origin, until), settings.freq)
    row = {name: number for number, name in enumerate(unique_ids(history.series))}
    return table[[row[name] for name in panel.ids]]
