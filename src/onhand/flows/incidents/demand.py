"""Demand beyond what was forecast, and forecasts that have become worse."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.db import queries
from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import SEGMENTS
from onhand.demand.store import Kind as Column
from onhand.demand.store import fetch
from onhand.flows.demand.history import load_places
from onhand.flows.incidents.scene import MARGIN_RATE, Scene, Seen, Unseen, by_currency
from onhand.incidents.detect import demand
from onhand.incidents.model import Finding, Subject

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Fewer units on a day are no spike of anything that sells.
_UNITS_LEAST: Final = 3
# No place's day begins sooner before that of UTC, and an order is recorded when it is placed, or later.
_BEGINS_BEFORE: Final = timedelta(hours=15)
_SUPPLY_DAYS, _SUPPLY_DAYS_MAX = 7.0, 30.0
_SCORES_OF: Final = timedelta(days=120)
_ORIGINS_MIN: Final = 10
_DEMAND_OF: Final = timedelta(days=28)
_WANTED: Final[dict[str, Column]] = {"item": "int", "place": "int", "units": "float"}


def spikes(scene: Scene) -> Seen | Unseen:
    """Items of which more was wanted today than their forecast allows for, by place."""
    today = scene.now.date()
    run = store.latest_run(scene.conn, day=today)
    if run is None:
        return Unseen(reason="no stored forecast covers today")
    levels = np.array(run.settings["levels"], np.float64)
    if levels[-1] < 0.9:
        return Unseen(reason="the forecast has no quantile of 90 % or more to draw a tail from")
    since = scene.id_at(datetime.combine(today, time(), UTC) - _BEGINS_BEFORE)
    asked = {
        "now": scene.now, "day": today, "since": since, "before": scene.id_at(scene.now), "least": _UNITS_LEAST,
    }  # fmt: skip
    wanted = fetch(scene.conn, SQL["wanted_today"], asked, _WANTED)
    rows = store.series_of_items(scene.conn, run, np.unique(wanted["item"]).tolist()) if len(wanted["item"]) else None
    if rows is None:
        return Seen()
    key = {(i, p): n for n, (i, p) in enumerate(zip(rows.item.tolist(), rows.place.tolist(), strict=True))}
    asked_for = zip(wanted["item"].tolist(), wanted["place"].tolist(), strict=True)
    place: Int64 = np.array([key.get(k, -1) for k in asked_for], np.int64)
    known = place >= 0
    place, units = place[known], wanted["units"][known]
    in_charge = {segment["segment"]: segment["in_charge"] for segment in run.segments or ()}
    is_model = np.array([in_charge.get(SEGMENTS[s]) == "model" for s in rows.segment.tolist()], np.bool_)[place]
    day = (today - run.origin).days
    quantiles = _of_day(rows.champion.quantiles, rows.baseline.quantiles, place, day, is_model[:, None])
    mean = _of_day(rows.champion.mean, rows.baseline.mean, place, day, is_model)
    # A day that is not over is held against all of it: what is beyond that already is beyond it for certain.
    seen = demand.spikes(units, levels, quantiles, of=run.series)
    return _told(scene, seen, units, mean, rows.item[place].tolist(), rows.place[place].tolist())


def _of_day(champion: Float64, baseline: Float64, row: Int64, day: int, is_model: npt.NDArray[np.bool_]) -> Float64:
    """What whoever is in charge forecast of some series for a day."""
    made: Float64 = np.where(is_model, champion[:, day][row], baseline[:, day][row])
    return made


def _told(scene: Scene, seen: demand.Spikes, units: Float64, mean: Float64, item: list[int], place: list[int]) -> Seen:
    some = np.flatnonzero(seen.is_spike)
    ids = sorted({item[n] for n in some.tolist()})
    if not ids:
        return Seen()
    items, places = scene.items(ids), load_places(scene.conn)
    free: dict[tuple[int, int], float] = {
        (i, n): u for i, n, u in scene.conn.execute(SQL["free_units"], {"items": ids, "now": scene.now})
    }
    next_in = dict(scene.conn.execute(SQL["next_inbound"], {"items": ids, "now": scene.now}).fetchall())
    begun = datetime.combine(scene.now.date(), time(), UTC)
    found: list[Finding] = []
    currencies: list[str] = []
    for is_node, what in ((True, "item_node"), (False, "item_region")):
        mine = [n for n in some.tolist() if (places[place[n]].node is not None) == is_node]
        if not mine:
            continue
        at = [places[place[n]] for n in mine]
        of = [items[item[n]] for n in mine]
        part = demand.Spikes(
            limit=seen.limit[mine], chance=seen.chance[mine], confidence=seen.confidence[mine],
            is_spike=seen.is_spike[mine],
        )  # fmt: skip
        days = [min(max(next_in.get(item[n], _SUPPLY_DAYS), 1.0), _SUPPLY_DAYS_MAX) for n in mine]
        # What is sent to a region comes from any node.
        there = [free.get((item[n], (p.node_id or 0) if is_node else 0), 0.0) for n, p in zip(mine, at, strict=True)]
        told = demand.spike_findings(
            part, units[mine], [(o.sku, p.node or p.region) for o, p in zip(of, at, strict=True)], np.array(there),
            mean[mine], np.array(days), np.array([o.margin_minor for o in of]), begun, what=what,
            causes=[Subject("item", (o.sku,)) for o in of],
        )  # fmt: skip
        currency = {o.sku: o.currency for o in of}
        found += told
        currencies += [currency[f.subject.key[0]] for f in told]
    return Seen(findings=by_currency(found, currencies))


def drifts(scene: Scene) -> Seen | Unseen:
    """Kinds of series whose forecasts have become worse than they were, by what came true of stored ones."""
    asked = {"now": scene.now, "since": scene.now - _SCORES_OF}
    losses: dict[tuple[str, int], list[tuple[datetime, float]]] = {}
    for kind, segment, origin, sums in scene.conn.execute(SQL["scores"], asked):
        scaled, loss = sums["scaled"], sums["loss"]
        # The first day after the origin: all runs have it, whatever their horizon.
        if segment >= 0 and scaled and scaled[0]:
            losses.setdefault((kind, segment), []).append((datetime.combine(origin, time(), UTC), loss[0] / scaled[0]))
    long = {key: values for key, values in losses.items() if len(values) >= _ORIGINS_MIN}
    if not long:
        return Unseen(reason=f"fewer than {_ORIGINS_MIN} stored forecasts have come true")
    of = {
        "now": scene.now, "since": scene.now - _DEMAND_OF, "days": float(_DEMAND_OF.days), "rate": MARGIN_RATE,
        "main": scene.currency, "before": scene.id_at(scene.now),
    }  # fmt: skip
    units, margin = scene.conn.execute(SQL["worth_of_demand"], of).fetchone() or (0.0, 0.0)
    found: list[Finding] = []
    for (kind, segment), values in sorted(long.items()):
        row = np.array([[loss for _, loss in values]])
        at = demand.drifts(row)
        # A unit of scaled loss is about a day's usual error; half of what is wrongly forecast is margin lost, and it is
        # shared by the kinds of series there are.
        worth = 0.5 * units * margin * len(values) / max(len(long), 1)
        found += demand.drift_findings(
            at, row, [(kind, SEGMENTS[segment])], [day for day, _ in values], np.array([worth]), what="forecast"
        )
    return Seen(findings={scene.currency: found})
