"""`onhand plan`: planning by hand, and what is done about proposals."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onhand.cli.database import database, id_ending

if TYPE_CHECKING:
    from onhand.db import Database
    from onhand.flows.plans.request import Request

out = Console(highlight=False, markup=False, soft_wrap=True)
commands = typer.Typer(no_args_is_help=True, help="Plan orders and stock; see, approve, dismiss and undo proposals.")

_REASON = "onhand plan"


class Kind(StrEnum):
    """What can be planned."""

    SOURCING = "sourcing"
    SAFETY_STOCK = "safety_stock"
    REPLENISH = "replenish"
    REBALANCE = "rebalance"
    PRUNE = "prune"


Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Or its end, as `onhand plan list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="plan")


@commands.command()
def run(
    kind: Annotated[
        Kind,
        typer.Argument(
            help="sourcing: orders that no node has begun to work on. safety_stock: what to keep back. replenish: what"
            " to buy. rebalance: what to move. prune: what lies too long."
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would come of it.")] = False,
    sku: Annotated[list[str] | None, typer.Option(help="Items to plan; may be repeated. Left out: all.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Items of this category; may be repeated.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Nodes to plan; may be repeated. Left out: all.")] = None,
    service_level: Annotated[
        float | None, typer.Option(help="Chance to serve all demand: 0.95. Left out: that of the costs.")
    ] = None,
    fill_rate: Annotated[float | None, typer.Option(help="Or the share of demand to serve: 0.98.")] = None,
    across_nodes: Annotated[
        bool, typer.Option("--across-nodes", help="safety_stock: place it over all nodes that lanes connect.")
    ] = False,
    budget: Annotated[int | None, typer.Option(min=0, help="Most to spend, in minor units (cents).")] = None,
    horizon: Annotated[int | None, typer.Option(min=1, max=365, help="Days ahead for which stock is valued.")] = None,
    valid: Annotated[int, typer.Option(min=1, max=336, help="Hours for which proposals may be approved.")] = 24,
    limit: Annotated[
        int, typer.Option(min=1, max=1_000, help="Orders at a time, those that leave first; proposals shown.")
    ] = 200,
    hours: Annotated[int, typer.Option(min=1, help="sourcing: leave orders alone placed longer ago.")] = 168,
    seconds: Annotated[float, typer.Option(min=0.1, help="sourcing: time to plan in.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Plan orders again together, and move those for which that saves money; no order is promised later. Or plan stock:
    what comes of it are proposals, in place of the open ones of the same plan, items and nodes."""
    if kind is Kind.SOURCING:
        _sourcing(dry_run=dry_run, limit=limit, hours=hours, seconds=seconds, as_json=as_json)
        return
    from onhand.flows.plans.request import Request

    for name, share in (("--service-level", service_level), ("--fill-rate", fill_rate)):
        if share is not None and not 0 < share < 1:
            raise typer.BadParameter("expected a share above 0 and below 1, such as 0.95", param_hint=name)
    request = Request(
        plan=kind.value,
        items=tuple(sku or ()),
        categories=tuple(category or ()),
        nodes=tuple(node or ()),
        service_level=service_level,
        fill_rate=fill_rate,
        across="nodes" if across_nodes else None,
        budget_minor=budget,
        horizon_days=horizon,
        valid_hours=valid,
    )
    _stock(request, dry_run=dry_run, limit=limit, as_json=as_json)


def _sourcing(*, dry_run: bool, limit: int, hours: int, seconds: float, as_json: bool) -> None:
    from onhand.flows.reoptimise import reoptimise
    from onhand.flows.state import State

    with database() as db:
        state = State(db)
        state.load()
        done = reoptimise(
            state, limit=limit, apply=not dry_run, placed_within=timedelta(hours=hours), time_limit_s=seconds
        )
    if as_json:
        typer.echo(json.dumps(done._asdict()))
        return
    verb = "would move" if dry_run else "moved"
    out.print(
        f"{done.orders_considered} orders considered, {done.orders_moved} {verb}, "
        f"{done.saving_minor / 100:.2f} saved; at most {done.gap:.2%} more could be"
    )


