"""The engine of documents: what is asked, how answers are understood, and what is kept within limits."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from onhand.connectors import Refused, Unavailable, read_text
from onhand.connectors._sdk.declared import Declared
from onhand.connectors._sdk.memory import MemoryLimiter, MemoryTokens
from onhand.connectors._sdk.values import Fate, Write
from onhand.wire import NotReachable

from .running import Turns, Wire, connect, run, said

SINCE = datetime(2026, 11, 1, 12, tzinfo=UTC)
HEAD = """
connector: shop
title: Shop
settings: {url: {type: url, description: x}, place: {description: x, required: false}}
credentials: {id: {description: x}, secret: {description: x}}
base_url: "{settings.url}/v1"
"""
ORDERS = """
maps:
  order:
    to: order
    external_id: text(id)
    status: {path: state, table: {paid: open, off: cancelled}}
    currency: {const: EUR}
    placed_at: moment(at)
    lines: {each: "items || `[]`", line_id: text(n), sku: sku, quantity: count, price_minor: "money(price, currency)"}
"""


def order(n, changed="2026-11-20T10:00:00Z", **more):
    return {"id": n, "state": "paid", "at": "2026-11-20T09:00:00Z", "changed": changed, "items": []} | more


def query_of(request):
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


# Reading ---------------------------------------------------------------------------------------------------------

PULL = HEAD + ORDERS + """
operations:
  orders.pull:
    request: {path: /orders, query: {since: "{cursor:rfc3339}", %s}}
    records: orders
    paging: {%s}
    cursor: {each: changed, overlap_s: 30}
    map: order
"""  # fmt: skip


def pull(text, answers, at=None):
    wire = Wire(answers)
    connector, connection = read_text(text), connect(wire)
    found = []
    while True:
        page = run(connector.pull_orders(connection, at, since=SINCE))
        found += page.records
        at = page.next
        if at is None:
            return [o.external_id for o in found], wire.sent, page.cursor


def test_pages_are_counted_and_reading_goes_on_where_it_ended():
    text = PULL % ('page: "{page}"', "by: page, size: 2")
    answers = [
        said({"orders": [order(1), order(2, "2026-11-20T11:00:00Z")]}),
        said({"orders": [order(3)]}),
        said({"orders": []}),
    ]
    ids, sent, cursor = pull(text, answers[:2])
    assert ids == ["1", "2", "3"]
    assert [query_of(r) for r in sent] == [
        {"since": "2026-11-01T11:59:30.000Z", "page": "1"}, {"since": "2026-11-01T11:59:30.000Z", "page": "2"},
    ]  # fmt: skip
    _, sent, again = pull(text, answers[2:], cursor)
    assert query_of(sent[0])["since"] == "2026-11-20T10:59:30.000Z"
    assert json.loads(again) == json.loads(cursor), "nothing new: the same place"


def test_offsets_cursors_and_addresses_lead_on():
    by_offset = PULL % ('from: "{offset}"', "by: offset, size: 2")
    _, sent, _ = pull(by_offset, [said({"orders": [order(1), order(2)]}), said({"orders": []})])
    assert [query_of(r)["from"] for r in sent] == ["0", "2"]

    by_cursor = PULL % ('after: "{after}"', "by: cursor, next: page.end, more: page.more")
    answers = [said({"orders": [order(1)], "page": {"end": "abc", "more": True}}),
               said({"orders": [order(2)], "page": {"end": "def", "more": False}})]  # fmt: skip
    ids, sent, _ = pull(by_cursor, answers)
    assert ids == ["1", "2"]
    assert [query_of(r).get("after") for r in sent] == [None, "abc"]

    by_link = PULL % ("n: 1", "by: link")
    link = '<https://shop.example/v1/orders?since=x&page=2>; rel="next", <https://shop.example/>; rel="prev"'
    ids, sent, _ = pull(by_link, [said({"orders": [order(1)]}, link=link), said({"orders": [order(2)]})])
    assert ids == ["1", "2"]
    assert sent[1].url == "https://shop.example/v1/orders?since=x&page=2"


def test_credentials_are_not_carried_to_another_host():
    link = '<https://evil.example/v1/orders?page=2>; rel="next"'
    with pytest.raises(Refused, match="another host"):
        pull(PULL % ("n: 1", "by: link"), [said({"orders": [order(1)]}, link=link)])


def test_a_record_that_cannot_be_read_stops_no_other_and_an_unknown_word_is_unknown():
    line = {"n": 1, "sku": "A", "count": 2, "price": "19.995"}
    records = [
        order(1, items=[line]), order(2, at="yesterday"), order(3, items=[line | {"count": 1.5}]), order(None),
        order(5, state="lent"), order(6, items=[line | {"price": "x"}]), order(7, items=None), "no record at all",
    ]  # fmt: skip
    wire = Wire([said({"orders": records})])
    connector = read_text(PULL % ('page: "{page}"', "by: page"))
    page = run(connector.pull_orders(connect(wire), None, since=SINCE))
    assert [(o.external_id, o.status, o.status_word) for o in page.records] == [
        ("1", "open", "paid"), ("5", "unknown", "lent"), ("7", "open", "paid"),
    ]  # fmt: skip
    assert page.records[0].lines[0].price_minor == 2000
    assert [r.external_id for r in page.rejects] == ["2", "3", "?", "6", "?"]
    assert "yesterday" in page.rejects[0].why


# Answers ---------------------------------------------------------------------------------------------------------

PUSH = HEAD + """
limits: {rate_per_s: 7, burst: 9}
errors:
  - {when: 'status == 200 && body.failed == "old"', then: stale}
  - {when: 'status == 400', then: refuse, code: error.code, message: error.text}
