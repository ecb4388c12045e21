"""Two lower bounds on the cost of serving a realised sequence of orders, known in advance.

item LP      every item of a (type, city) pair may be divided over the centres, a centre's fixed cost is paid for the
             largest share it serves: the bound of the literature
order-exact  Lagrangian: stock is priced, every order served exactly at cost + price. Never below the item LP's optimum,
             for any order's exact cost is at least its relaxed one.
"""

import os
import sys
from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt

from multi_item.instances import Instance
from onhand.base.compiled import compiled
from onhand.sourcing.prices import decide, scratch

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bound:
    """value in money; price float64[item, centre], the shadow prices behind it."""

    value: float
    price: Floats


def _quiet_model() -> highspy.Highs:
    """A model that writes nothing. HiGHS greets on file descriptor 1 as it is made, before it can be told not to, and
    that is where the programs print their JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        model = highspy.Highs()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    model.setOptionValue("output_flag", False)
    return model


def item_lp(instance: Instance, seconds: float = 600.0) -> Bound | None:
    """The hindsight linear programme over (pair, item, centre), by HiGHS; None when it takes longer than `seconds`.

    min  sum fixed y + unit x   with  sum_k x = 1,  x <= y,  sum_pairs count x <= stock;  x, y shares of the pair.
    """
    costs, pairs, stock = instance.costs, instance.pairs, instance.stock
    items, centres = stock.shape
    count = instance.counts
    sizes = np.diff(pairs.first)
    line_pair = np.repeat(np.arange(len(count)), sizes)
    keep = count[line_pair] > 0
    line_pair, line_item = line_pair[keep], pairs.item[keep]
    used = np.flatnonzero(count)
    city = pairs.region
    # Columns: y[pair, centre or unserved], then x[line, centre that holds the item or unserved].
    y_of = np.full(len(count), -1)
    y_of[used] = np.arange(len(used)) * (centres + 1)
    holds = np.column_stack([stock > 0, np.ones(items, bool)])
    line, node = np.nonzero(holds[line_item])
    x = len(used) * (centres + 1) + np.arange(len(line))
    of = line_pair[line]
    columns = len(used) * (centres + 1) + len(line)
    cost = np.concatenate(
        [(costs.fixed[city[used]] * count[used, None]).ravel(), costs.unit[city[of], node] * count[of]]
    )
    real = node < centres
    row_served = line
    row_opened = len(line_item) + np.arange(len(line))
    row_stock = len(line_item) + len(line) + line_item[line[real]] * centres + node[real]
    rows = len(line_item) + len(line) + items * centres
    row = np.concatenate([row_served, row_opened, row_opened, row_stock])
    column = np.concatenate([x, x, y_of[of] + node, x[real]])
    value = np.concatenate([np.ones(len(x)), np.ones(len(x)), -np.ones(len(x)), count[of][real].astype(float)])
    lower = np.concatenate([np.ones(len(line_item)), np.full(len(line) + items * centres, -highspy.kHighsInf)])
    upper = np.concatenate([np.ones(len(line_item)), np.zeros(len(line)), stock.ravel().astype(float)])
    order = np.lexsort((row, column))
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = columns, rows
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, np.zeros(columns), np.ones(columns)
    lp.row_lower_, lp.row_upper_ = lower, upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=columns))])
    lp.a_matrix_.index_, lp.a_matrix_.value_ = row[order], value[order]
    model = _quiet_model()
    model.setOptionValue("solver", "ipm")
    model.setOptionValue("time_limit", seconds)
    model.setOptionValue("threads", 1)
    model.passModel(lp)
    model.run()
    if model.getModelStatus() == highspy.HighsModelStatus.kTimeLimit:
        return None
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"the linear programme ended as {model.modelStatusToString(model.getModelStatus())}")
    duals = -np.array(model.getSolution().row_dual)[-items * centres :].reshape(items, centres)
    return Bound(value=float(model.getInfo().objective_function_value), price=np.maximum(duals, 0.0))


@compiled
def _dual(room, fixed, unit, first, item, units, region, count, stock, price, use):
    """Value of the Lagrangian at `price`; `use` is filled with the units that it asks for."""
    use[:] = 0
    value = 0.0
    nodes = stock.shape[1]
    for p in range(len(count)):
        if count[p] == 0:
            continue
        r = region[p]
        start, stop = first[p], first[p + 1]
        value += count[p] * decide(room, fixed[r], unit[r], item, units, start, stop, stock, price, True)
        for n in range(start, stop):
            if room.choice[n - start] < nodes:
                use[item[n], room.choice[n - start]] += count[p] * units[n]
    return value - np.sum(price * stock)


def order_exact(instance: Instance, start: Floats, target: float, rounds: int = 2000) -> Bound:
    """Best value of the Lagrangian over `rounds` subgradient steps (B. T. Polyak 1969) from the prices `start`.

    target  a cost that is known to be reachable; steps aim between it and the best bound so far. Every round's value
            is a bound, whatever the prices.
    """
    costs, pairs, stock, count = instance.costs, instance.pairs, instance.stock, instance.counts
    room = scratch(costs.fixed.shape[1])
    price = start.copy()
    use = np.zeros(stock.shape)
    best = Bound(value=-np.inf, price=price)
    scale, stuck, direction = 1.0, 0, np.zeros(stock.shape)
    for _ in range(rounds):
        value = _dual(room, costs.fixed, costs.unit, *pairs, count, stock, price, use)
        if value > best.value:
            stuck = 0 if value > best.value + 1e-6 * abs(value) else stuck + 1
            best = Bound(value=float(value), price=price.copy())
        else:
            stuck += 1
        if stuck >= 20:
            # Too far a jump: shorter steps, from the best point.
            scale, stuck, price = scale * 0.7, 0, best.price.copy()
            direction[:] = 0.0
            continue
        gradient = use - stock
        gradient[(price <= 0.0) & (gradient < 0.0)] = 0.0
        direction = 0.6 * direction + gradient
        square = float((direction * direction).sum())
        if square == 0.0 or scale < 1e-4:
            break
        price = np.maximum(price + scale * (target - value) / square * direction, 0.0)
    return best
