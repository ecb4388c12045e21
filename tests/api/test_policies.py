"""Policies over HTTP."""

import json

import pytest

TEXT = """\
# comment
rules:
  - name: Near
    nodes: node.distance_km < 100.0
  - name: Rest
"""
YAML = {"content-type": "application/yaml"}


def put(client, text=TEXT, name="p", content_type="application/yaml"):
    return client.put(f"/v1/policies/{name}", content=text, headers={"content-type": content_type})


def test_a_policy_is_written_read_and_written_again(server):
    client = server.client
    assert client.get("/v1/policies/p").json()["code"] == "policy.not_found"
    created = put(client)
    assert created.status_code == 201, created.text
    assert created.headers["location"] == "/v1/policies/p/versions/1"
    version = created.json()
    assert (version["label"], version["state"], version["text"]) == ("p@1", "draft", TEXT)
    assert [rule["name"] for rule in version["document"]["rules"]] == ["Near", "Rest"]
    assert version.pop("warnings") == []
    assert client.get("/v1/policies/p/versions/1").json() == version
    again = put(client, TEXT.replace("comment", "other words"))
    assert (again.status_code, again.json() | {"warnings": []}) == (200, version | {"warnings": []})
    as_json = put(client, json.dumps(version["document"]), content_type="application/json")
    assert (as_json.status_code, as_json.json()["version"]) == (200, 1)
    policy = client.get("/v1/policies/p").json()
    assert (policy["latest"], policy["active"], len(policy["versions"])) == (1, None, 1)
    assert policy["updated_by"] == client.get("/v1/key").json()["key_id"]
    assert [p["name"] for p in client.get("/v1/policies").json()["data"]] == ["p", "standard"]
    missing = client.get("/v1/policies/p/versions/2")
    assert (missing.status_code, missing.json()["code"]) == (404, "policy_version.not_found")


def test_lists_page_by_cursor(server):
    for name in ("a", "b", "c"):
        put(server.client, name=name)
    first = server.client.get("/v1/policies?limit=2").json()
    rest = server.client.get("/v1/policies", params={"cursor": first["next_cursor"]}).json()
    assert [p["name"] for p in first["data"] + rest["data"]] == ["a", "b", "c", "standard"]


# body, content type, status, path, part of the message
BAD = [
    ("rules:\n- name: a\n  when: order.x", "application/yaml", 422, "rules[0].when", "line 3, column 15: order has no"),
    ("rule: []", "application/yaml", 422, "rule", "line 1, column 1: unknown field; did you mean 'rules'?"),
    ("a: [", "application/yaml", 422, "", "not YAML"),
    ("a: &a [*a]", "application/yaml", 422, "a", "anchors and aliases"),
    ("", "application/yaml", 422, "", "mapping"),
    ("\xff", "application/yaml", 422, "", "mapping"),
    (b"\xff", "application/yaml", 422, "", "not UTF-8 at byte 0"),
    ('{"rules": 1}', "application/json", 422, "rules", "line 1, column 11: expected a list"),
    ('{"rules": [], "rules": []}', "application/json", 400, "rules", "comes twice"),
    ('{"rules": ', "application/json", 400, "", "not JSON"),
    ("rules: []", "application/json", 400, "", "not JSON"),
    ("[]", "application/json", 422, "", "mapping"),
    ("{}", "text/plain", 415, None, "application/yaml"),
    ("x" * (2**20 + 1), "application/yaml", 413, None, "larger"),
]


@pytest.mark.parametrize("call", ["put", "lint"])
@pytest.mark.parametrize(("body", "content_type", "status", "path", "message"), BAD)
def test_bad_policies_are_told_by_line_and_change_nothing(server, call, body, content_type, status, path, message):
    method, address = ("PUT", "/v1/policies/p") if call == "put" else ("POST", "/v1/policies/p/lint")
    content = body.encode() if isinstance(body, str) else body
    answer = server.client.request(method, address, content=content, headers={"content-type": content_type})
    if call == "lint" and status == 422 and not isinstance(body, bytes):
        assert answer.status_code == 200
        assert not answer.json()["is_usable"]
        assert path in [f["path"] for f in answer.json()["findings"]]
        return
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert message in answer.text.replace('\\"', '"')
    if path is not None:
        assert path in [e["path"] for e in answer.json()["errors"]]
    with server.app.db.connection() as conn:
        assert conn.execute("SELECT count(*) FROM policy").fetchone() == (1,)


def test_lint_tells_warnings_and_writes_nothing(server):
    answer = server.client.post("/v1/policies/x/lint", content="weights: {tax_duty: 2}", headers=YAML).json()
    assert answer == {
        "is_usable": True,
        "findings": [
            {
                "severity": "warning", "line": 1, "column": 21, "path": "weights.tax_duty",
                "message": "tax_duty is money already: its weight is not used",
                "remedy": "remove it, or weigh the other terms",
            }
        ],
    }  # fmt: skip
    assert server.client.get("/v1/policies/x").status_code == 404


