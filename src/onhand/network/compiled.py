"""The network as arrays: what the sourcing kernel reads. Built from one JSON document, so that the network of any past
decision can be compiled again from the document that was kept with it."""

import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import EPOCH
from onhand.network.calendar import SLOTS, closed_on, ship_slots
from onhand.network.duties import DutyTable, installed_provider
from onhand.network.emissions import intensity_of
from onhand.network.parcels import lane_keys
from onhand.network.transit import Times, times_of
from onhand.network.zones import Origin, ZoneTable

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

METHODS = {"ship": 1, "pickup": 2, "ship_to_store": 4}
NO_LIMIT = np.iinfo(np.int32).max
NO_CUTOFF = -1
# Days of a lane that are remembered, by day number & LANE_DAYS - 1: more than ship days reach (calendar.py), so that no
# two of them share a place.
LANE_DAYS = 128
_SIDES = ("length", "width", "height")
NOWHERE = Origin("", "")  # of node_id 0, which is unused
_DAYS_BACK = 2  # a ship day may lag behind the date in UTC, and a cut-off behind its day

_DOCUMENT = """
SELECT jsonb_build_object(
    'nodes', (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'node_id', node_id, 'code', code, 'node_type', node_type, 'country', country, 'region', region,
        'postal_code', postal_code, 'attributes', attributes, 'latitude', latitude, 'longitude', longitude,
        'timezone', timezone, 'handling_cost_minor', handling_cost_minor, 'handling_line_minor', handling_line_minor,
        'handling_unit_minor', handling_unit_minor, 'labour', labour, 'cutoff', to_char(cutoff, 'HH24:MI'),
        'working_days', working_days, 'closed_days', closed_days, 'holidays', holidays,
        'capacity_orders', capacity_orders, 'capacity_lines', capacity_lines, 'capacity_units', capacity_units,
        'methods', methods, 'co2_g_per_order', co2_g_per_order, 'safety_stock_default', safety_stock_default,
        'active', active) ORDER BY node_id), '[]') FROM node),
    'carriers', (SELECT coalesce(jsonb_agg(jsonb_build_object('code', code, 'document', document)
        || CASE WHEN transit IS NULL OR document ->> 'transit' = 'declared' THEN '{}'
                ELSE jsonb_build_object('transit', transit) END ORDER BY carrier_id), '[]') FROM carrier WHERE active),
    'channels', (SELECT coalesce(jsonb_agg(jsonb_build_object('channel_id', channel_id, 'code', c.code,
                      'connected', c.connector <> 'api',
        'node_ids', coalesce(c.node_ids, g.node_ids), 'active', active) ORDER BY channel_id), '[]')
        FROM channel c LEFT JOIN node_group g ON g.code = c.node_group),
    'cartons', (SELECT coalesce(jsonb_agg(document || jsonb_build_object('code', code) ORDER BY code), '[]')
        FROM carton WHERE active),
    'duties', (SELECT coalesce(jsonb_agg(document || jsonb_build_object('code', code) ORDER BY code), '[]')
        FROM duty WHERE active))::text
"""
_KEEP = """
INSERT INTO network_version (hash, document) VALUES (%s, %s) ON CONFLICT (hash) DO NOTHING
"""
_CAPACITY = """
SELECT k.node_id, (k.day - DATE '1970-01-01'), k.orders, k.lines, k.units FROM capacity_day k WHERE k.day >= %s
"""
_PARCELS = """
SELECT k.carrier, k.service, k.lane, k.node_id, (k.day - DATE '1970-01-01'), k.parcels
FROM parcel_day k WHERE k.day >= %s
"""


_NO_PARCELS = {"parcels": np.zeros((0, 0, 0), np.int32), "lanes": np.zeros((0, LANE_DAYS), np.int32)}


