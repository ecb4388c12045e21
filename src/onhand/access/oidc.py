"""OpenID Connect: how a person is sent to the identity provider, and what a token says that comes back.

Pure: flows/sign_in.py asks the provider. OpenID Connect Core 1.0 section 3.1 (authorization code flow) with PKCE
(RFC 7636, S256); checks of the ID token as in section 3.1.3.7.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast
from urllib.parse import urlencode

import jwt

from onhand.access.keys import SCOPES, TOOL_SCOPES
from onhand.base.addresses import WebAddress

# Signatures by a private key only: whoever reads the public one could make those of a shared secret.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY_S: Final = 60
_NAME_LENGTH_MAX: Final = 200
EVERYBODY: Final = "*"


class NotSignedIn(Exception):
    """Why nobody was let in: `why` for the page (expired, refused, unreachable, invalid, not_granted), the text for the
    log."""

    def __init__(self, why: str, text: str) -> None:
        self.why = why
        super().__init__(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What a provider says of itself under `/.well-known/openid-configuration`."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    takes_basic: bool

    @classmethod
    def of(cls, issuer: str, document: object) -> Self:
        """Raises NotSignedIn: a document of another issuer is believed by nobody (OpenID Connect Discovery 4.3)."""
        if not isinstance(document, dict):
            raise NotSignedIn("unreachable", "the provider's configuration is not a JSON object")
        known = cast("dict[str, Any]", document)
        if known.get("issuer") != issuer:
            raise NotSignedIn("unreachable", f"the configuration at {issuer} is of the issuer {known.get('issuer')!r}")
        endpoints: dict[str, str] = {}
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            try:
                WebAddress.parse(str(known.get(name)))
            except ValueError as error:
                raise NotSignedIn("unreachable", f"{name} of the provider: {error}") from None
            endpoints[name] = str(known[name])
        methods = known.get("token_endpoint_auth_methods_supported")
        # What it does not say in a list, it does not say: then basic is meant (OpenID Connect Discovery 3).
        takes_basic = not isinstance(methods, list) or "client_secret_basic" in methods
        return cls(issuer=issuer, takes_basic=takes_basic, **endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One way to the provider and back: what must return with the person, and where she wanted to go."""

    state: str
    nonce: str
    verifier: str
    to: str

    @classmethod
    def new(cls, to: str) -> Self:
        return cls(
            state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), to=to
        )

    def returns(self, state: str) -> bool:
        return hmac.compare_digest(self.state.encode(), state.encode())

    def url(self, provider: Provider, *, client_id: str, redirect_uri: str, scope: str) -> str:
        """Where the person is sent."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "scope": scope,
            "state": self.state, "nonce": self.nonce, "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        glue = "&" if "?" in provider.authorization_endpoint else "?"
        return provider.authorization_endpoint + glue + urlencode(query)


def claims_of(token: str, keys: object, *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """What an ID token says, if the provider signed it for us, now, and for this errand. Raises NotSignedIn.

    keys  the provider's JSON Web Key Set
    """
    try:
        key = _key_of(token, keys)
        claims = jwt.decode(
            token, key, algorithms=ALGORITHMS, audience=client_id, issuer=issuer, leeway=_LEEWAY_S,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise NotSignedIn("invalid", f"the ID token is not valid: {error}") from None
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise NotSignedIn("invalid", "the ID token is of another sign-in: its nonce differs")
    audience = claims["aud"]
    is_shared = isinstance(audience, list) and len(cast("list[Any]", audience)) > 1
    if claims.get("azp", None if is_shared else client_id) != client_id:
        raise NotSignedIn("invalid", "the ID token was issued to another client: azp")
    return claims


class KeyMissing(NotSignedIn):
    """The set does not have the key of this token: the provider may have a new one."""


def _key_of(token: str, keys: object) -> jwt.PyJWK:
    header = jwt.get_unverified_header(token)
    if header.get("alg") not in ALGORITHMS:
        raise NotSignedIn("invalid", f"the ID token is signed by {header.get('alg')!r}: expected a private key's")
    listed = cast("dict[str, Any]", keys).get("keys") if isinstance(keys, dict) else None
    if not isinstance(listed, list):
        raise NotSignedIn("unreachable", "the provider's keys are not a JSON Web Key Set")
    kid = header.get("kid")
    for one in cast("list[Any]", listed):
        if not isinstance(one, dict):
            continue
        key = cast("dict[str, Any]", one)
        if key.get("use", "sig") == "sig" and (kid is None or key.get("kid") == kid):
            return jwt.PyJWK(key, algorithm=None if "alg" in key else header["alg"])
    raise KeyMissing("invalid", f"the provider has no key {kid!r}")


@dataclass(frozen=True, slots=True)
class Grants:
    """Who may do what: scopes by value of a claim; those of EVERYBODY for all that the provider signs in."""

    claim: str
    scopes: Mapping[str, frozenset[str]]

    @classmethod
    def parse(cls, claim: str, texts: Sequence[str]) -> Self:
        """From `group=scope+scope`. Raises ValueError."""
        scopes: dict[str, frozenset[str]] = {}
        for text in texts:
            value, _, named = text.rpartition("=")
            wanted = frozenset(named.split("+"))
            unknown = sorted(wanted - {*SCOPES, *TOOL_SCOPES})
            if not value or unknown:
                what = f"{text!r} names no group" if not value else f"unknown scope {unknown[0]!r} in {text!r}"
                raise ValueError(f'{what}; expected for example "ops=read+orders:write, *=read"')
            scopes[value] = scopes.get(value, frozenset()) | wanted
        return cls(claim, scopes)

    def of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """What a person may do. Raises NotSignedIn."""
        found = claims.get(self.claim)
        values = cast("list[Any]", found) if isinstance(found, list) else [found]
        names = {EVERYBODY, *(value for value in values if isinstance(value, str))}
        scopes = frozenset[str]().union(*(self.scopes.get(name, frozenset()) for name in names))
        if not scopes:
            raise NotSignedIn("not_granted", f"{name_of(claims)!r}: no grant for {self.claim} {sorted(names)}")
        return scopes


def name_of(claims: Mapping[str, Any]) -> str:
    """How a person is called in the audit log."""
    name = next((claims[k] for k in ("name", "preferred_username") if isinstance(claims.get(k), str) and claims[k]), "")
    mail = claims.get("email")
    words = [word for word in (name, mail if isinstance(mail, str) else "") if word]
    return (_plain(", ".join(dict.fromkeys(words))) or subject_of(claims))[:_NAME_LENGTH_MAX]


def subject_of(claims: Mapping[str, Any]) -> str:
    """What the provider calls a person, as it may stand in the audit log."""
    return _plain(str(claims.get("sub")))[:_NAME_LENGTH_MAX]


def _plain(text: str) -> str:
    """On one line, without what the database or UTF-8 does not know: zero bytes, halves of surrogates."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
