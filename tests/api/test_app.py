"""The edge as a whole: routing, body rules, failures, health, metrics, documentation."""

import json
import re
import socket
from uuid import UUID

import httpx2
import jsonschema_rs
import pytest
import structlog

from onhand.api import body as body_module
from onhand.api.app import Dispatcher, create_api
from onhand.api.body import check_headers, read_body
from onhand.errors import Conflict, DatabaseUnavailable, Overloaded
from onhand.flows.foresight import Foreseer

KEY = {"name": "x", "scopes": ["read"]}


def problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert {"type", "title", "detail"} <= document.keys()
    return document


# --- routing ---------------------------------------------------------------------------------------------------------


def test_an_unknown_path_is_404(server):
    problem(server.client.get("/v1/nothing"), 404, "route.not_found")
    problem(server.client.get("/v1/keys/"), 404, "route.not_found")
    problem(server.client.get("/v1/..%2f..%2fetc/passwd"), 404, "route.not_found")


def test_a_wrong_method_is_405_and_names_the_right_ones(server):
    answer = server.client.put("/v1/keys", json={})
    problem(answer, 405, "route.method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"
    answer = server.client.patch("/v1/keys/1", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE")
    for path in ("/v1/promises", "/v1/reservations"):  # known to the dispatcher only
        answer = server.client.get(path)
        problem(answer, 405, "route.method_not_allowed")
        assert answer.headers["allow"] == "POST"
    problem(server.client.request("OPTIONS", "/v1/keys"), 405, "route.method_not_allowed")


@pytest.mark.parametrize("path", ["/v1/keys?limit=%00", "/v1/audit?subject=a%00b", "/v1/keys/%00", "/%00"])
def test_nul_in_an_address_is_refused(server, path):
    problem(server.client.get(path), 422, "input.invalid")


def test_a_misspelt_parameter_is_refused_by_name(server):
    document = problem(server.client.get("/v1/keys?limt=5"), 422, "input.invalid")
    assert document["errors"] == [{"path": "limt", "message": "unknown parameter"}]


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"", "application/json", 422, "input.invalid"),
        (b"{", "application/json", 400, "input.malformed_json"),
        (b'{"name":"x","name":"y","scopes":["read"]}', "application/json", 400, "input.malformed_json"),
        (b'{"name":NaN,"scopes":["read"]}', "application/json", 400, "input.malformed_json"),
        (b'{"name":"\xff","scopes":["read"]}', "application/json", 400, "input.malformed_json"),
        (b"[" * 100_000, "application/json", 400, "input.malformed_json"),
        (b'{"name":"\\u0000","scopes":["read"]}', "application/json", 422, "input.invalid"),
        (b'{"name":"\\ud800","scopes":["read"]}', "application/json", 422, "input.invalid"),
        (b"[]", "application/json", 422, "input.invalid"),
        (b"null", "application/json", 422, "input.invalid"),
        (b'{"name":5,"scopes":["read"]}', "application/json", 422, "input.invalid"),
        (b'{"name":"x","scopes":"read"}', "application/json", 422, "input.invalid"),
        (b'{"name":"x","scopes":["root"]}', "application/json", 422, "input.invalid"),
        (b'{"name":"x","scopes":["read"],"hash":"x"}', "application/json", 422, "input.invalid"),
        (b'{"name":"x","scopes":["read"]}', "text/plain", 415, "input.media_type"),
        (b"name=x&scopes=read", "application/x-www-form-urlencoded", 415, "input.media_type"),
        (b'{"name":"x","scopes":["read"]}', "application/json; charset=utf-16", 415, "input.media_type"),
    ],
)
def test_bad_bodies(server, content, content_type, status, code):
    answer = server.client.post("/v1/keys", content=content, headers={"Content-Type": content_type})
    problem(answer, status, code)
    assert len(server.client.get("/v1/keys").json()["data"]) == 1  # the admin key: nothing was written


def test_a_compressed_body_is_refused(server):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    problem(server.client.post("/v1/keys", content=b"\x1f\x8b", headers=headers), 415, "input.media_type")


