"""Replay half a year of a real shop through the public HTTP interface.

The data set "Online Retail" (Chen, UCI Machine Learning Repository, 2015): order lines of a British gift wholesaler,
December 2010 to June 2011, with cancellations. It is read where it lies and never copied.

    python examples/replay_online_retail.py --data DIRECTORY              # an embedded server in a temporary folder
    python examples/replay_online_retail.py --url URL --key KEY           # a server that is running
    python examples/replay_online_retail.py --limit 300                   # the first 300 orders

What becomes of the rows:

- A row of goods with a price and a positive quantity is an order line; rows of the same invoice are one order.
- A negative row is goods that come back. It is matched with the latest orders of the same customer and item: units that
  have not left the node are cancelled, units that have are returned. What no order of the file explains is rejected.
- Fees, postage, vouchers, discounts and manual corrections are no goods; rows without price or quantity are no sales
  (most are write-offs of the warehouse). They are rejected, each with its reason, into a CSV file.
- 'Unspecified' and 'European Community' are no countries: such orders are recorded and held for a person to look at.

Nodes ship every day at 17:00 what was ordered before that day. The file knows no stock, so there is a made-up one: each
item's stock is its demand over the whole file times a factor, laid out by the classes below, which decide how many
orders are split, wait for supply, or cannot be served at all.

Everything is idempotent: break it off, start it again within a day with the same server and key (or the same --home),
and it goes on.
"""

import argparse
import csv
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

FILE = "online_retail_2010-12_2011-06.parquet"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "online_retail"
CHANNEL = "online-retail"
CURRENCY = "GBP"

Json = dict[str, Any]
console = Console(highlight=False)


# The merchant: one warehouse, six stores, two carriers ------------------------------------------------

WAREHOUSE = "DAVENTRY"
NODES = {
    "DAVENTRY": ("warehouse", "Daventry warehouse", 52.26, -1.16, 90),
    "LONDON": ("store", "Store London", 51.51, -0.13, 220),
    "BIRMINGHAM": ("store", "Store Birmingham", 52.48, -1.90, 190),
    "MANCHESTER": ("store", "Store Manchester", 53.48, -2.24, 190),
    "LEEDS": ("store", "Store Leeds", 53.80, -1.55, 190),
    "BRISTOL": ("store", "Store Bristol", 51.45, -2.59, 190),
    "GLASGOW": ("store", "Store Glasgow", 55.86, -4.25, 200),
}
STORES = [code for code in NODES if code != WAREHOUSE]

# class: (share of items, warehouse opens with, stores open with together, purchase orders bring), in demand of the file
CLASSES = {
    "steady": (0.963, 1.10, 0.30, 0.0),
    "spread": (0.010, 0.00, 1.30, 0.0),  # sold from stores only: orders with them are split
    "short": (0.015, 0.10, 0.00, 0.95),  # bought in waves, late: orders wait
    "ending": (0.012, 0.85, 0.00, 0.0),  # not bought again: the last orders cannot be served
}
WAVE_DAYS = 28
SUPPLIER = "Far East Imports"

# Countries of the file by ISO code. ZZ is nobody's: the order is held until somebody says where it goes.
COUNTRIES = {
    "United Kingdom": "GB", "Unit": "GB", "EIRE": "IE", "Channel Islands": "JE", "Germany": "DE", "France": "FR",
    "Spain": "ES", "Netherlands": "NL", "Belgium": "BE", "Switzerland": "CH", "Australia": "AU", "Portugal": "PT",
    "Norway": "NO", "Cyprus": "CY", "Finland": "FI", "Italy": "IT", "Japan": "JP", "Hong Kong": "HK", "Sweden": "SE",
    "Poland": "PL", "Denmark": "DK", "Austria": "AT", "Singapore": "SG", "Iceland": "IS", "Greece": "GR",
    "Canada": "CA", "Malta": "MT", "Lebanon": "LB", "Israel": "IL", "Lithuania": "LT", "Brazil": "BR",
    "United Arab Emirates": "AE", "USA": "US", "Bahrain": "BH", "Czech Republic": "CZ", "Saudi Arabia": "SA",
    "Unspecified": "ZZ", "European Community": "ZZ",
}  # fmt: skip

