"""What the routes of set-up data share: their options, how they answer, and what the process takes over.

PUT writes the whole document and is idempotent by nature: 201 created, 200 updated or unchanged, with the row. What was
written is in this process's memory before the answer is out, so that the caller's next request finds it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.idempotent import to_json
from onhand.api.paging import Page
from onhand.api.problems import problem_responses
from onhand.app import App
from onhand.base.fields import Code
from onhand.base.results import RowResult
from onhand.errors import DatabaseUnavailable, NotFound
from onhand.flows import set_up

BATCH_MAX = 5_000

_read = [require("read")]
_write = [require("config:write")]

# A sku may contain a slash, written %2F; it is the last part of its address.
Sku = Annotated[Code, Path(examples=["MUG-BLUE"])]
TheCode = Annotated[Code, Path(examples=["LYON"])]
Filter = Annotated[str | None, Query(min_length=1, max_length=200)]


class RowErrorOut(BaseModel):
    """One thing wrong with a row."""

    path: Annotated[str, Field(description="within the row, as in `components[1].sku`")]
    message: str


class RowOut(BaseModel):
    """What became of a row."""

    status: Literal["created", "updated", "unchanged", "rejected"]
    code: Annotated[Literal["input.invalid"], Field(description="of rejected rows")] = "input.invalid"
    errors: Annotated[list[RowErrorOut], Field(description="of rejected rows")] = []


class ListOut(BaseModel):
    """A page of a list."""

    next_cursor: str | None


DryRun = Annotated[bool, Query(description="only say what would become of each row: nothing is written")]
AnyRow = Annotated[Any, Field(description="anything else is answered as rejected")]


def put_options(model: type[BaseModel], *problems: int) -> dict[str, Any]:
    """Options of a PUT: 201 for a new row, 200 for one that was there."""
    return {
        "dependencies": _write,
        "response_model": model,
        "response_description": "Updated, or unchanged",
        "responses": {
            201: {"model": model, "description": "Created"},
            **problem_responses(*problems, 422),
        },
    }


def get_options(model: type[BaseModel]) -> dict[str, Any]:
    """Options of a GET of one row."""
    return {
        "dependencies": _read,
        "response_model": model,
        "responses": problem_responses(404, 422),
    }


def list_options(model: type[BaseModel]) -> dict[str, Any]:
    """Options of a list."""
    return {"dependencies": _read, "response_model": model, "responses": problem_responses(422)}


def post_options(model: type[BaseModel]) -> dict[str, Any]:
    """Options of a batch."""
    return {
        "dependencies": _write,
        "response_model": model,
        "responses": problem_responses(409, 422),
    }


def put_answer(written: set_up.Written, row: object, *path: str) -> Response:
    """What a PUT answers; `path`: where the row is found, below /v1."""
    created = written == "created"
    headers = {"location": "/v1/" + "/".join(quote(part, safe="") for part in path)}
    return Response(
        to_json(row),
        201 if created else 200,
        headers if created else None,
        media_type="application/json",
    )


def found(kind: str, code: str, row: object | None) -> Response:
    """What a GET of one row answers. Raises NotFound."""
    if row is None:
        raise NotFound(kind, code)
    return Response(to_json(row), media_type="application/json")


def page_answer(document: dict[str, Any]) -> Response:
    """What a list answers."""
    return Response(to_json(document), media_type="application/json")


def take_over_network(app: App, is_changed: bool = True) -> None:
    """Bring the network in memory up to date. It is committed: what fails here, the follower does a moment later."""
    with suppress(DatabaseUnavailable):
        if is_changed:
            app.state.reload_network()


def without(row: Any, *hidden: str) -> dict[str, Any]:
    """The fields of a dataclass, without some."""
    return {f.name: getattr(row, f.name) for f in fields(row) if f.name not in hidden}


def results_answer(rows: Sequence[RowResult], key: str) -> dict[str, Any]:
    """What a batch answers; `key`: the field that names a row."""
    return {"results": [_result(row, key) for row in rows]}


def _result(row: RowResult, key: str) -> dict[str, Any]:
    result: dict[str, Any] = {"status": row.status, key: row.key}
    if row.status == "rejected":
        result |= {"code": "input.invalid", "errors": row.errors}
    return result


def is_change(row: RowResult) -> bool:
    """Whether anything was written for a row."""
    return row.status in ("created", "updated")


def after_code(page: Page) -> str:
    """The code after which a page begins."""
    return "" if page.after is None else str(page.after[0])
