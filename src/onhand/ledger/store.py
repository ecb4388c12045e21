"""The SQL of positions and entries. Whoever changes stock by decision comes through `apply_entries`."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.db import arrays
from onhand.db.outbox import write_event
from onhand.db.queries import queries
from onhand.ledger.decide import fold
from onhand.ledger.model import OPENING_KINDS, Entry, Position, Rejected, Result

SQL = queries(__file__)

Key = tuple[int, int]
"""(item_id, node_id)"""


def lock_positions(
    conn: Connection[TupleRow], keys: Iterable[Key], *, opening: Collection[Key] = ()
) -> dict[Key, Position]:
    """Positions of `keys`, locked in (item, node) order until the transaction ends.

    Those among `opening` are made where missing; others that do not exist are left out.
    """
    ordered = sorted(set(keys))
    if opening:
        missing = sorted(set(opening))
        conn.execute(SQL["open_positions"], _pairs(missing))
    with conn.cursor(binary=True) as cursor:
        rows = cursor.execute(SQL["lock_positions"], _pairs(ordered)).fetchall()
    return {(row[0], row[1]): Position(*row) for row in rows}


def lock_entries(conn: Connection[TupleRow], entries: Sequence[Entry]) -> dict[Key, Position]:
    """Lock the positions of `entries`, making those that a first entry opens."""
    return lock_positions(
        conn,
        [(e.item_id, e.node_id) for e in entries],
        opening={
            (e.item_id, e.node_id)
            for e in entries
            if e.kind in OPENING_KINDS and (e.quantity > 0 or (e.kind == "count" and not e.quantity))
        },
    )


def apply_entries(conn: Connection[TupleRow], entries: Sequence[Entry], *, actor: Actor, origin: int) -> list[Result]:
    """Lock the positions of `entries`, decide them in order, write what was decided; one result
    each.

    A rejected entry changes nothing and stops no other. Writes one event `stock.changed` if any was
    applied. Order and reservation rows must be locked before, capacity and inbound rows after.
    """
    held = lock_entries(conn, entries)
    return write_entries(conn, held, entries, actor=actor, origin=origin)


def write_entries(
    conn: Connection[TupleRow],
    held: dict[Key, Position],
    entries: Sequence[Entry],
    *,
    actor: Actor,
    origin: int,
) -> list[Result]:
    """The second half of `apply_entries`: `held` as `lock_positions` returned it, in this
    transaction. `held` is brought up to date.
    """
    changed, outcomes = fold(held, entries)
    if not changed:
        return [
            Result.rejected(o.code, o.message, held.get((e.item_id, e.node_id)))
            for e, o in zip(entries, outcomes, strict=True)
            if isinstance(o, Rejected)
        ]
    order = sorted(changed)
    slot_of = {key: slot for slot, key in enumerate(order, 1)}
    running = {key: held.get(key) or Position(*key) for key in order}
    # One column per list: what the statement takes, without a tuple per row in between.
    slots: list[int] = []
    versions: list[int] = []
    kinds: list[str] = []
    quantities: list[int] = []
    d_on_hand: list[int] = []
    d_unavailable: list[int] = []
    d_allocated: list[int] = []
    d_oversold: list[int] = []
    on_hand: list[int] = []
    unavailable: list[int] = []
    allocated: list[int] = []
    oversold: list[int] = []
    refs: list[bytes | None] = []
    references: list[str | None] = []
    reasons: list[str | None] = []
    occurred: list[int] = []
    stated: list[int] = []  # row of the entry that was asked for
    default_reason = actor.reason
    for entry, outcome in zip(entries, outcomes, strict=True):
        if isinstance(outcome, Rejected):
            continue
        key = (entry.item_id, entry.node_id)
        slot = slot_of[key]
        before = running[key]
        version, h, u = before.version, before.on_hand, before.unavailable
        a, s = before.allocated, before.oversold
        stated.append(len(slots) + outcome.stated)
        for move in outcome.moves:
            version += 1
            h += move.d_on_hand
            u += move.d_unavailable
            a += move.d_allocated
            s += move.d_oversold
            slots.append(slot)
            versions.append(version)
            kinds.append(move.kind)
            quantities.append(move.quantity)
            d_on_hand.append(move.d_on_hand)
            d_unavailable.append(move.d_unavailable)
            d_allocated.append(move.d_allocated)
            d_oversold.append(move.d_oversold)
            on_hand.append(h)
            unavailable.append(u)
            allocated.append(a)
            oversold.append(s)
            refs.append(None if entry.ref is None else entry.ref.bytes)
            references.append(entry.reference)
            reasons.append(move.reason or entry.reason or default_reason)
            occurred.append(arrays.NO_TIME if entry.occurred_us is None else entry.occurred_us)
        running[key] = outcome.after
    assert running == changed, "the entries written lead to the positions decided"
    int4 = arrays.int4
    after = [changed[key] for key in order]
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(
            SQL["write_entries"],
            (
                int4([p.item_id for p in after]),
                int4([p.node_id for p in after]),
                int4([p.on_hand for p in after]),
                int4([p.unavailable for p in after]),
                int4([p.allocated for p in after]),
                int4([p.oversold for p in after]),
                int4([p.version for p in after]),
                int4(slots),
                int4(versions),
                arrays.words(kinds),
                int4(quantities),
                int4(d_on_hand),
                int4(d_unavailable),
                int4(d_allocated),
                int4(d_oversold),
                int4(on_hand),
                int4(unavailable),
                int4(allocated),
                int4(oversold),
                int4([actor.key_id] * len(slots)),
                arrays.nullable_uuid(refs),
                arrays.text(references),
                arrays.text(reasons),
                arrays.timestamptz(occurred),
                origin,
            ),
        ).fetchone()
    assert row is not None, "a function returns a row"
    entry_ids: list[int] = row[0]
    assert len(entry_ids) == len(slots), "every entry is written"
    results: list[Result] = []
    applied = iter(stated)
    now = dict(held)
    for entry, outcome in zip(entries, outcomes, strict=True):
        key = (entry.item_id, entry.node_id)
        if isinstance(outcome, Rejected):
            results.append(Result.rejected(outcome.code, outcome.message, now.get(key)))
            continue
        position = outcome.after
        now[key] = position
        results.append(Result("applied", entry_ids[next(applied)], position.on_hand, position.available))
    held.update(changed)
    return results


def safety_stock_of(conn: Connection[TupleRow], key: Key) -> int:
    """Units kept back at a position, or by default at its node."""
    row = conn.execute(SQL["safety_stock_of"], {"item_id": key[0], "node_id": key[1]}).fetchone()
    return 0 if row is None else row[0]


def own_safety_stock(conn: Connection[TupleRow], key: Key) -> int | None:
    """Units kept back at a position by its own word; None: what its node says holds."""
    row = conn.execute(SQL["own_safety_stock"], {"item_id": key[0], "node_id": key[1]}).fetchone()
    return None if row is None else row[0]


def set_safety_stock(conn: Connection[TupleRow], key: Key, units: int | None, *, actor: Actor, origin: int) -> None:
    """Keep back so many units at a position, which is made where it is missing; None: what its node says. Writes
    `stock.changed`."""
    lock_positions(conn, [key], opening=[key])
    conn.execute(SQL["set_safety_stock"], {"item_id": key[0], "node_id": key[1], "units": units})
    data = {"items": [key[0]], "nodes": [key[1]]}
    write_event(conn, "stock.changed", "stock", data, actor=actor, origin=origin)


def find_items(conn: Connection[TupleRow], skus: Collection[str]) -> dict[str, tuple[int, bool]]:
    """sku -> (item_id, whether it is a bundle); unknown ones are left out."""
    rows = conn.execute(SQL["find_items"], {"skus": list(skus)}).fetchall()
    return {sku: (item_id, is_bundle) for sku, item_id, is_bundle in rows}


def find_nodes(conn: Connection[TupleRow], codes: Collection[str]) -> dict[str, int]:
    """code -> node_id; unknown ones are left out."""
    return dict(conn.execute(SQL["find_nodes"], {"codes": list(codes)}).fetchall())


def _pairs(keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "items": arrays.int4([item for item, _ in keys]),
        "nodes": arrays.int4([node for _, node in keys]),
    }