def test_promotion_and_rollback(server):
    client = server.client
    put(client, name="standard")
    path = "/v1/policies/standard"
    refused = client.post(f"{path}/promote", json={"to": "active"})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "why")
    moved = client.post(f"{path}/promote", json={"to": "canary", "share": 0.2, "why": "x"})
    assert moved.json() == {
        "name": "standard", "moves": [{"version": 2, "state": "canary", "share": 0.2, "why": "x"}]
    }  # fmt: skip
    assert client.get(path).json()["share"] == 0.2
    headers = {"Idempotency-Key": "k"}
    first = client.post(f"{path}/promote", json={"to": "active"}, headers=headers)
    assert [m["state"] for m in first.json()["moves"]] == ["retired", "active"]
    again = client.post(f"{path}/promote", json={"to": "active"}, headers=headers)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert client.get(path).json()["active"] == 2
    back = client.post(f"{path}/rollback", json={"why": "late"})
    assert [(m["version"], m["state"]) for m in back.json()["moves"]] == [(2, "retired"), (1, "active")]
    nothing = client.post(f"{path}/rollback", json={"why": "late"})
    assert (nothing.status_code, nothing.json()["code"]) == (409, "policy.nothing_before")
    needed = client.post(f"{path}/promote", json={"to": "retired", "version": 1})
    assert (needed.status_code, needed.json()["code"]) == (409, "policy.needed")
    history = client.get(f"{path}/versions/2").json()["history"]
    assert [h["state"] for h in history] == ["draft", "canary", "active", "retired"]
    assert client.post("/v1/policies/none/rollback", json={"why": "x"}).status_code == 404
    assert client.post(f"{path}/promote", json={"to": "active", "version": 7}).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("promote", {"to": "draft"}, "to"),
        ("promote", {"to": "canary", "share": 1}, "share"),
        ("promote", {"to": "canary", "version": 0}, "version"),
        ("promote", {"to": "shadow", "share": 0.5}, "share"),
        ("promote", {}, "to"),
        ("rollback", {}, "why"),
        ("rollback", {"why": " "}, "why"),
    ],
)
def test_bad_moves_name_the_field(server, path, body, field):
    put(server.client)
    answer = server.client.post(f"/v1/policies/p/{path}", json=body)
    assert answer.status_code == 422
    assert [e["path"] for e in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("name", ["A", "1", "a b", "x" * 65, "a%2Fb"])
def test_names_are_plain(server, name):
    assert put(server.client, name=name).status_code in (404, 422)


def test_writing_needs_its_scope(server):
    key = server.client.post("/v1/keys", json={"name": "r", "scopes": ["read"]}).json()["key"]
    with server.as_key(key) as reader:
        assert reader.get("/v1/policies").status_code == 200
        assert reader.post("/v1/policies/p/lint", content=TEXT, headers=YAML).status_code == 200
        assert put(reader).status_code == 403
        for path in ("promote", "rollback"):
            assert reader.post(f"/v1/policies/standard/{path}", json={"why": "x"}).status_code == 403
    with server.as_key(None) as nobody:
        assert put(nobody).status_code == 401


def test_every_change_is_in_the_audit_log(server):
    put(server.client)
    server.client.post("/v1/policies/p/promote", json={"to": "shadow"}, headers={"X-Reason": "trial"})
    rows = server.client.get("/v1/audit?kind=policy.changed").json()["data"]
    assert [(r["subject"], r["data"]["state"], r["reason"]) for r in rows] == [
        ("p", "shadow", "trial"), ("p", "draft", None),
    ]  # fmt: skip


def test_the_documented_body_is_a_policy(server):
    document = server.client.get("/openapi.json").json()
    content = document["paths"]["/v1/policies/{name}"]["put"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/yaml"}
    schema = content["application/json"]["schema"]
    assert "$ref" not in json.dumps(schema)
    assert schema["additionalProperties"] is False
    for example in schema["examples"]:
        assert put(server.client, json.dumps(example), content_type="application/json").status_code == 201


def test_trials_show_what_orders_came_to_beside_the_active_version(server):
    assert server.client.get("/v1/policies/p/trials").json()["code"] == "policy.not_found"
    put(server.client, name="standard")
    assert server.client.get("/v1/policies/standard/trials").json() == {"name": "standard", "trials": []}
    body = {"to": "canary", "share": 0.25, "why": "a test"}
    assert server.client.post("/v1/policies/standard/promote", json=body).status_code == 200
    (trial,) = server.client.get("/v1/policies/standard/trials").json()["trials"]
    assert (trial["state"], trial["version"], trial["share"], trial["breach"]) == ("canary", 2, 0.25, None)
    assert [(o["version"], o["orders"], o["split_share"]) for o in trial["outcomes"]] == [(2, 0, None), (1, 0, None)]
