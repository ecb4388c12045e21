"""Why an order is served as it is: the kept decision, solved again and asked what if. Pure.

What the solver saw is in the plan's record, the network in the document kept with it: the same question has the same
answer years later. Every statement made here is the outcome of solving a changed question, never a guess: what a
candidate alone would cost, which limit bound, the best plan without a node, what would have led to another plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from onhand.base.dates import rfc3339
from onhand.catalog.catalogue import Goods
from onhand.network.compiled import METHODS, NO_LIMIT, Channel, Network, compile_network
from onhand.orders.intake import Wishes
from onhand.orders.model import by_term, split_cost
from onhand.sourcing.custom import NOTHING, Weighed
from onhand.sourcing.policies.asking import Ruling, distances_km, money_alone, without_floor
from onhand.sourcing.policies.select import Compiled, Limits, Rule
from onhand.sourcing.policy import Objective, Policy
from onhand.sourcing.record import FewParcels, Seen
from onhand.sourcing.record_terms import SeenTerm
from onhand.sourcing.solve import NO_PRICES, Ask, Asked, Attempts, Decisions, Int32, Stock, asked, decide_asked
from onhand.sourcing.tables import BASE, LANE_DAY, Prices
from onhand.sourcing.tables import METHODS as SOLVED_BY

Row = dict[str, Any]

# Costs are floats inside the solver: less than half a minor unit is no saving, and a gap of 799.9999 is one of 800.
_CENT = 0.5
_NOISE = 0.001
# Candidates that are asked "what if you had more": those that serve most, cheapest first.
_WHAT_IF_MAX = 40
_CHANGES_MAX = 5
_NOT_CANDIDATES_MAX = 200
_WORTH_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A decision as it was kept. decision: the answer that was given; document: of the network of that moment; pairs:
    customs tariff number and category of the items as they are now."""

    plan_id: str
    at: datetime
    policy: str
    document: bytes
    decision: Row
    seen: Seen
    wishes: Wishes
    channel_id: int
    channel: str
    skus: dict[int, str]
    pairs: dict[int, tuple[str | None, str | None]] = field(default_factory=dict[int, "tuple[str | None, str | None]"])

    @property
    def ruling(self) -> Ruling:
        return Ruling.read(self.policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The version that decided. passed: rules that were for the order too, and came first; refused: codes of nodes that
    the rule does not admit; both by what is known of order and nodes now."""

    policy: Compiled
    passed: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()

    def rule(self, ruling: Ruling) -> Rule:
        return self.policy.rules[max(0, ruling.rule)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The question as it was asked; its items are numbered from 1 in the order of the record.

    free, safety  int32[item - 1, node_id]
    value, base, risk  int32[item - 1, node_id], minor units as in record.Candidate
    """

    ask: Ask
    network: Network
    policy: Policy
    now: float
    free: Int32
    safety: Int32
    value: Int32
    base: Int32
    risk: Int32
    room: npt.NDArray[np.float64]
    weight_g: npt.NDArray[np.int64]
    volume_mm3: npt.NDArray[np.int64]
    nodes: list[int]
    skus: list[str]
    pairs: list[tuple[str | None, str | None]]
    limits: Limits
    objective: str
    terms: list[SeenTerm] = field(default_factory=list[SeenTerm])

    @property
    def wanted(self) -> list[int]:
        return [units for _, units in self.ask.demand]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A solution: cost in minor units with its terms, and per fulfilment what the API shows of it. Not `found`: there
    is none. dips: it takes safety stock, which the solver does only when nothing else serves the order."""

    found: bool
    cost: float
    method: str
    fulfilments: list[Row]
    dips: bool

    @property
    def nodes(self) -> list[str]:
        return [f["node"] for f in self.fulfilments]


def _policy_of(kept: Kept, decided: Decided) -> tuple[str, Policy]:
    """(Name of the objective, the prices that the attempt weighed by); without a floor, which only refuses plans."""
    ruling = kept.ruling
    rule = decided.rule(ruling)
    named = kept.wishes.objective if kept.wishes.objective in decided.policy.objectives else None
    name = named or rule.objective or decided.policy.objective_on(kept.at.astimezone(UTC).date())
    objective = without_floor(decided.policy.objective(name, rule, partial=ruling.kind == "part"))
    if ruling.kind == "money":
        objective = money_alone(objective)
    policy = decided.policy.engine_policy(ruling.version)
    return name, replace(policy, objectives={name: objective}, default=name)


def case_of(kept: Kept, decided: Decided) -> Case:
    """The question behind a kept decision, ready to be solved again."""
    seen, wishes = kept.seen, kept.wishes
    network = compile_network(kept.document, datetime.fromtimestamp(seen.at, UTC))
    name, policy = _policy_of(kept, decided)
    limits = decided.rule(kept.ruling).limits
    size = network.count + 1
    nodes = [c.node_id for c in seen.candidates]
    # The candidates as one channel, and each of them as a channel of its own: for asking what it could do alone.
    network = replace(
        network,
        candidates=np.array([*nodes, *nodes], np.int32),
        candidate_offsets=np.array([0, *range(len(nodes), 2 * len(nodes) + 1)], np.int32),
    )
    free, safety, value, base, risk = (np.zeros((len(seen.item), size), np.int32) for _ in range(5))
    room = np.zeros((size, NO_PRICES.capacity.shape[1]))
    network.left[:] = NO_LIMIT
    for c in seen.candidates:
        free[:, c.node_id], safety[:, c.node_id] = c.free, c.safety
        value[:, c.node_id], base[:, c.node_id], risk[:, c.node_id] = c.value, c.base, c.risk
        if c.room:
            room[c.node_id] = c.room
        for day, left in enumerate(c.left):
            network.left[c.node_id, day] = left
    destination = wishes.destination
    place = (destination.country, destination.region or "", destination.postal_code)
    _set_parcels(network, seen.parcels, network.zone_row(*place))
    most = kept.decision.get("fulfilments_max") or (policy.fulfilments_max if wishes.allow_split else 1)
    return Case(
        ask=Ask(
            demand=[(n, units) for n, units in enumerate(seen.units.tolist(), 1)],
            latitude=seen.latitude,
            longitude=seen.longitude,
            channel=Channel(kept.channel_id, kept.channel, 0, active=True),
            place=place,
            method=wishes.method,
            service=wishes.service,
            pickup_node=network.node_ids.get(wishes.pickup_node or "", 0) if wishes.method == "pickup" else 0,
            fulfilments_max=min(most, limits.fulfilments_max),
            residential=destination.residential,
            prices=[] if seen.price is None else [(price, 0.0) for price in seen.price.tolist()],
        ),
        network=network,
        policy=policy,
        now=seen.at,
        free=free,
        safety=safety,
        value=value,
        base=base,
        risk=risk,
        room=room,
        weight_g=seen.weight_g,
        volume_mm3=seen.volume_mm3,
        nodes=nodes,
        skus=[kept.skus[i] for i in seen.item.tolist()],
        pairs=[kept.pairs.get(i, (None, None)) for i in seen.item.tolist()],
        limits=limits,
        objective=name,
        terms=seen.terms,
    )


def _set_parcels(network: Network, few: Sequence[FewParcels], zone: int) -> None:
    """Carriers take any number of parcels, but for what was seen."""
    network.parcels[:] = NO_LIMIT
    network.lanes[:] = NO_LIMIT
    for seen in few:
        k, s = seen.node_id, seen.service
        network.parcels[k, s, seen.day] = seen.of_node
        lane = network.lane_of[s, network.zone_transit[zone, s, k]]
        if seen.of_lane != NO_LIMIT and lane >= 0:
            network.lanes[lane, network.slot_day[k, seen.day] & LANE_DAY] = seen.of_lane


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """One changed question: None stands for what it was. demand: items (from 1) with their units."""

    ask: Ask
    free: Int32 | None = None
    safety: Int32 | None = None


def solve(case: Case, questions: Sequence[What]) -> list[Plan]:
    """Answer changed questions about one case, all against its network; nothing is consumed between them."""
    if not questions:
        return []
    lines = len(case.skus)
    # A question with other stock has rows of its own, so that what it changes no other sees; the rest share the first.
    changed = [q for q in questions if q.free is not None or q.safety is not None]
    free = np.concatenate([case.free, *(case.free if q.free is None else q.free for q in changed)])
    safety = np.concatenate([case.safety, *(case.safety if q.safety is None else q.safety for q in changed)])
    blocks = {id(q): n for n, q in enumerate(changed, 1)}
    offsets = [blocks.get(id(q), 0) * lines for q in questions]
    asks = [
        msgspec.structs.replace(q.ask, demand=[(offset + item, units) for item, units in q.ask.demand])
        for q, offset in zip(questions, offsets, strict=True)
    ]
    count = len(changed) + 1
    weight = np.concatenate([[0], np.tile(case.weight_g, count)]).astype(np.int64)
    volume = np.concatenate([[0], np.tile(case.volume_mm3, count)]).astype(np.int64)
    number = np.concatenate([[0], np.tile(np.arange(1, lines + 1), count)]).astype(np.int32)
    goods = Goods(weight, volume, number, [(None, None), *case.pairs])
    stock = Stock(free, np.zeros_like(free), safety, {row + 1: row for row in range(len(free))})
    stock.prices, policy = prices_of(case.policy, *(np.tile(a, (count, 1)) for a in (case.value, case.risk)))
    stock.prices = _with_room(stock.prices, case.room)
    batch = asked(asks, case.network)
    batch.attempts = _attempts(batch, case)
    weighed = _weighed(case, [[item - 1 for item, _ in q.ask.demand] for q in questions])
    decisions = decide_asked(batch, stock, case.network, policy, goods, now=case.now, consume=False, weighed=weighed)
    return [_plan(case, decisions, n, offset, free - safety) for n, offset in enumerate(offsets)]


def prices_of(policy: Policy, value: Int32, risk: Int32) -> tuple[Prices, Policy]:
    """Prices from which `policy`, changed so as not to weigh again what was weighed, gets just these minor units.

    value, risk  int32[row, node]
    """
    prices = NO_PRICES
    if value.any():
        unit = np.zeros((*value.shape, 4), np.float32)
        unit[:, :, BASE] = value
        prices = prices._replace(unit=unit, clock=np.zeros(len(value)))
    dearest = float(risk.max(initial=0))
    if dearest:
        sure = np.ones(risk.shape[1], np.float32)
        prices = prices._replace(rejection=sure, ratio=(risk / dearest).astype(np.float32))
    objectives = {name: replace(o, opportunity=1.0, rejection_minor=dearest) for name, o in policy.objectives.items()}
    return prices, replace(policy, objectives=objectives)


def _with_room(prices: Prices, room: npt.NDArray[np.float64]) -> Prices:
    return prices._replace(capacity=room) if room.any() else prices


def _attempts(batch: Asked, case: Case) -> Attempts:
    """One within the limits of the rule for every question, and one more that may take safety stock."""
    limits, count = case.limits, len(batch.zone)
    tries = 2 if limits.dip_into_safety_stock else 1

    def each(value: float, dtype: type[np.generic]) -> npt.NDArray[Any]:
        return np.full(count * tries, value, dtype)

    codes = [service.code for service in case.network.services]
    return Attempts(
        first=np.arange(0, count * tries + 1, tries, dtype=np.int32),
        candidates=np.repeat(batch.channel, tries),
        fulfilments_max=np.repeat(batch.fulfilments_max, tries),
        objective=each(0, np.int32),
        km_max=each(np.inf if limits.distance_km_max is None else limits.distance_km_max, np.float64),
        supply=each(0, np.int32),
        dip=np.tile(np.arange(tries, dtype=np.int32), count),
        divide=each(limits.dividing, np.int32),
        days_max=each(np.inf if limits.days_max is None else limits.days_max, np.float64),
        services=each(0, np.int32),
        allowed=np.array([[limits.services is None or code in limits.services for code in codes]], np.bool_),
    )


def _weighed(case: Case, rows: Sequence[Sequence[int]]) -> Weighed:
    """What terms of others asked when the decision was made, for questions about `rows` of the case's items. Those of
    today are not asked."""
    if not case.terms:
        return NOTHING
    nodes, count, demand = case.network.count + 1, len(rows), [row for of in rows for row in of]
    fulfilment = np.zeros((len(case.terms), count, nodes), np.float32)
    unit = np.zeros((len(case.terms), len(demand), nodes), np.float32)
    for x, term in enumerate(case.terms):
        fulfilment[x][:, term.node_id] = term.fulfilment
        if term.unit is not None:
            unit[x][:, term.node_id] = term.unit[demand]
    names = tuple(term.name for term in case.terms)
    paid, seen = np.array([term.paid for term in case.terms], np.bool_), np.zeros((count, nodes), np.bool_)
    return Weighed(names=names, fulfilment=fulfilment, unit=unit, paid=paid, seen=seen)


def _plan(case: Case, d: Decisions, order: int, offset: int, unguarded: Int32) -> Plan:
    network = case.network
    dips = False
    rows: list[Row] = []
    by_number: dict[int, dict[str, int]] = {}
    for p in range(d.pick_first[order], d.pick_first[order + 1]):
        lines = by_number.setdefault(int(d.pick_number[p]), {})
        sku = case.skus[int(d.demand_item[d.pick_demand[p]]) - offset - 1]
        lines[sku] = lines.get(sku, 0) + int(d.pick_units[p])
        dips |= bool(d.pick_units[p] > unguarded[d.demand_item[d.pick_demand[p]] - 1, d.pick_node[p]])
    for number, r in enumerate(range(d.fulfilment_first[order], d.fulfilment_first[order + 1]), 1):
        service = int(d.service[r])
        cost = by_term(*split_cost(np.rint(d.terms[r]).astype(np.int64).tolist(), d.others))
        rows.append(
            {
                "node": network.node_codes[int(d.node[r])],
                "carrier": None if service < 0 else network.services[service].carrier,
                "service": "pickup" if service < 0 else network.services[service].code,
                "units": by_number[number],
                "cost": cost,
                "cost_minor": sum(cost.values()),
                "ship_by": rfc3339(int(d.departs[r])),
                "deliver_by": rfc3339(int(d.deliver[r])),
            }
        )
    return Plan(
        found=bool(d.count[order]),
        cost=float(d.cost[order]),
        method=SOLVED_BY[int(d.method[order])],
        fulfilments=rows,
        dips=dips,
    )


def is_reproduced(kept: Kept, plan: Plan) -> bool:
    """Whether solving again gave the decision that was kept: nodes, services, units, costs and dates."""
    return [_essence(f) for f in kept.decision["fulfilments"]] == [_essence(f) for f in plan.fulfilments]


def _essence(fulfilment: Row) -> Row:
    units: dict[str, int] = fulfilment.get("units") or {}
    for line in fulfilment.get("lines", ()):
        units = units | {line["sku"]: units.get(line["sku"], 0) + line["quantity"]}
    names = ("node", "carrier", "service", "cost", "cost_minor", "ship_by", "deliver_by")
    return {name: fulfilment[name] for name in names} | {"units": units}


def explain(kept: Kept, decided: Decided) -> Row:
    """The whole answer: candidates with their costs, the limits that bound, the runner-up and what would change it."""
    case = case_of(kept, decided)
    (plan,) = solve(case, [What(ask=case.ask)])
    candidates = _candidates(case, plan)
    runner_up, gaps = _runner_up(case, plan)
    binding = _binding(case, plan)
    changes = _more_stock(case, plan, candidates) + _dearer(case, gaps)
    ruling = kept.ruling
    is_ruled = ruling.rule >= 0 and bool(kept.decision["fulfilments"])
    answer: Row = {
        "plan_id": kept.plan_id,
        "at": kept.at,
        "policy": ruling.version,
        "rule": {"number": ruling.rule, "name": decided.rule(ruling).name} if is_ruled else None,
        "objective": {"name": case.objective} | _prices(case.policy.objectives[case.objective]),
        "decision": kept.decision,
        "reproduced": is_reproduced(kept, plan),
        "method": plan.method,
        "cost_minor": round(plan.cost) if plan.found else None,
        "uses_safety_stock": plan.dips,
        "chosen": plan.nodes,
        "candidates": candidates + _not_candidates(case, kept, decided),
        "binding_constraints": binding,
        "runner_up": runner_up,
        "would_change_it": changes,
    }
    return answer | {"sentences": [*_sentences(case, plan, answer), *_ruled(kept, decided, answer)]}


def _prices(objective: Objective) -> Row:
    prices: Row = msgspec.to_builtins(objective)
    return prices if objective.weights else {name: price for name, price in prices.items() if name != "weights"}


# Candidates -----------------------------------------------------------------------------------------


def _alone(case: Case, node: int, demand: Sequence[tuple[int, int]]) -> Ask:
    """The question with one node only, and of its demand what is named."""
    channel = replace(case.ask.channel, index=1 + case.nodes.index(node))
    return msgspec.structs.replace(case.ask, demand=list(demand), channel=channel, fulfilments_max=1)


def _candidates(case: Case, plan: Plan) -> list[Row]:
    """What each node could do alone: the whole order, or the lines it can serve in full."""
    can: dict[int, list[tuple[int, int]]] = {
        node: [(item, units) for item, units in case.ask.demand if case.free[item - 1, node] >= units]
        for node in case.nodes
    }
    asked = [node for node in case.nodes if can[node]]
    alone = dict(zip(asked, solve(case, [What(ask=_alone(case, n, can[n])) for n in asked]), strict=True))
    unreached = [n for n in asked if not alone[n].found]
    lifted = [What(ask=_alone(case, n, can[n])) for n in unreached]
    with_room = replace(case, network=case.network.without_limits())
    roomy = dict(zip(unreached, solve(with_room, lifted), strict=True))
    with_days = replace(case, network=replace(case.network, left=np.full_like(case.network.left, NO_LIMIT)))
    on_days = dict(zip(unreached, solve(with_days, lifted), strict=True))
    rows: list[Row] = []
    for node in case.nodes:
        served = {item for item, _ in can[node]}
        row: Row = {
            "node": case.network.node_codes[node],
            "chosen": case.network.node_codes[node] in plan.nodes,
            "can_serve": [case.skus[item - 1] for item, _ in can[node]],
            "missing": {
                case.skus[item - 1]: units - max(0, int(case.free[item - 1, node]))
                for item, units in case.ask.demand
                if item not in served
            },
            "best_service": None,
            "cost": None,
            "cost_minor": None,
            "deliver_by": None,
        }
        if not served:
            row["excluded_because"] = "holds no line in full"
        elif node in roomy:
            row["excluded_because"] = _forbidden(case, node) or (
                "no service reaches the destination from it"
                if not roomy[node].found
                else "its ship days are full"
                if on_days[node].found
                else "its carriers take no more parcels"
            )
        else:
            (f,) = alone[node].fulfilments
            row |= {"best_service": f["service"], "carrier": f["carrier"], "cost": f["cost"]}
            row |= {"cost_minor": f["cost_minor"], "ship_by": f["ship_by"], "deliver_by": f["deliver_by"]}
        if case.value[:, node].any() or case.base[:, node].any():
            row["unit_worth"] = [_worth(case, item, node) for item, _ in case.ask.demand]
        rows.append(row)
    rows.sort(key=lambda r: (not r["chosen"], len(r["missing"]), r["cost_minor"] is None, r["cost_minor"] or 0))
    return rows


def _worth(case: Case, item: int, node: int) -> Row:
    """What a unit that is taken here is missing later, in minor units, and its two parts: as supply of other orders,
    and at the node itself (sold to who walks in, or cleared)."""
    value, base = int(case.value[item - 1, node]), int(case.base[item - 1, node])
    return {"sku": case.skus[item - 1], "worth_minor": value, "network_minor": value - base, "node_minor": base}


def _forbidden(case: Case, node: int) -> str | None:
    """Which term of others says that a node may not serve any of it."""
    objective = case.policy.objectives[case.objective]
    for term in case.terms:
        at = np.flatnonzero(term.node_id == node)
        if len(at) and objective.weights.get(term.name, 1.0):
            lines = np.zeros(1) if term.unit is None else term.unit[:, at[0]]
            if np.isposinf(term.fulfilment[at[0]]) or np.isposinf(lines).all():
                return f"the cost term {term.name} rules it out"
    return None


def _not_candidates(case: Case, kept: Kept, decided: Decided) -> list[Row]:
    """Nodes of the channel that were not weighed, and why; at most _NOT_CANDIDATES_MAX."""
    document: Row = msgspec.json.decode(kept.document)
    of_channel: list[int] | None = next(
        (c["node_ids"] for c in document["channels"] if c["channel_id"] == kept.channel_id), None
    )
    method = METHODS[case.ask.method]
    excluded = set(kept.decision.get("excluded", ()))
    km = distances_km(case.network, case.ask.latitude, case.ask.longitude)
    farthest = case.limits.distance_km_max
    rule = decided.rule(kept.ruling).name
    rows: list[Row] = []
    for node in document["nodes"]:
        node_id, code = node["node_id"], node["code"]
        if node_id in case.nodes or (of_channel is not None and node_id not in of_channel):
            continue
        if not node["active"]:
            why = "is not active"
        elif not case.network.methods[node_id] & method:
            why = f"does not offer {case.ask.method}"
        elif case.ask.pickup_node not in (0, node_id):
            why = "is not where the customer collects it"
        elif code in excluded:
            why = "was excluded: the order came back from it, or was taken from it"
        elif code in decided.refused:
            why = f'rule "{rule}" does not admit it'
        elif farthest is not None and km[node_id] > farthest:
            why = f"is {km[node_id]:.0f} km away, and {farthest:.0f} km are allowed"
        elif not case.network.slot_cutoff[node_id, 0]:
            why = "is closed"
        else:
            why = "holds none of the items"
        missing = dict(zip(case.skus, case.wanted, strict=True))
        rows.append({"node": code, "chosen": False, "can_serve": [], "missing": missing, "excluded_because": why})
    return rows[:_NOT_CANDIDATES_MAX]


# What if --------------------------------------------------------------------------------------------


def _runner_up(case: Case, plan: Plan) -> tuple[Row | None, dict[str, float]]:
    """The cheapest plan without one of the chosen nodes; and per chosen node how much more the best plan without it
    costs."""
    if not plan.found:
        return None, {}
    ids = case.network.node_ids
    others = solve(case, [What(ask=msgspec.structs.replace(case.ask, excluded=[ids[code]])) for code in plan.nodes])
    gaps = {code: o.cost - plan.cost for code, o in zip(plan.nodes, others, strict=True) if o.found}
    found = sorted((o for o in others if o.found), key=lambda o: o.cost)
    if not found:
        return None, gaps
    best = found[0]
    return {
        "fulfilments": best.fulfilments,
        "cost_minor": round(best.cost),
        "gap_minor": round(best.cost - plan.cost),
        "uses_safety_stock": best.dips,
    }, gaps


def _binding(case: Case, plan: Plan) -> list[Row]:
    """Limits without which the order would have been served better, each lifted alone."""
    ask, network = case.ask, case.network
    tall = np.broadcast_to(np.array(case.wanted, np.int32)[:, None], case.free.shape)
    everywhere = np.zeros_like(case.free)
    everywhere[:, case.nodes] = np.maximum(case.free, tall)[:, case.nodes]
    lifted = [
        ("stock", "every candidate had all units", What(ask=ask, free=everywhere, safety=np.zeros_like(case.safety))),
        ("safety_stock", "safety stock could be used freely", What(ask=ask, safety=np.zeros_like(case.safety))),
        (
            "fulfilments_max",
            f"it could be divided into more than {ask.fulfilments_max}",
            What(ask=msgspec.structs.replace(ask, fulfilments_max=max(len(case.skus), ask.fulfilments_max) + 1)),
        ),
    ]
    if ask.service is not None:
        lifted.append(
            ("service", f"the service need not be {ask.service}", What(ask=msgspec.structs.replace(ask, service=None)))
        )
    answers = solve(case, [what for _, _, what in lifted])
    named = [(name, text) for name, text, _ in lifted]
    unlimited = replace(case, network=replace(network, left=np.full_like(network.left, NO_LIMIT)))
    named.append(("capacity", "every ship day had room"))
    answers += solve(unlimited, [What(ask=ask)])
    if len(network.parcels):
        named.append(("carrier_capacity", "carriers took any number of parcels"))
        answers += solve(replace(case, network=network.without_parcel_limits()), [What(ask=ask)])
    limits = case.limits
    for name, text, lifted_limits in (
        ("days_max", "it might take longer", replace(limits, days_max=None)),
        ("services", "any service might be used", replace(limits, services=None)),
        ("divide_lines", "a line might be divided among nodes", replace(limits, divide_lines=True)),
    ):
        if lifted_limits != limits:
            named.append((name, text))
            answers += solve(replace(case, limits=lifted_limits), [What(ask=ask)])
    return [
        {"constraint": name, "saves_minor": round(plan.cost - a.cost) if plan.found else None, "if": text}
        for (name, text), a in zip(named, answers, strict=True)
        if a.found and (not plan.found or a.cost < plan.cost - _CENT)
    ]


def _more_stock(case: Case, plan: Plan, candidates: Sequence[Row]) -> list[Row]:
    """More units at one node that would have led to a better plan: of one item where that is enough, else of all it
    lacks."""
    ids = case.network.node_ids
    asked = [r for r in candidates if r["missing"]][:_WHAT_IF_MAX]
    questions: list[tuple[int, dict[str, int]]] = []
    for row in asked:
        questions += [(ids[row["node"]], {sku: n}) for sku, n in row["missing"].items()]
        if len(row["missing"]) > 1:
            questions.append((ids[row["node"]], row["missing"]))
    free = [_with_more(case, node, more) for node, more in questions]
    answers = solve(case, [What(ask=case.ask, free=f) for f in free])
    better: list[tuple[float, Row]] = []
    done: set[int] = set()
    for (node, more), answer in zip(questions, answers, strict=True):
        if node in done or not answer.found or (plan.found and answer.cost >= plan.cost - _CENT):
            continue
        done.add(node)
        code = case.network.node_codes[node]
        better.append(
            (
                answer.cost,
                {
                    "change": "stock",
                    "node": code,
                    "units": more,
                    "if": f"{code} had {_worded(more)} more",
                    "then": answer.nodes,
                    "cost_minor": round(answer.cost),
                },
            )
        )
    better.sort(key=lambda pair: pair[0])
    return [row for _, row in better[:_CHANGES_MAX]]


def _with_more(case: Case, node: int, more: dict[str, int]) -> Int32:
    free = case.free.copy()
    for n, sku in enumerate(case.skus):
        if sku in more:
            # Enough although safety stock is left alone where it can be.
            free[n, node] = case.wanted[n] + case.safety[n, node]
    return free


def _dearer(case: Case, gaps: dict[str, float]) -> list[Row]:
    """How much dearer a chosen node would have to be for another plan to win; verified by making it so."""
    rows: list[Row] = []
    for code, gap in gaps.items():
        more = int(gap + _NOISE) + 1
        handling = case.network.handling_minor.copy()
        handling[case.network.node_ids[code]] += more
        dear = replace(case, network=replace(case.network, handling_minor=handling))
        (answer,) = solve(dear, [What(ask=case.ask)])
        if answer.found and code not in answer.nodes:
            rows.append(
                {
                    "change": "price",
                    "node": code,
                    "more_minor": more,
                    "if": f"shipping from {code} cost {more} more",
                    "then": answer.nodes,
                    "cost_minor": round(answer.cost),
                }
            )
    return rows


# In words -------------------------------------------------------------------------------------------


def _worded(units: dict[str, int]) -> str:
    return _listed(f"{n} of {sku}" for sku, n in units.items())


def _listed(words: Iterable[str]) -> str:
    parts = list(words)
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else "nothing"


def _worth_in_words(candidates: Sequence[Row]) -> list[str]:
    """Of the nodes at which a unit is worth most, what it counted as."""
    units = [(row["node"], unit) for row in candidates for unit in row.get("unit_worth", ()) if unit["worth_minor"]]
    units.sort(key=lambda pair: -abs(pair[1]["worth_minor"]))
    sentences: list[str] = []
    for node, unit in units[:_WORTH_MAX]:
        local = f", {unit['node_minor']} of it at the node itself" if unit["node_minor"] else ""
        worth = f"{unit['worth_minor']} to orders to come{local}"
        sentences.append(f"A unit of {unit['sku']} that is left at {node} counts as worth {worth}.")
    return sentences


def _ruled(kept: Kept, decided: Decided, answer: Row) -> list[str]:
    """Which rule of which version it was, and what came before it."""
    ruling = kept.ruling
    said = [f'Rule "{name}" came first and had no plan.' for name in decided.passed]
    if answer["rule"] is not None:
        said.append(f'Rule "{answer["rule"]["name"]}" of {ruling.version} decided it.')
    if ruling.kind == "floor":
        said.append(f"The profit floor of {ruling.version} refused it: a person must let it go.")
    elif ruling.kind == "money":
        said.append("By its objective it would have fallen below the profit floor: it is planned by money alone.")
    elif ruling.kind == "part":
        said.append("Not all of it could be served: a part is, by the prices of what is left.")
    elif ruling.kind == "waived":
        said.append("It was let go whatever its profit is.")
    return said


def _sentences(case: Case, plan: Plan, answer: Row) -> list[str]:
    order = _worded(dict(zip(case.skus, case.wanted, strict=True)))
    count = len(case.nodes)
    sentences = [
        f"{count} {'node' if count == 1 else 'nodes'} of {case.ask.channel.code} held some of {order}."
        if count
        else f"No node of {case.ask.channel.code} that may ship held any of {order}."
    ]
    if not plan.found:
        sentences.append("No allowed combination of nodes serves all of it from the shelf.")
    elif len(plan.fulfilments) == 1:
        (f,) = plan.fulfilments
        sentences.append(f"{f['node']} ships all of it by {f['service']} for {f['cost_minor']}, due {f['deliver_by']}.")
    else:
        parts = _listed(f"{_worded(f['units'])} from {f['node']} ({f['cost_minor']})" for f in plan.fulfilments)
        sentences.append(f"It is split over {len(plan.fulfilments)} nodes for {round(plan.cost)} in all: {parts}.")
    if (up := answer["runner_up"]) is not None:
        nodes = _listed(f["node"] for f in up["fulfilments"])
        gap = up["gap_minor"]
        than = f"{gap} more" if gap >= 0 else f"{-gap} less"
        but = ", but takes safety stock" if up["uses_safety_stock"] and not plan.dips else ""
        sentences.append(f"The next best plan, from {nodes}, costs {up['cost_minor']}: {than}{but}.")
    elif plan.found:
        sentences.append("Without any one of these nodes it could not be served at all.")
    sentences += _worth_in_words(answer["candidates"])
    for bound in answer["binding_constraints"]:
        saved = bound["saves_minor"]
        gain = "it could be served" if saved is None else f"it would cost {saved} less"
        sentences.append(f"If {bound['if']}, {gain}.")
    sentences += [
        f"If {change['if']}, it would ship from {_listed(change['then'])}." for change in answer["would_change_it"][:3]
    ]
    if not answer["reproduced"]:
        sentences.append(
            "Solved again it comes out differently: the destination was coarsened when the customer's data was erased, "
            "or the order was changed since."
        )
    return sentences
