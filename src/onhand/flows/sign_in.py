"""People sign in at the merchant's identity provider and come back with a key that ends by itself.

    begin  -> to the provider, with a sealed errand in a cookie
    finish <- from the provider: code for ID token
    admit     claims of the token for scopes, sealed in a cookie with a key that is worth nothing yet
    take   <- the page: now the key is stored, which the database lets happen once

Everything behind it knows keys only: scopes, audit log and revocation are those of any other key.
"""

import asyncio
import base64
import json
import ssl
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import structlog

from onhand.access import mint
from onhand.access.oidc import Errand, Grants, KeyMissing, NotSignedIn, Provider, claims_of, name_of, subject_of
from onhand.base.actor import Actor
from onhand.base.sealing import Unsealable
from onhand.db import Database
from onhand.errors import InvalidInput, Overloaded, SettingsError
from onhand.flows.accounts import Connectors
from onhand.flows.keys import create_key
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
# How long a provider that did not say who it is counts as gone.
_GONE_S: Final = 5.0
_TIMEOUT_S: Final = 10.0
_ANSWER_BYTES_MAX: Final = 256 * 2**10
# Anybody may come back with a code that is none: what that costs the provider and us has an end.
_CONNECTIONS: Final = 4
_EXCHANGES_MAX: Final = 16
_SPENT_MAX: Final = 10_000


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
        public_url = str(settings.public_url)
        if urlsplit(public_url).path.strip("/"):
            raise SettingsError(
                "public_url: the console is served at the root of a host, and people come back to it there; expected"
                f" for example https://onhand.example.org, got {public_url}"
            )
        if not grants.scopes:
            raise SettingsError('oidc_grants: nobody may do anything; expected for example "ops=orders:write, *=read"')
        return cls(
            issuer=settings.oidc_issuer,
            client_id=str(settings.oidc_client_id),
            secret=settings.oidc_client_secret,
            scope=settings.oidc_scope,
            redirect_uri=public_url.rstrip("/") + "/sign-in/callback",
            grants=grants,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Who may fetch a key, and for how long it will be good. `key` is stored when it is fetched, and opens nothing
    before."""

    key: str
    name: str
    subject: str
    scopes: list[str]
    expires_at: str


# What a sealed text is good for stands in it: one that was sealed for something else is none of these.
_PURPOSES: Final = {Errand: "errand", Handover: "key"}
_Kept = TypeVar("_Kept", Errand, Handover)


class SignIn:
    """Errands to the provider. For one event loop, and made outside of it: reading the certificates takes a while. What
    the provider says of itself is kept for an hour."""

    def __init__(self, client: Client, connectors: Connectors, db: Database) -> None:
        self.client = client
        self._connectors, self._db = connectors, db
        # The operator has named the issuer and trusts it with every key: it may stand in his own network.
        self._caller = Caller(Guard(allow_private=True), ssl.create_default_context(), connections=_CONNECTIONS)
        self._provider: tuple[float, Provider] | None = None
        self._keys: tuple[float, object] | None = None
        self._gone: tuple[float, NotSignedIn] | None = None
        self._asking = asyncio.Lock()
        self._exchanges = 0
        # When each errand came back, by its state, oldest first.
        self._spent: OrderedDict[str, float] = OrderedDict()

    async def close(self) -> None:
        """Give up the connections to the provider."""
        await self._caller.__aexit__(None, None, None)

    def forget(self) -> None:
        """Ask the provider again what it says of itself."""
        self._provider = self._keys = self._gone = None

    async def begin(self, to: str) -> tuple[str, str]:
        """(where to send the person, what her browser keeps meanwhile). Raises NotSignedIn.

        to  where she goes afterwards: a path of this server, or she goes to the first page
        """
        client, errand = self.client, Errand.new(to if is_local(to) else "/")
        provider = await self._known()
        url = errand.url(provider, client_id=client.client_id, redirect_uri=client.redirect_uri, scope=client.scope)
        return url, self._sealed(errand)

    async def finish(self, kept: str, *, state: str, code: str) -> tuple[dict[str, Any], str]:
        """(what the token says, where to go). Raises NotSignedIn, and Overloaded: the same may be tried again.

        Each process goes each errand once; the provider takes its code once, whichever process brings it.
        """
        errand = self._opened(kept, Errand, ERRAND_S)
        if not errand.returns(state):
            raise NotSignedIn("expired", "the state differs: this answer belongs to another sign-in")
        if errand.state in self._spent:
            raise NotSignedIn("expired", "this sign-in has come back before")
        if self._exchanges >= _EXCHANGES_MAX:
            raise Overloaded(2, "too many people sign in at once")
        self._spend(errand.state)
        self._exchanges += 1
        try:
            provider = await self._known()
            token = await self._exchange(provider, errand, code)
            try:
                claims = self._claims(token, await self._key_set(provider), errand)
            except KeyMissing:
                claims = self._claims(token, await self._key_set(provider, fresh=True), errand)
        finally:
            self._exchanges -= 1
        return claims, errand.to

    def admit(self, claims: dict[str, Any]) -> str:
        """What the browser of a person keeps until the page takes the key. Raises NotSignedIn."""
        handover = Handover(
            key=mint(),
            name=name_of(claims),
            subject=subject_of(claims),
            scopes=sorted(self.client.grants.of(claims)),
            expires_at=(datetime.now(UTC) + timedelta(hours=KEY_HOURS)).isoformat(),
        )
        return self._sealed(handover)

    def take(self, kept: str) -> dict[str, str]:
        """The key of a person, in the audit log under her name: `key`, `expires_at`. Once, whichever process is asked:
        no two keys in the database are the same. Raises NotSignedIn."""
        given = self._opened(kept, Handover, HANDOVER_S)
        by = Actor(key_id=0, reason=f"signed in at {self.client.issuer} as {given.subject}")
        ends = datetime.fromisoformat(given.expires_at)
        try:
            create_key(self._db, name=given.name, scopes=given.scopes, by=by, key=given.key, expires_at=ends)
        except InvalidInput as error:
            raise NotSignedIn("expired", f"the key was fetched before, or cannot be made: {error}") from None
        return {"key": given.key, "expires_at": given.expires_at}

    def _spend(self, state: str) -> None:
        now = time.monotonic()
        self._spent[state] = now
        # Too many at once push out the oldest: an errand that then comes back again costs an exchange, no more.
        while len(self._spent) > _SPENT_MAX or now - next(iter(self._spent.values())) > ERRAND_S:
            self._spent.popitem(last=False)

    def _claims(self, token: str, keys: object, errand: Errand) -> dict[str, Any]:
        client = self.client
        return claims_of(token, keys, issuer=client.issuer, client_id=client.client_id, nonce=errand.nonce)

    async def _known(self) -> Provider:
        async with self._asking:  # one asks for all who wait
            if self._provider is not None and time.monotonic() - self._provider[0] <= _KEPT_S:
                return self._provider[1]
            if self._gone is not None and time.monotonic() - self._gone[0] <= _GONE_S:
                raise NotSignedIn(self._gone[1].why, str(self._gone[1]))
            issuer = self.client.issuer
            try:
                provider = Provider.of(issuer, await self._asked(_request("GET", issuer.rstrip("/") + _CONFIGURATION)))
            except NotSignedIn as error:
                self._gone = (time.monotonic(), error)
                raise
            self._provider = (time.monotonic(), provider)
            return provider

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
        try:
            answer = await self._caller.send(request)
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

    def _sealed(self, kept: Errand | Handover) -> str:
        content = {"for": _PURPOSES[type(kept)], "at": int(time.time()), "what": asdict(kept)}
        # As UTF-8: browsers keep no cookie of more than 4096 bytes, and names are long enough.
        return self._connectors.seal.close(json.dumps(content, ensure_ascii=False))

    def _opened(self, kept: str, kind: type[_Kept], age_max_s: int) -> _Kept:
        try:
            content = json.loads(self._connectors.seal.open(kept))
            if content["for"] != _PURPOSES[kind]:
                raise NotSignedIn("expired", f"the cookie was sealed for something else: {content['for']!r}")
            what, age_s = kind(**content["what"]), time.time() - int(content["at"])
        except (Unsealable, ValueError, KeyError, TypeError):
            raise NotSignedIn("expired", "the cookie of the sign-in is not one of this server") from None
        if age_s > age_max_s:
            raise NotSignedIn("expired", f"the sign-in took longer than {age_max_s} s")
        return what


def is_local(to: str) -> bool:
    """Whether a browser that is sent to `to` stays on this server."""
    return to.startswith("/") and not to.startswith(("//", "/\\")) and to.isascii() and to.isprintable()


def _request(method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Request:
    limits: dict[str, Any] = {"timeout_s": _TIMEOUT_S, "answer_bytes_max": _ANSWER_BYTES_MAX}
    return Request(method=method, url=url, headers=headers or {}, body=body, **limits)
