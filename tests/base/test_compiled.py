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
