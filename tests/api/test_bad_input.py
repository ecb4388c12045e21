"""Bad input of every kind, on hot and ordinary routes: each is refused by a problem document that names the field, and
after all of it not one row of the database has changed."""

import copy
import http.client
import itertools
import json
import os
import random
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ..shop import BERLIN, Shop, open_shop  # noqa: TID252
from .conftest import Server

ORDER = {
    "channel": "web",
    "external_id": "bad-1",
    "currency": "EUR",
    "destination": BERLIN,
    "lines": [{"line_id": "1", "sku": "MUG-BLUE", "quantity": 1, "price_minor": 1000}],
}
HOLD = {"channel": "web", "lines": [{"sku": "MUG-BLUE", "quantity": 1}], "ttl_s": 900}
QUESTION = {"channel": "web", "destination": BERLIN, "lines": [{"sku": "MUG-BLUE", "quantity": 1}]}
ENTRY = {"kind": "receipt", "sku": "MUG-BLUE", "node": "berlin", "quantity": 1}
SUPPLY = {
    "reference": "PO-BAD",
    "node": "berlin",
    "lines": [{"sku": "MUG-BLUE", "quantity": 1, "expected_at": "2035-01-01T00:00:00Z"}],
}
ITEM = {"name": "x", "weight_g": 1}
BUNDLE = {"name": "x", "components": [{"sku": "MUG-RED", "quantity": 2}]}
NODE = {
    "name": "x", "node_type": "store", "country": "DE", "latitude": 50.0, "longitude": 8.0,
    "timezone": "Europe/Berlin",
}  # fmt: skip
CARRIER = {
    "name": "x",
    "services": [
        {
            "code": "s", "currency": "EUR", "transit_days": {"p50": 1, "p95": 2}, "co2_g_per_tonne_km": 80,
            "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [1000], "prices_minor": [[500]]},
        }
    ],
}  # fmt: skip
CARTON = {"inner_length_mm": 300, "inner_width_mm": 200, "inner_height_mm": 150}
DUTY = {"name": "x", "valid_from": "2026-01-01", "currency": "EUR", "source": "x"}
MARKDOWN = {"sku": "MUG-RED", "node": "berlin", "value_minor": 1}
RETURN = {"node": "berlin", "disposition": "restock", "lines": [{"line_id": "1", "quantity": 1}]}


class Text(str):
    """JSON text that stands in a body as it is, sound or not."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One bad request and its answer.

    at      what `errors` names, all of it: a path, several, "" for the body or the address as a whole; None: the answer
            has no `errors`, since nothing the caller sent is at fault in a part that could be named
    status  of the answer, unless `rows`
    rows    the answer is 200 and rejects each row of the batch: what the only error of each row names. A stock entry is
            told by code and message instead: how its message begins
    """

    route: str
    body: object = None
    at: str | tuple[str, ...] | None = None
    status: int = 422
    rows: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict[str, str])
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{self.route} {self.rows or self.at}: {_text(self.body)[:100]}"


# Routes that check a value as they read it (msgspec); the others read the whole body first.
HOT = (
    "POST /v1/orders", "POST /v1/orders/batch", "POST /v1/reservations", "POST /v1/promises", "POST /v1/stock/entries",
)  # fmt: skip


def _text(body: object) -> str:
    return body.decode("latin-1") if isinstance(body, bytes) else _encode(body).decode()


def _encode(body: object) -> bytes:
    """JSON, with every Text as it is."""
    raw: list[Text] = []

    def mark(value: object) -> object:
        if isinstance(value, Text):
            raw.append(value)
            return f"\x01{len(raw) - 1}\x01"
        if isinstance(value, dict):
            return {k: mark(v) for k, v in value.items()}
        return [mark(v) for v in value] if isinstance(value, list) else value

    text = json.dumps(mark(body))
    return re.sub(r'"\\u0001(\d+)\\u0001"', lambda m: raw[int(m[1])], text).encode()


def bend(document: Any, path: str, value: object) -> Any:
    """A copy of `document` with `value` at `path`, such as `lines[0].quantity`."""
    bent = copy.deepcopy(document)
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]
    at = bent
    for part in way:
        at = at[part]
    at[last] = value
    return bent


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in document.items() if k != name}


