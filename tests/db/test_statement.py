"""Statements with ready binary values: the same row whether a thread or the event loop waits for it."""

import asyncio
import socket

import numpy as np
import pytest
from psycopg import errors

from onhand.base.waiting import InThread, Steps, run, run_soon
from onhand.db import arrays
from onhand.db.statement import Statement, make_room

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
