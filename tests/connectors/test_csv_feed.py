"""Files of rows: taken once, whole, in any of the ways they are written; nothing lost, nothing taken twice."""

import asyncio
import csv
import io
import os
import random
import tracemalloc
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onhand.connectors import Refused, Unavailable, find, names
from onhand.connectors._sdk.inbox import Position
from onhand.connectors._sdk.values import Address, Fate, Fulfilment, FulfilmentLine, Sale, Write
from onhand.connectors.csv_feed.program import CsvFeed
from onhand.connectors.csv_feed.reading import Splitter
from onhand.connectors.csv_feed.rows import Format, Unreadable, minor, moment, number, row_written, units
from onhand.connectors.shared import SharedNotes
from onhand.wire import Doors, Guard

from ..wire.sftp_server import sftp_server  # noqa: TID252
from .filing import Clock, Place, rejects

SALES = "sku,quantity,at\nMUG,2,2026-11-27T08:00:00+00:00\nCUP,-1,2026-11-27T08:05:00\n"
ORDERS = """order_id,sku,quantity,price,at,currency,name,country,postal_code
A1,MUG,2,19.99,2026-11-27 08:00,EUR,Ada,de,10115
A1,CUP,1,5,2026-11-27 08:00,EUR,Ada,de,10115
A2,MUG,1,19.99,2026-11-27 09:00,EUR,Bob,fr,75001
"""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def place(tmp_path, clock):
    def make(rows=1_000, **settings):
        settings = {"settle_s": 0, "sales_folder": "sales", "orders_folder": "orders", **settings}
        settings = {name: said for name, said in settings.items() if said is not None}
        return Place(tmp_path, CsvFeed(now=clock, rows=rows), settings)

    return make


def test_it_is_a_connector_by_its_name():
    found = find("csv_feed").connector
    assert isinstance(found, CsvFeed)
    assert "sales.pull" in found.capabilities
    assert {"csv_feed", "edi_x12", "shopify"} <= set(names())
    assert not any(name.startswith("_") for name in names()), "rooms that are no connectors"


def test_a_file_is_taken_and_then_it_is_done_with(place):
    box = place()
    box.put("sales/monday.csv", SALES)
    first, last = box.pages("sales")
    mug, cup = first.records
    assert (mug.external_sku, mug.quantity, mug.at) == ("MUG", 2, datetime(2026, 11, 27, 8, tzinfo=UTC))
    assert (cup.external_sku, cup.quantity) == ("CUP", -1)
    assert mug.external_id != cup.external_id
    assert (list(last.records), last.next) == ([], None)
    assert box.files() == ["done/sales/monday.csv"]
    assert box.records("sales") == []


def test_until_it_was_stored_a_file_stays_and_says_the_same_again(place):
    box = place()
    box.put("sales/monday.csv", SALES)
    once = box.page("sales")
    assert box.files() == ["sales/monday.csv"]
    again = box.page("sales")
    assert again == once, "the same records by the same names"


def test_the_same_file_sent_again_is_taken_once_and_another_of_its_name_too(place):
    box = place()
    for _ in range(2):
        box.put("sales/monday.csv", SALES)
        found = box.records("sales")
    assert found == []
    box.put("sales/monday.csv", SALES.replace("MUG", "HAT"))
    assert [sale.external_sku for sale in box.records("sales")] == ["HAT", "CUP"]
    assert len(box.files("done/sales")) == 3, "and none of them is lost"


def test_a_half_written_file_is_left_until_it_stays_as_it_is(place, clock):
    box = place(settle_s=30)
    box.put("sales/a.csv", SALES[:40])
    assert box.records("sales") == []
    clock.pass_s(29)
    assert box.records("sales") == []
    box.put("sales/a.csv", SALES)  # it grows
    clock.pass_s(29)
    assert box.records("sales") == []
    clock.pass_s(29)
    assert box.records("sales") == []
    clock.pass_s(1)
    assert len(box.records("sales")) == 2