operations:
  stock.push:
    request: {method: PUT, path: "/items/{external_id}", json: {units: "{quantity}", was: "{expected}", key: "{key}"}}
    write: {guard: compare_and_set}
"""  # fmt: skip
WRITE = Write(external_id="a/b c", quantity=3, key="k1", expected=5)


def push(answers, text=PUSH, writes=(WRITE,), turns=None, **settings):
    wire = Wire(list(answers))
    outcomes = run(read_text(text).push_stock(connect(wire, turns, **settings), list(writes)))
    return outcomes, wire.sent


def test_a_write_is_filled_in_with_its_types_and_its_path_escaped():
    (outcome,), (sent,) = push([said({})])
    assert outcome.fate is Fate.DONE
    assert sent.url == "https://shop.example/v1/items/a%2Fb%20c"
    assert json.loads(sent.body) == {"units": 3, "was": 5, "key": "k1"}
    assert read_text(PUSH).is_compared


@pytest.mark.parametrize(
    ("answer", "fate", "code"),
    [
        (said({"failed": "old"}), Fate.STALE, "stale"),
        (said({"error": {"code": "E7", "text": "no"}}, 400), Fate.REFUSED, "E7"),
        (said(None, 404), Fate.GONE, "404"),
        (said(None, 409), Fate.STALE, "stale"),
        (said(None, 422), Fate.REFUSED, "422"),
        (said(None, 401), Fate.RETRY, "401"),
        (said(None, 429), Fate.RETRY, ""),
        (said(None, 503), Fate.RETRY, ""),
        (said(None, 500), Fate.UNKNOWN, ""),
        (said(None, 408), Fate.UNKNOWN, ""),
        (NotReachable("x"), Fate.RETRY, ""),
        (NotReachable("x", was_sent=True), Fate.UNKNOWN, ""),
    ],
)
def test_an_answer_says_what_became_of_a_write(answer, fate, code):
    (outcome,), _ = push([answer])
    assert (outcome.fate, outcome.code) == (fate, code)


@pytest.mark.parametrize(
    ("said_so", "seconds"),
    [
        ({"retry_after": "12"}, [12.0]),
        ({}, [2.0]),
        ({"retry_after": "soon"}, [2.0]),
        ({"retry_after": "1e9"}, [3600.0]),
    ],
)
def test_too_many_requests_pause_everybody_for_as_long_as_it_said(said_so, seconds):
    turns = Turns()
    push([said(None, 429, **said_so)], turns=turns)
    assert turns.paused == seconds
    assert turns.taken == [("", 7.0, 9)]


def test_a_budget_of_points_is_let_recover():
    text = (
        PUSH
        + """
      # of its own
    """
    )
    text = PUSH.replace(
        "burst: 9}", "burst: 9, cost: {available: c.left, restore_per_s: c.rate, requested: c.cost, reserve: 40}}"
    )
    turns = Turns()
    push([said({"c": {"left": 100, "rate": 50, "cost": 10}})], text, turns=turns)
    assert turns.paused == []
    push([said({"c": {"left": 20, "rate": 10, "cost": 10}})], text, turns=turns)
    assert turns.paused == [2.0]


BATCH = HEAD + """
operations:
  stock.push:
    request: {method: POST, path: /levels, json: {rows: "{items}", key: "{key}"}}
    batch: {max: 2, item: {id: "{external_id}", n: "{quantity}", at: "{place}"}}
    outcomes: %s
    write: {guard: none, confirmed_by: read}
