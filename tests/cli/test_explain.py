"""`onhand explain`, as a user runs it."""

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
def explain(capsys, monkeypatch, dsn):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        code = cli.run(["explain", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_an_order_is_explained_by_any_of_its_names(merchant, explain):
    merchant.stock("berlin", A=5)
    merchant.stock("paris", A=5, B=5)
    placed = merchant.place(("A", 2), external_id="1001")
    order_id = placed["order_id"]
    code, said, error = explain(order_id)
    assert (code, error) == (0, "")
    assert said.startswith(f"plan {order_id}-p1, policy standard@1, objective margin\n")
    assert "berlin ships all of it by standard" in said
    rows = {line.split()[0]: line.split() for line in said.splitlines() if line.split()[:1] and "standard" in line}
    cost = placed["fulfilments"][0]["cost"]
    assert rows["berlin"][1:3] == ["chosen", "standard"] and str(cost["shipping"]) in rows["berlin"]
    assert rows["paris"][1] == "standard"
    for name in ("web/1001", f"{order_id}-p1"):
        assert explain(name) == (code, said, error)


def test_json_is_the_answer_of_the_interface(merchant, explain):
    merchant.stock("berlin", A=5)
    placed = merchant.place(("A", 2))
    _, said, _ = explain(placed["order_id"], "--json")
    answer = json.loads(said)
    assert answer["plan_id"] == placed["plan_id"] and answer["decision"]["order_id"] == placed["order_id"]


@pytest.mark.parametrize(
    "name", ["nobody", "web/nobody", "019c0000-0000-7000-8000-000000000000", "019c0000-0000-7000-8000-000000000000-p1"]
)
def test_what_is_not_there_is_told_in_a_line(merchant, explain, name):
    code, said, error = explain(name)
    assert (code, said) == (1, "") and error.count("\n") == 1 and name in error
