"""The SQL of costs: what orders cost follows from, entries, charges, reports."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from psycopg import Connection, errors
from psycopg.rows import TupleRow, class_row

from onhand.base.actor import Actor
from onhand.costs.decide import costs_of
from onhand.costs.model import (
    Charge,
    Cost,
    CostedFulfilment,
    CostedLine,
    CostedOrder,
    CostedReturn,
    CostedShipment,
    CostedUnit,
    Entry,
    Exchange,
    Group,
    Row,
)
from onhand.costs.prices import NOTHING, Lateness, lateness_of
from onhand.db.queries import queries
from onhand.orders.model import DEAD, Line, by_term
from onhand.orders.rows import decode_cost, decode_lines, decode_pieces

SQL = queries(__file__)

FIRST: Final = ("", False, "")
"""Before all rows of a report."""

_Key = tuple[str | None, str, str, str, int | None, str | None]
"""(order_id, source, kind, term, item_id, cause): what an entry adds to"""


def book(conn: Connection[TupleRow], costs: Iterable[Cost]) -> int:
    """Book what actions, playbooks and payments cost, in the caller's transaction; how many entries that took.

    A source is booked once: told again, the difference to before is written. Raises SerializationFailure, so that the
    transaction is tried again, when somebody else books the same source at the same time.
    """
    told = list(costs)
    asked = {
        "orders": sorted({c.order_id for c in told if c.order_id is not None}),
        "sources": sorted({c.source for c in told}),
    }
    rows = conn.execute(SQL["booked_by_sources"], asked).fetchall() if told else []
    return _write(conn, _differences(told, rows), derived=False)


def restate(conn: Connection[TupleRow], sources: Collection[tuple[str | None, str]], costs: Sequence[Cost]) -> int:
    """Book all that these sources, each with its order, cost by now: what is booked of them and not among `costs` is
    taken back. Otherwise as `book`."""
    assert all((cost.order_id, cost.source) in sources for cost in costs), "a cost is of one of the sources"
    asked = {
        "orders": sorted({order_id for order_id, _ in sources if order_id is not None}),
        "sources": sorted({source for _, source in sources}),
    }
    rows = [row for row in conn.execute(SQL["booked_by_sources"], asked).fetchall() if (row[0], row[1]) in sources]
    named = {_key(cost) for cost in costs}
    gone = {tuple(row[:6]) for row in rows if row[6] and tuple(row[:6]) not in named}
    told = [*costs, *_taken_back(conn.execute(SQL["last_by_sources"], asked), gone)] if gone else list(costs)
    return _write(conn, _differences(told, rows), derived=False)


def follow(conn: Connection[TupleRow], order_ids: Sequence[str]) -> int:
    """Book what orders have come to cost by now; how many entries that took. One at a time does it."""
    orders = load(conn, order_ids)
    told = [cost for order in orders for cost in costs_of(order)]
    known = {"orders": [order.order_id for order in orders]}
    rows = conn.execute(SQL["booked"], known).fetchall()
    named = {_key(cost) for cost in told}
    if gone := {tuple(row[:6]) for row in rows if row[6] and tuple(row[:6]) not in named}:
        at = {order.order_id: order.changed_at for order in orders}
        back = _taken_back(conn.execute(SQL["last_entries"], known), gone)
        told += [replace(cost, at=at[cost.order_id or ""]) for cost in back]
    return _write(conn, _differences(told, rows), derived=True)


def _key(cost: Cost) -> _Key:
    return cost.order_id, cost.source, cost.kind, cost.term, cost.item_id, cost.cause


def _differences(told: Iterable[Cost], booked: Iterable[TupleRow]) -> list[tuple[Cost, int]]:
    """(cost, turn) of what is to be added to what is booked, so that each source comes to what is told of it."""
    before = {tuple(row[:6]): (row[6], row[7]) for row in booked}
    totals: dict[_Key, Cost] = {}
    for cost in told:
        earlier = totals.get(_key(cost))
        totals[_key(cost)] = cost if earlier is None else replace(cost, minor=earlier.minor + cost.minor)
    found: list[tuple[Cost, int]] = []
    for key, cost in totals.items():
        minor, turn = before.get(key, (0, 0))
        if cost.minor != minor:
            found.append((replace(cost, minor=cost.minor - minor), turn + 1))
    return found


def _taken_back(last: Iterable[TupleRow], gone: Collection[tuple[Any, ...]]) -> list[Cost]:
    """Costs of 0, of the place that the last entries of what is gone name."""
    return [
        Cost(
            order_id=row[0], source=row[1], kind=row[2], term=row[3], item_id=row[4], cause=row[5], minor=0,
            currency=row[6], fulfilment=row[7], shipment=row[8], node_id=row[9], carrier=row[10], channel_id=row[11],
            at=row[12],
        )
        for row in last
        if tuple(row[:6]) in gone
    ]  # fmt: skip


def _write(conn: Connection[TupleRow], entries: Sequence[tuple[Cost, int]], *, derived: bool) -> int:
    if not entries:
        return 0
    costs = [cost for cost, _ in entries]
    written = conn.execute(
        SQL["add_entries"],
        {
            "derived": derived,
            "orders": [c.order_id for c in costs],
            "sources": [c.source for c in costs],
            "kinds": [c.kind for c in costs],
            "terms": [c.term for c in costs],
            "items": [c.item_id for c in costs],
            "causes": [c.cause for c in costs],
            "turns": [turn for _, turn in entries],
            "minors": [c.minor for c in costs],
            "currencies": [c.currency for c in costs],
            "fulfilments": [c.fulfilment for c in costs],
            "shipments": [c.shipment for c in costs],
            "nodes": [c.node_id for c in costs],
            "carriers": [c.carrier for c in costs],
            "channels": [c.channel_id for c in costs],
            "moments": [c.at for c in costs],
        },
    ).rowcount
    if written != len(entries):
        raise errors.SerializationFailure("the same costs are booked by somebody else")
    return written


# What costs follow from ---------------------------------------------------------------------------


def load(conn: Connection[TupleRow], order_ids: Sequence[str]) -> list[CostedOrder]:
    """Orders with all that their cost follows from; what does not exist is left out."""
    known = {"orders": sorted(set(order_ids))}
    rows = conn.execute(SQL["costed_orders"], known).fetchall() if order_ids else []
    if not rows:
        return []
    lines = {row[0]: decode_lines(row[5]) for row in rows}
    shipments: dict[tuple[str, int], list[CostedShipment]] = defaultdict(list)
    for order_id, of, number, carrier, shipped_at, delivered_at in conn.execute(SQL["costed_shipments"], known):
        shipped = CostedShipment(number=number, carrier=carrier, shipped_at=shipped_at, delivered_at=delivered_at)
        shipments[order_id, of].append(shipped)
    returns: dict[str, list[CostedReturn]] = defaultdict(list)
    for order_id, number, line_no, item, node, units, disposition, at in conn.execute(SQL["costed_returns"], known):
        returns[order_id].append(
            CostedReturn(
                number=number, line_no=line_no, item_id=item, node_id=node, quantity=units, disposition=disposition,
                at=at,
            )
        )  # fmt: skip
    charges: dict[str, list[Charge]] = defaultdict(list)
    for charge in _charges(conn, "costed_charges", known):
        charges[charge.order_id].append(charge)
    cancelled = [row[0] for row in rows if any(line.cancelled for line in lines[row[0]])]
    backed: dict[str, dict[tuple[str, int], int]] = defaultdict(dict)
    for order_id, line_id, item, units in conn.execute(SQL["backed"], {"orders": cancelled}) if cancelled else ():
        backed[order_id][line_id, item] = units
    ended: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for order_id, line_id, cause, units in conn.execute(SQL["ended"], {"orders": cancelled}) if cancelled else ():
        ended[order_id, line_id][cause] = units
    exchanges = _exchanges(conn, cancelled, lines) if cancelled else {}
    items = {i for some in lines.values() for line in some for i in (line.item_id, *(p for p, _ in line.parts))}
    costs = {i: (minor, currency) for i, minor, currency in conn.execute(SQL["unit_costs"], {"items": sorted(items)})}
    fulfilments = _fulfilments(conn, known, {row[0]: (row[3], row[7]) for row in rows}, shipments)
    now = datetime.now(UTC)
    found: list[CostedOrder] = []
    for order_id, channel_id, currency, placed_at, deliver_by, _, was_held, _ in rows:
        in_currency = {i: minor for i, (minor, of) in costs.items() if of == currency}
        found.append(
            CostedOrder(
                order_id=order_id, channel_id=channel_id, currency=currency, placed_at=placed_at, changed_at=now,
                deliver_by=deliver_by, was_held=was_held, fulfilments=fulfilments.get(order_id, []),
                returns=returns.get(order_id, []), charges=charges.get(order_id, []),
                exchanges=exchanges.get(order_id, []), unit_costs=in_currency,
                lines=[
                    CostedLine(
                        line_no=line.line_no, quantity=line.quantity, cancelled=line.cancelled,
                        price_minor=line.price_minor, item_id=line.item_id, parts=line.parts,
                        unit_cost_minor=_cost_of(line.parts, in_currency),
                        backed={i: n for (name, i), n in backed[order_id].items() if name == line.line_id},
                        ended=ended.get((order_id, line.line_id), {}),
                    )
                    for line in lines[order_id]
                ],
            )
        )  # fmt: skip
    return found


def _exchanges(
    conn: Connection[TupleRow], order_ids: Sequence[str], lines: Mapping[str, Sequence[Line]]
) -> dict[str, list[Exchange]]:
    found: dict[str, list[Exchange]] = defaultdict(list)
    rows = conn.execute(SQL["costed_exchanges"], {"orders": order_ids})
    for order_id, line_no, instead, units, cause, at, is_undone in rows:
        number = next((line.line_no for line in lines[order_id] if line.line_id == instead), None)
        if number is not None:
            found[order_id].append(
                Exchange(
                    line_no=line_no, instead_no=number, units=units, cause=cause, at=at, is_undone=is_undone
                )
            )  # fmt: skip
    return found


def _cost_of(parts: Sequence[tuple[int, int]], costs: Mapping[int, int]) -> int | None:
    """Of a unit as it is ordered; None where a part's is not known."""
    return sum(costs[i] * n for i, n in parts) if all(i in costs for i, _ in parts) else None


