"""Connections and transactions: one pool a process, retries, and honest answers when the server goes away."""

import random
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Self, TypeVar

import psycopg
from psycopg import Connection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from onhand.db import arrays
from onhand.db.statement import is_readable
from onhand.errors import CommitUnknown, DatabaseUnavailable

T = TypeVar("T")

CHANNEL = "onhand_event"

# Known not to have committed: serialisation failure, deadlock, lock time-out.
_RETRIED = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)
_RETRY_FOR_S = 15.0
_CHECKOUT_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 5
# How long a statement waits for a row: longer than any transaction of ours, shorter than a client's patience.
_LOCK_TIMEOUT_MS = 5_000
_IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
# Consumers are woken at most this often; each wake-up costs a query per consumer.
_NOTIFY_EVERY_S = 0.05


# A server that is gone without a word (its machine died, the network parted) is noticed in half a minute, not in the
# hours that TCP waits; what the URL says goes first. The first three count from the last word heard, the fourth from
# the first byte that was not acknowledged.
_NOTICE_SILENCE = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}


def is_lost(error: BaseException, conn: Connection[TupleRow] | None = None) -> bool:
    """Whether `error` means that the server cannot work or be reached, not that a statement was wrong."""
    if conn is not None and conn.closed:
        return True
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    # 08: connection; 53: out of disk, memory or connections; 57P0: shut down, crashed or starting; 58: input and
    # output; 25006: failed over to a replica.
    return state[:2] in ("08", "53", "58") or state[:4] == "57P0" or state == "25006"


def _unavailable(error: BaseException) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"the database cannot be reached: {' '.join(str(error).split()) or repr(error)}")


def _noticing_silence(url: str) -> str:
    said = conninfo_to_dict(url)
    return make_conninfo(url, **{key: value for key, value in _NOTICE_SILENCE.items() if key not in said})