def test_counts_are_facts_also_when_they_repeat(place):
    box = place(counts_folder="counts")
    for _ in range(2):
        box.put("counts/now.csv", "sku,quantity,place,at\nMUG,7,Berlin,2026-11-27\n")
        (level,) = box.records("counts")
        assert (level.external_sku, level.quantity, level.place, level.counted_at) == (
            "MUG", 7, "Berlin", datetime(2026, 11, 27, tzinfo=UTC),
        )  # fmt: skip


def test_orders_are_rows_that_stand_together(place):
    box = place()
    box.put("orders/o.csv", ORDERS)
    one, two = box.records("orders")
    assert (one.external_id, one.status, one.currency, one.name) == ("A1", "open", "EUR", "Ada")
    assert [(line.line_id, line.sku, line.quantity, line.price_minor) for line in one.lines] == [
        ("1", "MUG", 2, 1999), ("2", "CUP", 1, 500),
    ]  # fmt: skip
    assert (one.destination.country, one.destination.postal_code) == ("DE", "10115")
    assert (two.external_id, len(two.lines)) == ("A2", 1)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_no_order_is_divided_at_the_border_of_a_page(place, rows):
    box = place(rows=rows)
    box.put("orders/o.csv", ORDERS)
    pages = box.pages("orders")
    assert [(o.external_id, len(o.lines)) for page in pages for o in page.records] == [("A1", 2), ("A2", 1)]
    assert len(pages) == {1: 3, 2: 3, 3: 2, 4: 2}[rows]


def test_orders_whose_rows_stand_apart_are_put_aside_whole(place):
    box = place()
    box.put("orders/a.csv", ORDERS + "A1,HAT,1,3,2026-11-27,EUR,Ada,de,10115\n")
    box.put("orders/b.csv", ORDERS)
    pages = box.pages("orders")
    assert "sort the file by order" in rejects(pages)[0].why
    assert [o.external_id for page in pages for o in page.records] == ["A1", "A2"], "the next file is taken"
    assert box.files("rejects/orders") == ["a.csv", "a.csv.why.txt"]
    assert "row 4" in (box.box / "rejects/orders/a.csv.why.txt").read_text()


def test_a_bad_row_goes_to_rejects_with_its_reason_and_stops_no_other(place):
    box = place()
    bad = ["sku,quantity,at", "MUG,2,2026-11-27", "MUG,two,2026-11-27", ",1,2026-11-27", "CUP,1,yesterday",
           "CUP,1,2026-11-27,what", '"CUP,1,2026-11-27', "HAT,1.5,2026-11-27", "HAT,1,2026-11-27"]  # fmt: skip
    box.put("sales/s.csv", "\n".join(bad) + "\n")
    pages = box.pages("sales")
    assert [sale.external_sku for page in pages for sale in page.records] == ["MUG", "HAT"]
    assert [reject.why.split(":")[0].split(",")[0] for reject in rejects(pages)] == [
        "expected a number", "sku is empty", "expected a moment (iso)",
        "it has 4 cells where the header has 3", "a quotation has no end", "expected a whole number of units",
    ]  # fmt: skip
    (name,) = box.files("rejects/sales")
    rows = list(csv.reader(io.StringIO((box.box / "rejects/sales" / name).read_text())))
    assert rows[0] == ["row", "reason", "sku", "quantity", "at"]
    assert [row[0] for row in rows[1:]] == ["2", "3", "4", "5", "6", "7"]
    assert rows[1][2:] == ["MUG", "two", "2026-11-27"]
    assert box.files("done/sales") == ["s.csv"]


def test_an_order_with_a_row_that_cannot_be_read_is_refused_whole(place):
    box = place()
    box.put("orders/o.csv", ORDERS.replace("A1,CUP,1", "A1,CUP,x"))
    pages = box.pages("orders")
    assert [o.external_id for page in pages for o in page.records] == ["A2"]
    (reject,) = rejects(pages)
    assert reject.external_id == "A1"
    assert "MUG" in reject.record


