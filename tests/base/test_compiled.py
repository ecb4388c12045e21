"""Machine code is kept, and never outlives what it was made from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
OUTER = """# pyright: basic
from inside import add
from onhand.base.compiled import compiled
@compiled
def twice(x):
    return add(add(x))
"""
INNER = """# pyright: basic
from onhand.base.compiled import inner
@inner
def add(x):
    return x + %d
"""


def twice(folder: Path) -> tuple[str, list[str]]:
    """What a fresh process makes of 10, and the files it keeps."""
    done = subprocess.run(
        [sys.executable, "-c", "from outside import twice; print(twice(10), len(twice.stats.cache_hits))"],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), sorted(p.name for p in (folder / "__pycache__").glob("outside.twice*.nbc"))


def test_a_change_in_a_file_that_is_only_called_is_seen(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(OUTER)
    (tmp_path / "inside.py").write_text(INNER % 1)
    first, kept = twice(tmp_path)
    assert (first, len(kept)) == ("12 0", 1)
    assert twice(tmp_path) == ("12 1", kept), "the second process compiles nothing"
    (tmp_path / "inside.py").write_text(INNER % 5)
    then, both = twice(tmp_path)
    assert then == "20 0"
    assert len(both) == 2 and set(kept) < set(both), "beside the old one, which another process may be reading"


LOOKING = """
import sys
from outside import twice
turns = twice._cache.load_overload.__self__
look = turns._load
def told(*arguments):
    found = look(*arguments)
    if found is None:
        print("nothing is kept", flush=True)
        sys.stdin.readline()
    return found
turns._load = told
print(twice(10), "read" if twice.stats.cache_hits else "compiled")
"""


def test_of_processes_at_once_one_compiles_and_the_others_read(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(OUTER)
    (tmp_path / "inside.py").write_text(INNER % 1)
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", LOOKING], cwd=tmp_path, env=os.environ, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    )  # fmt: skip

    def looks(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None and process.stdout.readline() == "nothing is kept\n"

    def may_go_on(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    looks(first)
    may_go_on(first)
    looks(first)  # again, now that it is its turn
    looks(second)
    may_go_on(second)
    assert first.communicate("\n", timeout=120)[0] == "12 compiled\n"
    assert second.communicate(timeout=120)[0] == "12 read\n", "it did not wait for its turn"


def test_who_fails_to_compile_gives_up_his_turn(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "# pyright: basic\n"
        "from onhand.base.compiled import compiled\n"
        "@compiled\n"
        "def wrong(x):\n    return x.colour\n"
        "@compiled\n"
        "def right(x):\n    return x\n"
    )
    program = (
        "from wrong import right, wrong\n"
        "import subprocess, sys\n"
        "try:\n    wrong(1)\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
        "subprocess.run([sys.executable, '-c', 'from wrong import right; print(right(7))'], check=True, timeout=60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.splitlines()) == ["7", "TypingError"]


TELLING = """
import sys
sys.stderr.isatty = lambda: {at_terminal}
from onhand.base import compiled
def twice(x):
    return 2 * x
twice.__module__ = {module!r}
made = compiled.njit(twice)
made(1), made(2)
made(1.0)
print(compiled.compiled_here())
"""


@pytest.mark.parametrize(
    ("at_terminal", "module", "told"),
    [(True, "onhand.x", 1), (False, "onhand.x", 0), (True, "other", 0)],
)
def test_who_sits_at_a_terminal_is_told_once_what_they_wait_for(at_terminal: bool, module: str, told: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TELLING.format(at_terminal=at_terminal, module=module)],
        env=os.environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.count("compiles its solver") == told
    assert done.stdout.strip() == str(["onhand.x.twice"] * 2 if module == "onhand.x" else [])


def test_it_is_known_whether_code_is_kept(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(OUTER)
    (tmp_path / "inside.py").write_text(INNER % 1)
    program = (
        "from outside import twice; from onhand.base.compiled import is_kept\n"
        "print(is_kept(twice), twice(1), is_kept(twice))"
    )
    for expected in ("False 3 True", "True 3 True"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected
