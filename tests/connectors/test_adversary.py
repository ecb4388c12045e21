"""What a channel that is broken, or means harm, does to the engine: found by trying, kept so that it stays mended."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from onhand.connectors import NotGenuine, Refused, Unavailable, read_text
from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.filling import Unfillable, fill_text
from onhand.connectors._sdk.values import Fate, Write
from onhand.wire import Answer, Request

from .running import Wire, connect, run, said

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=9)
HEAD = """
connector: shop
title: Shop
settings: {url: {type: url, description: x}}
credentials: {secret: {description: x}}
base_url: "{settings.url}/v1"
auth: {type: bearer, token: "{credentials.secret}"}
maps:
  order:
    to: order
    external_id: text(id)
    status: {path: state, table: {paid: open}}
    currency: {const: EUR}
    placed_at: moment(at)
    name: who
    lines: {each: "items || `[]`", line_id: text(n), sku: sku, quantity: count, price_minor: "money(price, currency)"}
  level: {to: level, external_id: id, quantity: units}
"""
PULL = HEAD + """
operations:
  orders.pull:
    request: {path: /orders, query: {since: "{cursor:rfc3339}", %s}}
    records: orders
    paging: {%s, size: 2}
    cursor: {each: changed, overlap_s: 60, sorted: true}
    map: order
"""  # fmt: skip


def connector(text):
    return Declared(read_text(text).document, now=lambda: NOW)


def order(n, changed="2026-11-20T10:00:00Z", **more):
    return {"id": n, "state": "paid", "at": "2026-11-20T09:00:00Z", "changed": changed, "items": []} | more


class Shelf:
    """Orders that are asked for by moment and page, as many shops do: later than, oldest first."""

    def __init__(self, *orders):
        self.orders = list(orders)
        self.asked = []

    async def send(self, request: Request):
        from urllib.parse import parse_qs, urlsplit

        query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        self.asked.append(query)
        rows = sorted((o for o in self.orders if o["changed"] > query["since"]), key=lambda o: (o["changed"], o["id"]))
        start = (int(query["page"]) - 1) * 2 if "page" in query else int(query["offset"])
        return said({"orders": rows[start : start + 2]})


def read_all(shelf, text, between=lambda n: None, at=None):
    tried, connection, found = connector(text), connect(shelf), []
    for n in range(100):
        page = run(tried.pull_orders(connection, at, since=SINCE))
        found += [o.external_id for o in page.records]
        if page.next is None:
            return found, page.cursor
        at = page.next
        between(n)
    raise AssertionError("no end")


@pytest.mark.parametrize(("blank", "by"), [('page: "{page}"', "by: page"), ('offset: "{offset}"', "by: offset")])
def test_each_page_begins_where_the_one_before_ended_so_that_shifting_loses_nothing(blank, by):
    shelf = Shelf(*[order(n, f"2026-11-20T10:{n:02d}:00Z") for n in range(10, 20)])

    def meanwhile(_):
        shelf.orders[0] = shelf.orders[0] | {"changed": f"2026-11-20T11:{len(shelf.asked):02d}:00Z"}

    found, _ = read_all(shelf, PULL % (blank, by), meanwhile)
    assert set(found) == {str(n) for n in range(10, 20)}
    by_number = PULL.replace(", sorted: true", "") % (blank, by)
    found, _ = read_all(Shelf(*shelf.orders), by_number)
    assert len(found) == 10, "in a channel that stands still, numbers do as well"


def test_a_whole_page_of_one_moment_is_read_on_by_number():
    same = [order(n) for n in range(10, 17)]
    shelf = Shelf(*same, order(20, "2026-11-20T10:05:00Z"), order(21, "2026-11-20T10:06:00Z"))
    found, _ = read_all(shelf, PULL % ('page: "{page}"', "by: page"))
    assert set(found) == {str(n) for n in (*range(10, 17), 20, 21)}
    assert len(shelf.asked) < 12


def test_pages_that_are_not_sorted_as_was_said_are_read_by_number():
    answers = [[3, 1], [2, 4], []]
    moments = {n: f"2026-11-20T10:{n:02d}:00Z" for n in range(1, 5)}
    wire = Wire([said({"orders": [order(n, moments[n]) for n in page]}) for page in answers])
    found, cursor = read_all(wire, PULL % ('page: "{page}"', "by: page"))
    assert found == ["3", "1", "2", "4"]
    assert json.loads(cursor)["start"].startswith("2026-11-20T10:04")


def test_a_clock_that_is_wrong_is_no_place_to_go_on_from():
    shelf = Shelf(order(1), order(2, "2199-01-01T00:00:00Z"))
    _, cursor = read_all(shelf, PULL % ('page: "{page}"', "by: page"))
    shelf.orders.append(order(3, "2026-11-27T11:59:00Z"))
    found, _ = read_all(shelf, PULL % ('page: "{page}"', "by: page"), at=cursor)
    assert "3" in found


@pytest.mark.parametrize("changed", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "", "²", "9" * 5000])
def test_moments_at_the_ends_of_time_stop_nothing(changed):
    wire = Wire([said({"orders": [order(1, changed), order(2, at=changed), order(3)]})])
    page = run(connector(PULL % ('page: "{page}"', "by: page")).pull_orders(connect(wire), None, since=SINCE))
    assert [o.external_id for o in page.records] == ["1", "3"]
    assert [r.external_id for r in page.rejects] == ["2"]
    wire = Wire([said({"orders": []})])
    run(
        connector(PULL % ('page: "{page}"', "by: page")).pull_orders(
            connect(wire), page.next or page.cursor, since=SINCE
        )
    )
    assert wire.sent


@pytest.mark.parametrize("text", ["Infinity", "-Infinity", "NaN", "1e999", "9" * 400, '"nan"', '"1e400"', "[]", '"²"'])
def test_a_number_that_is_none_rejects_its_record_only(text):
    body = '{"orders": [%s, %s]}' % (
        json.dumps(order(1, items=[{"n": 1, "sku": "A", "count": 77, "price": 1}])).replace("77", text),
        json.dumps(order(2)),
    )
    wire = Wire([Answer(status=200, headers={}, body=body.encode())])
    page = run(connector(PULL % ('page: "{page}"', "by: page")).pull_orders(connect(wire), None, since=SINCE))
    assert ([o.external_id for o in page.records], [r.external_id for r in page.rejects]) == (["2"], ["1"])


def test_text_that_no_database_takes_is_cleaned():
    wire = Wire([said({"orders": [order(1, who="A\x00da \ud800 Byron \U0001f600")]})])
    page = run(connector(PULL % ('page: "{page}"', "by: page")).pull_orders(connect(wire), None, since=SINCE))
    assert page.records[0].name == "A\ufffdda \ufffd Byron \U0001f600"


# What is no answer ---------------------------------------------------------------------------------------------------

STOCK = HEAD + """
operations:
  stock.pull:
    request: {path: /levels, query: {n: "{offset}"}}
    records: "levels[?counted]"
    paging: {by: offset, size: 2, more: "length(levels) == `2`"}
    map: level
