# pyright: basic
"""Tax and duty that nobody gives back.

    tax_duty = 0 while Σ_d price_d · units_d <= de_minimis,  else fee + Σ_d rate(from, to, class_d, date) · price_d · units_d

per fulfilment, because customs look at a shipment: from the node's country to the destination, by the goods' class
(HS code or category). rate holds duty and the unrecoverable share of tax; see network/duties.py.
"""

from onhand.base.compiled import inner


@inner
def add(costs, c, rows_from, rows_to, wish, nodes, orders, duties):
    """Set `costs.duty` [J, demand], `costs.duty_from` and `costs.duty_fee` [J], minor units, for rows
    rows_from:rows_to."""
    for j in range(rows_from, rows_to):
        origin = nodes.origin[c.node[j]]
        costs.duty_from[j] = duties.from_minor[wish.duty, origin]
        costs.duty_fee[j] = duties.fee[wish.duty, origin]
        for d in range(wish.lines):
            row = wish.first + d
            costs.duty[j, d] = duties.rate[wish.duty, origin, orders.trade[row]] * orders.price[row]
