"""What orders cost to serve: reports, entries of an order, charges of carriers."""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, SkipValidation
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.api.setup_answers import (
    BATCH_MAX,
    AnyRow,
    ListOut,
    RowOut,
    list_options,
    page_answer,
    results_answer,
    without,
)
from onhand.base.fields import Day
from onhand.costs import store
from onhand.costs.model import ChargeIn, Group
from onhand.errors import InvalidInput, NotFound
from onhand.flows.costs.charges import tell_charges
from onhand.flows.costs.follow import follow_costs
from onhand.orders.store import order_uuid

router = routes("costs")

# What happened since the worker last looked is taken over before the answer, up to so many batches of events.
_BATCHES: Final = 4


class CostRow(BaseModel):
    """What was promised and spent, in minor units of `currency`. `actual_minor` - (`promised_minor` -
    `not_shipped_minor`) = `difference_minor`."""

    key: Annotated[str | None, Field(description="what it is grouped by; null: entries that have none")]
    currency: str
    orders: int
    promised_minor: Annotated[int, Field(description="by the plans that stand, every cost term")]
    not_shipped_minor: Annotated[int, Field(description="of it: of what has not left its node")]
    actual_minor: int
    difference_minor: int
    failures_minor: Annotated[int, Field(description="of actual: what has a cause")]


class CostList(ListOut):
    """A page of the report."""

    data: list[CostRow]


class CostEntryOut(BaseModel):
    """An entry: `minor` adds to what its source cost before."""

    entry_id: int
    at: datetime
    kind: Literal["promised", "actual"]
    term: str
    minor: int
    currency: str
    cause: str | None
    fulfilment_id: str | None
    shipment_id: str | None
    sku: str | None
    node: str | None
    carrier: str | None
    source: str


class CostTotal(BaseModel):
    """Sums of all entries of an order in one currency."""

    currency: str
    promised_minor: int
    actual_minor: int
    failures_minor: int


class OrderCosts(ListOut):
    """What an order was to cost and cost, entry by entry, oldest first."""

    order_id: str
    totals: list[CostTotal]
    data: list[CostEntryOut]


class ChargeBatch(BaseModel):
    """Up to 5,000 charges; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "charges": [
                        {"reference": "DHL-2026-03/1", "tracking": "00340434", "amount_minor": 612, "currency": "EUR"}
                    ]
                }
            ]
        },
    )

    charges: Annotated[list[Annotated[ChargeIn, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


class ChargeResults(BaseModel):
    """What became of each row, in their order. updated: what was told of that reference is replaced."""

    class ChargeResult(RowOut):
        """What became of a row."""

        reference: str | None

    results: list[ChargeResult]


@router.get("/v1/costs", **list_options(CostList))
def get_costs(
    app: TheApp,
    page: Annotated[Page, pages("costs", str, int, str)],
    by: Annotated[Group, Query(description="what a row stands for")] = "channel",
    from_: Annotated[Day | None, Query(alias="from", description="first day, UTC")] = None,
    to: Annotated[Day | None, Query(description="last day, UTC")] = None,
) -> Response:
    """What orders cost to serve: promised when they were planned and actual, with what failures cost, by channel, node,
    carrier, item, cause, term or day. Currencies stand apart."""
    if from_ is not None and to is not None and to < from_:
        raise InvalidInput.at("to", f"expected a day from {from_} on")
    follow_costs(app.db, batches_max=_BATCHES)
    key, is_null, currency = store.FIRST if page.after is None else page.after
    since = None if from_ is None else datetime.combine(from_, time(), UTC)
    until = None if to is None else datetime.combine(to, time(), UTC) + timedelta(days=1)
    with app.db.connection() as conn:
        rows = store.report(
            conn, by, since=since, until=until, after=(str(key), bool(is_null), str(currency)), limit=page.limit + 1
        )
    return page_answer(
        page.answer(rows, lambda row: (row.key or "", int(row.key is None), row.currency), without)
    )  # fmt: skip


@router.get(
    "/v1/orders/{order_id}/costs",
    dependencies=[require("read")],
    response_model=OrderCosts,
    responses=problem_responses(404, 422),
)
def get_order_costs(order_id: str, app: TheApp, page: Annotated[Page, pages("order-costs", int)]) -> Response:
    """What one order was to cost and cost, entry by entry: promised terms, what was paid, failures with their cause."""
    order_id = order_uuid(order_id)
    follow_costs(app.db, batches_max=_BATCHES)
    after = 0 if page.after is None else int(page.after[0])
    with app.db.connection() as conn:
        if not store.currencies_of(conn, [order_id]):
            raise NotFound("order", order_id)
        totals = store.totals_of(conn, order_id)
        entries = store.entries_of(conn, order_id, after=after, limit=page.limit + 1)
    answer = page.answer(entries, lambda entry: (entry.entry_id,), lambda entry: _public_entry(order_id, entry))
    names = ("currency", "promised_minor", "actual_minor", "failures_minor")
    answer |= {"order_id": order_id, "totals": [dict(zip(names, total, strict=True)) for total in totals]}
    return Response(to_json(answer), media_type="application/json")


def _public_entry(order_id: str, entry: store.Entry) -> dict[str, Any]:
    shown = without(entry, "fulfilment", "shipment")
    shown["fulfilment_id"] = None if entry.fulfilment is None else f"{order_id}-f{entry.fulfilment}"
    shown["shipment_id"] = None if entry.shipment is None else f"{order_id}-s{entry.shipment}"
    return shown


@router.post(
    "/v1/costs",
    dependencies=[require("orders:write")],
    response_model=ChargeResults,
    responses=problem_responses(409, 422),
)
def post_costs(body: ChargeBatch, app: TheApp, by: By, once: OnceDep) -> Response:
    """Tell up to 5,000 lines of carriers' invoices: what a shipment's freight came to, by its tracking number, or what
    was charged for an order besides. A reference that is told again replaces what was told. A bad row never blocks a
    good one.
    """
    return once.run(
        lambda transact: tell_charges(app.db, body.charges, now=app.state.now(), by=by, transact=transact),
        answer=lambda rows: results_answer(rows, "reference"),
    )
