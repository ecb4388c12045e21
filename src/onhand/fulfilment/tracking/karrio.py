"""What karrio tells of parcels (karrio.io), as scans. Pure: nothing of karrio is needed to read what it said.

karrio has one form for what some sixty carriers answer, `TrackingDetails` with `TrackingEvent`s; its library returns it
and its server sends it in the webhooks `tracker_created` and `tracker_updated`. Both are read alike here: a scan that
comes by both ways is one.

Times: karrio writes down the date and the clock of the carrier's answer and drops the zone, and its `timestamp` has a
"Z" behind it all the same (`lib.fiso_timestamp` of 2026.1: strptime, then strftime with a literal Z). So a "Z" says
nothing here; what counts is the zone in which the carrier tells its times, which must be known.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, datetime, time, timedelta
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import msgspec

from onhand.fulfilment.tracking.model import Milestone

MEANINGS: Final[Mapping[str, Milestone]] = {
    "picked_up": "handed_over",
    "in_transit": "in_transit",
    "out_for_delivery": "out_for_delivery",
    # It lies at a shop, and its customer has to come.
    "ready_for_pickup": "at_hub",
    "delivered": "delivered",
    "delivery_failed": "failed_attempt",
    "delivery_delayed": "exception",
    "on_hold": "exception",
    "cancelled": "exception",
    "return_to_sender": "returned",
}
"""karrio's statuses. `pending` (a label was made) and `unknown` are no scans."""

# Who fails at the door may come again; for other reasons nobody was at the door.
_AT_THE_DOOR: Final = "consignee_"
# What many of karrio's connectors say where they do not know a carrier's code: of a label that was only made, too.
_GUESSED: Final = "in_transit"
_TIME: Final = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([AaPp][Mm])?$")
_TRACKER_EVENTS: Final = frozenset({"tracker_created", "tracker_updated"})
_TEXT_MAX: Final = 200


def scans_of(details: Mapping[str, Any], carrier: str, zone: ZoneInfo) -> tuple[list[dict[str, Any]], int]:
    """(rows of scans as `TrackingRow` takes them, how many events are none).

    details  TrackingDetails as JSON
    carrier  as our shipments have it
    zone     in which the carrier tells its times; an event that tells a time with an offset other than Z has its own

    An event without a status of its own is a scan only if it is the latest: then the parcel's status is of it. Where
    karrio says that a parcel was delivered, and none of its events, the latest one is that.
    """
    number = _text(details.get("tracking_number"))
    events = [cast("Mapping[str, Any]", e) for e in _list(details.get("events")) if isinstance(e, Mapping)]
    moments = [_moment(event, zone) for event in events]
    milestones: list[Milestone | None] = [_milestone(event) for event in events]
    known = [n for n, at in enumerate(moments) if at is not None]
    if known:
        # Of several at the same minute the first: they are told from the latest back.
        latest = max(known, key=lambda n: (moments[n], -n))
        status = _text(details.get("status"))
        is_delivered = details.get("delivered") is True or status == "delivered"
        if is_delivered and "delivered" not in milestones:
            milestones[latest] = "delivered"
        elif milestones[latest] is None and status not in {None, _GUESSED} and not _text(events[latest].get("status")):
            milestones[latest] = MEANINGS.get(status or "")
    rows = [
        _row(event, carrier, number, at, milestone)
        for event, at, milestone in zip(events, moments, milestones, strict=True)
        if milestone is not None
    ]
    return rows, len(events) - len(rows)


def details_in(message: Any, carrier_name: str | None = None) -> list[Mapping[str, Any]]:
    """The TrackingDetails in a webhook of karrio's server: one, or none if it tells of something else or of a carrier
    other than `carrier_name`. Raises ValueError: it is no webhook of karrio."""
    said: Mapping[str, Any] = cast("Mapping[str, Any]", message) if isinstance(message, Mapping) else {}
    event, tracker = said.get("event"), said.get("data")
    if not isinstance(event, str) or not isinstance(tracker, Mapping):
        raise ValueError("expected {event, data}, as karrio's server sends it")
    details = cast("Mapping[str, Any]", tracker)
    is_asked = carrier_name in {None, details.get("carrier_name")}
    return [details] if is_asked and event.replace(".", "_") in _TRACKER_EVENTS else []


def _milestone(event: Mapping[str, Any]) -> Milestone | None:
    status, reason = _text(event.get("status")), _text(event.get("reason"))
    if status == "delivery_delayed" and _text(event.get("code")) == "unknown":
        # DHL's own word for a scan that it cannot name is what karrio takes for a delay.
        return None
    if status == "delivery_failed" and reason and not reason.startswith(_AT_THE_DOOR):
        return "exception"
    return MEANINGS.get(status or "")


def _row(
    event: Mapping[str, Any], carrier: str, number: str | None, at: datetime | None, milestone: Milestone
) -> dict[str, Any]:
    told = [event.get(name) for name in ("date", "time", "timestamp", "code", "location")]
    # Words change with the language that is asked for; they count only where there is no code. The meaning is part of
    # it: what was the latest event of a parcel may come to be its delivery.
    told += [milestone, None if event.get("code") else event.get("description")]
    place = {
        "name": _text(event.get("location")),
        "latitude": event.get("latitude"),
        "longitude": event.get("longitude"),
    }
    place = {name: value for name, value in place.items() if value is not None}
    return {
        "carrier": carrier, "tracking": number, "milestone": milestone, "at": None if at is None else at.isoformat(),
        "code": _text(event.get("code")) or _text(event.get("reason")), "text": _text(event.get("description")),
        "event_id": "karrio:" + hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:32], "place": place or None,
    }  # fmt: skip


def _moment(event: Mapping[str, Any], zone: ZoneInfo) -> datetime | None:
    """When it was, in UTC; None: it does not say. Of a day without a time its noon."""
    stamp = _stamp(_text(event.get("timestamp")))
    if stamp is not None and stamp.utcoffset():
        return stamp.astimezone(UTC)
    day, clock = _stamp(_text(event.get("date"))), _clock(_text(event.get("time")))
    wall = None if stamp is None else stamp.replace(tzinfo=None)
    if day is not None and clock is not None:
        said = datetime.combine(day.date(), clock)
        # The stamp has seconds, where it is of the same minute; where it is not, it was read with the wrong form.
        if wall is None or not timedelta(0) <= wall - said < timedelta(minutes=1):
            wall = said
    elif wall is None and day is not None:
        wall = datetime.combine(day.date(), time(12))
    return None if wall is None else wall.replace(tzinfo=zone).astimezone(UTC)


def _stamp(said: str | None) -> datetime | None:
    try:
        stamp = None if said is None else datetime.fromisoformat(said)
    except ValueError:
        return None
    # The first year is how some say that there is no date, and what is next to either end is in no other zone.
    return None if stamp is None or not MINYEAR < stamp.year < MAXYEAR else stamp


def _clock(said: str | None) -> time | None:
    """Such as "07:53", "07:53 AM", "3:53 PM", and "15:53 PM", as karrio has it (%H:%M %p)."""
    found = _TIME.match(said or "")
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    half = (found.group(4) or "").upper()
    if half == "PM" and hour < 12:
        hour += 12
    elif half == "AM" and hour == 12:
        hour = 0
    return time(hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


def _list(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _text(value: Any) -> str | None:
    """What is too long for a text is cut: it is for people."""
    return str(value).strip()[:_TEXT_MAX] or None if value is not None else None
