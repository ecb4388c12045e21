"""Which kinds of channels there are, and whether one can be talked to; against fakes of the vendors, over HTTP."""

import json
import socket

import httpx2
import jsonschema
import pytest
from tests.connectors.running import serving

from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.app import App
from onhand.flows import channel_try
from onhand.settings import Settings
from onhand.twin.fakes import generic, medusa, shopify, square, stripe, vendure, woocommerce

from .conftest import _serving

SECRET = "cs_a_secret_that_nobody_sees"


@pytest.fixture
def near(dsn, tmp_path):
    """A client of a server that may call this machine."""
    settings = Settings(database_url=dsn, allow_private_urls=True, home=tmp_path, files_root=tmp_path)
    with App.open(settings) as app:
        key = ensure_admin_key(app.db, None)
        with (
            _serving(create_api(app)) as url,
            httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
        ):
            yield client


def woo(url, **credentials):
    return {
        "currency": "USD", "connector": "woocommerce", "settings": {"url": url},
        "credentials": {"consumer_key": "ck_fake", "consumer_secret": "cs_fake"} | credentials,
    }  # fmt: skip


def tried(client, document=None, code="new"):
    answer = client.post(f"/v1/channels/{code}/test", json=document)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by(found):
    return {check["capability"]: check for check in found["checks"]}


# What there is --------------------------------------------------------------------------------------------------------


def test_each_connector_tells_what_it_asks_for_as_a_schema(server):
    found = {c["name"]: c for c in server.client.get("/v1/connectors").json()["data"]}
    assert {"shopify", "woocommerce", "csv_feed", "edi_x12", "stripe"} <= found.keys()
    for name, told in found.items():
        assert server.client.get(f"/v1/connectors/{name}").json() == told
        for part in ("settings", "credentials"):
            jsonschema.Draft202012Validator.check_schema(told[part])
        assert all(p["writeOnly"] and p["format"] == "password" for p in told["credentials"]["properties"].values())
        assert not any("writeOnly" in p for p in told["settings"]["properties"].values())
    woocommerce_ = found["woocommerce"]
    assert (woocommerce_["title"], woocommerce_["status"], woocommerce_["is_own"]) == ("WooCommerce", "beta", False)
    assert woocommerce_["settings"]["required"] == ["url"]
    assert woocommerce_["settings"]["properties"]["url"]["examples"] == ["https://shop.example"]
    assert woocommerce_["credentials"]["required"] == ["consumer_key", "consumer_secret"]
    feed = found["csv_feed"]["settings"]
    assert feed["required"] == ["url"], "what has a default need not be said"
    assert feed["properties"]["delimiter"]["enum"] and feed["properties"]["delimiter"]["default"] == "comma"
    assert feed["properties"]["settle_s"] == {
        "type": "integer", "default": 30, "description": "seconds a file stays as it is before it is taken",
    }  # fmt: skip
    assert server.client.get("/v1/connectors/nope").status_code == 404


def test_what_the_schema_takes_the_channel_takes_and_the_other_way_round(server):
    schema = server.client.get("/v1/connectors/csv_feed").json()["settings"]
    for settings in (
        {"url": "file:///in"}, {}, {"url": "file:///in", "settle_s": "1"}, {"url": "file:///in", "other": 1},
        {"url": "file:///in", "delimiter": "none"}, {"url": "file:///in", "orders_columns": {"a": 1}},
        {"url": "file:///in", "keep_files": True, "orders_columns": {"sku": "SKU"}},
    ):  # fmt: skip
        document = {"currency": "EUR", "connector": "csv_feed", "settings": settings}
        is_taken = server.client.put("/v1/channels/feed", json=document).status_code in (200, 201)
        assert is_taken == jsonschema.Draft202012Validator(schema).is_valid(settings), settings


