"""What schedules of every kind have in common."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from onhand.base.fields import Strict
from onhand.jobs.schedules import Schedule


class ScheduleIn(Strict):
    """When something is done, every day."""

    hour: Annotated[int, Field(ge=0, le=23, description="of UTC")]
    active: bool = True


class ScheduleOut(BaseModel):
    """When something is done, every day; nobody has set it as long as `by` is null."""

    hour: int
    active: bool
    next_at: datetime | None
    by: int | None
    updated_at: datetime | None


def shown_schedule(settings: Mapping[str, Any], kept: Schedule | None, unset: ScheduleIn) -> dict[str, Any]:
    """settings: as they are shown; unset: what holds where nothing is kept, switched off."""
    if kept is None:
        return {**settings, "hour": unset.hour, "active": False, "next_at": None, "by": None, "updated_at": None}
    return {
        **settings, "hour": kept.hour, "active": kept.active, "next_at": kept.next_at, "by": kept.actor,
        "updated_at": kept.updated_at,
    }  # fmt: skip
