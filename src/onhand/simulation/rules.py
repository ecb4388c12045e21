"""How a policy asks for the orders of a history."""

from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import numpy as np

from onhand.network.compiled import Network
from onhand.simulation.history import Bool, History, Int32
from onhand.sourcing.policies.asking import Asking, Ruling, Version, Wanted
from onhand.sourcing.policies.select import Compiled, Nodes
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Asked, Attempts, usual_attempts
from onhand.sourcing.tables import WHY_PROFIT


class Rules(Protocol):
    """A policy as `replay` asks it."""

    @property
    def label(self) -> str:
        """As people know it: `standard@3`."""
        ...

    @property
    def policy(self) -> Policy: ...

    @property
    def network(self) -> Network: ...

    @property
    def cancel_after_s(self) -> float:
        """How long an order without a plan waits before it is given up; inf: for ever."""
        ...

    def put(self, batch: Asked, rows: Int32, at: float, *, again: bool) -> Asked:
        """The orders with what a policy decides about them before they are solved.

        rows   int32[orders of batch]: their numbers in the history
        at     Unix seconds
        again  they were tried before
        """
        ...

    def about(self, history: History) -> "Rules":
        """The same policy, asking for the orders of another history with the same nodes, items and objectives."""
        ...

    def keeps(self, why: Int32) -> Bool:
        """Which orders without a plan wait for stock; the others a person would have to look at.

        why  int32[orders]: tables.WHY_*
        """
        ...


class PlainRules:
    """Objectives and limits that hold for every order, without rules of their own. Every order waits."""

    def __init__(self, policy: Policy, history: History, *, label: str | None = None) -> None:
        self.label = label or policy.version
        self.policy = policy
        self.network = history.network
        self.cancel_after_s = float("inf")
        self._may_wait, self._may_split, self._wishes = history.may_wait, history.may_split, history.wishes
        # The row of each objective that orders name, and of the default one behind them (-1).
        known = [policy.index(name if name in policy.objectives else None) for name in history.objectives]
        self._objective = np.array([*known, policy.index(None)], np.int32)
        self._has_supply = len(history.inbound.ready) > 0

    def put(self, batch: Asked, rows: Int32, at: float, *, again: bool) -> Asked:  # noqa: ARG002 - always the same
        """See Rules."""
        batch.objective = self._objective[self._wishes[rows]]
        batch.fulfilments_max = np.where(self._may_split[rows], self.policy.fulfilments_max, 1).astype(np.int32)
        if self._has_supply:
            batch.attempts = supply_last(usual_attempts(batch), self._may_wait[rows], None)
        return batch

    def about(self, history: History) -> "PlainRules":
        """See Rules."""
        return PlainRules(self.policy, history, label=self.label)

    def keeps(self, why: Int32) -> Bool:
        """See Rules."""
        return np.ones(len(why), np.bool_)


class PolicyRules:
    """A policy as a document says it: its rules in turn, their nodes, limits and prices, and its fall-back."""

    def __init__(self, label: str, policy: Compiled, history: History, nodes: Nodes) -> None:
        document = policy.document
        self.label = label
        self._compiled = policy
        self.network = history.network
        self._asking = Asking((Version(label=label, policy=policy),), history.network, nodes)
        self.policy = self._asking.policy
        hours, self._on_no_plan = document.fallback.cancel_after_hours, document.fallback.on_no_plan
        self.cancel_after_s = float("inf") if hours is None else hours * 3600.0
        self._history = history
        # Without rules there is nothing to put together order by order.
        self._plain = PlainRules(self.policy, history, label=label) if self._asking.is_plain else None
        self._promises = len(history.inbound.ready) > 0 and self._on_no_plan not in ("unfillable", "hold")

    def put(self, batch: Asked, rows: Int32, at: float, *, again: bool) -> Asked:
        """See Rules."""
        if self._plain is not None and (self._promises or not len(self._history.inbound.ready)):
            return self._plain.put(batch, rows, at, again=again)
        history = self._history
        most = max(rule.limits.fulfilments_max for rule in self._asking.versions[0].policy.rules)
        batch.fulfilments_max = np.where(history.may_split[rows], most, 1).astype(np.int32)
        wanted = [self._wanted(order, again=again) for order in rows.tolist()]
        tried = self._asking.put(batch, wanted, datetime.fromtimestamp(at, UTC).date())
        if self._promises:
            attempts = tried.asked.attempts
            assert attempts is not None, "made by `put`"
            whole = np.array([_is_whole(label) for label in tried.labels], np.bool_)
            tried.asked.attempts = supply_last(attempts, history.may_wait[rows], whole)
        return tried.asked

    def about(self, history: History) -> "PolicyRules":
        """See Rules."""
        return PolicyRules(self.label, self._compiled, history, self._asking.nodes)

    def keeps(self, why: Int32) -> Bool:
        """See Rules."""
        return (why != WHY_PROFIT) & (self._on_no_plan != "hold")

    def _wanted(self, order: int, *, again: bool) -> Wanted:
        history = self._history
        wish = int(history.wishes[order])
        facts = history.facts
        return Wanted(
            facts=partial(facts, order) if facts is not None else _no_facts,
            objective=None if wish < 0 else history.objectives[wish],
            version=0,
            may_part=bool(history.may_split[order]) and not again,
        )


def _no_facts() -> dict[str, object]:
    raise LookupError("this history knows no facts of orders: a policy whose conditions read them cannot be replayed")


def _is_whole(label: str) -> bool:
    return Ruling.read(label).kind != "part"


def supply_last(attempts: Attempts, may_wait: Bool, which: Bool | None) -> Attempts:
    """The same, and for orders that may wait once more with what is on its way.

    which  bool[attempts]: those to try again; None: all
    """
    count = len(attempts.first) - 1
    owner = np.repeat(np.arange(count), np.diff(attempts.first))
    chosen = may_wait[owner] if which is None else may_wait[owner] & which
    again = np.flatnonzero(chosen)
    rows = np.concatenate([np.arange(len(owner)), again])
    supply = np.concatenate([attempts.supply, np.ones(len(again), np.int32)]).astype(np.int32)
    # By order, what it tried before first.
    turn = np.argsort(np.concatenate([owner, owner[again]]), kind="stable")
    rows = rows[turn]
    sizes = np.bincount(owner, minlength=count) + np.bincount(owner[again], minlength=count)
    return attempts._replace(
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        candidates=attempts.candidates[rows],
        fulfilments_max=attempts.fulfilments_max[rows],
        objective=attempts.objective[rows],
        km_max=attempts.km_max[rows],
        supply=supply[turn],
        dip=attempts.dip[rows],
        divide=None if attempts.divide is None else attempts.divide[rows],
        days_max=None if attempts.days_max is None else attempts.days_max[rows],
        services=None if attempts.services is None else attempts.services[rows],
    )