def test_a_body_without_content_type_is_refused(server):
    request = server.client.build_request("POST", "/v1/keys", content=json.dumps(KEY).encode())
    request.headers.pop("content-type", None)
    problem(server.client.send(request), 415, "input.media_type")


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/orders", "/v1/stock/entries"])
def test_a_body_of_50_mb_is_refused_and_the_client_reads_the_answer(server, path):
    big = b'{"name":"' + b"x" * 50_000_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    problem(server.client.post(path, content=big, headers=headers), 413, "input.too_large")


@pytest.mark.parametrize("path", ["/v1/keys", "/v1/orders"])
def test_a_chunked_body_that_grows_too_large_is_refused(server, path):
    def chunks():
        for _ in range(20):
            yield b" " * 2**20

    headers = {"Content-Type": "application/json"}
    problem(server.client.post(path, content=chunks(), headers=headers), 413, "input.too_large")


def test_a_body_that_never_ends_is_cut_off(server, monkeypatch):
    monkeypatch.setattr("onhand.api.problems._DRAIN_BYTES_MAX", 2**20)
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = (
            "POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {server.admin_key}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode())
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        sent = 0
        try:
            while sent < 200:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
    assert 16 <= sent < 100  # MB


def test_a_wrong_key_is_401_before_the_body_is_read(server):
    with server.as_key("onh_" + "x" * 49) as stranger:
        for path in ("/v1/keys", "/v1/orders"):
            answer = stranger.post(path, content=b"{" * 10, headers={"Content-Type": "text/plain"})
            problem(answer, 401, "auth.required")


def test_a_large_body_is_parsed_off_the_event_loop(server):
    scopes = ["read"] * 10_000
    answer = server.client.post("/v1/keys", json={"name": "x", "scopes": scopes})
    assert [e["path"] for e in problem(answer, 422, "input.invalid")["errors"]] == ["scopes"]


# --- failures --------------------------------------------------------------------------------------------------------


def test_an_unexpected_error_shows_an_id_and_nothing_else(server, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("onhand.flows.keys.create_key", fail)
    with structlog.testing.capture_logs() as logs:
        answer = server.client.post("/v1/keys", json=KEY)
    document = problem(answer, 500, "internal")
    assert "hunter2" not in answer.text
    (entry,) = [e for e in logs if e["event"] == "unexpected error"]
    assert entry["error_id"] == document["error_id"]
    assert "hunter2" in str(entry["exc_info"])
    assert server.client.get("/v1/keys").status_code == 200


def test_a_database_that_is_away_is_503_with_retry_after(server, monkeypatch):
    def fail(*_, **__):
        raise DatabaseUnavailable("the database cannot be reached")

    monkeypatch.setattr(server.app.db, "connection", fail)
    answer = server.client.get("/v1/audit")
    problem(answer, 503, "database.unavailable")
    assert int(answer.headers["retry-after"]) > 0
    ready = server.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "unreachable")
    assert server.client.get("/healthz").status_code == 200


def test_a_value_the_database_refuses_is_bad_input(server, monkeypatch):
    def fail(db, **_):
        with db.connection() as conn:
            conn.execute("SELECT %s::int", ("99999999999999",))

    monkeypatch.setattr("onhand.flows.keys.create_key", fail)
    problem(server.client.post("/v1/keys", json=KEY), 422, "input.invalid")


# --- the dispatcher --------------------------------------------------------------------------------------------------


@pytest.fixture
def hot(server, request):
    """A dispatcher whose only hot route echoes, or fails as told."""
    raised = []

    async def echo(scope, receive, send):
        if raised:
            raise raised[0]
        check_headers(scope["headers"], 1000)
        content = await read_body(receive, 1000)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": content})

    async def unused(scope, receive, send):
        raise AssertionError("not for this one")

    serving = request.getfixturevalue("serving")
    api = Dispatcher(server.edge, {("POST", "/v1/echo"): echo}, unused)
    with serving(api) as base_url, httpx2.Client(base_url=base_url) as client:
        yield client, raised


def test_a_hot_route_is_called_by_exact_method_and_path(hot):
    client, _ = hot
    assert client.post("/v1/echo?x=1", json={"a": 1}).json() == {"a": 1}
    assert client.post("/v1/echo/", json={}).status_code == 500
    assert client.get("/v1/echo").status_code == 500


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded(3), 503, "overloaded"),
        (Conflict("stock.insufficient", "x", missing={"s": 1}), 409, "stock.insufficient"),
        (ZeroDivisionError("x"), 500, "internal"),
    ],
)
def test_errors_of_a_hot_route_are_problems(hot, error, status, code):
    client, raised = hot
    raised.append(error)
    problem(client.post("/v1/echo", json={}), status, code)


