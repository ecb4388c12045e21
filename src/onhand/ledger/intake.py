"""Stock entries as they come in: the shape of the request and the checks that need no database."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from onhand.base.members import RepeatedKey, check_members, check_outer_members, has_as_many_members
from onhand.errors import InvalidInput
from onhand.ledger.model import STATED_KINDS, Rejected

ROWS_MAX = 5_000

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Moment = Annotated[datetime, Meta(tz=True)]

_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)


class EntryIn(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A fact about stock. `quantity` is signed for an adjustment and absolute for a count, otherwise ≥ 1."""

    kind: Annotated[
        str, Meta(max_length=20, description="what happened", extra_json_schema={"enum": sorted(STATED_KINDS)})
    ]
    sku: Name
    node: Name
    quantity: Annotated[
        int,
        Meta(
            ge=-(2**31) + 1,
            le=2**31 - 1,
            description="of a count all units that were found; of an adjustment how many more or fewer",
        ),
    ]
    reason: Annotated[str, Meta(max_length=500)] | None = None
    reference: (
        Annotated[
            str,
            Meta(
                max_length=128,
                description="the caller's document; one that names an inbound is booked as received",
            ),
        ]
        | None
    ) = None
    occurred_at: Annotated[Moment, Meta(description="when it happened; left out: now")] | None = None
    state: Annotated[Literal["unavailable"] | None, Meta(description="an adjustment of damaged units")] = None


class _Rows(msgspec.Struct, forbid_unknown_fields=True):
    entries: list[EntryIn]


class _RawRows(msgspec.Struct, forbid_unknown_fields=True):
    entries: list[msgspec.Raw]


_rows = msgspec.json.Decoder(_Rows)
_raw_rows = msgspec.json.Decoder(_RawRows)
_row = msgspec.json.Decoder(EntryIn)


def decode_entries(body: bytes) -> Sequence[EntryIn | Rejected]:
    """The rows of `{"entries": [...]}`, a Rejected in the place of each that is not an entry.

    Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError when the document itself is
    not one, InvalidInput when it has no rows or more than ROWS_MAX.
    """
    rows: Sequence[EntryIn | Rejected]
    try:
        document = _rows.decode(body)
        is_sound = has_as_many_members(body, msgspec.json.encode(document))
        rows = document.entries
    except msgspec.ValidationError:
        is_sound, rows = False, []
    if not is_sound:
        # Some row may be bad, or the document: read row by row only then.
        rows = [_decode_row(raw) for raw in _raw_rows.decode(body).entries]
        if body.count(b'"entries"') > 1:
            _check_outer(body)
    if not 1 <= len(rows) <= ROWS_MAX:
        raise InvalidInput.at("entries", f"expected 1 to {ROWS_MAX} rows, got {len(rows)}")
    return rows


def _check_outer(body: bytes) -> None:
    try:
        check_outer_members(body)
    except RepeatedKey as error:
        raise InvalidInput.at(error.key, "comes twice") from None


def _decode_row(raw: msgspec.Raw) -> EntryIn | Rejected:
    try:
        row = _row.decode(raw)
        check_members(bytes(raw))
        return row
    except RepeatedKey as error:
        return Rejected("input.invalid", f"{error.key}: comes twice")
    except msgspec.ValidationError as error:
        text = str(error)
        if match := _AT.fullmatch(text):
            text = f"{match[2]}: {match[1]}"
        return Rejected("input.invalid", text.replace("`", ""))
