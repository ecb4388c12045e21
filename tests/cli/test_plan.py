"""`onhand plan`, as a user runs it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.flows.conftest import Merchant

from onhand import cli
from onhand.base.actor import SYSTEM
from onhand.flows.demand.sales import import_sales
from onhand.flows.set_up import set_lanes, set_supply


@pytest.fixture
def merchant(db):
    made = Merchant(db)
    yield made
    made.close()


@pytest.fixture
def plan(capsys, monkeypatch, dsn):
    monkeypatch.setenv("ONHAND_DATABASE_URL", dsn)

    def run(*arguments, command=True):
        code = cli.run(["plan", *(["run"] if command else []), *arguments])
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


@pytest.fixture
def stock(merchant):
    """Berlin sells what lies in Paris, and buys it."""
    today = datetime.now(UTC).date()
    with merchant.db.connection() as conn:
        conn.execute("UPDATE item SET unit_cost_minor = 400, price_minor = 1000, currency = 'EUR' WHERE item_id < 7")
    sales = [
        {"sku": "A", "node": "berlin", "day": (today - timedelta(days=n)).isoformat(), "quantity": 3 + n % 3}
        for n in range(1, 57)
    ]
    import_sales(merchant.db, sales, by=SYSTEM)
    merchant.stock("paris", A=70)
    set_lanes(merchant.db, [{"from": "paris", "to": "berlin", "days": 1, "unit_cost_minor": 20}], by=SYSTEM)
    set_supply(merchant.db, [{"sku": "A", "node": "berlin", "supplier": "Nord", "lead_days": [3, 5]}], by=SYSTEM)
    return merchant


def test_stock_is_planned_listed_approved_and_dismissed(stock, plan):
    code, said, error = plan("rebalance", "--sku", "A", "--dry-run")
    assert (code, error) == (0, "") and "nothing was kept" in said
    assert plan("list", command=False)[1] == "no proposals\n"
    code, said, error = plan("rebalance")
    assert (code, error) == (0, "")
    first, heading, row = said.splitlines()
    assert first.startswith("rebalance by ") and "items 6" in first and "proposals 1, older ones superseded 0" in first
    assert heading.split()[:4] == ["id", "do", "sku", "where"]
    cells = row.split()
    assert cells[1:6] == ["transfer", "A", "paris", ">", "berlin"] and cells[-1] == "proposed"
    plan("replenish", "--service-level", "0.9", "--budget", "20000")
    listed = plan("list", "--node", "berlin", command=False)[1].splitlines()
    assert [line.split()[1] for line in listed[1:]] == ["purchase", "transfer"]
    code, said, error = plan("approve", cells[0], command=False)
    assert code == 0 and said.startswith("approved: Move ") and "receipts name TRANSFER-" in said, error
    assert stock.position("A", "paris")[0] == 70 - int(cells[6])
    code, said, error = plan("undo", cells[0], "--reason", "two stores closed", command=False)
    assert code == 0 and said.startswith("taken back: Move "), error
    assert stock.position("A", "paris")[0] == 70
    (kept,) = json.loads(plan("list", "--status", "dismissed", "--json", command=False)[1])
    assert (kept["reason"], kept["undone"]) == ("two stores closed", True)
    code, said, _ = plan("dismiss", listed[1].split()[0], "--reason", "later", command=False)
    assert code == 0 and said.startswith("dismissed: Order ")
    told = json.loads(plan("list", "--status", "dismissed", "--json", command=False)[1])
    assert ("later", "purchase") in {(kept["reason"], kept["kind"]) for kept in told}


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("run", "rebalance", "--node", "atlantis"), 1, "no active node 'atlantis'"),
        (("run", "replenish", "--service-level", "95"), 2, "such as 0.95"),
        (("list", "--status", "lost"), 2, "superseded"),
        (("approve", "zz"), 1, "four digits"),
        (("dismiss", "0123456789"), 1, "no proposal"),
        (("undo", "0123456789"), 1, "no proposal"),
    ],
)
def test_what_is_wrong_is_told(merchant, plan, arguments, code, why):
    assert merchant
    found, _, error = plan(*arguments, command=False)
    assert found == code and why in error
