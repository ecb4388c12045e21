"""Instances of multi-item online fulfilment after the published recipe (S. Jasin and A. Sinha 2015; W. Ma 2023).

Orders of a few fixed types (sets of items) come from cities by population; every item is stocked at some centres. The
cost of an order is a fixed amount per centre used, and per item an amount that grows with the distance; what is not
served costs twice what the farthest centre would.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onhand.sourcing.prices import Costs, Orders

FIXED = 8.759
PER_ITEM = 0.423
PER_ITEM_MILE = 0.000541
UNSERVED = 2.0  # times the farthest centre
EARTH_MILES = 3958.8


@dataclass(frozen=True, slots=True)
class Geography:
    """miles float64[city, centre]; share float64[city] of the population."""

    miles: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Instance:
    """One problem with its arrivals.

    pairs     every (order type, city) as an order of one unit a line; region is the city
    weight    float64[pair], probability of the pair; they sum to 1
    stock     int32[item, centre]
    sequence  int64[order], the pairs as they arrive
    """

    costs: Costs
    pairs: Orders
    weight: npt.NDArray[np.float64]
    stock: npt.NDArray[np.int32]
    sequence: npt.NDArray[np.int64]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """int64[pair], arrivals of each."""
        return np.bincount(self.sequence, minlength=len(self.weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """items; order sizes 1 .. max_size with `types` order types each; stocking: probability that a centre stocks an
    item; orders: length of the sequence; safety: stock beyond the expected demand, in its standard deviations;
    mix: `equal` order types, or `random` shares for sizes and for types within them."""

    items: int = 20
    max_size: int = 5
    types: int = 5
    stocking: float = 0.75
    orders: int = 10_000
    safety: float = 0.5
    mix: str = "random"


def _read(path: Path, names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([[float(row[name]) for name in names] for row in csv.DictReader(file)])


def read_geography(folder: Path) -> Geography:
    """Cities and centres of a folder: `cities<X>.csv` with `fulfillment_centers<X>.csv`; of several such pairs the
    one with the most cities. FileNotFoundError when there is none."""
    found: list[tuple[int, str, Any, Any]] = []
    for path in sorted(folder.glob("cities*.csv")):
        beside = path.with_name(path.name.replace("cities", "fulfillment_centers", 1))
        if beside.exists():
            cities = _read(path, ("Latitude", "Longitude", "Population"))
            found.append((len(cities), path.name, cities, _read(beside, ("Latitude", "Longitude"))))
    if not found:
        raise FileNotFoundError(f"expected cities*.csv and fulfillment_centers*.csv of the same ending in {folder}")
    _, _, cities, centres = max(found, key=lambda f: f[:2])
    return Geography(miles=haversine_miles(cities[:, :2], centres), share=cities[:, 2] / cities[:, 2].sum())


def haversine_miles(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64[a, b], great-circle distances of points in degrees (latitude, longitude)."""
    p, q = np.radians(a)[:, None], np.radians(b)[None, :]
    h = np.sin((q[..., 0] - p[..., 0]) / 2) ** 2
    h += np.cos(p[..., 0]) * np.cos(q[..., 0]) * np.sin((q[..., 1] - p[..., 1]) / 2) ** 2
    return 2 * EARTH_MILES * np.arcsin(np.sqrt(h))


def costs_of(miles: npt.NDArray[np.float64]) -> Costs:
    cities, centres = miles.shape
    fixed = np.full((cities, centres + 1), FIXED)
    unit = np.empty((cities, centres + 1))
    unit[:, :centres] = PER_ITEM + PER_ITEM_MILE * miles
    fixed[:, centres] = UNSERVED * FIXED
    unit[:, centres] = UNSERVED * (PER_ITEM + PER_ITEM_MILE * miles.max())
    return Costs(fixed=fixed, unit=unit)


