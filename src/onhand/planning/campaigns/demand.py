"""What may be asked for, with a campaign and without: the same luck whatever the uplift."""

from dataclasses import dataclass

import numpy as np

from onhand.demand.paths import sample_paths
from onhand.planning.campaigns.model import Campaign, Demand, Float64, Int64
from onhand.simulation import chance

# What draws are about, beside those of simulation/chance.py.
ROUNDING = 10
# However far an uplift is scaled, so much of the demand of others and of later days stays.
_LEFT_MIN = 0.2


@dataclass(frozen=True, slots=True)
class Paths:
    """units: int64[P, n, H] without the campaign; effect: float64[P]: standard normal luck of the campaign itself."""

    units: Int64
    effect: Float64

    def only(self, rows: Int64) -> "Paths":
        """Some of them."""
        return Paths(self.units[rows], self.effect[rows])


def draw_paths(demand: Demand, paths: int, seed: int) -> Paths:
    """Paths of demand, and how well the campaign takes: one draw for all its items, since what is not known of their
    answer is mostly not known of all of them."""
    units = sample_paths(demand.levels, demand.quantiles, paths=paths, correlation=demand.correlation, seed=seed)
    effect = np.random.default_rng([seed, 1]).standard_normal(paths)
    return Paths(units, effect)


def with_campaign(units: Int64, normal: float, path: int, demand: Demand, campaign: Campaign, scale: float) -> Int64:
    """int64[n, H]: a path with the campaign, its uplift times `scale`. More scale never asks for fewer units of what is
    promoted while it lasts, nor for more of anything else.

    units   int64[n, H], without it
    path    the number of the path, for the fractions of units
    """
    wanted = units.astype(np.float64)
    begins, ends = campaign.first, min(campaign.last + 1, units.shape[1])
    if not scale or begins >= ends:
        return units
    rows = campaign.row
    mean = demand.mean[rows, begins:ends]
    # A path that sells more than was forecast does so with the campaign as well.
    level = units[rows, begins:ends].sum(axis=1) / np.maximum(mean.sum(axis=1), 1e-9)
    more = np.maximum(np.exp(campaign.mu + campaign.sigma * normal) - 1.0, 0.0) * scale
    others = np.ones(len(units), np.bool_)
    others[rows] = False
    left = np.maximum(campaign.taken**scale, _LEFT_MIN)
    wanted[others, begins:ends] *= left[others, np.newaxis]
    extra = mean * (level * more)[:, np.newaxis]
    wanted[rows, begins:ends] += extra if campaign.profile is None else extra * campaign.profile[: ends - begins]
    after = slice(ends, min(ends + campaign.dip_days, units.shape[1]))
    wanted[rows, after] *= np.maximum(campaign.dip**scale, _LEFT_MIN)[:, np.newaxis]
    cells: Int64 = np.arange(units.size).reshape(units.shape)
    luck = chance.uniform(path, ROUNDING, cells)
    return np.floor(wanted + luck).astype(np.int64)
