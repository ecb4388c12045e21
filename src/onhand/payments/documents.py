"""Which invoices and credit notes are due. Pure.

Each shipment is invoiced and each return credited, with what it adds to what was documented before: so the documents of
an order add up to what `amounts` says of all that was shipped and returned, also when a bundle leaves in parts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onhand.payments.amounts import net_and_tax, whole_units
from onhand.payments.model import DocumentKind, DocumentLine, Draft, Movement, Sold, Terms


@dataclass(frozen=True, slots=True)
class Billed:
    """What documents of one kind say of a line so far."""

    units: int = 0
    net_minor: int = 0
    tax_minor: int = 0


Ledger = Mapping[tuple[DocumentKind, int], Billed]
"""By kind and line number."""
_NOTHING = Billed()


def due_documents(sold: Sold, terms: Terms, billed: Ledger, *, shipments: int, returns: int) -> list[Draft]:
    """Documents of what happened after shipment number `shipments` and return number `returns`, invoices first."""
    return [
        *_due(sold, terms, "invoice", sold.shipments, billed, shipments),
        *_due(sold, terms, "credit_note", sold.returns, billed, returns),
    ]


def _due(
    sold: Sold, terms: Terms, kind: DocumentKind, movements: tuple[Movement, ...], billed: Ledger, seen: int
) -> Iterator[Draft]:
    now = {line.line_no: billed.get((kind, line.line_no), _NOTHING) for line in sold.lines}
    moved: dict[tuple[int, int], int] = {}
    for movement in sorted(movements, key=lambda m: m.number):
        for unit, count in movement.units.items():
            moved[unit] = moved.get(unit, 0) + count
        if movement.number <= seen:
            continue
        whole = whole_units(sold.lines, moved)
        lines: list[DocumentLine] = []
        for line in sold.lines:
            before, units = now[line.line_no], whole[line.line_no]
            net, tax = net_and_tax(line, units, terms)
            after = Billed(units, net, tax)
            if after != before:
                now[line.line_no] = after
                lines.append(
                    DocumentLine(
                        line_no=line.line_no,
                        line_id=line.line_id,
                        item_id=line.item_id,
                        quantity=units - before.units,
                        net_minor=net - before.net_minor,
                        tax_minor=tax - before.tax_minor,
                    )
                )
        if lines:
            yield Draft(kind=kind, part=movement.number, at=movement.at, lines=tuple(lines))
