# pyright: basic
"""Handling: the node's work and the packing material.

    handling = order_k + Σ_d (line_k + unit_k · units_d) + cartons

order_k, line_k, unit_k are what the node says a fulfilment, a line and a unit cost, wages included; cartons are the
cheapest that hold the load (see `packed`), the same wherever it is sent from.
"""

from onhand.base.compiled import bare


@bare
def add(costs, c, rows_from, rows_to, wish, nodes):
    """Add to `costs.fixed` [J], `costs.line` and `costs.unit` [J, demand], minor units, for rows rows_from:rows_to."""
    node, fixed, line, unit, lines = c.node, costs.fixed, costs.line, costs.unit, wish.lines
    per_order, per_line, per_unit = nodes.handling, nodes.handling_line, nodes.handling_unit
    for j in range(rows_from, rows_to):
        k = node[j]
        fixed[j] += per_order[k]
        for d in range(lines):
            line[j, d] += per_line[k]
            unit[j, d] += per_unit[k]


@bare
def packed(cartons, weight, volume):
    """(money, grams, mm3) of a load of so many grams and mm3 with its cartons around it: as many of the largest as it
    fills, and the smallest that holds the rest. Without cartons: the goods themselves."""
    fit_mm3, outer_mm3, minor, tare_g, most_g = cartons
    count = fit_mm3.shape[0]
    if count == 0:
        return 0.0, weight, volume
    last = count - 1
    full = int(max(volume // fit_mm3[last], weight // most_g[last]))
    rest_volume = max(0.0, volume - full * fit_mm3[last])
    rest_weight = max(0, weight - full * most_g[last])
    money = full * minor[last]
    grams = weight + full * tare_g[last]
    outer = full * outer_mm3[last]
    if full == 0 or rest_volume > 0.0 or rest_weight > 0:
        best = last
        for n in range(count):
            if fit_mm3[n] >= rest_volume and most_g[n] >= rest_weight:
                best = n
                break
        money += minor[best]
        grams += tare_g[best]
        outer += outer_mm3[best]
    return money, grams, outer
