"""How near a forecast could come in a window: errors of trees that are shown deliveries of the window itself.

Each order is forecast by trees (extra `forecast`) that have seen the other nine tenths of orders of the window, with
all that was known at purchase and the moment of it: so they know how long deliveries took then, which nobody did. With
`of_day` they are told the mean days of all other orders of the same day too.
"""

from datetime import datetime

import numpy as np
import polars as pl
import polars.selectors as cs

from onhand.fulfilment.delivery.features import distance_km

FOLDS = 10
TREES = 150
SETTINGS = {
    "verbosity": -1, "deterministic": True, "force_row_wise": True, "num_threads": 1, "seed": 0, "num_leaves": 6,
    "min_data_in_leaf": 20, "learning_rate": 0.05, "feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1,
    "lambda_l2": 5.0,
}  # fmt: skip
_PRIOR_ROWS = 20


def bound(shipments: pl.DataFrame, until: datetime | None, *, of_day: bool = False) -> float:
    """The mean absolute error in days of those that are predicted, `shipments` as `delivering.measure` takes them."""
    import lightgbm  # noqa: PLC0415 - an extra

    asked = shipments.filter(pl.col("predicted_at").is_not_null())
    if until is not None:
        asked = asked.filter(pl.col("predicted_at") < until)
    at, promised = pl.col("ordered_at"), pl.col("promised_at")
    days = asked.select((pl.col("delivered_at") - at).dt.total_seconds() / 86_400).to_series().to_numpy()
    target = np.log(np.maximum(days, 0.25))
    km = distance_km(
        *(asked.select(f"{end}_latitude", f"{end}_longitude").to_numpy() for end in ("origin", "destination"))
    )
    plain = asked.select(
        cs.numeric(), promised=(promised - at).dt.total_seconds(), due=promised.dt.weekday(), when=at.dt.epoch(),
        hour=at.dt.hour(), weekday=at.dt.weekday(),
    )  # fmt: skip
    columns = [km, plain.to_numpy()]
    if of_day:
        day = _places(asked["ordered_at"].dt.date())
        count, total = np.bincount(day)[day], np.bincount(day, days)[day]
        columns.append(np.where(count > 1, (total - days) / np.maximum(count - 1, 1), np.nan))
    kinds = [_places(asked[name]) for name in asked.select(cs.string().exclude("shipment_id")).columns]
    fold = np.random.default_rng(0).permutation(len(days)) % FOLDS
    made = np.empty(len(days))
    for of in range(FOLDS):
        held = fold == of
        # A row's kinds are told by their mean target in the other folds, those that are held back left out throughout.
        means = [_means(kind, target, np.where(held, of, fold), of) for kind in kinds]
        table = np.column_stack([*columns, *means])
        by = [
            lightgbm.train({**SETTINGS, "objective": aim}, lightgbm.Dataset(table[~held], target[~held]), TREES)
            for aim in ("l1", "l2")
        ]
        made[held] = np.mean([np.asarray(trees.predict(table[held])) for trees in by], axis=0)
    return float(np.abs(days - np.exp(made)).mean())


def _places(column: pl.Series) -> np.ndarray:
    return column.rank("dense").fill_null(0).to_numpy().astype(int)


def _means(kind: np.ndarray, target: np.ndarray, fold: np.ndarray, held: int) -> np.ndarray:
    taught = fold != held
    off = np.where(taught, target - np.median(target[taught]), 0.0)
    cells, shape = fold * (kind.max() + 1) + kind, (FOLDS, kind.max() + 1)
    rows, sums = (np.bincount(cells, of, FOLDS * shape[1]).reshape(shape) for of in (taught * 1.0, off))
    return ((sums.sum(axis=0) - sums) / (rows.sum(axis=0) - rows + _PRIOR_ROWS))[fold, kind]
