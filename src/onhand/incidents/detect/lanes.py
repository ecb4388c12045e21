"""Whether a lane of a carrier has become slower: a CUSUM over shipments, those still under way among them.

Each shipment carries its own prediction, a median and a spread of days. How residuals e = (days - median) / spread are
distributed is learned from settled history: a smoothed density f with the tail S(e) = P(E > e). What a shipment says of
a shift of d days is the logarithm of a likelihood ratio (Page 1954; Moustakides 1986: no test is faster at equal false
alarms),

    delivered after x days:      z = log f((x - d - median) / spread) - log f((x - median) / spread)
    still under way after a days: z = log S((a - d - median) / spread) - log S((a - median) / spread)

so that each day a shipment is overdue adds evidence: who counts deliveries only must wait for the delay itself. z is
winsorised: bounded, and never smaller for a later shipment, so a parcel that was lost says no more than one that was
late, and no less. Sums run in the order of shipping, S = min(2 h, max(0, S + z)); a lane is slow when S >= h. h is
found by replaying blocks of past days (Künsch 1989) at the lane's own rate, open ones included, until it is
passed as seldom as was asked for.

A model that learns every few hours foretells a slow lane as slow, and then its residuals are none: after a month of a
shift of two days a lane is told of no more. So predictions say how shipments of a lane differ, and the level of the
lane stays where it was foretold before the last month: see `foretold_higher`. Residuals are divided by a spread rather
than put through the prediction's own distribution: a shift of d days is one of d / spread wherever it begins, and
beyond the outermost quantiles, where evidence lies, no prediction says anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.kernels import lane_sums, lane_trace, openings
from onhand.incidents.detect.moments import DAY_US, moment
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

NOT_YET: Final = np.iinfo(np.int64).max
"""`delivered_at` of what is still under way."""

# A shipment older than this is settled for what is learned from it.
_SETTLED_DAYS: Final = 30.0
_GRID: Final = 801
_SHIFTS: Final = 24
# Share of a wide density mixed into the smoothed one: what was never seen is unlikely, not impossible.
_WIDE: Final = 0.02
# No shipment says more than e^3 = 20 to 1.
_BOUND: Final = 3.0
# Fewer shipments than this tell no distribution.
_HISTORY_MIN: Final = 100
# Lanes whose prediction is wrong all the time are no news; a lane with this many shipments has half its own bias.
_BIAS_WEIGHT: Final = 20.0
# Rates that thresholds are found for lie a factor of four apart, the highest is that of the busiest lane.
_RATES_MAX: Final = 5
_SHIPMENTS_REPLAYED: Final = 400_000
_YEARS_MAX: Final = 300
_YEARS_MIN: Final = 30
# Over which the level of a lane's predictions is taken.
_LATELY_US: Final = 7 * DAY_US
_DELAYS: Final = np.r_[np.arange(0.25, 4.0, 0.25), np.arange(4.0, 21.0)]
_FDR: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipments:
    """Shipments in any order.

    lane          int64[n], 0 <= lane
    shipped_at    int64[n], Unix microseconds
    delivered_at  int64[n], Unix microseconds; NOT_YET
    median_days   float64[n] > 0, predicted when it was shipped
    spread_days   float64[n] > 0, between its 0.1 and 0.9 quantile, predicted then: see `centred`
    due_at        int64[n], Unix microseconds, what the customer was told; or None
    late_minor    float64[n], what it costs to be late; or None
    """

    lane: Int64
    shipped_at: Int64
    delivered_at: Int64
    median_days: Float64
    spread_days: Float64
    due_at: Int64 | None = None
    late_minor: Float64 | None = None

    def __post_init__(self) -> None:
        n = len(self.lane)
        for name in ("shipped_at", "delivered_at", "median_days", "spread_days", "due_at", "late_minor"):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                raise ValueError(f"expected {name}[{n}], as many as lanes, got {values.shape}")
        if n and self.lane.min() < 0:
            raise ValueError("expected lane >= 0")
        for name in ("median_days", "spread_days"):
            values = getattr(self, name)
            if n and not (np.isfinite(values).all() and (values > 0).all()):
                raise ValueError(f"expected {name} above 0")
        if n and (self.delivered_at < self.shipped_at).any():
            raise ValueError("expected delivered_at >= shipped_at")

    def __len__(self) -> int:
        return len(self.lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What was learned of residuals, and how high sums may rise.

    shift_days  the shift that is to be found soonest
    first, step float: where the grid of residuals begins, and how wide its steps are, in spreads
    log_density, log_tail  float64[grid]
    seen, waiting  float64[shift, grid]: evidence of delivered and of open shipments; rows by log(shift / spread)
    shifts      (first, step) of these logarithms
    bias        float64[lane], days that a lane takes longer than predicted as a rule
    rates, thresholds  float64[k]: shipments a day, and h for them
    usual       float64[k, 1000]: quantiles of the sum where nothing has changed
    """

    shift_days: float
    first: float
    step: float
    log_density: Float64
    log_tail: Float64
    seen: Float64
    waiting: Float64
    shifts: tuple[float, float]
    bias: Float64
    rates: Float64
    thresholds: Float64
    usual: Float64

    def threshold(self, per_day: npt.ArrayLike) -> Float64:
        """h of lanes with so many shipments a day; beyond the rates replayed it grows with their logarithm."""
        at, known = np.log(np.maximum(np.asarray(per_day, np.float64), 1e-3)), np.log(self.rates)
        h = np.interp(at, known, self.thresholds)
        slope = max(0.0, float((self.thresholds[-1] - self.thresholds[0]) / (known[-1] - known[0])))
        return h + slope * np.maximum(at - known[-1], 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """What is seen of each lane; float64[lane] unless said otherwise.

    sum, threshold  is_slow (bool) where sum >= threshold
    p_value      chance that a lane that has not changed stands as high at some moment
    confidence   chance that it is slow, see `watch`
    delay_days   most likely shift since then, 0 where there is no evidence
    since_at     int64, Unix microseconds: when the first shipment of the evidence was shipped; -1: there is none
    per_day      shipments a day, of the last four weeks
    delivered, open  int64: shipments of the evidence
    loss_minor   expected cost of those under way that will be late because of it
    """

    sum: Float64
    threshold: Float64
    is_slow: npt.NDArray[np.bool_]
    p_value: Float64
    confidence: Float64
    delay_days: Float64
    since_at: Int64
    per_day: Float64
    delivered: Int64
    open: Int64
    loss_minor: Float64


def centred(levels: Float64, quantiles: Float64) -> tuple[Float64, Float64]:
    """(median_days, spread_days) of quantiles float64[n, level] at levels float64[level], which reach from 0.1 or less
    to 0.9 or more. Raises ValueError."""
    if len(levels) < 2 or levels[0] > 0.1 or levels[-1] < 0.9 or (np.diff(levels) <= 0).any():
        raise ValueError(f"expected rising levels from 0.1 or less to 0.9 or more, got {levels.tolist()}")
    rising = np.maximum.accumulate(quantiles, axis=1)

    def at(level: float) -> Float64:
        high = int(np.clip(np.searchsorted(levels, level), 1, len(levels) - 1))
        share = (level - levels[high - 1]) / (levels[high] - levels[high - 1])
        return rising[:, high - 1] + share * (rising[:, high] - rising[:, high - 1])

    # A quarter of a day: carriers' scans are no more exact than that.
    return at(0.5), np.maximum(at(0.9) - at(0.1), 0.25)


def foretold_higher(
    lane: Int64, shipped_at: Int64, median_days: Float64, usual: Float64, deviation: Float64
) -> Float64:
    """float64[n], days by which a lane is foretold to take longer than it used to when each shipment leaves, beyond
    chance: the mean of predictions of the week up to it, less what is usual and two standard errors; 0 or more.

    lane         int64[n]; shipped_at int64[n], Unix microseconds; median_days float64[n], predicted when it left
    usual        float64[lane], mean of predictions before the last month; deviation: of those of single shipments

    Nothing that left later is looked at. Two errors: other destinations in one week are not a slower lane, and half as
    many false alarms again came of taking any difference for one.
    """
    order = np.lexsort((shipped_at, lane))
    of, at, days = lane[order], shipped_at[order], median_days[order]
    total, many = np.zeros(len(of)), np.zeros(len(of))
    bounds = np.r_[np.flatnonzero(np.diff(of, prepend=-1)), len(of)].tolist()
    for start, end in pairwise(bounds):
        mine = at[start:end]
        first, last = np.searchsorted(mine, mine - _LATELY_US, "right"), np.searchsorted(mine, mine, "right")
        sums = np.r_[0.0, np.cumsum(days[start:end])]
        total[start:end], many[start:end] = sums[last] - sums[first], last - first
    above = total / np.maximum(many, 1) - usual[of] - 2 * deviation[of] / np.sqrt(np.maximum(many, 1))
    out = np.zeros(len(lane))
    out[order] = np.maximum(above, 0.0)
    return out


def learn(
    history: Shipments, now: int, *, shift_days: float = 2.0, false_alarms_per_year: float = 0.3,
    looks_per_day: int = 4, block_days: int = 2, replayed: int = _SHIPMENTS_REPLAYED, seed: int = 0,
) -> Watch:  # fmt: skip
    """Distribution of residuals, biases of lanes and thresholds, from shipments of lanes of one kind.

    history    of some months, before anything changed; those shipped in the last 30 days before `now` (Unix
               microseconds) and those not delivered by then are left out
    false_alarms_per_year  of a lane, at its own rate; one more where 0.3 are allowed costs half a delivery
    looks_per_day  how often `watch` will be asked: more looks see more chance peaks
    block_days  so many days of a lane are drawn together: what one bad day did to all its shipments stays together
    replayed   shipments replayed for each of two to five rates: 400,000 tell a threshold within some 0.2

    Raises ValueError: fewer than 100 settled shipments.
    """
    if not shift_days > 0 or not false_alarms_per_year > 0:
        raise ValueError("expected shift_days and false_alarms_per_year above 0")
    if looks_per_day < 1 or block_days < 1 or replayed < 1:
        raise ValueError("expected looks_per_day, block_days and replayed of at least 1")
    # Compared by subtraction: NOT_YET is the largest number there is.
    settled = (history.shipped_at <= now - int(_SETTLED_DAYS * DAY_US)) & (history.delivered_at <= now)
    order = np.lexsort((history.shipped_at[settled], history.lane[settled]))
    lane = history.lane[settled][order]
    if len(lane) < _HISTORY_MIN:
        raise ValueError(f"expected {_HISTORY_MIN} or more shipments that are settled, got {len(lane)}")
    days = (history.delivered_at - history.shipped_at)[settled][order] / DAY_US
    median, spread = history.median_days[settled][order], history.spread_days[settled][order]
    bias = _biases(lane, days - median)
    residual = days - median - bias[lane]
    first, step, density, tail = _distribution(residual / spread)
    low, high = float(np.log(shift_days / spread.max())), float(np.log(shift_days / spread.min()))
    shifts = (low, max((high - low) / (_SHIFTS - 1), 1e-9))
    seen, waiting = _evidence(first, step, density, tail, shifts)
    rates = _rates_replayed(lane, history.shipped_at[settled])
    learned = Watch(
        shift_days=shift_days, first=first, step=step, log_density=density, log_tail=tail, seen=seen, waiting=waiting,
        shifts=shifts, bias=bias, rates=rates, thresholds=np.zeros(len(rates)), usual=np.zeros((len(rates), 1_000)),
    )  # fmt: skip
    learned = _with_negative_drift(learned, residual / spread, np.log(shift_days / spread))
    kept = _Kept(
        days=residual + median,
        median=median,
        spread=spread,
        begin=_day_begins(lane, history.shipped_at[settled][order]),
    )
    return _with_thresholds(learned, kept, false_alarms_per_year, looks_per_day, block_days, replayed, seed)


def watch(shipments: Shipments, learned: Watch, now: int, *, lanes: int | None = None) -> Lanes:
    """What is seen of each lane at `now` (Unix microseconds). Nothing later is looked at.

    shipments  of the last 60 days or so, open ones and delivered ones; those shipped after `now` do not count, those
               delivered after it are under way
    lanes      how many there are; those without shipments have no evidence

    Confidence: `1 / (1 + e^(h - S))`. False alarms at a level S are `e^(h - S)` times as many as at h (the exponential
    law of a CUSUM of likelihood ratios: Siegmund 1985), and lanes are taken to change as often as false alarms are
    allowed at h: then an alarm at h is as likely true as false.

    Raises ValueError.
    """
    count = lanes if lanes is not None else (int(shipments.lane.max()) + 1 if len(shipments) else 0)
    if len(shipments) and shipments.lane.max() >= count:
        raise ValueError(f"expected lanes below {count}, got {shipments.lane.max()}")
    rows = _sorted(shipments, now)
    begin, end = (np.searchsorted(rows.lane, np.arange(count), side) for side in ("left", "right"))
    per_day = _rates(rows, now, count)
    threshold = learned.threshold(per_day)
    bias = _padded(learned.bias, count)
    shipped, delivered = _days(rows.shipped_at, now), _days(rows.delivered_at, now)
    total, since = lane_sums(
        begin, end, shipped, delivered, rows.median_days, rows.spread_days, _log_shift(learned, rows.spread_days),
        bias, 2 * threshold, 0.0, learned.seen, learned.waiting, _grid(learned),
    )  # fmt: skip
    has = since >= 0
    open_before = np.r_[0, np.cumsum(delivered > 0)]
    opened = np.where(has, open_before[end] - open_before[np.where(has, since, end)], 0)
    delay = np.zeros(count)
    loss = np.zeros(count)
    # Only where it matters: a lane far from its threshold loses nothing.
    for lane in np.flatnonzero(has & (total >= 0.5 * threshold)).tolist():
        part = slice(int(since[lane]), int(end[lane]))
        age = np.where(delivered[part] > 0, 0.0, delivered[part]) - shipped[part] - bias[lane]
        delay[lane] = _delay(learned, age, delivered[part] > 0, rows.median_days[part], rows.spread_days[part])
        loss[lane] = _loss(learned, _slice(rows, begin[lane], end[lane]), bias[lane], delay[lane], now)
    return Lanes(
        sum=total, threshold=threshold, is_slow=total >= threshold, p_value=_p_values(learned, total, per_day),
        confidence=1 / (1 + np.exp(threshold - total)), delay_days=delay,
        since_at=np.where(has, rows.shipped_at[np.where(has, since, 0)] if len(rows) else -1, -1),
        per_day=per_day, delivered=np.where(has, end - since, 0) - opened, open=opened, loss_minor=loss,
    )  # fmt: skip


def pooled(shipments: Shipments, group: Int64, learned: Watch, now: int) -> tuple[Lanes, npt.NDArray[np.bool_]]:
    """(what is seen of each group of lanes, bool[lane]: is one of those slow lanes that are named of slow groups).

    group  int64[lane]: origin hub or carrier of each lane

    A delay of a hub shows in all its lanes before it shows in one of them. Tests go down a tree (Yekutieli 2008): first
    groups, over all their shipments with a threshold for their own rate; then, only in groups that are slow, lanes by
    the step-up procedure of Benjamini and Hochberg (1995) at a false discovery rate of 10 %. Groups of one lane are
    left to `watch`.
    """
    if len(shipments) and shipments.lane.max() >= len(group):
        raise ValueError(f"expected the group of each of {shipments.lane.max() + 1} lanes, got {len(group)}")
    groups = int(group.max()) + 1 if len(group) else 0
    # A lane's own bias goes with its shipments, for the group has none.
    bias = _padded(learned.bias, len(group))
    moved = replace(
        shipments, lane=group[shipments.lane],
        median_days=np.maximum(shipments.median_days + bias[shipments.lane], 1e-6),
    )  # fmt: skip
    above = watch(moved, replace(learned, bias=np.zeros(groups)), now, lanes=groups)
    single = watch(shipments, learned, now, lanes=len(group))
    sizes = np.bincount(group, minlength=groups)
    many = sizes > 1
    above = replace(above, is_slow=above.is_slow & many, confidence=np.where(many, above.confidence, 0.0))
    named = np.zeros(len(group), bool)
    for slow in np.flatnonzero(above.is_slow).tolist():
        members = np.flatnonzero(group == slow)
        named[members[_step_up(single.p_value[members])]] = True
    return above, named


def traced(shipments: Shipments, learned: Watch, looks: Int64) -> tuple[Float64, Float64]:
    """(sum, threshold) of one lane at each of the looks (Unix microseconds, rising), as `watch` has them with all its
    shipments; the threshold is that of its mean rate. For replays: O(looks x shipments under way)."""
    if not len(shipments) or not len(looks):
        raise ValueError("expected shipments and looks")
    if shipments.lane.min() != shipments.lane.max():
        raise ValueError("expected shipments of one lane")
    lane = int(shipments.lane[0])
    origin = int(looks[-1])
    order = np.argsort(shipments.shipped_at, kind="stable")
    shipped, delivered = _days(shipments.shipped_at[order], origin), _days(shipments.delivered_at[order], origin)
    rate = len(shipped) / max((shipped[-1] - shipped[0]), 1.0)
    threshold = float(learned.threshold(rate))
    spread = shipments.spread_days[order]
    sums = lane_trace(
        shipped, delivered, shipments.median_days[order], spread, _log_shift(learned, spread),
        float(_padded(learned.bias, lane + 1)[lane]), 2 * threshold, (looks - origin) / DAY_US, 2 * _SETTLED_DAYS,
        learned.seen, learned.waiting, _grid(learned),
    )  # fmt: skip
    return sums, np.full(len(looks), threshold)


def findings(
    seen: Lanes, names: Sequence[tuple[str, ...]], *, causes: Sequence[Subject] = (), what: str = "lane",
    confidence_min: float = 0.3,
) -> list[Finding]:  # fmt: skip
    """Slow lanes in words, the most money first.

    names   of each lane, such as ("leipzig", "dhl", "FR")
    causes  of each lane the wider one, such as its carrier; none are known if it is empty
    confidence_min  what an incident that is open stays open for; above 0.5 a lane is slow
    """
    out: list[Finding] = []
    for lane in np.flatnonzero((seen.confidence >= confidence_min) & (seen.since_at >= 0)).tolist():
        subject = Subject(what, tuple(names[lane]))
        since = moment(int(seen.since_at[lane]))
        out.append(
            Finding(
                kind=Kind.LANE_SLOW, subject=subject, loss_minor=round(float(seen.loss_minor[lane])),
                confidence=float(seen.confidence[lane]), since=since,
                causes=(subject, causes[lane]) if causes else (subject,),
                numbers={
                    "delay_days": float(seen.delay_days[lane]), "sum": float(seen.sum[lane]),
                    "threshold": float(seen.threshold[lane]), "delivered": int(seen.delivered[lane]),
                    "open": int(seen.open[lane]), "p_value": float(seen.p_value[lane]),
                },
                sentence=(
                    f"{subject} takes about {seen.delay_days[lane]:.1f} days longer than foretold since"
                    f" {since:%Y-%m-%d}, by {seen.delivered[lane]:,} deliveries and {seen.open[lane]:,} shipments still"
                    f" under way: evidence of {seen.sum[lane]:.1f} where {seen.threshold[lane]:.1f} is an alarm."
                ),
            )
        )  # fmt: skip
    return sorted(out, key=lambda f: (-f.risk_minor, f.subject))


def _biases(lane: Int64, residual: Float64) -> Float64:
    """Median residual of each lane, shrunk to none where there are few shipments; rows are in order of lanes."""
    out = np.zeros(int(lane[-1]) + 1)
    named, begin = np.unique(lane, return_index=True)
    overall = float(np.median(residual))
    for of, values in zip(named, np.split(residual, begin[1:]), strict=True):
        share = len(values) / (len(values) + _BIAS_WEIGHT)
        out[of] = share * float(np.median(values)) + (1 - share) * overall
    return out


def _distribution(e: Float64) -> tuple[float, float, Float64, Float64]:
    """(first, step, log density, log tail) of residuals on a grid, a kernel estimate with wide tails."""
    low, middle, high = np.quantile(e, (0.25, 0.5, 0.75))
    width = max(float(high - low) / 1.349, 0.05)
    # Silverman (1986, eq. 3.31); a tenth of the width at least, or days told as whole numbers would look like spikes.
    band = max(0.9 * width * len(e) ** -0.2, 0.1 * width)
    first, last = float(middle - 8 * width), float(middle + 16 * width)
    step = (last - first) / (_GRID - 1)
    at = first + step * np.arange(_GRID)
    counted = np.histogram(np.clip(e, first, last), _GRID, (first - step / 2, last + step / 2))[0] / len(e)
    reach = max(int(np.ceil(4 * band / step)), 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / band) ** 2)
    smooth = np.convolve(counted, kernel / kernel.sum(), "same")
    wide = np.exp(-np.abs(at - middle) / (3 * width))
    mass = (1 - _WIDE) * smooth / smooth.sum() + _WIDE * wide / wide.sum()
    tail = np.cumsum(mass[::-1])[::-1] - mass / 2
    return first, step, np.log(mass), np.log(tail)


