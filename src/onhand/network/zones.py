"""Zones and lanes: which band of prices and which transit times a service has from each node to a destination."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Bands = npt.NDArray[np.int16]
NONE = -1
# Destinations remembered by name; rows of bands are few, but postal codes come from strangers.
DESTINATIONS_MAX = 100_000


class Origin(NamedTuple):
    """What zones and lanes see of a node."""

    code: str
    country: str


class _Rule(NamedTuple):
    """Where a zone or lane applies. `origins`: bool by node_id; None: to wherever."""

    origins: npt.NDArray[np.bool_]
    countries: frozenset[str] | None
    regions: frozenset[str] | None
    prefixes: tuple[str, ...] | None

    def leads_to(self, country: str, region: str, postal_code: str) -> bool:
        return (
            (self.countries is None or country in self.countries)
            and (self.regions is None or region in self.regions)
            and (self.prefixes is None or postal_code.startswith(self.prefixes))
        )


class ZoneTable:
    """Bands and lanes of the services for the destinations seen so far.

    `bands`    int16[row, service, node]: the band of prices of a service that is priced by zone; -1: not offered there
    `transit`  int16[row, service, node]: the column of the transit arrays to use; -1: that of the band

    A row stands for all destinations that no zone and no lane tells apart; rows are only ever added. Row 0 is for
    networks with neither. Safe for several threads.
    """

    def __init__(
        self,
        zones: Sequence[Sequence[Mapping[str, Any]]],
        origins: Sequence[Origin],
        lanes: Sequence[Sequence[Mapping[str, Any]]] = (),
        first_lane: Sequence[int] = (),
    ) -> None:
        """zones       by service, none for one that is priced by distance
        origins     by node_id
        lanes       by service
        first_lane  by service: the column of its first lane in the transit arrays
        """
        self._zones = [[_rule(zone, origins) for zone in service] for service in zones]
        self._lanes = [[_rule(lane, origins) for lane in service] for service in lanes]
        self._first_lane = first_lane
        rules = [rule for of in (self._zones, self._lanes) for service in of for rule in service]
        self._prefix = max((len(p) for rule in rules for p in rule.prefixes or ()), default=0)
        self._regions = any(rule.regions for rule in rules)
        self._rows: dict[tuple[str, str, str], int] = {}
        self._seen: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self.has_zones = bool(rules)
        self.bands: Bands = np.full((4 if rules else 1, len(zones), len(origins)), NONE, np.int16)
        self.transit: Bands = self.bands.copy()

    def row(self, country: str, region: str, postal_code: str) -> int:
        """Row of `bands` and `transit` for a destination. Read them after it: they may have grown."""
        if not self.has_zones:
            return 0
        # Only what some zone or lane looks at tells destinations apart.
        key = (country, region if self._regions else "", postal_code[: self._prefix])
        row = self._rows.get(key)
        return self._add(key) if row is None else row

    def _add(self, key: tuple[str, str, str]) -> int:
        bands, transit = (np.full(self.bands.shape[1:], NONE, np.int16) for _ in range(2))
        for s, zones in enumerate(self._zones):
            _fill(bands[s], zones, key, 0)
        for s, lanes in enumerate(self._lanes):
            _fill(transit[s], lanes, key, self._first_lane[s])
        content = bands.tobytes() + transit.tobytes()
        with self._lock:
            row = self._seen.get(content)
            if row is None:
                row = len(self._seen) + 1
                if row >= len(self.bands):
                    self.bands, self.transit = _longer(self.bands, row * 2), _longer(self.transit, row * 2)
                self.bands[row], self.transit[row] = bands, transit
                self._seen[content] = row
            if len(self._rows) >= DESTINATIONS_MAX:
                self._rows.clear()
            self._rows[key] = row
        return row


def _rule(rule: Mapping[str, Any], origins: Sequence[Origin]) -> _Rule:
    """A zone or lane of a carrier document; what it leaves out, or leaves empty, matches everything."""
    countries, nodes = rule.get("from_countries"), rule.get("from_nodes")
    return _Rule(
        np.array(
            [(not countries or o.country in countries) and (not nodes or o.code in nodes) for o in origins], np.bool_
        ),
        frozenset(rule.get("to_countries") or ()) or None,
        frozenset(rule.get("to_regions") or ()) or None,
        tuple(rule.get("to_postal_prefixes") or ()) or None,
    )


def _fill(found: Bands, rules: Sequence[_Rule], key: tuple[str, str, str], first: int) -> None:
    """Set each node of `found` to the number of its first rule that leads to a destination, counted from `first`."""
    # Backwards, so that the first one stays.
    for number in range(len(rules) - 1, -1, -1):
        if rules[number].leads_to(*key):
            found[rules[number].origins] = first + number


def _longer(rows: Bands, count: int) -> Bands:
    longer = np.full((count, *rows.shape[1:]), NONE, np.int16)
    longer[: len(rows)] = rows
    return longer