def test_an_order_with_a_letter_that_cannot_be_read_is_refused_whole(place):
    box = place()
    text = ORDERS.encode().replace(b"A1,CUP,1,5,2026-11-27 08:00,EUR,Ada", b"A1,CUP,1,5,2026-11-27 08:00,EUR,Ad\xe4")
    box.put("orders/o.csv", text)
    pages = box.pages("orders")
    assert [o.external_id for page in pages for o in page.records] == ["A2"]
    assert "utf-8" in rejects(pages)[0].why


def test_columns_numbers_and_days_as_a_german_till_writes_them(place):
    box = place(
        delimiter="semicolon", encoding="windows-1252", decimal="comma", dates="day_month_year",
        time_zone="Europe/Berlin", currency="EUR",
        orders_columns={"order_id": "Bon", "sku": "Artikel", "quantity": "Menge", "at": "Datum", "price": "Preis",
                        "status": "Stück"}, statuses={"offen": "open", "storniert": "cancelled"},
    )  # fmt: skip
    text = (
        "Bon;Artikel;Menge;Datum;Preis;Stück\r\n"
        "7;Täss;1.000,0;27.11.2026 09:30;1.234,50;offen\r\n"
        "8;A;1;1.7.26;0,5;weg\r\n"
    )
    box.put("orders/o.csv", text.encode("cp1252"))
    one, two = box.records("orders")
    assert (one.lines[0].sku, one.lines[0].quantity, one.lines[0].price_minor) == ("Täss", 1000, 123450)
    assert one.placed_at == datetime(2026, 11, 27, 8, 30, tzinfo=UTC)
    assert (one.status, two.status, two.status_word) == ("open", "unknown", "weg")
    assert two.placed_at == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_files_without_a_header_are_read_by_numbers(place):
    box = place(has_header=False, orders_folder=None, sales_columns={"sku": "2", "quantity": "3", "at": "1"})
    box.put("sales/s.csv", "2026-11-27,MUG,4,anything\n2026-11-27,CUP,1\n")
    assert [(s.external_sku, s.quantity) for s in box.records("sales")] == [("MUG", 4), ("CUP", 1)]


def test_marks_and_ends_of_lines_of_other_systems(place):
    box = place()
    box.put("sales/a.csv", b"\xef\xbb\xbf" + SALES.replace("\n", "\r\n").encode())
    box.put("sales/b.csv", SALES.replace("MUG", '"big\nred, ""MUG"""').rstrip("\n"))
    assert [s.external_sku for s in box.records("sales")] == ["MUG", "CUP", 'big\nred, "MUG"', "CUP"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("a,b,c\n1,2,3\n", "there is no column sku, quantity, at; there are a, b, c"),
        (b"\xff\xfe" + SALES.encode("utf-16-le"), "the first row cannot be read"),
        (b"x" * (2**20 + 2**19), "is this a text of rows?"),
    ],
)
def test_a_file_that_is_no_such_file_is_put_aside_with_the_reason(place, text, why):
    box = place()
    box.put("sales/a.csv", text)
    box.put("sales/b.csv", SALES)
    pages = box.pages("sales")
    assert why in rejects(pages)[0].why
    assert sum(len(page.records) for page in pages) == 2
    assert box.files("rejects/sales") == ["a.csv", "a.csv.why.txt"]


def test_a_row_in_which_the_file_ends_is_not_guessed(place):
    box = place(counts_folder="counts")
    box.put("counts/a.csv", "sku,quantity,at\nMUG,111\nCUP,22")
    pages = box.pages("counts")
    assert [level.quantity for page in pages for level in page.records] == [111], "a row may leave cells out"
    assert "the file ends in the middle of it" in rejects(pages)[0].why


def test_many_bad_files_do_not_hide_a_good_one(place):
    box = place()
    for n in range(45):
        box.put(f"sales/a{n:02}.csv", "what\n")
    box.put("sales/b.csv", SALES)
    assert len(box.records("sales")) == 2


