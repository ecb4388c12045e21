"""Customers' rights over their data: find, export, erase; and what is to be said to them, for who sends it."""

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from onhand.api.auth import require
from onhand.api.context import By, TheApp
from onhand.api.idempotent import to_json
from onhand.api.order_models import CustomerList, ErasedOut, ExportOut, LetterOut
from onhand.api.problems import problem_responses
from onhand.api.routing import routes
from onhand.flows import customers
from onhand.flows.playbooks.offer import take_message

router = routes("customers")

# Personal data is for those who handle orders, not for every key that may read.
_see = [require("orders:write")]


@router.get("/v1/customers", dependencies=_see, response_model=CustomerList, responses=problem_responses(422))
def get_customers(
    app: TheApp, email: Annotated[str, Query(min_length=3, max_length=254, description="in any case of letters")]
) -> Response:
    """The customer with that e-mail address."""
    return _json({"data": customers.find_customers(app.db, email), "next_cursor": None})


@router.get(
    "/v1/customers/{customer_id}/export",
    dependencies=_see,
    response_model=ExportOut,
    responses=problem_responses(404),
)
def export_customer(customer_id: str, app: TheApp) -> Response:
    """All that is kept about a person: the person, and their orders with everything that happened to them."""
    return _json(customers.export_customer(app.db, customer_id))


@router.delete(
    "/v1/customers/{customer_id}/personal-data",
    dependencies=[require("admin")],
    response_model=ErasedOut,
    responses=problem_responses(404),
)
def erase_customer(customer_id: str, app: TheApp, by: By) -> Response:
    """Erase a person's name, addresses and telephone; of destinations country, region and two characters of the postal
    code stay. Orders and the ledger stay as they are. Repeating it changes nothing.
    """
    return _json(customers.erase_customer(app.db, customer_id, by=by))


@router.post(
    "/v1/messages/{message_id}/take",
    dependencies=_see,
    response_model=LetterOut,
    responses=problem_responses(404, 409, 422),
)
def take_customer_message(
    message_id: Annotated[int, Path(ge=1, le=2**63 - 1, examples=[17])], app: TheApp, by: By
) -> Response:
    """Take a message to a customer that `message.due` told of, and send it at once: it counts as sent. It can be taken
    once; 409 `message.taken` afterwards, so that nobody is told twice. Just before, it is looked at once more: 409
    `message.dropped` if it is not to be said any more; 409 `message.quiet` if it is night where the order goes: then
    another `message.due` tells of it in the morning.
    """
    return _json(take_message(app.db, message_id, now=app.state.now(), by=by))


def _json(row: object) -> Response:
    return Response(to_json(row), media_type="application/json")
