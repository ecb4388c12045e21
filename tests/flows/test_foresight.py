"""The server looks forward: prices of stock and risks of rejection, learned from the database, decide orders."""

import json
import threading
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.flows.conftest import MONDAY
from tests.flows.test_policy_decides import decide_by

from onhand.base.actor import SYSTEM
from onhand.flows import foresight
from onhand.flows.explain_plan import explain_plan
from onhand.flows.foresight import DAYS_MIN, ORDERS_MIN, Foreseer, has_drifted
from onhand.flows.fulfil import accept, reject
from onhand.flows.record_entries import record_entries
from onhand.flows.reoptimise import reoptimise
from onhand.flows.state import State
from onhand.ledger.intake import EntryIn
from onhand.orders.model import TERMS
from onhand.sourcing import tables

# Where a parcel from berlin costs 500 and one from hamburg 800; in berlin it is 400 and 500.
EAST = {"destination": {"country": "DE", "postal_code": "10115", "latitude": 50.5, "longitude": 22.0}}
# Only berlin has B: an order of both saves a parcel by taking A there, too.
BOTH = (("A", 1), ("B", 1))


def history(merchant, orders=ORDERS_MIN + 60, days=3.0):
    """Orders of one A each, most of them to the east, all of them shipped from hamburg; then berlin gets ten units."""
    merchant.stock("hamburg", A=5_000)
    for batch in range(10):
        merchant.now = MONDAY + timedelta(days=days * batch / 9)
        each = orders // 10
        merchant.place_many([([("A", 1)], EAST if n % 4 else {}) for n in range(each)])
    merchant.now = MONDAY + timedelta(days=days, seconds=1)
    merchant.stock("berlin", A=10, B=1_000)


def look(merchant):
    merchant.now += timedelta(seconds=1)
    return Foreseer(merchant.state).make()


def only(answer):
    (f,) = answer["fulfilments"]
    return f


def test_an_order_leaves_the_scarce_unit_to_those_who_need_it_most(merchant):
    history(merchant)
    before = only(merchant.place(("A", 1)))
    assert (before["node"], before["cost"]["opportunity"]) == ("berlin", 0)
    made = look(merchant)
    assert made.has_prices and made.orders == ORDERS_MIN + 61 and made.seconds > 0
    after = only(merchant.place(("A", 1)))
    assert (after["node"], after["cost"]["opportunity"]) == ("hamburg", 0)
    assert after["cost"]["shipping"] > before["cost"]["shipping"]
    both = only(merchant.place(*BOTH))
    assert both["node"] == "berlin" and 200 < both["cost"]["opportunity"] < 400


def test_the_exact_path_decides_by_the_same_prices(merchant):
    history(merchant)
    look(merchant)
    held = merchant.place(("A", 1), hold="look at it")
    assert only(held)["node"] == "hamburg"
    both = only(merchant.place(*BOTH, hold="look at it"))
    assert both["node"] == "berlin" and both["cost"]["opportunity"] > 200


def test_an_order_sourced_again_sees_them_too(merchant):
    history(merchant)
    merchant.stock("munich", A=5)
    look(merchant)
    placed = merchant.place(("A", 1))
    assert only(placed)["node"] == "hamburg"
    reject(merchant.state, only(placed)["fulfilment_id"], "no_capacity", by=SYSTEM)
    cost = merchant.order(placed["order_id"]).fulfilments[-1].cost
    assert cost[TERMS.index("opportunity")] > 0


def test_too_little_history_leaves_everything_as_it_was(merchant):
    history(merchant, orders=ORDERS_MIN - 10)
    before = only(merchant.place(("A", 1)))
    made = look(merchant)
    assert not made.has_prices and made.orders == ORDERS_MIN - 10 + 1
    after = only(merchant.place(("A", 1)))
    assert (after["node"], after["cost"]) == (before["node"], before["cost"])


def test_so_does_a_history_of_hours(merchant):
    history(merchant, days=DAYS_MIN * 0.9)
    assert not look(merchant).has_prices


