"""Pages that show commands: found by marks, run in a shell as a reader would, answers compared with what they show.

`<!-- test -->` before a fenced block: the block is run, and must succeed.
`<!-- test: background -->`: it is started, and is ready when the server answers.
`<!-- test: answer -->`: it shows the JSON that the block before printed; names and types are compared.
`<!-- test: part -->`: it shows a part of that JSON; see `differences`.
`<!-- test: python -->`, `<!-- test: prints -->`: a program, and exactly what it prints.
`<!-- test: says -->`: it shows a part of the text that the block before printed; see `missing_words`.
`<!-- request: METHOD PATH -->`: it is the body of that request, which must succeed.
`<!-- row: METHOD PATH -->`: it shows a row of what that request answers; names are compared.
`<!-- file: NAME -->`: it is that file, for the blocks after it.
`<!-- shop -->`: like `test`, but on a shop that there is already; see `tests/docs/test_blocks.py`.
"""

import json
import os
import re
import signal
import socket
import subprocess
import textwrap
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

FENCED = re.compile(
    r"^(?:(?P<in> *)<!-- (?P<mark>test|request|row|file|shop)(?:: (?P<of>[^\n]+?))? -->\n+)?"
    r"^(?P<at> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=at)```$",
    re.M | re.S,
)
# curl succeeds whatever the server says; a problem document states its own status.
PROBLEM = re.compile(r'"status": ?[45]\d\d\b')
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"\d[\d.,:TZ-]*")
# What orders cost depends on the day of the week: over a weekend they are a little later.
_SWAYING = frozenset({"lateness", "cost_minor", "loss_minor", "risk_minor", "stake_minor", "gain_minor"})


@dataclass(frozen=True, slots=True)
class Block:
    how: str  # "": it has no mark
    text: str
    of: str = ""  # of a request or a row: its method and path; of a file: its name
    language: str = ""


def every_block(markdown: str) -> list[Block]:
    found: list[Block] = []
    for m in FENCED.finditer(markdown):
        how, of = m["mark"] or "", m["of"] or ""
        if how == "test":
            how, of = of or "run", ""
        found.append(Block(how, textwrap.dedent(m["text"]), of, m["language"]))
    return found


def marked_blocks(markdown: str) -> list[Block]:
    """What a page has to be tested by itself, with `<!-- test -->`."""
    of_others = ("", "request", "row", "file", "shop")
    return [Block(b.how, b.text) for b in every_block(markdown) if b.how not in of_others]


def shape(value: object) -> object:
    """Names and types of a JSON value; of a list, those of its first element."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def differences(shown: object, got: object, at: str = "") -> list[str]:
    """Where an answer is not what a page shows of it. Objects and lists may be cut; text is compared without ids, times
    and numbers, a `…` in it standing for anything; whole numbers are compared, but for those that depend on the day."""
    if isinstance(shown, dict):
        if not isinstance(got, dict):
            return [f"{at}: expected an object, got {got!r}"]
        absent = [f"{at}.{key}: missing" for key in shown if key not in got]
        return absent + [d for key in shown if key in got for d in differences(shown[key], got[key], f"{at}.{key}")]
    if isinstance(shown, list):
        if not isinstance(got, list) or len(got) < len(shown) or (got and not shown):
            return [f"{at}: expected {len(shown)} elements, got {got!r}"]
        return [d for n, one in enumerate(shown) for d in differences(one, got[n], f"{at}[{n}]")]
    if type(shown) is not type(got):
        return [f"{at}: expected {shown!r}, got {got!r}"]
    if isinstance(shown, str):
        pattern = ".*".join(map(re.escape, _words(shown).split("…")))
        alike = re.fullmatch(pattern, _words(str(got)), re.S) is not None
    else:
        alike = isinstance(shown, float) or at.rsplit(".", 1)[-1] in _SWAYING or shown == got
    return [] if alike else [f"{at}: expected {shown!r}, got {got!r}"]


def missing_words(shown: str, printed: str) -> list[str]:
    """Lines of a text that a program did not print, whatever its numbers, ids and spaces."""
    told = " ".join(_words(printed).split())
    return [line for line in shown.splitlines() if " ".join(_words(line).split()) not in told]


def _words(text: str) -> str:
    return _NUMBER.sub("0", _UUID.sub("0", text))


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Shell:
    """One terminal: what a block exports and defines is there in the next."""

    def __init__(self, state: Path, cwd: Path, env: dict[str, str], timeout_s: float) -> None:
        self._state, self._cwd, self._env, self._timeout_s = state, cwd, env, timeout_s

    def run(self, text: str) -> str:
        """What it prints. Fails where a command does, or is answered with a problem."""
        restore = f"set -a; if [ -e {self._state} ]; then . {self._state}; fi\n"
        keep = f"{{ declare -f; export -p; }} > {self._state}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{restore}{text}\n{keep}"],
            cwd=self._cwd,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=self._timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert not PROBLEM.search(done.stdout), f"{text}\n{done.stdout[-2000:]}"
        return done.stdout


class Background:
    """Programs a page leaves running, each a process group; ended with ctrl-C."""

    # A demo that ends waits up to a minute for its channels, and then reads everything once more.
    ENDS_S = 150

    def __init__(self, log: Path, ready_s: float) -> None:
        self.log, self._ready_s = log, ready_s
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
        deadline = time.monotonic() + self._ready_s
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
                program.wait(self.ENDS_S)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                raise


def last_json(printed: str) -> object:
    """The JSON document in the last line that has one."""
    lines = [line for line in printed.splitlines() if line.startswith(("{", "["))]
    assert lines, f"no JSON in {printed[-2000:]!r}"
    return json.loads(lines[-1])