def test_one_of_the_operators_own_is_told_and_one_that_is_broken_says_why(near, tmp_path):
    for name, text in (("corner_shop", "connector: corner_shop\ntitle: Corner"), ("shoe_shop", "connector: [")):
        folder = tmp_path / "connectors" / name
        folder.mkdir(parents=True)
        folder.joinpath("connector.yaml").write_text(text, "utf-8")
    found = {c["name"]: c for c in near.get("/v1/connectors").json()["data"]}
    assert found["corner_shop"]["status"] == found["shoe_shop"]["status"] == "unusable"
    assert "base_url" in found["corner_shop"]["error"] and found["corner_shop"]["is_own"]


# Trying one -----------------------------------------------------------------------------------------------------------


VENDORS = {
    "woocommerce": (woocommerce.Shop, {}, {"consumer_key": "ck_fake", "consumer_secret": "cs_fake"}),
    "shopify": (shopify.Shop, {"place": "gid://shopify/Location/1"}, {"access_token": "shpat_fake"}),
    "square": (square.Shop, {"place": "L1"}, {"access_token": "EAAA_fake"}),
    "medusa": (medusa.Shop, {"place": "sloc_fake"}, {"api_key": "sk_fake"}),
    "vendure": (vendure.Shop, {"place": "1"}, {"username": "superadmin", "password": "superadmin"}),
    "rest_generic": (generic.Shop, {}, {"token": "tok_fake"}),
    "stripe": (stripe.Account, {}, {"api_key": "sk_test_fake"}),
}


@pytest.mark.parametrize("name", VENDORS)
def test_every_vendor_that_can_be_asked_says_yes_to_its_key_and_no_to_another(near, name):
    make, settings, credentials = VENDORS[name]
    with serving(make().app()) as url:
        at = f"{url}/api" if name == "rest_generic" else url
        document = {
            "currency": "USD", "connector": name, "settings": {"url": at, **settings}, "credentials": credentials,
        }  # fmt: skip
        good = tried(near, document)
        wrong = tried(near, document | {"credentials": dict.fromkeys(credentials, SECRET)})
    assert good["verdict"] == "works", good
    assert (good["connector"], {c["verdict"] for c in good["checks"]}) == (name, {"works", "untried"})
    assert {c["reason"] for c in good["checks"] if c["verdict"] == "untried"} == {"writes"}
    first = wrong["checks"][0]
    assert (wrong["verdict"], first["reason"], first["verdict"]) == ("failed", "wrong_key", "failed"), wrong
    assert first["status"] in (401, 200) and first["said"] and "credentials" in first["remedy"]
    assert "works" not in {c["verdict"] for c in wrong["checks"]}, "a wrong key is shown once"


def test_a_channel_that_is_stored_is_tried_with_its_own_credentials_and_a_document_before_it_is_stored(near):
    fake = woocommerce.Shop()
    fake.add_product("A", 10)
    with serving(fake.app()) as url:
        assert near.post("/v1/channels/shop/test").status_code == 404
        found = by(tried(near, woo(url), code="shop"))
        assert found["listings.pull"]["read"] == 1 and found["listings.pull"]["rejected"] == 0
        assert near.get("/v1/channels/shop").status_code == 404, "nothing was written"
        before = near.put("/v1/channels/shop", json=woo(url)).json()
        assert tried(near, code="shop")["verdict"] == "works"
        kept = woo(url) | {"credentials": None}
        assert tried(near, kept, code="shop")["verdict"] == "works"
        assert near.post("/v1/channels/other/test", json=kept).status_code == 422, "none are stored for that one"
        assert tried(near, woo(url, consumer_secret=SECRET), code="shop")["verdict"] == "failed"
        assert tried(near, code="shop")["verdict"] == "works", "what is stored is what it was"
        assert near.get("/v1/channels/shop").json() == before
        asked = {r["method"] for r in httpx2.get(f"{url}/_fake/requests").json()}
    assert asked == {"GET"}


