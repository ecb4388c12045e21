"""A model of how long deliveries take: learned of a history as it is known at a moment, asked at that moment.

The target is the logarithm of days, or of days over promised days where the promise says more of how long it takes. Its
middle and spread are forecast by boosted trees (extra `forecast`) or by lanes, each row of the history by a model that
has not seen its week; what was left over gives the distribution of errors (`calibrate.py`), put right by how it came
out at past origins. Quantiles, the chance of being late, and what is left of both once some days have gone by without a
delivery are all read from it: truncated at the days gone by, which is what a hazard for each day would say, without a
second model. Once handed over, a model that counts from the hand-over takes the place of the one that counts from the
order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Final

import numpy as np

from onhand.fulfilment.delivery.backlog import learn_backlog
from onhand.fulfilment.delivery.calibrate import AS_FORETOLD, Errors, Ranks, learn_errors, learn_ranks
from onhand.fulfilment.delivery.censoring import seen_weights
from onhand.fulfilment.delivery.features import Groups, groups_of
from onhand.fulfilment.delivery.lanes import learn_effects
from onhand.fulfilment.delivery.late import LateOdds, learn_late
from onhand.fulfilment.delivery.model import Bool, Float64, Rows, Shipments
from onhand.fulfilment.delivery.regress import Guess, Learning, Leg, Regression

DELIVERED_MIN: Final = 30
# Fewer teach trees nothing that lanes do not say.
_DELIVERED_FOR_TREES: Final = 300
_HANDED_OVER_MIN: Final = 100
# Shipments of which both legs are known are like the others only where they are nearly all.
_LEGS_KNOWN: Final = 0.9
_ROWS_MAX: Final = 150_000
_HALF_LIFE_DAYS: Final = 400.0
_DAYS_MIN: Final = 0.25
_SPREAD_MIN: Final = 0.03
_POWERS: Final = np.arange(11) / 10
# Spreads that were learned are taken by half: ahead they differ less from one another than they did.
_SPREAD_POWER: Final = 0.5
# Past origins at which chances of being late were tried, and how much a trial of long ago counts.
_ORIGINS: Final = 20
_ORIGINS_APART_DAYS: Final = 14.0
_TRIAL_HALF_LIFE_DAYS: Final = 120.0
_RANKS_HALF_LIFE_DAYS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """quantiles  float64[n, Q], days from the start, rising
    late  float64[n], the chance of a delivery after the promise; NaN without a promise"""

    quantiles: Float64
    late: Float64


class DeliveryModel:
    """Learned of shipments, `days` NaN of those that were not delivered by `now` (days since 1970).

    Without a row that is on its way the history is taken to be of delivered shipments only, and the slow ones among
    the last to be missing. trees: whether to use them; None: if the extra is there. Raises ValueError with fewer than
    DELIVERED_MIN delivered ones.
    """

    def __init__(self, history: Shipments, now: float, *, trees: bool | None = None, seed: int = 0) -> None:
        use = find_spec("lightgbm") is not None if trees is None else trees
        self._ordered = _Stage(history, now, trees=use, seed=seed)
        known = np.isfinite(history.handed_over) & (history.start + history.handed_over <= now)
        self._after = history.rows(known & ~(history.handed_over >= history.days))
        self._now, self._trees, self._seed = now, use, seed

    def predict(self, shipments: Shipments, levels: Float64, elapsed: Float64) -> Delivery:
        """At levels in (0, 1), rising; elapsed: float64[n], days from the start that went by without a delivery."""
        made = self._ordered.predict(shipments, levels, elapsed)
        handed = np.isfinite(shipments.handed_over)
        if not handed.any() or self._handed_over is None:
            return made
        waited = shipments.handed_over[handed]
        after = self._handed_over.predict(
            shipments.rows(handed).from_hand_over(), levels, np.maximum(elapsed[handed] - waited, 0.0)
        )
        made.quantiles[handed], made.late[handed] = after.quantiles + waited[:, None], after.late
        return made

    @cached_property
    def _handed_over(self) -> "_Stage | None":
        """Learned when the first shipment that is handed over is asked about; None: of too few."""
        if np.isfinite(self._after.days).sum() < _HANDED_OVER_MIN:
            return None
        return _Stage(self._after.from_hand_over(), self._now, trees=self._trees, seed=self._seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Log days of each row: the middle, and a unit of error, float64[n]."""

    middle: Float64
    unit: Float64

    def error(self, days: Float64) -> Float64:
        return (_log_days(days) - self.middle) / self.unit

    def days(self, error: Float64) -> Float64:
        """Of errors float64[n, Q]."""
        return np.exp(self.middle[:, None] + error * self.unit[:, None])

    def rows(self, which: Rows) -> "_Shape":
        return _Shape(middle=self.middle[which], unit=self.unit[which])


