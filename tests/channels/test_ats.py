"""Available to sell: the terms sum to it, and each rests on what the database says."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.base.actor import SYSTEM
from onhand.base.dates import EPOCH
from onhand.channels.ats import (
    Facts,
    Loaded,
    Mark,
    Names,
    Sold,
    explain,
    load_availability,
    with_components,
)
from onhand.channels.gates import GateSetting
from onhand.ledger.model import Entry
from onhand.ledger.store import apply_entries

TODAY = (datetime.now(UTC).date() - EPOCH).days
NAMES = Names(skus=["", "A", "B", "C", "SET"], nodes=["", "N1", "N2", "N3"], bundles={4: ((1, 2), (2, 1))})
units = st.integers(0, 50)


@st.composite
def facts(draw):
    found = Facts()
    for node in draw(st.sets(st.integers(1, 3))):
        unavailable, allocated, available, safety = (draw(units) for _ in range(4))
        oversold = 0 if available else draw(units)
        found.positions.append(
            (0, 1, node, unavailable + allocated + available, unavailable, allocated, oversold, safety, 1, 7)
        )
    found.waiting = draw(units)
    found.quotas = draw(st.dictionaries(st.integers(1, 3), units))
    return found


channels = st.one_of(
    st.none(), st.builds(lambda nodes: Sold(channel_id=1, code="web", node_ids=nodes), st.sets(st.integers(1, 3)))
)


@given(facts(), facts(), st.dictionaries(st.integers(1, 2), units), channels)
def test_the_terms_sum_to_the_number_and_the_number_is_the_definition(first, second, gates, sold):
    loaded = Loaded(
        {1: first, 2: second, 4: Facts(quotas=first.quotas)}, {c: GateSetting(units=n) for c, n in gates.items()}
    )

    def by_definition(found):
        total = sum(
            on_hand - unavailable - allocated - safety
            for _, _, node, on_hand, unavailable, allocated, _, safety, _, _ in found.positions
            if sold is None or node in sold.node_ids
        )
        if sold is None:
            return max(0, total)
        total = max(0, total - gates.get(1, 0) - sum(u for c, u in found.quotas.items() if c != 1))
        return min(total, found.quotas.get(1, total))

    answers = [explain(i, loaded, NAMES, sold, today=TODAY) for i in (1, 2)]
    assert [a.ats for a in answers] == [by_definition(first), by_definition(second)]
    bundle = explain(4, loaded, NAMES, sold, today=TODAY)
    whole = min(answers[0].ats // 2, answers[1].ats)
    if sold is not None:
        whole = max(0, whole - sum(u for c, u in first.quotas.items() if c != 1))
        whole = min(whole, first.quotas.get(1, whole))
    assert bundle.ats == whole
    for answer in (*answers, bundle, *bundle.components):
        assert sum(term.units for term in answer.terms) == answer.ats
        assert answer.ats >= 0
    for day in range(TODAY, TODAY + 3):
        text = (EPOCH + timedelta(days=day)).isoformat()
        per_day = [explain(i, loaded, NAMES, sold, today=TODAY, until=day).atp[-1] for i in (1, 2, 4)]
        assert {p.date for p in per_day} == {text}

        def limited(promised, gate, quotas):
            if sold is not None:
                promised -= gate + sum(u for c, u in quotas.items() if c != 1)
                promised = min(promised, quotas.get(1, promised))
            return max(0, promised)

        for point, found in zip(per_day, (first, second), strict=False):
            owed = found.waiting
            for _, _, node, on_hand, unavailable, allocated, oversold, *_ in found.positions:
                if sold is None or node in sold.node_ids:
                    owed += oversold - (on_hand - unavailable - allocated)
            assert point.units == limited(-owed, gates.get(1, 0), found.quotas)
        assert per_day[2].units == limited(min(per_day[0].units // 2, per_day[1].units), 0, first.quotas)


@pytest.fixture
def shop(db):
    with db.connection() as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (1, 'A', 'a'), (2, 'B', 'b'), (4, 'SET', 's')")
        conn.execute("INSERT INTO bundle_component VALUES (4, 1, 2), (4, 2, 1)")
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
            " safety_stock_default) SELECT n, 'N' || n, '', 'store', 'DE', 50, 8, 'Europe/Berlin', n - 1"
            " FROM generate_series(1, 3) n"
        )
        conn.execute(
            """INSERT INTO channel (channel_id, code, name, currency, gate, quota) VALUES
            (1, 'web', 'Web', 'EUR', '{"units": 2}', '{}'),
            (2, 'market', 'Market', 'EUR', '{"units": 0}', '{"units_by_sku": {"A": 4, "C": 1}}'),
            (3, 'shut', 'Shut', 'EUR', '{}', '{"units_by_sku": {"A": 99}}')"""
        )
        conn.execute("UPDATE channel SET active = false WHERE code = 'shut'")
    return db


def apply(db, *entries):
    results = db.transact(lambda c: apply_entries(c, entries, actor=SYSTEM, origin=0))
    assert all(r.status == "applied" for r in results)
    return [r.entry_id for r in results]


def ask(db, item_id, sold=None, at=None, until=None):
    with db.connection() as conn:
        loaded = load_availability(conn, with_components([item_id], NAMES), at=at)
    return explain(item_id, loaded, NAMES, sold, today=TODAY, until=until, at=at)


WEB = Sold(channel_id=1, code="web", node_ids={1, 2})
MARKET = Sold(channel_id=2, code="market", node_ids={1, 2, 3})


def test_an_answer_reads_as_the_interface_promises(shop):
    apply(shop, Entry(1, 1, "receipt", 10), Entry(1, 2, "receipt", 6), Entry(1, 3, "receipt", 90))
    (damage,) = apply(shop, Entry(1, 2, "damage", 1))
    answer = msgspec.json.decode(msgspec.json.encode(ask(shop, 1, WEB)))
    receipt = answer["terms"][0]["ledger"]["entry_id"]
    assert answer == {
        "sku": "A",
        "channel": "web",
        "ats": 8,
        "atp": [{"date": (EPOCH + timedelta(days=TODAY)).isoformat(), "units": 9}],
        "terms": [
            {"term": "available", "node": "N1", "units": 10, "on_hand": 10, "unavailable": 0,
             "allocated": 0, "ledger": {"version": 1, "entry_id": receipt}},
            {"term": "available", "node": "N2", "units": 5, "on_hand": 6, "unavailable": 1,
             "allocated": 0, "ledger": {"version": 2, "entry_id": damage}},
            {"term": "safety_stock", "node": "N2", "units": -1},
            {"term": "gate", "units": -2},
            {"term": "quota_of_other_channels", "units": -4},
        ],
    }  # fmt: skip


def test_quota_safety_stock_of_a_position_and_sleeping_nodes(shop):
    apply(shop, Entry(1, 1, "receipt", 10), Entry(1, 2, "receipt", 6), Entry(1, 3, "receipt", 90))
    assert ask(shop, 1, MARKET).ats == 4
    assert ask(shop, 1).ats == 10 + 5 + 88
    with shop.connection() as conn:
        conn.execute("UPDATE stock_position SET safety_stock = 9 WHERE (item_id, node_id) = (1, 3)")
        assert ask(shop, 1).ats == 10 + 5 + 81
        conn.execute("UPDATE node SET active = false WHERE node_id = 3")
    assert ask(shop, 1).ats == 10 + 5
    assert ask(shop, 2) == msgspec.structs.replace(ask(shop, 2), ats=0, terms=[])


def test_a_bundle_is_as_available_as_its_scarcest_component(shop):
    apply(shop, Entry(1, 1, "receipt", 13), Entry(2, 1, "receipt", 5))
    sold = Sold(channel_id=9, code="pos", node_ids={1})
    answer = ask(shop, 4, sold)
    assert (answer.ats, [(t.term, t.units, t.sku) for t in answer.terms]) == (4, [("component", 4, "A")])
    assert [(c.sku, c.per_bundle, c.ats) for c in answer.components] == [("A", 2, 9), ("B", 1, 5)]


def announce(db, item_id, *lines, node=1):
    """Inbound lines (days from today, quantity, received, promised)."""
    with db.connection() as conn:
        for days, quantity, received, promised in lines:
            ref = uuid4()
            conn.execute(
                "INSERT INTO inbound VALUES (%s, %s, 'purchase', %s, NULL, now(), NULL, 0)", (ref, str(ref), node)
            )
            at = datetime.combine(EPOCH + timedelta(days=TODAY), datetime.min.time(), UTC) + timedelta(
                days=days, hours=23, minutes=59
            )
            if days < 0:
                at = datetime.now(UTC) + timedelta(days=days)
            conn.execute(
                "INSERT INTO inbound_line VALUES (%s, 1, %s, %s, %s, %s, %s, %s, 1)",
                (ref, item_id, node, quantity, received, promised, at),
            )


def without_gate_and_quota(db):
    with db.connection() as conn:
        conn.execute("UPDATE channel SET gate = '{}', quota = '{}'")


@pytest.mark.broken_invariants  # promises and waiting units without their orders
def test_what_comes_and_what_is_owed_make_the_promise_of_a_day(shop):
    without_gate_and_quota(shop)
    apply(shop, Entry(1, 1, "receipt", 3))
    announce(shop, 1, (2, 10, 1, 4), (5, 20, 0, 20), (5, 7, 7, 0), (-3, 6, 0, 0))
    announce(shop, 1, (2, 100, 0, 0), node=3)
    with shop.connection() as conn:
        conn.execute(
            "INSERT INTO queue_line (order_id, line_no, item_id, queue, quantity) VALUES (%s, 1, 1, 'unfillable', 4)",
            (uuid4(),),
        )

    def day(n):
        return (EPOCH + timedelta(days=TODAY + n)).isoformat()

    # 3 here, 4 owed; overdue supply counts from tomorrow; of ten, one has come and four are promised
    assert [(p.date, p.units) for p in ask(shop, 1, WEB).atp] == [(day(0), 0), (day(1), 5), (day(2), 10)]
    assert [(p.date, p.units) for p in ask(shop, 1, WEB, until=TODAY + 1).atp] == [(day(0), 0), (day(1), 5)]
    assert ask(shop, 1).atp[-1].units == 110


def test_what_a_channel_may_not_sell_it_may_not_promise_either(shop):
    apply(shop, Entry(1, 1, "receipt", 5))
    announce(shop, 1, (2, 4, 0, 0), (5, 7, 0, 0))

    def atp(sold, until=None):
        return [(p.date, p.units) for p in ask(shop, 1, sold, until=until).atp]

    def day(n):
        return (EPOCH + timedelta(days=TODAY + n)).isoformat()

    # 5, 9, 16 units; of these 2 for the gate and 4 for the other channel, whose own quota ends at 4
    assert ask(shop, 1, WEB).ats == 0
    assert atp(WEB) == [(day(0), 0), (day(2), 3), (day(5), 10)]
    assert ask(shop, 1, MARKET).ats == 4
    assert atp(MARKET) == [(day(0), 4)]
    assert atp(MARKET, until=TODAY + 6) == [(day(0), 4), (day(6), 4)]
    assert atp(None) == [(day(0), 5), (day(2), 9), (day(5), 16)]


@pytest.mark.broken_invariants  # allocated without a reservation
def test_what_is_oversold_is_owed(shop):
    without_gate_and_quota(shop)
    apply(
        shop, Entry(1, 1, "receipt", 9), Entry(1, 1, "allocate", 9), Entry(1, 1, "count", 2), Entry(1, 2, "receipt", 8)
    )
    answer = ask(shop, 1, WEB)
    assert [(t.term, t.units) for t in answer.terms[:2]] == [("available", 0), ("available", 8)]
    assert answer.atp[0].units == 1


def test_a_past_moment_is_answered_from_the_ledger(shop):
    moments, numbers = [], []
    for entry in (
        Entry(1, 1, "receipt", 10),
        Entry(1, 2, "receipt", 5),
        Entry(1, 1, "transfer_out", 7),
        Entry(1, 1, "count", 4),
    ):
        apply(shop, entry)
        with shop.connection() as conn:
            moments.append(conn.execute("SELECT clock_timestamp()").fetchone()[0])
        numbers.append(ask(shop, 1).ats)
    assert numbers == [10, 14, 7, 8]
    past = [ask(shop, 1, at=moment) for moment in moments]
    assert [p.ats for p in past] == numbers
    assert past[1].terms[0].ledger == Mark(1, past[0].terms[0].ledger.entry_id)
    assert (past[0].atp, past[0].at) == ([], moments[0])
    before = ask(shop, 1, at=moments[0] - timedelta(days=1))
    assert (before.ats, before.terms) == (0, [])
