"""People sign in at a provider and get a key that ends; whoever forges, replays or mixes up gets none."""

import asyncio
import base64
import hmac
import json
import re
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.issuer import CLIENT, GRANTS, Issuer, database, open_door, sign_with

from onhand import access
from onhand.access import mint
from onhand.access.oidc import Errand, Grants, NotSignedIn, claims_of, name_of
from onhand.errors import SettingsError
from onhand.flows import sign_in
from onhand.flows.sign_in import Client, SignIn
from onhand.settings import Settings

from ..conftest import at  # noqa: TID252


@pytest.fixture(scope="module")
def house(server_url, admin, template):
    """One server for all tests here: none leaves anything behind but keys."""
    with database(admin, template) as name, open_door(at(server_url, name)) as door:
        yield door


@pytest.fixture
def door(house):
    """As on the first day: an honest provider, of which nothing is known yet."""
    fresh = Issuer(url=house.issuer.url)
    for field in fields(Issuer):
        setattr(house.issuer, field.name, getattr(fresh, field.name))
    house.edge.sign_in.forget()
    return house


def test_a_person_signs_in_works_and_signs_out(door):
    assert httpx2.get(f"{door.url}/sign-in").json() == {"issuer": door.issuer.url}
    with door.browser() as browser:
        assert door.enters(browser, to="/orders?status=held") == "/orders?status=held&signed_in=1"
        got = browser.post("/sign-in/key").json()
        assert browser.post("/sign-in/key").status_code == 401  # handed over once
    hours = (datetime.fromisoformat(got["expires_at"]) - datetime.now(UTC)) / timedelta(hours=1)
    assert 11.9 < hours <= 12
    with httpx2.Client(base_url=door.url, headers={"Authorization": f"Bearer {got['key']}"}) as ada:
        own = ada.get("/v1/key").json()
        assert (own["name"], own["scopes"]) == ("Ada Lovelace, ada@example.org", ["orders:write", "read"])
        assert ada.put("/v1/items/X", json={"name": "x"}).json()["code"] == "auth.scope_missing"
        (listed,) = [k for k in door.admin.get("/v1/keys").json()["data"] if k["key_id"] == own["key_id"]]
        assert (listed["expires_at"] is not None, listed["revoked_at"]) == (True, None)
        assert ada.delete("/v1/key").status_code == 200
        assert ada.get("/v1/key").status_code == 401
    (made, ended) = door.admin.get("/v1/audit", params={"subject": str(own["key_id"])}).json()["data"][::-1]
    assert made["reason"] == f"signed in at {door.issuer.url} as 17"
    assert (ended["actor"], ended["data"]["status"]) == (own["key_id"], "revoked")


def test_a_key_ends_by_itself_and_one_that_stays_cannot_end_itself(door):
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = door.admin.post("/v1/keys", json={"name": "audit", "scopes": ["read"], "expires_at": soon}).json()
    with httpx2.Client(base_url=door.url, headers={"Authorization": f"Bearer {made['key']}"}) as client:
        assert client.get("/v1/key").status_code == 200
        gone = mint()
        over = datetime.now(UTC) - timedelta(seconds=1)
        door.edge.app.db.transact(lambda conn: store_key(conn, gone, expires_at=over))
        assert client.get("/v1/key", headers={"Authorization": f"Bearer {gone}"}).status_code == 401
    assert door.admin.delete("/v1/key").json()["code"] == "key.own"


def store_key(conn, key, *, expires_at, name="old"):
    """As if it had been made long ago."""
    found = {"name": name, "prefix": access.prefix(key), "hash_": access.digest(key), "scopes": {"read"}}
    return access.add_key(conn, **found, expires_at=expires_at)


def test_a_key_that_would_be_over_is_not_made_and_a_repeat_answers_as_before(door, monkeypatch):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    body = {"name": "old", "scopes": ["read"], "expires_at": past}
    refused = door.admin.post("/v1/keys", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "expires_at")
    body["expires_at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    once = {"Idempotency-Key": "a key that ends"}
    made = door.admin.post("/v1/keys", json=body, headers=once).json()

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=2)

    monkeypatch.setattr("onhand.flows.keys.datetime", Later)
    again = door.admin.post("/v1/keys", json=body, headers=once)
    assert (again.status_code, again.json()) == (201, made | {"key": None})


