"""A replay sends no more parcels than carriers take: a day of a node, and a day of a lane that two nodes share."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from tests.library.test_source import AT, NETWORK, SERVICE, order

from onhand.library.network import Network
from onhand.library.source import asks_of
from onhand.simulation.history import History
from onhand.simulation.replay import Outcome, Settings, replay
from onhand.simulation.rules import PlainRules
from onhand.sourcing.policy import STANDARD
from onhand.sourcing.solve import asked

DAY = 86_400.0
TO_GERMANY = {"to_countries": ["DE"], "transit_days": {"p50": 1, "p95": 1}}


def replayed(placed: list[float], **service: Any) -> tuple[History, Outcome]:
    """Orders of one unit each, placed so many days after `AT`, by the only service of two nodes."""
    document = NETWORK | {
        "carriers": [{"code": "C", "name": "C", "services": [SERVICE | service]}],
        "stock": [{"sku": "A", "node": node, "available": 50} for node in ("near", "far")],
    }
    known = Network.load(document, at=AT)
    count, nodes = len(placed), known.compiled.count + 1
    asks = asks_of([order(A=1)] * count, known, STANDARD, AT)
    past = History(
        begins=AT.timestamp(),
        orders=asked([ask for _, ask, _ in asks], known.compiled),
        placed=AT.timestamp() + np.array(placed) * DAY,
        may_wait=np.ones(count, np.bool_),
        may_split=np.ones(count, np.bool_),
        wishes=np.full(count, -1, np.int32),
        network=known.compiled,
        goods=known.catalogue.goods,
        available=known.available,
        safety=known.safety,
        rejection=np.zeros(nodes),
    )
    return past, replay(past, PlainRules(STANDARD, past), Settings(step_s=0, rejections=False))


def a_day(outcome: Outcome, *, by_node: bool) -> list[int]:
    f = outcome.fulfilments
    days: list[int] = (f.departs // DAY).astype(int).tolist()
    sent = Counter(zip(days, f.node.tolist() if by_node else [0] * len(days), strict=True))
    return [sent[at] for at in sorted(sent)]


@pytest.mark.parametrize("placed", [[0.01 * n for n in range(9)], [0.01 * n + (n > 4) for n in range(9)]])
def test_a_lane_takes_so_many_parcels_a_day_from_all_its_nodes(placed: list[float]) -> None:
    free = a_day(replayed(placed, lanes=[TO_GERMANY])[1], by_node=False)
    assert free in ([9], [5, 4])
    past, outcome = replayed(placed, lanes=[TO_GERMANY | {"parcels_per_day": 2}])
    assert a_day(outcome, by_node=False) == [2, 2, 2, 2, 1]
    assert int(past.network.lanes.min()) == 2, "what is replayed is a copy"


def test_a_node_hands_over_so_many_parcels_a_day() -> None:
    past, outcome = replayed([0.01 * n for n in range(9)], parcels_per_day=2)
    assert max(a_day(outcome, by_node=True)) == 2 and outcome.served.sum() == 9
    assert int(past.network.parcels[1:].min()) == 2
