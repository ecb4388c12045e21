"""The report of a simulation as one JSON document; page.py makes a page of it."""

import math
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from onhand.simulation.compare import BLOCKS_MAX, CONFIDENCE, Comparison, Difference
from onhand.simulation.history import History
from onhand.simulation.pareto import Pareto
from onhand.simulation.replay import Outcome

FORMAT: Final = 1
"""Of the document: keys are added, never changed, within a number."""


def document(
    history: History,
    comparison: Comparison,
    pareto: Pareto | None = None,
    *,
    name: str = "",
    ends: float | None = None,
    left_out: int = 0,
    cut: bool = False,
) -> dict[str, Any]:
    """The report as JSON values; keys as docs/how-to/simulate-a-policy.md explains them.

    ends      Unix seconds
    left_out  orders of the period that could not be replayed
    cut       whether the period was shortened
    """
    baseline, candidate = comparison.baseline, comparison.candidate
    last = float(history.placed[-1]) if len(history) else history.begins
    return {
        "format": FORMAT,
        "policy": name,
        "baseline": _policy(history, baseline),
        "candidate": _policy(history, candidate),
        "period": {
            "from": _moment(history.begins),
            "to": _moment(last if ends is None else ends),
            "orders": len(history),
            "orders_left_out": left_out,
            "is_shortened": cut,
        },
        "method": {
            "confidence": CONFIDENCE,
            "blocks_max": BLOCKS_MAX,
            "seed": baseline.settings.seed,
            "step_s": baseline.settings.step_s,
            "target_days": baseline.settings.target_days,
        },
        "differences": [_difference(d) for d in comparison.differences],
        "pareto": None if pareto is None else _pareto(pareto),
    }


def _policy(history: History, outcome: Outcome) -> dict[str, Any]:
    codes = history.network.node_codes
    units = np.bincount(outcome.picks.node, outcome.picks.units * ~outcome.picks.is_rejected, len(codes))
    return {
        "version": outcome.label,
        "units_asked": int(outcome.asked.sum()),
        "units_served": int(outcome.served.sum()),
        "orders_unserved": outcome.unserved,
        "units_missing": outcome.missing,
        "nodes": {code: int(n) for code, n in zip(codes, units.tolist(), strict=True) if n},
    }


def _difference(d: Difference) -> dict[str, Any]:
    m = d.metric
    return {
        "metric": m.key,
        "name": m.name,
        "unit": m.unit,
        "better": {-1: "less", 0: None, 1: "more"}[m.better],
        "baseline": _number(d.baseline),
        "candidate": _number(d.candidate),
        "difference": _number(d.difference),
        "low": _number(d.low),
        "high": _number(d.high),
        "orders": d.orders,
        "blocks": d.blocks,
        "verdict": d.verdict,
        "is_suspicious": d.is_suspicious,
    }


def _pareto(pareto: Pareto) -> dict[str, Any]:
    return {
        "orders": pareto.orders,
        "points": [
            {
                "name": p.prices.name,
                "day_minor": p.prices.day_minor,
                "co2_minor_per_kg": p.prices.co2_minor_per_kg,
                "paid_minor": _number(p.paid_minor),
                "days": _number(p.days),
                "co2_g": _number(p.co2_g),
                "dominated_by": p.dominated_by,
            }
            for p in pareto.points
        ],
    }


def _number(value: float) -> float | None:
    return round(value, 9) if math.isfinite(value) else None


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