def test_a_hot_route_has_the_same_body_rules(hot):
    client, _ = hot
    problem(client.post("/v1/echo", content=b"{}"), 415, "input.media_type")
    headers = {"Content-Type": "application/json"}
    problem(client.post("/v1/echo", content=b"x" * 1001, headers=headers), 413, "input.too_large")
    problem(client.post("/v1/echo", content=iter([b"x" * 600] * 2), headers=headers), 413, "input.too_large")
    assert client.post("/v1/echo", content=iter([b"x" * 500] * 2), headers=headers).status_code == 200


def test_a_client_that_leaves_within_its_body_leaves_no_trace(server, monkeypatch):
    monkeypatch.setattr(body_module, "_CHUNK_TIMEOUT_S", 0.1)
    host, port = server.base_url.removeprefix("http://").split(":")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                head = f"POST /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin_key}\r\n"
                connection.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
                connection.recv(1)  # the server has given up
        assert server.client.get("/v1/keys").status_code == 200
    assert [e for e in logs if e["log_level"] == "error"] == []


# --- health, metrics, documentation ----------------------------------------------------------------------------------


def test_health_and_readiness_need_no_key(server):
    with server.as_key(None) as nobody:
        assert nobody.get("/healthz").json() == {"status": "ok"}
        ready = nobody.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)


def test_a_schema_of_another_version_is_not_ready(server):
    with server.app.db.connection() as conn:
        conn.execute("UPDATE migration SET checksum = 'x' WHERE number = 1")
    answer = server.client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["schema"]) == (503, "of another version")


def test_metrics_count_requests_by_route_and_never_by_address(server):
    server.client.get("/v1/webhooks/019ca7a4-5d00-7000-8000-000000000001")
    server.client.get("/v1/secret-path-of-a-user")
    text = server.client.get("/metrics").text
    assert re.search(
        r'onhand_http_request_seconds_count\{method="GET",route="/v1/webhooks/\{webhook_id\}",status="404"\} [1-9]',
        text,
    )
    assert 'route="unmatched",status="404"' in text
    assert "019ca7a4" not in text
    assert "secret-path" not in text
    for gauge in (
        "onhand_outbox_horizon_age_seconds",
        "onhand_order_queue_depth",
        "onhand_event_streams",
        "onhand_webhook_deliveries_due",
    ):
        assert re.search(rf"^{gauge} \d", text, re.MULTILINE), gauge


def test_metrics_tell_what_is_foreseen_once_something_is(server):
    assert "onhand_outlook" not in server.client.get("/metrics").text
    Foreseer(server.app.state).make()
    text = server.client.get("/metrics").text
    for gauge, value in (("age_seconds", r"\d"), ("seconds", r"\d"), ("orders", "0.0$"), ("positions", "0.0$")):
        assert re.search(rf"^onhand_outlook_{gauge} {value}", text, re.MULTILINE), gauge


def test_the_documentation_loads_nothing_from_elsewhere(server):
    with server.as_key(None) as nobody:
        page = nobody.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r"https?://", page.text) == []
    assert " src=" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.fixture
def openapi(server):
    with server.as_key(None) as nobody:
        return nobody.get("/openapi.json").json()


def operations(document):
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("get", "put", "post", "delete", "patch")
    ]


