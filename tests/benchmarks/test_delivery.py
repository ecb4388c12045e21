"""The benchmarks of deliveries, on the published data where they lie beside the project."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from delivering import measure
from delivering_bound import bound

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


def test_hand_overs_are_told_of_the_past_only():
    origin, count = datetime(2026, 3, 1), 1_200  # noqa: DTZ001 - moments without a time zone are local
    random = np.random.default_rng(0)
    # Sellers are quick or slow, places near or far, and few of one meet few of the other: legs tell more than all days.
    seller, place = random.integers(0, 12, (2, count))
    handed = np.geomspace(0.5, 8, 12)[seller] * random.uniform(0.8, 1.2, count)
    days = handed + np.geomspace(1, 12, 12)[place] * random.uniform(0.8, 1.2, count)
    ordered = [origin + timedelta(days=float(at)) for at in np.linspace(-100, 20, count)]

    def after(of: np.ndarray) -> list[datetime]:
        return [moment + timedelta(days=float(day)) for moment, day in zip(ordered, of, strict=True)]

    places = {
        "origin_latitude": pl.Series(50.0 + seller), "origin_longitude": pl.lit(50.0),
        "destination_latitude": pl.lit(50.0), "destination_longitude": pl.Series(50.0 + place),
    }  # fmt: skip
    shipments = pl.DataFrame(
        {
            "shipment_id": [f"s{n}" for n in range(count)], "ordered_at": ordered, "promised_at": after(days * 0 + 8),
            "delivered_at": after(days), "handed_over_at": after(handed),
        }
    ).with_columns(**places, predicted_at=pl.when(pl.col("ordered_at") >= origin).then("ordered_at"))  # fmt: skip

    def measured(of: pl.DataFrame) -> dict[str, float | int]:
        return measure(of, origin, None, 0, trees=False)

    then = pl.col("handed_over_at") + timedelta(hours=20)
    later = shipments.with_columns(
        handed_over_at=pl.when(pl.col("handed_over_at") >= origin).then(then).otherwise("handed_over_at")
    )
    assert measured(shipments) == measured(later)
    earlier = shipments.with_columns(
        handed_over_at=pl.when(pl.col("handed_over_at") < origin).then(then).otherwise("handed_over_at")
    )
    assert measured(shipments) != measured(earlier)


def test_a_bound_knows_the_level_of_the_window_and_nothing_of_the_order_itself():
    origin, count = datetime(2026, 3, 1), 600  # noqa: DTZ001 - moments without a time zone are local
    random = np.random.default_rng(0)
    # Days double half-way, which nothing that is known at purchase foretells; the rest is chance.
    chance = np.exp(random.normal(0, 0.3, count))
    days = np.where(np.arange(count) < count / 2, 5.0, 10.0) * chance
    ordered = pl.Series([origin + timedelta(hours=2 * n) for n in range(count)])
    shipments = pl.DataFrame(
        {"shipment_id": [f"s{n}" for n in range(count)], "seller": random.integers(0, 300, count).astype(str)}
    ).with_columns(
        *(pl.lit(50.0).alias(f"{end}_{of}") for end in ("origin", "destination") for of in ("latitude", "longitude")),
        ordered_at=ordered, predicted_at=ordered, promised_at=ordered + timedelta(days=8),
        delivered_at=ordered + pl.Series(days * 86_400_000_000).cast(pl.Duration("us")),
    )  # fmt: skip
    best = np.abs(days - days / chance).mean()
    assert 0.98 * best < bound(shipments, None) < 1.1 * best < np.abs(days - np.median(days)).mean()
    assert 0.98 * best < bound(shipments, None, of_day=True) < 1.1 * best
    assert bound(shipments, origin + timedelta(days=20)) < bound(shipments, None)
