"""A period is read from a real database as it was, and what decided then decides again alike."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.flows.test_parcels import TO_GERMANY, carry, service

from onhand.base.actor import SYSTEM
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows.cancel_order import cancel_order
from onhand.flows.fulfil import reject
from onhand.flows.in_force import read_node_facts
from onhand.flows.policies import set_policy
from onhand.flows.record_entries import record_entries
from onhand.flows.serve_waiting import serve_waiting
from onhand.flows.simulation.read import Period, moment, read_period
from onhand.flows.simulation.run import Request, simulate_policy
from onhand.ledger.intake import EntryIn
from onhand.orders.model import TERMS
from onhand.simulation.replay import Settings, replay
from onhand.simulation.rules import PolicyRules
from onhand.sourcing.policies import store
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.select import compile_policy

# As the shop's clock has it.
MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ENDS = MONDAY + timedelta(days=5)
PLACES = ("berlin", "munich", "hamburg", "paris")
FAST = "objective: speed\n"


def enter(merchant, node, kind="receipt", **units):
    """Record entries at the shop's clock."""
    rows = [EntryIn(kind=kind, sku=sku, node=node, quantity=n, occurred_at=merchant.now) for sku, n in units.items()]
    recorded = record_entries(
        merchant.db, merchant.state.catalogue, merchant.state.network.node_ids, rows, SYSTEM,
        serve_waiting=lambda conn, keys: serve_waiting(merchant.state, conn, keys), now=merchant.now,
    )  # fmt: skip
    assert [r.status for r in recorded.results] == ["applied"] * len(rows)
    merchant.state.take([i for i, _ in recorded.positions], [n for _, n in recorded.positions])


@pytest.fixture
def week(merchant):
    """A week of orders with a receipt and a count in it; gives the answers they got."""
    merchant.now = MONDAY - timedelta(days=1)
    for node in ("berlin", "munich", "hamburg"):
        enter(merchant, node, A=12, B=9, C=15)
    answers = []
    for n in range(30):
        merchant.now = MONDAY + timedelta(hours=3.5 * n, minutes=n)
        if n == 12:
            enter(merchant, "munich", A=8)
        if n == 20:
            enter(merchant, "hamburg", "adjustment", C=-2)
        lines = [("ABC"[n % 3], 1 + n % 2)] if n % 4 else [("A", 1), ("KIT", 1)]
        answers.append(merchant.place(*lines, to=PLACES[n % 4]))
    merchant.now = MONDAY + timedelta(days=6)
    return answers


def read(merchant, **more) -> Period:
    with merchant.db.connection() as conn, conn.transaction():
        return read_period(conn, MONDAY, ENDS, **more)


def rules(merchant, period, text=None):
    with merchant.db.connection() as conn:
        version = store.in_force(conn, "standard")["active"]
        nodes = facts_of_nodes(read_node_facts(conn), period.history.network.count)
    return PolicyRules(version.label, compile_policy(version.policy()), period.history, nodes)


def test_the_active_policy_decides_again_what_it_has_decided(merchant, week):
    period = read(merchant)
    outcome = replay(period.history, rules(merchant, period), Settings(step_s=0))
    assert len(period.history) == 30
    booked = [sum(sum(f["cost"].values()) for f in a["fulfilments"]) for a in week]
    f = outcome.fulfilments
    replayed = np.bincount(f.order, f.terms.sum(axis=1), 30)
    # Booked terms are whole minor units.
    np.testing.assert_allclose(replayed, booked, atol=0.5 * len(TERMS))
    codes = period.history.network.node_codes
    nodes = [sorted(codes[k] for k in f.node[f.order == n]) for n in range(30)]
    assert nodes == [sorted(x["node"] for x in a["fulfilments"]) for a in week]
    # Not because everything always comes from the same place.
    assert len({tuple(n) for n in nodes}) == 3
    assert (outcome.served == outcome.asked).mean() > 0.5


def test_the_stock_of_the_beginning_and_what_came_later_are_told_apart(merchant, week):
    period = read(merchant)
    history = period.history
    begins = {
        (sku, code): int(history.available[period.skus.index(sku), history.network.node_ids[code]])
        for sku in "ABC"
        for code in PLACES
    }
    assert begins == {
        **{("A", c): 12 for c in PLACES[:3]}, **{("B", c): 9 for c in PLACES[:3]},
        **{("C", c): 15 for c in PLACES[:3]}, **{(sku, "paris"): 0 for sku in "ABC"},
    }  # fmt: skip
    moves = [
        (period.skus[i], history.network.node_codes[k], n)
        for i, k, n in zip(history.moves.item, history.moves.node, history.moves.units, strict=True)
    ]
    assert moves == [("A", "munich", 8), ("C", "hamburg", -2)]


