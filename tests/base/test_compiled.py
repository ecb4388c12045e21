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
