"""Versions on trial: what orders come to under a shadow, which decides without effect, and under a canary, which
decides for a share of them; both beside the active version. A canary that breaks a guard is taken back."""

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.catalog.catalogue import Goods
from onhand.db import Database, queries
from onhand.errors import NotFound
from onhand.flows.in_force import InForce, Trial
from onhand.flows.policies import watch_canary
from onhand.network.compiled import Network
from onhand.sourcing.outlook import rows_of
from onhand.sourcing.policies import store
from onhand.sourcing.policies.asking import Asking, Wanted
from onhand.sourcing.policies.guards import Breach, judge
from onhand.sourcing.policies.outcomes import Outcome, outcome
from onhand.sourcing.solve import Asked, Decisions, Stock, decide_asked

SQL = queries(__file__)


class Tally:
    """Sums of this process, until they are written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[tuple[int, int], Outcome] = {}

    def add(self, trial: Trial, version: int, sums: Outcome) -> None:
        """Count orders for a trial, under the version that decided them."""
        if not sums.orders:
            return
        key = trial.state_id, version
        with self._lock:
            self._sums[key] = self._sums.get(key, Outcome()) + sums

    def write(self, db: Database) -> None:
        """Add what has come together to what the database has. Lost if that fails: a trial waits for other orders."""
        with self._lock:
            sums, self._sums = self._sums, {}
        if not sums:
            return
        rows = [{"state_id": trial, "version": version, **asdict(one)} for (trial, version), one in sums.items()]
        # In one order: two processes never wait for each other in a circle.
        rows.sort(key=lambda row: (row["state_id"], row["version"]))

        def work(conn: Connection[TupleRow]) -> None:
            for row in rows:
                conn.execute(SQL["add_outcome"], row)

        db.transact(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a shadow may look at: a copy of the stock and of the room of a batch, as they were before it was decided."""

    batch: Asked
    stock: Stock
    network: Network
    watching: Asking

    @classmethod
    def at(cls, watching: Asking, batch: Asked, wanted: Sequence[Wanted], stock: Stock, now: datetime) -> "Glance":
        """Call under the lock that guards the stock; `batch` without attempts."""
        network = watching.network.with_own_room()
        put = watching.put(batch, [w._replace(version=0, may_part=False) for w in wanted], now.date())
        items = np.unique(batch.item)
        return cls(
            batch=put.asked,
            stock=replace(
                stock,
                available=stock.available[items],
                pending=stock.pending[items],
                safety=stock.safety[items],
                prices=rows_of(stock.prices, items, stock.available.shape[1]),
                rows={item: row for row, item in enumerate(items.tolist())},
            ),
            network=network,
            watching=watching,
        )

    def decide(self, goods: Goods, now: datetime) -> Decisions:
        """What the shadow would do; nothing but the copies changes."""
        return decide_asked(
            self.batch, self.stock, self.network, self.watching.policy, goods, now=now.timestamp(), consume=True
        )


def count(tally: Tally, in_force: InForce, decisions: Decisions, versions: Sequence[int], now: datetime) -> None:
    """Count the orders that have a plan for the canary's trial. versions: index of the one that decided each."""
    if in_force.canary is None:
        return
    of, planned = np.array(versions, np.int64), decisions.count > 0
    for index, number in ((0, in_force.active), (1, in_force.canary.number)):
        rows = np.flatnonzero((of == index) & planned)
        tally.add(in_force.canary, number, outcome(decisions, rows, target_days(in_force), now.timestamp(), 0))


def count_in_vain(tally: Tally, in_force: InForce, versions: Sequence[int]) -> None:
    """Count orders without a plan for the canary's trial."""
    if in_force.canary is None:
        return
    for index, number in ((0, in_force.active), (1, in_force.canary.number)):
        orders = sum(version == index for version in versions)
        tally.add(in_force.canary, number, Outcome(orders=orders, unfillable=orders))


def count_shadow(tally: Tally, in_force: InForce, glance: Glance, mine: Decisions, goods: Goods, now: datetime) -> None:
    """Let the shadow decide a batch that has been decided, and count both."""
    assert in_force.shadow is not None, "there is a version to watch"
    shadow = glance.decide(goods, now)
    days = target_days(in_force)
    for number, decisions in ((in_force.active, mine), (in_force.shadow.number, shadow)):
        rows = np.flatnonzero(decisions.count > 0)
        without = int((decisions.count == 0).sum())
        tally.add(in_force.shadow, number, outcome(decisions, rows, days, now.timestamp(), without))


def target_days(in_force: InForce) -> float:
    """Days within which orders should arrive: by the active version's default objective, for all versions alike."""
    policy = in_force.asking.versions[0].policy
    return policy.objectives[policy.document.objective].target_days


def outcomes(conn: Connection[TupleRow], state_id: int) -> dict[int, Outcome]:
    """What orders came to in a trial, by version."""
    with conn.cursor(row_factory=dict_row) as rows:
        found: list[dict[str, Any]] = rows.execute(SQL["outcomes"], {"state_id": state_id}).fetchall()
    return {row.pop("version"): Outcome(**row) for row in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A version on trial: what orders came to under it and, in the same time, under the active one, by version; and
    what its guards say to that (None: too few orders, or all is well)."""

    trial: store.Version
    active: int
    outcomes: dict[int, Outcome]
    breach: Breach | None


def trials_of(conn: Connection[TupleRow], name: str) -> list[Beside]:
    """The shadow and the canary of a policy. Raises NotFound."""
    if not store.list_policies(conn, limit=1, name=name):
        raise NotFound("policy", name)
    found = store.in_force(conn, name)
    rows: list[Beside] = []
    for state in ("shadow", "canary"):
        trial, active = found.get(state), found.get("active")
        if trial is None or active is None:
            continue
        sums = outcomes(conn, trial.state_id)
        mine, theirs = (sums.get(v, Outcome()) for v in (trial.version, active.version))
        breach = judge(trial.policy().guards, mine.metrics, theirs.metrics)
        rows.append(Beside(trial=trial, active=active.version, outcomes=sums, breach=breach))
    return rows


def watch_trials(db: Database) -> list[Breach]:
    """Take back every canary that breaks a guard; which guards those were."""
    with db.connection() as conn:
        names = [name for (name,) in conn.execute(SQL["with_canary"])]
        trials = [(name, store.in_force(conn, name)) for name in names]
        sums = [outcomes(conn, found["canary"].state_id) if "canary" in found else {} for _, found in trials]
    broken: list[Breach] = []
    for (name, found), by_version in zip(trials, sums, strict=True):
        canary, active = found.get("canary"), found.get("active")
        if canary is None or active is None or canary.version not in by_version or active.version not in by_version:
            continue
        breach = watch_canary(
            db,
            name,
            canary=(canary.version, by_version[canary.version].metrics),
            active=(active.version, by_version[active.version].metrics),
        )
        if breach is not None:
            broken.append(breach)
    return broken
