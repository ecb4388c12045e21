"""Findings become incidents: once each, by cause, the dearest first, and without flickering."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.incidents.group import Change, Patience, Width, by_cause, once_each, ranked, reconciled
from onhand.incidents.model import Finding, Incident, Kind, Subject

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DHL, UPS = Subject("carrier", ("dhl",)), Subject("carrier", ("ups",))


def lane(number: int) -> Subject:
    return Subject("lane", (str(number),))


def found(subject: Subject, *causes: Subject, loss=100, confidence=0.9, since=NOW, kind=Kind.LANE_SLOW) -> Finding:
    return Finding(
        kind=kind, subject=subject, numbers={}, sentence="seen", loss_minor=loss, confidence=confidence, since=since,
        causes=(subject, *causes),
    )  # fmt: skip


def late(order: int, of_lane: int, carrier: Subject) -> Finding:
    """An order that will be late: because of its lane, or of its carrier."""
    return found(Subject("order", (str(order),)), lane(of_lane), carrier)


def passed(known, findings, hours: float, **more) -> tuple[Change, tuple[Incident, ...]]:
    change = reconciled(known, findings, NOW + timedelta(hours=hours), **more)
    return change, (*change.opened, *change.updated, *change.unchanged, *change.closed)


@pytest.mark.parametrize("wrong", [{"confidence": 1.1}, {"loss": -1}, {"since": datetime(2026, 1, 1)}])  # noqa: DTZ001
def test_a_finding_says_what_it_may(wrong):
    with pytest.raises(ValueError, match="expected"):
        found(lane(1), **wrong)


def test_a_strike_of_a_carrier_is_one_incident_with_400_orders():
    strike = [late(n, n % 40, DHL) for n in range(400)]
    change, _ = passed((), [*strike, late(999, 77, UPS)], 0, parts={DHL: 40, UPS: 30})
    assert [(i.cause, len(i.findings)) for i in change.opened] == [(DHL, 400), (Subject("order", ("999",)), 1)]


def test_two_slow_lanes_of_forty_are_not_a_strike():
    orders = [late(n, n % 2, DHL) for n in range(100)]
    change, _ = passed((), orders, 0, parts={DHL: 40})
    assert {i.cause for i in change.opened} == {lane(0), lane(1)}


def test_a_wider_cause_explains_only_what_most_of_its_parts_have():
    slow = [found(lane(n), DHL) for n in range(5)]
    assert len(by_cause(slow, parts={DHL: 11})) == 5
    assert set(by_cause(slow, parts={DHL: 10})) == {(Kind.LANE_SLOW, DHL)}


def test_a_cause_whose_parts_are_not_known_needs_three_of_them():
    slow = [found(lane(n), DHL) for n in range(3)]
    assert set(by_cause(slow)) == {(Kind.LANE_SLOW, DHL)}
    assert set(by_cause(slow[:2])) == {(Kind.LANE_SLOW, lane(0)), (Kind.LANE_SLOW, lane(1))}
    assert set(by_cause(slow, width=Width(parts_min=4))) == {(Kind.LANE_SLOW, lane(n)) for n in range(3)}


def test_one_finding_of_a_subject_is_kept_the_surest_since_the_earliest():
    early = found(lane(1), confidence=0.6, since=NOW - timedelta(days=2), loss=900)
    [kept] = once_each([found(lane(1), confidence=0.8), early])
    assert (kept.confidence, kept.loss_minor, kept.since) == (0.8, 100, early.since)
    assert len(once_each([early, found(lane(1), kind=Kind.ORDER_STUCK)])) == 2


def test_the_most_money_at_risk_comes_first():
    sure = found(lane(1), loss=1_000, confidence=0.9)
    doubtful = found(lane(2), loss=1_500, confidence=0.55)
    change, _ = passed((), [doubtful, sure], 0)
    assert [i.cause for i in change.opened] == [lane(1), lane(2)]
    assert ranked(reversed(change.opened)) == change.opened


def test_it_opens_high_closes_low_and_only_after_a_while():
    patience = Patience(open_at=0.5, close_at=0.3, quiet=timedelta(hours=6))
    change, known = passed((), [found(lane(1), confidence=0.45)], 0, patience=patience)
    assert not known, "not sure enough to open"
    change, known = passed((), [found(lane(1), confidence=0.55)], 0, patience=patience)
    assert len(change.opened) == 1
    change, known = passed(known, [found(lane(1), confidence=0.35)], 1, patience=patience)
    assert [i.seen_at for i in change.updated] == [NOW + timedelta(hours=1)], "sure enough to stay"
    change, known = passed(known, [found(lane(1), confidence=0.2)], 6.9, patience=patience)
    assert change.unchanged and not change.closed, "quiet since 5.9 hours"
    change, known = passed(known, [], 7, patience=patience)
    assert [i.closed_at for i in change.closed] == [NOW + timedelta(hours=7)]


def test_evidence_that_comes_back_soon_opens_the_same_incident():
    change, known = passed((), [found(lane(1))], 0)
    change, known = passed(known, [], 6)
    assert change.closed
    again, _ = passed(known, [found(lane(1))], 20)
    assert again.opened[0].opened_at == NOW
    later, _ = passed(known, [found(lane(1))], 31)
    assert later.opened[0].opened_at == NOW + timedelta(hours=31)


def test_a_detector_that_did_not_run_closes_nothing():
    _, known = passed((), [found(lane(1))], 0)
    change, _ = passed(known, [], 100, looked_at={Kind.ORDER_STUCK})
    assert change.unchanged == known


def test_a_wider_cause_takes_over_and_keeps_what_it_took():
    two = [found(lane(n), DHL) for n in range(2)]
    three = [*two, found(lane(2), DHL)]
    _, known = passed((), two, 0)
    change, known = passed(known, three, 1)
    assert [i.cause for i in change.opened] == [DHL]
    assert {(i.cause, i.merged_in) for i in change.closed} == {(lane(0), DHL), (lane(1), DHL)}
    change, known = passed([i for i in known if i.closed_at is None], two, 2)
    assert [i.cause for i in (*change.updated, *change.unchanged)] == [DHL], (
        "two lanes are left, it is still the strike"
    )
    assert not change.opened


@st.composite
def findings(draw):
    lanes = draw(st.lists(st.integers(0, 12), max_size=12))
    return [
        found(lane(n), DHL if n % 2 else UPS, loss=draw(st.integers(0, 999)), confidence=draw(st.floats(0, 1)))
        for n in lanes
    ]


@given(st.lists(findings(), min_size=1, max_size=4))
def test_every_finding_is_in_one_incident_and_a_second_look_changes_nothing(passes):
    known: tuple[Incident, ...] = ()
    for hour, seen in enumerate(passes):
        _, known = passed(known, seen, hour)
        standing = [i for i in known if i.closed_at is None]
        told = [(f.kind, f.subject) for i in standing if i.seen_at == NOW + timedelta(hours=hour) for f in i.findings]
        assert len(told) == len(set(told))
        assert set(told) <= {(f.kind, f.subject) for f in seen if f.confidence >= 0.3}
        surely = {f.subject for f in seen if f.confidence >= 0.5}
        assert surely <= {subject for _, subject in told}
        again = reconciled(standing, seen, NOW + timedelta(hours=hour))
        assert not again.opened and not again.closed and not again.updated
        assert {i.key for i in again.unchanged} == {i.key for i in standing}
        known = tuple(standing)


def test_an_incident_may_not_come_twice():
    _, known = passed((), [found(lane(1))], 0)
    with pytest.raises(ValueError, match="at most one incident"):
        reconciled([*known, *known], [], NOW)
