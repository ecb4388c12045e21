"""What a playbook may say, what its lint finds, and how its parts reckon."""

import ast
import math
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import onhand.incidents.detect
from onhand.incidents.model import Kind, Subject
from onhand.incidents.playbooks.facts import NUMBERS, Case, Seen, Spent, Unanswerable, facts, holds, number
from onhand.incidents.playbooks.fill import blanks_of, fill, plain
from onhand.incidents.playbooks.lint import lint
from onhand.incidents.playbooks.model import duration
from onhand.incidents.playbooks.quiet import after_quiet, zone_of
from onhand.incidents.playbooks.store import shipped
from onhand.incidents.playbooks.throttle import Bounds, runout_price, throttled_price

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", shipped())
def test_what_ships_has_nothing_wrong(name):
    linted = lint(shipped()[name])
    assert linted.playbook is not None and linted.findings == []


def playbook(*steps, on="lane_slow", **more):
    lines = ["summary: x", f"on: [{on}]", *(f"{k}: {v}" for k, v in more.items()), "steps:"]
    for step in steps:
        lines += [f"  {'-' if n == 0 else ' '} {part}" for n, part in enumerate(step)]
    return "\n".join(lines) + "\n"


TICKET = ("do: open_ticket", "title: x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (playbook(("do: open_ticket", "titel: x")), "5:5: error: steps[0].titel: unknown field; did you mean 'title'?"),
        (playbook(("do: dance",)), "4:5: error: steps[0]: none of the words that are known here"),
        (playbook(TICKET, on="lane_slwo"), "2:6: error: on[0]: no kind of incident is called 'lane_slwo'"),
        (playbook(TICKET, on="lane_slow, lane_slow"), "2:17: error: on[1]: lane_slow stands twice"),
        (playbook((*TICKET, "wait: 2 hours")), '6:11: error: steps[0].wait: expected minutes, hours or days'),
        (
            playbook(TICKET, when="incident.confidense > 0.5"),
            "3:16: error: when: incident has no 'confidense'; did you mean 'confidence'?",
        ),
        (
            playbook((*TICKET, "when: incident.numbers.delay_hours > 1.0")),
            "6:28: error: steps[0].when: incident.numbers has no 'delay_hours'; did you mean 'delay_days'?",
        ),
        (
            playbook((*TICKET, "when: incident.findings")),
            "6:20: error: steps[0].when: this is an int, expected true or false",
        ),
        (
            playbook(("do: re_promise", "days: incident.cause")),
            "5:20: error: steps[0].days: this is a string, expected a number",
        ),
        (playbook(("do: re_promise", "days: -1")), "5:11: error: steps[0].days: it is below 0"),
        (
            playbook(("do: notify_customer", "subject: x", 'text: "{order.nummer}"')),
            "6:11: error: steps[0].text: nothing fills the blank {order.nummer}; did you mean 'order.number'?",
        ),
        (
            playbook(("do: notify_customer", "subject: x", 'text: "by {promise.day}"')),
            "6:11: error: steps[0].text: {promise.day} is known of new promises only",
        ),
        (
            playbook(("do: notify_customer", "subject: x", 'text: "50 } %"')),
            "6:11: error: steps[0].text: a brace that belongs to no blank",
        ),
        (
            playbook(("do: notify_customer", "subject: x", "text: x", "about: promises")),
            "7:12: error: steps[0].about: nothing is promised anew before it",
        ),
        (playbook(("do: release",)), "4:9: error: steps[0].do: nothing is held before it"),
        (
            playbook(("do: throttle_price", "days: 7", "rate_per_day: 4", "times: 3"), on="demand_spike"),
            "7:12: error: steps[0].times: it says how often, but not when",
        ),
        (
            playbook((*TICKET, "when: incident.kind == 'lane_slwo'")),
            "6:28: error: steps[0].when: no kind of incident is called 'lane_slwo'; did you mean 'lane_slow'?",
        ),
        ("summary: [", "1:11: error: not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text, said):
    linted = lint(text)
    assert linted.playbook is None
    assert any(str(finding).startswith(said) for finding in linted.findings), [str(f) for f in linted.findings]


def test_numbers_that_conditions_may_ask_are_those_that_detectors_say():
    found = {}
    for path in Path(onhand.incidents.detect.__file__).parent.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding":
                given_ = {k.arg: k.value for k in call.keywords}
                kind = Kind[given_["kind"].attr]
                found.setdefault(kind, set()).update(key.value for key in given_["numbers"].keys)
    assert {kind: set(names) for kind, names in NUMBERS.items()} == found
    assert found.keys() == set(Kind)


def case(**numbers):
    seen = Seen(subject=Subject("node", ("berlin",)), numbers=numbers, loss_minor=100, confidence=0.8)
    return Case(
        incident_id="", kind="capacity_breach", cause=seen.subject, status="open", loss_minor=100, risk_minor=80,
        confidence=0.8, currency="EUR", opened_at=NOW - timedelta(hours=3), seen_at=NOW, findings=(seen,),
    )  # fmt: skip


def test_a_condition_without_an_answer_does_not_hold_and_a_number_without_one_is_refused():
    known = facts(case(days_until=2), Spent(orders=3, units=4, cost_minor=5), NOW)
    assert holds(None, known)
    assert holds("incident.hours_open == 3.0 && run.orders == 3 && incident.key[0] == 'berlin'", known)
    assert not holds("incident.numbers.days_late > 1.0", known)
    assert number("incident.numbers.days_until * 2.0", known) == 4.0 and number(7, known) == 7.0
    for text in ("incident.numbers.days_late", "incident.cause", "incident.confidence / 0.0", "true"):
        with pytest.raises(Unanswerable):
            number(text, known)


# Words ----------------------------------------------------------------------------------------------


def test_values_stand_on_one_line_and_blanks_are_filled_once():
    values = {"order.items": "Mug\r\nBcc: all@example.org\x00 {customer.name}", "customer.name": "\u202eeve"}
    filled = fill("{order.items} for {customer.name}", values)
    assert filled == "Mug Bcc: all@example.org {customer.name} for eve"
    assert blanks_of("{a} and {b.c} }") == (["a", "b.c"], True)


@given(st.text())
def test_no_value_begins_a_line(text):
    said = plain(text)
    assert len(said.splitlines()) <= 1 and said.isprintable() and len(said) <= 300


# Hours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("country", "latitude", "longitude", "zone"),
    [
        ("DE", 52.5, 13.4, "Europe/Berlin"), ("US", 40.7, -74.0, "America/New_York"),
        ("US", 34.0, -118.2, "America/Los_Angeles"), ("US", 41.9, -87.6, "America/Chicago"),
        ("PT", 38.7, -9.1, "Europe/Lisbon"), ("PT", 37.7, -25.7, "Atlantic/Azores"), ("FR", None, None, "Europe/Paris"),
        ("QZ", 0.0, 0.0, "UTC"),
    ],
)  # fmt: skip
def test_the_clock_of_where_it_goes(country, latitude, longitude, zone):
    assert zone_of(country, latitude, longitude).key == zone


@given(st.integers(0, 10 * 365 * 1440).map(lambda minutes: NOW + timedelta(minutes=minutes)), st.times(), st.times())
def test_nobody_is_written_to_in_quiet_hours(now, begins, ends):
    begins, ends = (t.replace(second=0, microsecond=0, fold=0) for t in (begins, ends))
    zone = ZoneInfo("Europe/Berlin")
    at = after_quiet(now, zone, begins, ends)
    assert now <= at < now + timedelta(hours=25)
    # It has settled, but for clocks that are put forward over the end.
    again = after_quiet(at, zone, begins, ends)
    assert again == at or again - at <= timedelta(hours=1)
    assert after_quiet(now, zone, time(8), time(8)) == now


def test_durations():
    assert duration("30m") == timedelta(minutes=30) and duration("2d") == timedelta(days=2)
    for text in ("2", "h", "61d", "1w", "-1h", " 1h"):
        with pytest.raises(ValueError, match="expected minutes, hours or days"):
            duration(text)


# Prices ---------------------------------------------------------------------------------------------


def test_at_the_run_out_price_the_stock_just_lasts():
    price = runout_price(1000, 40.0, 140.0, 7.0, 2.62)
    b = 2.62 / 1000
    rate = 40.0 * math.exp(-b * (price - 1000))
    assert rate * 7.0 == pytest.approx(140.0)
    assert runout_price(1000, 20.0, 140.0, 7.0, 2.62) == pytest.approx(1000)
    assert runout_price(1000, 40.0, 0.0, 7.0, 2.62) == math.inf and runout_price(1000, 0.0, 5.0, 7.0, 2.62) == 0.0
    assert runout_price(1000, 5e-324, 5.0, 1.0, 2.62) < 0  # whose quotient is 0


@given(
    st.integers(1, 10**7), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 60), st.floats(1.01, 20),
    st.floats(0.001, 1), st.floats(0.001, 2), st.none() | st.integers(1, 10**7),
)  # fmt: skip
def test_a_price_rises_by_one_step_at_most_and_never_beyond_its_bounds(price, rate, units, days, e, step, total, cap):
    bounds = Bounds(step_max=step, total_max=total, cap_minor=cap)
    begun = asked = price
    for _ in range(4):
        new = throttled_price(
            price_minor=asked, begun_minor=begun, rate_per_day=rate, units=units, days=days, elasticity=e, bounds=bounds
        )
        assert asked <= new <= max(asked, asked * (1 + step) + 1e-6)
        assert new <= max(begun, begun * (1 + total) + 1e-6) and (cap is None or new <= max(begun, cap))
        if rate * days <= units:
            assert new == begun  # it lasts anyway
        asked = new
