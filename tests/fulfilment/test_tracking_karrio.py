"""What karrio tells, as scans: shapes as karrio 2026.1.32 makes them of carriers' answers."""

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from onhand.flows.tracking.record import Told, read_scans
from onhand.fulfilment.tracking import messages
from onhand.fulfilment.tracking.karrio import MEANINGS, scans_of
from onhand.fulfilment.tracking.messages import CarrierTrackingIn, Unreadable, read_message
from onhand.fulfilment.tracking.model import MILESTONES

NOW = datetime(2026, 3, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ANSWERS = Path(os.environ.get("ONHAND_CONTRACTS", "../shared/contracts")) / "karrio-carriers"
MAPS = Path(__file__).parents[2] / "examples" / "tracking"

# What DHL's universal tracking comes to in karrio: from the latest back, "Z" behind the clock of the place, a 24-hour
# clock with AM and PM, a label that was made without a status.
DHL = {
    "carrier_id": "dhl_universal", "carrier_name": "dhl_universal", "tracking_number": "777", "status": "delivered",
    "delivered": True, "meta": {},
    "events": [
        {"code": "delivered", "date": "2026-03-02", "description": "Delivered", "location": "Leipzig",
         "status": "delivered", "time": "15:53 PM", "timestamp": "2026-03-02T15:53:47.000Z"},
        {"code": "transit", "date": "2026-03-02", "description": "Out", "location": "Leipzig", "status": "in_transit",
         "time": "07:05 AM", "timestamp": "2026-03-02T07:05:00.000Z"},
        {"code": "pre-transit", "date": "2026-02-28", "description": "Told", "time": "00:00 AM",
         "timestamp": "2026-02-28T00:00:00.000Z"},
    ],
}  # fmt: skip


def told(*events, **more):
    return {"tracking_number": "1", "status": "in_transit", "delivered": False, "events": list(events), **more}


def event(status=None, day=1, **more):
    return {"date": f"2026-03-{day:02}", "time": "12:00 PM", "code": f"C{day}", "status": status, **more}


def milestones(details):
    return [row["milestone"] for row in scans_of(details, "dhl", BERLIN)[0]]


def at(**times):
    rows, _ = scans_of(told({"code": "X", "status": "in_transit", **times}), "dhl", BERLIN)
    return rows[0]["at"]


def test_what_dhl_tells_is_two_scans_in_its_own_time():
    rows, skipped = scans_of(DHL, "dhl", BERLIN)
    assert [(r["carrier"], r["tracking"], r["milestone"], r["at"], r["code"], r["text"], r["place"]) for r in rows] == [
        ("dhl", "777", "delivered", "2026-03-02T14:53:47+00:00", "delivered", "Delivered", {"name": "Leipzig"}),
        ("dhl", "777", "in_transit", "2026-03-02T06:05:00+00:00", "transit", "Out", {"name": "Leipzig"}),
    ]
    assert skipped == 1
    assert [row for row in read_scans(rows, NOW) if isinstance(row, Told)] == []


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"timestamp": "2026-07-01T10:00:05.000Z"}, "2026-07-01T08:00:05+00:00"),  # a Z says nothing: summer in Berlin
        ({"timestamp": "2026-07-01T10:00:00+05:30"}, "2026-07-01T04:30:00+00:00"),  # an offset does
        ({"date": "2026-03-02", "time": "3:53 PM"}, "2026-03-02T14:53:00+00:00"),
        ({"date": "2026-03-02", "time": "15:53 PM"}, "2026-03-02T14:53:00+00:00"),
        ({"date": "2026-03-02", "time": "12:10 AM"}, "2026-03-01T23:10:00+00:00"),
        ({"date": "2026-03-02", "time": "08:01:59"}, "2026-03-02T07:01:59+00:00"),
        # Read with the wrong form: half a day off. The clock counts.
        ({"date": "2026-03-02", "time": "03:53 PM", "timestamp": "2026-03-02T03:53:00.000Z"},
         "2026-03-02T14:53:00+00:00"),
        ({"date": "2026-03-02"}, "2026-03-02T11:00:00+00:00"),  # of a day its noon
        ({"time": "08:00"}, None),
        ({"date": "yesterday", "time": "25:00"}, None),
    ],
)  # fmt: skip
def test_the_clock_is_that_of_the_carrier(times, expected):
    assert at(**times) == expected


