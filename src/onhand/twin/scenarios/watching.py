"""What a merchant notices: the detectors of `incidents/detect` over what is seen, and incidents made of it.

Nothing of the scenario is known here; what is usual is learned from a quiet past.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.detect import (
    capacity,
    channels,
    demand,
    inbound,
    lanes,
    money,
    orders,
    oversell,
    phantoms,
    shipments,
)
from onhand.incidents.detect.moments import DAY_US
from onhand.incidents.group import Patience, reconciled
from onhand.incidents.model import Finding, Incident, Kind, Subject
from onhand.incidents.respond.reroute import late_chance
from onhand.twin.scenarios import chance
from onhand.twin.scenarios.chance import Chance, normal
from onhand.twin.scenarios.document import CARRIERS, CHANNELS
from onhand.twin.scenarios.shop import BEGIN, DEPARTMENTS, NODES, SUPPLIERS, WAREHOUSES, node_code, sku
from onhand.twin.scenarios.world import COUNT_MINOR, LATE_MINOR, RETURN_MINOR, STEPS_A_DAY, WARM_UP_DAYS, Order, Seen

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

LANE_NAMES: Final = tuple((node_code(k // len(CARRIERS)), CARRIERS[k % len(CARRIERS)]) for k in range(NODES * 2))
_BEGIN_US: Final = int(BEGIN.timestamp()) * 1_000_000
_Z90: Final = 1.2815515655446004
_Z95: Final = 1.6448536269514722
_LEVELS: Final = np.array([0.5, 0.9, 0.975])
_LEVELS_Z: Final = np.array([0.0, _Z90, 1.959963984540054])
REJECTION_MINOR: Final = 120.0
"""What a rejection costs, as it is taken for: another parcel, and a chance to be late."""
# What is due on a day comes in its morning: at noon it is late.
_NOON: Final = 0.5
_LATELY_DAYS: Final = 7.0
# Until there is more, for want of a better guess.
_SUPPLIED_DAYS: Final = 5.0
_WATCHED_DAYS: Final = 25.0
_DOUBTED: Final = 0.05
_HAZARD_MIN, _HAZARD_MAX = 0.0005, 0.005
_UNTIL_COUNTED_DAYS: Final = 60.0
# A count pays for itself at odds at which nobody would call it an incident of another kind.
_PHANTOMS: Final = Patience(open_at=0.1, close_at=0.05, quiet=timedelta(hours=30))
_OTHERS: Final = Patience()
# Evidence that is a fact as long as it is there.
_FACTS: Final = Patience(quiet=timedelta(0))
_FACT_KINDS: Final = frozenset({Kind.OVERSELL, Kind.PRICE_OUTLIER, Kind.SHIPMENT_LATE, Kind.ORDER_STUCK})
_TWICE_WITHIN_DAYS: Final = 2.0
# Parcels that go astray, of all, and how much later they come, as long as nobody knows better.
_STRAY_SHARE, _STRAY_DAYS = 0.005, 4.0
# Chance to be late from which it is looked at.
_LIKELY: Final = 0.5
_FORECAST_LEVELS: Final = np.linspace(0.05, 0.95, 19)
_FORECAST_DAYS: Final = np.arange(0.0, 40.0, 0.25)
_PARTS: Final = {Subject("carrier", (name,)): NODES for name in CARRIERS}


def at_us(days: npt.ArrayLike) -> Int64:
    """int64: Unix microseconds of days since the beginning; infinite ones are NOT_YET."""
    given = np.asarray(days, np.float64)
    whole = np.where(np.isfinite(given), given, 0.0) * DAY_US
    return np.where(np.isfinite(given), _BEGIN_US + whole.astype(np.int64), lanes.NOT_YET)


@lru_cache(maxsize=1)
def learned_lanes() -> lanes.Watch:
    """From 150 quiet days of 40 lanes."""
    luck = Chance(7_919)
    days, per_day = 150, 12
    n = np.arange(NODES * 2 * days * per_day)
    lane = n % (NODES * 2)
    shipped = luck.many(chance.HISTORY, 0, n) * days
    p50 = np.choose((luck.many(chance.HISTORY, 1, n) * 3).astype(np.int64), [1.2, 1.8, 2.6])
    p95 = p50 * 1.5
    took = p50 * np.exp(np.log(1.5) / _Z95 * normal(luck.many(chance.HISTORY, 2, n)))
    past = _shipments(lane, shipped - days, shipped - days + took, p50, p95)
    return lanes.learn(past, now=_BEGIN_US, replayed=100_000)


@lru_cache(maxsize=1)
def learned_suppliers() -> inbound.Suppliers:
    """From 600 lines of each supplier: a tenth came late."""
    luck = Chance(7_927)
    n = np.arange(600 * SUPPLIERS)
    u = luck.many(chance.HISTORY, 3, n)
    late = np.where(u < 0.1, -4.0 * np.log(np.maximum(u, 1e-12) / 0.1), 0.0) - _NOON
    return inbound.learn(n % SUPPLIERS, late, np.ones(len(n)), suppliers=SUPPLIERS)


def _shipments(lane: Int64, shipped: Float64, delivered: Float64, p50: Float64, p95: Float64) -> lanes.Shipments:
    sigma = np.log(p95 / p50) / _Z95
    spread = np.maximum(p50 * (np.exp(_Z90 * sigma) - np.exp(-_Z90 * sigma)), 0.25)
    return lanes.Shipments(
        lane=lane, shipped_at=at_us(shipped), delivered_at=at_us(delivered), median_days=p50, spread_days=spread
    )


class Watcher:
    """Incidents that are open, kept from step to step."""

    def __init__(self) -> None:
        self.incidents: tuple[Incident, ...] = ()
        self._velocities: phantoms.Velocities | None = None
        self._rhythm: channels.Rhythm | None = None
        self._habits: orders.Habits | None = None
        self._prices: money.Usual | None = None
        self._times: orders.Times | None = None
        self.throughput = np.zeros(NODES)

    def look(self, seen: Seen) -> tuple[Incident, ...]:
        """Those that are open after what is seen now, the most money at risk first."""
        findings: list[Finding] = [
            *self._lanes(seen), *self._nodes(seen), *self._spikes(seen), *self._channels(seen),
        ]  # fmt: skip
        kinds = {Kind.LANE_SLOW, Kind.CAPACITY_BREACH, Kind.DEMAND_SPIKE, Kind.CHANNEL_SILENT}
        is_noon = round(seen.day * STEPS_A_DAY) % STEPS_A_DAY == STEPS_A_DAY // 2
        if is_noon:
            findings += self._inbound(seen)
            kinds |= {Kind.INBOUND_LATE, Kind.INBOUND_SHORT}
        apart = _FACT_KINDS | {Kind.PHANTOM_STOCK, Kind.ORDER_DUPLICATE}
        rest = [i for i in self.incidents if i.kind not in apart]
        # A supplier is late where half of what it was to bring in the last week is: lines of each.
        lines = {
            Subject("supplier", (supplier_code(s),)): sum(
                1 for p in seen.purchases if p.supplier == s and seen.day - _LATELY_DAYS <= p.due <= seen.day
            )
            for s in range(SUPPLIERS)
        }
        change = reconciled(rest, findings, seen.now, looked_at=kinds, parts=_PARTS | lines, patience=_OTHERS)
        kept = [*change.opened, *change.updated, *change.unchanged, *change.closed]
        stock = [i for i in self.incidents if i.kind is Kind.PHANTOM_STOCK]
        if is_noon:
            doubted = reconciled(stock, self._phantoms(seen), seen.now, parts={}, patience=_PHANTOMS)
            stock = [*doubted.opened, *doubted.updated, *doubted.unchanged, *doubted.closed]
        kept += stock
        facts = [i for i in self.incidents if i.kind in _FACT_KINDS]
        change = reconciled(
            facts,
            [*self._oversold(seen), *self._outliers(seen), *self._late(seen), *self._stuck(seen)],
            seen.now, looked_at=_FACT_KINDS, parts=_PARTS | _on_their_way(seen), patience=_FACTS,
        )  # fmt: skip
        kept += [*change.opened, *change.updated, *change.unchanged, *change.closed]
        kept += [i for i in self.incidents if i.kind is Kind.ORDER_DUPLICATE]
        young = seen.now - timedelta(hours=24)
        self.incidents = tuple(i for i in kept if i.closed_at is None or i.closed_at >= young)
        return tuple(i for i in self.incidents if i.closed_at is None)

    def look_at_orders(self, seen: Seen) -> tuple[Incident, ...]:
        """Those of orders that came twice, as soon as they come."""
        twice = {Kind.ORDER_DUPLICATE}
        known = [i for i in self.incidents if i.kind in twice]
        change = reconciled(known, self._twice(seen), seen.now, looked_at=twice, parts={}, patience=_FACTS)
        kept = [*change.opened, *change.updated, *change.unchanged, *change.closed]
        self.incidents = (*(i for i in self.incidents if i.kind not in twice), *kept)
        return tuple(i for i in kept if i.closed_at is None)

    def usual(self, seen: Seen) -> Float64:
        """float64[I], units wanted on a usual day: the mean of four weeks, without what stands out."""
        day = max(int(np.ceil(seen.day) - 1), 1)
        past = seen.wanted[:, max(day - 28, 0) : day]
        most = 3 * np.median(past, axis=1, keepdims=True) + 3
        return np.minimum(past, most).mean(axis=1)

    def per_day(self, seen: Seen) -> Float64:
        """float64[I], units wanted a day: what is usual, and of spikes what came on the day that runs and the one
        before."""
        usual = self.usual(seen)
        day = int(np.ceil(seen.day) - 1)
        lately = seen.wanted[:, max(day - 1, 0) : day + 1].sum(axis=1) / (seen.day - max(day - 1, 0))
        is_spike = np.zeros(len(usual), bool)
        for incident in self.incidents:
            if incident.kind is Kind.DEMAND_SPIKE and incident.closed_at is None:
                is_spike[[int(f.subject.key[0].rpartition("-")[2]) - 1 for f in incident.findings]] = True
        return np.where(is_spike, np.maximum(lately, usual), usual)

    def _lanes(self, seen: Seen) -> list[Finding]:
        sent = seen.sent
        # In the order of work, so that what left long ago comes first.
        first = bisect_left(sent.shipped, seen.day - _WATCHED_DAYS)
        shipped, delivered = np.array(sent.shipped[first:]), np.array(sent.delivered[first:])
        # What is shipped later, and what is known later, is not known.
        rows = shipped <= seen.day
        known = np.where(delivered <= seen.day, delivered, np.inf)[rows]
        past = _shipments(
            np.array(sent.lane[first:], np.int64)[rows], shipped[rows], known, np.array(sent.p50[first:])[rows],
            np.array(sent.p95[first:])[rows],
        )  # fmt: skip
        now = int(at_us(seen.day))
        found = lanes.watch(past, learned_lanes(), now, lanes=NODES * len(CARRIERS))
        causes = [Subject("carrier", (carrier,)) for _, carrier in LANE_NAMES]
        return lanes.findings(found, LANE_NAMES, causes=causes)

    def _nodes(self, seen: Seen) -> list[Finding]:
        step = round(seen.day * STEPS_A_DAY)
        last = slice(max(step - STEPS_A_DAY, 0), step)
        busy = ~seen.starved[:, last]
        done = np.where(busy, seen.done[:, last], 0).sum(axis=1) / np.maximum(busy.sum(axis=1), 1)
        self.throughput = np.where(busy.sum(axis=1) >= 2, done * STEPS_A_DAY, seen.declared)
        before = slice(max(step - 2 * STEPS_A_DAY, 0), step)
        coming = seen.came[:, before].mean(axis=1) * STEPS_A_DAY
        days = 3
        arrivals = np.repeat(coming[:, None], days, axis=1)
        ahead = capacity.ahead(
            np.array([float(len(q)) for q in seen.queues]), arrivals, np.sqrt(arrivals + (0.2 * arrivals) ** 2),
            np.repeat(np.maximum(self.throughput, 0.0)[:, None], days, axis=1), np.ones(NODES, np.int64), paths=60,
        )  # fmt: skip
        names = [node_code(k) for k in range(NODES)]
        return capacity.findings(ahead, names, np.full(NODES, LATE_MINOR), seen.now)

    def _spikes(self, seen: Seen) -> list[Finding]:
        # The day that has just ended, or the one that runs.
        day = int(np.ceil(seen.day) - 1)
        share = seen.day - day
        past = seen.wanted[:, max(day - 28, 0) : day]
        mean = np.maximum(np.median(past, axis=1), past[:, :WARM_UP_DAYS].mean(axis=1)) + 0.1
        deviation = np.sqrt(mean + 0.1 * mean**2)
        quantiles = np.maximum(mean[:, None] + _LEVELS_Z * deviation[:, None], 0.0)
        units = seen.wanted[:, day]
        found = demand.spikes(units, _LEVELS, quantiles, share_of_day=share)
        stock = np.maximum(seen.available, 0).sum(axis=1).astype(np.float64)
        names = [(sku(k),) for k in range(len(units))]
        days = np.full(len(units), _SUPPLIED_DAYS)
        return demand.spike_findings(found, units, names, stock, mean, days, seen.shop.margin, seen.now)

    def _channels(self, seen: Seen) -> list[Finding]:
        if self._rhythm is None:
            self._rhythm = channels.learn(seen.hourly[:, : WARM_UP_DAYS * 24], int(BEGIN.timestamp()) // 3600)
        last = at_us(seen.last_told)
        found = channels.silent(last, int(at_us(seen.day)), self._rhythm)
        margin = np.full(len(CHANNELS), float(seen.shop.margin @ seen.shop.rate / seen.shop.rate.sum()))
        return channels.findings(found, CHANNELS, last, margin)

    def _inbound(self, seen: Seen) -> list[Finding]:
        open_ones = [p for p in seen.purchases if not p.is_in and p.supplier >= 0]
        if not open_ones:
            return []
        item = np.array([p.item for p in open_ones])
        stock = np.maximum(seen.available, 0).sum(axis=1).astype(np.float64)
        lasts = stock[item] / np.maximum(seen.shop.rate[item], 1e-6)
        needed = seen.day + np.minimum(lasts, 60.0)
        supplier = np.array([p.supplier for p in open_ones])
        units = np.array([float(p.units.sum()) for p in open_ones])
        found = inbound.foreseen(
            supplier, at_us([p.due + _NOON for p in open_ones]), at_us(needed), units, learned_suppliers(),
            int(at_us(seen.day)),
        )  # fmt: skip
        return inbound.findings(
            found, [str(p.number) for p in open_ones], [supplier_code(s) for s in supplier.tolist()], at_us(needed),
            units, seen.shop.margin[item], seen.now, daily_units=seen.shop.rate[item], short_min=2.0,
        )  # fmt: skip

    def _twice(self, seen: Seen) -> list[Finding]:
        if self._habits is None:
            self._habits = orders.learn_habits(_placed(seen.placed))
        lately = [o for o in seen.placed if o.day >= seen.day - _TWICE_WITHIN_DAYS]
        placed = _placed(lately)
        pairs = orders.duplicates(placed, self._habits)
        lost = np.full(len(lately), RETURN_MINOR)
        return orders.duplicate_findings(pairs, placed, [order_name(o) for o in lately], lost)

    def _oversold(self, seen: Seen) -> list[Finding]:
        items = len(seen.shop.rate)
        units, many, since = np.zeros(items, np.int64), np.zeros(items, np.int64), np.full(items, np.inf)
        for order in seen.waiting:
            if order.from_supply or order.tried:
                continue
            for item, n in order.waits:
                units[item] += n
                many[item] += 1
                since[item] = min(since[item], order.day)
        rows = np.flatnonzero(units)
        if not len(rows):
            return []
        free = np.maximum(seen.available, 0).sum(axis=1).astype(np.int64)
        short = oversell.Shortages(
            shelf_units=np.zeros(len(rows), np.int64), waiting_units=units[rows], orders=many[rows],
            free_units=free[rows], since=at_us(since[rows]),
        )  # fmt: skip
        stays = oversell.staying(short, int(at_us(seen.day)))
        names = [sku(r) for r in rows.tolist()]
        return oversell.findings(short, stays, names, seen.shop.margin[rows], np.zeros(len(rows)))

    def _outliers(self, seen: Seen) -> list[Finding]:
        item = np.arange(len(seen.asked))
        if self._prices is None:
            # Of two weeks, in which nothing happened.
            usual = np.repeat(seen.shop.price, WARM_UP_DAYS)
            self._prices = money.learn_prices(np.repeat(item, WARM_UP_DAYS), usual, seen.shop.department)
        price = seen.asked * seen.shop.price
        found = money.outliers(item, price, self._prices)
        names = [(CHANNELS[0], sku(k)) for k in item.tolist()]
        return money.outlier_findings(found, price, names, seen.shop.rate, seen.now)

    def _late(self, seen: Seen) -> list[Finding]:
        sent = seen.sent
        first = bisect_left(sent.shipped, seen.day - _WATCHED_DAYS)
        shipped, delivered = np.array(sent.shipped[first:]), np.array(sent.delivered[first:])
        rows = np.flatnonzero((shipped <= seen.day) & (delivered > seen.day))
        if not len(rows):
            return []
        shipped, due = shipped[rows], np.array(sent.due[first:])[rows]
        p50, p95 = np.array(sent.p50[first:])[rows], np.array(sent.p95[first:])[rows]
        age, room = seen.day - shipped, np.maximum(due - shipped, 0.0)
        # Of one that was not seen half-way either this lies ahead, or it went astray.
        is_seen = np.array(sent.scanned[first:])[rows] <= seen.day
        least = np.where(is_seen, age, 2 * age)
        usual = _takes_longer(least, p50, p95)
        stray = np.where(is_seen, 0.0, _STRAY_SHARE / (_STRAY_SHARE + (1 - _STRAY_SHARE) * usual))
        ahead = _takes_longer(np.maximum(room, least), p50, p95) / np.maximum(usual, 1e-12)
        p_late = np.where(room <= age, 1.0, stray + (1 - stray) * ahead)
        likely = np.flatnonzero(p_late >= _LIKELY)
        if not len(likely):
            return []
        rows, shipped, due, p_late = rows[likely], shipped[likely], due[likely], p_late[likely]
        tail = stray[likely, None] * np.exp(
            -np.maximum(_FORECAST_DAYS[None, :] - age[likely, None], 0.0) / _STRAY_DAYS
        ) + (1 - stray[likely, None]) * np.minimum(
            _takes_longer(_FORECAST_DAYS[None, :], p50[likely, None], p95[likely, None])
            / np.maximum(usual[likely, None], 1e-12),
            1.0,
        )
        past = (tail > 1 - _FORECAST_LEVELS[:, None, None]).sum(axis=2).T
        days = np.maximum(_FORECAST_DAYS[np.minimum(past, len(_FORECAST_DAYS) - 1)], age[likely, None])
        n = len(rows)
        on_way = shipments.Shipments(
            shipped_at=at_us(shipped), delivered_at=np.full(n, shipments.NOT_YET), due_at=at_us(due),
            late_minor=np.full(n, LATE_MINOR), day_minor=np.zeros(n),
        )  # fmt: skip
        now = int(at_us(seen.day))
        foretold = shipments.Forecasts(
            shipment=np.arange(n), made_at=np.full(n, now), p_late=np.clip(p_late, 0, 1), levels=_FORECAST_LEVELS,
            days=days,
        )  # fmt: skip
        found = shipments.look(on_way, foretold, now, p_late_min=_LIKELY)
        ids: list[int] = (first + rows).tolist()
        lane = [LANE_NAMES[sent.lane[k]] for k in ids]
        return shipments.findings(
            found, [str(k) for k in ids], on_way, [Subject("lane", name) for name in lane],
            [Subject("carrier", (carrier,)) for _, carrier in lane], now=now,
        )  # fmt: skip

    def _stuck(self, seen: Seen) -> list[Finding]:
        if self._times is None:
            node = np.array([n for n, _ in seen.stays])
            hours = np.array([days * 24 for _, days in seen.stays])
            nothing = np.zeros(len(node), np.int64)
            self._times = orders.learn_times(nothing, node, hours, np.ones(len(node), bool), states=1, nodes=NODES)
        open_ones = [p for queue in seen.queues for p in queue]
        if not open_ones:
            return []
        node = np.array([p.node for p in open_ones])
        hours = np.array([(seen.day - p.since) * 24 for p in open_ones])
        found = orders.stuck(np.zeros(len(node), np.int64), node, hours, self._times)
        return orders.stuck_findings(
            found, hours, [order_name(p.order) for p in open_ones], ["allocated"] * len(node),
            [node_code(n) for n in node.tolist()], np.full(len(node), LATE_MINOR), seen.now,
        )  # fmt: skip

    def _hazard(self, seen: Seen) -> float:
        """Chance that stock vanishes in a day, by what pickers found in the last week."""
        day = int(seen.day)
        week = slice(max(day - 7, 0), day + 1)
        absent = np.array([seen.rejected[WAREHOUSES:, week].sum()])
        exposed = np.array([seen.exposed[WAREHOUSES:, week].sum() + 1.0])
        return float(np.clip(phantoms.hazards(absent, exposed)[0], _HAZARD_MIN, _HAZARD_MAX))

    def _phantoms(self, seen: Seen) -> list[Finding]:
        department = np.repeat(seen.shop.department, NODES)
        is_store = np.tile(np.arange(NODES) >= WAREHOUSES, seen.shop.items)
        if self._velocities is None:
            days = np.maximum(seen.in_stock, 1.0).ravel()
            units = seen.sold_at.ravel()
            squares = np.maximum(seen.squares.ravel(), units**2 / days)
            self._velocities = phantoms.learn(
                department[is_store], units[is_store], squares[is_store], days[is_store], departments=DEPARTMENTS
            )  # fmt: skip
        rows = np.flatnonzero((seen.available + seen.hidden > 0).ravel() & is_store)
        run = np.maximum(seen.day - seen.proof_day, 0.0).ravel()[rows]
        positions = phantoms.Positions(
            department=department[rows], units=seen.sold_at.ravel()[rows],
            days=np.maximum(seen.in_stock.ravel()[rows] - run, 1.0), run_days=run,
            rejections=seen.rejections.ravel()[rows], prior=np.full(len(rows), 0.01),
            hazard=np.full(len(rows), self._hazard(seen)),
        )  # fmt: skip
        beliefs = phantoms.believed(positions, self._velocities)
        doubted = np.flatnonzero(beliefs.absent >= _DOUBTED)
        rows = rows[doubted]
        beliefs = phantoms.Beliefs(absent=beliefs.absent[doubted], velocity=beliefs.velocity[doubted])
        # What is hidden is doubted all the same. After one more rejection it would be hidden: no more of them are to be
        # expected. What counters do not sell is not counted here.
        rejections = np.minimum(beliefs.velocity * _UNTIL_COUNTED_DAYS, 1.0)
        counts = phantoms.worth_counting(
            beliefs, np.zeros(len(rows)), np.full(len(rows), _UNTIL_COUNTED_DAYS),
            rejection_minor=REJECTION_MINOR, rejections_expected=rejections,
        )  # fmt: skip
        counts = replace(counts, gain_minor=counts.gain_minor - COUNT_MINOR)
        names = [(sku(r // NODES), node_code(r % NODES)) for r in rows.tolist()]
        return phantoms.findings(counts, _some(positions, doubted), beliefs, names, seen.now, confidence_min=_DOUBTED)


def _some(of: phantoms.Positions, rows: npt.NDArray[np.intp]) -> phantoms.Positions:
    return phantoms.Positions(
        department=of.department[rows], units=of.units[rows], days=of.days[rows], run_days=of.run_days[rows],
        rejections=of.rejections[rows], prior=of.prior[rows], hazard=of.hazard[rows],
    )  # fmt: skip


def _placed(placed: Sequence[Order]) -> orders.Orders:
    """Orders as their detector takes them: who, where to, what and when; nobody tells of the second that it is one."""
    baskets: dict[tuple[tuple[int, int], ...], int] = {}
    return orders.Orders(
        customer=np.array([o.customer for o in placed], np.int64),
        address=np.array([o.customer * 1_000 + o.city for o in placed], np.int64),
        basket=np.array([baskets.setdefault(o.lines, len(baskets)) for o in placed], np.int64),
        placed_at=at_us([o.day for o in placed]),
    )


def _on_their_way(seen: Seen) -> dict[Subject, int]:
    """How many shipments of each lane are."""
    first = bisect_left(seen.sent.shipped, seen.day - _WATCHED_DAYS)
    lane = np.array(seen.sent.lane[first:], np.int64)
    is_open = np.array(seen.sent.delivered[first:]) > seen.day
    many = np.bincount(lane[is_open], minlength=len(LANE_NAMES))
    return {Subject("lane", name): int(many[k]) for k, name in enumerate(LANE_NAMES)}


def _takes_longer(days: Float64, p50: Float64, p95: Float64) -> Float64:
    """float64, chance that a parcel that did not go astray takes longer."""
    shape = np.broadcast_shapes(days.shape, p50.shape)
    return late_chance(*(np.broadcast_to(of, shape) for of in (days, p50, p95)))


def order_name(order: Order) -> str:
    """What an order is known by."""
    return "-".join(map(str, order.key))


def supplier_code(supplier: int) -> str:
    """Of a supplier, from 0."""
    return f"supplier-{supplier + 1}"
