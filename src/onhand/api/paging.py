"""Lists: `?limit=&cursor=` in, `{"data": [...], "next_cursor": ...}` out.

    @router.get("/v1/orders", dependencies=[require("read")])
    def list_orders(app: TheApp, page: Annotated[Page, pages("orders", str)]) -> Listing:
        rows = store.list_orders(conn, after=page.after, limit=page.limit + 1)
        return page.answer(rows, lambda row: (row.order_id,), to_public)

A cursor is the position of the last row (keyset, not offset: rows that come and go between two pages
neither repeat nor hide others), bound to its list by name. It is opaque, not secret.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Query

from onhand.errors import InvalidInput

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
_CURSOR_LENGTH_MAX = 1000

R = TypeVar("R")
Position = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the caller wants: at most `limit` rows that come after the position `after` (None: from the
    beginning)."""

    name: str
    limit: int
    after: Position | None

    def answer(
        self,
        rows: Sequence[R],
        position: Callable[[R], Position],
        public: Callable[[R], Any] = lambda row: row,
    ) -> dict[str, Any]:
        """The list document. `rows` holds one row more than `limit` when there is a next page."""
        shown = rows[: self.limit]
        more = len(rows) > len(shown)
        return {
            "data": [public(row) for row in shown],
            "next_cursor": encode_cursor(self.name, position(shown[-1])) if more else None,
        }


def pages(name: str, *types: type[int] | type[str]) -> Any:
    """Dependency that reads `limit` and `cursor` of the list `name`, whose positions have `types`."""

    def read(
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Most rows of this page")] = LIMIT_DEFAULT,
        cursor: Annotated[
            str | None,
            Query(max_length=_CURSOR_LENGTH_MAX, description="`next_cursor` of the page before"),
        ] = None,
    ) -> Page:
        after = None if cursor is None else decode_cursor(name, cursor, types)
        return Page(name=name, limit=limit, after=after)

    return Depends(read)


def encode_cursor(name: str, position: Position) -> str:
    """The opaque text of a position."""
    packed = msgspec.json.encode([name, *position])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(name: str, cursor: str, types: Sequence[type[int] | type[str]]) -> Position:
    """The position that `encode_cursor` was given. Raises InvalidInput for anything else."""
    wrong = InvalidInput.at("cursor", f"not a cursor of this list ({name}): use its next_cursor")
    try:
        packed = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found_name, *position = msgspec.json.decode(packed, type=list[int | str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise wrong from None
    if found_name != name or len(position) != len(types):
        raise wrong
    for value, type_ in zip(position, types, strict=True):
        if not isinstance(value, type_):
            raise wrong
        if (isinstance(value, int) and abs(value) >= 2**63) or (isinstance(value, str) and "\0" in value):
            raise wrong
    return tuple(position)
