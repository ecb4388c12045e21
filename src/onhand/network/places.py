"""Where a destination is, from what an address says: coordinates, else ZIP code, region or country.

Pure: the tables ship with the package (places.csv, us_zip.csv.gz; their first lines name the sources) and are read
once, when first needed.
"""

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

Precision = Literal["coordinates", "postal_code", "postal_prefix", "region", "country"]

# Territories that share the ZIP codes of the United States.
_ZIP_COUNTRIES = frozenset({"US", "PR", "VI", "GU", "AS", "MP"})
_ZIP_DIGITS = 5
_PREFIX_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A point in degrees; `precision` says what it was found by."""

    latitude: float
    longitude: float
    precision: Precision


def locate(
    country: str,
    region: str | None = None,
    postal_code: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> Place | None:
    """The best point for an address; None when not even the country is known.

    country    ISO 3166-1 alpha-2
    region     ISO 3166-2, with or without the country in front; known for US, CA and AU
    latitude, longitude   in degrees; both given, they win
    """
    if latitude is not None and longitude is not None:
        return Place(latitude, longitude, "coordinates")
    return _look_up(country, region or "", postal_code or "")


# Orders come from far fewer places than there are orders.
@lru_cache(maxsize=65_536)
def _look_up(country: str, region: str, postal_code: str) -> Place | None:
    country = country.strip().upper()
    if country in _ZIP_COUNTRIES and (place := _by_zip(postal_code)):
        return place
    region = region.strip().upper().removeprefix(f"{country}-")
    places = _places()
    if region and (point := places.get((country, region))):
        return Place(*point, "region")
    point = places.get((country, ""))
    return Place(*point, "country") if point else None


def _by_zip(postal_code: str) -> Place | None:
    code = postal_code.strip()[:_ZIP_DIGITS]  # a ZIP+4 names a block within the ZIP
    if len(code) != _ZIP_DIGITS or not (code.isascii() and code.isdigit()):
        return None
    zips, prefixes = _zips()
    if point := zips.get(int(code)):
        return Place(*point, "postal_code")
    # Post-office boxes and new codes are in no table; the first three digits name the sorting centre.
    point = prefixes.get(int(code[:_PREFIX_DIGITS]))
    return Place(*point, "postal_prefix") if point else None


@lru_cache(maxsize=1)
def _places() -> dict[tuple[str, str], tuple[float, float]]:
    """(country, region or "") -> degrees."""
    text = Path(__file__).with_name("places.csv").read_text("utf-8")
    rows = (line.split(",") for line in _body(text))
    return {(country, region): (float(lat), float(lon)) for country, region, lat, lon in rows}


@lru_cache(maxsize=1)
def _zips() -> tuple[dict[int, tuple[float, float]], dict[int, tuple[float, float]]]:
    """Degrees by ZIP code, and by its first three digits (mean of the codes)."""
    raw = Path(__file__).with_name("us_zip.csv.gz").read_bytes()
    zips: dict[int, tuple[float, float]] = {}
    sums: dict[int, tuple[float, float, int]] = {}
    for line in _body(gzip.decompress(raw).decode("ascii")):
        code, lat_text, lon_text = line.split(",")
        lat, lon = float(lat_text), float(lon_text)
        zips[int(code)] = (lat, lon)
        # A plain mean: no prefix lies across the antimeridian.
        prefix = int(code[:_PREFIX_DIGITS])
        lat_sum, lon_sum, count = sums.get(prefix, (0.0, 0.0, 0))
        sums[prefix] = (lat_sum + lat, lon_sum + lon, count + 1)
    means = {prefix: (lat / count, lon / count) for prefix, (lat, lon, count) in sums.items()}
    return zips, means


def _body(text: str) -> list[str]:
    """The rows of a table, without its comment and its line of names."""
    return [line for line in text.splitlines() if line and not line.startswith("#")][1:]
