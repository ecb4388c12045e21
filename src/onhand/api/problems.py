"""Errors as problem documents (RFC 9457), for ordinary and hot routes alike."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from onhand.errors import DatabaseUnavailable, FieldError, InvalidInput, OnhandError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "https://onhand.dev/problems/"

# As RFC 9110 has them: the words of the standard library differ between versions of Python.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

# What is thrown away of a body that is too large before its connection is closed: enough for an
# honest client to finish sending and read the answer.
_DRAIN_BYTES_MAX = 64 * 2**20


class MalformedJson(OnhandError):
    """The body is not JSON, or JSON that has no single meaning."""

    code = "input.malformed_json"
    http_status = 400

    def __init__(self, message: str, path: str = "") -> None:
        self._path = path
        super().__init__(message)

    def facts(self) -> Mapping[str, object]:
        return {"errors": [{"path": self._path, "message": str(self)}]}


class PayloadTooLarge(OnhandError):
    """The body is larger than this server takes."""

    code = "input.too_large"
    http_status = 413

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"the body is larger than {limit_bytes} bytes; send it in parts")


class UnsupportedMediaType(OnhandError):
    """Only JSON is read here."""

    code = "input.media_type"
    http_status = 415

    def __init__(self, got: str) -> None:
        super().__init__(f"expected Content-Type: application/json, got {got[:80] or 'none'!r}")


class RouteNotFound(OnhandError):
    """No such path."""

    code = "route.not_found"
    http_status = 404


class MethodNotAllowed(OnhandError):
    """The path exists, the method does not."""

    code = "route.method_not_allowed"
    http_status = 405

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(f"{method[:40]} is not possible here; use {', '.join(self.allowed)}")


class InternalError(OnhandError):
    """Our fault. `error_id` finds the log entry."""

    code = "internal"
    http_status = 500

    def __init__(self, error_id: str) -> None:
        self.error_id = error_id
        super().__init__("an unexpected error; please report it with this error_id")


def of_database(error: Exception) -> OnhandError | None:
    """What slipped past our own checks: values the database cannot hold are bad input, the rest is our fault (None)."""
    if isinstance(error, psycopg.DataError):
        log.warning("the database refused a value", exc_info=error)
        return InvalidInput.at("", f"a value is out of range: {_first_line(error)}")
    if isinstance(error, psycopg.OperationalError):
        return DatabaseUnavailable(_first_line(error))
    return None


def _first_line(error: psycopg.Error) -> str:
    return str(error.diag.message_primary or error).partition("\n")[0]


def answer_of(error: Exception, scope: Scope) -> OnhandError:
    """What a caller is told of any error of a hot route."""
    return error if isinstance(error, OnhandError) else of_database(error) or report(error, scope)


def report(error: Exception, scope: Scope) -> InternalError:
    """Log what should not have happened; the answer carries the id of the log entry and nothing else."""
    error_id = secrets.token_hex(8)
    if not isinstance(error, ConnectionError):  # the client went away: nobody's fault
        log.error("unexpected error", error_id=error_id, method=scope["method"], path=scope["path"], exc_info=error)
    return InternalError(error_id)


def document(error: OnhandError) -> dict[str, Any]:
    """The problem document of `error`; its facts are members of their own (`missing`, `errors`,
    ...).
    """
    facts = error.facts()
    return {
        **facts,
        "type": TYPE_PREFIX + error.code,
        "title": _TITLES.get(error.http_status) or HTTPStatus(error.http_status).phrase,
        "status": error.http_status,
        "detail": str(error),
        "code": error.code,
    }


def headers_of(error: OnhandError) -> dict[str, str]:
    """Headers that belong to the status: WWW-Authenticate, Allow, Retry-After."""
    headers: dict[str, str] = {}
    if error.http_status == 401:
        headers["www-authenticate"] = 'Bearer realm="onhand"'
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    if error.retryable:
        headers["retry-after"] = str(getattr(error, "retry_after_s", 1))
    return headers


def encode(error: OnhandError) -> bytes:
    """The problem document as JSON."""
    return msgspec.json.encode(document(error), enc_hook=str)


class ProblemResponse(Response):
    """A problem document; closes the connection, politely, when the request's body was too large to
    be read.
    """

    media_type = MEDIA_TYPE

    def __init__(self, error: OnhandError) -> None:
        self._drains = isinstance(error, PayloadTooLarge)
        super().__init__(encode(error), error.http_status, headers_of(error))
        # Starlette adds a charset to text types only.
        if self._drains:
            self.headers["connection"] = "close"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._drains:
            await super().__call__(scope, receive, send)
            return
        start: Message = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        # The whole answer is out before the rest of the body comes in: a client that keeps sending
        # gets it, one that stops is not waited for.
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        drained, more = 0, True
        while more and drained < _DRAIN_BYTES_MAX:
            message = await receive()
            drained += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_problem(error: OnhandError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a problem document, outside FastAPI (hot routes)."""
    await ProblemResponse(error)(scope, receive, send)


