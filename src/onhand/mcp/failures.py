"""From what the interface refuses to what an agent can act on: the field, and the remedy."""

from typing import Any, Final, cast

from onhand.mcp.api import Refused, Unanswered
from onhand.mcp.model import Failure, Json

# Members of a problem document that say no fact of their own.
_FORM: Final = {"type", "title", "status", "detail", "code", "errors"}
_REMEDIES: Final = {
    401: "the API key is not valid: whoever set this server up must give it another one",
    403: "the API key may not do that: ask an administrator for the scope",
    404: "look it up again: find_orders, search_stock, list_proposals and list_incidents show what there is",
    409: "the present state does not allow it: read it again before you decide",
    422: "correct the arguments that are named",
    429: "wait a moment and repeat the call",
    503: "wait a moment and repeat the call",
}


def of_refusal(error: Refused) -> Failure:
    """What a problem document says."""
    problem = error.problem
    fields = [
        (str(row.get("path", "")), str(row.get("message", "")))
        for row in cast("list[dict[str, Any]]", problem.get("errors") or [])
    ]
    return Failure(
        status=error.status,
        code=str(problem.get("code") or f"http.{error.status}"),
        message=str(problem.get("detail") or f"the server answered {error.status}"),
        fields=tuple(fields),
        retryable=error.status in (429, 503) or problem.get("code") == "idempotency.in_flight",
        facts={name: value for name, value in problem.items() if name not in _FORM},
    )


def of_silence(error: Unanswered) -> Failure:
    """The server is away."""
    return Failure(status=0, code="server.unanswered", message=str(error), retryable=True)


def remedy(failure: Failure) -> str:
    """What to do about it."""
    if failure.status == 0:
        return "repeat the call; if it stays so, tell a person"
    return _REMEDIES.get(failure.status, "tell a person")


def say(failure: Failure) -> Json:
    """As our own tools word it."""
    return {
        "error": {
            "code": failure.code,
            "message": failure.message,
            "fields": [{"path": path, "message": message} for path, message in failure.fields],
            "retryable": failure.retryable,
            "remedy": remedy(failure),
            "facts": dict(failure.facts),
        }
    }
