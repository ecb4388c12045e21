"""Files as a stream of rows: CSV, JSON lines, Parquet. A row that cannot be read is a row with its problem.

CSV and JSON lines are read line by line, so that one broken line spoils no other and is named by its number.
"""

import codecs
import csv
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from onhand.cli.imports.columns import COLUMNS, Columns, What, plain

_DELIMITERS = ",;\t|"
_CELL_BYTES_MAX = 4 * 2**20
_PARQUET_ROWS = 5_000


class FileError(ValueError):
    """The file as a whole cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a file.

    line      its first line in the file; its number in a Parquet file
    fields    the document to import, and as JSON `body`; None and empty when there is a problem
    raw       as it was read, for the rejects
    position  how far the file has been read, as Source.size counts
    """

    line: int
    position: int
    raw: object
    problem: str | None = None
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to import. `names` maps its headers to our columns; `size` is bytes, or rows of a Parquet file."""

    path: Path
    what: What
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    ignore_unknown: bool = False
    size: int = 0

    @classmethod
    def open(cls, path: Path, what: What, *, columns: Mapping[str, str], ignore_unknown: bool) -> "Source":
        """Look at a file without reading its rows. Raises FileError.

        columns  our column -> header in the file
        """
        if path.suffix.lower() not in _READERS:
            known = ", ".join(sorted(_READERS))
            raise FileError(f"{path}: expected a file that ends in {known}")
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                start = file.read(2)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from None
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise FileError(f"{path}: UTF-16; save it as UTF-8")
        if path.suffix.lower() == ".parquet":
            size = _parquet_rows(path)
        names = {header: name for name, header in columns.items()}
        source = cls(path=path, what=what, names=names, ignore_unknown=ignore_unknown, size=size)
        next(source.rows(), None)  # a missing column is told before anything is imported
        return source

    def rows(self) -> Iterator[Row]:
        """Every row, in order. Raises FileError for a broken header."""
        return _READERS[self.path.suffix.lower()](self)

    def columns(self, headers: Collection[str]) -> list[str]:
        """Our names of the headers. Raises FileError, naming what is missing or unknown."""
        known = COLUMNS[self.what]
        if absent := [header for header in self.names if header not in headers]:
            raise FileError(f"{self.path}: no column {absent[0]!r}; it has {', '.join(headers)}")
        names = [self.names.get(header, header) for header in headers]
        if twice := [name for n, name in enumerate(names) if name in names[:n]]:
            raise FileError(f"{self.path}: the column {twice[0]!r} comes twice")
        if missing := known.missing(names):
            raise FileError(
                f"{self.path}: the column {missing[0]!r} is missing; it has {', '.join(headers)}."
                f" If it is there under another name: --column {missing[0]}=HEADER"
            )
        unknown = [h for h, name in zip(headers, names, strict=True) if known.read_of(name) is None]
        if unknown and not self.ignore_unknown:
            raise FileError(
                f"{self.path}: unknown column {unknown[0]!r}; --ignore-unknown leaves such columns out."
                f" Known are {', '.join([*known.required, *known.optional])}"
            )
        return names


def _csv_rows(source: Source) -> Iterator[Row]:
    columns = COLUMNS[source.what]
    # Bytes that are not UTF-8 become surrogates, and a problem of their row alone.
    with source.path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = file.readline()
        if not first.strip():
            raise FileError(f"{source.path}: empty; expected a line with the names of the columns")
        delimiter = max(_DELIMITERS, key=first.count)
        headers = [h.strip() for h in next(csv.reader([first], delimiter=delimiter))]
        names = source.columns(headers)
        position = len(first.encode("utf-8", "surrogateescape"))

        def counted() -> Iterator[str]:
            nonlocal position
            for line in file:
                position += len(line.encode("utf-8", "surrogateescape"))
                yield line

        csv.field_size_limit(_CELL_BYTES_MAX)
        reader = csv.reader(counted(), delimiter=delimiter)
        while True:
            line = reader.line_num + 2  # the header is line 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(line=line, position=position, raw=None, problem=f"not CSV: {error}")
                continue
            if not cells:
                continue  # an empty line
            if len(cells) != len(names):
                problem = f"expected {len(names)} cells, got {len(cells)}"
                yield Row(line=line, position=position, raw=cells, problem=problem)
                continue
            values = dict(zip(names, cells, strict=True))
            yield _row(columns, values, line, position)


def _json_rows(source: Source) -> Iterator[Row]:
    defaults = COLUMNS[source.what].defaults
    position = 0
    with source.path.open("rb") as file:
        for line, text in enumerate(file, 1):
            position += len(text)
            if line == 1:
                text = text.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901  a byte-order mark
            if not text.strip():
                continue
            try:
                found: object = msgspec.json.decode(text)
            except (ValueError, RecursionError) as error:
                raw = text[:10_000].decode("utf-8", "replace").rstrip("\n")
                yield Row(line=line, position=position, raw=raw, problem=f"not JSON: {error}")
                continue
            if not isinstance(found, dict):
                yield Row(line=line, position=position, raw=found, problem="expected an object")
                continue
            document = cast("dict[str, Any]", found)
            fields = {**defaults, **{source.names.get(k, k): v for k, v in document.items()}}
            yield _checked(fields, document, line, position)


def _parquet_rows(path: Path) -> int:
    import polars

    try:
        return int(polars.scan_parquet(path).select(polars.len()).collect().item())
    except (polars.exceptions.PolarsError, OSError) as error:
        raise FileError(f"{path}: not a Parquet file: {error}") from None


def _table_rows(source: Source) -> Iterator[Row]:
    import polars

    columns = COLUMNS[source.what]
    frame = polars.scan_parquet(source.path)
    names = source.columns(frame.collect_schema().names())
    number = 0
    for batch in frame.collect_batches(chunk_size=_PARQUET_ROWS, maintain_order=True, lazy=True):
        for values in batch.iter_rows():
            number += 1
            yield _row(columns, dict(zip(names, values, strict=True)), number, number)


def _row(columns: Columns, values: Mapping[str, object], line: int, position: int) -> Row:
    raw = plain({name: value for name, value in values.items() if value != ""})
    fields, errors = columns.row(values)
    if errors:
        problem = "; ".join(f"{name}: {message}" for name, message in errors)
        return Row(line=line, position=position, raw=raw, problem=problem)
    return _checked(fields, raw, line, position)


def _checked(fields: dict[str, Any], raw: object, line: int, position: int) -> Row:
    """A row whose texts every part of the system can store."""
    try:
        body = msgspec.json.encode(fields)
    except (UnicodeEncodeError, TypeError, OverflowError, RecursionError) as error:
        is_text = isinstance(error, UnicodeEncodeError)
        problem = "not UTF-8" if is_text else f"cannot be written as JSON: {error}"
        return Row(line=line, position=position, raw=raw, problem=problem)
    if b"\\u0000" in body and _has_nul(fields):
        return Row(line=line, position=position, raw=raw, problem="the character NUL cannot be stored")
    return Row(line=line, position=position, raw=raw, fields=fields, body=body)


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return any(_has_nul(part) for pair in members.items() for part in pair)
    return isinstance(value, list) and any(map(_has_nul, cast("list[object]", value)))


_READERS = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".parquet": _table_rows,
}
