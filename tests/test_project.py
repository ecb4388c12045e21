"""The project as a newcomer meets it: a clean copy, the README's commands, nobody's own machine."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Set-up on a machine with an empty package cache downloads some 400 MB.
SETUP_S = 900

# `<!-- test -->` before a fenced block: the block is run, and must succeed.
# `<!-- test: background -->`: it is started, and is ready when the server answers.
# `<!-- test: answer -->`: it shows the JSON that the block before printed.
MARKED = re.compile(r"^<!-- test(?:: (?P<how>\w+))? -->\n+```(\w*)\n(?P<text>.*?)^```$", re.M | re.S)
README_PORT = 8080
# curl succeeds whatever the server says; a problem document states its own status.
PROBLEM = re.compile(r'"status": ?[45]\d\d\b')


@dataclass(frozen=True, slots=True)
class Block:
    how: str
    text: str


def marked_blocks(markdown: str) -> list[Block]:
    return [Block(m["how"] or "run", m["text"]) for m in MARKED.finditer(markdown)]


def shape(value: object) -> object:
    """Names and types of a JSON value; of a list, those of its first element."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def git_status(folder: Path) -> str:
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name.decode() for name in listed.split(b"\0") if name]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last commit, cloned: what is not committed is not there."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    folder = tmp_path_factory.mktemp("copy") / "onhand"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    _give_machine_code(folder)
    _give_console(folder)
    return folder


