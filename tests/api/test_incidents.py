"""Incidents through the API: the dearest first, found by what they are about, with their evidence, and left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from onhand.flows.incidents.scene import Detector, Seen
from onhand.flows.incidents.watch import Watch
from onhand.incidents.model import Finding, Kind, Subject

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def found(kind, what, *key, loss=100, causes=()):
    subject = Subject(what, key)
    return Finding(
        kind=kind, subject=subject, numbers={"hours": 30.5, "orders": 3}, sentence=f"{subject} is not well",
        loss_minor=loss, confidence=0.8, since=NOW - timedelta(hours=3), causes=(subject, *causes),
    )  # fmt: skip


EUR = [
    found(Kind.ORDER_STUCK, "order", "4711", loss=500, causes=(Subject("node", ("berlin",)),)),
    found(Kind.CHANNEL_SILENT, "channel", "web", loss=90_000),
    found(Kind.PHANTOM_STOCK, "item_node", "MUG", "berlin", loss=700),
]
PLN = [found(Kind.CHANNEL_SILENT, "channel", "pl", loss=10_000_000)]


@pytest.fixture
def told(server):
    """Incidents of four kinds of things; all but those about `gone` last."""
    kinds = frozenset(Kind)
    says = [[*EUR, found(Kind.OVERSELL, "item", "gone")]]
    detector = Detector(
        name="made", kinds=kinds, every=timedelta(minutes=1), look=lambda _: Seen(findings={"EUR": says[0], "PLN": PLN})
    )
    at = [NOW]
    watch = Watch(server.app.db, now=lambda: at[0], detectors=(detector,))
    watch.look(is_due=True)
    says[0] = EUR
    at[0] += timedelta(hours=7)
    watch.look(is_due=True)
    return server


def listed(server, query=""):
    answer = server.client.get(f"/v1/incidents{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def names(rows):
    return ["/".join(row["cause"]["key"]) for row in rows]


def test_incidents_stand_in_the_order_of_money_at_risk_each_currency_apart(told):
    rows = listed(told)
    assert names(rows) == ["web", "MUG/berlin", "4711", "pl"], "złoty are no euros"
    assert rows[0] == {
        "incident_id": rows[0]["incident_id"], "kind": "channel_silent", "cause": {"what": "channel", "key": ["web"]},
        "status": "open", "loss_minor": 90_000, "risk_minor": 72_000, "currency": "EUR", "confidence": 0.8,
        "findings": 1, "since": "2026-03-01T09:00:00Z", "opened_at": "2026-03-01T12:00:00Z",
        "seen_at": "2026-03-01T19:00:00Z", "closed_at": None, "merged_in": None, "dismissed_at": None, "by": None,
        "reason": None,
    }  # fmt: skip
    found, query = [], "?limit=1"
    while query:
        page = told.client.get(f"/v1/incidents{query}").json()
        found += page["data"]
        query = page["next_cursor"] and f"?limit=1&cursor={page['next_cursor']}"
    assert found == rows


def test_they_are_found_by_what_they_are_and_when_they_stood(told):
    for query, expected in (
        ("?status=closed", ["gone"]), ("?status=all&kind=oversell", ["gone"]), ("?status=dismissed", []),
        ("?kind=phantom_stock", ["MUG/berlin"]), ("?currency=PLN", ["pl"]), ("?what=channel", ["web", "pl"]),
        ("?about=MUG", ["MUG/berlin"]), ("?about=4711&what=order", ["4711"]), ("?about=nobody", []),
        ("?status=all&from=2026-03-02T00:00:00Z", ["web", "MUG/berlin", "4711", "pl"]),
        ("?status=all&to=2026-03-01T12:00:00Z", []),
        ("?status=all&from=2026-03-01T13:00:00Z&kind=oversell", ["gone"]),
    ):  # fmt: skip
        assert names(listed(told, query)) == expected, query


def test_one_with_its_evidence(told):
    (row,) = listed(told, "?kind=order_stuck")
    shown = told.client.get(f"/v1/incidents/{row['incident_id']}").json()
    # No playbook has run: nothing was booked, and nobody knows what was saved.
    money = {"booked_minor": 0, "booked": [], "orders": 0} | dict.fromkeys(
        ("acted", "held_out", "saved_minor", "next_judged_at", "failures_minor")
    )
    assert shown == row | {"evidence": shown["evidence"], "money": money}
    assert shown["evidence"] == [
        {
            "subject": {"what": "order", "key": ["4711"]}, "sentence": "order 4711 is not well",
            "numbers": {"hours": 30.5, "orders": 3}, "loss_minor": 500, "risk_minor": 400, "confidence": 0.8,
            "since": "2026-03-01T09:00:00Z",
            "causes": [{"what": "order", "key": ["4711"]}, {"what": "node", "key": ["berlin"]}],
        }
    ]  # fmt: skip


def test_dismissing_once_and_again_and_what_is_over(told):
    (row,) = listed(told, "?kind=order_stuck")
    path = f"/v1/incidents/{row['incident_id']}/dismiss"
    answer = told.client.post(path, json={"reason": "the customer collects it"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["reason"]) == ("dismissed", "the customer collects it")
    assert told.client.post(path).json()["reason"] == "the customer collects it"
    assert "4711" not in names(listed(told))
    (gone,) = listed(told, "?status=closed")
    answer = told.client.post(f"/v1/incidents/{gone['incident_id']}/dismiss")
    assert (answer.status_code, answer.json()["code"]) == (409, "incident.closed")
    nobody = "019cae2a-8c30-7000-9b1e-2f6d7a80c916"
    for answer in (told.client.get(f"/v1/incidents/{nobody}"), told.client.post(f"/v1/incidents/{nobody}/dismiss")):
        assert (answer.status_code, answer.json()["code"]) == (404, "incident.not_found")
    with told.app.db.connection() as conn:
        kinds = "SELECT kind FROM event WHERE subject = %s ORDER BY xid, pos"
        told_of = [kind for (kind,) in conn.execute(kinds, (row["incident_id"],))]
    assert told_of == ["incident.opened", "incident.dismissed"]


def test_who_only_reads_dismisses_nothing(told):
    key = told.client.post("/v1/keys", json={"name": "till", "scopes": ["read"]}).json()["key"]
    (row,) = listed(told, "?kind=order_stuck")
    with told.as_key(key) as till:
        assert till.get("/v1/incidents").status_code == 200
        assert till.post(f"/v1/incidents/{row['incident_id']}/dismiss").status_code == 403


def test_bad_filters_are_named(server):
    for query, path in (
        ("status=gone", "status"), ("kind=flood", "kind"), ("from=yesterday", "from"), ("currency=euro", "currency"),
        ("about=", "about"), ("node=berlin", "node"),
    ):  # fmt: skip
        answer = server.client.get(f"/v1/incidents?{query}")
        assert answer.status_code == 422
        assert [error["path"] for error in answer.json()["errors"]] == [path]
