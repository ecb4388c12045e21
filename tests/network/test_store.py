"""Nodes, groups and carriers in the database, and the capacity that is promised of a node with a new limit."""

import threading
import time
from datetime import date

import pytest
from tests.events import settled

from onhand.base.actor import SYSTEM
from onhand.catalog.model import ItemIn
from onhand.errors import InvalidInput
from onhand.flows.set_up import (
    set_carrier,
    set_carton,
    set_duty,
    set_item,
    set_markdowns,
    set_node,
    set_node_group,
    set_nodes,
)
from onhand.network import store
from onhand.network.model import CarrierIn, CartonIn, DutyIn, NodeGroupIn, NodeIn

from .documents import CARRIER, CARTON, DUTY, NODE

FULL = NODE | {
    "region": "ARA",
    "postal_code": "69007",
    "handling_cost_minor": 180,
    "handling_line_minor": 12,
    "handling_unit_minor": 3,
    "labour": {"minor_per_hour": 2400, "seconds_per_order": 0.0, "seconds_per_line": 40.5, "seconds_per_unit": 6.0},
    "holidays": "FR",
    "cutoff": "16:45",
    "working_days": [1, 2, 6],
    "closed_days": ["2026-12-25", "2027-01-01"],
    "capacity": {"orders": 1200, "units": 0},
    "docks": {"units_out": 0, "units_in": 700},
    "methods": ["pickup", "ship"],
    "safety_stock_default": 2,
    "co2_g_per_order": 12,
    "attributes": {"dock": [1, "a"]},
    "active": False,
}


def node_in(**change):
    return NodeIn.model_validate(NODE | change)


def told(db):
    with db.connection() as conn:
        return [(e.subject, e.data) for e in settled(conn) if e.kind == "network.changed"]


def test_a_node_comes_back_as_written_and_again_is_unchanged(db):
    document = NodeIn.model_validate(FULL)
    written, node = set_node(db, "LYON", document, by=SYSTEM)
    assert written == "created"
    assert (node.node_id, node.code, node.cutoff, node.working_days) == (1, "LYON", "16:45", [1, 2, 6])
    assert (node.capacity_orders, node.capacity_lines, node.capacity_units) == (1200, None, 0)
    assert (node.dock_units_out, node.dock_units_in) == (0, 700)
    assert [d.isoformat() for d in node.closed_days] == FULL["closed_days"]
    for name in ("handling_line_minor", "handling_unit_minor", "labour", "holidays"):
        assert getattr(node, name) == FULL[name]
    for name in ("region", "postal_code", "methods", "safety_stock_default", "attributes", "active", "latitude"):
        assert getattr(node, name) == FULL[name]
    assert set_node(db, "LYON", document, by=SYSTEM) == ("unchanged", node)
    assert told(db) == [("LYON", {"kind": "node", "code": "LYON"})]


def test_a_batch_of_nodes_is_one_event_and_bad_rows_block_nothing(db):
    rows = [NODE | {"code": "A"}, NODE | {"code": "B", "latitude": 99}, NODE | {"code": "C"}, None]
    results = set_nodes(db, rows, by=SYSTEM)
    assert [(r.status, r.key) for r in results] == [
        ("created", "A"),
        ("rejected", "B"),
        ("created", "C"),
        ("rejected", None),
    ]
    assert told(db) == [("nodes", {"kind": "node", "codes": ["A", "C"]})]
    with db.connection() as conn:
        assert [(n.code, n.node_id) for n in store.list_nodes(conn, limit=9)] == [("A", 1), ("C", 2)]


def test_five_thousand_nodes_take_well_under_a_second(db):
    rows = [FULL | {"code": f"N{n}"} for n in range(5_000)]
    began = time.perf_counter()
    assert {r.status for r in set_nodes(db, rows, by=SYSTEM)} == {"created"}
    took_s = time.perf_counter() - began
    assert took_s < 2, f"took {took_s:.2f} s"  # a quarter of that on an idle machine


def add_fulfilment(conn, node_id, day, *, status="allocated", lines=2, units=5):
    conn.execute(
        "INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, ship_day, ship_by, deliver_by,"
        " lines, units, cost_minor, cost, co2_g, pieces)"
        " VALUES (gen_random_uuid(), 1, 1, %s, %s, %s, now(), now(), %s, %s, 0, '[]', 0, '[]')",
        (node_id, status, day, lines, units),
    )


def promised(db):
    with db.connection() as conn:
        rows = conn.execute("SELECT node_id, day::text, orders, lines, units FROM capacity_day ORDER BY 1, 2")
        return rows.fetchall()


def test_a_new_limit_counts_what_is_promised_and_its_end_forgets_it(db):
    set_nodes(db, [NODE | {"code": "A"}, NODE | {"code": "B"}], by=SYSTEM)
    with db.connection() as conn:
        for status in ("allocated", "shipped", "cancelled", "rejected"):
            add_fulfilment(conn, 1, "2026-03-02", status=status)
        add_fulfilment(conn, 1, "2026-03-03", lines=1, units=7)
        add_fulfilment(conn, 2, "2026-03-03")
    assert promised(db) == []
    set_node(db, "A", node_in(capacity={"orders": 1}), by=SYSTEM)  # less than is promised: that stays promised
    counted = [(1, "2026-03-02", 2, 4, 10), (1, "2026-03-03", 1, 1, 7)]
    assert promised(db) == counted
    set_node(db, "A", node_in(capacity={"units": 100}), by=SYSTEM)
    assert promised(db) == counted
    set_node(db, "A", node_in(), by=SYSTEM)
    assert promised(db) == []


