"""`onhand plan run`, as a user runs it."""

import json

import pytest
from tests.flows.conftest import Merchant

from onhand import cli


@pytest.fixture
def merchant(db):
    made = Merchant(db)
    yield made
    made.close()


@pytest.fixture
def plan(capsys, monkeypatch, dsn):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)

    def run(*arguments):
        code = cli.run(["plan", "run", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_it_says_what_it_would_save_and_saves_it(merchant, plan):
    merchant.now = merchant.rows("SELECT now()")[0][0]  # the command goes by the clock
    merchant.state.reload_network()
    merchant.stock("paris", A=1)
    placed = merchant.place(("A", 1), to="berlin")
    merchant.stock("berlin", A=1)
    code, said, error = plan("sourcing", "--dry-run", "--json")
    assert (code, error) == (0, "")
    expected = json.loads(said)
    assert expected["orders_moved"] == 1 and expected["saving_minor"] > 0
    assert merchant.order(placed["order_id"]).live[0].node == "paris"
    code, said, error = plan("sourcing")
    assert code == 0 and said.startswith("1 orders considered, 1 moved, "), error
    assert merchant.order(placed["order_id"]).live[0].node == "berlin"


def test_what_cannot_be_planned_is_refused(plan):
    assert plan("dinner")[0] == 2