def test_a_scan_that_tells_no_moment_is_refused_by_name():
    rows, _ = scans_of(told({"code": "X", "status": "in_transit"}), "dhl", BERLIN)
    (refused,) = read_scans(rows, NOW)
    assert isinstance(refused, Told) and [e.path for e in refused.errors] == ["at"]


def test_what_statuses_mean():
    assert set(MEANINGS.values()) <= set(MILESTONES)
    for status, milestone in MEANINGS.items():
        assert milestones(told(event(status, 2), event("in_transit", 1)))[0] == milestone
    assert milestones(told(event("pending"), event("unknown"), event("a new word"))) == []
    # At the door one may come again; a parcel that is lost does not.
    assert milestones(told(event("delivery_failed", reason="consignee_not_home"))) == ["failed_attempt"]
    assert milestones(told(event("delivery_failed", reason="carrier_parcel_lost"))) == ["exception"]
    # DHL's "unknown" is no delay.
    assert milestones(told(event("delivery_delayed", code="unknown"))) == []


def test_an_event_without_a_status_has_the_parcels_if_it_is_the_latest():
    older, latest = event(None, 1), event(None, 2)
    assert milestones(told(older, latest, status="out_for_delivery")) == ["out_for_delivery"]
    assert milestones(told(older, latest, status="delivered", delivered=True)) == ["delivered"]
    assert milestones(told(event("in_transit", 2), older, delivered=True)) == ["delivered"]
    # in_transit is what karrio guesses, of labels too.
    assert milestones(told(older, latest, status="in_transit")) == []
    assert milestones(told(event("pending", 2), status="out_for_delivery")) == []
    # One that is told as delivered stays where it is.
    assert milestones(told(event("in_transit", 3), event("delivered", 2), delivered=True)) == [
        "in_transit",
        "delivered",
    ]


def ids(details):
    return {row["event_id"] for row in scans_of(details, "dhl", BERLIN)[0]}


def test_a_scan_is_the_same_however_often_and_in_which_order_it_comes():
    shuffled = DHL["events"][:]
    random.Random(3).shuffle(shuffled)
    assert ids(DHL) == ids(DHL | {"events": shuffled}) and len(ids(DHL)) == 2
    # In another language it is still the same; at another minute it is not.
    assert ids(told(event("in_transit", description="on its way"))) == ids(
        told(event("in_transit", description="en route"))
    )
    assert ids(told(event("in_transit"))) != ids(told(event("in_transit", time="12:01 PM")))
    # What was the latest event comes to be the delivery: that is news.
    assert ids(told(event("in_transit"))) != ids(told(event("in_transit"), delivered=True))
    # A zone that is corrected moves scans, and makes none of them new.
    utc = {row["event_id"] for row in scans_of(DHL, "dhl", ZoneInfo("UTC"))[0]}
    assert utc == ids(DHL)


def test_anything_can_be_said():
    for said in ({}, {"events": None}, {"events": "x"}, {"events": [None, 3]}, {"tracking_number": 7, "events": [{}]}):
        assert scans_of(said, "dhl", BERLIN)[0] == []
    rows, _ = scans_of(
        told(event("delivered", code=12, description="x" * 500, location="", latitude=51.3)), "d", BERLIN
    )
    assert (rows[0]["code"], len(rows[0]["text"]), rows[0]["place"]) == ("12", 200, {"latitude": 51.3})


# Webhooks of its server ---------------------------------------------------------------------------

FEED = {
    "verify": {"scheme": "shared", "header": "X-Event-Id"}, "secret": "0123456789abcdef",
    "karrio": {"carrier_name": "dhl_universal", "zone": "Europe/Berlin"},
}  # fmt: skip


def read(message, feed=FEED):
    return read_message(CarrierTrackingIn.model_validate(feed), "dhl", json.dumps(message).encode())


