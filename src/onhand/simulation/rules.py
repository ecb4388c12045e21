"""How a policy asks for the orders of a history."""

from typing import Protocol

import numpy as np

from onhand.network.compiled import Network
from onhand.simulation.history import Bool, History, Int32
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Asked, Attempts


class Rules(Protocol):
    """A policy as `replay` asks it."""

    @property
    def label(self) -> str:
        """As people know it: `standard@3`."""
        ...

    @property
    def policy(self) -> Policy: ...

    @property
    def network(self) -> Network:
        """That of the history, with the candidate lists of the policy's rules."""
        ...

    @property
    def cancel_after_s(self) -> float:
        """How long an order without a plan waits before it is given up; inf: for ever."""
        ...

    def put(self, batch: Asked, rows: Int32, at: float) -> None:
        """Fill in what a policy decides about orders before they are solved: objective, fulfilments_max, attempts.

        rows  int32[orders of batch]: their numbers in the history
        at    Unix seconds
        """
        ...


class PlainRules:
    """Objectives and limits that hold for every order, without rules of their own."""

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

    def put(self, batch: Asked, rows: Int32, at: float) -> None:  # noqa: ARG002 - the same at any time
        """See Rules."""
        batch.objective = self._objective[self._wishes[rows]]
        batch.fulfilments_max = np.where(self._may_split[rows], self.policy.fulfilments_max, 1).astype(np.int32)
        if self._has_supply:
            batch.attempts = supply_last(batch, self._may_wait[rows])


def supply_last(batch: Asked, may_wait: Bool) -> Attempts:
    """Shelf, safety stock, and then what is on its way, with the shelf and with safety stock besides."""
    tries = np.where(may_wait, 4, 2)
    rows = np.repeat(np.arange(len(tries)), tries)
    first = np.concatenate([[0], np.cumsum(tries)]).astype(np.int32)
    number = np.arange(len(rows)) - first[rows]
    return Attempts(
        first,
        batch.channel[rows],
        batch.fulfilments_max[rows],
        batch.objective[rows],
        np.full(len(rows), np.inf),
        (number >= 2).astype(np.int32),
        (number % 2).astype(np.int32),
    )
