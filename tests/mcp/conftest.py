"""A running API with `/mcp`, a small shop on it, and the protocol's own client."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from onhand.access import SCOPES, TOOL_SCOPES
from onhand.api.app import create_api
from onhand.api.auth import ensure_admin_key
from onhand.app import App
from onhand.mcp import Endpoint
from onhand.mcp.endpoint import PATH
from onhand.settings import Settings

from ..api.conftest import _serving  # noqa: TID252

BERLIN = {"country": "DE", "postal_code": "10115", "latitude": 52.53, "longitude": 13.38}
LIMIT_MINOR = 10_000
_SERVICE = {
    "code": "parcel",
    "currency": "EUR",
    "rate_table": {
        "by": "distance_km", "distance_km": [200, None], "weights_g": [30_000], "prices_minor": [[400], [900]],
    },
    "transit_days": [{"p50": 1, "p95": 2}, {"p50": 2, "p95": 3}],
}  # fmt: skip
WORK = [scope for scope in SCOPES if scope != "admin"]
"""All scopes but those of tools."""


def an_order(external_id: str, *lines: tuple[str, int], **more: object) -> dict[str, Any]:
    """A body of (sku, units) lines."""
    return {
        "channel": "web", "external_id": external_id, "currency": "EUR", "destination": BERLIN,
        "lines": [
            {"line_id": str(n), "sku": sku, "quantity": units, "price_minor": 1_250}
            for n, (sku, units) in enumerate(lines, 1)
        ],
    } | more  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and its interface with the admin key."""

    base_url: str
    app: App
    http: httpx2.Client

    @property
    def url(self) -> str:
        return self.base_url + PATH

    def key(self, *scopes: str) -> str:
        answer = self.http.post("/v1/keys", json={"name": "agent", "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        return answer.json()["key"]

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def order(self, external_id: str, *lines: tuple[str, int], **more: object) -> Any:
        return self.call("POST", "/v1/orders", an_order(external_id, *lines, **more))

    def changes(self) -> int:
        """Events so far: every change of state writes one."""
        with self.app.db.connection() as conn:
            row = conn.execute("SELECT count(*) FROM event").fetchone()
            assert row is not None
            return row[0]


@pytest.fixture
def place(dsn: str) -> Iterator[Place]:
    with App.open(Settings(database_url=dsn)) as app:
        key = ensure_admin_key(app.db, None)
        api = create_api(app)
        api.mounted[PATH] = Endpoint(api, confirm_above_minor=LIMIT_MINOR, origins=["https://agents.example.org"])
        with (
            _serving(api) as base_url,
            httpx2.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
        ):
            place = Place(base_url, app, http)
            open_shop(place)
            yield place


def open_shop(place: Place) -> None:
    """Two items, two nodes, a carrier, a channel, stock."""
    for sku, name in (("MUG", "Enamel mug"), ("PLATE", "Plate")):
        item = {"name": name, "weight_g": 400, "price_minor": 1_250, "currency": "EUR", "category": "kitchen"}
        place.call("PUT", f"/v1/items/{sku}", item)
    for code, latitude, longitude in (("berlin", 52.5, 13.4), ("munich", 48.1, 11.6)):
        node = {
            "name": code, "node_type": "store", "country": "DE", "latitude": latitude, "longitude": longitude,
            "timezone": "Europe/Berlin", "handling_cost_minor": 100, "methods": ["ship"],
        }  # fmt: skip
        place.call("PUT", f"/v1/nodes/{code}", node)
    place.call("PUT", "/v1/carriers/dhl", {"name": "DHL", "services": [_SERVICE]})
    place.call("PUT", "/v1/channels/web", {"currency": "EUR"})
    entries = [
        {"kind": "receipt", "sku": sku, "node": node, "quantity": 100}
        for sku in ("MUG", "PLATE")
        for node in ("berlin", "munich")
    ]
    place.call("POST", "/v1/stock/entries", {"entries": entries})


Visit = Callable[[Client], Awaitable[None]]


def talk(url: str, key: str, visit: Visit, **options: Any) -> None:
    """Run `visit` with a client of the server at `url`."""

    async def run() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            await meet(streamable_http_client(url, http_client=http), visit, **options)

    anyio.run(run)


async def meet(server: Any, visit: Visit, **options: Any) -> None:
    """Run `visit` with a client of `server`; what fails in it is raised as it is, not wrapped in groups of tasks."""
    failed: list[Exception] = []
    async with Client(server, **options) as client:
        try:
            await visit(client)
        except Exception as error:
            failed.append(error)
    for error in failed:
        raise error


async def does(client: Client, tool: str, /, **arguments: Any) -> Any:
    """The structured answer of a call that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, f"{tool}: {result.structured_content}"
    return result.structured_content


async def fails(client: Client, tool: str, /, **arguments: Any) -> Any:
    """The structured answer of a call that does not."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, f"{tool}: {result.structured_content}"
    return result.structured_content["error"]


def text_of(result: types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


ALL = [*WORK, *TOOL_SCOPES]
