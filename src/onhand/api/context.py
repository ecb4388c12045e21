"""What a request can reach: the application and the edge's own parts, as `scope["onhand"]`."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import Request

from onhand.api.auth import KeyRing, Principal
from onhand.api.events import EventHub
from onhand.api.gathered import Gatherer
from onhand.api.looks import Looks
from onhand.api.story import StoryBoard
from onhand.app import App
from onhand.base.actor import Actor
from onhand.errors import InvalidInput
from onhand.flows.sign_in import SignIn
from onhand.orders.watching import Coming

REASON_LENGTH_MAX = 500
# Each as long as the catalogue, and each letter that somebody types is another.
SEARCHES_KEPT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One API process: the application, and what only the HTTP interface needs.

    sign_in   None where people have keys only
    searches  item_ids that were found lately, by what was searched for
    """

    app: App
    keys: KeyRing
    events: EventHub
    gathered: Gatherer
    openapi: Callable[[], bytes]
    sign_in: SignIn | None
    looks: Looks = field(default_factory=Looks)
    searches: Looks = field(default_factory=lambda: Looks(kept_max=SEARCHES_KEPT))
    coming: Coming = field(default_factory=Coming)
    story: StoryBoard = field(default_factory=StoryBoard)


def edge(request: Request) -> Edge:
    """The edge of this process."""
    found = request.scope["onhand"]
    assert isinstance(found, Edge)
    return found


def _app(request: Request) -> App:
    return edge(request).app


def _actor(
    request: Request,
    x_reason: Annotated[
        str | None,
        Header(
            alias="X-Reason",
            # Not max_length, which would count the bytes of UTF-8: `actor_of` counts characters.
            json_schema_extra={"maxLength": REASON_LENGTH_MAX},
            description="Why, for the audit log",
        ),
    ] = None,
) -> Actor:
    principal = request.scope["onhand_principal"]
    assert isinstance(principal, Principal), "the route declares no scope: add require(...)"
    return actor_of(principal, x_reason)


def actor_of(principal: Principal, reason: str | None) -> Actor:
    """Who changes something, and why: the key, and the header `X-Reason`. Raises InvalidInput."""
    if reason is not None:
        # Header values arrive as Latin-1; people write UTF-8.
        with suppress(UnicodeError):
            reason = reason.encode("latin-1").decode("utf-8")
        reason = reason.strip() or None
    if reason is not None and len(reason) > REASON_LENGTH_MAX:
        raise InvalidInput.at("X-Reason", f"expected at most {REASON_LENGTH_MAX} characters")
    return Actor(key_id=principal.key_id, reason=reason)


TheEdge = Annotated[Edge, Depends(edge)]
"""Parameter type: the edge of this process."""

TheApp = Annotated[App, Depends(_app)]
"""Parameter type: the application (`db`, `settings`, ...)."""

By = Annotated[Actor, Depends(_actor)]
"""Parameter type: who makes the change, and why (header `X-Reason`)."""