def test_where_a_key_may_come_it_may_be_in_use(openapi):
    keyed = [
        (path, operation)
        for path, _, operation in operations(openapi)
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
    ]
    assert {path for path, _ in keyed} > {"/v1/keys", "/v1/webhooks", "/v1/orders", "/v1/orders/batch"}
    assert [path for path, operation in keyed if "409" not in operation["responses"]] == []


def contents(document):
    """(what, media type object) of every body and every 2xx answer."""
    for path, method, operation in operations(document):
        bodies = [("body", operation["requestBody"])] if "requestBody" in operation else []
        answers = [(s, r) for s, r in operation["responses"].items() if s.startswith("2") and s != "204"]
        assert answers or {"204", "303"} & operation["responses"].keys(), f"{method} {path} never succeeds"
        for what, part in (*bodies, *answers):
            assert part["content"], f"{method} {path} {what}"
            for media in part["content"].values():
                yield f"{method} {path} {what}", media


def strict(schema):
    """The same schema, which allows only the members it names: a misspelt member is no example."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        k: strict(v) if k not in ("examples", "example", "default", "const", "enum") else v for k, v in schema.items()
    }
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def test_every_body_and_answer_has_an_example_and_it_fits_its_schema(openapi):
    components = strict(openapi["components"])
    wrong = []
    for what, media in contents(openapi):
        if "example" not in media:
            wrong.append(f"{what}: no example")
            continue
        schema = strict(media["schema"]) | {"components": components}
        errors = jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(media["example"])
        wrong += [f"{what}: {error.instance_path} {error.message}"[:300] for error in errors]
    assert wrong == []


def test_openapi_is_3_1_and_every_reference_leads_somewhere(openapi):
    assert openapi["openapi"].startswith("3.1")
    for reference in set(re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(openapi))):
        target = openapi
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_every_operation_of_v1_states_scope_tag_and_problems(openapi):
    for path, method, operation in operations(openapi):
        name = f"{method} {path}"
        assert len(operation["tags"]) == 1, name
        assert operation["tags"][0] in {t["name"] for t in openapi["tags"]}, name
        if not path.startswith("/v1/"):
            continue
        ((scheme, scopes),) = operation["security"][0].items()
        assert (scheme, len(scopes)) == ("apiKey", 1), name
        assert {"401", "403", "422"} <= operation["responses"].keys(), name
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= operation["responses"].keys(), name
        for status, response in operation["responses"].items():
            if status >= "4":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, name
        if "{" in path and method in ("get", "delete"):
            assert "404" in operation["responses"], name


def test_operation_ids_are_unique(openapi):
    ids = [operation["operationId"] for _, _, operation in operations(openapi)]
    assert len(ids) == len(set(ids))


def test_every_operation_demands_the_scope_it_states(server, openapi):
    """With a key of every other scope the answer is 403, and 401 without one; nothing else of the request matters."""
    scopes = ["read", "stock:write", "orders:write", "config:write", "plan:approve"]
    keys = {}
    for scope in scopes:
        others = [s for s in scopes if s != scope]
        keys[scope] = server.client.post("/v1/keys", json={"name": scope, "scopes": others}).json()["key"]
    keys["admin"] = server.client.post("/v1/keys", json={"name": "all but admin", "scopes": scopes}).json()["key"]
    checked = 0
    for path, method, operation in operations(openapi):
        if not path.startswith("/v1/"):
            continue
        (scope,) = operation["security"][0]["apiKey"]
        # The shape of these is part of the route.
        at = re.sub(r"\{(campaign|proposal|run|incident)_id\}", str(UUID(int=0)), path)
        with server.as_key(None) as nobody, server.as_key(keys.get(scope)) as lacking:
            assert nobody.request(method, at).status_code == 401, (method, path)
            if scope == "any":
                continue
            assert lacking.request(method, at).json()["code"] == "auth.scope_missing", (method, path)
        checked += 1
    assert checked > 10


def test_a_second_application_in_a_process_describes_itself_like_the_first(server):
    again = create_api(server.app)
    assert again.edge.openapi() == server.edge.openapi()