def test_what_became_of_orders_later_does_not_change_the_beginning(merchant, week):
    before = read(merchant)
    cancel_order(merchant.state, week[1]["order_id"], lines=None, by=SYSTEM)
    refused = next(f for a in week[2:] for f in a["fulfilments"])
    reject(merchant.state, refused["fulfilment_id"], "not_found", by=SYSTEM)
    with merchant.db.connection() as conn:  # within the period, as it would have been: tests have no such clock
        conn.execute(
            "UPDATE ledger_entry e SET occurred_at = %s FROM orders o WHERE o.order_id = e.ref"
            " AND e.occurred_at <> o.created_at",
            (ENDS - timedelta(hours=1),),
        )
    after = read(merchant)
    np.testing.assert_array_equal(before.history.available, after.history.available)
    assert (len(after.history), after.left_out) == (29, 0), "a cancelled order is left out, with all it did to stock"
    assert len(after.history.moves.at) == len(before.history.moves.at)
    rates = after.history.rejection
    node = after.history.network.node_ids[refused["node"]]
    assert rates[node] == rates.max() > 0
    assert rates[4] > 0, "a node of which nothing is known rejects as others do"
    assert not before.history.rejection.any()


def test_a_period_that_begins_in_the_middle_has_what_was_left_then(merchant, week):
    begins = MONDAY + timedelta(days=2)
    with merchant.db.connection() as conn, conn.transaction():
        period = read_period(conn, begins, ENDS)
    gone = np.zeros(2, int)
    whole = read(merchant)
    outcome = replay(whole.history, rules(merchant, whole), Settings(step_s=0))
    early = outcome.picks.at < begins.timestamp()
    for n, sku in enumerate("BC"):
        gone[n] = outcome.picks.units[early & (outcome.picks.item == whole.skus.index(sku))].sum()
        left = period.history.available[period.skus.index(sku)].sum()
        start = whole.history.available[whole.skus.index(sku)].sum()
        came = whole.history.moves
        moved = came.units[(came.item == whole.skus.index(sku)) & (came.at < begins.timestamp())].sum()
        assert left == start + moved - gone[n]
    assert gone.all()


def test_days_that_orders_from_before_fill_are_full(merchant):
    merchant.limit("berlin", orders=3)
    merchant.now = MONDAY - timedelta(days=1)
    enter(merchant, "berlin", A=50)
    for _ in range(2):
        merchant.place(("A", 1))
    merchant.now = MONDAY
    merchant.place(("A", 1))
    period = read(merchant)
    berlin = period.history.network.node_ids["berlin"]
    assert period.history.network.left[berlin, :2, 0].tolist() == [1, 3]


def test_parcels_that_orders_from_before_send_are_not_sent_again(merchant):
    carry(merchant, service(parcels_per_day=3, lanes=[TO_GERMANY | {"parcels_per_day": 9}]))
    merchant.now = MONDAY - timedelta(days=1)
    enter(merchant, "berlin", A=50)
    for _ in range(2):
        merchant.place(("A", 1))
    merchant.now = MONDAY
    merchant.place(("A", 1))
    network = read(merchant).history.network
    berlin = network.node_ids["berlin"]
    assert network.parcels[berlin, 0, :2].tolist() == [1, 3]
    monday = network.slot_day[berlin, 0]
    assert [int(network.lanes[0, day % 128]) for day in (monday, monday + 1)] == [7, 9]


def test_dated_supply_is_that_which_others_have_not_been_promised(merchant):
    merchant.now = MONDAY - timedelta(days=1)
    merchant.inbound("berlin", "PO-1", A=5)
    merchant.place(("A", 2))
    merchant.now = MONDAY
    merchant.place(("A", 1))
    # Documents are of the real clock, on which this happens now.
    with merchant.db.connection() as conn, conn.transaction():
        conn.execute("UPDATE inbound SET created_at = %s", (MONDAY - timedelta(days=2),))
        period = read_period(conn, MONDAY, ENDS)
    assert period.history.inbound.units.tolist() == [3]
    outcome = replay(period.history, rules(merchant, period), Settings(step_s=0))
    assert outcome.picks.is_supply.tolist() == [True]


def test_a_draft_is_compared_with_the_active_version(merchant, week):
    set_policy(merchant.db, "standard", FAST, by=SYSTEM)
    told = []
    report = simulate_policy(
        merchant.db,
        Request(name="standard", begins=MONDAY, ends=ENDS, pareto=True),
        lambda what, done, of: told.append((what, done, of)),
    )
    assert (report["baseline"]["version"], report["candidate"]["version"]) == ("standard@1", "standard@2")
    assert report["period"] == {
        "from": "2026-03-02T09:00:00Z", "to": "2026-03-07T09:00:00Z", "orders": 30, "orders_left_out": 0,
        "is_shortened": False,
    }  # fmt: skip
    by = {d["metric"]: d for d in report["differences"]}
    assert by["days"]["difference"] <= 0
    assert {p["name"] for p in report["pareto"]["points"]} >= {"margin", "speed", "sustainability", None}
    assert any(p["dominated_by"] is None for p in report["pareto"]["points"])
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert told[-1][1] == told[-1][2]
    assert {what for what, _, _ in told} > {"replaying standard@1", "replaying standard@2"}


