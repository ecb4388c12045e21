"""What a process keeps in memory to decide quickly: catalogue, network, availability. All of it can be lost at any
moment and read again; none of it is believed by a write."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from onhand.catalog.catalogue import Catalogue, read_items
from onhand.db import Database, queries
from onhand.db.outbox import Cursor, head
from onhand.flows.in_force import InForce, assemble, read_node_facts, read_versions
from onhand.flows.trials import Tally
from onhand.ledger.snapshot import Snapshot, read_positions
from onhand.network.compiled import Network, compile_network, load_network, read_document
from onhand.sourcing import custom, outlook
from onhand.sourcing.outlook import Outlook
from onhand.sourcing.policies.asking import Asking
from onhand.sourcing.policy import STANDARD, Policy
from onhand.sourcing.solve import NO_PRICES, Stock
from onhand.sourcing.store import latest_outlook
from onhand.sourcing.tables import Prices
from onhand.sourcing.warm import warm_kernel

SQL = queries(__file__)


def _pair(cursor: Cursor) -> tuple[int, int]:
    return cursor.xid, cursor.pos


def _clock() -> datetime:
    return datetime.now(UTC)


class State:
    """The memory of one process. `lock` guards snapshot and network while a decision or an update touches them."""

    def __init__(self, db: Database, *, now: Callable[[], datetime] = _clock) -> None:
        self.db = db
        self.now = now
        self.lock = threading.Lock()
        # Whoever read the network first must not take it over last.
        self._reloading = threading.Lock()
        self._network_read_at = -1.0
        self.catalogue = Catalogue()
        self.network: Network = compile_network(b'{"nodes":[],"carriers":[],"channels":[]}', now())
        self.snapshot = Snapshot()
        # What is foreseen, and the prices that have followed the orders of this process since.
        self.outlook: Outlook | None = None
        self._prices: Prices = NO_PRICES
        self._hour = -1  # UTC, that the risks of rejection among them are for
        self._room_at = (0, -1.0)  # network and moment of its clock that the prices of room among them are for
        self.in_force: InForce | None = None
        self.tally = Tally()
        # Where the last round of planning orders again ended: when that order leaves, and its id (flows/reoptimise.py).
        self.reoptimised_to: tuple[datetime, str] | None = None
        self.cursor = Cursor()
        self.loaded = False

    def load(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read everything. Events committed meanwhile are read again by `follow`."""
        custom.log_installed()
        # Before the first order waits for it.
        warm_kernel(self.policy)
        with self.db.connection() as conn:
            self.cursor = head(conn)
            self.catalogue.load(conn)
            network = load_network(conn, self.now())
            in_force = assemble(read_versions(conn), read_node_facts(conn), network)
            with self.lock:
                self.network, self.in_force = network, in_force
            self.snapshot.load(conn, self.catalogue.count, network.count, progress, lock=self.lock)
        self.look_ahead()
        self.loaded = True

    @property
    def asking(self) -> Asking:
        """The versions that decide. Take it together with `network`, under `lock`."""
        assert self.in_force is not None, "read by `load`"
        return self.in_force.asking

    @property
    def policy(self) -> Policy:
        """What the solver takes of them; of the built-in policy before anything is read."""
        return STANDARD if self.in_force is None else self.in_force.asking.policy

    def stock(self) -> Stock:
        """The snapshot as the solver reads it. Call and use under `lock`."""
        self.snapshot.grow(self.catalogue.count, self.network.count)
        s = self.snapshot
        if self.outlook is None:
            return Stock(s.available, s.pending, s.safety)
        prices = outlook.grown(self._prices, *s.available.shape)
        hour = int(self.now().timestamp() // 3600) % 24
        if len(prices.rejection) and hour != self._hour:
            self._hour, prices = hour, prices._replace(rejection=self.outlook.risk(s.available.shape[1], hour))
        if len(self.outlook.room) and self._room_at != (id(self.network), self.network.slots_until):
            # A cut-off may have passed: what was tomorrow is the day that is open now.
            self._room_at = id(self.network), self.network.slots_until
            room = outlook.grown(NO_PRICES._replace(capacity=self.outlook.room_at(self.network)), *s.available.shape)
            prices = prices._replace(capacity=room.capacity)
        self._prices = prices
        return Stock(s.available, s.pending, s.safety, prices=prices, step_minor=self.outlook.step_minor)

    def look_ahead(self) -> None:
        """Take over the latest outlook."""
        with self.db.connection() as conn:
            latest = latest_outlook(conn)
        if latest is None or (self.outlook is not None and self.outlook.made_at == latest.made_at):
            return  # a process hears of its own outlooks, too
        prices = latest.prices(*self.snapshot.available.shape)
        with self.lock:
            self.outlook, self._prices, self._hour, self._room_at = latest, prices, -1, (0, -1.0)

    def learn_items(self, skus: list[str]) -> None:
        """Read items that another process may just have created."""
        with self.db.connection() as conn:
            read = read_items(conn, skus)
        with self.lock:  # never held while the database is waited for: the event loop takes it, too
            self.catalogue.take(read)

    def reload_network(self, *, since: float | None = None) -> None:
        """Take a changed network or policy over; safety stock defaults may have changed with the network. Little to do
        when its document is the one known: this process learns of its own changes twice; or when it was read after
        `since` (time.monotonic): many may ask at once."""
        with self._reloading:
            if since is not None and self._network_read_at > since:
                return
            began = time.monotonic()
            with self.db.connection() as conn:
                is_new = read_document(conn) != self.network.document
                network = load_network(conn, self.now()) if is_new else self.network
                in_force = assemble(read_versions(conn), read_node_facts(conn), network)
                with self.lock:
                    self.network, self.in_force = network, in_force
                if is_new:
                    self.snapshot.load(conn, self.catalogue.count, network.count, lock=self.lock)
            self._network_read_at = began

    def follow(self) -> None:
        """Apply what other processes, and this one's own set-up calls, have committed since the last time."""
        skus: set[str] = set()
        pairs: set[tuple[int, int]] = set()
        network = ahead = False
        with self.db.connection() as conn:
            end = head(conn)
            rows = (
                conn.execute(SQL["changes"], (*_pair(self.cursor), *_pair(end), self.db.origin)).fetchall()
                if end > self.cursor
                else []
            )
        for kind, data in rows:
            if kind == "stock.changed":
                pairs.update(zip(data["items"], data["nodes"], strict=True))
            elif kind == "item.changed":
                skus.update(row["sku"] for row in data["items"])
            elif kind == "outlook.changed":
                ahead = True
            else:
                network = True
        if skus:
            self.learn_items(sorted(skus))
        if network:
            self.reload_network()
        if pairs:
            self._refresh(pairs)
        if ahead:
            self.look_ahead()
        self.cursor = end

    def take(self, items: list[int], nodes: list[int]) -> None:
        """Read positions this process has changed otherwise than by the hot path."""
        if items:
            self._refresh(set(zip(items, nodes, strict=True)))

    def _refresh(self, pairs: set[tuple[int, int]]) -> None:
        rows = np.array(sorted(pairs), np.int32)
        items, nodes = np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1])
        with self.db.connection() as conn:
            found = read_positions(conn, items, nodes)
        if found:
            with self.lock:
                self.snapshot.grow(
                    max(self.catalogue.count, int(items.max())), max(self.network.count, int(nodes.max()))
                )
                self.snapshot.apply(*found)