def test_live_keys_are_those_that_let_somebody_in_newest_first(door):
    now = datetime.now(UTC)
    ends = {name: None if hours is None else now + timedelta(hours=hours) for name, hours in ENDS.items()}
    ids = door.edge.app.db.transact(
        lambda conn: {name: store_key(conn, mint(), name=name, expires_at=at).key_id for name, at in ends.items()}
    )
    assert door.admin.delete(f"/v1/keys/{ids['revoked']}").status_code == 200

    def names(**query):
        found, cursor = [], {}
        while cursor is not None:
            page = door.admin.get("/v1/keys", params=query | cursor | {"limit": 2}).json()
            found += [row["name"] for row in page["data"] if row["key_id"] in ids.values()]
            cursor = page["next_cursor"] and {"cursor": page["next_cursor"]}
        return found

    assert names() == list(ENDS)
    assert names(order="desc") == list(ENDS)[::-1]
    assert names(live=True) == ["for ever", "for a while"]
    assert names(live=True, order="desc") == ["for a while", "for ever"]


# When each ends, in hours from now.
ENDS = {"over": -1, "for ever": None, "revoked": None, "for a while": 1}


@pytest.mark.parametrize("scope", ["orders:write", "tool:reserve_stock"])
def test_whoever_has_a_key_that_ends_may_sign_out(door, scope):
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    key = door.admin.post("/v1/keys", json={"name": "x", "scopes": [scope], "expires_at": soon}).json()["key"]
    own = {"Authorization": f"Bearer {key}"}
    assert httpx2.get(f"{door.url}/v1/key", headers=own).status_code == 403
    assert httpx2.delete(f"{door.url}/v1/key", headers=own).status_code == 200
    assert httpx2.delete(f"{door.url}/v1/key", headers=own).status_code == 401


def test_who_has_no_group_gets_nothing_and_the_provider_may_refuse(door):
    door.issuer.claims["groups"] = ["sales"]
    assert door.refuses() == "not_granted"
    door.issuer.claims["groups"] = "admins"  # one value may come without a list
    with door.browser() as browser:
        door.enters(browser)
        key = browser.post("/sign-in/key").json()["key"]
        own = browser.get("/v1/key", headers={"Authorization": f"Bearer {key}"}).json()
    assert own["scopes"] == ["admin"]
    door.issuer.refuses = "access_denied"
    assert door.refuses() == "refused"


def _other_key():
    return sign_with(rsa.generate_private_key(65537, 2048))


def _with_the_public_key_as_a_secret(issuer):
    """The oldest forgery: what everybody may read, taken for a shared secret. By hand, for libraries refuse to."""
    pem = issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    def sign(claims):
        signed = part(b'{"alg":"HS256","kid":"1"}') + b"." + part(json.dumps(claims).encode())
        return (signed + b"." + part(hmac.digest(pem, signed, "sha256"))).decode()

    return sign


