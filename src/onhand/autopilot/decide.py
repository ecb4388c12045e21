"""Whether an action may be taken without a person. Pure."""

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from onhand.autopilot.model import Action, Code, Guardrails, Mode, Owner, Past, Used, Verdict

HOUR: Final = timedelta(hours=1)
# To turn back takes longer than to go on: what was done last has to show first.
_BACK: Final = 2
# An action whose direction has changed so often in so many periods is fighting something. A period is the least time
# after which it may turn back: in fewer cool-downs nothing could turn so often that is turned back by this rule alone.
TURNS_MAX: Final = 3
_PERIODS: Final = 5
_COOL_DOWN_MIN: Final = timedelta(minutes=10)


def looks_back(rails: Guardrails) -> timedelta:
    """How far back actions on the same key count."""
    return max(_PERIODS * _BACK * max(timedelta(seconds=rails.cool_down_s), _COOL_DOWN_MIN), HOUR)


def decide(
    action: Action,
    *,
    mode: Mode,
    rails: Guardrails,
    used: Used,
    past: Sequence[Past],
    owners: Sequence[Owner],
    stopped: bool,
    now: datetime,
) -> Verdict:
    """What is to be done about it: the first guardrail that it would pass.

    used    by its domain in the last hour
    past    actions on its key within `looks_back`, in any order; those held out are none
    owners  of its keys, whose time may be over
    """
    if stopped:
        return _no("refuse", "stopped", "everything is stopped: resume it when that is wanted")
    if mode == "off":
        return _no("refuse", "off", f"{action.domain} is switched off")
    if mode == "recommend":
        return _no("recommend", "recommends", f"{action.domain} is left to people")
    for freeze in rails.freezes:
        if freeze.from_ <= now < freeze.until:
            return _no("recommend", "frozen", f"left to people until {freeze.until:%Y-%m-%d %H:%M} UTC: {freeze.note}")
    if action.seen_at is not None and now - action.seen_at > timedelta(seconds=rails.data_age_max_s):
        return _no("refuse", "stale", f"what it rests on is of {action.seen_at:%Y-%m-%d %H:%M} UTC, which is too old")
    if action.confidence < rails.confidence_min:
        return _no(
            "recommend", "unsure", f"it is {action.confidence:.0%} sure, {rails.confidence_min:.0%} is asked for"
        )
    if action.gain_minor < rails.gain_per_cost_min * action.money_minor:
        return _no(
            "recommend",
            "poor",
            f"it promises {action.gain_minor:,} for {action.money_minor:,}, {rails.gain_per_cost_min:g} times as much"
            " is asked for",
        )
    if rails.currency is not None and action.money_minor and action.currency != rails.currency:
        return _no("recommend", "currency", f"it costs {action.currency}, the limits are in {rails.currency}")
    for name, amount, limit in (
        ("money_per_action_minor", action.money_minor, rails.money_per_action_minor),
        ("units_per_action", action.units, rails.units_per_action),
        ("orders_per_action", action.orders, rails.orders_per_action),
    ):
        if limit is not None and amount > limit:
            return _no("recommend", "too_wide", f"{name}: {amount:,}, at most {limit:,}")
    for name, amount, before, limit in (
        ("money_per_hour_minor", action.money_minor, used.money_minor, rails.money_per_hour_minor),
        ("units_per_hour", action.units, used.units, rails.units_per_hour),
        ("orders_per_hour", action.orders, used.orders, rails.orders_per_hour),
    ):
        if limit is not None and before + amount > limit:
            return _no("recommend", "budget", f"{name}: {before:,} used and {amount:,} wanted, at most {limit:,}")
    for owner in owners:
        if owner.domain != action.domain and owner.until > now and owner.cause != action.cause:
            detail = f"{owner.domain} has acted on {' '.join(owner.key)}: until {owner.until:%Y-%m-%d %H:%M} UTC"
            return _no("refuse", "owned", detail)
    verdict = _by_the_past(action, rails, past, now)
    if verdict is not None:
        return verdict
    if action.judge_at is not None and is_held_out(action.key, rails.hold_out_share, now):
        return _no("refuse", "held_out", "left undone on purpose, to compare with what is done")
    return Verdict(do="act", code="within", detail="within the guardrails")


def corrected(amount: int, now: int, share: float) -> int:
    """What a correction from `now` to `amount` comes to when only a share of it is done at once: at least one unit of
    it, so that it ends."""
    way = amount - now
    return now + (math.ceil(way * share) if way > 0 else math.floor(way * share))


def is_held_out(key: Sequence[str], share: float, now: datetime) -> bool:
    """Whether what acts on this key is left undone, to compare with: a share of all keys, others each week.

    By the key and not by chance: what is left undone once is not done a minute later.
    """
    year, week, _ = now.isocalendar()
    return is_drawn(key, share, seed=(str(year), str(week)))


def is_drawn(key: Sequence[str], share: float, *, seed: Sequence[str]) -> bool:
    """Whether a key is among a share of all keys; with the same seed it always is, or never."""
    digest = hashlib.blake2b("\x1f".join((*seed, *key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def turns(past: Sequence[Past]) -> int:
    """How often the direction of actions changed."""
    directions = [p.direction for p in sorted(past, key=lambda p: p.at) if p.direction]
    return sum(a != b for a, b in pairwise(directions))


def _by_the_past(action: Action, rails: Guardrails, past: Sequence[Past], now: datetime) -> Verdict | None:
    """Not the same again before it can have worked, not back at once, and not to and fro; what one cause does in
    several steps is one thing."""
    within = [p for p in past if now - looks_back(rails) < p.at <= now]
    if turns(within) >= TURNS_MAX:
        return _no(
            "recommend",
            "oscillates",
            f"{' '.join(action.key)} was changed to and fro {turns(within)} times lately: left to people",
        )
    wait = timedelta(seconds=rails.cool_down_s)
    for p in within:
        if p.cause == action.cause:
            continue
        if p.direction * action.direction < 0 and now - p.at < _BACK * wait:
            return _no("refuse", "turns_back", f"the opposite was done at {p.at:%Y-%m-%d %H:%M} UTC")
        if p.domain == action.domain and now - p.at < wait:
            return _no("refuse", "cool_down", f"it was acted on at {p.at:%Y-%m-%d %H:%M} UTC: that has to show first")
    return None


def _no(do: str, code: Code, detail: str) -> Verdict:
    return Verdict(do="recommend" if do == "recommend" else "refuse", code=code, detail=detail)
