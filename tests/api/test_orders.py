"""Orders over HTTP: read, change, explain; every bad request is a 4xx that names what is wrong and writes nothing."""

import itertools
import json
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from onhand.api.paging import encode_cursor
from onhand.base.ids import new_id
from onhand.orders import views

NODE = {
    "name": "node",
    "node_type": "warehouse",
    "country": "DE",
    "latitude": 52.5,
    "longitude": 13.4,
    "timezone": "Europe/Berlin",
    "working_days": [1, 2, 3, 4, 5, 6, 7],
}
CARRIER = {
    "name": "Post",
    "services": [
        {
            "code": "parcel",
            "rate_table": {"by": "distance_km", "distance_km": [300, None], "weights_g": [9000],
                           "prices_minor": [[420], [900]]},
            "currency": "EUR",
            "transit_days": {"p50": 1, "p95": 2},
        }
    ],
}  # fmt: skip
NOBODY = "00000000-0000-7000-8000-000000000000"
WEIRD = ["x", "%20", NOBODY, NOBODY + "-f1", NOBODY + "-p1", "1", "-f1", "é", "a" * 300, NOBODY.upper() + "-F1"]


class Shop:
    """A client with two nodes (N1 near, N2 far), items A to C, bundle KIT = 2 A + B, channels web and app."""

    def __init__(self, client):
        self.client = client
        self._numbers = itertools.count(1)
        for sku in "ABC":
            self.put(f"/v1/items/{sku}", {"name": sku, "weight_g": 100})
        self.put(
            "/v1/items/KIT", {"name": "kit", "components": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]}
        )
        self.put("/v1/nodes/N1", NODE)
        self.put("/v1/nodes/N2", NODE | {"latitude": 48.1, "longitude": 11.6})
        self.put("/v1/carriers/POST", CARRIER)
        self.put("/v1/channels/web", {"currency": "EUR"})
        self.put("/v1/channels/app", {"currency": "EUR"})

    def put(self, path, body):
        answer = self.client.put(path, json=body)
        assert answer.status_code in (200, 201), answer.text

    def stock(self, node, **units):
        rows = [{"kind": "receipt", "sku": sku, "node": node, "quantity": n} for sku, n in units.items()]
        answer = self.client.post("/v1/stock/entries", json={"entries": rows})
        assert [r["status"] for r in answer.json()["results"]] == ["applied"] * len(rows), answer.text

    def place(self, *lines, **extra):
        body = {
            "channel": "web",
            "external_id": f"E-{next(self._numbers)}",
            "currency": "EUR",
            "destination": {"country": "DE", "postal_code": "10115", "latitude": 52.52, "longitude": 13.37},
            "lines": [
                {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": 250}
                for n, (sku, units) in enumerate(lines, 1)
            ],
        } | extra
        answer = self.client.post("/v1/orders", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, path, status=200):
        answer = self.client.get(path)
        assert answer.status_code == status, (path, answer.text)
        return answer.json()

    def post(self, path, body=None, status=200, **headers):
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == status, (path, answer.text)
        return answer.json()

    def position(self, sku, node):
        (row,) = self.get(f"/v1/stock?sku={sku}&node={node}")["data"]
        return row["on_hand"], row["unavailable"], row["allocated"]


@pytest.fixture
def shop(server):
    return Shop(server.client)


def first(order):
    return order["fulfilments"][0]["fulfilment_id"]


def test_the_whole_way_of_an_order_is_told(shop):
    shop.stock("N1", A=10, B=5)
    placed = shop.place(("A", 2), ("KIT", 1), customer={"name": "Ada", "email": "ada@example.org"})
    f, order = first(placed), placed["order_id"]
    assert shop.post(f"/v1/fulfilments/{f}/accept")["status"] == "accepted"
    assert shop.post(f"/v1/fulfilments/{f}/pack", **{"X-Reason": "morning shift"})["status"] == "packed"
    part = shop.post(f"/v1/fulfilments/{f}/ship", {"tracking": "T1", "lines": [{"line_id": "1"}]})
    assert (part["status"], part["order"]["status"]) == ("partly_shipped", "partly_shipped")
    shop.post(f"/v1/fulfilments/{f}/ship", {"carrier": "courier"})
    shop.post(f"/v1/fulfilments/{f}/deliver")
    back = shop.post(
        "/v1/returns",
        {"order_id": order, "node": "N2", "disposition": "inspect", "lines": [{"line_id": "2", "quantity": 1}]},
        status=201,
    )
    assert back["return_id"] == f"{order}-r1"
    assert shop.position("A", "N2") == (2, 2, 0)
    found = shop.get(f"/v1/orders/{order}")
    assert (found["status"], found["queue"], found["currency"]) == ("delivered", None, "EUR")
    assert found["lines"][1] == {
        "line_id": "2", "sku": "KIT", "quantity": 1, "cancelled": 0, "shipped": 1, "returned": 1, "price_minor": 250,
        "tax_minor": None, "components": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
    }  # fmt: skip
    assert [s["lines"] for s in found["shipments"]] == [
        [{"line_id": "1", "sku": "A", "quantity": 2}],
        [{"line_id": "2", "sku": "A", "quantity": 2}, {"line_id": "2", "sku": "B", "quantity": 1}],
    ]
    assert [(s["carrier"], s["service"], s["tracking"]) for s in found["shipments"]] == [
        ("POST", "parcel", "T1"), ("courier", None, None),
    ]  # fmt: skip
    assert found["returns"][0]["disposition"] == "inspect"
    assert [e["kind"] for e in found["timeline"]] == [
        "order.sourced", "fulfilment.accepted", "fulfilment.packed", "fulfilment.partly_shipped",
        "order.partly_shipped", "fulfilment.shipped", "order.shipped", "fulfilment.delivered", "order.delivered",
        "return.received",
    ]  # fmt: skip
    assert found["timeline"][2]["reason"] == "morning shift"
    assert "Ada" not in json.dumps(found) and "ada@" not in json.dumps(found)
    assert [p["plan_id"] for p in found["plans"]] == [placed["plan_id"]]
    assert found["promise"] == placed["promise"]


def in_batch(shop, *names):
    return [
        {
            "channel": "web",
            "external_id": name,
            "currency": "EUR",
            "destination": {"country": "DE", "postal_code": "10115"},
            "lines": [{"line_id": "1", "sku": "A", "quantity": 1, "price_minor": 100}],
        }
        for name in names
    ]


def test_the_timeline_of_an_order_of_a_batch_is_its_own(shop):
    shop.stock("N1", A=2)
    results = shop.post("/v1/orders/batch", {"orders": in_batch(shop, "a", "b", "c")})["results"]
    ids = [r["order_id"] for r in results]
    shop.post(f"/v1/orders/{ids[1]}/cancel", **{"X-Reason": "changed my mind"})
    timelines = [shop.get(f"/v1/orders/{i}")["timeline"] for i in ids]
    assert [[(e["kind"], e["subject"]) for e in t] for t in timelines] == [
        [("order.sourced", ids[0])],
        [("order.sourced", ids[1]), ("fulfilment.cancelled", ids[1] + "-f1"), ("order.cancelled", ids[1])],
        [("order.unfillable", ids[2])],
    ]
    assert timelines[2][0]["data"] == {
        "order_id": ids[2], "channel": "web", "external_id": "c", "status": "unfillable", "queue": "unfillable",
    }  # fmt: skip


def test_why_an_order_or_reservation_was_made_is_told(shop):
    shop.stock("N1", A=9)
    why = {"X-Reason": "für Ostern".encode()}
    (single, *batch) = in_batch(shop, "a", "b", "c")
    made = [shop.post("/v1/orders", single, 201, **why)["order_id"]]
    made += [r["order_id"] for r in shop.post("/v1/orders/batch", {"orders": batch}, **why)["results"]]
    basket = {"channel": "web", "lines": [{"sku": "A", "quantity": 1}]}
    made.append(shop.post("/v1/reservations", basket, 201, **why)["reservation_id"])
    for subject in made:
        (entry,) = shop.get(f"/v1/audit?subject={subject}")["data"]
        assert (entry["reason"], entry["actor_name"]) == ("für Ostern", "admin")
    for order_id in made[:3]:
        assert [e["reason"] for e in shop.get(f"/v1/orders/{order_id}")["timeline"]] == ["für Ostern"]
    silent = shop.post("/v1/orders", single | {"external_id": "d"}, 201)["order_id"]
    assert [e["reason"] for e in shop.get(f"/v1/audit?subject={silent}")["data"]] == [None]
    before = shop.get("/v1/audit")
    for path, body in (("orders", single | {"external_id": "e"}), ("orders/batch", {"orders": in_batch(shop, "f")}),
                       ("reservations", basket)):  # fmt: skip
        problem = shop.post(f"/v1/{path}", body, 422, **{"X-Reason": "é".encode() * 501})
        assert [(e["path"], e["message"]) for e in problem["errors"]] == [
            ("X-Reason", "expected at most 500 characters")
        ]
    assert shop.get("/v1/audit") == before
    assert shop.post("/v1/reservations", basket, 201, **{"X-Reason": "é".encode() * 500})


def test_orders_are_found_by_every_filter(shop):
    shop.stock("N1", A=10)
    shop.stock("N2", B=10)
    a = shop.place(("A", 1), external_id="SHOES-100%", placed_at="2026-01-02T00:00:00Z")
    b = shop.place(("B", 1), channel="app", placed_at="2026-01-03T00:00:00Z")
    kit = shop.place(("KIT", 1), placed_at="2026-01-04T00:00:00Z")
    none = shop.place(("C", 1))
    shop.post(f"/v1/orders/{b['order_id']}/hold", {"reason": "why"})

    def found(query=""):
        return [o["order_id"] for o in shop.get(f"/v1/orders{query}")["data"]]

    newest = [o["order_id"] for o in (none, kit, b, a)]
    assert found() == newest
    assert found("?status=sourced") == [kit["order_id"], a["order_id"]]
    assert found("?status=held&queue=held") == [b["order_id"]]
    assert found("?queue=unfillable") == [none["order_id"]]
    assert found("?channel=app") == [b["order_id"]]
    assert found("?sku=A") == [kit["order_id"], a["order_id"]]
    assert found("?sku=KIT") == [kit["order_id"]]
    assert set(found("?node=N2")) == {kit["order_id"], b["order_id"]}
    assert found("?from=2026-01-03T00:00:00Z&to=2026-01-04T00:00:00Z") == [b["order_id"]]
    assert found("?q=shoes-100%25") == [a["order_id"]]
    assert found("?q=%25") == [a["order_id"]]
    assert found(f"?q={kit['order_id'][:20]}")[0] in newest
    assert found("?sku=NOTHING") == found("?node=NOTHING") == found("?channel=nothing") == []
    pages, cursor = [], None
    while True:
        page = shop.get("/v1/orders?limit=3" + (f"&cursor={cursor}" if cursor else ""))
        pages += [o["order_id"] for o in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == newest
    brief = shop.get("/v1/orders?q=SHOES")["data"][0]
    assert (brief["lines"], brief["units"], brief["total_minor"], brief["external_id"]) == (1, 1, 250, "SHOES-100%")


def test_totals_of_64_bits_are_listed_exactly(shop, db):
    """More than that is refused (test_bad_input.py); a row that came otherwise must not break the list."""
    body = {"channel": "web", "external_id": "dear", "currency": "EUR", "destination": {"country": "DE"}}
    whole, rest = divmod(2**63 - 1, 10**18)
    parts = [(10**6, 10**12)] * whole + [(10**6, rest // 10**6), (1, rest % 10**6)]
    lines = [{"line_id": str(k), "sku": "A", "quantity": n, "price_minor": price} for k, (n, price) in enumerate(parts)]
    assert shop.client.post("/v1/orders", json=body | {"lines": lines}).status_code == 201
    assert shop.get("/v1/orders")["data"][0]["total_minor"] == 2**63 - 1
    lines[-1]["price_minor"] += 1
    refused = shop.client.post("/v1/orders", json=body | {"external_id": "dearer", "lines": lines})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "lines")
    with db.connection() as conn:
        conn.execute("UPDATE orders SET lines = replace(lines, '1000000000000', '1000000000001')")
    assert shop.get("/v1/orders")["data"][0]["total_minor"] > 2**63 - 1


def test_a_list_that_takes_too_long_is_refused_with_the_remedy(shop, db, monkeypatch):
    shop.place(("A", 1))
    monkeypatch.setattr(views, "LIST_TIMEOUT_MS", 200)
    with db.connection() as conn, conn.transaction():
        conn.execute("LOCK TABLE orders")  # as good as a long search
        answer = shop.client.get("/v1/orders?sku=A")
    assert (answer.status_code, answer.json()["code"]) == (503, "orders.list_too_slow")
    assert "`from` and `to`" in answer.json()["detail"]
    # The limit is of this statement, and not of the connection's next one.
    with db.connection() as conn:
        assert conn.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert len(shop.get("/v1/orders?sku=A")["data"]) == 1


WRONG_FILTERS = [
    ("status=lost", "status"),
    ("queue=x", "queue"),
    ("from=yesterday", "from"),
    ("to=2026-01-01", "to"),
    ("limit=0", "limit"),
    ("limit=x", "limit"),
    ("cursor=zzz", "cursor"),
    (f"cursor={encode_cursor('orders', ('x',))}", "cursor"),
    (f"cursor={encode_cursor('fulfilments', (NOBODY,))}", "cursor"),
    ("q=", "q"),
    ("colour=red", "colour"),
    ("sku=" + "a" * 200, "sku"),
]


def test_wrong_filters_are_named(shop):
    for query, path in WRONG_FILTERS:
        problem = shop.get(f"/v1/orders?{query}", 422)
        assert [e["path"] for e in problem["errors"]] == [path], problem


def test_a_node_has_its_work_list(shop):
    shop.stock("N1", A=10)
    shop.stock("N2", B=10)
    orders = [shop.place(("A", 1)) for _ in range(5)]
    shop.place(("B", 1))
    mine = shop.get("/v1/fulfilments?node=N1")["data"]
    assert {f["fulfilment_id"] for f in mine} == {first(o) for o in orders}
    assert [f["ship_by"] for f in mine] == sorted(f["ship_by"] for f in mine)
    shop.post(f"/v1/fulfilments/{first(orders[0])}/ship")
    assert len(shop.get("/v1/fulfilments?node=N1")["data"]) == 4
    assert [f["fulfilment_id"] for f in shop.get("/v1/fulfilments?status=shipped")["data"]] == [first(orders[0])]
    page = shop.get("/v1/fulfilments?limit=3")
    rest = shop.get(f"/v1/fulfilments?limit=3&cursor={page['next_cursor']}")
    assert len(page["data"] + rest["data"]) == 5 and rest["next_cursor"] is None
    one = shop.get(f"/v1/fulfilments/{first(orders[1])}")
    assert one["lines"] == [{"line_id": "1", "sku": "A", "quantity": 1, "shipped": 0}]
    assert one["order"] == {"status": "sourced", "queue": None}
    assert shop.get("/v1/fulfilments?node=NOWHERE")["data"] == []
    for cursor in (
        encode_cursor("fulfilments", ("x", NOBODY, 1)),
        encode_cursor("fulfilments", ("2026-01-01", "y", 1)),
    ):
        assert shop.get(f"/v1/fulfilments?cursor={cursor}", 422)["errors"][0]["path"] == "cursor"


def test_reject_answers_how_the_order_is_served_now(shop):
    shop.stock("N1", A=2)
    shop.stock("N2", A=2)
    placed = shop.place(("A", 2))
    answer = shop.post(f"/v1/fulfilments/{first(placed)}/reject", {"reason": "damaged"})
    assert answer["status"] == "rejected" and answer["reason"] == "damaged"
    assert [(f["node"], f["status"]) for f in answer["order"]["fulfilments"]] == [
        ("N1", "rejected"), ("N2", "allocated"),
    ]  # fmt: skip
    assert shop.position("A", "N1") == (2, 2, 0)
    # What this process promises next knows of it.
    assert shop.place(("A", 1))["status"] == "unfillable"


def test_a_refusal_names_the_state_and_what_is_possible(shop):
    shop.stock("N1", A=2)
    placed = shop.place(("A", 2))
    problem = shop.post(f"/v1/fulfilments/{first(placed)}/deliver", status=409)
    assert (problem["code"], problem["state"]) == ("fulfilment.not_allowed", "allocated")
    assert problem["allowed"] == ["accept", "cancel", "pack", "reject", "ship", "withdraw"]
    shop.post(f"/v1/fulfilments/{first(placed)}/ship", {"lines": [{"line_id": "1", "quantity": 1}]})
    problem = shop.post(f"/v1/orders/{placed['order_id']}/cancel", {"lines": [{"line_id": "1", "quantity": 2}]}, 409)
    assert (problem["code"], problem["shipped"], problem["state"]) == ("order.not_allowed", {"1": 1}, "partly_shipped")


def test_the_same_key_does_it_once(shop):
    shop.stock("N1", A=9)
    placed = shop.place(("A", 3))
    path, body = f"/v1/fulfilments/{first(placed)}/ship", {"lines": [{"line_id": "1", "quantity": 1}]}
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: shop.client.post(path, json=body, headers={"Idempotency-Key": "k"}), range(6))
        )
    # On a machine that is very busy a twin may be told to come back: 409 in flight.
    assert {a.json().get("code") for a in answers if a.status_code != 200} <= {"idempotency.in_flight"}
    done = [a for a in answers if a.status_code == 200]
    assert len({a.text for a in done}) == 1
    assert [a.headers.get("idempotent-replayed") for a in done].count(None) == 1
    assert shop.position("A", "N1") == (8, 0, 2)
    other = shop.client.post(path, json={"lines": [{"line_id": "1"}]}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
    cancel = f"/v1/orders/{placed['order_id']}/cancel"
    once, again = (shop.client.post(cancel, headers={"Idempotency-Key": "c"}) for _ in range(2))
    assert once.json() == again.json() and again.headers["idempotent-replayed"] == "true"


def test_a_batch_is_placed_once_under_its_key(shop, db):
    def row(name, sku="A"):
        return {"channel": "web", "external_id": name, "currency": "EUR", "destination": {"country": "DE"},
                "lines": [{"line_id": "1", "sku": sku, "quantity": 1, "price_minor": 1}]}  # fmt: skip

    def send(rows, key="k"):
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = shop.client.post("/v1/orders/batch", json={"orders": rows}, headers=headers)
        return answer, answer.headers.get("idempotent-replayed")

    rows = [row("b-1"), row("b-2"), row("b-3", "NOPE")]
    first, replayed = send(rows)
    assert (first.status_code, replayed) == (200, None)
    assert [r["status"] for r in first.json()["results"]] == ["unfillable", "unfillable", "rejected"]
    again, replayed = send(rows)
    assert (again.status_code, again.content, replayed) == (200, first.content, "true")
    other, _ = send([row("b-4")])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
    assert shop.get("/v1/orders?q=b-4")["data"] == []
    assert send([row("b-4")], "another")[0].status_code == 200
    assert send(rows, None)[1] is None
    # The key was lost after the rows had been written: they answer as before.
    with db.connection() as conn:
        conn.execute("DELETE FROM idempotency")
    again, replayed = send(rows)
    assert (again.content, replayed) == (first.content, None)
    assert send(rows)[1] == "true"
    # Refused as a whole, a batch may be mended and sent again under its key.
    assert send([], "mended")[0].status_code == 422
    assert send([row("b-5")], "mended")[0].status_code == 200
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: send([row(f"c-{n % 2}")], "raced")[0], range(8)))
    assert {a.status_code for a in answers} <= {200, 422}
    assert len(db_rows(db, "SELECT FROM idempotency WHERE key = 'raced'")) == 1


