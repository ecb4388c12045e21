"""What a node can do per day, and how much of it is taken: the calendar others plan against."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from psycopg import Connection
from psycopg.rows import TupleRow

# Promised fulfilments of limited nodes are counted in capacity_day; of them, those still to be done
# (held) are few and indexed by node. The rest has been done (used). Of nodes without a limit only
# what is still to be done is known. What accepted campaigns are expected to take is planned, of days to come:
# later it has become orders, or not.
_DAYS = """
SELECT n.node_id, n.code, d.day::date,
       extract(isodow FROM d.day)::int2 = ANY (n.working_days) AND NOT d.day::date = ANY (n.closed_days),
       n.capacity_orders, n.capacity_lines, n.capacity_units,
       n.capacity_orders IS NOT NULL OR n.capacity_lines IS NOT NULL OR n.capacity_units IS NOT NULL,
       coalesce(k.orders, 0), coalesce(k.lines, 0), coalesce(k.units, 0),
       coalesce(h.orders, 0), coalesce(h.lines, 0), coalesce(h.units, 0),
       coalesce(c.orders, 0), coalesce(c.lines, 0), coalesce(c.units, 0)
FROM node n
CROSS JOIN generate_series(%(first)s::timestamp, %(last)s::timestamp, interval '1 day') AS d (day)
LEFT JOIN capacity_day k ON k.node_id = n.node_id AND k.day = d.day::date
LEFT JOIN (
    SELECT f.node_id, f.ship_day, count(*) AS orders, sum(f.lines) AS lines, sum(f.units) AS units
    FROM fulfilment f
    WHERE f.status IN ('allocated', 'accepted', 'packed', 'partly_shipped')
      AND f.ship_day BETWEEN %(first)s AND %(last)s AND (%(node)s::text IS NULL OR f.node_id =
          (SELECT node_id FROM node WHERE code = %(node)s))
    GROUP BY f.node_id, f.ship_day
) h ON h.node_id = n.node_id AND h.ship_day = d.day::date
LEFT JOIN (
    SELECT p.node_id, p.day, sum(p.orders) AS orders, sum(p.lines) AS lines, sum(p.units) AS units
    FROM campaign_hold p
    WHERE p.day BETWEEN %(first)s AND %(last)s AND p.day > %(today)s
    GROUP BY p.node_id, p.day
) c ON c.node_id = n.node_id AND c.day = d.day::date
WHERE n.active AND (%(node)s::text IS NULL OR n.code = %(node)s)
  AND (n.node_id, d.day::date) > (%(after_node)s, %(after_day)s)
ORDER BY n.node_id, d.day
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Orders (fulfilments), lines and units of a day; None: without limit, or not known."""

    orders: int | None
    lines: int | None
    units: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityDay:
    """A day of a node.

    capacity  its limits; 0 on a day it does not work
    held      promised and still to be done
    used      done; None for a node without limits
    planned   expected of accepted campaigns beyond that, of days to come
    headroom  capacity - held - used - planned, not below 0; None where there is no limit
    """

    node_id: int
    node: str
    day: date
    capacity: Load
    held: Load
    used: Load
    planned: Load
    headroom: Load


def read_capacity(
    conn: Connection[TupleRow],
    *,
    node: str | None,
    first: date,
    last: date,
    today: date,
    after: tuple[int, date] = (0, date.min),
    limit: int,
) -> list[CapacityDay]:
    """Days `first` to `last` of a node (None: of all that are active), by (node_id, day). What campaigns plan counts of
    days after `today`."""
    values = {
        "node": node,
        "first": first,
        "last": last,
        "today": today,
        "after_node": after[0],
        "after_day": after[1],
        "limit": limit,
    }
    return [_day(row) for row in conn.execute(_DAYS, values)]


def _day(row: TupleRow) -> CapacityDay:
    node_id, node, day, works, *numbers = row
    limits: Sequence[int | None] = numbers[:3] if works else (0, 0, 0)
    is_limited, promised, held, planned = numbers[3], numbers[4:7], numbers[7:10], numbers[10:]
    used = [max(0, p - h) if is_limited else None for p, h in zip(promised, held, strict=True)]
    headroom = [
        None if limit is None else max(0, limit - p - c) for limit, p, c in zip(limits, promised, planned, strict=True)
    ]
    return CapacityDay(
        node_id=node_id,
        node=node,
        day=day,
        capacity=_load(limits),
        held=_load(held),
        used=_load(used),
        planned=_load(planned),
        headroom=_load(headroom),
    )


def _load(numbers: Sequence[int | None]) -> Load:
    orders, lines, units = numbers
    return Load(
        orders=orders,
        lines=None if lines is None else int(lines),
        units=None if units is None else int(units),
    )
