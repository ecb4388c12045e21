"""A third party that passes files: what it counts, what it is asked to ship, and what it shipped; on real folders."""

from datetime import UTC, datetime

import pytest
from tests.flows.channels import Storefront

from onhand.flows.accounts import Connectors
from onhand.flows.ship_elsewhere import Elsewhere

FEED = {
    "counts_folder": "counts", "shipments_folder": "shipments", "requests_folder": "requests", "sales_folder": "sales",
    "settle_s": 0, "node": "paris",
}  # fmt: skip


class Warehouse(Storefront):
    """`put` a file there, `written` are ours; `step` is what the worker does, once."""

    def __init__(self, merchant, folder, document, **settings):
        super().__init__(merchant, None, "file:///3pl", folder / "home", code="3pl", document=document, **settings)
        self.root = folder / "files"
        self.connectors = Connectors(folder / "home", files_root=self.root)

    def put(self, path, text):
        file = self.root / "3pl" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def written(self, folder):
        return [file.read_text() for file in sorted((self.root / "3pl" / folder).glob("*")) if file.is_file()]

    def step(self):
        self.merchant.rows("UPDATE channel_reading SET next_at = now() RETURNING 1")
        elsewhere = Elsewhere(self.merchant.state)
        self.do(elsewhere.ask)
        self.do(elsewhere.hear)
        self.do(self.ear.sales)
        self.do(self.ear.counts)
        self.hear(1)

    def parked(self):
        return [error for (error,) in self.merchant.rows("SELECT error FROM channel_message WHERE status = 'parked'")]

    def counted(self):
        return self.merchant.rows("SELECT quantity FROM ledger_entry WHERE kind = 'count' ORDER BY entry_id")


@pytest.fixture
def feed(merchant, tmp_path):
    made = Warehouse(merchant, tmp_path, {"currency": "EUR", "connector": "csv_feed", "nodes": ["paris"]}, **FEED)
    yield made
    made.close()


def test_what_they_count_is_what_is_there_once_for_each_file(feed, merchant):
    merchant.stock("paris", A=3)
    before = len(feed.counted())
    feed.put("counts/1.csv", "sku,quantity\nA,7\nB,2\nNOBODYS,4\n")
    feed.step()
    assert (merchant.position("A", "paris")[0], merchant.position("B", "paris")[0]) == (7, 2)
    feed.hear(1)
    assert ["NOBODYS" in error for error in feed.parked()] == [True]
    feed.step()
    assert len(feed.counted()) == before + 2
    feed.put("counts/2.csv", "sku,quantity\nA,7\n")
    feed.step()
    assert len(feed.counted()) == before + 3, "a count is a fact also when it is the same as the last one"


def test_counts_are_booked_once_though_we_die_behind_the_page(feed, merchant, monkeypatch):
    feed.put("counts/1.csv", "sku,quantity\nA,7\n")
    pull = type(feed.do(_connector)).pull_counts

    async def pull_and_die(self, connection, at, *, since):
        if at is not None:
            raise RuntimeError("killed")
        return await pull(self, connection, at, since=since)

    monkeypatch.setattr(type(feed.do(_connector)), "pull_counts", pull_and_die)
    with pytest.raises(RuntimeError, match="killed"):
        feed.do(feed.ear.counts)
    merchant.stock("paris", A=1)  # one more has come since: the count must not be booked again
    monkeypatch.undo()
    feed.step()
    assert merchant.position("A", "paris")[0] == 8
    assert feed.written("counts") == []


async def _connector(account):
    return account.connector


def test_sales_in_files_are_booked_and_a_bad_row_is_shown(feed, merchant):
    merchant.now = datetime.now(UTC)  # the clock of tills
    merchant.stock("paris", A=5)
    feed.put("sales/1.csv", "sku,quantity,at\nA,2,2026-11-27\nA,many,2026-11-27\n")
    feed.step()
    feed.hear()
    assert merchant.position("A", "paris")[0] == 3
    assert len(feed.parked()) == 1


def test_what_is_sourced_there_is_asked_for_by_a_file_and_shipped_by_one(feed, merchant):
    merchant.stock("paris", A=5)
    placed = merchant.place(("A", 2), to="paris", customer={"name": "Ada", "address": {"street": "1 Main"}})
    fulfilment_id = f"{placed['order_id']}-f1"
    feed.step()
    (request,) = feed.written("requests")
    header, row = (line.split(",") for line in request.splitlines())
    said = dict(zip(header, row, strict=True))
    assert (said["fulfilment_id"], said["sku"], said["quantity"], said["name"]) == (fulfilment_id, "A", "2", "Ada")
    assert [f.status for f in merchant.order(placed["order_id"]).fulfilments] == ["accepted"]
    (feed.root / "3pl" / "requests").joinpath(next((feed.root / "3pl" / "requests").iterdir()).name).unlink()
    feed.step()
    assert feed.written("requests") == [], "asked for once, also when they took the file away"
    feed.put("shipments/1.csv", f"fulfilment_id,at,tracking,carrier\n{fulfilment_id},2026-11-27,T1,UPS\n")
    feed.step()
    feed.step()
    assert merchant.rows("SELECT tracking FROM shipment") == [("T1",)]
    assert [f.status for f in merchant.order(placed["order_id"]).fulfilments] == ["shipped"]
    assert merchant.position("A", "paris")[0] == 3


def test_orders_in_files_are_told_once_so_they_are_not_compared(feed):
    assert feed.do(feed.ear.reconcile) is None


def test_a_folder_that_is_away_is_read_again_later(feed, merchant):
    feed.connectors = Connectors(feed.root.parent / "home")  # no folders of this machine
    assert feed.do(feed.ear.counts) == 0
    ((error,),) = merchant.rows("SELECT error FROM channel_reading WHERE kind = 'counts'")
    assert "ONHAND_FILES_ROOT" in error


EDI = {
    "partner": "warehouse", "our_id": "ONHAND", "their_id": "3PL", "settle_s": 0, "node": "paris", "place": "W1",
}  # fmt: skip


def test_a_warehouse_that_speaks_x12_is_asked_and_counts(merchant, tmp_path):
    box = Warehouse(merchant, tmp_path, {"currency": "EUR", "connector": "edi_x12"}, **EDI)
    merchant.stock("paris", A=5)
    address = {"street": "1 Main", "city": "Paris"}
    placed = merchant.place(("A", 2), to="paris", customer={"name": "Ada", "address": address})
    box.step()
    (order,) = box.written("out")
    assert "N1*WH**92*W1" in order, "they are told their own word for it"
    assert [f.status for f in merchant.order(placed["order_id"]).fulfilments] == ["accepted"]
    box.close()
