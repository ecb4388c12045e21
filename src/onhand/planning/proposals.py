"""Decisions in arrays, told as proposals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from onhand.planning.model import Basis, Effect, Kind, Proposal
from onhand.planning.prune import Markdowns
from onhand.planning.rebalance import Transfers
from onhand.planning.replenish import Purchases
from onhand.planning.safety_stock import Targets

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """When a plan was made, on what it rests, and how long its proposals may wait."""

    now: datetime
    basis: Basis
    valid: timedelta = timedelta(days=1)

    @property
    def expires_at(self) -> datetime:
        return self.now + self.valid


def of_transfers(
    found: Transfers, skus: Sequence[str], nodes: Sequence[str], lead_days: Int64, frame: Frame,
    *, weight_kg: Float64, co2_g_per_kg: Float64,
) -> list[Proposal]:  # fmt: skip
    """weight_kg float64[item]; co2_g_per_kg float64[from, to]"""
    emitted = found.units * weight_kg[found.item] * co2_g_per_kg[found.source, found.target]
    days = lead_days[found.source, found.target]
    return [
        Proposal(
            kind=Kind.TRANSFER,
            sku=skus[int(found.item[n])],
            node=nodes[int(found.target[n])],
            source=nodes[int(found.source[n])],
            quantity=int(found.units[n]),
            cost_minor=round(float(found.cost[n])),
            act_by=frame.now.date(),
            expected_at=frame.now.date() + timedelta(days=int(days[n])),
            expires_at=frame.expires_at,
            basis=frame.basis,
            effect=_effect(
                (found.gain[n], found.gain_low[n], found.gain_high[n]), float(found.saved[n]), co2_g=float(emitted[n])
            ),
        )
        for n in range(len(found.units))
    ]


def of_purchases(
    found: Purchases, rows: Sequence[tuple[str, str, str | None]], unit_cost: Float64, lead_days: Int64, frame: Frame,
    *, co2_g_per_unit: Float64 | None = None,
) -> list[Proposal]:  # fmt: skip
    """rows (sku, node, supplier); lead_days int64[n, K] equally likely: the order is expected after their median"""
    days = np.median(lead_days, axis=1)
    emitted = np.zeros(len(rows)) if co2_g_per_unit is None else co2_g_per_unit * found.quantity
    return [
        Proposal(
            kind=Kind.PURCHASE,
            sku=rows[n][0],
            node=rows[n][1],
            source=rows[n][2],
            quantity=int(found.quantity[n]),
            cost_minor=round(float(found.quantity[n] * unit_cost[n])),
            act_by=frame.now.date(),
            expected_at=frame.now.date() + timedelta(days=int(np.ceil(days[n]))),
            expires_at=frame.expires_at,
            basis=frame.basis,
            effect=_effect(
                (found.gain[n], found.gain_low[n], found.gain_high[n]),
                float(found.saved[n]),
                co2_g=float(emitted[n]),
                service=(float(found.service_before[n]), float(found.service_after[n])),
            ),
        )
        for n in np.flatnonzero(found.quantity).tolist()
    ]


def of_markdowns(
    found: Markdowns, skus: Sequence[str], nodes: Sequence[str], price: Float64, frame: Frame
) -> list[Proposal]:
    """price float64[item]; proposals only where a whole unit more is sold"""
    return [
        Proposal(
            kind=Kind.PRICE,
            sku=skus[int(found.item[n])],
            node=nodes[int(found.node[n])],
            quantity=round(float(found.units[n])),
            price_minor=round(float(price[found.item[n]] * found.ratio[n])),
            act_by=frame.now.date(),
            expires_at=frame.expires_at,
            basis=frame.basis,
            effect=_effect((found.gain[n], found.gain_low[n], found.gain_high[n]), float(found.units[n])),
        )
        for n in np.flatnonzero(np.rint(found.units)).tolist()
    ]


def of_safety_stock(
    found: Targets, kept: Int64, demand: npt.NDArray[np.int32], rows: Sequence[tuple[str, str]],
    costs: tuple[Float64, Float64], frame: Frame,
) -> list[Proposal]:  # fmt: skip
    """Safety stocks that differ from those `kept` int64[n]. demand int32[n, path]: as `found` was made from; costs
    float64[n] of a unit that is missing, and of one that is left at the end of the protection time."""
    units = np.rint(found.safety_stock).astype(np.int64)
    changed = np.flatnonzero(units != kept)
    drawn, stockout, carrying = demand[changed], costs[0][changed, None], costs[1][changed, None]
    new = found.order_up_to[changed, None]
    old = np.maximum(new - (units - kept)[changed, None], 0)
    saved = np.minimum(drawn, new) - np.minimum(drawn, old)
    money = stockout * saved - carrying * (np.maximum(new - drawn, 0) - np.maximum(old - drawn, 0))
    low, high = np.quantile(money, (0.05, 0.95), axis=1)
    before = (drawn <= old).mean(axis=1)
    return [
        Proposal(
            kind=Kind.SAFETY_STOCK,
            sku=rows[row][0],
            node=rows[row][1],
            quantity=int(units[row]),
            act_by=frame.now.date(),
            expires_at=frame.expires_at,
            basis=frame.basis,
            effect=_effect(
                (money[n].mean(), low[n], high[n]),
                float(saved[n].mean()),
                service=(float(before[n]), float(found.service[row])),
            ),
        )
        for n, row in enumerate(changed.tolist())
    ]


def _effect(
    money: tuple[float, float, float], saved: float, *, co2_g: float = 0.0, service: tuple[float, float] | None = None
) -> Effect:
    mean, low, high = (round(float(m)) for m in money)
    return Effect(
        money_minor=mean,
        money_low_minor=low,
        money_high_minor=high,
        units_saved=saved,
        service_before=service[0] if service else None,
        service_after=service[1] if service else None,
        co2_g=round(co2_g),
    )
