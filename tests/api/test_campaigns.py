"""Campaigns over HTTP: assessed in the background, accepted, seen in the calendar of capacity, cancelled."""

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.shop import open_shop

from onhand.flows.campaigns.job import KIND, WORK
from onhand.jobs.worker import run_next

TODAY = datetime.now(UTC).date()
FIRST, LAST = TODAY + timedelta(days=5), TODAY + timedelta(days=9)
PLAN = {"from": FIRST.isoformat(), "to": LAST.isoformat(), "paths": 20, "other_dates": [3]}
NOBODY = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"


@pytest.fixture
def shop(server):
    """Some forty orders of a day, and eight weeks of sales of two mugs whose price went up and down."""
    made = open_shop(server.client, units=300)
    draw, rows = np.random.default_rng(1), []
    for back in range(1, 8 * 7 + 1):
        for sku, elasticity in (("MUG-BLUE", -2.0), ("MUG-RED", -2.5)):
            price = 1000 if (back // 7) % 2 else 700
            units = int(draw.poisson(12 * (price / 1000) ** elasticity))
            day = (TODAY - timedelta(days=back)).isoformat()
            rows.append({"sku": sku, "day": day, "quantity": units, "region": "DE", "price_minor": price})
    results = made.call("POST", "/v1/sales/batch", {"sales": rows})["results"]
    assert {r["status"] for r in results} == {"created"}
    return server


def assess(server, **more) -> tuple[str, dict]:
    asked = server.client.post("/v1/campaigns/assess", json=PLAN | more)
    assert asked.status_code == 202, asked.text
    job_id = asked.json()["job_id"]
    assert run_next(server.app.db, {KIND: WORK}, threading.Event())
    job = server.client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["error"]) == ("done", None)
    assert job["progress"]["total"] > 0
    return job_id, server.client.get(f"/v1/jobs/{job_id}/result").json()


def capacity(server, day) -> dict:
    path = f"/v1/capacity?from={day}&to={day}"
    return {row["node"]: row for row in server.client.get(path).json()["data"]}


def test_a_campaign_is_assessed_accepted_and_cancelled(shop):
    client = shop.client
    job_id, found = assess(shop, items=["MUG-BLUE"], discount=0.3)
    assert found["items"] == ["MUG-BLUE"]
    answers = {r["sku"]: r for r in found["responses"]}
    assert answers["MUG-BLUE"]["is_from_own_prices"]
    assert answers["MUG-BLUE"]["elasticity"] == pytest.approx(-2.0, abs=0.6)
    # 30 % off at an elasticity of -2 sells about twice as much.
    assert found["uplift"] == pytest.approx(1.05, abs=0.5)
    assert len(found["days"]) > (LAST - TODAY).days
    assert sum(d["is_campaign"] for d in found["days"]) == 5
    assert 0 <= found["late_risk"] <= 1
    assert found["largest_uplift"]["uplift"] >= 0
    assert found["other_dates"][0]["from"] == (FIRST + timedelta(days=3)).isoformat()
    assert found["holds"]
    assert found["nodes"]
    for node in found["nodes"]:
        assert len(node["fill_rate"]) == len(node["units"]) == len(found["days"])
        assert all((rate is None) == (units == 0) for rate, units in zip(node["fill_rate"], node["units"], strict=True))

    held = {(h["node"], h["day"]): h for h in found["holds"]}
    (node, day), hold = next((k, h) for k, h in held.items() if k[1] > TODAY.isoformat())
    before = capacity(shop, day)[node]
    assert before["planned"] == {"orders": 0, "lines": 0, "units": 0}
    kept = client.post("/v1/campaigns", json={"job_id": job_id, "name": "Spring mugs"})
    assert kept.status_code == 201, kept.text
    campaign = kept.json()
    assert (campaign["state"], campaign["items"], campaign["discount"]) == ("accepted", ["MUG-BLUE"], 0.3)
    again = client.post("/v1/campaigns", json={"job_id": job_id, "name": "Twice"})
    assert again.json() == campaign
    planned = capacity(shop, day)[node]
    assert planned["planned"] == {k: hold[k] for k in ("orders", "lines", "units")}
    if before["headroom"]["orders"] is not None:
        assert planned["headroom"]["orders"] == before["headroom"]["orders"] - hold["orders"]
    signals = {s["name"]: s for s in client.get("/v1/signals?sku=MUG-BLUE").json()["data"]}
    assert signals["promotion"]["known_ahead"] and signals["promotion"]["values"] == 5
    assert signals["promotion_discount"]["known_ahead"]
    assert client.get(f"/v1/campaigns/{campaign['campaign_id']}").json() == campaign
    assert client.get("/v1/campaigns").json()["data"] == [campaign]

    # Another one has the last of its days.
    both = {"from": LAST.isoformat(), "to": (LAST + timedelta(days=1)).isoformat()}
    other_job, _ = assess(shop, items=["MUG-BLUE"], discount=0.1, **both)
    other = client.post("/v1/campaigns", json={"job_id": other_job, "name": "Next"}).json()
    for _ in range(2):  # the same again changes nothing
        gone = client.post(f"/v1/campaigns/{campaign['campaign_id']}/cancel").json()
        assert gone["state"] == "cancelled" and gone["cancelled_at"] is not None
    client.post(f"/v1/campaigns/{other['campaign_id']}/cancel")
    assert capacity(shop, day)[node] == before
    (signal,) = (s for s in client.get("/v1/signals?sku=MUG-BLUE").json()["data"] if s["name"] == "promotion")
    # Four days when the first was cancelled, and the two of the other one.
    assert (signal["values"], signal["corrections"]) == (6, 6)


