"""Prices of room are those at which the orders that are to be expected just fill it."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onhand
from onhand.bench.sourcing import AT
from onhand.library.source import asks_of
from onhand.orders.model import TERMS
from onhand.sourcing.policy import STANDARD, Foresight
from onhand.sourcing.prices import Expected
from onhand.sourcing.room import Room, learn_room
from onhand.sourcing.solve import NO_PRICES, Stock, asked, decide_asked

NOW = AT.timestamp()
DAY = 86_400.0
NODE = {"node_type": "warehouse", "country": "DE", "timezone": "UTC", "working_days": [1, 2, 3, 4, 5, 6, 7]}
SERVICE = {
    "code": "standard", "currency": "EUR", "transit_days": {"p50": 1, "p95": 1},
    "rate_table": {
        "by": "distance_km", "distance_km": [*range(1_900, 2_601, 50), None], "weights_g": [30_000],
        "prices_minor": [[400 + 50 * n] for n in range(16)],
    },
}  # fmt: skip


def world(**limit: int) -> tuple[onhand.Network, Expected]:
    """Ten places on a circle around `near`, more or less far from `far`; from each ten orders a day, of 1 or 2 of A."""
    document: dict[str, Any] = {
        "items": [{"sku": "A", "name": "A", "weight_g": 100, "price_minor": 100, "currency": "EUR"}],
        "nodes": [
            NODE | {"code": "near", "name": "n", "latitude": 0.0, "longitude": 0.0, "capacity": limit},
            NODE | {"code": "far", "name": "f", "latitude": 0.0, "longitude": 20.0},
        ],
        "carriers": [{"code": "C", "name": "C", "services": [SERVICE]}],
        "stock": [{"sku": "A", "node": node, "available": 10_000} for node in ("near", "far")],
    }
    known = onhand.Network.load(document, at=AT)
    angles = [math.pi * (n + 0.5) / 10 for n in range(10)]
    orders = [
        {
            "destination": {
                "country": "DE", "postal_code": "1", "latitude": 2.7 * math.sin(a), "longitude": 2.7 * math.cos(a)
            },
            "lines": [{"sku": "A", "quantity": 1 + n % 2}],
        }
        for n, a in enumerate(angles)
    ]  # fmt: skip
    asks = asks_of(orders, known, STANDARD, known.at)
    return known, Expected(orders=asked([ask for _, ask, _ in asks], known.compiled), count=np.full(10, 140.0))


def stock_of(known: onhand.Network, *only: int) -> Stock:
    units = known.available if not only else np.where(np.isin(np.arange(3), only), known.available, 0).astype(np.int32)
    return Stock(units, np.zeros_like(units), known.safety)


def learned(known: onhand.Network, expected: Expected) -> Room | None:
    return learn_room(
        expected, 14 * DAY, stock_of(known), known.compiled, STANDARD, known.catalogue.goods, Foresight(),
        now=NOW, span=1_000.0,
    )  # fmt: skip


def costs(known: onhand.Network, expected: Expected, node: int, capacity: Any = None) -> Any:
    """float64[places]: cost of an order from a node."""
    stock = stock_of(known, node) if node else stock_of(known)
    if capacity is not None:
        stock.prices = NO_PRICES._replace(capacity=capacity)
    return decide_asked(expected.orders, stock, known.compiled, STANDARD, known.catalogue.goods, now=NOW, consume=False)


@pytest.mark.parametrize("limit", [25, 45, 75])
def test_as_many_go_there_as_it_has_room_for_those_who_save_most(limit: int) -> None:
    known, expected = world(orders=limit)
    saved = np.sort(costs(known, expected, 2).cost - costs(known, expected, 1).cost)[::-1]
    assert saved[-1] >= 0 and len(np.unique(saved)) >= 8
    room = learned(known, expected)
    assert room is not None
    # Of the places that save most, so many have room; what the next one saves is what room is worth, or nearly.
    last, next_one = saved[limit // 10], saved[limit // 10 + 1]
    assert 0.85 * next_one < room.later[1, 0] < 1.05 * last
    assert not room.later[1, 1:].any() and not room.later[2].any(), "what has no limit has no price"
    sent = costs(known, expected, 0, np.concatenate([room.later, room.later], axis=1)).node[:10]
    assert limit // 10 - 1 <= (sent == 1).sum() <= limit // 10 + 2


@pytest.mark.parametrize("kind", ["lines", "units"])
def test_lines_and_units_have_prices_of_their_own(kind: str) -> None:
    known, expected = world(**{kind: 45})
    room = learned(known, expected)
    assert room is not None
    column = ("orders", "lines", "units").index(kind)
    assert room.later[1, column] > 0 and not np.delete(room.later[1], column).any()
    d = costs(known, expected, 0, np.concatenate([room.later, room.later], axis=1))
    at = d.node[:10] == 1
    amount = {"lines": d.lines, "units": d.units}[kind][:10][at].sum()
    assert 3 <= amount <= 7, "of ten lines, or fifteen units; an order more or less"


def test_the_day_that_is_open_has_a_price_of_its_own() -> None:
    known, expected = world(orders=45)
    known.compiled.left[1, 0, 0] = 2
    few = learned(known, expected)
    known.compiled.left[1, 0, 0] = 45_000
    plenty = learned(known, expected)
    assert few is not None and plenty is not None
    assert few.now[1, 0] > few.later[1, 0] > plenty.now[1, 0] == 0
    np.testing.assert_array_equal(few.later, plenty.later)


def test_room_for_all_is_worth_nothing() -> None:
    assert learned(*world(orders=150)) is None
    assert learned(*world()) is None


def test_prices_are_those_of_the_days_that_are_open_when_they_are_used() -> None:
    known, _ = world(orders=45)
    network = known.compiled
    room = Room(np.full((2, 3), 5.0), np.full((2, 3), 3.0), network.slot_day[:2, 0].astype(np.int32))
    at = room.at(network)
    assert at.shape == (3, 6) and at[1].tolist() == [5, 5, 5, 3, 3, 3]
    assert not at[2].any(), "a node that is new has none"
    later = replace(network, slot_day=network.slot_day + 1)
    assert room.at(later)[1].tolist() == [3] * 6


def test_a_later_day_has_the_price_of_later_days() -> None:
    known, expected = world(orders=45)
    capacity = np.zeros((3, 6))
    capacity[1, 0], capacity[1, 3] = 7, 11
    term = TERMS.index("capacity_price")
    first = costs(known, expected, 1, capacity).terms[:10, term]
    known.compiled.left[1, 0] = 0
    second = costs(known, expected, 1, capacity).terms[:10, term]
    assert (first == 7).all() and (second == 11).all()
