"""Somebody who passes rows on the bench. Orders that are placed come as one file, when the folder is opened next."""

import csv
import io
from itertools import count

from onhand.connectors._sdk.filling import minor_units

from .folder_bench import AT, FolderBench

ORDER = ("order_id", "sku", "quantity", "price", "currency", "status", "at")
HEADERS = {
    "orders.pull": ORDER,
    "sales.pull": ("sku", "quantity", "at"),
    "counts.pull": ("sku", "quantity", "at"),
    "shipping.pull": ("fulfilment_id", "sku", "quantity", "tracking", "at"),
}


class RowsBench(FolderBench):
    name = "csv_feed"
    suffix = ".csv"
    page = 1_000

    def __init__(self):
        inboxes = {"orders.pull": "orders", "sales.pull": "sales", "counts.pull": "counts", "shipping.pull": "shipped"}
        given = {
            "orders_folder": "orders", "sales_folder": "sales", "counts_folder": "counts",
            "shipments_folder": "shipped", "stock_folder": "stock", "prices_folder": "prices", "requests_folder": "ask",
            "encoding": "iso-8859-1",
        }  # fmt: skip
        super().__init__(given, inboxes)
        self.numbers, self.orders, self.untold = {}, {}, {}
        self.serial = count(1)

    def come(self):
        if self.untold:
            self.lay("orders.pull", f"placed-{next(self.serial):06}", _text("orders.pull", self.untold.values()))
            self.untold = {}

    def offer(self, sku, units):
        self.numbers[sku] = units
        return sku

    def withdraw(self, external_id):
        del self.numbers[external_id]

    def buy(self, lines, *, at=None):
        ((sku, units),) = lines.items()
        order_id = f"O{next(self.serial):06}"
        self.orders[order_id] = [order_id, sku, units, "19.99", "EUR", "open", (at or AT).isoformat()]
        self.change(order_id)
        return order_id

    def change(self, order_id, *, at=None):
        """It is told again, in a later file."""
        order = self.orders[order_id]
        order[6] = order[6] if at is None else at.isoformat()
        self.untold[order_id] = order

    def say(self, order_id, word):
        self.orders[order_id][5] = word
        self.change(order_id)

    def spoil(self, order_id):
        self.orders[order_id][2] = "none"
        self.change(order_id)

    def content(self, capability, units, *, spoilt=()):
        rows = []
        for n, quantity in enumerate(units):
            said, serial = "none" if n in spoilt else quantity, next(self.serial)
            rows.append(
                {
                    "orders.pull": (f"O{serial}", "MUG", said, "19.99", "EUR", "open", AT.isoformat()),
                    "shipping.pull": (f"F{quantity}", "MUG", said, f"1Z{serial}", AT.isoformat()),
                }.get(capability, (f"SKU-{serial}", said, AT.isoformat()))
            )
        return _text(capability, rows)

    def damaged(self, capability, body):
        return {
            "empty": b"",
            "other columns": b"a,b,c\r\n1,2,3\r\n",
            "other letters": body.decode().encode("utf-16"),
            "a page for people": b"<!doctype html>\n<html><body>Not found</body></html>\n",
        }

    def unwritable(self):
        return "Łódź"

    def shown(self, external_id):
        told = dict(self.numbers)
        for body in self.files("stock"):
            for row in csv.DictReader(io.StringIO(body.decode("iso-8859-1"))):
                told[row["external_id"]] = int(row["quantity"])
        return told[external_id]

    def asked(self, external_id):
        asked = dict.fromkeys(self.numbers, 1_999)
        for body in self.files("prices"):
            for row in csv.DictReader(io.StringIO(body.decode("iso-8859-1"))):
                asked[row["external_id"]] = minor_units(row["price"], row["currency"])
        return asked[external_id]

    def requested(self):
        rows = [csv.DictReader(io.StringIO(body.decode("iso-8859-1"))) for body in self.files("ask")]
        return [sum(int(row["quantity"]) for row in of_one) for of_one in rows]


def _text(capability, rows):
    text = io.StringIO()
    csv.writer(text).writerows([HEADERS[capability], *rows])
    return text.getvalue().encode()


make = RowsBench
