"""The load generator against a server whose behaviour is known."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from onhand.bench.errors import BenchError
from onhand.bench.load import Load, encode, measure, run

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{'a':1}"

# What to send for a request, piece by piece, each after so many seconds.
Script = Callable[[bytes], list[tuple[float, bytes]]]


@contextmanager
def answering(script: Script) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers whole requests by `script`: its port, and the requests it got."""
    got: list[bytes] = []
    started = threading.Event()
    port = 0
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(h[15:]) for h in head.split(b"\r\n") if h.startswith(b"Content-Length")), 0)
                request = head + await reader.readexactly(length)
                got.append(request)
                for after_s, piece in script(request):
                    if not piece:
                        writer.close()
                        return
                    if after_s:
                        await asyncio.sleep(after_s)
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        nonlocal port
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        started.set()
        await stopped.wait()
        server.close()

    stopped = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    started.wait()
    yield port, got
    loop.call_soon_threadsafe(stopped.set)
    thread.join()
    loop.close()


def at_once(answer: bytes) -> Script:
    return lambda _: [(0, answer)]


def test_every_request_is_sent_once_and_its_answer_counted() -> None:
    requests = [encode("POST", "/x", f'{{"n":{n}}}'.encode()) for n in range(500)]
    with answering(at_once(ANSWER)) as (port, got):
        outcome = run(Load(port=port, requests=requests, seconds=30, connections=8))
    assert sorted(got) == sorted(requests)
    assert outcome.answers == {201: 500}
    assert outcome.failure is None
    assert outcome.seconds < 30
    assert outcome.rate_per_s == pytest.approx(500 / outcome.seconds)
    assert 0 < outcome.p50_ms <= outcome.p99_ms


def test_time_ends_a_run_that_repeats_its_requests() -> None:
    with answering(at_once(ANSWER)) as (port, got):
        load = Load(port=port, requests=[encode("GET", "/")], seconds=0.3, connections=2, repeat=True)
        outcome = asyncio.run(measure(load))
    assert 0.3 <= outcome.seconds < 5
    assert outcome.ok == len(got) > 10


def test_an_answer_in_pieces_is_one_answer() -> None:
    """Cut inside the head, at its end and inside the body; large bodies come in many reads."""
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"y" * 300_000
    cuts = [0, 20, 43, 44, 1_000, len(whole)]
    pieces = [(0.001, whole[a:b]) for a, b in pairwise(cuts)]
    with answering(lambda _: pieces) as (port, got):
        load = Load(port=port, requests=[encode("GET", "/")] * 6, seconds=30, connections=2)
        outcome = asyncio.run(measure(load))
    assert outcome.answers == {200: 6}
    assert len(got) == 6


def test_a_refusal_is_counted_apart_and_the_first_is_quoted() -> None:
    refusal = b'HTTP/1.1 503 Busy\r\nContent-Length: 19\r\n\r\n{"code":"overloaded'
    answers = iter([ANSWER, refusal, ANSWER, refusal])
    with answering(lambda _: [(0, next(answers))]) as (port, _):
        load = Load(port=port, requests=[encode("GET", "/")] * 4, seconds=30, connections=1)
        outcome = asyncio.run(measure(load))
    assert outcome.answers == {201: 2, 503: 2}
    assert outcome.ok == 2
    assert "overloaded" in (outcome.failure or "")


def test_no_content_needs_no_length() -> None:
    with answering(at_once(b"HTTP/1.1 204 No Content\r\n\r\n")) as (port, _):
        load = Load(port=port, requests=[encode("DELETE", "/")] * 3, seconds=30, connections=1)
        assert asyncio.run(measure(load)).answers == {204: 3}


def test_a_pause_of_the_server_is_charged_to_the_requests_it_held_up() -> None:
    """Paced at 200/s on one connection, one pause of 250 ms: some 50 requests were due meanwhile. A
    generator that waits for the answer before it starts the next clock would see one slow one."""
    seen = 0

    def script(_: bytes) -> list[tuple[float, bytes]]:
        nonlocal seen
        seen += 1
        return [(0.25 if seen == 100 else 0, ANSWER)]

    with answering(script) as (port, got):
        load = Load(
            port=port,
            requests=[encode("GET", "/")] * 200,
            seconds=1,
            connections=1,
            rate_per_s=200,
        )
        outcome = asyncio.run(measure(load))
    assert len(got) == 200
    assert outcome.answers == {201: 200}
    assert outcome.p99_ms > 200
    assert outcome.p50_ms < 100
    assert 0.9 < outcome.seconds < 5


def test_a_paced_run_keeps_its_rate_whatever_the_server_could_do() -> None:
    with answering(at_once(ANSWER)) as (port, _):
        load = Load(
            port=port,
            requests=[encode("GET", "/")],
            seconds=0.5,
            connections=16,
            rate_per_s=400,
            repeat=True,
        )
        began = time.perf_counter()
        outcome = asyncio.run(measure(load))
    assert outcome.ok == 200
    assert time.perf_counter() - began >= 0.49


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed a connection"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "content-length"),
    ],
)
def test_what_is_no_plain_answer_fails_the_run(answer: bytes, reason: str) -> None:
    with answering(at_once(answer)) as (port, _), pytest.raises(BenchError, match=reason):
        run(Load(port=port, requests=[encode("GET", "/")], seconds=1, connections=1))
