"""A statement whose parameters are ready binary values, sent as they are.

psycopg looks at the text of a statement with many parameters anew at each call: with sixty of them that takes longer
than deciding a batch of orders. Here it goes by libpq's own calls.

It is not prepared: whenever a transaction is undone psycopg may deallocate all that is prepared on the connection, what
is not its own included. Parsing sixty parameters each time costs 40 µs.
"""

import asyncio
import select
import socket
import struct
from collections.abc import Sequence
from typing import Any

from psycopg import Connection, errors
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from onhand.db.arrays import PgArray

# Values of a call: arrays, int4, float8, text.
Value = PgArray | int | float | str
_INT4, _FLOAT8, _TEXT = 23, 701, 25
_int4 = struct.Struct("!i")
_float8 = struct.Struct("!d")


# A batch of a thousand orders has half of it.
_SEND_BUFFER_BYTES = 1_000_000


def make_room(conn: Connection[Any]) -> None:
    """Let a long statement on `conn` go at once, as far as the kernel allows.

    Sent from an event loop, what does not fit into the socket is left until the loop comes back to it, and the server
    waits for it meanwhile: milliseconds, when a batch is being decided.
    """
    borrowed = socket.socket(fileno=conn.pgconn.socket)
    try:
        borrowed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    finally:
        borrowed.detach()


class Statement:
    """One statement with `$1` and so on. It returns one row."""

    def __init__(self, sql: str) -> None:
        self._sql = sql.encode()

    def on(self, conn: Connection[Any], values: Sequence[Value]) -> "Call":
        """A call of it on `conn`, which nobody else may use meanwhile."""
        return Call(self._sql, conn, values)


class Call:
    """Waits, once, for the row of one call, as bytes or None per column. Raises psycopg errors."""

    __slots__ = ("_conn", "_sql", "_values")

    def __init__(self, sql: bytes, conn: Connection[Any], values: Sequence[Value]) -> None:
        self._sql = sql
        self._conn = conn
        self._values = values

    def wait(self) -> list[bytes | None]:
        return _row(self._conn.pgconn.exec_params(self._sql, *self._encoded(), Format.BINARY))

    async def wait_soon(self) -> list[bytes | None]:
        pgconn = self._conn.pgconn
        pgconn.send_query_params(self._sql, *self._encoded(), Format.BINARY)
        return _row(await _result(pgconn))

    def _encoded(self) -> tuple[list[bytes], list[int], list[int]]:
        # Let go once they are sent: while their row is waited for others may have the memory.
        values, self._values = self._values, ()
        return [_encode(v) for v in values], [_oid(v) for v in values], [Format.BINARY] * len(values)


async def _result(pgconn: PGconn) -> PGresult:
    """The result of what was sent, while the event loop does other things."""
    loop = asyncio.get_running_loop()
    descriptor = pgconn.socket
    done: asyncio.Future[PGresult] = loop.create_future()
    results: list[PGresult] = []

    def step() -> None:
        # As libpq asks for: read while something is unsent, or both sides may wait for each other.
        if done.done():
            return
        try:
            while True:
                pgconn.consume_input()
                if pgconn.flush():
                    return
                loop.remove_writer(descriptor)
                while not pgconn.is_busy():
                    result = pgconn.get_result()
                    if result is None:
                        done.set_result(results[0])
                        return
                    results.append(result)
                # libuv tells once of a connection that was reset, and looks at it no more: what came before the reset
                # must not hide it.
                if not is_readable(descriptor):
                    return
        except Exception as error:
            done.set_exception(error)

    loop.add_reader(descriptor, step)
    if pgconn.flush():
        loop.add_writer(descriptor, step)
    try:
        return await done
    finally:
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)


def is_readable(descriptor: int) -> bool:
    """Whether reading would not wait: there is something, or nothing will come any more."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _checked(result: PGresult) -> PGresult:
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise errors.error_from_result(result)
    return result


def _row(result: PGresult) -> list[bytes | None]:
    _checked(result)
    return [result.get_value(0, column) for column in range(result.nfields)]


def _encode(value: Value) -> bytes:
    if isinstance(value, PgArray):
        return value.data
    if isinstance(value, str):
        return value.encode()
    return _int4.pack(value) if isinstance(value, int) else _float8.pack(value)


def _oid(value: Value) -> int:
    if isinstance(value, PgArray):
        return value.oid
    if isinstance(value, str):
        return _TEXT
    return _INT4 if isinstance(value, int) else _FLOAT8
