"""Keys: who gets in, with which scope, and how soon a revoked one stays out."""

import asyncio
import base64
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand import access
from onhand.access import is_plausible, mint
from onhand.api import auth
from onhand.api.auth import KeyRing, ensure_admin_key
from onhand.base.actor import SYSTEM
from onhand.errors import DatabaseUnavailable, Forbidden, InvalidInput, Unauthorised
from onhand.flows.keys import create_key, revoke_key


def bearer(key):
    return [(b"host", b"x"), (b"authorization", b"Bearer " + key.encode())]


def test_a_call_without_a_valid_key_is_401_before_anything_else(server):
    with server.as_key(None) as nobody:
        answer = nobody.post("/v1/keys", content=b"not json")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "auth.required"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Basic abc", "bearer", "Bearer onh_", "Bearer " + "x" * 600, "Bearer onh_" + "a" * 49,
     "Bearer a b", "Token {key}", "{key}", "Bearer  {key}x", "Bearer {key},{key}", "Bearer \u00e9"],
)  # fmt: skip
def test_what_is_no_key_is_401(server, header):
    text = header.format(key=server.admin_key).encode("latin-1")
    answer = server.client.get("/v1/keys", headers={"Authorization": text})
    assert answer.status_code == 401


def test_the_scheme_is_read_without_case(server):
    for scheme in ("bearer", "BEARER"):
        answer = server.client.get("/v1/keys", headers={"Authorization": f"{scheme} {server.admin_key}"})
        assert answer.status_code == 200


def test_a_key_works_until_it_is_revoked(server):
    made = server.client.post("/v1/keys", json={"name": "shop", "scopes": ["read"]})
    assert made.status_code == 201, made.text
    with server.as_key(made.json()["key"]) as shop:
        refused = shop.post("/v1/keys", content=b"not json")
        assert (refused.status_code, refused.json()["code"], refused.json()["scope"]) == (
            403,
            "auth.scope_missing",
            "admin",
        )
        gone = server.client.delete(f"/v1/keys/{made.json()['key_id']}")
        assert gone.status_code == 200, gone.text
        assert shop.post("/v1/keys", json={}).status_code == 401
    assert server.client.delete("/v1/keys/4711").json()["code"] == "key.not_found"
    assert server.client.delete("/v1/keys/99999999999").status_code == 422


def test_a_key_cannot_revoke_itself(server):
    (own,) = server.client.get("/v1/keys").json()["data"]
    refused = server.client.delete(f"/v1/keys/{own['key_id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "key.own")
    assert server.client.get("/v1/keys").status_code == 200


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


def test_a_key_learns_what_it_may_do(server):
    body = {"name": "agent", "scopes": ["tool:reserve_stock", "read"]}
    made = server.client.post("/v1/keys", json=body).json()
    with server.as_key(made["key"]) as agent:
        own = {"key_id": made["key_id"], "name": "agent", "scopes": ["read", "tool:reserve_stock"]}
        assert agent.get("/v1/keys/current").json() == own
        # A scope of a tool is none of the interface.
        assert agent.post("/v1/reservations", json={}).status_code == 403
    assert server.client.get("/v1/keys/current").json()["scopes"] == ["admin"]
    assert server.client.post("/v1/keys", json=body | {"scopes": ["tool:none"]}).status_code == 422


def test_only_the_hash_of_a_key_is_stored(server, dsn):
    key = server.client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}).json()["key"]
    secret = key[12:]
    with server.app.db.connection() as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            found = conn.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s".encode(), (f"%{secret}%",))
            assert found.fetchone() == (0,), table


