"""The programs of examples/, run as their first lines say."""

import csv
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


retail = load("replay_online_retail")

pytestmark = pytest.mark.xdist_group("examples")


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """What the examples read from their environment."""
    home = Path(tempfile.mkdtemp(prefix="onhand-examples-"))
    home.chmod(0o755)
    with retail.embedded(home) as (url, key):
        yield os.environ | {"ONHAND_URL": url, "ONHAND_KEY": key}
    shutil.rmtree(home, ignore_errors=True)


def example(name: str, environ: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_first_order_is_delivered(server: dict[str, str]) -> None:
    told = example("first_order.py", server)
    assert "on hand: 40\n" in told
    assert re.search(r"^order: sourced deliver by 20\d\d-", told, re.MULTILINE)
    steps = dict(re.findall(r"^(accept|pack|ship|deliver): (\w+)$", told, re.MULTILINE))
    assert steps == {"accept": "accepted", "pack": "packed", "ship": "shipped", "deliver": "delivered"}


def test_the_last_units_are_held_once(server: dict[str, str]) -> None:
    example("first_order.py", server)
    told = example("last_units.py", server)
    assert "held: 3, refused: 17 with stock.insufficient" in told
    assert "order: sourced" in told
    assert "allocated: 1 available: 2 oversold: 0" in told


def test_events_are_followed(server: dict[str, str]) -> None:
    example("first_order.py", server)
    command = [sys.executable, str(EXAMPLES / "follow_events.py"), "5"]
    with subprocess.Popen(command, env=server, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "listening\n"
        example("first_order.py", server)
        told = follower.stdout.read()
    assert follower.returncode == 0
    kinds = Counter(line.split()[1] for line in told.splitlines())
    assert kinds["order.sourced"] == 1 and kinds["fulfilment.accepted"] == 1, told
    assert sum(kinds.values()) == 5


# The replay -----------------------------------------------------------------------------------------

needs_data = pytest.mark.skipif(
    not (retail.DATA / retail.FILE).exists(),
    reason=f"NOT TESTED: the data set {retail.FILE} is not in {retail.DATA}",
)


def frame(*rows: tuple[str, str, int, int, float, int | None]) -> pl.DataFrame:
    """Rows of (invoice, code, quantity, minute, price, customer) as the file has them."""
    return pl.DataFrame(
        {
            "InvoiceNo": [r[0] for r in rows],
            "StockCode": [r[1] for r in rows],
            "Description": [f"ITEM {r[1]}" for r in rows],
            "Quantity": [r[2] for r in rows],
            "InvoiceDate": [datetime(2011, 1, 5, 9, r[3]) for r in rows],  # noqa: DTZ001 - the file has no zone
            "UnitPrice": [r[4] for r in rows],
            "CustomerID": [None if r[5] is None else float(r[5]) for r in rows],
            "Country": ["United Kingdom"] * len(rows),
        }
    )


def test_rows_become_orders_returns_and_rejects_with_reasons(tmp_path: Path) -> None:
    frame(
        ("100", "85123A", 6, 0, 2.55, 7),
        ("100", "85123a", 2, 0, 2.55, 7),
        ("100", "POST", 1, 0, 18.0, 7),
        ("101", "71053", -4, 1, 0.0, None),
        ("102", "71053", 3, 2, 0.0, None),
        ("103", "gift_0001_20", 1, 3, 20.0, 8),
        ("C104", "85123A", -5, 4, 2.55, 7),
        ("105", "M", 1, 5, 9.0, 8),
    ).write_parquet(tmp_path / "few.parquet")
    invoices, rejects, counts = retail.read(tmp_path / "few.parquet", None)
    assert counts == {"rows": 8, "orders": 5, "cancellations": 1}
    assert sum(len(i.lines) for i in invoices) + len(rejects) == counts["rows"], "no row is lost"
    assert [(i.number, i.comes_back, i.customer) for i in invoices] == [("100", False, 7), ("C104", True, 7)]
    # One item, however it was typed; each row keeps a line of its own.
    assert [(n.line_id, n.sku, n.quantity, n.price_minor) for n in invoices[0].lines] == [
        ("1", "85123A", 6, 255),
        ("2", "85123A", 2, 255),
    ]
    assert [n.quantity for n in invoices[1].lines] == [5]
    assert {r.row: r.reason for r in rejects} == {
        2: "no goods: postage",
        3: "no price: written off or corrected",
        4: "no price: found, sample or gift",
        5: "no goods: gift voucher",
        7: "no goods: manual correction",
    }


def test_a_limit_keeps_what_happened_until_its_last_order(tmp_path: Path) -> None:
    frame(
        ("100", "85123A", 6, 0, 2.55, 7),
        ("C101", "85123A", -1, 1, 2.55, 7),
        ("102", "85123A", 6, 2, 2.55, 7),
        ("C103", "85123A", -1, 3, 2.55, 7),
        ("104", "85123A", 6, 4, 2.55, 7),
    ).write_parquet(tmp_path / "few.parquet")
    invoices, _, counts = retail.read(tmp_path / "few.parquet", 2)
    assert [i.number for i in invoices] == ["100", "C101", "102", "C103"]
    assert counts["orders"] == 2


def test_what_happens_at_the_same_time_has_an_order() -> None:
    at = datetime(2011, 1, 5, 17, tzinfo=UTC)
    line = retail.Line(0, "1", "85123A", "Mug", 1, 100)
    order = retail.Invoice("1", at, 1, "United Kingdom", (line,), False)
    back = retail.Invoice("C2", at, 1, "United Kingdom", (line,), True)
    bought = retail.Purchase("PO-1", at, at, (("85123A", 1),))
    assert [what for what, _ in retail.timeline([order, back], [bought])] == [
        "arrival",
        "purchase",
        "van",
        "return",
        "order",
    ]


@pytest.mark.parametrize("name", list(retail.CLASSES))
def test_classes_have_their_shares(name: str) -> None:
    skus = [f"{n:05d}" for n in range(20_000)]
    share = retail.CLASSES[name][0]
    assert sum(retail.class_of(sku) == name for sku in skus) / len(skus) == pytest.approx(share, rel=0.25)
    assert sum(c[0] for c in retail.CLASSES.values()) == pytest.approx(1)


@pytest.fixture(scope="module")
def slice_home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="onhand-replay-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class BrokenOff(Exception):
    """Somebody pulled the plug."""


@needs_data
def test_a_replay_goes_on_where_it_broke_off_and_a_repeat_changes_nothing(slice_home: Path, capsys) -> None:
    invoices, _, _ = retail.read(retail.DATA / retail.FILE, 300)
    opening, purchases = retail.plan_stock(invoices)
    slice_home.chmod(0o755)
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if done > 150:
            raise BrokenOff

    with retail.embedded(slice_home) as (url, key):
        replay = retail.Replay(retail.Server(url, key), told)
        replay.set_up(invoices, opening)
        with pytest.raises(BrokenOff):
            replay.run(invoices, purchases)

    rejects = slice_home / "rejects.csv"
    arguments = ["--limit", "300", "--home", str(slice_home), "--rejects", str(rejects)]
    tables = []
    for _ in range(2):
        assert retail.main(arguments) == 0
        printed = capsys.readouterr().out
        assert "oversold: 0" in printed
        assert "agrees with the ledger" in printed
        tables.append({k: v for k, v, *_ in re.findall(r"│ +?(\S[^│]*?) +│ +([\d,.]+) +│", printed)})
        with rejects.open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == int(tables[-1]["rows rejected"].replace(",", ""))
        assert all(row["reason"] for row in rows)
    first, again = tables
    assert first["orders placed"] == "287" and first["orders"] == "300"
    assert int(first["fulfilments shipped"]) > 200
    assert int(first["cancellations made"]) > 0 and int(first["returns made"]) > 0
    timing = ("seconds", "orders/s", "lines/s")
    assert {k: v for k, v in again.items() if k not in timing} == {k: v for k, v in first.items() if k not in timing}


def test_orders_are_sourced_without_a_server() -> None:
    environ = dict(os.environ)
    told = example("source_warehouse_and_stores.py", environ)
    assert [line.split()[2] for line in told.splitlines()] == ["lyon", "warehouse", "warehouse"]
    told = example("source_across_borders.py", environ)
    assert told.splitlines() == [
        "2 SOCKS: from basel, shipping 500, tax and duty 0",
        "2 SHOES: from hamburg, shipping 950, tax and duty 0",
        "with basel only: shipping 500, tax and duty 4680",  # 17 % of 24000, and the fee
    ]
    told = example("source_same_day.py", environ)
    ways = [line.split()[4].rstrip(",") for line in told.splitlines()[:-1]]
    assert ways == ["parcel"] * 4 + ["today"] * 2 + ["parcel"] * 2
    assert told.splitlines()[-1] == "with a floor of 2000: below_floor, profit 1960"
    told = example("source_batch.py", environ).splitlines()
    alone, together = (float(line.split()[-1]) for line in told[:2])
    assert [line.split(": ")[1].split()[0] for line in told[:2]] == ["36", "36"]
    assert together < alone * 0.95
    assert float(told[2].split()[-1].rstrip("%")) <= 0.1
