"""Each limit of a step is tried to be exceeded; the example of the documentation does what it says."""

from pathlib import Path

import pytest

from onhand.base.actor import SYSTEM
from onhand.flows.playbooks.commands import set_playbook
from onhand.incidents.playbooks.lint import lint

from .scenes import SCENES, ordered, prepare

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "playbooks.md"
LANE = ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0})


def only(t, name, kind, step, limit):
    """The playbook does this one step, within a limit; (what it did, one row a part)."""
    text = f"summary: x\non: [{kind}]\nsteps:\n  - {{{step}, limit: {{{limit}}}}}\n"
    set_playbook(t.merchant.db, name, text, by=SYSTEM)


def sums(t):
    return t.merchant.rows(
        "SELECT coalesce(sum(orders), 0)::int, coalesce(sum(units), 0)::int, coalesce(sum(cost_minor), 0)::int"
        " FROM run_step WHERE outcome = 'done'"
    )[0]


@pytest.mark.parametrize(
    ("limit", "orders"),
    [("orders: 3", 3), ("orders: 0", 0), ("units: 4", 2), ("units: 1", 0), ("money_minor: 250", 2), ("units: 100", 5)],
)
def test_no_more_orders_units_or_money_than_a_step_may(merchant, limit, orders):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    merchant.stock("hamburg", A=20)
    for n in range(5):
        ordered(merchant, ("A", 2), n=n)
    only(t, "carrier-lane-slow", "lane_slow", "do: reroute", limit)
    t.incident("lane_slow", LANE)
    t.turn()
    assert sums(t)[0] == orders
    assert merchant.rows("SELECT count(*)::int FROM fulfilment WHERE node_id = 3 AND status = 'allocated'") == [
        (orders,)
    ]


@pytest.mark.parametrize(("limit", "cancelled"), [("orders: 1", 1), ("units: 4", 1), ("money_minor: 750", 2)])
def test_no_more_is_cancelled_than_may_be(merchant, limit, cancelled):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 0")
    for n in range(4):
        ordered(merchant, ("A", 3), n=n)  # 300 of margin each
    only(t, "carrier-lane-slow", "lane_slow", "do: cancel_with_reason, reason: x", limit)
    t.incident("lane_slow", LANE)
    t.turn()
    assert sums(t)[0] == cancelled
    assert merchant.rows("SELECT count(*)::int FROM orders WHERE status = 'cancelled'") == [(cancelled,)]


@pytest.mark.parametrize("step", ["do: hold, reason: x", "do: re_promise, days: 2"])
def test_no_more_orders_are_touched_than_may_be(merchant, step):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    for n in range(4):
        ordered(merchant, ("A", 1), n=n)
    only(t, "carrier-lane-slow", "lane_slow", step, "orders: 2")
    t.incident("lane_slow", LANE)
    t.turn()
    assert sums(t)[0] == 2


@pytest.mark.parametrize(
    ("scene", "kind", "step", "limit", "units", "cost"),
    [
        ("phantom-stock", "phantom_stock", "do: quarantine_stock", "units: 5", 5, 0),
        ("demand-spike", "demand_spike", "do: transfer, units: 15", "units: 4", 4, 40),
        ("demand-spike", "demand_spike", "do: transfer, units: 15", "money_minor: 100", 0, 0),
        ("inbound-late", "inbound_late", "do: expedite_inbound, cost_minor: 900", "money_minor: 800", 0, 0),
        ("inbound-late", "inbound_late", "do: expedite_inbound, cost_minor: 900", "money_minor: 900", 0, 900),
    ],
)
def test_no_more_stock_or_money_is_moved_than_may_be(merchant, scene, kind, step, limit, units, cost):
    t = prepare(merchant)
    happens = SCENES[scene](t)
    only(t, scene, kind, step, limit)
    happens()
    t.turn()
    assert sums(t)[1:] == (units, cost)


