"""A statement whose parameters are ready binary values, sent as they are.

psycopg looks at the text of a statement with many parameters anew at each call: with sixty of them that takes longer
than deciding a batch of orders. Here it is prepared once a connection, by libpq's own calls.
"""

import asyncio
import struct
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from psycopg import Connection, errors
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from onhand.db.arrays import PgArray

# Values of a call: arrays, int4, text.
Value = PgArray | int | str
_INT4, _TEXT = 23, 25
_int4 = struct.Struct("!i")


class Statement:
    """One statement with `$1` and so on; `name` is unique in the program. It returns one row."""

    def __init__(self, name: str, sql: str) -> None:
        self._name = name.encode()
        self._sql = sql.encode()
        self._prepared: WeakSet[Connection[Any]] = WeakSet()

    def on(self, conn: Connection[Any], values: Sequence[Value]) -> "Call":
        """A call of it on `conn`, which nobody else may use meanwhile."""
        return Call(self, conn, values)

    def prepare(self, conn: Connection[Any], values: Sequence[Value]) -> bytes:
        if conn not in self._prepared:
            _checked(conn.pgconn.prepare(self._name, self._sql, [_oid(v) for v in values]))
            self._prepared.add(conn)
        return self._name


class Call:
    """Waits for the row of one call, as bytes or None per column. Raises psycopg errors."""

    __slots__ = ("_conn", "_statement", "_values")

    def __init__(self, statement: Statement, conn: Connection[Any], values: Sequence[Value]) -> None:
        self._statement = statement
        self._conn = conn
        self._values = values

    def wait(self) -> list[bytes | None]:
        name, parameters, formats = self._encoded()
        return _row(self._conn.pgconn.exec_prepared(name, parameters, formats, Format.BINARY))

    async def wait_soon(self) -> list[bytes | None]:
        name, parameters, formats = self._encoded()
        pgconn = self._conn.pgconn
        pgconn.send_query_prepared(name, parameters, formats, Format.BINARY)
        return _row(await _result(pgconn))

    def _encoded(self) -> tuple[bytes, list[bytes], list[int]]:
        name = self._statement.prepare(self._conn, self._values)
        return name, [_encode(v) for v in self._values], [Format.BINARY] * len(self._values)


async def _result(pgconn: PGconn) -> PGresult:
    """The result of what was sent, while the event loop does other things."""
    loop = asyncio.get_running_loop()
    socket = pgconn.socket
    done: asyncio.Future[PGresult] = loop.create_future()
    results: list[PGresult] = []

    def step() -> None:
        # As libpq asks for: read while something is unsent, or both sides may wait for each other.
        if done.done():
            return
        try:
            pgconn.consume_input()
            if pgconn.flush():
                return
            loop.remove_writer(socket)
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    done.set_result(results[0])
                    return
                results.append(result)
        except Exception as error:
            done.set_exception(error)

    loop.add_reader(socket, step)
    if pgconn.flush():
        loop.add_writer(socket, step)
    try:
        return await done
    finally:
        loop.remove_reader(socket)
        loop.remove_writer(socket)


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
    return _int4.pack(value) if isinstance(value, int) else value.encode()


def _oid(value: Value) -> int:
    if isinstance(value, PgArray):
        return value.oid
    return _INT4 if isinstance(value, int) else _TEXT
