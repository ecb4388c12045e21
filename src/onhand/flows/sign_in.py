"""People sign in at the merchant's identity provider and come back with a key that ends by itself.

    begin  -> to the provider, with a sealed errand in a cookie
    finish <- from the provider: code for ID token, ID token for scopes, scopes for a key

Everything behind it knows keys only: scopes, audit log and revocation are those of any other key.
"""

import base64
import json
import ssl
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, cast
from urllib.parse import quote, urlencode

import structlog

from onhand.access.oidc import Errand, Grants, KeyMissing, NotSignedIn, Provider, claims_of, name_of
from onhand.base.actor import Actor
from onhand.base.sealing import Unsealable
from onhand.db import Database
from onhand.errors import SettingsError
from onhand.flows.accounts import Connectors
from onhand.flows.keys import NewKey, create_key
from onhand.settings import Settings
from onhand.wire import Caller, Guard, NotReachable, Request

log = structlog.get_logger(__name__)

KEY_HOURS: Final = 12
# To sign in at the provider, and to fetch the key afterwards.
ERRAND_S: Final = 600
HANDOVER_S: Final = 60
_CONFIGURATION: Final = "/.well-known/openid-configuration"
_KEPT_S: Final = 3600.0
_ASKED_AGAIN_S: Final = 30.0
_TIMEOUT_S: Final = 10.0
_ANSWER_BYTES_MAX: Final = 256 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How this installation is known to the provider."""

    issuer: str
    client_id: str
    secret: str | None
    scope: str
    redirect_uri: str
    grants: Grants

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """None: people sign in by keys only. Raises SettingsError."""
        if settings.oidc_issuer is None:
            return None
        needed = {"public_url": settings.public_url, "oidc_client_id": settings.oidc_client_id}
        if missing := [name for name, value in needed.items() if value is None]:
            name = missing[0]
            raise SettingsError(f"{name}: needed to sign in at {settings.oidc_issuer}; set ONHAND_{name.upper()}")
        try:
            grants = Grants.parse(settings.oidc_claim, settings.oidc_grants)
        except ValueError as error:
            raise SettingsError(f"oidc_grants: {error}") from None
        if not grants.scopes:
            raise SettingsError('oidc_grants: nobody may do anything; expected for example "ops=orders:write, *=read"')
        return cls(
            issuer=settings.oidc_issuer,
            client_id=str(settings.oidc_client_id),
            secret=settings.oidc_client_secret,
            scope=settings.oidc_scope,
            redirect_uri=str(settings.public_url).rstrip("/") + "/sign-in/callback",
            grants=grants,
        )


class SignIn:
    """Errands to the provider. For one event loop; what the provider says of itself is kept for an hour."""

    def __init__(self, client: Client, connectors: Connectors, db: Database) -> None:
        self.client = client
        self._connectors, self._db = connectors, db
        self._provider: tuple[float, Provider] | None = None
        self._keys: tuple[float, object] | None = None

    def forget(self) -> None:
        """Ask the provider again what it says of itself."""
        self._provider = self._keys = None

    async def begin(self, to: str) -> tuple[str, str]:
        """(where to send the person, what her browser keeps meanwhile). Raises NotSignedIn.

        to  where she goes afterwards: a path of this server, or she goes to the first page
        """
        client, errand = self.client, Errand.new(to if is_local(to) else "/")
        provider = await self._known()
        url = errand.url(provider, client_id=client.client_id, redirect_uri=client.redirect_uri, scope=client.scope)
        return url, self._sealed(asdict(errand))

    async def finish(self, kept: str, *, state: str, code: str) -> tuple[dict[str, Any], str]:
        """(what the token says, where to go). Raises NotSignedIn."""
        errand = Errand(**self._opened(kept, ERRAND_S))
        if not errand.returns(state):
            raise NotSignedIn("expired", "the state differs: this answer belongs to another sign-in")
        provider = await self._known()
        token = await self._exchange(provider, errand, code)
        try:
            claims = self._claims(token, await self._key_set(provider), errand)
        except KeyMissing:
            claims = self._claims(token, await self._key_set(provider, fresh=True), errand)
        return claims, errand.to

    def admit(self, claims: dict[str, Any]) -> NewKey:
        """A key for a person, in the audit log under her name. Raises NotSignedIn."""
        scopes = self.client.grants.of(claims)
        ends = datetime.now(UTC) + timedelta(hours=KEY_HOURS)
        by = Actor(key_id=0, reason=f"signed in at {self.client.issuer} as {str(claims['sub'])[:200]}")
        return create_key(self._db, name=name_of(claims), scopes=scopes, by=by, expires_at=ends)

    def hand_over(self, key: NewKey) -> str:
        """What the browser keeps until the page fetches the key."""
        assert key.key is not None and key.expires_at is not None, "just made by admit"
        return self._sealed({"key": key.key, "expires_at": key.expires_at.isoformat()})

    def taken(self, kept: str) -> dict[str, str]:
        """The key that was handed over: `key`, `expires_at`. Raises NotSignedIn."""
        return self._opened(kept, HANDOVER_S)

    def _claims(self, token: str, keys: object, errand: Errand) -> dict[str, Any]:
        client = self.client
        return claims_of(token, keys, issuer=client.issuer, client_id=client.client_id, nonce=errand.nonce)

    async def _known(self) -> Provider:
        if self._provider is None or time.monotonic() - self._provider[0] > _KEPT_S:
            issuer = self.client.issuer
            document = await self._asked(_request("GET", issuer.rstrip("/") + _CONFIGURATION))
            self._provider = (time.monotonic(), Provider.of(issuer, document))
        return self._provider[1]

    async def _key_set(self, provider: Provider, *, fresh: bool = False) -> object:
        age_max_s = _ASKED_AGAIN_S if fresh else _KEPT_S
        if self._keys is None or time.monotonic() - self._keys[0] > age_max_s:
            self._keys = (time.monotonic(), await self._asked(_request("GET", provider.jwks_uri)))
        return self._keys[1]

    async def _exchange(self, provider: Provider, errand: Errand, code: str) -> str:
        client = self.client
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uri,
            "code_verifier": errand.verifier, "client_id": client.client_id,
        }  # fmt: skip
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if client.secret is not None and provider.takes_basic:
            # RFC 6749 section 2.3.1: both parts are written as in a form.
            pair = f"{quote(client.client_id, safe='')}:{quote(client.secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif client.secret is not None:
            form["client_secret"] = client.secret
        body = urlencode(form).encode()
        answer = await self._asked(_request("POST", provider.token_endpoint, headers, body))
        token = cast("dict[str, Any]", answer).get("id_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise NotSignedIn("invalid", "the provider's answer has no ID token: does the scope name openid?")
        return token

    async def _asked(self, request: Request) -> Any:
        """JSON of the provider; of what went wrong its status only, for its words may hold what is secret."""
        # The operator has named the issuer and trusts it with every key: it may stand in his own network.
        async with Caller(Guard(allow_private=True), ssl.create_default_context(), connections=1) as caller:
            try:
                answer = await caller.send(request)
            except NotReachable as error:
                self.forget()  # its addresses may have moved
                raise NotSignedIn("unreachable", f"{request!r}: {error}") from None
        if answer.status >= 400:
            why = "invalid" if request.method == "POST" and answer.status < 500 else "unreachable"
            raise NotSignedIn(why, f"{request!r}: the provider answered {answer.status}")
        try:
            return json.loads(answer.body)
        except ValueError:
            raise NotSignedIn("unreachable", f"{request!r}: the provider's answer is not JSON") from None

    def _sealed(self, content: dict[str, str]) -> str:
        return self._connectors.seal.close(json.dumps(content | {"at": str(int(time.time()))}))

    def _opened(self, kept: str, age_max_s: int) -> dict[str, str]:
        try:
            content: dict[str, str] = json.loads(self._connectors.seal.open(kept))
        except (Unsealable, ValueError):
            raise NotSignedIn("expired", "the cookie of the sign-in is not one of this server") from None
        if time.time() - int(content.pop("at")) > age_max_s:
            raise NotSignedIn("expired", f"the sign-in took longer than {age_max_s} s")
        return content


def is_local(to: str) -> bool:
    """Whether a browser that is sent to `to` stays on this server."""
    return to.startswith("/") and not to.startswith(("//", "/\\")) and to.isascii() and to.isprintable()


def _request(method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Request:
    limits: dict[str, Any] = {"timeout_s": _TIMEOUT_S, "answer_bytes_max": _ANSWER_BYTES_MAX}
    return Request(method=method, url=url, headers=headers or {}, body=body, **limits)
