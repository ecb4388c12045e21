"""Scans of parcels as callers tell them, and as they are kept."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self, get_args

import msgspec
from pydantic import ConfigDict, Field, model_validator

from onhand.base.fields import Code, Country, Moment, ShortText, Strict

Milestone = Literal[
    "handed_over", "in_transit", "at_hub", "out_for_delivery", "failed_attempt", "exception", "returned", "delivered"
]
MILESTONES: Final[tuple[Milestone, ...]] = get_args(Milestone)

# Clocks of carriers go wrong by minutes, and time zones by hours; what lies further ahead has not happened.
AHEAD_MAX: Final = timedelta(hours=14)


class PlaceIn(Strict):
    """Where a parcel was scanned, as far as it is known."""

    name: Annotated[ShortText | None, Field(description="of the hub or town")] = None
    country: Country | None = None
    region: ShortText | None = None
    postal_code: ShortText | None = None
    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None


class TrackingRow(Strict):
    """One scan, of a shipment or of a carrier's tracking number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "carrier": "dhl", "tracking": "JD014600", "milestone": "at_hub", "at": "2026-03-03T04:12:00Z",
                    "place": {"name": "Leipzig", "country": "DE"}, "code": "PCK", "text": "Processed in the centre",
                }
            ]
        }
    )  # fmt: skip

    shipment_id: Annotated[ShortText | None, Field(min_length=1, description="or carrier and tracking")] = None
    carrier: Code | None = None
    tracking: Annotated[ShortText | None, Field(min_length=1)] = None
    milestone: Milestone
    at: Annotated[Moment, Field(description="when it was scanned")]
    place: PlaceIn | None = None
    code: Annotated[ShortText | None, Field(description="of the carrier, as it is")] = None
    text: Annotated[ShortText | None, Field(description="of the carrier; no names of people")] = None
    event_id: Annotated[
        ShortText | None, Field(min_length=1, description="by which the carrier knows the scan; without it a repeat is "
                                "the same milestone of the same parcel, moment, code and place")
    ] = None  # fmt: skip

    @model_validator(mode="after")
    def _is_of_something(self) -> Self:
        by_number = self.carrier is not None and self.tracking is not None
        if self.shipment_id is None and not by_number:
            raise ValueError("expected shipment_id, or carrier and tracking")
        if self.shipment_id is not None and (self.carrier is not None or self.tracking is not None):
            raise ValueError("expected either shipment_id, or carrier and tracking: not both")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A scan as it is kept. order_id, shipment_no: of the shipment, None while none is known by the number."""

    order_id: str | None
    shipment_no: int | None
    carrier: str | None
    tracking: str | None
    milestone: Milestone
    at: datetime
    place: dict[str, Any] | None
    code: str | None
    text: str | None
    dedupe: bytes


def scan_of(row: TrackingRow, shipment: tuple[str, int] | None, number: tuple[str | None, str | None]) -> Scan:
    """A row of a shipment, None: of none that is known; number: (carrier, tracking) that stands for the parcel."""
    place = None if row.place is None else row.place.model_dump(mode="json", exclude_none=True)
    order_id, shipment_no = shipment or (None, None)
    carrier, tracking = number
    return Scan(
        order_id=order_id, shipment_no=shipment_no, carrier=carrier, tracking=tracking, milestone=row.milestone,
        at=row.at, place=place or None, code=row.code, text=row.text,
        dedupe=_dedupe(row, (carrier, tracking) if tracking is not None else (order_id, shipment_no), place or None),
    )  # fmt: skip


def _dedupe(row: TrackingRow, parcel: tuple[object, object], place: dict[str, Any] | None) -> bytes:
    said = (row.event_id,) if row.event_id is not None else (row.milestone, row.at, row.code, place)
    # Who asks by tracking number and who asks by shipment mean the same parcel.
    return hashlib.sha256(msgspec.json.encode([*parcel, *said], order="sorted")).digest()[:16]
