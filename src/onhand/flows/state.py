"""What a process keeps in memory to decide quickly: catalogue, network, availability. All of it can be lost at any
moment and read again; none of it is believed by a write."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.catalog.catalogue import Catalogue
from onhand.db import Database
from onhand.db.outbox import Cursor, Event, head
from onhand.ledger.snapshot import Snapshot
from onhand.network.compiled import Network, compile_network, load_network
from onhand.sourcing.policy import STANDARD, Policy
from onhand.sourcing.solve import Stock


def _clock() -> datetime:
    return datetime.now(UTC)


class State:
    """The memory of one process. `lock` guards snapshot and network while a decision or an update touches them."""

    def __init__(self, db: Database, *, now: Callable[[], datetime] = _clock) -> None:
        self.db = db
        self.now = now
        self.lock = threading.Lock()
        self.catalogue = Catalogue()
        self.network: Network = compile_network(b'{"nodes":[],"carriers":[],"channels":[]}', now())
        self.snapshot = Snapshot()
        self.policy: Policy = STANDARD
        self.cursor = Cursor()
        self.loaded = False

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read everything. Events committed meanwhile are read again by `follow`."""
        with self.db.connection() as conn:
            self.cursor = head(conn)
            self.catalogue.load(conn)
            network = load_network(conn, self.now())
            with self.lock:
                self.network = network
            self.snapshot.load(conn, self.catalogue.count, network.count, progress)
        self.loaded = True

    def stock(self) -> Stock:
        """The snapshot as the solver reads it. Call and use under `lock`."""
        self.snapshot.grow(self.catalogue.count, self.network.count)
        return Stock(self.snapshot.available, self.snapshot.pending, self.snapshot.safety)

    def learn_items(self, skus: list[str]) -> None:
        """Read items that another process may just have created."""
        with self.db.connection() as conn, self.lock:
            self.catalogue.load(conn, skus)

    def reload_network(self) -> None:
        """Take a changed network over; safety stock defaults may have changed with it."""
        with self.db.connection() as conn:
            network = load_network(conn, self.now())
            with self.lock:
                self.network = network
            self.snapshot.load(conn, self.catalogue.count, network.count)

    def follow(self, events: list[Event]) -> None:
        """Apply what other processes (and this one's own set-up calls) changed."""
        skus: set[str] = set()
        pairs: set[tuple[int, int]] = set()
        network = False
        for event in events:
            if event.kind == "stock.changed" and event.origin != self.db.origin:
                pairs.update(zip(event.data["items"], event.data["nodes"], strict=True))
            elif event.kind == "item.changed":
                skus.update(row["sku"] for row in event.data["items"])
            elif event.kind == "network.changed":
                network = True
        if skus:
            self.learn_items(sorted(skus))
        if network:
            self.reload_network()
        if pairs:
            self._refresh(pairs)

    def take(self, items: list[int], nodes: list[int]) -> None:
        """Read positions this process has changed otherwise than by the hot path."""
        if items:
            self._refresh(set(zip(items, nodes, strict=True)))

    def _refresh(self, pairs: set[tuple[int, int]]) -> None:
        rows = np.array(sorted(pairs), np.int32)
        with self.db.connection() as conn:
            self._read(conn, np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1]))

    def _read(self, conn: Connection[TupleRow], items: "np.ndarray", nodes: "np.ndarray") -> None:  # type: ignore[type-arg]
        with self.lock:
            self.snapshot.grow(
                max(self.catalogue.count, int(items.max())),
                max(self.network.count, int(nodes.max())),
            )
            self.snapshot.refresh(conn, items, nodes)
