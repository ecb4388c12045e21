"""Signatures: of requests to a channel (OAuth 1.0a, or as it signs its own), and of its messages to us."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from onhand.connectors._sdk.interface import NotGenuine
from onhand.connectors._sdk.vocabulary import HmacIn, SharedIn, StampedIn, StandardIn

_DIGESTS: Final = {"HMAC-SHA256": hashlib.sha256, "HMAC-SHA1": hashlib.sha1}


def oauth1(
    method: str,
    url: str,
    query: Sequence[tuple[str, str]],
    *,
    key: str,
    secret: str,
    signature: str,
    now: int,
    nonce: str,
) -> list[tuple[str, str]]:
    """`query` with the parameters of a request signed by RFC 5849, one leg, in the address.

    url  without a query
    now  seconds since 1970
    """
    signed = [
        *query,
        ("oauth_consumer_key", key),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", signature),
        ("oauth_timestamp", str(now)),
    ]
    parts = urlsplit(url)
    host = parts.netloc.lower().removesuffix(":80" if parts.scheme == "http" else ":443")
    base_url = f"{parts.scheme}://{host}{parts.path or '/'}"
    pairs = sorted((_escaped(name), _escaped(value)) for name, value in [*parse_qsl(parts.query), *signed])
    text = "&".join(map(_escaped, (method.upper(), base_url, "&".join(f"{n}={v}" for n, v in pairs))))
    digest = hmac.new(f"{_escaped(secret)}&".encode(), text.encode(), _DIGESTS[signature]).digest()
    return [*signed, ("oauth_signature", base64.b64encode(digest).decode())]


def _escaped(text: str) -> str:
    return quote(text, safe="~")


def check(
    scheme: HmacIn | StandardIn | SharedIn | StampedIn,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    url: str,
    now: datetime,
) -> None:
    """Whether one of `secrets` (two, while one replaces the other) signed the request. Raises NotGenuine."""
    if not any(secrets):
        raise NotGenuine("no secret is set up for this channel's messages")
    if isinstance(scheme, StandardIn):
        _check_standard([s for s in secrets if s], headers, body)
        return
    given = headers.get(scheme.header.lower())
    if not given:
        raise NotGenuine(f"it has no header {scheme.header}")
    if isinstance(scheme, SharedIn):
        if not any(hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets if secret):
            raise NotGenuine(f"{scheme.header} is not what was agreed")
        return
    if isinstance(scheme, StampedIn):
        _check_stamped(scheme, secrets, given, body, now)
        return
    signed = _signed(scheme, headers, body, url, now)
    given = given.removeprefix(scheme.prefix)
    for secret in filter(None, secrets):
        digest = hmac.new(secret.encode(), signed, getattr(hashlib, scheme.digest)).digest()
        expected = base64.b64encode(digest).decode() if scheme.encoding == "base64" else digest.hex()
        if hmac.compare_digest(expected.encode(), given.encode()):
            return
    raise NotGenuine(f"{scheme.header} does not fit the body")


def sign(
    scheme: HmacIn | StandardIn | SharedIn | StampedIn,
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    url: str,
    now: datetime,
) -> dict[str, str]:
    """Headers by which `check` knows that we sent it. headers: of the request, in small letters; its `webhook-id`, if
    it has one, is that of a message by Standard Webhooks. Raises ValueError for a secret that cannot sign."""
    if isinstance(scheme, SharedIn):
        return {scheme.header.lower(): secret}
    if isinstance(scheme, StandardIn):
        message = headers.get("webhook-id") or hashlib.sha256(body).hexdigest()[:32]
        try:
            said = Webhook(secret).sign(message, now, body.decode())
        except EmptyWebhookSecretError as error:
            raise ValueError(str(error)) from None
        return {"webhook-id": message, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": said}
    if isinstance(scheme, StampedIn):
        moment = str(int(now.timestamp()))
        return {scheme.header.lower(): f"{scheme.moment}={moment},{scheme.digest}={_stamp(secret, moment, body)}"}
    made: dict[str, str] = {}
    if scheme.over == "timestamp_body" and scheme.timestamp_header is not None:
        made[scheme.timestamp_header.lower()] = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), _signed(scheme, made, body, url, now), getattr(hashlib, scheme.digest)).digest()
    said = base64.b64encode(digest).decode() if scheme.encoding == "base64" else digest.hex()
    return made | {scheme.header.lower(): scheme.prefix + said}


def _signed(scheme: HmacIn, headers: Mapping[str, str], body: bytes, url: str, now: datetime) -> bytes:
    if scheme.over == "url_body":
        return url.encode() + body
    if scheme.over == "body" or scheme.timestamp_header is None:
        return body
    said = headers.get(scheme.timestamp_header.lower(), "")
    if not _is_recent(said, scheme.tolerance_s, now):
        raise NotGenuine(f"{scheme.timestamp_header} is missing or too old")
    return f"{said}.".encode() + body


def _is_recent(said: str, tolerance_s: int, now: datetime) -> bool:
    is_number = said.isascii() and said.isdigit() and len(said) <= 20
    return is_number and abs(now.timestamp() - int(said)) <= timedelta(seconds=tolerance_s).total_seconds()


def _check_stamped(scheme: StampedIn, secrets: Sequence[str], given: str, body: bytes, now: datetime) -> None:
    parts = [part.strip().partition("=") for part in given.split(",")]
    moments = [value for name, _, value in parts if name == scheme.moment]
    if len(moments) != 1 or not _is_recent(moments[0], scheme.tolerance_s, now):
        raise NotGenuine(f"the moment in {scheme.header} is missing or too old")
    digests = [value for name, _, value in parts if name == scheme.digest]
    for secret in filter(None, secrets):
        expected = _stamp(secret, moments[0], body).encode()
        if any(hmac.compare_digest(expected, digest.encode()) for digest in digests):
            return
    raise NotGenuine(f"{scheme.header} does not fit the body")


def _stamp(secret: str, moment: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


def _check_standard(secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> None:
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, EmptyWebhookSecretError, ValueError):
            continue
        return
    raise NotGenuine("webhook-signature does not fit the body")
