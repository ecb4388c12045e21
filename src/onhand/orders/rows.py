"""Lines as they stand in the rows of orders and fulfilments: JSON, a list for each line, without zeros at its end.

A line of an order is `[line id, item_id, quantity, price, tax, cancelled, shipped, returned, components]`, the last as
{item_id: units per bundle}; a line of a fulfilment `[line_no, item_id, quantity, shipped, released]`. The views
order_line and fulfilment_line show the same as rows.
"""

from collections.abc import Sequence

import msgspec

from onhand.orders.model import Line, Others, Piece

_Components = dict[str, int]
_encoder = msgspec.json.Encoder()
# Lines as they are encoded: of any length from four, or three, on.
LineRow = tuple[object, ...]


class _StoredLine(msgspec.Struct, array_like=True):
    line_id: str
    item_id: int
    quantity: int
    price_minor: int
    tax_minor: int | None = None
    cancelled: int = 0
    shipped: int = 0
    returned: int = 0
    components: _Components | None = None


class _StoredPiece(msgspec.Struct, array_like=True):
    line_no: int
    item_id: int
    quantity: int
    shipped: int = 0
    released: int = 0


_lines = msgspec.json.Decoder(list[_StoredLine])
_pieces = msgspec.json.Decoder(list[_StoredPiece])
_cost = msgspec.json.Decoder(list[int | dict[str, int]])


def new_line(
    line_id: str, item_id: int, quantity: int, price_minor: int, tax_minor: int | None,
    components: Sequence[tuple[int, int]],
) -> LineRow:  # fmt: skip
    """A line of which nothing has happened yet."""
    if components:
        parts = {str(item): units for item, units in components}
        return line_id, item_id, quantity, price_minor, tax_minor, 0, 0, 0, parts
    if tax_minor is not None:
        return line_id, item_id, quantity, price_minor, tax_minor
    return line_id, item_id, quantity, price_minor


def encode_many(rows: Sequence[Sequence[LineRow]]) -> list[bytes]:
    """The lines of many orders, or of many fulfilments."""
    return _encoder.encode_lines(rows).split(b"\n")[:-1]


def encode_lines(lines: Sequence[Line]) -> str:
    return _encoder.encode(
        [
            _StoredLine(
                line.line_id, line.item_id, line.quantity, line.price_minor, line.tax_minor, line.cancelled,
                line.shipped, line.returned, {str(i): n for i, n in line.components} or None,
            )
            for line in lines
        ]
    ).decode()  # fmt: skip


def encode_pieces(pieces: Sequence[Piece]) -> str:
    rows = [_StoredPiece(p.line_no, p.item_id, p.quantity, p.shipped, p.released) for p in pieces]
    return _encoder.encode(rows).decode()


def encode_cost(terms: Sequence[int], others: Others = ()) -> str:
    """Minor units of each cost term; behind them, if there are any, {name: minor units} of terms of others: by name,
    because who brought them may be gone when it is read."""
    return _encoder.encode((*terms, dict(others)) if others else terms).decode()


def decode_cost(text: str) -> tuple[tuple[int, ...], Others]:
    """The reverse of `encode_cost`."""
    found = _cost.decode(text)
    others = [pair for named in found if isinstance(named, dict) for pair in named.items()]
    return tuple([minor for minor in found if isinstance(minor, int)]), tuple(others)


def decode_lines(text: str) -> tuple[Line, ...]:
    return tuple(
        Line(
            line_no=number,
            line_id=line.line_id,
            item_id=line.item_id,
            quantity=line.quantity,
            price_minor=line.price_minor,
            tax_minor=line.tax_minor,
            cancelled=line.cancelled,
            shipped=line.shipped,
            returned=line.returned,
            components=tuple(sorted((int(item), units) for item, units in (line.components or {}).items())),
        )
        for number, line in enumerate(_lines.decode(text), 1)
    )


def decode_line_ids(text: str) -> list[str]:
    """The ids of the lines of an order, by line_no - 1."""
    return [line.line_id for line in _lines.decode(text)]


def decode_pieces(text: str) -> tuple[Piece, ...]:
    """By line and item."""
    found = _pieces.decode(text)
    found.sort(key=lambda p: (p.line_no, p.item_id))
    return tuple(
        Piece(line_no=p.line_no, item_id=p.item_id, quantity=p.quantity, shipped=p.shipped, released=p.released)
        for p in found
    )
