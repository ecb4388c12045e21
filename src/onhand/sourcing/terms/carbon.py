# pyright: basic
"""Carbon: greenhouse gas of the node's work and of the carrier, at a price.

    carbon = co2_minor_per_kg · (node_g + intensity_s · km · tonnes · 1000) / 1000

intensity_s: grams of CO2 equivalent per tonne-kilometre of the service (ISO 14083: emission intensity of its transport
operation category, times the distance adjustment factor); km: great-circle distance; tonnes: what is packed.
"""

from onhand.base.compiled import bare
from onhand.sourcing.tables import OBJ_CO2_KG, PICKUP


@bare
def grams(nodes, services, k, s, km, weight):
    """Grams of CO2 equivalent of one fulfilment of `weight` grams; s < 0: nobody carries it."""
    if s < 0:
        return nodes.co2_g[k]
    return nodes.co2_g[k] + services.co2[s] * km * weight * 1e-6


@bare
def add(costs, c, rows_from, rows_to, wish, nodes, services):
    """Add to `costs.fixed` [J] and `costs.gram` [J, S], minor units, for rows rows_from:rows_to."""
    per_gram = wish.weights[OBJ_CO2_KG] * 0.001
    if per_gram == 0.0:
        return
    node, km, method, fixed, gram = c.node, c.km, wish.method, costs.fixed, costs.gram
    node_g, intensity = nodes.co2_g, services.co2
    for j in range(rows_from, rows_to):
        fixed[j] += per_gram * node_g[node[j]]
        if method == PICKUP:
            continue
        for s in range(intensity.shape[0]):
            gram[j, s] += per_gram * intensity[s] * km[j] * 1e-6
