"""Assess a campaign against the network as it is now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.db import Database
from onhand.errors import FieldError, InvalidInput
from onhand.flows.campaigns.read import Items, find_items, read_demand, read_world, values_of
from onhand.flows.demand.fold import fold
from onhand.network.compiled import Network
from onhand.planning.campaigns.assess import Assessor, assess
from onhand.planning.campaigns.model import Assessment, Campaign, Demand, Figures, Settings
from onhand.planning.campaigns.remedy import USUAL_MEANS, Cure, Means, cure
from onhand.planning.elasticity import Responses

Progress = Callable[[str, int, int], None]

AHEAD_MAX: Final = 92
"""Days from today within which a campaign has to end."""
_DIP_DAYS: Final = 14
_FORMAT: Final = 1
# An elasticity so near to 0 tells no discount from an uplift.
_ELASTICITY_MAX: Final = -0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be assessed.

    items, categories  of what is promoted; one or more in all
    channels    that have it; None: all
    first, last  its days (UTC)
    discount    share of the price; or uplift: share by which demand rises
    paths       of demand; see campaigns.model.Settings
    shifts      days by which to move it, to look for better dates
    means       what may be done about what is short
    """

    items: tuple[str, ...]
    categories: tuple[str, ...]
    first: date
    last: date
    discount: float | None = None
    uplift: float | None = None
    channels: tuple[str, ...] | None = None
    policy: str = "standard"
    paths: int = 500
    shifts: tuple[int, ...] = (-7, -3, 3, 7)
    means: Means = USUAL_MEANS
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.items and not self.categories:
            raise InvalidInput.at("items", "expected an item or a category at least")
        if (self.discount is None) == (self.uplift is None):
            raise InvalidInput.at("discount", "expected either a discount or an uplift")
        if self.first > self.last:
            raise InvalidInput.at("to", f"expected {self.first} or later")


def _silent(_what: str, _done: int, _of: int) -> None:
    pass


def check(conn: Connection[TupleRow], request: Request, now: datetime) -> Items:
    """What can be known at once. Raises InvalidInput."""
    today = now.date()
    if request.first < today:
        raise InvalidInput.at("from", f"expected today, {today}, or later")
    if (request.last - today).days >= AHEAD_MAX:
        raise InvalidInput.at("to", f"expected a day within {AHEAD_MAX} days: nothing is known of later ones")
    found = find_items(conn, request.items, request.categories)
    known = {code for (code,) in conn.execute("SELECT code FROM channel WHERE active").fetchall()}
    errors = [
        FieldError(f"channels[{n}]", f"no active channel {code!r}")
        for n, code in enumerate(request.channels or ())
        if code not in known
    ]
    if errors:
        raise InvalidInput(errors)
    return found


def assess_campaign(db: Database, request: Request, now: datetime, progress: Progress = _silent) -> dict[str, Any]:
    """The assessment, as JSON values. Raises InvalidInput, Conflict."""
    progress("reading", 0, 0)
    fold(db)
    today = now.date()
    horizon = (request.last - today).days + 1 + max([0, *request.shifts]) + _DIP_DAYS
    with db.connection() as conn, conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        items = check(conn, request, now)
        world, skus, rows = read_world(conn, now, horizon, items, request.policy)
        demand, responses, rests_on = read_demand(conn, today, horizon, items, rows)
    campaign = _campaign(request, today, items, responses, world.history.network)
    settings = Settings(paths=request.paths, shifts=request.shifts, seed=request.seed)
    assessment, assessor = assess(world, demand, campaign, settings, progress)
    remedies = None if assessment.can_serve else cure(assessor, request.means)
    return _document(request, today, items, skus, responses, demand, rests_on, assessment, assessor, remedies)


def _campaign(request: Request, today: date, items: Items, responses: Responses, network: Network) -> Campaign:
    promoted = np.flatnonzero(items.promoted)
    cut = np.zeros(len(items.sku))
    mu, sigma = np.zeros(len(promoted)), np.zeros(len(promoted))
    for n, row in enumerate(promoted.tolist()):
        if request.discount is not None:
            uplift = responses.uplift(row, request.discount)
            mu[n], sigma[n] = max(uplift.mu, 0.0), uplift.sigma
            cut[row] = request.discount
        else:
            mu[n] = np.log1p(request.uplift or 0.0)
            # The discount that would do as much: others lose as they would by that.
            elasticity = min(responses.elasticity(row)[0], _ELASTICITY_MAX)
            cut[row] = min(1.0 - float(np.exp(mu[n] / elasticity)), 0.9)
    dip = np.array([min(float(np.exp(responses.dip(row).mu)), 1.0) for row in promoted.tolist()])
    channels = None
    if request.channels is not None:
        channels = tuple(network.channels[code].index for code in request.channels if code in network.channels)
    return Campaign(
        row=promoted.astype(np.int32),
        first=(request.first - today).days,
        last=(request.last - today).days,
        mu=mu,
        sigma=sigma,
        taken=responses.taken_from(cut),
        dip=dip,
        dip_days=_DIP_DAYS,
        channels=channels,
    )


# As JSON --------------------------------------------------------------------------------------------------------------


