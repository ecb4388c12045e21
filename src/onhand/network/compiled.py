"""The network as arrays: what the sourcing kernel reads. Built from one JSON document, so that the network of any past
decision can be compiled again from the document that was kept with it."""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.network.calendar import SLOTS, ship_slots

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

METHODS = {"ship": 1, "pickup": 2, "ship_to_store": 4}
NO_LIMIT = np.iinfo(np.int32).max
NO_CUTOFF = -1

_DOCUMENT = """
SELECT jsonb_build_object(
    'nodes', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'node_id', node_id, 'code', code, 'country', country, 'latitude', latitude, 'longitude', longitude,
        'timezone', timezone, 'handling_cost_minor', handling_cost_minor, 'cutoff', to_char(cutoff, 'HH24:MI'),
        'working_days', working_days, 'closed_days', closed_days, 'capacity_orders', capacity_orders,
        'capacity_lines', capacity_lines, 'capacity_units', capacity_units, 'methods', methods,
        'co2_g_per_order', co2_g_per_order,
        'safety_stock_default', safety_stock_default, 'active', active) ORDER BY node_id), '[]') FROM node),
    'carriers', (SELECT coalesce(jsonb_agg(jsonb_build_object('code', code, 'document', document)
        ORDER BY carrier_id), '[]') FROM carrier WHERE active),
    'channels', (SELECT coalesce(jsonb_agg(jsonb_build_object('channel_id', channel_id, 'code', c.code,
        'node_ids', coalesce(c.node_ids, g.node_ids), 'active', active) ORDER BY channel_id), '[]')
        FROM channel c LEFT JOIN node_group g ON g.code = c.node_group))::text
"""
_KEEP = """
INSERT INTO network_version (hash, document) VALUES (%s, %s) ON CONFLICT (hash) DO NOTHING
"""
_CAPACITY = """
SELECT k.node_id, (k.day - DATE '1970-01-01'), k.orders, k.lines, k.units FROM capacity_day k WHERE k.day >= %s
"""


@dataclass(frozen=True, slots=True)
class Channel:
    """A sales channel as sourcing sees it: its index into the candidate lists."""

    channel_id: int
    code: str
    index: int
    active: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A carrier's service; its index is its row in the service arrays."""

    carrier: str
    code: str
    carrier_json: str
    code_json: str