def test_other_names_are_left_alone(place):
    box = place()
    names = ["readme.txt", ".hidden.csv", "up.csv.part", "sub/in.csv"]
    for name in names:
        box.put(f"sales/{name}", SALES)
    assert box.records("sales") == []
    assert sorted(box.files("sales")) == sorted(names)


def test_where_files_are_not_ours_to_move_they_are_remembered(place):
    box = place(keep_files=True)
    box.put("sales/a.csv", SALES)
    assert len(box.records("sales")) == 2
    assert box.records("sales") == []
    os.utime(box.box / "sales/a.csv", (1, 1))
    assert box.records("sales") == [], "touched, but the same"
    box.put("sales/a.csv", SALES + "HAT,1,2026-11-27\n")
    assert len(box.records("sales")) == 3
    box.put("sales/b.csv", "what\n")
    assert len(rejects(box.pages("sales"))) == 1
    assert rejects(box.pages("sales")) == []
    assert "sales/a.csv" in box.files()
    assert "sales/b.csv" in box.files()


def test_a_file_that_changes_while_it_is_read_is_begun_anew(place):
    box = place(rows=1)
    box.put("sales/a.csv", SALES)
    first = box.page("sales")
    os.utime(box.put("sales/a.csv", "sku,quantity,at\nHAT,1,2026-11-27\nHAT,2,2026-11-27\n"), (5, 5))
    rest = box.pages("sales", first.next)
    assert [r.external_sku for page in rest for r in page.records] == ["HAT", "HAT"]


def test_without_a_folder_there_is_nothing_and_nothing_is_written(tmp_path, clock):
    box = Place(tmp_path, CsvFeed(now=clock), {})
    assert box.records("sales") == []
    (outcome,) = box.ask(lambda c: box.connector.push_stock(c, [Write(external_id="1", quantity=1, key="k")]))
    assert (outcome.fate, outcome.code) == (Fate.REFUSED, "no_folder")


# Breakdowns -----------------------------------------------------------------------------------------------------------


class Broken(Exception):
    """The process is gone."""


class Fragile:
    """A folder in which the n-th request from now does not return, before or after it was done."""

    def __init__(self, folder, fuse):
        self._folder, self._fuse = folder, fuse

    def __getattr__(self, name):
        async def do(*given, **named):
            self._fuse.left -= 1
            if self._fuse.left == 0 and self._fuse.before:
                raise Broken
            result = await getattr(self._folder, name)(*given, **named)
            if self._fuse.left == 0:
                raise Broken
            return result

        return do


class Fuse:
    def __init__(self, left, before):
        self.left, self.before = left, before


class FragileDoors:
    def __init__(self, doors, fuse):
        self._doors, self._fuse = doors, fuse

    def open(self, *given, **named):
        @asynccontextmanager
        async def opened():
            async with self._doors.open(*given, **named) as folder:
                yield Fragile(folder, self._fuse)

        return opened()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("after", range(1, 26))
def test_a_breakdown_anywhere_loses_nothing_and_takes_nothing_twice(tmp_path, clock, after, keep, before):
    """The caller keeps `next` with what it stored, and what has the same name is one."""
    made = CsvFeed(now=clock, rows=2)
    box = Place(tmp_path, made, {"settle_s": 0, "sales_folder": "sales", "keep_files": keep})
    rows = [f"S{n},{n},2026-11-27" for n in range(1, 8)]
    box.put("sales/a.csv", "sku,quantity,at\n" + "\n".join([*rows[:5], "bad,x,2026-11-27"]) + "\n")
    box.put("sales/b.csv", "sku,quantity,at\n" + "\n".join(rows[5:]) + "\n")
    whole = Doors(guard=Guard(), local_root=tmp_path)
    fuse = Fuse(after, before)
    stored, kept, broke = {}, None, 0
    for _ in range(40):
        box.folders = FragileDoors(whole, fuse)
        try:
            page = box.page("sales", kept)
        except Broken:
            broke += 1
            kept = kept if after % 2 else None  # it may also be that nothing was kept
            continue
        for sale in page.records:
            assert stored.setdefault(sale.external_id, sale) == sale
        kept = page.next
        if kept is None:
            break
    assert kept is None
    assert sorted(sale.quantity for sale in stored.values()) == list(range(1, 8))
    assert len(box.files("rejects")) == 1
    assert len(box.files("sales")) == (2 if keep else 0)
    assert broke == (fuse.left <= 0)


