"""The suite itself: it runs on a small world, and it does not believe what the database does not hold."""

import json

import psycopg
import pytest

from onhand.bench import promise, report
from onhand.bench.errors import BenchError
from onhand.bench.load import Outcome
from onhand.bench.promise import GROUPS, Options, Size
from onhand.bench.under_test import ApiProcess
from onhand.bench.world import World

SMALL = Size(
    items=200,
    nodes=5,
    pgbench_scale=1,
    large_items=300,
    large_nodes=4,
    ledger_entries=20_000,
    scarce_units=300,
)
# Of the table in benchmarks/README.md; the floors hold for a whole run on an idle machine, not here.
NAMES = {
    "orders",
    "orders, p99 at full load",
    "orders, p99 at half load",
    "load generator, CPU a request",
    "orders/batch",
    "orders/batch, beside the optimistic statement",
    "hot item",
    "hot item, batch route",
    "hot item, units sold of a scarce one",
    "stock/entries, 1,000 a body",
    "availability",
    "availability, p99",
    "memory of one API process, 300 items x 4 nodes",
    "start to ready, 300 items x 4 nodes",
    "verify after the suite, failures",
    "verify, 20,000 entries",
}


@pytest.mark.timeout(240)
def test_the_whole_suite_runs_and_its_exact_figures_are_exact() -> None:
    said: list[str] = []
    result = promise.run(Options(seconds=0.4, rounds=1, profile=True, size=SMALL), say=said.append)
    by_name = {m.name: m for m in result.measures}
    assert set(by_name) == NAMES
    assert by_name["hot item, units sold of a scarce one"].ok
    assert by_name["verify after the suite, failures"].ok
    assert all(m.value > 0 for m in result.measures if m.name != "verify after the suite, failures")
    assert result.machine["postgres"]["fsync"] == "on"
    assert result.profile is not None
    assert set(result.profile.cpu_us) == {"API", "PostgreSQL", "load generator"}
    document = json.loads(report.to_json(result.machine, result.measures))
    assert len(document["measures"]) == len(result.measures)
    assert any("selling out" in text for text in said)


def test_a_group_that_does_not_exist_is_refused_before_anything_starts() -> None:
    with pytest.raises(BenchError, match="no measure sped"):
        promise.run(Options(only=["orders", "sped"]), say=print)
    assert "orders" in GROUPS


class Boaster(World):
    """Its server acknowledges orders that it never wrote."""

    def send(self, *_: object, **__: object) -> Outcome:
        return Outcome(answers={201: 5}, seconds=1, p50_ms=1, p99_ms=1, cpu_us=1)


def test_an_acknowledged_order_that_is_not_recorded_stops_the_run(dsn: str) -> None:
    run = promise._Run(
        options=Options(),
        say=print,
        url=dsn,
        world=Boaster(ApiProcess(port=1, key="", pid=0, ready_s=0), items=9, nodes=1),
        reference=None,
        postmaster=0,
    )
    with pytest.raises(BenchError, match="acknowledged 5 x 1 orders, recorded"):
        run.place([], 1, connections=1, seconds=1)


@pytest.mark.broken_invariants
def test_a_unit_sold_twice_is_counted_twice(dsn: str) -> None:
    """What `hot item, units sold` reads: fulfilments, beside the counter of the position."""
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO item (item_id, sku, name) VALUES (1, 'HOT', '-')")
        conn.execute("INSERT INTO stock_position (item_id, node_id, on_hand, allocated) VALUES (1, 1, 1, 1)")
        for number in (1, 2):
            conn.execute(
                "INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, ship_day, ship_by,"
                " deliver_by, lines, units, cost_minor, cost, co2_g, pieces)"
                " VALUES (gen_random_uuid(), %s, 1, 1, 'allocated', now(), now(), now(), 1, 1, 0, '[]', 0,"
                " '[[1,1,1]]')",
                (number,),
            )
    assert promise.promised_units(dsn, "HOT") == (2, 1)