class _Stage:
    """Days from one start, the order or the hand-over."""

    def __init__(self, history: Shipments, now: float, *, trees: bool, seed: int) -> None:
        history = history.rows(np.argsort(history.start, kind="stable")[-_ROWS_MAX:])
        seen, room = np.isfinite(history.days), now - history.start
        if seen.sum() < DELIVERED_MIN:
            raise ValueError(f"expected {DELIVERED_MIN} delivered shipments or more, got {int(seen.sum())}")
        age = 0.5 ** (room / _HALF_LIFE_DAYS)
        weight = seen_weights(history.days, room, age)
        groups = groups_of(history)
        self._promise = _promise_tells(history, groups, weight)
        late, sure = _lateness(history, room, weight, age)
        base = self._base(history)
        self._regression = Regression(
            history, groups,
            Learning(
                target=_log_days(history.days) - base, base=base, weight=weight,
                late=late, late_weight=sure, legs=_legs(history, weight),
            ),
            trees=trees and int(seen.sum()) >= _DELIVERED_FOR_TREES, seed=seed,
        )  # fmt: skip
        guess = self._regression.out_of_fold
        self._usual_spread = float(np.exp(np.mean(np.log(np.maximum(guess.spread, _SPREAD_MIN)))))
        left = _log_days(history.days) - guess.middle - base
        self._backlog = learn_backlog(history, left, weight, now)
        shape = self._shape(guess, history)
        self._errors = learn_errors(shape.error(history.days), shape.error(room), seen, room)
        trials = [*_trials(history, shape, now)]
        self._odds = _odds(history, shape, guess.late, (late, sure), trials)
        self._ranks = _ranks(history, shape, now, trials)

    def predict(self, shipments: Shipments, levels: Float64, elapsed: Float64) -> Delivery:
        guess = self._regression.predict(shipments, self._base(shipments))
        shape = self._shape(guess, shipments)
        gone = np.where(elapsed > 0, self._errors.share(shape.error(elapsed)), 0.0)
        passed = self._ranks.share(gone)[:, None]
        error = self._errors.quantile(self._ranks.rank(passed + (1 - passed) * levels))
        quantiles = np.maximum(shape.days(error), elapsed[:, None])
        in_time = self._errors.share(shape.error(shipments.promised))
        late = self._odds.at(1 - in_time, guess.late)
        # Bayes: of those in time this part would be there by now, of those late none.
        still = np.clip(1 - gone / np.maximum(in_time, 1e-9), 0.0, 1.0)
        late = late / np.maximum(late + (1 - late) * still, 1e-12)
        late = np.where(shipments.promised <= elapsed, 1.0, late)
        return Delivery(quantiles=quantiles, late=np.where(np.isnan(shipments.promised), np.nan, late))

    def _base(self, shipments: Shipments) -> Float64:
        """Log days that the target starts from."""
        return self._promise.power * _log_days(np.nan_to_num(shipments.promised, nan=self._promise.usual))

    def _shape(self, guess: Guess, shipments: Shipments) -> _Shape:
        spread = np.maximum(guess.spread, _SPREAD_MIN) / self._usual_spread
        more = 0.0 if self._backlog is None else self._backlog.at(shipments.start)
        return _Shape(
            middle=guess.middle + self._base(shipments) + more, unit=self._usual_spread * spread**_SPREAD_POWER
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Promise:
    """Days grow as this power of the promise; `usual`: the promise of those that have none."""

    usual: float
    power: float


def _promise_tells(history: Shipments, groups: Groups, weight: Float64) -> _Promise:
    """What the promise says of days beyond what lanes say: the power, in tenths, that leaves the smallest errors. Of
    promises by lane that is little, of dates that were agreed on it is all."""
    rows = (weight > 0) & np.isfinite(history.promised)
    if rows.sum() < 0.9 * (weight > 0).sum():
        return _Promise(usual=1.0, power=0.0)
    of, weight = groups.rows(rows).without("promise"), weight[rows]
    days, promised = (
        values - learn_effects(of, values, weight).at(of)
        for values in (_log_days(history.days[rows]), _log_days(history.promised[rows]))
    )
    left = [days - power * promised for power in _POWERS]
    off = [np.average(np.abs(values - _median(values, weight)), weights=weight) for values in left]
    return _Promise(usual=float(np.median(history.promised[rows])), power=float(_POWERS[int(np.argmin(off))]))


def _legs(history: Shipments, weight: Float64) -> list[Leg]:
    """From the start to the hand-over, and from there to the delivery; none where too few tell both."""
    both = (weight > 0) & (history.handed_over > 0) & (history.handed_over < history.days)
    if both.sum() < max(_HANDED_OVER_MIN, _LEGS_KNOWN * (weight > 0).sum()):
        return []
    known = np.where(both, weight, 0.0)
    return [
        Leg(log_days=_log_days(days), weight=known)
        for days in (history.handed_over, history.days - history.handed_over)
    ]


def _median(values: Float64, weight: Float64) -> float:
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])


