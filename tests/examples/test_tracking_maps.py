"""The maps of examples/tracking read what these carriers really answer (recorded answers, read where they lie)."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from onhand.flows.tracking.record import Told, read_scans
from onhand.fulfilment.tracking.messages import CarrierTrackingIn, read_message

MAPS = Path(__file__).parents[2] / "examples" / "tracking"
ANSWERS = Path(os.environ.get("ONHAND_CONTRACTS", "../shared/contracts")) / "karrio-carriers"
NOW = datetime(2026, 3, 2, tzinfo=UTC)

CARRIERS = {
    "ups": ("tracking_response.json", 1, ["delivered"]),
    "fedex": ("tracking_response.json", 0, ["handed_over"]),
    "usps": (
        "tracking_responses.json", 2,  # the second answer is a form with "string" everywhere
        ["delivered", "out_for_delivery", "at_hub", "at_hub", "in_transit", "in_transit", "in_transit", "in_transit",
         "at_hub", "in_transit", "handed_over"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_map_reads_a_recorded_answer(carrier):
    file, skipped, milestones = CARRIERS[carrier]
    if not (ANSWERS / carrier).is_dir():
        pytest.skip(f"NOT TESTED ON REAL ANSWERS: no {ANSWERS / carrier}, which is not redistributed")
    feed = CarrierTrackingIn.model_validate(json.loads((MAPS / f"{carrier}.json").read_text("utf-8")))
    read = read_message(feed, carrier, (ANSWERS / carrier / file).read_bytes())
    rows = read_scans(read.rows, NOW)
    assert [row for row in rows if isinstance(row, Told)] == []
    assert [row.milestone for row in rows][: len(milestones)] == milestones
    # A label that was made is no scan.
    assert read.skipped == skipped
    assert all(row.tracking and row.at < NOW and row.text for row in rows)
