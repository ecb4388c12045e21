"""Who changed what, when and why."""

from datetime import UTC, datetime, timedelta

import pytest


@pytest.fixture
def made(server):
    """Three keys created by the admin key, each with a reason."""
    for name in ("a", "b", "c"):
        answer = server.client.post(
            "/v1/keys",
            json={"name": name, "scopes": ["read"]},
            headers={"X-Reason": f"für {name}".encode()},
        )
        assert answer.status_code == 201
    return server


def audit(server, **params):
    answer = server.client.get("/v1/audit", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_change_says_who_what_when_and_why(made):
    newest = audit(made)["data"][0]
    assert newest["kind"] == "key.changed"
    assert newest["actor_name"] == "admin"
    assert newest["reason"] == "für c"
    assert newest["data"]["name"] == "c"
    at = datetime.fromisoformat(newest["at"])
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)


def test_filters(made):
    everything = audit(made)["data"]
    assert [e["data"]["name"] for e in everything] == ["c", "b", "a", "admin"]
    subject = everything[1]["subject"]
    assert [e["subject"] for e in audit(made, subject=subject)["data"]] == [subject]
    assert [e["data"]["name"] for e in audit(made, actor=0)["data"]] == ["admin"]
    assert len(audit(made, actor=everything[0]["actor"])["data"]) == 3
    assert audit(made, kind="order.*")["data"] == []
    assert len(audit(made, kind="key.*")["data"]) == 4
    assert len(audit(made, kind="key.changed")["data"]) == 4
    middle = everything[1]["at"]
    assert [e["data"]["name"] for e in audit(made, **{"from": middle})["data"]] == ["c", "b"]
    assert [e["data"]["name"] for e in audit(made, to=middle)["data"]] == ["a", "admin"]


def test_pages_cover_everything_once(made):
    names, cursor = [], None
    while True:
        page = audit(made, limit=1, **({"cursor": cursor} if cursor else {}))
        names += [e["data"]["name"] for e in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["c", "b", "a", "admin"]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "WyJvdGhlciIsMSwyXQ"}, "cursor"),  # ["other",1,2]
        ({"cursor": "WyJhdWRpdCIsMV0"}, "cursor"),  # ["audit",1]
        ({"cursor": "WyJhdWRpdCIsIjEiLCIyIl0"}, "cursor"),  # ["audit","1","2"]
        ({"cursor": "WyJhdWRpdCIsMTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAsMl0"}, "cursor"),
        ({"actor": -1}, "actor"),
        ({"from": "yesterday"}, "from"),
        ({"kind": "order.%"}, "kind"),
        ({"nosuch": "1"}, "nosuch"),
    ],
)
def test_bad_filters_are_named(server, params, path):
    answer = server.client.get("/v1/audit", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "input.invalid"), answer.text
    assert [e["path"] for e in answer.json()["errors"]] == [path]


def test_a_reason_is_bounded(server):
    answer = server.client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers={"X-Reason": "x" * 501})
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, "X-Reason")