def _log_days(days: Float64) -> Float64:
    return np.log(np.maximum(days, _DAYS_MIN))


def _lateness(history: Shipments, room: Float64, weight: Float64, age: Float64) -> tuple[Float64, Float64]:
    """(1.0 late, 0.0 in time, NaN not known; weight). What is due and not there is late, before it is delivered."""
    promised = np.isfinite(history.promised)
    late = np.where(promised, (~(history.days <= history.promised)).astype(float), np.nan)
    # With rows on their way those that are due are all known, however they came out; without, only those that came.
    known = promised & ((weight > 0) if np.isfinite(history.days).all() else (history.promised <= room))
    return np.where(known, late, np.nan), np.where(known, weight if np.isfinite(history.days).all() else age, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """What was known at a past origin, and who was asked about then: shipments of the days that followed.

    days_ago  of the origin
    errors    as they were known then
    ahead     bool[n], rows of the history
    """

    days_ago: float
    errors: Errors
    ahead: Bool


def _trials(history: Shipments, shape: _Shape, now: float) -> Iterator[_Trial]:
    """The latest first, as far back as there was enough to know."""
    for back in range(1, _ORIGINS + 1):
        origin = now - back * _ORIGINS_APART_DAYS
        past = history.start < origin
        room = origin - history.start
        came = history.days <= room
        if not np.isfinite(history.days).any() or (came & past).sum() < DELIVERED_MIN:
            return
        of = past if not np.isfinite(history.days).all() else past & came
        then = shape.rows(of)
        errors = learn_errors(then.error(history.days[of]), then.error(room[of]), came[of], room[of])
        ahead = ~past & (history.start < origin + _ORIGINS_APART_DAYS)
        yield _Trial(days_ago=back * _ORIGINS_APART_DAYS, errors=errors, ahead=ahead)


def _ranks(history: Shipments, shape: _Shape, now: float, trials: Sequence[_Trial]) -> Ranks:
    """How ranks came out that were foretold at past origins: so that quantiles allow for how far errors drift."""
    room = now - history.start
    # Of delivered ones alone the slow ones are missing, and ranks would come out too low.
    if np.isfinite(history.days).all():
        return AS_FORETOLD
    tried = [
        (
            trial.errors.share(shape.rows(trial.ahead).error(history.days[trial.ahead])),
            trial.errors.share(shape.rows(trial.ahead).error(room[trial.ahead])),
            np.isfinite(history.days[trial.ahead]),
            np.full(int(trial.ahead.sum()), 0.5 ** (trial.days_ago / _RANKS_HALF_LIFE_DAYS)),
        )
        for trial in trials
    ]
    if not tried:
        return AS_FORETOLD
    rank, last, seen, weight = (np.concatenate(column) for column in zip(*tried, strict=True))
    return learn_ranks(rank, last, seen.astype(np.bool_), weight)


def _odds(
    history: Shipments, shape: _Shape, direct: Float64, lateness: tuple[Float64, Float64], trials: Sequence[_Trial]
) -> LateOdds:
    """Learned at past origins, each knowing what had come by then: so that chances allow for how far errors drift."""
    late, sure = lateness
    tried: list[tuple[Float64, Float64, Float64, Float64]] = []
    for trial in trials:
        ahead = trial.ahead & (sure > 0)
        if not ahead.any():
            continue
        chance = 1 - trial.errors.share(shape.rows(ahead).error(history.promised[ahead]))
        counts = np.minimum(sure[ahead] / max(float(sure[sure > 0].mean()), 1e-12), 3.0)
        aged = 0.5 ** (trial.days_ago / _TRIAL_HALF_LIFE_DAYS)
        tried.append((chance, direct[ahead], late[ahead], counts * aged))
    nothing = np.zeros(0)
    columns = [np.concatenate(column) for column in zip(*tried, strict=True)] if tried else [nothing] * 4
    return learn_late(columns[0], columns[1], columns[2], columns[3])
