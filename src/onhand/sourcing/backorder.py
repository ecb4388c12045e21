"""Promising units that are still on their way: which inbound lines back an order's shortage. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class Inbound:
    """An open line of dated supply; `open_units` are neither received nor promised."""

    inbound_id: str
    line_no: int
    item_id: int
    node_id: int
    open_units: int
    expected_at: datetime
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Units of an item promised from one inbound line."""

    inbound: Inbound
    units: int


def back(
    shortage: Sequence[tuple[int, int]],
    inbound: Iterable[Inbound],
    nodes: set[int],
    *,
    one_node: bool,
) -> list[Backing] | None:
    """Inbound lines for every (item_id, units) of `shortage`, earliest expected first; None when they do not suffice.

    nodes     node ids the channel may ship from
    one_node  everything must arrive at one node (the order may not be split); of several the one where it is complete
              first

    Takes nothing: the caller subtracts what it uses.
    """
    usable = sorted(
        (i for i in inbound if i.open_units > 0 and i.node_id in nodes),
        key=lambda i: (i.expected_at, i.inbound_id, i.line_no),
    )
    if not one_node or not shortage:
        return _cover(shortage, usable)
    answers = [
        answer
        for node in sorted({i.node_id for i in usable})
        if (answer := _cover(shortage, [i for i in usable if i.node_id == node])) is not None
    ]
    return min(answers, key=lambda a: max(b.inbound.expected_at for b in a), default=None)


def _cover(shortage: Sequence[tuple[int, int]], usable: Sequence[Inbound]) -> list[Backing] | None:
    backing: list[Backing] = []
    open_units = [line.open_units for line in usable]
    for item_id, units in shortage:
        rest = units
        for n, line in enumerate(usable):
            take = min(rest, open_units[n])
            if line.item_id == item_id and take:
                backing.append(Backing(inbound=line, units=take))
                open_units[n] -= take
                rest -= take
        if rest:
            return None
    return backing
