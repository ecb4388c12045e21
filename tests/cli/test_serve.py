"""`onhand serve`, `onhand worker` and `onhand key`, as a user runs them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

PROGRAM = [sys.executable, "-c", "from onhand.cli import main; main()"]


@pytest.fixture
def env(dsn, tmp_path):
    return os.environ | {"ONHAND_DATABASE_URL": dsn, "ONHAND_HOME": str(tmp_path), "NO_COLOR": "1"}


def run(env, *arguments):
    return subprocess.run(
        [*PROGRAM, *arguments],
        env=env,
        cwd=env["ONHAND_HOME"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Program:
    """A running command; `lines` is what it has printed."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()

    def wait_for(self, pattern):
        """The match in a printed line, once there is one."""

        def found():
            return next((m for line in self.lines if (m := re.search(pattern, line))), None)

        with self._more:
            assert self._more.wait_for(found, 60), f"no {pattern!r} in {self.lines}"
            return found()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join()
        return code


@contextmanager
def running(env, *arguments) -> Iterator[Program]:
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        env=env,
        cwd=env["ONHAND_HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        program._reader.join()


@contextmanager
def serving(env, *options) -> Iterator[tuple[Program, httpx2.Client]]:
    with running(env, "serve", "--port", "0", *options) as program:
        key = program.wait_for(r"first admin key, shown this once: (onh_\S+)")[1]
        url = program.wait_for(r"onhand listens on (http://\S+)")[1]
        transport = httpx2.HTTPTransport(retries=5)
        headers = {"Authorization": f"Bearer {key}"}
        with httpx2.Client(base_url=url, headers=headers, timeout=60, transport=transport) as client:
            for _ in range(600):  # it does not listen before it has read its state
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx2.ConnectError:
                    threading.Event().wait(0.1)
            yield program, client


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_answers_and_ends_at_once_though_a_stream_is_open(env, number):
    with serving(env) as (program, client):
        assert client.get("/v1/keys").status_code == 200
        with client.stream("GET", "/v1/events") as response:
            assert next(response.iter_lines()) == "retry: 1000"
            assert program.end(number) == 0
    assert not any("Traceback" in line for line in program.lines), program.lines


def test_two_server_processes_share_port_keys_and_metrics(env):
    with serving(env, "--workers", "2") as (program, client):
        made = client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}).json()
        for _ in range(10):  # a new connection each time, so both processes are asked
            with httpx2.Client(base_url=client.base_url, headers={"Authorization": f"Bearer {made['key']}"}) as other:
                assert other.get("/v1/audit").status_code == 200
        line = re.search(r'onhand_http_request_seconds_count\{.*"/v1/audit".*\} (\S+)', client.get("/metrics").text)
        assert float(line[1]) == 10
        assert program.end() == 0
    assert not any("Traceback" in line for line in program.lines), program.lines


def test_the_key_of_the_settings_is_taken_and_never_printed(env):
    given = env | {"ONHAND_ADMIN_KEY": "my-own-admin-key"}
    with running(given, "serve", "--port", "0") as program:
        url = program.wait_for(r"onhand listens on (http://\S+)")[1]
        transport = httpx2.HTTPTransport(retries=10)
        with httpx2.Client(base_url=url, transport=transport, timeout=60) as client:
            answer = client.get("/v1/keys", headers={"Authorization": "Bearer my-own-admin-key"})
            assert answer.status_code == 200
        assert program.end() == 0
    assert "admin-key" not in "".join(program.lines)


def test_a_port_in_use_is_told_in_one_line(env):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(env, "serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_ends_on_ctrl_c(env):
    with running(env, "worker") as program:
        program.wait_for("onhand worker runs")
        assert program.end(signal.SIGINT) == 0


def test_keys_on_the_command_line(env):
    made = run(env, "key", "create", "shop [1]", "--scope", "read", "--scope", "orders:write")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("onh_")
    listed = run(env, "key", "list")
    assert "shop [1]" in listed.stdout
    assert "orders:write" in listed.stdout
    assert key not in listed.stdout
    key_id = re.search(r"key (\d+)", made.stderr)[1]
    assert run(env, "key", "revoke", key_id).returncode == 0
    assert re.search(r"shop \[1\].*20\d\d-.*20\d\d-", run(env, "key", "list").stdout)
    unknown = run(env, "key", "revoke", "999")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert run(env, "key", "create", "x", "--scope", "everything").returncode == 1
    assert run(env, "key", "create", "x").returncode == 2
