"""Policies compared in the town: the same chance for all, and pictures of what differs."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from onhand.cli import build
from onhand.errors import InvalidInput
from onhand.simulation import plot
from onhand.simulation.page import page
from onhand.twin.document import orders_of
from onhand.twin.policies import BEGINS, Contender, compare_policies, contender
from onhand.twin.world import build as build_world

FAST = """\
description: As fast as can be, from anywhere but suppliers where that will do.
objective: hurried
objectives:
  hurried: {day_minor: 400, target_days: 2, late_minor: 1500}
rules:
  - name: Goods that cost something
    when: order.channel != "app" && order.items.exists(i, i.price_minor > 0)
    nodes: node.type != "supplier"
  - name: The rest
fallback: {on_no_plan: backorder}
"""
SMALL: dict[str, Any] = {"days": 8, "orders_per_day": 100}


@pytest.fixture(scope="module")
def reports() -> list[dict[str, Any]]:
    names = ("margin", "speed", "sustainability")
    return compare_policies([Contender(name=name) for name in names], **SMALL)


def of(report: dict[str, Any], metric: str) -> dict[str, Any]:
    return next(d for d in report["differences"] if d["metric"] == metric)


def test_policies_differ_as_they_are_meant_to(reports: list[dict[str, Any]]) -> None:
    speed, green = reports
    assert (speed["baseline"]["version"], speed["candidate"]["version"]) == ("margin", "speed")
    assert 700 < speed["period"]["orders"] < 900
    assert of(speed, "days")["verdict"] == "better" and of(speed, "paid_alike_minor")["verdict"] == "worse"
    assert of(green, "co2_g")["verdict"] == "better"
    assert of(speed, "filled")["baseline"] > 0.85


def test_all_that_is_chance_is_the_same_for_all(reports: list[dict[str, Any]]) -> None:
    speed, green = reports
    for metric in ("paid_minor", "split", "co2_g", "filled", "unserved", "rejected_lines"):
        assert of(speed, metric)["baseline"] == of(green, metric)["baseline"]
    again = compare_policies([Contender(name="margin"), Contender(name="speed")], **SMALL)
    assert again == [speed]
    other = compare_policies([Contender(name="margin"), Contender(name="speed")], **SMALL, seed=2)
    assert other != again


def test_a_policy_under_another_name_differs_by_nothing() -> None:
    # `standard` has `margin` for its default objective.
    (report,) = compare_policies([Contender(name="standard"), Contender(name="margin")], **SMALL)
    assert {d["difference"] for d in report["differences"]} <= {0.0, None}


def test_two_different_policies_are_asked_for() -> None:
    for names in ((), ("margin",), ("margin", "margin")):
        with pytest.raises(InvalidInput, match="two or more different policies"):
            compare_policies([Contender(name=name) for name in names])
    with pytest.raises(InvalidInput, match="expected one of standard, margin"):
        contender("marign")


def test_orders_until_a_moment_come_as_often_as_is_asked() -> None:
    world = build_world(1)
    some = orders_of(world, None, begins=BEGINS, until_s=2 * 86_400, orders_per_day=300)
    assert 500 < len(some) < 700
    assert datetime.fromisoformat(some[-1]["placed_at"]) < BEGINS + timedelta(days=2)
    with pytest.raises(ValueError, match="expected a count or a moment"):
        orders_of(world, None, begins=BEGINS)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(build(), ["twin", "run", *arguments], catch_exceptions=True)


def test_a_file_is_linted_replayed_by_its_rules_and_reported(tmp_path: Path) -> None:
    file, html = tmp_path / "mine.yaml", tmp_path / "out.html"
    file.write_text(FAST)
    small = ("--days", "4", "--orders-per-day", "100", "--policy", "margin", "--policy", str(file))
    done = run(*small, "--html", str(html), "--json")
    assert done.exit_code == 0, done.output
    (report,) = json.loads(done.stdout.splitlines()[-1])
    assert report["candidate"]["version"] == "mine"
    assert of(report, "days")["difference"] < 0
    text = html.read_text()
    assert "mine against margin" in text and "<table>" in text and "<svg" in text
    assert "http://" not in text and "https://" not in text and "<script" not in text
    file.write_text(FAST.replace("objective: hurried", "objective: hurryed"))
    refused = run(*small)
    assert refused.exit_code == 1
    assert f"{file}:" in refused.output and "hurryed" in refused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --scenario, or --policy twice or more"),
        (("--scenario", "viral_item", "--policy", "margin"), "give --scenario, or --policy twice or more"),
        (("--scenario", "viral_item", "--html", "a.html"), "go with --policy"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...], said: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 2 and said in " ".join(refused.output.replace("│", " ").split())


def test_a_page_of_several_reports_has_them_all(reports: list[dict[str, Any]]) -> None:
    text = page(*reports)
    assert text.count("<h1>") == 2 and text.count("How to read this") == 1
    assert "speed against margin" in text and "sustainability against margin" in text


def test_a_picture_is_of_a_kind_that_is_known_and_says_what_is_missing(
    reports: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match=r"ends with \.png, \.svg, \.pdf, got 'a\.bmp'"):
        plot.check(tmp_path / "a.bmp")
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "matplotlib", None)
        with pytest.raises(InvalidInput, match=r"pip install 'onhand\[plots\]'"):
            plot.plot(reports, tmp_path / "a.png")


def test_a_picture_is_written(reports: list[dict[str, Any]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="PICTURES ARE NOT TESTED: no matplotlib, the extra `plots`")
    plot.plot(reports, tmp_path / "a.png")
    plot.plot(reports, tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert (tmp_path / "a.svg").read_text().count('id="axes_') == 2
