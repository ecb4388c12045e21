"""What a policy can say: the strict document, for YAML and JSON alike."""

# ruff: noqa: RUF012 - pydantic copies a default for each document

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from onhand.base.fields import Code, Day, Name, Strict
from onhand.sourcing.policy import STANDARD, Objective

TERMS: Final = (
    "shipping",
    "handling",
    "split",
    "tax_duty",
    "lateness",
    "carbon",
    "capacity_price",
    "opportunity",
    "rejection_risk",
    "margin_floor",
)
"""Names of the built-in cost terms; others come by entry points (sourcing/custom.py)."""

MONEY_TERMS: Final = ("shipping", "handling", "tax_duty", "margin_floor")
"""Terms that are money that is really paid, or a limit: a weight of theirs would have no meaning and is not used."""

EXPRESSION_LENGTH_MAX: Final = 2_000
STANDARD_NAME: Final = "standard"
NAME_PATTERN: Final = "^[a-z][a-z0-9_-]{0,63}$"

_RATE_MAX: Final = 1_000_000_000.0  # minor units: no single exchange rate or price is beyond
_KM_MAX: Final = 50_000.0  # more than once around the Earth

_Rate = Annotated[float, Field(ge=0, le=_RATE_MAX)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Days = Annotated[float, Field(gt=0, le=365)]
_Km = Annotated[float, Field(ge=0, le=_KM_MAX)]
_Fulfilments = Annotated[int, Field(ge=1, le=20)]
_Services = Annotated[list[Code], Field(min_length=1, max_length=100)]
ObjectiveName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")]
Metric = Literal["cost_per_order_minor", "split_share", "late_share", "co2_g_per_order", "unfillable_share"]
Weights = Annotated[
    dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$")], Annotated[float, Field(ge=0, le=1_000_000)]],
    Field(max_length=100, description="exchange rate of a cost term, by its name; one that is not named has 1"),
]
Expression = Annotated[str, Field(min_length=1, max_length=EXPRESSION_LENGTH_MAX)]


class ObjectiveIn(Strict):
    """Prices by which cost terms become money. What is left out is as in the preset of that name, else as in
    `margin`."""

    split_minor: Annotated[_Rate | None, Field(description="of every fulfilment after the first")] = None
    target_days: Annotated[_Days | None, Field(description="days within which the order should arrive")] = None
    late_minor: Annotated[_Rate | None, Field(description="of missing that, times its probability")] = None
    day_minor: Annotated[_Rate | None, Field(description="of each expected day until delivery")] = None
    co2_minor_per_kg: Annotated[_Rate | None, Field(description="of a kilogram of CO2")] = None
    rejection_minor: Annotated[
        _Rate | None, Field(description="of a line that its node rejects, times its probability")
    ] = None


class PriorityIn(Strict):
    """Which objective is the default from a day on: a dated corporate priority."""

    objective: ObjectiveName
    from_: Annotated[Day, Field(alias="from", description="first day, UTC")]
    until: Annotated[Day | None, Field(description="last day, UTC; null: for good")] = None


Dividing = bool | Literal["needed"]


class LimitsIn(Strict):
    """What no plan may exceed."""

    fulfilments_max: _Fulfilments = STANDARD.fulfilments_max
    dip_into_safety_stock: Annotated[bool, Field(description="when it could not be served in full otherwise")] = True
    divide_lines: Annotated[
        Dividing,
        Field(
            description="whether one line may come from several nodes: true: wherever that costs less; needed: only "
            "where no node has all of it"
        ),
    ] = True
    distance_km_max: Annotated[_Km | None, Field(description="from node to destination; null: any")] = None
    days_max: Annotated[_Days | None, Field(description="until delivery, expected; null: any")] = None
    services: Annotated[_Services | None, Field(description="codes of carrier services; null: all")] = None


class RuleLimitsIn(Strict):
    """Limits of one rule; what is left out is as in the policy's."""

    fulfilments_max: _Fulfilments | None = None
    dip_into_safety_stock: bool | None = None
    divide_lines: Dividing | None = None
    distance_km_max: _Km | None = None
    days_max: _Days | None = None
    services: _Services | None = None


class RuleIn(Strict):
    """Which orders it is for, which nodes may serve them and how; rules are tried in order."""

    name: Name
    when: Annotated[Expression | None, Field(description="CEL over `order`; left out: every order")] = None
    nodes: Annotated[Expression | None, Field(description="CEL over `node` and `order`; left out: every node")] = None
    groups: Annotated[
        list[Code] | None, Field(min_length=1, max_length=100, description="node groups; left out: all")
    ] = None
    objective: Annotated[ObjectiveName | None, Field(description="left out: the order's, or the default")] = None
    weights: Annotated[Weights | None, Field(description="over the policy's")] = None
    limits: RuleLimitsIn = RuleLimitsIn()
    otherwise: Annotated[
        Literal["next", "stop"], Field(description="if it yields no plan: try the next rule, or fall back")
    ] = "next"


class UnservedIn(Strict):
    """Money of leaving units unserved, which a partial plan is weighed by."""

    order_minor: _Rate = 2000.0
    line_minor: _Rate = 0.0
    unit_minor: _Rate = 500.0


class FallbackIn(Strict):
    """What becomes of an order for which no rule yields a plan."""

    on_no_plan: Literal["backorder", "hold", "partial", "unfillable"] = "backorder"
    cancel_after_hours: Annotated[int | None, Field(ge=1, le=8760, description="null: never")] = None
    unserved: UnservedIn = UnservedIn()


class ProfitFloorIn(Strict):
    """Least profit of an order, after cost of goods, shipping, handling, tax and duty: `minor`, plus `share` of what it
    is sold for."""

    share: Annotated[float | None, Field(ge=-1, le=1)] = None
    minor: Annotated[int | None, Field(ge=-1_000_000_000, le=1_000_000_000)] = None
    then: Annotated[
        Literal["hold", "downgrade"], Field(description="downgrade: the cheapest plan in money, then hold")
    ] = "hold"


class OpportunityIn(Strict):
    """Forward-looking prices of stock."""

    step_share: Annotated[
        float,
        Field(gt=0, le=1, description="how far a price moves with a unit, as a share of what serving one costs"),
    ] = 0.0025
    price_max_minor: Annotated[_Rate | None, Field(description="of a unit; null: no limit")] = None
    refresh_minutes: Annotated[int, Field(ge=1, le=10_080)] = 10


class CapacityPriceIn(Strict):
    """What capacity costs as a node or lane fills: base x (exp(steepness x (load - from_load)) - 1) above from_load."""

    base_minor: _Rate = 50.0
    steepness: Annotated[float, Field(ge=0, le=50)] = 8.0
    from_load: _Share = 0.8


class GuardIn(Strict):
    """How much worse than the active version a canary may be before it is taken back by itself.

    `worse_by` is relative for money and grams (0.05: five per cent) and in points for shares (0.05: from 0.10 to 0.15).
    """

    metric: Metric
    worse_by: Annotated[float, Field(ge=0, le=10)] = 0.05
    min_orders: Annotated[int, Field(ge=10, le=1_000_000, description="of each version, before it is judged")] = 200


def _completed(given: dict[str, ObjectiveIn]) -> dict[str, ObjectiveIn]:
    """The three presets and what is given, every price filled: a version keeps its meaning when presets change."""
    presets = {name: _dump(objective) for name, objective in STANDARD.objectives.items()}
    names = [*presets, *(name for name in given if name not in presets)]
    return {
        name: ObjectiveIn.model_validate(
            presets.get(name, presets[STANDARD.default])
            | (given[name].model_dump(exclude_none=True) if name in given else {})
        )
        for name in names
    }


def _dump(objective: Objective) -> dict[str, float]:
    return {name: float(getattr(objective, name)) for name in ObjectiveIn.model_fields}


_EXAMPLE: dict[str, Any] = {
    "description": "Small parcels from stores nearby, the rest from warehouses",
    "objective": "margin",
    "rules": [
        {
            "name": "Light orders from a store within 100 km",
            "when": "order.weight_g <= 2000 && order.lines <= 3",
            "nodes": 'node.type == "store" && node.country == order.destination.country',
            "limits": {"fulfilments_max": 1, "distance_km_max": 100},
        },
        {"name": "Everything else"},
    ],
    "fallback": {"on_no_plan": "backorder", "cancel_after_hours": 72},
    "guards": [{"metric": "cost_per_order_minor", "worse_by": 0.03}],
}


class PolicyIn(Strict):
    """A policy: objectives, rules, limits and what happens when nothing fits. Everything may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    description: Annotated[str, Field(max_length=2_000)] = ""
    objective: Annotated[ObjectiveName, Field(description="the default one")] = STANDARD.default
    objectives: Annotated[
        dict[ObjectiveName, ObjectiveIn],
        Field(max_length=50, description="besides or over margin, speed and sustainability; those need not be named"),
        AfterValidator(_completed),
    ] = Field(default={}, validate_default=True)
    weights: Weights = {}
    priorities: Annotated[list[PriorityIn], Field(max_length=100)] = []
    limits: LimitsIn = LimitsIn()
    confidence: Annotated[float, Field(gt=0.5, lt=1, description="with which a promised date is kept")] = (
        STANDARD.confidence
    )
    rules: Annotated[list[RuleIn], Field(max_length=200, description="in order; none: every node for every order")] = []
    fallback: FallbackIn = FallbackIn()
    profit_floor: ProfitFloorIn | None = None
    opportunity: Annotated[OpportunityIn | None, Field(description="null: off")] = None
    capacity_price: Annotated[CapacityPriceIn | None, Field(description="null: off")] = None
    guards: Annotated[list[GuardIn], Field(max_length=20)] = []

    def document(self) -> dict[str, Any]:
        """What is stored: plain JSON with every default filled in, so that a version keeps its meaning."""
        return self.model_dump(mode="json", by_alias=True)


def fingerprint(document: dict[str, Any]) -> bytes:
    """SHA-256 of a stored document in canonical form."""
    return hashlib.sha256(canonical(document).encode()).digest()


def canonical(document: dict[str, Any]) -> str:
    """The document as JSON with sorted names and no blanks."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