def test_notes_in_the_database_do_as_well(db, tmp_path, clock):
    with db.connection() as conn:
        conn.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (1, 'till', 'till', 'EUR')")
    box = Place(
        tmp_path, CsvFeed(now=clock), {"settle_s": 5, "sales_folder": "sales"}, notes=SharedNotes(db, 1)
    )  # fmt: skip
    box.put("sales/a.csv", SALES)
    assert box.records("sales") == []
    clock.pass_s(6)
    assert len(box.records("sales")) == 2
    box.put("sales/a.csv", SALES)
    clock.pass_s(6)
    assert box.records("sales") == []
    clock.pass_s(6)
    assert box.records("sales") == []
    assert len(box.files("done")) == 2


# What we write --------------------------------------------------------------------------------------------------------


def push(box, *writes):
    return box.ask(lambda c: box.connector.push_stock(c, list(writes)))


def test_our_stock_is_one_file_for_each_push(place, clock):
    box = place(stock_folder="stock", stock_columns={"sku": "Art.", "quantity": "Qty", "at": "As of"}, delimiter="tab")
    writes = [Write(external_id="e1", external_sku="MUG", quantity=3, key="k1"),
              Write(external_id="e2", quantity=0, key="k2")]  # fmt: skip
    assert [o.fate for o in push(box, *writes)] == [Fate.DONE, Fate.DONE]
    (name,) = box.files("stock")
    assert name.startswith("stock_20261127T090000")
    assert (box.box / "stock" / name).read_bytes() == (
        b"Art.\tQty\tAs of\r\nMUG\t3\t2026-11-27T09:00:00Z\r\ne2\t0\t2026-11-27T09:00:00Z\r\n"
    )
    clock.pass_s(60)
    push(box, *writes)
    assert box.files("stock") == [name], "sent again, it is there already"
    push(box, Write(external_id="e1", external_sku="MUG", quantity=2, key="k3"))
    assert len(box.files("stock")) == 2
    assert box.files("stock")[0] == name, "by name, the later one comes later"


def test_what_cannot_be_written_is_refused_alone(place):
    box = place(stock_folder="stock", encoding="iso-8859-1")
    done, refused = push(
        box, Write(external_id="Täss", quantity=1, key="a"), Write(external_id="Łódź", quantity=1, key="b")
    )
    assert (done.fate, refused.fate, refused.code) == (Fate.DONE, Fate.REFUSED, "encoding")
    assert b"T\xe4ss" in (box.box / "stock" / box.files("stock")[0]).read_bytes()


def test_a_folder_that_does_not_answer_is_told_of(place):
    box = place(stock_folder="stock")
    box.settings["url"] = "sftp://ada@127.0.0.1:1/x"
    box.settings["host_key"] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1rF5Ww1Sg1uqb0v0xwV7oyvJj8m4wJm0sX9cF2h5aB"
    box.credentials = {"password": "tiger99"}
    (outcome,) = push(box, Write(external_id="1", quantity=1, key="a"))
    assert outcome.fate is Fate.RETRY
    assert "tiger99" not in repr(outcome)
    with pytest.raises(Unavailable):
        box.page("sales")