@pytest.mark.parametrize(
    "when",
    [
        {"date": "0001-01-01", "time": "00:00"}, {"date": "9999-12-31", "time": "23:59"},
        {"timestamp": "0001-01-01T00:00:00+09:00"}, {"timestamp": "9999-12-31T23:59:59-09:00"},
    ],
)  # fmt: skip
def test_a_date_that_says_that_there_is_none_is_none(when):
    """In a zone east or west of Greenwich it would lie before the first moment there is, or after the last."""
    event = {"code": "X", "status": "in_transit", "description": "on its way"} | when
    rows, _ = scans_of(DHL | {"events": [event]}, "dhl", BERLIN)
    assert [row["at"] for row in rows] == [None] * len(rows) and rows


def test_a_webhook_of_too_many_scans_is_not_read(monkeypatch):
    monkeypatch.setattr(messages, "SCANS_MAX", 1)
    with pytest.raises(Unreadable, match="expected at most 1"):
        read({"event": "tracker_updated", "data": DHL})


def test_a_webhook_tells_the_same_scans_as_the_library():
    got = read({"event": "tracker_updated", "data": DHL | {"object_type": "tracker", "messages": []}})
    assert (got.rows, got.skipped) == scans_of(DHL, "dhl", BERLIN)
    assert read({"event": "tracker.created", "data": DHL}).rows == got.rows
    # Of other carriers and of other events nothing is read, and they are no fault.
    assert read({"event": "tracker_updated", "data": DHL | {"carrier_name": "ups"}}).rows == []
    assert read({"event": "shipment_purchased", "data": {"carrier_name": "dhl_universal"}}).rows == []
    whole = FEED | {"karrio": {"zone": "Europe/Berlin"}}
    assert len(read({"event": "tracker_updated", "data": DHL | {"carrier_name": "ups"}}, whole).rows) == 2
    for other in ([], {"event": "tracker_updated"}, {"data": DHL}):
        with pytest.raises(Unreadable, match="as karrio's server sends it"):
            read(other)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"karrio": None}, "either map or karrio"),
        (
            {"map": {"tracking": "a", "at": "b", "milestone": {"path": "c", "table": {"x": "delivered"}}}},
            "either map or",
        ),
        ({"each": "events"}, "neither records nor each"),
        ({"karrio": {"zone": "Mars/Base"}}, "IANA time zone"),
        ({"karrio": {"carrier_name": "ups"}}, "zone"),
    ],
)
def test_a_feed_is_read_one_way(changed, said):
    with pytest.raises(ValidationError, match=said):
        CarrierTrackingIn.model_validate(FEED | changed)


# The library itself -------------------------------------------------------------------------------


def test_the_library_makes_of_a_recorded_answer_what_our_own_map_does():
    pytest.importorskip("karrio.sdk", reason="NOT TESTED WITH KARRIO: pip install karrio karrio-ups, apart from onhand")
    answer = ANSWERS / "ups" / "tracking_response.json"
    if not answer.is_file():
        pytest.skip(f"NOT TESTED ON REAL ANSWERS: no {answer}, which is not redistributed")
    from onhand.flows.tracking.ask_karrio import by_karrio

    ask = by_karrio("ups", {"client_id": "x", "client_secret": "y", "account_number": "z"})
    with (
        patch("karrio.mappers.ups.proxy.lib.request", return_value=answer.read_text("utf-8")),
        patch("karrio.mappers.ups.proxy.Proxy.get_token", return_value="token"),
    ):
        details, complaints = ask(["1Z023E2X0214323462"])
    # UPS's example tells of a parcel and of an error.
    assert len(details) == 1 and complaints == ["250003: Invalid Access License number"]
    rows, _ = scans_of(details[0], "ups", ZoneInfo("America/New_York"))
    feed = CarrierTrackingIn.model_validate(json.loads((MAPS / "ups.json").read_text("utf-8")))
    ours = read_message(feed, "ups", answer.read_bytes()).rows
    key = ("tracking", "milestone", "code")
    assert [[row[k] for k in key] for row in rows] == [[row[k] for k in key] for row in ours]
    # karrio's stamp of UPS has no seconds.
    assert [row["at"][:16] for row in rows] == [row["at"][:16] for row in ours]
