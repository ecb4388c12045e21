"""Lanes that cost more, or less, than decisions take them to: what a policy can still prefer. Pure.

Decisions weigh what is known of transit times, rejections and prices. What an order then cost, less what was promised
for it (the ledger of costs to serve), should be the same on average whichever way it went. Where it is not, for one
destination, terms leave something out: that is the *residual* of a lane, an area and a service or a node.

**Contrast.** Services are compared within an area and a node, nodes within an area and a service, so that neither is
blamed for the other, and an area that is dear for everybody is no reason to prefer anybody. With strata h, sums over
what went this way (1) and the other ways (0), and weights w_h = n_h1 n_h0 / (n_h1 + n_h0):

    contrast = sum_h w_h (mean_h1 - mean_h0) / sum_h w_h

**Variance.** What happens on one day happens to many: the period is cut into `BLOCKS` blocks of equally many orders,
and the contrast is taken anew without each of them (delete-one-block jackknife; Tukey 1958, Kuensch 1989 for blocks):
v = (B-1)/B sum_b (contrast_-b - mean)^2, with B - 1 degrees of freedom.

**Shrinkage.** Contrasts are draws around 0 with variance tau^2 (DerSimonian and Laird 1986, by moments about the known
mean 0): the posterior of one has mean m = c tau^2/(tau^2+v) and variance tau^2 v/(tau^2+v).

**Acting.** A lane is avoided when the lower 90 % limit of its posterior is above the floor, its contrast in the later
half of the period is too (what has ended is not acted on), and its contrast over all of it is above 0 by Holm's
procedure (1979) at 5 % over all lanes that are looked at: with no difference anywhere, nothing is proposed in 19 of 20
looks.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from onhand.simulation.compare import Difference, Metric, difference, t_quantile, values
from onhand.simulation.history import History
from onhand.simulation.replay import Outcome
from onhand.sourcing.policies.model import PolicyIn, RuleIn, RuleLimitsIn

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Way = Literal["service", "node"]

BLOCKS: Final = 20
ERROR: Final = 0.05
"""Of one look: that anything is proposed where nothing differs."""
RULE: Final = "learned "
"""Begins the names of rules that are learned; nobody else's should."""
KEPT: Final = timedelta(days=180)
"""After which a lane that was left is tried again: what nobody uses, nobody learns of."""

_Found = tuple["Area", Way, str, int, int, float, float, float]
"""(area, way, name, orders, others, contrast, error, contrast of the later half)"""
_RULES_MAX: Final = 200  # of a policy
_PLAIN: Final = re.compile(r"[\w.'-]?[\w .'-]{0,99}")
_LIMIT: Final = 1.2816  # of a normal distribution, 90 %
_ORDERS_MIN: Final = 30
_REALISED: Final = Metric(
    "realised_minor", "All cost terms, with what lanes are known to cost beyond them", "money", -1
)


