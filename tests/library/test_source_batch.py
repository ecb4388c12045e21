"""`onhand.source_batch`: orders planned together; the optimum of brute force on small worlds, and no limit broken."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from itertools import combinations_with_replacement, product
from random import Random
from typing import Any

import pytest
from tests.library.test_source import AT, HERE, NETWORK, SERVICE, order

import onhand
from onhand.sourcing import kernel
from onhand.sourcing.policy import STANDARD

NODE = {"node_type": "store", "country": "DE", "timezone": "UTC"}
BANDS = [50, 150, 250, 400, 600, None]


def plan(orders: list[dict[str, Any]], network: Any = NETWORK, **more: Any) -> onhand.JointPlan:
    return onhand.source_batch(orders, network, **{"at": AT, "time_limit_s": 5.0, **more})


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """What is compiled for the first time, or read from the disk, must not use up the time of a plan."""
    network, orders = draw(1, nodes=3, items=4, orders=8)
    network["nodes"][0]["capacity"] = {"orders": 2}
    plan(orders, network, time_limit_s=60.0)


def draw(seed: int, *, nodes: int, items: int, orders: int, lines: int = 2, units: int = 2, stock: float = 0.7) -> Any:
    """(network, orders): stores and customers all over a country, prices by distance; little of anything."""
    random = Random(seed)

    def place() -> dict[str, Any]:
        return {"country": "DE", "latitude": random.uniform(47, 54), "longitude": random.uniform(6, 15)}

    skus = [f"S{i}" for i in range(items)]
    rates = [[200 + 90 * band + 70 * step for step in range(3)] for band in range(len(BANDS))]
    table = {"by": "distance_km", "distance_km": BANDS, "weights_g": [1000, 2000, 9000], "prices_minor": rates}
    network = {
        "items": [
            {"sku": sku, "name": sku, "weight_g": random.randint(100, 1500), "price_minor": 2000, "currency": "EUR"}
            for sku in skus
        ],
        "nodes": [
            NODE | place() | {"code": f"N{n}", "name": "n", "handling_cost_minor": random.randint(50, 250)}
            for n in range(nodes)
        ],
        "carriers": [{"code": "C", "name": "C", "services": [SERVICE | {"rate_table": table}]}],
        "stock": [
            {"sku": sku, "node": f"N{n}", "available": random.choice([1, 1, 2])}
            for sku in skus
            for n in range(nodes)
            if random.random() < stock
        ],
    }
    asked = [
        {
            "destination": place(),
            "lines": [
                {"sku": sku, "quantity": random.randint(1, units)}
                for sku in random.sample(skus, random.randint(1, min(lines, items)))
            ],
        }
        for _ in range(orders)
    ]
    return network, asked


def cheapest(network: dict[str, Any], orders: list[dict[str, Any]], refuse_minor: float) -> float:
    """Brute force over all joint plans: every way to share the units of every order among nodes. What a way costs is
    asked of `onhand.source` with just these units on the shelves."""
    nodes = [n["code"] for n in network["nodes"]]
    held = {(row["sku"], row["node"]): row["available"] for row in network["stock"]}
    ways: list[list[tuple[Counter[tuple[str, str]], float]]] = []
    for one in orders:
        mine: list[tuple[Counter[tuple[str, str]], float]] = [(Counter(), refuse_minor)]
        shares = [
            [
                Counter((line["sku"], node) for node in some)
                for some in combinations_with_replacement(nodes, line["quantity"])
            ]
            for line in one["lines"]
        ]
        for chosen in product(*shares):
            units = sum(chosen, Counter[tuple[str, str]]())
            if any(n > held.get(at, 0) for at, n in units.items()):
                continue
            stock = [{"sku": sku, "node": node, "available": n} for (sku, node), n in units.items()]
            (found,) = onhand.source([one], network | {"stock": stock}, at=AT)
            if found.fulfilments:
                mine.append((units, found.cost_minor))
        ways.append(mine)
    best = float("inf")
    for joint in product(*ways):
        cost = sum(minor for _, minor in joint)
        if cost < best:
            units = sum((some for some, _ in joint), Counter[tuple[str, str]]())
            if all(n <= held[at] for at, n in units.items()):
                best = cost
    return best


def judge(found: onhand.JointPlan, network: dict[str, Any], orders: list[dict[str, Any]]) -> None:
    """Fails where a limit is broken or numbers do not add up."""
    held = Counter({(row["sku"], row["node"]): row["available"] for row in network["stock"]})
    for row in network.get("inbound", ()):
        held[row["sku"], row["node"]] += row["quantity"]
    sent, room = Counter[tuple[str, str]](), Counter[tuple[str, str, str]]()
    assert len(found.plans) == len(orders)
    for one, answer in zip(orders, found.plans, strict=True):
        wanted, got = Counter[str](), Counter[str](dict(answer.unserved))
        for line in one["lines"]:
            wanted[line["sku"]] += line["quantity"]
        assert len(set(answer.nodes)) == len(answer.nodes) <= STANDARD.fulfilments_max
        for f in answer.fulfilments:
            got.update(f.lines)
            sent.update({(sku, f.node): n for sku, n in f.lines.items()})
            day = str(f.ship_by.date())
            room.update({(f.node, day, "orders"): 1, (f.node, day, "lines"): len(f.lines)})
            room[f.node, day, "units"] += sum(f.lines.values())
            assert f.cost_minor == pytest.approx(sum(f.cost.values()))
        assert got == wanted
    assert sent <= held, "oversold"
    for node in network["nodes"]:
        for kind, most in (node.get("capacity") or {}).items():
            assert all(n <= most for (at, _, what), n in room.items() if (at, what) == (node["code"], kind))
    refused = sum(not p.fulfilments for p in found.plans)
    assert refused == found.refused
    cost = sum(p.cost_minor for p in found.plans if p.fulfilments) + found.refused_minor
    assert found.cost_minor == pytest.approx(cost)
    assert found.bound_minor <= found.cost_minor
    assert found.gap == pytest.approx((found.cost_minor - found.bound_minor) / abs(found.bound_minor or 1))


def test_brute_force_finds_nothing_better_and_the_bound_is_below_it() -> None:
    best_found = 0
    for seed in range(24):
        network, orders = draw(seed, nodes=3, items=2, orders=3)
        refuse = 20_000.0
        best = cheapest(network, orders, refuse)
        found = plan(orders, network, refuse_minor=refuse, seed=seed)
        judge(found, network, orders)
        assert found.is_proved
        assert found.bound_minor <= best + 1e-6, f"seed {seed}"
        assert found.cost_minor >= best - 1e-6, f"seed {seed}"
        best_found += found.cost_minor <= best + 1e-6
    assert best_found >= 22, "most of the time it is the optimum itself"


@pytest.mark.parametrize("seed", range(6))
def test_together_is_never_dearer_than_one_after_the_other(seed: int) -> None:
    network, orders = draw(100 + seed, nodes=6, items=8, orders=25, lines=3, stock=0.5)
    known = onhand.Network.load(network, at=AT)
    found = plan(orders, known, time_limit_s=3.0)
    judge(found, network, orders)
    alone = onhand.source(orders, known, at=AT)
    each = found.refused_minor / found.refused if found.refused else 20 * max(p.cost_minor for p in alone)
    assert found.cost_minor <= sum(p.cost_minor if p.fulfilments else each for p in alone) + 1e-6


def test_the_last_unit_goes_to_whom_it_saves_most() -> None:
    """One unit near both: for who asks first it saves 10, for the other 290."""
    network = deepcopy(NETWORK)
    table = {"distance_km": [100, 300, None], "prices_minor": [[300], [310], [600]]}
    network["carriers"][0]["services"][0]["rate_table"] |= table
    network["nodes"][0] |= {"handling_cost_minor": 0}
    network["nodes"][1] |= {"handling_cost_minor": 0, "longitude": 14.0}
    network["stock"] = [{"sku": "A", "node": "near", "available": 1}, {"sku": "A", "node": "far", "available": 9}]
    first = order(A=1) | {"destination": {"country": "DE", "latitude": 50.0, "longitude": 11.2}}
    second = order(A=1) | {"destination": {"country": "DE", "latitude": 50.0, "longitude": 9.5}}
    assert [p.nodes for p in onhand.source([first, second], network, at=AT)] == [["near"], ["far"]]
    found = plan([first, second], network)
    assert [p.nodes for p in found.plans] == [["far"], ["near"]]
    assert found.gap <= 1e-4
    assert found.plans[0].order == "1"


def test_room_of_a_day_is_shared_like_stock() -> None:
    """One parcel a day from near; who waits loses nothing but time, and far is dearer."""
    network = deepcopy(NETWORK)
    network["stock"][0]["available"] = 9
    network["nodes"][0]["capacity"] = {"orders": 1}
    network["nodes"][1]["handling_cost_minor"] = 102
    orders = [order(A=1)] * 5
    found = plan(orders, network)
    judge(found, network, orders)
    assert found.gap <= 1e-4
    assert found.cost_minor == pytest.approx(sum(p.cost_minor for p in onhand.source(orders, network, at=AT)))
    days = sorted((p.nodes[0], p.fulfilments[0].ship_by.day) for p in found.plans)
    # 1 minor unit a day: two days of waiting cost what far costs more; its only unit leaves today or tomorrow.
    assert [day for node, day in days if node == "near"] == sorted({day for node, day in days if node == "near"})


@pytest.mark.parametrize("seed", range(4))
def test_no_limit_of_nodes_and_carriers_is_broken(seed: int) -> None:
    network, orders = draw(200 + seed, nodes=5, items=6, orders=20, lines=3, stock=0.9)
    for n, node in enumerate(network["nodes"]):
        node["capacity"] = [{"orders": 2}, {"lines": 3}, {"units": 3}, {}, {"orders": 1, "units": 4}][n]
    network["carriers"][0]["services"][0] = network["carriers"][0]["services"][0] | {"parcels_per_day": 2}
    found = plan(orders, network, time_limit_s=3.0)
    judge(found, network, orders)
    parcels = Counter((f.node, f.ship_by.date()) for p in found.plans for f in p.fulfilments)
    assert max(parcels.values()) <= 2


def test_the_last_parcels_of_a_lane_go_to_whom_they_save_most() -> None:
    """One parcel a day along a cheap lane that two nodes share; the next day is too late, and the other service costs
    the light order 100 more, the heavy one 1,000."""
    network, light, heavy = lane_of_two_nodes(parcels_per_day=1)
    in_turn = onhand.source([light, heavy], network, at=AT)
    assert [p.fulfilments[0].service for p in in_turn] == ["cheap", "dear"]
    for orders in ([light, heavy], [heavy, light]):
        found = plan(orders, network)
        assert {p.fulfilments[0].lines["A"]: p.fulfilments[0].service for p in found.plans} == {1: "dear", 9: "cheap"}
        assert {p.fulfilments[0].ship_by.day for p in found.plans} == {2}
        assert found.cost_minor == pytest.approx(sum(p.cost_minor for p in in_turn) - 900)
        assert found.is_proved and found.gap <= 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_no_lane_takes_more_than_it_does(seed: int) -> None:
    network, orders = draw(300 + seed, nodes=5, items=6, orders=20, lines=3, stock=0.9)
    lanes = [
        {"from_nodes": ["N0", "N1", "N2"], "transit_days": {"p50": 1, "p95": 2}, "parcels_per_day": 3},
        {"transit_days": {"p50": 2, "p95": 3}, "parcels_per_day": 2},
    ]
    network["carriers"][0]["services"][0] = network["carriers"][0]["services"][0] | {"lanes": lanes}
    found = plan(orders, network, time_limit_s=3.0)
    judge(found, network, orders)
    sent = Counter((f.node in ("N0", "N1", "N2"), f.ship_by.date()) for p in found.plans for f in p.fulfilments)
    assert all(n <= (3 if first else 2) for (first, _), n in sent.items()) and len(sent) > 2


def lane_of_two_nodes(**lane: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(network, an order of one unit near one of two nodes, an order of nine units near the other)"""
    rates = {"by": "distance_km", "distance_km": [100, None], "weights_g": [50, 1000]}
    cheap = SERVICE | {"code": "cheap", "rate_table": rates | {"prices_minor": [[300, 400], [9000, 9000]]}}
    cheap["lanes"] = [{"to_countries": ["DE"], "transit_days": {"p50": 1, "p95": 1}} | lane]
    dear = SERVICE | {"code": "dear", "rate_table": rates | {"prices_minor": [[400, 1400], [9000, 9000]]}}
    network = deepcopy(NETWORK) | {"carriers": [{"code": "C", "name": "C", "services": [cheap, dear]}]}
    network["stock"] = [{"sku": "A", "node": "near", "available": 1}, {"sku": "A", "node": "far", "available": 9}]
    there = HERE | {"longitude": 14.0}
    late = {"objective": "speed"}
    return network, order(A=1) | late, {"destination": there, "lines": [{"sku": "A", "quantity": 9}]} | late


