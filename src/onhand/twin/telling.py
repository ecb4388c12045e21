"""Plays a scenario in the town and tells it: chapter by chapter, with what onhand saw of it and did about it.

All of it goes over the public interface: what happened is told to `PUT /v1/story`, whose answer says what those who
look at it wish (another speed, another chapter); what onhand made of it is read from incidents and runs of playbooks.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from onhand.twin.board import Board
from onhand.twin.client import Client
from onhand.twin.clock import Clock
from onhand.twin.scenarios.document import Scenario
from onhand.twin.story import DAY_S, Chapter, Trouble, chapters
from onhand.twin.world import Json, World

_TELL_EVERY_S: Final = 0.5
_LOOK_EVERY_S: Final = 2.0
FIGURES: Final = ("orders", "shipped", "backordered", "unfillable", "rejected", "cancelled")
"""Counts of the board that say what came of a chapter."""
_INCIDENTS_MAX: Final = 10
_RUNS_OF_MAX: Final = 5
_PAGE: Final = 100


@dataclass(slots=True)
class _Told:
    """A chapter as far as it is told."""

    chapter: Chapter
    began_at: datetime | None = None
    before: Counter[str] = field(default_factory=Counter[str])
    after: Counter[str] | None = None
    incidents: list[Json] = field(default_factory=list[Json])


class Telling:
    """One scenario, played in one town. clock: the town's; trouble: what its people look at.

    weather  called when the weather of vendors has changed
    told     called with each chapter as it begins
    """

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        client: Client,
        clock: Clock,
        board: Board,
        trouble: Trouble,
        *,
        weather: Callable[[], Awaitable[None]],
        told: Callable[[int, Chapter], None],
    ) -> None:
        self._scenario, self._world, self._client, self._clock, self._board = scenario, world, client, clock, board
        self._trouble, self._weather, self._say = trouble, weather, told
        self._told = [_Told(chapter) for chapter in chapters(scenario, world)]
        self._at = -1
        self._day, self._since_s = 0.0, clock.now_s()
        self._wished: tuple[float | None, int | None] = None, None

    @property
    def day(self) -> float:
        """Of the scenario, until its end."""
        return min(self._day, float(self._scenario.days))

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        watching = asyncio.create_task(self._watch())
        try:
            while not stop.is_set():
                await self.advance()
                await self.tell()
                await asyncio.sleep(_TELL_EVERY_S)
        finally:
            watching.cancel()

    async def advance(self) -> None:
        """Begin the chapters whose time has come."""
        now_s = self._clock.now_s()
        self._day += (now_s - self._since_s) / DAY_S
        self._since_s = now_s
        while self._at + 1 < len(self._told) and self._told[self._at + 1].chapter.from_day <= self._day:
            await self._begin(self._at + 1)

    async def _begin(self, number: int) -> None:
        if self._at >= 0:
            self._told[self._at].after = Counter(self._board.counts)
        self._at = number
        told = self._told[number]
        told.began_at, told.before = datetime.now(UTC), Counter(self._board.counts)
        self._trouble.become([self._scenario.events[n] for n in told.chapter.events], self._world)
        self._say(number, told.chapter)
        await self._weather()

    async def tell(self) -> None:
        """Tell how far it is, and do as those wish who look at it."""
        answer = await self._client.put("/v1/story", self.document())
        if not answer.ok:
            self._board.problem(f"/v1/story: {answer.problem}")
            return
        speed, chapter = answer.body["speed"], answer.body["chapter"]
        if (speed, chapter) == self._wished:
            return
        self._wished = speed, chapter
        if speed is not None:
            self._clock.change(speed)
        if isinstance(chapter, int) and self._at < chapter < len(self._told):
            # Those between are passed at once: what they change is changed.
            self._day = max(self._day, self._told[chapter].chapter.from_day)
            self._since_s = self._clock.now_s()

    def document(self) -> Json:
        """As `PUT /v1/story` takes it."""
        return {
            "name": self._scenario.name,
            "description": self._scenario.description,
            "speed": self._clock.speed,
            "day": round(self.day, 3),
            "days": self._scenario.days,
            "chapter": max(self._at, 0),
            "chapters": [self._chapter(number, told) for number, told in enumerate(self._told)],
        }

    def _chapter(self, number: int, told: _Told) -> Json:
        chapter = told.chapter
        after = self._board.counts if told.after is None else told.after
        has_begun = told.began_at is not None
        return {
            "from_day": chapter.from_day,
            "title": chapter.title,
            "text": chapter.text,
            "state": "now" if number == self._at else "told" if has_begun else "to_come",
            "began_at": None if told.began_at is None else _moment(told.began_at),
            "about": [{"what": what, "key": key} for what, key in chapter.about[:20]],
            "figures": [{"name": n, "value": after[n] - told.before[n]} for n in FIGURES] if has_begun else [],
            "incidents": told.incidents,
        }

    # What onhand makes of it ------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Read the incidents that opened since the story began, and what is done about the dearest of each chapter."""
        begun = [told for told in self._told if told.began_at is not None]
        if not begun or begun[0].began_at is None:
            return
        asked = {"status": "all", "from": _moment(begun[0].began_at), "limit": _PAGE}
        answer = await self._client.get("/v1/incidents", **asked)
        if not answer.ok:
            return
        for told, rows in zip(begun, by_chapter(answer.body["data"], begun), strict=True):
            told.incidents = [await self._incident(row, n) for n, row in enumerate(rows[:_INCIDENTS_MAX])]

    async def _incident(self, row: Json, number: int) -> Json:
        steps: list[Json] = []
        if number < _RUNS_OF_MAX:
            answer = await self._client.get(f"/v1/incidents/{row['incident_id']}/runs")
            rows: list[Json] = answer.body["data"] if answer.ok else []
            steps = [{name: run[name] for name in ("playbook", "status", "steps")} for run in rows[:5]]
        names = ("incident_id", "kind", "risk_minor", "currency", "status")
        return {name: row[name] for name in names} | {"cause": row["cause"]["key"], "runs": steps}


def by_chapter(incidents: Sequence[Json], begun: Sequence[_Told]) -> list[list[Json]]:
    """Those that opened in each chapter, the dearest first; from before the first: in none."""
    found: list[list[Json]] = [[] for _ in begun]
    for row in sorted(incidents, key=lambda row: -row["risk_minor"]):
        opened = datetime.fromisoformat(row["opened_at"])
        earlier = [n for n, told in enumerate(begun) if told.began_at is not None and told.began_at <= opened]
        if earlier:
            found[earlier[-1]].append(row)
    return found


def _moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
