"""Items that may take the place of others: which baskets would do for an order, and which of them serves it best. Pure.

    cost of a basket = cost of its plan + sum over replaced lines of units x cost_minor (loss of goodwill)

Every line is as asked or wholly one of its item's substitutes. The baskets of an order are decided side by side; the
first attempt that yields a plan for any of them counts (the shelf before safety stock, that before what is on its
way), and among its plans the least cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from onhand.errors import FieldError
from onhand.library.network import Network
from onhand.library.plan import Substitution
from onhand.sourcing.solve import Decisions

# Baskets of one order that are decided: those that lose least goodwill.
BASKETS_MAX = 32
WISH = "allow_substitutes"

Order = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Basket:
    """An order with some of its lines replaced. minor: what that costs in goodwill."""

    order: Order
    minor: int = 0
    swaps: tuple[Substitution, ...] = ()


def told_apart(orders: Sequence[Order], errors: list[FieldError]) -> tuple[list[Order], list[frozenset[int]]]:
    """The orders without the wish, and of each the numbers of the lines that may be replaced."""
    plain: list[Order] = []
    replaceable: list[frozenset[int]] = []
    for n, order in enumerate(orders):
        given = order.get("lines")
        lines: list[Any] = [*cast("Sequence[Any]", given)] if isinstance(given, list | tuple) else []
        whole = _wish(order, f"orders[{n}]", False, errors)
        wishes = [
            isinstance(line, Mapping) and _wish(cast("Order", line), f"orders[{n}].lines[{row}]", whole, errors)
            for row, line in enumerate(lines)
        ]
        own = {name: value for name, value in order.items() if name != WISH}
        if lines:
            own["lines"] = [
                {name: value for name, value in cast("Order", line).items() if name != WISH}
                if isinstance(line, Mapping)
                else line
                for line in lines
            ]
        plain.append(own)
        replaceable.append(frozenset(row for row, wish in enumerate(wishes) if wish))
    return plain, replaceable


def _wish(given: Order, path: str, otherwise: bool, errors: list[FieldError]) -> bool:
    wish: object = given.get(WISH, otherwise)
    if not isinstance(wish, bool):
        errors.append(FieldError(f"{path}.{WISH}", "expected true or false"))
        return False
    return wish


def baskets(order: Order, replaceable: frozenset[int], known: Network) -> list[Basket]:
    """The order as it is, and with lines replaced, least goodwill first; at most BASKETS_MAX."""
    found = [Basket(order)]
    for row in sorted(replaceable):
        line = order["lines"][row]
        options = known.substitutes.get(line["sku"], ())
        made = [_replaced(basket, row, sku, minor, known) for basket in found for sku, minor in options]
        # The cheapest sums have the cheapest beginnings.
        found = sorted([*found, *made], key=lambda b: (b.minor, len(b.swaps)))[:BASKETS_MAX]
    return found


def _replaced(basket: Basket, row: int, sku: str, minor: int, known: Network) -> Basket:
    lines = [*basket.order["lines"]]
    line = lines[row]
    units = line["quantity"]
    # The customer pays what the first item costs.
    price = int(known.price[known.catalogue.ids[line["sku"]]])
    lines[row] = {"line_id": str(row + 1), "price_minor": price, **line, "sku": sku}
    swap = Substitution(
        line_id=lines[row]["line_id"], sku=line["sku"], by=sku, units=units, cost_minor=minor * units
    )  # fmt: skip
    return Basket({**basket.order, "lines": lines}, basket.minor + swap.cost_minor, (*basket.swaps, swap))


def best(found: Sequence[Basket], decisions: Decisions) -> int:
    """Number of the basket that serves the order best; 0, as it was asked, if none does."""
    minor = np.array([basket.minor for basket in found], np.float64)
    rank = np.where(decisions.count > 0, decisions.attempt, np.iinfo(np.int32).max)
    return int(np.lexsort((decisions.cost + minor, rank))[0]) if (decisions.count > 0).any() else 0