def test_who_comes_first_does_not_matter() -> None:
    network, orders = draw(7, nodes=4, items=5, orders=14, lines=3, stock=0.6)
    found = plan(orders, network, refuse_minor=20_000)
    turned = plan(orders[::-1], network, refuse_minor=20_000)
    assert turned.cost_minor <= found.cost_minor * (1 + turned.gap) + 1e-6
    assert found.cost_minor <= turned.cost_minor * (1 + found.gap) + 1e-6


def test_safety_stock_and_units_on_their_way_come_last() -> None:
    network = NETWORK | {
        "stock": [{"sku": "A", "node": "near", "available": 2, "safety_stock": 1}],
        "inbound": [{"sku": "A", "node": "near", "quantity": 1, "expected_at": "2026-03-05T08:00:00Z"}],
    }
    orders = [order(A=1)] * 4
    found = plan(orders, network)
    judge(found, network, orders)
    assert Counter(p.status for p in found.plans) == {"sourced": 2, "backordered": 1, "unfillable": 1}
    never = plan([one | {"allow_backorder": False} for one in orders], network)
    assert Counter(p.status for p in never.plans) == {"sourced": 2, "unfillable": 2}


def test_what_refusing_costs_decides_who_is_left_out() -> None:
    """One unit, two who want it: at the policy's price of an unserved unit nobody is served where serving is dearer."""
    margin = STANDARD.objectives["margin"]
    for price, refused in ((100, 2), (100_000, 1)):
        objective = replace(margin, unserved_order_minor=0, unserved_unit_minor=price)
        policy = replace(STANDARD, objectives={"margin": objective}, default="margin")
        network = NETWORK | {"stock": [{"sku": "A", "node": "near", "available": 1}]}
        found = plan([order(A=1)] * 2, network, policy=policy)
        assert (found.refused, found.refused_minor) == (refused, refused * price)


def test_nothing_is_changed_and_the_same_seed_gives_the_same() -> None:
    network, orders = draw(11, nodes=4, items=5, orders=12, stock=0.5)
    known = onhand.Network.load(network, at=AT)
    before = known.available.copy()
    first, second = plan(orders, known, seed=3), plan(orders, known, seed=3)
    assert first.plans == second.plans
    assert (known.available == before).all()
    assert plan([], known).cost_minor == 0.0


def test_no_time_still_gives_a_plan_and_a_bound() -> None:
    network, orders = draw(12, nodes=4, items=5, orders=12, stock=0.5)
    found = plan(orders, network, time_limit_s=0.0)
    judge(found, network, orders)
    assert found.bound_minor > 0


def test_the_kernel_is_compiled_once() -> None:
    """Arrays that are laid out otherwise would be compiled by themselves, which takes a minute."""
    signatures = getattr(kernel.source_batch, "signatures", [()])
    assert len(signatures) == 1


def test_a_bad_order_is_told_by_its_field() -> None:
    with pytest.raises(onhand.InvalidInput) as told:
        plan([order(A=1), order(X=1)])
    assert [e.path for e in told.value.errors] == ["orders[1].lines[0].sku"]
    assert HERE["country"] == "DE"
