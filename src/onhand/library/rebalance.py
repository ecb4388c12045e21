"""`onhand.rebalance`: transfers between nodes before the demand arrives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from onhand.errors import InvalidInput
from onhand.library.tables import Frame, column_of, expected_of, in_range, read, same_library
from onhand.planning.protection import Expected
from onhand.planning.rebalance import Caution, Recent, Stocked, Transfers
from onhand.planning.rebalance import rebalance as decide
from onhand.planning.transfers import Lanes

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalancing:
    """Transfers worth making, and how good they are.

    transfers     a frame of the library of `stock`: sku, source, target, quantity, expected_in_days, cost_minor,
                  gain_minor (expected, after cost; below gain_low_minor, gain_high_minor in 5 and 95 of 100 draws of
                  demand), units_saved, co2_g
    gain_minor    of the best plan found before caution held any of it back; no plan gains more than bound_minor
    gap           share of the bound that a better plan could gain at most
    """

    transfers: Any
    gain_minor: float
    bound_minor: float
    gap: float
    seconds: float


def rebalance(
    demand_quantiles: Frame,
    stock: Frame,
    lanes: Frame,
    *,
    items: Frame | None = None,
    docks: Frame | None = None,
    recent: Frame | None = None,
    horizon_days: int = 14,
    sd_share: float = 0.5,
    hold_days: int = 7,
    correlation: float = 0.5,
    paths: int = 200,
    time_limit_s: float = 50.0,
    seed: int = 0,
) -> Rebalancing:
    """Which units to move where, in whole units, so that expected sales until the horizon gain most.

    demand_quantiles  sku, node, ds and q0.05 ... of each day; an item without a forecast at a node sells nothing there
    stock             sku, node, available and worth_minor (gained by serving a unit of the node's demand from there);
                      movable (units that may leave; all), coming (units on their way; 0), left_minor (worth of a unit
                      unsold at the horizon; 0). An item without a row at a node is worth there what it is elsewhere,
                      in the mean
    lanes             source, target, cost_minor (of a unit), lead_days; kg_minor, room and co2_g_per_kg where known
    items             sku, weight_kg (0), size (1; of a unit, in what room and docks are counted in)
    docks             node, room_out, room_in
    recent            sku, source, target, days_ago: transfers decided before; nothing goes back within two lead times,
                      nothing moves again within hold_days
    horizon_days      how far ahead stock is valued, until the next supply for example
    sd_share          a transfer's gain exceeds its cost by so many standard deviations of the gain
    paths             draws of demand, even

    Never moves more than is movable, nor more over a lane or dock than its room. With the transfers made (their units
    among `coming`) the same call proposes none. Raises InvalidInput.
    """
    in_range("horizon_days", horizon_days, 1, 731)
    in_range("correlation", correlation, 0, 1)
    in_range("time_limit_s", time_limit_s, 0)
    if paths < 2 or paths % 2:
        raise InvalidInput.at("paths", f"expected an even number, got {paths!r}")
    careful = Caution(sd_share=in_range("sd_share", sd_share, 0), hold_days=int(in_range("hold_days", hold_days, 0)))
    held = read(
        stock, "stock", {"sku": "text", "node": "text", "available": "whole", "worth_minor": "number"},
        {"movable": "whole", "coming": "whole", "left_minor": "number"},
    )  # fmt: skip
    if held.select("sku", "node").is_duplicated().any():
        raise InvalidInput.at("stock", "expected each sku at each node once")
    series, forecast = expected_of(demand_quantiles, "demand_quantiles", ("sku", "node"))
    skus = pl.concat([held["sku"], series["sku"]]).unique().sort()
    codes = pl.concat([held["node"], series["node"]]).unique().sort()
    index = _Index(skus, codes)
    try:
        ways, lead, co2 = _lanes(lanes, docks, index)
        stocked = _stocked(held, items, index)
        found = decide(
            _everywhere(series, forecast, index), stocked, ways, lead,
            horizon_days=horizon_days, caution=careful, recent=_recent(recent, index), paths=paths,
            correlation=correlation, seed=seed, time_limit_s=time_limit_s,
        )  # fmt: skip
    except ValueError as error:
        raise InvalidInput.at("stock", str(error)) from None
    return Rebalancing(
        transfers=same_library(stock, _columns(found, index, stocked, lead, co2)),
        gain_minor=found.solved.gain,
        bound_minor=found.solved.bound,
        gap=found.solved.gap,
        seconds=found.solved.seconds,
    )


class _Index:
    """Places of skus and nodes, rising."""

    def __init__(self, skus: pl.Series, nodes: pl.Series) -> None:
        self.skus, self.nodes = skus.to_list(), nodes.to_list()
        self._places = {
            "sku": pl.DataFrame({"key": skus, "place": np.arange(len(skus))}),
            "node": pl.DataFrame({"key": nodes, "place": np.arange(len(nodes))}),
        }

    def of(self, kind: str, column: pl.Series, path: str) -> Int64:
        """Raises InvalidInput for what is not in stock nor forecast."""
        found = pl.DataFrame({"key": column}).join(self._places[kind], on="key", how="left", maintain_order="left")
        unknown = found.filter(pl.col("place").is_null())["key"].unique().sort().to_list()
        if unknown:
            raise InvalidInput.at(path, f"no {kind} {unknown[0]!r} in stock or demand_quantiles")
        return found["place"].to_numpy()


def _everywhere(series: pl.DataFrame, forecast: Expected, index: _Index) -> Expected:
    """A forecast of each item at each node: none is no demand."""
    count, days, levels = len(index.skus) * len(index.nodes), *forecast.quantiles.shape[1:]
    quantiles = np.zeros((count, days, levels), np.float32)
    row = index.of("sku", series["sku"], "demand_quantiles.sku") * len(index.nodes)
    quantiles[row + index.of("node", series["node"], "demand_quantiles.node")] = forecast.quantiles
    return Expected(levels=forecast.levels, quantiles=quantiles)


def _stocked(held: pl.DataFrame, items: Frame | None, index: _Index) -> Stocked:
    shape = len(index.skus), len(index.nodes)
    at = index.of("sku", held["sku"], "stock.sku"), index.of("node", held["node"], "stock.node")

    def spread(values: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        made = np.zeros(shape, dtype)
        made[at] = values
        return made

    def spread_worth(values: Float64) -> Float64:
        rows = np.maximum(np.bincount(at[0], minlength=shape[0]), 1)
        made = np.repeat((np.bincount(at[0], values, minlength=shape[0]) / rows)[:, None], shape[1], axis=1)
        made[at] = values
        return made

    available = held["available"].to_numpy()
    movable = held["movable"].to_numpy() if "movable" in held.columns else available
    size, weight = np.ones(len(index.skus)), np.zeros(len(index.skus))
    if items is not None:
        table = read(items, "items", {"sku": "text"}, {"weight_kg": "number", "size": "number"})
        known = table.filter(pl.col("sku").is_in(index.skus))
        row = index.of("sku", known["sku"], "items.sku")
        size[row], weight[row] = column_of(known, "size", 1.0), column_of(known, "weight_kg", 0.0)
    return Stocked(
        stock=spread(available, np.int64),
        movable=spread(np.minimum(movable, available), np.int64),
        coming=spread(column_of(held, "coming", 0.0), np.int64),
        worth=spread_worth(held["worth_minor"].to_numpy()),
        left=spread_worth(column_of(held, "left_minor", 0.0)),
        size=size,
        weight_kg=weight,
    )


def _lanes(lanes: Frame, docks: Frame | None, index: _Index) -> tuple[Lanes, Int64, Float64]:
    """(lanes, lead times, grams of CO2 a kilogram)."""
    table = read(
        lanes, "lanes", {"source": "text", "target": "text", "cost_minor": "number", "lead_days": "whole"},
        {"kg_minor": "number", "room": "number", "co2_g_per_kg": "number"},
    )  # fmt: skip
    if table.select("source", "target").is_duplicated().any():
        raise InvalidInput.at("lanes", "expected each lane once")
    # Lanes of nodes that have neither stock nor demand are nobody's.
    table = table.filter(pl.col("source").is_in(index.nodes), pl.col("target").is_in(index.nodes))
    nodes = len(index.nodes)
    at = index.of("node", table["source"], "lanes.source"), index.of("node", table["target"], "lanes.target")
    unit, kg, room, co2 = (np.full((nodes, nodes), v) for v in (np.inf, 0.0, np.inf, 0.0))
    lead = np.zeros((nodes, nodes), np.int64)
    unit[at] = table["cost_minor"].to_numpy()
    kg[at], co2[at] = column_of(table, "kg_minor", 0.0), column_of(table, "co2_g_per_kg", 0.0)
    room[at] = column_of(table, "room", np.inf)
    lead[at] = table["lead_days"].to_numpy()
    out, into = np.full(nodes, np.inf), np.full(nodes, np.inf)
    if docks is not None:
        limits = read(docks, "docks", {"node": "text"}, {"room_out": "number", "room_in": "number"})
        limits = limits.filter(pl.col("node").is_in(index.nodes))
        row = index.of("node", limits["node"], "docks.node")
        out[row], into[row] = column_of(limits, "room_out", np.inf), column_of(limits, "room_in", np.inf)
    return Lanes(unit_minor=unit, kg_minor=kg, room=room, dock_out=out, dock_in=into), lead, co2


def _recent(recent: Frame | None, index: _Index) -> list[Recent]:
    if recent is None:
        return []
    table = read(recent, "recent", {"sku": "text", "source": "text", "target": "text", "days_ago": "number"})
    known = table.filter(
        pl.col("sku").is_in(index.skus), pl.col("source").is_in(index.nodes), pl.col("target").is_in(index.nodes)
    )
    places = (
        index.of("sku", known["sku"], "recent.sku"),
        index.of("node", known["source"], "recent.source"),
        index.of("node", known["target"], "recent.target"),
    )
    return [
        Recent(item=i, source=k, target=to, days_ago=ago)
        for i, k, to, ago in zip(*(p.tolist() for p in places), known["days_ago"].to_list(), strict=True)
    ]


def _columns(found: Transfers, index: _Index, stocked: Stocked, lead: Int64, co2: Float64) -> dict[str, Any]:
    lane = found.source, found.target
    return {
        "sku": [index.skus[i] for i in found.item.tolist()],
        "source": [index.nodes[k] for k in found.source.tolist()],
        "target": [index.nodes[k] for k in found.target.tolist()],
        "quantity": found.units,
        "expected_in_days": lead[lane],
        "cost_minor": found.cost,
        "gain_minor": found.gain,
        "gain_low_minor": found.gain_low,
        "gain_high_minor": found.gain_high,
        "units_saved": found.saved,
        "co2_g": found.units * stocked.weight_kg[found.item] * co2[lane],
    }
