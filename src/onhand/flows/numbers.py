"""What each channel should show, computed from the memory of this process; see channels/publication/showing.py."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.channels.gates.live import Gates
from onhand.channels.publication import showing, store
from onhand.channels.publication.showing import Sellers
from onhand.channels.publication.store import SellerRow
from onhand.flows.state import State

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

_ITEMS_AT_ONCE = 20_000


class Numbers:
    """Numbers to be shown, of all channels. `state` is kept fresh by whoever asks, and so is what `gates` know."""

    def __init__(self, state: State, gates: Gates, clock: Callable[[], float]) -> None:
        self._state, self._gates, self._clock = state, gates, clock
        self.rows: list[SellerRow] = []
        self.columns: dict[int, int] = {}  # channel_id -> column
        self.sellers = Sellers((), np.zeros((1, 0)), (), {}, {})
        self._bundles_of: dict[int, list[int]] = {}
        self._bundles: Any = None

    def load(self, conn: Connection[TupleRow]) -> None:
        """Read channels, their nodes, gates and quotas."""
        rows = store.load_sellers(conn)
        items = store.quota_items(conn, rows)
        ids = [row.channel_id for row in rows]
        highest = max((node for row in rows for node in row.node_ids), default=0)
        sellers = store.sellers_of(rows, ids, items, highest)
        self.columns = {channel_id: column for column, channel_id in enumerate(ids)}
        self.rows, self.sellers = rows, sellers

    def touched(self, items: Iterable[int]) -> Int32:
        """The items whose numbers change with those of `items`: themselves, and bundles that they are in."""
        found = set(items)
        if self._bundles is not (known := self._state.catalogue.bundles) or not self._bundles_of:
            self._index(known)
        for item in list(found):
            found.update(self._bundles_of.get(item, ()))
        return np.array(sorted(found), np.int32)

    def forget_bundles(self) -> None:
        """Items have changed."""
        self._bundles = None

    def _index(self, bundles: dict[int, tuple[tuple[int, int], ...]]) -> None:
        self._bundles, self._bundles_of = bundles, {}
        for bundle, parts in list(bundles.items()):
            for part, _ in parts:
                self._bundles_of.setdefault(part, []).append(bundle)

    def of(self, items: Int32) -> Int64:
        """int64[n, channel]: what each channel is to show of `items`. Gates are decided anew."""
        self._gates.meet(items)
        out = np.zeros((len(items), len(self.columns)), np.int64)
        for first in range(0, len(items), _ITEMS_AT_ONCE):
            out[first : first + _ITEMS_AT_ONCE] = self._of(items[first : first + _ITEMS_AT_ONCE])
        return out

    def _of(self, items: Int32) -> Int64:
        bundles = self._state.catalogue.bundles
        is_bundle = np.isin(items, np.fromiter(bundles, np.int32, len(bundles)))
        if not is_bundle.any():
            return self._simple(items)
        wanted = [bundles[item] for item in items[is_bundle].tolist()]
        # A part that is asked for itself is decided once.
        simple = np.unique(
            np.concatenate([items[~is_bundle], np.array([part for each in wanted for part, _ in each], np.int32)])
        )
        shown = self._simple(simple)
        at = {item: row for row, item in enumerate(simple.tolist())}
        rows = [[(at[part], per) for part, per in each] for each in wanted]
        out = np.zeros((len(items), len(self.columns)), np.int64)
        out[~is_bundle] = shown[[at[item] for item in items[~is_bundle].tolist()]]
        out[is_bundle] = showing.shown_bundles(rows, items[is_bundle], shown, self.sellers)
        return out

    def _simple(self, items: Int32) -> Int64:
        pool = self.pool(items)
        return showing.shown(items, pool, self._gates.of(items, pool, self._clock()), self.sellers)

    def pool(self, items: Int32) -> Int64:
        """int64[n, channel]: units over the channel's nodes less safety stock."""
        state = self._state
        with state.lock:
            state.snapshot.grow(max(state.catalogue.count, int(items.max(initial=0))), state.network.count)
            return showing.pooled(items, state.snapshot.available, state.snapshot.safety, self.sellers)
