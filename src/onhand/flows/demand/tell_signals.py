"""Take in values of signals: each moment of each scope, with since when its value is known."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.actor import Actor
from onhand.base.results import RowResult, read_rows, rejected
from onhand.db import Database
from onhand.db.outbox import write_event
from onhand.demand import holidays, store
from onhand.demand.model import Fill, Scope, SignalRow
from onhand.demand.signals import Told, decide_value
from onhand.demand.store import Stored
from onhand.errors import NotFound
from onhand.flows.transactor import Transactor

_Series = tuple[str, Scope]


def tell_signals(
    db: Database, rows: Sequence[object], *, now: datetime, by: Actor, transact: Transactor | None = None
) -> list[RowResult]:
    """Record values of signals; one that differs from what was said of its moment corrects it, and the one before is
    kept. A refused row stops no other. Results in their order, by name."""
    read = read_rows(rows, SignalRow, "name")
    return (transact or db.transact)(lambda conn: tell_in(db, conn, read, now=now, by=by))


def tell_in(
    db: Database, conn: Connection[TupleRow], rows: Sequence[SignalRow | RowResult], *, now: datetime, by: Actor
) -> list[RowResult]:
    """`tell_signals` of rows that were read, in the caller's transaction."""
    known_skus = store.item_ids(conn, {r.scope.sku for r in rows if isinstance(r, SignalRow) and r.scope.sku})
    known_nodes = store.node_ids(conn, {r.scope.node for r in rows if isinstance(r, SignalRow) and r.scope.node})
    names = {row.name for row in rows if isinstance(row, SignalRow)}
    stored = {(s.name, s.scope): s for s in store.lock_signals(conn, names)} if names else {}
    results: dict[int, RowResult] = {}
    ahead: dict[_Series, bool] = {}
    fills: dict[_Series, Fill] = {}
    sound: list[tuple[int, SignalRow, _Series]] = []
    for number, row in enumerate(rows):
        if isinstance(row, RowResult):
            results[number] = row
            continue
        series = row.name, Scope.of(row.scope)
        problems = _problems(row, known_skus, known_nodes, now) + _differs(row, stored.get(series), ahead.get(series))
        if problems:
            results[number] = rejected(row.name, *problems)
            continue
        sound.append((number, row, series))
        if series not in stored:
            ahead[series] = row.known_ahead
        if row.fill is not None:
            fills[series] = row.fill
    ids = {series: (s.signal_id, s.begun) for series, s in stored.items()}
    if ahead:
        made = store.add_signals(conn, [(*series, ahead[series], fills.get(series)) for series in ahead], begun=now)
        ids |= {series: (signal_id, now) for series, signal_id in zip(ahead, made, strict=True)}
    # A fill that is told later holds from now on, for all values.
    for series, fill in fills.items():
        if series in stored and stored[series].fill != fill:
            store.set_fill(conn, stored[series].signal_id, fill)
    written = _write_values(conn, sound, ids, results, now)
    if written:
        data = {"names": sorted(names), "values": written}
        write_event(conn, "signals.recorded", "signals", data, actor=by, origin=db.origin)
    return [results[number] for number in range(len(rows))]


def _write_values(
    conn: Connection[TupleRow],
    sound: Sequence[tuple[int, SignalRow, _Series]],
    ids: dict[_Series, tuple[int, datetime]],
    results: dict[int, RowResult],
    now: datetime,
) -> int:
    moments = {(ids[series][0], row.at) for _, row, series in sound}
    kept = store.values_of(conn, moments) if moments else {}
    values: list[tuple[int, datetime, datetime, float]] = []
    seen: dict[tuple[int, datetime, datetime | None], int] = {}
    for number, row, series in sound:
        signal_id, begun = ids[series]
        place = signal_id, row.at
        again = seen.setdefault((*place, row.known_at), number)
        if again != number:
            message = f"this moment stands in this batch already, as row {again}"
            results[number] = rejected(row.name, ("at", message))
            continue
        told = Told(signal_id, row.at, float(row.value), row.known_at, row.known_ahead)
        of_moment = kept.setdefault(place, [])
        try:
            status, known_at = decide_value(told, of_moment, begun=begun, now=now)
        except ValueError as error:
            results[number] = rejected(row.name, ("known_at", str(error)))
            continue
        results[number] = RowResult(status=status, key=row.name)
        if status != "unchanged":
            of_moment.append((known_at, told.value))
            values.append((*place, known_at, told.value))
    if values:
        store.add_values(conn, values)
    return len(values)


def _problems(row: SignalRow, skus: dict[str, int], nodes: dict[str, int], now: datetime) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    if row.name == holidays.NAME:
        problems.append(("name", f"{holidays.NAME} is built in; choose another name"))
    if row.scope.sku is not None and row.scope.sku not in skus:
        problems.append(("scope.sku", f"no item {row.scope.sku!r}"))
    if row.scope.node is not None and row.scope.node not in nodes:
        problems.append(("scope.node", f"no node {row.scope.node!r}"))
    if not row.known_ahead and row.at > now:
        problems.append(("at", "lies ahead: only a signal with known_ahead has values there"))
    if row.known_at is not None and row.known_at > now:
        problems.append(("known_at", "expected a moment that has passed"))
    if row.known_at is not None and not row.known_ahead and row.known_at < row.at:
        problems.append(("known_at", "nobody can have known before it was so; only a signal with known_ahead is"))
    return problems


def _differs(row: SignalRow, stored: Stored | None, added: bool | None) -> list[tuple[str, str]]:
    ahead = stored.known_ahead if stored is not None else added
    if ahead in (None, row.known_ahead):
        return []
    said = "true" if ahead else "false"
    return [("known_ahead", f"{row.name} of this scope has known_ahead {said}; delete it first to change that")]


def delete_signal(db: Database, name: str, *, by: Actor) -> None:
    """Delete a signal of all its scopes, with everything that was ever said. Raises NotFound."""

    def work(conn: Connection[TupleRow]) -> None:
        scopes = store.delete_signals(conn, name)
        if not scopes:
            raise NotFound("signal", name)
        write_event(conn, "signal.deleted", name, {"name": name, "scopes": scopes}, actor=by, origin=db.origin)

    db.transact(work)
