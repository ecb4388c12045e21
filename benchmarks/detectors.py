"""Detectors of incidents: how soon, how surely, how fast.

    python benchmarks/detectors.py [--only lanes|phantoms|speed] [--seeds 3] [--json]

Worlds are made up, with seeds of their own; see benchmarks/README.md for what they are and what the figures mean. Exits
with 1 if a floor is missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect import capacity, lanes, orders, phantoms
from onhand.incidents.detect.moments import DAY_US
from onhand.incidents.group import reconciled

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

LANES, PER_DAY, SHIFT_DAYS = 40, 20, 2.0
CHANGES = 200  # lanes that change, each looked at by itself
CHANGE_AT, WATCHED_DAYS = 40, 30
YEARS = 2
LOOK_US = DAY_US // 4
ITEMS, NODES = 20_000, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, with what it must reach and what it should; None: for information."""

    suite: str
    measure: str
    value: float
    unit: str
    floor: float | None = None
    aim: float | None = None
    is_more_better: bool = False

    @property
    def is_met(self) -> bool:
        if self.floor is None:
            return True
        return bool(self.value >= self.floor if self.is_more_better else self.value <= self.floor)


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    suites: dict[str, Callable[[int], Iterator[Row]]] = {"lanes": slow_lanes, "phantoms": absent_stock, "speed": speed}
    rows: list[Row] = []
    for name, suite in suites.items():
        if args.only in (None, name):
            for row in suite(args.seeds):
                rows.append(row)
                print(_worded(row), file=sys.stderr if args.json else sys.stdout, flush=True)
    if args.json:
        print(json.dumps([_as_json(row) for row in rows], indent=1))
    return 0 if all(row.is_met for row in rows) else 1


# Lanes of carriers


def _noise(shape: str, random: np.random.Generator, count: int) -> tuple[Float64, float]:
    """(days beyond the median, distance between the 0.1 and 0.9 quantile)"""
    if shape == "log-normal":
        # Three days of handling and driving of which the logarithm scatters by 0.6.
        return np.exp(random.normal(np.log(3), 0.6, count)) - 3, 3 * (np.exp(1.2816 * 0.6) - np.exp(-1.2816 * 0.6))
    days = random.normal(0, 1.5, count)
    if shape == "5 % outliers":
        days = days + (random.random(count) < 0.05) * random.exponential(8, count)
    return days, 2 * 1.2816 * 1.5


def _shipments(
    shape: str, random: np.random.Generator, count: int, days: float, change_at: float = np.inf, bad_day: float = 0.0,
    under_way: bool = False,
) -> lanes.Shipments:  # fmt: skip
    """bad_day: deviation of what all shipments of a lane and a day have in common; under_way: what is under way when it
    changes is slow as well, not only what leaves afterwards"""
    many = random.poisson(PER_DAY * days, count)
    lane = np.repeat(np.arange(count), many)
    shipped = random.random(len(lane)) * days
    more, spread = _noise(shape, random, len(lane))
    more = more + bad_day * random.standard_normal((count, int(days) + 1))[lane, shipped.astype(np.int64)]
    median = random.choice([4.0, 6.0, 8.0], len(lane))
    took = np.maximum(median + more, 0.2)
    took = took + SHIFT_DAYS * (shipped + took * under_way >= change_at)
    return lanes.Shipments(
        lane=lane,
        shipped_at=(shipped * DAY_US).astype(np.int64),
        delivered_at=((shipped + took) * DAY_US).astype(np.int64),
        median_days=median,
        spread_days=np.full(len(lane), spread),
    )


def _of_lane(shipments: lanes.Shipments, lane: int) -> lanes.Shipments:
    rows = shipments.lane == lane
    return lanes.Shipments(
        lane=shipments.lane[rows] * 0, shipped_at=shipments.shipped_at[rows], delivered_at=shipments.delivered_at[rows],
        median_days=shipments.median_days[rows], spread_days=shipments.spread_days[rows],
    )  # fmt: skip


