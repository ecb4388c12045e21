"""UUIDv7 (RFC 9562): time-ordered, so that index inserts stay at the right edge of the tree."""

import os
import time

import numpy as np
import numpy.typing as npt

UUID_BYTES = 16
TEXT_CHARACTERS = 36
# Where each group of digits begins among the hyphens, and which digits it has.
_GROUPS = ((0, 0, 8), (9, 8, 12), (14, 12, 16), (19, 16, 20), (24, 20, 32))


def new_ids(count: int, *, now_ms: int | None = None) -> npt.NDArray[np.uint8]:
    """`count` fresh ids, uint8[count, 16], ascending among themselves.

    48 bits of Unix milliseconds, then twelve bits that count up within the call and 62 random ones: neighbours in a
    batch stay neighbours in the index. Every 4,096 ids the milliseconds move on with the count.
    """
    raw = np.frombuffer(os.urandom(count * UUID_BYTES), np.uint8).reshape(count, UUID_BYTES).copy()
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    raw[:, :6] = np.frombuffer(milliseconds.to_bytes(6, "big"), np.uint8)
    for first in range(4096, count, 4096):
        milliseconds += 1
        raw[first:, :6] = np.frombuffer(milliseconds.to_bytes(6, "big"), np.uint8)
    sequence = np.arange(count)
    raw[:, 6] = 0x70 | (sequence >> 8 & 0x0F)
    raw[:, 7] = sequence & 0xFF
    raw[:, 8] = 0x80 | (raw[:, 8] & 0x3F)
    return raw


def texts(ids: npt.NDArray[np.uint8]) -> list[str]:
    """Canonical text of ids, uint8[n, 16]."""
    characters = np.full((len(ids), TEXT_CHARACTERS), ord("-"), np.uint8)
    digits = np.frombuffer(ids.tobytes().hex().encode(), np.uint8).reshape(len(ids), 2 * UUID_BYTES)
    for at, first, last in _GROUPS:
        characters[:, at : at + last - first] = digits[:, first:last]
    text = characters.tobytes().decode("ascii")
    return [text[at : at + TEXT_CHARACTERS] for at in range(0, len(text), TEXT_CHARACTERS)]


def new_id() -> str:
    """One fresh id as text."""
    return texts(new_ids(1))[0]
