"""What CI keeps: every screenshot, on one page, in a folder that git does not see."""

import re
import subprocess
from pathlib import Path

from .sheet import write_sheet

ROOT = Path(__file__).parents[2]


def test_every_screenshot_is_on_the_page_the_large_one_first(tmp_path):
    for name in ("tower-390-dark", "tower-1440-light", "tower-1440-dark", "order-map", "a&b-390-light"):
        (tmp_path / f"{name}.png").touch()
    text = write_sheet(tmp_path).read_text("utf-8")
    assert "5 screenshots" in text
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["a&amp;b", "order-map", "tower"]
    assert re.findall(r'src="(.*?)"', text) == [
        "a&amp;b-390-light.png", "order-map.png", "tower-1440-dark.png", "tower-1440-light.png", "tower-390-dark.png",
    ]  # fmt: skip


def test_without_a_screenshot_it_says_so(tmp_path):
    assert "0 screenshots" in write_sheet(tmp_path / "none").read_text("utf-8")


def test_ci_keeps_them_where_git_does_not_look():
    script = (ROOT / ".ci/run").read_text("utf-8")
    (folder,) = re.findall(r'^export ONHAND_SCREENSHOTS="\$PWD/(.*)"$', script, re.M)
    assert f"tests/browser/sheet.py {folder}" in script
    assert f"/{folder.split('/')[0]}/" in (ROOT / ".gitignore").read_text("utf-8").split()
    assert subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=False).returncode == 0
