"""`onhand.delivery_model`: when shipments will be delivered, and how likely they are late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from onhand.demand import holidays
from onhand.demand.correct import day_after
from onhand.demand.model import Scope
from onhand.demand.signals import Known, resolve
from onhand.errors import FieldError, InvalidInput
from onhand.fulfilment.delivery import learn
from onhand.fulfilment.delivery.levels import LEVELS
from onhand.fulfilment.delivery.model import Float64, Shipments
from onhand.fulfilment.delivery.signals import AHEAD_DAYS, PAST_DAYS, with_signals
from onhand.library.tables import Frame, read, same_library, series_of

_Sort = Literal["quantity", "kind"]
_US_PER_DAY: Final = 86_400_000_000
_PLACES: Final = {
    "origin_latitude": 90.0, "origin_longitude": 180.0, "destination_latitude": 90.0, "destination_longitude": 180.0,
}  # fmt: skip
_MOMENTS: Final = ("ordered_at", "promised_at", "handed_over_at", "delivered_at", "scanned_at")
_NEEDED: Final = ("shipment_id", "ordered_at", "promised_at", *_PLACES)
_ENDS: Final = ("origin", "destination")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryModel:
    """What a history taught; made by `onhand.delivery_model`."""

    _model: learn.DeliveryModel
    _sorts: Mapping[str, _Sort]
    _signals: Sequence[Known] | None

    def predict(
        self,
        shipments: Frame,
        *,
        quantiles: Sequence[float] = LEVELS,
        as_of: datetime | None = None,
        signals: Frame | None = None,
    ) -> Any:
        """Days from the order to the delivery of each shipment, and its chance to be late.

        shipments  the columns of the history; of features that it has not, nothing is known. handed_over_at, where it
                   is known, and scanned_at, the last moment at which the shipment was seen on its way, narrow it down
        quantiles  levels in (0, 1)
        as_of      a moment at which none of them is delivered; without it each is only known not to be delivered by
                   its scanned_at and handed_over_at, and a new order not to be delivered when it is made
        signals    as they are known now, of a model that has learned with signals; None: those it has learned with

        Returns a frame of the same library, a row a shipment as they came: shipment_id, q0.05 ... q0.95 (by level;
        days from ordered_at, rising), p_late (after promised_at; missing without a promise). Raises InvalidInput.
        """
        levels = np.array(sorted({float(level) for level in quantiles}))
        if not len(levels) or levels[0] <= 0 or levels[-1] >= 1:
            raise InvalidInput.at("quantiles", "expected levels between 0 and 1, such as 0.05")
        table = _Table(shipments, "shipments")
        if signals is not None and self._signals is None:
            raise InvalidInput.at("signals", "the model has learned without any: give them to delivery_model too")
        heard = self._signals if signals is None else _read_signals(signals)
        read = table.shipments(self._sorts, heard)
        gone = np.fmax(table.days("scanned_at"), np.nan_to_num(read.handed_over))
        if as_of is not None:
            gone = np.fmax(gone, _day_of(as_of) - read.start)
        made = self._model.predict(read, levels, np.maximum(gone, 0.0))
        columns = {f"q{level:g}": made.quantiles[:, place] for place, level in enumerate(levels)}
        return same_library(shipments, {"shipment_id": table.ids} | columns | {"p_late": made.late})


def delivery_model(
    history: Frame, *, signals: Frame | None = None, as_of: datetime | None = None, trees: bool | None = None,
    seed: int = 0,
) -> DeliveryModel:  # fmt: skip
    """Learn from shipments how long deliveries take, and how often they come late.

    history  shipment_id, ordered_at, promised_at (empty: nothing was promised), origin_latitude, origin_longitude,
             destination_latitude, destination_longitude (degrees; empty: not known), delivered_at; maybe carrier,
             service, weight_g, volume_cm3, handed_over_at, and any further features, numbers or texts. Features are to
             be those known when a shipment is ordered. Moments are of one time zone; without one they count as local.
             delivered_at is empty for shipments on their way: with them the model sees that deliveries slow down
             before the slow ones are there. Leave out shipments that were cancelled. A history of delivered shipments
             only is allowed for: the slow ones among the last are missing
    signals  name, at (a date), value, and maybe region and known_ahead (truth values; missing: not): series that may
             explain it, such as the weather. A region is one that the shipments have in the columns origin_region and
             destination_region, an empty one is everywhere. Of a signal known ahead a shipment hears the days until
             its promise, at most fourteen, of others the seven days before it is ordered. Public holidays are among
             them where regions are such as DE or DE-BE. Only trees hear signals
    as_of    the moment of which this is the knowledge: what was ordered, handed over or delivered later counts as not
             yet. None: the last moment in the history
    trees    whether boosted trees forecast (extra `forecast`), or lanes alone; None: trees if they are installed
    seed     the same seed, the same model

    Raises InvalidInput, also with fewer than 30 delivered shipments.
    """
    table = _Table(history, "history")
    if "delivered_at" not in table.names:
        raise InvalidInput.at("history.delivered_at", "the column is missing; leave it empty for those on their way")
    sorts = table.sorts()
    heard = None if signals is None else _read_signals(signals)
    read = table.shipments(sorts, heard)
    if (read.days < 0).any():
        first = table.ids[int(np.argmax(read.days < 0))]
        raise InvalidInput.at(
            "history.delivered_at",
            f"shipment {first!r} is delivered before it is ordered: correct it or leave the row out",
        )
    latest = [np.nanmax(read.start + of) for of in (read.days, np.zeros(len(read))) if np.isfinite(of).any()]
    now = _day_of(as_of) if as_of is not None else max(map(float, latest), default=0.0)
    known = Shipments(
        start=read.start, promised=read.promised, days=_by(now, read.start, read.days), origin=read.origin,
        destination=read.destination, handed_over=_by(now, read.start, read.handed_over), numbers=read.numbers,
        kinds=read.kinds,
    ).rows(read.start <= now)  # fmt: skip
    try:
        return DeliveryModel(
            _model=learn.DeliveryModel(known, now, trees=trees, seed=seed), _sorts=sorts, _signals=heard
        )
    except ValueError as error:
        raise InvalidInput.at("history", str(error)) from None


class _Table:
    """A frame of shipments, read column by column. Raises InvalidInput with what is wrong, as `what.column`."""

    def __init__(self, frame: Frame, what: str) -> None:
        self._what = what
        self.names = [str(name) for name in frame.columns]
        missing = [FieldError(f"{what}.{name}", "the column is missing") for name in _NEEDED if name not in self.names]
        if missing:
            raise InvalidInput(missing)
        self._columns = {name: series_of(frame[name], name) for name in self.names}
        ids = self._columns["shipment_id"].cast(pl.String)
        if ids.null_count():
            raise InvalidInput.at(f"{what}.shipment_id", "expected texts without gaps")
        if ids.is_duplicated().any():
            twice = ids.filter(ids.is_duplicated())[0]
            raise InvalidInput.at(f"{what}.shipment_id", f"{twice!r} is there twice: expected each shipment once")
        self.ids = ids.to_list()
        zones = {name: self._moments(name)[1] for name in _MOMENTS if name in self.names}
        if len(set(zones.values())) > 1:
            bare = next(name for name, zone in zones.items() if not zone)
            raise InvalidInput.at(f"{what}.{bare}", "expected moments with a time zone, as the other columns have")
        self._start = self._moments("ordered_at")[0]
        if np.isnan(self._start).any():
            raise InvalidInput.at(f"{what}.ordered_at", "expected moments without gaps")

    def sorts(self) -> dict[str, _Sort]:
        """What the further columns hold. Columns of nothing hold nothing."""
        known = {"shipment_id", *_MOMENTS, *_PLACES}
        made: dict[str, _Sort] = {}
        for name, column in self._columns.items():
            if name in known or column.null_count() == len(column):
                continue
            if not (column.dtype.is_numeric() or _is(column, pl.Boolean, pl.String, pl.Categorical, pl.Enum)):
                raise InvalidInput.at(
                    f"{self._what}.{name}", "expected numbers or texts; of a moment give the days from ordered_at"
                )
            made[name] = "quantity" if column.dtype.is_numeric() or _is(column, pl.Boolean) else "kind"
        return made

    def shipments(self, sorts: Mapping[str, _Sort], signals: Sequence[Known] | None) -> Shipments:
        """signals  None: there are none; otherwise public holidays come to them."""
        places = [self._degrees(name) for name in _PLACES]
        made = Shipments(
            start=self._start, promised=self.days("promised_at"), days=self.days("delivered_at"),
            origin=np.column_stack(places[:2]), destination=np.column_stack(places[2:]),
            handed_over=np.maximum(self.days("handed_over_at"), 0.0),
            numbers={name: self._numbers(name) for name, sort in sorts.items() if sort == "quantity"},
            kinds={name: self._texts(name) for name, sort in sorts.items() if sort == "kind"},
        )  # fmt: skip
        return made if signals is None or not len(made) else self._hearing(made, signals)

    def _hearing(self, shipments: Shipments, signals: Sequence[Known]) -> Shipments:
        texts = [self._texts(f"{end}_region") for end in _ENDS]
        regions, series = np.unique(np.concatenate(texts), return_inverse=True)
        named = pl.DataFrame(
            {"region": [str(region) or None for region in regions], "sku": None, "category": None, "node": None},
            schema=dict.fromkeys(("region", "sku", "category", "node"), pl.String),
        )
        first = day_after(int(shipments.start.min()) - PAST_DAYS)
        until = day_after(int(shipments.start.max()) + AHEAD_DAYS + 1)
        holiday = holidays.holidays([str(region) for region in regions], first, until)
        known, past = (
            resolve(of, named, first=first, until=until)
            for of in ([*(s for s in signals if s.known_ahead), *holiday], [s for s in signals if not s.known_ahead])
        )
        ends = series.reshape(len(_ENDS), len(shipments)).astype(np.int64)
        return with_signals(shipments, dict(zip(_ENDS, ends, strict=True)), known, past)

    def days(self, name: str) -> Float64:
        """float64[n] from ordered_at, NaN where nothing is said."""
        if name not in self.names:
            return np.full(len(self._start), np.nan)
        return self._moments(name)[0] - self._start

    def _moments(self, name: str) -> tuple[Float64, bool]:
        """(days since 1970, whether they have a time zone)."""
        column = self._columns[name]
        try:
            if column.dtype == pl.String:
                zone = bool(column.str.contains(r"(Z|[+-]\d\d:?\d\d)$").any())
                column = column.str.to_datetime(time_zone="UTC") if zone else column.str.to_datetime()
            moments = column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
        except pl.exceptions.PolarsError:
            raise InvalidInput.at(f"{self._what}.{name}", 'expected moments, such as "2026-03-01T09:00:00"') from None
        days = moments.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy() / _US_PER_DAY
        return days, getattr(moments.dtype, "time_zone", None) is not None

    def _degrees(self, name: str) -> Float64:
        degrees, most = self._numbers(name), _PLACES[name]
        if (np.abs(degrees) > most).any():
            raise InvalidInput.at(f"{self._what}.{name}", f"expected degrees from -{most:g} to {most:g}")
        return degrees

    def _numbers(self, name: str) -> Float64:
        if name not in self.names:
            return np.full(len(self._start), np.nan)
        column = self._columns[name]
        if not (column.dtype.is_numeric() or _is(column, pl.Boolean, pl.Null)):
            raise InvalidInput.at(f"{self._what}.{name}", "expected numbers")
        numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
        numbers[np.isinf(numbers)] = np.nan
        return numbers

    def _texts(self, name: str) -> NDArray[np.str_]:
        if name not in self.names:
            return np.full(len(self._start), "")
        column = self._columns[name]
        if column.dtype.is_numeric():
            raise InvalidInput.at(f"{self._what}.{name}", "expected texts, as in the history")
        return column.cast(pl.String).fill_null("").to_numpy().astype(np.str_)


def _read_signals(signals: Frame) -> list[Known]:
    """Each signal of each region. Raises InvalidInput."""
    names = [str(name) for name in signals.columns]
    table = read(signals, "signals", {"name": "text", "at": "day", "value": "number"})

    def column(name: str, dtype: type[pl.DataType], otherwise: object) -> pl.Series:
        if name not in names:
            return pl.Series(name, [otherwise] * len(table), dtype)
        try:
            return series_of(signals[name], name).cast(dtype).fill_null(otherwise).alias(name)
        except pl.exceptions.PolarsError:
            raise InvalidInput.at(
                f"signals.{name}", f"expected {'texts' if dtype is pl.String else 'truth values'}"
            ) from None

    table = table.with_columns(column("region", pl.String, ""), column("known_ahead", pl.Boolean, False)).sort("at")
    mixed = table.group_by("name").agg(pl.col("known_ahead").n_unique()).filter(pl.col("known_ahead") > 1)
    if len(mixed):
        raise InvalidInput.at("signals.known_ahead", f"signal {mixed['name'].min()!r} is known ahead in some rows only")
    return [
        Known(
            name=str(name), scope=Scope(region=str(region) or None), known_ahead=bool(of["known_ahead"][0]), fill=None,
            at=of["at"].cast(pl.Datetime("us")).to_physical().to_numpy(), value=of["value"].to_numpy(),
        )
        for (name, region), of in table.group_by("name", "region", maintain_order=True)
    ]  # fmt: skip


def _is(column: pl.Series, *kinds: type[pl.DataType]) -> bool:
    return any(column.dtype == kind for kind in kinds)


def _day_of(moment: datetime) -> float:
    """Days since 1970, of a local time as it stands."""
    there = moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return there.timestamp() / 86_400


def _by(now: float, start: Float64, days: Float64) -> Float64:
    """Days as they are known now: NaN of what comes later."""
    return np.where(start + days < now + 1e-9, days, np.nan)
