"""A domain that went back to people by itself is an incident until somebody sets its mode."""

from datetime import UTC, datetime, timedelta

import pytest

from onhand.autopilot.model import Action, Domain, Guardrails
from onhand.base.actor import SYSTEM
from onhand.flows.autopilot.judge import judge_actions
from onhand.flows.autopilot.permit import permit
from onhand.flows.autopilot.switch import set_domain
from onhand.flows.incidents.watch import Watch
from onhand.incidents import store

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RAILS = {"units_per_hour": 5_000, "hold_out_share": 0.0, "cool_down_s": 600}


class Loop:
    """A domain in `auto`, what acts in it, and who watches."""

    def __init__(self, db, domain=Domain.REBALANCE):
        self.db, self.domain, self.now, self.count = db, domain, NOW, 0
        self.watch = Watch(db, now=lambda: self.now)
        self.let()

    def let(self, mode="auto"):
        with self.db.connection() as conn:
            set_domain(
                self.db, conn, self.domain, mode, Guardrails.model_validate(RAILS), now=self.now, by=SYSTEM
            )  # fmt: skip

    def act(self, direction, minutes=21):
        self.now += timedelta(minutes=minutes)
        self.count += 1
        action = Action(
            domain=self.domain, key=("item_node", "MUG", "lyon"), reference=f"proposal:{self.count}", units=3,
            direction=direction, money_minor=500, currency="EUR",
        )  # fmt: skip
        return self.db.transact(lambda conn: permit(conn, action, now=self.now)).code

    def mode(self):
        with self.db.connection() as conn:
            return conn.execute("SELECT mode FROM autopilot_domain WHERE domain = %s", (self.domain,)).fetchone()[0]

    def incidents(self):
        self.now += timedelta(minutes=2)
        self.watch.look(only=["returned_domains"])
        with self.db.connection() as conn:
            kept = store.list_incidents(conn, main="EUR", limit=99, status="open")
            return [(i.kind, i.cause, i.loss_minor, store.findings_of(conn, i)[0].sentence) for i in kept]


def test_to_and_fro_freezes_the_domain_and_is_an_incident_until_somebody_sets_it(db):
    loop = Loop(db)
    # Twice the cool-down between: each of them is allowed by itself.
    assert [loop.act(d) for d in (1, -1, 1)] == ["within"] * 3
    assert loop.mode() == "auto" and loop.incidents() == []
    assert loop.act(-1) == "within"
    assert loop.act(1) == "oscillates"
    assert loop.mode() == "recommend"
    ((kind, cause, loss, sentence),) = loop.incidents()
    assert (kind, cause, loss) == ("autopilot_oscillating", ("domain", "rebalance"), 2_000)
    assert "item_node MUG lyon was changed to and fro 3 times" in sentence
    assert len(loop.incidents()) == 1  # once, however often it is looked at
    loop.let("recommend")
    assert loop.incidents() == []
    with db.connection() as conn:
        kinds = [k for (k,) in conn.execute("SELECT kind FROM event WHERE kind ~ '^(autopilot|incident)' ORDER BY pos")]
    assert kinds == [
        "autopilot.changed", "autopilot.returned", "incident.opened", "autopilot.changed", "incident.closed",
    ]  # fmt: skip


def test_going_on_in_one_direction_is_no_oscillation(db):
    loop = Loop(db)
    assert [loop.act(1) for _ in range(12)] == ["within"] * 12
    assert loop.mode() == "auto"


@pytest.mark.broken_invariants  # actions that nothing asked for
def test_outcomes_worse_than_promised_are_an_incident_with_what_was_missed(db):
    loop = Loop(db)
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO autopilot_target (reference, key, domain, kind, held_out, stake_minor, gain_minor, basis, at,"
            " judge_at, lost_minor, judged_at)"
            " SELECT 'run:x/1', ARRAY['item_node', n::text], 'rebalance', 'transfer', n > 60, 1000, 800, '{}',"
            " %(now)s - interval '9 days', %(now)s - interval '2 days', 990 + n %% 20, %(now)s - interval '1 day'"
            " FROM generate_series(1, 90) AS n",
            {"now": NOW},
        )
        conn.execute(
            "INSERT INTO autopilot_target (reference, key, domain, kind, held_out, stake_minor, gain_minor, basis, at,"
            " judge_at) SELECT 'run:x/1', '{order,gone}', 'rebalance', 'reroute', false, 1, 1, '{}', %(now)s, %(then)s",
            {"now": NOW - timedelta(days=2), "then": NOW},
        )
        conn.execute("UPDATE autopilot_target SET key = ARRAY['order', gen_random_uuid()::text] WHERE kind = 'reroute'")
    assert judge_actions(db, NOW) == 1
    assert loop.mode() == "recommend"
    ((kind, cause, loss, sentence),) = loop.incidents()
    assert (kind, cause) == ("autopilot_returned", ("domain", "rebalance"))
    assert loss == pytest.approx(60 * 800, rel=0.02) and "60 actions saved" in sentence
    loop.let("auto")
    assert loop.incidents() == []


def test_no_domain_acts_by_what_is_too_old(db):
    for domain in Domain:
        loop = Loop(db, domain)
        old = NOW - timedelta(days=2, seconds=1)
        action = Action(domain=domain, key=("item", "MUG"), reference=f"x:{domain}", seen_at=old)
        assert db.transact(lambda conn, action=action: permit(conn, action, now=NOW)).code == "stale"
        assert loop.mode() == "auto"
