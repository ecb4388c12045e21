"""Stock that is recorded and not there: what runs of no sales and rejections say, and which count pays for itself.

A record that says there are units while there are none sells nothing and is never replenished: no sale will ever
correct it. Each day without a sale is evidence, the more so the faster the item sells (DeHoratius, Mersereau and
Schrage 2008 keep such a belief; this is its two-state form: there, or absent). With velocity λ a day,
negative-binomial demand of size r, and the hazard ρ that units vanish in a day, a day of no sales does

    there  <- there (1 - ρ) (r / (r + λ))^r        absent <- absent + ρ there

A Poisson's e^-λ instead of (r / (r + λ))^r would be far too sure. λ is not known: its distribution over items is
learned from all of them without assuming its shape (the nonparametric maximum likelihood of Robbins 1956 and Laird
1978 on a grid, by EM), of departments shrunk to that of all; the posterior of each item follows from what it sold, and
the belief is averaged over it. Item-nodes that never sold anything are so not taken for phantoms. What the same item
sells at other nodes, and the node of other items, tells more (`across`): then the distribution is that of λ over this
base.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.kernels import absent
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Points of the grid of velocities: 20 % from one to the next.
_POINTS: Final = 64
_ROUNDS: Final = 200
# A department, or a range of bases in it, with this many item-nodes has half its own distribution of velocities.
_OF_ALL_WEIGHT: Final = 50.0
_SIZES: Final = (0.05, 50.0)
# Item-nodes with the same units and days are one; beyond this many units they are counted by the twentieth.
_FINE_UNITS: Final = 200
# Bases are told apart by a quarter.
_BASE_STEP: Final = 0.25
_BASE_BINS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Velocities:
    """What was learned of a shop's velocities.

    rate  float64[group, point], units a day, rising; groups are departments, or departments and ranges of bases
    prior float64[group, point], shares of item-nodes that add up to 1
    size  float64[group], of the negative binomial of a day's demand
    departments  how many there are
    first_base   logarithm of the middle of the lowest range; None: bases tell nothing here, or none were given
    """

    rate: Float64
    prior: Float64
    size: Float64
    departments: int
    first_base: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Item-nodes whose record says that there are units.

    department  int64[n]
    units       float64[n], sold in the days before the run
    days        float64[n], of those days in which there were units to sell
    run_days    float64[n], since there last was proof that there is one (a sale, a scan, a count), while the record
                said so
    rejections  int64[n], of the node since then: looked for and not found
    prior       float64[n], chance that nothing was there when the run began; 0 after a sale or a scan that saw one
    hazard      float64[n], chance that the rest vanishes in a day, see `hazards`
    base        float64[n] > 0, units a day to expect by its item and its node, see `across`; None if `learn` had none
    factor      float64[n], what is wanted on a day of the run as a share of a usual day (season, forecast, what the
                other nodes sell: see `shared_factor`); None: 1
    """

    department: Int64
    units: Float64
    days: Float64
    run_days: Float64
    rejections: Int64
    prior: Float64
    hazard: Float64
    base: Float64 | None = None
    factor: Float64 | None = None

    def __post_init__(self) -> None:
        n = len(self.department)
        for name in ("units", "days", "run_days", "rejections", "prior", "hazard", "base", "factor"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != (n,):
                raise ValueError(f"expected {name}[{n}], as many as departments, got {values.shape}")
            if n and not (values.min() >= 0 and np.isfinite(values).all()):
                raise ValueError(f"expected {name} of at least 0")
        for name in ("prior", "hazard"):
            values = getattr(self, name)
            if n and values.max() >= 1:
                raise ValueError(f"expected {name} below 1")

    def __len__(self) -> int:
        return len(self.department)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """float64[n]: chance that nothing is there, and units a day that are then not sold."""

    absent: Float64
    velocity: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts that pay, the most first.

    row          int64[m], of the positions
    gain_minor   float64[m], expected, after the cost of counting
    loss_minor   float64[m], lost until the next count if nothing is there
    """

    row: Int64
    gain_minor: Float64
    loss_minor: Float64


def learn(
    department: Int64, units: Float64, squares: Float64, days: Float64, *, base: Float64 | None = None,
    departments: int | None = None,
) -> Velocities:  # fmt: skip
    """Velocities and sizes from past sales of item-nodes.

    department  int64[n]
    units       float64[n], sold in those days
    squares     float64[n], sum of the squares of the units of each day
    days        float64[n] >= 1, in which there were units to sell
    base        float64[n] > 0, see `across`; used only if what was sold is then likelier than without

    r by the method of moments over all item-nodes of a department, E[s² - m] = λ² / r and E[m² - s² / days] = λ² (s²,
    m: variance and mean of an item-node's days); shrunk to that of all. Raises ValueError.
    """
    n = len(department)
    if not n or not units.shape == squares.shape == days.shape == (n,):
        raise ValueError("expected units, squares and days of one or more item-nodes")
    if days.min() < 1 or units.min() < 0 or (squares < units**2 / days * (1 - 1e-9)).any():
        raise ValueError("expected days of at least 1, units of at least 0, and squares that they may have")
    count = departments or int(department.max()) + 1
    size = _sizes(department, units, squares, days, count)
    overall = _overall_size(units, squares, days)
    fastest = max(float((units / days).max()) * 1.5, 0.1)
    # What sold nothing in all these days may still sell a tenth of one in as many.
    grid = np.geomspace(min(0.1 / float(days.max()), fastest / 10), fastest, _POINTS)
    of_all, likelihood = _mixed(units, days, np.zeros(n), grid, overall, None)
    if base is not None:
        if base.shape != (n,) or not (base.min() > 0 and np.isfinite(base).all()):
            raise ValueError("expected a base above 0 for each item-node")
        first = float(np.log(np.quantile(base, 0.001)))
        place = _base_bin(base, first)
        relative = np.geomspace(0.01, 100.0, _POINTS)
        shares, explained = _mixed(
            units, days, (first + _BASE_STEP * place).astype(np.float64), relative, overall, None
        )
        if explained > likelihood:
            rate = np.tile(np.exp(first + _BASE_STEP * np.arange(_BASE_BINS))[:, None] * relative, (count, 1))
            prior = _by_group(department * _BASE_BINS + place, units, days, rate, np.repeat(size, _BASE_BINS), shares)
            return Velocities(
                rate=rate, prior=prior, size=np.repeat(size, _BASE_BINS), departments=count, first_base=first
            )
    rate = np.tile(grid, (count, 1))
    return Velocities(
        rate=rate, prior=_by_group(department, units, days, rate, size, of_all), size=size, departments=count
    )


def across(item: Int64, node: Int64, units: Float64, days: Float64, *, weight_units: float = 1.0) -> Float64:
    """float64[n]: units a day that an item-node is expected to sell by what its item sells at other nodes and its node
    sells of other items: `item's rate x node's factor`, a table of rank one (Farias, Li and Peng 2021 look for
    phantoms as what departs from a table of low rank).

    item, node    int64[n]
    units, days   float64[n], as `learn` takes them
    weight_units  units of the mean item-node that an item's rate begins with: what hardly sells anywhere is not known

    Its own sales are left out.
    """
    overall = (units.sum() + 1e-9) / days.sum()
    rate = (np.bincount(item, units) + weight_units) / (np.bincount(item, days) + weight_units / overall)
    factor = np.ones(int(node.max()) + 1)
    # Each in turn, given the other: twice is within a per cent of where it settles.
    for _ in range(2):
        factor = (np.bincount(node, units) + weight_units) / (np.bincount(node, days * rate[item]) + weight_units)
        exposure = days * factor[node]
        rate = (np.bincount(item, units) + weight_units) / (np.bincount(item, exposure) + weight_units / overall)
    exposure = days * factor[node]
    others = np.bincount(item, units)[item] - units, np.bincount(item, exposure)[item] - exposure
    return (others[0] + weight_units) / (others[1] + weight_units / overall) * factor[node]


def believed(positions: Positions, learned: Velocities, *, per_rejection: float = 20.0) -> Beliefs:
    """What is believed of each position; rows do not depend on each other, so changed ones can be asked for alone.

    per_rejection  how many times likelier a node rejects an item that is not there than one that is

    A position whose record says that nothing is there has nothing to be absent: leave it out. O(n).
    """
    if not per_rejection > 1:
        raise ValueError(f"expected per_rejection above 1, got {per_rejection}")
    if len(positions) and positions.department.max() >= learned.departments:
        raise ValueError(f"expected departments below {learned.departments}, got {positions.department.max()}")
    group = positions.department
    if learned.first_base is not None:
        if positions.base is None:
            raise ValueError("expected a base for each position, as velocities were learned with them")
        group = group * _BASE_BINS + _base_bin(positions.base, learned.first_base)
    out, velocity = np.zeros(len(positions)), np.zeros(len(positions))
    size = learned.size[:, None]
    factor = np.ones(len(positions)) if positions.factor is None else positions.factor
    absent(
        group, positions.units, positions.days, positions.run_days, factor, positions.rejections,
        positions.prior, positions.hazard, np.log(np.maximum(learned.prior, 1e-300)),
        size * np.log1p(learned.rate / size), np.log(learned.rate / (learned.rate + size)), learned.rate, learned.size,
        per_rejection, out, velocity,
    )  # fmt: skip
    return Beliefs(absent=out, velocity=velocity)


def hazards(found_absent: Float64, exposure_days: Float64, *, weight_days: float = 100_000.0) -> Float64:
    """float64[department]: chance that the rest of an item-node vanishes in a day, from what counts found.

    found_absent   float64[department], counts that found nothing where there should have been something
    exposure_days  float64[department], days since the count before, over all counted item-nodes
    weight_days    of the overall rate, in a department's own (a Gamma prior)
    """
    if (found_absent < 0).any() or (exposure_days < 0).any() or not exposure_days.sum() > 0:
        raise ValueError("expected counts of at least 0, and some days between them")
    overall = found_absent.sum() / exposure_days.sum()
    return (found_absent + overall * weight_days) / (exposure_days + weight_days)


def shared_factor(
    item: Int64, sold: Float64, expected: Float64, *, weight_units: float = 5.0, most: float = 1.0
) -> Float64:
    """float64[n]: what the other nodes say of how much an item is wanted now, as a share of what was expected.

    item      int64[n], of each item-node
    sold, expected  float64[n], units in the same last days
    weight_units    of the expectation (a Gamma prior): nodes that expect fewer say little
    most      a rise elsewhere proves nothing of this node: not counted unless it is allowed here

    Where an item has gone out of fashion everywhere, silence at one node is no evidence. A node's own sales are left
    out of its factor, for a phantom would excuse itself.
    """
    items = int(item.max()) + 1 if len(item) else 0
    others_sold = np.bincount(item, sold, items)[item] - sold
    others_expected = np.bincount(item, expected, items)[item] - expected
    return np.minimum((others_sold + weight_units) / (others_expected + weight_units), most)


def worth_counting(
    beliefs: Beliefs, margin_minor: Float64, days_to_next_count: Float64, *, rejection_minor: float | Float64 = 0.0,
    rejections_expected: float | Float64 = 0.0, count_minor: float | Float64 = 0.0, most: int | None = None,
) -> Counts:  # fmt: skip
    """Counts that pay for themselves: `p (margin λ days + rejection cost) - cost of the count` above 0.

    margin_minor        float64[n], of a unit sold
    days_to_next_count  float64[n], if nobody counts now
    rejection_minor, rejections_expected  cost of an order that the node rejects, and how many there will be until then
    count_minor         cost of a count; most: how many can be done
    """
    lost = margin_minor * beliefs.velocity * days_to_next_count + np.multiply(rejection_minor, rejections_expected)
    gain = beliefs.absent * lost - count_minor
    rows = np.flatnonzero(gain > 0)
    rows = rows[np.argsort(-gain[rows], kind="stable")][:most]
    return Counts(row=rows, gain_minor=gain[rows], loss_minor=lost[rows])


def findings(
    counts: Counts, positions: Positions, beliefs: Beliefs,
    names: Sequence[tuple[str, str]] | Mapping[int, tuple[str, str]], now: datetime, *, confidence_min: float = 0.3,
) -> list[Finding]:  # fmt: skip
    """Phantoms in words, in the order of counts; names: (sku, node) of each position that is counted. Those at one node
    may have one cause, the node."""
    out: list[Finding] = []
    for place in range(len(counts.row)):
        row = int(counts.row[place])
        p = float(beliefs.absent[row])
        if p < confidence_min:
            continue
        sku, node = names[row]
        run, rejected = float(positions.run_days[row]), int(positions.rejections[row])
        refused = f", and {rejected} times it was looked for and not found" if rejected else ""
        out.append(
            Finding(
                kind=Kind.PHANTOM_STOCK, subject=Subject("item_node", (sku, node)),
                loss_minor=round(float(counts.loss_minor[place])), confidence=p, since=now - timedelta(days=run),
                causes=(Subject("item_node", (sku, node)), Subject("node", (node,))),
                numbers={
                    "run_days": run, "velocity_per_day": float(beliefs.velocity[row]), "rejections": rejected,
                    "count_gain_minor": float(counts.gain_minor[place]),
                },
                sentence=(
                    f"{sku} at {node} is recorded as there and sold nothing for {run:.0f} days, where"
                    f" {beliefs.velocity[row]:.2g} a day are usual{refused}: {p:.0%} likely none is there."
                ),
            )
        )  # fmt: skip
    return out


def _overall_size(units: Float64, squares: Float64, days: Float64) -> float:
    over, squared = _moments(units, squares, days)
    return float(np.clip(squared.sum() / max(over.sum(), 1e-12), *_SIZES))


def _moments(units: Float64, squares: Float64, days: Float64) -> tuple[Float64, Float64]:
    """(variance beyond a Poisson's, square of the velocity), both unbiased, of item-nodes with two days or more."""
    some = days >= 2
    mean = units[some] / days[some]
    variance = (squares[some] - days[some] * mean**2) / (days[some] - 1)
    return variance - mean, mean**2 - variance / days[some]


def _sizes(department: Int64, units: Float64, squares: Float64, days: Float64, count: int) -> Float64:
    over, squared = _moments(units, squares, days)
    of = department[days >= 2]
    overall = _overall_size(units, squares, days)
    # Weighed in item-nodes, as the velocities are.
    typical = max(float(squared.mean()), 1e-12) if len(squared) else 1e-12
    squared_sum = np.bincount(of, squared, count) + _OF_ALL_WEIGHT * typical
    over_sum = np.bincount(of, over, count) + _OF_ALL_WEIGHT * typical / overall
    return np.clip(squared_sum / np.maximum(over_sum, 1e-12), *_SIZES)


def _base_bin(base: Float64, first: float) -> Int64:
    return np.clip(np.rint((np.log(base) - first) / _BASE_STEP), 0, _BASE_BINS - 1).astype(np.int64)


def _by_group(group: Int64, units: Float64, days: Float64, rate: Float64, size: Float64, of_all: Float64) -> Float64:
    """float64[group, point]: each group's own distribution, shrunk to that of all."""
    prior = np.tile(of_all, (len(rate), 1))
    order = np.argsort(group, kind="stable")
    named, begin = np.unique(group[order], return_index=True)
    for g, rows in zip(named, np.split(order, begin[1:]), strict=True):
        prior[g], _ = _mixed(units[rows], days[rows], np.zeros(len(rows)), rate[g], float(size[g]), of_all)
    return prior


def _mixed(
    units: Float64, days: Float64, log_base: Float64, grid: Float64, size: float, of_all: Float64 | None
) -> tuple[Float64, float]:
    """(float64[point], shares of the grid's velocities over bases among item-nodes, by EM; the logarithm of how likely
    they make what was sold). of_all: what they are shrunk to."""
    # Sums of days with the same size are sufficient, and many item-nodes have the same.
    coarse = np.where(units > _FINE_UNITS, np.rint(units / _FINE_UNITS * 20) * _FINE_UNITS / 20, units)
    distinct, many = np.unique(np.stack([coarse, np.rint(days), log_base], axis=1), axis=0, return_counts=True)
    sums, lengths, bases = distinct.T[:, :, None]
    rate = np.exp(bases) * grid
    likelihood = sums * np.log(rate / (rate + size)) - lengths * size * np.log1p(rate / size)
    highest = likelihood.max(axis=1, keepdims=True)
    likelihood = np.exp(likelihood - highest)
    share = np.full(len(grid), 1 / len(grid)) if of_all is None else of_all.copy()
    for _ in range(_ROUNDS):
        joint = likelihood * share
        expected = (many / joint.sum(axis=1)) @ joint
        if of_all is not None:
            expected = expected + _OF_ALL_WEIGHT * of_all
        share = expected / expected.sum()
    return share, float(many @ (np.log(likelihood @ share) + highest[:, 0]))
