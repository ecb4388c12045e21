"""Writes a batch of decided orders by one guarded statement, and words the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base import ids
from onhand.base.dates import microseconds, rfc3339
from onhand.catalog.catalogue import Catalogue
from onhand.db import arrays
from onhand.db.statement import Call, Statement, Value
from onhand.flows.allocations import Allocations, Fate, Waiting, allocations
from onhand.flows.sheet import Sheet
from onhand.ledger.stack import stack
from onhand.network.compiled import PICKUP, Network
from onhand.orders import answer
from onhand.orders.intake import Customer, LineIn
from onhand.orders.model import split_cost
from onhand.orders.rows import LineRow, encode_cost, encode_many, new_line
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Decisions

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
_Piece = tuple[int, int, int]

_PARAMETERS = 64
_PLACE = Statement(
    f"SELECT * FROM place_orders_v1({','.join(f'${n}' for n in range(1, _PARAMETERS + 1))})",  # noqa: S608 - placeholders
)
_encode = msgspec.json.encode


@dataclass(slots=True, kw_only=True)
class Writing:
    """A batch of decided orders, ready to be written; their ids and answers (JSON text) if it is."""

    values: list[Value]
    taken: Allocations
    order_ids: list[str]
    answers: list[str]

    def on(self, conn: Connection[TupleRow]) -> Call:
        """The guarded statement; its row is for `positions`. Raises psycopg errors with SQLSTATE OH001 (does not fit
        any more) and OH002 (seen before); nothing is written then. To be called once: it takes the values along."""
        values, self.values = self.values, []
        return _PLACE.on(conn, values)


def positions(row: Sequence[bytes | None]) -> tuple[Int32, Int32]:
    """Per position of the written allocations its available units and version afterwards."""
    available, version = row
    return arrays.read_int4(available), arrays.read_int4(version)


def encode(
    sheet: Sheet,
    decisions: Decisions,
    records: Sequence[bytes],
    network: Network,
    policy: Policy,
    catalogue: Catalogue,
    *,
    rows: Sequence[int],
    line_of: Int32,
    origin: int,
    labels: Sequence[str] = (),
    confidences: Sequence[float] = (),
    fates: Sequence[Fate] | None = None,
) -> Writing:
    """Word the answers of the orders of `sheet`, and make ready what is written.

    records   of each order what its decision saw
    rows      of each order its row in `decisions`, -1 without a plan
    line_of   of each demand row in `decisions` its order line, -1 where several lines share it
    labels    of each order the version and rule that decided it; empty: the active version did
    confidences  of each order that with which its promise is kept; empty: the policy's
    fates     what became of each order; None: all are sourced
    """
    count, orders = len(sheet), sheet.orders
    position_of = np.zeros(len(decisions.count), np.int32)
    at = np.array(rows, np.int32)
    position_of[at[at >= 0]] = np.flatnonzero(at >= 0) + 1
    taken = allocations(decisions, position_of, line_of, lambda order, item: _shares(sheet, fates, order - 1, item))
    raw_ids = ids.new_ids(count)
    order_ids = ids.texts(raw_ids)
    f = _fulfilments(decisions, position_of, network)
    pieces = _pieces(f, taken)
    worded = _word(sheet, order_ids, fates, f, pieces, network, policy, catalogue, confidences)
    people = [(p, o.customer) for p, o in enumerate(orders, 1) if o.customer is not None]
    person_of = np.zeros(count, np.int32)
    for number, (position, _) in enumerate(people, 1):
        person_of[position - 1] = number
    keyed = [(p, key) for p, key in enumerate(sheet.keys, 1) if key is not None]
    names = sheet.names
    turn, channel_of, customer_of, actor_of = arrays.int4_columns(
        [_turn(names), [c for c, _ in names], person_of, sheet.actors]
    )
    order_of, number_of, node_of, lines_of, units_of, parcels_of = arrays.int4_columns(
        [f.order, f.number, f.node, f.lines, f.units, f.parcels]
    )
    values: list[Value] = [
        turn,
        arrays.uuid(raw_ids),
        channel_of,
        arrays.text([external_id for _, external_id in names]),
        arrays.bytea(sheet.hashes),
        arrays.words(["sourced"] * count if fates is None else [o.status for o in fates]),
        arrays.words([None] * count if fates is None else [o.queue for o in fates]),
        arrays.words([o.currency for o in orders]),
        arrays.timestamptz(sheet.placed_us),
        arrays.timestamptz([arrays.NO_TIME if at is None else at * 1_000_000 for at in worded.deliver_at]),
        customer_of,
        arrays.utf8(sheet.requests),
        actor_of,
        arrays.words(worded.kept),
        arrays.bytea(records),
        arrays.words(sheet.reasons),
        arrays.utf8(encode_many(_lines(sheet))),
        *arrays.int4_columns([taken.items, taken.nodes, taken.totals, taken.entries]),
        *arrays.int4_columns([taken.order, taken.slot, taken.units, taken.cumulative, taken.rank]),
        order_of,
        number_of,
        node_of,
        arrays.words(f.carriers),
        arrays.words(f.services),
        arrays.words([orders[p - 1].method for p in _ints(f.order)]),
        arrays.date(f.day),
        arrays.timestamptz(f.departs * 1_000_000),
        arrays.timestamptz(f.deliver * 1_000_000),
        lines_of,
        units_of,
        parcels_of,
        arrays.words(f.lanes),
        arrays.int8(f.cost_minor),
        arrays.words([cost.stored for cost in f.costs]),
        arrays.int8(f.grams),
        arrays.utf8(encode_many(pieces)),
        *_capacity(f),
        *(_people([person for _, person in people]) if people else _NOBODY),
        arrays.int4([p for p, _ in keyed]),
        arrays.text([key for _, key in keyed]),
        *_events(sheet, fates, raw_ids),
        network.network_id,
        policy.version,
        arrays.words(labels),
        policy.confidence,
        origin,
    ]
    return Writing(values=values, taken=taken, order_ids=order_ids, answers=worded.answers)


class _Cost(NamedTuple):
    """Cost terms as the row of a fulfilment has them, and as the answer has."""

    stored: str
    answered: str


@lru_cache(maxsize=65_536)
def _cost(others: tuple[str, ...], *terms: int) -> _Cost:
    """Orders of like parcels by like ways cost alike."""
    cost = split_cost(terms, others)
    return _Cost(encode_cost(*cost), answer.cost_json(*cost))


@dataclass(slots=True, kw_only=True)
class _Fulfilments:
    order: Int32
    number: Int32
    node: Int32
    day: Int32
    departs: Int64
    deliver: Int64
    lines: Int32
    units: Int32
    parcels: Int32
    cost_minor: Int64
    service: Int32
    grams: Int64
    costs: list[_Cost]
    carriers: list[str | None]
    services: list[str]
    lanes: list[str | None]


def _events(sheet: Sheet, fates: Sequence[Fate] | None, raw_ids: npt.NDArray[np.uint8]) -> list[Value]:
    """Which orders begin alike: one event tells of all of them."""
    count = len(sheet)
    columns: list[Sequence[object]] = [sheet.actors, sheet.reasons]
    if fates is not None:
        columns += [f.status for f in fates], [f.queue for f in fates]
    if all(column.count(column[0]) == count for column in columns):
        return [arrays.int4([1]), arrays.int4([1]), arrays.int4([count]), arrays.uuid(raw_ids[::-1])]
    alike: dict[object, list[int]] = {}
    for n, beginning in enumerate(zip(*columns, strict=True)):
        alike.setdefault(beginning, []).append(n)
    groups = [*alike.values()]
    ends = np.cumsum([len(group) for group in groups])
    return [
        arrays.int4([group[0] + 1 for group in groups]),
        arrays.int4([int(end) - len(group) + 1 for end, group in zip(ends, groups, strict=True)]),
        arrays.int4(ends),
        arrays.uuid(raw_ids[[n for group in groups for n in reversed(group)]]),
    ]


def _shares(sheet: Sheet, fates: Sequence[Fate] | None, n: int, item_id: int) -> list[list[int]]:
    """[line_no, units] of one item over the lines of order `n`, less what waits in a queue."""
    waiting: dict[int, int] = {}
    for w in () if fates is None else fates[n].waiting:
        if w.item_id == item_id:
            waiting[w.line_no] = waiting.get(w.line_no, 0) + w.units
    return [
        [line.line_no, units - waiting.get(line.line_no, 0)]
        for line in sheet.intake(n).lines
        for item, units in line.wants()
        if item == item_id and units > waiting.get(line.line_no, 0)
    ]


def _turn(names: Sequence[tuple[int, str]]) -> Sequence[int]:
    """1-based numbers of `names` in their order."""
    turn = range(1, len(names) + 1)
    return turn if sorted(names) == names else sorted(turn, key=lambda p: names[p - 1])


def _lines(sheet: Sheet) -> list[list[LineRow]]:
    """The lines of every order."""
    rows = [
        new_line(line.line_id, item, line.quantity, line.price_minor, line.tax_minor, components)
        for line, item, components in zip(sheet.lines(), sheet.items, sheet.components, strict=True)
    ]
    if len(rows) == len(sheet):
        return [[row] for row in rows]
    ends = accumulate(sheet.line_counts)
    return [rows[end - size : end] for size, end in zip(sheet.line_counts, ends, strict=True)]


def _pieces(f: _Fulfilments, taken: Allocations) -> list[list[_Piece]]:
    """Of every fulfilment (line_no, item_id, units), in the order of lines and items."""
    rows = zip(_ints(taken.line), _ints(taken.items[taken.slot - 1]), _ints(taken.units), strict=True)
    if len(f.order) == len(taken.order) and (taken.fulfilment == 1).all():
        return [[row] for row in rows]  # one of each for every order; otherwise rows need not be in the order of `f`
    # The fulfilments of an order stand together in `f`.
    first = np.zeros(int(f.order.max(initial=0)) + 1, np.int64)
    first[f.order[::-1]] = np.arange(len(f.order))[::-1]
    pieces: list[list[_Piece]] = [[] for _ in f.order]
    for at, row in zip(_ints(first[taken.order] + taken.fulfilment - 1), rows, strict=True):
        pieces[at].append(row)
    for several in pieces:
        several.sort()
    return pieces


def _people(people: Sequence[Customer]) -> list[Value]:
    return [
        arrays.uuid(ids.new_ids(len(people))),
        arrays.text([p.email for p in people]),
        arrays.text([p.name for p in people]),
        arrays.text([p.phone for p in people]),
        arrays.text([None if p.address is None else _encode(p.address).decode() for p in people]),
    ]


_NOBODY = _people([])


def _fulfilments(decisions: Decisions, position_of: Int32, network: Network) -> _Fulfilments:
    made = int(decisions.fulfilment_first[-1])
    counts = np.diff(decisions.fulfilment_first)
    order = np.repeat(position_of, counts)
    number = np.arange(made) - np.repeat(decisions.fulfilment_first[:-1], counts) + 1
    wanted = order > 0
    terms = np.rint(decisions.terms[:made][wanted]).astype(np.int64)
    node = decisions.node[:made][wanted]
    service = np.maximum(decisions.service[:made][wanted], -1)  # below zero: nobody carries it, PICKUP
    known = [*network.services, PICKUP]
    return _Fulfilments(
        order=order[wanted],
        number=number[wanted].astype(np.int32),
        node=node,
        day=decisions.day[:made][wanted],
        departs=decisions.departs[:made][wanted],
        deliver=decisions.deliver[:made][wanted],
        lines=decisions.lines[:made][wanted],
        units=decisions.units[:made][wanted],
        parcels=decisions.parcels[:made][wanted],
        cost_minor=terms.sum(axis=1),
        service=service,
        grams=np.rint(decisions.grams[:made][wanted]).astype(np.int64),
        costs=[_cost(decisions.others, *row) for row in terms.tolist()],
        carriers=[known[s].carrier for s in _ints(service)],
        services=[known[s].code for s in _ints(service)],
        lanes=_lanes(service, decisions.lane[:made][wanted], network),
    )


def _lanes(service: Int32, lane: Int32, network: Network) -> list[str | None]:
    """Keys of the carriers' lanes."""
    if (lane < 0).all():
        return [None] * len(lane)
    return [network.lane_key(s, column) for s, column in zip(_ints(service), _ints(lane), strict=True)]


