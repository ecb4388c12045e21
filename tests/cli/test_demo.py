"""`onhand demo` as a user runs it: a process, a folder of its own, ctrl-C."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from onhand.cli import run
from onhand.db.embedded import Server
from onhand.errors import SettingsError

ONHAND = [sys.executable, "-c", "from onhand.cli import main; main()"]
SLOW_S = 200


def environ(home: Path) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("ONHAND_")} | {"ONHAND_HOME": str(home)}


def demo(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*ONHAND, "demo", "--port", "0", *options]
    return subprocess.run(command, env=environ(home), capture_output=True, text=True, timeout=SLOW_S, check=False)


@contextmanager
def serving(home: Path) -> Iterator[httpx2.Client]:
    """`onhand serve` on the database of `home`, with a client of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [*ONHAND, "serve", "--port", str(port)]
    process = subprocess.Popen(
        command, env=environ(home) | {"ONHAND_ADMIN_KEY": "key-of-the-tests-of-the-demo"}, stdout=subprocess.DEVNULL
    )
    url, headers = f"http://127.0.0.1:{port}", {"Authorization": "Bearer key-of-the-tests-of-the-demo"}
    try:
        with httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
            give_up_at = time.monotonic() + SLOW_S
            while True:
                with suppress(httpx2.TransportError):
                    if client.get("/readyz").is_success:
                        break
                assert time.monotonic() < give_up_at and process.poll() is None, "the server did not start"
                time.sleep(0.05)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def every(api: httpx2.Client, path: str) -> Iterator[dict[str, Any]]:
    """All rows of a list."""
    params: dict[str, Any] = {"limit": 1000}
    while True:
        page = api.get(path, params=params).json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        params["cursor"] = page["next_cursor"]


def _is_there(path: Path) -> bool:
    with suppress(OSError):
        return bool(path.read_bytes())
    return False


def said_number(text: str, pattern: str) -> int:
    match = re.search(pattern, text)
    assert match is not None, f"{pattern!r} in:\n{text}"
    return int(match[1].replace(",", ""))


