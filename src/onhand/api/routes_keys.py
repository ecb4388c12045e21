"""API keys: `/v1/keys`."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand import access
from onhand.access import Principal
from onhand.api.auth import require
from onhand.api.context import By, TheApp, TheEdge
from onhand.api.idempotent import OnceDep
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Moment, Name, Strict
from onhand.errors import Conflict
from onhand.flows import keys

router = routes("keys")

Scope = Literal[
    "read", "stock:write", "orders:write", "config:write", "plan:approve", "admin", "tool:approve_proposal",
    "tool:cancel-order", "tool:create-return", "tool:create-sales-order", "tool:dismiss_proposal", "tool:fulfill-order",
    "tool:release_reservation", "tool:reserve_stock", "tool:undo_proposal", "tool:update-order",
]  # fmt: skip


class NewKey(Strict):
    """A key to be. `admin` includes every other scope but those of tools: `tool:...` lets an agent change something by
    that tool of the MCP server, beside the scope that the tool needs."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "web shop", "scopes": ["read", "orders:write"]}]}
    )

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=20)]
    expires_at: Annotated[Moment | None, Field(description="when it ends by itself, in the future; null: never")] = None


class OwnKey(BaseModel):
    """The key of the request."""

    key_id: int
    name: str
    scopes: list[str]


class Key(BaseModel):
    """A key, without what would let one use it."""

    key_id: int
    name: str
    prefix: Annotated[str, Field(description="Its first characters, to recognise it")]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class CreatedKey(BaseModel):
    """A new key. `key` is shown here and never again; a repeat under the same `Idempotency-Key` has `null`."""

    key_id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    key: str | None


class Keys(BaseModel):
    """A page of keys."""

    data: list[Key]
    next_cursor: str | None


@router.post("/v1/keys", status_code=201, response_model=CreatedKey, dependencies=[require("admin")])
def create_key(body: NewKey, app: TheApp, by: By, once: OnceDep) -> Response:
    """Create a key."""
    return once.run(
        lambda transact: keys.create_key(
            app.db, name=body.name, scopes=body.scopes, by=by, expires_at=body.expires_at, transact=transact
        ),
        status=201,
        stored=lambda made: replace(made, key=None),
    )


@router.get("/v1/keys", response_model=Keys, dependencies=[require("admin")])
def list_keys(
    app: TheApp,
    page: Annotated[Page, pages("keys", int)],
    live: Annotated[bool, Query(description="only those that let somebody in: neither revoked nor over")] = False,
    order: Annotated[Literal["asc", "desc"], Query(description="oldest or newest first")] = "asc",
) -> dict[str, Any]:
    """All keys, oldest first, or newest first with `order=desc`; with `live=true` only those that let somebody in."""
    after = None if page.after is None else int(page.after[0])
    with app.db.connection() as conn:
        rows = access.list_keys(conn, after=after, limit=page.limit + 1, live=live, newest_first=order == "desc")
    return page.answer(rows, lambda row: (row.key_id,))


@router.get("/v1/key", response_model=OwnKey)
def get_own_key(by: Annotated[Principal, require("read")]) -> OwnKey:
    """The key of this request: what it may do."""
    return OwnKey(key_id=by.key_id, name=by.name, scopes=sorted(by.scopes))


@router.delete("/v1/key", response_model=Key, responses=problem_responses(409))
def end_own_key(edge: TheEdge, principal: Annotated[Principal, require(access.ANY_SCOPE)], by: By) -> dict[str, Any]:
    """Sign out: end the key of this request, whatever its scopes. Only one that would end by itself: another is revoked
    with another key."""
    with edge.app.db.connection() as conn:
        row = access.get_key(conn, principal.key_id)
    if row is None or row.expires_at is None:
        raise Conflict("key.own", "this key does not end by itself; revoke it with another one")
    ended = keys.revoke_key(edge.app.db, principal.key_id, by=by)
    edge.keys.forget()
    return asdict(ended)


@router.delete(
    "/v1/keys/{key_id}",
    response_model=Key,
    dependencies=[require("admin")],
    responses=problem_responses(404, 409),
)
def revoke_key(key_id: Annotated[int, Path(ge=1, le=2**31 - 1)], edge: TheEdge, by: By) -> dict[str, Any]:
    """Revoke a key: within 5 seconds no process accepts it. It stays in the list, since the audit log refers to it.

    A key cannot revoke itself, so that somebody can always come in: create another one first.
    """
    if key_id == by.key_id:
        raise Conflict("key.own", "this is the key of this request; revoke it with another one")
    row = keys.revoke_key(edge.app.db, key_id, by=by)
    edge.keys.forget()
    return asdict(row)