def test_what_gives_way_is_named_with_what_to_do(shop):
    """900 mugs, and some 12 a day; ten times as many are more than there are."""
    _, found = assess(shop, items=["MUG-RED"], uplift=20, means={"buy_days": 2})
    assert not found["can_serve"]
    first = found["breaks"][0]
    assert (first["kind"], first["what"]) == ("item", "MUG-RED")
    assert FIRST.isoformat() <= first["day_low"] <= first["day"] <= first["day_high"] <= LAST.isoformat()
    assert 0 < found["largest_uplift"]["uplift"] < 20
    remedies = found["remedies"]
    assert remedies["late_risk"] < found["late_risk"]
    assert {a["do"] for a in remedies["actions"]} <= {"buy", "transfer", "spread", "expedite", "overtime"}
    assert any(a["do"] == "buy" and a["sku"] == "MUG-RED" for a in remedies["actions"])
    for action in remedies["actions"]:
        assert TODAY.isoformat() <= action["start_by"] <= action["before"]


def test_an_assessment_is_asked_for_once_under_one_key(shop):
    body, key = PLAN | {"items": ["PLATE"], "uplift": 0.5}, {"Idempotency-Key": "spring"}
    first, again = (shop.client.post("/v1/campaigns/assess", json=body, headers=key).json() for _ in range(2))
    assert first["job_id"] == again["job_id"]
    early = shop.client.post("/v1/campaigns", json={"job_id": first["job_id"], "name": "too soon"})
    assert (early.status_code, early.json()["code"]) == (409, "job.not_done")
    assert shop.client.post(f"/v1/jobs/{first['job_id']}/cancel").status_code == 200


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"items": ["NOTHING"]}, "items[0]"),
        ({"items": ["SET"]}, "items[0]"),
        ({"items": [], "categories": ["garden"]}, "categories[0]"),
        ({"items": []}, "items"),
        ({"uplift": 1.0}, "discount"),
        ({"discount": None}, "discount"),
        ({"channels": ["none"]}, "channels[0]"),
        ({"from": (TODAY - timedelta(days=1)).isoformat()}, "from"),
        ({"to": (FIRST - timedelta(days=1)).isoformat()}, "to"),
        ({"to": (TODAY + timedelta(days=200)).isoformat()}, "to"),
    ],
)
def test_what_cannot_be_assessed_is_told_at_once(shop, change, path):
    answer = shop.client.post("/v1/campaigns/assess", json=PLAN | {"items": ["MUG-BLUE"], "discount": 0.2} | change)
    assert answer.status_code == 422, answer.text
    assert [e["path"] for e in answer.json()["errors"]] == [path]


def test_what_is_not_there_cannot_be_accepted_or_cancelled(shop):
    client = shop.client
    for answer in (
        client.post("/v1/campaigns", json={"job_id": NOBODY, "name": "x"}),
        client.get(f"/v1/campaigns/{NOBODY}"),
        client.post(f"/v1/campaigns/{NOBODY}/cancel"),
        client.get("/v1/campaigns/spring"),
    ):
        assert answer.status_code == 404
    assert client.get("/v1/campaigns/assess").status_code == 405
