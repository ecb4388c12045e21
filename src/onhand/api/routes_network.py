"""What sourcing needs of the network beside nodes and carriers: cartons, duties and taxes, emission factors,
markdowns."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, cast

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
    Filter,
    ListOut,
    RowOut,
    TheCode,
    after_code,
    found,
    get_options,
    list_options,
    page_answer,
    post_options,
    put_answer,
    put_options,
    results_answer,
    take_over_network,
)
from onhand.base.results import RowResult
from onhand.flows import set_up
from onhand.network.emissions import emission_factors
from onhand.network.model import CartonIn, DutyIn, MarkdownRow, Stored

router = routes("set-up")


# Answers: documentation only, rows are written out as they are ------------------------------------


class CartonOut(CartonIn):
    """A carton."""

    code: str
    updated_at: datetime


class CartonList(ListOut):
    """A page of cartons."""

    data: list[CartonOut]


class DutyOut(DutyIn):
    """A rule of duties and taxes."""

    code: str
    updated_at: datetime


class DutyList(ListOut):
    """A page of rules of duties and taxes."""

    data: list[DutyOut]


class EmissionFactorOut(BaseModel):
    """The emission intensity of a transport operation category, in the terms of ISO 14083."""

    code: str
    toc: Annotated[str, Field(description="transport operation category")]
    mode: str
    vehicle: str
    intensity_g_per_tkm: Annotated[float, Field(description="g CO2e per tonne-km")]
    scope: Annotated[str, Field(description="WTW: well-to-wheel")]
    source: str
    year: int
    region: str
    note: str


class EmissionFactorList(ListOut):
    """All emission factors."""

    data: list[EmissionFactorOut]


class MarkdownOut(BaseModel):
    """What a unit of an item will fetch at a node when it must be cleared there."""

    sku: str
    node: str
    value_minor: int
    until: date | None
    updated_at: datetime


class MarkdownList(ListOut):
    """A page of markdowns."""

    data: list[MarkdownOut]


class MarkdownResults(BaseModel):
    """What became of each row, in their order."""

    class MarkdownResult(RowOut):
        """What became of a row."""

        sku: str | None
        node: str | None

    results: list[MarkdownResult]


class MarkdownBatch(BaseModel):
    """Up to 5,000 markdowns; each row is checked and answered by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"markdowns": [{"sku": "MUG-BLUE", "node": "BERLIN", "value_minor": 490, "until": "2026-03-31"}]}
            ]
        },
    )

    markdowns: Annotated[list[Annotated[MarkdownRow, SkipValidation] | AnyRow], Field(max_length=BATCH_MAX)]


# Cartons ------------------------------------------------------------------------------------------


@router.put("/v1/cartons/{code:path}", **put_options(CartonOut))
def put_carton(code: TheCode, body: CartonIn, app: TheApp, by: By) -> Response:
    """Create or replace a carton."""
    written, carton = set_up.set_carton(app.db, code, body, by=by)
    take_over_network(app, written != "unchanged")
    return put_answer(written, public_document(carton), "cartons", code)


@router.get("/v1/cartons/{code:path}", **get_options(CartonOut))
def get_carton(code: TheCode, app: TheApp) -> Response:
    """One carton."""
    with app.db.connection() as conn:
        carton = network_store.get_document(conn, "carton", code)
    return found("carton", code, carton and public_document(carton))


@router.get("/v1/cartons", **list_options(CartonList))
def list_cartons(app: TheApp, page: Annotated[Page, pages("cartons", str)]) -> Response:
    """Cartons by code."""
    with app.db.connection() as conn:
        rows = network_store.list_documents(conn, "carton", after=after_code(page), limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda carton: (carton.code,), public_document))


# Duties and taxes ---------------------------------------------------------------------------------


@router.put("/v1/duties/{code:path}", **put_options(DutyOut))
def put_duty(code: TheCode, body: DutyIn, app: TheApp, by: By) -> Response:
    """Create or replace a rule of duties and taxes. Only what nobody gives back counts as a cost."""
    written, duty = set_up.set_duty(app.db, code, body, by=by)
    take_over_network(app, written != "unchanged")
    return put_answer(written, public_document(duty), "duties", code)


@router.get("/v1/duties/{code:path}", **get_options(DutyOut))
def get_duty(code: TheCode, app: TheApp) -> Response:
    """One rule of duties and taxes."""
    with app.db.connection() as conn:
        duty = network_store.get_document(conn, "duty", code)
    return found("duty", code, duty and public_document(duty))


@router.get("/v1/duties", **list_options(DutyList))
def list_duties(app: TheApp, page: Annotated[Page, pages("duties", str)]) -> Response:
    """Rules of duties and taxes by code."""
    with app.db.connection() as conn:
        rows = network_store.list_documents(conn, "duty", after=after_code(page), limit=page.limit + 1)
    return page_answer(page.answer(rows, lambda duty: (duty.code,), public_document))


# Emission factors ---------------------------------------------------------------------------------


@router.get("/v1/emission-factors", **list_options(EmissionFactorList))
def list_emission_factors() -> Response:
    """The emission factors that ship with this version, all of them on one page, each with its source and year. A
    carrier's service names one by `emission_factor`.
    """
    return page_answer({"data": [asdict(factor) for factor in emission_factors().values()], "next_cursor": None})


# Markdowns ----------------------------------------------------------------------------------------


@router.post("/v1/markdowns/batch", **post_options(MarkdownResults))
def post_markdowns(body: MarkdownBatch, app: TheApp, by: By, once: OnceDep) -> Response:
    """Say what units will fetch at nodes where they must be cleared, for up to 5,000 pairs of item and node;
    `value_minor` null takes a markdown back. A bad row never blocks a good one.
    """
    return once.run(
        lambda transact: set_up.set_markdowns(app.db, body.markdowns, by=by, transact=transact),
        answer=lambda rows: _markdown_results(rows, body.markdowns),
    )


@router.get("/v1/markdowns", **list_options(MarkdownList))
def list_markdowns(
    app: TheApp,
    page: Annotated[Page, pages("markdowns", str, str)],
    sku: Filter = None,
    node: Filter = None,
) -> Response:
    """Markdowns by sku and node, those that are over included."""
    after = ("", "") if page.after is None else (str(page.after[0]), str(page.after[1]))
    with app.db.connection() as conn:
        rows = network_store.list_markdowns(conn, after=after, limit=page.limit + 1, sku=sku, node=node)
    return page_answer(page.answer(rows, lambda markdown: (markdown.sku, markdown.node)))


# Rows as the API shows them -----------------------------------------------------------------------


def public_document(row: Stored) -> dict[str, Any]:
    """A carton or a duty."""
    return {"code": row.code} | row.document | {"active": row.active, "updated_at": row.updated_at}


def _markdown_results(results: Sequence[RowResult], rows: Sequence[object]) -> dict[str, Any]:
    """Results that name sku and node as the rows do, as far as these can be read."""
    answer = results_answer(results, "sku")
    for result, row in zip(answer["results"], rows, strict=True):
        for name in ("sku", "node"):
            value = cast("Mapping[str, object]", row).get(name) if isinstance(row, Mapping) else None
            result[name] = value if isinstance(value, str) else None
    return answer
