"""What a batch of item rows does to the catalogue. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from onhand.base.results import RowResult, rejected, without_repeats
from onhand.catalog.model import Component, Item, ItemIn, ItemRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the decision needs to know of the catalogue, all of it under lock.

    items       by sku: those that the rows name, and their components
    parts       skus that are components of some bundle, with the bundles' skus
    in_use      item_ids that hold stock, or that supply or orders wait for
    highest_id  of all items
    """

    items: Mapping[str, Item]
    parts: Mapping[str, Collection[str]]
    in_use: Collection[int]
    highest_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemChanges:
    """The answer per row, and the items to write."""

    results: list[RowResult]
    written: list[Item]


def decide_items(rows: Sequence[ItemRow | RowResult], known: Known) -> ItemChanges:
    """Decide all rows; a RowResult among them was refused before and stays in its place.

    Plain items come first, then bundles in the order given: a bundle may name items of the same batch, wherever they
    stand. A refused row changes nothing and refuses no other, except bundles that need it.
    """
    results, first = without_repeats(rows, lambda row: row.sku, "sku")
    bundles_here = {sku for sku, n in first.items() if _row(rows, n).components}
    state = _State(known, bundles_here)
    for sku, number in sorted(first.items(), key=lambda entry: (entry[0] in bundles_here, entry[1])):
        row = _row(rows, number)
        errors = _problems(row, state)
        if errors:
            results[number] = rejected(sku, *errors)
        else:
            results[number] = state.apply(row)
    return ItemChanges(results=[results[n] for n in range(len(rows))], written=state.written)


def _row(rows: Sequence[ItemRow | RowResult], number: int) -> ItemRow:
    row = rows[number]
    assert isinstance(row, ItemRow)
    return row


class _State:
    """The catalogue as the rows so far have left it."""

    def __init__(self, known: Known, bundles_here: Collection[str]) -> None:
        self.items = dict(known.items)
        self.parts = {sku: set(bundles) for sku, bundles in known.parts.items()}
        self.in_use = known.in_use
        self.bundles_here = bundles_here
        self.next_id = known.highest_id + 1
        self.written: list[Item] = []

    def apply(self, row: ItemRow) -> RowResult:
        before = self.items.get(row.sku)
        item = item_of(row.sku, row, self.next_id if before is None else before.item_id)
        if before is not None and before.content() == item.content():
            return RowResult(status="unchanged", key=row.sku)
        if before is None:
            self.next_id += 1
        for part in before.components if before else ():
            self.parts.setdefault(part.sku, set()).discard(row.sku)
        for part in item.components:
            self.parts.setdefault(part.sku, set()).add(row.sku)
        self.items[row.sku] = item
        self.written.append(item)
        return RowResult(status="created" if before is None else "updated", key=row.sku)


def item_of(sku: str, row: ItemIn, item_id: int) -> Item:
    """The item that a document describes."""
    return Item(
        item_id=item_id,
        sku=sku,
        name=row.name,
        weight_g=row.weight_g,
        length_mm=row.length_mm,
        width_mm=row.width_mm,
        height_mm=row.height_mm,
        unit_cost_minor=row.unit_cost_minor,
        price_minor=row.price_minor,
        currency=row.currency,
        category=row.category,
        hs_code=row.hs_code,
        release_at=row.release_at,
        components=tuple(Component(sku=c.sku, quantity=c.quantity) for c in row.components),
        attributes=row.attributes,
    )


def _problems(row: ItemRow, state: _State) -> list[tuple[str, str]]:
    errors: list[tuple[str, str]] = []
    if row.currency is None and (row.price_minor is not None or row.unit_cost_minor is not None):
        errors.append(("currency", "required with a price or a unit cost"))
    if not row.components:
        return errors
    before = state.items.get(row.sku)
    if before is not None and not before.is_bundle and before.item_id in state.in_use:
        errors.append(
            (
                "components",
                f"{row.sku!r} has stock, inbound supply or waiting orders: it cannot become a bundle",
            )
        )
    if bundles := state.parts.get(row.sku):
        errors.append(("components", f"{row.sku!r} is part of bundle {min(bundles)!r}: it cannot be one itself"))
    seen: set[str] = set()
    for number, part in enumerate(row.components):
        path = f"components[{number}].sku"
        item = state.items.get(part.sku)
        if part.sku == row.sku:
            errors.append((path, "a bundle cannot contain itself"))
        elif part.sku in seen:
            errors.append((path, f"{part.sku!r} stands twice; add the quantities up"))
        elif (item is not None and item.is_bundle) or (item is None and part.sku in state.bundles_here):
            errors.append((path, f"{part.sku!r} is a bundle; name its components instead"))
        elif item is None:
            errors.append((path, f"no item {part.sku!r}"))
        seen.add(part.sku)
    return errors
