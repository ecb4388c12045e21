"""Safety stocks of nodes that feed one another, over HTTP."""

import pytest
from tests.plan_shop import SKUS, Shop

SETTINGS = {"across": "nodes", "service_level": 0.95}


@pytest.fixture
def shop(server):
    """Lyon buys and sends to Berlin and Nantes, which sell."""
    shop = Shop(server)
    shop.sell({(sku, node): 6.0 for sku in SKUS for node in ("berlin", "nantes")})
    shop.stock({(sku, "lyon"): 400 for sku in SKUS})
    shop.lanes(("lyon", "berlin"), ("lyon", "nantes"), ("berlin", "nantes"), days=2)
    return shop


def supplied(shop, **more):
    shop.supply(node="lyon", lead_days=[14], **more)


def by_node(proposals, sku="MUG"):
    return {p["node"]: p for p in proposals if p["sku"] == sku}


def test_a_cheap_central_node_takes_the_stock(shop):
    supplied(shop, carrying_rate=0.01, review_days=7)
    made, proposals = shop.plan("safety_stock", settings=SETTINGS)
    assert made["facts"] == {"left_out": {}, "simulated": 0, "across": {"items": 2, "alone": {}}}
    cheap = by_node(proposals)
    assert set(cheap) == {"lyon", "berlin", "nantes"}
    centre = cheap["lyon"]["explanation"]
    assert "what is bought is there after 21 days; it quotes 0 days to the nodes that it feeds" in centre
    for node in ("berlin", "nantes"):
        told = cheap[node]["explanation"]
        assert "lyon sends at once, it is there 3 days later; its own customers do not wait" in told
        assert cheap["lyon"]["quantity"] > cheap[node]["quantity"] > 0
        assert cheap[node]["effect"]["service"]["all_served_after"] >= 0.95

    # Where it is dear, nothing is kept there: all of it lies where it is sold.
    supplied(shop, carrying_rate=9.0, review_days=7)
    dear = by_node(shop.plan("safety_stock", settings=SETTINGS)[1])
    assert set(dear) == {"berlin", "nantes"}
    assert "lyon sends within 21 days" in dear["berlin"]["explanation"]
    assert dear["berlin"]["quantity"] > 1.5 * cheap["berlin"]["quantity"]
    done = shop.approve(dear["berlin"])
    assert done["status"] == "done"
    assert shop.rows(sku="MUG")["MUG", "berlin"]["safety_stock"] == dear["berlin"]["quantity"]
    assert "berlin" not in by_node(shop.plan("safety_stock", settings=SETTINGS)[1])


def test_what_is_enough_is_said_by_costs_or_share_too(shop):
    supplied(shop, carrying_rate=0.01)
    by_costs = by_node(shop.plan("safety_stock", settings={"across": "nodes"})[1])
    some = by_node(shop.plan("safety_stock", settings={"across": "nodes", "fill_rate": 0.9})[1])
    more = by_node(shop.plan("safety_stock", settings={"across": "nodes", "fill_rate": 0.995})[1])
    total = [sum(p["quantity"] for p in found.values()) for found in (some, more, by_costs)]
    # A margin of 600 against a cent a day: as near to always as draws can tell.
    assert total[0] < total[1] <= total[2]


def test_where_nodes_do_not_feed_one_another_each_is_planned_for_itself(shop):
    for node in ("lyon", "berlin", "nantes"):
        shop.supply(node=node, lead_days=[5])
    settings = {"service_level": 0.95}
    usual = {(p["sku"], p["node"]): p for p in shop.plan("safety_stock", settings=settings)[1]}
    made, proposals = shop.plan("safety_stock", settings=SETTINGS)
    assert made["facts"]["across"] == {"items": 0, "alone": {"no_lanes": 2}}
    assert (
        {(p["sku"], p["node"]): p["quantity"] for p in proposals}
        == {at: p["quantity"] for at, p in usual.items()}
        != {}
    )
    for p in proposals:
        alone = "Planned for this node alone: no lane leads from here to a node without supply of its own."
        assert p["explanation"] == f"{usual[p['sku'], p['node']]['explanation']} {alone}"


def test_what_takes_too_long_is_planned_for_itself(shop):
    supplied(shop, review_days=365)
    made, proposals = shop.plan("safety_stock", items=["MUG"], settings=SETTINGS)
    assert made["facts"]["across"] == {"items": 0, "alone": {"too_long": 1}}
    assert made["facts"]["left_out"] == {"no_supply": 2}
    assert {p["node"] for p in proposals} <= {"lyon"}


def test_what_nothing_is_known_of_costs_is_planned_for_itself(shop):
    supplied(shop, stockout_minor=500, unit_cost_minor=400)
    item = {"name": "MUG", "weight_g": 500, "unit_cost_minor": 400, "currency": "EUR", "category": "kitchen"}
    shop.put("/v1/items/MUG", item)
    made, _ = shop.plan("safety_stock", settings={"across": "nodes"})
    assert made["facts"]["across"] == {"items": 1, "alone": {"no_price_or_stockout_cost": 1}}
    # With a service level no price is needed.
    made, _ = shop.plan("safety_stock", settings=SETTINGS)
    assert made["facts"]["across"] == {"items": 2, "alone": {}}


def test_other_ways_across_are_not_known(shop):
    body = {"kind": "safety_stock", "settings": {"across": "shelves"}}
    assert shop.post("/v1/plans/run", body, status=422)["errors"][0]["path"] == "settings.across"
    body = {"kind": "replenish", "settings": {"across": "nodes"}}
    assert shop.post("/v1/plans/run", body, status=422)["errors"][0]["path"] == "settings.across"
