"""The benchmark of price response, on the published sales where they lie beside the project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
PROGRAM = ROOT / "benchmarks" / "elasticity_dominicks.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(
    not (DATA / "dominicks").is_dir(),
    reason=f"NOT TESTED ON REAL SALES: no {DATA}/dominicks, which is not redistributed",
)
def test_prices_foretell_weeks_that_were_held_out():
    done = run("--data", str(DATA), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["better_and_negative"] >= 10
    assert len(report["brands"]) == 11
    assert all(other["better"] >= 10 for other in report["other_splits"])


def test_a_folder_without_the_sales_says_what_it_should_hold(tmp_path: Path):
    done = run("--data", str(tmp_path))
    assert done.returncode == 2
    assert "oj.parquet" in done.stderr
