"""Oversells, and stock that is recorded and not there.

Phantoms are told by customers at the shelf: only what is sold over a node's counter proves by its absence that there is
nothing to take, for an online order does not see the shelf. What an online order meets is the node's rejection.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from onhand.db import queries
from onhand.demand.store import Kind as Column
from onhand.demand.store import fetch
from onhand.flows.incidents.scene import MARGIN_RATE, Changes, Scene, Seen, Unseen, by_currency
from onhand.incidents.detect import oversell
from onhand.incidents.detect import phantoms as absence
from onhand.incidents.model import Subject

SQL = queries(__file__)

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Rows = dict[str, npt.NDArray[Any]]

# Oversells ------------------------------------------------------------------------------------------------------------

_SHORT: Final[dict[str, Column]] = {
    "item": "int", "shelf": "int", "waiting": "int", "orders": "int", "penalty": "float", "since": "int", "free": "int",
}  # fmt: skip


def oversells(scene: Scene) -> Seen:
    """All units that were confirmed and that nothing backs."""
    return _oversells(scene, None)


def oversells_changed(scene: Scene, changes: Changes) -> Seen:
    """Those of items whose stock or orders have changed."""
    ids = [item for (item,) in scene.conn.execute(SQL["items_of_orders"], {"ids": list(changes.orders)})]
    return _oversells(scene, sorted({*ids, *(item for item, _ in changes.positions)}))


def _oversells(scene: Scene, items: Sequence[int] | None) -> Seen:
    asked = {"now": scene.now, "items": items if items is None else list(items), "main": scene.currency}
    rows = fetch(scene.conn, SQL["oversold"], asked, _SHORT)
    named = scene.items(rows["item"].tolist() if items is None else items)
    short = oversell.Shortages(
        shelf_units=rows["shelf"], waiting_units=rows["waiting"], orders=rows["orders"],
        free_units=np.maximum(rows["free"], 0), since=rows["since"],
    )  # fmt: skip
    of = [named[item] for item in rows["item"].tolist()]
    found = oversell.findings(
        short, oversell.staying(short, scene.now_us), [item.sku for item in of],
        np.array([item.margin_minor for item in of], np.float64), rows["penalty"],
    )  # fmt: skip
    currency = {item.sku: item.currency for item in of}
    scope = None if items is None else frozenset(Subject("item", (item.sku,)) for item in named.values())
    return Seen(findings=by_currency(found, [currency[f.subject.key[0]] for f in found]), scope=scope)


# Phantoms -------------------------------------------------------------------------------------------------------------

# Sales of so many days say how fast an item sells at a node; the last ones, what the item does everywhere.
_WINDOW: Final = timedelta(days=70)
_RECENT: Final = timedelta(days=14)
_LEARN_EVERY: Final = timedelta(days=1)
# Item-nodes that velocities are learned from: more tell nothing new.
_LEARNED_FROM: Final = 200_000
# In minor units: what it costs to count an item at a node, and what an order costs that a node rejects.
_COUNT_MINOR, _REJECTION_MINOR = 200.0, 500.0
# Days until somebody would count it anyway.
_NEXT_COUNT_DAYS: Final = 60.0
_COUNTS_MAX: Final = 1_000
# An entry is recorded as of the beginning of its transaction, which may have ended after we looked.
_OVERLAP: Final = timedelta(minutes=5)
# When so many positions have moved, all of them are read again.
_REREAD_SHARE: Final = 0.2
# Vanished items in a day as long as no counts tell: of one in 2,000 item-nodes, with the weight of 10,000 days.
_VANISHED, _VANISHED_DAYS = 5.0, 10_000.0
# Units with which an item is taken to sell as before, until its sales say otherwise.
_SHARED_UNITS: Final = 5.0

_POSITION: Final[dict[str, Column]] = {
    "item": "int", "node": "int", "category": "int", "currency": "int", "units": "float", "recent": "float",
    "open_days": "float", "run_days": "float", "rejections": "int", "margin": "float",
}  # fmt: skip


def phantoms(scene: Scene) -> Seen | Unseen:
    """All positions that say that there are units."""
    return _phantoms(scene, None)


def phantoms_changed(scene: Scene, changes: Changes) -> Seen | Unseen:
    """Positions that entries were recorded at."""
    if not changes.positions:
        return Seen(scope=frozenset())
    return _phantoms(scene, changes.positions)


def _phantoms(scene: Scene, keys: Sequence[tuple[int, int]] | None) -> Seen | Unseen:
    learned = scene.memory.get("velocities", scene.now, _LEARN_EVERY, lambda: _learn(scene))
    if learned is None:
        return Unseen(reason="nothing was sold over a counter in the last weeks: phantoms are told by that")
    asked = learned.lists | _asked(scene, keys)
    rows = learned.board.followed(scene, asked) if keys is None else _only(_read(scene, asked), keys)
    run = rows["run_days"] = np.maximum(rows["run_days"], 0.0)
    rejected = _rejections(scene, asked, rows)
    days = np.maximum(rows["open_days"] - run, 0.0)
    positions = absence.Positions(
        department=rows["category"], units=np.where(days > 0, rows["units"], 0.0), days=days, run_days=run,
        rejections=rejected, prior=np.zeros(len(run)), hazard=np.full(len(run), learned.hazard),
        factor=learned.factor(rows),
    )  # fmt: skip
    believed = absence.believed(positions, learned.velocities)
    # A rejection costs what the order costs to be sourced again, and there will be as many again.
    counts = absence.worth_counting(
        believed, rows["margin"], np.full(len(run), _NEXT_COUNT_DAYS), rejection_minor=_REJECTION_MINOR,
        rejections_expected=rejected.astype(np.float64), count_minor=_COUNT_MINOR, most=_COUNTS_MAX,
    )  # fmt: skip
    some = np.unique(counts.row)
    item: list[int] = rows["item"][some].tolist()
    node: list[int] = rows["node"][some].tolist()
    currency: list[int] = rows["currency"][some].tolist()
    items = scene.items(item)
    keyed = [(items[i].sku, scene.nodes.get(n, str(n))) for i, n in zip(item, node, strict=True)]
    found = absence.findings(
        counts, positions, believed, dict(zip(some.tolist(), keyed, strict=True)), scene.now
    )  # fmt: skip
    known: list[str] = learned.lists["currencies"]
    of = {key: known[c] for key, c in zip(keyed, currency, strict=True)}
    scope = None
    if keys is not None:
        skus = {item_id: one.sku for item_id, one in scene.items({i for i, _ in keys}).items()}
        scope = frozenset(Subject("item_node", (skus[i], scene.nodes.get(n, str(n)))) for i, n in keys)
    return Seen(findings=by_currency(found, [of[f.subject.key[0], f.subject.key[1]] for f in found]), scope=scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Learned:
    """What is known of a shop's sales over counters.

    hazard    chance that the rest of an item at a node vanishes in a day
    factors   float64[item_id], what an item sells over all counters now as a share of before
    counters  node_ids that sell over the counter
    lists     categories and currencies, in the order in which rows number them
    board     all positions as they were read last
    """

    velocities: absence.Velocities
    hazard: float
    factors: Float64
    counters: Int64
    lists: dict[str, list[str]]
    board: "_Board"

    def factor(self, rows: Rows) -> Float64:
        """float64[n]: see phantoms.Positions. Silence proves nothing where nobody buys at the shelf."""
        known = rows["item"] < len(self.factors)
        of_item = np.where(known, self.factors[np.where(known, rows["item"], 0)], 1.0)
        return np.where(np.isin(rows["node"], self.counters), of_item, 0.0)


class _Board:
    """All positions with units, as of when each was read: one that no entry was recorded at since then is as it was,
    but for the time that has passed. Reading all of them takes many times as long as reading what has moved."""

    def __init__(self, rows: Rows, at: datetime) -> None:
        self.rows, self._at = rows, at
        self._read = np.full(len(rows["item"]), at.timestamp())

    def followed(self, scene: Scene, asked: dict[str, Any]) -> Rows:
        """They as they are now."""
        since = {"since": self._at - _OVERLAP, "now": scene.now}
        moved = fetch(scene.conn, SQL["moved_positions"], since, {"item": "int", "node": "int"})
        if len(moved["item"]) > _REREAD_SHARE * len(self.rows["item"]):
            self.rows = _read(scene, asked)
            self._read = np.full(len(self.rows["item"]), scene.now.timestamp())
        elif len(moved["item"]):
            keys = [*zip(moved["item"].tolist(), moved["node"].tolist(), strict=True)]
            new = _only(_read(scene, asked | _asked(scene, keys)), keys)
            stays = ~np.isin(_key(self.rows), _key(moved))
            self.rows = {name: np.concatenate([values[stays], new[name]]) for name, values in self.rows.items()}
            self._read = np.concatenate([self._read[stays], np.full(len(new["item"]), scene.now.timestamp())])
        self._at = scene.now
        passed = (scene.now.timestamp() - self._read) / 86_400
        return self.rows | {
            "run_days": self.rows["run_days"] + passed, "open_days": self.rows["open_days"] + passed
        }  # fmt: skip


def _read(scene: Scene, asked: dict[str, Any]) -> Rows:
    return fetch(scene.conn, SQL["positions"], asked, _POSITION)


def _key(rows: Rows) -> Int64:
    return rows["item"] << 32 | rows["node"]


def _learn(scene: Scene) -> _Learned | None:
    """None: nothing was sold over a counter."""
    categories = sorted({name or "" for (name,) in scene.conn.execute(SQL["categories"])}) or [""]
    currencies = sorted({scene.currency, *(name for (name,) in scene.conn.execute(SQL["currencies"]))})
    lists = {"categories": categories, "currencies": currencies}
    asked = lists | _asked(scene, None)
    squares = fetch(scene.conn, SQL["squares"], asked, {"item": "int", "node": "int", "squares": "float"})
    if not len(squares["item"]):
        return None
    board = _Board(_read(scene, asked), scene.now)
    counters = np.unique(squares["node"])
    here = np.isin(board.rows["node"], counters)
    rows = {name: values[here] for name, values in board.rows.items()}
    if not len(rows["item"]):
        return None
    units, days = rows["units"], np.maximum(rows["open_days"], 1.0)
    squared = np.maximum(_looked_up(rows, squares, "squares"), units**2 / days)
    # Evenly over all of them: rows come in no order.
    part = slice(None, None, max(len(units) // _LEARNED_FROM, 1))
    velocities = absence.learn(
        rows["category"][part], units[part], squared[part], days[part], departments=len(categories)
    )
    absent, watched = scene.conn.execute(SQL["counts"], asked).fetchone() or (0.0, 0.0)
    hazard = (absent + _VANISHED) / (watched + _VANISHED_DAYS)
    recent_days = _RECENT.total_seconds() / 86_400
    before = np.maximum(units - rows["recent"], 0.0) / np.maximum(days - recent_days, 1.0)
    size = int(rows["item"].max()) + 1
    sold = np.bincount(rows["item"], rows["recent"], size)
    expected = np.bincount(rows["item"], before * np.minimum(days, recent_days), size)
    # A rise elsewhere proves nothing of any one.
    factors = np.minimum((sold + _SHARED_UNITS) / (expected + _SHARED_UNITS), 1.0)
    return _Learned(
        velocities=velocities, hazard=min(hazard, 0.01), factors=factors, counters=counters, lists=lists,
        board=board,
    )  # fmt: skip


def _asked(scene: Scene, keys: Sequence[tuple[int, int]] | None) -> dict[str, Any]:
    return {
        "now": scene.now, "since": scene.now - _WINDOW, "window_s": _WINDOW.total_seconds(),
        "recent_s": _RECENT.total_seconds(), "rate": MARGIN_RATE, "main": scene.currency,
        "items": None if keys is None else sorted({item for item, _ in keys}),
        "nodes": None if keys is None else sorted({node for _, node in keys}),
    }  # fmt: skip


def _only(rows: Rows, keys: Sequence[tuple[int, int]]) -> Rows:
    chosen = np.array([item << 32 | node for item, node in keys], np.int64)
    mine = np.isin(_key(rows), chosen)
    return {name: values[mine] for name, values in rows.items()}


def _looked_up(rows: Rows, table: Rows, column: str) -> Float64:
    """float64[n]: a column of another table for each position; 0 where it has none."""
    key = _key(table)
    order = np.argsort(key)
    place = np.searchsorted(key, _key(rows), sorter=order)
    place = np.minimum(place, len(key) - 1)
    found = order[place]
    same = key[found] == _key(rows)
    return np.where(same, table[column][found], 0.0)


def _rejections(scene: Scene, asked: dict[str, Any], rows: Rows) -> Int64:
    """int64[n]: times since there last was proof that a node looked for an item in vain."""
    out = np.zeros(len(rows["item"]), np.int64)
    some = np.flatnonzero(rows["rejections"] > 0)
    if not len(some):
        return out
    told = fetch(scene.conn, SQL["rejections"], asked, {"item": "int", "node": "int", "age_days": "float"})
    key = _key(rows)[some]
    order = np.argsort(key)
    place = np.minimum(np.searchsorted(key, _key(told), sorter=order), len(key) - 1)
    row = some[order[place]]
    same = _key(rows)[row] == _key(told)
    counts = same & (told["age_days"] <= rows["run_days"][row])
    np.add.at(out, row[counts], 1)
    return out
