"""What cost terms of others asked for an order, at the end of the record of its decision.

Their values are kept, not asked again: a term may read what changes (a tariff, the weather), may be of another version
by then, or gone. By name, so that an old plan can be read without who brought the term.

Layout, behind a record whose version has the bit MARK: JSON of the names, each with bits (1: it has units, 2: it is
paid); for each node that may have held anything of the order its node_id (uint32); then per term float32 of a
fulfilment by node, and, if it has units, float32 of a unit by demand row and node. At the very end, uint32 each, the
number of nodes, the length of the JSON, and that of the whole. Terms that are 0 everywhere are left out, and all of it
where there is no other.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from onhand.sourcing.custom import Weighed

MARK = 0x80
_UNIT, _PAID = 1, 2
_END = struct.Struct("<III")

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTerm:
    """What a term asked. node_id int32[n]; fulfilment float32[n], unit float32[demand, n] or None: minor units before
    the policy's weight."""

    name: str
    node_id: Int32
    fulfilment: Float32
    unit: Float32 | None
    paid: bool = False


def add(records: Sequence[bytes], weighed: Weighed, demand_first: Int32) -> list[bytes]:
    """Records of a batch with what terms of others asked in it."""
    rows = zip(records, demand_first[:-1].tolist(), demand_first[1:].tolist(), strict=True)
    return [_marked(raw, _tail(weighed, order, first, end)) for order, (raw, first, end) in enumerate(rows)]


def _marked(raw: bytes, tail: bytes) -> bytes:
    return bytes([raw[0] | MARK]) + raw[1:] + tail if tail else raw


def _tail(weighed: Weighed, order: int, first: int, end: int) -> bytes:
    nodes = np.flatnonzero(weighed.seen[order])
    bits: dict[str, int] = {}
    parts: list[bytes] = []
    for x, name in enumerate(weighed.names):
        fulfilment = weighed.fulfilment[x, order, nodes]
        unit = weighed.unit[x, first:end][:, nodes] if len(weighed.unit) else np.zeros((0, 0), np.float32)
        if fulfilment.any() or unit.any():
            bits[name] = _UNIT * bool(unit.any()) + _PAID * bool(weighed.paid[x])
            parts += [fulfilment.tobytes(), unit.tobytes() if bits[name] & _UNIT else b""]
    if not parts:
        return b""
    names = msgspec.json.encode(bits)
    body = names + nodes.astype("<u4").tobytes() + b"".join(parts)
    return body + _END.pack(len(nodes), len(names), len(body) + _END.size)


def split(raw: bytes) -> tuple[bytes, list[SeenTerm]]:
    """A record without its end, and what stands there."""
    if not raw[0] & MARK:
        return raw, []
    count, names_length, length = _END.unpack_from(raw, len(raw) - _END.size)
    at = len(raw) - length
    named = msgspec.json.decode(raw[at : at + names_length], type=dict[str, int])
    nodes = np.frombuffer(raw, "<u4", count, at + names_length).astype(np.int32)
    numbers = np.frombuffer(raw[at + names_length + nodes.nbytes : len(raw) - _END.size], "<f4")
    demand = struct.unpack_from("<H", raw, 2)[0]
    terms: list[SeenTerm] = []
    start = 0
    for name, bits in named.items():
        rows = demand if bits & _UNIT else 0
        whole, each = numbers[start : start + count], numbers[start + count : start + count * (1 + rows)]
        unit = each.reshape(rows, count) if rows else None
        terms.append(SeenTerm(name=name, node_id=nodes, fulfilment=whole, unit=unit, paid=bool(bits & _PAID)))
        start += count * (1 + rows)
    return bytes([raw[0] & ~MARK]) + raw[1:at], terms
