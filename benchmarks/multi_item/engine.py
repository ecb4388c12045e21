"""A reference engine: every order served exactly, as it comes, by cost alone or by cost and price."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multi_item.instances import Instance
from onhand.base.compiled import compiled
from onhand.sourcing.prices import (
    LINES_MAX,
    STANDARD,
    Settings,
    central_prices,
    charge,
    decide,
    draw,
    expect,
    scratch,
    spread,
)


@dataclass(frozen=True, slots=True)
class Served:
    """cost float64[order]; node int32[line of the sequence], the number of centres where it is unserved."""

    cost: npt.NDArray[np.float64]
    node: npt.NDArray[np.int32]


@compiled
def _serve(room, costs, pairs, sequence, stock, price, rate, eta, cap, refuse, cost, node):
    fixed, unit = costs
    first, item, units, region = pairs
    nodes = stock.shape[1]
    at = 0
    parcel = np.zeros(nodes + 1, np.bool_)
    for t in range(len(sequence)):
        p = sequence[t]
        r = region[p]
        total = 0.0
        parcel[:] = False
        for start in range(first[p], first[p + 1], LINES_MAX):
            stop = min(start + LINES_MAX, first[p + 1])
            if eta > 0.0:
                for n in range(start, stop):
                    expect(price, rate, eta, item[n], units[n])
            decide(room, fixed[r], unit[r], item, units, start, stop, stock, price, refuse)
            for n in range(start, stop):
                i, k = item[n], room.choice[n - start]
                node[at] = k
                at += 1
                total += units[n] * unit[r, k]
                if not parcel[k]:
                    total += fixed[r, k]
                    parcel[k] = True
                if k < nodes:
                    stock[i, k] -= units[n]
                    if eta > 0.0:
                        charge(price, eta, cap, i, k, units[n])
        cost[t] = total
    return at


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A forward-looking policy. refreshes: of the prices, over the horizon; samples: drawn for each; learn: whether the
    forecast is corrected by the orders seen."""

    settings: Settings = STANDARD
    refreshes: int = 50
    samples: int = 2000
    learn: bool = True


def myopic(instance: Instance) -> Served:
    """Every order served at the least cost of its own."""
    return _run(instance, None, instance.weight, 0)


def forward(instance: Instance, policy: Forward, forecast: npt.NDArray[np.float64], seed: int = 0) -> Served:
    """Every order served at the least cost + price; forecast float64[pair], expected share of each."""
    return _run(instance, policy, forecast, seed)


def _run(instance: Instance, policy: Forward | None, forecast: npt.NDArray[np.float64], seed: int) -> Served:
    costs, pairs = instance.costs, instance.pairs
    stock = instance.stock.copy()
    horizon = len(instance.sequence)
    lines = int(np.diff(pairs.first)[instance.sequence].sum())
    cost, node = np.empty(horizon), np.empty(lines, np.int32)
    room = scratch(costs.fixed.shape[1])
    price = np.zeros(stock.shape)
    rate = np.zeros(stock.shape)
    eta = cap = 0.0
    seen = np.zeros(len(forecast))
    at, every = 0, max(1, horizon // policy.refreshes) if policy else horizon
    for begin in range(0, horizon, every):
        block = instance.sequence[begin : begin + every]
        if policy:
            expected = forecast * (horizon - begin)
            if policy.learn and begin:
                expected = learned(forecast, seen) * (horizon - begin)
            left = np.zeros(len(stock))
            np.add.at(left, pairs.item, np.repeat(expected, np.diff(pairs.first)) * pairs.units)
            rate = stock / np.maximum(left, 1.0)[:, None]
            money = spread(costs, np.bincount(pairs.region, expected))
            price = central_prices(
                pairs, draw(expected, policy.samples, seed + begin), costs, stock, rate, price, money, policy.settings
            )
            cap = policy.settings.cap * money
            eta = policy.settings.eta * money
        at += _serve(
            room, costs, pairs, block, stock, price, rate, eta, cap,
            policy is None or policy.settings.refuse, cost[begin:], node[at:],
        )  # fmt: skip
        seen += np.bincount(block, minlength=len(seen))
    return Served(cost=cost, node=node)


def learned(forecast: npt.NDArray[np.float64], seen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The forecast shares after orders were seen: a gamma-Poisson posterior whose prior is as sure as the forecast has
    proved to be.

    With e expected and n seen, E (n - e)^2 - e = v e^2, v the squared relative error of the forecast; the posterior
    factor is (1/v + n) / (1/v + e).
    """
    expected = forecast * seen.sum() / forecast.sum()
    error = float(((seen - expected) ** 2 - expected).sum() / (expected**2).sum())
    if error <= 0.0:
        return forecast
    factor = (1.0 / error + seen) / (1.0 / error + expected)
    return forecast * factor / (forecast * factor).sum()
