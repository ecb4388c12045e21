"""What an entry does to a position: the only place where the rules of stock are written. Pure.

Two promises hold after every single entry, whatever is stated: no counter is negative, and
`available = on_hand - unavailable - allocated` is not either. Reality may still take units that
were promised (a count finds fewer, goods break): the promise then moves from `allocated` to
`oversold`, and units that turn up later cover it before anybody else can have them. So units are
never available and oversold at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from onhand.ledger.model import (
    COVERS_OVERSELL,
    INT32_MAX,
    OVERSELL,
    Applied,
    Entry,
    Kind,
    Move,
    Position,
    Rejected,
)

INSUFFICIENT = "stock.insufficient"
NOT_ALLOCATED = "stock.not_allocated"
INVALID = "input.invalid"


def decide_entry(position: Position, kind: Kind, quantity: int, *, state: str | None = None) -> Applied | Rejected:
    """The entries that stating `quantity` units of `kind` at `position` leads to, in order.

    quantity  ≥ 1; signed and not 0 for adjustment, absolute and ≥ 0 for count
    state     "unavailable", for an adjustment: damaged units come or go

    Total: any integers give Applied or Rejected. `position` must keep the promises above.
    """
    if state is not None and (kind != "adjustment" or state != "unavailable"):
        return Rejected(INVALID, 'state is only known for an adjustment, as "unavailable"')
    if kind == "adjustment":
        if quantity == 0 or not -INT32_MAX <= quantity <= INT32_MAX:
            return Rejected(INVALID, f"expected a quantity other than 0 within ±{INT32_MAX}, got {quantity}")
        if state is not None:
            return _adjust_unavailable(position, quantity)
    else:
        least = 0 if kind == "count" else 1
        if not least <= quantity <= INT32_MAX:
            return Rejected(INVALID, f"expected a quantity from {least} to {INT32_MAX}, got {quantity}")
    return _RULES[kind](position, kind, quantity)


def fold(
    positions: Mapping[tuple[int, int], Position], entries: Iterable[Entry]
) -> tuple[dict[tuple[int, int], Position], list[Applied | Rejected]]:
    """Decide `entries` in order, each on the position that those before it left.

    `positions` by (item_id, node_id); one that is absent is empty. Returns the changed positions
    and one outcome per entry.
    """
    changed: dict[tuple[int, int], Position] = {}
    outcomes: list[Applied | Rejected] = []
    for entry in entries:
        key = (entry.item_id, entry.node_id)
        position = changed.get(key) or positions.get(key) or Position(*key)
        outcome = decide_entry(position, entry.kind, entry.quantity, state=entry.state)
        if isinstance(outcome, Applied):
            changed[key] = outcome.after
        outcomes.append(outcome)
    return changed, outcomes


def _apply(position: Position, moves: Sequence[Move], stated: int = 0) -> Applied | Rejected:
    on_hand, unavailable = position.on_hand, position.unavailable
    allocated, oversold = position.allocated, position.oversold
    for move in moves:
        on_hand += move.d_on_hand
        unavailable += move.d_unavailable
        allocated += move.d_allocated
        oversold += move.d_oversold
    # The columns are 32 bits wide; allocated and unavailable are parts of on_hand.
    if on_hand > INT32_MAX or oversold > INT32_MAX:
        return Rejected(INVALID, f"a position holds at most {INT32_MAX} units")
    available = on_hand - unavailable - allocated
    if oversold and available > 0:
        # Units that turn up belong first to those who were promised them.
        covered = min(available, oversold)
        allocated += covered
        oversold -= covered
        moves = (*moves, Move("allocate", covered, 0, 0, covered, -covered, COVERS_OVERSELL))
    after = Position(
        position.item_id,
        position.node_id,
        on_hand,
        unavailable,
        allocated,
        oversold,
        position.version + len(moves),
    )
    return Applied(after, tuple(moves), stated)


def _take_back(position: Position, units: int, stated: Move) -> Applied | Rejected:
    """`stated` takes `units` more than are available: as many promises become oversold before it.

    The release comes first, so that `available` is not negative in between.
    """
    release = Move("release", units, 0, 0, -units, units, OVERSELL)
    return _apply(position, (release, stated), 1)


def _short(position: Position, wanted: int) -> Rejected:
    return Rejected(INSUFFICIENT, f"{wanted} units wanted, {position.available} available")


def _come_in(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    return _apply(position, (Move(kind, quantity, quantity),))


def _transfer_out(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    if quantity > position.available:
        return _short(position, quantity)
    return _apply(position, (Move(kind, quantity, -quantity),))


def _adjust(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    if quantity < 0 and -quantity > position.available:
        return _short(position, -quantity)
    return _apply(position, (Move(kind, quantity, quantity),))


def _adjust_unavailable(position: Position, quantity: int) -> Applied | Rejected:
    if position.unavailable + quantity < 0:
        return Rejected(INSUFFICIENT, f"{-quantity} units wanted, {position.unavailable} are unavailable")
    return _apply(position, (Move("adjustment", quantity, quantity, quantity),))


def _count(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    # What was counted is a fact. Missing units were first of all not the damaged ones; only when
    # fewer are left than are damaged, some of those are gone too.
    unavailable = min(position.unavailable, quantity)
    found = Move(kind, quantity, quantity - position.on_hand, unavailable - position.unavailable)
    missing = position.allocated - (quantity - unavailable)
    if missing > 0:
        return _take_back(position, missing, found)
    return _apply(position, (found,))


def _damage(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    if quantity > position.on_hand - position.unavailable:
        return Rejected(
            INSUFFICIENT,
            f"{quantity} units wanted, {position.on_hand - position.unavailable} are undamaged",
        )
    broken = Move(kind, quantity, 0, quantity)
    if quantity > position.available:
        return _take_back(position, quantity - position.available, broken)
    return _apply(position, (broken,))


def _restore(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    if quantity > position.unavailable:
        return Rejected(INSUFFICIENT, f"{quantity} units wanted, {position.unavailable} are unavailable")
    return _apply(position, (Move(kind, quantity, 0, -quantity),))


def _allocate(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    if quantity > position.available:
        return _short(position, quantity)
    return _apply(position, (Move(kind, quantity, 0, 0, quantity),))


def _release(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    # Whoever gives up a promise gives up one that could not be kept, as long as there is one.
    oversold = min(quantity, position.oversold)
    allocated = quantity - oversold
    if allocated > position.allocated:
        return _not_promised(position, quantity)
    return _apply(position, (Move(kind, quantity, 0, 0, -allocated, -oversold),))


def _ship(position: Position, kind: Kind, quantity: int) -> Applied | Rejected:
    allocated = min(quantity, position.allocated)
    oversold = quantity - allocated
    if oversold > position.oversold:
        return _not_promised(position, quantity)
    if quantity > position.on_hand:
        return Rejected(INSUFFICIENT, f"{quantity} units to ship, {position.on_hand} on hand: count them first")
    # They left the building, so units beyond those allocated were there after all: available ones,
    # and then ones that had been taken for damaged.
    unavailable = max(0, oversold - position.available)
    return _apply(position, (Move(kind, quantity, -quantity, -unavailable, -allocated, -oversold),))


def _not_promised(position: Position, quantity: int) -> Rejected:
    promised = position.allocated + position.oversold
    return Rejected(NOT_ALLOCATED, f"{quantity} units named, {promised} are promised here")


_RULES: dict[Kind, Callable[[Position, Kind, int], Applied | Rejected]] = {
    "receipt": _come_in,
    "return": _come_in,
    "transfer_in": _come_in,
    "transfer_out": _transfer_out,
    "adjustment": _adjust,
    "count": _count,
    "damage": _damage,
    "restore": _restore,
    "allocate": _allocate,
    "release": _release,
    "expire": _release,
    "ship": _ship,
}
