"""Lanes of carriers that have become slower."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onhand.db import queries
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Shipments of lanes that tell of deliveries."""

    lane: list[Lane]
    shipped: Int64
    delivered: Int64
    due: Int64
    late_minor: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """number: of each lane; days: quantiles of _LEVELS by carrier and country, and of all under None; told: share of
    settled shipments of a lane that were told to have arrived."""

    number: dict[Lane, int]
    days: dict[tuple[str, str] | None, Float64]
    told: dict[Lane, float]
    watch: lanes.Watch


def slow(scene: Scene) -> Seen | Unseen:
    """Lanes that take longer than they used to, by what arrived and by what has not."""
    try:
        learned = scene.memory.get("lanes", scene.now, _LEARN_EVERY, lambda: _learn(scene))
    except ValueError as error:
        return Unseen(reason=f"too few shipments that have arrived: {error}")
    number = dict(learned.number)
    read = _read(scene, _WATCHED)
    keep = [learned.told.get(lane, 1.0) >= _TOLD_MIN for lane in read.lane]
    shipments = _shipments(read, number, learned.days, np.array(keep, np.bool_))
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
        "limit": _SHIPMENTS_MAX,
    }  # fmt: skip
    rows = scene.conn.execute(SQL["shipments"], asked).fetchall()
    node, carrier, country, shipped, delivered, due, channel, currency = list(zip(*rows, strict=True)) or [()] * 8
    earned, main = worth(scene).order_minor, scene.currency
    at = np.array(delivered, np.int64)
    began = np.array(shipped, np.int64)
    return _Read(
        lane=[(scene.nodes.get(n, ""), c, to) for n, c, to in zip(node, carrier, country, strict=True)], shipped=began,
        # A clock of a carrier may be behind ours.
        delivered=np.where(at < 0, lanes.NOT_YET, np.maximum(at, began)), due=np.array(due, np.int64),
        # Half of what an order earns, for a customer who was let down. Other currencies are left out, not added.
        late_minor=np.array(
            [0.5 * earned.get(c, 0.0) if k == main else 0.0 for c, k in zip(channel, currency, strict=True)], np.float64
        ),
    )  # fmt: skip


def _learn(scene: Scene) -> _Learned:
    """Raises ValueError: too few shipments."""
    read = _read(scene, _HISTORY)
    settled = read.shipped <= scene.now_us - _SETTLED_DAYS * DAY_US
    arrived = settled & (read.delivered != lanes.NOT_YET)
    took = np.where(arrived, read.delivered - read.shipped, 0) / DAY_US
    told: dict[Lane, list[int]] = {}
    by: dict[tuple[str, str] | None, list[float]] = {None: []}
    for n in np.flatnonzero(settled).tolist():
        lane = read.lane[n]
        counts = told.setdefault(lane, [0, 0])
        counts[0] += int(arrived[n])
        counts[1] += 1
        if arrived[n]:
            by[None].append(float(took[n]))
            by.setdefault((lane[1], lane[2]), []).append(float(took[n]))
    if not by[None]:
        raise ValueError("none that is older than a month was told to have arrived")
    days = {
        key: np.quantile(np.array(values), _LEVELS)
        for key, values in by.items() if key is None or len(values) >= _OWN_MIN
    }  # fmt: skip
    share = {lane: some / of for lane, (some, of) in told.items()}
    number: dict[Lane, int] = {}
    keep = np.array([share.get(lane, 1.0) >= _TOLD_MIN for lane in read.lane], np.bool_)
    history = _shipments(read, number, days, keep)
    watch = lanes.learn(history, scene.now_us, replayed=_REPLAYED)
    return _Learned(number=number, days=days, told=share, watch=watch)


def _shipments(
    read: _Read, number: dict[Lane, int], days: dict[tuple[str, str] | None, Float64], keep: npt.NDArray[np.bool_]
) -> lanes.Shipments:
    """What is to be kept of them, as the detector takes it; lanes without a number are given one."""
    rows = np.flatnonzero(keep)
    chosen = [read.lane[n] for n in rows.tolist()]
    lane = np.array([number.setdefault(one, len(number)) for one in chosen], np.int64)
    levels = np.array(_LEVELS)
    found = [days.get((carrier, country), days[None]) for _, carrier, country in chosen]
    quantiles: Any = np.stack(found) if found else np.ones((0, len(_LEVELS)))
    median, spread = lanes.centred(levels, quantiles)
    return lanes.Shipments(
        lane=lane, shipped_at=read.shipped[rows], delivered_at=read.delivered[rows],
        median_days=np.maximum(median, 0.1), spread_days=spread, due_at=read.due[rows],
        late_minor=read.late_minor[rows],
    )  # fmt: skip
