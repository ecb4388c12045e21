"""What is forecast of the coming days, of all items at all places and on all channels together: read part by part, as
there may be a lot of it and whoever wants it has other things to do."""

from datetime import date
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.demand.forecasts import store
from onhand.demand.forecasts.model import SEGMENTS, Run

# A week: no weekday counts more than another.
_DAYS: Final = 7
_SERIES_AT_ONCE: Final = 20_000
_BEGINNING: Final[store.Key] = (0, 0, -1)


class Rates(NamedTuple):
    """int32[n] rising, float64[n]: units an hour of each item that is forecast, over the coming days."""

    items: npt.NDArray[np.int32]
    per_h: npt.NDArray[np.float64]


class Coming:
    """Reads what is forecast, each time that it has become another forecast."""

    def __init__(self) -> None:
        self._wanted: tuple[str, date] | None = None
        self._run: Run | None = None
        self._first, self._days = date.min, 0
        self._after: store.Key | None = None
        self._found: list[store.Means] = []

    @property
    def is_open(self) -> bool:
        """Whether there is more to read."""
        return self._after is not None

    def look(self, conn: Connection[TupleRow], today: date) -> None:
        """Begin to read what is forecast from `today` on, unless that was read already. By the latest forecast by days
        that covers today, whether channels are summed in it or not."""
        runs = [store.latest_run(conn, by_channel=by_channel, day=today) for by_channel in (False, True)]
        run = max((run for run in runs if run is not None), key=lambda run: run.origin, default=None)
        wanted = None if run is None else (run.run_id, today)
        if wanted == self._wanted:
            return
        self._wanted, self._run, self._found, self._after = wanted, run, [], _BEGINNING
        if run is not None:
            self._first = today
            self._days = min(_DAYS, (run.origin - today).days + int(run.settings["horizon"]))

    def step(self, conn: Connection[TupleRow]) -> Rates | None:
        """Read the next part; all that was found, once there is no more. Of no forecast nothing is found."""
        assert self._after is not None, "there is more to read"
        part = None
        if self._run is not None:
            part = store.means_of_run(
                conn, self._run, _is_model(self._run), first=(self._first - self._run.origin).days, periods=self._days,
                after=self._after, limit=_SERIES_AT_ONCE,
            )  # fmt: skip
        if part is not None:
            self._found.append(part)
            self._after = part.last
            return None
        self._after = None
        found, self._found = self._found, []
        items = np.concatenate([np.zeros(0, np.int32), *(part.item for part in found)])
        per_h = np.concatenate([np.zeros(0), *(part.mean for part in found)]) / 24.0
        known, place = np.unique(items, return_inverse=True)
        return Rates(known, np.bincount(place, per_h, minlength=known.size).astype(np.float64))


def _is_model(run: Run) -> list[bool]:
    """By segment, whether the model is in charge."""
    in_charge = {segment["segment"]: segment["in_charge"] for segment in run.segments or ()}
    return [in_charge.get(name) == "model" for name in SEGMENTS]
