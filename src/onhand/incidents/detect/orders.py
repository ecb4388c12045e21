"""Orders that are stuck in a state, and orders that were placed twice.

**Stuck.** How long orders stay in a state is learned by state and node as hazards of time since they came into it
(Kaplan and Meier 1958, with bins for times: those still there count for as long as they were seen); a node's hazards
are shrunk to those of the state. S(a) is the share that stays longer than a. A few never leave: with a share π of
those, S = π + (1 - π) S0 (Boag 1949), so of an order that has been there for a hours

    P(stuck) = π / (π + (1 - π) S0(a))

**Twice.** Of two orders of one customer or to one address, the odds that the later one is the earlier again (Fellegi
and Sunter 1969): how often it happens and how soon after, against how often customers come back and with what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect.moments import DAY_US, HOUR_US, moment
from onhand.incidents.model import Finding, Kind, Subject

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Hours at which hazards may change: from a quarter of an hour to 90 days.
_EDGES: Final = np.r_[0.0, np.geomspace(0.25, 2160.0, 48)]
# Earlier orders that one is compared with, of its customer and of its address.
_NEIGHBOURS: Final = 3
# Most that are sent twice are sent again at once; a few when no answer came by the next day.
_SOON_H: Final = 0.25
_LATER_H: Final = 12.0
_LATER_SHARE: Final = 0.2
# Who has forgotten something comes back within some hours.
_FORGOT_H: Final = 6.0
# How alike an order is that was meant to be the same one: now and then a line was added.
_SAME_BASKET: Final = 0.98
_SAME_ADDRESS: Final = 0.97
_SAME_CUSTOMER: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What was learned of times in states.

    log_staying  float64[state, node, edge], logarithm of the share that stays longer than each edge
    stuck_share  float64[state], π
    is_seen      bool[state]: π was seen, as a share that stays however long one waits; else it was given
    """

    log_staying: Float64
    stuck_share: Float64
    is_seen: Bools

    def staying(self, state: Int64, node: Int64, hours: Float64) -> Float64:
        """float64[n]: share of orders that stay longer, S; beyond the last edge the last hazard goes on."""
        high = np.clip(np.searchsorted(_EDGES, hours, "right"), 1, len(_EDGES) - 1)
        before = self.log_staying[state, node, high - 1]
        slope = (self.log_staying[state, node, high] - before) / (_EDGES[high] - _EDGES[high - 1])
        return np.exp(before + slope * (hours - _EDGES[high - 1]))

    def usual_hours(self, state: Int64, node: Int64, share: float) -> Float64:
        """float64[n]: hours within which so many of the orders that do leave have left; the last edge at most."""
        states = np.arange(len(self.stuck_share))[:, None, None]
        left = self._leaving(states, np.exp(self.log_staying))
        return _EDGES[np.minimum((left > 1 - share).sum(axis=2), len(_EDGES) - 1)][state, node]

    def leaving(self, state: Int64, node: Int64, hours: Float64) -> Float64:
        """float64[n]: share that stays longer of those that do leave, S0."""
        return self._leaving(state, self.staying(state, node, hours))

    def _leaving(self, state: Int64, staying: Float64) -> Float64:
        never = np.where(self.is_seen, self.stuck_share, 0.0)[state]
        return np.maximum(staying - never, 0.0) / (1 - never)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """float64[n]: share of orders that stay longer, chance that this one is stuck, hours within which half and 99 in
    100 leave."""

    staying: Float64
    confidence: Float64
    median_hours: Float64
    most_hours: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Orders in any order: customer, address, basket int64[n] are numbers that are equal where these are (-1: not
    known; a basket is its items with their units), placed_at int64[n] Unix microseconds."""

    customer: Int64
    address: Int64
    basket: Int64
    placed_at: Int64

    def __post_init__(self) -> None:
        if not self.customer.shape == self.address.shape == self.basket.shape == self.placed_at.shape:
            raise ValueError("expected customer, address, basket and placed_at of equal length")

    def __len__(self) -> int:
        return len(self.customer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How customers come back.

    per_hour      orders an hour that a customer places after one of his, within a month of it
    same_basket   share of those that are the same as the one before
    same_address  share of those that go to the same address
    twice         share of orders that are placed twice
    soon          share of orders that another, different one follows within hours: something was forgotten
    """

    per_hour: float
    same_basket: float
    same_address: float
    twice: float = 0.002
    soon: float = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """int64[m]: rows of the earlier and the later order; float64[m]: chance that it is the same one, hours between."""

    earlier: Int64
    later: Int64
    confidence: Float64
    hours: Float64


