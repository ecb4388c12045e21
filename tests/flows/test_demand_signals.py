"""Values of signals told and loaded, on a real database: nothing that was not known at the origin."""

import threading
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from onhand.base.actor import SYSTEM
from onhand.errors import NotFound
from onhand.flows.demand.signals import load_signals
from onhand.flows.demand.tell_signals import delete_signal, tell_signals

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ORIGIN = date(2026, 3, 10)
SERIES = pl.DataFrame(
    {"sku": ["A", "B"], "category": [None, "mugs"], "node": ["berlin", None], "region": ["DE-BE", "FR"]}
)


def tell(merchant, *rows, now=NOW):
    return tell_signals(merchant.db, rows, now=now, by=SYSTEM)


def statuses(results):
    return [result.status for result in results]


def load(merchant, *, origin=ORIGIN, horizon=5, since=date(2026, 3, 1), **options):
    """{name: [values of A, values of B]}, of known and of past."""
    with merchant.db.connection() as conn:
        found = load_signals(conn, origin=origin, horizon=horizon, since=since, series=SERIES, **options)

    def values(aligned):
        return {
            a.name: [None if i < 0 else [None if np.isnan(v) else float(v) for v in a.rows[i]] for i in a.index]
            for a in aligned
        }

    return values(found.known), values(found.past)


def daily(name, first, values, **more):
    begin = date.fromisoformat(first)
    return [
        {"name": name, "at": (begin + timedelta(days=n)).isoformat(), "value": value, **more}
        for n, value in enumerate(values)
    ]


def test_told_once_corrected_and_kept(merchant):
    row = {"name": "temperature", "scope": {"region": "DE-BE"}, "at": "2026-03-09T06:00:00Z", "value": 7.5}
    assert statuses(tell(merchant, row)) == ["created"]
    assert statuses(tell(merchant, row)) == ["unchanged"]
    assert statuses(tell(merchant, row | {"value": 8})) == ["updated"]
    assert merchant.rows("SELECT value, known_at = at FROM signal_value ORDER BY known_at") == [
        (7.5, True),
        (8.0, False),
    ]
    told = merchant.rows("SELECT data FROM event WHERE kind = 'signals.recorded'")
    assert told == [({"names": ["temperature"], "values": 1},)] * 2


def test_one_series_for_each_scope(merchant):
    row = {"name": "promotion", "at": "2026-03-20", "value": 1, "known_ahead": True}
    scopes = [{}, {"sku": "A"}, {"sku": "A", "node": "berlin"}, {"category": "mugs"}, {"region": "DE"}]
    assert statuses(tell(merchant, *(row | {"scope": scope} for scope in scopes))) == ["created"] * 5
    assert statuses(tell(merchant, *(row | {"scope": scope} for scope in scopes))) == ["unchanged"] * 5
    assert merchant.rows("SELECT count(*) FROM signal") == [(5,)]


def test_bad_rows_are_told_and_stop_no_other(merchant):
    row = {"name": "x", "at": "2026-03-01", "value": 1.5}
    results = tell(
        merchant, row, row, row | {"scope": {"sku": "Z"}}, row | {"scope": {"node": "rome"}},
        row | {"at": "2026-03-11"}, row | {"known_ahead": True}, row | {"name": "public_holiday"},
        row | {"name": "Bad name"}, row | {"value": "7"},
        row | {"scope": {"region": "Bavaria"}}, row | {"at": "2026-03-02", "known_at": "2026-03-01"},
        row | {"at": "2026-03-02", "known_at": "2026-03-11"}, row | {"scope": {"shop": "A"}},
        row | {"at": "2026-03-02"},
    )  # fmt: skip
    assert statuses(results) == ["created", *["rejected"] * 12, "created"]
    assert [result.errors[0].path for result in results[1:-1]] == [
        "at", "scope.sku", "scope.node", "at", "known_ahead", "name", "name", "value", "scope.region", "known_at",
        "known_at", "scope.shop",
    ]  # fmt: skip


def test_known_ahead_reaches_into_the_horizon_and_the_past_ends_before_the_origin(merchant):
    tell(merchant, *daily("temperature", "2026-03-01", range(9)))
    tell(merchant, *daily("plan", "2026-03-01", range(14), known_ahead=True), now=NOW - timedelta(days=1))
    known, past = load(merchant)
    assert past == {"temperature": [[float(n) for n in range(9)]] * 2}, "1 to 9 March"
    assert known["plan"] == [[float(n) for n in range(14)]] * 2, "1 to 14 March"
    assert "temperature" not in known


def test_holidays_are_built_in(merchant):
    known, _ = load(merchant, origin=date(2026, 4, 1), since=date(2026, 3, 30), horizon=7, names=["public_holiday"])
    assert known == {"public_holiday": [[0, 0, 0, 0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 1, 0]]}, (
        "Good Friday in Germany, Easter Monday in both"
    )


def test_a_correction_counts_from_when_it_is_known(merchant):
    rows = daily("index", "2026-03-01", [10] * 8)
    tell(merchant, *rows, now=NOW)
    tell(merchant, rows[2] | {"value": 99}, now=NOW + timedelta(days=5))
    _, past = load(merchant)
    assert past["index"][0][:8] == [10] * 8
    _, past = load(merchant, origin=date(2026, 3, 16))
    assert past["index"][0][:8] == [10, 10, 99, *[10] * 5]


def test_a_plan_told_today_was_not_known_yesterday(merchant):
    tell(merchant, {"name": "plan", "at": "2026-03-12", "value": 1, "known_ahead": True}, now=NOW)
    assert load(merchant, names=["plan"]) == ({}, {}), "it was told at noon of the origin"
    known, _ = load(merchant, origin=date(2026, 3, 11), names=["plan"])
    assert known["plan"][0][11] == 1


