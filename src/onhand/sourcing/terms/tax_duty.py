# pyright: basic
"""Tax and duty that nobody gives back.

    tax_duty = 0                                                           while Σ_d price_d · units_d <= de_minimis
             = fee + Σ_d rate(from, to, class_d, date) · price_d · units_d  otherwise

per fulfilment, because customs look at a shipment: from the node's country to the destination, by the goods' class
(HS code or category). rate holds duty and the unrecoverable share of tax; see network/duties.py.
"""

from onhand.base.compiled import bare


@bare
def add(costs, c, rows_from, rows_to, wish, nodes, orders, duties):
    """Set `costs.duty` [J, demand], `costs.duty_from` and `costs.duty_fee` [J], minor units, for rows
    rows_from:rows_to."""
    node, origins, to, first, lines = c.node, nodes.origin, wish.duty, wish.first, wish.lines
    duty, duty_from, duty_fee = costs.duty, costs.duty_from, costs.duty_fee
    rate, from_minor, fee = duties
    trade, price = orders.trade, orders.price
    for j in range(rows_from, rows_to):
        origin = origins[node[j]]
        duty_from[j] = from_minor[to, origin]
        duty_fee[j] = fee[to, origin]
        for d in range(lines):
            duty[j, d] = rate[to, origin, trade[first + d]] * price[first + d]
