"""How a carrier's messages are known to be its own, and how scans are read from them. Pure.

What a carrier sends is read by a map in JMESPath with the functions of connectors/_sdk/mapping.py, and known by its
signature, which is checked on the bytes as they came.
"""

import hashlib
import json
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from onhand.base.fields import Strict, TimeZone
from onhand.connectors._sdk import mapping
from onhand.connectors._sdk.vocabulary import HmacIn, SharedIn, StandardIn
from onhand.fulfilment.tracking import karrio
from onhand.fulfilment.tracking.model import Milestone

SCANS_MAX = 5_000
_BLANK = "{secret}"

Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]


def _path(text: str) -> str:
    mapping.path(text)
    return text


Path = Annotated[str, Field(min_length=1, max_length=2_000, description="JMESPath"), AfterValidator(_path)]


class HmacBy(Strict):
    """A digest of the body, as it came, in a header. timestamp_body: of a timestamp, a point and the body."""

    scheme: Literal["hmac"]
    digest: Literal["sha256", "sha1"] = "sha256"
    encoding: Literal["base64", "hex"] = "hex"
    over: Literal["body", "timestamp_body"] = "body"
    header: Header
    prefix: Annotated[str, Field(max_length=100)] = ""
    timestamp_header: Header | None = None
    tolerance_s: Annotated[int, Field(ge=1, le=86_400)] = 300

    @model_validator(mode="after")
    def _has_timestamp(self) -> "HmacBy":
        if (self.over == "timestamp_body") != (self.timestamp_header is not None):
            raise ValueError('expected timestamp_header with over "timestamp_body", and only then')
        return self


class StandardBy(Strict):
    """Standard Webhooks (standardwebhooks.com)."""

    scheme: Literal["standard_webhooks"]


class SharedBy(Strict):
    """The secret itself in a header."""

    scheme: Literal["shared"]
    header: Header


class MilestoneFrom(Strict):
    """Where the carrier's own code stands, and what its codes mean. Codes that are not in the table are skipped, unless
    there is a default."""

    path: Path
    table: Annotated[dict[str, Milestone], Field(min_length=1, max_length=1_000)]
    default: Milestone | None = None


class ScanMap(Strict):
    """Where in a record what stands."""

    tracking: Path
    milestone: MilestoneFrom
    at: Annotated[Path, Field(description="such as moment(occurred_at), or moment_in(time, 'Europe/Berlin')")]
    code: Path | None = None
    text: Path | None = None
    event_id: Path | None = None
    place_name: Path | None = None
    place_country: Path | None = None
    place_postal_code: Path | None = None


class KarrioBy(Strict):
    """Webhooks of karrio's server, `tracker_created` and `tracker_updated`; of its others nothing is read. karrio sends
    the secret of the webhook itself, in the header X-Event-Id."""

    carrier_name: Annotated[
        str | None,
        Field(min_length=1, max_length=100, description="as karrio has it, such as dhl_universal; null: all it sends"),
    ] = None
    zone: Annotated[TimeZone, Field(description="in which the carrier tells its times: karrio drops it")]