# Places where a number of units stands: (route, document, path).
QUANTITIES = [
    ("POST /v1/orders", ORDER, "lines[0].quantity"),
    ("POST /v1/reservations", HOLD, "lines[0].quantity"),
    ("POST /v1/promises", QUESTION, "lines[0].quantity"),
    ("POST /v1/inbound", SUPPLY, "lines[0].quantity"),
    ("PUT /v1/items/BUNDLE", BUNDLE, "components[0].quantity"),
    ("POST /v1/returns", RETURN | {"order_id": "{order}"}, "lines[0].quantity"),
    ("POST /v1/fulfilments/{fulfilment}/ship", {"lines": [{"line_id": "1", "quantity": 1}]}, "lines[0].quantity"),
    ("POST /v1/orders/{order}/cancel", {"lines": [{"line_id": "1", "quantity": 1}]}, "lines[0].quantity"),
]
NO_QUANTITY = [
    Text(t)
    for t in (
        "0", "-1", "-0", "0.5", "1.5", "5.0", "1e2", "1E400", "1e-400", "2147483648", "9223372036854775808",
        "1" + "0" * 399, "-9223372036854775809", "true", '"5"', '""', "[]", "[1]", "{}", "NaN", "Infinity",
        "-Infinity", "1_000", "0x10", "01", "+1",
    )
]  # fmt: skip
# Names that callers choose, or that must exist.
# No JSON, so that the body cannot be read and nothing in it named.
NOT_JSON = {"NaN", "Infinity", "-Infinity", "1_000", "01", "+1", '"a\x01b"', '"a\nb"'}
# Nor these: one is out of range of any number, the other goes wrong after its first digit, which is checked before.
NOT_JSON_ALL_READ = {"1E400", "0x10"}
# Text that is looked for in the whole body before its rows are.
NO_TEXT = {r'"a\u0000b"', r'"a\ud800b"'}
NAMES = [
    ("POST /v1/orders", ORDER, "external_id"),
    ("POST /v1/orders", ORDER, "lines[0].line_id"),
    ("POST /v1/orders", ORDER, "lines[0].sku"),
    ("POST /v1/orders", ORDER, "channel"),
    ("POST /v1/reservations", HOLD, "channel"),
    ("POST /v1/inbound", SUPPLY, "reference"),
    ("POST /v1/inbound", SUPPLY, "node"),
    ("PUT /v1/items/BUNDLE", BUNDLE, "components[0].sku"),
    ("POST /v1/items/batch", {"items": [ITEM | {"sku": "X"}]}, "items[0].sku"),
    ("POST /v1/orders/batch", {"orders": [ORDER]}, "orders[0].external_id"),
    ("POST /v1/stock/entries", {"entries": [ENTRY]}, "entries[0].node"),
    ("POST /v1/stock/entries", {"entries": [ENTRY | {"reference": "x"}]}, "entries[0].reference"),
    ("PUT /v1/node-groups/NEW", {"name": "x", "nodes": ["berlin"]}, "nodes[0]"),
]
NO_NAME = [
    Text(t)
    for t in (
        '""', "5", "true", "null", '["a"]', '{"a": 1}', '"' + "x" * 129 + '"', '"' + "x" * 100_000 + '"',
        r'"a\u0000b"', r'"a\ud800b"', r'"a\nb"', r'"a\r\nX-Evil: 1"', r'"a\u0007b"', '"a\u202eb"', '"a\u2028b"',
        '"a\x01b"', '"a\nb"',
    )
]  # fmt: skip
# Moments: (route, document, path).
MOMENTS = [
    ("POST /v1/orders", ORDER, "placed_at"),
    ("POST /v1/orders/batch", {"orders": [ORDER]}, "orders[0].placed_at"),
    ("POST /v1/stock/entries", {"entries": [ENTRY]}, "entries[0].occurred_at"),
    ("POST /v1/inbound", SUPPLY, "lines[0].expected_at"),
    ("PUT /v1/items/LATE", ITEM, "release_at"),
]
NO_MOMENT = [
    "2026-03-01T12:00:00", "2026-03-01", "12:00", "yesterday", "", 1767225600, True, "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "2026-02-29T00:00:00Z", "2026-03-01T24:00:01Z", "2026-03-01T12:00:00+99:00",
    "2026-03-01T12:00:00 Europe/Berlin",
]  # fmt: skip

MEGABYTE = b" " * 2**20
SEED = int(os.environ.get("ONHAND_SEED", "1"))


def table(shop: Shop) -> Iterator[Bad]:
    """All bad requests. `{order}` and the like stand for ids of the shop."""
    for (route, document, path), value in itertools.product(QUANTITIES, NO_QUANTITY):
        yield _value(route, document, path, value)
    for (route, document, path), value in itertools.product(NAMES, NO_NAME):
        if not (value == "null" and "reference" in path):
            yield _value(route, document, path, value)
    for (route, document, path), moment in itertools.product(MOMENTS, NO_MOMENT):
        yield _value(route, document, path, moment)
    yield from _bodies(shop)
    yield from _orders(shop)
    yield from _documents(shop)
    yield from _addresses(shop)


def _value(route: str, document: Any, path: str, value: object) -> Bad:
    """`value` at `path`; in a row of a batch that row is refused, unless the body is."""
    body = bend(document, path, value)
    if value in NOT_JSON or (value in NOT_JSON_ALL_READ and route not in HOT):
        return Bad(route=route, body=body, at="", status=400)
    in_row = re.fullmatch(r"(orders|entries|items)\[0\]\.(.*)", path)
    if not in_row or value in NO_TEXT:
        return Bad(route=route, body=body, at=path)
    if in_row[1] != "entries":
        return Bad(route=route, body=body, rows=(in_row[2],))
    says = f"{in_row[2]}: "
    if path == "entries[0].node" and isinstance(name := json.loads(str(value)), str) and 0 < len(name) <= 128:
        says = f"no node {name!r}"  # text like any other: there is just no such node
    return Bad(route=route, body=body, rows=(says,))


