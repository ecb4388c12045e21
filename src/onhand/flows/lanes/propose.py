"""Look for lanes that cost more than they promise, and propose a version of the policy that leaves them alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from onhand.base.actor import Actor
from onhand.db import Database, queries
from onhand.db.outbox import write_event
from onhand.errors import Conflict, InvalidInput, NotFound
from onhand.flows.in_force import read_node_facts
from onhand.flows.policies import promote_policy, set_policy
from onhand.flows.simulation.read import Period, read_period
from onhand.jobs.schedules import Schedule
from onhand.jobs.store import add_job
from onhand.jobs.worker import Progress
from onhand.simulation import lanes
from onhand.simulation.compare import Difference
from onhand.simulation.lanes import Area, Lane, Served
from onhand.simulation.replay import Settings, replay
from onhand.simulation.rules import PolicyRules
from onhand.sourcing.policies import store
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.model import PolicyIn
from onhand.sourcing.policies.select import compile_policy
from onhand.sourcing.policies.store import Version

SQL = queries(__file__)
KIND: Final = "policy.lanes"
WORK: Final = "onhand.flows.lanes:run"
DAYS: Final = 90
FLOOR_MINOR: Final = 25.0
_ROWS_MAX: Final = 200_000
ORDERS_MAX: Final = 5_000
_SHOWN: Final = 50
_DISMISSED: Final = timedelta(days=30)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to look at: deliveries of the last `days`, lanes that cost `floor_minor` more an order, `orders_max` orders
    replayed for the evidence."""

    name: str
    days: int = DAYS
    floor_minor: float = FLOOR_MINOR
    orders_max: int = ORDERS_MAX
    seed: int = 0

    def __post_init__(self) -> None:
        for field, low, high in (("days", 7, 730), ("orders_max", 100, 100_000), ("floor_minor", 0, 1_000_000)):
            if not low <= getattr(self, field) <= high:
                raise InvalidInput.at(field, f"expected {low} to {high}")


def ask(conn: Connection[TupleRow], asked: Asked, *, by: int) -> str:
    """Ask for a look in the background; the id of its job. Raises NotFound."""
    check_active(conn, asked.name)
    return add_job(conn, KIND, msgspec.to_builtins(asked) | {"by": by}, by=by)


def check_active(conn: Connection[TupleRow], name: str) -> None:
    """Raises NotFound: no version of the policy is active."""
    if "active" not in store.in_force(conn, name):
        raise NotFound("policy_version", f"{name}@active")


def ask_scheduled(conn: Connection[TupleRow], schedule: Schedule, _now: datetime) -> None:
    """Ask for the look of the day at the policy that the schedule is about. Raises NotFound."""
    ask(conn, msgspec.convert(schedule.settings | {"name": schedule.subject}, Asked), by=schedule.actor)