def _evidence(
    first: float, step: float, density: Float64, tail: Float64, shifts: tuple[float, float]
) -> tuple[Float64, Float64]:
    at: Float64 = first + step * np.arange(len(density), dtype=np.float64)
    mass = np.exp(density)
    seen, waiting = np.empty((_SHIFTS, len(at))), np.empty((_SHIFTS, len(at)))
    for row in range(_SHIFTS):
        before: Float64 = at - float(np.exp(shifts[0] + row * shifts[1]))
        # Beyond the grid the density goes on falling as it does at its end.
        falls: Float64 = float(density[1] - density[0]) / step * np.minimum(before - first, 0.0)
        shifted: Float64 = np.interp(before, at, density) + falls
        seen[row] = _rising(shifted - density, mass + np.exp(shifted))
        waiting[row] = np.maximum.accumulate(np.interp(before, at, tail) - tail)
    return np.clip(seen, -_BOUND, _BOUND), np.clip(waiting, 0.0, _BOUND)


def _rising(values: Float64, weight: Float64) -> Float64:
    """The nearest values that never fall, by weighted squares (pool adjacent violators: Ayer et al. 1955)."""
    means: list[float] = []
    weights: list[float] = []
    counts: list[int] = []
    for value, w in zip(values.tolist(), weight.tolist(), strict=True):
        mean, total, count = value, w, 1
        while means and means[-1] >= mean:
            whole = weights[-1] + total
            mean = (means.pop() * weights[-1] + mean * total) / whole
            total, count = whole, count + counts.pop()
            weights.pop()
        means.append(mean)
        weights.append(total)
        counts.append(count)
    return np.repeat(means, counts)


