"""Every tool once, by the protocol's own client over `/mcp`, with its effect read back from the interface."""

from datetime import UTC, datetime, timedelta

from onhand.flows.incidents.scene import Detector, Seen
from onhand.flows.incidents.watch import Watch
from onhand.incidents.model import Finding, Kind, Subject
from onhand.mcp.server import CONFIRM_WRITE, tools
from onhand.planning.model import Basis, Effect, Proposal
from onhand.planning.model import Kind as proposed  # noqa: N813
from onhand.planning.store import replace_open

from .conftest import ALL, BERLIN, does, fails, talk, text_of

PAST, FUTURE = "2020-01-01T00:00:00Z", "2035-01-01T00:00:00Z"


def test_every_tool(place):
    order = place.order("A-1", ("MUG", 2), ("PLATE", 1), customer={"name": "Ada Berg", "email": "ada@example.org"})
    order_id = order["order_id"]
    incident_id = an_incident(place)
    proposal_ids = some_proposals(place)
    called = set()

    async def visit(client):
        async def call(tool, /, **arguments):
            called.add(tool)
            return await does(client, tool, **arguments)

        # Stock
        found = await call("search_stock", sku="MUG")
        assert found["data"] == place.call("GET", "/v1/stock?sku=MUG")["data"]
        why = await call("explain_availability", sku="MUG", channel="web")
        assert why["ats"] == sum(term["units"] for term in why["terms"]) == 198
        offers = await call(
            "promise_delivery", channel="web", destination=BERLIN, lines=[{"sku": "MUG", "quantity": 1}]
        )
        assert {offer["option"] for offer in offers["options"]} == {"cheapest", "fastest", "greenest"}
        held = await call("reserve_stock", channel="web", lines=[{"sku": "MUG", "quantity": 3}])
        kept = f"/v1/reservations/{held['reservation_id']}"
        assert place.call("GET", kept)["status"] == "active"
        again = await client.call_tool("reserve_stock", {"channel": "web", "lines": [{"sku": "MUG", "quantity": 3}]})
        assert again.structured_content == held and "was made before" in text_of(again)
        await call("release_reservation", reservation_id=held["reservation_id"])
        assert place.call("GET", kept)["status"] == "released"

        # Orders
        listed = await call("find_orders", q="A-1", status="sourced")
        assert [row["order_id"] for row in listed["data"]] == [order_id]
        one = await call("get_order", external_id="A-1")
        assert one == place.call("GET", f"/v1/orders/{order_id}")
        plan = await call("explain_plan", order_id=order_id, candidates=1)
        assert plan["chosen"] and plan["candidates_left_out"] == 1 and plan["candidates"][0]["chosen"]

        # Drafts
        job = await call(
            "simulate_policy", name="standard", policy="limits: {fulfilments_max: 1}", **{"from": PAST, "to": FUTURE}
        )
        assert (await call("get_job", job_id=job["job_id"]))["state"] == "queued"
        campaign = await call("assess_campaign", items=["MUG"], **{"from": days(3), "to": days(6)}, uplift=1)
        assert place.call("GET", f"/v1/jobs/{campaign['job_id']}")["state"] == "queued"

        # Planning and incidents
        proposals = await call("list_proposals", status="proposed")
        assert {row["proposal_id"] for row in proposals["data"]} == set(proposal_ids)
        dismissed, approved = proposal_ids
        await call("dismiss_proposal", proposal_id=dismissed, reason="closed for a week")
        assert place.call("GET", f"/v1/proposals/{dismissed}")["reason"] == "closed for a week"
        await call("approve_proposal", proposal_id=approved)
        assert place.call("GET", f"/v1/proposals/{approved}")["decided_at"] is not None
        assert place.call("GET", "/v1/stock?sku=PLATE&node=berlin")["data"][0]["safety_stock"] == 4
        await call("undo_proposal", proposal_id=approved, reason="it was the wrong store")
        kept = place.call("GET", f"/v1/proposals/{approved}")
        assert (kept["status"], kept["undone"], kept["reason"]) == ("dismissed", True, "it was the wrong store")
        assert place.call("GET", "/v1/stock?sku=PLATE&node=berlin")["data"][0]["safety_stock"] == 0
        incidents = await call("list_incidents", about="berlin")
        assert [row["incident_id"] for row in incidents["data"]] == [incident_id]
        shown = await call("get_incident", incident_id=incident_id, evidence=1)
        assert shown["evidence"][0]["numbers"] == {"waiting_orders": 12.0} and shown["runs"] == []

        # What is dear is confirmed
        dear = {"channel": "web", "lines": [{"sku": "PLATE", "quantity": 30}]}
        asked = await fails(client, "reserve_stock", **dear)
        assert asked["facts"]["amount_minor"] == 37_500
        done = await call(CONFIRM_WRITE, tool="reserve_stock", arguments=dear, confirm=asked["facts"]["confirm"])
        reservation = place.call("GET", f"/v1/reservations/{done['result']['reservation_id']}")
        assert sum(line["quantity"] for line in reservation["lines"]) == 30

        # Order Network eXchange
        (theirs,) = (await call("get-orders", ids=[order_id]))["orders"]
        assert (theirs["externalId"], theirs["totalPrice"], theirs["status"]) == ("A-1", 37.5, "sourced")
        (person,) = (await call("get-customers", emails=["ada@example.org"]))["customers"]
        assert (person["firstName"], person["lastName"]) == ("Ada", "Berg")
        assert [p["id"] for p in (await call("get-products"))["products"]] == ["MUG", "PLATE"]
        (variant,) = (await call("get-product-variants", skus=["MUG"]))["productVariants"]
        assert (variant["price"], variant["currency"], variant["weight"]["value"]) == (12.5, "EUR", 400)
        (total,) = (await call("get-inventory", skus=["MUG"]))["inventory"]
        assert total["onHand"] - total["unavailable"] == total["available"] == 198
        at_berlin = await call("get-inventory", skus=["MUG"], locationIds=["berlin"])
        assert [row["locationId"] for row in at_berlin["inventory"]] == ["berlin"]
        made = await call(
            "create-sales-order",
            order={
                "orderSource": "web", "externalId": "B-1", "currency": "EUR",
                "lineItems": [{"sku": "MUG", "quantity": 1}],
                "shippingAddress": {"country": "DE", "zipCodeOrPostalCode": "10115", "city": "Berlin"},
                "orderNote": "ring twice", "tags": ["gift"],
            },
        )  # fmt: skip
        assert made["ignored"] == ["order.tags"]
        ours = f"/v1/orders/{made['order']['id']}"
        assert place.call("GET", ours)["lines"][0]["price_minor"] == 1_250
        held = await call("update-order", id=made["order"]["id"], updates={"status": "held", "orderNote": "call first"})
        assert held["order"]["status"] == place.call("GET", ours)["status"] == "held"
        await call("update-order", id=made["order"]["id"], updates={"status": "released"})
        assert place.call("GET", ours)["status"] == "sourced"
        await call("cancel-order", orderId=made["order"]["id"], reason="bought twice")
        cancelled = place.call("GET", ours)
        assert cancelled["status"] == "cancelled"
        assert any("bought twice" in (row["reason"] or "") for row in cancelled["timeline"])
        (part,) = (await call("get-fulfillments", orderIds=[order_id]))["fulfillments"]
        shipped = await call(
            "fulfill-order",
            orderId=order_id,
            lineItems=[{"sku": "MUG", "quantity": 2}],
            trackingNumbers=["JD014600"],
            locationId=part["locationId"],
        )
        assert shipped["fulfillment"]["trackingNumbers"] == ["JD014600"]
        assert place.call("GET", f"/v1/orders/{order_id}")["status"] == "partly_shipped"
        back = await call(
            "create-return",
            **{
                "return": {
                    "orderId": order_id, "outcome": "refund",
                    "returnLineItems": [
                        {
                            "orderLineItemId": "1", "sku": "MUG", "quantityReturned": 1, "returnReason": "too small",
                            "inspection": {"dispositionOutcome": "restock"},
                        }
                    ],
                }
            },
        )  # fmt: skip
        (row,) = place.call("GET", f"/v1/orders/{order_id}")["returns"]
        assert row["return_id"] == back["return"]["id"] and row["disposition"] == "restock"
        (kept_return,) = (await call("get-returns", orderIds=[order_id]))["returns"]
        assert kept_return["returnLineItems"][0]["quantityReturned"] == 1

    talk(place.url, place.key(*ALL), visit)
    assert called == tools().keys() | {CONFIRM_WRITE}


