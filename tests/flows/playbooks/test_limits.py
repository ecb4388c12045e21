"""Each limit of a step is tried to be exceeded; the example of the documentation does what it says."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from onhand.autopilot.model import Domain, Guardrails
from onhand.base.actor import SYSTEM
from onhand.flows.autopilot.permit import permit
from onhand.flows.autopilot.switch import set_domain
from onhand.flows.playbooks.commands import set_playbook
from onhand.incidents.playbooks.lint import lint
from onhand.incidents.playbooks.model import KINDS, LIMITS, LimitIn

from .scenes import SCENES, ordered, prepare
from .world import Trouble

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "playbooks.md"
LANE = ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0})


def only(t, name, kind, step, limit):
    """The playbook does this one step, within a limit; (what it did, one row a part)."""
    text = f"summary: x\non: [{kind}]\nsteps:\n  - {{{step}, limit: {{{limit}}}}}\n"
    set_playbook(t.merchant.db, name, text, by=SYSTEM)


def late_orders(t):
    t.merchant.stock("berlin", A=20)
    t.merchant.stock("hamburg", A=20)
    for n in range(3):
        ordered(t.merchant, ("A", 2), n=n)
    return "carrier-lane-slow", "lane_slow", [LANE]


def waiting_orders(t):
    t.merchant.stock("berlin", D=20)
    for n in range(3):
        ordered(t.merchant, ("A", 2), n=n)
    with t.merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 50 WHERE sku = 'D'")
    return "oversell", "oversell", [("item", ("A",), {"units": 5})]


def doubted_stock(t):
    t.merchant.stock("berlin", A=20, B=20)
    return "phantom-stock", "phantom_stock", [("item_node", (sku, "berlin"), {}) for sku in "AB"]


def scarce_stock(t):
    t.merchant.stock("berlin", A=2, B=2)
    t.merchant.stock("hamburg", A=40)
    return "demand-spike", "demand_spike", [("item_node", (sku, "berlin"), {"units": 40}) for sku in "AB"]


def listed_items(t):
    return "oversell", "oversell", [("item", (sku,), {"units": 5}) for sku in "AB"]


def silent_channels(t):
    with t.merchant.db.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (2, 'mall', 'mall', 'EUR')")
    t.merchant.state.reload_network()
    return "channel-silent", "channel_silent", [("channel", (code,), {}) for code in ("web", "mall")]


def late_supply(t):
    for n in (7, 8):
        t.merchant.inbound("berlin", f"PO-{n}", F=10)
    return "inbound-late", "inbound_late", [("inbound", (f"PO-{n}", "1", "F"), {}) for n in (7, 8)]


@dataclass
class Try:
    """A step where there is more to do than `most` of its limits (limit, amount, what is done within it).

    counted  SQL: how many subjects are touched at the moment
    """

    scene: object
    step: str
    most: dict[str, tuple[int, int]]
    counted: str = ""
    before: str = ""


TRIES = {
    "reroute": Try(late_orders, "do: reroute", {"orders": (2, 2), "units": (3, 2), "money_minor": (200, 196)}),
    "re_promise": Try(late_orders, "do: re_promise, days: 2", {"orders": (2, 2)}),
    "notify_customer": Try(
        late_orders, "do: notify_customer, subject: x, text: x, cost_minor: 10",
        {"orders": (2, 2), "money_minor": (25, 20)},
    ),
    "hold": Try(late_orders, "do: hold, reason: x", {"orders": (2, 2)}),
    "release": Try(
        late_orders, "do: release", {"orders": (2, 2)}, before="  - {do: hold, reason: x, domain: gates}\n"
    ),
    "substitute": Try(waiting_orders, "do: substitute", {"orders": (2, 2), "units": (3, 2), "money_minor": (150, 100)}),
    "cancel_with_reason": Try(
        late_orders, "do: cancel_with_reason, reason: x", {"orders": (2, 2), "units": (3, 2), "money_minor": (300, 200)}
    ),
    "throttle_price": Try(
        scarce_stock, "do: throttle_price, days: 7, rate_per_day: incident.numbers.units, again: 1h, times: 3",
        {"subjects": (1, 1)}, "SELECT count(*) FROM item WHERE price_minor > 1000",
    ),
    "shrink_listing": Try(
        listed_items, "do: shrink_listing, units: 3", {"subjects": (1, 1)},
        "SELECT count(*) FROM channel, jsonb_object_keys(quota -> 'units_by_sku')",
    ),
    "close_listing": Try(
        listed_items, "do: close_listing", {"subjects": (1, 1)}, "SELECT count(*) FROM listing WHERE status = 'paused'"
    ),
    "request_count": Try(
        doubted_stock, "do: request_count", {"subjects": (1, 1)}, "SELECT count(*) FROM count_request"
    ),
    "quarantine_stock": Try(
        doubted_stock, "do: quarantine_stock", {"units": (25, 25), "subjects": (1, 1)},
        "SELECT count(*) FROM stock_position WHERE unavailable > 0",
    ),
    "transfer": Try(scarce_stock, "do: transfer, units: 15", {"units": (4, 4), "money_minor": (100, 0)}),
    "expedite_inbound": Try(
        late_supply, "do: expedite_inbound, cost_minor: 900", {"money_minor": (900, 0), "subjects": (1, 1)},
        "SELECT coalesce(sum((result ->> 'asked')::int), 0) FROM run_step WHERE undone_at IS NULL",
    ),
    "raise_gate": Try(
        silent_channels, "do: raise_gate, units: 3", {"subjects": (1, 1)},
        "SELECT count(*) FROM channel WHERE (gate ->> 'floor')::int > 0",
    ),
    "open_ticket": Try(
        listed_items, "do: open_ticket, title: x", {"subjects": (1, 1)},
        "SELECT count(*) FROM event WHERE kind = 'ticket.opened'",
    ),
}  # fmt: skip
COLUMNS = {"orders": "orders", "units": "units", "money_minor": "cost_minor"}


def offered(t, tried):
    """Opens an incident with more to do than the limits of the step; gives a function that does it again by a playbook
    of this step alone, and ends the incident of before."""
    with t.merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 0")
        conn.execute("INSERT INTO listing (channel_id, item_id, external_id) VALUES (1, 4, 'd-1')")
    name, kind, findings = tried.scene(t)
    opened = []

    def again(more=""):
        while opened:
            t.close(opened.pop())
            t.later()
        text = f"summary: x\non: [{kind}]\nsteps:\n{tried.before}  - {{{tried.step}{more}}}\n"
        set_playbook(t.merchant.db, name, text, by=SYSTEM)
        opened.append(t.incident(kind, *findings))
        for _ in range(3):  # a step that comes back after an hour does
            t.later(minutes=61)

    return again


def amount(t, do, limit):
    """What the step has done of what the limit is of."""
    if limit == "subjects":
        return t.merchant.rows(TRIES[do].counted)[0][0]
    said = f"SELECT coalesce(sum({COLUMNS[limit]}), 0)::int FROM run_step WHERE kind = %s AND outcome = 'done'"
    return t.merchant.rows(said, do)[0][0]


def test_every_step_says_which_limits_hold_for_it_and_each_is_tried():
    assert LIMITS.keys() == KINDS.keys() == TRIES.keys()
    assert {do: set(limits) for do, limits in LIMITS.items()} == {do: set(tried.most) for do, tried in TRIES.items()}
    assert {limit for limits in LIMITS.values() for limit in limits} == set(LimitIn.model_fields)


@pytest.mark.parametrize(("do", "limit"), [(do, limit) for do, limits in LIMITS.items() for limit in limits])
def test_no_step_does_more_than_any_of_its_limits(merchant, do, limit):
    t = prepare(merchant)
    again = offered(t, TRIES[do])
    before = t.everything()
    most, within = TRIES[do].most[limit]
    again(f", limit: {{{limit}: 0}}")
    assert amount(t, do, limit) == 0
    if do != "release":
        assert t.everything() == before
    again(f", limit: {{{limit}: {most}}}")
    assert amount(t, do, limit) == within
    if limit == "subjects" and do != "open_ticket":
        said = t.merchant.rows(
            "SELECT result ->> 'beyond_limit' FROM run_step WHERE outcome = 'done' AND kind = %s", do
        )
        assert said and {beyond for (beyond,) in said} == {"1"}
    # Without the limit there is more to do: it was what held.
    again()
    assert amount(t, do, limit) > most


@pytest.mark.parametrize(
    ("do", "limit"), [(do, limit) for do in KINDS for limit in LimitIn.model_fields if limit not in LIMITS[do]]
)
def test_a_limit_that_would_not_hold_is_refused(do, limit):
    tried = TRIES[do]
    text = f"summary: x\non: [demand_spike]\nsteps:\n{tried.before}  - {{{tried.step}, limit: {{{limit}: 5}}}}\n"
    (finding,) = lint(text).errors
    assert finding.path == f"steps[{text.count('do:') - 1}].limit.{limit}"
    assert finding.message == f"a step {do} knows no limit of {limit}: it would not hold"
    assert all(known in finding.remedy for known in LIMITS[do])


@pytest.mark.parametrize("do", KINDS)
def test_every_step_has_a_size_that_guardrails_hold_against(merchant, do):
    prepare(merchant)
    t = Trouble(merchant, permit=permit)
    again = offered(t, TRIES[do])
    domain = Domain(KINDS[do][0])
    less = 0 if do == "open_ticket" else 1
    size = "orders" if "orders" in LIMITS[do] else "units"

    def let(domain, **rails):
        given = {"orders_per_hour": 5_000, "hold_out_share": 0.0, "cool_down_s": 0, "own_s": 0} | rails
        with merchant.db.connection() as conn:
            set_domain(merchant.db, conn, domain, "auto", Guardrails.model_validate(given), now=merchant.now, by=SYSTEM)

    def done():
        return merchant.rows("SELECT count(*)::int FROM run_step WHERE kind = %s AND outcome = 'done'", do)[0][0]

    if do == "release":  # what is held before it
        let(Domain.GATES)
    for rail in (f"{size}_per_action", f"{size}_per_hour"):
        let(domain, **{rail: less})
        again()
        ((status, why),) = merchant.rows("SELECT status, why FROM run ORDER BY run_id DESC LIMIT 1")
        assert (status, done()) == ("needs_approval", 0)
        assert why.startswith(f"{rail}: ")
    let(domain)
    again()
    assert done() > 0


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
