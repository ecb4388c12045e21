"""Our side as it runs in production: `onhand serve` as a process of its own, killed and started again at will."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress

import psycopg

READY_S = SOON_S = 60.0
KEY = "test-admin-key"


def wait_until(holds, found=lambda: None, *, within_s=SOON_S, step=None):
    """What `holds` says once it says something; `step` is done before each look. Fails with what was found instead."""
    until = time.monotonic() + within_s
    while True:
        if step is not None:
            step()
        if answer := holds():
            return answer
        assert time.monotonic() < until, f"not within {within_s:g} s: {found()}"
        threading.Event().wait(0.05)


def program(command, *options, dsn, home, log):
    """A program of ours as a process, in a group of its own."""
    environment = os.environ | {
        "ONHAND_DATABASE_URL": dsn, "ONHAND_HOME": str(home), "ONHAND_ADMIN_KEY": KEY,
        "ONHAND_ALLOW_PRIVATE_URLS": "1", "ONHAND_LOG_LEVEL": "warning",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from onhand.cli import run; sys.exit(run(sys.argv[1:]))",
         command, *options],
        env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


class Ours:
    """`onhand serve` on the database `dsn`."""

    def __init__(self, dsn, home):
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.dsn, self.home = dsn, home
        self.process = None
        self.kills = 0
        self.up = threading.Event()  # it answers

    def start(self):
        self.log = (self.home / "serve.log").open("ab")
        place = ("--host", "127.0.0.1", "--port", str(self.port))
        self.process = program("serve", *place, dsn=self.dsn, home=self.home, log=self.log)
        wait_until(self._is_ready, self.tail, within_s=READY_S)
        self.up.set()

    def _is_ready(self):
        assert self.process.poll() is None, self.tail()
        with suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/readyz")[0] == 200
        return False

    def request(self, method, path, body=None, headers=(), *, timeout=30):
        """(status, text) of one request; `body`: bytes as they are, anything else as JSON."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"} | dict(headers)
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(method, path, sent, named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def call(self, method, path, body=None, **headers):
        """What it answers; what fails fails."""
        status, text = self.request(method, path, body, headers)
        assert status < 300, f"{method} {path}: {status} {text}"
        return json.loads(text) if text else None

    def all(self, path):
        """All pages of a list."""
        found, cursor = [], ""
        while True:
            mark = "&" if "?" in path else "?"
            page = self.call("GET", f"{path}{mark}limit=200{f'&cursor={cursor}' if cursor else ''}")
            found += page["data"]
            if not (cursor := page["next_cursor"]):
                return found

    def deliver(self, code, headers, body):
        """A channel's message, sent until it is taken, as channels do."""
        while True:
            with suppress(OSError, http.client.HTTPException):
                status, _ = self.request("POST", f"/v1/channels/{code}/inbound", body, headers)
                if status < 300:
                    return
                assert status >= 500, f"a message is refused: {status}"
            assert self.up.wait(READY_S), "our side does not come back"

    def kill(self):
        """As the kernel does when memory is short: at once, and without a word."""
        self.up.clear()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def restart_later(self):
        """Start again, when what the dead one had claimed is free: time passes until its leases are over."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            for table in ("channel_message", "channel_notice"):
                conn.execute(f"UPDATE {table} SET next_try_at = now() WHERE status = 'due' AND next_try_at > now()")
        self.start()

    def found(self):
        """A node in New York, and a carrier."""
        node = {
            "name": "n", "node_type": "warehouse", "country": "US", "latitude": 40.7, "longitude": -74.0,
            "timezone": "America/New_York",
        }  # fmt: skip
        rate = {"by": "distance_km", "distance_km": [None], "weights_g": [30000], "prices_minor": [[500]]}
        service = {
            "code": "standard", "rate_table": rate, "transit_days": {"p50": 1, "p95": 2}, "co2_g_per_tonne_km": 80,
            "currency": "USD",
        }  # fmt: skip
        self.call("PUT", "/v1/nodes/ny", node)
        self.call("PUT", "/v1/carriers/ups", {"name": "UPS", "services": [service]})

    def receive(self, **units):
        """Units of new items come in, {sku: units}."""
        self.call("POST", "/v1/items/batch", {"items": [{"sku": s, "name": s, "weight_g": 500} for s in units]})
        entries = [{"kind": "receipt", "sku": sku, "node": "ny", "quantity": n} for sku, n in units.items()]
        results = self.call("POST", "/v1/stock/entries", {"entries": entries})["results"]
        assert {row["status"] for row in results} == {"applied"}, results

    def stop(self):
        """The end of the test, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.log.close()

    def tail(self):
        return (self.home / "serve.log").read_text(errors="replace")[-4000:]