NO_GOODS = {
    "POST": "postage", "DOT": "postage", "C2": "carriage", "M": "manual correction", "D": "discount", "S": "samples",
    "AMAZONFEE": "fee of a marketplace", "BANK CHARGES": "fee of a bank", "CRUK": "donation",
}  # fmt: skip


# Reading and cleaning: pure -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A clean row. `row` is its number in the file, `quantity` above 0."""

    row: int
    line_id: str
    sku: str
    name: str
    quantity: int
    price_minor: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """Rows of one invoice: an order, or goods that come back."""

    number: str
    at: datetime
    customer: int | None
    country: str
    lines: tuple[Line, ...]
    comes_back: bool


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that became nothing, or `units` of it."""

    row: int
    invoice: str
    code: str
    units: int
    reason: str


def read(path: Path, limit: int | None) -> tuple[list[Invoice], list[Reject], Counter[str]]:
    """Invoices in time order, rejected rows, and counts of the file: invoices, cancellations, rows.

    limit  keep that many orders, and everything that happened until the last of them
    """
    frame = pl.read_parquet(path).with_row_index("row").sort("InvoiceDate", "row", maintain_order=True)
    rows: dict[tuple[str, bool], list[tuple[Any, ...]]] = defaultdict(list)
    rejects: list[Reject] = []
    counts: Counter[str] = Counter()
    seen: set[str] = set()
    orders: set[str] = set()
    for row in frame.iter_rows():
        number, invoice, code, quantity, price = row[0], row[1], row[2].strip().upper(), row[4], row[6]
        is_order = not invoice.startswith("C")
        if limit is not None and is_order and invoice not in orders and len(orders) == limit:
            break
        counts["rows"] += 1
        if invoice not in seen:
            seen.add(invoice)
            counts["orders" if is_order else "cancellations"] += 1
        if is_order:
            orders.add(invoice)
        if reason := unfit(code, quantity, price):
            rejects.append(Reject(number, invoice, code, quantity, reason))
        else:
            rows[invoice, quantity < 0].append((*row[:2], code, *row[3:]))
    invoices = [_invoice(list(lines), comes_back) for (_, comes_back), lines in rows.items()]
    return sorted(invoices, key=lambda i: (i.at, i.lines[0].row)), rejects, counts


def unfit(code: str, quantity: int, price: float) -> str | None:
    """Why a row can be neither a sale nor a return; None when it can."""
    if code in NO_GOODS:
        return f"no goods: {NO_GOODS[code]}"
    if code.startswith("GIFT"):
        return "no goods: gift voucher"
    if not (code[:5].isdigit() or code.startswith("DCGS")):
        return "no goods: unknown kind of code"
    if quantity == 0:
        return "no quantity"
    if round(price * 100) <= 0:
        return "no price: written off or corrected" if quantity < 0 else "no price: found, sample or gift"
    return None


def _invoice(rows: Sequence[tuple[Any, ...]], comes_back: bool) -> Invoice:
    first = rows[0]
    return Invoice(
        number=first[1],
        at=first[5].replace(tzinfo=UTC),
        customer=None if first[7] is None else int(first[7]),
        country=first[8],
        lines=tuple(
            # Rows of the same item keep a line of their own.
            Line(row[0], str(n), row[2], (row[3] or "").strip() or row[2], abs(row[4]), round(row[6] * 100))
            for n, row in enumerate(rows, 1)
        ),
        comes_back=comes_back,
    )


def chance(*what: object) -> float:
    """A number from 0 to 1 that depends on `what` alone: the same in every run."""
    digest = hashlib.blake2b(":".join(map(str, what)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def class_of(sku: str) -> str:
    """The class of an item, by the shares of CLASSES."""
    at, edge = chance("class", sku), 0.0
    for name, (share, *_) in CLASSES.items():
        edge += share
        if at < edge:
            return name
    return next(iter(CLASSES))


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase order for the warehouse."""

    reference: str
    at: datetime
    arrives_at: datetime
    lines: tuple[tuple[str, int], ...]