def _bodies(shop: Shop) -> Iterator[Bad]:
    """Bodies that are no document, on each route that takes one."""
    deep = "[" * 100_000 + "]" * 100_000
    routes = [
        ("POST /v1/orders", ORDER, "channel"),
        ("POST /v1/orders/batch", {"orders": [ORDER]}, "orders"),
        ("POST /v1/reservations", HOLD, "channel"),
        ("POST /v1/promises", QUESTION, "channel"),
        ("POST /v1/stock/entries", {"entries": [ENTRY]}, "entries"),
        ("POST /v1/inbound", SUPPLY, "reference"),
        ("PUT /v1/items/NEW", ITEM, "name"),
        ("POST /v1/items/batch", {"items": []}, "items"),
        ("POST /v1/keys", {"name": "x", "scopes": ["read"]}, "name"),
    ]
    unreadable, whole = (400, ""), (422, "")
    # Of what is missing a hot route names the first.
    missing = {"POST /v1/inbound": ("reference", "node", "lines"), "POST /v1/keys": ("name", "scopes")}
    for route, document, member in routes:
        sound = _encode(document)
        hot, is_batch = route in HOT, route in ("POST /v1/orders/batch", "POST /v1/stock/entries")
        in_member = (422, member) if hot and not is_batch else unreadable
        for name, content, (status, at) in (
            ("empty", b"", unreadable if hot else whole),
            ("blank", b"  \n", unreadable),
            ("not JSON", b"{", unreadable),
            ("two documents", sound + sound, unreadable),
            ("a trailing comma", sound[:-1] + b",}", unreadable),
            ("a byte-order mark", b"\xef\xbb\xbf" + sound, unreadable),
            ("UTF-16", sound.decode().encode("utf-16"), unreadable),
            ("invalid UTF-8", sound[:-1] + b',"\xff":1}', unreadable),
            (
                "invalid UTF-8 in a value",
                sound.replace(b'"x"', b'"\xc3\x28"').replace(b'"web"', b'"\xff"'),
                (200, "") if route == "POST /v1/orders/batch" else unreadable,
            ),
            ("an array", b"[]", whole),
            ("an array of documents", b"[" + sound + b"]", whole),
            ("null", b"null", whole),
            ("a number", b"1", whole),
            ("text", b'"x"', whole),
            ("deep", b'{"x":' + deep.encode() + b"}", (422, "x") if hot else unreadable),
            ("deep in a value", _encode(bend(document, member, Text(deep))), in_member),
            (
                "65 levels",
                _encode(bend(document, member, Text("[" * 65 + "]" * 65))),
                (200, "Expected object" if "entries" in route else "") if is_batch else in_member,
            ),
            ("a key twice", sound[:-1] + b',"' + member.encode() + b'":1}', (422 if hot else 400, member)),
            (
                "the same key and value twice",
                sound[:-1] + b"," + sound[1:],
                (422 if route == "POST /v1/stock/entries" else 400, member),
            ),
            ("an unknown member", _encode({**document, "surprise": 1}), (422, "surprise")),
            ("__proto__", _encode({**document, "__proto__": {}}), (422, "__proto__")),
            ("a member named with a line feed", _encode({**document, "a\nb": 1}), (422, "a\nb")),
            ("nothing in it", b"{}", (422, missing.get(route, member))),
        ):
            if content == sound:
                continue
            of = {"rows": (at,)} if status == 200 else {"at": at, "status": status}
            yield Bad(route=route, body=content, name=f"{route}: {name}", **of)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "text/json", "application/json; charset=utf-16",
                     "multipart/form-data; boundary=x", "application/xml", ""):  # fmt: skip
            yield Bad(
                route=route, body=sound, status=415, headers={"content-type": kind},
                name=f"{route}: sent as {kind!r}",
            )  # fmt: skip
        for coding in ("gzip", "br", "deflate", "zstd"):
            yield Bad(
                route=route, body=sound, status=415, headers={"content-encoding": coding},
                name=f"{route}: {coding}",
            )  # fmt: skip
        if route not in ("POST /v1/promises", "PUT /v1/items/NEW"):
            for key in ("", " ", "k" * 256, "a\tb", "k\xe9y", "\xe2\x82\xac"):
                yield Bad(
                    route=route, body=sound, at="Idempotency-Key", headers={"idempotency-key": key},
                    name=f"{route}: Idempotency-Key {key[:20]!r}",
                )  # fmt: skip


