"""Plans as values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

PlanStatus = Literal["sourced", "backordered", "partial", "unfillable", "below_floor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFulfilment:
    """Units that leave one node together.

    lines       sku -> units; a bundle by its components
    cost        minor units of each cost term; cost_minor is their sum
    on_its_way  sku -> units among `lines` that have yet to arrive at the node
    """

    node: str
    carrier: str | None
    service: str
    lines: Mapping[str, int]
    cost: Mapping[str, float]
    cost_minor: float
    co2_g: float
    ship_by: datetime
    deliver_by: datetime
    on_its_way: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """A line whose units are those of another item. sku: as it was asked for; cost_minor: loss of goodwill, of all
    units."""

    line_id: str
    sku: str
    by: str
    units: int
    cost_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one order is served.

    status      `sourced`; `backordered`: some units have yet to arrive; `partial`: some are left unserved;
                `unfillable`: no plan; `below_floor`: none that earns what the policy asks
    unserved    sku -> units
    cost_minor  what was weighed: all terms of all fulfilments, the price of what is left unserved, and the goodwill
                lost by substitutions
    profit_minor  sales less costs of goods, shipping, handling, tax and duty; of what is served
    method      exact | divided | grouped | search | shared: how the plan was found (see sourcing/kernel.py)
    substitutions  lines that another item serves
    """

    order: str
    status: PlanStatus
    objective: str
    fulfilments: tuple[PlannedFulfilment, ...]
    unserved: Mapping[str, int]
    cost_minor: float
    profit_minor: float
    method: str
    substitutions: tuple[Substitution, ...] = ()

    @property
    def nodes(self) -> list[str]:
        return [f.node for f in self.fulfilments]

    @property
    def deliver_by(self) -> datetime | None:
        """When the last of it is there, with the policy's confidence."""
        return max((f.deliver_by for f in self.fulfilments), default=None)

    @property
    def co2_g(self) -> float:
        return sum(f.co2_g for f in self.fulfilments)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointPlan:
    """How many orders are served together; `plans` in the order in which they were given.

    cost_minor   of all plans, and `refused` times what each refused order counts (see `onhand.source_batch`)
    bound_minor  no joint plan costs less: bound_minor <= optimum <= cost_minor. Where `is_proved` is False, none of the
                 plans that were considered
    gap          (cost_minor - bound_minor) / |bound_minor|: what planning longer could save at most, as a share
    refused      orders without a plan
    refused_minor  what they count in cost_minor and bound_minor
    rounds, considered  how often prices were put to all orders, and different plans that came of it
    seconds      that it took
    """

    plans: tuple[Plan, ...]
    cost_minor: float
    bound_minor: float
    gap: float
    is_proved: bool
    refused: int
    refused_minor: float
    rounds: int
    considered: int
    seconds: float

    @property
    def co2_g(self) -> float:
        return sum(p.co2_g for p in self.plans)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)
