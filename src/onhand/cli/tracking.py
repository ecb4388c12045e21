"""`onhand tracking`: ask carriers where parcels are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from onhand.cli.database import database

out = Console(highlight=False, markup=False, soft_wrap=True)
_REASON = "onhand tracking karrio"
_SHOWN = 10


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Where parcels are.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(karrio)
    app.add_typer(group, name="tracking")


def karrio(
    carrier: Annotated[str, typer.Argument(help="As your shipments have it, such as dhl.")],
    *,
    name: Annotated[str, typer.Option("--as", help="As karrio has it, such as dhl_universal.")],
    settings: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="A JSON file with your credentials, as karrio names them.")
    ],
    zone: Annotated[str, typer.Option(help="In which the carrier tells its times, such as Europe/Berlin.")],
) -> None:
    """Ask for all parcels of a carrier that are on their way, by karrio, which you install beside onhand, and record
    what it tells. Exits with 1 if nothing could be asked or something could not be used.
    """
    from onhand.base.actor import SYSTEM, Actor
    from onhand.base.fields import time_zone
    from onhand.flows.tracking.ask_karrio import by_karrio, follow

    try:
        credentials = json.loads(settings.read_text("utf-8"))
        if not isinstance(credentials, dict):
            raise ValueError("expected an object")
    except ValueError as error:
        raise typer.BadParameter(f"{settings}: not JSON: {error}", param_hint="--settings") from None
    try:
        told_in = ZoneInfo(time_zone(zone))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--zone") from None
    ask = by_karrio(name, cast("dict[str, Any]", credentials))
    with database() as db:
        by = Actor(key_id=SYSTEM.key_id, reason=_REASON)
        done = follow(db, ask, carrier, told_in, now=datetime.now(UTC), by=by)
    out.print(
        f"{done.numbers:,} parcels asked for: {done.created:,} new scans, {done.unchanged:,} known,"
        f" {done.skipped:,} events that are none, {done.rejected:,} rejected"
    )
    for complaint in done.complaints[:_SHOWN]:
        out.print(f"  {complaint}")
    if (hidden := len(done.complaints) - _SHOWN) > 0:
        out.print(f"  and {hidden:,} more")
    if done.rejected or (done.complaints and not done.created + done.unchanged):
        raise typer.Exit(1)
