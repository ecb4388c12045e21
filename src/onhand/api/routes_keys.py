"""API keys: `/v1/keys`."""

from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp, TheEdge
from onhand.api.idempotent import OnceDep
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.flows import keys

router = routes("keys")


class NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    scopes: Annotated[list[str], Field(min_length=1, max_length=20)]


@router.post("/v1/keys", status_code=201, dependencies=[require("admin")])
def create_key(body: NewKey, app: TheApp, by: By, once: OnceDep) -> Response:
    """Create a key. `key` is shown in this answer and never again: a repeat under the same
    `Idempotency-Key` has `null` in its place.
    """
    return once.run(
        lambda transact: keys.create_key(app.db, name=body.name, scopes=body.scopes, by=by, transact=transact),
        status=201,
        stored=lambda made: replace(made, key=None),
    )


@router.delete("/v1/keys/{key_id}", dependencies=[require("admin")], responses=problem_responses(404))
def revoke_key(key_id: Annotated[int, Path(ge=1, le=2**31 - 1)], edge: TheEdge, by: By) -> dict[str, Any]:
    """Revoke a key: within 5 seconds no process accepts it."""
    row = keys.revoke_key(edge.app.db, key_id, by=by)
    edge.keys.forget()
    return asdict(row)
