"""The nodes' side: they accept, sometimes refuse, pack, ship; the carrier delivers; some of it comes back."""

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from onhand.twin.board import OPEN_STATES, Board
from onhand.twin.client import Answer, Client
from onhand.twin.clock import Agenda, Job
from onhand.twin.story import Trouble
from onhand.twin.world import Json, World

# Simulated hours from hand-over to the door: the world's own pace, so that a short run sees deliveries.
_TRANSIT_H: Final = {"express": 1.0, "standard": 2.5, "pickup": 0.4}
_REJECT_REASONS: Final = {"not_found": 4, "damaged": 2, "no_capacity": 3, "closed": 1}
# What is not accepted, packed or shipped at once: a spread around the node's median.
_SPREAD = 0.45


@dataclass(slots=True)
class Parcel:
    """A fulfilment that a node works on."""

    fulfilment_id: str
    order_id: str
    node: str
    status: str
    service: str
    carrier: str = ""


class Nodes:
    """All nodes of the world at work. `delivered` is called with (order_id, node) when an order may come back.

    elsewhere  nodes whose work is done by somebody else, until a parcel has left
    trouble    what is wrong now
    """

    def __init__(
        self,
        world: World,
        client: Client,
        agenda: Agenda,
        board: Board,
        run: int,
        delivered: Callable[[str, str], None],
        *,
        elsewhere: Collection[str] = (),
        trouble: Trouble | None = None,
    ) -> None:
        self._trouble = Trouble() if trouble is None else trouble
        self._elsewhere = frozenset(elsewhere)
        self._sites = {site.code: site for site in world.sites}
        self._client = client
        self._agenda = agenda
        self._board = board
        self._draw = random.Random(f"onhand nodes {world.seed} {run}")  # noqa: S311
        self._delivered = delivered
        self._parcels: dict[str, Parcel] = {}

    def adopt(self, order_id: str, fulfilments: Iterable[Json]) -> None:
        """Take on what is new among an order's fulfilments. As answered by POST /v1/orders they have no status."""
        for f in fulfilments:
            status = f.get("status", "allocated")
            known = self._parcels.get(f["fulfilment_id"])
            if known is not None:
                if status not in OPEN_STATES:
                    self._end(known, status)
                continue
            if status not in OPEN_STATES or f["node"] not in self._sites:
                continue
            if f["node"] in self._elsewhere and status != "shipped":
                continue
            parcel = Parcel(
                f["fulfilment_id"], order_id, f["node"], status, f.get("service") or "standard", f.get("carrier") or ""
            )
            self._parcels[parcel.fulfilment_id] = parcel
            self._board.moved(parcel.node, None, status)
            self._next(parcel)

    async def look_up(self, order_id: str) -> Json | None:
        """Read an order again and take on its new fulfilments; the order, None when it is gone."""
        answer = await self._client.get(f"/v1/orders/{order_id}")
        if not answer.ok:
            return None
        self.adopt(order_id, answer.body["fulfilments"])
        return answer.body

    def _next(self, parcel: Parcel) -> None:
        site, trouble = self._sites[parcel.node], self._trouble
        job: Job
        if parcel.status == "allocated":
            if parcel.node in trouble.forgets and self._draw.random() < trouble.forgets[parcel.node]:
                return
            refuses = self._draw.random() < site.reject_rate + trouble.refuses.get(parcel.node, 0.0)
            minutes, job = site.accept_min, partial(self._reject if refuses else self._accept, parcel)
        elif parcel.status == "accepted":
            minutes, job = site.pack_min, partial(self._step, parcel, "pack", "packed")
        elif parcel.status in ("packed", "partly_shipped"):
            minutes, job = site.ship_min, partial(self._ship, parcel)
        else:
            hours = _TRANSIT_H.get(parcel.service, 2.5) + trouble.carriers.get(parcel.carrier, 0.0)
            share, longer = trouble.stray
            hours += longer if share and self._draw.random() < share else 0.0
            minutes, job = 60 * hours, partial(self._deliver, parcel)
        if parcel.status != "shipped":
            minutes /= max(trouble.slow.get(parcel.node, 1.0), 0.01)
        self._agenda.after(minutes * 60 * self._draw.lognormvariate(0, _SPREAD), job)

    async def _accept(self, parcel: Parcel) -> None:
        await self._step(parcel, "accept", "accepted")

    async def _ship(self, parcel: Parcel) -> None:
        tracking = f"SIM{self._draw.randrange(10**10):010d}"
        if await self._step(parcel, "ship", "shipped", {"tracking": tracking}):
            self._board.counts["shipped"] += 1

    async def _deliver(self, parcel: Parcel) -> None:
        if await self._step(parcel, "deliver", "delivered"):
            self._board.counts["delivered"] += 1
            self._delivered(parcel.order_id, parcel.node)

    async def _reject(self, parcel: Parcel) -> None:
        reason = self._draw.choices(list(_REJECT_REASONS), list(_REJECT_REASONS.values()))[0]
        answer = await self._post(parcel, "reject", {"reason": reason})
        if answer.ok:
            self._board.counts["rejected"] += 1
            self._end(parcel, "rejected")
        await self.look_up(parcel.order_id)

    async def _step(self, parcel: Parcel, command: str, then: str, body: Json | None = None) -> bool:
        if parcel.fulfilment_id not in self._parcels:
            return False  # it was cancelled meanwhile
        answer = await self._post(parcel, command, body or {})
        if not answer.ok:
            # The customer was faster, or the order waits for a person: see what there is to do now.
            self._board.counts["refused"] += 1
            self._end(parcel, "cancelled")
            await self.look_up(parcel.order_id)
            return False
        self._board.moved(parcel.node, parcel.status, then)
        parcel.status = then
        if then in OPEN_STATES:
            self._next(parcel)
        else:
            del self._parcels[parcel.fulfilment_id]
        return True

    async def _post(self, parcel: Parcel, command: str, body: Json) -> Answer:
        return await self._client.post(
            f"/v1/fulfilments/{parcel.fulfilment_id}/{command}",
            body,
            key=f"{parcel.fulfilment_id}-{command}",
            name=command,
        )

    def _end(self, parcel: Parcel, status: str) -> None:
        if self._parcels.pop(parcel.fulfilment_id, None) is not None:
            self._board.moved(parcel.node, parcel.status, status)
