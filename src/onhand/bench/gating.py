"""Computed gates of a whole catalogue, as a process that publishes decides them: all of them from cold, and those of
one item that was just sold. Without database and channels."""

import time

import numpy as np

from onhand.bench.report import Measure, at_most
from onhand.channels.gates.live import Gates, Seller
from onhand.channels.gates.settings import GateSetting
from onhand.channels.gates.warm import warm_gates

_COLD_S, _ONE_MS = 2.0, 1.0
_LAGS_S = (2.0, 60.0, 900.0, 7200.0, 60.0)
_DAYS, _RECENT_H = 28.0, 48.0
_ROUNDS = 200


def run(listings: int) -> list[Measure]:
    """So many listings, each item on five channels."""
    warm_gates()
    items = np.arange(1, listings // len(_LAGS_S) + 1, dtype=np.int32)
    cold_s = min(_cold_s(items)[0] for _ in range(3))
    gates, stock, now_s = _cold_s(items)[1:]
    return [
        at_most(f"computed gates, {listings:,} listings from cold", cold_s, "s", _COLD_S),
        at_most("computed gates of an item that was sold, mean", _one_ms(gates, items, stock, now_s), "ms", _ONE_MS),
    ]


def _cold_s(items: np.ndarray) -> tuple[float, Gates, np.ndarray, float]:
    """Seconds, and what was decided by: a month's sales as priors, two days' one by one."""
    rng = np.random.default_rng(1)
    channels = range(1, len(_LAGS_S) + 1)
    now_s = 86_400.0 * _DAYS
    began_s = now_s - 3600.0 * _RECENT_H
    sold = rng.poisson(rng.lognormal(3.0, 1.0, (items.size, len(channels)))).astype(float)
    units = {(n + 1, channel): sold[n, channel - 1] for n in range(items.size) for channel in channels}
    recent = items.size
    stock = np.repeat(rng.integers(0, 60, items.size)[:, None], len(channels), axis=1).astype(np.int64)
    gates = Gates(0.0)
    gates.take_sellers(
        [
            Seller(channel_id=n, code=f"c{n}", setting=GateSetting(mode="adaptive", lag_s=lag_s), nodes=(1,))
            for n, lag_s in zip(channels, _LAGS_S, strict=True)
        ]
    )
    gates.take_history(units, began_s / 3600.0, began_s)
    began = time.perf_counter()
    gates.meet(items)
    gates.sold(
        rng.integers(1, len(channels) + 1, recent).tolist(), rng.choice(items, recent).tolist(), [1] * recent,
        np.sort(rng.uniform(began_s, now_s, recent)).tolist(),
    )  # fmt: skip
    gates.of(items, stock, now_s)
    gates.changed(channels, now_s)
    return time.perf_counter() - began, gates, stock, now_s


def _one_ms(gates: Gates, items: np.ndarray, stock: np.ndarray, now_s: float) -> float:
    began = time.perf_counter()
    for n in range(_ROUNDS):
        at_s = now_s + n
        gates.sold([1 + n % len(_LAGS_S)], [int(items[n])], [1], [at_s])
        gates.of(items[n : n + 1], stock[n : n + 1], at_s)
        gates.changed(range(1, len(_LAGS_S) + 1), at_s)
    return 1e3 * (time.perf_counter() - began) / _ROUNDS
