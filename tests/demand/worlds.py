"""Demand whose law is known."""

import numpy as np

from onhand.demand.panel import Panel


def days(count, first="2024-01-01"):
    return np.datetime64(first) + np.arange(count).astype("timedelta64[D]")


def weekly_shape():
    return np.array([0.6, 0.7, 0.8, 1.0, 1.3, 1.6, 1.0])


def shop(series=40, periods=400, horizon=14, seed=1, *, effect=0.0, known=True):
    """Poisson demand with a week's shape and levels of its own; a promotion multiplies it by 1 + effect."""
    random = np.random.default_rng(seed)
    total = periods + horizon
    level = random.uniform(1, 30, (series, 1))
    promoted = (random.random((series, total)) < 0.1).astype(float)
    rate = level * weekly_shape()[np.arange(total) % 7] * (1 + effect * promoted)
    y = random.poisson(rate).astype(float)
    panel = Panel(
        ids=[f"s{i:03d}" for i in range(series)], freq="D", dates=days(total), y=y[:, :periods],
        known={"promoted": promoted} if known else {}, static={"kind": np.arange(series) % 4},
    )  # fmt: skip
    return panel, y[:, periods:], rate[:, periods:]
