"""Deliveries predicted as they come, week after week: what the benchmarks of deliveries have in common."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from delivering_bound import bound

import onhand

LATER = ("handed_over_at", "delivered_at")


def measure(
    shipments: pl.DataFrame, origin: datetime, until: datetime | None, refit_days: int, *, trees: bool | None = None
) -> dict[str, float | int]:
    """shipments  the columns of a history, and predicted_at: when each is asked about, not before the origin, nor
    before it is ordered, nor once it is delivered; empty of those that are not asked about. handed_over_at, if it is
    there, is told of the history only"""
    ahead = shipments.filter(pl.col("predicted_at").is_not_null())
    if until is not None:
        ahead = ahead.filter(pl.col("predicted_at") < until)
    last = ahead["predicted_at"].max()
    known = shipments.filter(pl.col("delivered_at") < origin)
    if not isinstance(last, datetime):
        raise ValueError(f"no shipment is predicted from {origin:%Y-%m-%d} on")
    step = timedelta(days=refit_days) if refit_days else last - origin + timedelta(days=1)
    made: list[pl.DataFrame] = []
    at = origin
    while at <= last:
        asked = ahead.filter(pl.col("predicted_at") >= at, pl.col("predicted_at") < at + step)
        if len(asked):
            # What is handed to the model has no hand-over or delivery of after the moment it is learned at, and of what
            # is asked about none at all.
            came = [pl.when(pl.col(name) < at).then(name).alias(name) for name in LATER if name in shipments.columns]
            history = shipments.filter(pl.col("ordered_at") < at).drop("predicted_at").with_columns(*came)
            model = onhand.delivery_model(history, as_of=at, trees=trees)
            made.append(
                asked.join(
                    model.predict(asked.rename({"predicted_at": "scanned_at"}).drop(LATER, strict=False)),
                    on="shipment_id",
                )
            )
        at += step
    of = pl.concat(made)

    def days_to(column: str, frame: pl.DataFrame = of) -> np.ndarray:
        return (frame[column] - frame["ordered_at"]).dt.total_seconds().to_numpy() / 86_400

    days, late = days_to("delivered_at"), (of["delivered_at"] > of["promised_at"]).to_numpy()
    usual = np.median(days_to("delivered_at", known))
    return {
        "mae_days": float(np.abs(days - of["q0.5"].to_numpy()).mean()),
        "mae_days_baseline": float(np.abs(days - usual).mean()),
        "coverage_90": float((days <= of["q0.9"].to_numpy()).mean()),
        "brier": float(((of["p_late"].to_numpy() - late) ** 2).mean()),
        "brier_base_rate": float(late.mean() * (1 - late.mean())),
        "n_train": len(known),
        "n_test": len(of),
    }


def main(load: Callable[[Path, datetime], pl.DataFrame], told: str | None, *, bounded: bool = False) -> int:
    """bounded  whether shipments are asked about when they are ordered, so that `bound` is comparable"""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--origin", type=datetime.fromisoformat, required=True)
    parser.add_argument("--until", type=datetime.fromisoformat, default=None)
    parser.add_argument("--refit-days", type=int, default=7)
    parser.add_argument("--lanes-only", action="store_true", help="without boosted trees")
    if bounded:
        parser.add_argument("--bound", action="store_true", help="how near trees come that are shown the window itself")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        shipments = load(options.data, options.origin)
        if bounded and options.bound:
            found = {
                name: bound(shipments, options.until, of_day=of_day)
                for name, of_day in (("mae_days_bound", False), ("mae_days_bound_of_day", True))
            }
        else:
            found = measure(
                shipments, options.origin, options.until, options.refit_days,
                trees=False if options.lanes_only else None,
            )  # fmt: skip
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(found, indent=None if options.json else 2))
    return 0
