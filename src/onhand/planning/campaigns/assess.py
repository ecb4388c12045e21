"""Assess a campaign: the same paths of demand with it and without, with more of it and on other dates."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from onhand.planning.campaigns.baskets import Made, Pool, draw_baskets, make_orders
from onhand.planning.campaigns.demand import Paths, draw_paths, with_campaign
from onhand.planning.campaigns.model import (
    PATHS_MIN,
    Assessment,
    Bool,
    Break,
    Campaign,
    Demand,
    Figures,
    FirstBreak,
    Float64,
    Int64,
    Kind,
    Settings,
    Shifted,
    World,
)
from onhand.planning.campaigns.serve import Served, Server

Progress = Callable[[str, int, int], None]
# A path is decided without the campaign, with it, and some two or three times more to find the largest uplift.
_DECISIONS = 5
# Halvings of the interval that holds the largest uplift, after it was found by doubling.
_HALVINGS = 5
# Other dates are compared on so many of the paths.
_SHIFT_PATHS = 4


def _silent(_what: str, _done: int, _of: int) -> None:
    pass


class Assessor:
    """Paths of one world and one campaign, decided when they are asked for."""

    def __init__(
        self, world: World, demand: Demand, campaign: Campaign, settings: Settings, progress: Progress = _silent
    ) -> None:
        days = demand.mean.shape[1]
        if campaign.last >= days:
            raise ValueError(
                f"expected a forecast until the last day of the campaign, {campaign.last}; it has {days} days"
            )
        self.world, self.demand, self.campaign, self.settings, self.progress = (
            world,
            demand,
            campaign,
            settings,
            progress,
        )
        self.pool = Pool(world, demand, campaign.channels)
        progress("an empty network", 0, 1)
        self.server = Server(world, self.pool, days, seed=settings.seed, break_share=settings.break_share)
        self.promoted = np.zeros(len(world.history.available), np.bool_)
        self.promoted[demand.item[campaign.row]] = True
        self.paths = self._chosen(draw_paths(demand, settings.paths, settings.seed))
        self.late_before: list[Bool] = []
        self.late_with: list[float] = []
        # Sums over the paths: what nodes do on each day is too much to keep of every path.
        self.load: Float64 = np.zeros_like(self.server.used)
        self.at_nodes: Float64 = np.zeros((2, self.server.resources.nodes, days))

    def _chosen(self, paths: Paths) -> Paths:
        """Those that are decided: evenly spread over how much they ask for (systematic sampling of a sorted list, which
        is stratification in the limit: Cochran 1977, 8.5), the hardest last."""
        campaign = self.campaign
        span = slice(campaign.first, campaign.last + 1)
        units = paths.units[:, campaign.row, span].sum(axis=2).astype(np.float64)
        more = np.maximum(np.exp(campaign.mu + campaign.sigma * paths.effect[:, np.newaxis]), 1.0)
        turn = np.argsort((units * more).sum(axis=1), kind="stable")
        orders = len(self.world.history) * self.world.stand_for / self.world.days * float(self.demand.background.sum())
        count = int(self.settings.orders_max / max(orders * _DECISIONS, 1.0))
        count = min(len(turn), max(PATHS_MIN, count))
        places = ((np.arange(count) + 0.5) * len(turn) / count).astype(np.int64)
        return paths.only(turn[places])

    @property
    def count(self) -> int:
        """Paths that are decided."""
        return len(self.paths.effect)

    def made(
        self, path: int, scale: float, campaign: Campaign | None = None, until: int | None = None
    ) -> tuple[Made, int]:
        """Orders of a path with so much of the campaign, until that day, and the number of its baskets."""
        seed, units = self.settings.seed, self.paths.units[path]
        lines = draw_baskets(self.pool, units, path, seed)
        wanted = with_campaign(
            units, float(self.paths.effect[path]), path, self.demand, campaign or self.campaign, scale
        )
        return make_orders(self.pool, lines, wanted, path, seed, until), len(lines.template)

    def with_it(self) -> list[Served]:
        """All paths with the campaign as it is planned; notes how many of their orders are late."""
        found: list[Served] = []
        for path in range(self.count):
            served = self.served(path, 1.0, is_whole=True)
            self.late_with.append(self.late_share(served))
            found.append(self.counted(served, 1.0))
            self.progress("with the campaign", path + 1, self.count)
        return found

    def without(self) -> list[Served]:
        """All paths without the campaign; notes what is late there."""
        found: list[Served] = []
        for path in range(self.count):
            made, baskets = self.made(path, 0.0)
            served = self.server.serve(made, self.promoted)
            self.late_before.append(self.server.late_baskets(made, served, baskets))
            found.append(self.counted(served, -1.0))
            self.progress("without the campaign", path + 1, self.count)
        return found

    def counted(self, served: Served, sign: float) -> Served:
        """The same without what nodes do in it, which is added to that of all."""
        self.load += sign * served.load
        if sign > 0:
            self.at_nodes += served.at_nodes
        return replace(served, load=np.zeros((0, 0, 0)), at_nodes=np.zeros((0, 0, 0)))

    def served(
        self,
        path: int,
        scale: float,
        *,
        campaign: Campaign | None = None,
        world: World | None = None,
        is_whole: bool = False,
    ) -> Served:
        """A path with so much of the campaign, until its last day unless `is_whole`."""
        made, _ = self.made(path, scale, campaign, None if is_whole else (campaign or self.campaign).last)
        return self.server.serve(made, self.promoted, world=world, not_counted=self.late_before[path])

    def late_share(self, served: Served, campaign: Campaign | None = None) -> float:
        """Of the orders of the days of the campaign."""
        of = campaign or self.campaign
        return served.late_share(of.first, of.last)


def assess(
    world: World, demand: Demand, campaign: Campaign, settings: Settings, progress: Progress = _silent
) -> tuple[Assessment, Assessor]:
    """Assess a campaign; pure: the same arguments, the same answer. The assessor keeps the paths, for remedies.

    Raises ValueError where the forecast ends before the campaign.
    """
    assessor = Assessor(world, demand, campaign, settings, progress)
    before = assessor.without()
    planned = assessor.with_it()
    figures = partial(_figures, assessor)
    plan = figures(planned, before)
    scale, is_most, evaluations = _largest(assessor)
    return (
        Assessment(
            campaign=campaign,
            paths=settings.paths,
            decided=assessor.count,
            without=figures(before, before),
            plan=plan,
            can_serve=plan.risk <= settings.risk_max,
            scale=scale,
            is_most=is_most,
            evaluations=evaluations,
            load=assessor.load / assessor.count,
            at_nodes=assessor.at_nodes / assessor.count,
            shifted=_other_dates(assessor),
        ),
        assessor,
    )


# Figures --------------------------------------------------------------------------------------------------------------


def _figures(assessor: Assessor, paths: list[Served], before: list[Served]) -> Figures:
    asked, served = (np.array([getattr(p, name) for p in paths]) for name in ("asked", "served"))
    with np.errstate(invalid="ignore", divide="ignore"):
        fill = np.where(asked > 0, served / asked, np.nan)
    orders, late = (np.array([getattr(p, name) for p in paths]) for name in ("orders", "late"))
    shares = np.array([assessor.late_share(p) for p in paths])
    span = slice(assessor.campaign.first, assessor.campaign.last + 1)
    return Figures(
        fill=_mean(served[:, 0].sum(axis=0), asked[:, 0].sum(axis=0)),
        fill_low=_low(fill[:, 0]),
        fill_all=_mean(served[:, 1].sum(axis=0), asked[:, 1].sum(axis=0)),
        late=_mean(late.sum(axis=0), orders.sum(axis=0)),
        late_share=float(shares.mean()),
        risk=float((shares > assessor.settings.late_share_max).mean()),
        days_mean=float(np.mean([p.days_mean for p in paths])),
        cost_minor=float(np.mean([p.cost_minor for p in paths])),
        orders=float(orders[:, span].sum(axis=1).mean()),
        first=_first_break(paths),
        breaks=_breaks(assessor, paths, before),
    )


def _first_break(paths: list[Served]) -> FirstBreak | None:
    days = [int(path.broken[1].min()) for path in paths if len(path.broken[1])]
    if not days:
        return None
    low, middle, high = _span(days)
    return FirstBreak(probability=len(days) / len(paths), day=middle, day_low=low, day_high=high)


def _span(days: list[int]) -> tuple[int, int, int]:
    """The 10 % quantile, the median and the 90 % quantile, each a day that is among them."""
    low, middle, high = (int(q) for q in np.quantile(days, [0.1, 0.5, 0.9], method="nearest"))
    return low, middle, high


def _mean(part: Float64, whole: Float64) -> Float64:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _low(fill: Float64) -> Float64:
    """What 95 % of the paths reach, by day."""
    low = np.full(fill.shape[1], np.nan)
    for day in range(len(low)):
        known = fill[:, day][~np.isnan(fill[:, day])]
        if len(known):
            low[day] = np.quantile(known, 0.05)
    return low


def _breaks(assessor: Assessor, paths: list[Served], before: list[Served]) -> tuple[Break, ...]:
    days: dict[int, list[int]] = {}
    first: dict[int, int] = {}
    for path in paths:
        resource, day, orders = path.broken
        for r, d in zip(resource.tolist(), day.tolist(), strict=True):
            days.setdefault(r, []).append(d)
        if len(resource):
            # On one day that which keeps the most orders.
            soonest = int(np.lexsort((-orders, day))[0])
            first[int(resource[soonest])] = first.get(int(resource[soonest]), 0) + 1
    anyhow: dict[int, int] = {}
    for path in before:
        for r in path.broken[0].tolist():
            anyhow[r] = anyhow.get(r, 0) + 1
    count = len(paths)
    made: list[Break] = []
    for resource, on in days.items():
        kind, what = assessor.server.name(resource)
        low, middle, high = _span(on)
        made.append(
            Break(
                kind=_kind(kind), what=what, probability=len(on) / count, first=first.get(resource, 0) / count,
                without=anyhow.get(resource, 0) / count, day=middle, day_low=low, day_high=high,
            )
        )  # fmt: skip
    return tuple(sorted(made, key=lambda b: (-b.first, -b.probability, b.day, b.kind, b.what)))


def _kind(kind: str) -> Kind:
    assert kind in ("node", "carrier", "item"), kind
    return kind


# The largest uplift ---------------------------------------------------------------------------------------------------


def _largest(assessor: Assessor) -> tuple[float, bool, int]:
    """(scale of the uplift, whether no larger one was tried, evaluations): the largest that the network serves.

    By doubling and then by bisection, every time on the same paths. A path that cannot be served at some scale cannot
    at a larger one, and one that can, can at a smaller one: what is known of a path is not asked again, and the answer
    is monotone whatever the solver does. Paths that were late before come first, and it ends when enough have failed.
    """
    settings, count = assessor.settings, assessor.count
    allowed = settings.risk_max * count
    share = np.array(assessor.late_with)
    fails = share > settings.late_share_max
    good = np.where(fails, 0.0, 1.0)
    bad = np.where(fails, 1.0, math.inf)
    tried = 1

    def can_serve(scale: float) -> bool:
        nonlocal tried
        tried += 1
        assessor.progress("the largest uplift", tried, 1 + _HALVINGS + 3)
        # The hardest first: those that failed at the smallest scale, then those that were nearest to failing.
        for path in np.lexsort((-share, bad)).tolist():
            if (bad <= scale).sum() > allowed:
                return False
            if good[path] >= scale or bad[path] <= scale:
                continue
            late = assessor.late_share(assessor.served(path, scale))
            if late > settings.late_share_max:
                bad[path] = scale
            else:
                good[path] = scale
        return bool((bad <= scale).sum() <= allowed)

    low, high = (1.0, math.inf) if fails.sum() <= allowed else (0.0, 1.0)
    while math.isinf(high):
        if low >= settings.uplift_max:
            return low, True, tried
        wider = low * 2
        low, high = (wider, high) if can_serve(wider) else (low, wider)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if can_serve(middle) else (low, middle)
    return low, False, tried


# Other dates ----------------------------------------------------------------------------------------------------------


def _other_dates(assessor: Assessor) -> tuple[Shifted, ...]:
    campaign, settings = assessor.campaign, assessor.settings
    days = assessor.demand.mean.shape[1]
    some: Int64 = np.arange(0, assessor.count, max(1, min(_SHIFT_PATHS, assessor.count // 10)))
    found: list[Shifted] = []
    shifts = [k for k in settings.shifts if campaign.first + k >= 0 and campaign.last + k < days]
    for number, shift in enumerate(shifts):
        moved = replace(campaign, first=campaign.first + shift, last=campaign.last + shift)
        span = slice(moved.first, moved.last + 1)
        shares, asked, served = list[float](), 0.0, 0.0
        for path in some.tolist():
            got = assessor.served(path, 1.0, campaign=moved)
            shares.append(assessor.late_share(got, moved))
            asked += float(got.asked[0, span].sum())
            served += float(got.served[0, span].sum())
        late = np.array(shares)
        found.append(
            Shifted(
                days=shift,
                late_share=float(late.mean()),
                risk=float((late > settings.late_share_max).mean()),
                fill=served / asked if asked else 1.0,
            )
        )
        assessor.progress("other dates", number + 1, len(shifts))
    return tuple(sorted(found, key=lambda s: (s.risk, s.late_share, abs(s.days), s.days)))


__all__ = ["Assessor", "Progress", "assess"]
