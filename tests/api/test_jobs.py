"""Simulations over HTTP: asked for, watched, read, cancelled."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from tests.shop import open_shop

from onhand.api.paging import encode_cursor
from onhand.app import App
from onhand.flows import lanes
from onhand.flows.simulation.job import KIND, WORK
from onhand.jobs.schedules import ask_if_due
from onhand.jobs.worker import run_next

NOW = datetime.now(UTC)
PERIOD = {"from": (NOW - timedelta(days=1)).isoformat(), "to": (NOW + timedelta(days=1)).isoformat()}
NOBODY = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"


def work(app: App) -> None:
    assert run_next(app.db, {KIND: WORK}, threading.Event())


@pytest.fixture
def shop(server):
    """Some forty orders of a day, of every kind."""
    open_shop(server.client)
    return server


def test_a_simulation_is_asked_for_watched_and_read(shop):
    client = shop.client
    asked = client.post("/v1/policies/standard/simulate", json=PERIOD | {"version": 1, "pareto": True})
    assert asked.status_code == 202, asked.text
    job_id = asked.json()["job_id"]
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["kind"], job["progress"]) == (
        "queued", "policy.simulate", {"stage": None, "done": 0, "total": 0},
    )  # fmt: skip
    early = client.get(f"/v1/jobs/{job_id}/result")
    assert (early.status_code, early.json()["code"]) == (409, "job.not_done")
    work(shop.app)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["error"]) == ("done", None)
    assert job["progress"]["done"] == job["progress"]["total"] > 0
    result = client.get(f"/v1/jobs/{job_id}/result")
    assert result.headers["content-type"] == "application/json"
    report = result.json()
    assert report["format"] == 1
    assert report["period"]["orders"] > 30
    assert report["baseline"]["version"] == report["candidate"]["version"] == "standard@1"
    assert {d["difference"] for d in report["differences"]} == {0}
    assert report["pareto"]["points"]
    for page in (
        client.get(f"/v1/jobs/{job_id}/result?format=html"),
        client.get(f"/v1/jobs/{job_id}/result", headers={"accept": "text/html,*/*"}),
    ):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "standard@1 against standard@1" in page.text
    ended = client.post(f"/v1/jobs/{job_id}/cancel")
    assert (ended.status_code, ended.json()["code"]) == (409, "job.ended")


def test_a_simulation_that_cannot_be_is_refused_or_fails_with_its_reason(shop):
    client, path = shop.client, "/v1/policies/standard/simulate"
    for body, status, code in (
        (PERIOD, 409, "simulation.no_draft"),
        (PERIOD | {"version": 9}, 404, "policy_version.not_found"),
        (PERIOD | {"policy": "rules: 1"}, 422, "input.invalid"),
        ({"from": PERIOD["to"], "to": PERIOD["from"], "version": 1}, 422, "input.invalid"),
        (PERIOD | {"version": 1, "speed": 9}, 422, "input.invalid"),
        ({"from": "2026-03-02", "to": "2026-03-03T00:00:00Z"}, 422, "input.invalid"),
    ):
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body
    assert client.post("/v1/policies/none/simulate", json=PERIOD).status_code == 404
    long_ago = {"from": "2001-01-01T00:00:00Z", "to": "2001-02-01T00:00:00Z", "version": 1}
    job_id = client.post(path, json=long_ago).json()["job_id"]
    work(shop.app)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "simulation.empty")


def test_a_job_is_asked_for_once_and_cancelled(shop):
    client, key = shop.client, {"Idempotency-Key": "sim-1"}
    answers = [
        client.post("/v1/policies/standard/simulate", json=PERIOD | {"version": 1}, headers=key) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    job_id = answers[0].json()["job_id"]
    for _ in range(2):
        cancelled = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert not run_next(shop.app.db, {KIND: WORK}, threading.Event())


def test_jobs_are_listed_newest_first_by_kind_and_state(shop):
    client, path = shop.client, "/v1/policies/standard/simulate"
    long = "description: " + "x" * 2000
    bodies = [PERIOD | {"version": 1}, PERIOD | {"policy": long}, PERIOD | {"version": 1, "seed": 3}]
    ids = [client.post(path, json=body).json()["job_id"] for body in bodies]
    lanes = client.post("/v1/policies/standard/lanes", json={}).json()["job_id"]
    client.post(f"/v1/jobs/{ids[0]}/cancel").raise_for_status()

    def listed(**wanted):
        answer = client.get("/v1/jobs", params=wanted)
        assert answer.status_code == 200, answer.text
        return [job["job_id"] for job in answer.json()["data"]]

    assert listed() == [lanes, *reversed(ids)]
    assert listed(kind="policy.simulate") == list(reversed(ids))
    assert listed(kind="policy.simulate", state="queued") == [ids[2], ids[1]]
    assert listed(state="cancelled") == [ids[0]]
    first = client.get("/v1/jobs", params={"limit": 3}).json()
    rest = client.get("/v1/jobs", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [job["job_id"] for job in first["data"] + rest["data"]] == [lanes, *reversed(ids)]
    assert rest["next_cursor"] is None
    (one,) = client.get("/v1/jobs", params={"state": "cancelled"}).json()["data"]
    assert one == client.get(f"/v1/jobs/{ids[0]}").json()
    requests = {job["job_id"]: job["request"] for job in first["data"]}
    assert requests[ids[1]]["name"] == "standard"
    assert "text" not in requests[ids[1]], "a whole policy is not for a list"
    assert client.get(f"/v1/jobs/{ids[1]}").json()["request"]["text"] == long


def test_a_list_of_jobs_that_cannot_be_is_refused_by_its_field(server):
    for wanted, field in (({"state": "lost"}, "state"), ({"kind": "A b"}, "kind"), ({"cursor": "x"}, "cursor")):
        answer = server.client.get("/v1/jobs", params=wanted)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, field)
    cursor = encode_cursor("jobs", ("no-id",))
    answer = server.client.get("/v1/jobs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "cursor")


def test_jobs_that_do_not_exist(server):
    for method, path in (("GET", ""), ("GET", "/result"), ("POST", "/cancel")):
        answer = server.client.request(method, f"/v1/jobs/{NOBODY}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "job.not_found")


def test_a_look_at_lanes_is_scheduled_by_policy(server):
    client, path = server.client, "/v1/policies/standard/lanes/schedule"
    open_shop(client)
    assert client.get("/v1/policies/nobody/lanes/schedule").status_code == 404
    assert client.put("/v1/policies/nobody/lanes/schedule", json={}).status_code == 404
    unset = client.get(path).json()
    assert [unset[k] for k in ("active", "hour", "days", "next_at", "by")] == [False, 2, 90, None, None]
    made = client.put(path, json={"hour": 1, "days": 30})
    assert made.status_code == 200, made.text
    assert client.get(path).json() == made.json()
    due = datetime.fromisoformat(made.json()["next_at"])
    assert ask_if_due(server.app.db, due, {lanes.KIND: lanes.ask_scheduled}) == 1
    (job,) = client.get("/v1/jobs?kind=policy.lanes").json()["data"]
    assert {k: job["request"][k] for k in ("name", "days", "orders_max")} == {
        "name": "standard", "days": 30, "orders_max": 5000,
    }  # fmt: skip