"""  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"null", b"<html>", b'{"levels": [', b'"x"', b"[]", b"{}", b'{"levels": null}'])
def test_a_page_that_is_none_is_not_an_empty_one(body):
    wire = Wire([Answer(status=200, headers={}, body=body)])
    with pytest.raises((Refused, Unavailable)):
        run(connector(STOCK).pull_stock(connect(wire), None))


def test_what_is_left_out_of_a_page_does_not_end_the_reading():
    pages = [[{"id": "a", "units": 1, "counted": True}, {"id": "b"}], [{"id": "c"}, {"id": "d"}], [{"id": "e"}]]
    wire, at, found = Wire([said({"levels": page}) for page in pages]), None, []
    while True:
        page = run(connector(STOCK).pull_stock(connect(wire), at))
        found += page.records
        if (at := page.next) is None:
            break
    assert [level.external_id for level in found] == ["a"]
    assert [r.url.rpartition("=")[2] for r in wire.sent] == ["0", "2", "4"], (
        "it counts what was there, not what was taken"
    )


PUSH = HEAD + """
operations:
  stock.push:
    request: {method: POST, path: /levels, json: {rows: "{items}"}}
    batch: {max: 9, item: {id: "{external_id}", n: "{quantity}"}}
    outcomes: {errors: errors, index: at, code: code, message: text}
    write: {guard: none}
