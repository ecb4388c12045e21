"""`onhand.source_batch`: many orders planned together, with a proof of how much better they could be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from onhand.library.network import Network
from onhand.library.plan import JointPlan, Plan
from onhand.library.source import (
    Ahead,
    AskedFor,
    answer,
    asks_of,
    decide_in_turn,
    policy_of,
    supply_of,
)  # fmt: skip
from onhand.network import compiled
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Decisions, Float64, Stock, asked
from onhand.sourcing.together import Together, gap_of, plan_together, take_from


class _Room(NamedTuple):
    """What there still is."""

    stock: Stock
    network: compiled.Network


def source_batch(
    orders: Iterable[Mapping[str, Any]],
    network: Mapping[str, Any] | Network,
    *,
    policy: str | Policy = "standard",
    time_limit_s: float = 10.0,
    refuse_minor: float | None = None,
    seed: int = 0,
    at: datetime | None = None,
) -> JointPlan:
    """Plan `orders` together, so that what they share goes to whom it saves most. Nothing is kept: `network` stays as
    it is.

    orders, network, policy, at  as `onhand.source` takes them; who comes first does not matter
    time_limit_s  seconds after which the best plan so far is given; small batches need few of them
    refuse_minor  minor units that an order counts that is not served; left out: what the policy says of unserved units,
                  and where it says that orders are all or nothing, ten times the dearest plan of any order (at least
                  100.00), so that an order is left out only for want of units or room
    seed          of all that is drawn; the same seed, the same plans, unless the time limit cuts the search short

    Safety stock, and then units on their way, serve orders that nothing else does, stage by stage: each is planned
    together, and the bound is that of all stages, each after those before it. A line of an item that is short may be
    divided among nodes even where one has all of it. Never dearer than one order after the other (with lines divided
    only where needed). Raises InvalidInput, naming every field that is wrong.
    """
    began = perf_counter()
    known = Network.load(network, at=at)
    now = at or known.at
    rules = policy_of(policy)
    asks = asks_of(orders, known, rules, now)
    room = known.compiled.with_own_room()
    room.set_clock(now)
    stock = Stock(known.available, np.zeros_like(known.available), known.safety, supply=supply_of(known))
    if rules.foresight is not None and (ahead := Ahead.of(known, room, rules, rules.foresight, now, seed)) is not None:
        ahead.look(stock, 0)
    search = _Stages(asks, known, rules, now, began + time_limit_s, refuse_minor, seed)
    for supply, dip in _stages(known):
        search.stage(_Room(stock, room), supply=supply, dip=dip)
    search.compare(_copied(_Room(replace(stock, pending=np.zeros_like(stock.pending), supply=supply_of(known)), room)))
    return search.answer(perf_counter() - began)


def _stages(known: Network) -> list[tuple[bool, bool]]:
    """(whether units on their way may be promised, whether safety stock may be used) of each stage."""
    dips = [False, True] if known.safety.any() else [False]
    return [(supply, dip) for supply in ([False, True] if known.inbound else [False]) for dip in dips]


def _copied(room: _Room) -> _Room:
    return _Room(room.stock, room.network.with_own_room())


class _Stages:
    """The plans so far: of each order (decisions, its row in them), None while it has none."""

    def __init__(
        self, asks: Sequence[AskedFor], known: Network, policy: Policy, now: datetime, until: float,
        refuse_minor: float | None, seed: int,
    ) -> None:  # fmt: skip
        self.asks, self.known, self.policy, self.now, self.until, self.seed = asks, known, policy, now, until, seed
        count = len(asks)
        self.refuse: Float64 | None = None if refuse_minor is None else np.full(count, float(refuse_minor))
        self.found: list[tuple[Decisions, int] | None] = [None] * count
        self.last: list[tuple[Decisions, int] | None] = [None] * count
        self.cost = self.bound = 0.0
        self.is_proved = True
        self.rounds = self.considered = self.staged = 0

    def stage(self, room: _Room, *, supply: bool, dip: bool) -> None:
        rest = [
            n
            for n, (_, ask, waits) in enumerate(self.asks)
            if self.found[n] is None and (waits or not supply) and (ask.may_dip or not dip)
        ]
        if self.staged and not rest:
            return
        at = np.array(rest, np.int64)
        made = plan_together(
            asked([self.asks[n][1] for n in rest], room.network),
            room.stock,
            room.network,
            self.policy,
            self.known.catalogue.goods,
            now=self.now.timestamp(),
            time_limit_s=max(0.0, self.until - perf_counter()),
            refuse_minor=None if self.refuse is None else self.refuse[at],
            supply=supply,
            dip=dip,
            seed=self.seed,
        )
        take_from(made.decisions, room.stock, room.network)
        if self.refuse is None:
            self.refuse = made.refuse_minor
        # Those handed on were counted as refused before.
        handed = float(self.refuse[at].sum()) if self.staged else 0.0
        self.cost += made.cost - handed
        self.bound += made.bound - handed
        self._note(made, rest)

    def _note(self, made: Together, rest: Sequence[int]) -> None:
        self.staged += 1
        self.is_proved &= made.is_proved
        self.rounds += made.rounds
        self.considered += made.plans
        for row, n in enumerate(rest):
            self.last[n] = made.decisions, row
            if made.decisions.count[row]:
                self.found[n] = made.decisions, row

    def compare(self, room: _Room) -> None:
        """One after the other may be better where safety stock or units on their way are used: then that is it."""
        if self.staged < 2 or self.refuse is None:
            return
        decisions = decide_in_turn(self.asks, room.stock, self.known, room.network, self.policy, self.now)
        cost = float(np.where(decisions.count > 0, decisions.cost, self.refuse).sum())
        if cost < self.cost:
            self.cost, self.bound = cost, min(self.bound, cost)
            self.last = [(decisions, n) for n in range(len(self.asks))]
            self.found = [(decisions, n) if decisions.count[n] else None for n in range(len(self.asks))]

    def answer(self, seconds: float) -> JointPlan:
        plans: list[Plan] = []
        for (name, ask, _), found, last in zip(self.asks, self.found, self.last, strict=True):
            decisions, row = found or last or (None, 0)
            assert decisions is not None, "every order is in the first stage"
            plans.append(answer(name, ask, decisions, row, self.known, self.policy))
        refused = [n for n, found in enumerate(self.found) if found is None]
        refuse = np.zeros(len(self.asks)) if self.refuse is None else self.refuse
        return JointPlan(
            plans=tuple(plans),
            cost_minor=self.cost,
            bound_minor=self.bound,
            gap=gap_of(self.cost, self.bound),
            is_proved=self.is_proved,
            refused=len(refused),
            refused_minor=float(refuse[refused].sum()),
            rounds=self.rounds,
            considered=self.considered,
            seconds=seconds,
        )
