"""`onhand policy`, as a user runs it."""

import json
from datetime import timedelta

import pytest
from tests.flows.conftest import MONDAY, Merchant

from onhand import cli
from onhand.base.actor import SYSTEM
from onhand.db import Database
from onhand.flows.policies import set_policy

GOOD = "rules:\n  - name: a\n"


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs a command line without a database; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONHAND_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    def run(*arguments):
        code = cli.run(["policy", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def onhand(run, monkeypatch, dsn):
    """The same on the test's database."""
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    return run


def test_lint_needs_no_database(run, tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(f"{GOOD}    when: order.chanel == 'x'\n")
    (tmp_path / "odd.yaml").write_text(f"{GOOD}weights: {{tax_duty: 2}}\n")
    assert run("lint", "good.yaml") == (0, "1 policy is fit for use\n", "")
    code, said, _ = run("lint", "good.yaml", "bad.yaml")
    assert code == 1
    assert "bad.yaml:3:17: error: rules[0].when: order has no 'chanel'; did you mean 'channel'?\n" in said
    code, said, _ = run("lint", "odd.yaml")
    assert (code, "odd.yaml:3:21: warning: weights.tax_duty" in said) == (0, True)
    assert run("lint", "--strict", "odd.yaml")[0] == 1


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_bad_usage(run, tmp_path, content):
    if content is not None:
        (tmp_path / "x.yaml").write_bytes(content)
    code, out, err = run("lint", "x.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: x.yaml: ")


def test_the_life_of_a_version(onhand, dsn):
    with Database.open(dsn) as db:
        set_policy(db, "standard", f"# mine\n{GOOD}", by=SYSTEM)
    assert onhand("trials")[1] == "standard has neither a shadow nor a canary\n"
    assert onhand("promote", "standard", "--to", "shadow")[1] == "standard@2 is shadow\n"
    assert onhand("promote", "standard", "--to", "canary", "--share", "0.1")[1] == (
        "standard@2 is canary for 10% of orders\n"
    )
    code, said, _ = onhand("trials")
    assert (code, [row.split()[:3] for row in said.splitlines()[-2:]]) == (
        0,
        [["standard@2", "canary", "0"], ["standard@1", "active", "0"]],
    )
    code, said, _ = onhand("list")
    assert (code, "2 (10% of orders)" in said) == (0, True)
    assert onhand("promote", "standard", "--to", "active")[1] == "standard@1 is retired\nstandard@2 is active\n"
    assert onhand("promote", "standard", "--to", "active", "--version", "2")[1] == "it is so already\n"
    code, said, _ = onhand("show", "standard")
    assert code == 0
    assert "# standard@2 canary for 10% of orders since" in said
    assert said.endswith(f"# mine\n{GOOD}")
    assert onhand("rollback", "standard", "--why", "late")[1] == "standard@2 is retired\nstandard@1 is active\n"
    assert "# standard@2 retired since" in onhand("show", "standard", "2")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("promote", "standard", "--to", "heaven"), 2, "heaven"),
        (("promote", "standard", "--to", "canary", "--share", "2"), 2, "share"),
        (("promote", "none", "--to", "active"), 1, "no policy 'none'"),
        (("rollback", "standard", "--why", "x"), 1, "no version was active before"),
        (("show", "none"), 1, "no policy 'none'"),
        (("show", "standard", "7"), 1, "standard@7"),
        (("rollback", "standard"), 2, "--why"),
    ],
)
def test_refusals_have_their_exit_codes(onhand, arguments, code, said):
    found, out, err = onhand(*arguments)
    assert (found, out) == (code, "")
    assert said in err


DAY = ("--from", "2026-03-02", "--to", "2026-03-09")


def test_a_simulation_is_told_written_and_printed(onhand, dsn, tmp_path):
    with Database.open(dsn) as db:
        _place_some_orders(db)
    (tmp_path / "fast.yaml").write_text("objective: speed\n")
    code, said, _ = onhand("simulate", "standard", *DAY, "--file", "fast.yaml", "--html", "r.html", "--pareto")
    assert code == 0
    assert said.startswith("standard@file against standard@1: 8 orders, 2026-03-02T00:00 to 2026-03-09T00:00\n")
    for word in ("Paid: shipping, handling, tax and duty", "95 % interval", "prices of time and carbon: 23 tried"):
        assert word in said
    assert (tmp_path / "r.html").read_text("utf-8").startswith("<!doctype html>")
    code, said, _ = onhand("simulate", "standard", *DAY, "--version", "1", "--sample", "5", "--json")
    report = json.loads(said)
    assert (code, report["period"]["orders"], report["period"]["is_shortened"]) == (0, 5, True)
    assert {d["difference"] for d in report["differences"]} == {0}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*DAY,), 1, "no draft"),
        ((*DAY, "--version", "1"), 1, "no orders were placed"),
        ((*DAY, "--version", "9"), 1, "standard@9"),
        (("--from", "yesterday", "--to", "2026-03-09", "--version", "1"), 2, "expected a day or a moment"),
        (("--from", "2026-03-09", "--to", "2026-03-02", "--version", "1"), 1, "after"),
        ((*DAY, "--version", "1", "--file", "x.yaml"), 2, "a version or a file"),
    ],
)
def test_what_cannot_be_simulated_is_said(onhand, arguments, code, said):
    answer, _, err = onhand("simulate", "standard", *arguments)
    assert (answer, said in err) == (code, True), err


def _place_some_orders(db):
    merchant = Merchant(db)
    try:
        merchant.stock("berlin", A=20)
        with db.connection() as conn:  # what is recorded here happened on the real clock
            conn.execute("UPDATE ledger_entry SET occurred_at = '2026-03-01T00:00:00Z'")
        for n in range(8):
            merchant.now = MONDAY + timedelta(hours=7 * n)
            merchant.place(("A", 1))
    finally:
        merchant.close()
