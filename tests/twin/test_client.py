"""A polite client, against a server that is not always in the mood."""

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from onhand.twin import client as client_module
from onhand.twin.client import Client, WorldError

Planned = list[tuple[int, dict[str, str], Any]]


class Moody:
    """A server that gives the planned answers, the last one for ever; `heard` is what it was asked."""

    def __init__(self, planned: Planned) -> None:
        self.heard: list[tuple[str, str, dict[str, str], bytes]] = []
        moody = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                moody.heard.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers, document = planned.pop(0) if len(planned) > 1 else planned[0]
                text = document.encode() if isinstance(document, str) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in (headers | {"content-length": str(len(text))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def moody() -> Iterator[Any]:
    made: list[Moody] = []

    def make(*planned: tuple[int, dict[str, str], Any]) -> Moody:
        made.append(Moody(list(planned)))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.mark.parametrize(("status", "code"), [(503, "overloaded"), (409, "idempotency.in_flight")])
def test_a_busy_server_is_asked_again_with_the_same_key(moody, status, code) -> None:
    server = moody((status, {"retry-after": "0"}, {"code": code}), (201, {}, {"order_id": "x"}))
    told: list[tuple[str, int]] = []

    async def scenario() -> Any:
        async with Client(server.url, "secret", lambda name, status, _: told.append((name, status))) as client:
            return await client.post("/v1/orders", {"a": 1}, key="k-1", reason="because")

    answer = asyncio.run(scenario())
    assert (answer.status, answer.body) == (201, {"order_id": "x"})
    assert told == [("/v1/orders", status), ("/v1/orders", 201)]
    first, second = server.heard
    assert first[3] == second[3] == b'{"a":1}'
    for _, _, headers, _ in server.heard:
        assert headers["idempotency-key"] == "k-1"
        assert headers["authorization"] == "Bearer secret"
        assert headers["x-reason"] == "because"


def test_a_refusal_is_an_answer_and_not_repeated(moody) -> None:
    server = moody((409, {}, {"code": "stock.insufficient", "missing": {"A": 2}}))

    async def scenario() -> Any:
        async with Client(server.url, "secret", lambda *_: None) as client:
            answer = await client.post("/v1/reservations", {}, key="k")
            with pytest.raises(WorldError, match="409"):
                await client.must(client.post("/v1/reservations", {}, key="k"))
            return answer

    answer = asyncio.run(scenario())
    assert not answer.ok
    assert answer.problem == "stock.insufficient"
    assert len(server.heard) == 2


def test_lists_are_read_to_their_end(moody) -> None:
    server = moody(
        (200, {}, {"data": [{"n": 1}, {"n": 2}], "next_cursor": "abc"}),
        (200, {}, {"data": [{"n": 3}], "next_cursor": None}),
    )

    async def scenario() -> list[int]:
        async with Client(server.url, "secret", lambda *_: None) as client:
            return [row["n"] async for row in client.every("/v1/stock", node="LYON")]

    assert asyncio.run(scenario()) == [1, 2, 3]
    assert "cursor=abc" in server.heard[1][1] and "node=LYON" in server.heard[1][1]


def test_a_stream_of_events_outlasts_a_busy_server_and_goes_on_where_it_was(moody, monkeypatch) -> None:
    monkeypatch.setattr(client_module, "_RECONNECT_S", 0.01)
    busy = (503, {}, {"code": "unavailable"})
    server = moody(
        busy,
        (200, {}, 'retry: 1000\n\nid: e.1\nevent: a\ndata: {"id":"e.1"}\n\n'),
        busy,
        (200, {}, 'retry: 1000\n\nid: e.2\nevent: a\ndata: {"id":"e.2"}\n\n'),
        (403, {}, {"code": "forbidden"}),
    )

    async def scenario() -> list[str]:
        async with Client(server.url, "secret", lambda *_: None) as client:
            events = client.events("order.*")
            seen = [(await anext(events))["id"] for _ in range(2)]
            with pytest.raises(WorldError, match="403"):
                await anext(events)
            return seen

    assert asyncio.run(scenario()) == ["e.1", "e.2"]
    assert [headers.get("last-event-id") for _, _, headers, _ in server.heard] == [None, None, "e.1", "e.1", "e.2"]
