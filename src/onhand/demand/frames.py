"""History and signals as tables, with the column names of the field: what `onhand.forecast` takes. Pure."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from onhand.demand.correct import day_number
from onhand.demand.model import History
from onhand.demand.signals import Aligned


def history_frame(history: History) -> pl.DataFrame:
    """Every day of every series from its first demand to the day before `until`: unique_id, ds, y (demand), open_share,
    price_minor (null where nothing was sold).

    A day that History leaves out has y 0 and open_share 1. As many rows as there are days: for very many series, item
    by item.
    """
    until = day_number(history.until)
    first = history.series["first_day"].cast(pl.Int32).to_numpy()
    length = until - first
    begin = np.cumsum(length) - length
    total = int(length.sum())
    of = np.repeat(np.arange(len(first)), length)
    number = history.days["series"].to_numpy()
    place = begin[number] + history.days["day"].cast(pl.Int32).to_numpy() - first[number]

    def spread(name: str, usual: float) -> pl.Series:
        values = np.full(total, usual)
        values[place] = history.days[name].fill_null(np.nan).to_numpy()
        return pl.Series(values).fill_nan(None)

    return pl.DataFrame(
        {
            "unique_id": pl.Series(unique_ids(history.series), dtype=pl.String).gather(of),
            "ds": pl.Series((first[of] + np.arange(total) - begin[of]).astype(np.int32)).cast(pl.Date),
            "y": spread("demand", 0.0),
            "open_share": spread("open_share", 1.0),
            "price_minor": spread("price_minor", np.nan),
        }
    )


def signals_frame(signals: Sequence[Aligned], unique_ids: Sequence[str]) -> pl.DataFrame:
    """Signals as `onhand.forecast` takes them: unique_id, ds, and a column of each; of series that hear none, nulls.

    Signals of one length. For many series this is long: `Aligned` says the same in far less room.
    """
    if not signals:
        return pl.DataFrame(schema={"unique_id": pl.String, "ds": pl.Date})
    days = signals[0].rows.shape[1]
    first = day_number(signals[0].first)
    columns: dict[str, pl.Series] = {
        "unique_id": pl.Series(unique_ids, dtype=pl.String).gather(np.repeat(np.arange(len(unique_ids)), days)),
        "ds": pl.Series(np.tile(np.arange(first, first + days, dtype=np.int32), len(unique_ids))).cast(pl.Date),
    }
    for signal in signals:
        values = np.where(signal.index[:, None] >= 0, signal.rows[signal.index], np.nan)
        columns[signal.name] = pl.Series(values.reshape(-1)).fill_nan(None)
    return pl.DataFrame(columns)


def unique_ids(series: pl.DataFrame) -> list[str]:
    """A name for each series of a History: sku, where, and the channel if they are apart."""
    where = pl.col("node").fill_null(pl.col("region"))
    channel = pl.when(pl.col("channel").is_not_null()).then(pl.lit("/") + pl.col("channel")).otherwise(pl.lit(""))
    return series.select(pl.concat_str(pl.col("sku"), pl.lit("/"), where, channel))[:, 0].to_list()
