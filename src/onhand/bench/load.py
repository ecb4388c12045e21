"""The load generator: one process, raw sockets, whole requests encoded before the clock starts.

It shares the machine with the server and the database, so every microsecond it takes is taken from
them: an answer is read only as far as its status and its length. `run` sends a Load from a child
process, `python -m onhand.bench.load`, which reads it from standard input and prints an Outcome.

Two ways to send. Closed (`rate_per_s` is None): each connection sends its next request when the
last is answered, so the rate is what the server can do. Paced: request n is due at n / rate
whatever the server does, and its latency counts from when it was due, so that a pause of the
server is charged to every request it held up.
"""

import asyncio
import gc
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from typing import Any, cast

import msgspec

from onhand.base.loop import run_loop
from onhand.bench.errors import BenchError

# How long answers may take after the last request was sent before the run is given up.
DRAIN_S = 30.0
# The clock of a paced run; the loop's timers are no finer.
TICK_S = 0.001


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. `requests` are whole HTTP/1.1 requests; unless `repeat`, each is sent once and
    the run ends early when they are used up."""

    port: int
    requests: list[bytes]
    seconds: float
    host: str = "127.0.0.1"
    connections: int = 64
    rate_per_s: float | None = None
    repeat: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Times are of complete answers; `cpu_us` is the generator's own cost of one
    request; `failure` quotes the first answer that was not 2xx."""

    answers: dict[int, int]
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    failure: str | None = None

    @property
    def ok(self) -> int:
        return sum(count for status, count in self.answers.items() if 200 <= status < 300)

    @property
    def rate_per_s(self) -> float:
        """Answers of success per second, from the first request sent to the last answer."""
        return self.ok / self.seconds


def encode(method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """One HTTP/1.1 request on a connection that is kept."""
    head = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    head += [f"{name}: {value}" for name, value in headers]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


def run(load: Load) -> Outcome:
    """Send `load` from a process of its own.

    Raises BenchError when the server breaks off, does not answer, or does not answer in plain HTTP.
    """
    child = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", __name__],
        input=msgspec.msgpack.encode(load),
        capture_output=True,
        check=False,
    )
    if child.returncode:
        raise BenchError(child.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1])
    return msgspec.json.decode(child.stdout, type=Outcome)


class _Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    __slots__ = ("_buffer", "_missing", "_run", "due", "status", "transport")

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._buffer: bytes = b""
        self._missing: int = 0  # bytes of the answer's body that have not arrived yet
        self.status: int = 0
        self.due: float = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if self._missing == 0:
                self._run.answered(self)
            return
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        self._buffer = b""
        self.status = int(data[9:12])
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            if self.status == 204:
                self._run.answered(self)
            else:
                self._run.fail(f"an answer without content-length: {head!r}")
            return
        stop = head.find(b"\r\n", at + 17)
        length = int(head[at + 17 : stop if stop > 0 else end])
        if not 200 <= self.status < 300:
            self._run.refused(data)
        self._missing = end + 4 + length - len(data)
        if self._missing == 0:
            self._run.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.fail(f"the server closed a connection: {exc}")


class _Run:
    """One run over open connections. Subclasses decide when the next request goes out."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests = load.requests
        self.next = 0
        self.under_way = 0
        self.latencies_s: list[float] = []
        self.answers: Counter[int] = Counter()
        self.failure: str | None = None
        self.last = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, connection: _Connection, due: float) -> None:
        connection.due = due
        connection.transport.write(self.requests[self.next])
        self.next += 1
        if self.next == len(self.requests) and self.load.repeat:
            self.next = 0

    def start(self, connections: Sequence[_Connection]) -> None:
        raise NotImplementedError

    def free(self, connection: _Connection, now: float) -> None:
        raise NotImplementedError

    def answered(self, connection: _Connection) -> None:
        now = time.perf_counter()
        self.latencies_s.append(now - connection.due)
        self.answers[connection.status] += 1
        self.last = now
        self.free(connection, now)

    def refused(self, answer: bytes) -> None:
        if self.failure is None:
            self.failure = answer[:1000].decode(errors="replace")

    def fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(BenchError(reason))

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _Closed(_Run):
    def start(self, connections: Sequence[_Connection]) -> None:
        now = time.perf_counter()
        self.began, self.deadline = now, now + self.load.seconds
        self.under_way = len(connections)
        for connection in connections:
            self.free(connection, now)

    def free(self, connection: _Connection, now: float) -> None:
        if now < self.deadline and self.next < len(self.requests):
            self.send(connection, now)
            return
        self.under_way -= 1
        if not self.under_way:
            self.finish()


class _Paced(_Run):
    """Requests that are due while every connection is busy wait here, and the wait counts."""

    def start(self, connections: Sequence[_Connection]) -> None:
        self.began = time.perf_counter()
        self.rate = self.load.rate_per_s or 1.0
        planned = int(self.load.seconds * self.rate)
        self.planned = planned if self.load.repeat else min(planned, len(self.requests))
        self.issued = 0
        # In turns: what is never used the server closes.
        self.idle = deque(connections)
        self.connections = len(connections)
        self.waiting: deque[float] = deque()
        self.tick()

    def tick(self) -> None:
        due_by_now = min(self.planned, int((time.perf_counter() - self.began) * self.rate) + 1)
        while self.issued < due_by_now:
            due = self.began + self.issued / self.rate
            self.issued += 1
            if self.idle:
                self.send(self.idle.popleft(), due)
            else:
                self.waiting.append(due)
        if self.issued < self.planned:
            asyncio.get_running_loop().call_later(TICK_S, self.tick)

    def free(self, connection: _Connection, now: float) -> None:  # noqa: ARG002 - of the base
        if self.waiting:
            self.send(connection, self.waiting.popleft())
            return
        self.idle.append(connection)
        if self.issued == self.planned and len(self.idle) == self.connections:
            self.finish()


async def measure(load: Load) -> Outcome:
    """Send `load` from this process's event loop."""
    loop = asyncio.get_running_loop()
    run = (_Closed if load.rate_per_s is None else _Paced)(load)
    connections = [
        (await loop.create_connection(lambda: _Connection(run), load.host, load.port))[1]
        for _ in range(load.connections)
    ]
    gc.disable()  # a collection over a million latencies would show as the server's pause
    cpu = time.process_time()
    run.start(connections)
    try:
        await asyncio.wait_for(run.done, load.seconds + DRAIN_S)
    except TimeoutError:
        raise BenchError(f"answers were still missing {DRAIN_S:.0f} s after the end") from None
    cpu = time.process_time() - cpu
    gc.enable()
    for connection in connections:
        connection.transport.abort()
    latencies = sorted(run.latencies_s)
    count = len(latencies)
    return Outcome(
        answers=dict(run.answers),
        seconds=run.last - run.began,
        p50_ms=latencies[count // 2] * 1e3,
        p99_ms=latencies[min(count - 1, int(count * 0.99))] * 1e3,
        cpu_us=cpu / count * 1e6,
        failure=run.failure,
    )


def main() -> None:
    load = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Load)
    outcome: Coroutine[Any, Any, Outcome] = measure(load)
    sys.stdout.buffer.write(msgspec.json.encode(run_loop(outcome)))


if __name__ == "__main__":
    main()
