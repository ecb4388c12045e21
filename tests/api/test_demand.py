"""Demand, sales, signals and feeds over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from ..shop import open_shop  # noqa: TID252

NODE = {"node_type": "store", "country": "DE", "region": "BE", "latitude": 52.5, "longitude": 13.4}


@pytest.fixture
def client(server):
    items = [{"sku": sku, "name": sku} for sku in ("A", "B")]
    assert server.client.post("/v1/items/batch", json={"items": items}).status_code == 200
    node = NODE | {"name": "Berlin", "timezone": "Europe/Berlin"}
    assert server.client.put("/v1/nodes/berlin", json=node).status_code == 201
    return server.client


def sales(client, *rows, **headers):
    answer = client.post("/v1/sales/batch", json={"sales": rows}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def demand(client, query, status=200):
    answer = client.get(f"/v1/demand?{query}")
    assert answer.status_code == status, answer.text
    return answer.json()


def march(day, quantity, **more):
    return {"sku": "A", "day": f"2026-03-{day:02}", "quantity": quantity, **more}


def test_sales_become_demand(client):
    rows = [march(2, 3, node="berlin", price_minor=500), march(2, 4, region="DE-BY"), march(3, 1, region="DE")]
    assert [r["status"] for r in sales(client, *rows).json()["results"]] == ["created"] * 3
    answer = demand(client, "sku=A&from=2026-03-01&to=2026-03-31")
    assert answer["next_cursor"] is None
    plain = {"channel": None, "cancelled": 0, "bulk": 0, "returned": 0, "lost": 0, "open_share": 1, "rules": []}
    assert answer["data"] == [
        {"day": "2026-03-02", "sku": "A", "node": None, "region": "DE-BY", "units": 4, "demand": 4, "price_minor": None,
         **plain},
        {"day": "2026-03-02", "sku": "A", "node": "berlin", "region": "DE-BE", "units": 3, "demand": 3,
         "price_minor": 500, **plain},
        {"day": "2026-03-03", "sku": "A", "node": None, "region": "DE", "units": 1, "demand": 1, "price_minor": None,
         **plain},
    ]  # fmt: skip
    period = "sku=A&from=2026-03-01&to=2026-03-31"
    assert [d["units"] for d in demand(client, f"{period}&node=berlin")["data"]] == [3]
    assert [d["units"] for d in demand(client, f"{period}&region=DE")["data"]] == [4, 3, 1], "its parts, its nodes"
    assert [d["units"] for d in demand(client, f"{period}&region=DE-BE")["data"]] == [3]
    assert demand(client, "sku=A&from=2026-03-03&to=2026-03-03")["data"][0]["units"] == 1
    assert demand(client, "sku=B&from=2026-03-01&to=2026-03-31")["data"] == []
    for year in (1900, 2199):
        assert demand(client, f"sku=B&from={year}-01-01&to={year}-12-31")["data"] == []


def test_pages_of_days(client):
    sales(client, *(march(day, day, node=node) for day in range(1, 10) for node in (None, "berlin")))
    path, seen = "sku=A&from=2026-03-01&to=2026-03-31&limit=4", []
    cursor = ""
    while cursor is not None:
        answer = demand(client, path + (f"&cursor={cursor}" if cursor else ""))
        assert len(answer["data"]) <= 4
        seen += [(d["day"], d["node"]) for d in answer["data"]]
        cursor = answer["next_cursor"]
    assert len(seen) == len(set(seen)) == 18 and seen == sorted(seen, key=lambda p: (p[0], p[1] or ""))


def test_corrections_are_shown_and_switched(client):
    sales(client, *(march(day, 3, node="berlin") for day in range(1, 32)))
    sales(client, *(march(0, 3, node="berlin") | {"day": f"2026-04-{day:02}"} for day in range(1, 15)))
    sales(client, march(14, 1, node="berlin", stock_out_hours=12))
    query = "sku=A&from=2026-03-14&to=2026-03-31"
    (day, *_) = demand(client, query)["data"]
    assert (day["open_share"], day["units"], day["rules"]) == (0.5, 1, ["stock_out"])
    assert day["demand"] == pytest.approx(1 + day["lost"]) and 2 < day["demand"] < 3
    (raw, *_) = demand(client, f"{query}&stock_outs=false")["data"]
    assert (raw["demand"], raw["lost"], raw["open_share"], raw["rules"]) == (1, 0, 0.5, [])


def test_a_day_is_answered_alike_whichever_days_are_asked_for(client):
    # More is wanted later: who looked no further than the day itself would judge it by the lean days before.
    sales(client, *(march(day, 2 if day < 15 else 12, node="berlin") for day in range(1, 32)))
    sales(client, march(14, 1, node="berlin", stock_out_hours=12))
    windows = ("from=2026-03-14&to=2026-03-14", "from=2026-03-01&to=2026-03-16", "from=2026-03-10&to=2026-04-20")
    for corrections in ("", "&net_returns=true&bulk=false"):
        answers = [demand(client, f"sku=A&{window}{corrections}")["data"] for window in windows]
        told = [day for answer in answers for day in answer if day["day"] == "2026-03-14"]
        assert len(told) == 3 and told[0] == told[1] == told[2]
        assert told[0]["lost"] > 0
    assert [len(answer) for answer in answers] == [1, 16, 22]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "input.invalid"), ("sku=Z", 404, "item.not_found"), ("sku=A&node=rome", 404, "node.not_found"),
        ("sku=A&channel=fax", 404, "channel.not_found"), ("sku=A&region=Bavaria", 422, "input.invalid"),
        ("sku=A&from=2026-03-02&to=2026-03-01", 422, "input.invalid"), ("sku=A&from=1950-01-01", 422, "input.invalid"),
        ("sku=A&cursor=abc", 422, "input.invalid"), ("sku=A&sort=day", 422, "input.invalid"),
    ],
)  # fmt: skip
def test_bad_questions(client, query, status, code):
    assert demand(client, query, status)["code"] == code


def test_orders_of_a_shop_are_demand_at_once_and_by_channel(server):
    shop = open_shop(server.client)
    today = datetime.now(UTC).date()
    query = f"sku=MUG-BLUE&from={today - timedelta(days=1)}&to={today + timedelta(days=1)}"
    (day,) = demand(server.client, query)["data"]
    assert (day["node"], day["region"], day["units"]) == (None, "DE", 2 + 2 + 40), "two and a set of two, forty of one"
    (again,) = demand(server.client, f"{query}&channel=web")["data"]
    assert (again["channel"], again["units"]) == ("web", 44)
    assert demand(server.client, f"{query}&channel=market")["data"] == []
    shop.call("POST", f"/v1/orders/{shop.orders['shelf']}/cancel")
    (day,) = demand(server.client, query)["data"]
    assert (day["units"], day["cancelled"], day["demand"], day["rules"]) == (44, 4, 40, ["cancellation"])
    (day,) = demand(server.client, f"{query}&cancellations=false")["data"]
    assert day["demand"] == 44


def test_a_batch_is_told_once_under_its_key(client):
    key = {"Idempotency-Key": "one"}
    first = sales(client, march(2, 3), **key)
    again = sales(client, march(2, 3), **key)
    assert again.headers["idempotent-replayed"] == "true" and again.json() == first.json()
    other = client.post("/v1/sales/batch", json={"sales": [march(2, 4)]}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")


# Signals ------------------------------------------------------------------------------------------


def tell(client, *rows):
    answer = client.post("/v1/signals", json={"signals": rows})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_signals_are_told_corrected_listed_and_deleted(client):
    row = {"name": "temperature", "scope": {"region": "DE-BE"}, "at": "2026-03-02T12:00:00Z", "value": 7.5}
    plan = {"name": "promotion", "scope": {"sku": "A"}, "at": "2036-03-14", "value": 1, "known_ahead": True}
    results = tell(client, row, plan, row | {"name": "temperature", "scope": {"sku": "Z"}}, 5)
    assert [r["status"] for r in results] == ["created", "created", "rejected", "rejected"]
    assert results[2]["errors"] == [{"path": "scope.sku", "message": "no item 'Z'"}]
    assert [r["status"] for r in tell(client, row, row | {"at": "2026-03-03", "value": 8})] == ["unchanged", "created"]
    assert tell(client, row | {"value": 9})[0]["status"] == "updated"
    listed = client.get("/v1/signals").json()["data"]
    assert [(s["name"], s["scope"], s["values"], s["corrections"]) for s in listed] == [
        ("promotion", {"sku": "A"}, 1, 0), ("temperature", {"region": "DE-BE"}, 2, 1),
    ]  # fmt: skip
    assert (listed[1]["first_at"], listed[1]["last_at"]) == ("2026-03-02T12:00:00Z", "2026-03-03T00:00:00Z")
    assert [s["name"] for s in client.get("/v1/signals?sku=A").json()["data"]] == ["promotion"]
    page = client.get("/v1/signals?limit=1").json()
    rest = client.get(f"/v1/signals?limit=1&cursor={page['next_cursor']}").json()
    assert [s["name"] for s in page["data"] + rest["data"]] == ["promotion", "temperature"]
    assert client.delete("/v1/signals/temperature").status_code == 204
    gone = client.delete("/v1/signals/temperature")
    assert (gone.status_code, gone.json()["code"]) == (404, "signal.not_found")


def test_keys_need_their_scopes(server, client):
    reader = client.post("/v1/keys", json={"name": "r", "scopes": ["read"]}).json()["key"]
    with server.as_key(reader) as reads, server.as_key(None) as nobody:
        for method, path in (
            ("POST", "/v1/signals"), ("POST", "/v1/sales/batch"), ("DELETE", "/v1/signals/x"),
            ("PUT", "/v1/signal-feeds/x"), ("DELETE", "/v1/signal-feeds/x"),
        ):  # fmt: skip
            assert reads.request(method, path, json={}).status_code == 403, path
        for path in ("/v1/demand?sku=A", "/v1/signals", "/v1/signal-feeds"):
            assert reads.get(path).status_code == 200, path
            assert nobody.get(path).status_code == 401, path


# Feeds --------------------------------------------------------------------------------------------

FEED = {
    "url": "https://weather.example/daily.csv?from={from}", "format": "csv",
    "columns": {"at": "day", "value": "mean"}, "scope": {"region": "DE-BE"}, "every_s": 3600,
}  # fmt: skip


def test_feeds_are_set_listed_and_deleted_and_show_no_secret(client):
    missing = client.get("/v1/signal-feeds/temperature")
    assert (missing.status_code, missing.json()["code"]) == (404, "signal_feed.not_found")
    created = client.put("/v1/signal-feeds/temperature", json=FEED | {"secret_headers": {"X-Key": "very-secret"}})
    assert created.status_code == 201, created.text
    assert created.headers["location"] == "/v1/signal-feeds/temperature"
    assert created.json()["has_secrets"] and "very-secret" not in created.text
    assert client.put("/v1/signal-feeds/temperature", json=FEED).json() == created.json(), "unchanged, secret kept"
    changed = client.put("/v1/signal-feeds/temperature", json=FEED | {"every_s": 7200})
    assert (changed.status_code, changed.json()["every_s"], changed.json()["has_secrets"]) == (200, 7200, True)
    elsewhere = client.put("/v1/signal-feeds/temperature", json=FEED | {"url": "https://thief.example/x"})
    assert elsewhere.status_code == 422 and elsewhere.json()["errors"][0]["path"] == "secret_headers"
    without = client.put("/v1/signal-feeds/temperature", json=FEED | {"secret_headers": {}})
    assert not without.json()["has_secrets"]
    assert [f["name"] for f in client.get("/v1/signal-feeds").json()["data"]] == ["temperature"]
    assert client.delete("/v1/signal-feeds/temperature").status_code == 204
    assert client.delete("/v1/signal-feeds/temperature").status_code == 404


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"url": "ftp://x.example/a"}, "url"), ({"url": "https://x.example/{day}"}, "url"),
        ({"format": "xml"}, "format"), ({"every_s": 1}, "every_s"), ({"timezone": "Mars/Base"}, "timezone"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"X-A": "é"}}, "headers"), ({"rows": "data"}, ""), ({"columns": {"at": "day"}}, "columns.value"),
        ({"format": "json", "columns": {"at": "a[", "value": "b"}}, ""), ({"signal": "two words"}, "signal"),
    ],
)  # fmt: skip
def test_feeds_that_cannot_work_are_refused(client, change, path):
    answer = client.put("/v1/signal-feeds/x", json=FEED | change)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, path), answer.text


def test_documented_examples_are_accepted(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    client.put("/v1/items/MUG-BLUE", json={"name": "mug"})
    client.put("/v1/nodes/BERLIN", json=NODE | {"name": "Berlin", "timezone": "Europe/Berlin"})
    for example in schemas["SignalBatch"]["examples"]:
        example["signals"][1]["at"] = (datetime.now(UTC).date() + timedelta(days=9)).isoformat()
        assert {r["status"] for r in tell(client, *example["signals"])} == {"created"}
    for example in schemas["SaleBatch"]["examples"]:
        assert sales(client, *example["sales"]).json()["results"][0]["status"] == "created"
    for example in schemas["FeedIn"]["examples"]:
        assert client.put("/v1/signal-feeds/weather", json=example).status_code == 201