def _with_negative_drift(learned: Watch, e: Float64, shift: Float64) -> Watch:
    """Where tails are heavy, bounded and monotone evidence may rise by itself: then half way between its means without
    and with a shift is taken off, as a CUSUM of means does (its reference value)."""
    without, shifted = _scores(learned, e, shift), _scores(learned, e + np.exp(shift), shift)
    middle = float(without.mean() + shifted.mean()) / 2
    if middle <= 0:
        return learned
    return replace(learned, seen=learned.seen - middle)


def _scores(learned: Watch, e: Float64, shift: Float64) -> Float64:
    row = np.clip(np.rint((shift - learned.shifts[0]) / learned.shifts[1]), 0, _SHIFTS - 1).astype(np.int64)
    column = np.clip(np.rint((e - learned.first) / learned.step), 0, _GRID - 1).astype(np.int64)
    return learned.seen[row, column]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """Settled shipments in order of lane, then shipped, float64[n]: days without the lane's bias, median, spread; begin
    int64[day + 1]: where each lane's days begin."""

    days: Float64
    median: Float64
    spread: Float64
    begin: Int64


def _day_begins(lane: Int64, shipped_at: Int64) -> Int64:
    day = shipped_at // DAY_US
    return np.r_[0, np.flatnonzero((np.diff(lane) != 0) | (np.diff(day) != 0)) + 1, len(lane)].astype(np.int64)


