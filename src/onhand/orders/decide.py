"""What a command makes of an order. Pure: an order and a request in, the order afterwards out.

Stock follows from the difference between the two (flows/change_orders.py): units that left a live fulfilment are
released, shipped ones are shipped, new fulfilments allocate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from onhand.errors import Conflict, FieldError, InvalidInput
from onhand.orders.intake import Destination
from onhand.orders.model import Fulfilment, Line, Order, Unit, Wait, total
from onhand.orders.states import offered, require_fulfilment, require_order, settle

Death = Literal["cancelled", "rejected"]
_NO_SKUS: Mapping[int, str] = {}

# Cancelled units come out of what has gone least far.
_PROGRESS = {"allocated": 0, "accepted": 1, "packed": 2, "partly_shipped": 3}


class Named(Protocol):
    """A row of a request that names units of an order line. `quantity` None: all there are."""

    @property
    def line_id(self) -> str: ...
    @property
    def sku(self) -> str | None: ...
    @property
    def quantity(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Amount:
    """A plain `Named`."""

    line_id: str
    quantity: int | None = None
    sku: str | None = None


def cut(fulfilment: Fulfilment, units: Mapping[Unit, int], *, dead: Death, reason: str | None) -> Fulfilment:
    """`fulfilment` without `units`; `dead` is its status when nothing of it is left or has been shipped."""
    left = fulfilment.left
    assert all(0 < n <= left.get(unit, 0) for unit, n in units.items()), (units, left)
    if units == left:
        if not fulfilment.shipped:
            return replace(fulfilment, status=dead, reason=reason)
        fulfilment = replace(fulfilment, status="shipped")
    pieces = tuple(
        replace(p, quantity=p.quantity - n, released=p.released + n) if (n := units.get(p.unit)) else p
        for p in fulfilment.pieces
    )
    return replace(fulfilment, pieces=pieces, reason=reason or fulfilment.reason)


def swap(order: Order, fulfilment: Fulfilment) -> Order:
    """`order` with `fulfilment` in the place of the one with its number."""
    fulfilments = tuple(fulfilment if f.number == fulfilment.number else f for f in order.fulfilments)
    return replace(order, fulfilments=fulfilments)


def park(order: Order, units: Mapping[Unit, int], queue: str) -> Order:
    """`order` with `units` waiting in `queue`."""
    new = tuple(Wait(line_no=line, item_id=item, queue=queue, quantity=n) for (line, item), n in units.items())
    return replace(order, waiting=order.waiting + new)


def withdraw(order: Order, fulfilment: Fulfilment, units: Mapping[Unit, int], *, reason: str) -> Order:
    """Take `units` away from a fulfilment, to be served otherwise: they wait in `to_source`. Not settled."""
    require_fulfilment(order, fulfilment, "withdraw")
    return park(swap(order, cut(fulfilment, units, dead="cancelled", reason=reason)), units, "to_source")


def is_unreleased(order: Order) -> bool:
    """Whether all of it is sourced, nobody holds it, and no node has begun to work on any of it."""
    return (
        order.status == "sourced"
        and not order.waiting
        and bool(order.live)
        and all(f.status == "allocated" for f in order.live)
    )


def withdraw_all(order: Order, *, reason: str) -> Order:
    """Take everything that is not shipped away from its nodes, to be served otherwise. Not settled."""
    for f in order.live:
        if f.left:
            order = withdraw(order, f, f.left, reason=reason)
    return order


def give_up_dates(order: Order) -> Order:
    """`order` with the units whose supply has come and gone to others, or lost its date, waiting in `to_source`."""
    waiting = tuple(
        Wait(line_no=w.line_no, item_id=w.item_id, queue="to_source", quantity=w.quantity, wait_id=w.wait_id)
        if w.queue in ("backorder", "preorder") and not w.is_dated
        else w
        for w in order.waiting
    )
    return replace(order, waiting=waiting)


def take_waiting(order: Order, units: Mapping[Unit, int], among: Iterable[Wait]) -> Order:
    """`order` with `units` no longer waiting, taken from the waits `among` in their order. Not settled."""
    rest = dict(units)
    kept = {id(w): w for w in order.waiting}
    for wait in among:
        take = min(rest.get(wait.unit, 0), wait.quantity)
        if take:
            rest[wait.unit] -= take
            kept[id(wait)] = replace(wait, quantity=wait.quantity - take)
    assert not any(rest.values()), f"units that do not wait: {rest}"
    return replace(order, waiting=tuple(w for old in order.waiting if (w := kept[id(old)]).quantity))


def cancel(order: Order, rows: Sequence[Named] | None, *, reason: str | None) -> Order:
    """Cancel `rows` (None: everything) as far as it has not been shipped; bundles as a whole.

    Raises InvalidInput for unknown lines, Conflict `order.not_allowed` naming what has been shipped.
    """
    require_order(order, "cancel")
    limits = {line.line_no: cancellable(order, line) for line in order.lines}
    if rows is None:
        wanted = {n: units for n, units in limits.items() if units}
        if not wanted:
            raise _refuse_cancel(order, "nothing of it can be cancelled any more")
    else:
        wanted = _lines_wanted(order, rows, limits)
    units = {
        (line.line_no, item): per * wanted[line.line_no]
        for line in order.lines
        if wanted.get(line.line_no)
        for item, per in line.parts
    }
    # Of the waiting units first those that nobody knows when to serve, then the latest.
    soonest = sorted(
        (w for w in order.waiting if w.is_dated), key=lambda w: (w.expected_at is None, w.expected_at), reverse=True
    )
    undated = [w for w in order.waiting if not w.is_dated]
    waiting = total((w.unit, w.quantity) for w in order.waiting)
    from_queue = {unit: min(n, waiting[unit]) for unit, n in units.items() if waiting.get(unit)}
    order = take_waiting(order, from_queue, undated + soonest)
    rest = {unit: n - from_queue.get(unit, 0) for unit, n in units.items()}
    farthest_last = sorted(
        (f for f in order.fulfilments if f.left), key=lambda f: (_PROGRESS[f.status], -f.ship_by.timestamp(), -f.number)
    )
    for fulfilment in farthest_last:
        taken = {unit: min(n, left) for unit, left in fulfilment.left.items() if (n := rest.get(unit, 0))}
        if taken:
            require_fulfilment(order, fulfilment, "cancel")
            order = swap(order, cut(fulfilment, taken, dead="cancelled", reason=reason))
            rest = {unit: n - taken.get(unit, 0) for unit, n in rest.items()}
    assert not any(rest.values()), f"open units are in a queue or in a fulfilment: {rest}"
    lines = tuple(replace(line, cancelled=line.cancelled + wanted.get(line.line_no, 0)) for line in order.lines)
    return settle(replace(order, lines=lines))


def extend(
    order: Order, more: Mapping[int, int], lines: Sequence[Line] = (), skus: Mapping[int, str] = _NO_SKUS
) -> Order:
    """Add units to lines by their number, and lines: they wait in `to_source`. Not settled.

    lines  of the next numbers, in order; skus: of what is in them

    Raises Conflict `order.not_allowed`.
    """
    require_order(order, "extend")
    grown = tuple(replace(line, quantity=line.quantity + more.get(line.line_no, 0)) for line in order.lines)
    units = total(
        ((line.line_no, item), per * n)
        for line, n in [
            *((o, more[o.line_no]) for o in order.lines if more.get(o.line_no)),
            *((x, x.quantity) for x in lines),
        ]
        for item, per in line.parts
    )
    extended = replace(order, lines=grown + tuple(lines), skus={**order.skus, **skus})
    return park(extended, units, "to_source")


def cancellable(order: Order, line: Line) -> int:
    """Whole units of a line none of whose parts has been shipped."""
    shipped = total((p.unit, p.shipped) for f in order.fulfilments for p in f.pieces)
    gone = max(-(-shipped.get((line.line_no, item), 0) // per) for item, per in line.parts)
    return line.open - gone


def _lines_wanted(order: Order, rows: Sequence[Named], limits: Mapping[int, int]) -> dict[int, int]:
    by_id = {line.line_id: line for line in order.lines}
    errors: list[FieldError] = []
    wanted: dict[int, int] = {}
    for n, row in enumerate(rows):
        line = by_id.get(row.line_id)
        if line is None:
            errors.append(FieldError(f"lines[{n}].line_id", f"order {order.order_id} has no line {row.line_id!r}"))
        elif line.line_no in wanted:
            errors.append(FieldError(f"lines[{n}].line_id", f"{row.line_id!r} stands twice in this request"))
        else:
            limit = limits[line.line_no]
            wanted[line.line_no] = limit if row.quantity is None else row.quantity
            if not 0 < wanted[line.line_no] <= limit:
                asked = "all" if row.quantity is None else row.quantity
                raise _refuse_cancel(
                    order,
                    f"line {row.line_id!r}: {asked} to be cancelled; of {line.quantity} ordered {line.shipped} have "
                    f"been shipped and {line.cancelled} cancelled, so {limit} can be",
                )
    if errors:
        raise InvalidInput(errors)
    return wanted


def _refuse_cancel(order: Order, message: str) -> Conflict:
    return Conflict(
        "order.not_allowed",
        f"order {order.order_id} is {order.status}: {message}",
        order_id=order.order_id,
        state=order.status,
        allowed=offered(order.status),
        shipped={line.line_id: line.shipped for line in order.lines if line.shipped},
    )


def hold(order: Order, reason: str) -> Order:
    """Stop everything that has not been shipped until it is released."""
    require_order(order, "hold")
    return settle(replace(order, held=True, wishes=msgspec.structs.replace(order.wishes, hold=reason)))


def promised_anew(order: Order, at: datetime) -> Order:
    """The order with another day for what is still to come of it."""
    require_order(order, "repromise")
    return replace(order, deliver_by=at)


def release(order: Order, destination: Destination | None = None) -> Order:
    """End a hold, with a better `destination` if there is one; what waited for it is to be sourced."""
    require_order(order, "release")
    waiting = tuple(replace(w, queue="to_source") if w.queue == "held" else w for w in order.waiting)
    wishes = msgspec.structs.replace(order.wishes, hold=None, destination=destination or order.wishes.destination)
    return settle(replace(order, held=False, waiting=waiting, wishes=wishes))


def named_units(order: Order, rows: Sequence[Named], left: Mapping[Unit, int], path: str = "lines") -> dict[Unit, int]:
    """The units that `rows` of a request name among `left`: whole bundles by their line, or a component by its sku.

    Raises InvalidInput for what the order or this part of it does not have, Conflict `quantity.exceeded`.
    """
    by_id = {line.line_id: line for line in order.lines}
    named: dict[Unit, int] = {}
    errors: list[FieldError] = []
    for n, row in enumerate(rows):
        line = by_id.get(row.line_id)
        if line is None:
            errors.append(FieldError(f"{path}[{n}].line_id", f"order {order.order_id} has no line {row.line_id!r}"))
            continue
        whole = row.sku is None or row.sku == order.skus[line.item_id]
        parts = line.parts if whole else [p for p in line.parts if order.skus[p[0]] == row.sku]
        if not parts:
            errors.append(FieldError(f"{path}[{n}].sku", f"line {row.line_id!r} has no {row.sku!r}"))
            continue
        here = [(item, per) for item, per in parts if left.get((line.line_no, item))]
        if any((line.line_no, item) in named for item, _ in here):
            errors.append(FieldError(f"{path}[{n}].line_id", "names units that another row names"))
            continue
        if not here:
            raise _exceeded(order, row, 0)
        for item, per in here:
            unit = line.line_no, item
            asked = left[unit] if row.quantity is None else row.quantity * (per if whole else 1)
            if asked > left[unit]:
                raise _exceeded(order, row, left[unit] // (per if whole else 1))
            named[unit] = asked
    if errors:
        raise InvalidInput(errors)
    return named


def _exceeded(order: Order, row: Named, most: int) -> Conflict:
    return Conflict(
        "quantity.exceeded",
        f"line {row.line_id!r}: {'any' if row.quantity is None else row.quantity} named, {most} are left here",
        order_id=order.order_id,
        line_id=row.line_id,
        left=most,
    )
