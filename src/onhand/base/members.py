"""Keys that come twice in one JSON object: what it means then depends on who reads it, so it is refused."""

import json
from typing import Any

import numpy as np

_MEMBER = b'":'
# From here on NumPy counts faster: a batch of orders has 100 kB.
_LONG = 4_096


class RepeatedKey(ValueError):
    """An object has a key twice."""

    def __init__(self, key: str) -> None:
        self.key = key[:80]
        super().__init__(f"the key {self.key!r} comes twice in one object")


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """`object_pairs_hook` of json. Raises RepeatedKey."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(key)
            seen.add(key)
    return members


def has_as_many_members(body: bytes, read: bytes) -> bool:
    """Whether no key comes twice in `body`, by a glance: decoders that take the last of them would have lost one.

    read  what was understood of `body`, as JSON again

    False does not mean that one does: members that `read` leaves out (null, say) and blanks before a colon count too.
    """
    return _members(body) == _members(read)


def _members(text: bytes) -> int:
    if len(text) < _LONG:
        return text.count(_MEMBER)
    each = np.frombuffer(text, np.uint8)
    return int(np.count_nonzero((each[:-1] == _MEMBER[0]) & (each[1:] == _MEMBER[1])))


def check_members(body: bytes) -> None:
    """Read `body`, which was decoded and so is JSON of some depth, for keys that come twice. Raises RepeatedKey."""
    json.loads(body, object_pairs_hook=unique_members, parse_int=str, parse_float=str)


def check_outer_members(body: bytes) -> None:
    """Only the outermost object of `body`, which is JSON. Raises RepeatedKey, RecursionError."""
    # Numbers stay text: those of thousands of digits are no error here.
    unique_members(json.loads(body, object_pairs_hook=list, parse_int=str, parse_float=str))
