"""What orders came to under a version, as sums that can be added up and judged. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from onhand.sourcing.policies.guards import Metrics, Sample
from onhand.sourcing.solve import Decisions
from onhand.sourcing.tables import DAY, HANDLING, SHIPPING, TAX_DUTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Sums over orders. planned: those with a plan, whose amounts the others are; cost: money paid (shipping, handling,
    duty and tax, and terms of others that are paid), minor units; *_sq: sums of squares; late: promised after the days
    wanted."""

    orders: int = 0
    planned: int = 0
    cost: float = 0.0
    cost_sq: float = 0.0
    co2_g: float = 0.0
    co2_sq: float = 0.0
    splits: int = 0
    late: int = 0
    unfillable: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Outcome)})

    @property
    def metrics(self) -> Metrics:
        """As guards judge them."""
        return {
            "cost_per_order_minor": Sample.of_amounts(self.planned, self.cost, self.cost_sq),
            "co2_g_per_order": Sample.of_amounts(self.planned, self.co2_g, self.co2_sq),
            "split_share": Sample.of_share(self.planned, self.splits),
            "late_share": Sample.of_share(self.planned, self.late),
            "unfillable_share": Sample.of_share(self.orders, self.unfillable),
        }


def outcome(
    decisions: Decisions, rows: Sequence[int] | npt.NDArray[np.int64], target_days: float, now: float, unfillable: int
) -> Outcome:
    """Of the orders in `rows` of `decisions`.

    target_days  within which they should arrive
    now          when they were decided, Unix seconds
    unfillable   how many orders besides got no plan
    """
    at = np.asarray(rows, np.int64)
    at = at[decisions.count[at] > 0]
    made = int(decisions.fulfilment_first[-1])
    order = np.repeat(np.arange(len(decisions.count)), np.diff(decisions.fulfilment_first))
    paid = decisions.terms[:made][:, [SHIPPING, HANDLING, TAX_DUTY]].sum(axis=1)
    paid += paid_to_others(decisions)
    cost = np.bincount(order, paid, len(decisions.count))[at]
    grams = np.bincount(order, decisions.grams[:made], len(decisions.count))[at]
    latest = np.zeros(len(decisions.count), np.int64)
    np.maximum.at(latest, order, decisions.deliver[:made])
    return Outcome(
        orders=len(at) + unfillable,
        planned=len(at),
        cost=float(cost.sum()),
        cost_sq=float((cost**2).sum()),
        co2_g=float(grams.sum()),
        co2_sq=float((grams**2).sum()),
        splits=int((decisions.count[at] > 1).sum()),
        late=int((latest[at] > now + target_days * DAY).sum()),
        unfillable=unfillable,
    )


def paid_to_others(decisions: Decisions) -> npt.NDArray[np.float64]:
    """float64[fulfilments], minor units: what is paid for terms of others that are money (sourcing/custom.py), whatever
    a policy weighs them by. Where one forbids a way that was taken all the same, as it weighs nothing, that is 0."""
    d, custom = decisions, decisions.custom
    made, picks = int(d.fulfilment_first[-1]), int(d.pick_first[-1])
    minor = np.zeros(made)
    if not custom.paid.any():
        return minor
    order = np.repeat(np.arange(len(d.count)), np.diff(d.fulfilment_first))
    asked = custom.fulfilment[:, order, d.node[:made]][custom.paid].astype(np.float64)
    minor += np.where(np.isfinite(asked), asked, 0.0).sum(axis=0)
    if len(custom.unit):
        owner = np.repeat(np.arange(len(d.count)), np.diff(d.pick_first))
        of = d.fulfilment_first[owner] + d.pick_number[:picks] - 1
        each = custom.unit[:, d.pick_demand[:picks], d.pick_node[:picks]][custom.paid].astype(np.float64)
        units = (np.where(np.isfinite(each), each, 0.0) * d.pick_units[:picks]).sum(axis=0)
        minor += np.bincount(of, units, made)
    return minor
