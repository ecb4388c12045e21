"""Writes a batch of decided orders by one guarded statement, and words the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
from onhand.flows.allocations import Allocations, Outcome, Waiting, allocations
from onhand.flows.intake import OrderLine, Person
from onhand.ledger.stack import stack
from onhand.network.compiled import Network
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Decisions

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

_PARAMETERS = 62
_PLACE = Statement(
    f"SELECT * FROM place_orders_v1({','.join(f'${n}' for n in range(1, _PARAMETERS + 1))})",  # noqa: S608 - placeholders
)
_encode = msgspec.json.encode


@dataclass(slots=True, kw_only=True)
class Writing:
    """A batch of decided orders, ready to be written."""

    values: list[Value]
    taken: Allocations

    def on(self, conn: Connection[TupleRow]) -> Call:
        """The guarded statement; its row is for `positions`. Raises psycopg errors with SQLSTATE OH001 (does not fit
        any more) and OH002 (seen before); nothing is written then."""
        return _PLACE.on(conn, self.values)


def positions(row: Sequence[bytes | None]) -> tuple[Int32, Int32]:
    """Per position of the written allocations its available units and version afterwards."""
    available, version = row
    return arrays.read_int4(available), arrays.read_int4(version)


def encode(
    outcomes: Sequence[Outcome],
    decisions: Decisions,
    records: Sequence[bytes],
    network: Network,
    policy: Policy,
    catalogue: Catalogue,
    *,
    line_of: Int32,
    origin: int,
) -> Writing:
    """Word the answers of `outcomes`, sorted by (channel_id, external_id), and make ready what is written."""
    position_of = np.zeros(len(decisions.count), np.int32)
    for position, outcome in enumerate(outcomes):
        if outcome.row >= 0 and decisions.count[outcome.row]:
            position_of[outcome.row] = position + 1
    taken = allocations(decisions, outcomes, position_of, line_of)
    raw_ids = ids.new_ids(len(outcomes))
    for outcome, text in zip(outcomes, ids.texts(raw_ids), strict=True):
        outcome.intake.order_id = text
    f = _fulfilments(decisions, position_of, network)
    _word(outcomes, f, taken, network, policy, catalogue)
    intakes = [o.intake for o in outcomes]
    lines = [line for k in intakes for line in k.lines]
    people = [(p + 1, k.customer) for p, k in enumerate(intakes) if k.customer is not None]
    person_of = np.zeros(len(intakes), np.int32)
    for number, (position, _) in enumerate(people):
        person_of[position - 1] = number + 1
    keyed = [(p + 1, k.key) for p, k in enumerate(intakes) if k.key is not None]
    channel_of, customer_of, actor_of = arrays.int4_columns(
        [[k.channel.channel_id for k in intakes], person_of, [k.actor for k in intakes]]
    )
    order_of_line, line_no_of, item_of_line, units_of_line = arrays.int4_columns(
        [
            np.repeat(np.arange(1, len(intakes) + 1), [len(k.lines) for k in intakes]),
            [line.line_no for line in lines],
            [line.item_id for line in lines],
            [line.quantity for line in lines],
        ]
    )
    order_of, number_of, node_of, lines_of, units_of = arrays.int4_columns(
        [f.order, f.number, f.node, f.lines, f.units]
    )
    values: list[Value] = [
        arrays.uuid(raw_ids),
        channel_of,
        arrays.text([k.external_id for k in intakes]),
        arrays.bytea([k.hash for k in intakes]),
        arrays.text([o.status for o in outcomes]),
        arrays.text([o.queue for o in outcomes]),
        arrays.text([k.currency for k in intakes]),
        arrays.timestamptz([k.placed_us for k in intakes]),
        arrays.timestamptz([arrays.NO_TIME if o.deliver_at is None else o.deliver_at * 1_000_000 for o in outcomes]),
        customer_of,
        arrays.text([_encode(k.wishes) for k in intakes]),
        actor_of,
        arrays.text([o.answer for o in outcomes]),
        arrays.bytea(records),
        arrays.text([k.reason for k in intakes]),
        order_of_line,
        line_no_of,
        arrays.text([line.line_id for line in lines]),
        item_of_line,
        units_of_line,
        arrays.int8([line.price_minor for line in lines]),
        arrays.nullable_int8([line.tax_minor for line in lines]),
        arrays.text(
            [
                _encode({str(item): units for item, units in line.components}) if line.components else None
                for line in lines
            ]
        ),
        *arrays.int4_columns([taken.items, taken.nodes, taken.totals, taken.entries]),
        *arrays.int4_columns(
            [taken.order, taken.fulfilment, taken.line, taken.slot, taken.units, taken.cumulative, taken.rank]
        ),
        order_of,
        number_of,
        node_of,
        arrays.text(f.carriers),
        arrays.text(f.services),
        arrays.text([intakes[p - 1].wishes.method for p in _ints(f.order)]),
        arrays.date(f.day),
        arrays.timestamptz(f.departs * 1_000_000),
        arrays.timestamptz(f.deliver * 1_000_000),
        lines_of,
        units_of,
        arrays.int8(f.cost_minor),
        arrays.text(f.costs),
        *_capacity(f),
        *(_people([p for _, p in people]) if people else _NOBODY),
        arrays.int4([p for p, _ in keyed]),
        arrays.text([key for _, key in keyed]),
        network.network_id,
        policy.version,
        origin,
    ]
    return Writing(values=values, taken=taken)


def _people(people: Sequence[Person]) -> list[Value]:
    return [
        arrays.uuid(ids.new_ids(len(people))),
        arrays.text([p.email for p in people]),
        arrays.text([p.name for p in people]),
        arrays.text([p.phone for p in people]),
        arrays.text([p.address for p in people]),
    ]


_NOBODY = _people([])


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
    cost_minor: Int64
    service: Int32
    grams: npt.NDArray[np.float64]
    costs: list[str]
    carriers: list[str | None]
    services: list[str]


def _fulfilments(decisions: Decisions, position_of: Int32, network: Network) -> _Fulfilments:
    made = int(decisions.fulfilment_first[-1])
    counts = np.diff(decisions.fulfilment_first)
    order = np.repeat(position_of, counts)
    number = np.arange(made) - np.repeat(decisions.fulfilment_first[:-1], counts) + 1
    wanted = order > 0
    terms = np.rint(decisions.terms[:made][wanted]).astype(np.int64)
    node = decisions.node[:made][wanted]
    service = decisions.service[:made][wanted]
    known = network.services
    return _Fulfilments(
        order=order[wanted],
        number=number[wanted].astype(np.int32),
        node=node,
        day=decisions.day[:made][wanted],
        departs=decisions.departs[:made][wanted],
        deliver=decisions.deliver[:made][wanted],
        lines=decisions.lines[:made][wanted],
        units=decisions.units[:made][wanted],
        cost_minor=terms.sum(axis=1),
        service=service,
        grams=decisions.grams[:made][wanted],
        costs=[COST % tuple(row) for row in terms.tolist()],
        carriers=[None if s < 0 else known[s].carrier for s in _ints(service)],
        services=["pickup" if s < 0 else known[s].code for s in _ints(service)],
    )


def _capacity(f: _Fulfilments) -> list[Value]:
    """Promised orders, lines and units per node and ship day, sorted."""
    slot, _, _, node, day, lines, orders = stack(f.node, f.day, f.lines)
    # Units of a day may exceed 32 bits.
    units = np.bincount(slot - 1, weights=f.units, minlength=len(node)).astype(np.int64)
    of_node, of_orders, of_lines = arrays.int4_columns([node, orders, lines])
    return [of_node, arrays.date(day), of_orders, of_lines, arrays.int8(units)]


COST = '{"shipping":%d,"handling":%d,"split":%d,"lateness":%d,"carbon":%d}'


def _word(
    outcomes: Sequence[Outcome],
    f: "_Fulfilments",
    taken: Allocations,
    network: Network,
    policy: Policy,
    catalogue: Catalogue,
) -> None:
    """Fill in every outcome's promise and answer (JSON text)."""
    sku = [catalogue.sku_json[item] for item in _ints(taken.items)]
    owner = _ints(f.order)
    order_ids = [o.intake.order_id for o in outcomes]
    lines_of = [o.intake.lines for o in outcomes]
    # Lines of each row of f. Rows of an order stand together.
    first = np.zeros(len(outcomes) + 1, np.int64)
    first[f.order[::-1]] = np.arange(len(owner))[::-1]
    lines = [""] * len(owner)
    for row, order, line, slot, units in zip(
        _ints(first[taken.order] + taken.fulfilment - 1),
        _ints(taken.order),
        _ints(taken.line),
        _ints(taken.slot),
        _ints(taken.units),
        strict=True,
    ):
        line_id = _quoted(lines_of[order - 1][line - 1].line_id)
        text = f'{{"line_id":{line_id},"sku":{sku[slot - 1]},"quantity":{units}}}'
        lines[row] = f"{lines[row]},{text}" if lines[row] else text
    parts = [""] * len(outcomes)
    latest = [o.deliver_at or 0 for o in outcomes]
    services, nodes = network.services, network.node_json
    departs, deliver, grams = _ints(f.departs), _ints(f.deliver), _ints(np.rint(f.grams).astype(np.int64))
    number_of, cost_minor = _ints(f.number), _ints(f.cost_minor)
    for row, (order, node, service, cost, worded) in enumerate(
        zip(owner, _ints(f.node), _ints(f.service), f.costs, lines, strict=True)
    ):
        at = order - 1
        if service < 0:
            carrier, code = "null", '"pickup"'
        else:
            carrier, code = services[service].carrier_json, services[service].code_json
        text = (
            f'{{"fulfilment_id":"{order_ids[at]}-f{number_of[row]}","node":{nodes[node]},"carrier":{carrier},"service":{code},'
            f'"lines":[{worded}],"cost":{cost},"cost_minor":{cost_minor[row]},"co2_g":{grams[row]},'
            f'"ship_by":"{rfc3339(departs[row])}","deliver_by":"{rfc3339(deliver[row])}"}}'
        )
        parts[at] = f"{parts[at]},{text}" if parts[at] else text
        latest[at] = max(latest[at], deliver[row])
    usual = f"{policy.confidence:.4g}"
    for outcome, order_id, fulfilments, until in zip(outcomes, order_ids, parts, latest, strict=True):
        promise, queue, waiting = "null", "null", ""
        if until and outcome.status != "unfillable":
            outcome.deliver_at = until
            confidence = f"{outcome.confidence:.4g}" if outcome.confidence else usual
            promise = f'{{"deliver_by":"{rfc3339(until)}","confidence":{confidence}}}'
        if outcome.queue is not None:
            queue = f'"{outcome.queue}"'
        if outcome.waiting:
            waiting = ",".join([_waiting(w, outcome.intake.lines, catalogue.sku_json) for w in outcome.waiting])
        outcome.answer = (
            f'{{"order_id":"{order_id}","status":"{outcome.status}","queue":{queue},"promise":{promise},'
            f'"fulfilments":[{fulfilments}],"waiting":[{waiting}],"plan_id":"{order_id}-p1"}}'
        )


@lru_cache(maxsize=65_536)
def _quoted(text: str) -> str:
    """A line id as JSON; channels number their lines alike."""
    return _encode(text).decode()


def _ints(column: npt.NDArray[Any]) -> list[int]:
    return column.tolist()


def _waiting(w: Waiting, lines: Sequence[OrderLine], sku: Sequence[str]) -> str:
    expected = "null" if w.expected_at is None else f'"{rfc3339(microseconds(w.expected_at) // 1_000_000)}"'
    return (
        f'{{"line_id":{_quoted(lines[w.line_no - 1].line_id)},"sku":{sku[w.item_id]},"quantity":{w.units},'
        f'"queue":"{w.queue}","expected_at":{expected}}}'
    )
