"""The simulated world without a server: its network as `onhand.source` takes it, and orders of its shoppers."""

import heapq
import math
from datetime import datetime, timedelta
from typing import Any

from onhand.twin.shoppers import Shoppers
from onhand.twin.world import ORDERS_PER_DAY, Json, World


def network_document(world: World, *, stock_share: float = 1.0) -> Json:
    """The document of the world's network, with its opening stock.

    stock_share  of the units on its shelves; what comes in later is the suppliers' part of the simulation
    """
    channels = [{"code": shop.code, "nodes": shop.nodes} for shop in world.shops]
    return {
        "items": list(world.items),
        "nodes": [{"code": site.code, **site.document} for site in world.sites],
        "carriers": [{"code": code, **carrier} for code, carrier in world.carriers.items()],
        "channels": channels,
        "stock": [
            {"sku": sku, "node": node, "available": max(1, round(units * stock_share))}
            for (sku, node), units in world.targets.items()
        ],
    }


def orders_of(
    world: World,
    count: int | None,
    *,
    begins: datetime,
    clock_s: float = 0.0,
    run: int = 1,
    until_s: float = math.inf,
    orders_per_day: float = ORDERS_PER_DAY,
) -> list[Json]:
    """The first orders of all channels from `clock_s` on, by the moment they are placed: `begins` is midnight of the
    simulated clock.

    count    how many; None: all until `until_s`, seconds of that clock
    """
    if count is None and math.isinf(until_s):
        raise ValueError("expected a count or a moment to end at")
    slower = ORDERS_PER_DAY / orders_per_day
    heap: list[tuple[float, int, Shoppers]] = []
    for number, shop in enumerate(world.shops):
        shoppers = Shoppers(world, shop, run)
        heapq.heappush(heap, (clock_s + slower * shoppers.wait_s(clock_s), number, shoppers))
    orders: list[dict[str, Any]] = []
    while count is None or len(orders) < count:
        at, number, shoppers = heapq.heappop(heap)
        if at >= until_s:
            break
        intent = shoppers.visit(at)
        if intent.orders:
            orders.append({**intent.order, "placed_at": (begins + timedelta(seconds=at)).isoformat()})
        heapq.heappush(heap, (at + slower * shoppers.wait_s(at), number, shoppers))
    return orders
