"""From the evidence to what is done about it: detectors, incidents, playbooks and guardrails together, on real
PostgreSQL.

Each part has tests of its own; here nothing stands for another part.
"""

from datetime import timedelta

import pytest

from onhand.autopilot.model import Domain, Guardrails
from onhand.base.actor import SYSTEM, Actor
from onhand.flows.autopilot.switch import set_domain, stop_or_resume
from onhand.flows.incidents.watch import Watch
from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.commands import undo_runs
from onhand.flows.playbooks.run import Runner
from onhand.flows.state import State

from .incident_world import fill, noon

# Histories that no flow has written: orders without plans, entries without orders.
pytestmark = pytest.mark.broken_invariants


class Shop:
    """A shop in which something is wrong, seen by detectors at `now`."""

    def __init__(self, db, now):
        self.db, self.now = db, now
        fill(db, now)
        with db.connection() as conn:
            request = '{"destination": {"country": "DE", "postal_code": "10115"}, "method": "ship"}'
            conn.execute("UPDATE orders SET request = %s", (request,))
        self.state = State(db, now=lambda: self.now)
        self.state.load()
        Watch(db, now=lambda: now).look(is_due=True)

    def let(self, domain, **rails):
        given = {"units_per_hour": 5_000, "orders_per_hour": 5_000, "confidence_min": 0.3} | rails
        with self.db.connection() as conn:
            set_domain(self.db, conn, domain, "auto", Guardrails.model_validate(given), now=self.now, by=SYSTEM)

    def turn(self):
        begin_runs(self.db, now=self.now)
        return Runner(self.state).work()

    def rows(self, sql, *values):
        with self.db.connection() as conn:
            return conn.execute(sql, values).fetchall()

    def steps(self, playbook):
        return self.rows(
            "SELECT s.kind, s.outcome FROM run_step s JOIN run r USING (run_id) WHERE r.name = %s"
            " AND s.undone_at IS NULL ORDER BY r.run_id, s.step_no, s.part_no", playbook,
        )  # fmt: skip

    def phantom(self):
        """(unavailable, on hand) of what is recorded and not there."""
        return self.rows(
            "SELECT unavailable, on_hand FROM stock_position JOIN item USING (item_id) JOIN node USING (node_id)"
            " WHERE (sku, code) = ('A', 'berlin')"
        )[0]


@pytest.fixture
def shop(db):
    return Shop(db, noon())


def test_phantom_stock_is_set_aside_and_counted_without_a_person_and_put_back(shop):
    for domain in Domain:
        shop.let(domain)
    unavailable, on_hand = shop.phantom()
    assert unavailable == 0 < on_hand
    shop.turn()
    assert ("request_count", "done") in shop.steps("phantom-stock"), shop.steps("phantom-stock")
    assert ("quarantine_stock", "done") in shop.steps("phantom-stock"), shop.steps("phantom-stock")
    assert shop.phantom() == (on_hand, on_hand)
    ((incident_id, run_id),) = shop.rows(
        "SELECT i.incident_id::text, r.run_id::text FROM incident i JOIN run r ON r.subject = i.incident_id"
        " WHERE i.kind = 'phantom_stock' AND i.cause_key[1] = 'A'"
    )
    # What was done is written down beside its guardrails, once.
    references = [r for (r,) in shop.rows("SELECT reference FROM autopilot_action WHERE NOT held_out")]
    assert f"run:{run_id}/2/1" in references and len(references) == len(set(references))
    undo_runs(shop.state, incident_id, by=Actor(key_id=7, reason="it was counted yesterday"))
    shop.turn()
    assert shop.phantom() == (0, on_hand)


def test_left_to_people_nothing_is_done_before_one_says_yes(shop):
    shop.turn()
    assert shop.rows("SELECT count(*) FROM run WHERE status = 'needs_approval'")[0][0] > 0
    assert shop.phantom()[0] == 0
    assert shop.rows("SELECT count(*) FROM autopilot_action")[0][0] == 0
    codes = {code for (code,) in shop.rows("SELECT code FROM autopilot_verdict")}
    assert codes == {"recommends"}


def test_stopped_no_step_is_taken(shop):
    for domain in Domain:
        shop.let(domain)
    with shop.db.connection() as conn:
        stop_or_resume(shop.db, conn, stopped=True, now=shop.now, by=SYSTEM)
    shop.turn()
    assert shop.phantom()[0] == 0
    assert shop.rows("SELECT count(*) FROM autopilot_action")[0][0] == 0


def test_a_second_look_begins_nothing_twice(shop):
    for domain in Domain:
        shop.let(domain)
    shop.turn()
    runs = shop.rows("SELECT count(*) FROM run")[0][0]
    actions = shop.rows("SELECT count(*) FROM autopilot_action")[0][0]
    shop.now += timedelta(minutes=1)
    Watch(shop.db, now=lambda: shop.now).look(is_due=True)
    shop.turn()
    assert shop.rows("SELECT count(*) FROM run")[0][0] == runs
    assert shop.rows("SELECT count(*) FROM autopilot_action")[0][0] >= actions
    twice = "SELECT name, subject FROM run GROUP BY 1, 2 HAVING count(*) > 1"
    assert shop.rows(twice) == []
