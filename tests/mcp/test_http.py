"""`/mcp` by the protocol's own client: what a key is shown, what it may do, and what it does."""

import subprocess
import sys

import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from onhand.access import TOOL_SCOPES
from onhand.mcp.endpoint import BODY_BYTES_MAX

from .conftest import ALL, WORK, does, fails, talk


def test_a_key_is_shown_what_it_may_do(place):
    seen = {}

    def list_with(name, *scopes):
        async def visit(client):
            seen[name] = {tool.name: tool for tool in (await client.list_tools()).tools}

        talk(place.url, place.key(*scopes), visit)

    list_with("reader", "read")
    list_with("worker", *WORK)
    list_with("admin", "admin")
    list_with("cashier", "read", "orders:write", "tool:reserve_stock")
    list_with("all", *ALL)
    assert "search_stock" in seen["reader"] and "get-orders" in seen["reader"]
    assert all(tool.annotations.read_only_hint for tool in seen["reader"].values())
    assert "simulate_policy" in seen["worker"].keys() - seen["reader"].keys()
    # Without a scope of its own no tool changes anything, whoever holds the key.
    assert seen["worker"].keys() == seen["admin"].keys()
    assert seen["cashier"].keys() - seen["reader"].keys() == {"reserve_stock", "confirm_write", "get-customers"}
    assert {f"tool:{name}" for name in seen["all"]} & set(TOOL_SCOPES) == set(TOOL_SCOPES)


def test_what_is_not_listed_is_not_done(place):
    """Within the limit, by a key that may do it on the interface itself: the scope of the tool is what is missing."""
    wish = {"channel": "web", "lines": [{"sku": "MUG", "quantity": 1}]}

    async def visit(client):
        for arguments in (wish, {"nonsense": 1}):
            refused = await fails(client, "reserve_stock", **arguments)
            assert (refused["code"], refused["facts"]) == ("auth.scope_missing", {"missing": ["tool:reserve_stock"]})
        theirs = await fails(client, "cancel-order", orderId="1")
        assert (theirs["code"], theirs["details"]["originalError"]) == (4001, "AUTH_SCOPE_MISSING")
        through = await fails(client, "confirm_write", tool="reserve_stock", arguments=wish, confirm="c1.1.x")
        assert through["code"] == "auth.scope_missing"
        with pytest.raises(MCPError, match="no tool `drop_tables`"):
            await client.call_tool("drop_tables", {})

    for key in (place.key(*WORK), place.key("admin")):
        before = place.changes()
        talk(place.url, key, visit)
        assert place.changes() == before


def test_a_client_of_an_older_protocol_lists_calls_and_confirms(place):
    """Before 2026-07-28: a handshake, and over HTTP nobody can be asked: there is a token."""
    dear = {"channel": "web", "lines": [{"sku": "MUG", "quantity": 20}]}

    async def visit(client):
        assert client.protocol_version < "2026"
        assert len((await client.list_tools()).tools) > 20
        asked = await fails(client, "reserve_stock", **dear)
        assert asked["code"] == "confirmation.required"
        await does(client, "confirm_write", tool="reserve_stock", arguments=dear, confirm=asked["facts"]["confirm"])

    async def ask(_, __):
        raise AssertionError("nobody can be asked")

    talk(place.url, place.key(*ALL), visit, mode="legacy", elicitation_callback=ask)


def post(place, *, key=None, body=b"{}", **headers):
    authorization = {} if key is None else {"authorization": f"Bearer {key}"}
    common = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    with httpx2.Client(timeout=30) as http:
        return http.post(place.url, content=body, headers=common | authorization | headers)


def test_who_may_not_come_in(place):
    key = place.key("read")
    ping = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    assert post(place, key=key, body=ping).status_code == 200
    nobody = post(place, body=ping)
    assert nobody.status_code == 401 and nobody.headers["www-authenticate"].startswith("Bearer")
    assert nobody.json()["code"] == "auth.required"
    assert post(place, key="onh_" + "x" * 49, body=ping).status_code == 401
    assert post(place, key=place.key("orders:write"), body=ping).json()["code"] == "auth.scope_missing"
    # A page that had a name of its own point here sends its own origin, with the right host.
    for origin, status in (
        ("https://evil.example", 403), ("null", 403), ("http://[", 403), ("https://agents.example.org", 200),
        ("http://agents.example.org", 403), ("http://localhost:3000", 200), ("http://127.0.0.1:8080", 200),
        ("http://localhost.evil.example", 403),
    ):  # fmt: skip
        assert post(place, key=key, body=ping, origin=origin).status_code == status, origin
    for method in ("GET", "DELETE", "PUT"):
        answer = place.http.request(method, place.url)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_bodies_are_bounded_and_broken_ones_are_told_so(place):
    key = place.key("read")
    assert post(place, key=key, body=b'{"x": "' + b"a" * (BODY_BYTES_MAX + 1) + b'"}').status_code == 413
    for body in (b"", b"nothing", b"[]", b'{"jsonrpc": "2.0"}', b"[" * 100_000, b'{"a": 1e999}'):
        for version in ({}, {"mcp-protocol-version": "2026-07-28"}):
            answer = post(place, key=key, body=body, **version)
            assert 400 <= answer.status_code < 500, (body[:20], version, answer.status_code)
            assert answer.json()["error"]["code"] < 0
    # The interface beside it is as it was.
    assert place.http.get("/v1/keys/current").json()["name"]


def test_a_revoked_key_may_do_nothing_any_more(place):
    made = place.call("POST", "/v1/keys", {"name": "agent", "scopes": ["read"]})
    ping = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    assert post(place, key=made["key"], body=ping).status_code == 200
    place.call("DELETE", f"/v1/keys/{made['key_id']}")
    assert post(place, key=made["key"], body=ping).status_code == 401


def test_the_protocol_is_loaded_by_the_first_agent_only():
    """What `onhand serve` and every command import at their start knows nothing of it."""
    code = (
        "import sys, onhand.api.app, onhand.cli.serve, onhand.mcp.endpoint, onhand.cli; onhand.cli.build();"
        "print([name for name in sys.modules if name.split('.')[0] in ('mcp', 'mcp_types', 'jsonschema')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