def test_hold_release_and_reroute_over_http(shop):
    shop.stock("N1", A=2)
    placed = shop.place(("A", 2))
    path = f"/v1/orders/{placed['order_id']}"
    assert shop.post(f"{path}/hold", {"reason": "fraud?"})["status"] == "held"
    assert shop.get(path)["hold"] == "fraud?"
    problem = shop.post(f"/v1/fulfilments/{first(placed)}/ship", status=409)
    assert problem["code"] == "order.held"
    assert shop.post(f"{path}/release")["status"] == "sourced"
    assert shop.get(path)["hold"] is None
    shop.stock("N2", A=2)
    answer = shop.post(f"{path}/reroute", {"exclude": ["N1"]})
    assert [(f["node"], f["status"]) for f in answer["fulfilments"]] == [("N1", "cancelled"), ("N2", "allocated")]
    assert shop.post(f"{path}/reroute", {"exclude": ["N9"]}, 422)["errors"][0]["path"] == "exclude[0]"
    assert shop.post(f"{path}/reroute", status=409)["code"] == "order.not_allowed"
    lost = shop.place(("A", 1), destination={"country": "ZZ"}, allow_backorder=False)
    assert lost["status"] == "held"
    assert shop.post(f"/v1/orders/{lost['order_id']}/release", status=409)["code"] == "order.unlocatable"
    answer = shop.post(f"/v1/orders/{lost['order_id']}/release", {"destination": {"country": "DE"}})
    assert answer["status"] == "sourced"