def plan_stock(invoices: Iterable[Invoice]) -> tuple[dict[tuple[str, str], int], list[Purchase]]:
    """Opening units by (sku, node), and the purchase orders that follow."""
    demand: Counter[str] = Counter()
    orders = [i for i in invoices if not i.comes_back]
    for invoice in orders:
        for line in invoice.lines:
            demand[line.sku] += line.quantity
    opening: dict[tuple[str, str], int] = {}
    bought: dict[str, int] = {}
    for sku, units in demand.items():
        name = class_of(sku)
        _, warehouse, stores, purchases = CLASSES[name]
        if warehouse:
            opening[sku, WAREHOUSE] = max(1, round(units * warehouse))
        # Each item lies in two of the stores; what is sold from stores only needs both of them.
        held = sorted(STORES, key=lambda store, sku=sku: chance("store", sku, store))[:2]
        for store in held:
            if share := round(units * stores / len(held) + 0.5 * (stores > 0)):
                opening[sku, store] = share
        if purchases:
            bought[sku] = max(1, round(units * purchases))
    begins, ends = orders[0].at, orders[-1].at
    waves = max(1, (ends - begins).days // WAVE_DAYS)
    return opening, [
        Purchase(
            reference=f"PO-{number:03d}",
            at=begins + timedelta(days=WAVE_DAYS * (number - 1)),
            arrives_at=begins + timedelta(days=WAVE_DAYS * number),
            lines=tuple((sku, -(-units // waves)) for sku, units in sorted(bought.items())),
        )
        for number in range(1, waves + 1)
        if bought
    ]


# The server -----------------------------------------------------------------------------------------


class RefusedError(Exception):
    """The server said no where it must not."""


class Server:
    """The public interface; safe for threads. Waits and repeats when the server is busy."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120, trust_env=False
        )

    def call(
        self, method: str, path: str, body: Json | None = None, *, key: str | None = None, reason: str | None = None
    ) -> httpx2.Response:
        """`key` makes a repeat harmless; `reason` goes to the audit log."""
        headers = {} if key is None else {"Idempotency-Key": key}
        if reason is not None:
            headers["X-Reason"] = reason
        for attempt in range(10):
            answer = self._http.request(method, path, json=body, headers=headers)
            if answer.status_code != 503:
                return answer
            time.sleep(min(5.0, float(answer.headers.get("retry-after", 0)) or 0.1 * 2**attempt))
        return answer

    def must(self, method: str, path: str, body: Json | None = None, *, key: str | None = None) -> Json:
        """The JSON of a call that has to succeed."""
        answer = self.call(method, path, body, key=key)
        if not answer.is_success:
            raise RefusedError(f"{method} {path} answered {answer.status_code}: {answer.text[:1000]}")
        return answer.json()


ONHAND = [sys.executable, "-c", "from onhand.cli import main; main()"]


@contextmanager
def embedded(home: Path) -> Generator[tuple[str, str]]:
    """`onhand serve` with a database of its own under `home`: (url, key)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Repeats are known by the key that made them: a run that goes on needs the same one.
    key_file = home / "replay.key"
    if not key_file.exists():
        key_file.touch(0o600)
        key_file.write_text(secrets.token_urlsafe(24))
    key = key_file.read_text()
    environ = os.environ | {"ONHAND_HOME": str(home), "ONHAND_ADMIN_KEY": key, "ONHAND_LOG_LEVEL": "warning"}
    environ.pop("ONHAND_DATABASE_URL", None)
    log = home / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*ONHAND, "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        give_up_at = time.monotonic() + 120
        while True:
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RefusedError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
            try:
                if httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).is_success:
                    break
            except httpx2.TransportError:
                pass  # it does not listen yet
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", key
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def verify(home: Path) -> bool:
    """`onhand db verify` on the database under `home`: whether it is clean."""
    environ = os.environ | {"ONHAND_HOME": str(home)}
    environ.pop("ONHAND_DATABASE_URL", None)
    done = subprocess.run([*ONHAND, "db", "verify"], env=environ, capture_output=True, text=True, check=False)
    console.print(f"[bold]onhand db verify[/]: {(done.stdout + done.stderr).strip()}")
    return done.returncode == 0


# The replay -----------------------------------------------------------------------------------------

SHIPPED = ("shipped", "delivered")
DEAD = ("cancelled", "rejected")
AT_ONCE = 8  # calls of nodes under way at the same time
ORDERS_PER_BATCH = 500


@dataclass(slots=True)
class Placed:
    """An order as we know it; units by line_id."""

    order_id: str
    invoice: Invoice
    fulfilments: list[Json]
    waits: bool
    cancelled: Counter[str] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)

    def shipped(self, line_id: str) -> int:
        return sum(
            line["quantity"]
            for f in self.fulfilments
            if f.get("status") in SHIPPED
            for line in f["lines"]
            if line["line_id"] == line_id
        )


class Replay:
    """The file against a server, in time order."""

    def __init__(self, server: Server, told: Callable[[int], None] = lambda _: None) -> None:
        self.server = server
        self.told = told
        self.counts: Counter[str] = Counter()
        self.rejects: list[Reject] = []
        self.placing_s = 0.0
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._batch: list[Invoice] = []
        self._to_ship: dict[str, Placed] = {}
        self._waiting: dict[str, Placed] = {}
        # The orders of a customer with an item, oldest first.
        self._bought: dict[tuple[int, str], list[tuple[Placed, Line]]] = defaultdict(list)

    def set_up(self, invoices: Sequence[Invoice], opening: dict[tuple[str, str], int]) -> None:
        """Network, items and opening stock."""
        for code, document in node_documents():
            self.server.must("PUT", f"/v1/nodes/{code}", document)
        for code, document in CARRIERS.items():
            self.server.must("PUT", f"/v1/carriers/{code}", document)
        self.server.must("PUT", f"/v1/channels/{CHANNEL}", {"nodes": list(NODES), "currency": CURRENCY})
        self._rows("/v1/items/batch", "items", item_documents(invoices), "items")
        entries = [
            {"kind": "receipt", "sku": sku, "node": node, "quantity": units, "reference": "opening stock"}
            for (sku, node), units in sorted(opening.items())
        ]
        self._rows("/v1/stock/entries", "entries", entries, "opening")
        self.counts["opening"] = sum(opening.values())

    def run(self, invoices: Iterable[Invoice], purchases: Iterable[Purchase]) -> None:
        """Everything, in time order: purchases, arrivals, orders, goods that come back, and the vans at 17:00."""
        for what, value in timeline(invoices, purchases):
            if what == "order":
                self._batch.append(value)
                if len(self._batch) == ORDERS_PER_BATCH:
                    self._place()
                continue
            self._place()  # what happens next must find the orders before it
            if what == "return":
                self._take_back(value)
                self.told(1)
            elif what == "purchase":
                self._announce(value)
            elif what == "arrival":
                self._receive(value)
            else:
                self._ship(value)
        self._place()
        self._pool.shutdown()

    def _place(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        began = time.perf_counter()
        answer = self.server.must("POST", "/v1/orders/batch", {"orders": [order_document(i) for i in batch]})
        self.placing_s += time.perf_counter() - began
        for invoice, result in zip(batch, answer["results"], strict=True):
            if result["status"] == "rejected":
                reason = f"refused: {result['code']} {result.get('detail', '')}".strip()
                self._reject(invoice, [(line, line.quantity) for line in invoice.lines], reason)
                continue
            self._know(invoice, result)
        self.told(len(batch))

    def _know(self, invoice: Invoice, answer: Json) -> None:
        counts = self.counts
        counts["placed"] += 1
        counts["lines"] += len(invoice.lines)
        counts["units"] += sum(line.quantity for line in invoice.lines)
        counts[answer["status"]] += 1
        counts["split"] += len(answer["fulfilments"]) > 1
        order = Placed(answer["order_id"], invoice, answer["fulfilments"], bool(answer["waiting"]))
        if invoice.customer is not None:
            for line in invoice.lines:
                self._bought[invoice.customer, line.sku].append((order, line))
        self._follow(order)

    def _follow(self, order: Placed) -> None:
        """Put its fulfilments on the nodes' lists."""
        for f in order.fulfilments:
            if f.get("status") in (*SHIPPED, *DEAD):
                self._to_ship.pop(f["fulfilment_id"], None)
            else:
                self._to_ship[f["fulfilment_id"]] = order
        if order.waits:
            self._waiting[order.order_id] = order
        else:
            self._waiting.pop(order.order_id, None)

    def _refresh(self, order: Placed, document: Json) -> None:
        order.fulfilments, order.waits = document["fulfilments"], bool(document["waiting"])
        self._follow(order)

    def _ship(self, at: datetime) -> None:
        """The vans leave: everything ordered before today."""
        due = [(i, o) for i, o in self._to_ship.items() if o.invoice.at.date() < at.date()]

        def ship(fulfilment_id: str) -> httpx2.Response:
            return self.server.call("POST", f"/v1/fulfilments/{fulfilment_id}/ship", {}, key=f"{fulfilment_id}-ship")

        for (fulfilment_id, order), answer in zip(due, self._pool.map(ship, (i for i, _ in due)), strict=True):
            del self._to_ship[fulfilment_id]
            if answer.status_code == 200:
                self.counts["shipped"] += 1
                for n, f in enumerate(order.fulfilments):
                    if f["fulfilment_id"] == fulfilment_id:
                        order.fulfilments[n] = answer.json()
            elif answer.json().get("code") not in ("order.held", "order.incomplete"):
                raise RefusedError(f"{fulfilment_id} cannot be shipped: {answer.text[:500]}")

    def _take_back(self, invoice: Invoice) -> None:
        """Cancel what has not left, return what has; latest order first."""
        orders: dict[str, Placed] = {}
        cancels: dict[str, Counter[str]] = defaultdict(Counter)
        returns: dict[str, Counter[str]] = defaultdict(Counter)
        unexplained: list[tuple[Line, int]] = []
        for line in invoice.lines:
            rest = line.quantity
            bought = [] if invoice.customer is None else self._bought[invoice.customer, line.sku]
            for order, its in reversed(bought):
                orders[order.order_id] = order
                shipped = order.shipped(its.line_id)
                cancel = min(rest, its.quantity - order.cancelled[its.line_id] - shipped)
                back = min(rest - cancel, shipped - order.returned[its.line_id])
                for units, of, known in ((cancel, cancels, order.cancelled), (back, returns, order.returned)):
                    if units:
                        of[order.order_id][its.line_id] += units
                        known[its.line_id] += units
                rest -= cancel + back
                if not rest:
                    break
            if rest:
                unexplained.append((line, rest))
        reason = "no customer" if invoice.customer is None else "no earlier order of this customer has these units"
        self._reject(invoice, unexplained, reason)
        for order_id, units in cancels.items():
            self._cancel(invoice, orders[order_id], units)
        for order_id, units in returns.items():
            self._return(invoice, orders[order_id], units)

    def _cancel(self, invoice: Invoice, order: Placed, units: Counter[str]) -> None:
        answer = self.server.call(
            "POST",
            f"/v1/orders/{order.order_id}/cancel",
            {"lines": named(units)},
            key=f"{invoice.number}-cancel-{order.order_id}",
            reason=f"cancellation {invoice.number}",
        )
        if answer.status_code == 200:
            self.counts["cancels"] += 1
            self.counts["cancelled units"] += units.total()
            self._refresh(order, answer.json())
        else:
            self._refused(invoice, order, units, answer)

    def _return(self, invoice: Invoice, order: Placed, units: Counter[str]) -> None:
        body = {
            "order_id": order.order_id,
            "node": WAREHOUSE,
            "lines": named(units),
            "disposition": "damaged" if chance("damaged", invoice.number) < 0.15 else "restock",
        }
        answer = self.server.call("POST", "/v1/returns", body, key=f"{invoice.number}-return-{order.order_id}")
        if answer.is_success:
            self.counts["returns"] += 1
            self.counts["returned units"] += units.total()
        else:
            self._refused(invoice, order, units, answer)

    def _refused(self, invoice: Invoice, order: Placed, units: Counter[str], answer: httpx2.Response) -> None:
        by_id = {line.line_id: line for line in order.invoice.lines}
        refused = [(by_id[line_id], n) for line_id, n in units.items()]
        self._reject(invoice, refused, f"refused: {answer.json().get('code')}")

    def _announce(self, purchase: Purchase) -> None:
        expected_at = datetime.now(UTC) + (purchase.arrives_at - purchase.at)
        lines = [
            {"sku": sku, "quantity": n, "expected_at": f"{expected_at:%Y-%m-%dT%H:%M:%SZ}"} for sku, n in purchase.lines
        ]
        document = {"reference": purchase.reference, "node": WAREHOUSE, "supplier": SUPPLIER, "lines": lines}
        answer = self.server.call("POST", "/v1/inbound", document)
        # In a run that goes on it is known already, with the date it had then.
        if not answer.is_success and answer.json().get("code") != "inbound.reference_taken":
            raise RefusedError(f"/v1/inbound: {answer.text[:500]}")
        self.counts["purchases"] += 1

    def _receive(self, purchase: Purchase) -> None:
        """A purchase arrives: orders that wait for it are sourced by the server, and we look what became of them."""
        entries = [
            {"kind": "receipt", "sku": sku, "node": WAREHOUSE, "quantity": n, "reference": purchase.reference}
            for sku, n in purchase.lines
        ]
        self._rows("/v1/stock/entries", "entries", entries, purchase.reference)
        waiting = list(self._waiting.values())
        documents = self._pool.map(lambda o: self.server.must("GET", f"/v1/orders/{o.order_id}"), waiting)
        for order, document in zip(waiting, documents, strict=True):
            self._refresh(order, document)

    def _rows(self, path: str, name: str, rows: Sequence[Json], key: str) -> None:
        for n in range(0, len(rows), 1_000):
            answer = self.server.must("POST", path, {name: rows[n : n + 1_000]}, key=f"{CHANNEL}-{key}-{n}")
            if refused := [r for r in answer["results"] if r["status"] == "rejected"]:
                raise RefusedError(f"{path} refused {len(refused)} rows: {refused[0]}")

    def _reject(self, invoice: Invoice, lines: Iterable[tuple[Line, int]], reason: str) -> None:
        self.rejects += [Reject(line.row, invoice.number, line.sku, units, reason) for line, units in lines]


def named(units: Counter[str]) -> list[Json]:
    return [{"line_id": line_id, "quantity": n} for line_id, n in units.items()]


def timeline(invoices: Iterable[Invoice], purchases: Iterable[Purchase]) -> Iterator[tuple[str, Any]]:
    """(what, value) in time order; at equal times arrivals come first, orders last."""
    events: list[tuple[datetime, int, int, str, Any]] = []
    for purchase in purchases:
        events.append((purchase.at, 1, len(events), "purchase", purchase))
        events.append((purchase.arrives_at, 0, len(events), "arrival", purchase))
    for invoice in invoices:
        rank, what = (3, "return") if invoice.comes_back else (4, "order")
        events.append((invoice.at, rank, len(events), what, invoice))
    begins, ends = min(e[0] for e in events), max(e[0] for e in events)
    van = begins.replace(hour=17, minute=0)
    while van <= ends:
        events.append((van, 2, len(events), "van", van))
        van += timedelta(days=1)
    for _, _, _, what, value in sorted(events, key=lambda e: e[:3]):
        yield what, value


# Documents of the interface ---------------------------------------------------------------------------


def node_documents() -> Iterator[tuple[str, Json]]:
    for code, (node_type, name, latitude, longitude, handling_minor) in NODES.items():
        yield (
            code,
            {
                "name": name,
                "node_type": node_type,
                "country": "GB",
                "latitude": latitude,
                "longitude": longitude,
                "timezone": "Europe/London",
                "handling_cost_minor": handling_minor,
                "cutoff": "17:00",
                "working_days": [1, 2, 3, 4, 5, 6, 7],
            },
        )


def _service(code: str, prices: list[list[int]], days: list[tuple[float, float]]) -> Json:
    return {
        "code": code,
        "rate_table": {
            "by": "distance_km",
            "distance_km": [150, 800, 2500, None],
            "weights_g": [2_000, 10_000, 30_000],
            "prices_minor": prices,
        },
        "currency": CURRENCY,
        "transit_days": [{"p50": p50, "p95": p95} for p50, p95 in days],
    }


CARRIERS = {
    "post": {
        "name": "Post",
        "services": [
            _service(
                "standard",
                [[320, 590, 1100], [360, 690, 1290], [890, 1690, 3200], [1490, 3900, 8900]],
                [(1, 2), (2, 3), (4, 7), (7, 14)],
            )
        ],
    },
    "courier": {
        "name": "Courier",
        "services": [
            _service(
                "express",
                [[690, 990, 1790], [790, 1190, 2190], [1590, 2890, 5400], [2990, 6900, 14900]],
                [(0.6, 1), (0.9, 1.5), (1.5, 3), (3, 5)],
            )
        ],
    },
}


def item_documents(invoices: Iterable[Invoice]) -> list[Json]:
    """Items by their first name; gift ware weighs what its price suggests, the file does not say."""
    first: dict[str, Line] = {}
    for invoice in invoices:
        for line in invoice.lines:
            first.setdefault(line.sku, line)
    return [
        {
            "sku": sku,
            "name": line.name,
            "weight_g": min(8_000, 60 + line.price_minor // 2),
            "price_minor": line.price_minor,
            "currency": CURRENCY,
        }
        for sku, line in sorted(first.items())
    ]


def order_document(invoice: Invoice) -> Json:
    order: Json = {
        "channel": CHANNEL,
        "external_id": invoice.number,
        "currency": CURRENCY,
        "placed_at": f"{invoice.at:%Y-%m-%dT%H:%M:%SZ}",
        "destination": {"country": COUNTRIES[invoice.country]},
        "lines": [
            {"line_id": line.line_id, "sku": line.sku, "quantity": line.quantity, "price_minor": line.price_minor}
            for line in invoice.lines
        ],
    }
    if invoice.customer is not None:
        order["customer"] = {"name": f"Customer {invoice.customer}", "email": f"{invoice.customer}@example.com"}
    return order


# The program ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data set")
    parser.add_argument("--limit", type=int, help="only the first N orders")
    parser.add_argument("--url", help="a running server; absent: an embedded one")
    parser.add_argument("--key", default=os.environ.get("ONHAND_ADMIN_KEY"), help="its API key")
    parser.add_argument("--home", type=Path, help="keep the embedded server's database in this folder")
    parser.add_argument("--rejects", type=Path, default=Path("online_retail_rejects.csv"))
    options = parser.parse_args(arguments)
    if not (options.data / FILE).exists():
        console.print(f"[red]no {FILE} in {options.data}[/]; say where it is with --data")
        return 2
    if options.url and not options.key:
        console.print("[red]--url needs --key, or ONHAND_ADMIN_KEY[/]")
        return 2
    if options.url:
        return replay(options, options.url, options.key)
    home = options.home or Path(tempfile.mkdtemp(prefix="onhand-replay-"))
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o755)  # started as root, the database runs as another user
    try:
        with embedded(home) as (url, key):
            status = replay(options, url, key)
        return status if verify(home) else 1
    finally:
        if options.home is None:
            shutil.rmtree(home, ignore_errors=True)


def replay(options: argparse.Namespace, url: str, key: str) -> int:
    invoices, rejects, counts = read(options.data / FILE, options.limit)
    opening, purchases = plan_stock(invoices)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("setting up", total=len(invoices))
        run = Replay(Server(url, key), lambda n: progress.update(task, advance=n))
        run.set_up(invoices, opening)
        progress.update(task, description="replaying")
        began = time.monotonic()
        run.run(invoices, purchases)
    rejects += run.rejects
    with options.rejects.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("row", "invoice", "code", "units", "reason"))
        writer.writerows((r.row, r.invoice, r.code, r.units, r.reason) for r in sorted(rejects, key=lambda r: r.row))
    console.print(report(run, counts, rejects, options.rejects, time.monotonic() - began))
    oversold = sum(row["oversold"] for row in stock(run.server))
    console.print(f"oversold: [{'red' if oversold else 'green'}]{oversold}[/]")
    return 1 if oversold else 0


def stock(server: Server) -> Iterator[Json]:
    cursor = ""
    while True:
        page = server.must("GET", f"/v1/stock?limit=1000{cursor}")
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def report(run: Replay, file: Counter[str], rejects: Sequence[Reject], path: Path, seconds: float) -> Table:
    c, placed = run.counts, max(1, run.counts["placed"])
    table = Table(title="Online Retail, replayed", show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    rows: list[tuple[str, str, str]] = [
        ("invoices in the file", f"{file['orders'] + file['cancellations']:,}", f"{file['rows']:,} rows"),
        ("  orders", f"{file['orders']:,}", f"{file['orders'] - c['placed']:,} have no row of goods with a price"),
        ("  cancellations", f"{file['cancellations']:,}", ""),
        ("orders placed", f"{c['placed']:,}", f"{c['lines']:,} lines, {c['units']:,} units"),
        ("  sourced", f"{c['sourced']:,}", f"{c['sourced'] / placed:.1%}"),
        ("  split", f"{c['split']:,}", f"{c['split'] / placed:.1%} have several fulfilments at once"),
        ("  backordered", f"{c['backordered']:,}", f"{c['backordered'] / placed:.1%}"),
        ("  unfillable", f"{c['unfillable']:,}", f"{c['unfillable'] / placed:.1%}"),
        ("  held", f"{c['held']:,}", "destination unknown"),
        ("fulfilments shipped", f"{c['shipped']:,}", ""),
        ("cancellations made", f"{c['cancels']:,}", f"{c['cancelled units']:,} units"),
        ("returns made", f"{c['returns']:,}", f"{c['returned units']:,} units"),
        ("rows rejected", f"{len(rejects):,}", str(path)),
    ]
    for reason, count in Counter(r.reason for r in rejects).most_common():
        rows.append((f"  {reason}", f"{count:,}", ""))
    rows += [
        ("seconds", f"{seconds:,.1f}", f"{run.placing_s:,.1f} of them placing orders"),
        ("orders/s", f"{c['placed'] / seconds:,.0f}", f"{c['placed'] / max(run.placing_s, 1e-9):,.0f} while placing"),
        ("lines/s", f"{c['lines'] / seconds:,.0f}", f"{c['lines'] / max(run.placing_s, 1e-9):,.0f} while placing"),
    ]
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