FORGERIES = {
    "another key": lambda issuer: setattr(issuer, "sign", _other_key()),
    "no signature": lambda issuer: setattr(issuer, "sign", lambda claims: jwt.encode(claims, None, "none")),
    "shared secret": lambda issuer: setattr(issuer, "sign", _with_the_public_key_as_a_secret(issuer)),
    "no token": lambda issuer: setattr(issuer, "sign", lambda claims: "not a token"),
} | {
    name: lambda issuer, change=change: setattr(issuer, "change", lambda claims: claims | change)
    for name, change in {
        "another issuer": {"iss": "https://elsewhere.example"},
        "another client": {"aud": "shop"},
        "another party": {"azp": "shop"},
        "shared without a party": {"aud": [CLIENT, "shop"]},
        "another errand": {"nonce": "of another sign-in"},
        "over": {"exp": 1_700_000_000},
        "from the future": {"iat": int(time.time()) + 3600},
    }.items()
} | {
    f"without {name}": lambda issuer, name=name: setattr(
        issuer, "change", lambda claims: {k: v for k, v in claims.items() if k != name}
    )
    for name in ("exp", "iat", "nonce", "sub", "aud", "iss")
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_lets_nobody_in(door, forgery):
    FORGERIES[forgery](door.issuer)
    before = len(door.admin.get("/v1/keys").json()["data"])
    assert door.refuses() == "invalid"
    assert len(door.admin.get("/v1/keys").json()["data"]) == before


def test_an_answer_belongs_to_the_browser_that_asked_and_is_good_for_once(door):
    with door.browser() as ada, door.browser() as eve:
        answer = door.comes_back(ada)
        assert eve.get(answer).headers["location"] == "/?refused=expired"  # no errand of hers
        door.comes_back(eve)
        assert eve.get(answer).headers["location"] == "/?refused=expired"  # another errand
        assert ada.get(answer).headers["location"] == "/?signed_in=1"
        again = ada.get(answer).headers["location"]
        assert again == "/?refused=expired"
        other = door.comes_back(ada)
        mixed = ada.get(other.replace("iss=", "iss=x")).headers["location"]
        assert mixed == "/?refused=invalid"
    with door.browser() as made_up:
        made_up.cookies.set("onhand_errand", "made up", path="/sign-in")
        assert made_up.get(answer).headers["location"] == "/?refused=expired"
        made_up.cookies.set("onhand_key", "made up", path="/sign-in")
        assert made_up.post("/sign-in/key").status_code == 401


def bring(address, errand):
    """Where somebody ends up who comes back with this cookie, whatever a browser would have kept."""
    return httpx2.get(address, headers={"cookie": f"onhand_errand={errand}"}, timeout=30).headers["location"]


def test_who_comes_back_again_with_the_same_errand_costs_the_provider_nothing(door, monkeypatch):
    monkeypatch.setattr(sign_in, "_SPENT_MAX", 2)
    with door.browser() as eve:

        def come(errand, query):
            return bring(f"{door.url}/sign-in/callback?{query}", errand)

        errands = []
        for _ in range(3):
            query = urlsplit(door.comes_back(eve)).query
            errands.append((eve.cookies["onhand_errand"], re.sub("code=[^&]*", "code=junk", query)))
        assert [come(*errands[0]) for _ in range(5)] == ["/?refused=invalid"] + 4 * ["/?refused=expired"]
        assert door.issuer.codes_brought == 1
        assert [come(*errand) for errand in errands[1:]] == 2 * ["/?refused=invalid"]
        # What is remembered has an end: the oldest goes first.
        assert [come(*errands[n]) for n in (2, 1, 0)] == 2 * ["/?refused=expired"] + ["/?refused=invalid"]
    assert len(door.edge.sign_in._spent) == 2


def test_too_many_at_once_are_asked_to_come_again_and_may(door, monkeypatch):
    monkeypatch.setattr(sign_in, "_EXCHANGES_MAX", 1)
    door.issuer.stops = threading.Event()
    with door.browser() as ada, door.browser() as bob, ThreadPoolExecutor(1) as at_once:
        first, second = door.comes_back(ada), door.comes_back(bob)
        waiting = at_once.submit(ada.get, first)
        try:
            assert door.issuer.asked.wait(20)
            busy = bob.get(second)
        finally:
            door.issuer.stops.set()
        assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "overloaded", "2")
        assert waiting.result().headers["location"] == "/?signed_in=1"
        assert bob.get(second).headers["location"] == "/?signed_in=1"


def test_a_provider_that_is_gone_is_asked_once_in_a_while_and_by_one_for_all(door, monkeypatch):
    door.issuer.is_down = True
    with door.browser() as browser:
        begun = [browser.get("/sign-in/begin").headers["location"] for _ in range(3)]
        assert (begun, door.issuer.configurations_read) == (3 * ["/?refused=unreachable"], 1)
        monkeypatch.setattr(sign_in, "_GONE_S", -1.0)
        door.issuer.is_down = False
        assert door.enters(browser) == "/?signed_in=1"
        assert door.issuer.configurations_read == 2

    async def begin_together():
        fresh = SignIn(door.edge.sign_in.client, door.edge.app.connectors, door.edge.app.db)
        await asyncio.gather(*(fresh.begin("/") for _ in range(5)))
        await fresh.close()

    asyncio.run(begin_together())
    assert door.issuer.configurations_read == 3


def test_certificates_are_read_at_the_start_only_and_connections_are_kept(door, monkeypatch):
    """Reading them takes a tenth of a second, in which the process answers nobody."""

    real = ssl.create_default_context

    def read(*args, **options):
        assert threading.current_thread().name != "test server", "read certificates on the event loop"
        return real(*args, **options)

    with door.browser() as browser:
        assert door.enters(browser) == "/?signed_in=1"
        (line,) = door.edge.sign_in._caller._lines.values()
        monkeypatch.setattr(ssl, "create_default_context", read)
        assert door.enters(browser) == "/?signed_in=1"
        assert list(door.edge.sign_in._caller._lines.values()) == [line]


