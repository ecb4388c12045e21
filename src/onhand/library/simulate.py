"""`onhand.simulate`: orders with their moments, a network and policies in; what each would have made of them out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec
import numpy as np

from onhand.errors import InvalidInput
from onhand.library.network import Network
from onhand.library.source import asks_of, policy_of
from onhand.simulation.compare import Comparison, compare
from onhand.simulation.history import NO_INBOUND, NO_MOVES, History, Inbound, Moves
from onhand.simulation.replay import Settings, replay
from onhand.simulation.rules import PlainRules, Rules
from onhand.sourcing.policies.facts import OrderFacts
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import asked


def simulate(
    orders: Iterable[Mapping[str, Any]],
    network: Mapping[str, Any] | Network,
    *,
    policies: Sequence[str | Policy],
    seed: int = 0,
    rejection: Mapping[str, float] | None = None,
    target_days: float | None = None,
    before: Iterable[Mapping[str, Any]] = (),
) -> list[Comparison]:
    """Replay `orders` by each of `policies` with stock, supply and capacity evolving, and compare each of those after
    the first with the first one. Nothing is kept: `network` stays as it is.

    orders       as `onhand.source` takes them, each with its `placed_at`
    network      a document (see Network.load) or a loaded network, at the moment the first order is placed or before;
                 units of `inbound` are promised, and arrive when they are expected
    policies     as in `onhand.source`; one alone is compared with itself
    seed         of rejections and transit times, the same for all policies
    rejection    node -> probability that it rejects a line; none where left out
    before       orders of the weeks before, as `orders`: a policy that looks forward learns from these, and from
                 those of `orders` that have been placed, what units are worth to the orders to come; anew every
                 simulated day, as the server does, and not before it knows 200 orders of at least a day
    target_days  beyond which an order counts as late; where left out, that of the first policy's default objective

    Raises InvalidInput, naming every field that is wrong.
    """
    rules = [policy_of(policy) for policy in policies]
    if not rules:
        raise InvalidInput.at("policies", "expected one policy or more")
    return replayed(
        orders, network, [partial(PlainRules, policy) for policy in rules], first=rules[0], seed=seed,
        rejection=rejection, target_days=target_days, before=before,
    ).comparisons  # fmt: skip


class Replayed(NamedTuple):
    """What was replayed, and how each policy after the first did against it."""

    history: History
    comparisons: list[Comparison]


def replayed(
    orders: Iterable[Mapping[str, Any]],
    network: Mapping[str, Any] | Network,
    policies: Sequence[Callable[[History], Rules]],
    *,
    first: Policy,
    seed: int = 0,
    rejection: Mapping[str, float] | None = None,
    target_days: float | None = None,
    before: Iterable[Mapping[str, Any]] = (),
    facts: Callable[[int], OrderFacts] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Replayed:
    """As `simulate`, for policies with rules of their own. Raises InvalidInput.

    policies  one or more: how each asks for the orders of a history
    first     the objectives of the first of them
    facts     what conditions see of an order, by its number in order of time
    progress  told how many orders have been decided, of all policies together
    """
    given = [*orders]
    moments = [_moment(order, n) for n, order in enumerate(given)]
    known = network if isinstance(network, Network) else Network.load(network, at=min(moments, default=None))
    history = replace(_history(given, moments, known, first, rejection or {}), facts=facts)
    if early := [*before]:
        history = replace(history, before=_before(early, history, known, first))
    days = first.objectives[first.default].target_days if target_days is None else target_days
    settings = Settings(seed=seed, target_days=days)

    def told(at: int, done: int) -> None:
        if progress is not None:
            progress(at * len(given) + done)

    outcomes = [replay(history, of(history), settings, progress=partial(told, at)) for at, of in enumerate(policies)]
    return Replayed(history, [compare(history, outcomes[0], outcome) for outcome in outcomes[1:] or outcomes])


def _moment(order: Mapping[str, Any], number: int, path: str = "orders") -> datetime:
    given = order.get("placed_at")
    try:
        moment = msgspec.convert(given, datetime, strict=False)
    except msgspec.ValidationError:
        raise InvalidInput.at(
            f"{path}[{number}].placed_at", "expected a moment, such as 2026-03-02T08:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise InvalidInput.at(f"{path}[{number}].placed_at", "expected a moment with its time zone")
    return moment


def _history(
    orders: Sequence[Mapping[str, Any]],
    moments: Sequence[datetime],
    known: Network,
    policy: Policy,
    rejection: Mapping[str, float],
) -> History:
    begins = known.at.timestamp()
    early = next((n for n, moment in enumerate(moments) if moment.timestamp() < begins), None)
    if early is not None:
        raise InvalidInput.at(
            f"orders[{early}].placed_at", f"expected no moment before that of the network, {known.at}"
        )
    nodes = known.compiled.node_ids
    unknown = next((code for code in rejection if code not in nodes), None)
    if unknown is not None:
        raise InvalidInput.at("rejection", f"no node {unknown!r}")
    names = [*policy.objectives]
    share = np.zeros(len(known.compiled.node_codes))
    for code, probability in rejection.items():
        share[nodes[code]] = probability
    moves, inbound = _arrivals(known, begins)
    return History(
        begins=begins,
        **_columns(orders, moments, names, known, policy, "orders"),
        objectives=names,
        network=known.compiled,
        goods=known.catalogue.goods,
        available=known.available,
        safety=known.safety,
        rejection=share,
        moves=moves,
        inbound=inbound,
    )


def _before(orders: Sequence[Mapping[str, Any]], history: History, known: Network, policy: Policy) -> History:
    """Raises InvalidInput."""
    moments = [_moment(order, n, "before") for n, order in enumerate(orders)]
    late = next((n for n, moment in enumerate(moments) if moment.timestamp() >= history.begins), None)
    if late is not None:
        raise InvalidInput.at(f"before[{late}].placed_at", f"expected a moment before that of the network, {known.at}")
    columns = _columns(orders, moments, history.objectives, known, policy, "before")
    return replace(history, begins=min(moments).timestamp(), **columns)


def _columns(
    orders: Sequence[Mapping[str, Any]],
    moments: Sequence[datetime],
    names: Sequence[str],
    known: Network,
    policy: Policy,
    path: str,
) -> dict[str, Any]:
    """Fields of a history that are about its orders, in order of time; names: of objectives."""
    turn = sorted(range(len(orders)), key=lambda n: moments[n])
    asks = asks_of(
        [{**order, "placed_at": at} for order, at in zip(orders, moments, strict=True)], known, policy, known.at, path
    )
    given, rows = [asks[n] for n in turn], [orders[n] for n in turn]
    wishes = [names.index(row["objective"]) if row.get("objective") else -1 for row in rows]
    return {
        "orders": asked([ask for _, ask, _ in given], known.compiled),
        "placed": np.array([moments[n].timestamp() for n in turn], np.float64),
        "may_wait": np.array([waits for _, _, waits in given], np.bool_),
        "may_split": np.array([row.get("allow_split", True) for row in rows], np.bool_),
        "wishes": np.array(wishes, np.int32),
    }


def _arrivals(known: Network, begins: float) -> tuple[Moves, Inbound]:
    """Supply that is known from the beginning and arrives when it is expected."""
    if not known.inbound:
        return NO_MOVES, NO_INBOUND
    rows = np.array([(s.ready, s.item_id, s.node_id, s.units) for s in known.inbound], np.float64)
    by_time = rows[np.argsort(rows[:, 0], kind="stable")]
    by_item = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    ready, item, node, units = by_time.T
    whole = np.int32
    moves = Moves(ready, item.astype(whole), node.astype(whole), units.astype(whole), np.ones(len(rows), np.bool_))
    ready, item, node, units = by_item.T
    inbound = Inbound(
        np.full(len(rows), begins), ready.copy(), item.astype(whole), node.astype(whole), units.astype(whole)
    )
    return moves, inbound
