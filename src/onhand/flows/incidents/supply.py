"""Purchases that will be late or short."""

from datetime import timedelta
from typing import Any, Final

import numpy as np

from onhand.db import queries
from onhand.flows.incidents.scene import Scene, Seen, Unseen, by_currency
from onhand.incidents.detect import inbound
from onhand.incidents.detect.moments import DAY_US

SQL = queries(__file__)

# Two years of lines say how a supplier is; four weeks of demand, how long stock lasts.
_HISTORY: Final = timedelta(days=730)
_DEMAND: Final = timedelta(days=28)
_LEARN_EVERY: Final = timedelta(days=1)
_LINES_MIN: Final = 10
# What there is enough of for a year is not late, whenever it comes.
_LASTS_MAX_DAYS: Final = 365.0


def late(scene: Scene) -> Seen | Unseen:
    """Lines that will come after they are needed, or with less than was ordered."""
    learned = scene.memory.get("suppliers", scene.now, _LEARN_EVERY, lambda: _learn(scene))
    if learned is None:
        return Unseen(reason=f"fewer than {_LINES_MIN} lines of suppliers have come in the last two years")
    number, suppliers = learned
    rows = scene.conn.execute(SQL["open_inbound"], {"now": scene.now}).fetchall()
    daily = daily_demand(scene, [row[3] for row in rows])
    rows = [row for row in rows if row[6] < daily.get(row[3], 0.0) * _LASTS_MAX_DAYS]
    if not rows:
        return Seen()
    reference, line, supplier, item_ids, due, units, free = zip(*rows, strict=True)
    per_day = np.array([daily[item] for item in item_ids])
    # Of several lines of an item each is looked at as if it were the next.
    lasts = np.array(free) / per_day
    needed = (scene.now_us + np.maximum(lasts, 0.0) * DAY_US).astype(np.int64)
    # Of a supplier who was never heard of nothing is known but what all are like.
    of = np.array([number.get(name, len(number)) for name in supplier], np.int64)
    seen = inbound.foreseen(
        of, np.array(due, np.int64), needed, np.array(units, np.float64), suppliers, scene.now_us
    )  # fmt: skip
    items = scene.items(item_ids)
    names = [f"{r} line {n} ({items[i].sku})" for r, n, i in zip(reference, line, item_ids, strict=True)]
    found = inbound.findings(
        seen, names, [name or "an unnamed supplier" for name in supplier], needed, np.array(units, np.float64),
        np.array([items[i].margin_minor for i in item_ids]), scene.now, daily_units=per_day,
        keys=[(r, str(n), items[i].sku) for r, n, i in zip(reference, line, item_ids, strict=True)],
    )  # fmt: skip
    currency = {(r, str(n)): items[i].currency for r, n, i in zip(reference, line, item_ids, strict=True)}
    return Seen(findings=by_currency(found, [currency[f.subject.key[0], f.subject.key[1]] for f in found]))


def _learn(scene: Scene) -> tuple[dict[str, int], inbound.Suppliers] | None:
    asked = {"now": scene.now, "since": scene.now - _HISTORY}
    rows = scene.conn.execute(SQL["past_inbound"], asked).fetchall()
    if len(rows) < _LINES_MIN:
        return None
    supplier, days, share = zip(*rows, strict=True)
    number = {name: n for n, name in enumerate(sorted(set(supplier)))}
    return number, inbound.learn(
        np.array([number[name] for name in supplier], np.int64), np.array(days, np.float64),
        np.array(share, np.float64), suppliers=len(number) + 1,
    )  # fmt: skip


def daily_demand(scene: Scene, items: Any) -> dict[int, float]:
    """Units a day of some items over the last four weeks, by item_id; of those that were not wanted nothing."""
    asked = {"now": scene.now, "since": scene.now - _DEMAND, "days": float(_DEMAND.days), "items": sorted(set(items)),
             "before": scene.id_at(scene.now)}  # fmt: skip
    return dict(scene.conn.execute(SQL["daily_demand"], asked).fetchall())
