"""What a dock sends out and takes in on a day holds for all plans of it together."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.plan_shop import NODES, SKUS, Shop

from onhand.base.actor import SYSTEM
from onhand.flows.plans.approve import approve_proposal
from onhand.flows.plans.request import Request
from onhand.flows.plans.run import plan, read_world
from onhand.planning.store import replace_open


@pytest.fixture
def shop(server):
    """Berlin and Nantes sell what lies in Lyon, and Berlin some of the mugs that lie in Nantes."""
    shop = Shop(server)
    shop.sell({(sku, node): {"berlin": 5.0, "nantes": 2.0, "lyon": 0.2}[node] for sku in SKUS for node in NODES})
    shop.stock({(sku, node): {"lyon": 70, "berlin": 1}[node] for sku in SKUS for node in ("lyon", "berlin")})
    shop.stock({("MUG", "nantes"): 45, ("PLATE", "nantes"): 1})
    shop.lanes(("lyon", "berlin"), ("nantes", "berlin"), ("lyon", "nantes"))
    return shop


_LIMIT = st.none() | st.integers(0, 60)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    docks=st.fixed_dictionaries({node: st.tuples(_LIMIT, _LIMIT) for node in NODES}),
    approved=st.lists(st.booleans(), min_size=12, max_size=12),
    kinds=st.tuples(*[st.sampled_from(["rebalance", "prune"])] * 2),
)
def test_no_plan_of_a_day_exceeds_a_dock(shop, docks, approved, kinds):
    now, db = datetime.now(UTC), shop.server.app.db
    out, into = Counter(), Counter()

    def count(proposals):
        both = out.copy(), into.copy()
        for p in proposals:
            both[0][p.source] += p.quantity
            both[1][p.node] += p.quantity
        for node, (most_out, most_in) in docks.items():
            assert most_out is None or both[0][node] <= most_out
            assert most_in is None or both[1][node] <= most_in
        return both

    with db.connection() as conn, conn.transaction(force_rollback=True):
        for node, limits in docks.items():
            conn.execute("UPDATE node SET dock_units_out = %s, dock_units_in = %s WHERE code = %s", (*limits, node))
        for kind in kinds:
            # What was approved before has used up the docks of today.
            request = Request(plan=kind, hold_days=0)
            world = read_world(conn, request, now)
            found = [p for p in plan(world, request, now).proposals if p.kind == "transfer"]
            count(found)
            scope = world.scope
            _, ids = replace_open(
                conn, kind, [(p, "") for p in found], item_ids=scope.item_id.tolist(), node_ids=scope.node_id.tolist(),
                basis=world.outlook.basis, horizon_days=14, job_id=None, now=now,
            )  # fmt: skip
            taken = [(p, i) for p, i, is_taken in zip(found, ids, approved, strict=False) if is_taken]
            for _, proposal_id in taken:
                assert approve_proposal(db, conn, proposal_id, now=now, by=SYSTEM).proposal.status == "approved"
            out, into = count([p for p, _ in taken])


def test_units_leave_over_docks_as_much_as_these_take(shop):
    shop.node("lyon", docks={"units_out": 12})
    shop.node("berlin", docks={"units_in": 20, "units_out": None})
    assert shop.client.get("/v1/nodes/berlin").json()["docks"] == {"units_out": None, "units_in": 20}
    moved = Counter()
    for _ in range(2):
        for proposal in shop.plan("rebalance", settings={"hold_days": 0})[1]:
            shop.approve(proposal)
            moved[proposal["from"]] += proposal["quantity"]
            moved["to " + proposal["node"]] += proposal["quantity"]
    assert (moved["lyon"], moved["to berlin"]) == (12, 20)
    # A day later they are free again.
    with shop.server.app.db.connection() as conn:
        conn.execute("UPDATE proposal SET decided_at = decided_at - interval '1 day' WHERE decided_at IS NOT NULL")
    again = shop.plan("rebalance", settings={"hold_days": 0})[1]
    assert 0 < sum(p["quantity"] for p in again if p["from"] == "lyon") <= 12


@pytest.mark.parametrize(("end", "limit", "way"), [("lyon", "units_out", "from"), ("berlin", "units_in", "node")])
def test_rivals_for_one_dock_do_not_overfill_it(shop, end, limit, way):
    """Over two lanes: nothing else makes the second wait."""
    by_lane = {(p["from"], p["node"]): p for p in shop.plan("rebalance")[1] if p[way] == end}
    first, second = list(by_lane.values())[:2]
    shop.node(end, docks={limit: max(first["quantity"], second["quantity"])})
    db = shop.server.app.db
    with ThreadPoolExecutor(1) as pool, db.connection() as conn, db.connection() as watch:
        with conn.transaction():
            approve_proposal(db, conn, first["proposal_id"], now=datetime.now(UTC), by=SYSTEM)
            rival = pool.submit(shop.client.post, f"/v1/proposals/{second['proposal_id']}/approve")
            while not rival.done() and not _is_one_waiting(watch):
                pass
        answer = rival.result(30)
    assert answer.status_code == 409
    refused = answer.json()
    assert (refused["code"], refused["node"]) == ("proposal.dock_full", end)
    assert refused["free"] < refused["wanted"] and "tomorrow" in refused["detail"]


def _is_one_waiting(conn):
    return conn.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')"
    ).fetchone()[0]
