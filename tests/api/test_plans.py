"""`POST /v1/plans/run`."""

import threading
from datetime import datetime

import pytest
from tests.shop import open_shop

from onhand.flows.plans.job import KIND, WORK, ask_scheduled
from onhand.jobs.schedules import ask_if_due
from onhand.jobs.worker import run_next


@pytest.fixture
def shop(server):
    return open_shop(server.client)


def test_what_is_sourced_is_planned_again(shop):
    answer = shop.call("POST", "/v1/plans/run", {"kind": "sourcing", "limit": 5}, status=200)
    assert set(answer) == {"orders_considered", "orders_moved", "saving_minor", "gap"}
    assert answer["orders_considered"] <= 5
    dry = shop.call("POST", "/v1/plans/run", {"kind": "sourcing", "apply": False}, status=200)
    assert dry["orders_considered"] >= answer["orders_considered"]
    assert dry["saving_minor"] >= 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "kind"),
        ({"kind": "dinner"}, "kind"),
        ({"kind": "sourcing", "limit": 0}, "limit"),
        ({"kind": "sourcing", "x": 1}, "x"),
    ],
)
def test_what_cannot_be_planned_is_told_by_its_field(server, body, path):
    answer = server.client.post("/v1/plans/run", json=body)
    assert answer.status_code == 422
    assert [e["path"] for e in answer.json()["errors"]] == [path]


def test_a_schedule_of_plans_is_kept_and_run(shop, server):
    unset = shop.call("GET", "/v1/plans/schedule", status=200)
    assert [unset[k] for k in ("active", "hour", "next_at", "by")] == [False, 5, None, None]
    assert [plan["kind"] for plan in unset["plans"]] == ["safety_stock", "replenish", "rebalance", "prune"]
    plans = [{"kind": "replenish", "settings": {"service_level": 0.9}}, {"kind": "prune", "items": ["MUG-BLUE"]}]
    made = shop.call("PUT", "/v1/plans/schedule", {"hour": 4, "plans": plans}, status=200)
    assert (made["hour"], made["active"], made["plans"][0]["settings"]["service_level"]) == (4, True, 0.9)
    assert shop.call("GET", "/v1/plans/schedule", status=200) == made
    db, due = server.app.db, datetime.fromisoformat(made["next_at"])
    # What is gone by then keeps no other plan back.
    with db.connection() as conn:
        conn.execute("UPDATE item SET sku = 'MUG-GONE' WHERE sku = 'MUG-BLUE'")
    assert ask_if_due(db, due, {KIND: ask_scheduled}) == 1
    assert run_next(db, {KIND: WORK}, threading.Event())
    assert not run_next(db, {KIND: WORK}, threading.Event())
    (job,) = shop.call("GET", "/v1/jobs?kind=plan.run", status=200)["data"]
    assert (job["state"], job["request"]["request"]["plan"]) == ("done", "replenish")
    off = shop.call("PUT", "/v1/plans/schedule", {"active": False}, status=200)
    assert (off["active"], len(off["plans"])) == (False, 4)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"plans": [{"kind": "replenish"}, {"kind": "prune", "items": ["MUG-BLUE", "NO"]}]}, "plans[1].items[1]"),
        ({"plans": [{"kind": "safety_stock", "settings": {"service_level": 0.9, "fill_rate": 0.9}}]},
         "plans[0].settings.fill_rate"),
        ({"plans": []}, "plans"),
        ({"hour": 24}, "hour"),
    ],
)  # fmt: skip
def test_a_schedule_of_what_cannot_be_planned_is_refused(shop, body, path):
    answer = shop.client.put("/v1/plans/schedule", json=body)
    assert (answer.status_code, [e["path"] for e in answer.json()["errors"]]) == (422, [path])
    assert shop.call("GET", "/v1/plans/schedule", status=200)["by"] is None
