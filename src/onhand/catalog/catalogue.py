"""The items of the merchant in memory: names to ids, weights and volumes as arrays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

_LOAD = """
SELECT item_id, sku, weight_g, length_mm::bigint * width_mm * height_mm, release_at, hs_code, category,
       coalesce(unit_cost_minor, 0), nullif(attributes, '{}')
FROM item WHERE item_id > %s AND (%s::text[] IS NULL OR sku = ANY (%s::text[]))
"""
_COMPONENTS = """
SELECT bundle_id, array_agg(item_id ORDER BY item_id), array_agg(quantity ORDER BY item_id)
FROM bundle_component WHERE %s::int[] IS NULL OR bundle_id = ANY (%s::int[]) GROUP BY bundle_id
"""


@dataclass(frozen=True, slots=True)
class ItemsRead:
    """Items as the database has them: (item_id, sku, weight_g, volume_mm3, release_at, hs_code, category,
    unit_cost_minor, attributes), and the components of those that are bundles."""

    rows: list[TupleRow]
    components: dict[int, tuple[tuple[int, int], ...]]


def read_items(conn: Connection[TupleRow], skus: Collection[str] | None = None) -> ItemsRead:
    """All items, or only `skus`."""
    names = None if skus is None else list(skus)
    rows = conn.execute(_LOAD, (0, names, names)).fetchall()
    ids = None if skus is None else [row[0] for row in rows]
    return ItemsRead(
        rows,
        {
            bundle: tuple(zip(items, units, strict=True))
            for bundle, items, units in conn.execute(_COMPONENTS, (ids, ids))
        },
    )


class Goods(NamedTuple):
    """What carriers and customs ask of one unit, by item_id: int64[item] grams and mm3, int32[item] index of its
    (hs_code, category) in `pairs`; its sku, where somebody asks for it."""

    weight_g: npt.NDArray[np.int64]
    volume_mm3: npt.NDArray[np.int64]
    pair: npt.NDArray[np.int32]
    pairs: Sequence[tuple[str | None, str | None]] = ((None, None),)
    skus: Sequence[str] = ()


class Catalogue:
    """Look-ups by sku and item_id. Ids are dense, so that arrays can be indexed by them; index 0 is unused."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.skus: list[str] = [""]
        self.sku_json: list[str] = ['""']
        self.weight_g: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self.volume_mm3: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        # int32[item]: index of its (hs_code, category) in `trade_pairs`, which only grows; 0 is (None, None).
        self.trade_class: npt.NDArray[np.int32] = np.zeros(1, np.int32)
        self.trade_pairs: list[tuple[str | None, str | None]] = [(None, None)]
        self._trade_index: dict[tuple[str | None, str | None], int] = {(None, None): 0}
        self.bundles: dict[int, tuple[tuple[int, int], ...]] = {}
        self.releases: dict[int, datetime] = {}
        # float64[item]: what a unit costs the merchant, minor units; 0: not known.
        self.unit_cost: npt.NDArray[np.float64] = np.zeros(1)
        self.attributes: dict[int, dict[str, Any]] = {}

    @property
    def goods(self) -> Goods:
        """The items as sourcing looks at them."""
        return Goods(self.weight_g, self.volume_mm3, self.trade_class, self.trade_pairs, self.skus)

    @property
    def count(self) -> int:
        """The highest item_id known."""
        return len(self.skus) - 1

    def load(self, conn: Connection[TupleRow], skus: Collection[str] | None = None) -> None:
        """Read all items, or only `skus`."""
        self.take(read_items(conn, skus))

    def take(self, read: "ItemsRead") -> None:
        """Take over what was read."""
        if not read.rows:
            return
        self._grow(max(row[0] for row in read.rows))
        # Components before names: who finds a name may rely on all the rest.
        for item_id, *_ in read.rows:
            if item_id in read.components:
                self.bundles[item_id] = read.components[item_id]
            else:
                self.bundles.pop(item_id, None)
        self.trade_class[[row[0] for row in read.rows]] = [self._trade(row[5:7]) for row in read.rows]
        for item_id, sku, weight_g, volume_mm3, release_at, _, _, unit_cost, attributes in read.rows:
            self.skus[item_id] = sku
            self.sku_json[item_id] = msgspec.json.encode(sku).decode()
            self.weight_g[item_id] = weight_g
            self.volume_mm3[item_id] = volume_mm3
            self.unit_cost[item_id] = unit_cost
            if attributes:
                self.attributes[item_id] = attributes
            else:
                self.attributes.pop(item_id, None)
            if release_at is None:
                self.releases.pop(item_id, None)
            else:
                self.releases[item_id] = release_at
            self.ids[sku] = item_id

    def _trade(self, pair: tuple[str | None, str | None]) -> int:
        found = self._trade_index.get(pair)
        if found is None:
            found = self._trade_index[pair] = len(self.trade_pairs)
            self.trade_pairs.append(pair)
        return found

    def _grow(self, count: int) -> None:
        missing = count + 1 - len(self.skus)
        if missing <= 0:
            return
        self.skus.extend([""] * missing)
        self.sku_json.extend(['""'] * missing)
        room = len(self.weight_g)
        if count >= room:
            size = count + 1 + count // 4
            for name in ("weight_g", "volume_mm3", "trade_class", "unit_cost"):
                new = np.zeros(size, getattr(self, name).dtype)
                new[:room] = getattr(self, name)
                setattr(self, name, new)
