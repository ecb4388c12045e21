"""One tree of errors. `code` is public: stable, machine-readable, never reused; the edge turns any of them into one
problem document (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the input: `path` as in `lines[0].quantity`, `message` with the remedy."""

    path: str
    message: str


class OnhandError(Exception):
    """Base of all errors a caller can act on. Facts are attributes; private ones start with an underscore."""

    code: str
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def facts(self) -> Mapping[str, object]:
        """JSON-ready facts; the edge adds code, status and message."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_") and k != "code"}


class InvalidInput(OnhandError):
    """The request cannot be understood or allowed as it is; `errors` names each field."""

    code = "input.invalid"
    http_status = 422

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self._errors = list(errors)
        super().__init__("; ".join(f"{e.path}: {e.message}" for e in errors))

    @classmethod
    def at(cls, path: str, message: str) -> "InvalidInput":
        return cls([FieldError(path, message)])

    @property
    def errors(self) -> list[FieldError]:
        return self._errors

    def facts(self) -> Mapping[str, object]:
        return {"errors": [{"path": e.path, "message": e.message} for e in self._errors]}


class NotFound(OnhandError):
    """Nothing here has that id."""

    http_status = 404

    def __init__(self, kind: str, key: str) -> None:
        self.code = f"{kind}.not_found"
        self.id = key
        super().__init__(f"no {kind} {key!r}")


class Conflict(OnhandError):
    """The request is sound but the present state does not allow it."""

    http_status = 409

    def __init__(self, code: str, message: str, **facts: object) -> None:
        self.code = code
        for name, value in facts.items():
            setattr(self, name, value)
        super().__init__(message)


class IdempotencyKeyReused(OnhandError):
    """The key was used before with another body."""

    code = "idempotency.key_reused"
    http_status = 422

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"{key!r} was used before with a different body; use a new key for a new request")


class IdempotencyInFlight(OnhandError):
    """The first request with this key has not ended yet."""

    code = "idempotency.in_flight"
    http_status = 409
    retryable = True

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"the first request with key {key!r} is still being worked on; retry shortly")


class Overloaded(OnhandError):
    """More at once than can be done. Nothing was written; retry after a moment."""

    code = "overloaded"
    http_status = 503
    retryable = True

    def __init__(self, retry_after_s: int = 1, why: str = "too many requests are waiting") -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{why}; nothing was written, retry after a moment")


class DatabaseUnavailable(OnhandError):
    """The database cannot be reached or answered with an unknown result."""

    code = "database.unavailable"
    http_status = 503
    retryable = True


class CommitUnknown(DatabaseUnavailable):
    """The connection broke during COMMIT: it may have happened. Read the idempotency row before doing it again."""

    code = "database.commit_unknown"


class SettingsError(OnhandError):
    """A setting is wrong or missing; the message names it and the remedy."""

    code = "settings.invalid"
    http_status = 500


class SchemaMismatch(SettingsError):
    """The database was made by another version of onhand."""

    code = "database.schema_mismatch"


class Unauthorised(OnhandError):
    """No valid key."""

    code = "auth.required"
    http_status = 401


class Forbidden(OnhandError):
    """The key lacks a scope."""

    code = "auth.scope_missing"
    http_status = 403

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"this key lacks the scope {scope!r}")
