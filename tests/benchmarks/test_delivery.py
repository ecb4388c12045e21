"""The benchmarks of deliveries, on the published data where they lie beside the project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
KEYS = {"mae_days", "mae_days_baseline", "coverage_90", "brier", "brier_base_rate", "n_train", "n_test"}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = ROOT / "benchmarks" / f"delivery_{name}.py"
    return subprocess.run([sys.executable, str(program), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("name", "origin"), [("olist", "2018-01-01"), ("scms", "2013-01-01")])
def test_days_are_foretold_better_than_by_one_number(name: str, origin: str):
    if not (DATA / name).is_dir():
        pytest.skip(f"NOT TESTED ON REAL DELIVERIES: no {DATA / name}, which is not redistributed")
    done = run(name, "--data", str(DATA / name), "--origin", origin, "--lanes-only", "--refit-days", "60", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert set(report) == KEYS
    assert report["mae_days"] < 0.9 * report["mae_days_baseline"]
    assert 0.8 < report["coverage_90"] < 0.97


@pytest.mark.parametrize(("name", "table"), [("olist", "orders.parquet"), ("scms", "deliveries.parquet")])
def test_a_folder_without_the_tables_says_what_it_should_hold(tmp_path: Path, name: str, table: str):
    done = run(name, "--data", str(tmp_path), "--origin", "2018-01-01")
    assert done.returncode == 2
    assert table in done.stderr