@dataclass(frozen=True, slots=True)
class Channel:
    """A sales channel as sourcing sees it: its index into the candidate lists, which is its channel_id, so that an
    order that was checked against one network can be decided with the next. is_connected: we talk to it, so that it may
    be where orders are paid."""

    channel_id: int
    code: str
    index: int
    active: bool
    is_connected: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A carrier's service; its index is its row in the service arrays."""

    carrier: str | None
    code: str
    carrier_json: str
    code_json: str


# What stands for it in fulfilments that nobody carries, whose service is -1: the last of a list.
PICKUP = Service(None, "pickup", "null", '"pickup"')


@dataclass(slots=True)
class Network:
    """Nodes by node_id (index 0 unused), services by index, candidate nodes by channel index.

    Shapes: N nodes, S services, B bands, T transit columns, W weight steps, D ship days, C channels (the highest
    channel_id + 1), K cartons, L lanes with a limit of parcels.
    """

    document: bytes
    network_id: int = 0
    node_ids: dict[str, int] = field(default_factory=dict[str, int])
    node_codes: list[str] = field(default_factory=list[str])
    node_json: list[str] = field(default_factory=list[str])
    channels: dict[str, Channel] = field(default_factory=dict[str, Channel])
    services: list[Service] = field(default_factory=list[Service])
    service_codes: dict[str, int] = field(default_factory=dict[str, int])

    # float64[N] radians; float64[N] minor units per fulfilment, per line and per unit of it, labour included;
    # float64[N] grams; int32[N] bit masks
    latitude: Float64 = field(default_factory=lambda: np.zeros(1))
    longitude: Float64 = field(default_factory=lambda: np.zeros(1))
    # float64[N, 3]: unit vectors from the centre of the Earth
    xyz: Float64 = field(default_factory=lambda: np.zeros((1, 3)))
    handling_minor: Float64 = field(default_factory=lambda: np.zeros(1))
    handling_line_minor: Float64 = field(default_factory=lambda: np.zeros(1))
    handling_unit_minor: Float64 = field(default_factory=lambda: np.zeros(1))
    co2_g: Float64 = field(default_factory=lambda: np.zeros(1))
    methods: Int32 = field(default_factory=lambda: np.zeros(1, np.int32))
    cutoff_min: Int32 = field(default_factory=lambda: np.zeros(1, np.int32))
    limits: Int32 = field(default_factory=lambda: np.zeros((1, 3), np.int32))

    # int32[C + 1] offsets into int32[...] node ids
    candidate_offsets: Int32 = field(default_factory=lambda: np.zeros(1, np.int32))
    candidates: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    candidates_max: int = 0

    # services: float64[S, B] upper edge in km (inf: none), int64[S, W] grams, float64[S, B, W] minor units, ...
    band_km: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    band_count: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    weight_g: Int64 = field(default_factory=lambda: np.zeros((0, 1), np.int64))
    weight_count: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    rate_minor: Float64 = field(default_factory=lambda: np.zeros((0, 1, 1)))
    # transit times: float64[S, T] days, the bands of a service and then its lanes (see ZoneTable.transit); by service
    # the keys of its lanes
    transit_p50: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    transit_p95: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    transit_sigma: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    transit_mean: Float64 = field(default_factory=lambda: np.zeros((0, 1)))
    lane_keys: list[list[str]] = field(default_factory=list[list[str]])
    # int32[S, T] row of a lane in the arrays of those with a limit, -1: none; int32[L] parcels it carries per day
    lane_of: Int32 = field(default_factory=lambda: np.zeros((0, 1), np.int32))
    lane_limits: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_cutoff_min: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_methods: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_code: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    service_co2: Float64 = field(default_factory=lambda: np.zeros(0))
    service_divisor: Float64 = field(default_factory=lambda: np.zeros(0))
    service_by_zone: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))
    # float64[S] minor units per parcel to a residence; int32[S] parcels per node and day
    service_residential_minor: Float64 = field(default_factory=lambda: np.zeros(0))
    service_parcels: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))

    zones: ZoneTable = field(default_factory=lambda: ZoneTable([], [NOWHERE]))
    # cartons by usable volume: float64[K] mm3 that goods may take, float64[K] mm3 outside, float64[K] minor units,
    # int64[K] grams empty and most grams when packed
    carton_codes: list[str] = field(default_factory=list[str])
    carton_fit_mm3: Float64 = field(default_factory=lambda: np.zeros(0))
    carton_outer_mm3: Float64 = field(default_factory=lambda: np.zeros(0))
    carton_minor: Float64 = field(default_factory=lambda: np.zeros(0))
    carton_tare_g: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    carton_max_g: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))

    duties: DutyTable = field(default_factory=lambda: DutyTable([], [""]))

    # ship days: int32[N, D] days since 1970, int64[N, D] Unix seconds of the cut-off (0: no such day). Replaced, never
    # changed, so that a copy of the network keeps its days while another thread sets the clock.
    slot_day: Int32 = field(default_factory=lambda: np.zeros((1, SLOTS), np.int32))
    slot_cutoff: Int64 = field(default_factory=lambda: np.zeros((1, SLOTS), np.int64))
    # capacity left: int32[N, D, 3] orders, lines, units
    left: Int32 = field(default_factory=lambda: np.zeros((1, SLOTS, 3), np.int32))
    # parcels left: int32[N, S, D] of nodes, int32[L, LANE_DAYS] of lanes on days from `lanes_from` on (since 1970).
    # Both are empty when neither a service nor a lane has a limit.
    parcels: Int32 = field(default_factory=lambda: np.zeros((0, 0, 0), np.int32))
    lanes: Int32 = field(default_factory=lambda: np.zeros((0, LANE_DAYS), np.int32))
    lanes_from: int = 0
    slots_until: float = 0.0

    _nodes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def count(self) -> int:
        """The highest node_id."""
        return len(self.node_codes) - 1

    @property
    def node_documents(self) -> list[Mapping[str, Any]]:
        """The nodes as the document has them. Treat them as read-only."""
        return self._nodes  # pyright: ignore[reportReturnType]

    def channel_nodes(self, channel: Channel) -> Int32:
        """Candidate node ids of a channel."""
        first, last = self.candidate_offsets[channel.index : channel.index + 2]
        return self.candidates[first:last]

    def set_clock(self, now: datetime) -> None:
        """Compute the ship days of nodes whose next cut-off has passed; what is left of a day's capacity stays with
        the day. Call under the lock that guards this network; time does not run backwards."""
        at = now.timestamp()
        if at < self.slots_until:
            return
        self._forget_lane_days((now.astimezone(UTC).date() - EPOCH).days)
        passed = [node for node in self._nodes if self.slot_cutoff[node["node_id"], 0] <= at]
        if passed:
            slot_day, slot_cutoff, left = self.slot_day.copy(), self.slot_cutoff.copy(), self.left.copy()
            parcels = self.parcels.copy()
            today = now.astimezone(UTC).date()
            for node in passed:
                row = node["node_id"]
                closed = {date.fromisoformat(d) for d in node["closed_days"]}
                slots = ship_slots(
                    now,
                    timezone=node["timezone"],
                    cutoff=time.fromisoformat(node["cutoff"]),
                    working_days=node["working_days"],
                    closed_days=closed_on(closed, node.get("holidays"), today),
                )
                known = dict(zip(self.slot_day[row].tolist(), self.left[row], strict=True))
                slot_day[row] = slot_cutoff[row] = 0
                left[row] = self.limits[row]
                if len(parcels):
                    sent = dict(zip(self.slot_day[row].tolist(), self.parcels[row].T, strict=True))
                    parcels[row] = self.service_parcels[:, np.newaxis]
                    for d, (day, _) in enumerate(slots):
                        parcels[row, :, d] = sent.get(day, self.service_parcels)
                for d, (day, cutoff) in enumerate(slots):
                    slot_day[row, d], slot_cutoff[row, d] = day, cutoff
                    left[row, d] = known.get(day, self.limits[row])
            self.slot_day, self.slot_cutoff, self.left, self.parcels = slot_day, slot_cutoff, left, parcels
        upcoming = self.slot_cutoff[:, 0]
        # A node that is closed for long may open: look again within the hour.
        self.slots_until = min(at + 3600, upcoming[upcoming > at].min(initial=2**62))

    def _forget_lane_days(self, today: int) -> None:
        """Give the places of days that are over to those to come."""
        first = today - _DAYS_BACK
        if first <= self.lanes_from:
            return
        if len(self.lanes) and self.lanes_from:
            over = np.arange(self.lanes_from, min(first, self.lanes_from + LANE_DAYS)) & (LANE_DAYS - 1)
            lanes = self.lanes.copy()
            lanes[:, over] = self.lane_limits[:, np.newaxis]
            self.lanes = lanes
        self.lanes_from = first

    def sends_along_limited_lanes(self) -> npt.NDArray[np.bool_]:
        """bool[N]: whether a lane with a limit leads from the node to any destination that was asked for."""
        if not len(self.lanes) or not self.zone_transit.size:
            return np.zeros(self.count + 1, np.bool_)
        column = self.zone_transit
        lane = np.where(column >= 0, self.lane_of[np.arange(len(self.services))[:, np.newaxis], column], -1)
        return np.any(lane >= 0, axis=(0, 1))

    def with_own_room(self) -> "Network":
        """The same network with copies of what is left of its days: what is taken there, others do not see."""
        return replace(self, left=self.left.copy(), parcels=self.parcels.copy(), lanes=self.lanes.copy())

    def take_room_of(self, other: "Network") -> None:
        """Take over what is left of the days of `other`, a copy of this network that has read it anew."""
        np.copyto(self.left, other.left)
        if len(self.parcels):
            np.copyto(self.parcels, other.parcels)
            np.copyto(self.lanes, other.lanes)

    def without_limits(self) -> "Network":
        """The same network with room for everything on every ship day."""
        return replace(self, left=np.full_like(self.left, NO_LIMIT), **_NO_PARCELS)

    def without_parcel_limits(self) -> "Network":
        """The same network with carriers that take any number of parcels."""
        return replace(self, **_NO_PARCELS)

    def lane_key(self, service: int, column: int) -> str | None:
        """The key of a lane by its column of transit times (see network/parcels.py); None for that of a band, and for
        one that was only learned."""
        if column < 0:  # nobody carries what is collected: then there is no service either
            return None
        number = column - int(self.band_count[service])
        return self.lane_keys[service][number] if number < len(self.lane_keys[service]) else None

    def give_back_parcels(self, node: Int32, service: Int32, lane: Int32, day: Int32, parcels: Int32) -> None:
        """Add parcels to what is left of limited days, one row per fulfilment (negative: take).

        lane  column of transit times, -1: none; day: since 1970. Days that are over, and services that nobody carries
        (below 0), are left out.
        """
        if not len(self.parcels):
            return
        slot = self.slots_of(node, day)
        some = (service >= 0) & (slot >= 0)
        at: Any = (node[some], service[some], slot[some])
        self._add_parcels(self.parcels, at, parcels[some])
        if len(self.lanes):
            some = (service >= 0) & (lane >= 0) & (day >= self.lanes_from) & (day < self.lanes_from + LANE_DAYS)
            row = self.lane_of[service[some], lane[some]]
            some[some], row = row >= 0, row[row >= 0]
            at = (row, day[some] & (LANE_DAYS - 1))
            self._add_parcels(self.lanes, at, parcels[some])

    @staticmethod
    def _add_parcels(left: Int32, at: Any, parcels: Int32) -> None:
        limited = left[at] != NO_LIMIT
        np.add.at(left, tuple(index[limited] for index in at), parcels[limited])

    def slots_of(self, nodes: Int32, days: Int32) -> Int32:
        """Ship day index of each (node, day since 1970), -1 where the day is over or too far away."""
        same = self.slot_day[nodes] == days[:, np.newaxis]
        return np.where(same.any(axis=1), same.argmax(axis=1), -1).astype(np.int32)

    def load_capacity(self, conn: Connection[TupleRow], today: date) -> None:
        """Read what is promised of each limited day."""
        left = np.repeat(self.limits[:, np.newaxis], self.slot_day.shape[1], axis=1)
        rows = conn.execute(_CAPACITY, (today - timedelta(_DAYS_BACK),)).fetchall()
        # More may be promised than 32 bits hold: before there was a limit, or of what has none.
        held = np.array([row for row in rows if row[0] <= self.count], np.int64).reshape(-1, 5)
        slots = self.slots_of(held[:, 0].astype(np.int32), held[:, 1].astype(np.int32))
        held, slots = held[slots >= 0], slots[slots >= 0]
        at = (held[:, 0], slots)
        left[at] = np.where(left[at] == NO_LIMIT, NO_LIMIT, np.maximum(left[at] - held[:, 2:], -NO_LIMIT))
        self.left = left
        if len(self.parcels):
            rows = conn.execute(_PARCELS, (today - timedelta(_DAYS_BACK),)).fetchall()
            self.parcels = np.repeat(
                np.broadcast_to(self.service_parcels, self.parcels.shape[:2])[:, :, np.newaxis], SLOTS, axis=2
            )
            self.lanes = np.repeat(self.lane_limits[:, np.newaxis], LANE_DAYS, axis=1)
            self.take_parcels(rows)

    def take_parcels(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take parcels that are promised from what is left, each (carrier, service, key of the lane or '', node_id or
        0, days since 1970, parcels, negative: given back): of the node where the key is '', else of the lane."""
        if not len(self.parcels):
            return
        index = {(service.carrier, service.code): s for s, service in enumerate(self.services)}
        for carrier, service, lane, node, day, parcels in rows:
            s = index.get((carrier, service), -1)
            if s < 0 or node > self.count:
                continue
            if not lane:
                of, at = self.parcels[node, s], (self.slot_day[node] == day).nonzero()[0]
            elif lane in self.lane_keys[s] and self.lanes_from <= day < self.lanes_from + LANE_DAYS:
                row = int(self.lane_of[s, int(self.band_count[s]) + self.lane_keys[s].index(lane)])
                of, at = (self.lanes[row], [day & (LANE_DAYS - 1)]) if row >= 0 else (self.lanes, [])
            else:
                continue
            if len(at) and of[at[0]] != NO_LIMIT:
                # More may be promised than 32 bits hold: before there was a limit.
                of[at[0]] = min(max(int(of[at[0]]) - parcels, -NO_LIMIT), NO_LIMIT - 1)

    @property
    def zone_bands(self) -> npt.NDArray[np.int16]:
        """Bands by zone row; read it after `zone_row`."""
        return self.zones.bands

    @property
    def zone_transit(self) -> npt.NDArray[np.int16]:
        """Columns of the transit arrays by zone row, -1: that of the band; read it after `zone_row`."""
        return self.zones.transit

    @property
    def has_zones(self) -> bool:
        """Whether destinations differ in anything but distance."""
        return self.zones.has_zones

    def zone_row(self, country: str, region: str, postal_code: str) -> int:
        """Index into zone_bands for a destination; 0 when no service has zones or lanes."""
        return self.zones.row(country, region, postal_code)

    def service_row(self, code: str | None) -> int:
        """Index of a service code; -1 for None, which is any, and one that no service has for an unknown code."""
        return -1 if code is None else self.service_codes.get(code, 1 << 30)


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
    # Documents of old plans may know neither.
    _compile_cartons(network, doc.get("cartons", []))
    countries = [origin.country for origin in _origins(network)]
    network.duties = DutyTable(doc.get("duties", []), countries, installed_provider())
    network.set_clock(now)
    return network


def _compile_nodes(network: Network, nodes: list[dict[str, Any]]) -> None:
    size = max((n["node_id"] for n in nodes), default=0) + 1
    network.node_codes = [""] * size
    network.node_json = ['""'] * size
    for name in ("latitude", "longitude", "co2_g", "handling_minor", "handling_line_minor", "handling_unit_minor"):
        setattr(network, name, np.zeros(size))
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
        network.handling_minor[row], network.handling_line_minor[row], network.handling_unit_minor[row] = _handling(
            node
        )
        network.co2_g[row] = node["co2_g_per_order"]
        # An inactive node keeps its stock and its name, and offers no method.
        network.methods[row] = sum(METHODS[m] for m in node["methods"]) if node["active"] else 0
        cutoff = time.fromisoformat(node["cutoff"])
        network.cutoff_min[row] = cutoff.hour * 60 + cutoff.minute
        for k, name in enumerate(("capacity_orders", "capacity_lines", "capacity_units")):
            if node[name] is not None:
                network.limits[row, k] = node[name]
        network.left[row] = network.limits[row]
    flat = np.cos(network.latitude)
    network.xyz = np.ascontiguousarray(
        np.column_stack([flat * np.cos(network.longitude), flat * np.sin(network.longitude), np.sin(network.latitude)])
    )
    network._nodes = nodes  # pyright: ignore[reportPrivateUsage]


def _handling(node: Mapping[str, Any]) -> list[float]:
    """What a fulfilment, a line and a unit of it cost a node: handling, and labour by time standards."""
    labour: Mapping[str, float] = node.get("labour") or {}
    minor_per_s = labour.get("minor_per_hour", 0) / 3600
    return [
        node.get(f"handling_{handling}_minor", 0) + minor_per_s * labour.get(f"seconds_per_{work}", 0)
        for handling, work in (("cost", "order"), ("line", "line"), ("unit", "unit"))
    ]


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
    network.service_cutoff_min = np.full(count, NO_CUTOFF, np.int32)
    network.service_methods = np.zeros(count, np.int32)
    network.service_code = np.zeros(count, np.int32)
    network.service_co2 = np.zeros(count)
    network.service_divisor = np.zeros(count)
    network.service_by_zone = np.zeros(count, np.int32)
    network.service_residential_minor = np.zeros(count)
    network.service_parcels = np.full(count, NO_LIMIT, np.int32)
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
        if service.get("cutoff"):
            cutoff = time.fromisoformat(service["cutoff"])
            network.service_cutoff_min[s] = cutoff.hour * 60 + cutoff.minute
        methods = service.get("methods") or ["ship", "ship_to_store"]
        network.service_methods[s] = sum(METHODS[m] for m in methods)
        network.service_co2[s] = intensity_of(service)
        network.service_divisor[s] = service.get("dimensional_divisor") or 0
        network.service_residential_minor[s] = service.get("residential_surcharge_minor") or 0
        network.service_parcels[s] = _limit(service.get("parcels_per_day"))
    lanes: list[list[dict[str, Any]]] = [service.get("lanes") or [] for _, service in services]
    of_carrier: dict[str, list[dict[str, Any]]] = {c["code"]: c.get("transit") or [] for c in carriers}
    times = [
        times_of(service, [row for row in of_carrier[carrier] if row["service"] == service["code"]])
        for carrier, service in services
    ]
    _compile_transit(network, times, lanes)
    # What is declared of a lane is an exception that somebody knows of: it goes before what was learned of a region.
    ways = [[*of.lanes, *of.learned] for of in times]
    network.zones = ZoneTable(zones, _origins(network), ways, network.band_count.tolist())
    if (network.service_parcels < NO_LIMIT).any() or len(network.lane_limits):
        network.parcels = np.empty((len(network.node_codes), count, SLOTS), np.int32)
        network.parcels[:] = network.service_parcels[:, np.newaxis]


def _compile_transit(network: Network, times: Sequence[Times], lanes: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """Transit times in days: of service s its bands in columns 0 to band_count[s] - 1, then one column per lane, then
    one for each lane that was learned."""
    columns: list[list[Mapping[str, float]]] = []
    for s, of in enumerate(times):
        bands = of.bands if isinstance(of.bands, list) else [of.bands] * int(network.band_count[s])
        columns.append([*bands, *(lane["transit_days"] for lane in (*of.lanes, *of.learned))])
    shape = len(times), max(int(network.band_count.max(initial=1)), *map(len, columns), 1)
    network.transit_p50, network.transit_p95, network.transit_mean = np.ones(shape), np.ones(shape), np.ones(shape)
    network.transit_sigma = np.zeros(shape)
    network.lane_of = np.full(shape, -1, np.int32)
    network.lane_keys = [lane_keys(of) for of in lanes]
    limits: list[int] = []
    for s, row in enumerate(columns):
        for t, days in enumerate(row):
            network.transit_p50[s, t] = days["p50"]
            network.transit_p95[s, t] = days["p95"]
            # Log-normal through both quantiles: the 95 % point lies 1.645 deviations above the median.
            sigma = math.log(days["p95"] / days["p50"]) / 1.6448536269514722
            network.transit_sigma[s, t] = sigma
            network.transit_mean[s, t] = days["p50"] * math.exp(sigma * sigma / 2)
        for number, lane in enumerate(lanes[s], int(network.band_count[s])):
            if lane.get("parcels_per_day") is not None:
                network.lane_of[s, number] = len(limits)
                limits.append(lane["parcels_per_day"])
    network.lane_limits = np.array(limits, np.int32)
    network.lanes = np.repeat(network.lane_limits[:, np.newaxis], LANE_DAYS, axis=1)


def _limit(per_day: int | None) -> int:
    return NO_LIMIT if per_day is None else per_day


def _origins(network: Network) -> list[Origin]:
    """What zones, lanes and duties see of each node, by node_id."""
    origins = [NOWHERE] * len(network.node_codes)
    for node in network._nodes:  # pyright: ignore[reportPrivateUsage]
        origins[node["node_id"]] = Origin(node["code"], node["country"])
    return origins


def _compile_cartons(network: Network, cartons: Sequence[Mapping[str, Any]]) -> None:
    def usable_mm3(carton: Mapping[str, Any]) -> float:
        return math.prod(carton[f"inner_{side}_mm"] for side in _SIDES) * carton["fill_share"]

    # The first that fits is the smallest; of equal ones the cheapest.
    cartons = sorted(cartons, key=lambda carton: (usable_mm3(carton), carton["cost_minor"], carton["code"]))
    network.carton_codes = [carton["code"] for carton in cartons]
    network.carton_fit_mm3 = np.array([usable_mm3(carton) for carton in cartons], np.float64)
    network.carton_outer_mm3 = np.array(
        [math.prod(c.get(f"outer_{side}_mm") or c[f"inner_{side}_mm"] for side in _SIDES) for c in cartons], np.float64
    )
    network.carton_minor = np.array([carton["cost_minor"] for carton in cartons], np.float64)
    network.carton_tare_g = np.array([carton["weight_g"] for carton in cartons], np.int64)
    network.carton_max_g = np.array([carton.get("weight_max_g") or NO_LIMIT for carton in cartons], np.int64)


def _compile_channels(network: Network, channels: list[dict[str, Any]]) -> None:
    everywhere = list(network.node_ids.values())
    nodes: dict[int, list[int]] = {}
    for channel in channels:
        channel_id, code = channel["channel_id"], channel["code"]
        nodes[channel_id] = everywhere if channel["node_ids"] is None else channel["node_ids"]
        is_connected = channel.get("connected", False)
        network.channels[code] = Channel(channel_id, code, channel_id, channel["active"], is_connected)
    lists = [nodes.get(channel_id, []) for channel_id in range(max(nodes, default=-1) + 1)]
    network.candidate_offsets = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    network.candidates = np.array([node for each in lists for node in each], np.int32)
    network.candidates_max = max(map(len, lists), default=0)