async def answer_error(_: Request, error: Exception) -> Response:
    """FastAPI's handler for the whole tree of errors."""
    assert isinstance(error, OnhandError)
    return ProblemResponse(error)


async def answer_invalid(_: Request, error: Exception) -> Response:
    """FastAPI's handler for what pydantic refuses."""
    assert isinstance(error, RequestValidationError)
    return ProblemResponse(from_pydantic(error.errors()))


def from_pydantic(errors: Sequence[Any]) -> InvalidInput:
    """Pydantic's errors as ours: the location without `body`/`query`/`path`, the message without
    the input.
    """
    return InvalidInput([FieldError(path_of(e["loc"]), _message(e["msg"], str(e["type"]))) for e in errors[:100]])


def path_of(location: Sequence[str | int]) -> str:
    """("body", "lines", 0, "quantity") as `lines[0].quantity`."""
    parts = list(location)
    if parts and parts[0] in ("body", "query", "path", "header", "cookie"):
        parts = parts[1:]
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("("):  # "(by zone)": pydantic's tag of an alternative, no part of the document
            path += f".{part}" if path else part
    return path


def _message(message: str, kind: str) -> str:
    if kind == "missing":
        return "required"
    if kind == "extra_forbidden":
        return "unknown field"
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


_MSGSPEC_PATH = re.compile(r"^(?P<message>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes from outside."""


def from_msgspec(error: msgspec.DecodeError | UnicodeDecodeError | RecursionError) -> OnhandError:
    """msgspec's error as ours: `$.lines[0].quantity` becomes `lines[0].quantity`."""
    if isinstance(error, UnicodeDecodeError):
        return MalformedJson("not UTF-8")
    if isinstance(error, RecursionError):
        return MalformedJson("nested too deep")
    if not isinstance(error, msgspec.ValidationError):
        return MalformedJson(f"not JSON: {error}")
    match = _MSGSPEC_PATH.match(str(error))
    assert match is not None
    path = (match["path"] or "$").removeprefix("$").removeprefix(".")
    message = match["message"].replace("`", "")
    if missing := re.fullmatch(r"Object missing required field (\w+)", message):
        path = f"{path}.{missing[1]}" if path else missing[1]
        message = "required"
    elif unknown := re.fullmatch(r"Object contains unknown field (.+)", message, re.DOTALL):
        path = f"{path}.{unknown[1]}" if path else unknown[1]
        message = "unknown field"
    return InvalidInput.at(path, message[:1].lower() + message[1:])


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; further members are facts of that code.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {
                    "path": {"type": "string", "description": "as in `lines[0].quantity`"},
                    "message": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
    "examples": [
        {
            "type": TYPE_PREFIX + "input.invalid",
            "title": "Unprocessable Content",
            "status": 422,
            "detail": "lines[0].quantity: expected int >= 1",
            "code": "input.invalid",
            "errors": [{"path": "lines[0].quantity", "message": "expected int >= 1"}],
        }
    ],
}

_DESCRIPTIONS = {
    400: "The body is not JSON",
    401: "No valid API key",
    403: "The API key lacks the scope",
    404: "Nothing here has that id",
    409: "The present state does not allow it",
    410: "The event id belongs to another history: read the state again and start at the head",
    413: "The body is too large",
    415: "The body is not declared as JSON",
    422: "The input is not allowed; `errors` names each field",
    503: "Overloaded, or the database is unavailable; retry after `Retry-After` seconds",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route (or of a hand-made path item): each status answers with a problem
    document.
    """
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
