"""The numbers of many items on many channels are those of `explain`, one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onhand.channels.ats import Facts, Loaded, Names, Sold, explain
from onhand.channels.gates.settings import hidden_of_all, read
from onhand.channels.publication.showing import pooled, shown, shown_bundles
from onhand.channels.publication.store import SellerRow, sellers_of

ITEMS, NODES, CHANNELS = 3, 3, 3
PARTS = ((1, 2), (2, 1))
NAMES = Names(skus=["", "A", "B", "C", "SET"], nodes=["", "N1", "N2", "N3"], bundles={4: PARTS})
units = st.integers(0, 30)


def gates(draw):
    """Of all modes; a computed one is noted by item."""
    mode = draw(st.sampled_from(["fixed", "percent", "adaptive"]))
    floor = draw(st.integers(0, 3))
    return {
        "mode": mode, "units": draw(st.integers(0, 5)), "percent": draw(st.sampled_from([0.0, 7.5, 50.0, 100.0])),
        "floor": floor, "cap": draw(st.none() | st.integers(floor, 6)),
    }  # fmt: skip


def channel(draw, channel_id):
    quota = draw(st.dictionaries(st.sampled_from(["A", "B", "SET"]), st.integers(0, 9)))
    return SellerRow(
        channel_id=channel_id, code=f"c{channel_id}", connector="stall", active=draw(st.booleans()),
        gate=gates(draw), quota={"units_by_sku": quota} if quota else {}, margin_rate=None,
        priority=0, node_ids=sorted(draw(st.sets(st.integers(1, NODES)))),
    )  # fmt: skip


@st.composite
def worlds(draw):
    available = np.zeros((ITEMS + 1, NODES + 1), np.int32)
    safety = np.zeros_like(available)
    for item in range(1, ITEMS + 1):
        for node in range(1, NODES + 1):
            available[item, node], safety[item, node] = draw(units), draw(st.integers(0, 9))
    return available, safety, [channel(draw, n) for n in range(1, CHANNELS + 1)], draw(st.integers(1, CHANNELS))


@given(worlds())
def test_arrays_and_terms_come_to_the_same(world):
    available, safety, rows, columns = world
    ids = [row.channel_id for row in rows[:columns]]
    items = np.arange(1, ITEMS + 1, dtype=np.int32)
    sellers = sellers_of(rows, ids, {"A": 1, "B": 2, "SET": 4}, NODES)
    pool = pooled(items, available, safety, sellers)
    simple = shown(items, pool, hidden_of_all(sellers.gates, pool), sellers)
    bundle = shown_bundles([[(0, 2), (1, 1)]], np.array([4], np.int32), simple, sellers)

    loaded = Loaded({item: Facts() for item in (1, 2, 3, 4)}, {r.channel_id: read(r.gate) for r in rows})
    for item in range(1, ITEMS + 1):
        loaded.items[item].positions = [
            (0, item, node, int(available[item, node]), 0, 0, 0, int(safety[item, node]), 1, 1)
            for node in range(1, NODES + 1)
        ]
    for row in rows:
        for sku, n in row.quota.get("units_by_sku", {}).items():
            if row.active:
                loaded.items[NAMES.skus.index(sku)].quotas[row.channel_id] = n
    for column, row in enumerate(rows[:columns]):
        sold = Sold(channel_id=row.channel_id, code=row.code, node_ids=set(row.node_ids))
        expected = [explain(item, loaded, NAMES, sold, today=0).ats for item in (1, 2, 3, 4)]
        assert [*simple[:, column].tolist(), int(bundle[0, column])] == expected
