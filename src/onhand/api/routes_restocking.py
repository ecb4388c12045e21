"""What planning needs to know of the network: lanes between nodes, and the supply of items."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from starlette.responses import Response

import onhand.network.store as network_store
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep
from onhand.api.paging import Page, pages
from onhand.api.routing import routes
from onhand.api.setup_answers import (
    BATCH_MAX,
    AnyRow,
    DryRun,
    Filter,
    ListOut,
    RowOut,
    list_options,
    page_answer,
    post_options,
    results_answer,
    without,
)
from onhand.base.results import RowResult
from onhand.flows import set_up
from onhand.network.restocking import Lane, LaneRow, Supply, SupplyRow

router = routes("set-up")


# Answers: documentation only, rows are written out as they are ------------------------------------


class LaneOut(LaneRow):
    """A lane."""

    updated_at: datetime


class LaneList(ListOut):
    """A page of lanes."""

    data: list[LaneOut]


class SupplyOut(SupplyRow):
    """How an item comes to a node."""

    updated_at: datetime


class SupplyList(ListOut):
    """A page of supply."""

    data: list[SupplyOut]


class LaneResults(BaseModel):
    """What became of each row, in their order."""

    class LaneResult(RowOut):
        """What became of a row."""

        model_config = ConfigDict(populate_by_name=True)

        from_: Annotated[str | None, Field(alias="from")]
        to: str | None

    results: list[LaneResult]


class SupplyResults(BaseModel):
    """What became of each row, in their order."""

    class SupplyResult(RowOut):
        """What became of a row."""

        sku: str | None
        node: str | None

    results: list[SupplyResult]


class LaneBatch(BaseModel):
    """Up to 5,000 lanes; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"lanes": [{"from": "LYON", "to": "BERLIN", "days": 2, "unit_cost_minor": 35, "units_per_day": 600}]}
            ]
        },
    )

    lanes: Annotated[list[Annotated[LaneRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class SupplyBatch(BaseModel):
    """Up to 5,000 rows of supply; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "supply": [
                        {"sku": "MUG-BLUE", "node": "BERLIN", "supplier": "Keramik Nord", "lead_days": [6, 7, 9],
                         "minimum": 48, "multiple": 12}
                    ]
                }
            ]
        },
    )  # fmt: skip

    supply: Annotated[list[Annotated[SupplyRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


# Lanes --------------------------------------------------------------------------------------------


@router.post("/v1/lanes/batch", **post_options(LaneResults))
def post_lanes(body: LaneBatch, app: TheApp, by: By, once: OnceDep, dry_run: DryRun = False) -> Response:
    """Say over which ways units can be moved between nodes, for up to 5,000 of them; `active` false closes one. A bad
    row never blocks a good one.
    """
    return once.run(
        lambda transact: set_up.set_lanes(app.db, body.lanes, by=by, transact=transact),
        answer=lambda rows: _named(rows, body.lanes, "from", "to"),
        is_trial=dry_run,
    )


@router.get("/v1/lanes", **list_options(LaneList))
def list_lanes(
    app: TheApp,
    page: Annotated[Page, pages("lanes", str, str)],
    node: Annotated[str | None, Query(min_length=1, max_length=200, description="at either end")] = None,
) -> Response:
    """Lanes by their two nodes."""
    with app.db.connection() as conn:
        rows = network_store.list_lanes(conn, after=_pair(page), limit=page.limit + 1, node=node)
    return page_answer(page.answer(rows, lambda lane: (lane.source, lane.target), _public_lane))


# Supply -------------------------------------------------------------------------------------------


@router.post("/v1/supply/batch", **post_options(SupplyResults))
def post_supply(body: SupplyBatch, app: TheApp, by: By, once: OnceDep, dry_run: DryRun = False) -> Response:
    """Say how items come to the nodes that buy them: from whom, how long deliveries take, what an order may be, what a
    unit costs, and what it costs to have too few or too many. A row without a node holds for every node that has none
    of its own. A bad row never blocks a good one.
    """
    return once.run(
        lambda transact: set_up.set_supply(app.db, body.supply, by=by, transact=transact),
        answer=lambda rows: _named(rows, body.supply, "sku", "node"),
        is_trial=dry_run,
    )


@router.get("/v1/supply", **list_options(SupplyList))
def list_supply(
    app: TheApp, page: Annotated[Page, pages("supply", str, str)], sku: Filter = None, node: Filter = None
) -> Response:
    """Supply by sku and node, the row that holds for every other node first."""
    with app.db.connection() as conn:
        rows = network_store.list_supply(conn, after=_pair(page), limit=page.limit + 1, sku=sku, node=node)
    return page_answer(page.answer(rows, _place))


# Rows as the API shows them -----------------------------------------------------------------------


def _pair(page: Page) -> tuple[str, str]:
    return ("", "") if page.after is None else (str(page.after[0]), str(page.after[1]))


def _place(row: Supply) -> tuple[str, str]:
    # A blank sorts before every code: none begins with one.
    return row.sku, row.node or " "


def _public_lane(lane: Lane) -> dict[str, Any]:
    return {"from": lane.source, "to": lane.target} | without(lane, "source", "target")


def _named(results: Sequence[RowResult], rows: Sequence[object], *names: str) -> dict[str, Any]:
    """Results that name what the rows do, as far as these can be read."""
    answer = results_answer(results, names[0])
    for result, row in zip(answer["results"], rows, strict=True):
        for name in names:
            value = cast("Mapping[str, object]", row).get(name) if isinstance(row, Mapping) else None
            result[name] = value if isinstance(value, str) else None
    return answer
