"""Proposals taken back, decided on many at a time, and the curve that safety stocks are chosen from."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.plan_shop import NODES, SKUS, Shop

from onhand.api import routes_proposals
from onhand.errors import DatabaseUnavailable

NOBODY = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"


@pytest.fixture
def shop(server):
    """Berlin sells what lies in Lyon, and buys from a supplier."""
    shop = Shop(server)
    shop.sell({(sku, node): 4.0 if node == "berlin" else 0.2 for sku in SKUS for node in NODES})
    shop.stock({(sku, "lyon"): 60 for sku in SKUS})
    shop.lanes(("lyon", "berlin"), ("berlin", "lyon"))
    shop.supply()
    return shop


def undo(shop, proposal, status=200, body=None):
    return shop.post(f"/v1/proposals/{proposal['proposal_id']}/undo", body, status)


def on_hand(shop, sku, node="lyon"):
    return shop.rows(sku=sku)[sku, node]["on_hand"]


def inbound(shop):
    return shop.client.get("/v1/inbound").json()["data"]


def test_a_proposal_says_for_how_long_its_units_last(shop):
    for proposal in shop.plan("rebalance")[1]:
        # Four a day are asked for in Berlin.
        assert proposal["effect"]["cover_days"] == pytest.approx(proposal["quantity"] / 4, rel=0.2)


def test_a_transfer_is_called_back_once_and_can_be_planned_anew(shop):
    _, proposals = shop.plan("rebalance")
    first = proposals[0]
    shop.approve(first)
    assert (on_hand(shop, first["sku"]), len(inbound(shop))) == (60 - first["quantity"], 1)
    done = undo(shop, first, body={"reason": "the lorry is full"})
    assert (done["status"], done["undone"], done["reason"], done["followed"]) == (
        "dismissed", True, "the lorry is full", None,
    )  # fmt: skip
    assert (on_hand(shop, first["sku"]), inbound(shop)) == (60, [])
    # Twice is once, and it is not done by approving it again.
    assert undo(shop, first) == done
    assert on_hand(shop, first["sku"]) == 60
    assert shop.approve(first, 409)["code"] == "proposal.dismissed"
    kinds = [e["kind"] for e in shop.client.get(f"/v1/stock/entries?sku={first['sku']}").json()["data"]]
    assert sorted(kinds) == ["receipt", "transfer_in", "transfer_out"]
    again = {p["sku"]: p["quantity"] for p in shop.plan("rebalance")[1]}
    assert again[first["sku"]] == first["quantity"]


def test_what_a_transfer_used_of_its_lane_is_free_again(shop):
    _, proposals = shop.plan("rebalance")
    one, other = proposals
    shop.lanes(("lyon", "berlin"), units_per_day=max(p["quantity"] for p in proposals))
    shop.approve(one)
    assert shop.approve(other, 409)["code"] == "proposal.lane_full"
    undo(shop, one)
    assert shop.approve(other)["status"] == "approved"


def test_a_transfer_that_has_left_or_come_in_part_stays(shop):
    _, (first, second) = shop.plan("rebalance")
    reference = shop.approve(first)["followed"]["reference"]
    shop.approve(second)
    shop.stock({(first["sku"], "berlin"): 1}, "transfer_in", reference=reference)
    refused = undo(shop, first, 409)
    assert (refused["code"], refused["received"]) == ("proposal.too_late", 1)
    with shop.server.app.db.connection() as conn:
        conn.execute("UPDATE proposal SET decided_at = decided_at - interval '1 day' WHERE decided_at IS NOT NULL")
    refused = undo(shop, second, 409)
    assert refused["code"] == "proposal.too_late" and "left on" in refused["detail"]
    assert [p["status"] for p in shop.proposals(kind="transfer")] == ["approved", "approved"]
    assert on_hand(shop, second["sku"]) == 60 - second["quantity"]


def test_units_that_somebody_is_promising_right_now_are_not_taken_from_the_buyer(shop):
    _, (first, *_) = shop.plan("rebalance")
    shop.approve(first)
    db = shop.server.app.db
    with ThreadPoolExecutor(1) as pool, db.connection() as conn:
        with conn.transaction():
            conn.execute("SELECT FROM inbound_line FOR UPDATE")
            refused = pool.submit(undo, shop, first, 409)
            wait_until_blocked(db)
            conn.execute("UPDATE inbound_line SET promised = 2")
        assert refused.result(30)["code"] == "proposal.too_late"
        conn.execute("UPDATE inbound_line SET promised = 0")
    assert len(inbound(shop)) == 1


def wait_until_blocked(db):
    """Until somebody waits for a lock that we hold."""
    deadline = time.monotonic() + 20
    with db.connection() as conn:
        conn.autocommit = True
        while not conn.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]:
            assert time.monotonic() < deadline, "nobody waits"


def test_units_that_are_promised_are_not_taken_from_the_buyer(shop):
    _, (first, *_) = shop.plan("rebalance")
    shop.approve(first)
    with shop.server.app.db.connection() as conn:
        conn.execute("UPDATE inbound_line SET promised = 2")
    refused = undo(shop, first, 409)
    assert (refused["code"], refused["promised"], len(inbound(shop))) == ("proposal.too_late", 2, 1)
    with shop.server.app.db.connection() as conn:
        conn.execute("UPDATE inbound_line SET promised = 0")


def test_a_purchase_is_called_back_until_some_of_it_has_come(shop):
    _, (first, second) = shop.plan("replenish")
    reference = shop.approve(first)["followed"]["reference"]
    shop.approve(second)
    undo(shop, second)
    assert [d["reference"] for d in inbound(shop)] == [reference]
    shop.stock({(first["sku"], "berlin"): 1}, "receipt", reference=reference)
    assert undo(shop, first, 409)["code"] == "proposal.too_late"


def test_a_safety_stock_is_what_it_was_unless_somebody_set_it_since(shop):
    shop.node("berlin", safety_stock_default=3)
    _, proposals = shop.plan("safety_stock", settings={"service_level": 0.95})
    first, second = proposals
    for proposal in proposals:
        assert shop.approve(proposal)["status"] == "done"
    kept = "SELECT safety_stock FROM stock_position p JOIN item i USING (item_id) JOIN node n USING (node_id)"
    with shop.server.app.db.connection() as conn:
        rows = f"{kept} WHERE sku = %s AND code = 'berlin'"
        assert conn.execute(rows, [first["sku"]]).fetchone() == (first["quantity"],)
        undo(shop, first)
        # Not 3 of its own: it follows its node again.
        assert conn.execute(rows, [first["sku"]]).fetchone() == (None,)
        conn.execute("UPDATE stock_position SET safety_stock = 1 WHERE safety_stock IS NOT NULL")
    refused = undo(shop, second, 409)
    assert (refused["code"], refused["kept"]) == ("proposal.too_late", 1)


def test_what_was_not_approved_is_not_taken_back(shop):
    _, (first, second) = shop.plan("rebalance")
    assert undo(shop, first, 409)["code"] == "proposal.not_approved"
    shop.post(f"/v1/proposals/{second['proposal_id']}/dismiss")
    assert undo(shop, second, 409)["code"] == "proposal.not_approved"
    assert undo(shop, {"proposal_id": NOBODY}, 404)["code"] == "proposal.not_found"


def test_many_who_undo_at_once_take_the_units_back_once(shop):
    _, (first, *_) = shop.plan("rebalance")
    shop.approve(first)
    start = threading.Barrier(6)

    def take(_):
        start.wait(10)
        return shop.client.post(f"/v1/proposals/{first['proposal_id']}/undo")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(take, range(6)))
    assert {a.status_code for a in answers} == {200} and len({a.text for a in answers}) == 1
    assert (on_hand(shop, first["sku"]), inbound(shop)) == (60, [])


def test_an_undo_under_one_key_is_answered_again(shop):
    _, (first, *_) = shop.plan("rebalance")
    shop.approve(first)
    keyed = {"Idempotency-Key": "oops"}
    one, again = (shop.client.post(f"/v1/proposals/{first['proposal_id']}/undo", headers=keyed) for _ in range(2))
    assert one.text == again.text and again.headers["idempotent-replayed"] == "true"


def test_many_are_approved_and_each_says_what_became_of_it(shop):
    _, (first, second) = shop.plan("rebalance")
    shop.stock({(second["sku"], "lyon"): 5}, "count")
    wanted = [first["proposal_id"], second["proposal_id"], NOBODY, first["proposal_id"]]
    results = shop.post("/v1/proposals/approve", {"proposal_ids": wanted})["results"]
    assert [r["proposal_id"] for r in results] == wanted
    assert [(r["outcome"], r["code"]) for r in results] == [
        ("approved", None), ("refused", "proposal.stock_gone"), ("refused", "proposal.not_found"), ("approved", None),
    ]  # fmt: skip
    assert "are still free" in results[1]["message"]
    # Approved once, though named twice; what was refused is as it was.
    assert on_hand(shop, first["sku"]) == 60 - first["quantity"] and on_hand(shop, second["sku"]) == 5
    assert {p["proposal_id"]: p["status"] for p in shop.proposals()} == {
        first["proposal_id"]: "approved", second["proposal_id"]: "proposed",
    }  # fmt: skip


def test_a_batch_under_one_key_is_done_once_and_another_body_is_refused_before_anything_is(shop):
    _, (first, second) = shop.plan("rebalance")
    keyed = {"Idempotency-Key": "monday"}
    body = {"proposal_ids": [first["proposal_id"]]}
    one, again = (shop.client.post("/v1/proposals/approve", json=body, headers=keyed) for _ in range(2))
    assert one.text == again.text and again.headers["idempotent-replayed"] == "true"
    other = shop.client.post("/v1/proposals/approve", json={"proposal_ids": [second["proposal_id"]]}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
    assert [p["proposal_id"] for p in shop.proposals(status="proposed")] == [second["proposal_id"]]


def test_a_batch_that_breaks_off_has_what_it_did_in_memory(shop, monkeypatch):
    _, (first, second) = shop.plan("rebalance")
    real = routes_proposals.approve_proposal

    def breaks_off(db, conn, proposal_id, **how):
        if proposal_id == second["proposal_id"]:
            raise DatabaseUnavailable("away")
        return real(db, conn, proposal_id, **how)

    taken, told = [], []
    take, notify = shop.server.app.state.take, shop.server.app.db.notify
    monkeypatch.setattr(routes_proposals, "approve_proposal", breaks_off)
    monkeypatch.setattr(shop.server.app.state, "take", lambda items, nodes: taken.append(items) or take(items, nodes))
    monkeypatch.setattr(shop.server.app.db, "notify", lambda: told.append(1) or notify())
    ids = [first["proposal_id"], second["proposal_id"]]
    assert shop.client.post("/v1/proposals/approve", json={"proposal_ids": ids}).status_code == 503
    assert on_hand(shop, first["sku"]) == 60 - first["quantity"]
    assert any(taken) and told


def test_two_who_approve_the_same_batch_at_once_move_the_units_once(shop):
    _, proposals = shop.plan("rebalance")
    ids = [p["proposal_id"] for p in proposals]
    start = threading.Barrier(2)

    def approve(order):
        start.wait(10)
        return shop.client.post("/v1/proposals/approve", json={"proposal_ids": order}).json()["results"]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(approve, (ids, ids[::-1])))
    assert {r["outcome"] for results in answers for r in results} == {"approved"}
    for proposal in proposals:
        assert on_hand(shop, proposal["sku"]) == 60 - proposal["quantity"]
    assert len(inbound(shop)) == len(proposals)


def test_many_are_dismissed_with_one_reason(shop):
    _, (first, second) = shop.plan("rebalance")
    shop.approve(first)
    body = {"proposal_ids": [first["proposal_id"], second["proposal_id"]], "reason": "the store closes"}
    results = shop.post("/v1/proposals/dismiss", body)["results"]
    assert [(r["outcome"], r["code"]) for r in results] == [("refused", "proposal.approved"), ("dismissed", None)]
    assert results[1]["proposal"]["reason"] == "the store closes"


@pytest.mark.parametrize(
    ("ids", "path"), [([], "proposal_ids"), (["x"], "proposal_ids[0]"), ([NOBODY] * 201, "proposal_ids")]
)
def test_a_batch_names_some_proposals_and_not_too_many(shop, ids, path):
    answer = shop.client.post("/v1/proposals/approve", json={"proposal_ids": ids})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


def test_the_curve_rises_and_has_the_safety_stock_of_the_plan_on_it(shop):
    shop.stock({("MUG", "berlin"): 20})
    curve = shop.client.get("/v1/service-curve?sku=MUG&node=berlin").json()
    points = curve["points"]
    for name in ("units", "service", "fill_rate"):
        values = [p[name] for p in points]
        assert values == sorted(values)
    assert (points[0]["units"], points[0]["fill_rate"], points[-1]["service"]) == (0, 0.0, 1.0)
    assert curve["present"]["units"] == 20
    # Four a day, for six days until it comes and the time until the next order.
    assert curve["mean_units"] == pytest.approx(4 * (6.7 + curve["review_days"]), rel=0.2)
    assert curve["kept"]["safety_stock"] == 0 and curve["kept"]["units"] == round(curve["mean_units"])
    (mug,) = (p for p in shop.plan("safety_stock")[1] if p["sku"] == "MUG")
    assert curve["best"]["safety_stock"] == pytest.approx(mug["quantity"], abs=1)
    assert curve["best"]["service"] == pytest.approx(mug["effect"]["service"]["all_served_after"], abs=0.01)
    shop.approve(mug)
    kept = shop.client.get("/v1/service-curve?sku=MUG&node=berlin").json()["kept"]
    assert kept["safety_stock"] == mug["quantity"]
    assert kept["service"] == pytest.approx(curve["best"]["service"], abs=0.02)


def test_a_curve_needs_an_item_a_node_and_a_supplier(shop):
    get = shop.client.get
    refused = get("/v1/service-curve?sku=MUG&node=nantes")
    assert (refused.status_code, refused.json()["code"]) == (409, "service_curve.no_supply")
    for query, path in (("sku=NONE&node=berlin", "sku"), ("sku=MUG&node=nowhere", "node")):
        answer = get(f"/v1/service-curve?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path)


def test_two_curves_are_worked_out_at_once_and_each_once_for_all_who_ask(shop, monkeypatch):
    one, two, other = NODES
    begun, go_on, asked = threading.Semaphore(0), threading.Event(), []

    def slow(conn, sku, node, now):
        asked.append(node)
        begun.release()
        assert go_on.wait(60)
        return {"sku": sku, "node": node}

    monkeypatch.setattr(routes_proposals, "service_curve", slow)
    get = lambda node: shop.client.get(f"/v1/service-curve?sku=MUG&node={node}")  # noqa: E731
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(get, node) for node in (one, two)]
        try:
            assert begun.acquire(timeout=60) and begun.acquire(timeout=60)
            third = get(other)
        finally:
            go_on.set()
        assert (third.status_code, third.json()["code"], third.headers["retry-after"]) == (503, "overloaded", "1")
        assert [answer.result().json()["node"] for answer in under_way] == [one, two]
    # A place is free again; who asks the same a moment later costs nothing, until stock there is another.
    monkeypatch.setattr(shop.server.edge.looks, "_clock", lambda: 0.0)
    asked.clear()
    assert [get(other).status_code for _ in range(3)] == [200] * 3
    assert asked == [other]
    shop.stock({("MUG", other): 7})
    assert get(other).status_code == 200
    assert asked == [other] * 2
