"""Listings that earn less than they may, and prices that are most likely a slip."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

import numpy as np

from onhand.base.dates import EPOCH
from onhand.db import queries
from onhand.demand.store import Kind as Column
from onhand.demand.store import fetch
from onhand.flows.incidents.scene import Scene, Seen, Unseen, by_currency
from onhand.incidents.detect import money
from onhand.incidents.group import Patience
from onhand.incidents.model import Finding

SQL = queries(__file__)

SURE: Final = Patience(open_at=0.95, close_at=0.7)
"""Of many listings some always look bad by chance."""

_ORDERS_OF: Final = timedelta(days=7)
# Of a week with more, the last ones.
_ORDERS_MAX: Final = 50_000
_PRICES_OF: Final = timedelta(days=90)
_PRICES_MIN: Final = 30
_MARGIN: Final[dict[str, Column]] = {"channel": "int", "item": "int", "revenue": "float", "cost": "float"}
_PRICE: Final[dict[str, Column]] = {"channel": "int", "item": "int", "price": "float", "day": "int", "units": "int"}


def margins(scene: Scene) -> Seen:
    """Listings whose orders of the last week earned less than the channel's `margin_floor` (a setting of the channel, a
    share of revenue), or nothing where it has none."""
    since = scene.now - _ORDERS_OF
    asked = {"now": scene.now, "since": since, "first": scene.id_at(since), "limit": _ORDERS_MAX}
    rows = fetch(scene.conn, SQL["margins"], asked, _MARGIN)
    if not len(rows["item"]):
        return Seen()
    key, group = np.unique(rows["channel"] << 32 | rows["item"], return_inverse=True)
    floors: dict[int, float] = dict(scene.conn.execute(SQL["floors"]).fetchall())
    floor = np.array([floors.get(k >> 32, 0.0) for k in key.tolist()])
    seen = money.margins(group, rows["revenue"], rows["cost"], floor)
    names, currency = _named(scene, key.tolist())
    found = money.margin_findings(seen, names, floor, since, confidence_min=SURE.close_at)
    return Seen(findings=_apart(found, currency))


def outliers(scene: Scene) -> Seen | Unseen:
    """Listings that were sold today for what is no price of theirs."""
    asked = {"now": scene.now, "since": scene.now - _PRICES_OF, "before": scene.id_at(scene.now)}
    rows = fetch(scene.conn, SQL["prices"], asked, _PRICE)
    today = (scene.now.date() - EPOCH).days
    is_new = rows["day"] >= today
    if (~is_new).sum() < _PRICES_MIN:
        return Unseen(reason=f"fewer than {_PRICES_MIN} prices are known of the days before today")
    if not is_new.any():
        return Seen()
    listing = rows["channel"] << 32 | rows["item"]
    key, place = np.unique(listing, return_inverse=True)
    names, currency = _named(scene, key.tolist())
    # Prices of a category in another currency say nothing of these.
    of = dict(scene.conn.execute(SQL["categories_of"], {"items": sorted({k & 0xFFFFFFFF for k in key.tolist()})}))
    kinds: dict[tuple[str, str], int] = {}
    category = np.array(
        [
            kinds.setdefault((of.get(k & 0xFFFFFFFF, ""), currency[name]), len(kinds))
            for k, name in zip(key.tolist(), names, strict=True)
        ],
        np.int64,
    )
    learned = money.learn_prices(place[~is_new], rows["price"][~is_new], category)
    item, price = place[is_new], rows["price"][is_new]
    listed: list[int] = item.tolist()
    seen = money.outliers(item, price, learned)
    # As many again until somebody looks.
    begun = datetime.combine(scene.now.date(), time(), UTC)
    found = money.outlier_findings(
        seen, price, [names[i] for i in listed], rows["units"][is_new].astype(np.float64), begun,
        confidence_min=0.3,
    )  # fmt: skip
    return Seen(findings=_apart(found, currency))


def _named(scene: Scene, keys: list[int]) -> tuple[list[tuple[str, str]], dict[tuple[str, str], str]]:
    """(channel, sku) of listings, and their currencies: those of the channels, which the prices are in."""
    items = scene.items({k & 0xFFFFFFFF for k in keys})
    known = scene.channels
    names: list[tuple[str, str]] = []
    currency: dict[tuple[str, str], str] = {}
    for k in keys:
        channel = known.get(k >> 32)
        name = ("" if channel is None else channel.code, items[k & 0xFFFFFFFF].sku)
        names.append(name)
        currency[name] = scene.currency if channel is None else channel.currency
    return names, currency


def _apart(found: list[Finding], currency: dict[tuple[str, str], str]) -> dict[str, list[Finding]]:
    return by_currency(found, [currency[f.subject.key[0], f.subject.key[1]] for f in found])
