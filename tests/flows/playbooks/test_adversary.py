"""What others do in between, and what comes twice: each of these went wrong once."""

import math
from datetime import timedelta

import pytest
from tests.flows.test_demand_elasticity import sales

from onhand.autopilot.model import Action, Domain, Guardrails
from onhand.base.actor import SYSTEM, Actor
from onhand.flows.autopilot.permit import permit
from onhand.flows.autopilot.switch import set_domain, stop_or_resume
from onhand.flows.demand.sales import import_sales
from onhand.flows.playbooks.commands import set_playbook, undo_runs

from .scenes import SCENES, ordered, prepare
from .world import Trouble

BY = Actor(key_id=7, reason="it was wrong")
LANE = ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0})


def only(t, name, kind, *steps):
    text = f"summary: x\non: [{kind}]\nsteps:\n" + "".join(f"  - {{{step}}}\n" for step in steps)
    set_playbook(t.merchant.db, name, text, by=SYSTEM)


def let(t, *domains, **rails):
    given = {"orders_per_hour": 5_000, "units_per_hour": 5_000, "confidence_min": 0.3, "hold_out_share": 0.0} | rails
    with t.merchant.db.connection() as conn:
        for domain in domains:
            set_domain(
                t.merchant.db, conn, domain, "auto", Guardrails.model_validate(given), now=t.merchant.now, by=SYSTEM
            )


@pytest.mark.parametrize(
    ("counted", "restored", "unavailable"),
    [
        (20, 12, 8),  # all are there: ours are sold again, what others found damaged is not
        (12, 4, 8),  # so many are missing, of ours
        (8, 0, 8),
        (5, 0, 5),
    ],
)
def test_damaged_units_are_not_sold_when_doubted_ones_are_made_free_again(merchant, counted, restored, unavailable):
    """Five were damaged before, three more are found so while twelve others are set aside; then somebody counts."""
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    merchant.stock("berlin", kind="damage", A=5)
    only(t, "phantom-stock", "phantom_stock", "do: quarantine_stock, limit: {units: 12}")
    incident = t.incident("phantom_stock", ("item_node", ("A", "berlin"), {"count_gain_minor": 0}))
    t.turn()
    assert merchant.position("A", "berlin") == (20, 17, 0, 0)
    merchant.stock("berlin", kind="damage", A=3)
    merchant.stock("berlin", kind="count", A=counted)
    t.close(incident)
    t.later()
    assert merchant.position("A", "berlin") == (counted, unavailable, 0, 0)
    assert f'"free_again": {restored}' in t.trace()[0]


def test_an_incident_that_comes_back_does_not_promise_later_and_later(merchant):
    t = prepare(merchant)
    merchant.stock("berlin", A=5)
    order = ordered(merchant, ("A", 1), n=0)
    only(
        t, "carrier-lane-slow", "lane_slow", "do: re_promise, days: incident.numbers.delay_days",
        'do: notify_customer, about: promises, subject: "late", text: "by {promise.day}"',
    )  # fmt: skip
    incident = t.incident("lane_slow", LANE)
    t.turn()

    def promised():
        return merchant.rows("SELECT deliver_by FROM orders WHERE order_id = %s", order)[0][0]

    first = promised()
    for delay, more in ((2.0, 0), (1.0, 0), (5.0, 3)):
        t.close(incident)
        t.later()
        with merchant.db.connection() as conn:
            conn.execute("UPDATE incident SET status = 'open', closed_at = NULL")
            conn.execute("UPDATE incident_finding SET numbers = jsonb_build_object('delay_days', %s::float8)", (delay,))
        t.later()
        assert promised() == first + timedelta(days=more)
    assert merchant.rows("SELECT count(*) FROM customer_message") == [(2,)]
    undo_runs(merchant.state, incident, by=BY)
    t.later()
    assert promised() == first - timedelta(days=2)


def test_what_was_promised_for_a_day_long_gone_is_promised_anew_and_judged_later(merchant):
    prepare(merchant)
    t = Trouble(merchant, permit=permit)
    merchant.stock("berlin", A=5)
    ordered(merchant, ("A", 1), n=0)
    let(t, *Domain)
    merchant.now += timedelta(days=30)
    only(t, "carrier-lane-slow", "lane_slow", "do: reroute", "do: re_promise, days: 2")
    t.incident("lane_slow", LANE)
    t.turn()
    assert [row.split(" {")[0] for row in t.trace()][1] == "carrier-lane-slow 2.1 re_promise: done", t.trace()
    rows = merchant.rows("SELECT kind, judge_at FROM autopilot_target")
    assert rows == [("re_promise", merchant.now + timedelta(days=1))]


