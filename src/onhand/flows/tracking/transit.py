"""Feed back how long carriers really take into the transit times that sourcing promises on.

What was learned is written when it differs from what is in force by enough to matter: each change is a new network,
known to every process at once, and an event with the times before and after.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

import onhand.network.store as network_store
from onhand.base.actor import SYSTEM
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.fulfilment.delivery.transit import Learned, Travelled, learn_transit
from onhand.fulfilment.tracking.decide import telling
from onhand.fulfilment.tracking.forecasts import Facts
from onhand.network.compiled import Network, compile_network, read_document
from onhand.simulation.replay import transit_column

# Times that differ by less change no promise worth mentioning.
_MATTERS: Final = 0.05
# A node and country whose declared medians differ by more is served by several bands: only its regions tell.
_VARIES_MAX: Final = 0.05
_TOLD_MAX: Final = 50
_PLACE: Final = ("service", "lane", "node", "country", "region")

Row = dict[str, Any]
Key = tuple[Any, ...]


def feed_back(db: Database, facts: Facts, now: datetime) -> list[str]:
    """Learn transit times from shipments, and put in force those that have changed; the carriers whose times did."""
    with db.connection() as conn:
        document = msgspec.json.decode(read_document(conn))
        carriers = {c.code: c for c in network_store.list_carriers(conn, limit=10_000)}
    documents = {c["code"]: c["document"] for c in document["carriers"]}
    learned = learned_rows(document, facts, now)

    def work(conn: Connection[TupleRow]) -> list[str]:
        network_store.lock_network(conn)
        changed: list[str] = []
        for code, rows in sorted(learned.items()):
            before = carriers[code].learned or []
            if not _matters(before, rows):
                continue
            if network_store.write_transit(conn, code, documents[code]["services"], rows, at=now):
                changed.append(code)
                _tell(db, conn, code, before, rows, is_used=documents[code].get("transit") != "declared")
        network_store.note_transit(conn, learned.keys() - set(changed), at=now)
        return changed

    changed = db.transact(work)
    db.notify()
    return changed


def learned_rows(document: Mapping[str, Any], facts: Facts, now: datetime) -> dict[str, list[Row]]:
    """By carrier what its shipments teach, as network/transit.py has it; of every carrier of a network document."""
    declared = {**document, "carriers": [{k: v for k, v in c.items() if k != "transit"} for c in document["carriers"]]}
    network = compile_network(msgspec.json.encode(declared), now)
    trips = _trips(network, facts, now)
    rows: dict[str, list[Row]] = {c["code"]: [] for c in document["carriers"]}
    if not len(trips.travelled.days):
        return rows
    levels = learn_transit(trips.travelled)
    of_service, of_way, of_region = levels
    told: dict[Key, tuple[float, float]] = {}
    for g, key in enumerate(trips.names[0]):
        if np.isfinite(of_service.shift[g]):
            service = network.services[int(key[0])]
            assert service.carrier is not None
            usual = float(np.log(of_service.p95_declared[g] / of_service.p50_declared[g]))
            told[key] = float(of_service.shift[g]), float(of_service.spread[g])
            rows[service.carrier].append(
                {
                    "service": service.code, "p50_factor": round(float(np.exp(of_service.shift[g])), 4),
                    "spread_factor": round(float(of_service.spread[g]) / max(usual, 0.01), 4),
                    "spread": round(float(of_service.spread[g]), 4), **_facts(of_service, g),
                }
            )  # fmt: skip
    for level, of in ((1, of_way), (2, of_region)):
        for g, key in enumerate(trips.names[level]):
            is_lane = level == 1 and key[1] == "lane"
            if not np.isfinite(of.shift[g]) or (level == 1 and not is_lane and of.varies[g] > _VARIES_MAX):
                continue
            shift, spread = float(of.shift[g]), float(of.spread[g])
            above = next(told[k] for k in (key[:-1], key[:1]) if k in told)
            if max(abs(shift - above[0]), abs(shift + spread - sum(above))) < _MATTERS:
                continue
            told[key] = shift, spread
            service = network.services[int(key[0])]
            assert service.carrier is not None
            place = {"lane": key[2]} if is_lane else {
                "node": key[2], "country": key[3], "region": key[4] if level == 2 else None
            }  # fmt: skip
            rows[service.carrier].append({"service": service.code, **place, **_facts(of, g)})
    return rows


def _facts(of: Learned, g: int) -> Row:
    return {
        "p50": round(float(of.p50[g]), 3), "p95": round(float(of.p95[g]), 3),
        "p50_declared": round(float(of.p50_declared[g]), 3), "p95_declared": round(float(of.p95_declared[g]), 3),
        "delivered": int(of.delivered[g]), "on_their_way": int(of.on_their_way[g]),
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trips:
    """names  of the groups of each level: (service,), (service, "lane", key) or (service, "way", node, country), and
    (service, "way", node, country, region)"""

    travelled: Travelled
    names: Sequence[Sequence[Key]]


def _trips(network: Network, facts: Facts, now: datetime) -> _Trips:
    """Shipments of services that are known, to places that are; how long each has travelled since the hand-over."""
    index = {(service.carrier, service.code): s for s, service in enumerate(network.services)}
    shipments, day = facts.shipments, now.timestamp() / 86_400
    service = np.array([index.get(pair, -1) for pair in zip(facts.carriers, facts.services, strict=True)], np.int32)
    node = np.array([network.node_ids.get(code, 0) for code in facts.nodes], np.int32)
    zone = np.array(
        [network.zone_row(d.country, d.region or "", d.postal_code) for d in facts.destinations], np.int32
    )  # fmt: skip
    tells = telling(
        [*zip(facts.carriers, facts.services, strict=True)], shipments.days, day - shipments.start,
        day - facts.silent_from,
    ) if len(service) else np.zeros(0, np.bool_)  # fmt: skip
    rows = np.flatnonzero(tells & (service >= 0) & (node > 0) & np.isfinite(shipments.destination).all(axis=1))
    column = transit_column(
        network, shipments.destination[rows, 0], shipments.destination[rows, 1], zone[rows], node[rows], service[rows]
    ) if len(rows) else np.zeros(0, np.int32)  # fmt: skip
    rows, column = rows[column >= 0], column[column >= 0]
    of, handed = service[rows], np.nan_to_num(shipments.handed_over[rows])
    keys: list[list[Key | None]] = [[], [], []]
    for n, s, c in zip(rows.tolist(), of.tolist(), column.tolist(), strict=True):
        to, lane = facts.destinations[int(n)], network.lane_key(s, c) if c >= network.band_count[s] else None
        way: Key = (s, "way", facts.nodes[int(n)], to.country) if lane is None else (s, "lane", lane)
        keys[0].append((s,))
        keys[1].append(way)
        keys[2].append((*way, to.region) if lane is None and to.region else None)
    grouped = [_numbered(of_level) for of_level in keys]
    travelled = Travelled(
        days=np.maximum(shipments.days[rows] - handed, 0.0), room=day - shipments.start[rows] - handed,
        p50=network.transit_p50[of, column], p95=network.transit_p95[of, column],
        groups=[numbers for _, numbers in grouped],
    )  # fmt: skip
    return _Trips(travelled=travelled, names=[names for names, _ in grouped])


def _numbered(keys: Sequence[Key | None]) -> tuple[list[Key], np.ndarray]:
    names: dict[Key, int] = {}
    numbers = [-1 if key is None else names.setdefault(key, len(names)) for key in keys]
    return list(names), np.array(numbers, np.int64)


def _matters(before: Sequence[Row], rows: Sequence[Row]) -> bool:
    then, now = _by_place(before), _by_place(rows)
    return then.keys() != now.keys() or any(_differ(row, then[place]) for place, row in now.items())


def _differ(a: Row, b: Row) -> bool:
    return any(abs(math.log(a[name] / b[name])) >= _MATTERS for name in ("p50", "p95"))


def _by_place(rows: Sequence[Row]) -> dict[Key, Row]:
    return {tuple(row.get(name) for name in _PLACE): row for row in rows}


def _tell(
    db: Database, conn: Connection[TupleRow], code: str, before: Sequence[Row], rows: Sequence[Row], *, is_used: bool
) -> None:
    then, now = _by_place(before), _by_place(rows)
    changes = [
        dict(zip(_PLACE, place, strict=True)) | {"before": _times(then.get(place)), "now": _times(now.get(place))}
        for place in [*now, *(place for place in then if place not in now)]
        if place not in now or place not in then or _differ(now[place], then[place])
    ]
    data = {"carrier": code, "is_used": is_used, "changes": changes[:_TOLD_MAX], "changed": len(changes)}
    write_event(conn, "carrier.transit_learned", code, data, actor=SYSTEM, origin=db.origin)
    if is_used:
        # What processes look for to read the network anew.
        write_event(conn, "network.changed", code, {"kind": "carrier", "code": code}, actor=SYSTEM, origin=db.origin)


def _times(row: Row | None) -> Row | None:
    """None: as declared, or as learned of what it is a part of."""
    return None if row is None else {name: row[name] for name in ("p50", "p95", "delivered", "on_their_way")}
