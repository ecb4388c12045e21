"""Who acts: `Auto` answers open incidents as the playbooks that ship say, with the choices of `incidents/respond`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from onhand.incidents.model import Finding, Incident, Kind
from onhand.incidents.playbooks.model import duration
from onhand.incidents.playbooks.throttle import Bounds, throttled_price
from onhand.incidents.respond.reroute import late_chance
from onhand.incidents.respond.stock import units_to_expedite, units_to_hold, worth_quarantining
from onhand.planning.elasticity import USUAL_ELASTICITY
from onhand.twin.scenarios.document import CARRIERS, CHANNELS
from onhand.twin.scenarios.manual import Manual
from onhand.twin.scenarios.shop import NODES, node_code, sku
from onhand.twin.scenarios.watching import LANE_NAMES, Watcher, order_name, supplier_code
from onhand.twin.scenarios.world import (
    EXPEDITED_DAYS,
    EXPEDITED_ORDER_MINOR,
    EXPEDITED_SHARE,
    LATE_MINOR,
    MARKETPLACE,
    STEP_H,
    STEPS_A_DAY,
    Hands,
    Parcel,
    Purchase,
    Seen,
)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# Prices as shares of the usual ones, in ten-thousandths.
_PRICED: Final = 10_000
# Units at other nodes from which an order is served all the same, and how often.
_ELSEWHERE_UNITS, _SERVED = 3, 0.95
# Of a carrier's lanes that are seen to be slow: then it is taken to be so in all.
_MOST_LANES: Final = 0.7
_COUNTED_AGAIN_DAYS: Final = 2.0
_NODE_OF = {node_code(k): k for k in range(NODES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What no playbook says.

    gain_min_minor  below which no order is moved
    spike_days      that a purchase for a spike is for, in which what is beyond the usual halves every `halved_days`;
                    spread: its deviation, as a share of it
    late_spread     days by which nobody knows when a late purchase comes
    days_max        that any purchase is for
    left_share      of its cost, that a unit is taken to lose if it is left over
    worth           what a purchase has to gain, as a multiple of what it costs
    again_days      between two purchases of an item
    patience        deviations above what will be wanted until one could buy again, below which one buys now
    """

    gain_min_minor: float = 40.0
    spike_days: float = 6.0
    halved_days: float = 3.0
    spread: float = 0.3
    days_max: float = 10.0
    left_share: float = 0.1
    worth: float = 0.5
    late_spread: float = 1.0
    again_days: float = 1.0
    patience: float = 0.0


class Watching(Protocol):
    """Who tells `Auto` what is going on.

    throughput  float64[N], parcels a day that nodes are seen to do
    """

    throughput: Float64

    def look(self, seen: Seen) -> tuple[Incident, ...]: ...
    def look_at_orders(self, seen: Seen) -> tuple[Incident, ...]: ...
    def usual(self, seen: Seen, /) -> Float64: ...
    def per_day(self, seen: Seen, /) -> Float64: ...


