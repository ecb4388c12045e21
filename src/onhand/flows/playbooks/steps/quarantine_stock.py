"""Set free units aside that are probably not there, and make them free again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.autopilot.model import Target
from onhand.db import queries
from onhand.flows.playbooks.base import SUBJECTS_REACHED, At, Did, HeldOut, Meant, Nothing, Place, Undone
from onhand.flows.playbooks.steps.judged import SERVED, SPARE_UNITS, position_targets
from onhand.flows.playbooks.targets import joined, positions_of
from onhand.flows.record_entries import record_in
from onhand.flows.serve_waiting import serve_waiting
from onhand.incidents.playbooks.facts import number
from onhand.incidents.playbooks.model import QuarantineStockIn
from onhand.incidents.respond.stock import worth_quarantining
from onhand.ledger.intake import EntryIn
from onhand.ledger.store import Key, find_items, find_nodes, lock_positions

SQL = queries(__file__)
Name = tuple[str, str]
_REASON = "suspected_phantom"


class QuarantineStock:
    """See QuarantineStockIn."""

    def mean(self, at: At[QuarantineStockIn]) -> Meant | HeldOut | Nothing:
        share = min(1.0, max(0.0, number(at.step.share, at.known)))
        named = positions_of(at.case)
        mine = at.claim("stock", [joined(key) for key in named])
        free = at.unowned([_key(name) for name in named])
        named = [name for name in named if joined(name) in mine and _key(name) in free]
        items = find_items(at.conn, {sku for sku, _ in named})
        nodes = find_nodes(at.conn, {node for _, node in named})
        keys = {(items[s][0], nodes[n]): (s, n) for s, n in named if s in items and n in nodes}
        if at.step.rejection_minor is not None:
            keys = _worth_hiding(at, keys, at.step.rejection_minor)
        held = lock_positions(at.conn, list(keys))
        keyed = {name: key for key, name in keys.items()}
        left = at.left.units
        rows: list[tuple[str, str, int]] = []
        for key, name in keys.items():
            units = int(share * held[key].available) if key in held else 0
            if left is not None:
                units = min(units, left)
                left -= units
            if units:
                rows.append((*name, units))
        if not rows:
            return Nothing("nothing of what it touches is free, or better set aside")
        rows, beyond = at.within_subjects(rows)
        if not rows:
            return Nothing(SUBJECTS_REACHED)
        targets: dict[Name, Target] = {}
        if at.judges:
            targets = position_targets(
                at, [row[:2] for row in rows], rejection_minor=at.step.rejection_minor,
                farther_minor=at.step.farther_minor, of=len(rows),
            )  # fmt: skip
        rows, left_undone = at.apart(rows, lambda row: _key(row[:2]))
        held_out = tuple(targets[row[:2]] for row in left_undone)
        if not rows:
            return HeldOut(targets=held_out)
        total = sum(units for *_, units in rows)

        def do() -> Did:
            written = _record(at, "damage", rows)
            done = [row for row, ok in zip(rows, written[1], strict=True) if ok]
            assert done == rows, "what is free and locked can be set aside"
            undo = {"stock": [[*row, held[keyed[row[:2]]].unavailable] for row in rows]}
            return Did(result={"set_aside": total, **beyond}, undo=undo, units=total, stock=written[0])

        keys = [_key(row[:2]) for row in rows]
        return Meant(
            key=keys[0], also=tuple(keys[1:]), direction=-1, do=do, units=total, subjects=len(rows),
            held_out=held_out,
            targets=tuple(targets[row[:2]] for row in rows) if targets else (),
        )  # fmt: skip

    def undo(self, at: Place, undo: Mapping[str, Any]) -> Undone:
        rows = [(sku, node, units) for sku, node, units, *_ in undo["stock"]]
        items = find_items(at.conn, {sku for sku, *_ in rows})
        nodes = find_nodes(at.conn, {node for _, node, _ in rows})
        held = lock_positions(at.conn, [(items[s][0], nodes[n]) for s, n, _ in rows])
        others = _others(at, undo["stock"])
        # A count may have found that they are not there: no more is made free than is left of them beside what is
        # unavailable for other reasons.
        kept = [
            (s, n, min(u, max(held[items[s][0], nodes[n]].unavailable - others[s, n], 0))) for s, n, u in rows
        ]  # fmt: skip
        kept = [row for row in kept if row[2]]
        stock, done = _record(at, "restore", kept)
        freed = sum(units for (*_, units), ok in zip(kept, done, strict=True) if ok)
        return Undone(result={"free_again": freed, "gone": sum(u for *_, u in rows) - freed}, stock=stock)


def _key(name: Name) -> tuple[str, str, str]:
    return ("item_node", *name)


def _worth_hiding(at: At[QuarantineStockIn], keys: Mapping[Key, Name], rejection_minor: int) -> dict[Key, Name]:
    """Those that had better not be sold, by how sure the detector is of each and who else could serve its orders."""
    sure = {f.subject.key[:2]: f.confidence for f in at.case.findings if f.subject.what == "item_node"}
    asked = {"items": [item for item, _ in keys], "nodes": [node for _, node in keys]}
    rows = at.conn.execute(SQL["worth_of_positions"], asked).fetchall()
    if not rows:
        return {}
    found: list[Key] = [(item, node) for item, node, *_ in rows]
    is_worth = worth_quarantining(
        np.array([sure[keys[key]] for key in found]),
        np.array([margin for *_, margin, _ in rows]),
        rejection_minor,
        np.array([SERVED if units >= SPARE_UNITS else 0.0 for *_, units in rows]),
        at.step.farther_minor,
    )
    return {key: keys[key] for key, worth in zip(found, is_worth.tolist(), strict=True) if worth}


def _others(at: Place, rows: list[list[Any]]) -> dict[Name, int]:
    """Units that are unavailable for other reasons, by (sku, node): those before, and what was said of more since."""
    values = {
        "skus": [sku for sku, *_ in rows], "nodes": [node for _, node, *_ in rows], "reference": at.run.run_id,
        "reason": _REASON,
    }  # fmt: skip
    since = {(sku, node): units for sku, node, units in at.conn.execute(SQL["unavailable_since"], values)}
    return {(sku, node): max(before + since.get((sku, node), 0), 0) for sku, node, _, before in rows}


def _record(at: Place, kind: str, rows: list[tuple[str, str, int]]) -> tuple[tuple[Key, ...], list[bool]]:
    """Positions that changed, and whether each entry was applied."""
    state = at.state

    def serve(conn: Connection[TupleRow], keys: list[Key]) -> None:
        serve_waiting(state, conn, keys, by=at.by)

    entries = [
        EntryIn(kind=kind, sku=sku, node=node, quantity=units, reason=_REASON, reference=at.run.run_id)
        for sku, node, units in rows
    ]
    recorded = record_in(
        at.conn, state.catalogue, state.network.node_ids, entries, at.by, origin=state.db.origin, now=at.now,
        serve_waiting=serve,
    )  # fmt: skip
    return tuple(recorded.positions), [result.status == "applied" for result in recorded.results]