@pytest.fixture(scope="module")
def lived_in() -> Iterator[Path]:
    """The home that the tests of this module share, in their order."""
    home = Path(tempfile.mkdtemp(prefix="onhand-demo-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def first(lived_in: Path) -> subprocess.CompletedProcess[str]:
    """A short, fast life: five simulated minutes a second, so that parcels leave within it."""
    return demo(lived_in, "--for", "12", "--speed", "300")


@pytest.mark.xdist_group("demo")
def test_a_short_demo_ends_clean(first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    assert said_number(first.stdout, r"([\d,]+) orders in") > 50
    assert said_number(first.stdout, r"shipped ([\d,]+)") > 0
    assert said_number(first.stdout, r"oversold (\d+)") == 0
    assert "verify: clean" in first.stdout
    assert "problem:" not in first.stdout
    assert first.stderr == ""


@pytest.mark.xdist_group("demo")
def test_every_vendor_takes_part_and_agrees_with_us(first: subprocess.CompletedProcess[str]) -> None:
    for code in ("shopify", "woocommerce", "amazon", "tills"):
        assert said_number(first.stdout, rf"  {code}: orders=(\d+)") > 0
        assert said_number(first.stdout, rf"  {code}: .* to_tell=(\d+)") == 0
        assert re.search(rf"  {code}: .* oversold=\d+ \(\d+\.\d\d%\)( reconciled)?, target 0.1%", first.stdout)


@pytest.mark.xdist_group("demo")
def test_nobody_is_left_behind(lived_in: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0
    commands = [path.read_bytes().split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline") if _is_there(path)]
    mine = [command for command in commands if any(bytes(lived_in) in argument for argument in command)]
    assert mine == []
    assert {path.stem for path in (lived_in / "demo").glob("*.state")} == {
        "amazon", "hub", "shopify", "tills", "woocommerce",
    }  # fmt: skip


@pytest.mark.xdist_group("demo")
def test_logs_tell_every_second_what_happens(first: subprocess.CompletedProcess[str]) -> None:
    told = re.findall(r"^\d\d:\d\d orders=(\d+) .*oversold=(\d+)$", first.stdout, re.MULTILINE)
    assert len(told) >= 3, first.stdout
    orders = [int(count) for count, _ in told]
    assert orders == sorted(orders)


@pytest.mark.xdist_group("demo")
def test_the_next_demo_resumes_and_ctrl_c_ends_it_clean(
    lived_in: Path, first: subprocess.CompletedProcess[str]
) -> None:
    process = subprocess.Popen(
        [*ONHAND, "demo", "--port", "0"],
        env=environ(lived_in),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = ""
    give_up_at = time.monotonic() + SLOW_S
    while not re.search(r"orders=[1-9]", told):
        assert time.monotonic() < give_up_at and process.poll() is None, told
        if select.select([process.stdout], [], [], 1)[0]:
            told += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, complaints = process.communicate(timeout=60)
    told += rest
    assert process.returncode == 0, told + complaints
    assert "run 2," in told, "the same world goes on"
    assert "admin key" not in told, "the key was shown once"
    assert "problem:" not in told, "external ids of two runs never collide"
    assert "goes on where this one stopped" in told
    assert said_number(told, r"oversold (\d+)") == 0
    assert not (lived_in / "postgres" / "data" / "postmaster.pid").exists(), "the database was stopped"

    with serving(lived_in) as api:
        assert sum(1 for _ in every(api, "/v1/nodes")) == 12
        assert sum(1 for _ in every(api, "/v1/items")) == 500
        placed = said_number(first.stdout, r"([\d,]+) orders in") + said_number(told, r"([\d,]+) orders in")
        # What was under way when the world stopped may have been placed without anybody hearing the answer.
        assert placed <= sum(1 for _ in every(api, "/v1/orders")) <= placed + 50
        assert sum(row["oversold"] for row in every(api, "/v1/stock")) == 0
        live = [row["name"] for row in every(api, "/v1/keys") if row["revoked_at"] is None]
        assert "demo" not in live, "the key of a run ends with it"


@pytest.mark.xdist_group("demo")
def test_another_seed_does_not_move_in(lived_in: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0
    done = demo(lived_in, "--for", "1", "--seed", "2")
    assert done.returncode == 2
    assert "--seed: this database holds the simulated world of seed 1" in done.stderr


@pytest.mark.xdist_group("demo")
def test_a_damaged_counter_fails_the_run(lived_in: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0
    with Server.ensure(lived_in) as server, psycopg.connect(server.url) as conn:
        conn.execute("UPDATE stock_position SET on_hand = on_hand + 1 WHERE (item_id, node_id) = (1, 1) OR item_id = 2")
    done = demo(lived_in, "--for", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"verify: \d+ differences", done.stdout)
    assert "oversold 0" in done.stdout


def test_it_does_not_move_into_a_database_that_somebody_works_with(home: Path) -> None:
    with serving(home) as api:
        api.put("/v1/items/MUG", json={"name": "Enamel mug"}).raise_for_status()
    done = demo(home, "--for", "1")
    assert done.returncode == 2
    assert "not a demo's: it holds 'MUG'" in done.stderr


def test_an_error_is_told_though_the_cleaning_up_is_interrupted(monkeypatch, capsys) -> None:
    def failing(*_: object) -> None:
        try:
            raise SettingsError("the database is not a demo's")
        finally:
            raise KeyboardInterrupt

    monkeypatch.setattr("onhand.cli.demo._run", failing)
    assert run(["demo", "--port", "0"]) == 2
    said = capsys.readouterr()
    assert "not a demo's" in said.err
    assert "goes on from here" not in said.out


def test_a_port_in_use_is_told_before_anything_is_started(home: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("ONHAND_HOME", str(home / "never"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["demo", "--port", str(port)]) == 2
    assert f"--port: {port} cannot be used" in capsys.readouterr().err
    assert not (home / "never").exists()
