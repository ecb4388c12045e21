"""Placing orders: sourced at least cost, once, from shelf or dated supply, and never more than there is."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.db.proxy import Proxy
from tests.events import settled

from onhand.base.actor import SYSTEM
from onhand.db import Database
from onhand.errors import Conflict, IdempotencyKeyReused, InvalidInput
from onhand.flows.intake import NotKnown, prepare
from onhand.flows.place_orders import Desk, Placed
from onhand.flows.record_entries import record_entries
from onhand.flows.reserve import Holder, Reserved, prepare_hold
from onhand.flows.state import State
from onhand.ledger.intake import EntryIn
from onhand.orders.intake import OrderIn, ReservationIn

NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)  # a Wednesday, before every cut-off
CARRIER = {
    "services": [
        {
            "code": "standard",
            "rate_table": {
                "by": "distance_km",
                "distance_km": [200, 800, None],
                "weights_g": [1000, 10000],
                "prices_minor": [[400, 700], [500, 900], [800, 1500]],
            },
            "transit_days": {"p50": 2, "p95": 4},
            "co2_g_per_tonne_km": 80,
        }
    ]
}
BERLIN, MUNICH = (52.5, 13.4), (48.1, 11.6)


@pytest.fixture
def shop(db):
    """Items A to E (500 g), a bundle KIT = 2 A + 1 B; nodes `berlin` and `munich`; channel `web`."""
    with db.connection() as conn:
        conn.execute(
            "INSERT INTO item (item_id, sku, name, weight_g)"
            " SELECT n, chr(64 + n), 'x', 500 FROM generate_series(1, 5) n"
        )
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (6, 'KIT', 'kit')")
        conn.execute("INSERT INTO bundle_component VALUES (6, 1, 2), (6, 2, 1)")
        for number, (code, (lat, lon)) in enumerate([("berlin", BERLIN), ("munich", MUNICH)], 1):
            conn.execute(
                "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone,"
                " handling_cost_minor, methods) VALUES (%s, %s, 'x', 'warehouse', 'DE', %s, %s, 'Europe/Berlin', 100,"
                " '{ship,pickup}')",
                (number, code, lat, lon),
            )
        conn.execute("INSERT INTO carrier VALUES (1, 'dhl', 'DHL', %s)", (json.dumps(CARRIER),))
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'web', 'web', 'EUR')")
    state = State(db, now=lambda: NOW)
    state.load()
    return state


@pytest.fixture
def desk(shop):
    desk = Desk(shop)
    yield desk
    desk.close()


def stock(state, units, node="berlin", kind="receipt", **extra):
    """Record entries {sku: units} and let memory learn of them."""
    rows = [EntryIn(kind=kind, sku=sku, node=node, quantity=n, **extra) for sku, n in units.items()]
    recorded = record_entries(state.db, state.catalogue, state.network.node_ids, rows, SYSTEM, now=NOW)
    assert [r.status for r in recorded.results] == ["applied"] * len(rows)
    state.take(*map(list, zip(*recorded.positions, strict=True)))


def order(external_id="1", lines=(("A", 1),), **extra):
    lat, lon = extra.pop("to", BERLIN)
    body = {
        "channel": "web",
        "external_id": external_id,
        "currency": "EUR",
        "destination": {"country": "DE", "postal_code": "10115", "latitude": lat, "longitude": lon},
        "lines": [
            {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": 100}
            for n, (sku, units) in enumerate(lines, 1)
        ],
        **extra,
    }
    return msgspec.convert(body, OrderIn)


def place(desk, *orders, key=None, reason=None):
    """Answers as decoded JSON; exceptions as they are."""
    state = desk._state
    placed = desk.place([prepare(state, o, actor=7, reason=reason, key=key, now=NOW) for o in orders])
    return [json.loads(p.answer) if isinstance(p, Placed) else p for p in placed]


def available(state):
    with state.db.connection() as conn:
        rows = conn.execute(
            "SELECT sku, code, on_hand - unavailable - allocated FROM stock_position JOIN item USING (item_id)"
            " JOIN node USING (node_id) WHERE on_hand > 0"
        )
        return {(sku, node): units for sku, node, units in rows}


def nodes_of(answer):
    return [f["node"] for f in answer["fulfilments"]]


def test_ships_from_the_cheaper_node_with_a_date_and_costs_that_add_up(shop, desk):
    stock(shop, {"A": 5}, "berlin")
    stock(shop, {"A": 5}, "munich")
    near, far = place(desk, order("1"), order("2", to=MUNICH))
    assert (near["status"], nodes_of(near), nodes_of(far)) == ("sourced", ["berlin"], ["munich"])
    f = near["fulfilments"][0]
    assert f["cost"]["shipping"] == 400 and f["cost"]["handling"] == 100 and f["cost"]["split"] == 0
    assert f["cost_minor"] == sum(f["cost"].values())
    # Cut-off 15:00 in Berlin is 14:00 UTC that day; p95 of four days later.
    assert f["ship_by"] == "2026-03-04T14:00:00Z"
    assert near["promise"] == {"deliver_by": "2026-03-08T14:00:00Z", "confidence": 0.95}
    assert available(shop) == {("A", "berlin"): 4, ("A", "munich"): 4}


def test_one_parcel_beats_two_and_two_beat_none(shop, desk):
    stock(shop, {"A": 1, "B": 1}, "munich")
    stock(shop, {"A": 1, "C": 1}, "berlin")
    together, apart = place(desk, order("1", [("A", 1), ("B", 1)]), order("2", [("A", 1), ("C", 1)]))
    assert nodes_of(together) == ["munich"] and nodes_of(apart) == ["berlin"]
    stock(shop, {"A": 1}, "berlin")
    stock(shop, {"D": 1}, "munich")
    (split,) = place(desk, order("3", [("A", 1), ("D", 1)]))
    assert sorted(nodes_of(split)) == ["berlin", "munich"]
    assert [f["cost"]["split"] for f in split["fulfilments"]] == [0, 100]


def test_a_line_that_no_node_holds_is_divided(shop, desk):
    stock(shop, {"A": 3}, "berlin")
    stock(shop, {"A": 4}, "munich")
    (answer,) = place(desk, order("1", [("A", 6)]))
    assert {(f["node"], f["lines"][0]["quantity"]) for f in answer["fulfilments"]} == {("munich", 4), ("berlin", 2)}
    (refused,) = place(desk, order("2", [("A", 2)], allow_split=False))
    assert refused["status"] == "unfillable"


def test_bundles_are_exploded_and_summed_with_their_components(shop, desk):
    stock(shop, {"A": 5, "B": 2}, "berlin")
    (answer,) = place(desk, order("1", [("KIT", 2), ("A", 1)]))
    lines = answer["fulfilments"][0]["lines"]
    assert sorted((x["line_id"], x["sku"], x["quantity"]) for x in lines) == [
        ("1", "A", 4),
        ("1", "B", 2),
        ("2", "A", 1),
    ]
    (short,) = place(desk, order("2", [("KIT", 1)]))
    assert short["status"] == "unfillable"
    assert available(shop) == {("A", "berlin"): 0, ("B", "berlin"): 0}


def test_the_same_order_again_is_answered_and_not_placed(shop, desk):
    stock(shop, {"A": 5})
    (first,) = place(desk, order("1"))
    again, twice_a, twice_b = place(desk, order("1"), order("2"), order("2"))
    assert again == first and twice_a == twice_b
    assert available(shop) == {("A", "berlin"): 3}
    (other,) = place(desk, order("1", [("A", 2)]))
    assert isinstance(other, IdempotencyKeyReused)


def test_an_idempotency_key_answers_again_and_refuses_another_body(shop, desk):
    stock(shop, {"A": 5})
    (first,) = place(desk, order("1"), key="k")
    (again,) = place(desk, order("1"), key="k")
    (reused,) = place(desk, order("2"), key="k")
    assert again == first
    assert isinstance(reused, IdempotencyKeyReused)
    assert available(shop) == {("A", "berlin"): 4}


def test_what_cannot_be_served_is_recorded_and_takes_nothing(shop, desk):
    stock(shop, {"A": 1})
    (answer,) = place(desk, order("1", [("A", 1), ("B", 1)]))
    assert (answer["status"], answer["queue"], answer["promise"]) == ("unfillable", "unfillable", None)
    assert sorted((w["sku"], w["quantity"]) for w in answer["waiting"]) == [("A", 1), ("B", 1)]
    assert available(shop) == {("A", "berlin"): 1}


def inbound(state, sku, units, days, node=1):
    with state.db.connection() as conn:
        row = conn.execute(
            "INSERT INTO inbound (inbound_id, reference, node_id, actor) VALUES (gen_random_uuid(), %s, %s, 0)"
            " RETURNING inbound_id",
            (f"PO-{sku}-{days}", node),
        ).fetchone()
        conn.execute(
            "INSERT INTO inbound_line (inbound_id, line_no, item_id, node_id, quantity, expected_at)"
            " VALUES (%s, 1, %s, %s, %s, %s)",
            (row[0], state.catalogue.ids[sku], node, units, NOW + timedelta(days=days)),
        )


def test_a_shortage_is_promised_from_the_earliest_supply_until_that_is_promised_too(shop, desk):
    inbound(shop, "A", 3, days=9)
    inbound(shop, "A", 2, days=5)
    stock(shop, {"B": 1})
    first, second, third = place(desk, order("1", [("A", 2), ("B", 1)]), order("2", [("A", 3)]), order("3", [("A", 1)]))
    assert (first["status"], first["queue"]) == ("backordered", "backorder")
    assert nodes_of(first) == ["berlin"]  # what the shelf has goes ahead
    assert [(w["quantity"], w["expected_at"]) for w in first["waiting"]] == [(2, "2026-03-09T09:00:00Z")]
    assert [w["expected_at"] for w in second["waiting"]] == ["2026-03-13T09:00:00Z"]
    assert third["status"] == "unfillable"
    assert first["promise"]["deliver_by"] > "2026-03-09"


def test_a_backorder_is_refused_where_it_is_not_wanted(shop, desk):
    inbound(shop, "A", 3, days=9)
    (answer,) = place(desk, order("1", allow_backorder=False))
    assert answer["status"] == "unfillable"


def test_an_item_before_its_release_waits_for_supply_though_the_shelf_has_it(shop, desk):
    stock(shop, {"A": 5})
    inbound(shop, "A", 3, days=20)
    with shop.db.connection() as conn:
        conn.execute("UPDATE item SET release_at = %s WHERE sku = 'A'", (NOW + timedelta(days=10),))
    shop.learn_items(["A"])
    (answer,) = place(desk, order("1"))
    assert (answer["status"], answer["queue"], nodes_of(answer)) == ("backordered", "preorder", [])


def test_a_held_order_keeps_its_units(shop, desk):
    stock(shop, {"A": 1})
    held, after = place(desk, order("1", hold="fraud review"), order("2"))
    assert {held["status"], after["status"]} == {"held", "sourced"} or held["status"] == "unfillable"
    assert sum(available(shop).values()) == 0


def test_a_destination_nobody_can_locate_is_held_unsourced(shop, desk):
    stock(shop, {"A": 1})
    nowhere = msgspec.convert(
        {
            "channel": "web",
            "external_id": "1",
            "currency": "EUR",
            "destination": {"country": "ZZ"},
            "lines": [{"line_id": "1", "sku": "A", "quantity": 1, "price_minor": 1}],
        },
        OrderIn,
    )
    (answer,) = place(desk, nowhere)
    assert (answer["status"], answer["queue"], answer["fulfilments"]) == ("held", "held", [])
    assert available(shop) == {("A", "berlin"): 1}


def test_pickup_uses_only_the_node_that_was_chosen(shop, desk):
    stock(shop, {"A": 1}, "munich")
    stock(shop, {"B": 1}, "berlin")
    there, elsewhere = place(
        desk,
        order("1", method="pickup", pickup_node="munich"),
        order("2", [("B", 1)], method="pickup", pickup_node="munich"),
    )
    assert nodes_of(there) == ["munich"] and there["fulfilments"][0]["cost"]["shipping"] == 0
    assert elsewhere["status"] == "unfillable"


def test_a_reservation_holds_its_units_for_its_order_alone(shop, desk):
    stock(shop, {"A": 2})
    holder = Holder(shop)
    request = msgspec.convert({"channel": "web", "lines": [{"sku": "A", "quantity": 2}]}, ReservationIn)
    first, second = holder.reserve([prepare_hold(shop, request, actor=7, key=None) for _ in range(2)])
    holder.close()
    assert isinstance(first, Reserved)
    assert isinstance(second, Conflict) and second.facts()["missing"] == {"A": 2}
    held = json.loads(first.answer)["reservation_id"]
    (other,) = place(desk, order("1", [("A", 1)]))
    (owner,) = place(desk, order("2", [("A", 2)], reservation_id=held))
    (late,) = place(desk, order("3", [("A", 1)], reservation_id=held))
    assert (other["status"], owner["status"]) == ("unfillable", "sourced")
    assert isinstance(late, Conflict) and late.code == "reservation.used"


def test_reservations_leave_safety_stock_alone_and_orders_take_it_last(shop, desk):
    stock(shop, {"A": 3}, "berlin")
    with shop.db.connection() as conn:
        conn.execute("UPDATE stock_position SET safety_stock = 2")
    shop.load()
    holder = Holder(shop)
    request = msgspec.convert({"channel": "web", "lines": [{"sku": "A", "quantity": 2}]}, ReservationIn)
    (refused,) = holder.reserve([prepare_hold(shop, request, actor=7, key=None)])
    holder.close()
    assert isinstance(refused, Conflict) and refused.facts()["missing"] == {"A": 1}
    (answer,) = place(desk, order("1", [("A", 3)]))
    assert answer["status"] == "sourced"


def told(state):
    """Events of orders and reservations so far, in order."""
    with state.db.connection() as conn:
        return [e for e in settled(conn) if e.kind.startswith(("order.", "reservation."))]


def rows_told(state):
    """How many orders each row tells of."""
    with state.db.connection() as conn:
        rows = conn.execute("SELECT cardinality(orders) FROM event WHERE orders IS NOT NULL ORDER BY xid, pos")
        return [orders for (orders,) in rows]


def test_orders_that_begin_alike_share_a_row_and_each_has_its_event(shop, desk):
    stock(shop, {"A": 3})
    names = ["c", "a", 'q"\\é', "b"]
    answers = place(desk, *(order(name) for name in names), order("full", [("B", 1)]))
    by_name = {
        name: {
            "order_id": answer["order_id"],
            "channel": "web",
            "external_id": name,
            "status": answer["status"],
            "queue": answer["queue"],
        }
        for name, answer in zip([*names, "full"], answers, strict=True)
    }
    events = told(shop)
    assert {e.data["external_id"]: e.data for e in events} == by_name
    assert [e.subject for e in events] == [e.data["order_id"] for e in events]
    assert {(e.kind, e.actor, e.origin, e.reason) for e in events} == {
        ("order.sourced", 7, shop.db.origin, None),
        ("order.unfillable", 7, shop.db.origin, None),
    }
    # One of the four found no stock and was decided again with the fifth; in the order they came.
    assert rows_told(shop) == [3, 2]
    for status in ("sourced", "unfillable"):
        together = [e.data["external_id"] for e in events if e.data["status"] == status]
        assert together == [name for name in by_name if by_name[name]["status"] == status]


def test_what_differs_in_actor_or_reason_does_not_share_a_row(shop, desk):
    stock(shop, {"A": 4})
    who = [(7, None), (7, "gift"), (8, "gift"), (7, "gift")]
    desk.place(
        [
            prepare(shop, order(str(n)), actor=actor, reason=reason, key=None, now=NOW)
            for n, (actor, reason) in enumerate(who)
        ]
    )
    assert {e.data["external_id"]: (e.actor, e.reason) for e in told(shop)} == {str(n): w for n, w in enumerate(who)}
    assert rows_told(shop) == [1, 2, 1]


def test_the_reason_is_told_on_both_paths_and_of_the_reservation_that_an_order_uses(shop, desk):
    stock(shop, {"A": 3})
    holder = Holder(shop)
    request = msgspec.convert({"channel": "web", "lines": [{"sku": "A", "quantity": 1}]}, ReservationIn)
    holds = [prepare_hold(shop, request, actor=7, reason=reason, key=None) for reason in ("quote 4", None)]
    held = [json.loads(r.answer)["reservation_id"] for r in holder.reserve(holds)]
    holder.close()
    place(desk, order("fast"), reason="by phone")
    place(desk, order("exact", reservation_id=held[0]), order("later", [("B", 1)]), reason="quote accepted")
    assert [(e.kind, e.data.get("external_id"), e.reason) for e in told(shop)] == [
        ("reservation.active", None, "quote 4"),
        ("reservation.active", None, None),
        ("order.sourced", "fast", "by phone"),
        ("order.unfillable", "later", "quote accepted"),
        ("reservation.used", None, "quote accepted"),
        ("order.sourced", "exact", "quote accepted"),
    ]


def test_a_full_day_moves_the_order_to_the_next(shop, desk):
    stock(shop, {"A": 5})
    with shop.db.connection() as conn:
        conn.execute("UPDATE node SET capacity_orders = 2 WHERE code = 'berlin'")
    shop.reload_network()
    days = [a["fulfilments"][0]["ship_by"][:10] for a in place(desk, *(order(str(n)) for n in range(3)))]
    assert sorted(days) == ["2026-03-04", "2026-03-04", "2026-03-05"]


def test_memory_that_is_wrong_costs_a_retry_and_never_a_unit(shop, desk):
    stock(shop, {"A": 3})
    shop.snapshot.available[1, 1] = 50
    shop.snapshot.version[1, 1] = 0
    answers = place(desk, *(order(str(n)) for n in range(5)))
    assert sorted(a["status"] for a in answers) == ["sourced"] * 3 + ["unfillable"] * 2
    shop.snapshot.available[1, 1] = 0
    stock(shop, {"B": 1})
    with shop.db.connection() as conn:
        conn.execute("SELECT 1")
    shop.snapshot.available[2, 1] = 0
    (answer,) = place(desk, order("late", [("B", 1)]))
    assert answer["status"] == "sourced"


def test_the_last_units_are_sold_once_to_racing_desks(shop):
    """Eight desks, two memories, overlapping items in reverse order: exactly the stock is promised."""
    stock(shop, {"A": 40, "B": 40})
    other = State(shop.db, now=lambda: NOW)
    other.load()
    desks = [Desk(shop if n % 2 else other) for n in range(8)]

    def buy(n):
        skus = [("A", 1), ("B", 1)] if n % 2 else [("B", 1), ("A", 1)]
        return place(desks[n % 8], *(order(f"{n}-{k}", skus) for k in range(10)))

    with ThreadPoolExecutor(8) as pool:
        # One thread a desk at a time: desks are not shared.
        answers = [a for part in pool.map(lambda d: [buy(d), buy(d + 8)], range(8)) for two in part for a in two]
    for desk in desks:
        desk.close()
    sold = [a for a in answers if a["status"] == "sourced"]
    assert len(answers) == 160 and len(sold) == 40
    assert available(shop) == {("A", "berlin"): 0, ("B", "berlin"): 0}


@pytest.mark.parametrize("path", ["fast", "exact"])
def test_an_order_whose_answer_was_cut_off_is_found_and_not_called_a_repeat(shop, dsn, path):
    """The statement or the COMMIT took effect, the connection broke before that was heard: nobody has sent it twice."""
    stock(shop, {"A": 5})
    cut_at = b"cut-off" if path == "fast" else b"COMMIT"
    with Proxy(dsn, cut_at=cut_at) as proxy, closing(Database.open(proxy.url)) as db:
        state = State(db, now=lambda: NOW)
        state.load()
        with closing(Desk(state)) as desk:
            (before,) = place(desk, order("before"))
            if path == "exact":
                state.snapshot.available[:] = 0
            intakes = [prepare(state, order("cut-off"), actor=7, key=None, now=NOW)]
            proxy.armed = True
            (cut,) = desk.place(intakes)
            assert proxy.cuts == 1
            (again,) = desk.place(intakes)
    assert isinstance(cut, Placed) and isinstance(again, Placed)
    assert (cut.answer, cut.replayed, again.answer, again.replayed) == (again.answer, False, cut.answer, True)
    assert json.loads(cut.answer)["order_id"] != before["order_id"]
    assert sum(available(shop).values()) == 3


def test_every_wrong_field_is_named(shop):
    with pytest.raises(NotKnown) as unknown:
        prepare(shop, order(lines=[("A", 1), ("NOPE", 1)]), actor=7, key=None, now=NOW)
    assert unknown.value.skus == ["NOPE"]
    bad = order(service="teleport", method="pickup", currency="XXQ")
    with pytest.raises(InvalidInput) as invalid:
        prepare(shop, bad, actor=7, key=None, now=NOW)
    assert {e.path for e in invalid.value.errors} == {"service", "pickup_node", "currency"}
