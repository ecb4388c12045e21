"""Values of the network: nodes, groups and carriers as stored, and the strict documents that callers write."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

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
    Money,
    Name,
    ShortText,
    Strict,
    TimeOfDay,
    TimeZone,
)
from onhand.catalog.model import LENGTH_MAX_MM, WEIGHT_MAX_G
from onhand.network.calendar import has_holidays
from onhand.network.emissions import emission_factors

NodeType = Literal["warehouse", "store", "third_party", "supplier"]
Method = Literal["ship", "pickup", "ship_to_store"]

_COST_MAX_MINOR: Final = 1_000_000_000
_DAYS_MAX: Final = 365.0
_KM_MAX: Final = 50_000.0  # more than once around the Earth
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_NUMBERS: Final = {name[:n]: i for i, name in enumerate(_WEEKDAYS, 1) for n in (3, len(name))}


def _holidays(place: str | None) -> str | None:
    if place is not None and not has_holidays(place):
        raise ValueError(f"expected a country or a subdivision with known holidays, such as DE or DE-BY, got {place!r}")
    return place


def _emission_factor(code: str | None) -> str | None:
    if code is not None and code not in emission_factors():
        raise ValueError(f"no emission factor {code!r}; GET /v1/emission-factors lists them")
    return code


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
_Seconds = Annotated[float, Field(ge=0, le=86_400)]
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


Weekdays = Annotated[list[_Weekday], Field(max_length=14), AfterValidator(_sorted_days)]


class CapacityIn(Strict):
    """Most orders, lines and units a node ships on one day; null or left out: without limit."""

    orders: _PerDay | None = None
    lines: _PerDay | None = None
    units: _PerDay | None = None


class DocksIn(Strict):
    """Most units that transfers may take out of a node, and bring to it, of what is sent on one day; null or left out:
    without limit."""

    units_out: Limit | None = None
    units_in: Limit | None = None


class LabourIn(Strict):
    """What the work on an order costs a node, from time standards; added to its handling costs."""

    minor_per_hour: Annotated[Cost, Field(description="wage with everything that comes on top")]
    seconds_per_order: _Seconds = 0.0
    seconds_per_line: _Seconds = 0.0
    seconds_per_unit: _Seconds = 0.0


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
                    "closed_days": ["2026-12-24"],
                    "holidays": "FR",
                    "labour": {"minor_per_hour": 2400, "seconds_per_line": 40, "seconds_per_unit": 6},
                    "capacity": {"orders": 1200, "units": 5000},
                    "docks": {"units_out": 800, "units_in": 1500},
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
    timezone: TimeZone
    handling_cost_minor: Annotated[Cost, Field(description="per fulfilment")] = 0
    handling_line_minor: Annotated[Cost, Field(description="per line of a fulfilment")] = 0
    handling_unit_minor: Annotated[Cost, Field(description="per unit of a fulfilment")] = 0
    labour: LabourIn | None = None
    cutoff: Annotated[TimeOfDay, Field(description="local; later orders leave on the next working day")] = "15:00"
    working_days: Annotated[
        list[_Weekday],
        Field(min_length=1, max_length=14, description="Monday is 1"),
        AfterValidator(_sorted_days),
    ] = [
        1,
        2,
        3,
        4,
        5,
    ]
    closed_days: Annotated[list[Day], Field(max_length=4_000), AfterValidator(_sorted_days)] = []
    holidays: Annotated[
        str | None,
        Field(
            max_length=32,
            description="country, or country-subdivision, whose public holidays it is closed on, besides closed_days",
            examples=["DE-BY"],
        ),
        AfterValidator(_holidays),
    ] = None
    capacity: CapacityIn = CapacityIn()
    docks: DocksIn = DocksIn()
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


_Regions = Annotated[list[ShortText], Field(max_length=1_000)]
_PostalPrefixes = Annotated[list[Annotated[str, Field(min_length=1, max_length=12)]], Field(max_length=2_000)]


class Zone(Strict):
    """What it names must match; what it leaves out matches everything."""

    zone: ShortText
    from_countries: _Countries | None = None
    to_countries: _Countries | None = None
    to_regions: _Regions | None = None
    to_postal_prefixes: _PostalPrefixes | None = None


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


class Lane(Strict):
    """From some nodes to some destinations a service takes another time. What it names must match; what it leaves out
    matches everything."""

    from_nodes: Annotated[list[Code], Field(max_length=5_000, description="codes")] | None = None
    from_countries: _Countries | None = None
    to_countries: _Countries | None = None
    to_regions: _Regions | None = None
    to_postal_prefixes: _PostalPrefixes | None = None
    transit_days: Transit
    parcels_per_day: Annotated[Limit | None, Field(description="of the whole lane")] = None


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
    lanes: Annotated[
        list[Lane], Field(max_length=500, description="exceptions to transit_days; the first that matches counts")
    ] = []
    parcels_per_day: Annotated[Limit | None, Field(description="per node")] = None
    emission_factor: Annotated[
        str | None,
        Field(max_length=100, description="code of /v1/emission-factors"),
        AfterValidator(_emission_factor),
    ] = None
    co2_g_per_tonne_km: Annotated[
        float | None, Field(ge=0, le=100_000, description="CO2e, well-to-wheel; instead of emission_factor")
    ] = None
    distance_factor: Annotated[
        float, Field(ge=1, le=10, description="distance driven per great-circle distance (distance adjustment factor)")
    ] = 1.0
    dimensional_divisor: Annotated[float | None, Field(ge=1, le=1_000_000, description="cm3 per kg, such as 5000")] = (
        None
    )
    fuel_surcharge_rate: Annotated[float, Field(ge=0, le=5, description="0.08 adds 8 % to the price")] = 0.0
    residential_surcharge_minor: Annotated[Cost, Field(description="per parcel to a residence")] = 0


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
    transit: Annotated[
        Literal["learned", "declared"],
        Field(description="learned: transit times follow its own deliveries, once there are enough of them"),
    ] = "learned"
    active: bool = True

    def document(self) -> dict[str, Any]:
        """What is stored and compiled: plain JSON, without what was left out."""
        services = [s.model_dump(mode="json", exclude_none=True) for s in self.services]
        return {"services": services} | ({"transit": self.transit} if self.transit == "declared" else {})


# Cartons and duties -------------------------------------------------------------------------------

_Side = Annotated[int, Field(ge=1, le=LENGTH_MAX_MM)]


class CartonIn(Strict):
    """What a caller says of a carton; the whole of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inner_length_mm": 300,
                    "inner_width_mm": 200,
                    "inner_height_mm": 150,
                    "outer_length_mm": 310,
                    "outer_width_mm": 210,
                    "outer_height_mm": 165,
                    "weight_g": 180,
                    "weight_max_g": 15000,
                    "cost_minor": 38,
                }
            ]
        }
    )

    inner_length_mm: _Side
    inner_width_mm: _Side
    inner_height_mm: _Side
    outer_length_mm: Annotated[_Side | None, Field(description="null: the inner one")] = None
    outer_width_mm: Annotated[_Side | None, Field(description="null: the inner one")] = None
    outer_height_mm: Annotated[_Side | None, Field(description="null: the inner one")] = None
    weight_g: Annotated[int, Field(ge=0, le=WEIGHT_MAX_G, description="empty")] = 0
    weight_max_g: Annotated[int | None, Field(ge=1, le=WEIGHT_MAX_G, description="when packed; null: any")] = None
    cost_minor: Cost = 0
    fill_share: Annotated[float, Field(gt=0, le=1, description="of the inner volume that goods can take")] = 0.85
    active: bool = True

    def document(self) -> dict[str, Any]:
        """What is stored and compiled."""
        return self.model_dump(mode="json", exclude={"active"})


