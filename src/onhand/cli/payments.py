"""`onhand payments`: whether goods and money agree."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from onhand.cli.database import database

out = Console(highlight=False, markup=False, soft_wrap=True)
_SHOWN = 20
_SUMS = (
    ("open before", "open_before_minor"), ("+ shipped", "shipped_minor"), ("- returned", "returned_minor"),
    ("- captured", "captured_minor"), ("+ refunded", "refunded_minor"), ("= open after", "open_after_minor"),
)  # fmt: skip


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Payments of orders.", no_args_is_help=True)
    group.command()(reconcile)
    app.add_typer(group, name="payments")


def reconcile(
    *,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day, in UTC; left out: yesterday.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole statement as JSON.")] = False,
) -> None:
    """Hold the goods of a day against its money, and name what differs. Exits with 1 if the sums do not agree to the
    cent, or a difference has no reason.
    """
    from onhand.flows.payments.reconcile import reconcile as state_day

    with database(pool_max=1) as db:
        found = state_day(db, (day or datetime.now(UTC) - timedelta(days=1)).date())
    if as_json:
        print(json.dumps(found, indent=1))  # noqa: T201
    else:
        _show(found)
    if not found["balanced"]:
        raise typer.Exit(1)


def _show(found: dict[str, Any]) -> None:
    if not found["statements"]:
        out.print(f"{found['day']}: no orders, and nothing moved")
    for statement in found["statements"]:
        verdict = "balanced" if statement["balanced"] else "NOT BALANCED"
        out.print(
            f"{found['day']} in {statement['currency']}: {verdict}; orders {statement['orders']:,}, of which"
            f" {statement['orders_elsewhere']:,} are paid elsewhere"
        )
        for words, name in _SUMS:
            out.print(f"  {words:<14}{statement[name]:>20,}")
        for one in statement["differences"][:_SHOWN]:
            detail = f": {one['detail']}" if one["detail"] else ""
            out.print(f"  {one['amount_minor']:>14,}  {one['external_id']}  {one['reason'].replace('_', ' ')}{detail}")
        if (hidden := statement["differences_count"] - _SHOWN) > 0:
            out.print(f"  and {hidden} more: --json shows them")
