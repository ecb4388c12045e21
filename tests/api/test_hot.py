"""The hot routes when something is odd: set-up that changed, another process, what the database refuses, keys in
flight."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from .test_orders import Shop


@pytest.fixture
def shop(server):
    made = Shop(server.client)
    made.stock("N1", A=50, B=50)
    return made


@pytest.fixture
def database(db):
    with db.connection() as conn:
        yield conn


def order(external_id, **extra):
    return {
        "channel": "web",
        "external_id": external_id,
        "currency": "EUR",
        "destination": {"country": "DE", "postal_code": "10115", "latitude": 52.52, "longitude": 13.37},
        "lines": [{"line_id": "1", "sku": "A", "quantity": 1, "price_minor": 250}],
    } | extra


HELD = {"channel": "web", "lines": [{"sku": "A", "quantity": 1}]}


def post(shop, path, body, key=None):
    return shop.client.post(path, json=body, headers={} if key is None else {"Idempotency-Key": key})


def test_an_answer_stands_when_the_channel_is_closed_later(shop):
    placed = post(shop, "/v1/orders", order("1"), "k")
    reserved = post(shop, "/v1/reservations", HELD, "k")
    assert (placed.status_code, reserved.status_code) == (201, 201)
    shop.put("/v1/channels/web", {"currency": "EUR", "active": False})
    for path, body, first in (("/v1/orders", order("1"), placed), ("/v1/reservations", HELD, reserved)):
        again = post(shop, path, body, "k")
        assert (again.status_code, again.content) == (201, first.content), again.text
        assert again.headers["idempotent-replayed"] == "true"
    # The order's own name is enough; in a batch, too.
    assert post(shop, "/v1/orders", order("1")).content == placed.content
    batch = post(shop, "/v1/orders/batch", {"orders": [order("new"), order("1"), order("1", hold="x")]}).json()
    new, same, other = batch["results"]
    assert same == placed.json()
    for refused in (new, other):
        assert [e["message"] for e in refused["errors"]] == ["channel 'web' is not active"]

    for path, body in (("/v1/orders", order("2")), ("/v1/reservations", HELD | {"ttl_s": 7})):
        reused = post(shop, path, body, "k")
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency.key_reused")
        for key in (None, "fresh"):
            refused = post(shop, path, body, key)
            assert (refused.status_code, refused.json()["code"]) == (422, "input.invalid")
            assert refused.json()["errors"][0]["path"] == "channel"
    assert len(shop.get("/v1/orders")["data"]) == 1
    assert shop.position("A", "N1") == (50, 0, 2)


def test_an_answer_stands_when_its_pickup_node_or_service_is_gone(shop, database):
    shop.put("/v1/nodes/N1", {"name": "n", "node_type": "store", "country": "DE", "timezone": "Europe/Berlin",
                              "latitude": 52.5, "longitude": 13.4, "methods": ["ship", "pickup"]})  # fmt: skip
    orders = [order("1", method="pickup", pickup_node="N1"), order("2", service="parcel")]
    placed = [post(shop, "/v1/orders", o, f"k{n}") for n, o in enumerate(orders)]
    assert [p.status_code for p in placed] == [201, 201], placed[0].text
    database.execute("UPDATE node SET methods = '{ship}'")
    database.execute("UPDATE carrier SET document = jsonb_set(document, '{services,0,code}', '\"other\"')")
    shop.put("/v1/channels/app", {"currency": "USD"})  # and memory learns of it
    assert [post(shop, "/v1/orders", o, f"k{n}").content for n, o in enumerate(orders)] == [p.content for p in placed]
    for o, path in zip(orders, ("pickup_node", "service"), strict=True):
        refused = post(shop, "/v1/orders", o | {"external_id": "new"})
        assert [e["path"] for e in refused.json()["errors"]] == [path]


def test_what_another_process_has_just_set_up_is_known(shop, database):
    """No event tells of these rows: only a second look finds them."""
    database.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (50, 'late', 'late', 'EUR')")
    assert post(shop, "/v1/orders", order("1", channel="late")).status_code == 201
    database.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (51, 'later', 'later', 'EUR')")
    database.execute("INSERT INTO item (item_id, sku, name) VALUES (90, 'LATE', 'late')")
    lines = [{"line_id": "1", "sku": "LATE", "quantity": 1, "price_minor": 1}]
    batch = {"orders": [order("1", channel="later"), order("2", lines=lines), order("3", channel="never")]}
    results = post(shop, "/v1/orders/batch", batch).json()["results"]
    assert [r["status"] for r in results] == ["sourced", "unfillable", "rejected"]
    database.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (52, 'last', 'last', 'EUR')")
    database.execute("INSERT INTO item (item_id, sku, name) VALUES (91, 'LAST', 'last')")
    both = [{"line_id": "1", "sku": "LAST", "quantity": 1, "price_minor": 1}]
    assert post(shop, "/v1/orders", order("1", channel="last", lines=both)).json()["status"] == "unfillable"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/reservations", HELD | {"channel": "late"}, 201),
        ("/v1/promises", HELD | {"channel": "late", "destination": {"country": "DE"}}, 200),
        ("/v1/availability?sku=A&channel=late", None, 200),
    ],
)
def test_a_channel_that_another_process_has_just_opened_is_known_everywhere(shop, database, path, body, status):
    database.execute("INSERT INTO channel (channel_id, code, name, currency) VALUES (50, 'late', 'late', 'EUR')")
    answer = shop.client.get(path) if body is None else post(shop, path, body)
    assert answer.status_code == status, answer.text


def test_a_node_and_a_service_that_another_process_has_just_opened_are_known(shop, database):
    database.execute("UPDATE carrier SET document = jsonb_set(document, '{services,0,code}', '\"fast\"')")
    assert post(shop, "/v1/orders", order("1", service="fast")).status_code == 201
    database.execute("UPDATE node SET methods = '{ship,pickup}' WHERE code = 'N1'")
    answer = post(shop, "/v1/orders", order("2", method="pickup", pickup_node="N1"))
    assert answer.status_code == 201, answer.text


def test_an_order_of_a_body_is_the_order_by_itself_however_it_is_written(shop):
    """What is left out and what is said to be as usual are the same order, read together with others or alone."""
    spelled = {"allow_split": True, "allow_backorder": True, "method": "ship", "service": None, "customer": None}
    names = ["a", "b", "c"]
    batch = post(shop, "/v1/orders/batch", {"orders": [order(n, **spelled) for n in names]}).json()["results"]
    assert [r["status"] for r in batch] == ["sourced"] * 3
    assert post(shop, "/v1/orders/batch", {"orders": [order(n) for n in names]}).json()["results"] == batch
    # One that is wrong has all of them read one by one.
    wrong = order("d") | {"quantity": 1}
    answers = post(shop, "/v1/orders/batch", {"orders": [*(order(n) for n in names), wrong]}).json()["results"]
    assert answers[:3] == batch and answers[3]["status"] == "rejected"
    for name, placed in zip(names, batch, strict=True):
        again = post(shop, "/v1/orders", order(name, **spelled))
        assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (201, placed, "true")
    assert shop.position("A", "N1") == (50, 0, 3)


def test_a_value_the_database_cannot_hold_is_bad_input_of_one_order(shop, database):
    database.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF new.external_id LIKE 'wide%' THEN RAISE numeric_value_out_of_range; END IF;"
        " IF new.external_id LIKE 'odd%' THEN RAISE check_violation; END IF;"
        " RETURN new; END $$"
    )
    database.execute("CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse()")
    problem = post(shop, "/v1/orders", order("wide"))
    assert (problem.status_code, problem.json()["code"]) == (422, "input.invalid")
    assert problem.headers["content-type"] == "application/problem+json"
    problem = post(shop, "/v1/orders", order("odd"))
    assert (problem.status_code, problem.json()["code"]) == (500, "internal")
    names = ["1", "wide-1", "2", "odd-1", "3"]
    answer = post(shop, "/v1/orders/batch", {"orders": [order(name) for name in names]})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [r["status"] for r in results] == ["sourced", "rejected", "sourced", "rejected", "sourced"]
    assert [r["code"] for r in results[1::2]] == ["input.invalid", "internal"]
    assert results[3]["error_id"]
    assert len(shop.get("/v1/orders")["data"]) == 3


def gather(app, database, requests):
    """Send `requests` while the first of them waits for stock, so that the others gather; their answers."""
    with closing(app.db.connect()) as holder, ThreadPoolExecutor(len(requests)) as pool:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM stock_position FOR UPDATE")
        sent = [pool.submit(requests[0])]
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not database.execute(waits).fetchone()[0]:
            assert not sent[0].done()
        sent += [pool.submit(request) for request in requests[1:]]
        while app.orders.waiting < len(requests) // 2:
            assert not any(s.done() for s in sent)
        holder.execute("ROLLBACK")
        return [s.result() for s in sent]


def test_a_key_sent_twice_at_once_delays_nobody(shop, server, database):
    requests = [lambda n=n: post(shop, "/v1/orders", order(f"i{n}"), f"i{n}") for n in range(12)]
    requests += [lambda: post(shop, "/v1/orders", order("twin"), "twin")] * 6
    requests += [lambda n=n: post(shop, "/v1/orders", order(f"other{n}"), "twin") for n in range(6)]
    answers = gather(server.app, database, requests)
    assert {a.status_code for a in answers[:12]} == {201}
    with_key = answers[12:]
    won = {a.text for a in with_key if a.status_code == 201}
    assert len(won) == 1
    assert {a.json()["code"] for a in with_key if a.status_code != 201} == {"idempotency.key_reused"}
    assert [a.headers.get("idempotent-replayed") for a in with_key if a.status_code == 201].count(None) == 1
    assert len(shop.get("/v1/orders")["data"]) == 13


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/reservations"])
def test_a_key_in_flight_elsewhere_is_409_and_stops_nobody(shop, server, path):
    def body(n):
        return order(str(n)) if path == "/v1/orders" else HELD

    with closing(server.app.db.connect()) as other, ThreadPoolExecutor(8) as pool:
        other.execute("BEGIN")
        other.execute(
            "INSERT INTO idempotency (actor, route, key, body_hash, status, answer)"
            " SELECT key_id, %s, 'k3', 'x', 0, '' FROM api_key",
            (path,),
        )
        began = time.monotonic()
        answers = list(pool.map(lambda n: post(shop, path, body(n), f"k{n}"), range(8)))
        assert time.monotonic() - began < 8
        assert [a.status_code for a in answers] == [201, 201, 201, 409, 201, 201, 201, 201]
        assert answers[3].json()["code"] == "idempotency.in_flight"
        assert int(answers[3].headers["retry-after"]) > 0
        other.execute("ROLLBACK")
    again = post(shop, path, body(3), "k3")
    assert (again.status_code, again.headers.get("idempotent-replayed")) == (201, None)