def learn_times(
    state: Int64, node: Int64, hours: Float64, is_over: Bools, *, states: int, nodes: int, weight: float = 30.0,
    stuck_share: float = 0.002,
) -> Times:  # fmt: skip
    """Times in states from past stays, those that are not over among them.

    state, node  int64[n]; hours float64[n] in that state until it was left, or until now where is_over is False
    weight       of the state's hazard in a node's, in orders at risk
    stuck_share  of all orders, in states where history does not show it
    """
    if not state.shape == node.shape == hours.shape == is_over.shape:
        raise ValueError("expected state, node, hours and is_over of equal length")
    if len(hours) and not (hours.min() >= 0 and np.isfinite(hours).all()):
        raise ValueError("expected hours of at least 0")
    bins = len(_EDGES) - 1
    place = np.clip(np.searchsorted(_EDGES, hours, "right") - 1, 0, bins - 1)
    flat = (state * nodes + node) * bins + place
    shape = states, nodes, bins
    # Longer than the last edge is still there at it.
    leaves = np.bincount(flat, is_over & (hours < _EDGES[-1]), states * nodes * bins).reshape(shape)
    all_of = np.bincount(flat, minlength=states * nodes * bins).reshape(shape)
    at_risk = np.cumsum(all_of[:, :, ::-1], axis=2)[:, :, ::-1] - (all_of - leaves) / 2
    of_state, risk_of_state = leaves.sum(axis=1), at_risk.sum(axis=1)
    width = np.diff(_EDGES)
    hazard = np.zeros((states, bins))
    rate = np.full(states, 0.05)
    for b in range(bins):
        # Few at risk say little: the rate of the hours before goes on, with the weight of three orders.
        usual = -np.expm1(-rate * width[b])
        hazard[:, b] = (of_state[:, b] + 3 * usual) / (risk_of_state[:, b] + 3)
        # In hours that were waited, not in bins: six hours without one are six, however finely they are divided.
        share = np.minimum(of_state[:, b] / np.maximum(risk_of_state[:, b], 1e-9), 0.999)
        some = of_state[:, b] > 0
        each = np.where(some, share / -np.log1p(-np.where(some, share, 0.5)), 1.0)
        rate = (3 + of_state[:, b]) / (3 / rate + risk_of_state[:, b] * width[b] * each)
    own = (leaves + weight * hazard[:, None, :]) / (at_risk + weight)
    log_staying = np.zeros((states, nodes, bins + 1))
    log_staying[:, :, 1:] = np.cumsum(np.log1p(-np.minimum(own, 0.9999)), axis=2)
    share, is_seen = _never_leaving(hazard, at_risk.sum(axis=1), stuck_share)
    return Times(log_staying=log_staying, stuck_share=share, is_seen=is_seen)


def stuck(state: Int64, node: Int64, hours: Float64, learned: Times) -> Stuck:
    """Of open orders, int64[n], int64[n] and hours float64[n] in that state: which are stuck. Rows do not depend on
    each other. O(n)."""
    staying = learned.staying(state, node, hours)
    share = learned.stuck_share[state]
    leaving = learned.leaving(state, node, hours)
    return Stuck(
        staying=staying, confidence=share / (share + (1 - share) * leaving),
        median_hours=learned.usual_hours(state, node, 0.5), most_hours=learned.usual_hours(state, node, 0.99),
    )  # fmt: skip


