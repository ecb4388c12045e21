"""Values of the network: nodes, groups and carriers as stored, and the strict documents that callers write."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
)

from onhand.base.fields import (
    INT4_MAX,
    Attributes,
    Code,
    Country,
    Currency,
    Day,
    Name,
    ShortText,
    Strict,
    TimeOfDay,
)

NodeType = Literal["warehouse", "store", "third_party", "supplier"]
Method = Literal["ship", "pickup", "ship_to_store"]

_COST_MAX_MINOR: Final = 1_000_000_000
_DAYS_MAX: Final = 365.0
_KM_MAX: Final = 50_000.0  # more than once around the Earth
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_NUMBERS: Final = {name[:n]: i for i, name in enumerate(_WEEKDAYS, 1) for n in (3, len(name))}


@lru_cache(maxsize=1)
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads folders: once is enough


def _time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError(f"expected an IANA time zone such as Europe/Berlin, got {name!r}")
    return name


def _weekday(value: object) -> object:
    if isinstance(value, str):
        number = _WEEKDAY_NUMBERS.get(value.lower())
        if number is None:
            raise ValueError(f'expected a weekday such as 1 or "mon", got {value!r}')
        return number
    return value


def _sorted_days(days: list[Any]) -> list[Any]:
    return sorted(set(days))


def _unique(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


Limit = Annotated[int, Field(ge=0, le=INT4_MAX)]
# In memory the largest number means no limit.
_PerDay = Annotated[int, Field(ge=0, lt=INT4_MAX)]
Cost = Annotated[int, Field(ge=0, le=_COST_MAX_MINOR)]
_Weekday = Annotated[
    int,
    Field(ge=1, le=7),
    BeforeValidator(_weekday),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 7},
                {"type": "string", "enum": [*_WEEKDAYS, *(d[:3] for d in _WEEKDAYS)]},
            ],
            "description": "ISO weekday: Monday is 1",
        }
    ),
]


class CapacityIn(Strict):
    """Most orders, lines and units a node ships on one day; null or left out: without limit."""

    orders: _PerDay | None = None
    lines: _PerDay | None = None
    units: _PerDay | None = None


class NodeIn(Strict):
    """What a caller says of a node; the whole of it, what is left out returns to its default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Lyon warehouse",
                    "node_type": "warehouse",
                    "country": "FR",
                    "postal_code": "69007",
                    "latitude": 45.73,
                    "longitude": 4.84,
                    "timezone": "Europe/Paris",
                    "handling_cost_minor": 180,
                    "cutoff": "15:00",
                    "working_days": [1, 2, 3, 4, 5],
                    "closed_days": ["2026-12-25"],
                    "capacity": {"orders": 1200, "units": 5000},
                    "methods": ["ship", "pickup"],
                }
            ]
        }
    )

    name: Name
    node_type: NodeType
    country: Country
    region: ShortText | None = None
    postal_code: Annotated[str, Field(min_length=1, max_length=20)] | None = None
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    timezone: Annotated[
        str,
        Field(max_length=64, description="IANA name", examples=["Europe/Paris"]),
        AfterValidator(_time_zone),
    ]
    handling_cost_minor: Annotated[Cost, Field(description="per fulfilment")] = 0
    cutoff: Annotated[TimeOfDay, Field(description="local; later orders leave on the next working day")] = "15:00"
    working_days: Annotated[list[_Weekday], Field(min_length=1, max_length=14), AfterValidator(_sorted_days)] = [
        1,
        2,
        3,
        4,
        5,
    ]
    closed_days: Annotated[list[Day], Field(max_length=4_000), AfterValidator(_sorted_days)] = []
    capacity: CapacityIn = CapacityIn()
    methods: Annotated[list[Method], Field(max_length=3), AfterValidator(_unique)] = ["ship"]
    safety_stock_default: Annotated[Limit, Field(description="units per item kept back")] = 0
    co2_g_per_order: Cost = 0
    attributes: Attributes = {}
    active: Annotated[bool, Field(description="an inactive node keeps its stock and ships nothing")] = True


class NodeRow(NodeIn):
    """A node of a batch."""

    code: Code