def build(geography: Geography, recipe: Recipe, seed: int) -> Instance:
    """The instance of a seed: equal arguments give equal instances."""
    random = np.random.default_rng(seed)
    cities, centres = geography.miles.shape
    types = [
        np.sort(random.choice(recipe.items, size, replace=False))
        for size in range(1, recipe.max_size + 1)
        for _ in range(recipe.types)
    ]
    share = np.ones(len(types))
    if recipe.mix == "random":
        sizes = random.random(recipe.max_size)
        share = np.repeat(sizes, recipe.types) * _rows_to_one(random.random((recipe.max_size, recipe.types))).ravel()
    share /= share.sum()
    stocked = random.random((recipe.items, centres)) < recipe.stocking
    for item in np.flatnonzero(~stocked.any(axis=1)):
        stocked[item, random.integers(centres)] = True
    weight = np.outer(share, geography.share)
    stock = _nearest_stocked(types, weight, geography.miles, stocked, recipe)
    sequence = random.choice(weight.size, recipe.orders, p=weight.ravel())
    return Instance(
        costs=costs_of(geography.miles),
        pairs=_pairs(types, cities),
        weight=weight.ravel(),
        stock=stock,
        sequence=sequence.astype(np.int64),
    )


def _rows_to_one(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values / values.sum(axis=1, keepdims=True)


def _nearest_stocked(
    types: list[Any],
    weight: npt.NDArray[np.float64],
    miles: npt.NDArray[np.float64],
    stocked: npt.NDArray[np.bool_],
    recipe: Recipe,
) -> npt.NDArray[np.int32]:
    """Stock if every unit came from the nearest centre that stocks its item: expected demand, rounded up."""
    nearest = np.where(stocked[:, None, :], miles[None], np.inf).argmin(axis=2)  # [item, city]
    probability = np.zeros(stocked.shape)
    for t, items in enumerate(types):
        for item in items:
            np.add.at(probability[item], nearest[item], weight[t])
    mean = recipe.orders * probability
    sd = np.sqrt(mean * (1 - probability))
    # A probability that is summed in another order must not buy another unit.
    return np.ceil(mean + recipe.safety * sd - 1e-6).astype(np.int32)


def _pairs(types: list[Any], cities: int) -> Orders:
    sizes = np.repeat([len(items) for items in types], cities)
    return Orders(
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        item=np.concatenate([np.tile(items, cities) for items in types]).astype(np.int32),
        units=np.ones(int(sizes.sum()), np.int32),
        region=np.tile(np.arange(cities), len(types)).astype(np.int32),
    )


def misestimated(weight: npt.NDArray[np.float64], deviation: float, seed: int) -> npt.NDArray[np.float64]:
    """Shares as a forecast may have them: each wrong by a log-normal factor, then made to sum to 1 again."""
    if deviation == 0.0:
        return weight
    wrong = weight * np.exp(deviation * np.random.default_rng([seed, 1]).standard_normal(len(weight)))
    return wrong / wrong.sum()


def cost_of(instance: Instance, node: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """float64[order], what it costs to serve the sequence as `node` int32[line] says, figured apart from any engine.

    ValueError when a centre gives more than it holds.
    """
    costs, pairs = instance.costs, instance.pairs
    sizes = np.diff(pairs.first)[instance.sequence]
    order = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    line = np.repeat(pairs.first[instance.sequence], sizes) + within
    region = pairs.region[instance.sequence]
    used = np.zeros((len(instance.stock), instance.stock.shape[1] + 1), np.int64)
    np.add.at(used, (pairs.item[line], node), pairs.units[line])
    if (used[:, :-1] > instance.stock).any():
        raise ValueError("expected no centre to give more than it holds")
    opened = np.zeros((len(sizes), used.shape[1]), np.bool_)
    opened[order, node] = True
    fixed = (opened * costs.fixed[region]).sum(axis=1)
    return fixed + np.bincount(order, costs.unit[region[order], node] * pairs.units[line], len(sizes))
