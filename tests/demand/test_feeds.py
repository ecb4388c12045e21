"""How answers of feeds are read."""

import json
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from onhand.demand.feeds import FeedIn, Unreadable, read

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def feed(**fields):
    usual = {"url": "https://x.example/a", "format": "csv", "columns": {"at": "day", "value": "mean"}}
    return FeedIn.model_validate(usual | fields)


def rows(of, body, name="temperature"):
    """(name, scope, at, value) of each row."""
    text = body if isinstance(body, str) else json.dumps(body)
    found = read(of, name, text.encode(), NOW)
    return [(r["name"], r["scope"], r["at"], r["value"]) for r in found.rows], found.rejected, found.reject


def test_csv_with_other_names_more_columns_and_gaps():
    of = feed(scope={"region": "DE-BE"})
    text = "\ufeffstation;day;mean\n7;2026-03-01;3.5\n7;2026-03-02;\n7;2026-03-03; -1 \n"
    assert rows(of, text) == (
        [("temperature", {"region": "DE-BE"}, "2026-03-01T00:00:00+00:00", 3.5),
         ("temperature", {"region": "DE-BE"}, "2026-03-03T00:00:00+00:00", -1)], 0, None,
    )  # fmt: skip


def test_columns_may_say_scope_and_name():
    of = feed(columns={"at": "t", "value": "v", "name": "what", "sku": "article"}, scope={"region": "DE"})
    found, _, _ = rows(of, "t,v,what,article\n2026-03-01,1,price,A\n2026-03-01,2,,\n")
    assert found == [
        ("price", {"region": "DE", "sku": "A"}, "2026-03-01T00:00:00+00:00", 1),
        ("temperature", {"region": "DE"}, "2026-03-01T00:00:00+00:00", 2),
    ]


def test_rows_that_cannot_be_read_are_counted_and_the_first_is_told():
    found, rejected, reject = rows(feed(), "day,mean\n2026-03-01,warm\nsoon,1\n2026-03-01\n2026-03-02,4\n")
    assert [r[3] for r in found] == [4] and rejected == 3
    assert reject == "row 1: value: expected a number, got 'warm'"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"), ("<html>", "no column 'day'"), ("day,average\n", "no column 'mean'; it has day, average"),
        ("day,mean\nx,y\nz,z\n", "none of 2 rows can be read; row 1: value"),
    ],
)  # fmt: skip
def test_answers_that_are_something_else(text, why):
    with pytest.raises(Unreadable, match=why):
        read(feed(), "x", text.encode(), NOW)
    with pytest.raises(Unreadable, match="not UTF-8"):
        read(feed(), "x", b"day,mean\n\xff", NOW)


def test_moments_with_and_without_a_zone_and_numbers():
    of = feed(timezone="Europe/Berlin")
    found, _, _ = rows(of, "day,mean\n2026-03-01T06:00,1\n2026-03-01T06:00Z,2\n2026-03-01,3\n")
    assert [r[2] for r in found] == [f"2026-03-01T{h}:00:00+00:00" for h in ("05", "06", "00")]
    of = feed(format="json", rows="@", columns={"at": "t", "value": "v"})
    found, _, _ = rows(of, [{"t": 1772323200, "v": 1}, {"t": 1772323200000, "v": 2}])
    assert {r[2] for r in found} == {"2026-03-01T00:00:00+00:00"}


def test_moments_to_come_are_left_out_unless_known_ahead():
    text = "day,mean\n2026-03-10,1\n2026-03-11,2\n"
    assert [r[3] for r in rows(feed(), text)[0]] == [1]
    assert [r[3] for r in rows(feed(known_ahead=True), text)[0]] == [1, 2]


def test_records_of_json():
    of = feed(format="json", rows="data.items", columns={"at": "when", "value": "what.mean", "node": "site"})
    body = {"data": {"items": [{"when": "2026-03-01", "what": {"mean": "2.5"}, "site": "berlin"}, {"when": 1}, 7]}}
    assert rows(of, body)[0] == [("temperature", {"node": "berlin"}, "2026-03-01T00:00:00+00:00", 2.5)]
    with pytest.raises(Unreadable, match=r"data\.items: expected a list, got nothing"):
        read(of, "x", b"{}", NOW)
    with pytest.raises(Unreadable, match="not JSON"):
        read(of, "x", b"<html>", NOW)


def test_lists_side_by_side():
    of = feed(format="json", columns={"at": "daily.time", "value": "daily.mean"})
    body = {"daily": {"time": ["2026-03-01", "2026-03-02"], "mean": [1.5, None]}}
    assert rows(of, body)[0] == [("temperature", {}, "2026-03-01T00:00:00+00:00", 1.5)]
    with pytest.raises(Unreadable, match=r"lists of one length, got daily\.time: 2, daily\.mean: 1"):
        rows(of, {"daily": {"time": ["2026-03-01", "2026-03-02"], "mean": [1]}})


def test_the_address_names_the_days():
    of = feed(url="https://x.example/a?from={from}&to={to}", days_back=9, days_ahead=2)
    assert of.address(date(2026, 3, 10)) == "https://x.example/a?from=2026-03-01&to=2026-03-12"


def test_secrets_are_no_part_of_what_is_kept():
    of = feed(secret_headers={"X-Key": "secret"})
    assert "secret" not in json.dumps(of.document())
    assert FeedIn.model_validate(of.document()).secret_headers is None
    with pytest.raises(ValidationError, match="printable ASCII"):
        feed(secret_headers={"X-Key": "a\r\nX-Other: b"})
