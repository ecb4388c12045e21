"""`onhand forecast`: tried on files and on the history of the database, and kept."""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from onhand.cli import run
from onhand.db import Database

FIRST = date(2025, 6, 2)
DAYS = 140


@pytest.fixture
def files(tmp_path):
    """Eight series of 140 days with a week's shape, half of them moved by a price that is known ahead."""
    random = np.random.default_rng(4)
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    shape = np.array([0.6, 0.7, 0.8, 1.0, 1.3, 1.6, 1.0])[np.arange(DAYS) % 7]
    rows, prices = [], []
    for n in range(8):
        price = random.choice([1.0, 0.7], DAYS, p=[0.85, 0.15])
        demand = random.poisson((2 + 3 * n) * shape * (price ** (-2 if n % 2 else 0)))
        rows.append(pl.DataFrame({"unique_id": [f"s{n}"] * DAYS, "ds": days, "y": demand}))
        prices.append(pl.DataFrame({"unique_id": [f"s{n}"] * DAYS, "ds": days, "price": price}))
    pl.concat(rows).write_csv(tmp_path / "history.csv")
    pl.concat(prices).write_parquet(tmp_path / "known.parquet")
    pl.DataFrame({"unique_id": [f"s{n}" for n in range(8)], "kind": ["a", "b"] * 4}).write_csv(tmp_path / "static.csv")
    return tmp_path


def backtest(files, *more):
    options = ["--horizon", "7", "--origins", "2", "--no-trees", *more]
    return run(["forecast", "backtest", str(files / "history.csv"), *options])


def test_a_backtest_of_files_prints_every_table_and_writes_a_page(files, capsys):
    page = files / "page.html"
    told = ("--known", str(files / "known.parquet"), "--static", str(files / "static.csv"))
    assert backtest(files, *told, "--html", str(page)) == 0
    printed = capsys.readouterr().out
    assert f"From {FIRST + timedelta(days=DAYS - 14)}: 8 series" in printed
    assert f"From {FIRST + timedelta(days=DAYS - 7)}: 8 series" in printed
    assert "All 2 origins" in printed
    for head in ("kind", "in charge", "loss", "baseline", "value added", "90 %", "bias", "in 50 %"):
        assert head in printed
    html = page.read_text("utf-8")
    assert html.startswith("<!doctype html>") and html.count("<figure>") >= 1
    for chart in ("Value added with its 90 % interval", "Coverage of central intervals", "forecast and what came"):
        assert chart in html
    assert "<script" not in html and "http" not in html


def test_as_json_everything_is_told(files, capsys):
    assert backtest(files, "--json", "--levels", "0.1,0.5,0.9", "--series", "5") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["horizon"], found["levels"]) == (7, [0.1, 0.5, 0.9])
    everything = found["segments"][0]
    assert (everything["segment"], everything["series"]) == ("all", 5)
    assert set(everything["coverage"]) == {"0.8"}
    assert [origin["seconds"] > 0 for origin in found["origins"]] == [True, True]
    fan = found["fans"][0]
    assert len(fan["dates"]) == len(fan["before"]) + len(fan["came"])
    assert len(fan["quantiles"]) == len(fan["mean"]) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--levels", "0.9,0.1"], "rising levels"),
        (["--known", "nothing.csv"], "it cannot be read"),
        (["--origins", "40"], "origins"),
        (["--horizon", "200"], "horizon"),
    ],
)
def test_what_is_wrong_is_named(files, capsys, options, said):
    assert backtest(files, *options) in (1, 2)
    assert said in capsys.readouterr().err


def test_the_history_of_the_database_is_tried_and_forecast(dsn, monkeypatch, capsys):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    assert run(["forecast", "run"]) == 1
    assert "nothing was wanted yet" in capsys.readouterr().err
    today = datetime.now(UTC).date()
    random = np.random.default_rng(2)
    with Database.open(dsn) as db, db.connection() as conn, conn.cursor() as cursor:
        conn.execute("INSERT INTO item (item_id, sku, name) SELECT n, 'S' || n, 'x' FROM generate_series(1, 6) n")
        conn.execute("INSERT INTO demand_place (region, timezone) VALUES ('DE', 'UTC')")
        with cursor.copy("COPY imported_sale (item_id, place_id, day, units) FROM STDIN") as copy:
            for back in range(1, 71):
                for item in range(1, 7):
                    copy.write_row((item, 1, today - timedelta(days=back), int(random.poisson(3 * item))))
    assert run(["forecast", "backtest", "--horizon", "7", "--origins", "2", "--no-trees", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [origin["origin"] for origin in found["origins"]] == [f"{today - timedelta(days=n)}" for n in (14, 7)]
    assert found["segments"][0]["series"] == 6
    assert run(["forecast", "run", "--horizon", "7", "--no-ablate", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["series"], made["state"], made["origin"]) == (6, "done", f"{today}")
