"""Who changed what, when and why."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.batches import begin_orders, told

from onhand.api.paging import encode_cursor
from onhand.base.actor import SYSTEM
from onhand.db import outbox


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


@pytest.fixture
def begun(made):
    """Three batches of orders, the second by actor 99 and held; their ids by name, oldest first."""
    ids = {}
    for names, more in (("ab", {}), ("cdefg", {"actor": 99, "status": "held", "reason": "by post"}), ("h", {})):
        new = made.app.db.transact(lambda conn, names=names, more=more: begin_orders(conn, list(names), **more))
        ids |= dict(zip(names, new, strict=True))
    return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
def test_pages_cut_batches_anywhere(made, begun, limit):
    seen, cursor = [], None
    while True:
        page = audit(made, limit=limit, **({"cursor": cursor} if cursor else {}))
        assert len(page["data"]) == min(limit, 12 - len(seen))
        seen += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [e["subject"] for e in seen[:8]] == list(begun.values())[::-1]
    assert [e["data"]["name"] for e in seen[8:]] == ["c", "b", "a", "admin"]
    assert len({e["id"] for e in seen}) == 12


def test_an_order_is_found_among_those_it_began_with(made, begun):
    for name, order_id in begun.items():
        (entry,) = audit(made, subject=order_id)["data"]
        held = name in "cdefg"
        assert entry["subject"] == order_id
        assert entry["data"] == told(order_id, name, "held" if held else "sourced")
        assert (entry["kind"], entry["actor"], entry["reason"]) == (
            ("order.held", 99, "by post") if held else ("order.sourced", 0, None)
        )
    for nobody in ("", "web", "00000000-0000-7000-8000-000000000000", begun["d"].upper(), begun["d"] + "-f1"):
        assert audit(made, subject=nobody)["data"] == []
    assert audit(made, subject=begun["d"], kind="order.sourced")["data"] == []
    assert len(audit(made, subject=begun["d"], kind="order.*", actor=99)["data"]) == 1


def test_later_events_of_an_order_stand_before_its_beginning(made, begun):
    def cancel(conn):
        outbox.write_event(conn, "order.cancelled", begun["d"], {}, actor=SYSTEM, origin=1)

    made.app.db.transact(cancel)
    assert [e["kind"] for e in audit(made, subject=begun["d"])["data"]] == ["order.cancelled", "order.held"]
    first = audit(made, subject=begun["d"], limit=1)
    assert [e["kind"] for e in first["data"]] == ["order.cancelled"]
    last = audit(made, subject=begun["d"], limit=1, cursor=first["next_cursor"])
    assert ([e["kind"] for e in last["data"]], last["next_cursor"]) == (["order.held"], None)


def test_filters_reach_the_orders_of_a_batch(made, begun):
    def names(**params):
        return "".join(e["data"].get("external_id", "-") for e in audit(made, **params)["data"])

    assert names(kind="order.held") == "gfedc"
    assert names(kind="order.*") == "hgfedcba"
    assert names(actor=99) == "gfedc"
    assert names(actor=0, kind="order.*") == "hba"
    at = audit(made, subject=begun["c"])["data"][0]["at"]
    assert names(**{"from": at}) == "hgfedc"
    assert names(to=at, kind="order.*") == "ba"
    page = audit(made, actor=99, limit=2)
    assert names(actor=99, limit=2, cursor=page["next_cursor"]) == "ed"


def test_a_place_beyond_all_is_an_empty_page_or_all(made, begun):
    everything = [e["id"] for e in audit(made)["data"]]
    assert [e["id"] for e in audit(made, cursor=encode_cursor("audit", (2**63 - 1, 2**63 - 1)))["data"]] == everything
    assert audit(made, cursor=encode_cursor("audit", (0, 0)))["data"] == []


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
