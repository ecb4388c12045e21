"""Make the world in an empty database, or find it again: what a run begins with."""

from dataclasses import dataclass
from typing import Any, Final

from onhand.errors import SettingsError
from onhand.twin.client import Client, WorldError
from onhand.twin.world import Json, World, build

# The world's own notes live where any user may keep some: in the settings of its first channel.
_NOTES: Final = "onhand_demo"
_ENTRIES_PER_CALL: Final = 1_000
# Half an hour before the first craze, with lunchtime's shoppers.
_BEGINS_S: Final = 13 * 3600.0
SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A world that stands in the database. `run` counts the runs in it, from 1; clock_s: simulated time to go on at."""

    world: World
    run: int
    clock_s: float

    @property
    def is_new(self) -> bool:
        return self.run == 1


async def found(client: Client, seed: int | None, *, stranger: str | None) -> Founded:
    """Create what is missing of the world and open its next run.

    seed      None: that of the world that is there, else SEED
    stranger  code of something that was in the database before the server began to answer, None if it was empty.
              What the server would say now is too late: others may call it while the world is being founded

    Raises SettingsError when the database holds something else, or the world of another seed.
    """
    notes = await _notes(client)
    stored = notes.get("seed")
    if stored is not None and seed is not None and seed != stored:
        raise SettingsError(
            f"--seed: this database holds the simulated world of seed {stored};"
            " leave --seed out, or choose another ONHAND_HOME"
        )
    world = build(stored if stored is not None else seed if seed is not None else SEED)
    if stored is None:
        if stranger is not None:  # a simulated world must not move into a database that somebody works with
            raise SettingsError(
                f"this database is not a demo's: it holds {stranger!r};"
                " choose an empty ONHAND_HOME or ONHAND_DATABASE_URL"
            )
        await _claim(client, world)
    if not notes.get("is_complete"):
        await _create(client, world)
    run = notes.get("run", 0) + 1
    clock_s = notes.get("clock_s", _BEGINS_S)
    await _write_notes(client, world, {"seed": world.seed, "run": run, "clock_s": clock_s, "is_complete": True})
    return Founded(world=world, run=run, clock_s=clock_s)


async def close(client: Client, founded: Founded, clock_s: float) -> None:
    """Note where the simulated clock stands, for the next run."""
    notes = {"seed": founded.world.seed, "run": founded.run, "clock_s": round(clock_s), "is_complete": True}
    await _write_notes(client, founded.world, notes)


async def _notes(client: Client) -> dict[str, Any]:
    answer = await client.get("/v1/channels/web")
    if answer.status == 404:
        return {}
    if not answer.ok:  # a server that is busy says nothing about what it holds
        raise WorldError(f"the server refused ({answer.status}) to show its channels")
    return answer.body["settings"].get(_NOTES, {})


async def _write_notes(client: Client, world: World, notes: Json) -> None:
    first = world.shops[0]
    await client.must(client.put(f"/v1/channels/{first.code}", first.document | {"settings": {_NOTES: notes}}))


async def _claim(client: Client, world: World) -> None:
    """From here on the database is known as ours, so that a run that broke off half-way can be taken up."""
    first = world.shops[0]
    notes: Json = {"seed": world.seed, "run": 0, "is_complete": False}
    document = {"name": first.document["name"], "currency": first.document["currency"], "settings": {_NOTES: notes}}
    # Its nodes do not exist yet.
    await client.must(client.put(f"/v1/channels/{first.code}", document))


async def _create(client: Client, world: World) -> None:
    for site in world.sites:
        await client.must(client.put(f"/v1/nodes/{site.code}", site.document))
    for code, document in world.carriers.items():
        await client.must(client.put(f"/v1/carriers/{code}", document))
    for shop in world.shops[1:]:
        await client.must(client.put(f"/v1/channels/{shop.code}", shop.document))
    await _accepted(client, "/v1/items/batch", {"items": list(world.items)}, "demo-items")
    entries = [
        {"kind": "receipt", "sku": sku, "node": node, "quantity": units, "reference": "opening stock"}
        for (sku, node), units in world.targets.items()
    ]
    for n in range(0, len(entries), _ENTRIES_PER_CALL):
        part = {"entries": entries[n : n + _ENTRIES_PER_CALL]}
        await _accepted(client, "/v1/stock/entries", part, f"demo-opening-{n}")


async def _accepted(client: Client, path: str, body: Json, key: str) -> None:
    answer = await client.must(client.post(path, body, key=key))
    refused = [result for result in answer["results"] if result["status"] == "rejected"]
    assert not refused, f"{path} refused rows of the world: {refused[:2]}"
