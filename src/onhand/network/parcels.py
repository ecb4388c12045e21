"""Limits of the parcels that carriers take per day, as counters see them. Pure.

A service's limit is of one node, a lane's of all nodes of the lane together. A lane is known by where it leads from and
to, as documents number their lanes anew with every change.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

OF_NODE = ""
"""What stands for the key of a lane in limits and counters of nodes."""

_PLACES = ("from_nodes", "from_countries", "to_countries", "to_regions", "to_postal_prefixes")
_KEY_LENGTH = 16


def lane_key(lane: Mapping[str, Any]) -> str:
    """A short name of a lane of a carrier document: the same for the same places, in whatever order they are named."""
    places = {name: sorted(set(lane[name])) for name in _PLACES if lane.get(name)}
    return hashlib.sha256(msgspec.json.encode(places, order="sorted")).hexdigest()[:_KEY_LENGTH]


def lane_keys(lanes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of the lanes of a service. Of lanes with the same places only the first is ever used."""
    return [lane_key(lane) for lane in lanes]


def parcel_limits(document: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """The limits of a carrier document: (service, key of the lane or OF_NODE) -> parcels per day."""
    limits: dict[tuple[str, str], int] = {}
    for service in document.get("services", []):
        if service.get("parcels_per_day") is not None:
            limits[service["code"], OF_NODE] = service["parcels_per_day"]
        seen: set[str] = set()
        lanes: Sequence[Mapping[str, Any]] = service.get("lanes") or []
        for lane in lanes:
            key = lane_key(lane)
            if key not in seen and lane.get("parcels_per_day") is not None:
                limits[service["code"], key] = lane["parcels_per_day"]
            seen.add(key)
    return limits
