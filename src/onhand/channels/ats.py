"""Available to sell, and why: the number a channel is shown, as a sum of terms that anybody can check.

    ATS = max(0, sum over the channel's nodes (available - safety stock) - gate - quotas of other
          channels), limited by its own quota

Beside it what can be promised by a day (`atp`), less the same gate and quotas. Both are what the channel
is told; orders are not refused for a gate or a quota.

Each addend is a term with its node and the ledger entry it rests on; where the number is cut (at 0,
at a quota) the cut is a term too, so that the terms always sum to it. A bundle has as many as its
scarcest component allows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from onhand.base.dates import EPOCH
from onhand.base.fields import INT4_MAX
from onhand.channels.gates.settings import MODES, GateSetting, hidden
from onhand.db import arrays, queries
from onhand.ledger.atp import Dated, atp, on_day

SQL = queries(__file__)


class Mark(msgspec.Struct, frozen=True, gc=False):
    """The last ledger entry of a position."""

    version: int
    entry_id: int


class AvailableTerm(msgspec.Struct, frozen=True, gc=False):
    """Units available at a node: on_hand - unavailable - allocated."""

    term: str
    node: str
    units: int
    on_hand: int
    unavailable: int
    allocated: int
    ledger: Mark | None


class Term(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Another addend: safety_stock (of a node), gate, quota_of_other_channels, not_below_zero,
    quota, component (of a bundle).
    """

    term: str
    units: int
    node: str | None = None
    sku: str | None = None


class Point(msgspec.Struct, frozen=True, gc=False):
    """Units that can be promised by the end of a day (UTC)."""

    date: str
    units: int


