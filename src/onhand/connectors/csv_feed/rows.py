"""Rows of text as cells, and cells as numbers, moments and money, in the ways files are written. Pure."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Literal
from zoneinfo import ZoneInfo

from onhand.base.fields import INT4_MAX
from onhand.base.money import EXPONENTS

Dates = Literal["iso", "day_month_year", "month_day_year", "year_month_day", "unix_s"]

DELIMITERS: Final[Mapping[str, str]] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# In all of them a line feed is one byte, and no part of another character: lines are found before they are decoded.
ENCODINGS: Final[Mapping[str, str]] = {
    "utf-8": "utf-8", "windows-1252": "cp1252", "iso-8859-1": "latin-1", "iso-8859-15": "iso8859-15",
    "windows-1250": "cp1250", "windows-1251": "cp1251", "shift_jis": "cp932",
}  # fmt: skip
LINE_BYTES_MAX: Final = 2**20
_LINES_OF_A_ROW_MAX: Final = 50
_BOM: Final = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """A row that cannot be read; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How a file is written.

    decimal  "." or ","; the other one, spaces and ' may stand between thousands
    zone     of moments that do not say theirs
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    dates: Dates = "iso"
    zone: str = "UTC"


# Cells ----------------------------------------------------------------------------------------------------------------


class Lines:
    """Bytes as lines, as they come; `at` is where in the file the next one begins."""

    def __init__(self, at: int) -> None:
        self.at = at
        self._kept, self._from = b"", 0

    def feed(self, chunk: bytes) -> None:
        """More of the file."""
        self._kept, self._from = self._kept[self._from :] + chunk, 0

    def next(self, *, is_end: bool) -> bytes | None:
        """The next line with its end; None: more is needed, or there is none. Raises Unreadable for one without end."""
        end = self._kept.find(b"\n", self._from) + 1
        if not end:
            if len(self._kept) - self._from > LINE_BYTES_MAX:
                raise Unreadable(f"a line is longer than {LINE_BYTES_MAX:,} bytes: is this a text of rows?")
            if not is_end or self._from == len(self._kept):
                return None
            end = len(self._kept)
        line = self._kept[self._from : end]
        self.at += end - self._from
        self._from = end
        return line


class Unfinished(Exception):
    """A quotation goes on in the next line."""


def cells(lines: Sequence[bytes], form: Format) -> list[str]:
    """The cells of a row of one or more lines; none for an empty one. Raises Unreadable, Unfinished."""
    try:
        text = b"".join(lines).decode(form.encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not {form.encoding}: {error.reason} at byte {error.start}") from None
    try:
        found = list(csv.reader(io.StringIO(text.strip("\r\n"), newline=""), delimiter=form.delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error) and len(lines) < _LINES_OF_A_ROW_MAX:
            raise Unfinished from None
        raise Unreadable(str(error)) from None
    if len(found) > 1:
        raise Unreadable("lines end in a way that is not understood")
    row = found[0] if found else []
    return [] if not any(cell.strip() for cell in row) else [cell.strip() for cell in row]


def without_mark(line: bytes) -> bytes:
    """The first line of a file without the mark of UTF-8."""
    return line.removeprefix(_BOM)


def row_written(row: Sequence[object], form: Format) -> bytes:
    """A row as a line. Raises Unreadable for what the encoding has no letters for."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=form.delimiter, lineterminator="\r\n").writerow(row)
    try:
        return out.getvalue().encode(form.encoding)
    except UnicodeEncodeError as error:
        raise Unreadable(f"{error.object[error.start : error.end]!r} cannot be written in {form.encoding}") from None


# Values ---------------------------------------------------------------------------------------------------------------


def number(text: str, form: Format) -> Decimal:
    """A number as the file writes it. Raises Unreadable."""
    other = "," if form.decimal == "." else "."
    grouped = rf"[+-]?(?:\d{{1,3}}(?:[{re.escape(other)}  ' ]\d{{3}})+|\d+)?(?:{re.escape(form.decimal)}\d+)?-?"
    if not re.fullmatch(grouped, text, re.ASCII) or not re.search(r"\d", text) or (text[0] in "+-" and text[-1] == "-"):
        raise Unreadable(f"expected a number, got {text[:40]!r}")
    plain = re.sub(rf"[{re.escape(other)}  ' ]", "", text).replace(form.decimal, ".")
    if len(plain) > 20:
        raise Unreadable(f"expected a number of at most 20 digits, got {text[:40]!r}")
    # Some tills write the sign behind.
    return -Decimal(plain[:-1]) if plain.endswith("-") else Decimal(plain)


def units(text: str, form: Format) -> int:
    """A whole number of units. Raises Unreadable."""
    value = number(text, form)
    if value != int(value) or abs(value) > INT4_MAX:
        raise Unreadable(f"expected a whole number of units, got {text[:40]!r}")
    return int(value)


def minor(text: str, currency: str, form: Format) -> int:
    """Money in minor units. Raises Unreadable; also for a fraction of one."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise Unreadable(f"{currency!r} is no currency")
    value = number(text, form).scaleb(exponent)
    if value != int(value):
        raise Unreadable(f"{text[:40]!r} has more digits than {currency}")
    return int(value)


_TIME: Final = r"(?:[T ]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{2})(?:[.,]\d+)?)?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
_ORDERS: Final[Mapping[str, str]] = {
    "day_month_year": r"(?P<D>\d{1,2})[./-](?P<M>\d{1,2})[./-](?P<Y>\d{4}|\d{2})",
    "month_day_year": r"(?P<M>\d{1,2})[./-](?P<D>\d{1,2})[./-](?P<Y>\d{4}|\d{2})",
    "year_month_day": r"(?P<Y>\d{4})[./-]?(?P<M>\d{2})[./-]?(?P<D>\d{2})",
}


def moment(text: str, form: Format) -> datetime:
    """A moment in UTC; a day alone is its beginning. Raises Unreadable."""
    try:
        if form.dates == "unix_s":
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text) if form.dates == "iso" else _by_parts(text, _ORDERS[form.dates])
    except (ValueError, OverflowError, OSError):
        raise Unreadable(f"expected a moment ({form.dates}), got {text[:40]!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(form.zone))).astimezone(UTC)


def _by_parts(text: str, order: str) -> datetime:
    match = re.fullmatch(order + _TIME, text, re.ASCII)
    if match is None:
        raise ValueError(text)
    part = {name: int(said) for name, said in match.groupdict().items() if said is not None and name != "half"}
    year = part["Y"] if part["Y"] > 99 else 2000 + part["Y"]
    hour = part.get("h", 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if match["half"] in "pP" else 0)
    return datetime(year, part["M"], part["D"], hour, part.get("m", 0), part.get("s", 0))  # noqa: DTZ001
