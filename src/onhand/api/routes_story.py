"""The story that a simulated world tells of itself while it plays a scenario: for the console. Nobody else has one."""

from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import TheEdge
from onhand.api.idempotent import to_json
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Moment, Name, ShortText, Strict
from onhand.errors import Conflict

router = routes("story")

_SPEED_MAX: Final = 10_000
_Text = Annotated[str, Field(max_length=40_000)]
_Speed = Annotated[float, Field(ge=0, le=_SPEED_MAX, description="simulated seconds a second; 0: it stands")]


class StoryAbout(Strict):
    """What a chapter is about."""

    what: Literal["item", "node", "channel", "carrier"]
    key: ShortText


class StoryFigure(Strict):
    """A count of what happened in a chapter."""

    name: Literal["orders", "shipped", "backordered", "unfillable", "rejected", "cancelled"]
    value: Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)]


class StoryRun(Strict):
    """A playbook that is run for an incident."""

    playbook: ShortText
    status: ShortText
    steps: Annotated[list[ShortText], Field(max_length=20)]


class StoryIncident(Strict):
    """An incident that was opened in a chapter."""

    incident_id: Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    kind: Annotated[str, Field(pattern="^[a-z_]{1,40}$")]
    cause: Annotated[list[ShortText], Field(max_length=10)]
    risk_minor: int
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    status: ShortText
    runs: Annotated[list[StoryRun], Field(max_length=5)]


class StoryChapter(Strict):
    """What happened, what was seen of it and done about it."""

    from_day: Annotated[float, Field(ge=0, le=1_000, description="of the scenario")]
    title: _Text
    text: _Text
    state: Literal["to_come", "now", "told"]
    began_at: Moment | None
    about: Annotated[list[StoryAbout], Field(max_length=20)]
    figures: Annotated[list[StoryFigure], Field(max_length=20)]
    incidents: Annotated[list[StoryIncident], Field(max_length=10)]


_STORY: Final = {
    "name": "viral_item",
    "description": "Five items are wanted by twenty times as many people as usual for a week, and nobody foresaw it.",
    "speed": 60.0, "day": 5.4, "days": 21, "chapter": 0,
    "chapters": [
        {
            "from_day": 5.0, "title": "Some items are wanted by everybody", "text": "Nobody foresaw it.",
            "state": "now", "began_at": "2026-03-02T09:15:15Z", "about": [{"what": "item", "key": "MUG-BLUE"}],
            "figures": [{"name": "orders", "value": 812}], "incidents": [],
        }
    ],
}  # fmt: skip


class StoryIn(Strict):
    """A scenario that a simulated world plays, as far as it is told."""

    model_config = ConfigDict(json_schema_extra={"examples": [cast("Any", _STORY)]})

    name: Name
    description: _Text
    speed: _Speed
    day: Annotated[float, Field(ge=0, le=1_000, description="of the scenario")]
    days: Annotated[int, Field(ge=1, le=1_000)]
    chapter: Annotated[int, Field(ge=0, le=1_000, description="that is told now, from 0")]
    chapters: Annotated[list[StoryChapter], Field(max_length=200)]


class StoryOut(BaseModel):
    """The story that is told here now; null: none, as on every server that serves no simulated world."""

    story: StoryIn | None


class StoryWish(BaseModel):
    """What those who look at it wish; null: nothing."""

    speed: float | None
    chapter: int | None


class StoryPaceIn(Strict):
    """Another speed, or a later chapter to go on with at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"speed": 300}, {"chapter": 2}]})

    speed: _Speed | None = None
    chapter: Annotated[int, Field(ge=0, le=1_000)] | None = None


@router.get("/v1/story", dependencies=[require("read")], response_model=StoryOut)
def get_story(edge: TheEdge) -> Response:
    """The story that a simulated world tells of itself (`onhand demo --scenario`); null on any other server."""
    return Response(to_json(StoryOut.model_validate({"story": edge.story.now()})), media_type="application/json")


@router.put(
    "/v1/story", dependencies=[require("config:write")], response_model=StoryWish, responses=problem_responses(422)
)
def put_story(edge: TheEdge, story: StoryIn) -> Response:
    """Tell how far a simulated world is; the answer says what those who look at it wish. Nothing is kept."""
    return Response(to_json(edge.story.tell(story.name, story)), media_type="application/json")


@router.put(
    "/v1/story/pace",
    dependencies=[require("config:write")],
    response_model=StoryWish,
    responses=problem_responses(409, 422),
)
def put_story_pace(edge: TheEdge, pace: StoryPaceIn) -> Response:
    """Wish for another speed, or for a later chapter. The world hears of it when it tells the next time."""
    if edge.story.now() is None:
        raise Conflict("story.none", "no story is told here: start one with `onhand demo --scenario`")
    wish = edge.story.ask(pace.model_dump(exclude_none=True))
    return Response(to_json(wish), media_type="application/json")