"""  # fmt: skip
WRITE = Write(external_id="a", quantity=3, key="k")


def push(answer, text=PUSH, wire=None):
    (outcome,) = run(connector(text).push_stock(connect(wire or Wire([answer])), [WRITE]))
    return outcome


@pytest.mark.parametrize("body", [b"", b"null", b"<html>ok</html>", b'{"errors"'])
def test_what_is_no_answer_confirms_no_write(body):
    assert push(Answer(status=200, headers={}, body=body)).fate is Fate.UNKNOWN


def test_a_document_may_say_that_such_an_answer_means_well():
    text = PUSH.replace("operations:", "errors: [{when: 'status == 200', then: done}]\noperations:")
    text = text.replace("    batch: {max: 9, item: {id: \"{external_id}\", n: \"{quantity}\"}}\n", "").replace(
        "    outcomes: {errors: errors, index: at, code: code, message: text}\n", ""
    ).replace('"{items}"', '"{quantity}"')  # fmt: skip
    assert push(Answer(status=200, headers={}, body=b"OK"), text).fate is Fate.DONE


@pytest.mark.parametrize("at", ["²", "9" * 5_000, "-1", None, [], {}, "0"])
def test_a_failure_about_no_write_is_about_all(at):
    assert push(said({"errors": [{"at": at, "code": "X"}]})).fate is Fate.REFUSED


# Where requests go ---------------------------------------------------------------------------------------------------


def test_a_name_leads_to_no_other_path():
    assert fill_text("/items/{id}/stock", {"id": "../x?y#z"}, escape=True) == "/items/..%2Fx%3Fy%23z/stock"
    for name in (".", ".."):
        with pytest.raises(Unfillable):
            fill_text("/items/{id}/stock", {"id": name}, escape=True)


STEPS = HEAD + """
operations:
  orders.cancel:
    steps:
      - name: ask
        request: {method: POST, path: /files}
        save: {url: url}
      - name: put
        request: {method: PUT, path: "{ask.url}", json: {id: "{id}"}}
"""  # fmt: skip


@pytest.mark.parametrize(
    ("url", "is_shown"),
    [
        ("https://shop.example/files/7", True),
        ("https://files.example/7?signature=abc", False),
        ("http://shop.example/files/7", False),
        ("https://shop.example:8443/files/7", False),
        ("https://shop.example@evil.example/", False),
    ],
)
def test_credentials_go_where_the_channel_is_and_not_where_an_answer_says(url, is_shown):
    wire = Wire([said({"url": url}), said({})])
    run(connector(STEPS).cancel_order(connect(wire), "1", reason="x", key="k"))
    assert [r.url for r in wire.sent] == ["https://shop.example/v1/files", url]
    assert ["authorization" in r.headers for r in wire.sent] == [True, is_shown]


def test_a_secret_that_is_said_back_is_hidden():
    wire = Wire([said({"errors": [{"at": 0, "code": "no s3cret", "text": "Bearer s3cret is wrong"}]})])
    outcome = push(None, wire=wire)
    assert (outcome.code, outcome.message) == ("no ***", "Bearer *** is wrong")


def test_a_request_does_not_show_what_it_carries():
    request = Request(method="GET", url="https://x.example/a?key=s3cret", headers={"a": "s3cret"}, body=b"s3cret")
    assert repr(request) == "Request(GET https://x.example/a, 6 bytes)"


# Messages ------------------------------------------------------------------------------------------------------------

HOOK = HEAD + """
operations: {orders.get: {request: {path: "/orders/{id}"}, map: order}}
webhooks:
  verify:
    {scheme: hmac, over: timestamp_body, header: X-Sign, timestamp_header: X-At, secret: "{credentials.secret}"}
  topic: {path: topic}
  dedupe: {path: event}
  topics: {changed: {get: orders.get, id: "last_part(order, '/')"}}
"""  # fmt: skip


@pytest.mark.parametrize("at", ["²", "٣", "9" * 5_000, "-1", "1e9", "", "0"])
def test_a_time_that_is_none_is_refused_and_nothing_worse(at):
    headers = {"x-sign": "AAAA", "x-at": at}
    with pytest.raises(NotGenuine):
        connector(HOOK).receive(headers, b"{}", url="", credentials={"secret": "s3cret"}, now=NOW)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b'{"order": 7}', b'{"order": {"a": 1}}', b'{"order": ""}'])
def test_a_message_that_does_not_say_what_it_is_about_is_refused(body):
    with pytest.raises(Refused):
        run(connector(HOOK).read(connect(Wire([])), "changed", body))
