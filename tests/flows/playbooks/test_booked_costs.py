"""What steps cost is booked once, with the kind of the incident as its cause, and taken back with the step. That what
is booked is what runs recorded is checked by an invariant at the end of every test of playbooks."""

from collections import Counter

import pytest

from onhand.base.actor import SYSTEM, Actor
from onhand.costs import store
from onhand.db.migrate import migrations
from onhand.flows.costs.follow import follow_costs
from onhand.flows.fulfil import ship
from onhand.flows.incidents.outcome import outcome_of
from onhand.flows.playbooks.commands import undo_runs
from onhand.flows.playbooks.messages import NotTaken, send_messages
from onhand.incidents.store import get_incident

from .scenes import SCENES, ordered, prepare
from .test_limits import only

BY = Actor(key_id=7)


def booked(t, by="term"):
    """{(cause, key): minor} of failures."""
    follow_costs(t.merchant.db)
    found = Counter()
    for cause, key, minor in t.merchant.rows(f"SELECT cause, {by}, minor FROM cost_entry WHERE cause IS NOT NULL"):
        found[cause, key] += minor
    return {key: minor for key, minor in found.items() if minor}


def money(t, incident_id):
    """What an incident came to."""
    with t.merchant.db.connection() as conn:
        return outcome_of(conn, get_incident(conn, incident_id))


def taken_back(t, incident_id):
    undo_runs(t.merchant.state, incident_id, by=BY)
    t.turn()
    assert [run[1] for run in t.runs()] == ["undone"]


def reported(t, by):
    """{key: failures} of the report."""
    with t.merchant.db.connection() as conn:
        rows = store.report(conn, by, since=None, until=None, limit=100)
    return {row.key: row.failures_minor for row in rows if row.failures_minor}


def test_hurried_supply_is_booked_by_line_and_taken_back_with_the_step(merchant):
    t = prepare(merchant)
    merchant.inbound("berlin", "PO-8", C=5)
    merchant.inbound("paris", "PO-7", F=10, E=1)
    only(t, "inbound-late", "inbound_late", "do: expedite_inbound, cost_minor: 900", "subjects: 9")
    both = [("inbound", (po,), {"chance": 0.8, "expected_days_late": 4.2}) for po in ("PO-7", "PO-8")]
    incident_id = t.incident("inbound_late", *both)
    t.turn()
    assert booked(t) == {("inbound_late", "expedite"): 2700}
    assert reported(t, "cause") == {"inbound_late": 2700}
    assert reported(t, "item") == {"C": 900, "E": 900, "F": 900}
    assert reported(t, "node") == {"berlin": 900, "paris": 1800}
    assert t.turn() == 0
    told = money(t, incident_id)
    assert (told["booked_minor"], [(row["step"], row["minor"]) for row in told["booked"]]) == (2700, [(1, 2700)])
    assert (told["saved_minor"], told["acted"], told["failures_minor"]) == (None, None, None)
    taken_back(t, incident_id)
    assert booked(t) == {}
    assert (money(t, incident_id)["booked_minor"], money(t, incident_id)["booked"]) == (0, [])


def test_units_that_are_moved_cost_until_they_are_called_back_in_time(merchant):
    t = prepare(merchant)
    happens = SCENES["demand-spike"](t)
    only(t, "demand-spike", "demand_spike", "do: transfer, units: 15", "units: 15")
    incident_id = happens()
    t.turn()
    assert booked(t, "node_id") == {("demand_spike", 1): 150}, "ten a unit, for the node that runs short"
    taken_back(t, incident_id)
    assert booked(t) == {}


def test_units_that_have_come_are_paid_for_although_the_step_is_put_back(merchant):
    t = prepare(merchant)
    happens = SCENES["demand-spike"](t)
    only(t, "demand-spike", "demand_spike", "do: transfer, units: 15", "units: 15")
    incident_id = happens()
    t.turn()
    ((reference,),) = merchant.rows("SELECT reference FROM inbound")
    merchant.stock("berlin", kind="transfer_in", reference=reference, A=1)
    taken_back(t, incident_id)
    assert booked(t) == {("demand_spike", "transfer"): 150}


def test_another_item_at_the_price_of_the_first_costs_its_difference_and_no_margin(merchant):
    t = prepare(merchant)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 430 WHERE sku = 'D'")
    happens = SCENES["oversell"](t)
    only(t, "oversell", "oversell", "do: substitute", "orders: 9")
    incident_id = happens()
    t.turn()
    assert booked(t) == {("oversell", "substitution"): 60}
    taken_back(t, incident_id)
    assert booked(t) == {}


