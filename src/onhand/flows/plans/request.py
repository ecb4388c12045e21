"""What can be asked of a plan, and what can be said of it at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.errors import FieldError, InvalidInput
from onhand.planning.model import Plan

SQL = queries(__file__)

HORIZON_DAYS: Final = {"rebalance": 14, "prune": 60}
"""How far ahead a plan looks that is not told; those that buy look as far as an order has to last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be planned; of the settings a plan reads those that concern it.

    items, categories, nodes  what it is about; none of either: everything
    service_level   chance to serve all demand until the next order is there; or fill_rate: share of demand. Neither:
                    that at which the last unit costs as much as it saves
    carrying_rate   share of its cost that keeping a unit a year costs, where its supply does not say
    across          "nodes": safety stocks of nodes that supply one another are placed together; None: each by itself
    budget_minor    most that may be spent; None: no limit
    smoothing       see replenish.damped
    horizon_days    how far ahead stock is valued
    lost_share      share of what a node lacks that is not sold from elsewhere
    last_mile_minor, last_mile_days, last_mile_co2_g  by which a unit that another node sends is dearer, later, and
                    emits more
    day_minor       what a day sooner is worth
    sd_share, hold_days  see rebalance.Caution
    enough          excess is what lies beyond this quantile of demand
    left_share      share of its cost that a unit is still worth at the horizon, where no markdown says
    valid_hours     how long proposals may be approved
    """

    plan: Plan
    items: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    service_level: float | None = None
    fill_rate: float | None = None
    carrying_rate: float = 0.25
    across: Literal["nodes"] | None = None
    budget_minor: int | None = None
    smoothing: float = 1.0
    horizon_days: int | None = None
    lost_share: float = 0.5
    last_mile_minor: int = 150
    last_mile_days: float = 1.0
    last_mile_co2_g: int = 0
    day_minor: int = 50
    sd_share: float = 0.5
    hold_days: int = 7
    enough: float = 0.95
    left_share: float = 0.5
    valid_hours: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        if self.service_level is not None and self.fill_rate is not None:
            raise InvalidInput.at("settings.fill_rate", "expected either a service level or a fill rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Items and nodes that a plan is about, by rows.

    item_id, node_id  int32[I], int32[N]
    unit_cost, price  float64[I], minor units, NaN where nobody said
    weight_kg         float64[I]
    """

    item_id: npt.NDArray[np.int32]
    skus: Sequence[str]
    categories: Sequence[str]
    unit_cost: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    currencies: Sequence[str | None]
    weight_kg: npt.NDArray[np.float64]
    node_id: npt.NDArray[np.int32]
    nodes: Sequence[str]


def find_scope(conn: Connection[TupleRow], request: Request) -> Scope:
    """Raises InvalidInput, naming what there is not."""
    known = dict(conn.execute(SQL["known_skus"], {"skus": list(request.items)}).fetchall())
    errors = [FieldError(f"items[{n}]", f"no item {sku!r}") for n, sku in enumerate(request.items) if sku not in known]
    errors += [
        FieldError(f"items[{n}]", f"{sku!r} is a bundle: name its components, which hold the stock")
        for n, sku in enumerate(request.items)
        if known.get(sku)
    ]
    named = {c for (c,) in conn.execute(SQL["known_categories"], {"categories": list(request.categories)})}
    errors += [
        FieldError(f"categories[{n}]", f"no item has the category {category!r}")
        for n, category in enumerate(request.categories)
        if category not in named
    ]
    rows = conn.execute(SQL["nodes"], {"codes": list(request.nodes) or None}).fetchall()
    codes = [code for _, code in rows]
    errors += [
        FieldError(f"nodes[{n}]", f"no active node {code!r} that keeps our stock")
        for n, code in enumerate(request.nodes)
        if code not in codes
    ]
    if errors:
        raise InvalidInput(errors)
    asked = {
        "all": not request.items and not request.categories, "skus": list(request.items),
        "categories": list(request.categories),
    }  # fmt: skip
    items = conn.execute(SQL["items"], asked).fetchall()
    scope = Scope(
        item_id=np.array([row[0] for row in items], np.int32),
        skus=[row[1] for row in items],
        categories=[row[2] for row in items],
        unit_cost=np.array([row[3] for row in items], np.float64),
        price=np.array([row[4] for row in items], np.float64),
        currencies=[row[5] for row in items],
        weight_kg=np.array([row[6] for row in items], np.float64) / 1000,
        node_id=np.array([node_id for node_id, _ in rows], np.int32),
        nodes=codes,
    )
    if request.budget_minor is not None and len(used := {c for c in scope.currencies if c}) > 1:
        message = f"a budget is of one currency, and these items have {', '.join(sorted(used))}: plan them apart"
        raise InvalidInput.at("settings.budget_minor", message)
    return scope
