"""A file of rows as pages of records, in bounded memory; a bad row costs only the record it belongs to. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from onhand.connectors._sdk.values import Reject
from onhand.connectors.csv_feed.records import COLUMNS, Context, Kind, Row, Value, key_of, record
from onhand.connectors.csv_feed.rows import Format, Lines, Unfinished, Unreadable, cells, without_mark

ROWS_OF_A_RECORD_MAX: Final = 5_000
ORDERS_OF_A_FILE_MAX: Final = 1_000_000
_RECORD_KEPT_MAX: Final = 20_000


class Unusable(Exception):
    """A file of which nothing can be read; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A row as it stands in its file. start: where, in bytes; bad: why it cannot be read, if so."""

    start: int
    row: Row
    text: bytes
    bad: str = ""


# Columns --------------------------------------------------------------------------------------------------------------


def columns_of(kind: Kind, said: Mapping[str, str], header: Sequence[str] | None) -> dict[str, int]:
    """Our names -> which cell of a row, from 0. Raises Unusable.

    said    our name -> that of the file's column, or its number from 1 where there is no header; names that are not
            said are the same in the file
    header  the first row, if it names the columns
    """
    found: dict[str, int] = {}
    if header is None:
        found = {name: int(number) - 1 for name, number in said.items()}
    else:
        known = {name.strip().casefold(): at for at, name in reversed(list(enumerate(header)))}
        for name in COLUMNS[kind]:
            at = known.get(said.get(name, name).strip().casefold())
            if at is not None:
                found[name] = at
            elif name in said:
                raise Unusable(f"there is no column {said[name]!r}; there are {', '.join(header)[:500]}")
    missing = [said.get(name, name) for name, needed in COLUMNS[kind].items() if needed and name not in found]
    if missing:
        there = "" if header is None else f"; there are {', '.join(header)[:500]}"
        raise Unusable(f"there is no column {', '.join(missing)}{there}")
    return found


# Rows -----------------------------------------------------------------------------------------------------------------


class Splitter:
    """Chunks of a file as its rows.

    columns     our names -> which cell, from 0; None: the first row says (`header`)
    at, number  where the first row begins, and its number less one
    """

    def __init__(
        self,
        kind: Kind,
        form: Format,
        said: Mapping[str, str],
        *,
        columns: Mapping[str, int] | None,
        header: Sequence[str] = (),
        at: int = 0,
        number: int = 0,
    ) -> None:
        self._kind: Kind = kind
        self._form, self._said = form, said
        self.columns = columns
        self.number = number
        self.header = header
        self._lines = Lines(at)
        self._next = at  # where the row that is next begins
        self._open: list[bytes] = []  # lines of a row whose end has not come
        self._back: list[bytes] = []  # lines that a bad row had swallowed

    def feed(self, chunk: bytes) -> None:
        """More of the file."""
        self._lines.feed(chunk)

    def take(self, *, is_end: bool) -> Raw | None:
        """The next row; None: more is needed, or, at the end, there is none. Raises Unusable."""
        while True:
            line = self._line(is_end=is_end)
            if line is None:
                if not (is_end and self._open):
                    return None
                return self._gave_up("a quotation has no end")
            self._open.append(line)
            try:
                found = cells(self._open, self._form)
            except Unfinished:
                continue
            except Unreadable as error:
                return self._gave_up(str(error))
            text, start = self._consumed(len(self._open))
            if not found:
                continue
            if self.columns is None:
                self.header = found
                self.columns = columns_of(self._kind, self._said, found)
                continue
            return self._raw(start, text, found)

    def _line(self, *, is_end: bool) -> bytes | None:
        if self._back:
            return self._back.pop(0)
        is_first = self._lines.at == 0
        try:
            line = self._lines.next(is_end=is_end)
        except Unreadable as error:
            raise Unusable(str(error)) from None
        if line is not None and is_first:
            stripped = without_mark(line)
            self._next += len(line) - len(stripped)
            return stripped
        return line

    def _consumed(self, lines: int) -> tuple[bytes, int]:
        text, start = b"".join(self._open[:lines]), self._next
        self._next += len(text)
        self._open = self._open[lines:]
        return text, start

    def _gave_up(self, why: str) -> Raw:
        """The first line of what is open as a bad row; the others are looked at anew."""
        if self.columns is None:
            raise Unusable(f"the first row cannot be read: {why}")
        text, start = self._consumed(1)
        self._back = self._open + self._back
        self._open = []
        # Its names are guessed, so that the record it belongs to is known.
        loose = io.StringIO(text.decode(self._form.encoding, "replace").strip("\r\n"), newline="")
        try:
            guessed = next(csv.reader(loose, delimiter=self._form.delimiter), list[str]())
        except csv.Error:
            guessed = list[str]()
        return self._raw(start, text, [cell.strip() for cell in guessed], bad=why)

    def _raw(self, start: int, text: bytes, found: Sequence[str], bad: str = "") -> Raw:
        assert self.columns is not None, "rows come after the header"
        self.number += 1
        width = len(self.header) or len(found)
        if not bad and any(found[width:]):
            bad = f"it has {len(found)} cells where the header has {width}"
        elif not bad and len(found) < len(self.header) and not text.endswith((b"\n", b"\r")):
            # The last of its cells may be the first half of a number.
            bad = f"the file ends in the middle of it: it has {len(found)} cells where the header has {width}"
        known = {name: found[at] for name, at in self.columns.items() if at < len(found) and found[at]}
        return Raw(start=start, row=Row(number=self.number, cells=known), text=text, bad=bad)

    @property
    def at(self) -> int:
        """Where what was not taken yet begins."""
        return self._next


# Records --------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Gathering:
    """Rows as records; rows of one record stand together.

    values, rejects  what is complete so far
    bad_rows         number, why and text of every row that was not used
    """

    kind: Kind
    context: Context
    values: list[Value] = field(default_factory=list[Value])
    rejects: list[Reject] = field(default_factory=list[Reject])
    bad_rows: list[tuple[int, str, bytes]] = field(default_factory=list[tuple[int, str, bytes]])
    _open: list[Raw] = field(default_factory=list[Raw])
    _too_many: int = 0
    _key: tuple[str, ...] = ()

    def begins_anew(self, raw: Raw) -> bool:
        """Whether the row is the first of another record."""
        if not self._open:
            return True
        key = key_of(self.kind, raw.row)
        # A bad row without a name belongs to what stands before it: better a record too many refused than one with a
        # line too few taken.
        return key != self._key and not (raw.bad and not any(key))

    def add(self, raw: Raw) -> None:
        """The next row."""
        if self.begins_anew(raw):
            self.close()
            self._key = key_of(self.kind, raw.row)
        if len(self._open) < ROWS_OF_A_RECORD_MAX:
            self._open.append(raw)
        else:
            self._too_many += 1

    def close(self) -> None:
        """No more rows come of the record."""
        rows, self._open, too_many, self._too_many = self._open, [], self._too_many, 0
        if not rows:
            return
        try:
            bad = next((raw for raw in rows if raw.bad), None)
            if bad is not None:
                raise Unreadable(f"row {bad.row.number}: {bad.bad}" if len(rows) > 1 else bad.bad)
            if too_many:
                raise Unreadable(f"a record has at most {ROWS_OF_A_RECORD_MAX:,} rows")
            self.values.append(record(self.kind, [raw.row for raw in rows], self.context))
        except Unreadable as error:
            name = self._key[0] if self._key and self.kind in {"orders", "shipments"} else ""
            text = b"".join(raw.text for raw in rows).decode(self.context.form.encoding, "replace")
            self.rejects.append(
                Reject(
                    external_id=(name or f"{self.context.file}:{rows[0].row.number}")[:200],
                    why=str(error),
                    record=text[:_RECORD_KEPT_MAX],
                )
            )
            self.bad_rows += [(raw.row.number, str(error), raw.text) for raw in rows]


class Order:
    """Looks through a file before it is read: whether its rows can be used at all, and rows of an order stand together.

    It keeps a number for each order, no more.
    """

    def __init__(self, splitter: Splitter, kind: Kind) -> None:
        self.splitter = splitter
        self._kind = kind
        self._seen: set[int] = set()
        self._last: tuple[str, ...] = ()
        self._is_over = False

    def look(self, chunk: bytes) -> None:
        """At more of the file. Raises Unusable."""
        if self._is_over:
            return
        self.splitter.feed(chunk)
        self._look(is_end=False)

    def end(self) -> None:
        """There is no more. Raises Unusable."""
        self._look(is_end=True)
        if self.splitter.columns is None:
            raise Unusable("it is empty")

    def _look(self, *, is_end: bool) -> None:
        while (raw := self.splitter.take(is_end=is_end)) is not None:
            if self._kind != "orders":
                self._is_over = not is_end
                return
            key = key_of(self._kind, raw.row)
            if key == self._last or not any(key):
                continue
            if hash(key) in self._seen:
                raise Unusable(
                    f"row {raw.row.number} belongs to order {key[0][:100]}, whose other rows stand elsewhere: "
                    "sort the file by order"
                )
            if len(self._seen) >= ORDERS_OF_A_FILE_MAX:
                raise Unusable(f"it has more than {ORDERS_OF_A_FILE_MAX:,} orders: divide it")
            self._seen.add(hash(key))
            self._last = key