class Auto:
    """Autopilot in `auto`: what is found is answered, at once."""

    def __init__(
        self, manual: Manual | None = None, habits: Habits | None = None, watcher: Watching | None = None
    ) -> None:
        self._manual, self._habits = manual or Manual(), habits or Habits()
        self.watcher: Watching = watcher or Watcher()
        self._counting: dict[tuple[int, int], float] = {}
        self._bought: dict[int, float] = {}
        self._capped: set[int] = set()
        self._factor: Float64 | None = None
        self._held: set[str] = set()
        self._priced: dict[int, float] = {}
        self._wanted: dict[int, Wanted] = {}
        # What nobody says is found from past prices, which never changed here: the usual one.
        stated = self._manual.step(Kind.DEMAND_SPIKE, "throttle_price").elasticity
        self._elasticity = USUAL_ELASTICITY if stated is None else float(stated)

    def see_orders(self, seen: Seen, hands: Hands) -> None:
        """Hold what came twice."""
        for incident in self.watcher.look_at_orders(seen):
            steps = self._manual.steps(incident, seen.now)
            for finding in incident.findings if "hold" in steps else ():
                name = finding.subject.key[0]
                left = self._manual.left(incident, steps["hold"])
                if name in self._held or left.orders == 0:
                    continue
                for order in (o for o in reversed(seen.placed) if order_name(o) == name):
                    self._held.add(name)
                    hands.hold(order)
                    left.take(orders=1)
                    break

    def respond(self, seen: Seen, hands: Hands) -> None:
        """Look, then act on what is open."""
        answers = [(i, steps) for i in self.watcher.look(seen) if (steps := self._manual.steps(i, seen.now))]
        delays = self._lanes(seen, hands, answers)
        self._nodes(seen, hands, answers, delays)
        self._stock(seen, hands, answers, delays)
        scarce = self._purchases(seen, hands, answers)
        scarce |= self._spikes(seen, hands, answers)
        self._channels(seen, hands, answers)
        self._orders(seen, hands, answers, delays)
        self._listings(seen, hands, answers)
        self._prices(seen, hands, scarce)

    # Lanes and nodes --------------------------------------------------------------------------------

    def _lanes(self, seen: Seen, hands: Hands, answers: "Answers") -> Float64:
        """Promise what is true, and send by the other carrier what has not left and would be late."""
        delays = np.zeros((NODES, len(CARRIERS)))
        moving: list[tuple[Incident, Any, Float64]] = []
        for incident, steps in _of(answers, Kind.LANE_SLOW):
            mine = np.zeros_like(delays)
            found = {f.subject.key: f.numbers["delay_days"] for f in incident.findings}
            if incident.cause.what == "carrier" and len(found) >= _MOST_LANES * NODES:
                mine[:, CARRIERS.index(incident.cause.key[0])] = float(np.median(list(found.values())))
            for key, days in found.items():
                lane = divmod(LANE_NAMES.index((key[0], key[1])), len(CARRIERS))
                mine[lane] = max(mine[lane], days)
            if "re_promise" in steps:
                delays = np.maximum(delays, mine)
            if "reroute" in steps:
                moving.append((incident, steps["reroute"], mine))
        hands.delay_promises(delays)
        for incident, step, mine in moving:
            for carrier in range(len(CARRIERS)):
                parcels = [
                    p for queue in seen.queues for p in queue
                    if p.carrier == carrier and mine[p.node, carrier] > delays[p.node, 1 - carrier]
                ]  # fmt: skip
                departs = np.array([p.departs for p in parcels])
                self._move(seen, hands, incident, step, parcels, delays, departs, carrier=1 - carrier)
        return delays

    def _move(
        self, seen: Seen, hands: Hands, incident: Incident, step: Any, parcels: list[Parcel], delays: Float64,
        departs: Float64, *, carrier: int | None = None, leave: int | None = None, absent: float = 0.0,
    ) -> None:  # fmt: skip
        """Those of parcels, which leave at departs float64[n] (days), that gain by another way.

        absent  chance that they are not there: then they are late
        """
        if not parcels:
            return
        quantiles = np.array([seen.shop.quantiles[p.carrier, p.band] for p in parcels])
        room = np.array([p.order.promise for p in parcels]) - departs
        slower = np.array([delays[p.node, p.carrier] for p in parcels])
        late = late_chance(room, quantiles[:, 0], quantiles[:, 1], slower)
        late = late + (1 - late) * absent
        left = self._manual.left(incident, step)
        rows = np.flatnonzero(late * LATE_MINOR > self._habits.gain_min_minor)
        rows = rows[np.argsort(-late[rows], kind="stable")][: left.orders]
        if (left.money_minor or 1.0) <= 0 or not len(rows):
            return
        moved, cost = hands.move(
            [parcels[int(n)] for n in rows], carrier=carrier, leave=leave, late_now=late[rows], delays=delays,
            gain_min_minor=self._habits.gain_min_minor,
        )  # fmt: skip
        left.take(orders=moved, money_minor=cost)

    def _nodes(self, seen: Seen, hands: Hands, answers: "Answers", delays: Float64) -> None:
        """Give a node what it can do, and others what it cannot."""
        breached: dict[int, tuple[Incident, Any]] = {}
        for incident, steps in _of(answers, Kind.CAPACITY_BREACH):
            if "reroute" in steps:
                breached |= {_NODE_OF[f.subject.key[0]]: (incident, steps["reroute"]) for f in incident.findings}
        for node in self._capped - breached.keys():
            hands.cap(node, None)
        self._capped = set(breached)
        for node, (incident, step) in sorted(breached.items(), key=lambda pair: pair[0]):
            per_day = max(float(self.watcher.throughput[node]), 1.0)
            hands.cap(node, per_day)
            parcels: list[Parcel] = list(seen.queues[node])
            # Worked on in turn; each leaves at the pick-up after that.
            done = seen.day + (np.arange(len(parcels)) + 1) / per_day
            leaves = np.floor(done - 0.75) + 1.75
            departs = np.maximum(leaves, [p.departs for p in parcels])
            self._move(seen, hands, incident, step, parcels, delays, departs, leave=node)

    # Stock ------------------------------------------------------------------------------------------

    def _stock(self, seen: Seen, hands: Hands, answers: "Answers", delays: Float64) -> None:
        """Do not sell what is doubtful where others have it; count it where they do not."""
        for incident, steps in _of(answers, Kind.PHANTOM_STOCK):
            for finding in incident.findings:
                item, node = _place(finding.subject.key)
                units = max(int(seen.available[item, node]), 0)
                if "reroute" in steps:
                    touched = [p for p in seen.queues[node] if any(i == item for i, _ in p.lines)]
                    departs = np.array([p.departs for p in touched])
                    self._move(
                        seen, hands, incident, steps["reroute"], touched, delays, departs, leave=node,
                        absent=finding.confidence,
                    )  # fmt: skip
                if units and "quarantine_stock" in steps and self._is_hidden(seen, hands, incident, steps, finding):
                    # Nobody asks for it any more, so a count can wait for the next cycle.
                    continue
                waits = seen.day - self._counting.get((item, node), -9.0) < _COUNTED_AGAIN_DAYS
                if units and "request_count" in steps and finding.numbers["count_gain_minor"] > 0 and not waits:
                    self._counting[item, node] = seen.day
                    hands.count(item, node)

    def _is_hidden(self, seen: Seen, hands: Hands, incident: Incident, steps: dict[str, Any], finding: Finding) -> bool:
        """Hide the units of a finding, if that is better than to sell them; whether it is."""
        item, node = _place(finding.subject.key)
        stock, step = np.maximum(seen.available[item], 0), steps["quarantine_stock"]
        elsewhere = _SERVED if stock.sum() - stock[node] >= _ELSEWHERE_UNITS else 0.0
        is_better = worth_quarantining(
            np.array([finding.confidence]), seen.shop.margin[[item]], step.rejection_minor or 0, elsewhere,
            step.farther_minor,
        )[0]  # fmt: skip
        left = self._manual.left(incident, step)
        if is_better and (left.units is None or left.units >= stock[node]):
            hands.quarantine(item, node)
            left.take(units=int(stock[node]))
        return bool(is_better)

    def _purchases(self, seen: Seen, hands: Hands, answers: "Answers") -> dict[int, float]:
        """Promise from late purchases only as they will come, and buy in a hurry what will be missing; items whose
        price may rise. Of a supplier whose lines are late what is not due yet will be as late."""
        late: dict[int, tuple[float, Incident, dict[str, Any]]] = {}
        for incident, steps in _of(answers, Kind.INBOUND_LATE):
            for finding in incident.findings:
                late[int(finding.subject.key[0])] = finding.numbers["expected_days_late"], incident, steps
        for incident, steps in _of(answers, Kind.INBOUND_LATE):
            if incident.cause.what == "supplier":
                days = float(np.median([f.numbers["expected_days_late"] for f in incident.findings]))
                for p in seen.purchases:
                    if not p.is_in and supplier_code(p.supplier) == incident.cause.key[0]:
                        late.setdefault(p.number, (days, incident, steps))
        of_items: dict[int, list[Purchase]] = {}
        for p in seen.purchases:
            if p.is_in or p.number not in late:
                continue
            days, _, steps = late[p.number]
            expected = max(p.due + days, seen.day + 1)
            if "re_promise" in steps and abs(expected - p.expected) > 0.5:
                hands.expect(p, expected)
            of_items.setdefault(p.item, []).append(p)
        scarce: dict[int, float] = {}
        usual = self.watcher.usual(seen)
        for item, some in of_items.items():
            first = min(some, key=lambda p: p.due + late[p.number][0])
            _, incident, steps = late[first.number]
            until = max(first.due + late[first.number][0], seen.day + 1)
            wanted = Wanted(usual=float(usual[item]), deviation_days=self._habits.late_spread)
            step = steps.get("expedite_inbound")
            self._answer(seen, hands, incident, step, steps, item, wanted, until, scarce)
        return scarce

    def _answer(
        self, seen: Seen, hands: Hands, incident: Incident, hurry: Any, steps: dict[str, Any], item: int,
        wanted: "Wanted", until: float, scarce: dict[int, float],
    ) -> None:  # fmt: skip
        """Buy what will be missing of an item where that pays; else, or until it is there, it may cost more."""
        factor = 1.0 if self._factor is None else float(self._factor[item])
        wanted = replace(wanted, share=factor**-self._elasticity)
        until = min(until, seen.day + self._habits.days_max)
        pays = hurry is not None and self._hurry(seen, hands, incident, hurry, item, wanted, until)
        if "throttle_price" in steps:
            # A spike may be over by then; until something can be there is soon enough.
            is_soon = pays or wanted.beyond > 0
            days = min(EXPEDITED_DAYS, until - seen.day) if is_soon else until - seen.day
            scarce[item] = _days_to_supply(seen, item, days)
            self._wanted[item] = wanted

    def _hurry(
        self, seen: Seen, hands: Hands, incident: Incident, step: Any, item: int, wanted: "Wanted", until: float
    ) -> bool:
        """Buy what will be missing of what is wanted until `until`, if it pays and tomorrow is too late. Whether it
        pays, or has been done."""
        days = until - seen.day
        if days <= EXPEDITED_DAYS:
            return False
        if seen.day - self._bought.get(item, -9.0) < self._habits.again_days:
            return True
        shop, left = seen.shop, self._manual.left(incident, step)
        # What is wanted before it can come is served from what there is, or lost either way.
        before = _stock_for_orders(seen, item, until) + _coming(seen, item, seen.day + EXPEDITED_DAYS)
        before = max(before - wanted.units(EXPEDITED_DAYS), 0.0)
        # What is on its way and comes before, as far as it is believed.
        coming = _coming(seen, item, until) - _coming(seen, item, seen.day + EXPEDITED_DAYS)
        cost = shop.cost[[item]]
        premium = EXPEDITED_SHARE * cost
        most = np.inf if left.money_minor is None else (left.money_minor - EXPEDITED_ORDER_MINOR) / premium[0]
        mean = wanted.units(days) - wanted.units(EXPEDITED_DAYS)
        bought = units_to_expedite(
            np.array([mean]), np.array([np.sqrt(mean + wanted.deviation(days) ** 2)]), np.array([before + coming]),
            shop.margin[[item]], premium, self._habits.left_share * cost, EXPEDITED_ORDER_MINOR,
            np.array([min(max(most, 0.0), 1e6)]),
        )  # fmt: skip
        units = int(bought.units[0])
        spent = EXPEDITED_ORDER_MINOR + units * float(premium[0])
        if not units or bought.gain_minor[0] < self._habits.worth * spent:
            return False
        # As long as one can buy tomorrow and have it in time, tomorrow one knows more.
        soon = min(EXPEDITED_DAYS + self._habits.again_days, days)
        on_hand = _stock_for_orders(seen, item, seen.day + soon) + _coming(seen, item, seen.day + soon)
        first = wanted.units(soon)
        if on_hand < first + self._habits.patience * np.sqrt(first + wanted.deviation(soon) ** 2):
            hands.expedite(item, units)
            self._bought[item] = seen.day
            left.take(money_minor=spent)
        return True

    # Demand -----------------------------------------------------------------------------------------

    def _spikes(self, seen: Seen, hands: Hands, answers: "Answers") -> dict[int, float]:
        """Hide from slow channels what is wanted elsewhere, and buy more; items whose price may rise."""
        shop, habits = seen.shop, self._habits
        per_day, usually = self.watcher.per_day(seen), self.watcher.usual(seen)
        shown_less = np.zeros(shop.items, bool)
        scarce: dict[int, float] = {}
        hurry = self._manual.step(Kind.INBOUND_LATE, "expedite_inbound")
        for incident, steps in _of(answers, Kind.DEMAND_SPIKE):
            for finding in incident.findings:
                item = _item(finding.subject.key[0])
                shown_less[item] = "shrink_listing" in steps
                wanted = Wanted(
                    usual=float(usually[item]), beyond=max(float(per_day[item] - usually[item]), 0.0),
                    halved_days=habits.halved_days, spread=habits.spread,
                )  # fmt: skip
                until = seen.day + habits.spike_days
                self._answer(seen, hands, incident, hurry, steps, item, wanted, until, scarce)
        share = float(np.diff(shop.channels, prepend=0.0)[MARKETPLACE])
        gate = units_to_hold(per_day * STEP_H / 24 * (1 - share), shop.margin, shop.margin + LATE_MINOR)
        hands.hold_back(MARKETPLACE, np.where(shown_less, gate, 0.0).astype(np.int64))
        return scarce

    def _channels(self, seen: Seen, hands: Hands, answers: "Answers") -> None:
        """Hide from others what a silent channel will have sold."""
        shop = seen.shop
        silent = {
            CHANNELS.index(i.cause.key[0]) for i, steps in _of(answers, Kind.CHANNEL_SILENT) if "raise_gate" in steps
        }
        out = [c for c in silent if seen.day - seen.last_told[c] > 1 / STEPS_A_DAY / 2]
        untold = np.zeros(shop.items)
        shares = np.diff(shop.channels, prepend=0.0)
        for channel in out:
            hours = (seen.day - float(seen.last_told[channel])) * 24 + STEP_H
            untold += self.watcher.per_day(seen) * shares[channel] * hours / 24
        held = units_to_hold(untold, shop.margin, shop.margin + LATE_MINOR).astype(np.int64)
        for channel in range(len(CHANNELS)):
            if channel != MARKETPLACE:
                hands.hold_back(channel, held if out else np.zeros(shop.items, np.int64))

    def _orders(self, seen: Seen, hands: Hands, answers: "Answers", delays: Float64) -> None:
        """Serve from elsewhere what does not move, and tell those whose parcel will be late."""
        for incident, steps in _of(answers, Kind.ORDER_STUCK):
            if "reroute" in steps:
                names = {f.subject.key[0]: f.confidence for f in incident.findings}
                for name, chance in names.items():
                    parcels = [p for queue in seen.queues for p in queue if order_name(p.order) == name]
                    departs = np.array([p.departs for p in parcels])
                    self._move(seen, hands, incident, steps["reroute"], parcels, delays, departs, absent=chance)
        for incident, steps in _of(answers, Kind.SHIPMENT_LATE):
            if "re_promise" in steps:
                for finding in incident.findings:
                    order = seen.sent.order[int(finding.subject.key[0])]
                    hands.tell(order, seen.day + finding.numbers["expected_days_late"])

    def _listings(self, seen: Seen, hands: Hands, answers: "Answers") -> None:
        """Stop selling what is gone or far too cheap, and offer those who wait another item."""
        closed = np.zeros(seen.shop.items, bool)
        for incident, steps in (*_of(answers, Kind.OVERSELL), *_of(answers, Kind.PRICE_OUTLIER)):
            items = {_item(f.subject.key[-1]) for f in incident.findings}
            if "close_listing" in steps:
                closed[sorted(items)] = True
            if "substitute" in steps:
                left = self._manual.left(incident, steps["substitute"])
                for order in seen.waiting:
                    if {i for i, _ in order.waits} <= items and not order.from_supply and left.orders != 0:
                        left.take(orders=int(hands.substitute(order)))
        hands.close(closed)

    def _prices(self, seen: Seen, hands: Hands, scarce: Mapping[int, float]) -> None:
        """Prices over the usual ones, a step nearer to where stock lasts until more can be there; what is no longer
        scarce is sold at its usual price again. scarce: days until then, by item."""
        if self._factor is None:
            self._factor = np.ones(seen.shop.items)
        step = self._manual.step(Kind.DEMAND_SPIKE, "throttle_price")
        bounds = Bounds(step_max=step.step_max, total_max=step.total_max, cap_minor=step.cap_minor)
        again = duration(step.again) / timedelta(days=1) if step.again else math.inf
        made = np.ones_like(self._factor)
        for item, days in sorted(scarce.items()):
            factor = float(self._factor[item])
            made[item] = factor
            if seen.day - self._priced.get(item, -9.0) < again - 1e-9:
                continue
            asked = throttled_price(
                price_minor=round(_PRICED * factor), begun_minor=_PRICED,
                rate_per_day=self._wanted[item].units(days) / days,
                units=_stock_for_orders(seen, item, seen.day + days), days=days, elasticity=self._elasticity,
                bounds=bounds,
            )  # fmt: skip
            if asked != round(_PRICED * factor):
                made[item] = asked / _PRICED
                self._priced[item] = seen.day
        if (made != self._factor).any():
            self._factor = made
            hands.set_price(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of an item in days to come: what is usual, and of a spike what is beyond, which halves every so
    often.

    share   of it that is left at the present price
    spread  deviation of what is beyond, as a share; deviation_days: days of what is usual by which nobody knows
    """

    usual: float
    beyond: float = 0.0
    halved_days: float = 4.0
    spread: float = 0.0
    deviation_days: float = 0.0
    share: float = 1.0

    def units(self, days: float) -> float:
        """Expected within so many days."""
        return self.share * (self.usual * days + self.beyond * self._kept(days))

    def deviation(self, days: float) -> float:
        """Of it, beyond chance."""
        late = self.usual * min(self.deviation_days, days)
        return self.share * math.hypot(self.spread * self.beyond * self._kept(days), late)

    def _kept(self, days: float) -> float:
        return self.halved_days / math.log(2) * (1 - 0.5 ** (days / self.halved_days))


Answers = list[tuple[Incident, dict[str, Any]]]


def _of(answers: Answers, kind: Kind) -> Iterator[tuple[Incident, dict[str, Any]]]:
    return ((i, steps) for i, steps in answers if i.kind is kind)


def _stock_for_orders(seen: Seen, item: int, until: float) -> float:
    """Units of an item that orders can have until a day: stores sell some of theirs over their counters."""
    stock = np.maximum(seen.available[item], 0)
    per_day = seen.sold_at[item] / np.maximum(seen.in_stock[item], 1.0)
    return float(np.maximum(stock - per_day * (until - seen.day), 0.5 * stock).sum())


def _coming(seen: Seen, item: int, until: float) -> float:
    """Units of an item that are believed to come before a day."""
    return sum(float(p.units.sum()) for p in seen.purchases if p.item == item and not p.is_in and p.expected < until)


def _days_to_supply(seen: Seen, item: int, most: float) -> float:
    """Days until more of an item is believed to come, from a quarter of one to `most`."""
    coming = [p.expected - seen.day for p in seen.purchases if p.item == item and not p.is_in]
    return min(max(min(coming, default=most), 0.25), most)


def _item(code: str) -> int:
    return int(code.rpartition("-")[2]) - 1


def _place(key: tuple[str, ...]) -> tuple[int, int]:
    item = _item(key[0])
    assert sku(item) == key[0], key
    return item, _NODE_OF[key[1]]
