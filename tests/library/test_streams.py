"""`onhand.forecast_files`: more series than memory holds, from files to files."""

import numpy as np
import polars as pl
import pytest

import onhand
from onhand.demand import cold_start
from onhand.demand import run as whole
from onhand.errors import InvalidInput
from onhand.library import streams
from onhand.library.panels import panel_of

SERIES, DAYS, HORIZON = 23, 120, 7


@pytest.fixture(scope="module")
def tables():
    """Sparse demand: rows where something was asked for only."""
    random = np.random.default_rng(5)
    first = np.datetime64("2026-01-01")
    y = random.poisson(random.uniform(0.05, 3, (SERIES, 1)), (SERIES, DAYS))
    y[:, 0], y[:, -1] = 1, 1
    series, day = np.nonzero(y)
    ids = np.array([f"s{k:02d}" for k in range(SERIES)], dtype=object)
    history = pl.DataFrame({"unique_id": ids[series].tolist(), "ds": first + day, "y": y[series, day].astype(float)})
    ahead = first + np.arange(DAYS + HORIZON)
    known = pl.DataFrame({"ds": ahead, "event": [["", "fair", "rain"][k % 3] for k in range(DAYS + HORIZON)]})
    static = pl.DataFrame({"unique_id": ids.tolist(), "kind": [f"kind {k // 12}" for k in range(SERIES)]})
    return history, known, static


@pytest.fixture
def files(tables, tmp_path):
    paths = {}
    for name, table in zip(("history", "known", "static"), tables, strict=True):
        paths[name] = tmp_path / f"{name}.parquet"
        table.write_parquet(paths[name])
    return paths


@pytest.fixture
def some_at_a_time(monkeypatch):
    monkeypatch.setattr(streams, "CHUNK", 5)


def test_files_are_forecast_as_frames_are(tables, files, tmp_path, some_at_a_time):
    history, known, static = tables
    said = []
    made = onhand.forecast_files(
        **files, into=tmp_path / "made", horizon=HORIZON, freq="D", gaps="zero", trees=False,
        progress=lambda what, share: said.append(share),
    )  # fmt: skip
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    panel = panel_of(history, horizon=HORIZON, freq="D", known=known, static=static, gaps="zero")
    expected = whole.run(panel, levels, trees=False).forecast
    table = made.sort("unique_id", "ds").collect()
    assert len(sorted((tmp_path / "made").glob("part-*.parquet"))) == 5
    assert table["unique_id"].unique().len() == SERIES
    assert np.allclose(table["mean"].to_numpy(), expected.mean.ravel())
    assert np.allclose(table["q0.95"].to_numpy(), expected.quantiles[:, :, 4].ravel())
    assert said == sorted(said)
    assert said[-1] == 1.0


def test_what_is_young_is_forecast_from_its_siblings(tables, files, tmp_path):
    history, known, static = tables
    young = history.filter((pl.col("unique_id") != "s03") | (pl.col("ds") >= history["ds"].max() - pl.duration(days=9)))
    young.write_parquet(files["history"])
    made = onhand.forecast_files(**files, into=tmp_path / "made", horizon=HORIZON, freq="D", gaps="zero", trees=False)
    mean = made.sort("unique_id", "ds").collect()["mean"].to_numpy().reshape(SERIES, HORIZON)
    panel = panel_of(young, horizon=HORIZON, freq="D", known=known, static=static, gaps="zero")
    alone = whole.run(panel, np.array([0.05, 0.25, 0.5, 0.75, 0.95]), trees=False).forecast
    among = cold_start.filled(panel, alone)
    assert np.allclose(mean, among.mean)
    assert np.flatnonzero(~np.isclose(mean, alone.mean).all(axis=1)).tolist() == [3]


def test_kinds_are_the_same_in_every_part(files, tmp_path, some_at_a_time):
    job = streams.prepare(files, tmp_path / "made", horizon=HORIZON, freq="D", levels=np.array([0.5]), trees=False)
    assert job.source.layout.kinds["known.event"] == ["fair", "rain"]
    panel = job.source.panel(pl.col("unique_id") == "s22")
    assert panel.static["kind"].tolist() == [1]
    assert panel.y.shape == (1, DAYS)


def test_what_was_stopped_goes_on_where_it_was(files, tmp_path, some_at_a_time):
    into = tmp_path / "made"

    def stop(what, share):
        if share > 0.5:
            raise KeyboardInterrupt

    settings = {"horizon": HORIZON, "freq": "D", "trees": False}
    with pytest.raises(KeyboardInterrupt):
        onhand.forecast_files(**files, into=into, **settings, progress=stop)
    done = {path.name: path.stat().st_mtime_ns for path in into.glob("*.p*")}
    assert 1 < len(done) < 6
    table = onhand.forecast_files(**files, into=into, **settings).collect()
    assert table.height == SERIES * HORIZON
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in into.glob("*.p*")}.items()
    with pytest.raises(InvalidInput, match="other settings"):
        onhand.forecast_files(**files, into=into, horizon=HORIZON, freq="D", trees=False, seed=2)


def test_errors_name_what_is_wrong(files, tmp_path):
    with pytest.raises(InvalidInput, match="no Parquet file"):
        onhand.forecast_files(tmp_path / "none.parquet", tmp_path / "made", horizon=7, freq="D")
    with pytest.raises(InvalidInput, match=r"history\.y"):
        onhand.forecast_files(files["static"], tmp_path / "made", horizon=7, freq="D")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="something else"):
        onhand.forecast_files(files["history"], tmp_path / "full", horizon=7, freq="D")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
