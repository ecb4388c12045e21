"""What happens, in steps of six hours: people buy, nodes work, carriers deliver, suppliers bring; and things go wrong.

A world is its scenario, its seed and who responds. Orders are decided by the real solver on what the records say; what
is true of stock, work and transit times only shows when somebody acts on it. Nobody who responds sees more than `Seen`.

Whoever is not served today does not come back; nodes reject what they do not find, and such orders are sourced again;
customers lose patience. A parcel leaves at the pick-up (18:00) that follows the work on it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from onhand.base.dates import EPOCH
from onhand.incidents.respond.reroute import late_chance, worth_moving
from onhand.orders.model import TERMS
from onhand.sourcing.policy import STANDARD
from onhand.sourcing.solve import Ask, Decisions, Stock, asked, decide_asked
from onhand.twin.scenarios import chance
from onhand.twin.scenarios.chance import Chance, normal, poisson
from onhand.twin.scenarios.document import (
    CARRIERS,
    CHANNELS,
    CarrierDelay,
    ChannelOutage,
    DeafMarketplace,
    DemandSurge,
    DuplicateOrders,
    ForgottenOrders,
    NodeSlow,
    PaymentFailures,
    Phantoms,
    Scenario,
    StrayParcels,
    SupplierDelay,
    WrongPrices,
)
from onhand.twin.scenarios.shop import (
    BEGIN,
    LEAD_DAYS,
    NODES,
    REVIEW_DAYS,
    WAREHOUSES,
    Shop,
    open_shop,
)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]

STEP_H: Final = 6
STEPS_A_DAY: Final = 24 // STEP_H
WARM_UP_DAYS: Final = 14
SETTLING_DAYS: Final = 8
"""Days after the counted ones, in which what was ordered comes, or does not."""
LATE_MINOR: Final = 500.0
"""What an order that is late costs, as the policy has it."""
CONFIDENCE: Final = 0.99
WEB, MARKETPLACE, SOCIAL = range(3)

_PICK_UP_H: Final = 18
_RETRIED_DAYS: Final = 2.0
_PATIENT_DAYS, _OUT_OF_PATIENCE_DAYS = 2.0, 5.0
_SEARCHED_DAYS: Final = 1.0
# Units sold over counters of stores, for each that is sold from there by order.
_COUNTER_SHARE: Final = 1.0
_BACKORDER_DAYS: Final = 7.0
# Units of an order's first item, and share of orders with a second one.
_UNITS_EACH: Final = 1.12
_SECOND_SHARE: Final = 0.15
# Sales that are lost for each day that a promise is later (Fisher, Gallino and Xu 2019: 1.45 %).
PROMISE_DAY_SHARE: Final = 0.0145
_MARKETPLACE_PROMISE_DAYS: Final = 6.0
_PAID = tuple(TERMS.index(name) for name in ("shipping", "handling"))
_PROMISE_OF_SUPPLY_DAYS: Final = 5.0
_CUSTOMERS: Final = 30_000
# Far above the numbers of those who come in one step: the second one of an order that was sent twice.
_AGAIN: Final = 1_000_000
_AGAIN_DAYS: Final = 6 / 1_440
# Of customers who are asked whether they ordered twice, and of those who are offered another item.
_ANSWER_SHARE, _SUBSTITUTE_SHARE = 0.8, 0.6
RETURN_MINOR: Final = 600.0
"""What a parcel that nobody wanted costs on its way back, to be looked at and put away."""
_HELD_DAYS: Final = 1.0
# So many times as many come at most, however cheap something is.
_BARGAIN_MAX: Final = 4.0
ELASTICITY: Final = 2.6
_POLICY: Final = replace(
    STANDARD,
    confidence=CONFIDENCE,
    objectives={name: replace(o, confidence=CONFIDENCE) for name, o in STANDARD.objectives.items()},
)


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """key: (item, step, number) of whoever bought; day: days since the beginning when it was placed; promise: days;
    told: the day that its customer was told later instead; is_again: nobody knows, but it was sent twice."""

    key: tuple[int, int, int]
    lines: tuple[tuple[int, int], ...]
    city: int
    channel: int
    day: float
    margin: float
    promise: float = np.inf
    parcels: int = 0
    open: int = 0
    attempts: int = 0
    came: float = 0.0
    freight: float = 0.0
    tried: frozenset[int] = frozenset()
    cancelled: str | None = None
    is_lost: bool = False
    waits: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    from_supply: bool = False
    customer: int = 0
    told: float = 0.0
    was_offered: bool = False
    is_again: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Parcel:
    """Lines of an order that leave a node (from 0) together. departs, due: days, as planned and promised; attempt: the
    how-manieth of its order; since: day when it came to the node."""

    number: int
    order: Order
    node: int
    carrier: int
    band: int
    lines: tuple[tuple[int, int], ...]
    departs: float
    ship_day: int
    freight: float
    attempt: int
    since: float = 0.0
    is_forgotten: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Purchase:
    """A line of a purchase: int64[N] units to nodes; arrives: days, unknown to anybody; expected: what is told."""

    number: int
    item: int
    supplier: int
    units: Int64
    due: float
    arrives: float
    come: Int64
    expected: float
    promised: int = 0
    is_in: bool = False
    expedited: bool = False


@dataclass(slots=True)
class Sent:
    """Columns of shipments, for detectors: lane (node * 2 + carrier), days when shipped, seen at a sorting centre and
    delivered, quantiles of the days it should take, day that was promised."""

    lane: list[int] = field(default_factory=list[int])
    shipped: list[float] = field(default_factory=list[float])
    scanned: list[float] = field(default_factory=list[float])
    delivered: list[float] = field(default_factory=list[float])
    p50: list[float] = field(default_factory=list[float])
    p95: list[float] = field(default_factory=list[float])
    due: list[float] = field(default_factory=list[float])
    order: list[Order] = field(default_factory=list[Order])


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a merchant sees: records, orders, work, shipments, purchases; never what is only true.

    day       days since the beginning
    available int32[I, N], by the records; hidden int32[I, N]: quarantined besides
    sold_at   float64[I, N] units sold over counters of stores; squares: sum of those of days; in_stock: days with any
    proof_day float64[I, N], when one last came, was sold, sent or counted; rejections int64[I, N] since then
    rejected  float64[N, days], picks that found nothing; exposed: days since the last proof, of those that found one
    wanted    float64[I, days], bought or asked for on each day so far
    done      float64[N, steps], parcels worked on; starved bool[N, steps]: nothing was left to do
    came      float64[N, steps], parcels that were decided for each node
    hourly    float64[channel, hours], orders that were told
    placed    orders that were told, in that order; waiting: those that no node can serve
    stays     (node, days) of each parcel from when it came to its node until it left
    asked     float64[I], prices asked over the usual ones
    """

    shop: Shop
    day: float
    available: Int32
    hidden: Int32
    sold_at: Float64
    squares: Float64
    in_stock: Float64
    proof_day: Float64
    rejections: Int64
    rejected: Float64
    exposed: Float64
    wanted: Float64
    done: Float64
    starved: npt.NDArray[np.bool_]
    came: Float64
    hourly: Float64
    last_told: Float64
    sent: Sent
    queues: Sequence[Sequence[Parcel]]
    purchases: Sequence[Purchase]
    declared: Float64
    price: Float64
    asked: Float64
    placed: Sequence[Order]
    waiting: Sequence[Order]
    stays: Sequence[tuple[int, float]]

    @property
    def now(self) -> datetime:
        return moment(self.day)