def test_a_price_is_looked_at_again_after_its_time_and_not_at_once(merchant):
    t = prepare(merchant)
    merchant.stock("berlin", A=500)  # lasts for now
    only(
        t, "demand-spike", "demand_spike",
        "do: throttle_price, rate_per_day: 40, days: 7, again: 1d, times: 3",
    )  # fmt: skip
    t.incident("demand_spike", ("item_node", ("A", "berlin"), {"missing_units": 15}))
    t.turn()
    assert t.runs()[0][1:3] == ("ready", 1) and t.trace() == []
    merchant.stock("berlin", kind="count", A=20)
    t.later(minutes=1441)
    assert merchant.rows("SELECT price_minor FROM item WHERE sku = 'A'") != [(1000,)]
    t.later(minutes=1441)
    assert t.runs()[0][1:3] == ("standing", 2)
    assert [row.split(":")[0] for row in t.trace()] == [f"demand-spike 1.{n} throttle_price" for n in (2, 3)]


def test_each_item_of_a_late_supplier_is_throttled_by_its_own_numbers(merchant):
    """B lasts until it is there, A does not: the dearest finding speaks for itself only."""
    t = prepare(merchant)
    merchant.stock("berlin", A=10, B=10)
    only(
        t, "inbound-late", "inbound_late",
        "do: throttle_price, rate_per_day: incident.numbers.units_per_day, days: incident.numbers.expected_in_days",
    )  # fmt: skip
    late = {"chance": 0.8, "expected_days_late": 4.0, "expected_in_days": 6.0}
    t.incident(
        "inbound_late",
        ("inbound", ("PO-7", "1", "A"), late | {"units_per_day": 4.0}),
        ("inbound", ("PO-7", "2", "B"), late | {"units_per_day": 0.5}),
    )
    before = dict(merchant.rows("SELECT sku, price_minor FROM item WHERE sku IN ('A', 'B')"))
    t.turn()
    after = dict(merchant.rows("SELECT sku, price_minor FROM item WHERE sku IN ('A', 'B')"))
    assert after["A"] > before["A"]
    assert after["B"] == before["B"]


def test_units_are_moved_to_each_node_once_whatever_becomes_of_the_others(merchant):
    """Between two parts another finding is the dearest, and one is gone."""
    t = prepare(merchant)
    with merchant.db.connection() as conn:
        conn.execute(
            "INSERT INTO lane (from_node_id, to_node_id, days, unit_cost_minor)"
            " SELECT f.node_id, t.node_id, 2, 10 FROM node f, node t WHERE f.code = 'hamburg' AND t.code <> 'hamburg'"
            " AND t.code <> 'berlin'"
        )
    merchant.stock("hamburg", A=400)
    only(t, "demand-spike", "demand_spike", "do: transfer, units: 5")
    to = [("item_node", ("A", node), {"missing_units": 5}) for node in ("berlin", "munich", "paris")]
    t.incident("demand_spike", *to, cause=("item", ("A",)))

    def fault(when, step_no, what):
        if when == "after":
            with merchant.db.connection() as conn:
                conn.execute("UPDATE incident_finding SET confidence = 1 WHERE subject_key[2] = 'paris'")
                conn.execute("DELETE FROM incident_finding WHERE subject_key[2] = 'berlin'")
                conn.execute("UPDATE incident SET loss_minor = 20000")

    t.turn(fault=fault)
    assert t.runs()[0][1] == "standing", t.runs()
    moved = merchant.rows("SELECT code FROM inbound JOIN node USING (node_id) ORDER BY code")
    assert moved == [("berlin",), ("munich",), ("paris",)]


def test_steps_of_one_run_do_not_stop_each_other_and_others_are_kept_off(merchant):
    """A transfer is of another domain than the safety stock of the same position, or the price; a run has several."""
    prepare(merchant)
    t = Trouble(merchant, permit=permit)
    let(t, *Domain)
    merchant.stock("berlin", A=20)
    merchant.stock("munich", A=5)
    only(
        t, "phantom-stock", "phantom_stock", "do: request_count, domain: replenish", "do: quarantine_stock",
    )  # fmt: skip
    t.incident(
        "phantom_stock", ("item_node", ("A", "berlin"), {}), ("item_node", ("A", "munich"), {}),
        cause=("item", ("A",)),
    )  # fmt: skip
    t.turn()
    assert [row.split(" (")[0].split(" {")[0] for row in t.trace()] == [
        "phantom-stock 1.1 request_count: done", "phantom-stock 2.1 quarantine_stock: done",
    ]  # fmt: skip
    assert [merchant.position("A", node)[1] for node in ("berlin", "munich")] == [20, 5]
    # Each of the positions is owned, not only the first.
    for node in ("berlin", "munich"):
        action = Action(domain=Domain.PRICE, key=("item_node", "A", node), reference=f"proposal:{node}")
        verdict = merchant.db.transact(lambda conn, action=action: permit(conn, action, now=merchant.now))
        assert verdict.code == "owned", node


def test_what_another_domain_has_acted_on_is_left_out_and_the_rest_is_done(merchant):
    prepare(merchant)
    t = Trouble(merchant, permit=permit)
    let(t, *Domain)
    merchant.stock("berlin", A=20)
    merchant.stock("munich", A=5)
    action = Action(domain=Domain.REPLENISH, key=("item_node", "A", "munich"), reference="proposal:1")
    assert merchant.db.transact(lambda conn: permit(conn, action, now=merchant.now)).do == "act"
    only(t, "phantom-stock", "phantom_stock", "do: quarantine_stock")
    t.incident(
        "phantom_stock", ("item_node", ("A", "berlin"), {}), ("item_node", ("A", "munich"), {}),
        cause=("item", ("A",)),
    )  # fmt: skip
    t.turn()
    assert merchant.position("A", "berlin")[1] == 20 and merchant.position("A", "munich")[1] == 0


