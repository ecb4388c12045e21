"""Lanes of carriers that have become slower.

Each shipment is held against what was foretold of it when it left, as far as it was and its lane has a past of such
predictions; others against what their carrier's deliveries to the country used to take.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.db import queries
from onhand.demand.store import Kind as Column
from onhand.demand.store import fetch
from onhand.flows.incidents.channels import worth
from onhand.flows.incidents.scene import Scene, Seen, Unseen
from onhand.incidents.detect import lanes
from onhand.incidents.detect.moments import DAY_US
from onhand.incidents.model import Subject

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Lane = tuple[str, str, str]
"""node, carrier, country"""

_HISTORY: Final = timedelta(days=180)
_WATCHED: Final = timedelta(days=60)
_LEARN_EVERY: Final = timedelta(days=1)
_SHIPMENTS_MAX: Final = 200_000
_REPLAYED: Final = 150_000
_SETTLED_DAYS: Final = 30
# A carrier's service to a country with as many settled shipments is foretold by its own.
_OWN_MIN: Final = 30
# Where fewer of the settled ones were ever told to have arrived, nobody tells: no news is none.
_TOLD_MIN: Final = 0.8
_LEVELS: Final = (0.1, 0.5, 0.9)
# Settled predictions of so long say how a lane used to be foretold.
_USUAL_DAYS: Final = 60
_COLUMNS: Final[dict[str, Column]] = {
    "node": "int", "way": "int", "shipped": "int", "delivered": "int", "due": "int", "channel": "int", "is_main": "int",
    "p10": "float", "p50": "float", "p90": "float",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Shipments, each with its place in `lanes`.

    foretold  float64[n, 3], days at _LEVELS as they were foretold when it left; NaN: they were not
    """

    lanes: list[Lane]
    lane: Int64
    shipped: Int64
    delivered: Int64
    due: Int64
    late_minor: Float64
    foretold: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """number: of each lane; days: quantiles of _LEVELS by carrier and country, and of all under None; told: share of
    settled shipments of a lane that were told to have arrived; usual: mean and deviation of the medians that were
    foretold of a lane before the last month."""

    number: dict[Lane, int]
    days: dict[tuple[str, str] | None, Float64]
    told: dict[Lane, float]
    usual: dict[Lane, tuple[float, float]]
    watch: lanes.Watch


def slow(scene: Scene) -> Seen | Unseen:
    """Lanes that take longer than they used to, by what arrived and by what has not."""
    try:
        learned = scene.memory.get("lanes", scene.now, _LEARN_EVERY, lambda: _learn(scene))
    except ValueError as error:
        return Unseen(reason=f"too few shipments that have arrived: {error}")
    number = dict(learned.number)
    read = _read(scene, _WATCHED)
    shipments = _shipments(read, number, learned.days, learned.told, learned.usual, is_watched=True)
    seen = lanes.watch(shipments, learned.watch, scene.now_us, lanes=len(number))
    names = sorted(number, key=lambda lane: number[lane])
    found = lanes.findings(seen, names, causes=[Subject("carrier", (carrier,)) for _, carrier, _ in names])
    active = np.bincount(shipments.lane, minlength=len(names)) > 0
    parts: dict[Subject, int] = {}
    for lane in np.flatnonzero(active).tolist():
        carrier = Subject("carrier", (names[lane][1],))
        parts[carrier] = parts.get(carrier, 0) + 1
    return Seen(findings={scene.currency: found}, parts=parts)


def _read(scene: Scene, back: timedelta) -> _Read:
    since = scene.now - back
    asked = {
        "now": scene.now, "since": since, "first": scene.id_at(since - timedelta(days=_SETTLED_DAYS)),
        "limit": _SHIPMENTS_MAX, "main": scene.currency,
    }  # fmt: skip
    rows = fetch(scene.conn, SQL["shipments"], asked, _COLUMNS)
    ways = scene.memory.get("ways of carriers", scene.now, _LEARN_EVERY, dict[int, tuple[str, str]])
    if not set(np.unique(rows["way"]).tolist()) <= ways.keys():
        ways.update({way: (carrier, to) for way, carrier, to in scene.conn.execute(SQL["ways"], asked)})
    pairs, lane = np.unique(np.stack([rows["node"], rows["way"]], axis=1), axis=0, return_inverse=True)
    earned = worth(scene).order_minor
    channels, place = np.unique(rows["channel"], return_inverse=True)
    # Half of what an order earns, for a customer who was let down. Other currencies are left out, not added.
    late = np.array([0.5 * earned.get(channel, 0.0) for channel in channels.tolist()])
    return _Read(
        lanes=[(scene.nodes.get(node, ""), *ways[way]) for node, way in pairs.tolist()], lane=lane.reshape(-1),
        shipped=rows["shipped"],
        # A clock of a carrier may be behind ours.
        delivered=np.where(rows["delivered"] < 0, lanes.NOT_YET, np.maximum(rows["delivered"], rows["shipped"])),
        foretold=np.where(rows["p50"][:, None] > 0, np.stack([rows["p10"], rows["p50"], rows["p90"]], axis=1), np.nan),
        due=rows["due"], late_minor=np.where(rows["is_main"] == 1, late[place], 0.0) if len(late) else np.zeros(0),
    )  # fmt: skip


