"""What is foreseen, as it is kept and as the solver reads it: prices of stock and risks of rejection. Pure.

One process makes an outlook (flows/foresight.py), all read it. It is derived: lost, it is made again.
"""

import io
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from onhand.network.compiled import Network
from onhand.sourcing import tables
from onhand.sourcing.room import Room
from onhand.sourcing.solve import NO_PRICES

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

# Of the highest price: as far as a price may move from one outlook to the next.
CHANGE_SHARE = 0.25


def _no_ids() -> Int32:
    return np.zeros(0, np.int32)


def _no_money() -> Float32:
    return np.zeros(0, np.float32)


def _no_table() -> Float32:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """made_at: Unix seconds; seconds: that making it took; orders: that it was learned from; step_minor: how far the
    price of a unit moves with one that is taken.

    item, node  int32[positions], of those that have any of: base, network  float32, minor units of a unit there, of the
                node's own and as supply of other orders; rate  float32, units to be given up per unit asked for
    share  float32[24, node]: of the lines given to a node at an hour (UTC) that it rejects; or empty
    ratio  float32[item, node]: how much likelier that is for an item; or empty
    room   float32[node, 6]: what room is worth (sourcing/room.py), of the ship day `room_day` (int32[node]) and of
           later ones; or empty
    """

    made_at: float
    seconds: float
    orders: int
    step_minor: float = 0.0
    item: Int32 = field(default_factory=_no_ids)
    node: Int32 = field(default_factory=_no_ids)
    base: Float32 = field(default_factory=_no_money)
    network: Float32 = field(default_factory=_no_money)
    rate: Float32 = field(default_factory=_no_money)
    share: Float32 = field(default_factory=_no_table)
    ratio: Float32 = field(default_factory=_no_table)
    room: Float32 = field(default_factory=_no_table)
    room_day: Int32 = field(default_factory=_no_ids)

    @property
    def has_prices(self) -> bool:
        return len(self.item) > 0

    def with_prices(self, unit: Float32, step_minor: float) -> Self:
        """`unit` as in tables.Prices."""
        kept = (tables.BASE, tables.NETWORK, tables.RATE)
        item, node = np.nonzero(unit[:, :, kept].any(axis=2))
        base, network, rate = (unit[item, node, column] for column in kept)
        return replace(
            self, step_minor=step_minor, item=item.astype(np.int32), node=node.astype(np.int32), base=base,
            network=network, rate=rate,
        )  # fmt: skip

    def with_room(self, room: Room | None) -> Self:
        if room is None:
            return self
        return replace(self, room=np.concatenate([room.now, room.later], axis=1).astype(np.float32), room_day=room.day)

    def room_at(self, network: Network) -> Float64:
        """As the solver reads it (tables.Prices.capacity) where the clock of `network` is now; empty: nothing known."""
        if not len(self.room):
            return NO_PRICES.capacity
        room = self.room.astype(np.float64)
        return Room(room[:, :3], room[:, 3:], self.room_day).at(network)

    def prices(self, items: int, nodes: int) -> tables.Prices:
        """As the solver reads them, for ids below `items` and `nodes`; of the rejections those of hour 0."""
        prices = NO_PRICES
        if self.has_prices:
            unit = np.zeros((items, nodes, 4), np.float32)
            known = (self.item < items) & (self.node < nodes)
            at = self.item[known], self.node[known]
            for column, values in ((tables.BASE, self.base), (tables.NETWORK, self.network), (tables.RATE, self.rate)):
                unit[(*at, column)] = values[known]
            prices = prices._replace(unit=unit, clock=np.zeros(items))
        if self.share.size:
            prices = prices._replace(rejection=self.risk(nodes, 0))
        if self.ratio.size:
            prices = prices._replace(ratio=_padded(self.ratio[:items, :nodes], (items, nodes), 1.0))
        return prices

    def risk(self, nodes: int, hour: int) -> Float32:
        """float32[node]: share of lines rejected at an hour (UTC); of a node that nothing is known of, as of all."""
        at = self.share[hour][:nodes]
        return _padded(at, (nodes,), float(at.mean()))


def grown(prices: tables.Prices, items: int, nodes: int) -> tables.Prices:
    """The same for more items and nodes; what is new is worth nothing and rejected as usual."""
    if len(prices.unit) and prices.unit.shape[:2] != (items, nodes):
        prices = prices._replace(
            unit=_padded(prices.unit, (items, nodes, 4), 0.0), clock=_padded(prices.clock, (items,), 0.0)
        )
    if len(prices.ratio) and prices.ratio.shape != (items, nodes):
        prices = prices._replace(ratio=_padded(prices.ratio, (items, nodes), 1.0))
    if len(prices.rejection) and len(prices.rejection) != nodes:
        prices = prices._replace(rejection=_padded(prices.rejection, (nodes,), float(prices.rejection.mean())))
    if len(prices.capacity) and len(prices.capacity) != nodes:
        prices = prices._replace(capacity=_padded(prices.capacity, (nodes, prices.capacity.shape[1]), 0.0))
    return prices


def _padded(array: npt.NDArray[np.floating], shape: tuple[int, ...], fill: float) -> npt.NDArray[np.floating]:
    made = np.full(shape, fill, array.dtype)
    made[tuple(slice(0, n) for n in array.shape)] = array
    return made


def rows_of(prices: tables.Prices, rows: Int32, nodes: int) -> tables.Prices:
    """A copy of some items' prices as they are now, for node ids below `nodes`; one more row, of an item without stock,
    and ids that are not known yet are worth nothing."""
    if len(prices.unit):
        known = np.append(np.where(rows < len(prices.unit), rows, 0), 0)
        unit = _padded(prices.unit[known][:, :nodes], (len(known), nodes, 4), 0.0)
        prices = prices._replace(unit=unit, clock=prices.clock[known])
    if len(prices.rejection):
        usual = float(prices.rejection.mean())
        prices = prices._replace(rejection=_padded(prices.rejection[:nodes], (nodes,), usual))
    if len(prices.capacity):
        prices = prices._replace(capacity=_padded(prices.capacity[:nodes], (nodes, prices.capacity.shape[1]), 0.0))
    if len(prices.ratio):
        known = np.append(np.where(rows < len(prices.ratio), rows, 0), 0)
        prices = prices._replace(ratio=_padded(prices.ratio[known][:, :nodes], (len(known), nodes), 1.0))
    return prices


def moved_little(fresh: Float32, before: Float32, most: float) -> Float32:
    """Network prices that are at most `most` from those before: one bad sample must not turn the network over."""
    return np.clip(fresh, before - most, before + most)


_FACTS = ("made_at", "seconds", "orders", "step_minor")
_ARRAYS = ("item", "node", "base", "network", "rate", "share", "ratio", "room", "room_day")


def encode(outlook: Outlook) -> bytes:
    """Compressed."""
    file = io.BytesIO()
    facts = np.array([float(getattr(outlook, name)) for name in _FACTS])
    np.savez_compressed(file, facts=facts, **{name: getattr(outlook, name) for name in _ARRAYS})
    return file.getvalue()


def decode(content: bytes) -> Outlook:
    """The reverse of `encode`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as read:
        made_at, seconds, orders, step_minor = read["facts"].tolist()
        return Outlook(
            made_at=made_at, seconds=seconds, orders=int(orders), step_minor=step_minor,
            **{name: read[name] for name in _ARRAYS if name in read},  # an older one knows less
        )  # fmt: skip


__all__ = ["CHANGE_SHARE", "Outlook", "decode", "encode", "grown", "moved_little", "rows_of"]