"""  # fmt: skip


def writes(*ids):
    return [Write(external_id=i, quantity=n, key=f"k{i}{n}") for n, i in enumerate(ids)]


def test_digits_stand_for_a_text():
    from onhand.connectors._sdk.filling import fill

    made = [fill("{key:numeral}", {"key": key}) for key in ("12", "f-12", "f-12", "f-13", "012", "9" * 40)]
    assert made[0] == "12"
    assert made[1] == made[2] != made[3]
    assert all(text.isdigit() and text[0] != "0" and len(text) <= 18 for text in made)
    assert len(set(made)) == 5


def test_batches_are_filled_and_a_listing_is_at_most_once_in_one():
    outcomes, sent = push(
        [said({"rows": [{"id": "a"}, {"id": "b"}]}), said({"rows": [{"id": "b"}]}), said({"rows": []})],
        BATCH % "{items: rows, id: id, missing: gone}",
        writes("a", "b", "b", "c"),
        place="P1",
    )
    assert [[r["id"] for r in json.loads(s.body)["rows"]] for s in sent] == [["a", "b"], ["b", "c"]]
    assert json.loads(sent[0].body)["rows"][0] == {"id": "a", "n": 0, "at": "P1"}
    assert [o.fate for o in outcomes] == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.ACCEPTED, Fate.GONE]
    keys = [json.loads(s.body)["key"] for s in sent]
    _, again = push([said({"rows": []})] * 2, BATCH % "{items: rows, id: id}", writes("a", "b", "b", "c"))
    assert [json.loads(s.body)["key"] for s in again] == keys, "a batch that is sent again has the same key"


def test_a_batch_that_is_refused_is_halved_until_the_wrong_write_stands_alone():
    def answer(request):
        ids = [row["id"] for row in json.loads(request.body)["rows"]]
        return said({"why": "x"}, 422) if "bad" in ids else said({"rows": [{"id": i} for i in ids]})

    text = (BATCH % "{items: rows, id: id}").replace("max: 2", "max: 8, split: true")
    mine = writes("a", "b", "c", "bad", "e")
    outcomes, sent = push([answer] * 20, text, mine)
    assert [o.fate for o in outcomes] == [Fate.ACCEPTED] * 3 + [Fate.REFUSED, Fate.ACCEPTED]
    assert [[r["id"] for r in json.loads(s.body)["rows"]] for s in sent] == [
        ["a", "b", "c", "bad", "e"], ["a", "b"], ["c", "bad", "e"], ["c"], ["bad", "e"], ["bad"], ["e"],
    ]  # fmt: skip
    for status, fate in ((401, Fate.RETRY), (409, Fate.STALE), (429, Fate.RETRY), (500, Fate.UNKNOWN)):
        outcomes, sent = push([said(None, status)], text, mine)
        assert ([o.fate for o in outcomes], len(sent)) == ([fate] * 5, 1), "not for one of them"


def test_a_number_has_the_moment_it_held_at():
    text = PUSH.replace('key: "{key}"', 'at: "{at:unix_s}"')
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC)
    _, (sent,) = push([said({})], text, [Write(external_id="a", quantity=1, key="k", at=moment)])
    assert json.loads(sent.body)["at"] == int(moment.timestamp())
    _, (sent,) = push([said({})], text)
    assert abs(json.loads(sent.body)["at"] - datetime.now(UTC).timestamp()) < 60


def test_what_has_no_value_is_left_out_where_that_is_asked_for():
    text = PUSH.replace("path:", "omit_nulls: true, path:").replace('was: "{expected}"', 'was: {n: ["{expected}", 1]}')
    _, (sent,) = push([said({})], text, [Write(external_id="a", quantity=1, key="k")])
    assert json.loads(sent.body) == {"units": 1, "was": {"n": [None, 1]}, "key": "k"}
    text = PUSH.replace("path:", "omit_nulls: true, path:")
    _, (sent,) = push([said({})], text, [Write(external_id="a", quantity=1, key="k")])
    assert json.loads(sent.body) == {"units": 1, "key": "k"}


def test_failures_by_their_number_and_all_or_nothing():
    errors = {"errors": [{"at": 1, "code": "OLD", "text": "was 7"}]}
    form = "{errors: errors, index: at, code: code, message: text, codes: {OLD: stale}%s}"
    outcomes, _ = push([said(errors)], BATCH % (form % ""), writes("a", "b"))
    assert [o.fate for o in outcomes] == [Fate.ACCEPTED, Fate.STALE]
    outcomes, _ = push([said(errors)], BATCH % (form % ", atomic: true"), writes("a", "b"))
    assert [o.fate for o in outcomes] == [Fate.RETRY, Fate.STALE]
    outcomes, _ = push([said({"errors": [{"code": "X"}]})], BATCH % (form % ""), writes("a", "b"))
    assert [o.fate for o in outcomes] == [Fate.REFUSED, Fate.REFUSED], "a failure without a number is about all"


# Signing in ------------------------------------------------------------------------------------------------------

GET = ORDERS + """
operations:
  orders.get: {request: {path: "/orders/{id}"}, map: order}