@pytest.mark.parametrize(
    "moved",
    [
        {"url": "{other}"},
        {"overrides": {"base_url": "{other}/wp-json/wc/v3"}},
        {"overrides": {"operations": {"stock.pull": {"request": {"path": "{other}/products"}}}}},
        {"overrides": {"auth": {"type": "oauth2", "grant": "client_credentials", "token_url": "{other}/token",
         "client_id": "x", "client_secret": "{credentials.consumer_secret}"}}},
    ],
)  # fmt: skip
def test_stored_credentials_are_not_sent_to_another_address(near, moved):
    fake, thief = woocommerce.Shop(), woocommerce.Shop()
    with serving(fake.app()) as url, serving(thief.app()) as other:
        before = near.put("/v1/channels/shop", json=woo(url)).json()
        settings = {"url": url} | json.loads(json.dumps(moved).replace("{other}", other))
        document = woo(url) | {"settings": settings}
        kept = document | {"credentials": None}
        for answer in (near.post("/v1/channels/shop/test", json=kept), near.put("/v1/channels/shop", json=kept)):
            assert answer.status_code == 422, answer.text
            [error] = answer.json()["errors"]
            assert error["path"] == "credentials" and f"settings.{next(iter(moved))}" in error["message"]
        assert httpx2.get(f"{other}/_fake/requests").json() == [], "nothing was asked there"
        assert near.get("/v1/channels/shop").json() == before
        assert near.put("/v1/channels/shop", json=document).status_code == 200, "given again"
        assert near.put("/v1/channels/shop", json=kept).status_code == 200, "and now they are of this address"


def test_settings_that_lead_nowhere_else_change_without_the_credentials(near):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        near.put("/v1/channels/shop", json=woo(url))
        overrides = {"limits": {"rate_per_s": 1}, "maps": {"level": {"quantity": "stock_quantity"}}}
        kept = woo(url) | {"settings": {"url": url, "overrides": overrides}, "credentials": None}
        assert tried(near, kept, code="shop")["verdict"] == "works"
        assert near.put("/v1/channels/shop", json=kept).status_code == 200


def test_who_tries_a_channel_is_in_the_audit_log_with_where_credentials_went(near):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        near.put("/v1/channels/shop", json=woo(url))
        near.post("/v1/channels/shop/test", headers={"X-Reason": "orders are late"})
        tried(near, woo(url, consumer_secret=SECRET), code="shop")
        near.post("/v1/channels/shop/test", json=woo("http://127.0.0.1:1") | {"credentials": None})
    found = near.get("/v1/audit", params={"kind": "channel.tried"}).json()["data"]
    assert [(e["subject"], e["actor_name"], e["data"]["credentials"]) for e in found] == [
        ("shop", "admin", "given"), ("shop", "admin", "stored"),
    ], "nothing was sent of the third"  # fmt: skip
    assert found[1]["reason"] == "orders are late"
    assert {e["data"]["sent_to"]["url"] for e in found} == {url}
    assert SECRET not in str(found)


def test_nothing_shows_a_secret_also_when_the_vendor_says_it_back(near, caplog):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url, caplog.at_level("DEBUG"):
        fault = {"status": 400, "times": 9, "body": {"code": "bad", "message": f"who is {SECRET}?"}}
        httpx2.post(f"{url}/_fake/faults", json=[fault])
        answer = near.post("/v1/channels/new/test", json=woo(url, consumer_secret=SECRET))
    assert by(answer.json())["listings.pull"]["said"] == "who is ***?"
    assert SECRET not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("fault", "reason", "status"),
    [
        ({"status": 403, "body": {"code": "no", "message": "not for you"}}, "no_permission", 403),
        ({"status": 404, "body": {"code": "rest_no_route", "message": "No route"}}, "wrong_address", 404),
        ({"status": 301, "headers": {"location": "https://elsewhere.example"}}, "wrong_address", 301),
        ({"status": 200, "body": "<html>Welcome</html>"}, "unreadable", 200),
        ({"status": 429, "headers": {"retry-after": "600"}}, "busy", 429),
        ({"status": 503}, "vendor_fails", 503),
        ({"status": 500}, "vendor_fails", 500),
        ({"status": 422, "body": {"code": "odd", "message": "no such field"}}, "refused", 422),
        ({"status": 0}, "unreachable", None),
    ],
)
def test_what_the_vendor_answers_has_a_reason_and_a_remedy(near, fault, reason, status):
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        httpx2.post(f"{url}/_fake/faults", json=[fault | {"match": "/orders", "times": 5}])
        found = tried(near, woo(url))
    orders = by(found)["orders.pull"]
    assert (orders["reason"], orders["status"], found["verdict"]) == (reason, status, "failed")
    assert orders["remedy"] == channel_try.REMEDIES[reason]
    assert by(found)["listings.pull"]["verdict"] == "works", "one permission that is missing hides no other"