def _document(
    request: Request,
    today: date,
    items: Items,
    skus: Any,
    responses: Responses,
    demand: Demand,
    rests_on: str,
    found: Assessment,
    assessor: Assessor,
    remedies: Cure | None,
) -> dict[str, Any]:
    network, campaign = assessor.world.history.network, found.campaign

    def day(number: int) -> str:
        return (today + timedelta(days=number)).isoformat()

    volume = demand.mean[campaign.row, campaign.first : campaign.last + 1].sum(axis=1)
    uplift = float((campaign.uplift * volume).sum() / volume.sum()) if volume.sum() else float(campaign.uplift.mean())

    def breaks(figures: Figures) -> list[dict[str, Any]]:
        return [
            {
                "kind": b.kind,
                "what": skus[int(b.what)] if b.kind == "item" else b.what,
                "probability": b.probability,
                "is_first": b.first,
                "without_campaign": b.without,
                "day": day(b.day),
                "day_low": day(b.day_low),
                "day_high": day(b.day_high),
            }
            for b in figures.breaks
        ]

    plan, without = found.plan, found.without
    return {
        "format": _FORMAT,
        "items": [sku for sku, is_in in zip(items.sku, items.promoted.tolist(), strict=True) if is_in],
        "channels": None if request.channels is None else list(request.channels),
        "from": request.first.isoformat(),
        "to": request.last.isoformat(),
        "discount": request.discount,
        "uplift": uplift,
        "can_serve": found.can_serve,
        "late_share": plan.late_share,
        "late_risk": plan.risk,
        "largest_uplift": {"uplift": uplift * found.scale, "scale": found.scale, "is_lower_bound": found.is_most},
        "first_break": None
        if plan.first is None
        else {
            "probability": plan.first.probability,
            "day": day(plan.first.day),
            "day_low": day(plan.first.day_low),
            "day_high": day(plan.first.day_high),
        },
        "breaks": breaks(plan),
        "days": [
            {
                "day": day(n),
                "is_campaign": campaign.first <= n <= campaign.last,
                "fill_rate": fill,
                "fill_rate_low": low,
                "fill_rate_all_items": every,
                "fill_rate_without": usual,
                "late_share": late,
            }
            for n, (fill, low, every, usual, late) in enumerate(
                zip(*map(values_of, (plan.fill, plan.fill_low, plan.fill_all, without.fill, plan.late)), strict=True)
            )
        ],
        "nodes": _nodes(found.at_nodes, network),
        "cost_to_serve_minor": {"with": plan.cost_minor, "without": without.cost_minor},
        "days_to_deliver": {"with": plan.days_mean, "without": without.days_mean},
        "orders": {"with": plan.orders, "without": without.orders},
        "remedies": None if remedies is None else _remedies(remedies, day, skus, network),
        "other_dates": [
            {
                "from": (request.first + timedelta(days=s.days)).isoformat(),
                "to": (request.last + timedelta(days=s.days)).isoformat(),
                "late_share": s.late_share,
                "late_risk": s.risk,
                "fill_rate": s.fill,
            }
            for s in found.shifted
        ],
        "responses": [
            {
                "sku": sku,
                "elasticity": responses.elasticity(row)[0],
                "elasticity_error": responses.elasticity(row)[1],
                "is_from_own_prices": bool(np.isfinite(responses.error[row, 0])),
                "demand_left": float(campaign.taken[row]),
                "is_promoted": bool(items.promoted[row]),
            }
            for row, sku in enumerate(items.sku)
            if items.promoted[row] or campaign.taken[row] < 1.0
        ],
        "holds": _holds(found.load, network, today),
        "method": {
            "paths": found.paths,
            "paths_decided": found.decided,
            "uplifts_tried": found.evaluations,
            "seed": request.seed,
            "late_share_max": assessor.settings.late_share_max,
            "risk_max": assessor.settings.risk_max,
            "late_days": assessor.world.late_days,
            "forecast": rests_on,
        },
    }


def _remedies(remedies: Cure, day: Callable[[int], str], skus: Any, network: Network) -> dict[str, Any]:
    codes = network.node_codes
    return {
        "actions": [
            {
                "do": r.doing,
                "sku": None if r.item < 0 else skus[r.item],
                "node": codes[r.node] if r.node else None,
                "from_node": codes[r.source] if r.source else None,
                "quantity": r.units,
                "start_by": day(r.start_by),
                "before": day(r.before),
                "until": day(r.until) if r.until else None,
                "cost_minor": r.cost_minor,
                "uplift_by_day": list(r.profile) or None,
            }
            for r in remedies.remedies
        ],
        "cost_minor": remedies.cost_minor,
        "units_unserved": remedies.unserved,
        "late_share": remedies.late_share,
        "late_risk": remedies.risk,
    }


def _nodes(at_nodes: npt.NDArray[np.float64], network: Network) -> list[dict[str, Any]]:
    """Fill rate and units of each node by day, in the order of `days`; null on days on which nobody asks there."""
    asked, found = at_nodes
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.where(asked > 0, found / asked, np.nan).round(4)
    return [
        {"node": network.node_codes[k], "fill_rate": values_of(rate[k]), "units": asked[k].round(2).tolist()}
        for k in np.flatnonzero(asked.any(axis=1)).tolist()
        if k
    ]


def _holds(load: npt.NDArray[np.float64], network: Network, today: date) -> list[dict[str, Any]]:
    """Room that the campaign takes beyond what is usual, where that is half an order a day or more."""
    found: list[dict[str, Any]] = []
    for node, day in np.argwhere(load[:, :, 0] >= 0.5).tolist():
        orders, lines, units = (int(x) for x in np.ceil(np.maximum(load[node, day], 0.0)))
        found.append(
            {
                "node": network.node_codes[node],
                "day": (today + timedelta(days=day)).isoformat(),
                "orders": orders,
                "lines": lines,
                "units": units,
            }
        )
    return found


__all__ = ["AHEAD_MAX", "Request", "assess_campaign", "check"]