def _connect(url: str, *, application_name: str) -> Connection[TupleRow]:
    conn = psycopg.connect(
        _noticing_silence(url),
        autocommit=True,
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name=application_name,
    )
    try:
        _configure(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def _configure(conn: Connection[TupleRow]) -> None:
    arrays.register(conn.adapters)
    conn.execute(
        # Our statements are written for read committed; an external server may have another default.
        "SELECT set_config('default_transaction_isolation', 'read committed', false),"
        " set_config('lock_timeout', %s, false), set_config('jit', 'off', false),"
        " set_config('TimeZone', 'UTC', false),"
        " set_config('idle_in_transaction_session_timeout', %s, false)",
        (str(_LOCK_TIMEOUT_MS), str(_IDLE_IN_TRANSACTION_TIMEOUT_MS)),
        prepare=False,
    )


class Database:
    """The one way to the database of a process. Thread-safe; connects when first used.

    `origin` marks the events this process writes, so that it need not read its own writes back.
    """

    def __init__(self, url: str, *, pool_max: int = 10) -> None:
        self.url = url
        self.origin = random.randint(1, 2**31 - 1)  # noqa: S311  a mark, not a secret
        self._pool: ConnectionPool[Connection[TupleRow]] = ConnectionPool(
            _noticing_silence(url),
            kwargs={
                "autocommit": True,
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "application_name": "onhand",
            },
            configure=_configure,
            check=self._check,
            min_size=0,
            max_size=pool_max,
            timeout=_CHECKOUT_TIMEOUT_S,
            # Bounds the pool's back-off, so that it finds a restarted server within seconds.
            reconnect_timeout=3.0,
            num_workers=2,
            open=True,
        )
        self._notifier = _Notifier(url)

    @classmethod
    def open(cls, url: str, *, pool_max: int = 10) -> Self:
        """A database at `url`; `pool_max` is the most connections of the pool. Does not connect yet."""
        return cls(url, pool_max=pool_max)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transact(self, work: Callable[[Connection[TupleRow]], T], *, retries: int = 5) -> T:
        """Run `work` in one transaction and return its result once that has committed.

        Serialisation failures, deadlocks and lock time-outs are tried again, up to `retries` times
        with jittered back-off: `work` must not keep effects outside the database. Any other
        exception of `work` rolls back and passes through.

        Raises DatabaseUnavailable when nothing was committed (safe to repeat), and CommitUnknown
        when the connection broke during COMMIT: then only the database knows, so read the
        idempotency row again.
        """
        give_up_at = time.monotonic() + _RETRY_FOR_S
        for attempt in range(retries + 1):
            try:
                with self._checkout() as conn:
                    return self._once(conn, work)
            except _RETRIED as error:
                if attempt == retries or time.monotonic() > give_up_at:
                    raise DatabaseUnavailable(
                        f"gave up after {attempt + 1} tries, nothing was written: {error.diag.message_primary}"
                    ) from error
            # Full jitter: two transactions that collided must not meet again.
            time.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311
        raise AssertionError("unreachable")

    @staticmethod
    def _once(conn: Connection[TupleRow], work: Callable[[Connection[TupleRow]], T]) -> T:
        try:
            conn.execute("BEGIN", prepare=False)
            result = work(conn)
        except BaseException as error:
            _roll_back(conn)
            if isinstance(error, psycopg.Error) and is_lost(error, conn):
                raise _unavailable(error) from error
            raise
        status = conn.info.transaction_status
        if status is not TransactionStatus.INTRANS:
            # COMMIT would answer ROLLBACK without an error, and the caller would take it for success.
            _roll_back(conn)
            assert status is not TransactionStatus.INERROR, "work swallowed the error of a statement"
            assert status is not TransactionStatus.IDLE, "work ended the transaction that was opened for it"
            raise DatabaseUnavailable("the connection broke before the transaction ended; nothing was written")
        try:
            conn.execute("COMMIT", prepare=False)
        except psycopg.Error as error:
            if is_lost(error, conn):
                raise CommitUnknown("the connection broke during COMMIT; whether it was written is unknown") from error
            raise  # the server answered: it was rolled back
        return result

    @contextmanager
    def connection(self) -> Generator[Connection[TupleRow]]:
        """A pooled connection in autocommit mode, for reads. Raises DatabaseUnavailable."""
        with self._checkout() as conn:
            try:
                yield conn
            except psycopg.Error as error:
                if is_lost(error, conn):
                    raise _unavailable(error) from error
                raise

    def connect(self) -> Connection[TupleRow]:
        """A dedicated autocommit connection outside the pool; the caller closes it. Raises DatabaseUnavailable."""
        try:
            return _connect(self.url, application_name="onhand dedicated")
        except psycopg.Error as error:
            raise _unavailable(error) from error

    def notify(self) -> None:
        """Wake the consumers of events, after a commit. Returns at once, coalesces and never raises."""
        self._notifier.wake()

    def close(self) -> None:
        """Close the pool and the notifier; connections in use close when they are given back."""
        self._notifier.close()
        self._pool.close(timeout=1.0)

    @contextmanager
    def _checkout(self) -> Generator[Connection[TupleRow]]:
        try:
            conn = self._pool.getconn()
        except psycopg.Error as error:
            raise _unavailable(error) from error
        try:
            yield conn
        finally:
            self._pool.putconn(conn)

    def _check(self, conn: Connection[TupleRow]) -> None:
        # An idle connection has nothing to read, unless the server closed it: this costs no round trip.
        if not is_readable(conn.fileno()):
            return
        try:
            ConnectionPool.check_connection(conn)
        except psycopg.Error:
            self._pool.drain()  # the server was restarted: its other connections are dead as well
            raise


def _roll_back(conn: Connection[TupleRow]) -> None:
    try:
        conn.execute("ROLLBACK", prepare=False)
    except psycopg.Error:
        conn.close()  # the pool replaces it


class _Notifier:
    """Sends NOTIFY on a connection and thread of its own: inside a transaction it would serialise commits."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def wake(self) -> None:
        self._wanted.set()
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._closing.is_set():
                    self._thread = threading.Thread(target=self._run, name="onhand notify", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._wanted.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join(timeout=_CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        conn: Connection[TupleRow] | None = None
        while True:
            self._wanted.wait()
            if self._closing.is_set() and conn is None:
                return
            self._wanted.clear()
            try:
                if conn is None:
                    conn = _connect(self._url, application_name="onhand notify")
                    # A notification takes a transaction id; its loss in a crash is harmless, so no flush.
                    conn.execute("SET synchronous_commit = off")
                conn.execute("NOTIFY " + CHANNEL)
            except psycopg.Error:
                if conn is not None:
                    conn.close()
                conn = None
                self._wanted.set()  # consumers also poll; still, tell them once the server is back
                if self._closing.wait(0.5):
                    return
            if self._closing.wait(_NOTIFY_EVERY_S):
                break
        if conn is not None:
            conn.close()
