"""Liveness, readiness, metrics, and the documentation of the interface itself. Open to all."""

import base64
import hashlib
import re
from importlib.resources import files

import structlog
from starlette.responses import HTMLResponse, JSONResponse, Response

from onhand import webhooks
from onhand.api import metrics
from onhand.api.context import TheEdge
from onhand.api.routing import routes
from onhand.db import Database, outbox
from onhand.db.migrate import is_current
from onhand.errors import OnhandError
from onhand.flows import channel_health
from onhand.flows.state import State
from onhand.sourcing import custom
from onhand.sourcing.outlook import Outlook

log = structlog.get_logger(__name__)
router = routes("health")

_READINESS = {
    "type": "object",
    "required": ["ready", "checks"],
    "properties": {
        "ready": {"type": "boolean"},
        "checks": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "`ok`, or what is missing",
        },
    },
    "examples": [{"ready": True, "checks": {"database": "ok", "schema": "ok", "state": "ok"}}],
}


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """Liveness: this process answers. Asks nothing of the database: a restart would not help it."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_class=JSONResponse,
    responses={
        200: {"content": {"application/json": {"schema": _READINESS}}},
        503: {
            "description": "Not ready",
            "content": {"application/json": {"schema": _READINESS}},
        },
    },
)
def is_ready(edge: TheEdge) -> Response:
    """Readiness: the database is reachable, its schema is this version's, the state has been read."""
    checks = {"database": "ok", "schema": "unknown", "state": "ok"}
    try:
        with edge.app.db.connection() as conn:
            checks["schema"] = "ok" if is_current(conn) else "of another version"
    except OnhandError as error:
        log.warning("not ready", error=str(error))
        checks["database"] = "unreachable"
    if not edge.app.is_ready:
        checks["state"] = "being read"
    ready = set(checks.values()) == {"ok"}
    # Orders are decided without it, so it keeps nobody away. What it said is in the log: this page is open to all.
    if faults := custom.faults():
        checks["cost_terms"] = ", ".join(
            f"{f.name} failed {f.count} times" if f.count else f"{f.name} cannot be used" for f in faults
        )
    return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def show_metrics() -> Response:
    """Prometheus metrics of this process."""
    return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def watch_terms() -> None:
    """Report failures of cost terms of others."""
    metrics.register_gauge(
        "onhand_cost_term_failures",
        "How often a cost term of others failed and counted 0, or could not be used at all.",
        lambda: float(sum(max(1, fault.count) for fault in custom.faults())),
    )


def watch_outbox(db: Database) -> None:
    """Report how far consumers are held back, and how much waits for webhooks."""

    def deliveries_due() -> float:
        with db.connection() as conn:
            return webhooks.backlog(conn)

    metrics.register_gauge("onhand_webhook_deliveries_due", "Deliveries that wait for webhooks.", deliveries_due)

    def horizon_age_s() -> float:
        with db.connection() as conn:
            return outbox.horizon_age_s(conn)

    metrics.register_gauge(
        "onhand_outbox_horizon_age_seconds",
        "Age of the oldest open writing transaction: it holds back every consumer of events.",
        horizon_age_s,
    )


def watch_publication(db: Database) -> None:
    """Report how channels are doing; written down by whichever process publishes to them."""
    metrics.register_group("channel", channel_health.GAUGES, lambda: channel_health.gauges(db))


def watch_outlook(state: State) -> None:
    """Report what this process foresees by; nothing while it does not."""

    def known() -> Outlook:
        assert state.outlook is not None, "no outlook has been made yet"
        return state.outlook

    for name, text, function in (
        (
            "onhand_outlook_age_seconds",
            "Time since prices of stock and risks of rejection were learned.",
            lambda: state.now().timestamp() - known().made_at,
        ),
        ("onhand_outlook_seconds", "Time that learning them took.", lambda: known().seconds),
        ("onhand_outlook_orders", "Orders they were learned from.", lambda: known().orders),
        ("onhand_outlook_positions", "Positions that have a price.", lambda: len(known().item)),
    ):
        metrics.register_gauge(name, text, function)


@router.get("/openapi.json", response_class=Response, include_in_schema=False)
async def show_openapi(edge: TheEdge) -> Response:
    return Response(edge.openapi(), media_type="application/json")


def _page() -> tuple[str, str]:
    """The documentation page and the policy that lets only its own script and style run."""
    html = (files("onhand.api") / "docs.html").read_text("utf-8")
    hashes: dict[str, str] = {}
    for tag in ("script", "style"):
        match = re.search(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert match is not None
        digest = hashlib.sha256(match[1].encode()).digest()
        hashes[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']};"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy


_HTML, _POLICY = _page()


@router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
async def show_docs() -> Response:
    headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
    return HTMLResponse(_HTML, headers=headers)
