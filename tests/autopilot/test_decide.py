"""Guardrails: a test for each limit tries to pass it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from onhand.autopilot.decide import decide, is_held_out, looks_back
from onhand.autopilot.model import Action, Domain, Guardrails, Owner, Past, Used

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
KEY = ("item_node", "MUG", "lyon")
RAILS = Guardrails(
    currency="EUR",
    money_per_hour_minor=100_00,
    units_per_hour=100,
    orders_per_hour=50,
    money_per_action_minor=60_00,
    units_per_action=60,
    orders_per_action=30,
    confidence_min=0.8,
    cool_down_s=3_600,
    hold_out_share=0.0,
)
ACTION = Action(
    domain=Domain.REBALANCE, key=KEY, reference="proposal:1", direction=1, money_minor=40_00, currency="EUR", units=40,
    orders=20, confidence=0.9, stake_minor=90_00, gain_minor=80_00, judge_at=NOW + timedelta(days=7),
)  # fmt: skip


def asked(action=ACTION, **changed):
    facts = {"mode": "auto", "rails": RAILS, "used": Used(), "past": [], "owners": [], "stopped": False, "now": NOW}
    return decide(action, **(facts | changed))


def test_what_is_within_all_limits_is_done():
    assert (asked().do, asked().code) == ("act", "within")


def rails(**changed):
    return {"rails": Guardrails.model_validate(RAILS.model_dump() | changed)}


@pytest.mark.parametrize(
    ("do", "code", "action", "changed"),
    [
        ("refuse", "stopped", {}, {"stopped": True}),
        ("refuse", "off", {}, {"mode": "off"}),
        ("recommend", "recommends", {}, {"mode": "recommend"}),
        ("refuse", "stale", {"seen_at": NOW - timedelta(days=2, seconds=1)}, {}),
        ("recommend", "unsure", {"confidence": 0.79}, {}),
        ("recommend", "poor", {"gain_minor": 79_99}, rails(gain_per_cost_min=2.0)),
        ("recommend", "currency", {"currency": "USD"}, {}),
        ("recommend", "too_wide", {"money_minor": 60_01}, {}),
        ("recommend", "too_wide", {"units": 61}, {}),
        ("recommend", "too_wide", {"orders": 31}, {}),
        ("recommend", "budget", {}, {"used": Used(money_minor=60_01)}),
        ("recommend", "budget", {}, {"used": Used(units=61)}),
        ("recommend", "budget", {}, {"used": Used(orders=31)}),
        ("refuse", "owned", {}, {"owners": [Owner(KEY, "replenish", NOW + timedelta(seconds=1))]}),
        ("refuse", "cool_down", {}, {"past": [Past(NOW - timedelta(minutes=59), 1, "rebalance")]}),
        ("refuse", "turns_back", {}, {"past": [Past(NOW - timedelta(minutes=119), -1, "rebalance")]}),
        ("refuse", "turns_back", {}, {"past": [Past(NOW - timedelta(minutes=119), -1, "price")]}),
        ("refuse", "cool_down", {"reference": "run:7/2/1"}, {"past": [Past(NOW, 1, "rebalance", "run:8")]}),
        ("refuse", "held_out", {}, rails(hold_out_share=0.5) | {"now": NOW + timedelta(weeks=1)}),
        (
            "recommend",
            "oscillates",
            {},
            {"past": [Past(NOW - timedelta(hours=4 - n, minutes=30), (-1) ** n, "rebalance") for n in range(4)]},
        ),
        (
            "recommend",
            "frozen",
            {},
            rails(freezes=[{"from": NOW, "until": NOW + timedelta(seconds=1), "note": "Black Friday"}]),
        ),
    ],
)
def test_a_limit_is_not_passed(do, code, action, changed):
    if code == "held_out":
        changed["now"] = next(
            at for at in (NOW + timedelta(weeks=n) for n in range(20)) if is_held_out(KEY, 0.5, at)
        )  # fmt: skip
    verdict = asked(replace(ACTION, **action), **changed)
    assert (verdict.do, verdict.code) == (do, code), verdict.detail


@pytest.mark.parametrize(
    ("action", "changed"),
    [
        ({"seen_at": NOW - timedelta(days=2)}, {}),
        ({"confidence": 0.8}, {}),
        ({"gain_minor": 80_00}, rails(gain_per_cost_min=2.0)),
        ({"money_minor": 60_00, "units": 60, "orders": 30}, {}),
        ({}, {"used": Used(money_minor=60_00, units=60, orders=30)}),
        ({}, {"owners": [Owner(KEY, "replenish", NOW)]}),
        ({}, {"owners": [Owner(KEY, "rebalance", NOW + timedelta(days=1))]}),
        ({}, {"past": [Past(NOW - timedelta(minutes=60), 1, "rebalance")]}),
        ({}, {"past": [Past(NOW - timedelta(minutes=1), 1, "price")]}),
        ({"reference": "run:7/2/1"}, {"past": [Past(NOW, -1, "rebalance", "run:7")]}),
        ({}, {"past": [Past(NOW - timedelta(minutes=120), -1, "rebalance")]}),
        ({}, rails(freezes=[{"from": NOW - timedelta(hours=1), "until": NOW, "note": "over"}])),
        ({"judge_at": None}, rails(hold_out_share=0.5)),
        ({"currency": "USD", "money_minor": 0}, {}),
    ],
)
def test_what_just_keeps_to_a_limit_is_done(action, changed):
    verdict = asked(replace(ACTION, **action), **changed)
    assert verdict.do == "act", verdict


@given(
    st.lists(st.tuples(st.integers(0, 80_00), st.integers(0, 70), st.integers(0, 40), st.integers(0, 600)), max_size=60)
)
def test_no_hour_is_beyond_its_budget(wanted):
    """Whatever is asked, in whatever order: what is done in any 60 minutes keeps to each budget."""
    done, now = [], NOW
    for n, (money, units, orders, wait_s) in enumerate(wanted):
        now += timedelta(seconds=wait_s)
        hour = [a for at, a in done if now - at < timedelta(hours=1)]
        used = Used(
            money_minor=sum(a.money_minor for a in hour), units=sum(a.units for a in hour),
            orders=sum(a.orders for a in hour),
        )  # fmt: skip
        action = replace(ACTION, key=("order", str(n)), money_minor=money, units=units, orders=orders, gain_minor=money)
        if asked(action, used=used, now=now).do == "act":
            done.append((now, action))
    for begin, _ in done:
        hour = [a for at, a in done if timedelta(0) <= at - begin < timedelta(hours=1)]
        assert sum(a.money_minor for a in hour) <= 100_00
        assert sum(a.units for a in hour) <= 100 and sum(a.orders for a in hour) <= 50


@given(st.lists(st.tuples(st.sampled_from((-1, 1)), st.integers(1, 4 * 3600)), max_size=40))
def test_nothing_goes_to_and_fro(wanted):
    """A loop that asks to and fro as it likes turns at most three times in five cool-downs."""
    past, now = [], NOW
    for direction, wait_s in wanted:
        now += timedelta(seconds=wait_s)
        if asked(replace(ACTION, direction=direction), past=past, now=now).do == "act":
            past.append(Past(now, direction, "rebalance"))
    for first in past:
        span = [p for p in past if first.at <= p.at < first.at + looks_back(RAILS)]
        assert sum(a.direction != b.direction for a, b in pairwise(span)) <= 3


def test_what_is_held_out_is_a_share_of_all_and_another_one_each_week():
    keys = [("order", str(n)) for n in range(4_000)]
    first = {k for k in keys if is_held_out(k, 0.1, NOW)}
    second = {k for k in keys if is_held_out(k, 0.1, NOW + timedelta(weeks=1))}
    assert 330 <= len(first) <= 470
    assert len(first & second) <= 80
    assert first == {k for k in keys if is_held_out(k, 0.1, NOW + timedelta(days=2))}
    assert not any(is_held_out(k, 0.0, NOW) for k in keys)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"money_per_hour_minor": 1}, "currency: required where money is limited"),
        ({"currency": "XXQ"}, "no currency 'XXQ'"),
        ({"hold_out_share": 0.6}, "hold_out_share"),
        ({"freezes": [{"from": "2026-03-02T00:00:00Z", "until": "2026-03-02T00:00:00Z", "note": "x"}]}, "after `from`"),
        ({"budget": 3}, "budget"),
    ],
)
def test_guardrails_that_cannot_be_kept_are_refused(document, told):
    with pytest.raises(ValidationError, match=re.escape(told)):
        Guardrails.model_validate(document)