def test_history_told_late_counts_as_known_then_unless_asked_otherwise(merchant):
    tell(merchant, *daily("old", "2026-03-01", [5] * 8))
    tell(merchant, *daily("old_plan", "2026-03-01", [6] * 8, known_ahead=True))
    known, past = load(merchant, origin=date(2026, 3, 5), horizon=2, names=["old", "old_plan"])
    assert past["old"][0] == [5] * 4 and known["old_plan"][0] == [6] * 6
    assert load(merchant, origin=date(2026, 3, 5), names=["old", "old_plan"], as_recorded=True) == ({}, {})


def test_what_was_published_late_is_known_late(merchant):
    tell(
        merchant, {"name": "gdp", "at": "2026-03-01", "value": 2.5, "known_at": "2026-03-08T09:00:00Z", "fill": "hold"}
    )
    assert load(merchant, origin=date(2026, 3, 8), names=["gdp"]) == ({}, {})
    _, past = load(merchant, origin=date(2026, 3, 9), names=["gdp"])
    assert past["gdp"][0] == [2.5] * 8


@pytest.mark.parametrize("origin", [date(2026, 3, 3), date(2026, 3, 10)])
def test_nothing_of_the_future_leaks(merchant, origin):
    """Shift the future: other values after the origin, corrections after it, new plans after it. What is loaded at the
    origin is the same, bit for bit."""
    begin = date(2026, 1, 1)
    early = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    rng = np.random.default_rng(7)
    for fill in ("hold", "zero", "none", None):
        for name, ahead in ((f"past_{fill}", False), (f"plan_{fill}", True)):
            rows = daily(name, "2026-01-01", rng.normal(size=60).tolist(), known_ahead=ahead)
            rows = [r | ({} if fill is None else {"fill": fill}) for n, r in enumerate(rows) if n % 3]
            if ahead:
                assert set(statuses(tell(merchant, *rows, now=early))) == {"created"}
            else:
                so_far = [r for r in rows if date.fromisoformat(r["at"]) < origin]
                assert set(statuses(tell(merchant, *so_far, now=NOW))) == {"created"}

    def bits():
        with merchant.db.connection() as conn:
            found = load_signals(conn, origin=origin, horizon=9, since=begin, series=SERIES)
        return [(a.name, a.first, a.rows.tobytes(), a.index.tobytes()) for a in (*found.known, *found.past)]

    before = bits()
    assert len(before) == 9
    future = datetime.combine(origin, datetime.min.time(), UTC)
    for fill in ("hold", "zero", "none", None):
        said = {} if fill is None else {"fill": fill}
        # Past-only values on and after the origin.
        measured = daily(f"past_{fill}", origin.isoformat(), [77.0] * 20, **said)
        # Corrections of days before the origin, and of plans on both sides, said at its first instant and later.
        revised = daily(f"past_{fill}", "2026-01-02", [55.0] * 2, **said)
        plans = daily(f"plan_{fill}", "2026-01-02", [55.0] * 90, known_ahead=True, **said)
        results = tell(merchant, *measured, *revised, now=future + timedelta(days=40))
        results += tell(merchant, *plans, now=future)
        assert set(statuses(results)) <= {"created", "updated"}
        tell(
            merchant,
            *daily(f"new_{fill}", (origin + timedelta(1)).isoformat(), [1.0] * 9, known_ahead=True),
            now=future,
        )
    assert bits() == before
    with merchant.db.connection() as conn:
        later = load_signals(conn, origin=origin + timedelta(50), horizon=9, since=begin, series=SERIES)
    assert any((a.rows == 77.0).any() for a in later.past) and any((a.rows == 55.0).any() for a in later.known)


def test_who_tells_at_once_is_heard_one_after_the_other(merchant):
    results = []
    tellers = [
        threading.Thread(
            target=lambda n=n: results.extend(
                tell(
                    merchant,
                    *({"name": name, "at": "2026-03-01", "value": n} for name in ("ab", "ba")[:: 1 - n % 2 * 2]),
                )
            )
        )
        for n in range(8)
    ]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    assert sorted(statuses(results)) == ["created"] * 2 + ["updated"] * 14
    assert merchant.rows("SELECT count(*), count(DISTINCT value) FROM signal_value GROUP BY signal_id") == [(8, 8)] * 2


def test_delete(merchant):
    tell(
        merchant,
        {"name": "x", "at": "2026-03-01", "value": 1},
        {"name": "x", "scope": {"sku": "A"}, "at": "2026-03-01", "value": 1},
    )
    delete_signal(merchant.db, "x", by=SYSTEM)
    assert merchant.rows("SELECT count(*) FROM signal_value") == [(0,)]
    with pytest.raises(NotFound):
        delete_signal(merchant.db, "x", by=SYSTEM)


def test_a_value_said_later_for_an_earlier_moment_of_knowing_is_history(merchant):
    row = {"name": "x", "at": "2026-02-01", "value": 3, "known_at": "2026-03-05"}
    assert statuses(tell(merchant, row)) == ["created"]
    assert statuses(tell(merchant, row | {"value": 2, "known_at": "2026-02-10"})) == ["updated"]
    assert statuses(tell(merchant, row | {"value": 3, "known_at": "2026-03-07"})) == ["unchanged"]
    assert statuses(tell(merchant, row | {"value": 4, "known_at": "2026-03-05"})) == ["rejected"]
    values = merchant.rows("SELECT value FROM signal_value ORDER BY known_at")
    assert values == [(2.0,), (3.0,)]
