"""Ask carriers by karrio where parcels are, where karrio is installed: `pip install karrio karrio-CARRIER`.

It is no dependency and no extra: its wheels put packages named `tests` and `docs` beside every other one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final
from zoneinfo import ZoneInfo

from onhand.base.actor import Actor
from onhand.db import Database
from onhand.errors import SettingsError
from onhand.flows.tracking.record import record_tracking
from onhand.fulfilment.tracking.karrio import scans_of
from onhand.fulfilment.tracking.store import DAYS_BEFORE, list_shipments

Answer = tuple[Sequence[Mapping[str, Any]], Sequence[str]]
Ask = Callable[[Sequence[str]], Answer]
"""Tracking numbers to (TrackingDetails as JSON, what the carrier had to say against the others)"""

# karrio asks for those of a request side by side.
_AT_ONCE: Final = 20
_SHIPMENTS_MAX: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """numbers: asked for; created: scans that were new; unchanged: known; rejected: that could not be used; skipped:
    events that are no scans; complaints: of the carrier, and of rows that were rejected, each once."""

    numbers: int = 0
    created: int = 0
    unchanged: int = 0
    rejected: int = 0
    skipped: int = 0
    complaints: tuple[str, ...] = ()


def by_karrio(name: str, settings: Mapping[str, Any]) -> Ask:
    """Who asks the carrier that karrio calls `name`, with its credentials. Raises SettingsError: karrio is not
    installed, does not have this carrier, or its credentials are not whole."""
    package = f"karrio-{name.replace('_', '-')}"
    try:
        # Its types are partial, and it need not be there.
        karrio: Any = import_module("karrio.sdk")
        lib: Any = import_module("karrio.lib")
    except ImportError as error:
        raise SettingsError(f"karrio is not installed: pip install karrio {package} ({error})") from None
    refused: type[Exception] = import_module("karrio.core.errors").ShippingSDKError
    try:
        carrier = karrio.gateway[name]
    except refused:
        raise SettingsError(f"karrio does not know the carrier {name!r}: pip install {package}") from None
    try:
        gateway = carrier.create(dict(settings))
    except refused as error:
        raise SettingsError(f"settings of {name}: {error.__cause__ or error}") from None

    def ask(numbers: Sequence[str]) -> Answer:
        details, messages = karrio.Tracking.fetch({"tracking_numbers": list(numbers)}).from_(gateway).parse()
        # Where nobody answers there are no details at all.
        return [lib.to_dict(one) for one in details or ()], [_complaint(lib.to_dict(one)) for one in messages or ()]

    return ask


def follow(db: Database, ask: Ask, carrier: str, zone: ZoneInfo, *, now: datetime, by: Actor) -> Followed:
    """Ask for every parcel of a carrier that is on its way, and record what is told. May be repeated at will.

    carrier  as our shipments have it
    zone     in which the carrier tells its times
    """
    with db.connection() as conn:
        open_ones = list_shipments(conn, limit=_SHIPMENTS_MAX, carrier=carrier, is_open=True)
    since = now - timedelta(days=DAYS_BEFORE)
    numbers = list(dict.fromkeys(s.tracking for s in open_ones if s.tracking is not None and s.shipped_at >= since))
    done = Followed(numbers=len(numbers))
    for begin in range(0, len(numbers), _AT_ONCE):
        done = _follow_some(db, ask, numbers[begin : begin + _AT_ONCE], carrier, zone, now, by, done)
    return replace(done, complaints=tuple(dict.fromkeys(done.complaints)))


def _follow_some(
    db: Database, ask: Ask, numbers: Sequence[str], carrier: str, zone: ZoneInfo, now: datetime, by: Actor,
    done: Followed,
) -> Followed:  # fmt: skip
    details, complaints = ask(numbers)
    read = [scans_of(one, carrier, zone) for one in details]
    told = record_tracking(db, [row for rows, _ in read for row in rows], source="import", now=now, by=by)
    count = {status: sum(t.status == status for t in told) for status in ("created", "unchanged", "rejected")}
    wrong = [f"{error.path}: {error.message}" for t in told for error in t.errors]
    return replace(
        done, created=done.created + count["created"], unchanged=done.unchanged + count["unchanged"],
        rejected=done.rejected + count["rejected"], skipped=done.skipped + sum(skipped for _, skipped in read),
        complaints=(*done.complaints, *complaints, *wrong),
    )  # fmt: skip


def _complaint(message: Mapping[str, Any]) -> str:
    code = f"{message['code']}: " if message.get("code") else ""
    return f"{code}{message.get('message') or 'the carrier gave no reason'}"[:300]