def test_and_a_policy_that_does_not_look_ahead(merchant):
    history(merchant)
    decide_by(merchant, "opportunity: null")
    assert not look(merchant).has_prices
    assert only(merchant.place(("A", 1)))["node"] == "berlin"


def test_orders_of_long_ago_do_not_count(merchant):
    history(merchant)
    merchant.now += timedelta(days=foresight.HISTORY_DAYS - 1)
    assert look(merchant).orders < ORDERS_MIN


def test_all_processes_have_the_same_prices(merchant):
    history(merchant)
    early = State(merchant.db, now=lambda: merchant.now)
    early.load()
    look(merchant)
    _follow(early)
    late = State(merchant.db, now=lambda: merchant.now)
    late.load()
    mine, *others = (s.stock() for s in (merchant.state, early, late))
    assert mine.prices.unit.any() and mine.step_minor
    for stock in others:
        assert stock.step_minor == mine.step_minor
        for a, b in zip(stock.prices, mine.prices, strict=True):
            assert np.array_equal(a[:5, :5] if a.ndim > 1 else a[:5], b[:5, :5] if b.ndim > 1 else b[:5])


def _follow(state):
    """Until the event has settled: transactions of others on this server may hold it back."""
    until = time.monotonic() + 20
    while state.outlook is None and time.monotonic() < until:
        state.follow()


def test_prices_follow_the_orders_of_the_process_on_both_paths(merchant):
    history(merchant)
    look(merchant)
    for more in ({}, {"hold": "look at it"}):
        stock = merchant.state.stock()
        before, clock = stock.prices.unit[1, 1, tables.NETWORK], stock.prices.clock[1]
        assert only(merchant.place(*BOTH, **more))["node"] == "berlin"
        stock = merchant.state.stock()
        # It falls by `rate` steps with every unit asked for, of which it was told only when a unit was taken.
        fallen = stock.step_minor * float(stock.prices.unit[1, 1, tables.RATE])
        assert stock.prices.clock[1] == clock + 1
        assert stock.prices.unit[1, 1, tables.NETWORK] == pytest.approx(before + stock.step_minor, abs=fallen + 1e-3)
        assert fallen < 0.1 * stock.step_minor


def test_an_order_that_was_not_written_moves_no_price(merchant):
    """The guard refuses the batch: another process has taken the units. The exact path decides it again."""
    history(merchant)
    look(merchant)
    other = State(merchant.db, now=lambda: merchant.now)
    other.load()
    mine, merchant.state = merchant.state, other
    merchant.stock("berlin", "count", A=0)
    merchant.state = mine
    before = mine.stock().prices.unit[1, 1, tables.NETWORK]
    nodes = {f["node"] for f in merchant.place(*BOTH)["fulfilments"]}
    assert nodes == {"berlin", "hamburg"}
    stock = mine.stock()
    fallen = stock.step_minor * float(stock.prices.unit[1, 1, tables.RATE])
    assert stock.prices.unit[1, 1, tables.NETWORK] == pytest.approx(before, abs=2 * fallen + 1e-3)


def test_new_items_and_nodes_have_no_price(merchant):
    history(merchant)
    look(merchant)
    merchant.rows("INSERT INTO item (item_id, sku, name, weight_g) VALUES (8, 'NEW', 'x', 500) RETURNING 1")
    merchant.rows(
        "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone)"
        " VALUES (5, 'near', 'x', 'store', 'DE', 52.5, 13.4, 'Europe/Berlin') RETURNING 1"
    )
    merchant.state.learn_items(["NEW"])
    merchant.state.reload_network()
    merchant.stock("near", A=3, NEW=3)
    assert only(merchant.place(("NEW", 1)))["cost"]["opportunity"] == 0
    assert only(merchant.place(("A", 1)))["node"] == "near"