def test_a_version_against_itself_differs_by_nothing(merchant, week):
    report = simulate_policy(merchant.db, Request(name="standard", version=1, begins=MONDAY, ends=ENDS))
    assert {d["difference"] for d in report["differences"]} == {0}


def test_rules_of_a_policy_hold_in_the_replay(merchant, week):
    text = 'rules:\n- name: one place\n  nodes: node.code == "hamburg"\n  when: order.units > 0\n'
    request = Request(name="standard", text=text, begins=MONDAY, ends=ENDS)
    report = simulate_policy(merchant.db, request)
    assert set(report["candidate"]["nodes"]) == {"hamburg"}
    assert set(report["baseline"]["nodes"]) > {"hamburg"}
    assert report["candidate"]["version"] == "standard@file"


def test_a_shortened_period_says_so(merchant, week):
    report = simulate_policy(merchant.db, Request(name="standard", version=1, begins=MONDAY, ends=ENDS, orders_max=10))
    assert report["period"]["orders"] == 10
    assert report["period"]["is_shortened"]
    assert report["period"]["to"] < "2026-03-04"


# Where a parcel from berlin costs 500 and one from hamburg 800; in berlin it is 400 and 500.
EAST = {"destination": {"country": "DE", "postal_code": "10115", "latitude": 50.5, "longitude": 22.0}}


def _weeks_of_the_east(merchant) -> datetime:
    """Orders of one A each, most of them to the east, from hamburg; then berlin gets ten units, and somebody in berlin
    wants one. When that was."""
    merchant.now = MONDAY - timedelta(seconds=1)
    enter(merchant, "hamburg", A=5_000)
    for day in range(10):
        merchant.now = MONDAY + timedelta(days=day / 3)
        merchant.place_many([([("A", 1)], EAST if n % 4 else {}) for n in range(26)])
    begins = merchant.now + timedelta(days=1)
    merchant.now = begins
    enter(merchant, "berlin", A=10)
    merchant.now += timedelta(seconds=1)
    merchant.place(("A", 1))
    return begins


def test_a_policy_that_looks_forward_has_learned_from_the_weeks_before(merchant):
    begins = _weeks_of_the_east(merchant)
    nodes = {}
    for ahead in ("{}", "null"):
        request = Request(
            name="standard", text=f"opportunity: {ahead}\n", begins=begins, ends=begins + timedelta(days=1)
        )
        report = simulate_policy(merchant.db, request)
        nodes[ahead] = set(report["candidate"]["nodes"])
    assert nodes == {"{}": {"hamburg"}, "null": {"berlin"}}


def test_the_weeks_before_are_read_as_a_sample_that_stands_for_all(merchant, monkeypatch):
    begins = _weeks_of_the_east(merchant)
    for most, orders, stand_for in ((10_000, 260, 1), (50, 52, 5)):
        monkeypatch.setattr("onhand.flows.simulation.read._BEFORE", most)
        with merchant.db.connection() as conn, conn.transaction():
            history = read_period(conn, begins, begins + timedelta(days=1)).history
        before = history.before
        assert before is not None and len(history) == 1
        assert (len(before), before.stand_for) == (orders, stand_for)
        assert MONDAY.timestamp() <= before.placed[0] < before.placed[-1] < begins.timestamp()
    with merchant.db.connection() as conn, conn.transaction():
        later = read_period(conn, begins, begins + timedelta(days=1)).history
        assert len(read_period(conn, MONDAY, begins).history) == 260
        assert read_period(conn, MONDAY, begins).history.before is None
    assert later.before is not None and (later.before.orders.item == 0).all()


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"version": 7}, NotFound),
        ({"against": 7, "version": 1}, NotFound),
        ({"name": "none"}, NotFound),
        ({}, Conflict),  # no draft
        ({"text": "rules: 7"}, InvalidInput),
        ({"version": 1, "begins": MONDAY + timedelta(days=400), "ends": MONDAY + timedelta(days=401)}, Conflict),
    ],
)
def test_what_cannot_be_simulated_is_refused(merchant, more, error):
    with pytest.raises(error):
        simulate_policy(merchant.db, Request(**({"name": "standard", "begins": MONDAY, "ends": ENDS} | more)))


def test_a_period_ends_after_it_begins():
    with pytest.raises(InvalidInput, match="after"):
        Request(name="standard", begins=ENDS, ends=MONDAY)
    assert moment("2026-03-02") == datetime(2026, 3, 2, tzinfo=UTC)
    assert moment("2026-03-02T08:00+01:00").astimezone(UTC).hour == 7
