"""Stock over HTTP: positions, the ledger, inbound supply, reservations, capacity."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

ITEM = {"name": "thing"}
NODE = {
    "name": "node",
    "node_type": "store",
    "country": "DE",
    "latitude": 50.0,
    "longitude": 8.0,
    "timezone": "Europe/Berlin",
}
CARRIER = {
    "name": "Post",
    "services": [
        {
            "code": "parcel",
            "rate_table": {"by": "distance_km", "distance_km": [None], "weights_g": [9000], "prices_minor": [[420]]},
            "currency": "EUR",
            "transit_days": {"p50": 1, "p95": 2},
        }
    ],
}
EXPECTED = "2031-03-09T08:00:00Z"


@pytest.fixture
def shop(server):
    """Items A to C and bundle SET, nodes N1 and N2 (ten orders a day, Monday to Friday), channel web."""
    client = server.client
    for sku in "ABC":
        assert client.put(f"/v1/items/{sku}", json=ITEM).status_code == 201
    assert client.put("/v1/items/SET", json=ITEM | {"components": [{"sku": "A", "quantity": 2}]}).status_code == 201
    assert client.put("/v1/nodes/N1", json=NODE).status_code == 201
    assert (
        client.put("/v1/nodes/N2", json=NODE | {"capacity": {"orders": 10}, "safety_stock_default": 3}).status_code
        == 201
    )
    assert client.put("/v1/carriers/POST", json=CARRIER).status_code == 201
    assert client.put("/v1/channels/web", json={"currency": "EUR"}).status_code == 201
    return client


def record(client, *entries):
    answer = client.post("/v1/stock/entries", json={"entries": list(entries)})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def entry(kind="receipt", sku="A", node="N1", quantity=1, **more):
    return {"kind": kind, "sku": sku, "node": node, "quantity": quantity, **more}


def rows(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def paged(client, path, limit):
    found, cursor, joint = [], "", "&" if "?" in path else "?"
    while cursor is not None:
        answer = client.get(f"{path}{joint}limit={limit}" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(answer["data"]) <= limit
        found += answer["data"]
        cursor = answer["next_cursor"]
    return found


def test_positions_and_entries_read_as_promised(shop):
    results = record(
        shop,
        entry(quantity=10, reason="first", reference="D-1", occurred_at="2026-01-02T03:04:05Z"),
        entry("damage", quantity=2),
        entry(sku="B", node="N2", quantity=4),
        entry("transfer_out", sku="C"),
    )
    assert [(r["status"], r["on_hand"], r["available"]) for r in results] == [
        ("applied", 10, 10), ("applied", 10, 8), ("applied", 4, 4), ("rejected", None, None),
    ]  # fmt: skip
    shop.post("/v1/inbound", json=announcement(lines=[{"sku": "A", "quantity": 7, "expected_at": EXPECTED}]))
    assert rows(shop, "/v1/stock") == [
        {"sku": "A", "node": "N1", "on_hand": 10, "unavailable": 2, "allocated": 0, "oversold": 0, "available": 8,
         "inbound": 7, "safety_stock": 0, "version": 2},
        {"sku": "B", "node": "N2", "on_hand": 4, "unavailable": 0, "allocated": 0, "oversold": 0, "available": 4,
         "inbound": 0, "safety_stock": 3, "version": 1},
    ]  # fmt: skip
    first, second, third = rows(shop, "/v1/stock/entries")
    assert [e["entry_id"] for e in (first, second, third)] == [r["entry_id"] for r in results[:3]]
    assert first["recorded_at"] > first.pop("occurred_at") == "2026-01-02T03:04:05Z"
    del first["recorded_at"], first["actor"]
    assert first == {
        "entry_id": results[0]["entry_id"], "kind": "receipt", "sku": "A", "node": "N1", "quantity": 10,
        "change": {"on_hand": 10, "unavailable": 0, "allocated": 0, "oversold": 0},
        "on_hand": 10, "unavailable": 0, "allocated": 0, "oversold": 0, "available": 10, "version": 1,
        "reason": "first", "reference": "D-1", "ref": None,
    }  # fmt: skip
    assert second["change"]["unavailable"] == 2


def test_lists_are_filtered_and_paged_without_gaps(shop):
    record(shop, *(entry(sku=sku, node=node) for sku in "ABC" for node in ("N1", "N2")))
    record(shop, *(entry(sku=sku, node="N2") for sku in "CCABBA"))
    everything = rows(shop, "/v1/stock/entries")
    assert [e["entry_id"] for e in everything] == sorted(e["entry_id"] for e in everything)
    assert len(everything) == 12
    for path, keep in (
        ("/v1/stock/entries", lambda e: True),
        ("/v1/stock/entries?sku=B", lambda e: e["sku"] == "B"),
        ("/v1/stock/entries?node=N2", lambda e: e["node"] == "N2"),
        ("/v1/stock/entries?sku=C&node=N2", lambda e: (e["sku"], e["node"]) == ("C", "N2")),
        ("/v1/stock/entries?sku=nobody", lambda e: False),
        ("/v1/stock/entries?node=nowhere", lambda e: False),
    ):
        wanted = [e for e in everything if keep(e)]
        assert rows(shop, path) == wanted
        assert paged(shop, path, 2) == wanted
        joint = "&" if "?" in path else "?"
        after = everything[4]["entry_id"]
        newest = f"{path}{joint}order=desc"
        assert rows(shop, newest) == wanted[::-1]
        assert paged(shop, newest, 2) == wanted[::-1]
        assert rows(shop, f"{newest}&after={after}") == [e for e in wanted[::-1] if e["entry_id"] > after]
        assert rows(shop, f"{path}{joint}after={after}") == [e for e in wanted if e["entry_id"] > after]
    stock = rows(shop, "/v1/stock")
    assert [(s["sku"], s["node"]) for s in stock] == [(s, n) for s in "ABC" for n in ("N1", "N2")]
    assert paged(shop, "/v1/stock", 4) == stock
    assert rows(shop, "/v1/stock?sku=B") == stock[2:4]
    assert rows(shop, "/v1/stock?node=N2") == stock[1::2]
    assert rows(shop, "/v1/stock?sku=A&node=N2") == stock[1:2]
    assert rows(shop, "/v1/stock?sku=nobody") == []


def test_a_cursor_of_the_ledger_turns_round(shop):
    """Back to what was seen before it, whichever way it came."""
    record(shop, *(entry(sku=sku, node=node) for sku in "ABC" for node in ("N1", "N2")), entry(), entry())
    for filters in ("", "&sku=A", "&node=N1", "&sku=A&node=N1"):
        path = f"/v1/stock/entries?limit=2{filters}"
        ids = [e["entry_id"] for e in rows(shop, f"/v1/stock/entries?{filters[1:]}")]
        first = shop.get(f"{path}&order=desc").json()
        assert [e["entry_id"] for e in first["data"]] == ids[:-3:-1]
        back = shop.get(f"{path}&order=asc&cursor={first['next_cursor']}").json()
        assert [e["entry_id"] for e in back["data"]] == ids[-1:]


def test_the_grid_shows_some_items_by_all_nodes(shop):
    record(shop, *(entry(sku=sku, node=node, quantity=5) for sku in "AC" for node in ("N1", "N2")))
    record(shop, entry("adjustment", "A", "N2", -5), entry("damage", "C", "N1", 2))
    grid = shop.get("/v1/stock/grid").json()
    assert (grid["items"], grid["first"], grid["nodes"]) == (3, 0, ["N1", "N2"])  # no bundle
    assert grid["rows"] == [
        {"sku": "A", "units": [5, 0], "short": [1]}, {"sku": "B", "units": [None, None], "short": []},
        {"sku": "C", "units": [3, 5], "short": []},
    ]  # fmt: skip
    for measure in ("on_hand", "unavailable", "allocated", "inbound", "safety_stock"):
        found = shop.get(f"/v1/stock/grid?measure={measure}").json()
        for row in found["rows"]:
            stock = {s["node"]: s[measure] for s in rows(shop, f"/v1/stock?sku={row['sku']}")}
            assert row["units"] == [stock.get(node) for node in ("N1", "N2")]
    some = shop.get("/v1/stock/grid?first=1&count=1").json()
    assert (some["items"], [row["sku"] for row in some["rows"]]) == (3, ["B"])
    found = shop.get("/v1/stock/grid?q=c").json()
    assert (found["items"], [row["sku"] for row in found["rows"]]) == (1, ["C"])
    assert shop.get("/v1/stock/grid?first=10").json()["rows"] == []
    assert shop.get("/v1/stock/grid?count=501").status_code == 422


def test_a_wide_gap_of_ids_is_crossed(shop, app):
    record(shop, entry())
    with app.db.connection() as conn:
        conn.execute("SELECT setval('ledger_entry_entry_id_seq', 5000000)")
    record(shop, entry(), entry())
    assert [e["version"] for e in rows(shop, "/v1/stock/entries?node=N1&limit=2")] == [1, 2]
    assert len(rows(shop, "/v1/stock/entries")) == 3
    assert [e["version"] for e in rows(shop, "/v1/stock/entries?node=N1&order=desc")] == [3, 2, 1]


def announcement(reference="PO-1", **more):
    lines = [{"sku": "A", "quantity": 10, "expected_at": EXPECTED}]
    return {"reference": reference, "node": "N1", "lines": lines} | more


def test_supply_is_announced_once_and_booked_by_its_reference(shop):
    first = shop.post("/v1/inbound", json=announcement(supplier="Nord"))
    assert first.status_code == 201
    made = first.json()
    assert UUID(made.pop("inbound_id"))
    assert datetime.fromisoformat(made.pop("created_at"))
    assert made == {
        "reference": "PO-1", "kind": "purchase", "node": "N1", "supplier": "Nord", "closed_at": None,
        "lines": [{"line_no": 1, "sku": "A", "quantity": 10, "received": 0, "promised": 0,
                   "expected_at": EXPECTED, "confidence": 1.0}],
    }  # fmt: skip
    again = shop.post("/v1/inbound", json=announcement(supplier="Nord"))
    assert (again.status_code, again.json()) == (200, first.json())
    other = shop.post("/v1/inbound", json=announcement(supplier="Süd"))
    assert (other.status_code, other.json()["code"]) == (409, "inbound.reference_taken")

    record(shop, entry(quantity=10, reference="PO-1"))
    found = shop.get(f"/v1/inbound/{first.json()['inbound_id']}").json()
    assert found["lines"][0]["received"] == 10
    assert found["closed_at"] is not None


def test_the_answer_under_a_key_is_the_first_one(shop):
    headers = {"idempotency-key": "k1"}
    first = shop.post("/v1/inbound", json=announcement(), headers=headers)
    again = shop.post("/v1/inbound", json=announcement(), headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    reused = shop.post("/v1/inbound", json=announcement("PO-2"), headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency.key_reused")
    late = shop.post("/v1/inbound", json=announcement(), headers={"idempotency-key": "k2"})
    assert (late.status_code, late.content) == (200, first.content)


def test_announcements_are_listed(shop):
    ids = [
        shop.post("/v1/inbound", json=announcement(f"PO-{n}", node=f"N{n % 2 + 1}")).json()["inbound_id"]
        for n in range(5)
    ]
    assert [i["inbound_id"] for i in paged(shop, "/v1/inbound", 2)] == ids
    assert [i["inbound_id"] for i in rows(shop, "/v1/inbound?node=N2")] == ids[1::2]
    assert [i["reference"] for i in rows(shop, "/v1/inbound?reference=PO-3&sku=A&open=true")] == ["PO-3"]
    assert rows(shop, "/v1/inbound?open=false") == rows(shop, "/v1/inbound?sku=B") == []


def test_an_announcement_that_cannot_be_names_the_field(shop):
    for change, path in (
        ({"node": "nowhere"}, "node"),
        ({"lines": [{"sku": "nobody", "quantity": 1, "expected_at": EXPECTED}]}, "lines[0].sku"),
        ({"lines": [{"sku": "SET", "quantity": 1, "expected_at": EXPECTED}]}, "lines[0].sku"),
        ({"lines": [{"sku": "A", "quantity": 1.0, "expected_at": EXPECTED}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "A", "quantity": 1, "expected_at": "soon"}]}, "lines[0].expected_at"),
        ({"lines": []}, "lines"),
        ({"colour": "red"}, "colour"),
    ):
        answer = shop.post("/v1/inbound", json=announcement(**change))
        assert answer.status_code == 422
        assert [e["path"] for e in answer.json()["errors"]] == [path]
    assert rows(shop, "/v1/inbound") == []


def reserve(client, quantity=3, **more):
    answer = client.post(
        "/v1/reservations", json={"channel": "web", "lines": [{"sku": "A", "quantity": quantity}]} | more
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_reservation_is_shown_extended_and_released(shop):
    record(shop, entry(quantity=5))
    made = reserve(shop)
    path = f"/v1/reservations/{made['reservation_id']}"
    shown = shop.get(path).json()
    assert shown["status"] == "active"
    assert shown["lines"] == made["lines"] == [{"sku": "A", "quantity": 3, "node": "N1"}]
    assert (shown["channel"], shown["order_id"]) == ("web", None)

    before = datetime.now(UTC)
    extended = shop.post(f"{path}/extend", json={"ttl_s": 7200})
    assert extended.status_code == 200
    expires = datetime.fromisoformat(extended.json()["expires_at"])
    assert before + timedelta(seconds=7200) <= expires <= datetime.now(UTC) + timedelta(seconds=7200)
    assert shop.post(f"{path}/extend").json()["expires_at"] == extended.json()["expires_at"]

    assert rows(shop, "/v1/stock")[0]["available"] == 2
    assert shop.delete(path).json()["status"] == "released"
    assert rows(shop, "/v1/stock")[0]["available"] == 5
    assert shop.delete(path).json()["status"] == "released"
    late = shop.post(f"{path}/extend", json={"ttl_s": 60})
    assert (late.status_code, late.json()["code"]) == (409, "reservation.released")
    # Memory has heard of it: the units can be promised again at once.
    reserve(shop, 5)


def test_what_is_not_a_reservation_is_not_found(shop):
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/extend")):
        answer = shop.request(method, f"/v1/reservations/{uuid4()}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "reservation.not_found")
        assert shop.request(method, f"/v1/reservations/nonsense{path}").status_code == 422
    assert shop.get(f"/v1/inbound/{uuid4()}").json()["code"] == "inbound.not_found"
    for body in ({"ttl_s": 0}, {"ttl_s": 86_401}, {"ttl_s": "60"}, {"ttl_s": 60.0}, {"ttl": 60}):
        assert shop.post(f"/v1/reservations/{uuid4()}/extend", json=body).status_code == 422


def test_capacity_by_day(shop, app):
    order = uuid4()
    with app.db.connection() as conn:
        for no, status, day in ((1, "allocated", 2), (2, "shipped", 2), (3, "cancelled", 2), (4, "packed", 3)):
            conn.execute(
                "INSERT INTO fulfilment (order_id, fulfilment_no, plan_no, node_id, status, ship_day, ship_by,"
                " deliver_by, lines, units, cost_minor, cost, co2_g, pieces)"
                " VALUES (%s, %s, 1, 2, %s, %s, now(), now(), 2, 5, 0, '[]', 0, '[]')",
                (order, no, status, f"2031-03-0{day + 1}"),
            )
        conn.execute("INSERT INTO capacity_day VALUES (2, '2031-03-03', 2, 4, 10), (2, '2031-03-04', 1, 2, 5)")

    days = rows(shop, "/v1/capacity?node=N2&from=2031-03-02&to=2031-03-05")
    limit = {"orders": 10, "lines": None, "units": None}
    nothing = {"orders": 0, "lines": 0, "units": 0}
    assert days[0] == {
        "node": "N2", "day": "2031-03-02", "capacity": nothing, "held": nothing, "used": nothing, "planned": nothing,
        "headroom": nothing,
    }  # fmt: skip
    assert days[1] == {
        "node": "N2", "day": "2031-03-03", "capacity": limit,
        "held": {"orders": 1, "lines": 2, "units": 5}, "used": {"orders": 1, "lines": 2, "units": 5},
        "planned": nothing, "headroom": limit | {"orders": 8},
    }  # fmt: skip
    assert [d["headroom"]["orders"] for d in days] == [0, 8, 9, 10]
    both = rows(shop, "/v1/capacity?from=2031-03-02&to=2031-03-05")
    assert both[4:] == days
    assert both[0]["capacity"] == both[0]["headroom"] == nothing
    assert both[1]["used"] == both[1]["headroom"] == {"orders": None, "lines": None, "units": None}
    assert paged(shop, "/v1/capacity?from=2031-03-02&to=2031-03-05", 3) == both
    assert len(rows(shop, "/v1/capacity?node=N1")) == 14
    with app.db.connection() as conn:
        conn.execute("TRUNCATE fulfilment, capacity_day")


def test_capacity_that_cannot_be_asked_for(shop):
    for query, status in (
        ("node=nowhere", 404),
        ("from=2031-03-02&to=2031-03-01", 422),
        ("from=2031-03-02&to=2032-03-02", 422),
        ("from=yesterday", 422),
        ("from=2031-02-29", 422),
        ("cursor=nonsense", 422),
    ):
        assert shop.get(f"/v1/capacity?{query}").status_code == status


def test_scopes(server, shop):
    reader = shop.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    with server.as_key(reader) as client:
        assert client.get("/v1/stock").status_code == 200
        assert client.post("/v1/inbound", json=announcement()).status_code == 403
        assert client.delete(f"/v1/reservations/{uuid4()}").status_code == 403
        assert client.post(f"/v1/reservations/{uuid4()}/extend", json={}).status_code == 403
    with server.as_key(None) as client:
        assert client.get("/v1/capacity").status_code == 401
