"""What steps that act on stock, listings, channels and prices are judged by (flows/autopilot/measures.py)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from onhand.autopilot.model import Target
from onhand.db import queries
from onhand.flows.autopilot.measures import MARGIN_RATE, earned_of
from onhand.flows.playbooks.base import At, Key

SQL = queries(__file__)

WINDOW: Final = timedelta(days=7)
"""For which what is hidden or shown is looked at."""
_MOVED_FOR: Final = timedelta(days=14)
_TRADE_OF: Final = timedelta(days=28)
# As many units at other nodes serve an order, but for a few in a hundred.
SPARE_UNITS: Final = 3
SERVED: Final = 0.95


@dataclass(frozen=True, slots=True)
class Trade:
    """Of an item at a node: margin of a unit, units free at other nodes, units a day that were served from there."""

    margin_minor: float
    elsewhere: int
    daily_units: float


def trade_of(at: At[Any], positions: Collection[tuple[str, str]]) -> dict[tuple[str, str], Trade]:
    """By (sku, node); of those that nobody has heard of nothing."""
    values = {
        "skus": [sku for sku, _ in positions], "nodes": [node for _, node in positions], "rate": MARGIN_RATE,
        "since": at.now - _TRADE_OF, "days": _TRADE_OF / timedelta(days=1),
    }  # fmt: skip
    return {(sku, node): Trade(*row) for sku, node, *row in at.conn.execute(SQL["trade_of_positions"], values)}


def position_targets(
    at: At[Any], positions: Collection[tuple[str, str]], *, rejection_minor: int | None = None, farther_minor: int = 0,
    since: datetime | None = None, costs: Mapping[tuple[str, str], int] | None = None, of: int,
) -> dict[tuple[str, str], Target]:  # fmt: skip
    """What is judged of items at nodes: a week of sales that were missed there and of rejections, or two weeks from
    `since`, when what was sent for has come.

    rejection_minor  that an order costs which the node does not find; None: its margin
    """
    found: dict[tuple[str, str], Target] = {}
    until = at.now + WINDOW if since is None else since + _MOVED_FOR
    for (sku, node), trade in trade_of(at, positions).items():
        served = SERVED if trade.elsewhere >= SPARE_UNITS else 0.0
        basis = {
            "since": (since or at.now).isoformat(), "daily_units": trade.daily_units,
            "sale_minor": trade.margin_minor * (1 - served) + farther_minor * served,
            "rejection_minor": trade.margin_minor if rejection_minor is None else rejection_minor,
        }  # fmt: skip
        found[sku, node] = at.target(
            ("item_node", sku, node), stake_minor=at.stake(of), judge_at=until, basis=basis,
            cost_minor=(costs or {}).get((sku, node), 0),
        )  # fmt: skip
    return found


def sales_targets(at: At[Any], keys: Collection[Key], *, of: int) -> dict[Key, Target]:
    """What is judged of listings and channels: that they go on earning, for a week, what they earned in the last one,
    and what orders cost that are not served."""
    return {
        key: at.target(
            key, stake_minor=at.stake(of), judge_at=at.now + WINDOW,
            basis={"expected_minor": earned_of(at.conn, key, at.now - WINDOW, at.now).margin_minor},
        )
        for key in keys
    }  # fmt: skip