class Availability(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer for one item on one channel (None: over all nodes, without gate and quota).

    at          the past moment it is about; then without `atp`
    per_bundle  as a component: units in one bundle
    """

    sku: str
    channel: str | None
    ats: int
    atp: list[Point]
    terms: list[AvailableTerm | Term]
    at: datetime | None = None
    per_bundle: int | None = None
    components: "list[Availability] | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """A channel as availability sees it; `node_ids` it sells from."""

    channel_id: int
    code: str
    node_ids: Collection[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What ids are called, and the components (item_id, units) of bundles."""

    skus: Sequence[str]
    nodes: Sequence[str]
    bundles: Mapping[int, Sequence[tuple[int, int]]]


@dataclass(slots=True)
class Facts:
    """Rows of one item, as `load_availability` tags them; units that wait without supply."""

    positions: list[TupleRow] = field(default_factory=list[TupleRow])
    supply: list[TupleRow] = field(default_factory=list[TupleRow])
    waiting: int = 0
    quotas: dict[int, int] = field(default_factory=dict[int, int])
    gates: dict[int, int] = field(default_factory=dict[int, int])


@dataclass(slots=True)
class Loaded:
    """What was read for some items: facts by item_id (`gates`: computed ones, by channel_id), gates by channel_id."""

    items: dict[int, Facts]
    gates: dict[int, GateSetting]


def load_availability(conn: Connection[TupleRow], item_ids: Collection[int], *, at: datetime | None = None) -> Loaded:
    """Read, in one statement, all that the availability of `item_ids` rests on.

    Bundles hold nothing: name their components as well (`with_components`). at: a past moment.
    """
    ids = sorted(set(item_ids))
    loaded = Loaded({item_id: Facts() for item_id in ids}, {})
    with conn.cursor(binary=True) as cursor:
        if at is None:
            cursor.execute(SQL["load_availability"], {"items": arrays.int4(ids)})
        else:
            cursor.execute(SQL["load_availability_at"], {"items": arrays.int4(ids), "at": at})
        items = loaded.items
        for row in cursor.fetchall():
            tag = row[0]
            if tag == 0:
                items[row[1]].positions.append(row)
            elif tag == 1:
                items[row[1]].supply.append(row)
            elif tag == 2:
                items[row[1]].waiting = row[3]
            elif tag == 3:
                items[row[1]].quotas[row[2]] = row[3]
            elif tag == 4:
                loaded.gates[row[2]] = _gate_of(row)
            else:
                items[row[1]].gates[row[2]] = row[3]
    return loaded


def _gate_of(row: TupleRow) -> GateSetting:
    """Of a row of tag 4: mode, units, millionths of a percent, floor, cap."""
    _, mode, _, units, percent, floor, cap, *_ = row
    return GateSetting(mode=MODES[int(mode)], units=units, percent=percent / 1e6, floor=floor, cap=cap)


def with_components(item_ids: Collection[int], names: Names) -> set[int]:
    """`item_ids` and the components of the bundles among them."""
    wanted = set(item_ids)
    for item_id in item_ids:
        wanted.update(part for part, _ in names.bundles.get(item_id, ()))
    return wanted


def explain(
    item_id: int,
    loaded: Loaded,
    names: Names,
    sold: Sold | None,
    *,
    today: int,
    until: int | None = None,
    at: datetime | None = None,
) -> Availability:
    """Available to sell and to promise of one item, with its terms. Pure.

    sold   None: over all nodes, without gate and quota
    today  days since 1970-01-01, UTC
    until  last day of `atp`; None: the last on which it changes
    """
    parts = names.bundles.get(item_id)
    if parts:
        return _explain_bundle(item_id, parts, loaded, names, sold, today, until, at)
    facts = loaded.items[item_id]
    nodes = names.nodes
    terms: list[AvailableTerm | Term] = []
    ats = 0
    known = len(nodes)
    for row in sorted(facts.positions, key=_node_id):
        _, _, _, on_hand, unavailable, allocated, _, safety, version, entry_id = row
        node_id = _node_id(row)
        if (sold is not None and node_id not in sold.node_ids) or node_id >= known:
            continue
        available = on_hand - unavailable - allocated
        mark = None if entry_id is None else Mark(version, entry_id)
        terms.append(AvailableTerm("available", nodes[node_id], available, on_hand, unavailable, allocated, mark))
        ats += available
        if safety:
            terms.append(Term("safety_stock", -safety, nodes[node_id]))
            ats -= safety
    ats = _limit(ats, terms, facts.quotas, _gate(ats, facts, loaded.gates, sold), sold)
    points: list[Point] = []
    if at is None:
        points = _points(_atp(item_id, loaded, sold, today, until))
    return Availability(names.skus[item_id], None if sold is None else sold.code, ats, points, terms, at)


def _atp(item_id: int, loaded: Loaded, sold: Sold | None, today: int, until: int | None) -> list[Dated]:
    """`atp` of an item over the nodes of a channel; what is oversold or waits is due now, and so is what the
    channel's gate and the quotas of others keep from it."""
    facts = loaded.items[item_id]
    available = unsafe = 0
    owed = facts.waiting
    for _, _, node_id, on_hand, unavailable, allocated, oversold, safety, *_ in facts.positions:
        if sold is None or node_id in sold.node_ids:
            available += on_hand - unavailable - allocated
            unsafe += safety
            owed += oversold
    kept, most = _kept(facts.quotas, _gate(available - unsafe, facts, loaded.gates, sold), sold)
    supply = [
        # What should have come and has not may come tomorrow; it is not here today.
        (max(day, today + 1) if is_overdue else day, units)
        for _, _, node_id, units, day, is_overdue, *_ in facts.supply
        if sold is None or node_id in sold.node_ids
    ]
    return _at_most(most, atp(available, supply, [(today, owed + kept)], today=today, until=until), until)


def _gate(stock: int, facts: Facts, gates: Mapping[int, GateSetting], sold: Sold | None) -> int:
    """Units that the channel's gate hides of `stock`."""
    if sold is None or (setting := gates.get(sold.channel_id)) is None:
        return 0
    # A fixed number is hidden of what will come, too.
    if setting.mode == "fixed":
        stock = INT4_MAX
    return hidden(setting, stock, facts.gates.get(sold.channel_id))


def _kept(quotas: Mapping[int, int], gate: int, sold: Sold | None) -> tuple[int, int | None]:
    """(units kept from the channel by its gate and the quotas of others, its own quota)."""
    if sold is None:
        return 0, None
    others = sum(units for channel, units in quotas.items() if channel != sold.channel_id)
    return gate + others, quotas.get(sold.channel_id)


def _at_most(most: int | None, dated: list[Dated], until: int | None) -> list[Dated]:
    """`dated`, no more than `most` on any day; without the days on which nothing changes any more."""
    if most is None:
        return dated
    cut: list[Dated] = []
    for day, units in dated:
        if not cut or min(units, most) != cut[-1][1] or day == until:
            cut.append((day, min(units, most)))
    return cut


def _points(dated: Sequence[Dated]) -> list[Point]:
    return [Point(_text(day), units) for day, units in dated]


@lru_cache(maxsize=4096)
def _text(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()


def _node_id(row: TupleRow) -> int:
    return row[2]


def _limit(
    ats: int,
    terms: list[AvailableTerm | Term],
    quotas: Mapping[int, int],
    gate: int,
    sold: Sold | None,
) -> int:
    """Take gate and quotas off `ats`, as terms."""
    if sold is not None:
        if gate:
            terms.append(Term("gate", -gate))
            ats -= gate
        if others := sum(units for channel, units in quotas.items() if channel != sold.channel_id):
            terms.append(Term("quota_of_other_channels", -others))
            ats -= others
    if ats < 0:
        terms.append(Term("not_below_zero", -ats))
        ats = 0
    if sold is not None and ats > (quota := quotas.get(sold.channel_id, ats)):
        terms.append(Term("quota", quota - ats))
        ats = quota
    return ats


def _explain_bundle(
    item_id: int,
    parts: Sequence[tuple[int, int]],
    loaded: Loaded,
    names: Names,
    sold: Sold | None,
    today: int,
    until: int | None,
    at: datetime | None,
) -> Availability:
    components = [
        msgspec.structs.replace(explain(part, loaded, names, sold, today=today, until=until, at=at), per_bundle=units)
        for part, units in parts
    ]
    whole = [c.ats // units for c, (_, units) in zip(components, parts, strict=True)]
    ats = min(whole)
    terms: list[AvailableTerm | Term] = [Term("component", ats, sku=components[whole.index(ats)].sku)]
    quotas = loaded.items[item_id].quotas if item_id in loaded.items else {}
    ats = _limit(ats, terms, quotas, 0, sold)
    points: list[Point] = []
    if at is None:
        kept, most = _kept(quotas, 0, sold)
        steps = [(_atp(part, loaded, sold, today, until), per) for part, per in parts]
        changes: list[Dated] = []
        for day in sorted({day for step, _ in steps for day, _ in step}):
            units = max(0, min(on_day(step, day) // per for step, per in steps) - kept)
            if not changes or units != changes[-1][1] or day == until:
                changes.append((day, units))
        points = _points(_at_most(most, changes, until))
    return Availability(
        names.skus[item_id],
        None if sold is None else sold.code,
        ats,
        points,
        terms,
        at,
        components=components,
    )