def _with_thresholds(
    learned: Watch, kept: _Kept, per_year: float, looks_per_day: int, block_days: int, replayed: int, seed: int
) -> Watch:
    random = np.random.default_rng(seed)
    levels = np.arange(0.5, 30.0, 0.1)
    thresholds, usual = np.empty(len(learned.rates)), np.empty((len(learned.rates), 1_000))
    for k, rate in enumerate(learned.rates.tolist()):
        years = int(np.clip(replayed / (365 * rate), _YEARS_MIN * replayed / _SHIPMENTS_REPLAYED, _YEARS_MAX)) + 1
        shipped, row = _replayed(kept, rate, 365 * years, block_days, random)
        spread = kept.spread[row]
        looks = np.arange(1, 365 * years * looks_per_day + 1) / looks_per_day
        sums = lane_trace(
            shipped, shipped + np.maximum(kept.days[row], 0.0), kept.median[row], spread, _log_shift(learned, spread),
            0.0, np.inf, looks, 2 * _SETTLED_DAYS, learned.seen, learned.waiting, _grid(learned),
        )  # fmt: skip
        thresholds[k] = _level(levels, openings(sums, levels) / years, per_year)
        usual[k] = np.quantile(sums, np.linspace(0, 1, 1_000))
    # A busier lane needs more: what chance says otherwise is left out.
    return replace(learned, thresholds=np.maximum.accumulate(thresholds), usual=usual)


