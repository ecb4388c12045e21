"""A scenario as a story: its chapters, what they do to the town, and how it is told to a server and by it."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from onhand.api.story import StoryBoard
from onhand.twin.board import Board
from onhand.twin.client import Client
from onhand.twin.clock import Clock
from onhand.twin.fakes.weather import Sky
from onhand.twin.scenarios.document import SHIPPED, Scenario, parse, shipped
from onhand.twin.shoppers import Shoppers
from onhand.twin.story import DAY_S, Trouble, chapters
from onhand.twin.telling import Telling, by_chapter
from onhand.twin.world import World, build

TWO = """\
name: two
description: Two things at once.
days: 12
events:
  - {kind: demand_surge, from_day: 2, days: 4, items: 3, factor: 20, title: A mug is in the news, text: All want it.}
  - {kind: channel_outage, from_day: 4, days: 2, channel: marketplace}
  - {kind: node_slow, from_day: 8, nodes: 2, share: 0.5}
"""


@pytest.fixture(scope="module")
def world() -> World:
    return build(1)


def two() -> Scenario:
    scenario, found = parse(TWO)
    assert scenario is not None, found
    return scenario


def test_chapters_begin_and_end_with_what_goes_wrong(world: World) -> None:
    told = chapters(two(), world)
    assert [(c.from_day, c.title, c.events) for c in told] == [
        (0.0, "An ordinary week", ()),
        (2.0, "A mug is in the news", (0,)),
        (4.0, "A channel falls silent", (0, 1)),
        (6.0, "Over: A mug is in the news; A channel falls silent", ()),
        (8.0, "Nodes fall behind", (2,)),
        (12.0, "How it ended", ()),
    ]
    assert told[1].text == "All want it."
    assert told[2].about[-1] == ("channel", "amazon")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_scenario_that_ships_is_a_story(name: str, world: World) -> None:
    told = chapters(shipped(name), world)
    assert all(c.title and c.text for c in told)
    assert [c.from_day for c in told] == sorted({c.from_day for c in told})
    assert any(c.events for c in told) and not told[-1].events


def test_trouble_is_of_the_events_that_are_on_and_passes(world: World) -> None:
    trouble, events = Trouble(), two().events
    trouble.become(events, world)
    assert len(trouble.surge) == 3 and set(trouble.surge.values()) == {20.0}
    assert len(trouble.slow) == 2
    assert trouble.skies["amazon"](Sky()).down_for_s > 1e6
    trouble.become([], world)
    assert trouble == Trouble()


def test_whom_a_surge_draws_in_buys_what_is_talked_of(world: World) -> None:
    calm, trouble = Trouble(), Trouble()
    trouble.become(two().events[:1], world)
    shop, noon = world.shops[0], 12 * 3600.0

    def units(of: Trouble) -> tuple[Counter[str], float]:
        shoppers = Shoppers(world, shop, 1, of)
        waits = [shoppers.wait_s(noon) for _ in range(4_000)]
        return Counter(line["sku"] for _ in waits for line in shoppers.visit(noon).order["lines"]), sum(waits)

    (usual, usual_s), (talked, talked_s) = units(calm), units(trouble)
    hot = sum(usual[sku] for sku in trouble.surge) / usual_s
    assert 15 < sum(talked[sku] for sku in trouble.surge) / talked_s / hot < 25
    # Everybody else comes as before.
    rest = sum(n for sku, n in usual.items() if sku not in trouble.surge) / usual_s
    assert 0.85 < sum(n for sku, n in talked.items() if sku not in trouble.surge) / talked_s / rest < 1.15


def test_nobody_is_drawn_in_where_nothing_is_wrong(world: World) -> None:
    orders = [[Shoppers(world, world.shops[0], 1, t).visit(0).order for _ in range(3)] for t in (None, Trouble())]
    assert orders[0] == orders[1]


def test_a_clock_that_is_changed_goes_on_from_where_it_was() -> None:
    clock = Clock(10_000, start_s=0)
    while clock.now_s() < 10:
        pass
    clock.change(0)
    stood = clock.now_s()
    assert stood >= 10 and clock.now_s() == stood
    assert clock.real_s(60) == 60
    clock.change(1)
    assert stood <= clock.now_s() < stood + 5


def test_a_story_is_told_heard_and_paced(server: Any, world: World) -> None:
    began: list[int] = []
    skies: list[set[str]] = []
    trouble = Trouble()

    async def scenario() -> dict[str, Any]:
        board = Board()
        async with Client(server.base_url, server.admin_key, board.heard) as client:
            clock = Clock(0, 0.0)

            async def weather() -> None:
                skies.append({*trouble.skies})

            telling = Telling(
                two(), world, client, clock, board, trouble,
                weather=weather, told=lambda number, _chapter: began.append(number),
            )  # fmt: skip
            await telling.advance()
            board.counts["orders"] += 7
            await telling.tell()
            assert server.client.put("/v1/story/pace", json={"speed": 5, "chapter": 2}).json()["chapter"] == 2
            await telling.tell()
            assert clock.speed == 5
            clock.change(0)
            await telling.advance()
            board.counts["orders"] += 3
            await telling.look()
            await telling.tell()
            assert clock.speed == 0, "a wish is done once"
            assert board.problems == board.problems.__class__(maxlen=20)
            return server.client.get("/v1/story").json()["story"]

    story = asyncio.run(scenario())
    assert began == [0, 1, 2] and skies[-1] == {"amazon"}
    assert (story["day"], story["chapter"]) == (pytest.approx(4, abs=0.1), 2)
    assert [c["state"] for c in story["chapters"]] == ["told", "told", "now", "to_come", "to_come", "to_come"]
    orders = [next((f["value"] for f in c["figures"] if f["name"] == "orders"), None) for c in story["chapters"]]
    assert orders == [7, 0, 3, None, None, None]


def test_time_begins_chapters_by_itself(world: World) -> None:
    began: list[int] = []

    async def weather() -> None:
        pass

    async def scenario() -> None:
        clock = Clock(1e6, 0.0)
        telling = Telling(
            two(), world, Client("http://127.0.0.1:1", "", lambda *_: None), clock, Board(), Trouble(),
            weather=weather, told=lambda number, _chapter: began.append(number),
        )  # fmt: skip
        while telling.day < 12:
            await telling.advance()
        assert clock.now_s() >= 12 * DAY_S

    asyncio.run(scenario())
    assert began == [0, 1, 2, 3, 4, 5]


def test_incidents_stand_in_the_chapter_in_which_they_opened() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)

    class Begun:
        def __init__(self, minute: int) -> None:
            self.began_at = at + timedelta(minutes=minute)

    rows = [
        {"n": n, "risk_minor": risk, "opened_at": (at + timedelta(minutes=minute)).isoformat()}
        for n, (minute, risk) in enumerate(((-1, 9), (0, 1), (4, 2), (5, 3), (99, 4)))
    ]
    assert [[row["n"] for row in part] for part in by_chapter(rows, [Begun(0), Begun(5)])] == [[2, 1], [4, 3]]  # pyright: ignore[reportArgumentType]


def test_a_board_forgets_who_is_gone_and_wishes_of_another_story() -> None:
    now = [0.0]
    board = StoryBoard(lambda: now[0])
    assert board.now() is None or now[0] == 0.0
    board.tell("a", "story")
    board.ask({"speed": 3.0})
    assert board.tell("a", "more") == {"speed": 3.0, "chapter": None}
    assert board.tell("b", "other") == {"speed": None, "chapter": None}
    now[0] = 16.0
    assert board.now() is None
