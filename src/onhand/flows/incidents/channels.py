"""Channels that are silent, that drift or refuse, and gates that let too much through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onhand.db import queries
from onhand.demand.store import fetch
from onhand.flows.incidents.scene import Channel, Scene, Seen, Unseen, by_currency
from onhand.incidents.detect import channels, gates, publication
from onhand.incidents.detect.moments import HOUR_US
from onhand.incidents.model import Finding

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Eight weeks of hours say when orders come.
_HISTORY: Final = timedelta(weeks=8)
_WEEK: Final = timedelta(weeks=1)
_LEARN_EVERY: Final = timedelta(days=1)
_VALUES_EVERY: Final = timedelta(hours=1)
# What a reconciliation found says nothing any more after three days.
_READING_HOLDS: Final = timedelta(days=3)
_NOTICES: Final = timedelta(days=7)
_OUTCOMES: Final = timedelta(days=7)
_ERROR_MAX: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """Channels as they were learned: when their orders come, and when the last one did."""

    ids: list[int]
    rhythm: channels.Rhythm
    last_at: Int64


def silent(scene: Scene) -> Seen | Unseen:
    """Channels that sent no order for longer than chance allows."""
    heard = scene.memory.get("rhythms of channels", scene.now, _LEARN_EVERY, lambda: _learn(scene))
    if heard is None:
        return Unseen(reason="there is less than a week of orders to know by when orders come")
    asked = {"now": scene.now, "first": scene.id_at(scene.now - _LEARN_EVERY - timedelta(hours=1))}
    rows = fetch(scene.conn, SQL["last_orders"], asked, {"channel": "int", "at": "int"})
    latest = dict(zip(rows["channel"].tolist(), rows["at"].tolist(), strict=True))
    last_at = np.array(
        [max(at, latest.get(c, 0)) for c, at in zip(heard.ids, heard.last_at.tolist(), strict=True)], np.int64
    )
    seen = channels.silent(last_at, scene.now_us, heard.rhythm)
    of = [scene.channels.get(c) for c in heard.ids]
    earned = worth(scene)
    found = channels.findings(
        seen, ["" if c is None else c.code for c in of], last_at,
        np.array([earned.order_minor.get(c, 0.0) for c in heard.ids], np.float64),
    )  # fmt: skip
    active = {c.code for c in of if c is not None and c.active}
    return Seen(findings=_apart([f for f in found if f.subject.key[0] in active], scene))


def _learn(scene: Scene) -> _Heard | None:
    asked = {"now": scene.now, "since": scene.now - _HISTORY, "first": scene.id_at(scene.now - _HISTORY)}
    rows = fetch(
        scene.conn, SQL["orders_by_hour"], asked, {"channel": "int", "hour": "int", "orders": "int", "last": "int"}
    )
    # Whole hours, from the first order on.
    end = scene.now_us // HOUR_US
    if not len(rows["hour"]) or end - int(rows["hour"].min()) < channels.WEEK_HOURS:
        return None
    first = int(rows["hour"].min())
    ids, place = np.unique(rows["channel"], return_inverse=True)
    counts = np.zeros((len(ids), end - first + 1))
    np.add.at(counts, (place, rows["hour"] - first), rows["orders"])
    last_at = np.zeros(len(ids), np.int64)
    np.maximum.at(last_at, place, rows["last"])
    return _Heard(ids=ids.tolist(), rhythm=channels.learn(counts[:, :-1], first), last_at=last_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worth:
    """By channel_id: what an order earns, and what all of a day do, in the channel's currency."""

    order_minor: Mapping[int, float]
    daily_minor: Mapping[int, float]


def worth(scene: Scene) -> _Worth:
    """What orders of each channel earn."""

    def learn() -> _Worth:
        asked = {"now": scene.now, "first": scene.id_at(scene.now - _HISTORY)}
        order: dict[int, float] = {}
        daily: dict[int, float] = {}
        for channel_id, minor, per_hour in scene.conn.execute(SQL["order_values"], asked):
            channel = scene.channels.get(channel_id)
            order[channel_id] = minor * (channel.margin_rate if channel is not None else 0.0)
            daily[channel_id] = 24 * per_hour * order[channel_id]
        return _Worth(order_minor=order, daily_minor=daily)

    return scene.memory.get("worth of orders", scene.now, _VALUES_EVERY, learn)


def _apart(found: Sequence[Finding], scene: Scene) -> dict[str, list[Finding]]:
    """By the currency of the channel that each is about."""
    currency = {c.code: c.currency for c in scene.channels.values()}
    return by_currency(found, [currency[f.subject.key[0]] for f in found])


def faults(scene: Scene) -> Seen:
    """Channels that show other numbers than ours, and channels that refuse what they are sent."""
    asked = {"now": scene.now, "since": scene.now - _READING_HOLDS}
    rows = _named(scene, scene.conn.execute(SQL["readings"], asked).fetchall())
    earned = worth(scene)
    names, daily = [c.code for _, c, _ in rows], _floats(earned.daily_minor.get(i, 0.0) for i, _, _ in rows)
    read, foreign, lost, unheard, at = (_ints(row[n] for _, _, row in rows) for n in range(5))
    readings = publication.Readings(read=read, foreign=foreign, lost=lost, unheard=unheard, at=at)
    found = publication.drift_findings(readings, publication.drifting(readings), names, daily)

    rows = _named(scene, scene.conn.execute(SQL["faults"], asked | {"since": scene.now - _NOTICES}).fetchall())
    names, daily = [c.code for _, c, _ in rows], _floats(earned.daily_minor.get(i, 0.0) for i, _, _ in rows)
    is_out = np.array([row[0] for _, _, row in rows], np.bool_)
    listings, failing, parked = (_ints(row[n] for _, _, row in rows) for n in (2, 3, 4))
    since = _ints(scene.now_us if row[5] is None else row[5] for _, _, row in rows)
    states = publication.Faults(is_out=is_out, listings=listings, failing=failing, parked=parked, since=since)
    found += publication.refusal_findings(
        states, publication.refusing(states), names, [" ".join(str(row[1]).split())[:_ERROR_MAX] for _, _, row in rows],
        daily, _floats(earned.order_minor.get(i, 0.0) for i, _, _ in rows),
    )  # fmt: skip
    return Seen(findings=_apart(found, scene))


def breaches(scene: Scene) -> Seen:
    """Channels whose computed gate lets more oversells through than it is set to."""
    since = scene.now - _OUTCOMES
    rows = _named(scene, scene.conn.execute(SQL["gate_outcomes"], {"now": scene.now, "since": since}).fetchall())
    earned = worth(scene)
    outcomes = gates.Outcomes(
        target=_floats(row[0] for _, _, row in rows), orders=_ints(row[1] for _, _, row in rows),
        oversold=_ints(row[2] for _, _, row in rows),
    )  # fmt: skip
    cost = _floats(earned.order_minor.get(i, 0.0) + c.penalty_minor for i, c, _ in rows)
    found = gates.findings(outcomes, gates.breached(outcomes), [c.code for _, c, _ in rows], cost, since)
    return Seen(findings=_apart(found, scene))


def _named(scene: Scene, rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, Channel, tuple[Any, ...]]]:
    """Rows with their channels, of those that are known."""
    known = scene.channels
    return [(row[0], known[row[0]], tuple(row[1:])) for row in rows if row[0] in known]


def _ints(values: Any) -> Int64:
    return np.array([*values], np.int64)


def _floats(values: Any) -> Float64:
    return np.array([*values], np.float64)