def test_the_documentation_s_example_does_what_it_says(merchant):
    text = DOCS.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    assert lint(text).findings == []
    t = prepare(merchant)
    happens = SCENES["phantom-stock"](t)
    set_playbook(merchant.db, "phantom-stock", text, by=SYSTEM)
    before = t.everything()
    incident_id = happens()
    t.turn()
    assert merchant.position("A", "berlin") == (20, 18, 2, 0)
    assert merchant.rows("SELECT count(*) FROM count_request") == [(1,)]
    # It is counted, and the cause is gone: what was set aside is sold again, and nobody is told.
    t.close(incident_id)
    t.later()
    assert t.everything() == before
    assert t.runs()[0][1:4] == ("done", 3, "the cause is gone")
    assert merchant.rows("SELECT count(*) FROM event WHERE kind = 'ticket.opened'") == [(0,)]


def test_a_wait_ends_with_its_cause_and_the_next_step_is_not_taken(merchant):
    t = prepare(merchant)
    incident_id = SCENES["duplicate-order"](t)()
    t.turn()
    assert t.runs()[0][1:3] == ("ready", 3)  # waits a day before it lets the order go
    t.close(incident_id)
    t.later()
    # The hold is put back, as its kind is when the incident is over; nothing waits any more.
    assert t.runs()[0][1] == "done"
    assert merchant.rows("SELECT count(*) FROM orders WHERE status = 'held'") == [(0,)]
    assert t.later(minutes=3000) == 0


def test_what_somebody_else_has_changed_since_is_left_alone(merchant):
    t = prepare(merchant)
    SCENES["demand-spike"](t)()
    t.turn()
    t.later(minutes=241)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET price_minor = 990 WHERE sku = 'A'")
        conn.execute('UPDATE channel SET quota = \'{"units_by_sku": {"A": 4}}\'')
    with merchant.db.connection() as conn:
        conn.execute("UPDATE incident SET status = 'closed', closed_at = now()")
    t.later()
    assert merchant.rows("SELECT price_minor FROM item WHERE sku = 'A'") == [(990,)]
    assert merchant.rows("SELECT quota FROM channel") == [({"units_by_sku": {"A": 4}},)]
    undone = [line.split(" -> undone ")[1] for line in t.trace() if "-> undone" in line]
    assert undone == ['{"left": 1, "restored": 0}', '{"left": 1, "restored": 0}']


def test_a_condition_puts_a_step_back_though_the_incident_is_open(merchant):
    t = prepare(merchant)
    incident_id = SCENES["demand-spike"](t)()
    t.turn()
    t.later(minutes=241)
    for _ in range(5):
        t.later(minutes=1441)
    assert merchant.rows("SELECT price_minor FROM item WHERE sku = 'A'") == [(1150,)]
    with merchant.db.connection() as conn:
        conn.execute(
            "UPDATE incident_finding SET numbers = numbers || '{\"missing_units\": 0}' WHERE incident_id = %s",
            (incident_id,),
        )
    t.later(minutes=6)
    assert merchant.rows("SELECT price_minor FROM item WHERE sku = 'A'") == [(1000,)]
    assert merchant.rows("SELECT quota FROM channel") == [({},)]
    assert t.runs()[0][1] == "standing"


@pytest.mark.parametrize(
    ("elsewhere", "confidence", "margin", "set_aside"),
    [
        (0, 0.6, 1_000, 0),  # hidden for a doubt, 0.4 x 1,000 would be lost; a rejection costs 0.6 x 500
        (0, 0.9, 1_000, 20),
        (0, 0.6, 500, 20),
        (20, 0.3, 1_000, 20),  # others serve what is asked for
        (2, 0.6, 1_000, 0),
        (20, 0.1, 1_000, 0),
    ],
)
def test_doubtful_stock_is_set_aside_where_that_is_cheaper(merchant, elsewhere, confidence, margin, set_aside):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    if elsewhere:
        merchant.stock("munich", A=elsewhere)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET price_minor = %s, unit_cost_minor = 200", (margin + 200,))
    only(t, "phantom-stock", "phantom_stock", "do: quarantine_stock, rejection_minor: 500", "units: 100")
    t.incident("phantom_stock", ("item_node", ("A", "berlin"), {"count_gain_minor": 0}), confidence=confidence)
    t.turn()
    assert sums(t)[1] == set_aside
