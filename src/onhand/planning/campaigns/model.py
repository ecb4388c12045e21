"""Values of an assessment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.simulation.history import History
from onhand.simulation.rules import Rules

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

DAY: Final = 86_400.0
Kind = Literal["node", "carrier", "item"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a campaign meets, and how orders look.

    history  stock, arrivals and network at the moment it begins; its orders are the pool: real ones of the last weeks,
             all placed at `begins`. Items are its rows
    second   float64[pool]: seconds after midnight (UTC) at which each was placed
    day      int32[pool]: the day on which, days since 1970
    days     how many days the pool was taken from, the last of them `last`
    stand_for  how many orders each of the pool stands for
    rules    the policy, asked for the orders of a history
    late_days  an order that takes longer from when it was placed is late; unless no network could do it sooner
    """

    history: History
    second: Float64
    day: Int32
    days: int
    last: int
    rules: Callable[[History], Rules]
    late_days: float
    stand_for: float = 1.0

    def __post_init__(self) -> None:
        if not len(self.history):
            raise ValueError("expected an order or more in the pool: orders are made like those of the last weeks")
        if len(self.second) != len(self.history) or len(self.day) != len(self.history):
            raise ValueError("expected a time for each order of the pool")

    @property
    def today(self) -> int:
        """Days since 1970."""
        return int(self.history.begins // DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The forecast without the campaign, of the items that matter: those of the campaign and of their categories.
    Other items come along in the baskets of the pool, as many as `background` says.

    item        int32[n]: rows of the world's items
    levels      float64[Q]
    quantiles   float64[n, H, Q], units a day from today on
    mean        float64[n, H]
    background  float64[H]: how much more than in the weeks of the pool is asked for of everything else
    correlation  of one day with the next
    """

    item: Int32
    levels: Float64
    quantiles: Float64
    mean: Float64
    background: Float64
    correlation: float = 0.5

    def __post_init__(self) -> None:
        rows, days = self.mean.shape
        if self.quantiles.shape != (rows, days, len(self.levels)) or len(self.item) != rows:
            raise ValueError("expected quantiles [items, days, levels] and mean [items, days]")
        if len(self.background) != days:
            raise ValueError("expected background for each day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What is planned, and what it does to demand; rows are those of `Demand`.

    row         int32[m]: the items that are promoted
    first, last  days from today; both are days of the campaign
    mu, sigma   float64[m]: of the logarithm of what demand is multiplied by
    taken       float64[n]: what is left of the demand of the others (1: all of it)
    dip         float64[m]: what is left of demand afterwards, for `dip_days`
    channels    indexes of the channels that have it; None: all
    profile     float64[days of the campaign]: multiples of the uplift on each of them; None: 1
    """

    row: Int32
    first: int
    last: int
    mu: Float64
    sigma: Float64
    taken: Float64
    dip: Float64
    dip_days: int = 14
    channels: tuple[int, ...] | None = None
    profile: Float64 | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last:
            raise ValueError("expected 0 <= first <= last")
        if not len(self.row) == len(self.mu) == len(self.sigma) == len(self.dip):
            raise ValueError("expected mu, sigma and dip for each item")

    @property
    def uplift(self) -> Float64:
        """float64[m]: mean share by which demand rises."""
        return np.exp(self.mu + self.sigma**2 / 2) - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How thorough an assessment is.

    paths         of demand that are drawn
    orders_max    orders that may be decided in all; of the paths so many are decided as that allows, PATHS_MIN at
                  least, spread evenly over how much they ask for
    late_share_max, risk_max  a campaign can be served if more than this share of its orders is late with at most this
                  probability
    break_share   a node, carrier or item breaks on the first day on which more than this share of the orders that would
                  have used it are late because of it
    uplift_max    multiple of the planned uplift beyond which no larger one is looked for
    shifts        days by which to move the campaign, to look for better dates
    """

    paths: int = 500
    orders_max: int = 4_000_000
    late_share_max: float = 0.02
    risk_max: float = 0.05
    break_share: float = 0.02
    uplift_max: float = 8.0
    shifts: Sequence[int] = ()
    seed: int = 0


PATHS_MIN: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A node, carrier or item that stops serving what is asked of it.

    what         node code; carrier and service; row of an item
    probability  that it breaks at all; first: that it is the first to break; without: that it breaks without the
                 campaign
    day          days from today: the median of the first days, and the 10 % and 90 % quantiles; of the paths that break
    """

    kind: Kind
    what: str
    probability: float
    first: float
    without: float
    day: int
    day_low: int
    day_high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBreak:
    """The first thing to break, whatever it is: probability that anything does; its day from today, as in `Break`."""

    probability: float
    day: int
    day_low: int
    day_high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What becomes of one plan, over all paths.

    fill, fill_low  float64[H]: mean share of the promoted units that a shelf had on the day they were asked for, and
                  what 95 % of the paths reach; NaN on days without
    fill_all      float64[H]: of all units
    late          float64[H]: share of the orders of each day that are late, other than those that are so without it
    late_share    mean over the orders of its days
    risk          probability that more than `late_share_max` of them are late
    days_mean     mean days from order to delivery, of what was delivered
    cost_minor    mean cost to serve of an order, with every term of the policy
    orders        mean number of orders of its days
    first         None: nothing breaks in any path
    breaks        likeliest first
    """

    fill: Float64
    fill_low: Float64
    fill_all: Float64
    late: Float64
    late_share: float
    risk: float
    days_mean: float
    cost_minor: float
    orders: float
    first: FirstBreak | None
    breaks: tuple[Break, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted:
    """The campaign on other dates, `days` later (negative: earlier)."""

    days: int
    late_share: float
    risk: float
    fill: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is to be said of a campaign.

    paths       of demand that were drawn, and of them decided
    without     the same days without it; its lateness is that of all late orders
    plan        with it
    can_serve   whether it meets `Settings.late_share_max` and `risk_max`
    scale       of its uplift, the largest that does; 0: none does
    is_most     whether a larger one was not looked for (`uplift_max`)
    evaluations of uplifts, to find that
    load        float64[N, H + 14, 3]: orders, lines and units that it adds, by node and ship day; the mean
    at_nodes    float64[2, N, H]: promoted units asked, and found on a shelf that day, with the campaign; by the node
                that would send them if it had everything (0: none would); the mean
    shifted     other dates, best first
    """

    campaign: Campaign
    paths: int
    decided: int
    without: Figures
    plan: Figures
    can_serve: bool
    scale: float
    is_most: bool
    evaluations: int
    load: Float64
    at_nodes: Float64
    shifted: tuple[Shifted, ...]
