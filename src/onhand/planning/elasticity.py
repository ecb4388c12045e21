"""How demand answers to price and promotion: estimated on sales of the past, for every item. Pure.

A log-linear model of units with counts that scatter more than Poisson's (negative binomial, Hilbe 2011, eq. 8.26),
fitted by iteratively reweighted least squares:

    log E(units) = level of item and place + season + trend                      what would have happened anyway
                 + price x log(price) + others x log(prices of the category)     own and cross elasticity
                 + flags (deal, feature, ...) + after x (was on promotion, is no longer)

Prices change for whole chains at once, so the places of one period are no independent witnesses: errors are clustered
by period (Liang and Zeger 1986). What few prices were tried of is pulled towards its category, and a category towards
what is usual (empirical Bayes, Morris 1983; the usual price elasticity is that of the meta-analysis of Bijmolt, van
Heerde and Pieters 2005): an item without any history of prices gets its category's answer, with its uncertainty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

PRICE, OTHERS, AFTER = "price", "others", "after"

# Demand at a share r of the price is r^-2.62 times as large: the mean of 1,851 published elasticities, half of them
# between -1 and -3 (Bijmolt, van Heerde and Pieters 2005).
USUAL_ELASTICITY: Final = 2.62
# (mean, standard deviation) of what is usual, on the scale of logarithms. A flag sells a third more, the weeks after it
# a tenth less (van Heerde, Leeflang and Wittink 2000 find 4 to 25 % of a promotion to be taken from later weeks).
_USUAL: Final[Mapping[str, tuple[float, float]]] = {
    PRICE: (-USUAL_ELASTICITY, 1.3),
    OTHERS: (0.3, 0.5),
    AFTER: (-0.1, 0.15),
}
_USUAL_FLAG: Final = (0.3, 0.5)
# What is usual counts as so many items beside those of a category.
_ITEMS_BESIDE: Final = 1.0
# A price so far below the item's median is a promotion, whatever flags say.
_PROMOTED: Final = 0.05
_HARMONICS: Final = 2
# Precision that keeps a regressor which never moves from having no answer at all.
_LITTLE: Final = 1e-4
_STEPS_MAX: Final = 60
_DISPERSION: Final = (1e-6, 50.0)
# Standard deviation of what trend and each wave of the season do, of the logarithm: less than two years cannot tell a
# season from chance, and a trend that is carried on goes wrong.
_USUAL_MOVES: Final = 0.2
# Logarithms of means stay within this: a step that goes astray is caught.
_LOG_MAX: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """What was sold at which price: a row for each item, place and period.

    item      int32[n], 0 to I - 1
    place     int32[n]: store, region or channel; each has a level of its own for every item
    period    int32[n], of equal length (`season` of them a year)
    units     float64[n], >= 0; leave out periods in which nothing could be sold
    price     float64[n], > 0, what a unit was sold for
    flags     float64[n, F], 0 to 1: deal, feature, display
    category  int32[I]
    names     of the flags
    """

    item: Int32
    place: Int32
    period: Int32
    units: Float64
    price: Float64
    category: Int32
    flags: Float64
    names: Sequence[str] = ()
    season: float = 365.25 / 7

    def __post_init__(self) -> None:
        count = len(self.item)
        if any(len(column) != count for column in (self.place, self.period, self.units, self.price, self.flags)):
            raise ValueError("expected columns of one length")
        if self.flags.shape != (count, len(self.names)):
            raise ValueError("expected flags [rows, names]")
        if count and (self.units.min() < 0 or not np.isfinite(self.units).all()):
            raise ValueError("expected units >= 0")
        if count and (self.price.min() <= 0 or not np.isfinite(self.price).all()):
            raise ValueError("expected prices > 0")
        if count and (self.item.min() < 0 or self.item.max() >= len(self.category)):
            raise ValueError("expected items 0 to I - 1, each with a category")

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the coefficients of the answer."""
        return (PRICE, OTHERS, *self.names, AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplift:
    """What a promotion multiplies demand by: log-normal. mu, sigma: of the logarithm."""

    mu: float
    sigma: float

    @property
    def mean(self) -> float:
        """The mean of what demand is multiplied by."""
        return float(np.exp(self.mu + self.sigma**2 / 2))

    def at(self, normal: Float64) -> Float64:
        """The multipliers at these standard normal numbers."""
        return np.exp(self.mu + self.sigma * normal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """What is known of how items answer; shapes: I items, K terms.

    terms       names: price, others, flags, after
    mean, cov   float64[I, K], float64[I, K, K]: pooled
    own, error  float64[I, K]: what the item's own history says alone, and its standard error (inf: nothing)
    shock       float64[I]: standard deviation by which one promotion differs from the next, of the logarithm
    share       float64[I]: of the units of the category
    category    int32[I]
    """

    terms: tuple[str, ...]
    mean: Float64
    cov: Float64
    own: Float64
    error: Float64
    shock: Float64
    share: Float64
    category: Int32

    def elasticity(self, item: int) -> tuple[float, float]:
        """Own price elasticity and its standard error."""
        at = self.terms.index(PRICE)
        return float(self.mean[item, at]), float(np.sqrt(self.cov[item, at, at]))

    def uplift(self, item: int, discount: float, flags: Sequence[str] = ()) -> Uplift:
        """What a discount (share of the price, 0 to below 1) and flags do to the item's demand."""
        if not 0 <= discount < 1:
            raise ValueError("expected discount in [0, 1)")
        x = np.zeros(len(self.terms))
        x[self.terms.index(PRICE)] = np.log1p(-discount)
        for flag in flags:
            x[self.terms.index(flag)] = 1.0
        spread = float(x @ self.cov[item] @ x) + float(self.shock[item]) ** 2 * bool(x.any())
        return Uplift(mu=float(x @ self.mean[item]), sigma=float(np.sqrt(max(spread, 0.0))))

    def dip(self, item: int) -> Uplift:
        """What is left of the demand of the period after a promotion, by which it pulled demand forward."""
        at = self.terms.index(AFTER)
        return Uplift(mu=float(self.mean[item, at]), sigma=float(np.sqrt(self.cov[item, at, at])))

    def taken_from(self, discount: Float64) -> Float64:
        """What discounts of others multiply each item's demand by (cannibalisation within categories).

        discount  float64[I], share of the price of each item
        """
        cut = np.log1p(-discount)
        at = self.terms.index(OTHERS)
        weight = _others(self.category, self.share)
        # Goods that sell better when another is cheaper are rare, and mostly chance: they are taken for unmoved.
        return np.exp(np.minimum(np.maximum(self.mean[:, at], 0.0) * (weight @ cut), 0.0))


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model of one item: coefficients of what would have happened anyway and of the answer, level by place (NaN: the
    place is not known), dispersion (variance = mean + dispersion x mean^2)."""

    usual: Float64
    answer: Float64
    level: Float64
    dispersion: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Answers with the models they were found by. `price_blind`: the same without price and promotion."""

    responses: Responses
    models: Sequence[Fitted]
    design: "Design"

    def log_likelihood(self, sales: Sales, item: int, rows: Bool) -> float:
        """Mean log-likelihood of the item's units in these rows, whose place was known."""
        return _score(self.models[item], self.design, sales, item, rows)


@dataclass(frozen=True, slots=True)
class Design:
    """Regressors of all rows: float64[n, U] of what happens anyway, float64[n, K] of the answer."""

    usual: Float64
    answer: Float64


def study(sales: Sales, *, until: int | None = None, price_blind: bool = False) -> Study:
    """Estimate how each item answers from the periods before `until` (None: all).

    price_blind  leave price and promotion out: what a model knows that does not see them

    The regressors of later rows (their prices, not their units) are made as well, for `log_likelihood`. Linear in rows;
    some 70,000 rows of 11 items take a second.
    """
    known = np.ones(len(sales.item), np.bool_) if until is None else sales.period < until
    share = _share(sales, known)
    design = _design(sales, known, share)
    items, terms = len(sales.category), len(sales.terms)
    own, cov = np.zeros((items, terms)), np.zeros((items, terms, terms))
    cov[:] = np.eye(terms) * 1e12
    shock = np.zeros(items)
    rows = [np.flatnonzero((sales.item == i) & known) for i in range(items)]
    if not price_blind:
        for item, at in enumerate(rows):
            found = _own(sales, design, at)
            if found is not None:
                own[item], cov[item] = found
    mean, pooled = _pool(own, cov, sales.category, sales.terms)
    if price_blind:
        mean = np.zeros_like(mean)
    models: list[Fitted] = []
    for item, at in enumerate(rows):
        models.append(_with_answer(sales, design, at, mean[item]))
        shock[item] = 0.0 if price_blind else _shock(sales, design, at, models[item])
    variance = np.diagonal(cov, axis1=1, axis2=2)
    responses = Responses(
        terms=sales.terms,
        mean=mean,
        cov=pooled,
        own=own,
        error=np.where(variance > 1e11, np.inf, np.sqrt(np.minimum(variance, 1e11))),
        shock=shock,
        share=share,
        category=sales.category,
    )
    return Study(responses=responses, models=models, design=design)


def usual(category: Int32, share: Float64, names: Sequence[str] = ()) -> Responses:
    """What is usual, for items that no sales are known of; share: float64[I], of the units of the category."""
    terms = (PRICE, OTHERS, *names, AFTER)
    centre, spread = _usual(terms)
    items = len(category)
    return Responses(
        terms=terms,
        mean=np.tile(centre, (items, 1)),
        cov=np.tile(np.diag(spread**2), (items, 1, 1)),
        own=np.zeros((items, len(terms))),
        error=np.full((items, len(terms)), np.inf),
        shock=np.zeros(items),
        share=share,
        category=category,
    )


# Regressors -----------------------------------------------------------------------------------------------------------


def _share(sales: Sales, known: Bool) -> Float64:
    """Of each item in the units of its category; equal shares where nothing was sold."""
    units = np.bincount(sales.item[known], sales.units[known], len(sales.category)) + 1e-9
    return units / np.bincount(sales.category, units)[sales.category]


def _others(category: Int32, share: Float64) -> Float64:
    """float64[I, I]: weight of each other item of the category in the prices that an item competes with."""
    weight = np.where(category[:, np.newaxis] == category, share, 0.0)
    np.fill_diagonal(weight, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)


def _design(sales: Sales, known: Bool, share: Float64) -> Design:
    count = len(sales.item)
    turn = 2.0 * np.pi * sales.period / sales.season
    waves = [wave(k * turn) for k in range(1, _HARMONICS + 1) for wave in (np.sin, np.cos)]
    span = float(np.ptp(sales.period[known])) if known.any() else 1.0
    # Afterwards it is held where it was last.
    last = sales.period[known].max() if known.any() else 0
    trend = (np.minimum(sales.period, last) - (sales.period[known].mean() if known.any() else 0.0)) / max(span, 1.0)
    cut = np.log(sales.price)
    middle = np.zeros(len(sales.category))
    for item in range(len(middle)):
        at = (sales.item == item) & known
        middle[item] = np.median(cut[at]) if at.any() else 0.0
    promoted = np.maximum(
        sales.flags.max(axis=1, initial=0.0), (cut < middle[sales.item] - _PROMOTED).astype(np.float64)
    )
    answer = np.column_stack(
        [cut, _prices_of_others(sales, cut, share), *sales.flags.T, _after(sales, promoted)]
    ).reshape(count, len(sales.terms))
    return Design(np.column_stack([trend, *waves]), answer)


def _prices_of_others(sales: Sales, cut: Float64, share: Float64) -> Float64:
    """Mean logarithm of the prices of the others of the category, there and then."""
    group = np.column_stack([sales.category[sales.item], sales.place, sales.period])
    _, group = np.unique(group, axis=0, return_inverse=True)
    weight = share[sales.item]
    total, both = np.bincount(group, weight), np.bincount(group, weight * cut)
    rest = total[group] - weight
    alone = rest <= 1e-9
    return np.where(alone, 0.0, (both[group] - weight * cut) / np.where(alone, 1.0, rest))


def _after(sales: Sales, promoted: Float64) -> Float64:
    """How far the item was on promotion in the period before, and is no longer."""
    periods = int(sales.period.max(initial=0)) + 2
    places = int(sales.place.max(initial=0)) + 1
    key = (sales.item.astype(np.int64) * places + sales.place) * periods + sales.period
    turn = np.argsort(key, kind="stable")
    found = np.minimum(np.searchsorted(key[turn], key - 1), len(key) - 1)
    before = np.where(key[turn][found] == key - 1, promoted[turn][found], 0.0)
    return before * (1.0 - promoted)


# Regression -----------------------------------------------------------------------------------------------------------


def _own(sales: Sales, design: Design, rows: npt.NDArray[np.intp]) -> tuple[Float64, Float64] | None:
    """The item's own answer and its covariance, clustered by period; None where it cannot be asked."""
    answer = design.answer[rows]
    periods = np.unique(sales.period[rows], return_inverse=True)[1]
    terms, clusters = answer.shape[1], int(periods.max(initial=-1)) + 1
    if clusters < 3 or not sales.units[rows].any():
        return None
    x = np.column_stack([answer, design.usual[rows]])
    ridge = np.concatenate([np.full(terms, _LITTLE), _ridge(sales, rows, design.usual.shape[1])])
    b, mu, dispersion = _regress(sales.units[rows], x, sales.place[rows], np.zeros(len(rows)), ridge)[:3]
    weight = mu / (1.0 + dispersion * mu)
    inside = _within(x, weight, sales.place[rows])
    # A regressor that never moves says nothing: the ridge leaves it a variance so large that pooling takes over.
    bread = np.linalg.inv(inside.T @ (weight[:, np.newaxis] * inside) + np.diag(ridge))
    score = inside * ((sales.units[rows] - mu) / (1.0 + dispersion * mu))[:, np.newaxis]
    sums = np.zeros((clusters, x.shape[1]))
    np.add.at(sums, periods, score)
    # Few periods: their scores are made small by fitting them.
    spare = max(clusters - x.shape[1], 1)
    robust = bread @ (sums.T @ sums) @ bread * clusters / spare
    # Never surer than if all rows were independent of one another.
    both = robust + bread
    return b[:terms], both[:terms, :terms]


def _with_answer(sales: Sales, design: Design, rows: npt.NDArray[np.intp], answer: Float64) -> Fitted:
    """The rest of the model, where the answer is given."""
    places = int(sales.place.max(initial=0)) + 1
    level = np.full(places, np.nan)
    if not len(rows) or not sales.units[rows].any():
        return Fitted(np.zeros(int(design.usual.shape[1])), answer, level, 1.0)
    offset = design.answer[rows] @ answer
    ridge = _ridge(sales, rows, design.usual.shape[1])
    b, _, dispersion, found = _regress(sales.units[rows], design.usual[rows], sales.place[rows], offset, ridge)
    level[: len(found)] = found
    return Fitted(b, answer, level, dispersion)


def _ridge(sales: Sales, rows: npt.NDArray[np.intp], columns: int) -> Float64:
    """Precision of what is thought of trend and season before anything was seen. Places of one period tell the same
    about it: together they count as one."""
    each = len(rows) / max(len(np.unique(sales.period[rows])), 1)
    return np.full(columns, each / _USUAL_MOVES**2)


def _regress(
    y: Float64, x: Float64, place: Int32, offset: Float64, ridge: Float64
) -> tuple[Float64, Float64, float, Float64]:
    """Coefficients, means, dispersion and levels by place (NaN: none) of a negative binomial regression.

    The levels are taken out of every weighted least-squares step instead of being solved for (Frisch and Waugh 1933),
    so that the work does not grow with the square of the places. ridge: float64[columns], pulls coefficients to 0.
    """
    places = int(place.max()) + 1
    dispersion = 0.1
    # A place that sold nothing would have a level of minus infinity: it counts as half a unit in all.
    seen = np.bincount(place, minlength=places)
    start = (np.bincount(place, y, places) + 0.5) / np.maximum(seen, 1)
    eta = np.log(0.5 * y + 0.5 * start[place])
    b = np.zeros(x.shape[1])
    level: Float64 = np.zeros(places)
    for _ in range(_STEPS_MAX):
        mu = np.exp(eta)
        weight = mu / (1.0 + dispersion * mu)
        wanted = eta - offset + (y - mu) / mu
        inside, target = _within(x, weight, place), _within(wanted[:, np.newaxis], weight, place)[:, 0]
        gram = inside.T @ (weight[:, np.newaxis] * inside) + np.diag(ridge)
        solved: Any = np.linalg.solve(gram, inside.T @ (weight * target))
        new: Float64 = solved
        total = np.bincount(place, weight, places)
        level = (np.bincount(place, weight * (wanted - x @ new), places) / np.maximum(total, 1e-300)).astype(np.float64)
        floor = np.log(0.5 / np.maximum(seen, 1)) - 3.0
        level = np.maximum(level, floor - float(np.abs(offset).max(initial=0.0)))
        eta = np.clip(offset + x @ new + level[place], -_LOG_MAX, _LOG_MAX)
        moved = float(np.abs(new - b).max(initial=0.0))
        before = dispersion
        b = np.asarray(new, np.float64)
        dispersion = _dispersion(y, np.exp(eta), len(b) + int((seen > 0).sum()))
        if moved < 1e-7 and abs(dispersion - before) < 1e-7 * before:
            break
    return b, np.exp(eta), dispersion, np.where(seen > 0, level, np.nan)


def _within(x: Float64, weight: Float64, place: Int32) -> Float64:
    """What is left of each column without the weighted mean of its place."""
    total = np.maximum(np.bincount(place, weight), 1e-300)
    means = np.column_stack([np.bincount(place, weight * column) / total for column in x.T])
    return x - means[place]


def _dispersion(y: Float64, mu: Float64, coefficients: int) -> float:
    """By moments: where Pearson's sum equals the degrees of freedom (Breslow 1984)."""
    spare = max(len(y) - coefficients, 1)
    low, high = _DISPERSION
    square = (y - mu) ** 2
    if float((square / (mu + low * mu**2)).sum()) <= spare:
        return low
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if float((square / (mu + middle * mu**2)).sum()) > spare else (low, middle)
    return float(np.sqrt(low * high))


def _shock(sales: Sales, design: Design, rows: npt.NDArray[np.intp], model: Fitted) -> float:
    """By how much a promotion differs from the next beyond chance: the standard deviation of the mean error of its
    periods, less that of other periods."""
    if not len(rows) or np.isnan(model.level[sales.place[rows]]).all():
        return 0.0
    mu = _means(model, design, sales, rows)
    error = np.log((sales.units[rows] + 0.5) / (mu + 0.5))
    promoted = design.answer[rows, 2:-1].max(axis=1, initial=0.0) > 0.5
    variances: list[float] = []
    for which in (promoted, ~promoted):
        periods, group = np.unique(sales.period[rows][which], return_inverse=True)
        if len(periods) < 4:
            return 0.0
        means = np.bincount(group, error[which]) / np.bincount(group)
        variances.append(float(means.var(ddof=1)))
    return float(np.sqrt(max(0.0, variances[0] - variances[1])))


# Pooling --------------------------------------------------------------------------------------------------------------


def _usual(terms: Sequence[str]) -> tuple[Float64, Float64]:
    pairs = np.array([_USUAL.get(term, _USUAL_FLAG) for term in terms], np.float64)
    return pairs[:, 0], pairs[:, 1]


def _pool(own: Float64, cov: Float64, category: Int32, terms: Sequence[str]) -> tuple[Float64, Float64]:
    """Mean and covariance of each item's answer, pulled towards its category: expectation maximisation of a normal
    model of two levels (Dempster, Laird and Rubin 1977), its spread diagonal."""
    centre, spread = _usual(terms)
    mean, pooled = own.copy(), cov.copy()
    for group in np.unique(category).tolist():
        items = np.flatnonzero(category == group)
        middle, width = centre.copy(), spread**2
        precision = np.linalg.inv(cov[items])
        told = np.einsum("ikl,il->ik", precision, own[items])
        m, s = own[items], cov[items]
        for _ in range(200):
            s = np.linalg.inv(precision + np.diag(1.0 / width))
            m = np.einsum("ikl,il->ik", s, told + middle / width)
            count = len(items) + _ITEMS_BESIDE
            new = (m.sum(axis=0) + _ITEMS_BESIDE * centre) / count
            about = (np.diagonal(s, axis1=1, axis2=2) + (m - new) ** 2).sum(axis=0)
            width = (about + _ITEMS_BESIDE * spread**2) / count
            done = float(np.abs(new - middle).max()) < 1e-6
            middle = new
            if done:
                break
        mean[items], pooled[items] = m, s
    return mean, pooled


# Scores ---------------------------------------------------------------------------------------------------------------


def _means(model: Fitted, design: Design, sales: Sales, rows: npt.NDArray[np.intp]) -> Float64:
    eta = design.usual[rows] @ model.usual + design.answer[rows] @ model.answer + model.level[sales.place[rows]]
    return np.exp(np.clip(eta, -_LOG_MAX, _LOG_MAX))


def _score(model: Fitted, design: Design, sales: Sales, item: int, rows: Bool) -> float:
    at = np.flatnonzero(rows & (sales.item == item))
    at = at[~np.isnan(model.level[sales.place[at]])]
    if not len(at):
        return float("nan")
    return float(log_density(sales.units[at], _means(model, design, sales, at), model.dispersion).mean())


def log_density(units: Float64, mean: Float64, dispersion: float) -> Float64:
    """Of the negative binomial distribution with variance mean + dispersion x mean^2 (Hilbe 2011, eq. 8.7)."""
    r = 1.0 / dispersion
    odds = np.log1p(mean * dispersion)
    return (
        log_gamma(units + r) - log_gamma(np.full_like(units, r)) - log_gamma(units + 1.0)
        + units * (np.log(mean * dispersion) - odds) - r * odds
    )  # fmt: skip


def log_gamma(x: Float64) -> Float64:
    """For x > 0, within 1e-9: Stirling's series (Abramowitz and Stegun 1964, 6.1.41) at x + 8."""
    shifted = x + 8.0
    product = np.prod([x + k for k in range(8)], axis=0)
    inverse = 1.0 / shifted
    tail = inverse * (1 / 12 - inverse**2 * (1 / 360 - inverse**2 / 1260))
    return (shifted - 0.5) * np.log(shifted) - shifted + 0.5 * np.log(2 * np.pi) + tail - np.log(product)


__all__ = ["Responses", "Sales", "Study", "Uplift", "study", "usual"]
