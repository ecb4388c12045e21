"""Policies compared in the simulated world on the pure core: the same shoppers, supply and luck for each."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from onhand.documents.findings import Finding
from onhand.errors import InvalidInput
from onhand.library.network import Network
from onhand.library.simulate import replayed
from onhand.library.source import policy_of
from onhand.simulation.history import History
from onhand.simulation.report import document
from onhand.simulation.rules import PlainRules, PolicyRules, Rules
from onhand.sourcing.policies.asking import facts_of_nodes
from onhand.sourcing.policies.facts import ItemFacts, OrderFacts, node_facts, order_facts
from onhand.sourcing.policies.lint import Known, lint
from onhand.sourcing.policies.model import PolicyIn
from onhand.sourcing.policies.select import Compiled, Nodes, compile_policy
from onhand.sourcing.policy import Policy
from onhand.twin.document import network_document, orders_of
from onhand.twin.world import COVER_DAYS, ORDERS_PER_DAY, Json, World, build

BEGINS: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""Midnight of the first day: a Monday of March, as in the demo."""
ORDERS: Final = 1_000
"""Orders a day, unless asked otherwise."""
_DAY_S: Final = 86_400.0
# Suppliers come once a week. What they bring is what usually sells in a week, give or take, and now and then late.
_WEEK: Final = 7
_SPREAD: Final = 0.15
_LATE_SHARE: Final = 1 / 12
_LATE_DAYS: Final = 3
# What lies there on the first day lasts that much longer than until the next delivery.
_SPARE_DAYS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A policy to compare. name: of a built-in one, or of its file. document: what the file says; None: built in."""

    name: str
    document: PolicyIn | None = None


def contender(name: str, text: str | None = None) -> tuple[Contender | None, list[Finding]]:
    """A built-in policy, or that of a text, and what is wrong with the text by place; None where it cannot be used.
    Raises InvalidInput: no built-in policy of that name."""
    if text is None:
        policy_of(name)
        return Contender(name=name), []
    linted = lint(text, known=_known(build(1)))
    return (None if linted.policy is None else Contender(name=name, document=linted.policy)), linted.findings


def _known(world: World) -> Known:
    services = {service["code"] for carrier in world.carriers.values() for service in carrier["services"]}
    return Known(
        groups=(), nodes=[site.code for site in world.sites], channels=[shop.code for shop in world.shops],
        services=services,
    )  # fmt: skip


def compare_policies(
    contenders: Sequence[Contender],
    *,
    days: int = 28,
    orders_per_day: int = ORDERS,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """The reports (simulation/report.py) of each policy after the first, compared with the first.

    All meet the same orders, deliveries, rejections and transit times, drawn from `seed`: differences are paired.
    progress  told how many of how many decisions have been made

    Raises InvalidInput: fewer than two policies, or two of one name.
    """
    names = [one.name for one in contenders]
    if len(names) < 2 or len({*names}) < len(names):
        raise InvalidInput.at("policy", f"expected two or more different policies, got {', '.join(names) or 'none'}")
    world = build(seed)
    orders = orders_of(world, None, begins=BEGINS, until_s=days * _DAY_S, orders_per_day=orders_per_day, run=seed)
    network = Network.load(_stocked(world, days, orders_per_day / ORDERS_PER_DAY), at=BEGINS)
    ids = network.compiled.node_ids
    nodes = facts_of_nodes([(ids[s.code], _facts_of(s.document, s.code)) for s in world.sites], len(ids))
    compiled = [None if one.document is None else compile_policy(one.document) for one in contenders]
    found = replayed(
        orders, network,
        [partial(_rules, one.name, policy, nodes) for one, policy in zip(contenders, compiled, strict=True)],
        first=_objectives(contenders[0].name, compiled[0]), seed=seed,
        rejection={site.code: site.reject_rate for site in world.sites}, facts=_facts(world, orders),
        progress=None if progress is None else lambda done: progress(done, len(orders) * len(contenders)),
    )  # fmt: skip
    ends = (BEGINS + timedelta(days=days)).timestamp()
    return [document(found.history, one, ends=ends) for one in found.comparisons]


def _rules(name: str, policy: Compiled | None, nodes: Nodes, history: History) -> Rules:
    if policy is None:
        return PlainRules(policy_of(name), history, label=name)
    return PolicyRules(name, policy, history, nodes)


def _objectives(name: str, policy: Compiled | None) -> Policy:
    """What the yardstick of lateness is read from."""
    if policy is None:
        return policy_of(name)
    return policy.engine_policy(name)


def _stocked(world: World, days: int, share: float) -> Json:
    """The world's network, whose suppliers come once a week with what usually sells until they come again.

    share  of the usual number of orders
    """
    draw = random.Random(f"onhand deliveries {world.seed}")  # noqa: S311 - a simulation, no secret
    given = network_document(world)
    weekday = {site.code: n % _WEEK for n, site in enumerate(world.sites)}
    stock: list[Json] = []
    inbound: list[Json] = []
    for (sku, node), target in world.targets.items():
        daily = target / COVER_DAYS * share
        # Small numbers are rounded by chance, or slow items would never come.
        stock.append({"sku": sku, "node": node, "available": max(1, round(daily * (weekday[node] + 1 + _SPARE_DAYS)))})
        for day in range(weekday[node] + 1, days, _WEEK):
            units = int(daily * _WEEK * max(0.0, draw.gauss(1, _SPREAD)) + draw.random())
            late = _LATE_DAYS if draw.random() < _LATE_SHARE else 0
            if units:
                at = BEGINS + timedelta(days=day + late, hours=6)
                inbound.append({"sku": sku, "node": node, "quantity": units, "expected_at": at.isoformat()})
    return given | {"stock": stock, "inbound": inbound}


def _facts(world: World, orders: Sequence[Json]) -> Callable[[int], OrderFacts]:
    items = {item["sku"]: item for item in world.items}

    def line(row: Json) -> ItemFacts:
        item: Mapping[str, Any] = items[row["sku"]]
        return {
            "sku": row["sku"], "category": item.get("category", ""), "units": row["quantity"],
            "price_minor": row["price_minor"], "weight_g": item.get("weight_g", 0), "attributes": {},
        }  # fmt: skip

    def of(number: int) -> OrderFacts:
        order = orders[number]
        return order_facts(
            channel=order["channel"], currency=order["currency"],
            placed_at=datetime.fromisoformat(order["placed_at"]), country=order["destination"]["country"],
            postal_code=order["destination"]["postal_code"], items=[line(row) for row in order["lines"]],
            method=order.get("method", "ship"), service=order.get("service"), email=order["customer"]["email"],
        )  # fmt: skip

    return of


def _facts_of(site: Json, code: str) -> Any:
    return node_facts(code=code, type=site["node_type"], country=site["country"], postal_code=site.get("postal_code"))
