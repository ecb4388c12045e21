"""What carrying a tonne for a kilometre emits: the factors that ship with the package, each with its source.

In the terms of ISO 14083: a transport operation category has an emission intensity in g CO2e per tonne-kilometre,
well-to-wheel; a distance adjustment factor turns the great-circle distance into the one that is driven or flown.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionFactor:
    """The emission intensity of a transport operation category (`toc`).

    scope   WTW, well-to-wheel: with what it takes to provide the fuel
    year    of the publication, or of the data where `note` says so
    region  where it was measured: a country, EU or world
    """

    code: str
    toc: str
    mode: str
    vehicle: str
    intensity_g_per_tkm: float
    scope: str
    source: str
    year: int
    region: str
    note: str


@lru_cache(maxsize=1)
def emission_factors() -> Mapping[str, EmissionFactor]:
    """All factors by code, in the order of emission_factors.csv. A code never changes its figure."""
    text = Path(__file__).with_name("emission_factors.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["code"]: msgspec.convert(row, EmissionFactor, strict=False) for row in rows}


def intensity_of(service: Mapping[str, Any]) -> float:
    """Grams of CO2e per tonne and great-circle kilometre of a carrier's service, as its document says: its own figure,
    else that of its emission factor, else none; times its distance factor."""
    own: float | None = service.get("co2_g_per_tonne_km")
    code: str | None = service.get("emission_factor")
    if own is None and code is not None:
        own = emission_factors()[code].intensity_g_per_tkm
    return (own or 0.0) * (service.get("distance_factor") or 1.0)
