"""An identity provider as a merchant has one: signs tokens with a key of its own, checks what a provider checks."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "onhand", "a secret: with / and +"


def sign_with(key: rsa.RSAPrivateKey, kid: str = "1") -> Callable[[dict[str, Any]], str]:
    return lambda claims: jwt.encode(claims, key, "RS256", {"kid": kid})


@dataclass(slots=True)
class Issuer:
    """`claims` are of whoever signs in; `sign` and `change` let a test forge tokens.

    refuses  what the authorization endpoint answers instead of a code
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
    key_sets_read: int = 0
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
        return JSONResponse(
            {"issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
             "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys"}
        )  # fmt: skip

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
