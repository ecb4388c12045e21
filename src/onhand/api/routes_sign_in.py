"""People sign in at the merchant's identity provider: `/sign-in`. A browser is sent through these addresses; what it
keeps in between is sealed for its purpose, and out of reach of scripts."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Cookie, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response

from onhand.access.oidc import NotSignedIn
from onhand.api.context import TheEdge
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.errors import NotFound, Unauthorised
from onhand.flows.sign_in import ERRAND_S, HANDOVER_S, SignIn

log = structlog.get_logger(__name__)
router = routes("keys")
# Providers add parameters of their own (`session_state`, `authuser`, ...), which ordinary routes refuse.
answers = APIRouter(tags=["keys"])

_ERRAND, _HANDOVER = "onhand_errand", "onhand_key"
_PATH = "/sign-in"
_Sealed = Annotated[str | None, Cookie(include_in_schema=False)]


class Ways(BaseModel):
    """How people sign in to the console: by a key always, and at an identity provider where there is one."""

    issuer: Annotated[str | None, Field(description="the identity provider; null: keys only")]


class HandedOver(BaseModel):
    """The key of a person who has signed in."""

    key: str
    expires_at: str


@router.get(_PATH, response_model=Ways)
async def ways_to_sign_in(edge: TheEdge) -> Ways:
    """How people sign in."""
    return Ways(issuer=None if edge.sign_in is None else edge.sign_in.client.issuer)


@router.get(f"{_PATH}/begin", status_code=303, response_class=RedirectResponse, responses=problem_responses(404))
async def begin_to_sign_in(
    edge: TheEdge,
    to: Annotated[str, Query(max_length=500, description="where to go afterwards: a path of this server")] = "/",
) -> Response:
    """Send a browser to the identity provider."""
    sign_in = _needed(edge.sign_in)
    try:
        url, kept = await sign_in.begin(to)
    except NotSignedIn as error:
        return _refused(error)
    answer = _to(url)
    # Lax: it must come back with the person, whom the provider sends.
    answer.set_cookie(_ERRAND, kept, ERRAND_S, path=_PATH, secure=_is_secure(sign_in), httponly=True, samesite="lax")
    return answer


@answers.get(
    f"{_PATH}/callback", status_code=303, response_class=RedirectResponse, responses=problem_responses(404, 422, 503)
)
async def come_back(
    edge: TheEdge,
    state: Annotated[str, Query(max_length=500)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    iss: Annotated[str | None, Query(max_length=2_000)] = None,
    onhand_errand: _Sealed = None,
) -> Response:
    """Where the identity provider sends a browser back to: it goes on to the console, which fetches the key."""
    sign_in = _needed(edge.sign_in)
    try:
        if onhand_errand is None:
            raise NotSignedIn("expired", "no cookie of the errand came back")
        if error:
            raise NotSignedIn("refused", f"the provider said {error!r}")
        if iss is not None and iss != sign_in.client.issuer:  # RFC 9207: an answer of another provider
            raise NotSignedIn("invalid", f"the answer is of the issuer {iss!r}")
        claims, to = await sign_in.finish(onhand_errand, state=state, code=code)
        handed = sign_in.admit(claims)
    except NotSignedIn as refused:
        return _refused(refused)
    path, mark, query = to.partition("?")
    answer = _to(f"{path}?{query}{'&' * bool(mark)}signed_in=1")
    answer.delete_cookie(_ERRAND, path=_PATH)
    # Strict: only the page itself fetches it.
    answer.set_cookie(
        _HANDOVER, handed, HANDOVER_S, path=_PATH, secure=_is_secure(sign_in), httponly=True, samesite="strict"
    )
    return answer


@router.post(f"{_PATH}/key", response_model=HandedOver, responses=problem_responses(401, 404, 422, 503))
async def fetch_key(edge: TheEdge, onhand_key: _Sealed = None) -> Response:
    """The key of the person whose browser has just come back; once."""
    sign_in = _needed(edge.sign_in)
    try:
        if onhand_key is None:
            raise NotSignedIn("expired", "nobody has just signed in here")
        content = await run_in_threadpool(sign_in.take, onhand_key)
    except NotSignedIn as error:
        raise Unauthorised(f"{error}; sign in again") from None
    answer = JSONResponse(content, headers={"cache-control": "no-store"})
    answer.delete_cookie(_HANDOVER, path=_PATH)
    return answer


def _needed(sign_in: SignIn | None) -> SignIn:
    if sign_in is None:
        raise NotFound("provider", "set ONHAND_OIDC_ISSUER")
    return sign_in


def _is_secure(sign_in: SignIn) -> bool:
    return sign_in.client.redirect_uri.startswith("https://")


def _to(url: str) -> RedirectResponse:
    return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})


def _refused(error: NotSignedIn) -> Response:
    """Back to the console, which says it in words; what exactly it was is for the operator."""
    log.warning("nobody was signed in", why=error.why, error=str(error))
    answer = _to(f"/?refused={error.why}")
    answer.delete_cookie(_ERRAND, path=_PATH)
    return answer