def slow_lanes(_seeds: int) -> Iterator[Row]:
    for number, (shape, bad_day) in enumerate(
        [("normal", 0.0), ("log-normal", 0.0), ("5 % outliers", 0.0), ("normal", 0.5)]
    ):
        name = shape + (", bad days" if bad_day else "")
        random = np.random.default_rng([11, number])
        history = _shipments(shape, random, LANES, 120, bad_day=bad_day)
        learned = lanes.learn(history, 120 * DAY_US)
        learned = _without_bias(learned)
        seen, days = _until_alarm(shape, random, learned, bad_day)
        yield Row(suite="lanes", measure=f"{name}: deliveries until told, mean", value=float(seen.mean()), unit="",
                  floor=30, aim=18)  # fmt: skip
        yield Row(suite="lanes", measure=f"{name}: the same, of 9 in 10", value=float(np.quantile(seen, 0.9)), unit="")
        yield Row(suite="lanes", measure=f"{name}: days from the first slow one", value=float(days.mean()), unit="d")
        false = _false(shape, random, learned, bad_day)
        yield Row(suite="lanes", measure=f"{name}: false alarms a lane-year", value=false, unit="", floor=1)
        if not bad_day:
            every, _ = _until_alarm(shape, random, learned, bad_day, under_way=True)
            yield Row(suite="lanes", measure=f"{name}: all deliveries, if what is under way is slow too",
                      value=float(every.mean()), unit="", floor=30, aim=18)  # fmt: skip
            plain = _textbook(shape, random)
            yield Row(
                suite="lanes", measure=f"{name}: deliveries by a CUSUM over deliveries alone", value=plain, unit=""
            )
    yield from foretold_lanes()