def test_nodes_that_reject_much_lose_orders_as_far_as_that_costs(merchant):
    merchant.stock("berlin", A=5_000)
    for node in ("hamburg", "munich"):
        merchant.stock(node, A=50_000)
    placed = merchant.place_many([([("A", 1)], {})] * 60) + merchant.place_many([([("A", 1)], {})] * 60, to="hamburg")
    for n, order in enumerate(placed):
        f = only(order)
        if f["node"] == "berlin" and n % 2:
            reject(merchant.state, f["fulfilment_id"], "not_found", by=SYSTEM)
        else:
            accept(merchant.state, f["fulfilment_id"], by=SYSTEM)
    made = look(merchant)
    hour = MONDAY.hour
    assert 0.4 < made.share[hour, 1] < 0.6 and made.share[hour, 3] < 0.1
    assert only(merchant.place(("A", 1)))["node"] == "berlin"
    for minor, node in ((100.0, "berlin"), (400.0, "hamburg")):
        decide_by(merchant, f"objectives: {{margin: {{rejection_minor: {minor}}}}}")
        f = only(merchant.place(("A", 1)))
        assert f["node"] == node
        assert f["cost"]["rejection_risk"] == round(minor * float(made.share[hour, 1 if node == "berlin" else 3]))


def test_a_unit_that_would_be_cleared_is_taken_first(merchant):
    history(merchant)
    merchant.rows("UPDATE item SET unit_cost_minor = 900, price_minor = 1500, currency = 'EUR' RETURNING 1")
    merchant.stock("munich", A=5_000)
    look(merchant)
    assert only(merchant.place(("A", 1)))["cost"]["opportunity"] >= 0
    merchant.rows("INSERT INTO markdown (item_id, node_id, value_minor) VALUES (1, 2, 250) RETURNING 1")
    look(merchant)
    f = only(merchant.place(("A", 1)))
    assert f["node"] == "munich" and f["cost"]["opportunity"] == pytest.approx(-650, abs=60)


def test_a_unit_that_somebody_will_walk_in_for_is_worth_the_margin(merchant):
    history(merchant)
    merchant.rows("UPDATE item SET unit_cost_minor = 900, price_minor = 1500, currency = 'EUR' RETURNING 1")
    merchant.stock("munich", A=40)
    look(merchant)
    quiet = merchant.state.stock().prices.unit[1, 2, tables.BASE]
    for day in range(3):
        _sell(merchant, "munich", 10, days_ago=day)
    look(merchant)
    busy = merchant.state.stock().prices.unit[1, 2, tables.BASE]
    # 30 units in 28 days, some 15 in the next two weeks; 10 are left.
    assert quiet == 0 and 300 < busy < 600


def _sell(merchant, node, units, days_ago):
    at = merchant.now - timedelta(days=days_ago)
    row = EntryIn(kind="adjustment", sku="A", node=node, quantity=-units, reason="sale", occurred_at=at)
    state = merchant.state
    recorded = record_entries(
        merchant.db, state.catalogue, state.network.node_ids, [row], SYSTEM, serve_waiting=None, now=merchant.now
    )
    assert [r.status for r in recorded.results] == ["applied"]
    state.take([1], [state.network.node_ids[node]])


def test_prices_move_little_from_one_outlook_to_the_next(merchant):
    """Berlin, whose units were worth 1,500, has plenty now: the price falls by a quarter of the highest at a time."""
    history(merchant)
    merchant.stock("berlin", A=100_000)
    first = look(merchant)
    assert first.network.max() < 50
    merchant.state.outlook = replace(first, network=np.full_like(first.network, 1_500))
    most = 0.25 * 2.0 * first.step_minor / 0.0025
    prices = [float(look(merchant).prices(2, 5).unit[1, 1, tables.NETWORK]) for _ in range(2)]
    assert prices == pytest.approx([1_500 - most, 1_500 - 2 * most], abs=1)


