"""A polite client of the public interface: kept connections, idempotency keys, back-off when the server is busy."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx2
import msgspec

from onhand.errors import OnhandError
from onhand.twin.world import Json

_BUSY: Final = (429, 503)
_ATTEMPTS: Final = 8
_WAIT_MAX_S: Final = 5.0
_TIMEOUT_S: Final = 30.0
_CONNECTIONS: Final = 48
# As the stream itself asks of its clients.
_RECONNECT_S: Final = 1.0
_PAGE: Final = 1_000


class WorldError(OnhandError):
    """The simulated world cannot go on: the server is gone, or refuses what the world is made of."""

    code = "twin.stopped"
    http_status = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is {} when there was none."""

    status: int
    body: Json

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def problem(self) -> str:
        """The stable code of a refusal."""
        return str(self.body.get("code", self.status))


class Client:
    """One server, one key.

    heard  called with (name, status, seconds) for every answer, repeats included
    """

    def __init__(self, base_url: str, key: str, heard: Callable[[str, int, float], None]) -> None:
        self._heard = heard
        self._http = httpx2.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_S,
            limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            trust_env=False,  # a proxy of the environment does not lead to our own machine
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **params: Any) -> Answer:
        return await self._call("GET", path, params=params)

    async def put(self, path: str, body: Json) -> Answer:
        return await self._call("PUT", path, body=body)

    async def delete(self, path: str) -> Answer:
        return await self._call("DELETE", path)

    async def post(
        self, path: str, body: Json, *, key: str | None = None, reason: str | None = None, name: str = ""
    ) -> Answer:
        """`key` makes repeats harmless; without one, only calls that are idempotent by themselves may be made.

        reason  goes to the audit log
        name    of this kind of call, where the path differs from call to call
        """
        return await self._call("POST", path, body=body, key=key, reason=reason, name=name or path)

    async def must(self, call: Awaitable[Answer]) -> Json:
        """The body of a call that has to succeed. Raises WorldError."""
        answer = await call
        if not answer.ok:
            raise WorldError(f"the server refused ({answer.status}): {msgspec.json.encode(answer.body)[:500].decode()}")
        return answer.body

    async def every(self, path: str, **params: Any) -> AsyncGenerator[Json]:
        """All rows of a list, page by page. Raises WorldError."""
        wanted = params | {"limit": _PAGE}
        while True:
            page = await self.must(self.get(path, **wanted))
            for row in page["data"]:
                yield row
            if page["next_cursor"] is None:
                return
            wanted["cursor"] = page["next_cursor"]

    async def events(self, kinds: str) -> AsyncGenerator[Json]:
        """Every event from now on, without end; reconnects where it was, also after a busy server's refusal."""
        last = ""
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            try:
                async with self._http.stream("GET", "/v1/events", params={"kinds": kinds}, headers=headers) as stream:
                    if stream.status_code not in (200, *_BUSY):
                        raise WorldError(f"/v1/events answered {stream.status_code}")
                    async for line in stream.aiter_lines():
                        if line.startswith("data:"):
                            event = msgspec.json.decode(line[5:])
                            last = event["id"]
                            yield event
            except httpx2.TransportError:
                pass
            await asyncio.sleep(_RECONNECT_S)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        key: str | None = None,
        reason: str | None = None,
        name: str = "",
        params: dict[str, Any] | None = None,
    ) -> Answer:
        headers = {} if body is None else {"Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if reason is not None:
            headers["X-Reason"] = reason
        content = None if body is None else msgspec.json.encode(body)
        wait_s = 0.1
        for attempt in range(_ATTEMPTS):
            began = time.perf_counter()
            try:
                response = await self._http.request(method, path, content=content, headers=headers, params=params)
            except httpx2.TransportError as error:
                if attempt == _ATTEMPTS - 1:
                    raise WorldError(f"{method} {path}: {error!r}") from error
                asked_s = 0.0
            else:
                self._heard(name, response.status_code, time.perf_counter() - began)
                # 409 with the header: an earlier try with this key has not ended yet.
                is_early = response.status_code in _BUSY or "retry-after" in response.headers
                if not is_early or attempt == _ATTEMPTS - 1:
                    document: Any = msgspec.json.decode(response.content) if response.content else {}
                    return Answer(response.status_code, document)
                asked_s = _seconds(response.headers.get("retry-after"))
            # Full jitter: clients that were refused together do not come back together.
            await asyncio.sleep(max(asked_s, random.uniform(0, wait_s)))  # noqa: S311
            wait_s = min(wait_s * 2, _WAIT_MAX_S)
        raise AssertionError("the last attempt answers or raises")


def _seconds(header: str | None) -> float:
    return min(float(header), _WAIT_MAX_S) if header and header.isdigit() else 0.0