class CarrierTrackingIn(Strict):
    """How the messages of a carrier are known and read: by a map, or as karrio's."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "verify": {"scheme": "hmac", "header": "X-Signature", "encoding": "hex"},
                    "secret": "what you and the carrier agreed on",
                    "records": "shipments[].{number: number, events: events}",
                    "each": "events",
                    "map": {
                        "tracking": "parent.number",
                        "milestone": {
                            "path": "child.status",
                            "table": {"PU": "handed_over", "AR": "at_hub", "OD": "out_for_delivery", "OK": "delivered"},
                        },
                        "at": "moment(child.time)",
                        "code": "child.status",
                        "text": "child.description",
                        "place_name": "child.city",
                    },
                }
            ]
        }
    )

    verify: Annotated[HmacBy | StandardBy | SharedBy, Field(discriminator="scheme")]
    secret: Annotated[
        str | None, Field(min_length=8, max_length=500, description="never shown; null: stays as it is")
    ] = None
    records: Annotated[Path, Field(description="the records of a message: a list, or one")] = "@"
    each: Annotated[Path | None, Field(description="the list of scans in a record; then maps read {parent, child}")] = (
        None
    )
    map: ScanMap | None = None
    karrio: Annotated[KarrioBy | None, Field(description="instead of a map")] = None
    dedupe_header: Annotated[Header | None, Field(description="that names a message; null: by what it says")] = None

    @model_validator(mode="after")
    def _is_read_one_way(self) -> "CarrierTrackingIn":
        if (self.map is None) == (self.karrio is None):
            raise ValueError("expected either map or karrio")
        if self.karrio is not None and (self.each is not None or self.records != "@"):
            raise ValueError("expected neither records nor each with karrio: its form is known")
        return self

    def document(self) -> dict[str, Any]:
        """What is stored, without the secret."""
        return self.model_dump(mode="json", exclude={"secret"}, exclude_none=True)


class Unreadable(Exception):
    """A message that is not what the map expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Rows of scans as `TrackingRow` takes them; how many were skipped, for their codes mean nothing to us."""

    rows: list[dict[str, Any]]
    skipped: int


def signature_of(feed: CarrierTrackingIn) -> HmacIn | StandardIn | SharedIn:
    """The signature of a feed, as the check of connectors knows it."""
    by = feed.verify
    if isinstance(by, StandardBy):
        return StandardIn(scheme="standard_webhooks", secret=_BLANK)
    if isinstance(by, SharedBy):
        return SharedIn(scheme="shared", header=by.header, secret=_BLANK)
    return HmacIn(**by.model_dump(), secret=_BLANK)


def name_of(feed: CarrierTrackingIn, headers: Mapping[str, str], body: bytes) -> str:
    """What is the same for a repeat of a message; headers: by names in small letters."""
    named = headers.get(feed.dedupe_header.lower(), "") if feed.dedupe_header is not None else ""
    return f"header:{named}"[:300] if named else hashlib.sha256(body).hexdigest()


def read_message(feed: CarrierTrackingIn, carrier: str, body: bytes) -> Read:
    """The scans that a message tells of. Raises Unreadable."""
    try:
        said = json.loads(body)
        if feed.karrio is not None:
            return _read_karrio(feed.karrio, carrier, said)
        assert feed.map is not None, "one of them is there"
        found = mapping.path(feed.records)(said)
        records = cast("list[Any]", found) if isinstance(found, list) else [] if found is None else [found]
        if feed.each is not None:
            children = mapping.path(feed.each)
            records = [{"parent": of, "child": child} for of in records for child in _list(children(of), feed.each)]
        _check_length(records)
        rows = [_row(feed.map, carrier, record) for record in records]
    except (ValueError, OverflowError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}"[:300]) from None
    except mapping.Unmappable as error:
        raise Unreadable(str(error)[:300]) from None
    kept = [row for row in rows if row is not None]
    return Read(rows=kept, skipped=len(rows) - len(kept))


def _read_karrio(by: KarrioBy, carrier: str, said: Any) -> Read:
    try:
        found = karrio.details_in(said, by.carrier_name)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    read = [karrio.scans_of(details, carrier, ZoneInfo(by.zone)) for details in found]
    rows = [row for rows, _ in read for row in rows]
    _check_length(rows)
    return Read(rows=rows, skipped=sum(skipped for _, skipped in read))


def _check_length(scans: Sized) -> None:
    if len(scans) > SCANS_MAX:
        raise Unreadable(f"{len(scans):,} scans: expected at most {SCANS_MAX:,} in a message")


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise mapping.Unmappable(f"{where}: expected a list")
    return cast("list[Any]", value)


def _row(by: ScanMap, carrier: str, record: Any) -> dict[str, Any] | None:
    said = _text(mapping.path(by.milestone.path)(record))
    milestone = by.milestone.table.get(said or "", by.milestone.default)
    if milestone is None:
        return None

    def of(path: str | None) -> str | None:
        return None if path is None else _text(mapping.path(path)(record))

    place = {"name": of(by.place_name), "country": of(by.place_country), "postal_code": of(by.place_postal_code)}
    place = {name: value for name, value in place.items() if value}
    return {
        "carrier": carrier, "tracking": of(by.tracking), "milestone": milestone, "at": of(by.at), "code": of(by.code),
        "text": of(by.text), "event_id": of(by.event_id) or None, "place": place or None,
    }  # fmt: skip


def _text(value: Any) -> str | None:
    """What is too long for a text is cut: it is for people."""
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value)).strip()[:200]
