"""One question to a channel: filled in, signed, sent within the limits; its answer understood."""

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from onhand.connectors._sdk import mapping, signing
from onhand.connectors._sdk.filling import fill, fill_text
from onhand.connectors._sdk.interface import Connection, Refused, Unavailable
from onhand.connectors._sdk.mapping import Unmappable
from onhand.connectors._sdk.translate import Condition
from onhand.connectors._sdk.vocabulary import (
    BasicAuthIn,
    BearerAuthIn,
    ConnectorIn,
    CostIn,
    ErrorIn,
    HeaderAuthIn,
    LimitsIn,
    LoginIn,
    NoAuthIn,
    OAuth1In,
    OAuth2In,
    QueryAuthIn,
    RequestIn,
    SignedIn,
    Then,
)
from onhand.wire import Answer, NotReachable, Request

_PAUSE_MAX_S: Final = 3_600.0
_PAUSE_S: Final = 2.0  # when the channel says "too many" and not for how long
_TOKEN_MARGIN: Final = timedelta(seconds=60)
_SAID_MAX: Final = 500


def _clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer that means well."""

    status: int
    headers: Mapping[str, str]
    body: Any
    url: str


@dataclass(frozen=True, slots=True)
class _Rule:
    when: Condition
    of: ErrorIn


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast may be asked, and whom it counts for: the account (""), an operation, or a plan of the channel."""

    bucket: str
    rate_per_s: float
    burst: int
    timeout_s: float