def _fulfilments(
    conn: Connection[TupleRow], known: dict[str, Any], asked: Mapping[str, tuple[datetime, str | None]],
    shipments: Mapping[tuple[str, int], list[CostedShipment]],
) -> dict[str, list[CostedFulfilment]]:  # fmt: skip
    rows = conn.execute(SQL["costed_fulfilments"], known).fetchall()
    labels = {row[12].partition("/")[0] for row in rows if row[12]}
    documents = dict(conn.execute(SQL["policy_documents"], {"labels": sorted(labels)}).fetchall()) if labels else {}
    found: dict[str, list[CostedFulfilment]] = defaultdict(list)
    for row in rows:
        order_id, number, plan_no, node_id, carrier, ship_by, deliver_by, parcels, reason = row[:9]
        cost, pieces, at, label, status = row[9:]
        placed_at, objective = asked[order_id]
        planned_at = placed_at if plan_no == 1 or at is None else at
        late = _lateness(documents, label, objective, planned_at)
        found[order_id].append(
            CostedFulfilment(
                number=number, plan_no=plan_no, node_id=node_id, carrier=carrier, ship_by=ship_by,
                deliver_by=deliver_by, parcels=parcels, reason=reason, terms=by_term(*decode_cost(cost)),
                planned_at=planned_at, late_minor=late.late_minor, day_minor=late.day_minor,
                units=[
                    CostedUnit(
                        line_no=p.line_no, item_id=p.item_id, planned=p.quantity + p.released, shipped=p.shipped,
                        released=p.released + (p.left if status in DEAD else 0),
                    )
                    for p in decode_pieces(pieces)
                ],
                shipments=shipments.get((order_id, number), []),
            )
        )  # fmt: skip
    return found


