"""Parcels that carriers take per day, of a node and of a lane: counted by the database, whatever memory knows."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from onhand.base.actor import SYSTEM
from onhand.flows.cancel_order import cancel_order
from onhand.flows.explain_plan import explain_plan
from onhand.flows.fulfil import reject
from onhand.flows.intake import prepare
from onhand.flows.place_orders import Desk
from onhand.flows.set_up import set_carrier
from onhand.flows.state import State
from onhand.ledger.verify import rebuild, verify
from onhand.network.model import CarrierIn
from onhand.network.parcels import lane_key

RATES = {
    "by": "distance_km",
    "distance_km": [200, 800, None],
    "weights_g": [1000, 10000],
    "prices_minor": [[400, 700], [500, 900], [800, 1500]],
}
TO_GERMANY = {"to_countries": ["DE"], "transit_days": {"p50": 1, "p95": 2}}


def service(code="standard", more=0, **changes):
    dearer = [[price + more for price in band] for band in RATES["prices_minor"]]
    base = {"code": code, "currency": "EUR", "rate_table": RATES | {"prices_minor": dearer}}
    return base | {"transit_days": {"p50": 2, "p95": 4}, "co2_g_per_tonne_km": 80} | changes


def carry(merchant, *services, active=True):
    """What the only carrier offers from now on."""
    document = CarrierIn.model_validate({"name": "DHL", "services": list(services), "active": active})
    set_carrier(merchant.db, "dhl", document, by=SYSTEM)
    merchant.state.reload_network()


def counted(merchant):
    """[(service, whether of a lane, node_id, day, parcels)] above nothing."""
    return merchant.rows(
        "SELECT service, lane <> '', node_id, day::text, parcels FROM parcel_day WHERE parcels > 0"
        " ORDER BY service, lane, node_id, day"
    )


def ways(*answers):
    """(node, service, ship day) of orders in one fulfilment each."""
    return [(f["node"], f["service"], f["ship_by"][:10]) for a in answers for f in a["fulfilments"]]


def test_what_one_service_does_not_take_another_does(merchant):
    merchant.stock("berlin", A=9)
    carry(merchant, service(parcels_per_day=2), service("dear", more=300))
    assert ways(*(merchant.place(("A", 1)) for _ in range(3))) == [
        ("berlin", "standard", "2026-03-02"),
        ("berlin", "standard", "2026-03-02"),
        ("berlin", "dear", "2026-03-02"),
    ]
    assert counted(merchant) == [("standard", False, 1, "2026-03-02", 2)]


def test_without_another_service_the_parcel_goes_on_the_next_day_or_from_another_node(merchant):
    merchant.stock("berlin", A=9)
    carry(merchant, service(parcels_per_day=2))
    answers = merchant.place_many([([("A", 1)], {}) for _ in range(5)])
    assert sorted(ways(*answers)) == [("berlin", "standard", f"2026-03-0{day}") for day in (2, 2, 3, 3, 4)]
    merchant.stock("munich", A=9)
    assert ways(merchant.place(("A", 1), objective="speed")) == [("munich", "standard", "2026-03-02")]


def test_a_heavy_order_is_several_parcels(merchant):
    merchant.stock("berlin", A=99)
    carry(merchant, service(parcels_per_day=3))
    assert ways(merchant.place(("A", 40))) == [("berlin", "standard", "2026-03-02")]  # 20 kg, two of 10 kg
    assert counted(merchant) == [("standard", False, 1, "2026-03-02", 2)]
    assert ways(merchant.place(("A", 40))) == [("berlin", "standard", "2026-03-03")]
    answer = merchant.place(("A", 19))
    assert counted(merchant)[0] == ("standard", False, 1, "2026-03-02", 3)
    f = merchant.order(answer["order_id"]).fulfilments[0]
    assert (f.parcels, f.lane) == (1, None)


def test_what_no_carrier_takes_is_in_no_plan(merchant):
    merchant.stock("berlin", A=99)
    carry(merchant, service(parcels_per_day=0))
    assert merchant.place(("A", 1))["status"] == "unfillable"


def test_the_nodes_of_a_lane_count_together(merchant):
    merchant.stock("berlin", A=1, B=5)
    merchant.stock("munich", A=5)
    carry(merchant, service(lanes=[TO_GERMANY | {"parcels_per_day": 2}]))
    answers = [merchant.place((sku, 1)) for sku in ("A", "B", "A", "B")]
    assert [f[2] for f in ways(*answers)] == ["2026-03-02", "2026-03-02", "2026-03-03", "2026-03-03"]
    assert {f[0] for f in ways(*answers)} == {"berlin", "munich"}
    assert counted(merchant) == [("standard", True, 0, "2026-03-02", 2), ("standard", True, 0, "2026-03-03", 2)]
    assert merchant.order(answers[0]["order_id"]).fulfilments[0].lane == lane_key(TO_GERMANY)


def test_two_fulfilments_of_an_order_do_not_overfill_their_lane(merchant):
    merchant.stock("berlin", A=5)
    merchant.stock("munich", B=5)
    carry(merchant, service(lanes=[TO_GERMANY | {"parcels_per_day": 1}]))
    answer = merchant.place(("A", 1), ("B", 1))
    assert sorted(f["ship_by"][:10] for f in answer["fulfilments"]) == ["2026-03-02", "2026-03-03"]


def test_a_cancelled_or_rejected_fulfilment_gives_its_parcels_back(merchant):
    merchant.stock("berlin", A=9)
    carry(merchant, service(parcels_per_day=1, lanes=[TO_GERMANY | {"parcels_per_day": 5}]))
    first = merchant.place(("A", 2))
    assert ways(merchant.place(("A", 1))) == [("berlin", "standard", "2026-03-03")]
    cancel_order(merchant.state, first["order_id"], [SimpleNamespace(line_id="1", sku=None, quantity=1)], by=SYSTEM)
    assert len(counted(merchant)) == 4, "of a part nothing is given back"
    cancel_order(merchant.state, first["order_id"], by=SYSTEM)
    assert counted(merchant) == [("standard", False, 1, "2026-03-03", 1), ("standard", True, 0, "2026-03-03", 1)]
    again = merchant.place(("A", 1))  # from memory, which heard of it
    assert ways(again) == [("berlin", "standard", "2026-03-02")]
    reject(merchant.state, again["fulfilments"][0]["fulfilment_id"], "closed", by=SYSTEM)
    assert len(counted(merchant)) == 2


def test_a_rerouted_order_takes_the_room_of_its_new_way(merchant):
    merchant.stock("berlin", A=1)
    merchant.stock("munich", A=3)
    carry(merchant, service(parcels_per_day=1, lanes=[TO_GERMANY | {"parcels_per_day": 5}]))
    merchant.place(("A", 1), to="munich")
    placed = merchant.place(("A", 1))
    reject(merchant.state, placed["fulfilments"][0]["fulfilment_id"], "closed", by=SYSTEM)
    assert counted(merchant) == [
        ("standard", False, 2, "2026-03-02", 1),
        ("standard", False, 2, "2026-03-03", 1),
        ("standard", True, 0, "2026-03-02", 1),
        ("standard", True, 0, "2026-03-03", 1),
    ]


def test_a_limit_counts_what_was_promised_before_it_and_its_end_forgets_it(merchant):
    merchant.stock("berlin", A=9)
    carry(merchant, service(lanes=[TO_GERMANY]))
    merchant.place_many([([("A", 1)], {}) for _ in range(3)])
    cancel_order(merchant.state, merchant.place(("A", 1))["order_id"], by=SYSTEM)
    assert counted(merchant) == []
    carry(merchant, service(parcels_per_day=2, lanes=[TO_GERMANY | {"parcels_per_day": 9}]))
    of_day = [("standard", False, 1, "2026-03-02", 3), ("standard", True, 0, "2026-03-02", 3)]
    assert counted(merchant) == of_day, "less than is promised: that stays promised"
    assert ways(merchant.place(("A", 1))) == [("berlin", "standard", "2026-03-03")]
    carry(merchant, service(parcels_per_day=7, lanes=[TO_GERMANY]))
    assert counted(merchant) == [of_day[0], ("standard", False, 1, "2026-03-03", 1)]
    assert ways(merchant.place(("A", 1))) == [("berlin", "standard", "2026-03-02")]
    carry(merchant, service(parcels_per_day=7), active=False)
    assert counted(merchant) == []


def test_memory_that_knows_no_limit_cannot_exceed_it(merchant):
    merchant.stock("berlin", A=9)
    other = State(merchant.db, now=lambda: merchant.now)
    other.load()
    carry(merchant, service(parcels_per_day=1), service("dear", more=300))
    stale = Desk(other)
    try:
        intakes = [
            prepare(other, merchant.request([("A", 1)], "berlin", {}), actor=7, key=None, now=merchant.now)
            for _ in range(3)
        ]
        placed = stale.place(intakes[:1])
        assert not isinstance(placed[0], Exception)
        # The exact path reads what is promised, and not the limit: it gives up rather than exceed it.
        assert all(isinstance(answer, Exception) for answer in stale.place(intakes[1:2]))
        other.reload_network()
        assert not isinstance(stale.place(intakes[2:])[0], Exception)
    finally:
        stale.close()
    assert counted(merchant) == [("standard", False, 1, "2026-03-02", 1)]


def test_racing_desks_never_exceed_a_limit(merchant):
    merchant.stock("berlin", A=99)
    merchant.stock("munich", A=99)
    carry(merchant, service(parcels_per_day=5, lanes=[TO_GERMANY | {"parcels_per_day": 8}]))
    other = State(merchant.db, now=lambda: merchant.now)
    other.load()
    desks = [Desk(state) for state in (merchant.state, other) for _ in range(2)]

    def buy(desk, n):
        to = ("berlin", "munich")[n % 2]
        state = merchant.state if n < 2 else other
        asked = [prepare(state, merchant.request([("A", 1)], to, {}), actor=7, key=None, now=merchant.now)
                 for _ in range(8)]  # fmt: skip
        return desk.place(asked)

    with ThreadPoolExecutor(4) as pool:
        answers = [a for part in pool.map(buy, desks, range(4)) for a in part]
    for desk in desks:
        desk.close()
    assert not [a for a in answers if isinstance(a, Exception)]
    days = merchant.rows("SELECT node_id, parcels FROM parcel_day")
    assert sum(parcels for node, parcels in days if not node) == 32
    assert all(parcels <= (5 if node else 8) for node, parcels in days)


def test_the_explanation_names_the_carrier(merchant):
    merchant.stock("berlin", A=20)
    carry(merchant, service(parcels_per_day=1), service("dear", more=300))
    merchant.place(("A", 1))
    dear = explain_plan(merchant.db, f"{merchant.place(('A', 1))['order_id']}-p1")
    assert dear["reproduced"]
    assert [(b["constraint"], b["saves_minor"]) for b in dear["binding_constraints"]] == [("carrier_capacity", 300)]
    carry(merchant, service(parcels_per_day=0))
    (berlin,) = [
        c
        for c in explain_plan(merchant.db, f"{merchant.place(('A', 1))['order_id']}-p1")["candidates"]
        if c["node"] == "berlin"
    ]
    assert berlin["excluded_because"] == "its carriers take no more parcels"


def test_decisions_with_a_lane_that_was_nearly_full_are_found_again(merchant):
    merchant.stock("berlin", A=60)
    merchant.stock("munich", A=60)
    lanes = [TO_GERMANY | {"parcels_per_day": 3}]
    carry(merchant, service(parcels_per_day=2, lanes=lanes), service("dear", more=150, parcels_per_day=1))
    for n in range(12):
        placed = merchant.place(("A", 1 + 21 * (n % 4 == 3)), to=("berlin", "munich", "hamburg")[n % 3])
        assert explain_plan(merchant.db, f"{placed['order_id']}-p1")["reproduced"], n


def test_counters_that_are_wrong_are_found_and_made_again(merchant):
    merchant.stock("berlin", A=9)
    carry(merchant, service(parcels_per_day=5))
    merchant.place(("A", 1))
    merchant.rows("UPDATE parcel_day SET parcels = 4 RETURNING 1")
    with merchant.db.connection() as conn:
        (found,) = verify(conn)
        assert (found.check, found.is_repairable) == ("invariant_parcels_are_promised", True)
        assert rebuild(conn) == 1
        assert verify(conn) == []
    assert counted(merchant) == [("standard", False, 1, "2026-03-02", 1)]
