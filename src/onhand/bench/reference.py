"""What the raw database does on this machine: pgbench, one statement on one hot row, a batched SQL
reservation. Everything runs on the server the product is measured on, in a database of its own."""

import os
import re
import secrets
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, LiteralString

import numpy as np
import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from onhand.bench.errors import BenchError
from onhand.db import arrays
from onhand.db.programs import MAJOR_MIN, find_client

DATABASE = "onhand_reference"
PGBENCH_SCALE = 50
PGBENCH_CLIENTS = 32
# As many positions as the orders of the suite are sourced from.
ITEMS, NODES = 10_000, 20
# The size at which batching has paid off and latency has not suffered yet.
LINES_PER_CALL, LINES_PER_REQUEST = 200, 3
CONNECTIONS = 4
# More units than any run takes: a reference that runs dry measures refusals.
PLENTY = 2_000_000_000

HOT_ROW = """
WITH u AS (
    UPDATE stock SET reserved = reserved + 1 WHERE item = 1 AND node = 1 AND on_hand - reserved >= 1
    RETURNING item, node
)
INSERT INTO ledger (request, line, item, node, quantity)
SELECT gen_random_uuid(), 0, item, node, 1 FROM u;
"""

Reserve = Literal["reserve_exact", "reserve_fast"]
_CALL: dict[Reserve, LiteralString] = {
    "reserve_exact": "SELECT reserve_exact(%b, %b, %b, %b, %b)",
    "reserve_fast": "SELECT reserve_fast(%b, %b, %b, %b, %b)",
}
# As the product's own hot path sets them: nested loops over index scans, no time lost on planning.
_PLANNER = """
SET jit = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off
"""
_TPS = re.compile(r"^tps = ([0-9.]+)", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference database on the server of `url`."""

    url: str
    items: int = ITEMS
    nodes: int = NODES

    @classmethod
    def create(
        cls, server_url: str, *, scale: int = PGBENCH_SCALE, items: int = ITEMS, nodes: int = NODES
    ) -> "Reference":
        """Fill a fresh reference database (scale 50: 750 MB, some 15 s)."""
        with psycopg.connect(server_url, autocommit=True) as conn:
            name = sql.Identifier(DATABASE)
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            conn.execute(sql.SQL("CREATE DATABASE {}").format(name))
        reference = cls(url=make_conninfo(server_url, dbname=DATABASE), items=items, nodes=nodes)
        reference.pgbench("-i", "-q", "-I", "dtGvp", "-s", str(scale))
        with psycopg.connect(reference.url, autocommit=True) as conn:
            conn.execute((resources.files("onhand.bench") / "reference.sql").read_bytes())
            conn.execute(
                "INSERT INTO stock SELECT item, node, %s FROM generate_series(1, %s) item, generate_series(1, %s) node",
                (PLENTY, items, nodes),
            )
            conn.execute("VACUUM ANALYZE stock")
            conn.execute("CHECKPOINT")
        return reference

    def pgbench(self, *arguments: str) -> str:
        """Run pgbench on the reference database; what it printed. BenchError if it failed."""
        wanted = conninfo_to_dict(self.url)
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        env = {names[k]: str(v) for k, v in wanted.items() if k in names}
        done = subprocess.run(  # noqa: S603 - the program of the embedded server or of PATH
            [find_client("pgbench", MAJOR_MIN)["pgbench"], *arguments, str(wanted["dbname"])],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"pgbench {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def simple_update_tps(self, seconds: float) -> float:
        """`pgbench -N -c 32`, prepared: update, select and insert a transaction, over all rows."""
        return self._tps(seconds, "-N")

    def hot_row_tps(self, seconds: float) -> float:
        """One durable statement that reserves and records a unit of one row, 32 clients."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "hot_row.sql")
            script.write_text(HOT_ROW.strip().replace("\n", " "), "utf-8")
            return self._tps(seconds, "-f", str(script))

    def _tps(self, seconds: float, *what: str) -> float:
        duration = str(max(1, round(seconds)))
        clients = str(PGBENCH_CLIENTS)
        printed = self.pgbench("-n", "-M", "prepared", "-c", clients, "-j", "2", "-T", duration, *what)
        match = _TPS.search(printed)
        if match is None:
            raise BenchError(f"pgbench printed no rate: {printed[-500:]}")
        return float(match[1])

    def batched_lines_per_s(self, function: Reserve, seconds: float) -> float:
        """Lines reserved per second by `function`: 200 a call, 3 a request, 4 connections, one
        commit a call."""
        lines = [0] * CONNECTIONS
        problems: list[Exception] = []
        start = threading.Barrier(CONNECTIONS + 1)
        stop = threading.Event()

        def client(number: int) -> None:
            sent = 0
            try:
                with self._connect() as conn, conn.cursor(binary=True) as cursor:
                    calls = [self._call() for _ in range(256)]
                    start.wait()
                    while not stop.is_set():
                        # Only the keys must be new; making the rest anew would measure the client.
                        call = calls[sent % len(calls)]
                        call[0] = _request_ids()
                        sent += 1
                        cursor.execute(_CALL[function], call, prepare=True)
                        row = cursor.fetchone()
                        assert row is not None, "the function answers"
                        lines[number] += int((row[0] == 1).sum())
            except Exception as error:  # raised again below, in the caller's thread
                problems.append(error)
                start.abort()

        threads = [threading.Thread(target=client, args=(n,)) for n in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        with suppress(threading.BrokenBarrierError):
            start.wait()
        began = time.perf_counter()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        return sum(lines) / (time.perf_counter() - began)

    def _connect(self) -> Connection[Any]:
        conn = psycopg.connect(self.url, autocommit=True)
        arrays.register(conn.adapters)
        arrays.load_numpy(conn.adapters)
        conn.execute(_PLANNER)
        return conn

    def _call(self) -> list[arrays.PgArray]:
        draw = np.random.default_rng()
        return [
            _request_ids(),
            arrays.int4(np.arange(LINES_PER_CALL) % LINES_PER_REQUEST),
            arrays.int4(draw.integers(1, self.items + 1, LINES_PER_CALL)),
            arrays.int4(draw.integers(1, self.nodes + 1, LINES_PER_CALL)),
            arrays.int4(np.ones(LINES_PER_CALL, np.int32)),
        ]


def _request_ids() -> arrays.UuidArray:
    """A fresh id for every request of a call, repeated for each of its lines."""
    requests = -(-LINES_PER_CALL // LINES_PER_REQUEST)
    ids = np.frombuffer(secrets.token_bytes(16 * requests), np.uint8).reshape(requests, 16)
    return arrays.uuid(np.repeat(ids, LINES_PER_REQUEST, axis=0)[:LINES_PER_CALL])
