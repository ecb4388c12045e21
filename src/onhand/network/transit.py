"""Transit times as they are declared and as they were learned of deliveries (fulfilment/delivery/transit.py). Pure.

What is learned of a carrier is a list of rows, each of one service and of one of these:

    {"service", "p50_factor", "spread_factor", "spread"}  the service: corrects all its declared times
    {"service", "lane", "p50", "p95"}                     a declared lane, by its key (parcels.py)
    {"service", "node", "country", "region", "p50", "p95"}  from a node to a country, or to a region of it

and further facts for people, such as how many deliveries it rests on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from onhand.network.parcels import lane_key

Quantiles = Mapping[str, float]

# Declared quantiles that lie closer together say nothing of how times scatter.
_SPREAD_MIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Transit times of a service: of its bands (one for all, or one each), its declared lanes, and lanes that were
    learned, which apply where no declared one does."""

    bands: Quantiles | list[Quantiles]
    lanes: list[Mapping[str, Any]]
    learned: list[Mapping[str, Any]]


def times_of(service: Mapping[str, Any], learned: Sequence[Mapping[str, Any]]) -> Times:
    """The times of a service, as declared where nothing was learned of it."""
    declared = cast("Quantiles | list[Quantiles]", service["transit_days"])
    lanes: list[Mapping[str, Any]] = list(service.get("lanes") or [])
    if not learned:
        return Times(bands=declared, lanes=lanes, learned=[])
    whole = next((row for row in learned if "p50_factor" in row), None)
    of_lane = {row["lane"]: row for row in learned if row.get("lane") is not None}

    def of(days: Quantiles) -> Quantiles:
        return days if whole is None else corrected(days, whole)

    return Times(
        bands=[of(days) for days in declared] if isinstance(declared, list) else of(declared),
        lanes=[
            {**lane, "transit_days": _quantiles(of_lane[key]) if key in of_lane else of(lane["transit_days"])}
            for lane, key in zip(lanes, map(lane_key, lanes), strict=True)
        ],
        # A region goes before its country.
        learned=[_lane(row) for row in sorted((r for r in learned if "node" in r), key=lambda r: r["region"] is None)],
    )


def corrected(days: Quantiles, row: Mapping[str, Any]) -> Quantiles:
    """Declared days by what was learned of the whole service."""
    p50 = days["p50"] * row["p50_factor"]
    spread = math.log(days["p95"] / days["p50"])
    spread = spread * row["spread_factor"] if spread > _SPREAD_MIN else row["spread"]
    return {"p50": p50, "p95": p50 * math.exp(spread)}


def _lane(row: Mapping[str, Any]) -> Mapping[str, Any]:
    to = {} if row["region"] is None else {"to_regions": [row["region"]]}
    return {"from_nodes": [row["node"]], "to_countries": [row["country"]], **to, "transit_days": _quantiles(row)}


def _quantiles(row: Mapping[str, Any]) -> Quantiles:
    return {"p50": row["p50"], "p95": row["p95"]}