def test_another_item_that_is_on_its_way_stays_paid_for(merchant):
    t = prepare(merchant)
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 430 WHERE sku = 'D'")
    happens = SCENES["oversell"](t)
    only(t, "oversell", "oversell", "do: substitute", "orders: 9")
    incident_id = happens()
    t.turn()
    ((fulfilment,),) = merchant.rows(
        "SELECT order_id || '-f' || fulfilment_no FROM fulfilment WHERE status = 'allocated'"
    )
    ship(merchant.state, fulfilment, by=SYSTEM)
    taken_back(t, incident_id)
    assert booked(t) == {("oversell", "substitution"): 60}


def test_margin_of_what_a_playbook_cancels_is_lost_because_of_its_incident(merchant):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    ordered(merchant, ("A", 3), n=0)
    only(t, "carrier-lane-slow", "lane_slow", "do: cancel_with_reason, reason: x", "orders: 1")
    incident_id = t.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0}))
    t.turn()
    # It is sold for 100 and costs 400: what is not sold is saved.
    assert booked(t) == {("lane_slow", "margin"): -900}
    taken_back(t, incident_id)
    assert booked(t) == {}


def test_what_a_reroute_costs_more_is_booked_once_for_its_incident(merchant):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    merchant.stock("paris", A=20)
    order_id = ordered(merchant, ("A", 2), n=0)
    only(t, "carrier-lane-slow", "lane_slow", "do: reroute", "orders: 1")
    t.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0}))
    t.turn()
    ship(merchant.state, f"{order_id}-f2", by=SYSTEM)
    follow_costs(merchant.db)
    assert booked(t)["lane_slow", "shipping"] == 400, "900 from Paris, 500 from Berlin"
    assert {cause for cause, _ in booked(t)} == {"lane_slow"}


def test_messages_cost_when_they_are_sent_and_not_before(merchant):
    t = prepare(merchant)
    merchant.stock("berlin", A=20)
    for n in range(3):
        ordered(merchant, ("A", 1), n=n)
    step = "do: notify_customer, subject: Late, text: It will be late, cost_minor: 7"
    only(t, "carrier-lane-slow", "lane_slow", step, "money_minor: 14")
    incident_id = t.incident("lane_slow", ("lane", ("berlin", "dhl", "DE"), {"delay_days": 2.0}))
    t.turn()
    assert merchant.rows("SELECT count(*)::int, sum(cost_minor)::int FROM run_step") == [(1, 14)]
    assert booked(t) == {}
    answers = [None, NotTaken("no such mailbox", is_final=True)]

    def mailer(mail, /):
        if (answer := answers.pop(0)) is not None:
            raise answer

    send_messages(merchant.db, mailer, now=lambda: merchant.now)
    assert booked(t) == {("lane_slow", "notification"): 7}
    send_messages(merchant.db, mailer, now=lambda: merchant.now)
    assert booked(t) == {("lane_slow", "notification"): 7}
    told = money(t, incident_id)
    assert ([(row["step"], row["minor"]) for row in told["booked"]], told["orders"]) == ([(1, 7)], 2)


@pytest.mark.broken_invariants
def test_the_invariant_sees_a_cent_that_is_booked_otherwise_than_recorded(merchant):
    t = prepare(merchant)
    happens = SCENES["inbound-late"](t)
    only(t, "inbound-late", "inbound_late", "do: expedite_inbound, cost_minor: 900", "subjects: 9")
    happens()
    t.turn()
    broken = "SELECT count(*)::int FROM invariant_costs_of_steps_are_those_recorded"
    assert merchant.rows(broken) == [(0,)]
    with merchant.db.connection() as conn:
        conn.execute("UPDATE cost_entry SET minor = minor - 1 WHERE term = 'expedite'")
    assert merchant.rows(broken) == [(1,)]
    with merchant.db.connection() as conn:
        conn.execute("UPDATE run_step SET cost_minor = 0")
        conn.execute("DELETE FROM cost_entry WHERE term = 'expedite'")
    assert merchant.rows(broken) == [(0,)]


def test_the_migration_books_what_was_recorded_before_it(merchant):
    t = prepare(merchant)
    happens = [SCENES[name](t) for name in ("inbound-late", "demand-spike")]
    only(t, "inbound-late", "inbound_late", "do: expedite_inbound, cost_minor: 900", "subjects: 9")
    only(t, "demand-spike", "demand_spike", "do: transfer, units: 15", "units: 15")
    ids = [happen() for happen in happens]
    t.turn()
    undo_runs(merchant.state, ids[1], by=BY)
    t.turn()
    before = booked(t)
    assert before == {("inbound_late", "expedite"): 900}, "and what was called back costs nothing"
    text = next(m.sql for m in migrations() if m.number == 36).decode()
    with merchant.db.connection() as conn:
        conn.execute("DELETE FROM cost_entry")
        for statement in text.split(";\n"):
            if (at := statement.find("INSERT INTO cost_entry")) >= 0:
                conn.execute(statement[at:].encode())
    assert booked(t) == before
