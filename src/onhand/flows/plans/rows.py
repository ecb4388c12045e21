"""Items at nodes that are bought, as arrays: what safety stocks and purchases are decided on."""

from collections import Counter
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from onhand.flows.demand.outlook import Outlook
from onhand.flows.plans.read import Stock, Terms
from onhand.flows.plans.request import Request, Scope
from onhand.planning.protection import Expected

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_YEAR = 365.0
# Lead times of a row as a table: what deliveries took, told again until each has as many.
_LEADS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Arrays[n], a row an item at a node.

    item, node   rows of the scope
    lead_days    int64[n, K], equally likely
    stockout     cost of a unit that is missing, 0 where only a service level is given
    carrying     cost of keeping a unit a day
    left_out     how many items at nodes are not here, by the reason
    """

    item: Int64
    node: Int64
    terms: list[Terms]
    lead_days: Int64
    review_days: Int64
    unit_cost: Float64
    stockout: Float64
    carrying: Float64
    left_out: dict[str, int]

    def expected(self, outlook: Outlook) -> Expected:
        """The forecast of these rows."""
        return Expected(levels=outlook.levels, quantiles=outlook.quantiles[self.item, self.node])

    def names(self, scope: Scope) -> list[tuple[str, str, str | None]]:
        """(sku, node, supplier) of each."""
        return [
            (scope.skus[int(self.item[n])], scope.nodes[int(self.node[n])], terms.supplier)
            for n, terms in enumerate(self.terms)
        ]


def buying_rows(
    scope: Scope, stock: Stock, outlook: Outlook, supply: dict[tuple[int, int], Terms], request: Request, today: date
) -> Rows:
    """Items at the nodes that buy them. Terms of every node count where there is stock or demand."""
    left_out: Counter[str] = Counter()
    keys: list[tuple[int, int]] = []
    costs: list[tuple[float, float, float]] = []
    is_wanted = outlook.mean.any(axis=2) | stock.has
    told = request.service_level is not None or request.fill_rate is not None
    for item, node in np.argwhere(is_wanted).tolist():
        if (item, node) not in supply:
            left_out["no_supply"] += 1
    for (item, node), terms in sorted(supply.items()):
        if not terms.is_own and not is_wanted[item, node]:
            continue
        cost = float(scope.unit_cost[item]) if terms.unit_cost_minor is None else float(terms.unit_cost_minor)
        if not cost > 0:
            left_out["no_unit_cost"] += 1
            continue
        missing = float(scope.price[item]) - cost if terms.stockout_minor is None else float(terms.stockout_minor)
        if np.isnan(missing) and not told:
            left_out["no_price_or_stockout_cost"] += 1
            continue
        rate = terms.carrying_rate or request.carrying_rate
        keys.append((item, node))
        costs.append((cost, 0.0 if np.isnan(missing) else max(missing, 0.0), cost * rate / _YEAR))
    at = np.array(keys, np.int64).reshape(-1, 2)
    money = np.array(costs, np.float64).reshape(-1, 3)
    terms_of = [supply[key] for key in keys]
    return Rows(
        item=at[:, 0],
        node=at[:, 1],
        terms=terms_of,
        lead_days=_lead_times(terms_of),
        review_days=np.array([t.review_from(today) for t in terms_of], np.int64),
        unit_cost=money[:, 0],
        stockout=money[:, 1],
        carrying=money[:, 2],
        left_out=dict(left_out),
    )


def _lead_times(terms: list[Terms]) -> Int64:
    """int64[n, K]: quantiles of what deliveries took, as many of each row."""
    if not terms:
        return np.zeros((0, 1), np.int64)
    longest = min(max(len(t.lead_days) for t in terms), _LEADS)
    # In the middle of K equal parts; of as many as there are, each once.
    at = (np.arange(longest) + 0.5) / longest
    found = np.zeros((len(terms), longest), np.int64)
    for n, t in enumerate(terms):
        days = np.sort(np.array(t.lead_days, np.int64))
        found[n] = days[np.minimum((at * len(days)).astype(np.int64), len(days) - 1)]
    return found