@dataclass(slots=True)
class Network:
    """Nodes by node_id (index 0 unused), services by index, candidate nodes by channel index.

    Shapes: N nodes, S services, B bands, W weight steps, D ship days, C channels, Z zone rows.
    """

    document: bytes
    network_id: int = 0
    node_ids: dict[str, int] = field(default_factory=dict[str, int])
    node_codes: list[str] = field(default_factory=list[str])
    node_json: list[str] = field(default_factory=list[str])
    channels: dict[str, Channel] = field(default_factory=dict[str, Channel])
    services: list[Service] = field(default_factory=list[Service])
    service_codes: dict[str, int] = field(default_factory=dict[str, int])

    # float64[N] radians; int64[N]; float64[N] grams; int32[N] bit masks
    latitude: Float64 = field(default_factory=lambda: np.zeros(1))
    longitude: Float64 = field(default_factory=lambda: np.zeros(1))
    handling_minor: Int64 = field(default_factory=lambda: np.zeros(1, np.int64))
    co2_g: Float64 = field(default_factory=lambda: np.zeros(1))
    methods: Int32 = field(default_factory=lambda: np.zeros(1, np.int32))
    cutoff_min: Int32 = field(default_factory=lambda: np.zeros(1, np.int32))
    limits: Int32 = field(default_factory=lambda: np.zeros((1, 3), np.int32))

    # int32[C + 1] offsets into int32[...] node ids
    candidate_offsets: Int32 = field(default_factory=lambda: np.zeros(1, np.int32))
    candidates: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))

    # services: float64[S, B] upper edge in km (inf: none), int64[S, W] grams, float64[S, B, W] minor units, ...
    band_km: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    band_count: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    weight_g: Int64 = field(default_factory=lambda: np.zeros((0, 1), np.int64))
    weight_count: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    rate_minor: Float64 = field(default_factory=lambda: np.zeros((0, 1, 1)))
    transit_p50: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    transit_p95: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    transit_sigma: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    transit_mean: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    service_cutoff_min: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_methods: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_code: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_co2: Float64 = field(default_factory=lambda: np.zeros(0))
    service_divisor: Float64 = field(default_factory=lambda: np.zeros(0))
    service_by_zone: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))

    # bands by destination for zone services: int16[Z, S, N], -1 not offered; grows with new destinations
    zone_bands: npt.NDArray[np.int16] = field(default_factory=lambda: np.zeros((1, 1, 1), np.int16))

    # ship days: int32[N, D] days since 1970, int64[N, D] Unix seconds of the cut-off (0: no such day)
    slot_day: Int32 = field(default_factory=lambda: np.zeros((1, SLOTS), np.int32))
    slot_cutoff: Int64 = field(default_factory=lambda: np.zeros((1, SLOTS), np.int64))
    # capacity left: int32[N, D, 3] orders, lines, units
    left: Int32 = field(default_factory=lambda: np.zeros((1, SLOTS, 3), np.int32))
    slots_until: float = 0.0

    _nodes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _zones: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])
    _zone_prefix: int = 0
    _zone_regions: bool = False
    _zone_rows: dict[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])

    @property
    def count(self) -> int:
        """The highest node_id."""
        return len(self.node_codes) - 1

    def channel_nodes(self, channel: Channel) -> Int32:
        """Candidate node ids of a channel."""
        first, last = self.candidate_offsets[channel.index : channel.index + 2]
        return self.candidates[first:last]

    def set_clock(self, now: datetime) -> None:
        """Compute the ship days again when a cut-off or midnight may have passed; keeps capacity for a reload."""
        if now.timestamp() < self.slots_until:
            return
        until = now.timestamp() + 60
        for node in self._nodes:
            slots = ship_slots(
                now,
                timezone=node["timezone"],
                cutoff=time.fromisoformat(node["cutoff"]),
                working_days=node["working_days"],
                closed_days={date.fromisoformat(d) for d in node["closed_days"]},
            )
            row = node["node_id"]
            before = self.slot_day[row].copy()
            self.slot_day[row] = 0
            self.slot_cutoff[row] = 0
            for d, (day, cutoff) in enumerate(slots):
                self.slot_day[row, d] = day
                self.slot_cutoff[row, d] = cutoff
            if slots:
                until = min(until, slots[0][1])
            if not np.array_equal(before, self.slot_day[row]):
                self._shift_capacity(row, before)
        self.slots_until = until

    def _shift_capacity(self, row: int, before: Int32) -> None:
        known = {int(day): self.left[row, d].copy() for d, day in enumerate(before) if day}
        for d, day in enumerate(self.slot_day[row]):
            self.left[row, d] = known.get(int(day), self.limits[row])

    def load_capacity(self, conn: Connection[TupleRow], today: date) -> None:
        """Read what is promised of each limited day."""
        held = {
            (node, day): counts
            for node, day, *counts in conn.execute(_CAPACITY, (date.fromordinal(today.toordinal() - 2),))
        }
        for node in self._nodes:
            row = node["node_id"]
            if (self.limits[row] == NO_LIMIT).all():
                continue
            for d, day in enumerate(self.slot_day[row].tolist()):
                counts = held.get((row, day), (0, 0, 0))
                for k in range(3):
                    limit = int(self.limits[row, k])
                    self.left[row, d, k] = limit if limit == NO_LIMIT else limit - counts[k]

    def zone_row(self, country: str, region: str, postal_code: str) -> int:
        """Index into zone_bands for a destination; 0 when no service has zones."""
        if not self._zones:
            return 0
        # Only what some zone looks at tells destinations apart: rows stay few.
        key = (country, region if self._zone_regions else "", postal_code[: self._zone_prefix])
        row = self._zone_rows.get(key)
        if row is None:
            row = len(self._zone_rows) + 1
            if row >= len(self.zone_bands):
                bigger = np.full((row * 2, *self.zone_bands.shape[1:]), -1, np.int16)
                bigger[: len(self.zone_bands)] = self.zone_bands
                self.zone_bands = bigger
            for s, zones in enumerate(self._zones):
                for node in self._nodes if zones else ():
                    self.zone_bands[row, s, node["node_id"]] = _zone(zones, node["country"], key)
            self._zone_rows[key] = row
        return row


