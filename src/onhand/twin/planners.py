"""Who looks ahead in the town: tells onhand what was sold before, has a forecast made of it, and a plan of what to buy.
In the background, by the public interface, once the town lives.

A forecast is of days of the wall, and the town lives through many of its own in one. So a day of its past holds as much
as the town sells now in `_HOURS` of its hours; before it has sold that much today, days four times as long are told in
their place. Without that everything would be beyond its forecast in the end, and nothing would be news.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

from onhand.twin.board import Board
from onhand.twin.client import Client, WorldError
from onhand.twin.clock import Clock
from onhand.twin.founding import Founded
from onhand.twin.past import DAYS, Past
from onhand.twin.shoppers import DAY_S
from onhand.twin.storefronts import TILLS
from onhand.twin.world import Json

_LISTEN_S: Final = 15.0
"""Real seconds until it is known how much the town sells on this machine."""
_HOURS: Final = 15.0
# So much longer do days of the past become when today has sold so much of one.
_LONGER: Final = 4.0
_FULL: Final = 0.9
_LOOK_EVERY_S: Final = 20.0
_ASK_EVERY_S: Final = 1.0
_ROWS_PER_CALL: Final = 500
_LEAD_DAYS: Final = (3, 4, 4, 5, 8)
# Items whose sales of today stand for those of all.
_WATCHED: Final = 4


class Planners:
    """Of one run of the town."""

    def __init__(self, founded: Founded, client: Client, clock: Clock, board: Board) -> None:
        self._founded, self._client, self._clock, self._board = founded, client, clock, board
        self._past = Past(founded.world, int(founded.clock_s // DAY_S))
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; whatever is refused is told, and the town goes on without."""
        self._stop = stop
        try:
            await self._look_ahead()
        except WorldError as error:
            self._board.problem(f"planners: {error}")

    async def _look_ahead(self) -> None:
        today = datetime.now(UTC).date()
        before, began_s = self._orders(), self._clock.now_s()
        if await self._ends(_LISTEN_S):
            return
        per_s = max(self._orders() - before, 1) / max(self._clock.now_s() - began_s, 1.0)
        share = per_s * _HOURS * 3600 / self._past.orders
        sold = await self._sold(today)
        while not self._stop.is_set():
            while sold > _FULL * share * self._usual:
                share *= _LONGER
            if not await self._remember(today, share):
                return
            await self._plan()
            while (sold := await self._sold(today)) <= _FULL * share * self._usual:
                if await self._ends(_LOOK_EVERY_S):
                    return

    # Demand -----------------------------------------------------------------------------------------------------------

    def _orders(self) -> int:
        """So many were placed in this run, but those of the stores' tills."""
        tills = self._board.lines.get(TILLS.code)
        return self._board.counts["orders"] - (0 if tills is None else tills.heard)

    @property
    def _usual(self) -> float:
        """Units of the watched items on a whole day of the town that nothing holds up."""
        return sum(units for (sku, _), units in self._past.expected().items() if sku in self._past.usual[:_WATCHED])

    async def _sold(self, today: date) -> float:
        """The same of today, until now; what was sent to people, as of the past."""
        sold = 0.0
        for sku in self._past.usual[:_WATCHED]:
            asked = {"sku": sku, "from": today.isoformat(), "to": today.isoformat()}
            async for row in self._client.every("/v1/demand", **asked):
                sold += row["units"] if row["node"] is None and row["region"] in self._past.countries else 0.0
        return sold

    async def _remember(self, today: date, share: float) -> bool:
        """Tell the past and forecast; whether there is a forecast."""
        rows = await asyncio.to_thread(self._past.sales, today, share=share)
        for n in range(0, len(rows), _ROWS_PER_CALL):
            if self._stop.is_set():
                return False
            await self._client.must(self._client.post("/v1/sales/batch", {"sales": rows[n : n + _ROWS_PER_CALL]}))
        if not await self._job("/v1/forecasts/run", {"ablate": False}):
            return False
        self._board.event("forecast", f"made of {len(rows):,} rows of {DAYS} days before today")
        return True

    # Plans ------------------------------------------------------------------------------------------------------------

    async def _plan(self) -> None:
        supply: list[Json] = [
            {"sku": sku, "node": node, "supplier": "Wholesale Europe", "lead_days": list(_LEAD_DAYS)}
            for sku, node in self._founded.world.targets if sku in self._past.skus
        ]  # fmt: skip
        await self._client.must(self._client.post("/v1/supply/batch", {"supply": supply}))
        asked = {"kind": "replenish", "items": list(self._past.skus)}
        if await self._job("/v1/plans/run", asked):
            self._board.event("plan", "made of what to buy; its proposals wait for somebody")

    # Waiting ----------------------------------------------------------------------------------------------------------

    async def _job(self, path: str, body: Json) -> bool:
        """Whether it was done: it may fail, or the town ends first. Then nobody waits for it, and what a town has left
        to do at its end has the machine to itself."""
        key = f"demo{path}-{self._founded.run}-{self._clock.now_s():.0f}"
        job_id: str = (await self._client.must(self._client.post(path, body, key=key)))["job_id"]
        while True:
            job = await self._client.must(self._client.get(f"/v1/jobs/{job_id}"))
            if job["state"] == "done":
                return True
            if job["state"] in ("failed", "cancelled"):
                self._board.problem(f"{path}: {job['error']}")
                return False
            if await self._ends(_ASK_EVERY_S):
                await self._client.post(f"/v1/jobs/{job_id}/cancel", {}, name="/v1/jobs/cancel")
                return False

    async def _ends(self, seconds: float) -> bool:
        """Whether the town ends within so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()
