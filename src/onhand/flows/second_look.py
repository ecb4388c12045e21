"""A second look at what memory refuses: another process may just have created what a request names, and a request that
was answered before its channel was closed is answered alike for ever. Blocks; nothing of it costs a sound request time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import msgspec

from onhand.base.actor import Actor
from onhand.db import idempotency, queries
from onhand.errors import IdempotencyKeyReused, InvalidInput
from onhand.flows.intake import Intake, NotKnown, hash_order, prepare
from onhand.flows.place_orders import Placed, placed_before
from onhand.flows.reserve import ROUTE, Hold, Reserved, hash_request, prepare_hold
from onhand.flows.state import State
from onhand.orders.intake import OrderIn, ReservationIn

T = TypeVar("T")
SQL = queries(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedOrder:
    """An order that memory refused with `error` at `at` (time.monotonic)."""

    order: OrderIn
    by: Actor
    key: str | None
    error: NotKnown
    at: float = field(default_factory=time.monotonic)


def learn(state: State, errors: Sequence[NotKnown], *, since: float) -> None:
    """Read what memory did not know at `since` (time.monotonic)."""
    if skus := sorted({sku for error in errors for sku in error.skus}):
        state.learn_items(skus)
    if any(error.is_about_network for error in errors):
        state.reload_network(since=since)


def look_again(state: State, error: NotKnown, check: Callable[[], T]) -> T:
    """What `check` says once memory has learnt what `error` is about. Raises InvalidInput."""
    learn(state, [error], since=time.monotonic())
    return check()


def look_again_at_orders(
    state: State, refused: Sequence[RefusedOrder], *, now: datetime
) -> list[Intake | Placed | Exception]:
    """Of each order what it is after all, its earlier answer, or why it stays refused."""
    learn(state, [r.error for r in refused], since=max(r.at for r in refused))
    found: list[Intake | Placed | Exception] = []
    for r in refused:
        try:
            found.append(prepare(state, r.order, actor=r.by.key_id, reason=r.by.reason, key=r.key, now=now))
        except InvalidInput as error:
            found.append(error)
    still = [n for n, answer in enumerate(found) if isinstance(answer, Exception)]
    for n, answer in zip(still, _answers(state, [refused[n] for n in still]), strict=True):
        found[n] = answer or found[n]
    return found


def _answers(state: State, refused: Sequence[RefusedOrder]) -> list[Placed | Exception | None]:
    """Answers given before to these very bodies; IdempotencyKeyReused where the key was another body's."""
    answers: list[Placed | Exception | None] = [None] * len(refused)
    if not refused:
        return answers
    channels = state.network.channels
    names = (
        [channels[r.order.channel].channel_id if r.order.channel in channels else None for r in refused],
        [r.order.external_id for r in refused],
        [r.by.key_id for r in refused],
        [r.key for r in refused],
    )
    with state.db.connection() as conn:
        again: dict[int, str] = {}
        for number, by_name, named, by_key, keyed in conn.execute(SQL["find_orders"], names).fetchall():
            n = int(number) - 1
            body = hash_order(msgspec.json.encode(refused[n].order))
            if by_key is not None:
                if bytes(by_key) == body:
                    again[n] = keyed
                else:
                    answers[n] = IdempotencyKeyReused(refused[n].key or "")
            elif bytes(by_name) == body:
                again[n] = named
        for n, answer in placed_before(conn, again).items():
            answers[n] = answer
    return answers


def look_again_at_hold(
    state: State, request: ReservationIn, error: NotKnown, *, by: Actor, key: str | None
) -> Hold | Reserved:
    """What a refused reservation request is after all, or its earlier answer. Raises InvalidInput,
    IdempotencyKeyReused."""
    try:
        return look_again(
            state, error, lambda: prepare_hold(state, request, actor=by.key_id, reason=by.reason, key=key)
        )
    except InvalidInput:
        if key is None:
            raise
        with state.db.connection() as conn:
            replay = idempotency.find(conn, by.key_id, ROUTE, key, hash_request(request))
        if replay is None:
            raise
        return Reserved(replay.answer, replayed=True)


__all__ = ["RefusedOrder", "learn", "look_again", "look_again_at_hold", "look_again_at_orders"]
