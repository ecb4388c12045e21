"""`onhand key`: create, revoke and list API keys."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onhand.cli.database import database

if TYPE_CHECKING:
    pass

out = Console(soft_wrap=True, highlight=False)
commands = typer.Typer(no_args_is_help=True, help="Create, revoke and list API keys.")


def register(app: typer.Typer) -> None:
    app.add_typer(commands, name="key")


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; shown in lists and in the audit log.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="May be repeated: read, stock:write, orders:write, config:write, plan:approve, admin (everything but"
            " tools), tool:NAME (of the MCP server)."
        ),
    ],
) -> None:
    """Create a key and print it. It is shown this once: only its hash is kept."""
    from onhand.base.actor import Actor
    from onhand.flows.keys import create_key

    with database(pool_max=1) as db:
        made = create_key(db, name=name, scopes=scope, by=Actor(reason="onhand key create"))
    typer.echo(made.key)
    typer.echo(f"key {made.key_id} ({', '.join(made.scopes)}); shown this once", err=True)


@commands.command()
def revoke(key_id: Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="As `onhand key list` shows it.")]) -> None:
    """Revoke a key: within 5 seconds no process accepts it."""
    from onhand.base.actor import Actor
    from onhand.flows.keys import revoke_key

    with database(pool_max=1) as db:
        row = revoke_key(db, key_id, by=Actor(reason="onhand key revoke"))
    out.print(f"key {row.key_id} ({row.name}) is revoked", markup=False)


@commands.command("list")
def list_all() -> None:
    """List all keys, revoked ones too."""
    from rich.table import Table
    from rich.text import Text

    from onhand import access

    with database(pool_max=1) as db, db.connection() as conn:
        rows = access.list_keys(conn, limit=100_000)
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "name", "begins with", "scopes", "created", "ends", "revoked"):
        table.add_column(heading)
    for row in rows:
        revoked = "" if row.revoked_at is None else f"{row.revoked_at:%Y-%m-%d %H:%M}"
        cells = (
            str(row.key_id),
            row.name,
            row.prefix,
            " ".join(row.scopes),
            f"{row.created_at:%Y-%m-%d %H:%M}",
            "" if row.expires_at is None else f"{row.expires_at:%Y-%m-%d %H:%M}",
            revoked,
        )
        table.add_row(*(Text(cell) for cell in cells))
    out.print(table)