def test_a_fulfilment_under_way_is_counted_by_the_new_limit(db):
    """Its transaction began first and commits last: the limit waits for it."""
    set_node(db, "A", node_in(), by=SYSTEM)
    with db.connect() as conn:
        with conn.transaction():
            add_fulfilment(conn, 1, "2026-03-02")
            limit = threading.Thread(
                target=set_node, args=(db, "A", node_in(capacity={"orders": 9})), kwargs={"by": SYSTEM}
            )
            limit.start()
            with db.connection() as watch:
                waits = "SELECT count(*) FROM pg_locks WHERE relation = 'fulfilment'::regclass AND NOT granted"
                give_up_at = time.monotonic() + 20
                while watch.execute(waits).fetchone() == (0,) and time.monotonic() < give_up_at:
                    pass
        limit.join()
    assert promised(db) == [(1, "2026-03-02", 1, 2, 5)]


def test_a_fulfilment_under_way_is_counted_by_a_new_limit_of_parcels(db):
    """As for the days of a node."""
    set_node(db, "A", node_in(), by=SYSTEM)
    service = CARRIER["services"][0]
    limited = CARRIER | {"services": [service | {"parcels_per_day": 9, "lanes": []}]}
    with db.connect() as conn:
        with conn.transaction():
            add_fulfilment(conn, 1, "2026-03-02")
            conn.execute("UPDATE fulfilment SET carrier = 'C', service = %s, parcels = 3", (service["code"],))
            limit = threading.Thread(
                target=set_carrier, args=(db, "C", CarrierIn.model_validate(limited)), kwargs={"by": SYSTEM}
            )
            limit.start()
            with db.connection() as watch:
                waits = "SELECT count(*) FROM pg_locks WHERE relation = 'fulfilment'::regclass AND NOT granted"
                give_up_at = time.monotonic() + 20
                while watch.execute(waits).fetchone() == (0,) and time.monotonic() < give_up_at:
                    pass
        limit.join()
    with db.connection() as conn:
        assert conn.execute("SELECT node_id, lane, parcels FROM parcel_day").fetchall() == [(1, "", 3)]


def test_a_group_keeps_its_nodes(db):
    set_nodes(db, [NODE | {"code": c} for c in "BAC"], by=SYSTEM)
    group = NodeGroupIn(name="All", nodes=["C", "B"])
    written, row = set_node_group(db, "G", group, by=SYSTEM)
    assert (written, row.nodes) == ("created", ["B", "C"])
    assert set_node_group(db, "G", group, by=SYSTEM) == ("unchanged", row)
    assert set_node_group(db, "G", NodeGroupIn(name="All", nodes=["A"]), by=SYSTEM)[0] == "updated"
    assert [subject for subject, _ in told(db)] == ["nodes", "G", "G"]
    with pytest.raises(InvalidInput) as caught:
        set_node_group(db, "G", NodeGroupIn(name="x", nodes=["A", "Z", "A"]), by=SYSTEM)
    assert [(e.path, e.message) for e in caught.value.errors] == [
        ("nodes[1]", "no node 'Z'"),
        ("nodes[2]", "'A' stands twice"),
    ]
    with db.connection() as conn:
        stored = store.get_group(conn, "G")
        assert stored is not None and stored.nodes == ["A"]


def test_a_carrier_comes_back_as_written_and_again_is_unchanged(db):
    document = CarrierIn.model_validate(CARRIER)
    written, carrier = set_carrier(db, "POST", document, by=SYSTEM)
    assert (written, carrier.carrier_id, carrier.document) == ("created", 1, document.document())
    assert set_carrier(db, "POST", document, by=SYSTEM) == ("unchanged", carrier)
    paused = CarrierIn.model_validate(CARRIER | {"active": False})
    assert set_carrier(db, "POST", paused, by=SYSTEM)[0] == "updated"
    assert set_carrier(db, "ROAD", document, by=SYSTEM)[1].carrier_id == 2
    with pytest.raises(InvalidInput):
        set_carrier(db, "POST", CarrierIn(name="x"), by=SYSTEM)
    with db.connection() as conn:
        assert [c.code for c in store.list_carriers(conn, limit=9)] == ["POST", "ROAD"]
        assert [c.code for c in store.list_carriers(conn, after="POST", limit=9)] == ["ROAD"]