def _learn(scene: Scene) -> _Learned:
    """Raises ValueError: too few shipments."""
    read = _read(scene, _HISTORY)
    settled = read.shipped <= scene.now_us - _SETTLED_DAYS * DAY_US
    arrived = settled & (read.delivered != lanes.NOT_YET)
    if not arrived.any():
        raise ValueError("none that is older than a month was told to have arrived")
    took = np.where(arrived, read.delivered - read.shipped, 0) / DAY_US
    of = np.bincount(read.lane[settled], minlength=len(read.lanes))
    some = np.bincount(read.lane[arrived], minlength=len(read.lanes))
    share = {lane: float(some[n] / of[n]) for n, lane in enumerate(read.lanes) if of[n]}
    days: dict[tuple[str, str] | None, Float64] = {None: np.quantile(took[arrived], _LEVELS)}
    for way in {(carrier, to) for _, carrier, to in read.lanes}:
        mine = np.array([lane[1:] == way for lane in read.lanes], np.bool_)[read.lane] & arrived
        if mine.sum() >= _OWN_MIN:
            days[way] = np.quantile(took[mine], _LEVELS)
    usual = _usual(read, settled & (read.shipped > scene.now_us - (_SETTLED_DAYS + _USUAL_DAYS) * DAY_US))
    number: dict[Lane, int] = {}
    past = _shipments(read, number, days, share, usual, is_watched=False)
    watch = lanes.learn(past, scene.now_us, replayed=_REPLAYED)
    return _Learned(number=number, days=days, told=share, usual=usual, watch=watch)


def _usual(read: _Read, settled: npt.NDArray[np.bool_]) -> dict[Lane, tuple[float, float]]:
    """Mean and deviation of what was foretold of lanes with some predictions."""
    rows = settled & np.isfinite(read.foretold[:, 1])
    found = ((lane, read.foretold[rows & (read.lane == n), 1]) for n, lane in enumerate(read.lanes))
    return {lane: (float(days.mean()), float(days.std())) for lane, days in found if len(days) >= _OWN_MIN}


def _shipments(
    read: _Read, number: dict[Lane, int], days: dict[tuple[str, str] | None, Float64], told: dict[Lane, float],
    usual: dict[Lane, tuple[float, float]], *, is_watched: bool,
) -> lanes.Shipments:  # fmt: skip
    """Those of lanes that tell of deliveries, as the detector takes them; lanes without a number are given one.

    is_watched  predictions are brought down to the level at which their lane used to be foretold
    """
    tells = np.array([told.get(lane, 1.0) >= _TOLD_MIN for lane in read.lanes], np.bool_)
    told_of = zip(read.lanes, tells.tolist(), strict=True)
    of = np.array([number.setdefault(lane, len(number)) if tell else -1 for lane, tell in told_of], np.int64)
    quantiles = [days.get((carrier, to), days[None]) for _, carrier, to in read.lanes]
    median, spread = lanes.centred(np.array(_LEVELS), np.array(quantiles).reshape(-1, len(_LEVELS)))
    rows = np.flatnonzero(tells[read.lane]) if len(read.lane) else np.zeros(0, np.int64)
    lane = read.lane[rows]
    median, spread = median[lane], spread[lane]
    has_past = np.array([name in usual for name in read.lanes], np.bool_)
    own = np.isfinite(read.foretold[rows, 1]) & has_past[lane] if len(lane) else np.zeros(0, np.bool_)
    if own.any():
        median[own], spread[own] = lanes.centred(np.array(_LEVELS), read.foretold[rows[own]])
        if is_watched:
            level = np.array([usual.get(name, (0.0, 0.0)) for name in read.lanes])
            median[own] -= lanes.foretold_higher(
                lane[own], read.shipped[rows[own]], median[own], level[:, 0], level[:, 1]
            )
    return lanes.Shipments(
        lane=of[lane], shipped_at=read.shipped[rows], delivered_at=read.delivered[rows],
        median_days=np.maximum(median, 0.1), spread_days=spread, due_at=read.due[rows],
        late_minor=read.late_minor[rows],
    )  # fmt: skip
