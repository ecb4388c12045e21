"""What is expected of one item, summed over the places that are asked for, and how good it was the last time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.demand import store as names
from onhand.demand.choose import pinball
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import DAYS_OF, JUDGED, NEVER_SOLD, Rows, Run, Step, summed
from onhand.demand.panel import Float64, Forecast
from onhand.demand.realised import intervals
from onhand.errors import NotFound
from onhand.flows.demand.history import load_places
from onhand.flows.forecasts.panel import days_of
from onhand.flows.forecasts.read import whoever_is_in_charge
from onhand.flows.forecasts.score import realised, settings_of

Conn = Connection[TupleRow]

_YEAR_DAYS: Final = 364
_WEEK_DAYS: Final = 7


def shown_item(
    conn: Conn,
    sku: str,
    *,
    node: str | None,
    region: str | None,
    channel: str | None,
    freq: Step,
    today: date,
) -> dict[str, Any]:
    """The latest forecast of an item as one fan, and what came of the latest one whose first periods are over.

    region  or a part of it. Raises NotFound.
    """
    chosen = choose(conn, sku, node=node, region=region, channel=channel)
    latest = chosen.of(conn, store.latest_run(conn, freq=freq, by_channel=chosen.by_channel))
    told = days_of(conn, today)
    judged = None
    if told is not None:
        # Days after the last on which anything was wanted are not days of no demand.
        until = told[1] + timedelta(days=1)
        run = store.judged_run(
            conn, freq=freq, by_channel=chosen.by_channel, until=until, days=DAYS_OF[freq], periods=JUDGED[freq]
        )
        judged = None if (found := chosen.of(conn, run)) is None else _accuracy(conn, *found, sku, until)
    return {"sku": sku, "forecast": None if latest is None else _fan(*latest), "accuracy": judged}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Series of one item: at some places, and of one channel or of all (None: channels are summed)."""

    item_id: int
    places: Sequence[int]
    channel: int | None

    @property
    def by_channel(self) -> bool:
        """Whether runs are asked that keep channels apart."""
        return self.channel is not None

    def of(self, conn: Conn, run: Run | None) -> tuple[Run, Rows] | None:
        """A run, and those of its series; None: it has none of them."""
        rows = None if run is None else store.series_of_items(conn, run, [self.item_id])
        if run is None or rows is None:
            return None
        rows = rows.some(
            np.isin(rows.place, self.places) & ((rows.channel == self.channel) if self.channel is not None else True)
        )
        return (run, rows) if len(rows.item) else None


def choose(conn: Conn, sku: str, *, node: str | None, region: str | None, channel: str | None) -> Chosen:
    """Series that are asked for. region: or a part of it. Raises NotFound."""
    item = names.item_ids(conn, [sku]).get(sku)
    if item is None:
        raise NotFound("item", sku)
    if node is not None and not names.node_ids(conn, [node]):
        raise NotFound("node", node)
    of = None if channel is None else names.channel_ids(conn, [channel]).get(channel)
    if channel is not None and of is None:
        raise NotFound("channel", channel)
    places = [
        p.place_id
        for p in load_places(conn).values()
        if node in (None, p.node) and (region is None or p.region == region or p.region.startswith(f"{region}-"))
    ]
    return Chosen(item_id=item, places=places, channel=of)


def _fan(run: Run, rows: Rows) -> dict[str, Any]:
    settings = settings_of(run)
    count = len(rows.item)
    made = summed(whoever_is_in_charge(run, rows), np.zeros(count, np.int64), np.ones(count), 1)
    levels = [f"{level:g}" for level in made.levels.tolist()]
    quantiles: list[list[float]] = made.quantiles[0].tolist()
    return {
        "run_id": run.run_id, "origin": run.origin.isoformat(), "freq": settings.freq, "series": count,
        "periods": [
            {
                "from": day.isoformat(), "mean": round(mean, 4),
                "quantiles": {level: round(q, 4) for level, q in zip(levels, of, strict=True)},
            }
            for day, mean, of in zip(settings.days(run.origin), made.mean[0].tolist(), quantiles, strict=True)
        ],
    }  # fmt: skip


def _accuracy(conn: Conn, run: Run, rows: Rows, sku: str, until: date) -> dict[str, Any] | None:
    """What came of a run's series of an item; None: nobody knows of any."""
    settings = settings_of(run)
    # Before the first sale of an item nobody knows whether it was for sale.
    rows = rows.some(rows.segment != NEVER_SOLD)
    periods = min((until - run.origin).days // settings.period_days, settings.horizon)
    before, season = _YEAR_DAYS // settings.period_days, _WEEK_DAYS // settings.period_days
    table = realised(conn, rows, settings, run.origin, periods, [sku], before=before)
    past, came = table[:, :before], table[:, before:]
    if not np.isfinite(came).any():
        return None
    steps = past[:, season:] - past[:, :-season]
    scale = float(np.sqrt(np.nanmean(steps**2))) if np.isfinite(steps).any() else float("nan")
    again = np.tile(past[:, -season:], (1, -(-periods // season)))[:, :periods]
    made, baseline = whoever_is_in_charge(run, rows), rows.baseline
    return {
        "run_id": run.run_id, "origin": run.origin.isoformat(), "periods": periods, "series": len(rows.item),
        "to": (run.origin + timedelta(days=periods * settings.period_days - 1)).isoformat(),
        "forecast": _points(made.mean[:, :periods], came, scale) | _bands(made, came),
        "baseline": _points(baseline.mean[:, :periods], came, scale) | _bands(baseline, came),
        "seasonal_naive": _points(again, came, scale) | {"pinball": None, "coverage": {}},
    }  # fmt: skip


def _points(mean: Float64, came: Float64, scale: float) -> dict[str, float | None]:
    """scale: root mean square of what a week differs from the one before."""
    there = np.isfinite(mean) & np.isfinite(came)
    off, total = (mean - came)[there], float(came[there].sum())
    rmse = float(np.sqrt((off**2).mean())) if len(off) else float("nan")
    return {
        "wape": _rounded(float(np.abs(off).sum()) / total if total > 0 else float("nan")),
        "rmsse": _rounded(rmse / scale if scale > 0 else float("nan")),
        "bias": _rounded(float(off.sum()) / total if total > 0 else float("nan")),
    }


def _bands(made: Forecast, came: Float64) -> dict[str, Any]:
    quantiles = made.quantiles[:, : came.shape[1]]
    there: npt.NDArray[np.bool_] = np.isfinite(came)
    return {
        "pinball": _rounded(float(np.nanmean(pinball(quantiles, came, made.levels)))),
        "coverage": {
            f"{share:g}": _rounded(
                float(((came >= quantiles[:, :, low]) & (came <= quantiles[:, :, high]))[there].mean())
            )
            for share, low, high in intervals(made.levels)
        },
    }


def _rounded(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None