def test_every_stored_carrier_and_channel_compiles(db):
    from datetime import UTC, datetime

    from onhand.channels.model import ChannelIn
    from onhand.flows.set_up import set_channel
    from onhand.network.compiled import load_network

    set_nodes(db, [FULL | {"code": "A"}, NODE | {"code": "B"}], by=SYSTEM)
    set_carrier(db, "POST", CarrierIn.model_validate(CARRIER), by=SYSTEM)
    set_channel(db, "web", ChannelIn(currency="EUR"), by=SYSTEM)
    set_channel(db, "shop", ChannelIn(currency="EUR", nodes=["B"]), by=SYSTEM)
    with db.connection() as conn:
        network = load_network(conn, datetime(2026, 3, 2, tzinfo=UTC))
    assert set(network.node_ids) == {"A", "B"}
    assert [s.code for s in network.services] == ["parcel", "export"]
    assert list(network.channel_nodes(network.channels["shop"])) == [network.node_ids["B"]]


@pytest.mark.parametrize(
    ("table", "put", "document", "change"),
    [
        ("carton", set_carton, CartonIn.model_validate(CARTON), {"cost_minor": 39}),
        ("duty", set_duty, DutyIn.model_validate(DUTY), {"active": False}),
    ],
    ids=["carton", "duty"],
)
def test_cartons_and_duties_come_back_as_written_and_again_are_unchanged(db, table, put, document, change):
    written, row = put(db, "B", document, by=SYSTEM)
    assert (written, row.code, row.active) == ("created", "B", True)
    assert type(document).model_validate_json(type(document).model_validate(row.document).model_dump_json()) == document
    assert put(db, "B", document, by=SYSTEM) == ("unchanged", row)
    changed = type(document).model_validate(document.model_dump() | change)
    assert put(db, "B", changed, by=SYSTEM)[0] == "updated"
    put(db, "A", document, by=SYSTEM)
    assert told(db) == [(code, {"kind": table, "code": code}) for code in ("B", "B", "A")]
    with db.connection() as conn:
        assert [r.code for r in store.list_documents(conn, table, limit=9)] == ["A", "B"]
        assert [r.code for r in store.list_documents(conn, table, after="A", limit=9)] == ["B"]
        assert store.get_document(conn, table, "C") is None


def test_what_does_not_add_up_is_not_written(db):
    with pytest.raises(InvalidInput):
        set_carton(db, "A", CartonIn.model_validate(CARTON | {"outer_height_mm": 1}), by=SYSTEM)
    with pytest.raises(InvalidInput):
        set_duty(db, "A", DutyIn.model_validate(DUTY | {"valid_until": "2025-01-01"}), by=SYSTEM)
    assert told(db) == []


def markdown(sku, node, value, until=None):
    return {"sku": sku, "node": node, "value_minor": value, "until": until}


def test_markdowns_are_set_replaced_and_taken_back(db):
    set_nodes(db, [NODE | {"code": c} for c in "AB"], by=SYSTEM)
    for sku in ("X", "Y"):
        set_item(db, sku, ItemIn(name=sku), by=SYSTEM)
    rows = [
        markdown("X", "A", 500),
        markdown("X", "B", 400, "2026-03-31"),
        markdown("Y", "A", 300, "2026-04-01"),
        markdown("X", "A", 1),
        markdown("Z", "A", 1),
        markdown("Z", "Q", 1),
        markdown("X", "A", -1),
        markdown("Y", "B", None),
        None,
    ]
    results = set_markdowns(db, rows, by=SYSTEM)
    assert [r.status for r in results] == ["created"] * 3 + ["rejected"] * 4 + ["unchanged", "rejected"]
    assert [[e.path for e in r.errors] for r in results[3:7]] == [["sku"], ["sku"], ["sku", "node"], ["value_minor"]]
    assert told(db)[-1] == ("markdowns", {"kind": "markdown", "codes": ["X @ A", "X @ B", "Y @ A"]})
    with db.connection() as conn:
        items, nodes, values = store.load_markdowns(conn, date(2026, 4, 1))
        assert list(zip(items.tolist(), nodes.tolist(), values.tolist(), strict=True)) == [(1, 1, 500), (2, 1, 300)]
        assert store.load_markdowns(conn, date(2026, 3, 31))[2].tolist() == [500, 400, 300], "the last day counts"
        assert (items.dtype, nodes.dtype, values.dtype) == ("int32", "int32", "int64")
    again = [markdown("X", "A", 500), markdown("X", "B", 400), markdown("Y", "A", None)]
    results = set_markdowns(db, again, by=SYSTEM)
    assert [r.status for r in results] == ["unchanged", "updated", "updated"]
    with db.connection() as conn:
        assert [(m.sku, m.node, m.until) for m in store.list_markdowns(conn, limit=9)] == [
            ("X", "A", None),
            ("X", "B", None),
        ]
        assert store.load_markdowns(conn)[2].tolist() == [500, 400]
        assert [m.node for m in store.list_markdowns(conn, after=("X", "A"), limit=9)] == ["B"]
        assert [m.node for m in store.list_markdowns(conn, limit=9, node="A", sku="X")] == ["A"]
        assert store.list_markdowns(conn, limit=9, sku="Y") == []


def test_no_markdowns_are_empty_arrays(db):
    with db.connection() as conn:
        assert [len(array) for array in store.load_markdowns(conn)] == [0, 0, 0]
