"""The standard's error model: a number, whether to retry, the field, and what we call it ourselves. Pure."""

from typing import Final

from onhand.mcp import failures
from onhand.mcp.model import Failure, Json, ToolError

VALIDATION: Final = 2001
MISSING: Final = 2002
FORMAT: Final = 2003
RATE_LIMIT: Final = 3001
TIMEOUT: Final = 3002
ADAPTER: Final = 4001
UNAVAILABLE: Final = 4002
NOT_IMPLEMENTED: Final = 5001

_NOT_IMPLEMENTED_CODE: Final = "onx.not_implemented"


def cannot(field: str, remedy: str) -> ToolError:
    """The standard has it, we do not: refused, so that nobody believes it was done."""
    return ToolError(
        Failure(status=501, code=_NOT_IMPLEMENTED_CODE, message=f"{field}: {remedy}", fields=((field, remedy),))
    )


def say(failure: Failure) -> Json:
    """A failure as these tools word it."""
    details: Json = {
        "reason": failure.code,
        "originalError": failure.code.replace(".", "_").upper(),
        "suggestion": failure.fields[0][1] if failure.fields else failures.remedy(failure),
    }
    if failure.fields:
        details["field"] = failure.fields[0][0]
    context = dict(failure.facts)
    if len(failure.fields) > 1:
        context["fields"] = [{"field": path, "reason": message} for path, message in failure.fields]
    if context:
        details["context"] = context
    return {
        "success": False,
        "error": {
            "code": number(failure),
            "message": failure.message,
            "retryable": failure.retryable,
            "details": details,
        },
    }


def number(failure: Failure) -> int:
    """The standard's number."""
    if failure.code == _NOT_IMPLEMENTED_CODE:
        return NOT_IMPLEMENTED
    if failure.status == 0:
        return TIMEOUT if "too long" in failure.message else UNAVAILABLE
    if failure.status in (400, 413, 415, 422):
        return _of_input(failure)
    if failure.status == 429:
        return RATE_LIMIT
    return UNAVAILABLE if failure.status >= 500 else ADAPTER


def _of_input(failure: Failure) -> int:
    if failure.facts.get("keyword") in ("format", "pattern"):
        return FORMAT
    if failure.fields and failure.fields[0][1] == "required":
        return MISSING
    return VALIDATION