def _give_machine_code(copy: Path) -> None:
    """What was compiled here of the same source: that it compiles on a clean copy this very copy has shown, once, in
    two minutes. Numba takes code for current while its source has the time of its last change."""
    for source in (ROOT / "src").rglob("*.py"):
        there = copy / source.relative_to(ROOT)
        kept = list((source.parent / "__pycache__").glob(f"{source.stem}.*.nb[ic]"))
        if kept and there.is_file() and there.read_bytes() == source.read_bytes():
            os.utime(there, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
            (there.parent / "__pycache__").mkdir(exist_ok=True)
            for file in kept:
                shutil.copy2(file, there.parent / "__pycache__")


def _give_console(copy: Path) -> None:
    """The console as it was built here. The build takes it for current only if it is of these very sources."""
    built = Path("src/onhand/api/console")
    if (ROOT / built).is_dir():
        shutil.copytree(ROOT / built, copy / built)


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody without any setting of ours, and a home that is not yours."""
    env = {
        name: value
        for name, value in os.environ.items()
        # This test may itself run under make and in our own environment.
        if not name.startswith(("ONHAND_", "MAKE")) and name not in {"VIRTUAL_ENV", "PYTHONPATH", "UV", "TEST_ARGS"}
    }
    paths = [p for p in env["PATH"].split(os.pathsep) if not Path(p).is_relative_to(ROOT)]
    return env | {
        "PATH": os.pathsep.join(paths),
        "ONHAND_HOME": str(tmp_path / "home"),
        # The test ends it with ctrl-C; by itself it ends only where nobody is left to do that.
        "DEMO_ARGS": f"--port {free_port()} --for {SETUP_S * 2}",
        "NO_COLOR": "1",
    }


class Background:
    """Programs a README leaves running, each a process group; ended with ctrl-C."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.started: list[subprocess.Popen[bytes]] = []
        self.homes: set[Path] = set()

    def start(self, text: str, cwd: Path, env: dict[str, str], ready: str) -> None:
        with self.log.open("ab") as log:
            program = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", text],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(program)
        self.homes.add(Path(env["ONHAND_HOME"]))
        deadline = time.monotonic() + SETUP_S
        while time.monotonic() < deadline:
            assert program.poll() is None, f"{text!r} ended early:\n{self.log.read_text()[-4000:]}"
            try:
                with urllib.request.urlopen(ready, timeout=5):
                    return
            except OSError:
                time.sleep(0.2)  # it starts in its own time
        raise AssertionError(f"{text!r} was never ready:\n{self.log.read_text()[-4000:]}")

    def told(self) -> str:
        """The ends of what they and the programs they started have said, and how they ended."""
        logs = [self.log, *sorted(log for home in self.homes for log in home.glob("demo-*.log"))]
        said = [f"{log.name}:\n{log.read_text('utf-8', errors='replace')[-4000:]}" for log in logs if log.exists()]
        return "\n".join([*said, f"ended with {[program.poll() for program in self.started]}"])

    def stop(self) -> None:
        for program in self.started:
            if program.poll() is not None:
                continue
            os.killpg(program.pid, signal.SIGINT)
            try:
                program.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                raise


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    programs = Background(tmp_path / "background.log")
    yield programs
    try:
        programs.stop()
    finally:
        print(programs.told())  # pytest shows it when the test has failed


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's tour is made of curl calls")
@pytest.mark.timeout(SETUP_S * 2)
def test_the_commands_of_the_readme_work_on_a_clean_copy(
    copy: Path, newcomer: dict[str, str], background: Background, tmp_path: Path
) -> None:
    blocks = marked_blocks((copy / "README.md").read_text("utf-8"))
    assert [b.how for b in blocks].count("background") == 1, "the README starts one demo"
    assert [b.how for b in blocks].count("run") >= 3, "the tour has a few calls"
    port = newcomer["DEMO_ARGS"].split()[1]
    printed = ""
    state = tmp_path / "shell"
    restore, keep = f"set -a; if [ -e {state} ]; then . {state}; fi\n", f"{{ declare -f; export -p; }} > {state}"
    for block in blocks:
        text = block.text.replace(f":{README_PORT}", f":{port}")
        if block.how == "background":
            background.start(text, copy, newcomer, f"http://127.0.0.1:{port}/readyz")
        elif block.how == "answer":
            assert shape(json.loads(printed)) == shape(json.loads(text)), f"got {printed}"
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", f"{restore}{text}\n{keep}"],
                cwd=copy,
                env=newcomer,
                capture_output=True,
                text=True,
                timeout=SETUP_S,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            printed = done.stdout
            assert not PROBLEM.search(printed), f"{text}\n{printed[-2000:]}"
    assert git_status(copy) == "", "the tour leaves nothing for git to see"


@pytest.mark.timeout(SETUP_S)
def test_make_fetches_uv_where_there_is_none(copy: Path, newcomer: dict[str, str]) -> None:
    """Debian's own Python refuses `pip install`; the Makefile must not need it."""
    subprocess.run(
        ["make", ".uv/bin/uv", "UV=.uv/bin/uv", f"PYTHON={sys.executable}"],
        cwd=copy,
        env=newcomer,
        check=True,
    )
    version = subprocess.run([copy / ".uv/bin/uv", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("uv ")
    assert git_status(copy) == "", "set-up leaves nothing for git to see"


@pytest.mark.parametrize("shell", [".ci/run"])
def test_shell_scripts_are_executable_and_stop_at_the_first_failure(shell: str) -> None:
    assert os.access(ROOT / shell, os.X_OK)
    assert "set -euo pipefail" in (ROOT / shell).read_text("utf-8")


# Written so that they do not match themselves.
PRIVATE = re.compile(r"/wor[k]/|/roo[t]/|[.]librar[y]/|BRIEF[.]m[d]|\bissues sho[w]\b")


def test_nothing_of_somebodys_machine_is_in_the_tree() -> None:
    found: list[str] = []
    for path in tracked_files():
        if not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # binary
        found += [f"{path.relative_to(ROOT)}: {m[0]}" for m in PRIVATE.finditer(text)]
    assert found == []


def test_make_lists_every_promised_target(newcomer: dict[str, str]) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, env=newcomer, capture_output=True, text=True, check=True).stdout
    targets = {line.split()[0] for line in listed.splitlines() if line}
    assert {"setup", "demo", "test", "check", "bench", "golden", "docs"} <= targets


def test_marked_blocks_are_found_in_order() -> None:
    text = (
        "a\n<!-- test: background -->\n```sh\nmake demo\n```\n\n```sh\nno\n```\n<!-- test -->\n\n```sh\ncurl\n-s\n```\n"
    )
    assert marked_blocks(text) == [Block("background", "make demo\n"), Block("run", "curl\n-s\n")]


def test_shape_tells_names_and_types_apart() -> None:
    assert shape({"a": 1, "b": [{"c": "x"}, {}]}) == shape({"b": [{"c": "y"}], "a": 7})
    assert shape({"a": 1}) != shape({"a": "1"})
    assert shape({"a": 1}) != shape({"b": 1})


def test_a_wheel_brings_the_console_built(copy: Path, newcomer: dict[str, str], tmp_path: Path) -> None:
    uv = next((at for at in (ROOT / ".uv" / "bin" / "uv", Path(shutil.which("uv") or "-")) if at.is_file()), None)
    if uv is None or not (copy / "src/onhand/api/console/index.html").is_file():
        pytest.skip("no uv, or no console was built: `make setup`")
    command = [uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path]
    subprocess.run(command, cwd=copy, env=newcomer, timeout=SETUP_S, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "onhand/api/console/index.html" in names
    assert any(name.startswith("onhand/api/console/assets/index-") for name in names)
