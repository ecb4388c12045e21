"""What a cost term of others may look at: the orders of a batch and the nodes of the network, as arrays."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from onhand.catalog.catalogue import Goods
from onhand.network.compiled import METHODS, Network
from onhand.sourcing.tables import EARTH_KM

if TYPE_CHECKING:
    from onhand.sourcing.solve import Asked

Text = npt.NDArray[np.str_]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_METHOD_NAMES: Final = {bit: name for name, bit in METHODS.items()}


class TermBatch:
    """A batch of orders and the network that may serve them. Every array is read-only and made when it is first read;
    orders, demand rows (an order's items, bundles exploded) and nodes are numbered from 0.

    orders, nodes           how many
    now                     moment of the decision, UTC

    Per order:
    channel, country, region, postal_code, method   str[orders]; "" where nobody said
    latitude, longitude     float64[orders], degrees
    residential             bool[orders]

    Per demand row:
    order                   int64[demand]: its order
    sku, category           str[demand]; "" where it has none
    units                   int64[demand]
    weight_g, volume_mm3    int64[demand], of one unit
    price_minor             float64[demand], of one unit, 0 where it is not known

    Per node:
    node, node_type, node_country, node_region, node_postal_code   str[nodes]; node: its code
    node_latitude, node_longitude   float64[nodes], degrees
    node_attributes         a mapping each, as they were set up

    distance_km             float64[orders, nodes], great circle

    `total(values)` sums values of demand rows by order.
    """

    def __init__(self, asked: "Asked", network: Network, goods: Goods, now: float) -> None:
        self._asked, self._network, self._goods = asked, network, goods
        self._nodes: list[Mapping[str, Any]] = network.node_documents
        self.now = datetime.fromtimestamp(now, UTC)
        self.orders = len(asked.zone)
        self.nodes = len(self._nodes)

    # Per order

    @cached_property
    def channel(self) -> Text:
        codes = self._asked.channel_codes
        return _text([""] * self.orders) if codes is None else _text(codes)

    @cached_property
    def country(self) -> Text:
        return self._place(0)

    @cached_property
    def region(self) -> Text:
        return self._place(1)

    @cached_property
    def postal_code(self) -> Text:
        return self._place(2)

    @cached_property
    def method(self) -> Text:
        return _text([_METHOD_NAMES.get(bit, "") for bit in self._asked.method.tolist()])

    @cached_property
    def latitude(self) -> Float64:
        return _fixed(self._asked.latitude.astype(np.float64))

    @cached_property
    def longitude(self) -> Float64:
        return _fixed(self._asked.longitude.astype(np.float64))

    @cached_property
    def residential(self) -> npt.NDArray[np.bool_]:
        given = self._asked.residential
        return _fixed(np.zeros(self.orders, np.bool_) if given is None else given.astype(np.bool_))

    # Per demand row

    @cached_property
    def order(self) -> Int64:
        return _fixed(np.repeat(np.arange(self.orders), np.diff(self._asked.demand_first)))

    @cached_property
    def sku(self) -> Text:
        skus, items = self._goods.skus, self._asked.item.tolist()
        return _text([skus[int(i)] if i < len(skus) else "" for i in items])

    @cached_property
    def category(self) -> Text:
        pairs = self._goods.pairs
        return _text([pairs[p][1] or "" for p in self._goods.pair[self._asked.item].tolist()])

    @cached_property
    def units(self) -> Int64:
        return _fixed(self._asked.units.astype(np.int64))

    @cached_property
    def weight_g(self) -> Int64:
        return _fixed(self._goods.weight_g[self._asked.item].astype(np.int64))

    @cached_property
    def volume_mm3(self) -> Int64:
        return _fixed(self._goods.volume_mm3[self._asked.item].astype(np.int64))

    @cached_property
    def price_minor(self) -> Float64:
        price = self._asked.price
        return _fixed(np.zeros(len(self._asked.item)) if price is None else price.astype(np.float64))

    def total(self, values: npt.ArrayLike) -> Float64:
        """float64[orders]: sums of `values`, one for each demand row (or one for all)."""
        rows = np.broadcast_to(np.asarray(values, np.float64), self.order.shape)
        return np.bincount(self.order, rows, self.orders).astype(np.float64)

    # Per node

    @cached_property
    def node_id(self) -> Int64:
        """int64[nodes]: rows of the network's own arrays."""
        return _fixed(np.array([node["node_id"] for node in self._nodes], np.int64))

    @cached_property
    def node(self) -> Text:
        return self._of_nodes("code")

    @cached_property
    def node_type(self) -> Text:
        return self._of_nodes("node_type")

    @cached_property
    def node_country(self) -> Text:
        return self._of_nodes("country")

    @cached_property
    def node_region(self) -> Text:
        return self._of_nodes("region")

    @cached_property
    def node_postal_code(self) -> Text:
        return self._of_nodes("postal_code")

    @cached_property
    def node_latitude(self) -> Float64:
        return _fixed(np.degrees(self._network.latitude[self.node_id]))

    @cached_property
    def node_longitude(self) -> Float64:
        return _fixed(np.degrees(self._network.longitude[self.node_id]))

    @cached_property
    def node_attributes(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(node.get("attributes") or {} for node in self._nodes)

    @cached_property
    def distance_km(self) -> Float64:
        latitude, longitude = np.radians(self.latitude), np.radians(self.longitude)
        flat = np.cos(latitude)
        there = np.column_stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)])
        # Chord from the angle between two unit vectors; as `pricing.distance_km`, but for all at once.
        chord = np.sqrt(np.maximum(2.0 - 2.0 * there @ self._network.xyz[self.node_id].T, 0.0))
        return _fixed(2.0 * EARTH_KM * np.arcsin(np.minimum(0.5 * chord, 1.0)))

    def _place(self, part: int) -> Text:
        places = self._asked.places
        return _text([""] * self.orders) if places is None else _text(places[:, part])

    def _of_nodes(self, field: str) -> Text:
        return _text([node.get(field) or "" for node in self._nodes])


def _text(words: list[str] | Text) -> Text:
    return _fixed(np.array(words, np.str_).reshape(-1))


def _fixed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array
