"""Demand and what may explain it: history, imported sales, signals, feeds of signals."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import polars as pl
from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import (
    BATCH_MAX,
    AnyRow,
    Filter,
    ListOut,
    RowOut,
    after_code,
    found,
    get_options,
    list_options,
    page_answer,
    post_options,
    put_answer,
    put_options,
    results_answer,
    without,
)
from onhand.base.fields import Code, Day
from onhand.demand import store
from onhand.demand.feeds import FeedColumns, FeedIn
from onhand.demand.model import (
    NAME_PATTERN,
    Corrections,
    Feed,
    Fill,
    Region,
    Rule,
    SaleRow,
    ScopeIn,
    SignalRow,
    SignalSeries,
)
from onhand.errors import InvalidInput, NotFound
from onhand.flows.demand.feeds import delete_feed, set_feed
from onhand.flows.demand.fold import fold
from onhand.flows.demand.history import load_history, load_places
from onhand.flows.demand.sales import import_sales
from onhand.flows.demand.tell_signals import delete_signal, tell_signals

router = routes("demand")

_DAYS_MAX: Final = 3_660
_DAYS_DEFAULT: Final = 90
# What was ordered since the worker last looked is taken over before the answer, up to so many orders.
_BATCHES: Final = 4

SignalCode = Annotated[str, Path(pattern=NAME_PATTERN, examples=["temperature"])]
_DELETE: Final[dict[str, Any]] = {
    "status_code": 204, "dependencies": [require("config:write")], "responses": problem_responses(404, 422),
}  # fmt: skip


# Bodies and answers -------------------------------------------------------------------------------


class SignalBatch(BaseModel):
    """Up to 5,000 values of signals; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "signals": [
                        {"name": "temperature", "scope": {"region": "DE-BE"}, "at": "2026-03-02", "value": 7.5},
                        {"name": "promotion", "scope": {"sku": "MUG-BLUE"}, "at": "2026-03-14", "value": 1,
                         "known_ahead": True, "fill": "zero"},
                    ]
                }
            ]
        },
    )  # fmt: skip

    signals: Annotated[list[Annotated[SignalRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class SaleBatch(BaseModel):
    """Up to 5,000 days of sales; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sales": [
                        {"sku": "MUG-BLUE", "node": "BERLIN", "day": "2025-11-28", "quantity": 14, "price_minor": 1250}
                    ]
                }
            ]
        },
    )

    sales: Annotated[list[Annotated[SaleRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class SignalResults(BaseModel):
    """What became of each row, in their order. updated: an earlier value of that moment was corrected, and is kept."""

    class SignalResult(RowOut):
        """A row, by its own name."""

        name: str | None

    results: list[SignalResult]


class SaleResults(BaseModel):
    """What became of each row, in their order."""

    class SaleResult(RowOut):
        """A row, by its own name."""

        sku: str | None

    results: list[SaleResult]


class SignalSeriesOut(BaseModel):
    """What is known of a signal in one scope."""

    name: str
    scope: ScopeIn
    known_ahead: bool
    fill: Fill | None
    values: Annotated[int, Field(description="moments with a value")]
    corrections: Annotated[int, Field(description="values that were replaced, and are kept")]
    first_at: datetime | None
    last_at: datetime | None
    recorded_at: Annotated[datetime | None, Field(description="when a value was last told")]


class SignalList(ListOut):
    """A page of signals."""

    data: list[SignalSeriesOut]


class DemandOut(BaseModel):
    """Demand of a day: `units` - `cancelled` - `bulk` - `returned` + `lost` = `demand`."""

    day: date
    sku: str
    node: Annotated[str | None, Field(description="where it was bought or picked up; null: it was sent to `region`")]
    region: Annotated[str, Field(description="empty: nobody told where")]
    channel: Annotated[str | None, Field(description="null: of all; empty: of none")]
    units: Annotated[float, Field(description="ordered and sold")]
    cancelled: Annotated[float, Field(description="the customer did not want them any more")]
    bulk: Annotated[float, Field(description="beyond the usual size of an order line, in one-off bulk orders")]
    returned: float
    lost: Annotated[float, Field(description="likely to have been wanted while nothing was there")]
    demand: float
    open_share: Annotated[
        float, Field(description="of the day in which there was something to sell; below 1: censored")
    ]
    price_minor: Annotated[float | None, Field(description="mean of a unit")]
    rules: Annotated[list[Rule], Field(description="corrections that changed this day")]


class DemandList(ListOut):
    """A page of days; a day that is left out had no demand, and something to sell."""

    data: list[DemandOut]


class FeedOut(BaseModel):
    """A feed and how it is doing. Secret headers are never shown."""

    name: str
    url: str
    format: Literal["csv", "json"]
    columns: FeedColumns
    rows: str | None
    signal: str | None
    scope: ScopeIn
    known_ahead: bool
    fill: Fill | None
    timezone: str
    every_s: int
    days_back: int
    days_ahead: int
    headers: dict[str, str]
    active: bool
    has_secrets: bool
    next_at: datetime
    read_at: Annotated[datetime | None, Field(description="when it was last read to its end")]
    written: Annotated[int, Field(description="values that this changed")]
    rejected: Annotated[int, Field(description="rows that could not be used then")]
    reject: Annotated[str | None, Field(description="the first of them, and why")]
    failures: Annotated[int, Field(description="in a row")]
    error: Annotated[str | None, Field(description="of the last failure")]
    updated_at: datetime


class FeedList(ListOut):
    """A page of feeds."""

    data: list[FeedOut]


# Demand -------------------------------------------------------------------------------------------


@router.get(
    "/v1/demand",
    dependencies=[require("read")],
    response_model=DemandList,
    responses=problem_responses(404, 422),
)
def get_demand(
    app: TheApp,
    page: Annotated[Page, pages("demand", str, str, str)],
    sku: Annotated[Code, Query(examples=["MUG-BLUE"])],
    node: Annotated[Code | None, Query(description="bought or picked up there")] = None,
    region: Annotated[
        Region | None, Query(description="sent there, or to a part of it, and bought at nodes in it")
    ] = None,
    channel: Annotated[Code | None, Query(description="of this channel only")] = None,
    from_: Annotated[Day | None, Query(alias="from", description="first day; default: 90 days before `to`")] = None,
    to: Annotated[Day | None, Query(description="last day; default: today")] = None,
    stock_outs: Annotated[bool, Query(description="add what is likely to have been missed")] = True,
    cancellations: Annotated[bool, Query(description="take off what customers cancelled")] = True,
    bulk: Annotated[bool, Query(description="take off what is beyond the usual in one-off bulk orders")] = True,
    net_returns: Annotated[bool, Query(description="take off what came back")] = False,
) -> Response:
    """Demand for an item by day and place, as ordered and sold, and corrected, with what each correction did."""
    today = datetime.now(UTC).date()
    last = to or today
    first = from_ or last - timedelta(days=_DAYS_DEFAULT - 1)
    if not 0 <= (last - first).days < _DAYS_MAX:
        raise InvalidInput.at("to", f"expected a day from {first} on, and at most {_DAYS_MAX} days")
    corrections = Corrections(
        stock_outs=stock_outs, cancellations=cancellations, bulk=bulk, net_returns=net_returns
    )  # fmt: skip
    fold(app.db, batches_max=_BATCHES)
    with app.db.connection() as conn:
        if not store.item_ids(conn, [sku]):
            raise NotFound("item", sku)
        if node is not None and not store.node_ids(conn, [node]):
            raise NotFound("node", node)
        if channel is not None and not store.channel_ids(conn, [channel]):
            raise NotFound("channel", channel)
        places = load_places(conn)
        asked = [
            p.place_id
            for p in places.values()
            if node in (None, p.node) and (region is None or p.region == region or p.region.startswith(f"{region}-"))
        ]
        # What was lost on a day is judged by the days around it, later ones too: by all that there are wherever it is
        # latest on earth, so that the same day is answered alike whichever days are asked for.
        history = load_history(
            conn, until=today + timedelta(days=2), items=[sku], places=asked, corrections=corrections,
            by_channel=channel is not None,
        )  # fmt: skip
    rows = history.days.join(history.series, on="series").filter(pl.col("day").is_between(first, last))
    if channel is not None:
        rows = rows.filter(pl.col("channel") == channel)
    days = [_public_day(row) for row in rows.sort("day", "node", "region", nulls_last=False).to_dicts()]
    if page.after is not None:
        days = [day for day in days if _position(day) > page.after]
    return page_answer(page.answer(days[: page.limit + 1], _position))


def _position(day: dict[str, Any]) -> tuple[str, str, str]:
    return day["day"], day["node"] or "", day["region"]


_RULES: Final[dict[Rule, str]] = {
    "stock_out": "lost",
    "cancellation": "cancelled",
    "bulk": "bulk",
    "return": "returned",
}
_ROUNDED: Final = ("units", "cancelled", "bulk", "returned", "lost", "demand", "open_share", "price_minor")


def _public_day(row: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"day": row["day"].isoformat()}
    shown |= {field: row[field] for field in ("sku", "node", "region", "channel")}
    shown |= {field: None if row[field] is None else round(row[field], 4) for field in _ROUNDED}
    return shown | {"rules": [rule for rule, field in _RULES.items() if row[field]]}


@router.post("/v1/sales/batch", **post_options(SaleResults))
def post_sales(body: SaleBatch, app: TheApp, by: By, once: OnceDep) -> Response:
    """Tell what was sold on up to 5,000 days that neither orders nor counters here know of: history, or tills that send
    no sales. A day that is told again is replaced. A bad row never blocks a good one.
    """
    return once.run(
        lambda transact: import_sales(app.db, body.sales, by=by, transact=transact),
        answer=lambda rows: results_answer(rows, "sku"),
    )


# Signals ------------------------------------------------------------------------------------------


@router.post("/v1/signals", **post_options(SignalResults))
def post_signals(body: SignalBatch, app: TheApp, by: By, once: OnceDep) -> Response:
    """Tell up to 5,000 values of signals. A value that differs from what was said of its moment corrects it from now
    on; what was known before is kept. A bad row never blocks a good one.
    """
    return once.run(
        lambda transact: tell_signals(app.db, body.signals, now=app.state.now(), by=by, transact=transact),
        answer=lambda rows: results_answer(rows, "name"),
    )


@router.get("/v1/signals", **list_options(SignalList))
def list_signals(
    app: TheApp,
    page: Annotated[Page, pages("signals", str, int)],
    name: Filter = None,
    sku: Filter = None,
    node: Filter = None,
    region: Filter = None,
) -> Response:
    """Signals by name, one row for each scope. Public holidays are built in and not among them."""
    after = ("", 0) if page.after is None else (str(page.after[0]), min(int(page.after[1]), 2**31 - 1))
    with app.db.connection() as conn:
        rows = store.list_signals(
            conn, after=after, limit=page.limit + 1, name=name, sku=sku, node=node, region=region
        )  # fmt: skip
    return page_answer(page.answer(rows, lambda row: (row.name, row.position), _public_signal))


def _public_signal(row: SignalSeries) -> dict[str, Any]:
    return without(row, "position")


@router.delete("/v1/signals/{name}", **_DELETE)
def remove_signal(name: SignalCode, app: TheApp, by: By) -> None:
    """Delete a signal of all its scopes, with everything that was ever said. A signal that does not help is left out of
    models by itself: this is for mistakes.
    """
    delete_signal(app.db, name, by=by)


# Feeds --------------------------------------------------------------------------------------------


@router.put("/v1/signal-feeds/{name}", **put_options(FeedOut))
def put_feed(name: SignalCode, body: FeedIn, app: TheApp, by: By) -> Response:
    """Create or replace a feed: where a signal is fetched from, and how often. It is read within moments; look at
    `error` and `rejected` then.
    """
    written, feed = set_feed(app.db, app.connectors, name, body, by=by)
    return put_answer(written, _public_feed(feed), "signal-feeds", name)


@router.get("/v1/signal-feeds/{name}", **get_options(FeedOut))
def get_feed(name: SignalCode, app: TheApp) -> Response:
    """One feed, and how it is doing."""
    with app.db.connection() as conn:
        feed = store.get_feed(conn, name)
    return found("signal_feed", name, feed and _public_feed(feed))


@router.get("/v1/signal-feeds", **list_options(FeedList))
def list_feeds(app: TheApp, page: Annotated[Page, pages("signal-feeds", str)]) -> Response:
    """Feeds by name."""
    with app.db.connection() as conn:
        rows = store.list_feeds(conn, after=after_code(page), limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda feed: (feed.name,), _public_feed))


@router.delete("/v1/signal-feeds/{name}", **_DELETE)
def remove_feed(name: SignalCode, app: TheApp, by: By) -> None:
    """Delete a feed. The values that it told stay."""
    delete_feed(app.db, name, by=by)


def _public_feed(feed: Feed) -> dict[str, Any]:
    return feed.document | without(feed, "document")
