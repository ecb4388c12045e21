# pyright: basic
"""Handling: the node's work and the packing material.

    handling = order_k + Σ_d (line_k + unit_k · units_d) + cartons

order_k, line_k, unit_k are what the node says a fulfilment, a line and a unit cost, wages included; cartons are the
cheapest that hold the load (see `packed`), the same wherever it is sent from.
"""

from onhand.base.compiled import inner


@inner
def add(costs, c, rows_from, rows_to, wish, nodes):
    """Add to `costs.fixed` [J], `costs.line` and `costs.unit` [J, demand], minor units, for rows rows_from:rows_to."""
    for j in range(rows_from, rows_to):
        k = c.node[j]
        costs.fixed[j] += nodes.handling[k]
        for d in range(wish.lines):
            costs.line[j, d] += nodes.handling_line[k]
            costs.unit[j, d] += nodes.handling_unit[k]


@inner
def packed(cartons, weight, volume):
    """(money, grams, mm3) of a load of so many grams and mm3 with its cartons around it: as many of the largest as it
    fills, and the smallest that holds the rest. Without cartons: the goods themselves."""
    count = cartons.fit_mm3.shape[0]
    if count == 0:
        return 0.0, weight, volume
    last = count - 1
    full = int(max(volume // cartons.fit_mm3[last], weight // cartons.most_g[last]))
    rest_volume = max(0.0, volume - full * cartons.fit_mm3[last])
    rest_weight = max(0, weight - full * cartons.most_g[last])
    money = full * cartons.minor[last]
    grams = weight + full * cartons.tare_g[last]
    outer = full * cartons.outer_mm3[last]
    if full == 0 or rest_volume > 0.0 or rest_weight > 0:
        best = last
        for n in range(count):
            if cartons.fit_mm3[n] >= rest_volume and cartons.most_g[n] >= rest_weight:
                best = n
                break
        money += cartons.minor[best]
        grams += cartons.tare_g[best]
        outer += cartons.outer_mm3[best]
    return money, grams, outer
