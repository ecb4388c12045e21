"""Who acts: `Auto` answers open incidents with the choices of `incidents/respond`, within limits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from onhand.incidents.model import Incident, Kind
from onhand.incidents.playbooks.throttle import Bounds, throttled_price
from onhand.incidents.respond.reroute import late_chance
from onhand.incidents.respond.stock import units_to_expedite, units_to_hold, worth_quarantining
from onhand.twin.scenarios.document import CARRIERS, CHANNELS
from onhand.twin.scenarios.shop import NODES, node_code, sku
from onhand.twin.scenarios.watching import LANE_NAMES, REJECTION_MINOR, Watcher, supplier_code
from onhand.twin.scenarios.world import (
    ELASTICITY,
    EXPEDITED_DAYS,
    EXPEDITED_ORDER_MINOR,
    EXPEDITED_SHARE,
    LATE_MINOR,
    MARKETPLACE,
    STEP_H,
    STEPS_A_DAY,
    Hands,
    Parcel,
    Seen,
)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# What is bought for a spike: for so many days, in which it halves every so often.
_SPIKE_DAYS, _HALVED_DAYS = 5.0, 4.0
# What a purchase gains has to be so many times its cost: what is expected does not always happen.
_WORTH: Final = 4.0
# What an order costs more from another node than from the best.
_FARTHER_MINOR: Final = 100.0
# Prices as shares of the usual ones, in ten-thousandths.
_PRICED: Final = 10_000
_PRICES: Final = Bounds(step_max=0.05, total_max=0.15)
# Units at other nodes from which an order is served all the same.
_ELSEWHERE_UNITS: Final = 3
# Of a carrier's lanes that are seen to be slow: then it is taken to be so in all.
_MOST_LANES: Final = 0.7
_COUNTED_AGAIN_DAYS: Final = 2.0
_NODE_OF = {node_code(k): k for k in range(NODES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Guardrails: orders moved a step, counts a day, money for purchases in a hurry a day (minor units); how sure an
    incident has to be; gain below which no order is moved, loss below which nothing is bought; days between two
    purchases of an item, and days that one is for."""

    moves: int = 300
    counts: int = 40
    expedite_minor: float = 1_000_000.0
    confidence: float = 0.5
    gain_min_minor: float = 40.0
    loss_min_minor: float = 10_000.0
    again_days: float = 2.0
    horizon_days: float = 5.0