def test_a_plan_is_explained(shop):
    shop.stock("N1", A=2, B=1)
    shop.stock("N2", A=2, B=1)
    plan = shop.get(f"/v1/plans/{shop.place(('KIT', 1))['plan_id']}")
    assert plan["reproduced"] and plan["chosen"] == ["N1"]
    assert plan["runner_up"]["gap_minor"] == 480
    assert {c["node"]: c["cost_minor"] for c in plan["candidates"]}["N1"] == plan["cost_minor"]
    assert plan["sentences"][0].startswith("2 nodes of web held some of")


POSTS = ["cancel", "hold", "release", "reroute"]
NODE_POSTS = ["accept", "pack", "ship", "deliver", "reject"]
BODIES = {"hold": {"reason": "x"}, "reject": {"reason": "other"}}


def test_ids_of_nothing_are_not_found(shop):
    for name in WEIRD:
        check_unknown(shop, name)


def check_unknown(shop, name):
    for path in (f"/v1/orders/{name}", f"/v1/plans/{name}", f"/v1/fulfilments/{name}"):
        assert shop.get(path, 404)["code"].endswith(".not_found")
    assert shop.get(f"/v1/customers/{name}/export", 404)["code"] == "customer.not_found"
    assert shop.client.delete(f"/v1/customers/{name}/personal-data").status_code == 404
    for command in POSTS:
        assert shop.post(f"/v1/orders/{name}/{command}", BODIES.get(command), 404)["code"] == "order.not_found"
    for command in NODE_POSTS:
        problem = shop.post(f"/v1/fulfilments/{name}/{command}", BODIES.get(command), 404)
        assert problem["code"] == "fulfilment.not_found"
    body = {"order_id": name[:100], "node": "N1", "disposition": "restock", "lines": [{"line_id": "1"}]}
    assert shop.post("/v1/returns", body, 404)["code"] == "order.not_found"


