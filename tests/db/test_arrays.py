"""Arrays as PostgreSQL's binary format: what the server reads is what was meant, to the last bit."""

import math
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database, arrays
from onhand.db.arrays import NO_TIME, PgArray

EPOCH = date(1970, 1, 1)
START = datetime(1970, 1, 1, tzinfo=UTC)
I4, I8 = 2**31, 2**63


def days(d: date) -> int:
    return (d - EPOCH).days


def micros(t: datetime) -> int:
    return (t - START) // timedelta(microseconds=1)


def asked(conn: Connection[TupleRow], value: PgArray, type_: str) -> list[Any]:
    """`value` element by element, as the server understands it."""
    rows = conn.execute(f"SELECT v FROM unnest(%b::{type_}[]) WITH ORDINALITY AS t (v, n) ORDER BY n".encode(), [value])
    return [v for (v,) in rows.fetchall()]


@pytest.fixture
def conn(db: Database) -> Iterator[Connection[TupleRow]]:
    with closing(db.connect()) as connection:
        yield connection


UUIDS = [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID("01a20a34-515a-7000-a35b-c269572f92d4")]
RAW_UUIDS = np.frombuffer(b"".join(u.bytes for u in UUIDS), np.uint8).reshape(3, 16)
TEXTS = ["", "a", "Ä", "\U0001f4e6", 'quote " comma , brace } backslash \\', "NULL", " ", "x" * 5000, "\n\t"]
TIMES = [START, datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(2000, 1, 1, tzinfo=UTC),
         datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)]  # fmt: skip
DATES = [EPOCH, date(1999, 12, 31), date(2000, 1, 1), date(2028, 2, 29), date(1, 1, 1), date(9999, 12, 31)]


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        (arrays.int4([-I4, -1, 0, 1, I4 - 1]), "int4", [-I4, -1, 0, 1, I4 - 1]),
        (arrays.int4(np.array([-I4, I4 - 1], np.int32)), "int4", [-I4, I4 - 1]),
        (arrays.int4(np.array([-I4, I4 - 1], np.int64)), "int4", [-I4, I4 - 1]),
        (arrays.int4(np.array([7, 8], ">i2")[::-1]), "int4", [8, 7]),
        (arrays.int4(range(3)), "int4", [0, 1, 2]),
        (arrays.int8([-I8, 0, I8 - 1]), "int8", [-I8, 0, I8 - 1]),
        (arrays.int8(np.array([-1, 5], np.int32)), "int8", [-1, 5]),
        (arrays.float8([0.1, -0.0, math.inf, -math.inf, 5e-324, 1.7e308]), "float8",
         [0.1, -0.0, math.inf, -math.inf, 5e-324, 1.7e308]),
        (arrays.boolean([True, False, True]), "bool", [True, False, True]),
        (arrays.date([days(d) for d in DATES]), "date", DATES),
        (arrays.date(np.array([days(d) for d in DATES], np.int32)), "date", DATES),
        (arrays.timestamptz([micros(t) for t in TIMES]), "timestamptz", TIMES),
        (arrays.timestamptz([NO_TIME, micros(TIMES[1]), NO_TIME]), "timestamptz", [None, TIMES[1], None]),
        (arrays.timestamptz([NO_TIME]), "timestamptz", [None]),
        (arrays.nullable_int4([None, -I4, I4 - 1, None]), "int4", [None, -I4, I4 - 1, None]),
        (arrays.nullable_int8([None, -I8, I8 - 1]), "int8", [None, -I8, I8 - 1]),
        (arrays.nullable_int8([1, 2]), "int8", [1, 2]),
        (arrays.uuid(RAW_UUIDS), "uuid", UUIDS),
        (arrays.uuid(RAW_UUIDS[::-2]), "uuid", UUIDS[::-2]),
        (arrays.nullable_uuid([None, b"\1" * 16]), "uuid", [None, uuid.UUID(bytes=b"\1" * 16)]),
        (arrays.text(TEXTS), "text", TEXTS),
        (arrays.text([None, "a", None, ""]), "text", [None, "a", None, ""]),
        (arrays.text([None, None]), "text", [None, None]),
        (arrays.text(["same"] * 3), "text", ["same"] * 3),
        (arrays.text(["a" * 127, "b" * 128, "c" * 5000, ""]), "text", ["a" * 127, "b" * 128, "c" * 5000, ""]),
        (arrays.utf8(["é".encode(), b"{}", b""]), "text", ["é", "{}", ""]),
        (arrays.words(TEXTS), "text", TEXTS),
        (arrays.words(["b", None, "é", "b"]), "text", ["b", None, "é", "b"]),
        (arrays.words([None, None]), "text", [None, None]),
        (arrays.words(["same"] * 3), "text", ["same"] * 3),
        (arrays.bytea([b"", b"\0\xff", None, b"x" * 70_000]), "bytea", [b"", b"\0\xff", None, b"x" * 70_000]),
        (arrays.bytea([b"\0"] * 2), "bytea", [b"\0"] * 2),
    ],
)  # fmt: skip
def test_every_type_arrives_as_it_was_sent(
    conn: Connection[TupleRow], value: PgArray, type_: str, expected: list[Any]
) -> None:
    assert asked(conn, value, type_) == expected


def test_nan_is_nan_and_minus_zero_keeps_its_sign(conn: Connection[TupleRow]) -> None:
    nan, minus = asked(conn, arrays.float8([math.nan, -0.0]), "float8")
    assert math.isnan(nan) and math.copysign(1, minus) == -1


