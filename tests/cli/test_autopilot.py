"""`onhand autopilot`, as a user runs it."""

import pytest
from rich.console import Console

from onhand import cli


@pytest.fixture
def autopilot(capsys, monkeypatch, dsn):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    # As wide a terminal as the table needs, whenever the command's console was made.
    monkeypatch.setattr("onhand.cli.autopilot.out", Console(width=200, highlight=False))

    def run(*arguments):
        code = cli.run(["autopilot", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_domain_is_let_go_stopped_and_resumed(autopilot):
    code, said, _ = autopilot("set", "rebalance", "auto", "--currency", "EUR", "--money-per-hour", "50000")
    assert (code, said.strip()) == (0, "rebalance: auto; 500.00 EUR")
    code, said, _ = autopilot("set", "rebalance", "auto", "--units-per-hour", "300", "--reason", "quiet season")
    assert (code, said.strip()) == (0, "rebalance: auto; 500.00 EUR, 300 units"), "what is left out stays as it is"
    code, said, _ = autopilot("status")
    assert code == 0 and "stopped" not in said
    (row,) = [line for line in said.splitlines() if line.startswith("rebalance")]
    assert "auto" in row and "500.00 EUR, 300 units" in row and "quiet season" in row
    assert autopilot("stop", "--reason", "stocktaking")[0] == 0
    assert "stocktaking" in autopilot("status")[1].splitlines()[0]
    assert autopilot("resume")[0] == 0
    assert "stopped" not in autopilot("status")[1]
    assert autopilot("log")[1].split("\n")[:2] == ["done: nothing", "not done: nothing"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("set", "price", "auto"), 1, "auto needs a budget"),
        (("set", "price", "always"), 2, "expected off, recommend or auto"),
        (("set", "prices", "auto"), 2, "expected one of reroute"),
        (("set", "price", "auto", "--money-per-hour", "5"), 1, "currency: required"),
    ],
)
def test_what_cannot_be_is_refused(autopilot, arguments, code, told):
    found, said, error = autopilot(*arguments)
    assert found == code and told in " ".join((said + error).split())