def wanted(key="k", fulfilment_id="f-1"):
    return Fulfilment(
        fulfilment_id=fulfilment_id, key=key, order_number="1001", ordered_at=datetime(2026, 11, 27, tzinfo=UTC),
        currency="EUR",
        destination=Address(country="DE", postal_code="10115", city="Berlin", street="A, 1", name="Ada"),
        lines=(FulfilmentLine(line_id="1", sku="MUG", quantity=2, price_minor=1999),
               FulfilmentLine(line_id="2", sku="CUP", quantity=1)),
    )  # fmt: skip


def test_what_is_to_be_shipped_is_asked_for_once(place):
    box = place(requests_folder="ask", request_columns={"fulfilment_id": "Ref", "sku": "SKU", "quantity": "Qty",
                                                         "street": "Street", "price": "Price"})  # fmt: skip
    ask = lambda: box.ask(lambda c: box.connector.push_fulfilment(c, wanted()))  # noqa: E731
    assert ask().fate is Fate.ACCEPTED
    (name,) = box.files("ask")
    assert (box.box / "ask" / name).read_bytes() == (
        b'Ref,SKU,Qty,Street,Price\r\nf-1,MUG,2,"A, 1",19.99\r\nf-1,CUP,1,"A, 1",0.00\r\n'
    )
    (box.box / "ask" / name).unlink()  # they took it
    assert ask().fate is Fate.ACCEPTED
    assert box.files("ask") == []


def test_what_was_shipped_comes_back(place):
    box = place(shipments_folder="shipped", statuses={"short": "refused"})
    box.put("shipped/s.csv", "fulfilment_id,sku,quantity,missing,at,tracking,carrier,status,reason,is_complete\n"
        "f-1,MUG,2,,2026-11-27T10:00,1Z1,UPS,,,\nf-1,CUP,0,1,2026-11-27T10:00,1Z1,UPS,,,\n"
        "f-2,,,,2026-11-27T10:00,1Z2,UPS,,,\nf-3,,,,2026-11-27,,,short,none left,\n")  # fmt: skip
    one, two, three = box.records("shipments")
    assert (one.fulfilment_id, one.status, one.tracking, one.is_complete) == ("f-1", "shipped", "1Z1", False)
    assert [(line.sku, line.quantity, line.missing) for line in one.lines] == [("MUG", 2, 0), ("CUP", 0, 1)]
    assert (two.is_complete, two.lines) == (True, ())
    assert (three.status, three.reason) == ("refused", "none left")


# Settings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"url": "ftp://x"}, "settings.url"),
        ({"url": "sftp://me@host/"}, "settings.host_key"),
        ({"sales_folder": "../x"}, "settings.sales_folder"),
        ({"sales_folder": "a", "orders_folder": "a/"}, "settings.orders_folder"),
        ({"sales_folder": "done"}, "settings.sales_folder"),
        ({"sales_columns": {"colour": "Farbe"}}, "settings.sales_columns.colour"),
        ({"has_header": False, "sales_folder": "s"}, "settings.sales_columns"),
        ({"has_header": False, "sales_columns": {"sku": "first"}}, "settings.sales_columns.sku"),
        ({"stock_columns": {"price": "P"}}, "settings.stock_columns.price"),
        ({"statuses": {"x": "gone"}}, "settings.statuses.x"),
        ({"time_zone": "Berlin"}, "settings.time_zone"),
        ({"currency": "DM"}, "settings.currency"),
        ({"settle_s": -1}, "settings.settle_s"),
    ],
)
def test_settings_are_checked_by_name(change, path):
    made = CsvFeed()
    asked = {name: s.default for name, s in made.settings.items() if s.default is not None}
    assert list(made.wrong_settings({**asked, "url": "file:///x"})) == []
    assert [p for p, _ in made.wrong_settings({**asked, "url": "file:///x", **change})] == [path]


def test_without_folders_it_says_so(place):
    box = place()
    connection = box.connection()
    object.__setattr__(connection, "folders", None)
    with pytest.raises(Refused, match="cannot be opened"):
        asyncio.run(box.connector.pull_sales(connection, None, since=datetime(2026, 1, 1, tzinfo=UTC)))


