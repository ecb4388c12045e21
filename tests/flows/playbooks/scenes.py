"""A scene for each playbook that ships, in which each of its steps has something to do."""

import json

import pytest

from .world import Trouble


def prepare(merchant):
    """Prices, a substitute, listings and a lane, for all scenes alike."""
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET price_minor = 1000, unit_cost_minor = 400, currency = 'EUR' WHERE item_id <= 6")
        conn.execute("UPDATE item SET attributes = %s WHERE sku = 'A'", (json.dumps({"substitute": "D"}),))
        conn.execute("INSERT INTO listing (channel_id, item_id, external_id) VALUES (1, 1, 'a-1'), (1, 2, 'b-1')")
        conn.execute(
            "INSERT INTO lane (from_node_id, to_node_id, days, unit_cost_minor)"
            " SELECT f.node_id, t.node_id, 2, 10 FROM node f, node t WHERE f.code = 'hamburg' AND t.code = 'berlin'"
        )
    merchant.state.learn_items(["A", "B", "C", "D", "E", "F"])
    return Trouble(merchant)


def person(n):
    return {"name": f"Ada {n}", "email": f"ada{n}@example.org"}


def ordered(merchant, *lines, n, **more):
    return merchant.place(*lines, customer=person(n), **more)["order_id"]


def carrier_lane_slow(t):
    m = t.merchant
    m.stock("berlin", A=20, C=20)
    m.stock("hamburg", A=20)
    for n in range(3):
        ordered(m, ("A", 1), n=n)
    ordered(m, ("C", 2), n=3)  # which nobody else has
    return lambda: t.incident(
        "lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 1.6}), cause=("carrier", ("dhl",))
    )


def phantom_stock(t):
    m = t.merchant
    m.stock("berlin", A=20)
    m.stock("munich", A=20)
    for n in range(2):
        ordered(m, ("A", 1), n=n)
    numbers = {"run_days": 9, "velocity_per_day": 1.1, "rejections": 1, "count_gain_minor": 900}
    return lambda: t.incident("phantom_stock", ("item_node", ("A", "berlin"), numbers))


def node_backlog(t):
    m = t.merchant
    m.stock("berlin", A=20, C=20)
    m.stock("hamburg", A=20)
    ordered(m, ("A", 2), n=0)
    ordered(m, ("C", 1), n=1)
    numbers = {"days_until": 0, "units_late": 40, "units_left_that_day": 12}
    return lambda: t.incident("capacity_breach", ("node", ("berlin",), numbers))


def oversell(t):
    m = t.merchant
    m.stock("berlin", D=2)
    ordered(m, ("A", 2), n=0)  # gets D
    ordered(m, ("A", 3), n=1)  # of which there are not enough
    return lambda: t.incident("oversell", ("item", ("A",), {"units": 5}))


def stuck_order(t):
    m = t.merchant
    m.stock("paris", B=5)
    order = ordered(m, ("B", 1), n=0)
    m.stock("berlin", B=5)  # nearer, and came later
    numbers = {"hours": 40, "median_hours": 3, "most_hours": 20, "staying_share": 0.1}
    return lambda: t.incident("order_stuck", ("order", (order,), numbers))


def channel_silent(t):
    return lambda: t.incident(
        "channel_silent", ("channel", ("web",), {"orders_expected": 12.0, "silences_per_year": 0.1})
    )


def demand_spike(t):
    m = t.merchant
    m.stock("berlin", A=12)
    m.stock("hamburg", A=40)
    numbers = {"units": 40, "limit_units": 10, "chance": 0.0001, "missing_units": 15}
    return lambda: t.incident("demand_spike", ("item_node", ("A", "berlin"), numbers))


def inbound_late(t):
    m = t.merchant
    m.inbound("berlin", "PO-7", F=10)
    ordered(m, ("F", 2), n=0)
    numbers = {"chance": 0.8, "expected_days_late": 4.2, "expected_in_days": 6.0, "units_per_day": 2.0}
    return lambda: t.incident("inbound_late", ("inbound", ("PO-7", "1", "F"), numbers))


def price_outlier(t):
    m = t.merchant
    m.stock("berlin", A=10)
    ordered(m, ("A", 1), n=0)
    numbers = {"price_minor": 10, "usual_minor": 1000, "z": -9}
    return lambda: t.incident("price_outlier", ("listing", ("web", "A"), numbers), confidence=0.95)


def duplicate_order(t):
    m = t.merchant
    m.stock("berlin", A=10)
    ordered(m, ("A", 1), n=0)
    second = ordered(m, ("A", 1), n=0)
    return lambda: t.incident("order_duplicate", ("order", (second,), {"hours_between": 0.2, "same_parts": 3}))


def shipment_late(t):
    m = t.merchant
    m.stock("berlin", A=10)
    order = ordered(m, ("A", 1), n=0)
    numbers = {"p_late": 0.9, "expected_days_late": 2.3, "forecasts": 3, "hours_left": 20.0}
    return lambda: t.incident("shipment_late", ("shipment", (f"{order}-s1",), numbers))


SCENES = {
    "shipment-late": shipment_late,
    "carrier-lane-slow": carrier_lane_slow,
    "phantom-stock": phantom_stock,
    "node-backlog": node_backlog,
    "oversell": oversell,
    "stuck-order": stuck_order,
    "channel-silent": channel_silent,
    "demand-spike": demand_spike,
    "inbound-late": inbound_late,
    "price-outlier": price_outlier,
    "duplicate-order": duplicate_order,
}
scenes = pytest.mark.parametrize("name", SCENES)
