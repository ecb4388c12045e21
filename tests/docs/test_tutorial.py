"""docs/tutorial.md, from its own text: every command is run, every answer shown is what comes."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pages import Background, Shell, differences, free_port, last_json, marked_blocks, missing_words

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
PORT = 8080


@pytest.fixture
def env(dsn: str, tmp_path: Path) -> dict[str, str]:
    """A reader's environment, but for the database: the embedded one of the page takes seconds to be made."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("ONHAND_")}
    return given | {
        "ONHAND_DATABASE_URL": dsn, "ONHAND_HOME": str(tmp_path), "TMPDIR": str(tmp_path), "NO_COLOR": "1",
        "COLUMNS": "120", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    programs = Background(tmp_path / "background.log", 200)  # a fresh copy has the solver compiled first
    yield programs
    try:
        programs.stop()
    finally:
        print(programs.told())


@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("curl") is None, reason="THE TUTORIAL IS NOT TESTED: there is no curl")
def test_the_tutorial_does_what_it_says(env: dict[str, str], background: Background, tmp_path: Path) -> None:
    blocks = marked_blocks(PAGE.read_text("utf-8"))
    assert {block.how for block in blocks} == {"background", "run", "part", "says"}
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()  # what it does, the environment has done
    shell = Shell(tmp_path / "shell", tmp_path, env, timeout_s=60)
    port, printed = free_port(), ""
    for block in blocks:
        if block.how == "background":
            ready = f"http://127.0.0.1:{port}/readyz"
            background.start(f"{block.text.rstrip()} --port {port}", tmp_path, env, ready)
        elif block.how == "part":
            assert differences(json.loads(block.text), last_json(printed)) == [], f"got {printed}"
        elif block.how == "says":
            assert missing_words(block.text, printed) == [], f"got {printed}"
        else:
            printed = shell.run(block.text.replace(f":{PORT}", f":{port}"))
