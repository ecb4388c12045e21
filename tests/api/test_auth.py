"""Keys: who gets in, with which scope, and how soon a revoked one stays out."""


def test_a_call_without_a_valid_key_is_401_before_anything_else(server):
    with server.as_key(None) as nobody:
        answer = nobody.post("/v1/keys", content=b"not json")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "auth.required"


def test_a_key_works_until_it_is_revoked(server):
    made = server.client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    with server.as_key(made.json()["key"]) as shop:
        refused = shop.post("/v1/keys", content=b"not json")
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.scope_missing")
        gone = server.client.delete(f"/v1/keys/{made.json()['key_id']}")
        assert gone.status_code == 200, gone.text
        assert shop.post("/v1/keys", json={}).status_code == 401


def test_a_repeat_of_creating_a_key_creates_none_and_keeps_no_secret(server):
    def create(name="till"):
        return server.client.post(
            "/v1/keys",
            json={"name": name, "scopes": ["read"]},
            headers={"Idempotency-Key": "k1"},
        )

    first, again, other = create(), create(), create("other")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json() | {"key": None}
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
