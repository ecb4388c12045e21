"""Compile the loops of computed gates, or read them from the disk, before a channel waits for them."""

import numpy as np

from onhand.base.compiled import is_kept
from onhand.channels.gates import demand, gate
from onhand.channels.gates.live import Gates, Seller
from onhand.channels.gates.settings import GateSetting


def warm_gates() -> None:
    """All that a gate is computed and told by."""
    seller = Seller(channel_id=1, code="a", setting=GateSetting(mode="adaptive"), nodes=(1,))
    gates = Gates(0.0)
    gates.take_sellers([seller])
    gates.sold([1], [1], [1], [1.0])
    gates.of(np.ones(1, np.int32), np.ones((1, 1), np.int64), 2.0)
    gates.soon(1, np.ones(1, np.int32), 2.0)


def is_gates_kept() -> bool:
    """Whether what `warm_gates` compiles is on the disk."""
    return all(is_kept(function) for function in (demand.observe, demand.rates, gate.decide))