class NodeGroupIn(Strict):
    """A named set of nodes, for channels and rules."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Stores in the west", "nodes": ["NANTES", "BREST"]}]}
    )

    name: Name
    nodes: Annotated[list[Code], Field(max_length=5_000, description="codes")]


# Carriers ---------------------------------------------------------------------------------------

_WeightBands = Annotated[
    list[Annotated[int, Field(ge=1, le=INT4_MAX)]],
    Field(
        min_length=1,
        max_length=200,
        description="ascending upper edges; heavier than the last means several parcels",
    ),
]
_Prices = Annotated[
    list[Annotated[list[Cost], Field(max_length=200)]],
    Field(min_length=1, max_length=500, description="per parcel: one row per band, one price per weight"),
]


class DistanceRates(Strict):
    """Prices by great-circle distance and weight."""

    by: Literal["distance_km"]
    distance_km: Annotated[
        list[Annotated[float, Field(gt=0, le=_KM_MAX)] | None],
        Field(
            min_length=1,
            max_length=500,
            description="ascending upper edges; null as the last: no limit",
        ),
    ]
    weights_g: _WeightBands
    prices_minor: _Prices


_Countries = Annotated[list[Country], Field(max_length=250)]


class Zone(Strict):
    """What it names must match; what it leaves out matches everything."""

    zone: ShortText
    from_countries: _Countries | None = None
    to_countries: _Countries | None = None
    to_regions: Annotated[list[ShortText], Field(max_length=1_000)] | None = None
    to_postal_prefixes: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=12)]], Field(max_length=2_000)] | None
    ) = None


class ZoneRates(Strict):
    """Prices by zone and weight. The first zone that matches counts; without one the service is not offered."""

    by: Literal["zone"]
    zones: Annotated[list[Zone], Field(min_length=1, max_length=500)]
    weights_g: _WeightBands
    prices_minor: _Prices


class Transit(Strict):
    """Days from hand-over to delivery, as quantiles."""

    p50: Annotated[float, Field(gt=0, le=_DAYS_MAX)]
    p95: Annotated[float, Field(gt=0, le=_DAYS_MAX)]


# Names of alternatives stand in brackets, so that error paths leave them out.
def _rates_by(value: object) -> str | None:
    by = value.get("by") if isinstance(value, Mapping) else getattr(value, "by", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return f"({by})" if by in ("distance_km", "zone") else None


def _transit_of(value: object) -> str:
    return "(by band)" if isinstance(value, list) else "(all bands)"


class Service(Strict):
    """One product of a carrier: its prices, times and limits."""

    code: Code
    methods: Annotated[list[Method], Field(min_length=1, max_length=3)] = ["ship", "ship_to_store"]
    rate_table: Annotated[
        Annotated[DistanceRates, Tag("(distance_km)")] | Annotated[ZoneRates, Tag("(zone)")],
        Discriminator(
            _rates_by,
            custom_error_type="rate_table",
            custom_error_message='expected an object with "by": "distance_km" or "by": "zone"',
        ),
    ]
    currency: Currency
    transit_days: Annotated[
        Annotated[Transit, Tag("(all bands)")] | Annotated[list[Transit], Field(max_length=500), Tag("(by band)")],
        Discriminator(_transit_of),
        Field(description="for all bands, or one per band"),
    ]
    cutoff: Annotated[TimeOfDay | None, Field(description="last pick-up, local to the node")] = None
    parcels_per_day: Annotated[Limit | None, Field(description="per node; kept, not used yet")] = None
    co2_g_per_tonne_km: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    dimensional_divisor: Annotated[float | None, Field(ge=1, le=1_000_000, description="cm3 per kg, such as 5000")] = (
        None
    )
    fuel_surcharge_rate: Annotated[float, Field(ge=0, le=5, description="0.08 adds 8 % to the price")] = 0.0


class CarrierIn(Strict):
    """What a caller says of a carrier; the whole of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Post",
                    "services": [
                        {
                            "code": "parcel",
                            "rate_table": {
                                "by": "distance_km",
                                "distance_km": [100, 500, None],
                                "weights_g": [1000, 5000, 30000],
                                "prices_minor": [[420, 560, 990], [480, 690, 1290], [560, 890, 1790]],
                            },
                            "currency": "EUR",
                            "transit_days": [
                                {"p50": 1, "p95": 2},
                                {"p50": 2, "p95": 3},
                                {"p50": 3, "p95": 5},
                            ],
                            "cutoff": "17:00",
                            "co2_g_per_tonne_km": 95,
                            "dimensional_divisor": 5000,
                        }
                    ],
                }
            ]
        }
    )

    name: Name
    services: Annotated[list[Service], Field(max_length=100)] = []
    provider: Annotated[Literal["karrio"] | None, Field(description="not available in this version")] = None
    settings: Annotated[Attributes | None, Field(description="of the provider")] = None
    active: bool = True

    def document(self) -> dict[str, Any]:
        """What is stored and compiled: plain JSON, without what was left out."""
        services = [s.model_dump(mode="json", exclude_none=True) for s in self.services]
        return {"services": services}


# As stored --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as last committed. `node_id` is dense and never changes."""

    node_id: int
    code: str
    name: str
    node_type: str
    country: str
    region: str | None
    postal_code: str | None
    latitude: float
    longitude: float
    timezone: str
    handling_cost_minor: int
    cutoff: str
    working_days: list[int]
    closed_days: list[date]
    capacity_orders: int | None
    capacity_lines: int | None
    capacity_units: int | None
    methods: list[str]
    safety_stock_default: int
    co2_g_per_order: int
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    active: bool = True
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_limited(self) -> bool:
        """Whether capacity is counted for it."""
        return (self.capacity_orders, self.capacity_lines, self.capacity_units) != (None,) * 3

    def content(self) -> tuple[object, ...]:
        """All that a caller can write: equal content means nothing to write."""
        return (
            *(getattr(self, name) for name in _WRITTEN),
            # As text: Python takes true and 1 for equal.
            json.dumps(self.attributes, sort_keys=True),
        )


_WRITTEN = tuple(f.name for f in fields(Node) if f.name not in ("attributes", "created_at", "updated_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """A named set of nodes, by code in the order of their ids."""

    code: str
    name: str
    nodes: list[str]
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A carrier as last committed; `document` has its services (see CarrierIn)."""

    carrier_id: int
    code: str
    name: str
    document: dict[str, Any]
    active: bool = True
    updated_at: datetime | None = None
