"""When a customer may be written to, by the clock of where the order goes. Pure, but for the table of time zones, which
is read once from the package tzdata."""

import functools
import math
import re
from datetime import datetime, time, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

_COORDINATE = re.compile(r"([+-])(\d{2})(\d{2})(\d{2})?([+-])(\d{3})(\d{2})(\d{2})?")


@functools.cache
def _zones() -> dict[str, list[tuple[float, float, str]]]:
    """Country -> (latitude, longitude, name) of its time zones' principal places."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    text = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        country, place, name = line.split("\t")[:3]
        match = _COORDINATE.fullmatch(place)
        assert match is not None, f"zone.tab: {place}"
        north, d1, m1, _, east, d2, m2, _ = match.groups()
        latitude = (int(d1) + int(m1) / 60) * (1 if north == "+" else -1)
        longitude = (int(d2) + int(m2) / 60) * (1 if east == "+" else -1)
        found.setdefault(country, []).append((latitude, longitude, name))
    return found


def zone_of(country: str, latitude: float | None, longitude: float | None) -> ZoneInfo:
    """The time zone of a place: of its country's zones the one whose principal place is nearest; UTC where none is
    known. Good to a zone's border."""
    zones = _zones().get(country)
    if not zones:
        return ZoneInfo("UTC")
    if latitude is None or longitude is None:
        return ZoneInfo(zones[0][2])
    east = math.cos(math.radians(latitude))
    return ZoneInfo(min(zones, key=lambda z: (z[0] - latitude) ** 2 + ((z[1] - longitude) * east) ** 2)[2])


def after_quiet(now: datetime, zone: ZoneInfo, begins: time, ends: time) -> datetime:
    """`now`, or the end of the quiet hours that it lies in; equal times mean that there are none."""
    local = now.astimezone(zone)
    clock = local.time().replace(tzinfo=None)
    if begins == ends:
        return now
    over_night = begins > ends
    is_quiet = clock >= begins or clock < ends if over_night else begins <= clock < ends
    if not is_quiet:
        return now
    day = local.date() + timedelta(days=1 if over_night and clock >= begins else 0)
    return datetime.combine(day, ends, zone).astimezone(now.tzinfo)