def _orders(shop: Shop) -> Iterator[Bad]:
    """Orders that contradict themselves, or the shop."""
    line = ORDER["lines"][0]
    person = {"email": "a@example.org"}

    def order(at: str, **changes: object) -> Bad:
        return Bad(route="POST /v1/orders", body=ORDER | changes, at=at)

    yield order("lines[1].line_id", lines=[line, line])
    yield order("lines", lines=[])
    yield order("lines", lines=[line | {"line_id": str(n)} for n in range(10_000)])
    yield order("lines", lines={"0": line})
    yield order("lines[0]", lines=[None])
    yield order("lines[0].sku", lines=[line | {"sku": "NOPE"}])
    yield order("lines[0].sku", lines=[line | {"sku": "mug-blue"}])
    yield order("lines[0].sku", lines=[line | {"sku": "MUG-BLUE "}])
    yield order("lines[0].sku", lines=[line | {"sku": "MUG\u2010BLUE"}])
    yield order("lines[0].price_minor", lines=[line | {"price_minor": -1}])
    yield order("lines[0].price_minor", lines=[line | {"price_minor": 12.9}])
    yield order("lines[0].price_minor", lines=[line | {"price_minor": 10**13}])
    yield order("lines[0].price_minor", lines=[without(line, "price_minor")])
    dear = line | {"quantity": 10**6, "price_minor": 10**12}  # ten of them exceed 64 bits
    yield order("lines", lines=[dear | {"line_id": str(n)} for n in range(10)])
    yield order("lines", lines=[dear | {"line_id": str(n)} for n in range(1000)])
    yield Bad(
        route="POST /v1/orders/batch", rows=("lines",), name="an order of 10^19 in a batch",
        body={"orders": [ORDER | {"lines": [dear | {"line_id": str(n)} for n in range(10)]}]},
    )  # fmt: skip
    yield order("lines[0].tax_minor", lines=[line | {"tax_minor": "0"}])
    yield order("lines[0].price", lines=[line | {"price": 1}])
    yield order("channel", channel="nope")
    yield order("channel", channel="WEB")
    for currency in ("XXY", "eur", "EURO", "", "€", 978, None, "E\u0000R"):
        yield order("currency", currency=currency)
    for country in ("Germany", "de", "D", "", 49, None, "DEU"):
        yield order("destination.country", destination={"country": country})
    yield order("destination", destination=None)
    yield order("destination", destination="Berlin")
    yield order("destination.country", destination={})
    yield order("destination.planet", destination=BERLIN | {"planet": "Mars"})
    for latitude in (90.1, -91, "52", True, Text("1e309"), [52]):
        yield order("destination.latitude", destination=BERLIN | {"latitude": latitude})
    yield Bad(
        route="POST /v1/orders", body=ORDER | {"destination": BERLIN | {"latitude": Text("NaN")}}, at="", status=400
    )
    yield order("destination.longitude", destination=BERLIN | {"longitude": 180.5})
    yield order("destination.postal_code", destination=BERLIN | {"postal_code": "1" * 21})
    yield order("destination.postal_code", destination=BERLIN | {"postal_code": 10115})
    yield order("customer.email", customer={"email": "nobody"})
    yield order("customer.email", customer={"email": "a@b c"})
    yield order("customer.email", customer={"email": "a@b\x1f"})
    yield order("customer.email", customer={"email": "a" * 250 + "@example.org"})
    yield order("customer.name", customer=person | {"name": "x" * 201})
    yield order("customer.name", customer=person | {"name": ["x"]})
    yield order("customer.address", customer=person | {"address": "Rosenweg 1"})
    yield order("customer.address[...]", customer=person | {"address": {"street": 1}})
    yield order("customer.password", customer=person | {"password": "x"})
    yield order("method", method="drone")
    yield order("method", method=None)
    yield order("pickup_node", method="pickup")
    yield order("pickup_node", method="pickup", pickup_node="nope")
    yield order("pickup_node", pickup_node="berlin")
    yield order("service", service="teleport")
    yield order("objective", objective="fun")
    yield order("allow_split", allow_split="no")
    yield order("allow_split", allow_split=0)
    yield order("hold", hold="")
    yield order("hold", hold="x" * 201)
    yield order("reservation_id", reservation_id="nope")
    yield order("reservation_id", reservation_id=shop.orders["shelf"])
    yield order("reservation_id", reservation_id=shop.inbound)
    for name in ("channel", "external_id", "currency", "destination", "lines"):
        yield Bad(route="POST /v1/orders", body=without(ORDER, name), at=name)
    yield Bad(route="POST /v1/orders/batch", body={"orders": []}, at="orders")
    yield Bad(route="POST /v1/orders/batch", body={"orders": [{}] * 5001}, at="orders")
    yield Bad(route="POST /v1/orders/batch", body={"orders": {}}, at="orders")
    yield Bad(route="POST /v1/orders/batch", body={"orders": [1, None, "x", [], {}]}, rows=("", "", "", "", "channel"))
    yield Bad(
        route="POST /v1/orders/batch", body={"orders": [bend(ORDER, "lines", [line, line])]}, rows=("lines[1].line_id",)
    )
    twice = _encode({"orders": [Text(_encode(ORDER).decode()[:-1] + ',"currency":"USD"}')]})
    yield Bad(route="POST /v1/orders/batch", body=twice, rows=("currency",))
    for lines, at in (
        ([], "lines"), ([{"sku": "NOPE", "quantity": 1}], "lines[0].sku"), ([{"sku": "MUG-BLUE"}], "lines[0].quantity"),
        ([{"quantity": 1}], "lines[0].sku"), ([[]], "lines[0]"), ("x", "lines"),
    ):  # fmt: skip
        for route, document in (("POST /v1/reservations", HOLD), ("POST /v1/promises", QUESTION)):
            yield Bad(route=route, body=document | {"lines": lines}, at=at)
    for ttl_s in (0, -1, 86_401, 1.5, "900", True, 2**63, None):
        for route, document in (
            ("POST /v1/reservations", HOLD),
            ("POST /v1/reservations/{reservation}/extend", {}),
        ):
            yield Bad(route=route, body=document | {"ttl_s": ttl_s}, at="ttl_s")
    for lines, at in (
        ([], "lines"), ([{"line_id": "nope"}], "lines[0].line_id"), ([{}], "lines[0].line_id"),
        ([{"line_id": 1}], "lines[0].line_id"),
    ):  # fmt: skip
        for route in ("POST /v1/orders/{order}/cancel", "POST /v1/fulfilments/{fulfilment}/ship"):
            yield Bad(route=route, body={"lines": lines}, at=at)
    for reason in ("", None, 5, "because"):
        yield Bad(route="POST /v1/fulfilments/{fulfilment}/reject", body={"reason": reason}, at="reason")
    for disposition in ("", "burn", None, True):
        document = RETURN | {"order_id": shop.orders["more-7"], "disposition": disposition}
        yield Bad(route="POST /v1/returns", body=document, at="disposition")
    yield Bad(route="POST /v1/returns", body=RETURN | {"order_id": shop.orders["more-7"], "node": "nope"}, at="node")
    yield Bad(route="POST /v1/returns", body=RETURN, at="order_id")
    yield Bad(route="POST /v1/orders/{order}/reroute", body={"exclude": ["nope"]}, at="exclude[0]")
    yield Bad(route="POST /v1/orders/{order}/hold", body={"reason": "a\u0000b"}, at="reason")


