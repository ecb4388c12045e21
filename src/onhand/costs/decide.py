"""What an order costs to serve, from what became of it. Pure.

Every fulfilment's cost terms are promised when it is planned. Units that are taken from it give their share of that to
what serves them next (a reroute), so that the promise of an order stays that of its first plan, or end it when they are
cancelled. What leaves costs what was promised for it; what it costs beyond that has the reason of the reroute as its
cause. RISKS are not paid then: what is late costs the policy's price of being late, with that cause, and every day
until delivery its price of a day. What carriers charge takes the place of what was planned.

Shares are by units and add up exactly (largest remainder).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from onhand.costs.model import (
    CUSTOMER,
    GOODS,
    HELD,
    INVOICE,
    LATE_AT_NODE,
    LATE_IN_TRANSIT,
    MARGIN,
    REROUTED,
    RETURNED,
    RISKS,
    SPLIT_SHIPMENT,
    SUBSTITUTION,
    SURCHARGE,
    UNSERVED,
    Cost,
    CostedFulfilment,
    CostedOrder,
    CostedShipment,
    CostedUnit,
    Kind,
)

_SHIPPING = "shipping"
_LATENESS = "lateness"
_DAY_S = 86_400.0

_Key = tuple[int, str, int]
"""(fulfilment number, term, item_id)"""
_Unit = tuple[int, int]
"""(line_no, item_id)"""


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` (of any sign) by weights >= 0 whose sum is > 0, in whole numbers that add up to it: by largest remainder,
    the first of equals."""
    whole = sum(weights)
    shares = [total * w // whole for w in weights]
    rest = total - sum(shares)
    by_remainder = sorted(range(len(weights)), key=lambda n: (-(total * weights[n] % whole), n))
    for n in by_remainder[:rest]:
        shares[n] += 1
    return shares


@dataclass(slots=True)
class _Credit:
    """What is promised for units that were taken from a fulfilment, until others serve them or nobody does."""

    of: CostedFulfilment
    units: int
    minor: dict[str, int]

    def take(self, units: int) -> dict[str, int]:
        """The share of so many of its units, which leave it."""
        taken = {term: m if units == self.units else m * units // self.units for term, m in self.minor.items()}
        self.minor = {term: m - taken[term] for term, m in self.minor.items()}
        self.units -= units
        return taken


class _Book:
    """The promise of each fulfilment as units move. Minor units by (fulfilment, term, item).

    planned  at first
    moved    added since by units that it serves for others, less what others serve for it
    ended    with cancelled units, part of neither
    waiting  of planned and moved, for units that nobody serves yet
    extra    beyond the promise that it took on, by cause besides
    """

    def __init__(self, order: CostedOrder) -> None:
        self.planned: dict[_Key, int] = defaultdict(int)
        self.moved: dict[_Key, int] = defaultdict(int)
        self.ended: dict[_Key, int] = defaultdict(int)
        self.waiting: dict[_Key, int] = defaultdict(int)
        self.extra: dict[tuple[_Key, str], int] = defaultdict(int)
        self._pools: dict[_Unit, list[_Credit]] = defaultdict(list)
        for f in sorted(order.fulfilments, key=lambda f: (f.plan_no, f.number)):
            self._plan(f)
        self._end(order)
        for (_, item), pool in self._pools.items():
            for credit in pool:
                for term, minor in credit.minor.items():
                    self.waiting[credit.of.number, term, item] += minor

    def _plan(self, f: CostedFulfilment) -> None:
        shares = {term: apportion(minor, [u.planned for u in f.units]) for term, minor in f.terms.items()}
        for n, u in enumerate(f.units):
            own = {term: parts[n] for term, parts in shares.items()}
            for term, minor in own.items():
                self.planned[f.number, term, u.item_id] += minor
            stands = self._take_on(f, u, own)
            if u.released:
                whole = _Credit(of=f, units=u.planned, minor=stands)
                given = _Credit(of=f, units=u.released, minor=whole.take(u.released))
                self._pools[u.line_no, u.item_id].append(given)

    def _take_on(self, f: CostedFulfilment, u: CostedUnit, own: dict[str, int]) -> dict[str, int]:
        """Serve units that earlier plans gave up, for what was promised then; the promise of the units by term."""
        stands = dict(own)
        rest = _Credit(of=f, units=u.planned, minor=dict(own))
        for credit in self._pools[u.line_no, u.item_id]:
            n = min(rest.units, credit.units)
            if not n or credit.of.plan_no >= f.plan_no:
                continue
            costs, promised = rest.take(n), credit.take(n)
            cause = credit.of.reason or REROUTED
            for term in costs.keys() | promised.keys():
                was, now = promised.get(term, 0), costs.get(term, 0)
                self.moved[credit.of.number, term, u.item_id] -= was
                self.moved[f.number, term, u.item_id] += was - now
                stands[term] = stands.get(term, 0) + was - now
                # Of units that it hands on in turn, others pay.
                beyond = now - was
                self.extra[(f.number, term, u.item_id), cause] += beyond - beyond * u.released // u.planned
        return stands

    def _end(self, order: CostedOrder) -> None:
        """Of units that nobody serves, those that were cancelled have no promise any more."""
        for line in order.lines:
            for item, per in line.parts:
                cancelled = line.cancelled * per
                for credit in self._pools[line.line_no, item]:
                    n = min(cancelled, credit.units)
                    if n:
                        cancelled -= n
                        for term, minor in credit.take(n).items():
                            self.ended[credit.of.number, term, item] += minor


def costs_of(order: CostedOrder) -> list[Cost]:
    """What each source of an order's cost comes to by now; what is 0 is left out."""
    book = _Book(order)
    found = [
        *_promised(order, book), *_lost_margin(order), *_exchanged(order), *_returns(order), *_surcharges(order)
    ]  # fmt: skip
    for f in order.fulfilments:
        if f.shipments:
            found += _shipped(order, f, book)
    return [cost for cost in found if cost.minor]


def _promised(order: CostedOrder, book: _Book) -> Iterator[Cost]:
    for f in order.fulfilments:
        for what, sums, sign, at in (
            ("planned", book.planned, 1, f.planned_at),
            ("moved", book.moved, 1, order.changed_at),
            ("ended", book.ended, -1, order.changed_at),
        ):
            for (number, term, item), minor in sorted(sums.items()):
                if number == f.number:
                    yield _cost(order, f, what, "promised", term, sign * minor, at, item=item)


def _shipped(order: CostedOrder, f: CostedFulfilment, book: _Book) -> Iterator[Cost]:
    """What a fulfilment cost that has left, at least in part."""
    left_at = min(s.shipped_at for s in f.shipments)
    carrier = f.shipments[0].carrier
    paid: list[Cost] = []
    keys = sorted({key for sums in (book.planned, book.moved) for key in sums if key[0] == f.number})
    for key in keys:
        _, term, item = key
        if term not in RISKS:
            minor = book.planned[key] + book.moved[key] - book.ended[key] - book.waiting[key]
            paid.append(_cost(order, f, "shipped", "actual", term, minor, left_at, item=item, carrier=carrier))
    for ((number, term, item), cause), minor in sorted(book.extra.items()):
        if number == f.number and term not in RISKS:
            at = f.planned_at
            paid.append(_cost(order, f, "rerouted", "actual", term, minor, at, item=item, cause=cause, carrier=carrier))
    paid += _more_parcels(order, f)
    yield from paid
    yield from _invoiced(order, f, sum(c.minor for c in paid if c.term == _SHIPPING))
    yield from _delivered(order, f)


def _more_parcels(order: CostedOrder, f: CostedFulfilment) -> Iterator[Cost]:
    """Shipments that were not planned: each is one parcel more."""
    parcels = max(f.parcels, 1)
    for s in sorted(f.shipments, key=lambda s: s.number)[parcels:]:
        minor = f.terms.get(_SHIPPING, 0) // parcels
        yield from _by_items(order, f, "split", _SHIPPING, minor, s.shipped_at, SPLIT_SHIPMENT, s)


def _invoiced(order: CostedOrder, f: CostedFulfilment, paid: int) -> Iterator[Cost]:
    """What carriers charged for its shipments, against what stands for these: freight by shipment in equal parts."""
    parts = dict(zip([s.number for s in f.shipments], apportion(paid, [1] * len(f.shipments)), strict=True))
    for s in f.shipments:
        charges = [c for c in order.charges if (c.fulfilment, c.shipment) == (f.number, s.number)]
        for term in sorted({c.term for c in charges}):
            of_term = [c for c in charges if c.term == term]
            stood = parts[s.number] if term == _SHIPPING else 0
            minor = sum(c.minor for c in of_term) - stood
            at = max(c.at for c in of_term)
            yield from _by_items(order, f, "invoiced", term, minor, at, INVOICE, s)


def _delivered(order: CostedOrder, f: CostedFulfilment) -> Iterator[Cost]:
    """Days until delivery, and being late, by the policy's prices; when all of its shipments have come."""
    moments = [s.delivered_at for s in f.shipments if s.delivered_at is not None]
    if len(moments) < len(f.shipments):
        return
    came = max(moments)
    last = max(f.shipments, key=lambda s: (s.delivered_at or s.shipped_at, s.number))
    days = max((came - order.placed_at).total_seconds() / _DAY_S, 0.0)
    yield from _by_items(order, f, "days", _LATENESS, round(f.day_minor * days), came, None, last)
    if came > _promise(order):
        cause = LATE_AT_NODE if max(s.shipped_at for s in f.shipments) > f.ship_by else LATE_IN_TRANSIT
        yield from _by_items(order, f, "late", _LATENESS, round(f.late_minor), came, cause, last)


def _promise(order: CostedOrder) -> datetime:
    """What the customer was told first."""
    first = [f.deliver_by for f in order.fulfilments if f.plan_no == 1]
    return max(first) if first else order.deliver_by or max(f.deliver_by for f in order.fulfilments)


def _lost_margin(order: CostedOrder) -> Iterator[Cost]:
    """Price less cost of cancelled units. Who cancels what a node had for him did not want it; the rest waited in vain,
    or was ended by us. What was exchanged for another item is not lost. Of units whose cost is not known nothing is
    said."""
    exchanged: dict[int, int] = defaultdict(int)
    for one in order.exchanges:
        exchanged[one.instead_no if one.is_undone else one.line_no] += one.units
    for line in order.lines:
        left = line.cancelled - min(line.cancelled, exchanged[line.line_no])
        if not left or line.unit_cost_minor is None:
            continue
        margin = line.price_minor - line.unit_cost_minor
        backed = left if order.was_held else min(line.backed.get(item, 0) // per for item, per in line.parts)
        for most, cause in (
            *((units, cause) for cause, units in sorted(line.ended.items())),
            (backed, HELD if order.was_held else CUSTOMER),
            (left, UNSERVED),
        ):
            units = min(most, left)
            left -= units
            yield Cost(
                order_id=order.order_id, source=f"line {line.line_no} cancelled", kind="actual", term=MARGIN,
                minor=margin * units, currency=order.currency, at=order.changed_at, cause=cause, item_id=line.item_id,
                channel_id=order.channel_id,
            )  # fmt: skip


def _exchanged(order: CostedOrder) -> Iterator[Cost]:
    """What other items cost more, of units that are not cancelled in their turn."""
    lines = {line.line_no: line for line in order.lines}
    for one in order.exchanges:
        was, now = lines[one.line_no], lines[one.instead_no]
        if one.is_undone or was.unit_cost_minor is None or now.unit_cost_minor is None:
            continue
        yield Cost(
            order_id=order.order_id, source=f"line {one.instead_no} exchanged", kind="actual", term=SUBSTITUTION,
            minor=(now.unit_cost_minor - was.unit_cost_minor) * min(one.units, now.quantity - now.cancelled),
            currency=order.currency, at=one.at, cause=one.cause, item_id=now.item_id, channel_id=order.channel_id,
        )  # fmt: skip


def _returns(order: CostedOrder) -> Iterator[Cost]:
    """What came back is not earned, and what came back damaged is gone. Components of bundles have no price."""
    lines = {line.line_no: line for line in order.lines}
    for r in order.returns:
        line, cost = lines[r.line_no], order.unit_costs.get(r.item_id)
        amounts: list[tuple[str, int]] = []
        if line.item_id == r.item_id and line.unit_cost_minor is not None:
            amounts.append((MARGIN, line.price_minor - line.unit_cost_minor))
        if cost is not None and r.disposition == "damaged":
            amounts.append((GOODS, cost))
        for term, minor in amounts:
            yield Cost(
                order_id=order.order_id, source=f"r{r.number} line {r.line_no}", kind="actual", term=term,
                minor=minor * r.quantity, currency=order.currency, at=r.at, cause=RETURNED, item_id=r.item_id,
                node_id=r.node_id, channel_id=order.channel_id,
            )  # fmt: skip


def _surcharges(order: CostedOrder) -> Iterator[Cost]:
    """What was charged for the order beside the freight of its shipments."""
    for c in order.charges:
        if c.shipment is None:
            yield Cost(
                order_id=order.order_id, source=f"charge {c.reference}", kind="actual", term=c.term, minor=c.minor,
                currency=c.currency, at=c.at, cause=c.cause or SURCHARGE, carrier=c.carrier,
                channel_id=order.channel_id,
            )  # fmt: skip


def _by_items(
    order: CostedOrder, f: CostedFulfilment, what: str, term: str, minor: int, at: datetime, cause: str | None,
    shipment: CostedShipment,
) -> Iterator[Cost]:  # fmt: skip
    """Money of a fulfilment as a whole, by its units."""
    items: dict[int, int] = defaultdict(int)
    for u in f.units:
        items[u.item_id] += u.planned
    for item, share in zip(items, apportion(minor, list(items.values())), strict=True):
        yield _cost(
            order, f, what, "actual", term, share, at, item=item, cause=cause, shipment=shipment.number,
            carrier=shipment.carrier,
        )  # fmt: skip


def _cost(
    order: CostedOrder, f: CostedFulfilment, what: str, kind: Kind, term: str, minor: int, at: datetime, *, item: int,
    cause: str | None = None, shipment: int | None = None, carrier: str | None = None,
) -> Cost:  # fmt: skip
    place = f"f{f.number}" if shipment is None else f"f{f.number} s{shipment}"
    return Cost(
        order_id=order.order_id, source=f"{place} {what}", kind=kind, term=term, minor=minor, currency=order.currency,
        at=at, cause=cause, item_id=item, fulfilment=f.number, shipment=shipment, node_id=f.node_id,
        carrier=carrier or f.carrier, channel_id=order.channel_id,
    )  # fmt: skip
