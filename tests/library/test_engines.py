"""Spread over an engine, a forecast is what it is without: run where Ray or Spark is installed."""

import sys
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest

import onhand
from onhand.demand import run as whole
from onhand.errors import InvalidInput

from ..demand.worlds import shop  # noqa: TID252

NEEDS = {"ray": "ray", "spark": "pyspark"}


def installed(engine):
    return find_spec("fugue") is not None and find_spec(NEEDS[engine]) is not None


@pytest.fixture
def history():
    panel, _, _ = shop(series=24, periods=90, horizon=7)
    return pl.DataFrame(
        {
            "unique_id": np.repeat(np.array(panel.ids, dtype=object), 90).tolist(),
            "ds": np.tile(panel.dates[:90].astype("datetime64[us]"), 24),
            "y": panel.y.ravel(),
        }
    )


@pytest.mark.engine
@pytest.mark.parametrize("engine", [*NEEDS])
def test_an_engine_forecasts_the_same_numbers(engine, history, monkeypatch):
    if not installed(engine):
        pytest.skip(f"NOT TESTED: {engine} IS NOT INSTALLED (pip install 'onhand[{engine}]')")
    if engine == "spark":
        # Small enough for a test: a few workers, no page of its own.
        monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
        monkeypatch.setenv(
            "PYSPARK_SUBMIT_ARGS",
            "--master local[2] --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=2 pyspark-shell",
        )
    else:
        import ray

        try:
            ray.init(num_cpus=2, include_dashboard=False, configure_logging=False)
        except Exception as error:
            # It gives up after 30 s, which a machine at its limit takes.
            pytest.skip(f"NOT TESTED: RAY DID NOT START HERE: {error}")
    monkeypatch.setattr(whole, "CHUNK", 10)
    local = onhand.forecast(history, horizon=7, freq="D")
    try:
        spread = onhand.forecast(history, horizon=7, freq="D", engine=engine)
    finally:
        if engine == "ray":
            ray.shutdown()
    assert spread.equals(local)


@pytest.mark.parametrize("engine", [*NEEDS])
def test_an_engine_that_is_not_installed_says_what_to_install(engine, history, monkeypatch):
    monkeypatch.setattr("onhand.library.engines.find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=f"onhand.{engine}."):
        onhand.forecast(history, horizon=7, freq="D", engine=engine)
