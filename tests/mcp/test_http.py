"""`/mcp` by the protocol's own client: what a key is shown, what it may do, and what it does."""

from onhand.access import TOOL_SCOPES

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


def test_smoke(place):
    async def visit(client):
        found = await does(client, "search_stock", q="mug")
        assert {row["node"]: row["available"] for row in found["data"]} == {"berlin": 100, "munich": 100}
        held = await does(client, "reserve_stock", channel="web", lines=[{"sku": "MUG", "quantity": 2}])
        assert held["lines"]
        refused = await fails(client, "reserve_stock", channel="web", lines=[{"sku": "MUG", "quantity": 20}])
        assert refused["code"] == "confirmation.required"

    talk(place.url, place.key(*ALL), visit)
