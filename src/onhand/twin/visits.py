"""A visit, call by call: ask, hold, order, change one's mind, send back."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from onhand.twin.board import Board
from onhand.twin.client import Client
from onhand.twin.clock import Agenda, Clock
from onhand.twin.nodes import Nodes
from onhand.twin.shoppers import Intent, Shoppers
from onhand.twin.story import Trouble
from onhand.twin.world import Json

# A held basket is kept for fifteen simulated minutes.
_HOLD_S = 900.0
# After that long nobody waits for goods without a date any more; simulated.
_PATIENCE_S = 2.5 * 3600
# Visits under way at once: more than that and shoppers queue at the door. Each order makes nodes call some four times,
# with three times as many workers (town.py): a slow server then slows both sides alike.
_AT_ONCE = 8
_RETURNS_KEPT = 50_000


class Visits:
    """The shoppers of our own channels, from the door to the return desk. moved: told of what was sent back; trouble:
    what is wrong now."""

    def __init__(
        self,
        client: Client,
        agenda: Agenda,
        clock: Clock,
        board: Board,
        *,
        moved: Callable[[str, Mapping[str, int]], Awaitable[None]] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        self._moved = moved
        self._trouble = Trouble() if trouble is None else trouble
        self._draw = random.Random("onhand double clicks")  # noqa: S311 - a simulation, no secret
        self._client = client
        self._agenda = agenda
        self._clock = clock
        self._board = board
        self._door = asyncio.Semaphore(_AT_ONCE)
        self._returns: dict[str, tuple[float, str]] = {}
        self._nodes: Nodes | None = None
        # Orders some units of which wait for supply: events about them are worth a look.
        self.waiting: set[str] = set()

    def work_with(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def run(self, shoppers: Shoppers, stop: asyncio.Event) -> None:
        """Let the shoppers of one channel in, until `stop`."""
        due_s = self._clock.now_s()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                due_s += shoppers.wait_s(due_s)
                ahead_s = self._clock.real_s(due_s - self._clock.now_s())
                if ahead_s > 0:
                    await asyncio.sleep(min(ahead_s, 0.25))
                    while not stop.is_set() and (rest := self._clock.real_s(due_s - self._clock.now_s())) > 0:
                        await asyncio.sleep(min(rest, 0.25))
                elif ahead_s < -1:
                    due_s = self._clock.now_s()  # the server is slower than the world: who was due is not coming
                if stop.is_set():
                    return
                await self._door.acquire()
                group.create_task(self._visit(shoppers.visit(due_s)))

    async def _visit(self, intent: Intent) -> None:
        try:
            if intent.asks:
                await self._ask(intent)
            if intent.reserves_s is None:
                await self._order(intent)
            else:
                await self._hold(intent, intent.reserves_s)
        except Exception as error:
            self._board.problem(f"visit: {error!r}")
        finally:
            self._door.release()

    async def _ask(self, intent: Intent) -> None:
        """When could it come? Who finds that the store near by cannot serve has it shipped instead."""
        order = intent.order
        question: Json = {
            "channel": order["channel"],
            "destination": order["destination"],
            "lines": [{"sku": line["sku"], "quantity": line["quantity"]} for line in order["lines"]],
        }
        if picks_up := order.get("method") == "pickup":
            question |= {"method": "pickup", "pickup_node": order["pickup_node"]}
        answer = await self._client.post("/v1/promises", question)
        if picks_up and answer.ok and not answer.body["options"]:
            for wish in ("method", "pickup_node", "allow_split"):
                del order[wish]

    async def _hold(self, intent: Intent, seconds: float) -> None:
        order = intent.order
        request: Json = {
            "channel": order["channel"],
            "destination": order["destination"],
            "lines": [{"sku": line["sku"], "quantity": line["quantity"]} for line in order["lines"]],
            "ttl_s": max(2, math.ceil(self._clock.real_s(_HOLD_S))),
        }
        answer = await self._client.post("/v1/reservations", request, key=f"hold-{order['external_id']}")
        if not answer.ok:
            await self._order(intent)  # sold out for a basket; the order may still wait for supply
            return
        self._board.counts["reservations"] += 1
        reservation_id = answer.body["reservation_id"]
        if intent.orders:
            self._agenda.after(seconds, partial(self._order, intent, reservation_id))
        elif intent.lets_go:
            self._agenda.after(seconds, partial(self._let_go, reservation_id))

    async def _let_go(self, reservation_id: str) -> None:
        await self._client.delete(f"/v1/reservations/{reservation_id}")

    async def _order(self, intent: Intent, reservation_id: str | None = None) -> None:
        order = intent.order if reservation_id is None else intent.order | {"reservation_id": reservation_id}
        answer = await self._client.post("/v1/orders", order, key=order["external_id"])
        if not answer.ok:
            self._board.problem(f"order {order['external_id']}: {answer.status} {answer.body.get('detail', '')}")
            return
        placed = answer.body
        order_id = placed["order_id"]
        self._board.placed(placed, order)
        assert self._nodes is not None, "the nodes are at work before the first shopper comes"
        self._nodes.adopt(order_id, placed["fulfilments"])
        if placed["status"] != "sourced":
            self.waits(order_id)
        share = self._trouble.doubled.get(order["channel"], 0.0)
        if share and reservation_id is None and self._draw.random() < share:
            await self._order_again(order)
        if intent.cancels_s is not None:
            self._agenda.after(intent.cancels_s, partial(self._cancel, order_id, "changed their mind"))
        elif intent.returns_s is not None:
            if len(self._returns) >= _RETURNS_KEPT:
                self._returns.pop(next(iter(self._returns)))
            self._returns[order_id] = intent.returns_s, intent.disposition

    async def _order_again(self, order: Json) -> None:
        """A second click."""
        twice = order | {"external_id": f"{order['external_id']}-2"}
        answer = await self._client.post("/v1/orders", twice, key=twice["external_id"])
        if answer.ok and self._nodes is not None:
            self._board.placed(answer.body, twice)
            self._nodes.adopt(answer.body["order_id"], answer.body["fulfilments"])

    def waits(self, order_id: str) -> None:
        """Watch an order that was not sourced in full; its shopper has some patience."""
        if order_id in self.waiting:
            return
        self.waiting.add(order_id)
        self._agenda.after(_PATIENCE_S, partial(self._lose_patience, order_id))

    async def _lose_patience(self, order_id: str) -> None:
        if order_id not in self.waiting or self._nodes is None:
            return
        order = await self._nodes.look_up(order_id)
        if order is None or order["queue"] is None:
            self.waiting.discard(order_id)
        elif order["queue"] in ("unfillable", "rejected"):
            await self._cancel(order_id, "would not wait any longer")
        else:
            self._agenda.after(_PATIENCE_S, partial(self._lose_patience, order_id))

    async def _cancel(self, order_id: str, reason: str) -> None:
        answer = await self._client.post(
            f"/v1/orders/{order_id}/cancel", {}, key=f"cancel-{order_id}", reason=reason, name="cancel"
        )
        if answer.ok:
            self._board.counts["cancelled"] += 1
            self.waiting.discard(order_id)
            if self._nodes is not None:
                await self._nodes.look_up(order_id)

    def delivered(self, order_id: str, node: str) -> None:
        """Its shopper unpacks, and may want to send something back."""
        if (wanted := self._returns.pop(order_id, None)) is not None:
            seconds, disposition = wanted
            self._agenda.after(seconds, partial(self._send_back, order_id, node, disposition))

    async def _send_back(self, order_id: str, node: str, disposition: str) -> None:
        assert self._nodes is not None, "it was delivered by one"
        order = await self._nodes.look_up(order_id)
        line = next((x for x in order["lines"] if x["shipped"] > x["returned"]), None) if order else None
        if line is None:
            return
        answer = await self._client.post(
            "/v1/returns",
            {
                "order_id": order_id,
                "node": node,
                "disposition": disposition,
                "lines": [{"line_id": line["line_id"], "quantity": 1}],
            },
            key=f"return-{order_id}",
        )
        self._board.counts["returned"] += answer.ok
        if answer.ok and self._moved is not None:
            await self._moved(node, {line["sku"]: 1})