def test_supply_that_comes_soon_makes_units_cheap(merchant):
    history(merchant)
    dear = look(merchant).prices(2, 5).unit[1, 1, tables.NETWORK]
    merchant.inbound("berlin", "PO-1", days=1, A=500)
    merchant.rows("DELETE FROM outlook RETURNING 1")
    fresh = State(merchant.db, now=lambda: merchant.now)
    fresh.load()
    merchant.state = fresh
    merchant.stock("berlin", A=150)
    cheap = look(merchant).prices(2, 5).unit[1, 1, tables.NETWORK]
    assert cheap < 0.5 * dear


def test_one_worker_makes_an_outlook_when_it_is_due(merchant):
    one, two = Foreseer(merchant.state), Foreseer(merchant.state)
    assert one.look() is not None and two.look() is None and one.look() is None
    merchant.now += timedelta(minutes=9)
    assert two.look() is None
    merchant.now += timedelta(minutes=2)
    with merchant.db.connect() as conn:
        conn.execute("SELECT pg_advisory_lock(hashtextextended('onhand outlook', 0))")
        assert two.look() is None, "another worker makes it"
    assert two.look() is not None and one.look() is None
    assert merchant.events("outlook") == ["outlook.changed"] * 2


def test_a_worker_that_must_end_gives_an_outlook_up(merchant):
    history(merchant)
    stop = threading.Event()
    stop.set()
    assert Foreseer(merchant.state, stop).look() is None
    assert merchant.rows("SELECT count(*) FROM outlook") == [(0,)]
    stop.clear()
    assert Foreseer(merchant.state, stop).look() is not None


def test_it_is_due_early_when_much_stock_has_changed(merchant):
    merchant.stock("berlin", A=100, B=100)
    one = Foreseer(merchant.state)
    assert one.look() is not None
    merchant.stock("berlin", A=5)
    merchant.now += timedelta(minutes=3)
    assert one.look() is None
    merchant.stock("munich", A=500)
    assert one.look() is not None


def test_only_few_outlooks_are_kept(merchant):
    for _ in range(6):
        Foreseer(merchant.state).make()
    assert merchant.rows("SELECT count(*) FROM outlook") == [(3,)]


@pytest.mark.parametrize(
    ("then", "now", "drifted"),
    [
        ([0, 10, 10], [0, 10, 10], False),
        ([0, 10, 10], [0, 4, 10], True),
        ([0, 10, 10], [0, 6, 10], False),
        ([0, *[10] * 20], [0, 0, *[10] * 19], False),
        ([0, *[10] * 20], [0, 0, 0, 0, *[10] * 17], True),
        ([0, 0], [0, 0, 50], False),
    ],
)
def test_drift(then, now, drifted):
    assert has_drifted(np.array(then, np.int64), np.array(now, np.int64)) is drifted


def test_a_busy_stretch_of_time_stands_for_the_orders_that_were_not_looked_at():
    each = foresight._ORDERS_EACH
    # Two stretches of 1000 ms: a full one, whose orders took 250 ms, and one with three orders.
    times = foresight._times([1] * each + [2] * 3, [249] * each + [1_100, 1_200, 1_900], [0, 1_000, 2_000])
    assert times[0] == pytest.approx(4.0) and times[-1] == 1.0


def test_a_decision_by_prices_is_explained_with_them(merchant):
    history(merchant)
    look(merchant)
    placed = merchant.place(("A", 1))
    answer = explain_plan(merchant.db, f"{placed['order_id']}-p1")
    assert answer["reproduced"] and answer["chosen"] == ["hamburg"]
    berlin = next(c for c in answer["candidates"] if c["node"] == "berlin")
    (unit,) = berlin["unit_worth"]
    assert unit["sku"] == "A" and unit["network_minor"] == unit["worth_minor"] == berlin["cost"]["opportunity"] > 100
    assert unit["node_minor"] == 0
    assert berlin["cost_minor"] > answer["cost_minor"]
    assert any("orders to come" in s for s in answer["sentences"]), json.dumps(answer["sentences"], indent=1)
    price = next(c for c in answer["would_change_it"] if c["change"] == "price")
    assert price["then"] == ["berlin"]


