"""Carriers' messages: known by their signature on the bytes as they came, kept once, read by a map, followed."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from tests.flows.tracked import one, shown

from onhand.base.actor import Actor
from onhand.base.sealing import Seal
from onhand.errors import InvalidInput, NotFound
from onhand.flows.receive import NotSigned
from onhand.flows.tracking.carriers import get_feed, read_messages, receive, set_feed
from onhand.flows.tracking.settle import deliver_scanned
from onhand.fulfilment.tracking.messages import CarrierTrackingIn, Unreadable, read_message

BY = Actor(key_id=7)
SECRET, URL = "agreed upon", "https://shop.example/v1/carriers/dhl/inbound"
NOW = datetime.now(UTC)
FEED = {
    "verify": {"scheme": "hmac", "header": "X-Signature"},
    "secret": SECRET,
    "records": "shipments",
    "each": "events",
    "map": {
        "tracking": "parent.number",
        "milestone": {"path": "child.status", "table": {"PU": "handed_over", "AR": "at_hub", "OK": "delivered"}},
        "at": "moment(child.time)",
        "code": "child.status",
        "text": "child.description",
        "place_name": "child.city",
    },
}
SEAL = Seal(["a key of the operator"])


def event(status, hours, **more):
    return {"status": status, "time": NOW.timestamp() - 86_400 + 3_600 * hours, **more}


def message(*events, number="JD1"):
    return json.dumps({"shipments": [{"number": number, "events": list(events)}]}).encode()


def send(merchant, body, *, secret=SECRET, code="dhl", headers=None):
    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    receive(
        merchant.db, SEAL, code, {"x-signature": signed} if headers is None else headers, body, url=URL, now=NOW
    )  # fmt: skip


def messages(merchant):
    return merchant.rows("SELECT status, scans, skipped, error, body IS NULL FROM carrier_message ORDER BY message_id")


@pytest.fixture
def feed(merchant):
    set_feed(merchant.db, SEAL, "dhl", CarrierTrackingIn.model_validate(FEED), by=BY)
    return merchant


def test_a_message_is_kept_then_read_then_followed(feed):
    order = one(feed, "JD1", 1.5)
    body = message(
        event("PU", 1), event("XX", 2), event("AR", 3, city="Leipzig", description="in the centre"), event("OK", 5)
    )
    send(feed, body)
    assert messages(feed) == [("due", None, None, None, False)] and shown(feed, order)["events"] == []
    assert read_messages(feed.db, NOW) == 1
    assert messages(feed) == [("done", 3, 1, None, True)]
    deliver_scanned(feed.state)
    row = shown(feed, order)
    assert [(e["milestone"], e["code"], e["text"], e["source"]) for e in row["events"]] == [
        ("handed_over", "PU", None, "webhook"), ("at_hub", "AR", "in the centre", "webhook"),
        ("delivered", "OK", None, "webhook"),
    ]  # fmt: skip
    assert row["events"][1]["place"] == {"name": "Leipzig"} and row["status"] == "delivered"
    assert feed.status(order)[0] == "delivered"


def test_a_repeat_takes_effect_once_whether_or_not_it_was_read(feed):
    order = one(feed, "JD1", 1.5)
    body = message(event("AR", 3))
    send(feed, body)
    send(feed, body)
    assert read_messages(feed.db, NOW) == 1
    send(feed, body)
    # The same scan in another message.
    send(feed, message(event("AR", 3), event("XX", 4)))
    assert read_messages(feed.db, NOW) == 1
    assert len(shown(feed, order)["events"]) == 1


@pytest.mark.parametrize("headers", [{}, {"x-signature": "00"}, {"x-signature": ""}])
def test_what_the_carrier_has_not_signed_is_refused(feed, headers):
    with pytest.raises(NotSigned):
        send(feed, message(event("OK", 1)), headers=headers)
    with pytest.raises(NotSigned):
        send(feed, message(event("OK", 1)), secret="of somebody else")
    body = message(event("OK", 1))
    signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    with pytest.raises(NotSigned):
        send(feed, body + b" ", headers={"x-signature": signed})
    assert messages(feed) == []


def test_a_carrier_without_a_feed_takes_none(merchant):
    for code in ("dhl", "nobody"):
        with pytest.raises(NotFound):
            send(merchant, b"{}", code=code)
    with pytest.raises(NotFound):
        set_feed(merchant.db, SEAL, "nobody", CarrierTrackingIn.model_validate(FEED), by=BY)
    with pytest.raises(InvalidInput, match="required"):
        set_feed(merchant.db, SEAL, "dhl", CarrierTrackingIn.model_validate(FEED | {"secret": None}), by=BY)


def test_the_secret_is_sealed_kept_and_never_shown(feed):
    ((secret,),) = feed.rows("SELECT secret FROM carrier")
    assert SECRET not in secret and SEAL.open(secret) == SECRET
    set_feed(feed.db, SEAL, "dhl", CarrierTrackingIn.model_validate(FEED | {"secret": None}), by=BY)
    send(feed, message(event("AR", 3)))
    assert "secret" not in get_feed(feed.db, "dhl") and SECRET not in json.dumps(get_feed(feed.db, "dhl"))
    assert SECRET not in str(feed.rows("SELECT data FROM event WHERE kind = 'carrier.tracking_changed'"))


def test_what_cannot_be_read_is_parked_and_read_again_by_a_better_map(feed):
    order = one(feed, "JD1", 1.5)
    send(feed, b"not json")
    send(
        feed,
        json.dumps(
            {"shipments": [{"number": "JD1", "events": [{"status": "AR", "when": "2026-01-01T00:00:00Z"}]}]}
        ).encode(),
    )
    assert read_messages(feed.db, NOW) == 2
    (bad, other) = messages(feed)
    assert bad[0] == "parked" and "not JSON" in bad[3]
    assert other[0] == "parked" and "1 of 1" in other[3] and '"at"' in other[3]
    assert read_messages(feed.db, NOW) == 0
    better = FEED | {"map": FEED["map"] | {"at": "moment(child.when)"}, "secret": None}
    set_feed(feed.db, SEAL, "dhl", CarrierTrackingIn.model_validate(better), by=BY)
    assert read_messages(feed.db, NOW) == 2
    assert [m[0] for m in messages(feed)] == ["parked", "done"]
    assert [e["milestone"] for e in shown(feed, order)["events"]] == []
    assert feed.rows("SELECT milestone FROM tracking_event") == [("at_hub",)], (
        "too old to be of this shipment: it waits"
    )


def test_one_bad_scan_holds_up_no_other(feed):
    order = one(feed, "JD1", 1.5)
    send(feed, message(event("AR", 3), {"status": "OK"}))
    read_messages(feed.db, NOW)
    ((status, scans, _, error, _),) = messages(feed)
    assert (status, scans) == ("done", 1) and "1 of 2" in error
    assert [e["milestone"] for e in shown(feed, order)["events"]] == ["at_hub"]


def test_a_message_may_have_a_name_of_its_own(merchant):
    named = CarrierTrackingIn.model_validate(FEED | {"dedupe_header": "X-Id"})
    set_feed(merchant.db, SEAL, "dhl", named, by=BY)

    def send_named(body, name):
        signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        send(merchant, body, headers={"x-signature": signed, "x-id": name})

    send_named(message(event("AR", 3)), "1")
    send_named(message(event("OK", 4)), "1")
    send_named(message(event("OK", 4)), "2")
    assert len(messages(merchant)) == 2


def test_a_document_that_cannot_work_is_refused_with_where_it_is_wrong():
    for change in (
        {"records": "a[["}, {"map": FEED["map"] | {"at": "shout(x)"}}, {"secret": "short"},
        {"verify": {"scheme": "hmac", "header": "X-S", "over": "timestamp_body"}},
        {"map": FEED["map"] | {"milestone": {"path": "x", "table": {"A": "lost"}}}},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            CarrierTrackingIn.model_validate(FEED | change)


@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b'{"shipments": [{"events": 3}]}', b"[" * 100_000])
def test_any_bytes_are_read_or_said_to_be_unreadable(body):
    with pytest.raises(Unreadable):
        read_message(CarrierTrackingIn.model_validate(FEED), "dhl", body)


@pytest.mark.parametrize("body", [b"{}", b"null", b"3", b'{"shipments": []}', b'{"shipments": [{}]}'])
def test_a_message_without_scans_has_none(body):
    assert read_message(CarrierTrackingIn.model_validate(FEED), "dhl", body).rows == []


def test_a_webhook_of_karrio_is_known_by_its_secret_and_followed(merchant):
    feed = {
        "verify": {"scheme": "shared", "header": "X-Event-Id"}, "secret": "whsec of karrio",
        "karrio": {"carrier_name": "dhl_universal", "zone": "UTC"},
    }  # fmt: skip
    set_feed(merchant.db, SEAL, "dhl", CarrierTrackingIn.model_validate(feed), by=BY)
    order = one(merchant, "JD1", 1.5)
    came = datetime.fromtimestamp(NOW.timestamp() - 3_600, UTC)
    scan = {"date": f"{came:%Y-%m-%d}", "time": f"{came:%H:%M %p}", "status": "delivered", "code": "OK"}
    tracker = {"carrier_name": "dhl_universal", "tracking_number": "JD1", "status": "delivered", "events": [scan]}
    body = json.dumps({"event": "tracker_updated", "data": tracker}).encode()
    with pytest.raises(NotSigned):
        send(merchant, body, headers={"x-event-id": "another"})
    send(merchant, body, headers={"x-event-id": "whsec of karrio"})
    send(merchant, b'{"event": "shipment_purchased", "data": {}}', headers={"x-event-id": "whsec of karrio"})
    assert read_messages(merchant.db, NOW) == 2
    assert [row[:3] for row in messages(merchant)] == [("done", 1, 0), ("done", 0, 0)]
    deliver_scanned(merchant.state)
    assert shown(merchant, order)["status"] == "delivered"
    assert get_feed(merchant.db, "dhl")["karrio"] == feed["karrio"] and "secret" not in get_feed(merchant.db, "dhl")
