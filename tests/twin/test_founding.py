"""The world moves into an empty database, whatever others do there meanwhile, and into no other."""

import asyncio
from typing import Any

import pytest

from onhand.errors import SettingsError
from onhand.twin import founding
from onhand.twin.client import Client
from onhand.twin.founding import Founded, found
from onhand.twin.world import World

MINE = {"name": "Mine", "node_type": "store", "country": "DE", "latitude": 52.5, "longitude": 13.4,
        "timezone": "Europe/Berlin"}  # fmt: skip


def founded(server: Any, *, stranger: str | None) -> Founded:
    async def scenario() -> Founded:
        async with Client(server.base_url, server.admin_key, lambda *_: None) as client:
            return await found(client, None, stranger=stranger)

    return asyncio.run(scenario())


def codes(server: Any, path: str) -> set[str]:
    return {row["code"] for row in server.client.get(path, params={"limit": 100}).json()["data"]}


def test_who_calls_while_it_is_founded_is_no_stranger(server) -> None:
    server.client.put("/v1/nodes/MINE", json=MINE).raise_for_status()
    server.client.put("/v1/items/MUG", json={"name": "Mug"}).raise_for_status()
    made = founded(server, stranger=None)
    assert (made.run, made.is_new) == (1, True)
    assert codes(server, "/v1/nodes") == {"MINE", *(site.code for site in made.world.sites)}
    assert server.client.get("/v1/channels/web").json()["nodes"] == made.world.shops[0].document["nodes"]
    assert founded(server, stranger="MINE").run == 2, "what is ours stays ours"


def test_a_founding_that_broke_off_is_taken_up_though_somebody_was_there_meanwhile(server, monkeypatch) -> None:
    async def killed(_client: Client, _world: World) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(founding, "_create", killed)
        founded(server, stranger=None)
    server.client.put("/v1/nodes/MINE", json=MINE).raise_for_status()
    made = founded(server, stranger="MINE")
    assert made.run == 1
    assert codes(server, "/v1/nodes") == {"MINE", *(site.code for site in made.world.sites)}


def test_what_was_there_before_is_left_alone(server) -> None:
    with pytest.raises(SettingsError, match="it holds 'MUG'"):
        founded(server, stranger="MUG")
    assert codes(server, "/v1/channels") | codes(server, "/v1/nodes") == set()
