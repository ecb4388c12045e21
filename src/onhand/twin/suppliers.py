"""Goods come in: purchase orders when a shelf runs low, receipts when they arrive, and what stocktaking finds."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from onhand.twin.board import Board
from onhand.twin.client import Client
from onhand.twin.clock import Agenda, Clock
from onhand.twin.story import Trouble
from onhand.twin.world import Json, World

# A node's shelves are looked through this often (real time): twelve nodes take some six seconds.
_LOOK_EVERY_S: Final = 0.5
# Half of the target on the shelf or on its way: time to order.
_ORDER_BELOW: Final = 0.5
_LEAD_H: Final = {"warehouse": 3.0, "third_party": 4.0, "store": 2.0, "supplier": 3.0}
# One delivery in twelve is late, by twice its time.
_LATE: Final = 1 / 12
_ENTRIES_MAX: Final = 1_000


class Suppliers:
    """Keeps the shelves of all nodes filled, so that the world can go on for ever.

    seen   told of the positions of a node whenever they were read
    moved  told of units by sku that came to a node, or were thrown away there
    trouble  what is wrong now
    """

    def __init__(
        self,
        world: World,
        client: Client,
        agenda: Agenda,
        clock: Clock,
        board: Board,
        run: int,
        *,
        seen: Callable[[str, Sequence[Json]], None] | None = None,
        moved: Callable[[str, Mapping[str, int]], Awaitable[None]] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        self._seen, self._moved = seen, moved
        self._trouble = Trouble() if trouble is None else trouble
        self._world = world
        self._client = client
        self._agenda = agenda
        self._clock = clock
        self._board = board
        self._run = run
        self._number = 0
        self._draw = random.Random(f"onhand suppliers {world.seed} {run}")  # noqa: S311

    async def resume(self) -> None:
        """Take on the purchase orders of earlier runs that have not arrived."""
        async for document in self._client.every("/v1/inbound", open="true"):
            due = datetime.fromisoformat(document["lines"][0]["expected_at"]) - datetime.now(UTC)
            self._expect(document, max(0.0, due.total_seconds()) * self._clock.speed)

    async def run(self, stop: asyncio.Event) -> None:
        """Look through one node after the other, until `stop`; the first time without a pause."""
        pause_s = 0.0
        while not stop.is_set():
            for site in self._world.sites:
                if not stop.is_set():
                    await self.look_through(site.code)
                    await asyncio.sleep(pause_s)
            pause_s = _LOOK_EVERY_S

    async def look_through(self, node: str) -> None:
        """Read the stock of `node`, order what runs low, deal with what cannot be sold."""
        rows = await self.read(node)
        lines = shortages(rows, self._world.targets)
        if lines:
            await self._purchase(node, lines)
        damaged = [row for row in rows if row["unavailable"] and self._draw.random() < 0.3]
        if damaged:
            entries = [self._inspected(row) for row in damaged]
            answer = await self._client.post("/v1/stock/entries", {"entries": entries}, key=self._key("check", node))
            if answer.ok:
                gone = [entry for entry in entries if entry["kind"] == "adjustment"]
                await self._tell(node, gone)

    async def read(self, node: str) -> list[Json]:
        """All positions of `node`, for the board too."""
        rows = [row async for row in self._client.every("/v1/stock", node=node)]
        self._board.shelf(node, rows)
        if self._seen is not None:
            self._seen(node, rows)
        return rows

    async def _purchase(self, node: str, lines: Sequence[tuple[str, int]]) -> None:
        lead_s = 3600 * _LEAD_H[self._world.site(node).node_type] * self._draw.lognormvariate(0, 0.3)
        expected_at = datetime.now(UTC) + timedelta(seconds=self._clock.real_s(lead_s))
        reference = self._key("PO", node)
        document = {
            "reference": reference,
            "node": node,
            "supplier": "Maker & Sons",
            "lines": [
                {
                    "sku": sku,
                    "quantity": quantity,
                    "expected_at": expected_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
                    "confidence": 0.9,
                }
                for sku, quantity in lines
            ],
        }
        answer = await self._client.post("/v1/inbound", document, key=reference)
        if not answer.ok:
            self._board.problem(f"/v1/inbound: {answer.problem}")
            return
        self._board.event("inbound.created", f"{reference}: {sum(q for _, q in lines)} units to {node}")
        late_h, _ = self._trouble.supply
        self._expect(answer.body, lead_s * (3 if self._draw.random() < _LATE else 1) + late_h * 3600)

    def _expect(self, document: Json, lead_s: float) -> None:
        self._agenda.after(lead_s, partial(self._arrive, document))

    async def _arrive(self, document: Json) -> None:
        _, short = self._trouble.supply
        entries: list[Json] = [
            {
                "kind": "receipt",
                "sku": line["sku"],
                "node": document["node"],
                "quantity": missing,
                "reference": document["reference"],
            }
            for line in document["lines"]
            if (missing := round((line["quantity"] - line.get("received", 0)) * (1 - short))) > 0
        ]
        for n in range(0, len(entries), _ENTRIES_MAX):
            part = entries[n : n + _ENTRIES_MAX]
            answer = await self._client.post(
                "/v1/stock/entries", {"entries": part}, key=f"{document['reference']}-arrival-{n}"
            )
            if answer.ok:
                self._board.counts["receipts"] += sum(entry["quantity"] for entry in part)
                await self._tell(document["node"], part)
        units = sum(entry["quantity"] for entry in entries)
        self._board.event("stock.received", f"{document['reference']}: {units} units at {document['node']}")

    async def _tell(self, node: str, entries: Iterable[Json]) -> None:
        units: Counter[str] = Counter()
        for entry in entries:
            units[entry["sku"]] += entry["quantity"]
        if units and self._moved is not None:
            await self._moved(node, units)

    def _inspected(self, row: Json) -> Json:
        """Half of what was set aside turns out to be fine, the rest is thrown away."""
        fine = self._draw.random() < 0.5
        entry: Json = {
            "kind": "restore" if fine else "adjustment",
            "sku": row["sku"],
            "node": row["node"],
            "quantity": row["unavailable"] if fine else -row["unavailable"],
            "reason": "inspected: fine" if fine else "written off",
        }
        return entry if fine else entry | {"state": "unavailable"}

    def _key(self, what: str, node: str) -> str:
        self._number += 1
        return f"{what}-{self._run}-{self._number:05d}-{node}"


def shortages(rows: Iterable[Json], targets: Mapping[tuple[str, str], int]) -> list[tuple[str, int]]:
    """(sku, units) to order so that every shelf of a node reaches its target again.

    rows     positions of one node; `inbound` counts what is on its way
    targets  (sku, node) -> units
    """
    lines: list[tuple[str, int]] = []
    for row in rows:
        target = targets.get((row["sku"], row["node"]), 0)
        coming = row["available"] + row["inbound"]
        if coming < target * _ORDER_BELOW:
            lines.append((row["sku"], target - coming))
    return lines
