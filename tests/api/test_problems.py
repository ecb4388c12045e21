"""Errors as problem documents: one form for every kind of error, and the path of the field in each."""

import msgspec
import pytest

from onhand.api import problems
from onhand.api.body import DEPTH_MAX, check_text, is_json, parse
from onhand.api.problems import MalformedJson, document, from_msgspec, headers_of, path_of
from onhand.errors import Conflict, FieldError, InvalidInput, NotFound, Overloaded, Unauthorised


def test_a_problem_has_the_members_of_the_standard_and_its_facts():
    error = Conflict("stock.insufficient", "not enough of S", missing={"S": 3})
    assert document(error) == {
        "type": "https://onhand.dev/problems/stock.insufficient",
        "title": "Conflict",
        "status": 409,
        "detail": "not enough of S",
        "code": "stock.insufficient",
        "missing": {"S": 3},
    }


def test_facts_cannot_replace_the_members_of_the_standard():
    error = Conflict("a.b", "why", status="sourced", detail="x", type="y")
    assert (document(error)["status"], document(error)["detail"]) == (409, "why")
    assert document(error)["type"].endswith("/a.b")


def test_input_errors_name_their_fields():
    error = InvalidInput([FieldError("lines[0].quantity", "expected int >= 1"), FieldError("", "x")])
    assert document(error)["errors"][0] == {"path": "lines[0].quantity", "message": "expected int >= 1"}


def test_headers_belong_to_the_status():
    assert headers_of(Unauthorised("x"))["www-authenticate"].startswith("Bearer")
    assert headers_of(Overloaded(7)) == {"retry-after": "7"}
    assert headers_of(NotFound("order", "1")) == {}


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("body", "lines", 0, "quantity"), "lines[0].quantity"),
        (("query", "limit"), "limit"),
        (("path", "order_id"), "order_id"),
        (("header", "Idempotency-Key"), "Idempotency-Key"),
        (("body",), ""),
        (("body", 3, "sku"), "[3].sku"),
        (("body", "body"), "body"),
    ],
)
def test_locations_of_pydantic_become_paths(location, path):
    assert path_of(location) == path


class Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    quantity: int = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    lines: list[Line]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (b'{"lines":[{"sku":"a","quantity":"5"}]}', "lines[0].quantity", "expected int, got str"),
        (b'{"lines":[{"quantity":5}]}', "lines[0].sku", "required"),
        (b'{"lines":[{"sku":"a","x":5}]}', "lines[0].x", "unknown field"),
        (b"{}", "lines", "required"),
        (b"[]", "", "expected object, got array"),
    ],
)
def test_errors_of_msgspec_become_paths(body, path, message):
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(body, type=Order)
    error = from_msgspec(raised.value)
    assert isinstance(error, InvalidInput)
    assert error.errors == [FieldError(path, message)]


@pytest.mark.parametrize("body", [b"", b"{", b"nul", b'{"lines":NaN}', b'{"lines":"\xff"}', b"[" * 100_000])
def test_what_msgspec_cannot_read_is_a_problem_too(body):
    with pytest.raises(problems.UNDECODABLE) as raised:
        msgspec.json.decode(body, type=dict[str, object] if body[:1] != b"[" else list[object])
    assert from_msgspec(raised.value).http_status in (400, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{}{}", b"[1,]", b"{'a':1}", b"nul", b"\xef\xbb\xbf{}", b'"\xff"', b'"\xed\xa0\x80"',
        b'"a\x00b"', b'"a\nb"', b"NaN", b"[Infinity]", b"-Infinity", b"1e309", b"-1e309", b"[1e999999]",
        b"000", b"1" * 5000, b"01", b"+1", b".5", b"1.", b'{"a":1,"a":2}', b'[{"b":{"a":1,"c":2,"a":1}}]',
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 500 + b"]" * 500,
    ],
)  # fmt: skip
def test_what_is_not_json_of_one_meaning_is_refused(body):
    with pytest.raises(MalformedJson):
        parse(body)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (rb'{"name":"a\u0000b"}', "name"),
        (rb'{"a":[1,{"b":"\ud800"}]}', "a[1].b"),
        (rb'{"a":"\udc00\ud800"}', "a"),
        (rb'{"\u0000":1}', ""),
        (b'{"n":9223372036854775808}', "n"),
        (b'{"n":[-9223372036854775809]}', "n[0]"),
        (b'{"n":' + b"9" * 400 + b"}", "n"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_name(body, path):
    with pytest.raises(InvalidInput) as raised:
        parse(body)
    assert [e.path for e in raised.value.errors] == [path]
    if b"\\u" in body:
        with pytest.raises(InvalidInput):
            check_text(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b'"\\u00e9\\ud83d\\ude00"', "\u00e9\U0001f600"),
        (b"[9223372036854775807,-9223372036854775808]", [2**63 - 1, -(2**63)]),
        (b"-0", 0),
        (b"1.5e3", 1500.0),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
        (b"[" + b",".join([b'{"a":[1,2]}'] * 500) + b"]", None),
        (b'["' + b"[" * 500 + b'"]', ["[" * 500]),
        (rb'["\"' + b"[{" * 500 + b'"]', None),
    ],
)
def test_what_is_json_is_read(body, value):
    found = parse(body)
    check_text(body)
    if value is not None:
        assert found == value


def test_depth_is_counted_whatever_strings_hide():
    hiding = b'["]]]]]]]]",' * (DEPTH_MAX + 1) + b"1" + b"]" * (DEPTH_MAX + 1)
    with pytest.raises(MalformedJson, match="nested"):
        parse(hiding)


@pytest.mark.parametrize("body", [b"\\u0000", b'"\\u0041', b"\xff\\u0000", b'{"a":"\\u0041","b":' + b"[" * 100_000])
def test_checking_text_leaves_what_is_not_json_to_the_decoder(body):
    check_text(body)


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        (b"application/json", True),
        (b"application/json; charset=utf-8", True),
        (b'Application/JSON; charset="UTF-8"', True),
        (b"application/vnd.shop+json", True),
        (b"application/json; charset=latin-1", False),
        (b"text/json", False),
        (b"text/plain", False),
        (b"application/x-www-form-urlencoded", False),
        (b"multipart/form-data; boundary=x", False),
        (b"", False),
        (b"application/jsonx", False),
    ],
)
def test_only_json_is_taken(content_type, taken):
    assert is_json(content_type) is taken
