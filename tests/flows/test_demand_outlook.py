"""What is expected at nodes: counters count where they are, regions at the nodes nearest to those who order there."""

from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest

from onhand.base.actor import SYSTEM
from onhand.flows.demand.fold import fold
from onhand.flows.demand.outlook import read_outlook
from onhand.flows.demand.sales import import_sales

TODAY = datetime.now(UTC).date()
NODES = ["berlin", "munich", "hamburg", "paris"]


def outlook(merchant, nodes=NODES, today=TODAY, horizon=7):
    with merchant.db.connection() as conn:
        return read_outlook(conn, today, horizon, ["A", "B"], nodes)


def weeks(sku, units, **where):
    return [
        {"sku": sku, "day": (TODAY - timedelta(days=n)).isoformat(), "quantity": units} | where for n in range(1, 57)
    ]


def test_a_counter_counts_at_its_node(merchant):
    import_sales(merchant.db, weeks("A", 6, node="munich"), by=SYSTEM)
    found = outlook(merchant)
    assert found.quantiles.shape == (2, 4, 7, len(found.levels))
    assert found.mean[0, :, 0].tolist() == pytest.approx([0, 6, 0, 0])
    assert not found.mean[1].any()
    assert found.basis.origin == TODAY - timedelta(days=1)
    assert not outlook(merchant, ["berlin"]).mean.any()


def test_a_region_counts_where_its_orders_go(merchant):
    """All of them are sent to one region; two of three to Munich's door."""
    import_sales(merchant.db, weeks("B", 3, region="DE-BE"), by=SYSTEM)
    before = outlook(merchant).mean[1]
    assert before[:, 0].sum() == pytest.approx(3) and (before[:, 0] > 0).sum() == 1  # to the middle of the country
    merchant.now = datetime.combine(TODAY, time(12), UTC)
    merchant.state.reload_network()
    merchant.stock("berlin", A=90)
    for to in ("munich", "munich", "berlin"):
        merchant.place(("A", 1), to=to)
    fold(merchant.db)
    found = outlook(merchant, today=TODAY + timedelta(days=1)).mean[1].mean(axis=1)
    assert found.sum() == pytest.approx(3, rel=0.1)
    assert np.array(found) == pytest.approx(found.sum() * np.array([1 / 3, 2 / 3, 0, 0]), rel=1e-3)


def test_what_nobody_told_where_is_everywhere_alike(merchant):
    import_sales(merchant.db, weeks("A", 8), by=SYSTEM)
    found = outlook(merchant)
    assert np.ptp(found.mean[0, :, 0]) == pytest.approx(0)
    assert found.mean[0, 0, 0] > 0