@dataclass(frozen=True, slots=True, order=True)
class Area:
    """Where orders go, as coarse as carriers tell places apart: a region where the order names one, else the first two
    characters of its postal code, else the country."""

    country: str
    region: str = ""
    prefix: str = ""

    @classmethod
    def of(cls, destination: Mapping[str, Any]) -> "Area | None":
        """None: nobody knows where, or its name cannot stand in that of a rule."""
        country = str(destination.get("country") or "")
        region, postal = str(destination.get("region") or ""), str(destination.get("postal_code") or "")
        if not country or not _PLAIN.fullmatch(region or postal[:2]):
            return None
        return cls(country, region) if region else cls(country, "", postal[:2])

    def condition(self) -> str:
        """In CEL, over `order`."""
        parts = [f"order.destination.country == {_quoted(self.country)}"]
        if self.region:
            parts.append(f"order.destination.region == {_quoted(self.region)}")
        elif self.prefix:
            parts.append('order.destination.region == ""')
            parts.append(f"order.destination.postal_code.startsWith({_quoted(self.prefix)})")
        return " && ".join(parts)

    def __str__(self) -> str:
        return "-".join(part for part in (self.country, self.region or self.prefix) if part)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Fulfilments that have arrived, in order of time: rows of one currency.

    areas, services, nodes  names, by the numbers in the columns
    area, service, node     int64[n]
    residual                float64[n]: actual less promised, minor units
    """

    areas: Sequence[Area]
    services: Sequence[str]
    nodes: Sequence[str]
    area: Int64
    service: Int64
    node: Int64
    residual: Float64

    def __len__(self) -> int:
        return len(self.residual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What is known of one way to one area, in minor units an order against the other ways there.

    contrast, error  as measured, and its standard error; recent: the contrast in the later half
    mean, low        after shrinkage, and its lower 90 % limit
    is_avoided       it is sure to cost more than the floor
    """

    area: Area
    way: Way
    name: str
    orders: int
    others: int
    contrast: float
    error: float
    recent: float
    mean: float
    low: float
    is_avoided: bool

    @property
    def beyond(self) -> float:
        """What an order costs that goes this way, beyond the mean of the area: the contrast is against the others
        only."""
        return self.mean * self.others / (self.orders + self.others)

    def document(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "area": str(self.area), "way": self.way, "name": self.name, "orders": self.orders, "others": self.others,
            "contrast_minor": round(self.contrast, 1), "error_minor": round(self.error, 1),
            "recent_minor": round(self.recent, 1), "mean_minor": round(self.mean, 1),
            "low_minor": round(self.low, 1), "is_avoided": self.is_avoided,
        }  # fmt: skip


def learn(served: Served, *, floor_minor: float, orders_min: int = _ORDERS_MIN) -> list[Lane]:
    """All lanes that can be compared, the dearest first. floor_minor: what is not worth a rule."""
    found: list[_Found] = []
    if len(served) >= 2 * BLOCKS:
        block = np.arange(len(served)) * BLOCKS // len(served)
        found = _contrasts(served, "service", served.services, served.service, served.node, block, orders_min)
        found += _contrasts(served, "node", served.nodes, served.node, served.service, block, orders_min)
    return _judged(found, floor_minor)


def _contrasts(
    served: Served, way: Way, names: Sequence[str], mine: Int64, other: Int64, block: Int64, orders_min: int
) -> list[_Found]:
    found: list[_Found] = []
    for number, area in enumerate(served.areas):
        rows = np.flatnonzero(served.area == number)
        strata, stratum = np.unique(other[rows], return_inverse=True)
        shape = (len(strata), len(names), BLOCKS)
        flat = np.ravel_multi_index((stratum, mine[rows], block[rows]), shape)
        count = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)
        total = np.bincount(flat, served.residual[rows], int(np.prod(shape))).reshape(shape).astype(np.float64)
        for name in np.flatnonzero(count.sum(axis=(0, 2))).tolist():
            n1, s1 = count[:, name], total[:, name]
            n0, s0 = count.sum(axis=1) - n1, total.sum(axis=1) - s1
            compared = (n1.sum(axis=1) > 0) & (n0.sum(axis=1) > 0)
            orders, others = int(n1[compared].sum()), int(n0[compared].sum())
            if orders < orders_min or others < orders_min:
                continue
            estimate = _jackknife(n1, s1, n0, s0)
            if estimate is not None:
                found.append((area, way, names[name], orders, others, *estimate))
    return found