def test_what_was_stopped_goes_on_where_it_stood_when_that_is_over(merchant):
    """Also what rested on old evidence when there is new one: a refusal that passes by itself is waited for."""
    prepare(merchant)
    t = Trouble(merchant, permit=permit)
    let(t, *Domain)
    incident = SCENES["phantom-stock"](t)()
    with merchant.db.connection() as conn:
        stop_or_resume(merchant.db, conn, stopped=True, now=merchant.now, by=SYSTEM)
    t.turn()
    t.later(minutes=30)
    assert t.trace() == [] and t.runs()[0][1:3] == ("ready", 1) and "stopped" in t.runs()[0][3]
    with merchant.db.connection() as conn:
        stop_or_resume(merchant.db, conn, stopped=False, now=merchant.now, by=SYSTEM)
    merchant.now += timedelta(days=3)
    t.turn()
    assert t.trace() == [] and "too old" in t.runs()[0][3]
    with merchant.db.connection() as conn:
        conn.execute("UPDATE incident SET seen_at = %s WHERE incident_id = %s", (merchant.now, incident))
    t.later(minutes=6)
    assert t.runs()[0][1:4] == ("standing", 4, None)
    assert {row.split(": ")[1].split(" ")[0] for row in t.trace()} == {"done"}


def test_every_scene_is_left_alone_when_what_it_rests_on_is_old(merchant):
    """Whatever the step and its domain: evidence beyond its age is no ground to act without a person."""
    prepare(merchant)
    t = Trouble(merchant, permit=permit)
    let(t, *Domain, data_age_max_s=3_600)
    incidents = [SCENES[name](t)() for name in ("phantom-stock", "channel-silent", "demand-spike", "price-outlier")]
    merchant.now += timedelta(hours=2)
    t.turn()
    assert len(incidents) == len(t.runs())
    assert merchant.rows("SELECT count(*) FROM run_step WHERE outcome IN ('done', 'held_out')") == [(0,)]
    codes = {code for (code,) in merchant.rows("SELECT code FROM autopilot_verdict")}
    assert codes == {"stale"}


def test_a_price_is_raised_by_what_the_items_own_prices_told(merchant):
    """Stock lasts at the same price more or less above this one, as customers mind it less or more."""
    t = prepare(merchant)
    today = merchant.now.date()
    rows = [row for sku, e, n in (("A", 1.3, 1), ("B", 5.0, 2)) for row in sales(sku, e, seed=n, until=today)]
    import_sales(merchant.db, rows, by=BY)
    merchant.stock("berlin", A=24, B=24, C=24, D=24)
    only(
        t, "demand-spike", "demand_spike",
        "do: throttle_price, rate_per_day: 5, days: 7, step_max: 0.5, total_max: 1",
    )  # fmt: skip
    t.incident("demand_spike", *(("item_node", (sku, "berlin"), {"missing_units": 11}) for sku in "ABC"))
    t.turn()
    after = dict(merchant.rows("SELECT sku, price_minor FROM item WHERE sku IN ('A', 'B', 'C', 'D')"))
    told = merchant.rows("SELECT result -> 'elasticity' FROM run_step WHERE kind = 'throttle_price'")[0][0]
    assert {sku: e["rests_on"] for sku, e in told.items()} == {"A": "own", "B": "own", "C": "usual"}
    assert told["A"]["changes"] == 19 and told["C"] == {"value": 2.62, "error": 1.3, "rests_on": "usual", "changes": 0}
    # Half of the way: 1000 x ln(35 / 24) / elasticity / 2.
    for sku in "ABC":
        assert after[sku] == pytest.approx(1000 + 1000 * math.log(35 / 24) / told[sku]["value"] / 2, abs=1.5)
    assert after["A"] > after["C"] > after["B"] > after["D"] == 1000


def test_an_elasticity_that_the_playbook_states_holds(merchant):
    t = prepare(merchant)
    import_sales(merchant.db, sales("A", 5.0, seed=1, until=merchant.now.date()), by=BY)
    merchant.stock("berlin", A=24)
    only(
        t, "demand-spike", "demand_spike",
        "do: throttle_price, rate_per_day: 5, days: 7, elasticity: 2, step_max: 0.5",
    )  # fmt: skip
    t.incident("demand_spike", ("item_node", ("A", "berlin"), {"missing_units": 11}))
    t.turn()
    assert merchant.rows("SELECT price_minor FROM item WHERE sku = 'A'") == [(1094,)]
    told = merchant.rows("SELECT result -> 'elasticity' FROM run_step WHERE kind = 'throttle_price'")
    assert told == [({"A": {"value": 2, "rests_on": "playbook"}},)]
