"""What of a pass is written and told: what is kept is always what was seen last, within a quarter of an hour."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.incidents.group import Patience, reconciled
from onhand.incidents.keeping import REFRESHED, Stored, writes
from onhand.incidents.model import Finding, Kind, Subject

START = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = Patience(quiet=timedelta(minutes=20), again_within=timedelta(minutes=40))
NODE = Subject("node", ("berlin",))


def finding(order, *, loss, confidence, since=START):
    subject = Subject("order", (str(order),))
    return Finding(
        kind=Kind.ORDER_STUCK, subject=subject, numbers={"loss": float(loss)}, sentence=f"{order} {loss} {confidence}",
        loss_minor=loss, confidence=confidence, since=since, causes=(subject, NODE),
    )  # fmt: skip


class Kept:
    """A store in memory: rows as the database would have them."""

    def __init__(self):
        self.rows: dict[str, Stored] = {}
        self.merged: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self._ids = map(str, itertools.count(1))

    def known(self, now):
        """The standing ones, and of each kind and cause otherwise the one that was closed last."""
        found = {}
        for stored in sorted(
            self.rows.values(), key=lambda s: s.incident.closed_at or datetime.max.replace(tzinfo=UTC)
        ):
            closed = stored.incident.closed_at
            if closed is None or now - closed <= PATIENCE.again_within:
                found[stored.incident.key] = stored
        return found

    def look(self, findings, now):
        known = self.known(now)
        change = reconciled([s.incident for s in known.values()], findings, now, patience=PATIENCE)
        done = writes(known, change, "EUR", now, lambda: next(self._ids))
        for stored in done.incidents:
            before = self.rows.get(stored.incident_id)
            there = {} if before is None else {f.subject: f for f in before.incident.findings}
            for incident_id, subject in done.dropped:
                if incident_id == stored.incident_id:
                    del there[subject]
            there |= {f.subject: f for incident_id, f in done.findings if incident_id == stored.incident_id}
            is_closed = stored.incident.closed_at is not None
            assert is_closed or there == {f.subject: f for f in stored.incident.findings}
            self.rows[stored.incident_id] = stored
        for incident_id in done.seen:
            stored = self.rows[incident_id]
            self.rows[incident_id] = replace(stored, incident=replace(stored.incident, seen_at=now))
        self.merged |= done.merged_in
        self.told += [(told.kind, told.incident_id) for told in done.told]
        return done

    def standing(self):
        return [s for s in self.rows.values() if s.incident.closed_at is None]


LOOKS = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.dictionaries(
            st.integers(1, 6), st.tuples(st.integers(1, 50), st.sampled_from([0.2, 0.4, 0.7, 0.95])), max_size=6
        ),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


@given(LOOKS)
@settings(deadline=None, max_examples=150)
def test_what_is_kept_is_what_was_seen_and_each_change_is_told_once(looks):
    kept, now = Kept(), START
    for minutes, seen in looks:
        now += timedelta(minutes=minutes)
        findings = [finding(order, loss=100 * loss, confidence=sure) for order, (loss, sure) in seen.items()]
        kept.look(findings, now)
        standing = kept.standing()
        keys = [s.incident.key for s in standing]
        assert len(keys) == len(set(keys)), "one of a kind and cause at a time"
        evident = {f.subject: f for f in findings if f.confidence >= PATIENCE.close_at}
        told_of = [f.subject for s in standing for f in s.incident.findings]
        assert len(told_of) == len(set(told_of)), "each is part of one incident"
        assert {s for s, f in evident.items() if f.confidence >= PATIENCE.open_at} <= set(told_of)
        for stored in standing:
            if now - stored.incident.seen_at < PATIENCE.quiet:
                for known in stored.incident.findings:
                    fresh = evident.get(known.subject)
                    if fresh is not None:
                        assert abs(fresh.loss_minor - known.loss_minor) <= 0.1 * max(known.loss_minor, 1)
                        assert abs(fresh.confidence - known.confidence) <= 0.05
        # The same again is nothing new.
        again = kept.look(findings, now)
        assert not again.incidents and not again.told
    for incident_id in kept.rows:
        kinds = [kind for kind, of in kept.told if of == incident_id]
        opened, closed = kinds.count("incident.opened"), kinds.count("incident.closed")
        is_open = kept.rows[incident_id].incident.closed_at is None
        assert opened - closed == is_open, kinds
    for narrow, wide in kept.merged.items():
        assert wide in kept.rows and narrow != wide


def test_evidence_that_goes_on_is_as_old_as_it_was_and_is_shown_as_it_is():
    kept = Kept()
    kept.look([finding(1, loss=100, confidence=0.9)], START)
    later = START + REFRESHED
    # A detector that can only say "now".
    kept.look([finding(1, loss=101, confidence=0.9, since=later)], later)
    (stored,) = kept.standing()
    (shown,) = stored.incident.findings
    assert (shown.since, shown.loss_minor, stored.incident.seen_at) == (START, 101, later)


def test_a_dismissed_one_is_kept_up_to_date_and_told_of_no_more():
    kept = Kept()
    kept.look([finding(1, loss=100, confidence=0.9)], START)
    (stored,) = kept.standing()
    kept.rows[stored.incident_id] = replace(stored, dismissed_at=START)
    kept.look([finding(1, loss=9_000, confidence=0.9)], START + timedelta(minutes=1))
    (stored,) = kept.standing()
    assert stored.incident.loss_minor == 9_000 and [kind for kind, _ in kept.told] == ["incident.opened"]
    over = START + timedelta(hours=1)
    kept.look([], over)
    kept.look([finding(1, loss=9_000, confidence=0.9)], over + timedelta(minutes=30))
    (stored,) = kept.standing()
    assert stored.dismissed_at == START, "back so soon, it is the same one"
    assert [kind for kind, _ in kept.told] == ["incident.opened", "incident.closed"]