def stuck_findings(
    seen: Stuck, hours: Float64, names: Sequence[str], state: Sequence[str], node: Sequence[str], loss_minor: Float64,
    now: datetime, *, confidence_min: float = 0.3, called: Sequence[str] | None = None,
) -> list[Finding]:  # fmt: skip
    """Stuck orders in words: order, state and node ("": a queue, which is nowhere) of each row; loss_minor float64[n]
    if it stays so.

    confidence_min  what an incident that is open stays open for
    called          what people call each order; None: by its name
    """
    out: list[Finding] = []
    for row in np.flatnonzero(seen.confidence >= confidence_min).tolist():
        subject = Subject("order", (names[row],))
        # In a queue orders wait for the same thing, wherever they would be served from.
        where = Subject("node", (node[row],)) if node[row] else Subject("queue", (state[row],))
        place = f"{state[row]} at {node[row]}" if node[row] else f"in the queue {state[row]}"
        since = now - timedelta(hours=float(hours[row]))
        out.append(
            Finding(
                kind=Kind.ORDER_STUCK, subject=subject, loss_minor=round(float(loss_minor[row])),
                confidence=float(seen.confidence[row]), since=since, causes=(subject, where),
                numbers={
                    "hours": float(hours[row]), "median_hours": float(seen.median_hours[row]),
                    "most_hours": float(seen.most_hours[row]), "staying_share": float(seen.staying[row]),
                },
                sentence=(
                    f"Order {(called or names)[row]} has been {place} for {hours[row]:,.0f} hours; half of them"
                    f" leave within {seen.median_hours[row]:,.1f}, 99 of 100 within {seen.most_hours[row]:,.0f}."
                ),
            )
        )  # fmt: skip
    return out


def learn_habits(history: Orders, *, twice: float = 0.002) -> Habits:
    """How customers come back, from past orders: of those that follow another of the customer by two days to a month,
    for sooner ones may be the same order; and of sooner ones that have another basket, which are not."""
    known = history.customer >= 0
    order = np.lexsort((history.placed_at[known], history.customer[known]))
    customer, address = history.customer[known][order], history.address[known][order]
    basket, at = history.basket[known][order], history.placed_at[known][order]
    gap = np.diff(at)
    again = (customer[1:] == customer[:-1]) & (gap > 2 * DAY_US) & (gap <= 30 * DAY_US)
    count = int(again.sum())
    hours = max(len(customer), 1) * 28 * 24.0
    # Two of ten orders the same and nine of ten to the same address, until ten have been seen.
    same_basket = (int((basket[1:] == basket[:-1])[again].sum()) + 2) / (count + 10)
    same_address = (int((address[1:] == address[:-1])[again].sum()) + 9) / (count + 10)
    forgot = (customer[1:] == customer[:-1]) & (gap <= 2 * DAY_US) & (basket[1:] != basket[:-1])
    per_hour = (count + 1) / (hours + 30 * 24)
    # Beyond those that come back within two days as they do within any two.
    more = max(int(forgot.sum()) - per_hour * 48 * len(customer), 0.0)
    return Habits(
        per_hour=per_hour,
        # As long as few orders were seen, one in 200.
        soon=(more + 1) / (len(customer) + 200),
        same_basket=same_basket,
        same_address=min(same_address, 0.99),
        twice=twice,
    )


def duplicates(orders: Orders, habits: Habits, *, within_hours: float = 48.0, confidence_min: float = 0.5) -> Pairs:
    """Orders that are an earlier one again, each with the earlier one it most likely repeats; later rows do not change
    what is said of earlier ones. O(n log n).

    With g hours between them, and s the share of orders with that basket, the odds are

        twice f(g) / (per_hour e^(-per_hour g) + soon e^(-g / 6) / 6)
            x P(basket, address, customer | same) / P(... | customer came back),
        P(same basket | came back) = same_basket + (1 - same_basket) s

    of customers who are not known to be the same, but whose address is, the rate is that of an address.
    """
    n = len(orders)
    _, inverse, counted = np.unique(orders.basket, return_inverse=True, return_counts=True)
    order = np.argsort(orders.placed_at, kind="stable")
    # How usual a basket was before this order: what comes later may not matter.
    usual = _seen_before(inverse, order, len(counted)) / np.maximum(np.argsort(order), 50)
    earlier: list[Int64] = [np.empty(0, np.int64)]
    later: list[Int64] = [np.empty(0, np.int64)]
    confidence: list[Float64] = [np.empty(0)]
    hours: list[Float64] = [np.empty(0)]
    for block in (orders.customer, orders.address):
        rows = np.lexsort((np.arange(n), orders.placed_at, block))
        rows = rows[block[rows] >= 0]
        for back in range(1, min(_NEIGHBOURS, len(rows) - 1) + 1):
            first, second = rows[:-back], rows[back:]
            gap = (orders.placed_at[second] - orders.placed_at[first]) / HOUR_US
            near = (block[first] == block[second]) & (gap <= within_hours)
            first, second, gap = first[near], second[near], gap[near]
            odds = _log_odds(orders, habits, first, second, gap, usual[second])
            p = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
            sure = p >= confidence_min
            earlier.append(first[sure])
            later.append(second[sure])
            confidence.append(p[sure])
            hours.append(gap[sure])
    one, two = np.concatenate(earlier), np.concatenate(later)
    p, gap = np.concatenate(confidence), np.concatenate(hours)
    best = np.lexsort((one, -p, two))
    best = best[np.r_[True, np.diff(two[best]) > 0]] if len(best) else best
    return Pairs(earlier=one[best], later=two[best], confidence=p[best], hours=gap[best])