@dataclass(slots=True, kw_only=True)
class _Sent:
    """A request while it is made ready."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Asker:
    """Asks by the document of a connector. Keeps nothing of a connection.

    documents  text of GraphQL files by name
    """

    def __init__(
        self, connector: ConnectorIn, documents: Mapping[str, str], *, now: Callable[[], datetime] = _clock
    ) -> None:
        self._connector, self._documents, self._now = connector, documents, now
        self._rules = [_Rule(Condition(rule.when), rule) for rule in connector.errors]
        self._at_once = connector.limits.at_once

    async def ask(
        self,
        connection: Connection,
        bucket: str,
        request: RequestIn,
        scope: Mapping[str, Any],
        *,
        limits: LimitsIn | None = None,
        url: str | None = None,
    ) -> Told:
        """The answer, if it means well. Raises Unavailable, Refused, Unfillable.

        bucket  whose limits are kept: of the request's plan; of the operation if it has limits of its own
        url     instead of the request's, for the next page
        """
        known = {"settings": connection.settings, **scope}
        pace = self._pace(bucket, request, limits)
        for is_again in (False, True):
            sent = self._ready(request, known, url)
            is_fresh = await self._sign(connection, sent) if self._is_theirs(request, sent, known) else False
            answer = await self._send(connection, pace, sent)
            told, then, rule = self._understand(answer, sent)
            if then == "unauthorised" and not is_again and not is_fresh and self._has_token():
                await connection.tokens.put("", None)
                continue
            await self._learn(connection, answer, told, then, pace)
            if then == "done":
                return told
            raise self._failure(connection, then, told, rule)
        raise AssertionError("unreachable")

    # The request --------------------------------------------------------------------------------------------------

    def _ready(self, request: RequestIn, scope: Mapping[str, Any], url: str | None) -> _Sent:
        base = fill_text(self._connector.base_url, scope)
        headers = {name.lower(): fill_text(text, scope) for name, text in self._connector.headers.items()}
        headers |= {name.lower(): fill_text(text, scope) for name, text in request.headers.items()}
        headers.setdefault("accept", "application/json")
        headers.setdefault("user-agent", "onhand")
        body = b""
        method = request.method
        if request.graphql is not None:
            method = "POST"
            asked = {"query": self._documents[request.graphql], "variables": fill(request.variables, scope)}
            body = json.dumps(asked, separators=(",", ":"), default=str).encode()
            headers.setdefault("content-type", "application/json")
        elif request.json_ is not None:
            said = fill(request.json_, scope)
            said = _without_nulls(said) if request.omit_nulls else said
            body = json.dumps(said, separators=(",", ":"), default=str).encode()
            headers.setdefault("content-type", "application/json")
        elif request.form is not None:
            body = urlencode(_pairs(fill(request.form, scope))).encode()
            headers.setdefault("content-type", "application/x-www-form-urlencoded")
        if url is None:
            path = fill_text(request.path, scope, escape=not request.path.startswith(("http", "{")))
            url = path if path.startswith(("https://", "http://")) else base.rstrip("/") + path
            pairs = _pairs(fill(request.query, scope))
            if pairs:
                url += ("&" if "?" in url else "?") + urlencode(pairs)
        return _Sent(method=method, url=url, headers=headers, body=body)

    def _pace(self, bucket: str, request: RequestIn | None, limits: LimitsIn | None) -> _Pace:
        own = limits or self._connector.limits
        if request is not None and request.plan is not None:
            plan = self._connector.plans[request.plan]
            return _Pace(request.plan, plan.rate_per_s, plan.burst, own.timeout_s)
        return _Pace(bucket if limits else "", own.rate_per_s, own.burst, own.timeout_s)

    async def _send(self, connection: Connection, pace: _Pace, sent: _Sent) -> Answer:
        await connection.limiter.turn(pace.bucket, rate_per_s=pace.rate_per_s, burst=pace.burst)
        request = Request(
            method=sent.method, url=sent.url, headers=sent.headers, body=sent.body, timeout_s=pace.timeout_s
        )
        try:
            return await connection.sender.send(request)
        except NotReachable as error:
            raise Unavailable(str(error), was_sent=error.was_sent) from None

    def _is_theirs(self, request: RequestIn, sent: _Sent, scope: Mapping[str, Any]) -> bool:
        """Whether a request goes where the document or the operator said. An address that an answer gave (of a file,
        for example) may be anywhere, and is shown no credentials unless it is where the channel is."""
        if not request.path.startswith("{") or request.path.startswith("{settings."):
            return True
        return _origin(sent.url) == _origin(fill_text(self._connector.base_url, scope))

    # Signing in ---------------------------------------------------------------------------------------------------

    def _has_token(self) -> bool:
        return isinstance(self._connector.auth, OAuth2In | LoginIn)

    async def _sign(self, connection: Connection, sent: _Sent) -> bool:
        """Put who we are into the request. Whether a token was asked for just now."""
        auth = self._connector.auth
        scope = {"settings": connection.settings, "credentials": connection.credentials}
        match auth:
            case NoAuthIn():
                pass
            case HeaderAuthIn():
                sent.headers[auth.header.lower()] = fill_text(auth.value, scope)
            case QueryAuthIn():
                sent.url = _with_query(sent.url, [(auth.name, fill_text(auth.value, scope))])
            case BasicAuthIn():
                sent.headers["authorization"] = _basic(fill_text(auth.user, scope), fill_text(auth.password, scope))
            case BearerAuthIn():
                sent.headers["authorization"] = f"Bearer {fill_text(auth.token, scope)}"
            case OAuth1In():
                self._sign_oauth1(auth, sent, scope)
            case SignedIn():
                sent.headers |= self._signature(auth, sent, scope)
            case OAuth2In() | LoginIn():
                token, is_fresh = await self._token(connection, auth, scope)
                prefix = auth.prefix if isinstance(auth, LoginIn) else "Bearer "
                is_standard = auth.header.lower() == "authorization"
                sent.headers[auth.header.lower()] = f"{prefix}{token}" if is_standard else token
                return is_fresh
        return False

    def _sign_oauth1(self, auth: OAuth1In, sent: _Sent, scope: Mapping[str, Any]) -> None:
        key, secret = fill_text(auth.key, scope), fill_text(auth.secret, scope)
        if auth.basic_over_tls and sent.url.startswith("https://"):
            sent.headers["authorization"] = _basic(key, secret)
            return
        parts = urlsplit(sent.url)
        signed = signing.oauth1(
            sent.method,
            parts._replace(query="").geturl(),
            parse_qsl(parts.query, keep_blank_values=True),
            key=key,
            secret=secret,
            signature=auth.signature,
            now=int(self._now().timestamp()),
            nonce=secrets.token_hex(16),
        )
        sent.url = parts._replace(query=urlencode(signed)).geturl()

    def _signature(self, auth: SignedIn, sent: _Sent, scope: Mapping[str, Any]) -> dict[str, str]:
        secret = fill_text(auth.by.secret, scope)
        try:
            return signing.sign(auth.by, secret, sent.headers, sent.body, url=sent.url, now=self._now())
        except ValueError:
            raise Refused("the secret that signs is none of its scheme", code="secret", is_unauthorised=True) from None

    async def _token(
        self, connection: Connection, auth: OAuth2In | LoginIn, scope: Mapping[str, Any]
    ) -> tuple[str, bool]:
        kept = await connection.tokens.get()
        if kept is not None and kept[0] and (kept[1] is None or kept[1] > self._now() + _TOKEN_MARGIN):
            return kept[0], False
        token, expires_at = await (
            self._log_in(connection, auth, scope) if isinstance(auth, LoginIn) else self._grant(connection, auth, scope)
        )
        await connection.tokens.put(token, expires_at)
        return token, True

    async def _grant(
        self, connection: Connection, auth: OAuth2In, scope: Mapping[str, Any]
    ) -> tuple[str, datetime | None]:
        form = {
            "grant_type": auth.grant,
            "client_id": fill_text(auth.client_id, scope),
            "client_secret": fill_text(auth.client_secret, scope),
        }
        if auth.refresh_token is not None:
            form["refresh_token"] = fill_text(auth.refresh_token, scope)
        if auth.scope is not None:
            form["scope"] = auth.scope
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        url = fill_text(auth.token_url, scope)
        sent = _Sent(method="POST", url=url, headers=headers, body=urlencode(form).encode())
        body = _fields(_json(await self._send_plain(connection, sent)))
        token, lifetime = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not token:
            raise Refused("the channel gave no access token", code="oauth", is_unauthorised=True)
        return token, self._now() + timedelta(seconds=lifetime) if isinstance(lifetime, (int, float)) else None

    async def _log_in(
        self, connection: Connection, auth: LoginIn, scope: Mapping[str, Any]
    ) -> tuple[str, datetime | None]:
        answer = await self._send_plain(connection, self._ready(auth.request, scope, None))
        if auth.token_header is not None:
            token = answer.headers.get(auth.token_header.lower())
        else:
            token = mapping.path(auth.token or "@")(_json(answer))
        if not isinstance(token, str) or not token:
            raise Refused(
                "the channel gave no token: user name or password is wrong", code="login", is_unauthorised=True
            )
        return token, None

    async def _send_plain(self, connection: Connection, sent: _Sent) -> Answer:
        """Sent without a signature: to get one."""
        answer = await self._send(connection, self._pace("", None, None), sent)
        if answer.status == 429 or answer.status >= 500:
            raise Unavailable(f"signing in: HTTP {answer.status}", retry_after_s=_retry_after(answer, self._now()))
        if answer.status >= 400:
            raise Refused(f"signing in: HTTP {answer.status}", code=str(answer.status), is_unauthorised=True)
        return answer

    # The answer ---------------------------------------------------------------------------------------------------

    def _understand(self, answer: Answer, sent: _Sent) -> tuple[Told, Then, ErrorIn | None]:
        told = Told(status=answer.status, headers=answer.headers, body=_json(answer), url=sent.url)
        for rule in self._rules:
            if rule.when.holds(status=told.status, headers=dict(told.headers), body=told.body):
                return told, rule.of.then, rule.of
        if told.status < 300:
            if told.body is None and answer.body.strip() not in (b"", b"null"):
                # A page for people, or half an answer: not the channel's word, whatever its status is.
                return told, "unknown", None
            has_errors = bool(_fields(told.body).get("errors"))
            is_graphql = "graphql" in sent.url or sent.body.startswith(b'{"query":')
            return told, "refuse" if has_errors and is_graphql else "done", None
        return told, _USUAL.get(told.status, "unknown" if told.status >= 500 else "refuse"), None

    async def _learn(self, connection: Connection, answer: Answer, told: Told, then: Then, pace: _Pace) -> None:
        wait_s = _retry_after(answer, self._now())
        if answer.status == 429 or (wait_s is not None and then in ("retry", "unknown")):
            # Who is over the limit of one plan may ask for other things.
            bucket = pace.bucket if answer.status == 429 and pace.bucket in self._connector.plans else None
            wait_s = wait_s or self._turn_s(answer) or _PAUSE_S
            await connection.limiter.pause(min(wait_s, _PAUSE_MAX_S), bucket=bucket)
        cost = self._connector.limits.cost
        if cost is not None and (pause_s := _cost_pause(cost, told.body)) > 0:
            await connection.limiter.pause(min(pause_s, _PAUSE_MAX_S))

    def _turn_s(self, answer: Answer) -> float | None:
        """Seconds to the next turn, by the rate that the answer tells."""
        try:
            rate_per_s = float(answer.headers.get((self._connector.limits.rate_header or "").lower(), ""))
        except ValueError:
            return None
        return 1 / rate_per_s if rate_per_s > 0 else None

    def _failure(self, connection: Connection, then: Then, told: Told, rule: ErrorIn | None) -> Exception:
        code = connection.hide(_said(rule.code if rule else None, told.body)) or str(told.status)
        usual = "the answer is not JSON" if told.status < 300 and told.body is None else f"HTTP {told.status}"
        message = connection.hide(_said(rule.message if rule else None, told.body)) or usual
        code, message = code[:_SAID_MAX], message[:_SAID_MAX]
        if then in ("retry", "unknown"):
            return Unavailable(message, was_sent=then == "unknown")
        if then == "stale":
            return Refused(message, code="stale")
        return Refused(message, code=code, is_gone=then == "gone", is_unauthorised=then == "unauthorised")


_USUAL: Final[Mapping[int, Then]] = {
    401: "unauthorised",
    404: "gone",
    408: "unknown",
    409: "stale",
    410: "gone",
    425: "retry",
    429: "retry",
    503: "retry",
}
"""What a status means where the document does not say."""


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body) if answer.body else None
    except (ValueError, RecursionError):
        return None


def _fields(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _said(path: str | None, body: Any) -> str:
    try:
        value = None if path is None else mapping.path(path)(body)
    except Unmappable:
        value = None
    return "" if value is None else str(value)


def _cost_pause(cost: CostIn, body: Any) -> float:
    """Seconds until the reserve is there again (Shopify's throttleStatus)."""
    try:
        left, per_s, asked = (
            float(mapping.path(p)(body)) for p in (cost.available, cost.restore_per_s, cost.requested)
        )
    except (Unmappable, TypeError, ValueError):
        return 0.0
    missing = max(cost.reserve, asked) - left
    return missing / per_s if missing > 0 and per_s > 0 else 0.0


def _retry_after(answer: Answer, now: datetime) -> float | None:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    said = answer.headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(said) - now).total_seconds())
    except (TypeError, ValueError):
        return None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {name: _without_nulls(member) for name, member in mapping.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in cast("list[Any]", value)]
    return value


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Parameters that have a value; a list is the name several times."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        members = cast("list[Any]", value) if isinstance(value, list) else [value]
        for member in members:
            if member is not None:
                said = ("false", "true")[member] if isinstance(member, bool) else str(member)
                pairs.append((name, said))
    return pairs


def _with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}"