_Rate = Annotated[float, Field(ge=0, le=20)]
_Share = Annotated[float, Field(ge=0, le=1)]


class DutyIn(Strict):
    """What goods cost at a border, or in tax at home, on some ways and in some time; the whole of one rule.

    What it names must match; what it leaves out matches everything. Without `from_countries` it is for imports: from
    any country but the destination's. Of the rules that match, the one of the lowest `priority` counts, then the first
    by code. Money is in the currency that the network's prices are in; none is converted.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Clothing into Switzerland",
                    "priority": 10,
                    "to_countries": ["CH"],
                    "hs_prefixes": ["61", "62"],
                    "valid_from": "2026-01-01",
                    "duty_rate": 0.0,
                    "tax_rate": 0.081,
                    "unrecoverable_share": 0.0,
                    "fee_minor": 1900,
                    "currency": "CHF",
                    "source": "our customs broker, letter of 3 December 2025",
                }
            ]
        }
    )

    name: Name
    priority: Annotated[int, Field(ge=0, le=1_000_000, description="lower ones are looked at first")] = 100
    from_countries: _Countries | None = None
    to_countries: _Countries | None = None
    to_regions: Annotated[_Regions | None, Field(description="as in addresses, with or without the country")] = None
    hs_prefixes: (
        Annotated[list[Annotated[str, Field(pattern=r"^[0-9][0-9. ]{0,15}$")]], Field(max_length=5_000)] | None
    ) = None
    categories: Annotated[list[ShortText], Field(max_length=1_000)] | None = None
    valid_from: Day
    valid_until: Annotated[Day | None, Field(description="last day; null: until further notice")] = None
    duty_rate: Annotated[_Rate, Field(description="of the value of the goods")] = 0.0
    duty_recoverable_share: Annotated[_Share, Field(description="of the duty; the rest is a cost")] = 0.0
    tax_rate: Annotated[_Rate, Field(description="of the value with the duty on it")] = 0.0
    unrecoverable_share: Annotated[_Share, Field(description="of the tax, which is a cost by it")] = 0.0
    de_minimis_minor: Annotated[Money, Field(description="value of a shipment up to which nothing is due")] = 0
    fee_minor: Annotated[Cost, Field(description="per shipment above it")] = 0
    currency: Currency
    source: Annotated[Name, Field(description="where the rates are from")]
    active: bool = True

    def document(self) -> dict[str, Any]:
        """What is stored and compiled."""
        return self.model_dump(mode="json", exclude={"active"})


class MarkdownRow(Strict):
    """What a unit of an item will fetch at a node when it must be cleared there."""

    sku: Code
    node: Code
    value_minor: Annotated[Money | None, Field(description="per unit; null takes the markdown back")]
    until: Annotated[Day | None, Field(description="last day; null: until it is replaced")] = None


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
    handling_line_minor: int = 0
    handling_unit_minor: int = 0
    labour: dict[str, Any] | None = None
    holidays: str | None = None
    dock_units_out: int | None = None
    dock_units_in: int | None = None
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
    """A carrier as last committed; `document` has its services (see CarrierIn), `learned` its transit times as learned
    (see network/transit.py)."""

    carrier_id: int
    code: str
    name: str
    document: dict[str, Any]
    active: bool = True
    learned: list[dict[str, Any]] | None = None
    learned_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A carton or a duty as last committed; `document` has what CartonIn or DutyIn says, `active` left out."""

    code: str
    document: dict[str, Any]
    active: bool = True
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Markdown:
    """What a unit of an item will fetch at a node, as last committed."""

    sku: str
    node: str
    value_minor: int
    until: date | None
    updated_at: datetime | None = None