class Auto:
    """Autopilot in `auto`: what is found is answered, at once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.watcher = Watcher()
        self._counting: dict[tuple[int, int], float] = {}
        self._bought: dict[int, float] = {}
        self._spent: tuple[int, float] = (-1, 0.0)
        self._capped: set[int] = set()
        self._factor: Float64 | None = None

    def respond(self, seen: Seen, hands: Hands) -> None:
        """Look, then act on what is open."""
        incidents = self.watcher.look(seen)
        sure = [i for i in incidents if i.confidence >= self._limits.confidence]
        delays = self._lanes(seen, hands, sure)
        self._nodes(seen, hands, sure, delays)
        self._stock(seen, hands, incidents)
        self._purchases(seen, hands, sure)
        self._demand(seen, hands, sure)

    def _lanes(self, seen: Seen, hands: Hands, incidents: Iterable[Incident]) -> Float64:
        """Promise what is true, and send by the other carrier what has not left and would be late."""
        delays = np.zeros((NODES, len(CARRIERS)))
        for incident in incidents:
            if incident.kind is not Kind.LANE_SLOW:
                continue
            found = {f.subject.key: f.numbers["delay_days"] for f in incident.findings}
            if incident.cause.what == "carrier" and len(found) >= _MOST_LANES * NODES:
                carrier = CARRIERS.index(incident.cause.key[0])
                delays[:, carrier] = np.maximum(delays[:, carrier], float(np.median(list(found.values()))))
            for key, days in found.items():
                lane = LANE_NAMES.index((key[0], key[1]))
                delays[divmod(lane, len(CARRIERS))] = max(delays[divmod(lane, len(CARRIERS))], days)
        hands.delay_promises(delays)
        for carrier in range(len(CARRIERS)):
            other = 1 - carrier
            parcels = [
                p for queue in seen.queues for p in queue
                if p.carrier == carrier and delays[p.node, carrier] > delays[p.node, other]
            ]  # fmt: skip
            self._move(seen, hands, parcels, delays, np.array([p.departs for p in parcels]), carrier=other)
        return delays

    def _move(
        self, seen: Seen, hands: Hands, parcels: list[Parcel], delays: Float64, departs: Float64, *,
        carrier: int | None = None, leave: int | None = None,
    ) -> None:  # fmt: skip
        """Those of parcels, which leave at departs float64[n] (days), that gain by another way."""
        if not parcels:
            return
        quantiles = np.array([seen.shop.quantiles[p.carrier, p.band] for p in parcels])
        room = np.array([p.order.promise for p in parcels]) - departs
        slower = np.array([delays[p.node, p.carrier] for p in parcels])
        late = late_chance(room, quantiles[:, 0], quantiles[:, 1], slower)
        rows = np.flatnonzero(late * LATE_MINOR > self._limits.gain_min_minor)
        rows = rows[np.argsort(-late[rows], kind="stable")][: self._limits.moves]
        hands.move(
            [parcels[int(n)] for n in rows], carrier=carrier, leave=leave, late_now=late[rows], delays=delays,
            gain_min_minor=self._limits.gain_min_minor,
        )  # fmt: skip

    def _nodes(self, seen: Seen, hands: Hands, incidents: Iterable[Incident], delays: Float64) -> None:
        """Give a node what it can do, and others what it cannot."""
        breached = {_NODE_OF[f.subject.key[0]] for i in incidents if i.kind is Kind.CAPACITY_BREACH for f in i.findings}
        for node in self._capped - breached:
            hands.cap(node, None)
        self._capped = breached
        for node in sorted(breached):
            per_day = max(float(self.watcher.throughput[node]), 1.0)
            hands.cap(node, per_day)
            parcels: list[Parcel] = list(seen.queues[node])
            # Worked on in turn; each leaves at the pick-up after that.
            done = seen.day + (np.arange(len(parcels)) + 1) / per_day
            leaves = np.floor(done - 0.75) + 1.75
            self._move(seen, hands, parcels, delays, np.maximum(leaves, [p.departs for p in parcels]), leave=node)

    def _stock(self, seen: Seen, hands: Hands, incidents: Iterable[Incident]) -> None:
        """Do not sell what is doubtful where others have it; count it where they do not."""
        begun = sum(1 for day in self._counting.values() if day > seen.day - 1)
        for incident in incidents:
            if incident.kind is not Kind.PHANTOM_STOCK:
                continue
            for finding in incident.findings:
                item, node = _place(finding.subject.key)
                stock = np.maximum(seen.available[item], 0)
                elsewhere = 0.95 if stock.sum() - stock[node] >= _ELSEWHERE_UNITS else 0.0
                absent = np.array([finding.confidence])
                if worth_quarantining(absent, seen.shop.margin[[item]], REJECTION_MINOR, elsewhere, _FARTHER_MINOR)[0]:
                    # Nobody asks for it any more, so a count can wait for the next cycle.
                    hands.quarantine(item, node)
                    continue
                waits = seen.day - self._counting.get((item, node), -9.0) < _COUNTED_AGAIN_DAYS
                if finding.numbers["count_gain_minor"] > 0 and not waits and begun < self._limits.counts:
                    self._counting[item, node] = seen.day
                    begun += 1
                    hands.count(item, node)

    def _purchases(self, seen: Seen, hands: Hands, incidents: Iterable[Incident]) -> None:
        """Promise from late purchases only as they will come, and buy elsewhere what will be missing. Of a supplier
        whose lines are late what is not due yet will be as late."""
        late: dict[int, float] = {}
        for incident in incidents:
            if incident.kind is not Kind.INBOUND_LATE:
                continue
            for finding in incident.findings:
                late[int(finding.subject.key[0])] = finding.numbers["expected_days_late"]
            if incident.cause.what == "supplier":
                days = float(np.median([f.numbers["expected_days_late"] for f in incident.findings]))
                for p in seen.purchases:
                    if not p.is_in and supplier_code(p.supplier) == incident.cause.key[0]:
                        late.setdefault(p.number, days)
        for p in seen.purchases:
            if p.is_in or p.number not in late:
                continue
            expected = max(p.due + late[p.number], seen.day + 1)
            if abs(expected - p.expected) > 0.5:
                hands.expect(p, expected)
            until = min(expected, seen.day + self._limits.horizon_days)
            self._hurry(seen, hands, p.item, float(seen.shop.rate[p.item]) * (until - seen.day), until)

    def _hurry(self, seen: Seen, hands: Hands, item: int, wanted: float, until: float) -> None:
        """Buy what will be missing of what is wanted until `until`, where that pays."""
        day, spent = self._spent
        if day != int(seen.day):
            spent = 0.0
        if seen.day - self._bought.get(item, -9.0) < self._limits.again_days or until <= seen.day + EXPEDITED_DAYS:
            return
        stock = float(np.maximum(seen.available[item], 0).sum())
        # What is on its way and comes before, as far as it is believed.
        coming = sum(float(p.units.sum()) for p in seen.purchases
                     if not p.is_in and p.item == item and p.expected < until)  # fmt: skip
        # What is wanted and not there before it can come is lost either way.
        lost = max(wanted * EXPEDITED_DAYS / (until - seen.day) - stock, 0.0)
        premium = EXPEDITED_SHARE * seen.shop.cost[[item]]
        most = max(self._limits.expedite_minor - spent, 0.0) / max(float(seen.shop.cost[item]), 1.0)
        units = units_to_expedite(
            np.array([wanted - stock - coming - lost]), seen.shop.margin[[item]], premium,
            _WORTH * EXPEDITED_ORDER_MINOR, np.array([most]),
        )  # fmt: skip
        if units[0] > 0:
            hands.expedite(item, int(units[0]))
            self._bought[item] = seen.day
            spent += float(units[0] * seen.shop.cost[item])
        self._spent = int(seen.day), spent

    def _demand(self, seen: Seen, hands: Hands, incidents: list[Incident]) -> None:
        """Hide from slow channels what is wanted elsewhere; buy more; sell the last ones dearer."""
        shop, items = seen.shop, seen.shop.items
        if self._factor is None:
            self._factor = np.ones(items)
        day = int(np.ceil(seen.day) - 1)
        # The day that runs, and the one before.
        per_day = np.maximum(seen.wanted[:, day - 1 : day + 1].sum(axis=1) / (seen.day - day + 1), shop.rate)
        stock = np.maximum(seen.available, 0).sum(axis=1).astype(np.float64)
        wanted = np.zeros(items)
        scarce = np.zeros(items, bool)
        for incident in incidents:
            if incident.kind is Kind.DEMAND_SPIKE:
                for finding in incident.findings:
                    item = _item(finding.subject.key[0])
                    scarce[item] = True
                    wanted[item] = per_day[item]
                    if finding.loss_minor < self._limits.loss_min_minor:
                        continue
                    expected = _faded(float(per_day[item]), float(shop.rate[item]), _SPIKE_DAYS)
                    self._hurry(seen, hands, item, expected, seen.day + _SPIKE_DAYS)
        shares = np.diff(shop.channels, prepend=0.0)
        a_step = wanted * STEP_H / 24
        oversold = shop.margin + LATE_MINOR
        gate = units_to_hold(a_step * (1 - shares[MARKETPLACE]), shop.margin, oversold)
        hands.hold_back(MARKETPLACE, np.where(scarce, gate, 0.0).astype(np.int64))
        silent = {CHANNELS.index(i.cause.key[0]) for i in incidents if i.kind is Kind.CHANNEL_SILENT}
        out = [c for c in silent if seen.day - seen.last_told[c] > 1 / STEPS_A_DAY / 2]
        untold = np.zeros(items)
        for channel in out:
            hours = (seen.day - float(seen.last_told[channel])) * 24 + STEP_H
            untold += per_day * shares[channel] * hours / 24
        held = units_to_hold(untold, shop.margin, oversold).astype(np.int64)
        for channel in range(len(CHANNELS)):
            if channel != MARKETPLACE:
                hands.hold_back(channel, held if out else np.zeros(items, np.int64))
        if round(seen.day * STEPS_A_DAY) % STEPS_A_DAY == 0:
            factor = _dearer(self._factor, np.where(scarce, wanted, 0.0), stock)
            if (factor != self._factor).any():
                self._factor = factor
                hands.set_price(factor)


def _dearer(factor: Float64, wanted_per_day: Float64, stock: Float64) -> Float64:
    """Prices over the usual ones, a step nearer to where stock lasts until more can be there; what is no longer scarce
    is sold at its usual price again."""
    made = np.ones_like(factor)
    for item in np.flatnonzero(wanted_per_day).tolist():
        asked = throttled_price(
            price_minor=round(_PRICED * float(factor[item])), begun_minor=_PRICED,
            rate_per_day=float(wanted_per_day[item]), units=float(stock[item]), days=EXPEDITED_DAYS,
            elasticity=ELASTICITY, bounds=_PRICES,
        )  # fmt: skip
        made[item] = asked / _PRICED
    return made


def _faded(per_day: float, usual: float, days: float) -> float:
    """Units wanted in days to come: what a spike is beyond the usual halves every so often."""
    kept = _HALVED_DAYS / np.log(2) * (1 - 0.5 ** (days / _HALVED_DAYS))
    return usual * days + max(per_day - usual, 0.0) * float(kept)


def _item(code: str) -> int:
    return int(code.rpartition("-")[2]) - 1


def _place(key: tuple[str, ...]) -> tuple[int, int]:
    item = _item(key[0])
    assert sku(item) == key[0], key
    return item, _NODE_OF[key[1]]