def _documents(shop: Shop) -> Iterator[Bad]:
    """Entries, supply and set-up data: (path, value) to put there, and where in the value the fault is."""

    def entry(says: str, **changes: object) -> Bad:
        return Bad(route="POST /v1/stock/entries", body={"entries": [ENTRY | changes]}, rows=(says,))

    for value in (0, -1):
        yield entry("expected a quantity from 1 to", quantity=value)
    for value in (0.5, 5.0, "5", True, None, 2**31, 2**63, [], {}):
        yield entry("quantity: ", quantity=value)
    yield entry("expected a quantity other than 0", kind="adjustment", quantity=0)
    yield entry("expected a quantity from 0 to", kind="count", quantity=-1)
    for kind in ("", "gift", "allocate", "ship", "RECEIPT", 1, None):
        yield entry("kind: ", kind=kind)
    yield entry("no item 'NOPE'", sku="NOPE")
    yield entry("'SET' is a bundle", sku="SET")
    yield entry("no node 'nope'", node="nope")
    yield entry("no node 'BERLIN'", node="BERLIN")
    yield entry("state: ", state="broken")
    yield entry("reason: ", reason="x" * 501)
    yield entry("Object contains unknown field surprise", surprise=1)
    yield Bad(
        route="POST /v1/stock/entries", body={"entries": [1, None, "x", [], {}]},
        rows=(
            "Expected object, got int", "Expected object, got null", "Expected object, got str",
            "Expected object, got array", "Object missing required field kind",
        ),
    )  # fmt: skip
    yield Bad(route="POST /v1/stock/entries", body={"entries": [ENTRY] * 5001}, at="entries")
    yield Bad(route="POST /v1/stock/entries", body={"entries": []}, at="entries")
    yield Bad(route="POST /v1/stock/entries", body={"entries": ENTRY}, at="entries")
    twice = _encode({"entries": [Text(_encode(ENTRY).decode()[:-1] + ',"quantity":7}')]})
    yield Bad(route="POST /v1/stock/entries", body=twice, rows=("quantity: ",))

    for path, value in (
        ("lines", []), ("lines[0].sku", "NOPE"), ("lines[0].sku", "SET"), ("node", "nope"), ("kind", "gift"),
        ("supplier", "x" * 201), ("lines[0].confidence", 1.5), ("lines[0].confidence", "1"),
    ):  # fmt: skip
        yield Bad(route="POST /v1/inbound", body=bend(SUPPLY, path, value), at=path)
    for path, value, *inner in (
        ("name", ""), ("name", " "), ("name", None), ("name", "a\u0000b"), ("name", "x" * 501), ("weight_g", -1),
        ("weight_g", 1.0), ("weight_g", "1"), ("weight_g", 2**63), ("length_mm", 10**9), ("price_minor", -1),
        ("currency", "XYZ"), ("hs_code", "abc"), ("attributes", []), ("attributes", {"a": "x" * 70_000}),
        ("components", [{"sku": "NOPE", "quantity": 1}], "[0].sku"),
        ("components", [{"sku": "NEW", "quantity": 1}], "[0].sku"),
        ("components", [{"sku": "SET", "quantity": 1}], "[0].sku"), ("sku", "OTHER"),
    ):  # fmt: skip
        yield Bad(route="PUT /v1/items/NEW", body=ITEM | {path: value}, at="".join((path, *inner)))
    for path, value, *inner in (
        ("node_type", "shed"), ("country", "XX"), ("country", "Germany"), ("latitude", 91), ("latitude", "50"),
        ("longitude", -181), ("timezone", "Mars/Base"), ("timezone", "europe/berlin"), ("timezone", "../etc/passwd"),
        ("cutoff", "25:00"), ("cutoff", "15:60"), ("cutoff", "15"), ("cutoff", 15), ("working_days", []),
        ("working_days", [0], "[0]"), ("working_days", [8], "[0]"), ("working_days", ["someday"], "[0]"),
        ("closed_days", ["2026-02-30"], "[0]"),
        ("capacity", {"orders": -1}, ".orders"), ("capacity", {"pallets": 1}, ".pallets"), ("methods", ["fly"], "[0]"),
        ("docks", {"units_in": -1}, ".units_in"), ("docks", {"units": 5}, ".units"), ("docks", [], ""),
        ("safety_stock_default", -1), ("handling_cost_minor", 1.5), ("holidays", "DE-XX"),
        ("labour", {"minor_per_hour": -1}, ".minor_per_hour"), ("labour", {"seconds_per_line": 1}, ".minor_per_hour"),
    ):  # fmt: skip
        yield Bad(route="PUT /v1/nodes/NEW", body=NODE | {path: value}, at="".join((path, *inner)))
    yield Bad(route="PUT /v1/nodes/NEW", body=NODE | {"latitude": Text("NaN")}, at="", status=400)
    for path, value, *inner in (
        ("services", []), ("services[0].currency", "XYZ"), ("services[0].transit_days", {"p50": 3, "p95": 2}, ".p95"),
        ("services[0].rate_table.prices_minor", [[1, 2]], "[0]"),
        ("services[0].rate_table.prices_minor[0]", [-1], "[0]"),
        ("services[0].rate_table.weights_g", [0], "[0]"), ("services[0].rate_table", {"by": "magic"}),
        ("services[0].co2_g_per_tonne_km", -1), ("provider", "nope"), ("services[0].code", "a\nb"),
        ("services[0].emission_factor", "nope"), ("services[0].lanes", [{}], "[0].transit_days"),
        ("services[0].lanes", [{"transit_days": {"p50": 3, "p95": 2}}], "[0].transit_days.p95"),
    ):  # fmt: skip
        yield Bad(route="PUT /v1/carriers/NEW", body=bend(CARRIER, path, value), at="".join((path, *inner)))
    for path, value, *inner in (
        ("currency", "XYZ"), ("nodes", ["nope"], "[0]"), ("nodes", []), ("node_group", "nope"), ("connector", "ftp"),
        ("margin_rate", 1.5), ("priority", 10**9), ("gate", {"units": -1}, ".units"),
        ("quota", {"units_by_sku": {"A": 1.5}}, ".units_by_sku.A"),
        ("credentials", {"token": "x"}),
    ):  # fmt: skip
        yield Bad(route="PUT /v1/channels/new", body={"currency": "EUR"} | {path: value}, at="".join((path, *inner)))
    for path, value, *inner in (
        ("inner_length_mm", 0), ("inner_width_mm", 1.5), ("outer_height_mm", 1), ("weight_max_g", 0),
        ("fill_share", 0), ("fill_share", 2), ("code", "M"),
    ):  # fmt: skip
        yield Bad(route="PUT /v1/cartons/NEW", body=CARTON | {path: value}, at="".join((path, *inner)))
    for path, value, *inner in (
        ("source", ""), ("valid_from", "2026-02-30"), ("valid_until", "2025-12-31"), ("to_countries", ["XX"], "[0]"),
        ("hs_prefixes", ["x"], "[0]"), ("duty_rate", -0.1), ("unrecoverable_share", 1.5), ("fee_minor", -1),
    ):  # fmt: skip
        yield Bad(route="PUT /v1/duties/NEW", body=DUTY | {path: value}, at="".join((path, *inner)))
    markdowns = [
        MARKDOWN | {"sku": "NOPE"}, MARKDOWN | {"node": "nope"}, MARKDOWN | {"value_minor": -1},
        MARKDOWN | {"until": "soon"}, without(MARKDOWN, "value_minor"), 5,
    ]  # fmt: skip
    yield Bad(
        route="POST /v1/markdowns/batch", body={"markdowns": markdowns},
        rows=("sku", "node", "value_minor", "until", "value_minor", ""),
    )  # fmt: skip
    yield Bad(route="POST /v1/markdowns/batch", body={"markdowns": {}}, at="markdowns")
    yield Bad(route="PUT /v1/node-groups/NEW", body={"name": "x", "nodes": ["nope"]}, at="nodes[0]")
    yield Bad(route="PUT /v1/listings/web/MUG-RED", body={"status": "sold"}, at="status")
    yield Bad(route="PUT /v1/listings/web/NOPE", body={}, status=404)
    yield Bad(route="PUT /v1/listings/nope/MUG-RED", body={}, status=404)
    for scopes, at in (
        ([], "scopes"), (["root"], "scopes[0]"), (["read", 1], "scopes[1]"), ("read", "scopes"), (None, "scopes"),
    ):  # fmt: skip
        yield Bad(route="POST /v1/keys", body={"name": "x", "scopes": scopes}, at=at)
    for url in (
        "", "nope", "http://", "https://", "ftp://example.org/x", "gopher://1.1.1.1/x", "file:///etc/passwd",
        "http://127.0.0.1/x", "http://localhost/x", "http://2130706433/", "http://0x7f000001/", "http://127.1/",
        "http://[::1]/", "http://[::ffff:169.254.169.254]/", "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://0.0.0.0/", "http://[fd00::1]/",
        "https://user:secret@1.1.1.1/", "https://1.1.1.1:99999/", "https://1.1.1.1/\r\nX-Evil: 1",
        "javascript:alert(1)", "https://" + "a" * 2000, 5, None,
    ):  # fmt: skip
        yield Bad(route="POST /v1/webhooks", body={"url": url}, at="url")
    for kinds, at in (
        ([], "kinds"), (["Order Placed"], "kinds[0]"), (["*.*"], "kinds[0]"), ([""], "kinds[0]"), ("order.*", "kinds"),
        ([1], "kinds[0]"),
    ):  # fmt: skip
        yield Bad(route="POST /v1/webhooks", body={"url": "https://1.1.1.1/", "kinds": kinds}, at=at)