"""  # fmt: skip


def get(auth, answers, tokens=None):
    wire = Wire(list(answers))
    connector = read_text(HEAD + f"auth: {auth}" + GET)
    return run(connector.get_order(connect(wire, tokens=tokens), "1")), wire.sent


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ('{type: header, header: X-Key, value: "{credentials.secret}"}', "x-key", "s3cret"),
        ('{type: bearer, token: "{credentials.secret}"}', "authorization", "Bearer s3cret"),
        (
            '{type: basic, user: "{credentials.id}", password: "{credentials.secret}"}',
            "authorization",
            "Basic bWU6czNjcmV0",
        ),
    ],
)
def test_who_we_are_is_in_a_header(auth, header, value):
    _, (sent,) = get(auth, [said(order(1))])
    assert sent.headers[header] == value


OAUTH = (
    '{type: oauth2, grant: client_credentials, token_url: "{settings.url}/token", client_id: "{credentials.id}",'
    ' client_secret: "{credentials.secret}"}'
)


def test_a_token_is_asked_for_once_kept_and_replaced_when_it_is_refused():
    tokens = MemoryTokens()
    first = said({"access_token": "T1", "expires_in": 3600})
    _, sent = get(OAUTH, [first, said(order(1))], tokens)
    assert parse_qs(sent[0].body.decode())["grant_type"] == ["client_credentials"]
    assert sent[1].headers["authorization"] == "Bearer T1"
    _, sent = get(OAUTH, [said(order(1))], tokens)
    assert len(sent) == 1
    # It was taken back before its time.
    _, sent = get(OAUTH, [said(None, 401), said({"access_token": "T2"}), said(order(1))], tokens)
    assert [s.headers.get("authorization") for s in sent] == ["Bearer T1", None, "Bearer T2"]
    with pytest.raises(Refused) as raised:  # a new one does not help either: no third try
        get(OAUTH, [said(None, 401), said({"access_token": "T3"}), said(None, 401)], tokens)
    assert raised.value.is_unauthorised


def test_a_token_that_is_about_to_end_is_not_used():
    tokens = MemoryTokens()
    run(tokens.put("old", datetime.now(UTC) + timedelta(seconds=30)))
    _, sent = get(OAUTH, [said({"access_token": "new"}), said(order(1))], tokens)
    assert sent[1].headers["authorization"] == "Bearer new"


def test_signing_in_that_fails_says_so_and_shows_no_secret():
    for answer, error in (
        (said({"error": "s3cret"}, 401), Refused),
        (said({}), Refused),
        (said(None, 500), Unavailable),
    ):
        with pytest.raises(error) as raised:
            get(OAUTH, [answer])
        assert "s3cret" not in str(raised.value)


def test_a_connection_does_not_show_its_secrets():
    assert "s3cret" not in repr(connect(Wire([])))
    with suppress(Refused):
        get('{type: bearer, token: "{credentials.secret}"}', [said(None, 403)])


# Limits ----------------------------------------------------------------------------------------------------------


def test_a_bucket_lets_a_burst_pass_and_then_its_rate():
    waited = []

    async def sleep(seconds):
        waited.append(round(seconds, 3))

    clock = [0.0]
    limiter = MemoryLimiter(clock=lambda: clock[0], sleep=sleep)

    async def turns(count):
        for _ in range(count):
            await limiter.turn("x", rate_per_s=2, burst=2)

    run(turns(4))
    assert waited == [0.5, 1.0]
    clock[0] = 2.0
    run(turns(1))
    assert len(waited) == 2
    run(limiter.pause(10))
    run(turns(1))
    assert waited[-1] == 10
    run(limiter.pause(1_000))
    with pytest.raises(Unavailable) as raised:
        run(turns(1))
    assert raised.value.retry_after_s > 900


def test_graphql_errors_in_an_answer_that_says_200_are_a_refusal():
    from onhand.connectors import lint

    text = HEAD + ORDERS + """
operations:
  orders.get: {request: {graphql: get.graphql, variables: {id: "{id}"}}, records: data.order, map: order}
"""  # fmt: skip
    document = lint(text, read_file=lambda _: "query { x }").connector
    connector = Declared(document, {"get.graphql": "query { x }"})
    wire = Wire([said({"errors": [{"message": "no such field"}], "data": None}), said({"data": {"order": order(1)}})])
    connection = connect(wire)
    with pytest.raises(Refused):
        run(connector.get_order(connection, "1"))
    assert run(connector.get_order(connection, "1")).external_id == "1"
    assert json.loads(wire.sent[1].body) == {"query": "query { x }", "variables": {"id": "1"}}
    assert wire.sent[1].method == "POST"