def test_a_key_is_handed_over_once_whoever_keeps_the_cookie_and_whichever_process_is_asked(door):
    with door.browser() as browser:
        before = len(door.admin.get("/v1/keys").json()["data"])
        door.enters(browser)
        kept = browser.cookies["onhand_key"]
        assert len(door.admin.get("/v1/keys").json()["data"]) == before  # nothing that nobody fetches

        def fetch():
            return httpx2.post(f"{door.url}/sign-in/key", headers={"cookie": f"onhand_key={kept}"}, timeout=30)

        with ThreadPoolExecutor(4) as at_once:
            answers = [call.result() for call in [at_once.submit(fetch) for _ in range(4)]]
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
        (got,) = [answer.json()["key"] for answer in answers if answer.status_code == 200]
        assert browser.get("/v1/key", headers={"Authorization": f"Bearer {got}"}).status_code == 200
    elsewhere = SignIn(door.edge.sign_in.client, door.edge.app.connectors, door.edge.app.db)
    with pytest.raises(NotSignedIn, match="fetched before"):
        elsewhere.take(kept)
    assert len(door.admin.get("/v1/keys").json()["data"]) == before + 1


def test_what_was_sealed_for_one_purpose_is_good_for_no_other(door):
    seal = door.edge.app.connectors.seal
    with door.browser() as browser:
        door.enters(browser)
        handover = browser.cookies["onhand_key"]
        answer = door.comes_back(browser)
        errand = browser.cookies["onhand_errand"]
        torn = {"for": "errand", "at": int(time.time()), "what": {}}
        others = [seal.close(json.dumps(one)) for one in ({"access_token": "shpat"}, [], 7, "x", None, torn)]
        renamed = seal.close(json.dumps(json.loads(seal.open(errand)) | {"for": "key"}))
        for kept in (handover, renamed, *others):
            assert bring(answer, kept) == "/?refused=expired"
        for kept in (errand, *others, seal.close(json.dumps(torn | {"for": "key"}))):
            fetched = httpx2.post(f"{door.url}/sign-in/key", headers={"cookie": f"onhand_key={kept}"})
            assert fetched.status_code == 401, fetched.text


def test_what_a_browser_keeps_has_its_time(door, monkeypatch):
    monkeypatch.setattr(sign_in, "HANDOVER_S", -1)
    with door.browser() as browser:
        door.enters(browser)
        assert browser.post("/sign-in/key").status_code == 401
        monkeypatch.setattr(sign_in, "ERRAND_S", -1)
        assert browser.get(door.comes_back(browser)).headers["location"] == "/?refused=expired"


@pytest.mark.parametrize("methods", [None, "client_secret_basic", 7, ["client_secret_basic", "x"]])
def test_a_provider_that_says_nothing_clear_of_secrets_gets_them_as_is_usual(door, methods):
    door.issuer.says = {"token_endpoint_auth_methods_supported": methods}
    with door.browser() as browser:
        assert door.enters(browser) == "/?signed_in=1"


@pytest.mark.parametrize("length", [200, 2_000])
def test_a_name_of_any_script_fits_into_a_cookie(door, length):
    door.issuer.claims |= {"name": "\U00020000" * length, "sub": "\U00020000\ud800\0" * length}
    with door.browser() as browser:
        done = browser.get(door.comes_back(browser))
        (handed,) = [v for k, v in done.headers.multi_items() if k == "set-cookie" and v.startswith("onhand_key=")]
        assert len(handed) < 4096  # RFC 6265 section 6.1
        got = browser.post("/sign-in/key")
        assert got.status_code == 200, got.text


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "orders", "/\tx", ""])
def test_nobody_is_sent_elsewhere_afterwards(door, to):
    with door.browser() as browser:
        assert door.enters(browser, to=to) == "/?signed_in=1"