def _stock(request: "Request", *, dry_run: bool, limit: int, as_json: bool) -> None:
    from onhand.base.actor import Actor
    from onhand.cli.proposals import lines, said
    from onhand.flows.plans.run import run_plan

    now = datetime.now(UTC)
    with database() as db:
        made = run_plan(db, request, now, by=Actor(reason=_REASON), apply=not dry_run, show=limit)
    if as_json:
        typer.echo(json.dumps(made.document))
        return
    for line in said(made.document):
        out.print(line)
    for line in lines(made.proposals):
        out.print(line)
    if (more := made.document["proposals"] - len(made.proposals)) > 0:
        out.print(f"and {more:,} more")
    if dry_run:
        out.print("nothing was kept: without --dry-run these are proposals")


@commands.command("list")
def list_all(
    *,
    status: Annotated[
        str, typer.Option(help="proposed, approved, done, dismissed, expired, superseded, or all.")
    ] = "proposed",
    kind: Annotated[str | None, typer.Option(help="transfer, purchase, price or safety_stock.")] = None,
    sku: Annotated[str | None, typer.Option(help="Of this item.")] = None,
    node: Annotated[str | None, typer.Option(help="At this node.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List proposals, the newest first."""
    from typing import get_args

    from onhand.api.idempotent import to_json
    from onhand.api.routes_proposals import public
    from onhand.cli.proposals import lines
    from onhand.planning.model import Kind as Doing
    from onhand.planning.store import Status, list_proposals

    _one_of("--status", status, (*get_args(Status), "all"))
    if kind is not None:
        _one_of("--kind", kind, tuple(Doing))
    with database() as db, db.connection() as conn:
        found = list_proposals(
            conn, now=datetime.now(UTC), limit=limit, kind=kind, status=None if status == "all" else status, sku=sku,
            node=node,
        )  # fmt: skip
    if as_json:
        typer.echo(to_json([public(p) for p in found]).decode())
        return
    for line in lines(found):
        out.print(line)


def _one_of(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise typer.BadParameter(f"expected one of {', '.join(known)}, got {given!r}", param_hint=option)


@commands.command()
def approve(ids: Ids) -> None:
    """Approve proposals: units leave, orders are announced, safety stocks hold. Stops at one that can not be done any
    more."""
    from onhand.base.actor import Actor
    from onhand.flows.plans.approve import approve_proposal

    with database() as db:
        for proposal_id in [_found(db, given) for given in ids]:
            now, by = datetime.now(UTC), Actor(reason=_REASON)
            done = db.transact(
                lambda conn, at=proposal_id, now=now, by=by: approve_proposal(db, conn, at, now=now, by=by)
            )
            db.notify()
            kept = done.proposal
            out.print(f"{kept.status}: {kept.explanation}")
            if kept.reference:
                out.print(f"  receipts name {kept.reference}")


@commands.command()
def dismiss(
    ids: Ids, *, reason: Annotated[str | None, typer.Option(help="Why it is not to be done.", metavar="TEXT")] = None
) -> None:
    """Dismiss proposals."""
    from onhand.base.actor import Actor
    from onhand.flows.plans.approve import dismiss_proposal

    with database() as db:
        for proposal_id in [_found(db, given) for given in ids]:
            now, by = datetime.now(UTC), Actor(reason=_REASON)
            kept = db.transact(
                lambda conn, at=proposal_id, now=now, by=by: dismiss_proposal(db, conn, at, reason, now=now, by=by)
            )
            out.print(f"{kept.status}: {kept.explanation}")


@commands.command()
def undo(
    ids: Ids, *, reason: Annotated[str | None, typer.Option(help="Why it is taken back.", metavar="TEXT")] = None
) -> None:
    """Take back what approvals did, while nothing rests on it: a transfer on the day it was approved, a purchase until
    any of it has come. Stops at one where it is too late."""
    from onhand.base.actor import Actor
    from onhand.flows.plans.undo import undo_proposal

    with database() as db:
        for proposal_id in [_found(db, given) for given in ids]:
            now, by = datetime.now(UTC), Actor(reason=_REASON)
            done = db.transact(
                lambda conn, at=proposal_id, now=now, by=by: undo_proposal(db, conn, at, reason, now=now, by=by)
            )
            db.notify()
            out.print(f"taken back: {done.proposal.explanation}")


def _found(db: "Database", given: str) -> str:
    from onhand.planning.store import ids_ending_in

    return id_ending(db, given, ids_ending_in, "proposal")
