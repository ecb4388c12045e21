"""Proposals are forgotten long after they are over, and never while they are followed."""

from datetime import UTC, datetime, timedelta

from tests.plan_shop import SKUS, Shop

from onhand.flows.plans.forget import KEPT, forget_plans


def test_what_is_over_is_forgotten_and_what_is_followed_stays(server):
    shop = Shop(server)
    shop.sell({(sku, "berlin"): 4.0 for sku in SKUS})
    shop.stock({(sku, "lyon"): 60 for sku in SKUS})
    shop.lanes(("lyon", "berlin"))
    shop.supply()
    _, moves = shop.plan("rebalance")
    came, on_its_way = (shop.approve(p) for p in moves)
    shop.stock({(came["sku"], "berlin"): came["quantity"]}, "transfer_in", reference=came["followed"]["reference"])
    _, (kept, refused) = shop.plan("safety_stock")
    shop.approve(kept)
    shop.post(f"/v1/proposals/{refused['proposal_id']}/dismiss")
    _, superseded = shop.plan("replenish")
    _, expired = shop.plan("replenish", valid_hours=1)
    told = {p["proposal_id"]: p["status"] for p in shop.proposals()}
    assert sorted(told.values()) == sorted(["done"] * 2 + ["approved", "dismissed"] + ["superseded", "proposed"] * 2)
    now, hour = datetime.now(UTC), timedelta(hours=1)

    def forget(after):
        with server.app.db.connection() as conn:
            return forget_plans(conn, now + after)

    # A plan's time to approve is over later than what was decided on at once.
    assert forget(KEPT - hour) == 0
    assert forget(KEPT + hour / 2) == 3
    assert {p["proposal_id"] for p in shop.proposals()} == set(told) - {
        came["proposal_id"], kept["proposal_id"], refused["proposal_id"]
    }  # fmt: skip
    assert forget(KEPT + 2 * hour) == len(expired)
    assert forget(KEPT + 25 * hour) == len(superseded)
    assert forget(20 * KEPT) == 0
    assert [p["proposal_id"] for p in shop.proposals()] == [on_its_way["proposal_id"]]
    # The job of a plan goes with the last of its proposals.
    gone = {p["job_id"] for p in (kept, superseded[0], expired[0])}
    assert {shop.client.get(f"/v1/jobs/{job_id}").status_code for job_id in gone} == {404}
    assert shop.client.get(f"/v1/jobs/{on_its_way['job_id']}").json()["state"] == "done"

    # What comes late is kept from then on.
    reference = on_its_way["followed"]["reference"]
    shop.stock({(on_its_way["sku"], "berlin"): on_its_way["quantity"]}, "transfer_in", reference=reference)
    assert forget(KEPT - hour) == 0
    assert forget(KEPT + hour) == 1
    assert shop.proposals() == []
    assert shop.client.get(f"/v1/jobs/{on_its_way['job_id']}").status_code == 404
    assert len(shop.client.get("/v1/inbound").json()["data"]) == 2