def test_what_is_refused_says_what_to_do(place):
    async def visit(client):
        wrong = await fails(client, "reserve_stock", channel="web", lines=[{"sku": "MUG", "quantity": 0}])
        assert wrong["code"] == "input.invalid" and wrong["fields"][0]["path"] == "lines[0].quantity"
        unknown = await fails(client, "reserve_stock", channel="web", lines=[{"sku": "VASE", "quantity": 1}])
        assert unknown["code"] == "item.not_found"
        gone = await fails(client, "get_order", order_id="019cae1f-2b3f-7000-92f0-c69eacf4702a")
        assert gone["code"] == "order.not_found" and "find_orders" in gone["remedy"]
        short = await fails(client, "promise_delivery", channel="web", destination={"country": "DEU"}, lines=[])
        assert {field["path"] for field in short["fields"]} == {"destination.country", "lines"}
        far = await fails(client, "get-orders", updatedAtMin="2026-01-01T00:00:00Z")
        assert far["code"] == 5001 and far["details"]["field"] == "updatedAtMin" and far["retryable"] is False
        bad = await fails(client, "get-orders", createdAtMin="yesterday")
        assert bad["code"] == 2003 and bad["details"]["field"] == "createdAtMin"
        missing = await fails(client, "get-inventory")
        assert missing["code"] == 2002 and missing["details"]["field"] == "skus"
        lost = await fails(client, "cancel-order", orderId="019cae1f-2b3f-7000-92f0-c69eacf4702a")
        assert (lost["code"], lost["details"]["originalError"]) == (4001, "ORDER_NOT_FOUND")

    before = place.changes()
    talk(place.url, place.key(*ALL), visit)
    assert place.changes() == before + 1  # the key


