"""`onhand.source`: orders, a network and a policy in; plans out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, cast

import msgspec
import numpy as np

from onhand.catalog.catalogue import Goods
from onhand.errors import FieldError, InvalidInput
from onhand.flows.intake import prepare
from onhand.library.network import Network, Supply
from onhand.library.plan import Plan, PlannedFulfilment, PlanStatus
from onhand.library.substitutes import Basket, baskets, best, told_apart
from onhand.network import compiled
from onhand.orders.intake import OrderIn
from onhand.orders.model import TERMS
from onhand.sourcing import tables
from onhand.sourcing.policy import STANDARD, Foresight, Policy
from onhand.sourcing.prices import Expected, Float32, central_prices, span_of_costs
from onhand.sourcing.solve import NO_SUPPLY, Ask, Attempts, Decisions, Stock, asked, decide_asked

# Orders decided by one call: enough to make calling cheap, few enough to keep arrays small.
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class _World:
    """What intake reads."""

    catalogue: Any
    network: compiled.Network
    policy: Policy


def source(
    orders: Iterable[Mapping[str, Any]],
    network: Mapping[str, Any] | Network,
    *,
    policy: str | Policy = "standard",
    seed: int = 0,
    at: datetime | None = None,
) -> list[Plan]:
    """Decide `orders` in turn, each from what the ones before it have left. Nothing is kept: `network` stays as it is.

    orders   as `POST /v1/orders` takes them; channel, external_id and currency may be left out, and an order or a line
             may say `allow_substitutes`: an item's `substitutes` in the network may then take its place, of a whole
             line (of all ways to do so the 32 that lose least goodwill are tried)
    network  a document (see Network.load) or a loaded network
    policy   "standard", or objectives and limits as a Policy
    seed     of the draws from a forecast; the same seed, the same plans
    at       the moment of the decisions; of the network where left out

    Exact for orders of up to ten different items: no other plan costs less at the policy's prices. Where the network
    has a forecast, these include what a unit is worth to the orders to come (sourcing/prices.py). Raises InvalidInput,
    naming every field that is wrong; then nothing was decided.
    """
    known = Network.load(network, at=at)
    now = at or known.at
    rules = policy_of(policy)
    errors: list[FieldError] = []
    asked_for, replaceable = told_apart([*orders], errors)
    if errors:
        raise InvalidInput(errors)
    asks = asks_of(asked_for, known, rules, now)
    room = known.compiled.with_own_room()
    room.set_clock(now)
    stock = Stock(known.available, np.zeros_like(known.available), known.safety, supply=supply_of(known))
    ahead = None if rules.foresight is None else Ahead.of(known, room, rules, rules.foresight, now, seed)
    plans: list[Plan] = []
    every = _BATCH if ahead is None else ahead.every
    for start in range(0, len(asks), every):
        some = asks[start : start + every]
        if ahead is not None:
            rules = ahead.look(stock, start)
        # An order that takes substitutes is decided by itself: what it takes is known only then.
        alone = [n for n in range(len(some)) if replaceable[start + n] and known.substitutes]
        for first, end in pairwise(sorted({0, len(some), *alone, *(n + 1 for n in alone)})):
            run, basket = some[first:end], Basket({})
            if first in alone:
                found = baskets(asked_for[start + first], replaceable[start + first], known)
                asked_as = asks_of([b.order for b in found], known, rules, now)
                tried = [(some[first][0], ask, waits) for _, ask, waits in asked_as]
                chosen = best(found, decide_in_turn(tried, stock, known, room, rules, now, consume=False))
                run, basket = [tried[chosen]], found[chosen]
            decisions = decide_in_turn(run, stock, known, room, rules, now)
            plans += [
                _with_swaps(answer(name, ask, decisions, n, known, rules), basket)
                for n, (name, ask, _) in enumerate(run)
            ]
    return plans


def _with_swaps(plan: Plan, basket: Basket) -> Plan:
    if not plan.fulfilments or not basket.swaps:
        return plan
    return replace(plan, substitutions=basket.swaps, cost_minor=plan.cost_minor + basket.minor)


@dataclass(slots=True)
class Ahead:
    """Prices of stock for the orders that a network's forecast expects, learned anew from time to time."""

    expected: Expected
    network: compiled.Network
    policy: Policy
    foresight: Foresight
    goods: Goods
    now: float
    seed: int
    span: float
    every: int

    @classmethod
    def of(
        cls, known: Network, room: compiled.Network, policy: Policy, foresight: Foresight, now: datetime, seed: int
    ) -> "Ahead | None":
        if known.forecast is None:
            return None
        asks = asks_of(known.forecast.orders, known, policy, now, "forecast.orders")
        count = np.array(known.forecast.expected or np.ones(len(asks)), np.float64)
        expected = Expected(orders=asked([ask for _, ask, _ in asks], room), count=count)
        at, goods = now.timestamp(), known.catalogue.goods
        span = span_of_costs(expected, room, policy, goods, now=at, seed=seed)
        every = max(1, int(count.sum()) // foresight.refreshes)
        return cls(expected, room, policy, foresight, goods, at, seed, span, every)

    def look(self, stock: Stock, decided: int) -> Policy:
        """Refresh the prices of `stock` after so many orders; the policy that follows them on."""
        total = float(self.expected.count.sum())
        # Orders beyond the forecast find some still expected: nobody knows that the last one was the last.
        rest = self.expected.left(max(total - decided, self.every) / total)
        known = stock.prices.unit
        stock.prices = central_prices(
            rest,
            stock,
            self.network,
            self.policy,
            self.goods,
            self.foresight,
            now=self.now,
            span=self.span,
            start=_today(stock, self.foresight.follow_share * self.span) if len(known) else None,
            seed=self.seed + decided,
        )
        return self.policy.following(self.foresight.follow_share * self.span)


def _today(stock: Stock, step: float) -> Float32:
    """The prices as they have followed the orders until now."""
    unit = stock.prices.unit.copy()
    gone = stock.prices.clock[:, np.newaxis] - unit[:, :, tables.SEEN]
    unit[:, :, tables.NETWORK] = np.maximum(unit[:, :, tables.NETWORK] - step * unit[:, :, tables.RATE] * gone, 0)
    return unit


AskedFor = tuple[str, Ask, bool]
"""(external id, ask, whether units on their way may be promised) of an order"""


def policy_of(policy: str | Policy) -> Policy:
    """The policy of that name: one that is built in. Raises InvalidInput."""
    if isinstance(policy, Policy):
        return policy
    if policy in ("standard", STANDARD.version):
        return STANDARD
    if policy in STANDARD.objectives:
        return replace(STANDARD, version=f"standard:{policy}", default=policy)
    names = ", ".join(["standard", *STANDARD.objectives])
    raise InvalidInput.at("policy", f"no policy {policy!r}: expected one of {names}, or an onhand.Policy")


def asks_of(
    orders: Iterable[Mapping[str, Any]], known: Network, policy: Policy, now: datetime, path: str = "orders"
) -> list[AskedFor]:
    """(external id, ask, whether units on their way may be promised) of each order."""
    world = _World(known.catalogue, known.compiled, policy)
    channel = next(iter(known.compiled.channels))
    asks: list[AskedFor] = []
    errors: list[FieldError] = []
    for n, given in enumerate(orders):
        named = {"channel": channel, "external_id": str(n + 1), "currency": known.currency, **given}
        lines = named.get("lines")
        if isinstance(lines, Sequence) and not isinstance(lines, str):
            named["lines"] = [_line(line, row, known) for row, line in enumerate(lines)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        try:
            order = msgspec.convert(named, OrderIn)
            intake = prepare(world, order, actor=0, key=None, now=now, body_hash=b"")
        except msgspec.ValidationError as error:
            message, _, where = str(error).partition(" - at `$")
            errors.append(FieldError(f"{path}[{n}]{where.rstrip('`')}", message[:1].lower() + message[1:]))
            continue
        except InvalidInput as error:
            errors += [FieldError(f"{path}[{n}].{e.path}", e.message) for e in error.errors]
            continue
        if intake.unlocatable:
            errors.append(FieldError(f"{path}[{n}].destination", "cannot be located: give latitude and longitude"))
            continue
        asks.append((order.external_id, _with_prices(intake.ask, order, known), order.allow_backorder))
    if errors:
        raise InvalidInput(errors)
    return asks


def _line(line: Any, row: int, known: Network) -> Any:
    if not isinstance(line, Mapping):
        return line
    fields = cast("Mapping[str, Any]", line)
    item = known.catalogue.ids.get(str(fields.get("sku")), 0)
    return {"line_id": str(row + 1), "price_minor": int(known.price[item]), **fields}


def _with_prices(ask: Ask, order: OrderIn, known: Network) -> Ask:
    """The ask with the price and cost of one unit of each item; of a bundle the price by the catalogue's prices of its
    components."""
    paid: dict[int, float] = {}
    for line in order.lines:
        item = known.catalogue.ids[line.sku]
        parts = known.catalogue.bundles.get(item) or ((item, 1),)
        usual = sum(known.price[i] * n for i, n in parts)
        units = sum(n for _, n in parts)
        for i, n in parts:
            share = known.price[i] * n / usual if usual else n / units
            paid[i] = paid.get(i, 0.0) + line.price_minor * line.quantity * share
    return msgspec.structs.replace(ask, prices=[(paid[i] / units, float(known.cost[i])) for i, units in ask.demand])


def supply_of(known: Network) -> tables.Supply:
    if not known.inbound:
        return NO_SUPPLY
    rows: list[Supply] = sorted(known.inbound, key=lambda s: (s.item_id, s.ready, s.node_id))
    items = np.array([s.item_id for s in rows], np.int32)
    first = np.searchsorted(items, np.arange(len(known.available) + 1)).astype(np.int32)
    return tables.Supply(
        first,
        np.array([s.node_id for s in rows], np.int32),
        np.array([s.ready for s in rows], np.float64),
        np.array([s.units for s in rows], np.int32),
    )


def decide_in_turn(
    some: Sequence[AskedFor],
    stock: Stock,
    known: Network,
    room: compiled.Network,
    policy: Policy,
    now: datetime,
    *,
    consume: bool = True,
) -> Decisions:
    """From the shelf; where that has no plan, from what is on its way besides."""
    batch = asked([ask for _, ask, _ in some], room)
    if known.inbound:
        # Shelf, safety stock, and then what is on its way, with the shelf and with safety stock besides.
        tries = np.array([4 if waits else 2 for _, _, waits in some], np.int32)
        rows = np.repeat(np.arange(len(some)), tries)
        first = np.concatenate([[0], np.cumsum(tries)]).astype(np.int32)
        number = np.arange(len(rows)) - first[rows]
        batch.attempts = Attempts(
            first,
            batch.channel[rows],
            batch.fulfilments_max[rows],
            batch.objective[rows],
            np.full(len(rows), np.inf),
            (number >= 2).astype(np.int32),
            (number % 2).astype(np.int32),
        )
    return decide_asked(batch, stock, room, policy, known.catalogue.goods, now=now.timestamp(), consume=consume)


def answer(name: str, ask: Ask, d: Decisions, order: int, known: Network, policy: Policy) -> Plan:
    skus, network = known.catalogue.skus, known.compiled
    lines: dict[int, dict[str, int]] = {}
    late: dict[int, dict[str, int]] = {}
    rest = dict(ask.demand)
    for p in range(int(d.pick_first[order]), int(d.pick_first[order + 1])):
        item, units, number = int(d.demand_item[d.pick_demand[p]]), int(d.pick_units[p]), int(d.pick_number[p])
        rest[item] -= units
        for rows in (lines, late) if d.pick_supply[p] >= 0 else (lines,):
            mine = rows.setdefault(number, {})
            mine[skus[item]] = mine.get(skus[item], 0) + units
    fulfilments: list[PlannedFulfilment] = []
    for number, f in enumerate(range(int(d.fulfilment_first[order]), int(d.fulfilment_first[order + 1])), 1):
        service = int(d.service[f])
        cost = dict(zip((*TERMS, *d.others), cast("list[float]", d.terms[f].tolist()), strict=True))
        fulfilments.append(
            PlannedFulfilment(
                node=network.node_codes[int(d.node[f])],
                carrier=None if service < 0 else network.services[service].carrier,
                service="pickup" if service < 0 else network.services[service].code,
                lines=lines[number],
                cost=cost,
                cost_minor=sum(cost.values()),
                co2_g=float(d.grams[f]),
                ship_by=datetime.fromtimestamp(int(d.departs[f]), UTC),
                deliver_by=datetime.fromtimestamp(int(d.deliver[f]), UTC),
                on_its_way=late.get(number, {}),
            )
        )
    return Plan(
        order=name,
        status=_status(d, order, bool(late), any(rest.values())),
        objective=list(policy.objectives)[ask.objective],
        fulfilments=tuple(fulfilments),
        unserved={skus[i]: units for i, units in rest.items() if units},
        cost_minor=float(d.cost[order]),
        profit_minor=float(d.profit[order]),
        method=tables.METHODS[int(d.method[order])],
    )


def _status(d: Decisions, order: int, late: bool, some_left: bool) -> PlanStatus:
    if not d.count[order]:
        return "below_floor" if d.why[order] == tables.WHY_PROFIT else "unfillable"
    return "partial" if some_left else "backordered" if late else "sourced"
