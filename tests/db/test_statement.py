"""Statements with ready binary values: the same row whether a thread or the event loop waits for it."""

import asyncio
import select
import socket
import threading
from pathlib import Path

import numpy as np
import psycopg
import pytest
import uvloop
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from onhand.base.waiting import InThread, Steps, run, run_soon
from onhand.db import arrays
from onhand.db.statement import Statement, is_readable, make_room

ECHO = Statement("SELECT array_agg(n * $2 ORDER BY n), length($3) FROM unnest($1) n")
FAIL = Statement("SELECT $1 / 0")
BIG = Statement("SELECT $1, $2")


def values(count=3):
    return [arrays.int4(np.arange(count)), 7, "é" * count]


@pytest.fixture
def conn(db):
    with db.connect() as conn:
        yield conn


def test_a_call_has_one_row_of_binary_values(conn):
    for _ in range(2):
        numbers, length = ECHO.on(conn, values()).wait()
        assert arrays.read_int4(numbers).tolist() == [0, 7, 14]
        assert int.from_bytes(length) == 3


def test_the_event_loop_goes_on_meanwhile(conn):
    slow = Statement("SELECT $1 FROM pg_sleep(0.2)")

    async def both():
        call = asyncio.create_task(slow.on(conn, [1]).wait_soon())
        turns = 0
        while not call.done():
            await asyncio.sleep(0)
            turns += 1
        return turns, await call

    turns, row = asyncio.run(both())
    assert turns > 10
    assert row == [b"\0\0\0\1"]


def test_values_larger_than_any_buffer_pass_both_ways(conn):
    numbers = np.arange(1_000_000)
    text = "x" * 5_000_000

    async def ask():
        return await BIG.on(conn, [arrays.int4(numbers), text]).wait_soon()

    back, echoed = asyncio.run(ask())
    assert np.array_equal(arrays.read_int4(back), numbers)
    assert echoed == text.encode()


def test_a_connection_has_more_room_for_long_statements(conn):
    def room():
        borrowed = socket.socket(fileno=conn.pgconn.socket)
        try:
            return borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        finally:
            borrowed.detach()

    before = room()
    make_room(conn)
    assert room() > before
    assert conn.execute("SELECT 1").fetchone() == (1,)  # it is still open


def test_a_failure_is_an_error_of_psycopg_and_leaves_the_connection_usable(conn):
    async def ask():
        await FAIL.on(conn, [1]).wait_soon()

    with pytest.raises(errors.DivisionByZero):
        asyncio.run(ask())
    with pytest.raises(errors.DivisionByZero):
        FAIL.on(conn, [1]).wait()
    assert int.from_bytes(ECHO.on(conn, values()).wait()[1]) == 3
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_goes_away_is_an_operational_error(conn, db):
    slow = Statement("SELECT $1 FROM pg_sleep(30)")

    async def ask():
        call = asyncio.create_task(slow.on(conn, [1]).wait_soon())
        await asyncio.sleep(0)
        with db.connect() as other:
            other.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
        await call

    with pytest.raises(errors.OperationalError):
        asyncio.run(ask())
    assert conn.closed


class Between:
    """A socket before PostgreSQL that passes everything on until told to stop; what comes then it has unread."""

    def __init__(self, url: str, folder: Path) -> None:
        to = conninfo_to_dict(url)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / f".s.PGSQL.{to['port']}"))
        self._listener.listen()
        self.url = make_conninfo(url, host=str(folder), gssencmode="disable")
        self._path = str(Path(str(to["host"])) / f".s.PGSQL.{to['port']}")
        self._told, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        self._client, _ = self._listener.accept()
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self._path)
            ends = {self._client: server, server: self._client}
            while self._told not in (ready := select.select([*ends, self._told], [], [])[0]):
                for end in ready:
                    ends[end].sendall(end.recv(65_536))

    def stop(self) -> None:
        self._wake.send(b".")
        self._thread.join()

    def say_and_break(self, message: bytes) -> None:
        """Send `message` to the client and break off, with what it sent unread: it reads a reset after it."""
        assert is_readable(self._client.fileno())
        self._client.sendall(message)
        self._client.close()


@pytest.mark.parametrize("run_loop", [asyncio.run, uvloop.run])
def test_a_connection_that_breaks_behind_a_notice_is_an_operational_error(db, tmp_path, run_loop):
    between = Between(db.url, tmp_path)
    notice = b"N" + (4 + 1).to_bytes(4, "big") + b"\0"

    async def ask(conn):
        call = asyncio.create_task(ECHO.on(conn, values()).wait_soon())
        await asyncio.sleep(0)
        # The event loop sees both at once.
        between.say_and_break(notice)
        async with asyncio.timeout(10):
            await call

    with psycopg.connect(between.url, autocommit=True) as conn:
        between.stop()
        with pytest.raises(errors.OperationalError):
            run_loop(ask(conn))


def test_steps_are_the_same_in_a_thread_and_in_the_event_loop():
    def steps() -> Steps[list[object]]:
        seen: list[object] = [(yield InThread(lambda: 1))]
        try:
            yield InThread(lambda: 1 // 0)
        except ZeroDivisionError as error:
            seen.append(str(error))
        seen.append((yield InThread(lambda: "end")))
        return seen

    expected = [1, "integer division or modulo by zero", "end"]
    assert run(steps()) == expected
    assert asyncio.run(run_soon(steps())) == expected

    def failing() -> Steps[None]:
        yield InThread(lambda: {}["key"])

    with pytest.raises(KeyError):
        run(failing())
    with pytest.raises(KeyError):
        asyncio.run(run_soon(failing()))


def test_a_transaction_that_is_undone_leaves_the_statement_usable(conn):
    """psycopg then forgets, on the server too, what is prepared on the connection: everything, not only its own."""
    ECHO.on(conn, values()).wait()
    for _ in range(10):  # until psycopg prepares it
        conn.execute("SELECT %s::int", [1])
    for _ in range(2):
        with pytest.raises(errors.DivisionByZero), conn.transaction():
            conn.execute("SELECT 1 / 0")
        with conn.transaction():
            assert int.from_bytes(ECHO.on(conn, values()).wait()[1]) == 3
        assert int.from_bytes(asyncio.run(ECHO.on(conn, values()).wait_soon())[1]) == 3
