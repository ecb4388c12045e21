"""Payments of orders: what they demand and how far they are, tried again, and days reconciled."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, cast

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import OnceDep, to_json
from onhand.api.paging import Page, pages
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.base.fields import Day, Strict
from onhand.errors import InvalidInput, NotFound
from onhand.flows.payments.reconcile import reconcile
from onhand.flows.payments.retry import retry_payment
from onhand.orders.store import order_uuid
from onhand.payments import store
from onhand.payments.model import DocumentKind, Kind, OperationState, Status
from onhand.payments.reconcile import Reason

router = routes("payments")

_EXAMPLE_ID = "019cae1f-2b3f-7000-92f0-c69eacf4702a"


class PaymentOut(BaseModel):
    """How far the payment of an order is, in minor units of its currency. `trouble`: what a person should look at."""

    payment_id: Annotated[str, Field(examples=[_EXAMPLE_ID], description="that of its order")]
    order_id: str
    external_id: str
    provider: Annotated[str, Field(description="code of the channel that takes the money")]
    currency: str
    status: Status
    authorised_minor: int
    captured_minor: int
    refunded_minor: int
    voided_minor: int
    invoiced_minor: int
    credited_minor: int
    lost_minor: Annotated[int, Field(description="of goods that left and that nobody is asked to pay for any more")]
    charged_back_minor: Annotated[
        int, Field(description="taken back by the customer's bank, while it is disputed and when that is lost")
    ]
    fee_minor: Annotated[int, Field(description="of the provider, as far as it tells")]
    trouble: str | None
    is_disputed: bool
    tries: Annotated[int, Field(description="authorisations declined since the last that was not")]
    look_at: Annotated[datetime | None, Field(description="when something may be due although nothing happens")]
    created_at: datetime
    updated_at: datetime


class PaymentList(BaseModel):
    """Payments, those of the newest orders first."""

    data: list[PaymentOut]
    next_cursor: str | None


class AuthorisationOut(BaseModel):
    """An amount that the provider holds, or held."""

    provider_id: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    released_minor: int
    is_open: bool
    granted_at: datetime
    expires_at: datetime | None


class OperationOut(BaseModel):
    """Something that was asked of the provider, or done to the order. `unknown`: it may have happened."""

    number: int
    kind: Kind
    amount_minor: int
    state: OperationState
    attempts: int
    code: str | None
    error: str | None
    created_at: datetime
    first_sent_at: datetime | None
    done_at: datetime | None
    next_try_at: datetime | None


class DocumentLineOut(BaseModel):
    """Units of an order line; money for all of them."""

    line_no: int
    line_id: str
    sku: str
    quantity: int
    net_minor: int
    tax_minor: int
    gross_minor: int


class DocumentOut(BaseModel):
    """An invoice of a shipment, or a credit note of a return; never changed. `of`: which one."""

    number: Annotated[str, Field(examples=["INV-2026-000001"])]
    kind: DocumentKind
    of: str
    net_minor: int
    tax_minor: int
    gross_minor: int
    lines: list[DocumentLineOut]
    moved_at: datetime
    issued_at: datetime


class PaymentDetailOut(PaymentOut):
    """A payment with all that was done for it."""

    authorisations: list[AuthorisationOut]
    operations: list[OperationOut]
    documents: list[DocumentOut]


class RetryPayment(Strict):
    """By which way to pay it is tried again; left out: by the one so far."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "pm_1QaB", "customer": "cus_9s6XKz"}]})

    token: Annotated[str | None, Field(min_length=1, max_length=255)] = None
    customer: Annotated[str | None, Field(min_length=1, max_length=255)] = None


class DifferenceOut(BaseModel):
    """Goods and money of an order that differ at the end of the day; positive: goods that are not paid."""

    order_id: str
    external_id: str
    amount_minor: int
    reason: Reason
    detail: str


class StatementOut(BaseModel):
    """A day in one currency: open_before + shipped - returned - captured + refunded = open_after, the sum of the
    differences. What is `elsewhere` is paid elsewhere."""

    currency: str
    balanced: bool
    orders: int
    orders_elsewhere: int
    shipped_minor: int
    returned_minor: int
    shipped_elsewhere_minor: int
    returned_elsewhere_minor: int
    invoiced_minor: int
    credited_minor: int
    captured_minor: int
    refunded_minor: int
    open_before_minor: int
    open_after_minor: int
    differences_count: int
    differences: Annotated[list[DifferenceOut], Field(description="the largest 1,000")]


class ReconciliationOut(BaseModel):
    """`balanced`: the sums agree to the cent, and every difference has a reason."""

    day: date
    balanced: bool
    statements: list[StatementOut]


@router.get(
    "/v1/payments", response_model=PaymentList, dependencies=[require("read")], responses=problem_responses(422)
)
def get_payments(
    app: TheApp, page: Annotated[Page, pages("payments", str)], status: Annotated[Status | None, Query()] = None
) -> Response:
    """Payments of orders that are paid through us, those of the newest orders first."""
    with app.db.connection() as conn:
        rows = store.list_payments(conn, status=status, after=_after(page), limit=page.limit + 1)
    return _json(page.answer(rows, lambda row: (row["order_id"],)))


def _after(page: Page) -> str | None:
    try:
        return None if page.after is None else order_uuid(cast("str", page.after[0]))
    except NotFound:
        raise InvalidInput.at("cursor", "not a cursor of this list: use its next_cursor") from None


@router.get(
    "/v1/payments/reconciliation",
    response_model=ReconciliationOut,
    dependencies=[require("read")],
    responses=problem_responses(422),
)
def get_reconciliation(
    app: TheApp,
    day: Annotated[Day | None, Query(description="in UTC; left out: yesterday")] = None,
) -> Response:
    """Orders, shipments, returns, captures and refunds of a day, against each other: what is open and why."""
    now = app.state.now()
    return _json(reconcile(app.db, day or now.date() - timedelta(days=1), now=now))


@router.get(
    "/v1/orders/{order_id}/payment",
    response_model=PaymentDetailOut,
    dependencies=[require("read")],
    responses=problem_responses(404),
)
def get_payment(order_id: str, app: TheApp) -> Response:
    """The payment of an order with authorisations, operations and documents. 404 also of one that is paid elsewhere."""
    order_id = order_uuid(order_id)
    with app.db.connection() as conn:
        found = store.get_payment(conn, order_id)
    if found is None:
        raise NotFound("payment", order_id)
    return _json(found)


@router.post(
    "/v1/payments/{payment_id}/retry",
    response_model=PaymentDetailOut,
    dependencies=[require("orders:write")],
    responses=problem_responses(404, 409, 422),
)
def post_retry(payment_id: str, app: TheApp, by: By, once: OnceDep, body: RetryPayment | None = None) -> Response:
    """Try it again now, by another way to pay if one is given. Declines so far are forgotten; what is under way is
    asked for again, and moves no money twice."""
    what = body or RetryPayment()
    return once.run(
        lambda transact: retry_payment(
            app.state, payment_id, token=what.token, customer=what.customer, by=by, transact=transact
        )
    )


def _json(row: Any) -> Response:
    return Response(to_json(row), media_type="application/json")
