"""The world at work: shoppers, nodes, suppliers and somebody who listens, until told to stop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self

from onhand.errors import SettingsError
from onhand.twin.board import Board
from onhand.twin.client import Client, WorldError
from onhand.twin.clock import Agenda, Clock
from onhand.twin.counters import Counters
from onhand.twin.founding import Founded, close
from onhand.twin.nodes import Nodes
from onhand.twin.planners import Planners
from onhand.twin.scenarios.document import Scenario
from onhand.twin.shoppers import Shoppers
from onhand.twin.storefronts import HUB, THIRD, own
from onhand.twin.story import Chapter, Trouble
from onhand.twin.street import Stall, Street
from onhand.twin.suppliers import Suppliers
from onhand.twin.telling import Telling
from onhand.twin.visits import Visits

_WORKERS: Final = 24
_QUEUES: Final = ("backorder", "unfillable", "rejected", "to_source", "held", "preorder")
_QUEUES_EVERY_S: Final = 3.0
_PAGE: Final = 1_000
_KINDS: Final = "order.*,fulfilment.*,reservation.*,return.received"
# Kinds that are worth a line on the screen; the others are far too many.
_TOLD: Final = frozenset(
    (
        "order.backordered",
        "order.unfillable",
        "order.cancelled",
        "fulfilment.rejected",
        "reservation.expired",
        "return.received",
    )
)


class Town:
    """One run of a founded world at `speed` simulated seconds a second; tells `board` what happens.

    scenario  what goes wrong meanwhile; told: called with the number of each chapter, and with it, as it begins
    """

    def __init__(
        self,
        founded: Founded,
        client: Client,
        board: Board,
        *,
        speed: float,
        stalls: Sequence[Stall] = (),
        scenario: Scenario | None = None,
        told: Callable[[int, Chapter], None] | None = None,
    ) -> None:
        self._founded = founded
        self._trouble = Trouble()
        self._client = client
        self._board = board
        self.clock = Clock(speed, founded.clock_s)
        board.clock = self.clock.now_s
        world, run = founded.world, founded.run
        self.agenda = Agenda(self.clock, workers=_WORKERS, failed=lambda error: board.problem(repr(error)))
        self._stalls = stalls
        self._shops = own(world).shops if stalls else world.shops
        self._elsewhere = {HUB} if any(stall.front is THIRD for stall in stalls) else set[str]()
        self.street = Street(stalls, world, client, self.clock, board, run, agenda=self.agenda, trouble=self._trouble)
        self._counters = Counters(world, self.street, self.clock, run)
        self._visits = Visits(client, self.agenda, self.clock, board, moved=self.street.keep, trouble=self._trouble)
        self._nodes = Nodes(
            world, client, self.agenda, board, run, self._visits.delivered, elsewhere=self._elsewhere,
            trouble=self._trouble,
        )  # fmt: skip
        self._visits.work_with(self._nodes)
        self._suppliers = Suppliers(
            world, client, self.agenda, self.clock, board, run, seen=self._counters.seen, moved=self.street.keep,
            trouble=self._trouble,
        )  # fmt: skip
        self._planners = Planners(founded, client, self.clock, board)
        self._telling = None if scenario is None else Telling(
            scenario, world, client, self.clock, board, self._trouble,
            weather=lambda: self.street.change_weather(self._trouble.skies), told=told or (lambda _n, _chapter: None),
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.street.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.street.__aexit__(*error)

    async def live(self, stop: asyncio.Event, after: Callable[[], Awaitable[None]] | None = None) -> None:
        """Until `stop`; then finishes what is under way. Raises WorldError when the server is gone.

        after  what is done then, while we still hear and watch
        """
        if not self._founded.is_new:
            await self._resume()
        world, run = self._founded.world, self._founded.run
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.agenda.run(stop))
                for shop in self._shops:
                    group.create_task(self._visits.run(Shoppers(world, shop, run, self._trouble), stop))
                for stall in self._stalls:
                    if stall.front.lists:
                        group.create_task(self.street.run(stall, stop))
                group.create_task(self._counters.run(stop))
                group.create_task(self._suppliers.run(stop))
                group.create_task(self._planners.run(stop))
                if self._telling is not None:
                    group.create_task(self._telling.run(stop))
                watchers = [
                    group.create_task(watch) for watch in (self._listen(), self._watch_queues(), self.street.watch())
                ]
                await stop.wait()
                if after is not None:
                    await self.street.change_weather({})
                    await after()
                for watcher in watchers:
                    watcher.cancel()
        except* (WorldError, SettingsError) as failed:
            raise failed.exceptions[0] from None

    async def differences(
        self, told: Mapping[str, Mapping[str, Sequence[int]]], *, reconciles: bool = False
    ) -> list[str]:
        """What the channels at vendors and we do not agree on, a sentence each.

        told        by channel and sku, our number, and one that is on its way
        reconciles  have a channel that shows another number read now: nobody but the hourly reading finds, say, an
                    order that came and went between two messages while we wrote
        """
        await self.street.look()
        found: list[str] = []
        for code, ids in (await self.street.missing()).items():
            found += [f"{code}: order {one} was paid and is not in our ledger" for one in ids]
        for code, rows in (await self.street.differing(told)).items():
            found += [f"{code}: {row}" for row in rows]
            if rows and reconciles:
                await self.street.reconcile(code)
        for code, line in self._board.lines.items():
            if depth := line.health.get("queue_depth"):
                found.append(f"{code}: {depth} listings do not show what they should yet")
        if not found:
            await self._read_shelves()
            if units := self._board.total("oversold"):  # taken from the shelf by somebody; we move orders elsewhere
                found.append(f"{units} units are promised twice")
        return found

    async def _read_shelves(self) -> None:
        for site in self._founded.world.sites:
            await self._suppliers.read(site.code)

    async def close(self) -> None:
        """Read the stock a last time and note where the clock stands."""
        await self._read_shelves()
        await close(self._client, self._founded, self.clock.now_s())

    async def _resume(self) -> None:
        """Take up the work that earlier runs have left."""
        await self._suppliers.resume()
        for status in ({}, {"status": "shipped"}):  # what nodes have to do, and what carriers have
            async for fulfilment in self._client.every("/v1/fulfilments", **status):
                self._nodes.adopt(fulfilment["order_id"], [fulfilment])
        for queue in _QUEUES:
            async for order in self._client.every("/v1/orders", queue=queue):
                self._visits.waits(order["order_id"])

    async def _listen(self) -> None:
        """Follow the events: the screen's last lines, and orders for which supply has come."""
        async for event in self._client.events(_KINDS):
            kind, data = event["type"], event["data"]
            order_id = data.get("order_id")
            is_new = kind.startswith("order.") and "change" not in data
            if is_new and self.street.heard(data["channel"], data["external_id"], data["status"]):
                self.agenda.after(0, partial(self._nodes.look_up, order_id))
            if kind == "fulfilment.shipped" and data["node"] in self._elsewhere:  # a carrier has it now
                self._board.counts["shipped"] += 1
                self.agenda.after(0, partial(self._nodes.look_up, order_id))
            if kind.startswith("order.") and "fulfilments" in data:  # supply has come, or a node has refused
                if data["queue"] is None:
                    self._visits.waiting.discard(order_id)
                self.agenda.after(0, partial(self._nodes.look_up, order_id))
            if kind.startswith("order.") and data.get("queue") is not None:
                self._visits.waits(order_id)
            if kind in _TOLD or data.get("change") == "source":
                self._board.event(kind, _sentence(event))

    async def _watch_queues(self) -> None:
        while True:
            for queue in _QUEUES:
                page = await self._client.must(self._client.get("/v1/orders", queue=queue, limit=_PAGE))
                count = len(page["data"])
                self._board.queues[queue] = f"{count}+" if page["next_cursor"] else str(count)
            await asyncio.sleep(_QUEUES_EVERY_S)


def _sentence(event: dict[str, Any]) -> str:
    data = event["data"]
    name = data.get("external_id") or data.get("fulfilment_id") or data.get("order_id") or event["subject"]
    why = "supply has come" if data.get("change") == "source" else event["reason"] or data.get("reason")
    return " ".join([name, *([f"by {data['node']}"] if "node" in data else [])]) + (f": {why}" if why else "")