def duplicate_findings(
    pairs: Pairs, orders: Orders, names: Sequence[str], loss_minor: Float64, *, called: Sequence[str] | None = None
) -> list[Finding]:
    """Orders placed twice in words; loss_minor float64[n]: what it costs to ship an order that nobody wants. called:
    what people call each order; None: by its name."""
    called = called or names
    out: list[Finding] = []
    for pair in range(len(pairs.later)):
        first, second = int(pairs.earlier[pair]), int(pairs.later[pair])
        p, gap = float(pairs.confidence[pair]), float(pairs.hours[pair])
        same = [
            word
            for word, ids in (("customer", orders.customer), ("address", orders.address), ("basket", orders.basket))
            if ids[first] == ids[second] >= 0
        ]
        out.append(
            Finding(
                kind=Kind.ORDER_DUPLICATE, subject=Subject("order", (names[second],)), confidence=p,
                loss_minor=round(float(loss_minor[second])), since=moment(int(orders.placed_at[second])),
                numbers={"hours_between": gap, "same_parts": len(same)},
                sentence=(
                    f"Order {called[second]} came {gap * 60:,.0f} minutes after {called[first]}, with the same"
                    f" {', '.join(same)}: {p:.0%} likely the same order again."
                ),
            )
        )  # fmt: skip
    return out


def _never_leaving(hazard: Float64, at_risk: Float64, given: float) -> tuple[Float64, Bools]:
    """(float64[state], bool[state]): the share that stays for good, where S has levelled off while ten or more are
    still watched: nine of ten that were there at half of the time are there at its end. Elsewhere what was given."""
    states = len(hazard)
    share, is_seen = np.full(states, given), np.zeros(states, bool)
    staying: Float64 = np.exp(np.cumsum(np.log1p(-np.minimum(hazard, 0.9999)), axis=1))
    for state in range(states):
        watched = np.flatnonzero(at_risk[state] >= 10)
        if not len(watched):
            continue
        end = int(watched[-1])
        half = int(np.searchsorted(_EDGES, float(_EDGES[end]) / 2))
        if half > 0 and staying[state, end - 1] >= 0.9 * staying[state, half - 1]:
            share[state], is_seen[state] = min(max(float(staying[state, end - 1]), 1e-5), 0.5), True
    return share, is_seen


def _seen_before(basket: Int64, order: Int64, baskets: int) -> Float64:
    """float64[n]: orders with the same basket placed before."""
    out = np.empty(len(basket))
    by_basket = np.lexsort((np.argsort(order), basket))
    begin = np.searchsorted(basket[by_basket], np.arange(baskets))
    out[by_basket] = np.arange(len(basket)) - begin[basket[by_basket]]
    return out


def _log_odds(orders: Orders, habits: Habits, first: Int64, second: Int64, gap: Float64, usual: Float64) -> Float64:
    soon = (1 - _LATER_SHARE) / _SOON_H * np.exp(-gap / _SOON_H) + _LATER_SHARE / _LATER_H * np.exp(-gap / _LATER_H)
    again = habits.per_hour * np.exp(-habits.per_hour * gap) + habits.soon / _FORGOT_H * np.exp(-gap / _FORGOT_H)
    odds = np.log(habits.twice * soon) - np.log(again)

    def told(values: Int64, if_same: float, if_not: Float64 | float) -> Float64:
        alike = values[first] == values[second]
        is_known = (values[first] >= 0) & (values[second] >= 0)
        return np.where(
            is_known, np.where(alike, np.log(if_same / if_not), np.log((1 - if_same) / np.subtract(1, if_not))), 0.0
        )

    came_back = np.clip(habits.same_basket + (1 - habits.same_basket) * usual, 1e-4, 0.99)
    odds += told(orders.basket, _SAME_BASKET, came_back)
    odds += told(orders.address, _SAME_ADDRESS, habits.same_address)
    # Of one address: households order apart from each other about as often as one of them comes back.
    return odds + told(orders.customer, _SAME_CUSTOMER, 0.5)