def test_pages_of_the_standard(place):
    ids = [place.order(f"N-{n}", ("MUG", 1))["order_id"] for n in range(5)]
    place.call("POST", f"/v1/orders/{ids[0]}/cancel")

    async def visit(client):
        first = await does(client, "get-orders", pageSize=2)
        second = await does(client, "get-orders", pageSize=2, skip=2)
        assert [o["id"] for o in first["orders"] + second["orders"]] == ids[:0:-1]
        both = await does(client, "get-orders", statuses=["cancelled", "sourced", "lost"])
        assert [o["id"] for o in both["orders"]] == ids[::-1]
        named = await does(client, "get-orders", externalIds=["N-3", "N"], includeLineItems=False)
        assert [(o["id"], o["lineItems"]) for o in named["orders"]] == [(ids[3], [])]
        opened = await does(client, "get-fulfillments", pageSize=3, skip=1)
        assert len(opened["fulfillments"]) == 3
        too_many = await fails(client, "get-orders", pageSize=1_000)
        assert too_many["details"]["field"] == "pageSize"

    talk(place.url, place.key("read"), visit)


def days(ahead):
    return (datetime.now(UTC) + timedelta(days=ahead)).date().isoformat()


def an_incident(place):
    """A node that is behind, found as a detector finds it."""
    now, berlin = datetime.now(UTC), Subject("node", ("berlin",))
    finding = Finding(
        kind=Kind.CAPACITY_BREACH, subject=berlin, sentence="berlin is behind", numbers={"waiting_orders": 12.0},
        loss_minor=5_000, confidence=0.9, since=now, causes=(berlin,),
    )  # fmt: skip

    def look(_):
        return Seen(findings={"EUR": [finding]})

    detector = Detector(name="made", kinds=frozenset({finding.kind}), every=timedelta(hours=1), look=look)
    Watch(place.app.db, now=lambda: now, detectors=(detector,)).look()
    (row,) = place.call("GET", "/v1/incidents")["data"]
    return row["incident_id"]


def some_proposals(place):
    """Two safety stocks that nobody has decided on."""
    now = datetime.now(UTC)
    basis = Basis(forecast="last week", origin=now.date())
    effect = Effect(money_minor=900, money_low_minor=100, money_high_minor=2_000, units_saved=3.0)
    proposals = [
        Proposal(
            kind=proposed.SAFETY_STOCK, sku=sku, node="berlin", quantity=4, effect=effect, basis=basis,
            act_by=now.date(), expires_at=now + timedelta(days=3),
        )
        for sku in ("MUG", "PLATE")
    ]  # fmt: skip
    with place.app.db.connection() as conn:
        _, ids = replace_open(
            conn, "safety_stock", [(proposal, "Keep 4 back.") for proposal in proposals], item_ids=[], node_ids=[],
            basis=basis, horizon_days=14, job_id=None, now=now,
        )  # fmt: skip
    return ids
