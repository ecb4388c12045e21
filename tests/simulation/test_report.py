"""The report says what was found, as JSON and as a page that needs nothing else."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.simulation.histories import history
from tests.simulation.test_compare import DEARER

from onhand.simulation.compare import compare
from onhand.simulation.page import page
from onhand.simulation.pareto import Prices, grid, sweep
from onhand.simulation.replay import Settings, replay
from onhand.simulation.report import document
from onhand.simulation.rules import PlainRules
from onhand.sourcing.policy import STANDARD

VOID = {"meta"}
DRAWN = {"line", "circle", "rect"}  # of SVG: these may close themselves


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    past = history(400, moves=80, rejection=0.02)
    settings = Settings()
    outcomes = [replay(past, PlainRules(p, past, label=f"<{p.version}>"), settings) for p in (STANDARD, DEARER)]
    prices = [Prices(day_minor=1, co2_minor_per_kg=0, name="margin & co"), *grid()[:3]]
    pareto = sweep(past, lambda _: PlainRules(STANDARD, past), settings, prices)
    return document(past, compare(past, *outcomes), pareto, name="standard", left_out=3)


class Reader(HTMLParser):
    """Checks that elements close in order; keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN, f"<{tag}/> is not closed in HTML"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_document_is_json_and_says_everything(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert set(report) == {
        "format", "policy", "baseline", "candidate", "period", "method", "differences", "pareto",
    }  # fmt: skip
    assert report["format"] == 1
    assert report["period"]["orders"] == 400
    assert report["period"]["orders_left_out"] == 3
    for key in ("baseline", "candidate"):
        assert sum(report[key]["nodes"].values()) == report[key]["units_served"]
    by = {d["metric"]: d for d in report["differences"]}
    assert by["days"]["low"] <= by["days"]["difference"] <= by["days"]["high"]
    assert by["paid_minor"]["better"] == "less"


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere(report: dict[str, Any]) -> None:
    reader = Reader()
    reader.feed(page(report))
    assert reader.open == []
    assert reader.links == []
    assert not re.search(r"<script|@import|url\(|https?:", page(report))
    said = " ".join(" ".join(reader.text).split())
    assert "<dearer@1> against <standard@1>" in said, "names are text, not markup"
    assert "400 orders placed from 2026-03-02 08:00" in said
    assert "3 left out" in said
    assert "margin & co" in said
    assert "prefers-color-scheme:dark" in said


def test_the_page_shows_what_the_document_says(report: dict[str, Any]) -> None:
    text = page(report)
    paid = next(d for d in report["differences"] if d["metric"] == "paid_minor")
    assert f"{paid['difference'] / 100:+,.2f}" in text
    assert f"{paid['low'] / 100:+,.2f} to {paid['high'] / 100:+,.2f}" in text
    assert text.count("<circle") > len(report["pareto"]["points"])
    assert text.count('stroke-dasharray="3 3"') == sum(
        p["dominated_by"] is not None for p in report["pareto"]["points"]
    )


def test_a_page_without_differences_and_without_a_sweep() -> None:
    past = history(3, stock=1)
    outcome = replay(past, PlainRules(STANDARD, past), Settings())
    same = document(past, compare(past, outcome, outcome))
    reader = Reader()
    reader.feed(page(same))
    assert reader.open == []
    assert "Nothing differs." in " ".join(reader.text)
    assert "What time and carbon cost" not in " ".join(reader.text)
