"""Playbooks and runs over HTTP: versions with what is wrong with them, yes to a step, taken back."""

import pytest

from onhand.base.ids import new_id
from onhand.flows.playbooks.begin import begin_runs
from onhand.flows.playbooks.run import Runner

TEXT = """\
summary: Put it before a person.
on: [margin_breach]
steps:
  - do: open_ticket
    title: A margin is gone
"""
NOBODY = "019cae2a-6f10-7000-9d55-0c4a2be1f7a3"


@pytest.fixture
def call(server):
    def request(method, path, body=None, *, status=200, **more):
        answer = server.client.request(method, path, json=body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    return request


@pytest.fixture
def incident(server):
    incident_id = new_id()
    with server.app.db.connection() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO incident (incident_id, kind, cause_what, cause_key, loss_minor, risk_minor, confidence,"
            " currency, since, opened_at, seen_at)"
            " VALUES (%s, 'margin_breach', 'item', '{MUG}', 100, 90, 0.9, 'EUR', now(), now(), now())",
            (incident_id,),
        )
        conn.execute(
            "INSERT INTO incident_finding"
            " VALUES (%s, 'item', '{MUG}', '{}', 'a margin is gone', 100, 0.9, now(), '[]')",
            (incident_id,),
        )
    return incident_id


def works(server):
    begin_runs(server.app.db, now=server.app.state.now())
    Runner(server.app.state).work()


def put(server, name, text):
    return server.client.put(
        f"/v1/playbooks/{name}", content=text.encode(), headers={"Content-Type": "application/yaml"}
    )


def test_a_version_is_written_once_and_says_where_it_is_wrong(server, call):
    names = [p["name"] for p in call("GET", "/v1/playbooks")["data"]]
    assert len(names) == 11 and "carrier-lane-slow" in names
    first = put(server, "margins", TEXT)
    assert (first.status_code, first.json()["version"], first.json()["steps"]) == (201, 1, ["open_ticket"])
    assert put(server, "margins", "# the same\n" + TEXT).json()["version"] == 1
    assert put(server, "margins", TEXT.replace("gone", "low")).json()["version"] == 2
    found = {p["name"]: p["version"] for p in call("GET", "/v1/playbooks")["data"]}
    assert found["margins"] == 2 and found["oversell"] == 0

    wrong = put(server, "margins", TEXT.replace("title", "titel").replace("margin_breach", "margin_breech"))
    assert wrong.status_code == 422
    said = {error["path"]: error["message"] for error in wrong.json()["errors"]}
    assert said["on[0]"].startswith("line 2, column 6: no kind of incident is called 'margin_breech'")
    assert "line 5, column 5: unknown field; did you mean 'title'?" in said["steps[0].titel"]
    assert call("GET", "/v1/playbooks")["data"] == call("GET", "/v1/playbooks")["data"]


def test_a_step_waits_for_a_yes_and_is_taken_back(server, call, incident):
    put(server, "price-outlier", TEXT)
    path = f"/v1/incidents/{incident}"
    works(server)
    (run,) = call("GET", f"{path}/runs")["data"]
    assert (run["playbook"], run["version"], run["status"], run["step"]) == ("price-outlier", 1, "needs_approval", 1)
    assert run["parts"] == [] and run["steps"] == ["open_ticket"]

    # A version that is written meanwhile is for runs to come.
    put(server, "price-outlier", TEXT.replace("A margin", "The margin"))
    key = {"Idempotency-Key": "yes-1"}
    answer = call("POST", f"{path}/approve", headers=key)
    assert answer["data"][0]["status"] == "ready"
    assert call("POST", f"{path}/approve", headers=key) == answer
    assert call("POST", f"{path}/approve", status=409)["code"] == "run.nothing_waits"
    works(server)
    (run,) = call("GET", f"{path}/runs")["data"]
    (part,) = run["parts"]
    assert (run["status"], run["version"], part["do"], part["outcome"]) == ("standing", 1, "open_ticket", "done")
    with server.app.db.connection() as conn:
        ((data,),) = conn.execute("SELECT data FROM event WHERE kind = 'ticket.opened'").fetchall()
    assert (data["title"], data["incident_id"]) == ("A margin is gone", incident)

    call("POST", f"{path}/undo", {"reason": "it was right"})
    works(server)
    (run,) = call("GET", f"{path}/runs")["data"]
    assert (run["status"], run["why"], run["parts"][0]["undone"]) == ("undone", "it was right", {"closed": 1})
    assert call("POST", f"{path}/undo", status=409)["code"] == "run.nothing_done"
    works(server)  # what was taken back does not begin again for the same incident
    assert len(call("GET", f"{path}/runs")["data"]) == 1


def test_what_is_not_there(call, incident):
    for method, path in (("GET", "runs"), ("POST", "approve"), ("POST", "undo")):
        assert call(method, f"/v1/incidents/{NOBODY}/{path}", status=404)["code"] == "incident.not_found"
    answer = call("POST", f"/v1/incidents/{incident}/approve", {"run_id": NOBODY}, status=404)
    assert answer["code"] == "run.not_found"
    answer = call("PUT", f"/v1/customers/{NOBODY}/messages", {"wanted": False}, status=404)
    assert answer["code"] == "customer.not_found"
