"""Compare a policy with the live one on a period of the past."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import YEARS
from onhand.db import Database
from onhand.errors import Conflict, FieldError, InvalidInput, NotFound
from onhand.flows.in_force import read_node_facts
from onhand.flows.policies import in_words, known_names
from onhand.flows.simulation.read import Period, read_period
from onhand.simulation.compare import compare
from onhand.simulation.pareto import Pareto, Prices, grid, sweep
from onhand.simulation.replay import Settings, replay
from onhand.simulation.report import document
from onhand.simulation.rules import PolicyRules
from onhand.sourcing.policies import store
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.lint import lint
from onhand.sourcing.policies.model import PolicyIn
from onhand.sourcing.policies.select import Nodes, compile_policy

SWEEP_ORDERS: Final = 5_000
"""Orders of a sweep over prices, which replays them two dozen times."""
_SWEEP_LOOKS: Final = 4
"""Times that each of those learns what units are worth."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much of it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to simulate.

    version     of the policy `name`; None with `text` None: the newest draft
    text        a policy that is no version yet
    against     version to compare with; None: the active one
    begins, ends  of the period, with time zones
    orders_max  stop after so many orders
    pareto      also sweep the prices of time and carbon
    """

    name: str
    begins: datetime
    ends: datetime
    version: int | None = None
    text: str | None = None
    against: int | None = None
    orders_max: int | None = None
    pareto: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, at in (("from", self.begins), ("to", self.ends)):
            if at.year not in YEARS:
                raise InvalidInput.at(name, f"expected a year from {YEARS[0]} to {YEARS[-1]}")
        if self.begins >= self.ends:
            raise InvalidInput.at("to", "expected a moment after `from`")
        if self.orders_max is not None and self.orders_max < 1:
            raise InvalidInput.at("orders_max", "expected 1 order or more")


def _silent(_what: str, _done: int, _of: int) -> None:
    pass


def simulate_policy(db: Database, request: Request, progress: Progress = _silent) -> dict[str, Any]:
    """The report, as JSON values (see simulation/report.py). Raises NotFound, InvalidInput, Conflict."""
    with db.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        baseline, candidate = choose(conn, request)
        progress("reading", 0, 0)
        period = read_period(
            conn,
            request.begins,
            request.ends,
            orders_max=request.orders_max,
            progress=lambda done: progress("reading", done, 0),
        )
        nodes = facts_of_nodes(read_node_facts(conn), period.history.network.count)
    if not len(period.history):
        raise Conflict("simulation.empty", "no orders were placed in this period")
    return _simulate(period, baseline, candidate, nodes, request, progress)


def choose(conn: Connection[TupleRow], request: Request) -> tuple[tuple[str, PolicyIn], tuple[str, PolicyIn]]:
    """(label, policy) of what is compared with, and of what is tried. Raises NotFound, InvalidInput, Conflict."""
    name, in_force = request.name, store.in_force(conn, request.name)
    against = in_force.get("active") if request.against is None else store.get_version(conn, name, request.against)
    if against is None:
        raise NotFound("policy_version", f"{name}@{request.against or 'active'}")
    if request.text is not None:
        linted = lint(request.text, known=known_names(conn))
        if linted.policy is None:
            raise InvalidInput([FieldError(finding.path, in_words(finding)) for finding in linted.errors])
        return (against.label, against.policy()), (f"{name}@file", linted.policy)
    if request.version is not None:
        tried = store.get_version(conn, name, request.version)
    else:
        tried = store.latest_version(conn, name)
        if tried is not None and tried.state != "draft":
            raise Conflict(
                "simulation.no_draft", f"{name} has no draft that is newer than its other versions: name one"
            )
    if tried is None:
        raise NotFound("policy_version", f"{name}@{request.version}")
    return (against.label, against.policy()), (tried.label, tried.policy())


def _simulate(
    period: Period,
    baseline: tuple[str, PolicyIn],
    candidate: tuple[str, PolicyIn],
    nodes: Nodes,
    request: Request,
    progress: Progress,
) -> dict[str, Any]:
    history, orders = period.history, len(period.history)
    live = baseline[1]
    settings = Settings(seed=request.seed, target_days=live.objectives[live.objective].target_days or 0.0)
    outcomes = [
        replay(
            history,
            PolicyRules(label, compile_policy(policy), history, nodes),
            settings,
            progress=lambda done, at=at, label=label: progress(f"replaying {label}", at * orders + done, 2 * orders),
        )
        for at, (label, policy) in enumerate((baseline, candidate))
    ]
    comparison = compare(history, *outcomes)
    pareto = _sweep(period, candidate[1], nodes, settings, progress) if request.pareto else None
    return document(
        period.history,
        comparison,
        pareto,
        name=request.name,
        ends=period.ends,
        left_out=period.left_out,
        cut=period.cut,
    )


def _sweep(period: Period, policy: PolicyIn, nodes: Nodes, settings: Settings, progress: Progress) -> Pareto:
    """The policy with other prices of a day and of CO2 in its default objective, and with its other objectives."""
    history = period.history.first(SWEEP_ORDERS)
    settings = replace(settings, looks_max=_SWEEP_LOOKS)
    presets = [
        Prices(day_minor=o.day_minor or 0.0, co2_minor_per_kg=o.co2_minor_per_kg or 0.0, name=name)
        for name, o in policy.objectives.items()
    ]
    prices = [*presets, *grid()]

    def rules(at: Prices) -> PolicyRules:
        chosen = policy.objective if at.name is None else at.name
        prices = policy.objectives[chosen].model_copy(
            update={"day_minor": at.day_minor, "co2_minor_per_kg": at.co2_minor_per_kg}
        )
        # Dates and rules that name an objective of their own would hide the prices.
        tried = policy.model_copy(
            update={
                "objective": chosen,
                "objectives": policy.objectives | {chosen: prices},
                "priorities": [],
                "rules": [rule.model_copy(update={"objective": None}) for rule in policy.rules],
            }
        )
        return PolicyRules(chosen, compile_policy(tried), history, nodes)

    return sweep(history, rules, settings, prices, progress=lambda done: progress("sweeping prices", done, len(prices)))