# Over SFTP ------------------------------------------------------------------------------------------------------------


def test_over_sftp_it_is_the_same(tmp_path, clock):
    (tmp_path / "box" / "sales").mkdir(parents=True)
    (tmp_path / "box" / "sales" / "a.csv").write_text(SALES)

    async def go():
        async with sftp_server(tmp_path) as server:
            made = CsvFeed(now=clock)
            settings = {"settle_s": 0, "sales_folder": "sales", "stock_folder": "out",
                        "url": server.url("box"), "host_key": server.host_key}  # fmt: skip
            connection = Place(tmp_path, made, settings, credentials={"password": "s3cret"}).connection()
            at, sales = None, []
            while True:
                page = await made.pull_sales(connection, at, since=clock())
                sales += page.records
                if (at := page.next) is None:
                    break
            outcome = await made.push_stock(connection, [Write(external_id="MUG", quantity=1, key="k")])
            return sales, outcome

    sales, (outcome,) = asyncio.run(go())
    assert len(sales) == 2
    assert outcome.fate is Fate.DONE
    assert sorted(p.relative_to(tmp_path).parent.as_posix() for p in tmp_path.rglob("*.csv")) == [
        "box/done/sales", "box/out",
    ]  # fmt: skip


# Properties -----------------------------------------------------------------------------------------------------------

cell = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)
plain = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@plain
@given(
    rows=st.lists(st.tuples(cell.filter(str.strip), st.integers(-99, 99)), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    cuts=st.randoms(use_true_random=False),
)
def test_what_is_written_is_read_however_it_comes_in_pieces(rows, delimiter, cuts):
    form = Format(delimiter=delimiter)
    text = row_written(["sku", "quantity", "at"], form)
    text += b"".join(row_written([sku, units, "2026-11-27"], form) for sku, units in rows)
    splitter = Splitter("sales", form, {}, columns=None)
    found, starts = [], []
    rest = text
    while True:
        raw = splitter.take(is_end=not rest)
        if raw is not None:
            assert not raw.bad
            found.append((raw.row["sku"], int(raw.row["quantity"])))
            starts.append(raw.start)
        elif not rest:
            break
        else:
            size = cuts.randint(1, 7)
            splitter.feed(rest[:size])
            rest = rest[size:]
    assert found == [(sku.strip(), units) for sku, units in rows]
    assert splitter.at == len(text)
    # From where any row begins, the rest can be read.
    for n, start in enumerate(starts):
        again = Splitter("sales", form, {}, columns=splitter.columns, header=splitter.header, at=start, number=n)
        again.feed(text[start:])
        assert again.take(is_end=True).row["sku"] == rows[n][0].strip()


@plain
@given(body=st.binary(max_size=400), cuts=st.integers(1, 50))
def test_whatever_comes_is_rows_or_bad_rows_and_all_of_it(body, cuts):
    text = b"sku,quantity,at\n" + body
    splitter = Splitter("sales", Format(), {}, columns=None)
    seen = b""
    for at in range(0, len(text), cuts):
        splitter.feed(text[at : at + cuts])
        while (raw := splitter.take(is_end=False)) is not None:
            seen += raw.text
    while (raw := splitter.take(is_end=True)) is not None:
        seen += raw.text
    kept = [line for line in seen.splitlines() if line.strip(b" ,\t\r\n\x0b\x0c")]
    for line in kept:
        assert line in text
    assert splitter.at == len(text)


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("1,234.50", Format(), "1234.50"), ("1.234,5", Format(decimal=","), "1234.5"), ("-3", Format(), "-3"),
        ("3-", Format(), "-3"), ("1 000", Format(), "1000"), ("1'000.0", Format(), "1000.0"), (".5", Format(), "0.5"),
    ],
)  # fmt: skip
def test_numbers(text, form, value):
    assert str(number(text, form)) == value


