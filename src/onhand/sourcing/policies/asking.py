"""What the versions in force make of a batch of orders: the attempts that the solver tries for each. Pure.

A version decides by its rules in turn, each an attempt: its nodes (a list of candidates), its limits, and a row of
prices. After the rules come, if the policy says so, the cheapest plan in money (`profit_floor.then: downgrade`) and a
plan that serves a part (`fallback.on_no_plan: partial`). The solver takes the first attempt that has a plan.

A plan is kept with a label that names the version and the attempt (`standard@3/2`), so that it can be explained by
what was in force then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from onhand.documents.expression import EACH
from onhand.network.compiled import Channel, Network
from onhand.sourcing.policies.facts import NodeFacts, OrderFacts, node_facts
from onhand.sourcing.policies.select import Compiled, Key, Nodes, Rule
from onhand.sourcing.policy import Objective, Policy
from onhand.sourcing.solve import Asked, Attempts, Decisions, Int32, first_rows
from onhand.sourcing.tables import EARTH_KM, WHY_PROFIT

Kind = Literal["whole", "money", "part", "waived", "floor"]
"""How an attempt weighs a plan: by its objective, by money alone, with units left unserved, or whatever its profit is;
floor: it was refused for its profit."""

_MARKS: Final[dict[Kind, str]] = {"whole": "", "money": "m", "part": "p", "waived": "w", "floor": "f"}
_KINDS: Final[dict[str, Kind]] = {mark: kind for kind, mark in _MARKS.items()}
_LISTS_MAX: Final = 10_000  # remembered lists of candidates
_NO_FACTS: Final[OrderFacts] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Which version decided an order, by which of its rules and how; rule -1: the policy has none."""

    version: str
    rule: int = -1
    kind: Kind = "whole"

    def __str__(self) -> str:
        """As it is kept with a plan: `standard@3`, `standard@3/2`, `standard@3/2p`."""
        if self.rule < 0 and self.kind == "whole":
            return self.version
        return f"{self.version}/{self.rule}{_MARKS[self.kind]}"

    @classmethod
    def read(cls, label: str) -> "Ruling":
        """The reverse of `str`."""
        version, slash, rest = label.partition("/")
        if not slash:
            return cls(version=version)
        number = rest.rstrip("fmpw")
        return cls(version=version, rule=int(number), kind=_KINDS[rest[len(number) :]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version in force; label: as plans name it."""

    label: str
    policy: Compiled


class Wanted(NamedTuple):
    """An order, as far as attempts depend on it besides its columns.

    facts      what conditions can ask; called only where one does
    objective  the one it names, or None
    version    index of the version that decides it
    may_part   whether a part of it may be served, where the policy has that as its fall-back
    is_waived  the profit floor does not hold: a person let it go
    """

    facts: Callable[[], OrderFacts]
    objective: str | None
    version: int
    may_part: bool = False
    is_waived: bool = False


@dataclass(frozen=True, slots=True)
class _Try:
    """One rule as attempts: the same for all orders but for their objective and nodes."""

    rule: Rule
    kind: Kind
    label: str


@dataclass(frozen=True, slots=True)
class Tried:
    """The attempts of a batch: the label of each, and the version that decides each order."""

    asked: Asked
    labels: Sequence[str]
    versions: Sequence[Version]

    @property
    def confidences(self) -> list[float]:
        """With which the promise of each order is kept."""
        return [version.policy.document.confidence for version in self.versions]

    def label(self, decisions: Decisions, order: int) -> str:
        """Of the attempt that an order was decided by; without a plan, of the one tried last."""
        assert self.asked.attempts is not None, "made by `put`"
        first, after = map(int, self.asked.attempts.first[order : order + 2])
        if first == after:
            return self.versions[order].label
        if decisions.count[order]:
            return self.labels[first + int(decisions.attempt[order])]
        last = Ruling.read(self.labels[after - 1])
        return str(replace(last, kind="floor") if decisions.why[order] == WHY_PROFIT else last)


@dataclass(eq=False)
class Asking:
    """The versions in force, ready to be asked about one network; safe to share between threads.

    versions  the first is the active one
    nodes     facts of the network's nodes, by node_id
    share     of the orders that the second version decides, by the hash of their name
    """

    versions: tuple[Version, ...]
    network: Network
    nodes: Nodes
    share: float = 0.0
    _lists: dict[Key, Int32] = field(default_factory=dict[Key, Int32])

    @cached_property
    def is_plain(self) -> bool:
        """Whether every order is decided alike, by the objective it names or the default one: then there is no need
        to `put` anything."""
        (document, *others) = [v.policy.document for v in self.versions]
        limits = document.limits
        return (
            not others
            and not document.rules
            and not document.priorities
            and limits.divide_lines is True
            and limits.dip_into_safety_stock
            and limits.distance_km_max is limits.days_max is limits.services is None
            and document.fallback.on_no_plan != "partial"
            and document.profit_floor is None
        )

    def on(self, network: Network) -> "Asking":
        """The same about another network with the same nodes."""
        return Asking(self.versions, network, self.nodes, self.share)

    @cached_property
    def policy(self) -> Policy:
        """What the solver takes: the prices of all attempts of all versions. The objectives of the active version have
        their names and come first, without a profit floor, so that who asks without attempts gets those."""
        first = self.versions[0].policy.engine_policy(self.versions[0].label)
        objectives = {name: without_floor(o) for name, o in first.objectives.items()}
        for (version, rule, name, kind), row in self._rows.items():
            if row >= len(objectives):
                objectives[f"{self.versions[version].label}/{rule}/{name}/{kind}"] = self._price(
                    version, rule, name, kind
                )
        most = [rule.limits.fulfilments_max for v in self.versions for rule in v.policy.rules]
        return replace(first, objectives=objectives, fulfilments_max=max(most))

    @cached_property
    def _rows(self) -> dict[tuple[int, int, str, Kind], int]:
        """Row of the prices by version, rule, objective and kind."""
        rows: dict[tuple[int, int, str, Kind], int] = {}
        known: dict[Objective, int] = {}
        for n, objective in enumerate(self.versions[0].policy.objectives.values()):
            known.setdefault(without_floor(objective), n)
        spare = len(self.versions[0].policy.objectives)
        for v, version in enumerate(self.versions):
            for number in range(len(version.policy.rules)):
                for kind in (*_kinds(version.policy), "waived"):
                    for name in version.policy.objectives:
                        price = self._price(v, number, name, kind)
                        row = known.get(price)
                        if row is None:
                            row = known[price] = spare
                            spare += 1
                        rows[v, number, name, kind] = row
        return rows

    def _price(self, version: int, rule: int, name: str, kind: Kind) -> Objective:
        policy = self.versions[version].policy
        objective = policy.objective(name, policy.rules[rule], partial=kind == "part")
        if kind == "waived":
            return without_floor(objective)
        return money_alone(objective) if kind == "money" else objective

    def version_of(self, channel_id: int, external_id: str) -> int:
        """Index of the version that decides an order: always the same one while these versions are in force."""
        if len(self.versions) == 1:
            return 0
        seed = xxh3_64_intdigest(self.versions[1].label.encode())
        drawn = xxh3_64_intdigest(f"{channel_id}/{external_id}".encode(), seed) / 2.0**64
        return int(drawn < self.share)

    @cached_property
    def reads_order(self) -> bool:
        """Whether a condition asks for facts of the order."""
        return any(
            (rule.when is not None and bool(rule.when.reads)) or rule.reads_order
            for v in self.versions
            for rule in v.policy.rules
        )

    def reads(self, *path: str) -> bool:
        """Whether a condition asks for a fact, such as ("order", "items", "attributes"), or for more than that."""
        asked = (
            tuple(part for part in read if part != EACH)
            for v in self.versions
            for rule in v.policy.rules
            for condition in (rule.when, rule.nodes)
            if condition is not None
            for read in condition.reads
        )
        return any(read[: len(path)] == path or read == path[: len(read)] for read in asked)

    def put(self, asked: Asked, wanted: Sequence[Wanted], day: date) -> Tried:
        """The orders with their attempts.

        day  UTC: of it the default objectives are

        An order's own `fulfilments_max` stays a limit, and so does whether it may use safety stock.
        """
        lists: dict[int, tuple[int, Int32]] = {}
        sets: dict[frozenset[str] | None, int] = {None: 0}
        tries: list[tuple[int, int, int, float, int, int, float, int]] = []
        labels: list[str] = []
        counts: list[int] = []
        names = [v.policy.objective_on(day) for v in self.versions]
        channels = {c.index: c for c in self.network.channels.values()}
        most: list[int] = asked.fulfilments_max.tolist()
        for order, (channel, want) in enumerate(zip(asked.channel.tolist(), wanted, strict=True)):
            version = self.versions[want.version]
            facts = want.facts() if self.reads_order else _NO_FACTS
            before = len(tries)
            for attempt in self._tries(want, facts):
                rule, limits = attempt.rule, attempt.rule.limits
                name = want.objective if want.objective in version.policy.objectives else None
                name = name or rule.objective or names[want.version]
                nodes = self._candidates(want.version, rule, channels[channel], facts, asked, order)
                at, _ = lists.setdefault(id(nodes), (len(lists), nodes))
                row = self._rows[want.version, max(0, rule.number), name, attempt.kind]
                one = (
                    at,
                    min(most[order], limits.fulfilments_max),
                    row,
                    float("inf") if limits.distance_km_max is None else limits.distance_km_max,
                    0,
                    limits.dividing,
                    float("inf") if limits.days_max is None else limits.days_max,
                    sets.setdefault(limits.services, len(sets)),
                )
                for dip in range(2 if limits.dip_into_safety_stock else 1):
                    tries.append((*one[:4], dip, *one[5:]))
                    labels.append(attempt.label)
            counts.append(len(tries) - before)
        columns = list(zip(*tries, strict=True)) or [()] * 8
        of_nodes = [nodes for _, nodes in lists.values()]
        attempts = Attempts(
            first=first_rows(counts),
            candidates=np.array(columns[0], np.int32),
            fulfilments_max=np.array(columns[1], np.int32),
            objective=np.array(columns[2], np.int32),
            km_max=np.array(columns[3], np.float64),
            supply=np.zeros(len(tries), np.int32),
            dip=np.array(columns[4], np.int32),
            divide=np.array(columns[5], np.int32),
            days_max=np.array(columns[6], np.float64),
            services=np.array(columns[7], np.int32),
            allowed=self._allowed(list(sets)),
            lists=(first_rows([len(n) for n in of_nodes]), np.concatenate([*of_nodes, np.zeros(0, np.int32)])),
        )
        return Tried(replace(asked, attempts=attempts), labels, [self.versions[w.version] for w in wanted])

    def _tries(self, want: Wanted, facts: OrderFacts) -> list[_Try]:
        policy, label = self.versions[want.version].policy, self.versions[want.version].label
        rules = policy.attempts(facts)
        kinds: list[Kind] = [k for k in _kinds(policy) if k != "part" or want.may_part]
        if want.is_waived:
            kinds = ["waived", *(k for k in kinds if k == "part")]
        return [
            _Try(rule, kind, str(Ruling(version=label, rule=rule.number, kind=kind)))
            for kind in kinds
            for rule in rules
        ]

    def _candidates(
        self, version: int, rule: Rule, channel: Channel, facts: OrderFacts, asked: Asked, order: int
    ) -> Int32:
        """The nodes of a channel that a rule admits: the same array for the same nodes, as long as it is remembered."""
        nodes = self.network.channel_nodes(channel)
        if rule.reads_distance:
            km = distances_km(self.network, float(asked.latitude[order]), float(asked.longitude[order]))
            return nodes[self.versions[version].policy.admitted(rule, self.nodes, facts, km)[nodes]]
        key = (version, rule.number, channel.index, None if rule.nodes is None else rule.nodes.order_key(facts))
        known = self._lists.get(key)
        if known is None:
            if len(self._lists) >= _LISTS_MAX:
                self._lists.clear()
            admitted = nodes
            if not rule.admits_every_node:
                admitted = nodes[self.versions[version].policy.admitted(rule, self.nodes, facts)[nodes]]
            known = self._lists[key] = np.ascontiguousarray(admitted)
        return known

    def _allowed(self, sets: Sequence[frozenset[str] | None]) -> npt.NDArray[np.bool_]:
        codes = [service.code for service in self.network.services]
        return np.array([[some is None or code in some for code in codes] for some in sets], np.bool_).reshape(
            len(sets), len(codes)
        )


def _kinds(policy: Compiled) -> list[Kind]:
    kinds: list[Kind] = ["whole"]
    if (floor := policy.document.profit_floor) is not None and floor.then == "downgrade":
        kinds.append("money")
    if policy.document.fallback.on_no_plan == "partial":
        kinds.append("part")
    return kinds


def without_floor(objective: Objective) -> Objective:
    """The same, whatever the profit of an order is."""
    return replace(objective, floor_minor=None, floor_share=0.0)


def money_alone(objective: Objective) -> Objective:
    """The same without a price for anything that is not paid: splits, time, CO2, room, stock and risk."""
    return replace(
        objective,
        split_minor=0.0,
        late_minor=0.0,
        day_minor=0.0,
        co2_minor_per_kg=0.0,
        capacity_base_minor=0.0,
        capacity_dual=0.0,
        opportunity=0.0,
        rejection_minor=0.0,
    )


def distances_km(network: Network, latitude: float, longitude: float) -> npt.NDArray[np.float64]:
    """float64[node_id]: great-circle distances to a point, degrees."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    point = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    chord = np.linalg.norm(network.xyz - point, axis=1)
    return 2.0 * EARTH_KM * np.arcsin(np.minimum(1.0, chord / 2.0))


def facts_of_nodes(rows: Sequence[tuple[int, NodeFacts]], count: int) -> Nodes:
    """The facts of nodes by node_id; of ids without a node they are empty."""
    nobody = node_facts(code="", type="", country="")
    known = dict(rows)
    return Nodes(tuple(known.get(n, nobody) for n in range(count + 1)))