def _capacity(f: _Fulfilments) -> list[Value]:
    """Promised orders, lines and units per node and ship day, sorted."""
    slot, _, _, node, day, lines, orders = stack(f.node, f.day, f.lines)
    # Units of a day may exceed 32 bits.
    units = np.bincount(slot - 1, weights=f.units, minlength=len(node)).astype(np.int64)
    of_node, of_orders, of_lines = arrays.int4_columns([node, orders, lines])
    return [of_node, arrays.date(day), of_orders, of_lines, arrays.int8(units)]


@dataclass(slots=True, kw_only=True)
class _Worded:
    """Per order: when it is promised (Unix seconds), its answer, and that again if it is kept."""

    deliver_at: list[int | None]
    answers: list[str]
    kept: list[str | None]


def _word(
    sheet: Sheet,
    order_ids: Sequence[str],
    fates: Sequence[Fate] | None,
    f: _Fulfilments,
    pieces: Sequence[Sequence[_Piece]],
    network: Network,
    policy: Policy,
    catalogue: Catalogue,
    confidences: Sequence[float],
) -> _Worded:
    usual = f"{policy.confidence:.4g}"
    # The sheet keeps one for all: who has another keeps its answer.
    own = [f"{confidence:.4g}" for confidence in confidences] or [usual] * len(sheet)
    is_usual = all(one == usual for one in own)
    sku_json = catalogue.sku_json
    made = zip(
        _ints(f.node),
        _ints(f.service),
        zip(f.costs, _ints(f.cost_minor), _ints(f.grams), strict=True),
        zip(_ints(f.departs), _ints(f.deliver), strict=True),
        strict=True,
    )
    nodes, services = network.node_json, [*network.services, PICKUP]
    lines_of = [o.lines for o in sheet.orders]
    if fates is None and is_usual and len(pieces) == len(sheet) == len(sheet.items):
        answers: list[str] = []
        for order_id, (line,), ((_, item, units),), (node, at, (cost, cost_minor, grams), (departs, deliver)) in zip(
            order_ids, lines_of, pieces, made, strict=True
        ):
            until, service = rfc3339(deliver), services[at]
            answers.append(
                answer.ANSWER_OF_ONE
                % (
                    order_id, until, usual, order_id, nodes[node], service.carrier_json, service.code_json,
                    _quoted(line.line_id), sku_json[item], units, cost.answered, cost_minor, grams, rfc3339(departs),
                    until, order_id,
                )
            )  # fmt: skip
        return _Worded(deliver_at=[*_ints(f.deliver)], answers=answers, kept=[None] * len(sheet))
    worded = _Worded(deliver_at=[], answers=[], kept=[])
    parts: list[list[str]] = [[] for _ in order_ids]
    latest = [0] * len(sheet) if fates is None else [o.deliver_at or 0 for o in fates]
    for order, number, some, (node, at, (cost, cost_minor, grams), (departs, deliver)) in zip(
        _ints(f.order), _ints(f.number), pieces, made, strict=True
    ):
        n, service = order - 1, services[at]
        lines = lines_of[n]
        text = ",".join(
            [answer.LINE % (_quoted(lines[line - 1].line_id), sku_json[item], units) for line, item, units in some]
        )
        parts[n].append(
            answer.FULFILMENT
            % (
                order_ids[n], number, nodes[node], service.carrier_json, service.code_json, text, cost.answered,
                cost_minor, grams, rfc3339(departs), rfc3339(deliver),
            )
        )  # fmt: skip
        latest[n] = max(latest[n], deliver)
    for fate, order_id, until, parts_of, lines, confidence in zip(
        [_SOURCED] * len(sheet) if fates is None else fates, order_ids, latest, parts, lines_of, own, strict=True
    ):
        promise = "null"
        is_promised = until and fate.status != "unfillable"
        if is_promised:
            promise = answer.PROMISE % (rfc3339(until), f"{fate.confidence:.4g}" if fate.confidence else confidence)
        whole = answer.ANSWER % (
            order_id,
            fate.status,
            "null" if fate.queue is None else f'"{fate.queue}"',
            promise,
            ",".join(parts_of),
            ",".join([_waiting(w, lines, sku_json) for w in fate.waiting]),
            order_id,
        )
        is_plain = fate.status == "sourced" and fate.queue is None and not fate.waiting and not fate.confidence
        is_plain &= confidence == usual
        worded.deliver_at.append(until if is_promised else fate.deliver_at)
        worded.answers.append(whole)
        worded.kept.append(None if is_plain else whole)
    return worded


_SOURCED = Fate(row=0)


@lru_cache(maxsize=65_536)
def _quoted(text: str) -> str:
    """A line id as JSON; channels number their lines alike."""
    return _encode(text).decode()


def _ints(column: npt.NDArray[Any]) -> list[int]:
    return column.tolist()


def _waiting(w: Waiting, lines: Sequence[LineIn], sku: Sequence[str]) -> str:
    expected = "null" if w.expected_at is None else f'"{rfc3339(microseconds(w.expected_at) // 1_000_000)}"'
    return (
        f'{{"line_id":{_quoted(lines[w.line_no - 1].line_id)},"sku":{sku[w.item_id]},"quantity":{w.units},'
        f'"queue":"{w.queue}","expected_at":{expected}}}'
    )