def _addresses(shop: Shop) -> Iterator[Bad]:
    """Paths, parameters and headers."""
    order, fulfilment, reservation = shop.orders["shelf"], shop.fulfilments[0], shop.reservations[0]
    # Ids of another kind, of nothing, and of no kind at all.
    foreign = [order, fulfilment, reservation, shop.inbound, shop.webhook, f"{order}-p1", f"{order}-f99", "MUG-BLUE",
               "0", "-1", str(2**63), "x" * 300, "..%2F..%2Fetc%2Fpasswd", "%2e%2e", "a%20b", "%C3%A9", "%FF",
               "'%20OR%201=1--", order.upper() + "0"]  # fmt: skip
    never, uuid, code = (None, lambda _: True), _is_uuid, ("code", lambda text: len(text) <= 128)
    for route, own, (parameter, is_sound) in (
        ("GET /v1/orders/{}", order, never), ("GET /v1/fulfilments/{}", fulfilment, never),
        ("GET /v1/plans/{}", f"{order}-p1", never),
        ("GET /v1/reservations/{}", reservation, ("reservation_id", uuid)),
        ("GET /v1/inbound/{}", shop.inbound, ("inbound_id", uuid)),
        ("GET /v1/webhooks/{}", shop.webhook, ("webhook_id", uuid)),
        ("GET /v1/customers/{}/export", shop.customers[0], never),
        ("DELETE /v1/reservations/{}", reservation, ("reservation_id", uuid)),
        ("DELETE /v1/webhooks/{}", shop.webhook, ("webhook_id", uuid)),
        ("DELETE /v1/keys/{}", None, ("key_id", lambda _: False)),
        ("POST /v1/orders/{}/cancel", order, never), ("POST /v1/fulfilments/{}/ship", fulfilment, never),
        ("POST /v1/fulfilments/{}/accept", fulfilment, never),
        ("POST /v1/reservations/{}/extend", reservation, ("reservation_id", uuid)),
        ("GET /v1/nodes/{}", None, code), ("GET /v1/channels/{}", None, code), ("GET /v1/carriers/{}", None, code),
    ):  # fmt: skip
        for text in foreign:
            if text == own:
                continue
            # A slash makes it another address, where nothing is.
            if "%2F" in text or is_sound(text):
                yield Bad(route=route.format(text), status=404)
            else:
                yield Bad(route=route.format(text), at=parameter)
    for parameter, route, body in (
        ("sku", "PUT /v1/items/", ITEM), ("code", "PUT /v1/nodes/", NODE),
        ("code", "PUT /v1/channels/", {"currency": "EUR"}),
    ):  # fmt: skip
        # Refused before anybody looks which part of the address it is.
        for text in ("%00", "a%00b", "a%0Ab", "a%0D%0AX-Evil:1", "%E2%80%AE"):
            yield Bad(route=route + text, body=body, at="")
        for text in ("%20", "a%20", "x" * 129, "e%CC%81"):
            yield Bad(route=route + text, body=body, at=parameter)
    lists = ("items", "nodes", "node-groups", "carriers", "channels", "listings", "stock", "stock/entries", "inbound",
             "orders", "fulfilments", "keys", "webhooks", "audit", "capacity")  # fmt: skip
    cursor = shop.call("GET", "/v1/nodes?limit=1")["next_cursor"]
    for name in lists:
        for limit in ("0", "-1", "1001", "1000000000", "1.5", "", "ten", "1e2", "%00", str(2**63), "%D9%A3x"):
            yield Bad(route=f"GET /v1/{name}?limit={limit}", at="" if limit == "%00" else "limit")
        for text in (
            "x",
            "",
            "!!!",
            "W10",
            "bnVsbA",
            "eyJhIjoxfQ",
            "x" * 2000,
            "%ff",
            *([cursor] if name != "nodes" else ()),
        ):
            yield Bad(route=f"GET /v1/{name}?cursor={text}", at="cursor")
        yield Bad(route=f"GET /v1/{name}?surprise=1", at="surprise")
        yield Bad(route=f"GET /v1/{name}?Limit=5", at="Limit")
    for query, at in (
        ("", "sku"), ("sku=", "sku"), ("sku=NOPE", "sku"), ("sku=MUG-BLUE&channel=nope", "channel"),
        ("sku=MUG-BLUE&date=tomorrow", "date"), ("sku=MUG-BLUE&date=2026-02-30", "date"),
        ("sku=MUG-BLUE&date=", "date"),
        ("sku=MUG-BLUE&date=0001-01-01", "date"), ("sku=MUG-BLUE&date=9999-12-31", "date"),
        ("sku=MUG-BLUE&at=2026-01-01", "at"), ("sku=MUG-BLUE&at=2026-01-01T00:00:00", "at"),
        ("sku=MUG-BLUE&at=x", "at"),
        ("sku=MUG-BLUE&at=0001-01-01T00:00:00Z", "at"), ("sku=MUG-BLUE&at=9999-12-31T00:00:00Z", "at"),
        ("sku=MUG-BLUE&sku=PLATE", ""), ("sku=MUG-BLUE&x=1", "x"), ("sku=MUG%00BLUE", "sku"), ("sku=%FF", ""),
        ("sku", ""), ("&", ""),
    ):  # fmt: skip
        yield Bad(route=f"GET /v1/availability?{query}", at=at)
    for query, at in (
        ("orders?status=lost", "status"), ("orders?queue=bank", "queue"), ("orders?from=yesterday", "from"),
        ("orders?to=2026-01-01", "to"), ("nodes?country=Germany", "country"), ("nodes?active=perhaps", "active"),
        ("listings?status=sold", "status"), ("audit?kind=a%20b", "kind"), ("audit?actor=-1", "actor"),
        ("audit?from=now", "from"), ("capacity?from=2026-13-01", "from"),
        ("capacity?from=2026-01-02&to=2026-01-01", "to"),
        ("capacity?from=2026-01-01&to=2199-01-01", "to"), ("customers", "email"), ("customers?email=", "email"),
        ("stock/entries?after=-1", "after"), ("stock/entries?after=x", "after"), ("events?from=never", "from"),
        ("events?kinds=a%20b", "kinds"), ("webhooks/{webhook}/deliveries?status=lost", "status"),
    ):  # fmt: skip
        yield Bad(route=f"GET /v1/{query}", at=at)
    for value in ("x", "1", "a.b.c", "x" * 200):
        headers = {"last-event-id": value}
        yield Bad(route="GET /v1/events", at="Last-Event-ID", headers=headers, name=f"Last-Event-ID {value[:20]}")
    headers = {"last-event-id": "0f9c1d2e-6a0b-4c5d-9e8f-102030405060.1.1"}
    yield Bad(route="GET /v1/events", status=410, headers=headers, name="Last-Event-ID of another history")
    yield Bad(
        route="PUT /v1/items/NEW", body=ITEM, at="X-Reason", headers={"x-reason": "r" * 501}, name="a long X-Reason"
    )
    for header in ("", "Bearer", "Bearer ", "Basic eDp5", "Bearer onh_nope",
    f"Bearer {shop.client.headers['authorization']}",
                   "bearer " + "x" * 10_000):  # fmt: skip
        yield Bad(
            route="POST /v1/orders", body=ORDER, status=401, headers={"authorization": header},
            name=f"Authorization {header[:20]!r}",
        )  # fmt: skip


