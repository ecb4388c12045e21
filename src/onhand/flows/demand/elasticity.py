"""How demand for a few items answers to their prices: what a decision goes by that is made in a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import queries
from onhand.flows.demand.outlook import read_days, responses_of
from onhand.planning.elasticity import USUAL_ELASTICITY

SQL = queries(__file__)

# Items of their categories that are looked at besides: a category is known from few, and each costs time.
_OTHERS_MAX: Final = 20
# So many changes of an item's price tell something of it. What it was sold for in a week is another price beyond this,
# as a logarithm: channels that ask different prices, and sell more or less of it, move it a little.
_CHANGES_MIN: Final = 3
_CHANGED: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Elasticity:
    """By how many per cent demand falls per per cent of price.

    error     its standard error
    rests_on  the item's own price changes, those of its category, or what is usual, because there are too few of both
    changes   how often what it was sold for changed from one week to the next
    """

    value: float
    error: float
    rests_on: Literal["own", "category", "usual"]
    changes: int

    def facts(self) -> dict[str, Any]:
        """As evidence tells it."""
        value, error = round(self.value, 2), round(self.error, 2)
        return {"value": value, "error": error, "rests_on": self.rests_on, "changes": self.changes}


def elasticities(conn: Connection[TupleRow], skus: Sequence[str], until: date) -> dict[str, Elasticity]:
    """Of items that are known, from two years of sales before `until`: pulled towards that of their category by how
    little their own prices tell, and a category's towards what is usual (planning/elasticity.py)."""
    asked = {"skus": list(skus), "others_max": _OTHERS_MAX}
    rows: list[tuple[str, str, bool]] = conn.execute(SQL["with_others"], asked).fetchall()
    days = read_days(conn, until, [sku for sku, _, _ in rows])
    responses = responses_of(days, [category for _, category, _ in rows], until)
    changes = _changes(days, len(rows))
    tells = changes >= _CHANGES_MIN
    found: dict[str, Elasticity] = {}
    for n, (sku, category, is_named) in enumerate(rows):
        if not is_named:
            continue
        rests_on: Literal["own", "category", "usual"] = "own" if tells[n] else "usual"
        if rests_on == "usual" and category and tells[responses.category == responses.category[n]].any():
            rests_on = "category"
        mean, error = responses.elasticity(n)
        # A price or two that changed by themselves are no evidence: what came with them is taken for their doing.
        value = USUAL_ELASTICITY if rests_on == "usual" else -mean
        found[sku] = Elasticity(value=value, error=error, rests_on=rests_on, changes=int(changes[n]))
    return found


def _changes(days: pl.DataFrame, items: int) -> npt.NDArray[np.int64]:
    """int64[item]: weeks in which the median of what an item was sold for was another than in the week before that has
    one."""
    weekly = (
        days.filter((pl.col("price_minor") > 0) & (pl.col("demand") > 0))
        .group_by("item", week=(pl.col("ahead") - 1) // 7)
        .agg(price=pl.col("price_minor").median().log())
        .sort("item", "week")
        .with_columns(moved=pl.col("price").diff().over("item").abs())
        .filter(pl.col("moved") > _CHANGED)
    )
    return np.bincount(weekly["item"].to_numpy(), minlength=items).astype(np.int64)


__all__ = ["Elasticity", "elasticities"]
