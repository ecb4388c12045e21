"""Single shipments that are likely to be late, by what was foretold of them."""

from datetime import timedelta
from typing import Any, Final

import numpy as np

from onhand.db import queries
from onhand.flows.incidents.channels import worth
from onhand.flows.incidents.scene import Scene, Seen
from onhand.fulfilment.delivery.levels import LEVELS
from onhand.incidents.detect import shipments
from onhand.incidents.model import Finding, Subject

SQL = queries(__file__)

_WATCHED: Final = timedelta(days=60)
_P_LATE_MIN: Final = 0.3


def late(scene: Scene) -> Seen:
    """Shipments on their way that will come after their promise, or have not come by it."""
    asked = {"now": scene.now, "since": scene.now - _WATCHED, "p_late_min": _P_LATE_MIN}
    rows = scene.conn.execute(SQL["foretold_shipments"], asked).fetchall()
    if not rows:
        return Seen()
    by_currency: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_currency.setdefault(scene.channels[row[2]].currency, []).append(row)
    return Seen(findings={currency: _found(scene, some) for currency, some in sorted(by_currency.items())})


def _found(scene: Scene, rows: list[tuple[Any, ...]]) -> list[Finding]:
    earned = worth(scene).order_minor
    read = shipments.Shipments(
        shipped_at=np.array([row[6] for row in rows], np.int64),
        delivered_at=np.full(len(rows), shipments.NOT_YET, np.int64),
        due_at=np.array([row[7] for row in rows], np.int64),
        # As for lanes: half of what an order earns, for a customer who was let down.
        late_minor=np.array([0.5 * earned.get(row[2], 0.0) for row in rows], np.float64),
        day_minor=np.array([scene.channels[row[2]].late_minor for row in rows], np.float64),
    )
    made = [(n, *told) for n, row in enumerate(rows) for told in row[8]]
    foretold = shipments.Forecasts(
        shipment=np.array([n for n, *_ in made], np.int64), made_at=np.array([at for _, at, _, _ in made], np.int64),
        p_late=np.array([p for _, _, p, _ in made], np.float64), levels=np.array(LEVELS),
        days=np.array([days for *_, days in made], np.float64).reshape(-1, len(LEVELS)),
    )  # fmt: skip
    seen = shipments.look(read, foretold, scene.now_us, p_late_min=_P_LATE_MIN)
    return shipments.findings(
        seen, [f"{row[0]}-s{row[1]}" for row in rows], read,
        [Subject("lane", (row[3], row[4] or "?", row[5])) for row in rows],
        [Subject("carrier", (row[4] or "?",)) for row in rows], now=scene.now_us,
    )  # fmt: skip
