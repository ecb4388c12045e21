"""What a shipment looks like before it is under way: nothing of what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onhand.fulfilment.delivery.model import Bool, Float64, Int64, Shipments

FOLDS = 5
_EARTH_KM = 6371.0
_BANDS_KM = np.array([20, 50, 100, 200, 400, 700, 1_100, 1_600, 2_500, 4_000, 7_000])
_BANDS_DAYS = np.array([0.5, 1, 2, 3, 5, 7, 10, 14, 18, 22, 26, 30, 40, 60, 90, 150])
# So many rows of nothing special stand beside those of a group.
_PRIOR_ROWS = 20.0
# Seasons can be told from growth only where they were seen twice.
_SEASON_DAYS = 730


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Kinds that shipments are of, from the coarsest to the finest, as int64[n] places among the names of each.

    Places beyond the names are those of kinds that were not seen.
    """

    names: Mapping[str, NDArray[np.str_]]
    places: Mapping[str, Int64]

    def count(self, name: str) -> int:
        return len(self.names[name]) + 1

    def rows(self, which: Bool) -> "Groups":
        return Groups(names=self.names, places={name: places[which] for name, places in self.places.items()})

    def without(self, name: str) -> "Groups":
        return Groups(
            names={of: names for of, names in self.names.items() if of != name},
            places={of: places for of, places in self.places.items() if of != name},
        )


def distance_km(origin: Float64, destination: Float64) -> Float64:
    """Along the great circle (haversine), of degrees float64[n, 2]."""
    (lat, lon), (to_lat, to_lon) = np.radians(origin).T, np.radians(destination).T
    half = np.sin((to_lat - lat) / 2) ** 2 + np.cos(lat) * np.cos(to_lat) * np.sin((to_lon - lon) / 2) ** 2
    return 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))


def groups_of(shipments: Shipments, like: Groups | None = None) -> Groups:
    """like  groups of the history: the same kinds, at the same places."""
    texts = _texts(shipments)
    if like is None:
        found = {name: np.unique(column, return_inverse=True) for name, column in texts.items()}
        return Groups(
            names={name: names for name, (names, _) in found.items()},
            places={name: places.astype(np.int64) for name, (_, places) in found.items()},
        )
    return Groups(
        names=like.names,
        places={
            name: _places(names, texts.get(name, np.full(len(shipments), "?"))) for name, names in like.names.items()
        },
    )


def plain(shipments: Shipments, numbers: Sequence[str], *, season: bool) -> Float64:
    """float64[n, F]: distance, places, promise, the hour and day of the week of order and promise, numbers."""
    hours, promised_on = shipments.start, np.floor(shipments.start + shipments.promised)
    columns = [
        np.log1p(distance_km(shipments.origin, shipments.destination)), *shipments.origin.T, *shipments.destination.T,
        shipments.promised, (np.floor(hours) + 3) % 7, hours % 1 * 24, (hours + 3) % 7, (promised_on + 3) % 7,
    ]  # fmt: skip
    if season:
        columns.append(hours % 365.2425)
    nothing = np.full(len(shipments), np.nan)
    return np.column_stack([*columns, *(shipments.numbers.get(name, nothing) for name in numbers)])


def has_seasons(shipments: Shipments) -> bool:
    return bool(np.ptp(shipments.start) > _SEASON_DAYS)


def folds_of(shipments: Shipments) -> Int64:
    """int64[n] in [0, FOLDS): whole weeks, in turn, so that days that fared alike stay together."""
    weeks = np.unique(np.floor(shipments.start / 7), return_inverse=True)[1].astype(np.int64)
    return (weeks if weeks.max() >= FOLDS - 1 else np.arange(len(shipments))) % FOLDS


def group_means(groups: Groups, target: Float64, weight: Float64, folds: Int64) -> tuple[Float64, dict[str, Float64]]:
    """(float64[n, G], by group float64[count]) of the mean target of each row's group, shrunk to 0.

    A row's own fold is left out of its mean, so that it does not see its own target.
    """
    weight = weight / max(float(weight.mean()), 1e-12)
    columns: list[Float64] = []
    whole: dict[str, Float64] = {}
    for name, places in groups.places.items():
        count = groups.count(name)
        cells = folds * count + places
        rows, sums = (np.bincount(cells, of, FOLDS * count).reshape(FOLDS, count) for of in (weight, weight * target))
        means = (sums.sum(axis=0) - sums) / (rows.sum(axis=0) - rows + _PRIOR_ROWS)
        columns.append(means[folds, places])
        whole[name] = sums.sum(axis=0) / (rows.sum(axis=0) + _PRIOR_ROWS)
    return np.column_stack(columns), whole


def looked_up(groups: Groups, means: Mapping[str, Float64]) -> Float64:
    """float64[n, G]"""
    return np.column_stack([means[name][places] for name, places in groups.places.items()])


def _texts(shipments: Shipments) -> dict[str, NDArray[np.str_]]:
    distance = np.digitize(distance_km(shipments.origin, shipments.destination), _BANDS_KM).astype(str)
    origin, destination = _areas(shipments.origin), _areas(shipments.destination)
    kinds = shipments.kinds
    service = [kinds[name] for name in ("carrier", "service") if name in kinds]
    by = _joined(*service) if service else np.full(len(shipments), "")
    return {
        "distance": distance,
        "promise": np.digitize(shipments.promised, _BANDS_DAYS).astype(str),
        "service": _joined(by, distance),
        **kinds,
        "origin": origin,
        "destination": destination,
        "lane": _joined(origin, destination, by),
    }


def _areas(places: Float64) -> NDArray[np.str_]:
    """Cells of one degree."""
    return _joined(*np.floor(places).astype(str).T)


def _joined(*texts: NDArray[np.str_]) -> NDArray[np.str_]:
    made = texts[0]
    for text in texts[1:]:
        made = np.char.add(np.char.add(made, "|"), text)
    return made


def _places(names: NDArray[np.str_], texts: NDArray[np.str_]) -> Int64:
    places = np.searchsorted(names, texts)
    known = names[np.minimum(places, len(names) - 1)] == texts
    return np.where(known, places, len(names)).astype(np.int64)
