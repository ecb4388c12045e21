"""A person's word: asked by the protocol where the client can, else by a token; nothing is done without it."""

import anyio
import httpx2
import pytest
from mcp import types
from mcp.client.streamable_http import streamable_http_client

from onhand.mcp.server import CONFIRM_WRITE

from .conftest import ALL, does, fails, meet, talk

DEAR = {"channel": "web", "lines": [{"sku": "MUG", "quantity": 30}]}


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (types.ElicitResult(action="accept", content={"confirm": True}), 30),
        (types.ElicitResult(action="accept", content={"confirm": False}), 0),
        (types.ElicitResult(action="accept"), 0),
        (types.ElicitResult(action="decline"), 0),
        (types.ElicitResult(action="cancel"), 0),
    ],
    ids=["yes", "no", "empty", "decline", "cancel"],
)
def test_a_client_that_can_ask_is_asked(place, answer, held):
    questions = []

    async def ask(_, params):
        questions.append(params.message)
        return answer

    async def visit(client):
        if held:
            await does(client, "reserve_stock", **DEAR)
        else:
            assert (await fails(client, "reserve_stock", **DEAR))["code"] == "confirmation.declined"
        # Within the limit nobody is asked.
        await does(client, "reserve_stock", channel="web", lines=[{"sku": "PLATE", "quantity": 1}])

    talk(place.url, place.key(*ALL), visit, elicitation_callback=ask)
    assert questions == ["An agent wants to hold 30 units of 1 items for 900 seconds (375.00 EUR). Shall it?"]
    rows = place.call("GET", "/v1/stock?sku=MUG")["data"]
    assert sum(row["allocated"] for row in rows) == held


def test_a_token_is_for_that_call_by_that_key(place):
    key, other = place.key(*ALL), place.key(*ALL)
    tokens = {}

    async def ask(client):
        tokens["first"] = (await fails(client, "reserve_stock", **DEAR))["facts"]["confirm"]

    async def abuse(client):
        for arguments in (DEAR | {"ttl_s": 86_400}, {**DEAR, "lines": [{"sku": "MUG", "quantity": 31}]}):
            error = await fails(
                client, CONFIRM_WRITE, tool="reserve_stock", arguments=arguments, confirm=tokens["first"]
            )
            assert error["code"] == "confirmation.invalid"
        error = await fails(client, CONFIRM_WRITE, tool="reserve_stock", arguments=DEAR, confirm="c1.1.made-up")
        assert error["code"] == "confirmation.invalid"

    async def steal(client):
        error = await fails(client, CONFIRM_WRITE, tool="reserve_stock", arguments=DEAR, confirm=tokens["first"])
        assert error["code"] == "confirmation.invalid"

    async def use(client):
        for _ in range(2):
            await does(client, CONFIRM_WRITE, tool="reserve_stock", arguments=DEAR, confirm=tokens["first"])

    talk(place.url, key, ask)
    before = place.changes()
    talk(place.url, key, abuse)
    talk(place.url, other, steal)
    assert place.changes() == before
    talk(place.url, key, use)
    # Twice the same word: done once.
    assert sum(row["allocated"] for row in place.call("GET", "/v1/stock?sku=MUG")["data"]) == 30
    place.call("PUT", "/v1/items/MUG", {"name": "Enamel mug", "weight_g": 400, "price_minor": 9_900, "currency": "EUR"})
    talk(place.url, key, steal)


def test_a_word_for_another_call_does_not_count(place):
    """A client that passes on the state of one question with another call."""
    key = place.key(*ALL)

    async def run():
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:

            async def visit(client):
                asked = await client.session.call_tool("reserve_stock", DEAR, allow_input_required=True)
                assert isinstance(asked, types.InputRequiredResult)
                answer = await client.session.call_tool(
                    "reserve_stock",
                    {**DEAR, "lines": [{"sku": "MUG", "quantity": 90}]},
                    input_responses={"confirm": types.ElicitResult(action="accept", content={"confirm": True})},
                    request_state=asked.request_state,
                    allow_input_required=True,
                )
                assert answer.structured_content["error"]["code"] == "confirmation.invalid"

            async def never(_, __):
                raise AssertionError("asked by the client itself")

            await meet(streamable_http_client(place.url, http_client=http), visit, elicitation_callback=never)

    before = place.changes()
    anyio.run(run)
    assert place.changes() == before
