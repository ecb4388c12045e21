"""The channels at vendors, at work: they are founded, shoppers buy there what they are shown, and we watch.

Whoever buys there is known to us only by what the vendor tells. A fake is reached twice: by our connectors, through its
weather, and by its shoppers, who have no idea that there is an interface.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final, Self

import httpx2

from onhand.twin.board import Board, Line
from onhand.twin.client import Client, WorldError
from onhand.twin.clock import Agenda, Clock
from onhand.twin.fakes.weather import Sky
from onhand.twin.shoppers import Intent, Shoppers
from onhand.twin.storefronts import HUB, THIRD, TILLS, Front
from onhand.twin.story import Trouble
from onhand.twin.world import Json, World

_TIMEOUT_S: Final = 30.0
_WATCH_EVERY_S: Final = 1.0
# Orders that we have not heard of yet: beyond that many a vendor is further ahead of us than a day of outages would
# bring it, and who was due is not coming.
_AHEAD_MAX: Final = 250
_AT_ONCE: Final = 4
_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Stall:
    """A front with the port of its fake."""

    front: Front
    port: int

    @property
    def url(self) -> str:
        """Of the fake, on this machine."""
        return f"http://127.0.0.1:{self.port}"


class Street:
    """All channels at vendors. Use as `async with`. agenda: for what shoppers do later; None: they do nothing."""

    def __init__(
        self,
        stalls: Sequence[Stall],
        world: World,
        client: Client,
        clock: Clock,
        board: Board,
        run: int,
        *,
        agenda: Agenda | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        self._agenda, self._trouble = agenda, trouble
        # Whose weather is not the usual one.
        self._strange: set[str] = set()
        self._stalls, self._world, self._client, self._clock, self._board, self._run = (
            stalls, world, client, clock, board, run,
        )  # fmt: skip
        self._http = httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        self._door = asyncio.Semaphore(_AT_ONCE)
        # (channel, id there) -> when it was bought, until it is heard of; and those that were heard of.
        self._bought: dict[tuple[str, str], float] = {}
        self._heard: dict[tuple[str, str], None] = {}
        # References of entries, and how far the ledger was read for them.
        self._booked: set[str | None] = set()
        for stall in stalls:
            board.lines[stall.front.code] = Line(stall.front.connector, passes_files=not stall.front.lists)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    # Founding -------------------------------------------------------------------------------------------------------

    async def found(self, base_url: str, sync: Callable[[str], Awaitable[object]], *, speed: float) -> None:
        """Connect every channel, list what it sells, and let the weather begin. Raises WorldError.

        sync  makes what a channel sells our listings
        """
        await asyncio.gather(*(self._found(stall, base_url, sync, speed) for stall in self._stalls))

    async def _found(self, stall: Stall, base_url: str, sync: Callable[[str], Awaitable[object]], speed: float) -> None:
        code = stall.front.code
        document = stall.front.channel(stall.url, speed=speed)
        await self._client.must(self._client.put(f"/v1/channels/{code}", document))
        if stall.front.lists:
            rows = [{"sku": sku, "price_minor": self._world.prices_minor[sku]} for sku in self._world.skus]
            await self._ask(stall, "POST", "catalogue", rows)
            await sync(code)
        if stall.front.tells:
            await self._ask(stall, "POST", "hook", {"url": f"{base_url}/v1/channels/{code}/inbound"})
        await self._ask(stall, "POST", "weather", asdict(stall.front.sky))

    async def change_weather(self, skies: Mapping[str, Callable[[Sky], Sky]]) -> None:
        """What the weather of some vendors is from now on, made of their usual one; of the others it is as usual."""
        for stall in self._stalls:
            code = stall.front.code
            if code in skies or code in self._strange:
                sky = skies[code](stall.front.sky) if code in skies else stall.front.sky
                await self._ask(stall, "POST", "weather", asdict(sky))
        self._strange = {*skies}

    async def keep(self, node: str, units: Mapping[str, int]) -> None:
        """So many more, or less, lie at a node: whoever runs it for us has to know."""
        for stall in self._stalls:
            if stall.front is THIRD and node == HUB:
                await self._ask(stall, "POST", "keep", units)

    async def stock(self) -> None:
        """Whoever keeps goods for us and knows of none has what we think."""
        for stall in self._stalls:
            if stall.front is THIRD and not (await self._ask(stall, "GET", "weather"))["units"]:
                rows = self._client.every("/v1/stock", node=HUB)
                await self.keep(HUB, {row["sku"]: row["on_hand"] async for row in rows})

    async def ring_up(self, sales: Sequence[Json]) -> None:
        """Sold over the counter: [{place, sku, quantity}]."""
        for stall in self._stalls:
            if stall.front is TILLS and sales:
                await self._ask(stall, "POST", "sell", sales)

    # Buying ---------------------------------------------------------------------------------------------------------

    async def run(self, stall: Stall, stop: asyncio.Event) -> None:
        """Let the shoppers of one channel in, until `stop`."""
        shoppers = Shoppers(self._world, stall.front.shop, self._run, self._trouble)
        due_s = self._clock.now_s()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due_s += shoppers.wait_s(due_s)
                while not stop.is_set() and (rest := self._clock.real_s(due_s - self._clock.now_s())) > 0:
                    await asyncio.sleep(min(rest, 0.25))
                if self._clock.real_s(due_s - self._clock.now_s()) < -1:
                    due_s = self._clock.now_s()  # we are slower than the world: who was due is not coming
                if stop.is_set():
                    return
                intent = shoppers.visit(due_s)
                line = self._board.lines[stall.front.code]
                if line.bought - line.heard < _AHEAD_MAX:
                    await self._door.acquire()
                    group.create_task(self._buy(stall, intent))
                else:
                    await asyncio.sleep(0.05)

    async def _buy(self, stall: Stall, intent: Intent) -> None:
        code, line = stall.front.code, self._board.lines[stall.front.code]
        lines: dict[str, int] = {}
        for row in intent.order["lines"]:
            lines[row["sku"]] = lines.get(row["sku"], 0) + row["quantity"]
        where, who = intent.order["destination"], intent.order["customer"]
        to = {"country": where["country"], "postal_code": where["postal_code"], "city": "Somewhere", **who}
        try:
            answer = await self._http.post(f"{stall.url}/_fake/checkout", json={"lines": lines, "to": to})
        except httpx2.TransportError as error:
            self._board.problem(f"{code}: {error!r}")
            return
        finally:
            self._door.release()
        if answer.status_code == 409:
            line.sold_out += 1
            return
        line.bought += 1
        key = code, str(answer.json()["id"])
        if intent.cancels_s is not None and self._agenda is not None:
            self._agenda.after(intent.cancels_s, partial(self._cancel, stall, key[1]))
        if key in self._heard:  # faster than the answer
            self._hear(line, 0.0)
        else:
            self._bought[key] = time.monotonic()

    async def _cancel(self, stall: Stall, external_id: str) -> None:
        answer = await self._http.post(f"{stall.url}/_fake/cancel", json={"id": external_id})
        self._board.lines[stall.front.code].cancelled += answer.is_success

    def heard(self, code: str, external_id: str, status: str) -> bool:
        """An order of a channel is ours now; whether it is of this street, and new."""
        line, key = self._board.lines.get(code), (code, external_id)
        if line is None or key in self._heard:
            return False
        if len(self._heard) >= _REMEMBERED:
            self._heard.pop(next(iter(self._heard)))
        self._heard[key] = None
        line.oversold += status != "sourced"
        self._board.taken_in(status)
        if (at := self._bought.pop(key, None)) is not None:
            self._hear(line, time.monotonic() - at)
        return True

    def _hear(self, line: Line, seconds: float) -> None:
        line.heard += 1
        line.hearing.add(seconds)

    # Watching -------------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Keep the board's lines up to date, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_WATCH_EVERY_S)

    async def look(self) -> None:
        """Read once how the channels and their fakes are doing."""
        for stall in self._stalls:
            line = self._board.lines[stall.front.code]
            answer = await self._client.get(f"/v1/channels/{stall.front.code}/health")
            if answer.ok:
                line.health = answer.body
            with suppress(httpx2.TransportError):
                line.fake = await self._ask(stall, "GET", "weather")
                if orders := line.fake.get("orders"):
                    line.bought, line.heard = orders["placed"], orders["done"]

    # The end --------------------------------------------------------------------------------------------------------

    async def missing(self) -> dict[str, list[str]]:
        """{channel: ids of orders that were paid there and are not in our ledger}."""
        found: dict[str, list[str]] = {}
        for stall in self._stalls:
            if stall.front is THIRD:
                continue
            paid: Sequence[str] = await self._ask(stall, "GET", "paid")
            if stall.front is TILLS:
                found[stall.front.code] = await self._unbooked(stall, paid)
                continue
            rows = self._client.every(f"/v1/channels/{stall.front.code}/orders")
            ours = {row["external_id"] async for row in rows if row["order_id"] is not None}
            found[stall.front.code] = [one for one in paid if one not in ours]
        return found

    async def differing(self, told: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, list[str]]:
        """{channel: what is wrong with its listings}. told: by channel and sku, our number and one on its way."""
        found: dict[str, list[str]] = {}
        for stall in self._stalls:
            if not stall.front.lists:
                continue
            shelf: Mapping[str, int] = await self._ask(stall, "GET", "shelf")
            ours = told[stall.front.code]
            found[stall.front.code] = [
                f"{sku} shows {shelf.get(sku)}, not {' or '.join(map(str, units))}"
                for sku, units in ours.items()
                if shelf.get(sku, -1) not in units
            ]
        return found

    async def reconcile(self, code: str) -> None:
        """Have all that a channel shows read and compared now, as is done every hour."""
        await self._client.must(self._client.post(f"/v1/channels/{code}/reconcile", {}, key=f"demo-{time.time_ns()}"))
        self._board.lines[code].reconciled += 1

    async def _unbooked(self, stall: Stall, receipts: Sequence[str]) -> list[str]:
        """Receipts that are no entries of our ledger yet."""
        for node in stall.front.shop.nodes:
            # From the beginning: entries are not committed in the order of their ids.
            async for row in self._client.every("/v1/stock/entries", node=node):
                self._booked.add(row["reference"])
        return [one for one in receipts if f"{stall.front.code} {one}" not in self._booked]

    async def _ask(self, stall: Stall, method: str, name: str, body: Any = None) -> Any:
        answer = await self._http.request(method, f"{stall.url}/_fake/{name}", json=body)
        if not answer.is_success:
            raise WorldError(f"{stall.front.code} refused {name} ({answer.status_code}): {answer.text[:300]}")
        return answer.json()