def _zone(zones: Sequence[Mapping[str, Any]], origin: str, key: tuple[str, str, str]) -> int:
    """First matching zone, or -1."""
    country, region, postal_code = key
    for index, zone in enumerate(zones):
        if (
            origin in (zone.get("from_countries") or [origin])
            and country in (zone.get("to_countries") or [country])
            and region in (zone.get("to_regions") or [region])
            and (not zone.get("to_postal_prefixes") or postal_code.startswith(tuple(zone["to_postal_prefixes"])))
        ):
            return index
    return -1


def read_document(conn: Connection[TupleRow]) -> bytes:
    """The network as it is now, canonical JSON (object keys sorted by PostgreSQL's jsonb)."""
    row = conn.execute(_DOCUMENT).fetchone()
    assert row is not None, "an aggregate always returns a row"
    return row[0].encode()


def keep_document(conn: Connection[TupleRow], document: bytes) -> int:
    """Store the document unless it is there; its network_id."""
    digest = hashlib.sha256(document).digest()
    conn.execute(_KEEP, (digest, zlib.compress(document, 6)))
    row = conn.execute("SELECT network_id FROM network_version WHERE hash = %s", (digest,)).fetchone()
    assert row is not None, "it was just stored"
    return row[0]


def load_document(conn: Connection[TupleRow], network_id: int) -> bytes:
    """The network document of an old decision."""
    row = conn.execute("SELECT document FROM network_version WHERE network_id = %s", (network_id,)).fetchone()
    assert row is not None, f"plan names unknown network {network_id}"
    return zlib.decompress(row[0])


def load_network(conn: Connection[TupleRow], now: datetime) -> Network:
    """Read, keep and compile the network, with today's capacity."""
    document = read_document(conn)
    network = compile_network(document, now)
    network.network_id = keep_document(conn, document)
    network.load_capacity(conn, now.astimezone(UTC).date())
    return network


def compile_network(document: bytes, now: datetime) -> Network:
    """Arrays from a document; capacity is each node's whole limit until `load_capacity`."""
    doc: dict[str, Any] = msgspec.json.decode(document)
    network = Network(document=document)
    _compile_nodes(network, doc["nodes"])
    _compile_services(network, doc["carriers"])
    _compile_channels(network, doc["channels"])
    network.set_clock(now)
    return network


def _compile_nodes(network: Network, nodes: list[dict[str, Any]]) -> None:
    size = max((n["node_id"] for n in nodes), default=0) + 1
    network.node_codes = [""] * size
    network.node_json = ['""'] * size
    for name in ("latitude", "longitude", "co2_g"):
        setattr(network, name, np.zeros(size))
    network.handling_minor = np.zeros(size, np.int64)
    network.methods = np.zeros(size, np.int32)
    network.cutoff_min = np.zeros(size, np.int32)
    network.limits = np.full((size, 3), NO_LIMIT, np.int32)
    network.slot_day = np.zeros((size, SLOTS), np.int32)
    network.slot_cutoff = np.zeros((size, SLOTS), np.int64)
    network.left = np.full((size, SLOTS, 3), NO_LIMIT, np.int32)
    for node in nodes:
        row = node["node_id"]
        network.node_ids[node["code"]] = row
        network.node_codes[row] = node["code"]
        network.node_json[row] = msgspec.json.encode(node["code"]).decode()
        network.latitude[row] = math.radians(node["latitude"])
        network.longitude[row] = math.radians(node["longitude"])
        network.handling_minor[row] = node["handling_cost_minor"]
        network.co2_g[row] = node["co2_g_per_order"]
        # An inactive node keeps its stock and its name, and offers no method.
        network.methods[row] = sum(METHODS[m] for m in node["methods"]) if node["active"] else 0
        cutoff = time.fromisoformat(node["cutoff"])
        network.cutoff_min[row] = cutoff.hour * 60 + cutoff.minute
        for k, name in enumerate(("capacity_orders", "capacity_lines", "capacity_units")):
            if node[name] is not None:
                network.limits[row, k] = node[name]
        network.left[row] = network.limits[row]
    network._nodes = nodes  # pyright: ignore[reportPrivateUsage]


