"""An identity provider as a merchant has one: signs tokens with a key of its own, checks what a provider checks."""

import base64
import hashlib
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx2
import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.api.context import Edge
from onhand.app import App
from onhand.settings import Settings

from .api.conftest import _serving
from .pages import free_port

CLIENT, SECRET = "onhand", "a secret: with / and +"
GRANTS = ("ops=read+orders:write", "admins=admin")


def sign_with(key: rsa.RSAPrivateKey, kid: str = "1") -> Callable[[dict[str, Any]], str]:
    return lambda claims: jwt.encode(claims, key, "RS256", {"kid": kid})


@dataclass(slots=True)
class Issuer:
    """`claims` are of whoever signs in; `sign` and `change` let a test forge tokens.

    refuses  what the authorization endpoint answers instead of a code
    says     what else its configuration says
    is_down  the configuration cannot be read
    stops    the token endpoint answers when that is set; `asked` is set as soon as somebody waits
    """

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    url: str = ""
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "17", "name": "Ada Lovelace", "email": "ada@example.org", "groups": ["ops"]}
    )
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    sign: Callable[[dict[str, Any]], str] | None = None
    refuses: str | None = None
    kid: str = "1"
    is_down: bool = False
    stops: threading.Event | None = None
    asked: threading.Event = field(default_factory=threading.Event)
    says: dict[str, Any] = field(default_factory=dict[str, Any])
    key_sets_read: int = 0
    configurations_read: int = 0
    codes_brought: int = 0
    _codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )

    async def _configuration(self, _: Request) -> Response:
        self.configurations_read += 1
        if self.is_down:
            return JSONResponse({}, 502)
        said = {
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
        }  # fmt: skip
        return JSONResponse(said | self.says)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert "openid" in asked["scope"].split()
        if self.refuses is not None:
            answer = {"error": self.refuses, "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            answer = {"code": code, "state": asked["state"], "iss": self.url, "session_state": "of the provider"}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        self.codes_brought += 1
        if self.stops is not None:
            self.asked.set()
            await run_in_threadpool(self.stops.wait, 30)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._codes.pop(form["code"], None)  # a code is good for once
        if asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        scheme, _, pair = request.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":") if scheme == "Basic" else ("", "", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        is_known = (unquote(name), unquote(secret)) == (CLIENT, SECRET)
        is_same = challenge.rstrip(b"=").decode() == asked["code_challenge"]
        if not (is_known and is_same and form["redirect_uri"] == asked["redirect_uri"]):
            return JSONResponse({"error": "invalid_client"}, 401)
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]} | self.claims
        sign = self.sign or sign_with(self.key, self.kid)
        return JSONResponse({"token_type": "Bearer", "access_token": "x", "id_token": sign(self.change(claims))})

    async def _keys(self, _: Request) -> Response:
        self.key_sets_read += 1
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return JSONResponse({"keys": [public | {"kid": self.kid, "use": "sig", "alg": "RS256"}]})


@dataclass(slots=True)
class Door:
    """A server that people sign in to, and its provider."""

    url: str
    issuer: Issuer
    admin: httpx2.Client
    edge: Edge

    def browser(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, follow_redirects=False, timeout=30)

    def comes_back(self, browser: httpx2.Client, to: str = "/") -> str:
        """What the browser brings back from the provider: the address of the callback."""
        begun = browser.get("/sign-in/begin", params={"to": to})
        assert begun.status_code == 303, begun.text
        with httpx2.Client(follow_redirects=False) as provider:
            return provider.get(begun.headers["location"]).headers["location"]

    def enters(self, browser: httpx2.Client, to: str = "/") -> str:
        """Where the person ends up."""
        answer = browser.get(self.comes_back(browser, to))
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def refuses(self) -> str:
        """Why somebody is not let in, all the way."""
        with self.browser() as somebody:
            why = parse_qs(urlsplit(self.enters(somebody)).query)["refused"]
            assert somebody.post("/sign-in/key").status_code == 401
        return why[0]


@contextmanager
def database(admin: psycopg.Connection, template: str) -> Iterator[str]:
    """Name of a database of one's own."""
    name = f"t_{uuid.uuid4().hex}"
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    yield name
    admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextmanager
def open_door(database_url: str) -> Iterator[Door]:
    """A server whose people sign in at an `Issuer`."""
    issuer, port = Issuer(), free_port()
    with _serving(issuer.app()) as issuer.url:
        stated = Settings(
            database_url=database_url, secret_key="for tests: " + "k" * 20, oidc_issuer=issuer.url,
            public_url=f"http://127.0.0.1:{port}", oidc_client_id=CLIENT, oidc_client_secret=SECRET, oidc_grants=GRANTS,
        )  # fmt: skip
        with App.open(stated) as app:
            key = ensure_admin_key(app.db, None)
            api = create_api(app)
            with (
                _serving(api, port=port) as base_url,
                httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
            ):
                yield Door(base_url, issuer, client, api.edge)
