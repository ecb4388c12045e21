"""Small networks in which it is known by construction what gives way first."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from onhand.library.network import Network
from onhand.library.simulate import _arrivals
from onhand.library.source import asks_of
from onhand.planning.campaigns.model import DAY, Campaign, Demand, World
from onhand.simulation.history import History
from onhand.simulation.rules import PlainRules
from onhand.sourcing.policy import STANDARD
from onhand.sourcing.solve import asked

AT = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)  # a Monday
PLACES = {"NORTH": (53.55, 10.0), "SOUTH": (48.14, 11.58)}
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def network(
    *,
    stock: dict[tuple[str, str], int],
    capacity: dict[str, int] | None = None,
    parcels: int | None = None,
    lane: int | None = None,
    inbound: list[tuple[str, str, int, float]] = (),
    items: tuple[str, ...] = ("MUG", "BOWL", "PLATE"),
) -> Network:
    """Two nodes, each a day from its customers and six from those of the other; inbound: (sku, node, units, day). Lane:
    from the northern one to everybody, of so many parcels a day."""
    service = {
        "code": "parcel",
        "transit_days": [{"p50": 1, "p95": 1.2}, {"p50": 6, "p95": 6.5}],
        "currency": "EUR",
        "rate_table": {
            "by": "distance_km",
            "distance_km": [300, None],
            "weights_g": [30_000],
            "prices_minor": [[500], [900]],
        },
    }
    if parcels is not None:
        service["parcels_per_day"] = parcels
    if lane is not None:
        times = {"p50": 1, "p95": 1.2}
        service["lanes"] = [{"from_nodes": ["NORTH"], "transit_days": times, "parcels_per_day": lane}]
    return Network.load(
        {
            "items": [{"sku": s, "name": s, "weight_g": 300, "price_minor": 2000, "currency": "EUR"} for s in items],
            "nodes": [
                {
                    "code": code, "name": code, "node_type": "warehouse", "country": "DE", "latitude": at[0],
                    "longitude": at[1], "timezone": "UTC", "cutoff": "22:00", "working_days": [1, 2, 3, 4, 5, 6, 7],
                    "capacity": {"orders": (capacity or {}).get(code)},
                }
                for code, at in PLACES.items()
            ],
            "carriers": [{"code": "post", "name": "Post", "services": [service]}],
            "stock": [{"sku": sku, "node": node, "available": units} for (sku, node), units in stock.items()],
            "inbound": [
                {"sku": s, "node": n, "quantity": u, "expected_at": (AT + timedelta(days=d)).isoformat()}
                for s, n, u, d in inbound
            ],
        },
        at=AT,
    )  # fmt: skip


def world(known: Network, *, per_day: int = 10, days: int = 14, late_days: float = 4.0, seed: int = 1) -> World:
    """A pool of orders of one line and unit, as many of each item, half from the north and half from the south."""
    draw = np.random.default_rng(seed)
    skus = known.catalogue.skus[1:]
    orders, second, day = [], [], []
    last = int(AT.timestamp() // DAY) - 1
    for back in range(days):
        for n in range(per_day):
            place = [*PLACES.values()][n % 2]
            orders.append(
                {
                    "lines": [{"line_id": "1", "sku": skus[(n // 2) % len(skus)], "quantity": 1}],
                    "destination": {
                        "country": "DE", "postal_code": "10115", "latitude": place[0], "longitude": place[1],
                    },
                }
            )  # fmt: skip
            second.append(float(draw.uniform(6, 20) * 3600))
            day.append(last - back)
    found = asks_of(orders, known, STANDARD, AT)
    count = len(found)
    moves, inbound = _arrivals(known, AT.timestamp())
    history = History(
        begins=AT.timestamp(),
        orders=asked([ask for _, ask, _ in found], known.compiled),
        placed=np.full(count, AT.timestamp()),
        may_wait=np.ones(count, np.bool_),
        may_split=np.ones(count, np.bool_),
        wishes=np.full(count, -1, np.int32),
        network=known.compiled,
        goods=known.catalogue.goods,
        available=known.available,
        safety=known.safety,
        rejection=np.zeros(len(known.compiled.node_codes)),
        moves=moves,
        inbound=inbound,
    )
    return World(
        history=history,
        second=np.array(second),
        day=np.array(day, np.int32),
        days=days,
        last=last,
        rules=lambda history: PlainRules(STANDARD, history),
        late_days=late_days,
    )


def demand(known: Network, mean: dict[str, float], *, days: int = 14, scatter: float = 0.15) -> Demand:
    """Quantiles of a forecast that scatters by so much of its mean."""
    rows = np.array([known.catalogue.ids[sku] for sku in mean], np.int32)
    normal = np.array([-1.645, -0.674, 0.0, 0.674, 1.645])
    each = np.repeat(np.array([*mean.values()])[:, np.newaxis], days, axis=1)
    return Demand(
        item=rows,
        levels=LEVELS,
        quantiles=each[:, :, np.newaxis] * np.maximum(1 + scatter * normal, 0),
        mean=each,
        background=np.ones(days),
    )


def campaign(demand: Demand, *, uplift: float, first: int = 3, last: int = 7, sigma: float = 0.0, **more) -> Campaign:
    """Of the first item of the forecast."""
    mu = np.log1p(uplift) - sigma**2 / 2
    usual = {"taken": np.ones(len(demand.item)), "dip": np.ones(1)}
    return Campaign(
        row=np.zeros(1, np.int32), first=first, last=last, mu=np.array([mu]), sigma=np.array([sigma]),
        **{**usual, **more},
    )  # fmt: skip


__all__ = ["AT", "campaign", "demand", "network", "replace", "world"]
