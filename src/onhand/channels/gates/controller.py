"""The price of risk, learned: so that of the orders of a channel no more than its share is oversold. Pure.

A gate limits the risk of one unit at one moment; what is promised is a share of orders, and most orders come when there
is plenty and no risk at all. So tau, the price of risk, moves slowly with what came of it, pooled over all items:

    log tau  <-  log tau + step * weight * (alpha - oversold share) / alpha

where weight grows with what was seen (oversells that were to be expected, or came) and each step is limited.
"""

from dataclasses import dataclass, replace
from math import exp, log

TAU_LEAST, TAU_MOST = 1e-4, 1.0
# The first price of risk per target: where replays come to is 20 to 150 times it.
_FIRST = 30.0
# Oversells that must be expected before what is seen counts half.
_HALF = 4.0
# Steps: the first ones are long, later ones so.
_STEP_LEAST, _STEP_FIRST = 0.15, 1.0
_FALL = 5.0
# We aim well below the target: what comes scatters, and over it is worse than under it.
AIM = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a channel may oversell, and where its price of risk stands.

    alpha   oversold orders per order, 0 to 1
    seen    oversells that were to be expected at `alpha` in all that it has learned from
    """

    alpha: float
    tau: float
    seen: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"expected alpha between 0 and 1, not {self.alpha}")

    @classmethod
    def of(cls, alpha: float) -> "Budget":
        """Before anything was learned. ValueError unless alpha lies between 0 and 1."""
        return cls(alpha=alpha, tau=first_tau(alpha))


def first_tau(alpha: float) -> float:
    return max(TAU_LEAST, min(TAU_MOST, _FIRST * alpha))


def learned(budget: Budget, *, orders: int, oversold: int) -> Budget:
    """`budget` after a period with so many orders, of which some were oversold; without orders, as it was.

    Call it with what has come to an end: an oversell counts when it is known.
    """
    if orders <= 0:
        return budget
    expected = AIM * budget.alpha * orders
    evidence = max(expected, oversold)
    weight = evidence / (evidence + _HALF)
    step = max(_STEP_LEAST, _STEP_FIRST / (1.0 + budget.seen / 25.0))
    # Oversells come in heaps: a step down that were limited like one up would settle above the target.
    move = max(-_FALL, (expected - oversold) / expected)
    tau = exp(log(budget.tau) + step * weight * move)
    return replace(budget, tau=max(TAU_LEAST, min(TAU_MOST, tau)), seen=budget.seen + expected)


def tau_of_money(*, margin_minor: float, penalty_minor: float) -> float:
    """Price of risk where an oversell costs `penalty_minor` and a sale gained brings `margin_minor`.

    A unit is worth showing while P(sold otherwise not) * margin >= P(oversold) * penalty.
    """
    if not (margin_minor >= 0.0 and penalty_minor > 0.0):
        raise ValueError(f"expected a margin and a penalty, not {margin_minor}, {penalty_minor}")
    return max(TAU_LEAST, min(TAU_MOST, margin_minor / penalty_minor))