class Responder(Protocol):
    """Who acts on what is seen, by the methods of `Hands`: `respond` after each step, `see_orders` before nodes work on
    those that have just come."""

    def see_orders(self, seen: Seen, hands: "Hands") -> None: ...
    def respond(self, seen: Seen, hands: "Hands") -> None: ...


class Off:
    """Nobody."""

    def see_orders(self, seen: Seen, hands: "Hands") -> None:
        """Nothing is done."""

    def respond(self, seen: Seen, hands: "Hands") -> None:
        """Nothing is done."""


class Hands(Protocol):
    """What can be done: the steps of playbooks. Costs are booked."""

    def move(self, parcels: Sequence[Parcel], *, carrier: int | None = None, leave: int | None = None,
             late_now: Float64, delays: Float64, gain_min_minor: float) -> tuple[int, float]: ...  # fmt: skip
    def delay_promises(self, days: Float64) -> None: ...
    def cap(self, node: int, per_day: float | None) -> None: ...
    def quarantine(self, item: int, node: int) -> None: ...
    def count(self, item: int, node: int) -> None: ...
    def hold_back(self, channel: int, units: Int64) -> None: ...
    def set_price(self, factor: Float64) -> None: ...
    def expedite(self, item: int, units: int) -> None: ...
    def expect(self, purchase: Purchase, day: float) -> None: ...
    def hold(self, order: Order) -> None: ...
    def close(self, items: npt.NDArray[np.bool_]) -> None: ...
    def substitute(self, order: Order) -> bool: ...
    def tell(self, order: Order, day: float) -> None: ...


