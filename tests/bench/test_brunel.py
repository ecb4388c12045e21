"""A day of an outbound network: the most orders are served, at the least cost, and no rule of the tables is broken."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from random import Random

import polars as pl
import pytest

from onhand.bench import brunel
from onhand.bench.brunel import Choice

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "brunel"


def write(folder: Path, **tables: pl.DataFrame) -> Path:
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return folder


def tiny(
    folder: Path, orders: list[tuple[str, int, float, int]], *, capacity: tuple[int, int, int] = (2, 1, 1)
) -> Path:
    """Plants A (cheap, ports P and Q), B (only for customer vip), C (dear); product 9 is made nowhere, 2 only at C.
    Orders are (customer, product, weight, units)."""
    return write(
        folder,
        OrderList=pl.DataFrame(
            {
                "Order ID": [1e9 + index for index in range(len(orders))],
                "Customer": [customer for customer, *_ in orders],
                "Product ID": [product_id for _, product_id, *_ in orders],
                "Destination Port": ["Z"] * len(orders),
                "Unit quantity": [units for *_, units in orders],
                "Weight": [weight for _, _, weight, _ in orders],
            }
        ),
        FreightRates=pl.DataFrame(
            {
                "Carrier": ["a", "a", "b", "c"],
                "orig_port_cd": ["P", "P", "Q", "R"],
                "minm_wgh_qty": [0.0, 10.0, 0.0, 0.0],
                "max_wgh_qty": [9.99, 99.0, 50.0, 50.0],
                "minimum cost": [5.0, 5.0, 1.0, 2.0],
                "rate": [1.0, 0.5, 2.0, 3.0],
                "mode_dsc": ["AIR"] * 4,
                "tpt_day_cnt": [1] * 4,
            }
        ),
        PlantPorts=pl.DataFrame({"Plant Code": ["A", "A", "B", "C"], "Port": ["P", "Q", "P", "R"]}),
        ProductsPerPlant=pl.DataFrame({"Plant Code": ["A", "B", "C", "C"], "Product ID": [1, 1, 1, 2]}),
        VmiCustomers=pl.DataFrame({"Plant Code": ["B"], "Customers": ["vip"]}),
        WhCapacities=pl.DataFrame({"Plant ID": ["A", "B", "C"], "Daily Capacity": list(capacity)}),
        WhCosts=pl.DataFrame({"Plant Code": ["A", "B", "C"], "Cost/unit": [0.1, 0.2, 1.0]}),
    )


def test_one_order_takes_the_cheapest_rate_that_holds_its_weight(tmp_path: Path) -> None:
    # From A: port P, 20 * 0.5 = 10; port Q, 20 * 2 = 40. 100 units at 0.1.
    report, choices = brunel.solve(brunel.read(tiny(tmp_path, [("someone", 1, 20.0, 100)])))
    assert choices == [Choice(0, "A", "P", 1)]
    assert report.cost == pytest.approx(20.0)
    assert (report.violations, report.served_share, report.feasible_share, report.gap) == (0, 1.0, 1.0, 0.0)


def test_a_light_order_pays_the_minimum(tmp_path: Path) -> None:
    report, choices = brunel.solve(brunel.read(tiny(tmp_path, [("someone", 1, 0.25, 10)])))
    assert choices == [Choice(0, "A", "Q", 2)]
    assert report.cost == pytest.approx(1.0 + 1.0)


def test_a_weight_between_two_bands_has_no_rate(tmp_path: Path) -> None:
    _, choices = brunel.solve(brunel.read(tiny(tmp_path, [("vip", 1, 9.995, 1)], capacity=(0, 5, 0))))
    assert choices == []


def test_serving_more_comes_before_serving_cheaper(tmp_path: Path) -> None:
    # Only C makes product 2, so the order of product 1 leaves C although A would cost it more than being refused saves.
    orders = [("x", 1, 1.0, 5), ("x", 1, 1.0, 6), ("vip", 1, 1.0, 7), ("x", 2, 1.0, 100_000), ("x", 9, 1.0, 1)]
    report, choices = brunel.solve(brunel.read(tiny(tmp_path, orders)))
    assert {choice.order: choice.plant for choice in choices} == {0: "A", 1: "A", 2: "B", 3: "C"}
    assert report.served_share == report.feasible_share == 0.8
    assert report.gap <= 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_least_cost_of_most_served_is_that_of_brute_force(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    orders = [
        (random.choice(["vip", "x"]), random.choice([1, 1, 1, 2]), random.choice([0.5, 8.0, 20.0, 60.0]), units)
        for units in random.sample(range(1, 2000), 6)
    ]
    folder = tiny(tmp_path, orders, capacity=(random.randint(0, 3), random.randint(0, 2), random.randint(0, 2)))
    day = brunel.read(folder)
    ways: list[list[Choice | None]] = [
        [None] + [Choice(o, plant, port, rate) for plant, port in day.ports.iter_rows() for rate in range(4)]
        for o in range(6)
    ]
    allowed = [[c for c in options if c is None or not brunel.violations(_roomy(day), [c])] for options in ways]
    best = min(
        (-len(plan), brunel.cost_of(day, plan))
        for plan in ([c for c in picks if c is not None] for picks in product(*allowed))
        if not brunel.violations(day, plan)
    )
    report, choices = brunel.solve(day)
    assert (-len(choices), report.cost) == (best[0], pytest.approx(best[1]))
    assert report.feasible_share == -best[0] / 6
    assert report.bound == pytest.approx(best[1], rel=1e-6)


def _roomy(day: brunel.Day) -> brunel.Day:
    return day._replace(capacities=day.capacities.with_columns(pl.lit(99).alias("Daily Capacity")))


def test_checker_sees_every_broken_rule(tmp_path: Path) -> None:
    day = brunel.read(tiny(tmp_path, [("someone", 1, 20.0, 100), ("someone", 2, 60.0, 1)], capacity=(1, 1, 1)))
    broken = {
        "twice": [Choice(0, "A", "P", 1), Choice(0, "A", "P", 1)],
        "does not make": [Choice(1, "A", "P", 1)],
        "does not serve": [Choice(0, "B", "P", 1)],
        "no link": [Choice(0, "A", "R", 3)],
        "the rate starts at": [Choice(0, "A", "P", 2)],
        "band does not hold": [Choice(0, "A", "P", 0)],
        "no rate": [Choice(0, "A", "P", -1)],
        "2 orders, capacity 1": [Choice(0, "A", "P", 1), Choice(1, "A", "P", 1)],
    }
    for words, choices in broken.items():
        assert any(words in text for text in brunel.violations(day, choices)), words
    assert brunel.violations(day, [Choice(0, "A", "P", 1)]) == []


def test_customers_who_fetch_pay_no_freight(tmp_path: Path) -> None:
    folder = tiny(tmp_path, [("someone", 1, 20.0, 100)])
    orders = pl.read_parquet(folder / "OrderList.parquet").with_columns(pl.lit("CRF").alias("Service Level"))
    orders.write_parquet(folder / "OrderList.parquet")
    report, choices = brunel.solve(brunel.read(folder))
    assert choices == [Choice(0, "A", "P", -1)]
    assert report.cost == pytest.approx(10.0)
    assert report.violations == 0


def test_maximum_flow_has_a_cut_of_its_size() -> None:
    kinds = [frozenset("AB")] * 3 + [frozenset("A")] * 2 + [frozenset()]
    assert brunel.most_served(kinds, {"A": 2, "B": 1}) == brunel.Flow(3, 3)
    assert brunel.most_served(kinds, {"A": 1, "B": 9}) == brunel.Flow(4, 4)


def test_missing_file_and_column_are_named(tmp_path: Path) -> None:
    folder = tiny(tmp_path, [("someone", 1, 20.0, 100)])
    pl.DataFrame({"Plant Code": ["A"]}).write_parquet(folder / "WhCosts.parquet")
    with pytest.raises(ValueError, match=r"expected columns Cost/unit in .*WhCosts"):
        brunel.read(folder)
    (folder / "PlantPorts.parquet").unlink()
    with pytest.raises(ValueError, match=r"expected a file .*PlantPorts"):
        brunel.read(folder)


def test_program_prints_one_json_object(tmp_path: Path) -> None:
    folder = tiny(tmp_path, [("someone", 1, 20.0, 100)])
    program = [sys.executable, str(ROOT / "benchmarks" / "brunel.py"), "--data", str(folder), "--json"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert list(report) == ["violations", "served_share", "feasible_share", "cost", "bound", "gap", "seconds"]
    assert report["cost"] == pytest.approx(20.0)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the network's tables are not at {REAL}")
def test_real_network() -> None:
    report, _ = brunel.solve(brunel.read(REAL), time_limit_s=60.0)
    assert report.violations == 0
    assert report.served_share == report.feasible_share
    assert report.gap <= 0.001
