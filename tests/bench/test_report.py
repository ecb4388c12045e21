"""What a figure is held against, and when it is enough."""

import json

import pytest
from rich.console import Console

from onhand.bench.report import (
    Measure,
    at_least,
    at_most,
    exactly,
    machine,
    relative,
    to_json,
    to_table,
)


@pytest.mark.parametrize(
    ("measure", "ratio", "ok"),
    [
        (relative("x", 40, "1/s", 100, floor=0.35, against="raw"), 0.4, True),
        (relative("x", 34, "1/s", 100, floor=0.35, against="raw"), 0.34, False),
        (at_least("x", 30_000, "1/s", 25_000), 1.2, True),
        (at_least("x", 20_000, "1/s", 25_000), 0.8, False),
        (at_most("x", 30, "ms", 60), 2.0, True),
        (at_most("x", 120, "ms", 60), 0.5, False),
        (at_most("x", 120, "ms", 60, floor=0), 0.5, True),
        (exactly("x", 2_000, "units", 2_000), 1.0, True),
        (exactly("x", 2_001, "units", 2_000), 1.0005, False),
        (exactly("x", 1_999, "units", 2_000), 0.9995, False),
        (exactly("x", 0, "", 0), 1.0, True),
        (exactly("x", 1, "", 0), 0.0, False),
    ],
)
def test_a_measure_is_ok_when_its_ratio_reaches_the_floor(measure: Measure, ratio: float, ok: bool) -> None:
    assert measure.ratio == pytest.approx(ratio)
    assert measure.ok is ok


def test_the_json_has_the_promised_names(server_url: str) -> None:
    document = json.loads(to_json(machine(server_url), [at_most("p99", 12.5, "ms", 60)]))
    assert set(document) == {"machine", "measures"}
    (measure,) = document["measures"]
    promised = {"name", "value", "unit", "reference", "ratio", "floor", "ok"}
    assert promised <= set(measure)
    assert measure["ok"] is True
    assert document["machine"]["postgres"]["synchronous_commit"] == "on"


def test_the_table_shows_what_was_missed(server_url: str) -> None:
    console = Console(width=200)
    with console.capture() as shown:
        console.print(
            to_table(
                machine(server_url),
                [
                    relative("orders", 100, "orders/s", 1_000, floor=0.35, against="pgbench"),
                    at_most("generator", 7, "us", 25, floor=0),
                ],
            )
        )
    lines = shown.get().splitlines()
    (orders,) = [line for line in lines if "orders/s" in line]
    assert "missed" in orders
    assert "0.10" in orders
    (generator,) = [line for line in lines if "generator" in line and "7 us" in line]
    assert "ok" not in generator
    assert "missed" not in generator
