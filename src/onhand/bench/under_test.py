"""The server under test: the real `onhand serve` as a process of its own, and what it costs."""

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onhand.bench.errors import BenchError
from onhand.bench.load import encode

READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02
# What a user starts: takes a list of arguments, returns the exit code.
ENTRY = "onhand.cli:run"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiProcess:
    """A running `onhand serve`; `ready_s` is from its start to its first 200 of /readyz."""

    port: int
    key: str
    pid: int
    ready_s: float

    def headers(self) -> list[tuple[str, str]]:
        return [("Authorization", f"Bearer {self.key}")]

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A whole HTTP request for the load generator."""
        return encode(method, path, body, self.headers())

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request for set-up: its JSON answer. Raises BenchError unless 2xx."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body).encode(),
                dict(self.headers()) | {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            said = text[:1000].decode(errors="replace")
            raise BenchError(f"{method} {path} answered {answer.status}: {said}")
        return json.loads(text) if text else None


def program() -> list[str]:
    """The command `onhand`, run by this interpreter wherever its script is."""
    module, _, function = ENTRY.partition(":")
    return [sys.executable, "-c", f"import sys; from {module} import {function} as f; sys.exit(f(sys.argv[1:]))"]


@contextmanager
def serving(
    url: str, home: Path, *, profile: Path | None = None, environ: Mapping[str, str] | None = None,
    worker_apart: bool = False,
) -> Generator[ApiProcess]:  # fmt: skip
    """`onhand serve` on the database at `url`, ready for requests; stopped as an operator would.

    With `profile`, its threads are sampled and the samples are in that file once it has stopped. With `worker_apart`,
    an `onhand worker` beside it does the work in the background.
    """
    port, key = _free_port(), secrets.token_urlsafe(24)
    command = program() if profile is None else [sys.executable, "-m", "onhand.bench.sampler", str(profile), ENTRY]
    command += ["serve", "--host", "127.0.0.1", "--port", str(port)]
    env = {
        **os.environ, "ONHAND_DATABASE_URL": url, "ONHAND_HOME": str(home), "ONHAND_ADMIN_KEY": key,
        "ONHAND_LOG_LEVEL": "warning", **(environ or {}),
    }  # fmt: skip
    log = home / "serve.log"
    began = time.perf_counter()
    process = _started([*command, "--worker-apart"] if worker_apart else command, env, log)
    started = [process]
    try:
        _wait_until_ready(process, port, log)
        ready_s = time.perf_counter() - began
        if worker_apart:
            started.append(_started([*program(), "worker"], env, home / "worker.log"))
        yield ApiProcess(port=port, key=key, pid=process.pid, ready_s=ready_s)
    finally:
        for one in started:
            one.terminate()
        for one in started:
            try:
                one.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def _started(command: list[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and program
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # control-C in our terminal is for us
        )


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_at = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise BenchError(f"onhand serve ended with {process.returncode}: {_tail(log)}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(_POLL_S)
    raise BenchError(f"onhand serve is not ready after {READY_TIMEOUT_S:.0f} s: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text("utf-8", errors="replace")[-2000:].strip()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


# What processes cost, from /proc; elsewhere unknown


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB (10^6 bytes)."""
    total_kib = 0
    for member in _family(pid):
        with suppress(OSError):  # it ended meanwhile
            status = Path(f"/proc/{member}/status").read_text()
            total_kib += int(status.partition("VmRSS:")[2].split()[0])
    return total_kib * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of a process and its children, ended ones included."""
    ticks = 0
    for member in _family(pid):
        # utime, stime, cutime, cstime are fields 14 to 17; the name in field 2 may hold spaces.
        with suppress(OSError):  # it ended meanwhile: counted with its parent
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(f) for f in fields[11 : 15 if member == pid else 13])
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            parents[int(folder.name)] = int(fields[1])
    family = [pid]
    for member in family:  # grows while it is read
        family += [child for child, parent in parents.items() if parent == member]
    return family
