"""Guardrails under many hands: budgets, owners, the kill switch; on a real database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from onhand.autopilot import store
from onhand.autopilot.model import Action, Domain, Guardrails
from onhand.base.actor import SYSTEM, Actor
from onhand.errors import InvalidInput
from onhand.flows.autopilot.permit import permit
from onhand.flows.autopilot.switch import set_domain, stop_or_resume

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def order(n, **more):
    given = {"domain": Domain.REROUTE, "key": ("order", str(n)), "reference": f"run:{n}/reroute", "orders": 1}
    return Action(**(given | more))


def let(db, domain=Domain.REROUTE, **rails):
    given = {"orders_per_hour": 100, "hold_out_share": 0.0} | rails
    with db.connection() as conn:
        set_domain(db, conn, domain, "auto", Guardrails.model_validate(given), now=NOW, by=SYSTEM)


def ask(db, action, now=NOW):
    return db.transact(lambda conn: permit(conn, action, now=now))


def test_without_a_word_everything_is_left_to_people(db):
    verdict = ask(db, order(1))
    assert (verdict.do, verdict.code) == ("recommend", "recommends")
    with db.connection() as conn:
        assert store.list_actions(conn, limit=9) == []
        (noted,) = store.list_verdicts(conn, limit=9, before=(NOW + timedelta(days=1), ""))
    assert (noted.reference, noted.code) == ("run:1/reroute", "recommends")


def test_many_who_ask_at_once_keep_to_the_budget(db):
    let(db, orders_per_hour=25)
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda n: ask(db, order(n)), range(60)))
    assert [v.do for v in verdicts].count("act") == 25
    assert {v.code for v in verdicts if v.do != "act"} == {"budget"}
    with db.connection() as conn:
        assert store.used_since(conn, Domain.REROUTE, NOW - timedelta(hours=1)).orders == 25
    assert ask(db, order(99), NOW + timedelta(minutes=59)).code == "budget"
    assert ask(db, order(99), NOW + timedelta(hours=1, seconds=1)).do == "act"


def test_what_was_rolled_back_counts_for_nothing(db):
    let(db, orders_per_hour=1)

    def fails(conn):
        assert permit(conn, order(1), now=NOW).do == "act"
        raise RuntimeError("the effect failed")

    with pytest.raises(RuntimeError):
        db.transact(fails)
    assert ask(db, order(2)).do == "act"


def test_the_same_reference_is_answered_alike_and_counts_once(db):
    let(db, orders_per_hour=1)
    first = ask(db, order(1))
    assert ask(db, order(1)) == replace(first, detail="it was permitted before")
    assert ask(db, order(1), NOW + timedelta(days=3)).action_id == first.action_id


def test_two_domains_do_not_fight_over_the_same_units(db):
    let(db, Domain.REBALANCE, units_per_hour=500, own_s=7_200)
    let(db, Domain.PRICE, units_per_hour=500)
    there, here = ("item_node", "MUG", "berlin"), ("item_node", "MUG", "lyon")
    move = Action(domain=Domain.REBALANCE, key=there, also=(here,), reference="proposal:1", direction=1, units=10)
    assert ask(db, move).do == "act"
    for n, key in enumerate((here, there)):
        clear = Action(domain=Domain.PRICE, key=key, reference=f"proposal:2{n}", direction=-1, units=10)
        assert ask(db, clear, NOW + timedelta(minutes=119)).code in ("owned", "turns_back")
        assert ask(db, replace(clear, also=()), NOW + timedelta(minutes=121)).do == "act"


def test_whoever_asks_first_owns_it_however_many_ask(db):
    """Also of what nobody has owned before, of which there is no row to wait for."""
    domains = [Domain.REBALANCE, Domain.REPLENISH, Domain.PRICE, Domain.LISTINGS]
    for domain in domains:
        let(db, domain, units_per_hour=5_000)
    for turn in range(12):
        start = threading.Barrier(4)
        keys = [("item_node", f"{sku}{turn}", "lyon") for sku in ("A", "B", "C")]

        def try_it(domain, keys=keys, start=start, turn=turn):
            turned = keys if domains.index(domain) % 2 else keys[::-1]
            action = Action(
                domain=domain, key=turned[0], also=tuple(turned[1:]), reference=f"p:{domain}{turn}", units=1
            )  # fmt: skip

            def work(conn):
                conn.execute("SELECT 1")
                start.wait(10)
                return permit(conn, action, now=NOW)

            return db.transact(work)

        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(try_it, domains))
        assert sorted(v.code for v in verdicts) == ["owned", "owned", "owned", "within"], verdicts
        with db.connection() as conn:
            assert len({o.domain for o in store.lock_owners(conn, tuple(keys))}) == 1


def test_once_stopped_is_answered_nothing_acts_any_more(db):
    """While eight hands act as fast as they can: what is committed when the stop is answered is all there ever is."""
    let(db, orders_per_hour=1_000_000)
    done, going = threading.Event(), threading.Barrier(9)

    def act(hand):
        going.wait(10)
        n = 0
        while not done.is_set() and n < 5_000:
            n += 1
            if ask(db, order(f"{hand}-{n}")).code == "stopped":
                return n
        return n

    def count():
        with db.connection() as conn:
            return conn.execute("SELECT count(*) FROM autopilot_action").fetchone()[0]

    with ThreadPoolExecutor(8) as pool:
        hands = [pool.submit(act, hand) for hand in range(8)]
        going.wait(10)
        while count() < 40:
            pass
        by = Actor(reason="too eager")
        db.transact(lambda conn: stop_or_resume(db, conn, stopped=True, now=NOW, by=by))
        at_stop = count()
        assert [hand.result(30) for hand in hands]
    done.set()
    assert count() == at_stop >= 40
    assert ask(db, order("late")).code == "stopped"
    db.transact(lambda conn: stop_or_resume(db, conn, stopped=False, now=NOW, by=SYSTEM))
    assert ask(db, order("late")).do == "act"


def test_auto_needs_a_budget(db):
    with db.connection() as conn, pytest.raises(InvalidInput, match="auto needs a budget"):
        set_domain(db, conn, Domain.PRICE, "auto", Guardrails(), now=NOW, by=SYSTEM)


def test_what_is_held_out_is_not_done_and_uses_nothing(db):
    let(db, orders_per_hour=1_000, hold_out_share=0.5)
    verdicts = [ask(db, order(n, judge_at=NOW + timedelta(days=1))) for n in range(60)]
    held = [v for v in verdicts if v.code == "held_out"]
    assert 15 <= len(held) <= 45 and {v.do for v in held} == {"refuse"}
    with db.connection() as conn:
        assert store.used_since(conn, Domain.REROUTE, NOW - timedelta(hours=1)).orders == 60 - len(held)
        assert sum(a.held_out for a in store.list_actions(conn, limit=99)) == len(held)