def foretold_lanes() -> Iterator[Row]:
    """Where much of what shipments take can be known of each: held against medians of history, against what a model
    foretold of each, and against a model that has learned the slow lane within days of its first deliveries."""
    for against in ("history", "predictions", "predictions of a model that learns the shift", "the same as they are"):
        random = np.random.default_rng(17)
        past = _foretold(random, LANES, 120, against, np.inf)
        learned = _without_bias(lanes.learn(past, 120 * DAY_US))
        looks = np.arange(CHANGE_AT * DAY_US, (CHANGE_AT + WATCHED_DAYS) * DAY_US, LOOK_US)
        days, stays = [], []
        for _ in range(CHANGES // 4):
            sums, threshold = lanes.traced(_foretold(random, 1, CHANGE_AT + WATCHED_DAYS, against), learned, looks)
            over = np.flatnonzero(sums >= threshold)
            days.append((looks[over[0]] if len(over) else looks[-1]) / DAY_US - CHANGE_AT)
            stays.append(sums[-1] >= 0.5 * threshold[-1])
        yield Row(suite="lanes", measure=f"against {against}: days until told", value=float(np.mean(days)), unit="d")
        yield Row(suite="lanes", measure=f"against {against}: still told after 30 days",
                  value=100 * float(np.mean(stays)), unit="%", floor=None if "as they are" in against else 95,
                  is_more_better=True)  # fmt: skip
        if "learns" in against or "as they" in against:
            continue
        false = 0
        for _ in range(LANES // 2):
            own = _foretold(random, 1, 365, against, np.inf)
            sums, threshold = lanes.traced(own, learned, np.arange(0, 365 * DAY_US, LOOK_US))
            false += _alarms(sums, threshold)
        yield Row(suite="lanes", measure=f"against {against}: false alarms a lane-year", value=false / (LANES // 2),
                  unit="", floor=1)  # fmt: skip


def _foretold(
    random: np.random.Generator, count: int, days: float, against: str, change_at: float = CHANGE_AT
) -> lanes.Shipments:
    """Of each the logarithm of what can be known scatters by 0.5, of what cannot by 0.3."""
    many = random.poisson(PER_DAY * days, count)
    lane = np.repeat(np.arange(count), many)
    shipped = random.random(len(lane)) * days
    known = 5 * np.exp(random.normal(0, 0.5, len(lane)))
    late = SHIFT_DAYS * (shipped >= change_at)
    took = known * np.exp(random.normal(0, 0.3, len(lane))) + late
    median, spread = known.copy(), known * 2 * np.sinh(1.2816 * 0.3)
    if against == "history":
        all_of = np.hypot(0.5, 0.3)
        median, spread = np.full(len(lane), 5.0), np.full(len(lane), 10 * np.sinh(1.2816 * all_of))
    elif against != "predictions":
        # Four days after the first slow one left it has come, and five days later most of the shift is learned.
        median += late * -np.expm1(-np.maximum(shipped - change_at - 4, 0) / 5 if np.isfinite(change_at) else late)
    at = (shipped * DAY_US).astype(np.int64)
    if "history" not in against and "as they are" not in against:
        usual = 5 * np.exp(0.5**2 / 2)
        deviation = usual * np.sqrt(np.expm1(0.5**2))
        median -= lanes.foretold_higher(lane, at, median, np.full(count, usual), np.full(count, deviation))
    return lanes.Shipments(
        lane=lane, shipped_at=at, delivered_at=at + (took * DAY_US).astype(np.int64),
        median_days=np.maximum(median, 0.1), spread_days=np.maximum(spread, 0.25),
    )  # fmt: skip


def _alarms(sums: Float64, threshold: Float64) -> int:
    """How often sums rise to the threshold; as the rules of grouping have it, an alarm closes at half of it."""
    alarms, is_over = 0, False
    for value in sums:
        alarms += not is_over and value >= threshold[0]
        is_over = value >= (0.5 if is_over else 1.0) * threshold[0]
    return alarms


def _without_bias(learned: lanes.Watch) -> lanes.Watch:
    """Lanes that are looked at are none of those learned from."""
    return lanes.replace(learned, bias=np.zeros(0))


def _until_alarm(
    shape: str, random: np.random.Generator, learned: lanes.Watch, bad_day: float, under_way: bool = False
) -> tuple[Float64, Float64]:
    """(deliveries, days) until a lane that changes is told of, float64[lane]; alarms that stood before it changed are
    left out. Counted are deliveries of slow shipments; with under_way, all deliveries since."""
    all_of = _shipments(shape, random, CHANGES, CHANGE_AT + WATCHED_DAYS, CHANGE_AT, bad_day, under_way)
    looks = np.arange(CHANGE_AT * DAY_US, (CHANGE_AT + WATCHED_DAYS) * DAY_US, LOOK_US)
    seen, days = [], []
    for lane in range(CHANGES):
        own = _of_lane(all_of, lane)
        sums, threshold = lanes.traced(own, learned, looks)
        over = np.flatnonzero(sums >= threshold)
        if len(over) and over[0] == 0:
            continue
        at = looks[over[0]] if len(over) else looks[-1]
        since = own.delivered_at if under_way else own.shipped_at
        seen.append(((since >= CHANGE_AT * DAY_US) & (own.delivered_at <= at)).sum())
        days.append((at - CHANGE_AT * DAY_US) / DAY_US)
    return np.array(seen, np.float64), np.array(days)


def _false(shape: str, random: np.random.Generator, learned: lanes.Watch, bad_day: float) -> float:
    alarms = 0
    for _ in range(LANES):
        own = _shipments(shape, random, 1, YEARS * 365, bad_day=bad_day)
        sums, threshold = lanes.traced(own, learned, np.arange(0, YEARS * 365 * DAY_US, LOOK_US))
        alarms += _alarms(sums, threshold)
    return alarms / (LANES * YEARS)


def _textbook(shape: str, random: np.random.Generator) -> float:
    """Mean deliveries until a CUSUM of residuals, winsorised at three days, tells of the shift; every delivery is slow,
    one false alarm in 0.3 lane-years of deliveries is allowed."""
    steps, width = 365 * PER_DAY, 300
    usual = np.clip(_noise(shape, random, steps * width)[0].reshape(steps, width), -3, 3) - SHIFT_DAYS / 2

    def alarms(h: float) -> float:
        total, count = np.zeros(width), 0
        for z in usual:
            total = np.maximum(total + z, 0)
            over = total >= h
            count += int(over.sum())
            total[over] = 0
        return count / width

    low, high = 1.0, 60.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if alarms(middle) > 0.3 else (low, middle)
    slow = np.clip(_noise(shape, random, 400 * 1_000)[0].reshape(400, 1_000) + SHIFT_DAYS, -3, 3) - SHIFT_DAYS / 2
    total, found = np.zeros(1_000), np.full(1_000, 400.0)
    for step, z in enumerate(slow):
        total = np.maximum(total + z, 0)
        found = np.where((total >= high) & (found == 400), step + 1, found)
    return float(found.mean())


# Phantom stock


def recall_at(score: Float64, is_true: npt.NDArray[np.bool_], precision: float = 0.5) -> float:
    """Most of the true ones that a list, the highest scores first, can hold while so many of it are true."""
    found = np.cumsum(is_true[np.argsort(-score, kind="stable")])
    enough = np.flatnonzero(found >= precision * np.arange(1, len(score) + 1))
    return float(found[enough[-1]] / is_true.sum()) if len(enough) else 0.0


def _sales(rate: Float64, days: int, random: np.random.Generator) -> tuple[Float64, Float64]:
    """(units, sum of squares): negative binomial of size 1."""
    units, squares = np.zeros(len(rate)), np.zeros(len(rate))
    for _ in range(days):
        day = random.poisson(rate * random.exponential(1, len(rate)))
        units += day
        squares += day**2
    return units, squares


def _positions(units: Float64, run: Float64, prior: float, hazard: float, base: Float64 | None) -> phantoms.Positions:
    n = len(units)
    return phantoms.Positions(
        department=np.zeros(n, np.int64), units=units, days=np.full(n, 56.0), run_days=run,
        rejections=np.zeros(n, np.int64), prior=np.full(n, prior), hazard=np.full(n, hazard), base=base,
    )  # fmt: skip


def _known_limit(units: Float64, median: float) -> Float64:
    """log P(14 days without a sale | 56 days of sales), for one who knows how velocities are distributed."""
    rate = median * np.exp(np.linspace(-6, 6, 1_201))
    weight = -0.5 * np.linspace(-6, 6, 1_201) ** 2
    kinds, place = np.unique(units, return_inverse=True)
    given = weight + kinds[:, None] * np.log(rate / (1 + rate)) - 56 * np.log1p(rate)
    silent = given - 14 * np.log1p(rate)
    top = given.max(axis=1, keepdims=True)
    return (np.log(np.exp(silent - top).sum(axis=1)) - np.log(np.exp(given - top).sum(axis=1)))[place]


def absent_stock(seeds: int) -> Iterator[Row]:
    shares: list[float] = []
    for median in (0.1, 0.2, 0.5):
        found = np.array([_apart(median, seed) for seed in range(seeds)]).mean(axis=0)
        ours, oracle, limit = found
        shares.append(ours / oracle)
        yield Row(suite="phantoms", measure=f"median {median} a day: recall at half precision", value=ours, unit="")
        yield Row(suite="phantoms", measure=f"median {median} a day: of the oracle's, who knows each rate",
                  value=ours / oracle, unit="", floor=0.8, aim=0.92, is_more_better=True)  # fmt: skip
        yield Row(suite="phantoms", measure=f"median {median} a day: of the most that 56 days can tell",
                  value=ours / limit, unit="", floor=0.92, is_more_better=True)  # fmt: skip
    yield Row(suite="phantoms", measure="of the oracle's, mean of three", value=float(np.mean(shares)), unit="",
              floor=0.8, aim=0.92, is_more_better=True)  # fmt: skip
    for median in (0.1, 0.2, 0.5):
        found = np.array([_alike(median, seed) for seed in range(seeds)]).mean(axis=0)
        yield Row(suite="phantoms", measure=f"items alike at all nodes, median {median}: of the oracle's",
                  value=found[0] / found[2], unit="", floor=0.8, aim=0.92, is_more_better=True)  # fmt: skip
        yield Row(suite="phantoms", measure=f"items alike at all nodes, median {median}: without looking across",
                  value=found[1] / found[2], unit="")  # fmt: skip
    found = np.array([_vanishing(0.2, seed) for seed in range(seeds)]).mean(axis=0)
    yield Row(suite="phantoms", measure="vanishing on any day, median 0.2: of the oracle's", value=found[0] / found[1],
              unit="", floor=0.8, aim=0.92, is_more_better=True)  # fmt: skip
    yield Row(suite="phantoms", measure="the same, 1,000 counts: money gained, of the oracle's", value=found[2],
              unit="", floor=0.8, is_more_better=True)  # fmt: skip


def _apart(median: float, seed: int) -> tuple[float, float, float]:
    """2 % are phantoms from day 0; velocities log-normal, each item-node's its own."""
    random = np.random.default_rng([21, seed, int(median * 100)])
    n = ITEMS * NODES
    rate = median * np.exp(random.normal(0, 1, n))
    units, squares = _sales(rate, 56, random)
    is_gone = random.random(n) < 0.02
    is_silent = is_gone | (random.random(n) < (1 + rate) ** -14.0)
    learned = phantoms.learn(np.zeros(n, np.int64), units, squares, np.full(n, 56.0))
    believed = phantoms.believed(_positions(units, np.full(n, 14.0), 0.02, 0.0, None), learned)
    return (
        recall_at(np.where(is_silent, believed.absent, -1), is_gone),
        recall_at(np.where(is_silent, rate, -1), is_gone),
        recall_at(np.where(is_silent, -_known_limit(units, median), -1), is_gone),
    )


def _alike(median: float, seed: int) -> tuple[float, float, float]:
    """The same, where 0.85 of the variance of log velocities is the item's and 0.1 the node's."""
    random = np.random.default_rng([22, seed, int(median * 100)])
    item, node = np.repeat(np.arange(ITEMS), NODES), np.tile(np.arange(NODES), ITEMS)
    n = len(item)
    log = random.normal(0, 0.85**0.5, ITEMS)[item] + random.normal(0, 0.1**0.5, NODES)[node]
    rate = median * np.exp(log + random.normal(0, 0.05**0.5, n))
    units, squares = _sales(rate, 56, random)
    is_gone = random.random(n) < 0.02
    is_silent = is_gone | (random.random(n) < (1 + rate) ** -14.0)
    days, one = np.full(n, 56.0), np.zeros(n, np.int64)
    scores: list[Float64] = []
    for base in (phantoms.across(item, node, units, days), None):
        learned = phantoms.learn(one, units, squares, days, base=base)
        scores.append(phantoms.believed(_positions(units, np.full(n, 14.0), 0.02, 0.0, base), learned).absent)
    with_base, alone, oracle = (recall_at(np.where(is_silent, s, -1), is_gone) for s in (*scores, rate))
    return with_base, alone, oracle


def _vanishing(median: float, seed: int) -> tuple[float, float, float]:
    """(recall, the oracle's, money gained by 1,000 counts as a share of what the oracle's would gain): units vanish on
    any of 28 days, 1 in 1,000 a day; the run begins with the last sale. The oracle knows the rates and that hazard. A
    count costs 2.00, a unit earns 3.00, the next count is in 14 days."""
    random = np.random.default_rng([23, seed, int(median * 100)])
    n, watched, hazard = ITEMS * NODES, 28, 0.001
    rate = median * np.exp(random.normal(0, 1, n))
    units, squares = _sales(rate, 56, random)
    gone_on = random.geometric(hazard, n)  # 1: on the first day
    run = np.full(n, 0.0)
    for day in range(1, watched + 1):
        sells = (gone_on > day) & (random.random(n) >= 1 / (1 + rate))
        run = np.where(sells, 0.0, run + 1)
    is_gone = gone_on <= watched
    learned = phantoms.learn(np.zeros(n, np.int64), units, squares, np.full(n, 56.0))
    believed = phantoms.believed(_positions(units, run, 0.0, hazard, None), learned)
    stays = (1 - hazard) / (1 + rate)
    began = hazard * (1 - stays**run) / (1 - stays)
    oracle = phantoms.Beliefs(absent=began / (began + stays**run), velocity=rate)

    def gained(beliefs: phantoms.Beliefs) -> float:
        row = phantoms.worth_counting(
            beliefs, np.full(n, 300.0), np.full(n, 14.0), count_minor=200.0, most=1_000
        ).row  # fmt: skip
        return float((is_gone[row] * 300.0 * rate[row] * 14 - 200.0).sum())

    return recall_at(believed.absent, is_gone), recall_at(oracle.absent, is_gone), gained(believed) / gained(oracle)


# Speed


def speed(_seeds: int) -> Iterator[Row]:
    """One pass over 100,000 open orders, their shipments and 1,000,000 positions; then what changed alone."""
    random = np.random.default_rng(31)
    now, count, states, nodes = 60 * DAY_US, 100_000, 6, 200
    n = 1_000_000
    rate = 0.2 * np.exp(random.normal(0, 1, n))
    department = random.integers(0, 20, n)
    days = random.integers(20, 57, n).astype(np.float64)
    units = random.poisson(rate * random.gamma(days, 1, n)).astype(np.float64)
    began = time.perf_counter()
    velocities = phantoms.learn(department, units, units**2 / days + units, days)
    learning = time.perf_counter() - began
    yield Row(
        suite="speed", measure="learning the velocities of 1,000,000 positions, once a day", value=learning, unit="s"
    )
    positions = phantoms.Positions(
        department=department, units=units, days=days, run_days=random.integers(0, 30, n).astype(np.float64),
        rejections=(random.random(n) < 0.001).astype(np.int64), prior=np.zeros(n), hazard=np.full(n, 0.0005),
        factor=random.uniform(0.5, 1.0, n),
    )  # fmt: skip
    history = _shipments("log-normal", random, LANES, 120)
    began = time.perf_counter()
    learned = lanes.learn(history, 120 * DAY_US)
    learning = time.perf_counter() - began
    yield Row(suite="speed", measure="learning 40 lanes from 96,000 shipments, once a day", value=learning, unit="s")
    lane = random.integers(0, LANES, 2 * count)
    shipped = random.integers(0, now, 2 * count)
    took = (np.exp(random.normal(1.5, 0.5, 2 * count)) * DAY_US).astype(np.int64)
    delivered = np.where(random.random(2 * count) < 0.4, shipped + took, lanes.NOT_YET)
    shipments = lanes.Shipments(
        lane=lane, shipped_at=shipped, delivered_at=delivered, median_days=np.full(2 * count, 4.5),
        spread_days=np.full(2 * count, 4.0), due_at=shipped + 6 * DAY_US, late_minor=np.full(2 * count, 300.0),
    )  # fmt: skip
    state, node = random.integers(0, states, count), random.integers(0, nodes, count)
    hours = random.exponential(10, count)
    times = orders.learn_times(state, node, hours, random.random(count) < 0.9, states=states, nodes=nodes)
    placed = orders.Orders(
        customer=random.integers(0, 60_000, count), address=random.integers(0, 70_000, count),
        basket=random.integers(0, 5_000, count), placed_at=np.sort(random.integers(0, now, count)),
    )  # fmt: skip
    habits = orders.learn_habits(placed)
    names = [str(i) for i in range(count)]
    skus = [(name, name) for name in names] * (n // count)
    state_names, node_names = [str(s) for s in state], [str(k) for k in node]
    money = np.full(count, 500.0)
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def whole() -> int:
        believed = phantoms.believed(positions, velocities)
        counts = phantoms.worth_counting(believed, np.full(n, 800.0), np.full(n, 60.0), count_minor=200.0, most=1_000)
        found = phantoms.findings(counts, positions, believed, skus, at)
        slow, named = lanes.pooled(shipments, np.arange(LANES) // 10, learned, now)
        found += lanes.findings(lanes.watch(shipments, learned, now), [(str(k),) for k in range(LANES)])
        stuck = orders.stuck(state, node, hours, times)
        found += orders.stuck_findings(stuck, hours, names, state_names, node_names, money, at)
        found += orders.duplicate_findings(orders.duplicates(placed, habits), placed, names, money)
        ahead = capacity.ahead(
            random.uniform(0, 100, nodes), np.full((nodes, 28), 100.0), np.full((nodes, 28), 20.0),
            np.repeat(random.uniform(90, 130, nodes)[:, None], 28, axis=1), np.ones(nodes, np.int64),
        )  # fmt: skip
        found += capacity.findings(ahead, node_names[:nodes], np.full(nodes, 300.0), at)
        change = reconciled((), found, at)
        return len(change.opened) + len(slow.sum) + len(named)

    one = phantoms.Positions(**{
        name: None if (values := getattr(positions, name)) is None else values[:1]
        for name in phantoms.Positions.__dataclass_fields__
    })  # fmt: skip
    of_lane = lane == 7
    own = lanes.Shipments(**{
        name: getattr(shipments, name)[of_lane] for name in lanes.Shipments.__dataclass_fields__
    })  # fmt: skip

    def changed() -> int:
        believed = phantoms.believed(one, velocities)
        seen = lanes.watch(own, learned, now, lanes=LANES)
        stuck = orders.stuck(state[:1], node[:1], hours[:1], times)
        return len(believed.absent) + len(seen.sum) + len(stuck.staying)

    for measure, run, limit, unit, scale in (
        ("100,000 open orders and 1,000,000 positions, one pass", whole, 10.0, "s", 1.0),
        ("one item at one node, one lane, one order", changed, 200.0, "ms", 1e3),
    ):
        run()
        best = min(_seconds(run) for _ in range(3))
        yield Row(suite="speed", measure=measure, value=best * scale, unit=unit, floor=limit)


def _seconds(run: Callable[[], int]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _worded(row: Row) -> str:
    limit = "" if row.floor is None else f"{'>=' if row.is_more_better else '<='} {row.floor:g}"
    aim = "" if row.aim is None else f"(aim {row.aim:g})"
    mark = "" if row.is_met else "  MISSED"
    return f"{row.suite:9} {row.measure:68} {row.value:9.3f} {row.unit:2} {limit} {aim}{mark}".rstrip()


def _as_json(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__dataclass_fields__} | {
        "value": float(row.value),
        "is_met": row.is_met,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("lanes", "phantoms", "speed"))
    parser.add_argument("--seeds", type=int, default=3, help="worlds of phantoms for each figure")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
