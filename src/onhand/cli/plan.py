"""`onhand plan run`: planning by hand."""

import json
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from onhand.settings import Settings

out = Console(highlight=False, markup=False, soft_wrap=True)
commands = typer.Typer(no_args_is_help=True, help="Plan anew what is planned already.")


class Kind(StrEnum):
    """What can be planned."""

    SOURCING = "sourcing"


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="plan")


@commands.callback()
def root() -> None:
    """Plan anew what is planned already."""


@commands.command()
def run(
    kind: Annotated[Kind, typer.Argument(help="sourcing: orders that no node has begun to work on.")],  # noqa: ARG001
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would save.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Orders at a time, those that leave first.")] = 200,
    hours: Annotated[int, typer.Option(min=1, help="Leave orders alone that were placed longer ago.")] = 168,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time to plan in.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Plan orders again together, and move those for which that saves money. No order is promised later."""
    from onhand.db import Database, migrate
    from onhand.db.embedded import located
    from onhand.flows.reoptimise import reoptimise
    from onhand.flows.state import State

    settings = Settings.load()
    with located(settings.database_url, settings.home) as url:
        migrate(url)
        with Database.open(url) as db:
            state = State(db)
            state.load()
            done = reoptimise(
                state, limit=limit, apply=not dry_run, placed_within=timedelta(hours=hours), time_limit_s=seconds
            )
    if as_json:
        print(json.dumps(done._asdict()))  # noqa: T201
        return
    verb = "would move" if dry_run else "moved"
    out.print(
        f"{done.orders_considered} orders considered, {done.orders_moved} {verb}, "
        f"{done.saving_minor / 100:.2f} saved; at most {done.gap:.2%} more could be"
    )