def busy(merchant, orders=260, days=3.0):
    """Plenty of stock in berlin and hamburg. A third of the orders are from the east, which berlin serves for 300 less,
    a third from berlin and large, where it is 200, and a third from there and small: 100. The day is over, and of each
    that follows berlin has room for half."""
    merchant.limit("berlin", orders=10_000)
    for node in ("berlin", "hamburg"):
        merchant.stock(node, A=50_000)
    for batch in range(10):
        merchant.now = MONDAY + timedelta(days=days * batch / 9)
        each = orders // 10
        merchant.place_many([([("A", 3 if n % 3 == 1 else 1)], EAST if n % 3 == 2 else {}) for n in range(each)])
    merchant.now = MONDAY + timedelta(days=days, hours=8)
    merchant.limit("berlin", orders=43)


def test_room_of_a_node_is_left_to_those_who_need_it_most(merchant):
    busy(merchant)
    before = only(merchant.place(("A", 1)))
    assert (before["node"], before["cost"]["capacity_price"]) == ("berlin", 0)
    made = look(merchant)
    assert made.room.shape == (5, 6) and not made.room[2:].any()
    assert 130 < made.room[1, 0] < 250
    # Tomorrow is Friday; the day after is Monday, which has three days' orders before it, too many from the east alone.
    assert 250 < made.room[1, 3] < 310
    assert not made.room[1, [1, 2, 4, 5]].any(), "it has no limit of lines or units"
    near = merchant.place(("A", 1))
    assert only(near)["node"] == "hamburg" and only(near)["cost"]["capacity_price"] == 0
    east = merchant.place(("A", 1), **EAST)
    assert only(east)["node"] == "berlin" and only(east)["cost"]["capacity_price"] > 100
    for placed, chosen in ((near, "hamburg"), (east, "berlin")):
        told = explain_plan(merchant.db, f"{placed['order_id']}-p1")
        assert told["reproduced"]
        assert [c["node"] for c in told["candidates"] if c["chosen"]] == [chosen]
        berlin = next(c for c in told["candidates"] if c["node"] == "berlin")
        assert berlin["cost"]["capacity_price"] == made.room[1, 0]


def test_orders_planned_again_see_what_room_is_worth(merchant):
    """What was sent elsewhere to leave room is not brought back."""
    busy(merchant)
    look(merchant)
    near = merchant.place(("A", 1))
    assert only(near)["node"] == "hamburg"
    assert reoptimise(merchant.state, placed_within=timedelta(seconds=30)).orders_considered >= 1
    assert [f.node for f in merchant.order(near["order_id"]).live] == ["hamburg"]


def test_where_all_find_room_it_is_worth_nothing(merchant):
    busy(merchant)
    merchant.limit("berlin", orders=10_000)
    made = look(merchant)
    assert made.has_prices and not len(made.room)
    assert not len(merchant.state.stock().prices.capacity)
    assert only(merchant.place(("A", 1)))["node"] == "berlin"


def test_a_policy_may_weigh_room_as_it_likes(merchant):
    busy(merchant)
    look(merchant)
    decide_by(merchant, "opportunity: {}\nweights: {capacity_price: 0}")
    assert only(merchant.place(("A", 1)))["node"] == "berlin"


def test_when_a_day_has_ended_the_next_one_has_the_price_of_later_ones(merchant):
    busy(merchant)
    made = look(merchant)
    merchant.state.outlook = replace(made, room=np.where(np.arange(6) < 3, made.room, 2 * made.room))
    merchant.state._room_at = (0, -1.0)
    today = merchant.state.stock().prices.capacity[1]
    merchant.now += timedelta(days=1)
    merchant.state.network.set_clock(merchant.now)
    tomorrow = merchant.state.stock().prices.capacity[1]
    assert tomorrow[0] == tomorrow[3] == today[3] == 2 * made.room[1, 3] != today[0]