def test_keys_are_listed_by_page(server):
    for n in range(5):
        server.client.post("/v1/keys", json={"name": f"k{n}", "scopes": ["read"]})
    names, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = server.client.get("/v1/keys", params=params).json()
        assert len(page["data"]) <= 2
        names += [k["name"] for k in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert names == ["admin", "k0", "k1", "k2", "k3", "k4"]


# --- what a key looks like -------------------------------------------------------------------------------------------


def test_fresh_keys_are_plausible_and_different():
    keys = {mint() for _ in range(100)}
    assert len(keys) == 100
    assert all(is_plausible(k) and k.startswith("onh_") and len(k) == 53 for k in keys)


@given(st.integers(4, 52), st.sampled_from("ABCxyz019-_"))
def test_a_mistyped_key_is_told_without_the_database(position, letter):
    key = mint()
    typed = key[:position] + letter + key[position + 1 :]
    assert is_plausible(typed) == (typed == key)


# --- the first key ---------------------------------------------------------------------------------------------------


def test_the_first_key_is_made_once_by_processes_that_start_together(db):
    with db.connect() as first, ThreadPoolExecutor(1) as pool:
        first.execute("BEGIN")
        assert access.lock_admin_keys(first) == 0
        second = pool.submit(ensure_admin_key, db, None)
        waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM"
        deadline = time.monotonic() + 20
        while (
            not second.done() and not first.execute(f"{waits} pg_database WHERE datname = current_database())").rowcount
        ):
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        assert access.add_key(first, name="admin", prefix="p", hash_=b"h", scopes={"admin"})
        first.execute("COMMIT")
        assert second.result(20) is None


def test_a_first_key_opens_everything(db):
    made = ensure_admin_key(db, None)
    assert made is not None
    with db.connection() as conn:
        principal = access.find_live(conn, access.digest(made))
    assert principal is not None
    assert principal.scopes == {"admin"}
    assert ensure_admin_key(db, None) is None


def test_the_key_of_the_settings_is_stored_once_and_not_shown(db):
    assert ensure_admin_key(db, "my-own-key") is None
    assert ensure_admin_key(db, "my-own-key") is None
    with db.connection() as conn:
        (row,) = access.list_keys(conn)
    assert row.scopes == ["admin"]
    assert "my-own-key" not in row.prefix


def test_a_revoked_key_of_the_settings_stays_revoked(db):
    ensure_admin_key(db, "my-own-key")
    revoke_key(db, 1, by=SYSTEM)
    ensure_admin_key(db, "my-own-key")
    with db.connection() as conn:
        assert access.find_live(conn, access.digest("my-own-key")) is None


def test_when_every_admin_key_is_revoked_the_next_start_makes_one(db):
    assert ensure_admin_key(db, None)
    revoke_key(db, 1, by=SYSTEM)
    assert ensure_admin_key(db, None)


@pytest.mark.parametrize("scopes", [[], ["root"], ["read", "*"]])
def test_a_key_needs_known_scopes(db, scopes):
    with pytest.raises(InvalidInput, match="scope"):
        create_key(db, name="x", scopes=scopes, by=SYSTEM)


# --- the ring --------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(db):
    return create_key(db, name="shop", scopes=["orders:write"], by=SYSTEM)


def test_the_second_use_of_a_key_needs_no_database(db, key, monkeypatch):
    async def go():
        ring = KeyRing(db)
        assert ring.cached(bearer(key.key), "orders:write") is None
        first = await ring.authorise(bearer(key.key), "orders:write")
        monkeypatch.setattr(db, "connection", None)
        assert ring.cached(bearer(key.key), "orders:write") is first
        assert await ring.authorise(bearer(key.key), "orders:write") is first
        with pytest.raises(Forbidden):
            ring.cached(bearer(key.key), "read")
        with pytest.raises(Unauthorised):
            ring.cached([(b"host", b"x")], "read")

    asyncio.run(go())


def test_a_key_revoked_elsewhere_is_dead_within_five_seconds(db, key, monkeypatch):
    """This ring hears of nothing: its clock is moved instead."""
    now = 1000.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: now)

    async def go():
        nonlocal now
        ring = KeyRing(db)
        await ring.authorise(bearer(key.key), "orders:write")
        revoke_key(db, key.key_id, by=SYSTEM)
        now += 1.9
        assert ring.cached(bearer(key.key), "orders:write") is not None
        now += 3.1
        with pytest.raises(Unauthorised):
            await ring.authorise(bearer(key.key), "orders:write")
        assert ring.cached(bearer(key.key), "orders:write") is None

    asyncio.run(go())


def test_a_busy_key_is_read_again_in_the_background(db, key, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: now)

    async def go():
        nonlocal now
        ring = KeyRing(db)
        await ring.authorise(bearer(key.key), "orders:write")
        for _ in range(20):  # used every second, it is never waited for
            now += 1.0
            assert ring.cached(bearer(key.key), "orders:write") is not None
            await asyncio.gather(*ring._tasks)
        revoke_key(db, key.key_id, by=SYSTEM)
        now += 2.1
        assert ring.cached(bearer(key.key), "orders:write") is not None
        await asyncio.gather(*ring._tasks)  # sees the revocation
        assert ring.cached(bearer(key.key), "orders:write") is None

    asyncio.run(go())


def test_while_the_database_is_away_a_key_is_believed_for_its_time_and_no_longer(db, key, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(auth.time, "monotonic", lambda: now)

    def away():
        raise DatabaseUnavailable("away")

    async def go():
        nonlocal now
        ring = KeyRing(db)
        await ring.authorise(bearer(key.key), "orders:write")
        monkeypatch.setattr(db, "connection", away)
        now += 4.0
        assert ring.cached(bearer(key.key), "orders:write") is not None
        await asyncio.gather(*ring._tasks)
        now += 1.1
        with pytest.raises(DatabaseUnavailable):
            await ring.authorise(bearer(key.key), "orders:write")

    asyncio.run(go())


def test_what_was_read_before_a_change_is_not_kept_after_it(db, key):
    async def go():
        ring = KeyRing(db)
        find = ring._find

        def slow(digest):
            found = find(digest)
            ring.forget()  # the key changes while its answer is on the way
            return found

        ring._find = slow
        await ring.authorise(bearer(key.key), "orders:write")
        assert ring.cached(bearer(key.key), "orders:write") is None

    asyncio.run(go())


def test_a_thousand_forged_keys_open_nothing_and_fill_no_memory(db, key):
    async def go():
        ring = KeyRing(db)
        for n in range(1000):
            body = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
            forged = mint() if n % 2 else "onh_" + body + key.key[-6:]
            with pytest.raises(Unauthorised):
                await ring.authorise(bearer(forged), "orders:write")
        assert len(ring._known) == 0

    asyncio.run(go())


def test_looking_a_key_up_costs_microseconds(db, key):
    async def go():
        ring = KeyRing(db)
        headers = bearer(key.key)
        await ring.authorise(headers, "orders:write")
        best = min(_timed(lambda: ring.cached(headers, "orders:write")) for _ in range(2000))
        assert best < 50e-6

    asyncio.run(go())


def _timed(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