def _together(*lines: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Units of each item once."""
    sums: dict[int, int] = {}
    for some in lines:
        for item, units in some:
            sums[item] = sums.get(item, 0) + units
    return list(sums.items())


def moment(day: float) -> datetime:
    """The moment of so many days since the beginning."""
    return BEGIN + timedelta(days=day)


@dataclass(slots=True)
class Outcome:
    """What came of orders that were placed in the counted days.

    lost_margin   minor units: of what was ordered and not sold, of what was cancelled, what failures cost (late orders,
                  lost parcels) and what actions cost; of freight nothing: see `freight`, by the key of the order
    untold        late orders whose customers were told nothing before the day that they had been promised
    unwanted      orders that came twice and left twice
    cancelled     of accepted orders, for which we are to blame, by cause; unpaid ones apart
    """

    wanted: int = 0
    accepted: int = 0
    late: int = 0
    lost: int = 0
    unpaid: int = 0
    rejections: int = 0
    unsold_units: int = 0
    untold: int = 0
    unwanted: int = 0
    cancelled: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    margin_unsold: float = 0.0
    margin_cancelled: float = 0.0
    failures: float = 0.0
    actions: float = 0.0
    dearer: float = 0.0
    acted: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    freight: dict[tuple[int, int, int], float] = field(default_factory=dict[tuple[int, int, int], float])

    @property
    def cancelled_orders(self) -> int:
        return sum(self.cancelled.values())

    @property
    def lost_margin(self) -> float:
        return self.margin_unsold + self.margin_cancelled + self.failures + self.actions - self.dearer


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is so at a moment.

    delays  float64[N, carriers], days that lanes are slower; work float64[N], share of what nodes say that they do
    absent  bool[I, N], recorded and not there
    wanted  float64[I], units a day; factor float64[I], of that over the usual
    untold  float64[I], units sold by channels that do not tell; out: these channels
    """

    delays: Float64
    work: Float64
    absent: npt.NDArray[np.bool_]
    wanted: Float64
    factor: Float64
    untold: Float64
    out: frozenset[int]


class World:
    """One arm: `run` lives through it."""

    def __init__(self, scenario: Scenario, seed: int, responder: Responder) -> None:
        self.scenario, self.responder = scenario, responder
        self._luck = Chance(seed)
        self.shop = shop = open_shop(scenario, self._luck)
        self._days = WARM_UP_DAYS + scenario.days + SETTLING_DAYS
        self.day = 0.0
        items = shop.items
        self._room = shop.network.compiled.with_own_room()
        self._channels = [shop.network.compiled.channels[code] for code in CHANNELS]
        shape = items + 1, NODES + 1
        self.stock = Stock(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32))
        self._true = np.zeros((items, NODES), np.int64)
        is_store = np.arange(NODES) >= WAREHOUSES
        self._counter = shop.rate[:, None] * np.where(is_store, shop.share, 0.0) * _COUNTER_SHARE
        kept_days = LEAD_DAYS + REVIEW_DAYS + scenario.cover_days
        self._target = np.ceil((shop.rate[:, None] * shop.share + self._counter) * kept_days).astype(np.int64)
        self._foreseen = self._foreseen_factors()
        self._opening()
        self.queues: list[list[Parcel]] = [[] for _ in range(NODES)]
        self._budget = np.zeros(NODES)
        self._granted: set[int] = set()
        self.waiting: list[Order] = []
        self._held: list[Order] = []
        self._unpaid: list[tuple[float, Order]] = []
        self._searched: list[tuple[float, Order]] = []
        self.purchases: list[Purchase] = []
        self._counts: list[tuple[float, int, int]] = []
        self._numbers = self._ordered = 0
        self.outcome = Outcome()
        self.orders: list[Order] = []
        self._delays = np.zeros((NODES, len(CARRIERS)))
        self._caps: dict[int, float] = {}
        self._gates = np.zeros((len(CHANNELS), items), np.int64)
        self._gates[MARKETPLACE] = 1
        self._base_gates = self._gates.copy()
        self._price = np.ones(items)
        self._asked = np.ones(items)
        self._closed = np.zeros(items, bool)
        self._holds: list[tuple[float, Order, list[Parcel]]] = []
        self._placed: list[Order] = []
        self._stays: list[tuple[int, float]] = []
        self._shown = np.zeros(items, np.int64)
        steps = self._days * STEPS_A_DAY
        self._seen = Seen(
            shop=shop, day=0.0, available=self.stock.available[1:, 1:], hidden=np.zeros((items, NODES), np.int32),
            sold_at=np.zeros((items, NODES)),
            squares=np.zeros((items, NODES)), in_stock=np.zeros((items, NODES)), proof_day=np.zeros((items, NODES)),
            rejections=np.zeros((items, NODES), np.int64), rejected=np.zeros((NODES, self._days + 1)),
            exposed=np.zeros((NODES, self._days + 1)), wanted=np.zeros((items, self._days + 1)),
            done=np.zeros((NODES, steps)), starved=np.zeros((NODES, steps), bool), came=np.zeros((NODES, steps)),
            hourly=np.zeros((len(CHANNELS), self._days * 24)), last_told=np.zeros(len(CHANNELS)), sent=Sent(),
            queues=self.queues, purchases=self.purchases, declared=self._declared(0), price=self._price,
            asked=self._asked, placed=self._placed, waiting=self.waiting, stays=self._stays,
        )  # fmt: skip

    # Truth ------------------------------------------------------------------------------------------

    def _is_on(self, event: Any, day: float) -> bool:
        begin = WARM_UP_DAYS + event.from_day
        return bool(begin <= day < begin + event.days)

    def _of(self, kind: type[Any]) -> list[tuple[int, Any]]:
        return [(n, e) for n, e in enumerate(self.scenario.events) if isinstance(e, kind)]

    def _chosen(self, event: int, matter: int, of: int, most: int) -> set[int]:
        """Some of so many things, by chance, the same in both arms."""
        draws = self._luck.many(chance.TRUTH, event, matter, np.arange(of))
        return set(np.argsort(draws)[:most].tolist())

    def _surged(self, event: int, surge: DemandSurge) -> Int64:
        """Items that sell well go first, but not the very best: the upper half, by chance."""
        order = np.argsort(-self.shop.rate)
        among = order[: max(surge.items, len(order) // 2)]
        draws = self._luck.many(chance.TRUTH, event, 1, among)
        return among[np.argsort(draws)[: surge.items]]

    def _foreseen_factors(self) -> Float64:
        """float64[I, days]: what was planned for, over what is usual."""
        factors = np.ones((self.shop.items, self._days + 40))
        for n, surge in self._of(DemandSurge):
            if surge.foreseen:
                begin = int(WARM_UP_DAYS + surge.from_day)
                factors[self._surged(n, surge), begin : int(np.ceil(begin + surge.days))] = surge.factor
        return factors

    def _opening(self) -> None:
        draws = self._luck.many(chance.PHANTOM, 0, np.arange(self.shop.items)[:, None], np.arange(NODES))
        absent = (draws < self.scenario.phantoms) & (np.arange(NODES) >= WAREHOUSES)
        self.stock.available[1:, 1:] = self._target
        self._true[:] = np.where(absent, 0, self._target)

    def _declared(self, day: int) -> Float64:
        factor = self._foreseen[:, day].mean()
        return np.ceil(self.shop.capacity * factor)

    def _work_share(self, node: int, day: float) -> float:
        share = 1.0
        for n, slow in self._of(NodeSlow):
            if self._is_on(slow, day) and node in self._chosen(n, 2, NODES, slow.nodes):
                share *= slow.share
        return share

    def _transit(self, parcel: Parcel, shipped: float) -> float | None:
        """Days until it is there; None: never."""
        order = parcel.order
        item, step, number = order.key
        p50, p95 = self.shop.quantiles[parcel.carrier, parcel.band]
        z = float(normal(np.array(self._luck.at(chance.TRANSIT, item, step, number, parcel.attempt))))
        days = float(p50 * np.exp(np.log(p95 / p50) / 1.6448536269514722 * z))
        lost = self.scenario.lost
        for n, delay in self._of(CarrierDelay):
            if CARRIERS.index(delay.carrier) == parcel.carrier and self._is_on(delay, shipped):
                slow = self._chosen(n, 3, NODES, round(delay.nodes * NODES))
                if parcel.node in slow:
                    days += delay.delay_days
                    lost = max(lost, delay.lost)
        days += self._astray(parcel, shipped)
        return None if self._luck.at(chance.LOST, item, step, number, parcel.attempt) < lost else days

    def truth(self) -> "Truth":
        """What is so at this moment, whoever knows it."""
        delays = np.zeros((NODES, len(CARRIERS)))
        for n, delay in self._of(CarrierDelay):
            if self._is_on(delay, self.day):
                slow = sorted(self._chosen(n, 3, NODES, round(delay.nodes * NODES)))
                delays[slow, CARRIERS.index(delay.carrier)] += delay.delay_days
        factor = np.ones(self.shop.items)
        for n, surge in self._of(DemandSurge):
            if self._is_on(surge, self.day):
                factor[self._surged(n, surge)] *= surge.factor
        first = self.shop.rate * factor
        untold = np.zeros(self.shop.items)
        for order in self._held:
            for item, units in order.lines:
                untold[item] += units
        return Truth(
            delays=delays,
            work=np.array([self._work_share(k, self.day) for k in range(NODES)]),
            absent=(self._true == 0) & (self.stock.available[1:, 1:] + self._seen.hidden > 0),
            wanted=first * _UNITS_EACH + _SECOND_SHARE * first.sum() / self.shop.items,
            factor=factor,
            untold=untold,
            out=frozenset(CHANNELS.index(e.channel) for _, e in self._of(ChannelOutage) if self._is_on(e, self.day)),
        )

    def _astray(self, parcel: Parcel, shipped: float) -> float:
        """Days that a parcel loses because it went astray."""
        return sum(
            e.delay_days
            for n, e in self._of(StrayParcels)
            if self._is_on(e, shipped) and self._luck.at(chance.STRAY, n, *parcel.order.key, parcel.attempt) < e.share
        )

    # A step -----------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Live through it."""
        for step in range(self._days * STEPS_A_DAY):
            self.day = step / STEPS_A_DAY
            if step % STEPS_A_DAY == 0:
                self._morning(step // STEPS_A_DAY)
            self._receive()
            self._return_counts()
            self._let_go()
            orders = self._sell(step)
            self.day = (step + 1) / STEPS_A_DAY
            self._room.set_clock(moment(self.day))
            self._apply_caps()
            self._decide(self._due_again() + orders)
            if self.day > WARM_UP_DAYS:
                self._seen.day = self.day
                self.responder.see_orders(self._seen, self)
            self._work(step)
            self._lose_patience()
            self._seen.day = self.day
            if self.day >= WARM_UP_DAYS:
                self.responder.respond(self._seen, self)
        return self._reckon()

    def _morning(self, day: int) -> None:
        seen = self._seen
        seen.in_stock += self.stock.available[1:, 1:] > 0
        seen.declared = self._declared(day)
        # What nodes say that they can do on the ship days ahead.
        for slot in range(self._room.slot_day.shape[1]):
            ahead = self._declared(min(day + slot, self._days - 1))
            more = (ahead - self.shop.capacity).astype(self._room.left.dtype)
            if more.any() and day + slot < self._days:
                self._grant(day + slot, more)
        self._vanish(day)
        self._sell_over_counters(day)
        self._purchase(day)

    def _grant(self, day: int, more: npt.NDArray[Any]) -> None:
        """Room beyond the usual on a day, once."""
        if day in self._granted:
            return
        number = (moment(day).date() - EPOCH).days
        for node in range(NODES):
            slots = (self._room.slot_day[node + 1] == number).nonzero()[0]
            if not len(slots):
                return
            self._room.left[node + 1, slots[0], 0] += more[node]
        self._granted.add(day)

    def _sell_over_counters(self, day: int) -> None:
        """Stores sell what lies on their shelves, as far as it is there and not kept for orders."""
        seen = self._seen
        where = np.arange(self.shop.items)[:, None], np.arange(NODES)
        wanted = poisson(self._luck.many(chance.COUNTER, *where, day), self._counter)
        shelf = np.maximum(self.stock.available[1:, 1:], 0) + seen.hidden
        sold = np.minimum(wanted, np.minimum(self._true, shelf))
        self._true -= sold
        # One that was sold was there: what was hidden is seen again.
        shown = np.where(sold > 0, seen.hidden, 0)
        self.stock.available[1:, 1:] += shown
        seen.hidden -= shown
        self.stock.available[1:, 1:] -= sold.astype(np.int32)
        seen.sold_at += sold
        seen.squares += sold**2
        seen.proof_day[sold > 0] = day
        seen.rejections[sold > 0] = 0

    def _vanish(self, day: int) -> None:
        for n, event in self._of(Phantoms):
            if day == int(WARM_UP_DAYS + event.from_day):
                draws = self._luck.many(chance.PHANTOM, n + 1, np.arange(self.shop.items)[:, None], np.arange(NODES))
                self._true[(draws < event.share) & (np.arange(NODES) >= WAREHOUSES)] = 0

    def _purchase(self, day: int) -> None:
        """Each supplier takes orders once a week: up to the target, by what the records say."""
        shop = self.shop
        items = np.flatnonzero(shop.supplier == day % 7)
        ordered = np.zeros((shop.items, NODES), np.int64)
        for p in self.purchases:
            if not p.is_in:
                ordered[p.item] += p.units
        allocated = np.zeros((shop.items, NODES), np.int64)
        for queue in self.queues:
            for parcel in queue:
                for item, units in parcel.lines:
                    allocated[item, parcel.node] += units
        days = int(LEAD_DAYS + REVIEW_DAYS + self.scenario.cover_days)
        coming = self._foreseen[:, day : day + days].mean(axis=1)
        target = np.ceil(self._target * coming[:, None]).astype(np.int64)
        for item in items.tolist():
            units = np.maximum(
                target[item] - self.stock.available[item + 1, 1:] - self._seen.hidden[item] - ordered[item], 0
            )
            if units.sum() == 0:
                continue
            supplier, due = int(shop.supplier[item]), day + LEAD_DAYS
            late = self._luck.at(chance.SUPPLY, item, day)
            arrives = due + (-4.0 * float(np.log(late / 0.1)) if late < 0.1 else 0.0)
            share = 1.0
            for n, event in self._of(SupplierDelay):
                if self._is_on(event, due) and supplier in self._chosen(n, 4, 6, event.suppliers):
                    arrives += event.delay_days
                    share = 1.0 - event.short
            self._ordered += 1
            self.purchases.append(
                Purchase(number=self._ordered, item=item, supplier=supplier, units=units, due=due, arrives=arrives,
                         come=np.floor(units * share).astype(np.int64), expected=due)
            )  # fmt: skip

    def _receive(self) -> None:
        for p in self.purchases:
            if not p.is_in and p.arrives <= self.day:
                p.is_in = True
                self.stock.available[p.item + 1, 1:] += p.come.astype(np.int32)
                self._true[p.item] += p.come
                # Who puts units on a shelf has them in hand.
                came = p.come > 0
                self._seen.proof_day[p.item, came] = self.day
                self._seen.rejections[p.item, came] = 0

    def _return_counts(self) -> None:
        left = [c for c in self._counts if c[0] > self.day]
        for _, item, node in (c for c in self._counts if c[0] <= self.day):
            allocated = sum(u for p in self.queues[node] for i, u in p.lines if i == item)
            found = int(self._true[item, node])
            self.stock.available[item + 1, node + 1] = max(found - allocated, 0)
            self._seen.hidden[item, node] = 0
            self._seen.proof_day[item, node] = self.day
            self._seen.rejections[item, node] = 0
        self._counts = left

    def _sell(self, step: int) -> list[Order]:
        """Who comes in this step, and whose orders are told at its end."""
        shop, luck = self.shop, self._luck
        n = np.arange(shop.items)
        day = step // STEPS_A_DAY
        mean = shop.rate / STEPS_A_DAY * np.exp(0.25 * normal(luck.many(chance.DAY, n, day)) - 0.03125)
        for number, surge in self._of(DemandSurge):
            if self._is_on(surge, self.day):
                mean[self._surged(number, surge)] *= surge.factor
        wrong = np.ones(shop.items)
        for number, event in self._of(WrongPrices):
            if self._is_on(event, self.day):
                wrong[sorted(self._chosen(number, 5, shop.items, event.items))] *= event.factor
        self._asked[:] = self._price * wrong
        cheap = np.minimum(wrong**-ELASTICITY, _BARGAIN_MAX)
        mean *= cheap
        counts = poisson(luck.many(chance.DEMAND, n, step), mean)
        who = np.repeat(n, counts)
        number = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts, counts)
        hour = step * STEP_H + STEP_H * luck.many(chance.PLACE, who, step, number)
        city = np.searchsorted(shop.people, luck.many(chance.CITY, who, step, number)).clip(max=len(shop.people) - 1)
        channel = np.searchsorted(shop.channels, luck.many(chance.CHANNEL, who, step, number)).clip(max=2)
        buys = luck.many(chance.PRICE, who, step, number) < self._price[who] ** -ELASTICITY
        # Who only came because it was so cheap would not have come otherwise.
        is_usual = luck.many(chance.BARGAIN, who, step, number) * cheap[who] < 1
        customer = (luck.many(chance.CUSTOMER, who, step, number) * _CUSTOMERS).astype(np.int64)
        units = 1 + (luck.many(chance.UNITS, who, step, number) < _UNITS_EACH - 1)
        second = luck.many(chance.SECOND, who, step, number)
        other = (second / _SECOND_SHARE * shop.items).astype(np.int64)
        live = np.maximum(self.stock.available[1:, 1:], 0).sum(axis=1, dtype=np.int64)
        shown = [live - self._gates[c] for c in range(len(CHANNELS))]
        out = {CHANNELS.index(e.channel) for _, e in self._of(ChannelOutage) if self._is_on(e, self.day)}
        deaf = out | {MARKETPLACE for _, e in self._of(DeafMarketplace) if self._is_on(e, self.day)}
        if MARKETPLACE not in deaf:
            self._shown = np.maximum(shown[MARKETPLACE], 0)
        offered = self._backorders_offered()
        told: list[Order] = []
        is_counted = WARM_UP_DAYS <= self.day < WARM_UP_DAYS + self.scenario.days
        gone = np.zeros(shop.items, np.int64)
        for k in np.argsort(hour, kind="stable").tolist():
            item, c = int(who[k]), int(channel[k])
            lines = [(item, int(units[k]))]
            if second[k] < _SECOND_SHARE and int(other[k]) != item:
                lines.append((int(other[k]), 1))
            margin = float(sum(shop.margin[i] * u for i, u in lines))
            for i, u in lines:
                self._seen.wanted[i, day] += u * bool(is_usual[k] or not self._closed[i])
            is_wanted = is_counted and bool(is_usual[k])
            self.outcome.wanted += is_wanted
            if c == MARKETPLACE:
                has = all(self._shown[i] >= u for i, u in lines)
            else:
                has = all(shown[c][i] - gone[i] >= u for i, u in lines)
            has &= not any(self._closed[i] for i, _ in lines)
            backorder = None
            if not has and c == WEB and len(lines) == 1:
                backorder = self._backorder(offered, lines[0], (item, step, int(number[k])))
            if not buys[k] or not (has or backorder is not None):
                if is_wanted:
                    self.outcome.margin_unsold += margin
                    self.outcome.unsold_units += sum(u for _, u in lines)
                continue
            order = Order(
                key=(item, step, int(number[k])), lines=tuple(lines), city=int(city[k]), channel=c,
                day=float(hour[k]) / 24, margin=margin, waits=list(lines), customer=int(customer[k]),
            )  # fmt: skip
            if is_counted:
                self.orders.append(order)
                self.outcome.accepted += 1
                self.outcome.dearer += float(sum((self._asked[i] - 1) * shop.price[i] * u for i, u in lines))
            if backorder is not None:
                backorder.promised += lines[0][1]
                order.promise, order.from_supply = backorder.expected + _PROMISE_OF_SUPPLY_DAYS, True
            elif c == MARKETPLACE:
                for i, u in lines:
                    self._shown[i] -= u
            else:
                for i, u in lines:
                    gone[i] += u
            if self._fails_to_pay(order):
                continue
            if c in out:
                order.promise = order.day + _MARKETPLACE_PROMISE_DAYS
                self._held.append(order)
                continue
            self._tell(order)
            told.append(order)
            if self._is_sent_twice(order) and all(shown[c][i] - gone[i] >= u for i, u in lines):
                soon = min(order.day + _AGAIN_DAYS, self.day + 1 / STEPS_A_DAY - 1e-6)
                again = replace(
                    order, key=(item, step, int(number[k]) + _AGAIN), day=soon, waits=list(lines),
                    is_again=True,
                )  # fmt: skip
                for i, u in lines:
                    gone[i] += u
                if is_counted:
                    self.orders.append(again)
                self._tell(again)
                told.append(again)
        for order in [o for o in self._held if o.channel not in out]:
            self._held.remove(order)
            self._tell(order)
            told.append(order)
        return told

    def _is_sent_twice(self, order: Order) -> bool:
        return any(
            CHANNELS.index(e.channel) == order.channel
            and self._is_on(e, order.day)
            and self._luck.at(chance.AGAIN, n, *order.key) < e.share
            for n, e in self._of(DuplicateOrders)
        )

    def _tell(self, order: Order) -> None:
        self._placed.append(order)
        self._seen.hourly[order.channel, min(int(self.day * 24), self._seen.hourly.shape[1] - 1)] += 1
        self._seen.last_told[order.channel] = max(self._seen.last_told[order.channel], order.day)

    def _fails_to_pay(self, order: Order) -> bool:
        share, recovered = self.scenario.payment_failures, 0.6
        for _, event in self._of(PaymentFailures):
            if self._is_on(event, order.day):
                share, recovered = event.share, event.recovered
        if self._luck.at(chance.PAYMENT, 0, *order.key) >= share:
            return False
        if self._luck.at(chance.PAYMENT, 1, *order.key) < recovered:
            self._unpaid.append((order.day + 1.0, order))
        else:
            order.cancelled = "unpaid"
        return True

    def _backorders_offered(self) -> dict[int, Purchase]:
        """Of each item the next purchase that still has units to promise, where it is expected soon."""
        found: dict[int, Purchase] = {}
        for p in self.purchases:
            soon = self.day <= p.expected <= self.day + _BACKORDER_DAYS
            if not p.is_in and soon and p.promised < int(p.units.sum()) and p.item not in found:
                found[p.item] = p
        return found

    def _backorder(
        self, offered: dict[int, Purchase], line: tuple[int, int], key: tuple[int, int, int]
    ) -> Purchase | None:
        p = offered.get(line[0])
        if p is None or p.promised + line[1] > int(p.units.sum()) or self._luck.at(chance.PATIENCE, 9, *key) >= 0.5:
            return None
        return p

    def _due_again(self) -> list[Order]:
        """Orders that wait for units, and those that have been paid after all."""
        paid = [o for day, o in self._unpaid if day <= self.day]
        self._unpaid = [(day, o) for day, o in self._unpaid if day > self.day]
        missed = [o for day, o in self._searched if day <= self.day]
        self._searched = [(day, o) for day, o in self._searched if day > self.day]
        waiting = list(self.waiting)
        self.waiting.clear()
        return [o for o in dict.fromkeys([*waiting, *missed]) if o.cancelled is None and o.waits] + paid

    # Deciding ---------------------------------------------------------------------------------------

    def _decide(self, orders: Sequence[Order]) -> None:
        if not orders:
            return
        decisions = self._source(orders, [None] * len(orders))
        for n, order in enumerate(orders):
            if not decisions.count[n]:
                self._wait(order)
                continue
            self._plan(order, decisions, n)

    def _source(self, orders: Sequence[Order], services: Sequence[int | None]) -> Decisions:
        """The solver's answer; what it takes is taken. services: the carrier that each has to go with, or any."""
        shop = self.shop
        asks = [
            Ask(
                demand=[(i + 1, u) for i, u in o.waits], latitude=shop.where[o.city, 0],
                longitude=shop.where[o.city, 1],
                channel=self._channels[o.channel], excluded=[n + 1 for n in o.tried], fulfilments_max=2,
                service=None if s is None else CARRIERS[s],
            )
            for o, s in zip(orders, services, strict=True)
        ]  # fmt: skip
        batch = asked(asks, self._room)
        found = decide_asked(
            batch, self.stock, self._room, _POLICY, shop.network.catalogue.goods, now=moment(self.day).timestamp(),
            consume=True,
        )  # fmt: skip
        self.stock.available -= self.stock.pending
        self.stock.pending[:] = 0
        return found

    def _plan(self, order: Order, d: Decisions, n: int) -> None:
        is_new = order.promise == np.inf
        parcels = self._parcels(order, d, n)
        later = max(float(self._delays[p.node, p.carrier]) for p in parcels)
        if is_new and later and self._luck.at(chance.PATIENCE, 2, *order.key) >= (1 - PROMISE_DAY_SHARE) ** later:
            self._leave(order, parcels)
            return
        for parcel in parcels:
            self._enqueue(parcel)
        order.waits = []

    def _leave(self, order: Order, parcels: Sequence[Parcel]) -> None:
        """Somebody sees a later date, and does not buy."""
        for parcel in parcels:
            order.open += 1
            self._give_back(parcel)
        order.waits, order.cancelled = [], "left"

    def _parcels(self, order: Order, d: Decisions, n: int) -> list[Parcel]:
        """Fulfilments of row n, not yet given to nodes; the order's promise, where it has none."""
        lines: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for p in range(int(d.pick_first[n]), int(d.pick_first[n + 1])):
            item, units = int(d.demand_item[d.pick_demand[p]]) - 1, int(d.pick_units[p])
            lines[int(d.pick_number[p])].append((item, units))
        found: list[Parcel] = []
        promise = 0.0
        begin = BEGIN.timestamp()
        for number, f in enumerate(range(int(d.fulfilment_first[n]), int(d.fulfilment_first[n + 1])), 1):
            node, carrier = int(d.node[f]) - 1, int(d.service[f])
            departs = (float(d.departs[f]) - begin) / 86_400
            promise = max(promise, (float(d.deliver[f]) - begin) / 86_400 + self._delays[node, carrier])
            order.attempts += 1
            self._numbers += 1
            found.append(
                Parcel(
                    number=self._numbers, order=order, node=node, carrier=carrier,
                    band=self.shop.band(node, order.city), lines=tuple(_together(lines[number])), departs=departs,
                    ship_day=int(d.day[f]) if len(d.day) else 0, attempt=order.attempts,
                    freight=float(sum(d.terms[f, k] for k in _PAID)),
                )
            )  # fmt: skip
        if order.promise == np.inf:
            order.promise = promise
        return found

    def _enqueue(self, parcel: Parcel) -> None:
        parcel.order.open += 1
        parcel.since = self.day
        parcel.is_forgotten = any(
            self._is_on(e, self.day)
            and parcel.node in self._chosen(n, 6, NODES, e.nodes)
            and self._luck.at(chance.FORGOTTEN, n, *parcel.order.key, parcel.attempt) < e.share
            for n, e in self._of(ForgottenOrders)
        )
        queue = self.queues[parcel.node]
        at = len(queue)
        while at and queue[at - 1].departs > parcel.departs:
            at -= 1
        queue.insert(at, parcel)
        self._seen.came[parcel.node, round(self.day * STEPS_A_DAY) - 1] += 1

    def _wait(self, order: Order) -> None:
        since = order.promise if order.from_supply else order.day + _RETRIED_DAYS
        if order.from_supply or self.day <= since:
            self.waiting.append(order)
            return
        self._cancel(order, "oversold" if not order.tried else "not_found")

    def _cancel(self, order: Order, cause: str) -> None:
        order.cancelled = cause
        for queue in self.queues:
            for parcel in [p for p in queue if p.order is order]:
                queue.remove(parcel)
                self._give_back(parcel)

    def _give_back(self, parcel: Parcel) -> None:
        for item, units in parcel.lines:
            self.stock.available[item + 1, parcel.node + 1] += units
        self._give_room(parcel, 1)
        parcel.order.open -= 1

    def _give_room(self, parcel: Parcel, sign: int) -> None:
        slots = (self._room.slot_day[parcel.node + 1] == parcel.ship_day).nonzero()[0]
        if len(slots):
            self._room.left[parcel.node + 1, slots[0], 0] += sign

    # Nodes and carriers -----------------------------------------------------------------------------

    def _work(self, step: int) -> None:
        declared = self._declared(step // STEPS_A_DAY)
        for node in range(NODES):
            noise = 0.9 + 0.3 * self._luck.at(chance.NODE, node, step)
            per_step = declared[node] / STEPS_A_DAY * noise * self._work_share(node, self.day)
            self._budget[node] = min(self._budget[node] + per_step, per_step + 1.0)
            queue, done = self.queues[node], 0
            for parcel in [p for p in queue if not p.is_forgotten]:
                if self._budget[node] < 1:
                    break
                queue.remove(parcel)
                self._budget[node] -= 1
                done += 1
                self._pick(parcel)
            self._seen.done[node, step] = done
            self._seen.starved[node, step] = all(p.is_forgotten for p in queue)

    def _pick(self, parcel: Parcel) -> None:
        """Send a parcel. Where its node does not find it, somebody looks for it for a day, and then the order wants it
        from elsewhere."""
        order, node, seen = parcel.order, parcel.node, self._seen
        order.open -= 1
        self._stays.append((node, self.day - parcel.since))
        missing = [(i, u) for i, u in parcel.lines if self._true[i, node] < u]
        if missing:
            self.outcome.rejections += 1
            seen.rejected[node, int(self.day)] += 1
            for item, _ in missing:
                seen.rejections[item, node] += 1
            # What was found of it goes back.
            for item, units in parcel.lines:
                self.stock.available[item + 1, node + 1] += min(units, int(self._true[item, node]))
            order.tried |= {node}
            order.waits = _together(order.waits, parcel.lines)
            self._searched.append((self.day + _SEARCHED_DAYS, order))
            return
        for item, units in parcel.lines:
            self._true[item, node] -= units
            seen.exposed[node, int(self.day)] += self.day - seen.proof_day[item, node]
            seen.proof_day[item, node] = self.day
            seen.rejections[item, node] = 0
        shipped = float(np.floor(self.day)) + _PICK_UP_H / 24
        if shipped < self.day:
            shipped += 1
        days = self._transit(parcel, shipped)
        order.freight += parcel.freight
        order.parcels += 1
        order.came = max(order.came, np.inf if days is None else shipped + days)
        order.is_lost |= days is None
        p50, p95 = self.shop.quantiles[parcel.carrier, parcel.band].tolist()
        sent = seen.sent
        sent.lane.append(node * len(CARRIERS) + parcel.carrier)
        sent.shipped.append(shipped)
        # Half-way, at a sorting centre; a parcel that goes astray is not seen there for as long.
        astray = self._astray(parcel, shipped)
        sent.scanned.append(np.inf if days is None else shipped + (days + astray) / 2)
        sent.delivered.append(np.inf if days is None else shipped + days)
        sent.p50.append(p50)
        sent.p95.append(p95)
        sent.due.append(order.promise)
        sent.order.append(order)

    def _lose_patience(self) -> None:
        if round(self.day * STEPS_A_DAY) % STEPS_A_DAY:
            return
        for order in {id(p.order): p.order for queue in self.queues for p in queue}.values():
            self._judge(order)
        for order in (*self.waiting, *(o for _, o in self._searched), *(o for _, o, _ in self._holds)):
            self._judge(order)

    def _judge(self, order: Order) -> None:
        over = self.day - order.promise
        if order.cancelled is not None or order.parcels or over < _PATIENT_DAYS:
            return
        gives_up = over < _PATIENT_DAYS + 1 and self._luck.at(chance.PATIENCE, 1, *order.key) < 0.5
        if gives_up or over >= _OUT_OF_PATIENCE_DAYS:
            self._cancel(order, "out_of_patience")

    def _apply_caps(self) -> None:
        for node, per_day in self._caps.items():
            left = self._room.left[node + 1, :, 0]
            free = per_day * (np.arange(len(left)) + 1) - len(self.queues[node])
            took = np.maximum(np.diff(np.maximum(free, 0), prepend=0), 0)
            self._room.left[node + 1, :, 0] = np.minimum(left, took.astype(left.dtype))

    # Hands ------------------------------------------------------------------------------------------

    def move(
        self, parcels: Sequence[Parcel], *, carrier: int | None = None, leave: int | None = None, late_now: Float64,
        delays: Float64, gain_min_minor: float,
    ) -> tuple[int, float]:  # fmt: skip
        """Send open parcels another way where that is worth it: with a carrier, or from anywhere but the node `leave`.
        delays float64[N, carriers], days that lanes are believed to be slower. How many went, and what that costs."""
        if not parcels:
            return 0, 0.0
        before = [(p.order.tried, p.order.waits) for p in parcels]
        for p in parcels:
            self.queues[p.node].remove(p)
            self._give_back(p)
            p.order.waits = list(p.lines)
            if leave is not None:
                p.order.tried |= {leave}
        found = self._source([p.order for p in parcels], [carrier] * len(parcels))
        made: list[list[Parcel]] = []
        late_then, extra = np.full((len(parcels), 1), np.nan), np.zeros((len(parcels), 1))
        for n, p in enumerate(parcels):
            made.append(self._parcels(p.order, found, n) if found.count[n] else [])
            p.order.tried, p.order.waits = before[n]
            if made[n]:
                quantiles = np.array([self.shop.quantiles[m.carrier, m.band] for m in made[n]])
                room = np.array([p.order.promise - m.departs for m in made[n]])
                slower = np.array([delays[m.node, m.carrier] for m in made[n]])
                late_then[n, 0] = late_chance(room, quantiles[:, 0], quantiles[:, 1], slower).max()
                extra[n, 0] = sum(m.freight for m in made[n]) - p.freight
        loss = np.full(len(parcels), LATE_MINOR)
        worth = set(worth_moving(late_now, late_then, extra, loss, gain_min_minor=gain_min_minor).row.tolist())
        moved, cost = 0, 0.0
        for n, p in enumerate(parcels):
            if n in worth or (made[n] and not self._has(p)):
                for m in made[n]:
                    self._enqueue(m)
                moved += 1
                cost += float(extra[n, 0])
                continue
            for m in made[n]:
                for item, units in m.lines:
                    self.stock.available[item + 1, m.node + 1] += units
                self._give_room(m, 1)
            if not self._has(p):  # another one took its units, and there is no other way
                p.order.waits = _together(p.order.waits, p.lines)
                self.waiting.append(p.order)
                continue
            for item, units in p.lines:
                self.stock.available[item + 1, p.node + 1] -= units
            self._give_room(p, -1)
            self._enqueue(p)
        self.outcome.acted["moved"] += moved
        return moved, cost

    def _has(self, p: Parcel) -> bool:
        return all(self.stock.available[i + 1, p.node + 1] >= u for i, u in p.lines)

    def delay_promises(self, days: Float64) -> None:
        """float64[N, carriers]: new orders are promised so much later."""
        self._delays = days

    def cap(self, node: int, per_day: float | None) -> None:
        """New orders go to a node only as it can do them; None: as it says again."""
        if per_day is None:
            self._caps.pop(node, None)
        else:
            self._caps[node] = per_day

    def quarantine(self, item: int, node: int) -> None:
        """No order gets any of it until one is seen: counted, or sold over the counter."""
        units = max(int(self.stock.available[item + 1, node + 1]), 0)
        if units:
            self.stock.available[item + 1, node + 1] -= units
            self._seen.hidden[item, node] += units
            self.outcome.acted["quarantined"] += 1

    def count(self, item: int, node: int) -> None:
        """Somebody counts by tomorrow."""
        self._counts.append((self.day + 1.0, item, node))
        self.outcome.acted["counted"] += 1
        self._cost(COUNT_MINOR, self.day)

    def hold_back(self, channel: int, units: Int64) -> None:
        """int64[I] units that a channel does not show, besides its usual gate."""
        self._gates[channel] = self._base_gates[channel] + units

    def set_price(self, factor: Float64) -> None:
        """float64[I], price over the usual one."""
        self.outcome.acted["price changes"] += int((factor != self._price).sum())
        self._price[:] = factor

    def expedite(self, item: int, units: int) -> None:
        """Buy in a hurry for the warehouses: there in two days, at a premium."""
        split = np.zeros(NODES, np.int64)
        split[:WAREHOUSES] = units // WAREHOUSES
        split[0] += units - int(split.sum())
        self._ordered += 1
        due = float(np.floor(self.day)) + EXPEDITED_DAYS
        self.purchases.append(
            Purchase(number=self._ordered, item=item, supplier=-1, units=split, due=due, arrives=due, come=split,
                     expected=due, expedited=True)
        )  # fmt: skip
        self.outcome.acted["expedited units"] += units
        self._cost(EXPEDITED_ORDER_MINOR + units * EXPEDITED_SHARE * float(self.shop.cost[item]), due)

    def _cost(self, minor: float, day: float) -> None:
        """Of an action that helps from a day on; what helps after the counted days is for orders that do not count
        either."""
        if day < WARM_UP_DAYS + self.scenario.days:
            self.outcome.actions += minor

    def expect(self, purchase: Purchase, day: float) -> None:
        """Promise from a purchase only as it is believed to come."""
        purchase.expected = day

    def hold(self, order: Order) -> None:
        """Nothing of an order leaves for a day, and its customer is asked whether it was meant."""
        parcels = [p for queue in self.queues for p in queue if p.order is order]
        if not parcels:
            return
        for parcel in parcels:
            self.queues[parcel.node].remove(parcel)
        self._holds.append((self.day + _HELD_DAYS, order, parcels))
        self.outcome.acted["held"] += 1

    def _let_go(self) -> None:
        """Orders that were held for a day go on; those whose customers said that they did not mean them do not."""
        over = [h for h in self._holds if h[0] <= self.day]
        self._holds = [h for h in self._holds if h[0] > self.day]
        for _, order, parcels in over:
            for parcel in parcels:
                if order.cancelled is not None:
                    self._give_back(parcel)
                    continue
                order.open -= 1
                self._enqueue(parcel)
            if order.is_again and self._luck.at(chance.ANSWER, *order.key) < _ANSWER_SHARE:
                self._cancel(order, "not_meant")

    def close(self, items: npt.NDArray[np.bool_]) -> None:
        """bool[I], items whose listings are closed: nobody can buy them."""
        self.outcome.acted["closed"] += int((items & ~self._closed).sum())
        self._closed[:] = items

    def substitute(self, order: Order) -> bool:
        """Offer a customer who waits for one item another one of its kind, at the price of the first. Whether it is
        taken."""
        if len(order.waits) != 1 or order.parcels or order.open or order.was_offered:
            return False
        (item, units), shop = order.waits[0], self.shop
        stock = np.maximum(self.stock.available[1:, 1:], 0).sum(axis=1)
        fits = (shop.department == shop.department[item]) & (stock > 5 * units) & (np.arange(shop.items) != item)
        order.was_offered = True
        if not fits.any() or self._luck.at(chance.SUBSTITUTE, *order.key) >= _SUBSTITUTE_SHARE:
            return False
        other = int(np.where(fits, np.abs(np.log(shop.price / shop.price[item])), np.inf).argmin())
        order.waits = [(other, units)]
        self._cost(units * float(shop.cost[other] - shop.cost[item]), order.day)
        self.outcome.acted["substituted"] += 1
        return True

    def tell(self, order: Order, day: float) -> None:
        """Tell a customer a later day, once, and before the first one."""
        if not order.told and self.day <= order.promise:
            order.told = day
            self.outcome.acted["told"] += 1

    # The end ----------------------------------------------------------------------------------------

    def _reckon(self) -> Outcome:
        out = self.outcome
        out.actions += self._left_over()
        for order in self.orders:
            if order.is_again:
                if order.parcels:
                    out.unwanted += 1
                    out.failures += order.freight + RETURN_MINOR * order.parcels
                continue
            if order.cancelled == "unpaid":
                out.unpaid += 1
                continue
            if order.cancelled == "left":
                out.accepted -= 1
                out.margin_unsold += order.margin
                out.unsold_units += sum(u for _, u in order.lines)
                continue
            out.freight[order.key] = order.freight
            if order.cancelled is not None:
                out.cancelled[order.cancelled] += 1
                out.margin_cancelled += order.margin
                continue
            if order.is_lost:
                out.lost += 1
                out.failures += float(sum(self.shop.cost[i] * u for i, u in order.lines))
            if order.open or order.waits or order.came > order.promise:
                out.late += 1
                out.untold += order.told == 0.0
                out.failures += LATE_MINOR
        return out

    def _left_over(self) -> float:
        """What is lost by units that were bought in a hurry and lie beyond the usual stock in the end."""
        hurried = np.zeros(self.shop.items)
        for p in self.purchases:
            if p.expedited:
                hurried[p.item] += p.units.sum()
        beyond = np.maximum((self._true - self._target).sum(axis=1), 0)
        return float((np.minimum(beyond, hurried) * self.shop.cost).sum() * LEFT_SHARE)


COUNT_MINOR: Final = 100.0
EXPEDITED_DAYS: Final = 2.0
EXPEDITED_ORDER_MINOR: Final = 1_000.0
EXPEDITED_SHARE: Final = 0.15
"""Of the cost of a unit, beyond it."""
LEFT_SHARE: Final = 0.25
"""Of the cost of a unit that was bought in a hurry and is left over beyond the usual stock: it is sold off for less."""