def _rates_replayed(lane: Int64, shipped_at: Int64) -> Float64:
    """Shipments a day, rising: from the busiest lane down to the one that is less busy than 19 of 20."""
    span = max((int(shipped_at.max()) - int(shipped_at.min())) / DAY_US, 1.0)
    counted = np.unique(lane, return_counts=True)[1] / span
    steps = math.ceil(math.log(counted.max() / max(float(np.quantile(counted, 0.05)), 1e-2), 4) - 0.25)
    return counted.max() * 4.0 ** np.arange(-min(max(steps, 1), _RATES_MAX - 1), 1)


def _replayed(
    kept: _Kept, rate: float, days: int, block_days: int, random: np.random.Generator
) -> tuple[Float64, Int64]:
    """(days at which shipments leave, rising; their rows): each day has those of one day of one lane, and of the
    days after it where that had fewer."""
    starts = np.searchsorted(kept.begin, random.integers(0, len(kept.days), -(-days // block_days)), "right") - 1
    of = (starts[:, None] + np.arange(block_days)).ravel()[:days] % (len(kept.begin) - 1)
    many = random.poisson(rate, days)
    day = np.repeat(np.arange(days), many)
    shipped = np.sort(day + random.random(len(day)))
    row = kept.begin[of][day] + np.arange(len(day)) - (np.cumsum(many) - many)[day]
    return shipped, row % len(kept.days)


def _level(levels: Float64, per_year: Float64, wanted: float) -> float:
    """The level that is passed so often a year: the logarithm of that falls on a line (Siegmund 1985), which is fitted
    where there are enough passes to see it."""
    # Below the level that is passed most often, sums hardly ever come down.
    above = np.arange(len(levels)) >= int(per_year.argmax())
    fits = np.flatnonzero(above & (per_year <= 20 * wanted) & (per_year >= wanted / 2) & (per_year > 0))
    if len(fits) < 3:
        below = np.flatnonzero(per_year <= wanted)
        return float(levels[below[0]]) if len(below) else float(levels[-1])
    slope, begin = np.polyfit(levels[fits], np.log(per_year[fits]), 1, w=np.sqrt(per_year[fits]))
    if slope >= 0:
        return float(levels[fits[-1]])
    return float(np.clip((np.log(wanted) - begin) / slope, levels[0], levels[-1]))


def _sorted(shipments: Shipments, now: int) -> Shipments:
    known = np.flatnonzero(shipments.shipped_at <= now)
    return _taken(shipments, known[np.lexsort((shipments.shipped_at[known], shipments.lane[known]))])


def _slice(shipments: Shipments, begin: int, end: int) -> Shipments:
    return _taken(shipments, np.arange(begin, end))


def _taken(s: Shipments, rows: Int64) -> Shipments:
    return Shipments(
        lane=s.lane[rows], shipped_at=s.shipped_at[rows], delivered_at=s.delivered_at[rows],
        median_days=s.median_days[rows], spread_days=s.spread_days[rows],
        due_at=None if s.due_at is None else s.due_at[rows],
        late_minor=None if s.late_minor is None else s.late_minor[rows],
    )  # fmt: skip


def _days(at: Int64, now: int) -> Float64:
    """Days from `now`: exact to a microsecond, and infinite for NOT_YET."""
    return np.where(at == NOT_YET, np.inf, (np.where(at == NOT_YET, now, at) - now) / DAY_US)


def _log_shift(learned: Watch, spread: Float64) -> Float64:
    return np.log(learned.shift_days / spread)


def _grid(learned: Watch) -> Float64:
    return np.array([learned.first, learned.step, *learned.shifts])


def _padded(values: Float64, count: int) -> Float64:
    """Lanes that nothing was learned of have no bias."""
    return np.r_[values, np.zeros(max(count - len(values), 0))][:count]


def _rates(rows: Shipments, now: int, count: int) -> Float64:
    recent = rows.shipped_at > now - 28 * DAY_US
    span = (now - rows.shipped_at.min()) / DAY_US if len(rows) else 28.0
    return np.bincount(rows.lane[recent], minlength=count) / float(np.clip(span, 1.0, 28.0))


def _p_values(learned: Watch, total: Float64, per_day: Float64) -> Float64:
    nearest = np.abs(np.log(np.maximum(per_day, 1e-3))[:, None] - np.log(learned.rates)).argmin(axis=1)
    out = np.ones(len(total))
    size = learned.usual.shape[1]
    for k in np.unique(nearest):
        of = nearest == k
        out[of] = (size - np.searchsorted(learned.usual[k], total[of], "left") + 1) / (size + 1)
    return np.minimum(out, 1.0)


def _step_up(p: Float64) -> Int64:
    """Places of p that are rejected at a false discovery rate of 10 %."""
    order = np.argsort(p, kind="stable")
    passes = np.flatnonzero(p[order] <= _FDR * np.arange(1, len(p) + 1) / len(p))
    return order[: passes[-1] + 1] if len(passes) else order[:0]


def _delay(learned: Watch, age: Float64, is_open: npt.NDArray[np.bool_], median: Float64, spread: Float64) -> float:
    """The most likely shift in days: delivered shipments by their density, open ones by their tail."""
    e = (age[:, None] - _DELAYS - median[:, None]) / spread[:, None]
    density = _at(learned, learned.log_density, e)
    tail = _at(learned, learned.log_tail, e)
    return float(_DELAYS[np.where(is_open[:, None], tail, density).sum(axis=0).argmax()])


def _at(learned: Watch, table: Float64, e: Float64) -> Float64:
    return np.interp(e, learned.first + learned.step * np.arange(len(table)), table)


def _loss(learned: Watch, rows: Shipments, bias: float, delay: float, now: int) -> float:
    """What lateness costs more of those under way, given how long they have been: P(T > due | T > age) with and
    without the delay. Of those delivered nothing is to be saved any more."""
    if rows.due_at is None or rows.late_minor is None:
        return 0.0
    is_open = rows.delivered_at > now
    age = (now - rows.shipped_at[is_open]) / DAY_US
    due = np.maximum((rows.due_at[is_open] - rows.shipped_at[is_open]) / DAY_US, age)
    median, spread = rows.median_days[is_open] + bias, rows.spread_days[is_open]

    def late(shift: float) -> Float64:
        at_due, by_now = ((x - shift - median) / spread for x in (due, age))
        return np.exp(_at(learned, learned.log_tail, at_due) - _at(learned, learned.log_tail, by_now))

    more = np.where(due > age, late(delay) - late(0.0), 0.0)
    return float((rows.late_minor[is_open] * np.maximum(more, 0.0)).sum())
