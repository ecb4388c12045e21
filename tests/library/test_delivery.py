"""`onhand.delivery_model`: from data frames to data frames, with nothing of the future in it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import onhand
from onhand.errors import InvalidInput

ORIGIN = datetime(2026, 3, 1)  # noqa: DTZ001 - moments without a time zone are local


def shipments(count=700, seed=0):
    random = np.random.default_rng(seed)
    at = np.sort(random.uniform(-200, 20, count))
    latitude, longitude = random.uniform(47, 55, count), random.uniform(6, 15, count)
    weight, express = random.uniform(100, 5_000, count), random.random(count) < 0.3
    days = (1 + np.abs(latitude - 52) + weight / 2_000) * np.where(express, 0.5, 1.0)
    days *= np.exp(random.normal(0, 0.2, count))
    ordered = [ORIGIN + timedelta(days=float(day)) for day in at]
    return pl.DataFrame(
        {
            "shipment_id": [f"s{n}" for n in range(count)],
            "ordered_at": ordered,
            "promised_at": [moment + timedelta(days=4) for moment in ordered],
            "delivered_at": [moment + timedelta(days=float(day)) for moment, day in zip(ordered, days, strict=True)],
            "handed_over_at": [
                moment + timedelta(days=float(day) * 0.3) for moment, day in zip(ordered, days, strict=True)
            ],
            "origin_latitude": 52.5, "origin_longitude": 13.4, "destination_latitude": latitude,
            "destination_longitude": longitude, "weight_g": weight,
            "service": np.where(express, "express", "standard"), "fragile": random.random(count) < 0.5,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return shipments()


def ahead(table):
    return table.filter(pl.col("ordered_at") > ORIGIN).drop("delivered_at", "handed_over_at")


def made_of(history, table, **more):
    return onhand.delivery_model(history, as_of=ORIGIN, trees=False).predict(ahead(table), **more)


def test_a_frame_of_the_same_kind_comes_back_with_a_row_for_each_shipment(table):
    made = made_of(table, table)
    assert isinstance(made, pl.DataFrame)
    assert made.columns == ["shipment_id", "q0.05", "q0.1", "q0.25", "q0.5", "q0.75", "q0.9", "q0.95", "p_late"]
    assert made["shipment_id"].to_list() == ahead(table)["shipment_id"].to_list()
    quantiles = made.select(pl.selectors.starts_with("q")).to_numpy()
    assert (quantiles > 0).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert made["p_late"].is_between(0, 1).all()
    express = ahead(table)["service"] == "express"
    assert made.filter(express)["q0.5"].mean() < 0.7 * made.filter(~express)["q0.5"].mean()


def test_pandas_says_the_same_as_polars_and_moments_may_be_texts(table):
    history = pd.DataFrame({name: table[name].to_list() for name in table.columns})
    asked = pd.DataFrame({name: ahead(table)[name].to_list() for name in ahead(table).columns})
    made = onhand.delivery_model(history, as_of=ORIGIN, trees=False).predict(asked)
    assert isinstance(made, pd.DataFrame)
    expected = made_of(table, table)
    assert made["q0.5"].to_numpy() == pytest.approx(expected["q0.5"].to_numpy())
    texts = table.with_columns(pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"))
    again = onhand.delivery_model(texts, as_of=ORIGIN, trees=False).predict(
        texts.filter(table["ordered_at"] > ORIGIN).drop("delivered_at", "handed_over_at")
    )
    assert again["p_late"].to_numpy() == pytest.approx(expected["p_late"].to_numpy())


@pytest.mark.parametrize("trees", [False, True])
def test_what_comes_after_the_origin_changes_nothing(table, trees):
    if trees:
        pytest.importorskip("lightgbm")
    later = pl.col("delivered_at") > ORIGIN
    slower = pl.when(later).then(pl.col("delivered_at") + timedelta(days=40)).otherwise("delivered_at")
    more = shipments(50, seed=9).with_columns(
        shipment_id="x" + pl.col("shipment_id"), ordered_at=pl.lit(ORIGIN + timedelta(days=1)),
        delivered_at=pl.lit(ORIGIN + timedelta(days=90)),
    )  # fmt: skip
    other = pl.concat([table.with_columns(delivered_at=slower), more.select(table.columns)])
    hidden = table.filter(pl.col("ordered_at") <= ORIGIN).with_columns(
        delivered_at=pl.when(~later).then("delivered_at"),
        handed_over_at=pl.when(pl.col("handed_over_at") <= ORIGIN).then("handed_over_at"),
    )

    def made(history):
        model = onhand.delivery_model(history, as_of=ORIGIN, trees=trees)
        asked = ahead(table)
        return pl.concat([model.predict(asked), model.predict(asked.with_columns(handed_over_at="ordered_at"))])

    known = made(table)
    assert known.equals(made(other))
    if trees:
        return
    assert known.equals(made(hidden))
    days = pl.col("delivered_at") - pl.col("ordered_at")
    quicker = pl.when(~later).then(pl.col("ordered_at") + days * 0.7).otherwise("delivered_at")
    assert made(table.with_columns(delivered_at=quicker))["q0.5"].mean() < 0.9 * known["q0.5"].mean()


def test_scans_and_days_gone_by_move_what_is_left(table):
    model = onhand.delivery_model(table, as_of=ORIGIN, trees=False)
    asked = ahead(table)
    scanned = model.predict(asked.with_columns(scanned_at=pl.col("ordered_at") + timedelta(days=3)))
    assert (scanned["q0.05"] >= 3).all()
    same = model.predict(asked.head(1), as_of=asked["ordered_at"][0] + timedelta(days=3))
    assert same["q0.9"][0] == pytest.approx(scanned["q0.9"][0])
    handed = model.predict(asked.with_columns(handed_over_at=pl.col("ordered_at") + timedelta(days=2)))
    assert (handed["q0.05"] > 2).all()
    assert (handed["q0.5"] > model.predict(asked)["q0.5"]).mean() > 0.9


def test_features_that_are_missing_or_new_are_not_known(table):
    model = onhand.delivery_model(table, as_of=ORIGIN, trees=False)
    asked = ahead(table).head(5)
    made = model.predict(asked.drop("service", "weight_g").with_columns(pl.lit("x").alias("colour")))
    assert made["q0.5"].is_not_null().all()
    unknown = model.predict(asked.with_columns(service=pl.lit("drone"), destination_latitude=pl.lit(None, pl.Float64)))
    assert unknown["q0.5"].is_finite().all()


@pytest.mark.parametrize(
    ("change", "path", "told"),
    [
        (lambda t: t.drop("promised_at"), "history.promised_at", "missing"),
        (lambda t: t.drop("delivered_at"), "history.delivered_at", "missing"),
        (lambda t: t.with_columns(ordered_at=pl.lit(None, pl.Datetime)), "history.ordered_at", "without gaps"),
        (lambda t: t.with_columns(promised_at=pl.lit("soon")), "history.promised_at", "2026-03-01"),
        (lambda t: t.with_columns(shipment_id=pl.lit("a")), "history.shipment_id", "there twice"),
        (lambda t: t.with_columns(origin_latitude=pl.lit(152.0)), "history.origin_latitude", "from -90 to 90"),
        (lambda t: t.with_columns(origin_latitude=pl.lit("x")), "history.origin_latitude", "numbers"),
        (lambda t: t.with_columns(paid_at=pl.col("ordered_at")), "history.paid_at", "days from ordered_at"),
        (
            lambda t: t.with_columns(delivered_at=pl.col("ordered_at") - timedelta(days=1)),
            "history.delivered_at", "correct it or leave the row out",
        ),
        (lambda t: t.with_columns(pl.col("ordered_at").dt.replace_time_zone("UTC")), "history.promised_at", "zone"),
        (lambda t: t.head(20), "history", "expected 30 delivered"),
        (lambda t: t.clear(), "history", "expected 30 delivered"),
    ],
)  # fmt: skip
def test_bad_input_names_the_field_and_the_remedy(table, change, path, told):
    with pytest.raises(InvalidInput) as caught:
        onhand.delivery_model(change(table))
    (error, *_) = caught.value.errors
    assert error.path == path
    assert told in error.message


def test_what_is_asked_is_checked_too(table):
    model = onhand.delivery_model(table, as_of=ORIGIN.replace(tzinfo=UTC), trees=False)
    asked = ahead(table)
    for change, path in (
        (asked.with_columns(weight_g=pl.lit("heavy")), "shipments.weight_g"),
        (asked.with_columns(service=pl.lit(3)), "shipments.service"),
        (asked.drop("ordered_at"), "shipments.ordered_at"),
    ):
        with pytest.raises(InvalidInput) as caught:
            model.predict(change)
        assert caught.value.errors[0].path == path
    with pytest.raises(InvalidInput, match="quantiles"):
        model.predict(asked, quantiles=[1.5])


def test_the_examples_of_the_page_predict_what_is_on_its_way(capsys):
    page = Path(__file__).parents[2] / "docs/how-to/predict-deliveries.md"
    programs = [block.partition("```")[0] for block in page.read_text("utf-8").split("```python\n")[1:]]
    assert len(programs) == 2
    names: dict[str, Any] = {}
    for program in programs:
        exec(program, names)
        on_their_way = names["history"]["delivered_at"].null_count()
        assert on_their_way > 0
        assert f"shape: ({on_their_way}, 9)" in capsys.readouterr().out


def weathered(count=900, seed=4):
    """(shipments, signals): where it rains on the day of the order, deliveries take twice as long."""
    random = np.random.default_rng(seed)
    table = shipments(count, seed).with_columns(origin_region=pl.lit("DE-BE"), destination_region=pl.lit("DE-HH"))
    first = (ORIGIN - timedelta(days=230)).date()
    wet = random.random(300) < 0.4
    days = [first + timedelta(days=n) for n in range(300)]
    on = {day: bool(of) for day, of in zip(days, wet, strict=True)}
    factor = [2.0 if on[moment.date()] else 1.0 for moment in table["ordered_at"]]
    took = (pl.col("delivered_at") - pl.col("ordered_at")) * pl.Series(factor)
    # Promised for the same day: the rain of the order's day is all that is heard.
    table = table.with_columns(
        delivered_at=pl.col("ordered_at") + took, promised_at=pl.col("ordered_at") + timedelta(hours=20)
    )
    return table, pl.DataFrame({"name": "rain", "at": days, "value": wet.astype(float), "known_ahead": True})


def test_signals_of_the_place_and_the_days_are_heard():
    pytest.importorskip("lightgbm")
    table, signals = weathered()
    there = signals.with_columns(region=pl.lit("DE-HH"))
    elsewhere = signals.with_columns(region=pl.lit("DE-BY"))
    after = ahead(table)
    truth = ((table["delivered_at"] - table["ordered_at"]).dt.total_seconds() / 86_400).to_numpy()
    truth = truth[(table["ordered_at"] > ORIGIN).to_numpy()]

    def lost(signals):
        made = onhand.delivery_model(table, as_of=ORIGIN, signals=signals).predict(after)
        return np.abs(made["q0.5"].to_numpy() - truth).mean()

    deaf = lost(None)
    assert lost(there) < 0.75 * deaf and lost(signals) < 0.75 * deaf
    assert lost(elsewhere) == pytest.approx(deaf, rel=0.05)


def test_signals_have_no_future_in_them():
    """What is known of the past only is heard until the day before the order; what is known ahead until the promise."""
    pytest.importorskip("lightgbm")
    table, signals = weathered()
    after = ahead(table)
    day = after["ordered_at"].min().date()

    soonest = after.filter(pl.col("ordered_at").dt.date() == day)
    for is_ahead, from_day in ((False, day), (True, day + timedelta(days=2))):
        told = signals.with_columns(known_ahead=pl.lit(is_ahead))
        changed = told.with_columns(pl.when(pl.col("at") >= from_day).then(99.0).otherwise("value").alias("value"))
        models = [onhand.delivery_model(table, as_of=ORIGIN, signals=of) for of in (told, changed)]
        first, second = (model.predict(soonest)["q0.5"].to_list() for model in models)
        assert first == second
        before = told.with_columns(value=1.0 - pl.col("value"))
        assert models[0].predict(soonest, signals=before)["q0.5"].to_list() != first, "what came before is heard"


def test_newer_signals_are_told_when_it_predicts():
    pytest.importorskip("lightgbm")
    table, signals = weathered()
    model = onhand.delivery_model(table, as_of=ORIGIN, signals=signals)
    wet, dry = (signals.with_columns(value=pl.lit(value)) for value in (1.0, 0.0))
    slow, quick = (model.predict(ahead(table), signals=signals)["q0.5"] for signals in (wet, dry))
    assert (slow > quick).mean() > 0.9
    with pytest.raises(InvalidInput, match="without any"):
        onhand.delivery_model(table, as_of=ORIGIN, trees=False).predict(ahead(table), signals=signals)


@pytest.mark.parametrize(
    ("signals", "told"),
    [
        ({"name": ["rain"], "value": [1.0]}, "signals.at"),
        ({"name": ["rain"], "at": ["2026-01-01"], "value": [None]}, "signals.value"),
        ({"name": ["rain"] * 2, "at": ["2026-01-01", "2026-01-02"], "value": [1.0, 2.0], "known_ahead": [True, False]},
         "signals.known_ahead"),
    ],
)  # fmt: skip
def test_signals_that_say_too_little_are_told(signals, told):
    with pytest.raises(InvalidInput) as error:
        onhand.delivery_model(shipments(50), as_of=ORIGIN, trees=False, signals=pl.DataFrame(signals, strict=False))
    assert [e.path for e in error.value.errors] == [told]