def _lateness(documents: Mapping[str, Any], label: str | None, objective: str | None, at: datetime) -> Lateness:
    version, _, rule = (label or "").partition("/")
    document = documents.get(version)
    if document is None:
        return NOTHING
    return lateness_of(document, int(rule) if rule.isdecimal() else None, objective, at.date())


# Charges ------------------------------------------------------------------------------------------


def _charges(conn: Connection[TupleRow], name: str, asked: dict[str, Any]) -> list[Charge]:
    return [
        Charge(
            reference=reference, order_id=order_id, term=term, minor=minor, currency=currency, at=at, carrier=carrier,
            fulfilment=fulfilment, shipment=shipment, cause=cause,
        )
        for reference, order_id, term, minor, currency, at, carrier, fulfilment, shipment, cause in conn.execute(
            SQL[name], asked
        )
    ]  # fmt: skip


def lock_charges(conn: Connection[TupleRow], references: Iterable[str]) -> dict[str, Charge]:
    """Charges by reference, locked until the transaction ends."""
    found = _charges(conn, "lock_charges", {"references": sorted(set(references))})
    return {charge.reference: charge for charge in found}


def write_charges(conn: Connection[TupleRow], charges: Sequence[Charge], by: Actor) -> None:
    """Write charges, over those of the same reference."""
    rows = sorted(charges, key=lambda c: c.reference)
    conn.execute(
        SQL["write_charges"],
        {
            "actor": by.key_id,
            "references": [c.reference for c in rows],
            "orders": [c.order_id for c in rows],
            "fulfilments": [c.fulfilment for c in rows],
            "shipments": [c.shipment for c in rows],
            "terms": [c.term for c in rows],
            "minors": [c.minor for c in rows],
            "currencies": [c.currency for c in rows],
            "carriers": [c.carrier for c in rows],
            "causes": [c.cause for c in rows],
            "moments": [c.at for c in rows],
        },
    )


