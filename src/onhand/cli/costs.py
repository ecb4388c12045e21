"""`onhand costs`: what orders cost to serve, as a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from onhand.base.money import EXPONENTS
from onhand.cli.database import database
from onhand.errors import InvalidInput

if TYPE_CHECKING:
    from onhand.costs.model import Row

out = Console(highlight=False, soft_wrap=True)

_ROWS_MAX = 1_000
_COLUMNS = ("orders", "promised", "not shipped", "actual", "difference", "failures")


class By(StrEnum):
    """What a row stands for."""

    CHANNEL = "channel"
    NODE = "node"
    CARRIER = "carrier"
    ITEM = "item"
    CAUSE = "cause"
    TERM = "term"
    DAY = "day"


def register(app: typer.Typer) -> None:
    app.command()(costs)


def costs(
    *,
    by: Annotated[By, typer.Option(help="What a row stands for.")] = By.CHANNEL,
    from_: Annotated[str | None, typer.Option("--from", help="First day, UTC: 2026-03-01.")] = None,
    to: Annotated[str | None, typer.Option(help="Last day, UTC.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON.")] = False,
) -> None:
    """Show what orders cost to serve: promised when they were planned, actual, and what failures cost.

    difference = actual - (promised - not shipped). Causes of failures: --by cause.
    """
    from onhand.costs import store
    from onhand.flows.costs.follow import follow_costs

    since, until = _day("--from", from_), _day("--to", to)
    with database() as db:
        follow_costs(db)
        with db.connection() as conn:
            rows = store.report(
                conn, by.value, since=since, until=None if until is None else until + timedelta(days=1), limit=_ROWS_MAX
            )
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows]))
        return
    out.print(_table(rows, by) if rows else "no costs booked")


def _day(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise InvalidInput.at(option, f"expected a day such as 2026-03-01, got {text!r}") from None


def _table(rows: "Sequence[Row]", by: By) -> Table:
    table = Table(title=f"cost to serve by {by}", title_justify="left")
    table.add_column(by.value)
    table.add_column("in")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.key or "-", row.currency, f"{row.orders:,}", *(
                _money(minor, row.currency)
                for minor in (
                    row.promised_minor, row.not_shipped_minor, row.actual_minor, row.difference_minor,
                    row.failures_minor,
                )
            ),
        )  # fmt: skip
    return table


def _money(minor: int, currency: str) -> str:
    digits = EXPONENTS.get(currency, 2)
    return f"{Decimal(minor).scaleb(-digits):,.{digits}f}"
