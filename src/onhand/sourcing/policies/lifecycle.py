"""The life of a version: draft -> shadow -> canary -> active -> retired. Pure: standings in, moves out.

`shadow` decides beside the live policy without effect, `canary` decides for a share of the orders, `active` for the
others. At most one version of a name is each of these. Steps may be left out if a reason is given; a rollback takes the
canary back, or else returns to the version that was active before.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from onhand.sourcing.policies.model import STANDARD_NAME

State = Literal["draft", "shadow", "canary", "active", "retired"]
SHARE_DEFAULT: Final = 0.05

WAY: Final[tuple[State, ...]] = ("draft", "shadow", "canary", "active")

MOVES: Final[Mapping[State, tuple[State, ...]]] = {
    "draft": ("shadow", "canary", "active", "retired"),
    "shadow": ("canary", "active", "retired"),
    "canary": ("canary", "active", "retired"),
    "active": ("retired",),
    "retired": ("shadow", "canary", "active"),
}
"""Where a version may go by promotion; a canary to itself with another share. Rollback has its own way."""

UNIQUE: Final = ("shadow", "canary", "active")
"""States that one version of a name has at a time: who comes sends the former one into retirement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of a version.

    share      of the orders that a canary decides, None in other states
    preceded   the version that was active when this one last became so: what a rollback returns to
    """

    version: int
    state: State
    share: float | None = None
    preceded: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A version's next state, and why."""

    version: int
    state: State
    share: float | None = None
    preceded: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A move that is not possible; `code` is public."""

    code: str
    message: str


def decide_promotion(
    name: str,
    standings: Sequence[Standing],
    *,
    to: State,
    version: int | None = None,
    share: float | None = None,
    why: str | None = None,
) -> list[Move] | Refused:
    """What moves when a version of `name` is to be `to`; none if it is so already.

    standings  of all versions
    version    None: the one that is nearest to `to` on the way, of drafts the newest
    share      of a canary, above 0 and below 1; None: 0.05
    why        needed to leave out a step
    """
    by_version = {standing.version: standing for standing in standings}
    found = _nearest(standings, to) if version is None else by_version.get(version)
    if found is None:
        missing = "no version" if version is None else f"no version {version}"
        return Refused("policy.no_version", f"{missing} of {name} can become {to}")
    if share is not None and to != "canary":
        return Refused("policy.share", f"only a canary has a share, not {to}")
    if to == "canary" and share is None:
        share = found.share or SHARE_DEFAULT
    if (found.state, found.share) == (to, share):
        return []
    if to not in MOVES[found.state]:
        said = f"version {found.version} of {name} is {found.state} and cannot become {to}"
        return Refused("policy.move", said)
    if _leaves_steps_out(found.state, to) and not why:
        way = " -> ".join(WAY)
        return Refused("policy.reason_missing", f"from {found.state} to {to} leaves out steps of {way}: say why")
    if (found.state, to, name) == ("active", "retired", STANDARD_NAME):
        message = f"orders need an active version of {STANDARD_NAME}: promote another one, or roll back"
        return Refused("policy.needed", message)
    former = next((s for s in standings if s.state == to and s.version != found.version), None)
    moves: list[Move] = []
    if former is not None and to in UNIQUE:
        moves.append(Move(version=former.version, state="retired", why=f"replaced by version {found.version}"))
    preceded = (former.version if former is not None else None) if to == "active" else None
    moves.append(Move(version=found.version, state=to, share=share, preceded=preceded, why=why))
    return moves


def decide_rollback(name: str, standings: Sequence[Standing], why: str) -> list[Move] | Refused:
    """What moves back: the canary, if there is one, else the active version in favour of the one before it."""
    canary = next((s for s in standings if s.state == "canary"), None)
    if canary is not None:
        return [Move(version=canary.version, state="retired", why=why)]
    active = next((s for s in standings if s.state == "active"), None)
    before = next((s for s in standings if active is not None and s.version == active.preceded), None)
    if active is None or before is None:
        return Refused("policy.nothing_before", f"{name} has no canary, and no version was active before")
    return [
        Move(version=active.version, state="retired", why=why),
        # What stood before it then stands before it again: a second rollback goes one further back.
        Move(version=before.version, state="active", preceded=before.preceded, why=why),
    ]


def _nearest(standings: Sequence[Standing], to: State) -> Standing | None:
    if to in {"retired", "draft"}:
        return None  # too consequential to guess
    on_the_way = [s for s in standings if s.state in WAY[: WAY.index(to)]]
    return max(on_the_way, key=lambda s: (WAY.index(s.state), s.version), default=None)


def _leaves_steps_out(state: State, to: State) -> bool:
    if to not in WAY or state == to:
        return False
    at = WAY.index(state) if state in WAY else 0  # retired: from the beginning
    return WAY.index(to) > at + 1


def takes_canary(name: str, version: int, order_key: str, share: float) -> bool:
    """Whether an order belongs to the canary's share: the same answer for an order, wherever and whenever asked.

    order_key  what identifies the order from its first moment, such as channel and external id
    share      of all orders; a larger one takes the same orders and more
    """
    hashed = hashlib.blake2b(f"{name}\0{version}\0{order_key}".encode(), digest_size=8).digest()
    return int.from_bytes(hashed, "big") < share * 2.0**64