def shipments_of(
    conn: Connection[TupleRow], numbers: Iterable[str]
) -> dict[str, list[tuple[str | None, str, int, int, str]]]:
    """(carrier, order_id, fulfilment, shipment, currency of the order) by tracking number, the latest first."""
    found: dict[str, list[tuple[str | None, str, int, int, str]]] = defaultdict(list)
    for number, *place in conn.execute(SQL["shipments_of_tracking"], {"numbers": sorted(set(numbers))}):
        found[number].append((place[0], place[1], place[2], place[3], place[4]))
    return found


def channels_of(conn: Connection[TupleRow], order_ids: Sequence[str]) -> dict[str, int]:
    """Channels of orders, by id."""
    return dict(conn.execute(SQL["channels_of_orders"], {"orders": list(order_ids)}).fetchall())


def currencies_of(conn: Connection[TupleRow], order_ids: Iterable[str]) -> dict[str, str]:
    """Currencies of orders by id; what is no id, or of no order, is left out."""
    ids: set[str] = set()
    for text in order_ids:
        try:
            ids.add(str(UUID(text)))
        except ValueError:
            continue
    return dict(conn.execute(SQL["currencies_of_orders"], {"orders": sorted(ids)}).fetchall()) if ids else {}


# Reports ------------------------------------------------------------------------------------------


def report(
    conn: Connection[TupleRow], by: Group, *, since: datetime | None, until: datetime | None,
    after: tuple[str, bool, str] = FIRST, limit: int,
) -> list[Row]:  # fmt: skip
    """What entries from `since` to before `until` come to by key and currency, at most `limit` after a row's place."""
    asked = {
        "by": by, "since": since, "until": until, "key": after[0], "is_null": after[1], "currency": after[2],
        "limit": limit,
    }  # fmt: skip
    with conn.cursor(row_factory=class_row(Row)) as rows:
        return rows.execute(SQL["report"], asked).fetchall()


def entries_of(conn: Connection[TupleRow], order_id: str, *, after: int = 0, limit: int) -> list[Entry]:
    """Entries of an order in the order in which they were booked, at most `limit` after an entry_id."""
    with conn.cursor(row_factory=class_row(Entry)) as rows:
        asked = {"order": order_id, "after": after, "limit": limit}
        return rows.execute(SQL["entries_of_order"], asked).fetchall()


def totals_of(conn: Connection[TupleRow], order_id: str) -> list[tuple[str, int, int, int]]:
    """(currency, promised, actual, failures) of an order."""
    return conn.execute(SQL["order_totals"], {"order": order_id}).fetchall()
