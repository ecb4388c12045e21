"""The merchant of the benchmark: requests that the interface takes, data that keeps every promise."""

import msgspec
import psycopg
import pytest

from onhand.bench import world as w
from onhand.bench.errors import BenchError
from onhand.bench.under_test import ApiProcess
from onhand.bench.world import World, fill_positions, promised_units, recorded_orders, top_up_ledger
from onhand.network.model import CarrierIn, NodeIn
from onhand.orders.intake import OrderIn


@pytest.fixture
def world() -> World:
    """Makes requests; nothing is sent."""
    return World(ApiProcess(port=1, key="secret", pid=0, ready_s=0), items=50, nodes=4)


def body(request: bytes) -> bytes:
    head, _, rest = request.partition(b"\r\n\r\n")
    assert b"Authorization: Bearer secret" in head
    assert f"Content-Length: {len(rest)}".encode() in head
    return rest


def test_orders_are_orders_with_an_id_of_their_own(world: World) -> None:
    orders = [msgspec.json.decode(body(r), type=OrderIn) for r in world.order_requests(20)]
    for request in world.batch_requests(2, 10):
        orders += msgspec.json.decode(body(request), type=dict[str, list[OrderIn]])["orders"]
    assert len({o.external_id for o in orders}) == 40
    assert all(len({line.sku for line in o.lines}) == 3 for o in orders)
    hot = [msgspec.json.decode(body(r), type=OrderIn) for r in world.hot_requests("HOT", 5)]
    assert {(o.lines[0].sku, o.lines[0].quantity, len(o.lines)) for o in hot} == {("HOT", 1, 1)}


def test_entries_come_a_thousand_a_body(world: World) -> None:
    for request in world.entry_requests(2):
        entries = msgspec.json.decode(body(request))["entries"]
        assert len(entries) == 1_000
        assert {e["kind"] for e in entries} == {"receipt", "adjustment"}


def test_network_documents_are_what_the_interface_takes(world: World) -> None:
    NodeIn.model_validate(w._node(1, world.draw))
    CarrierIn.model_validate(w._carrier())


def add_items_and_nodes(url: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) SELECT i, 'I' || i, '-' FROM generate_series(1, 30) i")
        conn.execute(
            "INSERT INTO node (node_id, code, name, node_type, country, latitude, longitude, timezone)"
            " SELECT n, 'N' || n, '-', 'store', 'DE', 50, 10, 'UTC' FROM generate_series(1, 4) n"
        )


def test_made_stock_has_its_ledger(dsn: str) -> None:
    """The invariants are read when the test ends; here only the counts."""
    add_items_and_nodes(dsn)
    assert fill_positions(dsn) == 120
    assert top_up_ledger(dsn, 400) == 480, "whole rounds over all positions"
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT count(*), sum(on_hand), max(version) FROM stock_position").fetchone()
    assert row == (120, 120 * 103, 4)


def test_what_is_recorded_is_counted(dsn: str) -> None:
    add_items_and_nodes(dsn)
    assert recorded_orders(dsn) == {}
    assert promised_units(dsn, "I7") == (0, 0)
    with pytest.raises(BenchError, match="no item"):
        promised_units(dsn, "I700")
    with pytest.raises(BenchError, match="no position"):
        top_up_ledger(dsn, 1)