def _is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def test_bad_input_is_refused_by_name_and_writes_nothing(server: Server, dsn: str) -> None:
    shop = open_shop(server.client)
    ids = {
        "{order}": shop.orders["shelf"], "{fulfilment}": shop.fulfilments[0], "{reservation}": shop.reservations[0],
        "{webhook}": shop.webhook,
    }  # fmt: skip
    before = contents(dsn)
    wrong: list[str] = []
    count = 0
    caller = Caller(server)
    for bad in table(shop):
        count += 1
        route, text = bad.route, bad.body if isinstance(bad.body, bytes) else _encode(bad.body)
        for name, value in ids.items():
            route = route.replace(name, value)
            text = text.replace(name.encode(), value.encode())
        method, path = route.split(" ", 1)
        answer = caller.call(method, path, text if bad.body is not None else None, bad.headers)
        if problem := _wrong(bad, answer):
            wrong.append(f"{bad}\n    {problem}")
    for route in (
        "POST /v1/orders",
        "POST /v1/stock/entries",
        "POST /v1/promises",
        "POST /v1/inbound",
        "PUT /v1/items/NEW",
    ):
        count += 2
        method, path = route.split(" ")
        for name, body in (("50 MB", MEGABYTE * 50), ("50 MB in chunks", iter([MEGABYTE] * 50))):
            if problem := _wrong(Bad(route=route, status=413), caller.call(method, path, body, {})):
                wrong.append(f"{route} {name}\n    {problem}")
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong)
    assert count >= 80
    assert contents(dsn) == before


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    text: str


class Caller:
    """Sends requests as they are: other clients refuse to."""

    def __init__(self, server: Server) -> None:
        self._host = server.base_url.removeprefix("http://")
        self._headers = {"authorization": f"Bearer {server.admin_key}"}
        self._connection = http.client.HTTPConnection(self._host, timeout=30)

    def call(self, method: str, path: str, body: bytes | Iterator[bytes] | None, headers: dict[str, str]) -> Answer:
        kind = {} if body is None else {"content-type": "application/json"}
        try:
            self._connection.request(method, path, body, self._headers | kind | headers)
            answer = self._connection.getresponse()
            return Answer(answer.status, answer.headers.get("content-type", ""), answer.read().decode())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def _wrong(bad: Bad, answer: Answer) -> str | None:
    """What is wrong with the answer to a bad request."""
    said = f"{answer.status} {answer.text[:300]}"
    status = 200 if bad.rows else bad.status
    if answer.status != status:
        return f"expected {status}: {said}"
    document = json.loads(answer.text)
    if bad.rows:
        results = document["results"]
        if [row["status"] for row in results] != ["rejected"] * len(bad.rows):
            return f"expected {len(bad.rows)} rejected: {said}"
        wrong = [wanted for row, wanted in zip(results, bad.rows, strict=True) if not _is_told(bad.route, row, wanted)]
        return f"does not name {wrong}: {said}" if wrong else None
    if answer.content_type != "application/problem+json":
        return f"no problem document: {said}"
    if document["status"] != answer.status or not document["code"] or not document["detail"]:
        return f"an incomplete problem document: {said}"
    named = None if bad.at is None else [bad.at] if isinstance(bad.at, str) else [*bad.at]
    told = [e["path"] for e in document["errors"]] if "errors" in document else None
    return None if told == named else f"expected {named} to be named: {said}"