@pytest.mark.parametrize("text", ["", "-", "1,23", "1.2.3", "1e5", "NaN", "٣", "--1", "-1-", "1,2345", "0x1", "9" * 30])
def test_what_is_no_number_is_told(text):
    with pytest.raises(Unreadable):
        number(text, Format())


def test_money_has_the_digits_of_its_currency():
    assert minor("19.99", "EUR", Format()) == 1999
    assert minor("1,999", "JPY", Format()) == 1999
    assert minor("1.234", "KWD", Format()) == 1234
    for text, currency in (("1.999", "EUR"), ("1.5", "JPY"), ("1", "XXX")):
        with pytest.raises(Unreadable):
            minor(text, currency, Format())
    with pytest.raises(Unreadable):
        units("1.5", Format())


@pytest.mark.parametrize(
    ("text", "dates", "at"),
    [
        ("27.11.2026 9:05", "day_month_year", (2026, 11, 27, 9, 5)),
        ("11/27/26 12:05 AM", "month_day_year", (2026, 11, 27, 0, 5)),
        ("11/27/2026 1:05pm", "month_day_year", (2026, 11, 27, 13, 5)),
        ("20261127", "year_month_day", (2026, 11, 27, 0, 0)),
        ("1795773600", "unix_s", (2026, 11, 27, 10, 0)),
        ("2026-11-27T10:00:00+02:00", "iso", (2026, 11, 27, 8, 0)),
    ],
)
def test_moments(text, dates, at):
    assert moment(text, Format(dates=dates)) == datetime(*at, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "dates"),
    [("31.2.2026", "day_month_year"), ("1.1", "day_month_year"), ("13/13/2026", "month_day_year"),
     ("11/27/2026 13:00 PM", "month_day_year"), ("9" * 30, "unix_s"), ("soon", "iso")],
)  # fmt: skip
def test_what_is_no_moment_is_told(text, dates):
    with pytest.raises(Unreadable):
        moment(text, Format(dates=dates))


def test_a_huge_file_takes_little_memory(tmp_path, clock):
    box = Place(tmp_path, CsvFeed(now=clock), {"settle_s": 0, "sales_folder": "sales"})
    draw = random.Random(1)
    with box.put("sales/huge.csv", "place,sku,quantity,at\n").open("a") as file:
        for n in range(60_000):
            file.write(f"{draw.randrange(10**200):0200},SKU-{n:06},1,2026-11-27T08:00:00\n")
    size = (box.box / "sales/huge.csv").stat().st_size
    tracemalloc.start()
    try:
        at, count = None, 0
        while (page := box.page("sales", at)).next is not None:
            at, count = page.next, count + len(page.records)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 60_000
    assert size > 14_000_000
    assert peak < 6_000_000


def test_positions_survive_and_nonsense_is_a_beginning():
    position = Position(name="ä b.csv", size=3, modified_at=4, digest="d", offset=5, row=6, is_last=True)
    assert Position.read(position.text()) == position
    for text in (None, "", "{}", "[1]", "null", "what", "5"):
        assert Position.read(text) is None


def test_sales_have_names_of_their_own_where_the_file_gives_them(place):
    box = place()
    box.put("sales/a.csv", "external_id,sku,quantity,at,place\nT-9,MUG,1,2026-11-27,Berlin\n")
    (sale,) = box.records("sales")
    assert sale == Sale(
        external_id="T-9", external_sku="MUG", quantity=1, at=datetime(2026, 11, 27, tzinfo=UTC), place="Berlin"
    )


def test_what_is_kept_for_the_next_time_is_a_beginning(place):
    """A caller who keeps the last position must not have another file put away by it that looks the same."""
    box = place()
    at = box.put("sales/a.csv", SALES)
    os.utime(at, (5, 5))
    last = box.pages("sales")[-1]
    assert last.next is None
    os.utime(box.put("sales/a.csv", SALES.replace("MUG", "HAT")), (5, 5))
    page = box.page("sales", last.cursor)
    assert page.records[0].external_sku == "HAT"