def _jackknife(n1: Float64, s1: Float64, n0: Float64, s0: Float64) -> tuple[float, float, float] | None:
    """(contrast, standard error, contrast of the later half), from counts and sums by [stratum, block]; None: it cannot
    be told."""

    def contrast(n1: Float64, s1: Float64, n0: Float64, s0: Float64) -> Float64:
        weight = n1 * n0 / np.maximum(n1 + n0, 1.0)
        apart = s1 / np.maximum(n1, 1.0) - s0 / np.maximum(n0, 1.0)
        whole = weight.sum(axis=0)
        return np.where(whole > 0, (weight * apart).sum(axis=0) / np.maximum(whole, 1e-12), np.nan)

    sums = [x.sum(axis=1, keepdims=True) for x in (n1, s1, n0, s0)]
    without = contrast(*(whole - part for whole, part in zip(sums, (n1, s1, n0, s0), strict=True)))
    whole = float(contrast(*sums)[0])
    recent = float(contrast(*(x[:, BLOCKS // 2 :].sum(axis=1, keepdims=True) for x in (n1, s1, n0, s0)))[0])
    if np.isnan(without).any() or math.isnan(whole) or math.isnan(recent):
        return None
    variance = (BLOCKS - 1) / BLOCKS * float(((without - without.mean()) ** 2).sum())
    return (whole, math.sqrt(variance), recent) if variance > 0 else None


def _judged(found: Sequence[_Found], floor_minor: float) -> list[Lane]:
    if not found:
        return []
    contrast, error = np.array([row[5] for row in found]), np.array([row[6] for row in found])
    v = error**2
    spread = max(0.0, (float((contrast**2 / v).sum()) - len(found)) / float((1 / v).sum()))
    mean = contrast * spread / (spread + v)
    low = mean - _LIMIT * np.sqrt(spread * v / (spread + v))
    is_sure = _holm(contrast / error)
    lanes = [
        Lane(
            area=area, way=way, name=name, orders=orders, others=others, contrast=c, error=e,
            recent=recent, mean=float(mean[n]), low=float(low[n]),
            is_avoided=bool(is_sure[n] and min(low[n], recent) > floor_minor),
        )
        for n, (area, way, name, orders, others, c, e, recent) in enumerate(found)
    ]  # fmt: skip
    return sorted(lanes, key=lambda lane: (-lane.low, lane.area, lane.way, lane.name))


def _holm(t: Float64) -> npt.NDArray[np.bool_]:
    """bool[n]: which of `t` are above 0, one-sided, at ERROR over all of them (Holm 1979)."""
    sure = np.zeros(len(t), np.bool_)
    for rank, n in enumerate(np.argsort(-t, kind="stable").tolist()):
        if t[n] <= t_quantile(1 - ERROR / (len(t) - rank), BLOCKS - 1):
            break
        sure[n] = True
    return sure


# The policy -----------------------------------------------------------------------------------------------------------


def preferring(
    policy: PolicyIn, lanes: Sequence[Lane], *, services: Sequence[str], nodes: Sequence[str], today: date
) -> PolicyIn:
    """`policy` with rules that leave the avoided lanes alone where there is another way; what was learned before and is
    not too old stays.

    services, nodes  codes of all that there are

    Each rule of the policy gets a twin before it for each area, with the avoided services and nodes left out. An order
    for which the twin has no plan meets the rule as it was: nothing becomes unservable by what was learned.
    """
    kept = [rule for rule in policy.rules if rule.name.startswith(RULE) and _is_young(rule, today)]
    own = [rule for rule in policy.rules if not rule.name.startswith(RULE)] or [RuleIn(name="Everything else")]
    avoided: dict[Area, dict[Way, list[str]]] = {}
    areas_max = (_RULES_MAX - len(own) - len(kept)) // len(own)
    for lane in lanes:  # the dearest first
        if lane.is_avoided and (lane.area in avoided or len(avoided) < areas_max):
            avoided.setdefault(lane.area, {}).setdefault(lane.way, []).append(lane.name)
    for area, ways in avoided.items():  # what was left there before is left still
        for name in {name for rule in kept if _area_of(rule) == str(area) for name in _names_of(rule)}:
            way: Way = "service" if name in services else "node"
            if name not in ways.setdefault(way, []):
                ways[way].append(name)
    renewed = {str(area) for area in avoided}
    rules: list[RuleIn] = []
    for rule in own:
        mine = [old for old in kept if old.name.endswith(f": {rule.name}") and _area_of(old) not in renewed]
        rules += [old for old in mine if old not in rules]
        for area, ways in sorted(avoided.items()):
            twin = _twin(policy, rule, area, ways, services, nodes, today)
            rules += [] if twin is None else [twin]
        rules.append(rule)
    if len(rules) == len(own):  # nothing is learned: as it was written
        return policy.model_copy(update={"rules": [r for r in policy.rules if not r.name.startswith(RULE)]})
    return policy.model_copy(update={"rules": rules})


def is_same(one: PolicyIn, other: PolicyIn) -> bool:
    """Whether two policies differ in nothing but the day on which something was learned."""

    def undated(policy: PolicyIn) -> PolicyIn:
        rules = [
            rule.model_copy(update={"name": RULE + rule.name.removeprefix(RULE)[10:]}) if _learned_on(rule) else rule
            for rule in policy.rules
        ]
        return policy.model_copy(update={"rules": rules})

    return undated(one) == undated(other)


def _twin(
    policy: PolicyIn,
    rule: RuleIn,
    area: Area,
    ways: Mapping[Way, Sequence[str]],
    services: Sequence[str],
    nodes: Sequence[str],
    today: date,
) -> RuleIn | None:
    """The rule without what is avoided in an area; None: then nothing would be left."""
    left_out = ", ".join(sorted(name for names in ways.values() for name in names))
    update: dict[str, Any] = {
        "name": f"{RULE}{today.isoformat()} {area} without {left_out}: {rule.name}",
        "when": f"({rule.when}) && {area.condition()}" if rule.when else area.condition(),
        "otherwise": "next",
    }
    if of_services := ways.get("service"):
        allowed = rule.limits.services or policy.limits.services or sorted(services)
        left = [code for code in allowed if code not in of_services]
        if not left:
            return None
        update["limits"] = RuleLimitsIn.model_validate(rule.limits.model_dump() | {"services": left})
    if of_nodes := ways.get("node"):
        if set(nodes) <= set(of_nodes):
            return None
        condition = f"!(node.code in [{', '.join(map(_quoted, sorted(of_nodes)))}])"
        update["nodes"] = f"({rule.nodes}) && {condition}" if rule.nodes else condition
    return rule.model_copy(update=update)


def _learned_on(rule: RuleIn) -> date | None:
    if not rule.name.startswith(RULE):
        return None
    try:
        return date.fromisoformat(rule.name.removeprefix(RULE)[:10])
    except ValueError:
        return None


def _is_young(rule: RuleIn, today: date) -> bool:
    on = _learned_on(rule)
    return on is not None and today - on <= KEPT


def _names_of(rule: RuleIn) -> list[str]:
    return rule.name.partition(" without ")[2].partition(": ")[0].split(", ")


def _area_of(rule: RuleIn) -> str:
    return rule.name.removeprefix(RULE)[11:].partition(" without ")[0]


# Evidence -------------------------------------------------------------------------------------------------------------


def evidence(
    history: History,
    area_of: Callable[[int], Area | None],
    lanes: Sequence[Lane],
    baseline: Outcome,
    candidate: Outcome,
) -> Difference:
    """How much less an order would have cost under `candidate`: replays of one history, paired, all cost terms and what
    lanes are known to cost beyond them. area_of: of an order, by its number."""
    known = {(lane.area, lane.way, lane.name): lane.beyond for lane in lanes}
    count = len(history)
    areas = [area_of(n) for n in range(count)]

    def realised(outcome: Outcome) -> Float64:
        f, network = outcome.fulfilments, history.network
        beyond = np.zeros(len(f.order))
        for n in range(len(f.order)):
            area, node, service = areas[int(f.order[n])], int(f.node[n]), int(f.service[n])
            if area is not None:
                code = network.services[service].code if service >= 0 else ""
                beyond[n] = known.get((area, "service", code), 0.0)
                beyond[n] += known.get((area, "node", network.node_codes[node]), 0.0)
        return values(history, outcome)["cost_minor"] + np.bincount(f.order, beyond, count)

    alike = (baseline.served == baseline.asked) & (candidate.served == candidate.asked)
    ours, theirs = (np.where(alike, realised(outcome), np.nan) for outcome in (baseline, candidate))
    return difference(_REALISED, ours, theirs)
