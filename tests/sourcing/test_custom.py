"""Cost terms of others: which are taken, what they are asked, and what becomes of a decision when they fail."""

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import structlog
from tests.sourcing.worlds import Running, draw

import onhand
from onhand.sourcing import custom, record
from onhand.sourcing.custom import Term, TermBatch, term_of
from onhand.sourcing.solve import asked, decide_asked
from onhand.sourcing.term_table import built_in, table

PAGE = Path(__file__).parents[2] / "docs/how-to/add-a-cost-term.md"
AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


def term(fulfilment: Any = None, unit: Any = None, name: str = "own") -> Term:
    return Term(name=name, summary="x", origin="test 1", fulfilment=fulfilment, unit=unit)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have these terms, and no fault so far."""
    monkeypatch.setattr(custom, "_faults", type(custom._faults)())

    def install(*terms: Term) -> None:
        monkeypatch.setattr(custom, "installed", lambda: terms)

    return install


SERVICE: dict[str, Any] = {
    "code": "parcel",
    "currency": "EUR",
    "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [9000], "prices_minor": [[500]]},
    "transit_days": {"p50": 1, "p95": 1},
}
NODE = {"country": "DE", "latitude": 50.0, "longitude": 10.0, "timezone": "UTC"}
NETWORK: dict[str, Any] = {
    "items": [
        {"sku": "A", "name": "A", "weight_g": 10, "category": "toys", "price_minor": 900, "currency": "EUR"},
        {"sku": "B", "name": "B", "weight_g": 20, "length_mm": 2, "width_mm": 3, "height_mm": 4},
    ],
    "nodes": [
        NODE | {"code": "near", "name": "near", "node_type": "warehouse", "postal_code": "1", "region": "DE-BE"},
        NODE
        | {"code": "far", "name": "far", "node_type": "store", "handling_cost_minor": 50, "longitude": 14.0}
        | {"attributes": {"cold": True}},
    ],
    "carriers": [{"code": "C", "name": "C", "services": [SERVICE]}],
    "stock": [{"sku": sku, "node": node, "available": 9} for sku in "AB" for node in ("near", "far")],
}
HERE = {"country": "DE", "region": "DE-BY", "postal_code": "80331", "latitude": 50.0, "longitude": 10.0}


def source(*lines: tuple[str, int], orders: int = 1, **more: Any) -> list[onhand.Plan]:
    order = {"destination": HERE, "lines": [{"sku": sku, "quantity": n} for sku, n in lines or [("A", 1)]]}
    return onhand.source([order] * orders, NETWORK, at=AT, **more)


def policy(**weights: float) -> onhand.Policy:
    return onhand.Policy(version="t@1", objectives=_objectives(weights), default="margin", fulfilments_max=4)


def _objectives(weights: dict[str, float]) -> dict[str, onhand.Objective]:
    prices = {"split_minor": 100.0, "target_days": 5.0, "late_minor": 0.0, "day_minor": 0.0, "co2_minor_per_kg": 0.0}
    return {"margin": onhand.Objective(**prices, weights=weights)}


# What it sees and says -----------------------------------------------------------------------------------------------


def test_a_term_sees_orders_demand_and_nodes(install: Any) -> None:
    seen: list[TermBatch] = []
    install(term(lambda batch: seen.append(batch) or 0))
    source(("A", 2), ("B", 3), orders=2)
    (b,) = seen
    assert (b.orders, b.nodes, b.now) == (2, 2, AT)
    assert [b.country.tolist(), b.region.tolist(), b.postal_code.tolist()] == [["DE"] * 2, ["DE-BY"] * 2, ["80331"] * 2]
    assert [b.channel.tolist(), b.method.tolist()] == [["default"] * 2, ["ship"] * 2]
    assert [b.latitude.tolist(), b.longitude.tolist(), b.residential.tolist()] == [[50] * 2, [10] * 2, [False] * 2]
    assert [b.order.tolist(), b.sku.tolist(), b.units.tolist()] == [[0, 0, 1, 1], ["A", "B"] * 2, [2, 3] * 2]
    assert [b.category.tolist(), b.weight_g.tolist()] == [["toys", ""] * 2, [10, 20] * 2]
    assert [b.volume_mm3.tolist(), b.price_minor.tolist()] == [[0, 24] * 2, [900, 0] * 2]
    assert b.total(b.units * b.weight_g).tolist() == [80, 80] and b.total(1).tolist() == [2, 2]
    assert [b.node.tolist(), b.node_type.tolist()] == [["near", "far"], ["warehouse", "store"]]
    assert [b.node_country.tolist(), b.node_region.tolist()] == [["DE"] * 2, ["DE-BE", ""]]
    assert [b.node_postal_code.tolist(), b.node_attributes] == [["1", ""], ({}, {"cold": True})]
    assert b.node_longitude.tolist() == pytest.approx([10, 14])
    # Along a parallel the great circle: 2 asin(cos 50 sin 2) of the radius.
    expected = 2 * 6371.0088 * np.arcsin(np.cos(np.radians(50)) * np.sin(np.radians(2)))
    assert b.distance_km.tolist() == [pytest.approx([0, expected], abs=0.01)] * 2
    with pytest.raises(ValueError, match="read-only"):
        b.units[0] = 1


def test_a_term_costs_by_fulfilment_and_by_unit_at_the_weight_of_the_policy(install: Any) -> None:
    install(term(lambda b: [[40, 40]], lambda b: np.where(b.sku == "B", 7, 0)[:, None], name="own"))
    for weights, cost in (({}, 40 + 14), ({"own": 2.5}, 2.5 * 54), ({"own": 0}, 0)):
        (plan,) = source(("A", 1), ("B", 2), policy=policy(**weights))
        (f,) = plan.fulfilments
        assert f.cost["own"] == cost and f.cost_minor == plan.cost_minor == pytest.approx(sum(f.cost.values()))
    assert custom.term_names()[-1] == "own"


def test_a_term_decides_where_an_order_is_sent_from(install: Any) -> None:
    """near is cheaper by 50; below 0 is a saving, infinite forbids."""
    for asks, node in (([[49, 0]], "near"), ([[51, 0]], "far"), ([[0, -51]], "far"), ([[np.inf, 9e9]], "far")):
        install(term(lambda b, asks=asks: asks))
        assert source()[0].nodes == [node]
    install(term(unit=lambda b: np.where((b.sku == "A")[:, None] & (b.node == "near"), np.inf, 0)))
    assert source(("A", 1), ("B", 1))[0].nodes == ["far"]
    install(term(lambda b: np.inf))
    assert source()[0].status == "unfillable"
    assert source(policy=policy(own=0))[0].status == "sourced", "what has no weight forbids nothing"


@pytest.mark.parametrize("weight", [1.0, 0.5, 4.0])
def test_what_is_paid_lowers_the_profit_whatever_it_weighs(install: Any, weight: float) -> None:
    def profit() -> float:
        (plan,) = source(("A", 2), policy=policy(own=weight))
        assert plan.fulfilments[0].cost["own"] == weight * (30 + 2 * 5)
        return plan.profit_minor

    asks = {"fulfilment": lambda b: 30, "unit": lambda b: 5}
    install(term(**asks))
    before = profit()
    install(replace(term(**asks), paid=True))
    assert before - profit() == pytest.approx(40)


def test_a_term_without_weight_is_not_asked(install: Any) -> None:
    calls: list[int] = []
    install(term(lambda b: calls.append(1) or 0))
    source(policy=policy(own=0))
    assert calls == []
    source(policy=policy(own=0.1))
    assert calls == [1]


# When it fails -------------------------------------------------------------------------------------------------------


def _fail(_: TermBatch) -> Any:
    raise KeyError("tariff")


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        (_fail, "KeyError: 'tariff'"),
        (lambda b: np.zeros((b.orders, b.nodes + 1)), "fulfilment answered an array of shape [1, 3], expected [orders"),
        (lambda b: np.zeros(b.nodes), "shape [2]"),
        (lambda b: "dear", "ValueError"),
        (lambda b: None, "expected"),
        (lambda b: np.full((1, 2), np.nan), "no money for 1 of 1 orders"),
        (lambda b: [[0, -np.inf]], "no money"),
        (lambda b: [[0, 1e13]], "no money"),
    ],
)  # fmt: skip
def test_a_term_that_fails_counts_0_and_says_so(install: Any, asks: Any, said: str) -> None:
    install(term(lambda b: [[80, 0]], name="other"), term(asks))
    with structlog.testing.capture_logs() as logs:
        (plan,) = source()
    assert plan.nodes == ["far"], "the other term still counts"
    assert plan.fulfilments[0].cost["own"] == 0
    (fault,) = custom.faults()
    assert (fault.name, fault.count) == ("own", 1) and said in fault.message
    assert [(entry["term"], entry["times"]) for entry in logs] == [("own", 1)]


def test_what_is_wrong_for_one_order_is_right_for_the_others(install: Any) -> None:
    def asks(b: TermBatch) -> Any:
        minor = np.zeros((b.orders, b.nodes))
        minor[:, 0] = 80
        minor[1, 1] = np.nan
        return minor

    install(term(asks, unit=lambda b: np.where(b.order == 2, np.nan, 1)[:, None]))
    assert [p.nodes for p in source(orders=4)] == [["far"], ["near"], ["near"], ["far"]]
    assert [p.fulfilments[0].cost["own"] for p in source(orders=4)] == [1, 0, 0, 1]


def test_a_term_that_always_fails_does_not_fill_the_log(install: Any) -> None:
    install(term(_fail))
    with structlog.testing.capture_logs() as logs:
        for _ in range(25):
            source()
    assert [entry["times"] for entry in logs] == [1, 10]
    assert [f.count for f in custom.faults()] == [25]


# Which are taken -----------------------------------------------------------------------------------------------------


class Good:
    summary = "What it  is."

    def fulfilment(self, batch: TermBatch) -> float:
        return 1.0


def test_a_module_a_class_and_an_object_are_terms() -> None:
    for given in (Good, Good(), SimpleNamespace(summary="What it is.", fulfilment=Good().fulfilment)):
        made = term_of("own", given, origin="x 1")
        assert (made.name, made.summary, made.origin, made.unit) == ("own", "What it is.", "x 1", None)
        assert made.fulfilment is not None and made.fulfilment(None) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("Own", Good, "small letters"),
        ("own-one", Good, "small letters"),
        ("split", Good, "built-in"),
        ("margin_floor", Good, "built-in"),
        ("own", SimpleNamespace(summary="x", name="other", unit=print), "'other'"),
        ("own", SimpleNamespace(fulfilment=print), "summary"),
        ("own", SimpleNamespace(summary=" ", fulfilment=print), "summary"),
        ("own", SimpleNamespace(summary="x"), "fulfilment"),
        ("own", SimpleNamespace(summary="x", fulfilment=3), "function"),
    ],
)
def test_what_is_no_term_is_told(name: str, given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        term_of(name, given, origin="x")


def test_one_that_cannot_be_loaded_is_left_out(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(*, group: str) -> list[EntryPoint]:
        here = f"{__name__}:Good"
        return [EntryPoint("b", "no.such.module", group), EntryPoint("c", here, group), EntryPoint("a", here, group)]

    monkeypatch.setattr(custom, "entry_points", entry_points)
    monkeypatch.setitem(__import__("sys").modules, __name__, SimpleNamespace(Good=Good))
    custom.installed.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match=r"cost term b of no\.such\.module cannot be used"):
            assert custom.names() == ("a", "c")
        assert [(f.name, f.count) for f in custom.faults()] == [("b", 0)]
        assert "No module named" in custom.faults()[0].message
    finally:
        custom.installed.cache_clear()


# What is kept --------------------------------------------------------------------------------------------------------


def test_a_record_holds_what_was_asked_for_whoever_may_have_held_something(install: Any) -> None:
    random = np.random.default_rng(5)
    install(
        term(lambda b: random.uniform(-50, 300, (b.orders, b.nodes))),
        term(unit=lambda b: random.integers(1, 9, (len(b.order), b.nodes)), name="units"),
        term(lambda b: 0, name="nothing"),
    )
    checked = 0
    for seed in range(60):
        world = draw(Random(seed), orders=3)
        running = Running.of(world)
        asks = [world.ask(order, running.network) for order in world.orders]
        now = world.now.timestamp()
        batch = asked(asks, running.network)
        decisions = decide_asked(
            batch, running.stock, running.network, world.policy, running.goods, now=now, consume=True
        )
        raw = record.encode(decisions, batch.latitude, batch.longitude, running.goods, now)
        for o, ask in enumerate(asks):
            seen = record.decode(raw[o])
            assert record.decode(record.coarsen(raw[o])).terms is not None
            assert seen.units.tolist() == [units for _, units in ask.demand]
            if not seen.terms:
                continue
            assert [t.name for t in seen.terms] == ["own", "units"]
            nodes = set(seen.terms[0].node_id.tolist())
            assert nodes >= {c.node_id for c in seen.candidates}
            first = int(decisions.demand_first[o])
            for n, node in enumerate(seen.terms[0].node_id.tolist()):
                assert seen.terms[0].fulfilment[n] == decisions.custom.fulfilment[0, o, node]
                assert seen.terms[1].unit is not None
                for d in range(len(ask.demand)):
                    assert seen.terms[1].unit[d, n] == decisions.custom.unit[1, first + d, node]
                checked += 1
    assert checked > 200


def test_without_terms_a_record_is_as_it_was(install: Any) -> None:
    world = draw(Random(3), orders=2)

    def raw() -> list[bytes]:
        running = Running.of(world)
        batch = asked([world.ask(order, running.network) for order in world.orders], running.network)
        now = world.now.timestamp()
        decisions = decide_asked(
            batch, running.stock, running.network, world.policy, running.goods, now=now, consume=False
        )
        return record.encode(decisions, batch.latitude, batch.longitude, running.goods, now)

    install()
    before = raw()
    install(term(lambda b: 0))
    assert raw() == before
    install(term(lambda b: 1))
    assert all(len(a) > len(b) for a, b in zip(raw(), before, strict=True) if record.decode(b).candidates)


# In the documentation ------------------------------------------------------------------------------------------------


def test_the_page_has_the_built_in_terms_and_all_that_a_batch_shows() -> None:
    text = PAGE.read_text("utf-8")
    assert table() in text
    assert all(info.summary.endswith(".") for info in built_in())
    shown = {name for name in dir(TermBatch) if not name.startswith("_")} | {"orders", "nodes", "now"}
    missing = {name for name in shown - {"node_id", "total"} if f"`{name}`" not in text}
    assert not missing and "batch.total(" in text


def test_orders_planned_together_ask_terms_once_for_each_way_they_are_planned(install: Any) -> None:
    """However often the search decides them; and each order by what it was asked for itself."""
    calls: list[int] = []

    def dear(batch: TermBatch) -> Any:
        calls.append(batch.orders)
        return 10.0 * batch.latitude[:, np.newaxis] * (batch.node == "near")[np.newaxis, :]

    install(term(dear), term(unit=lambda b: 1.0 * b.units[:, np.newaxis], name="each"))
    orders = [
        {"destination": {"country": "DE", "postal_code": "1", "latitude": 40.0 + n, "longitude": 10.0}}
        | {"lines": [{"sku": "A", "quantity": 1 + n % 3}, {"sku": "B", "quantity": 1}][: 1 + n % 2]}
        for n in range(8)
    ]
    made = onhand.source_batch(orders, NETWORK, time_limit_s=1.0)
    assert len(calls) <= 3
    served = [plan for plan in made.plans if plan.fulfilments]
    assert len(served) >= 4
    for n, plan in enumerate(made.plans):
        for f in plan.fulfilments:
            units = orders[n]["lines"]
            assert f.cost["own"] == pytest.approx((400 + 10 * n) * (f.node == "near"))
            wanted = {line["sku"]: line["quantity"] for line in units}
            assert f.cost["each"] == pytest.approx(sum(u * wanted[sku] for sku, u in f.lines.items()))
