"""A policy ready to be asked: which rules apply to an order, which nodes a rule admits.

Conditions are compiled once. An evaluation by the engine costs about 2 to 4 us, mostly for handing it the facts, so an
expression gets only those facts that it reads, and its answer is remembered by their values: asked again, it costs well
under a microsecond. What fails at run time (an attribute that is missing, a division by zero) counts as "does not
apply" and is reported by `faults`; it never reaches the caller.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt

from onhand.documents.cel import cel
from onhand.documents.expression import EACH, Path
from onhand.sourcing import tables
from onhand.sourcing.policies.conditions import check
from onhand.sourcing.policies.facts import NodeFacts, OrderFacts
from onhand.sourcing.policies.model import TERMS, CapacityPriceIn, Dividing, LimitsIn, ObjectiveIn, PolicyIn, RuleIn
from onhand.sourcing.policy import Foresight, Objective, Policy

_REMEMBERED_MAX: Final = 50_000  # answers of one condition: some 10 MB

Key = Any  # a hashable value


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan of a rule may not exceed; None: no limit."""

    fulfilments_max: int
    dip_into_safety_stock: bool
    divide_lines: Dividing
    distance_km_max: float | None
    days_max: float | None
    services: frozenset[str] | None

    @property
    def dividing(self) -> int:
        """`divide_lines` as the solver has it: tables.DIVIDE_*."""
        if self.divide_lines == "needed":
            return tables.DIVIDE_NEEDED
        return tables.DIVIDE_CHEAPER if self.divide_lines else tables.DIVIDE_NOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A condition that failed: where, how often since the policy was compiled, and the first failure in words."""

    path: str
    count: int
    message: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """A rule with everything it inherits. `number` is its place in the document, -1: the policy has none.

    objective  None: the order's, or the policy's default
    weights    of cost terms that do not weigh 1
    groups     None: all nodes, as far as the condition admits them
    """

    number: int
    name: str
    objective: str | None
    weights: Mapping[str, float]
    limits: Limits
    groups: frozenset[str] | None
    otherwise: Literal["next", "stop"]
    when: "Condition | None"
    nodes: "Condition | None"

    @property
    def admits_every_node(self) -> bool:
        return self.groups is None and self.nodes is None

    @property
    def reads_distance(self) -> bool:
        """Whether the nodes it admits depend on their distance from the destination."""
        return self.nodes is not None and ("node", "distance_km") in self.nodes.reads

    @property
    def reads_order(self) -> bool:
        """Whether the nodes it admits depend on facts of the order other than distance."""
        return self.nodes is not None and any(path[0] == "order" for path in self.nodes.reads)


@dataclass(frozen=True, eq=False)
class Nodes:
    """The facts of a network's nodes, by their row, without distance; made once per version of the network."""

    facts: tuple[NodeFacts, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Compiled:
    """A policy that can be asked; safe to share between threads."""

    document: PolicyIn
    rules: tuple[Rule, ...]
    objectives: Mapping[str, Objective]

    def objective(self, name: str, rule: Rule | None = None, *, partial: bool = False) -> Objective:
        """The prices of an objective as the solver takes them: with the weights of `rule` (None: of the policy), the
        profit floor, and the prices of stock and capacity, as far as they are on. KeyError if there is no such one.

        partial  whether units may be left unserved at the fall-back's prices; else a plan serves all or is none
        """
        weights = self.document.weights if rule is None else rule.weights
        return _objective(self.document, self.document.objectives[name], weights, partial=partial)

    def objective_on(self, day: date) -> str:
        """The default objective of a day (UTC): that of the priority that holds, else the policy's."""
        for priority in self.document.priorities:
            if priority.from_ <= day and (priority.until is None or day <= priority.until):
                return priority.objective
        return self.document.objective

    def attempts(self, order: OrderFacts) -> list[Rule]:
        """The rules to try for an order, in order; none: fall back at once. No rule stands behind one that stops."""
        tried: list[Rule] = []
        for rule in self.rules:
            if rule.when is None or rule.when.holds(order):
                tried.append(rule)
                if rule.otherwise == "stop":
                    break
        return tried

    def admits(self, rule: Rule, node: NodeFacts, order: OrderFacts) -> bool:
        """Whether a node may serve the order under a rule."""
        if rule.groups is not None and rule.groups.isdisjoint(node["groups"]):
            return False
        return rule.nodes is None or rule.nodes.holds(order, node)

    def admitted(
        self, rule: Rule, nodes: Nodes, order: OrderFacts, distance_km: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.bool_]:
        """`admits` for all nodes: bool[node]. Remembered by the facts of the order that the rule reads.

        distance_km  float64[node], to the destination; needed when the rule `reads_distance`, which is then
                     asked node by node and not remembered as a whole

        Treat the array as read-only: it may be a remembered one.
        """
        if rule.reads_distance:
            assert distance_km is not None, f"rule {rule.name!r} reads distances"
            near = zip(nodes.facts, distance_km.tolist(), strict=True)
            return np.array(
                [self.admits(rule, {**facts, "distance_km": km}, order) for facts, km in near], np.bool_
            ).reshape(-1)
        key = (id(rule), None if rule.nodes is None else rule.nodes.order_key(order))
        masks = self._masks_of(nodes)
        mask = masks.get(key)
        if mask is None:
            mask = np.array([self.admits(rule, facts, order) for facts in nodes.facts], np.bool_).reshape(-1)
            mask.flags.writeable = False
            if len(masks) >= _REMEMBERED_MAX // max(1, len(nodes.facts)):
                masks.clear()
            masks[key] = mask
        return mask

    def faults(self) -> list[Fault]:
        """Conditions that have failed since this policy was compiled, by their place."""
        conditions = [c for rule in self.rules for c in (rule.when, rule.nodes) if c is not None]
        return [fault for c in conditions if (fault := c.fault()) is not None]

    def engine_policy(self, version: str) -> Policy:
        """The part of it that weighs and limits every order, as the solver takes it.

        version  as plans show it: `standard@1`
        """
        return Policy(
            version=version,
            objectives=dict(self.objectives),
            default=self.document.objective,
            fulfilments_max=self.document.limits.fulfilments_max,
            confidence=self.document.confidence,
            foresight=_foresight(self.document),
        )

    def _masks_of(self, nodes: Nodes) -> dict[Key, npt.NDArray[np.bool_]]:
        # Of the latest network only: masks of earlier ones would be kept for nothing. One attribute, so that no thread
        # sees the masks of another network.
        of_nodes, masks = self._masks.latest
        if of_nodes is not nodes:
            masks = {}
            self._masks.latest = (nodes, masks)
        return masks

    _masks: "_Masks" = field(default_factory=lambda: _Masks((None, {})))


@dataclass(slots=True)
class _Masks:
    latest: tuple[Nodes | None, dict[Key, npt.NDArray[np.bool_]]]


class Condition:
    """One compiled expression. Answers are remembered; failures are counted."""

    def __init__(self, text: str, variables: Sequence[str], path: str) -> None:
        checked = check(text, variables)
        if any(problem.is_error for problem in checked.problems):
            raise ValueError(f"{path}: {checked.problems[0].message}")
        self.path = path
        self.reads = checked.reads
        self._program = cel.compile(text)
        tree = _tree(checked.reads)
        self._asks = tuple(sorted(tree))
        readers = {name: _reader(tree[name]) for name in tree}
        self._order, self._node = readers.get("order"), readers.get("node")
        self._answers: dict[Key, bool] = {}
        self._lock = threading.Lock()
        self._faults = 0
        self._first = ""

    def order_key(self, order: OrderFacts) -> Key:
        """The values of the order's facts that it reads; equal keys, equal answers."""
        return None if self._order is None else self._order.key(order)

    def holds(self, order: OrderFacts, node: NodeFacts | None = None) -> bool:
        """Its answer; False if it fails."""
        try:
            key = (
                None if self._order is None else self._order.key(order),
                None if self._node is None else self._node.key(cast("NodeFacts", node)),
            )
            known = self._answers.get(key)
            if known is not None:
                return known
            answer = self._program.execute(self._context(order, node))
            if not isinstance(answer, bool):
                raise TypeError(f"it is {type(answer).__name__}, expected true or false")
        except Exception as error:
            self._report(error)
            return False
        if len(self._answers) >= _REMEMBERED_MAX:
            self._answers.clear()
        self._answers[key] = answer
        return answer

    def fault(self) -> Fault | None:
        """How often it has failed, if it has."""
        with self._lock:
            return Fault(path=self.path, count=self._faults, message=self._first) if self._faults else None

    def _context(self, order: OrderFacts, node: NodeFacts | None) -> dict[str, Any]:
        context: dict[str, Any] = {}
        if self._order is not None:
            context["order"] = self._order.pick(order)
        if self._node is not None:
            context["node"] = self._node.pick(cast("NodeFacts", node))
        return context

    def _report(self, error: Exception) -> None:
        with self._lock:
            self._faults += 1
            if not self._first:
                said = f"no such fact: {error}" if isinstance(error, KeyError) else str(error).partition(". ")[0]
                self._first = said[:300]


# Facts by what is read of them ----------------------------------------------------------------------------------------

_Tree = dict[str, Any]  # name -> tree; {}: the whole of it


def _tree(reads: frozenset[Path]) -> _Tree:
    """Paths as nested names; a path that is the beginning of another one takes it in."""
    root: _Tree = {}
    for path in sorted(reads, key=len):
        at, is_within = root, False
        for part in path[:-1]:
            if at.get(part) == {} and part in at and part != EACH:
                is_within = True  # the whole of it is read already
                break
            at = at.setdefault(part, {})
        if not is_within:
            at.setdefault(path[-1], {})
    return root


@dataclass(frozen=True, slots=True)
class _Reader:
    """key: a hashable of what is read of a value. pick: only that, for the engine."""

    key: Callable[[Any], Key]
    pick: Callable[[Any], Any]


_MISSING: Final = "\0missing"  # no fact is called or is so


def _reader(tree: _Tree) -> _Reader:
    if not tree:
        return _Reader(_frozen, lambda value: value)
    if EACH in tree:
        inner = tree[EACH]
        if not inner:  # how many there are
            return _Reader(len, lambda values: [None] * len(values))
        member = _fields(inner)
        return _Reader(
            lambda values: tuple([member.key(value) for value in values]),
            lambda values: [member.pick(value) for value in values],
        )
    return _fields(tree)


def _fields(tree: _Tree) -> _Reader:
    names = tuple(sorted(tree))
    readers = tuple((name, _reader(tree[name])) for name in names)
    is_flat = not any(tree.values())

    def key_of_one(value: Mapping[str, Any]) -> Key:
        found = value.get(names[0], _MISSING)
        return found if found.__class__ in _PLAIN else _frozen(found)

    def key(value: Mapping[str, Any]) -> Key:
        return tuple([reader.key(value[name]) if name in value else _MISSING for name, reader in readers])

    def pick(value: Mapping[str, Any]) -> Any:
        return {name: reader.pick(value[name]) for name, reader in readers if name in value}

    return _Reader(key_of_one if is_flat and len(names) == 1 else key, pick)


_PLAIN: Final = frozenset({str, int})


def _frozen(value: Any) -> Key:
    """A hashable that tells values of facts apart. A number has its type beside it: 1, 1.0 and true are equal in
    Python, and not in CEL."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return (dict, *((name, _frozen(members[name])) for name in sorted(members)))
    if isinstance(value, list | tuple):
        return (list, *map(_frozen, cast("list[Any]", value)))
    return (kind, value)


# Compiling ------------------------------------------------------------------------------------------------------------


def compile_policy(document: PolicyIn) -> Compiled:
    """The compiled form of a document that lint finds no error in. ValueError for a bad condition."""
    rules = tuple(_rule(number, rule, document) for number, rule in enumerate(document.rules))
    everything = RuleIn.model_construct(name="every node for every order")
    return Compiled(
        document=document,
        rules=rules or (_rule(-1, everything, document),),
        objectives={
            name: _objective(document, prices, document.weights) for name, prices in document.objectives.items()
        },
    )


def _rule(number: int, rule: RuleIn, document: PolicyIn) -> Rule:
    path = f"rules[{number}]"
    weights = {**document.weights, **(rule.weights or {})}
    return Rule(
        number=number,
        name=rule.name,
        objective=rule.objective,
        weights={term: weight for term, weight in weights.items() if weight != 1.0},
        limits=_limits(document.limits, rule),
        groups=None if rule.groups is None else frozenset(rule.groups),
        otherwise=rule.otherwise,
        when=None if rule.when is None else Condition(rule.when, ("order",), f"{path}.when"),
        nodes=None if rule.nodes is None else Condition(rule.nodes, ("node", "order"), f"{path}.nodes"),
    )


def _limits(of_all: LimitsIn, rule: RuleIn) -> Limits:
    limits: dict[str, Any] = {**of_all.model_dump(), **rule.limits.model_dump(exclude_none=True)}
    services = limits.pop("services")
    return Limits(**limits, services=None if services is None else frozenset(services))


def _foresight(document: PolicyIn) -> Foresight | None:
    ahead = document.opportunity
    if ahead is None:
        return None
    return Foresight(
        follow_share=ahead.step_share, price_max_minor=ahead.price_max_minor, refresh_minutes=ahead.refresh_minutes
    )


def _objective(
    document: PolicyIn, given: ObjectiveIn, weights: Mapping[str, float], *, partial: bool = False
) -> Objective:
    """A weight is the exchange rate of a term: it multiplies the prices of that term. Shipping, handling, tax and duty
    are money already and have none."""

    def weigh(term: str, price: float | None) -> float:
        return (price or 0.0) * weights.get(term, 1.0)

    capacity = document.capacity_price
    unserved, floor = document.fallback.unserved, document.profit_floor
    defaults = CapacityPriceIn() if capacity is None else capacity
    # Prices of stock and of room come from one plan of the network: it is made or it is not.
    planned = 0.0 if document.opportunity is None else 1.0
    return Objective(
        confidence=document.confidence,
        split_minor=weigh("split", given.split_minor),
        target_days=given.target_days or 0.0,
        late_minor=weigh("lateness", given.late_minor),
        day_minor=weigh("lateness", given.day_minor),
        co2_minor_per_kg=weigh("carbon", given.co2_minor_per_kg),
        rejection_minor=weigh("rejection_risk", given.rejection_minor),
        capacity_base_minor=0.0 if capacity is None else weigh("capacity_price", capacity.base_minor),
        capacity_steepness=defaults.steepness,
        capacity_from=defaults.from_load,
        capacity_dual=weigh("capacity_price", planned),
        opportunity=weigh("opportunity", planned),
        unserved_order_minor=unserved.order_minor if partial else None,
        unserved_unit_minor=unserved.unit_minor if partial else 0.0,
        floor_minor=None if floor is None else float(floor.minor or 0),
        floor_share=0.0 if floor is None else floor.share or 0.0,
        weights={name: weight for name, weight in weights.items() if name not in TERMS},
    )