LINE = {"line_id": "1", "quantity": 1}
RETURN = {"node": "N1", "disposition": "restock", "lines": [LINE]}


BAD_INPUT = [
    ("cancel", {"lines": []}, "lines"),
    ("cancel", {"lines": [{"line_id": "9"}]}, "lines[0].line_id"),
    ("cancel", {"lines": [LINE, LINE]}, "lines[1].line_id"),
    ("cancel", {"lines": [LINE | {"quantity": 0}]}, "lines[0].quantity"),
    ("cancel", {"lines": [LINE | {"quantity": -1}]}, "lines[0].quantity"),
    ("cancel", {"lines": [LINE | {"quantity": 1.5}]}, "lines[0].quantity"),
    ("cancel", {"lines": [LINE | {"quantity": "1"}]}, "lines[0].quantity"),
    ("cancel", {"lines": [LINE | {"quantity": True}]}, "lines[0].quantity"),
    ("cancel", {"lines": [LINE | {"quantity": 10**12}]}, "lines[0].quantity"),
    ("cancel", {"lines": [LINE | {"sku": "A"}]}, "lines[0].sku"),
    ("cancel", {"line": []}, "line"),
    ("cancel", [], ""),
    ("hold", {}, "reason"),
    ("hold", {"reason": ""}, "reason"),
    ("hold", {"reason": "x" * 201}, "reason"),
    ("hold", {"reason": 5}, "reason"),
    ("release", {"destination": {}}, "destination.country"),
    ("release", {"destination": {"country": "XX"}}, "destination.country"),
    ("release", {"destination": {"country": "DE", "latitude": 91.0}}, "destination.latitude"),
    ("reroute", {"exclude": "N1"}, "exclude"),
    ("reroute", {"exclude": ["N1", "N9"]}, "exclude[1]"),
    ("ship", {"carrier": ""}, "carrier"),
    ("ship", {"lines": [{"line_id": "1", "sku": "Z", "quantity": 1}]}, "lines[0].sku"),
    ("ship", {"lines": [{"quantity": 1}]}, "lines[0].line_id"),
    ("ship", {"tracking": "a\tb"}, "tracking"),
    ("reject", {}, "reason"),
    ("reject", {"reason": "bored"}, "reason"),
    ("reject", {"reason": "other", "lines": [{"line_id": "2"}]}, "lines[0].line_id"),
    ("return", RETURN | {"node": "N9"}, "node"),
    ("return", RETURN | {"disposition": "eat"}, "disposition"),
    ("return", RETURN | {"lines": []}, "lines"),
    ("return", RETURN | {"lines": [{"line_id": "7", "quantity": 1}]}, "lines[0].line_id"),
]


