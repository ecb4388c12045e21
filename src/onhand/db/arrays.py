"""One-dimensional array parameters in PostgreSQL's binary format, built without a Python call per element.

The hot path sends about sixty arrays a statement; psycopg's list dumper costs 0.3-1 us an element, a NumPy view of the
wire format costs next to nothing. Wire format: ndim, has-null, element oid, length, lower bound, then (length, bytes)
per element, all big-endian (PostgreSQL source: `array_recv`).
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.pq import Format

T = TypeVar("T", str, bytes)
_HEADER = struct.Struct("!iiIii")
_NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct("!i")


class PgArray:
    """A ready binary array; subclasses fix the type."""

    oid = 0
    element_oid = 0
    __slots__ = ("data",)

    def __init__(self, count: int, elements: bytes, *, has_null: bool = False) -> None:
        if count:
            self.data = _HEADER.pack(1, has_null, self.element_oid, count, 1) + elements
        else:
            self.data = _HEADER.pack(0, 0, self.element_oid, 0, 1)[:12]


class Int4Array(PgArray):
    oid, element_oid = 1007, 23


class Int8Array(PgArray):
    oid, element_oid = 1016, 20


class Float8Array(PgArray):
    oid, element_oid = 1022, 701


class BoolArray(PgArray):
    oid, element_oid = 1000, 16


class TextArray(PgArray):
    oid, element_oid = 1009, 25


class ByteaArray(PgArray):
    oid, element_oid = 1001, 17


class UuidArray(PgArray):
    oid, element_oid = 2951, 2950


class DateArray(PgArray):
    oid, element_oid = 1182, 1082


class TimestamptzArray(PgArray):
    oid, element_oid = 1185, 1184


_ARRAYS: tuple[type[PgArray], ...] = (
    Int4Array,
    Int8Array,
    Float8Array,
    BoolArray,
    TextArray,
    ByteaArray,
    UuidArray,
    DateArray,
    TimestamptzArray,
)

_I4 = np.dtype([("n", ">i4"), ("v", ">i4")])
_I8 = np.dtype([("n", ">i4"), ("v", ">i8")])
_F8 = np.dtype([("n", ">i4"), ("v", ">f8")])
_B1 = np.dtype([("n", ">i4"), ("v", "i1")])
_U16 = np.dtype([("n", ">i4"), ("v", "V16")])

# PostgreSQL counts dates and times from 2000-01-01.
_EPOCH_DAYS = 10957
_EPOCH_US = _EPOCH_DAYS * 86_400_000_000

Numbers = Sequence[int] | npt.NDArray[Any]


def _fixed(values: Numbers | Sequence[float], dtype: np.dtype[Any], width: int) -> tuple[int, bytes]:
    wire = np.empty(len(values), dtype)
    wire["n"] = width
    wire["v"] = values
    # Lists are checked by NumPy, arrays of a wider type would wrap around.
    if isinstance(values, np.ndarray) and values.dtype.itemsize > width and (wire["v"] != values).any():
        raise OverflowError(f"a number does not fit into {width} bytes")
    return len(values), wire.tobytes()


def int4(values: Numbers) -> Int4Array:
    return Int4Array(*_fixed(values, _I4, 4))


def int4_columns(columns: Sequence[Numbers]) -> list[Int4Array]:
    """Columns of one length, converted together: for short ones that is most of the cost."""
    count = len(columns[0])
    wire = np.empty((len(columns), count), _I4)
    wire["n"] = 4
    wire["v"] = columns
    raw = wire.tobytes()
    size = count * _I4.itemsize
    return (
        [Int4Array(count, raw[at : at + size]) for at in range(0, size * len(columns), size)]
        if count
        else [Int4Array(0, b"") for _ in columns]
    )


def read_int4(raw: bytes | None) -> npt.NDArray[np.int32]:
    """An int4[] without NULLs from its wire format; NULL is empty."""
    if raw is None or len(raw) <= 12:
        return np.empty(0, np.int32)
    assert not raw[7], "an int4[] with NULLs has no place in a NumPy array"
    return np.frombuffer(raw, _I4, offset=20)["v"].astype(np.int32)


def int8(values: Numbers) -> Int8Array:
    return Int8Array(*_fixed(values, _I8, 8))


def float8(values: Sequence[float] | npt.NDArray[Any]) -> Float8Array:
    return Float8Array(*_fixed(values, _F8, 8))


def boolean(values: Sequence[bool]) -> BoolArray:
    return BoolArray(*_fixed(values, _B1, 1))


def date(days: Numbers) -> DateArray:
    """`days` since 1970-01-01."""
    return DateArray(*_fixed(np.asarray(days, np.int64) - _EPOCH_DAYS, _I4, 4))


def timestamptz(microseconds: Numbers) -> TimestamptzArray:
    """`microseconds` since 1970-01-01 UTC; the smallest int64 stands for NULL."""
    values = np.asarray(microseconds, np.int64)
    nulls = values == NO_TIME
    if not nulls.any():
        return TimestamptzArray(*_fixed(values - _EPOCH_US, _I8, 8))
    parts = [_NULL if v is None else struct.pack("!iq", 8, v - _EPOCH_US) for v in _nullable(values)]
    return TimestamptzArray(len(parts), b"".join(parts), has_null=True)


NO_TIME = int(np.iinfo(np.int64).min)


def _nullable(values: npt.NDArray[np.int64]) -> Iterable[int | None]:
    return (None if v == NO_TIME else v for v in values.tolist())


def nullable_int8(values: Sequence[int | None]) -> Int8Array:
    parts = [_NULL if v is None else struct.pack("!iq", 8, v) for v in values]
    return Int8Array(len(parts), b"".join(parts), has_null=True)


def nullable_int4(values: Sequence[int | None]) -> Int4Array:
    parts = [_NULL if v is None else struct.pack("!ii", 4, v) for v in values]
    return Int4Array(len(parts), b"".join(parts), has_null=True)


def uuid(ids: npt.NDArray[np.uint8]) -> UuidArray:
    """`ids` uint8[n, 16]."""
    wire = np.empty(len(ids), _U16)
    wire["n"] = 16
    wire["v"] = np.ascontiguousarray(ids, np.uint8).reshape(-1).view("V16")
    return UuidArray(len(ids), wire.tobytes())


def nullable_uuid(ids: Sequence[bytes | None]) -> UuidArray:
    parts = [_NULL if v is None else b"\x00\x00\x00\x10" + v for v in ids]
    return UuidArray(len(parts), b"".join(parts), has_null=True)


# Length prefixes of short values, ready made; of very short ones as text.
_PREFIXES = [_LENGTH.pack(n) for n in range(4096)]
_ASCII_PREFIXES = [prefix.decode() for prefix in _PREFIXES[:128]]


def _prefix(size: int) -> bytes:
    return _PREFIXES[size] if size < len(_PREFIXES) else _LENGTH.pack(size)


def bytea(values: Sequence[bytes | None]) -> ByteaArray:
    found = [v for v in values if v is not None]
    if len(found) < len(values):
        return ByteaArray(len(values), b"".join([_element(v) for v in values]), has_null=True)
    return ByteaArray(len(found), _elements(found))


def text(values: Sequence[str | None]) -> TextArray:
    """Strings of all kinds."""
    found = [v for v in values if v is not None]
    if len(found) < len(values):
        return words(values)
    elements = _ascii_elements(found)
    return TextArray(len(found), _elements([v.encode() for v in found]) if elements is None else elements)


def utf8(values: Sequence[bytes]) -> TextArray:
    """Strings that are encoded already."""
    return TextArray(len(values), _elements(values))


def words(values: Sequence[str | None]) -> TextArray:
    """Strings of which there are few, again and again: statuses, currencies, services."""
    known = {v: _element(None if v is None else v.encode()) for v in {*values}}
    if len(known) == 1:
        (element,) = known.values()
        return TextArray(len(values), element * len(values), has_null=None in known)
    return TextArray(len(values), b"".join([known[v] for v in values]), has_null=None in known)


def _element(value: bytes | None) -> bytes:
    return _NULL if value is None else _prefix(len(value)) + value


def _elements(values: Sequence[bytes]) -> bytes:
    try:
        return b"".join(_between(_PREFIXES, values))
    except IndexError:
        return b"".join([_element(v) for v in values])


def _ascii_elements(values: Sequence[str]) -> bytes | None:
    """`_elements` of short ASCII strings: their prefixes are ASCII too, so all is encoded at once. None: of others."""
    try:
        joined = "".join(_between(_ASCII_PREFIXES, values))
    except IndexError:
        return None
    return joined.encode() if joined.isascii() else None


def _between(prefixes: Sequence[T], values: Sequence[T]) -> list[T]:
    """The prefix of each value, then the value."""
    parts = [prefixes[0]] * (2 * len(values))
    parts[::2] = [prefixes[size] for size in map(len, values)]
    parts[1::2] = values
    return parts


class Int4ArrayLoader(Loader):
    """int4[] without NULLs as int32[n]; for connections that fetch long arrays (see `load_numpy`)."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Any:
        return read_int4(bytes(data))


def _dumper(array: type[PgArray]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = array.oid

        def dump(self, obj: Any) -> Buffer | None:
            return obj.data

    ArrayDumper.__name__ = f"{array.__name__}Dumper"
    return ArrayDumper


def register(adapters: AdaptersMap) -> None:
    """Teach a connection (or psycopg as a whole) to send PgArray."""
    for array in _ARRAYS:
        adapters.register_dumper(array, _dumper(array))


def load_numpy(adapters: AdaptersMap) -> None:
    """Make int4[] columns of binary cursors arrive as NumPy arrays on this connection."""
    adapters.register_loader(Int4Array.oid, Int4ArrayLoader)
