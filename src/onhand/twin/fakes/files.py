"""Those who pass files: the tills of our stores, and a third party that keeps and ships goods for us.

    tills  POST /_fake/sell  [{"place", "sku", "quantity"}]; `sales/*.csv` every few seconds
    hub    POST /_fake/keep  {sku: units} lie there; reads 940 in `out`, answers 997, 945 and 846 in `in`

The X12 here is read and written by rules of its own, not by those of our connector.
"""

import asyncio
import csv
import io
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from onhand.twin.fakes.base import Faults
from onhand.twin.fakes.stands import Json, Stand
from onhand.twin.fakes.weather import Sky

_WRITE_EVERY_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.5
# A shelf is counted when nothing has moved there for so long: what is on its way in files would be taken off twice.
_QUIET_S: Final = 180.0
_COUNT_EVERY_S: Final = 20.0
_COUNTED_AT_ONCE: Final = 10
# Of a hundred shelves one has a unit less than its papers say.
_SHRINKAGE: Final = 0.01


def write_whole(path: Path, text: str) -> None:
    """Nobody sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, "utf-8", newline="")
    draft.replace(path)


class Roll:
    """What tills remember: receipts that were not written to a file yet, and how many there were."""

    def __init__(self) -> None:
        self.waiting: list[Json] = []
        self.receipts: list[str] = []
        self.files = 0

    def app(self) -> Faults:
        """Nobody asks tills anything."""
        return Faults(Starlette())


class Tills(Stand):
    """The tills of all stores write to one folder."""

    name = "tills"
    shop: Roll

    def __init__(self, folder: Path, *, seed: int = 1, sky: Sky | None = None) -> None:
        super().__init__(Roll(), seed=seed, sky=sky)
        self._folder = folder
        self.control["/_fake/sell"] = Route("/_fake/sell", self._sell, methods=["POST"])

    def sell(self, place: str, sku: str, quantity: int) -> str:
        """A receipt; its number."""
        roll = self.shop
        number = f"R{len(roll.receipts) + 1:07d}"
        roll.receipts.append(number)
        said = datetime.now(UTC).isoformat(timespec="seconds")
        roll.waiting.append({"external_id": number, "sku": sku, "quantity": quantity, "at": said, "place": place})
        return number

    def write(self) -> None:
        """A file of what was sold since the last one."""
        roll = self.shop
        if not roll.waiting:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(roll.waiting[0]))
        writer.writeheader()
        writer.writerows(roll.waiting)
        roll.files += 1
        write_whole(self._folder / "sales" / f"{roll.files:07d}.csv", text.getvalue())
        roll.waiting.clear()

    def paid(self) -> list[str]:
        return list(self.shop.receipts)

    def state(self) -> Json:
        sold = len(self.shop.receipts)
        return super().state() | {"orders": {"placed": sold, "done": sold - len(self.shop.waiting)}}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            if not self.weather.is_down:
                self.write()

    async def _sell(self, request: Request) -> Response:
        return JSONResponse([self.sell(**row) for row in await request.json()])


class Warehouse:
    """What a third party remembers. stock: units by sku; orders: by our reference; moved_at: by sku."""

    def __init__(self) -> None:
        self.stock: dict[str, int] = {}
        self.moved_at: dict[str, float] = {}
        self.orders: dict[str, Json] = {}
        self.read: set[str] = set()
        self.control = 0

    def app(self) -> Faults:
        """Nobody asks it anything."""
        return Faults(Starlette())


class Hub(Stand):
    """A third party that is written to in X12. ship_s: usual time until an order has left."""

    name = "hub"
    shop: Warehouse

    def __init__(self, folder: Path, *, seed: int = 1, sky: Sky | None = None, ship_s: float = 15.0) -> None:
        super().__init__(Warehouse(), seed=seed, sky=sky)
        self._folder, self._ship_s = folder, ship_s
        self._draw = random.Random(f"onhand hub {seed}")  # noqa: S311
        self._count_at = 0.0
        self.control["/_fake/keep"] = Route("/_fake/keep", self._keep, methods=["POST"])

    def keep(self, units: Mapping[str, int], now: float) -> None:
        """So many more lie there."""
        for sku, more in units.items():
            self.shop.stock[sku] = self.shop.stock.get(sku, 0) + more
            self.shop.moved_at[sku] = now

    def read(self, now: float) -> None:
        """Take in what was asked for, and say that it came."""
        for path in sorted((self._folder / "out").glob("940*")):
            if path.name in self.shop.read:
                continue
            self.shop.read.add(path.name)
            segments = segments_of(path.read_text("utf-8"))
            order = order_of(segments)
            due = now + self._ship_s * self._draw.lognormvariate(0, 0.45)
            self.shop.orders.setdefault(order["reference"], order | {"due": due, "is_shipped": False})
            for line in order["lines"]:
                self.shop.moved_at[line["sku"]] = now
            control = next(s[6] for s in segments if s[0] == "GS")
            self._answer("997", "FA", [
                ["AK1", "OW", control], ["AK2", "940", "0001"], ["AK5", "A"], ["AK9", "A", "1", "1", "1"],
            ])  # fmt: skip

    def ship(self, now: float) -> None:
        """What is due leaves, as far as it is there."""
        for reference, order in self.shop.orders.items():
            if not order["is_shipped"] and order["due"] <= now:
                order["is_shipped"] = True
                self._answer("945", "SW", self._advice(reference, order, now))

    def count(self, now: float) -> None:
        """Some shelves on which nothing has moved for a while are counted."""
        stock, quiet = self.shop.stock, now - _QUIET_S
        open_skus = {x["sku"] for o in self.shop.orders.values() if not o["is_shipped"] for x in o["lines"]}
        skus = [sku for sku in stock if self.shop.moved_at.get(sku, 0.0) <= quiet and sku not in open_skus]
        if not skus:
            return
        chosen = self._draw.sample(skus, min(len(skus), _COUNTED_AT_ONCE))
        for sku in chosen:
            if stock[sku] and self._draw.random() < _SHRINKAGE:
                stock[sku] -= 1
        day, time = _now()
        body = [["BIA", "00", "DD", f"COUNT{self.shop.control + 1}", day, time], ["N1", "WH", "", "92", "BCN"]]
        for sku in chosen:
            body += [["LIN", "", "SK", sku], ["QTY", "17", str(stock[sku])]]
        self._answer("846", "IB", [*body, ["CTT", str(len(chosen))]])

    def _advice(self, reference: str, order: Json, now: float) -> list[list[str]]:
        body = [
            ["W06", "F", reference, _now()[0], f"S-{self.shop.control + 1}"], ["N1", "WH", "", "92", "BCN"],
            ["W27", "M", "NPST", "GROUND"],
        ]  # fmt: skip
        total = 0
        for number, line in enumerate(order["lines"], 1):
            sku, wanted = line["sku"], line["quantity"]
            units = min(wanted, self.shop.stock.get(sku, 0))
            self.shop.stock[sku] = self.shop.stock.get(sku, 0) - units
            self.shop.moved_at[sku] = now
            total += units
            # CP: shipped in part, and that is all.
            code = "CC" if units == wanted else "CP"
            body += [
                ["LX", str(number)], ["MAN", "CP", f"BCN{self.shop.control + 1:08d}"],
                ["W12", code, str(wanted), str(units), str(wanted - units), "EA", "", "SK", sku],
                ["N9", "LI", line["line_id"]],
            ]  # fmt: skip
        return [*body, ["W03", str(total)]]

    def _answer(self, kind: str, group: str, body: Sequence[Sequence[str]]) -> None:
        self.shop.control += 1
        control = self.shop.control
        write_whole(self._folder / "in" / f"{control:09d}-{kind}.x12", interchange(kind, group, body, control))

    def state(self) -> Json:
        orders = self.shop.orders.values()
        return super().state() | {
            "orders": {"placed": len(orders), "done": sum(o["is_shipped"] for o in orders)},
            "units": sum(self.shop.stock.values()),
        }

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = datetime.now(UTC).timestamp()
            if self.weather.is_down:
                continue
            self.read(now)
            self.ship(now)
            if now >= self._count_at:
                self.count(now)
                self._count_at = now + _COUNT_EVERY_S

    async def _keep(self, request: Request) -> Response:
        self.keep(await request.json(), datetime.now(UTC).timestamp())
        return JSONResponse(self.state())


# X12 ------------------------------------------------------------------------------------------------------------------


def segments_of(text: str) -> list[list[str]]:
    """Segments with their elements. The separators stand in ISA, which is as long as ever."""
    element, end = text[3], text[105]
    return [one.strip("\r\n").split(element) for one in text.split(end) if one.strip()]


def order_of(segments: Sequence[Sequence[str]]) -> Json:
    """{reference, lines: [{line_id, sku, quantity}]} of a 940. Raises ValueError."""
    reference, lines = "", []
    found: list[dict[str, Any]] = lines
    for segment in segments:
        match segment[0]:
            case "W05":
                reference = segment[2]
            case "W01":
                sku = segment[segment.index("SK") + 1]
                found.append({"sku": sku, "quantity": int(segment[1]), "line_id": ""})
            case "N9" if found and segment[1] == "LI":
                found[-1]["line_id"] = segment[2]
            case _:
                pass
    if not reference or not found:
        raise ValueError("expected a 940 with W05 and W01")
    return {"reference": reference, "lines": found}


def interchange(kind: str, group: str, body: Sequence[Sequence[str]], control: int) -> str:
    """One message in its envelopes, from HUB to ONHAND."""
    day, time = _now()
    isa = [
        "ISA", "00", " " * 10, "00", " " * 10, "ZZ", "HUB".ljust(15), "ZZ", "ONHAND".ljust(15), day[2:], time, "U",
        "00401", f"{control:09d}", "0", "P", ">",
    ]  # fmt: skip
    rows = [
        isa,
        ["GS", group, "HUB", "ONHAND", day, time, str(control), "X", "004010"],
        ["ST", kind, "0001"],
        *body,
        ["SE", str(len(body) + 2), "0001"],
        ["GE", "1", str(control)],
        ["IEA", "1", f"{control:09d}"],
    ]
    return "".join("*".join(row) + "~\n" for row in rows)


def _now() -> tuple[str, str]:
    moment = datetime.now(UTC)
    return f"{moment:%Y%m%d}", f"{moment:%H%M}"