def test_bad_input_is_named_and_changes_nothing(shop):
    shop.stock("N1", A=500)
    for command, what, path in BAD_INPUT:
        body = what
        placed = shop.place(("A", 2))
        order = f"/v1/orders/{placed['order_id']}"
        target = f"/v1/fulfilments/{first(placed)}/{command}" if command in NODE_POSTS else f"{order}/{command}"
        if command == "return":
            shop.post(f"/v1/fulfilments/{first(placed)}/ship")
            target, body = "/v1/returns", what | {"order_id": placed["order_id"]}
        elif command == "release":
            shop.post(f"{order}/hold", {"reason": "x"})
        before = shop.get(order)
        problem = shop.post(target, body, 422)
        assert path in [e["path"] for e in problem["errors"]], problem
        assert shop.get(order) == before


def test_a_key_that_only_reads_changes_nothing(server):
    key = server.client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    order = new_id()
    with server.as_key(key) as client:
        for path in (f"orders/{order}/cancel", f"fulfilments/{order}-f1/accept", "returns"):
            assert client.post(f"/v1/{path}", json={}).status_code == 403
        for path in ("customers?email=a@b.c", f"customers/{order}/export"):
            assert client.get(f"/v1/{path}").status_code == 403
        assert client.delete(f"/v1/customers/{order}/personal-data").status_code == 403


