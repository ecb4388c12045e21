"""The pictures of the explanations are those that benchmarks/pictures.py draws now, and stand on their pages."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def drawn() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "benchmarks/pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["ledger", "sourcing", "forward-looking", "autopilot"])
def test_a_picture_shows_what_is_computed_now(page: str, drawn: ModuleType) -> None:
    now = getattr(drawn, page.replace("-", "_"))()
    kept = (ROOT / f"docs/pictures/{page}.svg").read_text("utf-8")
    assert NUMBER.sub("0", now) == NUMBER.sub("0", kept), "python benchmarks/pictures.py"
    # Another processor may round the last digit otherwise.
    numbers = ([float(n) for n in NUMBER.findall(svg)] for svg in (now, kept))
    assert all(abs(a - b) < 0.15 for a, b in zip(*numbers, strict=True)), "python benchmarks/pictures.py"


@pytest.mark.parametrize("picture", sorted(path.name for path in (ROOT / "docs/pictures").glob("*.svg")))
def test_a_picture_stands_on_an_explanation_and_says_what_is_seen(picture: str) -> None:
    pages = "\n".join(p.read_text("utf-8") for p in (ROOT / "docs").rglob("*.md"))
    said = re.findall(rf"!\[([^\]]*)\]\(\.\./pictures/{re.escape(picture)}\)", pages)
    assert said and min(map(len, said)) > 30
