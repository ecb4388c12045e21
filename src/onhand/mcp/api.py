"""The public HTTP interface as tools call it: with the caller's own key, so that it may do what that key may."""

import hashlib
from typing import Any, Protocol, cast

import httpx2
import msgspec

_TIMEOUT_S = 60.0
_REASON_MAX = 500


class Unanswered(Exception):
    """The server did not answer: it is away, or took too long."""


class Refused(Exception):
    """The interface said no: `status`, and its problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(str(problem.get("detail") or problem.get("code") or status))


class Application(Protocol):
    """An ASGI application, to be called without a network."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def over_http(url: str) -> httpx2.AsyncClient:
    """Calls a server at `url`."""
    return httpx2.AsyncClient(base_url=url, timeout=_TIMEOUT_S, follow_redirects=False)


def in_process(application: Application) -> httpx2.AsyncClient:
    """Calls an application of this process."""
    transport = httpx2.ASGITransport(app=cast("Any", application))
    return httpx2.AsyncClient(transport=transport, base_url="http://onhand", timeout=_TIMEOUT_S)


class Api:
    """The interface for one call of one tool.

    key   of the caller
    once  makes repeats of the call harmless: begins the idempotency key of each change it makes
    why   for the audit log, beside the key
    """

    def __init__(self, http: httpx2.AsyncClient, key: str, *, once: str = "", why: str = "") -> None:
        self._http = http
        self._key = key
        self.once = once
        self._why = why
        self.is_replayed = False

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Raises Refused, Unanswered."""
        wanted = {name.rstrip("_"): value for name, value in params.items() if value is not None}
        return await self._call("GET", path, params=wanted)

    async def post(self, path: str, body: dict[str, Any] | None = None, *, reason: str | None = None) -> dict[str, Any]:
        """Raises Refused, Unanswered."""
        headers: dict[str, str | bytes] = {"X-Reason": self._reason(reason)}
        if self.once:
            headers["Idempotency-Key"] = f"{self.once}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"
        return await self._call("POST", path, body=body, headers=headers)

    async def delete(self, path: str) -> dict[str, Any]:
        """Raises Refused, Unanswered."""
        return await self._call("DELETE", path, headers={"X-Reason": self._reason(None)})

    def _reason(self, more: str | None) -> bytes:
        text = f"{self._why}: {more}" if more else self._why
        printable = "".join(c if c.isprintable() else " " for c in text)
        return printable[:_REASON_MAX].encode()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        headers: dict[str, str | bytes] | None = None,
    ) -> dict[str, Any]:
        sent: list[tuple[bytes, bytes]] = [(b"authorization", b"Bearer " + self._key.encode())]
        for name, value in (headers or {}).items():
            sent.append((name.encode(), value if isinstance(value, bytes) else value.encode()))
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            sent.append((b"content-type", b"application/json"))
        try:
            answer = await self._http.request(method, path, params=params, content=content, headers=sent)
        except httpx2.TimeoutException:
            raise Unanswered("the server took too long to answer") from None
        except httpx2.TransportError as error:
            raise Unanswered(f"the server cannot be reached: {error}") from None
        try:
            read: Any = msgspec.json.decode(answer.content) if answer.content else {}
        except msgspec.DecodeError:
            read = {}
        document = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        if not answer.is_success:
            raise Refused(answer.status_code, document)
        if answer.headers.get("idempotent-replayed") == "true":
            self.is_replayed = True
        return document
