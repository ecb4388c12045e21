"""Load signals as they were known at an origin, on the days and for the series that somebody learns from.

The origin is the first day to be foreseen. What is known ahead counts as it was known when that day began; of
everything else only days before it, and nothing that was said later. The test that shifts the future proves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.demand import holidays, store
from onhand.demand.signals import Aligned, Known, resolve, without_later


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """Signals for series of demand.

    known  from `since` to the end of the horizon: known ahead, holidays among them
    past   from `since` to the day before the origin
    """

    known: Sequence[Aligned]
    past: Sequence[Aligned]


def load_signals(
    conn: Connection[TupleRow],
    *,
    origin: date,
    horizon: int,
    since: date,
    series: pl.DataFrame,
    names: Sequence[str] | None = None,
    as_recorded: bool = False,
) -> Signals:
    """Every signal as it was known when the day `origin` began (UTC).

    horizon      days from `origin` on
    since        the first day
    series       of a History: sku, category, node, region
    names        only these; None: all. `public_holiday` is one of them
    as_recorded  only what had been written by then, also where something else was said of since when it is known:
                 history that was told late is left out
    """
    assert since < origin and horizon >= 1, (since, origin, horizon)
    until = origin + timedelta(days=horizon)
    # Without a beginning: a price that was set years ago may still hold on the first day.
    stored = store.known_signals(conn, origin=origin, until=until, names=names, as_recorded=as_recorded)
    stored = without_later(stored, origin)
    built_in: list[Known] = []
    if names is None or holidays.NAME in names:
        built_in = holidays.holidays(series["region"].unique().to_list(), since, until)
    ahead = [*(k for k in stored if k.known_ahead), *built_in]
    past = [k for k in stored if not k.known_ahead]
    return Signals(
        known=resolve(ahead, series, first=since, until=until), past=resolve(past, series, first=since, until=origin)
    )