def _is_told(route: str, row: dict[str, Any], wanted: str) -> bool:
    """Whether a rejected row is told of as wanted: by the path of its only error, and a stock entry by its message."""
    if route == "POST /v1/stock/entries":
        assert wanted, "any message begins with nothing"
        return bool(row["code"]) and row["message"].startswith(wanted)
    return bool(row["code"]) and [e["path"] for e in row["errors"]] == [wanted]


def contents(dsn: str) -> dict[str, tuple[int, int]]:
    """(rows, checksum) of every table."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        tables = [name for (name,) in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert {"orders", "ledger_entry", "event", "idempotency"} <= set(tables)
        found: dict[str, tuple[int, int]] = {}
        for name in tables:
            query = f'SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM "{name}" t'
            row = conn.execute(query.encode()).fetchone()
            assert row is not None
            found[name] = (row[0], int(row[1]))
        return found


DIFFERENTIAL = 300


def test_hot_and_ordinary_routes_take_the_same_for_a_number_and_for_text(server: Server) -> None:
    """One decodes with msgspec, the other with pydantic: of each generated value both say the same."""
    print(f"ONHAND_SEED={SEED}")
    rng = random.Random(SEED)
    open_shop(server.client)
    caller = Caller(server)
    verdicts: dict[str, set[bool]] = {"quantity": set(), "text": set()}
    for n in range(DIFFERENTIAL):
        reference = f"D{n}"
        if kind := n % 2:
            value = _number(rng)
            hot = ("POST /v1/reservations", bend(HOLD, "lines[0].quantity", value))
            ordinary = ("POST /v1/inbound", bend(SUPPLY | {"reference": reference}, "lines[0].quantity", value))
        else:
            value = _string(rng)
            hot = ("POST /v1/orders", ORDER | {"external_id": value})
            ordinary = ("POST /v1/inbound", SUPPLY | {"reference": value})
        refused: list[bool] = []
        for route, body in (hot, ordinary):
            method, path = route.split(" ")
            answer = caller.call(method, path, _encode(body), {})
            assert answer.status in (200, 201, 400, 409, 422), (route, value, answer)
            refused.append(answer.status in (400, 422) and "idempotency" not in answer.text)
        assert refused[0] == refused[1], f"hot {refused[0]}, ordinary {refused[1]}: {value}"
        verdicts["quantity" if kind else "text"].add(refused[0])
    assert verdicts == {"quantity": {True, False}, "text": {True, False}}, "the values prove nothing"


def _number(rng: random.Random) -> Text:
    """JSON text near a number of units."""
    units = rng.choice((0, 1, 2, 5, 10, 999_999, 1_000_000, 2**31, 2**63, 2**64, rng.randrange(1, 1000)))
    forms = (
        "{0}", "{0}", "{0}", "{0}", "-{0}", "{0}.0", "{0}.5", "{0}e0", "{0}E2", "{0}e-1", '"{0}"', '" {0}"', "0{0}",
        "+{0}",
        "{0}.", ".{0}", "{0}_0", "[{0}]", "true", "false", "null", '""', "{{}}", "NaN", "-Infinity", "{0}e400", "-0",
    )  # fmt: skip
    return Text(rng.choice(forms).format(units))


def _string(rng: random.Random) -> Text:
    """JSON text near an id that callers choose, different each time."""
    letters = ["a", "B", "7", "-", "_", "/", ".", "#", "é", "日", "🙂", '\\"', "\\\\", " "]
    strange = ["\\n", "\\u0000", "\\u0007", "\\ud800", "\x01", "\t", "\u202e", "\\u2028", "\\x41"]
    length = rng.choice((1, 2, 5, 20, 118, 140))
    middle = "".join(rng.choice(letters[:-1]) for _ in range(length))
    if rng.random() < 0.4:
        at = rng.randrange(len(middle) + 1)
        middle = middle[:at] + rng.choice(strange) + middle[at:]
    text = f'"{rng.randrange(10**6)}{middle}x"'
    return Text(rng.choice((text, text, text, text, text[1:-1], "5", "5.0", "true", "null", f"[{text}]", '""')))


def test_what_is_no_http_is_refused_too(server: Server, dsn: str) -> None:
    """No two readings of one request (smuggling), no header that is more than one."""
    open_shop(server.client)
    before = contents(dsn)
    order = _encode(ORDER)
    post = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin_key}\r\n"
    json_type = "Content-Type: application/json\r\n"
    for head in (
        f"Content-Length: {len(order)}\r\nContent-Length: 5\r\n",
        f"Content-Length: {len(order)}, 5\r\n",
        f"Content-Length: -{len(order)}\r\n",
        f"Content-Length: +{len(order)}\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: x\r\n",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(order)}\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\n",
        f"Content-Length: {len(order)}\r\nIdempotency-Key: a\x01b\r\n",
        f"Content-Length: {len(order)}\r\nIdempotency-Key: a\x00b\r\n",
        f"Content-Length: {len(order)}\r\nIdempotency-Key : a\r\n",
        f"Content-Length: {len(order)}\r\nX Y: a\r\n",
        f"Content-Length: {len(order)}\r\n: a\r\n",
    ):
        raw = (post + json_type + head + "\r\n").encode("latin-1") + order
        assert _first_line(server, raw).startswith(b"HTTP/1.1 4"), head
    for line in (
        "POST /v1/orders HTTP/1.1\x00",
        "POST  /v1/orders HTTP/1.1",
        "POST /v1/ orders HTTP/1.1",
        "POST /v1/orders HTTP/9.9",
        "G\x01T / HTTP/1.1",
        "nonsense",
    ):
        raw = (line + "\r\nHost: x\r\nConnection: close\r\n\r\n").encode("latin-1")
        assert _first_line(server, raw).startswith(b"HTTP/1.1 4"), line
    assert contents(dsn) == before


def _first_line(server: Server, raw: bytes) -> bytes:
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").readline()
