"""A town lives before a real server, and its story is told: every room is shown meanwhile, and what goes viral is an
incident in the console as by the API."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.flows.ours import wait_until

from onhand.db import Database
from onhand.flows.demand.fold import fold
from onhand.flows.forecasts import job as forecasts
from onhand.flows.forecasts import learn
from onhand.flows.incidents.watch import Watch
from onhand.flows.plans import job as plans
from onhand.jobs.store import finish_job, take_job
from onhand.twin import past, planners
from onhand.twin.board import Board
from onhand.twin.client import Client
from onhand.twin.founding import found
from onhand.twin.scenarios.document import Scenario, parse
from onhand.twin.town import Town

from .conftest import WAIT_MS

# What most take by default is told in minutes; here in seconds, and of few items.
STORY = """\
name: one_item
description: An item is wanted by a hundred times as many people.
days: 60
events:
  - {kind: demand_surge, from_day: 40, days: 20, items: 1, factor: 100, title: An item goes viral, text: All want it.}
"""
SPEED = 300.0
ROOMS = {
    "/": "Control tower", "/orders": "Orders", "/stock": "Stock", "/incidents": "Incidents", "/policies": "Policies",
    "/planning": "Planning", "/demand": "Demand", "/campaigns": "Campaigns", "/channels": "Channels",
    "/settings": "Settings",
}  # fmt: skip


WORKS = {forecasts.KIND: forecasts.run, plans.KIND: plans.run}


def work_next(db: Database) -> None:
    """Do the oldest job that is due, if there is one: here, where there are no trees; a worker's process takes seconds
    to start, and would have them."""
    with db.connection() as conn:
        job = take_job(conn, [*WORKS], lease_s=600)
    if job is None:
        return
    result = WORKS[job.kind](db, job.request, lambda *_: None)
    with db.connection() as conn:
        finish_job(conn, job, result)


class Life:
    """A town in a thread of its own, and a worker of its jobs in another."""

    def __init__(self, house: Any, scenario: Scenario) -> None:
        self._house, self._scenario = house, scenario
        self.board = Board()
        self.failed: list[BaseException] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(what,)) for what in (self._town, self._work)]

    def __enter__(self) -> "Life":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, what: Any) -> None:
        try:
            what()
        except BaseException as error:
            self.failed.append(error)

    def _town(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        async with Client(self._house.url, self._house.key, self.board.heard) as client:
            founded = await found(client, 1, stranger=None)
            town = Town(founded, client, self.board, speed=SPEED, scenario=self._scenario)
            async with town:
                stop = asyncio.Event()
                living = asyncio.create_task(town.live(stop))
                await asyncio.to_thread(self._over.wait)
                stop.set()
                await living

    def _work(self) -> None:
        while not self._over.wait(0.1):
            fold(self._house.app.db)
            work_next(self._house.app.db)


@pytest.fixture(scope="module")
def life(house) -> Iterator[Life]:
    scenario, problems = parse(STORY)
    assert scenario is not None, problems
    patch = pytest.MonkeyPatch()
    patch.setattr(learn, "has_trees", lambda: False)
    patch.setattr(planners, "_LISTEN_S", 4.0)
    patch.setattr(planners, "_HOURS", 3.0)
    patch.setattr(planners, "_FULL", 1e3)
    for name, count in (("_USUAL", 4), ("_TALKED_OF", 1), ("_COUNTRIES", 3)):
        patch.setattr(past, name, count)
    with Life(house, scenario) as life:
        yield life
    patch.undo()
    assert life.failed == []


def test_what_goes_viral_is_seen_while_somebody_walks_through_the_rooms(life, house, sit) -> None:
    wait_until(lambda: [run for run in house.get("/v1/forecasts/runs")["data"] if run["finished_at"]])
    seat = sit()
    page = seat.go("/")
    story = page.locator("#story")
    expect(story.locator("h3")).to_have_text("Day 0: An ordinary week")
    story.get_by_role("button", name="Next chapter").click()
    expect(story.locator("h3")).to_have_text("Day 40: An item goes viral", timeout=WAIT_MS)
    viral = story.locator("a[href^='/stock/']").inner_text()
    for path, title in ROOMS.items():
        expect(seat.go(path).locator("main h1")).to_contain_text(title)
        assert page.locator("main [role=alert]").count() == 0, path

    watch = Watch(house.app.db, now=house.app.state.now)

    def spike() -> Any:
        watch.look(only=["demand_spikes"], is_due=True)
        found = house.get("/v1/incidents?kind=demand_spike")["data"]
        return next((row for row in found if row["cause"]["key"][0] == viral), None)

    seen = wait_until(spike)
    page = seat.go("/incidents")
    expect(page.locator(f"a[href='/incidents/{seen['incident_id']}']").first).to_contain_text("Demand spike")
    expect(seat.go(f"/incidents/{seen['incident_id']}").locator("main")).to_contain_text(viral)
    assert house.get(f"/v1/incidents/{seen['incident_id']}")["kind"] == "demand_spike"
    seat.shoot("living-spike")
