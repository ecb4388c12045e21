"""Writes a batch of decided orders by one guarded statement, and words the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
from onhand.flows.intake import Intake
from onhand.network.compiled import Network
from onhand.sourcing.policy import Policy
from onhand.sourcing.solve import Decisions

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

_PARAMETERS = 62
_PLACE = Statement(
    "onhand_place_orders",
    f"SELECT * FROM place_orders_v1({','.join(f'${n}' for n in range(1, _PARAMETERS + 1))})",  # noqa: S608 - placeholders
)
_encode = msgspec.json.encode
_NO_TIMES = np.array([arrays.NO_TIME])


@dataclass(slots=True, kw_only=True)
class Waiting:
    """Units of an order line that no shelf backs yet, with the inbound line they are promised from."""

    line_no: int
    item_id: int
    units: int
    queue: str
    inbound_id: str | None = None
    inbound_line: int | None = None
    node_id: int | None = None
    expected_at: datetime | None = None


class Outcome(msgspec.Struct, kw_only=True, gc=False):
    """What became of one order. `row` is its row in the decisions, -1 without a plan."""

    intake: Intake
    row: int
    status: str = "sourced"
    queue: str | None = None
    deliver_at: int | None = None
    confidence: float = 0.0
    waiting: list[Waiting] = msgspec.field(default_factory=list[Waiting])
    answer: str = ""


@dataclass(slots=True, kw_only=True)
class Allocations:
    """Units by fulfilment and order line, ready for the ledger; all int32, orders and slots 1-based."""

    order: Int32
    fulfilment: Int32
    line: Int32
    slot: Int32
    units: Int32
    cumulative: Int32
    rank: Int32
    items: Int32
    nodes: Int32
    totals: Int32
    entries: Int32


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


def allocations(decisions: Decisions, outcomes: Sequence[Outcome], position_of: Int32, line_of: Int32) -> Allocations:
    """Picks of the decided orders as ledger rows. position_of: decision row -> 1-based order, 0 when it is left out;
    line_of: demand row -> order line, -1 where several lines share it."""
    picks = int(decisions.pick_first[-1])
    order_of_pick = np.repeat(position_of, np.diff(decisions.pick_first))
    wanted = order_of_pick > 0
    demand = decisions.pick_demand[:picks][wanted]
    order = order_of_pick[wanted].astype(np.int32)
    fulfilment = decisions.pick_number[:picks][wanted]
    item = decisions.demand_item[demand]
    node = decisions.pick_node[:picks][wanted]
    units = decisions.pick_units[:picks][wanted]
    line = line_of[demand]
    if (line < 0).any():
        order, fulfilment, item, node, units, line = _share_among_lines(
            outcomes, order, fulfilment, item, node, units, line
        )
    nodes_room = int(node.max(initial=0)) + 1
    keys = item.astype(np.int64) * nodes_room + node
    unique, slot = np.unique(keys, return_inverse=True)
    by_slot = np.argsort(slot, kind="stable")
    running = np.cumsum(units[by_slot])
    first = np.searchsorted(slot[by_slot], np.arange(len(unique)))
    before = np.concatenate(([0], running))[first]
    cumulative = np.empty(len(units), np.int64)
    cumulative[by_slot] = running - before[slot[by_slot]]
    rank = np.empty(len(units), np.int64)
    rank[by_slot] = np.arange(len(units)) - first[slot[by_slot]] + 1
    entries = np.bincount(slot, minlength=len(unique))
    totals = np.bincount(slot, weights=units, minlength=len(unique))
    return Allocations(
        order=order,
        fulfilment=fulfilment,
        line=line,
        slot=(slot + 1).astype(np.int32),
        units=units,
        cumulative=cumulative.astype(np.int32),
        rank=rank.astype(np.int32),
        items=(unique // nodes_room).astype(np.int32),
        nodes=(unique % nodes_room).astype(np.int32),
        totals=totals.astype(np.int32),
        entries=entries.astype(np.int32),
    )


def _share_among_lines(
    outcomes: Sequence[Outcome],
    order: Int32,
    fulfilment: Int32,
    item: Int32,
    node: Int32,
    units: Int32,
    line: Int32,
) -> tuple[Int32, ...]:
    """Several lines of an order want the same item (twice the same sku, or bundles): fill them in line order."""
    rows: list[tuple[int, ...]] = []
    left: dict[tuple[int, int], list[list[int]]] = {}
    columns = (order, fulfilment, item, node, units, line)
    for o, f, i, n, u, at in zip(*(c.tolist() for c in columns), strict=True):
        if at > 0:
            rows.append((o, f, i, n, u, at))
            continue
        wants = left.get((o, i))
        if wants is None:
            wants = left[o, i] = shares(outcomes[int(o) - 1], i)
        rest = u
        while rest:
            take = min(rest, wants[0][1])
            if take:
                rows.append((o, f, i, n, take, wants[0][0]))
            rest -= take
            wants[0][1] -= take
            if not wants[0][1]:
                wants.pop(0)
    return tuple(np.array(column, np.int32) for column in zip(*rows, strict=True))


def shares(outcome: Outcome, item_id: int) -> list[list[int]]:
    """[line_no, units] of one item over the lines of an order, less what waits in a queue."""
    waiting = {
        line_no: sum(w.units for w in outcome.waiting if w.item_id == item_id and w.line_no == line_no)
        for line_no in {w.line_no for w in outcome.waiting}
    }
    return [
        [line.line_no, units - waiting.get(line.line_no, 0)]
        for line in outcome.intake.lines
        for item, units in line.wants()
        if item == item_id and units > waiting.get(line.line_no, 0)
    ]


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
        arrays.text([_event(o) for o in outcomes]),
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
        arrays.uuid(ids.new_ids(len(people))),
        arrays.text([p.email for _, p in people]),
        arrays.text([p.name for _, p in people]),
        arrays.text([p.phone for _, p in people]),
        arrays.text([p.address for _, p in people]),
        arrays.int4([p for p, _ in keyed]),
        arrays.text([key for _, key in keyed]),
        network.network_id,
        policy.version,
        origin,
    ]
    return Writing(values=values, taken=taken)


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


def _capacity(f: _Fulfilments) -> list[Any]:
    """Promised orders, lines and units per node and ship day, sorted."""
    unique, slot = np.unique(f.node.astype(np.int64) * 1_000_000 + f.day, return_inverse=True)
    size = len(unique)
    return [
        arrays.int4(unique // 1_000_000),
        arrays.date(unique % 1_000_000),
        arrays.int4(np.bincount(slot, minlength=size)),
        arrays.int4(np.bincount(slot, weights=f.lines, minlength=size).astype(np.int32)),
        arrays.int8(np.bincount(slot, weights=f.units, minlength=size).astype(np.int64)),
    ]


COST = '{"shipping":%d,"handling":%d,"split":%d,"lateness":%d,"carbon":%d}'
_FULFILMENT = (
    '{"fulfilment_id":"%s-f%d","node":%s,"carrier":%s,"service":%s,"lines":[%s],"cost":%s,'
    '"cost_minor":%d,"co2_g":%d,"ship_by":"%s","deliver_by":"%s"}'
)
_LINE = '{"line_id":%s,"sku":%s,"quantity":%d}'
_ANSWER = '{"order_id":"%s","status":"%s","queue":%s,"promise":%s,"fulfilments":[%s],"waiting":[%s],"plan_id":"%s-p1"}'


def _word(
    outcomes: Sequence[Outcome],
    f: "_Fulfilments",
    taken: Allocations,
    network: Network,
    policy: Policy,
    catalogue: Catalogue,
) -> None:
    """Fill in every outcome's promise and answer (JSON text)."""
    quoted = [[_encode(line.line_id).decode() for line in o.intake.lines] for o in outcomes]
    sku = [catalogue.sku_json[item] for item in _ints(taken.items)]
    # Row of f of each order's first fulfilment: rows of an order stand together.
    first = np.zeros(len(outcomes) + 1, np.int64)
    first[f.order[::-1]] = np.arange(len(f.order))[::-1]
    rows: list[int] = (first[taken.order] + taken.fulfilment - 1).tolist()
    lines: list[list[str]] = [[] for _ in f.costs]
    order_of, line_of, slot_of, units = map(_ints, (taken.order, taken.line, taken.slot, taken.units))
    for k, row in enumerate(rows):
        line = quoted[order_of[k] - 1][line_of[k] - 1]
        lines[row].append(_LINE % (line, sku[slot_of[k] - 1], units[k]))
    parts: list[list[str]] = [[] for _ in outcomes]
    latest = [o.deliver_at or 0 for o in outcomes]
    services, nodes = network.services, network.node_json
    owner, number, node, service, cost_minor = map(_ints, (f.order, f.number, f.node, f.service, f.cost_minor))
    departs, deliver, grams = map(_ints, (f.departs, f.deliver, np.rint(f.grams).astype(np.int64)))
    for k, cost in enumerate(f.costs):
        at = owner[k] - 1
        s = service[k]
        parts[at].append(
            _FULFILMENT
            % (
                outcomes[at].intake.order_id,
                number[k],
                nodes[node[k]],
                "null" if s < 0 else services[s].carrier_json,
                '"pickup"' if s < 0 else services[s].code_json,
                ",".join(lines[k]),
                cost,
                cost_minor[k],
                grams[k],
                rfc3339(departs[k]),
                rfc3339(deliver[k]),
            )
        )
        latest[at] = max(latest[at], deliver[k])
    for position, outcome in enumerate(outcomes):
        order_id = outcome.intake.order_id
        promise = "null"
        if latest[position] and outcome.status != "unfillable":
            outcome.deliver_at = latest[position]
            confidence = outcome.confidence or policy.confidence
            promise = '{"deliver_by":"%s","confidence":%.4g}' % (rfc3339(latest[position]), confidence)
        outcome.answer = _ANSWER % (
            order_id,
            outcome.status,
            "null" if outcome.queue is None else f'"{outcome.queue}"',
            promise,
            ",".join(parts[position]),
            ",".join([_waiting(w, quoted[position], catalogue.sku_json) for w in outcome.waiting]),
            order_id,
        )


def _ints(column: npt.NDArray[Any]) -> list[int]:
    return column.tolist()


def _waiting(w: Waiting, quoted: list[str], sku: list[str]) -> str:
    expected = "null" if w.expected_at is None else f'"{rfc3339(microseconds(w.expected_at) // 1_000_000)}"'
    return '{"line_id":%s,"sku":%s,"quantity":%d,"queue":"%s","expected_at":%s}' % (
        quoted[w.line_no - 1],
        sku[w.item_id],
        w.units,
        w.queue,
        expected,
    )


def _event(outcome: Outcome) -> str:
    intake = outcome.intake
    return '{"order_id":"%s","channel":%s,"external_id":%s,"status":"%s","queue":%s}' % (
        intake.order_id,
        _encode(intake.channel.code).decode(),
        _encode(intake.external_id).decode(),
        outcome.status,
        "null" if outcome.queue is None else f'"{outcome.queue}"',
    )