EMPTY: list[tuple[PgArray, str]] = [
    (arrays.int4([]), "int4"),
    (arrays.int4(np.empty(0, np.int64)), "int4"),
    (arrays.int8([]), "int8"),
    (arrays.float8([]), "float8"),
    (arrays.boolean([]), "bool"),
    (arrays.date([]), "date"),
    (arrays.timestamptz([]), "timestamptz"),
    (arrays.nullable_int4([]), "int4"),
    (arrays.nullable_int8([]), "int8"),
    (arrays.uuid(np.empty((0, 16), np.uint8)), "uuid"),
    (arrays.nullable_uuid([]), "uuid"),
    (arrays.text([]), "text"),
    (arrays.utf8([]), "text"),
    (arrays.words([]), "text"),
    (arrays.bytea([]), "bytea"),
]


@pytest.mark.parametrize(("value", "type_"), EMPTY)
def test_an_empty_array_is_an_empty_array_and_not_null(conn: Connection[TupleRow], value: PgArray, type_: str) -> None:
    row = conn.execute(f"SELECT %b::{type_}[] = '{{}}'::{type_}[], cardinality(%b::{type_}[])".encode(), [value] * 2)
    assert row.fetchone() == (True, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: arrays.int4([I4]),
        lambda: arrays.int4([-I4 - 1]),
        lambda: arrays.int4(np.array([0, I4])),
        lambda: arrays.int4(np.array([-I4 - 1])),
        lambda: arrays.int4(np.array([0.5])),
        lambda: arrays.int8([I8]),
        lambda: arrays.date([I4 + 20_000]),
        lambda: arrays.date(np.array([-I4])),
    ],
)
def test_a_number_that_does_not_fit_is_refused_and_never_wrapped_around(make: Callable[[], PgArray]) -> None:
    with pytest.raises(OverflowError):
        make()


def test_what_text_cannot_hold_is_refused_by_somebody(conn: Connection[TupleRow]) -> None:
    with pytest.raises(psycopg.DataError):
        asked(conn, arrays.text(["nul \0 inside"]), "text")
    with pytest.raises(UnicodeEncodeError):
        arrays.text(["\ud800"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8), max_size=6),
    blobs=st.lists(st.none() | st.binary(max_size=8), max_size=6),
    small=st.lists(st.none() | st.integers(-I4, I4 - 1), max_size=6),
    moments=st.lists(st.none() | st.integers(-(10**15), 10**17), max_size=6),
)
def test_anything_comes_back(
    conn: Connection[TupleRow],
    texts: list[str | None],
    blobs: list[bytes | None],
    small: list[int | None],
    moments: list[int | None],
) -> None:
    assert asked(conn, arrays.text(texts), "text") == texts
    assert asked(conn, arrays.bytea(blobs), "bytea") == blobs
    assert asked(conn, arrays.nullable_int4(small), "int4") == small
    sent = arrays.timestamptz([NO_TIME if m is None else m for m in moments])
    assert asked(conn, sent, "timestamptz") == [
        None if m is None else START + timedelta(microseconds=m) for m in moments
    ]


def test_several_arrays_of_one_statement_stay_in_step(conn: Connection[TupleRow]) -> None:
    n = 3000
    rows = conn.execute(
        b"SELECT a, b, c, d FROM unnest(%b::int[], %b::text[], %b::bigint[], %b::uuid[]) AS t (a, b, c, d) ORDER BY a",
        [
            arrays.int4(np.arange(n)),
            arrays.text([f"t{i}" for i in range(n)]),
            arrays.nullable_int8([None if i % 3 else i for i in range(n)]),
            arrays.uuid(np.repeat((np.arange(n) % 251).astype(np.uint8)[:, np.newaxis], 16, axis=1)),
        ],
        prepare=True,
    ).fetchall()
    assert rows == [(i, f"t{i}", None if i % 3 else i, uuid.UUID(bytes=bytes([i % 251]) * 16)) for i in range(n)]


# Back as NumPy arrays -------------------------------------------------------------------------------


def loaded(conn: Connection[TupleRow], query: str) -> Any:
    with conn.cursor(binary=True) as cursor:
        arrays.load_numpy(cursor.adapters)
        row = cursor.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_long_columns_arrive_as_numpy_arrays(conn: Connection[TupleRow]) -> None:
    column = loaded(conn, "SELECT array_agg(n - 1 ORDER BY n) FROM generate_series(1, 10000) n")
    assert column.dtype == np.int32 and np.array_equal(column, np.arange(10_000))
    assert loaded(conn, f"SELECT ARRAY[{-I4}, {I4 - 1}]::int[]").tolist() == [-I4, I4 - 1]
    assert loaded(conn, "SELECT '{}'::int[]").tolist() == []
    assert loaded(conn, "SELECT NULL::int[]") is None
    assert loaded(conn, "SELECT ARRAY['a']") == ["a"], "other types as ever"
    column[0] = 7  # nobody else's memory


def test_a_null_in_such_a_column_is_a_broken_promise_and_not_a_number(conn: Connection[TupleRow]) -> None:
    for query in ("SELECT ARRAY[1, NULL]::int[]", "SELECT ARRAY[1, NULL, NULL]::int[]"):
        with pytest.raises(AssertionError, match="NULL"):
            loaded(conn, query)