def ends_at_once(client, url, reason):
    found = tried(client, woo(url))
    reasons = [check["reason"] for check in found["checks"]]
    assert (found["verdict"], reasons[0]) == ("failed", reason), found
    assert set(reasons[1:]) == {"given_up", "writes"}, "nobody waits for the same silence again"


def test_nobody_there_and_no_such_host(near):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ends_at_once(near, f"http://127.0.0.1:{port}", "unreachable")
    ends_at_once(near, "http://no-such-host.invalid", "unreachable")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8088", "http://169.254.169.254", "http://localhost", "http://[::1]"])
def test_a_private_address_is_not_asked(server, url):
    ends_at_once(server.client, url, "private_address")


def test_a_vendor_that_is_slow_is_not_waited_for(near, monkeypatch):
    monkeypatch.setattr(channel_try, "_REQUEST_S", 0.2)
    fake = woocommerce.Shop()
    with serving(fake.app()) as url:
        httpx2.post(f"{url}/_fake/faults", json=[{"delay_s": 3, "times": 9}])
        found = tried(near, woo(url))
    assert (found["checks"][0]["reason"], found["checks"][0]["said"]) == ("slow", "no answer within 0.2 s")
    assert found["took_ms"] < 2_500


def test_files_are_listed_and_left_where_they_are(near, tmp_path):
    file = tmp_path / "feed" / "in" / "orders.csv"
    file.parent.mkdir(parents=True)
    file.write_text("order,sku\n1,A\n", "utf-8")
    document = {
        "currency": "EUR", "connector": "csv_feed",
        "settings": {"url": "file:///feed", "orders_folder": "in", "settle_s": 0},
    }  # fmt: skip
    found = by(tried(near, document))
    assert (found["files"]["verdict"], found["files"]["read"]) == ("works", 1)
    assert found["orders.pull"]["reason"] == "takes"
    assert file.read_text("utf-8") == "order,sku\n1,A\n"


def test_who_only_takes_messages_cannot_be_asked(near):
    document = {
        "currency": "EUR", "connector": "webhook_generic", "settings": {"url": "https://shop.example/onhand"},
        "credentials": {"secret": "whsec_c2VjcmV0", "webhook_secret": "whsec_c2VjcmV0"},
    }  # fmt: skip
    found = tried(near, document)
    assert (found["verdict"], {c["reason"] for c in found["checks"]}) == ("untried", {"writes"})


def test_a_document_that_is_wrong_names_the_field_and_a_channel_that_calls_us_cannot_be_tried(near):
    for change, path in (
        ({"settings": {}}, "settings.url"),
        ({"connector": "nope"}, "connector"),
        ({"credentials": {"consumer_key": "ck"}}, "credentials.consumer_secret"),
        ({"settings": {"url": "https://shop.example", "overrides": {"connector": "x"}}}, "settings.overrides"),
    ):
        answer = near.post("/v1/channels/new/test", json=woo("https://shop.example") | change)
        assert answer.status_code == 422, answer.text
        assert [e["path"] for e in answer.json()["errors"]] == [path]
    assert near.post("/v1/channels/new/test", json={"currency": "EUR"}).json()["code"] == "channel.not_connected"


def test_who_may_only_read_sees_connectors_and_tries_none(server):
    key = server.client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    with server.as_key(key) as client:
        assert client.get("/v1/connectors").status_code == 200
        assert client.post("/v1/channels/new/test", json=woo("https://shop.example")).status_code == 403


def test_no_more_than_a_few_are_tried_at_once(near):
    taken = [channel_try._AT_ONCE.acquire(blocking=False) for _ in range(4)]
    try:
        assert all(taken)
        answer = near.post("/v1/channels/new/test", json=woo("https://shop.example"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    finally:
        for _ in taken:
            channel_try._AT_ONCE.release()