def test_personal_data_is_erased_from_everywhere(shop, server, db):
    canaries = {
        "name": "Zebulon Quagmire-Canary",
        "email": "zebulon.canary@example.org",
        "phone": "+49 170 5550142",
        "address": {"street": "Canarygasse 77", "city": "Berlin"},
    }
    shop.stock("N1", A=5)
    shop.stock("N2", A=5)
    area = {"country": "DE", "region": "DE-BE"}
    place = area | {"postal_code": "10829-XQZ", "latitude": 52.48731, "longitude": 13.35219}
    one = shop.place(("A", 1), customer=canaries, destination=place)
    two = shop.place(("A", 1), customer=canaries | {"email": "Zebulon.Canary@example.org"}, destination=place)
    shop.post(f"/v1/fulfilments/{first(one)}/reject", {"reason": "other"}, **{"Idempotency-Key": "k1"})
    shop.post(f"/v1/fulfilments/{first(two)}/ship", **{"Idempotency-Key": "k2"})
    shop.post(f"/v1/orders/{one['order_id']}/hold", {"reason": "why"}, **{"Idempotency-Key": "k3"})
    (person,) = shop.get("/v1/customers?email=ZEBULON.CANARY@example.org")["data"]
    export = shop.get(f"/v1/customers/{person['customer_id']}/export")
    assert export["customer"]["address"] == canaries["address"]
    assert [o["order_id"] for o in export["orders"]] == [one["order_id"], two["order_id"]]
    assert export["orders"][0]["destination"] == place
    assert len(export["orders"][1]["shipments"]) == 1
    before = shop.get("/v1/stock")["data"]

    texts = everything(db)
    assert all(c in texts for c in ("Zebulon", "zebulon.canary", "5550142", "Canarygasse", "10829-XQZ", "52.48731"))
    for _ in range(2):
        answer = server.client.delete(f"/v1/customers/{person['customer_id']}/personal-data")
        assert answer.status_code == 200 and answer.json()["orders"] == 2
    texts = everything(db)
    for canary in ("ebulon", "anary", "5550142", "829-XQZ", "52.48731", "13.35219"):
        assert canary not in texts.replace(person["customer_id"], ""), canary
    for number in (52.48731, 13.35219):
        assert struct.pack("<d", number).hex() not in texts
    assert shop.get("/v1/customers?email=zebulon.canary@example.org")["data"] == []
    export = shop.get(f"/v1/customers/{person['customer_id']}/export")
    assert {k: v for k, v in export["customer"].items() if k in canaries} == dict.fromkeys(canaries)
    assert export["orders"][0]["destination"] == area | {"postal_code": "10"}
    assert shop.get("/v1/stock")["data"] == before
    events = [e for e in db_rows(db, "SELECT kind, data::text FROM event") if e[0] == "customer.erased"]
    assert len(events) == 1
    assert shop.get(f"/v1/plans/{one['plan_id']}")["decision"]["order_id"] == one["order_id"]
    # The address may be used again, by a new person.
    shop.place(("A", 1), customer=canaries)
    (again,) = shop.get("/v1/customers?email=zebulon.canary@example.org")["data"]
    assert again["customer_id"] != person["customer_id"]


def db_rows(db, sql):
    with db.connection() as conn:
        return conn.execute(sql).fetchall()


def everything(db):
    """Every row of every table as text, and every bytea as hex."""
    tables = db_rows(db, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [text for (name,) in tables for (text,) in db_rows(db, f'SELECT t::text FROM "{name}" t')]
    return "\n".join(rows)
