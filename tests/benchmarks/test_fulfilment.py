"""The multi-item instances, the reference engine and the two bounds, on a made-up country of three cities."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from multi_item import bounds, engine
from multi_item.instances import Geography, Recipe, build, cost_of, misestimated, read_geography
from multi_item.reference import Settings

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "data" / "fulfilment"
KEYS = {"ratio_mean", "ratio_max", "myopic_ratio_mean", "orders_per_s", "order_exact_ratio_mean", "seeds", "settings"}
CITIES = [(0.0, 0.0, 500), (0.0, 10.0, 300), (5.0, 20.0, 200)]
CENTRES = [(0.0, 1.0), (0.0, 18.0)]
SMALL = Recipe(items=6, max_size=3, types=2, orders=800)


def write(folder: Path, ending: str, cities: list, centres: list) -> None:
    for name, columns, rows in (
        ("cities", ("Latitude", "Longitude", "Population"), cities),
        ("fulfillment_centers", ("Latitude", "Longitude"), centres),
    ):
        with (folder / f"{name}{ending}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "", CITIES, CENTRES)
    return tmp_path


@pytest.fixture
def geography(folder: Path) -> Geography:
    return read_geography(folder)


def test_of_two_geographies_the_one_with_more_cities_is_read(folder: Path) -> None:
    write(folder, "_warmup", CITIES[:2], CENTRES[:1])
    (folder / "cities_zz.csv").write_text("Latitude,Longitude,Population\n" + "1,1,1\n" * 9)  # without centres
    assert read_geography(folder).miles.shape == (3, 2)


def test_a_folder_without_coordinates_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="fulfillment_centers"):
        read_geography(tmp_path)


def test_distances_are_great_circles(geography: Geography) -> None:
    # One degree of the equator on a sphere of 3,958.8 miles.
    assert geography.miles[0, 0] == pytest.approx(2 * np.pi * 3958.8 / 360)
    assert geography.miles[1, 1] == pytest.approx(8 * 2 * np.pi * 3958.8 / 360)


def test_stock_is_the_expected_demand_of_the_nearest_stocked_centre(geography: Geography) -> None:
    recipe = Recipe(items=4, max_size=2, types=3, orders=1000, stocking=1.0, safety=0.0, mix="equal")
    made = build(geography, recipe, 0)
    expected = np.zeros(made.stock.shape)
    for p, (begin, end) in enumerate(zip(made.pairs.first, made.pairs.first[1:], strict=False)):
        nearest = geography.miles[made.pairs.region[p]].argmin()
        for line in range(begin, end):
            expected[made.pairs.item[line], nearest] += 1000 * made.weight[p]
    assert (made.stock == np.ceil(np.round(expected, 6))).all()
    assert made.weight.sum() == pytest.approx(1.0)


def test_equal_seeds_give_equal_instances(geography: Geography) -> None:
    a, b, c = (build(geography, SMALL, seed) for seed in (3, 3, 4))
    assert (a.sequence == b.sequence).all() and (a.stock == b.stock).all()
    assert not (a.sequence == c.sequence).all()


@pytest.mark.parametrize("misestimate", [0.0, 0.3])
@pytest.mark.parametrize("safety", [-2.0, 0.0])
def test_bounds_lie_below_every_policy_and_the_order_exact_above_the_item_lp(
    geography: Geography, misestimate: float, safety: float
) -> None:
    for seed in range(5):
        made = build(geography, Recipe(items=6, max_size=3, types=2, orders=800, stocking=0.5, safety=safety), seed)
        forecast = misestimated(made.weight, misestimate, seed)
        costs = []
        for served in (engine.myopic(made), engine.forward(made, engine.Forward(refreshes=8), forecast, seed)):
            assert served.cost == pytest.approx(cost_of(made, served.node))
            costs.append(served.cost.sum())
        relaxed = bounds.item_lp(made)
        assert relaxed is not None
        exact = bounds.order_exact(made, relaxed.price, min(costs))
        assert relaxed.value <= exact.value * (1 + 1e-6)
        assert exact.value <= min(costs) * (1 + 1e-9)


def test_prices_beat_cost_alone_where_stock_is_scarce(geography: Geography) -> None:
    ratios = []
    for seed in range(8):
        made = build(geography, Recipe(items=6, max_size=4, types=3, orders=2000), seed)
        forward = engine.forward(made, engine.Forward(), made.weight, seed)
        ratios.append(forward.cost.sum() / engine.myopic(made).cost.sum())
    assert np.mean(ratios) < 0.99


def test_decisions_do_not_depend_on_the_currency(geography: Geography) -> None:
    # A power of two, so that not even the last bit differs.
    made = build(geography, SMALL, 1)
    dear = type(made)(
        geography=made.geography,
        costs=type(made.costs)(*(64 * part for part in made.costs)),
        pairs=made.pairs,
        weight=made.weight,
        stock=made.stock,
        sequence=made.sequence,
    )
    policy = engine.Forward(settings=Settings(eta=0.01))
    plain, scaled = (engine.forward(m, policy, m.weight) for m in (made, dear))
    assert (plain.node == scaled.node).all()


def test_taking_more_than_a_centre_holds_is_found(geography: Geography) -> None:
    made = build(geography, SMALL, 0)
    lines = int(np.diff(made.pairs.first)[made.sequence].sum())
    with pytest.raises(ValueError, match="more than it holds"):
        cost_of(made, np.zeros(lines, np.int32))


def test_a_forecast_learns_only_as_much_as_it_is_wrong() -> None:
    random = np.random.default_rng(0)
    forecast = np.full(50, 0.02)
    truth = misestimated(forecast, 0.5, 0)
    seen = random.multinomial(20_000, truth).astype(float)
    assert abs(engine.learned(forecast, seen) - truth).max() < 0.2 * abs(forecast - truth).max()
    kept = [engine.learned(forecast, random.multinomial(500, forecast).astype(float)) for _ in range(20)]
    assert np.mean([abs(k / forecast - 1).mean() for k in kept]) < 0.1


@pytest.mark.parametrize("policy", ["myopic", "forward"])
def test_the_program_answers_in_json(folder: Path, policy: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "fulfilment.py"), "--data", str(folder), "--policy", policy]
    command += ["--items", "6", "--max-size", "3", "--types", "2", "--orders", "300", "--seeds", "2"]
    command += ["--misestimate", "0.3", "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer.keys() >= KEYS
    assert answer["settings"]["misestimate"] == 0.3
    assert [row["seed"] for row in answer["seeds"]] == [0, 1]
    assert answer["order_exact_ratio_mean"] >= 1.0 - 1e-9 and answer["ratio_mean"] <= answer["ratio_max"]
    if policy == "myopic":
        assert answer["ratio_mean"] == answer["myopic_ratio_mean"]


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published coordinates in {PUBLISHED.name} beside the project")
def test_the_published_instances_meet_their_limits() -> None:
    geography = read_geography(PUBLISHED)
    recipe = Recipe()
    over_lp, over_exact = [], []
    for seed in range(10):
        made = build(geography, recipe, seed)
        cost = engine.forward(made, engine.Forward(), misestimated(made.weight, 0.3, seed), seed).cost.sum()
        relaxed = bounds.item_lp(made)
        assert relaxed is not None
        over_lp.append(cost / relaxed.value)
        over_exact.append(cost / bounds.order_exact(made, relaxed.price, cost).value)
    assert np.mean(over_lp) <= 1.016
    assert np.mean(over_exact) <= 1.007