def test_new_keys_of_the_provider_are_read_when_a_token_names_one(door, monkeypatch):
    with door.browser() as browser:
        door.enters(browser)
        door.enters(browser)
        assert door.issuer.key_sets_read == 1
        door.issuer.key, door.issuer.kid = rsa.generate_private_key(65537, 2048), "2"
        assert door.enters(browser) == "/?refused=invalid"  # asked for again at most every half minute
        assert door.issuer.key_sets_read == 1
        monkeypatch.setattr(sign_in, "_ASKED_AGAIN_S", -1.0)
        assert door.enters(browser) == "/?signed_in=1"
        assert door.issuer.key_sets_read == 2


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(door):
    with door.browser() as browser:
        begun = browser.get("/sign-in/begin").headers["set-cookie"]
        with httpx2.Client(follow_redirects=False) as provider:
            back = provider.get(browser.get("/sign-in/begin").headers["location"]).headers["location"]
        done = browser.get(back)
        cookies = [value for name, value in done.headers.multi_items() if name == "set-cookie"]
        (handed,) = [c for c in cookies if c.startswith("onhand_key=")]
    assert {"HttpOnly", "SameSite=lax", "Path=/sign-in", "Max-Age=600"} <= set(begun.split("; "))
    assert {"HttpOnly", "SameSite=strict", "Path=/sign-in", "Max-Age=60"} <= set(handed.split("; "))
    assert "onh_" not in handed and done.headers["cache-control"] == "no-store"


def test_without_a_provider_there_is_nothing_to_sign_in_at(server):
    assert httpx2.get(f"{server.base_url}/sign-in").json() == {"issuer": None}
    for call in (("GET", "begin"), ("GET", "callback"), ("POST", "key")):
        assert httpx2.request(call[0], f"{server.base_url}/sign-in/{call[1]}").status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"public_url": None}, "public_url: needed"),
        ({"public_url": "https://example.org/onhand"}, "public_url: the console is served at the root of a host"),
        ({"oidc_client_id": None}, "oidc_client_id: needed"),
        ({"oidc_grants": ()}, "oidc_grants: nobody may do anything"),
        ({"oidc_grants": ("ops=write",)}, "oidc_grants: unknown scope 'write' in 'ops=write'"),
        ({"oidc_grants": ("read",)}, "oidc_grants: 'read' names no group"),
    ],
)
def test_what_is_set_by_half_is_named_at_the_start(change, words):
    whole = {
        "public_url": "https://onhand.example.org/", "oidc_issuer": "https://id.example.org", "oidc_client_id": "x",
        "oidc_grants": ("*=read",),
    }  # fmt: skip
    client = Client.of(Settings(**whole))
    assert client is not None and client.redirect_uri == "https://onhand.example.org/sign-in/callback"
    with pytest.raises(SettingsError) as error:
        Client.of(Settings(**(whole | change)))
    assert str(error.value).startswith(words)
    assert Client.of(Settings()) is None


@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.text() | st.lists(st.text())),
    st.sampled_from([["ops"], "ops", ["a", 3, None], None, 7, {"ops": 1}]),
)
def test_whatever_a_provider_claims_is_granted_or_refused_in_words(claims, groups):
    grants = Grants.parse("groups", GRANTS)
    told = claims | {"groups": groups, "sub": "17"}
    assert 0 < len(name_of(told)) <= 200 or told.get("name") == told.get("email") == told["sub"] == ""
    if groups in (["ops"], "ops"):
        assert grants.of(told) == {"read", "orders:write"}
    else:
        with pytest.raises(NotSignedIn):
            grants.of(told)


KEY = rsa.generate_private_key(65537, 2048)
JWKS = {"keys": [jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "1"}]}


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_no_token_that_was_changed_is_believed(data):
    """A thousand tokens, each with some characters changed."""
    nonce, now = "n" * 43, int(time.time())
    claims = {"iss": "https://id.example", "aud": CLIENT, "sub": "17", "iat": now, "exp": now + 300, "nonce": nonce}
    whole = TOKEN.setdefault(now // 60, sign_with(KEY)(claims))
    place = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.text("abcXYZ019-_.", min_size=0, max_size=5))
    forged = whole[:place] + change + whole[place + data.draw(st.integers(0, 5)) :]
    check = {"issuer": "https://id.example", "client_id": CLIENT, "nonce": nonce}
    assert claims_of(whole, JWKS, **check)["sub"] == "17"
    if _decoded(forged) == _decoded(whole):
        return
    with pytest.raises(NotSignedIn):
        claims_of(forged, JWKS, **check)


TOKEN: dict[int, str] = {}


def _decoded(token):
    """Bits beyond the last byte of base64 say nothing."""
    try:
        return [jwt.utils.base64url_decode(part) for part in token.split(".")]
    except ValueError:
        return None


def test_an_errand_is_a_new_one_each_time():
    first, second = Errand.new("/"), Errand.new("/")
    assert first.state != second.state and first.nonce != second.nonce and first.verifier != second.verifier
    assert first.returns(first.state) and not first.returns(second.state)
    assert 43 <= len(first.verifier) <= 128  # RFC 7636 section 4.1