def run(db: Database, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The Work of a worker."""
    by = Actor(key_id=int(request["by"]), reason="lanes that cost more than they promise")
    asked = msgspec.convert({name: value for name, value in request.items() if name != "by"}, Asked)
    progress("looking at what was delivered", 0, 0)
    found: dict[str, Any] = msgspec.to_builtins(propose_lanes(db, asked, by=by))
    return found


def propose_lanes(db: Database, asked: Asked, *, by: Actor, now: datetime | None = None) -> dict[str, Any]:
    """What was found, JSON-ready: `outcome` says whether a version was proposed, `why` in words. Raises NotFound.

    A version is proposed when a lane is sure to cost more than the floor, and replaying the orders of the period by the
    new version is sure to cost less. It goes into shadow; a shadow or canary that somebody else has on trial stays.
    """
    now = now or datetime.now(UTC)
    since = now - timedelta(days=asked.days)
    with db.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        in_force = store.in_force(conn, asked.name)
        active = in_force.get("active")
        if active is None:
            raise NotFound("policy_version", f"{asked.name}@active")
        served, currency = read_served(conn, since, now)
        found = lanes.learn(served, floor_minor=asked.floor_minor)
        told: dict[str, Any] = {
            "name": asked.name, "version": None, "against": active.version, "since": since, "until": now,
            "currency": currency, "floor_minor": asked.floor_minor, "orders": len(served),
            "lanes": [lane.document() for lane in found[:_SHOWN]], "evidence": None,
        }  # fmt: skip
        services, nodes = _ways(conn)
        policy = active.policy()
        made = lanes.preferring(policy, found, services=services, nodes=nodes, today=now.date())
        if lanes.is_same(made, policy):
            return _ended(told, "nothing", "no lane is sure to cost more than the floor, or all are left alone already")
        shadow = in_force.get("shadow")
        if shadow is not None and lanes.is_same(shadow.policy(), made):
            return _ended(told | {"version": shadow.version}, "on_trial", f"version {shadow.version} says it already")
        if (held := _held(conn, asked.name, in_force, made, now)) is not None:
            return _ended(told, "held", held)
        period = read_period(conn, since, now, orders_max=asked.orders_max)
        nodes_of = facts_of_nodes(read_node_facts(conn), period.history.network.count)
    if not len(period.history):
        return _ended(told, "nothing", "no orders were placed in this period")
    seen = _evidence(period, found, (active.label, policy), (f"{asked.name}@new", made), nodes_of, asked.seed)
    told["evidence"] = _document(seen)
    forgets = any(rule not in made.rules for rule in policy.rules)
    if not seen.high < 0 and not forgets:
        return _ended(told, "not_worth_it", "replayed, orders would not be sure to cost less")
    return _write(db, asked, told, active, made, by)


def read_served(conn: Connection[TupleRow], since: datetime, until: datetime) -> tuple[Served, str]:
    """What was delivered in a period, of the currency that most of it is in."""
    rows = conn.execute(SQL["served"], {"since": since, "until": until, "limit": _ROWS_MAX}).fetchall()
    currencies = Counter(row[4] for row in rows)
    currency = currencies.most_common(1)[0][0] if rows else ""
    areas: dict[Area, int] = {}
    services: dict[str, int] = {}
    nodes: dict[str, int] = {}
    columns: list[tuple[int, int, int, float]] = []
    for _, _, service, node, of, country, region, postal, residual in rows:
        area = Area.of({"country": country, "region": region, "postal_code": postal})
        if of != currency or area is None:
            continue
        numbers = (
            areas.setdefault(area, len(areas)),
            services.setdefault(service, len(services)),
            nodes.setdefault(node, len(nodes)),
        )
        columns.append((*numbers, residual))
    area_of, service_of, node_of, cost = np.array(columns, np.float64).reshape(-1, 4).T
    whole = [x.astype(np.int64) for x in (area_of, service_of, node_of)]
    served = Served(
        areas=list(areas), services=list(services), nodes=list(nodes), area=whole[0], service=whole[1], node=whole[2],
        residual=cost,
    )  # fmt: skip
    return served, currency


def _ways(conn: Connection[TupleRow]) -> tuple[list[str], list[str]]:
    row = conn.execute(SQL["ways"]).fetchone()
    assert row is not None, "arrays have a row"
    return row[0], row[1]


def _held(
    conn: Connection[TupleRow], name: str, in_force: Mapping[Any, Version], made: PolicyIn, now: datetime
) -> str | None:
    """Why nothing may be put on trial now, if so."""
    for row in list_proposals(conn, name):
        version = store.get_version(conn, name, row["version"])
        is_recent = now - row["at"] < _DISMISSED
        if version is not None and version.state == "retired" and is_recent and lanes.is_same(version.policy(), made):
            return f"version {version.version} said the same and was retired: it is proposed again after 30 days"
    if "canary" in in_force:
        return f"version {in_force['canary'].version} is a canary: decide about it first"
    shadow = in_force.get("shadow")
    if shadow is None:
        return None
    row = conn.execute(SQL["is_proposal"], {"name": name, "version": shadow.version}).fetchone()
    if row is not None and row[0]:
        return None
    return f"version {shadow.version} is in shadow, put there by a person: decide about it first"


def _evidence(
    period: Period,
    found: list[Lane],
    baseline: tuple[str, PolicyIn],
    candidate: tuple[str, PolicyIn],
    nodes: Any,
    seed: int,
) -> Difference:
    history = period.history
    live = baseline[1]
    settings = Settings(seed=seed, target_days=live.objectives[live.objective].target_days or 0.0)
    ours, theirs = (
        replay(history, PolicyRules(label, compile_policy(policy), history, nodes), settings)
        for label, policy in (baseline, candidate)
    )

    def area_of(order: int) -> Area | None:
        return None if history.facts is None else Area.of(history.facts(order)["destination"])

    return lanes.evidence(history, area_of, found, ours, theirs)


def _document(seen: Difference) -> dict[str, Any]:
    told = {name: value for name, value in asdict(seen).items() if name != "metric"}
    told = {name: round(value, 2) if isinstance(value, float) else value for name, value in told.items()}
    return {"metric": seen.metric.name} | {name: None if value != value else value for name, value in told.items()}  # noqa: PLR0124


def _ended(told: dict[str, Any], outcome: str, why: str) -> dict[str, Any]:
    return told | {"outcome": outcome, "why": why}


def _write(
    db: Database, asked: Asked, told: dict[str, Any], active: Version, made: PolicyIn, by: Actor
) -> dict[str, Any]:
    """The version, in shadow, and what speaks for it. After a crash in the middle the next look goes on."""
    avoided = [lane for lane in told["lanes"] if lane["is_avoided"]]
    why = f"lanes that cost more than they promise: {len(avoided)} to be left alone"
    text = msgspec.json.format(msgspec.json.encode(made.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
    written = set_policy(db, asked.name, text.decode() + "\n", by=by)
    version = written.version.version

    def work(conn: Connection[TupleRow]) -> None:
        store.lock_policy(conn, asked.name)
        now = store.in_force(conn, asked.name).get("active")
        if now is None or now.version != active.version:
            raise Conflict("policy.moved", f"another version of {asked.name} is active by now: look again")
        values = told | {
            "version": version, "lanes": _json(told["lanes"]), "evidence": _json(told["evidence"]), "by": by.key_id,
        }  # fmt: skip
        conn.execute(SQL["add_proposal"], values)
        data = {
            "name": asked.name, "version": version, "against": active.version, "lanes": avoided,
            "evidence": told["evidence"], "sentence": f"{asked.name}@{version} is proposed: {why}",
        }  # fmt: skip
        write_event(conn, "policy.proposed", asked.name, data, actor=by, origin=db.origin)

    db.transact(work)
    promote_policy(db, asked.name, to="shadow", version=version, why=why, by=by)
    return _ended(told | {"version": version}, "proposed", why)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def list_proposals(conn: Connection[TupleRow], name: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """Versions that were proposed, newest first, with what became of them."""
    with conn.cursor(row_factory=dict_row) as rows:
        return rows.execute(SQL["list_proposals"], {"name": name, "limit": limit}).fetchall()