def _compile_services(network: Network, carriers: list[dict[str, Any]]) -> None:
    services = [(c["code"], s) for c in carriers for s in c["document"].get("services", [])]
    tables = [s["rate_table"] for _, s in services]
    count = len(services)
    bands = max((len(t["prices_minor"]) for t in tables), default=1)
    steps = max((len(t["weights_g"]) for t in tables), default=1)
    network.band_km = np.full((count, bands), np.inf)
    network.band_count = np.array([len(t["prices_minor"]) for t in tables], np.int32)
    network.weight_g = np.zeros((count, steps), np.int64)
    network.weight_count = np.array([len(t["weights_g"]) for t in tables], np.int32)
    network.rate_minor = np.zeros((count, bands, steps))
    network.transit_p50 = np.ones((count, bands))
    network.transit_p95 = np.ones((count, bands))
    network.transit_sigma = np.zeros((count, bands))
    network.transit_mean = np.ones((count, bands))
    network.service_cutoff_min = np.full(count, NO_CUTOFF, np.int32)
    network.service_methods = np.zeros(count, np.int32)
    network.service_code = np.zeros(count, np.int32)
    network.service_co2 = np.zeros(count)
    network.service_divisor = np.zeros(count)
    network.service_by_zone = np.zeros(count, np.int32)
    zones: list[list[dict[str, Any]]] = []
    for s, (carrier, service) in enumerate(services):
        table = service["rate_table"]
        code = service["code"]
        network.services.append(
            Service(
                carrier,
                code,
                msgspec.json.encode(carrier).decode(),
                msgspec.json.encode(code).decode(),
            )
        )
        network.service_code[s] = network.service_codes.setdefault(code, len(network.service_codes))
        network.weight_g[s, : network.weight_count[s]] = table["weights_g"]
        surcharge = 1 + (service.get("fuel_surcharge_rate") or 0)
        for b, prices in enumerate(table["prices_minor"]):
            network.rate_minor[s, b, : len(prices)] = [p * surcharge for p in prices]
        if table["by"] == "zone":
            network.service_by_zone[s] = 1
            zones.append(table["zones"])
        else:
            zones.append([])
            edges = [np.inf if km is None else km for km in table["distance_km"]]
            network.band_km[s, : len(edges)] = edges
        transit = service["transit_days"]
        for b in range(int(network.band_count[s])):
            days = transit[b] if isinstance(transit, list) else transit
            network.transit_p50[s, b] = days["p50"]
            network.transit_p95[s, b] = days["p95"]
            # Log-normal through both quantiles: the 95 % point lies 1.645 deviations above the median.
            sigma = math.log(days["p95"] / days["p50"]) / 1.6448536269514722
            network.transit_sigma[s, b] = sigma
            network.transit_mean[s, b] = days["p50"] * math.exp(sigma * sigma / 2)
        if service.get("cutoff"):
            cutoff = time.fromisoformat(service["cutoff"])
            network.service_cutoff_min[s] = cutoff.hour * 60 + cutoff.minute
        methods = service.get("methods") or ["ship", "ship_to_store"]
        network.service_methods[s] = sum(METHODS[m] for m in methods)
        network.service_co2[s] = service.get("co2_g_per_tonne_km") or 0
        network.service_divisor[s] = service.get("dimensional_divisor") or 0
    _compile_zones(network, zones)


def _compile_zones(network: Network, zones: list[list[dict[str, Any]]]) -> None:
    # pyright: reportPrivateUsage=false
    rules = [zone for service in zones for zone in service]
    if not rules:
        return
    network._zones = zones
    network._zone_regions = any(zone.get("to_regions") for zone in rules)
    network._zone_prefix = max((len(p) for zone in rules for p in zone.get("to_postal_prefixes") or ()), default=0)
    network.zone_bands = np.full((4, len(zones), len(network.node_codes)), -1, np.int16)


def _compile_channels(network: Network, channels: list[dict[str, Any]]) -> None:
    everywhere = list(network.node_ids.values())
    offsets = [0]
    nodes: list[int] = []
    for index, channel in enumerate(channels):
        nodes.extend(everywhere if channel["node_ids"] is None else channel["node_ids"])
        offsets.append(len(nodes))
        network.channels[channel["code"]] = Channel(channel["channel_id"], channel["code"], index, channel["active"])
    network.candidate_offsets = np.array(offsets, np.int32)
    network.candidates = np.array(nodes, np.int32)
