"""What units of an order line come to. Pure.

A line's tax is one sum, so that units share it: the first n of them have tax n / quantity, rounded half up, and units n
to m the difference. Whatever the parts in which a line is shipped, returned or cancelled, they add up to the line.
"""

from collections.abc import Iterable, Mapping

from onhand.orders.model import Line, Unit
from onhand.payments.model import Movement, Terms


def net_and_tax(line: Line, units: int, terms: Terms) -> tuple[int, int]:
    """(net, tax) of the first `units` of a line, in minor units. units: 0 to its quantity."""
    assert 0 <= units <= line.quantity, f"line {line.line_id!r} has {line.quantity} units, not {units}"
    price = line.price_minor * units
    tax = (2 * (line.tax_minor or 0) * units + line.quantity) // (2 * line.quantity)
    return (price, tax) if terms.tax == "added" else (price - tax, tax)


def gross(line: Line, units: int, terms: Terms) -> int:
    """What the first `units` of a line cost, tax included."""
    return sum(net_and_tax(line, units, terms))


def open_minor(lines: Iterable[Line], terms: Terms) -> int:
    """What is not cancelled of an order costs, shipped or not."""
    return sum(gross(line, line.open, terms) for line in lines)


def whole_units(lines: Iterable[Line], units: Mapping[Unit, int]) -> dict[int, int]:
    """By line number how many ordered units are complete in `units` of items: a bundle counts when all of it is."""
    return {line.line_no: min(units.get((line.line_no, item), 0) // per for item, per in line.parts) for line in lines}


def moved_by(movements: Iterable[Movement]) -> dict[Unit, int]:
    """Units of items in all of them."""
    sums: dict[Unit, int] = {}
    for movement in movements:
        for unit, count in movement.units.items():
            sums[unit] = sums.get(unit, 0) + count
    return sums
